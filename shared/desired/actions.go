package desired

import (
	"rolekeeper/shared/agent"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// Action names are those of the Service Authorization Reference. Lists that
// both profiles and the boundary use stand here; what only one of them uses
// stands with it.

// at builds ARNs in a place.
type at struct{ agent.Place }

// arn gives the ARN of a resource of this account and region.
func (a at) arn(service, resource string) string {
	return "arn:" + a.Partition + ":" + service + ":" + a.Region + ":" + a.Account + ":" + resource
}

// agentCore gives the ARN of an AgentCore resource of this account and region.
func (a at) agentCore(resource string) string { return a.arn("bedrock-agentcore", resource) }

// awsOwned gives the ARN of an AgentCore tool that AWS owns, which stands in
// the account "aws".
func (a at) awsOwned(resource string) string {
	return "arn:" + a.Partition + ":bedrock-agentcore:" + a.Region + ":aws:" + resource
}

// role gives the ARN of a role with the path "/".
func (a at) role(name string) string {
	return "arn:" + a.Partition + ":iam::" + a.Account + ":role/" + name
}

// project gives the ARN of a CodeBuild project.
func (a at) project(name string) string { return a.arn("codebuild", "project/"+name) }

// bucket gives the ARN of a bucket.
func (a at) bucket(name string) string { return "arn:" + a.Partition + ":s3:::" + name }

// foundationModel gives the ARN of a model that AWS hosts.
func (a at) foundationModel(region, id string) string {
	return "arn:" + a.Partition + ":bedrock:" + region + "::foundation-model/" + id
}

const (
	directory    = "workload-identity-directory/default"
	identities   = directory + "/workload-identity/"
	tokenVault   = "token-vault/default"
	secretPrefix = "secret:bedrock-agentcore-identity!default/"
	runtimeLogs  = "log-group:/aws/bedrock-agentcore/runtimes/"
	buildLogs    = "log-group:/aws/codebuild/"
)

func allow(sid string, actions []string, resources ...string) policy.Statement {
	return policy.Statement{Sid: sid, Effect: policy.Allow, Actions: actions, Resources: resources}
}

func pull() []string { return []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"} }

func push() []string {
	return []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:PutImage",
		"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload",
	}
}

// Actions without a resource type in the Service Authorization Reference.
func registryToken() []string { return []string{"ecr:GetAuthorizationToken"} }

func tracing() []string {
	return []string{
		"xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets",
	}
}

// metrics allows metrics in AgentCore's namespace, the only scope that
// PutMetricData has.
func metrics(sid string) policy.Statement {
	return allow(sid, []string{"cloudwatch:PutMetricData"}, "*").
		With("StringEquals", "cloudwatch:namespace", "bedrock-agentcore")
}

func logDelivery() []string {
	return []string{
		"logs:CreateLogGroup", "logs:PutDeliverySource", "logs:PutDeliveryDestination", "logs:CreateDelivery",
		"logs:GetDeliverySource", "logs:DeleteDeliverySource", "logs:DeleteDeliveryDestination",
	}
}

// source grants an agent's source, in the version that a build is started with.
func source(sid string, actions []string, a agent.Agent, env Env) policy.Statement {
	return allow(sid, actions, at{env.Place}.bucket(env.SourceBucket)+"/"+naming.SourceKey(env.team(), a.Name)).
		With("StringEquals", "s3:ResourceAccount", env.Account)
}

func writeLogs() []string { return []string{"logs:CreateLogStream", "logs:PutLogEvents"} }

func memory() []string {
	return []string{
		"bedrock-agentcore:CreateEvent", "bedrock-agentcore:GetEvent", "bedrock-agentcore:GetMemory",
		"bedrock-agentcore:GetMemoryRecord", "bedrock-agentcore:ListActors", "bedrock-agentcore:ListEvents",
		"bedrock-agentcore:ListMemoryRecords", "bedrock-agentcore:ListSessions", "bedrock-agentcore:DeleteEvent",
		"bedrock-agentcore:DeleteMemoryRecord", "bedrock-agentcore:RetrieveMemoryRecords",
	}
}

func invokeModel() []string {
	return []string{"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"}
}

func codeInterpreter() []string {
	return []string{
		"bedrock-agentcore:StartCodeInterpreterSession", "bedrock-agentcore:InvokeCodeInterpreter",
		"bedrock-agentcore:StopCodeInterpreterSession", "bedrock-agentcore:GetCodeInterpreter",
		"bedrock-agentcore:GetCodeInterpreterSession", "bedrock-agentcore:ListCodeInterpreterSessions",
	}
}

// browser is what a browser tool needs: a session, and the two streams through
// which it is driven and watched. The reference names no resource type for the
// Connect actions, yet the service checks them on the browser's ARN: the
// AgentCore developer guide's policy scopes them so.
func browser() []string {
	return []string{
		"bedrock-agentcore:StartBrowserSession", "bedrock-agentcore:StopBrowserSession",
		"bedrock-agentcore:GetBrowserSession", "bedrock-agentcore:ListBrowserSessions",
		"bedrock-agentcore:UpdateBrowserStream", "bedrock-agentcore:ConnectBrowserAutomationStream",
		"bedrock-agentcore:ConnectBrowserLiveViewStream",
	}
}

const (
	codeInterpreterTool = "code-interpreter/aws.codeinterpreter.v1"
	browserTool         = "browser/aws.browser.v1"
)

// webIdentity is on "*": the actions have no resource type.
func webIdentity() []string { return []string{"sts:GetWebIdentityToken"} }

func tagWebIdentity() []string { return []string{"sts:TagGetWebIdentityToken"} }
