package status

import "time"

// Evidence is what a look found out about an agent.
type Evidence struct {
	Now      time.Time
	Grace    time.Duration // from retiring to deletion
	Version  string        // of the config; empty when it is gone
	Wanted   bool          // the config has the agent
	Deserted bool          // it had runtimes, and all are gone
	Released bool          // an operator ends its hold
}

// Age gives the agent in the phase that the evidence calls for, but for what
// only deleting leads to: quarantined and retired. A new version of the config
// that has the agent makes it active, whatever it was.
func (a Agent) Age(e Evidence) Agent {
	switch a.Phase {
	case PhaseRetiring:
		if e.Wanted && (a.PhaseVersion != e.Version || !e.Deserted) {
			return a.active()
		}
	case PhaseQuarantined, PhaseRetired:
		if e.Wanted && a.PhaseVersion != e.Version {
			return a.active()
		}
	case PhaseHeld:
		switch {
		case e.Wanted && (e.Released || a.PhaseVersion != e.Version):
			return a.active()
		case e.Released:
			return a.retiring(e)
		}
	default:
		if e.Wanted && !e.Deserted {
			return a.active()
		}
		return a.retiring(e)
	}
	return a
}

func (a Agent) active() Agent {
	a.Phase, a.PhaseVersion = PhaseActive, ""
	a.RetireAfter, a.DeleteAfter = time.Time{}, time.Time{}
	a.RetirementID, a.ArchiveKeys = "", nil
	return a
}

func (a Agent) retiring(e Evidence) Agent {
	a = a.active()
	a.Phase, a.PhaseVersion = PhaseRetiring, e.Version
	a.RetireAfter = e.Now.Add(e.Grace).UTC().Truncate(time.Second)
	return a
}
