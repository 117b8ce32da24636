package agentcore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// kind is a kind of resource that may hold a role. A listing shows no roles.
type kind struct {
	name     string // as in Use
	pace     Pace   // of its listing
	list     func(ctx context.Context, token *string) (ids []*string, next *string, err error)
	versions func(ctx context.Context, id string) ([]string, error) // nil where there are none
	get      func(ctx context.Context, id, version string) (holder, error)
}

// holder is what a Get tells of a resource.
type holder struct {
	arn, role *string
	status    string
}

// Others gives what holds a role beside runtimes, without the system's own
// browsers and code interpreters: those have no role of this account. What is
// gone when it is looked at, or has no role, is left out.
func (c *Client) Others(ctx context.Context) ([]model.Use, error) {
	found, err := c.paymentManagers(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range c.kinds() {
		ids, err := all(ctx, k.pace, "all of kind "+k.name, func(token *string) ([]*string, *string, error) { return k.list(ctx, token) },
			func(id *string) (string, bool) { return aws.ToString(id), aws.ToString(id) != "" })
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			uses, err := k.uses(ctx, id)
			if err != nil && !errors.Is(err, fault.ErrNotFound) {
				return nil, err
			}
			found = append(found, uses...)
		}
	}
	return found, nil
}

// uses gives what a resource uses, in any of its versions.
func (k kind) uses(ctx context.Context, id string) ([]model.Use, error) {
	versions := []string{""}
	if k.versions != nil {
		var err error
		if versions, err = k.versions(ctx, id); err != nil {
			return nil, err
		}
		if len(versions) == 0 {
			return nil, fault.Errorf(fault.Retry, "list versions of %s %s: there are none", k.name, id)
		}
	}
	var found []model.Use
	for _, version := range versions {
		h, err := k.get(ctx, id, version)
		if err = awserr.Wrap(err, "get %s %s", k.name, id); errors.Is(err, fault.ErrNotFound) {
			continue // this version, or everything
		}
		if err != nil {
			return nil, err
		}
		if aws.ToString(h.arn) == "" {
			return nil, fmt.Errorf("get %s %s: the answer has no ARN", k.name, id)
		}
		use := model.Use{Role: aws.ToString(h.role), ARN: *h.arn, Kind: k.name, Status: h.status}
		if use.Role != "" && !slices.Contains(found, use) {
			found = append(found, use)
		}
	}
	return found, nil
}

// paymentManagers are the only ones whose listing shows the role.
func (c *Client) paymentManagers(ctx context.Context) ([]model.Use, error) {
	found, err := all(ctx, c.lists, "payment managers", func(token *string) ([]types.PaymentManagerSummary, *string, error) {
		out, err := c.api.ListPaymentManagers(ctx, &core.ListPaymentManagersInput{MaxResults: aws.Int32(page), NextToken: token})
		if err != nil {
			return nil, nil, err
		}
		return out.PaymentManagers, out.NextToken, nil
	}, func(m types.PaymentManagerSummary) (model.Use, bool) {
		return model.Use{Role: aws.ToString(m.RoleArn), ARN: aws.ToString(m.PaymentManagerArn), Kind: "payment-manager", Status: string(m.Status)},
			aws.ToString(m.PaymentManagerArn) != ""
	})
	return slices.DeleteFunc(found, func(u model.Use) bool { return u.Role == "" }), err
}

// ids takes the ids off the items of a listing.
func ids[V any](items []V, id func(V) *string) []*string {
	var out []*string
	for _, item := range items {
		out = append(out, id(item))
	}
	return out
}

func (c *Client) kinds() []kind {
	return []kind{
		c.browsers(), c.capacityProviders(), c.codeInterpreters(), c.consentPortals(), c.gateways(), c.harnesses(), c.memories(), c.onlineEvaluations(),
	}
}

func (c *Client) browsers() kind {
	return kind{name: "browser", pace: c.lists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListBrowsers(ctx, &core.ListBrowsersInput{Type: types.ResourceTypeCustom, MaxResults: aws.Int32(browsersPage), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.BrowserSummaries, func(s types.BrowserSummary) *string { return s.BrowserId }), out.NextToken, nil
		},
		get: func(ctx context.Context, id, _ string) (holder, error) {
			out, err := c.api.GetBrowser(ctx, &core.GetBrowserInput{BrowserId: &id})
			if err != nil {
				return holder{}, err
			}
			return holder{out.BrowserArn, out.ExecutionRoleArn, string(out.Status)}, nil
		},
	}
}

func (c *Client) capacityProviders() kind {
	return kind{name: "capacity-provider", pace: c.lists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListCapacityProviders(ctx, &core.ListCapacityProvidersInput{MaxResults: aws.Int32(page), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.CapacityProviders, func(s types.CapacityProviderSummary) *string { return s.CapacityProviderId }), out.NextToken, nil
		},
		get: func(ctx context.Context, id, _ string) (holder, error) {
			out, err := c.api.GetCapacityProvider(ctx, &core.GetCapacityProviderInput{CapacityProviderId: &id})
			if err != nil {
				return holder{}, err
			}
			h := holder{arn: out.CapacityProviderArn, status: string(out.Status)}
			if out.PermissionsConfiguration != nil {
				h.role = out.PermissionsConfiguration.CapacityProviderOperatorRoleArn
			}
			return h, nil
		},
	}
}

func (c *Client) codeInterpreters() kind {
	return kind{name: "code-interpreter", pace: c.lists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListCodeInterpreters(ctx, &core.ListCodeInterpretersInput{Type: types.ResourceTypeCustom, MaxResults: aws.Int32(page), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.CodeInterpreterSummaries, func(s types.CodeInterpreterSummary) *string { return s.CodeInterpreterId }), out.NextToken, nil
		},
		get: func(ctx context.Context, id, _ string) (holder, error) {
			out, err := c.api.GetCodeInterpreter(ctx, &core.GetCodeInterpreterInput{CodeInterpreterId: &id})
			if err != nil {
				return holder{}, err
			}
			return holder{out.CodeInterpreterArn, out.ExecutionRoleArn, string(out.Status)}, nil
		},
	}
}

func (c *Client) consentPortals() kind {
	return kind{name: "consent-portal", pace: c.lists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListConsentPortals(ctx, &core.ListConsentPortalsInput{MaxResults: aws.Int32(page), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.ConsentPortals, func(s types.ConsentPortalSummary) *string { return s.ConsentPortalId }), out.NextToken, nil
		},
		get: func(ctx context.Context, id, _ string) (holder, error) {
			out, err := c.api.GetConsentPortal(ctx, &core.GetConsentPortalInput{ConsentPortalIdentifier: &id})
			if err != nil {
				return holder{}, err
			}
			return holder{out.ConsentPortalArn, out.ExecutionRoleArn, string(out.Status)}, nil
		},
	}
}

func (c *Client) gateways() kind {
	return kind{name: "gateway", pace: c.lists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListGateways(ctx, &core.ListGatewaysInput{MaxResults: aws.Int32(gatewaysPage), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.Items, func(s types.GatewaySummary) *string { return s.GatewayId }), out.NextToken, nil
		},
		get: func(ctx context.Context, id, _ string) (holder, error) {
			out, err := c.api.GetGateway(ctx, &core.GetGatewayInput{GatewayIdentifier: &id})
			if err != nil {
				return holder{}, err
			}
			return holder{out.GatewayArn, out.RoleArn, string(out.Status)}, nil
		},
	}
}

// harnesses keep their versions, and endpoints that lead to them: each version
// has a role of its own.
func (c *Client) harnesses() kind {
	return kind{name: "harness", pace: c.lists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListHarnesses(ctx, &core.ListHarnessesInput{MaxResults: aws.Int32(page), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.Harnesses, func(s types.HarnessSummary) *string { return s.HarnessId }), out.NextToken, nil
		},
		versions: func(ctx context.Context, id string) ([]string, error) {
			return harnessVersions(ctx, c.api, c.lists, id)
		},
		get: func(ctx context.Context, id, version string) (holder, error) {
			out, err := c.api.GetHarness(ctx, &core.GetHarnessInput{HarnessId: &id, HarnessVersion: &version})
			if err != nil || out.Harness == nil {
				return holder{}, err
			}
			return holder{out.Harness.Arn, out.Harness.ExecutionRoleArn, string(out.Harness.Status)}, nil
		},
	}
}

// harnessVersionsAPI is what harnessVersions calls of AgentCore.
type harnessVersionsAPI interface {
	ListHarnessVersions(context.Context, *core.ListHarnessVersionsInput, ...func(*core.Options)) (*core.ListHarnessVersionsOutput, error)
}

func harnessVersions(ctx context.Context, api harnessVersionsAPI, pace Pace, id string) ([]string, error) {
	return all(ctx, pace, "versions of harness "+id, func(token *string) ([]types.HarnessVersionSummary, *string, error) {
		out, err := api.ListHarnessVersions(ctx, &core.ListHarnessVersionsInput{HarnessId: &id, MaxResults: aws.Int32(page), NextToken: token})
		if err != nil {
			return nil, nil, err
		}
		return out.HarnessVersions, out.NextToken, nil
	}, func(s types.HarnessVersionSummary) (string, bool) {
		return aws.ToString(s.HarnessVersion), aws.ToString(s.HarnessVersion) != ""
	})
}

func (c *Client) memories() kind {
	return kind{name: "memory", pace: c.memoryLists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListMemories(ctx, &core.ListMemoriesInput{MaxResults: aws.Int32(memoriesPage), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.Memories, func(s types.MemorySummary) *string { return s.Id }), out.NextToken, nil
		},
		get: func(ctx context.Context, id, _ string) (holder, error) {
			out, err := c.api.GetMemory(ctx, &core.GetMemoryInput{MemoryId: &id})
			if err != nil || out.Memory == nil {
				return holder{}, err
			}
			return holder{out.Memory.Arn, out.Memory.MemoryExecutionRoleArn, string(out.Memory.Status)}, nil
		},
	}
}

func (c *Client) onlineEvaluations() kind {
	return kind{name: "online-evaluation-config", pace: c.lists,
		list: func(ctx context.Context, token *string) ([]*string, *string, error) {
			out, err := c.api.ListOnlineEvaluationConfigs(ctx, &core.ListOnlineEvaluationConfigsInput{MaxResults: aws.Int32(page), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return ids(out.OnlineEvaluationConfigs, func(s types.OnlineEvaluationConfigSummary) *string { return s.OnlineEvaluationConfigId }), out.NextToken, nil
		},
		get: func(ctx context.Context, id, _ string) (holder, error) {
			out, err := c.api.GetOnlineEvaluationConfig(ctx, &core.GetOnlineEvaluationConfigInput{OnlineEvaluationConfigId: &id})
			if err != nil {
				return holder{}, err
			}
			return holder{out.OnlineEvaluationConfigArn, out.EvaluationExecutionRoleArn, string(out.Status)}, nil
		},
	}
}
