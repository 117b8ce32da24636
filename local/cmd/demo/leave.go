package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// grace is the grace period of the demo's stack.
const grace = "4s"

// The agent whose role stays in use, and the runtime of another name that uses it.
const (
	searcher    = "flight_search"
	searcherKey = "configs/travel/team.yaml"
	canary      = "canary"
)

// deploy makes runtimes: one of the assistant, and of the searcher two, of which
// one has a name of its own.
func (w *watcher) deploy(ctx context.Context, p *printer) error {
	before := len(w.aws.Events())
	for _, r := range []struct{ name, agent string }{{assistant, assistant}, {searcher, searcher}, {canary, searcher}} {
		role := naming.RuntimeRole(region, r.agent)
		network := &types.NetworkConfiguration{NetworkMode: types.NetworkModePublic}
		if r.agent == searcher {
			network = &types.NetworkConfiguration{NetworkMode: types.NetworkModeVpc, NetworkModeConfig: &types.VpcConfig{
				Subnets: []string{"subnet-0aa11bb22cc33dd44"}, SecurityGroups: []string{"sg-0a1b2c3d4e5f60718"},
			}}
		}
		out, err := w.agentCore.CreateAgentRuntime(ctx, &bedrockagentcorecontrol.CreateAgentRuntimeInput{
			NetworkConfiguration: network, AgentRuntimeName: &r.name, RoleArn: aws.String("arn:aws:iam::" + account + ":role/" + role),
			AgentRuntimeArtifact: &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: aws.String("image")}},
		})
		if err != nil {
			return fmt.Errorf("make runtime %s: %w", r.name, err)
		}
		w.runtimes[r.name] = *out.AgentRuntimeId
		p.line("runtime  %s runs with %s", *out.AgentRuntimeId, role)
	}
	if err := w.wait(ctx); err != nil {
		return err
	}
	w.tellEvents(p, before)
	for key, name := range leaving() {
		s, err := w.status(ctx, key)
		if err != nil {
			return err
		}
		if a, _ := s.Agent(name); len(a.Runtimes) != 1 || a.Runtimes[0].ID != w.runtimes[name] || a.Phase != status.PhaseActive {
			return fmt.Errorf("the runtime of %s is told as %+v", name, a)
		}
	}
	return nil
}

// leaving gives the agents whose runtimes are deleted by the keys of their configs.
func leaving() map[string]string {
	return map[string]string{assistantKey: assistant, searcherKey: searcher}
}

// undeploy deletes the runtimes that have the agents' names, and tells what
// becomes of their agents.
func (w *watcher) undeploy(ctx context.Context, p *printer) error {
	before := len(w.aws.Events())
	for _, name := range []string{assistant, searcher} {
		id := w.runtimes[name]
		if err := w.runs(ctx, id); err != nil {
			return err
		}
		if _, err := w.agentCore.DeleteAgentRuntime(ctx, &bedrockagentcorecontrol.DeleteAgentRuntimeInput{AgentRuntimeId: &id}); err != nil {
			return fmt.Errorf("delete runtime %s: %w", id, err)
		}
		p.line("deleted  %s", id)
	}
	if err := w.wait(ctx); err != nil {
		return err
	}
	w.tellEvents(p, before)
	for _, key := range []string{assistantKey, searcherKey} {
		s, err := w.answer(ctx, p, key)
		if err != nil {
			return err
		}
		if s.Outcome != status.Retiring {
			return fmt.Errorf("outcome is %s, want %s", s.Outcome, status.Retiring)
		}
		tellNext(p, s)
	}
	return nil
}

// runs waits until a runtime is ready: while it is being made it cannot be deleted.
func (w *watcher) runs(ctx context.Context, id string) error {
	return w.until(ctx, "runtime "+id+" is ready", func(ctx context.Context) (bool, error) {
		out, err := w.agentCore.GetAgentRuntime(ctx, &bedrockagentcorecontrol.GetAgentRuntimeInput{AgentRuntimeId: &id})
		return err == nil && out.Status == types.AgentRuntimeStatusReady, err
	})
}

// until waits for something that nothing is idle for.
func (*watcher) until(ctx context.Context, what string, holds func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	for {
		if ok, err := holds(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %s: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pass lets the grace period pass and has the schedule come round: what is in use
// stays, the rest is quarantined and deleted.
func (w *watcher) pass(ctx context.Context, p *printer) error {
	for _, agent := range leaving() {
		o, err := w.roles.Read(ctx, naming.RuntimeRole(region, agent))
		if err != nil {
			return err
		}
		w.before[o.Name] = o
	}
	over, err := w.graceEnds(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(over)):
	}
	p.line("waited   until the grace period was over; GracePeriod is %s here, and 24h by default", grace)
	before := len(w.aws.Events())
	result, err := w.aws.RunSchedule(ctx, "drift")
	if err != nil || result.Failure != "" {
		return fmt.Errorf("the scheduled pass: %s, %w", result.Failure, err)
	}
	p.line("pass     the schedule came round")
	if err := w.quarantined(ctx, p, assistantKey, assistant); err != nil {
		return err
	}
	if err := w.retired(ctx, assistantKey, assistant); err != nil {
		return err
	}
	p.line("waited   until the quarantine was over, which takes a minute on AWS, and all was looked at once more")
	w.tellEvents(p, before)
	if err := w.tellKept(ctx, p); err != nil {
		return err
	}
	return w.tellDeleted(ctx, p)
}

// graceEnds gives the time at which the grace periods of all agents are over.
func (w *watcher) graceEnds(ctx context.Context) (over time.Time, err error) {
	for key, name := range leaving() {
		s, err := w.status(ctx, key)
		if err != nil {
			return time.Time{}, err
		}
		if a, _ := s.Agent(name); a.RetireAfter.After(over) {
			over = a.RetireAfter
		}
	}
	return over, nil
}

// quarantined waits until nobody can assume an agent's runtime role.
func (w *watcher) quarantined(ctx context.Context, p *printer, key, name string) error {
	role := naming.RuntimeRole(region, name)
	if err := w.until(ctx, "role "+role+" is quarantined", func(ctx context.Context) (bool, error) {
		o, err := w.roles.Head(ctx, role)
		return err == nil && policy.Quarantined(o.Trust, "bedrock-agentcore.amazonaws.com"), err
	}); err != nil {
		return err
	}
	s, err := w.answer(ctx, p, key)
	if err != nil {
		return err
	}
	if a, _ := s.Agent(name); a.Phase != status.PhaseQuarantined {
		return fmt.Errorf("agent %s is %s, want %s", name, a.Phase, status.PhaseQuarantined)
	}
	p.line("phase    quarantined: the trust policy of %s denies everybody", role)
	return nil
}

// retired waits until an agent's roles are deleted: the quarantine is a message
// with a delay, for which nothing is idle.
func (w *watcher) retired(ctx context.Context, key, name string) error {
	if err := w.until(ctx, "agent "+name+" is retired", func(ctx context.Context) (bool, error) {
		s, err := w.status(ctx, key)
		if err != nil {
			return false, err
		}
		if s.Outcome == status.Failed {
			return false, fmt.Errorf("outcome is %s: %v", s.Outcome, s.Problems)
		}
		a, _ := s.Agent(name)
		return a.Phase == status.PhaseRetired, nil
	}); err != nil {
		return err
	}
	return w.wait(ctx)
}

// tellKept tells of the agent whose role is in use.
func (w *watcher) tellKept(ctx context.Context, p *printer) error {
	s, err := w.answer(ctx, p, searcherKey)
	if err != nil {
		return err
	}
	a, _ := s.Agent(searcher)
	user := "arn:aws:bedrock-agentcore:" + region + ":" + account + ":runtime/" + w.runtimes[canary]
	if s.Outcome != status.Blocked || len(a.BlockedBy) != 1 || a.BlockedBy[0].ARN != user || a.BlockedBy[0].Kind != string(plan.InUse) {
		return fmt.Errorf("outcome is %s, blocked by %+v, want %s", s.Outcome, a.BlockedBy, user)
	}
	p.line("in use   by %s", user)
	p.line("           %s", a.BlockedBy[0].Fix)
	name := naming.RuntimeRole(region, searcher)
	now, err := w.roles.Read(ctx, name)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(now, w.before[name]) {
		return fmt.Errorf("the role in use is %+v, and was %+v", now, w.before[name])
	}
	p.line("kept     role %s, unchanged", name)
	w.kept++
	return nil
}

// tellDeleted tells what is left of the assistant.
func (w *watcher) tellDeleted(ctx context.Context, p *printer) error {
	s, err := w.answer(ctx, p, assistantKey)
	if err != nil {
		return err
	}
	a, _ := s.Agent(assistant)
	for _, name := range []string{naming.BuildRole(region, assistant), naming.RuntimeRole(region, assistant)} {
		if _, err := w.roles.Head(ctx, name); !errors.Is(err, fault.ErrNotFound) {
			return fmt.Errorf("role %s is not gone: %w", name, err)
		}
		p.line("gone     role %s", name)
		w.deleted++
	}
	project := naming.Project(assistant)
	if projects, err := w.projects.Read(ctx, []string{project}); err != nil || len(projects) > 0 {
		return fmt.Errorf("project %s is not gone: %w", project, err)
	}
	p.line("gone     project %s", project)
	digest, err := w.repositories.Digest(ctx, naming.Repository(assistant), latest)
	if err != nil {
		return err
	}
	p.line("kept     %s with its images: latest is %s", naming.Repository(assistant), digest)
	if len(a.ArchiveKeys) != 2 {
		return fmt.Errorf("2 roles are deleted, and archived is %v", a.ArchiveKeys)
	}
	for _, key := range a.ArchiveKeys {
		p.line("archive  s3://%s/%s", w.bucket, key)
	}
	tellNext(p, s)
	return nil
}

// tellPlan tells all that a command told but for the documents.
func tellPlan(p *printer, text string) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if start := strings.TrimSpace(line); start != "" && !strings.HasPrefix(start, "@@") && !strings.HasPrefix(start, "+") {
			p.line("  %s", line)
		}
	}
}

// restoring has the operator put the assistant's runtime role back.
func (w *watcher) restoring(ctx context.Context, p *printer) error {
	name := naming.RuntimeRole(region, assistant)
	p.line("$ rolekeeper restore %s --yes", name)
	told, err := w.tool(ctx, "restore", name, "--yes")
	if err != nil {
		return err
	}
	tellPlan(p, told)
	if err := w.wait(ctx); err != nil {
		return err
	}
	p.line("")
	s, err := w.answer(ctx, p, assistantKey)
	if err != nil {
		return err
	}
	if a, _ := s.Agent(assistant); a.Phase != status.PhaseHeld {
		return fmt.Errorf("agent %s is %s, want %s", assistant, a.Phase, status.PhaseHeld)
	}
	now, err := w.roles.Read(ctx, name)
	if err != nil {
		return err
	}
	was := w.before[name]
	if now.ID == was.ID {
		return fmt.Errorf("role %s has its old unique id", name)
	}
	p.line("role     %s is as it was, but for its unique id: %s, and it was %s", name, now.ID, was.ID)
	if now.ID = was.ID; !reflect.DeepEqual(now, was) {
		return fmt.Errorf("the role is %+v, and was %+v", now, was)
	}
	w.restored++
	tellNext(p, s)
	return nil
}
