package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// story is a path whose every call is interfered with in turn.
type story struct {
	before func(*world) // comes to rest undisturbed
	action func(*world) // what is interfered with
	rest   func(*world) // what comes afterwards, undisturbed; nil for nothing

	besides []string // detail-types of events that may come of interference
	after   func(*testing.T, *world)
}

const other = "configs/other.yaml"

// reports is where the scheduled pass tells what it saw.
const reports = "reports/"

var stories = map[string]story{
	"a container agent is created": {
		action: func(w *world) { w.upload(key, container) },
		after:  func(t *testing.T, w *world) { wantOutcome(t, w, key, status.Ready) },
	},
	"a config changes the policies of both roles": {
		before: func(w *world) {
			w.repository("team/app")
			w.upload(key, container)
		},
		action: func(w *world) {
			w.upload(key, container+"      ecr_repository: team/app\n      protocol_configuration:\n        server_protocol: A2A\n")
		},
		after: func(t *testing.T, w *world) { wantOutcome(t, w, key, status.Ready) },
	},
	"policies are removed": {
		before: func(w *world) {
			w.settings.Env.Profile = "toolkit"
			w.upload(key, container+"    identity:\n      credential_providers:\n      - name: crm\n    aws_jwt:\n      enabled: true\n      audiences: [https://a.example.com]\n")
		},
		action: func(w *world) { w.upload(key, container) },
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Ready)
			if n := len(w.cloud.Objects(bucket, naming.ArchivePrefix)); n != 1 {
				t.Errorf("%d archives, want one whole one", n)
			}
			for _, body := range w.cloud.Objects(bucket, naming.ArchivePrefix) {
				var a model.Archive
				if err := json.Unmarshal(body, &a); err != nil || len(a.Role.Policies) != 3 {
					t.Errorf("archive has policies %v (%v), want all three", a.Role.Policies, err)
				}
			}
		},
	},
	"an agent is renamed and one added": {
		before: func(w *world) { w.upload(key, agentsNamed("first")) },
		action: func(w *world) { w.upload(key, agentsNamed("renamed", "added")) },
		after:  func(t *testing.T, w *world) { wantOutcome(t, w, key, status.Retiring) },
	},
	"a refused config frees a name that another waits for": {
		before: func(w *world) {
			name := runtimeRole("my_agent")
			a := w.admin()
			trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
			a.createRole(name, trust)
			w.upload(key, direct) // blocked by that role, so it holds a name without a role
			w.settle()
			w.upload(other, direct)
			w.settle()
			a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &name}))
		},
		action: func(w *world) { w.upload(key, "agents: {}\n") },
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Rejected)
			wantOutcome(t, w, other, status.Ready)
		},
	},
	"roles that the toolkit made are adopted": {
		before: func(w *world) {
			w.settings.Existing = plan.AdoptExisting
			w.byToolkit("my_agent")
			w.admin().putPolicy(runtimeRole("my_agent"), naming.JWTPolicy, ordersPolicy)
		},
		action: func(w *world) { w.upload(key, container) },
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Ready)
			archived := w.archives()
			if len(archived) != 2 {
				t.Errorf("%d archives, want one of each role", len(archived))
			}
			for _, a := range archived {
				if a.Reason != "adopted" || a.Role.PermissionsBoundary != "" || len(a.Role.Policies) == 0 {
					t.Errorf("archived %+v", a)
				}
			}
		},
	},
	"one role is adopted while the other is made": {
		before: func(w *world) {
			w.settings.Existing = plan.AdoptExisting
			w.byToolkit("my_agent")
			a, name := w.admin(), buildRole("my_agent")
			a.deletePolicy(name, naming.BuildPolicy)
			a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &name}))
		},
		action: func(w *world) { w.upload(key, container) },
		after:  func(t *testing.T, w *world) { wantOutcome(t, w, key, status.Ready) },
	},
	"an operator approves the adoption of two agents": {
		before: func(w *world) {
			w.operators = true
			for _, name := range []string{"first", "second"} {
				w.admin().createRole(runtimeRole(name), runtimeTrust)
				w.admin().putPolicy(runtimeRole(name), naming.RuntimePolicy(name), ordersPolicy)
			}
			w.upload(key, strings.ReplaceAll(agentsNamed("first", "second"), "aws: {}", "deployment_type: direct_code_deploy\n    aws: {}"))
		},
		action: func(w *world) { w.adopt("1", "first", "second") },
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Ready)
			if got := w.status(key).Requests; len(got) != 1 || got[0].Outcome != status.RequestDone {
				t.Errorf("requests %+v", got)
			}
		},
	},
	"a container agent is created and its source is built": {
		action: func(w *world) {
			w.upload(key, container)
			w.source("my_agent", zip)
		},
		after: wantImage,
	},
	"a source is built": {
		before: func(w *world) { w.upload(key, container) },
		action: func(w *world) { w.source("my_agent", zip) },
		after:  wantImage,
	},
	"an operator has a failed build made again": {
		before: func(w *world) {
			w.operators = true
			w.cloud.RunBuilds(func(types.Build) awsfake.Outcome {
				return awsfake.Outcome{After: time.Minute, State: types.StatusTypeFailed}
			})
			w.upload(key, container)
			w.source("my_agent", zip)
			w.settle()
			w.cloud.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: time.Minute} })
		},
		action: func(w *world) { w.rebuild("my_agent") },
		after: func(t *testing.T, w *world) {
			wantImage(t, w)
			if got := w.status(key).Requests; len(got) != 1 || got[0].Outcome != status.RequestDone {
				t.Errorf("requests %+v", got)
			}
		},
	},
	"an agent goes": {
		before: func(w *world) {
			w.upload(key, container)
			w.source("my_agent", zip)
			w.settle()
			w.remove(key)
			w.elapse(25 * time.Hour)
		},
		action: func(w *world) {
			if err := w.sweep(); err != nil {
				w.t.Fatal(err)
			}
		},
		rest:    func(w *world) { w.pass(time.Hour); w.pass(time.Hour) },
		besides: []string{(event.DeletionBlocked{}).DetailType()}, // what cannot be read is in use
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Retired)
			if w.hasRole(runtimeRole("my_agent")) || w.hasRole(buildRole("my_agent")) || len(w.cloud.Projects()) > 0 {
				t.Errorf("left: %v, %v", w.cloud.RoleNames(), w.cloud.Projects())
			}
		},
	},
	"a runtime that was deleted is made again while its roles are quarantined": {
		before: func(w *world) {
			w.upload(key, container)
			w.settle()
			id := w.deploy("my_agent", runtimeRole("my_agent"))
			w.elapse(time.Hour)
			w.undeploy(id)
			w.elapse(25 * time.Hour)
		},
		action: func(w *world) {
			if err := w.sweep(); err != nil {
				w.t.Fatal(err)
			}
			w.elapse(10 * time.Second)
			w.wantPhase(key, "my_agent", status.PhaseQuarantined)
			w.cloud.AssumeAgentCoreRoles(func(string, string) bool { return true })
			w.deploy("my_agent", runtimeRole("my_agent"))
			w.cloud.AssumeAgentCoreRoles(nil)
		},
		rest:    func(w *world) { w.pass(time.Hour); w.pass(time.Hour) },
		besides: []string{(event.DeletionBlocked{}).DetailType()},
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Ready)
			w.wantPhase(key, "my_agent", status.PhaseActive)
		},
	},
	"an operator has roles retired that no config asks for": {
		before: func(w *world) {
			w.operators = true
			w.byToolkit("my_agent")
		},
		action: func(w *world) { w.retire("my_agent") },
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Retiring)
			w = w.clone()
			w.elapse(25 * time.Hour)
			w.pass(0)
			w.pass(time.Hour)
			wantOutcome(t, w, key, status.Retired)
			if w.hasRole(runtimeRole("my_agent")) || w.hasRole(buildRole("my_agent")) {
				t.Errorf("left: %v", w.cloud.RoleNames())
			}
			if got := w.status(key).Requests; len(got) != 1 || got[0].Outcome != status.RequestDone {
				t.Errorf("requests %+v", got)
			}
		},
	},
	"policies that somebody added are removed": {
		before: func(w *world) {
			w.settings.Unmanaged = plan.RemoveUnmanaged
			w.upload(key, direct)
			w.settle()
			for _, name := range []string{"orders", "more-orders"} {
				w.admin().putPolicy(runtimeRole("my_agent"), name, ordersPolicy)
			}
		},
		action: func(w *world) { w.cloud.Put(w.inbox, wakeBody(w.t, key)) },
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, key, status.Ready)
			kept := map[string]bool{}
			for _, a := range w.archives() {
				for name := range a.Role.Policies {
					kept[name] = true
				}
			}
			if !kept["orders"] || !kept["more-orders"] || len(w.role(runtimeRole("my_agent")).Policies) != 1 {
				t.Errorf("kept %v of %v", kept, w.role(runtimeRole("my_agent")).Policies)
			}
			if len(w.sent("Role Drift Repaired")) == 0 {
				t.Error("the removal is not told")
			}
		},
	},
	"an agent moves to another config": {
		before: func(w *world) {
			w.upload(key, container)
			w.settle()
			w.upload(other, container)
		},
		action: func(w *world) { w.remove(key) },
		// Who dies when it has just taken the claim over does not know what was applied.
		// Whether the other or the owner comes first, then, is chance.
		besides: []string{(event.DriftRepaired{}).DetailType(), (event.AgentRetiring{}).DetailType()},
		after: func(t *testing.T, w *world) {
			wantOutcome(t, w, other, status.Ready)
			wantOutcome(t, w, key, status.Orphaned)
			if c := w.claim(naming.RoleClaimKey("my_agent")); c.Config != other || c.RuntimeRoleID != w.role(runtimeRole("my_agent")).ID {
				t.Errorf("claim %+v", c)
			}
		},
	},
	"a config is deleted": {
		before: func(w *world) { w.upload(key, container) },
		action: func(w *world) { w.remove(key) },
		after:  func(t *testing.T, w *world) { wantOutcome(t, w, key, status.Retiring) },
	},
}

func wantImage(t *testing.T, w *world) {
	t.Helper()
	wantOutcome(t, w, key, status.Ready)
	if b := w.build(key); b.State != model.BuildSucceeded || !strings.HasSuffix(b.Image, digest(b.ID)) {
		t.Errorf("build %+v", b)
	}
}

func wantOutcome(t *testing.T, w *world, key string, want status.Outcome) {
	t.Helper()
	if s := w.status(key); s.Outcome != want {
		t.Errorf("%s is %s, want %s: %s %v", key, s.Outcome, want, s.Summary, s.Problems)
	}
}

// begun gives a world in which the action of the story has begun.
func (s story) begun(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if s.before != nil {
		s.before(w)
		w.settle()
	}
	w.cloud.ForgetCalls()
	s.action(w)
	return w
}

// play runs a story on from where it has begun. The interference is armed for
// that alone; n counts the calls of the functions.
func (s story) play(t *testing.T, begun *world, arm func(w *world, n func() int)) (w *world, calls int) {
	t.Helper()
	w = begun.clone()
	if arm != nil {
		arm(w, func() int { return calls })
	}
	count := func(hook func(awsfake.Call) error) func(awsfake.Call) error {
		return func(c awsfake.Call) error {
			if c.Caller != "intake" && c.Caller != "reconcile" {
				return nil
			}
			calls++
			if hook != nil {
				return hook(c)
			}
			return nil
		}
	}
	after := w.cloud.After
	w.cloud.Before = count(w.cloud.Before)
	w.cloud.After = func(c awsfake.Call) error {
		if after == nil || c.Caller != "intake" && c.Caller != "reconcile" {
			return nil
		}
		return after(c)
	}
	w.settle()
	w.cloud.Before, w.cloud.After = nil, nil
	if s.rest != nil {
		s.rest(w)
	}
	return w, calls
}

// ways of interfering with the call of a number.
var ways = map[string]func(n int) func(w *world, count func() int){
	"killed before": func(n int) func(*world, func() int) {
		return func(w *world, count func() int) {
			w.cloud.Before = func(awsfake.Call) error {
				if count() == n {
					panic(killed{})
				}
				return nil
			}
		}
	},
	"killed after": func(n int) func(*world, func() int) {
		return func(w *world, count func() int) {
			w.cloud.After = func(awsfake.Call) error {
				if count() == n {
					panic(killed{})
				}
				return nil
			}
		}
	},
	"throttled": func(n int) func(*world, func() int) {
		return func(w *world, count func() int) {
			w.cloud.Before = func(awsfake.Call) error {
				if count() == n {
					return awsfake.APIError("Throttling", "Rate exceeded")
				}
				return nil
			}
		}
	},
	"failed by the service": func(n int) func(*world, func() int) {
		return func(w *world, count func() int) {
			w.cloud.Before = func(awsfake.Call) error {
				if count() == n {
					return awsfake.APIError("InternalFailure", "We are sorry")
				}
				return nil
			}
		}
	},
	"carried out, its answer lost": func(n int) func(*world, func() int) {
		return func(w *world, count func() int) {
			w.cloud.After = func(awsfake.Call) error {
				if count() == n {
					return timeout{}
				}
				return nil
			}
		}
	},
}

// timeout is the network's error for an answer that does not come.
type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestInterferenceAtEveryCallEndsAsIfThereHadBeenNone(t *testing.T) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := s.begun(t)
			undisturbed, calls := s.play(t, begun, nil)
			s.after(t, undisturbed)
			want := undisturbed.snapshot(s.besides...)
			if calls == 0 {
				t.Fatal("the story makes no calls")
			}
			for way, interfere := range ways {
				hit := 0
				for n := 1; n <= calls; n++ {
					at := fmt.Sprintf("call %d of %d %s", n, calls, way)
					w, made := s.play(t, begun, interfere(n))
					if made >= n {
						hit++
					}
					s.after(t, w)
					if diff := cmp.Diff(want, w.snapshot(s.besides...)); diff != "" {
						t.Fatalf("%s: the end differs (-undisturbed +this):\n%s", at, diff)
					}
					if dead := append(w.cloud.Messages(w.inboxDead), w.cloud.Messages(w.workDead)...); len(dead) > 0 {
						t.Fatalf("%s: dead letters %v", at, dead)
					}
					w.cloud.ForgetCalls()
					w.cloud.Put(w.inbox, wakeBody(t, key))
					w.settle()
					if writes := w.writes(""); len(writes) > 0 {
						t.Fatalf("%s: a further look still writes %v", at, writes)
					}
				}
				if hit != calls {
					t.Errorf("%d calls were %s, want all %d", hit, way, calls)
				}
			}
		})
	}
}

// snapshot is what counts of a world: roles, what images are made with, builds,
// claims, statuses and archives, without what is made at random or in the order of
// things, and besides events of the detail-types.
func (w *world) snapshot(besides ...string) map[string]any {
	snap := map[string]any{}
	ids := map[string]string{}
	for _, name := range w.cloud.RoleNames() {
		o := w.role(name)
		ids[o.ID] = "id of " + name
		o.ID, o.LastUsed = "", time.Time{} // a build uses its role when it runs
		delete(o.Tags, model.TagCreation)
		snap["role "+name] = o
	}
	for i, b := range w.cloud.Builds() {
		name := fmt.Sprintf("build %d", i)
		project, uuid, _ := strings.Cut(*b.Id, ":")
		ids[digest(*b.Id)], ids[uuid] = "digest of "+name, "id of "+name
		snap[name] = []any{project, b.BuildStatus, environment(b), b.SourceVersion}
	}
	snap["projects"], snap["repositories"], snap["log groups"] = w.cloud.Projects(), w.cloud.RepositoryNames(), w.cloud.LogGroups()
	// Events come at least once; how many there are counts by their ids.
	told := map[string]map[any]bool{}
	for _, e := range w.cloud.Events() {
		var d map[string]any
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			w.t.Fatal(err)
		}
		if slices.Contains(besides, e.DetailType) {
			continue
		}
		about := fmt.Sprint("event ", e.DetailType, d["config"], d["agent"])
		if told[about] == nil {
			told[about] = map[any]bool{}
		}
		told[about][d["id"]] = true
		snap[about] = len(told[about])
	}
	for key, body := range w.cloud.Objects(bucket, "") {
		if strings.HasPrefix(key, naming.ConfigPrefix) || key == naming.InventoryKey || strings.HasPrefix(key, reports) {
			continue
		}
		text := volatile.ReplaceAllString(string(body), "…")
		for id, name := range ids {
			text = strings.ReplaceAll(text, id, name)
		}
		if strings.HasPrefix(key, naming.ArchivePrefix) {
			key, text = archiveName.ReplaceAllString(key, "$1"), "archived"
		}
		snap[key] = text
	}
	return snap
}

var (
	volatile    = regexp.MustCompile(`v\d{6}|\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	archiveName = regexp.MustCompile(`(.*/).*`)
)

func TestAStrangersRoleIsToldFromAHalfMadeOneAtEveryCut(t *testing.T) {
	s := stories["a container agent is created"]
	begun := s.begun(t)
	_, calls := s.play(t, begun, nil)
	squatted := 0
	for _, way := range []string{"killed before", "killed after"} {
		for n := 1; n <= calls; n++ {
			strangers := map[string]model.ObservedRole{}
			w, _ := s.play(t, begun, func(w *world, count func() int) {
				ways[way](n)(w, count)
				squat := func(hook func(awsfake.Call) error) func(awsfake.Call) error {
					if hook == nil {
						return nil
					}
					return func(c awsfake.Call) (err error) {
						defer func() {
							if p := recover(); p != nil {
								w.later = func() { strangers = w.squat() }
								panic(p)
							}
						}()
						return hook(c)
					}
				}
				w.cloud.Before, w.cloud.After = squat(w.cloud.Before), squat(w.cloud.After)
			})
			at := fmt.Sprintf("call %d of %d %s", n, calls, way)
			squatted += len(strangers)
			for name, was := range strangers {
				if diff := cmp.Diff(was, w.role(name)); diff != "" {
					t.Fatalf("%s: the stranger's role was written:\n%s", at, diff)
				}
			}
			want := status.Ready
			if len(strangers) > 0 {
				want = status.Blocked
			}
			wantOutcome(t, w, key, want)
			for _, name := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
				if _, strange := strangers[name]; !strange && len(w.role(name).Policies) != 1 {
					t.Fatalf("%s: our role %s is %+v", at, name, w.role(name))
				}
			}
		}
	}
	if squatted == 0 {
		t.Error("no role was ever squatted")
	}
}

// squat makes the agent's roles that do not exist yet, as alike ours as
// somebody can who may read all of IAM: trust, boundary and tags, the nonce of
// the other role with them.
func (w *world) squat() map[string]model.ObservedRole {
	ctx, a := context.Background(), w.admin()
	made := map[string]model.ObservedRole{}
	names := w.cloud.RoleNames()
	pattern := newWorld(w.t)
	pattern.nonces.Store(1000) // nobody can guess another's nonces
	pattern.upload(key, container)
	pattern.settle()
	for _, name := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
		if slices.Contains(names, name) {
			continue
		}
		ours := pattern.role(name)
		in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &ours.Trust, PermissionsBoundary: aws.String(boundary), Description: &ours.Description}
		for _, sibling := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
			if slices.Contains(names, sibling) {
				ours.Tags[model.TagCreation] = w.role(sibling).Tags[model.TagCreation]
			}
		}
		for k, v := range ours.Tags {
			in.Tags = append(in.Tags, tag(k, v))
		}
		a.must(a.CreateRole(ctx, in))
		made[name] = w.role(name)
	}
	return made
}
