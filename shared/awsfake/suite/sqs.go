package suite

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Times are far apart because a backend may run them shortened, on a busy machine.
const (
	visibility = 200 * time.Second
	over       = visibility + 50*time.Second
)

func (b *Backend) queue(t T, suffix string) (url string) {
	t.Helper()
	return b.AddQueue(t, b.fresh("queue")+suffix, visibility, 0, "")
}

func (b *Backend) send(t T, url, body string, change func(*sqs.SendMessageInput)) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}
	if change != nil {
		change(in)
	}
	must(b.SQS.SendMessage(t.Context(), in))(t)
}

func fifo(group, id string) func(*sqs.SendMessageInput) {
	return func(in *sqs.SendMessageInput) { in.MessageGroupId, in.MessageDeduplicationId = &group, &id }
}

// wantNext checks what one receive of one message gives; an empty body is nothing.
func (b *Backend) wantNext(t T, what, url, body string) (receipt string, done func()) {
	t.Helper()
	e := b.Receive(t, url, 1)
	got := ""
	if len(e.Records) > 0 {
		got, receipt = e.Records[0].Body, e.Records[0].ReceiptHandle
	}
	if got != body || len(e.Records) > 1 {
		t.Fatalf("%s: received %q, want %q", what, got, body)
	}
	return receipt, func() { b.Done(t, url, e) }
}

func (b *Backend) postpone(t T, url, receipt string, d time.Duration) error {
	_, err := b.SQS.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &url, ReceiptHandle: &receipt, VisibilityTimeout: int32(d / time.Second), //nolint:gosec // minutes
	})
	return err
}

func (b *Backend) wantRefused(t T, url string, change func(*sqs.SendMessageInput)) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("m")}
	change(in)
	_, err := b.SQS.SendMessage(t.Context(), in)
	wantCode(t, "send", err, "InvalidParameterValue", "MissingParameter")
	b.wantNext(t, "after it", url, "")
}

func queueCases() []testCase {
	return []testCase{
		{"a delayed message is hidden until its time has come", func(t T, b *Backend) {
			url := b.queue(t, "")
			b.send(t, url, "m", func(in *sqs.SendMessageInput) { in.DelaySeconds = 200 })
			b.wantNext(t, "before", url, "")
			b.Pass(over)
			_, done := b.wantNext(t, "after", url, "m")
			done()
			b.wantNext(t, "when it is done", url, "")
		}},
		{"a message that is not deleted comes again, and is counted", func(t T, b *Backend) {
			url := b.queue(t, "")
			b.send(t, url, "m", nil)
			for i, count := range []string{"1", "2"} {
				if i > 0 {
					b.Pass(over)
				}
				e := b.Receive(t, url, 10)
				if len(e.Records) != 1 || e.Records[0].Attributes["ApproximateReceiveCount"] != count {
					t.Fatalf("received %+v, want one with count %s", e.Records, count)
				}
				b.wantNext(t, "within the visibility timeout", url, "")
			}
		}},
		{"a changed visibility counts from now", func(t T, b *Backend) {
			url := b.queue(t, "")
			b.send(t, url, "m", nil)
			receipt, _ := b.wantNext(t, "first", url, "m")
			wantCode(t, "give it back", b.postpone(t, url, receipt, 0), "")
			receipt, _ = b.wantNext(t, "given back", url, "m")
			wantCode(t, "keep it longer", b.postpone(t, url, receipt, 2*visibility), "")
			b.Pass(over)
			b.wantNext(t, "after the queue's timeout", url, "")
			b.Pass(over)
			b.wantNext(t, "after its own", url, "m")
		}},
		{"attributes of a message survive", func(t T, b *Backend) {
			for _, suffix := range []string{"", ".fifo"} {
				url := b.queue(t, suffix)
				want := map[string]string{"reason": "get role x: AccessDenied: <&> \"é\"\n\tmore", "errorClass": "unknown", "long": strings.Repeat("ü", 2000)}
				b.send(t, url, "m", func(in *sqs.SendMessageInput) {
					if suffix != "" {
						fifo("g", "1")(in)
					}
					in.MessageAttributes = map[string]types.MessageAttributeValue{}
					for k, v := range want {
						in.MessageAttributes[k] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &v}
					}
				})
				e := b.Receive(t, url, 1)
				if len(e.Records) != 1 || len(e.Records[0].MessageAttributes) != len(want) {
					t.Fatalf("received %+v", e.Records)
				}
				for k, v := range want {
					if got := aws.ToString(e.Records[0].MessageAttributes[k].StringValue); got != v {
						t.Errorf("attribute %s of %q: %q, want %q", k, suffix, got, v)
					}
				}
			}
		}},
		{"an empty attribute is refused", func(t T, b *Backend) {
			b.wantRefused(t, b.queue(t, ""), func(in *sqs.SendMessageInput) {
				in.MessageAttributes = map[string]types.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: aws.String("")}}
			})
		}},
		{"a delay of more than 15 minutes is refused", func(t T, b *Backend) {
			b.wantRefused(t, b.queue(t, ""), func(in *sqs.SendMessageInput) { in.DelaySeconds = 901 })
		}},
		{"a FIFO queue refuses a delay, and a message without group", func(t T, b *Backend) {
			url := b.queue(t, ".fifo")
			b.wantRefused(t, url, func(in *sqs.SendMessageInput) { fifo("g", "1")(in); in.DelaySeconds = 200 })
			b.wantRefused(t, url, func(in *sqs.SendMessageInput) { in.MessageDeduplicationId = aws.String("1") })
		}},
		{"a FIFO queue gives a group in order and locks it while it is in flight", func(t T, b *Backend) {
			url := b.queue(t, ".fifo")
			b.send(t, url, "a1", fifo("a", "a1"))
			b.send(t, url, "a2", fifo("a", "a2"))
			b.send(t, url, "b1", fifo("b", "b1"))
			_, done := b.wantNext(t, "first", url, "a1")
			_, doneOther := b.wantNext(t, "another group", url, "b1")
			b.wantNext(t, "while both are in flight", url, "")
			doneOther()
			b.wantNext(t, "the other group is empty", url, "")
			done()
			_, done = b.wantNext(t, "after the first is done", url, "a2")
			done()
		}},
		{"a failed message of a FIFO queue comes before those behind it", func(t T, b *Backend) {
			url := b.queue(t, ".fifo")
			b.send(t, url, "1", fifo("g", "1"))
			b.send(t, url, "2", fifo("g", "2"))
			receipt, _ := b.wantNext(t, "first", url, "1")
			wantCode(t, "postpone", b.postpone(t, url, receipt, visibility), "")
			b.wantNext(t, "while it is postponed", url, "")
			b.Pass(over)
			_, done := b.wantNext(t, "again", url, "1")
			done()
			b.wantNext(t, "the next", url, "2")
		}},
		{"a FIFO queue takes a message once in five minutes", func(t T, b *Backend) {
			url := b.queue(t, ".fifo")
			b.send(t, url, "m", fifo("g", "1"))
			b.send(t, url, "m", fifo("g", "1"))
			_, done := b.wantNext(t, "first", url, "m")
			done()
			b.wantNext(t, "its duplicate", url, "")
			b.Pass(2 * time.Minute)
			b.send(t, url, "m", fifo("g", "1"))
			b.wantNext(t, "a duplicate of what is done", url, "")
			b.Pass(4 * time.Minute)
			b.send(t, url, "m", fifo("g", "1"))
			b.wantNext(t, "after five minutes", url, "m")
		}},
		{"a message that is received too often goes to the dead letters", func(t T, b *Backend) {
			for _, suffix := range []string{"", ".fifo"} {
				dead := b.queue(t, suffix)
				url := b.AddQueue(t, b.fresh("queue")+suffix, visibility, 2, dead)
				b.send(t, url, "m", func(in *sqs.SendMessageInput) {
					if suffix != "" {
						fifo("g", "1")(in)
					}
				})
				for range 2 {
					receipt, _ := b.wantNext(t, "while it is tried", url, "m")
					wantCode(t, "give it back", b.postpone(t, url, receipt, 0), "")
				}
				b.wantNext(t, "when it was tried twice", url, "")
				b.wantNext(t, "from the dead letters", dead, "m")
			}
		}},
	}
}
