// Package suite holds what Rolekeeper relies on of AWS, as cases that run on
// every backend its tests stand on: the fakes of package awsfake and the local
// AWS. Where the two agree, a test on the fakes says something about the other.
package suite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/loggroup"
	"rolekeeper/shared/aws/networkinterface"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/aws/workqueue"
)

// IAM is what is called of IAM by the adapters, and by the people whose doings
// tests play.
type IAM interface {
	iamrole.API
	iamrole.AccountAPI
	slrole.API
	slrole.KeeperAPI
	CreateInstanceProfile(context.Context, *iam.CreateInstanceProfileInput, ...func(*iam.Options)) (*iam.CreateInstanceProfileOutput, error)
	AddRoleToInstanceProfile(context.Context, *iam.AddRoleToInstanceProfileInput, ...func(*iam.Options)) (*iam.AddRoleToInstanceProfileOutput, error)
}

// S3 is what is called of S3.
type S3 interface {
	configstore.API
	sourcebucket.API
}

// ECR is what is called of ECR by the adapter, and by the people whose doings
// tests play.
type ECR interface {
	imagerepository.API
	UntagResource(context.Context, *ecr.UntagResourceInput, ...func(*ecr.Options)) (*ecr.UntagResourceOutput, error)
}

// Logs is what is called of CloudWatch Logs, likewise.
type Logs interface {
	loggroup.API
	DeleteLogGroup(context.Context, *cloudwatchlogs.DeleteLogGroupInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteLogGroupOutput, error)
}

// Backend is an account to run the cases in. They leave things behind in it.
type Backend struct {
	Account  string // 12 digits
	Region   string
	Bucket   string // versioned; its object events under configs/ reach Inbox
	Plain    string // a bucket that never kept versions and sends no events
	Inbox    string // URL of a standard queue
	Boundary string // ARN of a managed policy of the account

	IAM         IAM
	S3          S3
	Unlisted    S3 // S3 for a caller that may not list the bucket
	SQS         workqueue.API
	EventBridge bus.API
	ECR         ECR
	Logs        Logs
	CodeBuild   CodeBuild
	AgentCore   *bedrockagentcorecontrol.Client
	EC2         networkinterface.API
	Abroad      Region // another Region of the account
	Disabled    Region // one that the account has not enabled
	Trail       string // URL of a standard queue that CloudTrail's events about AgentCore reach

	// UseRole has IAM say that a role was last used at a time, in Region.
	UseRole func(t T, name string, at time.Time)
	// EndBuild lets a build end, one that has left the queue: it fails in phase
	// BUILD with the message, if there is one.
	EndBuild func(t T, id, message string)
	// LimitBuilds sets how many builds run at the same time.
	LimitBuilds func(concurrent int)
	// Expire deletes an object of Bucket as a lifecycle rule does.
	Expire func(t T, key string)
	// PushImage pushes an image of the content to a tag, as Docker does.
	PushImage func(t T, repository, tag, content string) (digest string, err error)
	// LogGroup gives how many days a log group keeps its events, 0 for ever, and
	// its tags.
	LogGroup func(t T, name string) (days int32, tags map[string]string)
	// AddQueue makes a queue, FIFO when the name ends in .fifo, and gives its
	// URL. After maxReceives a message goes to the dead letters; 0 is never.
	AddQueue func(t T, name string, visibility time.Duration, maxReceives int, deadLetters string) (url string)
	// Receive gives what can be received from a queue now, as Lambda passes it on.
	Receive func(t T, queueURL string, most int) events.SQSEvent
	// Done deletes received messages.
	Done func(t T, queueURL string, e events.SQSEvent)
	// Pass lets the time of the queues pass.
	Pass func(time.Duration)

	// Parallel lets cases run side by side: Pass waits and moves no clock.
	Parallel bool

	// Gaps holds the cases that the backend is known not to meet, with the
	// reason. Such a case must fail, so that a gap that was closed is noticed.
	Gaps map[string]string

	serial atomic.Int64
	room   sync.RWMutex // held by who leaves no room for builds, read by who starts one
	linked sync.Mutex   // held by who uses the service-linked role of identity providers or of networks
}

// T is what a case needs of *testing.T.
type T interface {
	Context() context.Context
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// testCase is one behaviour.
type testCase struct {
	name string // a sentence
	run  func(T, *Backend)
}

func cases() []testCase {
	return slices.Concat(roleCases(), policyCases(), deletionCases(), serviceLinkedCases(), linkedCases(), networkCases(), accountCases(), objectCases(), queueCases(), eventCases(), sourceCases(), repositoryCases(), logGroupCases(), projectCases(), buildCases(), runtimeCases(), useCases(), adapterCases())
}

// Run runs all cases on a backend.
func Run(t *testing.T, b *Backend) {
	known := map[string]bool{}
	for _, c := range cases() {
		known[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			if b.Parallel {
				t.Parallel()
			}
			judge(t, c, b)
		})
	}
	for name := range b.Gaps {
		if !known[name] {
			t.Errorf("there is no case %q to be a gap", name)
		}
	}
}

// judge runs a case, which must fail when it is a known gap of the backend.
func judge(t T, c testCase, b *Backend) {
	t.Helper()
	why, gap := b.Gaps[c.name]
	if !gap {
		c.run(t, b)
		return
	}
	r := &recorder{ctx: t.Context(), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		c.run(r, b)
	}()
	<-r.done
	if len(r.faults) == 0 {
		t.Errorf("this passes now, but is listed as a gap: %s", why)
	}
}

// recorder keeps the faults of a case that is expected to fail.
type recorder struct {
	ctx    context.Context
	done   chan struct{}
	faults []string
}

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit() // ends the case alone: it has a goroutine of its own
}

// fresh gives a name that no other case uses.
func (b *Backend) fresh(kind string) string {
	return fmt.Sprintf("suite-%s-%d", kind, b.serial.Add(1))
}

// code gives the code of an error as the service sent it, empty for nil.
func code(err error) string {
	if err == nil {
		return ""
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprintf("no API error: %v", err)
}

// wantCode checks the code of an error; several are given where it is not known
// which one AWS answers.
func wantCode(t T, what string, err error, want ...string) {
	t.Helper()
	if got := code(err); !slices.Contains(want, got) {
		t.Errorf("%s: %q, want %q (%v)", what, got, want, err)
	}
}

// must gives the value of a call whose error is not the case's subject, and
// ends the case at an error.
func must[V any](v V, err error) func(T) V {
	return func(t T) V {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
		return v
	}
}

// atOnce runs f n times at the same time and counts the codes of the errors.
func atOnce(n int, f func(i int) error) map[string]int {
	answers := make(chan string, n)
	for i := range n {
		go func() { answers <- code(f(i)) }()
	}
	counts := map[string]int{}
	for range n {
		counts[<-answers]++
	}
	return counts
}
