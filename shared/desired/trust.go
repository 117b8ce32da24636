package desired

import (
	"rolekeeper/shared/agent"
	"rolekeeper/shared/policy"
)

// Service principals that assume the roles; the same in all partitions.
const (
	agentCoreService = "bedrock-agentcore.amazonaws.com"
	codeBuildService = "codebuild.amazonaws.com"
)

// The conditions of both trusts keep the services from using a role on behalf
// of another account (the "confused deputy").

func runtimeTrust(place agent.Place) policy.Document {
	return policy.New(trust("AssumeRolePolicy", agentCoreService, place).
		With("ArnLike", "aws:SourceArn", at{place}.agentCore("*")))
}

func buildTrust(place agent.Place) policy.Document {
	return policy.New(trust("AssumeRolePolicy", codeBuildService, place))
}

func trust(sid, service string, place agent.Place) policy.Statement {
	return policy.Statement{
		Sid: sid, Effect: policy.Allow,
		Principals: policy.Principals{policy.Service: {service}},
		Actions:    []string{"sts:AssumeRole"},
	}.With("StringEquals", "aws:SourceAccount", place.Account)
}
