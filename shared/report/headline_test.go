package report_test

import (
	"testing"
	"time"

	"rolekeeper/shared/report"
)

func TestTheHeadlineSaysHowThePassFoundTheAccount(t *testing.T) {
	finding := []report.Finding{{Kind: report.KindPending}}
	for want, p := range map[string]report.Pass{
		"All is as it was left.":                                        {},
		"All is as it was left; not all is as it should be.":            {Findings: finding},
		"1 role, project or policy is not as it was left.":              {Totals: report.Totals{Drifted: 1}, Findings: finding},
		"2,000 roles, projects and policies are not as they were left.": {Totals: report.Totals{Drifted: 2000}, Findings: finding},
		"The pass is not whole: list roles: throttled.":                 {Failed: "list roles: throttled.", Totals: report.Totals{Drifted: 1}},
		"The pass was stopped before it changed anything: it would put 1,200 right, and at most 40 may be at once.": {
			Stopped: &report.Stop{Found: 1200, Allowed: 40}, Totals: report.Totals{Drifted: 1200},
		},
	} {
		if got := report.Headline(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhatIsSaidOfAPassThatIsNotWhole(t *testing.T) {
	const known = "What is shown is what was known by then."
	stop, at := &report.Stop{Found: 30, Allowed: 24}, time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	const stopped = "The pass was stopped before it changed anything: it would put 30 right, and at most 24 may be at once."
	const earlier = "The pass failed: what is shown was found by that of 2026-11-22 11:00:00 UTC. "
	for name, c := range map[string]struct {
		pass report.Pass
		want string
	}{
		"a whole one":                          {report.Pass{Totals: report.Totals{Drifted: 1}}, ""},
		"a whole one that was stopped":         {report.Pass{Stopped: stop}, ""},
		"one that failed first":                {report.Pass{Failed: "x"}, known},
		"one that was stopped itself":          {report.Pass{Failed: "x", Stopped: stop}, stopped},
		"one that went on":                     {report.Pass{Failed: "x", Totals: report.Totals{Enqueued: 1}}, ""},
		"one after one that was not stopped":   {report.Pass{Failed: "x", FoundAt: at, Totals: report.Totals{Drifted: 1}}, earlier + "1 role, project or policy is not as it was left."},
		"one after one that was stopped":       {report.Pass{Failed: "x", FoundAt: at, Stopped: stop}, earlier + stopped},
		"one after one that found all as left": {report.Pass{Failed: "x", FoundAt: at}, earlier + "All is as it was left."},
	} {
		if got := report.Nonetheless(c.pass); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
