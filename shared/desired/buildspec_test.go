package desired_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
)

// spec is what a buildspec may have of ours; what else CodeBuild knows is refused.
type spec struct {
	Version string
	Env     struct{ Shell string }
	Phases  map[string]struct{ Commands []string }
}

func buildspec(t *testing.T) spec {
	t.Helper()
	a := agent.Agent{Name: "a", Deployment: agent.Container}
	text := compute(t, environment(desired.Scoped, place), a).Agents[0].Project.Buildspec
	var s spec
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheBuildspecIsOneThatCodeBuildReads(t *testing.T) {
	s := buildspec(t)
	phases := slices.Sorted(maps.Keys(s.Phases))
	if want := []string{"build", "post_build", "pre_build"}; s.Version != "0.2" || s.Env.Shell != "bash" || !slices.Equal(phases, want) {
		t.Errorf("version %q, shell %q, phases %q", s.Version, s.Env.Shell, phases)
	}
	for phase, p := range s.Phases {
		if len(p.Commands) == 0 {
			t.Errorf("%s has no commands", phase)
		}
		for _, command := range p.Commands {
			if out, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", command).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v %s", phase, command, err, out)
			}
		}
	}
}

// build is one build, run as CodeBuild runs it.
type build struct {
	environment map[string]string
	files       []string // of the source
	fail        string   // the call that fails: aws, or docker with what it is to do
	session     bool     // one shell runs all commands of a phase, rather than each its own
}

// outcome is what came of a build.
type outcome struct {
	calls  string   // of aws, then of docker, a line each
	failed []string // phases
	said   string
}

// run plays the phases: after a command that fails the rest of its phase is
// left out, after a failed pre_build the build, and post_build always runs after
// build (CodeBuild user guide, "Build specification reference" and "Build phase
// transitions"). How CodeBuild keeps a shell from command to command is not
// documented, so the commands must do in one shell and in a shell for each.
func (b build) run(t *testing.T) outcome {
	t.Helper()
	dir, record := t.TempDir(), t.TempDir()
	for _, name := range b.files {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin, err := filepath.Abs("testdata/bin")
	if err != nil {
		t.Fatal(err)
	}
	s, out := buildspec(t), outcome{}
	var said bytes.Buffer
	succeeds := func(script ...string) bool {
		cmd := exec.CommandContext(t.Context(), "/bin/bash", slices.Concat([]string{"-c"}, script)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
		cmd.Env = []string{"PATH=" + bin, "RECORD=" + record, "FAIL=" + b.fail, "CODEBUILD_BUILD_SUCCEEDING=1"}
		if len(out.failed) > 0 {
			cmd.Env[3] = "CODEBUILD_BUILD_SUCCEEDING=0"
		}
		for name, value := range b.environment {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return err == nil
	}
	for _, phase := range []string{"pre_build", "build", "post_build"} {
		commands := s.Phases[phase].Commands
		fine := true
		if b.session {
			fine = succeeds(slices.Concat([]string{`for command; do eval "$command" || exit; done`, "bash"}, commands)...)
		}
		for _, command := range commands {
			fine = fine && (b.session || succeeds(command))
		}
		if !fine {
			out.failed = append(out.failed, phase)
		}
		if !fine && phase == "pre_build" {
			break
		}
	}
	for _, program := range []string{"aws", "docker"} {
		raw, err := os.ReadFile(filepath.Join(record, program))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		out.calls += string(raw)
	}
	out.said = said.String()
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(b.files) {
		t.Errorf("the source has %v, %v", left, err)
	}
	return out
}

// variables are those of a build that Rolekeeper starts, changed as given: names
// and values by turns.
func variables(changes ...string) map[string]string {
	all := map[string]string{"REGISTRY": "registry", "REPOSITORY_URI": "registry/team/my", "IMAGE_TAG": "src-1", "IMAGE_LATEST": "true"}
	for change := range slices.Chunk(changes, 2) {
		all[change[0]] = change[1]
	}
	return all
}

func TestABuildMakesAnImageAndPushesIt(t *testing.T) {
	const (
		token  = "[aws][ecr][get-login-password]\n"
		login  = "[docker][login][--username][AWS][--password-stdin][registry] < the-token\n"
		made   = "[docker][build][--platform][linux/arm64][--tag][registry/team/my:src-1][.]\n"
		pushed = "[docker][push][registry/team/my:src-1]\n"
		tagged = "[docker][tag][registry/team/my:src-1][registry/team/my:latest]\n"
		latest = "[docker][push][registry/team/my:latest]\n"
	)
	with, without := []string{"Dockerfile"}, []string{"main.py"}
	cases := map[string]struct {
		build  build
		calls  []string
		failed []string
		says   string
	}{
		"with latest":              {build{variables(), with, "", false}, []string{token, login, made, pushed, tagged, latest}, nil, ""},
		"without latest":           {build{variables("IMAGE_LATEST", "false"), with, "", false}, []string{token, login, made, pushed}, nil, ""},
		"another word for latest":  {build{variables("IMAGE_LATEST", "yes"), with, "", false}, []string{token, login, made, pushed}, nil, ""},
		"a file more":              {build{variables(), []string{"Dockerfile", "main.py"}, "", false}, []string{token, login, made, pushed, tagged, latest}, nil, ""},
		"no Dockerfile":            {build{variables(), without, "", false}, nil, []string{"pre_build"}, "no file Dockerfile"},
		"no registry":              {build{variables("REGISTRY", ""), with, "", false}, nil, []string{"pre_build"}, "REGISTRY is not set: builds of this project are started by Rolekeeper"},
		"no repository":            {build{variables("REPOSITORY_URI", ""), with, "", false}, nil, []string{"pre_build"}, "REPOSITORY_URI is not set"},
		"no tag":                   {build{variables("IMAGE_TAG", ""), with, "", false}, nil, []string{"pre_build"}, "IMAGE_TAG is not set"},
		"no word of latest":        {build{variables("IMAGE_LATEST", ""), with, "", false}, nil, []string{"pre_build"}, "IMAGE_LATEST is not set"},
		"none of the variables":    {build{nil, with, "", false}, nil, []string{"pre_build"}, "REGISTRY is not set"},
		"no token":                 {build{variables(), with, "aws", false}, []string{token, strings.Replace(login, "the-token", "", 1)}, []string{"pre_build"}, ""},
		"a refused login":          {build{variables(), with, "docker login", false}, []string{token, login}, []string{"pre_build"}, ""},
		"a build that fails":       {build{variables(), with, "docker build", false}, []string{token, login, made}, []string{"build"}, ""},
		"a refused push":           {build{variables(), with, "docker push", false}, []string{token, login, made, pushed}, []string{"post_build"}, ""},
		"a tag that fails":         {build{variables(), with, "docker tag", false}, []string{token, login, made, pushed, tagged}, []string{"post_build"}, ""},
		"a refused push of latest": {build{variables(), with, "docker push registry/team/my:latest", false}, []string{token, login, made, pushed, tagged, latest}, []string{"post_build"}, ""},
	}
	for name, c := range cases {
		for _, c.build.session = range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				out := c.build.run(t)
				if diff := cmp.Diff(strings.Join(c.calls, ""), out.calls); diff != "" {
					t.Errorf("calls (-want +got)\n%s", diff)
				}
				if diff := cmp.Diff(c.failed, out.failed); diff != "" {
					t.Errorf("failed phases (-want +got)\n%s", diff)
				}
				if !strings.Contains(out.said, c.says) || c.says == "" && out.said != "" {
					t.Errorf("said %q, want %q", out.said, c.says)
				}
			})
		}
	}
}

func TestNoVariableOfABuildIsReadAsACommand(t *testing.T) {
	for _, value := range []string{
		"$(touch pwned)", "`touch pwned`", "; touch pwned", "x & touch pwned #", "| touch pwned", "\" touch pwned \"", "' touch pwned '",
		"a b", "*", "a\ttouch pwned", "$HOME", "${IFS}", "\\", "a[$(touch pwned)]", "> pwned", "--help", "é", "true] || touch pwned; [ x", "a\ntouch pwned",
	} {
		t.Run(value, func(t *testing.T) {
			run := func(set map[string]string, session, latest bool) {
				out := build{set, []string{"Dockerfile"}, "", session}.run(t)
				image := set["REPOSITORY_URI"] + ":" + set["IMAGE_TAG"]
				want := "[aws][ecr][get-login-password]\n" +
					"[docker][login][--username][AWS][--password-stdin][" + set["REGISTRY"] + "] < the-token\n" +
					"[docker][build][--platform][linux/arm64][--tag][" + image + "][.]\n" +
					"[docker][push][" + image + "]\n"
				if latest {
					moving := set["REPOSITORY_URI"] + ":latest"
					want += "[docker][tag][" + image + "][" + moving + "]\n[docker][push][" + moving + "]\n"
				}
				if diff := cmp.Diff(want, out.calls); diff != "" || out.failed != nil || out.said != "" {
					t.Errorf("%v: failed %q, said %q, calls (-want +got)\n%s", set, out.failed, out.said, diff)
				}
			}
			all := variables("REGISTRY", value, "REPOSITORY_URI", value, "IMAGE_TAG", value)
			run(all, false, true)
			run(all, true, true)
			run(variables("IMAGE_LATEST", value), true, false)
		})
	}
}

// What a shell reads again, or splits, is in no command.
func TestTheBuildspecQuotesEveryVariable(t *testing.T) {
	quoted, variable := regexp.MustCompile(`"[^"]*"`), regexp.MustCompile("[$`]|\\beval\\b|\\bsource\\b")
	for phase, p := range buildspec(t).Phases {
		for _, command := range p.Commands {
			if rest := quoted.ReplaceAllString(command, ""); variable.MatchString(rest) || strings.Contains(command, "$(") {
				t.Errorf("%s: %s", phase, command)
			}
		}
	}
}
