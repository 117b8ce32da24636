package plan

import (
	"fmt"

	"rolekeeper/shared/policy"
)

// Known reports whether it is a kind of blocker: others of a status' blockers
// are refusals.
func (k BlockerKind) Known() bool {
	switch k {
	case InUse, Trusted, UsedLately, UseUnknown, StillNeeded, InProfile, Unreadable, Changed, Braked:
		return true
	}
	return false
}

// Ours gives the roles that are there and ours: what is quarantined, archived and
// counted.
func (l Leaving) Ours() []Role { return l.ours() }

// Braked gives the blockers of an agent that cannot go because most roles went
// within the hour.
func (l Leaving) Braked(most int) []Blocker {
	fix := "wait: at most %d roles are deleted in an hour, and this one goes when there is room; or have an operator approve it, when so many are meant to go"
	if len(l.ours()) > most {
		fix = "have an operator approve it: at most %d roles are deleted in an hour, and the agent has more"
	}
	var all []Blocker
	for _, r := range l.ours() {
		all = append(all, Blocker{ARN: r.Observed.ARN, Kind: Braked, Fix: fmt.Sprintf(fix, most)})
	}
	return all
}

// Quarantined reports whether a role's trust is what a quarantine makes of it.
func (Leaving) Quarantined(r Role) bool {
	return r.Observed != nil && policy.Quarantined(r.Observed.Trust, service(r.Desired.Kind))
}
