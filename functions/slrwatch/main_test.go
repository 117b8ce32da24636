package main

import (
	"bytes"
	"crypto/md5" //nolint:gosec // what SQS answers
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"
)

const (
	account = "123456789012"
	bucket  = "bedrock-agentcore-configs-123456789012-us-east-1"
	queues  = "https://sqs.us-east-1.amazonaws.com/123456789012/"
)

func environment() map[string]string {
	return map[string]string{
		"ACCOUNT_ID": account, "PARTITION": "aws", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"CONFIG_BUCKET": bucket, "SLRWATCH_QUEUE_URL": queues + "own", "SLRWATCH_DEAD_LETTER_QUEUE_URL": queues + "dead",
		"SERVICE_LINKED_ROLE_IDLE_DAYS": "0", "SETTINGS_PARAMETER": "/rolekeeper/stack/settings",
	}
}

// standIn stands for all services on the loopback device, gives calls with a word
// in them a status and an error code, and keeps them all, each with the Region that
// it is for. There is one of the service-linked roles. The function finds it by the
// environment.
type standIn struct {
	table  string // what is known; empty: nothing is
	word   string
	status int
	code   string
}

func (s standIn) start(t *testing.T) (environ map[string]string, made func() []string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		call, answer := s.operation(t, r, string(body))
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call)
		switch {
		case s.word != "" && strings.Contains(call, s.word):
			w.Header().Set("X-Amzn-ErrorType", s.code)
			w.WriteHeader(s.status)
			if strings.Contains(call, " s3 ") {
				_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", s.code)
			}
		case strings.HasPrefix(r.URL.Path, "/"+bucket) && r.Header.Get("X-Amz-Expected-Bucket-Owner") != account:
			w.WriteHeader(http.StatusForbidden)
		case answer == "" && strings.Contains(call, " GetRole "):
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>")
		case answer == "":
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
		default:
			_, _ = io.WriteString(w, answer) //nolint:gosec // no browser reads it
		}
	}))
	t.Cleanup(server.Close)
	environ = environment()
	maps.Copy(environ, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_MAX_ATTEMPTS": "1"})
	return environ, func() []string {
		mu.Lock()
		defer mu.Unlock()
		// Those of the services have no order among them, and how often each is made is
		// for package slr to say.
		return slices.Compact(slices.Sorted(slices.Values(calls)))
	}
}

// scope is the part of a signature that names Region and service (IAM user guide,
// "Elements of an AWS API request signature").
var scope = regexp.MustCompile(`Credential=[^/]+/[0-9]+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request`)

// operation says what a request is, and what is answered; nothing where nothing is.
func (s standIn) operation(t *testing.T, r *http.Request, body string) (call, answer string) {
	t.Helper()
	signed := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if signed == nil {
		t.Fatalf("%s %s is not signed", r.Method, r.URL)
	}
	service := signed[2]
	path, prefix := strings.TrimPrefix(r.URL.Path, "/"+bucket), r.URL.Query().Get("prefix")
	name, answer := r.Method+" "+path, ""
	switch service {
	case "ssm":
		name, answer = "GetParameter", `{"Parameter":{"Value":"{Regions: eu-west-1, OperatorPrincipalArns: 'arn:aws:iam::123456789012:role/operator'}"}}`
	case "sqs":
		var in struct{ QueueUrl, MessageBody string } //nolint:revive // as SQS spells them
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			t.Error(err)
		}
		sum := md5.Sum([]byte(in.MessageBody)) //nolint:gosec // what SQS answers
		name = strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.") + " " + in.QueueUrl
		answer = fmt.Sprintf(`{"MessageId":"1","MD5OfMessageBody":%q}`, hex.EncodeToString(sum[:]))
	case "events":
		name, answer = "PutEvents", `{"FailedEntryCount":0,"Entries":[{"EventId":"1"},{"EventId":"2"},{"EventId":"3"},{"EventId":"4"},{"EventId":"5"}]}`
	case "iam", "ec2":
		in, err := url.ParseQuery(body)
		if err != nil {
			t.Error(err)
		}
		return s.query(signed[1], service, in)
	case "bedrock-agentcore":
		answer = empty
	case "s3":
		switch {
		case r.Method == http.MethodPut:
			answer = "written"
		case prefix != "":
			name, answer = "list "+prefix, `<ListBucketResult></ListBucketResult>`
		case path == "/slr/service-linked-roles.json":
			answer = s.table
		}
	}
	return signed[1] + " " + service + " " + name, answer
}

// empty is a listing of AgentCore with nothing in it, whatever of.
const empty = `{"agentRuntimes":[],"browserSummaries":[],"codeInterpreterSummaries":[],"harnesses":[],"items":[],"paymentManagers":[],"registries":[],"credentialProviders":[],"capacityProviders":[]}`

// query answers a service with the query protocol.
func (standIn) query(region, service string, in url.Values) (call, answer string) {
	const role = "AWSServiceRoleForBedrockAgentCoreNetwork"
	name, result := in.Get("Action"), map[string]string{
		"GetRole": "<Role><RoleName>" + role + "</RoleName><RoleId>AROAEXAMPLE</RoleId><Path>/aws-service-role/network.bedrock-agentcore.amazonaws.com/</Path>" +
			"<Arn>arn:aws:iam::123456789012:role/aws-service-role/network.bedrock-agentcore.amazonaws.com/" + role + "</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>",
		"GetPolicy":                          "<Policy><DefaultVersionId>v1</DefaultVersionId><UpdateDate>2026-01-01T00:00:00Z</UpdateDate></Policy>",
		"GetPolicyVersion":                   "<PolicyVersion><Document>%7B%7D</Document></PolicyVersion>",
		"GenerateServiceLastAccessedDetails": "<JobId>00000000-0000-0000-0000-000000000000</JobId>",
		"GetServiceLastAccessedDetails":      "<JobStatus>IN_PROGRESS</JobStatus><JobCreationDate>2026-11-22T13:00:00Z</JobCreationDate><ServicesLastAccessed/>",
	}[in.Get("Action")]
	answer = fmt.Sprintf("<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>", name, result)
	if name == "GetRole" {
		name += " " + in.Get("RoleName")
		if in.Get("RoleName") != role {
			answer = ""
		}
	}
	return region + " " + service + " " + name, answer
}

func now() time.Time { return time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC) }

// message is an event of the function's queue.
func message(t *testing.T, body string) []byte {
	t.Helper()
	data, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "message-1", ReceiptHandle: "receipt", Body: body, Attributes: map[string]string{"ApproximateReceiveCount": "1"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// invoke has the function called once.
func invoke(t *testing.T, s standIn, input []byte) (out, log, metrics string, calls []string, err error) {
	t.Helper()
	environ, made := s.start(t)
	var lines, counted bytes.Buffer
	handle, err := wire(environ, slog.New(slog.NewJSONHandler(&lines, nil)), &counted, now)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := lambda.NewHandler(handle).Invoke(t.Context(), input)
	return string(answer), lines.String(), counted.String(), made(), err
}

// created is what CloudTrail tells of a service-linked role, half an hour ago.
const created = `{"source":"aws.iam","detail-type":"AWS API Call via CloudTrail","account":"123456789012","region":"us-east-1","time":"2026-11-22T12:30:00Z",` +
	`"detail":{"eventSource":"iam.amazonaws.com","eventName":"CreateServiceLinkedRole"}}`

func TestTheFunctionIsWiredToTheAccount(t *testing.T) {
	look := []string{
		"us-east-1 s3 GET /slr/service-linked-roles.json", "us-east-1 s3 PUT /slr/service-linked-roles.json",
		"us-east-1 s3 list configs/", "us-east-1 s3 list requests/fleet/", "us-east-1 events PutEvents", "us-east-1 sqs SendMessage " + queues + "own",
		"us-east-1 iam GetRole AWSServiceRoleForBedrockAgentCoreGatewayNetwork", "us-east-1 iam GetRole AWSServiceRoleForBedrockAgentCoreIdentity",
		"us-east-1 iam GetRole AWSServiceRoleForBedrockAgentCoreNetwork", "us-east-1 iam GetRole AWSServiceRoleForBedrockAgentCoreRuntimeIdentity",
		"us-east-1 iam GetRole AWSServiceRoleForBedrockAgentCoreRuntimeInstances",
		"us-east-1 iam GetPolicy", "us-east-1 iam GetPolicyVersion", "us-east-1 iam GenerateServiceLastAccessedDetails", "us-east-1 iam GetServiceLastAccessedDetails",
	}
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		look = append(look, "us-east-1 s3 GET /slr/resources/"+region+".json", "us-east-1 s3 PUT /slr/resources/"+region+".json", region+" ec2 DescribeNetworkInterfaces")
		for _, listing := range []string{
			"GET /gateways/", "GET /harnesses", "GET /registries", "POST /browsers", "POST /capacity-providers", "POST /code-interpreters",
			"POST /identities/ListOauth2CredentialProviders", "POST /payments/managers-list", "POST /runtimes/",
		} {
			look = append(look, region+" bedrock-agentcore "+listing)
		}
	}
	parameter, known := "us-east-1 ssm GetParameter", "us-east-1 s3 GET /slr/service-linked-roles.json"
	back, dead := "us-east-1 sqs ChangeMessageVisibility "+queues+"own", "us-east-1 sqs SendMessage "+queues+"dead"
	const schedule, done, again = `{}`, `{"batchItemFailures":null}`, `{"batchItemFailures":[{"itemIdentifier":"message-1"}]}`
	looked := []string{`"level":"INFO","msg":"looked","verdicts":{"absent":4,"idle":1},"regions":2,"unread":0}`}
	for name, c := range map[string]struct {
		services standIn
		input    string // of the schedule, or the body of a message
		out      string // empty: the invocation fails
		calls    []string
		log      []string // parts of the lines
	}{
		"the schedule":              {standIn{}, schedule, done, append(look, parameter), looked},
		"a message":                 {standIn{}, created, done, append(look, parameter), looked},
		"a message that a look saw": {standIn{table: seen("2026-11-22T12:45:00Z")}, created, done, []string{parameter, known}, nil},
		"what was known is damaged": {standIn{table: "{"}, schedule, done, append(look, parameter), append([]string{`"level":"WARN","msg":"what was known`}, looked...)},
		"a message that is none":    {standIn{}, `{"source":"some.body","detail":{}}`, done, []string{parameter, dead}, []string{`"msg":"message goes to the dead letters"`}},
		"a bucket that is throttled, for a message": {
			standIn{word: "PUT /slr/service", status: 503, code: "SlowDown"}, created, again, []string{parameter, known, "us-east-1 s3 PUT /slr/service-linked-roles.json", back},
			[]string{`"msg":"message goes back to the queue"`},
		},
		"a bucket that is denied, for the schedule": {standIn{word: "GET /slr/service", status: 403, code: "AccessDenied"}, schedule, "", []string{parameter, known}, nil},
		"another look at the same time": {
			standIn{word: "PUT /slr/service", status: 412, code: "PreconditionFailed"}, schedule, done, []string{parameter, known, "us-east-1 s3 PUT /slr/service-linked-roles.json"},
			[]string{`"level":"INFO","msg":"another look is under way"`},
		},
		"settings that are denied":                {standIn{word: "GetParameter", status: 400, code: "AccessDeniedException"}, schedule, "", []string{parameter}, []string{`"level":"ERROR","msg":"settings","error":"`}},
		"settings that are denied, for a message": {standIn{word: "GetParameter", status: 400, code: "AccessDeniedException"}, created, "", []string{parameter}, []string{`"level":"ERROR","msg":"settings","error":"`}},
		"settings that are throttled":             {standIn{word: "GetParameter", status: 400, code: "ThrottlingException"}, schedule, "", []string{parameter}, []string{`"level":"ERROR","msg":"settings","error":"`}},
		"settings that are throttled, for a message": {standIn{word: "GetParameter", status: 400, code: "ThrottlingException"}, created, again, []string{parameter, back}, []string{
			`"level":"ERROR","msg":"settings","error":"`, `"msg":"message goes back to the queue"`,
		}},
		"what is no JSON": {standIn{}, `"x"`, "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // listings are paced
			input := []byte(c.input)
			if strings.Contains(c.input, "source") {
				input = message(t, c.input)
			}
			out, log, metrics, calls, err := invoke(t, c.services, input)
			if out != c.out || (err == nil) != (c.out != "") {
				t.Errorf("answer %s, error %v", out, err)
			}
			want := slices.Sorted(slices.Values(c.calls))
			if diff := cmp.Diff(want, calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			for _, part := range c.log {
				if !strings.Contains(log, part) {
					t.Errorf("log %s, want a line with %s", log, part)
				}
			}
			if strings.Count(log, "\n") != len(c.log) {
				t.Errorf("log %s, want %d lines", log, len(c.log))
			}
			counted := strings.Count(metrics, "\n") == 1 && strings.Contains(metrics, `"ServiceLinkedRoleLooks":1`)
			if strings.Contains(log, `"looked"`) != counted || !counted && metrics != "" {
				t.Errorf("metrics %q", metrics)
			}
		})
	}
}

// seen is what is known when the last look began at a time.
func seen(at string) string {
	return `{"v":1,"begunAt":"` + at + `","lookedAt":"` + at + `","regions":[],"roles":[]}`
}

// full is a log that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// What was seen is written by then. Of a schedule the invocation tells of it; a
// message that came again would only bring another look.
func TestMetricsThatCannotBeWrittenAreTold(t *testing.T) {
	environ, _ := standIn{}.start(t)
	var log bytes.Buffer
	handle, err := wire(environ, slog.New(slog.NewJSONHandler(&log, nil)), full{}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handle(t.Context(), json.RawMessage("{}")); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v", err)
	}
	out, err := handle(t.Context(), message(t, created))
	if err != nil || len(out.BatchItemFailures) > 0 || !strings.Contains(log.String(), `"level":"ERROR","msg":"metrics"`) {
		t.Errorf("%v, error %v, log %s", out, err, log.String())
	}
}

func TestAllMissingVariablesAreNamedAtOnce(t *testing.T) {
	_, err := wire(map[string]string{}, slog.New(slog.DiscardHandler), io.Discard, now)
	for name := range environment() {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
		environ := environment()
		delete(environ, name)
		if _, err := wire(environ, slog.New(slog.DiscardHandler), io.Discard, now); err == nil || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
}
