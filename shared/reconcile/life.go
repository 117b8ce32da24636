package reconcile

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// away reports whether nothing of an agent in the phase is kept up.
func away(p status.Phase) bool {
	return p == status.PhaseQuarantined || p == status.PhaseRetired || p == status.PhaseHeld
}

// has reports whether the config has the agent.
func (v *view) has(name string) bool { return v.agent(name).Deployment != "" }

// staying gives the part of what is desired whose agents are kept up.
func (v *view) staying(want desired.State) desired.State {
	want.Agents = slices.DeleteFunc(slices.Clone(want.Agents), func(a desired.Agent) bool { return v.away[a.Name] })
	if len(want.Agents) == 0 {
		want.ServiceLinkedRoles = nil
	}
	return want
}

// age finds the phase of each agent that the config has or that anything is
// known of.
func (r *run) age(ctx context.Context, want desired.State) error {
	r.want, r.life = want, map[string]status.Agent{}
	for _, name := range r.everybody() {
		a, _ := r.stored.Agent(name)
		a.Name = name
		wanted := r.has(name)
		if !wanted && !owns(a) && a.Phase != status.PhaseRetired {
			continue // it never had anything
		}
		var err error
		if a.Runtimes, err = r.runtimes(ctx, a, wanted); err != nil {
			return err
		}
		a.BlockedBy = slices.DeleteFunc(slices.Clone(a.BlockedBy), func(b status.Blocker) bool { return !plan.BlockerKind(b.Kind).Known() })
		r.life[name] = a.Age(r.evidence(a))
		r.away[name] = away(r.life[name].Phase)
	}
	return nil
}

// everybody gives the names of the agents that are known or that the config has,
// first those that are known.
func (r *run) everybody() []string {
	var names []string
	for _, a := range r.stored.Agents {
		names = append(names, a.Name)
	}
	for _, a := range r.cfg.Agents {
		if !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names
}

func (r *run) evidence(a status.Agent) status.Evidence {
	return status.Evidence{
		Now: r.now, Grace: r.Grace, Version: r.object.VersionID, Wanted: r.has(a.Name),
		Deserted: a.Deserted(), Released: r.released[a.Name],
	}
}

// maxRuntimes bounds what is remembered of an agent's runtimes.
const maxRuntimes = 20

// runtimes brings what is known of an agent's runtimes up to date: when something
// happened to one, or when a new version of the config calls the agent back, for
// which what is gone is forgotten. Only what AgentCore itself shows is recorded, and
// only while this config holds the name: those of another config's agent say
// nothing of the roles that this one is to get.
func (r *run) runtimes(ctx context.Context, a status.Agent, wanted bool) ([]status.Runtime, error) {
	if !slices.Contains(r.index.Claims, naming.RoleClaimKey(a.Name)) {
		return nil, nil
	}
	all := slices.Clone(a.Runtimes)
	renewed := wanted && r.object.VersionID != r.stored.Config.VersionID
	ids := r.hinted[a.Name]
	if len(ids) == 0 && !(renewed && len(all) > 0) {
		return all, nil
	}
	for _, t := range all {
		if !t.Gone && !slices.Contains(ids, t.ID) {
			ids = append(ids, t.ID)
		}
	}
	for _, id := range ids {
		t, there, err := r.runtime(ctx, a, id)
		if err != nil {
			return nil, err
		}
		all = seenNow(all, id, t, there)
	}
	if renewed {
		all = slices.DeleteFunc(all, func(t status.Runtime) bool { return t.Gone })
	}
	slices.SortStableFunc(all, func(a, b status.Runtime) int { return a.LastSeen.Compare(b.LastSeen) })
	return all[max(len(all)-maxRuntimes, 0):], nil
}

// seenNow gives the runtimes with one as it was just seen, or as gone.
func seenNow(all []status.Runtime, id string, t status.Runtime, there bool) []status.Runtime {
	i := slices.IndexFunc(all, func(known status.Runtime) bool { return known.ID == id })
	switch {
	case there && i < 0:
		return append(all, t)
	case there:
		t.Foreign = t.Foreign && all[i].Foreign // what had the agent's role once is its runtime
		all[i] = t
	case i >= 0:
		all[i].Gone = true
	}
	return all
}

// runtime looks at a runtime, and reports whether it is there: one that is being
// deleted is not.
func (r *run) runtime(ctx context.Context, a status.Agent, id string) (t status.Runtime, there bool, err error) {
	role, state, err := r.Users.RuntimeRole(ctx, id, "")
	if errors.Is(err, fault.ErrNotFound) || err == nil && state == model.RuntimeDeleting {
		return status.Runtime{}, false, nil
	}
	if err != nil {
		return status.Runtime{}, false, err
	}
	// A config may have it run with another for a time.
	own := strings.EqualFold(role, r.env.RoleARN(naming.RuntimeRole(r.env.Region, a.Name))) || strings.EqualFold(role, a.RuntimeRoleARN)
	return status.Runtime{ID: id, LastSeen: r.now.Truncate(time.Second), Foreign: !own}, true, nil
}

// mend puts back what retirements left half-way that are not to go on: of agents
// that are active again, or whose claim tells of another retirement than the
// status, or of one while the status tells of none.
func (r *run) mend(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(r.life)) {
		a, claim := r.life[name], r.claims[naming.RoleClaimKey(name)]
		if a.Phase == status.PhaseRetired && !claim.Unused() { // the status is wrong
			a.Phase = status.PhaseActive
			r.life[name] = a.Age(r.evidence(a))
			r.comeBack(r.now)
		}
		if !r.known(name) || a.Phase == status.PhaseQuarantined && claim.Deleting == a.RetirementID {
			continue
		}
		if claim.Deleting != "" {
			if err := r.rollBack(ctx, a); err != nil {
				return err
			}
		}
		if a.Phase == status.PhaseQuarantined {
			r.life[name] = back(a)
		}
	}
	return nil
}

// back gives a quarantined agent as it was before.
func back(a status.Agent) status.Agent {
	a.Phase, a.DeleteAfter, a.RetirementID, a.ArchiveKeys = status.PhaseRetiring, time.Time{}, "", nil
	return a
}

// unquarantine puts back everything that was quarantined.
func (r *run) unquarantine(ctx context.Context) error {
	for name, a := range r.life {
		if a.Phase == status.PhaseQuarantined {
			r.life[name] = back(a)
		}
	}
	return r.mend(ctx)
}

// leave takes those agents a step further that are on their way out and that
// were not yet: all whose claims are known, or everyone.
func (r *run) leave(ctx context.Context, which func(name string) bool) error {
	if err := r.mend(ctx); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.life)) {
		a := r.life[name]
		if r.stepped[name] || !which(name) {
			continue
		}
		r.stepped[name] = true
		switch a.Phase {
		case status.PhaseRetiring, status.PhaseQuarantined:
		case status.PhaseHeld:
			switch {
			case r.known(name):
			case r.has(name): // there is nothing to hold: the status is wrong
				a.Phase, a.PhaseVersion, a.ArchiveKeys = status.PhaseActive, "", nil
				r.life[name] = a
				r.comeBack(r.now)
			default:
				delete(r.life, name) // its name is another's now
			}
			continue
		default:
			continue
		}
		next, err := r.retire(ctx, a)
		if err != nil {
			return err
		}
		if next.Name == "" {
			delete(r.life, name)
			continue
		}
		r.life[name], r.away[name] = next, r.away[name] || away(next.Phase)
	}
	return nil
}

// known reports whether this config was seen to hold the claim on an agent's name.
func (r *run) known(name string) bool { return r.claims[naming.RoleClaimKey(name)].Config != "" }

func everyone(string) bool { return true }

// departing gives the agents that the config no longer has, in the order they
// were known.
func (r *run) departing() []status.Agent {
	var all []status.Agent
	retired := 0
	for _, name := range slices.Backward(r.everybody()) {
		a, known := r.life[name]
		if !known || r.has(name) {
			continue
		}
		if a.Phase == status.PhaseRetired {
			if retired++; retired > maxRetired {
				continue
			}
		}
		a.Notes = []string{report.RemovedAgentNote}
		if a.Build != nil && !a.Build.State.Ended() {
			a.Build = nil // nobody follows it any more
		}
		all = append(all, a)
	}
	slices.Reverse(all)
	return all
}

// maxRetired bounds the agents without roles that a status tells of: the newest.
const maxRetired = 50

// outcome gives the outcome of a config of whose agents nothing is in the way,
// nothing is waited for and nothing is built.
func outcome(agents []status.Agent, otherwise status.Outcome) status.Outcome {
	in := func(phases ...status.Phase) int {
		n := 0
		for _, a := range agents {
			if slices.Contains(phases, a.Phase) {
				n++
			}
		}
		return n
	}
	switch {
	case in(status.PhaseRetiring, status.PhaseQuarantined) > 0:
		return status.Retiring
	case len(agents) > 0 && in(status.PhaseRetired) == len(agents):
		return status.Retired
	}
	return otherwise
}

// comeBack has the config looked at again at a time, if nothing does so earlier.
func (r *run) comeBack(at time.Time) {
	if r.back.IsZero() || at.Before(r.back) {
		r.back = at
	}
}

// leaveWait gives the time after which a config whose agents go is to be looked at
// again; not ok when nothing asks for it.
func (r *run) leaveWait(agents []status.Agent) (delay time.Duration, ok bool) {
	for _, a := range agents {
		if a.Phase == status.PhaseQuarantined && a.DeleteAfter.After(r.now) {
			r.comeBack(a.DeleteAfter)
		}
	}
	return max(r.back.Sub(r.now), 0), !r.back.IsZero()
}
