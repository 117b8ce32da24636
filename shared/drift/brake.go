package drift

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/operator"
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

// digests gives 128 bits of the SHA-256, hex, of each thing that somebody did and
// that reconcile would put right.
func digests(all []report.Finding) []string {
	out := make([]string, len(all))
	for i, d := range all {
		text, _ := json.Marshal([]string{d.Config, d.Agent, d.Role, d.Element, string(d.Kind), d.Observed, d.Desired}) // texts cannot be refused
		sum := sha256.Sum256(text)
		out[i] = hex.EncodeToString(sum[:16])
	}
	return out
}

// hash gives the hex SHA-256 of all of them: what an operator approves.
func hash(digests []string) string {
	sum := sha256.Sum256([]byte(strings.Join(digests, "\n")))
	return hex.EncodeToString(sum[:])
}

// brake stops a pass that would put more right at once than is allowed: so much
// is nobody's slip of the hand, but a mistake of many, an attack, or ours. What
// an operator approved goes, as does less than that: some of it may be put right
// already. It gives nil twice for a pass that is none of these.
func (p Pass) brake(ctx context.Context, found []finding, before memory, allowed int, now time.Time) (stopped, released *report.Stop, err error) {
	var all []report.Finding
	for _, f := range found {
		all = append(all, f.repairs()...)
	}
	n := drifted(all)
	if n <= allowed {
		return nil, nil, nil
	}
	these := digests(all)
	stop := &report.Stop{Found: n, Allowed: allowed, Hash: hash(these), Digests: these}
	approved, unread, err := p.approved(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	for _, was := range []*report.Stop{stop, before.last.Stopped, before.last.Released} {
		if was != nil && approved[was.Hash] && was.Hash == hash(was.Digests) && within(these, was.Digests) {
			return nil, was, nil
		}
	}
	return stop, nil, unread // a pass that fails changes nothing either, and says what is wrong
}

// within reports whether all of some texts are among others.
func within(these, those []string) bool {
	there := map[string]bool{}
	for _, text := range those {
		there[text] = true
	}
	return !slices.ContainsFunc(these, func(text string) bool { return !there[text] })
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

// approved gives the hashes of what operators let go, as far as it may be read.
func (p Pass) approved(ctx context.Context, now time.Time) (hashes map[string]bool, unread, err error) {
	hashes = map[string]bool{}
	if !p.Operators {
		return hashes, nil, nil
	}
	requests, unread, err := operator.Requests(ctx, p.Objects, model.Approve, now)
	for _, q := range requests {
		hashes[q.Plans[model.FleetPlan]] = true
	}
	return hashes, unread, err
}
