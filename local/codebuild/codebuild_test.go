package codebuild_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	awscodebuild "github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local"
	"rolekeeper/local/localtest"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/agent"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	bucket  = "bedrock-agentcore-codebuild-sources-" + account + "-" + region
)

// limit is of builds at the same time, until a test sets another.
const limit = 4

// world is a local AWS with a bucket for sources.
type world struct {
	*local.AWS
	s3       *s3.Client
	iam      *iam.Client
	ecr      *ecr.Client
	api      *awscodebuild.Client
	projects *buildproject.Client
}

func TestBuilds(t *testing.T) {
	a := localtest.Start(t, local.Options{TimeScale: 0.01, BuildLimit: limit})
	w := world{
		AWS: a, s3: s3.NewFromConfig(a.Config("developer"), func(o *s3.Options) { o.UsePathStyle = true }), iam: iam.NewFromConfig(a.Config("t")),
		ecr: ecr.NewFromConfig(a.Config("t")), api: awscodebuild.NewFromConfig(a.Config("t")),
	}
	w.projects = buildproject.New(w.api)
	must(t, w.do(w.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})))
	must(t, w.do(w.s3.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: aws.String(bucket), VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled},
	})))
	t.Run("an image is made of a source", w.testImage)
	t.Run("images that fail", w.testFailures)
	t.Run("commands", w.testCommands)
	t.Run("environment", w.testEnvironment)
	t.Run("sources", w.testSources)
	t.Run("a build is stopped", w.testStop)
	t.Run("a build runs out of time", w.testTimeout)
	t.Run("a build that CodeBuild fails to run", w.testFault)
	t.Run("more builds than there is room for", w.testRoom)
	t.Run("many builds under a limit", w.testLimit)
	t.Run("the log over HTTP", w.testLog)
	t.Run("a role that CodeBuild cannot assume", w.testRole)
	for _, err := range a.Errors() {
		t.Error(err)
	}
}

func (w world) do(_ any, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// container gives what is desired of a container agent.
func container(t *testing.T, name string) desired.Agent {
	t.Helper()
	env := desired.Env{
		Place: agent.Place{Partition: "aws", Region: region, Account: account}, Profile: desired.Scoped, SourceBucket: bucket, ConfigKey: "configs/a.yaml",
		PermissionsBoundary: "arn:aws:iam::" + account + ":policy/boundary", BuildImage: "aws/codebuild/amazonlinux-aarch64-standard:4.0", LogRetentionDays: 30,
	}
	s, problems := desired.Compute(agent.Config{Agents: []agent.Agent{{Name: name, Deployment: agent.Container}}}, env)
	if fault.Blocks(problems) || len(s.Agents) != 1 {
		t.Fatalf("%v", problems)
	}
	return s.Agents[0]
}

// make makes role and project of an agent, whose buildspec is another when one
// is given.
func (w world) make(t *testing.T, name, buildspec string) model.Project {
	t.Helper()
	a := container(t, name)
	must(t, w.do(w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: &a.BuildRole.Name, AssumeRolePolicyDocument: aws.String(a.BuildRole.Trust.JSON()),
	})))
	if buildspec != "" {
		a.Project.Buildspec = buildspec
	}
	_, err := w.projects.Create(t.Context(), *a.Project, "nonce")
	must(t, err)
	return *a.Project
}

// archive makes a zip of files: names and texts by turns.
func archive(t *testing.T, files ...string) string {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for f := range slices.Chunk(files, 2) {
		part, err := z.Create(f[0])
		must(t, err)
		_, err = part.Write([]byte(f[1]))
		must(t, err)
	}
	must(t, z.Close())
	return out.String()
}

func (w world) upload(t *testing.T, p model.Project, body string) (version string) {
	t.Helper()
	key := strings.TrimPrefix(p.Source, bucket+"/")
	out, err := w.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)})
	must(t, err)
	return *out.VersionId
}

// built starts a build and gives it as it ends.
func (w world) built(t *testing.T, p model.Project, version string) model.Build {
	t.Helper()
	b, err := w.projects.Start(t.Context(), p.Order(version, true))
	must(t, err)
	return w.ended(t, b.ID)
}

func (w world) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	must(t, w.WaitIdle(ctx))
}

func (w world) ended(t *testing.T, id string) model.Build {
	t.Helper()
	w.settle(t)
	all, err := w.projects.Refresh(t.Context(), []string{id})
	must(t, err)
	if len(all) != 1 || !all[0].State.Ended() {
		t.Fatalf("builds %+v", all)
	}
	return all[0]
}

func (w world) repository(t *testing.T, name string) {
	t.Helper()
	must(t, w.do(w.ecr.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name})))
}

func (w world) digest(t *testing.T, repository, tag string) string {
	t.Helper()
	out, err := w.ecr.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{
		RepositoryName: &repository, ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: &tag}},
	})
	must(t, err)
	if len(out.Images) != 1 {
		return ""
	}
	return *out.Images[0].ImageId.ImageDigest
}

func (w world) testImage(t *testing.T) {
	p := w.make(t, "image", "")
	w.repository(t, "bedrock-agentcore-image")
	before := len(w.Events())
	first := w.upload(t, p, archive(t, "Dockerfile", "FROM scratch\n", "app/main.py", "print()\n"))
	second := w.upload(t, p, archive(t, "Dockerfile", "FROM scratch\n", "app/main.py", "print(2)\n"))
	began := time.Now()
	b := w.built(t, p, first)
	t.Logf("built in %s", time.Since(began).Round(time.Millisecond))
	if b.State != model.BuildSucceeded || b.Message != "" || b.SourceVersion != first || !p.Order(first, true).Made(b) {
		t.Fatalf("build %+v\n%s", b, strings.Join(w.Logs("codebuild/"+p.Name), "\n"))
	}
	one := w.digest(t, "bedrock-agentcore-image", model.ImageTag(first))
	if one == "" || w.digest(t, "bedrock-agentcore-image", "latest") != one {
		t.Errorf("digest %q, latest %q", one, w.digest(t, "bedrock-agentcore-image", "latest"))
	}
	if b := w.built(t, p, second); b.State != model.BuildSucceeded {
		t.Fatalf("build %+v\n%s", b, strings.Join(w.Logs("codebuild/"+p.Name), "\n"))
	}
	two := w.digest(t, "bedrock-agentcore-image", model.ImageTag(second))
	if two == one || two == "" || w.digest(t, "bedrock-agentcore-image", "latest") != two || w.digest(t, "bedrock-agentcore-image", model.ImageTag(first)) != one {
		t.Errorf("digests %q, then %q, latest %q", one, two, w.digest(t, "bedrock-agentcore-image", "latest"))
	}

	var states []string
	for _, e := range w.Events()[before:] {
		data, err := json.Marshal(e)
		must(t, err)
		var build events.CodeBuildEvent
		must(t, json.Unmarshal(data, &build))
		if e.Source != events.CodeBuildEventSource || e.DetailType != events.CodeBuildStateChangeDetailType || build.Detail.ProjectName != p.Name {
			t.Errorf("event %s", data)
		}
		states = append(states, string(build.Detail.BuildStatus))
	}
	if diff := cmp.Diff([]string{"IN_PROGRESS", "SUCCEEDED", "IN_PROGRESS", "SUCCEEDED"}, states); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}

	var calls []string
	for _, c := range w.Calls(proxy.Filter{Caller: "codebuild/" + p.Name}) {
		calls = append(calls, c.Service+":"+c.Operation+" "+c.Resource)
		if c.Operation == "GetObject" && !strings.Contains(c.Request.Query, "versionId=") {
			t.Errorf("source of any version: %+v", c)
		}
	}
	get := []string{"s3:GetObject " + p.Source, "ecr:GetAuthorizationToken ", "ecr:PutImage bedrock-agentcore-image", "ecr:PutImage bedrock-agentcore-image"}
	if diff := cmp.Diff(slices.Concat(get, get), calls); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	if starts := w.Calls(proxy.Filter{Caller: "t", Service: "codebuild", Operation: "StartBuild", Resource: p.Name}); len(starts) != 2 {
		t.Errorf("%d calls of StartBuild", len(starts))
	}
}

func (w world) testFailures(t *testing.T) {
	p := w.make(t, "failing", "")
	for name, c := range map[string]struct {
		dockerfile string
		message    string
		says       string
	}{
		"no Dockerfile": {"", "PRE_BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: [ -f Dockerfile ]", "there is no file Dockerfile"},
		"a Dockerfile that fails": {
			"FROM scratch\nRUN false\n",
			`BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: docker build --platform linux/arm64 --tag "$REPOSITORY_URI:$IMAGE_TAG" .. Reason: exit status 1`,
			`process "/bin/sh -c false" did not complete successfully`,
		},
		"no repository": {"FROM scratch\n", "POST_BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: ", "PutImage"},
	} {
		t.Run(name, func(t *testing.T) {
			files := []string{"README.md", name}
			if c.dockerfile != "" {
				files = append(files, "Dockerfile", c.dockerfile)
			}
			b := w.built(t, p, w.upload(t, p, archive(t, files...)))
			log := strings.Join(w.Logs("codebuild/"+p.Name), "\n")
			if b.State != model.BuildFailed || !strings.HasPrefix(b.Message, c.message) || !strings.Contains(log, c.says) {
				t.Errorf("build %+v\n%s", b, log)
			}
		})
	}
}

func (w world) testCommands(t *testing.T) {
	n := 0
	for name, c := range map[string]struct {
		phases string // of the buildspec
		says   []string
		failed string // phases
	}{
		"exported variables and directories go on": {
			"install: {commands: [export A=\"one two\", mkdir d && cd d]}, build: {commands: ['echo \"$A in $(basename \"$(/bin/pwd -P)\")\"']}", []string{"one two in d"}, "",
		},
		"a phase ends where it fails":  {"pre_build: {commands: [exit 3, echo more]}, build: {commands: [echo build]}", nil, "PRE_BUILD"},
		"what is done finally is done": {"pre_build: {commands: [exit 3], finally: [echo final]}, build: {commands: [echo build]}", []string{"final"}, "PRE_BUILD"},
		"install fails":                {"install: {commands: ['false']}, pre_build: {commands: [echo pre]}", nil, "INSTALL"},
		"after a build that fails something is done": {
			"build: {commands: ['echo $CODEBUILD_BUILD_SUCCEEDING; exit 1']}, post_build: {commands: ['echo $CODEBUILD_BUILD_SUCCEEDING']}", []string{"1", "0"}, "BUILD",
		},
		"and may fail as well":        {"build: {commands: ['false']}, post_build: {commands: ['false']}", nil, "BUILD POST_BUILD"},
		"a program that there is not": {"build: {commands: [docker frobnicate]}", []string{"the local AWS does not do docker frobnicate"}, "BUILD"},
		"an option that there is not": {"build: {commands: [docker build --squash .]}", []string{"the local AWS does not do docker's option --squash"}, "BUILD"},
		"another command of AWS":      {"build: {commands: [aws s3 ls]}", []string{"the local AWS does not do aws s3 ls"}, "BUILD"},
		"a login with another token":  {"build: {commands: ['echo x | docker login --username AWS --password-stdin \"$REGISTRY\"']}", []string{"Error response from daemon: login attempt to https://" + account + ".dkr.ecr.us-east-1.amazonaws.com/v2/ failed with status: 400 Bad Request"}, "BUILD"},
		"a push without login":        {"build: {commands: ['echo \"FROM x\" > Dockerfile', 'docker build -t \"$REPOSITORY_URI:a\" .', 'docker push \"$REPOSITORY_URI:a\"']}", []string{"exporting to image", "no basic auth credentials"}, "BUILD"},
		"a push of nothing":           {"build: {commands: ['docker push r/a:b']}", []string{"An image does not exist locally with the tag: r/a"}, "BUILD"},
		"a tag of nothing":            {"build: {commands: ['docker tag a:b c:d']}", []string{"Error response from daemon: No such image: a:b"}, "BUILD"},
		"arguments as they are":       {"build: {commands: ['docker tag \"a  b\" \"$(printf \"c\\nd\")\"']}", []string{"Error response from daemon: No such image: a  b"}, "BUILD"},
		"no commands":                 {"build: {commands: []}", nil, ""},
	} {
		n++
		t.Run(name, func(t *testing.T) {
			p := w.make(t, fmt.Sprintf("commands%d", n), "version: 0.2\nenv: {shell: bash}\nphases: {"+c.phases+"}\n")
			b := w.built(t, p, w.upload(t, p, archive(t, "file", "text")))
			var said []string
			for _, line := range w.Logs("codebuild/" + p.Name) {
				if !strings.HasPrefix(line, "[Container] ") {
					said = append(said, line)
				}
			}
			if diff := cmp.Diff(c.says, said); diff != "" {
				t.Errorf("said (-want +got)\n%s", diff)
			}
			var failed []string
			for _, p := range w.phases(t, b.ID) {
				if phase, found := strings.CutSuffix(p, " FAILED"); found {
					failed = append(failed, phase)
				}
			}
			if strings.Join(failed, " ") != c.failed || (b.State == model.BuildSucceeded) != (c.failed == "") {
				t.Errorf("%s, failed %q, want %q: %s", b.State, failed, c.failed, b.Message)
			}
		})
	}
}

func (w world) phases(t *testing.T, id string) []string {
	t.Helper()
	out, err := w.api.BatchGetBuilds(t.Context(), &awscodebuild.BatchGetBuildsInput{Ids: []string{id}})
	must(t, err)
	var all []string
	for _, p := range out.Builds[0].Phases {
		all = append(all, fmt.Sprintf("%s %s", p.PhaseType, p.PhaseStatus))
	}
	return all
}

func (w world) testEnvironment(t *testing.T) {
	p := w.make(t, "environment", "version: 0.2\nenv: {variables: {REGISTRY: of the buildspec, OWN: of the buildspec}}\nphases: {build: {commands: [env | sort]}}\n")
	version := w.upload(t, p, archive(t, "file", "text"))
	b := w.built(t, p, version)
	got := map[string]string{}
	for _, line := range w.Logs("codebuild/" + p.Name) {
		if name, value, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "[") {
			got[name] = value
		}
	}
	for name, want := range map[string]string{
		"REGISTRY": account + ".dkr.ecr.us-east-1.amazonaws.com", "OWN": "of the buildspec", "IMAGE_TAG": model.ImageTag(version), "ROLEKEEPER_BUILD": b.Identity,
		"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "CODEBUILD_BUILD_ID": b.ID, "CODEBUILD_BUILD_NUMBER": "1", "CODEBUILD_INITIATOR": "t",
		"CODEBUILD_SOURCE_VERSION": version, "CODEBUILD_SRC_DIR": got["PWD"], "CODEBUILD_BUILD_SUCCEEDING": "1", "CODEBUILD_SOURCE_REPO_URL": p.Source,
		"CODEBUILD_BUILD_ARN": "arn:aws:codebuild:us-east-1:" + account + ":build/" + b.ID, "CODEBUILD_BUILD_IMAGE": p.Image,
	} {
		if got[name] != want || want == "" {
			t.Errorf("%s=%q, want %q", name, got[name], want)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "AWS_") && !strings.HasSuffix(name, "REGION") || name == "ROLEKEEPER_VENV" {
			t.Errorf("%s is of the machine", name)
		}
	}
}

func (w world) testSources(t *testing.T) {
	p := w.make(t, "sources", "version: 0.2\nphases: {build: {commands: [find . -type f | sort]}}\n")
	fails := func(name, version, message string) {
		t.Run(name, func(t *testing.T) {
			b := w.built(t, p, version)
			want := "DOWNLOAD_SOURCE: CLIENT_ERROR: " + message + " for primary source and source version " + version
			if b.State != model.BuildFailed || b.Message != want {
				t.Errorf("build %+v, want %q", b, want)
			}
			if diff := cmp.Diff([]string{
				"SUBMITTED SUCCEEDED", "QUEUED SUCCEEDED", "PROVISIONING SUCCEEDED", "DOWNLOAD_SOURCE FAILED", "FINALIZING SUCCEEDED", "COMPLETED ",
			}, w.phases(t, b.ID)); diff != "" {
				t.Errorf("phases (-want +got)\n%s", diff)
			}
		})
	}
	fails("not a zip", w.upload(t, p, "text"), "zip: not a valid zip file")
	fails("nothing", w.upload(t, p, ""), "zip: not a valid zip file")
	fails("a file above", w.upload(t, p, archive(t, "../evil", "x")), `"../evil" is not a file below the top of the archive`)
	fails("a file elsewhere", w.upload(t, p, archive(t, "/tmp/evil", "x")), `"/tmp/evil" is not a file below the top of the archive`)
	fails("a link", w.upload(t, p, linked(t)), `"link" is not a file below the top of the archive`)
	b := w.built(t, p, w.upload(t, p, archive(t, "a", "x", "d/e/f", "y", "d/", "")))
	if b.State != model.BuildSucceeded {
		t.Errorf("build %+v", b)
	}
	log := w.Logs("codebuild/" + p.Name)
	if i := slices.Index(log, "./a"); i < 0 || log[i+1] != "./d/e/f" {
		t.Errorf("log %q", log)
	}
	t.Run("a buildspec that cannot be read", func(t *testing.T) {
		for i, text := range []string{"phases: [", "version: 0.1\nphases: {build: {}}\n", "version: 0.2\n", "version: 0.2\nphases: {deploy: {}}\n", "version: 0.2\nbatch: {}\nphases: {build: {}}\n", "version: 0.2\nenv: {shell: powershell}\nphases: {build: {}}\n"} {
			p := w.make(t, fmt.Sprintf("buildspec%d", i), text)
			if b := w.built(t, p, w.upload(t, p, archive(t, "a", "x"))); b.State != model.BuildFailed || !strings.HasPrefix(b.Message, "DOWNLOAD_SOURCE: YAML_FILE_ERROR: ") {
				t.Errorf("%q: build %+v", text, b)
			}
		}
	})
}

// linked makes a zip with a symbolic link.
func linked(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	h := &zip.FileHeader{Name: "link"}
	h.SetMode(0o777 | 1<<27) // fs.ModeSymlink
	part, err := z.CreateHeader(h)
	must(t, err)
	_, err = part.Write([]byte("/etc/passwd"))
	must(t, err)
	must(t, z.Close())
	return out.String()
}

// waits gives a build whose command does not end by itself.
func (w world) waits(t *testing.T, name string, change func(*model.Project)) (model.Project, model.Build) {
	t.Helper()
	p := w.make(t, name, "version: 0.2\nphases: {build: {commands: ['sleep 600 & echo pid $!; wait']}}\n")
	change(&p)
	must(t, w.projects.Update(t.Context(), p))
	b, err := w.projects.Start(t.Context(), p.Order(w.upload(t, p, archive(t, "a", "x")), false))
	must(t, err)
	for range 1000 {
		if phases := w.phases(t, b.ID); phases[len(phases)-1] == "BUILD " {
			return p, b
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("phases %q", w.phases(t, b.ID))
	return p, b
}

func (w world) testStop(t *testing.T) {
	p, b := w.waits(t, "stopped", func(*model.Project) {})
	if again, err := w.projects.Refresh(t.Context(), []string{b.ID}); err != nil || again[0].State != model.BuildInProgress || again[0].LogURL == "" {
		t.Errorf("build %+v, %v", again, err)
	}
	began := time.Now()
	must(t, w.do(w.api.StopBuild(t.Context(), &awscodebuild.StopBuildInput{Id: &b.ID})))
	if b := w.ended(t, b.ID); b.State != model.BuildStopped || b.Message != "BUILD: STOPPED" || time.Since(began) > 5*time.Second {
		t.Errorf("build %+v after %s", b, time.Since(began))
	}
	w.gone(t, p.Name)
	if calls := w.Calls(proxy.Filter{Service: "codebuild", Operation: "StopBuild"}); len(calls) != 1 || calls[0].Resource != p.Name {
		t.Errorf("calls %+v", calls)
	}
}

// gone waits until what the command of waits has started is no more.
func (w world) gone(t *testing.T, project string) {
	t.Helper()
	for range 1000 {
		for _, line := range w.Logs("codebuild/" + project) {
			pid, found := strings.CutPrefix(line, "pid ")
			if !found {
				continue
			}
			n, err := strconv.Atoi(pid)
			must(t, err)
			if errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("what the build started still runs: %q", w.Logs("codebuild/"+project))
}

func (w world) testTimeout(t *testing.T) {
	p, b := w.waits(t, "late", func(p *model.Project) { p.TimeoutMinutes = 5 }) // at this scale 3 s
	if b := w.ended(t, b.ID); b.State != model.BuildTimedOut || b.Message != "BUILD: TIMED_OUT" {
		t.Errorf("build %+v", b)
	}
	w.gone(t, p.Name)
}

func (w world) testFault(t *testing.T) {
	p := w.make(t, "fault", "version: 0.2\nphases: {build: {commands: [echo done]}}\n")
	w.CodeBuild().FailBuilds(func(b types.Build) error {
		if *b.ProjectName == p.Name {
			return errors.New("no machine")
		}
		return nil
	})
	version := w.upload(t, p, archive(t, "a", "x"))
	if b := w.built(t, p, version); b.State != model.BuildFault || b.Message != "PROVISIONING: INTERNAL_SERVICE_ERROR: no machine" {
		t.Errorf("build %+v", b)
	}
	w.CodeBuild().FailBuilds(nil)
	order := p.Order(version, false) // another token
	order.Request = "again"
	b, err := w.projects.Start(t.Context(), order)
	must(t, err)
	if b := w.ended(t, b.ID); b.State != model.BuildSucceeded {
		t.Errorf("build %+v", b)
	}
}

func (w world) testRoom(t *testing.T) {
	p := w.make(t, "crowded", "version: 0.2\nphases: {build: {commands: [sleep 600]}}\n")
	version := w.upload(t, p, archive(t, "a", "x"))
	start := func(i int) (model.Build, error) {
		o := p.Order(version, false)
		o.Request = fmt.Sprint(i)
		return w.projects.Start(t.Context(), o)
	}
	var ids []string
	for i := range 6 * limit {
		b, err := start(i)
		must(t, err)
		ids = append(ids, b.ID)
	}
	if _, err := start(6 * limit); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("one more: %v", err)
	}
	waiting := 0
	for _, b := range w.CodeBuild().Builds() {
		if aws.ToString(b.CurrentPhase) == "QUEUED" {
			waiting++
		}
	}
	if waiting != 5*limit || w.CodeBuild().Pending() != 6*limit {
		t.Errorf("%d builds wait of %d", waiting, w.CodeBuild().Pending())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := w.WaitIdle(ctx); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d builds", 6*limit)) {
		t.Errorf("with builds it is idle: %v", err)
	}
	slices.Reverse(ids) // those that wait first
	for _, id := range ids {
		must(t, w.do(w.api.StopBuild(t.Context(), &awscodebuild.StopBuildInput{Id: &id})))
	}
	w.settle(t)
}

func (w world) testLimit(t *testing.T) {
	p := w.make(t, "limited", "version: 0.2\nphases: {build: {commands: [echo done]}}\n")
	version := w.upload(t, p, archive(t, "a", "x"))
	start := func(i int) (model.Build, error) {
		o := p.Order(version, false)
		o.Request = fmt.Sprint(i)
		return w.projects.Start(t.Context(), o)
	}
	w.CodeBuild().LimitBuilds(0)
	defer w.CodeBuild().LimitBuilds(limit)
	if _, err := start(0); !errors.Is(err, fault.ErrLimit) {
		t.Errorf("without room: %v", err)
	}
	w.CodeBuild().LimitBuilds(2)
	began := time.Now()
	started := 0
	for i := range 40 {
		_, err := start(i)
		var api smithy.APIError
		switch {
		case err == nil:
			started++
		case !errors.As(err, &api) || api.ErrorCode() != "AccountLimitExceededException":
			t.Fatal(err)
		}
	}
	w.settle(t)
	t.Logf("%d builds, two at a time, in %s", started, time.Since(began).Round(time.Millisecond))
	if started < 12 {
		t.Errorf("%d builds were started", started)
	}
	all, err := w.projects.Builds(t.Context(), p.Name)
	must(t, err)
	for _, b := range all {
		if b.State != model.BuildSucceeded {
			t.Errorf("build %+v", b)
		}
	}
	if len(all) != started {
		t.Errorf("%d builds, %d were started", len(all), started)
	}
}

func (w world) testLog(t *testing.T) {
	const name = "codebuild/bedrock-agentcore-limited-builder"
	resp, err := http.Get(w.Endpoint() + "/_local/logs/" + name)
	must(t, err)
	defer resp.Body.Close()
	var got []string
	must(t, json.NewDecoder(resp.Body).Decode(&got))
	if want := w.Logs(name); !slices.Equal(got, want) || !slices.Contains(got, "done") {
		t.Errorf("log %q, want %q", got, want)
	}
}

func (w world) testRole(t *testing.T) {
	a := container(t, "role")
	trust := strings.Replace(a.BuildRole.Trust.JSON(), a.Project.Name, "another-project", 1)
	must(t, w.do(w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &a.BuildRole.Name, AssumeRolePolicyDocument: &trust})))
	_, err := w.projects.Create(t.Context(), *a.Project, "nonce")
	if fault.Of(err) != fault.Retry || !strings.Contains(err.Error(), "not authorized to perform: sts:AssumeRole on "+a.Project.ServiceRole) {
		t.Errorf("trust of another project: %v", err)
	}
	must(t, w.do(w.iam.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &a.BuildRole.Name, PolicyDocument: aws.String(a.BuildRole.Trust.JSON())})))
	elsewhere := *a.Project
	elsewhere.ServiceRole = strings.Replace(elsewhere.ServiceRole, ":role/", ":role/path/", 1)
	if _, err := w.projects.Create(t.Context(), elsewhere, "nonce"); fault.Of(err) != fault.Retry {
		t.Errorf("a role of that name on another path: %v", err)
	}
	if _, err := w.projects.Create(t.Context(), *a.Project, "nonce"); err != nil {
		t.Error(err)
	}
	must(t, w.do(w.iam.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: &a.BuildRole.Name})))
	if _, err := w.projects.Start(t.Context(), a.Project.Order("v", false)); fault.Of(err) != fault.Retry {
		t.Errorf("without the role: %v", err)
	}
}
