// Package event reads the messages that reach Rolekeeper and writes those that
// leave it. An event says which config to look at, never what to do.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// Here is what an event from outside must name to be one of ours.
type Here struct {
	Account      string // 12 digits
	Region       string
	ConfigBucket string
	SourceBucket string
	OwnRole      string // ARN of the role that reconcile writes IAM with
}

// Hint is evidence that came with an event: to be recorded, never to be obeyed.
type Hint struct {
	Kind  string    `json:"kind"`            // config-uploaded, config-deleted, source-uploaded, build-ended, runtime-changed, request-written, role-changed, wake, pass
	ID    string    `json:"id,omitempty"`    // version of the object; of a request its key; of a build or runtime its own
	Time  time.Time `json:"time,omitzero"`   // of the event
	Actor string    `json:"actor,omitempty"` // who did it, as the event says
}

// Look is what an event comes down to: look at this config.
type Look struct {
	Key string
	// Request is the key of an operator's request, which names the config: then
	// Key is not known yet. Likewise the agent whose source, the CodeBuild project
	// whose build, and the runtime or the role whose change the event tells of:
	// their claims lead to the config.
	Request string
	Agent   string
	Team    string // folder that the source is in; empty when it is in none
	Project string
	Runtime string // id of an AgentCore runtime, whose name is the agent's
	Role    string // name of a role that was changed, as naming spells it
	Hint    Hint
}

// envelope is what all EventBridge events have
// (EventBridge user guide, "Event structure").
type envelope struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Account    string          `json:"account"`
	Region     string          `json:"region"`
	Time       time.Time       `json:"time"`
	Detail     json.RawMessage `json:"detail"`
}

// Kind names a kind of event as EventBridge does.
type Kind struct{ Source, DetailType string }

// Source is the source of Rolekeeper's own events.
const Source = "rolekeeper"

// RuntimeHint is the kind of hint of a runtime that was made, changed or deleted,
// or that the scheduled pass found; its id is the runtime's.
const RuntimeHint = "runtime-changed"

// RoleHint is the kind of hint of a role that somebody changed; its id is the
// role's name as naming has it, a slash and the call that changed it, such as
// TagRole. Where that put or deleted an inline policy, or attached or detached a
// managed one, another slash and the policy follow: its name or its ARN, which has
// slashes itself, as the caller spelled it.
const RoleHint = "role-changed"

// PassHint is the kind of hint of a config that the scheduled pass found to be
// due, or to differ; its id is the pass's.
const PassHint = "pass"

// WakeHint is the kind of hint that a wake-up leads to; its time is when that was to come.
const WakeHint = "wake"

// WakeDetailType is the detail-type of wake-ups, which go straight to the inbox queue.
const WakeDetailType = "Wake"

// decoders is the list of events that lead to a config.
func decoders() map[Kind]func(envelope, Here) (Look, error) {
	return map[Kind]func(envelope, Here) (Look, error){
		{"aws.s3", "Object Created"}:                             s3Object,
		{"aws.s3", "Object Deleted"}:                             s3Object,
		{"aws.codebuild", "CodeBuild Build State Change"}:        build,
		{"aws.bedrock-agentcore", "AWS API Call via CloudTrail"}: runtime,
		{"aws.iam", "AWS API Call via CloudTrail"}:               role,
		{Source, WakeDetailType}:                                 wake,
	}
}

// Kinds lists the kinds of events that Decode understands.
func Kinds() []Kind {
	all := decoders()
	kinds := make([]Kind, 0, len(all))
	for k := range all {
		kinds = append(kinds, k)
	}
	return kinds
}

// Decode reads the body of an inbox message. The error is of class Poison when
// the event cannot be one of ours, and Ignored when it concerns no config.
func Decode(body string, here Here) (Look, error) {
	var e envelope
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return Look{}, fault.Errorf(fault.Poison, "event is not JSON of the expected shape: %w", err)
	}
	decode, ok := decoders()[Kind{e.Source, e.DetailType}]
	if !ok {
		return Look{}, fault.Errorf(fault.Poison, "event of unknown kind: source %.100q, detail-type %.100q", e.Source, e.DetailType)
	}
	if len(e.Detail) == 0 {
		return Look{}, fault.Errorf(fault.Poison, "event %s/%s has no detail", e.Source, e.DetailType)
	}
	return decode(e, here)
}

// s3Detail is the detail of S3's events (S3 user guide, "EventBridge event
// message structure"). The key is not URL-encoded on this path.
type s3Detail struct {
	Bucket struct {
		Name string `json:"name"`
	} `json:"bucket"`
	Object struct {
		Key       string `json:"key"`
		VersionID string `json:"version-id"`
	} `json:"object"`
	Requester string `json:"requester"`
}

func s3Object(e envelope, here Here) (Look, error) {
	if err := here.has(e, here.Region); err != nil {
		return Look{}, err
	}
	var d s3Detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return Look{}, fault.Errorf(fault.Poison, "detail of S3 event: %w", err)
	}
	created := e.DetailType == "Object Created"
	switch d.Bucket.Name {
	case here.ConfigBucket:
		return config(e, d, created)
	case here.SourceBucket:
		return source(e, d, created)
	}
	return Look{}, fault.Errorf(fault.Poison, "S3 event of bucket %.70q; configs are in %s, sources in %s", d.Bucket.Name, here.ConfigBucket, here.SourceBucket)
}

// has says what is wrong with an event that comes from elsewhere: from another
// account, or not from the Region that it is to be of.
func (h Here) has(e envelope, region string) error {
	if e.Account == h.Account && e.Region == region {
		return nil
	}
	return fault.Errorf(fault.Poison, "event %s/%s of account %.20q in %.30q; ours are of %s in %s", e.Source, e.DetailType, e.Account, e.Region, h.Account, region)
}

// config is the event of an object in the config bucket.
func config(e envelope, d s3Detail, created bool) (Look, error) {
	if strings.HasPrefix(d.Object.Key, naming.RequestPrefix) {
		return request(e, d, created)
	}
	if strings.HasSuffix(d.Object.Key, "/") {
		return Look{}, fault.Errorf(fault.Ignored, "%.220q is a folder of the S3 console", d.Object.Key)
	}
	if err := naming.CheckConfigKey(d.Object.Key); err != nil {
		return Look{}, fault.Errorf(fault.Poison, "S3 event: %w", err)
	}
	kind := "config-deleted"
	if created {
		kind = "config-uploaded"
	}
	return Look{Key: d.Object.Key, Hint: d.hint(e, kind)}, nil
}

func (d s3Detail) hint(e envelope, kind string) Hint {
	return Hint{Kind: kind, ID: d.Object.VersionID, Time: e.Time, Actor: d.Requester}
}

// request is the event of an operator's request. Its key tells of the config no
// more than the ConfigID.
func request(e envelope, d s3Detail, created bool) (Look, error) {
	key := d.Object.Key
	if !created {
		return Look{}, fault.Errorf(fault.Ignored, "request %.220q was deleted", key)
	}
	if _, _, ok := naming.SplitRequestKey(key); !ok {
		return Look{}, fault.Errorf(fault.Poison, "S3 event: %.220q is not the key of a request for a config", key)
	}
	return Look{Request: key, Hint: Hint{Kind: "request-written", ID: key, Time: e.Time}}, nil
}

// source is the event of an object in the source bucket, which others use, too.
// Sources expire by the bucket's lifecycle rule: one that is gone asks for nothing.
func source(e envelope, d s3Detail, created bool) (Look, error) {
	team, agent, ok := naming.SplitSourceKey(d.Object.Key)
	if !ok {
		return Look{}, fault.Errorf(fault.Ignored, "%.220q is the source of no agent", d.Object.Key)
	}
	if !created {
		return Look{}, fault.Errorf(fault.Ignored, "source %.220q was deleted or has expired; what was built of it stays", d.Object.Key)
	}
	return Look{Agent: agent, Team: team, Hint: d.hint(e, "source-uploaded")}, nil
}

// buildDetail is the detail of CodeBuild's events about builds (CodeBuild user
// guide, "Build notifications input format reference").
type buildDetail struct {
	Status  string `json:"build-status"`
	Project string `json:"project-name"`
	Build   string `json:"build-id"` // ARN
}

func build(e envelope, here Here) (Look, error) {
	if err := here.has(e, here.Region); err != nil {
		return Look{}, err
	}
	var d buildDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return Look{}, fault.Errorf(fault.Poison, "detail of CodeBuild event: %w", err)
	}
	if _, ok := naming.ProjectClaimKeyOf(d.Project); !ok && d.Project != "" {
		return Look{}, fault.Errorf(fault.Ignored, "CodeBuild project %.220q is that of no agent", d.Project)
	}
	builds := fmt.Sprintf("arn:%s:codebuild:%s:%s:build/", naming.Partition(here.Region), here.Region, here.Account)
	id := strings.TrimPrefix(d.Build, builds)
	if run, ok := strings.CutPrefix(d.Build, builds+d.Project+":"); !ok || run == "" || d.Project == "" || d.Status == "" {
		return Look{}, fault.Errorf(fault.Poison, "CodeBuild event: status %.30q of build %.300q of project %.220q", d.Status, d.Build, d.Project)
	}
	switch d.Status {
	case "SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED":
		return Look{Project: d.Project, Hint: Hint{Kind: "build-ended", ID: id, Time: e.Time}}, nil
	}
	return Look{}, fault.Errorf(fault.Ignored, "build %.220q is %.30q and has not ended", id, d.Status)
}

type wakeDetail struct {
	Key string    `json:"key"`
	At  time.Time `json:"at"`
}

func wake(e envelope, _ Here) (Look, error) {
	var d wakeDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return Look{}, fault.Errorf(fault.Poison, "detail of wake-up: %w", err)
	}
	if err := naming.CheckConfigKey(d.Key); err != nil {
		return Look{}, fault.Errorf(fault.Poison, "wake-up: %w", err)
	}
	return Look{Key: d.Key, Hint: Hint{Kind: WakeHint, Time: d.At}}, nil
}

// Wake gives the inbox message that wakes a config after a delay from now; what
// is longer than MaxDelay is cut.
func Wake(key string, now time.Time, delay time.Duration) (Message, error) {
	delay = min(delay, MaxDelay)
	body, err := encode("wake-up", struct {
		Source     string     `json:"source"`
		DetailType string     `json:"detail-type"`
		Detail     wakeDetail `json:"detail"`
	}{Source, WakeDetailType, wakeDetail{key, now.Add(delay).UTC()}})
	return Message{Body: body, Delay: delay}, err
}

// Work is a message of the work queue: which config to look at.
type Work struct {
	V     int    `json:"v"`
	Key   string `json:"key"`
	Hints []Hint `json:"hints"`
}

// DecodeWork reads the body of a work message; an error is of class Poison.
func DecodeWork(body string) (Work, error) {
	var w Work
	if err := json.Unmarshal([]byte(body), &w); err != nil {
		return Work{}, fault.Errorf(fault.Poison, "work message: %w", err)
	}
	if w.V != 1 {
		return Work{}, fault.Errorf(fault.Poison, "work message of version %d; this is version 1", w.V)
	}
	if err := naming.CheckConfigKey(w.Key); err != nil {
		return Work{}, fault.Errorf(fault.Poison, "work message: %w", err)
	}
	return w, nil
}

// MaxDelay is the longest delay of a message (SQS quotas).
const MaxDelay = 15 * time.Minute

// Message is a message for a queue.
type Message struct {
	Body       string
	Group      string            // FIFO queues: messages of one group are handled one after the other
	ID         string            // FIFO queues: a second message with this id within five minutes is dropped
	Attributes map[string]string // at most ten (SQS quotas)
	Delay      time.Duration     // standard queues: whole seconds, at most MaxDelay
}

// Message gives the work message for a look that came with the inbox message of
// the id. The look's Key must be known by now.
func (l Look) Message(inboxID string) (Message, error) {
	return Work{V: 1, Key: l.Key, Hints: []Hint{l.Hint}}.Message(inboxID)
}

// Message gives the message of the work queue, in the group of its config. The
// id is that of what brought it about: with it and the config the queue
// recognises a message that comes again.
func (w Work) Message(id string) (Message, error) {
	body, err := encode("work message", w)
	if err != nil {
		return Message{}, err
	}
	sum := sha256.Sum256([]byte(w.Key + "\x00" + id))
	return Message{Body: body, Group: naming.ConfigID(w.Key), ID: hex.EncodeToString(sum[:])}, nil
}

func encode(what string, v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", what, err)
	}
	return string(data), nil
}
