package desired

import (
	"slices"

	"rolekeeper/shared/agent"
)

// ServiceLinkedRole is a role that AWS defines for a service of AgentCore, and
// that nobody else can change (AgentCore developer guide, "Using service-linked
// roles"; its policy: AWS managed policy reference).
type ServiceLinkedRole struct {
	Name    string // AWSServiceRoleForBedrockAgentCore…
	Service string // service principal, also the role's path
	Policy  string // name of its managed policy, below aws-service-role/
}

// Path gives the path of the role.
func (r ServiceLinkedRole) Path() string { return "/aws-service-role/" + r.Service + "/" }

// PolicyARN gives the ARN of the role's managed policy in a partition.
func (r ServiceLinkedRole) PolicyARN(partition string) string {
	return "arn:" + partition + ":iam::aws:policy/aws-service-role/" + r.Policy
}

// RuntimeIdentity is what every runtime needs since 13 October 2025.
func RuntimeIdentity() ServiceLinkedRole {
	return ServiceLinkedRole{"AWSServiceRoleForBedrockAgentCoreRuntimeIdentity", "runtime-identity.bedrock-agentcore.amazonaws.com", "BedrockAgentCoreRuntimeIdentityServiceRolePolicy"}
}

// Network is what runtimes, browsers, code interpreters and harnesses in a VPC need.
func Network() ServiceLinkedRole {
	return ServiceLinkedRole{"AWSServiceRoleForBedrockAgentCoreNetwork", "network.bedrock-agentcore.amazonaws.com", "BedrockAgentCoreNetworkServiceRolePolicy"}
}

// GatewayNetwork is what gateways need for targets in a VPC that AgentCore manages
// the connection to.
func GatewayNetwork() ServiceLinkedRole {
	return ServiceLinkedRole{"AWSServiceRoleForBedrockAgentCoreGatewayNetwork", "bedrock-agentcore.amazonaws.com", "AWSBedrockAgentCoreGatewayNetworkServiceRolePolicy"}
}

// IdentityNetwork is what identity providers in a VPC need that AgentCore manages
// the connection to: those of JWT authorizers and of OAuth2 credential providers.
func IdentityNetwork() ServiceLinkedRole {
	return ServiceLinkedRole{"AWSServiceRoleForBedrockAgentCoreIdentity", "identity-network.bedrock-agentcore.amazonaws.com", "AWSBedrockAgentCoreIdentityNetworkServiceRolePolicy"}
}

// RuntimeInstances is what capacity providers need.
func RuntimeInstances() ServiceLinkedRole {
	return ServiceLinkedRole{"AWSServiceRoleForBedrockAgentCoreRuntimeInstances", "runtime-instances.bedrock-agentcore.amazonaws.com", "AWSBedrockAgentCoreRuntimeInstancesServiceRolePolicy"}
}

// AllServiceLinkedRoles gives the five, by name.
func AllServiceLinkedRoles() []ServiceLinkedRole {
	return []ServiceLinkedRole{GatewayNetwork(), IdentityNetwork(), Network(), RuntimeIdentity(), RuntimeInstances()}
}

// ServiceLinkedRolesOf gives those that the runtimes of a config need, by name.
func ServiceLinkedRolesOf(cfg agent.Config) []ServiceLinkedRole {
	if slices.ContainsFunc(cfg.Agents, func(a agent.Agent) bool { return a.VPC }) {
		return []ServiceLinkedRole{Network(), RuntimeIdentity()}
	}
	return []ServiceLinkedRole{RuntimeIdentity()}
}
