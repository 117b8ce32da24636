package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

type slrFlags struct {
	bucketFlags
	diff bool
}

func (p program) slrCommand() *cobra.Command {
	f := slrFlags{bucketFlags: bucketFlags{output: outputs()}}
	c := &cobra.Command{
		Use:   "slr",
		Short: "Show which of AgentCore's service-linked roles are needed, idle or missing",
		Long: `Show how it stands with the five service-linked roles of AgentCore, as Rolekeeper
last saw it: whether something needs a role and what, when it was last used, whether
it may go, how far a deletion is, and what AWS changed of its policy. Rolekeeper looks
every day, and when something changed that the roles go by.

A role is one for all Regions of the account, and only those of the stack's parameter
Regions are looked at.

The verdicts:
  needed     a config asks for what will need it
  used       something needs it
  missing    something needs it, and it is not there
  idle       nothing needs it; not for long enough to tell that it may go
  removable  nothing needs it, nor has for a while
  deleting   AWS is about to delete it
  refused    AWS was asked to delete it, and did not
  absent     it is not there, and nothing needs it
  unknown    what the verdict hangs on could not be read

Needs AWS credentials, found as the AWS CLI finds them, that may list the config
bucket and read slr/ in it. Writes nothing.

Exit codes: 1 a verdict is unknown, the last look was more than 26h ago, or there is
none that could be read; 3 a role is missing, or AWS refused to delete it; 2 a role is
removable; 0 none of these. It is the first of these that holds.`,
		Example: `  rolekeeper slr
  rolekeeper slr --diff
  rolekeeper slr -o json | jq -r '.roles[] | select(.verdict == "removable") | .name'
  rolekeeper slr delete AWSServiceRoleForBedrockAgentCoreNetwork`,
		Args: takes(0, 0, "no argument, or delete and a NAME"),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.slr(c.Context(), f)
		},
	}
	f.register(c)
	c.Flags().BoolVar(&f.diff, "diff", false, "show what AWS changed of the roles' policies")
	c.AddCommand(p.slrDeleteCommand())
	return c
}

// slr shows how it stands with the service-linked roles.
func (p program) slr(ctx context.Context, f slrFlags) error {
	b, err := p.bucket(ctx, f.bucketFlags)
	if err != nil {
		return err
	}
	known, err := b.linked(ctx)
	if err != nil {
		return err
	}
	if f.output.value == "json" {
		p.stdout.json(known)
	} else {
		linkedText(p.stdout, known, p.now(), f.diff)
	}
	return judgeLinked(known, p.now())
}

// linked reads what is known of the service-linked roles: of a look that came to
// its end.
func (b bucket) linked(ctx context.Context) (model.ServiceLinkedRoles, error) {
	const now = "Rolekeeper looks every day; the platform team has it look now with `aws lambda invoke --function-name rolekeeper-slrwatch --invocation-type Event /dev/stdout`"
	o, err := b.GetUpTo(ctx, naming.LinkedKey, maxReport)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return model.ServiceLinkedRoles{}, fmt.Errorf("the service-linked roles were not looked at yet: there is no s3://%s/%s; %s", b.name, naming.LinkedKey, now)
	case err != nil:
		return model.ServiceLinkedRoles{}, b.unreadable(err)
	}
	known, err := model.ParseServiceLinkedRoles(o.Body)
	switch {
	case err != nil:
		return known, fmt.Errorf("s3://%s/%s: %w: it is damaged, or of another version than this tool; the next look writes it anew", b.name, naming.LinkedKey, err)
	case known.LookedAt.IsZero():
		return known, fmt.Errorf("no look at the service-linked roles came to its end yet: one began at %s; when it does not end within minutes, the log of rolekeeper-slrwatch says why; %s",
			moment(known.BegunAt), now)
	}
	return known, nil
}

// judgeLinked gives what a command ends with that has shown the service-linked roles.
func judgeLinked(known model.ServiceLinkedRoles, now time.Time) error {
	has := func(verdicts ...model.Verdict) bool {
		return slices.ContainsFunc(known.Roles, func(r model.ServiceLinkedRole) bool { return slices.Contains(verdicts, r.Verdict) })
	}
	switch {
	case has(model.LinkedUnknown):
		return errors.New("not all could be read that the verdicts hang on")
	case stale(known, now):
		return fmt.Errorf("the last look was %s, and one is due every day: the log and the dead letters of rolekeeper-slrwatch say what is in its way", ago(now.Sub(known.LookedAt)))
	case has(model.LinkedMissing, model.LinkedRefused):
		return errProblems
	case has(model.LinkedRemovable):
		return errChanges
	}
	return nil
}

// stale reports whether a look is overdue.
func stale(known model.ServiceLinkedRoles, now time.Time) bool {
	return now.Sub(known.LookedAt) > report.LookLate
}

// linkedText writes what is known of the service-linked roles; diff: with what AWS
// changed of their policies.
func linkedText(t *terminal, known model.ServiceLinkedRoles, now time.Time, diff bool) {
	lookText(t, known, now)
	t.line("")
	linkedTable(t, known.Roles...)
	for _, r := range known.Roles {
		t.line("")
		linkedRoleText(t, r, diff)
	}
	t.line("")
	regionsText(t, known.Regions)
	answersText(t, known.Requests)
}

// mostAnswers is how many answers to requests are told.
const mostAnswers = 10

// answersText writes what became of the newest requests.
func answersText(t *terminal, all []model.LinkedRequest) {
	if len(all) > 0 {
		t.line("")
	}
	for _, r := range all[max(len(all)-mostAnswers, 0):] {
		t.line("request %s for %s: %s: %s", r.ID, r.Role, r.Outcome, r.Message)
	}
	if earlier := len(all) - mostAnswers; earlier > 0 {
		t.line("and %d earlier; `rolekeeper slr -o json` has them", earlier)
	}
}

// lookText says of when all the rest is.
func lookText(t *terminal, known model.ServiceLinkedRoles, now time.Time) {
	t.line("looked at %s, %s", moment(known.LookedAt), ago(now.Sub(known.LookedAt)))
	if known.BegunAt.After(known.LookedAt) {
		t.line("another look began at %s, and has not come to its end", moment(known.BegunAt))
	}
	if known.WakeAt.After(now) {
		t.line("the next look is at %s", moment(known.WakeAt))
	}
}

// linkedTable writes service-linked roles in a table.
func linkedTable(t *terminal, roles ...model.ServiceLinkedRole) {
	rows := [][]string{{"ROLE", "VERDICT", "SINCE", "LAST USED"}}
	for _, r := range roles {
		used := ""
		switch {
		case r.ARN == "": // it is not there
		case r.LastUsed.IsZero():
			used = "not in 400 days"
		default:
			used = moment(r.LastUsed) + inRegion(r.LastUsedRegion)
		}
		rows = append(rows, []string{r.Name, string(r.Verdict), moment(r.Since), used})
	}
	t.table(rows)
}

// linkedRoleText writes what is known of one service-linked role: what its verdict
// comes from first, and of the rest what that does not tell.
func linkedRoleText(t *terminal, r model.ServiceLinkedRole, diff bool) {
	t.line("%s: %s", r.Name, r.Verdict)
	for _, reason := range r.Reasons {
		t.line("  %s", reason)
	}
	told := mentioned(r.Reasons)
	for _, n := range r.Needs {
		what, status := n.Name+inRegion(n.Region), ""
		if n.Status != "" {
			status = " (" + n.Status + ")"
		}
		if !told(what) {
			t.line("  needed by %s %s%s", n.Kind, what, status)
		}
	}
	if r.MoreNeeds > 0 {
		t.line("  needed by %d more that there is no room for", r.MoreNeeds)
	}
	for _, u := range r.Unread {
		if !told(u) {
			t.line("  could not be read: %s", u)
		}
	}
	t.field("  next:", r.Fix)
	if r.ARN != "" {
		t.line("  %s, id %s, created %s", r.ARN, r.ID, moment(r.Created))
	}
	if !told(moment(r.IdleSince)) {
		t.time("  idle since", r.IdleSince)
	}
	if !told(moment(r.LingerUntil)) {
		t.time("  network interfaces that are left should be gone at", r.LingerUntil)
	}
	if r.Accessed != nil {
		accessText(t, *r.Accessed)
	}
	if r.Job != nil {
		t.line("  IAM makes a report on last accesses, asked for at %s", moment(r.Job.At))
	}
	if r.Policy != nil {
		linkedPolicyText(t, *r.Policy, diff)
	}
	if r.Deletion != nil {
		deletionText(t, *r.Deletion, told)
	}
}

// mentioned gives whether one of the texts has a name or a sentence in it.
func mentioned(texts []string) func(string) bool {
	return func(what string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, what) })
	}
}

// accessText writes what IAM reported on the last accesses of a role.
func accessText(t *terminal, a model.LinkedAccess) {
	switch {
	case a.Failed != "":
		t.line("  IAM made no report on last accesses at %s: %s", moment(a.At), a.Failed)
	case a.Last.IsZero():
		t.line("  accessed nothing, by IAM's report of %s", moment(a.At))
	default:
		t.line("  last accessed %s at %s%s, by IAM's report of %s", cmp.Or(a.Service, "a service"), moment(a.Last), inRegion(a.Region), moment(a.At))
	}
}

// linkedPolicyText writes what is known of the policy of a service-linked role.
func linkedPolicyText(t *terminal, p model.LinkedPolicy, diff bool) {
	name := path.Base(p.ARN)
	if p.Changed.IsZero() {
		t.line("  policy %s %s", name, p.Version)
	} else {
		t.line("  AWS changed %s from %s to %s%s; found at %s", name, p.Before, p.Version, atMoment(p.Updated), moment(p.Changed))
	}
	t.field("  the policy could not be read:", p.Unread)
	if p.Changed.IsZero() {
		return
	}
	if !diff {
		t.line("    `rolekeeper slr --diff` shows the difference")
		return
	}
	diffText(t, p.Was, p.Document)
}

// deletionText writes how far a deletion is, with what AWS says of it that is not
// told already.
func deletionText(t *terminal, d model.LinkedDeletion, told func(string) bool) {
	whose := "since it was idle for long enough"
	if d.Request != "" {
		whose = "by request " + d.Request
	}
	t.line("  deletion of %s, begun %s %s: %s", d.RoleID, moment(d.At), whose, report.DeletionWords(d.State))
	t.field("    task", d.Task)
	t.time("    ended", d.EndedAt)
	if !told(d.Reason) {
		t.field("    AWS says:", d.Reason)
	}
	for _, u := range d.Usage {
		text := "used in " + u.Region
		if len(u.Resources) > 0 {
			text += " by " + strings.Join(u.Resources, ", ")
		}
		if !told(text) {
			t.line("    %s", text)
		}
	}
}

// regionsText writes what was seen of the Regions.
func regionsText(t *terminal, regions []model.LinkedRegion) {
	t.line("Regions that were looked at; a service-linked role is one for all of the account, and what is in others is not known")
	for _, r := range regions {
		t.line("  %s: %s of AgentCore, %s that it has in VPCs", r.Name, many(r.Resources, "resource"), many(r.Interfaces, "network interface"))
		t.time("    nothing of AgentCore in a VPC since", r.VPCGone)
		for _, u := range r.Unread {
			t.line("    could not be read: %s", u)
		}
	}
}

func inRegion(region string) string {
	if region == "" {
		return ""
	}
	return " in " + region
}

func atMoment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " at " + moment(t)
}
