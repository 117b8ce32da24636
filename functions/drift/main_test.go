package main

import (
	"bytes"
	"context"
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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
)

const (
	account = "123456789012"
	bucket  = "bedrock-agentcore-configs-123456789012-us-east-1"
	work    = "https://sqs.us-east-1.amazonaws.com/123456789012/work.fifo"
)

func environment() map[string]string {
	return map[string]string{
		"ACCOUNT_ID": account, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"CONFIG_BUCKET": bucket, "WORK_QUEUE_URL": work,
	}
}

// standIn stands for S3, AgentCore and SQS on the loopback device, denies calls
// with a word in them, and keeps them all. There is one config, which has no
// status, and one runtime. The function finds it by the environment.
func standIn(t *testing.T, denied string) (environ map[string]string, made func() []string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var sent struct{ QueueUrl, MessageBody, MessageDeduplicationId string } //nolint:revive // as SQS spells them
		call := r.Method + " " + r.URL.Path + " " + r.URL.Query().Get("prefix")
		if operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS."); ok {
			if err := json.Unmarshal(body, &sent); err != nil {
				t.Error(err)
			}
			call = operation + " " + sent.QueueUrl + " " + sent.MessageDeduplicationId
		}
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call)
		switch {
		case denied != "" && strings.Contains(call, denied):
			w.WriteHeader(http.StatusForbidden)
		case sent.QueueUrl != "":
			sum := md5.Sum([]byte(sent.MessageBody)) //nolint:gosec // what SQS answers
			_ = json.NewEncoder(w).Encode(map[string]string{"MessageId": "1", "MD5OfMessageBody": hex.EncodeToString(sum[:])})
		case strings.HasPrefix(r.URL.Path, "/runtimes"):
			_, _ = io.WriteString(w, `{"agentRuntimes":[]}`)
		case r.Header.Get("X-Amz-Expected-Bucket-Owner") != account:
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Query().Get("prefix") == "configs/":
			_, _ = io.WriteString(w, `<ListBucketResult><Contents><Key>configs/agent.yaml</Key><LastModified>2026-11-22T12:00:00.000Z</LastModified></Contents></ListBucketResult>`)
		default:
			_, _ = io.WriteString(w, `<ListBucketResult></ListBucketResult>`)
		}
	}))
	t.Cleanup(server.Close)
	environ = environment()
	maps.Copy(environ, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_MAX_ATTEMPTS": "1"})
	return environ, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(calls)
	}
}

func now() time.Time { return time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC) }

func TestTheFunctionIsWiredToItsBucketAndQueue(t *testing.T) {
	message, err := event.Look{Key: "configs/agent.yaml"}.Message("request-1")
	if err != nil {
		t.Fatal(err)
	}
	configs, statuses, runtimes, send := "GET /"+bucket+" configs/", "GET /"+bucket+" status/", "POST /runtimes/ ", "SendMessage "+work+" "+message.ID
	for name, c := range map[string]struct {
		denied string
		want   []string
		log    string
	}{
		"a pass":                         {"", []string{configs, statuses, runtimes, send}, `"level":"INFO","msg":"passed","configs":1,"due":0,"missed":1,"runtimes":0,"newer":0,"unread":0,"skipped":0,"enqueued":1}`},
		"a bucket that cannot be listed": {"status/", []string{configs, statuses}, `"level":"ERROR","msg":"passed","configs":1,`},
		"runtimes that cannot be listed": {"runtimes", []string{configs, statuses, runtimes, send}, `"enqueued":1,"error":"pass request-1: list runtimes: `},
		"a queue that takes nothing":     {"work.fifo", []string{configs, statuses, runtimes, send}, `"enqueued":0,"error":"pass request-1: configs/agent.yaml`},
	} {
		t.Run(name, func(t *testing.T) {
			environ, calls := standIn(t, c.denied)
			var log bytes.Buffer
			handle, err := wire(environ, slog.New(slog.NewJSONHandler(&log, nil)), now)
			if err != nil {
				t.Fatal(err)
			}
			// What the schedule sends may be anything.
			ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
			_, err = lambda.NewHandler(handle).Invoke(ctx, []byte(`{"any":["thing"]}`))
			if (err == nil) != (c.denied == "") {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(c.want, calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), c.log) {
				t.Errorf("log %s, want one line with %s", log.String(), c.log)
			}
		})
	}
}

func TestAPassWithoutAnIdOfItsOwnIsNotTaken(t *testing.T) {
	environ, calls := standIn(t, "")
	handle, err := wire(environ, slog.New(slog.DiscardHandler), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := handle(context.Background()); err == nil || len(calls()) > 0 {
		t.Errorf("error %v after %v", err, calls())
	}
}

func TestAllMissingVariablesAreNamedAtOnce(t *testing.T) {
	_, err := wire(map[string]string{}, slog.New(slog.DiscardHandler), now)
	for name := range environment() {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
		environ := environment()
		delete(environ, name)
		if _, err := wire(environ, slog.New(slog.DiscardHandler), now); err == nil || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
}
