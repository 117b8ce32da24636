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
	p.heldText(pass)
	p.stdout.line("")
	p.stdout.line("once approved, the next pass does this, or what of it is left to do by then; it is stopped again when it would do anything else")
	p.stdout.line("the digest of what it would do is %s", pass.Stopped.Hash)
	r, err := p.submit(ctx, f, s, model.Request{Action: model.Approve, Plans: map[string]string{model.FleetPlan: pass.Stopped.Hash}})
	if err != nil || !f.wait {
		return err
	}
	return p.awaitPass(ctx, s, r, pass)
}

// heldText shows what a stopped pass would have changed, and says what of it the
// report had no room for.
func (p program) heldText(pass report.Pass) {
	held := pass
	held.Findings = slices.DeleteFunc(slices.Clone(pass.Findings), func(f report.Finding) bool { return f.Action != report.ActionHeldBack })
	held.Orphans, held.Leaving = nil, nil
	foundText(p.stdout, held)
	drift, clipped := 0, 0
	for _, f := range held.Findings {
		if f.Kind.Drift() {
			drift++
		}
		if short(f) {
			clipped++
		}
	}
	unseen := len(pass.Stopped.Digests) - drift
	if unseen <= 0 && clipped == 0 {
		return
	}
	p.stdout.line("")
	if unseen > 0 {
		p.stdout.line("not shown, for want of room in the report: %s more, which you would approve, too", many(unseen, "difference"))
	}
	if clipped > 0 {
		p.stdout.line("shown without all of the texts, for want of room in the report: %s; `rolekeeper plan` has those of a config whole", many(clipped, "difference"))
	}
}

// short reports whether texts of a finding that others made are cut or left out.
func short(f report.Finding) bool {
	if len(f.Observed) > report.MaxDocument || len(f.Desired) > report.MaxDocument {
		return true
	}
	switch f.Kind {
	case report.KindEdited, report.KindMissing, report.KindExtra, report.KindIneffective: // which always have one
		return f.Observed == "" && f.Desired == ""
	}
	return false
}

// awaitPass waits for a pass that came after the one that was shown, and says
// what it did. One that was stopped for the same is not yet the answer: it began
// before the request was there. A pass that found nothing shows what those before
// it did.
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
		case !pass.At.After(shown.At), pass.FoundAt.IsZero() && pass.Stopped != nil && pass.Stopped.Hash == shown.Stopped.Hash:
			continue
		}
		return p.answered(r, pass, shown.Stopped.Hash)
	}
	return fmt.Errorf("no other pass within %v: the request stands until %s; %s, and when there is no pass, ask the platform team to look into the log of rolekeeper-drift", pollFor, moment(r.Expires), look)
}

// answered says what a pass did about the request that lets go what has the hash.
func (p program) answered(r model.Request, pass report.Pass, hash string) error {
	p.stdout.line("")
	p.stdout.line("pass of %s: %s", moment(pass.At), report.Headline(pass))
	failed := !pass.FoundAt.IsZero()
	switch {
	case failed && pass.Released != nil && pass.Released.Hash == hash:
		p.stdout.line("the pass of %s let go what was approved", moment(pass.FoundAt))
		return nil
	case failed, pass.Failed != "" && pass.Stopped == nil && pass.Totals.Enqueued == 0:
		return fmt.Errorf("the pass is not whole; the request stands until %s, and the next pass goes by it", moment(r.Expires))
	case pass.Stopped != nil:
		p.stdout.line("it would have done something else than was approved: look at it with `rolekeeper approve --pass`")
		return errProblems
	case pass.Failed != "":
		p.stdout.line("it is not whole, and went on for all that")
	}
	p.stdout.line("it was not stopped, and has %s looked at", many(pass.Totals.Enqueued, "config"))
	return nil
}
