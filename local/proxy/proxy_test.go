package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolekeeper/local/proxy"
)

// backend counts what reaches it and answers 200.
func backend(t *testing.T) (url string, reached *atomic.Int32) {
	t.Helper()
	reached = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		if r.Header.Get("X-Amz-Target") != "" {
			_, _ = w.Write([]byte(`{}`))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, reached
}

func TestFaults(t *testing.T) {
	getObject := func(t *testing.T, w world) error {
		_, err := w.s3("fn").GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		return err
	}
	createRole := func(t *testing.T, w world) error {
		_, err := iam.NewFromConfig(w.config("fn")).DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("role-x")})
		return err
	}
	purge := func(t *testing.T, w world) error {
		_, err := sqs.NewFromConfig(w.config("fn")).PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: aws.String("http://127.0.0.1/123456789012/q")})
		return err
	}
	cases := map[string]struct {
		fault   proxy.Fault
		call    func(*testing.T, world) error
		code    string // "" for success, "reset" for a connection that died
		reached int32
		status  int
	}{
		"S3 is throttled":                    {proxy.Fault{Kind: proxy.Throttle}, getObject, "SlowDown", 0, 503},
		"IAM is throttled":                   {proxy.Fault{Kind: proxy.Throttle}, createRole, "Throttling", 0, 400},
		"SQS is throttled":                   {proxy.Fault{Kind: proxy.Throttle}, purge, "ThrottlingException", 0, 400},
		"S3 has an internal error":           {proxy.Fault{Kind: proxy.ServerError}, getObject, "InternalError", 0, 500},
		"IAM has an internal error":          {proxy.Fault{Kind: proxy.ServerError}, createRole, "ServiceFailure", 0, 500},
		"S3 denies":                          {proxy.Fault{Kind: proxy.Denied}, getObject, "AccessDenied", 0, 403},
		"S3 sees a conflict":                 {proxy.Fault{Kind: proxy.Conflict}, getObject, "ConditionalRequestConflict", 0, 409},
		"IAM sees a conflict":                {proxy.Fault{Kind: proxy.Conflict}, createRole, "ConcurrentModification", 0, 409},
		"IAM denies":                         {proxy.Fault{Kind: proxy.Denied}, createRole, "AccessDenied", 0, 403},
		"the connection drops before":        {proxy.Fault{Kind: proxy.DropBefore}, createRole, "reset", 0, 0},
		"the connection drops after":         {proxy.Fault{Kind: proxy.DropAfter}, createRole, "reset", 1, 0},
		"a delay":                            {proxy.Fault{Kind: proxy.Delay, Wait: 10 * time.Millisecond}, purge, "", 1, 200},
		"the fault is another caller's":      {proxy.Fault{Kind: proxy.Denied, Caller: "other"}, purge, "", 1, 200},
		"the fault is another service's":     {proxy.Fault{Kind: proxy.Denied, Service: "s3"}, purge, "", 1, 200},
		"the fault is another operation's":   {proxy.Fault{Kind: proxy.Denied, Operation: "SendMessage"}, purge, "", 1, 200},
		"the fault is another resource's":    {proxy.Fault{Kind: proxy.Denied, Resource: "role-y"}, purge, "", 1, 200},
		"the fault is for all of it":         {proxy.Fault{Kind: proxy.Denied, Caller: "fn", Service: "iam", Operation: "DeleteRole", Resource: "ole-x"}, createRole, "AccessDenied", 0, 403},
		"the fault lets the first call pass": {proxy.Fault{Kind: proxy.Denied, After: 1}, purge, "", 1, 200},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			url, reached := backend(t)
			w := newWorld(t, url, 1)
			injected := w.InjectFault(c.fault)
			err := c.call(t, w)
			got := code(err)
			if c.code == "reset" && err != nil && (strings.Contains(got, "reset") || strings.Contains(got, "EOF")) {
				got = "reset"
			}
			if got != c.code {
				t.Errorf("the caller sees %q, want %q", got, c.code)
			}
			if n := reached.Load(); n != c.reached {
				t.Errorf("%d calls reached the backend, want %d", n, c.reached)
			}
			calls := w.Calls(proxy.Filter{})
			if len(calls) != 1 || !calls[0].Done || calls[0].Status != c.status || calls[0].Committed != (c.reached == 1) || calls[0].Dropped != (c.code == "reset") {
				t.Errorf("log: %+v", calls)
			}
			if struck := injected.Hits() == 1; struck != (calls[0].Fault != "") {
				t.Errorf("%d hits, logged fault %q", injected.Hits(), calls[0].Fault)
			}
		})
	}
}

func TestFaultEnds(t *testing.T) {
	url, _ := backend(t)
	w := newWorld(t, url, 1)
	call := func() string {
		_, err := w.s3("fn").DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String("b")})
		return code(err)
	}
	w.InjectFault(proxy.Fault{Kind: proxy.Denied, After: 1, Count: 2})
	var got []string
	for range 4 {
		got = append(got, call())
	}
	if strings.Join(got, ",") != ",AccessDenied,AccessDenied," {
		t.Errorf("after one, for two: %q", got)
	}
	removed := w.InjectFault(proxy.Fault{Kind: proxy.Denied})
	before := call()
	removed.Remove()
	if after := call(); before != "AccessDenied" || after != "" {
		t.Errorf("before removal %q, after it %q", before, after)
	}
}

func TestHooks(t *testing.T) {
	url, reached := backend(t)
	w := newWorld(t, url, 1)
	purge := func() error {
		_, err := sqs.NewFromConfig(w.config("fn")).PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: aws.String("http://127.0.0.1/123456789012/q")})
		return err
	}
	var seen []proxy.Call
	remove := w.AddHook(proxy.Hook{
		Before: func(c proxy.Call) proxy.Verdict { seen = append(seen, c); return proxy.Drop },
		After:  func(proxy.Call) proxy.Verdict { t.Error("a dropped call went on"); return proxy.Continue },
	})
	if err := purge(); err == nil || reached.Load() != 0 {
		t.Errorf("dropped before: %v, %d calls reached the backend", err, reached.Load())
	}
	remove()
	remove = w.AddHook(proxy.Hook{After: func(c proxy.Call) proxy.Verdict { seen = append(seen, c); return proxy.Drop }})
	if err := purge(); err == nil || reached.Load() != 1 {
		t.Errorf("dropped after: %v, %d calls reached the backend", err, reached.Load())
	}
	remove()
	if err := purge(); err != nil {
		t.Error(err)
	}
	if len(seen) != 2 || seen[0].Committed || !seen[1].Committed || seen[0].Resource != "q" || seen[0].Caller != "fn" || seen[1].Seq != seen[0].Seq+1 {
		t.Errorf("hooks saw %+v", seen)
	}
}

func TestTimeScale(t *testing.T) {
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(b)
		bodies = append(bodies, string(b))
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	w := newWorld(t, server.URL, 0.05)
	c := sqs.NewFromConfig(w.config("fn"))
	url := aws.String("http://127.0.0.1/123456789012/q")
	if _, err := c.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: url, ReceiptHandle: aws.String("r"), VisibilityTimeout: 59}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: url, Attributes: map[string]string{"VisibilityTimeout": "10", "DelaySeconds": "10", "MessageRetentionPeriod": "100"}}); err != nil {
		t.Fatal(err)
	}
	for i, parts := range [][]string{
		{`"VisibilityTimeout":2`},
		{`"VisibilityTimeout":"1"`, `"DelaySeconds":"0"`, `"MessageRetentionPeriod":"100"`},
	} {
		for _, part := range parts {
			if !strings.Contains(bodies[i], part) {
				t.Errorf("request %d lacks %s: %s", i, part, bodies[i])
			}
		}
	}
}

func TestUnknownServiceIsRefused(t *testing.T) {
	url, reached := backend(t)
	w := newWorld(t, url, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.endpoint+"/models/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=X/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	calls := w.Calls(proxy.Filter{Service: "bedrock"})
	if resp.StatusCode != http.StatusNotImplemented || reached.Load() != 0 || len(calls) != 1 || calls[0].Caller != "unknown" {
		t.Errorf("status %d, %d calls reached the backend, log %+v", resp.StatusCode, reached.Load(), calls)
	}
}
