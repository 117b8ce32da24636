// Relay passes uploads on: one work message for each, grouped by key. What is no
// upload it reports as failed.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	var out events.SQSEventResponse
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return out, err
	}
	queue := os.Getenv("WORK_QUEUE_URL")
	for _, m := range batch.Records {
		var e struct {
			DetailType string `json:"detail-type"`
			Detail     struct{ Object struct{ Key string } }
		}
		if json.Unmarshal([]byte(m.Body), &e) != nil || e.Detail.Object.Key == "" {
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			continue
		}
		if _, err := sqs.NewFromConfig(cfg).SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: &queue, MessageBody: &e.Detail.Object.Key, MessageGroupId: &e.Detail.Object.Key, MessageDeduplicationId: &m.MessageId,
		}); err != nil {
			return out, err
		}
	}
	return out, nil
}
