package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RequestAction says what an operator asks for.
type RequestAction string

// The actions.
const (
	// Adopt takes over the roles that somebody else made under an agent's names.
	Adopt RequestAction = "adopt"
	// Approve lets everything go that a config's plan leaves to an operator.
	Approve RequestAction = "approve"
	// BuildImage has the image of an agent's newest source made, though a build of
	// it was started before.
	BuildImage RequestAction = "build"
	// Restore puts a role back as an archive has it, and holds its agent.
	Restore RequestAction = "restore"
	// Release ends the hold of an agent that was restored.
	Release RequestAction = "release"
	// Retire takes over roles that no config asks for, to have them go as those of an
	// agent that was removed do.
	Retire RequestAction = "retire"
	// DeleteLinked has one of AgentCore's service-linked roles deleted.
	DeleteLinked RequestAction = "delete-service-linked-role"
)

// Request is what an operator asks Rolekeeper to do for one config: an object of
// the config bucket that only operators can write, and that nobody can change.
type Request struct {
	V      int           `json:"v"`
	ID     string        `json:"id"`
	Action RequestAction `json:"action"`
	Config string        `json:"config"` // S3 key of the config
	// Plans are what the operator was shown, by agent: to adopt and to approve
	// plan.AdoptionHash, to approve a deletion plan.DeletionHash, to build
	// BuildOrder.Identity, to restore and to release plan.RestoreHash, to retire
	// plan.RetireHash. To delete a service-linked role
	// ServiceLinkedRole.DeletionPlan, by the role's name.
	Plans   map[string]string `json:"plans"`
	Archive string            `json:"archive,omitempty"` // to restore: S3 key of the archive
	Expires time.Time         `json:"expires"`
	By      string            `json:"by"` // who the request says it is from; proves nothing
}

// MaxRequestAge is how long a request can be carried out, whatever it says of
// its expiry: an old one must not come back when the memory of it is lost.
const MaxRequestAge = 24 * time.Hour

// Late reports whether a request that was written at a time comes too late now.
func (r Request) Late(written, now time.Time) bool {
	return now.After(r.Expires) || now.Sub(written) > MaxRequestAge
}

// ParseRequest reads a request, strictly.
func ParseRequest(data []byte) (Request, error) {
	var r Request
	err := strict(data, &r)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Request{}, fmt.Errorf("request: %w", err)
	}
	return r, nil
}

// check says what is wrong with a request.
func (r Request) check() error {
	switch {
	case r.V != 1:
		return errVersion
	case !isRequestID(r.ID):
		return fmt.Errorf("there is no id %.100q", r.ID)
	case !slices.Contains([]RequestAction{Adopt, Approve, BuildImage, Restore, Release, Retire, DeleteLinked}, r.Action):
		return fmt.Errorf("there is no action %.100q", r.Action)
	case r.Action == DeleteLinked && r.Config != "":
		return fmt.Errorf("it is to %s, and names a config", r.Action)
	case len(r.Plans) == 0:
		return errors.New("it names no plan")
	case r.Action != Approve && len(r.Plans) > 1:
		return fmt.Errorf("it is to %s for one agent, and names %d", r.Action, len(r.Plans))
	case (r.Action == Restore) != (r.Archive != ""):
		return fmt.Errorf("it is to %s with archive %.300q", r.Action, r.Archive)
	case r.Expires.IsZero():
		return errors.New("no expiry")
	}
	for agent, hash := range r.Plans {
		if !isHash(hash) {
			return fmt.Errorf("agent %.100q: there is no plan %.100q", agent, hash)
		}
	}
	return nil
}

const (
	digits       = "0123456789"
	letters      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	maxRequestID = 64
)

func isRequestID(s string) bool {
	return s != "" && len(s) <= maxRequestID && strings.Trim(s, letters+digits+"-") == ""
}

// isHash reports whether s is a SHA-256 in hex, as we write it.
func isHash(s string) bool {
	return len(s) == hex.EncodedLen(sha256.Size) && strings.Trim(s, digits+"abcdef") == ""
}
