package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/status"
)

type restoreFlags struct {
	requestFlags
	at    string
	exact bool
}

func (p program) restoreCommand() *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use:   "restore ROLE",
		Short: "Have Rolekeeper put a role back as it was archived",
		Long: `Show what it takes to have a role again as it was archived, and what cannot be the
same, and, once you confirm, ask for it. The agent is held then: its roles are left as
they are until a new upload of the config, or release. ROLE is the name of a role, or
its ARN; archive lists those there are.

What Rolekeeper would make nobody it does not restore: a trust beyond the service in
this account, or a role without the stack's boundary. --exact asks for nothing, and
writes the commands with which an administrator puts the role back all the same.` + requestHelp,
		Example: `  rolekeeper restore AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789
  rolekeeper restore AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789 --at 2026-11-22T12:00:00Z
  rolekeeper restore AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789 --exact > restore.sh`,
		Args: takes(1, 1, "one ROLE"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.restore(c.Context(), f, args[0])
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.at, "at", "", "time by which the role was archived: its newest archive then is restored (default: the newest that no restoring left)")
	flags.BoolVar(&f.exact, "exact", false, "write commands for an administrator, and ask for nothing")
	return c
}

// by gives the time of --at, zero when there is none.
func (f *restoreFlags) by() (time.Time, error) {
	if f.at == "" {
		return time.Time{}, nil
	}
	by, err := time.Parse(time.RFC3339, f.at)
	if err != nil {
		return time.Time{}, fmt.Errorf("--at: %q is no time such as 2026-11-22T12:00:00Z", f.at)
	}
	return by, nil
}

// restoring is a role that is to be put back from an archive.
type restoring struct {
	plan.Restoring
	from archived
	look look // at the config that the archive names
}

// restore asks for a role to be put back, or writes how to do it.
func (p program) restore(ctx context.Context, f restoreFlags, arg string) error {
	by, err := f.by()
	if err != nil {
		return err
	}
	s, role, err := p.stackAndRole(ctx, f.requestFlags, arg)
	if err != nil {
		return err
	}
	all, damaged := s.bucket.archives(ctx, naming.ArchivedRole(role))
	if damaged != nil && !errors.Is(damaged, errDamaged) {
		return s.unreadable(damaged)
	}
	a, err := choose(all, by)
	if err != nil {
		return errors.Join(fmt.Errorf("role %s in %s: %w", role, s.bucket.name, err), damaged)
	}
	r, err := s.restoring(ctx, a)
	if err != nil {
		return err
	}
	if f.exact {
		return p.exact(s, r, damaged)
	}
	if damaged != nil {
		p.stdout.line("left out: %s", oneLine(damaged))
	}
	p.stdout.line("%s", a.text())
	if rollBack(&r.Restoring, all) {
		p.stdout.line("It is being deleted, which is undone first.")
	}
	return p.putBack(ctx, f.requestFlags, s, r)
}

// putBack shows what it takes to put a role back, and asks for it.
func (p program) putBack(ctx context.Context, f requestFlags, s stack, r restoring) error {
	todo := planned{Preview: reconcile.Preview{Key: r.from.Config, Plan: r.Plan()}, look: r.look}
	agent := r.from.Agent
	held, err := r.look.held(ctx, agent)
	switch {
	case err != nil:
		return s.unreadable(err)
	case todo.says():
		todo.text(p.stdout)
	case held:
		p.stdout.line("The role is so already, and agent %s is held.", agent)
		return nil
	default:
		p.stdout.line("The role is so already.")
	}
	if len(todo.Plan.Refusals) > 0 {
		return errProblems
	}
	p.stdout.line("")
	for _, n := range r.Notes() {
		p.stdout.line("%s", n)
	}
	p.stdout.line("Agent %s is held then: its roles are left as they are until a new upload of %s, or `rolekeeper release %[2]s %[1]s`.", agent, r.from.Config)
	return p.ask(ctx, f, s, model.Request{
		Action: model.Restore, Config: r.from.Config, Plans: map[string]string{agent: plan.RestoreHash(todo.Plan)}, Archive: r.from.key,
	})
}

// choose gives the newest archive that was written by the time, or with the zero
// time the newest that no restoring left: to restore twice must not undo the
// first. The newest come first.
func choose(all []archived, by time.Time) (archived, error) {
	i := slices.IndexFunc(all, func(a archived) bool {
		if by.IsZero() {
			return a.Reason != model.ArchiveRestored
		}
		return !a.ArchivedAt.Truncate(time.Second).After(by) // as it is shown
	})
	switch {
	case i >= 0:
		return all[i], nil
	case len(all) == 0:
		return archived{}, errors.New("there is no archive of it; `rolekeeper archive` lists those there are")
	case by.IsZero():
		return archived{}, errors.New("there are only archives that restoring left; name one by --at")
	}
	return archived{}, fmt.Errorf("there is no archive of it by %s; the oldest is of %s", moment(by), moment(all[len(all)-1].ArchivedAt))
}

// restoring reads what the archived role is compared with.
func (s stack) restoring(ctx context.Context, a archived) (restoring, error) {
	r := restoring{from: a, look: s.look(a.Config)}
	r.Archive, r.Account, r.Boundary = a.Archive, s.account.id, r.look.viewer.Env.PermissionsBoundary
	o, err := r.look.seen.Read(ctx, a.Role.Name)
	switch {
	case err == nil:
		r.Observed = &o
	case !errors.Is(err, fault.ErrNotFound):
		return restoring{}, s.unreadable(err)
	}
	r.Claim, err = s.claim(ctx, r.look, a.Agent)
	if errors.Is(err, fault.ErrNotFound) {
		r.Claim, err = model.Claim{V: 1, Config: a.Config, Agent: a.Agent}, nil // as it is taken first
	}
	return r, err
}

// rollBack has a role that is being deleted as the function puts it back, which
// comes before it compares, and reports whether there is one.
func rollBack(r *plan.Restoring, all []archived) bool {
	if r.Claim.Deleting == "" || r.Observed == nil {
		return false
	}
	i := slices.IndexFunc(all, func(a archived) bool { return a.Retirement == r.Claim.Deleting && a.Role.ID == r.Observed.ID })
	if i < 0 {
		return false
	}
	was, o := r.Archive, *r.Observed
	l := plan.Leaving{
		Agent: was.Agent, Account: r.Account, Retirement: r.Claim.Deleting, Archives: map[string]model.Archive{o.Name: all[i].Archive},
		Roles: []plan.Role{{
			Desired:  model.Role{Kind: was.Kind, Agent: was.Agent, Name: o.Name, ARN: o.ARN, PermissionsBoundary: r.Boundary},
			Observed: r.Observed, Claim: r.Claim,
		}},
	}
	o.Policies, o.Attached = maps.Clone(o.Policies), slices.Clone(o.Attached)
	for _, s := range l.Rollback() {
		switch s.Op {
		case plan.PutBoundary:
			o.PermissionsBoundary = s.Desired.PermissionsBoundary
		case plan.PutPolicy:
			o.Policies[s.Policy] = s.Desired.Policies[s.Policy].JSON()
		case plan.AttachPolicy:
			o.Attached = slices.Sorted(slices.Values(append(o.Attached, s.Policy)))
		case plan.UpdateTrust:
			o.Trust = s.Desired.Trust.JSON()
		}
	}
	r.Observed = &o
	return true
}

// held reports whether the answer has the agent as held.
func (l look) held(ctx context.Context, agent string) (bool, error) {
	object, err := l.seen.Get(ctx, naming.StatusKey(l.key))
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	answer, err := status.Parse(object.Body)
	a, _ := answer.Agent(agent)
	return err == nil && a.Phase == status.PhaseHeld, nil
}
