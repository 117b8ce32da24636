// Package intake turns the events of the inbox queue into messages of the work
// queue: one message, one config to look at.
package intake

import (
	"context"
	"errors"
	"fmt"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Queue is what intake needs of the work queue.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
}

// Objects is what is read of the config bucket. Get answers fault.ErrNotFound
// for absence only.
type Objects interface {
	Get(ctx context.Context, key string) (model.Object, error)
}

// Intake is the pipeline of functions/intake.
type Intake struct {
	Here    event.Here
	Objects Objects
	Work    Queue
}

// Handle decodes the inbox message and sends on which config to look at. The
// same inbox message leads to the same work message, however often it comes.
func (i Intake) Handle(ctx context.Context, id, body string) error {
	look, err := event.Decode(body, i.Here)
	if err != nil {
		return err
	}
	if look.Request != "" {
		if look.Key, err = i.requested(ctx, look.Request); err != nil {
			return err
		}
	}
	m, err := look.Message(id)
	if err != nil {
		return err
	}
	return i.Work.Send(ctx, m)
}

// requested gives the key of the config that an operator's request is for. Its
// own key only tells whether it is for the config it names.
func (i Intake) requested(ctx context.Context, key string) (config string, err error) {
	object, err := i.Objects.Get(ctx, key)
	if errors.Is(err, fault.ErrNotFound) {
		return "", fault.Errorf(fault.Ignored, "request %s is gone: %w", key, err)
	}
	if err != nil {
		return "", err
	}
	r, err := model.ParseRequest(object.Body)
	if err == nil {
		err = naming.CheckConfigKey(r.Config)
	}
	if err == nil && naming.RequestKey(r.Config, r.ID) != key {
		err = fmt.Errorf("it is request %s for %s, and was put where it does not belong", r.ID, r.Config)
	}
	if err != nil {
		return "", fault.Errorf(fault.Poison, "%s: %w", key, err)
	}
	return r.Config, nil
}
