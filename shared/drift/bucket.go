package drift

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// reads is how many objects are read at the same time.
const reads = 16

// bucket is what the config bucket holds, read whole.
type bucket struct {
	configs []config // in the order of their keys
	skipped int      // keys that neither a config nor a status has

	objects map[string]read
	claims  map[string]model.Claim // on roles, by key; those that can be read
	indexes map[string][]string    // keys of the claims that a config may hold, by the config's; of indexes that can be read
}

// read is an object, or why it could not be read.
type read struct {
	model.Object
	err error
}

// config is a config, a status or an index of claims that is there, or several of them.
type config struct {
	key      string
	uploaded time.Time // zero when there is no config
	answered bool      // there is a status
}

// bucket lists and reads the configs, the statuses and the claims.
func (p Pass) bucket(ctx context.Context) (*bucket, error) {
	b := &bucket{claims: map[string]model.Claim{}, indexes: map[string][]string{}}
	all := map[string]config{}
	var keys []string
	uploaded, err := p.Objects.Entries(ctx, naming.ConfigPrefix)
	if err != nil {
		return nil, err
	}
	for _, e := range uploaded {
		if naming.CheckConfigKey(e.Key) != nil {
			b.skipped++
			continue
		}
		all[e.Key], keys = config{key: e.Key, uploaded: e.Modified}, append(keys, e.Key)
	}
	answers, err := p.Objects.Entries(ctx, naming.StatusPrefix)
	if err != nil {
		return nil, err
	}
	for _, e := range answers {
		key, ok := naming.ConfigKeyOf(e.Key)
		if !ok || naming.CheckConfigKey(key) != nil {
			b.skipped++
			continue
		}
		all[key], keys = config{key: key, uploaded: all[key].uploaded, answered: true}, append(keys, e.Key)
	}
	claims, err := p.Objects.Entries(ctx, naming.ClaimPrefix)
	if err != nil {
		return nil, err
	}
	for _, e := range claims {
		keys = append(keys, e.Key)
	}
	if b.objects = p.readAll(ctx, keys); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	b.parse()
	for key, held := range b.indexes { // its config is gone, and its status was lost
		if _, known := all[key]; !known && len(held) > 0 {
			all[key] = config{key: key}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		b.configs = append(b.configs, all[key])
	}
	return b, nil
}

// readAll reads objects, of a config no more than a config may have. One that is
// gone meanwhile is not there; of one that cannot be read that is known.
func (p Pass) readAll(ctx context.Context, keys []string) map[string]read {
	found := make([]read, len(keys))
	var group errgroup.Group // without a context: the others are read when one fails
	group.SetLimit(reads)
	for i, key := range keys {
		group.Go(func() error {
			if strings.HasPrefix(key, naming.ConfigPrefix) {
				found[i].Object, found[i].err = p.Objects.GetUpTo(ctx, key, agent.MaxBytes+1)
			} else {
				found[i].Object, found[i].err = p.Objects.Get(ctx, key)
			}
			return nil
		})
	}
	_ = group.Wait()
	all := map[string]read{}
	for i, key := range keys {
		if !errors.Is(found[i].err, fault.ErrNotFound) {
			all[key] = found[i]
		}
	}
	return all
}

// parse reads claims on roles and the indexes of claims. Those that are damaged
// concern the configs that come upon them.
func (b *bucket) parse() {
	for key, o := range b.objects {
		switch {
		case o.err != nil:
		case strings.HasPrefix(key, naming.RoleClaimPrefix):
			if c, err := model.ParseClaim(o.Body); err == nil {
				b.claims[key] = c
			}
		case strings.HasPrefix(key, naming.ClaimIndexPrefix):
			x, err := model.ParseClaimIndex(o.Body)
			if err == nil && naming.ClaimIndexKey(x.Config) == key && naming.CheckConfigKey(x.Config) == nil {
				b.indexes[x.Config] = x.Claims
			}
		}
	}
}

// Get implements reconcile.Objects on what was read.
func (b *bucket) Get(_ context.Context, key string) (model.Object, error) {
	o, there := b.objects[key]
	if !there {
		return model.Object{}, fault.Errorf(fault.Unknown, "%s: %w", key, fault.ErrNotFound)
	}
	return o.Object, o.err
}

// List implements reconcile.Objects on what was read.
func (b *bucket) List(_ context.Context, prefix string) ([]string, error) {
	var keys []string
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
