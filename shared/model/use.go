package model

// Use is something that holds a role: it may assume the role at any time.
type Use struct {
	Role   string // ARN
	ARN    string // of what holds it
	Kind   string // runtime, gateway, memory, …
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
