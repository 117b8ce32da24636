package naming_test

import (
	"strings"
	"testing"

	"rolekeeper/shared/naming"
)

func TestConfigKeysThatAreRefused(t *testing.T) {
	for name, key := range map[string]string{
		"elsewhere":          "claims/a.yaml",
		"the prefix alone":   "configs/",
		"a folder":           "configs/team/",
		"dots":               "configs/./a.yaml",
		"two dots":           "configs/../a.yaml",
		"two dots at an end": "configs/a/..",
		"a space":            "configs/a b.yaml",
		"unicode":            "configs/é.yaml",
		"a control":          "configs/a\x00.yaml",
		"201 bytes":          "configs/" + strings.Repeat("a", 193),
	} {
		if naming.CheckConfigKey(key) == nil {
			t.Errorf("%s: %q was accepted", name, key)
		}
	}
}

func TestARefusedKeyShowsTheWholeCharacter(t *testing.T) {
	for key, want := range map[string]string{
		"configs/a b.yaml": `' ' at byte 9`, "configs/\u00e9.yaml": `'\u00e9' at byte 8`, "configs/\U0001f600": `'\U0001f600' at byte 8`,
	} {
		if err := naming.CheckConfigKey(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", key, err, want)
		}
	}
}

func TestTheTeamOfAConfigIsItsFirstFolder(t *testing.T) {
	for key, want := range map[string]string{
		"configs/red/a.yaml":        "red",
		"configs/red/blue/a.yaml":   "red",
		"configs/red=1@b/a.yaml":    "red=1@b",
		"configs/a.yaml":            "",
		"configs//a.yaml":           "",
		"configs/configs/a.yaml":    "configs",
		"configs/red":               "",
		"configs/red/configs/a/b/c": "red",
	} {
		if got := naming.Team(key); got != want {
			t.Errorf("Team(%q) = %q, want %q", key, got, want)
		}
	}
}

func FuzzConfigKey(f *testing.F) {
	for _, key := range []string{"configs/a.yaml", "configs/team/.bedrock_agentcore.yaml", "configs/a=b@c+d", "configs/..", "status/a"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if naming.CheckConfigKey(key) != nil {
			return
		}
		back, ok := naming.ConfigKeyOf(naming.StatusKey(key))
		if !ok || back != key {
			t.Fatalf("status key %q of %q leads to %q", naming.StatusKey(key), key, back)
		}
		if len(naming.StatusKey(key)) > 1024 || len(key) > 256 {
			t.Fatalf("%q is too long for S3 or a tag", key)
		}
		if team := naming.Team(key); strings.Contains(team, "/") || team != "" && !strings.HasPrefix(key, "configs/"+team+"/") {
			t.Fatalf("team %q of %q", team, key)
		}
		if !strings.HasPrefix(naming.StatusKey(key), naming.StatusPrefix) || strings.Contains(naming.StatusKey(key), "/../") {
			t.Fatalf("status key %q leaves its prefix", naming.StatusKey(key))
		}
	})
}

func TestAProjectLeadsToTheClaimOnIt(t *testing.T) {
	for project, want := range map[string]string{
		"bedrock-agentcore-my_agent-builder":            "claims/projects/my_agent.json",
		"bedrock-agentcore-my-agent-builder":            "claims/projects/my-agent.json",
		"bedrock-agentcore-a-agent-builder":             "claims/projects/a-agent.json",
		"bedrock-agentcore-x-builder-builder":           "claims/projects/x-builder.json",
		"bedrock-agentcore-bedrock-agentcore-a-builder": "claims/projects/bedrock-agentcore-a.json",
	} {
		if got, ok := naming.ProjectClaimKeyOf(project); !ok || got != want {
			t.Errorf("ProjectClaimKeyOf(%q) = %q, %v, want %q", project, got, ok, want)
		}
	}
	for name, project := range map[string]string{
		"nothing":                     "",
		"the prefix and the suffix":   "bedrock-agentcore--builder",
		"both in one":                 "bedrock-agentcore-builder",
		"no prefix":                   "my_agent-builder",
		"no suffix":                   "bedrock-agentcore-my_agent",
		"text before it":              "x-bedrock-agentcore-my_agent-builder",
		"text after it":               "bedrock-agentcore-my_agent-builder2",
		"a line feed after it":        "bedrock-agentcore-my_agent-builder\n",
		"capitals":                    "bedrock-agentcore-MyAgent-builder",
		"two hyphens":                 "bedrock-agentcore-my--agent-builder",
		"a hyphen and an underscore":  "bedrock-agentcore-my-_agent-builder",
		"an underscore at the end":    "bedrock-agentcore-my_agent_-builder",
		"a digit first":               "bedrock-agentcore-1agent-builder",
		"one letter, which has more":  "bedrock-agentcore-a-builder",
		"a folder":                    "bedrock-agentcore-team/agent-builder",
		"a way out of the folder":     "bedrock-agentcore-../roles/0123456789-builder",
		"longer than any agent's":     "bedrock-agentcore-" + strings.Repeat("x", 49) + "-builder",
		"longer, hyphens counted two": "bedrock-agentcore-" + strings.Repeat("x-", 16) + "x-builder",
	} {
		if got, ok := naming.ProjectClaimKeyOf(project); ok || got != "" {
			t.Errorf("%s: ProjectClaimKeyOf(%q) = %q, %v", name, project, got, ok)
		}
	}
}

// A project that is accepted is one that some agent has, and its claim is that agent's.
func FuzzProjectClaim(f *testing.F) {
	for _, project := range []string{
		"bedrock-agentcore-my_agent-builder", "bedrock-agentcore-a-agent-builder", "bedrock-agentcore-../x-builder", "bedrock-agentcore--builder",
	} {
		f.Add(project)
	}
	f.Fuzz(func(t *testing.T, project string) {
		key, ok := naming.ProjectClaimKeyOf(project)
		if !ok {
			return
		}
		sanitised := strings.TrimSuffix(strings.TrimPrefix(key, "claims/projects/"), ".json")
		agent := strings.ReplaceAll(sanitised, "-", "__")
		if !naming.ValidAgent(agent) || naming.Project(agent) != project || naming.ProjectClaimKey(agent) != key {
			t.Errorf("%q leads to %q, which is not of agent %q", project, key, agent)
		}
	})
}

func TestASourceLeadsToItsAgent(t *testing.T) {
	for key, want := range map[string][2]string{
		"my_agent/source.zip":        {"", "my_agent"},
		"red/my_agent/source.zip":    {"red", "my_agent"},
		"r=e.d/My__Agent/source.zip": {"r=e.d", "My__Agent"},
		"source/source/source.zip":   {"source", "source"},
	} {
		if team, agent, ok := naming.SplitSourceKey(key); !ok || team != want[0] || agent != want[1] {
			t.Errorf("SplitSourceKey(%q) = %q, %q, %v", key, team, agent, ok)
		}
	}
	for name, key := range map[string]string{
		"nothing":                 "",
		"no agent":                "source.zip",
		"an empty agent":          "/source.zip",
		"an agent of no team":     "/my_agent/source.zip",
		"an empty agent's team":   "red//source.zip",
		"a folder below a team":   "red/blue/my_agent/source.zip",
		"the toolkit's code":      "my_agent/deployment.zip",
		"another ending":          "my_agent/source.zip.bak",
		"an ending in capitals":   "my_agent/SOURCE.ZIP",
		"another name's ending":   "my_agent/my_source.zip",
		"no agent's name":         "my-agent/source.zip",
		"a way out of the bucket": "../source.zip",
	} {
		if team, agent, ok := naming.SplitSourceKey(key); ok {
			t.Errorf("%s: SplitSourceKey(%q) = %q, %q", name, key, team, agent)
		}
	}
}

// A key that is accepted is the one that its agent's source has, in that team.
func FuzzSourceKey(f *testing.F) {
	for _, key := range []string{"my_agent/source.zip", "red/my_agent/source.zip", "/my_agent/source.zip", "a/b/c/source.zip", "source.zip"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		team, agent, ok := naming.SplitSourceKey(key)
		if !ok {
			return
		}
		if !naming.ValidAgent(agent) || strings.Contains(team, "/") || naming.SourceKey(team, agent) != key {
			t.Errorf("%q is of agent %q, team %q", key, agent, team)
		}
	})
}

func TestARuntimeLeadsToItsAgent(t *testing.T) {
	for id, want := range map[string]string{
		"my_agent-Qx7Lm2Zt9K":                   "my_agent",
		"a-0123456789":                          "a",
		"My__Agent_-ABCDEFGHIJ":                 "My__Agent_",
		"a0123456789-abcdefghij":                "a0123456789",
		strings.Repeat("x", 48) + "-0000000000": strings.Repeat("x", 48),
	} {
		if got, ok := naming.RuntimeAgent(id); !ok || got != want {
			t.Errorf("RuntimeAgent(%q) = %q, %v, want %q", id, got, ok, want)
		}
	}
	for name, id := range map[string]string{
		"nothing":                    "",
		"a name alone":               "my_agent",
		"no suffix":                  "my_agent-",
		"no name":                    "-Qx7Lm2Zt9K",
		"nine characters":            "my_agent-Qx7Lm2Zt9",
		"eleven characters":          "my_agent-Qx7Lm2Zt9K1",
		"an underscore among them":   "my_agent-Qx7Lm_Zt9K",
		"a line feed after them":     "my_agent-Qx7Lm2Zt9\n",
		"a letter of two bytes":      "my_agent-Qx7Lm2Zt\u00e9",
		"a slash among them":         "my_agent-Qx7Lm/Zt9K",
		"a version after them":       "my_agent-Qx7Lm2Zt9K:1",
		"a hyphen in the name":       "my-agent-Qx7Lm2Zt9K",
		"ten characters, and ten":    "agent-Qx7Lm2Zt9K-Qx7Lm2Zt9K",
		"a digit first":              "1agent-Qx7Lm2Zt9K",
		"a way out of the folder":    "../agent-Qx7Lm2Zt9K",
		"an ARN":                     "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/my_agent-Qx7Lm2Zt9K",
		"longer than any agent's":    strings.Repeat("x", 49) + "-Qx7Lm2Zt9K",
		"what the service also runs": "aws.browser.v1",
	} {
		if got, ok := naming.RuntimeAgent(id); ok || got != "" {
			t.Errorf("%s: RuntimeAgent(%q) = %q, %v", name, id, got, ok)
		}
	}
}

// An id that is accepted is an agent's name, a hyphen and ten characters of those
// that claims' keys and ARNs may hold.
func FuzzRuntimeAgent(f *testing.F) {
	for _, id := range []string{"my_agent-Qx7Lm2Zt9K", "my-agent-Qx7Lm2Zt9K", "a-0123456789", "-0123456789", "a-012345678\n"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		agent, ok := naming.RuntimeAgent(id)
		if !ok {
			if agent != "" {
				t.Errorf("%q is of no agent, and of %q", id, agent)
			}
			return
		}
		suffix, ours := strings.CutPrefix(id, agent+"-")
		if !naming.ValidAgent(agent) || !ours || len(suffix) != 10 || strings.ContainsAny(suffix, "-_") || naming.CheckConfigKey("configs/"+id) != nil {
			t.Errorf("%q is of agent %q", id, agent)
		}
	})
}

func TestTheArchivesOfARoleAreItsOwn(t *testing.T) {
	const region = "us-east-1"
	runtime, build := naming.ArchivedRole(naming.RuntimeRole(region, "my_agent")), naming.ArchivedRole(naming.BuildRole(region, "my_agent"))
	if want := "archive/AmazonBedrockAgentCoreSDKRuntime-us-east-1-e72c1a7c7a/"; runtime != want {
		t.Errorf("archives of the runtime role are under %q, want %q", runtime, want)
	}
	all := []string{runtime, build, naming.ArchivedRole("role"), naming.ArchivedRole("role-2")}
	for i, a := range all {
		for j, b := range all {
			if i != j && strings.HasPrefix(a, b) {
				t.Errorf("%q is among %q", a, b)
			}
		}
	}
}
