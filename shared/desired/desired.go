// Package desired says what the account should hold for a config. It is pure:
// equal configs in equal environments give equal states.
package desired

import (
	"rolekeeper/shared/agent"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Profile says how much the roles grant.
type Profile string

// The profiles.
const (
	Scoped  Profile = "scoped"  // every statement narrowed to the agent
	Toolkit Profile = "toolkit" // the starter toolkit 0.3.10, statement for statement
)

// Env is what shapes roles, repositories and projects beside the config.
type Env struct {
	agent.Place
	Profile             Profile
	PermissionsBoundary string // ARN of the managed policy that every role carries
	SourceBucket        string // name of the bucket that agents' sources are in
	ConfigKey           string // S3 key of the config, for tags and for its team
	TeamTag             string // principal tag that names the uploader's team; empty: there are no teams
	BuildImage          string // CodeBuild image that builds run in
	LogRetentionDays    int32  // of the logs of builds
}

// team gives the team whose the config is, empty where there are no teams.
func (e Env) team() string {
	if e.TeamTag == "" {
		return ""
	}
	return naming.Team(e.ConfigKey)
}

// State is what the account should hold for one config.
type State struct {
	Agents []Agent
	// ServiceLinkedRoles are the service-linked roles the agents need, sorted by name.
	ServiceLinkedRoles []ServiceLinkedRole
}

// Agent is what one agent needs. Of the three fields about the runtime role
// exactly one is set, likewise at most one of those about the build role.
type Agent struct {
	Name string

	RuntimeRole         *model.Role // made and kept by Rolekeeper
	SharedRuntimeRole   string      // name of the agent of this config whose runtime role this one uses
	ExternalRuntimeRole *ExternalRole

	BuildRole         *model.Role
	SharedBuildRole   string
	ExternalBuildRole *ExternalRole

	// Repository and Project are of container agents. There is no project for one
	// whose build role is somebody else's.
	Repository *model.Repository
	Project    *model.Project

	Notes []string // what a developer should know, a sentence each
}

// ExternalRole is a role that the config names and Rolekeeper only checks.
type ExternalRole struct {
	ARN     string
	Name    string
	Service string // service principal that must be able to assume it
	Field   string // the config's field that names it
	Hash    string // naming.RoleHash of the name, when another config may hold a claim on it; else empty
}
