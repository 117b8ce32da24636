package proxy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	coretypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/proxy"
)

func testAgentCore(t *testing.T, w world) {
	ctx, c := t.Context(), core.NewFromConfig(w.config("agent-maker"))
	role, err := iam.NewFromConfig(w.config("t")).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("of-a-runtime"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole",` +
			`"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore:` + region + `:` + account + `:*"}}}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	in := &core.CreateAgentRuntimeInput{
		AgentRuntimeName: aws.String("agent"), RoleArn: aws.String(*role.Role.Arn + "x"),
		AgentRuntimeArtifact: &coretypes.AgentRuntimeArtifactMemberContainerConfiguration{Value: coretypes.ContainerConfiguration{ContainerUri: aws.String("image")}},
	}
	if _, err := c.CreateAgentRuntime(ctx, in); code(err) != "ValidationException" || !strings.Contains(err.Error(), "Role validation failed") {
		t.Errorf("a role that is not there: %v", err)
	}
	in.RoleArn = role.Role.Arn
	throttled := w.InjectFault(proxy.Fault{Caller: "agent-maker", Kind: proxy.Throttle, Count: 1})
	if _, err := c.CreateAgentRuntime(ctx, in); code(err) != "ThrottlingException" || throttled.Hits() != 1 {
		t.Errorf("throttled: %v", err)
	}
	w.AgentCore().SettleAgentCore(time.Hour, 0)
	made, err := c.CreateAgentRuntime(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	status := func() string {
		out, err := c.GetAgentRuntime(ctx, &core.GetAgentRuntimeInput{AgentRuntimeId: made.AgentRuntimeId})
		if err != nil {
			return code(err)
		}
		return string(out.Status)
	}
	if got := status(); got != "CREATING" {
		t.Errorf("status %s", got)
	}
	w.AgentCore().SetAgentCoreStatus(*made.AgentRuntimeId, "CREATE_FAILED")
	if got := status(); got != "CREATE_FAILED" {
		t.Errorf("status %s", got)
	}
	if _, err := c.DeleteAgentRuntime(ctx, &core.DeleteAgentRuntimeInput{AgentRuntimeId: made.AgentRuntimeId}); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != "ResourceNotFoundException" {
		t.Errorf("status %s", got)
	}
	if _, err := c.ListWorkloadIdentities(ctx, &core.ListWorkloadIdentitiesInput{}); code(err) != "NotImplemented" {
		t.Errorf("what is not part of it: %v", err)
	}

	var got []string
	for _, call := range w.Calls(proxy.Filter{Caller: "agent-maker"}) {
		if call.Operation != "GetAgentRuntime" {
			got = append(got, fmt.Sprintf("%s %s %s %d %s", call.Service, call.Operation, call.Resource, call.Status, call.ErrorCode))
		}
	}
	if diff := cmp.Diff([]string{
		"bedrock-agentcore CreateAgentRuntime runtime/agent 400 ValidationException",
		"bedrock-agentcore CreateAgentRuntime runtime/agent 400 ThrottlingException",
		"bedrock-agentcore CreateAgentRuntime runtime/agent 202 ",
		"bedrock-agentcore DeleteAgentRuntime runtime/" + *made.AgentRuntimeId + " 202 ",
		"bedrock-agentcore POST /identities/ListWorkloadIdentities  501 NotImplemented",
	}, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}

	var told []string
	for _, e := range w.bus.Events() {
		if e.Source != "aws.bedrock-agentcore" {
			continue
		}
		var d struct {
			EventName, ErrorCode string
			UserIdentity         struct{ ARN string }
		}
		if err := json.Unmarshal(e.Detail, &d); err != nil || e.DetailType != "AWS API Call via CloudTrail" || time.Since(e.Time).Abs() > time.Minute {
			t.Errorf("event %+v, %v", e, err)
		}
		told = append(told, strings.TrimSpace(d.EventName+" "+d.ErrorCode)+" by "+d.UserIdentity.ARN)
	}
	const by = " by arn:aws:sts::" + account + ":assumed-role/agent-maker/agent-maker"
	if diff := cmp.Diff([]string{"CreateAgentRuntime ValidationException" + by, "CreateAgentRuntime" + by, "DeleteAgentRuntime" + by}, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func testGapsOfAgentCore(t *testing.T, direct world) {
	c := core.NewFromConfig(direct.config("gaps"))
	made, err := c.CreateAgentRuntime(t.Context(), &core.CreateAgentRuntimeInput{
		AgentRuntimeName: aws.String("gap"), RoleArn: aws.String("arn:aws:iam::" + account + ":role/of-nobody"),
		AgentRuntimeArtifact: &coretypes.AgentRuntimeArtifactMemberContainerConfiguration{Value: coretypes.ContainerConfiguration{ContainerUri: aws.String("image")}},
		NetworkConfiguration: &coretypes.NetworkConfiguration{NetworkMode: coretypes.NetworkModePublic},
	})
	if err != nil {
		t.Fatalf("moto now checks the role of a runtime (%v): see whether the fill-in can go", err)
	}
	if _, err := c.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: made.AgentRuntimeId}); err != nil {
		t.Error(err)
	}
	if _, err := c.GetAgentRuntime(t.Context(), &core.GetAgentRuntimeInput{AgentRuntimeId: made.AgentRuntimeId}); code(err) != "ResourceNotFoundException" {
		t.Errorf("moto now takes time to delete a runtime (%v): see whether the fill-in can go", err)
	}
}

// The proxy's AgentCore trusts no role that it cannot look at.
func TestARoleThatCannotBeReadIsNotTrusted(t *testing.T) {
	url, _ := backend(t)
	w := newWorld(t, url, 1)
	status, _, err := w.AgentCore().ServeAgentCore("t", http.MethodPut, "/runtimes/", "",
		[]byte(`{"agentRuntimeName":"a","roleArn":"arn:aws:iam::123456789012:role/r","agentRuntimeArtifact":{}}`))
	if status != http.StatusBadRequest || code(err) != "ValidationException" {
		t.Errorf("status %d, %v", status, err)
	}
}
