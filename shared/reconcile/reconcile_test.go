package reconcile_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

func TestAContainerAgentGetsItsTwoRolesWithSixCallsOfIAM(t *testing.T) {
	w := newWorld(t)
	version := w.upload(key, container)
	w.settle()

	s := w.status(key)
	if s.Outcome != status.Ready || s.Config.VersionID != version || s.Config.AppliedVersionID != version {
		t.Errorf("status is %s for %+v, want ready for %s", s.Outcome, s.Config, version)
	}
	if len(s.Agents) != 1 || !strings.HasSuffix(s.Agents[0].RuntimeRoleARN, runtimeRole("my_agent")) || !strings.HasSuffix(s.Agents[0].BuildRoleARN, buildRole("my_agent")) {
		t.Errorf("agents of the status: %+v", s.Agents)
	}
	for _, name := range []string{runtimeRole("my_agent"), buildRole("my_agent")} {
		o := w.role(name)
		if o.PermissionsBoundary != boundary || len(o.Policies) != 1 || o.Tags["rolekeeper:config"] != key || o.Tags["rolekeeper:agent"] != "my_agent" {
			t.Errorf("role %s is %+v", name, o)
		}
	}
	got := w.made()
	// Beyond the roles' own: a read and a write for the service-linked role that every runtime needs.
	if got["iam read"] != 2+1 || got["iam write"] != 4+1 {
		t.Errorf("calls of IAM: %v, want 2 reads and 4 writes, and one of each for the service-linked role:\n%v", got, w.functionCalls())
	}
	if n := len(w.sent("Agent Roles Ready")); n != 1 {
		t.Errorf("%d events Agent Roles Ready, want 1", n)
	}
	if c := w.claim(naming.RoleClaimKey("my_agent")); c.RuntimeRoleID == "" || c.BuildRoleID == "" || len(c.Creating) > 0 || c.Config != key {
		t.Errorf("claim: %+v", c)
	}
}

func TestADirectCodeAgentGetsOneRole(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	if s := w.status(key); s.Outcome != status.Ready || s.Agents[0].BuildRoleARN != "" {
		t.Errorf("status: %+v", s)
	}
	want := []string{"AWSServiceRoleForBedrockAgentCoreRuntimeIdentity", runtimeRole("my_agent")}
	slices.Sort(want)
	if diff := cmp.Diff(want, w.cloud.RoleNames()); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
}

func TestAnUnchangedConfigWritesNothingButItsAnswer(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.cloud.ForgetCalls()
	w.upload(key, container)
	w.settle()
	if writes := w.writes(naming.ClaimPrefix, naming.ArchivePrefix); len(writes) > 0 {
		t.Errorf("writes: %v", writes)
	}
	if got := w.made()["iam read"]; got > 2*(3+1)+1 {
		t.Errorf("%d reads of IAM; want at most 3 per role and one per policy, and one for the service-linked role", got)
	}

	w.cloud.ForgetCalls()
	before := w.status(key)
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if writes := w.writes(""); len(writes) > 0 {
		t.Errorf("a second look writes: %v", writes)
	}
	if diff := cmp.Diff(before, w.status(key)); diff != "" {
		t.Errorf("status changed:\n%s", diff)
	}
	seen := map[string]bool{}
	for _, c := range w.functionCalls() {
		what := c.Service + ":" + c.Operation + " " + c.Resource
		if c.Service == "s3" && seen[what] {
			t.Errorf("one look makes %s twice", what)
		}
		seen[what] = true
	}
}

func TestAChangeWritesOnlyWhatChanged(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.cloud.ForgetCalls()
	version := w.upload(key, container+"    permissions:\n      code_interpreter: true\n")
	w.settle()
	var ops []string
	for _, c := range w.functionCalls() {
		if c.Service == "iam" && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") {
			ops = append(ops, c.Operation+" "+c.Resource)
		}
	}
	if diff := cmp.Diff([]string{"PutRolePolicy " + runtimeRole("my_agent")}, ops); diff != "" {
		t.Errorf("writes of IAM (-want +got):\n%s", diff)
	}
	if s := w.status(key); s.Config.AppliedVersionID != version || s.Outcome != status.Ready {
		t.Errorf("status: %+v", s)
	}
	if got := w.sent("Role Drift Repaired"); len(got) > 0 {
		t.Errorf("a change was told as drift: %v", got)
	}
}

func TestTheSecondOfTwoUploadsWins(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.cloud.Advance(time.Second)
	version := w.upload(key, container)
	w.settle()
	if s := w.status(key); s.Config.AppliedVersionID != version || s.Agents[0].BuildRoleARN == "" {
		t.Errorf("status: %+v", s)
	}
}

func TestAPolicyOfOursThatIsNoLongerWantedIsArchivedAndRemoved(t *testing.T) {
	w := newWorld(t)
	w.settings.Env.Profile = "toolkit"
	withProvider := container + "    identity:\n      credential_providers:\n      - name: crm\n"
	w.upload(key, withProvider)
	w.settle()
	name := runtimeRole("my_agent")
	if _, ok := w.role(name).Policies[naming.IdentityPolicy]; !ok {
		t.Fatalf("role has no %s: %v", naming.IdentityPolicy, w.role(name).Policies)
	}
	w.upload(key, container)
	w.settle()
	if _, ok := w.role(name).Policies[naming.IdentityPolicy]; ok {
		t.Errorf("%s is still there", naming.IdentityPolicy)
	}
	archived := w.cloud.Objects(bucket, naming.ArchivePrefix+name+"/")
	if len(archived) != 1 {
		t.Fatalf("%d archives, want 1", len(archived))
	}
	for _, body := range archived {
		if !strings.Contains(string(body), naming.IdentityPolicy) {
			t.Errorf("archive lacks the policy: %s", body)
		}
	}
}

func TestDriftIsRepairedInTheOrderThatLimitsTheRoleFirst(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	name := runtimeRole("my_agent")
	want := w.role(name)
	ctx, a := context.Background(), w.admin()
	a.must(a.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))
	a.must(a.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{"rolekeeper:config"}}))
	a.must(a.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(strings.ReplaceAll(want.Trust, "bedrock-agentcore.amazonaws.com", "lambda.amazonaws.com"))}))
	a.putPolicy(name, naming.RuntimePolicy("my_agent"), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	a.must(a.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &name, Description: aws.String("mine")}))

	w.cloud.ForgetCalls()
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	var ops []string
	for _, c := range w.functionCalls() {
		if c.Service == "iam" && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") {
			ops = append(ops, c.Operation)
		}
	}
	order := []string{"PutRolePermissionsBoundary", "TagRole", "UpdateAssumeRolePolicy", "PutRolePolicy", "UpdateRole"}
	if diff := cmp.Diff(order, ops); diff != "" {
		t.Errorf("repairs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, w.role(name)); diff != "" {
		t.Errorf("role is not as before (-want +got):\n%s", diff)
	}
	if got := w.sent("Role Drift Repaired"); len(got) != 1 || len(got[0]["findings"].([]any)) != 5 {
		t.Errorf("events Role Drift Repaired: %v", got)
	}
}

func TestWhatPeopleAddedByHandIsKeptAndTold(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	name := runtimeRole("my_agent")
	w.cloud.AddPolicy("arn:aws:iam::aws:policy/ReadOnlyAccess", ordersPolicy)
	a := w.admin()
	a.putPolicy(name, "read-orders", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}]}`)
	a.must(a.AttachRolePolicy(context.Background(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}))
	w.cloud.ForgetCalls()
	w.upload(key, container)
	w.settle()
	if writes := w.writes(naming.ClaimPrefix, naming.ArchivePrefix); len(writes) > 0 {
		t.Errorf("writes: %v", writes)
	}
	s := w.status(key)
	var told []string
	for _, d := range s.Agents[0].Drift {
		told = append(told, d.Element+" "+d.Kind)
	}
	want := []string{"runtime/policy/read-orders extra", "runtime/attached/arn:aws:iam::aws:policy/ReadOnlyAccess extra"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("drift told (-want +got):\n%s", diff)
	}
	if s.Outcome != status.Ready {
		t.Errorf("outcome %s, want ready", s.Outcome)
	}
	if n := len(w.sent("Role Drift Detected")); n != 1 {
		t.Errorf("%d events Role Drift Detected, want 1", n)
	}
	w.upload(key, container)
	w.settle()
	if n := len(w.sent("Role Drift Detected")); n != 1 {
		t.Errorf("what is known already was told again: %d events", n)
	}
}

func TestARoleThatWeDidNotMakeIsRefused(t *testing.T) {
	for existing, code := range map[plan.Existing]string{plan.RefuseExisting: "role-not-ours", plan.ReportExisting: "role-hostile", plan.AdoptExisting: "role-hostile"} {
		t.Run(string(existing), func(t *testing.T) {
			w := newWorld(t)
			w.settings.Existing = existing
			name := runtimeRole("my_agent")
			a := w.admin()
			a.createRole(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`)
			before := w.role(name)
			w.upload(key, container)
			w.settle()
			s := w.status(key)
			if s.Outcome != status.Blocked || !slices.Contains(codes(s), code) || len(s.Agents[0].BlockedBy) != 1 {
				t.Errorf("status: %+v", s)
			}
			if diff := cmp.Diff(before, w.role(name)); diff != "" {
				t.Errorf("the role was written:\n%s", diff)
			}
			if o := w.role(buildRole("my_agent")); len(o.Policies) != 1 {
				t.Errorf("the build role, which nobody else has, is %+v", o)
			}
		})
	}
}

func TestARoleThatWasReplacedIsToldAndNeverWritten(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	name := runtimeRole("my_agent")
	old := w.role(name)
	a := w.admin()
	a.deletePolicy(name, naming.RuntimePolicy("my_agent"))
	a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &name}))
	// Even one that copies our trust, boundary and every tag.
	in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &old.Trust, PermissionsBoundary: aws.String(boundary)}
	for k, v := range old.Tags {
		in.Tags = append(in.Tags, tag(k, v))
	}
	a.must(a.CreateRole(context.Background(), in))
	before := w.role(name)
	w.upload(key, direct)
	w.settle()
	if s := w.status(key); s.Outcome != status.Blocked || !slices.Contains(codes(s), "role-replaced") {
		t.Errorf("status: %+v", s)
	}
	if diff := cmp.Diff(before, w.role(name)); diff != "" {
		t.Errorf("the role was written:\n%s", diff)
	}
}

func TestARoleDeletedByHandIsMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	name := runtimeRole("my_agent")
	old := w.role(name)
	a := w.admin()
	a.deletePolicy(name, naming.RuntimePolicy("my_agent"))
	a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &name}))
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	now := w.role(name)
	if now.ID == old.ID || len(now.Policies) != 1 || w.claim(naming.RoleClaimKey("my_agent")).RuntimeRoleID != now.ID {
		t.Errorf("role is %+v", now)
	}
	if s := w.status(key); s.Outcome != status.Ready {
		t.Errorf("status: %+v", s)
	}
}

func TestARoleThatReadsDoNotShowYetIsNotMadeTwice(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	name := runtimeRole("my_agent")
	id := w.role(name).ID
	w.cloud.HideRole(name, 1)
	w.cloud.Put(w.inbox, wakeBody(t, key))
	w.settle()
	if got := w.role(name).ID; got != id {
		t.Errorf("role id %s, want %s", got, id)
	}
	if c := w.claim(naming.RoleClaimKey("my_agent")); c.RuntimeRoleID != id || len(c.Creating) > 0 {
		t.Errorf("claim: %+v", c)
	}
	if s := w.status(key); s.Outcome != status.Ready {
		t.Errorf("status: %+v", s)
	}
}

func TestADeletedConfigLosesNothingAtOnce(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	roles, claims := w.cloud.RoleNames(), w.cloud.Objects(bucket, naming.ClaimPrefix)
	w.remove(key)
	w.settle()
	s := w.status(key)
	if s.Outcome != status.Retiring || len(s.Agents) != 1 || s.Agents[0].RuntimeRoleARN == "" {
		t.Errorf("status: %+v", s)
	}
	if diff := cmp.Diff(roles, w.cloud.RoleNames()); diff != "" {
		t.Errorf("roles:\n%s", diff)
	}
	left := w.cloud.Objects(bucket, naming.ClaimPrefix)
	if c := w.claim(naming.RoleClaimKey("my_agent")); !c.Free {
		t.Errorf("claim: %+v", c)
	}
	delete(claims, naming.RoleClaimKey("my_agent"))
	delete(left, naming.RoleClaimKey("my_agent"))
	if diff := cmp.Diff(claims, left); diff != "" {
		t.Errorf("claims:\n%s", diff)
	}
	w.cloud.ForgetCalls()
	w.upload(key, container)
	w.settle()
	if s := w.status(key); s.Outcome != status.Ready || len(s.Agents[0].Notes) > 0 && slices.ContainsFunc(s.Agents[0].Notes, func(n string) bool { return strings.Contains(n, "no longer") }) {
		t.Errorf("status after a new upload: %+v", s)
	}
	if writes := w.writes(naming.ClaimPrefix); len(writes) != 1 || !strings.Contains(writes[0], naming.RoleClaimKey("my_agent")) || w.claim(naming.RoleClaimKey("my_agent")).Free {
		t.Errorf("writes after a new upload: %v", writes)
	}
}

func TestARenamedAgentKeepsItsRolesForTheGracePeriod(t *testing.T) {
	w := newWorld(t)
	w.upload(key, agentsNamed("first", "second"))
	w.settle()
	w.upload(key, agentsNamed("first", "third"))
	w.settle()
	s := w.status(key)
	if s.Outcome != status.Retiring || len(s.Agents) != 3 {
		t.Errorf("status: %+v", s)
	}
	for _, name := range []string{"first", "second", "third"} {
		if o := w.role(runtimeRole(name)); len(o.Policies) != 1 {
			t.Errorf("role of %s: %+v", name, o)
		}
		if c := w.claim(naming.RoleClaimKey(name)); c.Config != key {
			t.Errorf("claim of %s: %+v", name, c)
		}
	}
}

func TestAnObjectDeletedBeforeItIsReadIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.remove(key)
	w.settle()
	if s := w.status(key); s.Outcome != status.Orphaned || len(s.Agents) != 0 {
		t.Errorf("status: %+v", s)
	}
	if names := w.cloud.RoleNames(); len(names) > 0 {
		t.Errorf("roles: %v", names)
	}
}

func TestARefusedConfigLeavesTheRolesOfItsLastGoodVersion(t *testing.T) {
	w := newWorld(t)
	good := w.upload(key, container)
	w.settle()
	before := w.role(runtimeRole("my_agent"))
	bad := w.upload(key, strings.ReplaceAll(container, "us-east-1", "eu-west-1"))
	w.settle()
	s := w.status(key)
	if s.Outcome != status.Rejected || s.Config.VersionID != bad || s.Config.AppliedVersionID != good || !slices.Contains(codes(s), "region-mismatch") {
		t.Errorf("status: %+v", s)
	}
	if len(s.Agents) != 1 || s.Agents[0].RuntimeRoleARN == "" || !strings.Contains(s.Summary, "last good version") {
		t.Errorf("status does not tell of the last good version: %+v", s)
	}
	if diff := cmp.Diff(before, w.role(runtimeRole("my_agent"))); diff != "" {
		t.Errorf("role changed:\n%s", diff)
	}
	if n := len(w.sent("Agent Config Rejected")); n != 1 {
		t.Errorf("%d events Agent Config Rejected, want 1", n)
	}
}

func TestADamagedOrMissingStatusIsRebuilt(t *testing.T) {
	for name, damage := range map[string]func(*world){
		"damaged": func(w *world) { w.upload(naming.StatusKey(key), `{"v":1,`) },
		"missing": func(w *world) { w.remove(naming.StatusKey(key)) },
		"of another config": func(w *world) {
			w.upload(naming.StatusKey(key), `{"v":1,"config":{"key":"configs/x"},"outcome":"ready","summary":"x","agents":[],"problems":[],"next":[],"updatedAt":"2026-01-01T00:00:00Z"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			w.settle()
			want := w.status(key)
			damage(w)
			w.cloud.ForgetCalls()
			w.cloud.Put(w.inbox, wakeBody(t, key))
			w.settle()
			got := w.status(key)
			got.UpdatedAt = want.UpdatedAt
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			logs := func(write string) bool { return strings.Contains(write, " logs:") } // nobody reads what they are
			if writes := slices.DeleteFunc(w.writes(naming.ClaimPrefix), logs); len(writes) > 0 {
				t.Errorf("writes: %v", writes)
			}

			damage(w)
			w.remove(key)
			w.settle()
			if s := w.status(key); s.Outcome != status.Retiring || len(s.Agents) != 1 || s.Agents[0].BuildRoleARN == "" {
				t.Errorf("status of the deleted config: %+v", s)
			}
		})
	}
}

func TestExternalRolesAreCheckedAndNeverWritten(t *testing.T) {
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"ACCOUNT"}}}]}`
	for name, c := range map[string]struct {
		trust string // empty: no such role
		want  []string
	}{
		"a good one":                    {strings.ReplaceAll(trust, "ACCOUNT", "123456789012"), nil},
		"one that is missing":           {"", []string{"external-role-missing"}},
		"one for another service":       {strings.ReplaceAll(trust, "bedrock-agentcore", "lambda"), []string{"external-role-trust"}},
		"one for another account":       {strings.ReplaceAll(trust, "ACCOUNT", "999999999999"), []string{"external-role-trust"}},
		"one without an account at all": {strings.ReplaceAll(trust, `,"Condition":{"StringEquals":{"aws:SourceAccount":"ACCOUNT"}}`, ""), nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.trust != "" {
				a := w.admin()
				a.createRole("shared-role", c.trust)
			}
			w.upload(key, "agents:\n  a:\n    name: a\n    entrypoint: m.py\n    deployment_type: direct_code_deploy\n    aws:\n      execution_role: arn:aws:iam::123456789012:role/shared-role\n")
			w.settle()
			s := w.status(key)
			if diff := cmp.Diff(c.want, codes(s)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			given := "arn:aws:iam::123456789012:role/shared-role"
			if len(c.want) > 0 {
				given = "" // nobody is told to deploy with a role that cannot work
			}
			if s.Outcome != status.Ready || s.Agents[0].RuntimeRoleARN != given {
				t.Errorf("status: %+v", s)
			}
			if got := w.made()["iam write"]; got != 1 {
				t.Errorf("%d writes of IAM, want the service-linked role's alone", got)
			}
		})
	}
}

func TestARoleOfAnotherConfigIsRefused(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	other := "configs/other.yaml"
	w.upload(other, "agents:\n  a:\n    name: a\n    entrypoint: m.py\n    aws:\n      execution_role: arn:aws:iam::123456789012:role/"+runtimeRole("my_agent")+"\n")
	w.settle()
	if s := w.status(other); s.Outcome != status.Rejected || !slices.Contains(codes(s), "role-of-other-config") {
		t.Errorf("status: %+v", s)
	}
}

func TestTheRepositoryOfAnotherConfigsAgentIsRefused(t *testing.T) {
	pushing := func(repository string) string {
		return strings.Replace(agentsNamed("pusher", "sibling"), "aws: {}", "aws:\n      ecr_repository: "+repository, 1)
	}
	for name, c := range map[string]struct {
		repository string
		want       status.Outcome
	}{
		"that of another config's agent": {naming.Repository("my_agent"), status.Rejected},
		"that of a sibling":              {naming.Repository("sibling"), status.Ready},
		"its own":                        {naming.Repository("pusher"), status.Ready},
		"that of nobody's agent":         {naming.Repository("nobody"), status.Ready},
		"one of no agent":                {"team/my_agent", status.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.repository("team/my_agent")
			w.repository(naming.Repository("nobody"))
			w.upload(key, container)
			w.upload(other, agentsNamed("sibling", "pusher"))
			w.settle()
			w.upload(other, pushing(c.repository))
			w.settle()
			wantOutcome(t, w, other, c.want)
			if got := slices.Contains(codes(w.status(other)), "repository-of-other-config"); got != (c.want == status.Rejected) {
				t.Errorf("problems %v", w.status(other).Problems)
			}
		})
	}
}

func TestTheRoleOfARemovedAgentIsNotTakenForSomebodyElses(t *testing.T) {
	w := newWorld(t)
	w.upload(key, agentsNamed("own"))
	w.settle()
	w.upload(key, strings.Replace(agentsNamed("renamed"), "aws: {}", "aws:\n      execution_role: arn:aws:iam::123456789012:role/"+runtimeRole("own"), 1))
	w.settle()
	if s := w.status(key); !slices.Contains(codes(s), "role-of-removed-agent") {
		t.Errorf("status: %+v", s)
	}
}

func TestAllFaultsOfAFileAreToldAtOnce(t *testing.T) {
	w := newWorld(t)
	body := agentsNamed("one", "two") + "  three:\n    name: thr-ee\n    entrypoint: m.py\n    aws: {}\n"
	// Agent one leaves its own role to nobody, and two wants it.
	body = strings.Replace(body, "name: one\n    entrypoint: main.py\n    aws: {}", "name: one\n    entrypoint: main.py\n    aws:\n      execution_role: some-role", 1)
	body = strings.Replace(body, "name: two\n    entrypoint: main.py\n    aws: {}", "name: two\n    entrypoint: main.py\n    aws:\n      execution_role: "+runtimeRole("one"), 1)
	w.upload(key, body)
	w.settle()
	want := []string{"role-sibling-unmanaged", "agent-name-invalid"}
	if got := codes(w.status(key)); !slices.Equal(got, want) {
		t.Errorf("problems %v, want %v", got, want)
	}
}

func TestAVPCAgentGetsBothServiceLinkedRoles(t *testing.T) {
	w := newWorld(t)
	w.upload(key, strings.Replace(direct, "aws: {}", "aws:\n      network_configuration:\n        network_mode: VPC\n        network_mode_config:\n          subnets: [subnet-0aa11bb22cc33dd44]\n          security_groups: [sg-0a1b2c3d4e5f60718]", 1))
	w.settle()
	if s := w.status(key); s.Outcome != status.Ready {
		t.Errorf("status: %+v", s)
	}
	for _, name := range []string{"AWSServiceRoleForBedrockAgentCoreNetwork", "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity"} {
		if !slices.Contains(w.cloud.RoleNames(), name) {
			t.Errorf("there is no %s", name)
		}
	}
}
