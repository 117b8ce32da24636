package e2e

import (
	"strings"
	"testing"

	"rolekeeper/local"
	"rolekeeper/local/mototest"
	localstack "rolekeeper/local/stack"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// driftAttacks are what somebody tries who has taken over the pass, or has it call
// whom he likes, or wants its reports to be silent and its brake to be off.
func (s stack) driftAttacks() []request {
	boundary := s.Stack().Outputs["BoundaryArn"]
	bounded := map[string]any{"iam:PermissionsBoundary": boundary}
	runtime, project := roleARN(owned("my_agent")), projectARN(naming.Project("my_agent"))
	configs, once := "arn:aws:s3:::"+bucket, map[string]any{"s3:if-none-match": "*"}
	abroad := map[string]any{"aws:RequestedRegion": "eu-west-1"}
	bus := "arn:aws:events:" + region + ":" + account + ":event-bus/default"
	parameters := "arn:aws:ssm:" + region + ":" + account + ":parameter"
	settings := parameters + s.Stack().Outputs["SettingsParameter"]
	report, kept, approval := configs+"/"+naming.LatestReportKey, configs+"/"+naming.DriftReportPrefix+"1.json", configs+"/"+naming.FleetRequestKey("1")
	objects := []string{allObjects}
	from := func(rule string) map[string]any { return map[string]any{"aws:SourceArn": rule} }
	var fleetRule string
	for _, r := range s.Stack().Rules {
		if r.LogicalID == "FleetRequestWrittenRule" {
			fleetRule = r.ARN
		}
	}

	all := []request{
		// Taken over: drift, and the buckets.
		{what: "writes a config", action: "s3:PutObject", resource: configs + "/configs/team/a.yaml"},
		{what: "deletes a config", action: "s3:DeleteObject", resource: configs + "/configs/team/a.yaml"},
		{what: "reads an old config", action: "s3:GetObjectVersion", resource: configs + "/configs/team/a.yaml"},
		{what: "writes a status", attached: objects, action: "s3:PutObject", resource: configs + "/status/a.yaml.json"},
		{what: "takes a claim", attached: objects, action: "s3:PutObject", resource: configs + "/claims/roles/0123456789.json", context: once},
		{what: "reads an archive", action: "s3:GetObject", resource: configs + "/archive/role/1.json"},
		{what: "writes an archive", attached: objects, action: "s3:PutObject", resource: configs + "/archive/role/1.json", context: once},
		{what: "makes believe that nothing uses a role", attached: objects, action: "s3:PutObject", resource: configs + "/" + naming.InventoryKey},
		{what: "makes believe that nothing was deleted of late", attached: objects, action: "s3:PutObject", resource: configs + "/" + naming.DeletionsKey},
		{what: "reads a request for a config", action: "s3:GetObject", resource: configs + "/requests/config/0/1.json"},
		{what: "writes a request", attached: objects, action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: once},
		{what: "approves itself", attached: objects, action: "s3:PutObject", resource: approval, context: once},
		{what: "deletes a report", action: "s3:DeleteObject", resource: kept},
		{what: "deletes a version of a report", action: "s3:DeleteObjectVersion", resource: kept},
		{what: "writes where nothing is", attached: objects, action: "s3:PutObject", resource: configs + "/report.html"},
		{what: "writes a report without TLS", action: "s3:PutObject", resource: report, context: map[string]any{"aws:SecureTransport": "false"}},
		{what: "lists sources", action: "s3:ListBucket", resource: "arn:aws:s3:::" + sourceBucket},
		{what: "reads a source", action: "s3:GetObject", resource: "arn:aws:s3:::" + sourceBucket + "/" + naming.SourceKey("team", "my_agent")},

		// Taken over: drift, and what else it reads.
		{what: "reads a role", action: "iam:GetRole", resource: runtime},
		{what: "reads a policy of a role", action: "iam:GetRolePolicy", resource: runtime},
		{what: "reads another policy", action: "iam:GetPolicyVersion", resource: "arn:aws:iam::" + account + ":policy/theirs"},
		{what: "reads a user", action: "iam:GetUser", resource: "arn:aws:iam::" + account + ":user/mallory"},
		{what: "reads another's parameter", action: "ssm:GetParameter", resource: parameters + "/password"},
		{what: "reads the settings of a stack whose name goes on", action: "ssm:GetParameter", resource: settings + "-2"},
		{what: "writes its settings", action: "ssm:PutParameter", resource: settings},
		{what: "reads another project", action: "codebuild:BatchGetProjects", resource: deployments},
		{what: "reads a project of another Region", action: "codebuild:BatchGetProjects", resource: strings.Replace(project, region, "eu-west-1", 1)},
		{what: "starts a build", action: "codebuild:StartBuild", resource: project},
		{what: "changes a project", action: "codebuild:UpdateProject", resource: project},
		{what: "reads a runtime", action: "bedrock-agentcore:GetAgentRuntime", resource: agentCoreARNs + "runtime/my_agent-AbCdEf1234"},
		{what: "deletes a runtime", action: "bedrock-agentcore:DeleteAgentRuntime", resource: agentCoreARNs + "runtime/my_agent-AbCdEf1234"},
		{what: "lists runtimes of another Region", action: "bedrock-agentcore:ListAgentRuntimes", resource: "*", context: abroad},

		// Taken over: drift, and whom it may call.
		{what: "sends intake an event", action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox")},
		{what: "buries work", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work-dead-letters.fifo")},
		{what: "takes work from reconcile", action: "sqs:ReceiveMessage", resource: queueARN("rolekeeper-work.fifo")},
		{what: "empties the work queue", action: "sqs:PurgeQueue", resource: queueARN("rolekeeper-work.fifo")},
		{what: "gives work without TLS", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo"), context: map[string]any{"aws:SecureTransport": "false"}},
		{what: "calls reconcile", action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-reconcile")},
		{what: "sends an event", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"rolekeeper"}}},
		{what: "tells people", action: "sns:Publish", resource: s.Stack().Outputs["AlarmTopicArn"]},

		// Taken over: drift, and IAM.
		{what: "makes a role", action: "iam:CreateRole", resource: runtime, context: bounded},
		{what: "gives a policy to an agent's role", action: "iam:PutRolePolicy", resource: runtime, context: bounded},
		{what: "changes the trust of an agent's role", action: "iam:UpdateAssumeRolePolicy", resource: runtime, context: bounded},
		{what: "changes an agent's role", action: "iam:UpdateRole", resource: runtime, context: bounded},
		{what: "bounds an agent's role", action: "iam:PutRolePermissionsBoundary", resource: runtime, context: bounded},
		{what: "tags an agent's role", action: "iam:TagRole", resource: runtime, context: map[string]any{"aws:TagKeys": []string{model.TagConfig}}},
		{what: "changes the boundary", action: "iam:CreatePolicyVersion", resource: boundary},
		{what: "makes a service-linked role", action: "iam:CreateServiceLinkedRole", resource: roleARN("aws-service-role/network.bedrock-agentcore.amazonaws.com/AWSServiceRoleForBedrockAgentCoreNetwork"), context: map[string]any{"iam:AWSServiceName": "network.bedrock-agentcore.amazonaws.com"}},
		{what: "passes an agent's role", action: "iam:PassRole", resource: runtime, context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "assumes an agent's role", action: "sts:AssumeRole", resource: runtime},

		// EventBridge, for others.
		{what: "calls drift for another rule", caller: local.EventBridge, action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift"), context: from("arn:aws:events:" + region + ":" + account + ":rule/other")},
		{what: "calls drift for a rule whose name goes on", caller: local.EventBridge, action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift"), context: from(fleetRule + "2")},
		{what: "calls drift for another account", caller: local.EventBridge, action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift"), context: from(strings.Replace(fleetRule, account, "210987654321", 1))},
		{what: "calls reconcile", caller: local.EventBridge, action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-reconcile"), context: from(fleetRule)},
		{what: "delivers a request for the fleet to intake", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox"), context: from(fleetRule)},

		// An operator sees the account as the pass does, here and not elsewhere.
		{what: "lists runtimes of another Region", caller: "operator", action: "bedrock-agentcore:ListAgentRuntimes", resource: "*", context: abroad},
		{what: "overwrites an approval", caller: "operator", attached: objects, action: "s3:PutObject", resource: approval},
		{what: "deletes an approval", caller: "operator", attached: objects, action: "s3:DeleteObject", resource: approval},
	}
	for i := range all {
		if all[i].caller == "" {
			all[i].caller = "drift"
		}
	}
	// Who has all of S3, and is no pass.
	for _, caller := range []string{"developer", "operator", "intake", "reconcile"} {
		for _, object := range []string{report, configs + "/" + naming.LatestPassKey, kept} {
			for _, action := range []string{"s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateObject"} {
				all = append(all, request{what: "forges what the pass found", caller: caller, attached: objects, action: action, resource: object})
			}
			all = append(all, request{what: "forges what the pass found, where nothing is", caller: caller, attached: objects, action: "s3:PutObject", resource: object, context: once})
		}
	}
	for _, caller := range []string{"developer", "intake", "reconcile"} {
		all = append(all,
			request{what: "approves a pass", caller: caller, attached: objects, action: "s3:PutObject", resource: approval, context: once},
			request{what: "reads the account's roles", caller: caller, action: "iam:GetAccountAuthorizationDetails", resource: "*"})
	}
	return all
}

// forwarding judges what a stack of events/forwarder.yaml may do, which is there
// where IAM's events are when the stack is elsewhere.
func (s stack) forwarding(t *testing.T) {
	const home, forwarder, caller = "eu-west-1", "../../events/forwarder.yaml", "forwarder"
	parameters := map[string]string{"HomeRegion": home}
	template, err := localstack.Translate(t.Context(), mototest.Venv(t), forwarder, region, parameters)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range template.Resources {
		if r.Type == "AWS::Events::Rule" {
			delete(r.Properties, "Targets") // nothing here has two Regions
		}
	}
	made, err := localstack.Resolve(template, s.Stack().Place, parameters)
	if err != nil {
		t.Fatal(err)
	}
	role, queue := made.Resources["ForwardRole"], queueARN("rolekeeper-iam-events-"+home+"-dead-letters")
	policies := role.Properties["Policies"].([]any)
	if len(policies) != 1 || len(made.Rules) != 2 {
		t.Fatalf("policies %v, rules %v", policies, made.Rules)
	}
	law := law{
		documents: map[string]document{
			"ForwardRole":                  {holders: []string{caller}, text: toJSON(t, policies[0].(map[string]any)["PolicyDocument"])},
			"ForwardDeadLetterQueuePolicy": {resource: queue, text: toJSON(t, made.Resources["ForwardDeadLetterQueuePolicy"].Properties["PolicyDocument"])},
		},
		principals: map[string]principal{caller: {arn: roleARN(role.PhysicalID), team: "platform"}},
	}
	bus := "arn:aws:events:" + home + ":" + account + ":event-bus/default"
	calls := []request{
		{caller: caller, action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"aws.iam"}}},
	}
	for _, rule := range made.Rules {
		calls = append(calls, request{caller: local.EventBridge, action: "sqs:SendMessage", resource: queue, context: map[string]any{"aws:SourceArn": rule.ARN}})
	}
	plain := map[string]any{"aws:SecureTransport": "false"}
	attacks := []request{
		{what: "sends events in its own Region", caller: caller, action: "events:PutEvents", resource: strings.Replace(bus, home, region, 1)},
		{what: "sends events to a third Region", caller: caller, action: "events:PutEvents", resource: strings.Replace(bus, home, "eu-central-1", 1)},
		{what: "sends events to another account", caller: caller, action: "events:PutEvents", resource: strings.Replace(bus, account, "210987654321", 1)},
		{what: "sends events to another bus", caller: caller, action: "events:PutEvents", resource: strings.Replace(bus, "default", "theirs", 1)},
		{what: "makes a rule", caller: caller, action: "events:PutRule", resource: strings.Replace(bus, "event-bus/default", "rule/theirs", 1)},
		{what: "sends intake an event", caller: caller, action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox")},
		{what: "buries an event", caller: caller, action: "sqs:SendMessage", resource: queue},
		{what: "takes messages", caller: caller, action: "sqs:ReceiveMessage", resource: queue},
		{what: "reads a role", caller: caller, action: "iam:GetRole", resource: roleARN(owned("my_agent"))},
		{what: "gives a policy to a role", caller: caller, action: "iam:PutRolePolicy", resource: roleARN(owned("my_agent"))},
		{what: "reads a config", caller: caller, action: "s3:GetObject", resource: "arn:aws:s3:::" + bucket + "/configs/team/a.yaml"},
		{what: "calls drift", caller: caller, action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift")},
		{what: "buries an event for another rule", caller: local.EventBridge, action: "sqs:SendMessage", resource: queue, context: map[string]any{"aws:SourceArn": made.Rules[0].ARN + "2"}},
		{what: "takes messages without TLS", caller: operatorARN, attached: anything, action: "sqs:ReceiveMessage", resource: queue, context: plain},
	}
	law.sift(t, calls, true)
	law.sift(t, attacks, false)
	law.mutate(t, calls, attacks, 5, func(document) bool { return true })
}
