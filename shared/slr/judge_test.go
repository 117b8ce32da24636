package slr

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// sight is one combination of what a verdict goes by, in words.
type sight struct {
	present, needed, unread, interfaces, used, accessed, deletion, idle string
}

// sights are all words of each, in the order of sight's members.
var sights = [][]string{
	{"no", "yes", "foreign", "unreadable"},
	{"no", "resource", "config", "both"},
	{"no", "yes"},
	{"none", "lingering", "overdue", "unknown"},
	{"never", "just now", "13 h ago", "long ago", "from another Region"},
	{"none", "failed", "old", "fresh"},
	{"none", "asked", "running", "failed just now", "failed 2 days ago", "succeeded", "lost", "of another role"},
	{"0", "30, not over", "30, over, watched", "30, over, not watched"},
}

const (
	roleID  = "AROAEXAMPLE"
	home    = "us-east-1"
	another = "eu-west-1"
)

// evidence gives what the words stand for.
func (s sight) evidence() (e evidence, idleDays int) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	e = evidence{role: desired.Network(), regions: []string{home}, neededAt: ago(40 * day), unneededAt: ago(31 * day)}
	switch s.idle {
	case "30, not over":
		e.neededAt, e.unneededAt = ago(20*day), ago(20*day)
	case "30, over, not watched":
		e.unneededAt = ago(2 * day)
	}
	if s.idle != "0" {
		idleDays = 30
	}
	o := &model.ObservedLinked{ARN: "arn", ID: roleID, Path: e.role.Path(), Created: ago(500 * day)}
	switch s.used {
	case "just now":
		o.LastUsed, o.LastUsedRegion = noon, home
	case "13 h ago":
		o.LastUsed, o.LastUsedRegion = ago(13*time.Hour), home
	case "long ago":
		o.LastUsed, o.LastUsedRegion = ago(300*day), home
	case "from another Region":
		o.LastUsed, o.LastUsedRegion = ago(300*day), another
	}
	switch s.present {
	case "yes":
		e.observed = o
	case "foreign":
		e.foreign = "/theirs/"
	case "unreadable":
		e.unseen = "denied"
	}
	if s.needed == "resource" || s.needed == "both" {
		e.uses = []model.LinkedNeed{{Kind: "runtime", Name: "arn:runtime", Region: home, Status: "READY"}}
	}
	if s.needed == "config" || s.needed == "both" {
		e.asks = []model.LinkedNeed{{Kind: "config", Name: "configs/a.yaml", Region: home}}
	}
	if s.unread == "yes" {
		e.unread = []string{"browser of us-east-1: denied"}
	}
	if s.interfaces != "none" {
		e.interfaces = []model.LinkedNeed{{Kind: "network-interface", Name: "eni-1", Region: home}}
	}
	switch s.interfaces {
	case "lingering":
		e.lingerUntil = noon.Add(time.Hour)
	case "overdue":
		e.lingerUntil = ago(time.Hour)
	}
	switch s.accessed {
	case "failed":
		e.accessed = &model.LinkedAccess{At: ago(time.Hour), Failed: "InternalFailure"}
	case "old":
		e.accessed = &model.LinkedAccess{At: ago(45 * day)}
	case "fresh":
		e.accessed = &model.LinkedAccess{At: ago(time.Hour)}
	}
	d := &model.LinkedDeletion{RoleID: roleID, At: ago(3 * day), Task: "task/1"}
	switch s.deletion {
	case "none":
		return e, idleDays
	case "asked":
		d.State, d.Task = model.DeletionAsked, ""
	case "running":
		d.State = model.DeletionRunning
	case "failed just now":
		d.State, d.EndedAt, d.Reason = model.DeletionFailed, ago(time.Minute), "in use"
	case "failed 2 days ago":
		d.State, d.EndedAt, d.Reason = model.DeletionFailed, ago(2*day), "in use"
	case "succeeded":
		d.State, d.EndedAt = model.DeletionSucceeded, ago(2*day)
	case "lost":
		d.State, d.EndedAt = model.DeletionLost, ago(2*day)
	case "of another role":
		d.State, d.EndedAt, d.RoleID = model.DeletionFailed, ago(2*day), "AROAANOTHER"
	}
	e.deletion = d
	return e, idleDays
}

// rule says what the verdict is of the sights that match: the first that does is
// it. An empty word matches any, one with a stroke any of those on its sides, one
// with an exclamation mark all others.
type rule struct {
	sight
	verdict model.Verdict
}

var rules = []rule{
	{sight{present: "unreadable"}, model.LinkedUnknown},
	{sight{present: "!yes", needed: "!no"}, model.LinkedMissing},
	{sight{present: "!yes", unread: "yes"}, model.LinkedUnknown},
	{sight{present: "!yes"}, model.LinkedAbsent},
	{sight{deletion: "running"}, model.LinkedDeleting},
	{sight{needed: "resource|both"}, model.LinkedUsed},
	{sight{needed: "config"}, model.LinkedNeeded},
	{sight{unread: "yes"}, model.LinkedUnknown},
	{sight{interfaces: "!none"}, model.LinkedUsed},
	{sight{deletion: "failed just now|failed 2 days ago"}, model.LinkedRefused},
	{sight{used: "just now|from another Region"}, model.LinkedIdle},
	{sight{accessed: "!fresh"}, model.LinkedIdle},
	{sight{}, model.LinkedRemovable},
}

// going are the sights of which a role goes without anybody's asking.
var going = []sight{
	{present: "yes", needed: "no", unread: "no", interfaces: "none", used: "never|long ago", accessed: "fresh", deletion: "none|asked|failed 2 days ago|succeeded|lost|of another role", idle: "30, over, watched"},
}

func (s sight) words() []string {
	return []string{s.present, s.needed, s.unread, s.interfaces, s.used, s.accessed, s.deletion, s.idle}
}

func (s sight) matches(pattern sight) bool {
	is := s.words()
	for i, p := range pattern.words() {
		not, negated := strings.CutPrefix(p, "!")
		if p != "" && slices.Contains(strings.Split(not, "|"), is[i]) == negated {
			return false
		}
	}
	return true
}

func all(yield func(sight)) {
	var words [8]string
	var each func(int)
	each = func(i int) {
		if i == len(sights) {
			yield(sight{words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7]})
			return
		}
		for _, words[i] = range sights[i] {
			each(i + 1)
		}
	}
	each(0)
}

// The table has every combination of what a verdict goes by. Each of these was
// broken once and found by it: every case of judge, absent, lingering and proven
// left out, settle, late and refusedFor made nothing, the watch left out of over,
// Regions left out of proven, whose deletion it was left out of idle.
func TestEveryCombinationOfEvidenceHasOneVerdict(t *testing.T) {
	reached, gone, n := map[model.Verdict]int{}, 0, 0
	all(func(s sight) {
		n++
		e, idleDays := s.evidence()
		j := judge(e, idleDays, noon)
		at := slices.IndexFunc(rules, func(r rule) bool { return s.matches(r.sight) })
		if want := rules[at].verdict; j.verdict != want {
			t.Fatalf("%+v is %s, want %s", s, j.verdict, want)
		}
		if want := slices.ContainsFunc(going, s.matches); j.goes != want {
			t.Fatalf("%+v: goes %v, want %v", s, j.goes, want)
		}
		reached[j.verdict]++
		if j.goes {
			gone++
		}
		hold(t, s, e, idleDays, j)
	})
	want := map[model.Verdict]int{ // found by counting the words that lead to each
		"unknown": 4*2*4*5*4*8*4 + 2*1*1*4*5*4*8*4 + 1*1*1*4*5*4*7*4, "missing": 2 * 3 * 2 * 4 * 5 * 4 * 8 * 4, "absent": 2 * 1 * 1 * 4 * 5 * 4 * 8 * 4,
		"deleting": 4 * 2 * 4 * 5 * 4 * 1 * 4, "used": 2*2*4*5*4*7*4 + 1*1*3*5*4*7*4, "needed": 1 * 2 * 4 * 5 * 4 * 7 * 4,
		"refused": 5 * 4 * 2 * 4, "idle": 2*4*5*4 + 3*3*5*4, "removable": 3 * 1 * 5 * 4,
	}
	if diff := cmp.Diff(want, reached); diff != "" || n != 4*4*2*4*5*4*8*4 || gone != 2*1*6 {
		t.Errorf("%d combinations, %d go (-want +got)\n%s", n, gone, diff)
	}
}

// hold checks what is so of every verdict.
func hold(t *testing.T, s sight, e evidence, idleDays int, j judgement) {
	t.Helper()
	wrong := ""
	unsure := e.unseen != "" || len(e.unread) > 0
	needed := len(e.uses)+len(e.asks)+len(e.interfaces) > 0
	switch {
	case len(j.reasons) == 0 || slices.Contains(j.reasons, ""):
		wrong = "no reason"
	case j.goes && (idleDays == 0 || unsure || needed || e.observed == nil):
		wrong = "goes"
	case j.goes && j.verdict != model.LinkedRemovable && (j.verdict != model.LinkedRefused || s.deletion == "failed just now"):
		wrong = "goes without being removable"
	case j.verdict.Deletable() && (unsure || needed || e.observed == nil):
		wrong = "may be deleted"
	case (j.verdict.Deletable()) == j.idleSince.IsZero():
		wrong = "idle since"
	case slices.Contains([]model.Verdict{"missing", "refused", "unknown", "removable"}, j.verdict) && j.fix == "":
		wrong = "nothing to do"
	case slices.Contains([]model.Verdict{"absent", "deleting", "needed"}, j.verdict) && j.fix != "":
		wrong = "something to do"
	case j.verdict == model.LinkedUsed && (j.fix != "") != (s.needed == "no" && s.interfaces == "overdue"):
		wrong = "what to do with interfaces"
	case unsure && j.verdict == model.LinkedAbsent:
		wrong = "nothing needs it, they say"
	}
	if wrong != "" {
		t.Fatalf("%+v: %s: %+v", s, wrong, j)
	}
}

func TestVerdictsForReading(t *testing.T) {
	plain := sight{"yes", "no", "no", "none", "long ago", "fresh", "none", "0"}
	with := func(change func(*sight)) sight {
		s := plain
		change(&s)
		return s
	}
	const used, nothing = "last used at 2026-01-26T12:00:00Z from us-east-1", "nothing in us-east-1 needs it"
	keep := "rolekeeper slr delete AWSServiceRoleForBedrockAgentCoreNetwork; or keep it: it costs nothing, and AgentCore makes it anew only for who may have it made"
	for name, c := range map[string]struct {
		sight
		want judgement
	}{
		"idle for long": {plain, judgement{
			verdict: "removable", idleSince: noon.Add(-40 * day), fix: keep, reasons: []string{nothing, used, "idle since 2026-10-13T12:00:00Z"},
		}},
		"to go soon": {with(func(s *sight) { s.idle = "30, not over" }), judgement{
			verdict: "removable", idleSince: noon.Add(-20 * day), fix: keep,
			reasons: []string{nothing, used, "idle since 2026-11-02T12:00:00Z", "it goes by itself at 2026-12-02T12:00:00Z"},
		}},
		"used from elsewhere": {with(func(s *sight) { s.used = "from another Region" }), judgement{
			verdict: "idle", idleSince: noon.Add(-40 * day), fix: "add eu-west-1 to parameter Regions",
			reasons: []string{nothing, "last used at 2026-01-26T12:00:00Z from eu-west-1", "it was last used from eu-west-1, which is not looked at: what is there may need it"},
		}},
		"used just now": {with(func(s *sight) { s.used = "just now" }), judgement{
			verdict: "idle", idleSince: noon,
			reasons: []string{nothing, "last used at 2026-11-22T12:00:00Z from us-east-1", "the last sign of use or need was at 2026-11-22T12:00:00Z; what IAM says can be 4h0m0s late, and network interfaces stay for up to 8h0m0s"},
		}},
		"no report": {with(func(s *sight) { s.accessed = "failed" }), judgement{
			verdict: "idle", idleSince: noon.Add(-40 * day), fix: "if it goes on, have the platform team let rolekeeper-slrwatch ask IAM for the report",
			reasons: []string{nothing, used, "IAM made no report on its last accesses: InternalFailure"},
		}},
		"interfaces that linger": {with(func(s *sight) { s.interfaces = "lingering" }), judgement{
			verdict: "used", reasons: []string{"network-interface eni-1 in us-east-1 is left of what was in a VPC", "AgentCore keeps them for up to 8h0m0s: they should be gone at 2026-11-22T13:00:00Z"},
		}},
		"interfaces that should be gone": {with(func(s *sight) { s.interfaces = "overdue" }), judgement{
			verdict: "used", fix: "find out whose they are: aws ec2 describe-network-interfaces --region us-east-1 --include-managed-resources --filters Name=tag:AmazonBedrockAgentCoreManaged,Values=true",
			reasons: []string{"network-interface eni-1 in us-east-1 is left of what was in a VPC", "they should have been gone at 2026-11-22T11:00:00Z"},
		}},
		"interfaces without the role": {with(func(s *sight) { s.present, s.interfaces = "no", "lingering" }), judgement{
			verdict: "absent", reasons: []string{"it is not there, and nothing in us-east-1 needs it but network interfaces", "network-interface eni-1 in us-east-1 is left of what was in a VPC"},
		}},
		"needed and missing": {with(func(s *sight) { s.present, s.needed = "no", "both" }), judgement{
			verdict: "missing", fix: "aws iam create-service-linked-role --aws-service-name network.bedrock-agentcore.amazonaws.com",
			reasons: []string{"it is not there", "runtime arn:runtime in us-east-1 (READY) needs it", "config configs/a.yaml in us-east-1 asks for what will need it"},
		}},
		"another role in its place": {with(func(s *sight) { s.present, s.needed = "foreign", "config" }), judgement{
			verdict: "missing", fix: "delete the role in path /theirs/, then: aws iam create-service-linked-role --aws-service-name network.bedrock-agentcore.amazonaws.com",
			reasons: []string{"it is not there", "a role of its name is in path /theirs/; it is not AWS's own, which cannot be made beside it", "config configs/a.yaml in us-east-1 asks for what will need it"},
		}},
		"refused": {with(func(s *sight) { s.deletion = "failed just now" }), judgement{
			verdict: "refused", idleSince: noon.Add(-40 * day), fix: "delete what uses it, or keep the role; have the Regions looked at that use it: parameter Regions",
			reasons: []string{"AWS did not delete it at 2026-11-22T11:59:00Z: in use", nothing, used},
		}},
		"deleted": {with(func(s *sight) { s.present, s.deletion = "no", "succeeded" }), judgement{
			verdict: "absent", reasons: []string{"it is not there, and nothing in us-east-1 needs it", "it was deleted at 2026-11-20T12:00:00Z"},
		}},
		"under way": {with(func(s *sight) { s.deletion = "running" }), judgement{
			verdict: "deleting", reasons: []string{"AWS was asked to delete it at 2026-11-19T12:00:00Z; its task is task/1"},
		}},
		"not read": {with(func(s *sight) { s.unread = "yes" }), judgement{
			verdict: "unknown", fix: fixUnread, reasons: []string{"nothing that could be read needs it, and not everything could be read", "browser of us-east-1: denied"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e, idleDays := c.evidence()
			if diff := cmp.Diff(c.want, judge(e, idleDays, noon), cmp.AllowUnexported(judgement{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTimesAreJudgedToTheSecond(t *testing.T) {
	base, _ := sight{"yes", "no", "no", "none", "never", "fresh", "none", "0"}.evidence()
	for name, c := range map[string]struct {
		change func(e *evidence)
		days   int
		want   model.Verdict
		goes   bool
	}{
		"needed 12 h ago":                 {func(e *evidence) { e.neededAt = noon.Add(-settle) }, 0, model.LinkedRemovable, false},
		"a second less":                   {func(e *evidence) { e.neededAt = noon.Add(-settle + time.Second) }, 0, model.LinkedIdle, false},
		"made 12 h ago":                   {func(e *evidence) { e.neededAt, e.observed.Created = time.Time{}, noon.Add(-settle) }, 0, model.LinkedRemovable, false},
		"made a second later":             {func(e *evidence) { e.neededAt, e.observed.Created = time.Time{}, noon.Add(-settle+time.Second) }, 0, model.LinkedIdle, false},
		"used 12 h ago":                   {func(e *evidence) { e.observed.LastUsed, e.observed.LastUsedRegion = noon.Add(-settle), home }, 0, model.LinkedRemovable, false},
		"used a second later":             {func(e *evidence) { e.observed.LastUsed = noon.Add(-settle + time.Second) }, 0, model.LinkedIdle, false},
		"used 11 h ago by the report":     {func(e *evidence) { e.accessed.Last = noon.Add(-11 * time.Hour) }, 0, model.LinkedIdle, false},
		"used a year ago from nowhere":    {func(e *evidence) { e.observed.LastUsed = noon.Add(-365 * day) }, 0, model.LinkedIdle, false},
		"used elsewhere by the report":    {func(e *evidence) { e.accessed.Last, e.accessed.Region = noon.Add(-30*day), another }, 0, model.LinkedIdle, false},
		"a report of 4 h after the need":  {func(e *evidence) { e.accessed.At = e.neededAt.Add(late) }, 0, model.LinkedRemovable, false},
		"a report of a second before":     {func(e *evidence) { e.accessed.At = e.neededAt.Add(late - time.Second) }, 0, model.LinkedIdle, false},
		"interfaces due this second":      {func(e *evidence) { e.interfaces, e.lingerUntil = []model.LinkedNeed{{}}, noon }, 0, model.LinkedUsed, false},
		"watched for 31 days":             {func(*evidence) {}, 31, model.LinkedRemovable, true},
		"watched for a second less":       {func(e *evidence) { e.unneededAt = e.unneededAt.Add(time.Second) }, 31, model.LinkedRemovable, false},
		"not watched yet":                 {func(e *evidence) { e.unneededAt = time.Time{} }, 1, model.LinkedRemovable, false},
		"refused a day ago":               {func(e *evidence) { e.deletion = refusedAt(noon.Add(-refusedFor)) }, 30, model.LinkedRefused, true},
		"refused a second later":          {func(e *evidence) { e.deletion = refusedAt(noon.Add(-refusedFor + time.Second)) }, 30, model.LinkedRefused, false},
		"refused, and used by the report": {func(e *evidence) { e.deletion, e.accessed.Last = refusedAt(noon.Add(-2*day)), noon }, 30, model.LinkedRefused, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, o, a := base, *base.observed, *base.accessed
			e.observed, e.accessed = &o, &a
			c.change(&e)
			if j := judge(e, c.days, noon); j.verdict != c.want || j.goes != c.goes {
				t.Errorf("%+v, want %s, goes %v", j, c.want, c.goes)
			}
		})
	}
}

func refusedAt(at time.Time) *model.LinkedDeletion {
	return &model.LinkedDeletion{RoleID: roleID, State: model.DeletionFailed, EndedAt: at}
}

// However much there is to tell, a reason is one sentence and there are few.
func TestReasonsAreFewHoweverMuchThereIsToTell(t *testing.T) {
	for name, s := range map[string]sight{
		"unread":         {"yes", "no", "yes", "none", "never", "fresh", "none", "0"},
		"absent, unread": {"no", "no", "yes", "none", "never", "fresh", "none", "0"},
		"used":           {"yes", "both", "no", "none", "never", "fresh", "none", "0"},
		"missing":        {"no", "both", "no", "none", "never", "fresh", "none", "0"},
		"lingering":      {"yes", "no", "no", "overdue", "never", "fresh", "none", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := s.evidence()
			e.uses, e.asks, e.interfaces = slices.Repeat(e.uses, 10_000), slices.Repeat(e.asks, 10_000), slices.Repeat(e.interfaces, 10_000)
			e.unread = slices.Repeat(e.unread, 10_000)
			j := judge(e, 0, noon)
			if len(j.reasons) > 10 || !slices.Contains(j.reasons, "and 9997 more") {
				t.Errorf("%d reasons: %q", len(j.reasons), j.reasons[:min(len(j.reasons), 10)])
			}
		})
	}
}

func TestADeletionOfWhichNothingCanBeReadSaysSo(t *testing.T) {
	e, _ := sight{"yes", "no", "no", "none", "never", "fresh", "running", "0"}.evidence()
	e.untold = "denied"
	j := judge(e, 0, noon)
	if j.verdict != model.LinkedDeleting || j.fix == "" || !strings.Contains(fmt.Sprint(j.reasons), "denied") {
		t.Errorf("%+v", j)
	}
}

func TestWhichResourcesNeedWhichRole(t *testing.T) {
	names := func(roles ...desired.ServiceLinkedRole) (out []string) {
		for _, r := range roles {
			out = append(out, r.Name)
		}
		return out
	}
	for name, c := range map[string]struct {
		of   model.Resource
		want []string
	}{
		"a runtime":                             {model.Resource{Kind: "runtime"}, names(desired.RuntimeIdentity())},
		"a runtime in a VPC":                    {model.Resource{Kind: "runtime", VPC: true}, names(desired.RuntimeIdentity(), desired.Network())},
		"a runtime behind a private authorizer": {model.Resource{Kind: "runtime", PrivateEndpoint: true}, names(desired.RuntimeIdentity(), desired.IdentityNetwork())},
		"a browser":                             {model.Resource{Kind: "browser"}, nil},
		"a browser in a VPC":                    {model.Resource{Kind: "browser", VPC: true}, names(desired.Network())},
		"a code interpreter in a VPC":           {model.Resource{Kind: "code-interpreter", VPC: true}, names(desired.Network())},
		"a harness in a VPC":                    {model.Resource{Kind: "harness", VPC: true}, names(desired.Network())},
		"a gateway":                             {model.Resource{Kind: "gateway"}, nil},
		"a gateway behind one":                  {model.Resource{Kind: "gateway", PrivateEndpoint: true}, names(desired.IdentityNetwork())},
		"a gateway target":                      {model.Resource{Kind: "gateway-target"}, nil},
		"a gateway target in a VPC":             {model.Resource{Kind: "gateway-target", PrivateEndpoint: true}, names(desired.GatewayNetwork())},
		"a private OAuth2 provider":             {model.Resource{Kind: "oauth2-credential-provider", PrivateEndpoint: true}, names(desired.IdentityNetwork())},
		"a private registry":                    {model.Resource{Kind: "registry", PrivateEndpoint: true}, names(desired.IdentityNetwork())},
		"a private payment manager":             {model.Resource{Kind: "payment-manager", PrivateEndpoint: true}, names(desired.IdentityNetwork())},
		"a capacity provider":                   {model.Resource{Kind: "capacity-provider"}, names(desired.RuntimeInstances())},
	} {
		t.Run(name, func(t *testing.T) {
			got := needs(c.of)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			// What cannot be read of a kind must be unread for every role that it may need.
			for _, role := range got {
				if !slices.Contains(kindsOf(role), c.of.Kind) {
					t.Errorf("%s does not go by %s", role, c.of.Kind)
				}
			}
		})
	}
}
