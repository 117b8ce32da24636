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
	if err = awserr.Wrap(err, "delete policy %s of role %s", name, role); errors.Is(err, fault.ErrNotFound) {
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
