package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// agentCoreSource is the eventSource of all records of AgentCore, of its control
// plane too.
const agentCoreSource = "bedrock-agentcore.amazonaws.com"

// runtimeCalls are the calls after which a runtime may have another role, or none.
var runtimeCalls = []string{"CreateAgentRuntime", "UpdateAgentRuntime", "DeleteAgentRuntime"}

// runtime is the event of a call that made, changed or deleted an AgentCore
// runtime. DeleteAgentRuntime with a version deletes that version only, and may
// free a role as well: it asks for the same look, and what is gone the look finds.
func runtime(e envelope, here Here) (Look, error) {
	d, err := here.trail(e, here.Region, agentCoreSource)
	if err != nil {
		return Look{}, err
	}
	switch {
	case !slices.Contains(runtimeCalls, d.EventName):
		return Look{}, fault.Errorf(fault.Ignored, "call %.100q of AgentCore makes, changes or deletes no runtime", d.EventName)
	case d.ErrorCode != nil:
		return Look{}, fault.Errorf(fault.Ignored, "%s failed with %.100q and changed nothing", d.EventName, *d.ErrorCode)
	}
	id, err := d.runtime(here)
	if err != nil {
		return Look{}, fault.Errorf(fault.Poison, "CloudTrail event of %s: %w", d.EventName, err)
	}
	if _, ok := naming.RuntimeAgent(id); !ok {
		return Look{}, fault.Errorf(fault.Ignored, "runtime %.220q is that of no agent", id)
	}
	return Look{Runtime: id, Hint: Hint{Kind: RuntimeHint, ID: id, Time: e.Time, Actor: d.actor()}}, nil
}

// runtime gives the id of the runtime that the record names, wherever it does.
// All that it names must be one.
func (d trailDetail) runtime(here Here) (string, error) {
	var named []string
	for _, part := range []any{d.Response, d.Request} {
		members, _ := part.(map[string]any) // null where there is nothing to tell
		for _, member := range []string{"agentRuntimeId", "agentRuntimeArn"} {
			text, _ := members[member].(string)
			named = append(named, text)
		}
	}
	for _, r := range d.Resources {
		named = append(named, r.ARN)
	}
	found := ""
	for _, text := range named {
		id, err := runtimeOf(text, here)
		switch {
		case err != nil:
			return "", err
		case id == "":
		case found == "":
			found = id
		case id != found:
			return "", fmt.Errorf("it names runtime %.220q and runtime %.220q", found, id)
		}
	}
	if found == "" {
		return "", errors.New("it names no runtime, neither by id nor by ARN")
	}
	return found, nil
}

// hidden stands for what CloudTrail does not show.
const hidden = "***"

// runtimeOf gives the id of a runtime by its id or ARN, or by the ARN of what it
// has; empty for what names no runtime. The service model's pattern for ARNs of
// runtimes is not that of real ones.
func runtimeOf(text string, here Here) (string, error) {
	runtimes := fmt.Sprintf("arn:%s:bedrock-agentcore:%s:%s:runtime/", naming.Partition(here.Region), here.Region, here.Account)
	rest, ours := strings.CutPrefix(text, runtimes)
	switch {
	case text == hidden:
		return "", nil
	case !strings.HasPrefix(text, "arn:"):
		return text, nil
	case ours:
		return rest[:strings.IndexAny(rest+"/", "/:")], nil
	case strings.Contains(text, ":runtime/"):
		return "", fmt.Errorf("it names %.300q, which is no runtime of %s in %s", text, here.Account, here.Region)
	}
	return "", nil // a role, or something else that the call was about
}
