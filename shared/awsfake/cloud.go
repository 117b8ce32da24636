// Package awsfake holds an AWS in memory, for tests: IAM roles, S3 objects, SQS
// queues, an event bus, ECR repositories, log groups, CodeBuild, network interfaces
// and AgentCore's control plane, that behave and refuse as the services do. What it
// was checked against is in package suite, which also runs on the local AWS.
package awsfake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go"
)

// Cloud is one account in one Region. What other Regions have of it: Abroad.
type Cloud struct {
	*account // shared by all Regions
	Region   string

	buckets  map[string]*bucket
	queues   map[string]*queue
	events   []Event
	builds   *codeBuild
	registry *registry
	logs     *logGroups
	core     *agentCore
	network  *network
}

// account is what all Regions of an account share: IAM, the clock, the log of calls.
type account struct {
	Account   string
	Partition string

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
	policies map[string]managed // managed policies by ARN; those of service-linked roles only if changed
	profiles map[string]profile // instance profiles by lower-case name
	linked   linkedRoles
	pace     agentCorePace

	rolesQuota int32
	mostRoles  int // that the lists of all roles give at once; 0: as many as are asked for

	home     *Cloud
	abroad   map[string]*Cloud // by Region
	disabled map[string]bool   // Regions
}

// Call is one call of a service.
type Call struct {
	N         int // counted from 1
	Caller    string
	Region    string // that was called; of IAM, which has none, the client's
	Service   string // iam, s3, sqs, events, codebuild, ecr, logs, ec2, bedrock-agentcore
	Operation string
	Resource  string // role name, bucket/key, queue URL; name of a project, repository or log group; runtime/<id>
}

// String gives the call on one line.
func (c Call) String() string {
	return fmt.Sprintf("%d %s %s:%s %s", c.N, c.Caller, c.Service, c.Operation, c.Resource)
}

// New makes an empty account.
func New() *Cloud {
	a := &account{
		Account: "123456789012", Partition: "aws",
		now:      time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		roles:    map[string]*role{},
		policies: map[string]managed{},
		profiles: map[string]profile{},
		linked:   newLinkedRoles(),
		pace:     newAgentCorePace(),
		abroad:   map[string]*Cloud{},
		disabled: map[string]bool{},

		rolesQuota: defaultRolesQuota,
	}
	a.home = newRegion(a, "us-east-1")
	return a.home
}

func newRegion(a *account, region string) *Cloud {
	return &Cloud{
		account: a, Region: region,
		buckets:  map[string]*bucket{},
		queues:   map[string]*queue{},
		builds:   newCodeBuild(),
		registry: newRegistry(),
		logs:     newLogGroups(),
		core:     newAgentCore(),
		network:  newNetwork(),
	}
}

// Abroad gives the account in another Region: the same clock, log of calls, IAM
// and hooks, and resources of its own. How long things take is the same, too.
func (c *Cloud) Abroad(region string) *Cloud {
	c.mu.Lock()
	defer c.mu.Unlock()
	if region == c.home.Region {
		return c.home
	}
	if c.abroad[region] == nil {
		c.abroad[region] = newRegion(c.account, region)
	}
	return c.abroad[region]
}

// regions gives the account in all its Regions, by name.
func (a *account) regions() []*Cloud {
	all := []*Cloud{a.home}
	for _, c := range a.abroad {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Cloud) int { return strings.Compare(a.Region, b.Region) })
	return all
}

// DisableRegion has every call in a Region be refused, as in one that an account
// has not enabled.
func (c *Cloud) DisableRegion(region string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disabled[region] = true
}

// refused gives the error of a call in a Region that is not enabled: its
// credentials are unknown there (EC2 user guide, "Error codes"; AWS general
// reference, "Common errors").
func (c *Cloud) refused(service string) error {
	switch {
	case service == "iam" || !c.disabled[c.Region]:
		return nil
	case service == "ec2":
		return APIError("AuthFailure", "AWS was not able to validate the provided access credentials")
	}
	return APIError("UnrecognizedClientException", "The security token included in the request is invalid.")
}

// Clone gives an account that is as this one is now, in all Regions, without its
// hooks.
func (c *Cloud) Clone() *Cloud {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &account{
		Account: c.Account, Partition: c.Partition, now: c.now, serial: c.serial,
		calls: slices.Clone(c.calls), policies: maps.Clone(c.policies), profiles: maps.Clone(c.profiles), roles: map[string]*role{},
		linked: c.linked.clone(), pace: c.pace.clone(), abroad: map[string]*Cloud{}, disabled: maps.Clone(c.disabled),
		rolesQuota: c.rolesQuota, mostRoles: c.mostRoles,
	}
	for name, r := range c.roles {
		r := *r
		r.tags, r.policies, r.attached = maps.Clone(r.tags), maps.Clone(r.policies), slices.Clone(r.attached)
		a.roles[name] = &r
	}
	a.home = c.home.clone(a)
	for region, there := range c.abroad {
		a.abroad[region] = there.clone(a)
	}
	if c == c.home {
		return a.home
	}
	return a.abroad[c.Region]
}

// clone gives what an account has in a Region to another account.
func (c *Cloud) clone(a *account) *Cloud {
	out := &Cloud{
		account: a, Region: c.Region, events: slices.Clone(c.events), buckets: map[string]*bucket{}, queues: map[string]*queue{},
		builds: c.builds.clone(), registry: c.registry.clone(), logs: c.logs.clone(), core: c.core.clone(), network: c.network.clone(),
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

// Advance lets time pass; builds and deletions of service-linked roles whose time
// is over end meanwhile.
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
	made := Call{N: len(c.calls) + 1, Caller: caller, Region: c.Region, Service: service, Operation: operation, Resource: resource}
	c.calls = append(c.calls, made)
	if c.Before != nil {
		if err := c.Before(made); err != nil {
			return err
		}
	}
	if err := c.refused(service); err != nil {
		return err
	}
	c.endDeletions()
	if err := carryOut(); err != nil {
		return err
	}
	if c.After != nil {
		return c.After(made)
	}
	return nil
}

// next gives a number that was not given before.
func (a *account) next() int {
	a.serial++
	return a.serial
}

// APIError makes an error as a service answers it.
func APIError(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message}
}
