package report_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
)

// metrics reads a line as CloudWatch does: the metrics that it declares, with
// their values and units.
func metrics(t *testing.T, line []byte, at time.Time) (values map[string]float64, units map[string]string) {
	t.Helper()
	if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\n")) {
		t.Fatalf("not one line: %q", line)
	}
	text, err := os.ReadFile("testdata/emf.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddResource("emf.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MustCompile("emf.schema.json").Validate(instance); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	var root map[string]json.RawMessage
	var meta struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	if err := json.Unmarshal(line, &root); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(root["_aws"], &meta); err != nil {
		t.Fatal(err)
	}
	if len(meta.CloudWatchMetrics) != 1 || meta.CloudWatchMetrics[0].Namespace != "Rolekeeper" || meta.Timestamp != at.UnixMilli() {
		t.Errorf("%+v", meta)
	}
	if diff := cmp.Diff([][]string{{}}, meta.CloudWatchMetrics[0].Dimensions); diff != "" {
		t.Errorf("dimensions (-want +got)\n%s", diff)
	}
	values, units = map[string]float64{}, map[string]string{}
	for _, m := range meta.CloudWatchMetrics[0].Metrics {
		var v float64
		if err := json.Unmarshal(root[m.Name], &v); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		values[m.Name], units[m.Name] = v, m.Unit
	}
	if len(values)+1 != len(root) {
		t.Errorf("members that are no metrics: %v", slices.Collect(maps.Keys(root)))
	}
	return values, units
}

func TestMetricsOfAPassAreWhatIsKnown(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)
	totals := report.Totals{
		Configs: 1, Agents: 2, Roles: 3, Drifted: 4, Outdated: 5, Refused: 6, Orphans: 7, Retiring: 8, Blocked: 9,
		AccountRoles: 850, RolesQuota: 1000, IAMCalls: 11, Unread: 12,
	}
	whole := map[string]float64{
		"Passes": 1, "PassStopped": 0, "Configs": 1, "Agents": 2, "Roles": 3, "Drifted": 4, "Outdated": 5, "Refused": 6, "Orphans": 7,
		"Retiring": 8, "Blocked": 9, "Duration": 1.5, "IAMCalls": 11, "RolesOfQuota": 85, "AccountRoles": 850, "Unread": 12,
	}
	with := func(change func(map[string]float64)) map[string]float64 {
		m := maps.Clone(whole)
		change(m)
		return m
	}
	for name, c := range map[string]struct {
		change func(*report.Pass)
		want   map[string]float64
	}{
		"a whole one":   {func(*report.Pass) {}, whole},
		"a stopped one": {func(p *report.Pass) { p.Stopped = &report.Stop{} }, with(func(m map[string]float64) { m["PassStopped"] = 1 })},
		"without a quota": {
			func(p *report.Pass) { p.Totals.RolesQuota = 0 }, with(func(m map[string]float64) { delete(m, "RolesOfQuota") }),
		},
		"a failed one that shows what the one before found": {
			func(p *report.Pass) { p.Failed, p.FoundAt = "throttled", now }, map[string]float64{"Duration": 1.5, "IAMCalls": 11},
		},
		"a failed one of which nothing is known": {
			func(p *report.Pass) { p.Failed, p.Totals = "throttled", report.Totals{} }, map[string]float64{"Duration": 1.5, "IAMCalls": 0},
		},
		"one that failed when all was counted": {
			func(p *report.Pass) { p.Failed = "no queue" }, with(func(m map[string]float64) { delete(m, "Passes") }),
		},
		"one that failed when all was counted and it was stopped": {
			func(p *report.Pass) { p.Failed, p.Stopped = "no report", &report.Stop{} }, with(func(m map[string]float64) { delete(m, "Passes"); m["PassStopped"] = 1 }),
		},
		"a failed one that shows what stopped the one before": {
			func(p *report.Pass) { p.Failed, p.FoundAt, p.Stopped = "throttled", now, &report.Stop{} },
			map[string]float64{"Duration": 1.5, "IAMCalls": 11},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := report.Pass{Seconds: 1.5, Totals: totals}
			c.change(&p)
			line, err := report.Metrics(p, now)
			if err != nil {
				t.Fatal(err)
			}
			got, units := metrics(t, line, now)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for metric, unit := range units {
				want := map[string]string{"Duration": "Seconds", "RolesOfQuota": "Percent"}[metric]
				if want == "" {
					want = "Count"
				}
				if unit != want {
					t.Errorf("%s in %s", metric, unit)
				}
			}
		})
	}
}

func TestRepairsAreCounted(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	line, err := report.Repaired(3, now)
	if err != nil {
		t.Fatal(err)
	}
	values, units := metrics(t, line, now)
	if diff := cmp.Diff(map[string]float64{"Repaired": 3}, values); diff != "" || units["Repaired"] != "Count" {
		t.Errorf("%v (-want +got)\n%s", units, diff)
	}
}

func TestALookAtServiceLinkedRolesIsCounted(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	// As many of each as its place says.
	verdicts := []model.Verdict{
		model.LinkedMissing, model.LinkedIdle, model.LinkedRemovable, model.LinkedRefused, model.LinkedUnknown,
		model.LinkedNeeded, model.LinkedUsed, model.LinkedDeleting, model.LinkedAbsent, "another",
	}
	var s model.ServiceLinkedRoles
	for i, v := range verdicts {
		s.Roles = append(s.Roles, slices.Repeat([]model.ServiceLinkedRole{{Verdict: v}}, i+1)...)
	}
	for name, c := range map[string]struct {
		of   model.ServiceLinkedRoles
		want map[string]float64
	}{
		"some of all": {s, map[string]float64{
			"ServiceLinkedRolesMissing": 1, "ServiceLinkedRolesIdle": 2, "ServiceLinkedRolesRemovable": 3, "ServiceLinkedRolesRefused": 4,
			"ServiceLinkedRolesUnknown": 5, "ServiceLinkedRoleLooks": 1,
		}},
		"none": {model.ServiceLinkedRoles{}, map[string]float64{
			"ServiceLinkedRolesMissing": 0, "ServiceLinkedRolesIdle": 0, "ServiceLinkedRolesRemovable": 0, "ServiceLinkedRolesRefused": 0,
			"ServiceLinkedRolesUnknown": 0, "ServiceLinkedRoleLooks": 1,
		}},
	} {
		line, err := report.LinkedMetrics(c.of, now)
		if err != nil {
			t.Fatal(err)
		}
		values, units := metrics(t, line, now)
		if diff := cmp.Diff(c.want, values); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		for metric, unit := range units {
			if unit != "Count" {
				t.Errorf("%s in %s", metric, unit)
			}
		}
	}
}

func TestWhatIsNoNumberIsNoMetric(t *testing.T) {
	if line, err := report.Metrics(report.Pass{Seconds: math.NaN()}, time.Now()); err == nil {
		t.Errorf("%s", line)
	}
}
