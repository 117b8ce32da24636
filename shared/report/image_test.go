package report_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

const (
	image  = "123456789012.dkr.ecr.us-east-1.amazonaws.com/bedrock-agentcore-one@sha256:0123"
	logURL = "https://logs/one"
)

// container gives an agent with a build in a state, none when it is empty.
func container(name string, state model.BuildState, change func(*status.Agent)) status.Agent {
	return agent(name, func(a *status.Agent) {
		a.Repository, a.Project = "bedrock-agentcore-"+name, "bedrock-agentcore-"+name+"-builder"
		if state != "" {
			a.Build = &status.Build{ID: a.Project + ":1", State: state, Identity: "i1", SourceVersion: "v1", LogURL: logURL, Since: noon}
		}
		switch state {
		case model.BuildSucceeded:
			a.Build.Image = image
		case model.BuildFailed:
			a.Build.Message = "BUILD: COMMAND_EXECUTION_ERROR: docker build"
		case status.BuildWaiting:
			a.Build.ID, a.Build.LogURL = "", ""
		}
		if change != nil {
			change(a)
		}
	})
}

func warning(code, agent string) fault.Problem {
	return fault.Problem{Code: code, Severity: fault.SeverityWarning, Agent: agent, Message: "m of " + code, Fix: "mend " + code}
}

// imageStatuses gives statuses of configs with container agents.
func imageStatuses() map[string]status.Status {
	of := func(o status.Outcome, agents ...status.Agent) status.Status {
		return answer(func(s *status.Status) { s.Outcome, s.Agents = o, agents })
	}
	with := func(s status.Status, problems ...fault.Problem) status.Status {
		s.Problems = problems
		return s
	}
	sourceless := func(a *status.Agent) { a.Notes = []string{report.NoSourceNote("sources", a.Name+"/source.zip")} }
	removed := func(a *status.Agent) {
		a.Notes, a.Phase, a.RetireAfter = []string{report.RemovedAgentNote}, status.PhaseRetiring, noon.AddDate(0, 0, 1)
	}
	external := func(a *status.Agent) { a.Project, a.Applied = "", map[string]string{"build/external": buildARN} }
	const running, waits, failed, built = model.BuildInProgress, status.BuildWaiting, model.BuildFailed, model.BuildSucceeded
	return map[string]status.Status{
		"building":                         of(status.Building, container("one", running, nil)),
		"building, two agents":             of(status.Building, container("one", running, nil), container("two", running, nil)),
		"building, others stand elsewhere": with(of(status.Building, container("one", running, nil), container("two", built, nil), container("three", failed, nil), container("four", "", sourceless)), warning("build-failed", "three")),
		"building, one agent removed":      of(status.Building, container("one", running, nil), container("two", running, removed)),
		"waiting for room":                 of(status.Waiting, container("one", waits, nil)),
		"waiting for room, another runs":   of(status.Waiting, container("one", waits, nil), container("two", running, nil), container("three", waits, nil)),
		"waiting for AWS, with builds":     with(of(status.Waiting, container("one", waits, nil), container("two", running, nil)), warning("aws-not-ready", "")),
		"built":                            of(status.Ready, container("one", built, nil)),
		"built, two agents":                of(status.Ready, container("one", built, nil), container("two", built, nil)),
		"built, one of two":                of(status.Ready, container("one", built, nil), agent("two", nil)),
		"built, one agent removed":         of(status.Retiring, container("one", built, nil), container("two", failed, removed)),
		"failed build":                     with(of(status.Ready, container("one", failed, nil)), warning("build-failed", "one")),
		"failed builds":                    of(status.Ready, container("one", model.BuildFault, nil), container("two", model.BuildStopped, nil), container("three", model.BuildTimedOut, nil)),
		"image that is gone":               with(of(status.Ready, container("one", built, func(a *status.Agent) { a.Build.Image = "" })), warning("image-missing", "one")),
		"no source":                        of(status.Ready, container("one", "", sourceless)),
		"no sources":                       of(status.Ready, container("one", "", sourceless), container("two", "", sourceless)),
		"a source that is no zip":          with(of(status.Ready, container("one", "", nil), container("two", built, nil)), warning("source-not-zip", "one"), warning("jwt-no-audiences", "two")),
		"a build role of somebody else":    of(status.Ready, container("one", "", external)),
		"blocked, another is being built": of(status.Blocked, container("one", "", func(a *status.Agent) {
			a.BlockedBy = []status.Blocker{{ARN: "arn:p", Kind: "project-not-ours", Fix: "delete it"}}
		}), container("two", running, nil)),
		"a role that is not ours to use": of(status.Ready, agent("one", func(a *status.Agent) {
			a.RuntimeRoleARN, a.BuildRoleARN, a.Applied = "", "", map[string]string{"build/external": buildARN}
		})),
		"building, without a log yet": of(status.Building, container("one", running, func(a *status.Agent) { a.Build.LogURL = "" })),
		"a build role that is refused": of(status.Blocked, container("one", "", func(a *status.Agent) {
			a.BuildRoleARN, a.BlockedBy = "", []status.Blocker{{ARN: "arn:r", Kind: "role-hostile", Fix: "delete it"}}
		})),
		"an agent that needs no image": of(status.Ready, agent("one", func(a *status.Agent) { a.BuildRoleARN = "" })),
	}
}

func TestWordsSayWhatBecomesOfImages(t *testing.T) {
	const (
		at      = "2026-11-22T13:00:00Z"
		putBack = "two: to keep its roles, put the agent back into the config and upload that before 2026-11-23T12:00:00Z"
	)
	deploy := func(name string) string { return "deploy " + name + " with aws.execution_role " + runtimeARN }
	later := func(name string) string { return deploy(name) + " when its image is built" }
	now := func(name string) string {
		return "deploy " + name + " with image " + image + " and aws.execution_role " + runtimeARN
	}
	runs := func(name string) string {
		return name + ": nothing, this answer changes when the image is built; the log of the build is at " + logURL
	}
	waits := func(name string) string {
		return name + ": nothing, the build is started by itself; if that takes too long, tell the platform team what it waits for: "
	}
	upload := func(name string) string {
		return name + ": upload the source to s3://sources/" + name + "/source.zip: there is none, and no image is built before"
	}
	all := imageStatuses()
	tests := map[string]struct {
		summary string
		next    []string
	}{
		"building":             {"An image of agent one is being built; its roles are ready.", []string{runs("one"), later("one")}},
		"building, two agents": {"Images of 2 agents are being built; the roles of 2 agents are ready.", []string{runs("one"), later("one"), runs("two"), later("two")}},
		"building, others stand elsewhere": {
			"An image of agent one is being built; the roles of 4 agents are ready, with 1 warning; the image of agent two is built; the build of the image of agent three failed; the source of agent four is missing.",
			[]string{runs("one"), later("one"), now("two"), "three: mend build-failed", later("three"), upload("four"), later("four")},
		},
		"building, one agent removed": {
			"An image of agent one is being built; its roles are ready; agent two is no longer in the config: its roles are to be deleted, not before 2026-11-23T12:00:00Z.",
			[]string{runs("one"), later("one"), putBack},
		},
		"waiting for room": {"The build of the image of agent one cannot be started yet, and is tried again at " + at + "; its roles are ready.", []string{waits("one"), later("one")}},
		"waiting for room, another runs": {
			"The build of images of 2 agents cannot be started yet, and is tried again at " + at + "; an image of agent two is being built; the roles of 3 agents are ready.",
			[]string{waits("one"), later("one"), runs("two"), later("two"), waits("three"), later("three")},
		},
		"waiting for AWS, with builds": {"AWS could not be asked or told everything yet; the config is looked at again at " + at + ".", []string{"nothing: this is repeated by itself"}},
		"built":                        {"The roles of agent one are ready; its image is built.", []string{now("one")}},
		"built, two agents":            {"The roles of 2 agents are ready; the images of 2 agents are built.", []string{now("one"), now("two")}},
		"built, one of two":            {"The roles of 2 agents are ready; the image of agent one is built.", []string{now("one"), later("two")}},
		"built, one agent removed": {
			"The roles of agent one are ready; its image is built; agent two is no longer in the config: its roles are to be deleted, not before 2026-11-23T12:00:00Z.",
			[]string{now("one"), putBack},
		},
		"failed build":       {"The roles of agent one are ready, with 1 warning; the build of its image failed.", []string{"one: mend build-failed", later("one")}},
		"failed builds":      {"The roles of 3 agents are ready; the builds of the images of 3 agents failed.", []string{later("one"), later("two"), later("three")}},
		"image that is gone": {"The roles of agent one are ready, with 1 warning.", []string{"one: mend image-missing", later("one")}},
		"no source":          {"The roles of agent one are ready; its source is missing.", []string{upload("one"), later("one")}},
		"no sources":         {"The roles of 2 agents are ready; the sources of 2 agents are missing.", []string{upload("one"), later("one"), upload("two"), later("two")}},
		"a source that is no zip": {
			"The roles of 2 agents are ready, with 2 warnings; the image of agent two is built.", []string{"one: mend source-not-zip", later("one"), now("two")},
		},
		"a build role of somebody else": {"The roles of agent one are ready.", []string{
			"build the image of one yourself, with codebuild.execution_role " + buildARN + ": no build is started with a role that is not Rolekeeper's",
			later("one"),
		}},
		"blocked, another is being built": {
			"1 project of this config cannot be kept up, because of what somebody else made; the rest is as the config asks; an image of agent two is being built.",
			[]string{"arn:p: delete it", later("one"), runs("two"), later("two")},
		},
		"a role that is not ours to use": {"The roles of agent one are ready.", nil},
		"building, without a log yet": {
			"An image of agent one is being built; its roles are ready.", []string{"one: nothing, this answer changes when the image is built", later("one")},
		},
		"a build role that is refused": {
			"1 role of this config cannot be kept up, because of what somebody else made; the rest is as the config asks.", []string{"arn:r: delete it", later("one")},
		},
		"an agent that needs no image": {"The roles of agent one are ready.", []string{deploy("one")}},
	}
	if len(tests) != len(all) {
		t.Errorf("%d of %d statuses are tested", len(tests), len(all))
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			summary, next := report.Words(all[name])
			if summary != want.summary {
				t.Errorf("summary\n%q, want\n%q", summary, want.summary)
			}
			if diff := cmp.Diff(want.next, next); diff != "" {
				t.Errorf("next (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatBlocksSeveralAgentsIsToldOnce(t *testing.T) {
	_, next := report.Words(statuses()["blocked, a repository is missing"])
	if n := len(slices.DeleteFunc(next, func(line string) bool { return line != "arn:missing: create it" })); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestEveryEndOfABuildIsToldWithItsCauseAndItsLog(t *testing.T) {
	told := map[string]model.BuildState{}
	for _, state := range []model.BuildState{model.BuildFailed, model.BuildFault, model.BuildTimedOut, model.BuildStopped} {
		bare := report.BuildEnd(status.Build{State: state})
		if other, twice := told[bare]; bare == "" || twice || strings.ContainsAny(bare, ":;") {
			t.Errorf("%s is told as %q, as %s is", state, bare, other)
		}
		told[bare] = state
		if got, want := report.BuildEnd(status.Build{State: state, Message: "BUILD: why", LogURL: logURL}), bare+": BUILD: why; its log is at "+logURL; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if long := report.BuildEnd(status.Build{State: model.BuildFailed, Message: strings.Repeat("x", 5000)}); len(long) > 500 {
		t.Errorf("%d bytes", len(long))
	}
	if fix := report.BuildFix("configs/a.yaml", "one"); !strings.Contains(fix, "`rolekeeper build configs/a.yaml one`") || !strings.Contains(fix, "upload the source again") {
		t.Errorf("%q", fix)
	}
}

func TestAPartThatIsNoLongerAskedForIsNamed(t *testing.T) {
	if note := report.UnusedPartNote(model.RepositoryPart); !strings.Contains(note, "ECR repository") || !strings.Contains(note, "nothing was deleted") {
		t.Errorf("%q", note)
	}
	if note := report.UnusedPartNote(model.ProjectPart); !strings.Contains(note, "CodeBuild project") {
		t.Errorf("%q", note)
	}
}

func TestQuotedTextIsEqualForEqualFailures(t *testing.T) {
	text := func(id string) string {
		return report.Clip("start build of p: operation error CodeBuild: StartBuild, https response error StatusCode: 400, RequestID: " + id + ", AccountLimitExceededException: Cannot have more than 5 builds in queue for the account")
	}
	if a, b := text("0a1b2c3d-0000-1111-2222-333344445555"), text("ffff2c3d-0000-1111-2222-333344445555"); a != b || !strings.Contains(a, "Cannot have more than 5 builds") {
		t.Errorf("%q and %q", a, b)
	}
}

func TestEachBuildIsToldOnceWhenItStartsAndOnceWhenItEnds(t *testing.T) {
	never := status.Status{V: status.Version, Config: status.Config{Key: "configs/a.yaml"}}
	with := func(o status.Outcome, b *status.Build) status.Status {
		return answer(func(s *status.Status) {
			s.Outcome, s.Agents = o, []status.Agent{container("one", "", func(a *status.Agent) { a.Build = b })}
		})
	}
	of := func(id string, state model.BuildState, image string) *status.Build {
		return &status.Build{ID: id, State: state, SourceVersion: "v1", Image: image, Message: "why", LogURL: logURL}
	}
	none := with(status.Ready, nil)
	waiting := with(status.Waiting, of("", status.BuildWaiting, ""))
	running := with(status.Building, of("p:1", model.BuildInProgress, ""))
	done := with(status.Ready, of("p:1", model.BuildSucceeded, image))
	failed := with(status.Ready, of("p:1", model.BuildFailed, ""))
	const started, succeeded, ready = "Agent Build Started one p:1 of v1", "Agent Build Succeeded one p:1 of v1: " + image, "Agent Roles Ready one"
	end := func(state string) string { return "Agent Build Failed one p:1 of v1 " + state + ": why " + logURL }
	for name, c := range map[string]struct {
		before, now status.Status
		want        []string
	}{
		"a first one":                                {never, running, []string{ready, started}},
		"one that starts":                            {none, running, []string{started}},
		"one that waits for room":                    {none, waiting, []string{}},
		"one that has room now":                      {waiting, running, []string{started}},
		"one that still waits":                       {waiting, waiting, []string{}},
		"one that still runs":                        {running, running, []string{}},
		"one that succeeds":                          {running, done, []string{succeeded}},
		"one that ended before it was seen":          {none, done, []string{started, succeeded}},
		"one that ended before it was seen, failing": {waiting, failed, []string{started, end("failed")}},
		"one that fails":                             {running, failed, []string{end("failed")}},
		"one that CodeBuild fails":                   {running, with(status.Ready, of("p:1", model.BuildFault, "")), []string{end("fault")}},
		"one that takes too long":                    {running, with(status.Ready, of("p:1", model.BuildTimedOut, "")), []string{end("timed-out")}},
		"one that is stopped":                        {running, with(status.Ready, of("p:1", model.BuildStopped, "")), []string{end("stopped")}},
		"one that was told":                          {done, done, []string{}},
		"one that failed and was told":               {failed, failed, []string{}},
		"one whose image is not there":               {running, with(status.Ready, of("p:1", model.BuildSucceeded, "")), []string{strings.TrimSuffix(succeeded, image)}},
		"one whose image is found later":             {with(status.Ready, of("p:1", model.BuildSucceeded, "")), done, []string{}},
		"one whose image is lost":                    {done, with(status.Ready, of("p:1", model.BuildSucceeded, "")), []string{}},
		"one after a failed one":                     {failed, with(status.Building, of("p:2", model.BuildInProgress, "")), []string{"Agent Build Started one p:2 of v1"}},
		"one after another that was missed":          {running, with(status.Ready, of("p:2", model.BuildFailed, "")), []string{"Agent Build Started one p:2 of v1", "Agent Build Failed one p:2 of v1 failed: why " + logURL}},
		"one while something else is blocked":        {none, with(status.Blocked, of("p:1", model.BuildInProgress, "")), []string{started}},
		"one while the config cannot be looked at":   {running, with(status.Waiting, running.Agents[0].Build), []string{}},
		"one that ends while another waits":          {running, with(status.Waiting, done.Agents[0].Build), []string{succeeded}},
		"one under a version that is refused":        {running, with(status.Rejected, running.Agents[0].Build), []string{"Agent Config Rejected"}},
		"one that is forgotten":                      {running, none, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, told(report.Events(c.before, c.now))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// What happens to a build happens once: told again, because the answer was lost
// or another build was looked at meanwhile, it has the id it had.
func TestABuildThatIsToldAgainHasTheSameIDs(t *testing.T) {
	with := func(at time.Time, b *status.Build) status.Status {
		return answer(func(s *status.Status) {
			s.UpdatedAt, s.Agents = at, []status.Agent{container("one", "", func(a *status.Agent) { a.Build = b })}
		})
	}
	ids := func(before, now status.Status) (all []string) {
		for _, e := range report.Events(before, now) {
			all = append(all, transition(e).ID)
		}
		return all
	}
	done, other := &status.Build{ID: "p:1", State: model.BuildSucceeded, Image: image}, &status.Build{ID: "p:2", State: model.BuildSucceeded, Image: image}
	failed := &status.Build{ID: "p:1", State: model.BuildFailed}
	first := ids(with(noon, nil), with(noon, done))
	if len(first) != 2 || first[0] == first[1] {
		t.Fatalf("ids %q", first)
	}
	if diff := cmp.Diff(first, ids(with(noon.Add(time.Hour), other), with(noon, done))); diff != "" {
		t.Errorf("told again (-first +again):\n%s", diff)
	}
	for what, more := range map[string][]string{"another build": ids(with(noon, nil), with(noon, other)), "another end": ids(with(noon, nil), with(noon, failed))[1:]} {
		for _, id := range more {
			if slices.Contains(first, id) {
				t.Errorf("%s has an id of the first: %s", what, id)
			}
		}
	}
}
