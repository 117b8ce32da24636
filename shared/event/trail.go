package event

import (
	"cmp"
	"encoding/json"
	"strings"
	"unicode"

	"rolekeeper/shared/fault"
)

// trailDetail is the detail of CloudTrail's events about calls (CloudTrail user
// guide, "CloudTrail record contents"). What a call asked for and what it answered
// is read as it comes: it differs from call to call, and AgentCore's part is not
// documented for runtimes.
type trailDetail struct {
	EventSource string  `json:"eventSource"`
	EventName   string  `json:"eventName"`
	EventTime   string  `json:"eventTime"`
	ErrorCode   *string `json:"errorCode"` // only of calls that failed
	Account     string  `json:"recipientAccountId"`
	Region      string  `json:"awsRegion"`
	Identity    struct {
		ARN     string `json:"arn"`
		Service string `json:"invokedBy"`
		Session struct {
			Issuer struct {
				ARN string `json:"arn"`
			} `json:"sessionIssuer"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
	Request   any `json:"requestParameters"`
	Response  any `json:"responseElements"`
	Resources []struct {
		ARN string `json:"ARN"`
	} `json:"resources"`
}

// trail reads the event of a call of one service (eventSource), which is of this
// account and one Region wherever it says where it is from. An error is of class
// Poison.
func (h Here) trail(e envelope, region, service string) (trailDetail, error) {
	var d trailDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return trailDetail{}, fault.Errorf(fault.Poison, "detail of CloudTrail event: %w", err)
	}
	recorded := e
	recorded.Account, recorded.Region = cmp.Or(d.Account, e.Account), cmp.Or(d.Region, e.Region)
	for _, place := range []envelope{e, recorded} {
		if err := h.has(place, region); err != nil {
			return trailDetail{}, err
		}
	}
	if d.EventSource != service {
		return trailDetail{}, fault.Errorf(fault.Poison, "CloudTrail event of %.100q in one of source %s, whose are of %s", d.EventSource, e.Source, service)
	}
	return d, nil
}

// maxActor bounds Hint.Actor in characters. ARNs of users have at most 600 (IAM
// API reference, CreateUser: path and name), those of sessions fewer.
const maxActor = 640

// actor gives who made the call: an ARN, or the name of a service of AWS that has
// none; empty when the record does not say.
func (d trailDetail) actor() string {
	return graphic(cmp.Or(d.Identity.ARN, d.Identity.Service), maxActor)
}

// graphic gives the first characters of a text that others chose and people read,
// without what a terminal or a log might obey.
func graphic(text string, limit int) string {
	kept := []rune(strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) {
			return -1
		}
		return c
	}, text))
	return string(kept[:min(len(kept), limit)])
}
