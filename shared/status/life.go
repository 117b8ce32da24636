package status

import (
	"slices"
	"time"
)

// Evidence is what a look found out about an agent.
type Evidence struct {
	Now      time.Time
	Grace    time.Duration // from retiring to deletion
	Version  string        // of the config; empty when it is gone
	Wanted   bool          // the config has the agent
	Deserted bool          // it had runtimes, and all are gone
	Released bool          // an operator ends its hold
}

// Deserted reports whether there were runtimes with the agent's role, and none of
// its name is left.
func (a Agent) Deserted() bool {
	had := slices.ContainsFunc(a.Runtimes, func(r Runtime) bool { return !r.Foreign })
	return had && !slices.ContainsFunc(a.Runtimes, func(r Runtime) bool { return !r.Gone })
}

// Age gives the agent in the phase that the evidence calls for, but for what
// only deleting leads to: quarantined and retired. A new version of the config
// that has the agent makes it active, whatever it was; the runtimes that it had
// before then are no reason to let it go once more, until it has another.
func (a Agent) Age(e Evidence) Agent {
	switch a.Phase {
	case PhaseRetiring, PhaseQuarantined, PhaseRetired, PhaseHeld:
		return a.away(e)
	}
	if e.Wanted && (!e.Deserted || a.PhaseVersion != "") {
		return a.active(e)
	}
	return a.retiring(e)
}

// away is Age of an agent that is not active.
func (a Agent) away(e Evidence) Agent {
	released := a.Phase == PhaseHeld && e.Released
	switch {
	case e.Wanted && a.PhaseVersion != e.Version, e.Wanted && !e.Deserted && (released || a.Phase == PhaseRetiring):
		return a.active(e)
	case released:
		return a.retiring(e)
	}
	// Another only while it is not wanted: any version that has it then ends the
	// phase, also an older one that is back.
	a.PhaseVersion = e.Version
	return a
}

func (a Agent) active(e Evidence) Agent {
	a.Phase, a.PhaseVersion = PhaseActive, ""
	if e.Deserted {
		a.PhaseVersion = e.Version
	}
	a.RetireAfter, a.DeleteAfter = time.Time{}, time.Time{}
	a.RetirementID, a.ArchiveKeys = "", nil
	a.BlockedBy = nil // what kept it from going
	return a
}

func (a Agent) retiring(e Evidence) Agent {
	a = a.active(e)
	a.Phase, a.PhaseVersion = PhaseRetiring, e.Version
	a.RetireAfter = e.Now.Add(e.Grace).UTC().Truncate(time.Second)
	return a
}
