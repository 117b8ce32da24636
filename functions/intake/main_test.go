package main

import (
	"log/slog"
	"os"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake/wiretest"
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

func TestTheFunctionIsWiredToItsQueues(t *testing.T) {
	sample := func(name string) string {
		text, err := os.ReadFile("../../events/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const enqueue = "SendMessage " + queues + "work.fifo"
	uploaded := sample("s3-config-uploaded.json")
	for name, c := range map[string]struct {
		body   string
		denied string
		want   []string
		back   int
	}{
		"an upload goes to the work queue": {uploaded, "", []string{enqueue}, 0},
		"a source goes to the work queue by its agent's claim": {
			sample("s3-source-uploaded.json"), "", []string{"GET /" + naming.RoleClaimKey("my_agent"), enqueue}, 0,
		},
		"a build goes to the work queue by its project's claim": {
			sample("codebuild-build-ended.json"), "", []string{"GET /" + naming.ProjectClaimKey("my_agent"), enqueue}, 0,
		},
		"a runtime goes to the work queue by its agent's claim": {
			sample("cloudtrail-runtime-deleted.json"), "", []string{"GET /" + naming.RoleClaimKey("my_agent"), enqueue}, 0,
		},
		"a role goes to the work queue by its agent's claim": {
			sample("cloudtrail-role-edited.json"), "", []string{"GET /" + naming.RoleClaimKey("my_agent"), enqueue}, 0,
		},
		"what reconcile did to a role itself goes nowhere": {sample("cloudtrail-role-edited-by-rolekeeper.json"), "", nil, 0},
		"poison goes to the inbox's dead letters":          {"{", "", []string{"SendMessage " + queues + "inbox-dead"}, 0},
		"what cannot be sent is kept for a new try":        {uploaded, enqueue, []string{enqueue, "ChangeMessageVisibility " + queues + "inbox"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			environ, calls := wiretest.Start(t, environment(), func(r wiretest.Request) (string, wiretest.Answer) {
				switch {
				case r.Call == c.denied:
					return r.Call, wiretest.Answer{Status: 403, Code: "AccessDenied"}
				case r.Service == "s3":
					return r.Call, wiretest.Answer{Body: `{"v":1,"config":"configs/agent.yaml","agent":"my_agent"}`}
				}
				return r.Call, wiretest.Answer{}
			})
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
	wiretest.Needs(t, environment(), func(environ map[string]string) error {
		_, err := wire(environ, slog.New(slog.DiscardHandler))
		return err
	})
}
