// Worker answers an upload in/x with an object out/x that holds what it was
// invoked with. The words in the uploaded object make it misbehave.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	var out events.SQSEventResponse
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return out, err
	}
	client, bucket := s3.NewFromConfig(cfg), os.Getenv("BUCKET")
	lc, _ := lambdacontext.FromContext(ctx)
	fmt.Println("invocation", lc.AwsRequestID)
	for _, m := range batch.Records {
		got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &m.Body})
		if err != nil {
			return out, err
		}
		text, err := io.ReadAll(got.Body)
		if err != nil {
			return out, err
		}
		fmt.Println("working on", m.Body)
		again := m.Attributes["ApproximateReceiveCount"] != "1"
		switch word := string(text); {
		case again: // it mends with the second receive
		case word == "fail":
			return out, errors.New("told to fail")
		case word == "panic":
			panic("told to panic")
		case word == "hang":
			time.Sleep(time.Minute)
		case word == "report":
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			continue
		}
		deadline, _ := ctx.Deadline()
		answer, err := json.Marshal(map[string]any{
			"message": m, "left": time.Until(deadline).Seconds(), "arn": lc.InvokedFunctionArn, "env": os.Environ(),
		})
		if err != nil {
			return out, err
		}
		key, body := strings.Replace(m.Body, "in/", "out/", 1), strings.NewReader(string(answer))
		if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body}); err != nil {
			return out, err
		}
	}
	return out, nil
}
