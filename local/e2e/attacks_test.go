package e2e

import (
	"strings"

	"rolekeeper/local"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// attacks are what somebody tries who has taken over a function, or is a
// developer or an operator with wide rights of S3, or speaks for a service.
// "attached" is what an administrator gave the caller by mistake.
func (s stack) attacks() []request {
	objects := []string{allObjects}
	boundary := s.Stack().Outputs["BoundaryArn"]
	const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
	ours := []string{model.TagAgent, model.TagConfig, model.TagCreation, model.TagTemplate}
	agents := roleARN(naming.RuntimeRole(region, "my_agent"))
	elsewhere := roleARN(naming.RuntimeRole("eu-west-1", "my_agent"))
	bounded := map[string]any{"iam:PermissionsBoundary": boundary}
	configs, sources := "arn:aws:s3:::"+bucket, "arn:aws:s3:::"+naming.SourceBucket(account, region)
	plain := map[string]any{"aws:SecureTransport": "false"}
	once := map[string]any{"s3:if-none-match": "*"}
	untagged := map[string]any{"aws:PrincipalTag/" + teamTag: nil}
	bus := "arn:aws:events:" + region + ":" + account + ":event-bus/default"
	function := func(name string) string { return roleARN("rolekeeper-" + name + "-" + region) }
	linkedRole := func(service, role string) string { return roleARN("aws-service-role/" + service + "/" + role) }
	runtimes := "arn:aws:bedrock-agentcore:" + region + ":" + account + ":runtime/my_agent-AbCdEf1234"
	parameters := "arn:aws:ssm:" + region + ":" + account + ":parameter"
	settings := parameters + s.Stack().Outputs["SettingsParameter"]

	all := []request{
		// Taken over: reconcile, and IAM.
		{what: "makes a role without a boundary", caller: "reconcile", action: "iam:CreateRole", resource: agents, context: map[string]any{"aws:TagKeys": ours}},
		{what: "makes a role with another boundary", caller: "reconcile", action: "iam:CreateRole", resource: agents, context: map[string]any{"iam:PermissionsBoundary": administrator}},
		{what: "makes a role of another name", caller: "reconcile", action: "iam:CreateRole", resource: roleARN("admin"), context: bounded},
		{what: "makes a role under a path", caller: "reconcile", action: "iam:CreateRole", resource: roleARN("path/" + naming.RuntimeRole(region, "my_agent")), context: bounded},
		{what: "makes a role of another Region's name", caller: "reconcile", action: "iam:CreateRole", resource: elsewhere, context: bounded},
		{what: "gives a policy to a role without a boundary", caller: "reconcile", action: "iam:PutRolePolicy", resource: agents},
		{what: "gives a policy to a role with another boundary", caller: "reconcile", action: "iam:PutRolePolicy", resource: agents, context: map[string]any{"iam:PermissionsBoundary": administrator}},
		{what: "takes a policy from a role without a boundary", caller: "reconcile", action: "iam:DeleteRolePolicy", resource: agents},
		{what: "changes the trust of a role without a boundary", caller: "reconcile", action: "iam:UpdateAssumeRolePolicy", resource: agents},
		{what: "changes a role without a boundary", caller: "reconcile", action: "iam:UpdateRole", resource: agents},
		{what: "gives a role another boundary", caller: "reconcile", action: "iam:PutRolePermissionsBoundary", resource: agents, context: map[string]any{"iam:PermissionsBoundary": administrator}},
		{what: "takes a boundary off", caller: "reconcile", action: "iam:DeleteRolePermissionsBoundary", resource: agents},
		{what: "takes a boundary off", caller: "reconcile", attached: anything, action: "iam:DeleteRolePermissionsBoundary", resource: agents},
		{what: "gives a policy to a foreign role inside the boundary", caller: "reconcile", action: "iam:PutRolePolicy", resource: roleARN("admin"), context: bounded},
		{what: "changes the trust of a foreign role inside the boundary", caller: "reconcile", action: "iam:UpdateAssumeRolePolicy", resource: roleARN("admin"), context: bounded},
		{what: "bounds a foreign role", caller: "reconcile", action: "iam:PutRolePermissionsBoundary", resource: roleARN("admin"), context: bounded},
		{what: "tags a foreign role as ours", caller: "reconcile", action: "iam:TagRole", resource: roleARN("admin"), context: map[string]any{"aws:TagKeys": ours}},
		{what: "passes an agent's role", caller: "reconcile", action: "iam:PassRole", resource: agents, context: map[string]any{"iam:PassedToService": "lambda.amazonaws.com"}},
		{what: "passes an agent's role to AgentCore", caller: "reconcile", action: "iam:PassRole", resource: agents, context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "passes its own role", caller: "reconcile", attached: anything, action: "iam:PassRole", resource: function("reconcile"), context: map[string]any{"iam:PassedToService": "lambda.amazonaws.com"}},
		{what: "assumes an agent's role", caller: "reconcile", action: "sts:AssumeRole", resource: agents},
		{what: "makes a user", caller: "reconcile", action: "iam:CreateUser", resource: "arn:aws:iam::" + account + ":user/mallory"},
		{what: "makes another service's linked role", caller: "reconcile", action: "iam:CreateServiceLinkedRole", resource: linkedRole("ecs.amazonaws.com", "AWSServiceRoleForECS"), context: map[string]any{"iam:AWSServiceName": "ecs.amazonaws.com"}},
		{what: "makes a linked role of AgentCore that no agent needs", caller: "reconcile", action: "iam:CreateServiceLinkedRole", resource: linkedRole("gateway-network.bedrock-agentcore.amazonaws.com", "AWSServiceRoleForBedrockAgentCoreGatewayNetwork"), context: map[string]any{"iam:AWSServiceName": "gateway-network.bedrock-agentcore.amazonaws.com"}},
		// AWS derives the ARN from the service. Should a name ever lead past that,
		// the condition is what holds.
		{what: "makes another service's linked role under an ARN of ours", caller: "reconcile", action: "iam:CreateServiceLinkedRole", resource: linkedRole("network.bedrock-agentcore.amazonaws.com", "AWSServiceRoleForBedrockAgentCoreNetwork"), context: map[string]any{"iam:AWSServiceName": "ecs.amazonaws.com"}},

		// Taken over: reconcile, and the rest.
		{what: "overwrites an archive", caller: "reconcile", action: "s3:PutObject", resource: configs + "/archive/role/1.json"},
		{what: "overwrites an archive of the version it knows", caller: "reconcile", action: "s3:PutObject", resource: configs + "/archive/role/1.json", context: map[string]any{"s3:if-match": `"0"`}},
		{what: "deletes an archive", caller: "reconcile", action: "s3:DeleteObject", resource: configs + "/archive/role/1.json"},
		{what: "deletes an archive", caller: "reconcile", attached: objects, action: "s3:DeleteObject", resource: configs + "/archive/role/1.json"},
		{what: "deletes a version of an archive", caller: "reconcile", attached: objects, action: "s3:DeleteObjectVersion", resource: configs + "/archive/role/1.json"},
		{what: "writes a config", caller: "reconcile", action: "s3:PutObject", resource: configs + "/configs/a.yaml"},
		{what: "deletes a config", caller: "reconcile", action: "s3:DeleteObject", resource: configs + "/configs/a.yaml"},
		{what: "writes an operator's request", caller: "reconcile", attached: objects, action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: once},
		{what: "writes a request for the fleet", caller: "reconcile", action: "s3:PutObject", resource: configs + "/requests/fleet/1.json", context: once},
		{what: "deletes a request", caller: "reconcile", attached: objects, action: "s3:DeleteObject", resource: configs + "/requests/config/0/1.json"},
		{what: "reads another's parameter", caller: "reconcile", action: "ssm:GetParameter", resource: parameters + "/password"},
		{what: "reads the settings of a stack whose name goes on", caller: "reconcile", action: "ssm:GetParameter", resource: settings + "-2"},
		{what: "writes its settings", caller: "reconcile", action: "ssm:PutParameter", resource: settings},
		{what: "deletes its settings", caller: "reconcile", action: "ssm:DeleteParameter", resource: settings},
		{what: "opens the bucket", caller: "reconcile", action: "s3:PutBucketPolicy", resource: configs},
		{what: "sends an event as a service of AWS", caller: "reconcile", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"aws.iam"}}},
		{what: "sends such an event among ours", caller: "reconcile", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"rolekeeper", "aws.iam"}}},
		{what: "sends an event of no source", caller: "reconcile", action: "events:PutEvents", resource: bus},
		{what: "gives itself work", caller: "reconcile", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo")},

		// Taken over: intake.
		{what: "makes a role", caller: "intake", action: "iam:CreateRole", resource: agents, context: bounded},
		{what: "reads a config", caller: "intake", action: "s3:GetObject", resource: configs + "/configs/a.yaml"},
		{what: "takes a claim", caller: "intake", attached: objects, action: "s3:PutObject", resource: configs + "/claims/roles/0123456789.json", context: once},
		{what: "writes a request", caller: "intake", attached: objects, action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: once},
		{what: "deletes a request", caller: "intake", attached: objects, action: "s3:DeleteObject", resource: configs + "/requests/config/0/1.json"},
		{what: "reads a request for the fleet", caller: "intake", action: "s3:GetObject", resource: configs + "/requests/fleet/1.json"},
		{what: "reads the settings", caller: "intake", action: "ssm:GetParameter", resource: settings},
		{what: "takes work from reconcile", caller: "intake", action: "sqs:ReceiveMessage", resource: queueARN("rolekeeper-work.fifo")},

		// A developer with all of S3.
		{what: "writes a status", action: "s3:PutObject", resource: configs + "/status/a.yaml.json"},
		{what: "deletes a status", action: "s3:DeleteObject", resource: configs + "/status/a.yaml.json"},
		{what: "tags a status", action: "s3:PutObjectTagging", resource: configs + "/status/a.yaml.json"},
		{what: "takes a claim", action: "s3:PutObject", resource: configs + "/claims/roles/0123456789.json", context: once},
		{what: "frees another's claim", action: "s3:DeleteObject", resource: configs + "/claims/roles/0123456789.json"},
		{what: "deletes a version of a claim", action: "s3:DeleteObjectVersion", resource: configs + "/claims/roles/0123456789.json"},
		{what: "has a claim replicated", action: "s3:ReplicateObject", resource: configs + "/claims/roles/0123456789.json"},
		{what: "writes an archive", action: "s3:PutObject", resource: configs + "/archive/role/1.json", context: once},
		{what: "overwrites an archive", action: "s3:PutObject", resource: configs + "/archive/role/1.json"},
		{what: "deletes an archive", action: "s3:DeleteObject", resource: configs + "/archive/role/1.json"},
		{what: "deletes a version of an archive", action: "s3:DeleteObjectVersion", resource: configs + "/archive/role/1.json"},
		{what: "writes a request", action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: once},
		{what: "overwrites a request", action: "s3:PutObject", resource: configs + "/requests/config/0/1.json"},
		{what: "tags a request", action: "s3:PutObjectTagging", resource: configs + "/requests/config/0/1.json"},
		{what: "deletes a request", action: "s3:DeleteObject", resource: configs + "/requests/config/0/1.json"},
		{what: "has a request replicated", action: "s3:ReplicateObject", resource: configs + "/requests/fleet/1.json"},
		{what: "writes where nothing is", action: "s3:PutObject", resource: configs + "/elsewhere"},
		{what: "writes where nothing is, without a tag", action: "s3:PutObject", resource: configs + "/elsewhere", context: untagged},
		{what: "deletes where nothing is, without a tag", action: "s3:DeleteObject", resource: configs + "/elsewhere", context: untagged},
		{what: "replicates to where nothing is, without a tag", action: "s3:ReplicateObject", resource: configs + "/elsewhere", context: untagged},
		{what: "uploads a config without TLS", action: "s3:PutObject", resource: configs + "/configs/team/a.yaml", context: plain},
		{what: "reads a status without TLS", action: "s3:GetObject", resource: configs + "/status/a.yaml.json", context: plain},
		{what: "lists the configs without TLS", action: "s3:ListBucket", resource: configs, context: plain},
		{what: "uploads a source without TLS", action: "s3:PutObject", resource: sources + "/team/my_agent/source.zip", context: plain},
		{what: "lists the sources without TLS", action: "s3:ListBucket", resource: sources, context: plain},

		// A developer, beside S3.
		{what: "gives reconcile work", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo")},
		{what: "sends intake an event", action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox")},
		{what: "takes messages", action: "sqs:ReceiveMessage", resource: queueARN("rolekeeper-inbox")},
		{what: "empties the dead letters", action: "sqs:PurgeQueue", resource: queueARN("rolekeeper-work-dead-letters.fifo")},
		{what: "makes a role", action: "iam:CreateRole", resource: agents, context: bounded},
		{what: "gives a policy to a runtime role", action: "iam:PutRolePolicy", resource: agents, context: bounded},
		{what: "changes the trust of a runtime role", action: "iam:UpdateAssumeRolePolicy", resource: agents, context: bounded},
		{what: "assumes a runtime role", action: "sts:AssumeRole", resource: agents},
		{what: "passes a runtime role to another service", action: "iam:PassRole", resource: agents, context: map[string]any{"iam:PassedToService": "lambda.amazonaws.com"}},
		{what: "passes a runtime role of another Region", action: "iam:PassRole", resource: elsewhere, context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "passes a build role", action: "iam:PassRole", resource: roleARN(naming.BuildRole(region, "my_agent")), context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "passes a build role to CodeBuild", action: "iam:PassRole", resource: roleARN(naming.BuildRole(region, "my_agent")), context: map[string]any{"iam:PassedToService": "codebuild.amazonaws.com"}},
		{what: "passes a function's role", action: "iam:PassRole", resource: function("reconcile"), context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "passes any other role", action: "iam:PassRole", resource: roleARN("admin"), context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "makes a runtime in another Region", action: "bedrock-agentcore:CreateAgentRuntime", resource: "*", context: map[string]any{"aws:RequestedRegion": "eu-west-1"}},
		{what: "runs a command in an agent", action: "bedrock-agentcore:InvokeAgentRuntimeCommand", resource: runtimes},
		{what: "calls a function", action: "lambda:InvokeFunction", resource: "arn:aws:lambda:" + region + ":" + account + ":function:rolekeeper-reconcile"},
		{what: "replaces a function's code", action: "lambda:UpdateFunctionCode", resource: "arn:aws:lambda:" + region + ":" + account + ":function:rolekeeper-reconcile"},

		// An operator with all of S3, and one without.
		{what: "overwrites a request", caller: "operator", attached: objects, action: "s3:PutObject", resource: configs + "/requests/config/0/1.json"},
		{what: "overwrites the request that is there", caller: "operator", attached: objects, action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: map[string]any{"s3:if-match": `"0"`}},
		{what: "deletes a request", caller: "operator", attached: objects, action: "s3:DeleteObject", resource: configs + "/requests/config/0/1.json"},
		{what: "deletes a version of a request", caller: "operator", attached: objects, action: "s3:DeleteObjectVersion", resource: configs + "/requests/config/0/1.json"},
		{what: "has a request replicated", caller: "operator", attached: objects, action: "s3:ReplicateObject", resource: configs + "/requests/config/0/1.json"},
		{what: "writes a request without TLS", caller: "operator", action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: map[string]any{"s3:if-none-match": "*", "aws:SecureTransport": "false"}},
		{what: "writes a status", caller: "operator", attached: objects, action: "s3:PutObject", resource: configs + "/status/a.yaml.json"},
		{what: "takes a claim", caller: "operator", attached: objects, action: "s3:PutObject", resource: configs + "/claims/roles/0123456789.json", context: once},
		{what: "frees a claim", caller: "operator", attached: objects, action: "s3:DeleteObject", resource: configs + "/claims/roles/0123456789.json"},
		{what: "writes an archive", caller: "operator", attached: objects, action: "s3:PutObject", resource: configs + "/archive/role/1.json", context: once},
		{what: "deletes an archive", caller: "operator", attached: objects, action: "s3:DeleteObject", resource: configs + "/archive/role/1.json"},
		{what: "writes a config", caller: "operator", action: "s3:PutObject", resource: configs + "/configs/platform/a.yaml"},
		{what: "writes the settings", caller: "operator", action: "ssm:PutParameter", resource: settings},
		{what: "reads another's parameter", caller: "operator", action: "ssm:GetParameter", resource: parameters + "/password"},
		{what: "makes a role", caller: "operator", action: "iam:CreateRole", resource: agents, context: bounded},
		{what: "gives a policy to a runtime role", caller: "operator", action: "iam:PutRolePolicy", resource: agents, context: bounded},
		{what: "takes a policy from a runtime role", caller: "operator", action: "iam:DeleteRolePolicy", resource: agents, context: bounded},
		{what: "attaches a managed policy", caller: "operator", action: "iam:AttachRolePolicy", resource: agents, context: map[string]any{"iam:PermissionsBoundary": boundary, "iam:PolicyARN": administrator}},
		{what: "changes the trust of a runtime role", caller: "operator", action: "iam:UpdateAssumeRolePolicy", resource: agents, context: bounded},
		{what: "takes a boundary off", caller: "operator", action: "iam:DeleteRolePermissionsBoundary", resource: agents},
		{what: "tags a role as ours", caller: "operator", action: "iam:TagRole", resource: agents, context: map[string]any{"aws:TagKeys": ours}},
		{what: "changes the boundary", caller: "operator", action: "iam:CreatePolicyVersion", resource: boundary},
		{what: "passes a runtime role", caller: "operator", action: "iam:PassRole", resource: agents, context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "assumes a runtime role", caller: "operator", action: "sts:AssumeRole", resource: agents},
		{what: "gives reconcile work", caller: "operator", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo")},

		// Another rule of EventBridge, in this account or another.
		{what: "delivers for another rule", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox"), context: map[string]any{"aws:SourceArn": "arn:aws:events:" + region + ":" + account + ":rule/other"}},
		{what: "delivers for another account", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox"), context: map[string]any{"aws:SourceArn": strings.Replace(s.Stack().Rules[0].ARN, account, "210987654321", 1)}},
		{what: "buries for another rule", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox-dead-letters"), context: map[string]any{"aws:SourceArn": "arn:aws:events:" + region + ":" + account + ":rule/other"}},
		{what: "delivers to reconcile", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo"), context: map[string]any{"aws:SourceArn": s.Stack().Rules[0].ARN}},

		// The functions themselves, where somebody listens.
		{what: "sends work without TLS", caller: "intake", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo"), context: plain},
		{what: "buries an event without TLS", caller: "intake", action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox-dead-letters"), context: plain},
		{what: "sends a wake-up without TLS", caller: "reconcile", action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox"), context: plain},
		{what: "buries work without TLS", caller: "reconcile", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work-dead-letters.fifo"), context: plain},
		{what: "writes a status without TLS", caller: "reconcile", action: "s3:PutObject", resource: configs + "/status/a.yaml.json", context: plain},
	}
	for _, change := range []string{"CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion", "DeletePolicy", "TagPolicy", "UntagPolicy"} {
		all = append(all,
			request{what: "changes the boundary", caller: "reconcile", action: "iam:" + change, resource: boundary},
			request{what: "changes the boundary", caller: "reconcile", attached: anything, action: "iam:" + change, resource: boundary})
	}
	for _, write := range []string{"PutRolePolicy", "AttachRolePolicy", "UpdateAssumeRolePolicy", "DeleteRole", "TagRole"} {
		for _, role := range []string{"reconcile", "intake", "drift", "drift-schedule"} {
			all = append(all,
				request{what: "writes a function's role", caller: "reconcile", action: "iam:" + write, resource: function(role)},
				request{what: "writes a function's role", caller: "reconcile", attached: anything, action: "iam:" + write, resource: function(role)})
		}
	}
	// Who only looks like an operator, with all of S3.
	for what, caller := range map[string]string{
		"a role whose name goes on":              operatorARN + "2",
		"a role under a path":                    roleARN("path/operator"),
		"a role below the operator's name":       operatorARN + "/operator",
		"a user of the operator's name":          "arn:aws:iam::" + account + ":user/operator",
		"an operator of another account":         strings.Replace(operatorARN, account, "210987654321", 1),
		"a role named as single sign-on does":    roleARN("AWSReservedSSO_Operators_0123456789abcdef"),
		"such a role under a path of its own":    roleARN("sso/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Operators_0123456789abcdef"),
		"another permission set's role":          roleARN("aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Readers_0123456789abcdef"),
		"the operators of another account's SSO": strings.Replace(ssoOperatorARN, account, "210987654321", 1),
		"the root user":                          "arn:aws:iam::" + account + ":root",
	} {
		all = append(all, request{what: what + " writes a request", caller: caller, attached: objects, action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: once})
	}
	all = append(all, request{
		what: "a session of another role, named after the operator, writes a request", caller: "arn:aws:sts::" + account + ":assumed-role/developer/operator", attached: objects,
		action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: map[string]any{"s3:if-none-match": "*", "aws:PrincipalArn": developerARN},
	})
	return byDevelopers(all)
}

// byDevelopers has a developer with all of S3 do what nobody does.
func byDevelopers(all []request) []request {
	for i, r := range all {
		if r.caller == "" {
			all[i].caller, all[i].attached = "developer", []string{allObjects}
		}
	}
	return all
}

// intrusions are what is tried where there are teams. Developers with all of S3
// write what is another team's, or with a tag that says no team: the simulator
// takes an empty tag for none where a resource has it as a variable;
// local/template judges both readings. And reconcile, taken over, gives agents'
// roles a team: what others tagged a role with it may give back.
func intrusions() []request {
	var all []request
	for _, keys := range [][]string{{teamTag}, {model.TagConfig, teamTag}} {
		all = append(all, request{
			what: "gives a role a team", caller: "reconcile", attached: anything,
			action: "iam:TagRole", resource: roleARN(owned("my_agent")), context: map[string]any{"aws:TagKeys": keys},
		})
	}
	for folder, of := range map[string]string{
		"arn:aws:s3:::" + bucket + "/" + naming.ConfigPrefix:         "a config",
		"arn:aws:s3:::" + naming.SourceBucket(account, region) + "/": "a source",
	} {
		for _, action := range []string{"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectTagging", "s3:ReplicateObject"} {
			for _, try := range []struct {
				what string
				tag  any
				key  string
			}{
				{"of another team", "team", "others/agent/source.zip"},
				{"of a team whose name goes on", "team", "team2/agent/source.zip"},
				{"of its team in capitals", "team", "Team/agent/source.zip"},
				{"of no team", "team", "source.zip"},
				{"without a tag", nil, "team/agent/source.zip"},
				{"without a tag, of no team", nil, "source.zip"},
				{"with an empty tag", "", "team/agent/source.zip"},
				{"with an empty tag, in a folder without a name", "", "/agent/source.zip"},
				{"with a tag that is a path", "team/others", "team/others/agent/source.zip"},
				{"with a tag that is a slash", "/", "//agent/source.zip"},
			} {
				all = append(all, request{
					what: "writes " + of + " " + try.what, caller: "developer", attached: []string{allObjects},
					action: action, resource: folder + try.key, context: map[string]any{"aws:PrincipalTag/" + teamTag: try.tag},
				})
			}
		}
	}
	return all
}

// open are what docs/security.md says is not isolated.
func (s stack) open() []request {
	configs, sources := "arn:aws:s3:::"+bucket, "arn:aws:s3:::"+naming.SourceBucket(account, region)
	others := map[string]any{"aws:PrincipalTag/" + teamTag: "others"}
	return []request{
		{what: "deletes a config of somebody else of the team", caller: "developer", action: "s3:DeleteObject", resource: configs + "/configs/team/others.yaml"},
		{what: "replaces a source of somebody else of the team", caller: "developer", action: "s3:PutObject", resource: sources + "/team/others/source.zip"},
		{what: "chooses a team by its tag", caller: "developer", action: "s3:PutObject", resource: configs + "/configs/others/agent.yaml", context: others},
		{what: "passes the role of another's agent", caller: "developer", action: "iam:PassRole", resource: roleARN(naming.RuntimeRole(region, "others")), context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "updates another's runtime", caller: "developer", action: "bedrock-agentcore:UpdateAgentRuntime", resource: "arn:aws:bedrock-agentcore:" + region + ":" + account + ":runtime/others-AbCdEf1234"},
		{what: "deletes another's runtime", caller: "developer", action: "bedrock-agentcore:DeleteAgentRuntime", resource: agentCoreARNs + "runtime/others-AbCdEf1234"},
		{what: "reads another's status", caller: "developer", action: "s3:GetObject", resource: configs + "/status/others/agent.yaml.json"},
		{what: "replaces the bucket policy", caller: "developer", attached: []string{allObjects}, action: "s3:PutBucketPolicy", resource: configs},
		{what: "attaches any policy to an agent's role inside the boundary", caller: "reconcile", action: "iam:AttachRolePolicy", resource: roleARN(owned("my_agent")), context: map[string]any{
			"iam:PermissionsBoundary": s.Stack().Outputs["BoundaryArn"], "iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess",
		}},
	}
}

// anything is what an administrator gives somebody by mistake.
var anything = []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}

// allObjects is the grant that many a developer has from elsewhere.
const allObjects = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
