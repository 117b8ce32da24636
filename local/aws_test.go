package local_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local"
	"rolekeeper/local/localtest"
	"rolekeeper/local/proxy"
)

const bucket = "uploads-123456789012"

// account is a started local AWS with the small stack of testdata.
type account struct {
	*local.AWS
	s3 *s3.Client
}

func TestStack(t *testing.T) {
	began := time.Now()
	a := localtest.Start(t, local.Options{Template: filepath.Join("testdata", "stack", "template.yaml"), TimeScale: 0.01})
	t.Logf("started in %s", time.Since(began).Round(time.Millisecond))
	w := account{a, s3.NewFromConfig(a.Config("developer"))}

	t.Run("provisioned", func(t *testing.T) { testProvisioned(t, w) })
	t.Run("an upload is worked on", func(t *testing.T) { testFlow(t, w) })
	for _, word := range []string{"fail", "panic", "hang", "report"} {
		t.Run("a worker that is told to "+word+" gets the message again", func(t *testing.T) { testAgain(t, w, word) })
	}
	t.Run("a killed worker gets the message again", func(t *testing.T) { testKill(t, w) })
	t.Run("what fails in a batch does not hold up the rest", func(t *testing.T) { testPartialBatch(t, w) })
	t.Run("an event that cannot be delivered goes to the dead letters", func(t *testing.T) { testUndeliverable(t, w) })
	t.Run("a rule calls a function", func(t *testing.T) { testCall(t, w) })
	t.Run("invoked by hand", func(t *testing.T) { testInvoke(t, w) })
	t.Run("a schedule comes round", func(t *testing.T) { testSchedule(t, w) })
	t.Run("a function that fails on schedule is run again", func(t *testing.T) { testFailingSchedule(t, w) })
	t.Run("a schedule that is refused goes to the dead letters", func(t *testing.T) { testRefusedSchedule(t, w) })
	t.Run("schedules go by the clock", func(t *testing.T) { testSchedulesByTheClock(t, w) })
}

func (a account) upload(t *testing.T, key, text string) {
	t.Helper()
	if _, err := a.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}

func (a account) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := a.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
}

type workerAnswer struct {
	Message events.SQSMessage
	Left    float64
	ARN     string
	Env     []string
}

func (a account) answer(t *testing.T, key string) workerAnswer {
	t.Helper()
	got, err := a.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	var out workerAnswer
	if err := json.NewDecoder(got.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func testProvisioned(t *testing.T, a account) {
	s := a.Stack()
	want := map[string]string{"Bucket": bucket, "WorkQueueUrl": a.Endpoint() + "/123456789012/rolekeeper-Work.fifo"}
	if diff := cmp.Diff(want, s.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	if _, made := s.Resources["Unwanted"]; made {
		t.Error("a resource was made whose condition does not hold")
	}
	if !s.Resources["InboxPolicy"].Held || s.Resources["Uploads"].Held {
		t.Error("held: queue policies are, buckets are not")
	}
	f := s.Functions["worker"]
	wantEnv := map[string]string{"BUCKET": bucket, "TAG": "b", "REGIONS": "us,east,1"}
	if diff := cmp.Diff(wantEnv, f.Environment); diff != "" || f.Timeout != 2*time.Second || f.Role != "worker-us-east-1" {
		t.Errorf("worker: %+v (-want +got):\n%s", f, diff)
	}
	if !strings.Contains(string(f.Policies["worker"]), `"arn:aws:s3:::uploads-123456789012/*"`) {
		t.Errorf("the worker's policy is %s", f.Policies["worker"])
	}
	role, err := iam.NewFromConfig(a.Config("developer")).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("worker-us-east-1")})
	if err != nil || aws.ToString(role.Role.PermissionsBoundary.PermissionsBoundaryArn) != "arn:aws:iam::123456789012:policy/test-boundary" {
		t.Errorf("the worker's role: %+v, %v", role, err)
	}
	if calls := a.Calls(proxy.Filter{Caller: local.Deployer}); len(calls) != 0 {
		t.Errorf("%d calls of the deployment are in the log", len(calls))
	}
}

func testFlow(t *testing.T, a account) {
	a.upload(t, "in/one", "hello")
	a.settle(t)
	got := a.answer(t, "out/one")
	m := got.Message
	if m.Body != "in/one" || m.EventSource != "aws:sqs" || m.AWSRegion != "us-east-1" || m.EventSourceARN != "arn:aws:sqs:us-east-1:123456789012:rolekeeper-Work.fifo" {
		t.Errorf("message: %+v", m)
	}
	for _, name := range []string{"ApproximateReceiveCount", "SentTimestamp", "MessageGroupId", "MessageDeduplicationId", "SequenceNumber", "SenderId", "ApproximateFirstReceiveTimestamp"} {
		if m.Attributes[name] == "" {
			t.Errorf("the message has no attribute %s", name)
		}
	}
	if got.Left <= 1 || got.Left > 2 || got.ARN != a.Stack().Functions["worker"].ARN {
		t.Errorf("%.1f s left of 2, function %s", got.Left, got.ARN)
	}
	for _, e := range got.Env {
		name, _, _ := strings.Cut(e, "=")
		if name == "HOME" || name == "AWS_CA_BUNDLE" || name == "AWS_PROFILE" {
			t.Errorf("the function sees our %s", name)
		}
	}
	if !slices.Contains(got.Env, "AWS_LAMBDA_LOG_FORMAT=JSON") || !slices.Contains(got.Env, "AWS_ENDPOINT_URL="+a.Endpoint()) {
		t.Errorf("environment: %q", got.Env)
	}
	var operations []string
	for _, c := range a.Calls(proxy.Filter{Caller: "worker"}) {
		operations = append(operations, c.Operation+" "+c.Resource)
	}
	if diff := cmp.Diff([]string{"GetObject " + bucket + "/in/one", "PutObject " + bucket + "/out/one"}, operations); diff != "" {
		t.Errorf("the worker's calls (-want +got):\n%s", diff)
	}
	if n := len(a.Calls(proxy.Filter{Caller: local.EventBridge})); n != 1 {
		t.Errorf("%d events were delivered, want 1: out/ matches no rule", n)
	}
	if !slices.Contains(a.Logs("worker"), "working on in/one") {
		t.Errorf("the worker's log: %q", a.Logs("worker"))
	}
	if errs := a.Errors(); len(errs) != 0 {
		t.Errorf("errors of the local AWS: %v", errs)
	}
}

func testAgain(t *testing.T, a account, word string) {
	a.upload(t, "in/"+word, word)
	a.settle(t)
	if n := a.answer(t, "out/"+word).Message.Attributes["ApproximateReceiveCount"]; n != "2" {
		t.Errorf("received %s times, want 2", n)
	}
}

func testKill(t *testing.T, a account) {
	var killed atomic.Int32
	remove := a.Proxy().AddHook(proxy.Hook{Before: func(c proxy.Call) proxy.Verdict {
		if c.Caller != "worker" || c.Operation != "PutObject" || killed.Load() > 0 {
			return proxy.Continue
		}
		killed.Store(int32(a.Kill("worker"))) //nolint:gosec // a handful
		return proxy.Drop
	}})
	defer remove()
	a.upload(t, "in/killed", "hello")
	a.settle(t)
	if killed.Load() == 0 {
		t.Error("no process was killed")
	}
	if n := a.answer(t, "out/killed").Message.Attributes["ApproximateReceiveCount"]; n != "2" {
		t.Errorf("received %s times, want 2", n)
	}
}

func testPartialBatch(t *testing.T, a account) {
	c := sqs.NewFromConfig(a.Config("developer"))
	inbox := a.Stack().Resources["Inbox"].PhysicalID
	good := `{"detail":{"object":{"key":"in/one"}}}`
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &inbox, MessageBody: aws.String("bad")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &inbox, MessageBody: &good}); err != nil {
		t.Fatal(err)
	}
	a.settle(t)
	dead := a.Stack().Resources["DeadLetters"].PhysicalID
	got, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &dead, MaxNumberOfMessages: 10})
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for _, m := range got.Messages {
		bodies = append(bodies, *m.Body)
	}
	if diff := cmp.Diff([]string{"bad"}, bodies); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func testUndeliverable(t *testing.T, a account) {
	fault := a.InjectFault(proxy.Fault{Caller: local.EventBridge, Resource: "rolekeeper-Inbox", Kind: proxy.Denied})
	defer fault.Remove()
	a.upload(t, "in/undelivered", "hello")
	a.settle(t)
	if n := len(a.Calls(proxy.Filter{Caller: local.EventBridge, Resource: "rolekeeper-DeadLetters"})); n != 1 {
		t.Errorf("%d events in the dead letters, want 1", n)
	}
}

func testCall(t *testing.T, a account) {
	invoked := func() (n int) {
		for _, line := range a.Logs("worker") {
			if strings.HasPrefix(line, "invocation ") {
				n++
			}
		}
		return n
	}
	calls, dead := proxy.Filter{Caller: local.EventBridge, Operation: "Invoke"}, proxy.Filter{Caller: local.EventBridge, Resource: "rolekeeper-DeadLetters"}
	before, undelivered := invoked(), len(a.Calls(dead))
	a.upload(t, "call/it", "hello")
	a.settle(t)
	got := a.Calls(calls)
	if len(got) != 1 || got[0].Service != "lambda" || got[0].Resource != a.Stack().Functions["worker"].Name || got[0].Status != http.StatusAccepted {
		t.Errorf("EventBridge called %+v", got)
	}
	if n := invoked(); n != before+1 {
		t.Errorf("the worker ran %d times, want once", n-before)
	}
	if n := len(a.Calls(proxy.Filter{Caller: local.EventBridge, Operation: "SendMessage", Resource: "rolekeeper-Told"})); n != 1 {
		t.Errorf("the rule's other target was told %d times, want once", n)
	}
	defer a.InjectFault(proxy.Fault{Caller: local.EventBridge, Operation: "Invoke", Kind: proxy.Denied}).Remove()
	a.upload(t, "call/in-vain", "hello")
	a.settle(t)
	if n := len(a.Calls(dead)); n != undelivered+1 || invoked() != before+1 {
		t.Errorf("a call that is denied: %d dead letters, want 1; %d runs", n-undelivered, invoked()-before-1)
	}
}

func testInvoke(t *testing.T, a account) {
	resp, err := http.Post(a.Endpoint()+"/_local/invoke/relay", "application/json", strings.NewReader(`{"Records":[{"messageId":"m","body":"bad"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != `{"batchItemFailures":[{"itemIdentifier":"m"}]}` {
		t.Errorf("status %d, %s, %v", resp.StatusCode, body, err)
	}
	result, err := a.Invoke(t.Context(), "worker", []byte(`{"Records":[{"body":"in/missing"}]}`))
	if err != nil || result.Failure == "" || !strings.Contains(string(result.Payload), "NoSuchKey") {
		t.Errorf("result %+v, payload %s, %v", result, result.Payload, err)
	}
	if _, err := a.Invoke(t.Context(), "nobody", nil); err == nil {
		t.Error("a function that does not exist was invoked")
	}
}

const scheduled = local.Scheduler + "worker"

func testSchedule(t *testing.T, a account) {
	a.upload(t, "in/scheduled", "hello")
	a.settle(t)
	if len(a.Stack().Schedules) != 1 {
		t.Fatalf("schedules: %+v", a.Stack().Schedules)
	}
	s := a.Stack().Schedules[0]
	every, ok := s.Every()
	if s.Name != "rounds" || s.Role != "rolekeeper-RoundsRole" || s.Function.Short != "worker" || every != time.Minute || !ok ||
		!strings.Contains(string(s.Policies["rounds"]), s.Function.ARN) || a.Stack().Resources["WorkerFunctionRounds"].Held {
		t.Errorf("the schedule is %+v", s)
	}
	result, err := a.RunSchedule(t.Context(), "worker")
	if err != nil || result.Failure != "" {
		t.Errorf("result %+v, %v", result, err)
	}
	if !slices.Contains(a.Logs("worker"), "invocation "+result.RequestID) {
		t.Errorf("the worker did not see the request %s: %q", result.RequestID, a.Logs("worker"))
	}
	calls := a.Calls(proxy.Filter{Caller: scheduled})
	if len(calls) != 1 || calls[0].Service != "lambda" || calls[0].Operation != "Invoke" || calls[0].Resource != s.Function.Name || calls[0].Status != http.StatusAccepted {
		t.Errorf("Scheduler called %+v", calls)
	}
	for _, function := range []string{"relay", "nobody"} {
		if _, err := a.RunSchedule(t.Context(), function); err == nil {
			t.Errorf("%s has a schedule", function)
		}
	}
}

func testFailingSchedule(t *testing.T, a account) {
	a.upload(t, "in/scheduled", "fail")
	a.settle(t)
	result, err := a.RunSchedule(t.Context(), "worker")
	if err != nil || result.Failure != "errorString" {
		t.Errorf("result %+v, %v", result, err)
	}
	runs := 0
	for _, line := range a.Logs("worker") {
		if line == "invocation "+result.RequestID {
			runs++
		}
	}
	if runs != 3 {
		t.Errorf("%d runs of the one invocation, want 3", runs)
	}
	a.upload(t, "in/scheduled", "hello")
	a.settle(t)
}

func testRefusedSchedule(t *testing.T, a account) {
	once := a.InjectFault(proxy.Fault{Caller: scheduled, Operation: "Invoke", Kind: proxy.ServerError, Count: 1})
	if _, err := a.RunSchedule(t.Context(), "worker"); err != nil || once.Hits() != 1 {
		t.Errorf("a call that fails once: %v", err)
	}
	once.Remove()
	dead := func() int {
		return len(a.Calls(proxy.Filter{Caller: scheduled, Operation: "SendMessage", Resource: "rolekeeper-DeadLetters"}))
	}
	if n := dead(); n != 0 {
		t.Errorf("%d dead letters of calls that were taken", n)
	}
	defer a.InjectFault(proxy.Fault{Caller: scheduled, Operation: "Invoke", Kind: proxy.Denied}).Remove()
	if _, err := a.RunSchedule(t.Context(), "worker"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("a call that is denied: %v", err)
	}
	if n := dead(); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}

func testSchedulesByTheClock(t *testing.T, a account) {
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	began := len(a.Calls(proxy.Filter{Caller: scheduled, Operation: "Invoke"}))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.RunSchedules(ctx)
	}()
	for len(a.Calls(proxy.Filter{Caller: scheduled, Operation: "Invoke"})) < began+2 {
		select {
		case <-ctx.Done():
			t.Fatal("the schedule did not come round twice")
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	<-ended
	if errs := a.Errors(); len(errs) != 0 {
		t.Errorf("errors of the local AWS: %v", errs)
	}
}
