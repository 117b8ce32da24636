package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// held is an account with an agent whose role was restored.
func held(t *testing.T) *deployed {
	t.Helper()
	w := deploy(t)
	w.upload(teamKey, direct("solo"))
	w.putPolicy(runtimeRole("solo"), naming.RuntimePolicy("solo"), orders)
	w.age(teamKey, func(s *status.Status) {
		s.Agents[0].Phase, s.Agents[0].PhaseVersion = status.PhaseHeld, s.Config.VersionID
	})
	w.sleep = func(context.Context, time.Duration) error {
		w.reconcile(teamKey)
		return nil
	}
	return w
}

// claimed gives the claim on an agent's roles.
func (w *deployed) claimed(agent string) model.Claim {
	w.t.Helper()
	key := naming.RoleClaimKey(agent)
	c, err := model.ParseClaim(w.Objects(w.bucket, key)[key])
	w.must(nil, err)
	return c
}

func TestAnOperatorEndsAHold(t *testing.T) {
	deserted := func(w *deployed) {
		w.age(teamKey, func(s *status.Status) {
			s.Agents[0].Runtimes = []status.Runtime{{ID: "solo-0123456789", LastSeen: at(9), Gone: true}, {ID: "solo-abcdefghij", LastSeen: at(9), Foreign: true, Gone: true}}
		})
	}
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		golden  string
		becomes status.Phase
	}{
		"of an agent of the config":      {nil, "release.txt", status.PhaseActive},
		"of one whose runtimes are gone": {deserted, "release-leaving.txt", status.PhaseRetiring},
		"of one that has a runtime": {func(w *deployed) {
			deserted(w)
			w.age(teamKey, func(s *status.Status) { s.Agents[0].Runtimes[0].Gone = false })
		}, "release.txt", status.PhaseActive},
		"of one with a runtime of another role": {func(w *deployed) {
			deserted(w)
			w.age(teamKey, func(s *status.Status) { s.Agents[0].Runtimes[1].Gone = false })
		}, "release.txt", status.PhaseActive},
		"of one that never had its own": {func(w *deployed) {
			deserted(w)
			w.age(teamKey, func(s *status.Status) { s.Agents[0].Runtimes = s.Agents[0].Runtimes[1:] })
		}, "release.txt", status.PhaseActive},
		"of one that the config has no longer": {func(w *deployed) { w.put(w.t, teamKey, direct("other")) }, "release-leaving.txt", status.PhaseRetiring},
		"of one whose config is gone":          {func(w *deployed) { w.remove(teamKey) }, "release-leaving.txt", status.PhaseRetiring},
	} {
		t.Run(name, func(t *testing.T) {
			w := held(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			w.ForgetCalls()
			w.terminal, w.stdin = true, "yes\n"
			got := w.run(t, "release", "team/agent.yaml", "solo")
			if got.code != exitGood {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			golden(t, c.golden, got.stdout)
			if put := []string{"s3:PutObject " + w.bucket + "/" + naming.RequestKey(teamKey, requestID)}; !slices.Equal(w.wrote(), put) {
				t.Errorf("the tool wrote %q, want %q", w.wrote(), put)
			}
			if p := w.phase("solo"); p != c.becomes {
				t.Errorf("the agent is %s, want %s", p, c.becomes)
			}
			want := plan.ReleaseHash(w.claimed("solo"))
			if r := w.asked(); r.Action != model.Release || r.Config != teamKey || r.Archive != "" || len(r.Plans) != 1 || r.Plans["solo"] != want {
				t.Errorf("request %+v, want plan %s", r, want)
			}
		})
	}
}

func TestNothingIsReleasedThatIsNotHeld(t *testing.T) {
	phase := func(p status.Phase) func(w *deployed) {
		return func(w *deployed) {
			w.age(teamKey, func(s *status.Status) {
				s.Agents[0].Phase, s.Agents[0].RetireAfter, s.Agents[0].DeleteAfter, s.Agents[0].RetirementID = p, at(13), at(14), "1"
			})
		}
	}
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		agent   string
		code    int
		want    string
	}{
		"an active agent":          {phase(status.PhaseActive), "solo", exitProblems, "agent solo is not held: it is active"},
		"a retiring agent":         {phase(status.PhaseRetiring), "solo", exitProblems, "is not held: it is retiring; its roles are deleted after 2026-11-22T13:00:00Z"},
		"a retired agent":          {phase(status.PhaseRetired), "solo", exitProblems, "is not held: it is retired"},
		"an agent that is new":     {func(w *deployed) { w.put(w.t, teamKey, direct("fresh")) }, "fresh", exitProblems, "agent fresh is not held: Rolekeeper has not answered for it yet"},
		"an agent of nobody":       {nil, "duo", exitError, teamKey + ` has no agent "duo"` + "\n"},
		"a config that is refused": {func(w *deployed) { w.put(w.t, teamKey, "agents: {}") }, "solo", exitProblems, "[config-no-agents]"},
		"without a claim":          {func(w *deployed) { w.remove(naming.RoleClaimKey("solo")) }, "solo", exitError, naming.RoleClaimKey("solo")},
		"with a claim of another agent": {func(w *deployed) {
			w.put(w.t, naming.RoleClaimKey("solo"), `{"v":1,"config":"configs/team/agent.yaml","agent":"other"}`)
		}, "solo", exitError, "are those of agent other of configs/team/agent.yaml now"},
		"with another's claim": {func(w *deployed) {
			w.put(w.t, naming.RoleClaimKey("solo"), `{"v":1,"config":"configs/other.yaml","agent":"solo"}`)
		}, "solo", exitError, "are those of agent solo of configs/other.yaml now"},
	} {
		t.Run(name, func(t *testing.T) {
			w := held(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			w.ForgetCalls()
			got := w.run(t, "release", teamKey, c.agent, "--yes")
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) || len(w.wrote()) > 0 {
				t.Errorf("exit code %d, wrote %q\n%s%s", got.code, w.wrote(), got.stdout, got.stderr)
			}
		})
	}
}
