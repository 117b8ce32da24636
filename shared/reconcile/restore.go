package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// operate reads the operators' requests and carries out those that do not depend
// on what the config says: they are for agents that go, or are gone.
func (r *run) operate(ctx context.Context) error {
	if err := r.readRequests(ctx); err != nil {
		return err
	}
	return r.answerRequests(func(q pending) (status.Request, error) {
		switch q.Action {
		case model.Restore:
			return r.restore(ctx, q)
		case model.Release:
			return r.release(ctx, q)
		case model.Retire:
			return r.dispose(ctx, q)
		case model.Approve:
			return status.Request{}, r.approve(ctx, q)
		case model.Adopt, model.BuildImage:
		}
		return status.Request{}, nil
	})
}

// restore puts a role back as an archive has it. Its agent is held from before
// the first write: who repeats a run that died knows by that what was granted.
func (r *run) restore(ctx context.Context, q pending) (status.Request, error) {
	name, _ := only(q.Plans)
	archived, why, err := r.archivedRole(ctx, q, name)
	if err != nil || why != "" {
		return refused(q.id, "%s", why), err
	}
	claim, err := r.own(ctx, name)
	if err != nil {
		return status.Request{}, err
	}
	if claim.Config != r.key {
		return refused(q.id, "agent name %q is taken by %s", name, claim.Config), nil
	}
	a, _ := r.stored.Agent(name)
	a.Name = name
	if claim.Deleting != "" {
		if err := r.rollBack(ctx, a); err != nil {
			return status.Request{}, err
		}
	}
	return r.putBack(ctx, q, a, archived)
}

// putBack makes the role as it was archived.
func (r *run) putBack(ctx context.Context, q pending, a status.Agent, archived model.Archive) (status.Request, error) {
	observed, err := r.role(ctx, archived.Role.Name)
	if err != nil {
		return status.Request{}, err
	}
	p := plan.Restoring{
		Archive: archived, Observed: observed, Claim: r.claims[naming.RoleClaimKey(a.Name)].Claim, Boundary: r.env.PermissionsBoundary, Account: r.env.Account,
	}.Plan()
	begun := a.Phase == status.PhaseHeld && slices.Contains(a.ArchiveKeys, q.Archive)
	switch {
	case len(p.Refusals) > 0:
		return refused(q.id, "%s", p.Refusals[0].Message), nil
	case !begun && plan.RestoreHash(p) != q.Plans[a.Name]:
		return refused(q.id, "what would be done to role %s now is not what the operator was shown; look at it again", archived.Role.Name), nil
	}
	if key := naming.RoleClaimKey(a.Name); r.claims[key].Free { // what is held is nobody's to take over
		c := disowned(r.claims[key].WithoutAdopting(archived.Kind))
		c.Free = false
		if err := r.writeClaim(ctx, key, c); err != nil {
			return status.Request{}, err
		}
	}
	if !begun || a.PhaseVersion != r.object.VersionID { // a new version would end the hold
		if err := r.recordHold(ctx, a, q.Archive, archived); err != nil {
			return status.Request{}, err
		}
	}
	err = r.apply(ctx, p)
	if err != nil && fault.Of(err) != fault.Retry { // it must not keep the config from being handled
		return refused(q.id, "role %s could not be put back as it was; what was done so far stays, and agent %s is held: %v", archived.Role.Name, a.Name, err), nil
	}
	if err != nil {
		return status.Request{}, err
	}
	return done(q.id, "role %s is as it was at %s; agent %s is held", archived.Role.Name, archived.ArchivedAt.UTC().Format(time.RFC3339), a.Name), nil
}

func only(plans map[string]string) (agent, hash string) {
	for agent, hash = range plans { // there is one
		break
	}
	return agent, hash
}

// archivedRole reads the archive that a request names, and says why it is not one to
// restore the agent's role from.
func (r *run) archivedRole(ctx context.Context, q pending, agent string) (archived model.Archive, why string, err error) {
	if !strings.HasPrefix(q.Archive, naming.ArchivePrefix) {
		return model.Archive{}, "it names no archive", nil
	}
	object, err := r.Store.Get(ctx, q.Archive)
	if errors.Is(err, fault.ErrNotFound) {
		return model.Archive{}, "there is no archive " + q.Archive, nil
	}
	if err != nil {
		return model.Archive{}, "", err
	}
	archived, wrong := model.ParseArchive(object.Body)
	if wrong != nil {
		return model.Archive{}, fmt.Sprintf("%s cannot be read: %v", q.Archive, wrong), nil
	}
	names := map[model.RoleKind]string{model.RuntimeRole: naming.RuntimeRole(r.env.Region, agent), model.BuildRole: naming.BuildRole(r.env.Region, agent)}
	if archived.Config != r.key || archived.Agent != agent || archived.Role.Name != names[archived.Kind] {
		return model.Archive{}, q.Archive + " is not of a role of this agent", nil
	}
	return archived, "", nil
}

// own takes the claim on an agent's name if nobody has it, and gives it.
func (r *run) own(ctx context.Context, name string) (model.Claim, error) {
	key := naming.RoleClaimKey(name)
	if c, mine := r.claims[key]; mine {
		return c.Claim, nil
	}
	c, err := r.readClaim(ctx, key)
	if errors.Is(err, fault.ErrNotFound) {
		if err := r.growIndex(ctx, []string{key}); err != nil {
			return model.Claim{}, err
		}
		return r.establish(ctx, key, name)
	}
	if err != nil {
		return model.Claim{}, err
	}
	if c.Config != r.key {
		return c.Claim, nil
	}
	r.claims[key] = c
	return c.Claim, r.growIndex(ctx, []string{key}) // it may have been forgotten
}

// recordHold writes into the status that an agent is held, and that what the
// archive has is what was applied last: when the agent is kept up again, all that
// is to be otherwise is a change.
func (r *run) recordHold(ctx context.Context, a status.Agent, archive string, archived model.Archive) error {
	if a.Phase != status.PhaseHeld {
		a.ArchiveKeys = nil
	}
	a.Phase, a.PhaseVersion, a.RetireAfter, a.DeleteAfter, a.RetirementID = status.PhaseHeld, r.object.VersionID, time.Time{}, time.Time{}, ""
	if !slices.Contains(a.ArchiveKeys, archive) {
		a.ArchiveKeys = append(slices.Clone(a.ArchiveKeys), archive)
	}
	a.BlockedBy, a.Notes, a.Drift = nil, nil, nil
	applied := plan.ArchivedDigests(archived)
	for e, digest := range a.Applied {
		if plan.KindOf(e) != archived.Kind {
			applied[e] = digest
		}
	}
	a.Applied = applied
	if archived.Kind == model.BuildRole {
		a.BuildRoleARN = r.env.RoleARN(naming.BuildRole(r.env.Region, a.Name))
	} else {
		a.RuntimeRoleARN = r.env.RoleARN(naming.RuntimeRole(r.env.Region, a.Name))
	}
	return r.remind(ctx, a)
}

// release ends the hold of an agent.
func (r *run) release(ctx context.Context, q pending) (status.Request, error) {
	name, hash := only(q.Plans)
	a, _ := r.stored.Agent(name)
	claim, err := r.readClaim(ctx, naming.RoleClaimKey(name))
	switch {
	case err != nil && !errors.Is(err, fault.ErrNotFound):
		return status.Request{}, err
	case a.Phase != status.PhaseHeld || claim.Config != r.key:
		return refused(q.id, "agent %.100q is not held", name), nil
	case plan.ReleaseHash(claim.Claim) != hash:
		return refused(q.id, "agent %q has other roles now than the operator was shown; look at it again", name), nil
	}
	r.released[name] = true
	return done(q.id, "agent %s is no longer held", name), nil
}

// approve notes which agents an operator lets go whatever the brake says. It
// leaves the request to be answered when that is done, and those for adoptions
// to others.
func (r *run) approve(ctx context.Context, q pending) error {
	for name, hash := range q.Plans {
		a, _ := r.stored.Agent(name)
		if a.Phase != status.PhaseRetiring && a.Phase != status.PhaseQuarantined {
			return nil
		}
		claim, err := r.readClaim(ctx, naming.RoleClaimKey(name))
		if errors.Is(err, fault.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if claim.Config != r.key || plan.DeletionHash(claim.Claim) != hash {
			return nil
		}
	}
	for name := range q.Plans {
		r.approved[name] = q.id
	}
	return nil
}

// letsGo reports whether a request is one that lets agents go.
func (r *run) letsGo(q pending) bool {
	return slices.Contains(slices.Collect(maps.Values(r.approved)), q.id)
}

// answerApprovals answers the requests that let agents go: when all of them do.
func (r *run) answerApprovals() {
	_ = r.answerRequests(func(q pending) (status.Request, error) { // nothing is asked of anybody
		ours, left := false, ""
		for name := range q.Plans {
			if r.approved[name] != q.id {
				continue
			}
			ours = true
			if a := r.life[name]; a.Phase == status.PhaseRetiring {
				left = name
			}
		}
		switch {
		case !ours || left != "" && !r.back.IsZero():
			return status.Request{}, nil
		case left != "":
			return refused(q.id, "it is not the brake that keeps the roles of agent %s", left), nil
		}
		return done(q.id, "the roles go"), nil
	})
}
