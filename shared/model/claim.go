package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Claim says which config owns a name. It is an object of the config bucket,
// made with If-None-Match, changed and deleted with If-Match.
type Claim struct {
	V             int      `json:"v"`
	Config        string   `json:"config"`                  // S3 key of the owner
	Agent         string   `json:"agent"`                   // agent of that config
	RuntimeRoleID string   `json:"runtimeRoleId,omitempty"` // unique id of the role when we made or adopted it; role claims only
	BuildRoleID   string   `json:"buildRoleId,omitempty"`
	Creating      []string `json:"creating,omitempty"` // hex SHA-256 of the nonces of what is being made
	// Adopting are roles that were taken over and are not yet as they should be.
	Adopting []RoleKind `json:"adopting,omitempty"`
	Deleting string     `json:"deleting,omitempty"` // id of a retirement under way; nobody takes the claim over meanwhile
	// Free says that the owner no longer has the agent: another config of its team
	// may take the claim over with all that was made under it. Of a project claim:
	// the agent was retired, and its repository is kept.
	Free    bool     `json:"free,omitempty"`
	Waiting []string `json:"waiting,omitempty"` // keys of configs to wake when the name is free, sorted
	// When what we made was created, by AWS's clock: what tells it from another of
	// its name. Project claims only.
	RepositoryCreated time.Time `json:"repositoryCreated,omitzero"`
	ProjectCreated    time.Time `json:"projectCreated,omitzero"`
}

// MaxCreating bounds Claim.Creating: only the newest attempts can still be half-made.
const MaxCreating = 8

// RoleID gives the recorded unique id of one of the agent's roles, empty when there is none.
func (c Claim) RoleID(kind RoleKind) string {
	if kind == BuildRole {
		return c.BuildRoleID
	}
	return c.RuntimeRoleID
}

// WithRoleID gives the claim with the role's unique id recorded.
func (c Claim) WithRoleID(kind RoleKind, id string) Claim {
	if kind == BuildRole {
		c.BuildRoleID = id
	} else {
		c.RuntimeRoleID = id
	}
	return c
}

// Created gives when one of an agent's parts was made, zero when it was not.
func (c Claim) Created(part Part) time.Time {
	if part == ProjectPart {
		return c.ProjectCreated
	}
	return c.RepositoryCreated
}

// WithCreated gives the claim with the time recorded when a part was made.
func (c Claim) WithCreated(part Part, at time.Time) Claim {
	if part == ProjectPart {
		c.ProjectCreated = at.UTC()
	} else {
		c.RepositoryCreated = at.UTC()
	}
	return c
}

// WithCreating gives the claim with one more hash of a nonce, the oldest dropped beyond MaxCreating.
func (c Claim) WithCreating(hash string) Claim {
	c.Creating = append(slices.Clone(c.Creating), hash)
	if extra := len(c.Creating) - MaxCreating; extra > 0 {
		c.Creating = c.Creating[extra:]
	}
	return c
}

// WithAdopting gives the claim with roles noted that are being taken over.
func (c Claim) WithAdopting(kinds ...RoleKind) Claim {
	all := slices.Concat(c.Adopting, kinds)
	slices.Sort(all)
	c.Adopting = slices.Compact(all)
	return c
}

// WithoutAdopting gives the claim without roles that are taken over, or gone.
func (c Claim) WithoutAdopting(kinds ...RoleKind) Claim {
	c.Adopting = slices.DeleteFunc(slices.Clone(c.Adopting), func(k RoleKind) bool { return slices.Contains(kinds, k) })
	return c
}

// MaxWaiting bounds Claim.Waiting: who takes a name that many others want is
// not to be burdened with waking them all.
const MaxWaiting = 100

// WithWaiting gives the claim with one more config waiting for the name, or as
// it is when MaxWaiting do already.
func (c Claim) WithWaiting(key string) Claim {
	if i, ok := slices.BinarySearch(c.Waiting, key); !ok && len(c.Waiting) < MaxWaiting {
		c.Waiting = slices.Insert(slices.Clone(c.Waiting), i, key)
	}
	return c
}

// Made reports whether the nonce is one of a role of the kind that is being made under the claim.
func (c Claim) Made(kind RoleKind, nonce string) bool { return c.made(string(kind), nonce) }

// MadePart reports the same of a part.
func (c Claim) MadePart(part Part, nonce string) bool { return c.made(string(part), nonce) }

func (c Claim) made(kind, nonce string) bool {
	return strings.HasPrefix(nonce, kind+"-") && slices.Contains(c.Creating, HashNonce(nonce))
}

// Nonce makes the nonce of a role or part to be made. It names the kind, since
// anybody who may read an agent's one role could copy its nonce to a role he
// makes under the other's name.
func Nonce[K RoleKind | Part](kind K, random string) string { return string(kind) + "-" + random }

// Unused reports whether nothing was made or is being made or deleted under the claim.
func (c Claim) Unused() bool {
	return c.RuntimeRoleID == "" && c.BuildRoleID == "" && len(c.Creating) == 0 && c.Deleting == "" &&
		c.RepositoryCreated.IsZero() && c.ProjectCreated.IsZero()
}

// HashNonce gives what a claim keeps of a nonce.
func HashNonce(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return hex.EncodeToString(sum[:])
}

// ClaimIndex lists the claims that a config may hold: written before the first
// of them is taken, so that a config that is refused, or whose status is lost,
// still finds what is its own.
type ClaimIndex struct {
	V      int      `json:"v"`
	Config string   `json:"config"`
	Claims []string `json:"claims"` // S3 keys, sorted
}

var errVersion = errors.New("not of version 1")

// ParseClaim reads a claim, strictly: what is damaged must not be read as free.
func ParseClaim(data []byte) (Claim, error) {
	var c Claim
	if err := strict(data, &c); err != nil {
		return Claim{}, fmt.Errorf("claim: %w", err)
	}
	if c.V != 1 {
		return Claim{}, fmt.Errorf("claim: %w", errVersion)
	}
	if c.Config == "" || c.Agent == "" {
		return Claim{}, errors.New("claim: no owner")
	}
	return c, nil
}

// ParseClaimIndex reads a claim index.
func ParseClaimIndex(data []byte) (ClaimIndex, error) {
	var x ClaimIndex
	if err := strict(data, &x); err != nil {
		return ClaimIndex{}, fmt.Errorf("claim index: %w", err)
	}
	if x.V != 1 {
		return ClaimIndex{}, fmt.Errorf("claim index: %w", errVersion)
	}
	return x, nil
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// Object is an object of the config bucket as it was read.
type Object struct {
	Body         []byte
	ETag         string // what conditions on writes compare
	VersionID    string
	LastModified time.Time
}

// Entry is an object of the config bucket as a listing shows it.
type Entry struct {
	Key      string
	Modified time.Time
}
