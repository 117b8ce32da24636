package e2e

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// attacks are what somebody tries who has taken over a function, or is a
// developer with wide rights of S3, or speaks for a service. "attached" is what
// an administrator gave the caller by mistake.
func (s stack) attacks() []request {
	anything := []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`}
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
	bus := "arn:aws:events:" + region + ":" + account + ":event-bus/default"
	function := func(name string) string { return roleARN("rolekeeper-" + name + "-" + region) }
	linkedRole := func(service, role string) string { return roleARN("aws-service-role/" + service + "/" + role) }
	runtimes := "arn:aws:bedrock-agentcore:" + region + ":" + account + ":runtime/my_agent-AbCdEf1234"

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
		{what: "gives a tag that others go by", caller: "reconcile", action: "iam:TagRole", resource: agents, context: map[string]any{"aws:TagKeys": []string{"team"}}},
		{what: "gives such a tag among ours", caller: "reconcile", action: "iam:TagRole", resource: agents, context: map[string]any{"aws:TagKeys": append([]string{"team"}, ours...)}},
		{what: "takes tags away", caller: "reconcile", action: "iam:UntagRole", resource: agents, context: map[string]any{"aws:TagKeys": ours}},
		{what: "attaches a managed policy", caller: "reconcile", action: "iam:AttachRolePolicy", resource: agents, context: map[string]any{"iam:PermissionsBoundary": boundary, "iam:PolicyARN": administrator}},
		{what: "deletes a role", caller: "reconcile", action: "iam:DeleteRole", resource: agents},
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
		{what: "writes an operator's request", caller: "reconcile", attached: objects, action: "s3:PutObject", resource: configs + "/requests/fleet/1.json"},
		{what: "reads a source", caller: "reconcile", action: "s3:GetObject", resource: sources + "/my_agent/source.zip"},
		{what: "opens the bucket", caller: "reconcile", action: "s3:PutBucketPolicy", resource: configs},
		{what: "sends an event as a service of AWS", caller: "reconcile", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"aws.iam"}}},
		{what: "sends such an event among ours", caller: "reconcile", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"rolekeeper", "aws.iam"}}},
		{what: "sends an event of no source", caller: "reconcile", action: "events:PutEvents", resource: bus},
		{what: "gives itself work", caller: "reconcile", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo")},

		// Taken over: intake.
		{what: "makes a role", caller: "intake", action: "iam:CreateRole", resource: agents, context: bounded},
		{what: "reads a config", caller: "intake", action: "s3:GetObject", resource: configs + "/configs/a.yaml"},
		{what: "takes a claim", caller: "intake", attached: objects, action: "s3:PutObject", resource: configs + "/claims/roles/0123456789.json", context: once},
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
		{what: "deletes a request", action: "s3:DeleteObject", resource: configs + "/requests/config/0/1.json"},
		{what: "has a request replicated", action: "s3:ReplicateObject", resource: configs + "/requests/fleet/1.json"},
		{what: "writes where nothing is", action: "s3:PutObject", resource: configs + "/elsewhere"},
		{what: "uploads a config without TLS", action: "s3:PutObject", resource: configs + "/configs/a.yaml", context: plain},
		{what: "reads a status without TLS", action: "s3:GetObject", resource: configs + "/status/a.yaml.json", context: plain},
		{what: "lists the configs without TLS", action: "s3:ListBucket", resource: configs, context: plain},
		{what: "uploads a source without TLS", action: "s3:PutObject", resource: sources + "/my_agent/source.zip", context: plain},
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
		for _, role := range []string{"reconcile", "intake"} {
			all = append(all,
				request{what: "writes a function's role", caller: "reconcile", action: "iam:" + write, resource: function(role)},
				request{what: "writes a function's role", caller: "reconcile", attached: anything, action: "iam:" + write, resource: function(role)})
		}
	}
	for i, r := range all {
		if r.caller == "" {
			all[i].caller, all[i].attached = "developer", objects
		}
	}
	return all
}

// open are what docs/security.md says is not isolated.
func (s stack) open() []request {
	configs, sources := "arn:aws:s3:::"+bucket, "arn:aws:s3:::"+naming.SourceBucket(account, region)
	return []request{
		{what: "deletes another's config", caller: "developer", action: "s3:DeleteObject", resource: configs + "/configs/others/agent.yaml"},
		{what: "replaces another's source", caller: "developer", action: "s3:PutObject", resource: sources + "/others/source.zip"},
		{what: "passes the role of another's agent", caller: "developer", action: "iam:PassRole", resource: roleARN(naming.RuntimeRole(region, "others")), context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},
		{what: "updates another's runtime", caller: "developer", action: "bedrock-agentcore:UpdateAgentRuntime", resource: "arn:aws:bedrock-agentcore:" + region + ":" + account + ":runtime/others-AbCdEf1234"},
		{what: "reads another's status", caller: "developer", action: "s3:GetObject", resource: configs + "/status/others/agent.yaml.json"},
		{what: "replaces the bucket policy", caller: "developer", attached: []string{allObjects}, action: "s3:PutBucketPolicy", resource: configs},
	}
}

// allObjects is the grant that many a developer has from elsewhere.
const allObjects = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`

// refusals are attacks by way of a config. The policies allow the calls that
// they ask for; the code does not make them.
func (s stack) refusals() {
	s.t.Helper()
	ctx, admin := s.t.Context(), iam.NewFromConfig(s.Config("admin"))
	name := naming.RuntimeRole(region, "squatter")
	in := &iam.CreateRoleInput{
		RoleName: &name, PermissionsBoundary: aws.String(s.Stack().Outputs["BoundaryArn"]),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`),
	}
	for key, value := range map[string]string{
		model.TagConfig: "configs/squatter.yaml", model.TagAgent: "squatter", model.TagTemplate: "1", model.TagCreation: "00000000000000000000000000000000",
	} {
		in.Tags = append(in.Tags, iamtypes.Tag{Key: &key, Value: &value})
	}
	if _, err := admin.CreateRole(ctx, in); err != nil {
		s.t.Fatal(err)
	}
	withRole := func(agent, arn string) string {
		return strings.Replace(container(agent), "    aws:\n", "    aws:\n      execution_role: "+arn+"\n", 1)
	}
	for _, c := range []struct {
		what, agent, body, spared string
		outcome                   status.Outcome
		problem                   string
	}{
		{"a stranger's role that bears our name, boundary and tags", "squatter", container("squatter"), name, status.Blocked, "role-not-ours"},
		{"reconcile's own role", "thief", withRole("thief", roleARN("rolekeeper-reconcile-"+region)), "rolekeeper-reconcile-" + region, status.Ready, "external-role-trust"},
		{"the role of another config's agent", "sharer", withRole("sharer", roleARN(naming.RuntimeRole(region, "my_agent"))), naming.RuntimeRole(region, "my_agent"), status.Rejected, "role-of-other-config"},
		{"a role of another account", "abroad", withRole("abroad", "arn:aws:iam::210987654321:role/theirs"), "theirs", status.Rejected, "role-foreign"},
		{"a name that is a pattern", "pattern", strings.ReplaceAll(container("pattern"), "name: pattern", "name: '*'"), naming.RuntimeRole(region, "*"), status.Rejected, "agent-name-invalid"},
		{"every model", "greedy", container("greedy", "    permissions:\n      models: ['*']\n"), naming.RuntimeRole(region, "greedy"), status.Rejected, "model-invalid"},
	} {
		s.Proxy().Reset()
		key := "configs/" + c.agent + ".yaml"
		s.upload(key, c.body)
		s.idle()
		got := s.status(key)
		var codes []string
		for _, p := range got.Problems {
			codes = append(codes, p.Code)
		}
		if got.Outcome != c.outcome || !slices.Contains(codes, c.problem) {
			s.t.Errorf("%s: outcome %s, problems %v; want %s, %s", c.what, got.Outcome, codes, c.outcome, c.problem)
		}
		for _, call := range s.Calls(proxy.Filter{Caller: "reconcile", Service: "iam", Resource: c.spared}) {
			if !strings.HasPrefix(call.Operation, "Get") && !strings.HasPrefix(call.Operation, "List") {
				s.t.Errorf("%s: %s %s was called", c.what, call.Operation, call.Resource)
			}
		}
	}
}
