package plan

import (
	"time"

	"rolekeeper/shared/model"
)

// Leaving is an agent that is to be taken away, to judge.
type Leaving struct {
	Agent      string
	Account    string // 12 digits
	Retirement string // id of the retirement

	// Roles are those of the agent's names, the build role first: each with what was
	// read of it, the claim, and of Desired name, ARN, kind, agent and boundary.
	// Those that are not ours are nobody's business.
	Roles    []Role
	Profiles map[string][]string // names of the instance profiles that roles are in, by role

	ProjectClaim     model.Claim               // the zero claim when this config holds none
	Project          *model.ObservedProject    // nil: positively absent
	Repository       *model.ObservedRepository // likewise; read only when DeleteRepository
	DeleteRepository bool                      // it goes, too

	Uses    []model.Use       // all that there are
	Unknown string            // why it is not known what uses there are; empty when it is
	Needed  map[string]string // by name of a role: the agent of the config that is to run or build with it

	Now   time.Time
	Grace time.Duration // a role that was used within it is in use

	// Archives are the roles as they were archived for this retirement, by name:
	// once they are quarantined.
	Archives map[string]model.Archive
}

// Blocker is what keeps an agent from being taken away.
type Blocker struct {
	ARN  string
	Kind BlockerKind
	Fix  string
}

// BlockerKind is stable, for tests and tools.
type BlockerKind string

// The kinds of blockers.
const (
	InUse       BlockerKind = "in-use"           // ARN is what holds the role
	Trusted     BlockerKind = "trusts-others"    // ARN is the role: its trust lets others in
	UsedLately  BlockerKind = "used-lately"      // ARN is the role: it was assumed within the grace period
	UseUnknown  BlockerKind = "use-unknown"      // ARN is the role: a listing failed
	StillNeeded BlockerKind = "still-needed"     // ARN is the role: another agent of the config names it
	InProfile   BlockerKind = "instance-profile" // ARN is the role: it is in an instance profile of another name
	Changed     BlockerKind = "changed"          // ARN is the role: somebody changed it while it was quarantined
	Braked      BlockerKind = "brake"            // ARN is the role: too many were deleted within the hour
)
