// Package drift is the scheduled pass over all configs: it finds what is due and
// what events missed, and has reconcile look at those configs.
package drift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Objects is what is read of the config bucket. Entries gives everything under a
// prefix or an error; Get answers fault.ErrNotFound for absence only.
type Objects interface {
	Entries(ctx context.Context, prefix string) ([]model.Entry, error)
	Get(ctx context.Context, key string) (model.Object, error)
}

// Runtimes is what is read of AgentCore: all runtimes there are, or an error.
type Runtimes interface {
	Runtimes(ctx context.Context) ([]model.RuntimeSummary, error)
}

// Queue is what is needed of the work queue.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
}

// Pass is the pipeline of functions/drift. It writes nothing but messages.
type Pass struct {
	Objects  Objects
	Runtimes Runtimes
	Work     Queue
	Now      func() time.Time
}

// Report says what a pass found, for the log.
type Report struct {
	Configs  int // in the bucket
	Due      int // configs with an agent whose time has come
	Missed   int // configs that are not as their status has them, or whose status is missing or damaged
	Runtimes int // runtimes that are not as the status of their agent's config has them
	Newer    int // statuses of a later format, which are left alone
	Unread   int // statuses that could not be read
	Skipped  int // keys that neither a config nor a status has
	Enqueued int // configs that reconcile is to look at
}

// reads is how many statuses are read at the same time.
const reads = 16

// Run takes the pass with the id and enqueues each config with something due or
// missed once, in the order of their keys; a pass that is repeated with its id
// within five minutes enqueues none again. When the bucket cannot be listed
// nothing is enqueued. When the runtimes cannot be listed, or a status cannot be
// read, all that does not depend on them is, and the error is returned with what
// was done.
func (p Pass) Run(ctx context.Context, id string) (Report, error) {
	var report Report
	configs, err := p.configs(ctx, &report)
	if err != nil {
		return report, fmt.Errorf("pass %s: nothing was looked at: %w", id, err)
	}
	l := look{now: p.Now().UTC()}
	runtimes, listing := p.Runtimes.Runtimes(ctx)
	if listing == nil {
		l.live = live(runtimes)
	}
	findings, reading := p.findAll(ctx, configs, l)
	for _, f := range findings {
		report.count(f)
	}
	var sending error
	report.Enqueued, sending = p.enqueue(ctx, id, l.now, findings)
	if err := errors.Join(listing, reading, sending); err != nil {
		return report, fmt.Errorf("pass %s: %w", id, err)
	}
	return report, nil
}

// findAll says of each config what is due or was missed, in the same order. The
// error is that of one status that could not be read.
func (p Pass) findAll(ctx context.Context, configs []config, l look) ([]finding, error) {
	findings := make([]finding, len(configs))
	var group errgroup.Group // without a context: the others are read when one fails
	group.SetLimit(reads)
	for i, c := range configs {
		group.Go(func() (err error) {
			findings[i], err = p.find(ctx, c, l)
			findings[i].key = c.key
			return err
		})
	}
	err := group.Wait()
	return findings, err
}

// enqueue sends the messages. It ends with the first that cannot be sent: all
// that differs in them is bounded, so the others could not be either.
func (p Pass) enqueue(ctx context.Context, id string, now time.Time, findings []finding) (sent int, err error) {
	for _, f := range findings {
		hints := f.hints(id, now)
		if len(hints) == 0 {
			continue
		}
		m, err := event.Work{V: 1, Key: f.key, Hints: hints}.Message(id)
		if err == nil {
			err = p.Work.Send(ctx, m)
		}
		if err != nil {
			return sent, fmt.Errorf("%s and those after it are not enqueued: %w", f.key, err)
		}
		sent++
	}
	return sent, nil
}

// config is a config or a status that is there, or both.
type config struct {
	key      string
	uploaded time.Time // zero when there is only a status
	answered bool      // there is a status
}

// configs lists them in the order of their keys.
func (p Pass) configs(ctx context.Context, report *Report) ([]config, error) {
	all := map[string]config{}
	uploaded, err := p.Objects.Entries(ctx, naming.ConfigPrefix)
	if err != nil {
		return nil, err
	}
	for _, e := range uploaded {
		if naming.CheckConfigKey(e.Key) != nil {
			report.Skipped++
			continue
		}
		report.Configs++
		all[e.Key] = config{key: e.Key, uploaded: e.Modified}
	}
	answers, err := p.Objects.Entries(ctx, naming.StatusPrefix)
	if err != nil {
		return nil, err
	}
	for _, e := range answers {
		key, ok := naming.ConfigKeyOf(e.Key)
		if !ok || naming.CheckConfigKey(key) != nil {
			report.Skipped++
			continue
		}
		all[key] = config{key: key, uploaded: all[key].uploaded, answered: true}
	}
	sorted := make([]config, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[key])
	}
	return sorted, nil
}

// find reads the status of a config and says what is due or was missed.
func (p Pass) find(ctx context.Context, c config, l look) (finding, error) {
	if !c.answered {
		return finding{missed: true}, nil
	}
	object, err := p.Objects.Get(ctx, naming.StatusKey(c.key))
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return finding{missed: !c.uploaded.IsZero()}, nil
	case err != nil:
		return finding{unread: true}, fmt.Errorf("status of %s: %w", c.key, err)
	}
	return l.judge(c, object.Body), nil
}

// finding is why reconcile is to look at a config; of one at rest it is only the key.
type finding struct {
	key           string
	due, missed   bool
	runtimes      []string // ids
	newer, unread bool
}

func (r *Report) count(f finding) {
	r.Due += one(f.due)
	r.Missed += one(f.missed)
	r.Newer += one(f.newer)
	r.Unread += one(f.unread)
	r.Runtimes += len(f.runtimes)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// maxHints bounds a message: reconcile asks AgentCore for every runtime in it.
// The next pass finds the others.
const maxHints = 100

// hints gives what reconcile is to record, none when there is nothing to look at.
func (f finding) hints(pass string, now time.Time) []event.Hint {
	var hints []event.Hint
	if f.due || f.missed {
		hints = append(hints, event.Hint{Kind: event.PassHint, ID: pass, Time: now})
	}
	for _, id := range f.runtimes[:min(len(f.runtimes), maxHints)] {
		hints = append(hints, event.Hint{Kind: event.RuntimeHint, ID: id, Time: now})
	}
	return hints
}
