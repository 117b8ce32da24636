package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/policy"
)

func TestEscalates(t *testing.T) {
	for name, c := range map[string]struct {
		members string
		want    []string
	}{
		"reading IAM":                      {`"Action":["iam:GetRole","iam:List*","IAM:generateCredentialReport","iam:SimulatePrincipalPolicy"]`, nil},
		"another service":                  {`"Action":["s3:*","sts:GetCallerIdentity","sts:GetWebIdentityToken","sts:TagGetWebIdentityToken","sts:GetAccessKeyInfo"]`, nil},
		"services that are spelt alike":    {`"Action":["iamx:PassRole","am:PassRole","sts2:AssumeRole"]`, nil},
		"handing roles on":                 {`"Action":"iam:PassRole"`, []string{"iam:PassRole"}},
		"in other letters":                 {`"Action":"IAM:passrole"`, []string{"IAM:passrole"}},
		"all of IAM":                       {`"Action":["iam:*","s3:*"]`, []string{"iam:*"}},
		"all":                              {`"Action":"*"`, []string{"*"}},
		"all in two parts":                 {`"Action":"*:*"`, []string{"*:*"}},
		"whatever begins with i":           {`"Action":"i*"`, []string{"i*"}},
		"whatever ends in Role":            {`"Action":"*Role"`, []string{"*Role"}},
		"one unknown letter":               {`"Action":"?am:Pas?Role"`, []string{"?am:Pas?Role"}},
		"more than reading":                {`"Action":"iam:G*"`, []string{"iam:G*"}},
		"nothing behind the colon":         {`"Action":"iam:?"`, []string{"iam:?"}},
		"becoming somebody":                {`"Action":["sts:AssumeRoleWithSAML","sts:AssumeRoot","sts:GetFederationToken","sts:Assume*","sts:*"]`, []string{"sts:AssumeRoleWithSAML", "sts:AssumeRoot", "sts:GetFederationToken", "sts:Assume*", "sts:*"}},
		"reading anything, tokens too":     {`"Action":"*:Get*"`, []string{"*:Get*"}},
		"named twice":                      {`"Action":["iam:PassRole","iam:PassRole"]`, []string{"iam:PassRole"}},
		"on one resource, on a condition":  {`"Action":"iam:PassRole","Resource":"arn:aws:iam::1:role/x","Condition":{"StringEquals":{"iam:PassedToService":"x"}}`, []string{"iam:PassRole"}},
		"everything but both":              {`"NotAction":["iam:*","sts:*"]`, nil},
		"everything but what escalates":    {`"NotAction":["IAM:*","sts:AssumeRo*","sts:getFederationToken"]`, nil},
		"everything but IAM":               {`"NotAction":["iam:*","sts:AssumeRole"]`, []string{"everything but iam:*, sts:AssumeRole"}},
		"everything but STS":               {`"NotAction":"sts:*"`, []string{"everything but sts:*"}},
		"everything but a little of IAM":   {`"NotAction":["iam:Pass*","sts:*"]`, []string{"everything but iam:Pass*, sts:*"}},
		"everything but nothing":           {`"NotAction":[]`, []string{"everything but "}},
		"everything but federation tokens": {`"NotAction":["iam:*","sts:Assume*"]`, []string{"everything but iam:*, sts:Assume*"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, policy.Escalates(parse(t, allows(c.members)))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := policy.Escalates(parse(t, `{"Statement":{"Effect":"Deny",`+c.members+`}}`)); got != nil {
				t.Errorf("a denial escalates by %q", got)
			}
		})
	}
}

// place is where the files of the toolkit are rendered for.
var place = agent.Place{Partition: "aws", Region: "us-west-2", Account: "123456789012"}

// everything gives a config that asks for all there is.
func everything() agent.Config {
	return agent.Config{Agents: []agent.Agent{
		{
			Name: "my_agent", Deployment: agent.Container, A2A: true, MemoryID: "my_agent_mem-AbCdEf1234",
			Providers: []agent.CredentialProvider{
				{Name: "o", Kind: agent.OAuth2Provider, ARN: "arn:aws:bedrock-agentcore:us-west-2:123456789012:token-vault/default/oauth2credentialprovider/o"},
				{Name: "k", Kind: agent.APIKeyProvider, ARN: "arn:aws:bedrock-agentcore:us-west-2:123456789012:token-vault/default/apikeycredentialprovider/k"},
			},
			JWT: &agent.JWT{Audiences: []string{"https://a.example"}, SigningAlgorithm: "ES384", DurationSeconds: 300},
			Permissions: agent.Permissions{
				Models:          []agent.Model{{FoundationModel: "x.a-v1:0"}, {FoundationModel: "x.b", InferenceProfile: "us.x.b"}},
				CodeInterpreter: true, Browser: true, IdentityTokens: true, BaseImages: []string{"team/base"},
			},
		},
		{Name: "other", Deployment: agent.DirectCode},
	}}
}

// ours gives all policies that Rolekeeper writes for a config that asks for all
// there is, by profile and name.
func ours(t *testing.T) map[string]policy.Document {
	t.Helper()
	all := map[string]policy.Document{}
	for _, profile := range []desired.Profile{desired.Scoped, desired.Toolkit} {
		state, problems := desired.Compute(everything(), desired.Env{
			Place: place, Profile: profile, PermissionsBoundary: "arn:aws:iam::123456789012:policy/boundary",
			SourceBucket: "bedrock-agentcore-codebuild-sources-123456789012-us-west-2", ConfigKey: "configs/team/agent.yaml",
		})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, a := range state.Agents {
			for _, r := range a.Roles() {
				for name, d := range r.Policies {
					all[fmt.Sprintf("%s %s %s", profile, r.Kind, name)] = d
				}
			}
		}
	}
	if len(all) != 8 {
		t.Fatalf("%d policies, want 8", len(all))
	}
	return all
}

func boundary() policy.Document {
	return desired.Boundary(place, "bedrock-agentcore-codebuild-sources-123456789012-us-west-2")
}

func TestNothingThatTheToolkitOrRolekeeperGrantsEscalates(t *testing.T) {
	documents := ours(t)
	documents["boundary"] = boundary()
	for name, raw := range rendered(t) {
		documents[name] = parse(t, raw)
	}
	documents["toolkit's build role"] = parse(t, toolkitBuild(t)["CodeBuildExecutionPolicy"])
	for name, d := range documents {
		if ways := policy.Escalates(d); ways != nil {
			t.Errorf("%s escalates by %q", name, ways)
		}
	}
}

func toolkitBuild(t *testing.T) map[string]string {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(read(t, "../desired/testdata/toolkit/codebuild.json")), &raw); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name, document := range raw {
		all[name] = string(document)
	}
	return all
}

// What profile toolkit grants beyond the boundary, and the toolkit before it, are
// other regions' inference profiles and log deliveries.
func TestWhatTheBoundaryTakesAway(t *testing.T) {
	tells := func(name string, d policy.Document, want ...string) {
		if diff := cmp.Diff(want, words(policy.Beyond(d, boundary()))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	wide := []string{
		"logs:CreateLogGroup, logs:PutDeliverySource, logs:PutDeliveryDestination, logs:CreateDelivery, " +
			"logs:GetDeliverySource, logs:DeleteDeliverySource, logs:DeleteDeliveryDestination on *",
		"bedrock:InvokeModel, bedrock:InvokeModelWithResponseStream, bedrock:ApplyGuardrail on arn:aws:bedrock:*:*:inference-profile/*",
	}
	for name, d := range ours(t) {
		if strings.HasPrefix(name, "toolkit runtime BedrockAgentCoreRuntimeExecutionPolicy-") {
			tells(name, d, wide...)
		} else {
			tells(name, d)
		}
	}
	for name, raw := range rendered(t) {
		if strings.HasPrefix(name, "pr554-") {
			tells(name, parse(t, raw), "logs:PutResourcePolicy on arn:aws:logs:us-west-2:123456789012:log-group:/aws/bedrock-agentcore/runtimes/my_agent-*")
		} else {
			tells(name, parse(t, raw), wide...)
		}
	}
}
