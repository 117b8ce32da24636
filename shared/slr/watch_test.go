package slr_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/slr"
)

// The whole life of a role, from the first config in a VPC to the next.
func TestTheLifeOfTheNetworkRole(t *testing.T) {
	w := newWorld(t)
	w.days = 1
	w.look()
	w.want(network, model.LinkedAbsent)

	w.put(config, vpcConfig)
	w.pass(day)
	w.want(network, model.LinkedMissing, "config configs/team/agent.yaml in us-east-1 asks for what will need it")
	w.want(identity, model.LinkedMissing)

	w.cloud.Advance(time.Hour)
	id := w.runtime(w.cloud, "my_agent", true)
	w.event("CreateAgentRuntime")
	w.drain()
	w.want(network, model.LinkedUsed, "runtime arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/"+id+" in us-east-1 (CREATING) needs it")
	w.settle()
	if r := w.want(network, model.LinkedUsed); r.Accessed == nil || r.Job != nil {
		t.Errorf("no report: %+v", r)
	}
	w.pass(10 * day)

	w.cloud.Advance(time.Hour)
	w.remove(config)
	w.gone(w.cloud, id)
	w.event("DeleteAgentRuntime")
	w.drain()
	left := w.cloud.Now()
	until := left.Add(8 * time.Hour)
	if r := w.want(network, model.LinkedUsed, "is left of what was in a VPC", "they should be gone at "+until.Format(time.RFC3339)); !r.LingerUntil.Equal(until) {
		t.Errorf("linger until %s, want %s", r.LingerUntil, until)
	}
	w.want(identity, model.LinkedIdle)
	w.settle()

	w.cloud.Advance(until.Sub(w.cloud.Now()))
	w.look()
	if r := w.want(network, model.LinkedIdle, "the last sign of use or need was at "+left.Format(time.RFC3339)); !r.LingerUntil.IsZero() || !r.UnneededAt.Equal(until) {
		t.Errorf("%+v", r)
	}
	w.settle()
	w.cloud.Advance(left.Add(12*time.Hour - time.Second).Sub(w.cloud.Now()))
	w.look()
	w.want(network, model.LinkedIdle)
	w.settle()
	w.cloud.Advance(time.Minute)
	w.look()
	w.settle()
	w.want(network, model.LinkedRemovable, "it goes by itself at "+until.Add(day).Format(time.RFC3339))

	w.cloud.Advance(until.Add(day - time.Second).Sub(w.cloud.Now()))
	w.look()
	w.want(network, model.LinkedRemovable)
	if n := w.count("DeleteServiceLinkedRole"); n != 1 { // that of runtimes' identity, which was idle before
		t.Errorf("%d deletions, want one", n)
	}
	w.cloud.Advance(time.Minute)
	w.look()
	if d := w.want(network, model.LinkedDeleting, "its task is task/aws-service-role/").Deletion; d.State != model.DeletionRunning || d.Request != "" {
		t.Errorf("%+v", d)
	}
	w.settle()
	if r := w.want(network, model.LinkedAbsent, "it was deleted at"); r.ARN != "" || r.Deletion.State != model.DeletionSucceeded {
		t.Errorf("%+v", r)
	}
	w.want(identity, model.LinkedAbsent)
	if names := w.cloud.RoleNames(); len(names) > 0 {
		t.Errorf("roles are left: %q", names)
	}

	w.runtime(w.cloud, "my_agent", true)
	w.event("CreateAgentRuntime")
	w.settle()
	w.want(network, model.LinkedUsed)
	want := []string{">absent", "absent>missing", "missing>used", "used>idle", "idle>removable", "removable>deleting", "deleting>absent", "absent>used"}
	if diff := cmp.Diff(want, w.changes(network)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := w.count("DeleteServiceLinkedRole"); n != 2 || len(w.errs) > 0 {
		t.Errorf("%d deletions, %v", n, w.errs)
	}
}

func TestNothingGoesByItselfUnlessSettingsSaySo(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.pass(100 * day)
	w.want(network, model.LinkedRemovable)
	if n := w.count("DeleteServiceLinkedRole"); n > 0 {
		t.Errorf("%d deletions", n)
	}
}

func TestARequestHasARoleDeleted(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.ask("r1", strings.ToLower(network.Name), w.role(network).DeletionPlan())
	w.drain()
	w.answered("r1", model.LinkedRequestRunning, "AWS is asked to delete it")
	if d := w.want(network, model.LinkedDeleting).Deletion; d.Request != "r1" || d.RoleID == "" {
		t.Errorf("%+v", d)
	}
	w.settle()
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "it is deleted")
	// The same name again is another role: neither the old request nor its plan is of it.
	w.makeRole(network)
	w.pass(day)
	w.answered("r1", model.LinkedRequestDone, "it is deleted")
	if n := w.count("DeleteServiceLinkedRole"); n != 1 {
		t.Errorf("%d deletions", n)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		given   func(w *world) (role, plan string)
		outcome string
		message string
	}{
		"while a runtime needs it": {func(w *world) (string, string) {
			w.runtime(w.cloud, "my_agent", true)
			return network.Name, w.role(network).DeletionPlan()
		}, model.LinkedRequestRefused, "it is used: runtime "},
		"while a config asks for it": {func(w *world) (string, string) {
			w.put(config, vpcConfig)
			return network.Name, w.role(network).DeletionPlan()
		}, model.LinkedRequestRefused, "it is needed: config "},
		"when it was used since": {func(w *world) (string, string) {
			plan := w.role(network).DeletionPlan()
			w.cloud.UseRole(network.Name, w.cloud.Now())
			return network.Name, plan
		}, model.LinkedRequestRefused, "it is not as it was shown any more"},
		"when it was made anew": {func(w *world) (string, string) {
			plan := w.role(network).DeletionPlan()
			w.deleteRole(network)
			w.makeRole(network)
			return network.Name, plan
		}, model.LinkedRequestRefused, "it is not as it was shown any more"},
		"when it is gone": {func(w *world) (string, string) {
			plan := w.role(network).DeletionPlan()
			w.deleteRole(network)
			return network.Name, plan
		}, model.LinkedRequestDone, "it is not there"},
		"of another name": {func(w *world) (string, string) {
			return "AWSServiceRoleForSupport", w.role(network).DeletionPlan()
		}, model.LinkedRequestRefused, "AgentCore has no service-linked role of this name"},
		"of a name that is too long": {func(w *world) (string, string) {
			return strings.Repeat("x", 500_000), w.role(network).DeletionPlan()
		}, model.LinkedRequestRefused, "AgentCore has no service-linked role of this name"},
		"while a listing is denied": {func(w *world) (string, string) {
			w.deny("AccessDeniedException", "ListBrowsers", abroad)
			return network.Name, w.role(network).DeletionPlan()
		}, model.LinkedRequestRefused, "it is unknown: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.idle(network)
			role, plan := c.given(w)
			w.ask("r1", role, plan)
			w.settle()
			w.answered("r1", c.outcome, c.message)
			at := w.table().Requests[0].At
			w.cloud.Advance(time.Hour)
			w.look()
			w.settle()
			w.answered("r1", c.outcome, c.message)
			if !w.table().Requests[0].At.Equal(at) {
				t.Error("it is answered again")
			}
			if n := w.count("DeleteServiceLinkedRole"); n > 0 {
				t.Errorf("%d deletions", n)
			}
			if size := len(w.cloud.Objects(bucket, naming.LinkedKey)[naming.LinkedKey]); size > 100_000 {
				t.Errorf("%d bytes are known", size)
			}
		})
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	for name, change := range map[string]func(w *world, r *model.Request) (key string){
		"expired":           func(w *world, r *model.Request) string { r.Expires = w.cloud.Now().Add(-time.Second); return "" },
		"of another id":     func(_ *world, _ *model.Request) string { return naming.FleetRequestKey("r2") },
		"of another action": func(_ *world, r *model.Request) string { r.Action = model.Approve; return "" },
		"to approve a pass": func(_ *world, r *model.Request) string {
			r.Action, r.Plans = model.Approve, map[string]string{model.FleetPlan: r.Plans[network.Name]}
			return ""
		},
		"of two roles": func(_ *world, r *model.Request) string {
			r.Plans[identity.Name] = r.Plans[network.Name]
			return ""
		},
		"damaged": func(w *world, r *model.Request) string {
			w.put(naming.FleetRequestKey(r.ID), `{"v":1`)
			return "-"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.idle(network)
			r := model.Request{
				V: 1, ID: "r1", Action: model.DeleteLinked, Plans: map[string]string{network.Name: w.role(network).DeletionPlan()}, Expires: w.cloud.Now().Add(time.Hour),
			}
			switch key := change(w, &r); key {
			case "-":
			case "":
				w.write(naming.FleetRequestKey("r1"), r)
			default:
				w.write(key, r)
			}
			w.look()
			w.settle()
			if n := w.count("DeleteServiceLinkedRole"); n > 0 || len(w.table().Requests) > 0 {
				t.Errorf("%d deletions, %+v", n, w.table().Requests)
			}
		})
	}
	t.Run("that nobody may write", func(t *testing.T) {
		w := newWorld(t)
		w.idle(network)
		w.askAsShown("r1", network)
		w.must(w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) {
			s.Operators = false
			return s.Look(ctx)
		}))
		if n := w.count("DeleteServiceLinkedRole"); n > 0 {
			t.Errorf("%d deletions", n)
		}
	})
}

func TestTwoRequestsForTheSameRoleAreBothAnswered(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	plan := w.role(network).DeletionPlan()
	w.ask("r1", network.Name, plan)
	w.ask("r2", network.Name, plan)
	w.settle()
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "")
	w.answered("r2", model.LinkedRequestDone, "it is deleted")
	if n := w.count("DeleteServiceLinkedRole"); n != 1 {
		t.Errorf("%d deletions", n)
	}
}

// What is used in a Region that is not looked at AWS alone knows.
func TestADeletionThatAWSRefusesIsToldAndNotAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.regions = []string{home}
	there := w.cloud.Abroad(abroad)
	id := w.runtime(there, "their_agent", true)
	w.cloud.Advance(2 * day)
	w.cloud.UseRole(network.Name, time.Time{})
	w.look()
	w.settle()
	w.want(network, model.LinkedRemovable)
	w.askAsShown("r1", network)
	w.settle()
	r := w.want(network, model.LinkedRefused, "AWS did not delete it at", "it is used in eu-west-1 by arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/"+id)
	if r.Fix == "" || len(r.Deletion.Usage) != 1 {
		t.Errorf("%+v", r)
	}
	w.answered("r1", model.LinkedRequestRefused, "it is used in eu-west-1 by ")
	w.pass(10 * day)
	if n := w.count("DeleteServiceLinkedRole"); n != 1 {
		t.Fatalf("%d deletions, want the one that was asked for", n)
	}
	// By itself it is tried no more than daily.
	w.days = 1
	at := w.cloud.Now()
	for range 12 {
		w.cloud.Advance(6 * time.Hour)
		w.look()
		w.settle()
	}
	if n := w.deletions(network); n != 1+3 {
		t.Errorf("%d deletions in %s", n, w.cloud.Now().Sub(at))
	}
	w.regions = []string{home, abroad}
	w.look()
	w.want(network, model.LinkedUsed)
}

func TestADeletionThatIAMDoesNotTakeIsToldAtOnce(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.deny("AccessDenied", "DeleteServiceLinkedRole", "")
	w.askAsShown("r1", network)
	w.drain()
	w.want(network, model.LinkedRefused, "not for you")
	w.answered("r1", model.LinkedRequestRefused, "not for you")
	w.settle()
	if n := w.count("DeleteServiceLinkedRole"); n != 1 {
		t.Errorf("%d deletions", n)
	}
}

func TestADeletionThatIsThrottledIsAskedForAgainLaterAndLater(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.deny("Throttling", "DeleteServiceLinkedRole", "")
	w.askAsShown("r1", network)
	begun := w.cloud.Now()
	for w.cloud.Now().Sub(begun) < 10*time.Minute {
		w.drain()
		at, any := w.cloud.NextVisible(w.queue)
		if !any {
			t.Fatal("nothing comes")
		}
		w.cloud.Advance(at.Sub(w.cloud.Now()))
	}
	if n := w.count("DeleteServiceLinkedRole"); n > 8 {
		t.Errorf("%d deletions in 10 minutes", n)
	}
	w.answered("r1", model.LinkedRequestRunning, "")
	w.cloud.Before = nil
	w.settle()
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "it is deleted")
}

// Whether AWS was asked is not known, and neither is what it would be asked for now:
// that is no reason to take the decision back.
func TestADeletionThatWasDecidedStandsWhileTheRoleCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.deny("Throttling", "DeleteServiceLinkedRole", "")
	w.askAsShown("r1", network)
	w.drain()
	w.deny("AccessDenied", "GetRole", "")
	w.cloud.Advance(time.Minute)
	w.drain()
	if r := w.want(network, model.LinkedUnknown); r.Deletion.State != model.DeletionAsked {
		t.Errorf("%+v", r.Deletion)
	}
	w.answered("r1", model.LinkedRequestRunning, "AWS may have been asked already")
	w.undisturbed()
	w.look()
	w.settle()
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "")
}

func TestADeletionThatWasDecidedLapsesWithItsRequest(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.deny("Throttling", "DeleteServiceLinkedRole", "")
	w.askAsShown("r1", network)
	w.drain()
	w.deny("AccessDenied", "GetRole", "")
	w.pass(2 * day)
	w.want(network, model.LinkedUnknown)
	w.undisturbed()
	w.look()
	w.answered("r1", model.LinkedRequestRefused, "")
	if r := w.want(network, model.LinkedRemovable); r.Deletion.State != model.DeletionLost {
		t.Errorf("%+v", r.Deletion)
	}
}

// AWS took it and its answer is lost; the next look cannot read everything.
func TestARequestIsNotRefusedWhileAWSMayBeAtIt(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.cloud.SettleLinkedRoles(time.Hour, 5*time.Second)
	w.cloud.After = func(c awsfake.Call) error {
		if c.Caller == me && c.Operation == "DeleteServiceLinkedRole" {
			return awsfake.APIError("InternalFailure", "lost")
		}
		return nil
	}
	w.askAsShown("r1", network)
	w.drain()
	w.undisturbed()
	w.deny("ThrottlingException", "ListBrowsers", abroad)
	w.cloud.Advance(30 * time.Second)
	w.drain()
	w.want(network, model.LinkedUnknown)
	w.answered("r1", model.LinkedRequestRunning, "AWS may have been asked already")
	w.undisturbed()
	w.settle()
	w.cloud.Advance(2 * time.Hour)
	w.look()
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "")
}

func TestARequestThatComesDuringADeletionIsAnsweredWithItHoweverLongItTakes(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.cloud.SettleLinkedRoles(8*time.Hour, 5*time.Second)
	for _, id := range []string{"r1", "r2"} {
		w.askAsShown(id, network)
		w.drain()
		w.answered(id, model.LinkedRequestRunning, "")
	}
	w.settle()
	w.pass(3 * day)
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "")
	w.answered("r2", model.LinkedRequestDone, "")
}

func TestATaskThatIsNotKnownYetIsAskedForAgain(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.cloud.SettleLinkedRoles(time.Hour, 5*time.Second)
	w.askAsShown("r1", network)
	w.drain()
	w.deny("NoSuchEntity", "GetServiceLinkedRoleDeletionStatus", "")
	w.cloud.Advance(time.Minute)
	w.drain()
	w.want(network, model.LinkedDeleting)
	w.undisturbed()
	w.settle()
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "")
}

func TestARoleThatIsGoneWhenItIsToBeDeletedIsGone(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.askAsShown("r1", network)
	w.deny("NoSuchEntity", "DeleteServiceLinkedRole", "")
	w.drain()
	if r := w.want(network, model.LinkedAbsent, "it was deleted at"); r.ARN != "" || r.ID != "" {
		t.Errorf("%+v", r)
	}
	w.answered("r1", model.LinkedRequestDone, "it is deleted")
	// If it is there after all, it is seen.
	w.cloud.Before = nil
	w.cloud.Advance(10 * time.Minute)
	w.look()
	w.want(network, model.LinkedIdle)
}

func TestATaskThatIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		given   func(w *world)
		state   model.LinkedDeletionState
		verdict model.Verdict
		outcome string
	}{
		"with the role left": {func(w *world) { w.cloud.ForgetLinkedDeletions(network.Name) }, model.DeletionLost, model.LinkedRemovable, model.LinkedRequestRefused},
		"with the role gone": {func(w *world) {
			w.cloud.Advance(2 * time.Minute)
			w.cloud.ForgetLinkedDeletions(network.Name)
		}, model.DeletionSucceeded, model.LinkedAbsent, model.LinkedRequestDone},
		"with another role there": {func(w *world) {
			w.cloud.Advance(2 * time.Minute)
			w.makeRole(network)
			w.cloud.ForgetLinkedDeletions(network.Name)
		}, model.DeletionSucceeded, model.LinkedIdle, model.LinkedRequestDone},
		"to who may not read it, with the role gone": {func(w *world) {
			w.cloud.Advance(2 * time.Minute)
			w.deny("AccessDenied", "GetServiceLinkedRoleDeletionStatus", "")
		}, model.DeletionSucceeded, model.LinkedAbsent, model.LinkedRequestDone},
		"as it has failed": {func(w *world) { w.cloud.FailLinkedDeletion(network.Name, "something else") }, model.DeletionFailed, model.LinkedRefused, model.LinkedRequestRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.idle(network)
			w.askAsShown("r1", network)
			w.drain()
			w.want(network, model.LinkedDeleting)
			c.given(w)
			w.settle()
			w.look()
			if r := w.want(network, c.verdict); r.Deletion.State != c.state || r.Deletion.EndedAt.IsZero() {
				t.Errorf("%+v", r.Deletion)
			}
			w.answered("r1", c.outcome, "")
			if n := w.count("DeleteServiceLinkedRole"); n != 1 {
				t.Errorf("%d deletions", n)
			}
		})
	}
}

func TestATaskThatMayNotBeReadSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.cloud.SettleLinkedRoles(time.Hour, 5*time.Second)
	w.askAsShown("r1", network)
	w.drain()
	w.deny("Throttling", "GetServiceLinkedRoleDeletionStatus", "")
	w.cloud.Advance(time.Minute)
	w.drain()
	if r := w.want(network, model.LinkedDeleting); r.Fix != "" || len(r.Reasons) != 1 {
		t.Errorf("throttled once: %+v", r)
	}
	w.deny("AccessDenied", "GetServiceLinkedRoleDeletionStatus", "")
	w.cloud.Advance(time.Minute)
	w.drain()
	if r := w.want(network, model.LinkedDeleting, "not for you"); r.Fix == "" {
		t.Errorf("%+v", r)
	}
	w.settle()
	w.want(network, model.LinkedAbsent)
}

func TestReportsOnLastAccesses(t *testing.T) {
	for name, c := range map[string]struct {
		given   func(w *world)
		verdict model.Verdict
		reason  string
		later   model.Verdict // 5 hours and a look later, undisturbed
	}{
		"slow":                     {func(w *world) { w.cloud.SettleLinkedRoles(time.Minute, time.Hour) }, model.LinkedIdle, "is not there yet", model.LinkedRemovable},
		"failed":                   {func(w *world) { w.cloud.FailAccessReports(network.Name, true) }, model.LinkedIdle, "InternalFailure", model.LinkedRemovable},
		"may not be asked for":     {func(w *world) { w.deny("AccessDenied", "GenerateServiceLastAccessedDetails", "") }, model.LinkedIdle, "not for you", model.LinkedRemovable},
		"may not be read":          {func(w *world) { w.deny("AccessDenied", "GetServiceLastAccessedDetails", "") }, model.LinkedIdle, "not for you", model.LinkedRemovable},
		"throttled when asked for": {func(w *world) { w.deny("Throttling", "GenerateServiceLastAccessedDetails", "") }, model.LinkedIdle, "is not there yet", model.LinkedRemovable},
		"throttled when read":      {func(w *world) { w.deny("Throttling", "GetServiceLastAccessedDetails", "") }, model.LinkedIdle, "is not there yet", model.LinkedRemovable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.makeRole(network)
			w.cloud.Advance(2 * day)
			c.given(w)
			w.look()
			w.cloud.Advance(10 * time.Second)
			w.drain()
			w.want(network, c.verdict, c.reason)
			w.cloud.Before = nil
			w.cloud.FailAccessReports(network.Name, false)
			w.cloud.Advance(5 * time.Hour)
			w.look()
			w.settle()
			w.want(network, c.later)
		})
	}
	t.Run("forgotten", func(t *testing.T) {
		w := newWorld(t)
		w.makeRole(network)
		w.cloud.Advance(2 * day)
		w.look()
		w.cloud.ForgetAccessReports(network.Name)
		w.settle()
		w.want(network, model.LinkedIdle, "IAM made no report")
		w.pass(day)
		w.want(network, model.LinkedRemovable)
	})
	t.Run("a use that only the report tells of", func(t *testing.T) {
		w := newWorld(t)
		w.idle(network)
		w.cloud.UseRoleIn(network.Name, "ap-south-1", w.cloud.Now())
		w.cloud.Advance(day)
		w.look()
		w.settle()
		if r := w.want(network, model.LinkedIdle, "ap-south-1, which is not looked at"); r.LastUsedRegion != "ap-south-1" || r.Fix == "" {
			t.Errorf("%+v", r)
		}
	})
}

// AWS alone changes the policy: it is told, against what was seen last, and never written.
func TestAPolicyThatAWSChangesIsTold(t *testing.T) {
	w := newWorld(t)
	w.makeRole(network)
	w.look()
	w.settle()
	was := w.role(network).Policy
	if was == nil || was.Version != "v1" || was.Document == "" || !was.Changed.IsZero() || was.Before != "" {
		t.Fatalf("%+v", was)
	}
	const next = `{"Version":"2012-10-17","Statement":[]}`
	w.cloud.AddPolicy(was.ARN, was.Document)
	w.cloud.AddPolicy(was.ARN, next)
	w.deny("AccessDenied", "GetPolicyVersion", "")
	w.pass(day)
	if p := w.role(network).Policy; p.Version != "v1" || p.Document != was.Document || !strings.Contains(p.Unread, "not for you") {
		t.Errorf("%+v", p)
	}
	w.cloud.Before = nil
	w.pass(day)
	at := w.cloud.Now()
	w.pass(3 * day)
	p := w.role(network).Policy
	if p.Version != "v2" || p.Document != next || p.Before != "v1" || p.Was != was.Document || p.Unread != "" || p.Changed.IsZero() || p.Changed.After(at) {
		t.Errorf("%+v", p)
	}
	if n := w.count("GetPolicyVersion"); n != 4 { // the first, twice the one denied, the second
		t.Errorf("%d documents were read", n)
	}
	for _, c := range w.cloud.Calls() {
		if c.Caller == me && c.Service == "iam" && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "Generate") {
			t.Errorf("wrote: %s", c)
		}
	}
}

func TestWhatCannotBeReadIsNeverTakenForAbsent(t *testing.T) {
	for operation, roles := range map[string][]desired.ServiceLinkedRole{
		"ListAgentRuntimes":             {network, identity, desired.IdentityNetwork()},
		"ListBrowsers":                  {network},
		"ListCodeInterpreters":          {network},
		"ListHarnesses":                 {network, desired.IdentityNetwork()},
		"ListGateways":                  {desired.GatewayNetwork(), desired.IdentityNetwork()},
		"ListPaymentManagers":           {desired.IdentityNetwork()},
		"ListRegistries":                {desired.IdentityNetwork()},
		"ListOauth2CredentialProviders": {desired.IdentityNetwork()},
		"ListCapacityProviders":         {desired.RuntimeInstances()},
		"DescribeNetworkInterfaces":     {network},
		"GetRole":                       desired.AllServiceLinkedRoles(),
	} {
		for _, code := range []string{"AccessDeniedException", "ThrottlingException", "ValidationException"} {
			t.Run(operation+" "+code, func(t *testing.T) {
				w := newWorld(t)
				w.days = 1
				for _, r := range desired.AllServiceLinkedRoles() {
					w.makeRole(r)
				}
				w.cloud.Advance(2 * day)
				w.look()
				w.settle()
				region := abroad
				if operation == "GetRole" {
					region = ""
				}
				w.deny(code, operation, region)
				for range 10 {
					w.cloud.Advance(day)
					w.look()
					for range 5 { // what is throttled is looked at again and again
						w.cloud.Advance(time.Minute)
						w.drain()
					}
				}
				for _, r := range desired.AllServiceLinkedRoles() {
					unknown := slices.Contains(roles, r)
					if v := w.role(r); (v.Verdict == model.LinkedUnknown) != unknown || unknown && (v.Fix == "" || operation != "GetRole" && len(v.Unread) == 0) {
						t.Errorf("%s is %s: %q", r.Name, v.Verdict, v.Reasons)
					}
					if there := slices.Contains(w.cloud.RoleNames(), r.Name); there != unknown {
						t.Errorf("%s is there: %v", r.Name, there)
					}
				}
				if operation == "GetRole" {
					return
				}
				at := slices.IndexFunc(w.table().Regions, func(r model.LinkedRegion) bool { return r.Name == abroad })
				if text := strings.Join(w.table().Regions[at].Unread, " "); !strings.Contains(text, "not for you") {
					t.Errorf("%+v", w.table().Regions)
				}
			})
		}
	}
}

func TestAConfigThatMayNotBeReadLeavesWhatItAsksForUnknown(t *testing.T) {
	for _, code := range []string{"InvalidObjectState", "AccessDenied", "KMS.DisabledException"} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			w.idle(network)
			w.put(config, vpcConfig)
			w.cloud.Before = func(c awsfake.Call) error {
				if c.Caller == me && c.Operation == "GetObject" && strings.Contains(c.Resource, config) {
					return awsfake.APIError(code, "not for you")
				}
				return nil
			}
			w.cloud.Advance(day)
			w.look()
			w.want(network, model.LinkedUnknown, config)
		})
	}
}

func TestARequestThatMayNotBeReadIsToldAndKeepsNothingFromBeingDone(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.askAsShown("r1", network)
	w.askAsShown("r2", network)
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Caller == me && c.Operation == "GetObject" && strings.Contains(c.Resource, naming.FleetRequestKey("r1")) {
			return awsfake.APIError("AccessDenied", "not for you")
		}
		return nil
	}
	r, err := w.watch().Look(t.Context())
	if err != nil || !r.Looked || !errors.Is(r.Unread, fault.ErrDenied) {
		t.Errorf("%+v, %v", r, err)
	}
	w.settle()
	w.want(network, model.LinkedAbsent)
	w.answered("r2", model.LinkedRequestDone, "")
}

func TestARegionWithoutAgentCoreIsNotLookedAtAgainSoon(t *testing.T) {
	for name, c := range map[string]struct {
		err  net.DNSError
		soon bool
	}{
		"whose name is not known":  {net.DNSError{Err: "no such host", IsNotFound: true}, false},
		"whose name was not found": {net.DNSError{Err: "server misbehaving", IsTemporary: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.makeRole(network)
			w.pass(day)
			s := w.watch()
			region := s.Region
			s.Region = func(name string) slr.Region {
				r := region(name)
				if name == abroad {
					r.Resources = unreadable{awserr.Wrap(&c.err, "list runtimes")}
				}
				return r
			}
			w.must(s.Look(t.Context()))
			w.want(network, model.LinkedUnknown, "list runtimes")
			at, again := w.cloud.NextVisible(w.queue)
			if soon := again && at.Sub(w.cloud.Now()) <= time.Hour; soon != c.soon {
				t.Errorf("the next look comes at %s (%v), it is %s", at, again, w.cloud.Now())
			}
		})
	}
}

// unreadable are the resources of a Region of which runtimes cannot be read.
type unreadable struct{ err error }

func (u unreadable) Resources(context.Context, []model.Resource) ([]model.Resource, map[string]error) {
	return nil, map[string]error{"runtime": u.err}
}

func TestARegionThatIsNotEnabledIsUnread(t *testing.T) {
	w := newWorld(t)
	w.days = 1
	w.makeRole(network)
	w.regions = append(w.regions, "me-south-1")
	w.cloud.Abroad("me-south-1")
	w.cloud.DisableRegion("me-south-1")
	w.pass(5 * day)
	if r := w.want(network, model.LinkedUnknown, "of me-south-1: "); !strings.Contains(r.Fix, "left out of Regions") || len(r.Unread) == 0 {
		t.Errorf("%+v", r)
	}
	if n := w.count("DeleteServiceLinkedRole"); n > 0 {
		t.Errorf("%d deletions", n)
	}
	w.regions = w.regions[:2]
	w.pass(3 * day)
	w.want(network, model.LinkedAbsent)
}

func TestConfigs(t *testing.T) {
	t.Run("one that is refused may ask for anything", func(t *testing.T) {
		w := newWorld(t)
		w.days = 1
		w.makeRole(network)
		w.makeRole(desired.GatewayNetwork())
		for i := range 50 {
			w.put(fmt.Sprintf("configs/%d.yaml", i), "agents: [")
		}
		w.pass(5 * day)
		w.want(network, model.LinkedUnknown, "configs/0.yaml is refused", "and 47 more")
		w.want(identity, model.LinkedUnknown)
		w.want(desired.GatewayNetwork(), model.LinkedAbsent)
	})
	t.Run("one that does not ask for a VPC", func(t *testing.T) {
		w := newWorld(t)
		w.put(config, strings.Replace(vpcConfig, "network_mode: VPC", "network_mode: PUBLIC", 1))
		w.makeRole(identity)
		w.look()
		w.want(network, model.LinkedAbsent)
		w.want(identity, model.LinkedNeeded)
	})
	t.Run("what is no config", func(t *testing.T) {
		w := newWorld(t)
		w.put("configs/", "")
		w.put("configs/a b", "agents: [")
		w.look()
		w.want(network, model.LinkedAbsent)
	})
	t.Run("many that ask", func(t *testing.T) {
		w := newWorld(t)
		for i := range 50 {
			w.put(fmt.Sprintf("configs/%d.yaml", i), vpcConfig)
		}
		w.look()
		if r := w.want(network, model.LinkedMissing, "and 47 more"); len(r.Needs) != model.MaxLinkedNeeds || r.MoreNeeds != 50-model.MaxLinkedNeeds {
			t.Errorf("%d needs and %d more", len(r.Needs), r.MoreNeeds)
		}
	})
}

func TestARoleInAnotherPathIsNotAWSsOwn(t *testing.T) {
	w := newWorld(t)
	w.days = 1
	w.must(w.cloud.IAM("test").CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: &network.Name, Path: aws.String("/theirs/"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	}))
	w.put(config, vpcConfig)
	w.look()
	if r := w.want(network, model.LinkedMissing, "in path /theirs/"); r.ARN != "" || !strings.HasPrefix(r.Fix, "delete the role in path /theirs/") {
		t.Errorf("%+v", r)
	}
	w.remove(config)
	w.pass(3 * day)
	w.want(network, model.LinkedAbsent, "in path /theirs/")
	w.askAsShown("r1", network)
	w.settle()
	if n := w.count("DeleteServiceLinkedRole"); n > 0 {
		t.Errorf("%d deletions", n)
	}
}

func TestARuntimeWhoseRoleIsGoneIsMissedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.runtime(w.cloud, "my_agent", false)
	w.look()
	w.settle()
	w.want(identity, model.LinkedUsed)
	w.cloud.Before = func(c awsfake.Call) error { // as if AWS had let somebody
		if c.Operation == "GetRole" && c.Resource == identity.Name {
			return awsfake.APIError("NoSuchEntity", "gone")
		}
		return nil
	}
	w.cloud.Advance(time.Hour)
	w.event("DeleteServiceLinkedRole")
	w.settle()
	if r := w.want(identity, model.LinkedMissing, "needs it"); r.Fix != "aws iam create-service-linked-role --aws-service-name runtime-identity.bedrock-agentcore.amazonaws.com" {
		t.Errorf("%+v", r)
	}
}

// Whatever is damaged is known no more: the days are counted anew.
func TestADamagedTableIsMadeAnewAndNothingGoesBeforeTheDaysAreOverAgain(t *testing.T) {
	for name, damage := range map[string]string{"cut": `{"v":1,"roles":[`, "of a later version": `{"v":2}`, "empty": "", "too long": "{" + strings.Repeat(" ", 5<<20) + "}"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.days = 3
			w.idle(network)
			w.pass(2 * day)
			w.put(naming.LinkedKey, damage)
			r, err := w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) { return s.Look(ctx) })
			if err != nil || !r.Damaged {
				t.Fatalf("%v, damaged: %v", err, r.Damaged)
			}
			w.settle()
			at := w.cloud.Now()
			for w.cloud.Now().Sub(at) < 3*day-time.Hour {
				w.cloud.Advance(time.Hour)
				if w.look(); w.count("DeleteServiceLinkedRole") > 0 {
					t.Fatalf("it goes after %s", w.cloud.Now().Sub(at))
				}
				w.settle()
			}
			w.pass(2 * day)
			w.want(network, model.LinkedAbsent)
		})
	}
}

func TestADamagedMemoryOfARegionIsReadAnew(t *testing.T) {
	for name, change := range map[string][2]string{"damaged": {`{"v":1`, `{"v":`}, "of another Region": {`"region":"us-east-1"`, `"region":"us-west-2"`}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.runtime(w.cloud, "my_agent", true)
			w.look()
			w.cloud.Advance(time.Hour)
			w.look()
			was := string(w.cloud.Objects(bucket, naming.ResourcesKey(home))[naming.ResourcesKey(home)])
			body := strings.Replace(was, change[0], change[1], 1)
			if body == was {
				t.Fatal(was)
			}
			w.put(naming.ResourcesKey(home), body)
			w.cloud.ForgetCalls()
			w.look()
			w.want(network, model.LinkedUsed, id)
			if w.count("GetAgentRuntime") != 1 {
				t.Error("it was not read anew")
			}
			w.cloud.ForgetCalls()
			w.look()
			if w.count("GetAgentRuntime") != 0 || w.count("PutObject") != 2 {
				t.Errorf("read again: %v", w.cloud.Calls())
			}
		})
	}
}

// A runtime that is made after the listing and before the deletion: either AWS
// refuses, or it has the role made anew. The next look sees it.
func TestADeletionWhileARuntimeIsMade(t *testing.T) {
	t.Run("it is seen while it is being made", func(t *testing.T) {
		w := newWorld(t)
		w.idle(network)
		w.askAsShown("r1", network)
		w.runtime(w.cloud, "my_agent", true)
		w.drain()
		w.want(network, model.LinkedUsed, "(CREATING) needs it")
		w.answered("r1", model.LinkedRequestRefused, "(CREATING) needs it")
	})
	for name, after := range map[string]bool{"before AWS is asked": false, "after AWS was asked": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.idle(network)
			w.askAsShown("r1", network)
			id := ""
			if !after {
				// The fake's calls are not to be made from its hooks.
				w.must(w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) {
					s.Roles = deleting{s.Roles, func() { id = w.runtime(w.cloud, "my_agent", true) }}
					return s.Look(ctx)
				}))
			} else {
				w.drain()
				id = w.runtime(w.cloud, "my_agent", true)
			}
			w.settle()
			w.look()
			w.want(network, model.LinkedUsed, id)
			if d := w.role(network).Deletion; d.State != model.DeletionFailed || len(d.Usage) == 0 {
				t.Errorf("%+v", d)
			}
			w.answered("r1", model.LinkedRequestRefused, "it is used in us-east-1 by ")
			if !slices.Contains(w.cloud.RoleNames(), network.Name) {
				t.Error("the role is gone")
			}
		})
	}
	t.Run("once the role is gone", func(t *testing.T) {
		w := newWorld(t)
		w.idle(network)
		w.askAsShown("r1", network)
		w.drain()
		w.cloud.Advance(time.Minute)
		w.runtime(w.cloud, "my_agent", true)
		w.settle()
		w.want(network, model.LinkedUsed)
		w.answered("r1", model.LinkedRequestDone, "it is deleted")
	})
}

// deleting has something happen before a role is deleted.
type deleting struct {
	slr.Roles
	first func()
}

func (d deleting) Delete(ctx context.Context, name string) (string, error) {
	d.first()
	return d.Roles.Delete(ctx, name)
}

func TestAStoreThatFailsFailsTheLook(t *testing.T) {
	for _, operation := range []string{"GetObject", "ListObjectsV2", "PutObject"} {
		w := newWorld(t)
		w.look()
		w.put(config, vpcConfig)
		w.deny("SlowDown", operation, "")
		if r, err := w.watch().Look(t.Context()); err == nil || r.Looked {
			t.Errorf("%s: %+v", operation, r)
		}
	}
}

// A look that has used up its time says what it could not read.
func TestALookWithoutTimeSaysWhatItDidNotRead(t *testing.T) {
	w := newWorld(t)
	w.idle(network)
	w.must(w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) {
		region := s.Region
		s.Region = func(name string) slr.Region {
			r := region(name)
			r.Resources = hanging{}
			return r
		}
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // what it needs to tell of it
		defer cancel()
		r, err := s.Look(ctx)
		return r, errors.Join(err, ctx.Err())
	}))
	w.want(network, model.LinkedUnknown, context.DeadlineExceeded.Error())
}

// hanging is a service that answers when nobody waits any more.
type hanging struct{}

func (hanging) Resources(ctx context.Context, known []model.Resource) ([]model.Resource, map[string]error) {
	<-ctx.Done()
	return known, map[string]error{"runtime": ctx.Err()}
}

// All that one look may have to ask of IAM about one role.
func TestALookThatHasEverythingToAskStaysWithinItsCalls(t *testing.T) {
	w := newWorld(t)
	w.cloud.SettleLinkedRoles(5*time.Hour, 0)
	w.idle(network)
	w.cloud.FailLinkedDeletion(network.Name, "no")
	plan := w.role(network).DeletionPlan()
	w.ask("r1", network.Name, plan)
	w.drain()
	w.want(network, model.LinkedDeleting)
	arn := w.role(network).Policy.ARN
	w.cloud.AddPolicy(arn, "{}")
	w.cloud.AddPolicy(arn, `{"Version":"2012-10-17"}`)
	w.cloud.Advance(6 * time.Hour)
	w.ask("r2", network.Name, plan)
	w.cloud.ForgetCalls()
	w.look() // which is held to them
	for _, operation := range []string{"GetServiceLinkedRoleDeletionStatus", "GetRole", "GetPolicy", "GetPolicyVersion", "DeleteServiceLinkedRole"} {
		if w.count(operation) == 0 {
			t.Errorf("no %s", operation)
		}
	}
	w.answered("r1", model.LinkedRequestRefused, "no")
	w.answered("r2", model.LinkedRequestRunning, "")
}

// A Region that cannot be read for a while may have had anything in it.
func TestTheDaysCountFromTheFirstLookThatReadEverything(t *testing.T) {
	w := newWorld(t)
	w.days = 5
	id := w.runtime(w.cloud, "my_agent", true)
	w.pass(2 * day)
	w.deny("AccessDeniedException", "ListBrowsers", abroad)
	w.gone(w.cloud, id)
	w.pass(20 * day)
	w.want(network, model.LinkedUnknown)
	w.undisturbed()
	at := w.cloud.Now()
	w.pass(5 * day)
	if n := w.deletions(network); n > 0 {
		t.Fatalf("%d deletions %s after everything could be read", n, w.cloud.Now().Sub(at))
	}
	w.pass(2 * day)
	w.want(network, model.LinkedAbsent)
	// A need starts them anew.
	w = newWorld(t)
	w.days = 5
	w.idle(network)
	w.pass(4 * day)
	id = w.runtime(w.cloud, "my_agent", true)
	w.pass(day)
	w.gone(w.cloud, id)
	w.deny("AccessDeniedException", "ListBrowsers", abroad)
	w.pass(20 * day)
	w.undisturbed()
	w.pass(5 * day)
	if n := w.deletions(network); n > 0 {
		t.Errorf("%d deletions", n)
	}
}

func TestTheDaysCountAnewForARegionThatIsAdded(t *testing.T) {
	w := newWorld(t)
	w.regions, w.days = []string{home}, 30
	w.makeRole(network)
	w.cloud.UseRoleIn(network.Name, abroad, w.cloud.Now().Add(time.Minute))
	w.pass(40 * day)
	w.want(network, model.LinkedIdle, "which is not looked at")
	w.regions = []string{home, abroad} // as the fix says
	w.cloud.Abroad(abroad)
	w.pass(29 * day)
	if n := w.deletions(network); n > 0 {
		t.Errorf("%d deletions within 29 days of the first look at %s: %q", n, abroad, w.role(network).Reasons)
	}
	w.pass(3 * day)
	w.want(network, model.LinkedAbsent)
}

func TestDaysOfWhichNobodySawEverythingDoNotCount(t *testing.T) {
	for name, days := range map[string]func(w *world){
		"since a Region was denied": func(w *world) {
			w.deny("AccessDeniedException", "ListAgentRuntimes", abroad)
			w.pass(40 * day)
			w.want(network, model.LinkedUnknown)
			w.undisturbed()
		},
		"since there was no look": func(w *world) { w.cloud.Advance(40 * day) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.days = 30
			w.idle(network)
			days(w)
			w.pass(29 * day)
			if n := w.deletions(network); n > 0 {
				t.Errorf("%d deletions within 29 days", n)
			}
			w.pass(3 * day)
			w.want(network, model.LinkedAbsent)
		})
	}
}

func TestInterfacesOfWhichNoLookSawTheEnd(t *testing.T) {
	w := newWorld(t)
	id := w.runtime(w.cloud, "my_agent", true)
	w.pass(day)
	w.gone(w.cloud, id)
	w.pass(3 * day)
	there := w.cloud.Abroad(abroad)
	id = w.runtime(there, "their_agent", true)
	w.cloud.Advance(time.Hour)
	w.gone(there, id)
	w.look()
	if r := w.want(network, model.LinkedUsed, "no look saw when the last resource in a VPC was deleted"); !r.LingerUntil.IsZero() || r.Fix != "" {
		t.Errorf("%+v", r)
	}
	w.pass(day)
	w.want(network, model.LinkedRemovable)
	// What stays is somebody's.
	w.cloud.LingerNetworkInterfaces(30 * day)
	id = w.runtime(there, "their_agent", true)
	w.pass(day)
	w.gone(there, id)
	w.pass(2 * day)
	if r := w.want(network, model.LinkedUsed, "they should have been gone at"); !strings.Contains(r.Fix, "describe-network-interfaces") || r.LingerUntil.IsZero() {
		t.Errorf("%+v", r)
	}
}

func TestTheLastResourceInAVPCIsGoneOnlyWhenEverythingCouldBeRead(t *testing.T) {
	w := newWorld(t)
	id := w.runtime(w.cloud, "my_agent", true)
	w.pass(day)
	w.gone(w.cloud, id)
	w.deny("AccessDeniedException", "ListBrowsers", home)
	w.look()
	gone := func() time.Time {
		all := w.table().Regions
		return all[slices.IndexFunc(all, func(r model.LinkedRegion) bool { return r.Name == home })].VPCGone
	}
	if at := gone(); !at.IsZero() {
		t.Errorf("gone at %s, and browsers could not be read", at)
	}
	w.undisturbed()
	w.cloud.Advance(time.Hour)
	w.look()
	if at := gone(); !at.Equal(w.cloud.Now()) {
		t.Errorf("gone at %s, want now", at)
	}
	w.runtime(w.cloud, "my_agent", true)
	w.look()
	if at := gone(); !at.IsZero() {
		t.Errorf("gone at %s, and there is another", at)
	}
}

// What another look has just read of a Region is as good.
func TestWhatIsReadOfARegionMayBeWrittenByAnotherLook(t *testing.T) {
	w := newWorld(t)
	s := w.watch()
	region := s.Region
	s.Region = func(name string) slr.Region {
		r := region(name)
		r.Resources = meanwhile{r.Resources, func() { w.put(naming.ResourcesKey(name), `{"v":1}`) }}
		return r
	}
	if r, err := s.Look(t.Context()); err != nil || !r.Looked {
		t.Errorf("%v, looked: %v", err, r.Looked)
	}
}

// meanwhile has something happen while a Region is read.
type meanwhile struct {
	resources slr.Resources
	then      func()
}

func (m meanwhile) Resources(ctx context.Context, known []model.Resource) ([]model.Resource, map[string]error) {
	m.then()
	return m.resources.Resources(ctx, known)
}
