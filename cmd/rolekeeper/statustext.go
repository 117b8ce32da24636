package main

import (
	"fmt"
	"strings"
	"time"

	"rolekeeper/shared/status"
)

// statusText writes a status without the digests in it, which say nothing to people.
func statusText(t *terminal, s status.Status) {
	t.line("%s: %s", s.Config.Key, s.Outcome)
	t.line("%s", s.Summary)
	for _, n := range s.Next {
		t.line("  next: %s", n)
	}
	t.line("")
	problemsText(t, s.Config.Key, s.Problems)
	if len(s.Problems) > 0 {
		t.line("")
	}
	for _, a := range s.Agents {
		agentText(t, a)
		t.line("")
	}
	for _, r := range s.Requests {
		t.line("request %s: %s: %s", r.ID, r.Outcome, r.Message)
	}
	t.field("version looked at", s.Config.VersionID)
	t.time("uploaded", s.Config.UploadedAt)
	t.field("version applied", s.Config.AppliedVersionID)
	t.field("settings", s.SettingsHash)
	if s.TemplateVersion > 0 {
		t.line("policy templates version %d", s.TemplateVersion)
	}
	t.time("looked at again at", s.WakeAt)
	t.time("updated", s.UpdatedAt)
}

func agentText(t *terminal, a status.Agent) {
	t.line("agent %s: %s", a.Name, phaseText(a))
	if a.PhaseVersion != "" {
		t.line("  since version %s of the config", a.PhaseVersion)
	}
	t.field("  runtime role", a.RuntimeRoleARN)
	t.field("  build role", a.BuildRoleARN)
	t.field("  repository", a.Repository)
	t.field("  project", a.Project)
	if a.Build != nil {
		buildText(t, *a.Build)
	}
	for _, r := range a.Runtimes {
		t.line("  runtime %s: %s", r.ID, runtimeText(r))
	}
	t.field("  retirement", a.RetirementID)
	for _, key := range a.ArchiveKeys {
		t.line("  archived as %s", key)
	}
	for _, b := range a.BlockedBy {
		t.line("  blocked by %s (%s); %s", b.ARN, b.Kind, b.Fix)
	}
	for _, d := range a.Drift {
		by := ""
		if d.Actor != "" {
			by = " by " + d.Actor
		}
		t.line("  drift: %s %s%s, first seen %s", d.Element, d.Kind, by, moment(d.At))
	}
	for _, n := range a.Notes {
		t.line("  note: %s", n)
	}
}

// phaseText says where an agent stands in its life, and what comes of it.
func phaseText(a status.Agent) string {
	switch a.Phase {
	case status.PhaseRetiring:
		return fmt.Sprintf("%s; its roles are deleted after %s, unless something uses them", a.Phase, moment(a.RetireAfter))
	case status.PhaseQuarantined:
		return fmt.Sprintf("%s; nobody can assume its roles, which are deleted after %s", a.Phase, moment(a.DeleteAfter))
	case status.PhaseRetired:
		return fmt.Sprintf("%s; its roles were deleted", a.Phase)
	case status.PhaseHeld:
		return fmt.Sprintf("%s; what was restored is left as it is until a new upload or `rolekeeper release`", a.Phase)
	}
	return string(a.Phase)
}

func runtimeText(r status.Runtime) string {
	text := "there"
	if r.Gone {
		text = "gone"
	}
	if r.Foreign {
		text += ", with a role that is not the agent's"
	}
	return text + ", last seen " + moment(r.LastSeen)
}

// buildText writes where the newest build of an agent's image stands.
func buildText(t *terminal, b status.Build) {
	t.line("  %s: %s, since %s", strings.TrimSpace("build "+b.ID), b.State, moment(b.Since))
	t.field("    source version", b.SourceVersion)
	t.field("    image", b.Image)
	t.field("    message", b.Message)
	t.field("    log", b.LogURL)
	if b.Last != nil {
		buildText(t, *b.Last)
	}
}

// field writes a named value, unless it is empty.
func (t *terminal) field(name, value string) {
	if value != "" {
		t.line("%s %s", name, value)
	}
}

func (t *terminal) time(name string, at time.Time) {
	if !at.IsZero() {
		t.line("%s %s", name, moment(at))
	}
}
