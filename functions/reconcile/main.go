// Command reconcile is the Lambda function that makes the account hold what
// configs ask for.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/caarlos0/env/v11"

	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/reconcile"
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
	s, err := settings.LoadReconcile(environ)
	ac, awsErr := settings.AWS(environ)
	if err := errors.Join(err, awsErr); err != nil {
		return sqsbatch.Batch{}, err
	}
	hash, err := s.Hash()
	if err != nil {
		return sqsbatch.Batch{}, err
	}
	queues, roles := sqs.NewFromConfig(ac), iam.NewFromConfig(ac)
	objects := s3.NewFromConfig(ac, func(o *s3.Options) {
		// One line for every object that its uploader gave no checksum is noise.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	pipeline := &reconcile.Reconciler{
		Env:                      s.Env(),
		SettingsHash:             hash,
		EnsureServiceLinkedRoles: s.EnsureServiceLinkedRoles,
		Store:                    configstore.New(objects, s.ConfigBucket, s.Account),
		Roles:                    iamrole.New(roles),
		ServiceLinkedRoles:       slrole.New(roles),
		Inbox:                    workqueue.New(queues, s.InboxURL),
		Bus:                      bus.New(eventbridge.NewFromConfig(ac)),
		Now:                      time.Now,
		Random:                   rand.Text,
	}
	return sqsbatch.Batch{
		Log:         log,
		Queue:       workqueue.New(queues, s.WorkURL),
		DeadLetters: workqueue.New(queues, s.WorkDeadURL),
		Handle: func(ctx context.Context, m sqsbatch.Message) error {
			r, err := pipeline.Handle(ctx, m.Body, m.Receives)
			if err != nil {
				return err
			}
			log.InfoContext(ctx, "reconciled", "config", r.Key, "version", r.VersionID, "outcome", string(r.Outcome),
				"steps", len(r.Steps), "problems", r.Problems, "answered", r.Written)
			return nil
		},
	}, nil
}
