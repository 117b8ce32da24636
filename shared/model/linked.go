package model

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ServiceLinkedRoles is what is known of AgentCore's service-linked roles: an
// object of the config bucket, and the memory of who watches them.
type ServiceLinkedRoles struct {
	V        int                 `json:"v"`
	BegunAt  time.Time           `json:"begunAt"`           // when the last look began, whether it came to its end or not
	LookedAt time.Time           `json:"lookedAt,omitzero"` // when the look began that the rest tells of; zero: there was none
	WakeAt   time.Time           `json:"wakeAt,omitzero"`   // when a message brings the next look
	Regions  []LinkedRegion      `json:"regions"`           // that were looked at, by name
	Roles    []ServiceLinkedRole `json:"roles"`             // by name
	Requests []LinkedRequest     `json:"requests,omitempty"`
}

// Verdict says how it stands with a service-linked role.
type Verdict string

// The verdicts.
const (
	LinkedMissing   Verdict = "missing"   // something needs it, and it is not there
	LinkedNeeded    Verdict = "needed"    // a config asks for what will need it
	LinkedUsed      Verdict = "used"      // something that exists needs it
	LinkedIdle      Verdict = "idle"      // nothing needs it; not long enough, or not proven
	LinkedRemovable Verdict = "removable" // nothing needs it in any Region looked at, nor has for a while
	LinkedDeleting  Verdict = "deleting"  // AWS is about to delete it
	LinkedRefused   Verdict = "refused"   // AWS was asked to delete it, and did not
	LinkedAbsent    Verdict = "absent"    // it is not there, and nothing needs it
	LinkedUnknown   Verdict = "unknown"   // what the verdict hangs on could not be read
)

// ServiceLinkedRole is what is known of one of them.
type ServiceLinkedRole struct {
	Name    string    `json:"name"`
	Service string    `json:"service"` // service principal
	Verdict Verdict   `json:"verdict"`
	Since   time.Time `json:"since"`         // when a look first came to the verdict
	Reasons []string  `json:"reasons"`       // sentences: what the verdict comes from
	Fix     string    `json:"fix,omitempty"` // what to do; empty when nothing is to be done

	// Of a role that is there.
	ARN            string    `json:"arn,omitempty"`
	ID             string    `json:"id,omitempty"` // unique id (AROA…)
	Created        time.Time `json:"created,omitzero"`
	LastUsed       time.Time `json:"lastUsed,omitzero"`        // as far as IAM says; zero: not within 400 days
	LastUsedRegion string    `json:"lastUsedRegion,omitempty"` // of the last use

	Needs     []LinkedNeed `json:"needs,omitempty"`     // what needs it, at most MaxLinkedNeeds
	MoreNeeds int          `json:"moreNeeds,omitempty"` // that there was no room for
	Unread    []string     `json:"unread,omitempty"`    // what could not be read of that which may need it, and why; likewise

	NeededAt    time.Time `json:"neededAt,omitzero"`    // the last look that found a need
	UnneededAt  time.Time `json:"unneededAt,omitzero"`  // the first look since then that read everything and found none
	WholeAt     time.Time `json:"wholeAt,omitzero"`     // the last one that did
	IdleSince   time.Time `json:"idleSince,omitzero"`   // the last sign of use or need; of one that nothing needs
	LingerUntil time.Time `json:"lingerUntil,omitzero"` // when network interfaces should be gone that AgentCore still has

	Policy   *LinkedPolicy   `json:"policy,omitempty"`
	Accessed *LinkedAccess   `json:"accessed,omitempty"` // what IAM's newest report on it says
	Job      *LinkedJob      `json:"job,omitempty"`      // the report that is being made
	Deletion *LinkedDeletion `json:"deletion,omitempty"` // the last that was asked of AWS
}

// MaxLinkedNeeds bounds what is told of each service-linked role.
const MaxLinkedNeeds = 20

// LinkedNeed is something that needs a service-linked role.
type LinkedNeed struct {
	Kind   string `json:"kind"` // config, network-interface, or as Resource.Kind
	Name   string `json:"name"` // ARN, or id of what has none; key of a config
	Region string `json:"region"`
	Status string `json:"status,omitempty"` // as the service gives it
}

// LinkedPolicy is the managed policy of a service-linked role: what AWS lets its
// service do.
type LinkedPolicy struct {
	ARN      string    `json:"arn"`
	Version  string    `json:"version"`
	Document string    `json:"document"`         // JSON
	Changed  time.Time `json:"changed,omitzero"` // when a look found another version than the one before; zero: none did
	Before   string    `json:"before,omitempty"` // the version before
	Was      string    `json:"was,omitempty"`    // its document, JSON
	Unread   string    `json:"unread,omitempty"` // why the last look could not read it
	Updated  time.Time `json:"updated,omitzero"` // as AWS gives it
}

// LinkedAccess is what IAM's report on the last accesses of a role says.
type LinkedAccess struct {
	At      time.Time `json:"at"`                // when it was asked for
	Last    time.Time `json:"last,omitzero"`     // zero: nothing was accessed
	Region  string    `json:"region,omitempty"`  // from which it was
	Service string    `json:"service,omitempty"` // that was accessed
	Failed  string    `json:"failed,omitempty"`  // why there is no report
}

// LinkedJob is a report that IAM makes.
type LinkedJob struct {
	ID string    `json:"id"`
	At time.Time `json:"at"` // when it was asked for
}

// LinkedDeletion is a deletion that was asked of AWS.
type LinkedDeletion struct {
	RoleID  string              `json:"roleId"`            // of the role that is to go
	Request string              `json:"request,omitempty"` // of the operator; empty: it was idle for long enough
	At      time.Time           `json:"at"`                // when it was decided
	Task    string              `json:"task,omitempty"`    // AWS's id of it; empty before AWS answered
	State   LinkedDeletionState `json:"state"`
	Reason  string              `json:"reason,omitempty"` // AWS's own, of one that failed
	Usage   []LinkedUsage       `json:"usage,omitempty"`  // likewise
	EndedAt time.Time           `json:"endedAt,omitzero"`
}

// LinkedDeletionState says how far a deletion is.
type LinkedDeletionState string

// The states of a deletion.
const (
	DeletionAsked     LinkedDeletionState = "asked"     // AWS may know of it
	DeletionRunning   LinkedDeletionState = "running"   // AWS is at it
	DeletionSucceeded LinkedDeletionState = "succeeded" // the role is gone
	DeletionFailed    LinkedDeletionState = "failed"    // AWS says that the role is in use, or another reason
	DeletionLost      LinkedDeletionState = "lost"      // AWS does not know of it any more, and the role is there
)

// LinkedUsage is what the service says uses a service-linked role in a Region.
type LinkedUsage struct {
	Region    string   `json:"region"`
	Resources []string `json:"resources,omitempty"`
}

// LinkedRegion is what was seen of a Region.
type LinkedRegion struct {
	Name       string    `json:"name"`
	Resources  int       `json:"resources"`        // of AgentCore
	Interfaces int       `json:"interfaces"`       // network interfaces that AgentCore has in VPCs
	VPCSeen    time.Time `json:"vpcSeen,omitzero"` // the last look that found a resource in a VPC
	VPCGone    time.Time `json:"vpcGone,omitzero"` // the first look after it that found none
	Unread     []string  `json:"unread,omitempty"` // what could not be read, and why
}

// LinkedRequest is the answer to an operator's request.
type LinkedRequest struct {
	ID      string    `json:"id"`
	Role    string    `json:"role"`
	Outcome string    `json:"outcome"` // done, refused, running
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// The outcomes of a request about a service-linked role.
const (
	LinkedRequestDone    = "done"
	LinkedRequestRefused = "refused"
	LinkedRequestRunning = "running" // AWS is at it
)

// ParseServiceLinkedRoles reads what is known, strictly.
func ParseServiceLinkedRoles(data []byte) (ServiceLinkedRoles, error) {
	var s ServiceLinkedRoles
	if err := strict(data, &s); err != nil {
		return ServiceLinkedRoles{}, fmt.Errorf("service-linked roles: %w", err)
	}
	if s.V != 1 {
		return ServiceLinkedRoles{}, fmt.Errorf("service-linked roles: %w", errVersion)
	}
	return s, nil
}

// Role gives what is known of a role by its name, and whether anything is.
func (s ServiceLinkedRoles) Role(name string) (ServiceLinkedRole, bool) {
	for _, r := range s.Roles {
		if strings.EqualFold(r.Name, name) {
			return r, true
		}
	}
	return ServiceLinkedRole{}, false
}

// DeletionPlan gives the digest, hex SHA-256, of what an operator is shown who has
// a service-linked role deleted: which role it is, and when it was last used.
func (r ServiceLinkedRole) DeletionPlan() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.Name, r.ID, r.LastUsed.UTC().Format(time.RFC3339)}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// Deletable reports whether an operator may ask to delete a role with the verdict.
func (v Verdict) Deletable() bool {
	return v == LinkedIdle || v == LinkedRemovable || v == LinkedRefused
}

// Resource is a resource of AgentCore, as far as service-linked roles go by it.
type Resource struct {
	// Kind is runtime, browser, code-interpreter, harness, gateway, gateway-target,
	// payment-manager, registry, oauth2-credential-provider or capacity-provider.
	Kind    string `json:"kind"`
	ID      string `json:"id"`               // of a target with that of its gateway and a slash before it
	ARN     string `json:"arn,omitempty"`    // empty of what has none
	Status  string `json:"status,omitempty"` // as AgentCore lists it
	Updated string `json:"updated"`          // RFC 3339 with all digits: what is equal was not changed; empty of what was listed and could not be read yet
	// Version is the newest one that is in a VPC or has a private endpoint, of what
	// keeps versions; empty when none is. Old is set when the newest lacks what an older
	// one has: then only a look at all versions tells when that goes.
	Version         string `json:"version,omitempty"`
	Old             bool   `json:"old,omitempty"`
	VPC             bool   `json:"vpc,omitempty"`             // it has network interfaces in a VPC
	PrivateEndpoint bool   `json:"privateEndpoint,omitempty"` // AgentCore reaches something in a VPC for it, by a connection that it manages
}

// Resources are the resources of AgentCore in a Region as they were last read: an
// object of the config bucket, so that what has not changed is not read again.
type Resources struct {
	V      int        `json:"v"`
	Region string     `json:"region"`
	All    []Resource `json:"all,omitempty"` // by kind and id
}

// ParseResources reads them, strictly.
func ParseResources(data []byte) (Resources, error) {
	var r Resources
	if err := strict(data, &r); err != nil {
		return Resources{}, fmt.Errorf("resources: %w", err)
	}
	if r.V != 1 {
		return Resources{}, fmt.Errorf("resources: %w", errVersion)
	}
	return r, nil
}

// ObservedLinked is a role of the name of a service-linked role as IAM has it.
type ObservedLinked struct {
	ARN, ID, Path  string
	Created        time.Time
	LastUsed       time.Time // zero: not within 400 days
	LastUsedRegion string
}
