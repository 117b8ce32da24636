// Package agent reads agent configs: the format of the AgentCore starter
// toolkit's .bedrock_agentcore.yaml, and the permissions block that Rolekeeper
// adds to it. A config is accepted whole or refused whole.
package agent

import (
	"strings"

	"rolekeeper/shared/fault"
)

// Place is where Rolekeeper runs. A config that names another one is at fault.
type Place struct {
	Partition string // aws, aws-us-gov, aws-cn
	Region    string
	Account   string // 12 digits
}

// Registry gives the host of the place's ECR registry (ECR user guide, "Amazon
// ECR registries").
func (p Place) Registry() string {
	domain := "amazonaws.com"
	if p.Partition == "aws-cn" {
		domain += ".cn"
	}
	return p.Account + ".dkr.ecr." + p.Region + "." + domain
}

// Config is an accepted config.
type Config struct {
	Agents []Agent // in the file's order; at least one
}

// Deployment says how an agent's code reaches its runtime.
type Deployment string

// The toolkit's deployment types.
const (
	Container  Deployment = "container"
	DirectCode Deployment = "direct_code_deploy"
)

// Agent is one agent of a config: only what drives roles, validated.
type Agent struct {
	Name       string
	Deployment Deployment

	// Roles the config names. An empty ARN leaves the role to Rolekeeper.
	RuntimeRole RoleRef
	BuildRole   RoleRef // container agents only

	Repository string // name of the ECR repository, in Place; empty when the config names none
	A2A        bool   // protocol A2A: calls other runtimes
	VPC        bool   // network mode VPC
	MemoryID   string // empty when there is none
	Providers  []CredentialProvider
	JWT        *JWT // nil unless enabled with audiences

	Permissions Permissions

	places map[string]place // field path -> where it stands in the file
	items  map[item]string  // what a list names -> field path of the item that names it first
	faulty bool             // has a problem of severity error
}

// RoleRef is a role that a config names.
type RoleRef struct {
	ARN  string
	Name string // last segment of the ARN
}

// ProviderKind tells where a credential provider keeps its secret.
type ProviderKind string

// The kinds of credential providers, spelled as in their ARNs.
const (
	OAuth2Provider ProviderKind = "oauth2credentialprovider"
	APIKeyProvider ProviderKind = "apikeycredentialprovider"
)

// CredentialProvider is one provider of the default token vault.
type CredentialProvider struct {
	Name string
	ARN  string
	Kind ProviderKind
}

// JWT is the agent's right to get web identity tokens.
type JWT struct {
	Audiences        []string
	SigningAlgorithm string // ES384 or RS256
	DurationSeconds  int    // 60 to 3600
}

// Permissions is what the agent may do beyond the toolkit's fields: capabilities
// by name, never IAM.
type Permissions struct {
	Models          []Model
	CodeInterpreter bool
	Browser         bool
	IdentityTokens  bool
	BaseImages      []string // names of ECR repositories in Place that the build may pull from
}

// Model is a foundation model or an inference profile.
type Model struct {
	// ID of the foundation model, without a geographic prefix: anthropic.claude-….
	FoundationModel string
	// ID of the system inference profile that routes to it; empty when the model is called directly.
	InferenceProfile string
}

// place is a position in the file, counted from 1.
type place struct{ line, column int }

// item is a value that a list of the config names.
type item struct{ list, value string }

// Problem makes a problem of severity error at the place of the agent's field,
// or of the nearest enclosing field that the file has.
func (a Agent) Problem(code, field, message, fix string) fault.Problem {
	p := fault.Problem{
		Code: code, Severity: fault.SeverityError, Agent: a.Name, Field: field, Message: message, Fix: fix,
	}
	at := a.where(field)
	p.Line, p.Column = at.line, at.column
	return p
}

// Warning makes a problem like Problem that does not stop the config.
func (a Agent) Warning(code, field, message, fix string) fault.Problem {
	p := a.Problem(code, field, message, fix)
	p.Severity = fault.SeverityWarning
	return p
}

// where gives the place of the field, or of the nearest enclosing one.
func (a Agent) where(field string) place {
	for f := field; ; {
		if at, ok := a.places[f]; ok {
			return at
		}
		i := strings.LastIndexAny(f, ".[")
		if i < 0 {
			return a.places[""]
		}
		f = f[:i]
	}
}
