// Package suite runs the common suite of package awsfake/suite on the local
// AWS: what the tests on the fakes stand on holds there, too, and the adapters
// understand errors as the SDK delivers them over HTTP.
package suite

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/local"
	"rolekeeper/local/localtest"
	"rolekeeper/shared/awsfake/suite"
)

const (
	account = "123456789012"
	region  = "us-east-1"
	bucket  = "suite"

	disabled = "ap-south-2" // a Region that the account has not enabled
)

// timeScale turns the minutes of the cases into seconds.
const timeScale = 0.01

func TestOnTheLocalAWS(t *testing.T) {
	a := localtest.Start(t, local.Options{Template: "testdata/template.yaml", Account: account, Region: region, TimeScale: timeScale})
	t.Run("faults", func(t *testing.T) { testFaults(t, a) })
	t.Run("suite", func(t *testing.T) { testSuite(t, a) })
	for _, err := range a.Errors() {
		t.Error(err)
	}
}

func testSuite(t *testing.T, a *local.AWS) {
	a.Proxy().SetListBucket(func(caller, _ string) bool { return caller != "unlisted" })
	queues, repositories, logs := sqs.NewFromConfig(a.Config("suite")), ecr.NewFromConfig(a.Config("suite")), cloudwatchlogs.NewFromConfig(a.Config("suite"))
	builds := codebuild.NewFromConfig(a.Config("suite"))
	a.Proxy().AgentCore().DisableRegion(disabled)
	suite.Run(t, &suite.Backend{
		Account: account, Region: region, Bucket: bucket,
		Inbox: output(t, a, "Inbox"), Boundary: output(t, a, "Boundary"), Trail: output(t, a, "Trail"),
		IAM: iam.NewFromConfig(a.Config("suite")), S3: s3.NewFromConfig(a.Config("suite")),
		Unlisted: s3.NewFromConfig(a.Config("unlisted")), SQS: queues, EventBridge: eventbridge.NewFromConfig(a.Config("suite")),
		AddQueue: func(t suite.T, name string, visibility time.Duration, maxReceives int, deadLetters string) string {
			return addQueue(t, queues, name, visibility, maxReceives, deadLetters)
		},
		Receive: func(t suite.T, url string, most int) events.SQSEvent { return receive(t, queues, url, most) },
		Done:    func(t suite.T, url string, e events.SQSEvent) { done(t, queues, url, e) },
		Pass:    func(d time.Duration) { time.Sleep(time.Duration(float64(d) * timeScale)) },
		Plain:   "suite-plain", ECR: repositories, Logs: logs,
		UseRole: func(_ suite.T, name string, at time.Time) { a.Proxy().UseRole(name, at) },
		Expire: func(t suite.T, key string) {
			if err := a.Proxy().Expire(t.Context(), bucket, key); err != nil {
				t.Fatalf("%v", err)
			}
		},
		PushImage: func(t suite.T, repository, tag, content string) (string, error) {
			return pushImage(t, repositories, repository, tag, content)
		},
		LogGroup:  func(t suite.T, name string) (int32, map[string]string) { return logGroup(t, logs, name) },
		AgentCore: bedrockagentcorecontrol.NewFromConfig(a.Config("suite")), EC2: ec2.NewFromConfig(a.Config("suite")),
		Abroad: regionOf(a, "eu-west-1"), Disabled: regionOf(a, disabled),
		CodeBuild: builds, LimitBuilds: a.CodeBuild().LimitBuilds,
		EndBuild: func(t suite.T, id, _ string) { awaitEnd(t, builds, id) },
		Parallel: true,
		Gaps:     gaps(),
	})
}

func regionOf(a *local.AWS, name string) suite.Region {
	c := a.Config("suite")
	c.Region = name
	return suite.Region{Name: name, AgentCore: bedrockagentcorecontrol.NewFromConfig(c), EC2: ec2.NewFromConfig(c)}
}

// gaps are those of the local AWS: moto's that no fill-in closes.
func gaps() map[string]string {
	return map[string]string{
		"a role that has 50 tags takes no other":       "moto bounds the tags of a request, not those of a role",
		"an empty attribute is refused":                "moto takes it",
		"a delay of more than 15 minutes is refused":   "the delay is shortened before moto sees it",
		"a repository that has 50 tags takes no other": "moto bounds no tags of a repository; the proxy those of a request",
		"a star in a filter stands for any characters": "moto takes filters for regular expressions",
	}
}

// awaitEnd waits until a build has ended by itself.
func awaitEnd(t suite.T, c *codebuild.Client, id string) {
	t.Helper()
	for range 600 {
		out, err := c.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{id}})
		if err != nil || len(out.Builds) != 1 {
			t.Fatalf("build %s: %+v, %v", id, out, err)
		}
		if out.Builds[0].BuildComplete {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("build %s does not end", id)
}

func output(t *testing.T, a *local.AWS, name string) string {
	t.Helper()
	v := a.Stack().Outputs[name]
	if v == "" {
		t.Fatalf("the stack has no output %s", name)
	}
	return v
}

func addQueue(t suite.T, c *sqs.Client, name string, visibility time.Duration, maxReceives int, deadLetters string) string {
	t.Helper()
	in := &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{
		"VisibilityTimeout": strconv.Itoa(int(visibility / time.Second)),
	}}
	if strings.HasSuffix(name, ".fifo") {
		in.Attributes["FifoQueue"] = "true"
	}
	if maxReceives > 0 {
		attributes, err := c.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: &deadLetters, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
		})
		if err != nil {
			t.Fatalf("dead letters: %v", err)
		}
		policy, err := json.Marshal(map[string]any{"deadLetterTargetArn": attributes.Attributes["QueueArn"], "maxReceiveCount": maxReceives})
		if err != nil {
			t.Fatalf("redrive policy: %v", err)
		}
		in.Attributes["RedrivePolicy"] = string(policy)
	}
	out, err := c.CreateQueue(t.Context(), in)
	if err != nil {
		t.Fatalf("make queue %s: %v", name, err)
	}
	return *out.QueueUrl
}

func receive(t suite.T, c *sqs.Client, url string, most int) events.SQSEvent {
	t.Helper()
	out, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: int32(most), //nolint:gosec // at most 10
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		t.Fatalf("receive from %s: %v", url, err)
	}
	var e events.SQSEvent
	for _, m := range out.Messages {
		r := events.SQSMessage{
			MessageId: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle), Body: aws.ToString(m.Body),
			Attributes: m.Attributes, MessageAttributes: map[string]events.SQSMessageAttribute{},
		}
		for name, a := range m.MessageAttributes {
			r.MessageAttributes[name] = events.SQSMessageAttribute{StringValue: a.StringValue, DataType: aws.ToString(a.DataType)}
		}
		e.Records = append(e.Records, r)
	}
	return e
}

func done(t suite.T, c *sqs.Client, url string, e events.SQSEvent) {
	t.Helper()
	for _, r := range e.Records {
		if _, err := c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: &r.ReceiptHandle}); err != nil {
			t.Fatalf("delete from %s: %v", url, err)
		}
	}
}

// pushImage puts a manifest whose configuration and layer are the content.
func pushImage(t suite.T, c *ecr.Client, repository, tag, content string) (string, error) {
	t.Helper()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(content), "digest": digest},
		"layers": []any{map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": len(content), "digest": digest}},
	})
	if err != nil {
		t.Fatalf("manifest: %v", err)
	}
	_, err = c.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: &repository, ImageTag: &tag, ImageManifest: aws.String(string(manifest))})
	return fmt.Sprintf("sha256:%x", sha256.Sum256(manifest)), err
}

func logGroup(t suite.T, c *cloudwatchlogs.Client, name string) (int32, map[string]string) {
	t.Helper()
	out, err := c.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
	if err != nil {
		t.Fatalf("describe log groups: %v", err)
	}
	for _, g := range out.LogGroups {
		if aws.ToString(g.LogGroupName) != name {
			continue
		}
		tags, err := c.ListTagsForResource(t.Context(), &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: g.LogGroupArn})
		if err != nil {
			t.Fatalf("tags of log group %s: %v", name, err)
		}
		return aws.ToInt32(g.RetentionInDays), tags.Tags
	}
	t.Fatalf("no log group %s", name)
	return 0, nil
}
