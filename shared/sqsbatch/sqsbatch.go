// Package sqsbatch runs a handler over the messages of an SQS event and says
// what becomes of each: done, back to the queue, or to the dead letters.
package sqsbatch

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
)

// MaxReceives is how often a message is tried before an error of class Unknown
// sends it to the dead letters. The queue's own redrive comes later (10) and is
// for crashes, which cannot give a reason.
const MaxReceives = 5

// Message is one message for a handler.
type Message struct {
	ID       string
	Body     string
	Receives int // 1 on the first delivery
}

// Handler handles one message. The class of its error decides what becomes of it.
type Handler func(ctx context.Context, m Message) error

// Queue is what the batch needs of queues.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
	Postpone(ctx context.Context, receipt string, delay time.Duration) error
}

// Batch handles SQS events.
type Batch struct {
	Log         *slog.Logger
	Queue       Queue // where the messages come from
	DeadLetters Queue
	Handle      Handler
}

// Lambda is the function's handler. Its error is always nil: an error would
// give back the messages that were handled, too (Lambda developer guide,
// "Handling errors for an SQS event source").
func (b Batch) Lambda(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	var out events.SQSEventResponse
	ctx, cancel := beforeDeadline(ctx)
	defer cancel()
	for _, r := range e.Records {
		if !b.done(ctx, r) {
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
		}
	}
	return out, nil
}

// margin is kept of the function's time to give messages back with a reason
// rather than be cut off.
const margin = 6 * time.Second

func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-margin))
	}
	return context.WithCancel(ctx)
}

// done handles one message and reports whether it may be deleted.
func (b Batch) done(ctx context.Context, r events.SQSMessage) bool {
	m := Message{ID: r.MessageId, Body: r.Body, Receives: receives(r)}
	err := b.Handle(ctx, m)
	if err == nil {
		return true
	}
	class := fault.Of(err)
	log := b.Log.With("messageId", m.ID, "receives", m.Receives, "class", string(class), "error", err.Error())
	// What follows must also work when the handler has used up its time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), margin/2)
	defer cancel()
	switch {
	case class == fault.Ignored:
		log.InfoContext(ctx, "message ignored")
		return true
	case class == fault.Poison, class != fault.Retry && m.Receives >= MaxReceives:
		log.ErrorContext(ctx, "message goes to the dead letters")
		return b.bury(ctx, r, class, err)
	default:
		log.WarnContext(ctx, "message goes back to the queue")
		if err := b.Queue.Postpone(ctx, r.ReceiptHandle, backoff(m.Receives)); err != nil {
			// The queue's own visibility timeout gives it back, only later.
			b.Log.WarnContext(ctx, "message could not be postponed", "messageId", m.ID, "error", err.Error())
		}
		return false
	}
}

// bury sends a message to the dead letters with its reason; when that fails the
// message stays where it is.
func (b Batch) bury(ctx context.Context, r events.SQSMessage, class fault.Class, cause error) bool {
	dead := event.Message{
		Body:  r.Body,
		Group: r.Attributes["MessageGroupId"],
		ID:    r.MessageId,
		Attributes: map[string]string{
			"reason":     clip(cause.Error()),
			"errorClass": string(class),
			"requestId":  requestID(ctx),
		},
	}
	if err := b.DeadLetters.Send(ctx, dead); err != nil {
		b.Log.ErrorContext(ctx, "message could not be sent to the dead letters", "messageId", r.MessageId, "error", err.Error())
		return false
	}
	return true
}

// backoff gives the time until the next try: 2, 4, 8, 16, 30 seconds.
func backoff(receives int) time.Duration {
	return min(2*time.Second<<min(max(receives-1, 0), 4), 30*time.Second)
}

func receives(r events.SQSMessage) int {
	n, err := strconv.Atoi(r.Attributes["ApproximateReceiveCount"])
	if err != nil {
		return 1
	}
	return n
}

// clip keeps a reason within what is useful to read; SQS bounds the message as a whole.
func clip(s string) string {
	const most = 2000
	clean := make([]rune, 0, min(len(s), most))
	for _, c := range s {
		if len(clean) == most {
			break
		}
		if c < ' ' && c != '\t' && c != '\n' || c == 0xFFFD || c == 0xFFFE || c == 0xFFFF {
			c = '?' // SQS takes only characters of XML 1.0
		}
		clean = append(clean, c)
	}
	if len(clean) == 0 {
		return "none given"
	}
	return string(clean)
}

func requestID(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok && lc.AwsRequestID != "" {
		return lc.AwsRequestID
	}
	return "unknown"
}
