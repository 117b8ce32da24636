package drift

import (
	"errors"
	"slices"
	"time"

	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// look is what configs are judged by.
type look struct {
	now  time.Time
	live map[string][]string // ids of runtimes that are not being deleted, by agent
	hash string              // of the settings
}

// judged is why reconcile is to look at a config, by its status.
type judged struct {
	due, missed   bool
	runtimes      []string // ids
	newer, unread bool
}

// live sorts runtimes by the agent whose name they have. One being deleted is as
// good as gone, one in any other state is not.
func live(runtimes []model.RuntimeSummary) map[string][]string {
	all := map[string][]string{}
	for _, r := range runtimes {
		if agent, ok := naming.RuntimeAgent(r.ID); ok && r.Status != model.RuntimeDeleting {
			all[agent] = append(all[agent], r.ID)
		}
	}
	return all
}

// judge says what is due or was missed, by the status of a config. A damaged one
// is reconcile's to rebuild; one of a later format is for a later version.
// Runtimes are of interest only for agents whose names the config holds.
func (l look) judge(c config, body []byte, holds func(agent string) bool) judged {
	s, err := status.Parse(body)
	switch {
	case errors.Is(err, status.ErrNewer):
		return judged{newer: true}
	case err != nil || s.Config.Key != c.key:
		return judged{missed: true}
	}
	j := judged{missed: l.stale(c, s.Config) || l.overslept(s.WakeAt)}
	for _, a := range s.Agents {
		j.due = j.due || l.due(a)
		j.missed = j.missed || c.uploaded.IsZero() && a.Phase == status.PhaseActive // it is to go since its config is gone
		if holds(a.Name) {
			j.runtimes = append(j.runtimes, l.unknown(a)...)
		}
	}
	slices.Sort(j.runtimes)
	j.runtimes = slices.Compact(j.runtimes)
	return j
}

// stale reports whether the config that was answered is not the one that is
// there. S3 tells who reads an object the second it was uploaded, not more.
func (l look) stale(c config, answered status.Config) bool {
	if c.uploaded.IsZero() || answered.VersionID == "" {
		return !c.uploaded.IsZero() || answered.VersionID != ""
	}
	return !c.uploaded.Truncate(time.Second).Equal(answered.UploadedAt.Truncate(time.Second))
}

// overslept reports whether a wake-up was lost: it did not come within the
// longest delay after it was to.
func (l look) overslept(wakeAt time.Time) bool {
	return !wakeAt.IsZero() && l.now.Sub(wakeAt) > event.MaxDelay
}

// due reports whether an agent's time has come.
func (l look) due(a status.Agent) bool {
	switch a.Phase {
	case status.PhaseRetiring:
		return !l.now.Before(a.RetireAfter)
	case status.PhaseQuarantined:
		return !l.now.Before(a.DeleteAfter)
	case status.PhaseActive, status.PhaseRetired, status.PhaseHeld:
	}
	return false
}

// unknown gives the ids of runtimes of the agent that are gone and not recorded
// so, or there and not recorded. Whether the agent's roles are to go depends only on
// those that it has before it is quarantined.
func (l look) unknown(a status.Agent) []string {
	var ids []string
	known := map[string]bool{}
	for _, r := range a.Runtimes {
		agent, _ := naming.RuntimeAgent(r.ID)
		if r.Gone || agent != a.Name {
			continue
		}
		known[r.ID] = true
		counts := !r.Foreign && (a.Phase == status.PhaseActive || a.Phase == status.PhaseRetiring)
		if counts && !slices.Contains(l.live[a.Name], r.ID) {
			ids = append(ids, r.ID)
		}
	}
	for _, id := range l.live[a.Name] {
		if !known[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
