package host

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/local/bus"
)

// Queue is what a poller needs of SQS.
type Queue interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
}

// Mapping lets a function read a queue.
type Mapping struct {
	Function                string // as in Host.Add
	QueueURL, QueueARN      string
	BatchSize               int // 1 to 10
	MaximumConcurrency      int // 0 for 5, with which Lambda begins
	ReportBatchItemFailures bool
}

// Poller moves messages from a queue to a function, as an event source mapping
// does: what the function handled is deleted, the rest comes back after its
// visibility timeout.
type Poller struct {
	host    *Host
	queue   Queue
	m       Mapping
	region  string
	notice  chan struct{}
	onError func(error)

	mu   sync.Mutex
	busy int // batches that are received and not finished
}

// pollInterval is how long a message that no notice announced can wait: one
// whose delay or visibility timeout has ended.
const pollInterval = 150 * time.Millisecond

// NewPoller makes a poller. onError takes what Lambda would keep to itself:
// receives and deletes that fail.
func NewPoller(h *Host, q Queue, m Mapping, onError func(error)) *Poller {
	if m.MaximumConcurrency == 0 {
		m.MaximumConcurrency = 5
	}
	return &Poller{host: h, queue: q, m: m, region: h.o.Region, notice: make(chan struct{}, 1), onError: onError}
}

// QueueName gives the name of the queue that is read.
func (p *Poller) QueueName() string { return bus.QueueName(p.m.QueueARN) }

// Notice says that there may be messages.
func (p *Poller) Notice() {
	select {
	case p.notice <- struct{}{}:
	default:
	}
}

// Busy gives the number of batches that are received and not finished.
func (p *Poller) Busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}

// Run polls until ctx is done, then waits for the running batches.
func (p *Poller) Run(ctx context.Context) {
	slots := make(chan struct{}, p.m.MaximumConcurrency)
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		messages := p.receive(ctx)
		if len(messages) > 0 {
			running.Go(func() {
				p.handle(ctx, messages)
				<-slots
			})
			continue
		}
		<-slots
		select {
		case <-ctx.Done():
			return
		case <-p.notice:
		case <-tick.C:
		}
	}
}

// receive counts the batch as busy before it can be in flight.
func (p *Poller) receive(ctx context.Context) []sqstypes.Message {
	p.add(1)
	out, err := p.queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &p.m.QueueURL, MaxNumberOfMessages: int32(p.m.BatchSize), //nolint:gosec // at most 10
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameAll},
	})
	if err != nil || len(out.Messages) == 0 {
		p.add(-1)
		p.report(ctx, "receive", err)
		return nil
	}
	return out.Messages
}

func (p *Poller) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy += n
}

func (p *Poller) report(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		p.onError(fmt.Errorf("%s messages of %s: %w", what, p.QueueName(), err))
	}
}

func (p *Poller) handle(ctx context.Context, messages []sqstypes.Message) {
	defer p.add(-1)
	payload, err := json.Marshal(event(messages, p.m.QueueARN, p.region))
	if err != nil {
		p.report(ctx, "encode", err)
		return
	}
	result, err := p.host.Invoke(ctx, p.m.Function, payload)
	if err != nil {
		p.report(ctx, "handle", err)
		return
	}
	done := handled(messages, result, p.m.ReportBatchItemFailures)
	if len(done) == 0 {
		return
	}
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &p.m.QueueURL}
	for _, m := range done {
		in.Entries = append(in.Entries, sqstypes.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
	}
	out, err := p.queue.DeleteMessageBatch(ctx, in)
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("%d of %d: %s", len(out.Failed), len(in.Entries), aws.ToString(out.Failed[0].Message))
	}
	p.report(ctx, "delete", err)
}

// event is what Lambda gives a function for messages of a queue (Lambda
// developer guide, "Using Lambda with Amazon SQS").
func event(messages []sqstypes.Message, queueARN, region string) events.SQSEvent {
	var e events.SQSEvent
	for _, m := range messages {
		r := events.SQSMessage{
			MessageId: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle), Body: aws.ToString(m.Body),
			Md5OfBody: aws.ToString(m.MD5OfBody), Md5OfMessageAttributes: aws.ToString(m.MD5OfMessageAttributes),
			Attributes: m.Attributes, MessageAttributes: map[string]events.SQSMessageAttribute{},
			EventSourceARN: queueARN, EventSource: "aws:sqs", AWSRegion: region,
		}
		for name, a := range m.MessageAttributes {
			r.MessageAttributes[name] = events.SQSMessageAttribute{
				StringValue: a.StringValue, BinaryValue: a.BinaryValue, DataType: aws.ToString(a.DataType),
				StringListValues: []string{}, BinaryListValues: [][]byte{},
			}
		}
		e.Records = append(e.Records, r)
	}
	return e
}

// handled gives the messages to delete. A failed invocation and a response that
// cannot be understood fail the whole batch (Lambda developer guide, "Reporting
// batch item failures").
func handled(messages []sqstypes.Message, r Result, reports bool) []sqstypes.Message {
	if r.Failure != "" {
		return nil
	}
	if !reports || len(r.Payload) == 0 || string(r.Payload) == "null" {
		return messages
	}
	var response struct {
		BatchItemFailures []struct {
			ItemIdentifier *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if json.Unmarshal(r.Payload, &response) != nil {
		return nil
	}
	failed := map[string]bool{}
	for _, f := range response.BatchItemFailures {
		failed[aws.ToString(f.ItemIdentifier)] = true
	}
	var done []sqstypes.Message
	for _, m := range messages {
		id := aws.ToString(m.MessageId)
		if !failed[id] {
			done = append(done, m)
		}
		delete(failed, id)
	}
	if len(failed) > 0 { // an identifier that is empty, null or of no message
		return nil
	}
	return done
}
