package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/naming"
)

const (
	repairs       = 50
	repairedRoles = 20 // taken in turn; of the agents of oneByOne
)

// openTrust lets another account in.
const openTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}]}`

// measureRepairs has somebody open the trust of agents' roles by hand, the next
// when everything that follows from the last has happened. It gives the milliseconds
// from when IAM's event was on the bus until the role was as it had been, sorted.
// How long CloudTrail takes to tell is not among them: here it takes no time.
func measureRepairs(ctx context.Context, w *watcher) (sorted []float64, err error) {
	var r repair
	defer w.aws.Proxy().AddHook(proxy.Hook{After: r.call})()
	defer w.aws.Subscribe(r.event)()
	for i := range repairs {
		took, err := r.one(ctx, w, naming.RuntimeRole(region, fmt.Sprintf("one%03d", i%repairedRoles)))
		if err != nil {
			return nil, fmt.Errorf("repair %d: %w", i+1, err)
		}
		sorted = append(sorted, took)
	}
	slices.Sort(sorted)
	return sorted, nil
}

// repair sees when a role is told to be edited, and when it is repaired.
type repair struct {
	mu         sync.Mutex
	role       string
	told, done chan time.Time
}

// event takes the first event about the role.
func (r *repair) event(e bus.Event) {
	at := time.Now() // events have whole seconds
	var detail struct {
		RequestParameters struct{ RoleName string }
	}
	if e.Source != "aws.iam" || json.Unmarshal(e.Detail, &detail) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.role != "" && detail.RequestParameters.RoleName == r.role {
		first(r.told, at)
	}
}

// call takes the first write of the role's trust by reconcile.
func (r *repair) call(c proxy.Call) proxy.Verdict {
	at := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Caller == "reconcile" && c.Operation == "UpdateAssumeRolePolicy" && c.Committed && c.Resource == r.role {
		first(r.done, at)
	}
	return proxy.Continue
}

// first keeps the first time that a channel is given, which has room for one.
func first(c chan time.Time, at time.Time) {
	select {
	case c <- at:
	default:
	}
}

func (r *repair) expect(role string) (told, done <-chan time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.role, r.told, r.done = role, make(chan time.Time, 1), make(chan time.Time, 1)
	return r.told, r.done
}

// one edits a role and gives the milliseconds that its repair took.
func (r *repair) one(ctx context.Context, w *watcher, role string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, oneDeadline)
	defer cancel()
	told, done := r.expect(role)
	if _, err := iam.NewFromConfig(w.aws.Config("somebody")).UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{
		RoleName: &role, PolicyDocument: aws.String(openTrust),
	}); err != nil {
		return 0, fmt.Errorf("edit role %s: %w", role, err)
	}
	var began, ended time.Time
	select {
	case began = <-told:
	case <-ctx.Done():
		return 0, fmt.Errorf("role %s: wait for IAM's event: %w", role, ctx.Err())
	}
	select {
	case ended = <-done:
	case <-ctx.Done():
		return 0, fmt.Errorf("role %s: wait until it is repaired: %w", role, ctx.Err())
	}
	if err := w.aws.WaitIdle(ctx); err != nil {
		return 0, fmt.Errorf("role %s: %w", role, err)
	}
	return float64(ended.Sub(began).Microseconds()) / 1000, nil
}
