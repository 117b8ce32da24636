package main

import (
	"bytes"
	"strings"
	"testing"

	"rolekeeper/local/mototest"
	"rolekeeper/shared/naming"
)

func TestTheDemoTellsWhatHappened(t *testing.T) {
	mototest.Venv(t)
	t.Chdir("../../..")
	var out bytes.Buffer
	if err := run(t.Context(), &out, func(string) string { return "" }); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"Object Created: configs/support/claims.yaml",
		"Agent Roles Ready: configs/travel/team.yaml flight_search",
		naming.RuntimeRole(region, "claims_assistant"), naming.BuildRole(region, "claims_assistant"), naming.RuntimeRole(region, "flight_search"),
		"memory/claims_assistant_mem-Zk3Vw8Rt1P",
		"answer   REJECTED",
		"  3 |     name: hotel-search",
		"answer   BLOCKED", naming.RuntimeRole(region, "night_porter") + " is the same role", "done: the roles of night_porter are Rolekeeper's",
		"Agent Build Started: configs/support/claims.yaml claims_assistant", "Agent Build Succeeded: configs/support/claims.yaml claims_assistant",
		"image    123456789012.dkr.ecr.us-east-1.amazonaws.com/bedrock-agentcore-claims_assistant@sha256:",
		"Agent Build Failed: configs/support/claims.yaml claims_assistant", "message  BUILD: COMMAND_EXECUTION_ERROR", "ERROR: failed to solve",
		"latest is still sha256:", "trust narrowed to project bedrock-agentcore-night_porter-builder",
		"DeleteAgentRuntime claims_assistant-", "Agent Retiring: configs/support/claims.yaml claims_assistant", "answer   RETIRING",
		"Role Deletion Blocked: configs/travel/team.yaml flight_search", "in use   by arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/canary-",
		"kept     role " + naming.RuntimeRole(region, "flight_search") + ", unchanged",
		"phase    quarantined: the trust policy of " + naming.RuntimeRole(region, "claims_assistant"),
		"next     claims_assistant: to have role " + naming.RuntimeRole(region, "claims_assistant") + " back as it was",
		"Agent Roles Deleted: configs/support/claims.yaml claims_assistant", "answer   RETIRED",
		"gone     role " + naming.BuildRole(region, "claims_assistant"), "gone     project bedrock-agentcore-claims_assistant-builder",
		"kept     bedrock-agentcore-claims_assistant with its images: latest is sha256:",
		"archive  s3://bedrock-agentcore-configs-123456789012-us-east-1/archive/" + naming.RuntimeRole(region, "claims_assistant"),
		"restore: policy BedrockAgentCoreRuntimeExecutionPolicy-claims_assistant", "agent claims_assistant is held", "is as it was, but for its unique id",
		"lets account 999999999999 in", "by IAM's event", "Role Drift Repaired: configs/support/claims.yaml claims_assistant",
		"told     runtime/policy/debug-access, extra, by arn:aws:sts::123456789012:assumed-role/somebody/somebody",
		"BedrockAgentCoreRuntimeExecutionPolicy-flight_search: missing, repaired", "BedrockAgentCoreRuntimeExecutionPolicy-flight_search: missing, held-back",
		"stopped  2 roles are to be put right, and MaxChangesPerSweep is 1 here", "approve --pass", "reports/latest.html: a page for people",
		"used     AWSServiceRoleForBedrockAgentCoreNetwork", "runtime arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/canary-",
		"absent   AWSServiceRoleForBedrockAgentCoreRuntimeInstances", "Network: network-interface eni-", "they should be gone at ",
		"idle     AWSServiceRoleForBedrockAgentCoreNetwork", "slr delete AWSServiceRoleForBedrockAgentCoreNetwork --yes", "absent   AWSServiceRoleForBedrockAgentCoreNetwork",
		"3 roles made, 2 adopted, 4 repaired, 2 deleted, 1 kept in use, 1 restored, 1 image built, 1 build failed, 1 config refused",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not tell %q:\n%s", want, out.String())
		}
	}
}

func TestTheDemoFailsWhenAnythingIsDenied(t *testing.T) {
	mototest.Venv(t)
	t.Chdir("../../..")
	for _, operation := range []string{"CreateRole", "PutImage", "DeleteRole"} {
		var out bytes.Buffer
		err := run(t.Context(), &out, func(name string) string {
			if name == "DENY" {
				return operation
			}
			return ""
		})
		if err == nil {
			t.Errorf("without %s the demo says all is well:\n%s", operation, out.String())
		}
	}
}
