// Package iamrole reads and writes the roles of agents. It only translates.
package iamrole

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

// API is what is called of IAM.
type API interface {
	ReadAPI
	CreateRole(context.Context, *iam.CreateRoleInput, ...func(*iam.Options)) (*iam.CreateRoleOutput, error)
	PutRolePermissionsBoundary(context.Context, *iam.PutRolePermissionsBoundaryInput, ...func(*iam.Options)) (*iam.PutRolePermissionsBoundaryOutput, error)
	TagRole(context.Context, *iam.TagRoleInput, ...func(*iam.Options)) (*iam.TagRoleOutput, error)
	UpdateAssumeRolePolicy(context.Context, *iam.UpdateAssumeRolePolicyInput, ...func(*iam.Options)) (*iam.UpdateAssumeRolePolicyOutput, error)
	PutRolePolicy(context.Context, *iam.PutRolePolicyInput, ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error)
	DeleteRolePolicy(context.Context, *iam.DeleteRolePolicyInput, ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error)
	UpdateRole(context.Context, *iam.UpdateRoleInput, ...func(*iam.Options)) (*iam.UpdateRoleOutput, error)
	AttachRolePolicy(context.Context, *iam.AttachRolePolicyInput, ...func(*iam.Options)) (*iam.AttachRolePolicyOutput, error)
	DetachRolePolicy(context.Context, *iam.DetachRolePolicyInput, ...func(*iam.Options)) (*iam.DetachRolePolicyOutput, error)
	UntagRole(context.Context, *iam.UntagRoleInput, ...func(*iam.Options)) (*iam.UntagRoleOutput, error)
	RemoveRoleFromInstanceProfile(context.Context, *iam.RemoveRoleFromInstanceProfileInput, ...func(*iam.Options)) (*iam.RemoveRoleFromInstanceProfileOutput, error)
	DeleteRole(context.Context, *iam.DeleteRoleInput, ...func(*iam.Options)) (*iam.DeleteRoleOutput, error)
}

// Client reads and writes roles.
type Client struct {
	*Reader
	api API
}

// New makes a client.
func New(api API) *Client { return &Client{NewReader(api), api} }

// Create makes a role without policies, tagged also with the nonce, and gives
// its unique id. fault.ErrExists says that the name is taken.
func (c *Client) Create(ctx context.Context, r model.Role, nonce string) (id string, err error) {
	tags := maps.Clone(r.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[model.TagCreation] = nonce
	out, err := c.api.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName:                 &r.Name,
		AssumeRolePolicyDocument: aws.String(r.Trust.JSON()),
		Description:              &r.Description,
		MaxSessionDuration:       &r.MaxSessionDuration,
		PermissionsBoundary:      &r.PermissionsBoundary,
		Tags:                     tagList(tags),
	})
	if err != nil {
		return "", awserr.Wrap(err, "create role %s", r.Name)
	}
	return aws.ToString(out.Role.RoleId), nil
}

// PutBoundary sets the role's permissions boundary. It is an error to be told
// when the boundary itself does not exist.
func (c *Client) PutBoundary(ctx context.Context, r model.Role) error {
	_, err := c.api.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &r.Name, PermissionsBoundary: &r.PermissionsBoundary})
	return awserr.Wrap(err, "set permissions boundary of role %s", r.Name)
}

// Tag sets the role's tags; others stay.
func (c *Client) Tag(ctx context.Context, r model.Role) error {
	_, err := c.api.TagRole(ctx, &iam.TagRoleInput{RoleName: &r.Name, Tags: tagList(r.Tags)})
	return awserr.Unsettled(awserr.Wrap(err, "tag role %s", r.Name))
}

// UpdateTrust replaces the role's trust policy.
func (c *Client) UpdateTrust(ctx context.Context, r model.Role) error {
	_, err := c.api.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &r.Name, PolicyDocument: aws.String(r.Trust.JSON())})
	return awserr.Unsettled(awserr.Wrap(err, "replace trust policy of role %s", r.Name))
}

// PutPolicy adds or replaces an inline policy.
func (c *Client) PutPolicy(ctx context.Context, role, name string, document policy.Document) error {
	_, err := c.api.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: aws.String(document.JSON())})
	return awserr.Unsettled(awserr.Wrap(err, "put policy %s of role %s", name, role))
}

// DeletePolicy removes an inline policy; one that is gone already is success.
func (c *Client) DeletePolicy(ctx context.Context, role, name string) error {
	_, err := c.api.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name})
	return gone(awserr.Wrap(err, "delete policy %s of role %s", name, role))
}

// AttachPolicy attaches a managed policy; one that is attached already is
// success. It is an error to be told when the policy itself does not exist, which
// no time mends: fault.ErrNotFound says that it does not, or the role.
func (c *Client) AttachPolicy(ctx context.Context, role, policyARN string) error {
	_, err := c.api.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &policyARN})
	return awserr.Wrap(err, "attach policy %s to role %s", policyARN, role)
}

// DetachPolicy detaches a managed policy; one that is gone already is success.
func (c *Client) DetachPolicy(ctx context.Context, role, policyARN string) error {
	_, err := c.api.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &role, PolicyArn: &policyARN})
	return gone(awserr.Wrap(err, "detach policy %s from role %s", policyARN, role))
}

// Untag takes tags off a role; those that are gone already are success.
func (c *Client) Untag(ctx context.Context, role string, keys []string) error {
	_, err := c.api.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &role, TagKeys: keys})
	return gone(awserr.Wrap(err, "untag role %s", role))
}

// LeaveInstanceProfile takes a role out of an instance profile; one that is not
// in it is success.
func (c *Client) LeaveInstanceProfile(ctx context.Context, role, profile string) error {
	_, err := c.api.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{RoleName: &role, InstanceProfileName: &profile})
	return gone(awserr.Wrap(err, "take role %s out of instance profile %s", role, profile))
}

// Delete deletes a role; one that is gone already is success. fault.ErrConflict
// says that it has policies or is in an instance profile: since what it had was
// taken off, somebody put something on it.
func (c *Client) Delete(ctx context.Context, role string) error {
	_, err := c.api.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &role})
	if err = gone(awserr.Wrap(err, "delete role %s", role)); errors.Is(err, fault.ErrConflict) {
		return fault.Errorf(fault.Of(err), "something was put on role %s: %w", role, err)
	}
	return err
}

// gone makes a success of the absence of what was to be taken away.
func gone(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	return err
}

// UpdateSettings sets description and session length. Both are sent: IAM puts a
// session length that is left out back to its default.
func (c *Client) UpdateSettings(ctx context.Context, r model.Role) error {
	_, err := c.api.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &r.Name, Description: &r.Description, MaxSessionDuration: &r.MaxSessionDuration})
	return awserr.Unsettled(awserr.Wrap(err, "update settings of role %s", r.Name))
}

func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return list
}
