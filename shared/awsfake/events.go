package awsfake

import (
	"context"
	"encoding/json"
	"fmt"

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
			if aws.ToString(entry.Source) == "" || aws.ToString(entry.DetailType) == "" || !json.Valid([]byte(aws.ToString(entry.Detail))) {
				out.FailedEntryCount++
				out.Entries = append(out.Entries, types.PutEventsResultEntry{ErrorCode: aws.String("MalformedDetail"), ErrorMessage: aws.String("Detail is malformed.")})
				continue
			}
			e.cloud.events = append(e.cloud.events, Event{*entry.Source, *entry.DetailType, *entry.Detail})
			out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: aws.String(fmt.Sprintf("event-%06d", e.cloud.next()))})
		}
		return nil
	})
}
