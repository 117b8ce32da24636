package workqueue_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
)

// api keeps what is asked of SQS.
type api struct {
	sent      []*sqs.SendMessageInput
	postponed []*sqs.ChangeMessageVisibilityInput
	err       error
}

func (a *api) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	a.sent = append(a.sent, in)
	return &sqs.SendMessageOutput{}, a.err
}

func (a *api) ChangeMessageVisibility(_ context.Context, in *sqs.ChangeMessageVisibilityInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error) {
	a.postponed = append(a.postponed, in)
	return &sqs.ChangeMessageVisibilityOutput{}, a.err
}

const (
	standard = "https://sqs.us-east-1.amazonaws.com/123456789012/inbox"
	inOrder  = "https://sqs.us-east-1.amazonaws.com/123456789012/work.fifo"
)

func TestAMessageIsSentAsItsQueueNeedsIt(t *testing.T) {
	attributes := map[string]types.MessageAttributeValue{"reason": {DataType: aws.String("String"), StringValue: aws.String("r")}}
	full := event.Message{Body: "b", Group: "g", ID: "1", Attributes: map[string]string{"reason": "r"}, Delay: 90 * time.Second}
	for name, c := range map[string]struct {
		url  string
		m    event.Message
		want sqs.SendMessageInput
	}{
		"a standard queue takes a delay, and no group": {
			standard, full,
			sqs.SendMessageInput{QueueUrl: aws.String(standard), MessageBody: aws.String("b"), DelaySeconds: 90, MessageAttributes: attributes},
		},
		"a FIFO queue takes a group and an id, and no delay": {
			inOrder, full,
			sqs.SendMessageInput{
				QueueUrl: aws.String(inOrder), MessageBody: aws.String("b"), MessageGroupId: aws.String("g"),
				MessageDeduplicationId: aws.String("1"), MessageAttributes: attributes,
			},
		},
		"a long delay is cut to SQS's longest": {
			standard, event.Message{Body: "b", Delay: 24 * time.Hour},
			sqs.SendMessageInput{QueueUrl: aws.String(standard), MessageBody: aws.String("b"), DelaySeconds: 900},
		},
		"less than a second is no delay": {
			standard, event.Message{Body: "b", Delay: 999 * time.Millisecond},
			sqs.SendMessageInput{QueueUrl: aws.String(standard), MessageBody: aws.String("b")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var a api
			if err := workqueue.New(&a, c.url).Send(t.Context(), c.m); err != nil {
				t.Fatal(err)
			}
			unexported := cmpopts.IgnoreUnexported(sqs.SendMessageInput{}, types.MessageAttributeValue{})
			if diff := cmp.Diff([]*sqs.SendMessageInput{&c.want}, a.sent, unexported); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPostponeGivesTheTimeFromNow(t *testing.T) {
	var a api
	if err := workqueue.New(&a, inOrder).Postpone(t.Context(), "receipt", 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if len(a.postponed) != 1 || a.postponed[0].VisibilityTimeout != 30 || *a.postponed[0].ReceiptHandle != "receipt" || *a.postponed[0].QueueUrl != inOrder {
		t.Errorf("asked %+v", a.postponed)
	}
}

func TestErrorsOfAQueueAreClassified(t *testing.T) {
	for code, class := range map[string]fault.Class{"ThrottlingException": fault.Retry, "AccessDenied": fault.Unknown} {
		a := api{err: awsfake.APIError(code, "m")}
		q := workqueue.New(&a, standard)
		for _, err := range []error{q.Send(t.Context(), event.Message{Body: "b"}), q.Postpone(t.Context(), "r", 0)} {
			if err == nil || fault.Of(err) != class {
				t.Errorf("%s: class %q: %v", code, fault.Of(err), err)
			}
		}
	}
}
