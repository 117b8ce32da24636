package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/report"
)

// extra is a policy that somebody puts on a role.
const extra = "debug-access"

// edited has somebody open a role's trust and put a policy on it: the trust is put
// right, the policy is told and kept.
func (w *watcher) edited(ctx context.Context, p *printer) error {
	name := naming.RuntimeRole(region, assistant)
	was, err := w.roles.Read(ctx, name)
	if err != nil {
		return err
	}
	before, somebody := len(w.aws.Events()), iam.NewFromConfig(w.aws.Config("somebody"))
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}]}`
	started := time.Now()
	if _, err := somebody.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trust}); err != nil {
		return fmt.Errorf("edit role %s: %w", name, err)
	}
	p.line("edited   the trust policy of %s lets account 999999999999 in", name)
	if err := w.until(ctx, "role "+name+" is repaired", func(ctx context.Context) (bool, error) {
		o, err := w.roles.Head(ctx, name)
		return policy.Same(o.Trust, was.Trust), err
	}); err != nil {
		return err
	}
	p.line("repaired after %d ms, by IAM's event; nobody waited for a schedule", time.Since(started).Milliseconds())
	w.repaired++
	document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
	if _, err := somebody.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String(extra), PolicyDocument: &document}); err != nil {
		return fmt.Errorf("edit role %s: %w", name, err)
	}
	p.line("added    policy %s to %s", extra, name)
	if err := w.wait(ctx); err != nil {
		return err
	}
	w.tellEvents(p, before)
	s, err := w.status(ctx, assistantKey)
	if err != nil {
		return err
	}
	a, _ := s.Agent(assistant)
	if len(a.Drift) != 1 || a.Drift[0].Kind != string(plan.Extra) || !strings.HasSuffix(a.Drift[0].Actor, "/somebody") {
		return fmt.Errorf("drift is told as %+v", a.Drift)
	}
	p.line("told     %s, %s, by %s; UnmanagedPolicies is report, so it is kept", a.Drift[0].Element, a.Drift[0].Kind, a.Drift[0].Actor)
	now, err := w.roles.Read(ctx, name)
	if err != nil {
		return err
	}
	if _, kept := now.Policies[extra]; !kept || !policy.Same(now.Trust, was.Trust) {
		return fmt.Errorf("the role is %+v", now)
	}
	_, err = somebody.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String(extra)})
	return errors.Join(err, w.wait(ctx))
}

// unnoticed has somebody take a policy from a role behind the back of the events,
// and the scheduled pass find it.
func (w *watcher) unnoticed(ctx context.Context, p *printer) error {
	name := naming.RuntimeRole(region, searcher)
	was, err := w.behind(ctx, p, name)
	if err != nil {
		return err
	}
	r, err := w.sweep(ctx, p)
	if err != nil {
		return err
	}
	if len(r.Findings) == 0 || r.Stopped != nil {
		return fmt.Errorf("the pass found %+v, stopped %+v", r.Findings, r.Stopped)
	}
	tellFindings(p, r)
	if err := w.wait(ctx); err != nil {
		return err
	}
	return w.isBack(ctx, p, was)
}

// braked has two roles edited behind the back of the events: so many are put right
// only when an operator says so.
func (w *watcher) braked(ctx context.Context, p *printer) error {
	var all []model.ObservedRole
	for _, name := range []string{naming.RuntimeRole(region, searcher), naming.RuntimeRole(region, veteran)} {
		was, err := w.behind(ctx, p, name)
		if err != nil {
			return err
		}
		all = append(all, was)
	}
	r, err := w.sweep(ctx, p)
	if err != nil {
		return err
	}
	if r.Stopped == nil || r.Totals.Enqueued > 0 {
		return fmt.Errorf("the pass was not stopped: %+v", r.Totals)
	}
	tellFindings(p, r)
	p.line("stopped  %d roles are to be put right, and MaxChangesPerSweep is %d here: nothing was sent to anybody", r.Stopped.Found, r.Stopped.Allowed)
	p.line("$ rolekeeper approve --pass --yes")
	told, err := w.tool(ctx, "approve", "--pass", "--yes")
	if err != nil {
		return err
	}
	tellPlan(p, told)
	if err := w.wait(ctx); err != nil {
		return err
	}
	for _, was := range all {
		if err := w.isBack(ctx, p, was); err != nil {
			return err
		}
	}
	p.line("report   s3://%s/%s: a page for people", w.bucket, naming.LatestReportKey)
	return nil
}

// behind takes the policies from a role without that any event tells of it.
func (w *watcher) behind(ctx context.Context, p *printer, name string) (was model.ObservedRole, err error) {
	if was, err = w.roles.Read(ctx, name); err != nil {
		return was, err
	}
	client := iam.NewFromConfig(w.aws.Unlogged())
	for policyName := range was.Policies {
		if _, err := client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policyName}); err != nil {
			return was, fmt.Errorf("edit role %s: %w", name, err)
		}
		p.line("deleted  policy %s of %s", policyName, name)
	}
	return was, nil
}

// sweep has the schedule come round and gives what the pass found.
func (w *watcher) sweep(ctx context.Context, p *printer) (report.Pass, error) {
	result, err := w.aws.RunSchedule(ctx, "drift")
	if err != nil || result.Failure != "" {
		return report.Pass{}, fmt.Errorf("the scheduled pass: %s, %w", result.Failure, err)
	}
	key := naming.LatestPassKey
	out, err := w.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &w.bucket, Key: &key})
	if err != nil {
		return report.Pass{}, err
	}
	data, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return report.Pass{}, err
	}
	r, err := report.ParsePass(data)
	if err == nil {
		p.line("pass     the schedule came round: %d roles of agents, %d calls of IAM", r.Totals.Roles, r.Totals.IAMCalls)
	}
	return r, err
}

func tellFindings(p *printer, r report.Pass) {
	for _, f := range r.Findings {
		p.line("found    %s %s: %s, %s", f.Role, f.Element, f.Kind, f.Action)
	}
}

// isBack tells that a role is as it was.
func (w *watcher) isBack(ctx context.Context, p *printer, was model.ObservedRole) error {
	if err := w.until(ctx, "role "+was.Name+" is repaired", func(ctx context.Context) (bool, error) {
		now, err := w.roles.Read(ctx, was.Name)
		same := len(now.Policies) == len(was.Policies)
		for name, document := range was.Policies {
			same = same && policy.Same(now.Policies[name], document)
		}
		return same && slices.Equal(now.Attached, was.Attached), err
	}); err != nil {
		return err
	}
	p.line("repaired role %s has its policies again", was.Name)
	w.repaired++
	return w.wait(ctx)
}
