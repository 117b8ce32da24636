package drift_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
)

// approve has an operator let the pass go that has the hash.
func (w *world) approve(hash string) {
	w.t.Helper()
	const id = "20261122T120000Z-0123456789ab"
	w.write(naming.FleetRequestKey(id), model.Request{
		V: 1, ID: id, Action: model.Approve, Plans: map[string]string{model.FleetPlan: hash}, Expires: w.cloud.Now().Add(48 * time.Hour), By: "operator",
	})
}

// fail takes a pass that cannot list the roles, an hour later.
func (w *world) fail(id string) report.Pass {
	w.t.Helper()
	w.cloud.Advance(time.Hour)
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "ListRoles" {
			return awsfake.APIError("ThrottlingException", "not now")
		}
		return nil
	}
	r, err := w.pass().Run(w.t.Context(), id)
	if w.cloud.Before = nil; err == nil || r.Failed == "" {
		w.t.Fatalf("%s did not fail: %+v", id, r)
	}
	w.cloud.Advance(time.Hour)
	return r
}

// stopped gives five configs of which three are edited, more than the one that is
// allowed, and what the pass says that was stopped.
func stopped(t testing.TB) (*world, report.Stop) {
	t.Helper()
	w := fleet(t, 5)
	w.most = model.Portion{Count: 1}
	w.edit(3)
	r := w.run("stopped")
	if r.Stopped == nil || r.Released != nil || len(r.Stopped.Digests) != 3 {
		t.Fatalf("%+v %+v", r.Stopped, r.Released)
	}
	return w, *r.Stopped
}

func TestAStopThatAFailedPassFollowedIsStillThereToBeApproved(t *testing.T) {
	w, stop := stopped(t)
	for _, id := range []string{"failed", "failed again"} {
		r := w.fail(id)
		if diff := cmp.Diff(&stop, r.Stopped); diff != "" || !cmp.Equal(w.latest().Stopped, r.Stopped) {
			t.Errorf("%s (-want +got)\n%s", id, diff)
		}
		line, err := report.Metrics(r, w.cloud.Now())
		if err != nil || strings.Contains(string(line), "PassStopped") {
			t.Errorf("%s counts as stopped: %s %v", id, line, err)
		}
	}
	w.reconcile(config(2)) // so that the hash of what is left is another
	w.approve(stop.Hash)
	r := w.run("approved")
	if r.Stopped != nil || r.Totals.Enqueued != 2 || r.Released == nil || r.Released.Hash != stop.Hash {
		t.Errorf("%+v %+v %q", r.Stopped, r.Released, w.hints())
	}
	stops := 0
	for _, p := range r.History {
		if p.Stopped {
			stops++
		}
	}
	if stops != 1 || len(r.History) != 3 {
		t.Errorf("%d stops in %+v", stops, r.History)
	}
}

// What an operator let go is put right by several passes when one does not do.
func TestWhatIsLeftOfWhatWasLetGoGoesWithoutAnotherApproval(t *testing.T) {
	for name, c := range map[string]struct {
		then  func(w *world)
		goes  int // configs; 0: it is stopped
		found int // by the pass that is stopped
	}{
		"nothing":                {func(*world) {}, 3, 0},
		"one was put right":      {func(w *world) { w.reconcile(config(0)) }, 2, 0},
		"a pass failed":          {func(w *world) { w.fail("failed") }, 3, 0},
		"two of them":            {func(w *world) { w.fail("failed"); w.fail("failed again"); w.reconcile(config(1)) }, 2, 0},
		"another was edited":     {func(w *world) { w.admin().trust(runtimeRole(named(3)), evil) }, 0, 4},
		"another in the place":   {func(w *world) { w.reconcile(config(0)); w.admin().trust(runtimeRole(named(3)), evil) }, 0, 3},
		"one was edited again":   {func(w *world) { w.admin().trust(runtimeRole(named(0)), strings.Replace(evil, "9999", "8888", 1)) }, 0, 3},
		"more of a role":         {func(w *world) { w.empty(runtimeRole(named(0))) }, 0, 3},
		"the approval is old":    {func(w *world) { w.cloud.Advance(model.MaxRequestAge) }, 0, 3},
		"the approval is gone":   {func(w *world) { w.remove(naming.FleetRequestKey("20261122T120000Z-0123456789ab")) }, 0, 3},
		"nobody may approve now": {func(w *world) { w.operators = false }, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w, stop := stopped(t)
			w.approve(stop.Hash)
			if r := w.run("approved"); r.Stopped != nil || r.Totals.Enqueued != 3 || !cmp.Equal(r.Released, &stop) {
				t.Fatalf("%+v %+v %+v", r.Stopped, r.Released, r.Totals)
			}
			w.drain()
			w.cloud.Advance(time.Second)
			c.then(w)
			r := w.run("next")
			if c.goes > 0 {
				if r.Stopped != nil || r.Totals.Enqueued != c.goes || !cmp.Equal(r.Released, &stop) {
					t.Errorf("%+v %+v %q", r.Stopped, r.Released, w.hints())
				}
				return
			}
			if r.Stopped == nil || r.Stopped.Found != c.found || r.Released != nil || len(w.sent()) > 0 {
				t.Errorf("%+v %+v %q", r.Stopped, r.Released, w.hints())
			}
		})
	}
}

func TestWhatIsNoMoreThanAllowedNeedsNoApprovalAndKeepsNone(t *testing.T) {
	w, stop := stopped(t)
	w.approve(stop.Hash)
	w.reconcile(config(1))
	w.reconcile(config(2))
	if r := w.run("few"); r.Stopped != nil || r.Released != nil || r.Totals.Enqueued != 1 {
		t.Errorf("%+v %+v %+v", r.Stopped, r.Released, r.Totals)
	}
}

// Whoever can write the latest report lets nothing go by it but what an operator
// approved.
func TestAListThatDoesNotMakeTheHashLetsNothingGo(t *testing.T) {
	for name, forge := range map[string]func(stop report.Stop, all []string) (stopped, released *report.Stop){
		"more than was approved": func(s report.Stop, all []string) (*report.Stop, *report.Stop) { s.Digests = all; return &s, nil },
		"more than was let go":   func(s report.Stop, all []string) (*report.Stop, *report.Stop) { s.Digests = all; return nil, &s },
		"both":                   func(s report.Stop, all []string) (*report.Stop, *report.Stop) { s.Digests = all; return &s, &s },
		"none":                   func(s report.Stop, _ []string) (*report.Stop, *report.Stop) { s.Digests = nil; return &s, &s },
		"a hash of its own that nobody has": func(s report.Stop, all []string) (*report.Stop, *report.Stop) {
			s.Digests, s.Hash = all, strings.Repeat("0", 64)
			return &s, &s
		},
		"what was approved, in one text": func(s report.Stop, _ []string) (*report.Stop, *report.Stop) {
			s.Digests = []string{strings.Join(s.Digests, "\n")}
			return &s, &s
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, stop := stopped(t)
			w.edit(4)
			more, err := w.pass().Check(t.Context(), "more")
			w.must(nil, err)
			w.approve(stop.Hash)
			last := w.latest()
			last.Stopped, last.Released = forge(stop, more.Stopped.Digests)
			w.write(naming.LatestPassKey, last)
			if r := w.run("id"); r.Stopped == nil || r.Stopped.Found != 4 || len(w.sent()) > 0 {
				t.Errorf("%+v %+v %q", r.Stopped, r.Released, w.hints())
			}
		})
	}
}

// Of what is too much to be kept, an approval holds for all of it or none.
func TestMoreThanAReportHasRoomForIsApprovedAsAWhole(t *testing.T) {
	const roles, policies = 41, 500 // which is all that is told of a config
	w := fleet(t, roles)
	w.most, w.settings.Unmanaged = model.Portion{Count: 1}, plan.RemoveUnmanaged
	left := policies
	p := w.pass()
	p.Account = altered{p.Account, func(all map[string]model.ObservedRole) {
		for i := range roles {
			for n := range left {
				all[runtimeRole(named(i))].Policies[fmt.Sprintf("mine-%04d", n)] = "{}"
			}
		}
	}}
	run := func(id string) report.Pass {
		r, err := p.Run(t.Context(), id)
		w.must(nil, err)
		return r
	}
	stop := run("first").Stopped
	if stop == nil || stop.Digests != nil || len(stop.Hash) != 64 || w.latest().Stopped.Digests != nil {
		t.Fatalf("%d digests are kept", len(stop.Digests))
	}
	w.approve(stop.Hash)
	if r := run("whole"); r.Stopped != nil || r.Released == nil || r.Released.Digests != nil || r.Totals.Enqueued != roles {
		t.Errorf("stopped %v, %+v", r.Stopped != nil, r.Totals)
	}
	left--
	if r := run("part"); r.Stopped == nil || len(w.sent()) != roles {
		t.Errorf("stopped %v, %+v", r.Stopped != nil, r.Totals)
	}
}
