package proxy_test

import (
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
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
)

// testLinkedRoles has AgentCore make a service-linked role in another Region, and
// deletes it once nothing uses it any more.
func testLinkedRoles(t *testing.T, w world) {
	const role, abroad = "AWSServiceRoleForBedrockAgentCoreNetwork", "eu-west-1"
	const service = "network.bedrock-agentcore.amazonaws.com"
	ctx, c := t.Context(), iam.NewFromConfig(w.config("t"))
	there := w.config("t")
	there.Region = abroad
	browsers, interfaces := core.NewFromConfig(there), ec2.NewFromConfig(there)
	w.AgentCore().SettleLinkedRoles(0, 0)
	w.AgentCore().SettleAgentCore(0, 0)
	w.AgentCore().LingerNetworkInterfaces(time.Hour)
	deleteRole := func() *iam.GetServiceLinkedRoleDeletionStatusOutput {
		t.Helper()
		task, err := c.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(role)})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(*task.DeletionTaskId, "task/aws-service-role/"+service+"/"+role+"/") {
			t.Errorf("task %s", *task.DeletionTaskId)
		}
		out, err := c.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task.DeletionTaskId})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if _, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role)}); err == nil {
		deleteRole() // another test made it
	}
	before := len(w.bus.Events())
	made, err := browsers.CreateBrowser(ctx, &core.CreateBrowserInput{Name: aws.String("b"), NetworkConfiguration: &coretypes.BrowserNetworkConfiguration{
		NetworkMode: coretypes.BrowserNetworkModeVpc, VpcConfig: &coretypes.VpcConfig{Subnets: []string{"subnet-0123456789abcdef0"}, SecurityGroups: []string{"sg-0123456789abcdef0"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role)})
	if err != nil || *got.Role.Path != "/aws-service-role/"+service+"/" {
		t.Fatalf("AgentCore made no role: %+v, %v", got, err)
	}
	if events := w.bus.Events()[before:]; !slices.ContainsFunc(events, func(e bus.Event) bool {
		return e.Source == "aws.iam" && strings.Contains(string(e.Detail), `"eventName":"CreateServiceLinkedRole"`) && strings.Contains(string(e.Detail), `"aWSServiceName":"`+service+`"`)
	}) {
		t.Errorf("CloudTrail does not tell of it: %+v", events)
	}

	policy, err := c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/aws-service-role/BedrockAgentCoreNetworkServiceRolePolicy")})
	if err != nil {
		t.Fatal(err)
	}
	document, err := c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: policy.Policy.Arn, VersionId: policy.Policy.DefaultVersionId})
	if err != nil || !strings.Contains(*document.PolicyVersion.Document, "CreateNetworkInterface") {
		t.Errorf("its policy: %+v, %v", document, err)
	}

	details, err := c.GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{types.EntityTypeRole}, MaxItems: aws.Int32(1000)})
	if err != nil || !slices.ContainsFunc(details.RoleDetailList, func(d types.RoleDetail) bool {
		return *d.RoleName == role && len(d.AttachedManagedPolicies) == 1 && *d.AttachedManagedPolicies[0].PolicyArn == *policy.Policy.Arn
	}) {
		t.Errorf("its policy is not attached (%v)", err)
	}

	w.UseRoleIn(role, abroad, time.Now())
	got, err = c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role)})
	if err != nil || aws.ToString(got.Role.RoleLastUsed.Region) != abroad || time.Since(aws.ToTime(got.Role.RoleLastUsed.LastUsedDate)).Abs() > time.Minute {
		t.Errorf("last used %+v, %v", got.Role.RoleLastUsed, err)
	}
	job, err := c.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: got.Role.Arn})
	if err != nil {
		t.Fatal(err)
	}
	report, err := c.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: job.JobId})
	if err != nil || report.JobStatus != types.JobStatusTypeCompleted || !slices.ContainsFunc(report.ServicesLastAccessed, func(s types.ServiceLastAccessed) bool {
		return *s.ServiceNamespace == "ec2" && s.LastAuthenticated != nil && aws.ToString(s.LastAuthenticatedRegion) == abroad
	}) {
		t.Errorf("last accesses: %+v, %v", report, err)
	}

	if _, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("unlinked"), AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"unlinked": "NotImplemented", "of-nobody": "NoSuchEntity"} {
		arn := "arn:aws:iam::" + account + ":role/" + name
		if _, err := c.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{Arn: &arn}); code(err) != want {
			t.Errorf("a report on %s: %v, want %s", name, err, want)
		}
	}

	managed := func() int {
		t.Helper()
		out, err := interfaces.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []ec2types.Filter{{Name: aws.String("tag:AmazonBedrockAgentCoreManaged"), Values: []string{"true"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.NetworkInterfaces)
	}
	if n := managed(); n != 1 {
		t.Errorf("%d network interfaces", n)
	}
	status := deleteRole()
	if status.Status != types.DeletionTaskStatusTypeFailed || status.Reason == nil || len(status.Reason.RoleUsageList) != 1 ||
		*status.Reason.RoleUsageList[0].Region != abroad || !slices.Contains(status.Reason.RoleUsageList[0].Resources, *made.BrowserArn) {
		t.Errorf("the deletion of a role in use: %+v", status)
	}
	if _, err := c.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: aws.String("task/aws-service-role/" + service + "/" + role + "/none")}); code(err) != "NoSuchEntity" {
		t.Errorf("a task that there is not: %v", err)
	}

	w.AgentCore().LingerNetworkInterfaces(0)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := browsers.DeleteBrowser(ctx, &core.DeleteBrowserInput{BrowserId: made.BrowserId})
		if code(err) == "ResourceNotFoundException" && managed() == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the browser stays: %v", err)
		}
	}
	if status := deleteRole(); status.Status != types.DeletionTaskStatusTypeSucceeded {
		t.Errorf("the deletion of a role that nothing uses: %+v", status)
	}
	if _, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role)}); code(err) != "NoSuchEntity" {
		t.Errorf("the role is there: %v", err)
	}

	// Somebody's own role of the name is none that AgentCore can use.
	if _, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(strings.ToLower(role)), AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
	in := &core.CreateBrowserInput{Name: aws.String("c"), NetworkConfiguration: &coretypes.BrowserNetworkConfiguration{
		NetworkMode: coretypes.BrowserNetworkModeVpc, VpcConfig: &coretypes.VpcConfig{Subnets: []string{"subnet-0123456789abcdef0"}, SecurityGroups: []string{"sg-0123456789abcdef0"}},
	}}
	if _, err := browsers.CreateBrowser(ctx, in); code(err) != "ValidationException" || !strings.Contains(err.Error(), "Failed creating service linked role") {
		t.Errorf("a browser that needs a role whose name is taken: %v", err)
	}
	if _, err := c.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String(service)}); code(err) != "InvalidInput" {
		t.Errorf("a service-linked role whose name is taken: %v", err)
	}
	if _, err := c.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: aws.String(role)}); code(err) != "NoSuchEntity" {
		t.Errorf("the deletion of somebody's own role: %v", err)
	}
	if _, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String(strings.ToLower(role))}); err != nil {
		t.Fatal(err)
	}
	if _, err := browsers.CreateBrowser(ctx, in); err != nil {
		t.Errorf("a browser that needs a role whose name is free again: %v", err)
	}
	if _, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role)}); err != nil {
		t.Errorf("AgentCore made no role: %v", err)
	}

	w.AgentCore().DisableRegion("me-south-1")
	there.Region = "me-south-1"
	if _, err := core.NewFromConfig(there).ListBrowsers(ctx, &core.ListBrowsersInput{}); code(err) != "UnrecognizedClientException" {
		t.Errorf("a Region that is not enabled: %v", err)
	}
	if _, err := ec2.NewFromConfig(there).DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{}); code(err) != "AuthFailure" {
		t.Errorf("a Region that is not enabled: %v", err)
	}
}

func testInterfaces(t *testing.T, w world) {
	ctx, c := t.Context(), ec2.NewFromConfig(w.config("looker"))
	w.AgentCore().AddNetworkInterface("subnet-1", map[string]string{"owner": "so & so"})
	tag := &ec2.DescribeNetworkInterfacesInput{Filters: []ec2types.Filter{{Name: aws.String("tag:owner"), Values: []string{"nobody", "so & so"}}}}
	want, err := w.AgentCore().EC2("t").DescribeNetworkInterfaces(ctx, tag)
	if err != nil || len(want.NetworkInterfaces) != 1 {
		t.Fatalf("%+v, %v", want, err)
	}
	got, err := c.DescribeNetworkInterfaces(ctx, tag)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.NetworkInterfaces, got.NetworkInterfaces, cmpopts.IgnoreUnexported(ec2types.NetworkInterface{}, ec2types.Tag{}, ec2types.GroupIdentifier{})); diff != "" {
		t.Errorf("over HTTP (-want +got):\n%s", diff)
	}
	if _, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{}); code(err) != "NotImplemented" {
		t.Errorf("what is not part of EC2 here: %v", err)
	}
	for kind, want := range map[proxy.Kind]string{proxy.Throttle: "RequestLimitExceeded", proxy.Denied: "UnauthorizedOperation", proxy.ServerError: "InternalError"} {
		fault := w.InjectFault(proxy.Fault{Caller: "looker", Service: "ec2", Kind: kind})
		if _, err := c.DescribeNetworkInterfaces(ctx, tag); code(err) != want {
			t.Errorf("%s: %v, want %s", kind, err, want)
		}
		fault.Remove()
	}
	calls := w.Calls(proxy.Filter{Caller: "looker", Operation: "DescribeNetworkInterfaces"})
	if len(calls) != 4 || calls[0].Service != "ec2" || calls[0].Region != region || calls[0].Resource != "" || !calls[0].Committed {
		t.Errorf("calls %+v", calls)
	}
}

func testGapsOfServiceLinkedRoles(t *testing.T, direct world) {
	c := iam.NewFromConfig(direct.config("gaps"))
	out, err := c.GetServiceLinkedRoleDeletionStatus(t.Context(), &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: aws.String("task/of/nobody")})
	if err != nil || out.Status != types.DeletionTaskStatusTypeSucceeded {
		t.Errorf("moto now knows the deletions of service-linked roles (%+v, %v): see whether the fill-in can go", out, err)
	}
	if _, err := c.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{
		RoleName: aws.String("gap1"), PolicyArn: aws.String("arn:aws:iam::aws:policy/aws-service-role/BedrockAgentCoreNetworkServiceRolePolicy"),
	}); err != nil {
		t.Errorf("moto now keeps the policies of service-linked roles to them (%v): the fill-in can go", err)
	}
}
