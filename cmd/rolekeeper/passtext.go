package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
)

// passText writes in a few lines what a pass found.
func passText(t *terminal, pass report.Pass, now time.Time) {
	t.line("%s", report.Headline(pass))
	t.line("pass of %s, %s, drift mode %s", moment(pass.At), ago(now.Sub(pass.At)), pass.Mode)
	if text := report.Nonetheless(pass); text != "" {
		t.line("%s", text)
	}
	totalsText(t, pass)
}

// totalsText writes what a pass counted: of what mostly there is none, only when
// there is some.
func totalsText(t *terminal, pass report.Pass) {
	n := pass.Totals
	t.line("  %s with %s and %s", many(n.Configs, "config"), many(n.Agents, "agent"), many(n.Roles, "role"))
	if found := countsText(pass.Findings); found != "" {
		t.line("  found: %s", found)
	}
	for _, c := range []struct {
		text string
		n    int
	}{
		{"configs that are refused, or have roles that cannot be kept up", n.Refused},
		{"configs with roles of an older template, or of other settings", n.Outdated},
		{"configs that are not as their status has them", n.Missed},
		{"runtimes that are not as the status of their agent's config has them", n.Runtimes},
		{"configs with an agent whose time has come", n.Due},
		{"configs that could not be judged", n.Unread},
		{"statuses of a later version, left alone", n.Newer},
		{"orphans, which no config asks for", n.Orphans},
		{"agents on their way out", n.Retiring},
		{"agents that are to go and cannot", n.Blocked},
		{"agents that are held since a role was restored", n.Held},
		{"not told of for want of room", pass.Omitted},
	} {
		if c.n > 0 {
			t.line("  %s: %d", c.text, c.n)
		}
	}
	for _, text := range pass.Linked.Alerts(pass.At) {
		t.line("  %s", text)
	}
	if n.RolesQuota > 0 {
		t.line("  the account has %d of the %d roles that it may have", n.AccountRoles, n.RolesQuota)
	}
}

// countsText counts findings by kind, the most first.
func countsText(findings []report.Finding) string {
	counts, added := map[report.Kind]int{}, 0
	for _, f := range findings {
		counts[f.Kind]++
		if f.New {
			added++
		}
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b report.Kind) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
	}
	if added > 0 {
		parts[len(parts)-1] += fmt.Sprintf("; new among them: %d", added)
	}
	return strings.Join(parts, ", ")
}

// foundText writes all that a pass found, with the differences.
func foundText(t *terminal, pass report.Pass) {
	findingsText(t, pass)
	if len(pass.Orphans) > 0 {
		t.line("")
		t.line("orphans")
	}
	for _, o := range pass.Orphans {
		t.line("  %s: %s; %s [%s]", o.Name, o.Reason, o.Fix, o.Kind)
	}
	if len(pass.Leaving) > 0 {
		t.line("")
		t.line("leaving, or held")
	}
	for _, l := range pass.Leaving {
		until := ""
		if !l.Until.IsZero() {
			until = " until " + moment(l.Until)
		}
		t.line("  agent %s of %s: %s%s", l.Agent, l.Config, l.Phase, until)
		for _, b := range l.Blocks {
			t.line("    blocked by %s", b)
		}
	}
}

// findingsText writes findings by config, agent and role, as they are sorted.
func findingsText(t *terminal, pass report.Pass) {
	var last report.Finding
	for i, f := range pass.Findings {
		config := i == 0 || f.Config != last.Config
		agent := config || f.Agent != last.Agent
		if config {
			t.line("")
			t.line("%s", cmp.Or(f.Config, "all configs"))
		}
		if agent && f.Agent != "" {
			t.line("agent %s", f.Agent)
		}
		if agent || f.Role != last.Role {
			t.line("  %s", ofFound(f))
		}
		findingText(t, f, pass.At)
		last = f
	}
}

// ofFound names what a finding is about.
func ofFound(f report.Finding) string {
	kind := string(plan.KindOf(f.Element))
	switch {
	case slices.Contains(kinds, kind):
	case strings.HasPrefix(f.Role, naming.RuntimeRolePrefix):
		kind = string(model.RuntimeRole)
	case strings.HasPrefix(f.Role, naming.BuildRolePrefix):
		kind = string(model.BuildRole)
	default:
		return f.Role
	}
	return subject{kind, f.Role}.String()
}

// findingText writes one difference that was found at the time.
func findingText(t *terminal, f report.Finding, at time.Time) {
	text := string(f.Kind)
	if _, part, _ := strings.Cut(f.Element, "/"); part != "" {
		text += ": " + elementText(f.Element)
	}
	if f.Actor != "" {
		text += ", by " + f.Actor
	}
	if f.Since.Before(at.Truncate(time.Second)) {
		text += ", first seen " + moment(f.Since)
	}
	if f.New {
		text += ", new"
	}
	t.line("    %s; %s", text, f.Action.Words())
	if f.Message != "" {
		t.line("      %s", f.Message)
	}
	if f.Fix != "" {
		t.line("      %s", f.Fix)
	}
	for _, line := range foundDiff(f) {
		t.line("      %s", line)
	}
}

// foundDiff gives the lines that show what is there and what should be.
func foundDiff(f report.Finding) []string {
	switch {
	case f.Observed == "" && f.Desired == "":
		return nil
	case !strings.ContainsAny(f.Observed+f.Desired, "{\n"): // values, and no documents
		return []string{orNone(f.Observed) + " -> " + orNone(f.Desired)}
	}
	return report.DocumentDiff(f.Observed, f.Desired)
}

// ago writes how long ago something was, to the minute.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return period(d.Truncate(time.Minute)) + " ago"
}
