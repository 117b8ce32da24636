package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/status"
)

// build gives what the status of the one agent of a config says of its build.
func (w *world) build(key string) status.Build {
	w.t.Helper()
	s := w.status(key)
	if len(s.Agents) != 1 || s.Agents[0].Build == nil {
		w.t.Fatalf("%s: no build: %+v", key, s.Agents)
	}
	return *s.Agents[0].Build
}

// built gives the source versions that builds were started for, in order.
func (w *world) built() []string {
	var all []string
	for _, b := range w.cloud.Builds() {
		all = append(all, aws.ToString(b.SourceVersion))
	}
	return all
}

func wantBuilt(t *testing.T, w *world, versions ...string) {
	t.Helper()
	if diff := cmp.Diff(versions, w.built()); diff != "" {
		t.Errorf("builds of source versions (-want +got)\n%s", diff)
	}
}

// again has the config looked at once more.
func (w *world) again(key string) {
	w.cloud.Put(w.inbox, wakeBody(w.t, key))
	w.settle()
}

func TestASourceBecomesAnImage(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	s := w.status(key)
	if s.Outcome != status.Ready || s.Agents[0].Build != nil || len(s.Agents[0].Notes) == 0 {
		t.Fatalf("without a source: %s, %+v", s.Outcome, s.Agents[0])
	}
	if s.Agents[0].Repository != "bedrock-agentcore-my_agent" || s.Agents[0].Project != "bedrock-agentcore-my_agent-builder" {
		t.Errorf("repository %q, project %q", s.Agents[0].Repository, s.Agents[0].Project)
	}
	if g := w.cloud.LogGroups()["/aws/codebuild/bedrock-agentcore-my_agent-builder"]; g.RetentionDays != 30 {
		t.Errorf("log group: %+v", g)
	}

	version := w.source("my_agent", zip)
	w.run(time.Minute)
	if b := w.build(key); w.status(key).Outcome != status.Building || b.State != model.BuildInProgress || b.SourceVersion != version || b.ID == "" {
		t.Errorf("while it runs: %s, %+v", w.status(key).Outcome, b)
	}
	w.settle()
	wantBuilt(t, w, version)
	b := w.build(key)
	want := "123456789012.dkr.ecr.us-east-1.amazonaws.com/bedrock-agentcore-my_agent@" + digest(b.ID)
	if w.status(key).Outcome != status.Ready || b.State != model.BuildSucceeded || b.Image != want || b.LogURL == "" {
		t.Errorf("in the end: %s, %+v", w.status(key).Outcome, b)
	}
	env := environment(w.cloud.Builds()[0])
	if env["IMAGE_TAG"] != model.ImageTag(version) || env["IMAGE_LATEST"] != "true" {
		t.Errorf("environment: %v", env)
	}
	for _, detailType := range []string{"Agent Roles Ready", "Agent Build Started", "Agent Build Succeeded"} {
		if sent := w.sent(detailType); len(sent) != 1 {
			t.Errorf("%s was sent %d times: %v", detailType, len(sent), sent)
		}
	}
}

func TestASourceThatWasThereFirstIsBuiltAtOnce(t *testing.T) {
	w := newWorld(t)
	version := w.source("my_agent", zip) // nobody's yet: its event leads nowhere
	w.settle()
	w.upload(key, container)
	w.settle()
	wantBuilt(t, w, version)
	wantOutcome(t, w, key, status.Ready)
}

// The numbers of calls are what IAM, S3 and CodeBuild throttle.
func TestCallsFromASourceToItsBuild(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.source("my_agent", zip)
	w.settle()
	calls := func() int {
		all := w.functionCalls()
		if i := slices.IndexFunc(all, func(c awsfake.Call) bool { return c.Operation == "StartBuild" }); i >= 0 {
			return i + 1
		}
		return len(all)
	}
	w.cloud.ForgetCalls()
	w.again(key)
	unchanged := calls()
	if writes := w.made()["codebuild write"]; writes > 0 || len(w.writes("status/", "claims/")) > 0 {
		t.Errorf("an unchanged agent: %v", w.functionCalls())
	}
	w.cloud.ForgetCalls()
	w.source("my_agent", zip+"2")
	w.run(time.Second)
	if more := calls() - unchanged; more > 6 {
		t.Errorf("%d calls more than the %d for nothing: %v", more, unchanged, w.functionCalls())
	}
}

func TestNothingIsBuiltTwice(t *testing.T) {
	for name, disturb := range map[string]func(*world){
		"when every event repeats": func(w *world) {
			for range 3 {
				w.cloud.Put(w.inbox, sourceEvent(w, "my_agent"))
				w.cloud.Put(w.inbox, wakeBody(w.t, key))
				w.run(time.Second)
			}
		},
		"when the token has run out": func(w *world) {
			w.run(time.Second)
			w.cloud.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: 50 * time.Minute} })
			w.cloud.Advance(20 * time.Minute)
			w.cloud.Put(w.inbox, sourceEvent(w, "my_agent"))
			w.run(time.Minute)
		},
		"when the status is lost while it runs": func(w *world) {
			w.run(time.Minute)
			w.lose(naming.StatusKey(key))
			w.cloud.Advance(6 * time.Minute)
			w.again(key)
		},
		"when the status is lost after it": func(w *world) {
			w.settle()
			w.lose(naming.StatusKey(key))
			w.again(key)
		},
		"when the config is uploaded again": func(w *world) {
			w.settle()
			w.upload(key, container+"# again\n")
			w.settle()
		},
		"when an old build's event comes late": func(w *world) {
			w.settle()
			event := buildEvent(w, w.cloud.Builds()[0])
			w.cloud.Advance(time.Hour)
			w.cloud.Put(w.inbox, event)
			w.settle()
		},
		"when the project was deleted by hand": func(w *world) {
			w.settle()
			project := naming.Project("my_agent")
			w.must(w.cloud.CodeBuild("admin").DeleteProject(context.Background(), &codebuild.DeleteProjectInput{Name: &project}))
			w.again(key)
			if !slices.Contains(w.cloud.Projects(), project) {
				w.t.Error("the project was not made again")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			version := w.source("my_agent", zip)
			disturb(w)
			w.settle()
			wantBuilt(t, w, version)
			wantOutcome(t, w, key, status.Ready)
			if b := w.build(key); b.State != model.BuildSucceeded || !strings.HasSuffix(b.Image, "@"+digest(b.ID)) {
				t.Errorf("build: %+v", b)
			}
		})
	}
}

func TestAnImageThatWentWithItsRepositoryIsBuiltAgain(t *testing.T) {
	for name, c := range map[string]struct {
		lost  bool // the status, too
		after time.Duration
	}{
		"with the status": {false, time.Hour}, "with the status lost": {true, time.Hour}, "while the token of its build is good": {false, 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			w.settle()
			version := w.source("my_agent", zip)
			w.run(buildTime + time.Second)
			w.cloud.Advance(c.after)
			repository := naming.Repository("my_agent")
			w.must(w.cloud.ECR("admin").DeleteRepository(context.Background(), &ecr.DeleteRepositoryInput{RepositoryName: &repository, Force: true}))
			w.again(key)
			if c.lost {
				w.lose(naming.StatusKey(key))
			}
			w.again(key)
			wantBuilt(t, w, version, version)
			if b := w.build(key); b.State != model.BuildSucceeded || !strings.HasSuffix(b.Image, digest(*w.cloud.Builds()[1].Id)) {
				t.Errorf("build: %+v", b)
			}
			w.again(key)
			wantBuilt(t, w, version, version)
		})
	}
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// lose deletes an object of the config bucket behind everybody's back.
func (w *world) lose(key string) { w.remove(key) }

func TestANewerSourceWaitsForTheBuildThatRuns(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	first := w.source("my_agent", zip)
	w.run(time.Minute)
	w.source("my_agent", zip+"2") // is overtaken
	w.run(10 * time.Second)
	last := w.source("my_agent", zip+"3")
	w.run(10 * time.Second)
	wantBuilt(t, w, first)
	if b := w.build(key); b.SourceVersion != first || b.State != model.BuildInProgress {
		t.Errorf("meanwhile: %+v", b)
	}
	w.settle()
	wantBuilt(t, w, first, last)
	if b := w.build(key); b.SourceVersion != last || b.State != model.BuildSucceeded {
		t.Errorf("in the end: %+v", b)
	}
	if n := len(w.sent("Agent Build Succeeded")); n != 2 {
		t.Errorf("%d builds were told to have succeeded", n)
	}
}

func TestABuildWhoseEventIsLostIsLookedAtAnyway(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.source("my_agent", zip)
	w.run(time.Minute)
	for _, m := range w.cloud.Messages(w.inbox) {
		if m.Body != wakeBody(t, key) && strings.Contains(m.Body, "aws.codebuild") {
			t.Fatal("the build has ended too early")
		}
	}
	w.cloud.Advance(buildTime)
	w.drop(w.inbox, "aws.codebuild")
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if waited := w.cloud.Now().Sub(w.build(key).Since); waited > 16*time.Minute {
		t.Errorf("seen %s late", waited)
	}
}

// drop takes the messages that can be received now and contain a text from a queue.
func (w *world) drop(url, text string) {
	w.t.Helper()
	e := w.cloud.Receive(url, 10)
	keep := e
	keep.Records = nil
	dropped := 0
	for _, r := range e.Records {
		if !strings.Contains(r.Body, text) {
			w.cloud.Put(url, r.Body)
		} else {
			dropped++
		}
	}
	w.cloud.Done(url, e, nil)
	if dropped == 0 {
		w.t.Fatalf("no message with %q", text)
	}
}

func TestAFailedBuildIsToldAndNotRepeated(t *testing.T) {
	w := newWorld(t)
	w.operators = true
	w.cloud.RunBuilds(func(types.Build) awsfake.Outcome {
		return awsfake.Outcome{After: time.Minute, State: types.StatusTypeFailed, Phase: types.BuildPhaseTypeBuild, Message: "COMMAND_EXECUTION_ERROR: docker build: no Dockerfile"}
	})
	w.upload(key, container)
	version := w.source("my_agent", zip)
	w.settle()
	s := w.status(key)
	if b := w.build(key); s.Outcome != status.Ready || b.State != model.BuildFailed || !strings.Contains(b.Message, "BUILD") || !strings.Contains(b.Message, "no Dockerfile") {
		t.Errorf("%s, %+v", s.Outcome, b)
	}
	if !slices.Equal(codes(s), []string{"build-failed"}) {
		t.Errorf("problems: %v", s.Problems)
	}
	if n := len(w.sent("Agent Build Failed")); n != 1 {
		t.Errorf("told %d times", n)
	}
	w.cloud.Put(w.inbox, sourceEvent(w, "my_agent"))
	w.again(key)
	w.upload(key, container+"# again\n")
	w.settle()
	wantBuilt(t, w, version)

	w.cloud.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: time.Minute} })
	id := w.rebuild("my_agent")
	w.settle()
	wantBuilt(t, w, version, version)
	s = w.status(key)
	if s.Requests[0].ID != id || s.Requests[0].Outcome != status.RequestDone || !strings.Contains(s.Requests[0].Message, w.build(key).ID) {
		t.Errorf("request: %+v", s.Requests)
	}
	if b := w.build(key); b.State != model.BuildSucceeded || len(s.Problems) > 0 {
		t.Errorf("%+v, %v", b, s.Problems)
	}
	w.again(key)
	wantBuilt(t, w, version, version)
}

// rebuild has an operator ask for a build of what he was shown.
func (w *world) rebuild(agent string) (id string) {
	w.t.Helper()
	p, err := w.viewer().Preview(context.Background(), key, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	order, ok := p.Builds[agent]
	if !ok {
		w.t.Fatalf("nothing to build for %s: %+v", agent, p)
	}
	w.request("1", model.BuildImage, map[string]string{agent: order.Identity})
	return "1"
}

func TestARequestForABuild(t *testing.T) {
	t.Run("of something else is refused", func(t *testing.T) {
		w := newWorld(t)
		w.operators = true
		w.upload(key, container)
		version := w.source("my_agent", zip)
		w.settle()
		w.request("1", model.BuildImage, map[string]string{"my_agent": strings.Repeat("0", 64)})
		w.settle()
		wantBuilt(t, w, version)
		if s := w.status(key); s.Requests[0].Outcome != status.RequestRefused {
			t.Errorf("%+v", s.Requests)
		}
	})
	t.Run("without a source is refused", func(t *testing.T) {
		w := newWorld(t)
		w.operators = true
		w.upload(key, container)
		w.settle()
		w.request("1", model.BuildImage, map[string]string{"my_agent": strings.Repeat("0", 64)})
		w.settle()
		if s := w.status(key); s.Requests[0].Outcome != status.RequestRefused || len(w.built()) > 0 {
			t.Errorf("%+v", s.Requests)
		}
	})
	t.Run("waits for the build that runs", func(t *testing.T) {
		w := newWorld(t)
		w.operators = true
		w.upload(key, container)
		version := w.source("my_agent", zip)
		w.run(time.Minute)
		id := w.rebuild("my_agent")
		w.run(10 * time.Second)
		wantBuilt(t, w, version)
		if s := w.status(key); len(s.Requests) > 0 {
			t.Errorf("answered: %+v", s.Requests)
		}
		w.settle()
		wantBuilt(t, w, version, version)
		if s := w.status(key); len(s.Requests) != 1 || s.Requests[0].ID != id || s.Requests[0].Outcome != status.RequestDone {
			t.Errorf("answered: %+v", s.Requests)
		}
	})
	t.Run("waits for room", func(t *testing.T) {
		w := newWorld(t)
		w.operators = true
		w.upload(key, container)
		version := w.source("my_agent", zip)
		w.settle()
		w.cloud.LimitBuilds(0)
		w.rebuild("my_agent")
		w.run(3 * time.Minute)
		if s := w.status(key); s.Outcome != status.Waiting || len(s.Requests) > 0 {
			t.Errorf("%s, %+v", s.Outcome, s.Requests)
		}
		w.cloud.LimitBuilds(1)
		w.settle()
		wantBuilt(t, w, version, version)
		if s := w.status(key); s.Outcome != status.Ready || len(s.Requests) != 1 || s.Requests[0].Outcome != status.RequestDone {
			t.Errorf("%s, %+v", s.Outcome, s.Requests)
		}
	})
}

func TestABuildThatCodeBuildHasNoRoomForWaits(t *testing.T) {
	w := newWorld(t)
	w.cloud.LimitBuilds(0)
	w.upload(key, container)
	version := w.source("my_agent", zip)
	w.run(45 * time.Minute)
	s := w.status(key)
	if b := w.build(key); s.Outcome != status.Waiting || b.State != status.BuildWaiting || b.ID != "" || !s.WakeAt.After(w.cloud.Now()) {
		t.Errorf("%s, %+v, wakes at %s", s.Outcome, b, s.WakeAt)
	}
	if n := len(w.sent("Agent Roles Ready")); n != 1 {
		t.Errorf("roles were told to be ready %d times", n)
	}
	// Waiting is growing: half a minute, then as long as it has waited.
	if tries := w.cloud.Calls(); count(tries, "StartBuild") > 8 {
		t.Errorf("tried %d times in 45 minutes", count(tries, "StartBuild"))
	}
	w.cloud.LimitBuilds(1)
	w.settle()
	wantBuilt(t, w, version)
	wantOutcome(t, w, key, status.Ready)
	w.wantNothingLost()
}

func count(calls []awsfake.Call, operation string) (n int) {
	for _, c := range calls {
		if c.Operation == operation {
			n++
		}
	}
	return n
}

// wantNothingLost checks that no message is in dead letters, and that none was
// ever given back to a queue.
func (w *world) wantNothingLost() {
	w.t.Helper()
	for _, url := range []string{w.inboxDead, w.workDead} {
		if m := w.cloud.Messages(url); len(m) > 0 {
			w.t.Errorf("dead letters: %v", m)
		}
	}
	if n := count(w.cloud.Calls(), "ChangeMessageVisibility"); n > 0 {
		w.t.Errorf("%d messages were given back", n)
	}
}

func TestAHundredSourcesAtOnce(t *testing.T) {
	for name, limit := range map[string]int{"with room for all": 100, "with a limit of 5": 5} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			agents := make([]string, 100)
			for i := range agents {
				agents[i] = fmt.Sprintf("agent_%d", i)
				w.upload(fmt.Sprintf("configs/%d.yaml", i), agentsNamed(agents[i]))
			}
			w.settle()
			w.cloud.LimitBuilds(limit)
			var versions []string
			for _, a := range agents {
				versions = append(versions, w.source(a, zip))
			}
			if !w.run(12 * time.Hour) {
				t.Fatal("not done in 12 hours")
			}
			got := w.built()
			slices.Sort(got)
			slices.Sort(versions)
			if diff := cmp.Diff(versions, got); diff != "" {
				t.Errorf("builds (-want +got)\n%s", diff)
			}
			for i := range agents {
				if b := w.build(fmt.Sprintf("configs/%d.yaml", i)); b.State != model.BuildSucceeded {
					t.Errorf("%s: %+v", agents[i], b)
				}
			}
			w.wantNothingLost()
		})
	}
}

func TestARoleThatCodeBuildCannotAssumeYetIsWaitedForInTheQueue(t *testing.T) {
	w := newWorld(t)
	w.cloud.SettleRoles(9 * time.Second)
	began := w.cloud.Now()
	w.upload(key, container)
	version := w.source("my_agent", zip)
	w.run(20 * time.Second)
	if s := w.status(key); s.Agents[0].Project == "" || w.cloud.Now().Sub(began) > time.Minute {
		t.Errorf("after %s: %+v", w.cloud.Now().Sub(began), s)
	}
	w.settle()
	wantBuilt(t, w, version)
	wantOutcome(t, w, key, status.Ready)
}

func TestAnExpiredSourceIsNotADeletedOne(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	version := w.source("my_agent", zip)
	w.settle()
	before := w.build(key)
	w.cloud.Expire(sources, naming.SourceKey("", "my_agent"))
	w.again(key)
	if diff := cmp.Diff(before, w.build(key)); diff != "" {
		t.Errorf("the build (-before +after)\n%s", diff)
	}
	w.settings.Env.BuildImage, w.hash = "aws/codebuild/amazonlinux-aarch64-standard:5.0", "settings-2"
	w.again(key)
	wantBuilt(t, w, version, version)
	wantOutcome(t, w, key, status.Ready)
}

func TestSourcesThatCannotBeBuilt(t *testing.T) {
	for code, c := range map[string]struct{ before, after func(*world) }{
		"source-empty":   {after: func(w *world) { w.source("my_agent", "") }},
		"source-not-zip": {after: func(w *world) { w.source("my_agent", "#!/bin/sh\necho no zip\n") }},
		"source-bucket-unversioned": {
			before: func(w *world) { w.cloud.SetVersioning(sources, false) },
			after:  func(w *world) { w.source("my_agent", zip) },
		},
		"source-bucket-silent": {after: func(w *world) {
			w.cloud.SetEventBridge(sources, false)
			w.source("my_agent", zip)
		}},
	} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			if c.before != nil {
				c.before(w)
			}
			w.upload(key, container)
			w.settle()
			c.after(w)
			w.again(key)
			wantBuilt(t, w)
			s := w.status(key)
			if s.Outcome != status.Ready || !slices.Equal(codes(s), []string{code}) {
				t.Errorf("%s, %v", s.Outcome, s.Problems)
			}
		})
	}
}

func TestASourceThatIsDeletedAtOnceIsNotBuilt(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.source("my_agent", zip)
	w.cloud.Expire(sources, naming.SourceKey("", "my_agent"))
	w.settle()
	wantBuilt(t, w)
	wantOutcome(t, w, key, status.Ready)
	w.wantNothingLost()
}

func TestEventsThatLeadToNoConfigAreDone(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.cloud.ForgetCalls()
	w.putInto(sources, "stranger/source.zip", zip)
	w.putInto(sources, "otherteam/my_agent/source.zip", zip)
	w.putInto(sources, "a/b/my_agent/source.zip", zip)
	w.cloud.Put(w.inbox, strings.ReplaceAll(buildEventOf(w, "some-other-project"), "\n", ""))
	w.settle()
	if n := w.made()["codebuild read"]; n > 0 {
		t.Errorf("looked at: %v", w.functionCalls())
	}
	w.wantNothingLost()
}

func TestWhatSomebodyElseMadeIsLeftAlone(t *testing.T) {
	repository, project := naming.Repository("my_agent"), naming.Project("my_agent")
	for kind, make := range map[plan.RefusalKind]func(*world){
		plan.RepositoryNotOurs: func(w *world) { w.repository(repository) },
		plan.ProjectNotOurs:    func(w *world) { w.strangersProject(project) },
	} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			make(w)
			w.upload(key, container)
			w.source("my_agent", zip)
			w.settle()
			s := w.status(key)
			if s.Outcome != status.Blocked || !slices.Equal(codes(s), []string{string(kind)}) {
				t.Errorf("%s, %v", s.Outcome, s.Problems)
			}
			wantBuilt(t, w)
			w.cloud.ForgetCalls()
			w.again(key)
			if writes := w.writes(); len(writes) > 0 {
				t.Errorf("written: %v", writes)
			}
		})
	}
}

// strangersProject has an administrator make a project with a role of his own.
func (w *world) strangersProject(name string) {
	w.t.Helper()
	role, source, image := "arn:aws:iam::123456789012:role/admin-build", sources+"/x.zip", "aws/codebuild/standard:7.0"
	w.admin().createRole("admin-build", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	w.must(w.cloud.CodeBuild("admin").CreateProject(context.Background(), &codebuild.CreateProjectInput{
		Name: &name, ServiceRole: &role, Source: &types.ProjectSource{Type: types.SourceTypeS3, Location: &source},
		Artifacts:   &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Environment: &types.ProjectEnvironment{Type: types.EnvironmentTypeLinuxContainer, Image: &image, ComputeType: types.ComputeTypeBuildGeneral1Small},
	}))
}

const withRepository = container + "      ecr_repository: team/app\n"

func TestANamedRepositoryIsUsedAndNeverMade(t *testing.T) {
	w := newWorld(t)
	w.upload(key, withRepository)
	version := w.source("my_agent", zip)
	w.settle()
	if s := w.status(key); s.Outcome != status.Blocked || !slices.Equal(codes(s), []string{"repository-missing"}) {
		t.Errorf("%s, %v", s.Outcome, s.Problems)
	}
	wantBuilt(t, w)
	if n := len(w.sent("Agent Roles Ready")); n != 1 {
		t.Errorf("the roles, which wait for no repository, were told to be ready %d times", n)
	}

	w.repository("team/app")
	w.again(key)
	wantBuilt(t, w, version)
	wantOutcome(t, w, key, status.Ready)
	if env := environment(w.cloud.Builds()[0]); env["IMAGE_LATEST"] != "false" || !strings.HasSuffix(env["REPOSITORY_URI"], "/team/app") {
		t.Errorf("environment: %v", env)
	}
	for _, c := range w.functionCalls() {
		if c.Service == "ecr" && !reads(c) {
			t.Errorf("written: %s", c)
		}
	}
	if got := w.cloud.RepositoryNames(); !slices.Equal(got, []string{"team/app"}) {
		t.Errorf("repositories: %v", got)
	}
}

func TestNoRoleOfSomebodyElseIsPassedToCodeBuild(t *testing.T) {
	const mine = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	t.Run("that the config names", func(t *testing.T) {
		w := newWorld(t)
		w.admin().createRole("powerful", mine)
		w.upload(key, container+"    codebuild:\n      execution_role: arn:aws:iam::123456789012:role/powerful\n")
		w.source("my_agent", zip)
		w.settle()
		if w.status(key).Outcome != status.Ready || len(w.cloud.Projects()) > 0 {
			t.Errorf("%s, projects %v", w.status(key).Outcome, w.cloud.Projects())
		}
	})
	t.Run("that has the build role's name", func(t *testing.T) {
		w := newWorld(t)
		w.admin().createRole(buildRole("my_agent"), mine)
		w.upload(key, container)
		w.source("my_agent", zip)
		w.settle()
		if w.status(key).Outcome != status.Blocked || len(w.cloud.Projects()) > 0 {
			t.Errorf("%s, projects %v", w.status(key).Outcome, w.cloud.Projects())
		}
	})
}

func TestABaseImageOfAnotherConfigIsRefused(t *testing.T) {
	w := newWorld(t)
	w.upload(other, agentsNamed("secret_agent"))
	w.settle()
	w.upload(key, container+"    permissions:\n      base_images: [bedrock-agentcore-secret_agent]\n")
	w.settle()
	if s := w.status(key); s.Outcome != status.Rejected || !slices.Equal(codes(s), []string{"repository-of-other-config"}) {
		t.Errorf("%s, %v", s.Outcome, s.Problems)
	}
}

func TestDriftOfAProjectIsRepaired(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	project, spec := naming.Project("my_agent"), "version: 0.2\nphases: {build: {commands: [steal]}}\n"
	w.must(w.cloud.CodeBuild("admin").UpdateProject(context.Background(), &codebuild.UpdateProjectInput{
		Name: &project, Source: &types.ProjectSource{Type: types.SourceTypeS3, Location: ptr(sources + "/my_agent/source.zip"), Buildspec: &spec},
	}))
	w.again(key)
	w.cloud.ForgetCalls()
	w.again(key)
	if writes := w.writes(); len(writes) > 0 {
		t.Errorf("written again: %v", writes)
	}
	if sent := w.sent("Role Drift Repaired"); len(sent) != 1 || !strings.Contains(fmt.Sprint(sent[0]), project) {
		t.Errorf("told: %v", sent)
	}
	p := must(w.cloud.CodeBuild("admin").BatchGetProjects(context.Background(), &codebuild.BatchGetProjectsInput{Names: []string{project}}))
	if got := *p.Projects[0].Source.Buildspec; got == spec {
		t.Error("the buildspec is still the other one")
	}
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// sourceEvent is S3's event about the agent's source.
func sourceEvent(w *world, agent string) string {
	return fmt.Sprintf(`{"version":"0","id":"again","detail-type":"Object Created","source":"aws.s3","account":%q,"region":%q,`+
		`"time":%q,"resources":["arn:aws:s3:::%s"],"detail":{"version":"0","bucket":{"name":%q},"object":{"key":%q,"size":10,"version-id":"old"},"reason":"PutObject"}}`,
		w.cloud.Account, w.cloud.Region, w.cloud.Now().Format(time.RFC3339), sources, sources, naming.SourceKey("", agent))
}

// buildEvent is CodeBuild's event about the end of a build.
func buildEvent(w *world, b types.Build) string {
	return fmt.Sprintf(`{"version":"0","id":"late","detail-type":"CodeBuild Build State Change","source":"aws.codebuild","account":%q,"region":%q,`+
		`"time":%q,"resources":[%q],"detail":{"build-status":"SUCCEEDED","project-name":%q,"build-id":%q,"current-phase":"COMPLETED","version":"1"}}`,
		w.cloud.Account, w.cloud.Region, w.cloud.Now().Format(time.RFC3339), *b.Arn, *b.ProjectName, *b.Arn)
}

func buildEventOf(w *world, project string) string {
	return buildEvent(w, types.Build{Arn: ptr("arn:aws:codebuild:us-east-1:123456789012:build/" + project + ":0123"), ProjectName: &project})
}

// A run that dies between the creation and its record leaves parts that only the
// claim's nonces know. Nobody asks for them any more.
func TestPartsThatNobodyAsksForAnyMoreAreStillOurs(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.cloud.After = func(c awsfake.Call) error {
		if c.Operation == "CreateProject" {
			panic(killed{})
		}
		return nil
	}
	w.later = func() {
		w.cloud.After = nil
		w.upload(key, agentsNamed("another"))
	}
	w.settle()
	c := w.claim(naming.ProjectClaimKey("my_agent"))
	if c.Config != key || c.RepositoryCreated.IsZero() || c.ProjectCreated.IsZero() || len(c.Creating) > 0 {
		t.Errorf("claim %+v", c)
	}
	w.upload(key, container)
	w.settle()
	if s := w.status(key); len(s.Problems) > 0 {
		t.Errorf("%v", s.Problems)
	}
}

func TestASharedBuildRoleThatIsHalfMadeIsFinished(t *testing.T) {
	shared := agentsNamed("keeper") + "  sharer:\n    name: sharer\n    entrypoint: main.py\n    aws: {}\n    codebuild:\n      execution_role: " +
		"arn:aws:iam::123456789012:role/" + buildRole("keeper") + "\n"
	for name, next := range map[string]string{
		"under the same config": shared, "when it is shared no more": agentsNamed("keeper"), "when its agent is gone": agentsNamed("another"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, shared)
			w.cloud.After = func(c awsfake.Call) error {
				if c.Operation == "CreateRole" && c.Resource == buildRole("keeper") {
					panic(killed{})
				}
				return nil
			}
			w.later = func() {
				w.cloud.After = nil
				w.upload(key, next)
			}
			w.settle()
			if s := w.status(key); s.Outcome == status.Blocked || len(s.Problems) > 0 {
				t.Errorf("%s, %v", s.Outcome, s.Problems)
			}
			if c := w.claim(naming.RoleClaimKey("keeper")); c.BuildRoleID != w.role(buildRole("keeper")).ID || len(c.Creating) > 0 {
				t.Errorf("claim %+v", c)
			}
		})
	}
}

func TestAnAgentThatHasNoProjectAnyMoreHasNoBuild(t *testing.T) {
	for name, config := range map[string]string{
		"deployed as code": direct, "with a build role of its own": container + "    codebuild:\n      execution_role: arn:aws:iam::123456789012:role/mine\n",
	} {
		for when, prepare := range map[string]func(*world){
			"while it runs":  func(w *world) { w.run(time.Minute) },
			"while it waits": func(w *world) { w.cloud.LimitBuilds(0); w.run(3 * time.Minute) },
			"after it":       func(w *world) { w.settle() },
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				w.upload(key, container)
				w.source("my_agent", zip)
				prepare(w)
				w.upload(key, config)
				w.settle() // and is woken no more
				s := w.status(key)
				if s.Outcome != status.Ready || s.Agents[0].Build != nil || !s.WakeAt.IsZero() {
					t.Errorf("%s, wakes at %s, %+v", s.Outcome, s.WakeAt, s.Agents[0].Build)
				}
			})
		}
	}
}

func TestABuildIsFollowedWhileItsConfigIsRefused(t *testing.T) {
	for name, eventLost := range map[string]bool{"": false, "when its event is lost": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			w.settle()
			w.source("my_agent", zip)
			w.run(10 * time.Second)
			w.upload(key, "agents: {}\n")
			w.run(10 * time.Second)
			if eventLost {
				w.cloud.Advance(buildTime)
				w.drop(w.inbox, "aws.codebuild")
			}
			w.settle()
			if b := w.build(key); w.status(key).Outcome != status.Rejected || b.State != model.BuildSucceeded || !strings.HasSuffix(b.Image, digest(b.ID)) {
				t.Errorf("%s, %+v", w.status(key).Outcome, b)
			}
			if n := len(w.sent("Agent Build Succeeded")); n != 1 {
				t.Errorf("told %d times", n)
			}
		})
	}
}

func TestABuildIsNotRunWithAFreshRole(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*world)
		config string
	}{
		"that was just made":                  {func(*world) {}, container},
		"that CodeBuild cannot assume so far": {func(w *world) { w.cloud.SettleRoles(5 * time.Second) }, container},
		"whose rights are new":                {func(w *world) { w.upload(key, container); w.settle() }, withRepository},
		"whose rights were put back": {func(w *world) {
			w.upload(key, container)
			w.settle()
			w.admin().deletePolicy(buildRole("my_agent"), naming.BuildPolicy)
		}, container},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.repository("team/app")
			c.before(w)
			version := w.source("my_agent", zip)
			w.upload(key, c.config)
			w.run(20 * time.Second)
			if s := w.status(key); s.Outcome != status.Waiting || w.build(key).State != status.BuildWaiting || len(w.built()) > 0 {
				t.Errorf("%s, %+v, built %v", s.Outcome, w.build(key), w.built())
			}
			w.settle()
			wantBuilt(t, w, version)
			wantOutcome(t, w, key, status.Ready)
		})
	}
}

func TestASourceThatMayNotBeReadKeepsNoRoleFromBeingMade(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.source("my_agent", zip)
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "GetObject" && strings.HasPrefix(c.Resource, sources) {
			return awsfake.APIError("AccessDenied", "User is not authorized to perform: kms:Decrypt")
		}
		return nil
	}
	w.settle()
	w.cloud.Before = nil
	if s := w.status(key); s.Outcome != status.Ready || !slices.Equal(codes(s), []string{"source-unreadable"}) {
		t.Errorf("%s, %v", s.Outcome, s.Problems)
	}
	w.wantNothingLost()
	w.again(key)
	wantOutcome(t, w, key, status.Ready)
	if len(w.built()) != 1 {
		t.Errorf("built %v", w.built())
	}
}

func TestGoingBackToEarlierSettingsBuildsAgain(t *testing.T) {
	for _, after := range []time.Duration{time.Hour, 0} { // within the time that a token is known, too
		goBack(t, after)
	}
}

func goBack(t *testing.T, after time.Duration) {
	t.Helper()
	w := newWorld(t)
	w.cloud.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: 20 * time.Second} })
	w.upload(key, container)
	version := w.source("my_agent", zip)
	w.run(time.Minute)
	first := w.settings.Env.BuildImage
	for _, image := range []string{"aws/codebuild/amazonlinux-aarch64-standard:5.0", first} {
		w.cloud.Advance(after)
		w.settings.Env.BuildImage = image
		w.cloud.Put(w.inbox, wakeBody(t, key))
		w.run(30 * time.Second)
		if b := w.build(key); !strings.HasSuffix(b.Image, digest(b.ID)) {
			t.Errorf("build %+v", b)
		}
		w.again(key)
	}
	wantBuilt(t, w, version, version, version)
}

func TestABuildIsToldWithTheRepositoryItWasPushedTo(t *testing.T) {
	w := newWorld(t)
	w.repository("team/app")
	w.upload(key, container)
	w.settle()
	version := w.source("my_agent", zip)
	w.run(10 * time.Second)
	w.upload(key, withRepository)
	w.settle()
	wantBuilt(t, w, version, version)
	for i, sent := range w.sent("Agent Build Succeeded") {
		b := w.cloud.Builds()[i]
		if want := environment(b)["REPOSITORY_URI"] + "@" + digest(*b.Id); sent["image"] != want {
			t.Errorf("told %v, want %s", sent["image"], want)
		}
	}
}

func TestWhatAStrangerBuilds(t *testing.T) {
	start := func(w *world, identity string) {
		project := naming.Project("my_agent")
		in := &codebuild.StartBuildInput{ProjectName: &project}
		if identity != "" {
			in.EnvironmentVariablesOverride = []types.EnvironmentVariable{{Name: ptr("ROLEKEEPER_BUILD"), Value: &identity, Type: types.EnvironmentVariableTypePlaintext}}
		}
		w.must(w.cloud.CodeBuild("admin").StartBuild(context.Background(), in))
	}
	t.Run("in our project is waited for, with or without an event", func(t *testing.T) {
		w := newWorld(t)
		w.upload(key, container)
		w.settle()
		start(w, "")
		version := w.source("my_agent", zip)
		w.run(time.Minute)
		if s := w.status(key); s.Outcome != status.Waiting || w.build(key).State != status.BuildWaiting {
			t.Errorf("%s, %+v", s.Outcome, w.build(key))
		}
		w.cloud.Advance(buildTime)
		w.drop(w.inbox, "aws.codebuild")
		w.settle()
		if got := w.built(); len(got) != 2 || got[1] != version {
			t.Errorf("built %v", got)
		}
		wantOutcome(t, w, key, status.Ready)
	})
	t.Run("beside ours hides no result", func(t *testing.T) {
		w := newWorld(t)
		w.upload(key, container)
		w.settle()
		w.source("my_agent", zip)
		w.run(10 * time.Second)
		start(w, "")
		w.source("my_agent", zip+"2")
		w.settle()
		if n := len(w.sent("Agent Build Succeeded")); n != 2 {
			t.Errorf("%d results were told", n)
		}
	})
	t.Run("in a project of his own is not told as ours", func(t *testing.T) {
		w := newWorld(t)
		project := naming.Project("my_agent")
		w.strangersProject(project)
		w.put(naming.ConfigPrefix+"x", "") // the world's clock has moved on
		w.upload(key, container)
		version := w.source("my_agent", zip)
		w.settle()
		p := must(w.viewer().Preview(context.Background(), key, nil))
		start(w, p.Builds["my_agent"].Identity)
		w.cloud.Advance(time.Hour)
		w.again(key)
		if s := w.status(key); s.Agents[0].Build != nil {
			t.Errorf("told: %+v", s.Agents[0].Build)
		}
		w.must(w.cloud.CodeBuild("admin").DeleteProject(context.Background(), &codebuild.DeleteProjectInput{Name: &project}))
		w.cloud.LimitBuilds(0) // the project is there when its builds are listed
		w.cloud.Put(w.inbox, wakeBody(t, key))
		w.run(5 * time.Minute)
		w.cloud.LimitBuilds(1)
		w.settle()
		if got := w.built(); len(got) != 2 || got[1] != version {
			t.Errorf("built %v", got)
		}
	})
}

func TestNoBuildRunsWhereSomebodyElseHasMovedIt(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	project, fleet := naming.Project("my_agent"), "arn:aws:codebuild:us-east-1:123456789012:fleet/theirs:1"
	was := must(w.cloud.CodeBuild("admin").BatchGetProjects(context.Background(), &codebuild.BatchGetProjectsInput{Names: []string{project}})).Projects[0]
	moved := *was.Environment
	moved.Fleet = &types.ProjectFleet{FleetArn: &fleet}
	w.must(w.cloud.CodeBuild("admin").UpdateProject(context.Background(), &codebuild.UpdateProjectInput{Name: &project, Environment: &moved, Tags: was.Tags}))
	version := w.source("my_agent", zip)
	w.run(5 * time.Minute)
	wantBuilt(t, w)
	if b := w.build(key); b.State != status.BuildWaiting || !strings.Contains(b.Message, "fleet") {
		t.Errorf("%+v", b)
	}
	w.must(w.cloud.CodeBuild("admin").UpdateProject(context.Background(), &codebuild.UpdateProjectInput{Name: &project, Environment: was.Environment, Tags: was.Tags}))
	w.settle()
	wantBuilt(t, w, version)
}

func TestATagThatCannotBeMovedKeepsItsImage(t *testing.T) {
	w := newWorld(t)
	w.repository("team/app")
	w.upload(key, withRepository)
	version := w.source("my_agent", zip)
	w.settle()
	before := w.build(key)
	w.settings.Env.BuildImage = "aws/codebuild/amazonlinux-aarch64-standard:5.0"
	w.again(key)
	wantBuilt(t, w, version)
	if diff := cmp.Diff(before, w.build(key)); diff != "" {
		t.Errorf("the build (-before +after)\n%s", diff)
	}
}

func TestARequestForABuildWhileOneOfTheSameRunsHidesNoResult(t *testing.T) {
	w := newWorld(t)
	w.operators = true
	w.upload(key, container)
	version := w.source("my_agent", zip)
	w.run(time.Minute)
	w.rebuild("my_agent")
	w.settle()
	wantBuilt(t, w, version, version)
	for _, detailType := range []string{"Agent Build Started", "Agent Build Succeeded"} {
		if n := len(w.sent(detailType)); n != 2 {
			t.Errorf("%s was told %d times", detailType, n)
		}
	}
}

func TestAFailedBuildIsNotRepeatedForAnotherRepository(t *testing.T) {
	w := newWorld(t)
	w.cloud.RunBuilds(func(types.Build) awsfake.Outcome {
		return awsfake.Outcome{After: time.Minute, State: types.StatusTypeFailed}
	})
	w.upload(key, container)
	version := w.source("my_agent", zip)
	w.settle()
	w.cloud.Advance(time.Hour)
	repository := naming.Repository("my_agent")
	w.must(w.cloud.ECR("admin").DeleteRepository(context.Background(), &ecr.DeleteRepositoryInput{RepositoryName: &repository}))
	w.again(key)
	w.again(key)
	wantBuilt(t, w, version)
}

// The name of an agent's repository is that agent's, also before there is one.
func TestARepositoryIsNotTakenInAdvance(t *testing.T) {
	const victim = "bedrock-agentcore-victim"
	for field, config := range map[string]string{
		"to push to":     container + "      ecr_repository: " + victim + "\n",
		"to build on it": container + "    permissions:\n      base_images: [" + victim + "]\n",
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, config)
			w.settle()
			if s := w.status(key); s.Outcome != status.Rejected || !slices.Equal(codes(s), []string{"repository-reserved"}) || len(w.cloud.RoleNames()) > 0 {
				t.Errorf("%s, %v, roles %v", s.Outcome, s.Problems, w.cloud.RoleNames())
			}
		})
	}
	t.Run("nor between two looks at it", func(t *testing.T) {
		w := newWorld(t)
		w.upload(key, container+"      ecr_repository: "+victim+"\n")
		w.upload(other, agentsNamed("victim"))
		r := w.reconciler()
		r.Repositories = &racing{r.Repositories, func() { must(w.reconciler().Reconcile(context.Background(), other)) }}
		got := must(r.Reconcile(context.Background(), key))
		if s := w.status(key); got.Outcome != status.Rejected || !slices.Equal(codes(s), []string{"repository-of-other-config"}) {
			t.Errorf("%s, %v", got.Outcome, s.Problems)
		}
		if slices.Contains(w.cloud.RoleNames(), buildRole("my_agent")) {
			t.Error("the build role was made")
		}
	})
}

// racing has something happen just before the first look at a repository.
type racing struct {
	reconcile.Repositories
	first func()
}

func (r *racing) Head(ctx context.Context, name string) (model.ObservedRepository, error) {
	if f := r.first; f != nil {
		r.first = nil
		f()
	}
	return r.Repositories.Head(ctx, name)
}

// What is known of an image stays told while another build waits.
func TestABuildThatWaitsDoesNotHideTheLastOne(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.source("my_agent", zip)
	w.settle()
	was := w.build(key)
	w.cloud.LimitBuilds(0)
	w.source("my_agent", zip+"2")
	w.run(3 * time.Minute)
	if b := w.build(key); b.State != status.BuildWaiting || b.Last == nil {
		t.Fatalf("%+v", b)
	} else if diff := cmp.Diff(was, *b.Last); diff != "" {
		t.Errorf("the last build (-before +now)\n%s", diff)
	}
	w.source("my_agent", "no zip")
	w.upload(key, container+"# again\n")
	w.settle()
	if diff := cmp.Diff(was, w.build(key)); diff != "" {
		t.Errorf("the build (-before +now)\n%s", diff)
	}
	for _, detailType := range []string{"Agent Build Started", "Agent Build Succeeded"} {
		if n := len(w.sent(detailType)); n != 1 {
			t.Errorf("%s was told %d times", detailType, n)
		}
	}
}

// Queues count whole seconds, clocks do not.
func TestABuildThatWaitsIsNotForgottenWhateverTheClockSays(t *testing.T) {
	for ms := range 20 {
		w := newWorld(t)
		w.cloud.Advance(time.Duration(ms) * 53 * time.Millisecond)
		w.cloud.LimitBuilds(0)
		w.upload(key, container)
		version := w.source("my_agent", zip)
		w.run(20 * time.Minute)
		w.cloud.LimitBuilds(1)
		w.settle()
		wantBuilt(t, w, version)
	}
}
