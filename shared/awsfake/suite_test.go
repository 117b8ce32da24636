package awsfake_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/awsfake/suite"
)

func TestTheFakesBehaveAsAWS(t *testing.T) {
	c := awsfake.New()
	b := &suite.Backend{
		Account: c.Account, Region: c.Region, Bucket: "suite", Boundary: "arn:aws:iam::" + c.Account + ":policy/suite-boundary",
		IAM: c.IAM("suite"), S3: c.S3("suite"), Unlisted: c.S3("unlisted"), SQS: c.SQS("suite"), EventBridge: c.EventBridge("suite"),
		AddQueue: func(_ suite.T, name string, visibility time.Duration, maxReceives int, deadLetters string) string {
			return c.AddQueue(name, visibility, maxReceives, deadLetters)
		},
		Receive: func(_ suite.T, url string, most int) events.SQSEvent { return c.Receive(url, most) },
		Done:    func(_ suite.T, url string, e events.SQSEvent) { c.Done(url, e, nil) },
		Pass:    c.Advance,
		Plain:   "suite-plain", ECR: c.ECR("suite"), Logs: c.Logs("suite"),
		UseRole: func(_ suite.T, name string, at time.Time) { c.UseRole(name, at) },
		Expire:  func(_ suite.T, key string) { c.Expire("suite", key) },
		PushImage: func(_ suite.T, repository, tag, content string) (string, error) {
			digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
			return digest, c.PushImage(repository, tag, digest)
		},
		LogGroup: func(_ suite.T, name string) (int32, map[string]string) {
			g := c.LogGroups()[name]
			return g.RetentionDays, g.Tags
		},
		AgentCore: c.AgentCore("suite"), EC2: c.EC2("suite"),
		CodeBuild: c.CodeBuild("suite"), LimitBuilds: c.LimitBuilds,
		EndBuild: func(t suite.T, id, message string) {
			o := awsfake.Outcome{Message: message}
			if message != "" {
				o.State = types.StatusTypeFailed
			}
			if !c.FinishBuild(id, o) {
				t.Fatalf("build %s has ended already", id)
			}
		},
	}
	c.AddBucket(b.Bucket)
	c.AddUnversionedBucket(b.Plain)
	c.SetEventBridge(b.Plain, false)
	c.DenyList(b.Bucket, "unlisted")
	c.AddPolicy(b.Boundary, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	b.Inbox = c.AddQueue("suite-inbox", time.Minute, 0, "")
	c.Notify(b.Bucket, "configs/", b.Inbox)
	b.Trail = c.AddQueue("suite-trail", time.Minute, 0, "")
	c.NotifyAgentCore(b.Trail)
	c.DisableRegion("ap-south-2")
	b.Abroad, b.Disabled = regionOf(c, "eu-west-1"), regionOf(c, "ap-south-2")
	suite.Run(t, b)
}

func regionOf(c *awsfake.Cloud, name string) suite.Region {
	there := c.Abroad(name)
	return suite.Region{Name: name, AgentCore: there.AgentCore("suite"), EC2: there.EC2("suite")}
}
