package desired_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

func ref(arn string) agent.RoleRef {
	return agent.RoleRef{ARN: arn, Name: arn[strings.LastIndex(arn, "/")+1:]}
}

func runtimeARN(name string) string {
	return "arn:aws:iam::123456789012:role/" + naming.RuntimeRole("us-west-2", name)
}

func buildARN(name string) string {
	return "arn:aws:iam::123456789012:role/" + naming.BuildRole("us-west-2", name)
}

func TestARoleIsMadeWithAllThatIdentifiesIt(t *testing.T) {
	out := compute(t, environment(desired.Scoped, place), agent.Agent{Name: "my_agent", Deployment: agent.Container}).Agents[0]
	tags := map[string]string{
		"rolekeeper:config": "configs/team/agent.yaml", "rolekeeper:agent": "my_agent",
		"rolekeeper:template": fmt.Sprint(model.TemplateVersion),
	}
	for _, c := range []struct {
		got  *model.Role
		want model.Role
	}{
		{out.RuntimeRole, model.Role{
			Kind: model.RuntimeRole, Agent: "my_agent", Name: "AmazonBedrockAgentCoreSDKRuntime-us-west-2-e72c1a7c7a",
			ARN:         "arn:aws:iam::123456789012:role/AmazonBedrockAgentCoreSDKRuntime-us-west-2-e72c1a7c7a",
			Description: "Execution role for BedrockAgentCore Runtime - my_agent", MaxSessionDuration: 3600,
			PermissionsBoundary: "arn:aws:iam::123456789012:policy/boundary", Tags: tags,
		}},
		{out.BuildRole, model.Role{
			Kind: model.BuildRole, Agent: "my_agent", Name: "AmazonBedrockAgentCoreSDKCodeBuild-us-west-2-e72c1a7c7a",
			ARN:         "arn:aws:iam::123456789012:role/AmazonBedrockAgentCoreSDKCodeBuild-us-west-2-e72c1a7c7a",
			Description: "CodeBuild execution role for Bedrock AgentCore ARM64 builds", MaxSessionDuration: 3600,
			PermissionsBoundary: "arn:aws:iam::123456789012:policy/boundary", Tags: tags,
		}},
	} {
		if diff := cmp.Diff(c.want, *c.got, cmpopts.IgnoreFields(model.Role{}, "Trust", "Policies")); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWhoseRolesAnAgentUses(t *testing.T) {
	container := agent.Agent{Name: "a", Deployment: agent.Container}
	direct := agent.Agent{Name: "a", Deployment: agent.DirectCode}
	sibling := agent.Agent{Name: "b", Deployment: agent.Container}
	with := func(a agent.Agent, runtime, build string) agent.Agent {
		if runtime != "" {
			a.RuntimeRole = ref(runtime)
		}
		if build != "" {
			a.BuildRole = ref(build)
		}
		return a
	}
	const platform = "arn:aws:iam::123456789012:role/platform/agents/Runner"
	pathed := "arn:aws:iam::123456789012:role/team/" + naming.RuntimeRole("us-west-2", "a")
	external := func(arn, service, field, hash string) *desired.ExternalRole {
		return &desired.ExternalRole{ARN: arn, Name: ref(arn).Name, Service: service, Field: field, Hash: hash}
	}
	runtime := func(arn, hash string) *desired.ExternalRole {
		return external(arn, "bedrock-agentcore.amazonaws.com", "aws.execution_role", hash)
	}
	build := func(arn, hash string) *desired.ExternalRole {
		return external(arn, "codebuild.amazonaws.com", "codebuild.execution_role", hash)
	}
	// own marks a role made and kept for the agent.
	type roles struct {
		ownRuntime, ownBuild           bool
		sharedRuntime, sharedBuild     string
		externalRuntime, externalBuild *desired.ExternalRole
	}
	cases := map[string]struct {
		agents []agent.Agent
		want   roles // of the first agent
	}{
		"none named: both its own":                  {[]agent.Agent{container}, roles{ownRuntime: true, ownBuild: true}},
		"direct code needs no build role":           {[]agent.Agent{direct}, roles{ownRuntime: true}},
		"direct code ignores a build role":          {[]agent.Agent{with(direct, "", platform)}, roles{ownRuntime: true}},
		"its own names, as after a deployment":      {[]agent.Agent{with(container, runtimeARN("a"), buildARN("a"))}, roles{ownRuntime: true, ownBuild: true}},
		"somebody's role with a path":               {[]agent.Agent{with(container, platform, "")}, roles{externalRuntime: runtime(platform, ""), ownBuild: true}},
		"somebody's build role":                     {[]agent.Agent{with(container, "", platform)}, roles{ownRuntime: true, externalBuild: build(platform, "")}},
		"its own name with a path is another role":  {[]agent.Agent{with(direct, pathed, "")}, roles{externalRuntime: runtime(pathed, naming.Hash("a"))}},
		"a sibling's runtime role":                  {[]agent.Agent{with(container, runtimeARN("b"), ""), sibling}, roles{sharedRuntime: "b", ownBuild: true}},
		"a sibling's build role":                    {[]agent.Agent{with(container, "", buildARN("b")), sibling}, roles{ownRuntime: true, sharedBuild: "b"}},
		"a direct code sibling's runtime role":      {[]agent.Agent{with(container, runtimeARN("b"), ""), {Name: "b", Deployment: agent.DirectCode}}, roles{sharedRuntime: "b", ownBuild: true}},
		"an agent's role that is not in the config": {[]agent.Agent{with(container, runtimeARN("z"), buildARN("z"))}, roles{externalRuntime: runtime(runtimeARN("z"), naming.Hash("z")), externalBuild: build(buildARN("z"), naming.Hash("z"))}},
		"a build role as runtime role is no role of ours": {
			[]agent.Agent{with(direct, buildARN("a"), "")}, roles{externalRuntime: runtime(buildARN("a"), naming.Hash("a"))},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out := compute(t, environment(desired.Scoped, place), c.agents...).Agents[0]
			got := roles{
				out.RuntimeRole != nil, out.BuildRole != nil, out.SharedRuntimeRole, out.SharedBuildRole,
				out.ExternalRuntimeRole, out.ExternalBuildRole,
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(roles{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestASiblingsRoleThatNobodyKeepsIsAProblem(t *testing.T) {
	const platform = "arn:aws:iam::123456789012:role/Runner"
	a := agent.Agent{Name: "a", Deployment: agent.Container, RuntimeRole: ref(runtimeARN("b")), BuildRole: ref(buildARN("b"))}
	cases := map[string]struct {
		b      agent.Agent
		fields []string
	}{
		"the sibling brings its own roles": {
			agent.Agent{Name: "b", Deployment: agent.Container, RuntimeRole: ref(platform), BuildRole: ref(platform)},
			[]string{"aws.execution_role", "codebuild.execution_role"},
		},
		"the sibling uses a third one's": {
			agent.Agent{Name: "b", Deployment: agent.Container, RuntimeRole: ref(runtimeARN("c")), BuildRole: ref(buildARN("c"))},
			[]string{"aws.execution_role", "codebuild.execution_role"},
		},
		"the sibling is not built": {
			agent.Agent{Name: "b", Deployment: agent.DirectCode}, []string{"codebuild.execution_role"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, problems := desired.Compute(agent.Config{Agents: []agent.Agent{a, c.b, {Name: "c", Deployment: agent.Container}}},
				environment(desired.Scoped, place))
			var fields []string
			for _, p := range problems {
				if p.Code != "role-sibling-unmanaged" || p.Agent != "a" || p.Severity != fault.SeverityError || p.Fix == "" {
					t.Errorf("problem %+v", p)
				}
				fields = append(fields, p.Field)
			}
			if diff := cmp.Diff(c.fields, fields); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("agents that name each other's", func(t *testing.T) {
		b := agent.Agent{Name: "b", Deployment: agent.DirectCode, RuntimeRole: ref(runtimeARN("a"))}
		a := agent.Agent{Name: "a", Deployment: agent.DirectCode, RuntimeRole: ref(runtimeARN("b"))}
		_, problems := desired.Compute(agent.Config{Agents: []agent.Agent{a, b}}, environment(desired.Scoped, place))
		if len(problems) != 2 {
			t.Errorf("%d problems, want 2: %v", len(problems), problems)
		}
	})
}

func TestASharedRoleGrantsWhatItsUsersNeed(t *testing.T) {
	for _, profile := range []desired.Profile{desired.Toolkit, desired.Scoped} {
		t.Run(string(profile), func(t *testing.T) {
			env := environment(profile, place)
			owner, user := rich("owner"), rich("user")
			owner.Deployment = agent.DirectCode
			user.JWT.Audiences = []string{"https://other.example"}
			alone := compute(t, env, owner, user)
			user.RuntimeRole = ref(runtimeARN("owner"))
			shared := compute(t, env, owner, user)
			if shared.Agents[1].RuntimeRole != nil || shared.Agents[1].SharedRuntimeRole != "owner" {
				t.Fatalf("the user has %+v", shared.Agents[1])
			}
			union := map[string][]string{}
			for i, a := range alone.Agents {
				for name, d := range a.RuntimeRole.Policies {
					if name == naming.RuntimePolicy("user") {
						name = naming.RuntimePolicy("owner")
					}
					union[name] = append(union[name], grants(d)...)
				}
				if i == 0 && len(union) != len(shared.Agents[0].RuntimeRole.Policies) {
					t.Errorf("the shared role has other policies: %v", shared.Agents[0].RuntimeRole.Policies)
				}
			}
			for name, want := range union {
				got := map[string]bool{}
				sids := map[string]bool{}
				d := shared.Agents[0].RuntimeRole.Policies[name]
				for _, g := range grants(d) {
					got[g] = true
				}
				for _, g := range want {
					// The condition of a merged grant names the profiles of both.
					if !got[g] {
						t.Errorf("%s: lacks %s", name, g)
					}
				}
				for _, g := range grants(d) {
					if !strings.Contains(strings.Join(want, "\n")+"\n", g+"\n") {
						t.Errorf("%s: nobody needs %s", name, g)
					}
				}
				for _, s := range d.Statements {
					if sids[s.Sid] || !regexp.MustCompile(`\A[A-Za-z0-9]+\z`).MatchString(s.Sid) {
						t.Errorf("%s: Sid %q", name, s.Sid)
					}
					sids[s.Sid] = true
				}
			}
		})
	}
}

func TestASharedBuildRoleBuildsForAll(t *testing.T) {
	a := agent.Agent{Name: "a", Deployment: agent.Container}
	b := agent.Agent{Name: "b", Deployment: agent.Container, BuildRole: ref(buildARN("a"))}
	out := compute(t, environment(desired.Scoped, place), a, b).Agents
	document := out[0].BuildRole.Policies[naming.BuildPolicy].JSON()
	for _, want := range []string{
		"/a/source.zip", "/b/source.zip", "repository/bedrock-agentcore-a-agent", "repository/bedrock-agentcore-b-agent",
		"log-group:/aws/codebuild/bedrock-agentcore-a-agent-builder", "log-group:/aws/codebuild/bedrock-agentcore-b-agent-builder",
	} {
		if !strings.Contains(document, want) {
			t.Errorf("lacks %s", want)
		}
	}
	if n := len(out[0].BuildRole.Policies); n != 1 {
		t.Errorf("%d policies, want 1", n)
	}
}

func TestEqualConfigsGiveEqualStates(t *testing.T) {
	for _, profile := range []desired.Profile{desired.Toolkit, desired.Scoped} {
		user := rich("user")
		user.RuntimeRole, user.BuildRole = ref(runtimeARN("owner")), ref(buildARN("owner"))
		cfg := agent.Config{Agents: []agent.Agent{rich("owner"), user, rich("third"), {Name: "fourth", VPC: true}}}
		spell := func() string {
			state, problems := desired.Compute(cfg, environment(profile, place))
			out := fmt.Sprint(problems, state.ServiceLinkedRoles)
			for _, a := range state.Agents {
				for _, r := range []*model.Role{a.RuntimeRole, a.BuildRole} {
					if r != nil {
						out += fmt.Sprint(r.Name, r.Tags, r.Trust.JSON(), r.Policies[naming.RuntimePolicy(a.Name)].JSON(),
							r.Policies[naming.BuildPolicy].JSON(), r.Policies[naming.IdentityPolicy].JSON(), r.Policies[naming.JWTPolicy].JSON())
					}
				}
				image, err := json.Marshal([]any{a.Repository, a.Project})
				if err != nil {
					t.Fatal(err)
				}
				out += strings.Join(a.Notes, "\n") + string(image)
			}
			return out
		}
		first := spell()
		for range 50 {
			if diff := cmp.Diff(first, spell()); diff != "" {
				t.Fatal(diff)
			}
		}
	}
}

func TestComputeLeavesTheConfigAsItWas(t *testing.T) {
	cfg := agent.Config{Agents: []agent.Agent{rich("a"), rich("b")}}
	desired.Compute(cfg, environment(desired.Scoped, place))
	if diff := cmp.Diff(agent.Config{Agents: []agent.Agent{rich("a"), rich("b")}}, cfg, cmpopts.IgnoreUnexported(agent.Agent{})); diff != "" {
		t.Error(diff)
	}
}

func TestServiceLinkedRolesThatAgentsNeed(t *testing.T) {
	identity := desired.ServiceLinkedRole{
		Name: "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity", Service: "runtime-identity.bedrock-agentcore.amazonaws.com",
		Policy: "BedrockAgentCoreRuntimeIdentityServiceRolePolicy",
	}
	network := desired.ServiceLinkedRole{
		Name: "AWSServiceRoleForBedrockAgentCoreNetwork", Service: "network.bedrock-agentcore.amazonaws.com",
		Policy: "BedrockAgentCoreNetworkServiceRolePolicy",
	}
	public, vpc := agent.Agent{Name: "a", Deployment: agent.DirectCode}, agent.Agent{Name: "b", Deployment: agent.DirectCode, VPC: true}
	third := vpc
	third.Name = "c"
	for name, c := range map[string]struct {
		agents []agent.Agent
		want   []desired.ServiceLinkedRole
	}{
		"a public agent":             {[]agent.Agent{public}, []desired.ServiceLinkedRole{identity}},
		"two in a VPC, one public":   {[]agent.Agent{vpc, public, third}, []desired.ServiceLinkedRole{network, identity}},
		"with a role of its own too": {[]agent.Agent{{Name: "a", Deployment: agent.DirectCode, RuntimeRole: ref("arn:aws:iam::123456789012:role/x")}}, []desired.ServiceLinkedRole{identity}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, compute(t, environment(desired.Scoped, place), c.agents...).ServiceLinkedRoles); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryPartitionGetsItsOwnARNs(t *testing.T) {
	for _, profile := range []desired.Profile{desired.Toolkit, desired.Scoped} {
		for _, in := range []agent.Place{
			{Partition: "aws-us-gov", Region: "us-gov-west-1", Account: "123456789012"},
			{Partition: "aws-cn", Region: "cn-north-1", Account: "123456789012"},
		} {
			a := rich("my_agent")
			a.Providers = nil // their ARNs come from the config
			out := compute(t, environment(profile, in), a, agent.Agent{Name: "b", Deployment: agent.DirectCode}).Agents[0]
			for _, role := range []*model.Role{out.RuntimeRole, out.BuildRole} {
				text := role.ARN + role.Trust.JSON() + role.PermissionsBoundary
				for _, d := range role.Policies {
					text += d.JSON()
				}
				if strings.Contains(text, "arn:aws:") || strings.Contains(text, "us-west-2") || !strings.Contains(text, "arn:"+in.Partition+":") {
					t.Errorf("%s in %s: %s", profile, in.Region, text)
				}
			}
		}
	}
}

func TestNotesTellWhatADeveloperShouldKnow(t *testing.T) {
	model := agent.Permissions{Models: []agent.Model{{FoundationModel: "m"}}}
	quiet := agent.Agent{Name: "a", Deployment: agent.Container, Permissions: model}
	cases := map[string]struct {
		profile desired.Profile
		agents  []agent.Agent
		want    [][]string // words of each note, by agent
	}{
		"nothing to tell":              {desired.Scoped, []agent.Agent{quiet}, [][]string{nil}},
		"no model":                     {desired.Scoped, []agent.Agent{{Name: "a", Deployment: agent.DirectCode}}, [][]string{{"permissions.models"}}},
		"no model with the toolkit":    {desired.Toolkit, []agent.Agent{{Name: "a", Deployment: agent.DirectCode}}, [][]string{nil}},
		"A2A without others":           {desired.Scoped, []agent.Agent{{Name: "a", Deployment: agent.DirectCode, A2A: true, Permissions: model}}, [][]string{{"A2A"}}},
		"permissions with the toolkit": {desired.Toolkit, []agent.Agent{{Name: "a", Deployment: agent.DirectCode, Permissions: agent.Permissions{Browser: true}}}, [][]string{{"no effect"}}},
		"external roles": {desired.Scoped, []agent.Agent{{
			Name: "a", Deployment: agent.Container, RuntimeRole: ref("arn:aws:iam::123456789012:role/x"), BuildRole: ref("arn:aws:iam::123456789012:role/y"),
		}}, [][]string{{"role/x", "role/y", "No CodeBuild project"}}},
		"shared roles": {desired.Scoped, []agent.Agent{quiet, {
			Name: "b", Deployment: agent.Container, RuntimeRole: ref(runtimeARN("a")), BuildRole: ref(buildARN("a")), Permissions: model,
		}}, [][]string{{`runtime role is shared with "b"`, `build role is shared with "b"`}, {`that of agent "a"`, `that of agent "a"`}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			state := compute(t, environment(c.profile, place), c.agents...)
			for i, want := range c.want {
				notes := state.Agents[i].Notes
				if len(notes) != len(want) {
					t.Fatalf("agent %d: notes %q, want %d", i, notes, len(want))
				}
				for j, word := range want {
					if !strings.Contains(notes[j], word) {
						t.Errorf("agent %d: note %q does not tell of %q", i, notes[j], word)
					}
				}
			}
		})
	}
}
