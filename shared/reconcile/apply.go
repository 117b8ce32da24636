package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

// applying carries what one step of a plan leaves for a later one.
type applying struct {
	*run
	nonces map[string]map[model.RoleKind]string // by agent: of roles to be made
	ids    map[string]map[model.RoleKind]string // by agent: of roles just made
}

// apply executes the plan in its order and stops at the first error. It decides
// nothing: run again, the plan says what is left.
func (r *run) apply(ctx context.Context, p plan.Plan) error {
	a := applying{r, map[string]map[model.RoleKind]string{}, map[string]map[model.RoleKind]string{}}
	for i, s := range p.Steps {
		if err := a.step(ctx, s); err != nil {
			return fmt.Errorf("step %d of %d (%s %s): %w", i+1, len(p.Steps), s.Op, s.Role, err)
		}
	}
	return nil
}

func (a applying) step(ctx context.Context, s plan.Step) error {
	switch s.Op {
	case plan.CreateServiceLinkedRole:
		return a.ServiceLinkedRoles.Create(ctx, s.Role, s.Service)
	case plan.ReserveCreation:
		return a.reserve(ctx, s)
	case plan.CreateRole:
		return a.createRole(ctx, s)
	case plan.RecordRoles:
		return a.record(ctx, s)
	case plan.PutBoundary:
		return a.Roles.PutBoundary(ctx, *s.Desired)
	case plan.TagRole:
		return a.Roles.Tag(ctx, *s.Desired)
	case plan.UpdateTrust:
		return a.Roles.UpdateTrust(ctx, *s.Desired)
	case plan.PutPolicy:
		return a.Roles.PutPolicy(ctx, s.Role, s.Policy, s.Desired.Policies[s.Policy])
	case plan.ArchiveRole:
		return a.archive(ctx, s)
	case plan.DeletePolicy:
		return a.Roles.DeletePolicy(ctx, s.Role, s.Policy)
	case plan.UpdateSettings:
		return a.Roles.UpdateSettings(ctx, *s.Desired)
	case plan.FinishAdoption:
		return a.writeClaim(ctx, s.Claim, a.claims[s.Claim].WithoutAdopting(s.Adopting...))
	}
	return fmt.Errorf("unknown operation %q", s.Op)
}

// reserve notes in the claim which roles are about to be made, so that after a
// crash they are known for ours.
func (a applying) reserve(ctx context.Context, s plan.Step) error {
	c := withRoleIDs(a.claims[s.Claim].Claim, s.RoleIDs).WithAdopting(s.Adopting...)
	a.nonces[s.Agent] = map[model.RoleKind]string{}
	for _, kind := range s.Kinds {
		nonce := model.Nonce(kind, a.Random())
		a.nonces[s.Agent][kind] = nonce
		c = c.WithCreating(model.HashNonce(nonce))
	}
	return a.writeClaim(ctx, s.Claim, c)
}

func (a applying) createRole(ctx context.Context, s plan.Step) error {
	id, err := a.Roles.Create(ctx, *s.Desired, a.nonces[s.Agent][s.Desired.Kind])
	if err != nil {
		return err
	}
	if a.ids[s.Agent] == nil {
		a.ids[s.Agent] = map[model.RoleKind]string{}
	}
	a.ids[s.Agent][s.Desired.Kind] = id
	return nil
}

func (a applying) record(ctx context.Context, s plan.Step) error {
	c := withRoleIDs(withRoleIDs(a.claims[s.Claim].Claim, s.RoleIDs), a.ids[s.Agent]).WithAdopting(s.Adopting...)
	if !s.KeepNonces {
		c.Creating = nil
	}
	return a.writeClaim(ctx, s.Claim, c)
}

func withRoleIDs(c model.Claim, ids map[model.RoleKind]string) model.Claim {
	for kind, id := range ids {
		c = c.WithRoleID(kind, id)
	}
	return c
}

// archive keeps the role as it is before policies are taken from it, or before
// it is taken over. The key is made of what causes that, so that a run that is
// repeated finds the archive of the first and does not write another of a role
// half taken down. What is taken over is not changed before it is archived: of
// a role that others changed since, there is another archive.
func (a applying) archive(ctx context.Context, s plan.Step) error {
	archived := model.Archive{V: 1, Reason: "policies-removed", Config: a.key, ArchivedAt: a.now, Role: *s.Observed}
	cause := []any{s.Observed.ID, a.object.VersionID, a.SettingsHash}
	if s.Reason == plan.Adopt {
		archived.Reason, cause = "adopted", []any{s.Observed}
	}
	sum, err := json.Marshal([]any{archived.Reason, cause})
	if err != nil {
		return fmt.Errorf("archive role %s: %w", s.Role, err)
	}
	digest := sha256.Sum256(sum)
	key := fmt.Sprintf("%s%s/%s-%s.json", naming.ArchivePrefix, s.Role,
		a.object.LastModified.UTC().Format("20060102T150405Z"), hex.EncodeToString(digest[:])[:12])
	body, err := json.Marshal(archived)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	if _, err = a.Store.Create(ctx, key, body); errors.Is(err, fault.ErrConflict) {
		return nil
	}
	return err
}
