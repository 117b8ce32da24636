package reconcile_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
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
