// Command drift is the Lambda function that looks for what is due, and for what
// events missed, on a schedule.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/caarlos0/env/v11"
	"golang.org/x/time/rate"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/settings"
)

func main() {
	log := lambdacontext.NewLogger()
	handle, err := wire(env.ToMap(os.Environ()), log, time.Now)
	if err != nil {
		log.Error("init", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(handle)
}

// handler is the function's handler. What the schedule sends says nothing.
type handler func(ctx context.Context) error

// listsPerSecond is what reconcile leaves of what AgentCore allows the account.
const listsPerSecond = agentcore.ListsPerSecond / 5

// wire builds the function from its environment.
func wire(environ map[string]string, log *slog.Logger, now func() time.Time) (handler, error) {
	s, err := settings.LoadDrift(environ)
	ac, awsErr := settings.AWS(environ)
	if err := errors.Join(err, awsErr); err != nil {
		return nil, err
	}
	pass := drift.Pass{
		Objects: configstore.NewReader(s3.NewFromConfig(ac, configstore.Quiet), s.ConfigBucket, s.Account),
		Runtimes: agentcore.New(bedrockagentcorecontrol.NewFromConfig(ac),
			rate.NewLimiter(listsPerSecond, 1), nil),
		Work: workqueue.New(sqs.NewFromConfig(ac), s.WorkURL),
		Now:  now,
	}
	return func(ctx context.Context) error {
		invocation, ok := lambdacontext.FromContext(ctx)
		if !ok {
			return errors.New("this is no invocation by Lambda: the pass has no id")
		}
		// Lambda repeats an invocation that fails with the id it had, so what the
		// first one enqueued is not enqueued again.
		r, err := pass.Run(ctx, invocation.AwsRequestID)
		line := log.With("configs", r.Configs, "due", r.Due, "missed", r.Missed, "runtimes", r.Runtimes,
			"newer", r.Newer, "unread", r.Unread, "skipped", r.Skipped, "enqueued", r.Enqueued)
		if err != nil {
			line.ErrorContext(ctx, "passed", "error", err.Error())
			return err
		}
		line.InfoContext(ctx, "passed")
		return nil
	}, nil
}
