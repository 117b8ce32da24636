package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// stopped gives a pass that was stopped.
func stopped(changes ...func(*report.Pass)) report.Pass {
	return aPass(append([]func(*report.Pass){func(p *report.Pass) {
		p.Stopped, p.Totals.Enqueued = &report.Stop{Found: 30, Allowed: 24, Hash: digest("a"), Digests: []string{"1", "2", "3"}}, 0
		for i, f := range p.Findings {
			if f.Action == report.ActionRepaired {
				p.Findings[i].Action = report.ActionHeldBack
			}
		}
	}}, changes...)...)
}

// fleetRequest gives the one request for the fleet that was written.
func (w *deployed) fleetRequest() model.FleetRequest {
	w.t.Helper()
	all := w.Objects(w.bucket, naming.RequestPrefix)
	if len(all) != 1 {
		w.t.Fatalf("requests %q, want one", all)
	}
	body := all[naming.FleetRequestKey(requestID)]
	r, err := model.ParseFleetRequest(body)
	w.must(nil, err)
	return r
}

func TestAnOperatorLetsAStoppedPassGo(t *testing.T) {
	w := deploy(t)
	w.found(t, stopped())
	w.ForgetCalls()
	w.terminal, w.stdin = true, "yes\n"
	w.sleep = func(context.Context, time.Duration) error {
		w.found(t, aPass(func(p *report.Pass) { p.At = at(12) }))
		return nil
	}
	got := w.run(t, "approve", "--pass")
	if got.code != exitGood || got.stderr != "Ask Rolekeeper to do this? Type yes: " {
		t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	golden(t, "approve-pass.txt", got.stdout)
	if put := []string{"s3:PutObject " + w.bucket + "/" + naming.FleetRequestKey(requestID)}; !slices.Equal(w.wrote(), put) {
		t.Errorf("the tool wrote %q, want %q", w.wrote(), put)
	}
	r := w.fleetRequest()
	if r.V != 1 || r.ID != requestID || r.Action != model.Approve || r.Plans[model.FleetPlan] != digest("a") || !r.Expires.Equal(at(13)) || r.By != operatorARN {
		t.Errorf("request %+v", r)
	}
}

func TestAnOperatorIsToldWhatAReportOfAStoppedPassCannotShow(t *testing.T) {
	const unseen, clipped = "not shown, for want of room in the report: ", "shown without all of the texts, for want of room in the report: "
	long := strings.Repeat("x", report.MaxDocument+1)
	held := func(f report.Finding) func(*report.Pass) {
		return func(p *report.Pass) {
			f.Action = report.ActionHeldBack
			p.Findings = append(p.Findings, f)
			p.Stopped.Digests = append(p.Stopped.Digests, "4")
		}
	}
	digests := func(n int) func(*report.Pass) {
		return func(p *report.Pass) { p.Stopped.Digests = make([]string, n) }
	}
	for name, c := range map[string]struct {
		change    func(*report.Pass)
		says, not string // not is in no line
	}{
		"nothing is left out":                      {digests(3), "once approved", "for want of room in the report"},
		"more than there is room for":              {digests(5), unseen + "2 differences more, which you would approve, too", clipped},
		"one more":                                 {digests(4), unseen + "1 difference more", clipped},
		"more, and what is no drift":               {func(p *report.Pass) { held(report.Finding{Kind: report.KindPending})(p); digests(4)(p) }, unseen + "1 difference more", clipped},
		"a text that is cut":                       {held(report.Finding{Kind: report.KindMissing, Desired: long}), clipped + "1 difference;", unseen},
		"the other text that is cut":               {held(report.Finding{Kind: report.KindEdited, Observed: long, Desired: "{}"}), clipped + "1 difference;", unseen},
		"a text as long as one may be":             {held(report.Finding{Kind: report.KindExtra, Observed: long[1:]}), "once approved", clipped},
		"texts that are left out":                  {held(report.Finding{Kind: report.KindEdited}), clipped + "1 difference;", unseen},
		"texts that there never are":               {held(report.Finding{Kind: report.KindRoleMissing}), "once approved", clipped},
		"texts of what is not to be changed, left": {func(p *report.Pass) { p.Findings[1].Kind = report.KindEdited }, "once approved", clipped},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			w.found(t, stopped(c.change))
			got := w.run(t, "approve", "--pass")
			if got.code != exitError || !strings.Contains(got.stdout, c.says) || strings.Contains(got.stdout, c.not) {
				t.Errorf("exit code %d; %q is not in, or %q is\n%s%s", got.code, c.says, c.not, got.stdout, got.stderr)
			}
		})
	}
}

// later is a pass after the one that was shown.
func later(p *report.Pass) { p.At = at(12) }

// failing is one that found nothing, and shows what the one before did.
func failing(p *report.Pass) {
	later(p)
	p.Failed, p.FoundAt, p.Totals.Enqueued = "throttled", at(11), 0
}

func TestAStoppedPassIsLetGoThoughALaterOneFailed(t *testing.T) {
	w := deploy(t)
	w.found(t, stopped(failing, func(p *report.Pass) { p.At = at(12).Add(-time.Minute) }))
	w.sleep = func(context.Context, time.Duration) error {
		w.found(t, aPass(later, func(p *report.Pass) { p.Released = &report.Stop{Hash: digest("a")} }))
		return nil
	}
	got := w.run(t, "approve", "--pass", "--yes")
	for _, want := range []string{
		"The pass is not whole: throttled.\npass of 2026-11-22T11:59:00Z, 1m ago, ",
		"\nThe pass failed: what is shown was found by that of 2026-11-22 11:00:00 UTC. The pass was stopped before it changed anything: it would put 30 right",
		"held back", "the digest of what it would do is " + digest("a"), "it was not stopped, and has 2 configs looked at",
	} {
		if got.code != exitGood || !strings.Contains(got.stdout, want) {
			t.Errorf("exit code %d; %q is not in\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
	if r := w.fleetRequest(); r.Plans[model.FleetPlan] != digest("a") {
		t.Errorf("request %+v", r)
	}
}

func TestWaitingForAPass(t *testing.T) {
	released := func(p *report.Pass) { p.Released = &report.Stop{Hash: digest("a")} }
	for name, c := range map[string]struct {
		sleep func(w *deployed, n int) error
		args  []string
		code  int
		naps  int
		want  string
	}{
		"later": {func(w *deployed, n int) error { return when(n == 9, func() { w.found(w.t, aPass(later)) }) }, nil, exitGood, 9, "it was not stopped, and has 2 configs looked at"},
		"never": {func(*deployed, int) error { return nil }, nil, exitError, 60, "no other pass within 2m0s: the request stands until 2026-11-22T15:00:00Z"},
		"not at all": {
			nil, []string{"--wait=false"}, exitGood, 0, "request " + requestID + " is written; the answer comes into s3://bedrock-agentcore-configs-123456789012-us-east-1/reports/latest.json",
		},
		"interrupted": {func(*deployed, int) error { return context.Canceled }, nil, exitError, 1, "the request stands: look with `rolekeeper report`"},
		"one that began before": {func(w *deployed, n int) error {
			return errors.Join(when(n == 1, func() { w.found(w.t, stopped(later)) }), when(n == 3, func() { w.found(w.t, aPass(later)) }))
		}, nil, exitGood, 3, "it was not stopped"},
		"the old one, found anew": {func(w *deployed, n int) error {
			return errors.Join(when(n == 1, func() { w.found(w.t, aPass()) }), when(n == 3, func() { w.found(w.t, aPass(later)) }))
		}, nil, exitGood, 3, "it was not stopped"},
		"one that finds something else": {func(w *deployed, _ int) error {
			w.found(w.t, stopped(later, func(p *report.Pass) { p.Stopped.Hash = digest("b") }))
			return nil
		}, nil, exitProblems, 1, "it would have done something else than was approved"},
		"one that is not whole, and went on": {func(w *deployed, _ int) error {
			w.found(w.t, aPass(later, func(p *report.Pass) { p.Failed = "configs/other.yaml: throttled" }))
			return nil
		}, nil, exitGood, 1, "it is not whole, and went on for all that\nit was not stopped, and has 2 configs looked at"},
		"one that is not whole, and was stopped for something else": {func(w *deployed, _ int) error {
			w.found(w.t, stopped(later, func(p *report.Pass) { p.Failed, p.Stopped.Hash = "throttled", digest("b") }))
			return nil
		}, nil, exitProblems, 1, "it would have done something else than was approved"},
		"one that is not whole, and was stopped as before": {func(w *deployed, n int) error {
			return errors.Join(
				when(n == 1, func() { w.found(w.t, stopped(later, func(p *report.Pass) { p.Failed = "throttled" })) }),
				when(n == 3, func() { w.found(w.t, aPass(later)) }))
		}, nil, exitGood, 3, "it was not stopped"},
		"one that could send nothing": {func(w *deployed, _ int) error {
			w.found(w.t, aPass(later, released, func(p *report.Pass) { p.Failed, p.Totals.Enqueued = "throttled", 0 }))
			return nil
		}, nil, exitError, 1, "the next pass goes by it"},
		"one that found nothing": {func(w *deployed, _ int) error {
			w.found(w.t, stopped(failing))
			return nil
		}, nil, exitError, 1, "the request stands until 2026-11-22T15:00:00Z, and the next pass goes by it"},
		"one that found nothing, after one that was let go": {func(w *deployed, _ int) error {
			w.found(w.t, aPass(failing, released))
			return nil
		}, nil, exitGood, 1, "the pass of 2026-11-22T11:00:00Z let go what was approved"},
		"one that found nothing, after one that another let go": {func(w *deployed, _ int) error {
			w.found(w.t, aPass(failing, func(p *report.Pass) { p.Released = &report.Stop{Hash: digest("b")} }))
			return nil
		}, nil, exitError, 1, "the next pass goes by it"},
		"one that was let go": {func(w *deployed, _ int) error {
			w.found(w.t, aPass(later, released))
			return nil
		}, nil, exitGood, 1, "it was not stopped, and has 2 configs looked at"},
		"throttled for a while": {func(w *deployed, n int) error {
			w.Before = func(c awsfake.Call) error {
				if n < 4 && c.Caller == operator && c.Operation == "GetObject" {
					return awsfake.APIError("SlowDown", "Please reduce your request rate.")
				}
				return nil
			}
			w.found(w.t, aPass(later))
			return nil
		}, nil, exitGood, 4, "it was not stopped"},
		"denied by then": {func(w *deployed, _ int) error {
			w.Before = func(c awsfake.Call) error {
				if c.Caller == operator {
					return awsfake.APIError("AccessDenied", "no")
				}
				return nil
			}
			return nil
		}, nil, exitError, 1, "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			w.found(t, stopped())
			naps := 0
			w.sleep = func(_ context.Context, d time.Duration) error {
				if naps++; d != 2*time.Second {
					t.Errorf("slept %v", d)
				}
				return c.sleep(w, naps)
			}
			got := w.run(t, append([]string{"approve", "--pass", "--yes", "--expires-in=3h"}, c.args...)...)
			if got.code != c.code || naps != c.naps || !strings.Contains(got.stdout+got.stderr, c.want) {
				t.Errorf("exit code %d, %d naps; %q is not in\n%s%s", got.code, naps, c.want, got.stdout, got.stderr)
			}
			w.fleetRequest()
		})
	}
}

func TestNoPassIsApprovedThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		args    []string // --yes when nil
		code    int
		want    string
	}{
		"one that was not stopped": {func(w *deployed) { w.found(w.t, aPass()) }, nil, exitGood, "nothing waits for an operator: the last pass was not stopped"},
		"none":                     {func(w *deployed) { w.remove(naming.LatestPassKey) }, nil, exitError, "there is no report in "},
		"requests are off": {
			func(w *deployed) { w.parameters["OperatorPrincipalArns"] = []string{""} }, nil, exitError, "requests are off",
		},
		"nobody to confirm": {nil, []string{}, exitError, "nothing was written"},
		"no stack":          {func(w *deployed) { w.parameters = nil }, nil, exitError, "is the stack deployed there"},
		"no time":           {nil, []string{"--yes", "--expires-in=25h"}, exitError, "--expires-in"},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			w.found(t, stopped())
			if c.prepare != nil {
				c.prepare(w)
			}
			w.ForgetCalls()
			args := c.args
			if args == nil {
				args = []string{"--yes"}
			}
			got := w.run(t, append([]string{"approve", "--pass"}, args...)...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) || len(w.wrote()) > 0 {
				t.Errorf("exit code %d, wrote %q; %q is not in\n%s%s", got.code, w.wrote(), c.want, got.stdout, got.stderr)
			}
		})
	}
}

func TestAFleetRequestIsReadAsItIsWritten(t *testing.T) {
	w := deploy(t)
	w.found(t, stopped())
	puts := w.record()
	if got := w.run(t, "approve", "--pass", "--yes", "--wait=false"); got.code != exitGood || len(*puts) != 1 {
		t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	put := (*puts)[0]
	if *put.IfNoneMatch != "*" || *put.ExpectedBucketOwner != w.Account || *put.ContentType != "application/json" {
		t.Errorf("%+v", put)
	}
	var fields map[string]any
	w.must(nil, json.Unmarshal(w.Objects(w.bucket, naming.RequestPrefix)[naming.FleetRequestKey(requestID)], &fields))
	if _, there := fields["config"]; !there || fields["config"] != "" {
		t.Errorf("request %v", fields)
	}
}
