package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake/wiretest"
)

const (
	account       = "123456789012"
	bucket        = "bedrock-agentcore-configs-123456789012-us-east-1"
	queues        = "https://sqs.us-east-1.amazonaws.com/123456789012/"
	parameterName = "/rolekeeper/stack/settings"
)

func environment() map[string]string {
	return map[string]string{
		"ACCOUNT_ID": account, "PARTITION": "aws", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"CONFIG_BUCKET": bucket, "SLRWATCH_QUEUE_URL": queues + "own", "SLRWATCH_DEAD_LETTER_QUEUE_URL": queues + "dead",
		"SERVICE_LINKED_ROLE_IDLE_DAYS": "0", "SETTINGS_PARAMETER": parameterName,
	}
}

// standIn has one of the service-linked roles, and gives calls with a word in them a
// status and an error code. Calls have the Region and the service that they are for.
type standIn struct {
	table  string // what is known; empty: nothing is
	word   string
	status int
	code   string
}

func (s standIn) start(t *testing.T) (environ map[string]string, made func() []string) {
	t.Helper()
	return wiretest.Start(t, environment(), func(r wiretest.Request) (string, wiretest.Answer) {
		call := r.Region + " " + r.Service + " " + r.Call
		if s.word != "" && strings.Contains(call, s.word) {
			return call, wiretest.Answer{Status: s.status, Code: s.code}
		}
		return call, s.answer(r)
	})
}

func (s standIn) answer(r wiretest.Request) wiretest.Answer {
	const role = "AWSServiceRoleForBedrockAgentCoreNetwork"
	const getRole = "GetRole " + role
	if strings.HasPrefix(r.Call, "GetRole ") && r.Call != getRole {
		return wiretest.Answer{Status: 404, Code: "NoSuchEntity"}
	}
	if r.Service == "bedrock-agentcore" {
		return wiretest.Answer{Body: empty}
	}
	return wiretest.Answer{Body: map[string]string{
		"GetParameter " + parameterName:      `{"Parameter":{"Value":"{Regions: eu-west-1, OperatorPrincipalArns: 'arn:aws:iam::123456789012:role/operator'}"}}`,
		"PutEvents":                          `{"FailedEntryCount":0,"Entries":[{"EventId":"1"},{"EventId":"2"},{"EventId":"3"},{"EventId":"4"},{"EventId":"5"}]}`,
		"GET /slr/service-linked-roles.json": s.table,
		getRole: "<Role><RoleName>" + role + "</RoleName><RoleId>AROAEXAMPLE</RoleId><Path>/aws-service-role/network.bedrock-agentcore.amazonaws.com/</Path>" +
			"<Arn>arn:aws:iam::123456789012:role/aws-service-role/network.bedrock-agentcore.amazonaws.com/" + role + "</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>",
		"GetPolicy":                          "<Policy><DefaultVersionId>v1</DefaultVersionId><UpdateDate>2026-01-01T00:00:00Z</UpdateDate></Policy>",
		"GetPolicyVersion":                   "<PolicyVersion><Document>%7B%7D</Document></PolicyVersion>",
		"GenerateServiceLastAccessedDetails": "<JobId>00000000-0000-0000-0000-000000000000</JobId>",
		"GetServiceLastAccessedDetails":      "<JobStatus>IN_PROGRESS</JobStatus><JobCreationDate>2026-11-22T13:00:00Z</JobCreationDate><ServicesLastAccessed/>",
	}[r.Call]}
}

// empty is a listing of AgentCore with nothing in it, whatever of.
const empty = `{"agentRuntimes":[],"browserSummaries":[],"codeInterpreterSummaries":[],"harnesses":[],"items":[],"paymentManagers":[],"registries":[],"credentialProviders":[],"capacityProviders":[]}`

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
	// Those of the services have no order among them, and how often each is made is
	// for package slr to say.
	return string(answer), lines.String(), counted.String(), slices.Compact(slices.Sorted(slices.Values(made()))), err
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
	parameter, known := "us-east-1 ssm GetParameter "+parameterName, "us-east-1 s3 GET /slr/service-linked-roles.json"
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
	wiretest.Needs(t, environment(), func(environ map[string]string) error {
		_, err := wire(environ, slog.New(slog.DiscardHandler), io.Discard, now)
		return err
	})
}
