package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

const (
	network = "AWSServiceRoleForBedrockAgentCoreNetwork"
	// runtimeARN is of something that needs service-linked roles.
	runtimeARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/solo-1a2b3c4d5e"
)

// linked gives what is known of a service-linked role that is there.
func linked(of desired.ServiceLinkedRole, verdict model.Verdict, reasons ...string) model.ServiceLinkedRole {
	return model.ServiceLinkedRole{
		Name: of.Name, Service: of.Service, Verdict: verdict, Since: at(9), Reasons: reasons,
		ARN: "arn:aws:iam::123456789012:role" + of.Path() + of.Name, ID: "AROA" + strings.ToUpper(of.Policy[:4]), Created: at(1),
		Policy: &model.LinkedPolicy{ARN: of.PolicyARN("aws"), Version: "v1", Document: orders},
	}
}

// knownRoles is what is known when nothing is wrong with any role.
func knownRoles(changes ...func(*model.ServiceLinkedRoles)) model.ServiceLinkedRoles {
	known := model.ServiceLinkedRoles{
		V: 1, BegunAt: at(11), LookedAt: at(11),
		Regions: []model.LinkedRegion{{Name: "us-east-1", Resources: 2, Interfaces: 1}},
	}
	for _, r := range desired.AllServiceLinkedRoles() {
		known.Roles = append(known.Roles, model.ServiceLinkedRole{
			Name: r.Name, Service: r.Service, Verdict: model.LinkedAbsent, Since: at(9), Reasons: []string{"it is not there, and nothing in us-east-1 needs it"},
		})
	}
	used := linked(desired.RuntimeIdentity(), model.LinkedUsed, "runtime "+runtimeARN+" in us-east-1 (READY) needs it")
	used.LastUsed, used.LastUsedRegion = at(10), "us-east-1"
	used.Needs = []model.LinkedNeed{{Kind: "runtime", Name: runtimeARN, Region: "us-east-1", Status: "READY"}}
	with(used)(&known)
	for _, change := range changes {
		change(&known)
	}
	return known
}

// with puts what is known of a role in the place of what was.
func with(r model.ServiceLinkedRole) func(*model.ServiceLinkedRoles) {
	return func(known *model.ServiceLinkedRoles) {
		known.Roles[slices.IndexFunc(known.Roles, func(o model.ServiceLinkedRole) bool { return o.Name == r.Name })] = r
	}
}

// as has a role that is there with the verdict.
func as(v model.Verdict) func(*model.ServiceLinkedRoles) {
	return with(linked(desired.Network(), v, "the reason"))
}

// watched leaves what is known of the service-linked roles in the config bucket.
func (w *world) watched(t *testing.T, known model.ServiceLinkedRoles) {
	t.Helper()
	body, err := json.Marshal(known)
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, naming.LinkedKey, string(body))
}

// allOfThem has a role for everything that is told, and more than one for some of it.
func allOfThem(known *model.ServiceLinkedRoles) {
	missing := model.ServiceLinkedRole{
		Name: desired.GatewayNetwork().Name, Service: desired.GatewayNetwork().Service, Verdict: model.LinkedMissing, Since: at(10),
		Reasons: []string{
			"it is not there", "gateway-target g-1/t-1 in eu-west-1 needs it", "gateway-target g-1/t-2 in eu-west-1 needs it",
			"gateway-target g-1/t-3 in eu-west-1 needs it", "and 22 more",
		},
		Fix: "aws iam create-service-linked-role --aws-service-name bedrock-agentcore.amazonaws.com", MoreNeeds: 20,
	}
	for _, id := range []string{"g-1/t-1", "g-1/t-2", "g-1/t-3", "g-1/t", "g-2/t-4"} {
		missing.Needs = append(missing.Needs, model.LinkedNeed{Kind: "gateway-target", Name: id, Region: "eu-west-1"})
	}
	missing.Needs[4].Status = "READY"

	identity := linked(desired.IdentityNetwork(), model.LinkedUnknown, "nothing that could be read needs it, and not everything could be read", "registry of eu-west-1: AccessDenied")
	identity.Fix = "have the platform team let rolekeeper-slrwatch read it"
	identity.Unread = []string{"registry of eu-west-1: AccessDenied", "oauth2-credential-provider of eu-west-1: AccessDenied"}
	identity.Accessed = &model.LinkedAccess{At: at(8), Failed: "throttled"}
	identity.Job = &model.LinkedJob{ID: "job", At: at(10)}
	identity.Policy.Unread = "GetPolicy: AccessDenied"

	idle := linked(desired.Network(), model.LinkedIdle, "nothing in us-east-1, eu-west-1 needs it", "last used at 2026-11-22T08:00:00Z from us-east-1")
	idle.LastUsed, idle.LastUsedRegion, idle.IdleSince, idle.LingerUntil = at(8), "us-east-1", at(8), at(18)
	idle.Accessed = &model.LinkedAccess{At: at(10), Last: at(7), Region: "us-east-1", Service: "ec2"}
	idle.Policy = &model.LinkedPolicy{
		ARN: desired.Network().PolicyARN("aws"), Version: "v4", Document: orders, Changed: at(10), Updated: at(6), Before: "v3",
		Was: strings.Replace(orders, `"dynamodb:GetItem"`, `["dynamodb:PutItem","dynamodb:GetItem"]`, 1),
	}
	idle.Deletion = &model.LinkedDeletion{RoleID: "AROAOLD", At: at(2), Task: "task/1", State: model.DeletionSucceeded, EndedAt: at(3)}

	refused := linked(desired.RuntimeInstances(), model.LinkedRefused, "AWS did not delete it at 2026-11-22T10:00:00Z: it is in use",
		"it is used in us-east-1 by one, two", "idle since 2026-11-22T04:00:00Z")
	refused.IdleSince = at(4)
	refused.Accessed = &model.LinkedAccess{At: at(9)}
	refused.Deletion = &model.LinkedDeletion{
		RoleID: refused.ID, Request: requestID, At: at(9), Task: "task/2", State: model.DeletionFailed, Reason: "it is in use", EndedAt: at(10),
		Usage: []model.LinkedUsage{{Region: "us-east-1", Resources: []string{"one", "two"}}, {Region: "ap-south-1"}, {Region: "eu-west-1", Resources: []string{"three"}}},
	}
	for _, r := range []model.ServiceLinkedRole{missing, identity, idle, refused} {
		with(r)(known)
	}
	known.BegunAt, known.WakeAt = at(11).Add(30*time.Minute), at(13)
	known.Regions = append(known.Regions, model.LinkedRegion{
		Name: "eu-west-1", Resources: 1, VPCSeen: at(9), VPCGone: at(10), Unread: []string{"registry of eu-west-1: AccessDenied"},
	})
	known.Requests = []model.LinkedRequest{{ID: requestID, Role: desired.RuntimeInstances().Name, Outcome: model.LinkedRequestRefused, Message: "it is in use", At: at(10)}}
}

func TestServiceLinkedRolesAreToldWithAllThatIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		known  model.ServiceLinkedRoles
		args   []string
		code   int
		golden string
	}{
		"when nothing is wrong":  {knownRoles(), nil, exitGood, "slr-quiet.txt"},
		"everything there is":    {knownRoles(allOfThem), nil, exitError, "slr.txt"},
		"with policies' changes": {knownRoles(allOfThem), []string{"--diff"}, exitError, "slr-diff.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.watched(t, c.known)
			got := w.run(t, append([]string{"slr"}, c.args...)...)
			if got.code != c.code || (got.stderr == "") != (c.code == exitGood) {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			golden(t, c.golden, got.stdout)
		})
	}
}

func TestWhatTheVerdictComesFromIsNotToldAgain(t *testing.T) {
	r := linked(desired.Network(), model.LinkedRefused)
	r.Needs = []model.LinkedNeed{{Kind: "network-interface", Name: "eni-1", Region: "us-east-1"}}
	r.Unread = []string{"browser of us-east-1: AccessDenied"}
	r.IdleSince, r.LingerUntil = at(8), at(18)
	r.Deletion = &model.LinkedDeletion{State: model.DeletionFailed, Reason: "it is in use", Usage: []model.LinkedUsage{{Region: "us-east-1", Resources: []string{"one", "two"}}}}
	for reason, line := range map[string]string{
		"network-interface eni-1 in us-east-1 is left of what was in a VPC": "  needed by network-interface eni-1 in us-east-1\n",
		"browser of us-east-1: AccessDenied":                                "  could not be read: browser of us-east-1: AccessDenied\n",
		"idle since " + moment(at(8)):                                       "  idle since " + moment(at(8)) + "\n",
		"they should be gone at " + moment(at(18)):                          "  network interfaces that are left should be gone at " + moment(at(18)) + "\n",
		"AWS did not delete it: it is in use":                               "    AWS says: it is in use\n",
		"it is used in us-east-1 by one, two":                               "    used in us-east-1 by one, two\n",
	} {
		for told, reasons := range map[bool][]string{false: {"a reason"}, true: {"a reason", reason}} {
			var b strings.Builder
			r.Reasons = reasons
			linkedRoleText(&terminal{w: &b}, r, false)
			_, rest, _ := strings.Cut(b.String(), reasons[len(reasons)-1]+"\n")
			if strings.Contains(rest, line) == told {
				t.Errorf("%q, told %t:\n%s", line, told, b.String())
			}
		}
	}
}

func TestOnlyTheNewestAnswersAboutServiceLinkedRolesAreTold(t *testing.T) {
	for n, want := range map[int]string{0: "", 10: "request 0 for ", 11: "and 1 earlier; "} {
		var all []model.LinkedRequest
		for i := range n {
			all = append(all, model.LinkedRequest{ID: strconv.Itoa(i)})
		}
		var b strings.Builder
		answersText(&terminal{w: &b}, all)
		newest := "request " + strconv.Itoa(n-1) + " for "
		if got := b.String(); (got == "") != (n == 0) || !strings.Contains(got, want) || strings.Contains(got, "request 0 for ") != (n == 10) || strings.Contains(got, "earlier") != (n > 10) || n > 0 && !strings.Contains(got, newest) {
			t.Errorf("%d answers:\n%s", n, got)
		}
	}
}

func TestServiceLinkedRolesAsDataAreAsTheyAre(t *testing.T) {
	w := newWorld()
	known := knownRoles(allOfThem)
	w.watched(t, known)
	got := w.run(t, "slr", "-o=json")
	read, err := model.ParseServiceLinkedRoles([]byte(got.stdout))
	if diff := cmp.Diff(known, read); err != nil || got.code != exitError || diff != "" {
		t.Errorf("exit code %d, %v\n%s%s", got.code, err, diff, got.stderr)
	}
}

func TestWhatTheLookAtServiceLinkedRolesEndsWith(t *testing.T) {
	old := func(age time.Duration) func(*model.ServiceLinkedRoles) {
		return func(known *model.ServiceLinkedRoles) { known.LookedAt = at(12).Add(-age) }
	}
	for name, c := range map[string]struct {
		changes []func(*model.ServiceLinkedRoles)
		code    int
		stderr  string // is in it
	}{
		"nothing":                     {nil, exitGood, ""},
		"one that is needed":          {changes(as(model.LinkedNeeded)), exitGood, ""},
		"one that is idle":            {changes(as(model.LinkedIdle)), exitGood, ""},
		"one that is being deleted":   {changes(as(model.LinkedDeleting)), exitGood, ""},
		"one that may go":             {changes(as(model.LinkedRemovable)), exitChanges, ""},
		"one that AWS keeps":          {changes(as(model.LinkedRefused)), exitProblems, ""},
		"one that is missing":         {changes(as(model.LinkedMissing)), exitProblems, ""},
		"one of which is not known":   {changes(as(model.LinkedUnknown)), exitError, "not all could be read"},
		"one that may go, one is not": {changes(as(model.LinkedMissing), with(linked(desired.RuntimeInstances(), model.LinkedRemovable))), exitProblems, ""},
		"one not known, one missing":  {changes(as(model.LinkedMissing), with(linked(desired.RuntimeInstances(), model.LinkedUnknown))), exitError, "not all could be read"},
		"a look that still holds":     {changes(old(26 * time.Hour)), exitGood, ""},
		"a look that is overdue":      {changes(old(26*time.Hour+time.Minute), as(model.LinkedMissing)), exitError, "the last look was 26h1m ago, and one is due every day"},
	} {
		for _, output := range []string{"text", "json"} {
			t.Run(name+" as "+output, func(t *testing.T) {
				w := newWorld()
				w.watched(t, knownRoles(c.changes...))
				got := w.run(t, "slr", "-o", output)
				if got.code != c.code || (c.stderr == "") != (got.stderr == "") || !strings.Contains(got.stderr, c.stderr) || !strings.Contains(got.stdout, network) {
					t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
				}
			})
		}
	}
}

func changes(all ...func(*model.ServiceLinkedRoles)) []func(*model.ServiceLinkedRoles) { return all }

func TestWhyNothingIsKnownOfServiceLinkedRoles(t *testing.T) {
	invoke := "aws lambda invoke --function-name rolekeeper-slrwatch --invocation-type Event "
	for name, c := range map[string]struct {
		prepare func(*testing.T, *world)
		want    []string
	}{
		"there was no look": {func(*testing.T, *world) {}, []string{"not looked at yet", "s3://bedrock-agentcore-configs-123456789012-us-east-1/slr/service-linked-roles.json", invoke}},
		"no look has ended": {func(t *testing.T, w *world) {
			t.Helper()
			w.watched(t, model.ServiceLinkedRoles{V: 1, BegunAt: at(11)})
		}, []string{"one began at 2026-11-22T11:00:00Z", "the log of rolekeeper-slrwatch", invoke}},
		"it is damaged": {func(t *testing.T, w *world) { t.Helper(); w.put(t, naming.LinkedKey, "{") }, []string{"slr/service-linked-roles.json: service-linked roles: ", "damaged", "the next look writes it anew"}},
		"it is of another version": {
			func(t *testing.T, w *world) { t.Helper(); w.put(t, naming.LinkedKey, `{"v":2}`) }, []string{"of another version than this tool"},
		},
		"it is larger than anything that is read": {func(t *testing.T, w *world) {
			t.Helper()
			w.put(t, naming.LinkedKey, strings.Repeat(" ", maxReport+1))
		}, []string{"slr/service-linked-roles.json"}},
		"it may not be read": {func(_ *testing.T, w *world) {
			w.Before = func(awsfake.Call) error { return awsfake.APIError("AccessDenied", "no") }
		}, []string{"AccessDenied", "may you list and read its config bucket?"}},
	} {
		for _, args := range [][]string{{"slr"}, {"slr", "-o=json"}} {
			t.Run(name+" "+strings.Join(args, " "), func(t *testing.T) {
				w := newWorld()
				c.prepare(t, w)
				got := w.run(t, args...)
				if got.code != exitError || got.stdout != "" {
					t.Errorf("exit code %d\n%s", got.code, got.stdout)
				}
				for _, want := range c.want {
					if !strings.Contains(got.stderr, want) {
						t.Errorf("%q is not in\n%s", want, got.stderr)
					}
				}
			})
		}
	}
}

// hostile puts what others write into all that is known.
func hostile(known *model.ServiceLinkedRoles) {
	const evil = "\x1b[31m\u202e\nrequest forged: done: x"
	r := linked(desired.Network(), model.LinkedRefused, evil)
	r.Fix, r.MoreNeeds, r.ARN, r.ID, r.LastUsedRegion, r.LastUsed = evil+"1", 1, evil+"2", evil+"3", evil+"4", at(8)
	r.Needs, r.Unread = []model.LinkedNeed{{Kind: evil, Name: evil + "5", Region: evil, Status: evil}}, []string{evil + "6"}
	r.Accessed = &model.LinkedAccess{At: at(9), Last: at(8), Region: evil, Service: evil}
	r.Policy = &model.LinkedPolicy{ARN: evil, Version: evil, Document: evil, Changed: at(9), Before: evil, Was: "{}", Unread: evil}
	r.Deletion = &model.LinkedDeletion{
		RoleID: evil, Request: evil, At: at(9), Task: evil, State: evil, Reason: evil + "7", Usage: []model.LinkedUsage{{Region: evil, Resources: []string{evil}}},
	}
	with(r)(known)
	known.Regions[0].Name, known.Regions[0].Unread = evil, []string{evil}
	known.Requests = []model.LinkedRequest{{ID: evil, Role: evil, Outcome: evil, Message: evil}}
}

func TestNothingOfServiceLinkedRolesCommandsTheTerminal(t *testing.T) {
	w := deploy(t)
	w.watched(t, knownRoles(hostile))
	for _, args := range [][]string{{"slr", "--diff"}, {"slr", "-o=json"}, {"slr", "delete", network}} {
		got := w.run(t, args...) // fails when anything else than text comes out
		if strings.Contains(got.stdout, "\nrequest forged") || !strings.Contains(got.stdout, "forged") {
			t.Errorf("%q: exit code %d\n%s%s", args, got.code, got.stdout, got.stderr)
		}
	}
}

func TestAServiceLinkedRoleIsCalledByItsNameOrTheEndOfIt(t *testing.T) {
	for arg, want := range map[string]string{
		network:                  network,
		strings.ToLower(network): network,
		"Network":                network,
		"network":                network,
		"IDENTITY":               desired.IdentityNetwork().Name,
		"RuntimeIdentity":        desired.RuntimeIdentity().Name,
		"gatewaynetwork":         desired.GatewayNetwork().Name,
		"":                       "",
		"work":                   "",
		network + "2":            "",
		"AWSServiceRoleForECS":   "",
	} {
		if got, err := linkedName(arg); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", arg, got, err)
		}
	}
	for _, r := range desired.AllServiceLinkedRoles() {
		if !strings.HasPrefix(r.Name, linkedPrefix) {
			t.Errorf("%s has no short form", r.Name)
		}
	}
}

// removable is an account with a service-linked role that nothing needs.
func removable(t *testing.T) *deployed {
	t.Helper()
	w := deploy(t)
	w.watched(t, knownRoles(idleNetwork))
	w.ForgetCalls()
	return w
}

func idleNetwork(known *model.ServiceLinkedRoles) {
	r := linked(desired.Network(), model.LinkedRemovable, "nothing in us-east-1 needs it", "last used at 2026-11-21T08:00:00Z from us-east-1", "idle since 2026-11-21T08:00:00Z")
	r.LastUsed, r.LastUsedRegion, r.IdleSince = at(8).Add(-24*time.Hour), "us-east-1", at(8).Add(-24*time.Hour)
	r.Accessed = &model.LinkedAccess{At: at(9), Last: at(7).Add(-24 * time.Hour), Region: "us-east-1", Service: "Amazon EC2"}
	r.Fix = "rolekeeper slr delete " + network
	with(r)(known)
}

// decided has the request answered, and its deletion as far as the state.
func decided(outcome, message string, state model.LinkedDeletionState, usage ...model.LinkedUsage) func(*model.ServiceLinkedRoles) {
	return func(known *model.ServiceLinkedRoles) {
		r, _ := known.Role(network)
		r.Deletion = &model.LinkedDeletion{RoleID: r.ID, Request: requestID, At: at(12), Task: "task/1", State: state, Usage: usage}
		if state == model.DeletionFailed {
			r.Deletion.Reason = "the role is in use"
		}
		with(r)(known)
		known.Requests = append(known.Requests, model.LinkedRequest{ID: requestID, Role: network, Outcome: outcome, Message: message, At: at(12)})
	}
}

func TestAnOperatorHasAServiceLinkedRoleDeleted(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*model.ServiceLinkedRoles)
		code   int
		golden string
	}{
		"and AWS does": {decided(model.LinkedRequestDone, "it is deleted", model.DeletionSucceeded), exitGood, "slr-delete.txt"},
		"and AWS refuses": {
			decided(model.LinkedRequestRefused, "AWS did not delete it: the role is in use", model.DeletionFailed,
				model.LinkedUsage{Region: "eu-west-1", Resources: []string{"runtime/a", "runtime/b"}}, model.LinkedUsage{Region: "ap-south-1"}),
			exitProblems, "slr-delete-refused.txt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := removable(t)
			w.terminal, w.stdin = true, "yes\n"
			naps := 0
			w.sleep = func(context.Context, time.Duration) error {
				switch naps++; naps {
				case 1, 2:
					w.watched(t, knownRoles(idleNetwork, decided(model.LinkedRequestRunning, "AWS is asked to delete it", model.DeletionRunning)))
				case 3:
					w.watched(t, knownRoles(idleNetwork, c.answer))
				}
				return nil
			}
			got := w.run(t, "slr", "delete", "network")
			if got.code != c.code || got.stderr != "Ask Rolekeeper to do this? Type yes: " || naps != 3 {
				t.Fatalf("exit code %d, %d naps\n%s%s", got.code, naps, got.stdout, got.stderr)
			}
			golden(t, c.golden, got.stdout)
			if put := []string{"s3:PutObject " + w.bucket + "/" + naming.FleetRequestKey(requestID)}; !slices.Equal(w.wrote(), put) {
				t.Errorf("the tool wrote %q, want %q", w.wrote(), put)
			}
			shown, _ := knownRoles(idleNetwork).Role(network)
			want := model.Request{
				V: 1, ID: requestID, Action: model.DeleteLinked, Plans: map[string]string{network: shown.DeletionPlan()}, Expires: at(13), By: operatorARN,
			}
			if diff := cmp.Diff(want, w.fleetRequest().Request); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoServiceLinkedRoleIsAskedForThatCannotGo(t *testing.T) {
	is := func(v model.Verdict) func(*deployed) {
		return func(w *deployed) { w.watched(w.t, knownRoles(as(v))) }
	}
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		args    []string // of --yes and the role when nil
		code    int
		want    string
	}{
		"one that is used":           {is(model.LinkedUsed), nil, exitProblems, "what needs the role is to be deleted first"},
		"one that a config asks for": {is(model.LinkedNeeded), nil, exitProblems, "remove that from the config first"},
		"one that is missing":        {is(model.LinkedMissing), nil, exitProblems, "the role is not there, and something needs it"},
		"one that is on its way out": {is(model.LinkedDeleting), nil, exitProblems, "AWS is about to delete the role; `rolekeeper slr` tells how far it is"},
		"one of which is not known":  {is(model.LinkedUnknown), nil, exitProblems, "made readable first"},
		"one of another version":     {is("tired"), nil, exitProblems, `this tool does not know the verdict "tired"`},
		"one that is not there":      {is(model.LinkedAbsent), nil, exitGood, "nothing to ask for: the role is not there"},
		"one that AgentCore has not": {nil, []string{"AWSServiceRoleForECS", "--yes"}, exitError, `no service-linked role "AWSServiceRoleForECS": it has AWSServiceRoleForBedrockAgentCoreGatewayNetwork, `},
		"one that no look had": {
			func(w *deployed) {
				w.watched(w.t, knownRoles(func(known *model.ServiceLinkedRoles) { known.Roles = nil }))
			}, nil, exitError, "the look of 2026-11-22T11:00:00Z has no " + network,
		},
		"nobody has looked":     {func(w *deployed) { w.remove(naming.LinkedKey) }, nil, exitError, "not looked at yet"},
		"requests are off":      {func(w *deployed) { w.parameters["OperatorPrincipalArns"] = []string{""} }, nil, exitError, "requests are off"},
		"nobody to confirm":     {nil, []string{network}, exitError, "nothing was written"},
		"somebody who does not": {func(w *deployed) { w.terminal, w.stdin = true, "no\n" }, []string{network}, exitError, "not confirmed"},
		"no stack":              {func(w *deployed) { w.parameters = nil }, nil, exitError, "is the stack deployed there"},
		"no time":               {nil, []string{network, "--yes", "--expires-in=25h"}, exitError, "--expires-in"},
	} {
		t.Run(name, func(t *testing.T) {
			w := removable(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			args := c.args
			if args == nil {
				args = []string{network, "--yes"}
			}
			w.ForgetCalls()
			got := w.run(t, append([]string{"slr", "delete"}, args...)...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) || len(w.wrote()) > 0 {
				t.Errorf("exit code %d, wrote %q; %q is not in\n%s%s", got.code, w.wrote(), c.want, got.stdout, got.stderr)
			}
		})
	}
}

func TestServiceLinkedRolesThatMayBeAskedFor(t *testing.T) {
	for _, v := range []model.Verdict{model.LinkedIdle, model.LinkedRemovable, model.LinkedRefused} {
		w := deploy(t)
		w.watched(t, knownRoles(as(v)))
		if got := w.run(t, "slr", "delete", network, "--yes", "--wait=false"); got.code != exitGood || !strings.Contains(got.stdout, "the answer comes into s3://bedrock-agentcore-configs-123456789012-us-east-1/slr/service-linked-roles.json\n") {
			t.Errorf("%s: exit code %d\n%s%s", v, got.code, got.stdout, got.stderr)
		}
		w.fleetRequest()
	}
}

func TestWaitingForADeletion(t *testing.T) {
	running := decided(model.LinkedRequestRunning, "AWS is asked to delete it", model.DeletionRunning)
	done := decided(model.LinkedRequestDone, "it is deleted", model.DeletionSucceeded)
	for name, c := range map[string]struct {
		sleep func(w *deployed, n int) error
		code  int
		naps  int
		want  string
		not   string // is nowhere
	}{
		"later": {func(w *deployed, n int) error {
			return when(n == 9, func() { w.watched(w.t, knownRoles(idleNetwork, done)) })
		}, exitGood, 9, "request " + requestID + ": done: it is deleted", "running"},
		"never":       {func(*deployed, int) error { return nil }, exitError, 60, "no answer within 2m0s: the request stands until 2026-11-22T15:00:00Z", "AWS has not decided"},
		"interrupted": {func(*deployed, int) error { return context.Canceled }, exitError, 1, "the request stands: look with `rolekeeper slr`", "done"},
		"of AWS that never ends": {func(w *deployed, _ int) error {
			w.watched(w.t, knownRoles(idleNetwork, running))
			return nil
		}, exitError, 60, "AWS has not decided within 2m0s, and is at it still", "no answer"},
		"with an answer to another": {func(w *deployed, _ int) error {
			w.watched(w.t, knownRoles(idleNetwork, func(known *model.ServiceLinkedRoles) {
				known.Requests = []model.LinkedRequest{{ID: "other", Role: network, Outcome: model.LinkedRequestDone}}
			}))
			return nil
		}, exitError, 60, "no answer within", "done"},
		"refused by Rolekeeper": {func(w *deployed, _ int) error {
			w.watched(w.t, knownRoles(idleNetwork, decided(model.LinkedRequestRefused, "it is used: a runtime", model.DeletionFailed), func(known *model.ServiceLinkedRoles) {
				r, _ := known.Role(network)
				r.Deletion.Request = "other" // an earlier one
			}))
			return nil
		}, exitProblems, 1, "request " + requestID + ": refused: it is used: a runtime", "AWS says"},
		"throttled for a while": {func(w *deployed, n int) error {
			w.Before = func(c awsfake.Call) error {
				if n < 4 && c.Caller == operator && c.Operation == "GetObject" {
					return awsfake.APIError("SlowDown", "Please reduce your request rate.")
				}
				return nil
			}
			w.watched(w.t, knownRoles(idleNetwork, done))
			return nil
		}, exitGood, 4, "done", "SlowDown"},
		"denied by then": {func(w *deployed, _ int) error {
			w.Before = func(c awsfake.Call) error {
				if c.Caller == operator {
					return awsfake.APIError("AccessDenied", "no")
				}
				return nil
			}
			return nil
		}, exitError, 1, "; the request stands", "done"},
		"not at all": {nil, exitGood, 0, "is written", "done"},
	} {
		t.Run(name, func(t *testing.T) {
			w := removable(t)
			naps := 0
			w.sleep = func(_ context.Context, d time.Duration) error {
				if naps++; d != 2*time.Second {
					t.Errorf("slept %v", d)
				}
				return c.sleep(w, naps)
			}
			args := []string{"slr", "delete", network, "--yes", "--expires-in=3h"}
			if c.sleep == nil {
				args = append(args, "--wait=false")
				w.sleep = func(context.Context, time.Duration) error { return errors.New("it waits") }
			}
			got := w.run(t, args...)
			_, answer, _ := strings.Cut(got.stdout, "\nrequest ")
			if got.code != c.code || naps != c.naps || !strings.Contains(got.stdout+got.stderr, c.want) || strings.Contains(answer+got.stderr, c.not) {
				t.Errorf("exit code %d, %d naps; %q is not in, or %q is\n%s%s", got.code, naps, c.want, c.not, got.stdout, got.stderr)
			}
			w.fleetRequest()
		})
	}
}
