package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Part is one of the two things beside roles that are made for a container
// agent. One claim is on both, since both are named after the same form of the
// agent's name.
type Part string

// The parts.
const (
	RepositoryPart Part = "repository"
	ProjectPart    Part = "project"
)

// Repository is an ECR repository as it should be.
type Repository struct {
	Agent      string            `json:"agent"`
	Name       string            `json:"name"`
	ARN        string            `json:"arn"`
	URI        string            `json:"uri"`        // what images are pushed to, without tag
	Named      bool              `json:"named"`      // the config names it: it is used and never made or written
	ScanOnPush bool              `json:"scanOnPush"` // of a repository that is ours
	Tags       map[string]string `json:"tags,omitempty"`
}

// ObservedRepository is an ECR repository as it was read.
type ObservedRepository struct {
	Name          string            `json:"name"`
	ARN           string            `json:"arn"`
	Created       time.Time         `json:"created"`
	ScanOnPush    bool              `json:"scanOnPush"`
	LatestMutable bool              `json:"latestMutable"` // tag "latest" can be moved from image to image
	SourceMutable bool              `json:"sourceMutable"` // so can the tags that ImageTag gives
	Tags          map[string]string `json:"tags,omitempty"`
}

// ProjectSettings is what decides how a CodeBuild project builds. The values of
// enumerations are CodeBuild's own (API reference, CreateProject).
type ProjectSettings struct {
	Description          string            `json:"description"`
	ServiceRole          string            `json:"serviceRole"` // ARN
	SourceType           string            `json:"sourceType"`
	Source               string            `json:"source"` // bucket/key
	Buildspec            string            `json:"buildspec"`
	Artifacts            string            `json:"artifacts"` // type
	EnvironmentType      string            `json:"environmentType"`
	Image                string            `json:"image"`
	ComputeType          string            `json:"computeType"`
	Privileged           bool              `json:"privileged"`
	Environment          map[string]string `json:"environment"` // variables in plain text
	LogGroup             string            `json:"logGroup"`
	TimeoutMinutes       int32             `json:"timeoutMinutes"`
	QueuedTimeoutMinutes int32             `json:"queuedTimeoutMinutes"`
}

// Same reports whether both build alike.
func (s ProjectSettings) Same(other ProjectSettings) bool { return s.Digest() == other.Digest() }

// Digest gives what tells the settings from others, hex.
func (s ProjectSettings) Digest() string {
	if len(s.Environment) == 0 {
		s.Environment = nil
	}
	return digestJSON(s)
}

// Project is a CodeBuild project as it should be.
type Project struct {
	Agent string `json:"agent"`
	Name  string `json:"name"`
	ARN   string `json:"arn"`
	ProjectSettings
	LogRetentionDays int32             `json:"logRetentionDays"` // of LogGroup
	Tags             map[string]string `json:"tags"`
}

// ObservedProject is a CodeBuild project as it was read.
type ObservedProject struct {
	Name    string    `json:"name"`
	ARN     string    `json:"arn"`
	Created time.Time `json:"created"`
	ProjectSettings
	// Extras names settings of the project that ours have not: vpc, cache, webhook, ….
	Extras []string          `json:"extras,omitempty"`
	Tags   map[string]string `json:"tags"`
}

// Source is an agent's source as it was read.
type Source struct {
	Version string // S3 version id; empty when the bucket keeps no versions
	Size    int64  // bytes
	Zip     bool   // it begins as a zip with entries does
}

// BuildOrder is a build to be started.
type BuildOrder struct {
	Agent         string `json:"agent"`
	Project       string `json:"project"`
	Identity      string `json:"identity"` // of all that decides the image, hex
	Request       string `json:"request,omitempty"`
	After         string `json:"after,omitempty"` // id of the last build of the identity, whose image is gone
	SourceVersion string `json:"sourceVersion"`
	ImageTag      string `json:"imageTag"`
	Latest        bool   `json:"latest"` // the image is tagged "latest", too
}

// Order gives the build that makes an image of a version of the source. Its
// identity covers the version and those of the project's settings that decide
// what comes out: not its description, role, artifacts, logs or timeouts.
func (p Project) Order(sourceVersion string, latest bool) BuildOrder {
	return BuildOrder{
		Agent: p.Agent, Project: p.Name, SourceVersion: sourceVersion, ImageTag: ImageTag(sourceVersion), Latest: latest,
		Identity: digestJSON([]any{
			sourceVersion, p.SourceType, p.Source, p.Buildspec, p.EnvironmentType, p.Image, p.ComputeType, p.Privileged, p.Environment,
		}),
	}
}

// ImageTag gives the tag of an image that is built from a version of a source.
func ImageTag(sourceVersion string) string {
	sum := sha256.Sum256([]byte(sourceVersion))
	return "src-" + hex.EncodeToString(sum[:])[:12]
}

// Token gives what keeps a build that is asked for twice from being started
// twice, for five minutes (CodeBuild API reference, StartBuild).
func (o BuildOrder) Token() string { return digestJSON([]any{o.Identity, o.Request, o.After}) }

// BuildState says where a build stands, as CodeBuild's StatusType does.
type BuildState string

// The states of builds.
const (
	BuildInProgress BuildState = "in-progress" // queued or running
	BuildSucceeded  BuildState = "succeeded"
	BuildFailed     BuildState = "failed"
	BuildFault      BuildState = "fault" // CodeBuild itself failed
	BuildTimedOut   BuildState = "timed-out"
	BuildStopped    BuildState = "stopped"
)

// Ended reports whether nothing more happens to a build of the state.
func (s BuildState) Ended() bool {
	switch s {
	case BuildSucceeded, BuildFailed, BuildFault, BuildTimedOut, BuildStopped:
		return true
	}
	return false
}

// RepositoryVariable is the environment variable that tells a build which
// repository its image is pushed to, by URI.
const RepositoryVariable = "REPOSITORY_URI"

// Build is a build as it was read.
type Build struct {
	ID            string     `json:"id"` // project:uuid
	Project       string     `json:"project"`
	Identity      string     `json:"identity,omitempty"` // of its order; empty when somebody else started it
	Request       string     `json:"request,omitempty"`  // of its order
	SourceVersion string     `json:"sourceVersion"`
	Repository    string     `json:"repository,omitempty"` // URI that its image was pushed to; empty when it is not known
	State         BuildState `json:"state"`
	Message       string     `json:"message,omitempty"` // the phase that failed and its last message
	LogURL        string     `json:"logUrl,omitempty"`
	Started       time.Time  `json:"started"`
}

// Made reports whether the order is that of the build.
func (o BuildOrder) Made(b Build) bool {
	return b.Identity == o.Identity && (o.Request == "" || b.Request == o.Request)
}

func digestJSON(v any) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(v) // neither strings, numbers, lists and maps nor a hash can be refused
	return hex.EncodeToString(h.Sum(nil))
}
