package iamrole

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/model"
)

// ReadAPI is what a Reader calls of IAM.
type ReadAPI interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	ListRolePolicies(context.Context, *iam.ListRolePoliciesInput, ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error)
	GetRolePolicy(context.Context, *iam.GetRolePolicyInput, ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error)
	ListAttachedRolePolicies(context.Context, *iam.ListAttachedRolePoliciesInput, ...func(*iam.Options)) (*iam.ListAttachedRolePoliciesOutput, error)
	ListInstanceProfilesForRole(context.Context, *iam.ListInstanceProfilesForRoleInput, ...func(*iam.Options)) (*iam.ListInstanceProfilesForRoleOutput, error)
	GetPolicy(context.Context, *iam.GetPolicyInput, ...func(*iam.Options)) (*iam.GetPolicyOutput, error)
	GetPolicyVersion(context.Context, *iam.GetPolicyVersionInput, ...func(*iam.Options)) (*iam.GetPolicyVersionOutput, error)
}

// Reader reads roles and the managed policies they have.
type Reader struct{ api ReadAPI }

// NewReader makes a reader.
func NewReader(api ReadAPI) *Reader { return &Reader{api} }

// pageSize is the most that IAM's lists give at once; a role's policies fit in
// one page, since what they may hold together is bounded.
const pageSize = 1000

// Head reads what GetRole gives of a role: everything but its policies. It
// takes one call; fault.ErrNotFound says that there is no such role.
func (r *Reader) Head(ctx context.Context, name string) (model.ObservedRole, error) {
	out, err := r.api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return model.ObservedRole{}, awserr.Wrap(err, "get role %s", name)
	}
	role := out.Role
	trust, err := decode(role.AssumeRolePolicyDocument)
	if err != nil {
		return model.ObservedRole{}, fmt.Errorf("trust policy of role %s: %w", name, err)
	}
	o := model.ObservedRole{
		Name:               aws.ToString(role.RoleName),
		ARN:                aws.ToString(role.Arn),
		ID:                 aws.ToString(role.RoleId),
		Path:               aws.ToString(role.Path),
		Description:        aws.ToString(role.Description),
		MaxSessionDuration: aws.ToInt32(role.MaxSessionDuration),
		Trust:              trust,
		Tags:               map[string]string{},
	}
	if role.PermissionsBoundary != nil {
		o.PermissionsBoundary = aws.ToString(role.PermissionsBoundary.PermissionsBoundaryArn)
	}
	if role.RoleLastUsed != nil {
		o.LastUsed = aws.ToTime(role.RoleLastUsed.LastUsedDate)
	}
	for _, t := range role.Tags {
		o.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return o, nil
}

// Read reads a whole role: three calls and one per inline policy.
// fault.ErrNotFound says that there is no such role.
func (r *Reader) Read(ctx context.Context, name string) (model.ObservedRole, error) {
	o, err := r.Head(ctx, name)
	if err != nil {
		return model.ObservedRole{}, err
	}
	if err := r.inline(ctx, &o); err != nil {
		return model.ObservedRole{}, awserr.Unsettled(err)
	}
	if err := r.attached(ctx, &o); err != nil {
		return model.ObservedRole{}, awserr.Unsettled(err)
	}
	return o, nil
}

func (r *Reader) inline(ctx context.Context, o *model.ObservedRole) error {
	o.Policies = map[string]string{}
	pages := iam.NewListRolePoliciesPaginator(r.api, &iam.ListRolePoliciesInput{RoleName: &o.Name, MaxItems: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awserr.Wrap(err, "list inline policies of role %s", o.Name)
		}
		for _, name := range page.PolicyNames {
			out, err := r.api.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &o.Name, PolicyName: &name})
			if err != nil {
				return awserr.Wrap(err, "get policy %s of role %s", name, o.Name)
			}
			if o.Policies[name], err = decode(out.PolicyDocument); err != nil {
				return fmt.Errorf("policy %s of role %s: %w", name, o.Name, err)
			}
		}
	}
	return nil
}

func (r *Reader) attached(ctx context.Context, o *model.ObservedRole) error {
	o.Attached = []string{}
	pages := iam.NewListAttachedRolePoliciesPaginator(r.api, &iam.ListAttachedRolePoliciesInput{RoleName: &o.Name, MaxItems: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awserr.Wrap(err, "list attached policies of role %s", o.Name)
		}
		for _, p := range page.AttachedPolicies {
			o.Attached = append(o.Attached, aws.ToString(p.PolicyArn))
		}
	}
	slices.Sort(o.Attached)
	return nil
}

// Managed reads the document of a managed policy: its default version, in two
// calls. fault.ErrNotFound says that there is no such policy.
func (r *Reader) Managed(ctx context.Context, arn string) (document string, err error) {
	p, err := r.api.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
	if err != nil {
		return "", awserr.Wrap(err, "get policy %s", arn)
	}
	version := p.Policy.DefaultVersionId
	v, err := r.api.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: version})
	if err != nil {
		return "", awserr.Unsettled(awserr.Wrap(err, "get version %s of policy %s", aws.ToString(version), arn))
	}
	if document, err = decode(v.PolicyVersion.Document); err != nil {
		return "", fmt.Errorf("policy %s: %w", arn, err)
	}
	return document, nil
}

// decode undoes the URL encoding that IAM gives documents in (RFC 3986, so a
// plus sign is a plus sign).
func decode(document *string) (string, error) {
	return url.PathUnescape(aws.ToString(document))
}

// InstanceProfiles gives the names of the instance profiles that a role is in.
// fault.ErrNotFound says that there is no such role.
func (r *Reader) InstanceProfiles(ctx context.Context, role string) ([]string, error) {
	var names []string
	pages := iam.NewListInstanceProfilesForRolePaginator(r.api, &iam.ListInstanceProfilesForRoleInput{RoleName: &role, MaxItems: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awserr.Wrap(err, "list instance profiles of role %s", role)
		}
		for _, p := range page.InstanceProfiles {
			names = append(names, aws.ToString(p.InstanceProfileName))
		}
	}
	return names, nil
}
