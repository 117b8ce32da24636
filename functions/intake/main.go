// Command intake is the Lambda function that turns events into work.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/caarlos0/env/v11"

	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/event"
	"rolekeeper/shared/intake"
	"rolekeeper/shared/settings"
	"rolekeeper/shared/sqsbatch"
)

func main() {
	log := lambdacontext.NewLogger()
	batch, err := wire(env.ToMap(os.Environ()), log)
	if err != nil {
		log.Error("init", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(batch.Lambda)
}

// wire builds the function from its environment.
func wire(environ map[string]string, log *slog.Logger) (sqsbatch.Batch, error) {
	s, err := settings.LoadIntake(environ)
	ac, awsErr := settings.AWS(environ)
	if err := errors.Join(err, awsErr); err != nil {
		return sqsbatch.Batch{}, err
	}
	client := sqs.NewFromConfig(ac)
	pipeline := intake.Intake{
		Here:    event.Here{Account: s.Account, Region: s.Region, ConfigBucket: s.ConfigBucket, SourceBucket: s.SourceBucket, OwnRole: s.ReconcileRole},
		Objects: configstore.NewReader(s3.NewFromConfig(ac, configstore.Quiet), s.ConfigBucket, s.Account),
		Work:    workqueue.New(client, s.WorkURL),
	}
	return sqsbatch.Batch{
		Log:         log,
		Queue:       workqueue.New(client, s.InboxURL),
		DeadLetters: workqueue.New(client, s.InboxDeadURL),
		Handle: func(ctx context.Context, m sqsbatch.Message) error {
			return pipeline.Handle(ctx, m.ID, m.Body)
		},
	}, nil
}
