package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// grace is the grace period of stacks here: long enough to look at what is
// retiring, short enough to wait for.
const grace = "3s"

// A runtime is deleted, and what was made for its agent goes; then an operator
// has the roles restored.
func TestADeletedRuntimeTakesItsRolesWithIt(t *testing.T) {
	s := startWith(t, local.Options{Parameters: map[string]string{"GracePeriod": grace, "MaxDeletesPerHour": "2", "OperatorPrincipalArns": operatorARN}})
	const agent = "my_agent"
	key, runtime, build, project := keyOf(agent), owned(agent), naming.BuildRole(region, agent), naming.Project(agent)
	s.upload(key, container(agent))
	s.idle()
	version := s.source(agent, works, "1")
	s.idle()
	s.wantImage(key, agent, version)
	was := map[string]model.ObservedRole{runtime: s.role(runtime), build: s.role(build)}

	var id string
	t.Run("a runtime with the agent's role is told in the answer", func(t *testing.T) {
		s := s.in(t)
		id = s.deploy(agent, runtime)
		s.idle()
		a := s.wantPhase(key, agent, status.PhaseActive)
		if len(a.Runtimes) != 1 || a.Runtimes[0].ID != id || a.Runtimes[0].Gone || a.Runtimes[0].Foreign {
			t.Errorf("runtimes: %+v", a.Runtimes)
		}
	})

	t.Run("once it is deleted the grace period runs", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.undeploy(id, "")
		s.idle()
		a := s.wantPhase(key, agent, status.PhaseRetiring)
		if a.RetireAfter.IsZero() || s.sent("Agent Retiring", key) != 1 {
			t.Errorf("agent %+v, %d events", a, s.sent("Agent Retiring", key))
		}
		if _, writes := s.iamCalls(); len(writes) > 0 {
			t.Errorf("writes: %v", writes)
		}
	})

	t.Run("after it the pass has everything deleted but repository and images", func(t *testing.T) {
		s := s.in(t)
		s.outlastGrace(key)
		s.Proxy().Reset()
		s.pass()
		s.awaitPhase(status.PhaseRetired, agent)
		for name := range was {
			if !s.gone(name) {
				t.Errorf("role %s is still there", name)
			}
		}
		projects, err := codebuild.NewFromConfig(s.Config("admin")).BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{project}})
		if err != nil || len(projects.Projects) > 0 {
			t.Errorf("projects: %+v, %v", projects, err)
		}
		if s.digest(naming.Repository(agent), model.ImageTag(version)) == "" {
			t.Error("the image is gone")
		}
		if claim := s.get(naming.RoleClaimKey(agent)); claim != nil {
			t.Errorf("the claim on the roles: %s", claim)
		}
		if claim, err := model.ParseClaim(s.get(naming.ProjectClaimKey(agent))); err != nil || !claim.Free || claim.RepositoryCreated.IsZero() || !claim.ProjectCreated.IsZero() {
			t.Errorf("the claim on the repository: %+v, %v", claim, err)
		}
		if n := s.sent("Agent Roles Deleted", key); n != 1 {
			t.Errorf("%d events Agent Roles Deleted", n)
		}
		if got := s.status(key); got.Outcome != status.Retired {
			t.Errorf("status: %+v", got)
		}
	})

	t.Run("in an order in which every cut can be mended", func(t *testing.T) { testOrderOfDeletion(s.in(t), key, agent) })
	t.Run("with few calls", func(t *testing.T) { testCallsOfDeletion(s.in(t)) })

	t.Run("and what it was is in the archive", func(t *testing.T) {
		s := s.in(t)
		archived := map[string]model.ObservedRole{}
		for name, o := range was { // IAM alone knows when a role was last used
			o.LastUsed = time.Time{}
			was[name] = o
		}
		for _, a := range s.archives() {
			if a.Reason != model.ArchiveRetired || a.Config != key || a.Agent != agent {
				t.Errorf("archive: %+v", a)
			}
			archived[a.Role.Name] = a.Role
		}
		if diff := cmp.Diff(was, archived); diff != "" || len(s.archives()) != 2 {
			t.Errorf("%d archives (-role as it was +archived):\n%s", len(s.archives()), diff)
		}
		if list := string(s.tool("operator", 0, "archive")); !strings.Contains(list, runtime) || !strings.Contains(list, build) {
			t.Errorf("rolekeeper archive tells:\n%s", list)
		}
	})

	t.Run("a further pass finds nothing to do", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.pass()
		if calls := s.Calls(proxy.Filter{Caller: "reconcile"}); len(calls) > 0 {
			t.Errorf("reconcile looked at something: %+v", calls)
		}
	})

	t.Run("an operator has the roles restored", func(t *testing.T) { testRestore(s.in(t), key, agent, version, was) })

	t.Run("more roles go within the hour only if an operator lets them", func(t *testing.T) { testBrake(s.in(t)) })

	s.wantNothingLost()
	for _, err := range s.Errors() {
		t.Errorf("local AWS: %v", err)
	}
}

// testOrderOfDeletion goes by the log of a deletion's calls: nothing is taken
// from anybody before it is archived and noted, and nothing is deleted before its
// roles are denied to all and the second look has proven that nothing uses them.
func testOrderOfDeletion(s stack, key, agent string) {
	claim, archive, answer := "/"+naming.RoleClaimKey(agent), "/"+naming.ArchivePrefix, "/"+naming.StatusKey(key)
	lists := []string{"ListAgentRuntimes", "ListBrowsers", "ListCapacityProviders", "ListCodeInterpreters", "ListConsentPortals", "ListGateways", "ListHarnesses", "ListMemories", "ListOnlineEvaluationConfigs", "ListPaymentManagers", "ListProjects"}
	look := func(c proxy.Call) string {
		if slices.Contains(lists, c.Operation) {
			return "list what may use roles"
		}
		return ""
	}
	write := func(c proxy.Call) string {
		switch {
		case c.Operation == "PutObject" && strings.HasSuffix(c.Resource, claim):
			var now model.Claim
			if err := json.Unmarshal([]byte(c.Request.Body), &now); err == nil && now.Deleting != "" {
				return "mark the claim"
			}
		case c.Operation == "PutObject" && strings.Contains(c.Resource, archive):
			return "archive"
		case c.Operation == "PutObject" && strings.HasSuffix(c.Resource, answer):
			got, err := status.Parse([]byte(c.Request.Body))
			if err != nil {
				s.t.Error(err)
			}
			a, _ := got.Agent(agent)
			return "answer " + string(a.Phase)
		case c.Operation == "SendMessage":
			return "wake"
		case c.Operation == "UpdateAssumeRolePolicy":
			if !policy.Quarantined(c.Request.Params()["PolicyDocument"], "codebuild.amazonaws.com") && !policy.Quarantined(c.Request.Params()["PolicyDocument"], "bedrock-agentcore.amazonaws.com") {
				s.t.Errorf("the trust is %s", c.Request.Params()["PolicyDocument"])
			}
			return "quarantine"
		case c.Operation == "DeleteProject":
			return "delete project"
		case c.Operation == "DeleteRolePolicy" || c.Operation == "DeleteRole":
			return "delete " + strings.Split(c.Resource, "-")[0]
		case c.Operation == "DeleteObject" && strings.HasSuffix(c.Resource, claim):
			return "release the claim"
		case c.Operation == "PutEvents":
			return "tell"
		}
		return ""
	}
	var got []string
	for _, c := range s.Calls(proxy.Filter{Caller: "reconcile"}) {
		what := look(c)
		if what == "" {
			what = write(c)
		}
		if what != "" && (len(got) == 0 || got[len(got)-1] != what) {
			got = append(got, what)
		}
	}
	want := []string{
		"list what may use roles", "mark the claim", "archive", "wake", "answer quarantined", "quarantine",
		"list what may use roles", "delete project", "delete AmazonBedrockAgentCoreSDKCodeBuild", "delete AmazonBedrockAgentCoreSDKRuntime",
		"release the claim", "tell", "answer retired",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("what was done (-want +got)\n%s", diff)
	}
}

// testCallsOfDeletion counts the calls from the pass on that finds the agent due.
// 57 of them are what the deletion is made of: everything that may hold a role is
// listed twice (24, with the roles of the one project that there is), what goes
// is read whole twice (26, with the builds of the project), and written (7). The
// others are the bucket's objects and messages, and what the pass, the first one,
// reads of the account.
func testCallsOfDeletion(s stack) {
	most := map[string]int{
		"drift bedrock-agentcore": 1, "drift codebuild": 1, "drift iam": 5, "drift s3": 14, "drift sqs": 1, "drift ssm": 1, "intake sqs": 1, "reconcile bedrock-agentcore": 20,
		"reconcile codebuild": 11, "reconcile events": 1, "reconcile iam": 26, "reconcile s3": 30, "reconcile sqs": 1,
	}
	const mostWrites = 6
	all, writes, services, table := 0, 0, map[string]int{}, map[string]int{}
	for _, c := range s.Calls(proxy.Filter{}) {
		if _, ours := s.Stack().Functions[c.Caller]; !ours {
			continue
		}
		all++
		services[c.Caller+" "+c.Service]++
		table[fmt.Sprintf("%-10s %-18s %s", c.Caller, c.Service, c.Operation)]++
		if c.Service == "iam" && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") {
			writes++
		}
	}
	var lines []string
	for _, line := range slices.Sorted(maps.Keys(table)) {
		lines = append(lines, fmt.Sprintf("%3d %s", table[line], line))
	}
	s.t.Logf("%d calls, %d of them write IAM:\n%s", all, writes, strings.Join(lines, "\n"))
	if writes > mostWrites {
		s.t.Errorf("%d calls write IAM, want at most %d", writes, mostWrites)
	}
	for service, n := range services {
		if n > most[service] {
			s.t.Errorf("%s is called %d times, want at most %d", service, n, most[service])
		}
	}
}

// testRestore has both roles put back: what is restored is held until it is
// released, and then is what any agent is.
func testRestore(s stack, key, agent, version string, was map[string]model.ObservedRole) {
	runtime, build := owned(agent), naming.BuildRole(region, agent)
	for _, role := range []string{runtime, roleARN(build)} {
		told := string(s.tool("operator", 0, "restore", role, "--yes"))
		if !strings.Contains(told, "new unique id") {
			s.t.Errorf("rolekeeper restore %s does not tell what cannot be the same:\n%s", role, told)
		}
	}
	s.idle()
	a := s.wantPhase(key, agent, status.PhaseHeld)
	if a.RuntimeRoleARN != roleARN(runtime) || a.BuildRoleARN != roleARN(build) {
		s.t.Errorf("agent: %+v", a)
	}
	restored := map[string]model.ObservedRole{}
	for name, before := range was {
		now := s.role(name)
		if now.ID == before.ID {
			s.t.Errorf("role %s has its old id %s", name, now.ID)
		}
		now.ID = before.ID
		if diff := cmp.Diff(before, now); diff != "" {
			s.t.Errorf("role %s (-archived +restored)\n%s", name, diff)
		}
		restored[name] = s.role(name)
	}

	// Time does nothing to it.
	s.Proxy().Reset()
	s.pass()
	s.upload(keyOf("other"), direct("other"))
	s.idle()
	s.wantPhase(key, agent, status.PhaseHeld)

	// Its runtimes are gone and the config is what it was, so that the grace period
	// begins; a new upload ends it.
	s.tool("operator", 0, "release", key, agent, "--yes")
	s.idle()
	s.wantPhase(key, agent, status.PhaseRetiring)
	s.Proxy().Reset()
	s.upload(key, container(agent)+"# again\n")
	s.idle()
	s.wantPhase(key, agent, status.PhaseActive)
	for name, before := range restored {
		if diff := cmp.Diff(before, s.role(name), cmpopts.IgnoreFields(model.ObservedRole{}, "LastUsed")); diff != "" { // a build may have begun
			s.t.Errorf("role %s (-restored +now)\n%s", name, diff)
		}
	}
	if _, writes := s.iamCalls(); len(writes) > 0 {
		s.t.Errorf("writes: %v", writes)
	}
	s.wantImage(key, agent, version)
	s.pass()
	s.wantPhase(key, agent, status.PhaseActive)
}

// testBrake has another agent due after two roles were deleted, which is as many as
// an hour allows.
func testBrake(s stack) {
	const agent = "one_more"
	key := keyOf(agent)
	s.directs(agent)
	s.leaving(agent)
	s.Proxy().Reset()
	for range 2 {
		s.pass()
		a := s.wantPhase(key, agent, status.PhaseRetiring)
		if len(a.BlockedBy) != 1 || a.BlockedBy[0].ARN != roleARN(owned(agent)) || a.BlockedBy[0].Kind != "brake" {
			s.t.Errorf("blocked by %+v", a.BlockedBy)
		}
	}
	if _, writes := s.iamCalls(); len(writes) > 0 || s.sent("Role Deletion Blocked", key) != 1 {
		s.t.Errorf("writes: %v; %d events Role Deletion Blocked", writes, s.sent("Role Deletion Blocked", key))
	}
	s.waitForLog("reconcile", `"deletion brake"`) // DeletionBrakeFilter counts these lines
	s.tool("operator", 0, "approve", key, "--yes", "--wait=false")
	s.idle()
	s.awaitPhase(status.PhaseRetired, agent)
	if !s.gone(owned(agent)) {
		s.t.Errorf("role %s is still there", owned(agent))
	}
	if got := s.status(key).Requests; len(got) != 1 || got[0].Outcome != status.RequestDone {
		s.t.Errorf("requests: %+v", got)
	}
}
