package drift_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
)

func config(n int) string { return fmt.Sprintf("configs/fleet/agent%03d.yaml", n) }
func named(n int) string  { return fmt.Sprintf("agent_%03d", n) }

// fleet gives configs of an agent with a runtime role alone, as they should be.
func fleet(t testing.TB, n int) *world {
	t.Helper()
	w := newWorld(t)
	w.operators = true
	for i := range n {
		w.apply(config(i), strings.Replace(agentsNamed(named(i)), "    aws: {}", "    deployment_type: direct_code_deploy\n    aws: {}", 1))
	}
	return w
}

// edit has somebody change the trust of so many agents' roles.
func (w *world) edit(n int) {
	w.t.Helper()
	for i := range n {
		w.admin().trust(runtimeRole(named(i)), evil)
	}
}

func actions(r report.Pass) map[report.Action]int {
	n := map[report.Action]int{}
	for _, d := range r.Findings {
		n[d.Action]++
	}
	return n
}

func TestMoreDriftThanIsAllowedStopsThePassBeforeItsFirstMessage(t *testing.T) {
	for name, c := range map[string]struct {
		most          model.Portion
		roles, edited int
		allowed       int // 0: it is not stopped
	}{
		"a number, kept":                    {model.Portion{Count: 2}, 4, 2, 0},
		"a number, exceeded":                {model.Portion{Count: 2}, 4, 3, 2},
		"a percentage of few is five":       {model.Portion{Percent: 1}, 7, 5, 0},
		"a percentage of few, exceeded":     {model.Portion{Percent: 1}, 7, 6, 5},
		"a percentage, rounded up and kept": {model.Portion{Percent: 50}, 13, 7, 0},
		"a percentage, exceeded":            {model.Portion{Percent: 50}, 13, 8, 7},
	} {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, c.roles)
			w.most = c.most
			w.edit(c.edited)
			w.put("configs/new.yaml", external("new")) // which waits for the same pass
			r := w.run("id")
			if c.allowed == 0 {
				if r.Stopped != nil || r.Totals.Enqueued != c.edited+1 || !cmp.Equal(actions(r), map[report.Action]int{report.ActionRepaired: c.edited}) {
					t.Errorf("%+v %+v %v", r.Stopped, r.Totals, actions(r))
				}
				return
			}
			if r.Stopped == nil || r.Stopped.Found != c.edited || r.Stopped.Allowed != c.allowed || r.Totals.Enqueued != 0 || len(w.sent()) > 0 || r.Failed != "" {
				t.Fatalf("%+v %+v %v", r.Stopped, r.Totals, w.hints())
			}
			if diff := cmp.Diff(map[report.Action]int{report.ActionHeldBack: c.edited}, actions(r)); diff != "" {
				t.Error(diff)
			}
			if stored := w.latest(); !cmp.Equal(stored.Stopped, r.Stopped) {
				t.Errorf("the report has %+v", stored.Stopped)
			}
		})
	}
}

func TestOneRoleCountsOnceHoweverMuchOfItIsChanged(t *testing.T) {
	w := fleet(t, 2)
	w.most = model.Portion{Count: 1}
	w.edit(1)
	w.empty(runtimeRole(named(0)))
	w.admin().limit(runtimeRole(named(0)), "")
	if r := w.run("id"); r.Stopped != nil || r.Totals.Drifted != 1 || len(r.Findings) < 3 {
		t.Errorf("%+v %q", r.Stopped, rows(r))
	}
}

// What is told or blocked and stays so would hold up everything for ever.
func TestWhatIsOnlyToldDoesNotPullTheBrake(t *testing.T) {
	w := fleet(t, 3)
	w.most = model.Portion{Count: 1}
	for i := range 3 {
		w.admin().putPolicy(runtimeRole(named(i)), "mine", handMade)
	}
	if r := w.run("first"); r.Stopped != nil || r.Totals.Drifted != 3 {
		t.Errorf("%+v %+v", r.Stopped, r.Totals)
	}
	w.settings.Drift = plan.ReportDrift
	w.edit(3)
	if r := w.run("second"); r.Stopped != nil || r.Totals.Drifted != 3 || actions(r)[report.ActionTold] != 6 {
		t.Errorf("%+v %+v %q", r.Stopped, r.Totals, rows(r))
	}
	w.settings.Drift, w.settings.Unmanaged = plan.RepairDrift, plan.RemoveUnmanaged
	if r := w.run("third"); r.Stopped == nil || r.Stopped.Found != 3 || actions(r)[report.ActionHeldBack] != 6 {
		t.Errorf("%+v %+v %q", r.Stopped, r.Totals, rows(r))
	}
}

func TestAnApprovalThatMayNotBeReadIsToldAndKeepsNoOtherBack(t *testing.T) {
	w := fleet(t, 3)
	w.most = model.Portion{Count: 1}
	w.edit(3)
	stop := w.run("first").Stopped
	if stop == nil {
		t.Fatal("it was not stopped")
	}
	denied := naming.FleetRequestKey("r1")
	w.put(denied, "{}")
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "GetObject" && strings.HasSuffix(c.Resource, denied) {
			return awsfake.APIError("AccessDenied", "not for you")
		}
		return nil
	}
	w.cloud.ForgetCalls()
	r, err := w.pass().Run(t.Context(), "second")
	if !errors.Is(err, fault.ErrDenied) || !strings.Contains(r.Failed, denied) || len(w.sent()) > 0 {
		t.Errorf("%v, %+v", err, r)
	}
	w.write(naming.FleetRequestKey("r2"), model.Request{
		V: 1, ID: "r2", Action: model.Approve, Plans: map[string]string{model.FleetPlan: stop.Hash}, Expires: w.cloud.Now().Add(time.Hour), By: "operator",
	})
	if r := w.run("third"); r.Released == nil || len(w.sent()) != 3 {
		t.Errorf("%+v", r)
	}
}

func TestAnOperatorLetsThePassGoThatWasShown(t *testing.T) {
	begin := newWorld(t).cloud.Now()
	id := "20261122T120000Z-0123456789ab"
	approval := func(hash string) model.Request {
		return model.Request{
			V: 1, ID: id, Action: model.Approve, Plans: map[string]string{model.FleetPlan: hash}, Expires: begin.Add(48 * time.Hour), By: "operator",
		}
	}
	with := func(change func(r *model.Request)) func(w *world, hash string) {
		return func(w *world, hash string) {
			r := approval(hash)
			change(&r)
			w.write(naming.FleetRequestKey(id), r)
		}
	}
	for name, c := range map[string]struct {
		ask  func(w *world, hash string)
		goes int // configs; 0: it is stopped again
	}{
		"as it was shown": {with(func(*model.Request) {}), 3},
		"the last of many": {func(w *world, hash string) {
			for i := range 150 {
				r := approval(strings.Repeat("0", 64))
				r.ID = fmt.Sprintf("20251122T120000Z-%012d", i)
				w.write(naming.FleetRequestKey(r.ID), r)
			}
			w.write(naming.FleetRequestKey(id), approval(hash))
		}, 3},
		"an approval of something else": {with(func(r *model.Request) { r.Plans[model.FleetPlan] = strings.Repeat("0", 64) }), 0},
		"one that expired":              {with(func(r *model.Request) { r.Expires = begin.Add(-time.Second) }), 0},
		"one of yesterday": {func(w *world, hash string) {
			w.write(naming.FleetRequestKey(id), approval(hash))
			w.cloud.Advance(model.MaxRequestAge + time.Second)
		}, 0},
		"one under another id": {func(w *world, hash string) {
			w.write(naming.FleetRequestKey("20261122T120000Z-000000000000"), approval(hash))
		}, 0},
		"one elsewhere":               {func(w *world, hash string) { w.write("requests/config/"+id+".json", approval(hash)) }, 0},
		"one for a config":            {with(func(r *model.Request) { r.Config = config(0) }), 0},
		"one that is to adopt":        {with(func(r *model.Request) { r.Action = model.Adopt }), 0},
		"one with more than a plan":   {with(func(r *model.Request) { r.Plans["another"] = r.Plans[model.FleetPlan] }), 0},
		"one under another plan":      {with(func(r *model.Request) { r.Plans = map[string]string{"agent": r.Plans[model.FleetPlan]} }), 0},
		"one that is damaged":         {func(w *world, hash string) { w.put(naming.FleetRequestKey(id), `{"v":1,"plans":{"pass":"`+hash) }, 0},
		"one on a stack without such": {func(w *world, hash string) { w.write(naming.FleetRequestKey(id), approval(hash)); w.operators = false }, 0},
		"one of what is more by now":  {func(w *world, hash string) { w.write(naming.FleetRequestKey(id), approval(hash)); w.edit(4) }, 0},
		"one of what is edited by now": {func(w *world, hash string) {
			w.write(naming.FleetRequestKey(id), approval(hash))
			w.admin().trust(runtimeRole(named(2)), strings.Replace(evil, "999999999999", "888888888888", 1))
		}, 0},
		"one of what is less by now": {func(w *world, hash string) {
			w.write(naming.FleetRequestKey(id), approval(hash))
			w.reconcile(config(2))
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 5)
			w.most = model.Portion{Count: 1}
			w.edit(3)
			first := w.run("first")
			if first.Stopped == nil {
				t.Fatal("it was not stopped")
			}
			c.ask(w, first.Stopped.Hash)
			w.cloud.ForgetCalls()
			second := w.run("second")
			if n := w.reads(naming.RequestPrefix); n > 100 {
				t.Errorf("%d requests are read", n)
			}
			if second.Totals.Enqueued != c.goes || len(w.sent()) != c.goes || (second.Stopped == nil) != (c.goes > 0) {
				t.Errorf("%+v, enqueued %d", second.Stopped, second.Totals.Enqueued)
			}
			if c.goes == 0 {
				return
			}
			w.settle()
			if third := w.run("third"); third.Stopped != nil || len(third.Findings) > 0 {
				t.Errorf("%+v %q", third.Stopped, rows(third))
			}
		})
	}
}

// Who takes part in a portion changes, so that configs that cannot be brought up
// to date do not hold up others.
func TestOtherSettingsGoOutInPortionsAndNeverPullTheBrake(t *testing.T) {
	const n = 12
	w := fleet(t, n)
	w.most = model.Portion{Percent: 1} // five
	w.settings.Env.Profile, w.hash = desired.Toolkit, "settings-2"
	first := map[string]bool{}
	for i := range 20 {
		r := w.run(fmt.Sprint("stuck-", i))
		if r.Stopped != nil || r.Totals.Enqueued != 5 || r.Totals.Outdated != n || r.Totals.Drifted != 0 {
			t.Fatalf("%+v %+v", r.Stopped, r.Totals)
		}
		if a := actions(r); a[report.ActionRepaired] == 0 || a[report.ActionLater] == 0 {
			t.Errorf("%v", a)
		}
		for _, work := range w.sent()[5*i:] {
			first[work.Key] = true
		}
	}
	if len(first) != n {
		t.Errorf("%d of %d had their turn", len(first), n)
	}
	w.drain()
	var left []int
	for i := range 4 {
		r := w.run(fmt.Sprint("going-", i))
		left = append(left, r.Totals.Outdated)
		w.settle()
	}
	if diff := cmp.Diff([]int{n, n - 5, n - 10, 0}, left); diff != "" {
		t.Error(diff)
	}
}

func TestAConfigWithMoreRolesThanAPortionHasItsTurn(t *testing.T) {
	w := kept(t)
	w.most = model.Portion{Count: 1}
	w.settings.Env.Profile, w.hash = desired.Toolkit, "settings-2"
	if r := w.run("id"); r.Totals.Enqueued != 1 || r.Totals.Outdated != 2 {
		t.Errorf("%+v", r.Totals)
	}
}

// Drift is repaired and what is due is done, however many wait for new settings.
func TestDriftDoesNotWaitForItsTurn(t *testing.T) {
	w := fleet(t, 12)
	w.most = model.Portion{Percent: 1}
	w.settings.Env.Profile, w.hash = desired.Toolkit, "settings-2"
	w.edit(5)
	r := w.run("id")
	var got []string
	for _, work := range w.sent() {
		got = append(got, work.Key)
	}
	if r.Totals.Enqueued != 10 || r.Totals.Drifted != 5 {
		t.Errorf("%+v", r.Totals)
	}
	for i := range 5 {
		if !slices.Contains(got, config(i)) {
			t.Errorf("%s is not among %q", config(i), got)
		}
	}
}

// A config whose status does not tell of what is left alone waits, too, when it
// is to be brought up to date.
func TestWhatIsUntoldWaitsForItsPortion(t *testing.T) {
	const n = 12
	w := fleet(t, n)
	w.most = model.Portion{Percent: 1} // five
	for i := range n {
		w.admin().putPolicy(runtimeRole(named(i)), "mine", handMade)
	}
	w.settings.Env.Profile, w.hash = desired.Toolkit, "settings-2"
	r := w.run("id")
	if r.Totals.Enqueued != 5 || r.Totals.Outdated != n || r.Totals.Missed != n || actions(r)[report.ActionTold] != n || actions(r)[report.ActionLater] != n-5 {
		t.Errorf("%+v %v", r.Totals, actions(r))
	}
	for i := range n / 5 {
		w.settle()
		if r = w.run(fmt.Sprint(i)); r.Totals.Enqueued == 0 {
			t.Errorf("%+v", r.Totals)
		}
	}
	w.settle()
	if r = w.run("last"); r.Totals.Enqueued+r.Totals.Missed+r.Totals.Outdated > 0 || len(r.Findings) != n {
		t.Errorf("%+v %q", r.Totals, rows(r))
	}
}
