package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kinds gives all kinds of findings, first those at which people should look
// first.
func Kinds() []Kind {
	return []Kind{
		KindReplaced, KindStranger, KindBoundary, KindExtra, KindEdited, KindMissing, KindRoleMissing, KindLinked, KindFull, KindIneffective,
		KindUnread, KindRefused, KindHalfMade, KindPending, KindOutdated,
	}
}

// Actions gives all that becomes of findings.
func Actions() []Action {
	return []Action{ActionRepaired, ActionLater, ActionHeldBack, ActionTold, ActionBlocked}
}

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

// words names a kind and says what it is.
func (k Kind) words() (name, text string) {
	words, known := map[Kind][2]string{
		KindEdited:      {"Edited by hand", "Somebody changed what Rolekeeper had written."},
		KindMissing:     {"Taken away by hand", "Somebody took away what Rolekeeper had written."},
		KindExtra:       {"Added by hand", "Somebody added what the config does not ask for."},
		KindIneffective: {"Added without effect", "Somebody added it, and the permissions boundary lets none of it through."},
		KindRoleMissing: {"Gone", "Somebody deleted the whole role, project or repository."},
		KindReplaced:    {"Replaced", "Somebody deleted it and made another of the same name. That one is not Rolekeeper's and is never written until an operator adopts it."},
		KindStranger:    {"Made by somebody else", "It was there before Rolekeeper could make it. It is never written until an operator adopts it."},
		KindHalfMade:    {"Half made", "A run of Rolekeeper ended before it was done. Nobody else did anything."},
		KindOutdated:    {"Behind", "It is as an older template of Rolekeeper, or other settings, had it. Nobody else did anything."},
		KindPending:     {"Not applied yet", "The config asks for it since the last upload. Nobody else did anything."},
		KindFull:        {"No room", "What others added leaves no room for what the config asks for."},
		KindBoundary:    {"Boundary changed", "The document of the permissions boundary is not the stack's: every role of an agent is bounded by it."},
		KindUnread:      {"Not judged", "What the config asks for could not be compared with what there is."},
		KindRefused:     {"Config refused", "The config is at fault. What its last good version made stays as it is, and is not compared."},
		KindLinked:      {"Service-linked role missing", "AgentCore needs it, and it is not there."},
	}[k]
	if !known {
		return string(k), "This version of Rolekeeper does not know the kind."
	}
	return words[0], words[1]
}

// Words says what becomes of a finding; of an action that is not known, the action.
func (a Action) Words() string {
	switch a {
	case ActionRepaired:
		return "to be put right"
	case ActionTold:
		return "left as it is"
	case ActionBlocked:
		return "blocked"
	case ActionHeldBack:
		return "held back"
	case ActionLater:
		return "to be put right later"
	}
	return string(a)
}

// words names a kind of orphan and says what it is.
func (k OrphanKind) words() (name, text string) {
	switch k {
	case OrphanClaim:
		return "Claim without config", "A claim whose config is gone, and whose status does not know it."
	case OrphanRole:
		return "Unclaimed role", "A role with the name of an agent's role that nobody claims."
	case OrphanTagged:
		return "Tagged role", "A role with Rolekeeper's tags that Rolekeeper did not make."
	case OrphanHalfGone:
		return "Role left behind", "A role that a claim records and whose agent its config does not know any more."
	}
	return string(k), "This version of Rolekeeper does not know the kind."
}

// Headline says in one sentence how a pass found the account.
func Headline(p Pass) string {
	n := p.Totals.Drifted
	switch {
	case p.Failed != "":
		return "The pass is not whole: " + strings.TrimRight(p.Failed, ".") + "."
	case p.Stopped != nil:
		return fmt.Sprintf("The pass was stopped before it changed anything: it would put %s right, and at most %s may be at once.",
			thousands(p.Stopped.Found), thousands(p.Stopped.Allowed))
	case n == 0 && len(p.Findings) == 0 && len(p.Linked.Alerts(p.At)) == 0:
		return "All is as it was left."
	case n == 0:
		return "All is as it was left; not all is as it should be."
	case n == 1:
		return "1 role, project or policy is not as it was left."
	}
	return thousands(n) + " roles, projects and policies are not as they were left."
}

// Nonetheless says what is shown of a pass that is not whole, sentences for a person
// to read; empty of one that is whole, and of one that went on.
func Nonetheless(p Pass) string {
	was := p
	was.Failed = ""
	switch {
	case p.Failed == "":
		return ""
	case !p.FoundAt.IsZero():
		return "The pass failed: what is shown was found by that of " + moment(p.FoundAt) + ". " + Headline(was)
	case p.Stopped != nil:
		return Headline(was)
	case p.Totals.Enqueued == 0:
		return "What is shown is what was known by then."
	}
	return ""
}

// mood says how urgent the page is.
func mood(p Pass) string {
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
func details(p Pass) []string {
	var all []string
	tell := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if p.Failed != "" && p.Totals.Enqueued == 0 {
		tell("Nothing was changed because of it.")
	}
	if text := Nonetheless(p); text != "" {
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
		tell("Of %s %s %s.", thousands(len(p.Findings)), findings, text)
	}
	if len(p.History) > 0 && len(p.Findings) > 0 && p.FoundAt.IsZero() {
		tell("%s", compared(p.Findings))
	}
	if p.Totals.Unread > 0 {
		tell("%s could not be judged.", capital(count(p.Totals.Unread, "config")))
	}
	all = append(all, p.Linked.Alerts(p.At)...)
	if p.Omitted > 0 {
		tell("There was no room for %s more; the totals count them.", thousands(p.Omitted))
	}
	return all
}

// compared says how many of some findings the pass before did not have.
func compared(findings []Finding) string {
	added := 0
	for _, f := range findings {
		if f.New {
			added++
		}
	}
	if added == 0 {
		return "The pass before had them all."
	}
	return "The pass before did not have " + thousands(added) + " of them."
}

// actions counts findings by what becomes of them.
func actions(findings []Finding) string {
	counts := map[Action]int{}
	for _, f := range findings {
		counts[f.Action]++
	}
	var parts []string
	for _, a := range inOrder(counts, Actions()) {
		be := "are"
		if counts[a] == 1 {
			be = "is"
		}
		parts = append(parts, fmt.Sprintf("%s %s %s", thousands(counts[a]), be, a.Words()))
	}
	return strings.Join(parts, ", ")
}

// lastWhole gives the last pass that was whole, nil when there is none.
func lastWhole(history []Point) *Point {
	for i := range slices.Backward(history) {
		if !history[i].Failed {
			return &history[i]
		}
	}
	return nil
}

// tiles gives what a whole pass counted: first what is always told, then that of
// which there mostly is none.
func tiles(p Pass) (always, some []tile) {
	if p.Failed != "" {
		return nil, nil // nothing is known of the fleet
	}
	t := p.Totals
	since := func(now int, was func(Point) int) string {
		last := lastWhole(p.History)
		switch {
		case last == nil || was(*last) == now:
			return ""
		case was(*last) < now:
			return "+" + thousands(now-was(*last))
		}
		return "−" + thousands(was(*last)-now)
	}
	always = []tile{
		{Name: "configs", N: t.Configs},
		{Name: "agents", N: t.Agents},
		{Name: "roles of agents", N: t.Roles, Since: since(t.Roles, func(p Point) int { return p.Roles })},
		{Name: "not as left", N: t.Drifted, Alert: t.Drifted > 0, Since: since(t.Drifted, func(p Point) int { return p.Drifted })},
		{Name: "configs refused", N: t.Refused, Alert: t.Refused > 0},
		{Name: "configs behind", N: t.Outdated},
		{Name: "orphans", N: t.Orphans, Alert: t.Orphans > 0, Since: since(t.Orphans, func(p Point) int { return p.Orphans })},
		{Name: "agents retiring", N: t.Retiring},
		{Name: "agents blocked", N: t.Blocked, Alert: t.Blocked > 0, Since: since(t.Blocked, func(p Point) int { return p.Blocked })},
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

func quotaOf(t Totals) *quota {
	if t.RolesQuota <= 0 {
		return nil
	}
	part := func(n int) float64 { return min(max(100*float64(n)/float64(t.RolesQuota), 0), 100) }
	agents := part(min(t.Roles, t.AccountRoles))
	return &quota{
		Roles: t.AccountRoles, Quota: t.RolesQuota, Agents: t.Roles, Percent: fmt.Sprintf("%.1f", t.ofQuota()),
		OfAgents: agents, OfOthers: part(t.AccountRoles) - agents, High: t.ofQuota() > highQuota,
	}
}
