package desired_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
)

func TestTheFiveServiceLinkedRolesAreAsAWSHasThem(t *testing.T) {
	want := []string{
		"AWSServiceRoleForBedrockAgentCoreGatewayNetwork /aws-service-role/bedrock-agentcore.amazonaws.com/ arn:aws:iam::aws:policy/aws-service-role/AWSBedrockAgentCoreGatewayNetworkServiceRolePolicy",
		"AWSServiceRoleForBedrockAgentCoreIdentity /aws-service-role/identity-network.bedrock-agentcore.amazonaws.com/ arn:aws:iam::aws:policy/aws-service-role/AWSBedrockAgentCoreIdentityNetworkServiceRolePolicy",
		"AWSServiceRoleForBedrockAgentCoreNetwork /aws-service-role/network.bedrock-agentcore.amazonaws.com/ arn:aws:iam::aws:policy/aws-service-role/BedrockAgentCoreNetworkServiceRolePolicy",
		"AWSServiceRoleForBedrockAgentCoreRuntimeIdentity /aws-service-role/runtime-identity.bedrock-agentcore.amazonaws.com/ arn:aws:iam::aws:policy/aws-service-role/BedrockAgentCoreRuntimeIdentityServiceRolePolicy",
		"AWSServiceRoleForBedrockAgentCoreRuntimeInstances /aws-service-role/runtime-instances.bedrock-agentcore.amazonaws.com/ arn:aws:iam::aws:policy/aws-service-role/AWSBedrockAgentCoreRuntimeInstancesServiceRolePolicy",
	}
	var got []string
	services, short := map[string]bool{}, regexp.MustCompile(`^[\w+=,.@-]{1,64}$`) // IAM API reference, CreateRole
	for _, r := range desired.AllServiceLinkedRoles() {
		got = append(got, r.Name+" "+r.Path()+" "+r.PolicyARN("aws"))
		services[r.Service] = true
		if !short.MatchString(r.Name) || !strings.HasPrefix(r.PolicyARN("aws-cn"), "arn:aws-cn:iam::aws:policy/aws-service-role/") {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(services) != 5 || !slices.IsSorted(got) {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhichServiceLinkedRolesTheRuntimesOfAConfigNeed(t *testing.T) {
	network, identity := desired.Network(), desired.RuntimeIdentity()
	for name, c := range map[string]struct {
		agents []agent.Agent
		want   []desired.ServiceLinkedRole
	}{
		"outside of a VPC":     {[]agent.Agent{{Name: "a"}}, []desired.ServiceLinkedRole{identity}},
		"in a VPC":             {[]agent.Agent{{Name: "a", VPC: true}}, []desired.ServiceLinkedRole{network, identity}},
		"one of two in a VPC":  {[]agent.Agent{{Name: "a"}, {Name: "b", VPC: true}}, []desired.ServiceLinkedRole{network, identity}},
		"both of two in a VPC": {[]agent.Agent{{Name: "a", VPC: true}, {Name: "b", VPC: true}}, []desired.ServiceLinkedRole{network, identity}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, desired.ServiceLinkedRolesOf(agent.Config{Agents: c.agents})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
