package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

func TestRolesInUseStay(t *testing.T) {
	// In profile toolkit a build role is for any project of the account.
	s := startWith(t, local.Options{Parameters: map[string]string{"GracePeriod": grace, "PermissionProfile": string(desired.Toolkit)}})
	for _, it := range []struct {
		name string
		test func(stack)
	}{
		{"until the use ends", testUses},
		{"when it is not known what uses them", testUnknownUses},
		{"when a use begins while they are taken from everybody", testLateUse},
		{"when a runtime is made again during the grace period", testRuntimeMadeAgain},
		{"when a runtime goes that had the agent's name and another role", testForeignRuntime},
		{"when the config is uploaded again", testConfigUploadedAgain},
		{"when a config hands its agent over to another", testHandOver},
		{"as long as the pass sees the runtime whose events are lost", testLostEvents}, // nothing tells of runtimes afterwards
	} {
		t.Run(it.name, func(t *testing.T) { it.test(s.in(t)) })
	}
	s.wantNothingLost()
	for _, err := range s.Errors() {
		t.Errorf("local AWS: %v", err)
	}
}

// use is something that uses a role: it begins, and ends.
type use struct {
	agent  string
	config func(name string, more ...string) string // nil for direct
	begin  func(s stack, agent string) (arn string)
	end    func(s stack, arn string)
	kind   string
	fix    string // of what is told to do
	late   bool   // it begins when the config is gone: what is done to a role before is undone
}

func (u use) text() string {
	if u.config != nil {
		return u.config(u.agent)
	}
	return direct(u.agent)
}

const runtimeARNs = agentCoreARNs + "runtime/"

// runtimeOf gives the id of a runtime by its ARN or that of an endpoint; empty for
// any other ARN.
func runtimeOf(arn string) string {
	rest, found := strings.CutPrefix(arn, runtimeARNs)
	if !found {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return id
}

func uses() []use {
	undeploy := func(s stack, arn string) { s.undeploy(runtimeOf(arn), "") }
	return []use{{
		agent: "renamed", kind: "in-use", fix: "delete the runtime other_name",
		begin: func(s stack, agent string) string { return runtimeARNs + s.deploy("other_name", owned(agent)) },
		end:   undeploy,
	}, {
		agent: "old_version", kind: "in-use", fix: "delete version 1 of the runtime moved_on",
		begin: func(s stack, agent string) string {
			id := s.deploy("moved_on", owned(agent))
			s.settled(id)
			s.redeploy(id, owned("lasting"))
			return runtimeARNs + id
		},
		end: func(s stack, arn string) { s.undeploy(runtimeOf(arn), "1") },
	}, {
		agent: "pinned", kind: "in-use", fix: "delete version 1 of the runtime pinned_there",
		begin: func(s stack, agent string) string {
			id := s.deploy("pinned_there", owned(agent))
			s.settled(id)
			arn := s.pin(id, "production", "1")
			s.redeploy(id, owned("lasting"))
			return arn
		},
		end: func(s stack, arn string) {
			s.unpin(runtimeOf(arn), "production")
			s.undeploy(runtimeOf(arn), "1")
		},
	}, {
		agent: "of_a_gateway", kind: "in-use", fix: "delete the gateway",
		begin: func(s stack, agent string) string { return s.holder("gateway", "gate", owned(agent)) },
		end: func(s stack, arn string) {
			if _, _, err := s.Proxy().AgentCore().ServeAgentCore("admin", "DELETE", "/gateways/"+arn[strings.LastIndexByte(arn, '/')+1:]+"/", "", nil); err != nil {
				s.t.Fatal(err)
			}
		},
	}, {
		agent: "stuck", kind: "in-use", fix: "the deletion of the runtime stuck",
		begin: func(s stack, agent string) string {
			id := s.deploy("stuck_elsewhere", owned(agent))
			s.settled(id)
			s.Proxy().AgentCore().FailAgentCoreDeletion(id, true)
			s.undeploy(id, "")
			s.settled(id)
			s.Proxy().AgentCore().FailAgentCoreDeletion(id, false)
			return runtimeARNs + id
		},
		end: undeploy,
	}, {
		agent: "built_elsewhere", config: container, kind: "in-use", fix: "delete the project",
		begin: func(s stack, agent string) string {
			return s.project("bedrock-agentcore-built_elsewhere-builder2", naming.BuildRole(region, agent))
		},
		end: func(s stack, arn string) {
			if _, err := codebuild.NewFromConfig(s.Config("admin")).DeleteProject(s.t.Context(), &codebuild.DeleteProjectInput{Name: aws.String(arn[strings.LastIndexByte(arn, '/')+1:])}); err != nil {
				s.t.Fatal(err)
			}
		},
	}, {
		agent: "let_in", kind: "trusts-others", fix: "lambda.amazonaws.com", late: true,
		begin: func(s stack, agent string) string {
			role := s.role(owned(agent))
			return s.trust(role, strings.Replace(role.Trust, `"bedrock-agentcore.amazonaws.com"`, `["bedrock-agentcore.amazonaws.com","lambda.amazonaws.com"]`, 1))
		},
		end: func(s stack, arn string) {
			role := s.role(naming.RoleOf(arn))
			s.trust(role, strings.Replace(role.Trust, `"lambda.amazonaws.com"`, `"bedrock-agentcore.amazonaws.com"`, 1))
		},
	}, {
		agent: "lately", kind: "used-lately", fix: "end whatever assumed role",
		begin: func(s stack, agent string) string {
			s.Proxy().UseRole(owned(agent), time.Now().Add(time.Hour)) // it lasts longer than this test
			return roleARN(owned(agent))
		},
		end: func(s stack, arn string) { s.Proxy().UseRole(naming.RoleOf(arn), time.Time{}) },
	}, {
		agent: "on_a_machine", kind: "instance-profile", fix: "machines",
		begin: func(s stack, agent string) string {
			s.profile("machines", owned(agent))
			return roleARN(owned(agent))
		},
		end: func(s stack, arn string) {
			if _, err := iam.NewFromConfig(s.Config("admin")).RemoveRoleFromInstanceProfile(s.t.Context(), &iam.RemoveRoleFromInstanceProfileInput{
				InstanceProfileName: aws.String("machines"), RoleName: aws.String(naming.RoleOf(arn)),
			}); err != nil {
				s.t.Fatal(err)
			}
		},
	}}
}

// project makes a project of somebody's own that builds with a role.
func (s stack) project(name, role string) (arn string) {
	s.t.Helper()
	out, err := codebuild.NewFromConfig(s.Config("admin")).CreateProject(s.t.Context(), &codebuild.CreateProjectInput{
		Name: &name, ServiceRole: aws.String(roleARN(role)), Artifacts: &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Source: &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String("version: 0.2\n")},
		Environment: &types.ProjectEnvironment{
			Type: types.EnvironmentTypeArmContainer, Image: aws.String("aws/codebuild/amazonlinux-aarch64-standard:4.0"), ComputeType: types.ComputeTypeBuildGeneral1Small,
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.Project.Arn
}

// trust has somebody change the trust of a role, and gives the role's ARN.
func (s stack) trust(role model.ObservedRole, document string) (arn string) {
	s.t.Helper()
	if document == role.Trust {
		s.t.Fatalf("role %s: the trust would stay %s", role.Name, document)
	}
	if _, err := iam.NewFromConfig(s.Config("admin")).UpdateAssumeRolePolicy(s.t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &role.Name, PolicyDocument: &document}); err != nil {
		s.t.Fatal(err)
	}
	return role.ARN
}

// profile has somebody put a role into an instance profile.
func (s stack) profile(name, role string) {
	s.t.Helper()
	admin := iam.NewFromConfig(s.Config("admin"))
	if _, err := admin.CreateInstanceProfile(s.t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: &name}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := admin.AddRoleToInstanceProfile(s.t.Context(), &iam.AddRoleToInstanceProfileInput{InstanceProfileName: &name, RoleName: &role}); err != nil {
		s.t.Fatal(err)
	}
}

// leaving has agents of one config each whose configs are deleted, and waits
// until they are due.
func (s stack) leaving(agents ...string) {
	s.t.Helper()
	for _, name := range agents {
		s.withdrawConfig(keyOf(name))
	}
	for _, name := range agents {
		s.wantPhase(keyOf(name), name, status.PhaseRetiring)
		s.outlastGrace(keyOf(name))
	}
}

// directs uploads a config for each agent, which has one role.
func (s stack) directs(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.upload(keyOf(name), direct(name))
	}
	s.idle()
}

func testUses(s stack) {
	all := uses()
	s.directs("lasting")
	for _, u := range all {
		s.upload(keyOf(u.agent), u.text())
	}
	s.idle()
	var names []string
	holds, was := map[string]string{}, map[string]model.ObservedRole{}
	begin := func(late bool) {
		for _, u := range all {
			if u.late == late {
				holds[u.agent] = u.begin(s, u.agent)
				was[u.agent] = s.role(owned(u.agent))
			}
		}
		s.idle()
	}
	for _, u := range all {
		names = append(names, u.agent)
	}
	begin(false)
	s.leaving(names...)
	begin(true)
	s.Proxy().Reset()
	s.pass()
	s.pass() // and tells nothing twice
	for _, u := range all {
		a := s.wantPhase(keyOf(u.agent), u.agent, status.PhaseRetiring)
		if len(a.BlockedBy) != 1 || a.BlockedBy[0].ARN != holds[u.agent] || a.BlockedBy[0].Kind != u.kind || !strings.Contains(a.BlockedBy[0].Fix, u.fix) {
			s.t.Errorf("%s: blocked by %+v, want %s %s: %s", u.agent, a.BlockedBy, u.kind, holds[u.agent], u.fix)
		}
		if got := s.status(keyOf(u.agent)); got.Outcome != status.Blocked {
			s.t.Errorf("%s: %s", u.agent, got.Outcome)
		}
		if diff := cmp.Diff(was[u.agent], s.role(owned(u.agent))); diff != "" {
			s.t.Errorf("%s: the role (-before +after)\n%s", u.agent, diff)
		}
		if n := s.sent("Role Deletion Blocked", keyOf(u.agent)); n != 1 {
			s.t.Errorf("%s: %d events Role Deletion Blocked", u.agent, n)
		}
	}
	if _, writes := s.iamCalls(); len(writes) > 0 {
		s.t.Errorf("writes: %v", writes)
	}
	if got := s.archives(); len(got) > 0 {
		s.t.Errorf("%d roles were archived", len(got))
	}

	for _, u := range all {
		u.end(s, holds[u.agent])
		if id := runtimeOf(holds[u.agent]); id != "" {
			s.settled(id)
		}
	}
	s.forgetInventory()
	s.pass()
	s.awaitPhase(status.PhaseRetired, names...)
	for _, name := range names {
		if !s.gone(owned(name)) {
			s.t.Errorf("role %s is still there", owned(name))
		}
	}
}

func testUnknownUses(s stack) {
	const agent = "unknown"
	s.directs(agent)
	s.leaving(agent)
	s.forgetInventory()
	s.Proxy().Reset()
	for _, listing := range []string{"ListAgentRuntimes", "ListMemories", "ListProjects"} {
		denied := s.InjectFault(proxy.Fault{Caller: "reconcile", Operation: listing, Kind: proxy.Denied})
		s.pass()
		denied.Remove()
		a := s.wantPhase(keyOf(agent), agent, status.PhaseRetiring)
		if len(a.BlockedBy) != 1 || a.BlockedBy[0].Kind != "use-unknown" || !strings.Contains(a.BlockedBy[0].Fix, "AccessDenied") || denied.Hits() == 0 {
			s.t.Errorf("without %s, denied %d times: blocked by %+v", listing, denied.Hits(), a.BlockedBy)
		}
	}
	if _, writes := s.iamCalls(); len(writes) > 0 {
		s.t.Errorf("writes: %v", writes)
	}
	s.pass()
	s.awaitPhase(status.PhaseRetired, agent)
}

// testLateUse has a gateway made after the first look has listed all there are,
// in the last moment in which its role lets AgentCore in.
func testLateUse(s stack) {
	const agent = "late"
	s.directs(agent)
	was := s.role(owned(agent))
	s.leaving(agent)
	var once sync.Once
	var gateway string
	remove := s.Proxy().AddHook(proxy.Hook{Before: func(c proxy.Call) proxy.Verdict {
		if c.Operation == "UpdateAssumeRolePolicy" && c.Resource == owned(agent) {
			once.Do(func() { gateway = s.holder("gateway", "late", owned(agent)) })
		}
		return proxy.Continue
	}})
	s.pass()
	s.until("the second look has seen the gateway", func() bool { return len(s.agent(keyOf(agent), agent).BlockedBy) > 0 })
	s.idle()
	remove()
	a := s.wantPhase(keyOf(agent), agent, status.PhaseRetiring)
	if len(a.BlockedBy) != 1 || a.BlockedBy[0].ARN != gateway || a.BlockedBy[0].Kind != "in-use" {
		s.t.Errorf("blocked by %+v, want %s", a.BlockedBy, gateway)
	}
	var trusts []bool
	for _, c := range s.Calls(proxy.Filter{Caller: "reconcile", Operation: "UpdateAssumeRolePolicy", Resource: owned(agent)}) {
		trusts = append(trusts, !policy.Quarantined(c.Request.Params()["PolicyDocument"], "bedrock-agentcore.amazonaws.com"))
	}
	if diff := cmp.Diff([]bool{false, true}, trusts); diff != "" {
		s.t.Errorf("whom the role trusted (-want +got)\n%s", diff)
	}
	if now := s.role(owned(agent)); now.ID != was.ID || !awsfake.Trusts(now.Trust, "bedrock-agentcore.amazonaws.com", gateway, account) || !cmp.Equal(now.Policies, was.Policies) {
		s.t.Errorf("role: %+v", now)
	}
	if claim, err := model.ParseClaim(s.get(naming.RoleClaimKey(agent))); err != nil || claim.Deleting != "" {
		s.t.Errorf("claim: %+v, %v", claim, err)
	}
}

func testRuntimeMadeAgain(s stack) {
	const agent = "again"
	key := keyOf(agent)
	s.directs(agent)
	id := s.deploy(agent, owned(agent))
	s.idle()
	s.undeploy(id, "")
	s.idle()
	s.wantPhase(key, agent, status.PhaseRetiring)
	s.settled(id)
	s.Proxy().Reset()
	id = s.deploy(agent, owned(agent))
	s.idle()
	a := s.wantPhase(key, agent, status.PhaseActive)
	if !a.RetireAfter.IsZero() || a.Runtimes[len(a.Runtimes)-1].ID != id {
		s.t.Errorf("agent: %+v", a)
	}
	if _, writes := s.iamCalls(); len(writes) > 0 {
		s.t.Errorf("writes: %v", writes)
	}
}

func testConfigUploadedAgain(s stack) {
	const agent = "returned"
	key := keyOf(agent)
	s.directs(agent)
	s.withdrawConfig(key)
	s.wantPhase(key, agent, status.PhaseRetiring)
	s.Proxy().Reset()
	s.directs(agent)
	s.wantPhase(key, agent, status.PhaseActive)
	if _, writes := s.iamCalls(); len(writes) > 0 {
		s.t.Errorf("writes: %v", writes)
	}
}

// testHandOver moves an agent from one config to another, which has waited for it.
func testHandOver(s stack) {
	const agent, from, to = "moved", "configs/from.yaml", "configs/to.yaml"
	s.upload(from, direct(agent))
	s.idle()
	id := s.deploy(agent, owned(agent))
	s.idle()
	was := s.role(owned(agent))
	s.upload(to, direct(agent))
	s.idle()
	if got := s.status(to); got.Outcome != status.Rejected || got.Problems[0].Code != "name-claimed" {
		s.t.Fatalf("status: %+v", got)
	}
	s.Proxy().Reset()
	s.withdrawConfig(from)
	if got := s.status(to); got.Outcome != status.Ready {
		s.t.Errorf("status: %+v", got)
	}
	if a := s.wantPhase(to, agent, status.PhaseActive); len(a.Runtimes) != 1 || a.Runtimes[0].ID != id {
		s.t.Errorf("agent: %+v", a)
	}
	if got := s.status(from); len(got.Agents) > 0 {
		s.t.Errorf("the config that was left: %+v", got)
	}
	if _, writes := s.iamCalls(); len(writes) != 1 || writes[0] != "TagRole "+owned(agent) {
		s.t.Errorf("writes: %v, want the tag with the config's key", writes)
	}
	if now := s.role(owned(agent)); now.ID != was.ID || now.Trust != was.Trust || now.Tags[model.TagConfig] != to {
		s.t.Errorf("role: %+v", now)
	}
	s.outlastGrace(to)
	s.pass()
	s.wantPhase(to, agent, status.PhaseActive)
}

// testForeignRuntime has a runtime come and go that is the agent's by its name
// alone.
func testForeignRuntime(s stack) {
	const agent = "namesake"
	key := keyOf(agent)
	s.directs(agent)
	id := s.deploy(agent, owned("lasting"))
	s.idle()
	if a := s.agent(key, agent); len(a.Runtimes) != 1 || a.Runtimes[0].ID != id || !a.Runtimes[0].Foreign {
		s.t.Errorf("agent: %+v", a)
	}
	s.undeploy(id, "")
	s.idle()
	if a := s.wantPhase(key, agent, status.PhaseActive); len(a.Runtimes) != 1 || !a.Runtimes[0].Gone {
		s.t.Errorf("agent: %+v", a)
	}
}

// testLostEvents has CloudTrail tell nothing of a runtime, as without a trail.
func testLostEvents(s stack) {
	const agent = "silent"
	key := keyOf(agent)
	s.directs(agent)
	s.Proxy().AgentCore().WatchAgentCore(nil)
	id := s.deploy(agent, owned(agent))
	s.idle()
	if a := s.agent(key, agent); len(a.Runtimes) > 0 {
		s.t.Fatalf("somebody told of the runtime: %+v", a)
	}
	s.pass()
	if a := s.wantPhase(key, agent, status.PhaseActive); len(a.Runtimes) != 1 || a.Runtimes[0].ID != id {
		s.t.Errorf("agent: %+v", a)
	}
	s.undeploy(id, "")
	s.pass()
	s.wantPhase(key, agent, status.PhaseRetiring)
	s.outlastGrace(key)
	s.pass()
	s.awaitPhase(status.PhaseRetired, agent)
	if !s.gone(owned(agent)) {
		s.t.Errorf("role %s is still there", owned(agent))
	}
}
