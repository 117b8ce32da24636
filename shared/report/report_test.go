package report_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

const (
	runtimeARN = "arn:aws:iam::123456789012:role/AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789"
	buildARN   = "arn:aws:iam::123456789012:role/AmazonBedrockAgentCoreSDKCodeBuild-us-east-1-0123456789"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// answer gives a status of a ready config with one agent, changed.
func answer(change func(*status.Status)) status.Status {
	s := status.Status{
		V: status.Version, Config: status.Config{Key: "configs/a.yaml", VersionID: "v1", AppliedVersionID: "v1"},
		Outcome: status.Ready, UpdatedAt: noon, WakeAt: noon.Add(time.Hour),
		Agents: []status.Agent{agent("one", nil)},
	}
	if change != nil {
		change(&s)
	}
	return s
}

func agent(name string, change func(*status.Agent)) status.Agent {
	a := status.Agent{
		Name: name, Phase: status.PhaseActive, RuntimeRoleARN: runtimeARN, BuildRoleARN: buildARN,
		Applied: map[string]string{"runtime/trust": "t1", "build/trust": "t1"},
	}
	if change != nil {
		change(&a)
	}
	return a
}

func problem(code string, severity fault.Severity) fault.Problem {
	return fault.Problem{Code: code, Severity: severity, Message: "m", Fix: "f"}
}

// statuses gives one or more statuses of every outcome.
func statuses() map[string]status.Status {
	by := func(arn, kind, fix string) status.Blocker { return status.Blocker{ARN: arn, Kind: kind, Fix: fix} }
	theirs, squatted := by(runtimeARN, "role-not-ours", "delete the role"), by(buildARN, "role-hostile", "delete it at once")
	repository, project := by("arn:repository", "repository-not-ours", "name it"), by("arn:project", "project-not-ours", "delete the project")
	missing := by("arn:missing", "repository-missing", "create it")
	blocked := func(agents ...[]status.Blocker) func(*status.Status) {
		return func(s *status.Status) {
			s.Agents = nil
			for i, by := range agents {
				s.Agents = append(s.Agents, agent([]string{"one", "two"}[i], func(a *status.Agent) { a.BlockedBy = by }))
			}
		}
	}
	outcome := func(o status.Outcome, change func(*status.Status)) status.Status {
		return answer(func(s *status.Status) {
			s.Outcome = o
			if change != nil {
				change(s)
			}
		})
	}
	all := map[string]status.Status{
		"ready": answer(nil),
		"ready, two agents, a warning": answer(func(s *status.Status) {
			s.Agents = append(s.Agents, agent("two", nil))
			s.Problems = []fault.Problem{problem("w", fault.SeverityWarning)}
		}),
		"rejected, first": outcome(status.Rejected, func(s *status.Status) {
			s.Agents, s.Config.AppliedVersionID = nil, ""
			s.Problems = []fault.Problem{problem("e", fault.SeverityError)}
		}),
		"rejected, later": outcome(status.Rejected, func(s *status.Status) {
			s.Problems = []fault.Problem{problem("e", fault.SeverityError), problem("f", fault.SeverityError), problem("w", fault.SeverityWarning)}
		}),
		"gone, nothing left":               outcome(status.Retired, func(s *status.Status) { s.Config.VersionID, s.Agents = "", nil }),
		"blocked":                          outcome(status.Blocked, blocked([]status.Blocker{theirs})),
		"blocked, several roles":           outcome(status.Blocked, blocked([]status.Blocker{theirs}, []status.Blocker{squatted})),
		"blocked, everything":              outcome(status.Blocked, blocked([]status.Blocker{theirs, squatted, project}, []status.Blocker{repository, project})),
		"blocked, a repository is missing": outcome(status.Blocked, blocked([]status.Blocker{missing}, []status.Blocker{missing})),
		"blocked, two repositories":        outcome(status.Blocked, blocked([]status.Blocker{repository}, []status.Blocker{by("arn:other", "repository-not-ours", "name it")})),
		"blocked, what was ours is gone":   outcome(status.Blocked, blocked([]status.Blocker{by("arn:role", "role-missing", "wait"), by("arn:project", "project-missing", "wait")})),
		"blocked, and one is missing":      outcome(status.Blocked, blocked([]status.Blocker{repository}, []status.Blocker{missing})),
	}
	for _, o := range []status.Outcome{status.Waiting, status.Failed} {
		all[string(o)] = outcome(o, nil)
	}
	return all
}

func TestEveryOutcomeIsOneSentence(t *testing.T) {
	told := map[string]string{}
	all := statuses()
	maps.Copy(all, leavingStatuses())
	for name, s := range all {
		summary, next := report.Words(s)
		if !strings.HasSuffix(summary, ".") || strings.Contains(strings.TrimSuffix(summary, "."), ". ") || strings.ContainsAny(summary, "\n%!") ||
			summary[0] != strings.ToUpper(summary)[0] && (summary[0] < '0' || summary[0] > '9') {
			t.Errorf("%s: %q", name, summary)
		}
		if other, twice := told[summary]; twice {
			t.Errorf("%s and %s are both told as %q", name, other, summary)
		}
		told[summary] = name
		for _, line := range next {
			if line == "" || strings.Contains(line, "%!") {
				t.Errorf("%s: next %q", name, next)
			}
		}
	}
}

func TestWordsSayWhatStaysAndWhatToDo(t *testing.T) {
	all := statuses()
	for name, c := range map[string]struct {
		says  []string
		lacks []string
		next  []string // each must be in one line
	}{
		"ready":                        {[]string{"agent one"}, []string{"warning"}, []string{"deploy one with aws.execution_role " + runtimeARN}},
		"ready, two agents, a warning": {[]string{"2 agents", "1 warning"}, []string{"warnings"}, []string{"deploy one", "deploy two"}},
		"rejected, first":              {[]string{"1 problem", "refused"}, []string{"problems", "last good version"}, []string{"upload the config again"}},
		"rejected, later":              {[]string{"2 problems", "last good version"}, nil, []string{"upload the config again"}},
		"gone, nothing left":           {[]string{"Nothing is left"}, nil, nil},
		"blocked":                      {[]string{"1 role"}, []string{"roles"}, []string{"delete the role", runtimeARN}},
		"blocked, several roles":       {[]string{"2 roles of this config"}, nil, []string{"delete the role", "delete it at once"}},
		"blocked, everything": {[]string{"2 roles and 1 repository and 1 project of this config", "somebody else made"}, []string{"2 projects", "there is none"},
			[]string{"delete the role", "delete it at once", "arn:repository: name it", "arn:project: delete the project"}},
		"blocked, a repository is missing": {[]string{"1 repository of this config cannot be used, because there is none of the name", "there is none"}, []string{"somebody else"}, []string{"arn:missing: create it"}},
		"blocked, two repositories":        {[]string{"2 repositories of this config"}, nil, nil},
		"blocked, and one is missing":      {[]string{"1 repository of this config cannot be kept up", "1 repository of this config cannot be used, because there is none of the name"}, nil, []string{"create it", "name it"}},
		"waiting":                          {[]string{"2026-11-22T13:00:00Z"}, nil, []string{"by itself"}},
		"failed":                           {[]string{"nothing that is in use was deleted"}, nil, []string{"dead letters"}},
	} {
		t.Run(name, func(t *testing.T) {
			summary, next := report.Words(all[name])
			for _, want := range c.says {
				if !strings.Contains(summary, want) {
					t.Errorf("%q does not say %q", summary, want)
				}
			}
			for _, never := range c.lacks {
				if strings.Contains(summary, never) {
					t.Errorf("%q says %q", summary, never)
				}
			}
			for _, want := range c.next {
				if !slices.ContainsFunc(next, func(line string) bool { return strings.Contains(line, want) }) {
					t.Errorf("next %q does not say %q", next, want)
				}
			}
		})
	}
}

// told gives the events in short: detail-type, agent and what was found.
func told(events []event.Outgoing) []string {
	all := []string{}
	for _, e := range events {
		t := transition(e)
		line := strings.TrimSpace(e.DetailType() + " " + t.Agent)
		switch e := e.(type) {
		case event.DriftDetected:
			line += found(e.Findings)
		case event.DriftRepaired:
			line += found(e.Findings)
		case event.BuildStarted:
			line += fmt.Sprintf(" %s of %s", e.Build, e.SourceVersion)
		case event.BuildSucceeded:
			line += fmt.Sprintf(" %s of %s: %s", e.Build, e.SourceVersion, e.Image)
		case event.BuildFailed:
			line += fmt.Sprintf(" %s of %s %s: %s %s", e.Build, e.SourceVersion, e.State, e.Message, e.LogURL)
		case event.AgentRetiring:
			line += fmt.Sprintf(" %s, after %s: %s, %s", e.Reason, e.RetireAfter.Format(time.TimeOnly), e.RuntimeRoleARN, e.BuildRoleARN)
		case event.RolesDeleted:
			line += fmt.Sprintf(" %s %q", e.RetirementID, e.ArchiveKeys)
		case event.DeletionBlocked:
			line += fmt.Sprint(" ", e.BlockedBy)
		}
		all = append(all, line)
	}
	return all
}

func found(findings []event.DriftFinding) string {
	var all []string
	for _, f := range findings {
		text := strings.Join([]string{f.Role, f.Element, f.Kind}, " ")
		if f.Actor != "" {
			text += " by " + f.Actor
		}
		all = append(all, "{"+text+"}")
	}
	return fmt.Sprint(" ", all)
}

func transition(e event.Outgoing) event.Transition {
	switch e := e.(type) {
	case event.RolesReady:
		return e.Transition
	case event.ConfigRejected:
		return e.Transition
	case event.DriftDetected:
		return e.Transition
	case event.DriftRepaired:
		return e.Transition
	case event.BuildStarted:
		return e.Transition
	case event.BuildSucceeded:
		return e.Transition
	case event.BuildFailed:
		return e.Transition
	case event.AgentRetiring:
		return e.Transition
	case event.RolesDeleted:
		return e.Transition
	case event.DeletionBlocked:
		return e.Transition
	}
	return event.Transition{}
}

// role gives the name in an ARN.
func role(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func TestEventsTellWhatIsNew(t *testing.T) {
	never := status.Status{V: status.Version, Config: status.Config{Key: "configs/a.yaml"}}
	rejected := func(version string, codes ...string) status.Status {
		return answer(func(s *status.Status) {
			s.Outcome, s.Config.VersionID, s.Problems = status.Rejected, version, nil
			for _, code := range codes {
				s.Problems = append(s.Problems, problem(code, fault.SeverityError))
			}
		})
	}
	with := func(change func(*status.Agent)) status.Status {
		return answer(func(s *status.Status) { s.Agents = []status.Agent{agent("one", change)} })
	}
	drifted := func(element, kind string) status.Status {
		return with(func(a *status.Agent) { a.Drift = []status.Drift{{Element: element, Kind: kind, At: noon}} })
	}
	blocked := answer(func(s *status.Status) {
		s.Outcome = status.Blocked
		s.Agents = []status.Agent{agent("one", func(a *status.Agent) { a.BlockedBy = []status.Blocker{{ARN: runtimeARN}} })}
	})
	second := answer(func(s *status.Status) { s.Config.VersionID, s.Config.AppliedVersionID = "v2", "v2" })
	gone := answer(func(s *status.Status) { s.Outcome, s.Config.VersionID = status.Orphaned, "" })
	waiting := answer(func(s *status.Status) { s.Outcome = status.Waiting })
	building := answer(func(s *status.Status) { s.Outcome = status.Building })
	parts := func(applied map[string]string) func(*status.Agent) {
		return func(a *status.Agent) {
			a.Repository, a.Project = "repository-of-one", "project-of-one"
			a.Applied = map[string]string{"runtime/trust": "t1", "build/trust": "t1"}
			maps.Copy(a.Applied, applied)
		}
	}
	changed := func(element, kind string) status.Status {
		return with(func(a *status.Agent) {
			parts(nil)(a)
			a.Drift = []status.Drift{{Element: element, Kind: kind, At: noon}}
		})
	}
	failed := answer(func(s *status.Status) { s.Outcome = status.Failed })
	for name, c := range map[string]struct {
		before, now status.Status
		want        []string
	}{
		"a first config that is ready":        {never, answer(nil), []string{"Agent Roles Ready one"}},
		"the same again":                      {answer(nil), answer(nil), nil},
		"another version with the same roles": {answer(nil), second, []string{"Agent Roles Ready one"}},
		"the same version with other roles":   {answer(nil), with(func(a *status.Agent) { a.Applied = map[string]string{"runtime/trust": "t2"} }), []string{"Agent Roles Ready one"}},
		"a second agent":                      {answer(nil), answer(func(s *status.Status) { s.Agents = append(s.Agents, agent("two", nil)) }), []string{"Agent Roles Ready two"}},
		"an agent that was removed": {answer(nil), answer(func(s *status.Status) {
			s.Outcome = status.Orphaned
			s.Agents[0].Notes = []string{report.RemovedAgentNote}
		}), nil},
		"an agent that is held":              {never, with(func(a *status.Agent) { a.Phase = status.PhaseHeld }), nil},
		"a config that is gone":              {answer(nil), gone, nil},
		"a role of somebody else":            {answer(nil), blocked, nil},
		"a role that is ours again":          {blocked, answer(nil), []string{"Agent Roles Ready one"}},
		"a config that waits as it was":      {answer(nil), waiting, nil},
		"a config that waited":               {waiting, answer(nil), nil},
		"a first config that waits for room": {never, waiting, []string{"Agent Roles Ready one"}},
		"a first config that is being built": {never, building, []string{"Agent Roles Ready one"}},
		"a config that was built":            {building, answer(nil), nil},
		"a config that waits, with its drift": {drifted("runtime/policy/x", "extra"), answer(func(s *status.Status) {
			s.Outcome, s.Agents = status.Waiting, drifted("runtime/policy/x", "extra").Agents
		}), nil},
		"a blocked config that waits": {blocked, answer(func(s *status.Status) { s.Outcome, s.Agents = status.Waiting, blocked.Agents }), nil},
		"drift while it is being built": {answer(nil), answer(func(s *status.Status) {
			s.Outcome, s.Agents = status.Building, drifted("runtime/policy/x", "extra").Agents
		}), []string{"Role Drift Detected one [{" + role(runtimeARN) + " runtime/policy/x extra}]"}},
		"another project":                       {with(parts(map[string]string{"project/settings": "s1"})), with(parts(map[string]string{"project/settings": "s2", "repository/tags": "r"})), nil},
		"a config that failed":                  {answer(nil), failed, nil},
		"a first refusal":                       {never, rejected("v1", "a"), []string{"Agent Config Rejected"}},
		"the same refusal again":                {rejected("v1", "a"), rejected("v1", "a"), nil},
		"another version, refused for the same": {rejected("v1", "a"), rejected("v2", "a"), []string{"Agent Config Rejected"}},
		"the same version, refused for another": {rejected("v1", "a"), rejected("v1", "b"), []string{"Agent Config Rejected"}},
		"a good version after a refusal":        {rejected("v2", "a"), answer(func(s *status.Status) { s.Config.VersionID, s.Config.AppliedVersionID = "v3", "v3" }), []string{"Agent Roles Ready one"}},
		"drift that is left alone":              {answer(nil), drifted("runtime/policy/x", "extra"), []string{"Role Drift Detected one [{" + role(runtimeARN) + " runtime/policy/x extra}]"}},
		"drift of the build role":               {answer(nil), drifted("build/policy/x", "extra"), []string{"Role Drift Detected one [{" + role(buildARN) + " build/policy/x extra}]"}},
		"drift of the project":                  {answer(nil), changed("project/extra/vpc", "extra"), []string{"Role Drift Detected one [{project-of-one project/extra/vpc extra}]"}},
		"a project that was gone":               {changed("project", "missing"), with(parts(nil)), []string{"Role Drift Repaired one [{project-of-one project missing}]"}},
		"drift of the repository":               {changed("repository/tags", "edited"), with(parts(nil)), []string{"Role Drift Repaired one [{repository-of-one repository/tags edited}]"}},
		"drift that was told":                   {drifted("runtime/policy/x", "extra"), drifted("runtime/policy/x", "extra"), nil},
		"drift that became another":             {drifted("runtime/trust", "missing"), drifted("runtime/trust", "edited"), []string{"Role Drift Detected one [{" + role(runtimeARN) + " runtime/trust edited}]"}},
		"drift that was repaired":               {drifted("runtime/trust", "edited"), answer(nil), []string{"Role Drift Repaired one [{" + role(runtimeARN) + " runtime/trust edited}]"}},
		"an extra that somebody else took away": {drifted("runtime/policy/x", "extra"), answer(nil), nil},
		"an extra that was removed":             {drifted("runtime/policy/x", "removed"), answer(nil), []string{"Role Drift Repaired one [{" + role(runtimeARN) + " runtime/policy/x removed}]"}},
		"an extra that is told again":           {drifted("runtime/policy/x", "removed"), drifted("runtime/policy/x", "extra"), nil},
		"drift that somebody is known to have caused": {answer(nil), with(func(a *status.Agent) {
			a.Drift = []status.Drift{{Element: "runtime/trust", Kind: "edited", Actor: "arn:somebody", At: noon}}
		}), []string{"Role Drift Detected one [{" + role(runtimeARN) + " runtime/trust edited by arn:somebody}]"}},
		"a role that is gone": {drifted("runtime/trust", "edited"), with(func(a *status.Agent) {
			a.RuntimeRoleARN, a.BlockedBy = "", []status.Blocker{{ARN: runtimeARN, Kind: string(plan.RoleGone)}}
			a.Drift = []status.Drift{{Element: "runtime", Kind: "role-missing", At: noon}}
		}), []string{"Role Drift Detected one [{" + role(runtimeARN) + " runtime role-missing}]"}},
		"a role that was gone and is somebody else's": {drifted("runtime", "role-missing"), with(func(a *status.Agent) {
			a.RuntimeRoleARN, a.BlockedBy = "", []status.Blocker{{ARN: runtimeARN, Kind: string(plan.Replaced)}}
		}), nil},
		"a role that was gone for long and is somebody else's": {with(func(a *status.Agent) {
			a.RuntimeRoleARN, a.Drift = "", []status.Drift{{Element: "runtime", Kind: "role-missing", At: noon}}
		}), with(func(a *status.Agent) {
			a.RuntimeRoleARN, a.BlockedBy = "", []status.Blocker{{ARN: runtimeARN, Kind: string(plan.Replaced)}}
		}), nil},
		"drift beside what there is no room for": {drifted("runtime/trust", "edited"), with(func(a *status.Agent) {
			a.BlockedBy = []status.Blocker{{ARN: runtimeARN, Kind: string(plan.TagsFull)}}
		}), []string{"Role Drift Repaired one [{" + role(runtimeARN) + " runtime/trust edited}]"}},
		"a project that is gone": {changed("project/settings", "edited"), with(func(a *status.Agent) {
			parts(nil)(a)
			a.BlockedBy = []status.Blocker{{ARN: "arn:aws:codebuild:us-east-1:123456789012:project/project-of-one", Kind: string(plan.ProjectGone)}}
		}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			events := report.Events(c.before, c.now)
			if c.want == nil {
				c.want = []string{}
			}
			if diff := cmp.Diff(c.want, told(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(events, report.Events(c.before, c.now)); diff != "" {
				t.Errorf("a run that is repeated tells something else:\n%s", diff)
			}
			ids := map[string]bool{}
			for _, e := range events {
				tr := transition(e)
				if tr.ID == "" || ids[tr.ID] || tr.Config != c.now.Config.Key || tr.ConfigVersion != c.now.Config.VersionID {
					t.Errorf("transition %+v", tr)
				}
				ids[tr.ID] = true
			}
		})
	}
}

func TestDifferentTransitionsHaveDifferentIDs(t *testing.T) {
	never := status.Status{V: status.Version, Config: status.Config{Key: "configs/a.yaml"}}
	later := func(s status.Status) status.Status {
		s.UpdatedAt = s.UpdatedAt.Add(time.Hour)
		return s
	}
	rejected := func(code string) status.Status {
		return answer(func(s *status.Status) {
			s.Outcome, s.Problems = status.Rejected, []fault.Problem{problem(code, fault.SeverityError)}
			s.Summary, _ = report.Words(*s)
		})
	}
	blocked := answer(func(s *status.Status) {
		s.Outcome, s.Agents[0].BlockedBy = status.Blocked, []status.Blocker{{ARN: runtimeARN}}
	})
	other := answer(func(s *status.Status) { s.Agents[0].Applied = map[string]string{"runtime/trust": "t2"} })
	drifted := answer(func(s *status.Status) { s.Agents[0].Drift = []status.Drift{{Element: "runtime/trust", Kind: "edited"}} })
	// One life of one version of a config. What is told a second time happened a second time.
	life := []status.Status{
		never, rejected("name-claimed"), rejected("project-claimed"), answer(nil), drifted, answer(nil), drifted, answer(nil),
		blocked, answer(nil), other, rejected("name-claimed"),
	}
	seen := map[string]string{}
	n := 0
	for i := 1; i < len(life); i++ {
		before, now := life[i-1], life[i]
		for range i {
			before = later(before)
		}
		for _, e := range report.Events(before, now) {
			n++
			what := fmt.Sprintf("%s in step %d", e.DetailType(), i)
			if first, twice := seen[transition(e).ID]; twice {
				t.Errorf("%s has the id of %s", what, first)
			}
			seen[transition(e).ID] = what
		}
	}
	if n < 9 {
		t.Errorf("only %d events: %v", n, seen)
	}
}

// A run that died after it had told something may find another world when it is
// repeated: that is another transition.
func TestOtherRolesFromTheSameAnswerOnAreAnotherTransition(t *testing.T) {
	ready := func(digest string) string {
		now := answer(func(s *status.Status) {
			s.Agents[0].Applied = map[string]string{"runtime/trust": digest, "project/settings": digest}
		})
		return transition(report.Events(answer(nil), now)[0]).ID
	}
	if ready("t2") == ready("t3") {
		t.Error("they have one id")
	}
}

func TestARefusalTellsABoundedNumberOfProblems(t *testing.T) {
	s := answer(func(s *status.Status) {
		s.Outcome = status.Rejected
		for range 3 * event.MaxProblems {
			s.Problems = append(s.Problems, problem("e", fault.SeverityError))
		}
	})
	events := report.Events(status.Status{}, s)
	if len(events) != 1 || len(events[0].(event.ConfigRejected).Problems) != event.MaxProblems {
		t.Errorf("events %+v", events)
	}
}

func TestEqualFailuresHaveEqualText(t *testing.T) {
	iam := "get role x: operation error IAM: GetRole, https response error StatusCode: 403, RequestID: %s, api error AccessDenied: no"
	s3 := "get s3://b/k: operation error S3: GetObject, https response error StatusCode: 503, RequestID: %s, HostID: %s+/=, api error SlowDown: slow"
	lost := "put events: read tcp %s->%s: read: connection reset by peer, StatusCode: 0, api error: none"
	for name, texts := range map[string][2]string{
		"a connection": {fmt.Sprintf(lost, "10.0.0.7:40112", "52.94.1.1:443"), fmt.Sprintf(lost, "10.0.0.9:51234", "52.94.1.2:443")},
		"IPv6":         {fmt.Sprintf(lost, "[2600:1f18::1]:40112", "[2600::2]:443"), fmt.Sprintf(lost, "[2600:1f18::2]:1", "[2600::3]:443")},
		"IAM":          {fmt.Sprintf(iam, "0a1b2c3d-0000-1111-2222-333344445555"), fmt.Sprintf(iam, "ffff2c3d-0000-1111-2222-333344445555")},
		"S3":           {fmt.Sprintf(s3, "N4N7GDK58NMKJ12R", "abc/def"), fmt.Sprintf(s3, "ZZN7GDK58NMKJ12R", "ghi/jkl")},
	} {
		for kind, tell := range map[string]func(error) fault.Problem{"waiting": report.WaitingProblem, "failed": report.FailedProblem} {
			a, b := tell(errors.New(texts[0])), tell(errors.New(texts[1]))
			if a != b {
				t.Errorf("%s, %s: %q and %q", name, kind, a.Message, b.Message)
			}
			for _, keep := range []string{"StatusCode", "api error"} {
				if !strings.Contains(a.Message, keep) {
					t.Errorf("%s, %s: %q lacks %q", name, kind, a.Message, keep)
				}
			}
			if strings.Contains(a.Message, "RequestID") || strings.Contains(a.Message, "HostID") || a.Code == "" || a.Fix == "" {
				t.Errorf("%s, %s: %+v", name, kind, a)
			}
		}
	}
	if m := report.FailedProblem(errors.New(strings.Repeat("ü", 5000))).Message; len([]rune(m)) > 1001 {
		t.Errorf("a message of %d characters", len([]rune(m)))
	}
	if report.WaitingProblem(errors.New("x")).Severity != fault.SeverityWarning || report.FailedProblem(errors.New("x")).Severity != fault.SeverityError {
		t.Error("severities")
	}
}
