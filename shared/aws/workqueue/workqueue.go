// Package workqueue sends messages to the queues between the functions and
// gives back those that a function cannot finish.
package workqueue

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/event"
)

// API is what is called of SQS.
type API interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

// Queue is one queue.
type Queue struct {
	api  API
	url  string
	fifo bool
}

// New gives the queue at the URL. SQS ends the names of FIFO queues, and so
// their URLs, with .fifo.
func New(api API, url string) Queue {
	return Queue{api: api, url: url, fifo: strings.HasSuffix(url, ".fifo")}
}

// Send sends a message.
func (q Queue) Send(ctx context.Context, m event.Message) error {
	in := &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &m.Body}
	if q.fifo {
		in.MessageGroupId, in.MessageDeduplicationId = &m.Group, &m.ID
	} else {
		in.DelaySeconds = seconds(min(m.Delay, event.MaxDelay))
	}
	for k, v := range m.Attributes {
		if in.MessageAttributes == nil {
			in.MessageAttributes = map[string]types.MessageAttributeValue{}
		}
		in.MessageAttributes[k] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(v)}
	}
	_, err := q.api.SendMessage(ctx, in)
	return awserr.Wrap(err, "send message to %s", q.name())
}

// Postpone makes a received message visible again after a delay.
func (q Queue) Postpone(ctx context.Context, receipt string, delay time.Duration) error {
	_, err := q.api.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: &receipt, VisibilityTimeout: seconds(delay),
	})
	return awserr.Wrap(err, "postpone message of %s", q.name())
}

func (q Queue) name() string { return q.url[strings.LastIndexByte(q.url, '/')+1:] }

func seconds(d time.Duration) int32 { return int32(d / time.Second) } //nolint:gosec // bounded by event.MaxDelay and the visibility's 12 hours
