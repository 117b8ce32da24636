package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// plansText writes the plans of many configs. Those that say more than a line
// stand apart.
func plansText(t *terminal, bucket string, all []lookedAt) {
	if len(all) == 0 {
		t.line("there are no configs in %s", bucket)
	}
	apart := false
	for i, l := range all {
		long := l.err == nil && l.planned.says()
		if i > 0 && (apart || long) {
			t.line("")
		}
		apart = long
		if l.err != nil {
			t.line("%s: could not be looked at: %s", l.key, oneLine(l.err))
			continue
		}
		l.planned.text(t)
	}
}

// says reports whether there is more to be told than a line.
func (p planned) says() bool {
	return len(p.Problems)+len(p.Plan.Steps)+len(p.Plan.Findings)+len(p.Plan.Refusals)+len(p.Plan.Waits)+len(p.leaving()) > 0
}

func (p planned) text(t *terminal) {
	t.line("%s: %s", p.Key, p.summary())
	problemsText(t, p.look.name, p.Problems)
	for _, s := range p.Plan.Steps {
		if s.Op == plan.CreateServiceLinkedRole {
			t.line("%s: service-linked role %s of %s", s.Reason, s.Role, s.Service)
		}
	}
	for _, agent := range p.agents() {
		t.line("")
		p.agentText(t, agent)
	}
	for _, l := range p.leaving() {
		t.line("")
		l.text(t, p.look.grace)
	}
}

func (p planned) summary() string {
	steps, waits := len(p.Plan.Steps), len(p.Plan.Waits)
	blocked := map[string][]string{} // names by noun
	for _, f := range p.Plan.Refusals {
		noun, _, _ := strings.Cut(string(f.Kind), "-")
		if !slices.Contains(blocked[noun], f.Role) {
			blocked[noun] = append(blocked[noun], f.Role)
		}
	}
	if fault.Blocks(p.Problems) {
		return "the config has problems and is refused; nothing to do"
	}
	var parts []string
	if steps > 0 {
		parts = append(parts, many(steps, "step"))
	}
	if waits > 0 {
		parts = append(parts, many(waits, "build")+" waiting")
	}
	for _, noun := range []string{"role", "repository", "project"} {
		if n := len(blocked[noun]); n > 0 {
			parts = append(parts, many(n, noun)+" blocked")
		}
	}
	parts = append(parts, p.movesText()...)
	if len(parts) == 0 {
		parts = []string{"nothing to do"}
	}
	text := strings.Join(parts, ", ")
	if p.Gone {
		text = "the config is gone; " + text
	}
	return text
}

// movesText says of how many agents the next look changes the phase.
func (p planned) movesText() []string {
	moving := map[status.Phase]int{}
	for _, l := range p.leaving() {
		if l.next != l.Phase {
			moving[l.next]++
		}
	}
	var parts []string
	if n := moving[status.PhaseRetiring]; n > 0 {
		parts = append(parts, many(n, "agent")+" leaving")
	}
	if n := moving[status.PhaseActive]; n > 0 {
		parts = append(parts, many(n, "agent")+" coming back")
	}
	return parts
}

func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "ory"); ok {
		noun = stem + "orie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// agents gives the agents that there is something to tell of.
func (p planned) agents() []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, s := range p.Plan.Steps {
		add(s.Agent)
	}
	for _, f := range p.Plan.Refusals {
		add(f.Agent)
	}
	for _, f := range p.Plan.Findings {
		add(f.Agent)
	}
	for _, agent := range slices.Sorted(maps.Keys(p.Plan.Waits)) {
		add(agent)
	}
	return names
}

// of gives what of the plan is about an agent.
func (p planned) of(agent string) plan.Plan {
	return plan.Plan{
		Steps:    slices.DeleteFunc(slices.Clone(p.Plan.Steps), func(s plan.Step) bool { return s.Agent != agent }),
		Findings: slices.DeleteFunc(slices.Clone(p.Plan.Findings), func(f plan.Finding) bool { return f.Agent != agent }),
		Refusals: slices.DeleteFunc(slices.Clone(p.Plan.Refusals), func(f plan.Refusal) bool { return f.Agent != agent }),
	}
}

// subject is what a step, a finding or a refusal is about.
type subject struct{ kind, name string }

// kinds of subjects, in the order in which they are told.
var kinds = []string{string(model.RuntimeRole), string(model.BuildRole), string(model.RepositoryPart), string(model.ProjectPart)}

func (s subject) String() string {
	if s.kind == string(model.RuntimeRole) || s.kind == string(model.BuildRole) {
		return s.kind + " role " + s.name
	}
	return s.kind + " " + s.name
}

func ofStep(s plan.Step) subject {
	if s.Build != nil {
		return subject{string(model.ProjectPart), s.Role}
	}
	return subject{string(plan.KindOf(s.Element)), s.Role}
}

func ofFinding(f plan.Finding) subject { return subject{string(plan.KindOf(f.Element)), f.Role} }

func ofRefusal(f plan.Refusal) subject {
	kind, _, _ := strings.Cut(string(f.Kind), "-")
	if kind == "role" {
		kind = string(model.RuntimeRole)
		if strings.HasPrefix(f.Role, naming.BuildRolePrefix) {
			kind = string(model.BuildRole)
		}
	}
	return subject{kind, f.Role}
}

// agentText writes what is done about an agent: the steps role by role, which is
// nearly their order, and last what is noted in the claims meanwhile.
func (p planned) agentText(t *terminal, agent string) {
	t.line("agent %s", agent)
	of := p.of(agent)
	var all []subject
	for _, s := range of.Steps {
		all = append(all, ofStep(s))
	}
	for _, f := range of.Refusals {
		all = append(all, ofRefusal(f))
	}
	for _, f := range of.Findings {
		all = append(all, ofFinding(f))
	}
	slices.SortFunc(all, func(a, b subject) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)), cmp.Compare(a.name, b.name))
	})
	for _, s := range slices.Compact(all) {
		if s.name != "" {
			p.subjectText(t, of, s)
		}
	}
	for _, s := range of.Steps {
		if s.Role == "" {
			t.line("  %s: the claim notes %s", s.Reason, noted(s))
		}
	}
	if why := p.Plan.Waits[agent]; why != "" {
		t.line("  a build waits: %s", why)
	}
}

// noted says what a step notes in the claim.
func noted(s plan.Step) string {
	switch s.Op {
	case plan.ReserveCreation:
		if len(s.Parts) > 0 {
			return "that " + partsOf(s.Parts) + " about to be made"
		}
		return "that " + rolesOf(s.Kinds) + " about to be made"
	case plan.RecordParts:
		return "when repository and project were made"
	case plan.FinishAdoption:
		return "that " + rolesOf(s.Adopting) + " taken over whole"
	}
	text := "the unique ids of the roles"
	if len(s.Adopting) > 0 {
		text += ", and that " + rolesOf(s.Adopting) + " being taken over"
	}
	return text
}

func rolesOf(kinds []model.RoleKind) string {
	if len(kinds) == 1 {
		return fmt.Sprintf("the %s role is", kinds[0])
	}
	return "both roles are"
}

func partsOf(parts []model.Part) string {
	if len(parts) == 1 {
		return fmt.Sprintf("the %s is", parts[0])
	}
	return "repository and project are"
}

func (p planned) subjectText(t *terminal, of plan.Plan, about subject) {
	t.line("  %s", about)
	for _, f := range of.Findings {
		if f.Element == about.kind {
			p.goneText(t, f)
		}
	}
	for _, s := range of.Steps {
		if ofStep(s) == about {
			p.stepText(t, s)
		}
	}
	for _, f := range of.Findings {
		if ofFinding(f) == about && f.Element != about.kind && !f.Repaired {
			p.leftText(t, f)
		}
	}
	for _, f := range of.Refusals {
		if ofRefusal(f) == about {
			t.line("    blocked: %s; %s [%s]", f.Message, f.Fix, f.Kind)
		}
	}
	if losses := p.losses[about.name]; len(losses) > 0 {
		verb := "takes"
		if of.Refused(about.name) {
			verb = "would take"
		}
		t.line("    adoption %s away:", verb)
		for _, l := range losses {
			t.line("      %s", l)
		}
	}
}

// goneText tells that something is gone as a whole.
func (p planned) goneText(t *terminal, f plan.Finding) {
	noun, more := ofFinding(f).kind, "is made anew"
	if f.Kind == plan.RoleMissing {
		noun = "role"
	}
	if !f.Repaired {
		more = "is not made anew " + p.whyLeft()
	}
	t.line("    drift: the %s is gone, and %s", noun, more)
}

// leftText tells of what is left as it is.
func (p planned) leftText(t *terminal, f plan.Finding) {
	what := elementText(f.Element)
	switch {
	case f.Kind == plan.Extra:
		t.line("    kept: %s, which is not Rolekeeper's", what)
	case what == "tags" && p.look.viewer.Drift != plan.ReportDrift:
		t.line("    drift: tags, left while others' leave no room for them or the build role is blocked")
	default:
		t.line("    drift: %s, left %s", what, p.whyLeft())
	}
}

// whyLeft says why drift is left as it is.
func (p planned) whyLeft() string {
	if p.look.viewer.Drift == plan.ReportDrift {
		return "since the stack's DriftMode is " + string(plan.ReportDrift)
	}
	return "while the build role is blocked"
}

// elementText names an element of a role or of a project for people.
func elementText(element string) string {
	_, part, _ := strings.Cut(element, "/")
	if name, ok := strings.CutPrefix(part, "policy/"); ok {
		return "policy " + name
	}
	if arn, ok := strings.CutPrefix(part, "attached/"); ok {
		return "managed policy " + arn
	}
	if name, ok := strings.CutPrefix(part, "extra/"); ok {
		return "setting " + name
	}
	return part
}

func (p planned) stepText(t *terminal, s plan.Step) {
	d, o := s.Desired, p.look.seen.role(s.Role)
	line := func(format string, args ...any) { t.line("    %s: %s", s.Reason, fmt.Sprintf(format, args...)) }
	switch s.Op {
	case plan.ArchiveRole:
		line("the whole role is archived first")
	case plan.CreateRole:
		line("the role is made")
		t.line("      boundary %s", d.PermissionsBoundary)
		tagsText(t, nil, d.Tags)
		t.line("      description %q", d.Description)
		t.line("      sessions of at most %d s", d.MaxSessionDuration)
		t.line("      trust policy")
		diffText(t, "", d.Trust.JSON())
	case plan.PutBoundary:
		line("boundary %s -> %s", orNone(o.PermissionsBoundary), d.PermissionsBoundary)
	case plan.TagRole:
		line("tags")
		tagsText(t, o.Tags, d.Tags)
	case plan.UpdateTrust:
		line("trust policy")
		diffText(t, o.Trust, d.Trust.JSON())
	case plan.PutPolicy:
		line("policy %s", s.Policy)
		diffText(t, o.Policies[s.Policy], d.Policies[s.Policy].JSON())
	case plan.DeletePolicy:
		line("policy %s is removed", s.Policy)
		diffText(t, o.Policies[s.Policy], "")
	case plan.UpdateSettings:
		line("settings")
		if o.Description != d.Description {
			t.line("      description %q -> %q", o.Description, d.Description)
		}
		if o.MaxSessionDuration != d.MaxSessionDuration {
			t.line("      sessions of at most %d s -> %d s", o.MaxSessionDuration, d.MaxSessionDuration)
		}
	default:
		p.restoreStepText(t, s, line)
	}
}

// restoreStepText writes a step that only restoring takes.
func (p planned) restoreStepText(t *terminal, s plan.Step, line func(format string, args ...any)) {
	switch s.Op {
	case plan.UntagRole:
		line("tags are taken away")
		for _, key := range s.Tags {
			t.line("      tag %s=%s -> none", key, p.look.seen.role(s.Role).Tags[key])
		}
	case plan.AttachPolicy:
		line("managed policy %s is attached", s.Policy)
	case plan.DetachPolicy:
		line("managed policy %s is detached", s.Policy)
	default:
		p.imageStepText(t, s, line)
	}
}

// imageStepText writes a step that is about an image.
func (p planned) imageStepText(t *terminal, s plan.Step, line func(format string, args ...any)) {
	switch s.Op {
	case plan.CreateRepository:
		line("the repository is made")
		t.line("      images are pushed to %s", s.Repository.URI)
		if s.Repository.ScanOnPush {
			t.line("      images are scanned when they are pushed")
		}
		tagsText(t, nil, s.Repository.Tags)
	case plan.ScanOnPush:
		line("images are scanned when they are pushed")
	case plan.TagRepository:
		line("tags")
		tagsText(t, p.look.seen.repositories.seen(s.Role).Tags, s.Repository.Tags)
	case plan.CreateProject:
		line("the project is made")
		for _, setting := range report.SettingLines(s.Project.ProjectSettings) {
			t.line("      %s", setting)
		}
		tagsText(t, nil, s.Project.Tags)
	case plan.UpdateProject:
		line("%s", elementText(s.Element))
		o, _ := p.look.seen.projects.seen(s.Role)
		for _, differs := range report.TextDiff(report.SettingsText(o.ProjectSettings), report.SettingsText(s.Project.ProjectSettings)) {
			t.line("      %s", differs)
		}
		tagsText(t, o.Tags, s.Project.Tags)
	case plan.CreateLogGroup:
		line("log group %s is made, if it is not there", s.Project.LogGroup)
	case plan.RetainLogs:
		line("log group %s keeps its logs for %s", s.Project.LogGroup, many(int(s.Project.LogRetentionDays), "day"))
	case plan.StartBuild:
		line("a build is started")
		t.line("      source version %s", s.Build.SourceVersion)
		t.line("      image tag %s", tagsOf(*s.Build))
	default:
		line("%s", s.Op)
	}
}

// tagsOf names the tags that the image of a build gets.
func tagsOf(o model.BuildOrder) string {
	if o.Latest {
		return o.ImageTag + " and latest"
	}
	return o.ImageTag
}

// tagsText writes the tags that are not yet as they should be.
func tagsText(t *terminal, is, desired map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(desired)) {
		value, there := is[key]
		switch {
		case !there:
			t.line("      tag %s=%s", key, desired[key])
		case value != desired[key]:
			t.line("      tag %s=%s -> %s", key, value, desired[key])
		}
	}
}

func diffText(t *terminal, before, after string) {
	for _, line := range report.DocumentDiff(before, after) {
		t.line("      %s", line)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
