package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/report"
	"rolekeeper/shared/report/page"
)

type driftFlags struct {
	stackFlags
	output choice
}

func (p program) driftCommand() *cobra.Command {
	f := driftFlags{output: pages()}
	c := &cobra.Command{
		Use:   "drift",
		Short: "Compare the whole account with what configs ask for, as the scheduled pass does",
		Long: `Do now what the scheduled pass does, but for having anything put right: read all
configs and all roles, and show what is not as it should be, config by config, with
the differences, what nobody claims, and who leaves. The code and the settings are
those of the function. How many roles there are hardly matters for how long it takes:
they are read in bulk. Repositories and builds are not looked at; plan does so for a
config.

-o html writes the page that report opens, and -o json its data, to standard output.

Needs AWS credentials, found as the AWS CLI finds them, that may read what the
stack's RolekeeperOperatorPolicy lets read. Writes nothing.

Exit codes: 1 a config could not be judged, or anything else went wrong; 3 a config is
refused, a role or a project is blocked, or the pass would be stopped since too much
differs; 2 something differs; 0 nothing does. It is the first of these that holds.
Orphans and agents that leave are told, and differ from nothing.`,
		Example: `  rolekeeper drift
  rolekeeper drift -o html > drift.html
  rolekeeper drift -o json | jq -r '.findings[] | select(.kind == "extra") | .role'`,
		Args: takes(0, 0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.drift(c.Context(), f)
		},
	}
	f.register(c)
	c.Flags().VarP(&f.output, "output", "o", "output format")
	return c
}

// drift shows how the account differs from what configs ask for.
func (p program) drift(ctx context.Context, f driftFlags) error {
	s, err := p.stack(ctx, f.stackFlags)
	if err != nil {
		return err
	}
	check, err := s.check(p)
	if err != nil {
		return err
	}
	pass, failure := check.Check(ctx, "check-"+p.random())
	if pass.Failed != "" { // and what it has is of the last pass
		return s.unreadable(failure)
	}
	switch f.output.value {
	case "json":
		p.stdout.json(pass)
	case "html":
		text, err := page.Of(pass)
		if err != nil {
			return fmt.Errorf("make the page: %w", err)
		}
		if err := p.page(text); err != nil {
			return err
		}
	default:
		p.stdout.line("%s", report.Headline(pass))
		totalsText(p.stdout, pass)
		foundText(p.stdout, pass)
		if pass.Stopped != nil {
			p.stdout.line("")
			p.stdout.line("the pass that comes next stops and puts nothing right; `rolekeeper approve --pass` then lets it go")
		}
	}
	if failure != nil {
		return s.unreadable(fmt.Errorf("not all could be looked at: %w", failure))
	}
	return judge(pass)
}

// check gives the pass that the function takes, without what it writes to.
func (s stack) check(p program) (drift.Pass, error) {
	hash, err := shape(s.settings, s.account.place()).Hash()
	if err != nil {
		return drift.Pass{}, err
	}
	return drift.Pass{
		Settings: s.rules(), SettingsHash: hash, MaxChanges: s.settings.MaxChangesPerSweep, Operators: len(s.settings.OperatorPrincipalArns) > 0,
		Objects: s.bucket, Account: iamrole.NewAccount(s.account.bulk), Policies: iamrole.NewReader(s.account.roles),
		Projects: buildproject.NewReader(s.account.projects),
		Runtimes: agentcore.New(s.account.runtimes, rate.NewLimiter(listsPerSecond, 1), nil),
		Now:      p.now,
	}, nil
}

// listsPerSecond is what is taken of what AgentCore allows the account: the
// functions need the rest.
const listsPerSecond = agentcore.ListsPerSecond / 5

// judge gives what a command ends with that has shown a pass.
func judge(pass report.Pass) error {
	blocked := func(f report.Finding) bool { return f.Action == report.ActionBlocked }
	switch {
	case pass.Totals.Unread > 0:
		return fmt.Errorf("%s could not be judged: the findings of kind %s say why", many(pass.Totals.Unread, "config"), report.KindUnread)
	case pass.Stopped != nil || pass.Totals.Refused > 0 || slices.ContainsFunc(pass.Findings, blocked):
		return errProblems
	case len(pass.Findings) > 0:
		return errChanges
	}
	return nil
}
