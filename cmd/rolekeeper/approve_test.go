package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// braked is an account with a config whose agents are on their way out, and held
// back since too many roles were deleted.
func braked(t *testing.T, config string, agents ...string) *deployed {
	t.Helper()
	w := deploy(t)
	w.upload(teamKey, config)
	w.brake(agents...)
	w.sleep = func(context.Context, time.Duration) error {
		s := ready(teamKey, "solo")
		s.Requests = []status.Request{{ID: requestID, Outcome: status.RequestDone, Message: "the roles go"}}
		w.answer(w.t, s)
		return nil
	}
	return w
}

// brake holds agents back that are on their way out.
func (w *deployed) brake(agents ...string) {
	w.t.Helper()
	w.age(teamKey, func(s *status.Status) {
		s.Outcome = status.Blocked
		for i, a := range s.Agents {
			if slices.Contains(agents, a.Name) {
				s.Agents[i].Phase, s.Agents[i].RetireAfter, s.Agents[i].PhaseVersion = status.PhaseRetiring, at(11), s.Config.VersionID
				s.Agents[i].Runtimes = []status.Runtime{{ID: a.Name + "-0123456789", LastSeen: at(9), Gone: true}}
				s.Agents[i].BlockedBy = []status.Blocker{{ARN: a.RuntimeRoleARN, Kind: string(plan.Braked), Fix: "wait, or approve"}}
			}
		}
	})
}

func TestAnOperatorLetsGoWhatTheBrakeHolds(t *testing.T) {
	blockedToo := func(w *deployed) {
		w.age(teamKey, func(s *status.Status) {
			s.Agents[0].BlockedBy = append(s.Agents[0].BlockedBy, status.Blocker{ARN: "arn:gateway", Kind: string(plan.InUse), Fix: "delete the gateway"})
		})
	}
	for name, c := range map[string]struct {
		config  string
		prepare func(w *deployed)
		args    []string
		golden  string
		plans   []string
	}{
		"of a config that is gone": {container("solo"), func(w *deployed) { w.remove(teamKey) }, nil, "approve-deletion.txt", []string{"solo"}},
		"of a config that has it":  {container("solo"), nil, nil, "approve-deletion.txt", []string{"solo"}},
		"with its repository": {container("solo"), func(w *deployed) {
			w.parameters["DeleteRepositories"], w.parameters["MaxDeletesPerHour"] = "true", "7"
		}, nil, "approve-deletion-images.txt", []string{"solo"}},
		"without the config's repository": {container("solo"), func(w *deployed) {
			w.parameters["DeleteRepositories"] = "true"
			w.age(teamKey, func(s *status.Status) { s.Agents[0].Repository = "team/app" })
		}, nil, "approve-deletion.txt", []string{"solo"}},
		"of one named that the config has no longer": {
			container("solo"), func(w *deployed) { w.put(w.t, teamKey, direct("other")) }, []string{"solo"}, "approve-deletion.txt", []string{"solo"},
		},
		"though a role of it could be adopted": {container("solo"), func(w *deployed) {
			trust := w.role(buildRole("solo")).Trust
			w.deleteRole(buildRole("solo"))
			w.createRole(buildRole("solo"), trust)
		}, nil, "approve-deletion.txt", []string{"solo"}},
		"that is in use as well": {direct("solo"), blockedToo, nil, "approve-deletion-in-use.txt", []string{"solo"}},
		"of all agents":          {two(direct("solo"), direct("duo")), nil, nil, "approve-deletions.txt", []string{"duo", "solo"}},
		"of the agent named":     {two(container("solo"), direct("duo")), nil, []string{"solo"}, "approve-deletion.txt", []string{"solo"}},
		"of all that are named":  {two(direct("solo"), direct("duo")), nil, []string{"duo", "solo"}, "approve-deletions.txt", []string{"duo", "solo"}},
		"not what is to be adopted": {direct("solo"), func(w *deployed) {
			w.byToolkit("late", agent.DirectCode)
			w.upload(teamKey, two(direct("solo"), direct("late")))
			w.brake("solo")
		}, nil, "approve-both.txt", []string{"solo"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := braked(t, c.config, "solo", "duo")
			if c.prepare != nil {
				c.prepare(w)
			}
			w.ForgetCalls()
			w.terminal, w.stdin = true, "yes\n"
			got := w.run(t, append([]string{"approve", teamKey}, c.args...)...)
			if got.code != exitGood {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			golden(t, c.golden, got.stdout)
			if put := []string{"s3:PutObject " + w.bucket + "/" + naming.RequestKey(teamKey, requestID)}; !slices.Equal(w.wrote(), put) {
				t.Errorf("the tool wrote %q, want %q", w.wrote(), put)
			}
			r := w.asked()
			if got := slices.Sorted(maps.Keys(r.Plans)); r.Action != model.Approve || r.Config != teamKey || !slices.Equal(got, c.plans) {
				t.Errorf("request %+v, want one for %q", r, c.plans)
			}
			for _, a := range []string{"solo", "duo"} {
				if hash, asked := r.Plans[a]; asked && hash != plan.DeletionHash(w.claimed(a)) {
					t.Errorf("the plan for %s is %s, want that of its deletion", a, hash)
				}
			}
		})
	}
}

// By the function itself: what the brake holds, it lets go.
func TestWhatIsApprovedGoes(t *testing.T) {
	w := deploy(t)
	w.parameters["MaxDeletesPerHour"] = "1"
	w.upload(teamKey, two(direct("solo"), direct("duo")))
	w.retire()
	if a, b := w.phase("duo"), w.phase("solo"); a != status.PhaseQuarantined || b != status.PhaseRetiring {
		t.Fatalf("the agents are %s and %s", a, b)
	}
	if told := w.run(t, "status", teamKey).stdout; !strings.Contains(told, "(brake)") {
		t.Fatalf("nothing is held back:\n%s", told)
	}
	got := w.run(t, "approve", teamKey, "--yes")
	if got.code != exitGood || !strings.Contains(got.stdout, ": done: the roles go") || strings.Contains(got.stdout, "agent duo") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if p := w.phase("solo"); p != status.PhaseQuarantined {
		t.Errorf("the agent is %s", p)
	}
}

func TestNoDeletionIsApprovedThatIsNotHeldBack(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		args    []string
		code    int
		want    string
	}{
		"none": {func(w *deployed) {
			w.age(teamKey, func(s *status.Status) { s.Agents[0].BlockedBy[0].Kind = string(plan.InUse) })
		}, nil, exitGood, "nothing waits for an operator"},
		"none, of a config that is gone": {func(w *deployed) {
			w.age(teamKey, func(s *status.Status) { s.Agents[0].BlockedBy = nil })
			w.remove(teamKey)
		}, nil, exitError, "there is no config"},
		"of another agent":             {func(w *deployed) { w.put(w.t, teamKey, two(direct("solo"), direct("duo"))) }, []string{"duo"}, exitGood, "nothing waits for an operator"},
		"of an agent that comes back":  {func(w *deployed) { w.put(w.t, teamKey, direct("solo")) }, nil, exitGood, "nothing waits for an operator"},
		"of nobody's agent":            {nil, []string{"solo", "none"}, exitError, `has no agent "none"; it has solo`},
		"of a config at fault":         {func(w *deployed) { w.put(w.t, teamKey, "agents: {}") }, nil, exitProblems, "[config-no-agents]"},
		"without a claim":              {func(w *deployed) { w.remove(naming.RoleClaimKey("solo")) }, nil, exitError, naming.RoleClaimKey("solo")},
		"of an answer that is damaged": {func(w *deployed) { w.put(w.t, naming.StatusKey(teamKey), "{") }, nil, exitGood, "nothing waits for an operator"},
	} {
		t.Run(name, func(t *testing.T) {
			w := braked(t, direct("solo"), "solo")
			if c.prepare != nil {
				c.prepare(w)
			}
			w.ForgetCalls()
			got := w.run(t, append([]string{"approve", teamKey, "--yes"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) || len(w.wrote()) > 0 {
				t.Errorf("exit code %d, wrote %q\n%s%s", got.code, w.wrote(), got.stdout, got.stderr)
			}
		})
	}
}

func TestApproveGoesByTheAgentsNamed(t *testing.T) {
	w := waits(t, "alpha", "beta")
	got := w.run(t, "approve", teamKey, "beta", "--yes", "--wait=false")
	if r := w.asked(); got.code != exitGood || len(r.Plans) != 1 || r.Plans["beta"] == "" || strings.Contains(got.stdout, "alpha") {
		t.Errorf("exit code %d, asked for %+v\n%s%s", got.code, r, got.stdout, got.stderr)
	}
	w = waits(t, "alpha", "beta")
	w.trust(runtimeRole("beta"), lambdaTrust)
	w.ForgetCalls()
	got = w.run(t, "approve", teamKey, "beta", "--yes")
	if got.code != exitProblems || !strings.Contains(got.stdout, "[role-hostile]") || strings.Contains(got.stdout, "alpha") || len(w.wrote()) > 0 {
		t.Errorf("exit code %d, wrote %q\n%s%s", got.code, w.wrote(), got.stdout, got.stderr)
	}
	w = waits(t, "alpha", "beta")
	w.parameters["ExistingRoles"] = "adopt"
	got = w.run(t, "approve", teamKey, "beta", "--yes")
	if got.code != exitGood || !strings.Contains(got.stdout, "nothing waits for an operator; "+byItself) || strings.Contains(got.stdout, "alpha") || len(w.wrote()) > 0 {
		t.Errorf("exit code %d, wrote %q\n%s%s", got.code, w.wrote(), got.stdout, got.stderr)
	}
}
