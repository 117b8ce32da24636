// Package page has the page of a pass looked at in a real browser, a headless
// Chromium that comes inside an npm package.
package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
	"rolekeeper/shared/report/page"
)

// look is what page.mjs tells of a page at one time.
type look struct {
	Rows, Groups, Lines, Differences int
	Linked, Regions                  int // rows of service-linked roles, Regions looked at
	Contrast                         float64
	Shown, Background, Color, Text   string
	Search, Overflows                bool
}

type seen struct {
	Asked, Complaints []string
	Version, Slash    string

	Light, Searched, Policy, Cleared, Filtered, Both, Roles, Fresh, None, Opened, Toggled, Untoggled look
	Dark, Narrow, Plain, Printed, Hostile, Large, LargeSearched, LargeOpened                         look

	Jumped, Injected, Pwned            bool
	Elements                           int
	Loaded, FirstKey, NextKey, OpenAll float64 // milliseconds
}

// browse has a browser look at pages. Without it the test is skipped, unless
// ROLEKEEPER_FULL=1 asks for every test.
func browse(t *testing.T, ordinary, hostile, large report.Pass) seen {
	t.Helper()
	if _, err := os.Stat("node_modules/puppeteer-core"); err != nil {
		const missing = "the browser is not installed: run npm ci --prefix local/page"
		if os.Getenv("ROLEKEEPER_FULL") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	dir := t.TempDir()
	input := map[string]string{"pictures": os.Getenv("PICTURES")}
	for name, p := range map[string]report.Pass{"page": ordinary, "hostile": hostile, "large": large} {
		text, err := page.Of(p)
		if err != nil {
			t.Fatal(err)
		}
		input[name] = filepath.Join(dir, name+".html")
		if err := os.WriteFile(input[name], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stdin, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "node", "page.mjs")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var s seen
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	return s
}

// ordinary gives a pass with some of everything that a page shows.
func ordinary(t *testing.T) report.Pass {
	t.Helper()
	text, err := os.ReadFile("../../shared/report/testdata/pass.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := report.ParsePass(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// attacks are texts that do harm where they are not text. Each would run, ask
// for something, or change what is read beside it.
func attacks() []string {
	return []string{
		`<script>window.pwned=1</script>`, `"><img src=x onerror="window.pwned=1">`, `' onclick='window.pwned=1`, `</pre></li></script><script>window.pwned=1</script>`,
		`javascript:window.pwned=1`, `<!-- `, `]]><svg onload=window.pwned=1>`, `{{.Account}}`, `<base href="http://127.0.0.1:1/">`, "\x1b[2J\x1b]0;pwned\x07",
		"a\u202etxt.exe", "\u2066x\u2069\u200b", "a\x00b\r\nc\td", "\xff\xfe", "<style>*{display:none}</style>", `<meta http-equiv=refresh content="0;url=http://127.0.0.1:1/">`,
	}
}

// hostile gives a pass whose every text is one that attacks.
func hostile(t *testing.T) report.Pass {
	t.Helper()
	p := ordinary(t)
	p.Findings, p.Leaving, p.Orphans, p.Linked = nil, nil, nil, &report.Linked{LookedAt: p.At}
	for i, x := range attacks() {
		p.Findings = append(p.Findings,
			report.Finding{
				Config: x, Agent: x, Role: x, Element: x, Kind: report.KindEdited, Action: report.Action(x), Since: p.At, New: i%2 == 0, Actor: x,
				Observed: x, Desired: `{"a":` + fmt.Sprintf("%q", x) + `}`, Message: x, Fix: x + " `" + x + "`",
			},
			report.Finding{Role: x, Kind: report.Kind(x)})
		p.Leaving = append(p.Leaving, report.Leaving{Config: x, Agent: x, Phase: x, Blocks: []string{x}})
		p.Orphans = append(p.Orphans, report.Orphan{Kind: report.OrphanKind(x), Name: x, Agent: x, Config: x, Reason: x, Fix: x, New: true})
		p.Linked.Roles = append(p.Linked.Roles, model.ServiceLinkedRole{
			Name: x, Service: x, Verdict: model.Verdict(x), Reasons: []string{x}, Fix: x, Created: p.At, LastUsed: p.At, LastUsedRegion: x,
			Needs: []model.LinkedNeed{{Kind: x, Name: x, Region: x, Status: x}}, Unread: []string{x},
			Policy:   &model.LinkedPolicy{ARN: x, Version: x, Document: x, Changed: p.At, Before: x, Was: `{"a":` + fmt.Sprintf("%q", x) + `}`, Unread: x},
			Deletion: &model.LinkedDeletion{Request: x, State: model.LinkedDeletionState(x), Reason: x, Usage: []model.LinkedUsage{{Region: x, Resources: []string{x}}}},
		})
		p.Linked.Regions = append(p.Linked.Regions, model.LinkedRegion{Name: x, Unread: []string{x}})
	}
	all := strings.Join(attacks(), "")
	p.ID, p.Account, p.Region, p.Mode, p.Failed, p.BoundaryVersion = all, all, all, all, all, all
	p.Linked.Unread = all
	return p
}

// large gives a pass with as many findings as one has, each with a difference.
func large(t *testing.T) report.Pass {
	t.Helper()
	p := ordinary(t)
	example := p.Findings[slices.IndexFunc(p.Findings, func(f report.Finding) bool { return f.Actor != "" })]
	p.Findings = nil
	for i := range report.MaxFindings {
		one := example
		one.Config, one.Agent, one.New = fmt.Sprintf("configs/team-%d/agent.yaml", i/10), fmt.Sprintf("agent-%d", i), false
		one.Kind = []report.Kind{report.KindEdited, report.KindExtra, report.KindMissing}[i%3]
		p.Findings = append(p.Findings, one)
	}
	return p
}

func TestAPassIsReadableInABrowser(t *testing.T) {
	pass, many := ordinary(t), large(t)
	s := browse(t, pass, hostile(t), many)
	rows := len(pass.Findings) + len(pass.Leaving) + len(pass.Orphans) + len(pass.Linked.Roles)

	if len(s.Asked) > 0 || len(s.Complaints) > 0 {
		t.Errorf("%s: requests %q, complaints %q", s.Version, s.Asked, s.Complaints)
	}
	for name, c := range map[string]struct {
		look look
		rows int
	}{
		"light": {s.Light, rows}, "dark": {s.Dark, rows}, "narrow": {s.Narrow, rows}, "without JavaScript": {s.Plain, rows}, "printed": {s.Printed, rows},
		"searched": {s.Searched, 1}, "searched in a policy": {s.Policy, 2}, "cleared": {s.Cleared, rows}, "filtered": {s.Filtered, 2},
		"filtered by two": {s.Both, 3}, "service-linked roles": {s.Roles, len(pass.Linked.Roles)}, "what is new": {s.Fresh, 3}, "nothing matches": {s.None, 0}, "all differences": {s.Opened, rows},
	} {
		if c.look.Rows != c.rows || c.look.Overflows {
			t.Errorf("%s: %d rows, want %d; wider than the window: %v", name, c.look.Rows, c.rows, c.look.Overflows)
		}
	}
	if s.Searched.Groups != 1 || s.None.Groups != 0 || s.Searched.Shown != fmt.Sprintf("1 of %d", rows) {
		t.Errorf("%d groups, %d groups, %q", s.Searched.Groups, s.None.Groups, s.Searched.Shown)
	}
	if s.Slash != "search" || !s.Jumped {
		t.Errorf("the slash leads to %q; a link leads to its row: %v", s.Slash, s.Jumped)
	}
	if s.Light.Lines < 6 || s.Plain.Lines != s.Light.Lines || s.Light.Differences == 0 {
		t.Errorf("the chart has %d lines, %d without JavaScript; %d differences", s.Light.Lines, s.Plain.Lines, s.Light.Differences)
	}
	if !s.Light.Search || s.Plain.Search {
		t.Errorf("a search box that works: %v, without JavaScript %v", s.Light.Search, s.Plain.Search)
	}

	for name, l := range map[string]look{"light": s.Light, "dark": s.Dark, "narrow": s.Narrow, "without JavaScript": s.Plain, "printed": s.Printed, "filtered": s.Roles} {
		if l.Linked != len(pass.Linked.Roles) || l.Regions != len(pass.Linked.Regions) {
			t.Errorf("%s: %d service-linked roles, %d Regions", name, l.Linked, l.Regions)
		}
	}
	if s.Filtered.Linked+s.Filtered.Regions != 0 || s.Roles.Groups != 1 {
		t.Errorf("filtered by another kind: %d service-linked roles, %d Regions; by theirs: %d groups", s.Filtered.Linked, s.Filtered.Regions, s.Roles.Groups)
	}
	for name, l := range map[string]look{"light": s.Light, "dark": s.Dark, "toggled": s.Toggled, "opened": s.Opened, "printed": s.Printed} {
		if l.Contrast < 4.5 { // WCAG 2.1, level AA
			t.Errorf("%s: text of service-linked roles has a contrast of %.2f", name, l.Contrast)
		}
	}

	light, dark := s.Light.Background+s.Light.Color, s.Dark.Background+s.Dark.Color
	if light == dark || s.Light.Background == s.Dark.Background || s.Toggled.Background+s.Toggled.Color != dark ||
		s.Untoggled.Background != s.Light.Background || s.Printed.Background != s.Light.Background {
		t.Errorf("light %s, dark %s, toggled %s, back %s, printed %s", light, dark, s.Toggled.Background, s.Untoggled.Background, s.Printed.Background)
	}

	if s.Injected {
		t.Error("a script that is not the page's own ran")
	}
	if s.Pwned || s.Elements != 1 { // the page's own script
		t.Errorf("a hostile text ran: %v; %d elements that only such texts have", s.Pwned, s.Elements-1)
	}
	if n := 5 * len(attacks()); s.Hostile.Rows != n || s.Hostile.Overflows {
		t.Errorf("%d rows, want %d; wider than the window: %v", s.Hostile.Rows, n, s.Hostile.Overflows)
	}
	for _, x := range []string{`<script>window.pwned=1</script>`, `a\u202etxt.exe`, `\x1b[2J`, `a\x00b\r`} {
		if !strings.Contains(s.Hostile.Text, x) {
			t.Errorf("%q is not shown as text", x)
		}
	}
	if at := strings.IndexFunc(s.Hostile.Text, func(r rune) bool { return slices.Contains([]rune("\u202e\u2066\u200b\x1b\x00"), r) }); at >= 0 {
		t.Errorf("a character that commands is shown: %q", s.Hostile.Text[at:at+10])
	}

	t.Logf("%s: %d rows in %.0f ms; the first letter %.0f ms, the next %.0f ms; all differences %.0f ms",
		s.Version, s.Large.Rows, s.Loaded, s.FirstKey, s.NextKey, s.OpenAll)
	if want := len(many.Findings) + len(pass.Leaving) + len(pass.Orphans) + len(pass.Linked.Roles); s.Large.Rows != want || s.LargeSearched.Rows != 1 {
		t.Errorf("%d rows, want %d; %d after a search", s.Large.Rows, want, s.LargeSearched.Rows)
	}
	if s.Large.Differences != 0 || s.LargeOpened.Differences != len(many.Findings)+1 { // and of a policy that AWS changed
		t.Errorf("%d differences, %d opened", s.Large.Differences, s.LargeOpened.Differences)
	}
	if s.NextKey > 1000 || s.Loaded > 20_000 {
		t.Errorf("too slow: %.0f ms, %.0f ms", s.Loaded, s.NextKey)
	}
}
