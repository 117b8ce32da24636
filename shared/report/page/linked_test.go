package page_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
)

// verdicts gives all there are.
func verdicts(t testing.TB) []model.Verdict {
	t.Helper()
	var all []model.Verdict
	for _, v := range constants(t, "../../model/linked.go", "Verdict") {
		all = append(all, model.Verdict(v))
	}
	return all
}

var passed = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// linked gives a pass with roles that were looked at an hour before.
func linked(roles ...model.ServiceLinkedRole) report.Pass {
	return report.Pass{At: passed, Linked: &report.Linked{BegunAt: passed.Add(-time.Hour), LookedAt: passed.Add(-time.Hour), Roles: roles}}
}

func TestServiceLinkedRolesThatUrgeShowAtTheTop(t *testing.T) {
	role := func(name string, v model.Verdict) model.ServiceLinkedRole {
		return model.ServiceLinkedRole{Name: name, Verdict: v}
	}
	late := linked()
	late.Linked.LookedAt = passed.Add(-26*time.Hour - time.Second)
	inTime := linked()
	inTime.Linked.LookedAt = passed.Add(-26 * time.Hour)
	none := report.Pass{At: passed, Linked: &report.Linked{}}
	for name, c := range map[string]struct {
		pass  report.Pass
		urges bool
	}{
		"an older pass":      {report.Pass{At: passed}, false},
		"no look yet":        {none, false},
		"a look in time":     {inTime, false},
		"a look that's late": {late, true},
		"nothing known":      {report.Pass{At: passed, Linked: &report.Linked{Unread: "denied"}}, true},
		"one is missing":     {linked(role("A", model.LinkedMissing)), true},
		"some are": {
			linked(role("A", model.LinkedMissing), role("B", model.LinkedRefused), role("C", model.LinkedMissing), role("D", model.LinkedUnknown), role("E", model.LinkedRefused)), true,
		},
		"all else": {
			linked(role("A", model.LinkedNeeded), role("B", model.LinkedUsed), role("C", model.LinkedIdle), role("D", model.LinkedRemovable),
				role("E", model.LinkedDeleting), role("F", model.LinkedAbsent)), false,
		},
	} {
		alerts := c.pass.Linked.Alerts(c.pass.At)
		if (len(alerts) > 0) != c.urges {
			t.Fatalf("%s: %q", name, alerts)
		}
		mood := "good"
		if c.urges {
			mood = "warn"
		}
		text := made(t, c.pass)
		if !strings.Contains(text, `<section class="headline `+mood+`">`) {
			t.Errorf("%s: the page is not %s", name, mood)
		}
		if warns := strings.Contains(text, `<p class="late">`); warns != (name == "a look that's late" || name == "nothing known") {
			t.Errorf("%s: the section warns: %v", name, warns)
		}
		says := read(t, text)
		for _, want := range append(alerts, report.Headline(c.pass)) {
			if !strings.Contains(says, want) {
				t.Errorf("%s: the page does not say %q", name, want)
			}
		}
	}
}

func TestAVerdictHasTheColourOfItsUrgency(t *testing.T) {
	for _, v := range verdicts(t) {
		want := map[model.Verdict]string{
			model.LinkedMissing: "bad", model.LinkedRefused: "warn", model.LinkedUnknown: "warn", model.LinkedDeleting: "warn", model.LinkedRemovable: "warn",
			model.LinkedNeeded: "good", model.LinkedUsed: "good",
		}[v]
		text := made(t, linked(model.ServiceLinkedRole{Name: "A", Verdict: v}))
		if m := regexp.MustCompile(`<b>A</b>.*<i class="act ([a-z]*)">`).FindStringSubmatch(text); m == nil || m[1] != want {
			t.Errorf("%s: %q, want %s", v, m, want)
		}
	}
}

func TestWhatIsShownOfServiceLinkedRoles(t *testing.T) {
	const allowed = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeSubnets","Resource":"*"}]}`
	const same = `{"Statement":[{"Action":["ec2:DescribeSubnets"],"Resource":["*"],"Effect":"Allow"}],"Version":"2012-10-17"}`
	at, used := passed.Add(-48*time.Hour), passed.Add(-24*time.Hour)
	with := func(change func(*model.ServiceLinkedRole)) report.Pass {
		r := model.ServiceLinkedRole{Name: "A", Verdict: model.LinkedIdle, Since: at, Created: at}
		change(&r)
		return linked(r)
	}
	policy := func(was, is string) report.Pass {
		return with(func(r *model.ServiceLinkedRole) {
			r.Policy = &model.LinkedPolicy{ARN: "arn:policy", Version: "v2", Before: "v1", Changed: at, Was: was, Document: is}
		})
	}
	deletion := func(d model.LinkedDeletion) report.Pass {
		d.At = at
		return with(func(r *model.ServiceLinkedRole) { r.Deletion = &d })
	}
	begun, began := linked(), report.Pass{At: passed, Linked: &report.Linked{BegunAt: at}}
	begun.Linked.BegunAt = passed
	during, late := linked(), linked()
	during.Linked.LookedAt, late.Linked.LookedAt = passed.Add(time.Hour), at
	region := linked()
	region.Linked.Regions = []model.LinkedRegion{{Name: "us-east-1", Resources: 1, Interfaces: 1200, Unread: []string{"gateways: denied"}}}
	const section, never = "AWS defines these roles for AgentCore", "They have not been looked at yet."
	for name, c := range map[string]struct {
		pass      report.Pass
		want, not []string
	}{
		"an older pass":               {report.Pass{At: passed}, nil, []string{section, "Service-linked"}},
		"no look yet":                 {report.Pass{At: passed, Linked: &report.Linked{}}, []string{section, never}, []string{"Another look", "could not be read"}},
		"the first look runs":         {began, []string{never, "Another look began 2026-11-21 12:00:00 UTC and had not come to its end."}, nil},
		"a look":                      {linked(), []string{"They were looked at 2026-11-23 11:00:00 UTC, 1 h before the pass."}, []string{never, "Another look", "each day"}},
		"a look since the pass began": {during, []string{"They were looked at 2026-11-23 13:00:00 UTC, 0 min before the pass."}, nil},
		"a look that is late":         {late, []string{"They were looked at 2026-11-21 12:00:00 UTC, 2 days before the pass; there should be a look each day"}, nil},
		"another look runs":           {begun, []string{"Another look began 2026-11-23 12:00:00 UTC and had not come to its end."}, nil},
		"it could not be read": {
			report.Pass{At: passed, Linked: &report.Linked{Unread: "damaged"}}, []string{"What is known of them could not be read: damaged"}, []string{never},
		},
		"Regions": {region, []string{"us-east-1", "1 resource of AgentCore, 1,200 network interfaces in VPCs", "not read: gateways: denied"}, nil},
		"never used": {
			with(func(*model.ServiceLinkedRole) {}), []string{"not used within 400 days", "for 2 days"}, []string{"Needed by", "Deletion of", "its policy"},
		},
		"not there": {with(func(r *model.ServiceLinkedRole) { r.Created = time.Time{} }), nil, []string{"last used", "not used"}},
		"used":      {with(func(r *model.ServiceLinkedRole) { r.LastUsed = used }), []string{"last used 2026-11-22 12:00:00 UTC\n"}, nil},
		"used, as the report has it": {
			with(func(r *model.ServiceLinkedRole) {
				r.LastUsed, r.LastUsedRegion = at, "us-east-1"
				r.Accessed = &model.LinkedAccess{Last: used, Region: "eu-west-1"}
			}), []string{"last used 2026-11-22 12:00:00 UTC from eu-west-1\n"}, nil,
		},
		"used after the report": {
			with(func(r *model.ServiceLinkedRole) {
				r.LastUsed, r.LastUsedRegion = used, "us-east-1"
				r.Accessed = &model.LinkedAccess{Last: at, Region: "eu-west-1"}
			}), []string{"last used 2026-11-22 12:00:00 UTC from us-east-1\n"}, nil,
		},
		"needs": {
			with(func(r *model.ServiceLinkedRole) {
				r.Needs = []model.LinkedNeed{{Kind: "runtime", Name: "arn:1", Region: "us-east-1", Status: "READY"}, {Kind: "config", Name: "configs/a.yaml", Region: "us-east-1"}}
				r.MoreNeeds, r.Unread = 1500, []string{"browsers: denied"}
			}),
			[]string{"Needed by 1,502; not all could be read", "runtime arn:1 in us-east-1 (READY)", "config configs/a.yaml in us-east-1\n", "and 1,500 more", "not read: browsers: denied"}, nil,
		},
		"many reasons": {
			with(func(r *model.ServiceLinkedRole) {
				for i := range 25 {
					r.Reasons = append(r.Reasons, "because "+strings.Repeat("x", i+1))
				}
			}),
			[]string{"because " + strings.Repeat("x", 20) + "\n", "and 5 more, which slr/service-linked-roles.json has"}, []string{strings.Repeat("x", 21)},
		},
		"AWS changed the policy": {
			policy(allowed, strings.Replace(allowed, "Subnets", "Vpcs", 1)),
			[]string{
				"AWS changed its policy −1 +1", "arn:policy: version v2; before the look of 2026-11-21 12:00:00 UTC it was v1.",
				`-      "Action": "ec2:DescribeSubnets"`, `+      "Action": "ec2:DescribeVpcs"`,
			}, []string{"AWS wrote it"},
		},
		"AWS changed nothing in it": {policy(allowed, same), []string{"AWS changed its policy −0 +0", "it was v1. Both say the same."}, []string{"What it said"}},
		"a policy that was not read before": {
			policy("", allowed), []string{"AWS changed its policy", "What it said is not known of both."}, []string{"Both say", `"Action"`},
		},
		"a policy that is not read now": {policy(allowed, ""), []string{"What it said is not known of both."}, []string{`"Action"`}},
		"a policy that could not be read": {
			with(func(r *model.ServiceLinkedRole) { r.Policy = &model.LinkedPolicy{ARN: "arn:policy", Unread: "denied"} }),
			[]string{"Its policy arn:policy could not be read: denied"}, []string{"AWS changed"},
		},
		"AWS refused": {
			deletion(model.LinkedDeletion{
				Request: "id", State: model.DeletionFailed, Reason: "It is in use.", EndedAt: used,
				Usage: []model.LinkedUsage{{Region: "us-east-1", Resources: []string{"arn:1", "arn:2"}}, {Region: "eu-west-1"}},
			}),
			[]string{
				"Deletion of 2026-11-21: AWS did not delete the role", "Decided at 2026-11-21 12:00:00 UTC, by request id; ended at 2026-11-22 12:00:00 UTC",
				"It is in use.", "used in us-east-1: arn:1", "used in us-east-1: arn:2", "used in eu-west-1: something that AWS does not name",
			}, nil,
		},
		"a deletion that runs": {
			deletion(model.LinkedDeletion{State: model.DeletionRunning}), []string{"AWS is at it", "after it was idle for long enough\n"}, []string{"ended at"},
		},
		"a deletion that was asked":  {deletion(model.LinkedDeletion{State: model.DeletionAsked}), []string{"AWS is about to be asked, or just was"}, nil},
		"a deletion that came about": {deletion(model.LinkedDeletion{State: model.DeletionSucceeded}), []string{"the role is gone"}, nil},
		"a deletion that was lost":   {deletion(model.LinkedDeletion{State: model.DeletionLost}), []string{"AWS knows of it no more, and the role is there"}, nil},
	} {
		// What stands in an element of its own ends with it.
		says := read(t, strings.NewReplacer("</p>", "\n</p>", "</span>", "\n</span>").Replace(made(t, c.pass)))
		for _, want := range c.want {
			if !strings.Contains(says, want) {
				t.Errorf("%s: %q is not shown:\n%s", name, want, says)
			}
		}
		for _, not := range c.not {
			if strings.Contains(says, not) {
				t.Errorf("%s: %q is shown:\n%s", name, not, says)
			}
		}
	}
}

// A page with nothing in a group would hide it as soon as somebody searches.
func TestThatNothingIsKnownOfServiceLinkedRolesIsNotSearchedFor(t *testing.T) {
	for name, c := range map[string]struct {
		pass report.Pass
		want string
	}{
		"nothing is known": {report.Pass{Linked: &report.Linked{}}, `<section class="linked">`},
		"a role":           {linked(model.ServiceLinkedRole{Name: "A"}), `<section class="group linked">`},
	} {
		text := made(t, c.pass)
		if !strings.Contains(text, c.want) || strings.Contains(text, `data-filter="service-linked-role"`) != (name == "a role") {
			t.Errorf("%s: %s", name, text)
		}
	}
}
