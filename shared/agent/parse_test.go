package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/fault"
)

const testAccount = "111122223333"

func in(region string) Place {
	return Place{Partition: "aws", Region: region, Account: testAccount}
}

func role(path, name string) RoleRef {
	return RoleRef{ARN: "arn:aws:iam::111122223333:role/" + path + name, Name: name}
}

func runtimeRole(regionHash string) RoleRef {
	return role("", "AmazonBedrockAgentCoreSDKRuntime-"+regionHash)
}

func buildRole(regionHash string) RoleRef {
	return role("", "AmazonBedrockAgentCoreSDKCodeBuild-"+regionHash)
}

// seen is a problem as the tests compare it: "line:column severity code agent field".
func seen(problems []fault.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%d:%d %s %s %s %s", p.Line, p.Column, p.Severity, p.Code, p.Agent, p.Field))
	}
	return out
}

// codes is for tests that are not about places.
func codes(problems []fault.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, string(p.Severity)+" "+p.Code+" "+p.Field)
	}
	return out
}

var ignorePlaces = cmp.Options{cmpopts.IgnoreUnexported(Agent{}), cmpopts.EquateEmpty()}

type sample struct {
	region   string
	want     []Agent
	problems []string
}

func samples() map[string]sample {
	const vault = "arn:aws:bedrock-agentcore:%s:111122223333:token-vault/default/%s"
	return map[string]sample{
		"container-public.yaml": {"us-west-2", []Agent{{Name: "invoice_triage", Deployment: Container}}, nil},
		"container-vpc.yaml": {"eu-central-1", []Agent{{
			Name: "claims_assistant", Deployment: Container, VPC: true,
			RuntimeRole: runtimeRole("eu-central-1-fbea0071cf"), BuildRole: buildRole("eu-central-1-fbea0071cf"),
			Repository: "bedrock-agentcore-claims_assistant", MemoryID: "claims_assistant_mem-Zk3Vw8Rt1P",
			Providers: []CredentialProvider{{
				Name: "claims-crm", Kind: OAuth2Provider,
				ARN: fmt.Sprintf(vault, "eu-central-1", "oauth2credentialprovider/claims-crm"),
			}},
			JWT: &JWT{Audiences: []string{"https://ledger.example.com"}, SigningAlgorithm: "ES384", DurationSeconds: 300},
		}}, nil},
		"direct-code-deploy.yaml": {"ap-southeast-1", []Agent{{
			Name: "DocSummarizer", Deployment: DirectCode,
			RuntimeRole: runtimeRole("ap-southeast-1-ce3e963d8a"), MemoryID: "DocSummarizer_mem-Hh5Tq0Lz6C",
			Providers: []CredentialProvider{{
				Name: "DocSummarizer_OPENAI_API_KEY", Kind: APIKeyProvider,
				ARN: fmt.Sprintf(vault, "ap-southeast-1", "apikeycredentialprovider/DocSummarizer_OPENAI_API_KEY"),
			}},
		}}, nil},
		"multi-agent.yaml": {"us-east-1", []Agent{
			{
				Name: "travel_supervisor", Deployment: Container, A2A: true, Repository: "bedrock-agentcore-travel_supervisor",
				RuntimeRole: runtimeRole("us-east-1-cf18ba8635"), BuildRole: buildRole("us-east-1-cf18ba8635"),
			},
			{
				Name: "flight_search", Deployment: Container, A2A: true, Repository: "travel/agents/flight-search",
				RuntimeRole: runtimeRole("us-east-1-cf18ba8635"), MemoryID: "flight_search_mem-Lk98Jh76Gf",
			},
			{
				Name: "hotel_search", Deployment: Container,
				RuntimeRole: role("platform/agents/", "TravelSharedAgentRole"), BuildRole: role("platform/agents/", "SharedArmBuilder"),
			},
			{Name: "legacy_faq", Deployment: Container},
		}, nil},
		"wild/01.yaml": {"us-east-1", []Agent{{
			Name: "Agent_with_memory", Deployment: Container, Repository: "bedrock-agentcore-agent_with_memory",
			RuntimeRole: runtimeRole("us-east-1-ab7e989caa"), BuildRole: buildRole("us-east-1-ab7e989caa"),
			MemoryID: "agentcore_first_project-E1UsbWCIfu",
		}}, nil},
		"wild/02.yaml": {"us-east-1", []Agent{{
			Name: "agent_deployment_meu_agente", Deployment: Container, Repository: "bedrock-agentcore-agent_deployment_meu_agente",
		}}, nil},
		"wild/03.yaml": {"sa-east-1", []Agent{{
			Name: "test", Deployment: Container, Repository: "bedrock-agentcore-test",
			RuntimeRole: role("", "agentcore-role-1"), BuildRole: buildRole("sa-east-1-9f86d08188"), MemoryID: "test_mem-K8sqDZ5ZIT",
		}}, nil},
		"wild/04.yaml": {"us-east-2", []Agent{{
			Name: "pokemon_trader_agent", Deployment: Container, Repository: "bedrock-agentcore-pokemon_trader_agent", VPC: true,
			RuntimeRole: role("", "pokemon_trader_agent-AgentCoreRuntimeRole-us-east-2"), BuildRole: buildRole("us-east-2-c5f08d456f"),
		}}, nil},
		"wild/05.yaml": {"us-east-2", []Agent{{
			Name: "customer_support_agent", Deployment: Container, Repository: "bedrock-agentcore-customer_support_agent",
			RuntimeRole: role("", "CustomerSupportAssistantBedrockAgentCoreRole-us-east-2"),
		}}, nil},
		"wild/06.yaml": {"us-west-2", []Agent{{
			Name: "agentcore_runtime", Deployment: Container, Repository: "bedrock-agentcore-agentcore_runtime",
			RuntimeRole: runtimeRole("us-west-2-58a640a493"), BuildRole: buildRole("us-west-2-58a640a493"),
			MemoryID: "agentcore_runtime_mem-RDrZvH5zXB",
		}}, nil},
		"wild/07.yaml": {"us-east-1", []Agent{{
			Name: "entrypoint", Deployment: Container, Repository: "bedrock-agentcore-entrypoint",
			RuntimeRole: runtimeRole("us-east-1-526548690c"), BuildRole: buildRole("us-east-1-526548690c"),
			MemoryID: "entrypoint_mem-3PyJZYC3Od",
		}}, nil},
		"wild/08.yaml": {"us-east-1", []Agent{{
			Name: "app", Deployment: Container, Repository: "bedrock-agentcore-app",
			RuntimeRole: runtimeRole("us-east-1-a172cedcae"), BuildRole: buildRole("us-east-1-a172cedcae"),
			MemoryID: "app_mem-UCy7NQEmlp",
		}}, nil},
		"wild/09.yaml": {"us-east-1", nil, []string{
			"9:23 error role-invalid fantasy_draft_agentcore aws.execution_role",
			"11:16 error account-invalid fantasy_draft_agentcore aws.account",
		}},
		"wild/10.yaml": {"ap-northeast-1", nil, []string{
			"7:3 error agent-aws-missing rd-knowledge-multimodal-agent aws",
			"8:11 error agent-name-invalid rd-knowledge-multimodal-agent name",
		}},
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEverySampleIsReadOrHasExactlyItsFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/wild/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, more...)
	if len(files) != len(samples()) {
		t.Errorf("testdata has %d samples, the table %d", len(files), len(samples()))
	}
	for name, s := range samples() {
		t.Run(name, func(t *testing.T) {
			cfg, problems := Parse(readFile(t, name), in(s.region))
			if diff := cmp.Diff(s.problems, seen(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(s.want, cfg.Agents, ignorePlaces); diff != "" {
				t.Errorf("agents (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSamplesMeanTheSameAsJSONAndWithWindowsLineEnds(t *testing.T) {
	for name, s := range samples() {
		if s.want == nil {
			continue
		}
		data := readFile(t, name)
		var tree any
		if err := yaml.Unmarshal(data, &tree); err != nil {
			t.Fatal(err)
		}
		compact, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		var tabs bytes.Buffer
		if err := json.Indent(&tabs, compact, "", "\t"); err != nil {
			t.Fatal(err)
		}
		for form, data := range map[string][]byte{
			"compact JSON":           compact,
			"JSON indented by tabs":  tabs.Bytes(),
			"CRLF":                   bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")),
			"with a byte order mark": append([]byte("\xef\xbb\xbf"), data...),
		} {
			t.Run(name+" as "+form, func(t *testing.T) {
				cfg, problems := Parse(data, in(s.region))
				if len(problems) > 0 {
					t.Errorf("problems: %v", seen(problems))
				}
				// JSON from a Go map has its agents sorted by name.
				byName := cmpopts.SortSlices(func(a, b Agent) bool { return a.Name < b.Name })
				if diff := cmp.Diff(s.want, cfg.Agents, ignorePlaces, byName); diff != "" {
					t.Errorf("agents (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestSamplesAreAtFaultInAnotherAccountAndRegion(t *testing.T) {
	elsewhere := Place{Partition: "aws", Region: "eu-west-3", Account: "444455556666"}
	_, problems := Parse(readFile(t, "container-vpc.yaml"), elsewhere)
	want := []string{
		"15:23 error role-foreign claims_assistant aws.execution_role",
		"17:16 error account-mismatch claims_assistant aws.account",
		"18:15 error region-mismatch claims_assistant aws.region",
		"19:23 error repository-foreign claims_assistant aws.ecr_repository",
		"44:23 error role-foreign claims_assistant codebuild.execution_role",
		"49:19 error memory-foreign claims_assistant memory.memory_arn",
		"57:14 error provider-foreign claims_assistant identity.credential_providers[0].arn",
	}
	if diff := cmp.Diff(want, seen(problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	for _, p := range problems {
		if !strings.Contains(p.Message+p.Fix, elsewhere.Account) && !strings.Contains(p.Message+p.Fix, elsewhere.Region) {
			t.Errorf("%s does not name the account or region that is right", p)
		}
	}
}

func TestSixFaultsComeAtOnceInTheFilesOrder(t *testing.T) {
	const text = `default_agent: one
agents:
  one:
    name: one-agent
    deployment_type: zip
    aws:
      account: '999988887777'
      region: us-east-1
      region: us-east-1
  two:
    name: two
    aws:
      execution_role: [a, b]
    permissions:
      database: true
`
	_, problems := Parse([]byte(text), in("us-east-1"))
	want := []string{
		"4:11 error agent-name-invalid one-agent name",
		"5:22 error deployment-type-unknown one-agent deployment_type",
		"7:16 error account-mismatch one-agent aws.account",
		"9:7 error config-duplicate-key one-agent aws.region",
		"13:7 error field-type two aws.execution_role",
		"15:7 error permission-unknown two permissions.database",
	}
	if diff := cmp.Diff(want, seen(problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestWhatIsNoConfigIsSaidClearly(t *testing.T) {
	deep := strings.Repeat("[", 30) + strings.Repeat("]", 30)
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	var many strings.Builder
	many.WriteString("agents:\n")
	for i := range 51 {
		fmt.Fprintf(&many, "  a%d: {name: a%d, aws: {}}\n", i, i)
	}
	for name, tt := range map[string]struct{ data, want string }{
		"nothing at all":                         {"", "1:1 error config-empty  "},
		"only white space":                       {" \n\n", "1:1 error config-empty  "},
		"only comments":                          {"# later\n", "1:1 error config-empty  "},
		"only a byte order mark":                 {"\xef\xbb\xbf", "1:1 error config-empty  "},
		"null":                                   {"null\n", "1:1 error config-empty  "},
		"one letter":                             {"x", "1:1 error config-not-a-map  "},
		"one opening brace":                      {"{", "1:1 error config-not-yaml  "},
		"one NUL byte":                           {"\x00", "1:1 error config-not-yaml  "},
		"one byte that is not UTF-8":             {"\xff", "1:1 error config-not-utf8  "},
		"UTF-16 from a Windows shell":            {"\xff\xfea\x00:\x00", "1:1 error config-not-utf8  "},
		"Latin-1 in the second line":             {"a: b\nname: caf\xe9\n", "2:10 error config-not-utf8  "},
		"a zip archive":                          {"PK\x03\x04\x14\x00\x08\x00\x9c", "1:9 error config-not-utf8  "},
		"a list":                                 {"- agents\n", "1:1 error config-not-a-map  "},
		"a tab that indents":                     {"agents:\n  a:\n\tname: a\n", "3:2 error config-not-yaml  "},
		"a key without a colon":                  {"agents:\n  a:\n    name: a\n    entrypoint\n    aws: {}\n", "4:5 error config-not-yaml  "},
		"a line indented too little":             {"agents:\n  a:\n    name: a\n   aws: {}\n  b: {}\n", "4:4 error config-not-yaml  "},
		"a quote that is never closed":           {"agents:\n  a:\n    name: 'a\n    aws: {}\n", "3:5 error config-not-yaml  "},
		"an alias without an anchor":             {"agents:\n  a:\n    aws: *base\n", "3:5 error config-not-yaml  "},
		"a control character":                    {"agents:\n  a: \x07\n", "2:3 error config-not-yaml  "},
		"JSON without a comma":                   {"{\n  \"agents\": {\n    \"a\": {\"name\": \"a\"}\n    \"b\": {}\n  }\n}\n", "4:5 error config-not-yaml  "},
		"JSON that ends early":                   {"{\"agents\": {\n", "1:13 error config-not-yaml  "},
		"two documents":                          {"agents: {}\n---\nagents: {}\n", "2:1 error config-many-documents  "},
		"300 KiB":                                {"# " + strings.Repeat("x", 300<<10), "1:1 error config-too-large  "},
		"30 levels of lists":                     {"x: " + deep + "\n", "1:23 error config-too-deep  x" + strings.Repeat("[0]", 19)},
		"an anchor that contains itself":         {"x: &x\n  y: *x\n", "2:6 error config-too-deep  x" + strings.Repeat(".y", 19)},
		"a list of agents":                       {"agents:\n- name: a\n", "1:1 error config-agents-not-a-map  agents"},
		"agents without one":                     {"default_agent: a\nagents: {}\n", "2:1 error config-no-agents  agents"},
		"agents that are null":                   {"agents:\n", "1:1 error config-no-agents  agents"},
		"neither agents nor the old form":        {"name: a\nregion: b\n", "1:1 error config-no-agents a "},
		"51 agents":                              {many.String(), "1:1 error config-too-many-agents  agents"},
		"an agent that is a number":              {"agents:\n  a: 7\n", "2:3 error agent-not-a-map a "},
		"an agent that is null":                  {"agents:\n  a:\n", "2:3 error agent-not-a-map a "},
		"an alias bomb":                          {bomb, "*"},
		"a merge key with text":                  {"agents: {a: {name: a, aws: {}}}\nx:\n  <<: text\n", "3:3 error config-merge-invalid  x.<<"},
		"a list as a key":                        {"agents: {a: {name: a, aws: {}}}\n[x]: y\n", "2:1 error config-key-invalid  "},
		"a duplicate key in what nobody reads":   {"agents: {a: {name: a, aws: {}}}\nx:\n  b: 1\n  b: 2\n", "4:3 error config-duplicate-key  x.b"},
		"a duplicate key in the agents map":      {"agents:\n  a: {name: a, aws: {}}\n  a: {name: b, aws: {}}\n", "3:3 error config-duplicate-key  agents.a"},
		"a duplicate key in JSON":                {`{"agents": {"a": {"name": "a", "aws": {}, "name": "a"}}}`, "1:43 error config-duplicate-key a name"},
		"a duplicate key reached by two aliases": {"x: &x {b: 1, b: 2}\ny: *x\nz: *x\nagents: {a: {name: a, aws: {}}}\n", "1:14 error config-duplicate-key  x.b"},
		"the old form with a duplicate key":      {"name: a\nentrypoint: x\nname: a\n", "3:1 error config-duplicate-key a name"},
		"escapes for a terminal in a key":        {"agents: {a: {name: a, aws: {}}}\n\"\\e[31m\": 1\n\"\\e[31m\": 2\n", `3:1 error config-duplicate-key  \x1b[31m`},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			cfg, problems := Parse([]byte(tt.data), in("us-east-1"))
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			got := seen(problems)
			if tt.want == "*" { // where a bomb is stopped depends on the bound
				if len(problems) != 1 || problems[0].Code != "config-too-many-nodes" {
					t.Errorf("problems %q, want one config-too-many-nodes", got)
				}
			} else if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if cfg.Agents != nil {
				t.Error("a refused config has agents")
			}
			for _, p := range problems {
				if p.Message == "" || p.Fix == "" {
					t.Errorf("%s lacks a message or a fix", p.Code)
				}
			}
		})
	}
}

func TestManyFaultsAreCountedNotListed(t *testing.T) {
	var b strings.Builder
	b.WriteString("agents: {a: {name: a, aws: {}, permissions: {\n")
	for i := range 500 {
		fmt.Fprintf(&b, "k%d: 1,\n", i)
	}
	b.WriteString("}}}\n")
	_, problems := Parse([]byte(b.String()), in("us-east-1"))
	if len(problems) != maxProblems+1 {
		t.Fatalf("%d problems, want %d", len(problems), maxProblems+1)
	}
	if last := problems[maxProblems]; last.Code != "config-too-many-problems" || last.Severity != fault.SeverityError || last.Line != 102 {
		t.Errorf("last problem is %s", last)
	}
}

func TestFormsOfFilesThatTheToolkitAccepts(t *testing.T) {
	for name, tt := range map[string]struct {
		text     string
		want     []Agent
		problems []string
	}{
		"the old form of one agent": {
			"name: old\nentrypoint: main.py\naws:\n  execution_role: MyRole\n",
			[]Agent{{Name: "old", Deployment: Container, RuntimeRole: role("", "MyRole")}}, nil,
		},
		"a document between its marks": {
			"%YAML 1.1\n---\n# by hand\nagents: {a: {name: a, aws: {}}}\n...\n# end\n", []Agent{{Name: "a", Deployment: Container}}, nil,
		},
		"the old form without aws": {
			"name: old\nentrypoint: main.py\n", []Agent{{Name: "old", Deployment: Container}}, nil,
		},
		"two agents from one anchor, merged as the toolkit's loader merges": {
			`base: &base
  deployment_type: direct_code_deploy
  aws: &aws {region: us-east-1, protocol_configuration: {server_protocol: a2a}}
other: &other {language: python, memory: {memory_id: other_mem-0123456789}}
agents:
  one: {<<: *base, name: one}
  two:
    name: two
    <<: [*other, *base]
    memory: {memory_id: two_mem-0123456789}
  three: {name: three, aws: *aws}
`,
			[]Agent{
				{Name: "one", Deployment: DirectCode, A2A: true},
				{Name: "two", Deployment: DirectCode, A2A: true, MemoryID: "two_mem-0123456789"},
				{Name: "three", Deployment: Container, A2A: true},
			}, nil,
		},
		"in a list of merged maps the first holds": {
			"x: &x {deployment_type: container}\ny: &y {deployment_type: direct_code_deploy}\nagents: {a: {<<: [*y, *x], name: a, aws: {}}}\n",
			[]Agent{{Name: "a", Deployment: DirectCode}}, nil,
		},
		"direct code with a repository becomes a container": {
			"agents: {a: {name: a, deployment_type: direct_code_deploy, aws: {ecr_repository: my-repo}}}",
			[]Agent{{Name: "a", Deployment: Container, Repository: "my-repo"}},
			[]string{"warning deployment-type-changed deployment_type"},
		},
		"direct code with a build project becomes a container": {
			"agents: {a: {name: a, deployment_type: direct_code_deploy, aws: {}, codebuild: {project_name: p}}}",
			[]Agent{{Name: "a", Deployment: Container}},
			[]string{"warning deployment-type-changed deployment_type"},
		},
		"a direct-code agent's build role is not read": {
			"agents: {a: {name: a, deployment_type: direct_code_deploy, aws: {}, codebuild: {execution_role: 'arn:aws:iam::999988887777:role/x'}}}",
			[]Agent{{Name: "a", Deployment: DirectCode}}, nil,
		},
		"the key an agent stands under does not count": {
			"agents: {Some-Key!: {name: a, aws: {}}}", []Agent{{Name: "a", Deployment: Container}}, nil,
		},
		"empty text is as null in the toolkit": {
			"agents: {a: {name: a, aws: {execution_role: '', ecr_repository: ''}, codebuild: {project_name: '', execution_role: ''}, memory: {memory_id: '', memory_arn: ''}, api_key_credential_provider_name: ''}}",
			[]Agent{{Name: "a", Deployment: Container}}, nil,
		},
		"what drives no role may hold anything": {
			"agents: {a: {name: a, entrypoint: [1], platform: {}, aws: {s3_path: 7, observability: no}, bedrock_agentcore: x, authorizer_configuration: [], memory: {mode: 9}}}",
			[]Agent{{Name: "a", Deployment: Container}}, nil,
		},
		"JSON escapes beyond U+FFFF": {
			`{"agents": {"a": {"name": "a", "description": "\ud83e\udd16 \\ud83e\\udd16", "aws": {"region": "us-east-1"}}}}`,
			[]Agent{{Name: "a", Deployment: Container}}, nil,
		},
		"VPC without subnets is deployable by nobody, but its roles are made": {
			"agents: {a: {name: a, aws: {network_configuration: {network_mode: VPC, network_mode_config: {subnets: [], security_groups: [sg-1]}}}}}",
			[]Agent{{Name: "a", Deployment: Container, VPC: true}},
			[]string{"warning network-config-incomplete aws.network_configuration.network_mode_config"},
		},
		"two direct-code agents need no build project of their own": {
			"agents: {a: {name: MyAgent, deployment_type: direct_code_deploy, aws: {}}, b: {name: myagent, deployment_type: direct_code_deploy, aws: {}}}",
			[]Agent{{Name: "MyAgent", Deployment: DirectCode}, {Name: "myagent", Deployment: DirectCode}}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, problems := Parse([]byte(tt.text), in("us-east-1"))
			if diff := cmp.Diff(tt.problems, codes(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, cfg.Agents, ignorePlaces); diff != "" {
				t.Errorf("agents (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAgentsOfOneFileAreKeptApart(t *testing.T) {
	for name, tt := range map[string]struct{ first, second, want string }{
		"two keys with one name":                   {"same", "same", "3:14 error agent-name-duplicate same name"},
		"names that share a hash":                  {"x388339", "x1752642", "3:14 error agent-names-collide x1752642 name"},
		"names that differ in case":                {"MyAgent", "myagent", "3:14 error agent-names-collide myagent name"},
		"names that differ in a last underscore":   {"my_agent_", "my_agent", "3:14 error agent-names-collide my_agent name"},
		"names that differ in runs of underscores": {"my___agent", "my__agent", "3:14 error agent-names-collide my__agent name"},
		"names that differ":                        {"my_agent", "my__agent", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf("agents:\n  a: {\"name\": %s, aws: {}}\n  b: { name: %s, aws: {}}\n", tt.first, tt.second)
			_, problems := Parse([]byte(text), in("us-east-1"))
			if got := strings.Join(seen(problems), "; "); got != tt.want {
				t.Errorf("problems %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNamesThatAgentCoreRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ yaml, label string }{
		"a wildcard":               {`"my*"`, "my*"},
		"a policy variable":        {`"${aws:username}"`, "${aws:username}"},
		"a slash":                  {`a/b`, "a/b"},
		"a double quote":           {`'a"b'`, `a"b`},
		"a single quote":           {`"a'b"`, "a'b"},
		"a newline at the end":     {`"agent\n"`, "agent"},
		"a newline within":         {`"a\nb"`, `a\nb`},
		"a Cyrillic letter":        {"\u0430gent", `\u0430gent`},
		"a full-width letter":      {"\uff41gent", `\uff41gent`},
		"a right-to-left override": {`"a\u202eb"`, `a\u202eb`},
		"an escape for a terminal": {`"\e[31mred"`, `\x1b[31mred`},
		"49 characters":            {strings.Repeat("x", 49), strings.Repeat("x", 49)},
		"a hyphen":                 {"my-agent", "my-agent"},
		"a digit first":            {"1agent", "1agent"},
		"an underscore first":      {"_agent", "_agent"},
		"a space":                  {"my agent", "my agent"},
		"thousands of characters":  {strings.Repeat("x", 9000), strings.Repeat("x", 97) + "..."},
		"text in a literal block":  {"|\n      agent\n", "agent"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "agents:\n  a:\n    aws: {}\n    name: " + tt.yaml + "\n"
			_, problems := Parse([]byte(text), in("us-east-1"))
			want := []string{"4:11 error agent-name-invalid " + tt.label + " name"}
			if diff := cmp.Diff(want, seen(problems)); diff != "" {
				t.Fatalf("problems (-want +got):\n%s", diff)
			}
			p := problems[0]
			if strings.ContainsFunc(p.String(), func(r rune) bool { return r < ' ' || r > '~' }) || len(p.String()) > 600 {
				t.Errorf("%q is not short and printable ASCII", p)
			}
		})
	}
	longest := strings.Repeat("x", 48)
	cfg, problems := Parse([]byte("agents: {a: {aws: {}, name: "+longest+"}}"), in("us-east-1"))
	if len(problems) != 0 || cfg.Agents[0].Name != longest {
		t.Errorf("48 characters: %v", seen(problems))
	}
}

// TestFields sets one field of an otherwise good agent and looks at what
// becomes of it: its problem, or what the agent then has.
func TestFields(t *testing.T) {
	const (
		arnPrefix = "arn:aws:iam::111122223333:role/"
		agentcore = "arn:aws:bedrock-agentcore:us-east-1:111122223333:"
		registry  = "111122223333.dkr.ecr.us-east-1.amazonaws.com/"
		digest    = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	)
	type check struct {
		yaml string // flow YAML, merged over the agent's own fields
		want []string
		got  func(Agent) any
		is   any
	}
	bad := func(yaml string, want ...string) check { return check{yaml: yaml, want: want} }
	good := func(yaml string, got func(Agent) any, is any) check { return check{yaml: yaml, got: got, is: is} }
	runtimeRole := func(a Agent) any { return a.RuntimeRole }
	repository := func(a Agent) any { return a.Repository }
	nothing := func(Agent) any { return nil }
	models := func(a Agent) any { return a.Permissions.Models }
	images := func(a Agent) any { return a.Permissions.BaseImages }
	providers := func(a Agent) any { return a.Providers }
	jwt := func(a Agent) any { return a.JWT }
	memory := func(a Agent) any { return a.MemoryID }

	const claude = "anthropic.claude-sonnet-4-20250514-v1:0"
	for name, tt := range map[string]check{
		"no name":                       bad("{name: null}", "error agent-name-missing name"),
		"an empty name":                 bad("{name: ''}", "error agent-name-missing name"),
		"a number as name":              bad("{name: 7}", "error field-type name"),
		"a list as name":                bad("{name: [a]}", "error field-type name"),
		"aws that is text":              bad("{aws: x}", "error field-type aws"),
		"aws that is null":              bad("{aws: null}", "error agent-aws-missing aws"),
		"a deployment type in capitals": bad("{deployment_type: Container}", "error deployment-type-unknown deployment_type"),
		"TypeScript as direct code":     bad("{language: typescript, deployment_type: direct_code_deploy}", "error deployment-type-language deployment_type"),
		"TypeScript as direct code with a repository": bad("{language: typescript, deployment_type: direct_code_deploy, aws: {ecr_repository: ab}}",
			"error deployment-type-language deployment_type", "warning deployment-type-changed deployment_type"),

		"our account in quotes":              good("{aws: {account: '111122223333'}}", nothing, nil),
		"our account as a number":            good("{aws: {account: 111122223333}}", nothing, nil),
		"our account in octal":               bad("{aws: {account: 01473661250205}}", "error account-invalid aws.account"),
		"our account in hexadecimal":         bad("{aws: {account: 0x19DF4E3D45}}", "error account-invalid aws.account"),
		"our account with underscores":       bad("{aws: {account: 1111_2222_3333}}", "error account-invalid aws.account"),
		"our account as a float":             bad("{aws: {account: 111122223333.0}}", "error account-invalid aws.account"),
		"our account with a newline":         bad(`{aws: {account: "111122223333\n"}}`, "error account-invalid aws.account"),
		"an empty account":                   bad("{aws: {account: ''}}", "error account-invalid aws.account"),
		"a list of accounts":                 bad("{aws: {account: ['111122223333']}}", "error field-type aws.account"),
		"another account":                    bad("{aws: {account: '011122223333'}}", "error account-mismatch aws.account"),
		"another account with leading zeros": bad("{aws: {account: 001122223333}}", "error account-mismatch aws.account"),
		"another region":                     bad("{aws: {region: us-east-2}}", "error region-mismatch aws.region"),
		"an empty region":                    bad("{aws: {region: ''}}", "error region-mismatch aws.region"),
		"a list of regions":                  bad("{aws: {region: [us-east-1]}}", "error field-type aws.region"),

		"a role by name":                  good("{aws: {execution_role: 'My+Role=,.@_-1'}}", runtimeRole, role("", "My+Role=,.@_-1")),
		"a role by ARN with a path":       good("{aws: {execution_role: '"+arnPrefix+"a/b.c/R'}}", runtimeRole, role("a/b.c/", "R")),
		"a build role by name":            good("{codebuild: {execution_role: Builder}}", func(a Agent) any { return a.BuildRole }, role("", "Builder")),
		"a role name of 65 characters":    bad("{aws: {execution_role: "+strings.Repeat("r", 65)+"}}", "error role-invalid aws.execution_role"),
		"a role name with a path":         bad("{aws: {execution_role: a/b}}", "error role-invalid aws.execution_role"),
		"a role name with a wildcard":     bad("{aws: {execution_role: '*'}}", "error role-invalid aws.execution_role"),
		"a role ARN with a wildcard":      bad("{aws: {execution_role: '"+arnPrefix+"*'}}", "error role-invalid aws.execution_role"),
		"a role ARN with a variable":      bad("{aws: {execution_role: '"+arnPrefix+"${aws:username}'}}", "error role-invalid aws.execution_role"),
		"a role ARN without a name":       bad("{aws: {execution_role: '"+arnPrefix+"'}}", "error role-invalid aws.execution_role"),
		"a user's ARN":                    bad("{aws: {execution_role: 'arn:aws:iam::111122223333:user/x'}}", "error role-invalid aws.execution_role"),
		"an ARN of STS":                   bad("{aws: {execution_role: 'arn:aws:sts::111122223333:assumed-role/x/y'}}", "error role-invalid aws.execution_role"),
		"a role ARN with a region":        bad("{aws: {execution_role: 'arn:aws:iam:us-east-1:111122223333:role/x'}}", "error role-invalid aws.execution_role"),
		"a role ARN with a newline":       bad(`{aws: {execution_role: "`+arnPrefix+`x\n"}}`, "error role-invalid aws.execution_role"),
		"a role ARN without an account":   bad("{aws: {execution_role: 'arn:aws:iam:::role/x'}}", "error role-invalid aws.execution_role"),
		"a role with too long a path":     bad("{aws: {execution_role: '"+arnPrefix+strings.Repeat("p", 520)+"/x'}}", "error role-invalid aws.execution_role"),
		"a role of another account":       bad("{aws: {execution_role: 'arn:aws:iam::999988887777:role/x'}}", "error role-foreign aws.execution_role"),
		"a role of another partition":     bad("{aws: {execution_role: 'arn:aws-cn:iam::111122223333:role/x'}}", "error role-foreign aws.execution_role"),
		"a service-linked role":           bad("{aws: {execution_role: '"+arnPrefix+"aws-service-role/x.amazonaws.com/R'}}", "error role-service-linked aws.execution_role"),
		"a build role of another account": bad("{codebuild: {execution_role: 'arn:aws:iam::999988887777:role/x'}}", "error role-foreign codebuild.execution_role"),
		"a map as a role":                 bad("{aws: {execution_role: {a: b}}}", "error field-type aws.execution_role"),

		"a repository by name":               good("{aws: {ecr_repository: bedrock-agentcore-my_agent}}", repository, "bedrock-agentcore-my_agent"),
		"a repository by URI":                good("{aws: {ecr_repository: '"+registry+"team/app'}}", repository, "team/app"),
		"a repository with a tag":            good("{aws: {ecr_repository: '"+registry+"team/app:v1.2'}}", repository, "team/app"),
		"a repository with a digest":         good("{aws: {ecr_repository: '"+registry+"team/app"+digest+"'}}", repository, "team/app"),
		"a repository with a short digest":   bad("{aws: {ecr_repository: '"+registry+"team/app"+digest[:40]+"'}}", "error repository-invalid aws.ecr_repository"),
		"a repository with tag and digest":   good("{aws: {ecr_repository: '"+registry+"team/app:1"+digest+"'}}", repository, "team/app"),
		"a repository in another account":    bad("{aws: {ecr_repository: '999988887777.dkr.ecr.us-east-1.amazonaws.com/app'}}", "error repository-foreign aws.ecr_repository"),
		"a repository in another region":     bad("{aws: {ecr_repository: '111122223333.dkr.ecr.us-west-2.amazonaws.com/app'}}", "error repository-foreign aws.ecr_repository"),
		"a repository in another partition":  bad("{aws: {ecr_repository: '111122223333.dkr.ecr.us-east-1.amazonaws.com.cn/app'}}", "error repository-foreign aws.ecr_repository"),
		"a repository of a public registry":  bad("{aws: {ecr_repository: public.ecr.aws/x/app}}", "error repository-foreign aws.ecr_repository"),
		"a repository with shell in it":      bad("{aws: {ecr_repository: 'app;curl x|sh'}}", "error repository-invalid aws.ecr_repository"),
		"a repository with shell in its tag": bad("{aws: {ecr_repository: '"+registry+"app:$(id)'}}", "error repository-invalid aws.ecr_repository"),
		"a repository with a wildcard":       bad("{aws: {ecr_repository: '"+registry+"*'}}", "error repository-invalid aws.ecr_repository"),
		"a repository with a variable":       bad("{aws: {ecr_repository: 'a${aws:username}'}}", "error repository-invalid aws.ecr_repository"),
		"a repository in capitals":           bad("{aws: {ecr_repository: MyRepo}}", "error repository-invalid aws.ecr_repository"),
		"a repository of one letter":         bad("{aws: {ecr_repository: a}}", "error repository-invalid aws.ecr_repository"),
		"a repository of 257 letters":        bad("{aws: {ecr_repository: "+strings.Repeat("a", 257)+"}}", "error repository-invalid aws.ecr_repository"),
		"a repository with a newline":        bad(`{aws: {ecr_repository: "app\n"}}`, "error repository-invalid aws.ecr_repository"),
		"a registry without a repository":    bad("{aws: {ecr_repository: '"+registry+"'}}", "error repository-invalid aws.ecr_repository"),

		"network mode in small letters": bad("{aws: {network_configuration: {network_mode: vpc}}}", "error network-mode-unknown aws.network_configuration.network_mode"),
		"network mode null":             good("{aws: {network_configuration: {network_mode: null}}}", func(a Agent) any { return a.VPC }, false),
		"VPC with its lists": good("{aws: {network_configuration: {network_mode: VPC, network_mode_config: {subnets: [a], security_groups: [b]}}}}",
			func(a Agent) any { return a.VPC }, true),
		"protocol in small letters": good("{aws: {protocol_configuration: {server_protocol: a2a}}}", func(a Agent) any { return a.A2A }, true),
		"protocol AGUI":             good("{aws: {protocol_configuration: {server_protocol: agui}}}", func(a Agent) any { return a.A2A }, false),
		"an unknown protocol":       bad("{aws: {protocol_configuration: {server_protocol: GRPC}}}", "error protocol-unknown aws.protocol_configuration.server_protocol"),

		"a memory":                        good("{memory: {memory_id: my_mem-AbCdEf1234}}", memory, "my_mem-AbCdEf1234"),
		"a memory in mode NO_MEMORY":      good("{memory: {mode: NO_MEMORY, memory_id: my_mem-AbCdEf1234}}", memory, "my_mem-AbCdEf1234"),
		"a memory with its ARN":           good("{memory: {memory_id: my_mem-AbCdEf1234, memory_arn: '"+agentcore+"memory/my_mem-AbCdEf1234'}}", memory, "my_mem-AbCdEf1234"),
		"a memory with a wildcard":        bad("{memory: {memory_id: '*'}}", "error memory-id-invalid memory.memory_id"),
		"a memory with a newline":         bad(`{memory: {memory_id: "my_mem-AbCdEf1234\n"}}`, "error memory-id-invalid memory.memory_id"),
		"the ARN of another memory":       bad("{memory: {memory_id: my_mem-AbCdEf1234, memory_arn: '"+agentcore+"memory/your_mem-AbCdEf1234'}}", "error memory-arn-mismatch memory.memory_arn"),
		"a memory of another account":     bad("{memory: {memory_id: my_mem-AbCdEf1234, memory_arn: 'arn:aws:bedrock-agentcore:us-east-1:999988887777:memory/my_mem-AbCdEf1234'}}", "error memory-foreign memory.memory_arn"),
		"a memory ARN of another service": bad("{memory: {memory_arn: 'arn:aws:s3:us-east-1:111122223333:memory/my_mem-AbCdEf1234'}}", "error memory-arn-invalid memory.memory_arn"),
		"a memory ARN without an id":      bad("{memory: {memory_arn: '"+agentcore+"memory/my_mem-AbCdEf1234'}}", "warning memory-id-missing memory.memory_arn"),

		"a provider by name": good("{identity: {credential_providers: [{name: p, type: github}]}}", providers,
			[]CredentialProvider{{Name: "p", Kind: OAuth2Provider, ARN: agentcore + "token-vault/default/oauth2credentialprovider/p"}}),
		"an API key provider by name, and again for the model": good("{identity: {credential_providers: [{name: p, type: API_KEY, arn: ''}]}, api_key_credential_provider_name: p}", providers,
			[]CredentialProvider{{Name: "p", Kind: APIKeyProvider, ARN: agentcore + "token-vault/default/apikeycredentialprovider/p"}}),
		"a provider by ARN, whose kind counts": good("{identity: {credential_providers: [{name: p, type: cognito, arn: '"+agentcore+"token-vault/default/apikeycredentialprovider/p'}]}}", providers,
			[]CredentialProvider{{Name: "p", Kind: APIKeyProvider, ARN: agentcore + "token-vault/default/apikeycredentialprovider/p"}}),
		"a provider without a name":       bad("{identity: {credential_providers: [{type: github}]}}", "error provider-name-missing identity.credential_providers[0].name"),
		"a provider whose name is a list": bad("{identity: {credential_providers: [{name: [p]}]}}", "error field-type identity.credential_providers[0].name"),
		"a provider with a wildcard":      bad("{identity: {credential_providers: [{name: '*'}]}}", "error provider-name-invalid identity.credential_providers[0].name"),
		"a provider that is text":         bad("{identity: {credential_providers: [p]}}", "error field-type identity.credential_providers[0]"),
		"providers that are a map":        bad("{identity: {credential_providers: {name: p}}}", "error field-type identity.credential_providers"),
		"a provider of another vault":     bad("{identity: {credential_providers: [{name: p, arn: '"+agentcore+"token-vault/mine/oauth2credentialprovider/p'}]}}", "error provider-arn-invalid identity.credential_providers[0].arn"),
		"a provider ARN with a wildcard":  bad("{identity: {credential_providers: [{name: p, arn: '"+agentcore+"token-vault/default/oauth2credentialprovider/*'}]}}", "error provider-arn-invalid identity.credential_providers[0].arn"),
		"a provider ARN of another name":  bad("{identity: {credential_providers: [{name: p, arn: '"+agentcore+"token-vault/default/oauth2credentialprovider/q'}]}}", "error provider-name-mismatch identity.credential_providers[0].arn"),
		"a provider of another region":    bad("{identity: {credential_providers: [{name: p, arn: 'arn:aws:bedrock-agentcore:us-east-2:111122223333:token-vault/default/oauth2credentialprovider/p'}]}}", "error provider-foreign identity.credential_providers[0].arn"),
		"21 providers":                    bad("{identity: {credential_providers: ["+strings.Repeat("{name: p}, ", 21)+"]}}", "error list-too-long identity.credential_providers"),
		"an API key provider with a path": bad("{api_key_credential_provider_name: a/b}", "error provider-name-invalid api_key_credential_provider_name"),

		"JWT with its defaults": good("{aws_jwt: {enabled: true, audiences: [b, a, b]}}", jwt,
			&JWT{Audiences: []string{"b", "a"}, SigningAlgorithm: "ES384", DurationSeconds: 300}),
		"JWT enabled in the words of YAML 1.1": good("{aws_jwt: {enabled: yes, audiences: [a], signing_algorithm: RS256, duration_seconds: 3600}}", jwt,
			&JWT{Audiences: []string{"a"}, SigningAlgorithm: "RS256", DurationSeconds: 3600}),
		"JWT not enabled, whatever it holds":   good("{aws_jwt: {enabled: false, audiences: ['*'], duration_seconds: 1}}", jwt, (*JWT)(nil)),
		"JWT without audiences":                bad("{aws_jwt: {enabled: true}}", "warning jwt-no-audiences aws_jwt.audiences"),
		"JWT enabled by text":                  bad("{aws_jwt: {enabled: 'true'}}", "error field-type aws_jwt.enabled"),
		"an audience with a wildcard":          bad("{aws_jwt: {enabled: true, audiences: [a, 'https://*']}}", "error jwt-audience-invalid aws_jwt.audiences[1]"),
		"an audience with a variable":          bad("{aws_jwt: {enabled: true, audiences: ['${aws:username}']}}", "error jwt-audience-invalid aws_jwt.audiences[0]"),
		"an audience with a control character": bad(`{aws_jwt: {enabled: true, audiences: ["a\tb"]}}`, "error jwt-audience-invalid aws_jwt.audiences[0]"),
		"an audience no policy can hold":       bad(`{aws_jwt: {enabled: true, audiences: ["\u0430"]}}`, "error jwt-audience-invalid aws_jwt.audiences[0]"),
		"an empty audience":                    bad("{aws_jwt: {enabled: true, audiences: ['']}}", "error jwt-audience-invalid aws_jwt.audiences[0]"),
		"an audience that is null":             bad("{aws_jwt: {enabled: true, audiences: [~]}}", "error field-type aws_jwt.audiences[0]"),
		"an audience of 1001 characters":       bad("{aws_jwt: {enabled: true, audiences: ["+strings.Repeat("a", 1001)+"]}}", "error jwt-audience-invalid aws_jwt.audiences[0]"),
		"11 audiences":                         bad("{aws_jwt: {enabled: true, audiences: [a,b,c,d,e,f,g,h,i,j,k]}}", "error list-too-long aws_jwt.audiences"),
		"an unknown algorithm":                 bad("{aws_jwt: {enabled: true, audiences: [a], signing_algorithm: none}}", "error jwt-algorithm-unknown aws_jwt.signing_algorithm"),
		"tokens of 59 seconds":                 bad("{aws_jwt: {enabled: true, audiences: [a], duration_seconds: 59}}", "error jwt-duration-invalid aws_jwt.duration_seconds"),
		"tokens of 3601 seconds":               bad("{aws_jwt: {enabled: true, audiences: [a], duration_seconds: 3601}}", "error jwt-duration-invalid aws_jwt.duration_seconds"),
		"a duration in hexadecimal":            bad("{aws_jwt: {enabled: true, audiences: [a], duration_seconds: 0x12C}}", "error jwt-duration-invalid aws_jwt.duration_seconds"),
		"a duration as text":                   bad("{aws_jwt: {enabled: true, audiences: [a], duration_seconds: '300'}}", "error field-type aws_jwt.duration_seconds"),

		"all capabilities": good("{permissions: {models: ["+claude+"], code_interpreter: true, browser: yes, identity_tokens: true, base_images: [team/base]}}",
			func(a Agent) any { return a.Permissions },
			Permissions{Models: []Model{{FoundationModel: claude}}, CodeInterpreter: true, Browser: true, IdentityTokens: true, BaseImages: []string{"team/base"}}),
		"an empty block":                   good("{permissions: null}", func(a Agent) any { return a.Permissions }, Permissions{}),
		"permissions that are a list":      bad("{permissions: [browser]}", "error field-type permissions"),
		"an unknown capability":            bad("{permissions: {iam: ['*']}}", "error permission-unknown permissions.iam"),
		"a number as capability":           bad("{permissions: {7: true}}", "error permission-unknown permissions.7"),
		"an IAM statement":                 bad("{permissions: {Statement: [{Effect: Allow, Action: '*', Resource: '*'}]}}", "error permission-unknown permissions.Statement"),
		"an unknown capability by a merge": bad("{permissions: {<<: {admin: true}, browser: true}}", "error permission-unknown permissions.admin"),
		"a capability as text":             bad("{permissions: {browser: 'yes'}}", "error field-type permissions.browser"),
		"a model without a list":           bad("{permissions: {models: "+claude+"}}", "error field-type permissions.models"),

		"a profile of a geography": good("{permissions: {models: [us."+claude+", us-gov."+claude+", global."+claude+"]}}", models,
			[]Model{{claude, "us." + claude}, {claude, "us-gov." + claude}, {claude, "global." + claude}}),
		"a model twice, by id and ARN":  good("{permissions: {models: ["+claude+", 'arn:aws:bedrock:us-east-1::foundation-model/"+claude+"']}}", models, []Model{{FoundationModel: claude}}),
		"a model ARN of another region": bad("{permissions: {models: ['arn:aws:bedrock:us-west-2::foundation-model/"+claude+"']}}", "error model-foreign permissions.models[0]"),
		"a profile by ARN":              good("{permissions: {models: ['arn:aws:bedrock:us-east-1:111122223333:inference-profile/eu."+claude+"']}}", models, []Model{{claude, "eu." + claude}}),
		"a model with a version in its name": good("{permissions: {models: [zai.glm-4.7, deepseek.v3.2, openai.gpt-oss-120b-1:0, 'anthropic.claude-3-sonnet-20240229-v1:0:200k']}}", models,
			[]Model{{FoundationModel: "zai.glm-4.7"}, {FoundationModel: "deepseek.v3.2"}, {FoundationModel: "openai.gpt-oss-120b-1:0"}, {FoundationModel: "anthropic.claude-3-sonnet-20240229-v1:0:200k"}}),
		"a model with a wildcard":        bad("{permissions: {models: [anthropic.*]}}", "error model-invalid permissions.models[0]"),
		"any model":                      bad("{permissions: {models: ["+claude+", '*']}}", "error model-invalid permissions.models[1]"),
		"a model ARN with a wildcard":    bad("{permissions: {models: ['arn:aws:bedrock:us-east-1::foundation-model/*']}}", "error model-invalid permissions.models[0]"),
		"a model ARN of any region":      bad("{permissions: {models: ['arn:aws:bedrock:*::foundation-model/"+claude+"']}}", "error model-invalid permissions.models[0]"),
		"an unknown geography":           bad("{permissions: {models: [zz."+claude+"]}}", "error model-invalid permissions.models[0]"),
		"a geography without a provider": bad("{permissions: {models: [us.claude]}}", "error model-invalid permissions.models[0]"),
		"a profile id in a model's ARN":  bad("{permissions: {models: ['arn:aws:bedrock:us-east-1::foundation-model/us."+claude+"']}}", "error model-invalid permissions.models[0]"),
		"a model id in a profile's ARN":  bad("{permissions: {models: ['arn:aws:bedrock:us-east-1:111122223333:inference-profile/"+claude+"']}}", "error model-invalid permissions.models[0]"),
		"a model of an account":          bad("{permissions: {models: ['arn:aws:bedrock:us-east-1:999988887777:foundation-model/"+claude+"']}}", "error model-foreign permissions.models[0]"),
		"a model of another partition":   bad("{permissions: {models: ['arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/"+claude+"']}}", "error model-foreign permissions.models[0]"),
		"a profile of another account":   bad("{permissions: {models: ['arn:aws:bedrock:us-east-1:999988887777:inference-profile/us."+claude+"']}}", "error model-foreign permissions.models[0]"),
		"a profile of another region":    bad("{permissions: {models: ['arn:aws:bedrock:us-west-2:111122223333:inference-profile/us."+claude+"']}}", "error model-foreign permissions.models[0]"),
		"an application's profile":       bad("{permissions: {models: ['arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc123']}}", "error model-profile-unsupported permissions.models[0]"),
		"a model with a newline":         bad(`{permissions: {models: ["`+claude+`\n"]}}`, "error model-invalid permissions.models[0]"),
		"an ARN of another service":      bad("{permissions: {models: ['arn:aws:s3:us-east-1::foundation-model/"+claude+"']}}", "error model-invalid permissions.models[0]"),
		"21 models":                      bad("{permissions: {models: ["+strings.Repeat(claude+", ", 21)+"]}}", "error list-too-long permissions.models"),

		"base images by name and URI, once": good("{permissions: {base_images: [team/base, '"+registry+"team/base:1', other]}}", images, []string{"team/base", "other"}),
		"a base image of another account":   bad("{permissions: {base_images: ['999988887777.dkr.ecr.us-east-1.amazonaws.com/base']}}", "error repository-foreign permissions.base_images[0]"),
		"any base image":                    bad("{permissions: {base_images: ['*']}}", "error repository-invalid permissions.base_images[0]"),
		"an empty base image":               bad("{permissions: {base_images: ['']}}", "error repository-invalid permissions.base_images[0]"),
		"11 base images":                    bad("{permissions: {base_images: ["+strings.Repeat("base, ", 11)+"]}}", "error list-too-long permissions.base_images"),
	} {
		t.Run(name, func(t *testing.T) {
			text := "fields: &fields " + tt.yaml + "\nagents: {a: {<<: [*fields, {name: a, aws: {}}]}}\n"
			cfg, problems := Parse([]byte(text), in("us-east-1"))
			if diff := cmp.Diff(tt.want, codes(problems)); diff != "" {
				t.Fatalf("problems (-want +got):\n%s", diff)
			}
			if tt.got == nil {
				return
			}
			if diff := cmp.Diff(tt.is, tt.got(cfg.Agents[0])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherPartitionsHaveTheirOwnARNs(t *testing.T) {
	china := Place{Partition: "aws-cn", Region: "cn-north-1", Account: testAccount}
	cfg, problems := Parse([]byte(`agents:
  a:
    name: a
    aws:
      execution_role: R
      ecr_repository: 111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/app
    identity: {credential_providers: [{name: p}]}
`), china)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", seen(problems))
	}
	want := []Agent{{
		Name: "a", Deployment: Container, Repository: "app",
		RuntimeRole: RoleRef{ARN: "arn:aws-cn:iam::111122223333:role/R", Name: "R"},
		Providers: []CredentialProvider{{
			Name: "p", Kind: OAuth2Provider,
			ARN: "arn:aws-cn:bedrock-agentcore:cn-north-1:111122223333:token-vault/default/oauth2credentialprovider/p",
		}},
	}}
	if diff := cmp.Diff(want, cfg.Agents, ignorePlaces); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLaterProblemsFindTheirPlace(t *testing.T) {
	cfg, problems := Parse([]byte(`agents:
  a:
    name: a
    aws:
      execution_role: R
    permissions:
      models:
        - anthropic.claude-v2
        - amazon.titan-v1
`), in("us-east-1"))
	if len(problems) > 0 {
		t.Fatal(seen(problems))
	}
	for field, want := range map[string]place{
		"":                      {2, 3},
		"name":                  {3, 11},
		"aws":                   {4, 5},
		"aws.execution_role":    {5, 23},
		"aws.ecr_repository":    {4, 5},
		"permissions.models":    {7, 7},
		"permissions.models[1]": {9, 11},
		"permissions.models[7]": {7, 7},
		"memory.memory_id":      {2, 3},
	} {
		p := cfg.Agents[0].Problem("some-code", field, "m", "f")
		if got := (place{p.Line, p.Column}); got != want {
			t.Errorf("%q is at %v, want %v", field, got, want)
		}
	}
}
