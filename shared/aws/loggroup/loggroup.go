// Package loggroup makes the log groups that builds write to. It only translates.
package loggroup

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
)

// API is what is called of CloudWatch Logs. CreateLogGroup with tags needs
// logs:TagResource, too.
type API interface {
	CreateLogGroup(context.Context, *cloudwatchlogs.CreateLogGroupInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogGroupOutput, error)
	PutRetentionPolicy(context.Context, *cloudwatchlogs.PutRetentionPolicyInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutRetentionPolicyOutput, error)
}

// Client makes log groups.
type Client struct{ api API }

// New makes a client.
func New(api API) *Client { return &Client{api} }

// Create makes a log group. One that exists already is success and stays as it
// is: a build makes its log group itself where there is none.
func (c *Client) Create(ctx context.Context, name string, tags map[string]string) error {
	_, err := c.api.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name, Tags: tags})
	if err = awserr.Wrap(err, "create log group %s", name); errors.Is(err, fault.ErrExists) {
		return nil
	}
	return err
}

// Retain sets how many days a log group keeps its events; CloudWatch Logs takes
// only certain numbers (API reference, PutRetentionPolicy). A log group that is
// not there was deleted after Create: that wants another look.
func (c *Client) Retain(ctx context.Context, name string, days int32) error {
	_, err := c.api.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &name, RetentionInDays: &days})
	return awserr.Unsettled(awserr.Wrap(err, "keep log group %s for %d days", name, days))
}
