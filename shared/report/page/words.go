package page

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/report"
)

// inOrder gives the keys of a map in an order, those last that are not in it.
func inOrder[K cmp.Ordered, V any](of map[K]V, order []K) []K {
	place := func(k K) int {
		if at := slices.Index(order, k); at >= 0 {
			return at
		}
		return len(order)
	}
	return slices.SortedFunc(maps.Keys(of), func(a, b K) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
}

// kindWords names a kind and says what it is.
func kindWords(k report.Kind) (name, text string) {
	words, known := map[report.Kind][2]string{
		report.KindEdited:      {"Edited by hand", "Somebody changed what Rolekeeper had written."},
		report.KindMissing:     {"Taken away by hand", "Somebody took away what Rolekeeper had written."},
		report.KindExtra:       {"Added by hand", "Somebody added what the config does not ask for."},
		report.KindIneffective: {"Added without effect", "Somebody added it, and the permissions boundary lets none of it through."},
		report.KindRoleMissing: {"Gone", "Somebody deleted the whole role, project or repository."},
		report.KindReplaced:    {"Replaced", "Somebody deleted it and made another of the same name. That one is not Rolekeeper's and is never written until an operator adopts it."},
		report.KindStranger:    {"Made by somebody else", "It was there before Rolekeeper could make it. It is never written until an operator adopts it."},
		report.KindHalfMade:    {"Half made", "A run of Rolekeeper ended before it was done. Nobody else did anything."},
		report.KindOutdated:    {"Behind", "It is as an older template of Rolekeeper, or other settings, had it. Nobody else did anything."},
		report.KindPending:     {"Not applied yet", "The config asks for it since the last upload. Nobody else did anything."},
		report.KindFull:        {"No room", "What others added leaves no room for what the config asks for."},
		report.KindBoundary:    {"Boundary changed", "The document of the permissions boundary is not the stack's: every role of an agent is bounded by it."},
		report.KindUnread:      {"Not judged", "What the config asks for could not be compared with what there is."},
		report.KindRefused:     {"Config refused", "The config is at fault. What its last good version made stays as it is, and is not compared."},
		report.KindLinked:      {"Service-linked role missing", "AgentCore needs it, and it is not there."},
	}[k]
	if !known {
		return string(k), "This version of Rolekeeper does not know the kind."
	}
	return words[0], words[1]
}

// orphanWords names a kind of orphan and says what it is.
func orphanWords(k report.OrphanKind) (name, text string) {
	switch k {
	case report.OrphanClaim:
		return "Claim without config", "A claim whose config is gone, and whose status does not know it."
	case report.OrphanRole:
		return "Unclaimed role", "A role with the name of an agent's role that nobody claims."
	case report.OrphanTagged:
		return "Tagged role", "A role with Rolekeeper's tags that Rolekeeper did not make."
	case report.OrphanHalfGone:
		return "Role left behind", "A role that a claim records and whose agent its config does not know any more."
	}
	return string(k), "This version of Rolekeeper does not know the kind."
}

// mood says how urgent the page is.
func mood(p report.Pass) string {
	t := p.Totals
	switch {
	case p.Failed != "" || p.Stopped != nil:
		return "bad"
	case t.Drifted > 0 || t.Refused > 0 || t.Blocked > 0 || t.Orphans > 0 || t.Unread > 0 || len(p.Linked.Alerts(p.At)) > 0:
		return "warn"
	}
	return "good"
}

// details gives what the headline leaves out, a sentence each.
func details(p report.Pass) []string {
	var all []string
	tell := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if p.Failed != "" && p.Totals.Enqueued == 0 {
		tell("Nothing was changed because of it.")
	}
	if text := report.Nonetheless(p); text != "" {
		tell("%s", text)
	}
	if p.Stopped != nil {
		tell("`rolekeeper approve --pass` lets it go, when what is below is meant to be put right.")
	}
	if text := actions(p.Findings); text != "" {
		findings := "findings"
		if len(p.Findings) == 1 {
			findings = "finding"
		}
		tell("Of %s %s %s.", report.Thousands(len(p.Findings)), findings, text)
	}
	if len(p.History) > 0 && len(p.Findings) > 0 && p.FoundAt.IsZero() {
		tell("%s", compared(p.Findings))
	}
	if p.Totals.Unread > 0 {
		tell("%s could not be judged.", report.Count(p.Totals.Unread, "config"))
	}
	all = append(all, p.Linked.Alerts(p.At)...)
	if p.Omitted > 0 {
		tell("There was no room for %s more; the totals count them.", report.Thousands(p.Omitted))
	}
	return all
}

// compared says how many of some findings the pass before did not have.
func compared(findings []report.Finding) string {
	added := 0
	for _, f := range findings {
		if f.New {
			added++
		}
	}
	if added == 0 {
		return "The pass before had them all."
	}
	return "The pass before did not have " + report.Thousands(added) + " of them."
}

// actions counts findings by what becomes of them.
func actions(findings []report.Finding) string {
	counts := map[report.Action]int{}
	for _, f := range findings {
		counts[f.Action]++
	}
	var parts []string
	for _, a := range inOrder(counts, report.Actions()) {
		be := "are"
		if counts[a] == 1 {
			be = "is"
		}
		parts = append(parts, fmt.Sprintf("%s %s %s", report.Thousands(counts[a]), be, a.Words()))
	}
	return strings.Join(parts, ", ")
}

// lastWhole gives the last pass that was whole, nil when there is none.
func lastWhole(history []report.Point) *report.Point {
	for i := range slices.Backward(history) {
		if !history[i].Failed {
			return &history[i]
		}
	}
	return nil
}

// tiles gives what a whole pass counted: first what is always told, then that of
// which there mostly is none.
func tiles(p report.Pass) (always, some []tile) {
	if p.Failed != "" {
		return nil, nil // nothing is known of the fleet
	}
	t := p.Totals
	since := func(now int, was func(report.Point) int) string {
		last := lastWhole(p.History)
		switch {
		case last == nil || was(*last) == now:
			return ""
		case was(*last) < now:
			return "+" + report.Thousands(now-was(*last))
		}
		return "−" + report.Thousands(was(*last)-now)
	}
	always = []tile{
		{Name: "configs", N: t.Configs},
		{Name: "agents", N: t.Agents},
		{Name: "roles of agents", N: t.Roles, Since: since(t.Roles, func(p report.Point) int { return p.Roles })},
		{Name: "not as left", N: t.Drifted, Alert: t.Drifted > 0, Since: since(t.Drifted, func(p report.Point) int { return p.Drifted })},
		{Name: "configs refused", N: t.Refused, Alert: t.Refused > 0},
		{Name: "configs behind", N: t.Outdated},
		{Name: "orphans", N: t.Orphans, Alert: t.Orphans > 0, Since: since(t.Orphans, func(p report.Point) int { return p.Orphans })},
		{Name: "agents retiring", N: t.Retiring},
		{Name: "agents blocked", N: t.Blocked, Alert: t.Blocked > 0, Since: since(t.Blocked, func(p report.Point) int { return p.Blocked })},
		{Name: "agents held", N: t.Held},
	}
	for _, o := range []tile{
		{Name: "configs that reconcile is to look at", N: t.Enqueued},
		{Name: "configs with an agent whose time has come", N: t.Due},
		{Name: "configs that are not as their status has them", N: t.Missed},
		{Name: "runtimes that are not as the status has them", N: t.Runtimes},
		{Name: "statuses of a later version, left alone", N: t.Newer},
		{Name: "configs that could not be judged", N: t.Unread},
		{Name: "keys that no config can have, skipped", N: t.Skipped},
	} {
		if o.N != 0 {
			some = append(some, o)
		}
	}
	return always, some
}

// highQuota is the part of its quota of roles, in percent, that an account
// should stay below.
const highQuota = 80

func quotaOf(t report.Totals) *quota {
	if t.RolesQuota <= 0 {
		return nil
	}
	part := func(n int) float64 { return min(max(100*float64(n)/float64(t.RolesQuota), 0), 100) }
	agents := part(min(t.Roles, t.AccountRoles))
	return &quota{
		Roles: t.AccountRoles, Quota: t.RolesQuota, Agents: t.Roles, Percent: fmt.Sprintf("%.1f", t.OfQuota()),
		OfAgents: agents, OfOthers: part(t.AccountRoles) - agents, High: t.OfQuota() > highQuota,
	}
}
