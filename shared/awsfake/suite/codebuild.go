package suite

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// CodeBuild is what is called of CodeBuild by the adapter, and by the people
// whose doings tests play.
type CodeBuild interface {
	buildproject.API
	StopBuild(context.Context, *codebuild.StopBuildInput, ...func(*codebuild.Options)) (*codebuild.StopBuildOutput, error)
}

// Buildspecs of which the name says what becomes of the build.
const (
	goesOn   = "version: 0.2\nphases: {build: {commands: [sleep 600]}}\n"
	succeeds = "version: 0.2\nphases: {build: {commands: ['true']}}\n"
	fails    = "version: 0.2\nphases: {build: {commands: [exit 3]}}\n"
)

func (b *Backend) trustOf(project string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole",` +
		`"Condition":{"StringEquals":{"aws:SourceAccount":"` + b.Account + `"},"ArnEquals":{"aws:SourceArn":"` + b.projectARN(project) + `"}}}]}`
}

func (b *Backend) projectARN(name string) string {
	return "arn:aws:codebuild:" + b.Region + ":" + b.Account + ":project/" + name
}

// wantedProject gives a project that could be made: there are its role and the
// version of its source.
func (b *Backend) wantedProject(t T, buildspec string) (p model.Project, version string) {
	t.Helper()
	name, role := b.fresh("project"), b.fresh("role")
	must(b.IAM.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: aws.String(b.trustOf(name))}))(t)
	var source bytes.Buffer
	z := zip.NewWriter(&source)
	must(must(z.Create("file"))(t).Write([]byte(name)))(t)
	wantNil(t, "close the archive", z.Close())
	key := name + "/source.zip"
	put := must(b.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.Bucket, Key: &key, Body: bytes.NewReader(source.Bytes())}))(t)
	return model.Project{
		Agent: "agent", Name: name, ARN: b.projectARN(name), ProjectSettings: model.ProjectSettings{
			Description: "for the suite", ServiceRole: "arn:aws:iam::" + b.Account + ":role/" + role, SourceType: "S3", Source: b.Bucket + "/" + key, Buildspec: buildspec,
			Artifacts: "NO_ARTIFACTS", EnvironmentType: "ARM_CONTAINER", Image: "aws/codebuild/amazonlinux-aarch64-standard:4.0", ComputeType: "BUILD_GENERAL1_MEDIUM",
			Privileged: true, Environment: map[string]string{"REGISTRY": "registry"}, LogGroup: naming.LogGroup(name), TimeoutMinutes: 60, QueuedTimeoutMinutes: 480,
		},
		LogRetentionDays: 30, Tags: map[string]string{"team": "a"},
	}, *put.VersionId
}

func (b *Backend) makeProject(t T, buildspec string) (p model.Project, version string) {
	t.Helper()
	p, version = b.wantedProject(t, buildspec)
	must(buildproject.New(b.CodeBuild).Create(t.Context(), p, "nonce"))(t)
	return p, version
}

func (b *Backend) readProject(t T, name string) model.ObservedProject {
	t.Helper()
	all := must(buildproject.NewReader(b.CodeBuild).Read(t.Context(), []string{name}))(t)
	if _, there := all[name]; !there {
		t.Fatalf("there is no project %s", name)
	}
	return all[name]
}

func (b *Backend) build(t T, id string) types.Build {
	t.Helper()
	out := must(b.CodeBuild.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{id}}))(t)
	if len(out.Builds) != 1 {
		t.Fatalf("%d builds %s", len(out.Builds), id)
	}
	return out.Builds[0]
}

func (b *Backend) stop(t T, id string) {
	t.Helper()
	must(b.CodeBuild.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: &id}))(t)
}

// started starts a build, outside the time in which there is no room for any.
func (b *Backend) started(t T, in *codebuild.StartBuildInput) (id string) {
	t.Helper()
	b.room.RLock()
	defer b.room.RUnlock()
	return *must(b.CodeBuild.StartBuild(t.Context(), in))(t).Build.Id
}

func (b *Backend) ordered(t T, o model.BuildOrder) model.Build {
	t.Helper()
	b.room.RLock()
	defer b.room.RUnlock()
	return must(buildproject.New(b.CodeBuild).Start(t.Context(), o))(t)
}

func (b *Backend) refreshed(t T, id string) model.Build {
	t.Helper()
	all := must(buildproject.NewReader(b.CodeBuild).Refresh(t.Context(), []string{id}))(t)
	if len(all) != 1 {
		t.Fatalf("%d builds %s", len(all), id)
	}
	return all[0]
}

func projectCases() []testCase {
	return []testCase{
		{"a project's name is taken once", func(t T, b *Backend) {
			p, _ := b.makeProject(t, succeeds)
			_, err := b.CodeBuild.CreateProject(t.Context(), createInput(p))
			wantCode(t, "create", err, "ResourceAlreadyExistsException")
			must(b.CodeBuild.DeleteProject(t.Context(), &codebuild.DeleteProjectInput{Name: &p.Name}))(t)
			must(b.CodeBuild.CreateProject(t.Context(), createInput(p)))(t)
		}},
		{"a batch tells which projects and builds there are not", func(t T, b *Backend) {
			p, _ := b.makeProject(t, succeeds)
			missing := b.fresh("project")
			out := must(b.CodeBuild.BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{missing, p.Name}}))(t)
			if len(out.Projects) != 1 || *out.Projects[0].Name != p.Name || !slices.Equal(out.ProjectsNotFound, []string{missing}) {
				t.Errorf("projects %v, not found %q", out.Projects, out.ProjectsNotFound)
			}
			id := missing + ":8745a7a9-c340-456a-9166-edf953571bef"
			builds := must(b.CodeBuild.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{id}}))(t)
			if len(builds.Builds) != 0 || !slices.Equal(builds.BuildsNotFound, []string{id}) {
				t.Errorf("builds %v, not found %q", builds.Builds, builds.BuildsNotFound)
			}
		}},
		{"a project that there is not is not updated, built or listed", func(t T, b *Backend) {
			name := b.fresh("project")
			_, err := b.CodeBuild.UpdateProject(t.Context(), &codebuild.UpdateProjectInput{Name: &name})
			wantCode(t, "update", err, "ResourceNotFoundException")
			_, err = b.CodeBuild.StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: &name})
			wantCode(t, "start", err, "ResourceNotFoundException")
			_, err = b.CodeBuild.ListBuildsForProject(t.Context(), &codebuild.ListBuildsForProjectInput{ProjectName: &name})
			wantCode(t, "list", err, "ResourceNotFoundException")
		}},
		{"a project keeps what an update leaves out, but not its tags", func(t T, b *Backend) {
			p, _ := b.makeProject(t, succeeds)
			must(b.CodeBuild.UpdateProject(t.Context(), &codebuild.UpdateProjectInput{Name: &p.Name, Description: aws.String("other")}))(t)
			want := p.ProjectSettings
			want.Description = "other"
			if o := b.readProject(t, p.Name); !o.Same(want) || len(o.Tags) != 0 {
				t.Errorf("project %+v", o)
			}
		}},
		{"a project that cannot be is refused", func(t T, b *Backend) {
			for what, change := range map[string]func(*codebuild.CreateProjectInput){
				"a name with a dot":         func(in *codebuild.CreateProjectInput) { in.Name = aws.String(*in.Name + ".x") },
				"a name of one character":   func(in *codebuild.CreateProjectInput) { in.Name = aws.String("x") },
				"a name of 151":             func(in *codebuild.CreateProjectInput) { in.Name = aws.String(strings.Repeat("x", 151)) },
				"a description of 256":      func(in *codebuild.CreateProjectInput) { in.Description = aws.String(strings.Repeat("x", 256)) },
				"a timeout of 4 minutes":    func(in *codebuild.CreateProjectInput) { in.TimeoutInMinutes = aws.Int32(4) },
				"a timeout of 2161 minutes": func(in *codebuild.CreateProjectInput) { in.TimeoutInMinutes = aws.Int32(2161) },
				"481 minutes in the queue":  func(in *codebuild.CreateProjectInput) { in.QueuedTimeoutInMinutes = aws.Int32(481) },
				"a source without key":      func(in *codebuild.CreateProjectInput) { in.Source.Location = aws.String("bucket") },
				"a tag of AWS": func(in *codebuild.CreateProjectInput) {
					in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("x")}}
				},
				"a tag of 128 characters": func(in *codebuild.CreateProjectInput) {
					in.Tags = []types.Tag{{Key: aws.String(strings.Repeat("x", 128)), Value: aws.String("x")}}
				},
				"a role of another account": func(in *codebuild.CreateProjectInput) {
					in.ServiceRole = aws.String(strings.Replace(*in.ServiceRole, b.Account, "999999999999", 1))
				},
				"a computer that is not one": func(in *codebuild.CreateProjectInput) { in.Environment.ComputeType = "BUILD_GENERAL9_HUGE" },
			} {
				p, _ := b.wantedProject(t, succeeds)
				in := createInput(p)
				change(in)
				_, err := b.CodeBuild.CreateProject(t.Context(), in)
				wantCode(t, what, err, "InvalidInputException", "ValidationException")
			}
		}},
		{"a role that does not trust the project is not assumed", func(t T, b *Backend) {
			p, version := b.wantedProject(t, succeeds)
			name := p.ServiceRole[strings.LastIndexByte(p.ServiceRole, '/')+1:]
			trust := func(document string) {
				must(b.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &document}))(t)
			}
			client := buildproject.New(b.CodeBuild)
			trust(b.trustOf(p.Name + "-other"))
			_, err := client.Create(t.Context(), p, "nonce")
			wantCode(t, "create", err, "InvalidInputException")
			wantFault(t, "create", err, fault.Retry, nil)
			trust(b.trustOf(p.Name))
			must(client.Create(t.Context(), p, "nonce"))(t)
			trust(otherTrust)
			wantNil(t, "update", client.Update(t.Context(), p)) // a service that is trusted without conditions
			trust(strings.Replace(otherTrust, "codebuild", "ecs-tasks", 1))
			wantFault(t, "update", client.Update(t.Context(), p), fault.Retry, nil)
			_, err = client.Start(t.Context(), p.Order(version, false))
			wantFault(t, "start", err, fault.Retry, nil)
		}},
		{"buildproject reads what it wrote", func(t T, b *Backend) {
			p, _ := b.wantedProject(t, succeeds)
			client := buildproject.New(b.CodeBuild)
			created := must(client.Create(t.Context(), p, "nonce-1"))(t)
			o := b.readProject(t, p.Name)
			if o.Name != p.Name || o.ARN != p.ARN || created.IsZero() || !o.Created.Equal(created) || !o.Same(p.ProjectSettings) || len(o.Extras) != 0 ||
				!maps.Equal(o.Tags, map[string]string{"team": "a", model.TagCreation: "nonce-1"}) {
				t.Errorf("read %+v of %+v, created %s", o, p, created)
			}
			p.Description, p.Buildspec, p.Privileged, p.TimeoutMinutes = "", fails, false, 5
			p.Environment, p.Tags = map[string]string{"OTHER": "é $x `y`\n\"z\""}, map[string]string{"k": "v"}
			wantNil(t, "update", client.Update(t.Context(), p))
			if o := b.readProject(t, p.Name); !o.Same(p.ProjectSettings) || !maps.Equal(o.Tags, p.Tags) || !o.Created.Equal(created) {
				t.Errorf("read %+v of %+v", o, p)
			}
		}},
		{"buildproject says what CodeBuild's refusals mean", func(t T, b *Backend) {
			p, version := b.wantedProject(t, succeeds)
			client := buildproject.New(b.CodeBuild)
			if all, err := client.Read(t.Context(), []string{p.Name}); err != nil || len(all) != 0 {
				t.Errorf("read %v, %v", all, err)
			}
			wantFault(t, "update of a missing project", client.Update(t.Context(), p), fault.Retry, nil)
			_, err := client.Start(t.Context(), p.Order(version, false))
			wantFault(t, "build of a missing project", err, fault.Retry, nil)
			_, err = client.Builds(t.Context(), p.Name)
			wantFault(t, "builds of a missing project", err, fault.Retry, nil)
			must(client.Create(t.Context(), p, "nonce"))(t)
			_, err = client.Create(t.Context(), p, "nonce")
			wantFault(t, "a name that is taken", err, fault.Retry, fault.ErrExists)
			p.Source = "bucket"
			wantFault(t, "a source that cannot be", client.Update(t.Context(), p), fault.Unknown, nil)
		}},
	}
}

// createInput gives what makes a project, with tags.
func createInput(p model.Project) *codebuild.CreateProjectInput {
	return &codebuild.CreateProjectInput{
		Name: &p.Name, ServiceRole: &p.ServiceRole, Artifacts: &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Source: &types.ProjectSource{Type: types.SourceTypeS3, Location: &p.Source, Buildspec: &p.Buildspec},
		Environment: &types.ProjectEnvironment{
			Type: types.EnvironmentTypeArmContainer, ComputeType: types.ComputeTypeBuildGeneral1Medium, Image: &p.Image,
		},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
	}
}

func buildCases() []testCase {
	const window = 5 * time.Minute
	return []testCase{
		{"a build that is asked for again is not started again", func(t T, b *Backend) {
			p, version := b.makeProject(t, goesOn)
			in := &codebuild.StartBuildInput{ProjectName: &p.Name, SourceVersion: &version, IdempotencyToken: aws.String(p.Name)}
			first := b.started(t, in)
			if again := b.started(t, in); again != first {
				t.Errorf("again it is %s, not %s", again, first)
			}
			b.stop(t, first)
			if again := b.started(t, in); again != first {
				t.Errorf("after its end it is %s, not %s", again, first)
			}
			other := *in
			other.SourceVersion = aws.String("other")
			_, err := b.CodeBuild.StartBuild(t.Context(), &other)
			wantCode(t, "another build with the same token", err, "InvalidInputException") // "a parameter mismatch error", says the API reference
			b.Pass(window + time.Minute)
			later := b.started(t, in)
			if later == first {
				t.Errorf("later it is still %s", later)
			}
			b.stop(t, later)
			other.IdempotencyToken = nil
			for range 2 {
				id := b.started(t, &other)
				if id == first || id == later {
					t.Errorf("without a token it is %s", id)
				}
				later = id
				b.stop(t, id)
			}
		}},
		{"a build has its project's variables and its own", func(t T, b *Backend) {
			p, version := b.makeProject(t, goesOn)
			id := b.started(t, &codebuild.StartBuildInput{ProjectName: &p.Name, SourceVersion: &version, EnvironmentVariablesOverride: []types.EnvironmentVariable{
				{Name: aws.String("REGISTRY"), Value: aws.String("other"), Type: types.EnvironmentVariableTypePlaintext},
				{Name: aws.String("MORE"), Value: aws.String(""), Type: types.EnvironmentVariableTypePlaintext},
			}})
			defer b.stop(t, id)
			got := map[string]string{}
			for _, v := range b.build(t, id).Environment.EnvironmentVariables {
				got[*v.Name] = *v.Value
			}
			if !maps.Equal(got, map[string]string{"REGISTRY": "other", "MORE": ""}) {
				t.Errorf("variables %v", got)
			}
			if o := b.readProject(t, p.Name); !o.Same(p.ProjectSettings) {
				t.Errorf("the project is %+v", o)
			}
		}},
		{"a build is known from its start to its end", func(t T, b *Backend) {
			p, version := b.makeProject(t, succeeds)
			o := p.Order(version, true)
			o.Request = "request-1"
			first := b.ordered(t, o)
			if first.State != model.BuildInProgress || first.Project != p.Name || !strings.HasPrefix(first.ID, p.Name+":") || !o.Made(first) ||
				first.SourceVersion != version || first.Started.IsZero() || first.Message != "" {
				t.Errorf("started %+v", first)
			}
			b.EndBuild(t, first.ID, "")
			last := b.refreshed(t, first.ID)
			if last.State != model.BuildSucceeded || !o.Made(last) || last.Message != "" || !strings.Contains(last.LogURL, last.ID[len(p.Name)+1:]) || !last.Started.Equal(first.Started) {
				t.Errorf("at the end %+v", last)
			}
			raw := b.build(t, first.ID)
			if !raw.BuildComplete || aws.ToString(raw.CurrentPhase) != "COMPLETED" || len(raw.Phases) != 11 || aws.ToInt64(raw.BuildNumber) != 1 {
				t.Errorf("build %+v", raw)
			}
		}},
		{"a build that fails tells where and why", func(t T, b *Backend) {
			const message = "COMMAND_EXECUTION_ERROR: Error while executing command: exit 3. Reason: exit status 3"
			p, version := b.makeProject(t, fails)
			id := b.ordered(t, p.Order(version, false)).ID
			b.EndBuild(t, id, message)
			if last := b.refreshed(t, id); last.State != model.BuildFailed || last.Message != "BUILD: "+message {
				t.Errorf("build %+v", last)
			}
		}},
		{"a build can be stopped once", func(t T, b *Backend) {
			p, version := b.makeProject(t, goesOn)
			id := b.ordered(t, p.Order(version, false)).ID
			for range 2 {
				b.stop(t, id)
			}
			if last := b.refreshed(t, id); last.State != model.BuildStopped || !strings.HasSuffix(last.Message, ": STOPPED") {
				t.Errorf("build %+v", last)
			}
			_, err := b.CodeBuild.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: aws.String(p.Name + ":none")})
			wantCode(t, "stop of a missing build", err, "ResourceNotFoundException")
		}},
		{"builds of a project are listed newest first", func(t T, b *Backend) {
			p, version := b.makeProject(t, goesOn)
			client := buildproject.New(b.CodeBuild)
			if all, err := client.Builds(t.Context(), p.Name); err != nil || len(all) != 0 {
				t.Errorf("before: %v, %v", all, err)
			}
			var want []string
			for i := range 3 {
				o := p.Order(version, false)
				o.Request = fmt.Sprint(i)
				id := b.ordered(t, o).ID
				b.stop(t, id)
				want = append([]string{id}, want...)
			}
			var got []string
			for _, one := range must(client.Builds(t.Context(), p.Name))(t) {
				got = append(got, one.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("builds %q, want %q", got, want)
			}
		}},
		{"an account without room for builds starts none", func(t T, b *Backend) {
			p, version := b.makeProject(t, succeeds)
			o := p.Order(version, false)
			b.room.Lock()
			b.LimitBuilds(0)
			_, err := buildproject.New(b.CodeBuild).Start(t.Context(), o)
			b.LimitBuilds(1000)
			b.room.Unlock()
			wantCode(t, "start", err, "AccountLimitExceededException")
			wantFault(t, "start", err, fault.Retry, fault.ErrLimit)
			b.EndBuild(t, b.ordered(t, o).ID, "") // the token was not used up
		}},
	}
}
