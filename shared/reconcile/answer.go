package reconcile

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// settle answers a config whose plan was applied.
func (r *run) settle(ctx context.Context, there seen, p plan.Plan, problems []fault.Problem) (Result, error) {
	r.answerBuilds(there)
	s := r.answer()
	s.SettingsHash, s.TemplateVersion = r.SettingsHash, model.TemplateVersion
	s.Agents = nil
	for _, a := range r.want.Agents {
		settled, more, err := r.settled(ctx, a, there, p)
		if err != nil {
			return Result{}, err
		}
		s.Agents, problems = append(s.Agents, settled), append(problems, more...)
	}
	s.Agents = append(s.Agents, r.departing()...)
	for _, f := range p.Refusals {
		problems = append(problems, r.agent(f.Agent).Problem(string(f.Kind), "name", report.Clip(f.Message), f.Fix))
	}
	fault.Sort(problems)
	s.Problems = problems
	delay, waiting, unfinished := r.buildWait(s.Agents)
	switch {
	case stopped(s.Agents):
		s.Outcome = status.Blocked
	case waiting:
		s.Outcome = status.Waiting
	case unfinished:
		s.Outcome = status.Building
	default:
		s.Outcome = outcome(s.Agents, status.Ready)
	}
	if len(p.Refusals) == 0 {
		s.Config.AppliedVersionID = r.object.VersionID
	}
	if back, ok := r.leaveWait(s.Agents); ok {
		delay, unfinished = min(delay, back), true
	}
	if unfinished {
		if err := r.wakeLater(ctx, &s, delay); err != nil {
			return Result{}, err
		}
	}
	return r.write(ctx, s, p)
}

// stopped reports whether anything blocks one of the agents.
func stopped(agents []status.Agent) bool {
	return slices.ContainsFunc(agents, func(a status.Agent) bool { return len(a.BlockedBy) > 0 })
}

// answer begins a new answer: what was known, looked at again.
func (r *run) answer() status.Status {
	s := r.stored
	s.V = status.Version
	s.Config = status.Config{
		Key: r.key, VersionID: r.object.VersionID, AppliedVersionID: r.stored.Config.AppliedVersionID, UploadedAt: r.object.LastModified.UTC(),
	}
	s.WakeAt = time.Time{}
	s.Problems, s.Next = nil, nil
	s.Requests = r.requests
	s.Agents = slices.Clone(s.Agents)
	return s
}

// settled gives what is known of an agent after the plan was applied. Elements
// of what was refused keep the digests they had.
func (r *run) settled(ctx context.Context, a desired.Agent, there seen, p plan.Plan) (status.Agent, []fault.Problem, error) {
	s := r.life[a.Name]
	if r.away[a.Name] || away(s.Phase) {
		return s, nil, nil
	}
	leaving := s.BlockedBy
	s.RuntimeRoleARN, s.BuildRoleARN = roleARNs(r.want, a)
	for _, arn := range []*string{&s.RuntimeRoleARN, &s.BuildRoleARN} {
		if !p.Usable(naming.RoleOf(*arn)) || r.unusable[*arn] {
			*arn = "" // nobody is to be told to run with a stranger's role, or one that is not there
		}
	}
	s.Notes = slices.Clone(a.Notes)
	s.BlockedBy = leaving
	s.Applied = r.applied(a, p, &s)
	problems, err := r.imaged(ctx, a, there, p, &s)
	if err != nil {
		return status.Agent{}, nil, err
	}
	for _, f := range p.Refusals {
		if f.Agent == a.Name {
			s.BlockedBy = append(s.BlockedBy, status.Blocker{ARN: f.ARN, Kind: string(f.Kind), Fix: f.Fix})
			s.Notes = append(s.Notes, report.LossNotes(f, len(p.Refusals))...)
		}
	}
	s.Drift = r.drift(a.Name, p, func(f plan.Finding) bool { return !f.Repaired })
	return s, problems, nil
}

// applied gives the digests of what is on the agent's roles now. Of a role that
// is refused, in whole or in part, or that was made and the config no longer asks
// for, what was last applied stays known; the last is noted on the agent.
func (r *run) applied(a desired.Agent, p plan.Plan, s *status.Agent) map[string]string {
	applied := named(a)
	for _, kind := range []model.RoleKind{model.RuntimeRole, model.BuildRole} {
		i := slices.IndexFunc(a.Roles(), func(d model.Role) bool { return d.Kind == kind })
		left := func(string) bool { return true }
		switch {
		case i >= 0:
			name := a.Roles()[i].Name
			left = func(element string) bool { return p.Unwritten(name, element) }
			for e, digest := range plan.Digests(a.Roles()[i]) {
				if !left(e) {
					applied[e] = digest
				}
			}
		case r.claims[naming.RoleClaimKey(a.Name)].RoleID(kind) == "":
			continue
		default:
			s.Notes = append(s.Notes, report.UnusedRoleNote(kind))
		}
		for e, digest := range s.Applied {
			if plan.KindOf(e) == kind && e != external(kind) && e != shared(kind) && left(e) {
				applied[e] = digest
			}
		}
	}
	return applied
}

// named gives the digests of roles that the config names instead of leaving
// them to Rolekeeper: they too are of the version that was applied.
func named(a desired.Agent) map[string]string {
	applied := map[string]string{}
	for kind, e := range map[model.RoleKind]*desired.ExternalRole{model.RuntimeRole: a.ExternalRuntimeRole, model.BuildRole: a.ExternalBuildRole} {
		if e != nil {
			applied[external(kind)] = e.ARN
		}
	}
	for kind, sibling := range map[model.RoleKind]string{model.RuntimeRole: a.SharedRuntimeRole, model.BuildRole: a.SharedBuildRole} {
		if sibling != "" {
			applied[shared(kind)] = sibling
		}
	}
	return applied
}

// Elements under which the status keeps roles that the config names.
func external(kind model.RoleKind) string { return string(kind) + "/external" }
func shared(kind model.RoleKind) string   { return string(kind) + "/shared" }

// roleARNs gives the roles an agent is to be deployed with, wherever they come from.
func roleARNs(want desired.State, a desired.Agent) (runtime, build string) {
	if owner := a.SharedRuntimeRole; owner != "" {
		runtime, _ = roleARNs(want, want.Agent(owner))
	}
	if owner := a.SharedBuildRole; owner != "" {
		_, build = roleARNs(want, want.Agent(owner))
	}
	if a.RuntimeRole != nil {
		runtime = a.RuntimeRole.ARN
	}
	if a.BuildRole != nil {
		build = a.BuildRole.ARN
	}
	if a.ExternalRuntimeRole != nil {
		runtime = a.ExternalRuntimeRole.ARN
	}
	if a.ExternalBuildRole != nil {
		build = a.ExternalBuildRole.ARN
	}
	return runtime, build
}

// drift gives the findings of an agent that are to be told, each with who caused
// it as far as CloudTrail told, and when that was, or else when it was first seen.
func (r *run) drift(agent string, p plan.Plan, told func(plan.Finding) bool) []status.Drift {
	before, _ := r.stored.Agent(agent)
	var now []status.Drift
	for _, f := range p.Findings {
		if f.Agent != agent || !told(f) {
			continue
		}
		d := status.Drift{Element: f.Element, Kind: string(f.Kind), At: r.now.Truncate(time.Second)}
		i := slices.IndexFunc(before.Drift, d.Same)
		if i >= 0 {
			d.Actor, d.At = before.Drift[i].Actor, before.Drift[i].At
		}
		if f.Kind == plan.Extra && f.Repaired {
			d.Kind = status.DriftRemoved
		}
		now = append(now, r.attributed(d, f.Role, i >= 0))
	}
	return now
}

// attributed names in a drift of a role who made a call that can have caused it.
// What was known before a call was made, it did not cause.
func (r *run) attributed(d status.Drift, role string, known bool) status.Drift {
	for _, h := range r.calls {
		name, call, _ := strings.Cut(h.ID, "/")
		at := earlier(h.Time, r.now).UTC().Truncate(time.Second)
		if d.Actor == "" && name == role && plan.Touches(call, d.Element) && !(known && at.After(d.At)) {
			d.Actor, d.At = h.Actor, at
		}
	}
	return d
}

// note writes drift that is about to be repaired into the status, so that the
// repair is told even if this run dies between making it and answering.
func (r *run) note(ctx context.Context, p plan.Plan) error {
	if r.storedETag == "" || !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return f.Repaired }) {
		return nil
	}
	s := r.stored
	s.Agents = slices.Clone(s.Agents)
	for i, a := range s.Agents {
		s.Agents[i].Drift = r.drift(a.Name, p, func(plan.Finding) bool { return true })
	}
	if s.SameAnswer(r.stored) || s.Outcome == "" {
		return nil
	}
	return r.store(ctx, s)
}

// owns reports whether anything was ever made or applied for the agent.
func owns(a status.Agent) bool {
	return len(a.Applied) > 0 || a.RuntimeRoleARN != "" || a.BuildRoleARN != ""
}

// refuse answers a config that is at fault. What its last good version made
// stays; claims that only this one needed are freed. Nothing goes while it cannot
// be told what the config has: what was quarantined is put back.
func (r *run) refuse(ctx context.Context, problems []fault.Problem) (Result, error) {
	if err := r.turnAway("the config was refused: its problems come first"); err != nil {
		return Result{}, err
	}
	if err := r.releaseUnused(ctx, nil); err != nil {
		return Result{}, err
	}
	fault.Sort(problems)
	r.life = map[string]status.Agent{}
	for _, a := range r.stored.Agents {
		var err error
		if a.Runtimes, err = r.runtimes(ctx, a, false); err != nil {
			return Result{}, err
		}
		if r.released[a.Name] { // it is not held any more; what it is, the config says when it can be read
			a = a.Age(status.Evidence{Now: r.now, Grace: r.Grace, Released: true})
		}
		r.life[a.Name] = a
	}
	if err := r.unquarantine(ctx); err != nil {
		return Result{}, err
	}
	s := r.answer()
	s.Outcome, s.Problems = status.Rejected, problems
	for i, a := range s.Agents {
		a = r.life[a.Name]
		if !away(a.Phase) { // whether the config still has an agent cannot be told now
			a.Notes = slices.DeleteFunc(slices.Clone(a.Notes), func(n string) bool { return n == report.RemovedAgentNote })
		}
		s.Agents[i] = a
	}
	if err := r.follow(ctx, &s); err != nil {
		return Result{}, err
	}
	return r.write(ctx, s, plan.Plan{})
}

// orphan answers a config that is gone: its agents go.
func (r *run) orphan(ctx context.Context) (Result, error) {
	r.object, r.cfg = model.Object{}, agent.Config{}
	if err := r.age(ctx, desired.State{}); err != nil {
		return Result{}, err
	}
	if err := r.releaseUnused(ctx, nil); err != nil {
		return Result{}, err
	}
	if err := r.leave(ctx, everyone); err != nil {
		return Result{}, err
	}
	r.answerApprovals()
	if err := r.turnAway("the config is gone"); err != nil {
		return Result{}, err
	}
	s := r.answer()
	s.Agents = r.departing()
	s.Outcome = outcome(s.Agents, status.Orphaned)
	if stopped(s.Agents) {
		s.Outcome = status.Blocked
	}
	if delay, ok := r.leaveWait(s.Agents); ok {
		if err := r.wakeLater(ctx, &s, delay); err != nil {
			return Result{}, err
		}
	}
	return r.write(ctx, s, plan.Plan{})
}

// wait answers a config that something keeps from being handled for now.
func (r *Reconciler) wait(ctx context.Context, work event.Work, version string, cause error) (Result, error) {
	run, s, err := r.recall(ctx, work, version)
	if err != nil {
		return Result{}, errors.Join(cause, err)
	}
	s.Outcome = status.Waiting
	if err := run.wakeLater(ctx, &s, event.MaxDelay); err != nil {
		return Result{}, errors.Join(cause, err)
	}
	s.Problems = []fault.Problem{report.WaitingProblem(cause)}
	result, err := run.write(ctx, s, plan.Plan{})
	if err != nil {
		return result, errors.Join(cause, err)
	}
	return result, nil
}

// fail answers a config whose message is about to go to the dead letters.
func (r *Reconciler) fail(ctx context.Context, work event.Work, version string, cause error) error {
	run, s, err := r.recall(ctx, work, version)
	if err != nil {
		return err
	}
	s.Outcome = status.Failed
	s.Problems = []fault.Problem{report.FailedProblem(cause)}
	_, err = run.write(ctx, s, plan.Plan{})
	return err
}

// recall makes a run that knows only the status, for an answer without a look,
// and begins the answer; version is that of the config if it was read.
// Agents that cannot be found again now are left out, and looked for by the
// next run: the answer must not depend on what just went wrong.
func (r *Reconciler) recall(ctx context.Context, work event.Work, version string) (*run, status.Status, error) {
	run := r.begin(work.Key, work.Hints)
	err := run.readStatus(ctx)
	s := run.stored
	s.Config.VersionID = cmp.Or(version, s.Config.VersionID)
	return run, s, err
}

// write sends the events that the new answer calls for and then stores it; an
// answer that says what the stored one says is not written again.
func (r *run) write(ctx context.Context, s status.Status, p plan.Plan) (Result, error) {
	s.Summary, s.Next = report.Words(s)
	result := Result{Braked: r.braked, Key: r.key, VersionID: s.Config.VersionID, Outcome: s.Outcome, Steps: p.Steps, Problems: len(s.Problems)}
	for _, f := range p.Findings {
		if f.Repaired {
			result.Repaired++
		}
	}
	events := report.Events(r.stored, s)
	if len(events) > 0 {
		if err := r.Bus.Send(ctx, events); err != nil {
			return result, err
		}
	}
	if r.storedETag != "" && s.SameAnswer(r.stored) {
		return result, nil
	}
	err := r.store(ctx, s)
	result.Written = err == nil
	return result, err
}

// store writes the status and remembers it.
func (r *run) store(ctx context.Context, s status.Status) error {
	s.UpdatedAt = r.now
	body, err := s.JSON()
	if err != nil {
		return err
	}
	r.storedETag, err = put(ctx, r.Store, naming.StatusKey(r.key), body, r.storedETag)
	r.stored = s
	return err
}
