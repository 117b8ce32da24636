package drift

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// repairs gives what somebody did that reconcile would put right.
func (f finding) repairs() []report.Finding {
	return slices.DeleteFunc(slices.Clone(f.differences), func(d report.Finding) bool {
		return d.Action != report.ActionRepaired || !d.Kind.Drift()
	})
}

// drifted counts the roles, projects and policies that findings say others changed.
func drifted(all []report.Finding) int {
	names := map[string]bool{}
	for _, d := range all {
		if d.Kind.Drift() {
			names[d.Role] = true
		}
	}
	return len(names)
}

// hash gives the hex SHA-256 of everything that somebody did and that reconcile
// would put right: what an operator approves.
func hash(all []report.Finding) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	for _, d := range all {
		_ = e.Encode([]string{d.Config, d.Agent, d.Role, d.Element, string(d.Kind), d.Observed, d.Desired}) // neither texts nor a hash can be refused
	}
	return hex.EncodeToString(h.Sum(nil))
}

// brake stops a pass that would put more right at once than is allowed: so much
// is nobody's slip of the hand, but a mistake of many, an attack, or ours. What
// an operator approved goes. It gives nil for a pass that is not stopped.
func (p Pass) brake(ctx context.Context, found []finding, allowed int, now time.Time) (*report.Stop, error) {
	var all []report.Finding
	for _, f := range found {
		all = append(all, f.repairs()...)
	}
	n := drifted(all)
	if n <= allowed {
		return nil, nil //nolint:nilnil // a report has no stop then
	}
	stop := report.Stop{Found: n, Allowed: allowed, Hash: hash(all)}
	approved, err := p.approved(ctx, stop.Hash, now)
	if approved || err != nil {
		return nil, err
	}
	return &stop, nil
}

// portion leaves those outdated configs to later passes that are more than what
// may change at once. Which go first depends on the pass, so that those which
// cannot be changed do not hold up the others for ever.
func portion(found []finding, pass string, allowed int) {
	turn := func(i int) []byte {
		sum := sha256.Sum256([]byte(pass + "\x00" + found[i].key))
		return sum[:]
	}
	var outdated []int
	for i, f := range found {
		if f.outdated && len(f.repairs()) == 0 {
			outdated = append(outdated, i)
		}
	}
	slices.SortFunc(outdated, func(a, b int) int { return bytes.Compare(turn(a), turn(b)) })
	roles := 0
	for n, i := range outdated {
		roles += found[i].roles
		found[i].later = n > 0 && roles > allowed
	}
}

// told gives the findings of a config with what becomes of them.
func (f finding) told(stopped bool) []report.Finding {
	all := slices.Clone(f.differences)
	for i, d := range all {
		switch {
		case d.Action != report.ActionRepaired:
		case stopped:
			all[i].Action = report.ActionHeldBack
		case f.later && !f.due && !f.missed:
			all[i].Action = report.ActionLater
		}
	}
	return all
}

// maxRequests bounds the requests that are read: those whose ids sort last, which
// are the newest as the tool writes ids.
const maxRequests = 100

// approved reports whether an operator lets the pass with the hash go.
func (p Pass) approved(ctx context.Context, hash string, now time.Time) (bool, error) {
	if !p.Operators {
		return false, nil
	}
	entries, err := p.Objects.Entries(ctx, naming.FleetRequestPrefix)
	if err != nil {
		return false, err
	}
	slices.SortFunc(entries, func(a, b model.Entry) int { return cmp.Compare(a.Key, b.Key) })
	for _, e := range entries[max(len(entries)-maxRequests, 0):] {
		o, err := p.Objects.Get(ctx, e.Key)
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		q, wrong := model.ParseFleetRequest(o.Body)
		id := strings.TrimSuffix(strings.TrimPrefix(e.Key, naming.FleetRequestPrefix), ".json")
		late := now.After(q.Expires) || now.Sub(o.LastModified) > model.MaxRequestAge
		if wrong == nil && q.ID == id && !late && q.Plans[model.FleetPlan] == hash {
			return true, nil
		}
	}
	return false, nil
}
