// Package networkinterface reads which network interfaces AgentCore has in the VPCs
// of an account.
package networkinterface

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"rolekeeper/shared/aws/awserr"
)

// API is what is called of EC2.
type API interface {
	DescribeNetworkInterfaces(context.Context, *ec2.DescribeNetworkInterfacesInput, ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error)
}

// Client reads network interfaces of one Region.
type Client struct{ api API }

// New makes a client.
func New(api API) *Client { return &Client{api} }

// page is the longest page of DescribeNetworkInterfaces (EC2 API reference).
const page = 1000

// Managed gives the ids of all network interfaces that AgentCore made in VPCs,
// sorted. It may make interfaces only with this tag, and delete only those that
// have it (AWS managed policy BedrockAgentCoreNetworkServiceRolePolicy). A listing
// of which any part cannot be read is an error.
func (c *Client) Managed(ctx context.Context) ([]string, error) {
	var ids []string
	var token *string
	for seen := map[string]bool{}; ; {
		out, err := c.api.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{
			Filters:    []types.Filter{{Name: aws.String("tag:AmazonBedrockAgentCoreManaged"), Values: []string{"true"}}},
			MaxResults: aws.Int32(page), NextToken: token, IncludeManagedResources: aws.Bool(true), // where an account hides what services manage
		})
		if err != nil {
			return nil, awserr.Wrap(err, "list network interfaces of AgentCore")
		}
		for _, i := range out.NetworkInterfaces {
			if aws.ToString(i.NetworkInterfaceId) == "" {
				return nil, fmt.Errorf("list network interfaces of AgentCore: the answer has one without an id")
			}
			ids = append(ids, *i.NetworkInterfaceId)
		}
		switch next := aws.ToString(out.NextToken); {
		case next == "":
			slices.Sort(ids)
			return slices.Compact(ids), nil
		case seen[next]:
			return nil, fmt.Errorf("list network interfaces of AgentCore: the answer goes round in a circle after %d", len(ids))
		default:
			seen[next], token = true, out.NextToken
		}
	}
}
