package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
)

func TestLambdaTakesAsynchronousInvocations(t *testing.T) {
	const known = "rolekeeper-drift"
	var events []string
	lambda := func(function string, event []byte) (string, error) {
		if function != known {
			return "", errors.New("there is none")
		}
		events = append(events, string(event))
		return "id-of-request", nil
	}
	for name, test := range map[string]struct {
		method, path, kind, body string
		without                  bool // Lambda
		status                   int
		code, operation          string
	}{
		"a function by name":        {path: known + "/invocations", kind: "Event", body: `{"a":1}`, status: 202, operation: "Invoke"},
		"a function by ARN":         {path: "arn:aws:lambda:us-east-1:123456789012:function:" + known + "/invocations", kind: "Event", body: `{"a":1}`, status: 202, operation: "Invoke"},
		"an ARN that is escaped":    {path: "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3A" + known + "/invocations", kind: "Event", body: `{"a":1}`, status: 202, operation: "Invoke"},
		"no function":               {path: "nobody/invocations", kind: "Event", body: `{}`, status: 404, code: "ResourceNotFoundException", operation: "Invoke"},
		"no JSON":                   {path: known + "/invocations", kind: "Event", body: `{`, status: 400, code: "InvalidRequestContentException", operation: "Invoke"},
		"a call that waits":         {path: known + "/invocations", kind: "RequestResponse", body: `{}`, status: 501, code: "NotImplemented", operation: "Invoke"},
		"a call of no kind":         {path: known + "/invocations", body: `{}`, status: 501, code: "NotImplemented", operation: "Invoke"},
		"another call":              {path: known + "/configuration", kind: "Event", body: `{}`, status: 501, code: "NotImplemented", operation: "POST /2015-03-31/functions/" + known + "/configuration"},
		"another verb":              {method: "GET", path: known + "/invocations", kind: "Event", status: 501, code: "NotImplemented", operation: "GET /2015-03-31/functions/" + known + "/invocations"},
		"an account without Lambda": {path: known + "/invocations", kind: "Event", body: `{}`, without: true, status: 501, code: "NotImplemented", operation: "Invoke"},
	} {
		t.Run(name, func(t *testing.T) {
			events = nil
			o := proxy.Options{
				Backend: mustParse(t, "http://127.0.0.1:1"), Account: "123456789012", Region: "us-east-1", TimeScale: 1, Lambda: lambda,
				Bus: bus.New(t.Context(), "123456789012", "us-east-1", func(context.Context, string, string, []byte) error { return nil }),
			}
			if test.without {
				o.Lambda = nil
			}
			p := proxy.New(o)
			method := test.method
			if method == "" {
				method = http.MethodPost
			}
			r := httptest.NewRequest(method, "/2015-03-31/functions/"+test.path, strings.NewReader(test.body))
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+p.AccessKey("scheduler")+"/20260101/us-east-1/lambda/aws4_request, Signature=0")
			if test.kind != "" {
				r.Header.Set("X-Amz-Invocation-Type", test.kind)
			}
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			body, err := io.ReadAll(w.Body)
			if err != nil || w.Code != test.status || w.Header().Get("X-Amzn-Errortype") != test.code {
				t.Errorf("status %d %s, want %d %s: %s, %v", w.Code, w.Header().Get("X-Amzn-Errortype"), test.status, test.code, body, err)
			}
			if taken := test.status == http.StatusAccepted; taken != (len(events) == 1 && events[0] == test.body) || taken != (w.Header().Get("X-Amzn-Requestid") == "id-of-request") {
				t.Errorf("the function was given %q, the answer is %v", events, w.Header())
			}
			calls := p.Calls(proxy.Filter{Caller: "scheduler"})
			if len(calls) != 1 || calls[0].Service != "lambda" || calls[0].Operation != test.operation || calls[0].Request.Header["X-Amz-Invocation-Type"] != test.kind {
				t.Errorf("calls: %+v", calls)
			}
			if test.operation == "Invoke" && calls[0].Resource != known && test.status != http.StatusNotFound {
				t.Errorf("the call is about %s", calls[0].Resource)
			}
		})
	}
}
