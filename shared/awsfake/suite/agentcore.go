package suite

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// agentCoreRole makes a role that a service can assume for resources of the
// account, and gives its ARN.
func (b *Backend) agentCoreRole(t T, service string) string {
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole",` +
		`"Condition":{"StringEquals":{"aws:SourceAccount":"` + b.Account + `"},"ArnLike":{"aws:SourceArn":"` + b.agentCoreARN("*") + `"}}}]}`
	out := must(b.IAM.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String(b.fresh("role")), AssumeRolePolicyDocument: &trust}))(t)
	return *out.Role.Arn
}

const agentCoreService = "bedrock-agentcore.amazonaws.com"

func (b *Backend) agentCoreARN(resource string) string {
	return "arn:aws:bedrock-agentcore:" + b.Region + ":" + b.Account + ":" + resource
}

// underscored gives a name as AgentCore takes them.
func (b *Backend) underscored(kind string) string {
	return strings.ReplaceAll(b.fresh(kind), "-", "_")
}

func container() types.AgentRuntimeArtifact {
	return &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: aws.String("image")}}
}

func runtimeInput(name, role string) *core.CreateAgentRuntimeInput {
	return &core.CreateAgentRuntimeInput{
		AgentRuntimeName: &name, RoleArn: &role, AgentRuntimeArtifact: container(), Description: aws.String("what it does"),
		NetworkConfiguration: &types.NetworkConfiguration{NetworkMode: types.NetworkModePublic},
	}
}

// settled lets time pass until what was begun in AgentCore is done.
func (b *Backend) settled() { b.Pass(2 * time.Minute) }

// makeRuntime makes a runtime and waits until it is ready.
func (b *Backend) makeRuntime(t T, role string) (id string) {
	t.Helper()
	out := must(b.AgentCore.CreateAgentRuntime(t.Context(), runtimeInput(b.underscored("runtime"), role)))(t)
	b.settled()
	return *out.AgentRuntimeId
}

func (b *Backend) updateRuntime(t T, id, role string) *core.UpdateAgentRuntimeOutput {
	t.Helper()
	out := must(b.AgentCore.UpdateAgentRuntime(t.Context(), &core.UpdateAgentRuntimeInput{AgentRuntimeId: &id, RoleArn: &role, AgentRuntimeArtifact: container()}))(t)
	b.settled()
	return out
}

// listed finds a runtime in the listing.
func (b *Backend) listed(t T, id string) (model.RuntimeSummary, bool) {
	t.Helper()
	all := must(agentcore.New(b.AgentCore, nil, nil).Runtimes(t.Context()))(t)
	i := slices.IndexFunc(all, func(r model.RuntimeSummary) bool { return r.ID == id })
	if i < 0 {
		return model.RuntimeSummary{}, false
	}
	return all[i], true
}

func runtimeCases() []testCase {
	return []testCase{
		{"a runtime is made with a role that AgentCore can assume, under a name of its own", func(t T, b *Backend) {
			role, name := b.agentCoreRole(t, agentCoreService), b.underscored("runtime")
			for what, in := range map[string]*core.CreateAgentRuntimeInput{
				"no role":         runtimeInput(name, "arn:aws:iam::"+b.Account+":role/"+b.fresh("role")),
				"another trust":   runtimeInput(name, b.agentCoreRole(t, "codebuild.amazonaws.com")),
				"another account": runtimeInput(name, strings.Replace(role, b.Account, "999999999999", 1)),
				"a hyphen":        runtimeInput("a-b", role),
				"a digit first":   runtimeInput("1a", role),
				"a long name":     runtimeInput(strings.Repeat("a", 49), role),
			} {
				_, err := b.AgentCore.CreateAgentRuntime(t.Context(), in)
				wantCode(t, what, err, "ValidationException")
			}
			out := must(b.AgentCore.CreateAgentRuntime(t.Context(), runtimeInput(name, role)))(t)
			id := *out.AgentRuntimeId
			if !strings.HasPrefix(id, name+"-") || len(id) != len(name)+11 || *out.AgentRuntimeArn != b.agentCoreARN("runtime/"+id) || *out.AgentRuntimeVersion != "1" || out.Status != "CREATING" {
				t.Errorf("made %s, %s, version %s, status %s", id, *out.AgentRuntimeArn, *out.AgentRuntimeVersion, out.Status)
			}
			b.settled()
			got := must(b.AgentCore.GetAgentRuntime(t.Context(), &core.GetAgentRuntimeInput{AgentRuntimeId: &id}))(t)
			image, _ := got.AgentRuntimeArtifact.(*types.AgentRuntimeArtifactMemberContainerConfiguration)
			if *got.RoleArn != role || got.Status != "READY" || *got.AgentRuntimeName != name || image == nil || *image.Value.ContainerUri != "image" || *got.Description != "what it does" {
				t.Errorf("%+v", got)
			}
			_, err := b.AgentCore.CreateAgentRuntime(t.Context(), runtimeInput(name, role))
			wantCode(t, "the same name", err, "ConflictException")
		}},
		{"every version of a runtime keeps its role, and named endpoints keep their version", func(t T, b *Backend) {
			first, second := b.agentCoreRole(t, agentCoreService), b.agentCoreRole(t, agentCoreService)
			id, client := b.makeRuntime(t, first), agentcore.New(b.AgentCore, nil, nil)
			must(b.AgentCore.CreateAgentRuntimeEndpoint(t.Context(), &core.CreateAgentRuntimeEndpointInput{AgentRuntimeId: &id, Name: aws.String("pinned")}))(t)
			before, _ := b.listed(t, id)
			out := b.updateRuntime(t, id, second)
			if *out.AgentRuntimeVersion != "2" || out.Status != "UPDATING" {
				t.Errorf("version %s, status %s", *out.AgentRuntimeVersion, out.Status)
			}
			after, _ := b.listed(t, id)
			if after.Version != "2" || after.Status != "READY" || before.Version != "1" || before.Updated >= after.Updated || after.ARN != b.agentCoreARN("runtime/"+id) {
				t.Errorf("listed %+v, then %+v", before, after)
			}
			if versions := must(client.Versions(t.Context(), id))(t); !slices.Equal(versions, []string{"1", "2"}) {
				t.Errorf("versions %q", versions)
			}
			for version, want := range map[string]string{"": second, "1": first, "2": second} {
				role, status, err := client.RuntimeRole(t.Context(), id, version)
				if err != nil || role != want || status != "READY" {
					t.Errorf("version %q: role %s, status %s, %v; want %s", version, role, status, err, want)
				}
			}
			live := map[string]string{}
			for _, e := range must(client.Endpoints(t.Context(), id))(t) {
				live[e.Name] = e.Live + e.Target + e.Status
			}
			if !maps.Equal(live, map[string]string{"DEFAULT": "22READY", "pinned": "11READY"}) {
				t.Errorf("endpoints %v", live)
			}
		}},
		{"a runtime is gone some time after it was deleted", func(t T, b *Backend) {
			id, client := b.makeRuntime(t, b.agentCoreRole(t, agentCoreService)), agentcore.New(b.AgentCore, nil, nil)
			if _, there := b.listed(t, id); !there {
				t.Errorf("%s is not listed", id)
			}
			out := must(b.AgentCore.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id}))(t)
			if out.Status != "DELETING" || aws.ToString(out.AgentRuntimeId) != id || out.AgentRuntimeVersion != nil {
				t.Errorf("answer %+v", out)
			}
			b.settled()
			_, _, err := client.RuntimeRole(t.Context(), id, "")
			wantFault(t, "its role", err, fault.Unknown, fault.ErrNotFound)
			_, err = client.Versions(t.Context(), id)
			wantFault(t, "its versions", err, fault.Unknown, fault.ErrNotFound)
			if endpoints := must(client.Endpoints(t.Context(), id))(t); len(endpoints) > 0 {
				t.Errorf("endpoints %v", endpoints)
			}
			if _, there := b.listed(t, id); there {
				t.Errorf("%s is listed", id)
			}
			_, err = b.AgentCore.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id})
			wantCode(t, "delete again", err, "ResourceNotFoundException")
		}},
		{"a version of a runtime is deleted alone, when no endpoint leads to it", func(t T, b *Backend) {
			role := b.agentCoreRole(t, agentCoreService)
			id, client := b.makeRuntime(t, role), agentcore.New(b.AgentCore, nil, nil)
			b.updateRuntime(t, id, role)
			remove := func(version string) (*core.DeleteAgentRuntimeOutput, error) {
				return b.AgentCore.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: &version})
			}
			_, err := remove("2")
			wantCode(t, "the newest", err, "ConflictException")
			_, err = remove("3")
			wantCode(t, "none", err, "ResourceNotFoundException")
			out := must(remove("1"))(t)
			if out.Status != "DELETING" || aws.ToString(out.AgentRuntimeVersion) != "1" {
				t.Errorf("answer %+v", out)
			}
			b.settled()
			_, _, err = client.RuntimeRole(t.Context(), id, "1")
			wantFault(t, "its role", err, fault.Unknown, fault.ErrNotFound)
			if versions := must(client.Versions(t.Context(), id))(t); !slices.Equal(versions, []string{"2"}) {
				t.Errorf("versions %q", versions)
			}
			if r, there := b.listed(t, id); !there || r.Status != "READY" {
				t.Errorf("the runtime: %+v", r)
			}
		}},
		{"listings of AgentCore come in pages", func(t T, b *Backend) {
			id := b.makeRuntime(t, b.agentCoreRole(t, agentCoreService))
			for _, name := range []string{"a", "b"} {
				must(b.AgentCore.CreateAgentRuntimeEndpoint(t.Context(), &core.CreateAgentRuntimeEndpointInput{AgentRuntimeId: &id, Name: &name}))(t)
			}
			var names []string
			for token := (*string)(nil); len(names) == 0 || token != nil; {
				out := must(b.AgentCore.ListAgentRuntimeEndpoints(t.Context(), &core.ListAgentRuntimeEndpointsInput{AgentRuntimeId: &id, MaxResults: aws.Int32(1), NextToken: token}))(t)
				if len(out.RuntimeEndpoints) != 1 {
					t.Fatalf("a page of %d", len(out.RuntimeEndpoints))
				}
				names, token = append(names, *out.RuntimeEndpoints[0].Name), out.NextToken
			}
			if slices.Sort(names); !slices.Equal(names, []string{"DEFAULT", "a", "b"}) {
				t.Errorf("endpoints %q", names)
			}
			for what, in := range map[string]*core.ListAgentRuntimesInput{
				"an empty page": {MaxResults: aws.Int32(0)}, "a long page": {MaxResults: aws.Int32(101)}, "a token of nobody": {NextToken: aws.String("x")},
			} {
				_, err := b.AgentCore.ListAgentRuntimes(t.Context(), in)
				wantCode(t, what, err, "ValidationException")
			}
		}},
		{"CloudTrail tells of calls that change AgentCore, also of those that fail", tellsOfChanges},
	}
}

// record is what is looked at of an event about a call.
type record struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		EventSource, EventName, ErrorCode   string
		RequestParameters, ResponseElements map[string]any
		Resources                           []struct{ ARN, Type string }
		UserIdentity                        struct{ ARN string }
	} `json:"detail"`
}

func tellsOfChanges(t T, b *Backend) {
	role := b.agentCoreRole(t, agentCoreService)
	id := b.makeRuntime(t, role)
	b.updateRuntime(t, id, role)
	remove := func(version *string) error {
		_, err := b.AgentCore.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: version})
		return err
	}
	wantCode(t, "delete the newest version", remove(aws.String("2")), "ConflictException")
	wantCode(t, "delete version 1", remove(aws.String("1")), "")
	wantCode(t, "delete", remove(nil), "")

	var got []record
	for range 100 {
		batch := b.Receive(t, b.Trail, 10)
		b.Done(t, b.Trail, batch)
		for _, m := range batch.Records {
			var r record
			wantNil(t, "the event", json.Unmarshal([]byte(m.Body), &r))
			asked, answered := r.Detail.RequestParameters, r.Detail.ResponseElements
			if asked["agentRuntimeId"] == id || answered["agentRuntimeId"] == id {
				got = append(got, r)
			}
		}
		if len(got) == 5 {
			break
		}
		b.Pass(10 * time.Second)
	}
	slices.SortStableFunc(got, func(a, b record) int { return strings.Compare(a.Detail.EventName, b.Detail.EventName) })
	var told []string
	for _, r := range got {
		d := r.Detail
		if r.Source != "aws.bedrock-agentcore" || r.DetailType != "AWS API Call via CloudTrail" || d.EventSource != agentCoreService || !strings.Contains(d.UserIdentity.ARN, ":assumed-role/suite/") {
			t.Errorf("event %+v", r)
		}
		failed := d.ErrorCode != ""
		if failed != (d.ResponseElements == nil) || !failed && (len(d.Resources) != 1 || d.Resources[0].ARN != b.agentCoreARN("runtime/"+id) || d.Resources[0].Type != "AWS::BedrockAgentCore::Runtime") {
			t.Errorf("event %+v", r)
		}
		version, _ := d.RequestParameters["agentRuntimeVersion"].(string)
		told = append(told, strings.Trim(d.EventName+" "+version+" "+d.ErrorCode, " "))
	}
	slices.Sort(told)
	want := []string{"CreateAgentRuntime", "DeleteAgentRuntime", "DeleteAgentRuntime 1", "DeleteAgentRuntime 2 ConflictException", "UpdateAgentRuntime"}
	if !slices.Equal(told, want) {
		t.Fatalf("told of %q, want %q", told, want)
	}
	made := got[0].Detail
	if made.RequestParameters["roleArn"] != role || made.RequestParameters["description"] != "***" || made.ResponseElements["status"] != "CREATING" {
		t.Errorf("told of its making: %+v", made)
	}
}

// holder makes and deletes resources of a kind.
type holder struct {
	prefix, ready string // of ARNs; the status of what has been made
	make          func(ctx context.Context, c *core.Client, name, role string) (id string, err error)
	delete        func(ctx context.Context, c *core.Client, id string) error
}

// idOf gives the id in an answer, if there was one.
func idOf(err error, id func() *string) (string, error) {
	if err != nil {
		return "", err
	}
	return *id(), nil
}

// holders are the kinds beside runtimes that hold a role, as in model.Use.
func holders() map[string]holder {
	return map[string]holder{
		"browser": {"browser-custom/", "READY", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateBrowser(ctx, &core.CreateBrowserInput{
				Name: &name, ExecutionRoleArn: &role, NetworkConfiguration: &types.BrowserNetworkConfiguration{NetworkMode: types.BrowserNetworkModePublic},
			})
			return idOf(err, func() *string { return out.BrowserId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteBrowser(ctx, &core.DeleteBrowserInput{BrowserId: &id})
			return err
		}},
		"capacity-provider": {"capacity-provider/", "READY", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateCapacityProvider(ctx, &core.CreateCapacityProviderInput{
				Name: &name, PermissionsConfiguration: &types.PermissionsConfiguration{CapacityProviderOperatorRoleArn: &role},
				ComputeConfiguration: &types.ComputeConfigurationMemberEc2Configuration{Value: types.Ec2Configuration{
					LaunchTemplateSource: &types.LaunchTemplateSourceMemberLaunchParameters{Value: types.LaunchParameters{
						OperatingSystem: "LINUX", InstanceRequirements: &types.InstanceRequirements{AllowedInstanceTypes: []string{"m7g.large"}},
					}},
					VpcConfiguration: &types.VpcConfiguration{Subnets: []string{"subnet-12345678"}, SecurityGroups: []string{"sg-12345678"}},
				}},
			})
			return idOf(err, func() *string { return out.CapacityProviderId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteCapacityProvider(ctx, &core.DeleteCapacityProviderInput{CapacityProviderId: &id})
			return err
		}},
		"code-interpreter": {"code-interpreter-custom/", "READY", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateCodeInterpreter(ctx, &core.CreateCodeInterpreterInput{
				Name: &name, ExecutionRoleArn: &role, NetworkConfiguration: &types.CodeInterpreterNetworkConfiguration{NetworkMode: types.CodeInterpreterNetworkModeSandbox},
			})
			return idOf(err, func() *string { return out.CodeInterpreterId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteCodeInterpreter(ctx, &core.DeleteCodeInterpreterInput{CodeInterpreterId: &id})
			return err
		}},
		"consent-portal": {"consent-portal/", "ACTIVE", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateConsentPortal(ctx, &core.CreateConsentPortalInput{
				Name: &name, ExecutionRoleArn: &role, Sources: []types.ConsentPortalSource{},
				IdpConfig: &types.ConsentPortalIdpConfig{CredentialProviderArn: aws.String("arn"), Scopes: []string{"openid"}},
			})
			return idOf(err, func() *string { return out.ConsentPortalId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteConsentPortal(ctx, &core.DeleteConsentPortalInput{ConsentPortalIdentifier: &id})
			return err
		}},
		"gateway": {"gateway/", "READY", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateGateway(ctx, &core.CreateGatewayInput{Name: &name, RoleArn: &role, AuthorizerType: types.AuthorizerTypeAwsIam})
			return idOf(err, func() *string { return out.GatewayId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteGateway(ctx, &core.DeleteGatewayInput{GatewayIdentifier: &id})
			return err
		}},
		"harness": {"harness/", "READY", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateHarness(ctx, &core.CreateHarnessInput{HarnessName: &name, ExecutionRoleArn: &role})
			return idOf(err, func() *string { return out.Harness.HarnessId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteHarness(ctx, &core.DeleteHarnessInput{HarnessId: &id})
			return err
		}},
		"memory": {"memory/", "ACTIVE", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateMemory(ctx, &core.CreateMemoryInput{Name: &name, MemoryExecutionRoleArn: &role, EventExpiryDuration: aws.Int32(7)})
			return idOf(err, func() *string { return out.Memory.Id })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteMemory(ctx, &core.DeleteMemoryInput{MemoryId: &id})
			return err
		}},
		"online-evaluation-config": {"online-evaluation-config/", "ACTIVE", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreateOnlineEvaluationConfig(ctx, &core.CreateOnlineEvaluationConfigInput{
				OnlineEvaluationConfigName: &name, EvaluationExecutionRoleArn: &role, EnableOnCreate: aws.Bool(true),
				Rule: &types.Rule{SamplingConfig: &types.SamplingConfig{SamplingPercentage: aws.Float64(1)}},
				DataSourceConfig: &types.DataSourceConfigMemberCloudWatchLogs{Value: types.CloudWatchLogsInputConfig{
					LogGroupNames: []string{"group"}, ServiceNames: []string{"service"},
				}},
			})
			return idOf(err, func() *string { return out.OnlineEvaluationConfigId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeleteOnlineEvaluationConfig(ctx, &core.DeleteOnlineEvaluationConfigInput{OnlineEvaluationConfigId: &id})
			return err
		}},
		"payment-manager": {"payment-manager/", "READY", func(ctx context.Context, c *core.Client, name, role string) (string, error) {
			out, err := c.CreatePaymentManager(ctx, &core.CreatePaymentManagerInput{Name: &name, RoleArn: &role, AuthorizerType: types.PaymentsAuthorizerTypeAwsIam})
			return idOf(err, func() *string { return out.PaymentManagerId })
		}, func(ctx context.Context, c *core.Client, id string) error {
			_, err := c.DeletePaymentManager(ctx, &core.DeletePaymentManagerInput{PaymentManagerId: &id})
			return err
		}},
	}
}

// used gives what holds a role beside runtimes, by kind.
func (b *Backend) used(t T, role string) map[string]model.Use {
	t.Helper()
	found := map[string]model.Use{}
	for _, u := range must(agentcore.New(b.AgentCore, nil, nil).Others(t.Context()))(t) {
		if u.Role == role {
			found[u.Kind] = u
		}
	}
	return found
}

func useCases() []testCase {
	return []testCase{
		{"agentcore finds everything beside runtimes that holds a role", func(t T, b *Backend) {
			role, ids, want := b.agentCoreRole(t, agentCoreService), map[string]string{}, map[string]model.Use{}
			for kind, h := range holders() {
				name := strings.ReplaceAll(b.fresh("holder"), "-", "")
				id, err := h.make(t.Context(), b.AgentCore, name, role)
				if err != nil {
					t.Fatalf("make a %s: %v", kind, err)
				}
				ids[kind], want[kind] = id, model.Use{Role: role, ARN: b.agentCoreARN(h.prefix + id), Kind: kind, Status: h.ready}
				_, err = h.make(t.Context(), b.AgentCore, name+"b", "arn:aws:iam::"+b.Account+":role/"+b.fresh("role"))
				wantCode(t, "a "+kind+" without its role", err, "ValidationException")
				_, err = h.make(t.Context(), b.AgentCore, name, role)
				wantCode(t, "a second "+kind, err, "ConflictException")
			}
			b.settled()
			if got := b.used(t, role); !maps.Equal(got, want) {
				t.Errorf("used by %v, want %v", got, want)
			}
			for kind, h := range holders() {
				wantNil(t, "delete a "+kind, h.delete(t.Context(), b.AgentCore, ids[kind]))
			}
			b.settled()
			if got := b.used(t, role); len(got) > 0 {
				t.Errorf("used by %v when all are deleted", got)
			}
		}},
		{"an old version of a harness keeps its role", func(t T, b *Backend) {
			first, second := b.agentCoreRole(t, agentCoreService), b.agentCoreRole(t, agentCoreService)
			id := must(holders()["harness"].make(t.Context(), b.AgentCore, b.underscored("harness"), first))(t)
			b.settled()
			must(b.AgentCore.UpdateHarness(t.Context(), &core.UpdateHarnessInput{HarnessId: &id, ExecutionRoleArn: &second}))(t)
			b.settled()
			for _, role := range []string{first, second} {
				if len(b.used(t, role)) != 1 {
					t.Errorf("nothing uses %s", role)
				}
			}
		}},
		{"buildproject finds every project that has a role", func(t T, b *Backend) {
			p, _ := b.makeProject(t, succeeds)
			all := must(buildproject.NewReader(b.CodeBuild).Uses(t.Context()))(t)
			if want := (model.Use{Role: p.ServiceRole, ARN: p.ARN, Kind: "project"}); !slices.Contains(all, want) {
				t.Errorf("%v is not in %v", want, all)
			}
		}},
	}
}
