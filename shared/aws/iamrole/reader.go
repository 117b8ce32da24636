package iamrole

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

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
// one page, since what they may hold together is bounded (IAM user guide, "IAM and
// STS quotas": 10,240 characters of inline policies, 10 managed ones, 25 at most).
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
	names, err := all("inline policies of role "+o.Name, func(marker *string) ([]string, bool, *string, error) {
		out, err := r.api.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &o.Name, Marker: marker, MaxItems: aws.Int32(pageSize)})
		if err != nil {
			return nil, false, nil, err
		}
		return out.PolicyNames, out.IsTruncated, out.Marker, nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		out, err := r.api.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &o.Name, PolicyName: &name})
		if err != nil {
			return awserr.Wrap(err, "get policy %s of role %s", name, o.Name)
		}
		if o.Policies[name], err = decode(out.PolicyDocument); err != nil {
			return fmt.Errorf("policy %s of role %s: %w", name, o.Name, err)
		}
	}
	return nil
}

func (r *Reader) attached(ctx context.Context, o *model.ObservedRole) error {
	o.Attached = []string{}
	policies, err := all("attached policies of role "+o.Name, func(marker *string) ([]types.AttachedPolicy, bool, *string, error) {
		out, err := r.api.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &o.Name, Marker: marker, MaxItems: aws.Int32(pageSize)})
		if err != nil {
			return nil, false, nil, err
		}
		return out.AttachedPolicies, out.IsTruncated, out.Marker, nil
	})
	if err != nil {
		return err
	}
	for _, p := range policies {
		o.Attached = append(o.Attached, aws.ToString(p.PolicyArn))
	}
	slices.Sort(o.Attached)
	return nil
}

// InstanceProfiles gives the names of the instance profiles that a role is in,
// sorted. fault.ErrNotFound says that there is no such role.
func (r *Reader) InstanceProfiles(ctx context.Context, role string) ([]string, error) {
	profiles, err := all("instance profiles of role "+role, func(marker *string) ([]types.InstanceProfile, bool, *string, error) {
		out, err := r.api.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: &role, Marker: marker, MaxItems: aws.Int32(pageSize)})
		if err != nil {
			return nil, false, nil, err
		}
		return out.InstanceProfiles, out.IsTruncated, out.Marker, nil
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range profiles {
		names = append(names, aws.ToString(p.InstanceProfileName))
	}
	slices.Sort(names)
	return names, nil
}

// all reads a listing to its end. One that is cut short, or that goes round, is
// an error: what is not listed would be taken for absent. The SDK's paginators
// take the first for the end.
func all[V any](what string, list func(marker *string) (page []V, more bool, next *string, err error)) ([]V, error) {
	var found []V
	var marker *string
	for seen := map[string]bool{}; ; {
		page, more, next, err := list(marker)
		if err != nil {
			return nil, awserr.Wrap(err, "list %s", what)
		}
		found = append(found, page...)
		switch to := aws.ToString(next); {
		case !more:
			return found, nil
		case to == "":
			return nil, fmt.Errorf("list %s: the answer is cut short after %d", what, len(found))
		case seen[to]:
			return nil, fmt.Errorf("list %s: the answer goes round in a circle after %d", what, len(found))
		default:
			seen[to], marker = true, next
		}
	}
}

// Managed reads the document of a managed policy: its default version, in two
// calls. fault.ErrNotFound says that there is no such policy.
func (r *Reader) Managed(ctx context.Context, arn string) (document string, err error) {
	version, _, err := r.BoundaryVersion(ctx, arn)
	if err != nil {
		return "", err
	}
	return r.ManagedVersion(ctx, arn, version)
}

// ManagedVersion reads the document of a version of a managed policy that was there
// just now, in one call.
func (r *Reader) ManagedVersion(ctx context.Context, arn, version string) (document string, err error) {
	v, err := r.api.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: &version})
	if err != nil {
		return "", awserr.Unsettled(awserr.Wrap(err, "get version %s of policy %s", version, arn))
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
