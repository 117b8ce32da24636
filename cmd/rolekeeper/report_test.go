package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// aPass gives a pass that found one of everything.
func aPass(changes ...func(*report.Pass)) report.Pass {
	role, build := runtimeRole("solo"), buildRole("solo")
	of := func(element, role string, kind report.Kind, action report.Action) report.Finding {
		return report.Finding{Config: teamKey, Agent: "solo", Role: role, Element: element, Kind: kind, Action: action, Since: at(9)}
	}
	edited := of("runtime/policy/"+naming.RuntimePolicy("solo"), role, report.KindEdited, report.ActionRepaired)
	edited.New, edited.Actor = true, "arn:aws:sts::123456789012:assumed-role/admin/bob"
	edited.Observed, edited.Desired = strings.Replace(orders, `"dynamodb:GetItem"`, `["dynamodb:PutItem","dynamodb:GetItem"]`, 1), orders
	unbound := of("runtime/boundary", role, report.KindEdited, report.ActionRepaired)
	unbound.Desired = boundary
	extra := of("runtime/policy/orders", role, report.KindExtra, report.ActionTold)
	extra.Observed, extra.Message = orders, "it is kept"
	replaced := of("build", build, report.KindReplaced, report.ActionBlocked)
	replaced.Fix = "have it adopted"
	project := of("project/settings", naming.Project("solo"), report.KindOutdated, report.ActionLater)
	project.Observed, project.Desired = "image one\nprivileged", "image two\nprivileged"
	other := of("runtime", runtimeRole("other"), report.KindRoleMissing, report.ActionHeldBack)
	other.Agent = "other"
	pass := report.Pass{
		V: report.PassVersion, ID: "pass-1", At: at(11), Seconds: 1.5, Account: "123456789012", Region: "us-east-1", Mode: "repair",
		Totals: report.Totals{
			Configs: 1, Agents: 2, Roles: 3, Drifted: 4, Outdated: 1, Refused: 1, Orphans: 1, Retiring: 1, Blocked: 1, Held: 1, Due: 1, Missed: 1, Runtimes: 1,
			Newer: 1, Unread: 1, Enqueued: 2, AccountRoles: 812, RolesQuota: 1000,
		},
		Findings: []report.Finding{
			other, replaced, project, unbound, edited, extra,
			{Role: boundary, Kind: report.KindBoundary, Action: report.ActionTold, Since: at(9)},
		},
		Leaving: []report.Leaving{
			{Config: "configs/gone.yaml", Agent: "idle", Phase: "retiring", Until: at(20), Blocks: []string{"arn:gateway (in-use); delete the gateway"}},
			{Config: teamKey, Agent: "kept", Phase: "held"},
		},
		Orphans: []report.Orphan{{
			Kind: report.OrphanRole, Name: runtimeRole("lost"), Agent: "lost", Reason: "nobody claims it", Fix: "rolekeeper retire " + runtimeRole("lost"), Since: at(9),
		}},
		Omitted: 3, History: []report.Point{},
		Linked: &report.Linked{LookedAt: at(10), Roles: []model.ServiceLinkedRole{{Name: "AWSServiceRoleForBedrockAgentCoreNetwork", Verdict: model.LinkedMissing}}},
	}
	for _, change := range changes {
		change(&pass)
	}
	return pass
}

// found leaves the report of a pass in the config bucket, and its page.
func (w *world) found(t *testing.T, pass report.Pass) {
	t.Helper()
	body, err := json.Marshal(pass)
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, naming.LatestPassKey, string(body))
	w.put(t, naming.LatestReportKey, "<!doctype html>\n<title>"+pass.ID+"</title>\n")
}

func TestTheReportIsToldInAFewLines(t *testing.T) {
	quiet := func(p *report.Pass) {
		p.Totals = report.Totals{Configs: 2, Agents: 2, Roles: 4}
		p.Findings, p.Leaving, p.Orphans, p.Omitted, p.Linked = nil, nil, nil, 0, nil
	}
	for name, c := range map[string]struct {
		change func(*report.Pass)
		golden string
		want   string
	}{
		"of everything":               {func(*report.Pass) {}, "report.txt", ""},
		"of nothing":                  {quiet, "report-quiet.txt", ""},
		"with how to let it go":       {func(p *report.Pass) { p.Stopped = &report.Stop{} }, "", "\n`rolekeeper approve --pass` shows what it would have done, and lets it go\n"},
		"of a pass that is not whole": {func(p *report.Pass) { p.Failed = "list roles: AccessDenied" }, "", "list roles: AccessDenied"},
		"of one that shows an earlier one": {
			func(p *report.Pass) {
				p.Failed, p.FoundAt, p.Stopped = "throttled", at(10), &report.Stop{Found: 30, Allowed: 24}
			}, "",
			"\nThe pass failed: what is shown was found by that of 2026-11-22 10:00:00 UTC. The pass was stopped before it changed anything: it would put 30 right, ",
		},
		"of a pass of this minute":      {func(p *report.Pass) { p.At = at(12).Add(-59 * time.Second) }, "", "pass of 2026-11-22T11:59:01Z, just now, "},
		"of a pass of a clock ahead":    {func(p *report.Pass) { p.At = at(13) }, "", "Z, just now, "},
		"of a pass that was a day back": {func(p *report.Pass) { p.At = at(12).Add(-25*time.Hour - time.Second) }, "", ", 25h ago, "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.found(t, aPass(c.change))
			got := w.run(t, "report")
			if got.code != exitGood || got.stderr != "" || !strings.Contains(got.stdout, c.want) || !strings.HasPrefix(got.stdout, report.Headline(aPass(c.change))+"\n") {
				t.Errorf("exit code %d; %q is not in\n%s%s", got.code, c.want, got.stdout, got.stderr)
			}
			if c.golden != "" {
				golden(t, c.golden, got.stdout)
			}
		})
	}
}

func TestWhenThePageIsKeptAndOpened(t *testing.T) {
	broken := errors.New("exec: xdg-open: not found")
	for name, c := range map[string]struct {
		screen, desktop bool
		args            []string // FILE stands for a file
		fails           error
		code            int
		kept            string // "temporary", "FILE" or nowhere
		opened          bool
		want            string
	}{
		"in a script":                           {false, true, nil, nil, exitGood, "", false, ""},
		"on a terminal":                         {true, true, nil, nil, exitGood, "temporary", true, "the page is in "},
		"on a terminal without a desktop":       {true, false, nil, nil, exitGood, "", false, ""},
		"on a terminal, not to be opened":       {true, true, []string{"--open=false"}, nil, exitGood, "", false, ""},
		"on a terminal, into a file":            {true, true, []string{"--file=FILE"}, nil, exitGood, "FILE", false, "the page is in "},
		"on a terminal, into a file and opened": {true, true, []string{"--file=FILE", "--open"}, nil, exitGood, "FILE", true, ""},
		"in a script that opens it":             {false, false, []string{"--open"}, nil, exitGood, "temporary", true, ""},
		"in a script, into a file":              {false, true, []string{"--file=FILE"}, nil, exitGood, "FILE", false, ""},
		"no browser":                            {true, true, nil, broken, exitGood, "temporary", true, "it was not opened: "},
		"no browser, though it was asked for":   {true, true, []string{"--open"}, broken, exitError, "temporary", true, "in the browser: exec: xdg-open: not found"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("TMPDIR", filepath.Join(folder, "temporary"))
			if err := os.Mkdir(os.TempDir(), 0o700); err != nil {
				t.Fatal(err)
			}
			w := newWorld()
			w.found(t, aPass())
			w.screen, w.desktop = c.screen, c.desktop
			var opened []string
			w.browse = func(_ context.Context, file string) error {
				opened = append(opened, file)
				return c.fails
			}
			args := []string{"report"}
			for _, a := range c.args {
				args = append(args, strings.Replace(a, "FILE", filepath.Join(folder, "FILE"), 1))
			}
			got := w.run(t, args...)
			if got.code != c.code || !strings.Contains(got.stdout, "pass of ") || !strings.Contains(got.stdout+got.stderr, c.want) {
				t.Errorf("exit code %d; %q is not in\n%s%s", got.code, c.want, got.stdout, got.stderr)
			}
			var kept []string
			for where, pattern := range map[string]string{"temporary": "temporary/rolekeeper-report-*.html", "FILE": "FILE"} {
				files, err := filepath.Glob(filepath.Join(folder, pattern))
				if err != nil || len(files) > 0 != (where == c.kept) {
					t.Errorf("%s: %q, %v", where, files, err)
				}
				kept = append(kept, files...)
			}
			for _, file := range kept {
				body, err := os.ReadFile(file)
				if err != nil || string(body) != "<!doctype html>\n<title>pass-1</title>\n" {
					t.Errorf("%s: %q, %v", file, body, err)
				}
				if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", file, info.Mode(), err)
				}
			}
			if c.opened != slices.Equal(opened, kept) && c.kept != "" || !c.opened && len(opened) > 0 {
				t.Errorf("opened %q, kept %q", opened, kept)
			}
		})
	}
}

func TestThePageAndItsDataAreGivenAsTheyAre(t *testing.T) {
	w := newWorld()
	w.screen, w.desktop = false, true
	w.found(t, aPass())
	if got := w.run(t, "report", "-o=html"); got.code != exitGood || got.stdout != "<!doctype html>\n<title>pass-1</title>\n" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	w.screen = true
	got := w.run(t, "report", "-o=json")
	pass, err := report.ParsePass([]byte(got.stdout))
	if diff := cmp.Diff(aPass(), pass); err != nil || got.code != exitGood || diff != "" {
		t.Errorf("exit code %d, %v\n%s%s", got.code, err, diff, got.stderr)
	}
	if got := w.run(t, "report", "-o=html"); got.code != exitError || got.stdout != "" || !strings.Contains(got.stderr, "nothing for a terminal") {
		t.Errorf("on a terminal: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if wrote := slices.DeleteFunc(w.Calls(), func(c awsfake.Call) bool { return c.Caller == owner || c.Operation == "GetObject" }); len(wrote) > 0 {
		t.Errorf("the tool called %v", wrote)
	}
}

func TestALargeReportIsReadWhole(t *testing.T) {
	w := newWorld()
	w.found(t, aPass(func(p *report.Pass) {
		for range 200 {
			p.Findings = append(p.Findings, report.Finding{Role: "r", Kind: report.KindExtra, Action: report.ActionTold, Observed: strings.Repeat("x", report.MaxDocument)})
		}
	}))
	if got := w.run(t, "report"); got.code != exitGood || !strings.Contains(got.stdout, "201 extra") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestWhyThereIsNoReport(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, w *world)
		args    []string
		want    []string
	}{
		"no pass was taken":             {func(*testing.T, *world) {}, nil, []string{"there is no report in bedrock-agentcore-configs-123456789012-us-east-1 yet", "DriftSchedule", "rolekeeper drift", "the platform team", "aws lambda invoke --function-name rolekeeper-drift --invocation-type Event "}},
		"no page of it":                 {func(t *testing.T, w *world) { w.put(t, naming.LatestPassKey, "{}") }, []string{"-o=html"}, []string{"there is no report"}},
		"it is damaged":                 {func(t *testing.T, w *world) { w.put(t, naming.LatestPassKey, `{"v":1`) }, nil, []string{naming.LatestPassKey, "damaged"}},
		"it is of another version":      {func(t *testing.T, w *world) { w.found(t, aPass(func(p *report.Pass) { p.V = 2 })) }, nil, []string{"version 2"}},
		"it may not be read":            {func(_ *testing.T, w *world) { w.DenyList(w.bucket, "developer") }, nil, []string{"AccessDenied", "may you list and read"}},
		"the bucket is not there":       {func(*testing.T, *world) {}, []string{"--bucket=other"}, []string{"s3://other/"}},
		"the file cannot be written":    {func(t *testing.T, w *world) { w.found(t, aPass()) }, []string{"--file=no/such/folder"}, []string{"write the page: open no/such/folder"}},
		"there is no temporary folder":  {func(t *testing.T, w *world) { w.found(t, aPass()); t.Setenv("TMPDIR", "/no/such/folder") }, []string{"--open"}, []string{"write the page: "}},
		"the page is gone by then":      {func(t *testing.T, w *world) { w.found(t, aPass()); w.forget(t, naming.LatestReportKey) }, []string{"--open"}, []string{"there is no report"}},
		"an output that is none of the": {func(*testing.T, *world) {}, []string{"-o=pdf"}, []string{"text or json or html"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			c.prepare(t, w)
			got := w.run(t, append([]string{"report"}, c.args...)...)
			for _, want := range c.want {
				if got.code != exitError || !strings.Contains(got.stderr, want) {
					t.Errorf("exit code %d; %q is not in %q", got.code, want, got.stderr)
				}
			}
		})
	}
}

// run itself fails on what is not for terminals.
func TestNothingOfAReportCommandsTheTerminal(t *testing.T) {
	const hostile = "\x1b[31m\u202e\nall is as it was left\u009b2J"
	w := newWorld()
	w.found(t, aPass(func(p *report.Pass) {
		p.Failed, p.Findings[0].Kind, p.Findings[1].Role, p.Findings[2].Observed = hostile, hostile, hostile, hostile
		p.Orphans[0].Reason, p.Leaving[0].Agent, p.ID, p.Linked.Roles[0].Name = hostile, hostile, "1", hostile
	}))
	for _, args := range [][]string{{"report"}, {"report", "-o=json"}} {
		if got := w.run(t, args...); got.code != exitGood || strings.Contains(got.stdout, "\nall is as it was") {
			t.Errorf("%q: exit code %d\n%s%s", args, got.code, got.stdout, got.stderr)
		}
	}
}

func TestHowADesktopOpensAFile(t *testing.T) {
	for system, want := range map[string]string{"linux": "xdg-open", "freebsd": "xdg-open", "darwin": "open", "windows": "rundll32 url.dll,FileProtocolHandler"} {
		if got := strings.Join(opener(system), " "); got != want {
			t.Errorf("%s: %q, want %q", system, got, want)
		}
	}
	for name, c := range map[string]struct {
		system string
		env    map[string]string
		want   bool
	}{
		"X11":        {"linux", map[string]string{"DISPLAY": ":0"}, true},
		"Wayland":    {"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true},
		"a shell":    {"linux", nil, false},
		"a Mac":      {"darwin", nil, true},
		"on Windows": {"windows", nil, true},
	} {
		if got := desktop(c.system, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func TestTheFileIsHandedToTheDesktop(t *testing.T) {
	folder := t.TempDir()
	script := "#!/bin/sh\nprintf %s \"$*\" > " + folder + "/told\n"
	if err := os.WriteFile(filepath.Join(folder, opener(runtime.GOOS)[0]), []byte(script), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	t.Setenv("PATH", folder)
	if err := browse(t.Context(), "/a file.html"); err != nil {
		t.Fatal(err)
	}
	if told, err := os.ReadFile(filepath.Join(folder, "told")); err != nil || !strings.HasSuffix(string(told), "/a file.html") {
		t.Errorf("%q, %v", told, err)
	}
	t.Setenv("PATH", "/nowhere")
	if err := browse(t.Context(), "/a file.html"); err == nil {
		t.Error("nothing was run, and that is no error")
	}
}
