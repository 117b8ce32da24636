package agentcore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// ResourceAPI is what Networks calls of AgentCore.
type ResourceAPI interface {
	ListAgentRuntimes(context.Context, *core.ListAgentRuntimesInput, ...func(*core.Options)) (*core.ListAgentRuntimesOutput, error)
	ListAgentRuntimeVersions(context.Context, *core.ListAgentRuntimeVersionsInput, ...func(*core.Options)) (*core.ListAgentRuntimeVersionsOutput, error)
	GetAgentRuntime(context.Context, *core.GetAgentRuntimeInput, ...func(*core.Options)) (*core.GetAgentRuntimeOutput, error)

	ListBrowsers(context.Context, *core.ListBrowsersInput, ...func(*core.Options)) (*core.ListBrowsersOutput, error)
	GetBrowser(context.Context, *core.GetBrowserInput, ...func(*core.Options)) (*core.GetBrowserOutput, error)
	ListCapacityProviders(context.Context, *core.ListCapacityProvidersInput, ...func(*core.Options)) (*core.ListCapacityProvidersOutput, error)
	ListCodeInterpreters(context.Context, *core.ListCodeInterpretersInput, ...func(*core.Options)) (*core.ListCodeInterpretersOutput, error)
	GetCodeInterpreter(context.Context, *core.GetCodeInterpreterInput, ...func(*core.Options)) (*core.GetCodeInterpreterOutput, error)
	ListGateways(context.Context, *core.ListGatewaysInput, ...func(*core.Options)) (*core.ListGatewaysOutput, error)
	GetGateway(context.Context, *core.GetGatewayInput, ...func(*core.Options)) (*core.GetGatewayOutput, error)
	ListGatewayTargets(context.Context, *core.ListGatewayTargetsInput, ...func(*core.Options)) (*core.ListGatewayTargetsOutput, error)
	GetGatewayTarget(context.Context, *core.GetGatewayTargetInput, ...func(*core.Options)) (*core.GetGatewayTargetOutput, error)
	ListHarnesses(context.Context, *core.ListHarnessesInput, ...func(*core.Options)) (*core.ListHarnessesOutput, error)
	ListHarnessVersions(context.Context, *core.ListHarnessVersionsInput, ...func(*core.Options)) (*core.ListHarnessVersionsOutput, error)
	GetHarness(context.Context, *core.GetHarnessInput, ...func(*core.Options)) (*core.GetHarnessOutput, error)
	ListOauth2CredentialProviders(context.Context, *core.ListOauth2CredentialProvidersInput, ...func(*core.Options)) (*core.ListOauth2CredentialProvidersOutput, error)
	GetOauth2CredentialProvider(context.Context, *core.GetOauth2CredentialProviderInput, ...func(*core.Options)) (*core.GetOauth2CredentialProviderOutput, error)
	ListPaymentManagers(context.Context, *core.ListPaymentManagersInput, ...func(*core.Options)) (*core.ListPaymentManagersOutput, error)
	GetPaymentManager(context.Context, *core.GetPaymentManagerInput, ...func(*core.Options)) (*core.GetPaymentManagerOutput, error)
	ListRegistries(context.Context, *core.ListRegistriesInput, ...func(*core.Options)) (*core.ListRegistriesOutput, error)
	GetRegistry(context.Context, *core.GetRegistryInput, ...func(*core.Options)) (*core.GetRegistryOutput, error)
}

// More pages of listings at their longest (service model).
const (
	targetsPage = 1000
	oauth2Page  = 20
)

// kinds gives all kinds; gateways lists the gateways, which targets are listed by.
func (n *Networks) kinds(gateways func() ([]model.Resource, error)) []networked {
	return []networked{
		n.runtimes(), n.browsers(), n.codeInterpreters(), n.harnesses(),
		{name: "gateway", list: func(context.Context) ([]model.Resource, error) { return gateways() }, get: n.getGateway},
		{name: "gateway-target", get: n.getTarget, list: func(ctx context.Context) ([]model.Resource, error) {
			of, err := gateways()
			if err != nil {
				return nil, err
			}
			return n.listTargets(ctx, of)
		}},
		n.paymentManagers(), n.registries(), n.oauth2Providers(), n.capacityProviders(),
	}
}

// listed is what a listing tells of an item.
type listed struct {
	id, arn          *string
	status           string
	version          *string    // the newest, of a kind with versions
	updated, created *time.Time // created: of what may never have been updated
}

// listing reads a listing to its end and translates its items.
func listing[In any](ctx context.Context, pace Pace, kind, what string, list func(token *string) ([]In, *string, error), read func(In) listed) ([]model.Resource, error) {
	return all(ctx, pace, what, list, func(item In) (model.Resource, bool) {
		l := read(item)
		r := model.Resource{Kind: kind, ID: aws.ToString(l.id), ARN: aws.ToString(l.arn), Status: l.status, Version: aws.ToString(l.version)}
		at := cmp.Or(l.updated, l.created)
		if at != nil {
			r.Updated = at.UTC().Format(time.RFC3339Nano)
		}
		return r, r.ID != "" && at != nil
	})
}

func (n *Networks) runtimes() networked {
	return networked{name: "runtime",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "runtime", "runtimes", func(token *string) ([]types.AgentRuntime, *string, error) {
				out, err := n.api.ListAgentRuntimes(ctx, &core.ListAgentRuntimesInput{MaxResults: aws.Int32(page), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.AgentRuntimes, out.NextToken, nil
			}, func(r types.AgentRuntime) listed {
				return listed{id: r.AgentRuntimeId, arn: r.AgentRuntimeArn, status: string(r.Status), version: r.AgentRuntimeVersion, updated: r.LastUpdatedAt}
			})
		},
		versions: func(ctx context.Context, id string) ([]string, error) {
			return runtimeVersions(ctx, n.api, n.lists, id)
		},
		get: func(ctx context.Context, id, version string) (placement, error) {
			out, err := n.api.GetAgentRuntime(ctx, &core.GetAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: &version})
			if err != nil {
				return placement{}, err
			}
			private, err := ofAuthorizer(out.AuthorizerConfiguration)
			// One on a capacity provider has no network of its own.
			in := out.NetworkConfiguration != nil && vpc(out.NetworkConfiguration.NetworkMode)
			return placement{vpc: in, private: private}, whole(err, out.AgentRuntimeArn, true)
		},
	}
}

func (n *Networks) browsers() networked {
	return networked{name: "browser",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "browser", "browsers", func(token *string) ([]types.BrowserSummary, *string, error) {
				out, err := n.api.ListBrowsers(ctx, &core.ListBrowsersInput{Type: types.ResourceTypeCustom, MaxResults: aws.Int32(browsersPage), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.BrowserSummaries, out.NextToken, nil
			}, func(s types.BrowserSummary) listed {
				return listed{id: s.BrowserId, arn: s.BrowserArn, status: string(s.Status), updated: s.LastUpdatedAt, created: s.CreatedAt}
			})
		},
		get: func(ctx context.Context, id, _ string) (placement, error) {
			out, err := n.api.GetBrowser(ctx, &core.GetBrowserInput{BrowserId: &id})
			if err != nil {
				return placement{}, err
			}
			network := out.NetworkConfiguration
			return placement{vpc: network != nil && vpc(network.NetworkMode)}, whole(nil, out.BrowserArn, network != nil)
		},
	}
}

func (n *Networks) codeInterpreters() networked {
	return networked{name: "code-interpreter",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "code-interpreter", "code interpreters", func(token *string) ([]types.CodeInterpreterSummary, *string, error) {
				out, err := n.api.ListCodeInterpreters(ctx, &core.ListCodeInterpretersInput{Type: types.ResourceTypeCustom, MaxResults: aws.Int32(page), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.CodeInterpreterSummaries, out.NextToken, nil
			}, func(s types.CodeInterpreterSummary) listed {
				return listed{id: s.CodeInterpreterId, arn: s.CodeInterpreterArn, status: string(s.Status), updated: s.LastUpdatedAt, created: s.CreatedAt}
			})
		},
		get: func(ctx context.Context, id, _ string) (placement, error) {
			out, err := n.api.GetCodeInterpreter(ctx, &core.GetCodeInterpreterInput{CodeInterpreterId: &id})
			if err != nil {
				return placement{}, err
			}
			network := out.NetworkConfiguration
			return placement{vpc: network != nil && vpc(network.NetworkMode)}, whole(nil, out.CodeInterpreterArn, network != nil)
		},
	}
}

func (n *Networks) harnesses() networked {
	return networked{name: "harness",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "harness", "harnesses", func(token *string) ([]types.HarnessSummary, *string, error) {
				out, err := n.api.ListHarnesses(ctx, &core.ListHarnessesInput{MaxResults: aws.Int32(page), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.Harnesses, out.NextToken, nil
			}, func(s types.HarnessSummary) listed {
				return listed{id: s.HarnessId, arn: s.Arn, status: string(s.Status), version: s.HarnessVersion, updated: s.UpdatedAt}
			})
		},
		versions: func(ctx context.Context, id string) ([]string, error) {
			return harnessVersions(ctx, n.api, n.lists, id)
		},
		get: func(ctx context.Context, id, version string) (placement, error) {
			out, err := n.api.GetHarness(ctx, &core.GetHarnessInput{HarnessId: &id, HarnessVersion: &version})
			if err != nil {
				return placement{}, err
			}
			if out.Harness == nil {
				return placement{}, whole(nil, nil, false)
			}
			private, err := ofAuthorizer(out.Harness.AuthorizerConfiguration)
			in, known := ofEnvironment(out.Harness.Environment)
			return placement{vpc: in, private: private}, whole(err, out.Harness.Arn, known)
		},
	}
}

func (n *Networks) listGateways(ctx context.Context) ([]model.Resource, error) {
	return listing(ctx, n.lists, "gateway", "gateways", func(token *string) ([]types.GatewaySummary, *string, error) {
		out, err := n.api.ListGateways(ctx, &core.ListGatewaysInput{MaxResults: aws.Int32(gatewaysPage), NextToken: token})
		if err != nil {
			return nil, nil, err
		}
		return out.Items, out.NextToken, nil
	}, func(s types.GatewaySummary) listed {
		return listed{id: s.GatewayId, status: string(s.Status), updated: s.UpdatedAt}
	})
}

func (n *Networks) getGateway(ctx context.Context, id, _ string) (placement, error) {
	out, err := n.api.GetGateway(ctx, &core.GetGatewayInput{GatewayIdentifier: &id})
	if err != nil {
		return placement{}, err
	}
	private, err := ofAuthorizer(out.AuthorizerConfiguration)
	return placement{arn: aws.ToString(out.GatewayArn), private: private}, whole(err, out.GatewayArn, true)
}

// listTargets lists the targets of gateways. One whose targets cannot be listed
// does not keep those of others back.
func (n *Networks) listTargets(ctx context.Context, gateways []model.Resource) ([]model.Resource, error) {
	type targets struct {
		of  string
		all []model.Resource
		err error
	}
	var lists []targets
	for _, g := range gateways {
		lists = append(lists, targets{of: g.ID})
	}
	abreast(lists, func(t *targets) {
		t.all, t.err = listing(ctx, n.lists, "gateway-target", "targets of gateway "+t.of, func(token *string) ([]types.TargetSummary, *string, error) {
			out, err := n.api.ListGatewayTargets(ctx, &core.ListGatewayTargetsInput{GatewayIdentifier: &t.of, MaxResults: aws.Int32(targetsPage), NextToken: token})
			if err != nil {
				return nil, nil, err
			}
			return out.Items, out.NextToken, nil
		}, func(s types.TargetSummary) listed {
			return listed{id: s.TargetId, status: string(s.Status), updated: s.UpdatedAt}
		})
	})
	var found []model.Resource
	var errs []error
	for _, t := range lists {
		if t.err != nil && !errors.Is(t.err, fault.ErrNotFound) { // a gateway that is gone has none
			errs = append(errs, t.err)
		}
		for _, r := range t.all {
			r.ID = t.of + "/" + r.ID
			found = append(found, r)
		}
	}
	return found, firstOf(errs)
}

func (n *Networks) getTarget(ctx context.Context, id, _ string) (placement, error) {
	gateway, target, _ := strings.Cut(id, "/")
	out, err := n.api.GetGatewayTarget(ctx, &core.GetGatewayTargetInput{GatewayIdentifier: &gateway, TargetId: &target})
	if err != nil {
		return placement{}, err
	}
	return placement{private: managed(out.PrivateEndpoint, nil)}, whole(nil, out.GatewayArn, true)
}

func (n *Networks) paymentManagers() networked {
	return networked{name: "payment-manager",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "payment-manager", "payment managers", func(token *string) ([]types.PaymentManagerSummary, *string, error) {
				out, err := n.api.ListPaymentManagers(ctx, &core.ListPaymentManagersInput{MaxResults: aws.Int32(page), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.PaymentManagers, out.NextToken, nil
			}, func(s types.PaymentManagerSummary) listed {
				return listed{id: s.PaymentManagerId, arn: s.PaymentManagerArn, status: string(s.Status), updated: s.LastUpdatedAt}
			})
		},
		get: func(ctx context.Context, id, _ string) (placement, error) {
			out, err := n.api.GetPaymentManager(ctx, &core.GetPaymentManagerInput{PaymentManagerId: &id})
			if err != nil {
				return placement{}, err
			}
			private, err := ofAuthorizer(out.AuthorizerConfiguration)
			return placement{private: private}, whole(err, out.PaymentManagerArn, true)
		},
	}
}

func (n *Networks) registries() networked {
	return networked{name: "registry",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "registry", "registries", func(token *string) ([]types.RegistrySummary, *string, error) {
				out, err := n.api.ListRegistries(ctx, &core.ListRegistriesInput{MaxResults: aws.Int32(page), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.Registries, out.NextToken, nil
			}, func(s types.RegistrySummary) listed {
				return listed{id: s.RegistryId, arn: s.RegistryArn, status: string(s.Status), updated: s.UpdatedAt}
			})
		},
		get: func(ctx context.Context, id, _ string) (placement, error) {
			out, err := n.api.GetRegistry(ctx, &core.GetRegistryInput{RegistryId: &id})
			if err != nil {
				return placement{}, err
			}
			private, err := ofAuthorizer(out.AuthorizerConfiguration)
			return placement{private: private}, whole(err, out.RegistryArn, true)
		},
	}
}

// oauth2Providers are known by their names, and have no status in a listing.
func (n *Networks) oauth2Providers() networked {
	return networked{name: "oauth2-credential-provider",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "oauth2-credential-provider", "OAuth2 credential providers", func(token *string) ([]types.Oauth2CredentialProviderItem, *string, error) {
				out, err := n.api.ListOauth2CredentialProviders(ctx, &core.ListOauth2CredentialProvidersInput{MaxResults: aws.Int32(oauth2Page), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.CredentialProviders, out.NextToken, nil
			}, func(p types.Oauth2CredentialProviderItem) listed {
				return listed{id: p.Name, arn: p.CredentialProviderArn, updated: p.LastUpdatedTime}
			})
		},
		get: func(ctx context.Context, id, _ string) (placement, error) {
			out, err := n.api.GetOauth2CredentialProvider(ctx, &core.GetOauth2CredentialProviderInput{Name: &id})
			if err != nil {
				return placement{}, err
			}
			switch of := out.Oauth2ProviderConfigOutput.(type) {
			case *types.Oauth2ProviderConfigOutputMemberCustomOauth2ProviderConfig:
				return placement{private: managed(of.Value.PrivateEndpoint, of.Value.PrivateEndpointOverrides)}, whole(nil, out.CredentialProviderArn, true)
			case *types.UnknownUnionMember:
				err = fmt.Errorf("it has a configuration that is not known here: %s", of.Tag)
			}
			return placement{}, whole(err, out.CredentialProviderArn, out.Oauth2ProviderConfigOutput != nil)
		},
	}
}

// capacityProviders need a role by being there.
func (n *Networks) capacityProviders() networked {
	return networked{name: "capacity-provider",
		list: func(ctx context.Context) ([]model.Resource, error) {
			return listing(ctx, n.lists, "capacity-provider", "capacity providers", func(token *string) ([]types.CapacityProviderSummary, *string, error) {
				out, err := n.api.ListCapacityProviders(ctx, &core.ListCapacityProvidersInput{MaxResults: aws.Int32(page), NextToken: token})
				if err != nil {
					return nil, nil, err
				}
				return out.CapacityProviders, out.NextToken, nil
			}, func(s types.CapacityProviderSummary) listed {
				return listed{id: s.CapacityProviderId, arn: s.CapacityProviderArn, status: string(s.Status), updated: s.LastUpdatedAt}
			})
		},
	}
}

// whole completes the error of a Get: every answer has an ARN, and complete tells
// whether it has what else it must have.
func whole(err error, arn *string, complete bool) error {
	if err == nil && (aws.ToString(arn) == "" || !complete) {
		return errors.New("the answer has no ARN or network")
	}
	return err
}

// vpc reports whether a network mode means a VPC. One that is not known here may.
func vpc[M ~string](mode M) bool { return mode != "PUBLIC" && mode != "SANDBOX" }

// ofEnvironment reports whether a harness is in a VPC, and whether that is known.
func ofEnvironment(environment types.HarnessEnvironmentProvider) (in, known bool) {
	of, known := environment.(*types.HarnessEnvironmentProviderMemberAgentCoreRuntimeEnvironment)
	if !known || of.Value.NetworkConfiguration == nil {
		return false, false
	}
	return vpc(of.Value.NetworkConfiguration.NetworkMode), true
}

// ofAuthorizer reports whether AgentCore manages a connection to who issues the
// tokens that an authorizer checks.
func ofAuthorizer(authorizer types.AuthorizerConfiguration) (bool, error) {
	switch of := authorizer.(type) {
	case *types.AuthorizerConfigurationMemberCustomJWTAuthorizer:
		return managed(of.Value.PrivateEndpoint, of.Value.PrivateEndpointOverrides), nil
	case *types.UnknownUnionMember:
		return false, fmt.Errorf("it has an authorizer that is not known here: %s", of.Tag)
	}
	return false, nil
}

// managed reports whether AgentCore manages any of private endpoints. One that is
// not known here may be such.
func managed(endpoint types.PrivateEndpoint, overrides []types.PrivateEndpointOverride) bool {
	switch endpoint.(type) {
	case *types.PrivateEndpointMemberManagedVpcResource, *types.UnknownUnionMember:
		return true
	}
	return slices.ContainsFunc(overrides, func(o types.PrivateEndpointOverride) bool { return managed(o.PrivateEndpoint, nil) })
}
