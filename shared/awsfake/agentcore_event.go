package awsfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// TrailEvent is CloudTrail's event about a call of AgentCore that changes
// something, or was to.
type TrailEvent struct {
	Time   time.Time
	Detail json.RawMessage
}

// What is said of every TrailEvent.
const (
	TrailEventSource     = "aws.bedrock-agentcore"
	TrailEventDetailType = "AWS API Call via CloudTrail"
)

// NotifyAgentCore sends every event about a call of AgentCore to a queue, as a
// rule of EventBridge with that queue as target does where a trail logs
// management events.
func (c *Cloud) NotifyAgentCore(queueURL string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.queues = append(c.core.queues, queueURL)
}

// WatchAgentCore calls f with every event about a call of AgentCore, one after
// the other. f must not use the Cloud. A clone is not watched.
func (c *Cloud) WatchAgentCore(f func(TrailEvent)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.watch = f
}

// trail sends the event about a call, of which err is the outcome. Nothing tells
// of calls that only read, nor of those that do not reach AWS.
func (c *Cloud) trail(caller string, o agentCoreOperation, in map[string]any, answer []byte, err error) {
	var api smithy.APIError
	if !o.writes() || c.disabled[c.Region] || err != nil && !errors.As(err, &api) {
		return
	}
	record := Trailed{
		Account: c.Account, Region: c.Region, Source: "bedrock-agentcore.amazonaws.com", Name: o.name, Time: c.now,
		ID: fmt.Sprintf("%06d", c.next()), Role: "arn:" + c.Partition + ":iam::" + c.Account + ":role/" + caller, Request: o.masked(in),
	}
	if err != nil {
		record.ErrorCode, record.ErrorMessage = api.ErrorCode(), api.ErrorMessage()
		if api.ErrorCode() == "AccessDeniedException" { // that of IAM has no suffix here
			record.ErrorCode = "AccessDenied"
		}
	} else {
		var out map[string]any
		if err := json.Unmarshal(answer, &out); err != nil {
			panic(err) // it was encoded here
		}
		record.Response = o.masked(out)
		resource, wrapped := out[o.kind.in].(map[string]any)
		if !wrapped {
			resource = out
		}
		record.Resources = []any{map[string]any{
			"accountId": c.Account, "type": "AWS::BedrockAgentCore::" + strings.TrimPrefix(o.kind.name, "Agent"), "ARN": c.arnOf(o.kind, o.kind.path(text(in, o.kind.parent), text(resource, o.kind.id))),
		}}
	}
	c.sendTrail(TrailEvent{Time: c.now, Detail: must(json.Marshal(record.Detail()))})
}

func (c *Cloud) sendTrail(e TrailEvent) {
	if c.core.watch != nil {
		c.core.watch(e)
	}
	for _, url := range c.core.queues {
		body := must(json.Marshal(map[string]any{
			"version": "0", "id": fmt.Sprintf("event-%06d", c.next()), "source": TrailEventSource, "detail-type": TrailEventDetailType,
			"account": c.Account, "region": c.Region, "time": e.Time.UTC().Format(time.RFC3339), "resources": []string{}, "detail": e.Detail,
		}))
		q, ok := c.queues[url]
		if !ok {
			panic("no queue " + url) // the test's own mistake
		}
		q.add(c, message{body: string(body)})
	}
}

// masked hides what CloudTrail does not show of AgentCore (developer guide, "Log
// AgentCore Gateway API calls": what the service model calls sensitive, and the
// name of a gateway).
func (o agentCoreOperation) masked(members map[string]any) map[string]any {
	out := maps.Clone(members)
	hidden := []string{"description", "environmentVariables"}
	switch {
	case strings.HasPrefix(o.kind.name, "Gateway") || strings.HasSuffix(o.name, "Endpoint"):
		hidden = append(hidden, "name", "endpointName")
	case o.kind.name == "Oauth2CredentialProvider":
		hidden = append(hidden, "oauth2ProviderConfigInput") // of which the service model calls the secret sensitive
	}
	for _, member := range hidden {
		if _, there := out[member]; there {
			out[member] = "***"
		}
	}
	return out
}
