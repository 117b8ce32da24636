// Package report puts what happened into words for people and into events for
// programs.
package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/event"
	"rolekeeper/shared/expression"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// UnusedRoleNote is what is told of a role that was made for an agent whose
// config no longer asks for one of that kind.
func UnusedRoleNote(kind model.RoleKind) string {
	return fmt.Sprintf("the config no longer asks for the %s role that was made for this agent; the role is kept, nothing was deleted", kind)
}

// Bounds of what a status tells: of losses, of one role and of all roles of a
// config together (`rolekeeper plan` tells all), and of what others wrote.
const (
	maxLosses    = 30
	maxAllLosses = 600
	maxText      = 400  // characters of what is quoted
	maxLine      = 1000 // characters of what is quoted as a whole
	maxFixes     = 30
)

// LossNotes tells what the adoption of a role that is left alone would take
// away; of is the number of such roles of the config.
func LossNotes(f plan.Refusal, of int) []string {
	most := min(maxLosses, max(maxAllLosses/max(of, 1), 1))
	var notes []string
	for i, l := range f.Losses {
		if i == most {
			notes = append(notes, fmt.Sprintf("adoption of role %s: and %d more, which rolekeeper plan shows", f.Role, len(f.Losses)-i))
			break
		}
		notes = append(notes, Clip(fmt.Sprintf("adoption of role %s: %s", f.Role, l)))
	}
	return notes
}

// Clip gives a text that others wrote as a status quotes it: cut when it is
// long, and without what changes in it from time to time.
func Clip(text string) string { return clip(volatile().ReplaceAllString(text, ""), maxText) }

func clip(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// Words gives the summary of a status, one sentence, and what to do next.
func Words(s status.Status) (summary string, next []string) {
	switch s.Outcome {
	case status.Ready, status.Building, status.Orphaned, status.Retiring, status.Retired:
		return standing(s), steps(s)
	case status.Rejected:
		return sentence(slices.Concat([]string{rejected(s)}, kept(s), leaving(s))),
			slices.Concat([]string{"fix the problems and upload the config again"}, fixes(keepers(s.Agents...)), lifeSteps(s))
	case status.Blocked:
		return blocked(s), append(fixes(blockers(s.Agents)), steps(s)...)
	case status.Waiting:
		if waitsToBuild(s) {
			return standing(s), steps(s)
		}
		return fmt.Sprintf("AWS could not be asked or told everything yet; the config is looked at again at %s.", s.WakeAt.Format(time.RFC3339)),
			[]string{"nothing: this is repeated by itself"}
	case status.Failed:
		return "Handling the config went wrong part of the way; what was made so far is kept, and nothing that is in use was deleted.",
			[]string{"tell the platform team: the message is in the dead letters with its reason"}
	}
	return fmt.Sprintf("The config is %s.", s.Outcome), nil
}

// standing says where the agents of a config stand.
func standing(s status.Status) string {
	return sentence(slices.Concat(ready(s), kept(s), leaving(s)))
}

// ready says where the agents stand that are kept up, first what is under way.
func ready(s status.Status) []string {
	all, used := here(s), usable(s)
	clauses := underway(used, s.WakeAt)
	switch {
	case len(s.Agents) == 0:
		return []string{"nothing is left of the config"}
	case configGone(s):
		return []string{"the config is gone"}
	case len(all) == 0:
	case len(used) == 1 && len(clauses) > 0:
		clauses = append(clauses, "its roles are ready"+warnings(s))
	default:
		clauses = append(clauses, fmt.Sprintf("the roles of %s are ready%s", agents(all), warnings(s)))
	}
	return append(clauses, built(all, len(all) == 1)...)
}

// sentence makes one sentence of clauses.
func sentence(clauses []string) string { return capital(strings.Join(clauses, "; ")) + "." }

// warnings counts the problems of a config that was accepted.
func warnings(s status.Status) string {
	if n := len(s.Problems); n > 0 {
		return ", with " + Count(n, "warning")
	}
	return ""
}

func rejected(s status.Status) string {
	n := 0
	for _, p := range s.Problems {
		if p.Severity == fault.SeverityError {
			n++
		}
	}
	text := fmt.Sprintf("the config has %s and was refused; nothing was changed", Count(n, "problem"))
	if s.Config.AppliedVersionID != "" {
		text += ", the roles of its last good version stay"
	}
	return text
}

func blocked(s status.Status) string {
	var refused []string
	if taken := things(s, func(b status.Blocker) bool { return !missing(b) }); taken != "" {
		refused = append(refused, taken+" of this config cannot be kept up, because of what somebody else made")
	}
	if gone := things(s, missing); gone != "" {
		refused = append(refused, gone+" of this config cannot be used, because there is none of the name")
	}
	if len(refused) == 0 {
		return sentence(slices.Concat(kept(s), ready(s), leaving(s)))
	}
	return sentence(slices.Concat(refused, kept(s), []string{"the rest is as the config asks"}, underway(usable(s), s.WakeAt), built(here(s), false), leaving(s)))
}

// missing reports whether what is blocked is not there.
func missing(b status.Blocker) bool {
	switch plan.RefusalKind(b.Kind) {
	case plan.RoleGone, plan.RepositoryMissing, plan.ProjectGone:
		return true
	}
	return false
}

// things counts what is blocked, by what it is: role, repository or project,
// with which the kinds of blockers begin.
func things(s status.Status, which func(status.Blocker) bool) string {
	n := map[string]int{}
	for _, b := range blockers(s.Agents) {
		if which(b) {
			noun, _, _ := strings.Cut(b.Kind, "-")
			n[noun]++
		}
	}
	var all []string
	for _, noun := range []string{"role", "repository", "project"} {
		if n[noun] > 0 {
			all = append(all, Count(n[noun], noun))
		}
	}
	return strings.Join(all, " and ")
}

// blockers gives what is in the way of some agents, once for all of them.
func blockers(of []status.Agent) []status.Blocker {
	var all []status.Blocker
	for _, a := range of {
		for _, b := range a.BlockedBy {
			if !slices.Contains(all, b) {
				all = append(all, b)
			}
		}
	}
	return all
}

// fixes says what to do about blockers: a role may have thousands of users.
func fixes(all []status.Blocker) []string {
	var lines []string
	for i, b := range all {
		if i == maxFixes {
			lines = append(lines, fmt.Sprintf("and %d more, which stand in agents[].blockedBy", len(all)-i))
			break
		}
		lines = append(lines, plain(b.ARN+": "+b.Fix))
	}
	return lines
}

// steps says what to do now for each agent: first for its image, then to deploy
// it, and last for those that are not kept up.
func steps(s status.Status) []string {
	var all []string
	for _, a := range here(s) {
		all = append(all, imageSteps(s, a)...)
		if a.RuntimeRoleARN != "" {
			all = append(all, deployStep(a))
		}
	}
	return append(all, lifeSteps(s)...)
}

func agents(all []status.Agent) string {
	if len(all) == 1 {
		return "agent " + all[0].Name
	}
	return Count(len(all), "agent")
}

func be(all []status.Agent) string {
	if len(all) == 1 {
		return "is"
	}
	return "are"
}

// WaitingProblem tells a developer what keeps a config.
func WaitingProblem(cause error) fault.Problem {
	return fault.Problem{
		Code: "aws-not-ready", Severity: fault.SeverityWarning,
		Message: plain(cause.Error()), Fix: "nothing: this is repeated by itself",
	}
}

// FailedProblem tells a developer that the config is not what went wrong.
func FailedProblem(cause error) fault.Problem {
	return fault.Problem{
		Code: "internal-failure", Severity: fault.SeverityError,
		Message: plain(cause.Error()), Fix: "tell the platform team; nothing is wrong with the config",
	}
}

// volatile matches what changes in the text of one error from time to time: ids
// of requests, and the ends of connections.
var volatile = expression.Lazy(`(?i),? ?(request ?id|host ?id): ?[^,:]*|(\d+\.){3}\d+:\d+|\[[0-9a-f:]+\]:\d+`)

// plain gives the text of an error as a status shows it: equal failures with
// equal text.
func plain(text string) string { return clip(volatile().ReplaceAllString(text, ""), maxLine) }

// Events gives the events that a new answer calls for, given the one before it.
// Equal transitions have equal ids.
func Events(before, now status.Status) []event.Outgoing {
	var events []event.Outgoing
	switch now.Outcome {
	case status.Rejected:
		events = refused(before, now)
	case status.Ready, status.Building, status.Waiting, status.Orphaned, status.Retiring, status.Retired, status.Blocked:
	default:
		return nil
	}
	for _, a := range now.Agents {
		if now.Outcome != status.Rejected && !configGone(now) {
			events = append(events, roles(before, now, a)...)
		}
		if !configGone(now) { // nobody follows the builds of one that is gone
			events = append(events, build(before, now, a)...)
		}
		events = append(events, life(before, now, a)...)
	}
	return events
}

// roles tells that an agent's roles are ready now, and how they were not as
// Rolekeeper left them.
func roles(before, now status.Status, a status.Agent) []event.Outgoing {
	var events []event.Outgoing
	if newlyReady(before, now, a) {
		events = append(events, event.RolesReady{
			Transition:     transition(before, now, a.Name, "ready", roleDigests(a)),
			RuntimeRoleARN: a.RuntimeRoleARN, BuildRoleARN: a.BuildRoleARN,
		})
	}
	return append(events, drift(before, now, a)...)
}

// transition names what happened since the answer before. The same can happen
// again under one version of a config: the time of that answer tells the two
// apart, and stays the same when a run is repeated.
func transition(before, now status.Status, agent, what string, with any) event.Transition {
	since := before.UpdatedAt.UTC().Format(time.RFC3339Nano)
	return event.NewTransition(now.Config.Key, now.Config.VersionID, agent, fmt.Sprint(what, " since ", since, with))
}

// refused tells of a refusal that was not told yet.
func refused(before, now status.Status) []event.Outgoing {
	if before.Outcome == status.Rejected && before.Config.VersionID == now.Config.VersionID && slices.Equal(before.Problems, now.Problems) {
		return nil
	}
	return []event.Outgoing{event.ConfigRejected{
		Transition: transition(before, now, "", "rejected", now.Problems),
		Summary:    now.Summary, Problems: now.Problems[:min(len(now.Problems), event.MaxProblems)],
	}}
}

// newlyReady reports whether the roles of an agent are as the config asks and
// were not, or not of this version, at the answer before.
func newlyReady(before, now status.Status, a status.Agent) bool {
	if a.Phase != status.PhaseActive || rolesBlocked(a) || of(now, a) != none {
		return false
	}
	was, _ := before.Agent(a.Name)
	return was.Phase == status.PhaseRetired || was.Phase == status.PhaseHeld ||
		before.Config.AppliedVersionID != now.Config.AppliedVersionID || !maps.Equal(roleDigests(was), roleDigests(a)) || rolesBlocked(was)
}

// rolesBlocked reports whether a role of the agent is left alone. What its image
// is made with keeps no role from being ready.
func rolesBlocked(a status.Agent) bool {
	return slices.ContainsFunc(a.BlockedBy, func(b status.Blocker) bool { return !keeps(b) && plan.RefusalKind(b.Kind).Part() == "" })
}

// roleDigests gives what was last applied to the agent's roles.
func roleDigests(a status.Agent) map[string]string {
	roles := maps.Clone(a.Applied)
	maps.DeleteFunc(roles, func(element, _ string) bool {
		kind := plan.KindOf(element)
		return kind != model.RuntimeRole && kind != model.BuildRole
	})
	return roles
}

// build tells of a build that was started since the answer before, of one that
// has ended, or of both. Each happens once, whatever becomes of the answer and of
// the config: the id is made of nothing else.
func build(before, now status.Status, a status.Agent) []event.Outgoing {
	was, _ := before.Agent(a.Name)
	b, last := a.Build.Started(), was.Build.Started()
	if b == nil {
		return nil
	}
	to := func(what string) event.Transition {
		t := event.NewTransition(now.Config.Key, "", a.Name, "build "+b.ID+" "+what)
		t.ConfigVersion = now.Config.VersionID
		return t
	}
	known := last != nil && last.ID == b.ID
	var events []event.Outgoing
	if !known {
		events = append(events, event.BuildStarted{Transition: to("started"), Build: b.ID, SourceVersion: b.SourceVersion})
	}
	switch {
	case !b.State.Ended() || known && last.State == b.State:
	case b.State == model.BuildSucceeded:
		events = append(events, event.BuildSucceeded{Transition: to("succeeded"), Build: b.ID, SourceVersion: b.SourceVersion, Image: b.Image})
	default:
		events = append(events, event.BuildFailed{
			Transition: to(string(b.State)), Build: b.ID, SourceVersion: b.SourceVersion, State: b.State, Message: b.Message, LogURL: b.LogURL,
		})
	}
	return events
}

// drift tells of elements that were put back, and of those that were newly
// found and left alone. What was found before is in the answer before; what is
// not Rolekeeper's to put back and is gone, somebody else took away, unless the
// answer before says that it was being removed.
func drift(before, now status.Status, a status.Agent) []event.Outgoing {
	if a.Phase != status.PhaseActive && a.Phase != status.PhaseRetiring {
		return nil // its roles are not, or need not be, as Rolekeeper left them
	}
	was, _ := before.Agent(a.Name)
	var repaired, found []event.DriftFinding
	for _, d := range was.Drift {
		still := slices.ContainsFunc(a.Drift, func(now status.Drift) bool { return now.Element == d.Element })
		if one := finding(was, a, d); !still && d.Kind != string(plan.Extra) && !lost(a, one.Role) {
			repaired = append(repaired, one)
		}
	}
	for _, d := range a.Drift {
		if !slices.ContainsFunc(was.Drift, d.Same) {
			found = append(found, finding(was, a, d))
		}
	}
	var events []event.Outgoing
	if len(repaired) > 0 {
		events = append(events, event.DriftRepaired{Transition: transition(before, now, a.Name, "repaired", repaired), Findings: repaired})
	}
	if len(found) > 0 {
		events = append(events, event.DriftDetected{Transition: transition(before, now, a.Name, "found", found), Findings: found})
	}
	return events
}

// lost reports whether a role, repository or project is gone or somebody else's
// now: what had drifted of ours was not put back.
func lost(a status.Agent, name string) bool {
	return name == "" || slices.ContainsFunc(a.BlockedBy, func(b status.Blocker) bool {
		switch kind := plan.RefusalKind(b.Kind); kind {
		case plan.NotOurs, plan.Replaced, plan.Hostile, plan.RoleGone, plan.RepositoryNotOurs, plan.RepositoryMissing, plan.ProjectNotOurs, plan.ProjectGone:
			return strings.HasSuffix(b.ARN, "/"+name)
		}
		return false
	})
}

// finding names what drifted as the agent has it, or had it when that is gone.
func finding(was, a status.Agent, d status.Drift) event.DriftFinding {
	name := naming.RoleOf(cmp.Or(a.RuntimeRoleARN, was.RuntimeRoleARN))
	switch kind := plan.KindOf(d.Element); kind {
	case model.BuildRole:
		name = naming.RoleOf(cmp.Or(a.BuildRoleARN, was.BuildRoleARN))
	case model.RoleKind(model.ProjectPart):
		name = cmp.Or(a.Project, was.Project)
	case model.RoleKind(model.RepositoryPart):
		name = cmp.Or(a.Repository, was.Repository)
	}
	return event.DriftFinding{Role: name, Element: d.Element, Kind: d.Kind, Actor: d.Actor}
}
