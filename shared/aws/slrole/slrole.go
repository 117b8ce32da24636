// Package slrole reads and makes AgentCore's service-linked roles.
package slrole

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
)

// API is what is called of IAM.
type API interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	CreateServiceLinkedRole(context.Context, *iam.CreateServiceLinkedRoleInput, ...func(*iam.Options)) (*iam.CreateServiceLinkedRoleOutput, error)
}

// Client reads and makes service-linked roles.
type Client struct{ api API }

// New makes a client.
func New(api API) *Client { return &Client{api} }

// Present reports whether the role is there: one call.
func (c *Client) Present(ctx context.Context, name string) (bool, error) {
	_, err := c.api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	switch err = awserr.Wrap(err, "get service-linked role %s", name); {
	case errors.Is(err, fault.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// Create makes the service-linked role of a service. That it exists already is
// success; IAM says so with InvalidInput (IAM API reference,
// CreateServiceLinkedRole), which can mean other things too, so the role is
// looked for.
func (c *Client) Create(ctx context.Context, name, service string) error {
	_, err := c.api.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: &service})
	var invalid *types.InvalidInputException
	if errors.As(err, &invalid) {
		if there, look := c.Present(ctx, name); look == nil && there {
			return nil
		}
	}
	return awserr.Wrap(err, "create service-linked role of %s", service)
}
