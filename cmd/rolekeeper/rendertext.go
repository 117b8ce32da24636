package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/report"
)

// text writes what the agents get, then the problems as compilers write theirs.
func (r rendering) text(t *terminal) {
	for i, a := range r.agents {
		if i > 0 {
			t.line("")
		}
		t.line("agent %s", a.name)
		if a.external != "" {
			t.line("  runtime role %s (not Rolekeeper's)", a.external)
		}
		roleText(t, "runtime", a.name, a.runtime)
		roleText(t, "build", a.name, a.build)
		repositoryText(t, a.repository)
		projectText(t, a.project)
		for _, n := range a.notes {
			t.line("  note: %s", n)
		}
	}
	if len(r.agents) > 0 && len(r.problems) > 0 {
		t.line("")
	}
	problemsText(t, r.file, r.problems)
}

func problemsText(t *terminal, file string, problems []fault.Problem) {
	for _, p := range problems {
		space := ""
		if p.Line == 0 {
			space = " "
		}
		t.line("%s:%s%s", file, space, p)
	}
}

func roleText(t *terminal, kind, agent string, r *model.Role) {
	if r == nil {
		return
	}
	if r.Agent != agent {
		t.line("  %s role %s (that of agent %s)", kind, r.ARN, r.Agent)
		return
	}
	t.line("  %s role %s", kind, r.ARN)
	t.line("    trust")
	statementsText(t, r.Trust)
	for _, name := range slices.Sorted(maps.Keys(r.Policies)) {
		t.line("    policy %s", name)
		statementsText(t, r.Policies[name])
	}
	t.line("    tags %s", assignments(r.Tags))
	t.line("    boundary %s", r.PermissionsBoundary)
	t.line("    sessions of at most %d s; %s", r.MaxSessionDuration, r.Description)
}

// assignments gives a map as text.
func assignments(m map[string]string) string {
	all := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return strings.Join(all, ", ")
}

func repositoryText(t *terminal, r *model.Repository) {
	switch {
	case r == nil:
	case r.Named:
		t.line("  repository %s (named by the config: used as it is)", r.URI)
	default:
		t.line("  repository %s", r.URI)
		t.line("    tags %s", assignments(r.Tags))
		if r.ScanOnPush {
			t.line("    images are scanned when they are pushed")
		}
	}
}

// projectText writes a project without its buildspec.
func projectText(t *terminal, p *model.Project) {
	if p == nil {
		return
	}
	t.line("  project %s", p.ARN)
	for _, line := range report.SettingLines(p.ProjectSettings) {
		t.line("    %s", line)
	}
	t.line("    logs kept for %s", many(int(p.LogRetentionDays), "day"))
	t.line("    tags %s", assignments(p.Tags))
}

func statementsText(t *terminal, d policy.Document) {
	for _, s := range d.Statements {
		t.line("      %s", statementText(s))
	}
}

// statementText gives a statement in words, and as JSON what has no words here.
func statementText(s policy.Statement) string {
	if s.NotPrincipals != nil || s.NotActions != nil || s.NotResources != nil || s.Unknown != nil {
		return policy.New(s).JSON()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", s.Effect, s.Sid, strings.Join(s.Actions, ", "))
	if s.Resources != nil {
		fmt.Fprintf(&b, " on %s", strings.Join(s.Resources, ", "))
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Principals)) {
		fmt.Fprintf(&b, " by %s %s", kind, strings.Join(s.Principals[kind], ", "))
	}
	if conditions := s.Conditions.String(); conditions != "" {
		b.WriteString(" if " + conditions)
	}
	return b.String()
}
