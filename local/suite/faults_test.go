package suite

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/loggroup"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

// adapters gives one call of each kind; the SDK attempts each so many times.
func adapters(t *testing.T, a *local.AWS, attempts int) map[string]func(context.Context) error {
	c := a.Config("faulty")
	c.RetryMaxAttempts = attempts
	roles, store := iamrole.New(iam.NewFromConfig(c)), configstore.New(s3.NewFromConfig(c), bucket, account)
	queue, events := workqueue.New(sqs.NewFromConfig(c), output(t, a, "Other")), bus.New(eventbridge.NewFromConfig(c))
	trust, err := policy.Parse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	repositories, groups := imagerepository.New(ecr.NewFromConfig(c), account), loggroup.New(cloudwatchlogs.NewFromConfig(c))
	role := model.Role{Name: "faulty", MaxSessionDuration: 3600, PermissionsBoundary: output(t, a, "Boundary"), Trust: trust}
	return map[string]func(context.Context) error{
		"iam read":  func(ctx context.Context) error { _, err := roles.Head(ctx, "faulty"); return err },
		"iam write": func(ctx context.Context) error { _, err := roles.Create(ctx, role, "nonce"); return err },
		"s3 read":   func(ctx context.Context) error { _, err := store.Get(ctx, "faulty"); return err },
		"s3 write":  func(ctx context.Context) error { _, err := store.Create(ctx, "faulty", []byte("x")); return err },
		"ecr read":  func(ctx context.Context) error { _, err := repositories.Head(ctx, "faulty"); return err },
		"ecr write": func(ctx context.Context) error {
			_, err := repositories.Create(ctx, model.Repository{Name: "faulty"}, "nonce")
			return err
		},
		"logs":   func(ctx context.Context) error { return groups.Retain(ctx, "faulty", 90) },
		"sqs":    func(ctx context.Context) error { return queue.Send(ctx, event.Message{Body: "m"}) },
		"events": func(ctx context.Context) error { return events.Send(ctx, []event.Outgoing{event.RolesReady{}}) },
	}
}

// testFaults holds what package awserr makes of failures as the SDK delivers
// them: nothing is taken for absence, and only what time mends is retried.
func testFaults(t *testing.T, a *local.AWS) {
	for name, c := range map[string]struct {
		fault proxy.Fault
		class fault.Class
	}{
		"throttled calls are retried":                        {proxy.Fault{Kind: proxy.Throttle}, fault.Retry},
		"failures of the service are retried":                {proxy.Fault{Kind: proxy.ServerError}, fault.Retry},
		"denied calls are not":                               {proxy.Fault{Kind: proxy.Denied}, fault.Unknown},
		"lost requests are retried":                          {proxy.Fault{Kind: proxy.DropBefore}, fault.Retry},
		"calls that outlast the function's time are retried": {proxy.Fault{Kind: proxy.Delay, Wait: 2 * time.Second}, fault.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			c.fault.Caller = "faulty"
			injected := a.InjectFault(c.fault)
			defer injected.Remove()
			for what, call := range adapters(t, a, 1) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if c.fault.Kind == proxy.Delay {
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
				}
				err := call(ctx)
				cancel()
				if got := fault.Of(err); err == nil || got != c.class {
					t.Errorf("%s: class %q, want %q (%v)", what, got, c.class, err)
				}
				for _, sentinel := range []error{fault.ErrNotFound, fault.ErrExists, fault.ErrConflict, fault.ErrLimit} {
					if errors.Is(err, sentinel) {
						t.Errorf("%s: taken for %q: %v", what, sentinel, err)
					}
				}
			}
			if injected.Hits() != len(adapters(t, a, 1)) {
				t.Errorf("the fault struck %d times", injected.Hits())
			}
		})
	}

	t.Run("a lost answer to a creation is told from a name taken before by looking again", func(t *testing.T) {
		injected := a.InjectFault(proxy.Fault{Caller: "faulty", Kind: proxy.DropAfter})
		taken := map[string]error{"iam write": fault.ErrExists, "ecr write": fault.ErrExists, "s3 write": fault.ErrConflict}
		for what, sentinel := range taken {
			if err := adapters(t, a, 1)[what](t.Context()); fault.Of(err) != fault.Retry || errors.Is(err, sentinel) {
				t.Errorf("%s, first: %v", what, err)
			}
		}
		injected.Remove()
		for what, sentinel := range taken {
			if err := adapters(t, a, 1)[what](t.Context()); fault.Of(err) != fault.Retry || !errors.Is(err, sentinel) {
				t.Errorf("%s, again: %v", what, err)
			}
		}
	})

	t.Run("the SDK itself retries what is throttled once", func(t *testing.T) {
		for what, call := range adapters(t, a, 3) {
			if what != "sqs" && what != "events" {
				continue // those are used up above
			}
			injected := a.InjectFault(proxy.Fault{Caller: "faulty", Kind: proxy.Throttle, Count: 1})
			if err := call(t.Context()); err != nil || injected.Hits() != 1 {
				t.Errorf("%s: %v after %d faults", what, err, injected.Hits())
			}
			injected.Remove()
		}
	})
}
