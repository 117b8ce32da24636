// Package report puts what happened into words for people and into events for
// programs.
package report

import (
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

// RemovedAgentNote is what is told of an agent whose config no longer has it.
const RemovedAgentNote = "no longer in the config; its roles are kept, nothing was deleted"

// UnusedRoleNote is what is told of a role that was made for an agent whose
// config no longer asks for one of that kind.
func UnusedRoleNote(kind model.RoleKind) string {
	return fmt.Sprintf("the config no longer asks for the %s role that was made for this agent; the role is kept, nothing was deleted", kind)
}

// Bounds of what a status tells of losses, of one role and of all roles of a
// config together; `rolekeeper plan` tells all.
const (
	maxLosses    = 30
	maxAllLosses = 600
	maxText      = 400 // characters of what is quoted
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

// Clip gives the text, cut when it is long: a status that quotes what others
// wrote must stay one that can be read.
func Clip(text string) string { return clip(text, maxText) }

func clip(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// Words gives the summary of a status, one sentence, and what to do next.
func Words(s status.Status) (summary string, next []string) {
	switch s.Outcome {
	case status.Ready:
		return ready(s), deploy(s)
	case status.Rejected:
		return rejected(s), []string{"fix the problems and upload the config again"}
	case status.Orphaned:
		return orphaned(s)
	case status.Blocked:
		return blocked(s), append(fixes(s), deploy(s)...)
	case status.Waiting:
		return fmt.Sprintf("AWS could not be asked or told everything yet; the config is looked at again at %s.", s.WakeAt.Format(time.RFC3339)),
			[]string{"nothing: this is repeated by itself"}
	case status.Failed:
		return "Handling the config went wrong part of the way; what was made so far is kept, nothing was deleted.",
			[]string{"tell the platform team: the message is in the dead letters with its reason"}
	}
	return fmt.Sprintf("The config is %s.", s.Outcome), nil
}

func ready(s status.Status) string {
	return fmt.Sprintf("The roles of %s are ready%s.", agents(s.Agents), warnings(s))
}

// warnings counts the problems of a config that was accepted.
func warnings(s status.Status) string {
	if n := len(s.Problems); n > 0 {
		return ", with " + count(n, "warning")
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
	text := fmt.Sprintf("The config has %s and was refused; nothing was changed", count(n, "problem"))
	if s.Config.AppliedVersionID != "" {
		text += ", the roles of its last good version stay"
	}
	return text + "."
}

func orphaned(s status.Status) (string, []string) {
	if s.Config.VersionID == "" {
		if len(s.Agents) == 0 {
			return "The config is gone; it had no roles and nothing is left.", nil
		}
		return fmt.Sprintf("The config is gone; the roles of %s are kept, nothing was deleted.", agents(s.Agents)),
			[]string{"upload the config again to have its roles kept up"}
	}
	gone, here := split(s)
	if len(here) == 0 {
		return capital(removed(gone)) + ".", nil
	}
	return fmt.Sprintf("The roles of %s are ready%s; %s.", agents(here), warnings(s), removed(gone)), deploy(s)
}

// removed says what became of agents that their config no longer has.
func removed(gone []status.Agent) string {
	kept := "its roles are kept"
	if len(gone) > 1 {
		kept = "their roles are kept"
	}
	return fmt.Sprintf("%s no longer in the config: %s, nothing was deleted", is(gone), kept)
}

// split gives the agents that their config no longer has, and the others.
func split(s status.Status) (gone, here []status.Agent) {
	for _, a := range s.Agents {
		if slices.Contains(a.Notes, RemovedAgentNote) {
			gone = append(gone, a)
		} else {
			here = append(here, a)
		}
	}
	return gone, here
}

func blocked(s status.Status) string {
	n := 0
	for _, a := range s.Agents {
		n += len(a.BlockedBy)
	}
	text := fmt.Sprintf("%s of this config cannot be kept up, because of what somebody else made; the rest is as the config asks", capital(count(n, "role")))
	if gone, _ := split(s); len(gone) > 0 {
		text += "; " + removed(gone)
	}
	return text + "."
}

func fixes(s status.Status) []string {
	var all []string
	for _, a := range s.Agents {
		for _, b := range a.BlockedBy {
			all = append(all, fmt.Sprintf("%s: %s", b.ARN, b.Fix))
		}
	}
	return all
}

// deploy says which roles to deploy each agent with.
func deploy(s status.Status) []string {
	var all []string
	for _, a := range s.Agents {
		if slices.Contains(a.Notes, RemovedAgentNote) {
			continue
		}
		if a.RuntimeRoleARN != "" {
			all = append(all, fmt.Sprintf("deploy %s with aws.execution_role %s", a.Name, a.RuntimeRoleARN))
		}
		if a.BuildRoleARN != "" {
			all = append(all, fmt.Sprintf("build the image of %s with codebuild.execution_role %s; no build is started for you", a.Name, a.BuildRoleARN))
		}
	}
	return all
}

func agents(all []status.Agent) string {
	if len(all) == 1 {
		return "agent " + all[0].Name
	}
	return count(len(all), "agent")
}

func is(all []status.Agent) string {
	if len(all) == 1 {
		return agents(all) + " is"
	}
	return agents(all) + " are"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// WaitingProblem tells a developer what keeps a config.
func WaitingProblem(cause error) fault.Problem {
	return fault.Problem{
		Code: "aws-not-ready", Severity: fault.SeverityWarning,
		Message: plain(cause), Fix: "nothing: this is repeated by itself",
	}
}

// FailedProblem tells a developer that the config is not what went wrong.
func FailedProblem(cause error) fault.Problem {
	return fault.Problem{
		Code: "internal-failure", Severity: fault.SeverityError,
		Message: plain(cause), Fix: "tell the platform team; nothing is wrong with the config",
	}
}

// volatile matches what changes in the text of one error from time to time: ids
// of requests, and the ends of connections.
var volatile = expression.Lazy(`(?i),? ?(request ?id|host ?id): ?[^,:]*|(\d+\.){3}\d+:\d+|\[[0-9a-f:]+\]:\d+`)

// plain gives an error as a status shows it: equal failures with equal text.
func plain(err error) string {
	const most = 1000
	return clip(volatile().ReplaceAllString(err.Error(), ""), most)
}

// Events gives the events that a new answer calls for, given the one before it.
// Equal transitions have equal ids.
func Events(before, now status.Status) []event.Outgoing {
	switch now.Outcome {
	case status.Rejected:
		return refused(before, now)
	case status.Ready, status.Orphaned, status.Blocked:
	default:
		return nil
	}
	if now.Config.VersionID == "" {
		return nil // the config is gone, and nothing was looked at
	}
	var events []event.Outgoing
	for _, a := range now.Agents {
		if newlyReady(before, now, a) {
			events = append(events, event.RolesReady{
				Transition:     transition(before, now, a.Name, "ready", a.Applied),
				RuntimeRoleARN: a.RuntimeRoleARN, BuildRoleARN: a.BuildRoleARN,
			})
		}
	}
	for _, a := range now.Agents {
		events = append(events, drift(before, now, a)...)
	}
	return events
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
	if a.Phase != status.PhaseActive || len(a.BlockedBy) > 0 || slices.Contains(a.Notes, RemovedAgentNote) {
		return false
	}
	was, _ := before.Agent(a.Name)
	return before.Config.AppliedVersionID != now.Config.AppliedVersionID || !maps.Equal(was.Applied, a.Applied) || len(was.BlockedBy) > 0
}

// drift tells of elements that were put back, and of those that were newly
// found and left alone. What was found before is in the answer before; what is
// not Rolekeeper's to put back and is gone, somebody else took away.
func drift(before, now status.Status, a status.Agent) []event.Outgoing {
	was, _ := before.Agent(a.Name)
	var repaired, found []event.DriftFinding
	for _, d := range was.Drift {
		if d.Kind != string(plan.Extra) && !slices.ContainsFunc(a.Drift, d.Same) {
			repaired = append(repaired, finding(a, d))
		}
	}
	for _, d := range a.Drift {
		if !slices.ContainsFunc(was.Drift, d.Same) {
			found = append(found, finding(a, d))
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

func finding(a status.Agent, d status.Drift) event.DriftFinding {
	arn := a.RuntimeRoleARN
	if plan.KindOf(d.Element) == model.BuildRole {
		arn = a.BuildRoleARN
	}
	return event.DriftFinding{Role: naming.RoleOf(arn), Element: d.Element, Kind: d.Kind}
}
