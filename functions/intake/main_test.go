package main

import (
	"crypto/md5" //nolint:gosec // what SQS answers
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/naming"
)

const queues = "https://sqs.us-east-1.amazonaws.com/123456789012/"

func environment() map[string]string {
	return map[string]string{
		"ACCOUNT_ID": "123456789012", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"CONFIG_BUCKET":      "bedrock-agentcore-configs-123456789012-us-east-1",
		"SOURCE_BUCKET":      "bedrock-agentcore-codebuild-sources-123456789012-us-east-1",
		"RECONCILE_ROLE_ARN": "arn:aws:iam::123456789012:role/rolekeeper-reconcile-us-east-1",
		"INBOX_QUEUE_URL":    queues + "inbox", "INBOX_DEAD_LETTER_QUEUE_URL": queues + "inbox-dead", "WORK_QUEUE_URL": queues + "work.fifo",
	}
}

// standIn stands for SQS and S3 on the loopback device, denies calls about one
// queue, and keeps them all: operation and name of the queue, or method and path.
// All objects are the claim of one agent. The function finds it by the environment.
func standIn(t *testing.T, denied string) (environ map[string]string, made func() []string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			URL  string `json:"QueueUrl"`
			Body string `json:"MessageBody"`
		}
		if r.Method == http.MethodGet {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, "GET "+r.URL.Path)
			_, _ = io.WriteString(w, `{"v":1,"config":"configs/agent.yaml","agent":"my_agent"}`)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &in) != nil {
			http.Error(w, "not understood", http.StatusBadRequest)
			return
		}
		queue := strings.TrimPrefix(in.URL, queues)
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")+" "+queue)
		if queue == denied {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"__type":"AccessDenied","message":"no"}`)
			return
		}
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

func TestTheFunctionIsWiredToItsQueues(t *testing.T) {
	sample := func(name string) string {
		text, err := os.ReadFile("../../events/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const bucket = "GET /bedrock-agentcore-configs-123456789012-us-east-1/"
	uploaded := sample("s3-config-uploaded.json")
	for name, c := range map[string]struct {
		body   string
		denied string
		want   []string
		back   int
	}{
		"an upload goes to the work queue": {uploaded, "", []string{"SendMessage work.fifo"}, 0},
		"a source goes to the work queue by its agent's claim": {
			sample("s3-source-uploaded.json"), "", []string{bucket + naming.RoleClaimKey("my_agent"), "SendMessage work.fifo"}, 0,
		},
		"a build goes to the work queue by its project's claim": {
			sample("codebuild-build-ended.json"), "", []string{bucket + naming.ProjectClaimKey("my_agent"), "SendMessage work.fifo"}, 0,
		},
		"a runtime goes to the work queue by its agent's claim": {
			sample("cloudtrail-runtime-deleted.json"), "", []string{bucket + naming.RoleClaimKey("my_agent"), "SendMessage work.fifo"}, 0,
		},
		"a role goes to the work queue by its agent's claim": {
			sample("cloudtrail-role-edited.json"), "", []string{bucket + naming.RoleClaimKey("my_agent"), "SendMessage work.fifo"}, 0,
		},
		"what reconcile did to a role itself goes nowhere": {sample("cloudtrail-role-edited-by-rolekeeper.json"), "", nil, 0},
		"poison goes to the inbox's dead letters":          {"{", "", []string{"SendMessage inbox-dead"}, 0},
		"what cannot be sent is kept for a new try":        {uploaded, "work.fifo", []string{"SendMessage work.fifo", "ChangeMessageVisibility inbox"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			environ, calls := standIn(t, c.denied)
			batch, err := wire(environ, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			out, err := batch.Lambda(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", ReceiptHandle: "r", Body: c.body}}})
			if err != nil || len(out.BatchItemFailures) != c.back {
				t.Errorf("response %+v, %v", out, err)
			}
			if diff := cmp.Diff(c.want, calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllMissingVariablesAreNamedAtOnce(t *testing.T) {
	for _, missing := range slices.Sorted(maps.Keys(environment())) {
		t.Run(missing, func(t *testing.T) {
			environ := environment()
			delete(environ, missing)
			if _, err := wire(environ, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), missing) {
				t.Errorf("error %v does not name %s", err, missing)
			}
		})
	}
	_, err := wire(map[string]string{}, slog.New(slog.DiscardHandler))
	for name := range environment() {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
}
