// Package awsfake holds an AWS in memory, for tests: IAM roles, S3 objects, SQS
// queues, an event bus, ECR repositories, log groups, CodeBuild and AgentCore's
// control plane, that behave and refuse as the services do. What it was checked
// against is in package suite, which also runs on the local AWS.
package awsfake

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/smithy-go"
)

// Cloud is one account in one region.
type Cloud struct {
	Account   string
	Partition string
	Region    string

	// Before and After are called around every call, not at the same time as any
	// other. An error from Before keeps the call from being carried out; one from
	// After loses its answer. Either may panic to kill the caller.
	Before func(Call) error
	After  func(Call) error
	// Latency is what every call takes, by the real clock; calls take it side by side.
	Latency time.Duration

	mu       sync.Mutex
	now      time.Time
	serial   int
	calls    []Call
	roles    map[string]*role   // by lower-case name
	policies map[string]managed // managed policies by ARN
	profiles map[string]profile // instance profiles by lower-case name
	buckets  map[string]*bucket
	queues   map[string]*queue
	events   []Event
	builds   *codeBuild
	registry *registry
	logs     *logGroups
	core     *agentCore

	rolesQuota int32
	mostRoles  int // that the lists of all roles give at once; 0: as many as are asked for
}

// Call is one call of a service.
type Call struct {
	N         int // counted from 1
	Caller    string
	Service   string // iam, s3, sqs, events, codebuild, ecr, logs, bedrock-agentcore
	Operation string
	Resource  string // role name, bucket/key, queue URL; name of a project, repository or log group; runtime/<id>
}

// String gives the call on one line.
func (c Call) String() string {
	return fmt.Sprintf("%d %s %s:%s %s", c.N, c.Caller, c.Service, c.Operation, c.Resource)
}

// New makes an empty account.
func New() *Cloud {
	return &Cloud{
		Account: "123456789012", Partition: "aws", Region: "us-east-1",
		now:      time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		roles:    map[string]*role{},
		policies: map[string]managed{},
		profiles: map[string]profile{},
		buckets:  map[string]*bucket{},
		queues:   map[string]*queue{},
		builds:   newCodeBuild(),
		registry: newRegistry(),
		logs:     newLogGroups(),
		core:     newAgentCore(),

		rolesQuota: defaultRolesQuota,
	}
}

// Clone gives an account that is as this one is now, without its hooks.
func (c *Cloud) Clone() *Cloud {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &Cloud{
		Account: c.Account, Partition: c.Partition, Region: c.Region, now: c.now, serial: c.serial,
		calls: slices.Clone(c.calls), events: slices.Clone(c.events), policies: maps.Clone(c.policies), profiles: maps.Clone(c.profiles),
		roles: map[string]*role{}, buckets: map[string]*bucket{}, queues: map[string]*queue{},
		builds: c.builds.clone(), registry: c.registry.clone(), logs: c.logs.clone(), core: c.core.clone(),
		rolesQuota: c.rolesQuota, mostRoles: c.mostRoles,
	}
	for name, r := range c.roles {
		r := *r
		r.tags, r.policies, r.attached = maps.Clone(r.tags), maps.Clone(r.policies), slices.Clone(r.attached)
		out.roles[name] = &r
	}
	for name, b := range c.buckets {
		out.buckets[name] = b.clone()
	}
	for url, q := range c.queues {
		q := *q
		q.messages, q.seen = slices.Clone(q.messages), maps.Clone(q.seen)
		out.queues[url] = &q
	}
	return out
}

// Now gives the account's time.
func (c *Cloud) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance lets time pass; builds whose time is over end meanwhile.
func (c *Cloud) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass(c.now.Add(d))
}

// Calls gives the calls so far.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Call(nil), c.calls...)
}

// ForgetCalls empties the log of calls.
func (c *Cloud) ForgetCalls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = nil
}

// call runs one call of a service under the lock.
func (c *Cloud) call(caller, service, operation, resource string, carryOut func() error) error {
	if c.Latency > 0 {
		time.Sleep(c.Latency)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := Call{N: len(c.calls) + 1, Caller: caller, Service: service, Operation: operation, Resource: resource}
	c.calls = append(c.calls, made)
	if c.Before != nil {
		if err := c.Before(made); err != nil {
			return err
		}
	}
	if err := carryOut(); err != nil {
		return err
	}
	if c.After != nil {
		return c.After(made)
	}
	return nil
}

// next gives a number that was not given before.
func (c *Cloud) next() int {
	c.serial++
	return c.serial
}

// APIError makes an error as a service answers it.
func APIError(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message}
}
