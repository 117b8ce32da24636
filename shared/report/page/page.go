// Package page makes of what a pass found the page that people read. It is apart
// from package report for those functions that make none: HTML templates are
// large.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// MaxSize is what a page has at most, in bytes. It is some more than what the
// texts in it may have, see maxRows.
const MaxSize = 20 << 20

// Bounds of the parts of a page, in bytes of its HTML where nothing else is said.
const (
	maxRows     = 16 << 20 // of all findings, agents, orphans and service-linked roles
	maxDiffs    = 10 << 20 // of the differences of all findings
	maxCompared = 6 << 20  // of all texts that are compared
	leastDiff   = 1 << 10  // of one finding's differences, when there are many
	mostDiff    = 64 << 10 // of one finding's differences
	rowMarkup   = 700      // of a row around its texts
	fewFindings = 12       // show their differences from the start
	mostFilters = 40       // kinds that rows can be filtered by
	maxText     = 400      // characters of a name, or of a few words
	maxLine     = 1000     // characters of a sentence, or of what is quoted as a whole
	mostNew     = 20       // findings and orphans that the list of what is new names
	manyRows    = 500      // are laid out when they come into sight
)

// Of gives a pass as one HTML page, of at most MaxSize: it needs nothing else, asks
// nobody, and reads without JavaScript. What others wrote stands in it as text.
// Rows for which it has no room are counted in it. An error is one of the page's own
// template, whatever the pass.
func Of(p report.Pass) ([]byte, error) {
	t, err := layout()
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, viewOf(p)); err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return b.Bytes(), nil
}

//go:embed page.html
var html string

//go:embed page.css
var css string

//go:embed page.js
var js string

var layout = sync.OnceValues(func() (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{"words": words, "thousands": report.Thousands}).Parse(html)
})

// view is what the template shows. Its texts are fit to be shown, see shown.
type view struct {
	Policy        string // Content-Security-Policy
	Style, Script template.HTML

	Account, Region, Mode, ID string
	At                        time.Time
	Seconds                   string
	IAMCalls                  int
	Boundary                  string

	Mood     string // good, warn or bad
	Headline string
	Details  []string
	Tiles    []tile
	Others   []tile // of which there mostly is none
	Quota    *quota
	Chart    *chart
	News     []news
	MoreNews int
	Filters  []filter

	Findings int // rows
	Groups   []group
	Leaving  []leavingRow
	Orphans  []orphanRow
	Linked   *linkedView
	Cut      int // rows that there is no room for
	Data     string
	Open     bool // whether differences are shown from the start
	Many     bool // whether there are many rows
}

// tile is a count. Since is how it changed since the last whole pass.
type tile struct {
	Name  string
	N     int
	Alert bool
	Since string
}

// quota is how much of its quota of roles an account uses, in percent.
type quota struct {
	Roles, Quota, Agents int
	Percent              string
	OfAgents, OfOthers   float64 // of the bar's 100
	High                 bool
}

type news struct{ Anchor, Kind, Text string }

type filter struct {
	Key, Name string
	N         int
}

type group struct {
	Key, Name, Text string
	Rows            []findingRow
}

type findingRow struct {
	Anchor                                           string
	Role, Element, Agent, Config, Actor              string
	Action, ActionName, Message, Fix, Since, SinceAt string
	New                                              bool
	Found, Asked                                     int // lines of the difference
	Lines                                            []line
	CutLines                                         int // -1 for all
}

// line is one of a difference; Mark is -, +, @ or a space.
type line struct{ Mark, Text string }

type leavingRow struct {
	Key, Phase, Agent, Config string
	Until, UntilIn            string
	Blocks                    []string
}

type orphanRow struct {
	Anchor, Key, Kind, Name, Agent, Config, Reason, Fix, Since, SinceAt string
	New                                                                 bool
}

func viewOf(p report.Pass) view {
	b := builder{at: p.At, room: maxRows, work: maxCompared}
	v := view{
		Style: template.HTML("<style>" + css + "</style>"), Script: template.HTML("<script>" + js + "</script>"), //nolint:gosec // files of ours
		Policy:  "default-src 'none'; style-src '" + source(css) + "'; script-src '" + source(js) + "'; base-uri 'none'; form-action 'none'",
		Account: b.text(p.Account, maxText), Region: b.text(p.Region, maxText), Mode: b.text(p.Mode, maxText), ID: b.text(p.ID, maxText),
		At: p.At.UTC(), Seconds: strconv.FormatFloat(p.Seconds, 'f', 1, 64), IAMCalls: p.Totals.IAMCalls, Boundary: b.text(p.BoundaryVersion, maxText),
		Headline: shown(report.Headline(p), maxLine), Quota: quotaOf(p.Totals), Chart: chartOf(p), Data: naming.LatestPassKey,
	}
	v.Tiles, v.Others = tiles(p)
	v.Linked = b.linked(p.Linked)
	v.Groups = b.groups(p.Findings)
	v.Leaving = b.leaving(p.Leaving)
	v.Orphans = b.orphans(p.Orphans)
	v.Cut = b.cut
	for _, g := range v.Groups {
		v.Findings += len(g.Rows)
	}
	v.Open, v.Many = v.Findings <= fewFindings, v.Findings+len(v.Leaving)+len(v.Orphans) > manyRows
	v.Filters = filters(v)
	v.News, v.MoreNews = newsOf(v)
	v.Mood = mood(p)
	for _, sentence := range details(p) {
		v.Details = append(v.Details, shown(sentence, maxLine))
	}
	return v
}

// source names a script or style in a Content-Security-Policy.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// builder makes rows as long as there is room.
type builder struct {
	at   time.Time // of the pass
	room int       // bytes of HTML
	work int       // bytes of texts that may still be compared
	cut  int       // rows that there was no room for
}

// text gives a text as it is shown, of at most so many characters before those
// that are escaped.
func (b *builder) text(s string, most int) string {
	s = shown(s, most)
	b.room -= escaped(s)
	return s
}

// row reports whether there is room for one more of some rows, of which left are
// left.
func (b *builder) row(left int) bool {
	if b.room <= 0 {
		b.cut += left
		return false
	}
	b.room -= rowMarkup
	return true
}

// groups gives the findings by kind, in the order in which people should look.
func (b *builder) groups(findings []report.Finding) []group {
	differ := 0
	for _, f := range findings {
		if f.Observed != f.Desired {
			differ++
		}
	}
	diff := min(max(maxDiffs/max(differ, 1), leastDiff), mostDiff)
	rows := map[report.Kind][]findingRow{}
	for i, f := range findings {
		if !b.row(len(findings) - i) {
			break
		}
		r := findingRow{
			Anchor: "f" + strconv.Itoa(i+1), Role: b.text(f.Role, maxText), Element: b.text(f.Element, maxText),
			Agent: b.text(f.Agent, maxText), Config: b.text(f.Config, maxText), Actor: b.text(f.Actor, maxText),
			Action: b.text(string(f.Action), maxText), ActionName: b.text(f.Action.Words(), maxText),
			Message: b.text(f.Message, maxLine), Fix: b.text(f.Fix, maxLine), New: f.New,
		}
		r.Since, r.SinceAt = b.since(f.Since)
		r.Lines, r.CutLines = b.lines(f.Observed, f.Desired, diff)
		r.Found, r.Asked = marked(r.Lines)
		key := b.text(string(f.Kind), maxText)
		if rows[f.Kind] == nil {
			b.room -= 4*escaped(key) + rowMarkup // of the group and its filter
		}
		rows[f.Kind] = append(rows[f.Kind], r)
	}
	var groups []group
	for _, k := range inOrder(rows, report.Kinds()) {
		name, text := kindWords(k)
		groups = append(groups, group{Key: shown(string(k), maxText), Name: shown(name, maxText), Text: text, Rows: rows[k]})
	}
	return groups
}

// longest is what one character has at most when it is escaped, in bytes.
const longest = len(`\U0010ffff`)

// lines gives the lines of the difference between two texts, of at most so many
// bytes of HTML, and how many there is no room for; -1 when so much was compared
// already that this was not.
func (b *builder) lines(before, after string, most int) (lines []line, cut int) {
	const markup = 24 // of a line
	if b.work -= len(before) + len(after); b.work < 0 && before != after {
		return nil, -1
	}
	all := report.DocumentDiff(before, after)
	for i, text := range all {
		one := line{text[:1], shown(text[1:], most)}
		switch size := escaped(one.Text) + markup; {
		case size <= most:
			most -= size
		case i > 0:
			return lines, len(all) - i
		default:
			one.Text, most = shown(text[1:], most/longest), 0
		}
		b.room -= escaped(one.Text) + markup
		lines = append(lines, one)
	}
	return lines, 0
}

// marked counts the lines of a difference that only one of the two texts has.
func marked(lines []line) (before, after int) {
	for _, l := range lines {
		switch l.Mark {
		case "-":
			before++
		case "+":
			after++
		}
	}
	return before, after
}

func (b *builder) leaving(all []report.Leaving) []leavingRow {
	var rows []leavingRow
	for i, l := range all {
		if !b.row(len(all) - i) {
			break
		}
		r := leavingRow{
			Key: b.text(l.Phase, maxText), Phase: b.text(l.Phase, maxText), Agent: b.text(l.Agent, maxText), Config: b.text(l.Config, maxText),
		}
		if !l.Until.IsZero() {
			r.Until, r.UntilIn = report.Moment(l.Until), until(l.Until.Sub(b.at))
		}
		for _, block := range l.Blocks {
			r.Blocks = append(r.Blocks, b.text(block, maxLine))
		}
		if len(r.Blocks) > 0 {
			r.Key = blockedKey
		}
		rows = append(rows, r)
	}
	return rows
}

// blockedKey is what agents are filtered by that are to go and cannot.
const blockedKey = "blocked"

func (b *builder) orphans(all []report.Orphan) []orphanRow {
	var rows []orphanRow
	for i, o := range all {
		if !b.row(len(all) - i) {
			break
		}
		name, _ := orphanWords(o.Kind)
		r := orphanRow{
			Anchor: "o" + strconv.Itoa(i+1), Key: b.text(string(o.Kind), maxText), Kind: b.text(name, maxText), Name: b.text(o.Name, maxText),
			Agent: b.text(o.Agent, maxText), Config: b.text(o.Config, maxText), Reason: b.text(o.Reason, maxLine), Fix: b.text(o.Fix, maxLine), New: o.New,
		}
		r.Since, r.SinceAt = b.since(o.Since)
		rows = append(rows, r)
	}
	return rows
}

// since says for how long something has been there at the pass, and since when.
func (b *builder) since(at time.Time) (ago, when string) {
	if at.IsZero() {
		return "", ""
	}
	d := b.at.Sub(at)
	if d < time.Minute {
		return "first seen now", report.Moment(at)
	}
	return "for " + report.Span(d), report.Moment(at)
}

// filters gives what rows can be filtered by, with how many there are. There are
// too many only when somebody made them up.
func filters(v view) []filter {
	var all []filter
	add := func(key, name string, n int) {
		if at := slices.IndexFunc(all, func(f filter) bool { return f.Key == key }); at >= 0 {
			all[at].N += n
			return
		}
		if len(all) < mostFilters {
			all = append(all, filter{key, name, n})
		}
	}
	for _, g := range v.Groups {
		add(g.Key, g.Name, len(g.Rows))
	}
	for _, l := range v.Leaving {
		add(l.Key, "Agent "+l.Key, 1)
	}
	for _, o := range v.Orphans {
		add(o.Key, o.Kind, 1)
	}
	if n := v.Linked.rows(); n > 0 {
		add(linkedKey, "Service-linked role", n)
	}
	return all
}

// newsOf gives what the pass before did not have, and how many more there are.
func newsOf(v view) (all []news, more int) {
	for _, g := range v.Groups {
		for _, r := range g.Rows {
			if r.New {
				all = append(all, news{r.Anchor, g.Name, strings.TrimSpace(r.Role + " " + r.Element)})
			}
		}
	}
	for _, o := range v.Orphans {
		if o.New {
			all = append(all, news{o.Anchor, o.Kind, o.Name})
		}
	}
	n := min(len(all), mostNew)
	return all[:n], len(all) - n
}

// shown gives a text as a page shows it, of at most so many characters before
// those that are escaped: what is not printable is, so that nothing turns the
// direction of text or hides in it.
func shown(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		if most--; most < 0 {
			b.WriteRune('…')
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// escaped gives how many bytes a text has in HTML, at most.
func escaped(s string) int {
	n := len(s)
	for _, c := range []byte(s) {
		switch c {
		case '"', '&', '\'', '+', '<', '>':
			n += len("&#34;") - 1
		case '`':
			n += len("<code></code>") / 2 // see words
		}
	}
	return n
}

// word is a part of a text; code is what stands in backticks.
type word struct {
	Code bool
	Text string
}

func words(s string) []word {
	var all []word
	for i, part := range strings.Split(s, "`") {
		if part != "" {
			all = append(all, word{i%2 == 1, part})
		}
	}
	return all
}

// until says how far ahead of the pass something is.
func until(d time.Duration) string {
	if d < time.Minute {
		return "due"
	}
	return "in " + report.Span(d)
}
