package awsfake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// codeBuild is what an account has of CodeBuild. Projects and builds are not
// changed in place, so that clones can share what they point to.
type codeBuild struct {
	projects map[string]types.Project
	builds   []build // in the order in which they were started
	tokens   map[string]startToken

	limit   int           // of builds that run at the same time
	scale   float64       // of times
	settled time.Duration // a new role cannot be assumed for so long, by AgentCore neither
	run     func(types.Build) Outcome
	queues  []string // URLs that events go to
	watch   func(BuildEvent)
	assume  func(role, project string) bool
}

// defaultBuilds is the limit where a test sets none: more than any starts.
const defaultBuilds = 1000

func newCodeBuild() *codeBuild {
	return &codeBuild{projects: map[string]types.Project{}, tokens: map[string]startToken{}, limit: defaultBuilds, scale: 1}
}

func (s *codeBuild) clone() *codeBuild {
	out := *s
	out.projects, out.tokens = maps.Clone(s.projects), maps.Clone(s.tokens)
	out.builds, out.queues = slices.Clone(s.builds), slices.Clone(s.queues)
	out.watch, out.assume = nil, nil
	return &out
}

// CodeBuild is the client of one caller.
type CodeBuild struct {
	cloud  *Cloud
	caller string
}

// CodeBuild gives the client of a caller.
func (c *Cloud) CodeBuild(caller string) *CodeBuild { return &CodeBuild{c, caller} }

// SettleRoles keeps CodeBuild and AgentCore from assuming a role for some time
// after it was made, as IAM's eventual consistency does.
func (c *Cloud) SettleRoles(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds.settled = after
}

// AssumeRoles has f decide, in place of the account's own roles, whether
// CodeBuild can assume a role for a project, both by ARN. It must not use the
// Cloud. A clone asks its own roles.
func (c *Cloud) AssumeRoles(f func(role, project string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds.assume = f
}

func (b *CodeBuild) call(operation, resource string, carryOut func(*codeBuild) error) error {
	return b.cloud.call(b.caller, "codebuild", operation, resource, func() error { return carryOut(b.cloud.builds) })
}

func (c *Cloud) codeBuildARN(kind, name string) string {
	return "arn:" + c.Partition + ":codebuild:" + c.Region + ":" + c.Account + ":" + kind + "/" + name
}

// copied gives a value that shares nothing with the given one.
func copied[V any](v V) V {
	var out V
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		panic(fmt.Sprintf("copy a %T: %v", v, err)) // the SDK's types are strings, numbers, times and lists of them
	}
	return out
}

func invalidInput(format string, args ...any) error {
	return &types.InvalidInputException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func (c *Cloud) project(name string) (types.Project, error) {
	p, ok := c.builds.projects[name]
	if !ok {
		return p, &types.ResourceNotFoundException{Message: aws.String("Project cannot be found: " + c.codeBuildARN("project", name))}
	}
	return p, nil
}

// CreateProject is codebuild:CreateProject.
func (b *CodeBuild) CreateProject(_ context.Context, in *codebuild.CreateProjectInput, _ ...func(*codebuild.Options)) (*codebuild.CreateProjectOutput, error) {
	var out codebuild.CreateProjectOutput
	return &out, b.call("CreateProject", aws.ToString(in.Name), func(s *codeBuild) error {
		c, in := b.cloud, copied(*in)
		p := types.Project{
			Name: in.Name, Arn: aws.String(c.codeBuildARN("project", aws.ToString(in.Name))), Created: aws.Time(c.now), LastModified: aws.Time(c.now),
			Description: in.Description, ServiceRole: in.ServiceRole, Source: in.Source, SourceVersion: in.SourceVersion, Artifacts: in.Artifacts,
			Environment: in.Environment, LogsConfig: in.LogsConfig, Tags: in.Tags, Cache: in.Cache, VpcConfig: in.VpcConfig,
			SecondarySources: in.SecondarySources, SecondarySourceVersions: in.SecondarySourceVersions, SecondaryArtifacts: in.SecondaryArtifacts,
			FileSystemLocations: in.FileSystemLocations, BuildBatchConfig: in.BuildBatchConfig, EncryptionKey: in.EncryptionKey,
			ConcurrentBuildLimit: in.ConcurrentBuildLimit, AutoRetryLimit: in.AutoRetryLimit,
			TimeoutInMinutes: in.TimeoutInMinutes, QueuedTimeoutInMinutes: in.QueuedTimeoutInMinutes,
			Badge: &types.ProjectBadge{BadgeEnabled: aws.ToBool(in.BadgeEnabled)}, ProjectVisibility: types.ProjectVisibilityTypePrivate,
		}
		if err := c.complete(&p); err != nil {
			return err
		}
		if _, taken := s.projects[*p.Name]; taken {
			return &types.ResourceAlreadyExistsException{Message: aws.String("Project already exists: " + *p.Arn)}
		}
		s.projects[*p.Name] = p
		out.Project = new(copied(p))
		return nil
	})
}

// UpdateProject is codebuild:UpdateProject: what is left out stays, but for tags,
// which are always replaced (Terraform's AWS provider,
// internal/service/codebuild/project.go, resourceProjectUpdate).
func (b *CodeBuild) UpdateProject(_ context.Context, in *codebuild.UpdateProjectInput, _ ...func(*codebuild.Options)) (*codebuild.UpdateProjectOutput, error) {
	var out codebuild.UpdateProjectOutput
	return &out, b.call("UpdateProject", aws.ToString(in.Name), func(s *codeBuild) error {
		c, in := b.cloud, copied(*in)
		p, err := c.project(aws.ToString(in.Name))
		if err != nil {
			return err
		}
		keep(&p.Description, in.Description)
		keep(&p.ServiceRole, in.ServiceRole)
		keep(&p.Source, in.Source)
		keep(&p.SourceVersion, in.SourceVersion)
		keep(&p.Artifacts, in.Artifacts)
		keep(&p.Environment, in.Environment)
		keep(&p.LogsConfig, in.LogsConfig)
		keep(&p.Cache, in.Cache)
		keep(&p.VpcConfig, in.VpcConfig)
		keep(&p.BuildBatchConfig, in.BuildBatchConfig)
		keep(&p.EncryptionKey, in.EncryptionKey)
		keep(&p.ConcurrentBuildLimit, in.ConcurrentBuildLimit)
		keep(&p.AutoRetryLimit, in.AutoRetryLimit)
		keep(&p.TimeoutInMinutes, in.TimeoutInMinutes)
		keep(&p.QueuedTimeoutInMinutes, in.QueuedTimeoutInMinutes)
		keepList(&p.SecondarySources, in.SecondarySources)
		keepList(&p.SecondarySourceVersions, in.SecondarySourceVersions)
		keepList(&p.SecondaryArtifacts, in.SecondaryArtifacts)
		keepList(&p.FileSystemLocations, in.FileSystemLocations)
		if in.BadgeEnabled != nil {
			p.Badge = &types.ProjectBadge{BadgeEnabled: *in.BadgeEnabled}
		}
		p.Tags, p.LastModified = in.Tags, aws.Time(c.now)
		if err := c.complete(&p); err != nil {
			return err
		}
		s.projects[*p.Name] = p
		out.Project = new(copied(p))
		return nil
	})
}

func keep[V any](old **V, changed *V) {
	if changed != nil {
		*old = changed
	}
}

func keepList[V any](old *[]V, changed []V) {
	if changed != nil {
		*old = changed
	}
}

// BatchGetProjects is codebuild:BatchGetProjects, by names or ARNs.
func (b *CodeBuild) BatchGetProjects(_ context.Context, in *codebuild.BatchGetProjectsInput, _ ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error) {
	var out codebuild.BatchGetProjectsOutput
	return &out, b.call("BatchGetProjects", strings.Join(in.Names, ","), func(s *codeBuild) error {
		if err := batch(in.Names); err != nil {
			return err
		}
		for _, name := range in.Names {
			if p, ok := s.projects[strings.TrimPrefix(name, b.cloud.codeBuildARN("project", ""))]; ok {
				out.Projects = append(out.Projects, copied(p))
			} else {
				out.ProjectsNotFound = append(out.ProjectsNotFound, name)
			}
		}
		return nil
	})
}

// batch checks the size of a batch (API reference, BatchGetProjects and
// BatchGetBuilds).
func batch(names []string) error {
	if len(names) == 0 || len(names) > 100 {
		return invalidInput("a batch must have 1 to 100 members, not %d", len(names))
	}
	return nil
}

// ListProjects is codebuild:ListProjects, a hundred names at a time.
func (b *CodeBuild) ListProjects(_ context.Context, in *codebuild.ListProjectsInput, _ ...func(*codebuild.Options)) (*codebuild.ListProjectsOutput, error) {
	var out codebuild.ListProjectsOutput
	return &out, b.call("ListProjects", "", func(s *codeBuild) error {
		names := slices.Sorted(maps.Keys(s.projects))
		if after := aws.ToString(in.NextToken); after != "" {
			names = slices.DeleteFunc(names, func(name string) bool { return name <= after })
		}
		const page = 100
		if len(names) > page {
			names, out.NextToken = names[:page], &names[page-1]
		}
		out.Projects = names
		return nil
	})
}

// DeleteProject is codebuild:DeleteProject. Builds of the project stay, and a
// project that is not there is no error.
func (b *CodeBuild) DeleteProject(_ context.Context, in *codebuild.DeleteProjectInput, _ ...func(*codebuild.Options)) (*codebuild.DeleteProjectOutput, error) {
	return &codebuild.DeleteProjectOutput{}, b.call("DeleteProject", aws.ToString(in.Name), func(s *codeBuild) error {
		delete(s.projects, aws.ToString(in.Name))
		return nil
	})
}

// Projects gives the names of all projects, sorted.
func (c *Cloud) Projects() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.builds.projects))
}
