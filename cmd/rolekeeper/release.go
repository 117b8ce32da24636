package main

import (
	"context"

	"github.com/spf13/cobra"

	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

func (p program) releaseCommand() *cobra.Command {
	var f requestFlags
	c := &cobra.Command{
		Use:   "release CONFIG AGENT",
		Short: "End the hold of an agent that was restored",
		Long: `Show what comes of an agent that is held since a role of it was restored, and, once
you confirm, ask for its release. An agent that the config has becomes active, and its
roles are put right as the config asks; one that it has no longer, or whose runtimes
are all gone, begins its grace period. A new upload of the config that has the agent
does the same. CONFIG is the config's S3 key, with or without configs/ in front.` + requestHelp,
		Example: `  rolekeeper release team/agent.yaml my_agent`,
		Args:    takes(2, 2, "a CONFIG and an AGENT"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.request(c.Context(), f, model.Release, args[0], p.release(args[1]))
		},
	}
	f.register(c)
	return c
}

// release proposes the end of an agent's hold.
func (p program) release(name string) proposal {
	return func(ctx context.Context, s stack, now planned) (map[string]string, error) {
		if err := p.good(s, now); err != nil && !now.Gone {
			return nil, err
		}
		a, known := now.answer.Agent(name)
		switch {
		case !known:
			_, err := now.agent(name)
			if err == nil {
				p.stdout.line("%s: agent %s is not held: Rolekeeper has not answered for it yet", now.Key, name)
				err = errProblems
			}
			return nil, err
		case a.Phase != status.PhaseHeld:
			p.stdout.line("%s: agent %s is not held: it is %s", now.Key, name, phaseText(a))
			return nil, errProblems
		}
		c, err := s.claim(ctx, now.look, name)
		if err != nil {
			return nil, err
		}
		p.stdout.line("%s: agent %s is held no longer", now.Key, name)
		if now.next(a, true) == status.PhaseRetiring {
			p.stdout.line("  %s later its roles are deleted, unless something uses them", period(s.settings.GracePeriod))
		} else {
			p.stdout.line("  it is active again, and its roles are put right as the config asks")
		}
		return map[string]string{name: plan.ReleaseHash(c)}, nil
	}
}
