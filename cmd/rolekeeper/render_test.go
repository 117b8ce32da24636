package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/report"
	"rolekeeper/shared/settings"
)

const (
	// warned is good, but a VPC without subnets cannot be deployed.
	warned = `agents:
  solo:
    name: solo
    entrypoint: app.py
    aws:
      account: '111122223333'
      region: eu-west-1
      network_configuration: {network_mode: VPC}
`
	// siblings is well-formed: only the roles show that nobody keeps the first agent's.
	siblings = `agents:
  one:
    name: one
    entrypoint: app.py
    aws: {account: '111122223333', region: eu-west-1, execution_role: 'arn:aws:iam::111122223333:role/Mine'}
  two:
    name: two
    entrypoint: app.py
    aws: {account: '111122223333', region: eu-west-1, execution_role: 'arn:aws:iam::111122223333:role/AmazonBedrockAgentCoreSDKRuntime-eu-west-1-7692c3ad35'}
`
)

func TestRender(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"multi-agent.txt":  {[]string{sample + "multi-agent.yaml"}, 0},
		"multi-agent.json": {[]string{sample + "multi-agent.yaml", "-o", "json"}, 0},
		"toolkit.txt":      {[]string{sample + "direct-code-deploy.yaml", "--profile=toolkit", "--key=team/agent.yaml"}, 0},
		"gov.txt":          {[]string{"testdata/gov.yaml", "--account=111122223333", "--region=us-gov-west-1", "--settings=testdata/settings.yaml"}, 0},
		"allowed.txt":      {[]string{"testdata/asking.yaml", "--settings=testdata/stack.json", "--key=red/asking.yaml"}, 0},
		"refused.txt":      {[]string{"testdata/asking.yaml", "--settings=testdata/strict.yaml"}, 3},
		"faulty.txt":       {[]string{"testdata/faulty.yaml", "--account=111122223333"}, 3},
		"faulty.json":      {[]string{"testdata/faulty.yaml", "--account=111122223333", "-o=json"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			got := tool{}.run(t, append([]string{"render"}, c.args...)...)
			if got.code != c.code || got.stderr != "" {
				t.Fatalf("exit code %d, want %d\n%s", got.code, c.code, got.stderr)
			}
			golden(t, name, got.stdout)
		})
	}
}

// answered runs render and reads its JSON.
func answered(t *testing.T, c tool, args ...string) (answerView, outcome) {
	t.Helper()
	got := c.run(t, append([]string{"render", "-o=json"}, args...)...)
	var v answerView
	d := json.NewDecoder(strings.NewReader(got.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s%s", err, got.stdout, got.stderr)
	}
	return v, got
}

func TestTheJSONFollowsItsSchemaAndEveryProblemHasItsPlace(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/render.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(sample + "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wild, err := filepath.Glob(sample + "wild/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, wild...)
	if len(files) < 14 {
		t.Fatalf("%d samples", len(files))
	}
	configs := map[string]string{
		"good with a warning": warned, "siblings": siblings, "no YAML": "agents: [", "empty": "", "a list": "- a", "no agents": "agents: {}",
		"two documents": "a: 1\n---\nb: 2", "not UTF-8": "agents: \xff", "too large": strings.Repeat("#", 300<<10), "a key twice": "agents: {}\nagents: {}",
	}
	for _, f := range append(files, "testdata/faulty.yaml", "testdata/gov.yaml") {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		configs[filepath.Base(f)] = string(data)
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			for _, region := range []string{"us-east-1", "eu-west-1"} {
				v, got := answered(t, tool{stdin: config}, "-", "--account=111122223333", "--region="+region)
				instance, err := jsonschema.UnmarshalJSON(strings.NewReader(got.stdout))
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(instance); err != nil {
					t.Errorf("%v\n%s", err, got.stdout)
				}
				if (got.code == exitProblems) != (len(v.Agents) == 0) {
					t.Errorf("exit code %d with %d agents", got.code, len(v.Agents))
				}
				text := tool{stdin: config}.run(t, "render", "-", "--account=111122223333", "--region="+region)
				told := regexp.MustCompile(`(?m)^stdin:[1-9][0-9]*:[1-9][0-9]*: (error|warning): .+; .+ \[[a-z0-9-]+\]$`).FindAllString(text.stdout, -1)
				if len(told) != len(v.Problems) || text.code != got.code {
					t.Errorf("%d problems in the text, %d in the JSON; exit codes %d, %d\n%s", len(told), len(v.Problems), text.code, got.code, text.stdout)
				}
			}
		})
	}
}

func TestRolesOfSiblingsAndStrangers(t *testing.T) {
	v, _ := answered(t, tool{}, sample+"multi-agent.yaml")
	agents := map[string]agentView{}
	for _, a := range v.Agents {
		agents[a.Name] = a
	}
	supervisor, flight, hotel := agents["travel_supervisor"], agents["flight_search"], agents["hotel_search"]
	if diff := cmp.Diff(supervisor.RuntimeRole, flight.RuntimeRole); flight.RuntimeRole == nil || diff != "" {
		t.Errorf("flight_search does not show the role it shares\n%s", diff)
	}
	const stranger = "arn:aws:iam::111122223333:role/platform/agents/"
	if hotel.RuntimeRole != nil || hotel.BuildRole != nil || hotel.ExternalRole == nil || *hotel.ExternalRole != stranger+"TravelSharedAgentRole" {
		t.Errorf("hotel_search: %+v", hotel)
	}
	for agent, want := range map[string]string{"flight_search": "travel_supervisor", "hotel_search": stranger + "SharedArmBuilder"} {
		if !strings.Contains(strings.Join(agents[agent].Notes, "\n"), want) {
			t.Errorf("the notes of %s do not name %s: %q", agent, want, agents[agent].Notes)
		}
	}
}

func TestASharedBuildRoleIsShown(t *testing.T) {
	const config = `agents:
  one: {name: one, entrypoint: a.py, aws: {account: '111122223333', region: eu-west-1}}
  two:
    name: two
    entrypoint: b.py
    aws: {account: '111122223333', region: eu-west-1}
    codebuild: {execution_role: 'arn:aws:iam::111122223333:role/AmazonBedrockAgentCoreSDKCodeBuild-eu-west-1-7692c3ad35'}
`
	v, _ := answered(t, tool{stdin: config}, "-")
	if diff := cmp.Diff(v.Agents[0].BuildRole, v.Agents[1].BuildRole); diff != "" || v.Agents[1].BuildRole == nil {
		t.Errorf("two does not show the build role of one\n%s", diff)
	}
}

func TestTheRepositoryAndTheProjectOfAnAgent(t *testing.T) {
	const own = "arn:aws:iam::111122223333:role/AmazonBedrockAgentCoreSDKCodeBuild-eu-west-1-7692c3ad35"
	config := func(of string) string {
		return "agents:\n  one: {name: one, entrypoint: a.py, aws: {account: '111122223333', region: eu-west-1}}\n" +
			"  two: {name: two, entrypoint: b.py, " + of + "}\n"
	}
	for name, c := range map[string]struct {
		two        string // agent two, beside agent one
		repository string // its repository's name
		named      bool
		role       string // that its project builds with; empty when it has none
	}{
		"of its own": {
			"aws: {account: '111122223333', region: eu-west-1}", "bedrock-agentcore-two", false,
			"arn:aws:iam::111122223333:role/" + naming.BuildRole("eu-west-1", "two"),
		},
		"a repository of the config's": {
			"aws: {account: '111122223333', region: eu-west-1, ecr_repository: bedrock-agentcore-shared}", "bedrock-agentcore-shared", true,
			"arn:aws:iam::111122223333:role/" + naming.BuildRole("eu-west-1", "two"),
		},
		"a build role of its sibling's": {
			"aws: {account: '111122223333', region: eu-west-1}, codebuild: {execution_role: '" + own + "'}", "bedrock-agentcore-two", false, own,
		},
		"a build role of somebody else's": {
			"aws: {account: '111122223333', region: eu-west-1}, codebuild: {execution_role: 'arn:aws:iam::111122223333:role/Mine'}", "bedrock-agentcore-two", false, "",
		},
		"deployed as code": {"deployment_type: direct_code_deploy, aws: {account: '111122223333', region: eu-west-1}", "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, got := answered(t, tool{stdin: config(c.two)}, "-")
			if got.code != exitGood {
				t.Fatalf("exit code %d\n%s", got.code, got.stdout)
			}
			two := v.Agents[1]
			if r := two.Repository; (r != nil) != (c.repository != "") || r != nil && (r.Name != c.repository || r.Named != c.named || r.ScanOnPush == c.named) {
				t.Errorf("repository %+v", r)
			}
			if p := two.Project; (p != nil) != (c.role != "") || p != nil && p.ServiceRole != c.role {
				t.Errorf("project %+v", p)
			}
			text := tool{stdin: config(c.two)}.run(t, "render", "-").stdout
			_, text, _ = strings.Cut(text, "agent two\n")
			if strings.Contains(text, "  repository ") != (c.repository != "") || strings.Contains(text, "  project ") != (c.role != "") {
				t.Errorf("the text tells otherwise:\n%s", text)
			}
		})
	}
}

// The text has all of a project but its buildspec.
func TestTheTextOfAProjectLeavesOutOnlyTheBuildspec(t *testing.T) {
	v, got := answered(t, tool{stdin: warned}, "-")
	text := tool{stdin: warned}.run(t, "render", "-").stdout
	p := v.Agents[0].Project
	if strings.Contains(text, "phases") || !strings.Contains(p.Buildspec, "phases") {
		t.Errorf("the text has the buildspec:\n%s", text)
	}
	whole := strings.NewReader(got.stdout)
	var raw struct {
		Agents []struct{ Project, Repository map[string]any }
	}
	if err := json.NewDecoder(whole).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	delete(raw.Agents[0].Project, "buildspec")
	delete(raw.Agents[0].Project, "sourceType") // that of s3://
	delete(raw.Agents[0].Repository, "arn")     // the URI says the same
	for _, part := range []map[string]any{raw.Agents[0].Project, raw.Agents[0].Repository} {
		for _, value := range leaves(part) {
			if !strings.Contains(text, value) {
				t.Errorf("%q is not in the text:\n%s", value, text)
			}
		}
	}
}

func TestEverySettingOfAProjectShowsInItsDifferences(t *testing.T) {
	var zero model.ProjectSettings
	if lines := report.TextDiff(report.SettingsText(zero), report.SettingsText(zero)); len(lines) > 0 {
		t.Errorf("no difference is shown as %q", lines)
	}
	for i := range reflect.TypeFor[model.ProjectSettings]().NumField() {
		var s model.ProjectSettings
		field := reflect.ValueOf(&s).Elem().Field(i)
		name := reflect.TypeFor[model.ProjectSettings]().Field(i).Name
		switch field.Kind() {
		case reflect.String:
			field.SetString("changed")
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Int32:
			field.SetInt(7)
		case reflect.Map:
			field.Set(reflect.ValueOf(map[string]string{"changed": "value"}))
		default:
			t.Fatalf("%s is a %s", name, field.Kind())
		}
		if lines := report.TextDiff(report.SettingsText(zero), report.SettingsText(s)); len(lines) == 0 {
			t.Errorf("%s does not show", name)
		}
	}
}

func TestWhatOnlyTheRolesShowIsToldOfAFaultyFileToo(t *testing.T) {
	v, got := answered(t, tool{stdin: siblings + "  three: {name: 3, entrypoint: app.py, aws: {}}\n"}, "-")
	var places []int
	agents := map[string]bool{}
	for _, p := range v.Problems {
		places = append(places, p.Line)
		agents[p.Agent] = true
	}
	if got.code != exitProblems || !agents["two"] || !agents["3"] || !slices.IsSorted(places) {
		t.Errorf("exit code %d, problems %+v", got.code, v.Problems)
	}
}

func TestDocumentsSurviveTheJSON(t *testing.T) {
	v, _ := answered(t, tool{}, "testdata/gov.yaml", "--account=111122223333", "--region=us-gov-west-1")
	for _, r := range []*roleView{v.Agents[0].RuntimeRole, v.Agents[0].BuildRole} {
		for name, raw := range r.Policies {
			d, err := policy.Parse(string(raw))
			if err != nil || len(d.Statements) == 0 || len(d.Unknown) > 0 {
				t.Errorf("%s: %d statements, %v", name, len(d.Statements), err)
			}
		}
		if !policy.Trusts(string(r.Trust), "bedrock-agentcore.amazonaws.com", "111122223333") && !policy.Trusts(string(r.Trust), "codebuild.amazonaws.com", "111122223333") {
			t.Errorf("%s trusts nobody: %s", r.Name, r.Trust)
		}
	}
}

func TestThePlaceIsThatOfFlagFileOrEnvironment(t *testing.T) {
	const placeless = "agents: {solo: {name: solo, entrypoint: a, aws: {network_configuration: {network_mode: PUBLIC}}}}"
	env := map[string]string{"AWS_REGION": "us-gov-east-1", "AWS_DEFAULT_REGION": "ap-south-1"}
	for name, c := range map[string]struct {
		config string
		env    map[string]string
		args   []string
		want   string // beginning of the role's ARN and its name's region, or an exit code
		code   int
	}{
		"the file's":                           {warned, env, nil, "arn:aws:iam::111122223333: eu-west-1", 0},
		"the environment's for a file without": {placeless, env, []string{"--account=111122223333"}, "arn:aws-us-gov:iam::111122223333: us-gov-east-1", 0},
		"the other variable's": {
			placeless, map[string]string{"AWS_DEFAULT_REGION": "cn-north-1"}, []string{"--account=111122223333"}, "arn:aws-cn:iam::111122223333: cn-north-1", 0,
		},
		"the flag's for a file without":  {placeless, env, []string{"--account=111122223333", "--region=eu-west-3"}, "arn:aws:iam::111122223333: eu-west-3", 0},
		"flags that the file is not for": {warned, env, []string{"--region=us-east-2"}, "region-mismatch", 3},
		"agents that disagree": {
			"agents: {a: {name: a, aws: {region: eu-west-1}}, b: {name: b, aws: {region: eu-west-2}}}", nil, []string{"--account=111122223333"}, "region-mismatch", 3,
		},
		"agents that disagree, decided by a flag": {
			"agents: {a: {name: a, aws: {region: eu-west-1}}, b: {name: b, aws: {region: eu-west-2}}}", nil, []string{"--account=111122223333", "--region=eu-west-2"}, "region-mismatch", 3,
		},
		"nowhere":                     {placeless, nil, nil, "--account; the file names no region: pass --region", 1},
		"nowhere, with a wrong flag":  {placeless, nil, []string{"--account=1"}, "12 digits", 1},
		"no account, with a sibling":  {"agents: {a: {name: a, aws: {region: eu-west-1}}, b: {name: b}}", nil, nil, "agent-aws-missing", 3},
		"no account, foreign or not":  {"agents: {a: {name: a, aws: {region: eu-west-1, execution_role: 'arn:aws:iam::111122223333:role/r'}}}", nil, nil, "--account", 1},
		"no account and many of them": {manyForeign(), nil, nil, "--account", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got := tool{stdin: c.config, env: c.env}.run(t, append([]string{"render", "-o=json", "-"}, c.args...)...)
			if got.code != c.code {
				t.Fatalf("exit code %d, want %d\n%s%s", got.code, c.code, got.stdout, got.stderr)
			}
			if c.code != exitGood {
				if !strings.Contains(got.stdout+got.stderr, c.want) {
					t.Errorf("%q is not in\n%s%s", c.want, got.stdout, got.stderr)
				}
				return
			}
			var v answerView
			if err := json.Unmarshal([]byte(got.stdout), &v); err != nil {
				t.Fatal(err)
			}
			r := v.Agents[0].RuntimeRole
			arn, region, _ := strings.Cut(c.want, " ")
			if !strings.HasPrefix(r.ARN, arn) || r.Name != naming.RuntimeRole(region, "solo") {
				t.Errorf("the role is %s, want one of %s in %s", r.ARN, arn, region)
			}
		})
	}
}

// manyForeign is good in one place, and has more foreign roles than problems are shown.
func manyForeign() string {
	var b strings.Builder
	b.WriteString("agents:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  a%d: {name: a%[1]d, aws: {ecr_repository: 111122223333.dkr.ecr.us-east-1.amazonaws.com/a%[1]d,"+
			" execution_role: 'arn:aws:iam::111122223333:role/r'}, codebuild: {execution_role: 'arn:aws:iam::111122223333:role/b'}}\n", i)
	}
	return b.String()
}

func TestFaultsAreToldWithoutAPlace(t *testing.T) {
	for file, want := range map[string][]string{
		"09.yaml": {"role-invalid", "account-invalid"},
		"10.yaml": {"agent-aws-missing", "agent-name-invalid"},
	} {
		t.Run(file, func(t *testing.T) {
			v, got := answered(t, tool{}, sample+"wild/"+file)
			var codes []string
			for _, p := range v.Problems {
				codes = append(codes, p.Code)
			}
			slices.Sort(codes)
			slices.Sort(want)
			if diff := cmp.Diff(want, codes); diff != "" || got.code != exitProblems {
				t.Errorf("exit code %d; problems (-want +got)\n%s", got.code, diff)
			}
		})
	}
}

// Every problem that a config of one place has only elsewhere is known as such.
func TestTheProblemsThatDependOnThePlace(t *testing.T) {
	const config = `agents:
  a:
    name: a
    entrypoint: a.py
    api_key_credential_provider_name: key
    aws:
      account: '111122223333'
      region: us-east-1
      execution_role: arn:aws:iam::111122223333:role/r
      ecr_repository: 111122223333.dkr.ecr.us-east-1.amazonaws.com/app
    codebuild: {execution_role: 'arn:aws:iam::111122223333:role/b'}
    memory: {memory_id: mem-AbCdEf1234, memory_arn: 'arn:aws:bedrock-agentcore:us-east-1:111122223333:memory/mem-AbCdEf1234'}
    identity:
      credential_providers:
        - {name: p, arn: 'arn:aws:bedrock-agentcore:us-east-1:111122223333:token-vault/default/oauth2credentialprovider/p'}
    permissions:
      models:
        - arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0
        - arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.amazon.nova-lite-v1:0
      base_images: [111122223333.dkr.ecr.us-east-1.amazonaws.com/base]
`
	if _, problems := agent.Parse([]byte(config), agent.Place{Partition: "aws", Account: "111122223333", Region: "us-east-1"}); len(problems) > 0 {
		t.Fatal(problems)
	}
	told := map[string]bool{}
	for _, elsewhere := range []agent.Place{
		{Partition: "aws", Account: anyAccount, Region: anyRegion},
		{Partition: "aws", Account: "111122223333", Region: anyRegion},
		{Partition: "aws-cn", Account: "444455556666", Region: "cn-north-1"},
	} {
		_, problems := agent.Parse([]byte(config), elsewhere)
		for _, p := range problems {
			told[p.Code] = true
			if !dependsOnPlace(p) {
				t.Errorf("in %v: %s", elsewhere, p)
			}
		}
	}
	want := map[string]bool{
		"account-mismatch": true, "region-mismatch": true, "role-foreign": true, "repository-foreign": true,
		"memory-foreign": true, "provider-foreign": true, "model-foreign": true,
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSettingsAndFlagsShapeTheRoles(t *testing.T) {
	type shape struct {
		Boundary, Config, Source, Profile, Image string
		Days                                     int32
	}
	const image = "aws/codebuild/amazonlinux-aarch64-standard:4.0" // the template's default, as 30 days are
	stacks := "arn:aws:iam::111122223333:policy/RolekeeperAgentBoundary-eu-west-1"
	for name, c := range map[string]struct {
		settings string
		args     []string
		want     shape
	}{
		"a file of JSON": {
			`{"PermissionProfile": "toolkit", "PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/B", "SourceBucketName": "sources"}`, nil,
			shape{"arn:aws:iam::111122223333:policy/B", "configs/stdin", "sources", "toolkit", image, 30},
		},
		"what is empty has its default": {
			"PermissionsBoundaryArn: ''\nSourceBucketName:\nPermissionProfile: ~\nMaximumConcurrency: 7", nil,
			shape{stacks, "configs/stdin", "bedrock-agentcore-codebuild-sources-111122223333-eu-west-1", "scoped", image, 30},
		},
		"what builds run in, and how long their logs are kept": {
			"BuildImage: aws/codebuild/amazonlinux2-aarch64-standard:3.0\nLogRetentionDays: 90", nil,
			shape{stacks, "configs/stdin", "bedrock-agentcore-codebuild-sources-111122223333-eu-west-1", "scoped", "aws/codebuild/amazonlinux2-aarch64-standard:3.0", 90},
		},
		"flags win": {
			"PermissionProfile: toolkit\nPermissionsBoundaryArn: arn:aws:iam::111122223333:policy/B",
			[]string{"--profile=scoped", "--boundary=arn:aws:iam::111122223333:policy/C", "--key=configs/team/x.yaml"},
			shape{"arn:aws:iam::111122223333:policy/C", "configs/team/x.yaml", "bedrock-agentcore-codebuild-sources-111122223333-eu-west-1", "scoped", image, 30},
		},
		"an empty file": {"", []string{"--key=x.yaml"}, shape{stacks, "configs/x.yaml", "bedrock-agentcore-codebuild-sources-111122223333-eu-west-1", "scoped", image, 30}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "settings")
			if err := os.WriteFile(file, []byte(c.settings), 0o600); err != nil {
				t.Fatal(err)
			}
			v, _ := answered(t, tool{stdin: warned}, append([]string{"-", "--settings=" + file}, c.args...)...)
			r, b := v.Agents[0].RuntimeRole, v.Agents[0].BuildRole
			p := v.Agents[0].Project
			got := shape{r.PermissionsBoundary, r.Tags["rolekeeper:config"], "", "scoped", p.Image, p.LogRetentionDays}
			if m := regexp.MustCompile(`arn:aws:s3:::([a-z0-9-]+)`).FindSubmatch(b.Policies[naming.BuildPolicy]); m != nil {
				got.Source = string(m[1])
			}
			if bytes.Contains(r.Policies[naming.RuntimePolicy("solo")], []byte("GetWorkloadAccessTokenForUserId")) {
				got.Profile = "toolkit"
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFaultsOfASettingsFileTakeOneLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(file, []byte("PermissionProfle: scoped\nPermissionProfile: all\nAllowedModels: [A, b]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := tool{stdin: warned}.run(t, "render", "-", "--settings="+file)
	if got.code != exitError || got.stdout != "" {
		t.Errorf("exit code %d\n%s", got.code, got.stdout)
	}
	for _, want := range []string{file, "line 1: ", `"PermissionProfle"`, "line 2: PermissionProfile: ", `line 3: AllowedModels: "A"`} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("%s is not in %s", want, got.stderr)
		}
	}
	if got := (tool{stdin: warned}).run(t, "render", "-", "--settings="+file+"s"); got.code != exitError || !strings.Contains(got.stderr, "read settings") {
		t.Errorf("a file that is not there: %d %s", got.code, got.stderr)
	}
}

// What people copy out of Systems Manager is taken as it is.
func TestTheValueOfTheStacksParameterIsASettingsFile(t *testing.T) {
	const value = `{"PermissionProfile":"scoped","PermissionsBoundaryArn":"arn:aws:iam::111122223333:policy/RolekeeperAgentBoundary-eu-west-1",` +
		`"SourceBucketName":"bedrock-agentcore-codebuild-sources-111122223333-eu-west-1","EnsureServiceLinkedRoles":"true","ExistingRoles":"report","TeamTag":"",` +
		`"AllowedModels":["*"],"AllowedRepositories":["bedrock-agentcore-*"],"AllowedMemories":[""],"AllowedCredentialProviders":[""],"AllowedAudiences":[""],"OperatorPrincipalArns":[""]}`
	without, _ := answered(t, tool{stdin: warned}, "-")
	for form, text := range map[string]string{"as it is": value, "as --output text ends it": value + "\n"} {
		file := filepath.Join(t.TempDir(), "settings")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		with, got := answered(t, tool{stdin: warned}, "-", "--settings="+file)
		if diff := cmp.Diff(without, with); diff != "" || got.code != exitGood {
			t.Errorf("%s: exit code %d; the defaults give other roles (-without +with)\n%s", form, got.code, diff)
		}
	}
}

// beyond asks for something of every allow list that the stack's defaults do not have.
const beyond = `agents:
  solo:
    name: solo
    entrypoint: app.py
    aws: {account: '111122223333', region: eu-west-1, ecr_repository: team/app}
    memory: {memory_id: shared-AbCdEf1234}
    api_key_credential_provider_name: openai
    aws_jwt: {enabled: true, audiences: [a]}
    permissions: {models: [a.b]}
`

func TestListsOfTheFileAreProblemsAndOthersAreNotes(t *testing.T) {
	all := []string{"AllowedRepositories", "AllowedMemories", "AllowedCredentialProviders", "AllowedAudiences"}
	for name, c := range map[string]struct {
		settings        string
		problems, notes []string // parameters that they name
	}{
		"no file":              {"", nil, all},
		"a file without lists": {"TeamTag: ''", nil, all},
		"a list that is null":  {"AllowedMemories:", nil, all},
		"an empty list":        {"AllowedModels: ''", []string{"AllowedModels"}, nil},
		"one list":             {"AllowedMemories: other-*", []string{"AllowedMemories"}, nil},
		"a list that allows":   {"AllowedMemories: shared-*", nil, []string{"AllowedRepositories", "AllowedCredentialProviders", "AllowedAudiences"}},
		"all lists that there are": {
			"{AllowedRepositories: team/*, AllowedMemories: '', AllowedCredentialProviders: openai, AllowedAudiences: [b], AllowedModels: a.*}",
			[]string{"AllowedMemories", "AllowedAudiences"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"-"}
			if c.settings != "" {
				file := filepath.Join(t.TempDir(), "settings")
				if err := os.WriteFile(file, []byte(c.settings), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--settings="+file)
			}
			v, got := answered(t, tool{stdin: beyond}, args...)
			if (got.code == exitProblems) != (len(c.problems) > 0) {
				t.Errorf("exit code %d", got.code)
			}
			parameter := regexp.MustCompile(`Allowed[A-Z][A-Za-z]+`)
			var problems, notes []string
			for _, p := range v.Problems {
				problems = append(problems, parameter.FindString(p.Fix))
			}
			for _, a := range v.Agents {
				for _, n := range a.Notes {
					notes = append(notes, parameter.FindString(n))
				}
			}
			slices.Sort(problems)
			slices.Sort(notes)
			slices.Sort(c.problems)
			slices.Sort(c.notes)
			if !slices.Equal(problems, c.problems) || !slices.Equal(notes, c.notes) {
				t.Errorf("problems %q, want %q; notes %q, want %q", problems, c.problems, notes, c.notes)
			}
		})
	}
}

func TestWhatIsNotAllowedIsToldWithoutAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.Replace(beyond, "account: '111122223333', ", "", 1)
	write("AllowedModels: other.*")
	v, got := answered(t, tool{stdin: config}, "-", "--settings="+file)
	if got.code != exitProblems || len(v.Problems) != 1 || v.Problems[0].Code != "model-not-allowed" {
		t.Errorf("exit code %d, problems %+v", got.code, v.Problems)
	}
	// Whether an ARN is of the account shows when the account is known.
	write("OperatorPrincipalArns: arn:aws:iam::111122223333:role/Operator")
	if got := (tool{stdin: config}).run(t, "render", "-", "--settings="+file); got.code != exitError || !strings.Contains(got.stderr, "pass --account") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	if got := (tool{stdin: config}).run(t, "render", "-", "--settings="+file, "--account=111122223333"); got.code != exitGood {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
}

func TestAConfigOfNoTeamIsAtFault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(file, []byte("TeamTag: department"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, got := answered(t, tool{stdin: warned}, "-", "--settings="+file, "--key=a.yaml")
	if got.code != exitProblems || v.Problems[0].Code != "team-missing" || !strings.Contains(v.Problems[0].Fix, "department") {
		t.Errorf("exit code %d, problems %+v", got.code, v.Problems)
	}
	v, got = answered(t, tool{stdin: warned}, "-", "--settings="+file, "--key=red/a.yaml")
	if got.code != exitGood || !bytes.Contains(v.Agents[0].BuildRole.Policies[naming.BuildPolicy], []byte("/red/solo/source.zip")) {
		t.Errorf("exit code %d, %+v", got.code, v.Agents)
	}
}

// template is what the tool agrees on with the stack.
type template struct {
	Parameters map[string]yaml.Node `yaml:"Parameters"`
	Resources  struct {
		AgentBoundary struct {
			Properties struct {
				ManagedPolicyName yaml.Node `yaml:"ManagedPolicyName"`
			} `yaml:"Properties"`
		} `yaml:"AgentBoundary"`
	} `yaml:"Resources"`
}

func TestTheToolAgreesWithTheTemplate(t *testing.T) {
	data, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var stack template
	if err := yaml.Unmarshal(data, &stack); err != nil {
		t.Fatal(err)
	}
	if len(stack.Parameters) == 0 {
		t.Fatal("the template has no parameters")
	}
	for name := range stack.Parameters {
		if _, err := settings.ParseParameters([]byte(name+":"), agent.Place{}); err != nil {
			t.Errorf("the stack's parameter %s: %v", name, err)
		}
	}
	if got, want := stack.Resources.AgentBoundary.Properties.ManagedPolicyName.Value, naming.Boundary("${AWS::Region}"); got != want {
		t.Errorf("the stack's boundary is %q, the tool takes it for %q", got, want)
	}
}

func TestTheKeyIsMadeOfTheFilesName(t *testing.T) {
	for name, c := range map[string]struct {
		given, file, want string
	}{
		"a file":                    {"", "team/.bedrock_agentcore.yaml", "configs/.bedrock_agentcore.yaml"},
		"standard input":            {"", "-", "configs/stdin"},
		"a key":                     {"configs/a.yaml", "b.yaml", "configs/a.yaml"},
		"a key without the prefix":  {"team/a.yaml", "b.yaml", "configs/team/a.yaml"},
		"a file that makes no key":  {"", "my agent.yaml", ""},
		"a key that is none":        {"../a", "b.yaml", ""},
		"a file with a key of ours": {"a.yaml", "my agent.yaml", "configs/a.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := renderKey(c.given, c.file)
			if (err != nil) != (c.want == "") || err == nil && got != c.want {
				t.Errorf("renderKey = %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// run itself fails on what is not for terminals.
func TestNothingOfAFileCommandsTheTerminal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a\x1b]0;title\a\nb\u202e.yaml")
	for _, config := range []string{
		"agents: {a: {name: \"\\e[31mred\\a\", aws: {}, \"\\u009b31m\": 1}}",
		"agents: {a: {name: a, aws: {account: \"\\u202e1\", region: \"\\n9:9: error: forged\"}, deployment_type: \"\\x7f\\uE000\\U000E0001\"}}",
		"\x1b[2J: [",
		"agents: \u009b1m",
	} {
		if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"render", name, "--account=111122223333", "--region=eu-west-1", "--key=a"}
		text := tool{}.run(t, args...)
		v, _ := answered(t, tool{}, args[1:]...)
		if text.code != exitProblems || strings.Count(text.stdout, "\n") != len(v.Problems) {
			t.Errorf("exit code %d, %d problems:\n%s", text.code, len(v.Problems), text.stdout)
		}
		tool{}.run(t, "render", "--account=\x1b[31m", name)
	}
}

func TestEscapingKeepsTheMeaningOfJSON(t *testing.T) {
	want := "a\x1b\u0085\u202e\u2028\U000E0001é\U0001F600<&>\"\\\n"
	var b bytes.Buffer
	out := terminal{w: &b}
	out.json(map[string]string{"v": want})
	var got map[string]string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got["v"] != want {
		t.Errorf("%q became %q, %v", want, got["v"], err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u0085\u202e\u2028\U000E0001") || !strings.Contains(b.String(), "é\U0001F600<&>") {
		t.Errorf("%q", b.String())
	}
}

func TestAStatementWithoutWordsIsShownWhole(t *testing.T) {
	for name, s := range map[string]policy.Statement{
		"NotAction":    {Sid: "S", Effect: policy.Deny, NotActions: []string{"iam:Get*"}, Resources: []string{"*"}},
		"NotResource":  {Sid: "S", Effect: policy.Deny, Actions: []string{"iam:Get*"}, NotResources: []string{"x"}},
		"NotPrincipal": {Sid: "S", Effect: policy.Deny, Actions: []string{"iam:Get*"}, NotPrincipals: policy.Principals{policy.AWS: {"*"}}},
		"Unknown":      {Sid: "S", Effect: policy.Deny, Actions: []string{"iam:Get*"}, Unknown: map[string]string{"Unknown": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := statementText(s); !strings.Contains(got, `"`+name+`":`) || !policy.New(s).Same(got) {
				t.Errorf("%s", got)
			}
		})
	}
}
