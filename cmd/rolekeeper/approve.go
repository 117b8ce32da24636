package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

func (p program) approveCommand() *cobra.Command {
	var f requestFlags
	var pass bool
	c := &cobra.Command{
		Use:   "approve {CONFIG [AGENT...] | --pass}",
		Short: "Have done what waits for an operator about a config, or a stopped pass",
		Long: `Show what waits for an operator about an uploaded config, or about some of its
agents, and, once you confirm, ask for it. That is the deletion of roles that is
held back because MaxDeletesPerHour were deleted within the hour, and where there is
none the adoption of roles that somebody else made. What the next look at the config does
by itself waits for nobody and is left out; the plan has it. CONFIG is the config's S3
key, with or without configs/ in front.

--pass is about the scheduled pass, which stops when more differs than
MaxChangesPerSweep lets it put right at once: it shows what the last pass would have
changed, and lets the next one change it, which begins at once. That one is stopped
again when it finds anything else; less than was approved is no matter.` + requestHelp,
		Example: `  rolekeeper approve team/agent.yaml
  rolekeeper approve team/agent.yaml my_agent --yes
  rolekeeper approve --pass`,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case pass && len(args) > 0:
				return fmt.Errorf("approve takes either --pass or %q", args[0])
			case pass:
				return p.approvePass(c.Context(), f)
			case len(args) == 0:
				return fmt.Errorf("what is approved? Pass a CONFIG and any number of AGENTs, or --pass; see %s --help", c.CommandPath())
			}
			return p.request(c.Context(), f, model.Approve, args[0], p.approval(args[1:]))
		},
	}
	f.register(c)
	c.Flags().BoolVar(&pass, "pass", false, "let the stopped pass go")
	return c
}

// approval proposes what waits for an operator about the agents of a config, or
// about all when none is named: deletions, and when there are none adoptions. No
// request is for both, since it is carried out whole or not at all.
func (p program) approval(agents []string) proposal {
	return func(ctx context.Context, s stack, now planned) (map[string]string, error) {
		if err := p.good(s, now); err != nil && !now.Gone {
			return nil, err
		}
		plans, err := p.deletions(ctx, s, now, agents)
		switch {
		case err != nil:
			return nil, err
		case now.Gone && len(plans) == 0:
			return nil, p.good(s, now)
		}
		for _, name := range agents {
			if _, err := now.agent(name); err != nil && plans[name] == "" {
				return nil, err
			}
		}
		adoptions := now.waits()
		maps.DeleteFunc(adoptions, func(name, _ string) bool {
			return len(agents) > 0 && !slices.Contains(agents, name) || plans[name] != ""
		})
		if len(plans) == 0 {
			return p.adoptions(ctx, s, now, agents, adoptions)
		}
		for _, name := range slices.Sorted(maps.Keys(adoptions)) {
			p.stdout.line("")
			p.stdout.line("not asked for: the roles of agent %s wait for their adoption; approve again when the others are gone", name)
		}
		return plans, nil
	}
}

// adoptions shows adoptions, and of the agents named, or of all, which roles cannot
// be adopted. When there is nothing to be asked for, it says why.
func (p program) adoptions(ctx context.Context, s stack, now planned, agents []string, plans map[string]string) (map[string]string, error) {
	if len(plans) == 0 {
		if err := p.left(s, now, agents...); err != nil {
			return nil, err
		}
		p.nothingWaits(now, agents)
		return plans, nil
	}
	if err := p.show(ctx, s, now, slices.Sorted(maps.Keys(plans))...); err != nil {
		return nil, err
	}
	for _, f := range now.strangers(agents...) {
		if plans[f.Agent] == "" {
			p.stdout.line("")
			p.stdout.line("not asked for: agent %s: %s", f.Agent, f.Message)
		}
	}
	return plans, nil
}

// nothingWaits says that nothing of the agents does, and what the next look does
// by itself.
func (p program) nothingWaits(now planned, agents []string) {
	byThemselves := slices.DeleteFunc(slices.Collect(maps.Keys(now.Adoptable)), func(name string) bool {
		return len(agents) > 0 && !slices.Contains(agents, name)
	})
	if len(byThemselves) == 0 {
		p.stdout.line("%s: nothing waits for an operator", now.Key)
		return
	}
	now.only(byThemselves...).text(p.stdout)
	p.stdout.line("")
	p.stdout.line("nothing waits for an operator; %s", byItself)
}

// deletions shows the deletions of the agents named, or of all, that are held back
// because there were too many. It gives what a request to let them go has to say,
// by agent.
func (p program) deletions(ctx context.Context, s stack, now planned, agents []string) (map[string]string, error) {
	plans := map[string]string{}
	for _, a := range now.answer.Agents {
		asked := len(agents) == 0 || slices.Contains(agents, a.Name)
		braked := slices.ContainsFunc(a.BlockedBy, func(b status.Blocker) bool { return b.Kind == string(plan.Braked) })
		if !asked || !braked || now.next(a, false) == status.PhaseActive {
			continue
		}
		c, err := s.claim(ctx, now.look, a.Name)
		if err != nil {
			return nil, err
		}
		if len(plans) > 0 {
			p.stdout.line("")
		}
		p.deletionText(s, a, c)
		plans[a.Name] = plan.DeletionHash(c)
	}
	return plans, nil
}

// deletionText tells what goes when the deletion of an agent's roles is approved.
func (p program) deletionText(s stack, a status.Agent, c model.Claim) {
	p.stdout.line("%s: what is deleted of agent %s, beyond the %d roles an hour of MaxDeletesPerHour:", c.Config, a.Name, s.settings.MaxDeletesPerHour)
	if c.RuntimeRoleID != "" {
		p.stdout.line("  runtime role %s", naming.RuntimeRole(s.account.region, a.Name))
	}
	if c.BuildRoleID != "" {
		p.stdout.line("  build role %s", naming.BuildRole(s.account.region, a.Name))
	}
	p.stdout.field("  project", a.Project)
	if s.settings.DeleteRepositories && a.Repository == naming.Repository(a.Name) {
		p.stdout.line("  repository %s with its images, if Rolekeeper made it", a.Repository)
	}
	p.stdout.line("  nothing goes that is in use by then; roles are archived, and `rolekeeper restore` puts them back")
	for _, b := range a.BlockedBy {
		if b.Kind != string(plan.Braked) {
			p.stdout.line("  also blocked by %s (%s); %s", b.ARN, b.Kind, b.Fix)
		}
	}
}

// claim reads the claim on an agent's roles, which the config must hold;
// fault.ErrNotFound says that there is none.
func (s stack) claim(ctx context.Context, l look, agent string) (model.Claim, error) {
	object, err := l.seen.Get(ctx, naming.RoleClaimKey(agent))
	if err != nil {
		return model.Claim{}, s.unreadable(err)
	}
	c, err := model.ParseClaim(object.Body)
	if err != nil {
		return model.Claim{}, fmt.Errorf("%s: %w", naming.RoleClaimKey(agent), err)
	}
	if c.Agent != agent || c.Config != l.key {
		return model.Claim{}, fmt.Errorf("the roles of agent %s of %s are those of agent %s of %s now", agent, l.key, c.Agent, c.Config)
	}
	return c, nil
}
