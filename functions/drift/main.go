// Command drift is the Lambda function that compares the whole account with what
// configs ask for, on a schedule and when an operator approves what it held back.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/caarlos0/env/v11"
	"golang.org/x/time/rate"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/report"
	"rolekeeper/shared/settings"
)

func main() {
	log := lambdacontext.NewLogger()
	handle, err := wire(env.ToMap(os.Environ()), log, os.Stdout, time.Now)
	if err != nil {
		log.Error("init", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(handle)
}

// handler is the function's handler. What the schedule and the bus send says nothing.
type handler func(ctx context.Context) error

// reportTime is what a pass has left of its time to write its report: more than
// package drift takes for it.
const reportTime = 20 * time.Second

// listsPerSecond is what reconcile leaves of what AgentCore allows the account.
const listsPerSecond = agentcore.ListsPerSecond / 5

// wire builds the function from its environment. Metrics are lines of the log
// that have a format of their own.
func wire(environ map[string]string, log *slog.Logger, metrics io.Writer, now func() time.Time) (handler, error) {
	s, err := settings.LoadDrift(environ)
	ac, awsErr := settings.AWS(environ)
	if err := errors.Join(err, awsErr); err != nil {
		return nil, err
	}
	hash, err := s.Hash()
	if err != nil {
		return nil, err
	}
	parameters, roles := ssm.NewFromConfig(ac), iam.NewFromConfig(ac)
	latest := &settings.Latest{
		Read:  func(ctx context.Context) (string, error) { return parameter.Read(ctx, parameters, s.SettingsParameter) },
		Place: s.Env().Place,
		Now:   now,
	}
	bucket := configstore.New(s3.NewFromConfig(ac, configstore.Quiet), s.ConfigBucket, s.Account)
	pass := drift.Pass{
		Settings: reconcile.Settings{
			Env: s.Env(), Existing: s.ExistingRoles, Drift: s.DriftMode, Unmanaged: s.UnmanagedPolicies, EnsureServiceLinkedRoles: s.EnsureServiceLinkedRoles,
		},
		SettingsHash: hash,
		MaxChanges:   s.MaxChanges,
		Objects:      bucket,
		Account:      iamrole.NewAccount(roles),
		Policies:     iamrole.NewReader(roles),
		Projects:     buildproject.NewReader(codebuild.NewFromConfig(ac)),
		Runtimes: agentcore.New(bedrockagentcorecontrol.NewFromConfig(ac),
			rate.NewLimiter(listsPerSecond, 1), nil),
		Now:     now,
		Work:    workqueue.New(sqs.NewFromConfig(ac), s.WorkURL),
		Reports: bucket,
	}
	return func(ctx context.Context) error {
		invocation, ok := lambdacontext.FromContext(ctx)
		if !ok {
			return errors.New("this is no invocation by Lambda: the pass has no id")
		}
		p, err := latest.Get(ctx)
		if err != nil {
			log.ErrorContext(ctx, "settings", "error", err.Error())
			return err
		}
		// What is left when the time is up, is for the report that says so.
		if end, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, end.Add(-reportTime))
			defer cancel()
		}
		one := pass
		one.Allowed, one.Operators = p.Allowed, len(p.OperatorPrincipalArns) > 0
		// Lambda repeats an invocation that fails with the id it had, so what the
		// first one enqueued is not enqueued again.
		r, err := one.Run(ctx, invocation.AwsRequestID)
		return errors.Join(err, tell(ctx, log, metrics, r, err, now()))
	}, nil
}

// tell writes the line of the log and the metrics.
func tell(ctx context.Context, log *slog.Logger, metrics io.Writer, r report.Pass, failure error, now time.Time) error {
	t := r.Totals
	line := log.With("configs", t.Configs, "roles", t.Roles, "drifted", t.Drifted, "outdated", t.Outdated, "refused", t.Refused, "orphans", t.Orphans,
		"due", t.Due, "missed", t.Missed, "runtimes", t.Runtimes, "newer", t.Newer, "unread", t.Unread, "skipped", t.Skipped,
		"stopped", r.Stopped != nil, "enqueued", t.Enqueued, "iamCalls", t.IAMCalls)
	if failure != nil {
		line.ErrorContext(ctx, "passed", "error", failure.Error())
	} else {
		line.InfoContext(ctx, "passed")
	}
	data, err := report.Metrics(r, now)
	if err == nil {
		_, err = metrics.Write(data)
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
