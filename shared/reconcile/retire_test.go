package reconcile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

const day = 24 * time.Hour

func TestADeletedRuntimeLeadsToItsRolesDeletion(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	id := w.deploy("my_agent", runtimeRole("my_agent"))
	w.elapse(time.Hour)
	if a := w.status(key).Agents[0]; len(a.Runtimes) != 1 || a.Runtimes[0].ID != id || a.Runtimes[0].Gone {
		t.Fatalf("runtimes %+v", a.Runtimes)
	}
	before := map[string]model.ObservedRole{}
	for _, name := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
		before[name] = w.role(name)
	}
	w.undeploy(id)
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	if s := w.status(key); s.Outcome != status.Retiring || len(w.sent("Agent Retiring")) != 1 {
		t.Errorf("%s: %v", s.Outcome, w.cloud.Events())
	}
	w.pass(23 * time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	w.pass(2 * time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	if names := w.cloud.RoleNames(); slices.ContainsFunc(names, func(n string) bool { return before[n].Name != "" }) {
		t.Errorf("roles left: %v", names)
	}
	s := w.status(key)
	if s.Outcome != status.Retired || len(w.sent("Agent Roles Deleted")) != 1 || len(s.Agents[0].ArchiveKeys) != 2 {
		t.Errorf("%+v", s)
	}
	for name, role := range before {
		all := w.archivesOf(name)[model.ArchiveRetired]
		if len(all) != 1 {
			t.Fatalf("%d archives of %s", len(all), name)
		}
		if diff := cmp.Diff(role, all[0].Role); diff != "" {
			t.Errorf("archive of %s (-was +archived):\n%s", name, diff)
		}
	}
	// The repository stays, and with it the claim on it.
	if claims := w.cloud.Objects(bucket, naming.ClaimPrefix+"roles/"); len(claims) > 0 {
		t.Errorf("claims: %v", claims)
	}
	if c := w.claim(naming.ProjectClaimKey("my_agent")); !c.Free || c.RepositoryCreated.IsZero() || !c.ProjectCreated.IsZero() {
		t.Errorf("claim on the repository: %+v", c)
	}
	w.wantNothingLost()

	// Nothing comes of more passes, and a new upload brings all back.
	w.cloud.ForgetCalls()
	w.pass(time.Hour)
	if writes := w.writes(""); len(writes) > 0 {
		t.Errorf("a pass afterwards writes: %v", writes)
	}
	w.upload(key, container+"# again\n")
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if !w.hasRole(runtimeRole("my_agent")) || !w.hasRole(buildRole("my_agent")) {
		t.Errorf("roles: %v", w.cloud.RoleNames())
	}
	w.pass(day + time.Hour)
	w.pass(day + time.Hour)
	wantOutcome(t, w, key, status.Ready)
}

func TestADeletedConfigLeadsToItsRolesDeletion(t *testing.T) {
	w := newWorld(t)
	w.upload(key, agentsNamed("first", "second"))
	w.settle()
	w.remove(key)
	w.settle()
	w.pass(day + time.Hour)
	s := w.status(key)
	if s.Outcome != status.Retired || len(s.Agents) != 2 {
		t.Errorf("%+v", s)
	}
	if names := w.cloud.RoleNames(); len(names) != 1 { // the service-linked one
		t.Errorf("roles left: %v", names)
	}
	w.wantNothingLost()
}

// gone gives a world in which the config's agent had a runtime, which was deleted,
// and whose grace period is over.
func gone(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	id := w.deploy("my_agent", runtimeRole("my_agent"))
	w.elapse(time.Hour)
	w.undeploy(id)
	w.elapse(day + time.Hour)
	w.cloud.ForgetCalls()
	return w
}

// Whatever uses a role, or may, keeps it, and is told. When it is gone the role
// goes with the next pass.
func TestWhatUsesARoleKeepsIt(t *testing.T) {
	role := runtimeRole("my_agent")
	for name, c := range map[string]struct {
		use  func(*world) (end func())
		kind plan.BlockerKind
	}{
		"a runtime of another name": {func(w *world) func() {
			id := w.deploy("other_name", role)
			w.elapse(time.Hour)
			return func() { w.undeploy(id) }
		}, plan.InUse},
		"an old version of a runtime": {func(w *world) func() {
			w.admin().createRole("foreign", agentCoreTrust)
			id := w.deploy("other_name", role)
			w.elapse(time.Hour)
			w.update(id, "foreign")
			w.elapse(time.Hour)
			return func() { w.undeploy(id) }
		}, plan.InUse},
		"a runtime that cannot be deleted": {func(w *world) func() {
			id := w.deploy("other_name", role)
			w.elapse(time.Hour)
			w.cloud.FailAgentCoreDeletion(id, true)
			w.undeploy(id)
			w.elapse(time.Hour)
			return func() {
				w.cloud.FailAgentCoreDeletion(id, false)
				w.undeploy(id)
			}
		}, plan.InUse},
		"a runtime in a state that nobody knows": {func(w *world) func() {
			id := w.deploy("other_name", role)
			w.elapse(time.Hour)
			w.cloud.SetAgentCoreStatus(id, "HIBERNATING")
			return func() {
				w.cloud.SetAgentCoreStatus(id, "READY")
				w.undeploy(id)
			}
		}, plan.InUse},
		"a gateway": {func(w *world) func() {
			id := w.gateway(role)
			w.elapse(time.Hour)
			return func() { w.control("DELETE", "/gateways/"+id+"/", "") }
		}, plan.InUse},
		"somebody else's project": {func(w *world) func() {
			w.project("theirs", buildRole("my_agent"))
			return func() { w.unproject("theirs") }
		}, plan.InUse},
		"somebody who assumed it of late": {func(w *world) func() {
			w.cloud.UseRole(role, w.cloud.Now().Add(-day+time.Minute))
			return func() {}
		}, plan.UsedLately},
		"a clock that is an hour ahead": {func(w *world) func() {
			w.cloud.UseRole(role, w.cloud.Now().Add(time.Hour))
			return func() { w.elapse(day) }
		}, plan.UsedLately},
		"whom its trust lets in": {func(w *world) func() {
			was := w.role(role).Trust
			w.admin().trust(role, strings.Replace(was, `"Service":"bedrock-agentcore.amazonaws.com"`, `"AWS":"arn:aws:iam::123456789012:root","Service":"bedrock-agentcore.amazonaws.com"`, 1))
			return func() { w.admin().trust(role, was) }
		}, plan.Trusted},
		"an instance profile": {func(w *world) func() {
			w.cloud.PutIntoInstanceProfile(role, "web-servers")
			return func() { w.admin().leave(role, "web-servers") }
		}, plan.InProfile},
		"a listing that is denied": {func(w *world) func() {
			w.cloud.Before = func(c awsfake.Call) error {
				if c.Caller == "reconcile" && c.Operation == "ListConsentPortals" {
					return awsfake.APIError("AccessDeniedException", "no")
				}
				return nil
			}
			return func() { w.cloud.Before = nil }
		}, plan.UseUnknown},
		"a listing that is throttled": {func(w *world) func() {
			w.cloud.Before = func(c awsfake.Call) error {
				if c.Caller == "reconcile" && c.Operation == "ListAgentRuntimes" {
					return awsfake.APIError("ThrottlingException", "slow down")
				}
				return nil
			}
			return func() { w.cloud.Before = nil }
		}, plan.UseUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			w.settle()
			w.remove(key) // so that nothing puts the trust right
			w.elapse(day + time.Hour)
			end := c.use(w)
			was := w.role(role)
			w.pass(0)
			w.wantPhase(key, "my_agent", status.PhaseRetiring)
			s := w.status(key)
			if b := s.Agents[0].BlockedBy; s.Outcome != status.Blocked || len(b) == 0 || b[0].Kind != string(c.kind) || b[0].Fix == "" || b[0].ARN == "" {
				t.Errorf("%s: %+v", s.Outcome, b)
			}
			if diff := cmp.Diff(was, w.role(role)); diff != "" {
				t.Errorf("the role was changed:\n%s", diff)
			}
			if n := len(w.sent("Role Deletion Blocked")); n != 1 {
				t.Errorf("told %d times", n)
			}
			w.pass(time.Hour)
			if n := len(w.sent("Role Deletion Blocked")); n != 1 {
				t.Errorf("told %d times of the same", n)
			}
			end()
			w.elapse(time.Hour)
			w.pass(time.Hour)
			w.wantPhase(key, "my_agent", status.PhaseRetired)
			if w.hasRole(role) || w.hasRole(buildRole("my_agent")) {
				t.Errorf("left: %v", w.cloud.RoleNames())
			}
			w.wantNothingLost()
		})
	}
}

// A use that begins while the roles are quarantined ends that.
func TestAUseInQuarantineGivesTheRoleBack(t *testing.T) {
	role := runtimeRole("my_agent")
	for name, use := range map[string]func(*world){
		"a runtime of the agent's": func(w *world) { w.force(func() { w.deploy("my_agent", role) }) },
		"another runtime":          func(w *world) { w.force(func() { w.deploy("other_name", role) }) },
		"a gateway":                func(w *world) { w.force(func() { w.gateway(role) }) },
		"a project":                func(w *world) { w.project("theirs", buildRole("my_agent")) },
		"a listing that fails": func(w *world) {
			w.cloud.Before = func(c awsfake.Call) error {
				if c.Caller == "reconcile" && c.Operation == "ListMemories" {
					return awsfake.APIError("InternalServerException", "sorry")
				}
				return nil
			}
		},
		"a policy": func(w *world) { w.admin().putPolicy(role, "extra", goodPolicy) },
		"a trust put back by hand": func(w *world) {
			for _, a := range w.archivesOf(role)[model.ArchiveRetired] {
				w.admin().trust(role, a.Role.Trust)
			}
		},
		"a new upload": func(w *world) { w.upload(key, container+"# again\n") },
		"an upload that is refused": func(w *world) {
			w.upload(key, strings.Replace(container, "name: my_agent", "name: my-agent", 1))
		},
		"the loss of the status": func(w *world) { w.lose(naming.StatusKey(key)) },
		"a runtime, and a forged status": func(w *world) {
			w.force(func() { w.deploy("other_name", role) })
			s := w.status(key)
			s.Agents[0].RetirementID = "20200101T000000Z-000000000000"
			body, err := s.JSON()
			if err != nil {
				w.t.Fatal(err)
			}
			w.upload(naming.StatusKey(key), string(body))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := gone(t)
			was := w.role(role)
			if err := w.sweep(); err != nil {
				t.Fatal(err)
			}
			w.elapse(10 * time.Second)
			w.wantPhase(key, "my_agent", status.PhaseQuarantined)
			if trusts := policy.Trusts(w.role(role).Trust, "bedrock-agentcore.amazonaws.com", w.cloud.Account); trusts {
				t.Error("the role is not quarantined")
			}
			use(w)
			w.elapse(5 * time.Minute)
			now := w.role(role)
			if d, err := policy.Parse(was.Trust); err != nil || !d.Same(now.Trust) {
				t.Errorf("the trust is %s", now.Trust)
			}
			if now.ID != was.ID || len(now.Policies) < len(was.Policies) {
				t.Errorf("the role is %+v", now)
			}
			if phase := w.phase(key, "my_agent"); phase == status.PhaseQuarantined || phase == status.PhaseRetired {
				t.Errorf("the agent is %s", phase)
			}
			if c := w.claim(naming.RoleClaimKey("my_agent")); c.Deleting != "" {
				t.Errorf("claim: %+v", c)
			}
		})
	}
}

func TestTooManyDeletionsAreHeldBackUntilThereIsRoomOrAnOperatorApproves(t *testing.T) {
	w := newWorld(t)
	w.most = 3
	w.operators = true
	w.upload(key, agentsNamed("first", "second", "third"))
	w.settle()
	w.remove(key)
	w.elapse(day + time.Hour)
	w.pass(0)
	phases := func() map[status.Phase]int {
		n := map[status.Phase]int{}
		for _, a := range w.status(key).Agents {
			n[a.Phase]++
		}
		return n
	}
	if diff := cmp.Diff(map[status.Phase]int{status.PhaseRetired: 1, status.PhaseRetiring: 2}, phases()); diff != "" {
		t.Fatal(diff)
	}
	for _, a := range w.status(key).Agents {
		if a.Phase == status.PhaseRetiring && (len(a.BlockedBy) != 2 || a.BlockedBy[0].Kind != string(plan.Braked)) {
			t.Errorf("blocked by %+v", a.BlockedBy)
		}
	}
	held := w.status(key).Agents[slices.IndexFunc(w.status(key).Agents, func(a status.Agent) bool { return a.Phase == status.PhaseRetiring })].Name
	claim := w.claim(naming.RoleClaimKey(held))
	w.ask(model.Request{Action: model.Approve, Plans: map[string]string{held: plan.DeletionHash(claim)}})
	w.settle()
	if diff := cmp.Diff(map[status.Phase]int{status.PhaseRetired: 2, status.PhaseRetiring: 1}, phases()); diff != "" {
		t.Fatal(diff)
	}
	if all := w.status(key).Requests; len(all) != 1 || all[0].Outcome != status.RequestDone {
		t.Errorf("requests %+v", all)
	}
	w.pass(61 * time.Minute) // there is room again
	if diff := cmp.Diff(map[status.Phase]int{status.PhaseRetired: 3}, phases()); diff != "" {
		t.Fatal(diff)
	}
	w.wantNothingLost()
}

func TestARoleIsRestoredAsItWasAndHeld(t *testing.T) {
	w := newWorld(t)
	w.operators = true
	w.upload(key, container)
	w.settle()
	role := runtimeRole("my_agent")
	w.admin().putPolicy(role, "by-hand", goodPolicy)
	w.settle()
	was := w.role(role)
	w.remove(key)
	w.elapse(day + time.Hour)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetired)

	var archive string
	for _, k := range w.status(key).Agents[0].ArchiveKeys {
		if strings.HasPrefix(k, naming.ArchivedRole(role)) {
			archive = k
		}
	}
	archived := w.archivesOf(role)[model.ArchiveRetired][0]
	hash := w.restoreHash(archived)
	w.ask(model.Request{Action: model.Restore, Archive: archive, Plans: map[string]string{"my_agent": strings.Repeat("0", 64)}})
	w.settle()
	if w.hasRole(role) || w.status(key).Requests[0].Outcome != status.RequestRefused {
		t.Fatalf("restored though another plan was shown: %+v", w.status(key).Requests)
	}
	w.ask(model.Request{Action: model.Restore, Archive: archive, Plans: map[string]string{"my_agent": hash}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	now := w.role(role)
	if c := w.claim(naming.RoleClaimKey("my_agent")); c.RuntimeRoleID != now.ID || now.ID == was.ID || len(c.Creating) > 0 {
		t.Errorf("claim %+v of role %s, which was %s", c, now.ID, was.ID)
	}
	now.ID = was.ID
	if diff := cmp.Diff(was, now); diff != "" {
		t.Errorf("the role (-was +is):\n%s", diff)
	}
	w.pass(3 * day) // it is held
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	if !w.hasRole(role) {
		t.Fatal("a held role is gone")
	}
	w.ask(model.Request{Action: model.Release, Plans: map[string]string{"my_agent": plan.ReleaseHash(w.claim(naming.RoleClaimKey("my_agent")))}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	w.pass(day + time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	if w.hasRole(role) {
		t.Error("the role is still there")
	}
	w.wantNothingLost()
}

func TestARestoredRoleOfAStandingConfigIsLeftAsItIsUntilANewUpload(t *testing.T) {
	w := gone(t)
	w.operators = true
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	role := runtimeRole("my_agent")
	w.ask(model.Request{Action: model.Restore, Archive: w.status(key).Agents[0].ArchiveKeys[1], Plans: map[string]string{"my_agent": w.restoreHash(w.archivesOf(role)[model.ArchiveRetired][0])}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	w.admin().putPolicy(role, naming.RuntimePolicy("my_agent"), goodPolicy)
	w.pass(2 * day)
	if o := w.role(role); o.Policies[naming.RuntimePolicy("my_agent")] != goodPolicy {
		t.Errorf("a held role was written: %+v", o)
	}
	w.upload(key, container+"# again\n")
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseActive)
	wantOutcome(t, w, key, status.Ready)
	if o := w.role(role); o.Policies[naming.RuntimePolicy("my_agent")] == goodPolicy || !w.hasRole(buildRole("my_agent")) {
		t.Errorf("the roles are not as the config asks: %+v", o)
	}
	w.wantNothingLost()
}

func TestARestoreThatMeetsANewUploadIsAnsweredTruly(t *testing.T) {
	w := gone(t)
	w.operators = true
	w.pass(0)
	role := runtimeRole("my_agent")
	q := model.Request{Action: model.Restore, Archive: w.status(key).Agents[0].ArchiveKeys[1], Plans: map[string]string{"my_agent": w.restoreHash(w.archivesOf(role)[model.ArchiveRetired][0])}}
	w.ask(q)
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	was, now := w.role(role), w.status(key)
	w.upload(key, container+"# again\n")
	w.ask(q)
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	answer := w.status(key).Requests[0]
	if answer.Outcome != status.RequestDone || !strings.HasSuffix(answer.Message, "is held") {
		t.Errorf("answer %+v", answer)
	}
	if diff := cmp.Diff(was, w.role(role)); diff != "" {
		t.Errorf("the role (-was +is):\n%s", diff)
	}
	if diff := cmp.Diff(now.Agents[0].ArchiveKeys, w.status(key).Agents[0].ArchiveKeys); diff != "" {
		t.Errorf("archives (-was +is):\n%s", diff)
	}
	w.wantNothingLost()
}

func TestAnAgentMovesWithItsRoles(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	id := w.deploy("my_agent", runtimeRole("my_agent"))
	w.elapse(time.Hour)
	was := w.role(runtimeRole("my_agent"))
	w.remove(key)
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	w.upload(other, container)
	w.settle()
	wantOutcome(t, w, other, status.Ready)
	if now := w.role(runtimeRole("my_agent")); now.ID != was.ID || now.Tags[model.TagConfig] != other {
		t.Errorf("the role: %+v", now)
	}
	if s := w.status(key); len(s.Agents) != 0 || s.Outcome != status.Orphaned {
		t.Errorf("the owner that was still tells of it: %+v", s)
	}
	if a := w.status(other).Agents[0]; len(a.Runtimes) != 1 || a.Runtimes[0].ID != id {
		t.Errorf("runtimes %+v", a.Runtimes)
	}
	if n := len(w.sent("Role Drift Repaired")); n != 0 {
		t.Errorf("a hand-over was taken for drift %d times", n)
	}
	w.pass(2 * day)
	wantOutcome(t, w, other, status.Ready)
	w.wantNothingLost()
}

func TestRuntimesCountForTheConfigThatHoldsTheName(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.remove(key)
	w.elapse(day + time.Hour)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	w.upload(other, container)
	w.settle()
	w.upload(key, container+"# again\n")
	w.settle()
	wantOutcome(t, w, key, status.Rejected)
	id := w.deploy("my_agent", runtimeRole("my_agent"))
	w.pass(time.Hour)
	if a, known := w.status(key).Agent("my_agent"); !known || len(a.Runtimes) > 0 {
		t.Errorf("the config that waits tells of it as %+v", a)
	}
	w.undeploy(id)
	w.pass(time.Hour)
	w.wantPhase(other, "my_agent", status.PhaseRetiring)
	w.pass(2 * day)
	w.wantPhase(other, "my_agent", status.PhaseRetired)
	w.wantPhase(key, "my_agent", status.PhaseActive)
	w.pass(time.Hour)
	w.pass(2 * day)
	w.wantPhase(key, "my_agent", status.PhaseActive)
	if !w.hasRole(runtimeRole("my_agent")) {
		t.Error("the role of a config that stands is gone")
	}
	w.wantNothingLost()
}

func TestARetiredAgentsRepositoryIsItsTeamsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		teams bool
		drop  bool // the repository is deleted meanwhile
		want  status.Outcome
	}{
		"the same team, since there are none": {false, false, status.Ready},
		"another team":                        {true, false, status.Rejected},
		"another team, when it is gone":       {true, true, status.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.teams {
				w.settings.Env.TeamTag = "team"
			}
			const theirs = "configs/other-team/agent.yaml"
			w.upload(key, container)
			w.settle()
			w.remove(key)
			w.elapse(day + time.Hour)
			w.pass(0)
			w.wantPhase(key, "my_agent", status.PhaseRetired)
			if c.drop {
				w.dropRepository(naming.Repository("my_agent"))
			}
			w.upload(theirs, container)
			w.settle()
			wantOutcome(t, w, theirs, c.want)
			if c.want == status.Rejected {
				if got := codes(w.status(theirs)); !slices.Equal(got, []string{"repository-kept"}) {
					t.Errorf("problems %v", got)
				}
				return
			}
			if c := w.claim(naming.ProjectClaimKey("my_agent")); c.Config != theirs || c.Free || c.RepositoryCreated.IsZero() || c.ProjectCreated.IsZero() {
				t.Errorf("claim %+v", c)
			}
		})
	}
}

func TestARepositoryGoesWhereTheStackSaysSo(t *testing.T) {
	w := newWorld(t)
	w.empties = true
	w.upload(key, container)
	w.source("my_agent", zip)
	w.settle()
	w.remove(key)
	w.elapse(day + time.Hour)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	if names := w.cloud.RepositoryNames(); len(names) > 0 {
		t.Errorf("repositories %v", names)
	}
	if claims := w.cloud.Objects(bucket, naming.ClaimPrefix); len(claims) > 0 {
		t.Errorf("claims %v", claims)
	}
}

// The figure was 50; docs/adr/retirement.md says what these are for. The
// calls of the scheduled pass are for the whole account.
func TestOneDeletionTakesSoManyCalls(t *testing.T) {
	w := gone(t)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	got, all := map[string]int{}, 0
	for _, c := range w.cloud.Calls() {
		switch c.Caller {
		case "intake", "reconcile":
			kind := c.Service + " write"
			if reads(c) {
				kind = c.Service + " read"
			}
			got[kind]++
			all++
		}
	}
	if diff := cmp.Diff(map[string]int{
		"s3 read": 15, "s3 write": 13, "sqs write": 2, "events write": 1,
		"iam read": 20, "iam write": 6,
		"bedrock-agentcore read": 20, "codebuild read": 8, "codebuild write": 1,
	}, got); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	t.Logf("%d calls: %v", all, got)
}

func TestAgentsThatAreDueTogetherShareTheirInventories(t *testing.T) {
	const agents, runtimes = 50, 1000
	w := newWorld(t)
	w.most = 1000
	w.admin().createRole("foreign", agentCoreTrust)
	for i := range runtimes {
		w.deploy(fmt.Sprintf("runtime_%d", i), "foreign")
	}
	w.settle()
	configOf := func(i int) string { return fmt.Sprintf("configs/team/%d.yaml", i) }
	for i := range agents {
		w.upload(configOf(i), strings.ReplaceAll(direct, "my_agent", fmt.Sprintf("agent_%d", i)))
	}
	w.settle()
	for i := range agents {
		w.remove(configOf(i))
	}
	w.elapse(day + time.Hour)
	w.cloud.ForgetCalls()
	w.pass(0)
	for i := range agents {
		w.wantPhase(configOf(i), fmt.Sprintf("agent_%d", i), status.PhaseRetired)
	}
	listed := 0
	for _, c := range w.cloud.Calls() {
		if c.Caller == "reconcile" && c.Operation == "ListPaymentManagers" {
			listed++
		}
	}
	if listed != 2 { // before the roles are quarantined, and before they are deleted
		t.Errorf("%d inventories for %d agents", listed, agents)
	}
	if read := count(w.cloud.Calls(), "GetAgentRuntime"); read != runtimes {
		t.Errorf("%d versions read, want each of the %d once", read, runtimes)
	}
	w.wantNothingLost()
}

// A run dies while it makes the build role of an agent that has its runtime
// already, and the agent goes before another run comes.
func TestWhatWasHalfMadeGoesToo(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	id := w.deploy("my_agent", runtimeRole("my_agent"))
	w.elapse(time.Hour)
	w.undeploy(id)
	w.elapse(day + time.Hour)
	// As CreateRole leaves it, under a nonce that the claim has.
	const nonce = "build-half-made"
	build := buildRole("my_agent")
	w.halfMade(build, nonce)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	if w.hasRole(build) {
		t.Error("a half-made role was left")
	}
}

func TestARoleGetsItsTrustBackWithoutAPolicyThatIsGone(t *testing.T) {
	const managed = "arn:aws:iam::123456789012:policy/by-hand"
	w := gone(t)
	role := runtimeRole("my_agent")
	w.cloud.AddPolicy(managed, goodPolicy)
	w.admin().attach(role, managed)
	was := w.role(role).Trust
	w.killAfter("DetachRolePolicy", 1, func() {
		w.force(func() { w.deploy("other_name", role) })
		w.cloud.Before = func(c awsfake.Call) error {
			if c.Operation == "AttachRolePolicy" {
				return awsfake.APIError("NoSuchEntity", "somebody deleted it")
			}
			return nil
		}
	})
	if err := w.sweep(); err != nil {
		t.Fatal(err)
	}
	w.elapse(time.Hour)
	if d, err := policy.Parse(was); err != nil || !d.Same(w.role(role).Trust) {
		t.Errorf("the trust is %s", w.role(role).Trust)
	}
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	if dead := w.cloud.Messages(w.workDead); len(dead) > 0 {
		t.Errorf("dead letters %v", dead)
	}
}

func TestAnApprovalIsOfWhoLeavesAConfigThatStands(t *testing.T) {
	for name, leave := range map[string]func(*world){
		"an agent that was taken out": func(w *world) { w.upload(key, agentsNamed("stays")) },
		"an agent whose runtime is gone": func(w *world) {
			id := w.deploy("goes", runtimeRole("goes"))
			w.elapse(time.Hour)
			w.undeploy(id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.operators, w.most = true, 1
			w.upload(key, agentsNamed("stays", "goes"))
			w.settle()
			leave(w)
			w.elapse(day + time.Hour)
			w.pass(0)
			w.wantPhase(key, "goes", status.PhaseRetiring)
			w.ask(model.Request{Action: model.Approve, Plans: map[string]string{"goes": plan.DeletionHash(w.claim(naming.RoleClaimKey("goes")))}})
			w.settle()
			w.wantPhase(key, "goes", status.PhaseRetired)
			if all := w.status(key).Requests; len(all) != 1 || all[0].Outcome != status.RequestDone {
				t.Errorf("requests %+v", all)
			}
		})
	}
}

func TestAReleaseCountsThoughTheConfigIsRefused(t *testing.T) {
	w := gone(t)
	w.operators = true
	w.pass(0)
	role := runtimeRole("my_agent")
	w.ask(model.Request{Action: model.Restore, Archive: w.status(key).Agents[0].ArchiveKeys[1], Plans: map[string]string{"my_agent": w.restoreHash(w.archivesOf(role)[model.ArchiveRetired][0])}})
	w.settle()
	w.upload(key, "agents: [")
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	w.ask(model.Request{Action: model.Release, Plans: map[string]string{"my_agent": plan.ReleaseHash(w.claim(naming.RoleClaimKey("my_agent")))}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	w.pass(2 * day)
	w.wantPhase(key, "my_agent", status.PhaseRetiring) // nothing goes while it cannot be told what the config has
	w.remove(key)
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseRetired)
}

// AWS refuses to delete what nothing uses: the roles are put back, and it is told.
func TestWhatAWSRefusesToDeleteIsPutBack(t *testing.T) {
	for _, operation := range []string{"DeleteProject", "DeleteRole", "DeleteRolePolicy"} {
		t.Run(operation, func(t *testing.T) {
			w := gone(t)
			was := w.role(runtimeRole("my_agent"))
			w.cloud.Before = func(c awsfake.Call) error {
				if c.Caller == "reconcile" && c.Operation == operation {
					return awsfake.APIError("AccessDenied", "a service control policy says so")
				}
				return nil
			}
			w.pass(0)
			w.wantPhase(key, "my_agent", status.PhaseRetiring)
			if b := w.status(key).Agents[0].BlockedBy; len(b) != 2 || b[0].Kind != string(plan.NotDeleted) || !strings.Contains(b[0].Fix, "service control policy") {
				t.Errorf("blocked by %+v", b)
			}
			now := w.role(runtimeRole("my_agent"))
			if d, err := policy.Parse(was.Trust); err != nil || !d.Same(now.Trust) || !cmp.Equal(was.Policies, now.Policies) {
				t.Errorf("the role is %+v", now)
			}
			w.wantNothingLost()
			w.cloud.Before = nil
			w.pass(time.Hour)
			w.wantPhase(key, "my_agent", status.PhaseRetired)
		})
	}
}

func TestARepositoryThatMayBeRunStays(t *testing.T) {
	for name, run := range map[string]func(*world){
		"by a runtime of the agent's name with another role": func(w *world) {
			w.admin().createRole("foreign", agentCoreTrust)
			w.deploy("goes", "foreign")
			w.elapse(time.Hour)
		},
		"by another agent of the config": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.empties = true
			w.upload(key, agentsNamed("stays", "goes"))
			w.settle()
			run(w)
			w.upload(key, strings.Replace(agentsNamed("stays"), "aws: {}", "aws:\n      ecr_repository: bedrock-agentcore-goes", 1))
			w.elapse(day + time.Hour)
			w.pass(0)
			w.wantPhase(key, "goes", status.PhaseRetired)
			if !slices.Contains(w.cloud.RepositoryNames(), naming.Repository("goes")) {
				t.Error("the repository is gone")
			}
			if c := w.claim(naming.ProjectClaimKey("goes")); !c.Free || c.RepositoryCreated.IsZero() {
				t.Errorf("claim %+v", c)
			}
		})
	}
}

func TestABuildUnderWayKeepsItsRole(t *testing.T) {
	w := newWorld(t)
	w.cloud.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: 50 * time.Minute} })
	w.upload(key, container)
	w.settle()
	id := w.deploy("my_agent", runtimeRole("my_agent"))
	w.elapse(time.Hour)
	w.undeploy(id)
	w.elapse(day - 10*time.Minute)
	w.source("my_agent", zip)
	w.elapse(15 * time.Minute)
	w.cloud.UseRole(buildRole("my_agent"), w.cloud.Now().Add(-2*day)) // IAM tells of it hours later
	if err := w.sweep(); err != nil {
		t.Fatal(err)
	}
	w.elapse(time.Minute)
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	if b := w.status(key).Agents[0].BlockedBy; len(b) != 1 || b[0].Kind != string(plan.InUse) || !strings.Contains(b[0].ARN, ":project/") {
		t.Errorf("blocked by %+v", b)
	}
}

// A status that says so wrongly does not make roles forgotten.
func TestAStatusThatSaysRetiredWronglyIsPutRight(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.remove(key)
	w.settle()
	s := w.status(key)
	s.Agents[0] = status.Agent{Name: "my_agent", Phase: status.PhaseRetired}
	body, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	w.upload(naming.StatusKey(key), string(body))
	w.again(key)
	w.pass(day + time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	if w.hasRole(runtimeRole("my_agent")) || w.hasRole(buildRole("my_agent")) {
		t.Errorf("left: %v", w.cloud.RoleNames())
	}
}

// What IAM refuses of a restore is told, and does not keep the config from being
// handled.
func TestARestoreThatIAMRefusesIsAnswered(t *testing.T) {
	w := gone(t)
	w.operators = true
	w.pass(0)
	role := runtimeRole("my_agent")
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Caller == "reconcile" && c.Operation == "TagRole" {
			return awsfake.APIError("AccessDenied", "no such tag")
		}
		return nil
	}
	w.ask(model.Request{Action: model.Restore, Archive: w.status(key).Agents[0].ArchiveKeys[1], Plans: map[string]string{"my_agent": w.restoreHash(w.archivesOf(role)[model.ArchiveRetired][0])}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	if all := w.status(key).Requests; len(all) != 1 || all[0].Outcome != status.RequestRefused || !strings.Contains(all[0].Message, "no such tag") {
		t.Errorf("requests %+v", all)
	}
	w.cloud.Before = nil
	w.upload(key, container+"# again\n")
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	w.wantNothingLost()
}

// A function whose clock is an hour ahead has taken an inventory; an hour later
// it looks as if it had been taken just now.
func TestAnInventoryOfAClockThatIsAheadProvesNothing(t *testing.T) {
	w := gone(t)
	forged := fmt.Sprintf(`{"v":1,"takenAt":%q}`, w.cloud.Now().Add(time.Hour).Format(time.RFC3339))
	w.upload(naming.InventoryKey, forged)
	w.deploy("other_name", runtimeRole("my_agent"))
	w.elapse(time.Hour)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
	if b := w.status(key).Agents[0].BlockedBy; len(b) != 1 || b[0].Kind != string(plan.InUse) {
		t.Errorf("blocked by %+v", b)
	}
}

// A status that says so wrongly, such as an old one that came back.
func TestAnAgentThatIsHeldWithoutAClaimBeginsAnew(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	s := w.status(key)
	s.Agents[0].Phase, s.Agents[0].PhaseVersion = status.PhaseHeld, s.Config.VersionID
	w.remove(key)
	w.elapse(day + time.Hour)
	w.pass(0)
	w.pass(time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	s.Config.VersionID = w.upload(key, container)
	s.Agents[0].PhaseVersion = s.Config.VersionID
	w.upload(naming.StatusKey(key), string(must(s.JSON())))
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseActive)
	wantOutcome(t, w, key, status.Ready)
}

// What is not known is a use, in quarantine as well.
func TestAListingThatIsDeniedInQuarantineGivesTheRoleBack(t *testing.T) {
	for _, operation := range []string{"ListInstanceProfilesForRole", "ListBuildsForProject", "ListProjects", "ListGateways"} {
		t.Run(operation, func(t *testing.T) {
			w := gone(t)
			role := runtimeRole("my_agent")
			w.must(nil, w.sweep())
			w.elapse(10 * time.Second)
			w.wantPhase(key, "my_agent", status.PhaseQuarantined)
			w.cloud.Before = func(c awsfake.Call) error {
				if c.Caller == "reconcile" && c.Operation == operation {
					return awsfake.APIError("AccessDeniedException", "no")
				}
				return nil
			}
			w.elapse(5 * time.Minute)
			if !policy.Trusts(w.role(role).Trust, "bedrock-agentcore.amazonaws.com", w.cloud.Account) {
				t.Errorf("it is denied still: %+v", w.status(key))
			}
			if b := w.status(key).Agents[0].BlockedBy; len(b) == 0 || b[0].Kind != string(plan.UseUnknown) {
				t.Errorf("%+v", b)
			}
			w.cloud.Before = nil
			w.pass(time.Hour)
			w.wantPhase(key, "my_agent", status.PhaseRetired)
		})
	}
}

func TestARoleThatIsHeldIsNotAnotherConfigs(t *testing.T) {
	w := newWorld(t)
	w.operators = true
	w.upload(key, container)
	w.settle()
	role := runtimeRole("my_agent")
	w.admin().putPolicy(role, "by-hand", goodPolicy)
	w.settle()
	w.remove(key)
	w.elapse(day + time.Hour)
	w.must(nil, w.sweep())
	w.elapse(10 * time.Second)
	w.force(func() { w.deploy("other_name", role) })
	w.elapse(5 * time.Minute)
	w.wantPhase(key, "my_agent", status.PhaseRetiring) // blocked, with an archive
	w.pass(time.Hour)                                  // and others may have the name
	w.admin().deletePolicy(role, "by-hand")
	archived := slices.Collect(maps.Keys(w.cloud.Objects(bucket, naming.ArchivedRole(role))))
	p := plan.Restoring{
		Archive: w.archivesOf(role)[model.ArchiveRetired][0], Observed: ptr(w.role(role)), Claim: w.claim(naming.RoleClaimKey("my_agent")),
		Boundary: w.settings.Env.PermissionsBoundary, Account: w.cloud.Account,
	}.Plan()
	w.ask(model.Request{Action: model.Restore, Archive: archived[0], Plans: map[string]string{"my_agent": plan.RestoreHash(p)}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	was := w.role(role)
	w.upload(other, container)
	w.settle()
	if c := w.claim(naming.RoleClaimKey("my_agent")); c.Config != key {
		t.Errorf("the claim is %s's", c.Config)
	}
	if diff := cmp.Diff(was, w.role(role)); diff != "" {
		t.Errorf("a role that is held was changed (-was +is)\n%s", diff)
	}
}

func TestARuntimeThatNobodyToldOfKeepsTheRepository(t *testing.T) {
	for state, keeps := range map[string]bool{"READY": true, "DELETE_FAILED": true, "": false} {
		t.Run(state, func(t *testing.T) {
			w := newWorld(t)
			w.empties = true
			w.admin().createRole("foreign", agentCoreTrust)
			w.upload(key, container)
			w.settle()
			w.remove(key)
			w.elapse(day + time.Hour)
			w.must(nil, w.sweep())
			w.elapse(10 * time.Second)
			w.wantPhase(key, "my_agent", status.PhaseQuarantined)
			if state != "" {
				w.cloud.SetAgentCoreStatus(w.deploy("my_agent", "foreign"), state)
			}
			w.cloud.Done(w.inbox, w.cloud.Receive(w.inbox, 10), nil) // its event is lost
			w.elapse(5 * time.Minute)
			w.wantPhase(key, "my_agent", status.PhaseRetired)
			if left := w.cloud.RepositoryNames(); len(left) > 0 != keeps {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Without roles nothing is asked for what uses them.
func TestARuntimeKeepsTheRepositoryOfAnAgentWithoutRoles(t *testing.T) {
	for _, runs := range []bool{true, false} {
		w := newWorld(t)
		w.empties = true
		w.admin().createRole("foreign", agentCoreTrust)
		w.upload(key, container)
		w.settle()
		w.remove(key)
		w.settle()
		if runs {
			w.deploy("my_agent", "foreign")
		}
		w.cloud.Done(w.inbox, w.cloud.Receive(w.inbox, 10), nil) // no event comes
		w.admin().deleteRole(runtimeRole("my_agent"))
		w.admin().deleteRole(buildRole("my_agent"))
		w.cloud.Done(w.inbox, w.cloud.Receive(w.inbox, 10), nil)
		w.elapse(day + time.Hour)
		w.pass(0)
		w.wantPhase(key, "my_agent", status.PhaseRetired)
		if left := w.cloud.RepositoryNames(); len(left) > 0 != runs {
			t.Errorf("a runtime: %v; left: %v", runs, left)
		}
	}
}

func TestARuntimeThatOnceHadTheAgentsRoleIsTheAgents(t *testing.T) {
	w := newWorld(t)
	w.admin().createRole("foreign", agentCoreTrust)
	w.upload(key, container)
	w.settle()
	id := w.deploy("my_agent", runtimeRole("my_agent"))
	w.elapse(time.Hour)
	w.update(id, "foreign")
	w.elapse(time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseActive)
	w.undeploy(id)
	w.elapse(time.Hour)
	w.pass(0)
	w.wantPhase(key, "my_agent", status.PhaseRetiring)
}
