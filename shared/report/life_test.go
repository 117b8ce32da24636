package report_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

const (
	archive = "archive/AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789/20261123T120000Z-0123456789ab-456789abcdef.json"
	another = "archive/AmazonBedrockAgentCoreSDKCodeBuild-us-east-1-0123456789/20261123T120000Z-0123456789ab-6789abcdef01.json"
	later   = "2026-11-23T12:00:00Z" // end of the grace period
)

// Changes of an agent to one of another phase, and to one that its config lacks.

func retiring(a *status.Agent) {
	a.Phase, a.PhaseVersion, a.RetireAfter = status.PhaseRetiring, "v1", noon.AddDate(0, 0, 1)
}

func quarantined(a *status.Agent) {
	retiring(a)
	a.Phase, a.DeleteAfter, a.RetirementID, a.ArchiveKeys = status.PhaseQuarantined, noon.AddDate(0, 0, 1).Add(time.Minute), "r1", []string{archive}
}

func retired(a *status.Agent) {
	a.Phase, a.PhaseVersion, a.RetirementID, a.ArchiveKeys = status.PhaseRetired, "v1", "r1", []string{archive}
}

func held(a *status.Agent) {
	a.Phase, a.PhaseVersion, a.ArchiveKeys = status.PhaseHeld, "v1", []string{archive}
}

func removed(a *status.Agent) { a.Notes = append(a.Notes, report.RemovedAgentNote) }

// by has an agent blocked, by kinds and what each is about.
func by(pairs ...string) func(*status.Agent) {
	return func(a *status.Agent) {
		for i := 0; i < len(pairs); i += 2 {
			a.BlockedBy = append(a.BlockedBy, status.Blocker{ARN: pairs[i+1], Kind: pairs[i], Fix: "mend " + pairs[i]})
		}
	}
}

func otherFix(a *status.Agent) { a.BlockedBy[0].Fix = "mend it otherwise" }

func all(changes ...func(*status.Agent)) func(*status.Agent) {
	return func(a *status.Agent) {
		for _, change := range changes {
			change(a)
		}
	}
}

// agents gives a status with agents.
func agents(o status.Outcome, of ...status.Agent) status.Status {
	return answer(func(s *status.Status) { s.Outcome, s.Agents = o, of })
}

// gone gives the status of a config that is gone.
func gone(s status.Status) status.Status {
	s.Config.VersionID = ""
	return s
}

func refusal(s status.Status) status.Status {
	s.Problems = []fault.Problem{problem("e", fault.SeverityError)}
	return s
}

// leavingStatuses gives statuses of configs with agents that are not kept up.
func leavingStatuses() map[string]status.Status {
	soon := func(a *status.Agent) { a.RetireAfter = noon.Add(time.Hour) }
	unarchived := func(a *status.Agent) { a.ArchiveKeys = nil }
	building := func(a *status.Agent) { a.Build = container("two", model.BuildInProgress, nil).Build }
	one, active := agent("one", nil), func(*status.Agent) {}
	with := func(name string, changes ...func(*status.Agent)) status.Agent { return agent(name, all(changes...)) }
	return map[string]status.Status{
		"deserted":                               agents(status.Retiring, with("two", retiring)),
		"several deserted":                       agents(status.Retiring, with("two", retiring), with("three", retiring, soon), with("four", retiring)),
		"removed":                                agents(status.Retiring, one, with("two", retiring, removed)),
		"several removed":                        agents(status.Retiring, one, with("two", retiring, removed), with("three", retiring, removed)),
		"config gone":                            gone(agents(status.Retiring, with("one", retiring, removed), with("two", retiring, removed, soon))),
		"config gone, agents untouched":          gone(agents(status.Orphaned, with("one", active, removed))),
		"removed, and still kept up":             agents(status.Ready, one, with("two", active, removed)),
		"quarantined":                            agents(status.Retiring, one, with("two", quarantined, building)),
		"removed and quarantined":                gone(agents(status.Retiring, with("two", quarantined, removed))),
		"retired":                                agents(status.Retired, with("two", retired)),
		"retired, both roles":                    agents(status.Ready, one, with("two", retired, removed, func(a *status.Agent) { a.ArchiveKeys = []string{another, archive} })),
		"retired without a role":                 gone(agents(status.Retired, with("two", retired, removed, unarchived))),
		"held":                                   agents(status.Ready, one, with("two", held)),
		"held, both roles":                       agents(status.Ready, one, with("two", held, func(a *status.Agent) { a.ArchiveKeys = []string{archive, another, archive} })),
		"held, two agents":                       agents(status.Ready, with("one", held), with("two", held, func(a *status.Agent) { a.ArchiveKeys = []string{another} })),
		"held, config gone":                      gone(agents(status.Orphaned, with("two", held, removed))),
		"rejected meanwhile":                     refusal(agents(status.Rejected, one, with("two", retiring), with("three", retired))),
		"rejected, and in use":                   refusal(agents(status.Rejected, with("two", retiring, by("role-not-ours", "arn:r", "in-use", "arn:1")))),
		"in use":                                 agents(status.Blocked, one, with("two", retiring, by("in-use", "arn:1"))),
		"in use, config gone":                    gone(agents(status.Blocked, with("two", retiring, removed, by("in-use", "arn:1", "in-use", "arn:2", "used-lately", "arn:r")))),
		"in use by one, of two":                  agents(status.Blocked, with("two", retiring, by("in-use", "arn:1")), with("three", retiring, by("in-use", "arn:1", "brake", "arn:r"))),
		"in use, and a stranger's":               agents(status.Blocked, with("one", by("role-not-ours", "arn:r")), with("two", retiring, removed, by("in-use", "arn:1"))),
		"ready, removed, in use":                 agents(status.Blocked, one, with("two", retiring, removed), with("three", retiring, removed, by("in-use", "arn:3"))),
		"in use by one in two ways":              agents(status.Blocked, with("two", retiring, by("in-use", "arn:1")), with("three", retiring, by("in-use", "arn:1"), otherFix)),
		"a stranger's, and others leave":         agents(status.Blocked, with("one", by("role-not-ours", "arn:r")), with("two", retiring, building), with("three", retired)),
		"deserted, and its image is being built": agents(status.Building, one, with("two", retiring, building)),
	}
}

func TestWordsSayWhatBecomesOfAgentsThatLeave(t *testing.T) {
	const (
		deploy       = "deploy one with aws.execution_role " + runtimeARN + " when its image is built"
		again        = "upload the config again"
		create       = "upload the config again, or create the agent's runtime again"
		putBack      = "put the agent back into the config and upload that"
		restore      = "two: to have role AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789 back as it was, have an operator run `rolekeeper restore AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789`; it is archived as " + archive
		restoreBuild = "two: to have role AmazonBedrockAgentCoreSDKCodeBuild-us-east-1-0123456789 back as it was, have an operator run `rolekeeper restore AmazonBedrockAgentCoreSDKCodeBuild-us-east-1-0123456789`; it is archived as " + another
		release      = "; to end the hold, have an operator run `rolekeeper release configs/a.yaml two`"
		mend         = "arn:1: mend in-use"
	)
	keep := func(name, how, until string) string {
		text := name + ": to keep its roles, " + how
		if until == "" {
			return text
		}
		return strings.ReplaceAll(text, create, create+",") + " before " + until
	}
	anew := func(name, how string) string { return name + ": to have its roles made anew, " + how }
	tests := map[string]struct {
		summary string
		next    []string
	}{
		"deserted": {"Agent two has no runtime any more: its roles are to be deleted, not before " + later + ".", []string{keep("two", create, later)}},
		"several deserted": {
			"3 agents have no runtime any more: their roles are to be deleted, not before 2026-11-22T13:00:00Z.",
			[]string{keep("two", create, later), keep("three", create, "2026-11-22T13:00:00Z"), keep("four", create, later)},
		},
		"removed": {
			"The roles of agent one are ready; agent two is no longer in the config: its roles are to be deleted, not before " + later + ".",
			[]string{deploy, keep("two", putBack, later)},
		},
		"several removed": {
			"The roles of agent one are ready; 2 agents are no longer in the config: their roles are to be deleted, not before " + later + ".",
			[]string{deploy, keep("two", putBack, later), keep("three", putBack, later)},
		},
		"config gone": {
			"The config is gone; the roles of 2 agents are to be deleted, not before 2026-11-22T13:00:00Z.",
			[]string{keep("one", again, later), keep("two", again, "2026-11-22T13:00:00Z")},
		},
		"config gone, agents untouched": {"The config is gone; the roles of agent one are still there.", []string{"one: to have its roles kept up, " + again}},
		"removed, and still kept up": {
			"The roles of agent one are ready; agent two is no longer in the config: its roles are still there.",
			[]string{deploy, "two: to have its roles kept up, " + putBack},
		},
		"quarantined": {
			"The roles of agent one are ready; nobody can assume the roles of agent two: they are to be deleted, not before 2026-11-23T12:01:00Z.",
			[]string{deploy, keep("two", again, "2026-11-23T12:01:00Z")},
		},
		"removed and quarantined": {
			"The config is gone; nobody can assume the roles of agent two: they are to be deleted, not before 2026-11-23T12:01:00Z.",
			[]string{keep("two", again, "2026-11-23T12:01:00Z")},
		},
		"retired": {"The roles of agent two were deleted, and are in the archive.", []string{anew("two", again), restore}},
		"retired, both roles": {
			"The roles of agent one are ready; the roles of agent two were deleted, and are in the archive.",
			[]string{deploy, anew("two", putBack), restoreBuild, restore},
		},
		"retired without a role": {"The config is gone; nothing is left of agent two that was made for it.", []string{anew("two", again)}},
		"held": {
			"The roles of agent one are ready; 1 role of agent two was restored by hand, and nothing of the agent is changed.",
			[]string{deploy, "two: to have its roles kept up again, " + again + release},
		},
		"held, both roles": {
			"The roles of agent one are ready; 2 roles of agent two were restored by hand, and nothing of the agent is changed.",
			[]string{deploy, "two: to have its roles kept up again, " + again + release},
		},
		"held, two agents": {
			"2 roles of 2 agents were restored by hand, and nothing of them is changed.",
			[]string{"one: to have its roles kept up again, " + again + strings.Replace(release, "two", "one", 1), "two: to have its roles kept up again, " + again + release},
		},
		"held, config gone": {
			"The config is gone; 1 role of agent two was restored by hand, and nothing of the agent is changed.",
			[]string{"two: to have its roles kept up again, " + again + release},
		},
		"rejected meanwhile": {
			"The config has 1 problem and was refused; nothing was changed, the roles of its last good version stay; the roles of agent two are to be deleted, not before " + later +
				"; the roles of agent three were deleted, and are in the archive.",
			[]string{
				"fix the problems and upload the config again", keep("two", again, later), anew("three", again), strings.Replace(restore, "two", "three", 1),
			},
		},
		"rejected, and in use": {
			"The config has 1 problem and was refused; nothing was changed, the roles of its last good version stay; the roles of agent two cannot be deleted yet: 1 resource uses them.",
			[]string{"fix the problems and upload the config again", mend, keep("two", again, "")},
		},
		"in use": {
			"The roles of agent two cannot be deleted yet: 1 resource uses them; the roles of agent one are ready.",
			[]string{mend, deploy, keep("two", create, "")},
		},
		"in use, config gone": {
			"The roles of agent two cannot be deleted yet: 2 resources use them, and they were used not long ago; the config is gone.",
			[]string{mend, "arn:2: mend in-use", "arn:r: mend used-lately", keep("two", again, "")},
		},
		"in use by one, of two": {
			"The roles of 2 agents cannot be deleted yet: too many were deleted within the hour, and 1 resource uses them.",
			[]string{mend, "arn:r: mend brake", keep("two", create, ""), keep("three", create, "")},
		},
		"in use, and a stranger's": {
			"1 role of this config cannot be kept up, because of what somebody else made; the roles of agent two cannot be deleted yet: 1 resource uses them; the rest is as the config asks.",
			[]string{"arn:r: mend role-not-ours", mend, deploy, keep("two", putBack, "")},
		},
		"ready, removed, in use": {
			"The roles of agent three cannot be deleted yet: 1 resource uses them; the roles of agent one are ready; agent two is no longer in the config: its roles are to be deleted, not before " + later + ".",
			[]string{"arn:3: mend in-use", deploy, keep("two", putBack, later), keep("three", putBack, "")},
		},
		"in use by one in two ways": {
			"The roles of 2 agents cannot be deleted yet: 1 resource uses them.",
			[]string{mend, "arn:1: mend it otherwise", keep("two", create, ""), keep("three", create, "")},
		},
		"a stranger's, and others leave": {
			"1 role of this config cannot be kept up, because of what somebody else made; the rest is as the config asks; an image of agent two is being built; " +
				"agent two has no runtime any more: its roles are to be deleted, not before " + later + "; the roles of agent three were deleted, and are in the archive.",
			[]string{"arn:r: mend role-not-ours", deploy, keep("two", create, later), anew("three", again), strings.Replace(restore, "two", "three", 1)},
		},
		"deserted, and its image is being built": {
			"An image of agent two is being built; the roles of agent one are ready; agent two has no runtime any more: its roles are to be deleted, not before " + later + ".",
			[]string{deploy, keep("two", create, later)},
		},
	}
	statuses := leavingStatuses()
	if len(tests) != len(statuses) {
		t.Errorf("%d of %d statuses are tested", len(tests), len(statuses))
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			summary, next := report.Words(statuses[name])
			if summary != want.summary {
				t.Errorf("summary\n%q, want\n%q", summary, want.summary)
			}
			if diff := cmp.Diff(want.next, next); diff != "" {
				t.Errorf("next (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the outcome and the phases, every agent is told of, and nobody is told
// to deploy one that is not to be used, or that roles are ready that are not.
func TestEveryAgentIsToldOf(t *testing.T) {
	phases := map[string]func(*status.Agent){
		"active": func(*status.Agent) {}, "retiring": retiring, "quarantined": quarantined, "retired": retired, "held": held,
	}
	for _, outcome := range []status.Outcome{status.Ready, status.Building, status.Orphaned, status.Retiring, status.Retired, status.Blocked, status.Rejected} {
		for name, phase := range phases {
			for _, changes := range [][]func(*status.Agent){{phase}, {phase, removed}, {phase, by("in-use", "arn:1")}} {
				for _, there := range []bool{true, false} {
					s := agents(outcome, agent("one", all(changes...)))
					if !there {
						s = gone(s)
					}
					summary, next := report.Words(s)
					about := fmt.Sprintf("%s, %s, %d changes, config %v: %q %q", outcome, name, len(changes), there, summary, next)
					if outcome != status.Rejected && !strings.Contains(summary, "agent one") && !strings.Contains(summary, "Agent one") || len(next) == 0 {
						t.Error("nothing is told: " + about)
					}
					kept := name == "active" && there && !slices.Contains(s.Agents[0].Notes, report.RemovedAgentNote)
					deploy := slices.ContainsFunc(next, func(line string) bool { return strings.HasPrefix(line, "deploy one") })
					if ready := strings.Contains(summary, "are ready"); (deploy || ready) && !kept {
						t.Error("it is told to be ready: " + about)
					}
				}
			}
		}
	}
}

func TestWhatHasManyUsersIsToldInFewLines(t *testing.T) {
	_, next := report.Words(agents(status.Blocked, agent("one", func(a *status.Agent) {
		retiring(a)
		for i := range 1000 {
			by("in-use", fmt.Sprint("arn:", i))(a)
		}
		a.BlockedBy[0].Fix = strings.Repeat("ü", 5000)
		a.BlockedBy[1].Fix = "nothing: it is not known (StatusCode: 403, RequestID: 0a1b2c3d, api error AccessDenied: no)"
	})))
	if len(next) > 35 || !strings.Contains(strings.Join(next, "\n"), "and 970 more") {
		t.Errorf("%d lines: %q", len(next), next)
	}
	if n := len([]rune(next[0])); n > 1001 {
		t.Errorf("a line of %d characters", n)
	}
	if strings.Contains(next[1], "RequestID") || !strings.Contains(next[1], "AccessDenied") {
		t.Errorf("%q", next[1])
	}
}

// blockerKinds gives the kinds of what keeps roles from being deleted.
func blockerKinds(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../plan/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "BlockerKind" {
					text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, text)
				}
			}
			return true
		})
	}
	if !slices.Contains(all, string(plan.InUse)) || len(all) < 8 {
		t.Fatalf("kinds %q", all)
	}
	return all
}

func TestEveryKindOfBlockerIsToldInItsOwnWords(t *testing.T) {
	told := map[string]string{}
	for _, kind := range blockerKinds(t) {
		summary, next := report.Words(agents(status.Blocked, agent("one", all(retiring, by(kind, "arn:1")))))
		_, reason, ok := strings.Cut(strings.TrimSuffix(summary, "."), "The roles of agent one cannot be deleted yet: ")
		if other, twice := told[reason]; !ok || twice || reason == "" || strings.Contains(reason, ";") {
			t.Errorf("%s is told as %q, as %q is", kind, summary, other)
		}
		told[reason] = kind
		if !slices.Contains(next, "arn:1: mend "+kind) {
			t.Errorf("%s: next %q", kind, next)
		}
	}
}

func TestReasonsAreToldInOneOrder(t *testing.T) {
	var blocked []func(*status.Agent)
	for _, kind := range blockerKinds(t) {
		blocked = append(blocked, by(kind, "arn:1"))
	}
	first, _ := report.Words(agents(status.Blocked, agent("one", all(blocked...))))
	slices.Reverse(blocked)
	second, _ := report.Words(agents(status.Blocked, agent("one", all(blocked...))))
	if first != second {
		t.Errorf("%q and %q", first, second)
	}
}

func TestEventsTellOfAgentsThatLeave(t *testing.T) {
	never := status.Status{V: status.Version, Config: status.Config{Key: "configs/a.yaml"}}
	with := func(o status.Outcome, changes ...func(*status.Agent)) status.Status {
		return agents(o, agent("one", all(changes...)))
	}
	second := func(s status.Status) status.Status {
		s.Config.VersionID, s.Config.AppliedVersionID = "v2", "v2"
		return s
	}
	drifted := func(a *status.Agent) {
		a.Drift = []status.Drift{{Element: "runtime/policy/x", Kind: "edited", At: noon}}
	}
	extra := func(a *status.Agent) {
		a.Drift = []status.Drift{{Element: "runtime/policy/y", Kind: "extra", At: noon}}
	}
	done := func(a *status.Agent) {
		a.Build = &status.Build{ID: "b", State: model.BuildSucceeded, SourceVersion: "v"}
	}
	active := with(status.Ready)
	leaves, leavesRemoved := with(status.Retiring, retiring), with(status.Retiring, retiring, removed)
	shut, away := with(status.Retiring, quarantined), with(status.Retired, retired)
	inUse := with(status.Blocked, retiring, by("in-use", "arn:1"))
	const deserts, goes, ready = "Agent Retiring one deserted, after 12:00:00: " + runtimeARN + ", " + buildARN, "Agent Retiring one removed, after 12:00:00: " + runtimeARN + ", " + buildARN, "Agent Roles Ready one"
	const deleted, blocked = `Agent Roles Deleted one r1 ["` + archive + `"]`, "Role Deletion Blocked one "
	const drift = "Role Drift Detected one [{AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789 runtime/policy/y extra}]"
	for name, c := range map[string]struct {
		before, now status.Status
		want        []string
	}{
		"one whose runtimes are gone":                     {active, leaves, []string{deserts}},
		"one that was told to leave":                      {leaves, leaves, nil},
		"one that was removed":                            {active, leavesRemoved, []string{goes}},
		"one that was deserted, then removed":             {leaves, leavesRemoved, nil},
		"one whose config is gone":                        {active, gone(leavesRemoved), []string{goes}},
		"one whose config is gone, whatever is noted":     {active, gone(leaves), []string{goes}},
		"one that was leaving when the config went":       {leaves, gone(leavesRemoved), nil},
		"one that was never told of":                      {never, leaves, []string{deserts}},
		"one that is no longer held":                      {with(status.Ready, held), leaves, []string{deserts}},
		"one whose quarantine ended":                      {shut, leaves, nil},
		"one that is shut off":                            {leaves, shut, nil},
		"one whose quarantine ended, in use":              {shut, inUse, []string{blocked + "[{arn:1 in-use mend in-use}]"}},
		"one that is deleted":                             {shut, away, []string{deleted}},
		"one that is deleted, the config gone":            {gone(with(status.Retiring, quarantined, removed)), gone(with(status.Retired, retired, removed)), []string{deleted}},
		"one of which there was nothing to shut off":      {leaves, with(status.Retired, retired, func(a *status.Agent) { a.ArchiveKeys = nil }), []string{"Agent Roles Deleted one r1 []"}},
		"one that was told to be deleted":                 {away, away, nil},
		"one that was deleted, and is not remembered":     {never, away, nil},
		"one that is restored":                            {away, with(status.Ready, held), nil},
		"one that has a runtime again":                    {leaves, active, nil},
		"one that is uploaded again in time":              {leaves, second(active), []string{ready}},
		"one that is uploaded again after all":            {away, active, []string{ready}},
		"one that is released":                            {with(status.Ready, held), active, []string{ready}},
		"one that is uploaded and a stranger's":           {away, with(status.Blocked, by("role-not-ours", "arn:r")), nil},
		"one that was in quarantine":                      {shut, active, nil},
		"one that leaves while another version comes":     {active, second(with(status.Retiring, retiring)), []string{deserts}},
		"one that leaves while its config is refused":     {active, with(status.Rejected, retiring), []string{"Agent Config Rejected", deserts}},
		"one that is deleted while its config is refused": {with(status.Rejected, quarantined), with(status.Rejected, retired), []string{deleted}},
		"one that leaves while AWS cannot be asked":       {leaves, with(status.Waiting, retiring), nil},

		"roles in use":                          {leaves, inUse, []string{blocked + "[{arn:1 in-use mend in-use}]"}},
		"roles in use, told before":             {inUse, inUse, nil},
		"roles in use, with another fix":        {inUse, with(status.Blocked, retiring, by("in-use", "arn:1"), otherFix), nil},
		"roles in use by another":               {inUse, with(status.Blocked, retiring, by("in-use", "arn:2")), []string{blocked + "[{arn:2 in-use mend in-use}]"}},
		"roles in use by one more":              {inUse, with(status.Blocked, retiring, by("in-use", "arn:1", "in-use", "arn:2")), []string{blocked + "[{arn:1 in-use mend in-use} {arn:2 in-use mend in-use}]"}},
		"roles in use by one less":              {with(status.Blocked, retiring, by("in-use", "arn:1", "in-use", "arn:2")), inUse, []string{blocked + "[{arn:1 in-use mend in-use}]"}},
		"roles in use, in another order":        {with(status.Blocked, retiring, by("in-use", "arn:1", "in-use", "arn:2")), with(status.Blocked, retiring, by("in-use", "arn:2", "in-use", "arn:1")), nil},
		"a role that is kept for another cause": {inUse, with(status.Blocked, retiring, by("brake", "arn:1")), []string{blocked + "[{arn:1 brake mend brake}]"}},
		"roles that are free":                   {inUse, leaves, nil},
		"roles in use, the config gone":         {gone(leavesRemoved), gone(with(status.Blocked, retiring, removed, by("in-use", "arn:1"))), []string{blocked + "[{arn:1 in-use mend in-use}]"}},
		"roles in use, never told to leave":     {active, inUse, []string{deserts, blocked + "[{arn:1 in-use mend in-use}]"}},
		"a stranger's role":                     {leaves, with(status.Blocked, retiring, by("role-not-ours", "arn:r")), nil},
		"a part that is a stranger's, in use":   {inUse, with(status.Blocked, retiring, by("in-use", "arn:1", "project-not-ours", "arn:p")), nil},
		"a part that is ours again, in use":     {with(status.Blocked, retiring, by("in-use", "arn:1", "project-not-ours", "arn:p")), inUse, nil},
		"roles in use of one that is active":    {inUse, active, nil},

		"drift of one that leaves":            {leaves, with(status.Retiring, retiring, extra), []string{drift}},
		"drift of one in quarantine":          {shut, with(status.Retiring, quarantined, extra), nil},
		"drift of one that is retired":        {away, with(status.Retired, retired, extra), nil},
		"drift of one that is held":           {with(status.Ready, held), with(status.Ready, held, extra), nil},
		"drift that goes with the roles":      {with(status.Retiring, retiring, drifted), shut, nil},
		"drift when the config is gone":       {gone(leavesRemoved), gone(with(status.Retiring, retiring, removed, extra)), nil},
		"an agent that stays, the config not": {never, gone(active), nil},
		"an agent that stays, and is removed": {never, with(status.Ready, removed), nil},
		"a build of one that leaves":          {leaves, with(status.Retiring, retiring, done), []string{"Agent Build Started one b of v", "Agent Build Succeeded one b of v: "}},
		"a build when the config is gone":     {gone(leavesRemoved), gone(with(status.Retiring, retiring, removed, done)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			events := report.Events(c.before, c.now)
			if diff := cmp.Diff(append([]string{}, c.want...), told(events)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			ids := map[string]bool{}
			for _, e := range events {
				if e, ok := e.(event.RolesDeleted); ok && e.ArchiveKeys == nil {
					t.Error("a list that JSON has as null")
				}
				tr := transition(e)
				if tr.ID == "" || ids[tr.ID] || tr.Config != c.now.Config.Key || tr.ConfigVersion != c.now.Config.VersionID {
					t.Errorf("transition %+v", tr)
				}
				ids[tr.ID] = true
			}
		})
	}
}

// A run that died before it had answered is repeated later, and makes the times
// and the ids of what it does anew.
func TestARepeatedRunTellsOfALeavingAgentWithTheSameIDs(t *testing.T) {
	ids := func(before, now status.Status) (all []string) {
		for _, e := range report.Events(before, now) {
			all = append(all, transition(e).ID)
		}
		return all
	}
	repeated := func(s status.Status) status.Status {
		s.Agents = slices.Clone(s.Agents)
		a := &s.Agents[0]
		a.RetireAfter, a.RetirementID, a.ArchiveKeys = a.RetireAfter.Add(time.Minute), "r2", []string{another}
		a.BlockedBy = slices.Clone(a.BlockedBy)
		for i := range a.BlockedBy {
			a.BlockedBy[i].Fix += " now"
		}
		s.UpdatedAt = s.UpdatedAt.Add(time.Minute)
		return s
	}
	later := func(s status.Status) status.Status {
		s.UpdatedAt = s.UpdatedAt.Add(time.Hour)
		return s
	}
	active, leaves := agents(status.Ready, agent("one", nil)), agents(status.Retiring, agent("one", retiring))
	shut, away := agents(status.Retiring, agent("one", quarantined)), agents(status.Retired, agent("one", retired))
	seen := map[string]string{}
	for name, c := range map[string]struct{ before, now status.Status }{
		"leaves":                    {active, leaves},
		"is removed":                {active, agents(status.Retiring, agent("one", all(retiring, removed)))},
		"is deleted":                {shut, away},
		"is deleted at once":        {later(leaves), away},
		"is in use":                 {leaves, agents(status.Blocked, agent("one", all(retiring, by("in-use", "arn:1"))))},
		"is in use by another":      {leaves, agents(status.Blocked, agent("one", all(retiring, by("in-use", "arn:2"))))},
		"is in use another time":    {later(leaves), agents(status.Blocked, agent("one", all(retiring, by("in-use", "arn:1"))))},
		"leaves another time":       {later(active), leaves},
		"of another name it leaves": {agents(status.Ready, agent("two", nil)), agents(status.Retiring, agent("two", retiring))},
	} {
		first := ids(c.before, c.now)
		if len(first) != 1 {
			t.Fatalf("%s: %d events", name, len(first))
		}
		if diff := cmp.Diff(first, ids(c.before, repeated(c.now))); diff != "" {
			t.Errorf("%s: repeated (-first +second)\n%s", name, diff)
		}
		if other, twice := seen[first[0]]; twice {
			t.Errorf("%s and %s have one id", name, other)
		}
		seen[first[0]] = name
	}
}

func TestABlockedDeletionTellsABoundedNumberOfBlockers(t *testing.T) {
	many := agents(status.Blocked, agent("one", func(a *status.Agent) {
		retiring(a)
		by("role-not-ours", "arn:r")(a)
		for i := range 3 * event.MaxProblems {
			by("in-use", fmt.Sprint("arn:", i))(a)
		}
		a.BlockedBy[1].Fix = strings.Repeat("x", 5000)
	}))
	events := report.Events(agents(status.Retiring, agent("one", retiring)), many)
	if len(events) != 1 {
		t.Fatalf("events %v", told(events))
	}
	by := events[0].(event.DeletionBlocked).BlockedBy
	if len(by) != event.MaxProblems || by[0].ARN != "arn:0" || len(by[0].Fix) > 500 {
		t.Errorf("%d blockers, the first %+v", len(by), by[0])
	}
}
