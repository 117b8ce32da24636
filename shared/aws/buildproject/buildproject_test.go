package buildproject_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

const builder = "bedrock-agentcore-agent-builder"

// desired is a project as an agent's is.
func desired(name string) model.Project {
	return model.Project{
		Agent: "agent", Name: name, ARN: "arn:aws:codebuild:us-east-1:123456789012:project/" + name,
		ProjectSettings: model.ProjectSettings{
			Description: "Builds the image of agent.", ServiceRole: "arn:aws:iam::123456789012:role/builder", SourceType: "S3", Source: "sources/agent/source.zip",
			Buildspec: "version: 0.2\n", Artifacts: "NO_ARTIFACTS", EnvironmentType: "ARM_CONTAINER", Image: "aws/codebuild/amazonlinux-aarch64-standard:4.0",
			ComputeType: "BUILD_GENERAL1_MEDIUM", Privileged: true, Environment: map[string]string{"REGISTRY": "r", "REPOSITORY_URI": "r/agent"},
			LogGroup: naming.LogGroup(name), TimeoutMinutes: 60, QueuedTimeoutMinutes: 480,
		},
		LogRetentionDays: 30, Tags: map[string]string{"rolekeeper:agent": "agent"},
	}
}

// account is one with a role for builds.
func account(t *testing.T) *awsfake.Cloud {
	t.Helper()
	c := awsfake.New()
	if _, err := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("builder"), AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
	return c
}

// made is an account with one project, and its client.
func made(t *testing.T) (*awsfake.Cloud, *buildproject.Client, model.Project) {
	t.Helper()
	c, p := account(t), desired(builder)
	client := buildproject.New(c.CodeBuild("t"))
	if _, err := client.Create(t.Context(), p, "nonce"); err != nil {
		t.Fatal(err)
	}
	return c, client, p
}

func read(t *testing.T, api buildproject.ReadAPI) model.ObservedProject {
	t.Helper()
	all, err := buildproject.NewReader(api).Read(t.Context(), []string{builder})
	if err != nil {
		t.Fatal(err)
	}
	o, ok := all[builder]
	if !ok {
		t.Fatalf("read %v", all)
	}
	return o
}

func TestAProjectIsReadAsItWasWritten(t *testing.T) {
	c := account(t)
	client, p := buildproject.New(c.CodeBuild("t")), desired(builder)
	created, err := client.Create(t.Context(), p, "nonce")
	if err != nil || !created.Equal(c.Now()) {
		t.Errorf("created %v, %v", created, err)
	}
	want := model.ObservedProject{
		Name: p.Name, ARN: p.ARN, Created: created, ProjectSettings: p.ProjectSettings,
		Tags: map[string]string{"rolekeeper:agent": "agent", model.TagCreation: "nonce"},
	}
	if diff := cmp.Diff(want, read(t, c.CodeBuild("t"))); diff != "" {
		t.Errorf("read (-want +got)\n%s", diff)
	}
	if len(p.Tags) != 1 {
		t.Errorf("the caller's tags have become %v", p.Tags)
	}
	p.Tags = nil
	p.Name = "another-project"
	if _, err := client.Create(t.Context(), p, "nonce"); err != nil {
		t.Errorf("without tags: %v", err)
	}
}

func TestAnUpdateWritesAllThatIsDesired(t *testing.T) {
	c, client, p := made(t)
	// Somebody changes everything that there is to change.
	if _, err := c.CodeBuild("t").UpdateProject(t.Context(), &codebuild.UpdateProjectInput{
		Name: &p.Name, Description: aws.String("other"), Source: &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String("other")},
		Artifacts: &types.ProjectArtifacts{Type: types.ArtifactsTypeS3, Location: aws.String("bucket")},
		Environment: &types.ProjectEnvironment{
			Type: types.EnvironmentTypeLinuxContainer, Image: aws.String("other"), ComputeType: types.ComputeTypeBuildGeneral1Small,
			EnvironmentVariables: []types.EnvironmentVariable{{Name: aws.String("OTHER"), Value: aws.String("x")}},
		},
		LogsConfig:       &types.LogsConfig{S3Logs: &types.S3LogsConfig{Status: types.LogsConfigStatusTypeEnabled}, CloudWatchLogs: &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeDisabled}},
		TimeoutInMinutes: aws.Int32(5), QueuedTimeoutInMinutes: aws.Int32(5), Tags: []types.Tag{{Key: aws.String("other"), Value: aws.String("x")}},
	}); err != nil {
		t.Fatal(err)
	}
	changed := read(t, c.CodeBuild("t"))
	if changed.Same(p.ProjectSettings) || changed.LogGroup != "" || !slices.Equal(changed.Extras, []string{"s3-logs"}) {
		t.Errorf("changed %+v", changed)
	}
	if err := client.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want := model.ObservedProject{Name: p.Name, ARN: p.ARN, Created: c.Now(), ProjectSettings: p.ProjectSettings, Tags: p.Tags}
	if diff := cmp.Diff(want, read(t, c.CodeBuild("t"))); diff != "" {
		t.Errorf("read (-want +got)\n%s", diff)
	}
}

func TestWhatCodeBuildRefusesIsTold(t *testing.T) {
	c, client, p := made(t)
	other := desired("another-project")
	foreign := other
	foreign.ServiceRole = "arn:aws:iam::123456789012:role/nobody"
	order := p.Order("v1", false)
	elsewhere := order
	elsewhere.Project = "another-project"
	for name, call := range map[string]struct {
		err   error
		class fault.Class
		is    error
	}{
		"create a taken name":                      {second(client.Create(t.Context(), p, "nonce")), fault.Retry, fault.ErrExists},
		"create with a role that is not assumable": {second(client.Create(t.Context(), foreign, "nonce")), fault.Retry, nil},
		"update with a role that is not assumable": {client.Update(t.Context(), model.Project{Name: p.Name, ProjectSettings: foreign.ProjectSettings}), fault.Retry, nil},
		"update of what is gone":                   {client.Update(t.Context(), other), fault.Retry, nil},
		"start of what is gone":                    {second(client.Start(t.Context(), elsewhere)), fault.Retry, nil},
		"builds of what is gone":                   {second(client.Builds(t.Context(), "another-project")), fault.Retry, nil},
		"create with a source that cannot be":      {second(client.Create(t.Context(), model.Project{Name: "another-project"}, "nonce")), fault.Unknown, nil},
		"a build that the account has no room for": {limited(t, c, client, order), fault.Retry, fault.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			if fault.Of(call.err) != call.class || call.is != nil && !errors.Is(call.err, call.is) {
				t.Errorf("class %q, want %q and %v: %v", fault.Of(call.err), call.class, call.is, call.err)
			}
			for _, other := range []error{fault.ErrNotFound, fault.ErrExists, fault.ErrLimit} {
				if !errors.Is(call.is, other) && errors.Is(call.err, other) {
					t.Errorf("is %v", other)
				}
			}
			if !strings.Contains(call.err.Error(), "project") || strings.Contains(call.err.Error(), "%!") {
				t.Errorf("%v", call.err)
			}
		})
	}
}

func TestAProjectIsDeletedOnce(t *testing.T) {
	c, client, p := made(t)
	b, err := client.Start(t.Context(), p.Order("1", false))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // CodeBuild has no error for a project that is not there
		if err := client.Delete(t.Context(), p.Name); err != nil {
			t.Error(err)
		}
	}
	if names := c.Projects(); len(names) != 0 {
		t.Errorf("projects %v", names)
	}
	if builds, err := client.Refresh(t.Context(), []string{b.ID}); err != nil || len(builds) != 1 {
		t.Errorf("builds %v, %v", builds, err)
	}
	for code, class := range map[string]fault.Class{
		"AccessDeniedException": fault.Unknown, "InvalidInputException": fault.Unknown, "ThrottlingException": fault.Retry,
	} {
		c.Before = func(awsfake.Call) error { return awsfake.APIError(code, "m") }
		if err := client.Delete(t.Context(), p.Name); err == nil || fault.Of(err) != class || !strings.Contains(err.Error(), "delete CodeBuild project "+p.Name) {
			t.Errorf("%s: class %q, want %q: %v", code, fault.Of(err), class, err)
		}
	}
	c.Before = func(awsfake.Call) error { return awsfake.APIError("ResourceNotFoundException", "m") }
	if err := client.Delete(t.Context(), p.Name); err != nil {
		t.Errorf("should it have one after all: %v", err)
	}
}

func second[V any](_ V, err error) error { return err }

func limited(t *testing.T, c *awsfake.Cloud, client *buildproject.Client, o model.BuildOrder) error {
	t.Helper()
	c.LimitBuilds(0)
	defer c.LimitBuilds(1)
	_, err := client.Start(t.Context(), o)
	return err
}

func TestABuildIsThatOfItsOrder(t *testing.T) {
	c, client, p := made(t)
	for name, request := range map[string]string{"": "", "request-1": "request-1"} {
		order := p.Order("version-1", name == "")
		order.Request = request
		b, err := client.Start(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		want := model.Build{
			ID: b.ID, Project: p.Name, Identity: order.Identity, Request: request, SourceVersion: "version-1", State: model.BuildInProgress, Started: c.Now(),
			Repository: p.Environment[model.RepositoryVariable],
		}
		if diff := cmp.Diff(want, b); diff != "" || !order.Made(b) || !strings.HasPrefix(b.ID, p.Name+":") {
			t.Errorf("build %q (-want +got)\n%s", b.ID, diff)
		}
		again, err := client.Start(t.Context(), order)
		if err != nil || again.ID != b.ID {
			t.Errorf("started again: %+v, %v", again, err)
		}
		builds := c.Builds()
		set := map[string]string{}
		for _, v := range builds[len(builds)-1].Environment.EnvironmentVariables {
			if v.Type != types.EnvironmentVariableTypePlaintext {
				t.Errorf("%s is %s", *v.Name, v.Type)
			}
			set[*v.Name] = *v.Value
		}
		wantSet := map[string]string{
			"REGISTRY": "r", "REPOSITORY_URI": "r/agent", "IMAGE_TAG": model.ImageTag("version-1"), "IMAGE_LATEST": fmt.Sprint(name == ""), "ROLEKEEPER_BUILD": order.Identity,
		}
		if request != "" {
			wantSet["ROLEKEEPER_REQUEST"] = request
		}
		if diff := cmp.Diff(wantSet, set); diff != "" {
			t.Errorf("variables (-want +got)\n%s", diff)
		}
	}
}

func TestBuildsAreReadNewestFirst(t *testing.T) {
	c, client, p := made(t)
	var want []string
	for i := range 130 {
		order := p.Order(fmt.Sprint(i), false)
		b, err := client.Start(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, b.ID)
	}
	slices.Reverse(want)
	c.ForgetCalls()
	all, err := buildproject.NewReader(shuffled{c.CodeBuild("t")}).Builds(t.Context(), p.Name)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range all {
		got = append(got, b.ID)
	}
	if !slices.Equal(got, want[:100]) || len(c.Calls()) != 2 {
		t.Errorf("%d builds with %d calls: %q", len(got), len(c.Calls()), got)
	}
}

// shuffled is a CodeBuild whose batches come in an order of their own.
type shuffled struct{ buildproject.ReadAPI }

func (s shuffled) BatchGetBuilds(ctx context.Context, in *codebuild.BatchGetBuildsInput, o ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error) {
	out, err := s.ReadAPI.BatchGetBuilds(ctx, in, o...)
	if err == nil {
		slices.SortFunc(out.Builds, func(a, b types.Build) int { return strings.Compare(reversed(*a.Id), reversed(*b.Id)) })
	}
	return out, err
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func TestAProjectWithoutBuildsHasNone(t *testing.T) {
	c, client, p := made(t)
	c.ForgetCalls()
	if all, err := client.Builds(t.Context(), p.Name); err != nil || len(all) != 0 || len(c.Calls()) != 1 {
		t.Errorf("builds %v with %d calls, %v", all, len(c.Calls()), err)
	}
}

func TestManyAreReadInHundreds(t *testing.T) {
	c, client, p := made(t)
	names := []string{p.Name}
	for i := range 200 {
		names = append(names, fmt.Sprintf("absent-%d", i))
	}
	c.ForgetCalls()
	found, err := client.Read(t.Context(), names)
	if err != nil || len(found) != 1 || found[p.Name].ARN != p.ARN || len(c.Calls()) != 3 {
		t.Errorf("found %v with %d calls, %v", found, len(c.Calls()), err)
	}
	var ids []string
	for i := range 101 {
		b, err := client.Start(t.Context(), p.Order(fmt.Sprint(i), false))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	c.ForgetCalls()
	builds, err := client.Refresh(t.Context(), append(ids, p.Name+":absent"))
	if err != nil || len(builds) != 101 || len(c.Calls()) != 2 {
		t.Errorf("%d builds with %d calls, %v", len(builds), len(c.Calls()), err)
	}
	c.ForgetCalls()
	if found, err := client.Read(t.Context(), nil); err != nil || found == nil || len(found) != 0 {
		t.Errorf("of none: %v, %v", found, err)
	}
	if builds, err := client.Refresh(t.Context(), nil); err != nil || len(builds) != 0 || len(c.Calls()) != 0 {
		t.Errorf("of none: %v, %v", builds, err)
	}
}

// silent is a CodeBuild that leaves out of its answers what it does not find.
type silent struct{ buildproject.ReadAPI }

func (s silent) BatchGetProjects(context.Context, *codebuild.BatchGetProjectsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error) {
	return &codebuild.BatchGetProjectsOutput{}, nil
}

func (s silent) BatchGetBuilds(context.Context, *codebuild.BatchGetBuildsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error) {
	return &codebuild.BatchGetBuildsOutput{}, nil
}

func TestNothingIsAbsentThatCodeBuildDoesNotCallSo(t *testing.T) {
	_, client, p := made(t)
	b, err := client.Start(t.Context(), p.Order("1", false))
	if err != nil {
		t.Fatal(err)
	}
	reader := buildproject.NewReader(silent{})
	if found, err := reader.Read(t.Context(), []string{p.Name}); err == nil || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err := reader.Refresh(t.Context(), []string{b.ID}); err == nil || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestADeniedReadOfProjectsIsNotAbsence(t *testing.T) {
	c, client, p := made(t)
	c.Before = func(awsfake.Call) error { return awsfake.APIError("AccessDeniedException", "no") }
	_, reading := client.Read(t.Context(), []string{p.Name})
	_, listing := client.Builds(t.Context(), p.Name)
	_, refreshing := client.Refresh(t.Context(), []string{"a:b"})
	for _, err := range []error{reading, listing, refreshing} {
		if err == nil || fault.Of(err) != fault.Unknown || errors.Is(err, fault.ErrNotFound) {
			t.Errorf("class %q: %v", fault.Of(err), err)
		}
	}
}

// other is a CodeBuild whose project somebody changed.
type other struct {
	buildproject.ReadAPI
	change func(*types.Project)
}

func (o other) BatchGetProjects(ctx context.Context, in *codebuild.BatchGetProjectsInput, opts ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error) {
	out, err := o.ReadAPI.BatchGetProjects(ctx, in, opts...)
	if err == nil {
		o.change(&out.Projects[0])
	}
	return out, err
}

func TestWhatIsNotOursIsToldByName(t *testing.T) {
	c, _, p := made(t)
	for name, change := range map[string]func(*types.Project){
		"auto-retry":             func(p *types.Project) { p.AutoRetryLimit = aws.Int32(1) },
		"badge":                  func(p *types.Project) { p.Badge = &types.ProjectBadge{BadgeEnabled: true} },
		"batch":                  func(p *types.Project) { p.BuildBatchConfig = &types.ProjectBuildBatchConfig{} },
		"cache":                  func(p *types.Project) { p.Cache = &types.ProjectCache{Type: types.CacheTypeLocal} },
		"certificate":            func(p *types.Project) { p.Environment.Certificate = aws.String("bucket/cert.pem") },
		"compute-configuration":  func(p *types.Project) { p.Environment.ComputeConfiguration = &types.ComputeConfiguration{} },
		"concurrent-build-limit": func(p *types.Project) { p.ConcurrentBuildLimit = aws.Int32(1) },
		"docker-server":          func(p *types.Project) { p.Environment.DockerServer = &types.DockerServer{} },
		"encryption-key":         func(p *types.Project) { p.EncryptionKey = aws.String("arn:aws:kms:us-east-1:123456789012:key/1") },
		"file-systems":           func(p *types.Project) { p.FileSystemLocations = []types.ProjectFileSystemLocation{{}} },
		"fleet":                  func(p *types.Project) { p.Environment.Fleet = &types.ProjectFleet{} },
		"image-pull-credentials": func(p *types.Project) {
			p.Environment.ImagePullCredentialsType = types.ImagePullCredentialsTypeServiceRole
		},
		"log-stream":          func(p *types.Project) { p.LogsConfig.CloudWatchLogs.StreamName = aws.String("stream") },
		"public":              func(p *types.Project) { p.ProjectVisibility = types.ProjectVisibilityTypePublicRead },
		"registry-credential": func(p *types.Project) { p.Environment.RegistryCredential = &types.RegistryCredential{} },
		"s3-logs":             func(p *types.Project) { p.LogsConfig.S3Logs.Status = types.LogsConfigStatusTypeEnabled },
		"secondary-artifacts": func(p *types.Project) { p.SecondaryArtifacts = []types.ProjectArtifacts{{}} },
		"secondary-sources":   func(p *types.Project) { p.SecondarySources = []types.ProjectSource{{}} },
		"source-version":      func(p *types.Project) { p.SourceVersion = aws.String("v1") },
		"vpc":                 func(p *types.Project) { p.VpcConfig = &types.VpcConfig{VpcId: aws.String("vpc-1")} },
		"webhook":             func(p *types.Project) { p.Webhook = &types.Webhook{} },
		"vpc, webhook": func(p *types.Project) {
			p.Webhook, p.VpcConfig = &types.Webhook{}, &types.VpcConfig{VpcId: aws.String("vpc-1")}
		},
		// What CodeBuild answers of a project that has none of these.
		"": func(p *types.Project) {
			p.VpcConfig, p.Cache, p.AutoRetryLimit, p.SecondarySources = &types.VpcConfig{}, &types.ProjectCache{Type: types.CacheTypeNoCache}, aws.Int32(0), []types.ProjectSource{}
			p.Environment.ImagePullCredentialsType, p.EncryptionKey = types.ImagePullCredentialsTypeCodebuild, aws.String("arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/aws/s3")
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := read(t, other{c.CodeBuild("t"), change})
			if strings.Join(o.Extras, ", ") != name || !o.Same(p.ProjectSettings) {
				t.Errorf("extras %q, same settings: %v", o.Extras, o.Same(p.ProjectSettings))
			}
		})
	}
}

func TestSettingsThatDifferAreSeen(t *testing.T) {
	c, _, p := made(t)
	for name, change := range map[string]func(*types.Project){
		"a variable of another type": func(p *types.Project) {
			p.Environment.EnvironmentVariables[0].Type = types.EnvironmentVariableTypeParameterStore
		},
		"a variable with another value": func(p *types.Project) { p.Environment.EnvironmentVariables[0].Value = aws.String("x") },
		"a variable more": func(p *types.Project) {
			p.Environment.EnvironmentVariables = append(p.Environment.EnvironmentVariables, types.EnvironmentVariable{Name: aws.String("X")})
		},
		"a variable less": func(p *types.Project) { p.Environment.EnvironmentVariables = p.Environment.EnvironmentVariables[1:] },
		"a variable twice, ours first": func(p *types.Project) {
			p.Environment.EnvironmentVariables = append(p.Environment.EnvironmentVariables, types.EnvironmentVariable{Name: p.Environment.EnvironmentVariables[0].Name, Value: aws.String("x")})
		},
		"a variable twice, and alike": func(p *types.Project) {
			p.Environment.EnvironmentVariables = append(p.Environment.EnvironmentVariables, p.Environment.EnvironmentVariables[0])
		},
		"no environment":               func(p *types.Project) { p.Environment = nil },
		"no source":                    func(p *types.Project) { p.Source = nil },
		"another source":               func(p *types.Project) { p.Source.Location = aws.String("x") },
		"another type of source":       func(p *types.Project) { p.Source.Type = types.SourceTypeGithub },
		"another buildspec":            func(p *types.Project) { p.Source.Buildspec = nil },
		"no artifacts":                 func(p *types.Project) { p.Artifacts = nil },
		"other artifacts":              func(p *types.Project) { p.Artifacts.Type = types.ArtifactsTypeS3 },
		"another role":                 func(p *types.Project) { p.ServiceRole = aws.String("x") },
		"another description":          func(p *types.Project) { p.Description = nil },
		"another image":                func(p *types.Project) { p.Environment.Image = aws.String("x") },
		"another architecture":         func(p *types.Project) { p.Environment.Type = types.EnvironmentTypeLinuxContainer },
		"another computer":             func(p *types.Project) { p.Environment.ComputeType = types.ComputeTypeBuildGeneral1Large },
		"no privileges":                func(p *types.Project) { p.Environment.PrivilegedMode = nil },
		"another timeout":              func(p *types.Project) { p.TimeoutInMinutes = aws.Int32(5) },
		"another timeout of the queue": func(p *types.Project) { p.QueuedTimeoutInMinutes = aws.Int32(5) },
		"another log group":            func(p *types.Project) { p.LogsConfig.CloudWatchLogs.GroupName = aws.String("x") },
		"no logs":                      func(p *types.Project) { p.LogsConfig.CloudWatchLogs.Status = types.LogsConfigStatusTypeDisabled },
	} {
		t.Run(name, func(t *testing.T) {
			if o := read(t, other{c.CodeBuild("t"), change}); o.Same(p.ProjectSettings) {
				t.Errorf("read %+v", o)
			}
		})
	}
	for name, change := range map[string]func(*types.Project){
		"variables in another order":  func(p *types.Project) { slices.Reverse(p.Environment.EnvironmentVariables) },
		"variables without a type":    func(p *types.Project) { p.Environment.EnvironmentVariables[0].Type = "" },
		"the log group it has anyway": func(p *types.Project) { p.LogsConfig.CloudWatchLogs.GroupName = nil },
		"no settings of logs":         func(p *types.Project) { p.LogsConfig = nil },
	} {
		t.Run(name, func(t *testing.T) {
			if o := read(t, other{c.CodeBuild("t"), change}); !o.Same(p.ProjectSettings) {
				t.Errorf("read %+v", o)
			}
		})
	}
}

// ended is a CodeBuild of which one build is as given.
type ended struct {
	buildproject.ReadAPI
	build types.Build
}

func (e ended) BatchGetBuilds(context.Context, *codebuild.BatchGetBuildsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error) {
	return &codebuild.BatchGetBuildsOutput{Builds: []types.Build{e.build}}, nil
}

func refresh(t testing.TB, b types.Build) model.Build {
	t.Helper()
	b.Id = aws.String("project:id")
	all, err := buildproject.NewReader(ended{build: b}).Refresh(t.Context(), []string{"project:id"})
	if err != nil || len(all) != 1 {
		t.Fatalf("read %v, %v", all, err)
	}
	return all[0]
}

func phase(kind types.BuildPhaseType, status types.StatusType, contexts ...string) types.BuildPhase {
	p := types.BuildPhase{PhaseType: kind, PhaseStatus: status}
	for pair := range slices.Chunk(contexts, 2) {
		p.Contexts = append(p.Contexts, types.PhaseContext{StatusCode: aws.String(pair[0]), Message: aws.String(pair[1])})
	}
	return p
}

func TestEveryStatusIsAState(t *testing.T) {
	for status, want := range map[types.StatusType]model.BuildState{
		types.StatusTypeInProgress: model.BuildInProgress, types.StatusTypeSucceeded: model.BuildSucceeded, types.StatusTypeFailed: model.BuildFailed,
		types.StatusTypeFault: model.BuildFault, types.StatusTypeTimedOut: model.BuildTimedOut, types.StatusTypeStopped: model.BuildStopped,
	} {
		if got := refresh(t, types.Build{BuildStatus: status}).State; got != want {
			t.Errorf("%s is %q, want %q", status, got, want)
		}
	}
	if n := len(types.StatusType("").Values()); n != 6 {
		t.Errorf("CodeBuild has %d statuses", n)
	}
	if b := refresh(t, types.Build{BuildStatus: "NEW"}); b.State != model.BuildInProgress {
		t.Errorf("an unheard-of status: %+v", b)
	}
	if b := refresh(t, types.Build{BuildStatus: "NEW", BuildComplete: true}); b.State != model.BuildFailed || b.Message != "NEW" {
		t.Errorf("an unheard-of status at the end: %+v", b)
	}
}

func TestAFailureIsToldByItsPhase(t *testing.T) {
	const command = "Error while executing command: docker build --tag \"$TAG\" .. Reason: exit status 1"
	for name, c := range map[string]struct {
		status types.StatusType
		phases []types.BuildPhase
		want   string
	}{
		"a command":            {types.StatusTypeFailed, []types.BuildPhase{phase("PRE_BUILD", "SUCCEEDED", "", ""), phase("BUILD", "FAILED", "COMMAND_EXECUTION_ERROR", command)}, "BUILD: COMMAND_EXECUTION_ERROR: " + command},
		"the first of two":     {types.StatusTypeFailed, []types.BuildPhase{phase("BUILD", "FAILED", "A", "a"), phase("POST_BUILD", "FAILED", "B", "b")}, "BUILD: A: a"},
		"the last of two":      {types.StatusTypeFailed, []types.BuildPhase{phase("BUILD", "FAILED", "A", "a", "B", "b")}, "BUILD: B: b"},
		"nothing after one":    {types.StatusTypeFailed, []types.BuildPhase{phase("BUILD", "FAILED", "A", "a", "", "")}, "BUILD: A: a"},
		"a status of its own":  {types.StatusTypeFailed, []types.BuildPhase{phase("QUEUED", "CLIENT_ERROR", "VPC_CLIENT_ERROR", "Unexpected EC2 error")}, "QUEUED: VPC_CLIENT_ERROR: Unexpected EC2 error"},
		"a code alone":         {types.StatusTypeFault, []types.BuildPhase{phase("PROVISIONING", "FAULT", "INTERNAL", "")}, "PROVISIONING: INTERNAL"},
		"a message alone":      {types.StatusTypeFault, []types.BuildPhase{phase("PROVISIONING", "FAULT", "", "Internal")}, "PROVISIONING: Internal"},
		"no context":           {types.StatusTypeTimedOut, []types.BuildPhase{phase("SUBMITTED", "SUCCEEDED"), phase("QUEUED", "TIMED_OUT")}, "QUEUED: TIMED_OUT"},
		"empty context":        {types.StatusTypeStopped, []types.BuildPhase{phase("BUILD", "STOPPED", "", "")}, "BUILD: STOPPED"},
		"no phase":             {types.StatusTypeStopped, nil, "STOPPED"},
		"a phase with no end":  {types.StatusTypeStopped, []types.BuildPhase{phase("COMPLETED", "")}, "STOPPED"},
		"several lines":        {types.StatusTypeFailed, []types.BuildPhase{phase("BUILD", "FAILED", "A", "one\n\ttwo\x1b[0m ")}, "BUILD: A: one two [0m"},
		"it succeeded":         {types.StatusTypeSucceeded, []types.BuildPhase{phase("BUILD", "FAILED", "A", "a")}, ""},
		"it is still going on": {types.StatusTypeInProgress, []types.BuildPhase{phase("BUILD", "FAILED", "A", "a")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refresh(t, types.Build{BuildStatus: c.status, Phases: c.phases}).Message; got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestALongMessageKeepsItsEnd(t *testing.T) {
	script := "Error while executing command: " + strings.Repeat("é", 1000) + ". Reason: exit status 1"
	got := refresh(t, types.Build{BuildStatus: "FAILED", Phases: []types.BuildPhase{phase("BUILD", "FAILED", "A", script)}}).Message
	if n := len([]rune(got)); n > 420 || !strings.HasPrefix(got, "BUILD: A: Error while executing command: éé") || !strings.HasSuffix(got, "é. Reason: exit status 1") || !strings.Contains(got, "é … é") {
		t.Errorf("%d characters: %s", n, got)
	}
}

func TestALinkIsToldOnceItLeadsSomewhere(t *testing.T) {
	c, client, p := made(t)
	c.LimitBuilds(1)
	for i := range 2 {
		if _, err := client.Start(t.Context(), p.Order(fmt.Sprint(i), false)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := client.Builds(t.Context(), p.Name)
	if err != nil || len(all) != 2 {
		t.Fatalf("builds %v, %v", all, err)
	}
	if waits, runs := all[0], all[1]; waits.LogURL != "" || !strings.HasPrefix(runs.LogURL, "https://") || !strings.Contains(runs.LogURL, runs.ID[strings.LastIndexByte(runs.ID, ':')+1:]) {
		t.Errorf("links %q and %q", waits.LogURL, runs.LogURL)
	}
}

func TestOnlyVariablesInPlainTextSayWhoseABuildIs(t *testing.T) {
	secret := types.EnvironmentVariable{Name: aws.String("ROLEKEEPER_BUILD"), Value: aws.String("x"), Type: types.EnvironmentVariableTypeSecretsManager}
	plain := types.EnvironmentVariable{Name: aws.String("ROLEKEEPER_REQUEST"), Value: aws.String("y")}
	b := refresh(t, types.Build{Environment: &types.ProjectEnvironment{EnvironmentVariables: []types.EnvironmentVariable{secret, plain}}})
	if b.Identity != "" || b.Request != "y" {
		t.Errorf("build %+v", b)
	}
}

func FuzzFailure(f *testing.F) {
	f.Add("FAILED", "BUILD", "FAILED", "CODE", "message")
	f.Add("TIMED_OUT", "", "TIMED_OUT", "", "\x00\n")
	f.Fuzz(func(t *testing.T, status, kind, phaseStatus, code, message string) {
		b := refresh(t, types.Build{
			BuildStatus: types.StatusType(status), BuildComplete: true, StartTime: aws.Time(time.Unix(0, 0)),
			Phases: []types.BuildPhase{phase(types.BuildPhaseType(kind), types.StatusType(phaseStatus), code, message)},
		})
		// kind and status are CodeBuild's own; what a build writes is in the context
		if room := len([]rune(kind)) + len([]rune(status)) + 410; len([]rune(b.Message)) > room {
			t.Errorf("%d characters", len([]rune(b.Message)))
		}
		if rest := strings.TrimPrefix(b.Message, kind); strings.ContainsAny(rest, "\n\r\x1b\x00") && !strings.ContainsAny(status, "\n\r\x1b\x00") {
			t.Errorf("message %q", b.Message)
		}
	})
}

// listing is a CodeBuild of which the listing or the projects are changed.
type listing struct {
	buildproject.ReadAPI
	list   func(*codebuild.ListProjectsOutput)
	change func(*codebuild.BatchGetProjectsOutput)
}

func (l listing) ListProjects(ctx context.Context, in *codebuild.ListProjectsInput, _ ...func(*codebuild.Options)) (*codebuild.ListProjectsOutput, error) {
	out, err := l.ReadAPI.ListProjects(ctx, in)
	if l.list != nil {
		l.list(out)
	}
	return out, err
}

func (l listing) BatchGetProjects(ctx context.Context, in *codebuild.BatchGetProjectsInput, _ ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error) {
	out, err := l.ReadAPI.BatchGetProjects(ctx, in)
	if l.change != nil {
		l.change(out)
	}
	return out, err
}

func TestTheRolesOfAllProjectsAreFound(t *testing.T) {
	c, client, p := made(t)
	want := []model.Use{{Role: p.ServiceRole, ARN: p.ARN, Kind: "project"}}
	for i := range 100 { // with the first they need two pages and two batches
		other := desired(fmt.Sprintf("other-%03d", i))
		if _, err := client.Create(t.Context(), other, "nonce"); err != nil {
			t.Fatal(err)
		}
		want = append(want, model.Use{Role: other.ServiceRole, ARN: other.ARN, Kind: "project"})
	}
	c.ForgetCalls()
	check := func(reader *buildproject.Reader, want []model.Use) {
		t.Helper()
		got, err := reader.Uses(t.Context())
		slices.SortFunc(got, func(a, b model.Use) int { return strings.Compare(a.ARN+a.Role, b.ARN+b.Role) })
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	check(client.Reader, want)
	calls := len(c.Calls())
	if calls != 4 {
		t.Errorf("%d calls: %v", calls, c.Calls())
	}
	for n := range calls {
		c.ForgetCalls()
		c.Before = func(call awsfake.Call) error {
			if call.N == n+1 {
				return awsfake.APIError("ThrottlingException", "slow down")
			}
			return nil
		}
		if got, err := client.Uses(t.Context()); got != nil || fault.Of(err) != fault.Retry {
			t.Errorf("call %d fails: %d uses, %v", n+1, len(got), err)
		}
	}
	c.Before = nil

	first := func(change func(*types.Project)) *buildproject.Reader {
		return buildproject.NewReader(listing{ReadAPI: c.CodeBuild("t"), change: func(out *codebuild.BatchGetProjectsOutput) {
			for i := range out.Projects {
				if *out.Projects[i].Name == p.Name {
					change(&out.Projects[i])
				}
			}
		}})
	}
	check(first(func(p *types.Project) { p.ServiceRole = nil }), want[1:])
	check(first(func(p *types.Project) {
		p.ResourceAccessRole, p.BuildBatchConfig = aws.String("arn:of-readers"), &types.ProjectBuildBatchConfig{ServiceRole: aws.String("arn:of-batches")}
	}), slices.Concat([]model.Use{want[0], {Role: "arn:of-batches", ARN: p.ARN, Kind: "project"}, {Role: "arn:of-readers", ARN: p.ARN, Kind: "project"}}, want[1:]))
	check(first(func(project *types.Project) {
		project.ResourceAccessRole, project.BuildBatchConfig = project.ServiceRole, &types.ProjectBuildBatchConfig{}
	}), want)
	if got, err := first(func(p *types.Project) { p.Arn = nil }).Uses(t.Context()); got != nil || err == nil {
		t.Errorf("a project without ARN: %v, %v", got, err)
	}

	for name, token := range map[string]string{"itself": "other-097", "an end": ""} {
		pages := 0
		got, err := buildproject.NewReader(listing{ReadAPI: c.CodeBuild("t"), list: func(out *codebuild.ListProjectsOutput) {
			if pages++; pages > 3 {
				t.Fatal("it goes on")
			}
			out.NextToken = &token
		}}).Uses(t.Context())
		if (err != nil) != (token != "") || (got == nil) != (token != "") {
			t.Errorf("a page that leads to %s: %d uses, %v", name, len(got), err)
		}
	}
	gone := buildproject.NewReader(listing{ReadAPI: c.CodeBuild("t"), list: func(out *codebuild.ListProjectsOutput) {
		out.Projects = append(out.Projects, fmt.Sprintf("gone-%d", len(out.Projects)))
	}})
	check(gone, want)
}
