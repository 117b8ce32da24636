package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

type retireFlags struct {
	requestFlags
	agent, config string
}

func (p program) retireCommand() *cobra.Command {
	var f retireFlags
	c := &cobra.Command{
		Use:   "retire ROLE",
		Short: "Have roles that no config asks for cleaned up",
		Long: `Show the roles of an agent that no config has, and, once you confirm, ask for them to
go as those of an agent go that was removed from its config: after the stack's grace
period, archived first, and only when nothing uses them by then. ROLE is the name of
one of them, or its ARN. Both roles of the agent's name go.

The names of roles have the agent only as a hash: it is found by the claim on them,
by their tags, or by the description that the AgentCore starter toolkit gives a
runtime role. Where none of these has it, name it by --agent.

Rolekeeper answers for a config. That is the one that claims the roles, else the one
in their tags, else configs/retired/AGENT.yaml, which there need not be: its status
has the answer.` + requestHelp,
		Example: `  rolekeeper retire AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789
  rolekeeper retire AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789 --agent my_agent --yes`,
		Args: takes(1, 1, "one ROLE"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.retire(c.Context(), f, args[0])
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.agent, "agent", "", "the agent that the roles are named after (default: found by claim, tags or description)")
	flags.StringVar(&f.config, "config", "", "the config that answers for them (default: the one that claims them, or is in their tags, or configs/retired/AGENT.yaml)")
	return c
}

// abandoned are the roles of an agent's names that are there, the runtime role
// first, and the claim on them.
type abandoned struct {
	agent  string
	config string // that answers for them
	claim  *model.Claim
	roles  []model.ObservedRole
}

// retire asks for roles to be cleaned up that no config asks for.
func (p program) retire(ctx context.Context, f retireFlags, arg string) error {
	s, role, err := p.stackAndRole(ctx, f.requestFlags, arg)
	if err != nil {
		return err
	}
	left, err := s.abandoned(ctx, role)
	if err != nil {
		return err
	}
	if err := left.name(role, f); err != nil {
		return err
	}
	now, err := s.look(left.config).plan(ctx)
	if err != nil {
		return s.unreadable(err)
	}
	if done, err := p.wanted(now, left); done || err != nil {
		return err
	}
	p.abandonedText(s, left)
	return p.ask(ctx, f.requestFlags, s, model.Request{
		Action: model.Retire, Config: left.config, Plans: map[string]string{left.agent: plan.RetireHash(left.config, left.agent, left.roles)},
	})
}

// abandoned reads what there is of the roles of the hash that a role's name has.
func (s stack) abandoned(ctx context.Context, role string) (abandoned, error) {
	var a abandoned
	region := s.account.region
	hash, _ := naming.RoleHash(region, role)
	object, err := s.bucket.Get(ctx, naming.RoleClaimKeyOf(hash))
	switch {
	case err == nil:
		c, err := model.ParseClaim(object.Body)
		if err != nil {
			return a, fmt.Errorf("%s: %w", naming.RoleClaimKeyOf(hash), err)
		}
		a.claim = &c
	case !errors.Is(err, fault.ErrNotFound):
		return a, s.unreadable(err)
	}
	reader := iamrole.NewReader(s.account.roles)
	for _, prefix := range []string{naming.RuntimeRolePrefix, naming.BuildRolePrefix} {
		o, err := reader.Read(ctx, prefix+region+"-"+hash)
		switch {
		case err == nil:
			a.roles = append(a.roles, o)
		case !errors.Is(err, fault.ErrNotFound):
			return a, s.unreadable(err)
		}
	}
	if !slices.ContainsFunc(a.roles, func(o model.ObservedRole) bool { return o.Name == role }) {
		return a, fmt.Errorf("there is no role %s in account %s", role, s.account.id)
	}
	return a, nil
}

// name finds out the agent and the config of the roles.
func (a *abandoned) name(role string, f retireFlags) (err error) {
	hash := role[strings.LastIndexByte(role, '-')+1:]
	names := []string{f.agent}
	if f.agent == "" {
		names = a.names()
	}
	i := slices.IndexFunc(names, func(n string) bool { return naming.ValidAgent(n) && naming.Hash(n) == hash })
	switch {
	case i >= 0:
		a.agent = names[i]
	case f.agent != "" && !naming.ValidAgent(f.agent):
		return fmt.Errorf("--agent: no agent can be called %q", f.agent)
	case f.agent != "":
		return fmt.Errorf("role %s is not named after agent %q: its hash is %s, and the name gives %s", role, f.agent, hash, naming.Hash(f.agent))
	default:
		return fmt.Errorf("which agent is role %s named after? Neither a claim nor tags nor descriptions of the roles say so: pass --agent", role)
	}
	a.config, err = a.answers(f.config)
	return err
}

// answers gives the config that answers for the roles; named is what the operator
// names, or empty.
func (a *abandoned) answers(named string) (string, error) {
	if named != "" {
		key, err := configKey(named)
		if err == nil && a.claim != nil && a.claim.Config != key {
			err = fmt.Errorf("the roles of agent %s are claimed by %s: leave out --config", a.agent, a.claim.Config)
		}
		return key, err
	}
	if a.claim != nil {
		return a.claim.Config, nil
	}
	for _, o := range a.roles {
		if key := o.Tags[model.TagConfig]; naming.CheckConfigKey(key) == nil {
			return key, nil
		}
	}
	return naming.ConfigPrefix + "retired/" + a.agent + ".yaml", nil
}

// names gives what the agent may be called, the likeliest first. Anybody may have
// written what roles say: the hash in their names proves it.
func (a *abandoned) names() []string {
	var names []string
	if a.claim != nil {
		names = append(names, a.claim.Agent)
	}
	for _, o := range a.roles {
		// "Execution role for BedrockAgentCore Runtime - " and the name.
		names = append(names, o.Tags[model.TagAgent], o.Description[strings.LastIndexByte(o.Description, ' ')+1:])
	}
	return names
}

// wanted says why the roles are not to be asked for, if so: the config has their
// agent, or has them go already.
func (p program) wanted(now planned, left abandoned) (done bool, err error) {
	a, known := now.answer.Agent(left.agent)
	switch {
	case fault.Blocks(now.Problems):
		now.text(p.stdout)
		p.stdout.line("")
		p.stdout.line("while the config is refused it cannot be told whether it has agent %s", left.agent)
		return false, errProblems
	case now.has(status.Agent{Name: left.agent, Phase: a.Phase}):
		p.stdout.line("%s has agent %s: remove the agent from the config, and its roles go; or have them adopted with `rolekeeper adopt %[1]s %[2]s`", now.Key, left.agent)
		return false, errProblems
	case !known:
	case a.Phase == status.PhaseRetiring || a.Phase == status.PhaseQuarantined:
		p.stdout.line("nothing to ask for: agent %s of %s is %s", left.agent, now.Key, phaseText(a))
		return true, nil
	case a.Phase == status.PhaseHeld:
		p.stdout.line("agent %s of %s is held since a role of it was restored: `rolekeeper release %[2]s %[1]s` has its roles go", left.agent, now.Key)
		return false, errProblems
	}
	return false, nil
}

// abandonedText shows the roles, and what becomes of them.
func (p program) abandonedText(s stack, left abandoned) {
	t := p.stdout
	whose := "which no config claims"
	if left.claim != nil {
		whose = fmt.Sprintf("which %s claims and does not ask for", left.claim.Config)
	}
	t.line("roles of agent %s, %s", left.agent, whose)
	for _, o := range left.roles {
		kind := model.RuntimeRole
		if strings.HasPrefix(o.Name, naming.BuildRolePrefix) {
			kind = model.BuildRole
		}
		t.line("  %s role %s", kind, o.Name)
		t.field("    description", o.Description)
		for _, key := range slices.Sorted(maps.Keys(o.Tags)) {
			t.line("    tag %s=%s", key, o.Tags[key])
		}
		for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
			t.line("    policy %s", name)
		}
		for _, arn := range o.Attached {
			t.line("    managed policy %s", arn)
		}
		used := "never assumed, as far as IAM says"
		if !o.LastUsed.IsZero() {
			used = "last assumed " + moment(o.LastUsed)
		}
		t.line("    %s", used)
	}
	t.line("")
	t.line("%s after the request they are archived and deleted, unless something uses them; `rolekeeper status %s` tells how it stands", period(s.settings.GracePeriod), left.config)
	t.line("until then an upload of %s that has agent %s keeps them; afterwards `rolekeeper restore` puts a role back as it was", left.config, left.agent)
}
