package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
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
	return len(p.Problems)+len(p.Plan.Steps)+len(p.Plan.Findings)+len(p.Plan.Refusals)+len(p.Removed) > 0
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
	for _, agent := range p.Removed {
		t.line("")
		t.line("agent %s: %s", agent, report.RemovedAgentNote)
	}
}

func (p planned) summary() string {
	steps, blocked := len(p.Plan.Steps), map[string]bool{}
	for _, f := range p.Plan.Refusals {
		blocked[f.Role] = true
	}
	switch {
	case p.Gone:
		return "the config is gone; nothing to do"
	case fault.Blocks(p.Problems):
		return "the config has problems and is refused; nothing to do"
	case steps == 0 && len(blocked) == 0:
		return "nothing to do"
	}
	var parts []string
	if steps > 0 {
		parts = append(parts, many(steps, "step"))
	}
	if len(blocked) > 0 {
		parts = append(parts, many(len(blocked), "role")+" blocked")
	}
	return strings.Join(parts, ", ")
}

func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
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

// agentText writes what is done about an agent: the steps role by role, which is
// nearly their order, and last what is noted in the claim meanwhile.
func (p planned) agentText(t *terminal, agent string) {
	t.line("agent %s", agent)
	of := p.of(agent)
	var roles []string
	for _, s := range of.Steps {
		roles = append(roles, s.Role)
	}
	for _, f := range of.Refusals {
		roles = append(roles, f.Role)
	}
	for _, f := range of.Findings {
		roles = append(roles, f.Role)
	}
	slices.Sort(roles) // build before runtime, by their prefixes
	slices.Reverse(roles)
	for _, role := range slices.Compact(roles) {
		if role != "" {
			p.roleText(t, of, role)
		}
	}
	for _, s := range of.Steps {
		if s.Role == "" {
			t.line("  %s: the claim notes %s", s.Reason, noted(s))
		}
	}
}

// noted says what a step notes in the claim.
func noted(s plan.Step) string {
	switch s.Op {
	case plan.ReserveCreation:
		return "that " + rolesOf(s.Kinds) + " about to be made"
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

func (p planned) roleText(t *terminal, of plan.Plan, role string) {
	kind := model.RuntimeRole
	if strings.HasPrefix(role, naming.BuildRolePrefix) {
		kind = model.BuildRole
	}
	t.line("  %s role %s", kind, role)
	for _, f := range of.Findings {
		if f.Role == role && f.Kind == plan.RoleMissing {
			t.line("    drift: the role is gone, and is made anew")
		}
	}
	for _, s := range of.Steps {
		if s.Role == role {
			p.stepText(t, s)
		}
	}
	for _, f := range of.Findings {
		if f.Role == role && !f.Repaired {
			t.line("    kept: %s, which is not Rolekeeper's", elementText(f.Element))
		}
	}
	for _, f := range of.Refusals {
		if f.Role == role {
			t.line("    blocked: %s; %s [%s]", f.Message, f.Fix, f.Kind)
		}
	}
	if losses := p.losses[role]; len(losses) > 0 {
		verb := "takes"
		if of.Refused(role) {
			verb = "would take"
		}
		t.line("    adoption %s away:", verb)
		for _, l := range losses {
			t.line("      %s", l)
		}
	}
}

// elementText names an element of a role for people.
func elementText(element string) string {
	_, part, _ := strings.Cut(element, "/")
	if name, ok := strings.CutPrefix(part, "policy/"); ok {
		return "policy " + name
	}
	if arn, ok := strings.CutPrefix(part, "attached/"); ok {
		return "managed policy " + arn
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
		line("%s", s.Op)
	}
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
	for _, line := range documentDiff(before, after) {
		t.line("      %s", line)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
