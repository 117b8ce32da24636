package drift

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/reconcile"
)

// fleet is everything there is, read in bulk.
type fleet struct {
	*bucket
	region   string
	limit    string // ARN of the boundary
	account  model.Account
	projects map[string]model.ObservedProject
	live     map[string][]string // ids of runtimes that are not being deleted, by agent
	boundary policy.Document     // what its policy should say; of no statements when that is not known
}

// fleet reads everything, the bucket first: what a config that is worked on
// meanwhile gets then differs from what its status was, which recheck sees.
func (p Pass) fleet(ctx context.Context) (*fleet, error) {
	b, err := p.bucket(ctx)
	if err != nil {
		return nil, err
	}
	f := &fleet{bucket: b, region: p.Env.Region, limit: p.Env.PermissionsBoundary, boundary: p.ownBoundary()}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		f.account, err = p.Account.Read(ctx)
		for name, o := range f.account.Roles {
			if !agentsName(name) { // nobody asks for what it may do
				o.Policies = nil
				f.account.Roles[name] = o
			}
		}
		return err
	})
	group.Go(func() error {
		runtimes, err := p.Runtimes.Runtimes(ctx)
		f.live = live(runtimes)
		return err
	})
	group.Go(func() (err error) {
		f.projects, err = p.Projects.Read(ctx, b.projectNames())
		return err
	})
	return f, group.Wait()
}

// projectNames gives the projects that agents have: those with a claim. What a
// config asks for anew has none.
func (b *bucket) projectNames() []string {
	var names []string
	for key := range b.objects {
		sanitised, ok := strings.CutPrefix(key, naming.ProjectClaimPrefix)
		if ok {
			names = append(names, naming.ProjectOf(strings.TrimSuffix(sanitised, ".json")))
		}
	}
	slices.Sort(names)
	return names
}

// viewer gives the viewer that looks at configs as reconcile does, but at what
// was read in bulk.
func (f *fleet) viewer(s reconcile.Settings) reconcile.Viewer {
	return reconcile.Viewer{Settings: s, Objects: f.bucket, Roles: bulkRoles{f}, ServiceLinkedRoles: bulkRoles{f}, Projects: bulkProjects{all: f.projects}}
}

// bulkRoles are the roles of an account that was read in bulk.
type bulkRoles struct{ *fleet }

// Head implements reconcile.RoleReader.
func (b bulkRoles) Head(ctx context.Context, name string) (model.ObservedRole, error) {
	return b.Read(ctx, name)
}

// Read implements reconcile.RoleReader.
func (b bulkRoles) Read(_ context.Context, name string) (model.ObservedRole, error) {
	if b.account.Unsettled[name] {
		return model.ObservedRole{}, fault.Errorf(fault.Retry, "role %s came, went or was made anew while the account was listed", name)
	}
	o, there := b.account.Roles[name]
	if !there {
		return model.ObservedRole{}, fault.Errorf(fault.Unknown, "role %s: %w", name, fault.ErrNotFound)
	}
	return o, nil
}

// Managed implements reconcile.RoleReader. But for the boundary, policies are not
// read in bulk: what adopting a role would take away, reconcile finds out.
func (b bulkRoles) Managed(_ context.Context, arn string) (string, error) {
	if arn == b.limit && len(b.boundary.Statements) > 0 {
		return b.boundary.JSON(), nil
	}
	return "", fault.Errorf(fault.Unknown, "policy %s is not read in bulk: %w", arn, fault.ErrNotFound)
}

// Present implements reconcile.ServiceLinkedRoleReader.
func (b bulkRoles) Present(ctx context.Context, name string) (bool, error) {
	_, err := b.Read(ctx, name)
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// bulkProjects are projects that were read in bulk. Builds are not looked at
// where repositories are not (reconcile.Viewer).
type bulkProjects struct {
	reconcile.ProjectReader
	all map[string]model.ObservedProject
}

// Read implements reconcile.ProjectReader.
func (b bulkProjects) Read(_ context.Context, names []string) (map[string]model.ObservedProject, error) {
	found := map[string]model.ObservedProject{}
	for _, name := range names {
		if o, there := b.all[name]; there {
			found[name] = o
		}
	}
	return found, nil
}
