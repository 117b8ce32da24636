// Package agentcore reads what AgentCore's control plane has: runtimes with
// their versions and endpoints, and everything else that holds a role. It only
// translates. What it gives is complete: a listing of which any part is denied,
// throttled or missing is an error.
package agentcore

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// API is what is called of AgentCore.
type API interface {
	ListAgentRuntimes(context.Context, *core.ListAgentRuntimesInput, ...func(*core.Options)) (*core.ListAgentRuntimesOutput, error)
	ListAgentRuntimeVersions(context.Context, *core.ListAgentRuntimeVersionsInput, ...func(*core.Options)) (*core.ListAgentRuntimeVersionsOutput, error)
	ListAgentRuntimeEndpoints(context.Context, *core.ListAgentRuntimeEndpointsInput, ...func(*core.Options)) (*core.ListAgentRuntimeEndpointsOutput, error)
	GetAgentRuntime(context.Context, *core.GetAgentRuntimeInput, ...func(*core.Options)) (*core.GetAgentRuntimeOutput, error)

	ListBrowsers(context.Context, *core.ListBrowsersInput, ...func(*core.Options)) (*core.ListBrowsersOutput, error)
	GetBrowser(context.Context, *core.GetBrowserInput, ...func(*core.Options)) (*core.GetBrowserOutput, error)
	ListCapacityProviders(context.Context, *core.ListCapacityProvidersInput, ...func(*core.Options)) (*core.ListCapacityProvidersOutput, error)
	GetCapacityProvider(context.Context, *core.GetCapacityProviderInput, ...func(*core.Options)) (*core.GetCapacityProviderOutput, error)
	ListCodeInterpreters(context.Context, *core.ListCodeInterpretersInput, ...func(*core.Options)) (*core.ListCodeInterpretersOutput, error)
	GetCodeInterpreter(context.Context, *core.GetCodeInterpreterInput, ...func(*core.Options)) (*core.GetCodeInterpreterOutput, error)
	ListConsentPortals(context.Context, *core.ListConsentPortalsInput, ...func(*core.Options)) (*core.ListConsentPortalsOutput, error)
	GetConsentPortal(context.Context, *core.GetConsentPortalInput, ...func(*core.Options)) (*core.GetConsentPortalOutput, error)
	ListGateways(context.Context, *core.ListGatewaysInput, ...func(*core.Options)) (*core.ListGatewaysOutput, error)
	GetGateway(context.Context, *core.GetGatewayInput, ...func(*core.Options)) (*core.GetGatewayOutput, error)
	ListHarnesses(context.Context, *core.ListHarnessesInput, ...func(*core.Options)) (*core.ListHarnessesOutput, error)
	ListHarnessVersions(context.Context, *core.ListHarnessVersionsInput, ...func(*core.Options)) (*core.ListHarnessVersionsOutput, error)
	GetHarness(context.Context, *core.GetHarnessInput, ...func(*core.Options)) (*core.GetHarnessOutput, error)
	ListMemories(context.Context, *core.ListMemoriesInput, ...func(*core.Options)) (*core.ListMemoriesOutput, error)
	GetMemory(context.Context, *core.GetMemoryInput, ...func(*core.Options)) (*core.GetMemoryOutput, error)
	ListOnlineEvaluationConfigs(context.Context, *core.ListOnlineEvaluationConfigsInput, ...func(*core.Options)) (*core.ListOnlineEvaluationConfigsOutput, error)
	GetOnlineEvaluationConfig(context.Context, *core.GetOnlineEvaluationConfigInput, ...func(*core.Options)) (*core.GetOnlineEvaluationConfigOutput, error)
	ListPaymentManagers(context.Context, *core.ListPaymentManagersInput, ...func(*core.Options)) (*core.ListPaymentManagersOutput, error)
}

// Pace keeps calls apart: Wait comes back when the next may be made, or with an
// error when ctx ends before. A *rate.Limiter of golang.org/x/time/rate is one.
type Pace interface {
	Wait(ctx context.Context) error
}

// Calls of List that AgentCore allows an account in a second; neither can be
// raised (developer guide, "Quotas").
const (
	ListsPerSecond        = 25
	ListMemoriesPerSecond = 5
)

// Pages of listings at their longest (service model, and the SDK's documentation
// of ListMemories and ListBrowsers, which is stricter).
const (
	page         = 100
	browsersPage = 50
	gatewaysPage = 1000
	memoriesPage = 50
)

// Client reads what there is.
type Client struct {
	api                API
	lists, memoryLists Pace
}

// New makes a client. Every List waits for lists, and ListMemories for
// memoryLists in its place; nil does not wait.
func New(api API, lists, memoryLists Pace) *Client { return &Client{api, lists, memoryLists} }

// Runtimes lists all runtimes of the account in this Region.
func (c *Client) Runtimes(ctx context.Context) ([]model.RuntimeSummary, error) {
	return all(ctx, c.lists, "runtimes", func(token *string) ([]types.AgentRuntime, *string, error) {
		out, err := c.api.ListAgentRuntimes(ctx, &core.ListAgentRuntimesInput{MaxResults: aws.Int32(page), NextToken: token})
		if err != nil {
			return nil, nil, err
		}
		return out.AgentRuntimes, out.NextToken, nil
	}, func(r types.AgentRuntime) (model.RuntimeSummary, bool) {
		s := model.RuntimeSummary{
			ID: aws.ToString(r.AgentRuntimeId), Name: aws.ToString(r.AgentRuntimeName), ARN: aws.ToString(r.AgentRuntimeArn),
			Version: aws.ToString(r.AgentRuntimeVersion), Status: string(r.Status),
		}
		if r.LastUpdatedAt != nil {
			s.Updated = r.LastUpdatedAt.UTC().Format(time.RFC3339Nano)
		}
		return s, s.ID != "" && s.Name != "" && s.ARN != "" && s.Version != "" && s.Updated != ""
	})
}

// Versions lists the versions of a runtime: each has a role of its own. There is
// always one; fault.ErrNotFound says that there is no such runtime.
func (c *Client) Versions(ctx context.Context, runtimeID string) ([]string, error) {
	return runtimeVersions(ctx, c.api, c.lists, runtimeID)
}

// runtimeVersionsAPI is what runtimeVersions calls of AgentCore.
type runtimeVersionsAPI interface {
	ListAgentRuntimeVersions(context.Context, *core.ListAgentRuntimeVersionsInput, ...func(*core.Options)) (*core.ListAgentRuntimeVersionsOutput, error)
}

func runtimeVersions(ctx context.Context, api runtimeVersionsAPI, pace Pace, runtimeID string) ([]string, error) {
	what := "versions of runtime " + runtimeID
	versions, err := all(ctx, pace, what, func(token *string) ([]types.AgentRuntime, *string, error) {
		out, err := api.ListAgentRuntimeVersions(ctx, &core.ListAgentRuntimeVersionsInput{
			AgentRuntimeId: &runtimeID, MaxResults: aws.Int32(page), NextToken: token,
		})
		if err != nil {
			return nil, nil, err
		}
		return out.AgentRuntimes, out.NextToken, nil
	}, func(r types.AgentRuntime) (string, bool) {
		return aws.ToString(r.AgentRuntimeVersion), aws.ToString(r.AgentRuntimeVersion) != "" && aws.ToString(r.AgentRuntimeId) == runtimeID
	})
	if err == nil && len(versions) == 0 {
		return nil, fault.Errorf(fault.Retry, "list %s: there are none", what)
	}
	return versions, err
}

// RuntimeRole gives the ARN of the role that a version of a runtime has, and the
// status of that version as AgentCore gives it. An empty version is the newest.
// fault.ErrNotFound says that AgentCore knows no such runtime or version.
func (c *Client) RuntimeRole(ctx context.Context, runtimeID, version string) (role, status string, err error) {
	in := &core.GetAgentRuntimeInput{AgentRuntimeId: &runtimeID}
	if version != "" {
		in.AgentRuntimeVersion = &version
	}
	out, err := c.api.GetAgentRuntime(ctx, in)
	if err != nil {
		return "", "", awserr.Wrap(err, "get runtime %s, version %q", runtimeID, version)
	}
	if aws.ToString(out.RoleArn) == "" {
		return "", "", fmt.Errorf("get runtime %s, version %q: the answer names no role", runtimeID, version)
	}
	return *out.RoleArn, string(out.Status), nil
}

// Endpoints lists the endpoints of a runtime. AgentCore does not say whether
// there is such a runtime.
func (c *Client) Endpoints(ctx context.Context, runtimeID string) ([]model.RuntimeEndpoint, error) {
	return all(ctx, c.lists, "endpoints of runtime "+runtimeID, func(token *string) ([]types.AgentRuntimeEndpoint, *string, error) {
		out, err := c.api.ListAgentRuntimeEndpoints(ctx, &core.ListAgentRuntimeEndpointsInput{
			AgentRuntimeId: &runtimeID, MaxResults: aws.Int32(page), NextToken: token,
		})
		if err != nil {
			return nil, nil, err
		}
		return out.RuntimeEndpoints, out.NextToken, nil
	}, func(e types.AgentRuntimeEndpoint) (model.RuntimeEndpoint, bool) {
		out := model.RuntimeEndpoint{
			Name: aws.ToString(e.Name), ARN: aws.ToString(e.AgentRuntimeEndpointArn),
			Live: aws.ToString(e.LiveVersion), Target: aws.ToString(e.TargetVersion), Status: string(e.Status),
		}
		return out, out.Name != "" && out.ARN != ""
	})
}

// all reads a listing to its end and translates its items; read tells whether an
// item has what it must have. A token that comes again is an error: the rest of
// the listing is unknown.
func all[In, Out any](ctx context.Context, pace Pace, what string, list func(token *string) ([]In, *string, error), read func(In) (Out, bool)) ([]Out, error) {
	var found []Out
	seen := map[string]bool{}
	for token := (*string)(nil); ; {
		if pace != nil {
			if err := pace.Wait(ctx); err != nil {
				return nil, fault.Errorf(fault.Retry, "list %s: %w", what, err)
			}
		}
		items, next, err := list(token)
		if err != nil {
			return nil, awserr.Wrap(err, "list %s", what)
		}
		for _, item := range items {
			out, complete := read(item)
			if !complete {
				return nil, fmt.Errorf("list %s: the answer has an item without id, ARN or version", what)
			}
			found = append(found, out)
		}
		switch {
		case aws.ToString(next) == "":
			return found, nil
		case seen[*next]:
			return nil, fmt.Errorf("list %s: the answer goes round in a circle after %d items", what, len(found))
		}
		seen[*next], token = true, next
	}
}
