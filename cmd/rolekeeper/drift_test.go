package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
	"rolekeeper/shared/report/page"
	"rolekeeper/shared/settings"
	"rolekeeper/shared/status"
)

// What plan tells of a config drift tells, too, but for what is not read in bulk
// and for agents that come and go.
func TestDriftEndsAsPlanDoes(t *testing.T) {
	unlike := map[string]int{
		"no-repository": exitGood, // repositories are not looked at
		"leaving":       exitGood, // nothing of the account differs
		"gone":          exitGood,
	}
	for name, c := range scenes() {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			c.prepare(w)
			want, other := unlike[name]
			if !other {
				want = c.code
			}
			w.ForgetCalls()
			got := w.run(t, "drift")
			if got.code != want || got.stderr != "" {
				t.Errorf("exit code %d, want %d\n%s%s", got.code, want, got.stdout, got.stderr)
			}
			if len(w.wrote()) > 0 {
				t.Errorf("the tool wrote %q", w.wrote())
			}
			for _, call := range w.Calls() {
				if call.Operation == "GetRole" || call.Operation == "GetRolePolicy" || call.Operation == "ListRolePolicies" {
					t.Errorf("a role is read by itself: %s", call)
				}
			}
			switch name {
			case "as-is", "drifted", "leaving", "replaced":
				golden(t, "drift-"+name+".txt", got.stdout)
			}
		})
	}
}

// login grants what the boundary lets through.
const login = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"}]}`

// crowd has roles of so many agents, and their boundaries taken off.
func crowd(w *deployed, n int) {
	w.parameters["MaxChangesPerSweep"] = "3"
	for i := range n {
		name := fmt.Sprintf("agent%d", i)
		w.upload("configs/"+name+".yaml", direct(name))
		w.unbind(name)
	}
}

func TestWhatDriftEndsWith(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		code    int
		want    []string
	}{
		"an account without anything": {nil, exitGood, []string{"All is as it was left.\n  0 configs with 0 agents and 0 roles\n"}},
		"a policy that is kept": {func(w *deployed) {
			w.upload(teamKey, direct("solo"))
			w.putPolicy(runtimeRole("solo"), "login", login)
		}, exitChanges, []string{"    extra: policy login; left as it is\n"}},
		"roles that nobody claims": {func(w *deployed) { w.byToolkit("solo", agent.Container) }, exitGood, []string{
			"orphans, which no config asks for: 2", "\norphans\n  " + buildRole("solo") + ": ", "rolekeeper retire " + runtimeRole("solo"), "[role-unclaimed]",
		}},
		"as much as may be put right": {func(w *deployed) { crowd(w, 3) }, exitChanges, []string{"    missing: boundary; to be put right\n"}},
		"more than may be put right": {func(w *deployed) { crowd(w, 4) }, exitProblems, []string{
			"    missing: boundary; held back\n", "the pass that comes next stops", "`rolekeeper approve --pass`",
		}},
		"more than may be put right, approved": {func(w *deployed) {
			crowd(w, 4)
			got := w.run(w.t, "drift", "-o=json")
			pass, err := report.ParsePass([]byte(got.stdout))
			w.must(nil, err)
			w.found(w.t, pass)
			w.run(w.t, "approve", "--pass", "--yes", "--wait=false")
		}, exitChanges, []string{"    missing: boundary; to be put right\n"}},
		"drift that is to be reported only": {func(w *deployed) {
			w.parameters["DriftMode"] = "report"
			w.upload(teamKey, direct("solo"))
			w.unbind("solo")
		}, exitChanges, []string{"    missing: boundary; left as it is\n"}},
		"who did it, and since when": {func(w *deployed) {
			w.upload(teamKey, direct("solo"))
			w.unbind("solo")
			w.age(teamKey, func(s *status.Status) {
				s.Agents[0].Drift = []status.Drift{{Element: "runtime/boundary", Kind: "missing", Actor: "arn:bob", At: at(9)}}
			})
		}, exitChanges, []string{"    missing: boundary, by arn:bob, first seen 2026-11-22T09:00:00Z; to be put right\n"}},
		"a config that changed": {func(w *deployed) {
			w.upload(teamKey, direct("solo", withToken))
			w.put(w.t, teamKey, direct("solo"))
		}, exitChanges, []string{"    pending: policy " + naming.RuntimePolicy("solo") + "; to be put right\n"}},
		"a policy that is removed": {func(w *deployed) {
			w.parameters["UnmanagedPolicies"] = "remove"
			w.upload(teamKey, direct("solo"))
			w.putPolicy(runtimeRole("solo"), "login", login)
		}, exitChanges, []string{"    extra: policy login; to be put right\n"}},
		"settings that changed": {func(w *deployed) {
			w.upload(teamKey, direct("solo", withToken))
			w.parameters["PermissionProfile"] = "toolkit"
		}, exitChanges, []string{"    outdated: policy "}},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			got := w.run(t, "drift")
			for _, want := range c.want {
				if got.code != c.code || !strings.Contains(got.stdout, want) {
					t.Errorf("exit code %d, want %d; %q is not in\n%s%s", got.code, c.code, want, got.stdout, got.stderr)
				}
			}
		})
	}
}

func TestWhatAPassEndsWithGoesByTheWorstOfIt(t *testing.T) {
	edited := report.Finding{Kind: report.KindEdited, Action: report.ActionRepaired}
	blocked := report.Finding{Kind: report.KindStranger, Action: report.ActionBlocked}
	refused := report.Finding{Kind: report.KindRefused, Action: report.ActionBlocked}
	unread := report.Finding{Kind: report.KindUnread, Action: report.ActionTold}
	errTold := errors.New("told, and the exit code is 1")
	found := func(all ...report.Finding) report.Pass { return report.Pass{Findings: all} }
	with := func(p report.Pass, change func(*report.Pass)) report.Pass {
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		pass report.Pass
		want error
	}{
		"nothing":                            {found(), nil},
		"a difference":                       {found(edited), errChanges},
		"what is blocked":                    {found(edited, blocked), errProblems},
		"a config that is refused":           {with(found(edited, refused), func(p *report.Pass) { p.Totals.Refused = 1 }), errProblems},
		"one that is refused and not shown":  {with(found(edited), func(p *report.Pass) { p.Totals.Refused = 1 }), errProblems},
		"the brake":                          {with(found(edited), func(p *report.Pass) { p.Stopped = &report.Stop{} }), errProblems},
		"a config that cannot be judged":     {with(found(unread), func(p *report.Pass) { p.Totals.Unread = 1 }), errTold},
		"one that cannot be, and all others": {with(found(edited, blocked, unread), func(p *report.Pass) { p.Totals.Unread, p.Totals.Refused = 1, 1 }), errTold},
	} {
		got := judge(c.pass)
		if got != nil && !errors.Is(got, errChanges) && !errors.Is(got, errProblems) && strings.HasPrefix(got.Error(), "1 config could not be judged: ") {
			got = errTold
		}
		if !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestFindingsStandUnderTheirConfigAgentAndRole(t *testing.T) {
	build := buildRole("solo")
	of := func(config, agent, role string) report.Finding {
		return report.Finding{Config: config, Agent: agent, Role: role, Kind: report.KindStranger, Action: report.ActionBlocked}
	}
	var b bytes.Buffer
	findingsText(&terminal{w: &b}, report.Pass{Findings: []report.Finding{
		of("configs/a.yaml", "solo", build), of("configs/a.yaml", "solo", build), of("configs/a.yaml", "other", build), of("configs/b.yaml", "other", build), of("", "", "Mine"),
	}})
	const found = "    stranger; blocked\n"
	role := "  build role " + build + "\n" + found
	want := "\nconfigs/a.yaml\nagent solo\n" + role + found + "agent other\n" + role + "\nconfigs/b.yaml\nagent other\n" + role + "\nall configs\n  Mine\n" + found
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTheToolGoesByEverySettingThatTheFunctionsHave(t *testing.T) {
	w := deploy(t)
	maps.Copy(w.parameters, map[string]any{"TeamTag": "team", "DriftMode": "report", "UnmanagedPolicies": "remove"})
	value, err := json.Marshal(w.parameters)
	w.must(nil, err)
	parameters, err := settings.ParseStored(value, w.place())
	w.must(nil, err)
	s := stack{account: account{id: w.Account, region: w.Region}, settings: parameters}
	for _, v := range []reflect.Value{reflect.ValueOf(shape(parameters, w.place())), reflect.ValueOf(s.rules())} {
		for i := range v.NumField() {
			// The tool reads the parameter, and needs not be told its name.
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "SettingsParameter" {
				t.Errorf("%s: no %s", v.Type(), name)
			}
		}
	}
}

func TestDriftAsDataAndAsAPage(t *testing.T) {
	w := deploy(t)
	changeAll(w)
	got := w.run(t, "drift", "-o=json")
	pass, err := report.ParsePass([]byte(got.stdout))
	if err != nil || got.code != exitChanges || len(pass.Findings) == 0 || pass.ID != "check-0123abcd" || !pass.At.Equal(at(12)) {
		t.Fatalf("exit code %d, %v\n%s%s", got.code, err, got.stdout, got.stderr)
	}
	want, err := page.Of(pass)
	w.must(nil, err)
	got = w.run(t, "drift", "-o=html")
	if diff := cmp.Diff(string(want), got.stdout); got.code != exitChanges || diff != "" {
		t.Errorf("exit code %d\n%s%s", got.code, diff, got.stderr)
	}
	w.screen = true
	if got := w.run(t, "drift", "-o=html"); got.code != exitError || got.stdout != "" || !strings.Contains(got.stderr, "nothing for a terminal") {
		t.Errorf("on a terminal: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestWhyThereIsNoCheck(t *testing.T) {
	deny := func(operation string) func(w *deployed) {
		return func(w *deployed) {
			w.Before = func(c awsfake.Call) error {
				if c.Caller == operator && c.Operation == operation {
					return awsfake.APIError("AccessDenied", "no")
				}
				return nil
			}
		}
	}
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		want    []string
		shown   string // all the same
	}{
		"no stack":                     {func(w *deployed) { w.parameters = nil }, []string{"is the stack deployed there"}, ""},
		"roles that may not be read":   {deny("GetAccountAuthorizationDetails"), []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}, ""},
		"roles that may not be listed": {deny("ListRoles"), []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}, ""},
		"runtimes that may not be":     {deny("ListAgentRuntimes"), []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}, ""},
		"a bucket that may not be":     {deny("ListObjectsV2"), []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}, ""},
		"projects that may not be":     {func(w *deployed) { deny("BatchGetProjects")(w) }, []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}, ""},
		"one config that cannot be read": {func(w *deployed) {
			w.upload("configs/other.yaml", direct("other"))
			w.unbind("other")
			w.Before = func(c awsfake.Call) error {
				if c.Caller == operator && strings.HasSuffix(c.Resource, "/"+teamKey) {
					return awsfake.APIError("SlowDown", "Please reduce your request rate.")
				}
				return nil
			}
		}, []string{"not all could be looked at", teamKey, "SlowDown"}, "missing: boundary"},
		"one config that may not be": {func(w *deployed) {
			w.upload("configs/other.yaml", direct("other"))
			w.unbind("other")
			w.Before = func(c awsfake.Call) error {
				if c.Caller == operator && strings.HasSuffix(c.Resource, "/"+teamKey) {
					return awsfake.APIError("AccessDenied", "no")
				}
				return nil
			}
		}, []string{"1 config could not be judged: the findings of kind unread say why"}, "missing: boundary"},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			w.built(teamKey, "solo", awsfake.Outcome{})
			w.found(t, aPass()) // which is not what a check that failed is to show
			c.prepare(w)
			got := w.run(t, "drift")
			for _, want := range c.want {
				if got.code != exitError || !strings.Contains(got.stderr, want) {
					t.Errorf("exit code %d; %q is not in %q", got.code, want, got.stderr)
				}
			}
			if !strings.Contains(got.stdout, c.shown) || (got.stdout == "") != (c.shown == "") {
				t.Errorf("shown:\n%s", got.stdout)
			}
		})
	}
}

// run itself fails on what is not for terminals.
func TestNothingOfACheckCommandsTheTerminal(t *testing.T) {
	const hostile = "\x1b[31m\u202e\nAll is as it was left.\u009b2J"
	w := deploy(t)
	w.upload(teamKey, direct("solo"))
	name := runtimeRole("solo")
	w.tag(name, model.TagAgent, hostile)
	quoted, err := json.Marshal(hostile)
	w.must(nil, err)
	w.putPolicy(name, "mine", strings.Replace(orders, `"*"`, string(quoted), 1))
	w.trust(name, strings.Replace(w.role(name).Trust, `"sts:AssumeRole"`, `["sts:AssumeRole","sts:`+string(quoted[1:])+`]`, 1))
	w.createRole(naming.RuntimeRole("us-east-1", "stray"), lambdaTrust)
	w.tag(naming.RuntimeRole("us-east-1", "stray"), model.TagAgent, hostile)
	for _, args := range [][]string{{"drift"}, {"drift", "-o=json"}} {
		got := w.run(t, args...)
		if got.code != exitChanges || strings.Contains(got.stdout, "\nAll is as it was left.") || !strings.Contains(got.stdout, "All is as it was left.") {
			t.Errorf("%q: exit code %d\n%s%s", args, got.code, got.stdout, got.stderr)
		}
	}
}
