// Package bus sends Rolekeeper's events to the default event bus.
package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
)

// API is what is called of EventBridge.
type API interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// Client sends events.
type Client struct{ api API }

// New makes a client.
func New(api API) *Client { return &Client{api} }

// maxEntries is how many events one call takes (EventBridge API reference, PutEvents).
const maxEntries = 10

// Send sends events in their order. When it fails some may have been sent.
func (c *Client) Send(ctx context.Context, events []event.Outgoing) error {
	for len(events) > 0 {
		n := min(len(events), maxEntries)
		if err := c.put(ctx, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func (c *Client) put(ctx context.Context, events []event.Outgoing) error {
	entries := make([]types.PutEventsRequestEntry, 0, len(events))
	for _, e := range events {
		detail, err := event.Detail(e)
		if err != nil {
			return err
		}
		entries = append(entries, types.PutEventsRequestEntry{
			Source: aws.String(event.Source), DetailType: aws.String(e.DetailType()), Detail: &detail,
		})
	}
	out, err := c.api.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
	if err != nil {
		return awserr.Wrap(err, "put %d events", len(entries))
	}
	var failed []error
	for i, e := range out.Entries {
		if e.ErrorCode != nil {
			refused := &smithy.GenericAPIError{Code: *e.ErrorCode, Message: aws.ToString(e.ErrorMessage)}
			failed = append(failed, awserr.Wrap(refused, "event %s", *entries[i].DetailType))
		}
	}
	if len(failed) > 0 {
		// What time does not mend decides the class, which is that of the first.
		if i := slices.IndexFunc(failed, func(err error) bool { return fault.Of(err) != fault.Retry }); i > 0 {
			failed[0], failed[i] = failed[i], failed[0]
		}
		return fmt.Errorf("put %d events, %d refused: %w", len(entries), len(failed), errors.Join(failed...))
	}
	return nil
}
