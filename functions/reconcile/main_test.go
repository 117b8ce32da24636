package main

import (
	"crypto/md5" //nolint:gosec // what SQS answers
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/settings"
)

const (
	parameterName = "/rolekeeper/stack/settings"
	account       = "123456789012"
	bucket        = "bedrock-agentcore-configs-123456789012-us-east-1"
	queues        = "https://sqs.us-east-1.amazonaws.com/123456789012/"
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

// standIn stands for S3, SQS and Systems Manager on the loopback device, answers
// reads below configs/ with the status, and an error or a config, and keeps all calls: operation and name of
// the queue or parameter, or method and path. The function finds it by the
// environment.
func standIn(t *testing.T, status int, code string, parameter *string) (environ map[string]string, made func() []string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	s3Error := func(w http.ResponseWriter, status int, code string) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM."); ok {
			var in struct{ Name string }
			if err := json.Unmarshal(body, &in); err != nil {
				t.Error(err)
			}
			calls = append(calls, operation+" "+in.Name)
			if *parameter == "throttled" {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"__type":"ThrottlingException"}`)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]string{"Name": in.Name, "Value": *parameter}})
			return
		}
		switch target := r.Header.Get("X-Amz-Target"); {
		case target == "AWSEvents.PutEvents":
			_, _ = io.WriteString(w, `{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`)
			return
		case target == "" && r.URL.Path == "/": // IAM
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		operation, isSQS := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
		if !isSQS {
			calls = append(calls, r.Method+" "+r.URL.Path)
			if owner := r.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != account {
				t.Errorf("%s %s expects owner %q", r.Method, r.URL.Path, owner)
			}
			switch {
			case status == http.StatusOK && strings.HasPrefix(r.URL.Path, "/"+bucket+"/configs/"):
				_, _ = io.WriteString(w, demanding)
			case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/"+bucket+"/configs/"):
				s3Error(w, status, code)
			case r.Method == http.MethodGet:
				s3Error(w, http.StatusNotFound, "NoSuchKey")
			}
			return
		}
		var in struct {
			URL  string `json:"QueueUrl"`
			Body string `json:"MessageBody"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		calls = append(calls, operation+" "+strings.TrimPrefix(in.URL, queues))
		sum := md5.Sum([]byte(in.Body)) //nolint:gosec // what SQS answers
		_ = json.NewEncoder(w).Encode(map[string]string{"MessageId": "1", "MD5OfMessageBody": hex.EncodeToString(sum[:])})
	}))
	t.Cleanup(server.Close)
	environ = environment()
	maps.Copy(environ, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_MAX_ATTEMPTS": "1"})
	return environ, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
}

func TestTheFunctionIsWiredToItsBucketAndQueues(t *testing.T) {
	const config, status = "GET /" + bucket + "/configs/team/agent.yaml", "PUT /" + bucket + "/status/team/agent.yaml.json"
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
			"{", "1", 0, "", []string{"SendMessage work-dead.fifo"}, []string{config}, 0,
		},
		"what cannot be read is kept for a new try": {
			work, "1", 403, "AccessDenied", []string{config, "ChangeMessageVisibility work.fifo"}, []string{status, "SendMessage work-dead.fifo"}, 1,
		},
		"what stays throttled is answered, and woken through the inbox": {
			work, "5", 503, "SlowDown", []string{config, "SendMessage inbox", status}, []string{"SendMessage work-dead.fifo"}, 0,
		},
		"what stays denied is answered and goes to the dead letters": {
			work, "5", 403, "AccessDenied", []string{config, status, "SendMessage work-dead.fifo"}, []string{"SendMessage inbox"}, 0,
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
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		operation := r.Header.Get("X-Amz-Target")
		if operation == "" {
			operation, body = r.Method+" "+r.URL.RequestURI(), []byte(r.Header.Get("X-Amz-Expected-Bucket-Owner"))
		}
		calls = append(calls, operation+" "+string(body))
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	environ := environment()
	maps.Copy(environ, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_MAX_ATTEMPTS": "1"})
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
		calls = nil
		if err := call(); err == nil || !slices.Equal(calls, []string{want}) {
			t.Errorf("calls %q, %v; want %q and an error", calls, err, want)
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
	for _, missing := range slices.Sorted(maps.Keys(environment())) {
		t.Run(missing, func(t *testing.T) {
			environ := environment()
			delete(environ, missing)
			if _, err := wire(t.Context(), environ, slog.New(slog.DiscardHandler), io.Discard, time.Now); err == nil || !strings.Contains(err.Error(), missing) {
				t.Errorf("error %v does not name %s", err, missing)
			}
		})
	}
	_, err := wire(t.Context(), map[string]string{}, slog.New(slog.DiscardHandler), io.Discard, time.Now)
	for name := range environment() {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
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
	environ, calls := standIn(t, http.StatusOK, "", &parameter)
	now := time.Now()
	handle, err := wire(t.Context(), environ, slog.New(slog.DiscardHandler), io.Discard, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	taken := func() bool {
		return slices.ContainsFunc(calls(), func(c string) bool { return strings.HasPrefix(c, "PUT /"+bucket+"/claims/roles/") })
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
		!slices.Contains(later, "PUT /"+bucket+"/status/team/agent.yaml.json") {
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
	if back, err := invoke(t, handle, 1); err != nil || back != 1 || !slices.Contains(calls()[before:], "ChangeMessageVisibility work.fifo") {
		t.Errorf("throttled: %d back, %v, %q", back, err, calls()[before:])
	}
	before = len(calls())
	if back, err := invoke(t, handle, 5); err != nil || back != 0 || !slices.Contains(calls()[before:], "SendMessage inbox") ||
		!slices.Contains(calls()[before:], "PUT /"+bucket+"/status/team/agent.yaml.json") {
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
