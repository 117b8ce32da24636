package proxy_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/proxy"
)

func testLogGroups(t *testing.T, w world) {
	c, name := cloudwatchlogs.NewFromConfig(w.config("logger")), aws.String("/aws/codebuild/p")
	if _, err := c.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: name, Tags: map[string]string{"k": "v"}}); err != nil {
		t.Error(err)
	}
	if _, err := c.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(90)}); err != nil {
		t.Error(err)
	}
	if _, err := c.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("no name")}); code(err) != "InvalidParameterException" {
		t.Errorf("a bad name: %v", err)
	}
	var got []string
	for _, call := range w.Calls(proxy.Filter{Caller: "logger"}) {
		got = append(got, call.Service+" "+call.Operation+" "+call.Resource+" "+call.ErrorCode)
	}
	if diff := cmp.Diff([]string{
		"logs CreateLogGroup /aws/codebuild/p ", "logs PutRetentionPolicy /aws/codebuild/p ", "logs CreateLogGroup no name InvalidParameterException",
	}, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func testGapsOfLogGroups(t *testing.T, direct world) {
	c, name := cloudwatchlogs.NewFromConfig(direct.config("gaps")), aws.String("no name")
	if _, err := c.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: name}); err != nil {
		t.Errorf("moto now checks the name of a log group (%v): the fill-in can go", err)
	}
	if _, err := c.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(91)}); err != nil {
		t.Errorf("moto now checks how long a log group keeps its events (%v): the fill-in can go", err)
	}
}
