package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

const ordersPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}]}`

// runtimeTrust is a trust policy that is not ours and not hostile.
const runtimeTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}]}`

// byToolkit makes the roles of a container agent as the starter toolkit makes
// them: without tags and boundary, and with grants on the whole account.
func (w *world) byToolkit(name string) {
	w.t.Helper()
	env := w.settings.Env
	env.Profile = desired.Toolkit
	state, problems := desired.Compute(agent.Config{Agents: []agent.Agent{{Name: name, Deployment: agent.Container}}}, env)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	a := w.admin()
	for _, r := range state.Agents[0].Roles() {
		a.createRole(r.Name, r.Trust.JSON())
		for policy, document := range r.Policies {
			a.putPolicy(r.Name, policy, document.JSON())
		}
	}
}

// archives gives the archived roles.
func (w *world) archives() []model.Archive {
	w.t.Helper()
	var all []model.Archive
	for _, body := range w.cloud.Objects(bucket, naming.ArchivePrefix) {
		var a model.Archive
		if err := json.Unmarshal(body, &a); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func TestARoleOfTheToolkitIsReportedAndLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.byToolkit("my_agent")
	w.admin().putPolicy(runtimeRole("my_agent"), "orders", ordersPolicy)
	was := w.role(runtimeRole("my_agent"))
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Blocked)
	for _, write := range w.writes(naming.ArchivePrefix) {
		if strings.Contains(write, "iam:") && !strings.Contains(write, "CreateServiceLinkedRole") {
			t.Errorf("written: %s", write)
		}
	}
	if now := w.role(was.Name); !slices.Equal(now.Attached, was.Attached) || now.Trust != was.Trust || now.PermissionsBoundary != "" {
		t.Errorf("the role is now %+v", now)
	}
	s := w.status(key)
	told := strings.Join(s.Agents[0].Notes, "\n")
	for _, want := range []string{"InvokeModel", "dynamodb:GetItem", "orders", "boundary"} {
		if !strings.Contains(told, want) {
			t.Errorf("notes do not tell of %s:\n%s", want, told)
		}
	}
	if !strings.Contains(strings.Join(s.Next, "\n"), "rolekeeper adopt "+key+" my_agent") {
		t.Errorf("next: %v", s.Next)
	}
	w.cloud.ForgetCalls()
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if writes := w.writes(""); len(writes) > 0 {
		t.Errorf("a further look writes %v", writes)
	}
}

func TestARoleOfTheToolkitIsAdopted(t *testing.T) {
	w := newWorld(t)
	w.settings.Existing = plan.AdoptExisting
	w.byToolkit("my_agent")
	w.admin().putPolicy(runtimeRole("my_agent"), "orders", ordersPolicy)
	w.admin().putPolicy(runtimeRole("my_agent"), naming.IdentityPolicy, ordersPolicy)
	was := map[string]model.ObservedRole{}
	for _, name := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
		was[name] = w.role(name)
	}
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	archived := map[string]model.ObservedRole{}
	for _, a := range w.archives() {
		archived[a.Role.Name] = a.Role
	}
	for name, before := range was {
		now := w.role(name)
		if now.ID != before.ID || now.PermissionsBoundary != boundary || now.Tags[model.TagConfig] != key || now.Tags[model.TagAgent] != "my_agent" {
			t.Errorf("%s is now %+v", name, now)
		}
		if a := archived[name]; a.ID != before.ID || len(a.Policies) != len(before.Policies) || a.PermissionsBoundary != "" {
			t.Errorf("%s was archived as %+v", name, a)
		}
	}
	now := w.role(runtimeRole("my_agent"))
	if _, kept := now.Policies["orders"]; !kept || len(now.Policies) != 2 {
		t.Errorf("policies %v, want ours and the one added by hand", now.Policies)
	}
	c := w.claim(naming.RoleClaimKey("my_agent"))
	if c.RuntimeRoleID != now.ID || c.BuildRoleID == "" || len(c.Adopting) > 0 {
		t.Errorf("claim %+v", c)
	}
	if len(w.sent("Role Drift Repaired"))+len(w.sent("Agent Roles Ready")) != 1 {
		t.Errorf("events %v", w.cloud.Events())
	}
	w.wantAdoptionOrder(runtimeRole("my_agent"))
	w.cloud.ForgetCalls()
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if writes := w.writes(""); len(writes) > 0 {
		t.Errorf("a further look writes %v", writes)
	}
}

// wantAdoptionOrder checks that a role was archived and recorded first, and then
// limited before it was widened.
func (w *world) wantAdoptionOrder(role string) {
	w.t.Helper()
	order := []string{"archive", "claim", "PutRolePermissionsBoundary", "TagRole", "PutRolePolicy", "DeleteRolePolicy", "UpdateRole"}
	last, before := -1, ""
	for _, c := range w.functionCalls() {
		what := c.Operation
		switch {
		case c.Operation == "PutObject" && strings.HasPrefix(c.Resource, bucket+"/"+naming.ArchivePrefix+role):
			what = "archive"
		case c.Operation == "PutObject" && strings.HasSuffix(c.Resource, naming.RoleClaimKey("my_agent")) && last == 0:
			what = "claim"
		case c.Resource != role:
			continue
		}
		at := slices.Index(order, what)
		if at < 0 {
			continue
		}
		if at < last {
			w.t.Errorf("%s comes after %s", what, before)
		}
		last, before = at, what
	}
	if last < 5 {
		w.t.Errorf("the last of %v is %d", order, last)
	}
}

func TestTheToolkitFindsAnAdoptedRoleAsItLeftIt(t *testing.T) {
	w := newWorld(t)
	w.settings.Existing = plan.AdoptExisting
	w.byToolkit("my_agent")
	was := w.role(runtimeRole("my_agent"))
	w.upload(key, container)
	w.settle()
	// Its get-or-create reads by name and takes what it finds; versions after
	// 0.3.10 compare the trust policy too.
	now, err := w.cloud.IAM("toolkit").GetRole(context.Background(), &iam.GetRoleInput{RoleName: &was.Name})
	if err != nil || *now.Role.Arn != was.ARN || *now.Role.RoleId != was.ID || w.role(was.Name).Trust != was.Trust {
		t.Errorf("found %+v, %v", now.Role, err)
	}
}

const lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["bedrock-agentcore.amazonaws.com","lambda.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`

func TestAHostileRoleIsNeverAdopted(t *testing.T) {
	const admin = "arn:aws:iam::aws:policy/AdministratorAccess"
	name := runtimeRole("my_agent")
	for what, make := range map[string]func(w *world){
		"trusts another service": func(w *world) {
			a := w.admin()
			a.must(a.UpdateAssumeRolePolicy(context.Background(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: ptr(lambdaTrust)}))
		},
		"may pass roles": func(w *world) {
			w.admin().putPolicy(name, "pass", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:Pass*","Resource":"*"}]}`)
		},
		"may do everything by a managed policy": func(w *world) {
			w.cloud.AddPolicy(admin, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
			a := w.admin()
			a.must(a.AttachRolePolicy(context.Background(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: ptr(admin)}))
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.settings.Existing, w.operators = plan.AdoptExisting, true
			w.byToolkit("my_agent")
			make(w)
			was := w.role(name)
			w.upload(key, container)
			w.settle()
			wantOutcome(t, w, key, status.Blocked)
			w.request("1", model.Adopt, map[string]string{"my_agent": strings.Repeat("0", 64)})
			w.settle()
			if !slices.Contains(codes(w.status(key)), "role-hostile") {
				t.Errorf("problems %v", w.status(key).Problems)
			}
			if got := w.status(key).Requests; len(got) != 1 || got[0].Outcome != status.RequestRefused {
				t.Errorf("requests %+v", got)
			}
			for _, c := range w.functionCalls() {
				if c.Service == "iam" && c.Resource == name && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") {
					t.Errorf("the hostile role was written: %v", c)
				}
			}
			if now := w.role(name); now.Trust != was.Trust || now.PermissionsBoundary != "" {
				t.Errorf("the role is now %+v", now)
			}
			if c := w.claim(naming.RoleClaimKey("my_agent")); c.RuntimeRoleID != "" {
				t.Errorf("claim %+v", c)
			}
		})
	}
}

func TestNothingIsAdoptedWhenItCannotBeArchived(t *testing.T) {
	w := newWorld(t)
	w.settings.Existing = plan.AdoptExisting
	w.byToolkit("my_agent")
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "PutObject" && strings.Contains(c.Resource, naming.ArchivePrefix) {
			return awsfake.APIError("AccessDenied", "no")
		}
		return nil
	}
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Failed)
	for _, c := range w.functionCalls() {
		if c.Service == "iam" && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") && c.Operation != "CreateServiceLinkedRole" {
			t.Errorf("IAM was written: %v", c)
		}
	}
	if c := w.claim(naming.RoleClaimKey("my_agent")); !c.Unused() {
		t.Errorf("claim %+v", c)
	}
}

func TestARoleThatReplacedOursIsAdoptedOnlyWhenAskedFor(t *testing.T) {
	w := newWorld(t)
	w.settings.Existing, w.operators = plan.AdoptExisting, true
	w.upload(key, container)
	w.settle()
	ours := w.role(runtimeRole("my_agent"))
	w.replace(ours)
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Blocked)
	w.adopt("1", "my_agent")
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if c := w.claim(naming.RoleClaimKey("my_agent")); c.RuntimeRoleID == ours.ID || c.RuntimeRoleID != w.role(ours.Name).ID {
		t.Errorf("claim %+v", c)
	}
}

// replace deletes a role and makes it anew.
func (w *world) replace(r model.ObservedRole) {
	w.t.Helper()
	a := w.admin()
	for name := range r.Policies {
		a.deletePolicy(r.Name, name)
	}
	a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &r.Name}))
	a.createRole(r.Name, r.Trust)
}

func ptr[T any](v T) *T { return &v }

func TestWithoutItsBoundaryNothingIsAdoptedAndNothingWaits(t *testing.T) {
	w := newWorld(t)
	w.settings.Existing = plan.AdoptExisting
	w.byToolkit("my_agent")
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "GetPolicy" && c.Resource == boundary {
			return awsfake.APIError("NoSuchEntity", "Policy "+boundary+" was not found.")
		}
		return nil
	}
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Blocked)
	if p := w.status(key).Problems; len(p) != 2 || !strings.Contains(p[0].Message, boundary) {
		t.Errorf("problems %v", p)
	}
	if w.role(runtimeRole("my_agent")).PermissionsBoundary != "" {
		t.Error("the role was written")
	}
}

func TestManyRolesOfTheToolkitMakeAReadableStatus(t *testing.T) {
	var names []string
	w := newWorld(t)
	w.operators = true
	for i := range 50 {
		name := fmt.Sprintf("agent_%02d", i)
		names = append(names, name)
		w.byToolkit(name)
		var buckets []string
		for j := range 60 {
			buckets = append(buckets, fmt.Sprintf(`"arn:aws:s3:::bucket-%060d-%d/*"`, j, j))
		}
		w.admin().putPolicy(runtimeRole(name), "many", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":[`+strings.Join(buckets, ",")+`]}]}`)
	}
	w.upload(key, agentsNamed(names...))
	w.settle()
	wantOutcome(t, w, key, status.Blocked)
	if n := len(w.cloud.Objects(bucket, naming.StatusPrefix)[naming.StatusKey(key)]); n > 600<<10 {
		t.Errorf("the status has %d bytes", n)
	}
	w.adopt("1", names...)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
}

func TestAPreviewAndALookHoldAConfigToTheLists(t *testing.T) {
	for code, entry := range map[string]string{
		"model-not-allowed":      "    permissions:\n      models: [anthropic.claude-sonnet-4-20250514-v1:0]\n",
		"repository-not-allowed": "      ecr_repository: team/app\n",
		"memory-not-allowed":     "    memory:\n      memory_id: shared-0123456789\n",
		"provider-not-allowed":   "    identity:\n      credential_providers:\n      - name: crm\n",
		"audience-not-allowed":   "    aws_jwt:\n      enabled: true\n      audiences: [https://a.example.com]\n",
	} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container+entry)
			allowed := w.settings.Allowed
			w.settings.Allowed = agent.Allowed{}
			if p := w.preview(); len(p.Problems) != 1 || p.Problems[0].Code != code || len(p.Plan.Steps) > 0 {
				t.Errorf("preview %+v", p)
			}
			w.settle()
			wantOutcome(t, w, key, status.Rejected)
			if got := codes(w.status(key)); !slices.Equal(got, []string{code}) {
				t.Errorf("problems %v", got)
			}
			if n := len(w.cloud.RoleNames()); n > 0 {
				t.Errorf("%d roles were made", n)
			}
			w.settings.Allowed = allowed
			w.repository("team/app")
			w.cloud.Put(w.inbox, wakeBody(t, key))
			w.settle()
			wantOutcome(t, w, key, status.Ready)
		})
	}
}

func TestARoleOfOurNameUnderAPathIsNotOfferedForDeployment(t *testing.T) {
	w := newWorld(t)
	name := runtimeRole("my_agent")
	a := w.admin()
	a.must(a.CreateRole(context.Background(), &iam.CreateRoleInput{RoleName: &name, Path: ptr("/team/"), AssumeRolePolicyDocument: ptr(lambdaTrust)}))
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Blocked)
	if s := w.status(key); s.Agents[0].RuntimeRoleARN != "" || strings.Contains(strings.Join(s.Next, " "), "deploy my_agent") {
		t.Errorf("status %+v", s)
	}
}
