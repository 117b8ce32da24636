package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

func keyOf(agent string) string { return naming.ConfigPrefix + agent + ".yaml" }

// agents uploads a config for each agent and waits for their roles and projects.
func (s stack) agents(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.upload(keyOf(name), container(name))
	}
	s.idle()
}

// A stack with an operator. Each case has agents of its own.
func TestImages(t *testing.T) {
	s := startWith(t, local.Options{Parameters: map[string]string{"OperatorPrincipalArns": operatorARN}})
	for _, c := range []struct {
		name string
		run  func(stack)
	}{
		{"a config and its source lead to an image", testImage},
		{"a build that fails is told and not repeated", testFailure},
		{"an operator has a build repeated", testRebuild},
		{"a newer source waits for the build that runs", testNewerSource},
		{"a source that is deleted at once is not built", testDeletedSource},
		{"a source that has expired is still what is built again", testExpiredSource},
		{"a source that is no source is told", testNoSource},
		{"what nobody's config is about is done with", testStrangers},
		{"a build that was started by hand is nobody's", testByHand},
		{"a build that CodeBuild has no room for waits", testNoRoom},
		{"every event comes again, the last one first", testReplay},
		{"twenty sources at once", testTwenty},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(s.in(t)) })
	}
	s.wantNothingLost()
	for _, err := range s.Errors() {
		t.Errorf("local AWS: %v", err)
	}
}

func testImage(s stack) {
	const agent = "imaged"
	key, project, repository := keyOf(agent), naming.Project(agent), naming.Repository(agent)
	s.agents(agent)
	got := s.status(key)
	if got.Outcome != status.Ready || got.Agents[0].Build != nil || !strings.Contains(strings.Join(got.Agents[0].Notes, "\n"), "s3://"+sourceBucket+"/"+agent+"/source.zip") {
		s.t.Errorf("without a source: %+v", got)
	}
	if got.Agents[0].Repository != repository || got.Agents[0].Project != project {
		s.t.Errorf("repository %q, project %q", got.Agents[0].Repository, got.Agents[0].Project)
	}
	groups, err := cloudwatchlogs.NewFromConfig(s.Config("admin")).DescribeLogGroups(s.t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{
		LogGroupNamePrefix: aws.String(naming.LogGroup(project)),
	})
	if err != nil || len(groups.LogGroups) != 1 || aws.ToInt32(groups.LogGroups[0].RetentionInDays) != 30 {
		s.t.Errorf("log groups %+v, %v", groups, err)
	}

	version := s.source(agent, works, "1")
	s.idle()
	s.wantBuilt(agent, version)
	s.wantImage(key, agent, version)
	if tagged := s.digest(repository, model.ImageTag(version)); tagged == "" || s.digest(repository, "latest") != tagged {
		s.t.Errorf("the image is %q, latest is %q", tagged, s.digest(repository, "latest"))
	}
	for _, detailType := range []string{"Agent Roles Ready", "Agent Build Started", "Agent Build Succeeded"} {
		if n := s.sent(detailType, key); n != 1 {
			s.t.Errorf("%s was sent %d times", detailType, n)
		}
	}
	log := strings.Join(s.Logs("codebuild/"+project), "\n")
	for _, line := range []string{"Login Succeeded", "Phase complete: BUILD State: SUCCEEDED", model.ImageTag(version) + ": digest: sha256:", "latest: digest: sha256:"} {
		if !strings.Contains(log, line) {
			s.t.Errorf("the log has no %q:\n%s", line, log)
		}
	}

	s.wantUnchanged(key, agent)
}

// wantUnchanged has a config uploaded again, and checks that nothing of its image
// is written, nor a build asked for: CodeBuild would give one that it knows by its
// token for the new one.
func (s stack) wantUnchanged(key, agent string) {
	s.t.Helper()
	s.Proxy().Reset()
	s.upload(key, container(agent)+"# again\n")
	s.idle()
	if writes := s.imageWrites(); len(writes) > 0 {
		s.t.Errorf("an unchanged agent: %v", writes)
	}
}

func testFailure(s stack) {
	const agent = "faulty"
	key := keyOf(agent)
	s.agents(agent)
	good := s.source(agent, works, "1")
	s.idle()
	bad := s.source(agent, fails, "2")
	s.idle()
	b := s.build(key)
	for _, told := range []string{"BUILD", "docker build"} {
		if b.State != model.BuildFailed || b.SourceVersion != bad || !strings.Contains(b.Message, told) || b.LogURL == "" || b.Image != "" {
			s.t.Errorf("%s is not told of: %+v", told, b)
		}
	}
	s.wantCodes(key, "build-failed")
	if n := s.sent("Agent Build Failed", key); n != 1 {
		s.t.Errorf("told %d times", n)
	}
	if !slices.ContainsFunc(s.Logs("codebuild/"+naming.Project(agent)), func(line string) bool { return strings.Contains(line, "failed to solve") }) {
		s.t.Errorf("log: %q", s.Logs("codebuild/"+naming.Project(agent)))
	}
	repository := naming.Repository(agent)
	if latest := s.digest(repository, "latest"); latest == "" || latest != s.digest(repository, model.ImageTag(good)) {
		s.t.Errorf("latest is %q", latest)
	}
	s.wantUnchanged(key, agent)
	s.wantBuilt(agent, good, bad)
	mended := s.source(agent, works, "3")
	s.idle()
	s.wantBuilt(agent, good, bad, mended)
	s.wantImage(key, agent, mended)
}

func testRebuild(s stack) {
	const agent, done, refused = "again", 0, 3
	key := keyOf(agent)
	s.agents(agent)
	rebuild := func(code int) {
		s.t.Helper()
		s.tool("operator", code, "build", key, agent, "--yes", "--wait=false")
		s.idle()
	}
	rebuild(refused) // there is no source
	s.CodeBuild().FailBuilds(func(types.Build) error { return errors.New("no machine") })
	version := s.source(agent, works, "1")
	s.idle()
	s.CodeBuild().FailBuilds(nil)
	s.wantCodes(key, "build-failed")
	if b := s.build(key); b.State != model.BuildFault || !strings.Contains(b.Message, "no machine") {
		s.t.Errorf("build %+v", b)
	}
	rebuild(done)
	s.wantBuilt(agent, version, version)
	s.wantImage(key, agent, version)
	got := s.status(key).Requests
	if len(got) != 1 || got[0].Outcome != status.RequestDone || !strings.Contains(got[0].Message, s.build(key).ID) {
		s.t.Errorf("requests: %+v", got)
	}
	s.wantUnchanged(key, agent)
	s.wantBuilt(agent, version, version)
}

func testNewerSource(s stack) {
	const agent = "hurried"
	key := keyOf(agent)
	s.agents(agent)
	release := s.hold(agent)
	first := s.source(agent, works, "1")
	s.until("the build runs", func() bool { return len(s.built(agent)) == 1 && s.status(key).Outcome == status.Building })
	looks := func() int {
		return len(s.Calls(proxy.Filter{Caller: "reconcile", Operation: "GetObject", Resource: sourceBucket + "/" + agent + "/"}))
	}
	before := looks()
	s.source(agent, works, "2") // is overtaken
	last := s.source(agent, works, "3")
	s.until("both are looked at", func() bool { return looks() >= before+2 })
	s.wantBuilt(agent, first)
	release()
	s.idle()
	s.wantBuilt(agent, first, last)
	s.wantImage(key, agent, last)
	if n := s.sent("Agent Build Succeeded", key); n != 2 {
		s.t.Errorf("%d builds were told to have succeeded", n)
	}
}

func testDeletedSource(s stack) {
	const agent = "fleeting"
	s.agents(agent)
	var once sync.Once
	remove := s.Proxy().AddHook(proxy.Hook{Before: func(c proxy.Call) proxy.Verdict {
		if c.Caller == "reconcile" && c.Operation == "GetObject" && strings.HasSuffix(c.Resource, "/"+agent+"/source.zip") {
			once.Do(func() { s.withdraw(naming.SourceKey("", agent)) })
		}
		return proxy.Continue
	}})
	s.source(agent, works, "1")
	s.idle()
	remove()
	s.wantBuilt(agent)
	s.wantCodes(keyOf(agent))
}

func testExpiredSource(s stack) {
	const agent = "expired"
	key := keyOf(agent)
	s.agents(agent)
	version := s.source(agent, works, "1")
	s.idle()
	was := s.build(key)
	if err := s.Proxy().Expire(s.t.Context(), sourceBucket, naming.SourceKey("", agent)); err != nil {
		s.t.Fatal(err)
	}
	s.wantUnchanged(key, agent)
	if diff := cmp.Diff(was, s.build(key)); diff != "" {
		s.t.Errorf("the build (-before +after)\n%s", diff)
	}
	s.tool("operator", 0, "build", key, agent, "--yes", "--wait=false")
	s.idle()
	s.wantBuilt(agent, version, version)
	s.wantImage(key, agent, version)
}

func testNoSource(s stack) {
	const agent = "odd"
	key := keyOf(agent)
	s.agents(agent)
	for code, body := range map[string]string{"source-empty": "", "source-not-zip": "#!/bin/sh\necho no zip\n"} {
		s.put(naming.SourceKey("", agent), body)
		s.idle()
		s.wantCodes(key, code)
	}
	s.wantBuilt(agent)
	broken := s.put(naming.SourceKey("", agent), "PK\x03\x04, and then no zip")
	s.idle()
	if b := s.build(key); b.State != model.BuildFailed || !strings.Contains(b.Message, "DOWNLOAD_SOURCE") {
		s.t.Errorf("a zip that cannot be read: %+v", b)
	}
	version := s.source(agent, works, "1")
	s.idle()
	s.wantBuilt(agent, broken, version)
	s.wantImage(key, agent, version)
}

// testStrangers uploads sources that lie where no config is about, and runs a
// build of a project that is somebody's own, with a name such as ours.
func testStrangers(s stack) {
	const agent, stranger = "known", "stranger"
	s.agents(agent)
	s.Proxy().Reset()
	for _, key := range []string{"stranger/source.zip", "otherteam/known/source.zip", "a/b/known/source.zip", "known/more/source.zip", "source.zip", "known/deployment.zip"} {
		s.put(key, zipped(s.t, works, "1"))
	}
	role, err := iam.NewFromConfig(s.Config("admin")).CreateRole(s.t.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String("strangers-builds"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	project, builds := naming.Project(stranger), codebuild.NewFromConfig(s.Config("admin"))
	if _, err := builds.CreateProject(s.t.Context(), &codebuild.CreateProjectInput{
		Name: &project, ServiceRole: role.Role.Arn, Artifacts: &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Source: &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String("version: 0.2\nphases: {build: {commands: [echo mine]}}\n")},
		Environment: &types.ProjectEnvironment{
			Type: types.EnvironmentTypeArmContainer, Image: aws.String("aws/codebuild/amazonlinux-aarch64-standard:4.0"), ComputeType: types.ComputeTypeBuildGeneral1Small,
		},
	}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := builds.StartBuild(s.t.Context(), &codebuild.StartBuildInput{ProjectName: &project}); err != nil {
		s.t.Fatal(err)
	}
	s.idle()
	for _, name := range []string{agent, stranger} { // what other tests left behind may be woken meanwhile
		if calls := s.Calls(proxy.Filter{Caller: "reconcile", Resource: naming.StatusKey(keyOf(name))}); len(calls) > 0 {
			s.t.Errorf("reconcile looked at %s: %+v", name, calls)
		}
	}
	if taken := s.Calls(proxy.Filter{Caller: local.PollerName + "intake", Operation: "ReceiveMessage"}); len(taken) == 0 {
		s.t.Error("intake heard of nothing")
	}
	s.wantBuilt(agent)

	// Who has the name afterwards leaves the project to its owner.
	s.Proxy().Reset()
	s.upload(keyOf(stranger), container(stranger))
	s.idle()
	if got := s.status(keyOf(stranger)); got.Outcome != status.Blocked || len(got.Problems) != 1 || got.Problems[0].Code != "project-not-ours" {
		s.t.Errorf("status: %+v", got)
	}
	if n := len(s.built(stranger)); n != 1 {
		s.t.Errorf("%d builds, want the owner's", n)
	}
	for _, c := range s.imageWrites() {
		if strings.HasSuffix(c, "Project "+project) {
			s.t.Errorf("%s was called", c)
		}
	}
}

func testByHand(s stack) {
	const agent = "handmade"
	key := keyOf(agent)
	s.agents(agent)
	version := s.source(agent, works, "1")
	s.idle()
	was, told := s.status(key), len(s.Events())
	out, err := codebuild.NewFromConfig(s.Config("admin")).StartBuild(s.t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String(naming.Project(agent))})
	if err != nil {
		s.t.Fatal(err)
	}
	s.idle()
	s.wantBuilt(agent, version, aws.ToString(out.Build.SourceVersion))
	if diff := cmp.Diff(was, s.status(key)); diff != "" {
		s.t.Errorf("the status (-before +after)\n%s", diff)
	}
	for _, e := range s.Events()[told:] {
		if e.Source == "rolekeeper" {
			s.t.Errorf("told: %s", e.DetailType)
		}
	}
}

func testNoRoom(s stack) {
	const agent = "queued"
	key := keyOf(agent)
	s.agents(agent)
	s.Proxy().Reset()
	s.CodeBuild().LimitBuilds(0)
	var once sync.Once
	remove := s.Proxy().AddHook(proxy.Hook{After: func(c proxy.Call) proxy.Verdict {
		if c.Operation == "StartBuild" {
			once.Do(func() { s.CodeBuild().LimitBuilds(1) })
		}
		return proxy.Continue
	}})
	version := s.source(agent, works, "1")
	s.until("there is an image", func() bool {
		a := s.status(key).Agents[0]
		return a.Build != nil && a.Build.State == model.BuildSucceeded
	})
	remove()
	s.CodeBuild().LimitBuilds(plenty)
	s.idle()
	first := s.answers(key)[0]
	if b := first.Agents[0].Build; first.Outcome != status.Waiting || b == nil || b.State != status.BuildWaiting || b.ID != "" || !first.WakeAt.After(first.UpdatedAt) {
		s.t.Errorf("meanwhile: %+v", first)
	}
	s.wantBuilt(agent, version)
	s.wantImage(key, agent, version)
	if returned := s.Calls(proxy.Filter{Operation: "ChangeMessageVisibility"}); len(returned) > 0 {
		s.t.Errorf("messages were given back: %+v", returned)
	}
}

// testReplay has intake hear of everything again.
func testReplay(s stack) {
	s.Proxy().Reset()
	before, told := len(s.CodeBuild().Builds()), 0
	isBuild := func(detailType string) bool { return strings.HasPrefix(detailType, "Agent Build") }
	url := ""
	for _, m := range s.Stack().Mappings {
		if m.Function.Short == "intake" {
			url = m.QueueURL
		}
	}
	queue := sqs.NewFromConfig(s.Config("admin"))
	sent := 0
	for _, e := range slices.Backward(s.Events()) {
		if isBuild(e.DetailType) {
			told++
		}
		if e.Source != "aws.codebuild" && !strings.Contains(string(e.Detail), "/source.zip") {
			continue
		}
		body, err := json.Marshal(e)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := queue.SendMessage(s.t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(string(body))}); err != nil {
			s.t.Fatal(err)
		}
		sent++
	}
	s.idle()
	if writes := s.imageWrites(); len(writes) > 0 || sent < before {
		s.t.Errorf("%d events of %d builds led to %v", sent, before, writes)
	}
	for _, e := range s.Events() {
		if isBuild(e.DetailType) {
			told--
		}
	}
	if told != 0 {
		s.t.Errorf("%d builds were told of again", -told)
	}
}

// plenty is more builds than any case here starts.
const plenty = 1000

func testTwenty(s stack) {
	agents := make([]string, 20)
	for i := range agents {
		agents[i] = fmt.Sprintf("one_of_%d", i)
	}
	s.agents(agents...)
	s.CodeBuild().LimitBuilds(5)
	defer s.CodeBuild().LimitBuilds(plenty)
	versions := map[string]string{}
	for _, agent := range agents {
		versions[agent] = s.source(agent, works, agent)
	}
	s.idle()
	for _, agent := range agents {
		s.wantBuilt(agent, versions[agent])
		s.wantImage(keyOf(agent), agent, versions[agent])
	}
}
