package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// race runs reconcile for several configs at the same time, as Lambda does for
// different message groups.
func (w *world) race(keys ...string) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, key := range keys {
		wg.Go(func() {
			r := w.reconciler()
			<-start
			body := fmt.Sprintf(`{"v":1,"key":%q}`, key)
			for try := 1; try <= 10; try++ {
				if _, err := r.Handle(context.Background(), body, 1); err == nil {
					return
				}
			}
			w.t.Errorf("%s does not come to an end", key)
		})
	}
	close(start)
	wg.Wait()
}

func TestTwoConfigsThatClaimANameAtOnceHaveOneOwner(t *testing.T) {
	wins := map[string]int{}
	for range 50 {
		w := newWorld(t)
		w.cloud.Notify(bucket, "nothing/", w.inbox)
		keys := []string{"configs/a.yaml", "configs/b.yaml"}
		for _, key := range keys {
			w.upload(key, container)
		}
		w.race(keys...)
		owner := w.claim(naming.RoleClaimKey("my_agent")).Config
		loser := keys[1-slices.Index(keys, owner)]
		wins[owner]++
		wantOutcome(t, w, owner, status.Ready)
		wantOutcome(t, w, loser, status.Rejected)
		if s := w.status(loser); !slices.Equal(codes(s), []string{"name-claimed"}) || !strings.Contains(s.Problems[0].Fix, "by itself") {
			t.Fatalf("the loser is told %v", s.Problems)
		}
		waiting := slices.Concat(w.claim(naming.RoleClaimKey("my_agent")).Waiting, w.claim(naming.ProjectClaimKey("my_agent")).Waiting)
		if !slices.Contains(waiting, loser) {
			t.Fatalf("the loser does not wait: %v", waiting)
		}
		if o := w.role(runtimeRole("my_agent")); o.Tags["rolekeeper:config"] != owner {
			t.Fatalf("role is tagged for %q, owned by %q", o.Tags["rolekeeper:config"], owner)
		}
	}
	t.Logf("owners: %v", wins)
}

// The config that wants a name that is taken holds another for a moment; the
// config it kept from that one must be woken when it gives it back.
func TestALoserIsWokenWhenTheOwnerIsRefused(t *testing.T) {
	woken := 0
	for range 50 {
		w := newWorld(t)
		w.upload("configs/old.yaml", agentsNamed("taken"))
		w.settle()
		w.upload("configs/greedy.yaml", agentsNamed("wanted", "taken"))
		w.upload("configs/modest.yaml", agentsNamed("wanted"))
		w.race("configs/greedy.yaml", "configs/modest.yaml")
		if w.status("configs/modest.yaml").Outcome == status.Rejected {
			woken++
		}
		w.settle()
		wantOutcome(t, w, "configs/greedy.yaml", status.Rejected)
		wantOutcome(t, w, "configs/modest.yaml", status.Ready)
		if c := w.claim(naming.RoleClaimKey("wanted")); c.Config != "configs/modest.yaml" {
			t.Fatalf("claim: %+v", c)
		}
	}
	t.Logf("the loser had to be woken %d times in 50", woken)
}

func TestNamesThatShareAProjectAreKeptApart(t *testing.T) {
	w := newWorld(t)
	w.upload("configs/a.yaml", agentsNamed("MyAgent"))
	w.settle()
	w.upload("configs/b.yaml", agentsNamed("myagent"))
	w.settle()
	if s := w.status("configs/b.yaml"); s.Outcome != status.Rejected || !slices.Contains(codes(s), "project-claimed") {
		t.Errorf("status: %+v", s)
	}
	if slices.Contains(w.cloud.RoleNames(), runtimeRole("myagent")) {
		t.Error("a role was made for the refused config")
	}
	if claims := w.cloud.Objects(bucket, naming.ClaimPrefix+"roles/"); len(claims) != 1 {
		t.Errorf("%d claims on roles, want the owner's alone", len(claims))
	}
}

func TestAllNamesThatAreTakenAreToldAtOnce(t *testing.T) {
	w := newWorld(t)
	w.upload("configs/a.yaml", agentsNamed("one", "two"))
	w.settle()
	w.upload("configs/b.yaml", agentsNamed("one", "two", "three"))
	w.settle()
	s := w.status("configs/b.yaml")
	told := map[string]bool{}
	for _, p := range s.Problems {
		told[p.Agent] = true
		if p.Line == 0 || p.Fix == "" {
			t.Errorf("problem without place or remedy: %+v", p)
		}
	}
	if !told["one"] || !told["two"] || told["three"] {
		t.Errorf("problems: %v", s.Problems)
	}
}

func TestADamagedClaimIsNotTakenForAFreeName(t *testing.T) {
	w := newWorld(t)
	w.upload(naming.RoleClaimKey("my_agent"), `{"v":1,"config":""`)
	w.upload(key, direct)
	w.settle()
	wantOutcome(t, w, key, status.Failed)
	if slices.Contains(w.cloud.RoleNames(), runtimeRole("my_agent")) {
		t.Error("the role was made")
	}
}
