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
		p.Stopped, p.Totals.Enqueued = &report.Stop{Found: 30, Allowed: 24, Hash: digest("a")}, 0
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

func TestWaitingForAPass(t *testing.T) {
	later := func(p *report.Pass) { p.At = at(12) }
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
		"one that is not whole": {func(w *deployed, _ int) error {
			w.found(w.t, aPass(later, func(p *report.Pass) { p.Failed = "throttled" }))
			return nil
		}, nil, exitError, 1, "the next pass goes by it"},
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
