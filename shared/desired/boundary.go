package desired

import (
	"slices"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/policy"
)

// Boundary gives the permissions boundary of every role: the union of what both
// profiles and the build role can grant to any agent, cut to the place's account
// and region, foundation models and the tools that AWS owns excepted. It grants
// neither iam:* nor sts:AssumeRole. Place and bucket may hold CloudFormation's
// pseudo parameters: they only become parts of ARNs and condition values.
func Boundary(place agent.Place, sourceBucket string) policy.Document {
	in := at{place}
	return policy.New(
		allow("Everywhere", slices.Concat(registryToken(), tracing(), webIdentity(), tagWebIdentity()), "*"),
		metrics("Metrics"),
		allow("Marketplace", marketplace(), "*").With("StringEquals", "aws:CalledViaLast", "bedrock.amazonaws.com"),
		allow("Images", push(), in.arn("ecr", "repository/*")),
		allow("Logs", append(logDelivery(), "logs:DescribeLogGroups"), in.arn("logs", "*")),
		allow("RuntimeLogGroups", []string{"logs:DescribeLogStreams"}, in.arn("logs", runtimeLogs+"*")),
		allow("LogStreams", writeLogs(),
			in.arn("logs", runtimeLogs+"*"), in.arn("logs", buildLogs+"bedrock-agentcore-*")),
		allow("Runtimes", []string{
			"bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:InvokeAgentRuntimeForUser",
		}, in.agentCore("runtime/*")),
		allow("Memories", memory(), in.agentCore("memory/*")),
		allow("Identities", []string{
			"bedrock-agentcore:GetResourceApiKey", "bedrock-agentcore:GetResourceOauth2Token",
			"bedrock-agentcore:CreateWorkloadIdentity", "bedrock-agentcore:GetWorkloadAccessToken",
			"bedrock-agentcore:GetWorkloadAccessTokenForJWT", "bedrock-agentcore:GetWorkloadAccessTokenForUserId",
		}, in.agentCore(tokenVault), in.agentCore(tokenVault+"/*"), in.agentCore(directory), in.agentCore(identities+"*")),
		allow("Secrets", []string{"secretsmanager:GetSecretValue"},
			in.arn("secretsmanager", secretPrefix+"oauth2/*"), in.arn("secretsmanager", secretPrefix+"apikey/*")),
		allow("Models", append(invokeModel(), "bedrock:ApplyGuardrail"),
			in.foundationModel("*", "*"), in.arn("bedrock", "*")),
		allow("CodeInterpreter", codeInterpreter(), in.awsOwned(codeInterpreterTool)),
		allow("Browser", browser(), in.awsOwned(browserTool)),
		allow("Sources", []string{"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:ListBucket"},
			in.bucket(sourceBucket), in.bucket(sourceBucket)+"/*").With("StringEquals", "s3:ResourceAccount", place.Account),
	)
}
