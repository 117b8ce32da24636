package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/awsfake/stacktest"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/report"
)

const (
	fleetLatency = 5 * time.Millisecond
	// others is how many roles of the account are nobody's agents'.
	others = 5000
	// readers is how many roles are read one by one at the same time, as many as
	// configs are worked on.
	readers = 5
)

// fleetSizes are numbers of configs, each of one container agent with two roles.
func fleetSizes() []int { return []int{5, 50, 500, 2500} }

// fleet is what one pass over a fleet took.
type fleet struct {
	configs, roles, account int // configs, their roles, all roles of the account
	took                    time.Duration
	iam, all                int           // calls
	peak                    int64         // bytes of the heap beyond what the fakes had
	editedTook              time.Duration // of a pass that is stopped, when all roles have another trust
	editedPeak              int64
	oneByOne                time.Duration // to read the same roles with four calls each
	oneByOneCalls           int
}

// measureFleets takes passes over fleets that are as they were left, on fakes of
// which every call takes fleetLatency.
func measureFleets(ctx context.Context) ([]fleet, error) {
	var all []fleet
	for _, n := range fleetSizes() {
		f, err := measureFleet(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("fleet of %d configs: %w", n, err)
		}
		all = append(all, f)
	}
	return all, nil
}

func measureFleet(ctx context.Context, n int) (fleet, error) {
	w, err := newFleetWorld(ctx, n)
	if err != nil {
		return fleet{}, err
	}
	pass := w.pass()
	if _, err := pass.Run(ctx, "first"); err != nil { // it reads the boundary's document
		return fleet{}, err
	}
	w.cloud.ForgetCalls()
	w.cloud.Latency = fleetLatency
	stop := watchHeap()
	started := time.Now()
	r, err := pass.Run(ctx, "second")
	f := fleet{configs: n, took: time.Since(started), peak: stop(), roles: r.Totals.Roles, account: r.Totals.AccountRoles}
	if err != nil {
		return fleet{}, err
	}
	if r.Totals.Roles != 2*n || len(r.Findings)+len(r.Orphans)+r.Totals.Enqueued+r.Totals.Unread > 0 {
		return fleet{}, fmt.Errorf("the fleet is not as it was left: %+v", r.Totals)
	}
	for _, c := range w.cloud.Calls() {
		f.all++
		if c.Service == "iam" {
			f.iam++
		}
	}
	w.cloud.ForgetCalls()
	started = time.Now()
	if err := w.readOneByOne(ctx); err != nil {
		return fleet{}, err
	}
	f.oneByOne, f.oneByOneCalls = time.Since(started), len(w.cloud.Calls())
	return f, w.measureEdited(ctx, &f)
}

// measureEdited has somebody edit all agents' roles, and takes a pass that is
// stopped for it.
func (w *fleetWorld) measureEdited(ctx context.Context, f *fleet) error {
	w.cloud.Latency = 0
	for _, name := range w.names {
		if _, err := w.cloud.IAM("somebody").UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{
			RoleName: &name, PolicyDocument: aws.String(openTrust),
		}); err != nil {
			return fmt.Errorf("edit role %s: %w", name, err)
		}
	}
	w.cloud.ForgetCalls()
	w.cloud.Latency = fleetLatency
	stop := watchHeap()
	started := time.Now()
	r, err := w.pass().Run(ctx, "edited")
	f.editedTook, f.editedPeak = time.Since(started), stop()
	if err == nil && (r.Stopped == nil || r.Stopped.Found != len(w.names) || len(r.Findings) != min(len(w.names), report.MaxFindings) || r.Totals.Enqueued > 0) {
		err = fmt.Errorf("the pass over a fleet of which every role is edited is not stopped for that: %+v", r.Totals)
	}
	return err
}

// watchHeap watches how far the heap grows until it is stopped.
func watchHeap() (stop func() int64) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // a heap is smaller
	}
	runtime.GC()
	before, peak, done := heap(), int64(0), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			peak = max(peak, heap()-before)
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(done)
		<-ended
		return peak
	}
}

// fleetWorld is an account on the fakes in which configs were applied.
type fleetWorld struct {
	cloud    *awsfake.Cloud
	settings reconcile.Settings
	work     string
	names    []string // of the agents' roles
}

func newFleetWorld(ctx context.Context, n int) (*fleetWorld, error) {
	c := awsfake.New()
	w := &fleetWorld{cloud: c, settings: stacktest.Deploy(c), work: c.AddQueue("work.fifo", time.Minute, 10, "")}
	c.SetRolesQuota(20_000)
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	for i := range others {
		if _, err := c.IAM("others").CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String(fmt.Sprintf("other-%05d", i)), AssumeRolePolicyDocument: &trust}); err != nil {
			return nil, err
		}
	}
	drawn := 0
	r := stacktest.Reconciler(c, w.settings, c.AddQueue("inbox", time.Minute, 10, ""), func() string { drawn++; return fmt.Sprintf("random-%06d", drawn) })
	bucket := naming.ConfigBucket(c.Account, c.Region)
	for i := range n {
		key, name := fmt.Sprintf("configs/team%d/agent%05d.yaml", i%10, i), fmt.Sprintf("agent%05d", i)
		if _, err := c.S3("developer").PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(container(name))}); err != nil {
			return nil, err
		}
		if _, err := r.Reconcile(ctx, key); err != nil {
			return nil, err
		}
		w.names = append(w.names, naming.RuntimeRole(c.Region, name), naming.BuildRole(c.Region, name))
	}
	c.Advance(time.Minute)
	return w, nil
}

func (w *fleetWorld) pass() drift.Pass { return stacktest.Pass(w.cloud, w.settings, w.work) }

// readOneByOne reads the agents' roles as who has no bulk does.
func (w *fleetWorld) readOneByOne(ctx context.Context) error {
	reader := iamrole.NewReader(w.cloud.IAM("reader"))
	var group errgroup.Group
	group.SetLimit(readers)
	for _, name := range w.names {
		group.Go(func() error {
			o, err := reader.Read(ctx, name)
			if err == nil && len(o.Policies) == 0 {
				err = errors.New("it has no policy")
			}
			if err != nil {
				return fmt.Errorf("read role %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}
