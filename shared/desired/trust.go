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
// of another account (the "confused deputy"). Those of a build role also keep
// other projects of the account from it: CodeBuild says which project it assumes
// a role for (CodeBuild user guide, "Allow CodeBuild to interact with other AWS
// services").

func runtimeTrust(place agent.Place) policy.Document {
	return policy.New(trust("AssumeRolePolicy", agentCoreService, place).
		With("ArnLike", "aws:SourceArn", at{place}.agentCore("*")))
}

// buildTrust binds the role to projects, by ARN; to all of the account when there
// are none.
func buildTrust(place agent.Place, projects []string) policy.Document {
	s := trust("AssumeRolePolicy", codeBuildService, place)
	if len(projects) > 0 {
		s = s.With("ArnLike", "aws:SourceArn", projects...)
	}
	return policy.New(s)
}

func trust(sid, service string, place agent.Place) policy.Statement {
	return policy.Statement{
		Sid: sid, Effect: policy.Allow,
		Principals: policy.Principals{policy.Service: {service}},
		Actions:    []string{"sts:AssumeRole"},
	}.With("StringEquals", "aws:SourceAccount", place.Account)
}
