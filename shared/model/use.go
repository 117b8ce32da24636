package model

// Use is something that holds a role: it may assume the role at any time.
type Use struct {
	Role   string // ARN
	ARN    string // of what holds it
	Kind   string // runtime, gateway, memory, project, …
	Status string // as the service gives it; empty where there is none
}

// RuntimeSummary is an AgentCore runtime as a listing shows it: without a role.
type RuntimeSummary struct {
	ID      string
	Name    string
	ARN     string
	Version string // the newest
	Status  string // as AgentCore gives it
	Updated string // RFC 3339 with all digits: what is equal was not changed
}

// RuntimeEndpoint leads those who invoke a runtime to one of its versions.
type RuntimeEndpoint struct {
	Name   string // DEFAULT follows the newest version
	ARN    string
	Live   string // version that answers; empty before there is one
	Target string // version that is to answer; that of Live but while it changes
	Status string // as AgentCore gives it
}
