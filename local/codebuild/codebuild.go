// Package codebuild is the CodeBuild of the local AWS: the projects and builds of
// package awsfake, and a runner that really runs a build's commands, with
// stand-ins for docker and the AWS CLI.
package codebuild

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/local/bus"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/naming"
)

// Options say what builds run on.
type Options struct {
	Account   string // 12 digits
	Region    string
	Endpoint  string                                                                // URL of the local AWS
	Config    func(caller string) aws.Config                                        // with which builds call it, under the caller's name
	Publish   func(bus.Event)                                                       // puts an event on the bus
	Role      func(ctx context.Context, name string) (arn, trust string, err error) // trust is the policy as it was set
	Note      func(error)                                                           // takes what goes wrong here, and not in a build
	TimeScale float64                                                               // multiplies timeouts of builds and the time for which tokens are known
}

// CallerName and a project's name is who a build calls as.
const CallerName = "codebuild/"

// parallel is how many builds this machine runs at the same time; others that
// CodeBuild lets run are still being provisioned.
const parallel = 8

// keptLines is how much of a project's log is kept.
const keptLines = 2000

// CodeBuild is a running CodeBuild. Its methods may be called concurrently.
type CodeBuild struct {
	o      Options
	cloud  *awsfake.Cloud
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup
	slots  chan struct{}
	clock  sync.Mutex

	// The cloud calls back while it is locked: it is not used under mu.
	mu     sync.Mutex
	jobs   map[string]*job     // those under way by id of the build
	logs   map[string][]string // last lines by project
	faulty func(types.Build) error
}

// New starts a CodeBuild without projects. It ends with Stop or with ctx.
func New(ctx context.Context, o Options) *CodeBuild {
	c := &CodeBuild{o: o, cloud: awsfake.New(), slots: make(chan struct{}, parallel), jobs: map[string]*job{}, logs: map[string][]string{}}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.cloud.Account, c.cloud.Region, c.cloud.Partition = o.Account, o.Region, naming.Partition(o.Region)
	c.cloud.ScaleBuildTimes(o.TimeScale)
	c.cloud.AssumeRoles(c.assumable)
	c.cloud.RunBuilds(c.start)
	c.cloud.WatchBuilds(c.changed)
	c.pass()
	c.all.Go(func() {
		for ticks := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-c.ctx.Done():
				ticks.Stop()
				return
			case <-ticks.C:
				c.pass()
			}
		}
	})
	return c
}

// Client gives CodeBuild's API as a caller has it.
func (c *CodeBuild) Client(caller string) *awsfake.CodeBuild {
	c.pass()
	return c.cloud.CodeBuild(caller)
}

// LimitBuilds sets how many builds the account may run at the same time; five
// times as many wait. Zero refuses all.
func (c *CodeBuild) LimitBuilds(concurrent int) { c.cloud.LimitBuilds(concurrent) }

// FailBuilds has f say which builds CodeBuild itself fails to run: those for
// which it gives an error. It must not use CodeBuild; nil ends it.
func (c *CodeBuild) FailBuilds(f func(types.Build) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faulty = f
}

// Builds gives all builds in the order in which they were started.
func (c *CodeBuild) Builds() []types.Build { return c.cloud.Builds() }

// Pending gives the number of builds that wait or run.
func (c *CodeBuild) Pending() int { return c.cloud.PendingBuilds() }

// Log gives the last lines that builds of a project wrote.
func (c *CodeBuild) Log(project string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.logs[project])
}

// Stop ends everything and waits for it.
func (c *CodeBuild) Stop() {
	c.cancel()
	c.all.Wait()
}

// pass sets CodeBuild's clock.
func (c *CodeBuild) pass() {
	c.clock.Lock()
	defer c.clock.Unlock()
	c.cloud.Advance(time.Since(c.cloud.Now()))
}

// assumable tells whether a role lets CodeBuild assume it for a project.
func (c *CodeBuild) assumable(role, project string) bool {
	arn, trust, err := c.o.Role(c.ctx, role[strings.LastIndexByte(role, '/')+1:])
	var absent *iamtypes.NoSuchEntityException
	if errors.As(err, &absent) {
		return false
	}
	if err != nil {
		c.o.Note(fmt.Errorf("can CodeBuild assume %s: %w", role, err))
		return false
	}
	return arn == role && awsfake.TrustsCodeBuild(trust, project, c.o.Account)
}

// start begins a build that has left the queue.
func (c *CodeBuild) start(b types.Build) awsfake.Outcome {
	j := newJob(c, b)
	ctx, cancel := context.WithCancel(c.ctx)
	j.cancel = cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[j.id] = j
	c.all.Go(func() {
		defer cancel()
		c.run(ctx, j)
	})
	return awsfake.Outcome{After: -1}
}

// changed tells the bus, and ends what was stopped or has run out of time.
func (c *CodeBuild) changed(e awsfake.BuildEvent) {
	c.o.Publish(bus.Event{
		Source: awsfake.BuildEventSource, DetailType: awsfake.BuildEventDetailType, Time: e.Time, Resources: e.Resources, Detail: e.Detail,
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if j := c.jobs[*e.Build.Id]; j != nil && e.Build.BuildComplete {
		delete(c.jobs, j.id)
		j.cancel()
	}
}

func (c *CodeBuild) run(ctx context.Context, j *job) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return
	}
	o := c.outcome(ctx, j)
	if ctx.Err() == nil { // else it was ended, or everything is
		c.pass()
		c.cloud.FinishBuild(j.id, o)
	}
}

func (c *CodeBuild) outcome(ctx context.Context, j *job) awsfake.Outcome {
	c.mu.Lock()
	faulty := c.faulty
	c.mu.Unlock()
	if faulty != nil {
		if err := faulty(j.build); err != nil {
			return awsfake.Outcome{State: types.StatusTypeFault, Phase: types.BuildPhaseTypeProvisioning, Message: "INTERNAL_SERVICE_ERROR: " + err.Error()}
		}
	}
	dir, err := os.MkdirTemp("", "local-build-")
	if err != nil {
		c.o.Note(fmt.Errorf("build %s: %w", j.id, err))
		return awsfake.Outcome{State: types.StatusTypeFault, Message: "INTERNAL_SERVICE_ERROR: " + err.Error()}
	}
	defer func() { _ = os.RemoveAll(dir) }() // a rest in the temporary directory does no harm
	return j.run(ctx, dir)
}

// Programs answers the stand-ins of docker and the AWS CLI. The path's value
// secret names the build.
func (c *CodeBuild) Programs(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	var of *job
	for _, j := range c.jobs {
		if j.secret == r.PathValue("secret") {
			of = j
		}
	}
	c.mu.Unlock()
	if of == nil {
		http.NotFound(w, r)
		return
	}
	of.program(w, r)
}

// write adds what a build wrote to the log of its project.
func (c *CodeBuild) write(project string, lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(c.logs[project], lines...)
	c.logs[project] = slices.Clone(all[max(0, len(all)-keptLines):])
}
