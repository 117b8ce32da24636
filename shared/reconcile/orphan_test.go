package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// retire has an operator ask that the roles go which an agent's names have now.
func (w *world) retire(name string) {
	w.t.Helper()
	w.ask(model.Request{Action: model.Retire, Plans: map[string]string{name: w.retireHash(key, name)}})
}

func (w *world) retireHash(key, name string) string {
	w.t.Helper()
	var there []model.ObservedRole
	for _, role := range []string{runtimeRole(name), buildRole(name)} {
		if w.hasRole(role) {
			there = append(there, w.role(role))
		}
	}
	return plan.RetireHash(key, name, there)
}

// answered gives the answers to an operator's requests in the order they were sent.
func (w *world) answered() []string {
	var all []string
	for _, r := range w.status(key).Requests {
		all = append(all, string(r.Outcome)+": "+r.Message)
	}
	return all
}

func TestRolesThatNoConfigAsksForAreRetired(t *testing.T) {
	for name, before := range map[string]func(w *world){
		"under a config that never was": func(*world) {},
		"under a config that has another agent": func(w *world) {
			w.upload(key, agentsNamed("other_agent"))
			w.settle()
		},
		"under a config that lost the agent and its status": func(w *world) {
			for _, role := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
				w.admin().deleteRole(role)
			}
			w.upload(key, container)
			w.settle()
			w.remove(naming.StatusKey(key))
			w.remove(naming.ClaimIndexKey(key))
			w.remove(key)
		},
		"under a config that retired an agent of the name": func(w *world) {
			for _, role := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
				w.admin().deleteRole(role)
			}
			w.upload(key, container)
			w.settle()
			w.remove(key)
			w.elapse(25 * time.Hour)
			w.pass(0)
			w.pass(time.Hour)
			w.wantPhase(key, "my_agent", status.PhaseRetired)
			w.byToolkit("my_agent")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.operators = true
			w.byToolkit("my_agent")
			before(w)
			was := w.roles()
			w.retire("my_agent")
			w.settle()
			w.wantPhase(key, "my_agent", status.PhaseRetiring)
			wantOutcome(t, w, key, status.Retiring)
			if got := w.answered(); len(got) != 1 || !strings.HasPrefix(got[0], "done: ") {
				t.Errorf("answered %q", got)
			}
			if diff := cmp.Diff(was, w.roles()); diff != "" {
				t.Errorf("the roles were written at once:\n%s", diff)
			}
			if a, _ := w.status(key).Agent("my_agent"); !a.RetireAfter.After(w.cloud.Now().Add(23 * time.Hour)) {
				t.Errorf("retires after %s", a.RetireAfter)
			}
			a, _ := w.status(key).Agent("my_agent")
			w.elapse(time.Hour)
			w.retire("my_agent")
			w.settle()
			w.wantPhase(key, "my_agent", status.PhaseRetiring)
			if b, _ := w.status(key).Agent("my_agent"); !b.RetireAfter.Equal(a.RetireAfter) || len(w.answered()) != 2 {
				t.Errorf("a second request changes the time from %s to %s; answered %q", a.RetireAfter, b.RetireAfter, w.answered())
			}
			p, err := w.viewer().Preview(context.Background(), key, []byte(container))
			if known := strings.Contains(name, "lost"); err != nil || p.Plan.Stranger(runtimeRole("my_agent")) == known {
				t.Errorf("a config that has the agent again is shown %v, %v", p.Plan.Refusals, err)
			}
			w.elapse(25 * time.Hour)
			w.pass(0)
			w.pass(time.Hour)
			w.wantPhase(key, "my_agent", status.PhaseRetired)
			for _, role := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
				if w.hasRole(role) {
					t.Errorf("%s is still there", role)
				}
				kept := slices.ContainsFunc(w.archivesOf(role)[model.ArchiveRetired], func(a model.Archive) bool {
					return a.Role.ID == was[role].ID && cmp.Diff(a.Role.Policies, was[role].Policies) == ""
				})
				if !kept {
					t.Errorf("%s is not archived as it was", role)
				}
			}
			if n := len(w.sent("Agent Retiring")); n == 0 {
				t.Error("nobody is told that it goes")
			}
		})
	}
}

func TestARetirementByHandThatIsRefused(t *testing.T) {
	const elsewhere = "configs/elsewhere.yaml"
	for name, c := range map[string]struct {
		before func(w *world) (hash string)
		agent  string
		says   string
	}{
		"of an agent that the config has": {func(w *world) string {
			w.upload(key, container)
			w.settle()
			return ""
		}, "", "the config has agent my_agent"},
		"while nobody can tell what the config has": {func(w *world) string {
			w.upload(key, "agents: [")
			w.settle()
			return ""
		}, "", "its problems come first"},
		"of an agent of another config": {func(w *world) string {
			w.admin().deleteRole(runtimeRole("my_agent"))
			w.admin().deleteRole(buildRole("my_agent"))
			w.upload(elsewhere, container)
			w.settle()
			return ""
		}, "", "is taken by " + elsewhere},
		"of roles that are not there": {func(w *world) string {
			w.admin().deleteRole(runtimeRole("my_agent"))
			w.admin().deleteRole(buildRole("my_agent"))
			return ""
		}, "", "neither a runtime role nor a build role"},
		"of other roles than were shown": {func(w *world) string {
			hash := w.retireHash(key, "my_agent")
			w.admin().deleteRole(buildRole("my_agent"))
			return hash
		}, "", "other roles now"},
		"of a role with a path": {func(w *world) string {
			name := runtimeRole("my_agent")
			w.admin().deleteRole(name)
			w.must(w.admin().CreateRole(context.Background(), &iam.CreateRoleInput{RoleName: &name, Path: aws.String("/team/"), AssumeRolePolicyDocument: aws.String(agentCoreTrust)}))
			return ""
		}, "", "roles with a path"},
		"of what no agent is called": {func(*world) string { return strings.Repeat("a", 64) }, "no agent", "is not the name of an agent"},
		"of an agent that is held": {func(w *world) string {
			w.admin().deleteRole(runtimeRole("my_agent"))
			w.admin().deleteRole(buildRole("my_agent"))
			w.upload(key, container)
			w.settle()
			w.remove(key)
			w.elapse(25 * time.Hour)
			w.pass(0)
			w.pass(time.Hour)
			a := w.archivesOf(runtimeRole("my_agent"))[model.ArchiveRetired][0]
			w.ask(model.Request{Action: model.Restore, Archive: w.status(key).Agents[0].ArchiveKeys[1], Plans: map[string]string{"my_agent": w.restoreHash(a)}})
			w.settle()
			w.wantPhase(key, "my_agent", status.PhaseHeld)
			return ""
		}, "", "is held"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.operators = true
			w.byToolkit("my_agent")
			hash, agent := c.before(w), c.agent
			if agent == "" {
				agent = "my_agent"
			}
			if hash == "" {
				hash = w.retireHash(key, agent)
			}
			before := w.roles()
			claims := w.cloud.Objects(bucket, naming.RoleClaimPrefix)
			w.ask(model.Request{Action: model.Retire, Plans: map[string]string{agent: hash}})
			w.settle()
			got := w.answered()
			if len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "refused: ") || !strings.Contains(got[len(got)-1], c.says) {
				t.Errorf("answered %q, want a refusal that says %q", got, c.says)
			}
			if diff := cmp.Diff(before, w.roles()); diff != "" {
				t.Errorf("(-before +after)\n%s", diff)
			}
			if diff := cmp.Diff(fmt.Sprint(claims), fmt.Sprint(w.cloud.Objects(bucket, naming.RoleClaimPrefix))); diff != "" {
				t.Errorf("claims (-before +after)\n%s", diff)
			}
		})
	}
}

func TestARoleIsNotRetiredByHandInTheMiddleOfARetirement(t *testing.T) {
	w := newWorld(t)
	w.operators = true
	w.upload(key, container)
	w.settle()
	w.remove(key)
	w.elapse(25 * time.Hour)
	if err := w.sweep(); err != nil {
		t.Fatal(err)
	}
	w.elapse(10 * time.Second)
	w.wantPhase(key, "my_agent", status.PhaseQuarantined)
	name := runtimeRole("my_agent")
	w.admin().deleteRole(name)
	w.admin().createRole(name, agentCoreTrust)
	before := w.role(name)
	w.retire("my_agent")
	w.elapse(time.Second)
	if got := w.answered(); len(got) != 1 || !strings.Contains(got[0], "is on its way out with other roles") {
		t.Errorf("answered %q", got)
	}
	if diff := cmp.Diff(before, w.role(name)); diff != "" || w.claim(naming.RoleClaimKey("my_agent")).RuntimeRoleID == before.ID {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

func TestARoleThatOthersMayUseIsNotRetiredByHand(t *testing.T) {
	w := newWorld(t)
	w.operators = true
	w.admin().createRole(runtimeRole("my_agent"), strings.ReplaceAll(agentCoreTrust, "123456789012", "210987654321"))
	w.retire("my_agent")
	w.elapse(25 * time.Hour)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	wantOutcome(t, w, key, status.Blocked)
	if by := w.status(key).Agents[0].BlockedBy; len(by) != 1 || by[0].Kind != string(plan.Trusted) {
		t.Errorf("blocked by %+v", by)
	}
	w.admin().trust(runtimeRole("my_agent"), agentCoreTrust)
	w.pass(time.Hour)
	w.pass(time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
}

// A request to retire is none to adopt: what a config then finds is judged, and
// archived, as any role is that somebody else made.
func TestARoleRetiredByHandIsNotAnAgentsThatIsUploadedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		existing plan.Existing
		key      string
		after    time.Duration
		want     status.Outcome
	}{
		"where roles are reported":                           {plan.ReportExisting, key, 0, status.Blocked},
		"where roles are reported, in another config":        {plan.ReportExisting, other, 0, status.Blocked},
		"where roles are adopted":                            {plan.AdoptExisting, key, 0, status.Ready},
		"where roles are adopted, in another config":         {plan.AdoptExisting, other, 0, status.Ready},
		"where roles are reported, after they were closed":   {plan.ReportExisting, key, 25 * time.Hour, status.Blocked},
		"where roles are adopted, after they were closed":    {plan.AdoptExisting, key, 25 * time.Hour, status.Ready},
		"where roles are reported, before anybody looked":    {plan.ReportExisting, key, -1, status.Blocked},
		"where roles are reported, in another's, unlooked":   {plan.ReportExisting, other, -1, status.Blocked},
		"where roles are refused, whatever was asked before": {plan.RefuseExisting, key, 0, status.Blocked},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.operators, w.settings.Existing = true, c.existing
			w.byToolkit("my_agent")
			was := w.roles()
			w.retire("my_agent")
			if c.after < 0 { // the run dies once it has written the claim
				written := 0
				w.cloud.After = func(call awsfake.Call) error {
					if call.Caller == "reconcile" && call.Operation == "PutObject" && strings.Contains(call.Resource, naming.RoleClaimPrefix) {
						if written++; written == 2 { // first it is taken, then the roles are recorded
							panic(killed{})
						}
					}
					return nil
				}
				w.later = func() {
					w.cloud.After = nil
					if len(w.claim(naming.RoleClaimKey("my_agent")).Adopting) != 2 {
						t.Fatal("the run died at another time")
					}
					w.upload(c.key, container)
				}
			}
			w.settle()
			if c.after > 0 {
				w.elapse(c.after)
				if err := w.sweep(); err != nil {
					t.Fatal(err)
				}
				w.elapse(10 * time.Second)
				w.wantPhase(key, "my_agent", status.PhaseQuarantined)
			}
			w.upload(c.key, container)
			w.settle()
			w.again(c.key)
			wantOutcome(t, w, c.key, c.want)
			archived := len(w.archivesOf(runtimeRole("my_agent"))[model.ArchiveAdopted])
			if c.want == status.Blocked {
				now := w.roles()
				for name, o := range was {
					o.PermissionsBoundary = now[name].PermissionsBoundary // a quarantine needs it, and an undone one leaves it
					was[name] = o
				}
				delete(now, "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity")
				if diff := cmp.Diff(was, now); diff != "" || archived > 0 {
					t.Errorf("(-before +after)\n%s", diff)
				}
			} else if archived != 1 {
				t.Errorf("%d archives of what was taken over", archived)
			}
		})
	}
}

// A rollback leaves the roles as they were before they were taken over by hand, or
// an upload would adopt them that nobody asked to adopt and nobody judged.
func TestARoleWhoseRetirementByHandIsRolledBackIsNotAnAgentsThatIsUploaded(t *testing.T) {
	for name, c := range map[string]struct{ to, extra string }{
		"with the config that asked":        {key, ""},
		"with another config":               {other, ""},
		"and it is hostile":                 {key, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}`},
		"and it is hostile, another config": {other, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.operators, w.settings.Existing = true, plan.ReportExisting
			w.byToolkit("my_agent")
			role := runtimeRole("my_agent")
			if c.extra != "" {
				w.admin().putPolicy(role, "extra", c.extra)
			}
			was := w.role(role)
			w.retire("my_agent")
			w.settle()
			w.elapse(25 * time.Hour)
			w.must(nil, w.sweep())
			w.elapse(10 * time.Second)
			w.wantPhase(key, "my_agent", status.PhaseQuarantined)
			w.force(func() { w.deploy("other_name", role) }) // a use in quarantine
			w.elapse(5 * time.Minute)
			w.wantPhase(key, "my_agent", status.PhaseRetiring)
			w.upload(c.to, container)
			w.settle()
			w.again(c.to)
			wantOutcome(t, w, c.to, status.Blocked)
			now := w.role(role)
			was.PermissionsBoundary = now.PermissionsBoundary // which it keeps from its retirement
			if diff := cmp.Diff(was, now); diff != "" {
				t.Errorf("it was taken over (-was +is)\n%s", diff)
			}
		})
	}
}
