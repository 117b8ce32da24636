package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Pass is what a scheduled pass found: an object below naming.DriftReportPrefix,
// and the data of the page that people read.
type Pass struct {
	V       int       `json:"v"`
	ID      string    `json:"id"` // of the invocation
	At      time.Time `json:"at"` // when it began
	Seconds float64   `json:"seconds"`
	Account string    `json:"account"`
	Region  string    `json:"region"`
	Mode    string    `json:"mode"` // plan.DriftMode

	Totals  Totals `json:"totals"`
	Stopped *Stop  `json:"stopped,omitempty"` // nil when nothing stopped the pass; of one that failed, what stopped the last one
	// Released is what an operator approved and this pass let go, all or a part of it.
	Released *Stop `json:"released,omitempty"`
	// Failed says why the pass is not whole; empty when it is.
	Failed   string    `json:"failed,omitempty"`
	FoundAt  time.Time `json:"foundAt,omitzero"` // of one that failed, when what it shows was found
	Findings []Finding `json:"findings"`         // by config, agent, role and element; at most MaxFindings
	Leaving  []Leaving `json:"leaving"`          // agents on their way out, or held
	Orphans  []Orphan  `json:"orphans"`
	Omitted  int       `json:"omitted,omitempty"` // findings, agents and orphans that there was no room for
	History  []Point   `json:"history"`           // the passes before this one, oldest first; at most MaxHistory

	BoundaryVersion string `json:"boundaryVersion,omitempty"` // of the boundary's policy, whose document was as it should be or is told

	Linked *Linked `json:"linked,omitempty"` // nil of a pass of a version that did not ask for it
}

// Bounds of what a pass tells.
const (
	PassVersion = 1
	MaxFindings = 5000
	MaxHistory  = 168   // a week of hours
	MaxDocument = 12288 // bytes of each of a finding's two texts
)

// Totals counts what a pass saw.
type Totals struct {
	Configs  int `json:"configs"`
	Agents   int `json:"agents"`
	Roles    int `json:"roles"`    // of agents, as recorded by the claims of their configs
	Drifted  int `json:"drifted"`  // roles, projects and policies that are not as they were left; also of what is kept and told
	Outdated int `json:"outdated"` // configs whose roles are of an older template or of other settings
	Refused  int `json:"refused"`  // configs that are refused, or have roles that cannot be kept up
	Orphans  int `json:"orphans"`
	Retiring int `json:"retiring"` // agents, also quarantined ones
	Blocked  int `json:"blocked"`  // agents that are to go and cannot
	Held     int `json:"held"`     // agents
	Due      int `json:"due"`      // configs with an agent whose time has come
	Missed   int `json:"missed"`   // configs that are not as their status has them, or whose status is missing or damaged
	Runtimes int `json:"runtimes"` // runtimes that are not as the status of their agent's config has them
	Newer    int `json:"newer"`    // statuses of a later format, which are left alone
	Unread   int `json:"unread"`   // configs that could not be judged
	Skipped  int `json:"skipped"`  // keys that neither a config nor a status has
	Enqueued int `json:"enqueued"` // configs that reconcile is to look at

	AccountRoles int `json:"accountRoles"` // all roles of the account
	RolesQuota   int `json:"rolesQuota"`   // that it may have; 0 when that is not known
	IAMCalls     int `json:"iamCalls"`
}

// Finding is one difference that a pass found.
type Finding struct {
	Config  string `json:"config,omitempty"` // S3 key; empty of what concerns all configs
	Agent   string `json:"agent,omitempty"`
	Role    string `json:"role"`              // name of the role, project or service-linked role; ARN of a managed policy; key of a config
	Element string `json:"element,omitempty"` // runtime/trust, build/policy/…, project/settings
	Kind    Kind   `json:"kind"`
	// Action says what becomes of it.
	Action Action    `json:"action"`
	Since  time.Time `json:"since"`           // when it was first seen
	New    bool      `json:"new,omitempty"`   // the pass before did not have it
	Actor  string    `json:"actor,omitempty"` // ARN of who did it, where CloudTrail told
	// Observed and Desired are documents, JSON, or values as text: to be compared
	// where there are both.
	Observed string `json:"observed,omitempty"`
	Desired  string `json:"desired,omitempty"`
	Message  string `json:"message,omitempty"` // what is to be said beside
	Fix      string `json:"fix,omitempty"`     // what to do; empty when nothing is to be done
}

// Kind says what kind of difference a finding is.
type Kind string

// The kinds.
const (
	KindEdited      Kind = "edited"       // somebody changed it by hand
	KindMissing     Kind = "missing"      // somebody took it away
	KindExtra       Kind = "extra"        // somebody added it
	KindIneffective Kind = "ineffective"  // somebody added it, and the boundary lets none of it through
	KindRoleMissing Kind = "role-missing" // the whole role, project or repository is gone
	KindReplaced    Kind = "replaced"     // it was deleted and made anew by somebody else
	KindStranger    Kind = "stranger"     // somebody else made it before Rolekeeper did
	KindHalfMade    Kind = "half-made"    // a run of ours died before it was done
	KindOutdated    Kind = "outdated"     // an older template of ours, or other settings
	KindPending     Kind = "pending"      // the config asks for it, and it was not applied yet
	KindFull        Kind = "full"         // what others added leaves no room for ours
	KindBoundary    Kind = "boundary"     // the document of the boundary's policy is not ours
	KindLinked      Kind = "service-linked-role-missing"
	KindRefused     Kind = "refused" // the config is at fault, and nothing of it is compared
	KindUnread      Kind = "unread"  // the config could not be judged
)

// Kinds gives all kinds of findings, first those at which people should look
// first.
func Kinds() []Kind {
	return []Kind{
		KindReplaced, KindStranger, KindBoundary, KindExtra, KindEdited, KindMissing, KindRoleMissing, KindLinked, KindFull, KindIneffective,
		KindUnread, KindRefused, KindHalfMade, KindPending, KindOutdated,
	}
}

// Drift reports whether a finding of the kind is something that others did.
func (k Kind) Drift() bool {
	switch k {
	case KindHalfMade, KindOutdated, KindPending, KindRefused, KindUnread:
		return false
	}
	return true
}

// Action says what becomes of a finding.
type Action string

// The actions.
const (
	ActionRepaired Action = "repaired" // reconcile was told to put it right
	ActionTold     Action = "told"     // it is told, and stays as it is
	ActionBlocked  Action = "blocked"  // nothing of the role is written until somebody has put it right
	ActionHeldBack Action = "held-back"
	ActionLater    Action = "later" // it waits for its turn: so much at once is not changed
)

// Actions gives all that becomes of findings.
func Actions() []Action {
	return []Action{ActionRepaired, ActionLater, ActionHeldBack, ActionTold, ActionBlocked}
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

// Leaving is an agent on its way out, or one that is held.
type Leaving struct {
	Config string    `json:"config"`
	Agent  string    `json:"agent"`
	Phase  string    `json:"phase"`            // status.Phase
	Until  time.Time `json:"until,omitzero"`   // when its time comes
	Blocks []string  `json:"blocks,omitempty"` // what keeps it, and what to do; at most ten
}

// Orphan is something of ours, or named like it, that no config asks for.
type Orphan struct {
	Kind   OrphanKind `json:"kind"`
	Name   string     `json:"name"` // of the role, or key of the claim
	Agent  string     `json:"agent,omitempty"`
	Config string     `json:"config,omitempty"` // that it says it is of
	Reason string     `json:"reason"`
	Fix    string     `json:"fix"` // with the command
	Since  time.Time  `json:"since"`
	New    bool       `json:"new,omitempty"`
}

// OrphanKind says what kind of orphan it is.
type OrphanKind string

// The kinds of orphans.
const (
	OrphanClaim    OrphanKind = "claim-without-config" // nothing leads from the config to it any more
	OrphanRole     OrphanKind = "role-unclaimed"       // it has the name of an agent's role, and nobody claims it
	OrphanTagged   OrphanKind = "role-with-our-tags"   // it has Rolekeeper's tags, and another name or another RoleId
	OrphanHalfGone OrphanKind = "role-left-behind"     // it is recorded by a claim whose config forgot its agent
)

// Stop is why a pass enqueued nothing.
type Stop struct {
	Found   int    `json:"found"`   // that it would have changed
	Allowed int    `json:"allowed"` // at once
	Hash    string `json:"hash"`    // of what it would have done: what an operator approves
	// Digests are those of each difference it would have put right, that Hash is made
	// of; none when there are too many to keep.
	Digests []string `json:"digests"`
}

// Point is a pass that was, for the chart.
type Point struct {
	At      time.Time `json:"at"`
	Roles   int       `json:"roles"`
	Drifted int       `json:"drifted"`
	Orphans int       `json:"orphans"`
	Blocked int       `json:"blocked"`
	Stopped bool      `json:"stopped,omitempty"`
	Failed  bool      `json:"failed,omitempty"`
}

// Point gives the pass as later ones remember it.
func (p Pass) Point() Point {
	return Point{
		At: p.At, Roles: p.Totals.Roles, Drifted: p.Totals.Drifted, Orphans: p.Totals.Orphans, Blocked: p.Totals.Blocked,
		Stopped: p.Stopped != nil && p.FoundAt.IsZero(), Failed: p.Failed != "",
	}
}

// ParsePass reads a pass, strictly.
func ParsePass(data []byte) (Pass, error) {
	var p Pass
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Pass{}, fmt.Errorf("report: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Pass{}, errors.New("report: more than one value")
	}
	if p.V != PassVersion {
		return Pass{}, fmt.Errorf("report: version %d; this is version %d", p.V, PassVersion)
	}
	return p, nil
}
