package event

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// Notice is what a message to functions/slrwatch comes down to: something may
// have changed that service-linked roles go by.
type Notice struct {
	Kind NoticeKind
	ID   string    // the call, such as DeleteAgentRuntime; key of the request
	Time time.Time // of the event; of NoticeWake when it was to come
}

// NoticeKind says what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeCall    NoticeKind = "call"    // a call of IAM or AgentCore, as CloudTrail tells
	NoticeRequest NoticeKind = "request" // an operator's request for the whole fleet
	NoticeWake    NoticeKind = "wake"    // a message of slrwatch to itself
)

// linkedCalls are the calls of IAM after which a service-linked role is there, or is not.
var linkedCalls = []string{"CreateServiceLinkedRole", "DeleteServiceLinkedRole"}

// LinkedResourceCalls are the calls of AgentCore after which something may need a
// service-linked role, or no longer.
func LinkedResourceCalls() []string {
	var all []string
	for _, kind := range []string{
		"AgentRuntime", "Browser", "CapacityProvider", "CodeInterpreter", "Gateway", "GatewayTarget", "Harness", "Oauth2CredentialProvider", "PaymentManager", "Registry",
	} {
		for _, verb := range []string{"Create", "Update", "Delete"} {
			if verb != "Update" || kind != "Browser" && kind != "CodeInterpreter" { // those are never changed
				all = append(all, verb+kind)
			}
		}
	}
	slices.Sort(all)
	return all
}

// DecodeNotice reads the body of a message of slrwatch's queue. The error is of
// class Poison when the event cannot be one of ours, and Ignored when nothing
// comes of it.
func DecodeNotice(body string, here Here) (Notice, error) {
	var e envelope
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return Notice{}, fault.Errorf(fault.Poison, "event is not JSON of the expected shape: %w", err)
	}
	if len(e.Detail) == 0 {
		return Notice{}, fault.Errorf(fault.Poison, "event %.100q/%.100q has no detail", e.Source, e.DetailType)
	}
	switch (Kind{e.Source, e.DetailType}) {
	case Kind{"aws.iam", "AWS API Call via CloudTrail"}:
		return call(e, here, IAMRegion(here.Region), iamSource, linkedCalls)
	case Kind{"aws.bedrock-agentcore", "AWS API Call via CloudTrail"}:
		return call(e, here, here.Region, agentCoreSource, LinkedResourceCalls())
	case Kind{"aws.s3", "Object Created"}:
		return fleetRequest(e, here)
	case Kind{Source, lookDetailType}:
		var d lookDetail
		if err := json.Unmarshal(e.Detail, &d); err != nil || d.At.IsZero() {
			return Notice{}, fault.Errorf(fault.Poison, "detail of a message to look again: %.200q", e.Detail)
		}
		return Notice{Kind: NoticeWake, Time: d.At}, nil
	}
	return Notice{}, fault.Errorf(fault.Poison, "event of unknown kind: source %.100q, detail-type %.100q", e.Source, e.DetailType)
}

// call is the event of a call of the service, which is one of those named.
func call(e envelope, here Here, region, service string, names []string) (Notice, error) {
	d, err := here.trail(e, region, service)
	switch {
	case err != nil:
		return Notice{}, err
	case !slices.Contains(names, d.EventName):
		return Notice{}, fault.Errorf(fault.Ignored, "no service-linked role goes by call %.100q", d.EventName)
	case d.ErrorCode != nil:
		return Notice{}, fault.Errorf(fault.Ignored, "%s failed with %.100q and changed nothing", d.EventName, *d.ErrorCode)
	}
	return Notice{Kind: NoticeCall, ID: d.EventName, Time: e.Time}, nil
}

// fleetRequest is the event of an operator's request for the whole fleet.
func fleetRequest(e envelope, here Here) (Notice, error) {
	if err := here.has(e, here.Region); err != nil {
		return Notice{}, err
	}
	var d s3Detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return Notice{}, fault.Errorf(fault.Poison, "detail of S3 event: %w", err)
	}
	if d.Bucket.Name != here.ConfigBucket || !strings.HasPrefix(d.Object.Key, naming.FleetRequestPrefix) {
		return Notice{}, fault.Errorf(fault.Poison, "S3 event of %.220q in bucket %.70q: no request for the whole fleet", d.Object.Key, d.Bucket.Name)
	}
	return Notice{Kind: NoticeRequest, ID: d.Object.Key, Time: e.Time}, nil
}

// lookDetailType is the detail-type of slrwatch's messages to itself.
const lookDetailType = "Look Again"

type lookDetail struct {
	At time.Time `json:"at"`
}

// LookAgain gives the message that has slrwatch look again after a delay from now;
// what is longer than MaxDelay is cut. It comes at the time given.
func LookAgain(now time.Time, delay time.Duration) (m Message, at time.Time, err error) {
	delay = min(delay, MaxDelay).Truncate(time.Second)
	at = now.Add(delay).UTC().Truncate(time.Second)
	body, err := encode("message to look again", struct {
		Source     string     `json:"source"`
		DetailType string     `json:"detail-type"`
		Detail     lookDetail `json:"detail"`
	}{Source, lookDetailType, lookDetail{at}})
	return Message{Body: body, Delay: delay}, at, err
}
