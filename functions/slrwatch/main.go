// Command slrwatch is the Lambda function that watches AgentCore's service-linked
// roles: once a day, and when CloudTrail or an operator tells of something.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/caarlos0/env/v11"
	"golang.org/x/time/rate"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/networkinterface"
	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
	"rolekeeper/shared/settings"
	"rolekeeper/shared/slr"
	"rolekeeper/shared/sqsbatch"
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

// handler is the function's handler. It is called with messages of its queue, and
// by its schedule, whose input says nothing.
type handler func(ctx context.Context, input json.RawMessage) (events.SQSEventResponse, error)

// wire builds the function from its environment. Metrics are lines of the log
// that have a format of their own.
func wire(environ map[string]string, log *slog.Logger, metrics io.Writer, now func() time.Time) (handler, error) {
	s, err := settings.LoadSlrwatch(environ)
	ac, awsErr := settings.AWS(environ)
	if err := errors.Join(err, awsErr); err != nil {
		return nil, err
	}
	parameters, queues := ssm.NewFromConfig(ac), sqs.NewFromConfig(ac)
	latest := &settings.Latest{
		Read:  func(ctx context.Context) (string, error) { return parameter.Read(ctx, parameters, s.SettingsParameter) },
		Place: s.Place(),
		Now:   now,
	}
	own := workqueue.New(queues, s.QueueURL)
	watch := slr.Watch{
		Here:     event.Here{Account: s.Account, Region: s.Region, ConfigBucket: s.ConfigBucket},
		Place:    s.Place(),
		IdleDays: s.IdleDays,
		Store:    configstore.New(s3.NewFromConfig(ac, configstore.Quiet), s.ConfigBucket, s.Account),
		Roles:    slrole.NewKeeper(iam.NewFromConfig(ac)),
		Region:   func(name string) slr.Region { return region(ac, name) },
		Queue:    own,
		Bus:      bus.New(eventbridge.NewFromConfig(ac)),
		Now:      now,
	}
	return func(ctx context.Context, input json.RawMessage) (events.SQSEventResponse, error) {
		var e events.SQSEvent
		if err := json.Unmarshal(input, &e); err != nil {
			return events.SQSEventResponse{}, fmt.Errorf("what the function was called with: %w", err)
		}
		p, err := latest.Get(ctx)
		if err != nil {
			log.ErrorContext(ctx, "settings", "error", err.Error())
		}
		// Time mends it, and the queue's visibility timeout is long.
		back := fault.Of(err) == fault.Retry && e.Records != nil
		if err != nil && !back {
			return events.SQSEventResponse{}, err
		}
		one := watch
		one.Regions, one.Operators = p.Regions, len(p.OperatorPrincipalArns) > 0
		if e.Records == nil {
			r, err := one.Look(ctx)
			if errors.Is(err, fault.ErrConflict) {
				log.InfoContext(ctx, "another look is under way", "error", err.Error())
				return events.SQSEventResponse{}, nil
			}
			return events.SQSEventResponse{}, errors.Join(err, tell(ctx, log, metrics, r, now()))
		}
		return sqsbatch.Batch{
			Log:         log,
			Queue:       own,
			DeadLetters: workqueue.New(queues, s.DeadURL),
			Handle: func(ctx context.Context, m sqsbatch.Message) error {
				if back {
					return err
				}
				r, err := one.Handle(ctx, m.Body)
				if err != nil {
					return err
				}
				if err := tell(ctx, log, metrics, r, now()); err != nil { // what was seen is written, whoever counts it
					log.ErrorContext(ctx, "metrics", "error", err.Error())
				}
				return nil
			},
		}.Lambda(ctx, e)
	}, nil
}

// listsPerSecond is what reconcile leaves of what AgentCore allows the account in
// its Region, less what the pass takes.
const listsPerSecond = agentcore.ListsPerSecond / 5

// region gives what is read of a Region.
func region(ac aws.Config, name string) slr.Region {
	there := ac.Copy()
	there.Region = name
	return slr.Region{
		Resources:  agentcore.NewNetworks(bedrockagentcorecontrol.NewFromConfig(there), rate.NewLimiter(listsPerSecond, 1)),
		Interfaces: networkinterface.New(ec2.NewFromConfig(there)),
	}
}

// tell writes the line of the log and the metrics of a look, if there was one.
func tell(ctx context.Context, log *slog.Logger, metrics io.Writer, r slr.Result, now time.Time) error {
	if !r.Looked {
		return nil
	}
	if r.Damaged {
		log.WarnContext(ctx, "what was known of the service-linked roles was damaged, and is made anew")
	}
	if r.Unread != nil {
		log.WarnContext(ctx, "requests that may not be read", "error", r.Unread.Error())
	}
	verdicts := map[model.Verdict]int{}
	for _, role := range r.Table.Roles {
		verdicts[role.Verdict]++
	}
	unread := 0
	for _, region := range r.Table.Regions {
		unread += len(region.Unread)
	}
	log.InfoContext(ctx, "looked", "verdicts", verdicts, "regions", len(r.Table.Regions), "unread", unread)
	data, err := report.LinkedMetrics(r.Table, now)
	if err == nil {
		_, err = metrics.Write(data)
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
