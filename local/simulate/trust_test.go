package simulate_test

import (
	"testing"

	"rolekeeper/local/simulate"
	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/naming"
)

func TestTheTrustsHoldOffOtherAccounts(t *testing.T) {
	const service, builds = "bedrock-agentcore.amazonaws.com", "codebuild.amazonaws.com"
	from := func(account, arn string) map[string]any {
		return map[string]any{"aws:SourceAccount": account, "aws:SourceArn": arn}
	}
	own := from("123456789012", core+"runtime/agent-AbCdEf1234")
	const projects = "arn:aws:codebuild:us-west-2:123456789012:project/"
	project := from("123456789012", projects+"bedrock-agentcore-agent-builder")
	abroad := from("210987654321", "arn:aws:bedrock-agentcore:us-west-2:210987654321:runtime/agent-AbCdEf1234")
	role := state(t, desired.Scoped, agent.Agent{Name: "agent", Deployment: agent.Container, Repository: "r"})[0]
	runtime, build := role.RuntimeRole.Trust.JSON(), role.BuildRole.Trust.JSON()
	name := naming.BuildRole("us-west-2", "agent")
	sharing := agent.Agent{Name: "second", Deployment: agent.Container, BuildRole: agent.RoleRef{ARN: "arn:aws:iam::123456789012:role/" + name, Name: name}}
	both := []agent.Agent{{Name: "agent", Deployment: agent.Container}, sharing}
	shared := state(t, desired.Scoped, both...)[0].BuildRole.Trust.JSON()
	toolkit := state(t, desired.Toolkit, both...)[0].BuildRole.Trust.JSON()
	cases := map[string]struct {
		trust, by string
		context   map[string]any
		want      bool
	}{
		"a runtime takes its role":                {runtime, service, own, true},
		"another account's runtime":               {runtime, service, abroad, false},
		"an ARN of another account":               {runtime, service, from("123456789012", abroad["aws:SourceArn"].(string)), false},
		"an ARN of another Region":                {runtime, service, from("123456789012", "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/agent-AbCdEf1234"), false},
		"AgentCore on nobody's behalf":            {runtime, service, nil, false},
		"CodeBuild takes a runtime role":          {runtime, builds, own, false},
		"a role of the account":                   {runtime, "arn:aws:iam::123456789012:role/developer", nil, false},
		"a build takes its role":                  {build, builds, project, true},
		"another account's build":                 {build, builds, from("210987654321", "arn:aws:codebuild:us-west-2:210987654321:project/p"), false},
		"its project in another account":          {build, builds, from("210987654321", "arn:aws:codebuild:us-west-2:210987654321:project/bedrock-agentcore-agent-builder"), false},
		"its project in another Region":           {build, builds, from("123456789012", "arn:aws:codebuild:us-east-1:123456789012:project/bedrock-agentcore-agent-builder"), false},
		"another agent's project":                 {build, builds, from("123456789012", projects+"bedrock-agentcore-other-builder"), false},
		"somebody's own project":                  {build, builds, from("123456789012", projects+"mine"), false},
		"a project whose name goes on":            {build, builds, from("123456789012", projects+"bedrock-agentcore-agent-builder2"), false},
		"a build that says no project":            {build, builds, map[string]any{"aws:SourceAccount": "123456789012"}, false},
		"CodeBuild on nobody's behalf":            {build, builds, nil, false},
		"the owner's project of a shared role":    {shared, builds, project, true},
		"the other's project of a shared role":    {shared, builds, from("123456789012", projects+"bedrock-agentcore-second-builder"), true},
		"a third one's project of a shared role":  {shared, builds, from("123456789012", projects+"bedrock-agentcore-third-builder"), false},
		"any project, as with the toolkit":        {toolkit, builds, from("123456789012", projects+"mine"), true},
		"no other account, as with the toolkit":   {toolkit, builds, from("210987654321", "arn:aws:codebuild:us-west-2:210987654321:project/p"), false},
		"AgentCore takes a build role":            {build, service, own, false},
		"a role of the account takes a build's":   {build, "arn:aws:iam::123456789012:role/developer", nil, false},
		"a role of another account takes a build": {build, "arn:aws:iam::210987654321:role/theirs", nil, false},
	}
	var names []string
	var requests []simulate.Request
	for name, c := range cases {
		r := simulate.Request{
			Principal: c.by, ResourcePolicy: c.trust, Action: "sts:AssumeRole", Checked: true, Context: c.context,
			Resource: "arn:aws:iam::123456789012:role/" + role.RuntimeRole.Name,
		}
		names, requests = append(names, name), append(requests, r)
	}
	for i, got := range run(t, requests) {
		if got.Error != "" || got.Allowed != cases[names[i]].want {
			t.Errorf("%s: %+v, want %v", names[i], got, cases[names[i]].want)
		}
	}
}
