package suite

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

// deleteLinked asks for the deletion of a service-linked role.
func (b *Backend) deleteLinked(t T, name string) (task string) {
	t.Helper()
	return aws.ToString(must(b.IAM.DeleteServiceLinkedRole(t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: &name}))(t).DeletionTaskId)
}

func (b *Backend) deletion(t T, task string) *iam.GetServiceLinkedRoleDeletionStatusOutput {
	t.Helper()
	return must(b.IAM.GetServiceLinkedRoleDeletionStatus(t.Context(), &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: &task}))(t)
}

// deleted has a service-linked role deleted and gives how that ended.
func (b *Backend) deleted(t T, name string) *iam.GetServiceLinkedRoleDeletionStatusOutput {
	t.Helper()
	task := b.deleteLinked(t, name)
	b.settled()
	return b.deletion(t, task)
}

// wantUsed checks that a deletion failed because of what uses the role, by Region;
// a resource that is given stands for the beginning of an ARN.
func wantUsed(t T, got *iam.GetServiceLinkedRoleDeletionStatusOutput, region, resource string) {
	t.Helper()
	if got.Status != iamtypes.DeletionTaskStatusTypeFailed || got.Reason == nil || aws.ToString(got.Reason.Reason) == "" {
		t.Fatalf("the deletion: %s, %+v", got.Status, got.Reason)
	}
	for _, u := range got.Reason.RoleUsageList {
		if aws.ToString(u.Region) == region && slices.ContainsFunc(u.Resources, func(r string) bool { return strings.HasPrefix(r, resource) }) {
			return
		}
	}
	t.Errorf("%s in %s is not among what uses the role: %+v", resource, region, got.Reason.RoleUsageList)
}

// privately is the connection to a VPC that AgentCore makes.
func privately() types.PrivateEndpoint {
	return &types.PrivateEndpointMemberManagedVpcResource{Value: types.ManagedVpcResource{
		VpcIdentifier: aws.String("vpc-12345678"), SubnetIds: []string{"subnet-12345678"}, EndpointIpAddressType: types.EndpointIpAddressTypeIpv4,
	}}
}

// makeProvider makes an OAuth2 credential provider of which the identity provider
// is in a VPC.
func (b *Backend) makeProvider(t T, c *core.Client) (name string) {
	t.Helper()
	name = b.fresh("provider")
	must(c.CreateOauth2CredentialProvider(t.Context(), &core.CreateOauth2CredentialProviderInput{
		Name: &name, CredentialProviderVendor: types.CredentialProviderVendorTypeCustomOauth2,
		Oauth2ProviderConfigInput: &types.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: types.CustomOauth2ProviderConfigInput{
			OauthDiscovery: &types.Oauth2DiscoveryMemberDiscoveryUrl{Value: "https://idp.example.com/.well-known/openid-configuration"},
			ClientId:       aws.String("id"), ClientSecret: aws.String("secret"), PrivateEndpoint: privately(),
		}},
	}))(t)
	return name
}

func (b *Backend) deleteProvider(t T, c *core.Client, name string) {
	t.Helper()
	must(c.DeleteOauth2CredentialProvider(t.Context(), &core.DeleteOauth2CredentialProviderInput{Name: &name}))(t)
	b.settled()
}

func linkedCases() []testCase {
	identity := desired.IdentityNetwork()
	return []testCase{
		{"the managed policies of service-linked roles can be read, and are attached to no other role", func(t T, b *Backend) {
			own := b.makeRole(t)
			for _, l := range desired.AllServiceLinkedRoles() {
				arn := l.PolicyARN("aws")
				p := must(b.IAM.GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: &arn}))(t).Policy
				v := must(b.IAM.GetPolicyVersion(t.Context(), &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: p.DefaultVersionId}))(t).PolicyVersion
				text, err := url.PathUnescape(aws.ToString(v.Document))
				if err != nil {
					t.Errorf("%s: %v", arn, err)
				}
				if d, err := policy.Parse(text); err != nil || len(d.Statements) == 0 || aws.ToTime(p.UpdateDate).IsZero() {
					t.Errorf("%s of %v is %s (%v)", arn, p.UpdateDate, text, err)
				}
				_, err = b.IAM.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &own, PolicyArn: &arn})
				wantCode(t, "attach "+arn, err, "PolicyNotAttachable")
			}
			gateways := desired.GatewayNetwork()
			b.linkedRole(t, gateways.Service, gateways.Name)
			attached := must(b.IAM.ListAttachedRolePolicies(t.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: &gateways.Name}))(t).AttachedPolicies
			if len(attached) != 1 || aws.ToString(attached[0].PolicyArn) != gateways.PolicyARN("aws") {
				t.Errorf("attached: %+v", attached)
			}
		}},
		{"a service-linked role that nothing uses goes some time after it was to be deleted", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			b.linkedRole(t, identity.Service, identity.Name)
			task := b.deleteLinked(t, identity.Name)
			if again := b.deleteLinked(t, identity.Name); !strings.HasPrefix(task, "task/aws-service-role/"+identity.Service+"/"+identity.Name+"/") || again != task {
				t.Errorf("task %s, then %s", task, again)
			}
			if got := b.deletion(t, task); got.Status != iamtypes.DeletionTaskStatusTypeNotStarted && got.Status != iamtypes.DeletionTaskStatusTypeInProgress || got.Reason != nil {
				t.Errorf("at once: %s, %+v", got.Status, got.Reason)
			}
			b.settled()
			b.wantNoRole(t, identity.Name)
			if got := b.deletion(t, task); got.Status != iamtypes.DeletionTaskStatusTypeSucceeded || got.Reason != nil {
				t.Errorf("in the end: %s, %+v", got.Status, got.Reason)
			}
			_, err := b.IAM.DeleteServiceLinkedRole(t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: &identity.Name})
			wantCode(t, "delete what is gone", err, "NoSuchEntity")
		}},
		{"only a service-linked role is deleted as one, and only tasks are told of", func(t T, b *Backend) {
			for what, name := range map[string]string{"an own role": b.makeRole(t), "no role": b.fresh("role")} {
				_, err := b.IAM.DeleteServiceLinkedRole(t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: &name})
				wantCode(t, what, err, "NoSuchEntity")
			}
			task := "task/aws-service-role/" + identity.Service + "/" + identity.Name + "/00000000-0000-4000-8000-000000000000"
			_, err := b.IAM.GetServiceLinkedRoleDeletionStatus(t.Context(), &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: &task})
			wantCode(t, "a task of nobody", err, "NoSuchEntity")
		}},
		{"AgentCore makes a service-linked role that it needs, and keeps it as long as it does", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			provider := b.makeProvider(t, b.AgentCore)
			if got := b.getRole(t, identity.Name); aws.ToString(got.Path) != identity.Path() {
				t.Errorf("path %s", aws.ToString(got.Path))
			}
			wantUsed(t, b.deleted(t, identity.Name), b.Region, b.agentCoreARN("token-vault/default/oauth2credentialprovider/"+provider))
			b.getRole(t, identity.Name)
			b.deleteProvider(t, b.AgentCore, provider)
			if got := b.deleted(t, identity.Name); got.Status != iamtypes.DeletionTaskStatusTypeSucceeded {
				t.Errorf("when nothing uses it: %s, %+v", got.Status, got.Reason)
			}
		}},
		{"a service-linked role is kept by what uses it in another Region", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			there := b.abroad(t, b.Abroad)
			provider := b.makeProvider(t, there.AgentCore)
			wantUsed(t, b.deleted(t, identity.Name), there.Name, strings.Replace(b.agentCoreARN("token-vault/default/oauth2credentialprovider/"+provider), b.Region, there.Name, 1))
			_, err := b.AgentCore.GetOauth2CredentialProvider(t.Context(), &core.GetOauth2CredentialProviderInput{Name: &provider})
			wantCode(t, "get it at home", err, "ResourceNotFoundException")
			b.deleteProvider(t, there.AgentCore, provider)
			if got := b.deleted(t, identity.Name); got.Status != iamtypes.DeletionTaskStatusTypeSucceeded {
				t.Errorf("when nothing uses it: %s, %+v", got.Status, got.Reason)
			}
		}},
		{"a report on last accesses takes a while", reports},
		{"slrole follows a deletion to its end", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			ctx, k := t.Context(), slrole.NewKeeper(b.IAM)
			provider := b.makeProvider(t, b.AgentCore)
			role := b.getRole(t, identity.Name)
			if o := must(k.Observe(ctx, identity.Name))(t); o.ARN != aws.ToString(role.Arn) || o.ID != aws.ToString(role.RoleId) || o.Path != identity.Path() || !o.Created.Equal(*role.CreateDate) {
				t.Errorf("observed %+v", o)
			}
			end := func() model.LinkedDeletion {
				t.Helper()
				task := must(k.Delete(ctx, identity.Name))(t)
				if got := must(k.Deletion(ctx, task))(t); got.State != model.DeletionRunning {
					t.Errorf("at once: %+v", got)
				}
				b.settled()
				return must(k.Deletion(ctx, task))(t)
			}
			if got := end(); got.State != model.DeletionFailed || got.Reason == "" || len(got.Usage) == 0 || got.Usage[0].Region != b.Region || len(got.Usage[0].Resources) == 0 {
				t.Errorf("of a role that is used: %+v", got)
			}
			b.deleteProvider(t, b.AgentCore, provider)
			if got := end(); got.State != model.DeletionSucceeded {
				t.Errorf("of one that is not: %+v", got)
			}
			_, err := k.Observe(ctx, identity.Name)
			wantFault(t, "observe what is gone", err, fault.Unknown, fault.ErrNotFound)
		}},
		{"slrole reads when a role was last used, and what its policy says", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			ctx, k, network := t.Context(), slrole.NewKeeper(b.IAM), desired.Network()
			arn, at := aws.ToString(b.linkedRole(t, network.Service, network.Name).Arn), time.Date(2026, 11, 20, 11, 30, 15, 0, time.UTC)
			b.UseRole(t, network.Name, at)
			if o := must(k.Observe(ctx, network.Name))(t); !o.LastUsed.Equal(at) || o.LastUsedRegion != b.Region {
				t.Errorf("observed %+v", o)
			}
			job := must(k.AskAccess(ctx, arn))(t)
			if _, done, err := k.Access(ctx, job); done || err != nil {
				t.Errorf("at once: done %v, %v", done, err)
			}
			b.settled()
			got, done, err := k.Access(ctx, job)
			if want := (model.LinkedAccess{Last: at, Region: b.Region, Service: "ec2"}); err != nil || !done || got != want {
				t.Errorf("done %v, %+v, want %+v (%v)", done, got, want, err)
			}
			version, updated, err := k.Policy(ctx, network.PolicyARN("aws"))
			if err != nil || version != "v1" || updated.IsZero() {
				t.Errorf("version %s of %v (%v)", version, updated, err)
			}
			if text := must(k.PolicyDocument(ctx, network.PolicyARN("aws"), version))(t); !strings.Contains(text, "ec2:CreateNetworkInterface") {
				t.Errorf("policy %s", text)
			}
		}},
	}
}

func reports(t T, b *Backend) {
	b.linked.Lock()
	defer b.linked.Unlock()
	network := desired.Network()
	role := b.linkedRole(t, network.Service, network.Name)
	at := time.Date(2026, 11, 20, 10, 30, 15, 0, time.UTC)
	b.UseRole(t, network.Name, at)
	if used := b.getRole(t, network.Name).RoleLastUsed; used == nil || !aws.ToTime(used.LastUsedDate).Equal(at) || aws.ToString(used.Region) != b.Region {
		t.Errorf("last used %+v", used)
	}
	ask := func(arn *string) (*string, error) {
		out, err := b.IAM.GenerateServiceLastAccessedDetails(t.Context(), &iam.GenerateServiceLastAccessedDetailsInput{
			Arn: arn, Granularity: iamtypes.AccessAdvisorUsageGranularityTypeServiceLevel,
		})
		if err != nil {
			return nil, err
		}
		return out.JobId, nil
	}
	job := must(ask(role.Arn))(t)
	read := func(most int32) *iam.GetServiceLastAccessedDetailsOutput {
		t.Helper()
		return must(b.IAM.GetServiceLastAccessedDetails(t.Context(), &iam.GetServiceLastAccessedDetailsInput{JobId: job, MaxItems: &most}))(t)
	}
	if got := read(1000); got.JobStatus != iamtypes.JobStatusTypeInProgress || len(got.ServicesLastAccessed) > 0 {
		t.Errorf("at once: %s, %+v", got.JobStatus, got.ServicesLastAccessed)
	}
	b.settled()
	got := read(1000)
	if got.JobStatus != iamtypes.JobStatusTypeCompleted || got.IsTruncated || aws.ToTime(got.JobCompletionDate).IsZero() || got.JobType != iamtypes.AccessAdvisorUsageGranularityTypeServiceLevel {
		t.Errorf("in the end: %+v", got)
	}
	var told []string
	for _, s := range got.ServicesLastAccessed {
		told = append(told, fmt.Sprint(aws.ToString(s.ServiceNamespace), " ", aws.ToString(s.LastAuthenticatedRegion), " ", aws.ToTime(s.LastAuthenticated).Equal(at)))
	}
	if !slices.Equal(told, []string{"ec2 " + b.Region + " true"}) {
		t.Errorf("accessed: %q", told)
	}
	_, err := b.IAM.GetServiceLastAccessedDetails(t.Context(), &iam.GetServiceLastAccessedDetailsInput{JobId: aws.String("00000000-0000-4000-8000-000000000000")})
	wantCode(t, "a report of nobody", err, "NoSuchEntity")
	_, err = ask(aws.String(aws.ToString(role.Arn) + "None"))
	wantCode(t, "ask about no role", err, "NoSuchEntity")
	_, err = ask(aws.String("none"))
	wantCode(t, "ask about no ARN", err, "InvalidInput", "ValidationError")
}
