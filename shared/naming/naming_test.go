package naming_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"rolekeeper/shared/naming"
)

func TestNamesAgreeWithTheToolkits(t *testing.T) {
	data, err := os.ReadFile("testdata/naming-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Agent, Hash string
		Roles       map[string]struct{ Runtime, CodeBuild string }
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors {
		if got := naming.Hash(v.Agent); got != v.Hash {
			t.Errorf("Hash(%q) = %s, want %s", v.Agent, got, v.Hash)
		}
		if len(v.Roles) == 0 {
			t.Errorf("%q has no roles", v.Agent)
		}
		for region, want := range v.Roles {
			runtime, build := naming.RuntimeRole(region, v.Agent), naming.BuildRole(region, v.Agent)
			if runtime != want.Runtime || build != want.CodeBuild {
				t.Errorf("%q in %s: %s and %s, want %s and %s", v.Agent, region, runtime, build, want.Runtime, want.CodeBuild)
			}
			for _, role := range []string{runtime, build} {
				if hash, ok := naming.RoleHash(region, role); !ok || hash != v.Hash {
					t.Errorf("RoleHash(%q, %q) = %q, %v, want %q", region, role, hash, ok, v.Hash)
				}
			}
		}
	}
}

func TestRoleHashKnowsOnlyOurNames(t *testing.T) {
	const hash = "e72c1a7c7a"
	cases := map[string]string{
		"another region":                  "AmazonBedrockAgentCoreSDKRuntime-us-east-1-" + hash,
		"a region that ends in ours":      "AmazonBedrockAgentCoreSDKRuntime-x-us-west-2-" + hash,
		"no region":                       "AmazonBedrockAgentCoreSDKRuntime-" + hash,
		"a hash that is too short":        "AmazonBedrockAgentCoreSDKRuntime-us-west-2-e72c1a7c7",
		"a hash that is too long":         "AmazonBedrockAgentCoreSDKRuntime-us-west-2-" + hash + "0",
		"a hash in upper case":            "AmazonBedrockAgentCoreSDKRuntime-us-west-2-E72C1A7C7A",
		"another kind of role":            "AmazonBedrockAgentCoreSDKGateway-us-west-2-" + hash,
		"text before it":                  "xAmazonBedrockAgentCoreSDKRuntime-us-west-2-" + hash,
		"a line feed after it":            "AmazonBedrockAgentCoreSDKRuntime-us-west-2-" + hash + "\n",
		"somebody's own name":             "agents-role",
		"nothing":                         "",
		"the prefix in another case":      "amazonbedrockagentcoresdkruntime-us-west-2-" + hash,
		"a path before it":                "platform/AmazonBedrockAgentCoreSDKRuntime-us-west-2-" + hash,
		"an ARN instead of a name":        "arn:aws:iam::123456789012:role/AmazonBedrockAgentCoreSDKRuntime-us-west-2-" + hash,
		"the build role's other spelling": "AmazonBedrockAgentCoreSDKCodebuild-us-west-2-" + hash,
	}
	for name, role := range cases {
		t.Run(name, func(t *testing.T) {
			if got, ok := naming.RoleHash("us-west-2", role); ok || got != "" {
				t.Errorf("RoleHash(%q) = %q, %v", role, got, ok)
			}
		})
	}
}

func TestAgentNamesAreSanitisedAsTheToolkitDoes(t *testing.T) {
	cases := map[string]string{
		"my_agent":               "my_agent",
		"MyAgent":                "myagent",
		"myagent":                "myagent",
		"my_agent_":              "my_agent",
		"my__agent":              "my-agent",
		"a":                      "a-agent",
		"A_":                     "a-agent",
		"_a":                     "a_a",
		"a-_b":                   "a-b",
		"a.b c":                  "a-b-c",
		"":                       "a-agent",
		"é":                      "a-agent",
		"1x":                     "1x",
		"team/agent":             "team/agent",
		strings.Repeat("x", 201): strings.Repeat("x", 200),
	}
	for agent, want := range cases {
		if got := naming.Sanitise(agent); got != want {
			t.Errorf("Sanitise(%q) = %q, want %q", agent, got, want)
		}
	}
}

func TestNamesDerivedFromTheSanitisedForm(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"repository":                      {naming.Repository("My__Agent"), "bedrock-agentcore-my-agent"},
		"project":                         {naming.Project("My__Agent"), "bedrock-agentcore-my-agent-builder"},
		"the source key is not sanitised": {naming.SourceKey("", "My__Agent"), "My__Agent/source.zip"},
		"the source key of a team":        {naming.SourceKey("red", "My__Agent"), "red/My__Agent/source.zip"},
		"log group":                       {naming.LogGroup("bedrock-agentcore-my-agent-builder"), "/aws/codebuild/bedrock-agentcore-my-agent-builder"},
		"source bucket":                   {naming.SourceBucket("123456789012", "us-west-2"), "bedrock-agentcore-codebuild-sources-123456789012-us-west-2"},
		"config bucket":                   {naming.ConfigBucket("123456789012", "us-west-2"), "bedrock-agentcore-configs-123456789012-us-west-2"},
		"policy":                          {naming.RuntimePolicy("My__Agent"), "BedrockAgentCoreRuntimeExecutionPolicy-My__Agent"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestAgentNamesAreWhatAgentCoreAccepts(t *testing.T) {
	for _, name := range []string{"a", "A2AHub", "my_agent", "x" + strings.Repeat("_", 47)} {
		if !naming.ValidAgent(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{
		"", "1a", "_a", "a-b", "a*", "${aws:username}", "a/b", `a"b`, "a'b", "a\n", "a\x00", "а", "a b", strings.Repeat("x", 49),
	} {
		if naming.ValidAgent(name) {
			t.Errorf("%q is accepted", name)
		}
	}
}

// An accepted name must give names that AWS accepts: ECR repositories
// (CreateRepository), CodeBuild projects (CreateProject), IAM roles (CreateRole),
// log groups (CreateLogGroup); and what bears them must lead back to the agent.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"my_agent", "A_", "a__b_", "x" + strings.Repeat("_", 47)} {
		f.Add(seed)
	}
	repository := regexp.MustCompile(`\A(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*\z`)
	project := regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9\-_]{1,149}\z`)
	f.Fuzz(func(t *testing.T, agent string) {
		if !naming.ValidAgent(agent) {
			return
		}
		if r := naming.Repository(agent); !repository.MatchString(r) || len(r) > 256 {
			t.Errorf("%q: repository %q", agent, r)
		}
		if p := naming.Project(agent); !project.MatchString(p) {
			t.Errorf("%q: project %q", agent, p)
		}
		const region = "us-isof-south-1" // the longest
		if b := naming.BuildRole(region, agent); len(b) > 64 {
			t.Errorf("%q: role %q is %d characters", agent, b, len(b))
		}
		if g := naming.LogGroup(naming.Project(agent)); len(g) > 512 || !strings.HasPrefix(g, "/aws/codebuild/") {
			t.Errorf("%q: log group %q", agent, g)
		}
		if key, ok := naming.ProjectClaimKeyOf(naming.Project(agent)); !ok || key != naming.ProjectClaimKey(agent) {
			t.Errorf("%q: its project leads to the claim %q", agent, key)
		}
		for _, team := range []string{"", "red"} {
			if of, name, ok := naming.SplitSourceKey(naming.SourceKey(team, agent)); !ok || of != team || name != agent {
				t.Errorf("%q: its source is of %q, %q", agent, of, name)
			}
		}
		if naming.Sanitise(naming.Sanitise(agent)) != naming.Sanitise(agent) {
			t.Errorf("%q: sanitising twice differs", agent)
		}
	})
}

func TestARegionTellsItsPartition(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1":       "aws",
		"eu-central-2":    "aws",
		"ap-southeast-7":  "aws",
		"mx-central-1":    "aws",
		"us-gov-west-1":   "aws-us-gov",
		"cn-northwest-1":  "aws-cn",
		"eusc-de-east-1":  "aws-eusc",
		"us-iso-east-1":   "aws-iso",
		"us-isob-east-1":  "aws-iso-b",
		"eu-isoe-west-1":  "aws-iso-e",
		"us-isof-south-1": "aws-iso-f",
	} {
		if got := naming.Partition(region); got != want {
			t.Errorf("Partition(%q) = %q, want %q", region, got, want)
		}
	}
}
