package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

const readOnly = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"

// kept is an account with an agent whose runtime role was archived, with more on
// it than Rolekeeper puts there. It gives the archive's key.
func kept(t *testing.T, reason string) (*deployed, model.Archive, string) {
	t.Helper()
	w := deploy(t)
	w.upload(teamKey, direct("solo"))
	name := runtimeRole("solo")
	w.putPolicy(name, "orders", orders)
	w.attach(name, readOnly, orders)
	w.tag(name, "cost-center", "42")
	a := anArchive("solo", reason, at(10))
	a.Role = w.role(name)
	key := w.archive(t, a)
	w.ForgetCalls()
	return w, a, key
}

// lose takes away a role and the claim on it, as a retirement does.
func (w *deployed) lose(agent string) {
	w.t.Helper()
	w.strip(runtimeRole(agent))
	w.deleteRole(runtimeRole(agent))
	w.remove(naming.RoleClaimKey(agent))
	w.ForgetCalls()
}

// strip takes the managed policies off a role.
func (w *deployed) strip(name string) {
	w.t.Helper()
	for _, arn := range w.role(name).Attached {
		w.must(w.admin().DetachRolePolicy(w.t.Context(), &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: &arn}))
	}
}

// edit changes by hand all that can be of a role.
func (w *deployed) edit(name string) {
	w.t.Helper()
	was := w.role(name)
	w.strip(name)
	w.attach(name, "arn:aws:iam::123456789012:policy/mine", orders)
	w.must(w.admin().DeleteRolePolicy(w.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: aws.String("orders")}))
	w.putPolicy(name, "more", orders)
	w.putPolicy(name, naming.RuntimePolicy("solo"), orders)
	w.must(w.admin().UntagRole(w.t.Context(), &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{"cost-center"}}))
	w.tag(name, model.TagAgent, "other")
	w.tag(name, "mine", "1")
	w.trust(name, strings.Replace(was.Trust, `"sts:AssumeRole"`, `["sts:TagSession","sts:AssumeRole"]`, 1))
	w.must(w.admin().DeleteRolePermissionsBoundary(w.t.Context(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))
	w.must(w.admin().UpdateRole(w.t.Context(), &iam.UpdateRoleInput{RoleName: &name, Description: aws.String("mine"), MaxSessionDuration: aws.Int32(7200)}))
}

// asked gives the one request that was written.
func (w *deployed) asked() model.Request {
	w.t.Helper()
	all := w.requests()
	if len(all) != 1 {
		w.t.Fatalf("requests %+v, want one", all)
	}
	return all[0]
}

// restoring gives what the function goes by when it is asked to restore.
func (w *deployed) restoring(a model.Archive) plan.Restoring {
	w.t.Helper()
	r := plan.Restoring{Archive: a, Account: w.Account, Boundary: boundary, Claim: model.Claim{V: 1, Config: a.Config, Agent: a.Agent}}
	if body := w.Objects(w.bucket, naming.RoleClaimKey(a.Agent))[naming.RoleClaimKey(a.Agent)]; body != nil {
		c, err := model.ParseClaim(body)
		w.must(nil, err)
		r.Claim = c
	}
	if w.there(a.Role.Name) {
		o := w.role(a.Role.Name)
		r.Observed = &o
	}
	return r
}

func (w *deployed) there(role string) bool {
	_, err := w.admin().GetRole(w.t.Context(), &iam.GetRoleInput{RoleName: &role})
	return err == nil
}

func TestAnOperatorHasARoleRestored(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		golden  string
	}{
		"that is gone":             {func(w *deployed) { w.lose("solo") }, "restore-gone.txt"},
		"that was edited":          {func(w *deployed) { w.edit(runtimeRole("solo")) }, "restore-edited.txt"},
		"of a config that is gone": {func(w *deployed) { w.remove(teamKey); w.lose("solo") }, "restore-gone.txt"},
		"without an answer":        {func(w *deployed) { w.remove(naming.StatusKey(teamKey)); w.lose("solo") }, "restore-gone.txt"},
		// Nothing is written, but the agent is held.
		"that is so already": {nil, "restore-same.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, key := kept(t, model.ArchiveRetired)
			if c.prepare != nil {
				c.prepare(w)
			}
			w.ForgetCalls()
			w.terminal, w.stdin = true, "yes\n"
			w.sleep = func(context.Context, time.Duration) error {
				w.reconcile(teamKey)
				return nil
			}
			want := plan.RestoreHash(w.restoring(a).Plan())
			w.ForgetCalls()
			got := w.run(t, "restore", a.Role.Name)
			if got.code != exitGood {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			golden(t, c.golden, got.stdout)
			if put := []string{"s3:PutObject " + w.bucket + "/" + naming.RequestKey(teamKey, requestID)}; !slices.Equal(w.wrote(), put) {
				t.Errorf("the tool wrote %q, want %q", w.wrote(), put)
			}
			r := w.asked()
			if r.Action != model.Restore || r.Config != teamKey || r.Archive != key || len(r.Plans) != 1 || r.Plans["solo"] != want || r.By != operatorARN {
				t.Errorf("request %+v, want archive %s and plan %s", r, key, want)
			}
			w.wantAs(a.Role)
			again := w.run(t, "restore", a.Role.Name)
			if again.code != exitGood || !strings.Contains(again.stdout, "The role is so already, and agent solo is held.") || len(w.requests()) != 1 {
				t.Errorf("again: exit code %d\n%s%s", again.code, again.stdout, again.stderr)
			}
		})
	}
}

// retire has a config deleted and its agents' roles quarantined. The function
// answers requests then.
func (w *deployed) retire() {
	w.t.Helper()
	w.remove(teamKey)
	w.reconcile(teamKey)
	w.Advance(25 * time.Hour)
	w.reconcile(teamKey)
	w.now = w.Now
	w.sleep = func(context.Context, time.Duration) error {
		w.reconcile(teamKey)
		return nil
	}
	w.ForgetCalls()
}

// wake brings the wake-up that the answer waits for.
func (w *deployed) wake() {
	w.t.Helper()
	var due time.Time
	w.age(teamKey, func(s *status.Status) { due = s.WakeAt })
	w.Advance(due.Sub(w.Now()))
	w.reconcile(teamKey, event.Hint{Kind: event.WakeHint, Time: due})
}

// phase gives the phase of an agent as its config's answer has it.
func (w *deployed) phase(agent string) (phase status.Phase) {
	w.t.Helper()
	w.age(teamKey, func(s *status.Status) {
		a, _ := s.Agent(agent)
		phase = a.Phase
	})
	return phase
}

// wantAs checks that a role is as it was, but for its unique id.
func (w *deployed) wantAs(was model.ObservedRole) {
	w.t.Helper()
	is := w.role(was.Name)
	is.ID, was.ID = "", ""
	meaning(&is)
	meaning(&was)
	if diff := cmp.Diff(was, is); diff != "" {
		w.t.Errorf("(-was +is)\n%s", diff)
	}
}

// From the deletion of a config to the end of the hold, by the function itself.
func TestARoleThatWasDeletedIsRestoredAsItWas(t *testing.T) {
	w, a, _ := kept(t, model.ArchivePoliciesRemoved)
	w.retire()
	w.wake()
	if w.there(a.Role.Name) || w.phase("solo") != status.PhaseRetired {
		t.Fatalf("the agent is %s", w.phase("solo"))
	}
	got := w.run(t, "restore", a.Role.Name, "--yes")
	if got.code != exitGood || !strings.Contains(got.stdout, "before it was deleted: archive/") || w.phase("solo") != status.PhaseHeld {
		t.Fatalf("exit code %d; the agent is %s\n%s%s", got.code, w.phase("solo"), got.stdout, got.stderr)
	}
	w.wantAs(a.Role)
	w.Advance(time.Minute)
	got = w.run(t, "release", teamKey, "solo", "--yes")
	if got.code != exitGood || !strings.Contains(got.stdout, "24h later its roles are deleted") || w.phase("solo") != status.PhaseRetiring {
		t.Errorf("exit code %d; the agent is %s\n%s%s", got.code, w.phase("solo"), got.stdout, got.stderr)
	}
}

// The function undoes the retirement before it compares.
func TestARoleThatIsBeingDeletedIsRestored(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *deployed, role string) // between the archive of the fixture and the retirement
		then   func(w *deployed, role string)
		args   []string // none restores it as it was before the retirement
		want   string
	}{
		"as it was before": {
			func(w *deployed, role string) { w.putPolicy(role, "more", orders) }, nil, nil, "The role is so already.",
		},
		"half taken down": {nil, func(w *deployed, role string) {
			w.strip(role)
			w.must(w.admin().DeleteRolePolicy(w.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: aws.String("orders")}))
			w.unbind("solo")
		}, nil, "The role is so already."},
		"as it was once": {func(w *deployed, role string) {
			w.putPolicy(role, "orders", strings.Replace(orders, "GetItem", "PutItem", 1))
			w.putPolicy(role, "more", orders)
		}, nil, []string{"--at=2026-11-22T10:00:00Z"}, "restore: policy orders"},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, _ := kept(t, model.ArchivePoliciesRemoved)
			was := a.Role
			if c.before != nil {
				c.before(w, was.Name)
			}
			if c.args == nil {
				was = w.role(was.Name)
			}
			w.retire()
			if p := w.phase("solo"); p != status.PhaseQuarantined || w.role(was.Name).Trust == was.Trust {
				t.Fatalf("the agent is %s", p)
			}
			if c.then != nil {
				c.then(w, was.Name)
			}
			{ // neither of another time nor of another role of the name
				other := a
				other.Reason, other.ArchivedAt = model.ArchiveRestored, w.Now().Add(time.Minute)
				other.Role.Policies = map[string]string{"decoy": orders}
				w.archive(t, other)
				other.Retirement, other.Role.ID = w.claimed("solo").Deleting, "AROAOTHER"
				w.archive(t, other)
			}
			w.ForgetCalls()
			got := w.run(t, append([]string{"restore", was.Name, "--yes"}, c.args...)...)
			for _, want := range []string{"It is being deleted, which is undone first.", c.want, ": done: "} {
				if got.code != exitGood || !strings.Contains(got.stdout, want) {
					t.Errorf("exit code %d; %q is not in\n%s%s", got.code, want, got.stdout, got.stderr)
				}
			}
			if p := w.phase("solo"); p != status.PhaseHeld {
				t.Errorf("the agent is %s", p)
			}
			w.wantAs(was)
		})
	}
}

func TestTheArchiveThatIsRestored(t *testing.T) {
	w := deploy(t)
	keys := map[string]string{}
	for name, a := range map[string]struct {
		reason string
		at     time.Time
	}{
		"oldest":   {model.ArchiveAdopted, at(8)},
		"older":    {model.ArchivePoliciesRemoved, at(9).Add(999 * time.Millisecond)},
		"newest":   {model.ArchiveRetired, at(10)},
		"restored": {model.ArchiveRestored, at(11)},
	} {
		of := anArchive("solo", a.reason, a.at)
		of.Role.PermissionsBoundary, of.Role.MaxSessionDuration, of.Role.Trust = boundary, 3600, serviceTrust
		keys[name] = w.archive(t, of)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"by default":                          {nil, "newest"},
		"by a time after all":                 {[]string{"--at=2026-11-23T00:00:00+01:00"}, "restored"},
		"by its own time":                     {[]string{"--at=2026-11-22T08:00:00Z"}, "oldest"},
		"by its own time as archive shows it": {[]string{"--at=2026-11-22T09:00:00Z"}, "older"},
		"a second too early":                  {[]string{"--at=2026-11-22T09:59:59Z"}, "older"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			for key := range w.Objects(w.bucket, naming.RequestPrefix) {
				w.remove(key)
			}
			got := w.run(t, append([]string{"restore", runtimeRole("solo"), "--yes", "--wait=false"}, c.args...)...)
			if got.code != exitGood || !strings.Contains(got.stdout, keys[c.want]) {
				t.Fatalf("exit code %d, want %s\n%s%s", got.code, keys[c.want], got.stdout, got.stderr)
			}
			if r := w.asked(); r.Archive != keys[c.want] {
				t.Errorf("asked for %s, want %s", r.Archive, keys[c.want])
			}
		})
	}
}

const serviceTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}]}`

func TestNothingIsRestoredThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *deployed, a model.Archive)
		args    []string // restore the role --yes when empty
		code    int
		want    []string
	}{
		"a trust beyond the service": {func(w *deployed, a model.Archive) {
			a.Role.Trust, a.ArchivedAt = lambdaTrust, at(11)
			w.archive(w.t, a)
		}, nil, exitProblems, []string{"[role-hostile]", "lambda.amazonaws.com", "--exact"}},
		"another boundary": {func(w *deployed, a model.Archive) {
			a.Role.PermissionsBoundary, a.ArchivedAt = "", at(11)
			w.archive(w.t, a)
		}, nil, exitProblems, []string{"[role-boundary-differs]", "no boundary", "--exact"}},
		"somebody else's role": {func(w *deployed, a model.Archive) {
			w.strip(a.Role.Name)
			w.deleteRole(a.Role.Name)
			w.createRole(a.Role.Name, a.Role.Trust)
		}, nil, exitProblems, []string{"[role-replaced]", "1 role blocked"}},
		"somebody else's role, and nobody's name": {func(w *deployed, a model.Archive) {
			w.lose("solo")
			w.createRole(a.Role.Name, a.Role.Trust)
		}, nil, exitProblems, []string{"[role-not-ours]", "`rolekeeper adopt configs/team/agent.yaml solo`"}},
		"a name of another config": {func(w *deployed, _ model.Archive) {
			w.lose("solo")
			w.put(w.t, naming.RoleClaimKey("solo"), `{"v":1,"config":"configs/other.yaml","agent":"solo"}`)
		}, nil, exitError, []string{"the roles of agent solo of configs/team/agent.yaml are those of agent solo of configs/other.yaml now"}},
		"a damaged claim": {func(w *deployed, _ model.Archive) {
			w.put(w.t, naming.RoleClaimKey("solo"), `{"v":1`)
		}, nil, exitError, []string{naming.RoleClaimKey("solo"), "unexpected EOF"}},
		"nothing archived":         {nil, []string{"restore", runtimeRole("other"), "--yes"}, exitError, []string{"role " + runtimeRole("other") + " in " + naming.ConfigBucket("123456789012", "us-east-1") + ": there is no archive of it", "`rolekeeper archive`"}},
		"nothing archived by then": {nil, []string{"restore", runtimeRole("solo"), "--at=2026-11-22T09:00:00Z", "--yes"}, exitError, []string{"by 2026-11-22T09:00:00Z; the oldest is of 2026-11-22T10:00:00Z"}},
		"only what restoring left": {func(w *deployed, a model.Archive) {
			for key := range w.Objects(w.bucket, naming.ArchivePrefix) {
				w.remove(key)
			}
			a.Reason = model.ArchiveRestored
			w.archive(w.t, a)
		}, nil, exitError, []string{"only archives that restoring left; name one by --at"}},
		"no time":                   {nil, []string{"restore", runtimeRole("solo"), "--at=2026-11-22"}, exitError, []string{`--at: "2026-11-22" is no time such as 2026-11-22T12:00:00Z`}},
		"no role of an agent":       {nil, []string{"restore", "Admin"}, exitError, []string{"is no role of an agent"}},
		"too much time to do it in": {nil, []string{"restore", runtimeRole("solo"), "--expires-in=25h"}, exitError, []string{"--expires-in"}},
		"only damaged archives": {func(w *deployed, _ model.Archive) {
			for key := range w.Objects(w.bucket, naming.ArchivePrefix) {
				w.put(w.t, key, "{")
			}
		}, nil, exitError, []string{"the archive is damaged"}},
		"requests are off":   {func(w *deployed, _ model.Archive) { w.parameters["OperatorPrincipalArns"] = []string{""} }, nil, exitError, []string{"requests are off"}},
		"nobody to confirm":  {nil, []string{"restore", runtimeRole("solo")}, exitError, []string{"pass --yes; nothing was written"}},
		"archives denied":    {func(w *deployed, _ model.Archive) { w.Before = denyGet("/archive/") }, nil, exitError, []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}},
		"the claim denied":   {func(w *deployed, _ model.Archive) { w.Before = denyGet("/claims/") }, nil, exitError, []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}},
		"the role denied":    {func(w *deployed, _ model.Archive) { w.Before = denyRole(runtimeRole("solo")) }, nil, exitError, []string{"AccessDenied"}},
		"the answer denied":  {func(w *deployed, _ model.Archive) { w.Before = denyGet("/status/") }, nil, exitError, []string{"AccessDenied"}},
		"no such stack here": {func(w *deployed, _ model.Archive) { w.parameters = nil }, nil, exitError, []string{"is the stack deployed there"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, _ := kept(t, model.ArchiveRetired)
			if c.prepare != nil {
				c.prepare(w, a)
			}
			w.ForgetCalls()
			args := c.args
			if args == nil {
				args = []string{"restore", runtimeRole("solo"), "--yes"}
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

// denyGet denies the operator to read what has the text in its key.
func denyGet(part string) func(awsfake.Call) error {
	return func(c awsfake.Call) error {
		if c.Caller == operator && c.Operation == "GetObject" && strings.Contains(c.Resource, part) {
			return awsfake.APIError("AccessDenied", "Access Denied")
		}
		return nil
	}
}

func TestADamagedArchiveIsLeftOutAndTold(t *testing.T) {
	w, a, key := kept(t, model.ArchiveRetired)
	damaged := naming.ArchivedRole(a.Role.Name) + "damaged.json"
	w.put(t, damaged, "{")
	got := w.run(t, "restore", a.Role.Name, "--yes", "--wait=false")
	if got.code != exitGood || !strings.Contains(got.stdout, "left out: "+damaged+": the archive is damaged") || w.asked().Archive != key {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// odd gives a role with what is hard to write in a shell, and what Rolekeeper
// would not make.
func odd(w *deployed) model.ObservedRole {
	w.t.Helper()
	w.AddPolicy("arn:aws:iam::123456789012:policy/Own", orders)
	w.AddPolicy(readOnly, orders)
	return model.ObservedRole{
		Name: runtimeRole("solo"), ARN: "arn:aws:iam::123456789012:role/" + runtimeRole("solo"), ID: "AROAODD", Path: "/",
		Description: "file:///etc/passwd 'it''s' $(false) `false` \\ \n\u202e\U000e0001 é <&>", MaxSessionDuration: 7200,
		PermissionsBoundary: "arn:aws:iam::123456789012:policy/Own",
		Trust:               strings.ReplaceAll(lambdaTrust, ",", ",\n\t"),
		Policies: map[string]string{
			"-policy=,.@": strings.Replace(orders, `"*"`, "\"arn:aws:dynamodb:us-east-1:123456789012:table/it's\u202e\U000e0001${aws:username}\"", 1), "orders": orders,
		},
		Attached: []string{readOnly},
		Tags:     map[string]string{"it's a key": "a 'value' of $HOME", "": "", "empty": "", "é": "--tags"},
	}
}

// What the commands make, whatever there is, is the role that was archived.
func TestTheExactCommandsMakeTheRoleThatWasArchived(t *testing.T) {
	for name, c := range map[string]struct {
		archived func(w *deployed) model.ObservedRole
		there    func(w *deployed) // what is there
	}{
		"of a role that is gone":           {func(w *deployed) model.ObservedRole { return w.role(runtimeRole("solo")) }, func(w *deployed) { w.lose("solo") }},
		"of a role that is as it was":      {func(w *deployed) model.ObservedRole { return w.role(runtimeRole("solo")) }, nil},
		"of a role that was edited":        {func(w *deployed) model.ObservedRole { return w.role(runtimeRole("solo")) }, func(w *deployed) { w.edit(runtimeRole("solo")) }},
		"of an odd role that is gone":      {odd, func(w *deployed) { w.lose("solo") }},
		"of an odd role that was taken on": {odd, nil},
		"of a role that has an odd policy by now": {func(w *deployed) model.ObservedRole { return w.role(runtimeRole("solo")) }, func(w *deployed) {
			w.putPolicy(runtimeRole("solo"), "-policy=,.@", orders)
		}},
		"of a role with longer sessions by now": {func(w *deployed) model.ObservedRole { return w.role(runtimeRole("solo")) }, func(w *deployed) {
			o := w.role(runtimeRole("solo"))
			w.must(w.admin().UpdateRole(w.t.Context(), &iam.UpdateRoleInput{RoleName: &o.Name, Description: &o.Description, MaxSessionDuration: aws.Int32(7200)}))
		}},
		"of a role with another description by now": {func(w *deployed) model.ObservedRole { return w.role(runtimeRole("solo")) }, func(w *deployed) {
			o := w.role(runtimeRole("solo"))
			w.must(w.admin().UpdateRole(w.t.Context(), &iam.UpdateRoleInput{RoleName: &o.Name, Description: aws.String("mine"), MaxSessionDuration: &o.MaxSessionDuration}))
		}},
		"of a role without anything": {func(*deployed) model.ObservedRole {
			return model.ObservedRole{Name: runtimeRole("solo"), ID: "AROABARE", Path: "/", Trust: lambdaTrust, MaxSessionDuration: 3600}
		}, func(w *deployed) { w.lose("solo") }},
		"of one without anything that was taken on": {func(*deployed) model.ObservedRole {
			return model.ObservedRole{Name: runtimeRole("solo"), ID: "AROABARE", Path: "/", Trust: lambdaTrust, MaxSessionDuration: 3600}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := kept(t, model.ArchiveRestored)
			a := anArchive("solo", model.ArchiveAdopted, at(11))
			a.Role = c.archived(w)
			delete(a.Role.Tags, "")
			w.archive(t, a)
			if c.there != nil {
				c.there(w)
			}
			w.ForgetCalls()
			got := w.run(t, "restore", a.Role.Name, "--exact")
			if got.code != exitGood || got.stderr != "" || len(w.wrote()) > 0 {
				t.Fatalf("exit code %d, wrote %q\n%s%s", got.code, w.wrote(), got.stdout, got.stderr)
			}
			w.shell(got.stdout)
			is, want := w.role(a.Role.Name), a.Role
			is.ID, want.ID, is.ARN, want.ARN = "", "", "", ""
			meaning(&is)
			meaning(&want)
			if diff := cmp.Diff(want, is, cmp.Transformer("nothing", func(m map[string]string) map[string]string {
				if m == nil {
					return map[string]string{}
				}
				return m
			}), cmp.Transformer("none", func(l []string) []string { return append([]string{}, l...) })); diff != "" {
				t.Errorf("(-archived +made)\n%s\n%s", diff, got.stdout)
			}
			if again := w.run(t, "restore", a.Role.Name, "--exact").stdout; !strings.Contains(again, "# The role is so already.") || strings.Contains(again, "\naws ") {
				t.Errorf("the second time:\n%s", again)
			}
		})
	}
}

// meaning puts a role's documents into one spelling.
func meaning(o *model.ObservedRole) {
	spell := func(raw string) string {
		d, err := policy.Parse(raw)
		if err != nil {
			return raw
		}
		return d.JSON()
	}
	o.Trust, o.Policies = spell(o.Trust), maps.Clone(o.Policies)
	for name, raw := range o.Policies {
		o.Policies[name] = spell(raw)
	}
}

// shell has a POSIX shell read a script in which the only command is aws, and
// does what that would do.
func (w *deployed) shell(script string) {
	w.t.Helper()
	c := exec.CommandContext(w.t.Context(), "sh", "-eu")
	c.Stdin = strings.NewReader("aws() { for w; do printf '%s\\0' \"$w\"; done; printf '\\n\\0'; }\nPATH=/nowhere\n" + script)
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("%v\n%s", err, script)
	}
	var words []string
	for _, word := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if word != "\n" {
			words = append(words, word)
			continue
		}
		w.cli(words)
		words = nil
	}
}

// cli does what the AWS CLI does with the words of a command.
func (w *deployed) cli(words []string) {
	w.t.Helper()
	if len(words) < 2 || words[0] != "iam" {
		w.t.Fatalf("aws %q", words)
	}
	o := map[string]*string{}
	for rest := words[2:]; len(rest) > 0; {
		name, value, joined := strings.Cut(rest[0], "=")
		rest = rest[1:]
		switch {
		case !strings.HasPrefix(name, "--"):
			w.t.Fatalf("aws %q: %q is no option", words, name)
		case !joined && len(rest) == 0, !joined && strings.HasPrefix(rest[0], "-"):
			w.t.Fatalf("aws %q: %s has no value", words, name)
		case !joined:
			value, rest = rest[0], rest[1:]
		}
		if strings.HasPrefix(value, "file:") || strings.HasPrefix(value, "fileb:") {
			w.t.Fatalf("aws %q reads a file", words)
		}
		o[name] = &value
	}
	given := struct{ Description *string }{}
	decode := func(name string, into any) {
		if o[name] != nil {
			w.must(nil, json.Unmarshal([]byte(*o[name]), into))
		}
	}
	decode("--cli-input-json", &given)
	var tags []iamtypes.Tag
	var keys []string
	decode("--tags", &tags)
	decode("--tag-keys", &keys)
	var session *int32
	if s := o["--max-session-duration"]; s != nil {
		n, err := strconv.ParseInt(*s, 10, 32)
		w.must(nil, err)
		session = aws.Int32(int32(n))
	}
	ctx, role, api := w.t.Context(), o["--role-name"], w.admin()
	var err error
	switch words[1] {
	case "create-role":
		_, err = api.CreateRole(ctx, &iam.CreateRoleInput{
			RoleName: role, Path: o["--path"], AssumeRolePolicyDocument: o["--assume-role-policy-document"], Description: given.Description,
			MaxSessionDuration: session, PermissionsBoundary: o["--permissions-boundary"], Tags: tags,
		})
	case "update-role":
		_, err = api.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: role, Description: given.Description, MaxSessionDuration: session})
	case "update-assume-role-policy":
		_, err = api.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: role, PolicyDocument: o["--policy-document"]})
	case "put-role-permissions-boundary":
		_, err = api.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: role, PermissionsBoundary: o["--permissions-boundary"]})
	case "delete-role-permissions-boundary":
		_, err = api.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: role})
	case "put-role-policy":
		_, err = api.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role, PolicyName: o["--policy-name"], PolicyDocument: o["--policy-document"]})
	case "delete-role-policy":
		_, err = api.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: role, PolicyName: o["--policy-name"]})
	case "attach-role-policy":
		_, err = api.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: o["--policy-arn"]})
	case "detach-role-policy":
		_, err = api.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: role, PolicyArn: o["--policy-arn"]})
	case "tag-role":
		_, err = api.TagRole(ctx, &iam.TagRoleInput{RoleName: role, Tags: tags})
	case "untag-role":
		_, err = api.UntagRole(ctx, &iam.UntagRoleInput{RoleName: role, TagKeys: keys})
	default:
		err = fmt.Errorf("there is no command %s", words[1])
	}
	w.must(nil, err)
}

func TestTheExactScriptSaysWhatBecomesOfTheRole(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *deployed, a *model.Archive)
		golden  string
	}{
		"a trust beyond the service": {func(w *deployed, a *model.Archive) { a.Role.Trust = lambdaTrust; w.lose("solo") }, "restore-exact-gone.txt"},
		"no boundary":                {func(_ *deployed, a *model.Archive) { a.Role.PermissionsBoundary = "" }, "restore-exact-there.txt"},
		"nothing refused":            {func(w *deployed, a *model.Archive) { w.tag(a.Role.Name, "mine", "1") }, "restore-exact-same.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, _ := kept(t, model.ArchiveRestored)
			a.Reason, a.ArchivedAt = model.ArchiveAdopted, at(11)
			c.prepare(w, &a)
			w.archive(t, a)
			got := w.run(t, "restore", a.Role.Name, "--exact")
			if got.code != exitGood {
				t.Fatalf("exit code %d\n%s", got.code, got.stderr)
			}
			golden(t, c.golden, got.stdout)
			for line := range strings.Lines(got.stdout) {
				if !strings.HasPrefix(line, "# ") && !strings.HasPrefix(line, "aws iam ") {
					t.Errorf("%q is neither a comment nor a command", line)
				}
			}
		})
	}
}

// AWS's own tags can neither be put on a role nor be taken off it.
func TestTheExactCommandsLeaveTheTagsOfAWSAlone(t *testing.T) {
	plain := model.ObservedRole{Name: "role", Trust: serviceTrust, MaxSessionDuration: 3600, Tags: map[string]string{"mine": "1"}}
	tagged := plain
	tagged.Tags = map[string]string{"mine": "1", "aws:cloudformation:stack-name": "app"}
	for name, c := range map[string]struct {
		was model.ObservedRole
		is  *model.ObservedRole
	}{
		"of a role that is gone":        {tagged, nil},
		"of a role that had one":        {tagged, &plain},
		"of a role that has one by now": {plain, &tagged},
	} {
		t.Run(name, func(t *testing.T) {
			commands, err := account{region: "us-east-1"}.exactly(c.was, c.is)
			if text := strings.Join(commands, "\n"); err != nil || strings.Contains(text, "cloudformation") || (c.is != nil) != (text == "") {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

func TestADocumentThatIsNoJSONGivesNoCommands(t *testing.T) {
	w := deploy(t)
	a := anArchive("solo", model.ArchiveAdopted, at(9))
	a.Role.Trust = "{'}"
	key := w.archive(t, a)
	got := w.run(t, "restore", a.Role.Name, "--exact")
	if got.code != exitError || got.stdout != "" || !strings.Contains(got.stderr, key+": trust policy: ") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
