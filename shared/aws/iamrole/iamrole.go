// Package iamrole reads and writes the roles of agents. It only translates.
package iamrole

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
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
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	ListRolePolicies(context.Context, *iam.ListRolePoliciesInput, ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error)
	GetRolePolicy(context.Context, *iam.GetRolePolicyInput, ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error)
	ListAttachedRolePolicies(context.Context, *iam.ListAttachedRolePoliciesInput, ...func(*iam.Options)) (*iam.ListAttachedRolePoliciesOutput, error)

	CreateRole(context.Context, *iam.CreateRoleInput, ...func(*iam.Options)) (*iam.CreateRoleOutput, error)
	PutRolePermissionsBoundary(context.Context, *iam.PutRolePermissionsBoundaryInput, ...func(*iam.Options)) (*iam.PutRolePermissionsBoundaryOutput, error)
	TagRole(context.Context, *iam.TagRoleInput, ...func(*iam.Options)) (*iam.TagRoleOutput, error)
	UpdateAssumeRolePolicy(context.Context, *iam.UpdateAssumeRolePolicyInput, ...func(*iam.Options)) (*iam.UpdateAssumeRolePolicyOutput, error)
	PutRolePolicy(context.Context, *iam.PutRolePolicyInput, ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error)
	DeleteRolePolicy(context.Context, *iam.DeleteRolePolicyInput, ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error)
	UpdateRole(context.Context, *iam.UpdateRoleInput, ...func(*iam.Options)) (*iam.UpdateRoleOutput, error)
}

// Client reads and writes roles.
type Client struct{ api API }

// New makes a client.
func New(api API) *Client { return &Client{api} }

// pageSize is the most that IAM's lists give at once; a role's policies fit in
// one page, since what they may hold together is bounded.
const pageSize = 1000

// Head reads what GetRole gives of a role: everything but its policies. It
// takes one call; fault.ErrNotFound says that there is no such role.
func (c *Client) Head(ctx context.Context, name string) (model.ObservedRole, error) {
	out, err := c.api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return model.ObservedRole{}, awserr.Wrap(err, "get role %s", name)
	}
	r := out.Role
	trust, err := decode(r.AssumeRolePolicyDocument)
	if err != nil {
		return model.ObservedRole{}, fmt.Errorf("trust policy of role %s: %w", name, err)
	}
	o := model.ObservedRole{
		Name:               aws.ToString(r.RoleName),
		ARN:                aws.ToString(r.Arn),
		ID:                 aws.ToString(r.RoleId),
		Path:               aws.ToString(r.Path),
		Description:        aws.ToString(r.Description),
		MaxSessionDuration: aws.ToInt32(r.MaxSessionDuration),
		Trust:              trust,
		Tags:               map[string]string{},
	}
	if r.PermissionsBoundary != nil {
		o.PermissionsBoundary = aws.ToString(r.PermissionsBoundary.PermissionsBoundaryArn)
	}
	for _, t := range r.Tags {
		o.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return o, nil
}

// Read reads a whole role: three calls and one per inline policy.
// fault.ErrNotFound says that there is no such role.
func (c *Client) Read(ctx context.Context, name string) (model.ObservedRole, error) {
	o, err := c.Head(ctx, name)
	if err != nil {
		return model.ObservedRole{}, err
	}
	if err := c.inline(ctx, &o); err != nil {
		return model.ObservedRole{}, unsettled(err)
	}
	if err := c.attached(ctx, &o); err != nil {
		return model.ObservedRole{}, unsettled(err)
	}
	return o, nil
}

// unsettled takes a "not found" about a role that was just seen or made for what
// it is: IAM has not caught up, or somebody deletes it meanwhile. Neither is
// absence; both want another look.
func unsettled(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return fault.Errorf(fault.Retry, "not there yet, or not any more: %s", err)
	}
	return err
}

func (c *Client) inline(ctx context.Context, o *model.ObservedRole) error {
	o.Policies = map[string]string{}
	pages := iam.NewListRolePoliciesPaginator(c.api, &iam.ListRolePoliciesInput{RoleName: &o.Name, MaxItems: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awserr.Wrap(err, "list inline policies of role %s", o.Name)
		}
		for _, name := range page.PolicyNames {
			out, err := c.api.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &o.Name, PolicyName: &name})
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

func (c *Client) attached(ctx context.Context, o *model.ObservedRole) error {
	o.Attached = []string{}
	pages := iam.NewListAttachedRolePoliciesPaginator(c.api, &iam.ListAttachedRolePoliciesInput{RoleName: &o.Name, MaxItems: aws.Int32(pageSize)})
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

// decode undoes the URL encoding that IAM gives documents in (RFC 3986, so a
// plus sign is a plus sign).
func decode(document *string) (string, error) {
	return url.PathUnescape(aws.ToString(document))
}

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
	return unsettled(awserr.Wrap(err, "tag role %s", r.Name))
}

// UpdateTrust replaces the role's trust policy.
func (c *Client) UpdateTrust(ctx context.Context, r model.Role) error {
	_, err := c.api.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &r.Name, PolicyDocument: aws.String(r.Trust.JSON())})
	return unsettled(awserr.Wrap(err, "replace trust policy of role %s", r.Name))
}

// PutPolicy adds or replaces an inline policy.
func (c *Client) PutPolicy(ctx context.Context, role, name string, document policy.Document) error {
	_, err := c.api.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: aws.String(document.JSON())})
	return unsettled(awserr.Wrap(err, "put policy %s of role %s", name, role))
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
	return unsettled(awserr.Wrap(err, "update settings of role %s", r.Name))
}

func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return list
}
