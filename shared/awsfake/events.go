package awsfake

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// Event is an event that was put on the bus.
type Event struct {
	Source, DetailType, Detail string
}

// EventBridge is the client of one caller.
type EventBridge struct {
	cloud  *Cloud
	caller string
}

// EventBridge gives the client of a caller.
func (c *Cloud) EventBridge(caller string) *EventBridge { return &EventBridge{c, caller} }

// Events gives the events put on the bus so far.
func (c *Cloud) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Event(nil), c.events...)
}

// PutEvents is events:PutEvents.
func (e *EventBridge) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	var out eventbridge.PutEventsOutput
	return &out, e.cloud.call(e.caller, "events", "PutEvents", "default", func() error {
		if len(in.Entries) == 0 || len(in.Entries) > 10 {
			return APIError("ValidationException", "1 to 10 entries")
		}
		for _, entry := range in.Entries {
			if failure := refused(entry); failure != "" {
				out.FailedEntryCount++
				out.Entries = append(out.Entries, types.PutEventsResultEntry{ErrorCode: aws.String(failure), ErrorMessage: aws.String("refused")})
				continue
			}
			e.cloud.events = append(e.cloud.events, Event{*entry.Source, *entry.DetailType, *entry.Detail})
			out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: aws.String(fmt.Sprintf("event-%06d", e.cloud.next()))})
		}
		return nil
	})
}

// refused gives the code with which PutEvents refuses an entry, empty when it takes it.
func refused(entry types.PutEventsRequestEntry) string {
	var object map[string]any
	switch source := aws.ToString(entry.Source); {
	case source == "", aws.ToString(entry.DetailType) == "", aws.ToString(entry.Detail) == "":
		return "InvalidArgument"
	case strings.HasPrefix(source, "aws."):
		return "NotAuthorizedForSourceException"
	case json.Unmarshal([]byte(*entry.Detail), &object) != nil || object == nil:
		return "MalformedDetail"
	}
	return ""
}
