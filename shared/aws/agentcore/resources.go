package agentcore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// Networks reads what service-linked roles go by: which resources there are, which
// are in a VPC, and which have a private endpoint that AgentCore manages.
type Networks struct {
	api   ResourceAPI
	lists Pace
}

// NewNetworks makes a reader of one Region. Every List waits for lists; nil does
// not wait.
func NewNetworks(api ResourceAPI, lists Pace) *Networks { return &Networks{api, lists} }

// Resources gives all resources of the kinds of model.Resource, by kind and id,
// without the system's own browsers and code interpreters. Known is what it gave
// before: of that, what was not changed since costs no call beside the listings.
//
// Unread tells, by kind, why not all of a kind could be read. What was known of
// such a kind is still given where it may be there. A resource that is listed and
// could never be read is given without Updated, so that it is read the next time.
func (n *Networks) Resources(ctx context.Context, known []model.Resource) (found []model.Resource, unread map[string]error) {
	unread = map[string]error{}
	before := map[string]map[string]model.Resource{}
	for _, r := range known {
		if before[r.Kind] == nil {
			before[r.Kind] = map[string]model.Resource{}
		}
		before[r.Kind][r.ID] = r
	}
	gateways := sync.OnceValues(func() ([]model.Resource, error) { return n.listGateways(ctx) })
	for _, k := range n.kinds(gateways) {
		resources, err := k.read(ctx, before[k.name])
		if err != nil {
			unread[k.name] = err
		}
		found = append(found, resources...)
	}
	slices.SortFunc(found, func(a, b model.Resource) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return found, unread
}

// networked is a kind of resource that may need a service-linked role.
type networked struct {
	name string // as in model.Resource
	// list gives all of them, as far as a listing tells. Beside an error it gives what
	// it found nevertheless.
	list     func(ctx context.Context) ([]model.Resource, error)
	versions func(ctx context.Context, id string) ([]string, error)           // nil where there are none
	get      func(ctx context.Context, id, version string) (placement, error) // nil where the listing tells all
}

// placement is what a Get tells of where a resource, or a version of one, is.
type placement struct {
	arn          string // where no listing tells
	vpc, private bool   // as in model.Resource
}

// look is the reading of one resource.
type look struct {
	of       model.Resource // as it is listed; Version is the newest there is, of what lists it
	was      model.Resource // as it was known
	known    bool
	versions []string // newest first; one that is empty where there are none
	places   []placement
	errs     []error // of places
	err      error   // of versions
}

// read gives all resources of a kind.
func (k networked) read(ctx context.Context, known map[string]model.Resource) ([]model.Resource, error) {
	listed, err := k.list(ctx)
	found, looks, unseen := k.compare(listed, known)
	var errs []error
	if err != nil {
		errs, found = append(errs, err), append(found, unseen...)
	}
	k.look(ctx, looks)
	for _, l := range looks {
		r, err := l.result()
		if errors.Is(err, fault.ErrNotFound) {
			continue // gone since it was listed
		}
		if err != nil {
			errs = append(errs, err)
		}
		found = append(found, r)
	}
	return found, firstOf(errs)
}

// compare parts what is listed into that of which the rest is known, and that which
// is to be looked at. Unseen is what was known and is not listed.
func (k networked) compare(listed []model.Resource, known map[string]model.Resource) (same []model.Resource, looks []look, unseen []model.Resource) {
	seen := map[string]bool{}
	for _, r := range listed {
		if seen[r.ID] {
			continue // a listing shifts while it is read
		}
		seen[r.ID] = true
		was, is := known[r.ID]
		switch {
		case r.Status == "DELETED": // so it says of browsers and code interpreters that are gone
		case k.get == nil:
			same = append(same, r)
		case is && was.Updated == r.Updated && !was.Old:
			was.Status = r.Status
			same = append(same, was)
		default:
			looks = append(looks, look{of: r, was: was, known: is})
		}
	}
	for id, r := range known {
		if !seen[id] {
			unseen = append(unseen, r)
		}
	}
	return same, looks, unseen
}

// firstOf gives the first of errors, and says how many there are beside; nil when
// there is none.
func firstOf(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w; and %d more like it", errs[0], len(errs)-1)
}

// look carries out looks: first versions, then each version.
func (k networked) look(ctx context.Context, looks []look) {
	abreast(looks, func(l *look) {
		if l.versions = []string{""}; k.versions != nil {
			l.versions, l.err = k.versions(ctx, l.of.ID)
		}
		if l.err == nil && len(l.versions) == 0 {
			l.err = fault.Errorf(fault.Retry, "list versions of %s %s: there are none", k.name, l.of.ID)
		}
		if l.err == nil && l.of.Version != "" && !slices.Contains(l.versions, l.of.Version) {
			l.err = fault.Errorf(fault.Retry, "list versions of %s %s: version %s is not among them yet", k.name, l.of.ID, l.of.Version)
		}
		slices.SortFunc(l.versions, func(a, b string) int { // they are numbers without leading zeros
			return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
		})
		l.places, l.errs = make([]placement, len(l.versions)), make([]error, len(l.versions))
	})
	type version struct {
		of *look
		n  int
	}
	var all []version
	for i := range looks {
		for n := range looks[i].versions {
			all = append(all, version{&looks[i], n})
		}
	}
	abreast(all, func(v *version) {
		l, what := v.of, fmt.Sprintf("get %s %s", k.name, v.of.of.ID)
		if l.versions[v.n] != "" {
			what += ", version " + l.versions[v.n]
		}
		p, err := k.get(ctx, l.of.ID, l.versions[v.n])
		l.places[v.n], l.errs[v.n] = p, awserr.Wrap(err, "%s", what)
	})
}

// result gives a resource as it was read. Every version counts: an endpoint may
// lead to it. fault.ErrNotFound says that it is gone; with any other error the
// resource is as it was known.
func (l look) result() (model.Resource, error) {
	if l.err != nil {
		return l.unread(), l.err
	}
	r := l.of
	r.Version = ""
	var newest *placement
	for i := range l.places {
		p := &l.places[i]
		switch {
		case errors.Is(l.errs[i], fault.ErrNotFound): // this version, or everything
			continue
		case l.errs[i] != nil:
			return l.unread(), l.errs[i]
		case newest == nil:
			newest = p
		}
		if p.vpc || p.private {
			r.Version = cmp.Or(r.Version, l.versions[i])
		}
		r.VPC, r.PrivateEndpoint = r.VPC || p.vpc, r.PrivateEndpoint || p.private
	}
	if newest == nil {
		return model.Resource{}, fault.ErrNotFound
	}
	r.ARN = cmp.Or(r.ARN, newest.arn)
	r.Old = r.VPC != newest.vpc || r.PrivateEndpoint != newest.private
	return r, nil
}

// unread gives what is known of a resource that cannot be read.
func (l look) unread() model.Resource {
	if l.known {
		l.was.Status = l.of.Status
		return l.was
	}
	return model.Resource{Kind: l.of.Kind, ID: l.of.ID, ARN: l.of.ARN, Status: l.of.Status}
}

// atOnce is how many calls are made of a kind at the same time. AgentCore allows an
// account 150 Gets in a second (developer guide, "Quotas").
const atOnce = 8

// abreast does something with all of them, a few at the same time.
func abreast[V any](all []V, do func(*V)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range all {
		group.Go(func() error {
			do(&all[i])
			return nil
		})
	}
	_ = group.Wait() // each keeps its own error
}
