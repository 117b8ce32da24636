package drift_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

func TestAReportTellsWhatIsNewAndSinceWhenTheRestIsKnown(t *testing.T) {
	w := kept(t)
	r, b := runtimeRole("my_agent"), buildRole("my_agent")
	w.admin().putPolicy(r, "first", handMade)
	w.admin().createRole("AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789", plainTrust)
	begin := w.cloud.Now()
	w.run("a")
	w.settle()
	w.cloud.Advance(time.Hour)
	w.admin().putPolicy(b, "second", handMade)
	w.admin().createRole("AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456780", plainTrust)
	got := w.run("b")
	type known struct {
		Name  string
		New   bool
		Since time.Time
	}
	var all []known
	for _, d := range got.Findings {
		all = append(all, known{d.Role, d.New, d.Since})
	}
	for _, o := range got.Orphans {
		all = append(all, known{o.Name, o.New, o.Since})
	}
	now := w.cloud.Now()
	want := []known{
		{b, true, now}, {r, false, begin},
		{"AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456780", true, now}, {"AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789", false, begin},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTheHistoryIsBoundedAndInOrder(t *testing.T) {
	w := newWorld(t)
	last := report.Pass{V: report.PassVersion, At: w.cloud.Now()}
	for i := range report.MaxHistory {
		last.History = append(last.History, report.Point{At: last.At.Add(time.Duration(i-report.MaxHistory) * time.Hour), Roles: i})
	}
	last.Totals.Roles = report.MaxHistory
	w.write(naming.LatestPassKey, last)
	w.cloud.Advance(time.Hour)
	r := w.run("id")
	if len(r.History) != report.MaxHistory {
		t.Fatalf("%d points", len(r.History))
	}
	for i, p := range r.History {
		if p.Roles != i+1 {
			t.Fatalf("point %d is %+v", i, p)
		}
	}
}

func TestAPassGoesOnWithoutTheReportOfTheLast(t *testing.T) {
	whole, err := json.Marshal(report.Pass{V: report.PassVersion})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"none":          "",
		"damaged":       `{"v":1,"findings":[`,
		"a later one":   strings.Replace(string(whole), `"v":1`, `"v":2`, 1),
		"too large":     strings.Replace(string(whole), `{"v":1`, `{`+strings.Repeat(" ", 33<<20)+`"v":1`, 1),
		"no report":     "[]",
		"another field": `{"v":1,"more":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			w.admin().trust(runtimeRole("my_agent"), evil)
			if name == "none" {
				w.remove(naming.LatestPassKey)
			} else {
				w.put(naming.LatestPassKey, body)
			}
			r := w.run("id")
			if len(r.Findings) != 1 || r.Findings[0].New || len(r.History) > 0 || r.Totals.Enqueued != 1 {
				t.Errorf("%+v", r)
			}
			if after := w.run("again"); len(after.History) != 1 {
				t.Errorf("history %+v", after.History)
			}
		})
	}
}

// What a pass found that failed is nothing; it shows what is known.
func TestAPassThatFailsShowsWhatTheLastFound(t *testing.T) {
	w := kept(t)
	w.admin().putPolicy(runtimeRole("my_agent"), "mine", handMade)
	w.admin().createRole("AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789", plainTrust)
	found := w.run("found")
	w.settle()
	for _, id := range []string{"failed", "failed again"} {
		w.cloud.Advance(time.Hour)
		w.cloud.Before = func(c awsfake.Call) error {
			if c.Operation == "ListRoles" {
				return awsfake.APIError("ThrottlingException", "not now")
			}
			return nil
		}
		r, err := w.pass().Run(t.Context(), id)
		if err == nil || !strings.Contains(r.Failed, "not now") || !r.FoundAt.Equal(found.At) || len(w.sent()) > 0 {
			t.Fatalf("%v %+v", err, r)
		}
		if diff := cmp.Diff(found.Findings, r.Findings); diff != "" {
			t.Errorf("findings (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(found.Orphans, r.Orphans); diff != "" || r.Totals.Orphans != 1 || r.Totals.Enqueued != 0 {
			t.Errorf("%+v (-want +got)\n%s", r.Totals, diff)
		}
	}
	w.cloud.Before = nil
	w.cloud.Advance(time.Hour)
	r := w.run("sound")
	if len(r.Findings) != 1 || r.Findings[0].New || r.Orphans[0].New || !r.FoundAt.IsZero() || !r.Findings[0].Since.Equal(found.At) {
		t.Errorf("%+v", r)
	}
	var failures []bool
	for _, p := range r.History {
		failures = append(failures, p.Failed)
	}
	if diff := cmp.Diff([]bool{false, false, true, true}, failures); diff != "" {
		t.Error(diff)
	}
}

// The time of a function that is over must not take its answer with it.
func TestAPassThatRunsOutOfTimeSaysSo(t *testing.T) {
	w := kept(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "GetAccountSummary" {
			cancel() // of what is read at the same time, anything may be the first to notice
			return ctx.Err()
		}
		return nil
	}
	p := w.pass()
	p.Reports = punctual{p.Reports}
	if _, err := p.Run(ctx, "id"); err == nil || !strings.Contains(w.latest().Failed, context.Canceled.Error()) {
		t.Errorf("%v: %q", err, w.latest().Failed)
	}
}

// punctual takes nothing from who has no time.
type punctual struct{ drift.Reports }

func (p punctual) Put(ctx context.Context, key, contentType string, body []byte) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return p.Reports.Put(ctx, key, contentType, body)
}

// A report is what the next pass reads: it is bounded, whatever is in policies.
func TestAReportIsBoundedWhateverThereIs(t *testing.T) {
	const n = 150
	w := fleet(t, n)
	hostile := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"%s"}]}`, strings.Repeat("<", 8000)) // six bytes each in JSON
	for i := range n {
		w.admin().putPolicy(runtimeRole(named(i)), "mine", hostile)
	}
	w.run("id")
	body := w.cloud.Objects(bucket, "reports/")[naming.LatestPassKey]
	if len(body) > 7<<20 || w.latest().Findings[0].Observed != hostile || len(w.latest().Findings) != n || w.latest().Findings[n-1].Observed != "" {
		t.Errorf("%d bytes, %d findings", len(body), len(w.latest().Findings))
	}
}

func TestMoreThanAReportHasRoomForIsCounted(t *testing.T) {
	w := newWorld(t)
	account := bulk{roles: map[string]model.ObservedRole{}}
	for i := range report.MaxFindings + 7 {
		name := fmt.Sprintf("AmazonBedrockAgentCoreSDKRuntime-us-east-1-%010x", i)
		account.roles[name] = model.ObservedRole{Name: name}
	}
	p := w.pass()
	p.Account = account
	r, err := p.Run(t.Context(), "id")
	if err != nil || len(r.Orphans) != report.MaxFindings || r.Omitted != 7 || r.Totals.Orphans != report.MaxFindings+7 {
		t.Errorf("%v: %d orphans, %d omitted, %+v", err, len(r.Orphans), r.Omitted, r.Totals)
	}
}

// bulk is an account of roles that are settled but for some.
type bulk struct {
	roles     map[string]model.ObservedRole
	unsettled map[string]bool
}

func (b bulk) Read(context.Context) (model.Account, error) {
	return model.Account{Roles: b.roles, Unsettled: b.unsettled, Quota: 1000, Calls: 3}, nil
}

// What the latest report knows is not lost because it could not be read once.
func TestALatestReportThatCannotBeReadStays(t *testing.T) {
	for nth, sent := range map[int]int{1: 0, 2: 1} { // before all, and before it is written
		w := kept(t)
		w.admin().putPolicy(runtimeRole("my_agent"), "mine", handMade)
		found := w.run("found")
		w.settle()
		was := w.cloud.Objects(bucket, "reports/")
		w.cloud.Advance(time.Hour)
		w.admin().trust(runtimeRole("my_agent"), evil)
		reads := 0
		w.cloud.Before = func(c awsfake.Call) error {
			if c.Operation == "GetObject" && c.Resource == bucket+"/"+naming.LatestPassKey {
				if reads++; reads == nth {
					return awsfake.APIError("ServiceUnavailable", "503")
				}
			}
			return nil
		}
		w.cloud.ForgetCalls()
		at := w.cloud.Now()
		r, err := w.pass().Run(t.Context(), "id")
		if err == nil || !strings.Contains(r.Failed, "503") || len(w.sent()) != sent {
			t.Errorf("%d: %v, %q, %q", nth, err, r.Failed, w.hints())
		}
		if diff := cmp.Diff([]string{"SendMessage", naming.DriftReportKey(at)}[1-sent:], w.writes()); diff != "" {
			t.Errorf("%d: writes (-want +got)\n%s", nth, diff)
		}
		for _, key := range []string{naming.LatestPassKey, naming.LatestReportKey} {
			if is := w.cloud.Objects(bucket, "reports/")[key]; string(is) != string(was[key]) {
				t.Errorf("%d: %s was written", nth, key)
			}
		}
		w.cloud.Before = nil
		w.cloud.Advance(time.Hour)
		next := w.run("next")
		if len(next.History) != 2 || len(next.Findings) != 2 || next.Findings[0].New || !next.Findings[0].Since.Equal(found.At) {
			t.Errorf("%d: %+v", nth, next)
		}
	}
}

// An approval has a pass taken beside that of the schedule.
func TestALaterPassThatWasFasterStaysTheLatest(t *testing.T) {
	for name, after := range map[string]time.Duration{"later": time.Second, "at the same time": 0} {
		w := kept(t)
		p := w.pass()
		p.Account = meanwhile{p.Account, func() {
			w.cloud.Advance(after)
			w.run("fast")
		}}
		w.cloud.ForgetCalls()
		at := w.cloud.Now()
		r, err := p.Run(t.Context(), "slow")
		w.must(nil, err)
		want := "fast"
		if after == 0 {
			want = "slow"
		}
		kept := w.cloud.Objects(bucket, "reports/")
		if latest := w.latest(); latest.ID != want || !strings.Contains(string(kept[naming.LatestReportKey]), latest.At.Format("15:04:05")) {
			t.Errorf("%s: the latest is %s", name, latest.ID)
		}
		if _, there := kept[naming.DriftReportKey(at)]; !there || r.Failed != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
