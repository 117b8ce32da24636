// Command reconcile is the Lambda function that makes the account hold what
// configs ask for.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/caarlos0/env/v11"
	"golang.org/x/time/rate"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/loggroup"
	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/report"
	"rolekeeper/shared/settings"
	"rolekeeper/shared/sqsbatch"
)

func main() {
	log := lambdacontext.NewLogger()
	handle, err := wire(context.Background(), env.ToMap(os.Environ()), log, os.Stdout, time.Now)
	if err != nil {
		log.Error("init", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(handle)
}

// handler is the function's handler.
type handler func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error)

// wire builds the function from its environment and the settings parameter.
// Metrics are written a line at a time.
func wire(ctx context.Context, environ map[string]string, log *slog.Logger, metrics io.Writer, now func() time.Time) (handler, error) {
	s, err := settings.LoadReconcile(environ)
	ac, awsErr := settings.AWS(environ)
	if err := errors.Join(err, awsErr); err != nil {
		return nil, err
	}
	parameters := ssm.NewFromConfig(ac)
	latest := &settings.Latest{
		Read:  func(ctx context.Context) (string, error) { return parameter.Read(ctx, parameters, s.SettingsParameter) },
		Place: s.Env().Place,
		Now:   now,
	}
	read := make(chan error, 1)
	go func() { // the start does not wait for Systems Manager before it does the rest
		_, err := latest.Get(ctx)
		read <- err
	}()
	queues := sqs.NewFromConfig(ac)
	pipeline, err := reconciler(s, ac, queues, now)
	if err != nil {
		return nil, err
	}
	if err := <-read; err != nil {
		return nil, err
	}
	batch := sqsbatch.Batch{
		Log:         log,
		Queue:       workqueue.New(queues, s.WorkURL),
		DeadLetters: workqueue.New(queues, s.WorkDeadURL),
		Handle: func(ctx context.Context, m sqsbatch.Message) error {
			r, err := pipeline.Handle(ctx, m.Body, m.Receives)
			if err != nil {
				return err
			}
			if len(r.Braked) > 0 { // an alarm counts these lines
				log.WarnContext(ctx, "deletion brake", "config", r.Key, "agents", r.Braked)
			}
			log.InfoContext(ctx, "reconciled", "config", r.Key, "version", r.VersionID, "outcome", string(r.Outcome),
				"steps", len(r.Steps), "repaired", r.Repaired, "problems", r.Problems, "answered", r.Written)
			if err := count(metrics, r, now()); err != nil { // what was done is done, whoever counts it
				log.ErrorContext(ctx, "metrics", "error", err.Error())
			}
			return nil
		},
	}
	return func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		p, err := latest.Get(ctx)
		if fault.Of(err) == fault.Retry {
			later := batch // time mends it, and the queue's visibility timeout is long
			later.Handle = func(ctx context.Context, m sqsbatch.Message) error {
				_, err := pipeline.Fail(ctx, m.Body, m.Receives, err)
				return err
			}
			return later.Lambda(ctx, e)
		}
		if err != nil {
			log.ErrorContext(ctx, "settings", "error", err.Error())
			return events.SQSEventResponse{}, err // an error of the function, as at its start
		}
		pipeline.Allowed, pipeline.Operators = p.Allowed, len(p.OperatorPrincipalArns) > 0
		return batch.Lambda(ctx, e)
	}, nil
}

// count writes the metric of what was repaired.
func count(metrics io.Writer, r reconcile.Result, now time.Time) error {
	if r.Repaired == 0 {
		return nil
	}
	line, err := report.Repaired(r.Repaired, now)
	if err == nil {
		_, err = metrics.Write(line)
	}
	return err
}

// listsPerSecond leaves some of what AgentCore allows the account to others. Only
// one run at a time lists much (reconcile.Inventory).
const listsPerSecond = agentcore.ListsPerSecond * 4 / 5

// reconciler builds the pipeline on AWS.
func reconciler(s settings.Reconcile, ac aws.Config, queues *sqs.Client, now func() time.Time) (*reconcile.Reconciler, error) {
	hash, err := s.Hash()
	if err != nil {
		return nil, err
	}
	roles, objects := iam.NewFromConfig(ac), s3.NewFromConfig(ac, configstore.Quiet)
	return &reconcile.Reconciler{
		Settings: reconcile.Settings{
			Env: s.Env(), Existing: s.ExistingRoles, Drift: s.DriftMode, Unmanaged: s.UnmanagedPolicies, EnsureServiceLinkedRoles: s.EnsureServiceLinkedRoles,
		},
		SettingsHash:       hash,
		Grace:              s.GracePeriod,
		MaxDeletesPerHour:  s.MaxDeletesPerHour,
		DeleteRepositories: s.DeleteRepositories,
		Store:              configstore.New(objects, s.ConfigBucket, s.Account),
		Roles:              iamrole.New(roles),
		ServiceLinkedRoles: slrole.New(roles),
		Sources:            sourcebucket.New(objects, s.SourceBucket, s.Account),
		Repositories:       imagerepository.New(ecr.NewFromConfig(ac), s.Account),
		Projects:           buildproject.New(codebuild.NewFromConfig(ac)),
		LogGroups:          loggroup.New(cloudwatchlogs.NewFromConfig(ac)),
		Users:              agentcore.New(bedrockagentcorecontrol.NewFromConfig(ac), rate.NewLimiter(listsPerSecond, 1), rate.NewLimiter(agentcore.ListMemoriesPerSecond, 1)),
		Inbox:              workqueue.New(queues, s.InboxURL),
		Bus:                bus.New(eventbridge.NewFromConfig(ac)),
		Now:                now,
		Random:             rand.Text,
	}, nil
}
