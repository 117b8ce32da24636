package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/status"
)

// leaver is an agent that is on its way out, or was, or is about to be.
type leaver struct {
	status.Agent
	next status.Phase // what the next look makes of its phase
}

// leaving gives the agents of the answer that are not active, or are no longer
// in the config.
func (p planned) leaving() []leaver {
	var all []leaver
	for _, a := range p.answer.Agents {
		if a.Phase != status.PhaseActive || slices.Contains(p.Removed, a.Name) {
			all = append(all, leaver{a, p.next(a, false)})
		}
	}
	return all
}

// next gives the phase that the next look puts an agent of the answer in. Of
// runtimes it goes by the answer.
func (p planned) next(a status.Agent, released bool) status.Phase {
	switch {
	case !fault.Blocks(p.Problems):
	case a.Phase == status.PhaseQuarantined: // nothing goes while it cannot be told what the config has
		return status.PhaseRetiring
	default:
		return a.Phase
	}
	e := status.Evidence{Version: p.VersionID, Wanted: p.has(a), Released: released}
	if p.look.file != nil {
		e.Version = "that of the upload to come"
	}
	e.Deserted = a.Deserted()
	return a.Age(e).Phase
}

// has reports whether the config has an agent of the answer. What is desired
// lacks those that are not kept up; of these it matters for those that are held.
func (p planned) has(a status.Agent) bool {
	return p.Desired.Agent(a.Name).Name == a.Name || a.Phase == status.PhaseHeld && !slices.Contains(p.Removed, a.Name)
}

// moves reports whether the next look changes the phase of an agent.
func (p planned) moves() bool {
	return slices.ContainsFunc(p.leaving(), func(l leaver) bool { return l.next != l.Phase })
}

// text tells what becomes of the agent, and when.
func (l leaver) text(t *terminal, grace time.Duration) {
	switch {
	case l.next == l.Phase:
		t.line("agent %s: %s", l.Name, phaseText(l.Agent))
		for _, b := range l.BlockedBy {
			t.line("  blocked by %s (%s); %s", b.ARN, b.Kind, b.Fix)
		}
	case l.next == status.PhaseActive:
		t.line("agent %s: %s; the next look makes it active again", l.Name, l.Phase)
	case l.Phase == status.PhaseQuarantined:
		t.line("agent %s: %s; the next look puts its roles back until the config is mended", l.Name, l.Phase)
	default:
		t.line("agent %s: no longer in the config; %s after the next look its roles are deleted, unless something uses them", l.Name, period(grace))
	}
}

// period writes a duration without the units that are zero.
func period(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// leaverView is an agent on its way out in the JSON of plan.
type leaverView struct {
	Agent     string           `json:"agent"`
	Phase     status.Phase     `json:"phase"`
	Next      status.Phase     `json:"next"`
	After     *time.Time       `json:"after"`
	BlockedBy []status.Blocker `json:"blockedBy"`
}

func (l leaver) view() leaverView {
	v := leaverView{l.Name, l.Phase, l.next, nil, append([]status.Blocker{}, l.BlockedBy...)}
	if after := cmp.Or(l.DeleteAfter, l.RetireAfter); !after.IsZero() {
		v.After = &after
	}
	return v
}
