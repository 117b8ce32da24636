package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// preview looks at the config as the tool does.
func (w *world) preview(adopt ...string) reconcile.Preview {
	w.t.Helper()
	p, err := w.viewer().Preview(context.Background(), key, nil, adopt...)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// adopt has an operator ask for the adoption of what he is shown.
func (w *world) adopt(id string, agents ...string) {
	w.t.Helper()
	shown, plans := w.preview(), map[string]string{}
	for _, a := range agents {
		if plans[a] = shown.Adoptable[a]; plans[a] == "" {
			w.t.Fatalf("agent %s cannot be adopted: %+v", a, shown)
		}
	}
	action := model.Adopt
	if len(agents) > 1 {
		action = model.Approve
	}
	w.request(id, action, plans)
}

func (w *world) request(id string, action model.RequestAction, plans map[string]string) {
	w.t.Helper()
	w.write(naming.RequestKey(key, id), model.Request{
		V: 1, ID: id, Action: action, Config: key, Plans: plans, Expires: w.cloud.Now().Add(time.Hour), By: "operator",
	})
}

func (w *world) write(key string, r model.Request) {
	w.t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(key, string(body))
}

func (w *world) put(key, body string) {
	w.t.Helper()
	if _, err := w.cloud.S3("operator").PutObject(context.Background(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body), IfNoneMatch: aws.String("*"),
	}); err != nil {
		w.t.Fatal(err)
	}
}

// reported is a world with an agent whose roles the toolkit made.
func reported(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.operators = true
	w.byToolkit("my_agent")
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Blocked)
	return w
}

func TestAnOperatorHasRolesAdopted(t *testing.T) {
	w := reported(t)
	w.adopt("1", "my_agent")
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if got := w.status(key).Requests; len(got) != 1 || got[0].ID != "1" || got[0].Outcome != status.RequestDone {
		t.Errorf("requests %+v", got)
	}
	if p := w.preview(); len(p.Plan.Steps) > 0 || len(p.Adoptable) > 0 {
		t.Errorf("still to do: %+v", p)
	}
	w.cloud.ForgetCalls()
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if writes := w.writes(""); len(writes) > 0 {
		t.Errorf("a request that was answered is carried out again: %v", writes)
	}
}

func TestWhatTheOperatorIsShownIsWhatIsDone(t *testing.T) {
	w := reported(t)
	shown := w.preview("my_agent")
	w.cloud.ForgetCalls()
	w.adopt("1", "my_agent")
	w.settle()
	var want, got []string
	for _, s := range shown.Plan.Steps {
		if s.Reason == plan.Adopt {
			want = append(want, string(s.Op)+" "+s.Role)
		}
	}
	operations := map[string]plan.Op{
		"PutRolePermissionsBoundary": plan.PutBoundary, "TagRole": plan.TagRole, "UpdateAssumeRolePolicy": plan.UpdateTrust,
		"PutRolePolicy": plan.PutPolicy, "DeleteRolePolicy": plan.DeletePolicy, "UpdateRole": plan.UpdateSettings,
	}
	for _, c := range w.functionCalls() {
		if op, ok := operations[c.Operation]; ok {
			got = append(got, string(op)+" "+c.Resource)
		}
	}
	want = slices.DeleteFunc(want, func(s string) bool {
		op, _, _ := strings.Cut(s, " ")
		return !slices.Contains(slices.Collect(maps.Values(operations)), plan.Op(op))
	})
	if !slices.Equal(want, got) || len(want) < 4 {
		t.Errorf("shown %v\ndone  %v", want, got)
	}
}

func TestARequestIsCarriedOutOnlyAsItWasMeant(t *testing.T) {
	good := func(w *world) model.Request {
		return model.Request{
			V: 1, ID: "1", Action: model.Adopt, Config: key, Plans: w.preview().Adoptable,
			Expires: w.cloud.Now().Add(time.Hour), By: "operator",
		}
	}
	for name, c := range map[string]struct {
		ask  func(w *world, r model.Request) // asks, by what would be carried out
		told string                          // empty: nothing is told in the status
		dead int                             // messages in the dead letters
	}{
		"expired": {func(w *world, r model.Request) {
			r.Expires = w.cloud.Now().Add(-time.Second)
			w.write(naming.RequestKey(key, "1"), r)
		}, "too late", 0},
		"for another plan": {func(w *world, r model.Request) {
			r.Plans = map[string]string{"my_agent": fmt.Sprintf("%064d", 1)}
			w.write(naming.RequestKey(key, "1"), r)
		}, "not what the operator was shown", 0},
		"for a role that was changed since": {func(w *world, r model.Request) {
			w.admin().putPolicy(runtimeRole("my_agent"), "orders", ordersPolicy)
			w.write(naming.RequestKey(key, "1"), r)
		}, "not what the operator was shown", 0},
		"for a role with a managed policy that was changed since": {func(w *world, r model.Request) {
			const arn = "arn:aws:iam::123456789012:policy/shared"
			w.cloud.AddPolicy(arn, ordersPolicy)
			a, name := w.admin(), runtimeRole("my_agent")
			a.must(a.AttachRolePolicy(context.Background(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: aws.String(arn)}))
			r.Plans = w.preview().Adoptable
			w.cloud.AddPolicy(arn, strings.ReplaceAll(ordersPolicy, "GetItem", "*"))
			w.write(naming.RequestKey(key, "1"), r)
		}, "not what the operator was shown", 0},
		"for an agent that is not there": {func(w *world, r model.Request) {
			r.Plans = map[string]string{"other": fmt.Sprintf("%064d", 1)}
			w.write(naming.RequestKey(key, "1"), r)
		}, `no agent "other"`, 0},
		"when none is allowed": {func(w *world, r model.Request) {
			w.settings.Existing = plan.RefuseExisting
			w.write(naming.RequestKey(key, "1"), r)
		}, "Rolekeeper did not make it", 0},
		"for an agent whose role is another's": {func(w *world, r model.Request) {
			r.Plans = map[string]string{"sharing": fmt.Sprintf("%064d", 1)}
			w.upload(key, strings.Replace(agentsNamed("my_agent", "sharing"), "name: sharing\n    entrypoint: main.py\n    aws: {}",
				"name: sharing\n    entrypoint: main.py\n    deployment_type: direct_code_deploy\n    aws:\n      execution_role: "+runtimeRole("my_agent"), 1))
			w.write(naming.RequestKey(key, "1"), r)
		}, "no role of its own", 0},
		"put under another config": {func(w *world, r model.Request) {
			r.Config = "configs/other.yaml"
			w.write(naming.RequestKey(key, "1"), r)
			w.cloud.Put(w.inbox, wakeBody(t, key))
		}, "does not belong", 1},
		"put under another id": {func(w *world, r model.Request) {
			r.ID = "2"
			w.write(naming.RequestKey(key, "1"), r)
			w.cloud.Put(w.inbox, wakeBody(t, key))
		}, "does not belong", 1},
		"damaged": {func(w *world, _ model.Request) {
			w.put(naming.RequestKey(key, "1"), "{")
			w.cloud.Put(w.inbox, wakeBody(t, key))
		}, "request:", 1},
		"for a config that is refused": {func(w *world, r model.Request) {
			w.upload(key, "agents: {}\n")
			w.write(naming.RequestKey(key, "1"), r)
		}, "the config was refused", 0},
		"for a config that is gone": {func(w *world, r model.Request) {
			w.remove(key)
			w.write(naming.RequestKey(key, "1"), r)
		}, "the config is gone", 0},
		"while requests are off": {func(w *world, r model.Request) {
			w.operators = false
			w.write(naming.RequestKey(key, "1"), r)
		}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := reported(t)
			w.cloud.ForgetCalls()
			c.ask(w, good(w))
			w.settle()
			got := w.status(key).Requests
			switch {
			case c.told == "" && len(got) > 0, c.told != "" && (len(got) != 1 || got[0].Outcome != status.RequestRefused || !strings.Contains(got[0].Message, c.told)):
				t.Errorf("requests %+v, want one refused that says %q", got, c.told)
			}
			for _, write := range w.writes() {
				t.Errorf("IAM was written: %s", write)
			}
			if dead := w.cloud.Messages(w.inboxDead); len(dead) != c.dead {
				t.Errorf("dead letters %v, want %d", dead, c.dead)
			}
		})
	}
}

func TestAnOldRequestDoesNotComeBackWithALostStatus(t *testing.T) {
	w := reported(t)
	r := model.Request{V: 1, ID: "1", Action: model.Adopt, Config: key, Plans: w.preview().Adoptable, Expires: w.cloud.Now().Add(1000 * time.Hour), By: "operator"}
	w.operators = false
	w.write(naming.RequestKey(key, "1"), r)
	w.settle()
	w.cloud.Advance(model.MaxRequestAge + time.Minute)
	w.operators = true
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if got := w.status(key).Requests; len(got) != 1 || !strings.Contains(got[0].Message, "too late") {
		t.Errorf("requests %+v", got)
	}
}

func TestAnAnswerStaysForAsLongAsItsRequest(t *testing.T) {
	w := reported(t)
	w.request("1", model.Adopt, map[string]string{"my_agent": fmt.Sprintf("%064d", 1)})
	w.settle()
	w.adopt("2", "my_agent")
	w.settle()
	if got := w.status(key).Requests; len(got) != 2 || got[0].Outcome != status.RequestRefused || got[1].Outcome != status.RequestDone {
		t.Errorf("requests %+v", got)
	}
	name := naming.RequestKey(key, "1")
	if _, err := w.cloud.S3("lifecycle").DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &name}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if got := w.status(key).Requests; len(got) != 1 || got[0].ID != "2" {
		t.Errorf("requests %+v", got)
	}
}

func TestALookWithoutOperatorsListsNoRequests(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	for _, c := range w.functionCalls() {
		if c.Operation == "ListObjectsV2" {
			t.Errorf("%v", c)
		}
	}
}

func TestAPreviewIsWhatALookThenDoes(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"a new config": func(w *world) { w.upload(key, container) },
		"a change": func(w *world) {
			w.upload(key, container)
			w.settle()
			w.upload(key, container+"      ecr_repository: team/app\n")
		},
		"drift and a role that is gone": func(w *world) {
			w.upload(key, container)
			w.settle()
			w.admin().deletePolicy(runtimeRole("my_agent"), naming.RuntimePolicy("my_agent"))
			w.admin().deletePolicy(buildRole("my_agent"), naming.BuildPolicy)
			name := buildRole("my_agent")
			w.admin().must(w.admin().DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &name}))
		},
		"adoption": func(w *world) {
			w.settings.Existing = plan.AdoptExisting
			w.byToolkit("my_agent")
			w.upload(key, container)
		},
		"a report": func(w *world) {
			w.byToolkit("my_agent")
			w.upload(key, container)
		},
		"a name that another config has": func(w *world) {
			w.upload(other, container)
			w.settle()
			w.upload(key, container)
		},
		"a faulty config": func(w *world) { w.upload(key, "agents: {}\n") },
		"an agent that was removed": func(w *world) {
			w.upload(key, agentsNamed("first", "second"))
			w.settle()
			w.upload(key, agentsNamed("first"))
		},
		"a source": func(w *world) {
			w.upload(key, container)
			w.settle()
			w.source("my_agent", zip)
		},
		"a source and a new role": func(w *world) {
			w.upload(key, container)
			w.source("my_agent", zip)
		},
		"a repository that is gone": func(w *world) {
			w.upload(key, container)
			w.source("my_agent", zip)
			w.settle()
			name := naming.Repository("my_agent")
			w.must(w.cloud.ECR("admin").DeleteRepository(context.Background(), &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true}))
		},
		"nothing left to do": func(w *world) {
			w.upload(key, container)
			w.settle()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			before := w.cloud.Objects(bucket, "")
			w.cloud.ForgetCalls()
			shown := w.preview()
			for _, c := range w.cloud.Calls() {
				if !reads(c) {
					t.Errorf("a preview makes the call %v", c)
				}
			}
			if len(w.cloud.Objects(bucket, "")) != len(before) {
				t.Error("a preview leaves objects")
			}
			done, err := w.reconciler().Reconcile(context.Background(), key)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(done.Steps, shown.Plan.Steps, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-done +shown:\n%s", diff)
			}
			if len(shown.Problems)+len(shown.Plan.Refusals) != done.Problems {
				t.Errorf("shown %v and %v, answered %d problems", shown.Problems, shown.Plan.Refusals, done.Problems)
			}
			var removed []string
			for _, a := range w.status(key).Agents {
				if slices.Contains(a.Notes, report.RemovedAgentNote) {
					removed = append(removed, a.Name)
				}
			}
			if !slices.Equal(removed, shown.Removed) {
				t.Errorf("removed %v, shown %v", removed, shown.Removed)
			}
		})
	}
}

func TestAnAnswerSaysWhatOfAnAdoptedRoleCannotBeKeptUp(t *testing.T) {
	w := newWorld(t)
	w.settings.Existing, w.operators = plan.AdoptExisting, true
	w.byToolkit("my_agent")
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	large := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + strings.Repeat("x", 9700) + `"}]}`
	w.admin().deletePolicy(runtimeRole("my_agent"), naming.RuntimePolicy("my_agent"))
	w.admin().putPolicy(runtimeRole("my_agent"), "large", large)
	w.request("1", model.Adopt, map[string]string{"my_agent": fmt.Sprintf("%064d", 1)})
	w.settle()
	wantOutcome(t, w, key, status.Blocked)
	if got := w.status(key).Requests; len(got) != 1 || got[0].Outcome != status.RequestDone || !strings.Contains(got[0].Message, "cannot be kept up: role") {
		t.Errorf("requests %+v", got)
	}
}

// What people write into requests must not make a status that cannot be read again.
func TestLargeFaultsMakeNoLargeStatus(t *testing.T) {
	w := reported(t)
	for i := range 3 {
		w.put(naming.RequestKey(key, fmt.Sprint(i)), `{"`+strings.Repeat("x", 1<<20-100)+`":1}`)
	}
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if got := w.status(key).Requests; len(got) != 3 || len(got[0].Message) > 1000 {
		t.Errorf("%d requests", len(got))
	}
}
