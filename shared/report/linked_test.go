package report_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
)

var passed = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// linked gives a pass with roles that were looked at an hour before.
func linked(roles ...model.ServiceLinkedRole) report.Pass {
	return report.Pass{At: passed, Linked: &report.Linked{BegunAt: passed.Add(-time.Hour), LookedAt: passed.Add(-time.Hour), Roles: roles}}
}

func TestServiceLinkedRolesThatUrgeAreTold(t *testing.T) {
	role := func(name string, v model.Verdict) model.ServiceLinkedRole {
		return model.ServiceLinkedRole{Name: name, Verdict: v}
	}
	late := linked()
	late.Linked.LookedAt = passed.Add(-26*time.Hour - time.Second)
	inTime := linked()
	inTime.Linked.LookedAt = passed.Add(-26 * time.Hour)
	none := report.Pass{At: passed, Linked: &report.Linked{}}
	for name, c := range map[string]struct {
		pass report.Pass
		want []string
	}{
		"an older pass":      {report.Pass{At: passed}, nil},
		"no look yet":        {none, nil},
		"a look in time":     {inTime, nil},
		"a look that's late": {late, []string{"The service-linked roles were last looked at 26 h before the pass: the daily look is late."}},
		"nothing known": {
			report.Pass{At: passed, Linked: &report.Linked{Unread: "denied"}}, []string{"What is known of the service-linked roles could not be read."},
		},
		"one is missing": {linked(role("A", model.LinkedMissing)), []string{"1 service-linked role is needed and not there: A."}},
		"some are": {
			linked(role("A", model.LinkedMissing), role("B", model.LinkedRefused), role("C", model.LinkedMissing), role("D", model.LinkedUnknown), role("E", model.LinkedRefused)),
			[]string{"2 service-linked roles are needed and not there: A, C.", "AWS refused to delete 2 service-linked roles: B, E.", "1 service-linked role could not be judged: D."},
		},
		"all else": {
			linked(role("A", model.LinkedNeeded), role("B", model.LinkedUsed), role("C", model.LinkedIdle), role("D", model.LinkedRemovable),
				role("E", model.LinkedDeleting), role("F", model.LinkedAbsent)), nil,
		},
	} {
		if diff := cmp.Diff(c.want, c.pass.Linked.Alerts(c.pass.At)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		headline := "All is as it was left."
		if len(c.want) > 0 {
			headline = "All is as it was left; not all is as it should be."
		}
		if got := report.Headline(c.pass); got != headline {
			t.Errorf("%s: %q", name, got)
		}
	}
}
