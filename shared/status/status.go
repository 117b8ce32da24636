// Package status holds the answer to a config: what a developer reads beside
// the upload, and what Rolekeeper remembers of that config.
package status

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Version is the version of the format.
const Version = 1

// Schema is the JSON Schema of a status.
//
//go:embed status.schema.json
var Schema []byte

// Outcome says where a config stands.
type Outcome string

// The outcomes of a config.
const (
	Ready    Outcome = "ready"    // everything is as the config asks
	Waiting  Outcome = "waiting"  // AWS has to catch up, or a build cannot be started yet; looked at again at WakeAt
	Building Outcome = "building" // an image is being built
	Rejected Outcome = "rejected" // the config is at fault; nothing was changed
	Orphaned Outcome = "orphaned" // the config is gone, and no agent of it is on its way out
	Retiring Outcome = "retiring" // roles are to be deleted when the grace period is over
	Retired  Outcome = "retired"  // roles were deleted
	Blocked  Outcome = "blocked"  // something that is not ours is in the way
	Failed   Outcome = "failed"   // handling it went wrong; the message is in the dead letters
)

// Phase says where an agent stands in its life.
type Phase string

// The phases of an agent.
const (
	PhaseActive      Phase = "active"
	PhaseRetiring    Phase = "retiring"
	PhaseQuarantined Phase = "quarantined"
	PhaseRetired     Phase = "retired"
	PhaseHeld        Phase = "held"
)

// Status is the answer to one config.
type Status struct {
	V               int             `json:"v"`
	Config          Config          `json:"config"`
	SettingsHash    string          `json:"settingsHash,omitempty"`
	TemplateVersion int             `json:"templateVersion,omitempty"`
	Outcome         Outcome         `json:"outcome"`
	Summary         string          `json:"summary"` // one sentence
	WakeAt          time.Time       `json:"wakeAt,omitzero"`
	Requests        []Request       `json:"requests,omitempty"`
	Agents          []Agent         `json:"agents"`
	Problems        []fault.Problem `json:"problems"`
	Next            []string        `json:"next"` // what to do now
	UpdatedAt       time.Time       `json:"updatedAt"`
}

// Config names the config that is answered.
type Config struct {
	Key              string `json:"key"`
	VersionID        string `json:"versionId,omitempty"`        // version that was looked at; empty when the object is gone
	AppliedVersionID string `json:"appliedVersionId,omitempty"` // last version whose roles were made
	// UploadedAt is when the version was uploaded that was looked at, by S3's clock.
	UploadedAt time.Time `json:"uploadedAt,omitzero"`
}

// Request is the answer to an operator's request.
type Request struct {
	ID      string         `json:"id"`
	Outcome RequestOutcome `json:"outcome"`
	Message string         `json:"message"`
}

// RequestOutcome says what became of an operator's request.
type RequestOutcome string

// The outcomes of a request.
const (
	RequestDone    RequestOutcome = "done"
	RequestRefused RequestOutcome = "refused"
)

// Agent is what is known of one agent.
type Agent struct {
	Name           string            `json:"name"`
	Phase          Phase             `json:"phase"`
	Applied        map[string]string `json:"applied,omitempty"` // element -> digest as last written
	RuntimeRoleARN string            `json:"runtimeRoleArn,omitempty"`
	BuildRoleARN   string            `json:"buildRoleArn,omitempty"`
	Repository     string            `json:"repository,omitempty"`
	Project        string            `json:"project,omitempty"`
	Build          *Build            `json:"build,omitempty"`
	Runtimes       []Runtime         `json:"runtimes,omitempty"`
	// PhaseVersion is the S3 version of the config under which a phase began that is
	// not active, or the newest since that lacks the agent; empty when the config was
	// gone. Another version that has the agent ends the phase. Of one active: the
	// version that made it so again after all its runtimes were gone, until it has
	// another runtime.
	PhaseVersion string    `json:"phaseVersion,omitempty"`
	RetireAfter  time.Time `json:"retireAfter,omitzero"`   // of one retiring: end of the grace period
	DeleteAfter  time.Time `json:"deleteAfter,omitzero"`   // of one quarantined: end of the quarantine
	RetirementID string    `json:"retirementId,omitempty"` // of one quarantined or retired
	ArchiveKeys  []string  `json:"archiveKeys,omitempty"`  // of one quarantined or retired: S3 keys, one for each role
	Drift        []Drift   `json:"drift,omitempty"`
	BlockedBy    []Blocker `json:"blockedBy,omitempty"`
	Notes        []string  `json:"notes,omitempty"`
}

// Build is the newest build of an agent's image.
type Build struct {
	ID            string           `json:"id,omitempty"` // CodeBuild's; empty while it waits to be started
	State         model.BuildState `json:"state"`
	Identity      string           `json:"identity"` // of all that decides the image
	SourceVersion string           `json:"sourceVersion"`
	Image         string           `json:"image,omitempty"` // URI with digest
	LogURL        string           `json:"logUrl,omitempty"`
	Message       string           `json:"message,omitempty"` // what failed, or what is waited for
	Since         time.Time        `json:"since"`             // when it was first seen in this state
	Last          *Build           `json:"last,omitempty"`    // of one that waits: the newest that was started
}

// Started gives the newest build that was started: this one, or the last before
// one that waits; nil when there is none.
func (b *Build) Started() *Build {
	if b == nil || b.ID != "" {
		return b
	}
	return b.Last
}

// BuildWaiting is the state of a build that cannot be started yet.
const BuildWaiting model.BuildState = "waiting"

// Runtime is an AgentCore runtime that the agent has had.
type Runtime struct {
	ID       string    `json:"id"`
	LastSeen time.Time `json:"lastSeen"`
	Gone     bool      `json:"gone,omitempty"`    // it was deleted, or is being deleted
	Foreign  bool      `json:"foreign,omitempty"` // it has the agent's name and was only seen with another role
}

// Drift is one element of a role, repository or project that is not as Rolekeeper
// left it.
type Drift struct {
	Element string    `json:"element"` // runtime/trust, build/policy/…
	Kind    string    `json:"kind"`
	Actor   string    `json:"actor,omitempty"` // ARN of who did it, where CloudTrail told
	At      time.Time `json:"at"`              // when that was; else when it was first seen
}

// DriftRemoved is the kind of drift of a policy that somebody added and that is
// being removed: it stands in a status while that is under way.
const DriftRemoved = "removed"

// Same reports whether both are the same drift, whenever and by whom. That it is
// being removed makes none other of it.
func (d Drift) Same(other Drift) bool {
	kind := func(d Drift) string {
		if d.Kind == DriftRemoved {
			return "extra"
		}
		return d.Kind
	}
	return d.Element == other.Element && kind(d) == kind(other)
}

// Blocker is something that is not ours and stands in the way.
type Blocker struct {
	ARN  string `json:"arn"`
	Kind string `json:"kind"`
	Fix  string `json:"fix"`
}

// ErrNewer says that a status was written in a later format, by a later version
// of Rolekeeper: to rebuild it would lose what only that version knows.
var ErrNewer = errors.New("written in a later format")

// Parse reads a status. An error but ErrNewer means that it is damaged: it must
// be rebuilt, never read as if nothing were owned.
func Parse(data []byte) (Status, error) {
	var format struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(data, &format); err == nil && format.V > Version {
		return Status{}, fmt.Errorf("status: version %d; this is version %d: %w", format.V, Version, ErrNewer)
	}
	var s Status
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Status{}, errors.New("status: more than one value")
	}
	if s.V != Version {
		return Status{}, fmt.Errorf("status: version %d; this is version %d", s.V, Version)
	}
	if err := s.check(); err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	return s, nil
}

// check finds what no status has. A status without outcome or with an agent
// without a name would be read as one that owns less than it does, one with an
// agent on its way out and no time for that as if the time were over.
func (s Status) check() error {
	if err := naming.CheckConfigKey(s.Config.Key); err != nil {
		return err
	}
	switch s.Outcome {
	case Ready, Waiting, Building, Rejected, Orphaned, Retiring, Retired, Blocked, Failed:
	default:
		return fmt.Errorf("there is no outcome %q", s.Outcome)
	}
	for i, a := range s.Agents {
		if !naming.ValidAgent(a.Name) {
			return fmt.Errorf("agent %d has the name %q", i, a.Name)
		}
		if err := a.check(); err != nil {
			return fmt.Errorf("agent %s: %w", a.Name, err)
		}
	}
	return nil
}

func (a Agent) check() error {
	endless := false
	switch a.Phase {
	case PhaseActive, PhaseRetired, PhaseHeld:
	case PhaseRetiring:
		endless = a.RetireAfter.IsZero()
	case PhaseQuarantined:
		endless = a.DeleteAfter.IsZero() || a.RetirementID == ""
	default:
		return fmt.Errorf("there is no phase %q", a.Phase)
	}
	if endless {
		return fmt.Errorf("it is %s, and not said of which retirement or until when", a.Phase)
	}
	if b := a.Build; b != nil && b.State != model.BuildInProgress && b.State != BuildWaiting && !b.State.Ended() {
		return fmt.Errorf("there is no state %q of a build", b.State)
	}
	return nil
}

// MaxSize bounds the bytes of a stored status. Of more not all is read again
// (configstore.MaxRead), and what is known of a config would be lost.
const MaxSize = 1<<20 - 1

// JSON gives the status as it is stored: indented, since people read it. More
// than MaxSize is an error.
func (s Status) JSON() ([]byte, error) {
	if s.Agents == nil {
		s.Agents = []Agent{}
	}
	if s.Problems == nil {
		s.Problems = []fault.Problem{}
	}
	if s.Next == nil {
		s.Next = []string{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("status of %s: %w", s.Config.Key, err)
	}
	if n := b.Len(); n > MaxSize {
		return nil, fmt.Errorf("status of %s: it has %d bytes, more than the %d that are read again", s.Config.Key, n, MaxSize)
	}
	return b.Bytes(), nil
}

// Agent gives the agent of that name, and whether there is one.
func (s Status) Agent(name string) (Agent, bool) {
	i := slices.IndexFunc(s.Agents, func(a Agent) bool { return a.Name == name })
	if i < 0 {
		return Agent{}, false
	}
	return s.Agents[i], true
}

// SameAnswer reports whether two statuses say the same, whenever they were written.
func (s Status) SameAnswer(t Status) bool {
	s.UpdatedAt, t.UpdatedAt = time.Time{}, time.Time{}
	a, errA := s.JSON()
	b, errB := t.JSON()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
