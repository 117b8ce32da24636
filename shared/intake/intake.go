// Package intake turns the events of the inbox queue into messages of the work
// queue: one message, one config to look at.
package intake

import (
	"context"

	"rolekeeper/shared/event"
)

// Queue is what intake needs of the work queue.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
}

// Intake is the pipeline of functions/intake.
type Intake struct {
	Here event.Here
	Work Queue
}

// Handle decodes the inbox message and sends on which config to look at. The
// same inbox message leads to the same work message, however often it comes.
func (i Intake) Handle(ctx context.Context, id, body string) error {
	look, err := event.Decode(body, i.Here)
	if err != nil {
		return err
	}
	m, err := look.Message(id)
	if err != nil {
		return err
	}
	return i.Work.Send(ctx, m)
}
