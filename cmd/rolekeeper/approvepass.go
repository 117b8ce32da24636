package main

import (
	"context"
	"fmt"
	"slices"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
)

// approvePass shows what the last pass would have changed that was stopped, and
// asks for the next one to change it.
func (p program) approvePass(ctx context.Context, f requestFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	s, err := p.stack(ctx, f.stackFlags)
	if err != nil {
		return err
	}
	pass, err := s.bucket.pass(ctx)
	if err != nil {
		return err
	}
	passText(p.stdout, pass, p.now())
	if pass.Stopped == nil {
		p.stdout.line("nothing waits for an operator: the last pass was not stopped")
		return nil
	}
	held := pass
	held.Findings = slices.DeleteFunc(slices.Clone(pass.Findings), func(f report.Finding) bool { return f.Action != report.ActionHeldBack })
	held.Orphans, held.Leaving = nil, nil
	foundText(p.stdout, held)
	p.stdout.line("")
	p.stdout.line("once approved, the next pass does all of this; it is stopped again when it would do anything else")
	p.stdout.line("the digest of what it would do is %s", pass.Stopped.Hash)
	r, err := p.submit(ctx, f, s, model.Request{Action: model.Approve, Plans: map[string]string{model.FleetPlan: pass.Stopped.Hash}})
	if err != nil || !f.wait {
		return err
	}
	return p.awaitPass(ctx, s, r, pass)
}

// awaitPass waits for a pass that came after the one that was shown, and says
// what it did. One that was stopped for the same is not yet the answer: it began
// before the request was there.
func (p program) awaitPass(ctx context.Context, s stack, r model.Request, shown report.Pass) error {
	const look = "look with `rolekeeper report`"
	for range pollFor / pollEvery {
		if err := p.sleep(ctx, pollEvery); err != nil {
			return fmt.Errorf("%w; the request stands: %s", err, look)
		}
		pass, err := s.bucket.pass(ctx)
		switch {
		case fault.Of(err) == fault.Retry:
			continue
		case err != nil:
			return err
		case !pass.At.After(shown.At), pass.Stopped != nil && pass.Stopped.Hash == shown.Stopped.Hash:
			continue
		}
		p.stdout.line("")
		p.stdout.line("pass of %s: %s", moment(pass.At), report.Headline(pass))
		switch {
		case pass.Failed != "":
			return fmt.Errorf("the pass is not whole; the request stands until %s, and the next pass goes by it", moment(r.Expires))
		case pass.Stopped != nil:
			p.stdout.line("it would have done something else than was approved: look at it with `rolekeeper approve --pass`")
			return errProblems
		}
		p.stdout.line("it was not stopped, and has %s looked at", many(pass.Totals.Enqueued, "config"))
		return nil
	}
	return fmt.Errorf("no other pass within %v: the request stands until %s; %s, and when there is no pass, ask the platform team to look into the log of rolekeeper-drift", pollFor, moment(r.Expires), look)
}
