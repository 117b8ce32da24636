package drift

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// finding is what a pass found out about a config.
type finding struct {
	key string
	judged

	agents, roles int
	refused       bool             // the config, or one of its roles
	outdated      bool             // what differs was applied from older templates or under other settings
	differences   []report.Finding // by role and element
	leaving       []report.Leaving
	untold        bool // the status does not tell of what is left alone now, or tells of what is not any more
	later         bool // it is outdated, and its turn comes with another pass
}

// findAll judges every config, in their order. The error is that of one that could
// not be judged.
func (f *fleet) findAll(ctx context.Context, p Pass, now time.Time) ([]finding, error) {
	viewer := f.viewer(p.Settings)
	l := look{now: now, live: f.live, hash: p.SettingsHash}
	found := make([]finding, len(f.configs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range f.configs {
		group.Go(func() (err error) {
			found[i], err = f.find(ctx, viewer, l, c)
			found[i].key = c.key
			return err
		})
	}
	err := group.Wait()
	unread := 0
	for _, one := range found {
		unread += oneIf(one.unread)
	}
	if most := p.MaxChanges.Of(len(found)); err == nil && unread > most {
		err = fmt.Errorf("%d of %d configs cannot be read", unread, len(found))
	}
	return found, err
}

// find judges one config: by its status, and by what reconcile would do about it.
func (f *fleet) find(ctx context.Context, viewer reconcile.Viewer, l look, c config) (finding, error) {
	var out finding
	answer, err := f.Get(ctx, naming.StatusKey(c.key))
	switch {
	case errors.Is(err, fault.ErrNotFound):
		out.missed = !c.answered || !c.uploaded.IsZero() // else the answer went since, and there is nothing to answer
	case err != nil:
		return f.unread(c, l.now, fmt.Errorf("status of %s: %w", c.key, err))
	default:
		out.judged = l.judge(c, answer.Body, func(agent string) bool { return f.claims[naming.RoleClaimKey(agent)].Config == c.key })
	}
	if out.newer {
		return out, nil
	}
	preview, err := viewer.Preview(ctx, c.key, nil)
	if err != nil {
		return f.unread(c, l.now, err)
	}
	s := preview.Status
	out.agents, out.leaving = population(c.key, s.Agents)
	out.roles = f.recorded(c.key)
	out.missed = out.missed || f.forgotten(preview)
	if preview.Gone {
		return out, nil
	}
	if out.refused = fault.Blocks(preview.Problems); out.refused {
		out.missed = out.missed || s.Outcome != status.Rejected
		out.differences = []report.Finding{refusal(c.key, preview.Problems, l.now)}
		return out, nil
	}
	out.missed = out.missed || s.Outcome == status.Failed || s.Outcome == status.Rejected
	out.untold = untold(s, preview)
	out.differences = f.differences(l, preview)
	out.refused = len(preview.Plan.Refusals) > 0
	out.outdated = slices.ContainsFunc(out.differences, func(d report.Finding) bool { return d.Kind == report.KindOutdated })
	return out, nil
}

// forgotten reports whether the status does not know an agent that has roles and is
// to go, or says of one that its roles are gone.
func (f *fleet) forgotten(p reconcile.Preview) bool {
	return slices.ContainsFunc(p.Status.Agents, func(a status.Agent) bool {
		switch a.Phase {
		case status.PhaseActive:
			return p.Gone || slices.Contains(p.Removed, a.Name)
		case status.PhaseRetired:
			c := f.claims[naming.RoleClaimKey(a.Name)]
			return c.Config == p.Key && (c.RuntimeRoleID != "" || c.BuildRoleID != "")
		case status.PhaseRetiring, status.PhaseQuarantined, status.PhaseHeld:
		}
		return false
	})
}

// unread tells of a config that cannot be judged. It is an error of the pass, but
// when the config itself cannot be read: whoever uploads one that nobody can read
// is to make no pass fail.
func (f *fleet) unread(c config, now time.Time, err error) (finding, error) {
	out := finding{judged: judged{unread: true}, differences: []report.Finding{{
		Config: c.key, Role: c.key, Kind: report.KindUnread, Action: report.ActionTold, Since: now.Truncate(time.Second), Message: report.Clip(err.Error()),
		Fix: "nothing, when the next pass judges it; else have the platform team look at what the message names",
	}}}
	if unreadable := f.objects[c.key].err; unreadable != nil && fault.Of(unreadable) != fault.Retry {
		return out, nil
	}
	return out, err
}

// compared reports whether something was found when a config was compared.
func (f finding) compared() bool {
	return slices.ContainsFunc(f.differences, func(d report.Finding) bool { return d.Kind != report.KindUnread && d.Kind != report.KindRefused })
}

// refusal tells of a config that is at fault.
func refusal(key string, problems []fault.Problem, now time.Time) report.Finding {
	first := slices.IndexFunc(problems, func(p fault.Problem) bool { return p.Severity == fault.SeverityError })
	return report.Finding{
		Config: key, Role: key, Kind: report.KindRefused, Action: report.ActionBlocked, Since: now.Truncate(time.Second),
		Message: report.Clip(problems[max(first, 0)].String()),
		Fix:     "have its owner mend the config; `rolekeeper status " + key + "` lists all its problems",
	}
}

// recorded counts the roles that the claims of a config record.
func (f *fleet) recorded(key string) int {
	n := 0
	for _, claim := range f.indexes[key] {
		if c, ok := f.claims[claim]; ok && c.Config == key {
			for _, kind := range []model.RoleKind{model.RuntimeRole, model.BuildRole} {
				if c.RoleID(kind) != "" {
					n++
				}
			}
		}
	}
	return n
}

// untold reports whether the status does not tell of what is left alone now, or
// tells of what is not so any more. Of repositories nothing is known here.
func untold(s status.Status, p reconcile.Preview) bool {
	told, now := map[string]bool{}, map[string]bool{}
	for _, a := range s.Agents {
		if p.Desired.Agent(a.Name).Name == "" {
			continue
		}
		for _, b := range a.BlockedBy {
			if k := plan.RefusalKind(b.Kind); !plan.BlockerKind(b.Kind).Known() && k.Part() != model.RepositoryPart {
				told[a.Name+" "+b.ARN] = true
			}
		}
		for _, d := range a.Drift {
			if plan.KindOf(d.Element) != model.RoleKind(model.RepositoryPart) {
				told[a.Name+" "+d.Element+" "+d.Kind] = true
			}
		}
	}
	for _, r := range p.Plan.Refusals {
		now[r.Agent+" "+r.ARN] = true
	}
	for _, d := range p.Plan.Findings {
		if !d.Repaired {
			now[d.Agent+" "+d.Element+" "+string(d.Kind)] = true
		}
	}
	return !maps.Equal(told, now)
}

// differences gives what a plan finds and does, a finding for each element.
func (f *fleet) differences(l look, p reconcile.Preview) []report.Finding {
	c := comparison{fleet: f, p: p, look: l, seen: map[[2]string]bool{}}
	for _, r := range p.Plan.Refusals {
		one := report.Finding{Agent: r.Agent, Role: r.Role, Kind: c.refused(r), Action: report.ActionBlocked, Message: r.Message, Fix: r.Fix}
		for _, d := range p.Plan.Findings {
			if about(r, d) { // which is not told twice
				one.Element, one.Kind = d.Element, kind(d)
			}
		}
		c.add(one)
	}
	for _, d := range p.Plan.Findings {
		one := report.Finding{Agent: d.Agent, Role: d.Role, Element: d.Element, Kind: kind(d), Action: report.ActionTold}
		if d.Repaired {
			one.Action = report.ActionRepaired
		}
		c.add(one)
	}
	for _, s := range p.Plan.Steps {
		if one, ok := c.step(s); ok {
			c.add(one)
		}
	}
	slices.SortStableFunc(c.all, func(a, b report.Finding) int {
		return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Element, b.Element))
	})
	return c.all
}

// kind gives the kind of a plan's finding.
func kind(d plan.Finding) report.Kind {
	switch {
	case !strings.Contains(d.Element, "/"):
		return report.KindRoleMissing
	case d.Kind == plan.Missing:
		return report.KindMissing
	case d.Kind == plan.Extra:
		return report.KindExtra
	}
	return report.KindEdited
}

// about reports whether a refusal is because of what a finding tells, which is
// not repaired.
func about(r plan.Refusal, d plan.Finding) bool {
	if r.Role != d.Role || d.Repaired {
		return false
	}
	switch r.Kind {
	case plan.RoleGone, plan.ProjectGone:
		return kind(d) == report.KindRoleMissing
	case plan.BoundaryDiffers:
		return strings.HasSuffix(d.Element, "/boundary")
	}
	return false
}

// comparison gathers the findings about one config.
type comparison struct {
	*fleet
	look
	p    reconcile.Preview
	seen map[[2]string]bool // by role and element
	all  []report.Finding
}

// refused gives the kind of a refusal.
func (c *comparison) refused(r plan.Refusal) report.Kind {
	switch r.Kind {
	case plan.Replaced:
		return report.KindReplaced
	case plan.TagsFull, plan.PoliciesFull:
		return report.KindFull
	}
	for _, d := range c.p.Desired.Agent(r.Agent).Roles() {
		if d.Name == r.Role && c.claims[naming.RoleClaimKey(r.Agent)].RoleID(d.Kind) != "" {
			return report.KindReplaced // and never adopted
		}
	}
	return report.KindStranger
}

// add adds a finding with what is there and what should be, who did it and since
// when, as far as the status tells.
func (c *comparison) add(d report.Finding) {
	if at := [2]string{d.Role, d.Element}; c.seen[at] {
		return
	} else {
		c.seen[at] = true
	}
	d.Config, d.Since = c.p.Key, c.now.Truncate(time.Second)
	a, _ := c.p.Status.Agent(d.Agent)
	for _, known := range a.Drift {
		if known.Element == d.Element {
			d.Actor, d.Since = known.Actor, known.At
		}
	}
	d.Observed, d.Desired = c.texts(d)
	if d.Kind == report.KindExtra && strings.Contains(d.Element, "/policy/") {
		c.cut(&d)
	}
	c.all = append(c.all, d)
}

// cut says of a policy that somebody added what the boundary lets nobody do by it.
func (c *comparison) cut(d *report.Finding) {
	added, err := policy.Parse(d.Observed)
	if err != nil || len(c.boundary.Statements) == 0 {
		return
	}
	beyond := policy.Beyond(added, c.boundary)
	var only policy.Document
	var words []string
	for _, g := range beyond {
		only.Statements, words = append(only.Statements, g.Statement()), append(words, g.String())
	}
	switch {
	case len(beyond) == 0:
	case len(policy.Beyond(added, only)) == 0:
		d.Kind, d.Message = report.KindIneffective, "the permissions boundary lets nothing of it through"
	default:
		d.Message = report.Clip("the permissions boundary does not let through: " + strings.Join(words, "; "))
	}
}

// step gives the finding that a step is about which no finding of the plan tells.
func (c *comparison) step(s plan.Step) (report.Finding, bool) {
	d := report.Finding{Agent: s.Agent, Role: s.Role, Element: s.Element, Kind: report.KindPending, Action: report.ActionRepaired}
	switch s.Op {
	case plan.CreateServiceLinkedRole:
		if d.Kind = report.KindLinked; c.p.Status.Config.AppliedVersionID == "" {
			d.Kind = report.KindPending // it was never made for this config
		}
		return d, true
	case plan.RecordRoles, plan.RecordParts:
		if slices.ContainsFunc(c.p.Plan.Steps, func(other plan.Step) bool { return other.Agent == s.Agent && other.Role != "" }) {
			return d, false // it goes with what is made or changed
		}
		d.Role, d.Kind, d.Message = s.Claim, report.KindHalfMade, "a run died before it could record what it had made"
		return d, true
	case plan.ReserveCreation, plan.ArchiveRole, plan.FinishAdoption, plan.StartBuild:
		return d, false
	}
	if c.partOfNew(s) {
		return d, false
	}
	switch {
	case s.Reason == plan.Create && s.Op != plan.CreateRole && s.Op != plan.CreateProject && s.Op != plan.CreateLogGroup && s.Op != plan.RetainLogs:
		d.Kind = report.KindHalfMade
	case c.old():
		d.Kind = report.KindOutdated
	}
	return d, true
}

// partOfNew reports whether a step goes with making the role or the project that
// it is about.
func (c *comparison) partOfNew(s plan.Step) bool {
	_, role := c.account.Roles[s.Role]
	_, project := c.projects[s.Role]
	return s.Desired != nil && s.Op != plan.CreateRole && !role || s.Project != nil && s.Op != plan.CreateProject && !project
}

// old reports whether what was applied last is of an older template, or of other
// settings.
func (c *comparison) old() bool {
	s := c.p.Status
	return s.TemplateVersion != 0 && (s.TemplateVersion != model.TemplateVersion || s.SettingsHash != c.hash)
}

// texts gives what is there of an element, and what should be.
func (c *comparison) texts(d report.Finding) (observed, desired string) {
	want := c.p.Desired.Agent(d.Agent)
	kind, part, _ := strings.Cut(d.Element, "/")
	if kind == string(model.ProjectPart) {
		o, there := c.projects[d.Role]
		switch {
		case want.Project == nil || !there:
		case part == "settings":
			return report.SettingsText(masked(o.ProjectSettings, *want.Project)), report.SettingsText(want.Project.ProjectSettings)
		case part == "tags":
			return tagText(o.Tags, want.Project.Tags), tagText(want.Project.Tags, want.Project.Tags)
		}
		return "", ""
	}
	for _, r := range want.Roles() {
		if string(r.Kind) == kind {
			return roleTexts(c.account.Roles[r.Name], r, part)
		}
	}
	return "", ""
}

// masked gives the settings of a project without the values of variables that ours
// have not: a report is kept, and they may be secrets.
func masked(s model.ProjectSettings, ours model.Project) model.ProjectSettings {
	s.Environment = maps.Clone(s.Environment)
	for name := range s.Environment {
		if _, known := ours.Environment[name]; !known {
			s.Environment[name] = "(not shown)"
		}
	}
	return s
}

func roleTexts(o model.ObservedRole, d model.Role, part string) (observed, desired string) {
	what, name, _ := strings.Cut(part, "/")
	switch what {
	case "trust":
		return o.Trust, d.Trust.JSON()
	case "boundary":
		return o.PermissionsBoundary, d.PermissionsBoundary
	case "tags":
		return tagText(o.Tags, d.Tags), tagText(d.Tags, d.Tags)
	case "settings":
		return settingText(o.Description, o.MaxSessionDuration), settingText(d.Description, d.MaxSessionDuration)
	case "attached":
		return name, ""
	case "policy":
		if want, ours := d.Policies[name]; ours {
			desired = want.JSON()
		}
		return o.Policies[name], desired
	}
	return "", ""
}

// tagText gives those of some tags whose keys are among ours, a line each.
func tagText(tags, ours map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		if value, there := tags[key]; there {
			fmt.Fprintf(&b, "%s = %s\n", key, value)
		}
	}
	return b.String()
}

func settingText(description string, session int32) string {
	return fmt.Sprintf("description: %s\nlongest session: %d s\n", description, session)
}

// population counts the agents of a config, and gives those that leave.
func population(key string, agents []status.Agent) (n int, all []report.Leaving) {
	for _, a := range agents {
		if a.Phase != status.PhaseRetired {
			n++
		}
		if one, ok := leaving(key, a); ok {
			all = append(all, one)
		}
	}
	return n, all
}

// leaving gives an agent that is on its way out, or held.
func leaving(key string, a status.Agent) (report.Leaving, bool) {
	l := report.Leaving{Config: key, Agent: a.Name, Phase: string(a.Phase)}
	switch a.Phase {
	case status.PhaseRetiring:
		l.Until = a.RetireAfter
	case status.PhaseQuarantined:
		l.Until = a.DeleteAfter
	case status.PhaseHeld:
	case status.PhaseActive, status.PhaseRetired:
		return l, false
	}
	for _, b := range a.BlockedBy[:min(len(a.BlockedBy), maxBlocks)] {
		l.Blocks = append(l.Blocks, b.ARN+": "+b.Fix)
	}
	return l, true
}

const maxBlocks = 10

// recheck forgets what differs of configs that were uploaded, worked on or
// answered since they were read: what is there now is not what they were judged
// by. Whether one was that cannot be read now is not known: it is unread, and
// the error is that of one.
func (p Pass) recheck(ctx context.Context, f *fleet, found []finding, at time.Time) error {
	var keys []string
	for _, one := range found {
		if one.compared() {
			keys = append(keys, f.judgedBy(one)...)
		}
	}
	again := p.readAll(ctx, keys)
	var failure error
	for i, one := range found {
		if !one.compared() {
			continue
		}
		for _, key := range f.judgedBy(one) {
			now := again[key]
			if now.err == nil && now.ETag == f.objects[key].ETag {
				continue
			}
			found[i] = finding{key: one.key, agents: one.agents, roles: one.roles, leaving: one.leaving}
			if now.err != nil {
				was, err := f.unread(config{key: one.key}, at, fmt.Errorf("look at %s again: %w", one.key, now.err))
				found[i].judged, found[i].differences, failure = was.judged, was.differences, errors.Join(failure, err)
			}
			break
		}
	}
	return failure
}

// judgedBy gives the keys of the objects that say what a config's roles are to be.
func (f *fleet) judgedBy(one finding) []string {
	keys := []string{one.key, naming.StatusKey(one.key), naming.ClaimIndexKey(one.key)}
	for _, d := range one.differences {
		if d.Agent != "" {
			keys = append(keys, naming.RoleClaimKey(d.Agent), naming.ProjectClaimKey(d.Agent))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// maxHints bounds a message: reconcile asks AgentCore for every runtime in it.
// The next pass finds the others.
const maxHints = 100

// hints gives what reconcile is to record, none when there is nothing to look at.
func (f finding) hints(pass string, now time.Time) []event.Hint {
	var hints []event.Hint
	changes := slices.ContainsFunc(f.differences, func(d report.Finding) bool { return d.Action == report.ActionRepaired })
	if f.due || f.missed || (changes || f.untold) && !f.later {
		hints = append(hints, event.Hint{Kind: event.PassHint, ID: pass, Time: now})
	}
	for _, id := range f.runtimes[:min(len(f.runtimes), maxHints)] {
		hints = append(hints, event.Hint{Kind: event.RuntimeHint, ID: id, Time: now})
	}
	return hints
}
