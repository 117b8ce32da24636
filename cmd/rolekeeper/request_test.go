package main

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

const requestID = "20261122T120000Z-0123abcd"

// waits is an account with a config whose roles the toolkit made.
func waits(t *testing.T, agents ...string) *deployed {
	t.Helper()
	w := deploy(t)
	config := "agents:\n"
	for _, a := range agents {
		w.byToolkit(a, agent.DirectCode)
		config += strings.TrimPrefix(direct(a), "agents:\n")
	}
	w.putPolicy(runtimeRole(agents[0]), "orders", orders)
	w.upload(teamKey, config)
	w.ForgetCalls()
	w.sleep = func(context.Context, time.Duration) error {
		w.reconcile(teamKey)
		return nil
	}
	return w
}

// requests gives the requests that were written.
func (w *deployed) requests() []model.Request {
	w.t.Helper()
	var all []model.Request
	for key, body := range w.Objects(w.bucket, naming.RequestPrefix) {
		r, err := model.ParseRequest(body)
		if err != nil {
			w.t.Fatalf("%s: %v", key, err)
		}
		if key != naming.RequestKey(r.Config, r.ID) {
			w.t.Errorf("request %s for %s is at %s", r.ID, r.Config, key)
		}
		all = append(all, r)
	}
	return all
}

// putter keeps what is put.
type putter struct {
	requestAPI
	puts *[]*s3.PutObjectInput
}

func (p putter) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	*p.puts = append(*p.puts, in)
	return p.requestAPI.PutObject(ctx, in, o...)
}

// record keeps what the tool puts.
func (w *deployed) record() *[]*s3.PutObjectInput {
	puts, connect := &[]*s3.PutObjectInput{}, w.connect
	w.connect = func(ctx context.Context, region string) (account, error) {
		a, err := connect(ctx, region)
		a.requests = putter{a.requests, puts}
		return a, err
	}
	return puts
}

func TestAnOperatorHasRolesAdopted(t *testing.T) {
	for name, c := range map[string]struct {
		agents []string
		args   []string
		action model.RequestAction
		golden string
	}{
		"one":              {[]string{"solo"}, []string{"adopt", "team/agent.yaml", "solo"}, model.Adopt, "adopt.txt"},
		"all that wait":    {[]string{"alpha", "beta"}, []string{"approve", teamKey}, model.Approve, "approve.txt"},
		"one, by approval": {[]string{"solo"}, []string{"approve", teamKey}, model.Approve, "adopt.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := waits(t, c.agents...)
			w.terminal, w.stdin = true, "yes\n"
			puts := w.record()
			got := w.run(t, c.args...)
			if got.code != exitGood {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			golden(t, c.golden, got.stdout)
			if want := "Ask Rolekeeper to do this? Type yes: "; got.stderr != want {
				t.Errorf("asked %q", got.stderr)
			}
			if want := []string{"s3:PutObject " + w.bucket + "/" + naming.RequestKey(teamKey, requestID)}; !slices.Equal(w.wrote(), want) {
				t.Errorf("the tool wrote %q, want %q", w.wrote(), want)
			}
			for _, in := range *puts {
				if aws.ToString(in.IfNoneMatch) != "*" || aws.ToString(in.ExpectedBucketOwner) != w.Account || aws.ToString(in.ContentType) != "application/json" {
					t.Errorf("put %+v", in)
				}
			}
			rs := w.requests()
			if len(*puts) != 1 || len(rs) != 1 || rs[0].Action != c.action || rs[0].By != operatorARN || !rs[0].Expires.Equal(at(13)) || len(rs[0].Plans) != len(c.agents) {
				t.Errorf("requests %+v", rs)
			}
			for _, a := range c.agents {
				if r := w.role(runtimeRole(a)); r.PermissionsBoundary != boundary || r.Tags[model.TagConfig] != teamKey {
					t.Errorf("role of %s: %+v", a, r)
				}
			}
			again := w.run(t, c.args...)
			if again.code != exitGood || !strings.Contains(again.stdout, "nothing") || len(w.requests()) != 1 {
				t.Errorf("again: exit code %d\n%s%s", again.code, again.stdout, again.stderr)
			}
			if told := w.run(t, "status", teamKey).stdout; !strings.Contains(told, "request "+requestID+": done: ") {
				t.Errorf("the status does not tell of the request:\n%s", told)
			}
		})
	}
}

// The text before the question is the plan that the request is for.
func TestWhatIsShownIsWhatIsAskedFor(t *testing.T) {
	w := waits(t, "alpha", "beta")
	w.parameters["ExistingRoles"] = "adopt"
	whole := w.run(t, "plan", teamKey).stdout
	got := w.run(t, "adopt", teamKey, "beta", "--yes", "--wait=false")
	shown, _, _ := strings.Cut(got.stdout, "\n\nthe stack's parameter ")
	_, agent, _ := strings.Cut(shown, "\n\n")
	if got.code != exitGood || !strings.HasPrefix(agent, "agent beta\n") || !strings.Contains(whole, agent) || strings.Contains(shown, "alpha") {
		t.Errorf("exit code %d\n%s%s\nplan\n%s", got.code, got.stdout, got.stderr, whole)
	}
	if !strings.Contains(agent, "adoption takes away:") {
		t.Errorf("losses are not shown:\n%s", agent)
	}
}

func TestARequestThatIsRefusedEndsWithThree(t *testing.T) {
	w := waits(t, "solo")
	w.sleep = func(context.Context, time.Duration) error {
		w.putPolicy(runtimeRole("solo"), "more", orders)
		w.reconcile(teamKey)
		return nil
	}
	got := w.run(t, "adopt", teamKey, "solo", "--yes")
	if got.code != exitProblems || !strings.Contains(got.stdout, "request "+requestID+": refused: ") || got.stderr != "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if r := w.role(runtimeRole("solo")); r.PermissionsBoundary != "" {
		t.Errorf("the role was changed: %+v", r)
	}
}

// An answer to another request is none to this one.
func TestTheAnswerIsThatOfTheRequest(t *testing.T) {
	w := waits(t, "solo")
	n := 0
	w.sleep = func(context.Context, time.Duration) error {
		s := ready(teamKey, "solo")
		s.Requests = []status.Request{{ID: "20261122T115900Z-0123abcd", Outcome: status.RequestRefused, Message: "another"}}
		if n++; n == 2 {
			s.Requests = append(s.Requests, status.Request{ID: requestID, Outcome: status.RequestDone, Message: "this one"})
		}
		w.answer(t, s)
		return nil
	}
	got := w.run(t, "adopt", teamKey, "solo", "--yes")
	if got.code != exitGood || n != 2 || !strings.Contains(got.stdout, "this one") || strings.Contains(got.stdout, "another") {
		t.Errorf("exit code %d after %d looks\n%s%s", got.code, n, got.stdout, got.stderr)
	}
}

func TestOnlyWhatIsAskedForIsShown(t *testing.T) {
	w := waits(t, "solo")
	w.upload(teamKey, direct("solo")+strings.TrimPrefix(direct("gone"), "agents:\n"))
	w.unbind("gone")
	w.put(t, teamKey, strings.Replace(direct("solo"), "aws: {}", "aws: {network_configuration: {network_mode: VPC}}", 1))
	if all := w.run(t, "plan", teamKey).stdout; !strings.Contains(all, "agent gone") || !strings.Contains(all, "warning") {
		t.Fatalf("there is nothing to be left out:\n%s", all)
	}
	got := w.run(t, "approve", teamKey, "--yes", "--wait=false")
	if got.code != exitGood || strings.Contains(got.stdout, "gone") || strings.Contains(got.stdout, "warning") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestNothingIsWrittenThatCannotBeDone(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*deployed)
		args    []string // adopt configs/team/agent.yaml solo --yes when empty
		code    int
		want    []string
	}{
		"a hostile role": {
			func(w *deployed) { w.trust(runtimeRole("solo"), lambdaTrust) }, nil, exitProblems, []string{"[role-hostile]", "lambda.amazonaws.com"},
		},
		"a hostile role, by approval": {
			func(w *deployed) { w.trust(runtimeRole("solo"), lambdaTrust) }, []string{"approve", teamKey, "--yes"}, exitProblems, []string{"[role-hostile]"},
		},
		"the stack refuses existing roles": {
			func(w *deployed) { w.parameters["ExistingRoles"] = "refuse" }, nil, exitProblems, []string{"[role-not-ours]", "ExistingRoles is refuse"},
		},
		"the config is refused": {
			func(w *deployed) { w.put(w.t, teamKey, "agents: {}") }, nil, exitProblems, []string{"[config-no-agents]"},
		},
		"the config is gone": {func(w *deployed) { w.remove(teamKey) }, nil, exitError, []string{"there is no config " + teamKey}},
		"an agent that the config lacks": {
			nil, []string{"adopt", teamKey, "duo", "--yes"}, exitError, []string{teamKey + ` has no agent "duo"; it has solo`},
		},
		"an agent that the config has no longer": {
			func(w *deployed) {
				w.upload(teamKey, two(direct("solo"), direct("gone")))
				w.put(w.t, teamKey, direct("solo"))
			}, []string{"adopt", teamKey, "gone", "--yes"}, exitError, []string{teamKey + ` has no agent "gone"; it has solo`},
		},
		"an agent that is held": {
			func(w *deployed) {
				w.age(teamKey, func(s *status.Status) {
					s.Agents[0].Phase, s.Agents[0].PhaseVersion = status.PhaseHeld, s.Config.VersionID
				})
			}, nil, exitError, []string{teamKey + ": agent solo is held; "},
		},
		"requests are off": {
			func(w *deployed) { w.parameters["OperatorPrincipalArns"] = []string{""} }, nil, exitError, []string{"agent solo", "requests are off", "OperatorPrincipalArns"},
		},
		"nobody to confirm":  {nil, []string{"adopt", teamKey, "solo"}, exitError, []string{"agent solo", "--yes", "nothing was written"}},
		"not confirmed":      {func(w *deployed) { w.terminal, w.stdin = true, "no\n" }, []string{"adopt", teamKey, "solo"}, exitError, []string{"not confirmed"}},
		"the input ends":     {func(w *deployed) { w.terminal = true }, []string{"approve", teamKey}, exitError, []string{"not confirmed"}},
		"no time":            {nil, []string{"adopt", teamKey, "solo", "--yes", "--expires-in=0s"}, exitError, []string{"--expires-in"}},
		"too much time":      {nil, []string{"adopt", teamKey, "solo", "--yes", "--expires-in=24h1s"}, exitError, []string{"--expires-in", "24h"}},
		"a key of no config": {nil, []string{"approve", "a b", "--yes"}, exitError, []string{"config key"}},
		"no agent named":     {nil, []string{"adopt", teamKey}, exitError, []string{"a CONFIG and an AGENT"}},
		"roles that cannot be read": {
			func(w *deployed) { w.Before = denyRole(runtimeRole("solo")) }, nil, exitError, []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := waits(t, "solo")
			if c.prepare != nil {
				c.prepare(w)
			}
			args := c.args
			if args == nil {
				args = []string{"adopt", teamKey, "solo", "--yes"}
			}
			got := w.run(t, args...)
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stdout+got.stderr, want) {
					t.Errorf("%q is not in\n%s%s", want, got.stdout, got.stderr)
				}
			}
			if wrote := w.wrote(); len(wrote) > 0 {
				t.Errorf("the tool wrote %q", wrote)
			}
		})
	}
}

func TestWhatTheNextLookDoesByItselfWaitsForNobody(t *testing.T) {
	w := waits(t, "alpha", "beta")
	w.parameters["ExistingRoles"] = "adopt"
	if out := w.run(t, "plan", teamKey, "-o=json").stdout; !strings.Contains(out, `"reason": "adopt"`) || !strings.Contains(out, `"adoptable": {}`) {
		t.Errorf("the plan lacks the adoption, or has it as waiting:\n%s", out)
	}
	got := w.run(t, "approve", teamKey, "--yes")
	for _, want := range []string{"agent alpha", "agent beta", "adopt: boundary", "nothing waits for an operator", "the next look does this by itself"} {
		if got.code != exitGood || !strings.Contains(got.stdout, want) {
			t.Errorf("exit code %d; %q is not in\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
	if len(w.wrote()) > 0 {
		t.Errorf("the tool wrote %q", w.wrote())
	}
	if got := w.run(t, "adopt", teamKey, "beta", "--yes"); got.code != exitGood || !strings.Contains(got.stdout, "by itself; the request has it look now") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestARoleInTheirPlaceWaitsWhateverTheStackAdopts(t *testing.T) {
	w := waits(t, "alpha")
	w.upload(teamKey, direct("alpha")+strings.TrimPrefix(direct("beta"), "agents:\n"))
	w.deleteRole(runtimeRole("beta"))
	w.byToolkit("beta", agent.DirectCode)
	w.parameters["ExistingRoles"] = "adopt"
	w.ForgetCalls()
	got := w.run(t, "approve", teamKey, "--yes", "--wait=false")
	if rs := w.requests(); got.code != exitGood || len(rs) != 1 || len(rs[0].Plans) != 1 || rs[0].Plans["beta"] == "" || strings.Contains(got.stdout, "by itself") {
		t.Errorf("exit code %d, requests %+v\n%s%s", got.code, rs, got.stdout, got.stderr)
	}
}

func TestRolesThatTheConfigBringsAreNotAdopted(t *testing.T) {
	w := deploy(t)
	w.createRole("Mine", lambdaTrust)
	w.upload(teamKey, strings.Replace(direct("solo"), "aws: {}", "aws: {execution_role: 'arn:aws:iam::123456789012:role/Mine'}", 1))
	w.ForgetCalls()
	got := w.run(t, "adopt", teamKey, "solo", "--yes")
	if got.code != exitGood || !strings.Contains(got.stdout, "nothing to adopt: agent solo has no role of its own") || len(w.wrote()) > 0 {
		t.Errorf("exit code %d, wrote %q\n%s%s", got.code, w.wrote(), got.stdout, got.stderr)
	}
}

func TestWhatStaysBlockedIsTold(t *testing.T) {
	w := waits(t, "solo", "duo")
	w.sleep = func(context.Context, time.Duration) error {
		s := ready(teamKey, "solo", "duo")
		s.Outcome = status.Blocked
		for i := range s.Agents {
			s.Agents[i].Build = &status.Build{ID: "build:1", State: model.BuildSucceeded} // nobody asked for one
			s.Agents[i].BlockedBy = []status.Blocker{{ARN: "arn:" + s.Agents[i].Name, Kind: "role-policies-full", Fix: "make room"}}
		}
		s.Requests = []status.Request{{ID: requestID, Outcome: status.RequestDone, Message: "done"}}
		w.answer(t, s)
		return nil
	}
	got := w.run(t, "adopt", teamKey, "solo", "--yes")
	if want := "\nagent solo stays blocked by arn:solo: make room [role-policies-full]\n"; got.code != exitGood || !strings.Contains(got.stdout, want) || strings.Contains(got.stdout, "arn:duo") || strings.Contains(got.stdout, "build:1") {
		t.Errorf("exit code %d; want %q in\n%s%s", got.code, want, got.stdout, got.stderr)
	}
}

func TestApproveLeavesOutWhatCannotBeAdopted(t *testing.T) {
	w := waits(t, "alpha", "beta")
	w.trust(runtimeRole("beta"), lambdaTrust)
	got := w.run(t, "approve", teamKey, "--yes")
	if got.code != exitGood || !strings.Contains(got.stdout, "not asked for: agent beta: role "+runtimeRole("beta")) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if rs := w.requests(); len(rs) != 1 || rs[0].Plans["alpha"] == "" || len(rs[0].Plans) != 1 {
		t.Errorf("requests %+v", rs)
	}
}

func TestARequestThatMayNotBeWrittenSaysWhoMay(t *testing.T) {
	w := waits(t, "solo")
	w.Before = func(c awsfake.Call) error {
		if c.Caller == operator && c.Operation == "PutObject" {
			return httpError(http.StatusForbidden, "AccessDenied")
		}
		return nil
	}
	got := w.run(t, "adopt", teamKey, "solo", "--yes")
	for _, want := range []string{"s3://" + w.bucket + "/requests/config/", "OperatorPrincipalArns", "role/operators", operatorARN} {
		if got.code != exitError || !strings.Contains(got.stderr, want) {
			t.Errorf("exit code %d; %q is not in %q", got.code, want, got.stderr)
		}
	}
}

func TestARequestReplacesNone(t *testing.T) {
	w := waits(t, "solo")
	w.put(t, naming.RequestKey(teamKey, requestID), "there already")
	w.ForgetCalls()
	got := w.run(t, "adopt", teamKey, "solo", "--yes")
	if got.code != exitError || !strings.Contains(got.stderr, "PreconditionFailed") {
		t.Errorf("exit code %d\n%s", got.code, got.stderr)
	}
	if body := w.Objects(w.bucket, naming.RequestPrefix)[naming.RequestKey(teamKey, requestID)]; string(body) != "there already" {
		t.Errorf("it is now %s", body)
	}
}

func TestWaitingForAnAnswer(t *testing.T) {
	throttled := func(c awsfake.Call) error {
		if c.Caller == operator && strings.HasSuffix(c.Resource, naming.StatusKey(teamKey)) {
			return awsfake.APIError("SlowDown", "Please reduce your request rate.")
		}
		return nil
	}
	for name, c := range map[string]struct {
		sleep func(w *deployed, n int) error
		args  []string
		code  int
		naps  int
		want  string
	}{
		"at once":    {func(w *deployed, _ int) error { w.reconcile(teamKey); return nil }, nil, exitGood, 1, "done"},
		"later":      {func(w *deployed, n int) error { return when(n == 30, func() { w.reconcile(teamKey) }) }, nil, exitGood, 30, "done"},
		"never":      {func(*deployed, int) error { return nil }, nil, exitError, 60, "no answer within 2m0s: the request stands until 2026-11-22T15:00:00Z"},
		"not at all": {nil, []string{"--wait=false"}, exitGood, 0, "is written"},
		"interrupted": {
			func(*deployed, int) error { return context.Canceled }, nil, exitError, 1, "rolekeeper status " + teamKey,
		},
		"throttled for a while": {func(w *deployed, n int) error {
			w.Before = throttled
			return when(n == 5, func() { w.Before = nil; w.reconcile(teamKey) })
		}, nil, exitGood, 5, "done"},
		"the status is gone for a while": {func(w *deployed, n int) error {
			w.remove(naming.StatusKey(teamKey))
			return when(n == 3, func() { w.reconcile(teamKey) })
		}, nil, exitGood, 3, "done"},
		"denied": {func(w *deployed, _ int) error {
			w.DenyList(w.bucket, operator)
			w.remove(naming.StatusKey(teamKey))
			return nil
		}, nil, exitError, 1, "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			w := waits(t, "solo")
			naps := 0
			w.sleep = func(_ context.Context, d time.Duration) error {
				if naps++; d != 2*time.Second {
					t.Errorf("slept %v", d)
				}
				return c.sleep(w, naps)
			}
			got := w.run(t, append([]string{"adopt", teamKey, "solo", "--yes", "--expires-in=3h"}, c.args...)...)
			if got.code != c.code || naps != c.naps || !strings.Contains(got.stdout+got.stderr, c.want) {
				t.Errorf("exit code %d, %d naps\n%s%s", got.code, naps, got.stdout, got.stderr)
			}
			if len(w.requests()) != 1 {
				t.Errorf("requests %+v", w.requests())
			}
		})
	}
}

func when(now bool, do func()) error {
	if now {
		do()
	}
	return nil
}

func TestWhatWasNotShownIsNotAskedFor(t *testing.T) {
	w := waits(t, "solo")
	var stderr bytes.Buffer
	p := program{
		stdin: strings.NewReader(""), stdout: &terminal{w: full{}}, stderr: &terminal{w: &stderr}, connect: w.connect,
		now: func() time.Time { return at(12) }, sleep: w.sleep, random: random,
	}
	if code := p.run(t.Context(), []string{"adopt", teamKey, "solo", "--yes"}); code != exitError || len(w.wrote()) > 0 {
		t.Errorf("exit code %d, wrote %q\n%s", code, w.wrote(), stderr.String())
	}
}

func TestAnInterruptEndsTheQuestion(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := program{stdin: blocked{}, stdout: &terminal{w: &bytes.Buffer{}}, stderr: &terminal{w: &bytes.Buffer{}}, interactive: true}
	if err := p.confirm(ctx, false); err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("%v", err)
	}
}

// blocked is somebody who does not answer.
type blocked struct{}

func (blocked) Read([]byte) (int, error) { select {} }

func TestIdsOfRequests(t *testing.T) {
	one, two := random(), random()
	if len(one) != 8 || one == two || strings.Trim(one, "0123456789abcdef") != "" {
		t.Errorf("%q, %q", one, two)
	}
}

func TestNothingOfARequestsAnswerCommandsTheTerminal(t *testing.T) {
	w := waits(t, "solo")
	w.sleep = func(context.Context, time.Duration) error {
		s := ready(teamKey, "solo")
		s.Requests = []status.Request{{ID: requestID, Outcome: status.RequestDone, Message: "\x1b[31m\nrequest forged: done: x"}}
		w.answer(t, s)
		return nil
	}
	got := w.run(t, "adopt", teamKey, "solo", "--yes")
	if got.code != exitGood || strings.Contains(got.stdout, "\nrequest forged") || !strings.Contains(got.stdout, "forged") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
