package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
	"rolekeeper/shared/report/page"
)

// samplePath is where a pass is written down that has some of everything.
const samplePath = "../testdata/pass.json"

// sample gives a pass with some of everything that a page shows.
func sample(t testing.TB) report.Pass {
	t.Helper()
	text, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	p, err := report.ParsePass(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func made(t testing.TB, p report.Pass) string {
	t.Helper()
	text, err := page.Of(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	script = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	style  = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	// markup is what the page itself is made of.
	markup = regexp.MustCompile(`<!doctype html>|</?(a|b|body|button|circle|code|dd|del|details|div|dl|dt|footer|g|h1|h2|head|header|html|i|input|ins|label|li|line|main|meta|p|polyline|pre|rect|search|section|small|span|strong|summary|svg|table|tbody|td|text|th|thead|time|title|tr|ul)` +
		`( (aria-hidden|aria-label|aria-pressed|autocomplete|charset|class|colspan|content|cx|cy|data-filter|data-kind|data-new|datetime|disabled|dy|for|height|hidden|href|http-equiv|id|lang|name|open|placeholder|points|preserveAspectRatio|r|role|spellcheck|text-anchor|title|type|viewBox|width|x|x1|x2|y|y1|y2)(="[^"<>]*")?)* ?/?>`)
	link = regexp.MustCompile(`href="([^"]*)"`)
)

// read gives what a page says, without its markup, script and style. It fails
// when anything is left that is neither markup of the page nor text.
func read(t testing.TB, shown string) string {
	t.Helper()
	for _, m := range link.FindAllStringSubmatch(shown, -1) {
		if !regexp.MustCompile(`\A#[fo][0-9]+\z`).MatchString(m[1]) {
			t.Errorf("a link to %q", m[1])
		}
	}
	for name, own := range map[string]*regexp.Regexp{"script": script, "style": style} {
		if n := len(own.FindAllString(shown, -1)); n != 1 {
			t.Errorf("%d of %s", n, name)
		}
		shown = own.ReplaceAllString(shown, "")
	}
	text := markup.ReplaceAllString(shown, "")
	if at := strings.IndexAny(text, "<>"); at >= 0 {
		t.Errorf("something is no text: %q", text[max(0, at-40):min(len(text), at+80)])
	}
	if at := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
		t.Errorf("a character commands: %q", shown[max(0, at-40):min(len(shown), at+40)])
	}
	return html.UnescapeString(text)
}

func TestAPageShowsAllOfAPass(t *testing.T) {
	p := sample(t)
	text := read(t, made(t, p))
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem(), path)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				switch name := v.Type().Field(i).Name; {
				case v.Type() == reflect.TypeFor[time.Time]():
				case name == "Observed", name == "Desired", name == "Kind", name == "Action", name == "Mode", name == "Verdict", name == "State", name == "Was", name == "Document": // in words
				default:
					walk(v.Field(i), path+"."+name)
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), path+"["+strconv.Itoa(i)+"]")
			}
		case reflect.String:
			if s := strings.ReplaceAll(v.String(), "`", ""); !strings.Contains(text, s) {
				t.Errorf("%s: %q is not shown", path, s)
			}
		default:
		}
	}
	walk(reflect.ValueOf(p), "pass")
	for _, want := range []string{
		"5 roles, projects and policies are not as they were left.", "Of 6 findings 3 are to be put right, 1 is to be put right later, 1 is left as it is, 1 is blocked.",
		"The pass before did not have 2 of them.", "1 config could not be judged.",
		"Replaced 1", "Edited by hand 2", `-        "AWS": "arn:aws:iam::444455556666:root",`, "-rolekeeper:agent = other\n+rolekeeper:agent = triage\n",
		"repaired (DriftMode repair)", "7.4 s, 24 calls of IAM", "2026-11-22 12:00:03 UTC", "for 40 min", "for 5 h", "for 3 days", "first seen now",
		"retiring in 5 h 2026-11-22 17:00:03 UTC", "retiring due 2026-11-22 11:00:03 UTC", "Unclaimed role", "92.2 %", "1,844 of 2,000 roles; 1,280 are of agents.",
		"More than 80 %", "not as left 5", "5 +1", "1,280 +33",
	} {
		if !strings.Contains(strings.ReplaceAll(text, "  ", " "), want) && !strings.Contains(text, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	if first, second := made(t, p), made(t, p); first != second {
		t.Error("one pass has two pages")
	}
}

func TestEveryCountOfAPassIsShown(t *testing.T) {
	for i := range reflect.TypeFor[report.Totals]().NumField() {
		p := report.Pass{Totals: report.Totals{RolesQuota: 1}}
		name := reflect.TypeFor[report.Totals]().Field(i).Name
		reflect.ValueOf(&p.Totals).Elem().Field(i).SetInt(1234567)
		if !strings.Contains(read(t, made(t, p)), "1,234,567") {
			t.Errorf("%s is not shown", name)
		}
	}
}

func TestAPageSaysHowThePassFoundTheAccount(t *testing.T) {
	finding := []report.Finding{{Kind: report.KindPending}}
	stop, at := &report.Stop{Found: 1200, Allowed: 40}, time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	for name, p := range map[string]report.Pass{
		"all as left":                            {},
		"all as left, and a finding":             {Findings: finding},
		"one thing that is not":                  {Totals: report.Totals{Drifted: 1}, Findings: finding},
		"many":                                   {Totals: report.Totals{Drifted: 2000}, Findings: finding},
		"one that was stopped":                   {Stopped: stop, Totals: report.Totals{Drifted: 1200}},
		"one that failed first":                  {Failed: "x"},
		"one that failed when it had found much": {Failed: "list roles: throttled.", Totals: report.Totals{Drifted: 1}},
		"one that failed and was stopped itself": {Failed: "x", Stopped: stop},
		"one that failed and went on":            {Failed: "x", Totals: report.Totals{Enqueued: 1}},
		"one after one that was not stopped":     {Failed: "x", FoundAt: at, Totals: report.Totals{Drifted: 1}},
		"one after one that was stopped":         {Failed: "x", FoundAt: at, Stopped: stop},
		"one after one that found all as left":   {Failed: "x", FoundAt: at},
	} {
		says := read(t, made(t, p))
		for _, want := range []string{report.Headline(p), report.Nonetheless(p)} {
			if !strings.Contains(says, want) {
				t.Errorf("%s: %q is not on the page", name, want)
			}
		}
	}
}

func TestWhatUrgesShows(t *testing.T) {
	mood := regexp.MustCompile(`<section class="headline ([a-z]+)">`)
	for name, c := range map[string]struct {
		pass      report.Pass
		mood      string
		says, not string
	}{
		"nothing":     {report.Pass{}, "good", "configs", "approve"},
		"a finding":   {report.Pass{Totals: report.Totals{Drifted: 1}}, "warn", "", ""},
		"orphans":     {report.Pass{Totals: report.Totals{Orphans: 1}}, "warn", "", ""},
		"a failure":   {report.Pass{Failed: "x", Totals: report.Totals{Configs: 3}}, "bad", "Nothing was changed because of it.", "configs refused"},
		"a late one":  {report.Pass{Failed: "x", Totals: report.Totals{Enqueued: 3}}, "bad", "", "Nothing was changed because of it."},
		"the brake":   {report.Pass{Stopped: &report.Stop{}}, "bad", "rolekeeper approve --pass", ""},
		"no quota":    {report.Pass{Totals: report.Totals{AccountRoles: 9}}, "good", "How many roles the account may have is not known.", "%"},
		"80 percent":  {report.Pass{Totals: report.Totals{AccountRoles: 80, RolesQuota: 100}}, "good", "80.0 %", "More than 80 %"},
		"81 percent":  {report.Pass{Totals: report.Totals{AccountRoles: 81, RolesQuota: 100}}, "good", "More than 80 %", ""},
		"no room":     {report.Pass{Omitted: 1200}, "good", "There was no room for 1,200 more", ""},
		"report mode": {report.Pass{Mode: "report"}, "good", "told and left (DriftMode report)", ""},
	} {
		text := made(t, c.pass)
		says := read(t, text)
		if m := mood.FindStringSubmatch(text); m == nil || m[1] != c.mood {
			t.Errorf("%s: %q, want %s", name, m, c.mood)
		}
		if !strings.Contains(says, c.says) || c.not != "" && strings.Contains(says, c.not) {
			t.Errorf("%s: wants %q, not %q:\n%s", name, c.says, c.not, says)
		}
	}
}

// A browser runs the script whose hash the policy of the page names, and none
// else; it asks for nothing at all.
func TestThePolicyOfThePageAllowsItsOwnScriptAndStyleOnly(t *testing.T) {
	text := made(t, sample(t))
	m := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal("no policy")
	}
	source := func(own *regexp.Regexp) string {
		sum := sha256.Sum256([]byte(own.FindStringSubmatch(text)[1]))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	want := "default-src 'none'; style-src " + source(style) + "; script-src " + source(script) + "; base-uri 'none'; form-action 'none'"
	if got := html.UnescapeString(m[1]); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if strings.Index(text, m[0]) > strings.Index(text, "<style>") {
		t.Error("the policy comes after what it is about")
	}
	for _, asks := range []string{"url(", "@import", "http://", "https://", "fetch(", "XMLHttpRequest", "innerHTML", "eval(", " style="} {
		if strings.Contains(text, asks) {
			t.Errorf("the page has %q", asks)
		}
	}
}

func TestNothingOfAFindingIsMarkup(t *testing.T) {
	for _, s := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror="alert(1)">`, `'onclick='x`, `</pre></li>`, `<!--`, `]]>`, `{{.}}`, "javascript:alert(1)", "\x1b[2J", "a\u202eb",
		"\u2066\u200b\u00ad\ufeff", "\x00\r\n\t\x7f", "\xff", "`<b>`", "&lt;", strings.Repeat("<", 3000),
	} {
		read(t, made(t, everywhere(t, s, s)))
	}
}

// everywhere gives a pass in which a text, and a document, stand wherever one can.
func everywhere(t testing.TB, s, document string) report.Pass {
	t.Helper()
	at := time.Unix(1_800_000_000, 0)
	p := report.Pass{V: report.PassVersion, ID: s, At: at, Account: s, Region: s, Mode: s, Failed: s, BoundaryVersion: s, Stopped: &report.Stop{Hash: s}}
	for _, k := range append(report.Kinds(), report.Kind(s)) {
		p.Findings = append(p.Findings, report.Finding{
			Config: s, Agent: s, Role: s, Element: s, Kind: k, Action: report.Action(s), Since: at, New: true, Actor: s, Observed: document, Desired: s, Message: s, Fix: s,
		})
	}
	p.Leaving = []report.Leaving{{Config: s, Agent: s, Phase: s, Until: at, Blocks: []string{s}}}
	p.Orphans = []report.Orphan{{Kind: report.OrphanKind(s), Name: s, Agent: s, Config: s, Reason: s, Fix: s, Since: at, New: true}}
	p.Linked = &report.Linked{Unread: s, LookedAt: at, Regions: []model.LinkedRegion{{Name: s, Unread: []string{s}}}}
	for _, v := range append(verdicts(t), model.Verdict(s)) {
		p.Linked.Roles = append(p.Linked.Roles, model.ServiceLinkedRole{
			Name: s, Service: s, Verdict: v, Since: at, Reasons: []string{s}, Fix: s, Created: at, LastUsed: at, LastUsedRegion: s,
			Needs: []model.LinkedNeed{{Kind: s, Name: s, Region: s, Status: s}}, MoreNeeds: len(s), Unread: []string{s},
			Policy:   &model.LinkedPolicy{ARN: s, Version: s, Document: document, Changed: at, Before: s, Was: s, Unread: s, Updated: at},
			Accessed: &model.LinkedAccess{Last: at.Add(time.Duration(len(s)-3) * time.Second), Region: s, Service: s, Failed: s},
			Deletion: &model.LinkedDeletion{Request: s, At: at, State: model.LinkedDeletionState(s), Reason: s, Usage: []model.LinkedUsage{{Region: s, Resources: []string{s}}, {Region: s}}, EndedAt: at},
		})
	}
	return p
}

func FuzzPage(f *testing.F) {
	for _, s := range []string{"", "plain", `<script>`, "\u202e\x1b[2J`\n+ x", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"<b>","Resource":"*"}]}`} {
		f.Add(s, s, int64(0), 7, true)
	}
	f.Add("a", `{"Statement":[]}`, int64(-62135596800), -1<<62, false)
	f.Fuzz(func(t *testing.T, s, document string, seconds int64, n int, failed bool) {
		p := everywhere(t, s, document)
		at := time.Unix(seconds%253402300800, 0)
		p.At, p.Findings[0].Since, p.Leaving[0].Until = at, at.Add(-time.Hour), at.Add(time.Hour)
		p.Linked.LookedAt, p.Linked.BegunAt, p.Linked.Roles[0].Since = at.Add(-time.Duration(n)), at, time.Time{}
		p.Linked.Regions[0].Resources = n
		p.History = []report.Point{{At: at.Add(-time.Hour), Drifted: n}, {At: at, Orphans: n, Failed: failed}, {At: time.Unix(0, 0), Blocked: n, Stopped: true}}
		p.Totals = report.Totals{Drifted: n, AccountRoles: n, RolesQuota: n / 2, Roles: n, Orphans: -n}
		if !failed {
			p.Failed = ""
		}
		text := made(t, p)
		says := read(t, text)
		if len(s) < 200 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r == '`' || !unicode.IsPrint(r) }) && !strings.Contains(says, s) {
			t.Errorf("%q is not shown", s)
		}
		if len(text) > page.MaxSize {
			t.Errorf("%d bytes", len(text))
		}
	})
}

func FuzzPageOfWhatIsRead(f *testing.F) {
	text, err := os.ReadFile(samplePath)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"v":1,"findings":null,"at":"2026-01-01T00:00:00.5+01:00","stopped":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := report.ParsePass(text)
		if err != nil {
			return
		}
		if size := len(made(t, p)); size > page.MaxSize {
			t.Errorf("%d bytes", size)
		}
	})
}

func TestAPageHasASize(t *testing.T) {
	statement := func(i int) string {
		return fmt.Sprintf(`{"Effect":"Allow","Action":["s3:GetObject","s3:Put%d"],"Resource":"arn:aws:s3:::bucket-%d/*"}`, i, i)
	}
	document := func(from int) string {
		text := `{"Version":"2012-10-17","Statement":[` + statement(from)
		for i := from + 1; len(text) < report.MaxDocument-200; i++ {
			text += "," + statement(i)
		}
		return text + "]}"
	}
	full := func(observed, desired, text string) report.Pass {
		p := sample(t)
		p.Findings, p.Leaving, p.Orphans, p.Linked = nil, nil, nil, &report.Linked{}
		for i := range report.MaxFindings {
			p.Findings = append(p.Findings, report.Finding{
				Config: fmt.Sprintf("configs/team/%d.yaml", i), Agent: "agent", Role: "AmazonBedrockAgentCoreSDKRuntime-us-west-2-0123456789", Element: "runtime/policy/x",
				Kind: report.KindEdited, Action: report.ActionRepaired, Actor: "arn:aws:iam::111122223333:user/somebody", Since: p.At,
				Observed: observed, Desired: desired, Message: text, Fix: text,
			})
			p.Leaving = append(p.Leaving, report.Leaving{Config: "configs/a.yaml", Agent: "agent", Phase: "retiring", Until: p.At, Blocks: slices.Repeat([]string{text}, 10)})
			p.Orphans = append(p.Orphans, report.Orphan{Kind: report.OrphanRole, Name: "role", Reason: text, Fix: text, Since: p.At})
		}
		for len(p.History) < report.MaxHistory {
			p.History = append(p.History, p.History[0])
		}
		return p
	}
	kinds := full("", "", strings.Repeat("`", 5000))
	for i := range kinds.Findings {
		kinds.Findings[i].Kind = report.Kind(strings.Repeat("\"", 390) + strconv.Itoa(i))
		kinds.Findings[i].Action = report.Action(kinds.Findings[i].Kind)
		kinds.Orphans[i].Kind, kinds.Leaving[i].Phase = report.OrphanKind(kinds.Findings[i].Kind), string(kinds.Findings[i].Kind)
	}
	roles, one := full("", "", ""), everywhere(t, strings.Repeat("\u202e", 5000), strings.Repeat("<\n", report.MaxDocument/2)).Linked.Roles[0]
	one.Reasons, one.Unread, one.Needs = slices.Repeat(one.Reasons, 1000), slices.Repeat(one.Unread, 1000), slices.Repeat(one.Needs, 1000)
	one.Deletion.Usage = slices.Repeat(one.Deletion.Usage, 1000)
	roles.Linked.Roles = slices.Repeat([]model.ServiceLinkedRole{one}, 2000)
	roles.Linked.Regions = slices.Repeat([]model.LinkedRegion{{Name: one.Name, Unread: one.Unread}}, 2000)
	for name, c := range map[string]struct {
		pass report.Pass
		all  bool // findings have room
	}{
		"made up kinds":  {kinds, false},
		"made up roles":  {roles, false},
		"policies":       {full(document(0), document(500), "delete the policy"), true},
		"what is quoted": {full(strings.Repeat("\"\n", report.MaxDocument/2), strings.Repeat("<\n", report.MaxDocument/2), "delete the policy"), true},
		"what is hidden": {full(strings.Repeat("\u202e", report.MaxDocument/3), "", strings.Repeat("\u202e", 5000)), false},
	} {
		text := made(t, c.pass)
		rows := strings.Count(text, "<li id=\"f") + strings.Count(text, "<li data-kind=") + strings.Count(text, "<li id=\"o")
		t.Logf("%s: %.1f MB, %d rows", name, float64(len(text))/(1<<20), rows)
		if len(text) > page.MaxSize {
			t.Errorf("%s: %d bytes", name, len(text))
		}
		if findings := strings.Count(text, "<li id=\"f"); c.all && findings != report.MaxFindings {
			t.Errorf("%s: %d findings", name, findings)
		}
		if cut := 3*report.MaxFindings + len(c.pass.Linked.Roles) - rows; cut > 0 && !strings.Contains(text, "no room here for "+thousands(cut)+" more") {
			t.Errorf("%s: %d rows are left out and not told", name, cut)
		}
		shown, cut := strings.Count(text, "<summary>Difference"), strings.Count(text, "no room for the difference here")
		if c.all && (shown == 0 || shown+cut != report.MaxFindings) {
			t.Errorf("%s: %d differences, %d told to be left out", name, shown, cut)
		}
		if c.all && !strings.Contains(text, "more lines, which there is no room for here") {
			t.Errorf("%s: that lines are left out is not told", name)
		}
	}
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func TestFewDifferencesAreShownWholeAndAtOnce(t *testing.T) {
	many := func(n, lines int) report.Pass {
		p := report.Pass{}
		for range n {
			var b strings.Builder
			for i := range lines {
				fmt.Fprintf(&b, "line %d\n", i)
			}
			p.Findings = append(p.Findings, report.Finding{Kind: report.KindEdited, Observed: b.String()})
		}
		return p
	}
	for name, c := range map[string]struct {
		pass report.Pass
		open bool
	}{"few": {many(12, 800), true}, "more": {many(13, 800), false}} {
		text := made(t, c.pass)
		if strings.Contains(text, "<details open>") != c.open || strings.Count(text, ">-line 799<") != len(c.pass.Findings) {
			t.Errorf("%s: open, want %v; %d differences are whole", name, c.open, strings.Count(text, ">-line 799<"))
		}
	}
}

func TestTheChartLeavesOutWhatIsNotKnown(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	p := report.Pass{At: at, Totals: report.Totals{Drifted: 4}, History: []report.Point{
		{At: at.Add(-4 * time.Hour), Drifted: 10}, {At: at.Add(-3 * time.Hour), Drifted: 0}, {At: at.Add(-2 * time.Hour), Drifted: 9999, Failed: true},
		{At: at.Add(-time.Hour), Drifted: 5, Stopped: true},
	}}
	text := made(t, p)
	var got []string
	for _, m := range regexp.MustCompile(`<g class="drifted">.*?</g>`).FindAllString(text, -1) {
		for _, points := range regexp.MustCompile(`points="([^"]*)"`).FindAllStringSubmatch(m, -1) {
			got = append(got, points[1])
		}
	}
	// 40 to 708 are four hours, 150 to 12 are none to ten.
	if diff := cmp.Diff([]string{"40.0,12.0 207.0,150.0", "541.0,81.0 708.0,94.8"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	marks := regexp.MustCompile(`<g class="mark ([a-z]+)"><title>[^<]*</title><line x1="([0-9.]+)"`).FindAllStringSubmatch(text, -1)
	if len(marks) != 2 || marks[0][1] != "failed" || marks[0][2] != "374.0" || marks[1][1] != "stopped" || marks[1][2] != "541.0" {
		t.Errorf("marks %q", marks)
	}
	if strings.Contains(read(t, text), "9,999") {
		t.Error("a figure of a pass that failed is shown")
	}
	p.History = nil
	if text := made(t, p); strings.Contains(text, `id="chart"`) || !strings.Contains(text, "The chart begins with the second pass.") {
		t.Error("a chart of one pass")
	}
}

func TestAPassIsComparedWithTheLastWholeOne(t *testing.T) {
	p := report.Pass{
		Totals: report.Totals{Drifted: 5, Orphans: 1, Blocked: 7}, Findings: []report.Finding{{New: true}, {}},
		History: []report.Point{{At: time.Unix(0, 0), Drifted: 9}, {At: time.Unix(60, 0), Drifted: 3, Orphans: 4, Blocked: 7}, {At: time.Unix(120, 0), Failed: true}},
	}
	text := read(t, made(t, p))
	for _, want := range []string{"5 +2\n", "1 −3\n", "7\n", "The pass before did not have 1 of them."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	p.Findings = make([]report.Finding, 1200)
	text = read(t, made(t, p))
	for _, want := range []string{"Of 1,200 findings 1,200 are", "The pass before had them all."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown", want)
		}
	}
}

func TestWhatNoPassBeforeToldIsNotCompared(t *testing.T) {
	findings, history := []report.Finding{{New: true}, {}}, []report.Point{{At: time.Unix(0, 0)}}
	for name, p := range map[string]report.Pass{
		"the first pass":                   {Findings: findings},
		"a pass that found nothing":        {History: history},
		"a pass that shows an earlier one": {Findings: findings, History: history, Failed: "throttled", FoundAt: time.Unix(0, 0)},
	} {
		if text := read(t, made(t, p)); strings.Contains(text, "The pass before") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// constants gives the values of the constants of a type in a file.
func constants(t testing.TB, path, of string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if ident, ok := spec.Type.(*ast.Ident); ok && ident.Name == of {
			if value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value); err == nil {
				all = append(all, value)
			}
		}
		return true
	})
	if len(all) == 0 {
		t.Fatalf("no constants of %s", of)
	}
	return all
}

func TestEveryKindAndActionIsExplained(t *testing.T) {
	names := map[string]string{} // by section and value
	docs, err := os.ReadFile("../../../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	for section := range strings.SplitSeq(string(docs), "\n## ") {
		title, _, _ := strings.Cut(section, "\n")
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([^|]+) \\| ([^|]+) \\|$").FindAllStringSubmatch(section, -1) {
			names[title+" "+row[1]] = strings.TrimSpace(row[2])
		}
	}
	known := 0
	check := func(of, section, value string, p report.Pass) {
		t.Helper()
		known++
		switch name, ok := names[section+" "+value]; {
		case !ok:
			t.Errorf("%s %s is not explained in docs/report.md", of, value)
		case !strings.Contains(read(t, made(t, p)), name):
			t.Errorf("%s %s is called %q in docs/report.md, and on the page something else", of, value, name)
		}
	}
	for _, k := range constants(t, "../pass.go", "Kind") {
		check("kind", "Kinds of findings", k, report.Pass{Findings: []report.Finding{{Kind: report.Kind(k)}}})
		if !slices.Contains(report.Kinds(), report.Kind(k)) {
			t.Errorf("kind %s is not in the order of kinds", k)
		}
	}
	for _, a := range constants(t, "../pass.go", "Action") {
		check("action", "What becomes of a finding", a, report.Pass{Findings: []report.Finding{{Action: report.Action(a)}}})
		if !slices.Contains(report.Actions(), report.Action(a)) {
			t.Errorf("action %s is not in the order of actions", a)
		}
	}
	for _, k := range constants(t, "../pass.go", "OrphanKind") {
		check("orphan", "Orphans", k, report.Pass{Orphans: []report.Orphan{{Kind: report.OrphanKind(k)}}})
	}
	for _, v := range verdicts(t) {
		check("verdict", "Service-linked roles", string(v), report.Pass{Linked: &report.Linked{Roles: []model.ServiceLinkedRole{{Verdict: v}}}})
	}
	if known != len(names) {
		t.Errorf("docs/report.md explains %d, there are %d", len(names), known)
	}
}
