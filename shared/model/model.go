// Package model holds what is compared: roles as they should be and roles as
// they were read. The two are different types so that a comparison cannot be
// made backwards.
package model

import (
	"strings"
	"time"

	"rolekeeper/shared/policy"
)

// RoleKind tells the two roles of an agent apart.
type RoleKind string

// The kinds of role.
const (
	RuntimeRole RoleKind = "runtime"
	BuildRole   RoleKind = "build"
)

// Tags on everything that Rolekeeper makes.
const (
	TagConfig   = "rolekeeper:config"   // the S3 key of the owning config
	TagAgent    = "rolekeeper:agent"    // the agent's name
	TagTemplate = "rolekeeper:template" // TemplateVersion the policies were made with
	TagCreation = "rolekeeper:creation" // nonce whose hash is in the claim while a role is half-made; kept afterwards, without meaning
)

// SystemTag reports whether a tag with the key is one of AWS itself, which nobody
// else can write (IAM User Guide, "Rules for tagging in IAM and AWS STS").
func SystemTag(key string) bool { return strings.HasPrefix(key, "aws:") }

// IDTime is how ids and keys of objects begin that are to sort by time: a layout
// of package time, for times in UTC.
const IDTime = "20060102T150405Z"

// TemplateVersion counts the versions of the policy templates in package desired.
const TemplateVersion = 2

// Role is a role as it should be.
type Role struct {
	Kind                RoleKind                   `json:"kind"`
	Agent               string                     `json:"agent"` // whose deterministic name it bears
	Name                string                     `json:"name"`
	ARN                 string                     `json:"arn"`
	Description         string                     `json:"description"`
	MaxSessionDuration  int32                      `json:"maxSessionDuration"`  // seconds
	PermissionsBoundary string                     `json:"permissionsBoundary"` // ARN of a managed policy
	Trust               policy.Document            `json:"trust"`
	Policies            map[string]policy.Document `json:"policies"` // inline policies by name
	Tags                map[string]string          `json:"tags"`
}

// ObservedRole is a role as it was read. Documents are JSON text as IAM holds
// it, URL-decoded: what cannot be parsed must still be seen to differ.
type ObservedRole struct {
	Name                string            `json:"name"`
	ARN                 string            `json:"arn"`
	ID                  string            `json:"id"` // unique id (AROA…); changes when a role is made anew under its name
	Path                string            `json:"path"`
	Description         string            `json:"description"`
	MaxSessionDuration  int32             `json:"maxSessionDuration"`
	PermissionsBoundary string            `json:"permissionsBoundary"` // ARN; empty when there is none
	Trust               string            `json:"trust"`               // JSON
	Policies            map[string]string `json:"policies"`            // inline policies, JSON by name
	Attached            []string          `json:"attached"`            // ARNs of managed policies, sorted
	Tags                map[string]string `json:"tags"`
	// LastUsed is when the role was last assumed as far as IAM says, zero for never;
	// it lags behind by up to four hours (IAM User Guide, "View last accessed
	// information"). It is not part of what the role is, and of no archive.
	LastUsed time.Time `json:"-"`
}
