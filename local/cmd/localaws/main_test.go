package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"rolekeeper/local/stack"
)

func TestEveryEventIsDeliveredAsMessages(t *testing.T) {
	files, err := filepath.Glob("../../../events/*.json")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	samples := map[string]string{"no JSON": "{", "no object": "[1]", "other records": `{"Records":null}`}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		samples[filepath.Base(f)] = string(data)
	}
	for name, sample := range samples {
		t.Run(name, func(t *testing.T) {
			payload, err := delivered([]byte(sample), "arn:queue")
			if err != nil {
				t.Fatal(err)
			}
			var e events.SQSEvent
			if err := json.Unmarshal(payload, &e); err != nil || len(e.Records) == 0 {
				t.Fatalf("%d records, %v", len(e.Records), err)
			}
			if strings.HasPrefix(name, "sqs-") {
				if string(payload) != sample {
					t.Errorf("a batch of messages became %s", payload)
				}
				return
			}
			var want, got any
			isJSON := json.Unmarshal([]byte(sample), &want) == nil
			if r := e.Records[0]; !isJSON && r.Body != sample || isJSON && (json.Unmarshal([]byte(r.Body), &got) != nil || !equal(want, got)) || r.EventSourceARN != "arn:queue" {
				t.Errorf("the message is %+v", r)
			}
		})
	}
}

func TestAFunctionWithoutAQueueGetsTheEventItself(t *testing.T) {
	for _, event := range []string{"{}", `{"Records":null}`, "no JSON"} {
		if payload, err := delivered([]byte(event), ""); err != nil || string(payload) != event {
			t.Errorf("%s became %s, %v", event, payload, err)
		}
	}
}

func TestSchedulesAreTold(t *testing.T) {
	drift := &stack.Function{Short: "drift"}
	want := []string{
		"# drift runs on the schedule rate(1 hour); now:", "#   curl -s -d '{}' http://127.0.0.1:1/_local/invoke/drift",
		"# drift runs on the schedule cron(0 6 * * ? *), which the local AWS does not follow; now:", "#   curl -s -d '{}' http://127.0.0.1:1/_local/invoke/drift",
	}
	got := schedules("http://127.0.0.1:1", []stack.Schedule{
		{Function: drift, Expression: "rate(1 hour)", Input: "{}"}, {Function: drift, Expression: "cron(0 6 * * ? *)", Input: "{}"},
	})
	if !slices.Equal(got, want) {
		t.Errorf("told is %q, want %q", got, want)
	}
}

func equal(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func TestTheIntroductionIsReadByAShell(t *testing.T) {
	environment := map[string]string{"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
	lines := introduction("http://127.0.0.1:1", environment, map[string]string{"ConfigBucket": "configs-here", "SourceBucket": "sources-here"})
	for _, want := range []string{
		"export AWS_REGION=us-east-1", "export AWS_ENDPOINT_URL=http://127.0.0.1:1", "# ConfigBucket: configs-here",
		"#   aws s3 cp my.yaml s3://configs-here/configs/my.yaml",
		"#   aws s3 cp source.zip s3://sources-here/my_agent/source.zip     # of a container agent called my_agent",
		"#   curl -s http://127.0.0.1:1/_local/logs/codebuild/bedrock-agentcore-my_agent-builder     # what its builds wrote",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	for _, l := range append(lines, introduction("http://127.0.0.1:1", environment, map[string]string{"Queue": "q"})...) {
		if !strings.HasPrefix(l, "# ") && !strings.HasPrefix(l, "export ") || strings.Contains(l, "s3:///") {
			t.Errorf("line %q", l)
		}
	}
}
