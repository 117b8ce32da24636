package desired_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

func TestAContainerAgentHasARepositoryAndAProject(t *testing.T) {
	env := environment(desired.Scoped, place)
	env.BuildImage, env.LogRetentionDays = "aws/codebuild/some-image:1.0", 30
	env.TeamTag = "team"
	out := compute(t, env, agent.Agent{Name: "My__Agent", Deployment: agent.Container}).Agents[0]
	tags := map[string]string{
		"rolekeeper:config": "configs/team/agent.yaml", "rolekeeper:agent": "My__Agent",
		"rolekeeper:template": fmt.Sprint(model.TemplateVersion),
	}
	const registry = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
	repository := &model.Repository{
		Agent: "My__Agent", Name: "bedrock-agentcore-my-agent", ARN: "arn:aws:ecr:us-west-2:123456789012:repository/bedrock-agentcore-my-agent",
		URI: registry + "/bedrock-agentcore-my-agent", ScanOnPush: true, Tags: tags,
	}
	if diff := cmp.Diff(repository, out.Repository); diff != "" {
		t.Error(diff)
	}
	project := &model.Project{
		Agent: "My__Agent", Name: "bedrock-agentcore-my-agent-builder",
		ARN: "arn:aws:codebuild:us-west-2:123456789012:project/bedrock-agentcore-my-agent-builder",
		ProjectSettings: model.ProjectSettings{
			Description:     "Image of AgentCore agent My__Agent, built when its source changes",
			ServiceRole:     "arn:aws:iam::123456789012:role/" + naming.BuildRole("us-west-2", "My__Agent"),
			SourceType:      "S3",
			Source:          "bedrock-agentcore-codebuild-sources-123456789012-us-west-2/team/My__Agent/source.zip",
			Artifacts:       "NO_ARTIFACTS",
			EnvironmentType: "ARM_CONTAINER", Image: "aws/codebuild/some-image:1.0", ComputeType: "BUILD_GENERAL1_MEDIUM", Privileged: true,
			Environment:    map[string]string{"REGISTRY": registry, "REPOSITORY_URI": registry + "/bedrock-agentcore-my-agent"},
			LogGroup:       "/aws/codebuild/bedrock-agentcore-my-agent-builder",
			TimeoutMinutes: 60, QueuedTimeoutMinutes: 480,
		},
		LogRetentionDays: 30, Tags: tags,
	}
	if diff := cmp.Diff(project, out.Project, cmpopts.IgnoreFields(model.ProjectSettings{}, "Buildspec")); diff != "" {
		t.Error(diff)
	}
	if want := read(t, "buildspec.yml"); out.Project.Buildspec != want {
		t.Errorf("buildspec %q", out.Project.Buildspec)
	}
}

func TestWhoseRepositoryAndProjectAnAgentUses(t *testing.T) {
	const platform = "arn:aws:iam::123456789012:role/Builder"
	container := func(name, repository, role string) agent.Agent {
		a := agent.Agent{Name: name, Deployment: agent.Container, Repository: repository}
		if role != "" {
			a.BuildRole = ref(role)
		}
		return a
	}
	// image is what the test looks at.
	type image struct {
		repository  string // empty: none
		named       bool
		serviceRole string // empty: no project
	}
	cases := map[string]struct {
		agents []agent.Agent
		want   image // of the first agent
	}{
		"its own":               {[]agent.Agent{container("a1", "", "")}, image{"bedrock-agentcore-a1", false, buildARN("a1")}},
		"a repository it names": {[]agent.Agent{container("a1", "team/app", "")}, image{"team/app", true, buildARN("a1")}},
		"the default repository, named": {
			[]agent.Agent{container("a1", "bedrock-agentcore-a1", "")}, image{"bedrock-agentcore-a1", true, buildARN("a1")},
		},
		"a sibling's build role": {
			[]agent.Agent{container("a1", "", buildARN("b1")), container("b1", "", "")}, image{"bedrock-agentcore-a1", false, buildARN("b1")},
		},
		"somebody's build role": {[]agent.Agent{container("a1", "", platform)}, image{"bedrock-agentcore-a1", false, ""}},
		"direct code":           {[]agent.Agent{{Name: "a1", Deployment: agent.DirectCode}}, image{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out := compute(t, environment(desired.Scoped, place), c.agents...).Agents[0]
			var got image
			if r := out.Repository; r != nil {
				got.repository, got.named = r.Name, r.Named
				if r.ScanOnPush == r.Named || (r.Tags == nil) != r.Named {
					t.Errorf("repository %+v", r)
				}
			}
			if out.Project != nil {
				got.serviceRole = out.Project.ServiceRole
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(image{})); diff != "" {
				t.Error(diff)
			}
			told := strings.Contains(strings.Join(out.Notes, "\n"), "No CodeBuild project is made")
			if told != (out.ExternalBuildRole != nil) {
				t.Errorf("notes %q", out.Notes)
			}
		})
	}
}

// Registries: ECR user guide, "Amazon ECR private registry".
func TestImagesArePushedToTheRegistryOfThePlace(t *testing.T) {
	for region, want := range map[string]string{
		"eu-central-1":  "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
		"us-gov-west-1": "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com",
		"cn-north-1":    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
	} {
		in := agent.Place{Partition: naming.Partition(region), Region: region, Account: "123456789012"}
		out := compute(t, environment(desired.Scoped, in), agent.Agent{Name: "a1", Deployment: agent.Container}).Agents[0]
		if e := out.Project.Environment; e["REGISTRY"] != want || e["REPOSITORY_URI"] != want+"/bedrock-agentcore-a1" {
			t.Errorf("%s: %v", region, e)
		}
		for _, arn := range []string{out.Repository.ARN, out.Project.ARN, out.Project.ServiceRole} {
			if !strings.HasPrefix(arn, "arn:"+in.Partition+":") {
				t.Errorf("%s: %s", region, arn)
			}
		}
	}
}

func TestABuildRoleIsForTheProjectsOfItsUsers(t *testing.T) {
	const codeBuild = "codebuild.amazonaws.com"
	project := func(name string) string {
		return "arn:aws:codebuild:us-west-2:123456789012:project/" + naming.Project(name)
	}
	shares := agent.Agent{Name: "b1", Deployment: agent.Container, BuildRole: ref(buildARN("a1"))}
	alone := agent.Agent{Name: "c1", Deployment: agent.Container}
	elsewhere := agent.Agent{Name: "d1", Deployment: agent.Container, BuildRole: ref("arn:aws:iam::123456789012:role/Builder")}
	code := agent.Agent{Name: "e1", Deployment: agent.DirectCode, BuildRole: ref(buildARN("a1"))}
	for profile, want := range map[desired.Profile][][]string{
		desired.Scoped:  {{project("a1"), project("b1")}, {project("c1")}},
		desired.Toolkit: {nil, nil},
	} {
		out := compute(t, environment(profile, place), agent.Agent{Name: "a1", Deployment: agent.Container}, shares, alone, elsewhere, code).Agents
		for i, role := range []*model.Role{out[0].BuildRole, out[2].BuildRole} {
			s := role.Trust.Statements
			if len(s) != 1 || !slices.Equal(s[0].Conditions["StringEquals"]["aws:SourceAccount"], []string{"123456789012"}) {
				t.Errorf("%s: trust %s", profile, role.Trust.JSON())
			}
			if got := s[0].Conditions["ArnLike"]["aws:SourceArn"]; !slices.Equal(got, want[i]) {
				t.Errorf("%s: for %q, want %q", profile, got, want[i])
			}
			if why := policy.TrustBeyond(role.Trust.JSON(), codeBuild, "123456789012"); why != nil {
				t.Errorf("%s: it would be held hostile: %q", profile, why)
			}
			if !policy.Trusts(role.Trust.JSON(), codeBuild, "123456789012") || policy.Trusts(role.Trust.JSON(), codeBuild, "210987654321") {
				t.Errorf("%s: trust %s", profile, role.Trust.JSON())
			}
		}
	}
}

// FuzzImages holds what CodeBuild, ECR and a shell rely on, for the images of
// every config that is accepted: a text stands in each field that shapes them.
func FuzzImages(f *testing.F) {
	for _, s := range []string{
		"my_agent", "My__Agent_", "x" + strings.Repeat("_", 47), "team/app", "bedrock-agentcore-my_agent", strings.Repeat("r", 256),
		"123456789012.dkr.ecr.us-west-2.amazonaws.com/team/app:1", "111122223333.dkr.ecr.us-west-2.amazonaws.com/app",
		"123456789012.dkr.ecr.us-west-2.amazonaws.com/app$(id)", "app;id", "a b", "`id`", "$(id)", "\"", "Builder", buildARN("other"),
		"arn:aws:iam::123456789012:role/platform/Builder", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		for _, fields := range []string{
			`"name": %s, "aws": {}`, `"name": "my_agent", "aws": {"ecr_repository": %s}`,
			`"name": "my_agent", "aws": {}, "codebuild": {"execution_role": %s}`, `"name": "my_agent", "aws": {"region": %s}`,
			`"name": "my_agent", "aws": {"account": %s}`, `"name": "my_agent", "aws": {}, "codebuild": {"project_name": %s, "source_bucket": %[1]s}`,
		} {
			checkImages(t, fmt.Appendf(nil, `{"agents": {"other": {"name": "other", "aws": {}}, "a": {`+fields+`}}}`, text), place)
		}
	})
}

func TestTheImagesOfTheSamplesAreFine(t *testing.T) {
	files, err := filepath.Glob("../agent/testdata/*.yaml")
	if err != nil || files == nil {
		t.Fatal(files, err)
	}
	seen := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in := place
		if accounts, regions, _ := agent.Declared(data); len(accounts) == 1 && len(regions) == 1 {
			in.Account, in.Region = accounts[0], regions[0]
		}
		seen += checkImages(t, data, in)
	}
	if seen == 0 {
		t.Error("no sample has a project")
	}
}

// What AWS accepts. CodeBuild: API reference, CreateProject, and user guide,
// "Quotas"; CloudWatch Logs: API reference, CreateLogGroup.
var (
	plain       = regexp.MustCompile(`\A[A-Za-z0-9./_:-]+\z`)
	projectName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9\-_]{1,254}\z`)
	logGroup    = regexp.MustCompile(`\A[.\-_/#A-Za-z0-9]{1,512}\z`)
	tagText     = regexp.MustCompile(`\A[A-Za-z0-9 +\-=._:/@]*\z`)
)

const (
	maxProjectDescription = 255
	maxProjectTagKey      = 127
	maxProjectTagValue    = 255
	maxRepositoryName     = 256
)

// checkImages checks the repositories and projects of a config that is accepted,
// and counts the projects.
func checkImages(t *testing.T, data []byte, in agent.Place) (projects int) {
	t.Helper()
	cfg, problems := agent.Parse(data, in)
	if fault.Blocks(problems) {
		return 0
	}
	env := environment(desired.Scoped, in)
	env.ConfigKey = naming.ConfigPrefix + strings.Repeat("k", naming.MaxConfigKey-len(naming.ConfigPrefix))
	state, problems := desired.Compute(cfg, env)
	if fault.Blocks(problems) {
		return 0
	}
	ours := map[string]bool{}
	for _, a := range state.Agents {
		if a.BuildRole != nil {
			ours[a.BuildRole.ARN] = true
		}
	}
	for i, a := range state.Agents {
		container := cfg.Agents[i].Deployment == agent.Container
		if (a.Repository != nil) != container || (a.Project != nil) != (container && a.ExternalBuildRole == nil) {
			t.Errorf("%s: repository %v, project %v", a.Name, a.Repository, a.Project)
		}
		if r := a.Repository; r != nil {
			checkTags(t, r.Tags)
			if len(r.Name) > maxRepositoryName || r.URI != in.Registry()+"/"+r.Name || !strings.HasSuffix(r.ARN, ":repository/"+r.Name) {
				t.Errorf("repository %+v", r)
			}
		}
		if p := a.Project; p != nil {
			projects++
			checkProject(t, *p, in)
			if !ours[p.ServiceRole] {
				t.Errorf("CodeBuild is handed %s", p.ServiceRole)
			}
		}
	}
	return projects
}

func checkProject(t *testing.T, p model.Project, in agent.Place) {
	t.Helper()
	checkTags(t, p.Tags)
	for name, value := range p.Environment {
		if !plain.MatchString(value) {
			t.Errorf("%s of project %s is %q", name, p.Name, value)
		}
	}
	if len(p.Environment) != 2 || !projectName.MatchString(p.Name) || !logGroup.MatchString(p.LogGroup) || utf8.RuneCountInString(p.Description) > maxProjectDescription {
		t.Errorf("project %+v", p)
	}
	bucket, key, _ := strings.Cut(p.Source, "/")
	if team, name, ok := naming.SplitSourceKey(key); bucket != naming.SourceBucket(in.Account, in.Region) || team != "" || name != p.Agent || !ok {
		t.Errorf("source %s of agent %s", p.Source, p.Agent)
	}
	if key, ok := naming.ProjectClaimKeyOf(p.Name); !ok || key != naming.ProjectClaimKey(p.Agent) {
		t.Errorf("project %s leads to %q, not to the claim of agent %s", p.Name, key, p.Agent)
	}
}

func checkTags(t *testing.T, tags map[string]string) {
	t.Helper()
	for key, value := range tags {
		if len(key) > maxProjectTagKey || len(value) > maxProjectTagValue || !tagText.MatchString(key) || !tagText.MatchString(value) {
			t.Errorf("tag %s %q", key, value)
		}
	}
}
