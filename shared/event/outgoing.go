package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// Outgoing is an event that Rolekeeper sends to the default bus.
type Outgoing interface {
	DetailType() string
}

// Transition is what all outgoing events begin with. An event is sent at least
// once; the same id means the same transition.
type Transition struct {
	ID            string `json:"id"`
	Config        string `json:"config"`        // S3 key
	ConfigVersion string `json:"configVersion"` // S3 version id
	Agent         string `json:"agent,omitempty"`
}

// NewTransition gives the transition of a config, or of one of its agents, to a
// state; the id is made of all that is given.
func NewTransition(config, version, agent, to string) Transition {
	sum := sha256.Sum256([]byte(strings.Join([]string{config, version, agent, to}, "\x00")))
	return Transition{ID: hex.EncodeToString(sum[:16]), Config: config, ConfigVersion: version, Agent: agent}
}

// RolesReady says that an agent's roles are as its config asks.
type RolesReady struct {
	Transition
	RuntimeRoleARN string `json:"runtimeRoleArn,omitempty"`
	BuildRoleARN   string `json:"buildRoleArn,omitempty"`
}

// DetailType implements Outgoing.
func (RolesReady) DetailType() string { return "Agent Roles Ready" }

// ConfigRejected says that a config was refused; nothing was changed.
type ConfigRejected struct {
	Transition
	Summary  string          `json:"summary"`
	Problems []fault.Problem `json:"problems"` // the first MaxProblems
}

// MaxProblems bounds what an event tells; the status has all of them.
const MaxProblems = 20

// DetailType implements Outgoing.
func (ConfigRejected) DetailType() string { return "Agent Config Rejected" }

// DriftFinding is one element of a role, repository or project that was not as
// Rolekeeper left it.
type DriftFinding struct {
	Role    string `json:"role"` // name of the role, the project or the repository
	Element string `json:"element"`
	Kind    string `json:"kind"`            // edited, missing, extra, removed, role-missing
	Actor   string `json:"actor,omitempty"` // ARN of who did it, where CloudTrail told
}

// DriftDetected says that something on an agent's roles, repository or project is
// not as Rolekeeper left it, and was left alone.
type DriftDetected struct {
	Transition
	Findings []DriftFinding `json:"findings"`
}

// DetailType implements Outgoing.
func (DriftDetected) DetailType() string { return "Role Drift Detected" }

// DriftRepaired says that elements of an agent's roles were put back, or policies
// of others removed.
type DriftRepaired struct {
	Transition
	Findings []DriftFinding `json:"findings"`
}

// DetailType implements Outgoing.
func (DriftRepaired) DetailType() string { return "Role Drift Repaired" }

// BuildStarted says that an image of an agent is being built.
type BuildStarted struct {
	Transition
	Build         string `json:"build"` // CodeBuild's id
	SourceVersion string `json:"sourceVersion"`
}

// DetailType implements Outgoing.
func (BuildStarted) DetailType() string { return "Agent Build Started" }

// BuildSucceeded says that there is a new image of an agent.
type BuildSucceeded struct {
	Transition
	Build         string `json:"build"`
	SourceVersion string `json:"sourceVersion"`
	// Image is the URI with digest; empty when the repository did not have it when
	// the build was looked at.
	Image string `json:"image,omitempty"`
}

// DetailType implements Outgoing.
func (BuildSucceeded) DetailType() string { return "Agent Build Succeeded" }

// BuildFailed says that a build ended without an image.
type BuildFailed struct {
	Transition
	Build         string           `json:"build"`
	SourceVersion string           `json:"sourceVersion"`
	State         model.BuildState `json:"state"`
	Message       string           `json:"message"`
	LogURL        string           `json:"logUrl,omitempty"`
}

// DetailType implements Outgoing.
func (BuildFailed) DetailType() string { return "Agent Build Failed" }

// AgentRetiring says that an agent's roles are to be deleted when the grace
// period is over.
type AgentRetiring struct {
	Transition
	Reason         string    `json:"reason"` // removed: no config has it; deserted: its runtimes are gone
	RetireAfter    time.Time `json:"retireAfter"`
	RuntimeRoleARN string    `json:"runtimeRoleArn,omitempty"`
	BuildRoleARN   string    `json:"buildRoleArn,omitempty"`
}

// DetailType implements Outgoing.
func (AgentRetiring) DetailType() string { return "Agent Retiring" }

// RolesDeleted says that an agent's roles were deleted, and where they were
// archived.
type RolesDeleted struct {
	Transition
	RetirementID string   `json:"retirementId"`
	ArchiveKeys  []string `json:"archiveKeys"` // S3 keys in the config bucket
}

// DetailType implements Outgoing.
func (RolesDeleted) DetailType() string { return "Agent Roles Deleted" }

// DeletionBlocker is something that keeps an agent's roles from being deleted.
type DeletionBlocker struct {
	ARN  string `json:"arn"`
	Kind string `json:"kind"` // plan.BlockerKind
	Fix  string `json:"fix"`
}

// DeletionBlocked says that an agent's roles are due to be deleted and are kept.
type DeletionBlocked struct {
	Transition
	BlockedBy []DeletionBlocker `json:"blockedBy"` // the first MaxProblems
}

// DetailType implements Outgoing.
func (DeletionBlocked) DetailType() string { return "Role Deletion Blocked" }

// ServiceLinkedRoleChanged says that it stands otherwise with one of AgentCore's
// service-linked roles.
type ServiceLinkedRoleChanged struct {
	ID      string        `json:"id"`      // the same for the same change
	Role    string        `json:"role"`    // name
	Service string        `json:"service"` // service principal
	From    model.Verdict `json:"from"`    // empty when it was not known
	To      model.Verdict `json:"to"`
	Reasons []string      `json:"reasons"`
	Fix     string        `json:"fix,omitempty"`
}

// DetailType implements Outgoing.
func (ServiceLinkedRoleChanged) DetailType() string { return "Service-Linked Role Changed" }

// Detail gives the JSON of an outgoing event.
func Detail(e Outgoing) (string, error) { return encode(e.DetailType(), e) }
