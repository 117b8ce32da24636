package desired

import (
	"strconv"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// Profile scoped: what the agent's own config asks for, on its own resources.
// Ids of runtimes and workload identities are the agent's name, a hyphen and
// ten characters. Agent names have no hyphen, so {name}-* is no other agent's.

func scopedRuntime(a agent.Agent, others []string, env Env) []policy.Statement {
	in := at{env.Place}
	logs := in.arn("logs", runtimeLogs+a.Name+"-*")
	var s []policy.Statement
	if a.Deployment == agent.Container {
		s = append(s,
			allow("ImagePull", pull(), in.arn("ecr", "repository/"+repository(a))),
			allow("RegistryToken", registryToken(), "*"),
		)
	}
	s = append(s,
		allow("RuntimeLogGroups", []string{"logs:DescribeLogStreams", "logs:CreateLogGroup"}, logs),
		allow("LogGroupList", []string{"logs:DescribeLogGroups"}, in.arn("logs", "log-group:*")),
		allow("RuntimeLogStreams", writeLogs(), logs+":log-stream:*"),
		allow("Tracing", tracing(), "*"),
		metrics("Metrics"),
	)
	if a.A2A && len(others) > 0 {
		runtimes := make([]string, 0, len(others))
		for _, other := range others {
			runtimes = append(runtimes, in.agentCore("runtime/"+other+"-*"))
		}
		// Not InvokeAgentRuntimeForUser: it would let the agent speak for any user.
		s = append(s, allow("AgentCalls", []string{"bedrock-agentcore:InvokeAgentRuntime"}, runtimes...))
	}
	if a.MemoryID != "" {
		s = append(s, allow("Memory", memory(), in.agentCore("memory/"+a.MemoryID)))
	}
	s = append(s, scopedProviders(a, in)...)
	if a.JWT != nil {
		s = append(s, scopedJWT(*a.JWT)...)
	}
	return append(s, scopedPermissions(a, in)...)
}

// scopedPermissions gives what the config's permissions block asks for.
func scopedPermissions(a agent.Agent, in at) []policy.Statement {
	s := models(a.Permissions.Models, in)
	if a.Permissions.CodeInterpreter {
		s = append(s, allow("CodeInterpreter", codeInterpreter(), in.awsOwned(codeInterpreterTool)))
	}
	if a.Permissions.Browser {
		s = append(s, allow("Browser", browser(), in.awsOwned(browserTool)))
	}
	if a.Permissions.IdentityTokens {
		s = append(s, allow("IdentityTokens", []string{
			"bedrock-agentcore:GetWorkloadAccessToken", "bedrock-agentcore:GetWorkloadAccessTokenForJWT",
		}, in.agentCore(directory), in.agentCore(identities+a.Name+"-*")))
	}
	return s
}

// models grants a model named directly in this region. One named through an
// inference profile is granted in every region the profile may route to, and
// only to calls that come through a profile of the config: Bedrock sets
// bedrock:InferenceProfileArn on those (Bedrock user guide, "Prerequisites for
// inference profiles"). One statement serves all profiles, because a profile
// reaches no model but its own.
func models(named []agent.Model, in at) []policy.Statement {
	var called, profiles, routed []string
	for _, m := range named {
		if m.InferenceProfile == "" {
			called = append(called, in.foundationModel(in.Region, m.FoundationModel))
			continue
		}
		profile := in.arn("bedrock", "inference-profile/"+m.InferenceProfile)
		called, profiles = append(called, profile), append(profiles, profile)
		routed = append(routed, in.foundationModel("*", m.FoundationModel))
	}
	var s []policy.Statement
	if len(called) > 0 {
		s = append(s, allow("Models", invokeModel(), called...))
	}
	if len(routed) > 0 {
		s = append(s, allow("ModelsThroughProfiles", invokeModel(), routed...).
			With("StringEquals", "bedrock:InferenceProfileArn", profiles...))
	}
	return s
}

// scopedProviders grants the credentials of the named providers. AgentCore
// checks the action on the vault, the provider, the directory and the workload
// identity, so all four are named.
func scopedProviders(a agent.Agent, in at) []policy.Statement {
	kinds := []struct {
		kind        agent.ProviderKind
		sid, action string
		secrets     string
	}{
		{agent.OAuth2Provider, "OAuth2Tokens", "bedrock-agentcore:GetResourceOauth2Token", "oauth2/"},
		{agent.APIKeyProvider, "APIKeys", "bedrock-agentcore:GetResourceApiKey", "apikey/"},
	}
	var s []policy.Statement
	var secrets []string
	for _, k := range kinds {
		var providers []string
		for _, p := range a.Providers {
			if p.Kind == k.kind {
				providers = append(providers, p.ARN)
				// Secrets Manager adds a hyphen and six characters to every name.
				secrets = append(secrets, in.arn("secretsmanager", secretPrefix+k.secrets+p.Name+"-??????"))
			}
		}
		if len(providers) > 0 {
			s = append(s, allow(k.sid, []string{k.action}, append(providers,
				in.agentCore(tokenVault), in.agentCore(directory), in.agentCore(identities+a.Name+"-*"))...))
		}
	}
	if len(secrets) > 0 {
		s = append(s, allow("ProviderSecrets", []string{"secretsmanager:GetSecretValue"}, secrets...))
	}
	return s
}

// scopedJWT grants web identity tokens for the config's audiences and no other:
// the toolkit's ForAnyValue lets a token through that names one of them among
// others. ForAllValues alone would let a request without audiences through.
func scopedJWT(jwt agent.JWT) []policy.Statement {
	onlyTo := func(s policy.Statement) policy.Statement {
		return s.With("ForAllValues:StringEquals", "sts:IdentityTokenAudience", jwt.Audiences...).
			With("Null", "sts:IdentityTokenAudience", "false")
	}
	return []policy.Statement{
		onlyTo(tokenBounds(allow("WebIdentityTokens", webIdentity(), "*"), jwt)),
		onlyTo(allow("WebIdentityTags", tagWebIdentity(), "*")),
	}
}

// tokenBounds limits how long a web identity token lives and how it is signed.
func tokenBounds(s policy.Statement, jwt agent.JWT) policy.Statement {
	return s.With("NumericLessThanEquals", "sts:DurationSeconds", strconv.Itoa(jwt.DurationSeconds)).
		With("StringEquals", "sts:SigningAlgorithm", jwt.SigningAlgorithm)
}

func scopedBuild(a agent.Agent, env Env) []policy.Statement {
	in := at{env.Place}
	logs := in.arn("logs", "log-group:"+naming.LogGroup(naming.Project(a.Name)))
	s := []policy.Statement{
		allow("RegistryToken", registryToken(), "*"),
		allow("ImagePush", push(), in.arn("ecr", "repository/"+repository(a))),
	}
	if len(a.Permissions.BaseImages) > 0 {
		images := make([]string, 0, len(a.Permissions.BaseImages))
		for _, image := range a.Permissions.BaseImages {
			images = append(images, in.arn("ecr", "repository/"+image))
		}
		s = append(s, allow("BaseImages", append(pull(), "ecr:BatchCheckLayerAvailability"), images...))
	}
	return append(s,
		allow("BuildLogs", append([]string{"logs:CreateLogGroup"}, writeLogs()...), logs, logs+":*"),
		source("Source", []string{"s3:GetObject", "s3:GetObjectVersion"}, a, env),
	)
}
