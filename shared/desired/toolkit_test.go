package desired_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// The files under testdata/toolkit are what toolkit 0.3.10 renders for agent
// my_agent in this place.
var place = agent.Place{Partition: "aws", Region: "us-west-2", Account: "123456789012"}

func environment(profile desired.Profile, place agent.Place) desired.Env {
	return desired.Env{
		Place:               place,
		Profile:             profile,
		PermissionsBoundary: "arn:" + place.Partition + ":iam::" + place.Account + ":policy/boundary",
		SourceBucket:        naming.SourceBucket(place.Account, place.Region),
		ConfigKey:           "configs/team/agent.yaml",
	}
}

// compute gives the state of a config that must be without problems.
func compute(t *testing.T, env desired.Env, agents ...agent.Agent) desired.State {
	t.Helper()
	state, problems := desired.Compute(agent.Config{Agents: agents}, env)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return state
}

func TestProfileToolkitMeansWhatTheToolkitRenders(t *testing.T) {
	files, err := filepath.Glob("testdata/toolkit/runtime-*-*.json")
	if err != nil || len(files) != 9 {
		t.Fatalf("%d rendered policies, want 9; %v", len(files), err)
	}
	for _, file := range files {
		options := strings.Split(strings.TrimSuffix(filepath.Base(file), ".json"), "-")[1:]
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			a := agent.Agent{Name: "my_agent", Deployment: agent.Deployment(options[0]), A2A: options[1] == "A2A"}
			if options[2] == "mem" {
				a.MemoryID = "my_agent_mem-AbCdEf1234"
			}
			if options[3] == "scopedecr" {
				a.Repository = "bedrock-agentcore-my_agent"
			}
			role := compute(t, environment(desired.Toolkit, place), a).Agents[0].RuntimeRole
			want := map[string]string{"BedrockAgentCoreRuntimeExecutionPolicy-my_agent": read(t, file)}
			samePolicies(t, role.Policies, want)
			if !role.Trust.Same(read(t, "testdata/toolkit/runtime-trust.json")) {
				t.Errorf("trust %s", role.Trust.JSON())
			}
		})
	}
}

func TestProfileToolkitGivesTheToolkitsBuildRoleAndTheVersionsOfTheSource(t *testing.T) {
	var want struct {
		Trust  json.RawMessage `json:"trust"`
		Policy json.RawMessage `json:"CodeBuildExecutionPolicy"`
	}
	if err := json.Unmarshal([]byte(read(t, "testdata/toolkit/codebuild.json")), &want); err != nil {
		t.Fatal(err)
	}
	for name, repository := range map[string]string{
		"repository in the config": "bedrock-agentcore-my_agent", "no repository in the config": "",
	} {
		t.Run(name, func(t *testing.T) {
			a := agent.Agent{Name: "my_agent", Deployment: agent.Container, Repository: repository}
			role := compute(t, environment(desired.Toolkit, place), a).Agents[0].BuildRole
			rendered, err := policy.Parse(string(want.Policy))
			if err != nil {
				t.Fatal(err)
			}
			rendered.Statements = append(rendered.Statements, policy.Statement{
				Effect: policy.Allow, Actions: []string{"s3:GetObjectVersion"},
				Resources: []string{"arn:aws:s3:::bedrock-agentcore-codebuild-sources-123456789012-us-west-2/my_agent/source.zip"},
			}.With("StringEquals", "s3:ResourceAccount", "123456789012"))
			samePolicies(t, role.Policies, map[string]string{"CodeBuildExecutionPolicy": rendered.JSON()})
			if !role.Trust.Same(string(want.Trust)) {
				t.Errorf("trust %s", role.Trust.JSON())
			}
		})
	}
}

func TestProfileToolkitAddsThePoliciesForIdentityAndTokens(t *testing.T) {
	a := agent.Agent{
		Name: "my_agent", Deployment: agent.DirectCode,
		Providers: []agent.CredentialProvider{{
			Name: "github", Kind: agent.OAuth2Provider,
			ARN: "arn:aws-us-gov:bedrock-agentcore:us-gov-west-1:123456789012:token-vault/default/oauth2credentialprovider/github",
		}},
		JWT: &agent.JWT{Audiences: []string{"https://a.example", "https://b.example"}, SigningAlgorithm: "ES384", DurationSeconds: 300},
	}
	gov := agent.Place{Partition: "aws-us-gov", Region: "us-gov-west-1", Account: "123456789012"}
	policies := compute(t, environment(desired.Toolkit, gov), a).Agents[0].RuntimeRole.Policies
	if len(policies) != 3 {
		t.Errorf("%d policies, want 3", len(policies))
	}
	delete(policies, naming.RuntimePolicy("my_agent"))
	const core = `arn:aws-us-gov:bedrock-agentcore:us-gov-west-1:123456789012:`
	samePolicies(t, policies, map[string]string{
		"AgentCoreIdentityAccess": `{"Version":"2012-10-17","Statement":[
			{"Sid":"WorkloadAccessTokenExchange","Effect":"Allow","Action":["bedrock-agentcore:GetWorkloadAccessToken","bedrock-agentcore:GetWorkloadAccessTokenForJWT","bedrock-agentcore:GetWorkloadAccessTokenForUserId"],
			 "Resource":["` + core + `workload-identity-directory/default","` + core + `workload-identity-directory/default/workload-identity/*"]},
			{"Sid":"ResourceOAuth2TokenAccess","Effect":"Allow","Action":["bedrock-agentcore:GetResourceOauth2Token","bedrock-agentcore:GetResourceApiKey"],
			 "Resource":["` + core + `token-vault/default","` + core + `token-vault/default/oauth2credentialprovider/github"]},
			{"Sid":"CredentialProviderSecrets","Effect":"Allow","Action":["secretsmanager:GetSecretValue"],
			 "Resource":["arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:bedrock-agentcore-identity!default/oauth2/github*"]}]}`,
		"AgentCoreAwsJwtAccess": `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*","Condition":{
				"ForAnyValue:StringEquals":{"sts:IdentityTokenAudience":["https://a.example","https://b.example"]},
				"NumericLessThanEquals":{"sts:DurationSeconds":300},"StringEquals":{"sts:SigningAlgorithm":"ES384"}}},
			{"Effect":"Allow","Action":"sts:TagGetWebIdentityToken","Resource":"*","Condition":{
				"ForAnyValue:StringEquals":{"sts:IdentityTokenAudience":["https://a.example","https://b.example"]}}}]}`,
	})
}

func TestAnAPIKeyAloneMakesNoIdentityPolicy(t *testing.T) {
	a := agent.Agent{
		Name: "my_agent", Deployment: agent.DirectCode,
		Providers: []agent.CredentialProvider{{Name: "k", Kind: agent.APIKeyProvider, ARN: apiKeyARN("k")}},
	}
	policies := compute(t, environment(desired.Toolkit, place), a).Agents[0].RuntimeRole.Policies
	if len(policies) != 1 {
		t.Errorf("%d policies, want 1", len(policies))
	}
}

func TestANestedRepositoryKeepsItsWholeName(t *testing.T) {
	for _, profile := range []desired.Profile{desired.Toolkit, desired.Scoped} {
		a := agent.Agent{Name: "my_agent", Deployment: agent.Container, Repository: "team/agents/my"}
		out := compute(t, environment(profile, place), a).Agents[0]
		for _, role := range []*model.Role{out.RuntimeRole, out.BuildRole} {
			found := false
			for _, d := range role.Policies {
				found = found || strings.Contains(d.JSON(), `"arn:aws:ecr:us-west-2:123456789012:repository/team/agents/my"`)
			}
			if !found {
				t.Errorf("%s: the %s role does not name the repository", profile, role.Kind)
			}
		}
	}
}

func samePolicies(t *testing.T, got map[string]policy.Document, want map[string]string) {
	t.Helper()
	for name, raw := range want {
		d, ok := got[name]
		if !ok {
			t.Errorf("no policy %s", name)
			continue
		}
		if parsed, err := policy.Parse(raw); err != nil {
			t.Fatal(err)
		} else if !d.Equal(parsed) {
			t.Errorf("%s differs:\n%s", name, cmp.Diff(parsed, d))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d policies, want %d", len(got), len(want))
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func oauthARN(name string) string {
	return "arn:aws:bedrock-agentcore:us-west-2:123456789012:token-vault/default/oauth2credentialprovider/" + name
}

func apiKeyARN(name string) string {
	return "arn:aws:bedrock-agentcore:us-west-2:123456789012:token-vault/default/apikeycredentialprovider/" + name
}
