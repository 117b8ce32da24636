package reconcile_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/status"
)

var (
	histories    = flag.Uint64("histories", 200, "how many random histories of agents that come and go are played")
	firstHistory = flag.Uint64("history", 0, "seed of the first of them")
)

// Configs come, change and go, runtimes and whatever else holds a role too, people
// change roles by hand, events are lost, repeated and late, statuses lost and
// forged, functions killed, throttled and denied, their clocks wrong. Nothing that
// was in use when runtimes were last listed loses its role, what is not ours is not
// touched, what is deleted is in the archive, and once all is quiet there is what
// the configs ask for. -history N -histories 1 plays one history again; what
// happened in it is told when it fails.
//
// Each guard was taken out of the pipeline once, to see the histories fail. Within
// the first 250 they do without: the second proof, the archive, the roles that
// other agents of the config need, the look at the trust and at instance profiles,
// the uses (of runtimes in DELETING and in DELETE_FAILED, of others than runtimes,
// of projects, also of one that has the agent's name and is somebody else's), the
// brake, the wake-up that ends a quarantine, the comparison of unique ids, that of
// teams, the hold. Within 2,500 more they do without: the age of the proof, what
// changed in quarantine, the time of the last use, the rollback, old versions of
// runtimes. When the second inventory was begun (notBefore) they do not see, since
// a quarantine is as long as an inventory is fresh;
// TestAUseInQuarantineGivesTheRoleBack and the tests of the inventory do.
func TestNothingThatIsInUseIsEverTakenAway(t *testing.T) {
	saw, mu := map[string]int{}, sync.Mutex{}
	t.Run("history", func(t *testing.T) {
		for n := range *histories {
			seed := *firstHistory + n
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, seed)
				h.play()
				mu.Lock()
				defer mu.Unlock()
				for what := range h.saw {
					saw[what]++
				}
			})
		}
	})
	for _, what := range slices.Sorted(maps.Keys(saw)) {
		t.Logf("%6d of %d histories had %s", saw[what], *histories, what)
	}
	for _, what := range []string{"a deletion", "a re-creation", "a refusal", "a rollback", "a hand-over", "a restore", "a brake"} {
		if saw[what] == 0 && *histories >= 200 {
			t.Errorf("no history had %s", what)
		}
	}
}

// config is a config that stands.
type config struct {
	entries map[string]entry // by agent
	broken  bool
}

// entry is an agent of a config.
type entry struct {
	container, a2a bool
	shares         string // agent whose role it is to run with; empty for its own
}

const (
	elsewhere = "999999999999"
	managed   = "arn:aws:iam::123456789012:policy/by-hand"
	foreign   = "somebody-elses-role"
	// unreadable is a policy that IAM takes and that package policy does not read.
	unreadable = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Of":"a later time"}]}`
)

var keys = []string{"configs/red/one.yaml", "configs/red/two.yaml", "configs/red/three.yaml", "configs/blue/four.yaml"}

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // a history is to be repeatable
	h := &history{
		world: newWorld(t), rand: r, configs: map[string]config{}, had: map[string]bool{}, strange: map[string]bool{}, closed: map[string]time.Time{},
		kept: map[string]model.Archive{}, gone: map[string]bool{}, forged: map[string]bool{}, approved: map[string]bool{}, saw: map[string]int{},
		markers: map[string]string{}, whole: map[string]int{}, running: map[string]string{}, glimpsed: map[string]string{}, restored: map[string]string{},
	}
	h.operators = true
	h.grace = pick(r, time.Hour, 6*time.Hour, 24*time.Hour)
	h.most = pick(r, 2, 2, 3, 20)
	h.empties = r.IntN(4) == 0
	h.teams = r.IntN(2) == 0
	h.skews = r.IntN(4) == 0
	always := func(string, string) bool { return true }
	h.cloud.AssumeAgentCoreRoles(always)
	h.cloud.AssumeRoles(always)
	h.cloud.SettleAgentCore(time.Duration(r.IntN(120))*time.Second, time.Duration(r.IntN(300))*time.Second)
	h.cloud.PageAgentCore(r.IntN(3))
	h.cloud.AddPolicy(managed, ordersPolicy)
	h.admin().createRole(foreign, runtimeTrust)
	h.note("grace %s, at most %d an hour, teams %t, skews %t, repositories %t", h.grace, h.most, h.teams, h.skews, h.empties)
	h.hooks()
	return h
}

func pick[V any](r *rand.Rand, of ...V) V { return of[r.IntN(len(of))] }

// moves are what can happen next, each as often as its weight says.
var moves = []struct {
	weight int
	do     func(*history)
}{
	{13, (*history).uploads},
	{2, (*history).uploadsRubbish},
	{12, (*history).removes},
	{3, (*history).undeletes},
	{3, (*history).uploadsAgain},
	{5, (*history).begin},
	{10, (*history).deploys},
	{4, (*history).updates},
	{2, (*history).pins},
	{12, (*history).undeploys},
	{10, (*history).endUse},
	{5, (*history).uses},
	{3, (*history).profiles},
	{7, (*history).edits},
	{2, (*history).replaces},
	{2, (*history).leaves},
	{3, (*history).losesEvents},
	{3, (*history).repeatsEvents},
	{1, (*history).invents},
	{4, (*history).damages},
	{12, (*history).troubles},
	{10, (*history).asks},
	{5, (*history).pass},
	{30, (*history).waits},
}

func (h *history) play() {
	total := 0
	for _, m := range moves {
		total += m.weight
	}
	h.uploads()
	for range 20 + h.rand.IntN(40) {
		n := h.rand.IntN(total)
		for _, m := range moves {
			if n -= m.weight; n < 0 {
				m.do(h)
				break
			}
		}
		h.lossy = h.rand.IntN(20) == 0
		drained := false
		switch h.rand.IntN(4) {
		case 0: // at once the next
		case 1, 2:
			drained = h.run(time.Duration(h.rand.IntN(15*60*1000)) * time.Millisecond)
		case 3:
			drained = h.run(time.Duration(h.rand.IntN(5*3600)) * time.Second)
		}
		h.lossy = false
		if drained && h.trouble.left == 0 {
			h.rest()
		}
		h.remember()
		h.cloud.ForgetCalls()
		if h.t.Failed() {
			return
		}
	}
	h.comesToRest()
}

// remember keeps some of what could come again.
func (h *history) remember() {
	for _, m := range h.cloud.Messages(h.inbox) {
		if len(h.messages) < 40 {
			h.messages = append(h.messages, m.Body)
		}
	}
	key := pick(h.rand, keys...)
	if body, there := h.cloud.Objects(bucket, naming.StatusKey(key))[naming.StatusKey(key)]; there && h.rand.IntN(4) == 0 {
		h.statuses = append(h.statuses, upload{key, string(body)})
	}
}

// What developers do.

func (h *history) uploads() {
	key, c := pick(h.rand, keys...), config{entries: map[string]entry{}}
	for _, name := range agents {
		if h.rand.IntN(5) < 2 {
			e := entry{container: h.rand.IntN(6) == 0, a2a: h.rand.IntN(4) == 0}
			if other := pick(h.rand, agents...); h.rand.IntN(6) == 0 && other != name {
				e = entry{shares: other}
			}
			c.entries[name] = e
		}
	}
	if len(c.entries) == 0 {
		c.entries[pick(h.rand, agents...)] = entry{}
	}
	h.puts(key, c, c.text())
}

func (c config) text() string {
	var b strings.Builder
	b.WriteString("agents:\n")
	for _, name := range slices.Sorted(maps.Keys(c.entries)) {
		e := c.entries[name]
		kind, more := "direct_code_deploy", " {}"
		if e.container {
			kind = "container"
		}
		switch {
		case e.shares != "":
			more = "\n      execution_role: " + runtimeRole(e.shares)
		case e.a2a:
			more = "\n      protocol_configuration:\n        server_protocol: A2A"
		}
		fmt.Fprintf(&b, "  %[1]s:\n    name: %[1]s\n    entrypoint: main.py\n    deployment_type: %s\n    aws:%s\n", name, kind, more)
	}
	return b.String()
}

func (h *history) puts(key string, c config, body string) {
	h.note("upload %s: %q", key, strings.Fields(strings.ReplaceAll(body, "entrypoint: main.py", "")))
	h.changes(slices.Sorted(maps.Keys(h.configs[key].entries))...)
	h.changes(slices.Sorted(maps.Keys(c.entries))...)
	h.configs[key] = c
	h.bodies = append(h.bodies, uploaded{key, c, body})
	delete(h.markers, key)
	h.upload(key, body)
}

func (h *history) uploadsRubbish() {
	h.puts(pick(h.rand, keys...), config{broken: true}, pick(h.rand, "agents: {}\n", "agents: [", "agents:\n  alpha:\n    name: 1x\n"))
}

func (h *history) uploadsAgain() {
	if len(h.bodies) > 0 {
		u := pick(h.rand, h.bodies...)
		h.puts(u.key, u.config, u.body)
	}
}

func (h *history) removes() {
	key := pick(h.rand, keys...)
	if _, stands := h.configs[key]; !stands {
		return
	}
	h.note("remove %s", key)
	out, err := h.cloud.S3("developer").DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key})
	h.must(out, err)
	h.markers[key] = aws.ToString(out.VersionId)
	h.changes(slices.Sorted(maps.Keys(h.configs[key].entries))...)
	delete(h.configs, key)
}

// undeletes takes a delete marker away: the version before is there again.
func (h *history) undeletes() {
	for _, key := range slices.Sorted(maps.Keys(h.markers)) {
		marker := h.markers[key]
		h.note("undelete %s", key)
		h.must(h.cloud.S3("developer").DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key, VersionId: &marker}))
		delete(h.markers, key)
		for _, u := range slices.Backward(h.bodies) {
			if u.key == key {
				h.configs[key] = u.config
				h.changes(slices.Sorted(maps.Keys(u.config.entries))...)
				return
			}
		}
	}
}

// control sends a request to AgentCore; what it refuses does not happen.
func (h *history) ask(method, path, query, body string) map[string]any {
	_, answer, err := h.cloud.ServeAgentCore("developer", method, path, query, []byte(body))
	if err != nil {
		return nil
	}
	var out map[string]any
	if err := json.Unmarshal(answer, &out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

// held notes that something holds a role from now on.
func (h *history) held(u holder) {
	u.began = h.passes
	h.holders = append(h.holders, &u)
	h.note("  %s has role %s", u.what, u.role)
}

// deploys makes a runtime.
func (h *history) deploys() {
	name := pick(h.rand, append(slices.Clone(agents), "stranger")...)
	role := runtimeRole(name)
	if h.rand.IntN(5) == 0 {
		role = pick(h.rand, foreign, runtimeRole(pick(h.rand, agents...)), buildRole(pick(h.rand, agents...)))
	}
	if !h.hasRole(role) {
		return
	}
	out := h.ask("PUT", "/runtimes/", "", fmt.Sprintf(`{"agentRuntimeName":%q,"roleArn":%q,"agentRuntimeArtifact":{"containerConfiguration":{"containerUri":"x"}}}`, name, h.arn(role)))
	id, made := out["agentRuntimeId"].(string)
	if !made {
		return
	}
	h.runtimes = append(h.runtimes, id)
	h.versioned(id, "1", role)
}

func (h *history) versioned(id, version, role string) {
	if name, _ := naming.RuntimeAgent(id); role == runtimeRole(name) {
		h.had[name] = true
	}
	h.held(holder{what: "runtime " + id + " version " + version, get: "/runtimes/" + id + "/", query: "version=" + version, role: role, remove: "/runtimes/" + id + "/"})
}

// updates gives a runtime another role.
func (h *history) updates() {
	if len(h.runtimes) == 0 {
		return
	}
	id, role := pick(h.rand, h.runtimes...), pick(h.rand, foreign, runtimeRole(pick(h.rand, agents...)))
	if !h.hasRole(role) {
		return
	}
	out := h.ask("PUT", "/runtimes/"+id+"/", "", fmt.Sprintf(`{"roleArn":%q,"agentRuntimeArtifact":{"containerConfiguration":{"containerUri":"x"}}}`, h.arn(role)))
	if version, made := out["agentRuntimeVersion"].(string); made {
		name, _ := naming.RuntimeAgent(id)
		delete(h.running, name)
		delete(h.glimpsed, name)
		h.versioned(id, version, role)
	}
}

// pins has an endpoint lead to a version.
func (h *history) pins() {
	if len(h.runtimes) == 0 {
		return
	}
	id := pick(h.rand, h.runtimes...)
	if h.ask("PUT", "/runtimes/"+id+"/runtime-endpoints/", "", fmt.Sprintf(`{"name":"pinned","agentRuntimeVersion":"%d"}`, 1+h.rand.IntN(2))) == nil {
		h.ask("DELETE", "/runtimes/"+id+"/runtime-endpoints/pinned/", "", "")
	}
}

// undeploys deletes a runtime, or is not able to.
func (h *history) undeploys() {
	if len(h.runtimes) == 0 {
		return
	}
	living := slices.DeleteFunc(slices.Clone(h.runtimes), func(id string) bool { return h.ask("GET", "/runtimes/"+id+"/", "", "") == nil })
	if len(living) == 0 {
		return
	}
	id := pick(h.rand, living...)
	fails := h.rand.IntN(6)
	if fails == 0 {
		h.cloud.FailAgentCoreDeletion(id, true)
	} else {
		h.cloud.FailAgentCoreDeletion(id, false)
	}
	if h.ask("DELETE", "/runtimes/"+id+"/", "", "") == nil {
		return
	}
	h.note("delete runtime %s (%d)", id, fails)
	if fails == 1 {
		h.cloud.SetAgentCoreStatus(id, model.RuntimeDeleting) // for ever
	}
}

// holding are kinds of what holds a role: how it is made, and below which path it
// is then. The %s are a name, and the ARN of the role.
var holding = []struct{ what, method, path, body, id, get, remove string }{
	{"gateway", "POST", "/gateways/", `{"name":%q,"roleArn":%q}`, "gatewayId", "/gateways/%s/", "/gateways/%s/"},
	{"memory", "POST", "/memories/create", `{"name":%q,"memoryExecutionRoleArn":%q}`, "memory.id", "/memories/%s/details", "/memories/%s/delete"},
	{"browser", "PUT", "/browsers", `{"name":%q,"executionRoleArn":%q}`, "browserId", "/browsers/%s", "/browsers/%s"},
	{"code interpreter", "PUT", "/code-interpreters", `{"name":%q,"executionRoleArn":%q}`, "codeInterpreterId", "/code-interpreters/%s", "/code-interpreters/%s"},
	{"harness", "POST", "/harnesses", `{"harnessName":%q,"executionRoleArn":%q}`, "harness.harnessId", "/harnesses/%s", "/harnesses/%s"},
	{"evaluation", "POST", "/online-evaluation-configs/create", `{"onlineEvaluationConfigName":%q,"evaluationExecutionRoleArn":%q}`, "onlineEvaluationConfigId", "/online-evaluation-configs/%s", "/online-evaluation-configs/%s"},
	{"payment manager", "POST", "/payments/managers", `{"name":%q,"roleArn":%q}`, "paymentManagerId", "/payments/managers/%s", "/payments/managers/%s"},
	{"capacity provider", "PUT", "/capacity-providers", `{"name":%q,"permissionsConfiguration":{"capacityProviderOperatorRoleArn":%q}}`, "capacityProviderId", "/capacity-providers/%s", "/capacity-providers/%s"},
}

// begin has something begin to use a role of an agent.
func (h *history) begin() {
	ours := h.ourRoles()
	if len(ours) == 0 {
		return
	}
	role, k := pick(h.rand, ours...), pick(h.rand, holding...)
	if shut := slices.DeleteFunc(ours, func(name string) bool { return !h.quarantined(name, h.role(name).Trust) }); len(shut) > 0 {
		role = pick(h.rand, shut...)
	}
	h.named++
	if strings.HasPrefix(role, naming.BuildRolePrefix) || h.rand.IntN(10) == 0 {
		name := fmt.Sprint("project-", h.named)
		if h.rand.IntN(3) == 0 && !slices.Contains(h.cloud.Projects(), naming.Project(h.agentOf(role))) {
			name = naming.Project(h.agentOf(role))
		}
		h.makesProject(name, role)
		return
	}
	out := h.ask(k.method, k.path, "", fmt.Sprintf(k.body, fmt.Sprint("x", h.named), h.arn(role)))
	member := k.id
	if in, rest, wrapped := strings.Cut(k.id, "."); wrapped {
		out, _ = out[in].(map[string]any)
		member = rest
	}
	id, made := out[member].(string)
	if !made {
		h.wrong("%s: not made: %v", k.what, out)
		return
	}
	h.held(holder{what: k.what + " " + id, get: fmt.Sprintf(k.get, id), remove: fmt.Sprintf(k.remove, id), role: role})
}

func (h *history) makesProject(name, role string) {
	h.must(h.cloud.CodeBuild("admin").CreateProject(context.Background(), &codebuild.CreateProjectInput{
		Name: &name, ServiceRole: aws.String(h.arn(role)),
		Source:      &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String("version: 0.2")},
		Artifacts:   &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Environment: &types.ProjectEnvironment{Type: types.EnvironmentTypeLinuxContainer, Image: aws.String("image"), ComputeType: types.ComputeTypeBuildGeneral1Small},
	}))
	h.strange[name] = true
	h.held(holder{what: "project " + name, project: name, role: role})
}

// endUse has something that uses a role go; of a runtime with several versions,
// perhaps one of those.
func (h *history) endUse() {
	all := h.living()
	if len(all) == 0 {
		return
	}
	u := pick(h.rand, all...)
	h.note("  %s goes", u.what)
	if u.project != "" {
		h.must(h.cloud.CodeBuild("admin").DeleteProject(context.Background(), &codebuild.DeleteProjectInput{Name: &u.project}))
		delete(h.strange, u.project)
		return
	}
	query := u.query
	if h.rand.IntN(2) == 0 {
		query = ""
	}
	h.ask("DELETE", u.remove, query, "")
}

// uses has a role be assumed, as far as IAM says.
func (h *history) uses() {
	if ours := h.ourRoles(); len(ours) > 0 {
		role, at := pick(h.rand, ours...), h.cloud.Now().Add(time.Hour-time.Duration(h.rand.IntN(pick(h.rand, 4, 40)))*time.Hour)
		h.note("%s was used at %s", role, at.Format(time.TimeOnly))
		h.cloud.UseRole(role, at)
	}
}

// profiles puts a role into an instance profile, or takes it out of one of
// another name.
func (h *history) profiles() {
	ours := h.ourRoles()
	if len(ours) == 0 {
		return
	}
	role := pick(h.rand, ours...)
	for _, p := range h.profilesOf(role) {
		if p != role {
			h.note("%s leaves instance profile %s", role, p)
			h.admin().leave(role, p)
			return
		}
	}
	if p := pick(h.rand, role, "by-hand"); !slices.Contains(h.profilesOf(role), p) {
		h.note("%s comes into instance profile %s", role, p)
		h.cloud.PutIntoInstanceProfile(role, p)
	}
}

// edits changes a role by hand.
func (h *history) edits() {
	ours := h.ourRoles()
	if len(ours) == 0 {
		return
	}
	name, ctx, a := pick(h.rand, ours...), context.Background(), h.admin()
	o := h.role(name)
	h.changes(h.agentOf(name))
	what := pick(h.rand, "tags", "policy", "attach", "detach", "trust", "narrow", "boundary", "no policy", "settings")
	h.note("%s by hand: %s", name, what)
	switch what {
	case "tags":
		a.must(a.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &name, TagKeys: slices.Sorted(maps.Keys(o.Tags))}))
	case "policy":
		if h.rand.IntN(8) == 0 {
			a.putPolicy(name, "unreadable", unreadable)
			break
		}
		a.putPolicy(name, fmt.Sprint("by-hand-", h.rand.IntN(2)), strings.ReplaceAll(ordersPolicy, "GetItem", pick(h.rand, "GetItem", "PutItem")))
	case "attach":
		a.must(a.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: aws.String(managed)}))
	case "detach":
		if slices.Contains(o.Attached, managed) {
			a.must(a.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: aws.String(managed)}))
		}
	case "trust":
		a.trust(name, strings.Replace(trustOf(name), `"Service"`, `"AWS":"`+elsewhere+`","Service"`, 1))
	case "narrow":
		if strings.Contains(o.Trust, elsewhere) {
			a.trust(name, trustOf(name))
		}
	case "boundary":
		a.must(a.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))
	case "no policy":
		for _, p := range slices.Sorted(maps.Keys(o.Policies)) {
			a.deletePolicy(name, p)
			break
		}
	case "settings":
		a.must(a.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &name, Description: aws.String("by hand"), MaxSessionDuration: aws.Int32(7200)}))
	}
	if _, was := h.closed[o.ID]; was && !h.quarantined(name, h.role(name).Trust) {
		delete(h.closed, o.ID)
	}
}

// trustOf gives a trust that lets in who is to assume a role.
func trustOf(role string) string {
	service := "bedrock-agentcore.amazonaws.com"
	if strings.HasPrefix(role, naming.BuildRolePrefix) {
		service = "codebuild.amazonaws.com"
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}]}`
}

// replaces has somebody delete a role of ours, or a project, and perhaps make it anew.
func (h *history) replaces() {
	ours := h.ourRoles()
	if len(ours) == 0 {
		return
	}
	name, again := pick(h.rand, ours...), h.rand.IntN(2) == 0
	if project := naming.Project(h.agentOf(name)); slices.Contains(h.cloud.Projects(), project) && !h.strange[project] && h.rand.IntN(2) == 0 {
		h.note("somebody deletes project %s, and makes it anew: %t", project, again)
		h.must(h.cloud.CodeBuild("admin").DeleteProject(context.Background(), &codebuild.DeleteProjectInput{Name: &project}))
		h.cloud.Advance(2 * time.Second) // a project is known by the second it was made in
		if again {
			h.makesProject(project, name)
		}
		return
	}
	h.note("somebody deletes %s, and makes it anew: %t", name, again)
	o := h.wipe(name)
	if again {
		in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trustOf(name)), PermissionsBoundary: aws.String(boundary)}
		for k, v := range o.Tags {
			if k != model.TagCreation { // of a role that was not recorded yet, it would make it ours
				in.Tags = append(in.Tags, tag(k, v))
			}
		}
		h.must(h.cloud.IAM("admin").CreateRole(context.Background(), in))
		h.strange[strings.ToLower(name)] = true
	}
}

// wipe deletes a role by hand.
func (h *history) wipe(name string) model.ObservedRole {
	h.changes(h.agentOf(name))
	a, o := h.admin(), h.role(name)
	for p := range o.Policies {
		a.deletePolicy(name, p)
	}
	for _, arn := range o.Attached {
		a.must(a.DetachRolePolicy(context.Background(), &iam.DetachRolePolicyInput{RoleName: &name, PolicyArn: &arn}))
	}
	for _, p := range h.profilesOf(name) {
		a.leave(name, p)
	}
	a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &name}))
	delete(h.strange, strings.ToLower(name))
	h.bereave(name)
	return o
}

// leaves has somebody take away what he made under the name of one of ours.
func (h *history) leaves() {
	for _, name := range h.cloud.RoleNames() {
		if h.strange[strings.ToLower(name)] {
			h.note("somebody deletes his role %s", name)
			h.wipe(name)
			return
		}
	}
}

// What happens to events, to what is remembered, and to calls.

func (h *history) losesEvents() {
	for _, url := range []string{h.inbox, h.work} {
		for {
			e := h.cloud.Receive(url, 10)
			if len(e.Records) == 0 {
				break
			}
			h.note("%d events are lost", len(e.Records))
			h.cloud.Done(url, e, nil)
		}
	}
}

func (h *history) repeatsEvents() {
	for range 1 + h.rand.IntN(5) {
		if len(h.messages) > 0 {
			body := pick(h.rand, h.messages...)
			if h.rand.IntN(3) == 0 {
				body = strings.ReplaceAll(body, `"2026-`, `"2025-`)
			}
			h.note("an event once more: %.80s", body)
			h.cloud.Put(h.inbox, body)
		}
	}
}

// invents has CloudTrail tell of a runtime that there is not.
func (h *history) invents() {
	id := pick(h.rand, append(slices.Clone(agents), "nobody")...) + "-0123456789"
	h.note("an event of runtime %s", id)
	h.cloud.Put(h.inbox, fmt.Sprintf(`{"source":%q,"detail-type":%q,"account":"123456789012","region":"us-east-1","time":"2026-05-01T00:00:00Z","detail":{"eventSource":"bedrock-agentcore.amazonaws.com","eventName":%q,"requestParameters":{"agentRuntimeId":%q}}}`,
		awsfake.TrailEventSource, awsfake.TrailEventDetailType, pick(h.rand, "DeleteAgentRuntime", "CreateAgentRuntime"), id))
}

// damages changes a status behind everybody's back.
func (h *history) damages() {
	key := pick(h.rand, keys...)
	s, there := h.parsed(key)
	if !there {
		return
	}
	h.changes(agents...)
	name, what := naming.StatusKey(key), pick(h.rand, "lost", "damaged", "old", "forged", "forged")
	h.note("status of %s: %s", key, what)
	switch what {
	case "lost":
		h.lose(name)
		return
	case "damaged":
		h.putInto(bucket, name, "{")
		return
	case "old":
		if i := slices.IndexFunc(h.statuses, func(u upload) bool { return u.key == key }); i >= 0 {
			h.forged[key] = true
			h.putInto(bucket, name, h.statuses[i].body)
		}
		return
	}
	h.forged[key] = true
	var archives []string
	for key := range h.cloud.Objects(bucket, naming.ArchivePrefix) {
		archives = append(archives, key)
	}
	slices.Sort(archives)
	for i := range s.Agents {
		a := &s.Agents[i]
		if h.rand.IntN(2) == 0 {
			continue
		}
		past := h.cloud.Now().Add(-time.Hour).UTC()
		a.Phase = pick(h.rand, status.PhaseQuarantined, status.PhaseQuarantined, status.PhaseRetiring, status.PhaseRetired, status.PhaseHeld)
		a.PhaseVersion = pick(h.rand, "", s.Config.VersionID)
		a.RetireAfter, a.DeleteAfter, a.RetirementID = past, past, "20261101T000000Z-0123456789ab"
		if c, err := model.ParseClaim(h.cloud.Objects(bucket, naming.RoleClaimKey(a.Name))[naming.RoleClaimKey(a.Name)]); err == nil && c.Deleting != "" && h.rand.IntN(2) == 0 {
			a.RetirementID = c.Deleting
		}
		if len(archives) > 0 {
			a.ArchiveKeys = []string{pick(h.rand, archives...)}
		}
		h.note("  agent %s: %s of %s, version %q", a.Name, a.Phase, a.RetirementID, a.PhaseVersion)
	}
	body, err := s.JSON()
	h.must(body, err)
	h.putInto(bucket, name, string(body))
}

// troubles has something be wrong with calls for a while.
func (h *history) troubles() {
	agentCore := func(c awsfake.Call) bool { return c.Service == "bedrock-agentcore" }
	lists := func(c awsfake.Call) bool { return agentCore(c) && strings.HasPrefix(c.Operation, "List") }
	writes := func(c awsfake.Call) bool { return !reads(c) && (c.Service == "iam" || c.Service == "s3") }
	throttled := awsfake.APIError("ThrottlingException", "Rate exceeded")
	n := 1 + h.rand.IntN(80)
	h.trouble = []trouble{
		{left: n, kill: true, last: true},
		{left: n, kill: true, last: true, late: true},
		{left: 1 + n/8, kill: true, last: true, of: writes},
		{left: 1 + n/8, kill: true, last: true, late: true, of: writes},
		{left: n, err: timeout{}, last: true, late: true},
		{left: 1 + n/8, err: timeout{}, last: true, late: true, of: writes},
		{left: 1 + n/2, err: throttled, of: agentCore},
		{left: 1 + n/4, err: awsfake.APIError("AccessDeniedException", "not allowed"), of: lists},
		{left: 1 + n/4, err: throttled, last: true, of: lists},
		{left: 1 + n/8, err: awsfake.APIError("Throttling", "Rate exceeded")},
	}[h.rand.IntN(10)]
	if h.trouble.of == nil && !h.trouble.last {
		h.choked++
	}
	h.note("trouble: %+v", h.trouble)
}

// asks has an operator ask for something.
func (h *history) asks() {
	key := pick(h.rand, keys...)
	h.requests++
	q := model.Request{V: 1, ID: fmt.Sprintf("%06d", h.requests), Config: key, Expires: h.cloud.Now().Add(time.Hour), By: "operator"}
	agent := pick(h.rand, agents...)
	claim, err := model.ParseClaim(h.cloud.Objects(bucket, naming.RoleClaimKey(agent))[naming.RoleClaimKey(agent)])
	switch h.rand.IntN(3) {
	case 0:
		if err != nil {
			return
		}
		q.Action, q.Config, q.Plans = model.Approve, claim.Config, map[string]string{agent: plan.DeletionHash(claim)}
		h.approved[agent] = true
	case 1:
		if err != nil {
			return
		}
		q.Action, q.Config, q.Plans = model.Release, claim.Config, map[string]string{agent: plan.ReleaseHash(claim)}
	case 2:
		all := h.cloud.Objects(bucket, naming.ArchivePrefix)
		if len(all) == 0 {
			return
		}
		q.Archive = pick(h.rand, slices.Sorted(maps.Keys(all))...)
		a, err := model.ParseArchive(all[q.Archive])
		h.must(a, err)
		key := naming.RoleClaimKey(a.Agent)
		if claim, err = model.ParseClaim(h.cloud.Objects(bucket, key)[key]); err != nil {
			claim = model.Claim{V: 1, Config: a.Config, Agent: a.Agent}
		}
		r := plan.Restoring{Archive: a, Claim: claim, Boundary: boundary, Account: h.cloud.Account}
		if h.hasRole(a.Role.Name) {
			o := h.role(a.Role.Name)
			r.Observed = &o
		}
		q.Action, q.Config, q.Plans = model.Restore, a.Config, map[string]string{a.Agent: plan.RestoreHash(r.Plan())}
	}
	for name := range q.Plans {
		h.changes(name)
	}
	if q.Archive != "" {
		h.restored[q.ID] = q.Archive
	}
	h.note("request %s to %s: %s %v", q.ID, q.Config, q.Action, q.Plans)
	h.write(naming.RequestKey(q.Config, q.ID), q)
}

// waits lets time go by and the pass run.
func (h *history) waits() {
	d := time.Duration(1+h.rand.IntN(30)) * time.Hour
	if since := h.cloud.Now().Sub(h.listing.at); h.skews && h.rand.IntN(3) == 0 && since < time.Hour {
		d = time.Hour - since + time.Duration(h.rand.IntN(60))*time.Second // when a clock that is an hour off says that it was just now
	}
	h.note("%s go by", d)
	h.run(d)
	h.pass()
}

// comesToRest ends a history: nobody does anything any more, what holds roles
// stays, and two passes and those that the brake asks for are over. Then there is
// what the configs ask for.
func (h *history) comesToRest() {
	h.note("all comes to rest")
	h.quiet, h.trouble = true, trouble{}
	for _, key := range slices.Sorted(maps.Keys(h.configs)) {
		h.cloud.Put(h.inbox, wakeBody(h.t, key)) // what was changed by hand is seen by those who look
	}
	h.run(2 * time.Hour)
	for range 2 {
		h.run(h.grace + 2*time.Hour)
		h.pass()
	}
	for range 8 {
		if h.braked() {
			h.run(time.Hour)
			h.pass()
		}
	}
	if h.t.Failed() {
		return
	}
	// An event that meets two times when every call is throttled is received ten
	// times: it is kept with the dead letters, and the pass finds what it was about.
	if in, work := h.cloud.Messages(h.inboxDead), h.cloud.Messages(h.workDead); len(work) > 0 || len(in) > 0 && h.choked < 2 {
		h.wrong("lost: %v %v", in, work)
	}
	h.rest()
	for _, key := range keys {
		h.answered(key)
	}
	for _, name := range h.ourRoles() {
		h.wanted(name)
	}
	for name, key := range h.running {
		h.deserted(key, name)
	}
	h.within()
	if len(h.sent("Role Deletion Blocked")) > 0 {
		h.saw["a refusal"]++
	}
}

// braked reports whether an agent waits for the brake.
func (h *history) braked() bool {
	for _, key := range keys {
		s, _ := h.parsed(key)
		for _, a := range s.Agents {
			if slices.ContainsFunc(a.BlockedBy, func(b status.Blocker) bool { return b.Kind == string(plan.Braked) }) {
				return true
			}
		}
	}
	return false
}

// answered judges the answer to a config at the end.
func (h *history) answered(key string) {
	s, there := h.parsed(key)
	_, stands := h.configs[key]
	switch {
	case stands && !there:
		h.wrong("%s has no answer", key)
		return
	case !stands:
		return
	case s.Outcome == status.Failed || s.Outcome == status.Waiting:
		h.wrong("%s is %s: %v", key, s.Outcome, s.Problems)
	}
	v := h.viewer()
	v.Settings = h.with(v.Settings)
	p, err := v.Preview(context.Background(), key, nil)
	if err != nil {
		h.wrong("%s: %v", key, err)
		return
	}
	named := func(told fault.Problem) bool { return told.Code == "role-of-other-config" }
	if slices.ContainsFunc(s.Problems, named) || slices.ContainsFunc(p.Problems, named) {
		return // nobody tells it when another config gets that role, or has it no more
	}
	if blocked := fault.Blocks(p.Problems); blocked != (s.Outcome == status.Rejected) {
		h.wrong("%s is %s, and is seen to have problems %v", key, s.Outcome, p.Problems)
		return
	} else if blocked {
		h.refused(key, p)
		return
	}
	for _, step := range p.Plan.Steps {
		h.wrong("%s: still to do: %s %s", key, step.Op, step.Role)
	}
	for name, e := range h.configs[key].entries {
		a, known := s.Agent(name)
		switch {
		case !known:
			h.wrong("%s: nothing is said of agent %s", key, name)
		case a.Phase == status.PhaseActive && e.shares == "" && !p.Plan.Refused(runtimeRole(name)) && !h.hasRole(runtimeRole(name)):
			h.wrong("%s: agent %s has no role", key, name)
		case len(a.BlockedBy) == 0 && (a.Phase == status.PhaseQuarantined || a.Phase == status.PhaseRetiring && a.RetireAfter.Before(h.cloud.Now())):
			h.wrong("%s: agent %s is %s for no reason", key, name, a.Phase)
		}
	}
}

// refused judges that a config is refused: it must not be because of nothing but
// names that it could have.
func (h *history) refused(key string, p reconcile.Preview) {
	for _, problem := range p.Problems {
		if problem.Severity == fault.SeverityWarning {
			continue
		}
		if problem.Code != "name-claimed" {
			return
		}
		c := h.claim(naming.RoleClaimKey(problem.Agent))
		if mates := !h.teams || naming.Team(c.Config) == naming.Team(key); !c.Free || c.Deleting != "" || !mates {
			return
		}
	}
	h.wrong("%s is refused, and could be accepted: %+v", key, p.Problems)
}

// wanted judges a role that is there at the end.
func (h *history) wanted(name string) {
	agent, o := h.agentOf(name), h.role(name)
	for _, key := range keys {
		c, stands := h.configs[key]
		s, _ := h.parsed(key)
		a, _ := s.Agent(agent)
		claim, err := model.ParseClaim(h.cloud.Objects(bucket, naming.RoleClaimKey(agent))[naming.RoleClaimKey(agent)])
		owner := err == nil && claim.Config == key
		if _, has := c.entries[agent]; stands && has || owner && (a.Phase == status.PhaseHeld || stands && s.Outcome == status.Rejected) {
			return
		}
	}
	for _, sibling := range []string{runtimeRole(agent), buildRole(agent)} { // they go together
		if sibling != name && slices.Contains(h.ourRoles(), sibling) && h.lives(sibling) {
			return
		}
	}
	if h.lives(name) {
		return
	}
	claim, _ := model.ParseClaim(h.cloud.Objects(bucket, naming.RoleClaimKey(agent))[naming.RoleClaimKey(agent)])
	s, _ := h.parsed(claim.Config)
	a, _ := s.Agent(agent)
	_, answered := h.parsed(claim.Config)
	if _, stands := h.configs[claim.Config]; !stands && !answered {
		return // nothing looks at a config that is gone and whose status is lost
	}
	h.wrong("role %s of agent %s is still there, and nobody wants it: %s\nclaim %+v\nagent %+v\nprojects %v", name, agent, o.ID, claim, a, h.cloud.Projects())
}

// lives reports whether anything is to be said for a role.
func (h *history) lives(name string) bool {
	for _, c := range h.configs {
		for _, e := range c.entries {
			if e.shares != "" && runtimeRole(e.shares) == name {
				return true
			}
		}
	}
	o := h.role(name)
	return strings.Contains(o.Trust, elsewhere) || o.Policies["unreadable"] != "" || h.cloud.Now().Before(o.LastUsed.Add(h.grace+time.Hour)) ||
		slices.ContainsFunc(h.profilesOf(name), func(p string) bool { return p != name }) ||
		slices.ContainsFunc(h.living(), func(u *holder) bool { return u.role == name })
}

// deserted judges an agent that had a runtime: when that is gone, the agent is too,
// or about to be; but none goes while its config is refused.
func (h *history) deserted(key, name string) {
	for _, id := range h.runtimes {
		if agent, _ := naming.RuntimeAgent(id); agent == name && h.ask("GET", "/runtimes/"+id+"/", "", "") != nil {
			return
		}
	}
	if s, _ := h.parsed(key); h.phase(key, name) == status.PhaseActive && s.Outcome != status.Rejected {
		h.wrong("agent %s of %s had a runtime, has none any more, and is active: %+v", name, key, s.Agents)
	}
}

// within judges how many roles were let go in an hour, as the brake counts them:
// when they are quarantined. What an operator approved may be more.
func (h *history) within() {
	if h.skews {
		return
	}
	for i, last := range h.ended {
		ids := map[string]bool{}
		for _, e := range h.ended[:i+1] {
			if last.at.Sub(e.at) < time.Hour {
				ids[e.id] = true
			}
		}
		if !last.approved && len(ids) > h.most {
			h.wrong("%d roles went in the hour before %s", len(ids), last.at)
			return
		}
	}
}
