package awsfake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// network is what a Region has of network interfaces.
type network struct {
	managed map[string]*attachment // AgentCore's, by vpc.key
	others  []types.NetworkInterface
	page    int // longest page; 0: as long as is asked for
}

// attachment is what resources with the same subnets and security groups share: a
// network interface for each subnet.
type attachment struct {
	where vpc
	ids   []string
	until time.Time // when nothing needs it any more; zero as long as that is not known
}

func newNetwork() *network { return &network{managed: map[string]*attachment{}} }

func (n *network) clone() *network {
	out := *n
	out.managed, out.others = map[string]*attachment{}, slices.Clone(n.others)
	for key, a := range n.managed {
		a := *a // its lists are never changed in place
		out.managed[key] = &a
	}
	return &out
}

// newInterfaces gives the ids of new network interfaces.
func (c *Cloud) newInterfaces(n int) []string {
	var ids []string
	for range n {
		ids = append(ids, fmt.Sprintf("eni-%017x", c.next()))
	}
	return ids
}

// LingerNetworkInterfaces sets how long AgentCore's network interfaces stay after
// the last resource that needed them is gone, in all Regions: 8 hours where a test
// sets nothing (AgentCore developer guide, "Configure AgentCore Runtime and tools
// for VPC").
func (c *Cloud) LingerNetworkInterfaces(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace.lingering = d
}

// AddNetworkInterface has somebody make a network interface, which is not
// AgentCore's, and gives its id.
func (c *Cloud) AddNetworkInterface(subnet string, tags map[string]string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.newInterfaces(1)[0]
	c.network.others = append(c.network.others, c.networkInterface(id, subnet, nil, types.NetworkInterfaceTypeInterface, tags))
	return id
}

// PageNetworkInterfaces cuts listings into pages of at most so many, whatever is
// asked for; 0 ends that.
func (c *Cloud) PageNetworkInterfaces(items int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.network.page = items
}

// EC2 is the client of one caller.
type EC2 struct {
	cloud  *Cloud
	caller string
}

// EC2 gives the client of a caller.
func (c *Cloud) EC2(caller string) *EC2 { return &EC2{c, caller} }

// managedTag is on every network interface that AgentCore makes, and agenticAI is
// its type (AgentCore developer guide, "Configure AgentCore Runtime and tools for
// VPC").
const (
	managedTag = "AmazonBedrockAgentCoreManaged"
	agenticAI  = types.NetworkInterfaceType("agentic_ai")
)

func (c *Cloud) networkInterface(id, subnet string, groups []string, kind types.NetworkInterfaceType, tags map[string]string) types.NetworkInterface {
	out := types.NetworkInterface{
		NetworkInterfaceId: &id, SubnetId: &subnet, InterfaceType: kind, Status: types.NetworkInterfaceStatusInUse, OwnerId: aws.String(c.Account),
	}
	for _, g := range groups {
		out.Groups = append(out.Groups, types.GroupIdentifier{GroupId: aws.String(g)})
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out.TagSet = append(out.TagSet, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return out
}

// interfaces gives all network interfaces of a Region, by id.
func (c *Cloud) interfaces() []types.NetworkInterface {
	all := slices.Clone(c.network.others)
	for _, a := range c.network.managed {
		for i, id := range a.ids {
			all = append(all, c.networkInterface(id, a.where.subnets[i], a.where.groups, agenticAI, map[string]string{managedTag: "true"}))
		}
	}
	slices.SortFunc(all, func(a, b types.NetworkInterface) int {
		return cmp.Compare(*a.NetworkInterfaceId, *b.NetworkInterfaceId)
	})
	return all
}

// DescribeNetworkInterfaces is ec2:DescribeNetworkInterfaces, by tag and by type.
func (e *EC2) DescribeNetworkInterfaces(_ context.Context, in *ec2.DescribeNetworkInterfacesInput, _ ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	var out ec2.DescribeNetworkInterfacesOutput
	return &out, e.cloud.call(e.caller, "ec2", "DescribeNetworkInterfaces", "", func() error {
		c := e.cloud
		c.settle()
		if len(in.NetworkInterfaceIds) > 0 || aws.ToBool(in.DryRun) {
			return APIError("NotImplemented", "network interfaces are told here by filters alone")
		}
		for _, f := range in.Filters {
			if name := aws.ToString(f.Name); name != "interface-type" && !strings.HasPrefix(name, "tag:") {
				return APIError("InvalidParameterValue", "The filter '"+name+"' is invalid")
			}
		}
		var err error
		out.NetworkInterfaces, out.NextToken, err = c.pageOfInterfaces(in)
		return err
	})
}

func (c *Cloud) pageOfInterfaces(in *ec2.DescribeNetworkInterfacesInput) (page []types.NetworkInterface, next *string, err error) {
	all := c.interfaces()
	size := len(all)
	if in.MaxResults != nil {
		if size = int(*in.MaxResults); size < 5 || size > 1000 {
			return nil, nil, APIError("InvalidParameterValue", fmt.Sprintf("Value ( %d ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.", size))
		}
	}
	if c.network.page > 0 {
		size = min(size, c.network.page)
	}
	const mark = "after-"
	after, known := strings.CutPrefix(aws.ToString(in.NextToken), mark)
	if !known && in.NextToken != nil {
		return nil, nil, APIError("InvalidNextToken", "The token '"+*in.NextToken+"' is invalid")
	}
	for _, i := range all {
		switch {
		case *i.NetworkInterfaceId <= after || slices.ContainsFunc(in.Filters, func(f types.Filter) bool { return !matches(i, f) }):
		case len(page) == size:
			return page, aws.String(mark + after), nil
		default:
			page, after = append(page, i), *i.NetworkInterfaceId
		}
	}
	return page, nil, nil
}

// matches reports whether a network interface has one of the values of a filter.
func matches(i types.NetworkInterface, f types.Filter) bool {
	if *f.Name == "interface-type" {
		return slices.Contains(f.Values, string(i.InterfaceType))
	}
	return slices.ContainsFunc(i.TagSet, func(t types.Tag) bool { return "tag:"+*t.Key == *f.Name && slices.Contains(f.Values, *t.Value) })
}
