package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/event"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// RemovedAgentNote is what is told of an agent whose config no longer has it, or
// is gone.
const RemovedAgentNote = "no longer in the config; what becomes of its roles is told by its phase"

// why says what keeps roles from being deleted; n counts what does so.
func why(kind plan.BlockerKind, n int) string {
	switch kind {
	case plan.InUse:
		if n == 1 {
			return "1 resource uses them"
		}
		return fmt.Sprintf("%s use them", Count(n, "resource"))
	case plan.Trusted:
		return "their trust lets others in"
	case plan.UsedLately:
		return "they were used not long ago"
	case plan.UseUnknown:
		return "it could not be found out what uses them"
	case plan.StillNeeded:
		return "another agent of the config is to use them"
	case plan.InProfile:
		return "they are in an instance profile"
	case plan.Unreadable:
		return "they could not be put back as they are"
	case plan.Changed:
		return "somebody changed them on their way out"
	case plan.NotDeleted:
		return "AWS refused to delete them"
	case plan.Braked:
		return "too many were deleted within the hour"
	}
	return ""
}

// keeps reports whether a blocker keeps a role from being deleted, and not from
// being kept up.
func keeps(b status.Blocker) bool { return plan.BlockerKind(b.Kind).Known() }

// keepers gives what keeps the roles of some agents from being deleted.
func keepers(of ...status.Agent) []status.Blocker {
	return slices.DeleteFunc(blockers(of), func(b status.Blocker) bool { return !keeps(b) })
}

func stuck(a status.Agent) bool { return len(keepers(a)) > 0 }

// kept says which roles are to be deleted and cannot be, and why.
func kept(s status.Status) []string {
	some := pick(s.Agents, stuck)
	if len(some) == 0 {
		return nil
	}
	n := map[plan.BlockerKind]int{}
	for _, name := range named(keepers(some...)) {
		kind, _, _ := strings.Cut(name, " ")
		n[plan.BlockerKind(kind)]++
	}
	var reasons []string
	for _, kind := range slices.Sorted(maps.Keys(n)) {
		reasons = append(reasons, why(kind, n[kind]))
	}
	return []string{fmt.Sprintf("the roles of %s cannot be deleted yet: %s", agents(some), strings.Join(reasons, ", and "))}
}

// cause says why an agent is not, or not to be, kept up.
type cause int

const (
	none     cause = iota
	removed        // the config no longer has it
	deserted       // its runtimes are gone
	untold         // it is told of the whole config, or cannot be: whether one that is refused has the agent
)

func of(s status.Status, a status.Agent) cause {
	switch {
	case configGone(s), s.Outcome == status.Rejected && a.Phase != status.PhaseActive:
		return untold
	case slices.Contains(a.Notes, RemovedAgentNote):
		return removed
	case a.Phase == status.PhaseActive:
		return none
	}
	return deserted
}

func configGone(s status.Status) bool { return s.Config.VersionID == "" }

// here gives the agents that are kept up as the config asks.
func here(s status.Status) []status.Agent {
	return pick(s.Agents, func(a status.Agent) bool { return of(s, a) == none })
}

// usable gives those, and those on their way out that the config still has: they
// are kept up until they are shut off.
func usable(s status.Status) []status.Agent {
	return pick(s.Agents, func(a status.Agent) bool {
		return of(s, a) == none || a.Phase == status.PhaseRetiring && of(s, a) == deserted
	})
}

// leaving says where the agents stand that are not kept up.
func leaving(s status.Status) []string {
	var clauses []string
	byCause := func(so func(status.Agent) bool, what func([]status.Agent) string) {
		for _, c := range []cause{removed, deserted, untold} {
			if some := pick(s.Agents, func(a status.Agent) bool { return so(a) && of(s, a) == c }); len(some) > 0 {
				clauses = append(clauses, whose(some, c)+what(some))
			}
		}
	}
	tell := func(format string, so func(status.Agent) bool) {
		if some := pick(s.Agents, so); len(some) > 0 {
			clauses = append(clauses, fmt.Sprintf(format, agents(some)))
		}
	}
	byCause(in(status.PhaseActive), func([]status.Agent) string { return " are still there" })
	byCause(func(a status.Agent) bool { return a.Phase == status.PhaseRetiring && !stuck(a) }, func(some []status.Agent) string {
		return " are to be deleted, not before " + soonest(some)
	})
	if some := pick(s.Agents, in(status.PhaseQuarantined)); len(some) > 0 {
		clauses = append(clauses, fmt.Sprintf("nobody can assume the roles of %s: they are to be deleted, not before %s", agents(some), soonest(some)))
	}
	tell("the roles of %s were deleted, and are in the archive", func(a status.Agent) bool { return a.Phase == status.PhaseRetired && len(a.ArchiveKeys) > 0 })
	tell("nothing is left of %s that was made for it", func(a status.Agent) bool { return a.Phase == status.PhaseRetired && len(a.ArchiveKeys) == 0 })
	if some := pick(s.Agents, in(status.PhaseHeld)); len(some) > 0 {
		clauses = append(clauses, restored(some))
	}
	return clauses
}

// restored says what was restored of agents that are held for it.
func restored(some []status.Agent) string {
	roles, were, of := map[string]bool{}, "were", "them"
	for _, a := range some {
		for _, key := range a.ArchiveKeys {
			roles[roleOf(key)] = true
		}
	}
	if len(roles) == 1 {
		were = "was"
	}
	if len(some) == 1 {
		of = "the agent"
	}
	return fmt.Sprintf("%s of %s %s restored by hand, and nothing of %s is changed", Count(len(roles), "role"), agents(some), were, of)
}

// roleOf gives the name of the role that an archive is of.
func roleOf(archive string) string {
	role, _, _ := strings.Cut(strings.TrimPrefix(archive, naming.ArchivePrefix), "/")
	return role
}

func in(phase status.Phase) func(status.Agent) bool {
	return func(a status.Agent) bool { return a.Phase == phase }
}

// whose names the roles of agents that are not kept up for a cause.
func whose(some []status.Agent, c cause) string {
	are, have, their := "is", "has", "its"
	if len(some) > 1 {
		are, have, their = "are", "have", "their"
	}
	switch c {
	case removed:
		return fmt.Sprintf("%s %s no longer in the config: %s roles", agents(some), are, their)
	case deserted:
		return fmt.Sprintf("%s %s no runtime any more: %s roles", agents(some), have, their)
	}
	return "the roles of " + agents(some)
}

// soonest says when the first of some agents can go.
func soonest(some []status.Agent) string {
	var first time.Time
	for i, a := range some {
		if at := end(a); i == 0 || at.Before(first) {
			first = at
		}
	}
	return first.Format(time.RFC3339)
}

// end gives the end of the grace period, or of the quarantine.
func end(a status.Agent) time.Time {
	if a.Phase == status.PhaseQuarantined {
		return a.DeleteAfter
	}
	return a.RetireAfter
}

// lifeSteps says what to do now for the agents that are not kept up.
func lifeSteps(s status.Status) []string {
	var all []string
	for _, a := range s.Agents {
		c := of(s, a)
		if c == none {
			continue
		}
		tell := func(format string, args ...any) { all = append(all, a.Name+": "+fmt.Sprintf(format, args...)) }
		again := "upload the config again"
		if c == removed {
			again = "put the agent back into the config and upload that"
		}
		switch a.Phase {
		case status.PhaseRetiring, status.PhaseQuarantined:
			if c == deserted && a.Phase == status.PhaseRetiring {
				again += ", or create the agent's runtime again,"
			}
			if stuck(a) {
				tell("to keep its roles, %s", strings.TrimSuffix(again, ","))
			} else {
				tell("to keep its roles, %s before %s", again, end(a).Format(time.RFC3339))
			}
		case status.PhaseRetired:
			tell("to have its roles made anew, %s", again)
			for _, key := range a.ArchiveKeys {
				role := roleOf(key)
				tell("to have role %s back as it was, have an operator run `rolekeeper restore %s`; it is archived as %s", role, role, key)
			}
		case status.PhaseHeld:
			tell("to have its roles kept up again, %s; to end the hold, have an operator run `rolekeeper release %s %s`", again, s.Config.Key, a.Name)
		default:
			tell("to have its roles kept up, %s", again)
		}
	}
	return all
}

// life tells of an agent that is now on its way out, of one whose roles were
// deleted since the answer before, and of what keeps them now and did not before.
func life(before, now status.Status, a status.Agent) []event.Outgoing {
	was, _ := before.Agent(a.Name)
	var events []event.Outgoing
	// One whose quarantine was ended is still on the way it was on.
	if a.Phase == status.PhaseRetiring && was.Phase != status.PhaseRetiring && was.Phase != status.PhaseQuarantined {
		reason := "deserted"
		if slices.Contains(a.Notes, RemovedAgentNote) || configGone(now) {
			reason = "removed"
		}
		events = append(events, event.AgentRetiring{
			Transition: transition(before, now, a.Name, "retiring", reason),
			Reason:     reason, RetireAfter: a.RetireAfter, RuntimeRoleARN: a.RuntimeRoleARN, BuildRoleARN: a.BuildRoleARN,
		})
	}
	if a.Phase == status.PhaseRetired && (was.Phase == status.PhaseQuarantined || was.Phase == status.PhaseRetiring) {
		events = append(events, event.RolesDeleted{
			Transition:   transition(before, now, a.Name, "deleted", ""),
			RetirementID: a.RetirementID, ArchiveKeys: append([]string{}, a.ArchiveKeys...),
		})
	}
	by := keepers(a)
	if names := named(by); len(by) > 0 && !slices.Equal(names, named(keepers(was))) {
		blocked := event.DeletionBlocked{Transition: transition(before, now, a.Name, "deletion blocked", names)}
		for _, b := range by[:min(len(by), event.MaxProblems)] {
			blocked.BlockedBy = append(blocked.BlockedBy, event.DeletionBlocker{ARN: b.ARN, Kind: b.Kind, Fix: Clip(b.Fix)})
		}
		events = append(events, blocked)
	}
	return events
}

// named names blockers, in one order, whatever is to be done about them.
func named(all []status.Blocker) []string {
	var names []string
	for _, b := range all {
		names = append(names, b.Kind+" "+b.ARN)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
