package drift_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
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
			"ListObjectsV2": 3, "GetObject": 3 + 4*n, "ListAgentRuntimes": 1, "PutObject": 3,
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

// Who uploads a config may close it to us. That many are closed is nobody's wish.
func TestManyConfigsThatCannotBeReadFailThePass(t *testing.T) {
	for name, c := range map[string]struct {
		most   model.Portion
		closed int
		fails  bool
	}{
		"none":                       {model.Portion{Count: 2}, 0, false},
		"as many as may be changed":  {model.Portion{Count: 2}, 2, false},
		"one more":                   {model.Portion{Count: 2}, 3, true},
		"a percentage of few: five":  {model.Portion{Percent: 1}, 5, false},
		"a percentage of few: a six": {model.Portion{Percent: 1}, 6, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := fleet(t, 7)
			w.most = c.most
			w.cloud.Before = func(call awsfake.Call) error {
				for i := range c.closed {
					if call.Operation == "GetObject" && call.Resource == bucket+"/"+config(i) {
						return awsfake.APIError("AccessDenied", "with a key of its own")
					}
				}
				return nil
			}
			r, err := w.pass().Run(t.Context(), "id")
			if (err != nil) != c.fails || (r.Failed != "") != c.fails || r.Totals.Unread != c.closed || w.latest().Failed != r.Failed {
				t.Fatalf("%v %+v", err, r)
			}
			if c.fails && !strings.Contains(r.Failed, fmt.Sprintf("%d of 7 configs", c.closed)) {
				t.Error(r.Failed)
			}
			line, err := report.Metrics(r, w.cloud.Now())
			if err != nil || strings.Contains(string(line), `"Passes"`) == c.fails {
				t.Errorf("%s %v", line, err)
			}
			if len(r.Findings) != c.closed {
				t.Errorf("%q", rows(r))
			}
		})
	}
}

// counting is a bucket that knows how much of its objects was held at most.
type counting struct {
	drift.Objects
	mu   *sync.Mutex
	held map[string]int // bytes, by key
}

func (c counting) Get(ctx context.Context, key string) (model.Object, error) {
	o, err := c.Objects.Get(ctx, key)
	return c.count(key, o), err
}

func (c counting) GetUpTo(ctx context.Context, key string, most int64) (model.Object, error) {
	o, err := c.Objects.GetUpTo(ctx, key, most)
	return c.count(key, o), err
}

func (c counting) count(key string, o model.Object) model.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[key] = max(c.held[key], len(o.Body))
	return o
}

// Thousands of them are held at the same time.
func TestOfAConfigNoMoreIsHeldThanOneMayHave(t *testing.T) {
	w := kept(t)
	whole := agentsNamed("my_agent") + strings.Repeat("#", agent.MaxBytes)
	w.put(key, whole[:agent.MaxBytes])
	const large = "configs/team/large.yaml"
	w.put(large, agentsNamed("large")+strings.Repeat("#", 1<<20))
	p, held := w.pass(), map[string]int{}
	p.Objects = counting{p.Objects, &sync.Mutex{}, held}
	r, err := p.Run(t.Context(), "id")
	w.must(nil, err)
	if diff := cmp.Diff([]string{"refused blocked " + large + " "}, rows(r)); diff != "" || !strings.Contains(r.Findings[0].Message, "config-too-large") {
		t.Errorf("%+v (-want +got)\n%s", r.Findings, diff)
	}
	if held[large] > agent.MaxBytes+1 || held[key] != agent.MaxBytes {
		t.Errorf("%d bytes are held of a config that is too large, %d of the largest", held[large], held[key])
	}
}

func TestWhatRolesOfOthersMayDoIsNotHeld(t *testing.T) {
	elsewhere, copied := naming.RuntimeRole("eu-west-1", "my_agent"), model.ObservedRole{Name: "copy", Policies: map[string]string{"mine": handMade}}
	w := kept(t)
	var all map[string]model.ObservedRole
	p := w.pass()
	p.Account = altered{p.Account, func(roles map[string]model.ObservedRole) {
		roles["copy"] = copied
		roles[elsewhere] = model.ObservedRole{Name: elsewhere, Policies: map[string]string{"mine": handMade}}
		all = roles
	}}
	if r, err := p.Run(t.Context(), "id"); err != nil || len(r.Findings)+len(r.Orphans) > 0 {
		t.Errorf("%v %q", err, rows(r))
	}
	for name, o := range all {
		if ours := strings.HasPrefix(name, naming.RuntimeRolePrefix) || strings.HasPrefix(name, naming.BuildRolePrefix); (len(o.Policies) > 0) != ours {
			t.Errorf("%s has %d policies", name, len(o.Policies))
		}
	}
	if len(all) != 7 {
		t.Errorf("%d roles", len(all))
	}
}

// seeing are projects of which is known what was read.
type seeing struct {
	drift.Projects
	seen map[string]model.ObservedProject
}

func (s seeing) Read(ctx context.Context, names []string) (map[string]model.ObservedProject, error) {
	all, err := s.Projects.Read(ctx, names)
	maps.Copy(s.seen, all)
	return all, err
}

// A variable that somebody gave a project may be a secret, and reports are kept.
func TestValuesOfVariablesThatAreNotOursAreNotShown(t *testing.T) {
	w := kept(t)
	const project = "bedrock-agentcore-my_agent-builder"
	c := w.cloud.CodeBuild("admin")
	out, err := c.BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{project}})
	w.must(nil, err)
	env := out.Projects[0].Environment
	for i, v := range env.EnvironmentVariables {
		if *v.Name == "REGISTRY" {
			env.EnvironmentVariables[i].Value = aws.String("changed-by-hand")
		}
	}
	env.EnvironmentVariables = append(env.EnvironmentVariables, types.EnvironmentVariable{Name: aws.String("TOKEN"), Value: aws.String("hunter2")})
	w.must(c.UpdateProject(t.Context(), &codebuild.UpdateProjectInput{Name: aws.String(project), Environment: env, Tags: out.Projects[0].Tags}))
	p, seen := w.pass(), map[string]model.ObservedProject{}
	p.Projects = seeing{p.Projects, seen}
	r, err := p.Run(t.Context(), "id")
	if diff := cmp.Diff([]string{"edited repaired " + project + " project/settings"}, rows(r)); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	if is := seen[project].Environment["TOKEN"]; is != "hunter2" {
		t.Errorf("the project that is compared has %q", is)
	}
	d := r.Findings[0]
	for text, want := range map[string]bool{"TOKEN": true, "(not shown)": true, "changed-by-hand": true, "hunter2": false} {
		if strings.Contains(d.Observed, text) != want {
			t.Errorf("%q is there: %v\n%s", text, !want, d.Observed)
		}
	}
	if strings.Contains(d.Desired, "(not shown)") {
		t.Error(d.Desired)
	}
	for key, body := range w.cloud.Objects(bucket, "") {
		if bytes.Contains(body, []byte("hunter2")) {
			t.Errorf("%s tells it", key)
		}
	}
}

// What a new config waits for is nobody's doing; what an applied one lost is.
func TestAServiceLinkedRoleIsMissingWhereItWas(t *testing.T) {
	const role = "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity "
	w := newWorld(t)
	w.settings.EnsureServiceLinkedRoles = true
	w.put(key, agentsNamed("my_agent"))
	pending := "pending repaired " + role
	if r := w.run("new"); !slices.Contains(rows(r), pending) || r.Totals.Drifted != 0 || r.Totals.Enqueued != 1 {
		t.Errorf("%+v %q", r.Totals, rows(r))
	}
	w.settle()
	if r := w.run("made"); len(r.Findings) > 0 {
		t.Errorf("%q", rows(r))
	}
	w.cloud.Advance(time.Minute)
	p := w.pass()
	p.Account = altered{p.Account, func(roles map[string]model.ObservedRole) { delete(roles, strings.TrimSpace(role)) }}
	r, err := p.Run(t.Context(), "lost")
	if diff := cmp.Diff([]string{"service-linked-role-missing repaired " + role}, rows(r)); err != nil || diff != "" || r.Totals.Drifted != 1 {
		t.Errorf("%v %+v (-want +got)\n%s", err, r.Totals, diff)
	}
}
