package page

import (
	"cmp"
	"fmt"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// linkedView is what the page shows of the service-linked roles.
type linkedView struct {
	Unread      string
	Looked, Ago string // empty: nothing was looked at
	Late        bool
	Begun       string // when a look began that has not come to its end; empty: none did
	Rows        []linkedRow
	Regions     []regionRow
	Key, Data   string
}

type linkedRow struct {
	Name, Service        string
	Verdict, Mood        string
	Since, SinceAt, Used string
	Reasons              []string
	Fix                  string
	Needs, Unread        []string
	Needing              int // how many need it
	Policy               *policyRow
	Deletion             *deletionRow
}

// policyRow is a managed policy that AWS has changed, or that could not be read.
type policyRow struct {
	ARN, Text, Unread string
	Was, Is           int // lines of the difference
	Lines             []line
	CutLines          int // -1 for all
}

type deletionRow struct {
	Name, Text, Reason string
	Usage              []string
}

type regionRow struct {
	Name, Text string
	Unread     []string
}

// linkedKey is what service-linked roles are filtered by.
const linkedKey = "service-linked-role"

// Bounds of what is shown of service-linked roles.
const (
	mostTexts   = model.MaxLinkedNeeds // of each list
	mostRegions = 100                  // more than AWS has
	textMarkup  = 32                   // of one of a list, in bytes of HTML
)

func (l *linkedView) rows() int {
	if l == nil {
		return 0
	}
	return len(l.Rows)
}

// linked gives what is known of the service-linked roles; nil of a pass that did
// not ask for it.
func (b *builder) linked(l *report.Linked) *linkedView {
	if l == nil {
		return nil
	}
	v := &linkedView{Unread: b.text(l.Unread, maxLine), Late: l.Late(b.at), Data: naming.LinkedKey, Key: linkedKey}
	if !l.LookedAt.IsZero() {
		v.Looked, v.Ago = report.Moment(l.LookedAt), report.Span(max(b.at.Sub(l.LookedAt), 0))
	}
	if l.BegunAt.After(l.LookedAt) {
		v.Begun = report.Moment(l.BegunAt)
	}
	for i, r := range l.Roles {
		if !b.row(len(l.Roles) - i) {
			break
		}
		v.Rows = append(v.Rows, b.linkedRow(r))
	}
	for i, r := range l.Regions {
		if b.room <= 0 || i == mostRegions {
			break
		}
		b.room -= rowMarkup
		v.Regions = append(v.Regions, regionRow{
			Name: b.text(r.Name, maxText), Unread: b.texts(r.Unread),
			Text: fmt.Sprintf("%s of AgentCore, %s in VPCs", counted(r.Resources, "resource"), counted(r.Interfaces, "network interface")),
		})
	}
	return v
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return report.Thousands(n) + " " + noun + "s"
}

// texts gives the first of some texts, and says how many more there are.
func (b *builder) texts(all []string) []string {
	var some []string
	for i, text := range all {
		if i == mostTexts {
			return append(some, fmt.Sprintf("and %s more, which %s has", report.Thousands(len(all)-i), naming.LinkedKey))
		}
		b.room -= textMarkup
		some = append(some, b.text(text, maxLine))
	}
	return some
}

func (b *builder) linkedRow(r model.ServiceLinkedRole) linkedRow {
	row := linkedRow{
		Name: b.text(r.Name, maxText), Service: b.text(r.Service, maxText), Used: b.text(lastUse(r), maxLine),
		Reasons: b.texts(r.Reasons), Unread: b.texts(r.Unread), Fix: b.text(r.Fix, maxLine), Needing: len(r.Needs) + r.MoreNeeds,
	}
	words, mood := verdictWords(r.Verdict)
	row.Verdict, row.Mood = b.text(words, maxText), mood
	row.Since, row.SinceAt = b.since(r.Since)
	var needs []string
	for _, n := range r.Needs {
		text := fmt.Sprintf("%s %s in %s", n.Kind, n.Name, n.Region)
		if n.Status != "" {
			text += " (" + n.Status + ")"
		}
		needs = append(needs, text)
	}
	row.Needs = b.texts(needs)
	if r.MoreNeeds > 0 {
		row.Needs = append(row.Needs, fmt.Sprintf("and %s more", report.Thousands(r.MoreNeeds)))
	}
	if r.Policy != nil {
		row.Policy = b.policy(*r.Policy)
	}
	if r.Deletion != nil {
		row.Deletion = b.deletion(*r.Deletion)
	}
	return row
}

// lastUse says when a role was last used; empty of one that is not there.
func lastUse(r model.ServiceLinkedRole) string {
	at, region := r.LastUsed, r.LastUsedRegion
	if r.Accessed != nil && r.Accessed.Last.After(at) {
		at, region = r.Accessed.Last, r.Accessed.Region
	}
	switch {
	case r.Created.IsZero():
		return ""
	case at.IsZero():
		return "not used within 400 days"
	case region == "":
		return "last used " + report.Moment(at)
	}
	return "last used " + report.Moment(at) + " from " + region
}

func (b *builder) policy(p model.LinkedPolicy) *policyRow {
	row := &policyRow{ARN: b.text(p.ARN, maxText), Unread: b.text(p.Unread, maxLine)}
	if p.Changed.IsZero() {
		return row
	}
	text := fmt.Sprintf("version %s; before the look of %s it was %s", p.Version, report.Moment(p.Changed), cmp.Or(p.Before, "another one"))
	if !p.Updated.IsZero() {
		text += ". AWS wrote it at " + report.Moment(p.Updated)
	}
	if p.Was == "" || p.Document == "" {
		text += ". What it said is not known of both"
	} else {
		row.Lines, row.CutLines = b.lines(p.Was, p.Document, mostDiff)
		row.Was, row.Is = marked(row.Lines)
		if len(row.Lines) == 0 && row.CutLines == 0 {
			text += ". Both say the same"
		}
	}
	row.Text = b.text(text, maxLine)
	return row
}

func (b *builder) deletion(d model.LinkedDeletion) *deletionRow {
	who := "after it was idle for long enough"
	if d.Request != "" {
		who = "by request " + d.Request
	}
	text := fmt.Sprintf("Decided at %s, %s", report.Moment(d.At), who)
	if !d.EndedAt.IsZero() {
		text += "; ended at " + report.Moment(d.EndedAt)
	}
	var usage []string
	for _, u := range d.Usage {
		if len(u.Resources) == 0 {
			usage = append(usage, u.Region+": something that AWS does not name")
		}
		for _, name := range u.Resources {
			usage = append(usage, u.Region+": "+name)
		}
	}
	return &deletionRow{
		Name: b.text("Deletion of "+d.At.UTC().Format(time.DateOnly)+": "+report.DeletionWords(d.State), maxText), Text: b.text(text, maxLine), Reason: b.text(d.Reason, maxLine), Usage: b.texts(usage),
	}
}

// verdictWords says how it stands with a role of a verdict, and how urgent that
// is: good, warn or bad; empty when nobody need look.
func verdictWords(v model.Verdict) (words, mood string) {
	switch v {
	case model.LinkedMissing:
		return "missing", "bad"
	case model.LinkedNeeded:
		return "needed", "good"
	case model.LinkedUsed:
		return "in use", "good"
	case model.LinkedIdle:
		return "idle", ""
	case model.LinkedRemovable:
		return "removable", "warn"
	case model.LinkedDeleting:
		return "being deleted", "warn"
	case model.LinkedRefused:
		return "deletion refused", "warn"
	case model.LinkedAbsent:
		return "not there", ""
	case model.LinkedUnknown:
		return "not known", "warn"
	}
	return string(v), ""
}
