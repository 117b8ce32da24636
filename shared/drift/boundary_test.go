package drift_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/report"
)

// What a boundary of the platform team's own should say nobody here knows: that it
// was changed is told for a week, whatever passes there were meanwhile.
func TestAChangeOfABoundaryOfOnesOwnIsToldForAWeek(t *testing.T) {
	const own, week = "arn:aws:iam::123456789012:policy/team/agents", 7 * 24 * time.Hour
	w := newWorld(t)
	w.settings.Env.PermissionsBoundary = own
	w.cloud.AddPolicy(own, plainTrust)
	told := []string{"boundary told " + own + " "}
	look := func(id string, want []string, version string) report.Pass {
		t.Helper()
		w.cloud.ForgetCalls()
		r := w.run(id)
		if diff := cmp.Diff(want, rows(r), cmpopts.EquateEmpty()); diff != "" || r.BoundaryVersion != version || len(w.sent()) > 0 {
			t.Errorf("%s: version %q (-want +got)\n%s", id, r.BoundaryVersion, diff)
		}
		calls := 0
		for _, c := range w.cloud.Calls() {
			if c.Service == "iam" {
				calls++
			}
			if c.Operation == "GetPolicyVersion" {
				t.Errorf("%s reads the document", id)
			}
		}
		if calls != r.Totals.IAMCalls {
			t.Errorf("%s: %d calls of IAM are told of %d", id, r.Totals.IAMCalls, calls)
		}
		return r
	}
	look("made just now", nil, "v1")
	w.cloud.Advance(time.Hour)
	changed := w.cloud.Now()
	w.cloud.AddPolicy(own, handMade)
	for _, id := range []string{"changed", "an hour later", "after the report was lost"} {
		if id == "after the report was lost" {
			w.remove("reports/latest.json")
		}
		d := look(id, told, "v2").Findings[0]
		if !strings.Contains(d.Message, "changed at "+changed.Format(time.RFC3339)+"; version v2") || d.Fix == "" || d.Observed+d.Desired != "" {
			t.Errorf("%s: %+v", id, d)
		}
		w.cloud.Advance(time.Hour)
	}
	w.cloud.Advance(changed.Add(week - time.Second).Sub(w.cloud.Now()))
	look("in the last second", told, "v2")
	w.cloud.Advance(time.Second)
	look("after a week", nil, "v2")
	w.cloud.AddPolicy(own, plainTrust)
	look("changed again", told, "v3")
}
