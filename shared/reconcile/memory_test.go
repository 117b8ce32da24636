package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// killAfter kills reconcile after its n-th call of the operation; then does
// what happens next.
func (w *world) killAfter(operation string, n int, next func()) {
	w.cloud.After = func(c awsfake.Call) error {
		if c.Caller == "reconcile" && c.Operation == operation {
			if n--; n == 0 {
				w.cloud.After = nil
				w.later = next
				panic(killed{})
			}
		}
		return nil
	}
}

func TestOneRoleIsRecordedWhileTheOtherCannotBeMade(t *testing.T) {
	w := newWorld(t)
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "CreateRole" && c.Resource == buildRole("my_agent") {
			return awsfake.APIError("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000")
		}
		return nil
	}
	for range 3 { // many more tries than nonces are kept
		w.upload(key, container)
		w.settle()
		wantOutcome(t, w, key, status.Failed)
	}
	w.cloud.Before = nil
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if c := w.claim(naming.RoleClaimKey("my_agent")); c.RuntimeRoleID == "" || c.BuildRoleID == "" || len(c.Creating) > 0 {
		t.Errorf("claim: %+v", c)
	}
}

func TestARoleHalfMadeWhenItsConfigGoesIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.killAfter("CreateRole", 1, func() { w.remove(key) })
	w.upload(key, direct)
	w.settle()
	s := w.status(key)
	if s.Outcome != status.Retiring || len(s.Agents) != 1 || !strings.HasSuffix(s.Agents[0].RuntimeRoleARN, runtimeRole("my_agent")) {
		t.Errorf("status: %+v", s)
	}
	if c := w.claim(naming.RoleClaimKey("my_agent")); c.RuntimeRoleID != w.role(runtimeRole("my_agent")).ID || len(c.Creating) > 0 {
		t.Errorf("claim: %+v", c)
	}
	w.upload(key, direct)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
}

func TestANameIsFreedWhenItsRoleWasNeverMade(t *testing.T) {
	w := newWorld(t)
	w.failing("CreateRole", w.cloud.Now().Add(time.Hour), awsfake.APIError("AccessDenied", "no"))
	w.upload(key, container)
	w.settle()
	w.upload(other, container)
	w.settle()
	w.cloud.Before = nil
	w.remove(key)
	w.settle()
	if s := w.status(key); s.Outcome != status.Orphaned || len(s.Agents) != 0 {
		t.Errorf("status: %+v", s)
	}
	wantOutcome(t, w, other, status.Ready) // it waited for the name
}

func TestAnAgentAddedAndTakenOutAroundACrashIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.upload(key, agentsNamed("first"))
	w.settle()
	w.killAfter("PutRolePolicy", 2, func() { w.upload(key, agentsNamed("first")) })
	w.upload(key, agentsNamed("first", "second"))
	w.settle()
	s := w.status(key)
	second, known := s.Agent("second")
	if s.Outcome != status.Retiring || !known || second.RuntimeRoleARN == "" || second.BuildRoleARN == "" {
		t.Errorf("status: %+v", s)
	}
}

func TestGrantsOfARoleThatWasNotAskedForMeanwhileDoNotStay(t *testing.T) {
	w := newWorld(t)
	w.settings.Env.Profile = "toolkit"
	w.upload(key, direct+"    aws_jwt:\n      enabled: true\n      audiences: [https://a.example.com]\n")
	w.settle()
	w.upload(key, strings.Replace(direct, "aws: {}", "aws:\n      execution_role: some-role", 1))
	w.settle()
	if notes := w.status(key).Agents[0].Notes; !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "runtime role that was made") }) {
		t.Errorf("the role that is kept is not told: %v", notes)
	}
	w.upload(key, direct)
	w.settle()
	if _, there := w.role(runtimeRole("my_agent")).Policies[naming.JWTPolicy]; there {
		t.Errorf("%s is still on the role", naming.JWTPolicy)
	}
	if drift := w.status(key).Agents[0].Drift; len(drift) > 0 {
		t.Errorf("drift: %v", drift)
	}
}

func TestABuildRoleThatIsNoLongerAskedForIsKeptAndTold(t *testing.T) {
	for name, damage := range map[string]bool{"with its status": false, "with its status lost": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			w.settle()
			if damage {
				w.upload(naming.StatusKey(key), "{")
			}
			w.upload(key, direct)
			w.settle()
			a := w.status(key).Agents[0]
			if !slices.ContainsFunc(a.Notes, func(n string) bool { return strings.Contains(n, "build role that was made") }) {
				t.Errorf("notes: %v", a.Notes)
			}
			if c := w.claim(naming.ProjectClaimKey("my_agent")); c.Config != key {
				t.Errorf("the project's claim: %+v", c)
			}
			w.upload(key, container)
			w.settle()
			if a := w.status(key).Agents[0]; !strings.HasSuffix(a.BuildRoleARN, buildRole("my_agent")) || strings.Contains(strings.Join(a.Notes, "\n"), "no longer asks") {
				t.Errorf("agent after the way back: %+v", a)
			}
		})
	}
}

func TestAStrangersRoleIsNotGivenOutAsTheAgents(t *testing.T) {
	w := newWorld(t)
	name := runtimeRole("my_agent")
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	a := w.admin()
	a.createRole(name, trust)
	w.upload(key, direct)
	w.settle()
	if s := w.status(key); s.Agents[0].RuntimeRoleARN != "" || len(s.Agents[0].BlockedBy) != 1 || strings.Contains(strings.Join(s.Next, " "), "deploy") {
		t.Errorf("status: %+v", s)
	}
	w.remove(key)
	w.settle()
	if s := w.status(key); len(s.Agents) != 0 {
		t.Errorf("a role that we never had is told as kept: %+v", s)
	}
	if claims := w.cloud.Objects(bucket, naming.ClaimPrefix+"roles/"); len(claims) != 0 {
		t.Errorf("claims: %v", claims)
	}
}

func TestARoleFilledUpByHandStillGetsItsTrustAndBoundaryBack(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	name := runtimeRole("my_agent")
	good := w.role(name)
	ctx, a := context.Background(), w.admin()
	a.deletePolicy(name, naming.RuntimePolicy("my_agent"))
	a.putPolicy(name, "filler", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s"}]}`, strings.Repeat("x", 9900)))
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}]}`
	a.must(a.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trust}))
	a.must(a.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))
	w.upload(key, direct)
	w.settle()
	if s := w.status(key); s.Outcome != status.Blocked || !slices.Contains(codes(s), "role-policies-full") || len(w.sent("Role Drift Repaired")) != 1 {
		t.Errorf("status: %+v", s)
	}
	if o := w.role(name); o.Trust != good.Trust || o.PermissionsBoundary != boundary {
		t.Errorf("role: %+v", o)
	}
	a.deletePolicy(name, "filler")
	w.upload(key, direct)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
}

func TestARepairIsToldEvenWhenTheBusFailsAfterIt(t *testing.T) {
	for way, interfere := range map[string]func(*world){
		"throttled": func(w *world) {
			w.cloud.Before = func(c awsfake.Call) error {
				if c.Operation != "PutEvents" {
					return nil
				}
				w.cloud.Before = nil
				return awsfake.APIError("ThrottlingException", "Rate exceeded")
			}
		},
		"killed": func(w *world) { w.killAfter("UpdateAssumeRolePolicy", 1, nil) },
	} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, direct)
			w.settle()
			name := runtimeRole("my_agent")
			trust := strings.ReplaceAll(w.role(name).Trust, "bedrock-agentcore.amazonaws.com", "lambda.amazonaws.com")
			a := w.admin()
			a.must(a.UpdateAssumeRolePolicy(context.Background(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trust}))
			interfere(w)
			w.cloud.Put(w.inbox, wakeBody(t, key))
			w.settle()
			if got := w.sent("Role Drift Repaired"); len(got) != 1 {
				t.Errorf("%d events Role Drift Repaired, want 1: %v", len(got), got)
			}
			if drift := w.status(key).Agents[0].Drift; len(drift) > 0 {
				t.Errorf("drift that was repaired is still told: %v", drift)
			}
		})
	}
}

func TestAProjectsNameIsFreedWithTheRefusedConfigThatTookIt(t *testing.T) {
	w := newWorld(t)
	w.upload("configs/taken.yaml", agentsNamed("taken"))
	w.settle()
	alone := strings.ReplaceAll(direct, "my_agent", "MyAgent")
	w.upload(key, alone)
	w.settle()
	w.upload(key, agentsNamed("MyAgent", "taken")) // as a container, and refused
	w.settle()
	w.upload(other, agentsNamed("myagent"))
	w.settle()
	wantOutcome(t, w, key, status.Rejected)
	wantOutcome(t, w, other, status.Ready)
}

func TestPoliciesMakeRoomForEachOther(t *testing.T) {
	w := newWorld(t)
	w.settings.Env.Profile = "toolkit"
	var providers strings.Builder
	providers.WriteString("    identity:\n      credential_providers:\n")
	for i := range 12 {
		fmt.Fprintf(&providers, "      - name: provider-%02d-%s\n", i, strings.Repeat("n", 60))
	}
	w.upload(key, direct+providers.String())
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	w.settings.Env.Profile, w.hash = "scoped", "settings-2"
	w.upload(key, direct+providers.String())
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if o := w.role(runtimeRole("my_agent")); len(o.Policies) != 1 {
		t.Errorf("role: %+v", o)
	}
}

func TestManyWhoWantANameDoNotBurdenItsOwner(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	for i := range model.MaxWaiting + 20 {
		w.upload(fmt.Sprintf("configs/copies/%03d.yaml", i), direct)
	}
	w.settle()
	if n := len(w.claim(naming.RoleClaimKey("my_agent")).Waiting); n != model.MaxWaiting {
		t.Errorf("%d wait, want %d", n, model.MaxWaiting)
	}
	last := w.status(fmt.Sprintf("configs/copies/%03d.yaml", model.MaxWaiting+19))
	if last.Outcome != status.Rejected || strings.Contains(last.Problems[0].Fix, "by itself") {
		t.Errorf("one that does not wait is told: %+v", last.Problems)
	}
	w.upload(key, direct)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
}

func TestAStatusOfALaterFormatIsNotOverwritten(t *testing.T) {
	w := newWorld(t)
	w.upload(key, direct)
	w.settle()
	const later = `{"v":2,"config":{"key":"configs/team/agent.yaml"},"news":true}`
	w.upload(naming.StatusKey(key), later)
	w.upload(key, container)
	w.settle()
	if got := string(w.cloud.Objects(bucket, naming.StatusPrefix)[naming.StatusKey(key)]); got != later {
		t.Errorf("status is now %s", got)
	}
	if dead := w.cloud.Messages(w.workDead); len(dead) != 1 {
		t.Errorf("%d dead letters, want 1", len(dead))
	}
}
