package suite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/networkinterface"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
)

// Region is what is called in another Region than the backend's own.
type Region struct {
	Name      string
	AgentCore *core.Client
	EC2       networkinterface.API
}

// abroad gives a Region, and ends a case on a backend that has none.
func (b *Backend) abroad(t T, r Region) Region {
	t.Helper()
	if r.AgentCore == nil || r.EC2 == nil {
		t.Fatalf("the backend has no such Region")
	}
	return r
}

// subnets gives ones that nobody else has.
func (b *Backend) subnets(n int) []string {
	var all []string
	for range n {
		all = append(all, fmt.Sprintf("subnet-%08d", b.serial.Add(1)))
	}
	return all
}

func inSubnets(subnets []string) *types.VpcConfig {
	return &types.VpcConfig{Subnets: subnets, SecurityGroups: []string{"sg-12345678"}}
}

// interfacesIn gives the network interfaces that AgentCore has in subnets.
func (b *Backend) interfacesIn(t T, subnets []string) []ec2types.NetworkInterface {
	t.Helper()
	if b.EC2 == nil {
		t.Fatalf("the backend has no EC2")
	}
	var found []ec2types.NetworkInterface
	in := &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(5), Filters: []ec2types.Filter{
		{Name: aws.String("tag:AmazonBedrockAgentCoreManaged"), Values: []string{"true"}}, {Name: aws.String("interface-type"), Values: []string{"agentic_ai"}},
	}}
	for {
		out := must(b.EC2.DescribeNetworkInterfaces(t.Context(), in))(t)
		for _, i := range out.NetworkInterfaces {
			if slices.Contains(subnets, aws.ToString(i.SubnetId)) {
				found = append(found, i)
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return found
		}
	}
}

func networkCases() []testCase {
	return []testCase{
		{"what is in a VPC shares network interfaces, which stay when it is gone and keep their service-linked role", sharesInterfaces},
		{"network interfaces are told by filters that EC2 knows, at least 5 at once", func(t T, b *Backend) {
			if b.EC2 == nil {
				t.Fatalf("the backend has no EC2")
			}
			for what, in := range map[string]*ec2.DescribeNetworkInterfacesInput{
				"a filter of nobody": {Filters: []ec2types.Filter{{Name: aws.String("suite"), Values: []string{"x"}}}},
				"a short page":       {MaxResults: aws.Int32(4)},
				"a long page":        {MaxResults: aws.Int32(1001)},
			} {
				_, err := b.EC2.DescribeNetworkInterfaces(t.Context(), in)
				wantCode(t, what, err, "InvalidParameterValue", "InvalidMaxResults")
			}
			_, err := b.EC2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NextToken: aws.String("x")})
			wantCode(t, "a token of nobody", err, "InvalidNextToken", "InvalidParameterValue")
		}},
		{"a Region that is not enabled refuses the account's credentials", func(t T, b *Backend) {
			there := b.abroad(t, b.Disabled)
			_, err := there.AgentCore.ListAgentRuntimes(t.Context(), &core.ListAgentRuntimesInput{})
			wantCode(t, "AgentCore", err, "UnrecognizedClientException")
			_, err = there.EC2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{})
			wantCode(t, "EC2", err, "AuthFailure")
		}},
		{"AgentCore tells the network that was asked for", tellsNetworks},
		{"agentcore and networkinterface find what is in a VPC", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			ctx, networks, where := t.Context(), agentcore.NewNetworks(b.AgentCore, nil), b.subnets(1)
			public := b.makeRuntime(t, b.agentCoreRole(t, agentCoreService))
			browser := *must(b.AgentCore.CreateBrowser(ctx, &core.CreateBrowserInput{
				Name: aws.String(b.underscored("browser")), NetworkConfiguration: &types.BrowserNetworkConfiguration{NetworkMode: types.BrowserNetworkModeVpc, VpcConfig: inSubnets(where)},
			}))(t).BrowserId
			provider := b.makeProvider(t, b.AgentCore)
			b.settled()
			found, unread := networks.Resources(ctx, nil)
			if len(unread) > 0 {
				t.Errorf("unread: %v", unread)
			}
			for id, want := range map[string]model.Resource{
				public:   {Kind: "runtime", ARN: b.agentCoreARN("runtime/" + public), Status: "READY"},
				browser:  {Kind: "browser", ARN: b.agentCoreARN("browser-custom/" + browser), Status: "READY", VPC: true},
				provider: {Kind: "oauth2-credential-provider", ARN: b.agentCoreARN("token-vault/default/oauth2credentialprovider/" + provider), PrivateEndpoint: true},
			} {
				i := slices.IndexFunc(found, func(r model.Resource) bool { return r.ID == id })
				if i < 0 {
					t.Errorf("%s %s is not found", want.Kind, id)
					continue
				}
				got := found[i]
				want.ID, want.Updated = id, got.Updated
				if got != want || got.Updated == "" {
					t.Errorf("found %+v, want %+v", got, want)
				}
			}
			ids := must(networkinterface.New(b.EC2).Managed(ctx))(t)
			for _, i := range b.interfacesIn(t, where) {
				if !slices.Contains(ids, aws.ToString(i.NetworkInterfaceId)) {
					t.Errorf("%s is not among %q", aws.ToString(i.NetworkInterfaceId), ids)
				}
			}
			b.deleteProvider(t, b.AgentCore, provider)
			must(b.IAM.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(desired.IdentityNetwork().Name)}))(t)
			b.settled()
		}},
		{"AgentCore tells the private endpoints of JWT authorizers", tellsAuthorizers},
		{"a gateway has targets, and goes after them", hasTargets},
		{"an OAuth2 credential provider tells its private endpoint and no secret", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			name := b.makeProvider(t, b.AgentCore)
			b.settled()
			got := must(b.AgentCore.GetOauth2CredentialProvider(t.Context(), &core.GetOauth2CredentialProviderInput{Name: &name}))(t)
			config, custom := got.Oauth2ProviderConfigOutput.(*types.Oauth2ProviderConfigOutputMemberCustomOauth2ProviderConfig)
			if !custom || !managed(config.Value.PrivateEndpoint) || aws.ToString(config.Value.ClientId) != "id" || got.Status != types.StatusReady || got.LastUpdatedTime == nil {
				t.Errorf("%+v", got)
			}
			_, err := b.AgentCore.CreateOauth2CredentialProvider(t.Context(), &core.CreateOauth2CredentialProviderInput{
				Name: &name, CredentialProviderVendor: types.CredentialProviderVendorTypeGithubOauth2,
				Oauth2ProviderConfigInput: &types.Oauth2ProviderConfigInputMemberGithubOauth2ProviderConfig{Value: types.GithubOauth2ProviderConfigInput{ClientId: aws.String("id"), ClientSecret: aws.String("s")}},
			})
			wantCode(t, "a second one", err, "ConflictException")
			var updated bool
			for token := (*string)(nil); ; {
				out := must(b.AgentCore.ListOauth2CredentialProviders(t.Context(), &core.ListOauth2CredentialProvidersInput{MaxResults: aws.Int32(20), NextToken: token}))(t)
				updated = updated || slices.ContainsFunc(out.CredentialProviders, func(p types.Oauth2CredentialProviderItem) bool {
					return aws.ToString(p.Name) == name && aws.ToTime(p.LastUpdatedTime).Equal(*got.LastUpdatedTime) && aws.ToString(p.CredentialProviderArn) == *got.CredentialProviderArn
				})
				if token = out.NextToken; token == nil {
					break
				}
			}
			if !updated {
				t.Errorf("%s is not listed as it was made", name)
			}
			b.deleteProvider(t, b.AgentCore, name)
			_, err = b.AgentCore.GetOauth2CredentialProvider(t.Context(), &core.GetOauth2CredentialProviderInput{Name: &name})
			wantCode(t, "get what is gone", err, "ResourceNotFoundException")
			if got := b.deleted(t, desired.IdentityNetwork().Name); got.Status != "SUCCEEDED" {
				t.Errorf("the deletion of its role: %s, %+v", got.Status, got.Reason)
			}
		}},
	}
}

func managed(endpoint types.PrivateEndpoint) bool {
	e, ok := endpoint.(*types.PrivateEndpointMemberManagedVpcResource)
	return ok && aws.ToString(e.Value.VpcIdentifier) == "vpc-12345678"
}

func sharesInterfaces(t T, b *Backend) {
	b.linked.Lock()
	defer b.linked.Unlock()
	network, where := desired.Network(), b.subnets(2)
	in := runtimeInput(b.underscored("runtime"), b.agentCoreRole(t, agentCoreService))
	in.NetworkConfiguration = &types.NetworkConfiguration{NetworkMode: types.NetworkModeVpc, NetworkModeConfig: inSubnets(where)}
	id := *must(b.AgentCore.CreateAgentRuntime(t.Context(), in))(t).AgentRuntimeId
	browser := *must(b.AgentCore.CreateBrowser(t.Context(), &core.CreateBrowserInput{
		Name: aws.String(b.underscored("browser")), NetworkConfiguration: &types.BrowserNetworkConfiguration{NetworkMode: types.BrowserNetworkModeVpc, VpcConfig: inSubnets(where)},
	}))(t).BrowserId
	b.settled()
	found := b.interfacesIn(t, where)
	if len(found) != 2 || found[0].InterfaceType != "agentic_ai" || len(found[0].TagSet) != 1 {
		t.Fatalf("network interfaces %+v", found)
	}
	b.getRole(t, network.Name)
	wantUsed(t, b.deleted(t, network.Name), b.Region, b.agentCoreARN("browser-custom/"+browser))
	must(b.AgentCore.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id}))(t)
	must(b.AgentCore.DeleteBrowser(t.Context(), &core.DeleteBrowserInput{BrowserId: &browser}))(t)
	b.settled()
	if still := b.interfacesIn(t, where); len(still) != 2 {
		t.Errorf("network interfaces %+v when what needed them is gone", still)
	}
	wantUsed(t, b.deleted(t, network.Name), b.Region, "arn:aws:ec2:"+b.Region+":"+b.Account+":network-interface/"+aws.ToString(found[0].NetworkInterfaceId))
	b.getRole(t, network.Name)
}

// tellsNetworks checks what Get shows of resources in a VPC.
func tellsNetworks(t T, b *Backend) {
	b.linked.Lock()
	defer b.linked.Unlock()
	ctx, role, where := t.Context(), b.agentCoreRole(t, agentCoreService), b.subnets(1)
	want := func(what, mode string, got *types.VpcConfig) {
		t.Helper()
		if mode != "VPC" || got == nil || !slices.Equal(got.Subnets, where) || !slices.Equal(got.SecurityGroups, []string{"sg-12345678"}) {
			t.Errorf("%s: mode %s, %+v", what, mode, got)
		}
	}
	network := &types.NetworkConfiguration{NetworkMode: types.NetworkModeVpc, NetworkModeConfig: inSubnets(where)}
	in := runtimeInput(b.underscored("runtime"), role)
	in.NetworkConfiguration = network
	id := must(b.AgentCore.CreateAgentRuntime(ctx, in))(t).AgentRuntimeId
	runtime := must(b.AgentCore.GetAgentRuntime(ctx, &core.GetAgentRuntimeInput{AgentRuntimeId: id}))(t).NetworkConfiguration
	want("runtime", string(runtime.NetworkMode), runtime.NetworkModeConfig)

	id = must(b.AgentCore.CreateBrowser(ctx, &core.CreateBrowserInput{
		Name: aws.String(b.underscored("browser")), NetworkConfiguration: &types.BrowserNetworkConfiguration{NetworkMode: types.BrowserNetworkModeVpc, VpcConfig: inSubnets(where)},
	}))(t).BrowserId
	browser := must(b.AgentCore.GetBrowser(ctx, &core.GetBrowserInput{BrowserId: id}))(t).NetworkConfiguration
	want("browser", string(browser.NetworkMode), browser.VpcConfig)

	id = must(b.AgentCore.CreateCodeInterpreter(ctx, &core.CreateCodeInterpreterInput{
		Name: aws.String(b.underscored("interpreter")), NetworkConfiguration: &types.CodeInterpreterNetworkConfiguration{NetworkMode: types.CodeInterpreterNetworkModeVpc, VpcConfig: inSubnets(where)},
	}))(t).CodeInterpreterId
	interpreter := must(b.AgentCore.GetCodeInterpreter(ctx, &core.GetCodeInterpreterInput{CodeInterpreterId: id}))(t).NetworkConfiguration
	want("code interpreter", string(interpreter.NetworkMode), interpreter.VpcConfig)

	id = must(b.AgentCore.CreateHarness(ctx, &core.CreateHarnessInput{
		HarnessName: aws.String(b.underscored("harness")), ExecutionRoleArn: &role,
		Environment: &types.HarnessEnvironmentProviderRequestMemberAgentCoreRuntimeEnvironment{Value: types.HarnessAgentCoreRuntimeEnvironmentRequest{NetworkConfiguration: network}},
	}))(t).Harness.HarnessId
	harness := must(b.AgentCore.GetHarness(ctx, &core.GetHarnessInput{HarnessId: id}))(t).Harness
	environment, ok := harness.Environment.(*types.HarnessEnvironmentProviderMemberAgentCoreRuntimeEnvironment)
	if !ok {
		t.Fatalf("environment %+v", harness.Environment)
	}
	want("harness", string(environment.Value.NetworkConfiguration.NetworkMode), environment.Value.NetworkConfiguration.NetworkModeConfig)

	id = aws.String(must(holders()["harness"].make(ctx, b.AgentCore, b.underscored("harness"), role))(t))
	harness = must(b.AgentCore.GetHarness(ctx, &core.GetHarnessInput{HarnessId: id}))(t).Harness
	environment, ok = harness.Environment.(*types.HarnessEnvironmentProviderMemberAgentCoreRuntimeEnvironment)
	if !ok || environment.Value.NetworkConfiguration == nil || environment.Value.NetworkConfiguration.NetworkMode != types.NetworkModePublic {
		t.Errorf("a harness of which nothing was asked: %+v", harness.Environment)
	}

	in = runtimeInput(b.underscored("runtime"), role)
	in.NetworkConfiguration = &types.NetworkConfiguration{NetworkMode: types.NetworkModeVpc}
	_, err := b.AgentCore.CreateAgentRuntime(ctx, in)
	wantCode(t, "in a VPC without a subnet", err, "ValidationException")
}

// tellsAuthorizers checks what Get shows of who may call, and what Update makes of it.
func tellsAuthorizers(t T, b *Backend) {
	b.linked.Lock()
	defer b.linked.Unlock()
	ctx, role := t.Context(), b.agentCoreRole(t, agentCoreService)
	jwt := &types.AuthorizerConfigurationMemberCustomJWTAuthorizer{Value: types.CustomJWTAuthorizerConfiguration{
		DiscoveryUrl: aws.String("https://idp.example.com/.well-known/openid-configuration"), AllowedClients: []string{"client"},
		PrivateEndpointOverrides: []types.PrivateEndpointOverride{{Domain: aws.String("idp.example.com"), PrivateEndpoint: privately()}},
	}}
	want := func(what string, got types.AuthorizerConfiguration) {
		t.Helper()
		a, ok := got.(*types.AuthorizerConfigurationMemberCustomJWTAuthorizer)
		if !ok || len(a.Value.PrivateEndpointOverrides) != 1 || !managed(a.Value.PrivateEndpointOverrides[0].PrivateEndpoint) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	in := runtimeInput(b.underscored("runtime"), role)
	in.AuthorizerConfiguration = jwt
	runtime := must(b.AgentCore.CreateAgentRuntime(ctx, in))(t).AgentRuntimeId
	want("runtime", must(b.AgentCore.GetAgentRuntime(ctx, &core.GetAgentRuntimeInput{AgentRuntimeId: runtime}))(t).AuthorizerConfiguration)

	gateway := must(b.AgentCore.CreateGateway(ctx, &core.CreateGatewayInput{
		Name: aws.String(b.fresh("gateway")), RoleArn: &role, AuthorizerType: types.AuthorizerTypeCustomJwt, AuthorizerConfiguration: jwt,
	}))(t).GatewayId
	want("gateway", must(b.AgentCore.GetGateway(ctx, &core.GetGatewayInput{GatewayIdentifier: gateway}))(t).AuthorizerConfiguration)

	payments := must(b.AgentCore.CreatePaymentManager(ctx, &core.CreatePaymentManagerInput{
		Name: aws.String(strings.ReplaceAll(b.fresh("payments"), "-", "")), RoleArn: &role, AuthorizerType: types.PaymentsAuthorizerTypeCustomJwt, AuthorizerConfiguration: jwt,
	}))(t).PaymentManagerId
	want("payment manager", must(b.AgentCore.GetPaymentManager(ctx, &core.GetPaymentManagerInput{PaymentManagerId: payments}))(t).AuthorizerConfiguration)

	harness := must(b.AgentCore.CreateHarness(ctx, &core.CreateHarnessInput{
		HarnessName: aws.String(b.underscored("harness")), ExecutionRoleArn: &role, AuthorizerConfiguration: jwt,
	}))(t).Harness.HarnessId
	want("harness", must(b.AgentCore.GetHarness(ctx, &core.GetHarnessInput{HarnessId: harness}))(t).Harness.AuthorizerConfiguration)

	made := *must(b.AgentCore.CreateRegistry(ctx, &core.CreateRegistryInput{
		Name: aws.String(b.fresh("registry")), AuthorizerType: types.RegistryAuthorizerTypeCustomJwt, AuthorizerConfiguration: jwt,
	}))(t).RegistryArn
	registry := aws.String(made[strings.LastIndexByte(made, '/')+1:])
	b.settled()
	got := must(b.AgentCore.GetRegistry(ctx, &core.GetRegistryInput{RegistryId: registry}))(t)
	want("registry", got.AuthorizerConfiguration)
	for kind, found := range map[types.RegistryAuthorizerType]bool{types.RegistryAuthorizerTypeCustomJwt: true, types.RegistryAuthorizerTypeAwsIam: false} {
		listed := must(b.AgentCore.ListRegistries(ctx, &core.ListRegistriesInput{MaxResults: aws.Int32(100), AuthorizerType: kind}))(t).Registries
		i := slices.IndexFunc(listed, func(r types.RegistrySummary) bool { return aws.ToString(r.RegistryId) == *registry })
		if i >= 0 != found || found && (listed[i].Status != "READY" || !listed[i].UpdatedAt.Equal(*got.UpdatedAt)) {
			t.Errorf("registries with authorizer %s: %+v", kind, listed)
		}
	}

	// It can be taken away again where Update leaves what it does not name.
	must(b.AgentCore.UpdateRegistry(ctx, &core.UpdateRegistryInput{RegistryId: registry, Description: &types.UpdatedDescription{OptionalValue: aws.String("new")}}))(t)
	b.settled()
	want("a registry that is described anew", must(b.AgentCore.GetRegistry(ctx, &core.GetRegistryInput{RegistryId: registry}))(t).AuthorizerConfiguration)
	must(b.AgentCore.UpdateRegistry(ctx, &core.UpdateRegistryInput{RegistryId: registry, AuthorizerConfiguration: &types.UpdatedAuthorizerConfiguration{}}))(t)
	b.settled()
	if got := must(b.AgentCore.GetRegistry(ctx, &core.GetRegistryInput{RegistryId: registry}))(t); got.AuthorizerConfiguration != nil || aws.ToString(got.Description) != "new" {
		t.Errorf("authorizer %+v, description %s", got.AuthorizerConfiguration, aws.ToString(got.Description))
	}
	must(b.AgentCore.UpdateGateway(ctx, &core.UpdateGatewayInput{GatewayIdentifier: gateway, Name: aws.String(b.fresh("gateway")), RoleArn: &role, AuthorizerType: types.AuthorizerTypeAwsIam}))(t)
	b.settled()
	if got := must(b.AgentCore.GetGateway(ctx, &core.GetGatewayInput{GatewayIdentifier: gateway}))(t); got.AuthorizerConfiguration != nil || got.Status != "READY" {
		t.Errorf("gateway %s: authorizer %+v", got.Status, got.AuthorizerConfiguration)
	}

	// The last of them keeps their role; then it goes, for other cases want it gone.
	must(b.AgentCore.DeleteRegistry(ctx, &core.DeleteRegistryInput{RegistryId: registry}))(t)
	must(b.AgentCore.DeleteHarness(ctx, &core.DeleteHarnessInput{HarnessId: harness}))(t)
	must(b.AgentCore.DeletePaymentManager(ctx, &core.DeletePaymentManagerInput{PaymentManagerId: payments}))(t)
	identity := desired.IdentityNetwork()
	wantUsed(t, b.deleted(t, identity.Name), b.Region, b.agentCoreARN("runtime/"+*runtime))
	must(b.AgentCore.DeleteAgentRuntime(ctx, &core.DeleteAgentRuntimeInput{AgentRuntimeId: runtime}))(t)
	b.settled()
	if got := b.deleted(t, identity.Name); got.Status != "SUCCEEDED" {
		t.Errorf("the deletion of its role: %s, %+v", got.Status, got.Reason)
	}
}

func hasTargets(t T, b *Backend) {
	ctx := t.Context()
	gateway := must(b.AgentCore.CreateGateway(ctx, &core.CreateGatewayInput{
		Name: aws.String(b.fresh("gateway")), RoleArn: aws.String(b.agentCoreRole(t, agentCoreService)), AuthorizerType: types.AuthorizerTypeAwsIam,
	}))(t).GatewayId
	b.settled()
	target := func(name string, endpoint types.PrivateEndpoint) *core.CreateGatewayTargetInput {
		return &core.CreateGatewayTargetInput{GatewayIdentifier: gateway, Name: &name, PrivateEndpoint: endpoint, TargetConfiguration: &types.TargetConfigurationMemberMcp{
			Value: &types.McpTargetConfigurationMemberMcpServer{Value: types.McpServerTargetConfiguration{Endpoint: aws.String("https://mcp.example.com")}},
		}}
	}
	private := must(b.AgentCore.CreateGatewayTarget(ctx, target("private", privately())))(t)
	public := must(b.AgentCore.CreateGatewayTarget(ctx, target("public", nil)))(t)
	_, err := b.AgentCore.CreateGatewayTarget(ctx, target("public", nil))
	wantCode(t, "a second one of the name", err, "ConflictException")
	b.settled()
	got := must(b.AgentCore.GetGatewayTarget(ctx, &core.GetGatewayTargetInput{GatewayIdentifier: gateway, TargetId: private.TargetId}))(t)
	if !managed(got.PrivateEndpoint) || got.Status != "READY" || aws.ToString(got.GatewayArn) != b.agentCoreARN("gateway/"+*gateway) {
		t.Errorf("%+v", got)
	}
	var listed []string
	for token := (*string)(nil); len(listed) == 0 || token != nil; {
		out := must(b.AgentCore.ListGatewayTargets(ctx, &core.ListGatewayTargetsInput{GatewayIdentifier: gateway, MaxResults: aws.Int32(1), NextToken: token}))(t)
		for _, i := range out.Items {
			listed = append(listed, fmt.Sprint(*i.Name, i.Status, i.UpdatedAt.IsZero()))
		}
		token = out.NextToken
	}
	if slices.Sort(listed); !slices.Equal(listed, []string{"privateREADYfalse", "publicREADYfalse"}) {
		t.Errorf("listed %q", listed)
	}
	gateways := desired.GatewayNetwork()
	wantUsed(t, b.deleted(t, gateways.Name), b.Region, b.agentCoreARN("gateway/"+*gateway+"/target/"+*private.TargetId))
	must(b.AgentCore.UpdateGatewayTarget(ctx, &core.UpdateGatewayTargetInput{
		GatewayIdentifier: gateway, TargetId: private.TargetId, Name: aws.String("private"), TargetConfiguration: target("", nil).TargetConfiguration,
	}))(t)
	b.settled()
	if got := must(b.AgentCore.GetGatewayTarget(ctx, &core.GetGatewayTargetInput{GatewayIdentifier: gateway, TargetId: private.TargetId}))(t); got.PrivateEndpoint != nil {
		t.Errorf("after an update without it: %+v", got.PrivateEndpoint)
	}
	remove := func() error {
		_, err := b.AgentCore.DeleteGateway(ctx, &core.DeleteGatewayInput{GatewayIdentifier: gateway})
		return err
	}
	wantCode(t, "delete a gateway with targets", remove(), "ValidationException")
	other := must(b.AgentCore.CreateGateway(ctx, &core.CreateGatewayInput{
		Name: aws.String(b.fresh("gateway")), RoleArn: aws.String(b.agentCoreRole(t, agentCoreService)), AuthorizerType: types.AuthorizerTypeAwsIam,
	}))(t).GatewayId
	_, err = b.AgentCore.GetGatewayTarget(ctx, &core.GetGatewayTargetInput{GatewayIdentifier: other, TargetId: public.TargetId})
	wantCode(t, "get it from another gateway", err, "ResourceNotFoundException")
	for _, id := range []*string{private.TargetId, public.TargetId} {
		must(b.AgentCore.DeleteGatewayTarget(ctx, &core.DeleteGatewayTargetInput{GatewayIdentifier: gateway, TargetId: id}))(t)
	}
	b.settled()
	_, err = b.AgentCore.GetGatewayTarget(ctx, &core.GetGatewayTargetInput{GatewayIdentifier: gateway, TargetId: private.TargetId})
	wantCode(t, "get what is gone", err, "ResourceNotFoundException")
	wantCode(t, "delete the gateway", remove(), "")
	b.settled()
	_, err = b.AgentCore.ListGatewayTargets(ctx, &core.ListGatewayTargetsInput{GatewayIdentifier: gateway})
	wantCode(t, "list the targets of what is gone", err, "ResourceNotFoundException")
}
