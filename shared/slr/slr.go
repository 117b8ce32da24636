// Package slr watches AgentCore's service-linked roles: which are needed, by
// what, which are idle, and when one may go. It deletes one only when an operator
// asks for it, or when it was idle for as long as the settings say.
package slr

import (
	"context"
	"time"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
)

// Roles is what is read and asked of IAM: a call each. What answers
// fault.ErrNotFound does so for absence only.
type Roles interface {
	// Observe gives a role by its name; fault.ErrNotFound: there is none.
	Observe(ctx context.Context, name string) (model.ObservedLinked, error)
	// Policy gives the default version of a managed policy, and when AWS changed it.
	Policy(ctx context.Context, arn string) (version string, updated time.Time, err error)
	PolicyDocument(ctx context.Context, arn, version string) (string, error)
	// AskAccess has IAM make a report on when a role was last used.
	AskAccess(ctx context.Context, arn string) (job string, err error)
	// Access gives such a report, its time of asking left out, once it is done. One
	// that IAM could not make says so in Failed. fault.ErrNotFound: there is no such
	// job any more.
	Access(ctx context.Context, job string) (access model.LinkedAccess, done bool, err error)
	// Delete asks AWS to delete a service-linked role; while it is at it, the task is
	// the same. fault.ErrNotFound: there is no such role.
	Delete(ctx context.Context, name string) (task string, err error)
	// Deletion gives how far a task is: DeletionRunning, DeletionSucceeded or, with
	// what the service says, DeletionFailed. fault.ErrNotFound: there is no such task
	// any more.
	Deletion(ctx context.Context, task string) (model.LinkedDeletion, error)
}

// Region is what is read of one Region.
type Region struct {
	Resources  Resources
	Interfaces Interfaces
}

// Resources is what is read of AgentCore. Known is what was read before, of which
// what was not changed since is not read again. Unread tells, by kind as in
// model.Resource, what could not be read whole; what was read of it is among what
// was found.
type Resources interface {
	Resources(ctx context.Context, known []model.Resource) (found []model.Resource, unread map[string]error)
}

// Interfaces is what is read of EC2: the ids of all network interfaces that
// AgentCore has in VPCs, or an error.
type Interfaces interface {
	Managed(ctx context.Context) ([]string, error)
}

// Store is the config bucket. Get and GetUpTo answer fault.ErrNotFound for absence
// only, Create and Replace fault.ErrConflict when the object is not as it was read.
type Store interface {
	Entries(ctx context.Context, prefix string) ([]model.Entry, error)
	Get(ctx context.Context, key string) (model.Object, error)
	GetUpTo(ctx context.Context, key string, most int64) (model.Object, error)
	Create(ctx context.Context, key string, body []byte) (etag string, err error)
	Replace(ctx context.Context, key string, body []byte, etag string) (newETag string, err error)
}

// Queue is slrwatch's own queue.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
}

// Bus is where events go.
type Bus interface {
	Send(ctx context.Context, events []event.Outgoing) error
}

// Watch is the pipeline of functions/slrwatch.
type Watch struct {
	Here      event.Here
	Place     agent.Place
	Regions   []string // to look at, the stack's own among them
	IdleDays  int      // after which a role is deleted that nothing needs; 0: never
	Operators bool     // there are principals who may write requests

	Store  Store
	Roles  Roles
	Region func(name string) Region
	Queue  Queue
	Bus    Bus
	Now    func() time.Time
}
