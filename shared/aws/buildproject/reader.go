package buildproject

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// ReadAPI is what a Reader calls of CodeBuild.
type ReadAPI interface {
	ListProjects(context.Context, *codebuild.ListProjectsInput, ...func(*codebuild.Options)) (*codebuild.ListProjectsOutput, error)
	BatchGetProjects(context.Context, *codebuild.BatchGetProjectsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error)
	ListBuildsForProject(context.Context, *codebuild.ListBuildsForProjectInput, ...func(*codebuild.Options)) (*codebuild.ListBuildsForProjectOutput, error)
	BatchGetBuilds(context.Context, *codebuild.BatchGetBuildsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error)
}

// Reader reads projects and builds.
type Reader struct{ api ReadAPI }

// NewReader makes a reader.
func NewReader(api ReadAPI) *Reader { return &Reader{api} }

// batchSize is the most that a batch takes (API reference, BatchGetProjects and
// BatchGetBuilds).
const batchSize = 100

// Read reads those of the projects that exist, by name, a hundred with each call.
func (r *Reader) Read(ctx context.Context, names []string) (map[string]model.ObservedProject, error) {
	all, err := r.projects(ctx, names)
	if err != nil {
		return nil, err
	}
	found := map[string]model.ObservedProject{}
	for _, p := range all {
		found[aws.ToString(p.Name)] = project(p)
	}
	return found, nil
}

func (r *Reader) projects(ctx context.Context, names []string) ([]types.Project, error) {
	var all []types.Project
	for some := range slices.Chunk(names, batchSize) {
		out, err := r.api.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: some})
		if err != nil {
			return nil, awserr.Wrap(err, "get CodeBuild projects %s", shown(some))
		}
		for _, name := range some {
			there := slices.ContainsFunc(out.Projects, func(p types.Project) bool { return aws.ToString(p.Name) == name })
			if !there && !slices.Contains(out.ProjectsNotFound, name) {
				return nil, fmt.Errorf("get CodeBuild projects: the answer does not say whether there is a project %s", name)
			}
		}
		all = append(all, out.Projects...)
	}
	return all, nil
}

// Uses gives the roles that the projects of the account have: those of their
// builds, of batches of them and of who may see their logs and artifacts. A
// project that is deleted meanwhile is left out.
func (r *Reader) Uses(ctx context.Context) ([]model.Use, error) {
	var names []string
	seen := map[string]bool{}
	for token := (*string)(nil); ; {
		out, err := r.api.ListProjects(ctx, &codebuild.ListProjectsInput{NextToken: token})
		if err != nil {
			return nil, awserr.Wrap(err, "list CodeBuild projects")
		}
		names, token = append(names, out.Projects...), out.NextToken
		if aws.ToString(token) == "" {
			break
		}
		if seen[*token] {
			return nil, fmt.Errorf("list CodeBuild projects: the answer goes round in a circle after %d names", len(names))
		}
		seen[*token] = true
	}
	all, err := r.projects(ctx, names)
	if err != nil {
		return nil, err
	}
	var found []model.Use
	for _, p := range all {
		roles := []*string{p.ServiceRole, p.ResourceAccessRole}
		if p.BuildBatchConfig != nil {
			roles = append(roles, p.BuildBatchConfig.ServiceRole)
		}
		for _, role := range roles {
			use := model.Use{Role: aws.ToString(role), ARN: aws.ToString(p.Arn), Kind: "project"}
			if use.ARN == "" {
				return nil, fmt.Errorf("get CodeBuild projects: the answer gives no ARN of project %s", aws.ToString(p.Name))
			}
			if use.Role != "" && !slices.Contains(found, use) {
				found = append(found, use)
			}
		}
	}
	return found, nil
}

// shown names few things all, and of many the first.
func shown(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Builds reads the newest hundred builds of a project, newest first, in two
// calls. An error of class Retry says also that the project is gone.
//
// No sort order is asked for: CodeBuild gives the newest first without, and
// refuses one for a project with more than a hundred builds (API reference,
// ListBuildsForProject).
func (r *Reader) Builds(ctx context.Context, project string) ([]model.Build, error) {
	out, err := r.api.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{ProjectName: &project})
	if err != nil {
		return nil, awserr.Unsettled(awserr.Wrap(err, "list builds of CodeBuild project %s", project))
	}
	all, err := r.Refresh(ctx, out.Ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b model.Build) int { return slices.Index(out.Ids, a.ID) - slices.Index(out.Ids, b.ID) })
	return all, nil
}

// Refresh reads those of the builds that exist, a hundred with each call.
// CodeBuild knows a build for a year (user guide, "Builds in AWS CodeBuild").
func (r *Reader) Refresh(ctx context.Context, ids []string) ([]model.Build, error) {
	var all []model.Build
	for some := range slices.Chunk(ids, batchSize) {
		out, err := r.api.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: some})
		if err != nil {
			return nil, awserr.Wrap(err, "get builds %s", shown(some))
		}
		for _, b := range out.Builds {
			all = append(all, build(b))
		}
		for _, id := range some {
			there := slices.ContainsFunc(all, func(b model.Build) bool { return b.ID == id })
			if !there && !slices.Contains(out.BuildsNotFound, id) {
				return nil, fmt.Errorf("get builds: the answer does not say whether there is a build %s", id)
			}
		}
	}
	return all, nil
}

// project tells what is known of a project.
func project(p types.Project) model.ObservedProject {
	o := model.ObservedProject{
		Name: aws.ToString(p.Name), ARN: aws.ToString(p.Arn), Created: aws.ToTime(p.Created), Extras: extras(p), Tags: map[string]string{},
		ProjectSettings: model.ProjectSettings{
			Description: aws.ToString(p.Description), ServiceRole: aws.ToString(p.ServiceRole), Environment: map[string]string{},
			TimeoutMinutes: aws.ToInt32(p.TimeoutInMinutes), QueuedTimeoutMinutes: aws.ToInt32(p.QueuedTimeoutInMinutes),
			LogGroup: naming.LogGroup(aws.ToString(p.Name)),
		},
	}
	if s := p.Source; s != nil {
		o.SourceType, o.Source, o.Buildspec = string(s.Type), aws.ToString(s.Location), aws.ToString(s.Buildspec)
	}
	if a := p.Artifacts; a != nil {
		o.Artifacts = string(a.Type)
	}
	if e := p.Environment; e != nil {
		o.EnvironmentType, o.Image, o.ComputeType, o.Privileged = string(e.Type), aws.ToString(e.Image), string(e.ComputeType), aws.ToBool(e.PrivilegedMode)
		for _, v := range e.EnvironmentVariables {
			o.Environment[variable(o.Environment, v)] = aws.ToString(v.Value)
		}
	}
	// Without settings CodeBuild writes to the log group that is named after the
	// project (user guide, "View build details").
	if l := p.LogsConfig; l != nil && l.CloudWatchLogs != nil {
		switch {
		case l.CloudWatchLogs.Status == types.LogsConfigStatusTypeDisabled:
			o.LogGroup = ""
		case aws.ToString(l.CloudWatchLogs.GroupName) != "":
			o.LogGroup = *l.CloudWatchLogs.GroupName
		}
	}
	for _, t := range p.Tags {
		o.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return o
}

// variable gives the name under which a variable is known. One that is not in
// plain text, or comes again, has a name that no variable can have: it differs
// from all that can be desired.
func variable(known map[string]string, v types.EnvironmentVariable) string {
	name := aws.ToString(v.Name)
	if v.Type != "" && v.Type != types.EnvironmentVariableTypePlaintext {
		name += " (" + string(v.Type) + ")"
	}
	for _, taken := known[name]; taken; _, taken = known[name] {
		name += " (again)"
	}
	return name
}

// extras names what a project has that those made here have not, sorted.
func extras(p types.Project) []string {
	has := map[string]bool{
		"auto-retry":             aws.ToInt32(p.AutoRetryLimit) > 0,
		"badge":                  p.Badge != nil && p.Badge.BadgeEnabled,
		"batch":                  p.BuildBatchConfig != nil,
		"cache":                  p.Cache != nil && p.Cache.Type != "" && p.Cache.Type != types.CacheTypeNoCache,
		"concurrent-build-limit": aws.ToInt32(p.ConcurrentBuildLimit) > 0,
		// Where none was given CodeBuild names the key that AWS keeps for S3.
		"encryption-key":      aws.ToString(p.EncryptionKey) != "" && !strings.HasSuffix(*p.EncryptionKey, ":alias/aws/s3"),
		"file-systems":        len(p.FileSystemLocations) > 0,
		"public":              p.ProjectVisibility == types.ProjectVisibilityTypePublicRead,
		"secondary-artifacts": len(p.SecondaryArtifacts) > 0,
		"secondary-sources":   len(p.SecondarySources) > 0,
		"source-version":      aws.ToString(p.SourceVersion) != "",
		"vpc":                 p.VpcConfig != nil && aws.ToString(p.VpcConfig.VpcId) != "",
		"webhook":             p.Webhook != nil,
	}
	if l := p.LogsConfig; l != nil {
		has["s3-logs"] = l.S3Logs != nil && l.S3Logs.Status == types.LogsConfigStatusTypeEnabled
		has["log-stream"] = l.CloudWatchLogs != nil && aws.ToString(l.CloudWatchLogs.StreamName) != ""
	}
	if e := p.Environment; e != nil {
		has["certificate"] = aws.ToString(e.Certificate) != ""
		has["compute-configuration"] = e.ComputeConfiguration != nil
		has["docker-server"] = e.DockerServer != nil
		has["fleet"] = e.Fleet != nil
		has["image-pull-credentials"] = e.ImagePullCredentialsType == types.ImagePullCredentialsTypeServiceRole
		has["registry-credential"] = e.RegistryCredential != nil
	}
	var names []string
	for name, there := range has {
		if there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
