package awsfake

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

type queue struct {
	url         string
	visibility  time.Duration
	maxReceives int
	deadLetters string // URL; empty when there are none
	messages    []message
	seen        map[string]time.Time // deduplication ids
}

type message struct {
	id, body, group, dedup string
	attributes             map[string]string
	visibleAt              time.Time
	receives               int
	receipt                string
}

// SQS is the client of one caller.
type SQS struct {
	cloud  *Cloud
	caller string
}

// SQS gives the client of a caller.
func (c *Cloud) SQS(caller string) *SQS { return &SQS{c, caller} }

// AddQueue makes a queue and gives its URL; a name that ends in .fifo makes a
// FIFO queue. After maxReceives a message goes to the dead letters; 0 is never.
func (c *Cloud) AddQueue(name string, visibility time.Duration, maxReceives int, deadLetters string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	url := "https://sqs." + c.Region + ".amazonaws.com/" + c.Account + "/" + name
	c.queues[url] = &queue{url: url, visibility: visibility, maxReceives: maxReceives, deadLetters: deadLetters, seen: map[string]time.Time{}}
	return url
}

func (q *queue) fifo() bool { return strings.HasSuffix(q.url, ".fifo") }

func (q *queue) add(c *Cloud, m message) string {
	if q.fifo() {
		const window = 5 * time.Minute
		if at, dup := q.seen[m.dedup]; dup && c.now.Sub(at) < window {
			return "duplicate"
		}
		q.seen[m.dedup] = c.now
	}
	m.id = fmt.Sprintf("message-%06d", c.next())
	if m.visibleAt.IsZero() {
		m.visibleAt = c.now
	}
	q.messages = append(q.messages, m)
	return m.id
}

func (s *SQS) call(operation string, url *string, carryOut func(*queue) error) error {
	return s.cloud.call(s.caller, "sqs", operation, aws.ToString(url), func() error {
		q, ok := s.cloud.queues[aws.ToString(url)]
		if !ok {
			return &types.QueueDoesNotExist{}
		}
		return carryOut(q)
	})
}

// SendMessage is sqs:SendMessage.
func (s *SQS) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	var out sqs.SendMessageOutput
	return &out, s.call("SendMessage", in.QueueUrl, func(q *queue) error {
		group, dedup := aws.ToString(in.MessageGroupId), aws.ToString(in.MessageDeduplicationId)
		switch {
		case len(*in.MessageBody) == 0 || len(*in.MessageBody) > 1<<20:
			return APIError("InvalidParameterValue", "body must have 1 byte to 1 MiB")
		case q.fifo() && (group == "" || dedup == ""):
			return APIError("MissingParameter", "a FIFO queue needs MessageGroupId and MessageDeduplicationId")
		case q.fifo() && in.DelaySeconds != 0:
			return APIError("InvalidParameterValue", "DelaySeconds is not valid for a message of a FIFO queue")
		case in.DelaySeconds < 0 || in.DelaySeconds > 900:
			return APIError("InvalidParameterValue", "DelaySeconds must be 0 to 900")
		case len(in.MessageAttributes) > 10:
			return APIError("InvalidParameterValue", "at most 10 attributes")
		}
		m := message{body: *in.MessageBody, group: group, dedup: dedup, attributes: map[string]string{}}
		for k, v := range in.MessageAttributes {
			if aws.ToString(v.StringValue) == "" {
				return APIError("InvalidParameterValue", "attribute "+k+" is empty")
			}
			m.attributes[k] = *v.StringValue
		}
		m.visibleAt = s.cloud.now.Add(time.Duration(in.DelaySeconds) * time.Second)
		out.MessageId = aws.String(q.add(s.cloud, m))
		return nil
	})
}

// ChangeMessageVisibility is sqs:ChangeMessageVisibility.
func (s *SQS) ChangeMessageVisibility(_ context.Context, in *sqs.ChangeMessageVisibilityInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error) {
	return &sqs.ChangeMessageVisibilityOutput{}, s.call("ChangeMessageVisibility", in.QueueUrl, func(q *queue) error {
		for i := range q.messages {
			if q.messages[i].receipt == *in.ReceiptHandle {
				q.messages[i].visibleAt = s.cloud.now.Add(time.Duration(in.VisibilityTimeout) * time.Second)
				return nil
			}
		}
		return &types.ReceiptHandleIsInvalid{}
	})
}

// Receive takes visible messages from a queue as Lambda's poller does, which is
// not a call of a function. Of a FIFO queue's group only the oldest is given,
// and none while one is in flight. Messages received too often go to the dead letters.
func (c *Cloud) Receive(url string, most int) lambdaevents.SQSEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queues[url]
	c.redrive(q)
	var e lambdaevents.SQSEvent
	busy := map[string]bool{}
	for i := range q.messages {
		m := &q.messages[i]
		waiting := m.visibleAt.After(c.now)
		if q.fifo() && busy[m.group] || waiting || len(e.Records) == most {
			busy[m.group] = true
			continue
		}
		busy[m.group] = true
		m.receives++
		m.receipt = fmt.Sprintf("receipt-%06d", c.next())
		m.visibleAt = c.now.Add(q.visibility)
		e.Records = append(e.Records, lambdaevents.SQSMessage{
			MessageId: m.id, ReceiptHandle: m.receipt, Body: m.body, EventSource: "aws:sqs",
			Attributes:        map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.receives), "MessageGroupId": m.group},
			MessageAttributes: m.lambdaAttributes(),
		})
	}
	return e
}

func (m message) lambdaAttributes() map[string]lambdaevents.SQSMessageAttribute {
	all := map[string]lambdaevents.SQSMessageAttribute{}
	for k, v := range m.attributes {
		all[k] = lambdaevents.SQSMessageAttribute{DataType: "String", StringValue: &v}
	}
	return all
}

func (c *Cloud) redrive(q *queue) {
	if q.maxReceives == 0 || q.deadLetters == "" {
		return
	}
	q.messages = slices.DeleteFunc(q.messages, func(m message) bool {
		over := m.receives >= q.maxReceives && !m.visibleAt.After(c.now)
		if over {
			c.queues[q.deadLetters].messages = append(c.queues[q.deadLetters].messages, m)
		}
		return over
	})
}

// Done deletes received messages, but for those named by their ids.
func (c *Cloud) Done(url string, e lambdaevents.SQSEvent, failures []lambdaevents.SQSBatchItemFailure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queues[url]
	for _, r := range e.Records {
		if slices.ContainsFunc(failures, func(f lambdaevents.SQSBatchItemFailure) bool { return f.ItemIdentifier == r.MessageId }) {
			continue
		}
		q.messages = slices.DeleteFunc(q.messages, func(m message) bool { return m.receipt == r.ReceiptHandle })
	}
}

// Put puts a message into a queue as somebody else would.
func (c *Cloud) Put(url, body string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := fmt.Sprintf("put-%06d", c.next())
	c.queues[url].add(c, message{body: body, group: id, dedup: id})
}

// NextVisible gives when the next message of the queues can be received, and
// whether there is any message at all.
func (c *Cloud) NextVisible(urls ...string) (at time.Time, any bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, url := range urls {
		first := map[string]bool{}
		for _, m := range c.queues[url].messages {
			if c.queues[url].fifo() && first[m.group] {
				continue // the group's oldest comes first
			}
			first[m.group] = true
			if !any || m.visibleAt.Before(at) {
				at, any = m.visibleAt, true
			}
		}
	}
	return at, any
}

// Message is a message as it lies in a queue.
type Message struct {
	Body       string
	Attributes map[string]string
	Receives   int
}

// Messages gives what lies in a queue.
func (c *Cloud) Messages(url string) []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Message
	for _, m := range c.queues[url].messages {
		all = append(all, Message{m.body, m.attributes, m.receives})
	}
	return all
}
