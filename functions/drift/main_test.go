package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake/wiretest"
	"rolekeeper/shared/event"
	"rolekeeper/shared/settings"
)

const (
	account = "123456789012"
	bucket  = "bedrock-agentcore-configs-123456789012-us-east-1"
	work    = "https://sqs.us-east-1.amazonaws.com/123456789012/work.fifo"
)

const parameterName = "/rolekeeper/stack/settings"

func environment() map[string]string {
	return map[string]string{
		"ACCOUNT_ID": account, "PARTITION": "aws", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"CONFIG_BUCKET": bucket, "SOURCE_BUCKET": "bedrock-agentcore-codebuild-sources-123456789012-us-east-1", "WORK_QUEUE_URL": work,
		"PERMISSION_PROFILE": "scoped", "PERMISSIONS_BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/boundary",
		"ENSURE_SERVICE_LINKED_ROLES": "true", "EXISTING_ROLES": "report", "SETTINGS_PARAMETER": parameterName,
		"BUILD_IMAGE": settings.DefaultBuildImage, "LOG_RETENTION_DAYS": "30",
		"DRIFT_MODE": "report", "UNMANAGED_POLICIES": "remove", "MAX_CHANGES_PER_SWEEP": "10%",
	}
}

// answer has one config, which has no status, and a role that nobody claims.
func answer(r wiretest.Request) (call string, a wiretest.Answer) {
	switch r.Service {
	case "ssm":
		a.Body = `{"Parameter":{"Value":"{}"}}`
	case "sqs":
		var sent struct{ MessageDeduplicationId string } //nolint:revive // as SQS spells it
		_ = json.Unmarshal([]byte(r.Body), &sent)        // nothing of what is no message is in any list
		return r.Call + " " + sent.MessageDeduplicationId, a
	case "iam":
		a.Body = map[string]string{
			"GetAccountAuthorizationDetails": "<RoleDetailList><member>" + role + "</member></RoleDetailList>", "ListRoles": "<Roles><member>" + role + "</member></Roles>",
			"GetPolicy": "<Policy><DefaultVersionId>v1</DefaultVersionId></Policy>",
		}[r.Call]
	case "bedrock-agentcore":
		a.Body = `{"agentRuntimes":[]}`
	case "s3":
		a.Body = map[string]string{
			"list configs/":           `<ListBucketResult><Contents><Key>configs/agent.yaml</Key><LastModified>2026-11-22T12:00:00.000Z</LastModified></Contents></ListBucketResult>`,
			"GET /configs/agent.yaml": "agents: {}",
		}[r.Call]
		if strings.HasPrefix(r.Call, "PUT ") {
			return strings.TrimRight(r.Call, "0123456789TZ.json"), a
		}
	}
	return r.Call, a
}

// role is one with the name of an agent's own, as IAM answers.
const role = "<RoleName>AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789</RoleName><RoleId>AROAEXAMPLE</RoleId>" +
	"<AssumeRolePolicyDocument>%7B%7D</AssumeRolePolicyDocument>"

// standIn answers as well, but denies calls with a word in them.
func standIn(t *testing.T, denied string) (environ map[string]string, made func() []string) {
	t.Helper()
	return wiretest.Start(t, environment(), func(r wiretest.Request) (string, wiretest.Answer) {
		call, a := answer(r)
		if denied != "" && strings.Contains(call, denied) {
			a = wiretest.Answer{Status: 403, Code: "AccessDenied"}
		}
		return call, a
	})
}

func now() time.Time { return time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC) }

func TestTheFunctionIsWiredToTheAccount(t *testing.T) {
	message, err := event.Look{Key: "configs/agent.yaml"}.Message("request-1")
	if err != nil {
		t.Fatal(err)
	}
	send := "SendMessage " + work + " " + message.ID
	parameter, listRuntimes := "GetParameter "+parameterName, "POST /runtimes/"
	latest := "GET /reports/latest.json" // before the pass, and before it is written
	begin := []string{parameter, latest, latest, "GET /slr/service-linked-roles.json", "list configs/"}
	listed := append(slices.Clone(begin), "list status/", "list claims/", "GET /configs/agent.yaml")
	read := append(slices.Clone(listed), "GetAccountAuthorizationDetails", "GetAccountSummary", "GetPolicy", listRuntimes, "ListRoles")
	judged := append(slices.Clone(read), "GET /claims/roles/0123456789.json") // that of the orphan, again
	written := []string{"PUT /reports/drift/", "PUT /reports/latest", "PUT /reports/latest.html"}
	for name, c := range map[string]struct {
		denied string
		want   []string
		log    string
		metric string
	}{
		"a pass": {
			"", slices.Concat(judged, []string{send}, written),
			`"level":"INFO","msg":"passed","configs":1,"roles":0,"drifted":0,"outdated":0,"refused":1,"orphans":1,"due":0,"missed":1,"runtimes":0,"newer":0,"unread":0,"skipped":0,"stopped":false,"enqueued":1,"iamCalls":4}`,
			`"Passes":1`,
		},
		"settings that cannot be read":   {parameter, []string{parameter}, `"level":"ERROR","msg":"settings","error":"`, ""},
		"a bucket that cannot be listed": {"status/", slices.Concat(begin, []string{"list status/"}, written), `"level":"ERROR","msg":"passed","configs":0,`, `"Duration":0`},
		"roles that cannot be listed": { // runtimes, which are listed at the same time, may be or not
			"ListRoles", slices.DeleteFunc(slices.Concat(read, written), func(call string) bool {
				return call == "GetAccountSummary" || call == "GetPolicy" || call == listRuntimes
			}),
			`"enqueued":0,"iamCalls":0,"error":"pass request-1: `, `"Duration":0`,
		},
		"a queue that takes nothing":        {"work.fifo", slices.Concat(judged, []string{send}, written), `"enqueued":0,"iamCalls":4,"error":"pass request-1: configs/agent.yaml`, `"IAMCalls":4`},
		"a report that cannot be put there": {"PUT /reports/latest", slices.Concat(judged, []string{send}, written), `"enqueued":1,"iamCalls":4,"error":"pass request-1: `, `"IAMCalls":4`},
	} {
		t.Run(name, func(t *testing.T) {
			environ, calls := standIn(t, c.denied)
			var log, metrics bytes.Buffer
			handle, err := wire(environ, slog.New(slog.NewJSONHandler(&log, nil)), &metrics, now)
			if err != nil {
				t.Fatal(err)
			}
			// What the schedule sends may be anything.
			ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
			_, err = lambda.NewHandler(handle).Invoke(ctx, []byte(`{"any":["thing"]}`))
			if (err == nil) != (c.denied == "") {
				t.Errorf("error %v", err)
			}
			slices.Sort(c.want)
			got := slices.Sorted(slices.Values(calls())) // those of the services have no order among them
			if c.denied == "ListRoles" {
				got = slices.DeleteFunc(got, func(call string) bool { return call == listRuntimes })
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), c.log) {
				t.Errorf("log %s, want one line with %s", log.String(), c.log)
			}
			if lines := strings.Count(metrics.String(), "\n"); c.metric == "" && lines > 0 || c.metric != "" && lines != 1 || !strings.Contains(metrics.String(), c.metric) {
				t.Errorf("metrics %q, want a line with %s", metrics.String(), c.metric)
			}
		})
	}
}

// A pass that could not say what it found is one that is missing.
func TestAPassWhoseReportIsLostDoesNotCount(t *testing.T) {
	environ, _ := standIn(t, "PUT ")
	var metrics bytes.Buffer
	handle, err := wire(environ, slog.New(slog.DiscardHandler), &metrics, now)
	if err != nil {
		t.Fatal(err)
	}
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
	if err := handle(ctx); err == nil || strings.Contains(metrics.String(), "Passes") {
		t.Errorf("error %v, metrics %s", err, metrics.String())
	}
}

// Lambda ends what takes too long, and nobody would hear of it.
func TestAPassThatTakesTooLongWritesItsReportInTime(t *testing.T) {
	environ, calls := wiretest.Start(t, environment(), func(r wiretest.Request) (string, wiretest.Answer) {
		if r.Call == "list status/" {
			<-r.Context().Done()
		}
		return answer(r)
	})
	var log, metrics bytes.Buffer
	handle, err := wire(environ, slog.New(slog.NewJSONHandler(&log, nil)), &metrics, now)
	if err != nil {
		t.Fatal(err)
	}
	const left = 300 * time.Millisecond
	end := time.Now().Add(reportTime + left)
	ctx, cancel := context.WithDeadline(lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"}), end)
	defer cancel()
	began := time.Now()
	err = handle(ctx)
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < left || took > reportTime/2 {
		t.Errorf("error %v after %s", err, took)
	}
	for _, call := range []string{"PUT /reports/drift/", "PUT /reports/latest", "PUT /reports/latest.html"} {
		if !slices.Contains(calls(), call) {
			t.Errorf("no %s among %q", call, calls())
		}
	}
	if !strings.Contains(log.String(), `"level":"ERROR","msg":"passed"`) || !strings.Contains(metrics.String(), `"Duration"`) || strings.Contains(metrics.String(), `"Passes"`) {
		t.Errorf("log %s, metrics %s", log.String(), metrics.String())
	}
}

func TestMetricsThatCannotBeWrittenFailTheInvocation(t *testing.T) {
	environ, _ := wiretest.Start(t, environment(), answer)
	handle, err := wire(environ, slog.New(slog.DiscardHandler), full{}, now)
	if err != nil {
		t.Fatal(err)
	}
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
	if err := handle(ctx); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v", err)
	}
}

// full is a log that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestAPassWithoutAnIdOfItsOwnIsNotTaken(t *testing.T) {
	environ, calls := wiretest.Start(t, environment(), answer)
	handle, err := wire(environ, slog.New(slog.DiscardHandler), io.Discard, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := handle(context.Background()); err == nil || len(calls()) > 0 {
		t.Errorf("error %v after %v", err, calls())
	}
}

func TestAllMissingVariablesAreNamedAtOnce(t *testing.T) {
	wiretest.Needs(t, environment(), func(environ map[string]string) error {
		_, err := wire(environ, slog.New(slog.DiscardHandler), io.Discard, now)
		return err
	})
}
