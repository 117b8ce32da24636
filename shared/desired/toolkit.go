package desired

import (
	"rolekeeper/shared/agent"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// Profile toolkit: the AgentCore starter toolkit 0.3.10, statement for
// statement. Statements that the toolkit leaves nameless have a Sid here.
// docs/permissions.md lists where the toolkit's faults are not repeated.

func marketplace() []string {
	return []string{"aws-marketplace:ViewSubscriptions", "aws-marketplace:Subscribe"}
}

func toolkitRuntime(a agent.Agent, env Env) []policy.Statement {
	in := at{env.Place}
	var s []policy.Statement
	if a.Deployment == agent.Container {
		repository := a.Repository
		if repository == "" {
			repository = "*" // the toolkit knows none yet when it makes the role
		}
		s = append(s, allow("ECRImageAccess", pull(), in.arn("ecr", "repository/"+repository)))
	}
	s = append(s,
		allow("RuntimeLogGroups", []string{"logs:DescribeLogStreams", "logs:CreateLogGroup"}, in.arn("logs", runtimeLogs+"*")),
		allow("LogGroupList", []string{"logs:DescribeLogGroups"}, in.arn("logs", "log-group:*")),
		allow("RuntimeLogStreams", writeLogs(), in.arn("logs", runtimeLogs+"*:log-stream:*")),
	)
	if a.Deployment == agent.Container {
		s = append(s, allow("ECRTokenAccess", registryToken(), "*"))
	}
	s = append(s,
		allow("Tracing", tracing(), "*"),
		metrics("Metrics"),
		allow("LogDelivery", logDelivery(), "*"),
	)
	if a.A2A {
		s = append(s, allow("BedrockAgentCoreRuntime", []string{
			"bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:InvokeAgentRuntimeForUser",
		}, in.agentCore("runtime/*")))
	}
	if a.MemoryID != "" {
		s = append(s, allow("BedrockAgentCoreMemory", memory(), in.agentCore("memory/"+a.MemoryID)))
	}
	return append(s,
		allow("BedrockAgentCoreIdentityGetResourceApiKey", []string{"bedrock-agentcore:GetResourceApiKey"},
			in.agentCore(tokenVault), in.agentCore(tokenVault+"/"+string(agent.APIKeyProvider)+"/*"),
			in.agentCore(directory), in.agentCore(identities+"*")),
		allow("BedrockAgentCoreIdentityGetCredentialProviderClientSecret", []string{"secretsmanager:GetSecretValue"},
			in.arn("secretsmanager", secretPrefix+"oauth2/*"), in.arn("secretsmanager", secretPrefix+"apikey/*")),
		allow("BedrockAgentCoreIdentityGetResourceOauth2Token", []string{"bedrock-agentcore:GetResourceOauth2Token"},
			in.agentCore(tokenVault), in.agentCore(tokenVault+"/"+string(agent.OAuth2Provider)+"/*"),
			in.agentCore(directory), in.agentCore(identities+a.Name+"-*")),
		allow("BedrockModelInvocation", append(invokeModel(), "bedrock:ApplyGuardrail"),
			in.foundationModel("*", "*"), "arn:"+in.Partition+":bedrock:*:*:inference-profile/*", in.arn("bedrock", "*")),
		allow("MarketplaceSubscribeOnFirstCall", marketplace(), "*").
			With("StringEquals", "aws:CalledViaLast", "bedrock.amazonaws.com"),
		allow("BedrockAgentCoreCodeInterpreter", codeInterpreter(), in.awsOwned(codeInterpreterTool)),
		allow("BedrockAgentCoreIdentity", []string{
			"bedrock-agentcore:CreateWorkloadIdentity", "bedrock-agentcore:GetWorkloadAccessTokenForUserId",
		}, in.agentCore(directory), in.agentCore(identities+"*")),
		allow("AwsJwtFederation", webIdentity(), "*"),
	)
}

// toolkitIdentity is the toolkit's policy for agents with OAuth2 providers. An
// API key alone makes none: the runtime policy grants what it takes.
func toolkitIdentity(a agent.Agent, env Env) []policy.Statement {
	in := at{env.Place}
	oauth2 := false
	vault := []string{in.agentCore(tokenVault)}
	var secrets []string
	for _, p := range a.Providers {
		oauth2 = oauth2 || p.Kind == agent.OAuth2Provider
		vault = append(vault, p.ARN)
		secrets = append(secrets, in.arn("secretsmanager", secretPrefix+"oauth2/"+p.Name+"*"))
	}
	if !oauth2 {
		return nil
	}
	return []policy.Statement{
		allow("WorkloadAccessTokenExchange", []string{
			"bedrock-agentcore:GetWorkloadAccessToken", "bedrock-agentcore:GetWorkloadAccessTokenForJWT",
			"bedrock-agentcore:GetWorkloadAccessTokenForUserId",
		}, in.agentCore(directory), in.agentCore(identities+"*")),
		allow("ResourceOAuth2TokenAccess", []string{
			"bedrock-agentcore:GetResourceOauth2Token", "bedrock-agentcore:GetResourceApiKey",
		}, vault...),
		allow("CredentialProviderSecrets", []string{"secretsmanager:GetSecretValue"}, secrets...),
	}
}

func toolkitJWT(a agent.Agent) []policy.Statement {
	if a.JWT == nil {
		return nil
	}
	return []policy.Statement{
		tokenBounds(allow("GetWebIdentityToken", webIdentity(), "*"), *a.JWT).
			With("ForAnyValue:StringEquals", "sts:IdentityTokenAudience", a.JWT.Audiences...),
		allow("TagGetWebIdentityToken", tagWebIdentity(), "*").
			With("ForAnyValue:StringEquals", "sts:IdentityTokenAudience", a.JWT.Audiences...),
	}
}

func toolkitBuild(a agent.Agent, env Env) []policy.Statement {
	in := at{env.Place}
	return []policy.Statement{
		allow("RegistryToken", registryToken(), "*"),
		allow("ImagePush", push(), in.arn("ecr", "repository/"+repository(a))),
		allow("BuildLogs", append([]string{"logs:CreateLogGroup"}, writeLogs()...), in.arn("logs", buildLogs+"bedrock-agentcore-*")),
		allow("Sources", []string{"s3:GetObject", "s3:PutObject", "s3:ListBucket"},
			in.bucket(env.SourceBucket), in.bucket(env.SourceBucket)+"/*").
			With("StringEquals", "s3:ResourceAccount", env.Account),
		// Not the toolkit's, whose builds take whatever version is the newest.
		source("SourceVersions", []string{"s3:GetObjectVersion"}, a, env),
	}
}

// repository gives the name of the agent's repository: the config's or its own.
// It is the whole name, nested or not.
func repository(a agent.Agent) string {
	if a.Repository != "" {
		return a.Repository
	}
	return naming.Repository(a.Name)
}
