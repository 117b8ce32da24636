package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// need is a claim that the config must hold.
type need struct {
	key   string
	agent agent.Agent
}

// needed gives the claims of an accepted config in the order they are taken:
// sorted, so that configs with the same names in another order do not take
// turns in refusing each other. Those on roles come first: who has them may have
// the agent's project.
func (v *view) needed() []need {
	var all []need
	for _, a := range v.cfg.Agents {
		if v.away[a.Name] {
			continue
		}
		all = append(all, need{naming.RoleClaimKey(a.Name), a})
		if a.Deployment == agent.Container {
			all = append(all, need{naming.ProjectClaimKey(a.Name), a})
		}
	}
	slices.SortFunc(all, func(a, b need) int { return cmp.Compare(b.key, a.key) })
	return all
}

// takeAll takes the claims in order. Names that other configs own are problems.
func (r *run) takeAll(ctx context.Context, all []need) ([]fault.Problem, error) {
	keys := make([]string, 0, len(all))
	for _, n := range all {
		keys = append(keys, n.key)
	}
	if err := r.growIndex(ctx, keys); err != nil {
		return nil, err
	}
	return r.ask(ctx, all, r.take)
}

// ask asks for the claims in order, by a function that gives the claim on a name
// as it then is. Names that other configs own are problems; after the first no
// more are asked for, but all are told.
func (v *view) ask(ctx context.Context, all []need, take func(context.Context, need) (model.Claim, error)) ([]fault.Problem, error) {
	var problems []fault.Problem
	for _, n := range all {
		get := take
		if len(problems) > 0 {
			get = v.owner
		}
		c, err := get(ctx, n)
		if err != nil {
			return nil, err
		}
		if c.Config == "" || c.Config == v.key {
			continue
		}
		// An agent of the same name has both the role and the project; once told is enough.
		p := v.lost(n, c)
		if !slices.ContainsFunc(problems, func(q fault.Problem) bool { return q.Code == p.Code && q.Agent == p.Agent }) {
			problems = append(problems, p)
		}
	}
	return problems, nil
}

func (v *view) lost(n need, owner model.Claim) fault.Problem {
	if owner.Free && n.key == naming.ProjectClaimKey(n.agent.Name) {
		return n.agent.Problem("repository-kept", "name",
			fmt.Sprintf("agent %q needs the ECR repository %s, which is kept with the images of agent %q of %s", n.agent.Name, naming.Repository(n.agent.Name), owner.Agent, owner.Config),
			"rename the agent; or have the platform team delete the repository, if nobody needs its images")
	}
	if owner.Agent == n.agent.Name {
		fix := "rename the agent, or keep it in that config"
		if slices.Contains(owner.Waiting, v.key) {
			fix += "; should the name become free, this config is looked at again by itself"
		}
		return n.agent.Problem("name-claimed", "name", fmt.Sprintf("agent name %q is taken by %s", n.agent.Name, owner.Config), fix)
	}
	return n.agent.Problem("project-claimed", "name",
		fmt.Sprintf("agent %q needs the CodeBuild project %s, which agent %q of %s has", n.agent.Name, naming.Project(n.agent.Name), owner.Agent, owner.Config),
		"rename the agent: names that differ only in case or punctuation share a project")
}

// tries bounds how often a claim that keeps changing is read again; the queue
// brings the config back after that.
const tries = 4

// take takes a claim and gives it, or the claim of the config that owns the
// name; in that one this config then waits.
func (r *run) take(ctx context.Context, n need) (model.Claim, error) {
	for range tries {
		c, err := r.readClaim(ctx, n.key)
		switch {
		case errors.Is(err, fault.ErrNotFound):
			c, err := r.establish(ctx, n.key, n.agent.Name)
			if errors.Is(err, fault.ErrConflict) {
				continue
			}
			return c, err
		case err != nil:
			return model.Claim{}, err
		case c.Config == r.key && !c.Free:
			r.claims[n.key] = c
			return c.Claim, nil
		}
		inherits, err := r.inherits(ctx, n, &c)
		if err != nil {
			return model.Claim{}, err
		}
		if c.Config == r.key || inherits {
			taken, err := r.inherit(ctx, n, c)
			if errors.Is(err, fault.ErrConflict) {
				continue
			}
			return taken, err
		}
		waiting := c.WithWaiting(r.key)
		if len(waiting.Waiting) == len(c.Waiting) {
			return c.Claim, nil
		}
		// Read again after queueing up: the name may have been freed just before.
		if _, err := r.put(ctx, n.key, waiting, c.etag); err != nil && !errors.Is(err, fault.ErrConflict) {
			return model.Claim{}, err
		}
	}
	return model.Claim{}, fault.Errorf(fault.Retry, "claim %s keeps changing", n.key)
}

// establish makes a claim where there is none.
func (r *run) establish(ctx context.Context, key, agent string) (model.Claim, error) {
	c := model.Claim{V: 1, Config: r.key, Agent: agent}
	etag, err := r.put(ctx, key, c, "")
	if err != nil {
		return model.Claim{}, err
	}
	r.claims[key] = held{c, etag}
	return c, nil
}

// owner gives a claim without taking it; the zero claim when nobody has it.
func (v *view) owner(ctx context.Context, n need) (model.Claim, error) {
	c, err := v.readClaim(ctx, n.key)
	if errors.Is(err, fault.ErrNotFound) {
		return model.Claim{}, nil
	}
	return c.Claim, err
}

// peek gives a claim as it would be if it were taken now.
func (v *view) peek(ctx context.Context, n need) (model.Claim, error) {
	c, err := v.owner(ctx, n)
	if err != nil {
		return model.Claim{}, err
	}
	switch {
	case c.Config == "":
		c = model.Claim{V: 1, Config: v.key, Agent: n.agent.Name}
	case c.Free && c.Deleting == "":
		c = disowned(c)
	}
	if c.Config == v.key {
		v.claims[n.key] = held{Claim: c}
	}
	return c, nil
}

// writeClaim changes a claim that this config holds.
func (r *run) writeClaim(ctx context.Context, key string, c model.Claim) error {
	etag, err := r.put(ctx, key, c, r.claims[key].etag)
	if err != nil {
		return err
	}
	r.claims[key] = held{c, etag}
	return nil
}

// releaseUnused frees the claims of this config that nothing was made under and
// that are neither needed nor of the last applied version, wakes the configs
// that wait for them, and forgets them.
func (r *run) releaseUnused(ctx context.Context, needed []need) error {
	keep := map[string]bool{}
	for _, n := range needed {
		keep[n.key] = true
	}
	// Roles come before projects, which are in use when their agent's role is.
	// What is used is remembered.
	keys := slices.Clone(r.index.Claims)
	slices.Reverse(keys)
	left := make([]string, 0, len(keys))
	for _, key := range keys {
		if keep[key] {
			left = append(left, key)
			continue
		}
		c, err := r.readClaim(ctx, key)
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if c.Config != r.key {
			continue
		}
		used, err := r.uses(ctx, key, &c)
		if err != nil {
			return err
		}
		if used {
			r.claims[key] = c
			left = append(left, key)
		} else if err := r.freeUnused(ctx, key, c); err != nil {
			return err
		}
	}
	slices.Sort(left)
	return r.writeIndex(ctx, left)
}

// uses reports whether anything stands under a claim that the config does not
// need any more: what was made under it, or an applied version.
func (r *run) uses(ctx context.Context, key string, c *held) (bool, error) {
	known, _ := r.stored.Agent(c.Agent)
	if key == naming.RoleClaimKey(c.Agent) {
		if err := r.finish(ctx, key, c); err != nil {
			return false, err
		}
		return !c.Unused() || len(known.Applied) > 0, nil
	}
	if err := r.finishParts(ctx, key, c); err != nil {
		return false, err
	}
	if !c.Unused() {
		return true, nil
	}
	for e := range known.Applied {
		if plan.KindOf(e) == model.BuildRole {
			return true, nil
		}
	}
	role, err := r.readClaim(ctx, naming.RoleClaimKey(c.Agent))
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	return role.Config == r.key && (role.BuildRoleID != "" || len(role.Creating) > 0), err
}

// finish finds out what became of roles that were being made under a claim when
// a run died, and that no later run is going to make: one that is there is
// recorded, and its agent is known from then on.
func (r *run) finish(ctx context.Context, key string, c *held) error {
	if len(c.Creating) == 0 {
		return nil
	}
	next := c.Claim
	for _, d := range r.bare(c.Agent) {
		observed, err := r.role(ctx, d.Name)
		if err != nil {
			return err
		}
		if observed != nil && c.RoleID(d.Kind) == "" && plan.HalfMade(plan.Role{Desired: d, Observed: observed, Claim: c.Claim}) {
			next = next.WithRoleID(d.Kind, observed.ID)
		}
	}
	next.Creating = nil
	etag, err := r.put(ctx, key, next, c.etag)
	if err != nil {
		return err
	}
	*c = held{next, etag}
	r.know(next)
	return nil
}

// bare gives the roles of an agent of which nothing but the name is known.
func (v *view) bare(name string) []model.Role {
	want, _ := desired.Compute(agent.Config{Agents: []agent.Agent{{Name: name, Deployment: agent.Container}}}, v.env)
	return want.Agents[0].Roles()
}

// finishParts does the same for a claim on a repository and a project.
func (r *run) finishParts(ctx context.Context, key string, c *held) error {
	if len(c.Creating) == 0 {
		return nil
	}
	next := c.Claim
	repository, err := r.repository(ctx, model.Repository{Name: naming.Repository(c.Agent)})
	if err != nil {
		return err
	}
	if repository != nil && c.MadePart(model.RepositoryPart, repository.Tags[model.TagCreation]) {
		next = next.WithCreated(model.RepositoryPart, repository.Created)
	}
	project, err := r.project(ctx, naming.Project(c.Agent))
	if err != nil {
		return err
	}
	if project != nil && c.MadePart(model.ProjectPart, project.Tags[model.TagCreation]) {
		next = next.WithCreated(model.ProjectPart, project.Created)
	}
	next.Creating = nil
	etag, err := r.put(ctx, key, next, c.etag)
	if err != nil {
		return err
	}
	*c = held{next, etag}
	return nil
}

// know makes the agent of a claim under which a role was made one of those that
// the answer tells of.
func (v *view) know(c model.Claim) {
	if c.RuntimeRoleID == "" && c.BuildRoleID == "" {
		return
	}
	a, _ := v.stored.Agent(c.Agent)
	a.Name, a.Phase = c.Agent, status.PhaseActive
	if c.RuntimeRoleID != "" && a.RuntimeRoleARN == "" {
		a.RuntimeRoleARN = v.env.RoleARN(naming.RuntimeRole(v.env.Region, c.Agent))
	}
	if c.BuildRoleID != "" && a.BuildRoleARN == "" {
		a.BuildRoleARN = v.env.RoleARN(naming.BuildRole(v.env.Region, c.Agent))
	}
	v.stored.Agents = append(slices.DeleteFunc(slices.Clone(v.stored.Agents), func(other status.Agent) bool { return other.Name == a.Name }), a)
}

// crashGrace is longer than a run of the function can take (its Timeout in
// template.yaml). A wake-up that is sent with this delay before a claim is
// deleted comes when the run is either through or dead.
const crashGrace = 5 * time.Minute

// freeUnused deletes a claim of this config and wakes the configs that wait for
// the name: once more in advance, in case the run dies after the deletion.
func (r *run) freeUnused(ctx context.Context, key string, c held) error {
	return r.discard(ctx, key, c, held.Unused)
}

// discard does so for a claim that may be deleted in the state that dead tells of.
func (r *run) discard(ctx context.Context, key string, c held, dead func(held) bool) error {
	for range tries {
		if err := r.wake(ctx, c.Waiting, crashGrace); err != nil {
			return err
		}
		err := r.Store.Delete(ctx, key, c.etag)
		if err == nil {
			return r.wake(ctx, c.Waiting, 0)
		}
		if !errors.Is(err, fault.ErrConflict) {
			return err
		}
		c, err = r.readClaim(ctx, key)
		if errors.Is(err, fault.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.Config != r.key || !dead(c) {
			return fault.Errorf(fault.Retry, "claim %s was used while it was released", key)
		}
	}
	return fault.Errorf(fault.Retry, "claim %s keeps changing", key)
}

func (r *run) wake(ctx context.Context, keys []string, delay time.Duration) error {
	for _, key := range keys {
		m, err := event.Wake(key, r.now, delay)
		if err != nil {
			return err
		}
		if err := r.Inbox.Send(ctx, m); err != nil {
			return fmt.Errorf("wake %s: %w", key, err)
		}
	}
	return nil
}

func (v *view) readClaim(ctx context.Context, key string) (held, error) {
	object, err := v.from.Objects.Get(ctx, key)
	if err != nil {
		return held{}, err
	}
	c, err := model.ParseClaim(object.Body)
	if err != nil {
		return held{}, fmt.Errorf("%s: %w", key, err)
	}
	return held{c, object.ETag}, nil
}

func (v *view) readIndex(ctx context.Context) error {
	key := naming.ClaimIndexKey(v.key)
	object, err := v.from.Objects.Get(ctx, key)
	if errors.Is(err, fault.ErrNotFound) {
		v.index = model.ClaimIndex{V: 1, Config: v.key}
		return nil
	}
	if err != nil {
		return err
	}
	if v.index, err = model.ParseClaimIndex(object.Body); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	v.indexETag = object.ETag
	return nil
}

// growIndex notes the claims that are going to be taken.
func (r *run) growIndex(ctx context.Context, keys []string) error {
	all := slices.Concat(r.index.Claims, keys)
	slices.Sort(all)
	return r.writeIndex(ctx, slices.Compact(all))
}

func (r *run) writeIndex(ctx context.Context, claims []string) error {
	if slices.Equal(claims, r.index.Claims) {
		return nil
	}
	x := model.ClaimIndex{V: 1, Config: r.key, Claims: claims}
	key := naming.ClaimIndexKey(r.key)
	var err error
	if len(claims) == 0 && r.indexETag != "" {
		err, r.indexETag = r.Store.Delete(ctx, key, r.indexETag), ""
	} else {
		r.indexETag, err = r.put(ctx, key, x, r.indexETag)
	}
	if err != nil {
		return err
	}
	r.index = x
	return nil
}

// put writes what is JSON over the object of an ETag, as put does.
func (r *run) put(ctx context.Context, key string, v any, etag string) (newETag string, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", key, err)
	}
	return put(ctx, r.Store, key, body, etag)
}

// put writes an object over the one of an ETag; without one there must be none.
func put(ctx context.Context, s Store, key string, body []byte, etag string) (newETag string, err error) {
	if etag == "" {
		return s.Create(ctx, key, body)
	}
	return s.Replace(ctx, key, body, etag)
}

// inherits reports whether this config may take over the claim of another, with
// all that was made under it: its owner no longer has the agent, and is of the
// same team. What stands under a project claim goes with the agent's role; that
// of a retired agent is its repository alone, and nothing when that is gone: then
// the name is anybody's, and no repository is missing.
func (r *run) inherits(ctx context.Context, n need, c *held) (bool, error) {
	role := n.key == naming.RoleClaimKey(n.agent.Name)
	mates := r.env.TeamTag == "" || naming.Team(c.Config) == naming.Team(r.key)
	switch {
	case c.Deleting != "":
		return false, nil
	case c.Free && !role:
		repository, err := r.repository(ctx, model.Repository{Name: naming.Repository(n.agent.Name), Named: true})
		if err != nil || repository != nil {
			return mates, err
		}
		c.Claim = model.Claim{V: 1, Config: c.Config, Agent: n.agent.Name, Waiting: c.Waiting}
		return true, nil
	case c.Free:
		return mates && c.Agent == n.agent.Name, nil
	}
	return mates && !role && c.Agent == n.agent.Name && r.claims[naming.RoleClaimKey(c.Agent)].Config == r.key, nil
}

// inherit takes over a claim. What its owner knows of the agent is known here
// from then on, so that what it applied is no drift.
func (r *run) inherit(ctx context.Context, n need, c held) (model.Claim, error) {
	owner, next := c.Config, c.Claim
	if next.Deleting == "" {
		next = disowned(next)
	}
	next.Config, next.Agent, next.Free = r.key, n.agent.Name, false
	next.Waiting = slices.DeleteFunc(slices.Clone(next.Waiting), func(key string) bool { return key == r.key })
	if owner != r.key && n.key == naming.RoleClaimKey(n.agent.Name) {
		if err := r.learn(ctx, owner, n.agent.Name); err != nil {
			return model.Claim{}, err
		}
	}
	etag, err := r.put(ctx, n.key, next, c.etag)
	if err != nil {
		return model.Claim{}, err
	}
	r.claims[n.key] = held{next, etag}
	if owner == r.key {
		return next, nil
	}
	return next, r.wake(ctx, []string{owner}, 0)
}

// learn takes over what the status of another config knows of an agent.
func (r *run) learn(ctx context.Context, owner, name string) error {
	other := r.from.view(owner)
	if err := other.readStatus(ctx); err != nil {
		return err
	}
	a, known := other.stored.Agent(name)
	if !known {
		return nil
	}
	a.Phase, a.PhaseVersion, a.RetireAfter, a.BlockedBy, a.Notes = status.PhaseActive, "", time.Time{}, nil, nil
	r.stored.Agents = append(slices.DeleteFunc(slices.Clone(r.stored.Agents), func(was status.Agent) bool { return was.Name == name }), a)
	a.Runtimes = slices.DeleteFunc(slices.Clone(a.Runtimes), func(r status.Runtime) bool { return r.Gone })
	r.life[name] = a
	return nil
}
