package model

import (
	"fmt"
	"time"
)

// Use is something that holds a role: it may assume the role at any time.
type Use struct {
	Role   string `json:"role"`             // ARN
	ARN    string `json:"arn"`              // of what holds it
	Kind   string `json:"kind"`             // runtime, gateway, memory, project, …
	Status string `json:"status,omitempty"` // as the service gives it; empty where there is none
	// Of a runtime: its id, the version that has the role, and whether that is the
	// newest one, which all endpoints get that are not pinned to another.
	Runtime string `json:"runtime,omitempty"`
	Version string `json:"version,omitempty"`
	Newest  bool   `json:"newest,omitempty"`
}

// RuntimeSummary is an AgentCore runtime as a listing shows it: without a role.
type RuntimeSummary struct {
	ID      string
	Name    string
	ARN     string
	Version string // the newest
	Status  string // as AgentCore gives it
	Updated string // RFC 3339 with all digits: what is equal was not changed
}

// RuntimeEndpoint leads those who invoke a runtime to one of its versions.
type RuntimeEndpoint struct {
	Name   string // DEFAULT follows the newest version
	ARN    string
	Live   string // version that answers; empty before there is one
	Target string // version that is to answer; that of Live but while it changes
	Status string // as AgentCore gives it
}

// RuntimeDeleting is the status of a runtime that is being deleted; one whose
// deletion failed has another (service model, AgentRuntimeStatus).
const RuntimeDeleting = "DELETING"

// Inventory is what holds the roles of agents: an object of the config bucket,
// which all who ask at about the same time share.
type Inventory struct {
	V       int       `json:"v"`
	TakenAt time.Time `json:"takenAt,omitzero"` // when the listings were begun that Uses come from; zero when there were none
	// Uses are of roles with the names of agents' own. As stored, those are left out
	// that follow from Runtimes: of the versions of a runtime that is READY.
	Uses []Use `json:"uses,omitempty"`
	// Runtimes are those whose versions were read, by id. What role a version has
	// never changes.
	Runtimes map[string]RuntimeRoles `json:"runtimes,omitempty"`
	// Taking is who takes the next inventory, until when at most; the others wait.
	Taking string    `json:"taking,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// RuntimeRoles is what was read of a runtime's versions.
type RuntimeRoles struct {
	Updated string              `json:"updated"`         // as RuntimeSummary has it: a change since asks for the versions again
	Version string              `json:"version"`         // the newest
	Roles   map[string][]string `json:"roles,omitempty"` // versions, as numbers and runs ("1-57"), by the ARN of their role; those with roles of others by ""
}

// ParseInventory reads an inventory, strictly: what is damaged must not be read
// as if nothing were used.
func ParseInventory(data []byte) (Inventory, error) {
	var i Inventory
	if err := strict(data, &i); err != nil {
		return Inventory{}, fmt.Errorf("inventory: %w", err)
	}
	if i.V != 1 {
		return Inventory{}, fmt.Errorf("inventory: %w", errVersion)
	}
	return i, nil
}

// Deletions counts the roles that were let go of late: an object of the config
// bucket that all configs share.
type Deletions struct {
	V   int        `json:"v"`
	All []Deletion `json:"all,omitempty"` // of the last hour, oldest first
}

// Deletion is one agent whose roles were let go.
type Deletion struct {
	Retirement string    `json:"retirement"`
	Roles      int       `json:"roles"`
	At         time.Time `json:"at"`
}

// ParseDeletions reads the count, strictly: what is damaged must not be read as
// if nothing had been deleted.
func ParseDeletions(data []byte) (Deletions, error) {
	var d Deletions
	if err := strict(data, &d); err != nil {
		return Deletions{}, fmt.Errorf("deletions: %w", err)
	}
	if d.V != 1 {
		return Deletions{}, fmt.Errorf("deletions: %w", errVersion)
	}
	for i, one := range d.All {
		if one.Retirement == "" || one.Roles < 0 || one.At.IsZero() {
			return Deletions{}, fmt.Errorf("deletions: entry %d cannot be counted: %+v", i+1, one)
		}
	}
	return d, nil
}

// Let gives the count with one more agent let go, and whether that keeps within
// most roles an hour; an agent that it would not is not counted. One that is let
// go again counts once, from now on. What is older than an hour is forgotten.
func (d Deletions) Let(retirement string, roles, most int, now time.Time) (Deletions, bool) {
	next, n := Deletions{V: 1}, roles
	for _, one := range d.All {
		if one.Retirement != retirement && now.Sub(one.At) < time.Hour { // also what a faster clock than ours counted
			next.All, n = append(next.All, one), n+one.Roles
		}
	}
	if n > most {
		return d, false
	}
	next.All = append(next.All, Deletion{Retirement: retirement, Roles: roles, At: now})
	return next, true
}
