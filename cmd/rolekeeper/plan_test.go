package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

const (
	orders      = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}]}`
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	withToken   = "    aws_jwt: {enabled: true, audiences: ['https://a.example.com']}\n"
)

// scene is an account in which a config is to be planned, and how that ends.
type scene struct {
	prepare func(w *deployed)
	code    int
}

// scenes have golden files of their names, text and JSON.
func scenes() map[string]scene {
	return map[string]scene{
		"new": {func(w *deployed) {
			w.source("solo", zipped)
			w.put(w.t, teamKey, container("solo"))
		}, exitChanges},
		"as-is":   {func(w *deployed) { w.built(teamKey, "solo", awsfake.Outcome{}) }, exitGood},
		"drifted": {changeAll, exitChanges},
		"drift-told": {func(w *deployed) {
			w.parameters["DriftMode"] = "report"
			changeAll(w)
			w.must(w.CodeBuild("admin").DeleteProject(w.t.Context(), &codebuild.DeleteProjectInput{Name: aws.String(naming.Project("solo"))}))
		}, exitProblems},
		"rebuilt": {func(w *deployed) {
			w.built(teamKey, "solo", awsfake.Outcome{})
			w.parameters["BuildImage"], w.parameters["LogRetentionDays"] = "aws/codebuild/amazonlinux2-aarch64-standard:3.0", "90"
		}, exitChanges},
		"parts-gone": {func(w *deployed) {
			w.built(teamKey, "solo", awsfake.Outcome{})
			w.must(w.CodeBuild("admin").DeleteProject(w.t.Context(), &codebuild.DeleteProjectInput{Name: aws.String(naming.Project("solo"))}))
			w.must(w.ECR("admin").DeleteRepository(w.t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String(naming.Repository("solo")), Force: true}))
		}, exitChanges},
		"parts-not-ours": {func(w *deployed) {
			w.project("solo")
			w.must(w.ECR("admin").CreateRepository(w.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(naming.Repository("solo"))}))
			w.source("solo", zipped)
			w.upload(teamKey, container("solo"))
		}, exitProblems},
		"no-repository": {func(w *deployed) {
			w.source("solo", zipped)
			w.upload(teamKey, strings.Replace(container("solo"), "aws: {}", "aws: {ecr_repository: team/app}", 1))
		}, exitProblems},
		"role-in-the-way": {roleInTheWay, exitProblems},
		"no-zip": {func(w *deployed) {
			w.source("solo", "PK\x05\x06 and nothing in it")
			w.upload(teamKey, container("solo"))
		}, exitGood},
		"changed": {func(w *deployed) {
			w.parameters["PermissionProfile"] = "toolkit"
			w.upload(teamKey, direct("solo", withToken))
			w.put(w.t, teamKey, direct("solo", "    identity: {credential_providers: [{name: crm}]}\n"))
		}, exitChanges},
		"reported": {func(w *deployed) {
			w.byToolkit("solo", agent.DirectCode)
			w.putPolicy(runtimeRole("solo"), "orders", orders)
			w.putPolicy(runtimeRole("solo"), naming.IdentityPolicy, strings.Replace(orders, "Allow", "Deny", 1))
			w.bind("solo", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", orders)
			w.upload(teamKey, direct("solo"))
		}, exitProblems},
		"adopted": {func(w *deployed) {
			w.parameters["ExistingRoles"] = "adopt"
			w.byToolkit("solo", agent.DirectCode)
			w.putPolicy(runtimeRole("solo"), "orders", orders)
			w.putPolicy(runtimeRole("solo"), naming.IdentityPolicy, strings.Replace(orders, "GetItem", "PutItem", 1))
			w.put(w.t, teamKey, container("solo"))
		}, exitChanges},
		"hostile": {func(w *deployed) {
			w.createRole(runtimeRole("solo"), lambdaTrust)
			w.put(w.t, teamKey, direct("solo"))
		}, exitProblems},
		"replaced": {func(w *deployed) {
			w.upload(teamKey, direct("solo"))
			trust := w.role(runtimeRole("solo")).Trust
			w.deleteRole(runtimeRole("solo"))
			w.createRole(runtimeRole("solo"), trust)
		}, exitProblems},
		"no-room": {fill, exitProblems},
		"removed": {func(w *deployed) {
			w.upload(teamKey, direct("solo"))
			w.put(w.t, teamKey, direct("other"))
		}, exitChanges},
		"gone": {func(w *deployed) {
			w.upload(teamKey, direct("solo"))
			w.remove(teamKey)
		}, exitChanges},
		"leaving": {leave, exitChanges},
		"refused": {func(w *deployed) {
			w.upload("configs/first.yaml", direct("solo"))
			w.put(w.t, teamKey, direct("solo")+"  two:\n    name: two\n    entrypoint: a.py\n    aws: {region: eu-west-1}\n")
		}, exitProblems},
		"claimed": {func(w *deployed) {
			w.upload("configs/first.yaml", direct("solo"))
			w.put(w.t, teamKey, direct("solo"))
		}, exitProblems},
	}
}

// leave has agents in all phases of their life, some of them still in the config.
func leave(w *deployed) {
	w.upload(teamKey, two(two(direct("idle"), direct("back")), direct("kept")))
	w.age(teamKey, func(s *status.Status) {
		gone := []status.Runtime{{ID: "idle-0123456789", LastSeen: at(9), Gone: true}}
		for i, a := range s.Agents {
			switch a.Name {
			case "idle":
				a.Phase, a.PhaseVersion, a.RetireAfter, a.Runtimes = status.PhaseRetiring, s.Config.VersionID, at(20), gone
				a.BlockedBy = []status.Blocker{{ARN: "arn:gateway", Kind: string(plan.InUse), Fix: "delete the gateway"}}
			case "back":
				a.Phase, a.PhaseVersion, a.RetireAfter = status.PhaseRetiring, "an older one", at(20)
			}
			s.Agents[i] = a
		}
		s.Agents = append(s.Agents,
			status.Agent{Name: "going", Phase: status.PhaseQuarantined, DeleteAfter: at(13), RetirementID: "20261122T120000Z-0123456789ab"},
			status.Agent{Name: "gone", Phase: status.PhaseRetired},
			status.Agent{Name: "held", Phase: status.PhaseHeld},
		)
	})
}

func TestAPlanTellsWhoLeavesAndWhoComesBack(t *testing.T) {
	going := status.Agent{Name: "going", Phase: status.PhaseQuarantined, PhaseVersion: "v", DeleteAfter: at(13), RetirementID: "1", RuntimeRoleARN: "arn"}
	away := status.Agent{Name: "solo", Phase: status.PhaseRetiring, RetireAfter: at(13), RuntimeRoleARN: "arn"}
	gone := []status.Runtime{{ID: "solo-0123456789", LastSeen: at(9), Gone: true}}
	for name, c := range map[string]struct {
		config string // empty: there is none any more
		agents []status.Agent
		args   []string // plan configs/team/agent.yaml when empty
		code   int
		want   string
	}{
		"while the config is at fault":                       {"agents: {}", []status.Agent{going, away}, nil, exitProblems, "agent going: quarantined; the next look puts its roles back until the config is mended"},
		"that stay as they are while the config is at fault": {"agents: {}", []status.Agent{away}, nil, exitProblems, "agent solo: retiring; its roles are deleted after"},
		"with their config":                                  {"", []status.Agent{away, going}, nil, exitGood, "the config is gone; nothing to do\n\nagent solo: retiring; its roles"},
		"by the file that is to be uploaded":                 {"", []status.Agent{away}, []string{"plan", "-", "--key", teamKey}, exitChanges, "agent solo: retiring; the next look makes it active again"},
		"in the order of the answer":                         {"", []status.Agent{going, away}, nil, exitGood, "2026-11-22T13:00:00Z\n\nagent solo: retiring"},
		"that have nothing":                                  {"", []status.Agent{{Name: "solo", Phase: status.PhaseRetired}}, nil, exitGood, "agent solo: retired; its roles were deleted"},
		"since their runtimes are gone": {
			direct("solo"), []status.Agent{{Name: "solo", Phase: status.PhaseRetiring, RetireAfter: at(13), PhaseVersion: "v", Runtimes: gone}}, nil, exitChanges, "1 agent coming back",
		},
		"nobody":         {direct("solo"), []status.Agent{{Name: "solo", Phase: status.PhaseActive, PhaseVersion: "v", Runtimes: gone}}, nil, exitChanges, "steps\n"},
		"of no config":   {"", nil, nil, exitError, "there is no config " + teamKey},
		"of all that is": {direct("solo"), []status.Agent{away}, []string{"plan", "--all"}, exitChanges, "1 agent coming back\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			w.put(t, teamKey, "first")
			w.remove(teamKey)
			if c.config != "" {
				w.put(t, teamKey, c.config)
			}
			w.stdin = direct("solo")
			s := ready(teamKey)
			s.Agents = c.agents
			w.answer(t, s)
			args := c.args
			if args == nil {
				args = []string{"plan", teamKey}
			}
			got := w.run(t, args...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) {
				t.Errorf("exit code %d, want %d; %q is not in\n%s%s", got.code, c.code, c.want, got.stdout, got.stderr)
			}
		})
	}
}

func TestOneWhoLeavesStandsApartFromOtherConfigs(t *testing.T) {
	w := deploy(t)
	w.upload("configs/a.yaml", direct("solo"))
	w.upload("configs/b.yaml", direct("duo"))
	w.age("configs/a.yaml", func(s *status.Status) {
		s.Agents[0].Phase, s.Agents[0].PhaseVersion = status.PhaseHeld, s.Config.VersionID
	})
	got := w.run(t, "plan", "--all")
	if want := "configs/a.yaml: nothing to do\n\nagent solo: held; "; got.code != exitGood || !strings.HasPrefix(got.stdout, want) || !strings.HasSuffix(got.stdout, "\n\nconfigs/b.yaml: nothing to do\n") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestAnAnswerToAnotherConfigTellsOfNobody(t *testing.T) {
	w := deploy(t)
	w.upload(teamKey, direct("solo"))
	other := ready("configs/other.yaml")
	other.Agents = []status.Agent{{Name: "other", Phase: status.PhaseRetired}}
	body, err := other.JSON()
	w.must(nil, err)
	w.put(t, naming.StatusKey(teamKey), string(body))
	if got := w.run(t, "plan", teamKey); strings.Contains(got.stdout, "other") || got.stdout == "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestPeriodsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 10 * time.Second: "10s", 61 * time.Second: "1m1s", time.Hour: "1h"} {
		if got := period(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

// changeAll changes by hand all that can be of the roles of an agent.
func changeAll(w *deployed) {
	w.built(teamKey, "solo", awsfake.Outcome{})
	w.changeProject("solo")
	w.changeRepository("solo")
	name := runtimeRole("solo")
	was := w.role(name)
	w.unbind("solo")
	w.must(w.admin().UntagRole(w.t.Context(), &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{model.TagAgent}}))
	w.tag(name, model.TagConfig, "configs/other.yaml")
	w.tag(name, "cost-center", "42")
	w.trust(name, strings.Replace(was.Trust, `"sts:AssumeRole"`, `["sts:TagSession","sts:AssumeRole"]`, 1))
	w.putPolicy(name, naming.RuntimePolicy("solo"), strings.Replace(was.Policies[naming.RuntimePolicy("solo")], `"Statement":[`,
		`"Statement":[{"Sid":"Mine","Effect":"Allow","Action":"dynamodb:*","Resource":"*"},`, 1))
	w.putPolicy(name, "orders", orders)
	w.attach(name, "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", orders)
	w.must(w.admin().UpdateRole(w.t.Context(), &iam.UpdateRoleInput{RoleName: &name, Description: aws.String("mine"), MaxSessionDuration: aws.Int32(7200)}))
	w.deleteRole(buildRole("solo"))
}

// roleInTheWay puts a role of somebody else's in the place of the build role, and
// changes by hand what then is not put right.
func roleInTheWay(w *deployed) {
	w.built(teamKey, "solo", awsfake.Outcome{})
	trust := w.role(buildRole("solo")).Trust
	w.deleteRole(buildRole("solo"))
	w.createRole(buildRole("solo"), trust)
	w.changeProject("solo")
}

// project makes a project by hand, with an agent's name.
func (w *deployed) project(agent string) {
	w.t.Helper()
	w.createRole("Mine", strings.Replace(lambdaTrust, "lambda", "codebuild", 1))
	w.must(w.CodeBuild("admin").CreateProject(w.t.Context(), &codebuild.CreateProjectInput{
		Name: aws.String(naming.Project(agent)), ServiceRole: aws.String("arn:aws:iam::123456789012:role/Mine"),
		Source:    &cbtypes.ProjectSource{Type: cbtypes.SourceTypeNoSource, Buildspec: aws.String("version: 0.2\nphases: {}")},
		Artifacts: &cbtypes.ProjectArtifacts{Type: cbtypes.ArtifactsTypeNoArtifacts},
		Environment: &cbtypes.ProjectEnvironment{
			Type: cbtypes.EnvironmentTypeArmContainer, ComputeType: cbtypes.ComputeTypeBuildGeneral1Small, Image: aws.String("aws/codebuild/amazonlinux-aarch64-standard:4.0"),
		},
	}))
}

// changeProject changes a project's settings and tags by hand.
func (w *deployed) changeProject(agent string) {
	w.t.Helper()
	for _, p := range w.projects(agent) {
		p.Environment.PrivilegedMode = aws.Bool(false)
		p.Environment.EnvironmentVariables = append(p.Environment.EnvironmentVariables, cbtypes.EnvironmentVariable{Name: aws.String("DEBUG"), Value: aws.String("1")})
		p.Source.Buildspec = aws.String(strings.Replace(*p.Source.Buildspec, "version: 0.2", "version: 0.2\n# mine", 1))
		p.VpcConfig = &cbtypes.VpcConfig{VpcId: aws.String("vpc-1"), Subnets: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
		tags := slices.DeleteFunc(p.Tags, func(t cbtypes.Tag) bool { return *t.Key == model.TagAgent })
		w.must(w.CodeBuild("admin").UpdateProject(w.t.Context(), &codebuild.UpdateProjectInput{
			Name: p.Name, Environment: p.Environment, Source: p.Source, VpcConfig: p.VpcConfig, Tags: append(tags, cbtypes.Tag{Key: aws.String("cost-center"), Value: aws.String("42")}),
		}))
	}
}

func (w *deployed) projects(agent string) []cbtypes.Project {
	w.t.Helper()
	out, err := w.CodeBuild("admin").BatchGetProjects(w.t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{naming.Project(agent)}})
	if err != nil || len(out.Projects) != 1 {
		w.t.Fatalf("%+v, %v", out, err)
	}
	return out.Projects
}

// changeRepository changes by hand what an agent's repository has of ours.
func (w *deployed) changeRepository(agent string) {
	w.t.Helper()
	name := naming.Repository(agent)
	w.must(w.ECR("admin").PutImageScanningConfiguration(w.t.Context(), &ecr.PutImageScanningConfigurationInput{
		RepositoryName: &name, ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{ScanOnPush: false},
	}))
	w.must(w.ECR("admin").TagResource(w.t.Context(), &ecr.TagResourceInput{
		ResourceArn: aws.String("arn:aws:ecr:us-east-1:123456789012:repository/" + name),
		Tags:        []ecrtypes.Tag{{Key: aws.String(model.TagAgent), Value: aws.String("other")}},
	}))
}

// fill leaves no room for our tags and policies.
func fill(w *deployed) {
	w.upload(teamKey, direct("solo"))
	name := runtimeRole("solo")
	w.must(w.admin().UntagRole(w.t.Context(), &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{model.TagAgent, model.TagConfig, model.TagTemplate}}))
	for i := range 48 {
		w.tag(name, "tag-"+strconv.Itoa(i), "")
	}
	w.must(w.admin().DeleteRolePolicy(w.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String(naming.RuntimePolicy("solo"))}))
	w.putPolicy(name, "large", strings.Replace(orders, `"*"`, `"arn:aws:dynamodb:us-east-1:123456789012:table/`+strings.Repeat("t", 10_000)+`"`, 1))
}

func TestPlan(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/plan.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range scenes() {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			s.prepare(w)
			w.ForgetCalls()
			for _, output := range []string{"text", "json"} {
				got := w.run(t, "plan", teamKey, "-o", output)
				if got.code != s.code || got.stderr != "" {
					t.Errorf("exit code %d, want %d\n%s", got.code, s.code, got.stderr)
				}
				golden(t, "plan-"+name+map[string]string{"text": ".txt", "json": ".json"}[output], got.stdout)
				if output == "text" {
					continue
				}
				instance, err := jsonschema.UnmarshalJSON(strings.NewReader(got.stdout))
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(instance); err != nil {
					t.Errorf("%v\n%s", err, got.stdout)
				}
			}
			if wrote := w.wrote(); len(wrote) > 0 {
				t.Errorf("plan wrote %v", wrote)
			}
		})
	}
}

func TestTheGoldenPlansHaveEveryKindOfStepReasonFindingAndRefusal(t *testing.T) {
	told := map[string]bool{}
	for name := range scenes() {
		body, err := os.ReadFile("testdata/plan-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatal(err)
		}
		for _, leaf := range leaves(v) {
			told[leaf] = true
		}
	}
	words := planWords(t)
	if len(words) < 25 {
		t.Fatalf("only %q", words)
	}
	elsewhere := []string{
		// Steps of what no look at a config shows before it is due.
		"mark-deleting", "record-quarantine", "delete-project", "leave-instance-profile", "delete-role", "delete-repository",
		"release-claims", "clear-deleting", "retire",
		// What restore shows.
		"attach-policy", "detach-policy", "untag-role", "restore",
	}
	for _, word := range words {
		if !told[word] && !slices.Contains(elsewhere, word) {
			t.Errorf("no plan has %q", word)
		}
	}
}

// planWords gives the constants that a plan is made of.
func planWords(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../shared/plan/plan.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Type == nil || len(spec.Values) != 1 {
			return true
		}
		of, isName := spec.Type.(*ast.Ident)
		value, isText := spec.Values[0].(*ast.BasicLit)
		if isName && isText && slices.Contains([]string{"Op", "Reason", "FindingKind", "RefusalKind"}, of.Name) {
			word, err := strconv.Unquote(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			words = append(words, word)
		}
		return true
	})
	return words
}

// What plan shows is what the function then does, and nothing is left of it.
func TestAPlanThatWasCarriedOutLeavesNothing(t *testing.T) {
	for _, name := range []string{"new", "drifted", "changed", "adopted", "rebuilt", "parts-gone"} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			scenes()[name].prepare(w)
			if got := w.run(t, "plan", teamKey); got.code != exitChanges {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			w.reconcile(teamKey)
			if got := w.run(t, "plan", teamKey); got.code != exitGood || strings.Contains(got.stdout, "@@") {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}

func TestAPlanOfAFileIsThatOfItsUpload(t *testing.T) {
	w := deploy(t)
	w.upload(teamKey, direct("solo"))
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(container("solo")), 0o600); err != nil {
		t.Fatal(err)
	}
	ofFile := w.run(t, "plan", file, "--key=team/agent.yaml", "-o=json")
	w.stdin = container("solo")
	ofStdin := w.run(t, "plan", "-", "--key", teamKey, "-o=json")
	w.put(t, teamKey, container("solo"))
	ofUpload := w.run(t, "plan", "team/agent.yaml", "-o=json")
	var plans []planView
	for _, got := range []outcome{ofFile, ofStdin, ofUpload} {
		var v planView
		if err := json.Unmarshal([]byte(got.stdout), &v); err != nil || got.code != exitChanges || len(v.Steps) == 0 {
			t.Fatalf("exit code %d, %v\n%s%s", got.code, err, got.stdout, got.stderr)
		}
		plans = append(plans, v)
	}
	if plans[0].VersionID != "" || plans[2].VersionID == "" {
		t.Errorf("versions %q and %q", plans[0].VersionID, plans[2].VersionID)
	}
	if ofFile.stdout != ofStdin.stdout || ofFile.stdout != strings.Replace(ofUpload.stdout, `"versionId": "`+plans[2].VersionID, `"versionId": "`, 1) {
		t.Errorf("file\n%s\nstandard input\n%s\nupload\n%s", ofFile.stdout, ofStdin.stdout, ofUpload.stdout)
	}
}

func TestProblemsNameTheFileOrTheKey(t *testing.T) {
	w := deploy(t)
	faulty := strings.Replace(direct("solo"), "aws: {}", "aws: {region: eu-west-1}", 1)
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte(faulty), 0o600); err != nil {
		t.Fatal(err)
	}
	w.put(t, teamKey, faulty)
	w.stdin = faulty
	for arg, name := range map[string]string{file: file, "-": "stdin", "team/agent.yaml": teamKey, teamKey: teamKey} {
		got := w.run(t, "plan", arg)
		if got.code != exitProblems || !strings.Contains(got.stdout, "\n"+name+":6:") || !strings.Contains(got.stdout, "[region-mismatch]") {
			t.Errorf("%s: exit code %d\n%s%s", arg, got.code, got.stdout, got.stderr)
		}
	}
	w.stdin = ""
	if got := w.run(t, "plan", "-"); got.code != exitProblems || strings.Contains(got.stdout, "gone") {
		t.Errorf("an empty file: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestPlanOfAllConfigs(t *testing.T) {
	w := deploy(t)
	empty := w.run(t, "plan", "--all")
	if empty.code != exitGood || !strings.Contains(empty.stdout, "there are no configs") {
		t.Errorf("exit code %d\n%s%s", empty.code, empty.stdout, empty.stderr)
	}
	if got := w.run(t, "plan", "--all", "-o=json"); got.code != exitGood || got.stdout != "[]\n" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	// One after the other is added; the exit code is that of the worst.
	for _, add := range []struct {
		what string
		add  func()
		code int
	}{
		{"nothing to do", func() { w.upload("configs/b.yaml", direct("b")); w.upload("configs/a.yaml", direct("a")) }, exitGood},
		{"drift", func() { w.upload("configs/c.yaml", direct("c")); w.unbind("c") }, exitChanges},
		{"a faulty config", func() { w.put(t, "configs/d.yaml", "agents: {}") }, exitProblems},
		{"more drift", func() { w.upload("configs/e.yaml", direct("e")); w.unbind("e") }, exitProblems},
		{"one that cannot be read", func() { w.put(t, "configs/f.yaml", direct("f")); w.Before = denyRole(runtimeRole("f")) }, exitError},
		{"a key that no config has", func() { w.put(t, "configs/g h", ""); w.put(t, "configs/folder/", "") }, exitError},
	} {
		add.add()
		if got := w.run(t, "plan", "--all"); got.code != add.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", add.what, got.code, add.code, got.stdout, got.stderr)
		}
	}
	got := w.run(t, "plan", "--all")
	golden(t, "plan-all.txt", got.stdout)
	if !strings.Contains(got.stderr, "2 of 7 configs") || !strings.Contains(got.stderr, runtimeRole("f")) {
		t.Errorf("stderr %s", got.stderr)
	}
	got = w.run(t, "plan", "--all", "-o=json")
	var views []planView
	if err := json.Unmarshal([]byte(got.stdout), &views); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, v := range views {
		keys = append(keys, v.Config)
		if failed := v.Config == "configs/f.yaml" || v.Config == "configs/g h"; failed != (v.Error != "") {
			t.Errorf("%s: error %q", v.Config, v.Error)
		}
	}
	if want := []string{"configs/a.yaml", "configs/b.yaml", "configs/c.yaml", "configs/d.yaml", "configs/e.yaml", "configs/f.yaml", "configs/g h"}; !slices.Equal(keys, want) {
		t.Errorf("configs %q", keys)
	}
	if wrote := w.wrote(); len(wrote) > 0 {
		t.Errorf("plan wrote %v", wrote)
	}
}

func TestADocumentThatIsNoJSONIsAText(t *testing.T) {
	for raw, want := range map[string]string{"": "null", "{": `"{"`, `{"a":1}`: `{"a":1}`} {
		if got, err := json.Marshal(document(raw)); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v", raw, got, err)
		}
	}
}

// denyRole denies the tool the reading of a role.
func denyRole(name string) func(awsfake.Call) error {
	return func(c awsfake.Call) error {
		if c.Caller == operator && c.Resource == name {
			return awsfake.APIError("AccessDenied", "User is not authorized\nto perform: iam:GetRole")
		}
		return nil
	}
}

func TestWhatCannotBePlannedIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*deployed)
		args    []string
		want    []string
	}{
		"nothing named":       {nil, nil, []string{"FILE", "KEY", "--all"}},
		"a file and --all":    {nil, []string{"a.yaml", "--all"}, []string{"--all", "a.yaml"}},
		"a key and --all":     {nil, []string{"--all", "--key=a"}, []string{"--key is for a FILE"}},
		"a key for a key":     {nil, []string{teamKey, "--key=a"}, []string{"--key is for a FILE"}},
		"no config":           {nil, []string{teamKey}, []string{"there is no config configs/team/agent.yaml in bedrock-agentcore-configs-123456789012-us-east-1"}},
		"neither of both":     {nil, []string{"team/agent.yaml"}, []string{"neither a file team/agent.yaml nor a config configs/team/agent.yaml"}},
		"no key either":       {nil, []string{"./a.yaml"}, []string{`"./a.yaml" is no file`, "segment"}},
		"a folder":            {nil, []string{"testdata"}, []string{"neither a file testdata nor a config configs/testdata"}},
		"a file of no key":    {nil, []string{"testdata/plan.schema.json", "--key=a b"}, []string{"config key"}},
		"a name of no stack":  {nil, []string{teamKey, "--stack=a/b"}, []string{`--stack: "a/b"`}},
		"no stack":            {func(w *deployed) { w.parameters = nil }, []string{teamKey}, []string{"/rolekeeper/rolekeeper/settings", "account 123456789012, Region us-east-1", "--stack"}},
		"another stack":       {nil, []string{teamKey, "--stack=other"}, []string{"/rolekeeper/other/settings"}},
		"settings of no kind": {func(w *deployed) { w.parameters["ExistingRoles"] = "perhaps" }, []string{teamKey}, []string{"/rolekeeper/rolekeeper/settings", "perhaps"}},
		"no bucket":           {nil, []string{teamKey, "--bucket=other"}, []string{"s3://other/", "RolekeeperOperatorPolicy-us-east-1"}},
		"no bucket, all":      {nil, []string{"--all", "--bucket=other"}, []string{"s3://other/", "RolekeeperOperatorPolicy-us-east-1"}},
		"a service-linked role that is denied": {
			func(w *deployed) {
				w.put(w.t, teamKey, direct("solo"))
				w.Before = denyRole("AWSServiceRoleForBedrockAgentCoreRuntimeIdentity")
			},
			[]string{teamKey}, []string{"get role AWSServiceRoleForBedrockAgentCoreRuntimeIdentity", "AccessDenied"},
		},
		"a role that is denied": {
			func(w *deployed) { w.put(w.t, teamKey, direct("solo")); w.Before = denyRole(runtimeRole("solo")) },
			[]string{teamKey}, []string{"look at configs/team/agent.yaml: get role " + runtimeRole("solo"), "AccessDenied", "RolekeeperOperatorPolicy-us-east-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			got := w.run(t, append([]string{"plan"}, c.args...)...)
			if got.code != exitError || got.stdout != "" {
				t.Errorf("exit code %d\n%s", got.code, got.stdout)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("%q is not in %q", want, got.stderr)
				}
			}
		})
	}
}

// What others wrote is no line of its own and no command; run itself fails on
// what is not for terminals.
func TestNothingOfAPlanCommandsTheTerminal(t *testing.T) {
	const forged = "\x1b[31m\u009b2J\u202e\r\nconfigs/forged.yaml: nothing to do"
	w := deploy(t)
	w.upload(teamKey, direct("solo"))
	name := runtimeRole("solo")
	w.must(w.admin().UpdateRole(t.Context(), &iam.UpdateRoleInput{RoleName: &name, Description: aws.String(forged), MaxSessionDuration: aws.Int32(3600)}))
	w.tag(name, model.TagAgent, forged)
	text, err := json.Marshal("arn:aws:s3:::" + forged)
	if err != nil {
		t.Fatal(err)
	}
	w.putPolicy(name, naming.RuntimePolicy("solo"), strings.Replace(orders, `"*"`, string(text), 1))
	w.putPolicy(name, "kept"+forged, orders)
	for _, args := range [][]string{{teamKey}, {teamKey, "-o=json"}, {"--all"}, {"--all", "-o=json"}} {
		got := w.run(t, append([]string{"plan"}, args...)...)
		if got.code != exitChanges || !strings.Contains(got.stdout, "forged") || strings.Contains(got.stdout, "\nconfigs/forged") {
			t.Errorf("%q: exit code %d\n%s%s", args, got.code, got.stdout, got.stderr)
		}
	}
}

func TestAllOfAPlanIsOfOneMoment(t *testing.T) {
	w := deploy(t)
	w.parameters["ExistingRoles"] = "adopt"
	w.must(w.ECR("admin").CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")}))
	named := strings.Replace(container("named"), "aws: {}", "aws: {ecr_repository: team/app}", 1)
	w.upload(teamKey, two(container("solo"), named))
	w.source("named", zipped)
	w.reconcile(teamKey)
	w.source("solo", zipped)
	w.byToolkit("duo", agent.DirectCode)
	w.put(t, teamKey, two(two(container("solo"), named), direct("duo")))
	w.ForgetCalls()
	if got := w.run(t, "plan", teamKey); !strings.Contains(got.stdout, "adoption takes away") || !strings.Contains(got.stdout, "a build is started") {
		t.Fatalf("not enough is planned:\n%s", got.stdout)
	}
	reads := map[string]int{}
	for _, c := range w.Calls() {
		if reads[c.Operation+" "+c.Resource]++; reads[c.Operation+" "+c.Resource] > 1 && c.Operation != "GetRolePolicy" {
			t.Errorf("%s is read again", c)
		}
	}
	for _, read := range []string{
		"GetObject " + w.sourceBucket + "/solo/source.zip", "GetBucketNotificationConfiguration " + w.sourceBucket,
		"DescribeRepositories team/app", "ListTagsForResource " + naming.Repository("solo"),
		"BatchGetProjects " + naming.Project("solo") + "," + naming.Project("named"),
		"ListBuildsForProject " + naming.Project("solo"), "BatchGetBuilds " + naming.Project("named"), "GetRole " + runtimeRole("duo"),
	} {
		if reads[read] != 1 {
			t.Errorf("%s: %d times", read, reads[read])
		}
	}
	if t.Failed() {
		t.Log(slices.Sorted(maps.Keys(reads)))
	}
}

func TestWhatIsGoneIsNotMadeWhileItsBuildRoleIsBlocked(t *testing.T) {
	w := deploy(t)
	roleInTheWay(w)
	w.must(w.CodeBuild("admin").DeleteProject(t.Context(), &codebuild.DeleteProjectInput{Name: aws.String(naming.Project("solo"))}))
	got := w.run(t, "plan", teamKey)
	_, told, _ := strings.Cut(got.stdout, "  project ")
	if want := naming.Project("solo") + "\n    drift: the project is gone, and is not made anew while the build role is blocked\n"; got.code != exitProblems || told != want {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestLatestIsToldOnlyWhereItMoves(t *testing.T) {
	w := deploy(t)
	w.must(w.ECR("admin").CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName: aws.String("team/app"), ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable,
	}))
	w.upload(teamKey, strings.Replace(container("solo"), "aws: {}", "aws: {ecr_repository: team/app}", 1))
	w.source("solo", zipped)
	if got := w.run(t, "plan", teamKey); got.code != exitChanges || !strings.Contains(got.stdout, "      image tag src-") || strings.Contains(got.stdout, "latest") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestSourcesAreWhereTheStackHasThem(t *testing.T) {
	w := deploy(t)
	w.sourceBucket = "team-sources"
	w.AddBucket(w.sourceBucket)
	w.parameters["SourceBucketName"] = w.sourceBucket
	w.put(t, teamKey, container("solo"))
	if got := w.run(t, "plan", teamKey); got.code != exitChanges || !strings.Contains(got.stdout, "source s3://team-sources/solo/source.zip") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	w.reconcile(teamKey)
	w.source("solo", zipped)
	if got := w.run(t, "plan", teamKey); got.code != exitChanges || !strings.Contains(got.stdout, "a build is started") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestCountsHaveTheirNouns(t *testing.T) {
	for want, got := range map[string]string{
		"1 role": many(1, "role"), "2 roles": many(2, "role"), "2 repositories": many(2, "repository"), "1 repository": many(1, "repository"), "30 days": many(30, "day"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
