package networkinterface_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	agentcoretypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/networkinterface"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/slr"
)

var _ slr.Interfaces = (*networkinterface.Client)(nil)

// pages answers with one page after the other, and with an error after them.
type pages struct {
	all   []ec2.DescribeNetworkInterfacesOutput
	then  error
	asked []*ec2.DescribeNetworkInterfacesInput
}

func (p *pages) DescribeNetworkInterfaces(_ context.Context, in *ec2.DescribeNetworkInterfacesInput, _ ...func(*ec2.Options)) (*ec2.DescribeNetworkInterfacesOutput, error) {
	p.asked = append(p.asked, in)
	if len(p.asked) > len(p.all) {
		return nil, p.then
	}
	return &p.all[len(p.asked)-1], nil
}

// of makes a page.
func of(next string, ids ...string) ec2.DescribeNetworkInterfacesOutput {
	out := ec2.DescribeNetworkInterfacesOutput{}
	if next != "" {
		out.NextToken = &next
	}
	for _, id := range ids {
		out.NetworkInterfaces = append(out.NetworkInterfaces, types.NetworkInterface{NetworkInterfaceId: &id})
	}
	return out
}

func TestInterfacesAreReadToTheEnd(t *testing.T) {
	api := &pages{all: []ec2.DescribeNetworkInterfacesOutput{of("a", "eni-3", "eni-1"), of("b"), of("", "eni-2", "eni-1")}}
	ids, err := networkinterface.New(api).Managed(t.Context())
	if diff := cmp.Diff([]string{"eni-1", "eni-2", "eni-3"}, ids); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	var tokens []string
	for _, in := range api.asked {
		tokens = append(tokens, aws.ToString(in.NextToken))
		f := in.Filters
		if aws.ToInt32(in.MaxResults) != 1000 || len(f) != 1 || aws.ToString(f[0].Name) != "tag:AmazonBedrockAgentCoreManaged" || len(f[0].Values) != 1 || f[0].Values[0] != "true" {
			t.Errorf("asked for at most %d with %+v", aws.ToInt32(in.MaxResults), f)
		}
	}
	if diff := cmp.Diff([]string{"", "a", "b"}, tokens); diff != "" {
		t.Errorf("tokens (-want +got)\n%s", diff)
	}
}

func TestNoPartOfTheInterfacesIsGivenForTheWhole(t *testing.T) {
	refused := func(code string) error { return &smithy.GenericAPIError{Code: code, Message: "refused"} }
	for name, c := range map[string]struct {
		api   pages
		class fault.Class
		says  string
	}{
		"denied":               {pages{then: refused("UnauthorizedOperation")}, fault.Unknown, "UnauthorizedOperation"},
		"a Region not enabled": {pages{then: refused("AuthFailure")}, fault.Unknown, "AuthFailure"},
		"throttled":            {pages{then: refused("RequestLimitExceeded")}, fault.Retry, "RequestLimitExceeded"},
		"denied on page 2":     {pages{all: []ec2.DescribeNetworkInterfacesOutput{of("a", "eni-1")}, then: refused("UnauthorizedOperation")}, fault.Unknown, "UnauthorizedOperation"},
		"ended":                {pages{all: []ec2.DescribeNetworkInterfacesOutput{of("a", "eni-1")}, then: fmt.Errorf("ask: %w", context.DeadlineExceeded)}, fault.Retry, "deadline"},
		"a circle":             {pages{all: []ec2.DescribeNetworkInterfacesOutput{of("a", "eni-1"), of("b", "eni-2"), of("a", "eni-3")}, then: errors.New("asked again")}, fault.Unknown, "circle"},
		"one without an id":    {pages{all: []ec2.DescribeNetworkInterfacesOutput{of("", "eni-1", "")}}, fault.Unknown, "without an id"},
	} {
		t.Run(name, func(t *testing.T) {
			ids, err := networkinterface.New(&c.api).Managed(t.Context())
			if ids != nil || fault.Of(err) != c.class || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, class %s: %v", ids, fault.Of(err), err)
			}
		})
	}
}

func TestInterfacesAreAgentCoresAloneAndLinger(t *testing.T) {
	c := awsfake.New()
	client := networkinterface.New(c.EC2("t"))
	c.AddNetworkInterface("subnet-1", nil)
	c.AddNetworkInterface("subnet-1", map[string]string{"AmazonBedrockAgentCoreManaged": "false"})
	want := func(when string, n int) {
		t.Helper()
		if ids, err := client.Managed(t.Context()); err != nil || len(ids) != n {
			t.Errorf("%s: %q, %v", when, ids, err)
		}
	}
	want("nothing in a VPC", 0)
	var subnets []string
	for i := range 12 {
		subnets = append(subnets, fmt.Sprintf("subnet-%08d", i))
	}
	out, err := c.AgentCore("t").CreateBrowser(t.Context(), &core.CreateBrowserInput{Name: aws.String("it"), NetworkConfiguration: &agentcoretypes.BrowserNetworkConfiguration{
		NetworkMode: agentcoretypes.BrowserNetworkModeVpc, VpcConfig: &agentcoretypes.VpcConfig{Subnets: subnets, SecurityGroups: []string{"sg-01234567"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	c.PageNetworkInterfaces(5)
	want("a browser in 12 subnets", 12)
	if _, err := c.AgentCore("t").DeleteBrowser(t.Context(), &core.DeleteBrowserInput{BrowserId: out.BrowserId}); err != nil {
		t.Fatal(err)
	}
	c.Advance(7 * time.Hour)
	want("7 hours after", 12)
	c.Advance(2 * time.Hour)
	want("9 hours after", 0)
	c.DisableRegion("eu-west-1")
	if ids, err := networkinterface.New(c.Abroad("eu-west-1").EC2("t")).Managed(t.Context()); err == nil || fault.Of(err) != fault.Unknown {
		t.Errorf("a Region that is not enabled: %q, %v", ids, err)
	}
}
