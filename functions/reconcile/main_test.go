package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolekeeper/shared/awsfake/wiretest"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/settings"
)

const (
	parameterName = "/rolekeeper/stack/settings"
	account       = "123456789012"
	bucket        = "bedrock-agentcore-configs-123456789012-us-east-1"
	queues        = "https://sqs.us-east-1.amazonaws.com/123456789012/"
	toInbox       = "SendMessage " + queues + "inbox"
	toDeadLetters = "SendMessage " + queues + "work-dead.fifo"
	backToWork    = "ChangeMessageVisibility " + queues + "work.fifo"
	work          = `{"v":1,"key":"configs/team/agent.yaml","hints":[]}`
)

func environment() map[string]string {
	return map[string]string{
		"ACCOUNT_ID": account, "PARTITION": "aws", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"CONFIG_BUCKET": bucket, "SOURCE_BUCKET": "bedrock-agentcore-codebuild-sources-123456789012-us-east-1",
		"INBOX_QUEUE_URL": queues + "inbox", "WORK_QUEUE_URL": queues + "work.fifo", "WORK_DEAD_LETTER_QUEUE_URL": queues + "work-dead.fifo",
		"PERMISSION_PROFILE": "scoped", "PERMISSIONS_BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/boundary",
		"ENSURE_SERVICE_LINKED_ROLES": "true", "EXISTING_ROLES": "report", "DRIFT_MODE": "report", "UNMANAGED_POLICIES": "remove", "SETTINGS_PARAMETER": parameterName,
		"GRACE_PERIOD": "24h", "MAX_DELETES_PER_HOUR": "20", "DELETE_REPOSITORIES": "false", "BUILD_IMAGE": settings.DefaultBuildImage, "LOG_RETENTION_DAYS": "30",
	}
}

// demanding is a config that asks for what the default lists do not allow.
const demanding = `
agents:
  a:
    name: a
    entrypoint: main.py
    aws:
      ecr_repository: team/app
`

// standIn answers reads below configs/ with the status, and an error or a config.
func standIn(t *testing.T, status int, code string, parameter *string) (environ map[string]string, made func() []string) {
	t.Helper()
	return wiretest.Start(t, environment(), func(r wiretest.Request) (call string, a wiretest.Answer) {
		switch isConfig := strings.HasPrefix(r.Call, "GET /configs/"); {
		case r.Service == "ssm" && *parameter == "throttled":
			a = wiretest.Answer{Status: 400, Code: "ThrottlingException"}
		case r.Service == "ssm":
			a.Body = fmt.Sprintf(`{"Parameter":{"Value":%q}}`, *parameter)
		case r.Service == "events":
			a.Body = `{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`
		case r.Service == "iam":
			a = wiretest.Answer{Status: 503, Code: "ServiceUnavailable"}
		case isConfig && status == 200:
			a.Body = demanding
		case isConfig:
			a = wiretest.Answer{Status: status, Code: code}
		}
		return r.Call, a
	})
}

func TestTheFunctionIsWiredToItsBucketAndQueues(t *testing.T) {
	const config, status = "GET /configs/team/agent.yaml", "PUT /status/team/agent.yaml.json"
	for name, c := range map[string]struct {
		body     string
		receives string
		status   int
		code     string
		want     []string // in any order, others may be between
		never    []string
		back     int
	}{
		"poison goes to the work queue's dead letters": {
			"{", "1", 0, "", []string{toDeadLetters}, []string{config}, 0,
		},
		"what cannot be read is kept for a new try": {
			work, "1", 403, "AccessDenied", []string{config, backToWork}, []string{status, toDeadLetters}, 1,
		},
		"what stays throttled is answered, and woken through the inbox": {
			work, "5", 503, "SlowDown", []string{config, toInbox, status}, []string{toDeadLetters}, 0,
		},
		"what stays denied is answered and goes to the dead letters": {
			work, "5", 403, "AccessDenied", []string{config, status, toDeadLetters}, []string{toInbox}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			parameter := "{}"
			environ, calls := standIn(t, c.status, c.code, &parameter)
			handle, err := wire(t.Context(), environ, slog.New(slog.DiscardHandler), io.Discard, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			out, err := handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{
				MessageId: "m", ReceiptHandle: "r", Body: c.body,
				Attributes: map[string]string{"ApproximateReceiveCount": c.receives, "MessageGroupId": "g"},
			}}})
			if err != nil || len(out.BatchItemFailures) != c.back {
				t.Errorf("response %+v, %v", out, err)
			}
			for _, want := range c.want {
				if !slices.Contains(calls(), want) {
					t.Errorf("no call %q in %q", want, calls())
				}
			}
			for _, never := range c.never {
				if slices.Contains(calls(), never) {
					t.Errorf("call %q in %q", never, calls())
				}
			}
		})
	}
}

func TestThePipelineIsWiredToWhatMakesImages(t *testing.T) {
	const sources = "bedrock-agentcore-codebuild-sources-123456789012-us-east-1"
	environ, calls := wiretest.Start(t, environment(), func(r wiretest.Request) (string, wiretest.Answer) {
		operation, input := r.Header.Get("X-Amz-Target"), r.Body
		if operation == "" {
			operation, input = r.Method+" "+r.URL.RequestURI(), r.Header.Get("X-Amz-Expected-Bucket-Owner")
		}
		return operation + " " + input, wiretest.Answer{Status: 403, Code: "AccessDenied"}
	})
	s, err := settings.LoadReconcile(environ)
	if err != nil {
		t.Fatal(err)
	}
	ac, err := settings.AWS(environ)
	if err != nil {
		t.Fatal(err)
	}
	p, err := reconciler(s, ac, sqs.NewFromConfig(ac), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for want, call := range map[string]func() error{
		"GET /" + sources + "/agent/source.zip?x-id=GetObject " + account: func() error {
			_, err := p.Sources.Source(t.Context(), "agent/source.zip", "")
			return err
		},
		`AmazonEC2ContainerRegistry_V20150921.DescribeRepositories {"registryId":"` + account + `","repositoryNames":["r"]}`: func() error {
			_, err := p.Repositories.Head(t.Context(), "r")
			return err
		},
		`CodeBuild_20161006.BatchGetProjects {"names":["p"]}`: func() error {
			_, err := p.Projects.Read(t.Context(), []string{"p"})
			return err
		},
		`Logs_20140328.PutRetentionPolicy {"logGroupName":"g","retentionInDays":7}`: func() error { return p.LogGroups.Retain(t.Context(), "g", 7) },
	} {
		before := len(calls())
		if err := call(); err == nil || !slices.Equal(calls()[before:], []string{want}) {
			t.Errorf("calls %q, %v; want %q and an error", calls()[before:], err, want)
		}
	}
	if p.Env.BuildImage != settings.DefaultBuildImage || p.Env.LogRetentionDays != 30 {
		t.Errorf("builds run in %q, their logs are kept %d days", p.Env.BuildImage, p.Env.LogRetentionDays)
	}
	if p.Drift != plan.ReportDrift || p.Unmanaged != plan.RemoveUnmanaged {
		t.Errorf("of drift becomes %q, of policies of others %q", p.Drift, p.Unmanaged)
	}
}

func TestAllMissingVariablesAreNamedAtOnce(t *testing.T) {
	wiretest.Needs(t, environment(), func(environ map[string]string) error {
		_, err := wire(t.Context(), environ, slog.New(slog.DiscardHandler), io.Discard, time.Now)
		return err
	})
}

func TestAMalformedParameterIsAFaultAtTheStart(t *testing.T) {
	parameter := `{"AllowedMemories":["arn:aws:bedrock-agentcore:us-east-1:*:memory/all"],"TeamTag":"a b","SourceBucketName":"A"}`
	environ, calls := standIn(t, 0, "", &parameter)
	_, err := wire(t.Context(), environ, slog.New(slog.DiscardHandler), io.Discard, time.Now)
	for _, want := range []string{"AllowedMemories", "TeamTag", "SourceBucketName"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	if want := []string{"GetParameter " + parameterName}; !slices.Equal(calls(), want) {
		t.Errorf("calls %v, want %v", calls(), want)
	}
}

// invoke has the function handle one message, received for the n-th time.
func invoke(t *testing.T, handle handler, n int) (back int, err error) {
	t.Helper()
	out, err := handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "m", ReceiptHandle: "r", Body: work, Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(n), "MessageGroupId": "g"},
	}}})
	return len(out.BatchItemFailures), err
}

func TestListsThatChangeReachARunningFunction(t *testing.T) {
	parameter := `{"AllowedRepositories":["team/*"]}`
	environ, calls := standIn(t, 200, "", &parameter)
	now := time.Now()
	handle, err := wire(t.Context(), environ, slog.New(slog.DiscardHandler), io.Discard, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	taken := func() bool {
		return slices.ContainsFunc(calls(), func(c string) bool { return strings.HasPrefix(c, "PUT /claims/roles/") })
	}
	parameter = `{"AllowedRepositories":[]}`
	if _, err := invoke(t, handle, 1); err != nil || !taken() {
		t.Errorf("by the lists of the start: %v, calls %q", err, calls())
	}
	now = now.Add(settings.MaxAge + time.Second)
	before := len(calls())
	if _, err := invoke(t, handle, 1); err != nil {
		t.Error(err)
	}
	if later := calls()[before:]; slices.ContainsFunc(later, func(c string) bool { return strings.Contains(c, "/claims/roles/") }) ||
		!slices.Contains(later, "PUT /status/team/agent.yaml.json") {
		t.Errorf("by the lists as they are now: %q", later)
	}

	// What is malformed is an error of the function; what time mends goes back to the queue.
	now = now.Add(settings.MaxAge + time.Second)
	parameter = `{"AllowedRepositories":["a b"]}`
	if _, err := invoke(t, handle, 1); err == nil {
		t.Error("malformed lists are taken")
	}
	parameter = "throttled"
	before = len(calls())
	if back, err := invoke(t, handle, 1); err != nil || back != 1 || !slices.Contains(calls()[before:], backToWork) {
		t.Errorf("throttled: %d back, %v, %q", back, err, calls()[before:])
	}
	before = len(calls())
	if back, err := invoke(t, handle, 5); err != nil || back != 0 || !slices.Contains(calls()[before:], toInbox) ||
		!slices.Contains(calls()[before:], "PUT /status/team/agent.yaml.json") {
		t.Errorf("still throttled: %d back, %v, %q", back, err, calls()[before:])
	}
}

func TestWhatWasRepairedIsCounted(t *testing.T) {
	for repaired, want := range map[int]string{0: "", 3: `"Repaired":3`} {
		var line strings.Builder
		if err := count(&line, reconcile.Result{Repaired: repaired}, time.Now()); err != nil || !strings.Contains(line.String(), want) || (line.String() == "") != (repaired == 0) {
			t.Errorf("%d: %q, %v", repaired, line.String(), err)
		}
	}
	if err := count(denied{}, reconcile.Result{Repaired: 1}, time.Now()); err == nil {
		t.Error("that nothing could be written is no error")
	}
}

// denied is where nothing can be written.
type denied struct{}

func (denied) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
