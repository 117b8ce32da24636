package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// watched has the last agent in a VPC go, and tells how it stands with the
// service-linked roles before and after: its network interfaces keep the role that
// they need, until they are gone and an operator has it deleted.
func (w *watcher) watched(ctx context.Context, p *printer) error {
	role := desired.Network().Name
	if err := w.linked(ctx, p, model.LinkedUsed); err != nil {
		return err
	}
	for _, key := range []string{searcherKey, uploads()[2].key} { // of the faulty one it is not known what it asks for
		if _, err := w.objects.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &key}); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
		p.line("deleted  config %s", key)
	}
	id := w.runtimes[canary]
	if err := w.runs(ctx, id); err != nil {
		return err
	}
	if _, err := w.agentCore.DeleteAgentRuntime(ctx, &bedrockagentcorecontrol.DeleteAgentRuntimeInput{AgentRuntimeId: &id}); err != nil {
		return fmt.Errorf("delete runtime %s: %w", id, err)
	}
	p.line("deleted  runtime %s", id)
	if err := w.until(ctx, "runtime "+id+" is gone", func(ctx context.Context) (bool, error) {
		_, err := w.agentCore.GetAgentRuntime(ctx, &bedrockagentcorecontrol.GetAgentRuntimeInput{AgentRuntimeId: &id})
		var missing *types.ResourceNotFoundException
		if errors.As(err, &missing) {
			return true, nil
		}
		return false, err
	}); err != nil {
		return err
	}
	if err := w.linked(ctx, p, model.LinkedUsed); err != nil {
		return err
	}
	p.line("hours    pass, and AgentCore takes its network interfaces away")
	w.aws.Proxy().AgentCore().LingerNetworkInterfaces(0)
	if err := w.linked(ctx, p, model.LinkedIdle); err != nil {
		return err
	}
	p.line("$ rolekeeper slr delete %s --yes", role)
	told, err := w.tool(ctx, "slr", "delete", role, "--yes")
	if err != nil {
		return err
	}
	tellPlan(p, told)
	return w.linked(ctx, p, model.LinkedAbsent)
}

// linked has slrwatch's schedule come round, tells the verdicts, and checks that on
// the role Network.
func (w *watcher) linked(ctx context.Context, p *printer, want model.Verdict) error {
	if err := w.wait(ctx); err != nil {
		return err
	}
	result, err := w.aws.RunSchedule(ctx, "slrwatch")
	if err == nil && result.Failure != "" {
		err = fmt.Errorf("it failed: %s", result.Failure)
	}
	if err != nil {
		return fmt.Errorf("the schedule of slrwatch: %w", err)
	}
	if err := w.wait(ctx); err != nil {
		return err
	}
	o, err := configstore.NewReader(w.objects, w.bucket, account).Get(ctx, naming.LinkedKey)
	if err != nil {
		return err
	}
	known, err := model.ParseServiceLinkedRoles(o.Body)
	if err != nil {
		return err
	}
	p.line("looked   at %s, as the schedule has it", known.LookedAt.Format(time.RFC3339))
	for _, r := range known.Roles {
		p.line("%-9s%s", r.Verdict, r.Name)
	}
	network, _ := known.Role(desired.Network().Name)
	for _, reason := range network.Reasons {
		p.line("         Network: %s", reason)
	}
	if network.Verdict != want {
		return fmt.Errorf("%s is %s, want %s: %v", network.Name, network.Verdict, want, network.Reasons)
	}
	if want == model.LinkedUsed && !network.LingerUntil.IsZero() && time.Until(network.LingerUntil) < 7*time.Hour {
		return fmt.Errorf("network interfaces are told to be gone at %s", network.LingerUntil)
	}
	return nil
}
