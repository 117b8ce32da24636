package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the golden files anew")

// outcome is what a run of the tool left.
type outcome struct {
	code           int
	stdout, stderr string
}

// tool is one run of the tool; it fails the test that lets it ask AWS.
type tool struct {
	stdin    string
	terminal bool // stdin is one
	screen   bool // stdout is one
	desktop  bool
	browse   func(context.Context, string) error
	env      map[string]string
	connect  func(context.Context, string) (account, error)
	sleep    func(context.Context, time.Duration) error
	now      func() time.Time // noon when nil
}

func (c tool) run(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	connect := c.connect
	if connect == nil {
		connect = func(context.Context, string) (account, error) {
			t.Error("AWS was asked")
			return account{}, errors.New("not in this test")
		}
	}
	now := c.now
	if now == nil {
		now = func() time.Time { return at(12) }
	}
	p := program{
		stdin: strings.NewReader(c.stdin), stdout: &terminal{w: &stdout}, stderr: &terminal{w: &stderr},
		getenv: func(name string) string { return c.env[name] }, connect: connect,
		interactive: c.terminal, screen: c.screen, desktop: c.desktop, browse: c.browse,
		now: now, sleep: c.sleep, random: func() string { return "0123abcd" },
	}
	code := p.run(t.Context(), args)
	for _, r := range stdout.String() + stderr.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%q is not for terminals:\n%q\n%q", r, stdout.String(), stderr.String())
		}
	}
	if strings.Count(stderr.String(), "\n") > 1 {
		t.Errorf("an error takes one line:\n%s", stderr.String())
	}
	return outcome{code, stdout.String(), stderr.String()}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s; -update writes it anew (-want +got)\n%s", path, diff)
	}
}

const sample = "../../shared/agent/testdata/"

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  int
	}{
		"a good config":                        {[]string{"render", sample + "multi-agent.yaml"}, "", 0},
		"a good config as JSON":                {[]string{"render", "-o", "json", sample + "multi-agent.yaml"}, "", 0},
		"a good config with a warning":         {[]string{"render", "-"}, warned, 0},
		"faults":                               {[]string{"render", sample + "wild/10.yaml", "--account=111122223333", "--region=us-east-1"}, "", 3},
		"faults as JSON":                       {[]string{"render", "-o=json", "-", "--account=999988887777"}, warned, 3},
		"a fault that only the roles show":     {[]string{"render", "-"}, siblings, 3},
		"no YAML, and no place to be told":     {[]string{"render", "-"}, "agents: [", 3},
		"nothing at all":                       {[]string{"render", "-"}, "", 3},
		"no agents":                            {[]string{"render", "-o=json", "-"}, "agents: {}", 3},
		"no account to be told":                {[]string{"render", "-", "--region=eu-west-1"}, "agents: {one: {name: one, entrypoint: a.py, aws: {}}}", 1},
		"an account that is none":              {[]string{"render", "-", "--account=1"}, warned, 1},
		"a region that is none":                {[]string{"render", "-", "--region=here"}, warned, 1},
		"a file that is not there":             {[]string{"render", "no-such-file.yaml"}, "", 1},
		"a folder":                             {[]string{"render", "testdata"}, "", 1},
		"a settings file that is not there":    {[]string{"render", "-", "--settings=no-such-file"}, warned, 1},
		"a boundary that is no policy":         {[]string{"render", "-", "--boundary=Boundary"}, warned, 1},
		"a key that no config has":             {[]string{"render", "-", "--key=a b"}, warned, 1},
		"an unknown profile":                   {[]string{"render", "-", "--profile=all"}, warned, 1},
		"an unknown output":                    {[]string{"render", "-", "-o", "yaml"}, warned, 1},
		"an unknown flag":                      {[]string{"render", "-", "--frob"}, warned, 1},
		"no file":                              {[]string{"render"}, "", 1},
		"two files":                            {[]string{"render", "a", "b"}, "", 1},
		"an unknown command":                   {[]string{"frob"}, "", 1},
		"a status of a key that no config has": {[]string{"status", "a/../b"}, "", 1},
		"two keys":                             {[]string{"status", "a", "b"}, "", 1},
		"a plan of nothing":                    {[]string{"plan"}, "", 1},
		"a plan of two":                        {[]string{"plan", "a", "b"}, "", 1},
		"an adoption of nobody":                {[]string{"adopt", "a"}, "", 1},
		"an approval of nothing":               {[]string{"approve"}, "", 1},
		"an approval of two things":            {[]string{"approve", "a", "--pass"}, "", 1},
		"a retirement of nothing":              {[]string{"retire"}, "", 1},
		"a check of something":                 {[]string{"drift", "a"}, "", 1},
		"a report on something":                {[]string{"report", "a"}, "", 1},
		"a report that is data and opened":     {[]string{"report", "-o=json", "--open"}, "", 1},
		"a report that is a page twice":        {[]string{"report", "-o=html", "--file=a"}, "", 1},
		"a release of no agent":                {[]string{"release", "a"}, "", 1},
		"a restoring of nothing":               {[]string{"restore"}, "", 1},
		"a restoring to no time":               {[]string{"restore", "a", "--at=yesterday"}, "", 1},
		"a build of nobody":                    {[]string{"build", "a"}, "", 1},
		"a look at one service-linked role":    {[]string{"slr", "a"}, "", 1},
		"a deletion of nothing":                {[]string{"slr", "delete"}, "", 1},
		"a deletion of two things":             {[]string{"slr", "delete", "a", "b"}, "", 1},
		"a deletion of no such role":           {[]string{"slr", "delete", "a"}, "", 1},
		"a deletion as data":                   {[]string{"slr", "delete", "network", "-o=json"}, "", 1},
		"help of a command of a command":       {[]string{"help", "slr", "delete"}, "", 0},
		"help":                                 {[]string{"--help"}, "", 0},
		"no command is a call for help":        {nil, "", 0},
		"help of a command":                    {[]string{"help", "render"}, "", 0},
		"version":                              {[]string{"--version"}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := tool{stdin: c.stdin}.run(t, c.args...)
			if got.code != c.want {
				t.Errorf("exit code %d, want %d\n%s%s", got.code, c.want, got.stdout, got.stderr)
			}
			// The answer is on stdout; stderr says why there is none.
			if (got.stdout == "") != (c.want == exitError) || (got.stderr == "") == (c.want == exitError) {
				t.Errorf("stdout %q\nstderr %q", got.stdout, got.stderr)
			}
		})
	}
}

func TestAnOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, args := range [][]string{
		{"render", sample + "multi-agent.yaml"},
		{"render", "-o=json", sample + "multi-agent.yaml"},
		{"render", sample + "wild/10.yaml", "--account=111122223333", "--region=us-east-1"},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), args, strings.NewReader(""), full{}, &stderr, func(string) string { return "" })
		if code != exitError || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr.String())
		}
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWhoCanBeAsked(t *testing.T) {
	for name, want := range map[string]bool{
		"run_test.go": false,
		os.DevNull:    false,
		"/dev/ptmx":   true, // a terminal of its own for whoever opens it
	} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) && want {
			t.Logf("not looked at: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if got := device(f); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
	if device(strings.NewReader("yes")) {
		t.Error("a text is nobody")
	}
}

func TestAnInterruptEndsASleep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := sleep(ctx, time.Nanosecond); err != nil {
		t.Error(err)
	}
	cancel()
	if err := sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// everyCommand gives all commands of the tool, those within others too.
func everyCommand() []*cobra.Command {
	all := (program{}).root().Commands()
	for _, c := range all {
		all = append(all, c.Commands()...)
	}
	return all
}

func TestTheHelpShowsEveryCommandWithAnExample(t *testing.T) {
	for _, c := range everyCommand() {
		if c.Short == "" || c.Long == "" || !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s lacks help or an example", c.CommandPath())
		}
		help := tool{}.run(t, append(strings.Fields(c.Parent().CommandPath())[1:], "--help")...).stdout
		if !strings.Contains(help, c.Name()) || !strings.Contains(help, c.Short) {
			t.Errorf("the help does not name %s:\n%s", c.CommandPath(), help)
		}
	}
}

func TestTheDocumentationNamesEveryCommandAndFlag(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range everyCommand() {
		name := strings.TrimPrefix(c.CommandPath(), "rolekeeper ")
		if !regexp.MustCompile(`(?m)^## (.*, )?` + name + `\b`).Match(text) {
			t.Errorf("docs/cli.md has no section %s", name)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(string(text), "--"+f.Name) {
				t.Errorf("docs/cli.md lacks --%s of %s", f.Name, name)
			}
		})
	}
}

func TestTheVersionNamesReleaseOrCommit(t *testing.T) {
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123abcd"}}
	for name, c := range map[string]struct {
		info debug.BuildInfo
		ok   bool
		want string
	}{
		"a release":        {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: commit}, true, "v1.2.3"},
		"a checkout":       {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: commit}, true, "(devel) 0123abcd"},
		"without a commit": {debug.BuildInfo{}, true, "(devel)"},
		"without anything": {debug.BuildInfo{}, false, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := version(&c.info, c.ok); got != c.want {
				t.Errorf("version = %q, want %q", got, c.want)
			}
		})
	}
}
