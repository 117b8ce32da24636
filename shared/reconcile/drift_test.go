package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

const theirPolicy = "arn:aws:iam::aws:policy/ReadOnlyAccess"

// byHand are the ways in which somebody makes a role of ours, or what an image is
// made with, other than Rolekeeper left it, by the element that is told of it.
var byHand = map[string]func(w *world, role string){
	"runtime/boundary missing": func(w *world, role string) {
		w.must(w.admin().DeleteRolePermissionsBoundary(context.Background(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: &role}))
	},
	"runtime/tags edited": func(w *world, role string) {
		w.must(w.admin().UntagRole(context.Background(), &iam.UntagRoleInput{RoleName: &role, TagKeys: []string{model.TagConfig}}))
	},
	"runtime/trust edited": func(w *world, role string) {
		w.admin().trust(role, strings.ReplaceAll(agentCoreTrust, "bedrock-agentcore", "lambda"))
	},
	"runtime/policy/" + naming.RuntimePolicy("my_agent") + " edited": func(w *world, role string) {
		w.admin().putPolicy(role, naming.RuntimePolicy("my_agent"), ordersPolicy)
	},
	"runtime/policy/" + naming.RuntimePolicy("my_agent") + " missing": func(w *world, role string) {
		w.admin().deletePolicy(role, naming.RuntimePolicy("my_agent"))
	},
	"runtime/settings edited": func(w *world, role string) {
		w.must(w.admin().UpdateRole(context.Background(), &iam.UpdateRoleInput{RoleName: &role, Description: aws.String("mine"), MaxSessionDuration: aws.Int32(7200)}))
	},
	"runtime/policy/orders extra": func(w *world, role string) { w.admin().putPolicy(role, "orders", ordersPolicy) },
	"runtime/attached/" + theirPolicy + " extra": func(w *world, role string) {
		w.cloud.AddPolicy(theirPolicy, ordersPolicy)
		w.must(w.admin().AttachRolePolicy(context.Background(), &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: aws.String(theirPolicy)}))
	},
	"runtime role-missing": func(w *world, role string) { w.admin().deleteRole(role) },
	"project/settings edited": func(w *world, _ string) {
		name, admin := naming.Project("my_agent"), w.cloud.CodeBuild("admin")
		is := must(admin.BatchGetProjects(context.Background(), &codebuild.BatchGetProjectsInput{Names: []string{name}})).Projects[0]
		w.must(admin.UpdateProject(context.Background(), &codebuild.UpdateProjectInput{
			Name: &name, Tags: is.Tags, Source: &types.ProjectSource{Type: types.SourceTypeS3, Location: is.Source.Location, Buildspec: ptr("version: 0.2")},
		}))
	},
	"project missing":    func(w *world, _ string) { w.unproject(naming.Project("my_agent")) },
	"repository missing": func(w *world, _ string) { w.dropRepository(naming.Repository("my_agent")) },
}

// deleteRole deletes a role with its inline policies.
func (a *administrator) deleteRole(role string) {
	a.t.Helper()
	all, err := a.ListRolePolicies(context.Background(), &iam.ListRolePoliciesInput{RoleName: &role})
	a.must(all, err)
	for _, name := range all.PolicyNames {
		a.deletePolicy(role, name)
	}
	a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &role}))
}

// driftOf gives the drift that a status tells of.
func driftOf(s status.Status) []string {
	var all []string
	for _, a := range s.Agents {
		for _, d := range a.Drift {
			all = append(all, d.Element+" "+d.Kind)
		}
	}
	return all
}

func TestWhatIsChangedByHandIsRepairedOrOnlyTold(t *testing.T) {
	for told, edit := range byHand {
		for _, mode := range []plan.DriftMode{plan.RepairDrift, plan.ReportDrift} {
			t.Run(string(mode)+" "+told, func(t *testing.T) {
				w := newWorld(t)
				w.settings.Drift, w.settings.Unmanaged = mode, plan.RemoveUnmanaged
				w.upload(key, container)
				w.settle()
				before := w.roles()
				edit(w, runtimeRole("my_agent"))
				edited := w.roles()
				w.again(key)
				found, repaired := w.sent("Role Drift Detected"), w.sent("Role Drift Repaired")
				s := w.status(key)
				kind := told[strings.LastIndexByte(told, ' ')+1:]
				if mode == plan.RepairDrift {
					told := strings.Replace(told, " extra", " removed", 1)
					if diff := cmp.Diff(before, w.roles()); diff != "" && kind != "role-missing" {
						t.Errorf("(-before +after)\n%s", diff)
					}
					if len(driftOf(s)) > 0 || len(found) > 0 || len(repaired) != 1 || !strings.Contains(fmt.Sprint(repaired), "element:"+strings.Fields(told)[0]) || !strings.Contains(fmt.Sprint(repaired), "kind:"+strings.Fields(told)[1]) {
						t.Errorf("drift %v, told %v %v", driftOf(s), found, repaired)
					}
					wantOutcome(t, w, key, status.Ready)
				} else {
					if diff := cmp.Diff(edited, w.roles()); diff != "" {
						t.Errorf("(-edited +after)\n%s", diff)
					}
					if !slices.Equal(driftOf(s), []string{told}) || len(found) != 1 || len(repaired) > 0 {
						t.Errorf("drift %v, told %v %v", driftOf(s), found, repaired)
					}
					want := status.Ready
					if strings.HasSuffix(kind, "missing") && !strings.Contains(told, "/") {
						want = status.Blocked
					}
					wantOutcome(t, w, key, want)
				}
				w.cloud.ForgetCalls()
				w.again(key)
				if writes := w.writes(""); len(writes) > 0 {
					t.Errorf("a further look writes %v", writes)
				}
				w.settings.Drift = plan.RepairDrift
				w.again(key)
				wantOutcome(t, w, key, status.Ready)
				if drift := driftOf(w.status(key)); len(drift) > 0 {
					t.Errorf("left where drift is repaired: %v", drift)
				}
			})
		}
	}
}

// roles gives all roles as they are, without what is another when a role is made
// anew.
func (w *world) roles() map[string]model.ObservedRole {
	w.t.Helper()
	all := map[string]model.ObservedRole{}
	for _, name := range w.cloud.RoleNames() {
		all[name] = w.role(name)
	}
	return all
}

func TestWhatIsGoneIsNeitherDeployedNorBuiltWithWhereDriftIsOnlyTold(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.settings.Drift = plan.ReportDrift
	for _, role := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
		w.admin().deleteRole(role)
	}
	w.source("my_agent", zip)
	w.settle()
	s := w.status(key)
	if a := s.Agents[0]; s.Outcome != status.Blocked || a.RuntimeRoleARN != "" || a.BuildRoleARN != "" || len(w.cloud.Builds()) > 0 ||
		!slices.Equal(codes(s), []string{"role-missing", "role-missing"}) || !strings.Contains(strings.Join(s.Next, "\n"), "DriftMode") || strings.Contains(strings.Join(s.Next, "\n"), "deploy my_agent with") {
		t.Errorf("%s %v: %+v, %d builds\nnext %v", s.Outcome, codes(s), a, len(w.cloud.Builds()), s.Next)
	}
	found := fmt.Sprint(w.sent("Role Drift Detected"))
	for _, role := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
		if !strings.Contains(found, role) {
			t.Errorf("%s is not told of: %s", role, found)
		}
	}
	w.settings.Drift = plan.RepairDrift
	w.again(key)
	w.settle()
	wantImage(t, w)
	if w.claim(naming.RoleClaimKey("my_agent")).RuntimeRoleID != w.role(runtimeRole("my_agent")).ID {
		t.Error("the role is not recorded")
	}
}

func TestAReplacedRoleIsNeverWrittenWhateverTheSettingsSay(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	w.settings.Drift, w.settings.Unmanaged, w.settings.Existing = plan.ReportDrift, plan.RemoveUnmanaged, plan.AdoptExisting
	name := runtimeRole("my_agent")
	a := w.admin()
	w.again(key)
	a.deleteRole(name)
	w.again(key)
	a.createRole(name, agentCoreTrust)
	a.putPolicy(name, "orders", ordersPolicy)
	for _, mode := range []plan.DriftMode{plan.ReportDrift, plan.RepairDrift} {
		w.settings.Drift = mode
		before := w.role(name)
		w.again(key)
		if s := w.status(key); s.Outcome != status.Blocked || !slices.Equal(codes(s), []string{"role-replaced"}) || len(driftOf(s)) > 0 {
			t.Errorf("%s: %s %v %v", mode, s.Outcome, codes(s), driftOf(s))
		}
		if diff := cmp.Diff(before, w.role(name)); diff != "" {
			t.Errorf("%s: the role was written:\n%s", mode, diff)
		}
	}
	if sent := w.sent("Role Drift Repaired"); len(sent) > 0 {
		t.Errorf("what somebody else made is told as a repair: %v", sent)
	}
}

func TestAChangeIsMadeWhereDriftIsOnlyTold(t *testing.T) {
	w := newWorld(t)
	w.settings.Drift = plan.ReportDrift
	w.upload(key, container)
	w.settle()
	name := runtimeRole("my_agent")
	byHand["runtime/trust edited"](w, name)
	edited := w.role(name)
	w.upload(key, strings.Replace(container, "aws:\n", "permissions:\n      browser: true\n    aws:\n", 1))
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	now := w.role(name)
	if now.Trust != edited.Trust || now.Policies[naming.RuntimePolicy("my_agent")] == edited.Policies[naming.RuntimePolicy("my_agent")] {
		t.Errorf("the role is %+v, was %+v", now, edited)
	}
	w.settings.Env.Profile, w.hash = "toolkit", "settings-2"
	w.again(key)
	if toolkit := w.role(name); toolkit.Policies[naming.RuntimePolicy("my_agent")] == now.Policies[naming.RuntimePolicy("my_agent")] {
		t.Error("other settings change nothing")
	}
	if drift := driftOf(w.status(key)); !slices.Equal(drift, []string{"runtime/trust edited"}) {
		t.Errorf("drift %v", drift)
	}
}

func TestWithoutItsBoundaryARoleIsNotChangedWhereDriftIsOnlyTold(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.settings.Drift = plan.ReportDrift
	name := runtimeRole("my_agent")
	byHand["runtime/boundary missing"](w, name)
	version := w.upload(key, strings.Replace(container, "aws:\n", "permissions:\n      browser: true\n    aws:\n", 1))
	w.settle()
	s := w.status(key)
	if s.Outcome != status.Blocked || !slices.Equal(codes(s), []string{"role-boundary-differs"}) || s.Agents[0].RuntimeRoleARN == "" || s.Config.AppliedVersionID == version {
		t.Errorf("%s %v, applied %s: %+v", s.Outcome, codes(s), s.Config.AppliedVersionID, s.Agents[0])
	}
	w.must(w.admin().PutRolePermissionsBoundary(context.Background(), &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: aws.String(boundary)}))
	w.again(key)
	wantOutcome(t, w, key, status.Ready)
	if !strings.Contains(w.role(name).Policies[naming.RuntimePolicy("my_agent")], "Browser") {
		t.Error("the change was not made")
	}
}

func TestPoliciesOfOthersAreArchivedEveryTimeTheyAreRemoved(t *testing.T) {
	w := newWorld(t)
	w.settings.Unmanaged = plan.RemoveUnmanaged
	w.upload(key, container)
	w.settle()
	name := runtimeRole("my_agent")
	for _, document := range []string{ordersPolicy, goodPolicy, ordersPolicy} {
		w.elapse(20 * 24 * time.Hour)
		w.admin().putPolicy(name, "orders", document)
		w.again(key)
		if _, there := w.role(name).Policies["orders"]; there {
			t.Fatal("the policy is still there")
		}
	}
	kept := map[string]bool{}
	for _, a := range w.archivesOf(name)[model.ArchivePoliciesRemoved] {
		kept[a.Role.Policies["orders"]] = true
	}
	if len(kept) != 2 {
		t.Errorf("%d documents are archived, want both", len(kept))
	}
	if n := len(w.sent("Role Drift Repaired")); n != 3 {
		t.Errorf("%d removals are told, want 3", n)
	}
}

func TestManyPoliciesOfOthersAreToldAndRemoved(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	name := runtimeRole("my_agent")
	ours := w.role(name)
	const many = 80 // there is room for few more
	for i := range many {
		w.admin().putPolicy(name, fmt.Sprintf("mine-%03d", i), `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`)
	}
	w.again(key)
	if n := len(driftOf(w.status(key))); n != many {
		t.Errorf("%d are told, want %d", n, many)
	}
	w.settings.Unmanaged = plan.RemoveUnmanaged
	w.again(key)
	if diff := cmp.Diff(ours, w.role(name)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if n := len(driftOf(w.status(key))); n != 0 {
		t.Errorf("%d are told still", n)
	}
}

func TestARepositoryThatWentWhileItsAgentWasRetiredIsMadeAnewInAnyMode(t *testing.T) {
	w := gone(t)
	w.pass(0)
	w.pass(time.Hour)
	w.wantPhase(key, "my_agent", status.PhaseRetired)
	w.dropRepository(naming.Repository("my_agent"))
	w.settings.Drift = plan.ReportDrift
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if found := w.sent("Role Drift Detected"); len(found) > 0 {
		t.Errorf("told: %v", found)
	}
}

// What was restored was applied last: what the config asks for is a change, made
// in any mode.
func TestARestoredRoleIsAsItsConfigAsksAfterANewUploadInAnyMode(t *testing.T) {
	w := gone(t)
	w.admin().putPolicy(runtimeRole("my_agent"), "orders", ordersPolicy)
	w.pass(0)
	w.pass(time.Hour)
	archived := w.archivesOf(runtimeRole("my_agent"))[model.ArchiveRetired][0]
	w.operators, w.settings.Drift = true, plan.ReportDrift
	w.ask(model.Request{Action: model.Restore, Archive: w.status(key).Agents[0].ArchiveKeys[1], Plans: map[string]string{"my_agent": w.restoreHash(archived)}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	w.upload(key, strings.Replace(container, "aws:\n", "permissions:\n      browser: true\n    aws:\n", 1))
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	policies := w.role(runtimeRole("my_agent")).Policies
	if !strings.Contains(policies[naming.RuntimePolicy("my_agent")], "Browser") || !slices.Equal(driftOf(w.status(key)), []string{"runtime/policy/orders extra"}) {
		t.Errorf("drift %v, policy %s", driftOf(w.status(key)), policies[naming.RuntimePolicy("my_agent")])
	}
	if _, kept := policies["orders"]; !kept { // what others put there is still theirs
		t.Errorf("policies %v", policies)
	}
}

// What was applied to the agent's other role is known still, and an edit of it is
// drift.
func TestARestoreForgetsNothingOfTheOtherRoleInAnyMode(t *testing.T) {
	w := gone(t)
	w.pass(0)
	w.pass(time.Hour)
	archived := w.archivesOf(runtimeRole("my_agent"))[model.ArchiveRetired][0]
	from := w.status(key).Agents[0].ArchiveKeys[1]
	w.upload(key, container)
	w.settle()
	w.operators, w.settings.Drift = true, plan.ReportDrift
	observed := w.role(runtimeRole("my_agent"))
	w.ask(model.Request{Action: model.Restore, Archive: from, Plans: map[string]string{"my_agent": plan.RestoreHash(plan.Restoring{
		Archive: archived, Observed: &observed, Claim: w.claim(naming.RoleClaimKey("my_agent")), Boundary: boundary, Account: w.cloud.Account,
	}.Plan())}})
	w.settle()
	w.wantPhase(key, "my_agent", status.PhaseHeld)
	name := buildRole("my_agent")
	w.admin().trust(name, strings.ReplaceAll(agentCoreTrust, "bedrock-agentcore", "lambda"))
	edited := w.role(name)
	w.upload(key, container+"      protocol_configuration:\n        server_protocol: A2A\n")
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if drift := driftOf(w.status(key)); !slices.Equal(drift, []string{"build/trust edited"}) || w.role(name).Trust != edited.Trust {
		t.Errorf("drift %v, trust %s", drift, w.role(name).Trust)
	}
}

// called sends the event of a call of IAM that somebody made about a role.
func (w *world) called(role, call, actor string, at time.Time) {
	w.cloud.Put(w.inbox, fmt.Sprintf(`{"version":"0","id":"%06d","detail-type":"AWS API Call via CloudTrail","source":"aws.iam","account":%q,"region":"us-east-1","time":%[4]q,`+
		`"detail":{"eventSource":"iam.amazonaws.com","eventName":%[3]q,"eventTime":%[4]q,"awsRegion":"us-east-1","recipientAccountId":%[2]q,"userIdentity":{"arn":%[5]q},"requestParameters":{"roleName":%[6]q}}}`,
		w.nonces.Add(1), w.cloud.Account, call, at.UTC().Format(time.RFC3339), actor, role))
	w.settle()
}

const (
	ana = "arn:aws:sts::123456789012:assumed-role/Developer/ana"
	ben = "arn:aws:iam::123456789012:user/ben"
)

func TestWhoDidItIsTold(t *testing.T) {
	calls := map[string]string{
		"runtime/boundary missing": "DeleteRolePermissionsBoundary", "runtime/tags edited": "UntagRole", "runtime/trust edited": "UpdateAssumeRolePolicy",
		"runtime/policy/" + naming.RuntimePolicy("my_agent") + " edited":  "PutRolePolicy",
		"runtime/policy/" + naming.RuntimePolicy("my_agent") + " missing": "DeleteRolePolicy",
		"runtime/settings edited": "UpdateRole", "runtime/policy/orders extra": "PutRolePolicy", "runtime/attached/" + theirPolicy + " extra": "AttachRolePolicy",
		"runtime role-missing": "DeleteRole",
	}
	for told, call := range calls {
		for _, mode := range []plan.DriftMode{plan.RepairDrift, plan.ReportDrift} {
			t.Run(string(mode)+" "+told, func(t *testing.T) {
				w := newWorld(t)
				w.settings.Drift = mode
				w.upload(key, container)
				w.settle()
				w.elapse(time.Hour)
				at := w.cloud.Now()
				byHand[told](w, runtimeRole("my_agent"))
				w.elapse(30 * time.Second)
				w.called(runtimeRole("my_agent"), call, ana, at)
				sent := append(w.sent("Role Drift Detected"), w.sent("Role Drift Repaired")...)
				if len(sent) != 1 || !strings.Contains(fmt.Sprint(sent), "actor:"+ana) {
					t.Errorf("told: %v", sent)
				}
				for _, d := range w.status(key).Agents[0].Drift {
					if d.Actor != ana || !d.At.Equal(at.Truncate(time.Second)) {
						t.Errorf("drift %+v, want it to be of %s", d, at)
					}
				}
			})
		}
	}
}

func TestADriftIsNobodysWhoDidNotCauseIt(t *testing.T) {
	name := runtimeRole("my_agent")
	for what, c := range map[string]struct {
		events func(w *world, at time.Time)
		want   string
		late   bool // it is not of when the role was edited
	}{
		"a call about another element": {func(w *world, at time.Time) { w.called(name, "TagRole", ben, at) }, "", false},
		"a call about the other role":  {func(w *world, at time.Time) { w.called(buildRole("my_agent"), "UpdateAssumeRolePolicy", ben, at) }, "", false},
		"a call that came later": {func(w *world, _ time.Time) {
			w.again(key)
			w.elapse(time.Minute)
			w.called(name, "UpdateAssumeRolePolicy", ben, w.cloud.Now())
		}, "", false},
		"a call that is told later": {func(w *world, at time.Time) {
			w.again(key)
			w.elapse(time.Minute)
			w.called(name, "UpdateAssumeRolePolicy", ben, at)
		}, ben, false},
		"a call of the future": {func(w *world, at time.Time) { w.called(name, "UpdateAssumeRolePolicy", ben, at.Add(24*time.Hour)) }, ben, true},
		"the first of two that are told": {func(w *world, at time.Time) {
			w.called(name, "UpdateAssumeRolePolicy", ana, at)
			w.called(name, "UpdateAssumeRolePolicy", ben, at)
		}, ana, false},
		"a call that nobody is known to have made": {func(w *world, at time.Time) { w.called(name, "UpdateAssumeRolePolicy", "", at) }, "", false},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.settings.Drift = plan.ReportDrift
			w.upload(key, container)
			w.settle()
			w.elapse(time.Hour)
			at := w.cloud.Now()
			byHand["runtime/trust edited"](w, name)
			w.elapse(time.Minute)
			c.events(w, at)
			d := w.status(key).Agents[0].Drift
			if len(d) != 1 || d[0].Actor != c.want || d[0].At.After(w.cloud.Now()) {
				t.Fatalf("drift %+v, want it to be of %q", d, c.want)
			}
			if late := d[0].At.Sub(at) >= 50*time.Second; late != (c.want == "" || c.late) {
				t.Errorf("at %s, edited at %s", d[0].At, at)
			}
			if n := len(w.sent("Role Drift Detected")); n != 1 {
				t.Errorf("told %d times", n)
			}
		})
	}
}

func TestRepairsAreCounted(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	r := w.reconciler()
	for _, want := range []int{2, 0} {
		if want > 0 {
			byHand["runtime/trust edited"](w, runtimeRole("my_agent"))
			byHand["project/settings edited"](w, "")
			byHand["runtime/policy/orders extra"](w, runtimeRole("my_agent"))
		}
		result, err := r.Reconcile(context.Background(), key)
		if err != nil || result.Repaired != want {
			t.Errorf("%d repaired, %v; want %d", result.Repaired, err, want)
		}
	}
}

// Of a role that others' tags leave no room on, all but the tags is written, and
// known to be: what is edited after that is drift and not a change.
func TestARoleThatIsFullHidesNoDriftOfItsOtherElements(t *testing.T) {
	for _, mode := range []plan.DriftMode{plan.RepairDrift, plan.ReportDrift} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			w.settings.Drift = mode
			w.upload(key, container)
			w.settle()
			role, policyName := runtimeRole("my_agent"), naming.RuntimePolicy("my_agent")
			w.must(w.admin().UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: &role, TagKeys: []string{model.TagConfig}}))
			for i := len(w.role(role).Tags); i < 50; i++ {
				w.must(w.admin().TagRole(t.Context(), &iam.TagRoleInput{RoleName: &role, Tags: []iamtypes.Tag{{Key: aws.String(fmt.Sprint("theirs-", i)), Value: aws.String("")}}}))
			}
			w.upload(key, strings.Replace(container, "aws:\n", "permissions:\n      browser: true\n    aws:\n", 1))
			w.settle()
			wantOutcome(t, w, key, status.Blocked)
			changed := w.role(role).Policies[policyName]
			w.admin().putPolicy(role, policyName, ordersPolicy)
			w.again(key)
			left := w.role(role).Policies[policyName]
			drift := slices.Contains(driftOf(w.status(key)), "runtime/policy/"+policyName+" edited")
			if mode == plan.ReportDrift && (left == changed || !drift) {
				t.Errorf("the policy is %s, and told is %v", left, driftOf(w.status(key)))
			}
			if mode == plan.RepairDrift && (left != changed || len(w.sent("Role Drift Repaired")) != 1) {
				t.Errorf("the policy is %s, and told is %v", left, w.sent("Role Drift Repaired"))
			}
		})
	}
}

// Settings can go to and fro over one version of a config.
func TestWhatSettingsTakeAwayIsArchivedEachTime(t *testing.T) {
	for _, mode := range []plan.DriftMode{plan.RepairDrift, plan.ReportDrift} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t)
			w.settings.Drift = mode
			turn := func(p desired.Profile) {
				w.settings.Env.Profile, w.hash = p, string(p)
				w.elapse(time.Minute)
				w.again(key)
			}
			w.settings.Env.Profile, w.hash = desired.Toolkit, string(desired.Toolkit)
			w.upload(key, container+"    aws_jwt:\n      enabled: true\n      audiences: [https://a.example.com]\n")
			w.settle()
			turn(desired.Scoped)
			turn(desired.Toolkit)
			role := runtimeRole("my_agent")
			w.admin().putPolicy(role, naming.JWTPolicy, goodPolicy)
			turn(desired.Scoped)
			if _, there := w.role(role).Policies[naming.JWTPolicy]; there {
				t.Fatal("the policy is still there")
			}
			kept := false
			for _, all := range w.archivesOf(role) {
				for _, a := range all {
					kept = kept || policy.Same(a.Role.Policies[naming.JWTPolicy], goodPolicy)
				}
			}
			if !kept {
				t.Error("what somebody wrote into the policy is gone, and no archive has it")
			}
		})
	}
}
