package plan

import (
	"fmt"

	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

// Known reports whether it is a kind of blocker: others of a status' blockers
// are refusals.
func (k BlockerKind) Known() bool {
	switch k {
	case InUse, Trusted, UsedLately, UseUnknown, StillNeeded, InProfile, Unreadable, Changed, NotDeleted, Braked:
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

// Building gives the blockers of an agent whose project builds: that the role is
// used IAM may tell hours later.
func (l Leaving) Building(builds []model.Build) []Blocker {
	var all []Blocker
	for _, b := range builds {
		if !b.State.Ended() && l.ownsProject() {
			all = append(all, Blocker{ARN: l.Project.ARN, Kind: InUse, Fix: fmt.Sprintf("wait for build %s to end, or stop it", b.ID)})
		}
	}
	return all
}

// Refused gives the blockers of an agent whose roles AWS refused to delete.
func (l Leaving) Refused(why string) []Blocker {
	var all []Blocker
	for _, r := range l.Roles {
		if id := r.Claim.RoleID(r.Desired.Kind); id != "" {
			all = append(all, Blocker{ARN: r.Desired.ARN, Kind: NotDeleted, Fix: "have the platform team find out why; the next pass tries again: " + why})
		}
	}
	return all
}
