package awsfake_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	coretypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/awsfake"
)

const (
	networkRole     = "AWSServiceRoleForBedrockAgentCoreNetwork"
	networkService  = "network.bedrock-agentcore.amazonaws.com"
	identityRole    = "AWSServiceRoleForBedrockAgentCoreIdentity"
	identityService = "identity-network.bedrock-agentcore.amazonaws.com"
)

// linkedRole makes the service-linked role of a service.
func linkedRole(t *testing.T, c *awsfake.Cloud, service string) *types.Role {
	t.Helper()
	out, err := c.IAM("t").CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: &service})
	if err != nil {
		t.Fatal(err)
	}
	return out.Role
}

// deleteLinked asks for the deletion of a service-linked role.
func deleteLinked(t *testing.T, c *awsfake.Cloud, name string) (task string) {
	t.Helper()
	out, err := c.IAM("t").DeleteServiceLinkedRole(t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *out.DeletionTaskId
}

// deletionOf gives the status of a deletion, with the reason and what uses the role
// if it failed; or the code of the error.
func deletionOf(t *testing.T, c *awsfake.Cloud, task string) string {
	t.Helper()
	out, err := c.IAM("other").GetServiceLinkedRoleDeletionStatus(t.Context(), &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: &task})
	if err != nil {
		return code(err)
	}
	told := []string{string(out.Status)}
	if out.Reason != nil {
		told = append(told, *out.Reason.Reason)
		for _, u := range out.Reason.RoleUsageList {
			told = append(told, *u.Region+"="+strings.Join(u.Resources, ","))
		}
	}
	return strings.Join(told, "; ")
}

func inVPC(subnets ...string) *coretypes.NetworkConfiguration {
	return &coretypes.NetworkConfiguration{
		NetworkMode: coretypes.NetworkModeVpc, NetworkModeConfig: &coretypes.VpcConfig{Subnets: subnets, SecurityGroups: []string{"sg-12345678"}},
	}
}

// runtimeInVPC makes a runtime in a VPC.
func runtimeInVPC(t *testing.T, c *awsfake.Cloud, name string, subnets ...string) (id string) {
	t.Helper()
	out, err := c.AgentCore("t").CreateAgentRuntime(t.Context(), &core.CreateAgentRuntimeInput{
		AgentRuntimeName: &name, RoleArn: aws.String(roleOf(t, c)), AgentRuntimeArtifact: artifact(), NetworkConfiguration: inVPC(subnets...),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	return *out.AgentRuntimeId
}

// roleOf gives the role of all runtimes here, which is made if there is none.
func roleOf(t *testing.T, c *awsfake.Cloud) string {
	t.Helper()
	if !slices.Contains(c.RoleNames(), "runtimes") {
		return makeRole(t, c, "runtimes", runtimeTrust)
	}
	return "arn:aws:iam::" + c.Account + ":role/runtimes"
}

// interfaces gives the subnets of AgentCore's network interfaces, sorted.
func interfaces(t *testing.T, c *awsfake.Cloud) string {
	t.Helper()
	out, err := c.EC2("t").DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag:AmazonBedrockAgentCoreManaged"), Values: []string{"true"}}},
	})
	if err != nil {
		return code(err)
	}
	var subnets []string
	for _, i := range out.NetworkInterfaces {
		subnets = append(subnets, *i.SubnetId)
	}
	return strings.Join(slices.Sorted(slices.Values(subnets)), " ")
}

func TestADeletionOfAServiceLinkedRoleTakesItsTime(t *testing.T) {
	c := awsfake.New()
	linkedRole(t, c, networkService)
	task := deleteLinked(t, c, networkRole)
	if !strings.HasPrefix(task, "task/aws-service-role/"+networkService+"/"+networkRole+"/") {
		t.Errorf("task %s", task)
	}
	for _, step := range []struct {
		pass  time.Duration
		want  string
		roles int
	}{{0, "NOT_STARTED", 1}, {10 * time.Second, "IN_PROGRESS", 1}, {49 * time.Second, "IN_PROGRESS", 1}, {time.Second, "SUCCEEDED", 0}, {24 * time.Hour, "SUCCEEDED", 0}} {
		c.Advance(step.pass)
		if got := deletionOf(t, c, task); got != step.want || len(c.RoleNames()) != step.roles {
			t.Errorf("after %s more: %s, roles %q", step.pass, got, c.RoleNames())
		}
		if step.want == "IN_PROGRESS" {
			if again := deleteLinked(t, c, networkRole); again != task {
				t.Errorf("asked again: task %s, first %s", again, task)
			}
		}
	}
	if _, err := c.IAM("t").DeleteServiceLinkedRole(t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(networkRole)}); code(err) != "NoSuchEntity" {
		t.Errorf("delete what is gone: %v", err)
	}
	linkedRole(t, c, networkService)
	if again := deleteLinked(t, c, networkRole); again == task || deletionOf(t, c, task) != "SUCCEEDED" {
		t.Errorf("a new role's task %s, the old one's %s", again, task)
	}
}

func TestADeletionEndsAsATestSays(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*awsfake.Cloud)
		want string
		gone bool
	}{
		"by itself":          {func(*awsfake.Cloud) {}, "SUCCEEDED", true},
		"with a reason":      {func(c *awsfake.Cloud) { c.FailLinkedDeletion(networkRole, "sessions are active") }, "FAILED; sessions are active", false},
		"no longer with one": {func(c *awsfake.Cloud) { c.FailLinkedDeletion(networkRole, "x"); c.FailLinkedDeletion(networkRole, "") }, "SUCCEEDED", true},
		"forgotten":          {func(c *awsfake.Cloud) { c.ForgetLinkedDeletions(networkRole) }, "NoSuchEntity", false},
		"forgotten afterwards": {func(c *awsfake.Cloud) {
			c.Advance(time.Minute)
			c.ForgetLinkedDeletions(networkRole)
		}, "NoSuchEntity", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := awsfake.New()
			linkedRole(t, c, networkService)
			task := deleteLinked(t, c, networkRole)
			test.do(c)
			c.Advance(time.Minute)
			if got, gone := deletionOf(t, c, task), len(c.RoleNames()) == 0; got != test.want || gone != test.gone {
				t.Errorf("%s, gone %v", got, gone)
			}
		})
	}
}

// What nobody asks about ends all the same, and in the order of time.
func TestADeletionIsJudgedWhenItsTimeIsOver(t *testing.T) {
	c := awsfake.New()
	id := runtimeInVPC(t, c, "agent", "subnet-a")
	c.LingerNetworkInterfaces(time.Minute)
	if err := remove(t, c.AgentCore("t"), id); err != nil {
		t.Fatal(err)
	}
	early := deleteLinked(t, c, networkRole)
	c.Advance(time.Hour)
	if got := deletionOf(t, c, early); !strings.HasPrefix(got, "FAILED; ") {
		t.Errorf("a deletion that ended before the network interfaces: %s", got)
	}
	late := deleteLinked(t, c, networkRole)
	c.Advance(time.Minute)
	if got := deletionOf(t, c, late); got != "SUCCEEDED" {
		t.Errorf("a later one: %s", got)
	}
}

func TestOnlyAServiceLinkedRoleIsDeletedAsOne(t *testing.T) {
	for name, path := range map[string]string{"Own": "/", networkRole: "/", "AWSServiceRoleForX": "/aws-service-role/x.amazonaws.com/"} {
		c := awsfake.New()
		if _, err := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, Path: &path, AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.IAM("t").DeleteServiceLinkedRole(t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: &name}); code(err) != "NoSuchEntity" {
			t.Errorf("%s%s: %v", path, name, err)
		}
	}
}

func TestAgentCoreMakesTheServiceLinkedRolesThatAreMissing(t *testing.T) {
	c := awsfake.New()
	runtimeInVPC(t, c, "agent", "subnet-a")
	want := []string{networkRole, "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity", "runtimes"}
	if got := c.RoleNames(); !slices.Equal(got, want) {
		t.Errorf("roles %q, want %q", got, want)
	}
	var told []string
	for _, ch := range c.LinkedChanges() {
		told = append(told, fmt.Sprint(ch.Service, ch.Role, ch.Gone))
	}
	if slices.Sort(told); len(told) != 2 || told[0] != networkService+networkRole+"false" || len(c.LinkedChanges()) > 0 {
		t.Errorf("told of %q", told)
	}
	runtimeInVPC(t, c, "another", "subnet-b")
	if more := c.LinkedChanges(); len(more) > 0 {
		t.Errorf("told of %+v", more)
	}
	linkedRole(t, c, identityService)
	deleteLinked(t, c, identityRole)
	c.Advance(time.Hour)
	if gone := c.LinkedChanges(); len(gone) != 1 || !gone[0].Gone || gone[0].Role != identityRole || !gone[0].Time.Equal(c.Now().Add(-59*time.Minute)) {
		t.Errorf("told of %+v", gone)
	}
	stranger := awsfake.New()
	makeRole(t, stranger, networkRole, trust)
	_, err := stranger.AgentCore("t").CreateAgentRuntime(t.Context(), &core.CreateAgentRuntimeInput{
		AgentRuntimeName: aws.String("agent"), RoleArn: aws.String(roleOf(t, stranger)), AgentRuntimeArtifact: artifact(), NetworkConfiguration: inVPC("subnet-a"),
	})
	if code(err) != "ValidationException" {
		t.Errorf("where a role of the name is somebody's own: %v", err)
	}
}

func TestEveryKindNeedsItsServiceLinkedRoles(t *testing.T) {
	const prefix = "AWSServiceRoleForBedrockAgentCore"
	endpoint := &coretypes.PrivateEndpointMemberManagedVpcResource{Value: coretypes.ManagedVpcResource{
		VpcIdentifier: aws.String("vpc-12345678"), SubnetIds: []string{"subnet-12345678"}, EndpointIpAddressType: coretypes.EndpointIpAddressTypeIpv4,
	}}
	own := &coretypes.PrivateEndpointMemberSelfManagedLatticeResource{Value: &coretypes.SelfManagedLatticeResourceMemberResourceConfigurationIdentifier{Value: "rcfg-1"}}
	jwt := func(e coretypes.PrivateEndpoint) coretypes.AuthorizerConfiguration {
		return &coretypes.AuthorizerConfigurationMemberCustomJWTAuthorizer{Value: coretypes.CustomJWTAuthorizerConfiguration{DiscoveryUrl: aws.String("https://idp.example.com"), PrivateEndpoint: e}}
	}
	vpc := &coretypes.VpcConfig{Subnets: []string{"subnet-a"}, SecurityGroups: []string{"sg-a"}}
	runtime := func(n *coretypes.NetworkConfiguration, a coretypes.AuthorizerConfiguration) func(*core.Client, string) error {
		return func(c *core.Client, role string) error {
			_, err := c.CreateAgentRuntime(t.Context(), &core.CreateAgentRuntimeInput{
				AgentRuntimeName: aws.String("a"), RoleArn: &role, AgentRuntimeArtifact: artifact(), NetworkConfiguration: n, AuthorizerConfiguration: a,
			})
			return err
		}
	}
	browser := func(n coretypes.BrowserNetworkConfiguration) func(*core.Client, string) error {
		return func(c *core.Client, _ string) error {
			_, err := c.CreateBrowser(t.Context(), &core.CreateBrowserInput{Name: aws.String("a"), NetworkConfiguration: &n})
			return err
		}
	}
	harness := func(n *coretypes.NetworkConfiguration) func(*core.Client, string) error {
		return func(c *core.Client, role string) error {
			_, err := c.CreateHarness(t.Context(), &core.CreateHarnessInput{HarnessName: aws.String("a"), ExecutionRoleArn: &role,
				Environment: &coretypes.HarnessEnvironmentProviderRequestMemberAgentCoreRuntimeEnvironment{Value: coretypes.HarnessAgentCoreRuntimeEnvironmentRequest{NetworkConfiguration: n}}})
			return err
		}
	}
	gateway := func(a coretypes.AuthorizerConfiguration) func(*core.Client, string) error {
		return func(c *core.Client, role string) error {
			_, err := c.CreateGateway(t.Context(), &core.CreateGatewayInput{Name: aws.String("g"), RoleArn: &role, AuthorizerType: coretypes.AuthorizerTypeCustomJwt, AuthorizerConfiguration: a})
			return err
		}
	}
	for name, test := range map[string]struct {
		make func(*core.Client, string) error
		want string
	}{
		"a runtime":                       {runtime(nil, nil), "RuntimeIdentity"},
		"a runtime in a VPC":              {runtime(inVPC("subnet-a"), nil), "Network RuntimeIdentity"},
		"a runtime with a private issuer": {runtime(nil, jwt(endpoint)), "Identity RuntimeIdentity"},
		"a runtime with an own lattice":   {runtime(nil, jwt(own)), "RuntimeIdentity"},
		"a browser":                       {browser(coretypes.BrowserNetworkConfiguration{NetworkMode: coretypes.BrowserNetworkModePublic}), ""},
		"a browser in a VPC":              {browser(coretypes.BrowserNetworkConfiguration{NetworkMode: coretypes.BrowserNetworkModeVpc, VpcConfig: vpc}), "Network"},
		"a harness":                       {harness(nil), ""},
		"a harness in a VPC":              {harness(inVPC("subnet-a")), "Network"},
		"a gateway":                       {gateway(jwt(nil)), ""},
		"a gateway with a private issuer": {gateway(jwt(endpoint)), "Identity"},
		"a capacity provider": {func(c *core.Client, role string) error {
			_, err := c.CreateCapacityProvider(t.Context(), &core.CreateCapacityProviderInput{
				Name: aws.String("a"), PermissionsConfiguration: &coretypes.PermissionsConfiguration{CapacityProviderOperatorRoleArn: &role},
				ComputeConfiguration: &coretypes.ComputeConfigurationMemberEc2Configuration{Value: coretypes.Ec2Configuration{
					LaunchTemplateSource: &coretypes.LaunchTemplateSourceMemberLaunchParameters{Value: coretypes.LaunchParameters{
						OperatingSystem: "LINUX", InstanceRequirements: &coretypes.InstanceRequirements{AllowedInstanceTypes: []string{"m7g.large"}},
					}},
					VpcConfiguration: &coretypes.VpcConfiguration{Subnets: []string{"subnet-a"}, SecurityGroups: []string{"sg-a"}},
				}},
			})
			return err
		}, "RuntimeInstances"},
	} {
		t.Run(name, func(t *testing.T) {
			c := awsfake.New()
			if err := test.make(c.AgentCore("t"), roleOf(t, c)); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range c.RoleNames() {
				if of, linked := strings.CutPrefix(r, prefix); linked {
					got = append(got, of)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("roles %q, want %s", got, test.want)
			}
		})
	}
}

func TestAGatewayTakesTargetsWhenItIsReady(t *testing.T) {
	c := awsfake.New()
	gateway, err := c.AgentCore("t").CreateGateway(t.Context(), &core.CreateGatewayInput{Name: aws.String("g"), RoleArn: aws.String(roleOf(t, c)), AuthorizerType: coretypes.AuthorizerTypeAwsIam})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ConflictException", "<nil>"} {
		_, err := c.AgentCore("t").CreateGatewayTarget(t.Context(), &core.CreateGatewayTargetInput{GatewayIdentifier: gateway.GatewayId, Name: aws.String("t"), TargetConfiguration: &coretypes.TargetConfigurationMemberMcp{
			Value: &coretypes.McpTargetConfigurationMemberMcpServer{Value: coretypes.McpServerTargetConfiguration{Endpoint: aws.String("https://mcp.example.com")}},
		}})
		if code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
		c.Advance(time.Minute)
	}
}

func TestNetworkInterfacesAreSharedAndLinger(t *testing.T) {
	c := awsfake.New()
	c.AddNetworkInterface("subnet-z", map[string]string{"AmazonBedrockAgentCoreManaged": "false"})
	first, second := runtimeInVPC(t, c, "first", "subnet-a", "subnet-b"), runtimeInVPC(t, c, "second", "subnet-b", "subnet-a")
	if got := interfaces(t, c); got != "subnet-a subnet-b" {
		t.Errorf("subnets %q", got)
	}
	if _, err := c.AgentCore("t").UpdateAgentRuntime(t.Context(), &core.UpdateAgentRuntimeInput{
		AgentRuntimeId: &first, RoleArn: aws.String(roleOf(t, c)), AgentRuntimeArtifact: artifact(), NetworkConfiguration: inVPC("subnet-c"),
	}); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	if err := remove(t, c.AgentCore("t"), second); err != nil {
		t.Fatal(err)
	}
	c.Advance(24 * time.Hour)
	if got := interfaces(t, c); got != "subnet-a subnet-b subnet-c" {
		t.Errorf("subnets of the versions of a runtime: %q", got)
	}
	if _, err := c.AgentCore("t").DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &first, AgentRuntimeVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		pass time.Duration
		want string
	}{{time.Minute, "subnet-a subnet-b subnet-c"}, {8*time.Hour - 1, "subnet-a subnet-b subnet-c"}, {1, "subnet-c"}} {
		c.Advance(step.pass)
		if got := interfaces(t, c); got != step.want {
			t.Errorf("%s later: %q, want %q", step.pass, got, step.want)
		}
	}
	if err := remove(t, c.AgentCore("t"), first); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	runtimeInVPC(t, c, "third", "subnet-c") // before they went
	c.Advance(24 * time.Hour)
	if got := interfaces(t, c); got != "subnet-c" {
		t.Errorf("subnets %q of what is needed again", got)
	}
}

func TestNetworkInterfacesStayFromTheEndOfTheLastThatNeedsThem(t *testing.T) {
	c := awsfake.New()
	first, second := runtimeInVPC(t, c, "first", "subnet-a"), runtimeInVPC(t, c, "second", "subnet-a")
	for _, id := range []string{second, first} {
		if err := remove(t, c.AgentCore("t"), id); err != nil {
			t.Fatal(err)
		}
		c.SettleAgentCore(time.Minute, 2*time.Minute)
	}
	c.LingerNetworkInterfaces(time.Hour)
	c = c.Clone()
	c.Advance(time.Hour + time.Minute) // from the end of the first to go
	if got := interfaces(t, c); got != "subnet-a" {
		t.Errorf("subnets %q", got)
	}
	c.Advance(time.Minute)
	if got := interfaces(t, c); got != "" {
		t.Errorf("subnets %q", got)
	}
}

// A resource whose deletion fails keeps what it has.
func TestAFailedDeletionKeepsNetworkInterfaces(t *testing.T) {
	c := awsfake.New()
	id := runtimeInVPC(t, c, "agent", "subnet-a")
	if err := remove(t, c.AgentCore("t"), id); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second)
	_ = interfaces(t, c)
	c.FailAgentCoreDeletion(id, true)
	c.Advance(24 * time.Hour)
	if got := interfaces(t, c); got != "subnet-a" {
		t.Errorf("subnets %q", got)
	}
}

func TestNetworkInterfacesComeInPages(t *testing.T) {
	c := awsfake.New()
	for i := range 12 {
		c.AddNetworkInterface(fmt.Sprintf("subnet-%02d", i), nil)
	}
	runtimeInVPC(t, c, "agent", "subnet-a")
	pages := func(in ec2.DescribeNetworkInterfacesInput) string {
		t.Helper()
		var sizes []string
		for {
			out, err := c.EC2("t").DescribeNetworkInterfaces(t.Context(), &in)
			if err != nil {
				return code(err)
			}
			sizes = append(sizes, fmt.Sprint(len(out.NetworkInterfaces)))
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return strings.Join(sizes, " ")
			}
		}
	}
	filter := func(name, value string) []ec2types.Filter {
		return []ec2types.Filter{{Name: &name, Values: []string{value}}}
	}
	for name, test := range map[string]struct {
		in   ec2.DescribeNetworkInterfacesInput
		want string
	}{
		"all at once":           {ec2.DescribeNetworkInterfacesInput{}, "13"},
		"in fives":              {ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(5)}, "5 5 3"},
		"in fours":              {ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(4)}, "InvalidParameterValue"},
		"too many":              {ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(1001)}, "InvalidParameterValue"},
		"by type":               {ec2.DescribeNetworkInterfacesInput{Filters: filter("interface-type", "agentic_ai")}, "1"},
		"by a tag of nobody":    {ec2.DescribeNetworkInterfacesInput{Filters: filter("tag:AmazonBedrockAgentCoreManaged", "false")}, "0"},
		"by what is not known":  {ec2.DescribeNetworkInterfacesInput{Filters: filter("tags", "x")}, "InvalidParameterValue"},
		"from nobody's token":   {ec2.DescribeNetworkInterfacesInput{NextToken: aws.String("x")}, "InvalidNextToken"},
		"by id, not known here": {ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-1"}}, "NotImplemented"},
	} {
		if got := pages(test.in); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	c.PageNetworkInterfaces(10)
	if got := pages(ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(1000)}); got != "10 3" {
		t.Errorf("pages of %s", got)
	}
}

func TestAReportOnLastAccessesIsItsAskers(t *testing.T) {
	c := awsfake.New()
	role := linkedRole(t, c, networkService)
	used := c.Now().Add(-time.Hour)
	c.UseRoleIn(networkRole, "eu-west-1", used)
	ask := func(caller string) string {
		t.Helper()
		out, err := c.IAM(caller).GenerateServiceLastAccessedDetails(t.Context(), &iam.GenerateServiceLastAccessedDetailsInput{Arn: role.Arn})
		if err != nil {
			t.Fatal(err)
		}
		return *out.JobId
	}
	read := func(caller, job string) string {
		t.Helper()
		out, err := c.IAM(caller).GetServiceLastAccessedDetails(t.Context(), &iam.GetServiceLastAccessedDetailsInput{JobId: &job})
		if err != nil {
			return code(err)
		}
		told := []string{string(out.JobStatus)}
		for _, s := range out.ServicesLastAccessed {
			told = append(told, *s.ServiceNamespace, aws.ToString(s.LastAuthenticatedRegion), aws.ToTime(s.LastAuthenticated).Format(time.TimeOnly))
		}
		return strings.Join(told, " ")
	}
	elsewhere := "arn:aws:iam::" + c.Account + ":role/" + networkRole
	if _, err := c.IAM("t").GenerateServiceLastAccessedDetails(t.Context(), &iam.GenerateServiceLastAccessedDetailsInput{Arn: &elsewhere}); code(err) != "NoSuchEntity" {
		t.Errorf("about a role of the name in another path: %v", err)
	}
	job := ask("one")
	if got := read("one", job); got != "IN_PROGRESS" {
		t.Errorf("at once: %s", got)
	}
	c.Advance(5 * time.Second)
	if got, want := read("one", job), "COMPLETED ec2 eu-west-1 "+used.Format(time.TimeOnly); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := read("other", job); got != "NoSuchEntity" {
		t.Errorf("for somebody else: %s", got)
	}
	c.FailAccessReports(networkRole, true)
	if got := read("one", job); got != "FAILED" {
		t.Errorf("one that fails: %s", got)
	}
	c.FailAccessReports(networkRole, false)
	c.ForgetAccessReports(networkRole)
	if got := read("one", job); got != "NoSuchEntity" {
		t.Errorf("a forgotten one: %s", got)
	}
	c.Advance(400 * 24 * time.Hour)
	job = ask("one")
	c.Advance(5 * time.Second)
	if got := read("one", job); got != "COMPLETED ec2  00:00:00" || !usedAt(t, c, networkRole).IsZero() {
		t.Errorf("400 days later: %s, used %v", got, usedAt(t, c, networkRole))
	}
}

func TestAReportComesInPages(t *testing.T) {
	c := awsfake.New()
	service := "runtime-instances.bedrock-agentcore.amazonaws.com"
	asked, err := c.IAM("t").GenerateServiceLastAccessedDetails(t.Context(), &iam.GenerateServiceLastAccessedDetailsInput{Arn: linkedRole(t, c, service).Arn})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(5 * time.Second)
	var all []string
	for marker, more := (*string)(nil), true; more; {
		out, err := c.IAM("t").GetServiceLastAccessedDetails(t.Context(), &iam.GetServiceLastAccessedDetailsInput{JobId: asked.JobId, MaxItems: aws.Int32(2), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.ServicesLastAccessed {
			all = append(all, *s.ServiceNamespace)
		}
		all, marker, more = append(all, "|"), out.Marker, out.IsTruncated
	}
	if got := strings.Join(all, " "); got != "autoscaling ec2 | events |" {
		t.Errorf("pages %s", got)
	}
	for _, most := range []int32{0, 1001} {
		if _, err := c.IAM("t").GetServiceLastAccessedDetails(t.Context(), &iam.GetServiceLastAccessedDetailsInput{JobId: asked.JobId, MaxItems: &most}); code(err) != "ValidationError" {
			t.Errorf("%d at once: %v", most, err)
		}
	}
}

func TestAWSChangesTheManagedPolicyOfAServiceLinkedRole(t *testing.T) {
	c := awsfake.New()
	arn := "arn:aws:iam::aws:policy/aws-service-role/BedrockAgentCoreRuntimeIdentityServiceRolePolicy"
	version := func(c *awsfake.Cloud) (version, document string) {
		t.Helper()
		p, err := c.IAM("t").GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: &arn})
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.IAM("t").GetPolicyVersion(t.Context(), &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: p.Policy.DefaultVersionId})
		if err != nil {
			t.Fatal(err)
		}
		return *p.Policy.DefaultVersionId, *v.PolicyVersion.Document
	}
	clone := c.Clone()
	if v, document := version(c); v != "v1" || !strings.Contains(document, "GetWorkloadAccessToken") {
		t.Errorf("version %s: %s", v, document)
	}
	c.AddPolicy(arn, `{"Version":"2012-10-17","Statement":[]}`)
	if v, document := version(c); v != "v2" || strings.Contains(document, "GetWorkloadAccessToken") {
		t.Errorf("version %s: %s", v, document)
	}
	if v, _ := version(clone); v != "v1" {
		t.Errorf("version %s of a clone made before", v)
	}
	c.Partition = "aws-cn"
	if _, err := c.IAM("t").GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: aws.String(strings.Replace(arn, "arn:aws:", "arn:aws-cn:", 1))}); err != nil {
		t.Errorf("in another partition: %v", err)
	}
}

func TestAnotherRegionHasItsOwnResourcesAndTheSameIAM(t *testing.T) {
	c := awsfake.New()
	there := c.Abroad("eu-west-1")
	if c.Abroad("eu-west-1") != there || there.Abroad(c.Region) != c {
		t.Error("a Region is not always the same")
	}
	id := runtimeInVPC(t, there, "agent", "subnet-a")
	if got := status(t, c.AgentCore("t"), id); got != "ResourceNotFoundException" || interfaces(t, c) != "" || status(t, there.AgentCore("t"), id) != "READY" {
		t.Errorf("at home: %s, network interfaces %q", got, interfaces(t, c))
	}
	if !there.Now().Equal(c.Now()) || !slices.Equal(c.RoleNames(), there.RoleNames()) {
		t.Errorf("%v and %v, roles %q and %q", c.Now(), there.Now(), c.RoleNames(), there.RoleNames())
	}
	calls := map[string]int{}
	for _, call := range c.Calls() {
		calls[call.Region+" "+call.Service]++
	}
	if want := map[string]int{"eu-west-1 iam": 1, "eu-west-1 bedrock-agentcore": 2, "us-east-1 bedrock-agentcore": 1, "us-east-1 ec2": 1}; !maps.Equal(calls, want) {
		t.Errorf("calls %v, want %v", calls, want)
	}
	task := deleteLinked(t, c, networkRole)
	clone := c.Clone()
	c.Advance(time.Minute)
	got, usage := deletionOf(t, c, task), c.LinkedUsage(networkService)
	if !strings.Contains(got, "; eu-west-1=arn:aws:bedrock-agentcore:eu-west-1:"+c.Account+":runtime/"+id+",arn:aws:ec2:eu-west-1:"+c.Account+":network-interface/eni-") {
		t.Errorf("the deletion: %s", got)
	}
	if len(usage) != 1 || *usage[0].Region != "eu-west-1" || len(usage[0].Resources) != 2 {
		t.Errorf("used by %+v", usage)
	}
	if err := remove(t, clone.Abroad("eu-west-1").AgentCore("t"), id); err != nil {
		t.Errorf("in a clone: %v", err)
	}
	clone.LingerNetworkInterfaces(0)
	clone.Advance(time.Hour)
	if usage := clone.LinkedUsage(networkService); len(usage) > 0 || len(c.LinkedUsage(networkService)) == 0 {
		t.Errorf("in the clone it is used by %+v; in the account by %+v", usage, c.LinkedUsage(networkService))
	}
	if got := deletionOf(t, clone, task); got != "SUCCEEDED" || !strings.HasPrefix(deletionOf(t, c, task), "FAILED") {
		t.Errorf("the deletion in the clone: %s; in the account: %s", got, deletionOf(t, c, task))
	}
}

func TestARegionThatIsNotEnabledRefusesEveryCall(t *testing.T) {
	c := awsfake.New()
	c.DisableRegion("ap-south-2")
	for what, one := range map[string]*awsfake.Cloud{"account": c, "clone": c.Clone()} {
		there := one.Abroad("ap-south-2")
		if _, err := there.AgentCore("t").ListAgentRuntimes(t.Context(), &core.ListAgentRuntimesInput{}); code(err) != "UnrecognizedClientException" {
			t.Errorf("%s: AgentCore: %v", what, err)
		}
		if got := interfaces(t, there); got != "AuthFailure" {
			t.Errorf("%s: EC2: %s", what, got)
		}
		if _, err := there.IAM("t").ListRoles(t.Context(), &iam.ListRolesInput{}); err != nil {
			t.Errorf("%s: IAM: %v", what, err)
		}
		if got := interfaces(t, one.Abroad("eu-west-1")); got != "" {
			t.Errorf("%s: a Region that is enabled: %s", what, got)
		}
	}
}

func TestCloudTrailHidesTheSecretOfAProvider(t *testing.T) {
	c := awsfake.New()
	var told []string
	c.WatchAgentCore(func(e awsfake.TrailEvent) { told = append(told, string(e.Detail)) })
	out, err := c.AgentCore("t").CreateOauth2CredentialProvider(t.Context(), &core.CreateOauth2CredentialProviderInput{
		Name: aws.String("idp"), CredentialProviderVendor: coretypes.CredentialProviderVendorTypeCustomOauth2,
		Oauth2ProviderConfigInput: &coretypes.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: coretypes.CustomOauth2ProviderConfigInput{
			OauthDiscovery: &coretypes.Oauth2DiscoveryMemberDiscoveryUrl{Value: "https://idp.example.com"}, ClientId: aws.String("id"), ClientSecret: aws.String("hush"),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || strings.Contains(told[0], "hush") || !json.Valid([]byte(told[0])) || !strings.Contains(told[0], `"ARN":"`+*out.CredentialProviderArn) {
		t.Errorf("told %q", told)
	}
}
