package drift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// memory is what the last pass found. Of a pass whose report is missing or
// damaged nothing is known.
type memory struct {
	last    report.Pass
	any     bool
	unknown bool // it could not be read
}

// maxReport bounds a report in bytes: what the next pass reads.
const maxReport = 16 << 20

func (p Pass) before(ctx context.Context) (memory, error) {
	o, err := p.Objects.GetUpTo(ctx, naming.LatestPassKey, maxReport)
	if errors.Is(err, fault.ErrNotFound) {
		return memory{}, nil
	}
	if err != nil {
		return memory{unknown: true}, err
	}
	last, err := report.ParsePass(o.Body)
	if err != nil {
		return memory{}, nil //nolint:nilerr // it is written anew
	}
	return memory{last: last, any: true}, nil
}

// maxLinked bounds what is read of what is known of the service-linked roles, in
// bytes.
const maxLinked = 1 << 20

// linked gives what slrwatch knows of the service-linked roles. People are told it;
// nothing else of a pass comes from it, so that it cannot be read is no failure.
func (p Pass) linked(ctx context.Context) *report.Linked {
	o, err := p.Objects.GetUpTo(ctx, naming.LinkedKey, maxLinked+1)
	if errors.Is(err, fault.ErrNotFound) {
		return &report.Linked{}
	}
	var known model.ServiceLinkedRoles
	switch {
	case err != nil:
	case len(o.Body) > maxLinked:
		err = fmt.Errorf("%s has more than %d bytes", naming.LinkedKey, maxLinked)
	default:
		if known, err = model.ParseServiceLinkedRoles(o.Body); err != nil {
			err = fmt.Errorf("%s is damaged, the next look writes it anew: %w", naming.LinkedKey, err)
		}
	}
	if err != nil {
		return &report.Linked{Unread: report.Clip(err.Error())}
	}
	return report.LinkedOf(known)
}

// history gives the passes before this one.
func (m memory) history() []report.Point {
	if !m.any {
		return nil
	}
	all := append(m.last.History, m.last.Point())
	return all[max(len(all)-report.MaxHistory, 0):]
}

// compare notes in a report what the last pass did not have, and since when the
// rest is known.
func (m memory) compare(r *report.Pass) {
	if !m.any {
		return
	}
	type what struct{ config, agent, name, element, kind string }
	known := map[what]time.Time{}
	for _, d := range m.last.Findings {
		known[what{d.Config, d.Agent, d.Role, d.Element, string(d.Kind)}] = d.Since
	}
	for _, o := range m.last.Orphans {
		known[what{name: o.Name, kind: string(o.Kind)}] = o.Since
	}
	for i, d := range r.Findings {
		since, old := known[what{d.Config, d.Agent, d.Role, d.Element, string(d.Kind)}]
		if r.Findings[i].New = !old; old && since.Before(d.Since) {
			r.Findings[i].Since = since
		}
	}
	for i, o := range r.Orphans {
		since, old := known[what{name: o.Name, kind: string(o.Kind)}]
		if r.Orphans[i].New = !old; old {
			r.Orphans[i].Since = since
		}
	}
}

// maxTexts bounds the bytes of all texts of a report's findings, maxDigests the
// number of what an operator approves at once: of more, a part is not known to be one.
const (
	maxTexts   = 6 << 20
	maxDigests = 20_000
)

// bound keeps a report within what can be read again.
func bound(r *report.Pass) {
	texts := 0
	for i := range r.Findings {
		d := &r.Findings[i]
		d.Observed, d.Desired = cut(d.Observed), cut(d.Desired)
		if texts += written(d.Observed) + written(d.Desired); texts > maxTexts {
			d.Observed, d.Desired = "", ""
		}
	}
	for _, s := range []*report.Stop{r.Stopped, r.Released} {
		if s != nil && len(s.Digests) > maxDigests {
			s.Digests = nil
		}
	}
	r.Findings, r.Omitted = most(r.Findings, r.Omitted)
	r.Leaving, r.Omitted = most(r.Leaving, r.Omitted)
	r.Orphans, r.Omitted = most(r.Orphans, r.Omitted)
}

// written gives the bytes that a text takes in JSON, up to six for one.
func written(text string) int {
	data, _ := json.Marshal(text) // a text cannot be refused
	return len(data)
}

func cut(text string) string {
	if len(text) > report.MaxDocument {
		return text[:report.MaxDocument] + "…"
	}
	return text
}

func most[V any](all []V, omitted int) ([]V, int) {
	n := min(len(all), report.MaxFindings)
	return all[:n], omitted + len(all) - n
}
