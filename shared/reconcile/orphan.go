package reconcile

import (
	"context"
	"fmt"
	"slices"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// dispose has roles go that no config asks for, as those of an agent do that its
// config no longer has. All it writes is the claim, by which the roles are this
// config's: what it leads to is then the same whether this run goes on or dies.
// The claim is free, and has the roles as taken over and not as they should be: a
// config that has the agent before they go gets none of them (disowned).
func (r *run) dispose(ctx context.Context, q pending) (status.Request, error) {
	name, hash := only(q.Plans)
	if why := r.spared(name); why != "" {
		return refused(q.id, "%s", why), nil
	}
	there, why, err := r.strays(ctx, name)
	if err != nil || why != "" {
		return refused(q.id, "%s", why), err
	}
	if plan.RetireHash(r.key, name, there.roles()) != hash {
		return refused(q.id, "agent %q has other roles now than the operator was shown; look at them again", name), nil
	}
	claim, err := r.own(ctx, name)
	switch {
	case err != nil:
		return status.Request{}, err
	case claim.Config != r.key:
		return refused(q.id, "agent name %q is taken by %s", name, claim.Config), nil
	case there.recorded(claim):
	case claim.Deleting != "":
		return refused(q.id, "agent %q is on its way out with other roles; ask again when they are gone", name), nil
	default:
		claim = there.record(claim)
		if err := r.giveUp(ctx, naming.RoleClaimKey(name), claim); err != nil {
			return status.Request{}, err
		}
	}
	if a, _ := r.stored.Agent(name); !owns(a) {
		r.know(claim)
	}
	return done(q.id, "the roles of agent %s are to be deleted, after a grace period and once nothing uses them", name), nil
}

// spared says why the roles of an agent are not to be retired by hand; empty when
// they can be.
func (r *run) spared(name string) string {
	if !naming.ValidAgent(name) {
		return fmt.Sprintf("%.100q is not the name of an agent", name)
	}
	if a, _ := r.stored.Agent(name); a.Phase == status.PhaseHeld {
		return fmt.Sprintf("agent %s is held; release it (`rolekeeper release`), then its roles go by themselves", name)
	}
	if r.object.VersionID == "" {
		return ""
	}
	cfg, problems := agent.Examine(r.object.Body, r.env.Place)
	switch {
	case slices.ContainsFunc(cfg.Agents, func(a agent.Agent) bool { return a.Name == name }):
		return fmt.Sprintf("the config has agent %s: have its roles adopted, or take it out of the config", name)
	case fault.Blocks(problems):
		return "it cannot be told whether the config has the agent: its problems come first"
	}
	return ""
}

// disowned gives a claim without the roles under it that were never as they should
// be: to a config that asks for the agent they are somebody else's, to be judged
// and archived before they are taken over.
func disowned(c model.Claim) model.Claim {
	for _, kind := range c.Adopting {
		c = c.WithRoleID(kind, "")
	}
	return c.WithoutAdopting(c.Adopting...)
}

// stray is a role of an agent's name that is there.
type stray struct {
	model.ObservedRole
	kind model.RoleKind
}

// strays are those of one agent, the runtime role first.
type strays []stray

func (all strays) roles() []model.ObservedRole {
	var roles []model.ObservedRole
	for _, s := range all {
		roles = append(roles, s.ObservedRole)
	}
	return roles
}

// recorded reports whether the claim has all of them.
func (all strays) recorded(c model.Claim) bool {
	return !slices.ContainsFunc(all, func(s stray) bool { return c.RoleID(s.kind) != s.ID })
}

// record gives the claim with those recorded that it did not have.
func (all strays) record(c model.Claim) model.Claim {
	for _, s := range all {
		if c.RoleID(s.kind) != s.ID {
			c = c.WithRoleID(s.kind, s.ID).WithAdopting(s.kind)
		}
	}
	return c
}

// strays reads the roles of an agent's names, and says why they cannot be
// retired.
func (r *run) strays(ctx context.Context, name string) (all strays, why string, err error) {
	for _, d := range r.bare(name) {
		o, err := r.role(ctx, d.Name)
		switch {
		case err != nil:
			return nil, "", err
		case o == nil:
		case o.ARN != d.ARN:
			return nil, fmt.Sprintf("role %s is %s: Rolekeeper has no right to change roles with a path", d.Name, o.ARN), nil
		default:
			all = append(all, stray{*o, d.Kind})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Sprintf("agent %s has neither a runtime role nor a build role", name), nil
	}
	return all, "", nil
}
