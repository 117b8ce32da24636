package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

// applying carries what one step of a plan leaves for a later one.
type applying struct {
	*run
	nonces  map[nonceOf]string                   // of what is to be made
	ids     map[string]map[model.RoleKind]string // by agent: of roles just made
	created map[string]map[model.Part]time.Time  // by agent: of parts just made
}

// nonceOf names what a nonce is of: a role or part of an agent.
type nonceOf struct{ agent, kind string }

// apply executes the plan in its order and stops at the first error. It decides
// nothing: run again, the plan says what is left.
func (r *run) apply(ctx context.Context, p plan.Plan) error {
	a := applying{r, map[nonceOf]string{}, map[string]map[model.RoleKind]string{}, map[string]map[model.Part]time.Time{}}
	var lost []error
	for i, s := range p.Steps {
		err := a.step(ctx, s)
		if err == nil {
			continue
		}
		err = fmt.Errorf("step %d of %d (%s %s): %w", i+1, len(p.Steps), s.Op, s.Role, err)
		// A policy that cannot be put back is no reason to leave a role without its trust.
		if policy := s.Op == plan.PutPolicy || s.Op == plan.AttachPolicy; !r.undoing || !policy || fault.Of(err) == fault.Retry {
			return err
		}
		lost = append(lost, err)
	}
	return errors.Join(lost...)
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
		if s.Reason == plan.Retire {
			if err := a.unproven(s); err != nil {
				return err
			}
		}
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
	return a.leaveStep(ctx, s)
}

// leaveStep makes a step about what is taken away, or put back.
func (a applying) leaveStep(ctx context.Context, s plan.Step) error {
	switch s.Op {
	case plan.DeleteProject, plan.DeleteRole, plan.DeleteRepository:
		if err := a.unproven(s); err != nil {
			return err
		}
	}
	switch s.Op {
	case plan.MarkDeleting:
		return a.mark(ctx, s)
	case plan.RecordQuarantine:
		return a.recordQuarantine(ctx, s)
	case plan.ClearDeleting:
		return a.clear(ctx, s)
	case plan.DeleteProject:
		return a.Projects.Delete(ctx, s.Role)
	case plan.DeleteRepository:
		a.emptied = append(a.emptied, s.Agent)
		return a.Repositories.Delete(ctx, s.Role)
	case plan.DeleteRole:
		return a.Roles.Delete(ctx, s.Role)
	case plan.DetachPolicy:
		return a.Roles.DetachPolicy(ctx, s.Role, s.Policy)
	case plan.AttachPolicy:
		return a.Roles.AttachPolicy(ctx, s.Role, s.Policy)
	case plan.LeaveInstanceProfile:
		return a.Roles.LeaveInstanceProfile(ctx, s.Role, s.Profile)
	case plan.UntagRole:
		return a.Roles.Untag(ctx, s.Role, s.Tags)
	case plan.ReleaseClaims:
		return a.releaseClaims(ctx, s)
	}
	return a.imageStep(ctx, s)
}

// imageStep makes a step about what images are made with.
func (a applying) imageStep(ctx context.Context, s plan.Step) error {
	switch s.Op {
	case plan.CreateRepository, plan.CreateProject:
		return a.createPart(ctx, s)
	case plan.RecordParts:
		return a.recordParts(ctx, s)
	case plan.ScanOnPush:
		return a.Repositories.ScanOnPush(ctx, *s.Repository)
	case plan.TagRepository:
		return a.Repositories.Tag(ctx, *s.Repository)
	case plan.UpdateProject:
		return a.Projects.Update(ctx, *s.Project)
	case plan.CreateLogGroup:
		return a.LogGroups.Create(ctx, s.Project.LogGroup, s.Project.Tags)
	case plan.RetainLogs:
		return a.LogGroups.Retain(ctx, s.Project.LogGroup, s.Project.LogRetentionDays)
	case plan.StartBuild:
		return a.start(ctx, *s.Build)
	}
	return fmt.Errorf("unknown operation %q", s.Op)
}

// reserve notes in the claim what is about to be made, so that after a crash it
// is known for ours.
func (a applying) reserve(ctx context.Context, s plan.Step) error {
	c := withCreated(withRoleIDs(a.claims[s.Claim].Claim, s.RoleIDs), s.Created).WithAdopting(s.Adopting...)
	for _, kind := range s.Kinds {
		c = c.WithCreating(model.HashNonce(a.nonce(s.Agent, string(kind), model.Nonce(kind, a.Random()))))
	}
	for _, part := range s.Parts {
		c = c.WithCreating(model.HashNonce(a.nonce(s.Agent, string(part), model.Nonce(part, a.Random()))))
	}
	return a.writeClaim(ctx, s.Claim, c)
}

// nonce keeps a nonce for the step that makes what it is of.
func (a applying) nonce(agent, kind, nonce string) string {
	a.nonces[nonceOf{agent, kind}] = nonce
	return nonce
}

func (a applying) createRole(ctx context.Context, s plan.Step) error {
	id, err := a.Roles.Create(ctx, *s.Desired, a.nonces[nonceOf{s.Agent, string(s.Desired.Kind)}])
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
	return a.recorded(ctx, s, withRoleIDs(withRoleIDs(a.claims[s.Claim].Claim, s.RoleIDs), a.ids[s.Agent]).WithAdopting(s.Adopting...))
}

// recorded writes a claim in which everything is that was made under it.
func (a applying) recorded(ctx context.Context, s plan.Step, c model.Claim) error {
	if !s.KeepNonces {
		c.Creating = nil
	}
	return a.writeClaim(ctx, s.Claim, c)
}

func (a applying) createPart(ctx context.Context, s plan.Step) error {
	part, make := model.RepositoryPart, func(nonce string) (time.Time, error) { return a.Repositories.Create(ctx, *s.Repository, nonce) }
	if s.Op == plan.CreateProject {
		part, make = model.ProjectPart, func(nonce string) (time.Time, error) { return a.Projects.Create(ctx, *s.Project, nonce) }
	}
	at, err := make(a.nonces[nonceOf{s.Agent, string(part)}])
	if err != nil {
		return err
	}
	if a.created[s.Agent] == nil {
		a.created[s.Agent] = map[model.Part]time.Time{}
	}
	a.created[s.Agent][part] = at
	return nil
}

func (a applying) recordParts(ctx context.Context, s plan.Step) error {
	return a.recorded(ctx, s, withCreated(withCreated(a.claims[s.Claim].Claim, s.Created), a.created[s.Agent]))
}

// start starts a build. That CodeBuild has no room for it is no error: nothing
// is wrong, and the agent is told to wait. It then has none for another either.
func (a applying) start(ctx context.Context, o model.BuildOrder) error {
	for _, why := range a.full {
		a.full[o.Agent] = why
		return nil
	}
	b, err := a.Projects.Start(ctx, o)
	if errors.Is(err, fault.ErrLimit) {
		a.full[o.Agent] = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	a.started[o.Agent] = b
	return nil
}

func withCreated(c model.Claim, at map[model.Part]time.Time) model.Claim {
	for part, created := range at {
		c = c.WithCreated(part, created)
	}
	return c
}

func withRoleIDs(c model.Claim, ids map[model.RoleKind]string) model.Claim {
	for kind, id := range ids {
		c = c.WithRoleID(kind, id)
	}
	return c
}

// archive keeps the role as it is before policies are taken from it, or before
// it is taken over, put back or taken away. The key is made of what causes that,
// so that a run that is repeated finds the archive of the first and does not
// write another of a role half taken down. What is taken over, put back or taken
// away is not changed before it is archived: of a role that others changed since,
// there is another archive. So there is when policies of others are removed: that
// a run died half-way is no reason not to keep what they put there meanwhile.
func (a applying) archive(ctx context.Context, s plan.Step) error {
	archived := model.Archive{
		V: 1, Reason: model.ArchivePoliciesRemoved, Config: a.key, Agent: s.Agent, Kind: s.Desired.Kind, Retirement: s.Retirement,
		ArchivedAt: a.now, Role: *s.Observed,
	}
	at, cause := a.object.LastModified.UTC().Format(model.IDTime), []any{s.Observed}
	switch s.Reason {
	case plan.Adopt:
		archived.Reason = model.ArchiveAdopted
	case plan.Retire:
		archived.Reason, at = model.ArchiveRetired, s.Retirement
	case plan.Restore:
		archived.Reason, at = model.ArchiveRestored, a.now.Format(model.IDTime)
	case plan.Drift:
		// Others can add to the role at any time: what is there is the cause.
	case plan.Create, plan.Change:
		// The same version and settings can come again; until it is answered, a look
		// that is repeated finds the answer that the first one found.
		cause = []any{s.Observed.ID, a.object.VersionID, a.SettingsHash, a.stored.UpdatedAt}
	}
	sum, err := json.Marshal([]any{archived.Reason, cause})
	if err != nil {
		return fmt.Errorf("archive role %s: %w", s.Role, err)
	}
	digest := sha256.Sum256(sum)
	key := fmt.Sprintf("%s%s-%s.json", naming.ArchivedRole(s.Role), at, hex.EncodeToString(digest[:])[:12])
	body, err := json.Marshal(archived)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	a.archived[s.Agent] = append(a.archived[s.Agent], key)
	if _, err = a.Store.Create(ctx, key, body); errors.Is(err, fault.ErrConflict) {
		return nil
	}
	return err
}
