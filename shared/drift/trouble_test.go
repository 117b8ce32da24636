package drift_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// cutShort is an IAM whose list of roles ends before it says so.
type cutShort struct{ *awsfake.IAM }

func (c cutShort) ListRoles(ctx context.Context, in *iam.ListRolesInput, _ ...func(*iam.Options)) (*iam.ListRolesOutput, error) {
	in.MaxItems = aws.Int32(1)
	out, err := c.IAM.ListRoles(ctx, in)
	out.Marker = nil
	return out, err
}

func TestAListThatEndsEarlyIsNoListOfWhatIsMissing(t *testing.T) {
	w := kept(t)
	p := w.pass()
	p.Account = iamrole.NewAccount(cutShort{w.cloud.IAM("drift")})
	r, err := p.Run(t.Context(), "id")
	if err == nil || r.Failed == "" || len(w.sent()) > 0 || len(r.Findings) > 0 || w.latest().Failed != r.Failed {
		t.Errorf("%v %+v %q", err, r, w.hints())
	}
}

func TestARoleThatIsSeenInOneListOnlyIsNotJudged(t *testing.T) {
	w := kept(t)
	w.put("configs/new.yaml", external("new"))
	w.admin().trust(runtimeRole("my_agent"), evil)
	w.cloud.HideRole(runtimeRole("other"), 1)
	r, err := w.pass().Run(t.Context(), "id")
	if err == nil || !strings.Contains(r.Failed, runtimeRole("other")) || r.Totals.Unread != 1 {
		t.Errorf("%v %+v %s", err, r.Totals, r.Failed)
	}
	if diff := cmp.Diff([]string{"configs/new.yaml pass:id", key + " pass:id"}, w.hints()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want := []string{"edited repaired " + runtimeRole("my_agent") + " runtime/trust", "unread told configs/team/other.yaml "}
	if diff := cmp.Diff(want, rows(r)); diff != "" || !strings.Contains(r.Findings[1].Message, runtimeRole("other")) {
		t.Errorf("%+v (-want +got)\n%s", r.Findings, diff)
	}
}

// meanwhile is an account that something happens in after it was read.
type meanwhile struct {
	drift.Account
	then func()
}

func (m meanwhile) Read(ctx context.Context) (model.Account, error) {
	a, err := m.Account.Read(ctx)
	m.then()
	return a, err
}

func TestWhatWasWorkedOnMeanwhileIsNotTold(t *testing.T) {
	for name, c := range map[string]struct {
		then func(w *world)
		told bool
	}{
		"nothing happened":       {func(*world) {}, true},
		"another config":         {func(w *world) { w.put(other, agentsNamed("other", "more")) }, true},
		"it was put right":       {func(w *world) { w.reconcile(key) }, false},
		"another version came":   {func(w *world) { w.put(key, agentsNamed("my_agent", "more")) }, false},
		"the config was deleted": {func(w *world) { w.remove(key) }, false},
		"a role is being made": {func(w *world) {
			w.write(naming.RoleClaimKey("my_agent"), model.Claim{V: 1, Config: key, Agent: "my_agent"})
		}, false},
		"a project is being made": {func(w *world) {
			w.write(naming.ProjectClaimKey("my_agent"), model.Claim{V: 1, Config: key, Agent: "my_agent"})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			w.admin().trust(runtimeRole("my_agent"), evil)
			p := w.pass()
			p.Account = meanwhile{p.Account, func() { c.then(w) }}
			r, err := p.Run(t.Context(), "id")
			if err != nil || len(r.Findings) > 0 != c.told || len(w.sent()) > 0 != c.told || r.Totals.Drifted > 0 != c.told {
				t.Errorf("%v %q %q", err, rows(r), w.hints())
			}
		})
	}
}

func TestWhetherAConfigWasWorkedOnMustBeKnown(t *testing.T) {
	for again, nth := range map[string]int{naming.StatusKey(config(0)): 2, naming.ProjectClaimKey(named(0)): 1} { // there is no such claim
		w := fleet(t, 2)
		w.edit(2)
		reads := 0
		w.cloud.Before = func(c awsfake.Call) error {
			if c.Operation == "GetObject" && c.Resource == bucket+"/"+again {
				if reads++; reads == nth {
					return awsfake.APIError("SlowDown", "not now")
				}
			}
			return nil
		}
		r, err := w.pass().Run(t.Context(), "id")
		if err == nil || r.Totals.Unread != 1 || r.Totals.Roles != 2 || len(r.Findings) != 2 || r.Findings[0].Kind != report.KindUnread || !strings.Contains(r.Findings[0].Message, config(0)) {
			t.Errorf("%s: %v %+v", again, err, r)
		}
		if diff := cmp.Diff([]string{config(1) + " pass:id"}, w.hints()); diff != "" {
			t.Errorf("%s\n%s", again, diff)
		}
	}
}

func TestAConfigThatIsGoneWithItsAnswerIsFoundByItsClaims(t *testing.T) {
	w := kept(t)
	w.remove(key)
	w.remove(naming.StatusKey(key))
	r := w.run("id")
	if diff := cmp.Diff([]string{key + " pass:id"}, w.hints()); diff != "" || r.Totals.Missed != 1 || r.Totals.Configs != 1 || len(r.Orphans) > 0 {
		t.Errorf("%+v %+v (-want +got)\n%s", r.Totals, r.Orphans, diff)
	}
	w.settle()
	if a, _ := w.status(key).Agent("my_agent"); a.Phase != status.PhaseRetiring {
		t.Errorf("%+v", a)
	}
	r = w.run("again")
	want := []report.Leaving{{Config: key, Agent: "my_agent", Phase: "retiring", Until: w.cloud.Now().Add(24 * time.Hour)}}
	if diff := cmp.Diff(want, r.Leaving); diff != "" || r.Totals.Enqueued != 0 || r.Totals.Retiring != 1 {
		t.Errorf("%+v (-want +got)\n%s", r.Totals, diff)
	}
}

func TestAConfigThatSettingsNoLongerAllowIsToldOnceAndItsRolesStay(t *testing.T) {
	w := newWorld(t)
	w.must(w.cloud.ECR("admin").CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")}))
	w.apply(key, strings.Replace(agentsNamed("my_agent"), "aws: {}", "aws: {ecr_repository: team/app}", 1))
	w.settings.Allowed.Repositories, w.hash = []string{"bedrock-agentcore-*"}, "settings-2"
	w.admin().trust(runtimeRole("my_agent"), evil)
	for n, id := range []string{"first", "second"} {
		r := w.run(id)
		if r.Totals.Refused != 1 || r.Totals.Enqueued != 1-n || len(r.Orphans) > 0 || r.Totals.Roles != 2 || r.Totals.Drifted > 0 {
			t.Errorf("%s: %+v %q", id, r.Totals, rows(r))
		}
		if diff := cmp.Diff([]string{"refused blocked " + key + " "}, rows(r)); diff != "" || !strings.Contains(r.Findings[0].Message, "AllowedRepositories") {
			t.Errorf("%+v (-want +got)\n%s", r.Findings, diff)
		}
		w.cloud.ForgetCalls()
		w.settle()
		if made := w.made(); len(made) > 0 || w.status(key).Outcome != status.Rejected {
			t.Errorf("%s: %q, %s", id, made, w.status(key).Outcome)
		}
	}
}

func TestManyPoliciesOfOthers(t *testing.T) {
	const small = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s:*","Resource":"*"}]}`
	for name, c := range map[string]struct {
		way         plan.Unmanaged
		told, after int
	}{
		"told":    {plan.ReportUnmanaged, 200, 200},
		"kept":    {plan.KeepUnmanaged, 0, 0},
		"removed": {plan.RemoveUnmanaged, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			w.settings.Unmanaged = c.way
			for i := range 100 {
				w.admin().putPolicy(runtimeRole("my_agent"), fmt.Sprintf("mine-%03d", i), small)
				w.admin().putPolicy(buildRole("my_agent"), fmt.Sprintf("mine-%03d", i), small)
			}
			for n, want := range []int{c.told, c.after, c.after} {
				r := w.run(fmt.Sprint(n))
				if len(r.Findings) != want || (len(w.sent()) > 0) != (n == 0 && want > 0) || r.Totals.Drifted != min(want, 2) {
					t.Fatalf("%d: %d findings, %+v, %q", n, len(r.Findings), r.Totals, w.hints())
				}
				w.settle()
				w.cloud.Advance(time.Hour)
			}
			if left := len(w.role(runtimeRole("my_agent")).Policies); (left == 1) != (c.way == plan.RemoveUnmanaged) {
				t.Errorf("%d policies are left", left)
			}
		})
	}
}

// altered is an account in which roles are not as IAM would have them.
type altered struct {
	drift.Account
	change func(roles map[string]model.ObservedRole)
}

func (a altered) Read(ctx context.Context) (model.Account, error) {
	all, err := a.Account.Read(ctx)
	a.change(all.Roles)
	return all, err
}

func TestHostileTextsPassThroughUnharmed(t *testing.T) {
	const hostile = "</script><script>alert(1)</script>\x1b[31m\u202e\x00\u2028"
	w := kept(t)
	name := runtimeRole("my_agent")
	p := w.pass()
	p.Account = altered{p.Account, func(roles map[string]model.ObservedRole) {
		o := roles[name]
		o.Description, o.Trust = hostile, hostile
		o.Tags[model.TagConfig], o.Policies[hostile] = hostile, `{"Statement":"`+hostile
		o.Attached = append(o.Attached, "arn:aws:iam::aws:policy/"+hostile)
		roles[name] = o
		roles["copy"] = model.ObservedRole{Name: "copy", Tags: map[string]string{model.TagAgent: hostile, model.TagConfig: hostile}}
		lost := runtimeRole("lost_agent")
		roles[lost] = model.ObservedRole{Name: lost, Tags: map[string]string{model.TagAgent: hostile, model.TagConfig: hostile}}
	}}
	r, err := p.Run(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"extra told " + name + " runtime/attached/arn:aws:iam::aws:policy/" + hostile, "extra told " + name + " runtime/policy/" + hostile,
		"edited repaired " + name + " runtime/settings", "edited repaired " + name + " runtime/tags", "edited repaired " + name + " runtime/trust",
	}
	if diff := cmp.Diff(want, rows(r)); diff != "" || len(r.Orphans) != 2 || r.Orphans[1].Agent != hostile {
		t.Errorf("%+v (-want +got)\n%s", r.Orphans, diff)
	}
	for _, o := range r.Orphans {
		if strings.Contains(o.Fix+o.Reason, "alert") {
			t.Errorf("%q %q", o.Reason, o.Fix)
		}
	}
	if diff := cmp.Diff(r, w.latest()); diff != "" {
		t.Errorf("as it is read again (-want +got)\n%s", diff)
	}
	if page := string(w.cloud.Objects(bucket, "reports/")[naming.LatestReportKey]); strings.Contains(page, "<script>alert") || !strings.Contains(page, "alert(1)") {
		t.Error("the page runs what it shows, or does not show it")
	}
}

func TestAnUndriftedFleetIsReadInBulkAndLeftAlone(t *testing.T) {
	const n, pages = 500, 6 // of a hundred roles, of either list
	w := fleet(t, n)
	w.cloud.LimitPages(100)
	for round, id := range []string{"first", "second", "third"} {
		w.cloud.ForgetCalls()
		at := w.cloud.Now()
		r := w.run(id)
		if len(r.Findings)+len(r.Orphans)+len(w.sent()) > 0 || r.Totals.Roles != n || r.Totals.Configs != n || r.Totals.AccountRoles != n+1 {
			t.Fatalf("%+v", r.Totals)
		}
		want := map[string]int{
			"GetAccountAuthorizationDetails": pages, "ListRoles": pages, "GetAccountSummary": 1, "GetPolicy": 1,
			"ListObjectsV2": 3, "GetObject": 2 + 4*n, "ListAgentRuntimes": 1, "PutObject": 3,
		}
		if round == 0 { // reads the document of the boundary
			want["GetPolicyVersion"] = 1
		}
		got := map[string]int{}
		for _, c := range w.cloud.Calls() {
			got[c.Operation]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", id, diff)
		}
		if all := 2*pages + want["GetAccountSummary"] + want["GetPolicy"] + want["GetPolicyVersion"]; r.Totals.IAMCalls != all {
			t.Errorf("%d calls of IAM are told of %d", r.Totals.IAMCalls, all)
		}
		if diff := cmp.Diff(reports(at), w.writes()); diff != "" {
			t.Error(diff)
		}
		w.cloud.Advance(time.Hour)
	}
}

// Where drift is told and a role has another boundary, nothing of it can be
// brought up to date: both are one finding.
func TestARoleWithoutItsBoundaryThatIsOutdated(t *testing.T) {
	w := kept(t)
	w.settings.Drift = plan.ReportDrift
	w.outdate(key, "my_agent")
	w.admin().limit(runtimeRole("my_agent"), "")
	want := []string{"outdated repaired " + buildRole("my_agent") + " build/tags", "missing blocked " + runtimeRole("my_agent") + " runtime/boundary"}
	if r := w.run("id"); !cmp.Equal(want, rows(r)) || r.Findings[1].Fix == "" {
		t.Errorf("%q", rows(r))
	}
	w.settle()
	if r := w.run("again"); !cmp.Equal(want[1:], rows(r)) || r.Totals.Enqueued > 0 {
		t.Errorf("%q %+v", rows(r), r.Totals)
	}
}

// reconcile decides anew by what there is then.
func TestWhatWasPutRightSinceIsNotWritten(t *testing.T) {
	w := kept(t)
	was := w.role(runtimeRole("my_agent")).Trust
	w.admin().trust(runtimeRole("my_agent"), evil)
	w.run("id")
	w.admin().trust(runtimeRole("my_agent"), was)
	w.cloud.ForgetCalls()
	w.settle()
	if made := w.made(); len(made) > 0 {
		t.Errorf("%q", made)
	}
}

// Who did it and when is what CloudTrail told reconcile.
func TestWhoDidItIsTold(t *testing.T) {
	w := kept(t)
	w.admin().putPolicy(runtimeRole("my_agent"), "mine", handMade)
	w.reconcile(key)
	s := w.status(key)
	s.Agents[0].Drift[0].Actor, s.Agents[0].Drift[0].At = "arn:aws:iam::123456789012:user/somebody", w.cloud.Now().Add(-time.Minute)
	body, err := s.JSON()
	w.must(nil, err)
	w.put(naming.StatusKey(key), string(body))
	if d := w.run("id").Findings[0]; d.Actor != "arn:aws:iam::123456789012:user/somebody" || !d.Since.Equal(w.cloud.Now().Add(-time.Minute)) {
		t.Errorf("%+v", d)
	}
}

// Whoever uploads a config that the pass may not read, such as one with a key of
// its own, is to keep no pass from counting the others.
func TestAConfigThatNobodyCanReadIsToldAndFailsNoPass(t *testing.T) {
	w := kept(t)
	w.admin().trust(runtimeRole("my_agent"), evil)
	w.put("configs/closed.yaml", "")
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "GetObject" && c.Resource == bucket+"/configs/closed.yaml" {
			return awsfake.APIError("AccessDenied", "with a key of its own")
		}
		return nil
	}
	r := w.run("id")
	want := []string{"edited repaired " + runtimeRole("my_agent") + " runtime/trust", "unread told configs/closed.yaml "}
	got := rows(r)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || r.Failed != "" || r.Totals.Unread != 1 || r.Totals.Enqueued != 1 {
		t.Errorf("%+v (-want +got)\n%s", r, diff)
	}
}
