package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

func (p program) slrDeleteCommand() *cobra.Command {
	var f requestFlags
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Have one of AgentCore's service-linked roles deleted that nothing needs",
		Long: `Show what is known of one of AgentCore's service-linked roles and, once you confirm,
ask for it to be deleted. It can be asked for when the role's verdict is idle,
removable or refused. NAME is the role's name, with or without
` + linkedPrefix + ` in front, in upper or lower case.

AWS decides: while the service still uses the role, in whatever Region, AWS refuses
and says what uses it. No archive puts a service-linked role back. AgentCore makes it
anew when something needs it again and whoever makes that may make the role, too.

Nothing is deleted from here: the request is an object in the config bucket, which
Rolekeeper carries out. It names the digest of which role it is and when it was last
used: Rolekeeper looks again, and refuses when something needs the role by then or
either has changed.

Needs what slr needs, ssm:GetParameter on the settings, and s3:PutObject on requests/
in the config bucket. Only the principals of the stack's OperatorPrincipalArns may
write there.

Exit codes: 0 the role is gone, or was not there, or the request is written and nobody
waits; 3 refused, or it cannot be asked for; 1 no answer in time, or anything else.`,
		Example: `  rolekeeper slr delete AWSServiceRoleForBedrockAgentCoreNetwork
  rolekeeper slr delete network --yes --wait=false`,
		Args: takes(1, 1, "one NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.slrDelete(c.Context(), f, args[0])
		},
	}
	f.register(c)
	return c
}

// linkedPrefix is what the names of AgentCore's service-linked roles begin with.
const linkedPrefix = "AWSServiceRoleForBedrockAgentCore"

// linkedName gives the name of the service-linked role that a person names.
func linkedName(arg string) (string, error) {
	var names []string
	for _, r := range desired.AllServiceLinkedRoles() {
		if strings.EqualFold(arg, r.Name) || strings.EqualFold(linkedPrefix+arg, r.Name) {
			return r.Name, nil
		}
		names = append(names, r.Name)
	}
	return "", fmt.Errorf("AgentCore has no service-linked role %q: it has %s", arg, strings.Join(names, ", "))
}

// slrDelete asks for a service-linked role to be deleted.
func (p program) slrDelete(ctx context.Context, f requestFlags, arg string) error {
	if err := f.check(); err != nil {
		return err
	}
	name, err := linkedName(arg)
	if err != nil {
		return err
	}
	s, err := p.stack(ctx, f.stackFlags)
	if err != nil {
		return err
	}
	known, err := s.bucket.linked(ctx)
	if err != nil {
		return err
	}
	role, ok := known.Role(name)
	if !ok {
		return fmt.Errorf("the look of %s has no %s: look again after the next one", moment(known.LookedAt), name)
	}
	p.evidence(known, role)
	if role.Verdict == model.LinkedAbsent {
		p.stdout.line("nothing to ask for: the role is not there")
		return nil
	}
	if why := undeletable(role.Verdict); why != "" {
		p.stdout.line("it cannot be asked for: %s", why)
		return errProblems
	}
	p.stdout.line("Rolekeeper looks again, and asks AWS for it only when nothing that it sees needs the role, and the role was not used since")
	p.stdout.line("AWS decides: while the service uses the role, in whatever Region, AWS refuses and says what uses it")
	p.stdout.line("no archive puts the role back: AgentCore makes it anew when something needs it again, if whoever makes that may call iam:CreateServiceLinkedRole")
	r, err := p.submit(ctx, f, s, model.Request{Action: model.DeleteLinked, Plans: map[string]string{role.Name: role.DeletionPlan()}})
	if err != nil || !f.wait {
		return err
	}
	return p.awaitDeletion(ctx, s.bucket, r)
}

// evidence shows what is known of one service-linked role.
func (p program) evidence(known model.ServiceLinkedRoles, role model.ServiceLinkedRole) {
	lookText(p.stdout, known, p.now())
	p.stdout.line("")
	linkedTable(p.stdout, role)
	p.stdout.line("")
	linkedRoleText(p.stdout, role, false)
	p.stdout.line("")
	regionsText(p.stdout, known.Regions)
	p.stdout.line("")
}

// undeletable says why no operator may have a role with the verdict deleted;
// empty: one may.
func undeletable(v model.Verdict) string {
	switch {
	case v.Deletable():
		return ""
	case v == model.LinkedUsed:
		return "what needs the role is to be deleted first, and AWS refuses until it is"
	case v == model.LinkedNeeded:
		return "a config asks for what will need the role; remove that from the config first"
	case v == model.LinkedMissing:
		return "the role is not there, and something needs it"
	case v == model.LinkedDeleting:
		return "it was, and AWS is about to delete the role; `rolekeeper slr` tells how far it is"
	case v == model.LinkedUnknown:
		return "it cannot be told whether something needs the role; have what could not be read made readable first"
	}
	return fmt.Sprintf("this tool does not know the verdict %q; take the tool of the version that is deployed", v)
}

// awaitDeletion waits for the answer to a request to delete a service-linked
// role, until AWS has decided, and shows it.
func (p program) awaitDeletion(ctx context.Context, b bucket, r model.Request) error {
	const look = "look with `rolekeeper slr`"
	running := false
	for range pollFor / pollEvery {
		if err := p.sleep(ctx, pollEvery); err != nil {
			return fmt.Errorf("%w; the request stands: %s", err, look)
		}
		known, err := b.linked(ctx)
		if fault.Of(err) == fault.Retry {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w; the request stands", err)
		}
		i := slices.IndexFunc(known.Requests, func(a model.LinkedRequest) bool { return a.ID == r.ID })
		if i < 0 || running && known.Requests[i].Outcome == model.LinkedRequestRunning {
			continue
		}
		answer := known.Requests[i]
		p.stdout.line("request %s: %s: %s", answer.ID, answer.Outcome, answer.Message)
		if running = answer.Outcome == model.LinkedRequestRunning; running {
			continue
		}
		if answer.Outcome == model.LinkedRequestDone {
			return nil
		}
		if role, _ := known.Role(answer.Role); role.Deletion != nil && role.Deletion.Request == r.ID {
			deletionText(p.stdout, *role.Deletion, mentioned([]string{answer.Message}))
		}
		return errProblems
	}
	if running {
		return fmt.Errorf("AWS has not decided within %v, and is at it still: Rolekeeper follows it to the end; %s", pollFor, look)
	}
	return fmt.Errorf("no answer within %v: the request stands until %s; %s, and when there is no answer, ask the platform team to look into the log and the dead letters of rolekeeper-slrwatch",
		pollFor, moment(r.Expires), look)
}
