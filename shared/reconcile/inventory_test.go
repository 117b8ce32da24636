package reconcile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	buildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

const configBucket = "configs"

// stock is an account whose roles' users are counted. Nothing in it takes time
// but what a test says.
type stock struct {
	t      testing.TB
	cloud  *awsfake.Cloud
	tokens *atomic.Int64
}

func newStock(t testing.TB) stock {
	t.Helper()
	c := awsfake.New()
	c.AddBucket(configBucket)
	c.SettleAgentCore(0, 0)
	s := stock{t, c, new(atomic.Int64)}
	s.anyRole()
	return s
}

// anyRole has every role taken for one that there is.
func (s stock) anyRole() {
	there := func(string, string) bool { return true }
	s.cloud.AssumeAgentCoreRoles(there)
	s.cloud.AssumeRoles(there)
}

func (s stock) clone() stock {
	out := stock{s.t, s.cloud.Clone(), new(atomic.Int64)}
	out.tokens.Store(s.tokens.Load())
	out.anyRole()
	return out
}

// inventory is wired as in functions/reconcile.
func (s stock) inventory() Inventory {
	return Inventory{
		Store: configstore.New(s.cloud.S3("t"), configBucket, s.cloud.Account), Users: agentcore.New(s.cloud.AgentCore("t"), nil, nil),
		Projects: buildproject.NewReader(s.cloud.CodeBuild("t")), Account: s.cloud.Account, Region: s.cloud.Region,
		Now: s.cloud.Now, Random: func() string { return strconv.FormatInt(s.tokens.Add(1), 10) },
	}
}

// take takes an inventory that must be given.
func (s stock) take(notBefore time.Time) model.Inventory {
	s.t.Helper()
	v, busy, err := s.inventory().Take(s.t.Context(), notBefore)
	if err != nil || !busy.IsZero() {
		s.t.Fatalf("busy until %v, %v", busy, err)
	}
	return v
}

// anew takes an inventory that is begun now.
func (s stock) anew() model.Inventory {
	s.t.Helper()
	s.cloud.Advance(time.Millisecond)
	return s.take(s.cloud.Now())
}

// want checks the uses that an inventory has, in any order.
func (s stock) want(v model.Inventory, want ...model.Use) {
	s.t.Helper()
	order := func(a, b model.Use) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	got := slices.SortedFunc(slices.Values(v.Uses), order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("uses (-want +got)\n%s", diff)
	}
}

// object gives the inventory that is in the bucket.
func (s stock) object() model.Inventory {
	s.t.Helper()
	v, err := model.ParseInventory(s.cloud.Objects(configBucket, naming.InventoryKey)[naming.InventoryKey])
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s stock) putObject(body []byte) {
	s.t.Helper()
	if _, err := s.cloud.S3("admin").PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: aws.String(configBucket), Key: aws.String(naming.InventoryKey), Body: bytes.NewReader(body)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s stock) arn(role string) string { return "arn:aws:iam::" + s.cloud.Account + ":role/" + role }

func (s stock) runtimeRole(agent string) string {
	return s.arn(naming.RuntimeRole(s.cloud.Region, agent))
}

var artifact = &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: aws.String("image")}}

// make makes a runtime with a role.
func (s stock) make(name, role string) (id string) {
	s.t.Helper()
	out, err := s.cloud.AgentCore("admin").CreateAgentRuntime(s.t.Context(), &core.CreateAgentRuntimeInput{AgentRuntimeName: &name, RoleArn: &role, AgentRuntimeArtifact: artifact})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.AgentRuntimeId
}

// update makes a version of a runtime.
func (s stock) update(id, role string) {
	s.t.Helper()
	s.cloud.Advance(time.Millisecond)
	s.must(s.cloud.AgentCore("admin").UpdateAgentRuntime(s.t.Context(), &core.UpdateAgentRuntimeInput{AgentRuntimeId: &id, RoleArn: &role, AgentRuntimeArtifact: artifact}))
}

// remove deletes a version of a runtime, or all of it.
func (s stock) remove(id, version string) {
	s.t.Helper()
	in := &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id}
	if version != "" {
		in.AgentRuntimeVersion = &version
	}
	s.must(s.cloud.AgentCore("admin").DeleteAgentRuntime(s.t.Context(), in))
}

func (s stock) pin(id, name, version string) {
	s.t.Helper()
	s.must(s.cloud.AgentCore("admin").CreateAgentRuntimeEndpoint(s.t.Context(), &core.CreateAgentRuntimeEndpointInput{AgentRuntimeId: &id, Name: &name, AgentRuntimeVersion: &version}))
}

func (s stock) unpin(id, name string) {
	s.t.Helper()
	s.must(s.cloud.AgentCore("admin").DeleteAgentRuntimeEndpoint(s.t.Context(), &core.DeleteAgentRuntimeEndpointInput{AgentRuntimeId: &id, EndpointName: &name}))
}

// memory makes a memory with a role.
func (s stock) memory(name, role string) (use model.Use) {
	s.t.Helper()
	out, err := s.cloud.AgentCore("admin").CreateMemory(s.t.Context(), &core.CreateMemoryInput{Name: &name, EventExpiryDuration: aws.Int32(7), MemoryExecutionRoleArn: &role})
	s.must(out, err)
	return model.Use{Role: role, ARN: *out.Memory.Arn, Kind: "memory", Status: "ACTIVE"}
}

// project makes a CodeBuild project with a role.
func (s stock) project(name, role string) (use model.Use) {
	s.t.Helper()
	out, err := s.cloud.CodeBuild("admin").CreateProject(s.t.Context(), &codebuild.CreateProjectInput{
		Name: &name, ServiceRole: &role, Artifacts: &buildtypes.ProjectArtifacts{Type: buildtypes.ArtifactsTypeNoArtifacts},
		Source:      &buildtypes.ProjectSource{Type: buildtypes.SourceTypeNoSource, Buildspec: aws.String("version: 0.2")},
		Environment: &buildtypes.ProjectEnvironment{Type: buildtypes.EnvironmentTypeArmContainer, Image: aws.String("i"), ComputeType: buildtypes.ComputeTypeBuildGeneral1Small},
	})
	s.must(out, err)
	return model.Use{Role: role, ARN: *out.Project.Arn, Kind: "project"}
}

func (s stock) must(_ any, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s stock) runtimeARN(id string) string {
	return "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/" + id
}

func (s stock) newest(id, version, role string) model.Use {
	return model.Use{Role: role, ARN: s.runtimeARN(id), Kind: "runtime", Status: "READY", Runtime: id, Version: version, Newest: true}
}

func (s stock) old(id, version, role string) model.Use {
	return model.Use{Role: role, ARN: s.runtimeARN(id), Kind: "runtime", Runtime: id, Version: version}
}

func (s stock) pinned(id, version, role, endpoint string) model.Use {
	return model.Use{Role: role, ARN: s.runtimeARN(id) + "/runtime-endpoint/" + endpoint, Kind: "runtime", Runtime: id, Version: version}
}

// calls gives the operations that were called since they were forgotten.
func (s stock) calls() []string {
	var all []string
	for _, c := range s.cloud.Calls() {
		all = append(all, c.Operation)
	}
	s.cloud.ForgetCalls()
	return all
}

// everything is an account with something of all that matters, and what it uses.
func everythingInStock(t testing.TB) (stock, []model.Use) {
	t.Helper()
	s := newStock(t)
	mine, shared, foreign := s.runtimeRole("mine"), s.runtimeRole("shared"), s.arn("somebody-elses")
	one, two, three := s.make("one", mine), s.make("two", foreign), s.make("three", shared)
	s.update(one, shared)
	s.pin(one, "prod", "1")
	s.update(one, shared)
	s.update(two, mine)
	s.update(two, foreign)
	s.cloud.SetAgentCoreStatus(three, "DELETE_FAILED")
	failed := s.newest(three, "1", shared)
	failed.Status = "DELETE_FAILED"
	s.memory("without", foreign)
	s.project("without", foreign)
	uses := []model.Use{
		s.pinned(one, "1", mine, "prod"), s.old(one, "2", shared), s.newest(one, "3", shared), s.old(two, "2", mine), failed,
		s.memory("with", mine), s.project("with", s.arn(naming.BuildRole("us-east-1", "mine"))),
	}
	s.cloud.Advance(time.Minute)
	s.cloud.PageAgentCore(1)
	s.putObject([]byte(`{"v":1}`))
	s.cloud.ForgetCalls()
	return s, uses
}

func TestAnInventoryOfAnEmptyAccountTakesFewCalls(t *testing.T) {
	s := newStock(t)
	s.want(s.take(time.Time{}))
	want := []string{
		"GetObject", "PutObject", "ListAgentRuntimes",
		"ListPaymentManagers", "ListBrowsers", "ListCapacityProviders", "ListCodeInterpreters", "ListConsentPortals", "ListGateways",
		"ListHarnesses", "ListMemories", "ListOnlineEvaluationConfigs",
		"ListProjects", "PutObject",
	}
	if diff := cmp.Diff(want, s.calls()); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	s.cloud.Advance(fresh)
	s.want(s.take(time.Time{}))
	if diff := cmp.Diff([]string{"GetObject"}, s.calls()); diff != "" {
		t.Errorf("calls for one that is there (-want +got)\n%s", diff)
	}
}

func TestEveryUseOfAnAgentsRoleIsInTheInventory(t *testing.T) {
	s, want := everythingInStock(t)
	s.want(s.take(time.Time{}), want...)
	s.want(s.take(time.Time{}), want...) // as it was put into the bucket
	s.want(s.anew(), want...)            // with what is known of runtimes
	s.want(s.take(time.Time{}), want...)
}

func TestRolesAreKnownAsIAMKnowsThem(t *testing.T) {
	name := naming.RuntimeRole("us-east-1", "mine")
	for role, kept := range map[string]bool{
		"arn:aws:iam::123456789012:role/" + name:                                           true,
		"arn:aws:iam::123456789012:role/a/path/" + name:                                    true,
		"arn:aws:iam::123456789012:role/" + strings.ToLower(name):                          true,
		"arn:aws:iam::123456789012:role/" + strings.ToUpper(name):                          true,
		"arn:aws:iam::123456789012:role/" + naming.BuildRole("us-east-1", "mine"):          true,
		"arn:aws:iam:::role/" + name:                                                       true, // of the account that the runtime is in
		name:                                                                               true,
		"arn:aws:iam::210987654321:role/" + name:                                           false,
		"arn:aws:iam::123456789012:role/" + naming.RuntimeRole("eu-west-1", "mine"):        false,
		"arn:aws:iam::123456789012:role/" + name + "0":                                     false,
		"arn:aws:iam::123456789012:role/" + strings.TrimSuffix(name, name[len(name)-1:]):   false,
		"arn:aws:iam::123456789012:role/AmazonBedrockAgentCoreSDKRuntime-":                 false,
		"arn:aws:iam::123456789012:role/" + name[1:]:                                       false,
		"arn:aws:iam::123456789012:role/" + strings.Replace(name, "Runtime", "CodeRun", 1): false,
	} {
		s := newStock(t)
		id, use := s.make("agent", role), s.memory("memory", role)
		if kept {
			s.want(s.take(time.Time{}), s.newest(id, "1", role), use)
		} else {
			s.want(s.take(time.Time{}))
		}
		if t.Failed() {
			t.Fatalf("role %s", role)
		}
	}
}

// studied are the calls that read single runtimes.
func studied(calls []string) []string {
	return slices.DeleteFunc(calls, func(c string) bool {
		return c != "ListAgentRuntimeVersions" && c != "ListAgentRuntimeEndpoints" && c != "GetAgentRuntime"
	})
}

func TestWhatIsKnownOfARuntimeIsNotReadAgain(t *testing.T) {
	s := newStock(t)
	mine, foreign := s.runtimeRole("mine"), s.arn("somebody-elses")
	one, two := s.make("one", mine), s.make("two", foreign)
	s.update(one, mine)
	s.update(two, foreign)
	check := func(v model.Inventory, want int, uses ...model.Use) {
		t.Helper()
		s.want(v, uses...)
		if calls := studied(s.calls()); len(calls) != want {
			t.Errorf("%d calls, want %d: %v", len(calls), want, calls)
		}
	}
	check(s.anew(), 8, s.old(one, "1", mine), s.newest(one, "2", mine))
	check(s.anew(), 0, s.old(one, "1", mine), s.newest(one, "2", mine))
	three := s.make("three", foreign) // an old version of no interest is no reason either
	s.update(three, mine)
	check(s.anew(), 4, s.old(one, "1", mine), s.newest(one, "2", mine), s.newest(three, "2", mine))
	check(s.anew(), 0, s.old(one, "1", mine), s.newest(one, "2", mine), s.newest(three, "2", mine))
	s.remove(three, "")
	s.update(one, mine)
	s.update(two, foreign)
	check(s.anew(), 6, s.old(one, "1", mine), s.old(one, "2", mine), s.newest(one, "3", mine)) // of each its new version's role alone
	s.cloud.SetAgentCoreStatus(one, "DELETING")
	deleting := s.newest(one, "3", mine)
	deleting.Status = "DELETING"
	check(s.anew(), 0, s.old(one, "1", mine), s.old(one, "2", mine), deleting)
	s.remove(one, "")
	check(s.anew(), 0)
	if v := s.object(); len(v.Runtimes) != 1 {
		t.Errorf("runtimes that are gone are remembered: %+v", v.Runtimes)
	}
}

func TestAnOldVersionThatIsDeletedFreesItsRole(t *testing.T) {
	s := newStock(t)
	mine, other := s.runtimeRole("mine"), s.runtimeRole("other")
	id := s.make("one", mine)
	s.update(id, other)
	s.pin(id, "prod", "1")
	s.want(s.anew(), s.pinned(id, "1", mine, "prod"), s.newest(id, "2", other))
	s.unpin(id, "prod")
	s.want(s.anew(), s.old(id, "1", mine), s.newest(id, "2", other))
	s.remove(id, "1") // the runtime is listed as before
	s.want(s.anew(), s.newest(id, "2", other))
	s.calls()
	s.want(s.anew(), s.newest(id, "2", other))
	if calls := studied(s.calls()); len(calls) > 0 {
		t.Errorf("read again: %v", calls)
	}
}

// watched does something around what is read of an account.
type watched struct {
	Users
	Projects BuildUsers
	Store
	before, after func(call string)
}

func (s stock) watched() (Inventory, *watched) {
	i := s.inventory()
	nothing := func(string) {}
	w := &watched{i.Users, i.Projects, i.Store, nothing, nothing}
	i.Users, i.Store, i.Projects = w, w, watchedProjects{w}
	return i, w
}

func around[V any](w *watched, call string, do func() (V, error)) (V, error) {
	w.before(call)
	v, err := do()
	w.after(call)
	return v, err
}

func (w *watched) Runtimes(ctx context.Context) ([]model.RuntimeSummary, error) {
	return around(w, "Runtimes", func() ([]model.RuntimeSummary, error) { return w.Users.Runtimes(ctx) })
}

func (w *watched) Versions(ctx context.Context, id string) ([]string, error) {
	return around(w, "Versions "+id, func() ([]string, error) { return w.Users.Versions(ctx, id) })
}

func (w *watched) RuntimeRole(ctx context.Context, id, version string) (role, status string, err error) {
	role, err = around(w, "RuntimeRole "+id, func() (string, error) {
		role, status, err = w.Users.RuntimeRole(ctx, id, version)
		return role, err
	})
	return role, status, err
}

func (w *watched) Endpoints(ctx context.Context, id string) ([]model.RuntimeEndpoint, error) {
	return around(w, "Endpoints "+id, func() ([]model.RuntimeEndpoint, error) { return w.Users.Endpoints(ctx, id) })
}

func (w *watched) Others(ctx context.Context) ([]model.Use, error) {
	return around(w, "Others", func() ([]model.Use, error) { return w.Users.Others(ctx) })
}

type watchedProjects struct{ w *watched }

func (p watchedProjects) Uses(ctx context.Context) ([]model.Use, error) {
	return around(p.w, "Projects", func() ([]model.Use, error) { return p.w.Projects.Uses(ctx) })
}

func (w *watched) Get(ctx context.Context, key string) (model.Object, error) {
	return around(w, "Get", func() (model.Object, error) { return w.Store.Get(ctx, key) })
}

func (w *watched) Create(ctx context.Context, key string, body []byte) (string, error) {
	return around(w, "Put", func() (string, error) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return w.Store.Create(ctx, key, body)
	})
}

func (w *watched) Replace(ctx context.Context, key string, body []byte, etag string) (string, error) {
	return around(w, "Put", func() (string, error) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return w.Store.Replace(ctx, key, body, etag)
	})
}

// once does something at the first call whose name begins so.
func once(prefix string, do func()) func(string) {
	return func(call string) {
		if do != nil && strings.HasPrefix(call, prefix) {
			now := do
			do = nil
			now()
		}
	}
}

func TestARuntimeThatIsUpdatedWhileItIsReadIsReadAgain(t *testing.T) {
	s := newStock(t)
	mine, next := s.runtimeRole("mine"), s.runtimeRole("next")
	for _, at := range []string{"Versions", "Endpoints", "RuntimeRole"} {
		id := s.make("agent_"+at, mine)
		i, w := s.watched()
		w.before = once(at, func() { s.update(id, next) })
		v, _, err := i.Take(t.Context(), s.cloud.Now())
		if err != nil {
			t.Fatal(err)
		}
		if at == "RuntimeRole" { // all that there was to read was read
			s.want(v, s.newest(id, "1", mine))
		} else {
			s.want(v, s.newest(id, "1", mine), s.old(id, "2", next))
		}
		s.want(s.anew(), s.old(id, "1", mine), s.newest(id, "2", next))
		s.remove(id, "")
		s.cloud.Advance(time.Millisecond)
	}
}

func TestARuntimeThatGoesWhileItIsReadIsNoError(t *testing.T) {
	s := newStock(t)
	mine, next := s.runtimeRole("mine"), s.runtimeRole("next")
	stays := s.make("stays", mine)
	for _, at := range []string{"Versions", "Endpoints", "RuntimeRole"} {
		id := s.make("agent_"+at, mine)
		s.update(id, next)
		s.cloud.Advance(time.Millisecond)
		i, w := s.watched()
		w.before = once(at+" "+id, func() { s.remove(id, "") })
		s.cloud.ForgetCalls()
		v, _, err := i.Take(t.Context(), s.cloud.Now())
		if err != nil {
			t.Fatal(err)
		}
		s.want(v, s.newest(stays, "1", mine))
		if n := slices.Index(s.calls(), "ListPaymentManagers"); n < 0 {
			t.Error("not complete")
		}
	}
	id := s.make("agent", mine)
	s.update(id, next)
	i, w := s.watched()
	w.before = once("RuntimeRole "+id, func() { s.remove(id, "1") })
	v, _, err := i.Take(t.Context(), s.cloud.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.want(v, s.newest(stays, "1", mine), s.newest(id, "2", next))
}

func TestARuntimeThatIsListedAndNeverThereIsAnError(t *testing.T) {
	s := newStock(t)
	id := s.make("agent", s.runtimeRole("mine"))
	stays := s.make("stays", s.runtimeRole("mine"))
	for _, operation := range []string{"ListAgentRuntimeVersions", "GetAgentRuntime"} {
		s.cloud.Before = func(c awsfake.Call) error {
			if c.Operation == operation && strings.HasSuffix(c.Resource, id) {
				return awsfake.APIError("ResourceNotFoundException", "not there")
			}
			return nil
		}
		v, busy, err := s.inventory().Take(t.Context(), s.cloud.Now())
		if fault.Of(err) != fault.Retry || errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), id) || len(v.Uses) > 0 || !busy.IsZero() {
			t.Errorf("%s: class %s, %v", operation, fault.Of(err), err)
		}
		if v := s.object(); !v.Until.IsZero() || len(v.Runtimes) != 1 || !v.TakenAt.IsZero() {
			t.Errorf("%s: the inventory is left as %+v", operation, v)
		}
		if n := len(slices.DeleteFunc(s.calls(), func(c string) bool { return c != "ListAgentRuntimes" })); n != takeRounds {
			t.Errorf("listed %d times", n)
		}
	}
	s.cloud.Before = nil
	s.want(s.anew(), s.newest(id, "1", s.runtimeRole("mine")), s.newest(stays, "1", s.runtimeRole("mine")))
}

// shelf is an account as a test makes it up.
type shelf struct {
	Users
	runtimes  []model.RuntimeSummary
	versions  func(id string) []string
	endpoints []model.RuntimeEndpoint
	role      func(id, version string) string
}

func (f shelf) Runtimes(context.Context) ([]model.RuntimeSummary, error) { return f.runtimes, nil }

func (f shelf) Versions(_ context.Context, id string) ([]string, error) { return f.versions(id), nil }

func (f shelf) Endpoints(context.Context, string) ([]model.RuntimeEndpoint, error) {
	return f.endpoints, nil
}

func (f shelf) RuntimeRole(_ context.Context, id, version string) (role, status string, err error) {
	return f.role(id, version), "READY", nil
}

func TestVersionsThatAreNotListedButLedToCount(t *testing.T) {
	s := newStock(t)
	id := s.make("agent", s.arn("somebody-elses"))
	i := s.inventory()
	listed, err := i.Users.Runtimes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed[0].Version = "10"
	i.Users = shelf{
		Users: i.Users, runtimes: listed, versions: func(string) []string { return []string{"1"} },
		endpoints: []model.RuntimeEndpoint{
			{Name: "DEFAULT", ARN: "default", Live: "9", Target: "10"},
			{Name: "prod", ARN: "prod", Live: "2", Target: "11"},
			{Name: "beta", ARN: "beta", Live: "2"}, // new
		},
		role: func(_, version string) string { return s.runtimeRole("version" + version) },
	}
	var want []model.Use
	for version, arn := range map[string]string{"1": "", "2": "beta", "9": "", "11": "prod"} {
		use := s.old(id, version, s.runtimeRole("version"+version))
		if arn != "" {
			use.ARN = arn
		}
		want = append(want, use)
	}
	want = append(want, s.newest(id, "10", s.runtimeRole("version10")))
	for range 2 {
		v, _, err := i.Take(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		s.want(v, want...)
	}
}

func TestARuntimeIsKnownByItsListing(t *testing.T) {
	s := newStock(t)
	id := s.make("agent", s.arn("somebody-elses"))
	i := s.inventory()
	listed, err := i.Users.Runtimes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed[0].ARN = "an ARN of another form"
	versions := []string{"1"}
	i.Users = shelf{
		Users: i.Users, runtimes: listed, versions: func(string) []string { return versions },
		role: func(_, version string) string { return s.runtimeRole("version" + version) },
	}
	check := func(uses ...model.Use) {
		t.Helper()
		s.cloud.Advance(time.Millisecond)
		for _, notBefore := range []time.Time{s.cloud.Now(), {}} { // taken, and read
			v, _, err := i.Take(t.Context(), notBefore)
			if err != nil {
				t.Fatal(err)
			}
			for n := range uses {
				uses[n].ARN = listed[0].ARN
			}
			s.want(v, uses...)
		}
	}
	one, two := s.runtimeRole("version1"), s.runtimeRole("version2")
	check(s.newest(id, "1", one))
	check(s.newest(id, "1", one)) // with what is known
	// The newest version counts also while it is not among the versions, and when
	// the runtime is not listed as changed.
	listed[0].Version = "2"
	check(s.old(id, "1", one), s.newest(id, "2", two))
	versions = []string{"1", "2"}
	check(s.old(id, "1", one), s.newest(id, "2", two))
}

func TestANumberOfTheNewestVersionThatIsGivenAgainIsReadAgain(t *testing.T) {
	s := newStock(t)
	id := s.make("agent", s.runtimeRole("first"))
	s.want(s.anew(), s.newest(id, "1", s.runtimeRole("first")))
	i := s.inventory()
	listed, err := i.Users.Runtimes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.cloud.Advance(time.Millisecond)
	listed[0].Updated = s.cloud.Now().Format(time.RFC3339Nano)
	i.Users = shelf{Users: i.Users, runtimes: listed, versions: func(string) []string { return []string{"1"} }, role: func(string, string) string { return s.runtimeRole("second") }}
	v, _, err := i.Take(t.Context(), s.cloud.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.want(v, s.newest(id, "1", s.runtimeRole("second")))
}

func TestNoInventoryIsGivenWhenACallFails(t *testing.T) {
	s, want := everythingInStock(t)
	s.take(time.Time{})
	calls := s.cloud.Calls()
	s, _ = everythingInStock(t)
	for n, call := range calls {
		for code, class := range map[string]fault.Class{
			"AccessDeniedException": fault.Unknown, "AccessDenied": fault.Unknown, "ThrottlingException": fault.Retry, "SlowDown": fault.Retry,
		} {
			for when, lost := range map[string]bool{"refused": false, "answered too late": true} {
				t.Run(fmt.Sprintf("%s at %s %s", code, call, when), func(t *testing.T) {
					s := s.clone()
					s.t = t
					fail := func(made awsfake.Call) error {
						if made.N == n+1 {
							return awsfake.APIError(code, "refused")
						}
						return nil
					}
					if lost {
						s.cloud.After = fail
					} else {
						s.cloud.Before = fail
					}
					v, busy, err := s.inventory().Take(t.Context(), time.Time{})
					if err == nil || fault.Of(err) != class || errors.Is(err, fault.ErrNotFound) || len(v.Uses) > 0 || !busy.IsZero() {
						t.Fatalf("busy until %v, class %s, %v", busy, fault.Of(err), err)
					}
					s.cloud.Before, s.cloud.After = nil, nil
					if lost && call.Operation == "PutObject" && n < 3 { // the lease is there, and nobody knows whose
						s.cloud.Advance(takeLease)
					}
					s.want(s.anew(), want...)
				})
			}
		}
	}
}

func TestOthersNeedNotWaitForOneThatFailed(t *testing.T) {
	s, _ := everythingInStock(t)
	ctx, cancel := context.WithCancel(t.Context())
	i, w := s.watched()
	w.after = once("Others", cancel)
	if _, _, err := i.Take(ctx, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if v := s.object(); v.Taking != "" || !v.Until.IsZero() || len(v.Runtimes) != 3 || !v.TakenAt.IsZero() {
		t.Errorf("left as %+v", v)
	}
	s.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "ListProjects" || c.Operation == "PutObject" && c.N > 2 { // all but the lease
			return awsfake.APIError("AccessDenied", c.Operation+" is not allowed")
		}
		return nil
	}
	s.cloud.ForgetCalls()
	_, _, err := s.inventory().Take(t.Context(), time.Time{})
	if err == nil || !strings.Contains(err.Error(), "ListProjects is not allowed") || !strings.Contains(err.Error(), "PutObject is not allowed") {
		t.Errorf("the lease stays, and the error says %v", err)
	}
}

// dead is what a process panics with that dies.
type dead struct{}

// dying takes an inventory and may die of it.
func dying(take func()) (died bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, died = r.(dead); !died {
				panic(r)
			}
		}
	}()
	take()
	return false
}

func TestAProcessThatDiesDelaysOthersForNoLongerThanItsLease(t *testing.T) {
	original, want := everythingInStock(t)
	counted := original.clone()
	counted.take(time.Time{})
	calls := counted.cloud.Calls()
	for n, call := range calls {
		for when, after := range map[string]bool{"before": false, "after": true} {
			t.Run(when+" "+call.String(), func(t *testing.T) {
				s := original.clone()
				s.t = t
				die := func(made awsfake.Call) error {
					if made.N == n+1 {
						panic(dead{})
					}
					return nil
				}
				if after {
					s.cloud.After = die
				} else {
					s.cloud.Before = die
				}
				if !dying(func() { s.take(time.Time{}) }) {
					t.Fatal("it lives")
				}
				s.cloud.Before, s.cloud.After = nil, nil
				end := s.cloud.Now().Add(takeLease)
				s.cloud.Advance(time.Millisecond)
				for notBefore := s.cloud.Now(); ; {
					v, busy, err := s.inventory().Take(t.Context(), notBefore)
					if err != nil {
						t.Fatal(err)
					}
					if busy.IsZero() {
						s.want(v, want...)
						break
					}
					if wait := busy.Sub(s.cloud.Now()); wait <= 0 || wait > 10*time.Second {
						t.Fatalf("to come again in %s", wait)
					}
					if s.cloud.Now().After(end) {
						t.Fatal("the lease is over, and others still wait")
					}
					s.cloud.Advance(busy.Sub(s.cloud.Now()))
				}
			})
		}
	}
}

func TestOneTakesTheInventoryWhileTheOthersWait(t *testing.T) {
	original, want := everythingInStock(t)
	count := 0
	counted, w := original.clone().watched()
	w.before = func(string) { count++ }
	if _, _, err := counted.Take(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for n := range count {
		s := original.clone()
		second := func() {
			v, busy, err := s.inventory().Take(t.Context(), time.Time{})
			switch {
			case err != nil:
				t.Fatalf("the second at %d: %v", n, err)
			case busy.IsZero():
				outcomes["the second has one"]++
				s.want(v, want...)
			default:
				outcomes["the second waits"]++
			}
		}
		first, w := s.watched()
		left := n
		w.before = func(string) {
			if left--; left == -1 {
				second()
			}
		}
		v, busy, err := first.Take(t.Context(), time.Time{})
		switch {
		case err != nil:
			t.Fatalf("the first at %d: %v", n, err)
		case busy.IsZero():
			outcomes["the first has one"]++
			s.want(v, want...)
		default:
			outcomes["the first waits"]++
		}
		if taken := s.taken(); taken != 1 {
			t.Errorf("%d inventories were taken when the second came at %d", taken, n)
		}
		s.want(s.take(time.Time{}), want...)
	}
	if diff := cmp.Diff(map[string]int{"the first has one": count - 1, "the first waits": 1, "the second has one": 2, "the second waits": count - 2}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
}

// taken counts the inventories that were taken since calls were forgotten.
func (s stock) taken() int {
	return len(slices.DeleteFunc(s.calls(), func(c string) bool { return c != "ListPaymentManagers" }))
}

func TestFiftyWhoAskAtOnceShareOneInventory(t *testing.T) {
	s := newStock(t)
	var want []model.Use
	for n := range 1000 {
		role := s.runtimeRole(fmt.Sprintf("agent%d", n))
		want = append(want, s.newest(s.make(fmt.Sprintf("agent%d", n), role), "1", role))
	}
	s.cloud.ForgetCalls()
	var all sync.WaitGroup
	given := make([]model.Inventory, 50)
	for n := range given {
		all.Go(func() {
			for {
				v, busy, err := s.inventory().Take(t.Context(), s.cloud.Now())
				if err != nil && fault.Of(err) != fault.Retry {
					t.Error(err)
					return
				}
				if err == nil && busy.IsZero() {
					given[n] = v
					return
				}
				time.Sleep(10 * time.Millisecond) // takeAgain, and who takes it needs the time
			}
		})
	}
	all.Wait()
	if taken := s.taken(); taken != 1 {
		t.Errorf("%d inventories were taken", taken)
	}
	s.want(given[0], want...)
	for _, v := range given {
		if !slices.Equal(v.Uses, given[0].Uses) {
			t.Errorf("%d uses are given to one, %d to another", len(v.Uses), len(given[0].Uses))
		}
	}
}

func TestRuntimesThatAreReadForLongAreListedAgain(t *testing.T) {
	s := newStock(t)
	mine := s.runtimeRole("mine")
	id := s.make("agent", mine)
	i, w := s.watched()
	begun := s.cloud.Now()
	w.after = once("RuntimeRole", func() {
		s.cloud.Advance(fresh/2 + 1)
		if v := s.object(); len(v.Runtimes) > 0 {
			t.Errorf("noted before it was known: %+v", v)
		}
	})
	w.before = func(call string) {
		if call == "Runtimes" && s.cloud.Now().After(begun) { // once more
			if v := s.object(); len(v.Runtimes) != 1 || !v.TakenAt.IsZero() || !v.Until.Equal(begun.Add(takeLease)) || v.Taking == "" {
				t.Errorf("not noted: %+v", v)
			}
		}
	}
	v, _, err := i.Take(t.Context(), begun)
	if err != nil {
		t.Fatal(err)
	}
	s.want(v, s.newest(id, "1", mine))
	if want := begun.Add(fresh/2 + 1); !v.TakenAt.Equal(want) {
		t.Errorf("taken at %s, want %s", v.TakenAt, want)
	}
}

func TestWhatTakesTooLongGoesOnWithTheNextTry(t *testing.T) {
	s := newStock(t)
	mine := s.runtimeRole("mine")
	var want []model.Use
	for n := range 100 {
		want = append(want, s.newest(s.make(fmt.Sprintf("agent%d", n), mine), "1", mine))
	}
	i, w := s.watched()
	w.after = func(call string) {
		if strings.HasPrefix(call, "RuntimeRole") {
			s.cloud.Advance(3 * time.Second)
		}
	}
	for tries := 1; ; tries++ {
		begun := s.cloud.Now()
		v, busy, err := i.Take(t.Context(), begun)
		if took := s.cloud.Now().Sub(begun); took > takeTime+3*time.Second {
			t.Errorf("it took %s", took)
		}
		if err == nil {
			s.want(v, want...)
			if tries != 3 {
				t.Errorf("%d tries", tries)
			}
			return
		}
		known := len(s.object().Runtimes)
		if fault.Of(err) != fault.Retry || !busy.IsZero() || known != 34*tries || s.object().Taking != "" || tries > 3 {
			t.Fatalf("after try %d %d runtimes are known, class %s: %v", tries, known, fault.Of(err), err)
		}
	}
}

func TestRuntimesThatDidNotChangeAreReadAgainWhileThereIsTime(t *testing.T) {
	s := newStock(t)
	mine, next := s.runtimeRole("mine"), s.runtimeRole("next")
	var want []model.Use
	for n := range 50 {
		id := s.make(fmt.Sprintf("agent%d", n), mine)
		s.update(id, next)
		want = append(want, s.old(id, "1", mine), s.newest(id, "2", next))
	}
	s.want(s.anew(), want...)
	for reading, again := range map[time.Duration]int{
		100 * time.Millisecond:  50,
		700 * time.Millisecond:  50, // in one round, though another follows
		2000 * time.Millisecond: 31,
	} {
		s.calls()
		i, w := s.watched()
		w.after = func(call string) {
			if strings.HasPrefix(call, "Endpoints") {
				s.cloud.Advance(reading)
			}
		}
		s.cloud.Advance(time.Millisecond)
		v, _, err := i.Take(t.Context(), s.cloud.Now())
		if err != nil {
			t.Fatal(err)
		}
		s.want(v, want...)
		if n := len(studied(s.calls())); n != 2*again { // their versions and their endpoints
			t.Errorf("where each takes %s there are %d calls, want %d", reading, n, 2*again)
		}
	}
}

func TestAnInventoryThatTookTooLongIsNotGiven(t *testing.T) {
	for _, at := range []string{"Runtimes", "Others", "Projects", "Put"} {
		s, want := everythingInStock(t)
		i, w := s.watched()
		slow := func(call string) {
			if call == at && (at != "Put" || s.object().Runtimes != nil) {
				s.cloud.Advance(fresh + 1)
			}
		}
		w.after = slow
		v, busy, err := i.Take(t.Context(), time.Time{})
		if fault.Of(err) != fault.Retry || len(v.Uses) > 0 || !busy.IsZero() {
			t.Errorf("slow %s: busy until %s, class %s, %v", at, busy, fault.Of(err), err)
		}
		if v := s.object(); v.Taking != "" || len(v.Runtimes) != 3 {
			t.Errorf("slow %s: left as %+v", at, v)
		}
		s.want(s.anew(), want...)
	}
}

func TestAnInventoryIsNotWrittenOverAnothers(t *testing.T) {
	theirs, err := json.Marshal(model.Inventory{V: 1, Taking: "theirs"})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"Others", "Projects"} {
		s, want := everythingInStock(t)
		i, w := s.watched()
		w.before = once(at, func() { s.putObject(theirs) })
		v, busy, err := i.Take(t.Context(), time.Time{})
		if err != nil || !busy.IsZero() {
			t.Fatalf("at %s: busy until %s, %v", at, busy, err)
		}
		s.want(v, want...)
		if v := s.object(); v.Taking != "theirs" {
			t.Errorf("at %s: the other's is now %+v", at, v)
		}
	}
	// Before it is complete it is left to the other.
	s, _ := everythingInStock(t)
	i, w := s.watched()
	w.before = once("Versions", func() {
		s.cloud.Advance(fresh)
		s.putObject(theirs)
	})
	if v, busy, err := i.Take(t.Context(), time.Time{}); err != nil || !busy.After(s.cloud.Now()) || len(v.Uses) > 0 {
		t.Errorf("busy until %s, %v, %+v", busy, err, v)
	}
}

func TestAnInventoryIsUsedWhileItIsFresh(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 5, time.UTC)
	for name, test := range map[string]struct {
		object    model.Inventory
		now       time.Duration // after at
		notBefore time.Duration // likewise
		want      string
	}{
		"taken a minute ago":                            {model.Inventory{TakenAt: at}, fresh, 0, "given"},
		"taken longer ago":                              {model.Inventory{TakenAt: at}, fresh + 1, 0, "taken"},
		"taken too early":                               {model.Inventory{TakenAt: at}, fresh, 1, "taken"},
		"taken now":                                     {model.Inventory{TakenAt: at}, 0, 0, "given"},
		"taken in time to come":                         {model.Inventory{TakenAt: at}, -1, -1, "taken"},
		"never taken":                                   {model.Inventory{}, 0, 0, "taken"},
		"asked for what is to come":                     {model.Inventory{TakenAt: at}, 0, 1, "later"},
		"fresh while another takes one":                 {model.Inventory{TakenAt: at, Taking: "x", Until: at.Add(takeLease)}, fresh, 0, "given"},
		"too old while another takes one":               {model.Inventory{TakenAt: at, Taking: "x", Until: at.Add(takeLease)}, fresh + 1, 0, "busy"},
		"too old while another takes one, to the end":   {model.Inventory{TakenAt: at, Taking: "x", Until: at.Add(takeLease)}, takeLease - 1, 0, "busy"},
		"the other's time is over":                      {model.Inventory{TakenAt: at, Taking: "x", Until: at.Add(takeLease)}, takeLease, 0, "taken"},
		"the other began just now":                      {model.Inventory{Taking: "x", Until: at.Add(takeLease)}, 0, 0, "busy"},
		"the other's clock is an hour ahead":            {model.Inventory{Taking: "x", Until: at.Add(takeLease + time.Hour)}, 0, 0, "taken"},
		"what was taken is of a clock an hour ahead":    {model.Inventory{TakenAt: at.Add(time.Hour)}, 0, 0, "taken"},
		"the other's lease is longer than any lease is": {model.Inventory{Taking: "x", Until: at.Add(takeLease + 1)}, 0, 0, "taken"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStock(t)
			use := s.memory("memory", s.runtimeRole("mine"))
			test.object.V = 1
			body, err := json.Marshal(test.object)
			if err != nil {
				t.Fatal(err)
			}
			s.putObject(body)
			i := s.inventory()
			i.Now = func() time.Time { return at.Add(test.now) }
			s.cloud.ForgetCalls()
			v, busy, err := i.Take(t.Context(), at.Add(test.notBefore))
			if err != nil {
				t.Fatal(err)
			}
			got := "taken"
			switch taken := s.taken(); {
			case busy.Equal(at.Add(test.notBefore)) && test.notBefore > test.now:
				got = "later"
			case busy.Equal(i.Now().Add(takeAgain)):
				got = "busy"
			case taken == 0:
				got = "given"
				s.want(v)
			default:
				s.want(v, use)
			}
			if got != test.want {
				t.Errorf("it is %s, want %s: %+v, busy until %s", got, test.want, v, busy)
			}
		})
	}
}

func TestADamagedInventoryIsTakenAnew(t *testing.T) {
	s, want := everythingInStock(t)
	s.take(time.Time{})
	whole := string(s.cloud.Objects(configBucket, naming.InventoryKey)[naming.InventoryKey])
	for name, body := range map[string]string{
		"empty":                     "",
		"cut":                       whole[:len(whole)-1],
		"of another version":        strings.Replace(whole, `"v":1`, `"v":2`, 1),
		"with more behind":          whole + "{}",
		"with an unknown member":    strings.Replace(whole, `"v":1`, `"v":1,"w":1`, 1),
		"with versions upside down": strings.Replace(whole, `["2-3"]`, `["3-2"]`, 1),
		"with a use of no runtime":  strings.Replace(whole, `"version":"1"},`, `"version":"1"},{"role":"r","arn":"a","kind":"runtime","runtime":"gone-0000000000","version":"1"},`, 1),
		"with a use of no version":  strings.Replace(whole, `"version":"1"},`, `"version":"9"},`, 1),
		"with another newest":       strings.Replace(whole, `"version":"1","newest":true`, `"version":"1"`, 1),
		"too large":                 whole + strings.Repeat(" ", maxInventory),
	} {
		t.Run(name, func(t *testing.T) {
			s := s.clone()
			s.t = t
			if body == whole {
				t.Fatalf("nothing is damaged: %s", whole)
			}
			s.putObject([]byte(body))
			s.cloud.ForgetCalls()
			s.want(s.take(time.Time{}), want...)
			if name != "too large" && s.taken() != 1 {
				t.Error("it was believed")
			}
			s.want(s.take(time.Time{}), want...)
		})
	}
}

// fleet is an account with so many runtimes, and versions of each.
func fleet(s stock, runtimes, versions int) Inventory {
	i := s.inventory()
	f := shelf{
		Users: i.Users, role: func(id, _ string) string { return s.runtimeRole(id) },
		versions: func(string) (all []string) {
			for n := range versions {
				all = append(all, strconv.Itoa(n+1))
			}
			return all
		},
	}
	for n := range runtimes {
		id := fmt.Sprintf("agent_number_%06d-0123456789", n)
		f.runtimes = append(f.runtimes, model.RuntimeSummary{
			ID: id, Name: id, ARN: s.runtimeARN(id), Version: strconv.Itoa(versions), Status: "READY", Updated: s.cloud.Now().Format(time.RFC3339Nano),
		})
	}
	i.Users = f
	return i
}

func TestAnAccountAtItsQuotasHasRoomInTheInventory(t *testing.T) {
	s := newStock(t)
	const runtimes, versions = 1000, 100
	for range 2 {
		v, _, err := fleet(s, runtimes, versions).Take(t.Context(), time.Time{})
		if err != nil || len(v.Uses) != runtimes*versions {
			t.Fatal(len(v.Uses), err)
		}
	}
	if size := len(s.cloud.Objects(configBucket, naming.InventoryKey)[naming.InventoryKey]); size > maxInventory/4 {
		t.Errorf("%d bytes", size)
	}
}

func TestAnInventoryThatIsTooLargeIsAnError(t *testing.T) {
	if maxInventory != configstore.MaxRead {
		t.Errorf("%d bytes are read of an object, and %d written", configstore.MaxRead, maxInventory)
	}
	s := newStock(t)
	if _, _, err := fleet(s, 5000, 1).Take(t.Context(), time.Time{}); err != nil {
		t.Error(err)
	}
	_, _, err := fleet(s, 10000, 1).Take(t.Context(), s.cloud.Now().Add(time.Nanosecond))
	if err != nil {
		t.Fatal(err)
	}
	s.cloud.Advance(time.Minute + 1)
	v, _, err := fleet(s, 10000, 1).Take(t.Context(), time.Time{})
	if err == nil || !strings.Contains(err.Error(), "10000 runtimes") || fault.Of(err) == fault.Retry || len(v.Uses) > 0 {
		t.Errorf("class %s, %v", fault.Of(err), err)
	}
}

// TestWhatIsRememberedIsAsGoodAsWhatIsRead plays random histories of runtimes,
// and compares inventories that build on what was read before with one that
// reads everything.
func TestWhatIsRememberedIsAsGoodAsWhatIsRead(t *testing.T) {
	roles := func(s stock) []string {
		return []string{s.runtimeRole("one"), s.runtimeRole("two"), s.arn("somebody-elses")}
	}
	rapid.Check(t, func(r *rapid.T) {
		s := newStock(t)
		s.cloud.PageAgentCore(rapid.IntRange(0, 2).Draw(r, "page"))
		var ids []string
		some := func() string { return rapid.SampledFrom(ids).Draw(r, "runtime") }
		version := func() string { return strconv.Itoa(rapid.IntRange(1, 4).Draw(r, "version")) }
		agentCore := s.cloud.AgentCore("admin")
		for n := range rapid.IntRange(1, 30).Draw(r, "steps") {
			s.cloud.Advance(time.Duration(rapid.IntRange(1, 20).Draw(r, "seconds")) * time.Second)
			step := rapid.IntRange(0, 7).Draw(r, "step")
			if len(ids) == 0 {
				step = 0
			}
			// What AgentCore refuses is no step.
			switch role := rapid.SampledFrom(roles(s)).Draw(r, "role"); step {
			case 0:
				ids = append(ids, s.make(fmt.Sprintf("agent%d", n), role))
			case 1, 2:
				_, _ = agentCore.UpdateAgentRuntime(t.Context(), &core.UpdateAgentRuntimeInput{AgentRuntimeId: aws.String(some()), RoleArn: &role, AgentRuntimeArtifact: artifact})
			case 3:
				_, _ = agentCore.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: aws.String(some()), AgentRuntimeVersion: aws.String(version())})
			case 4:
				_, _ = agentCore.CreateAgentRuntimeEndpoint(t.Context(), &core.CreateAgentRuntimeEndpointInput{AgentRuntimeId: aws.String(some()), Name: aws.String("prod"), AgentRuntimeVersion: aws.String(version())})
			case 5:
				_, _ = agentCore.DeleteAgentRuntimeEndpoint(t.Context(), &core.DeleteAgentRuntimeEndpointInput{AgentRuntimeId: aws.String(some()), EndpointName: aws.String("prod")})
			case 6:
				if rapid.Bool().Draw(r, "all of it") {
					_, _ = agentCore.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: aws.String(some())})
				}
			case 7:
				cold := s.clone()
				cold.putObject([]byte("nothing"))
				compareUses(r, cold.anew(), s.anew())
				given := s.take(time.Time{})
				if diff := cmp.Diff(given, s.take(time.Time{})); diff != "" {
					r.Errorf("who reads it has another (-first +second)\n%s", diff)
				}
			}
		}
	})
}

// compareUses wants a remembered inventory to have all uses of one that was read,
// and no role and runtime beyond it.
func compareUses(t *rapid.T, read, remembered model.Inventory) {
	type version struct{ role, runtime, version string }
	type holder struct{ role, runtime string }
	known, holders := map[version]bool{}, map[holder]bool{}
	for _, u := range remembered.Uses {
		known[version{u.Role, u.Runtime, u.Version}] = true
	}
	for _, u := range read.Uses {
		holders[holder{u.Role, u.Runtime}] = true
		if !known[version{u.Role, u.Runtime, u.Version}] {
			t.Errorf("not known: %+v", u)
		}
		if u.Newest && !slices.Contains(remembered.Uses, u) {
			t.Errorf("the newest is not known as it is: %+v", u)
		}
	}
	for _, u := range remembered.Uses {
		if !holders[holder{u.Role, u.Runtime}] {
			t.Errorf("it does not hold the role: %+v", u)
		}
	}
}

func TestRunsOfVersionsAreWhatTheyAre(t *testing.T) {
	for packed, want := range map[string]string{
		"1-3": "1 2 3", "9-10": "9 10", "99998-99999": "99998 99999", "x": "x", "": "",
		"3-3": "no", "3-1": "no", "0-3": "no", "x-3": "no", "3-x": "no", "1-100000": "no", "01-3": "no", "-": "no", "1-2-3": "no",
	} {
		versions, err := unrun([]string{packed})
		if got := strings.Join(versions, " "); got != want && (want != "no" || err == nil || got != "") {
			t.Errorf("%q: %q, %v, want %q", packed, got, err, want)
		}
	}
}

func FuzzVersionsAreWrittenInRuns(f *testing.F) {
	for _, seed := range []string{"", "1", "1,2,3", "1-3,5", "3-1", "99998,99999", "0,1", "7,1x,8", "1-99999", "01-2", "-", "1-2-3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		packed := strings.Split(text, ",")
		if len(packed) > 20 {
			t.Skip()
		}
		versions, err := unrun(packed)
		if err != nil {
			if versions != nil || !strings.Contains(text, "-") {
				t.Fatalf("%q: %q, %v", text, versions, err)
			}
			return
		}
		for _, v := range versions {
			if strings.Contains(v, "-") {
				t.Fatalf("%q has version %q", text, v)
			}
		}
		slices.SortFunc(versions, byNumber)
		versions = slices.Compact(versions)
		short := runs(versions)
		again, err := unrun(short)
		if diff := cmp.Diff(versions, again); diff != "" || err != nil || len(short) > len(versions) {
			t.Fatalf("%q: %v, %q (-want +got)\n%s", text, err, short, diff)
		}
		for i := 1; i < len(short); i++ {
			_, last, _ := strings.Cut(short[i-1], "-")
			first, _, _ := strings.Cut(short[i], "-")
			if last == "" {
				last = short[i-1]
			}
			if a, b := versionNumber(last), versionNumber(first); a > 0 && b == a+1 {
				t.Fatalf("%q: %q is longer than it need be", text, short)
			}
		}
	})
}

func FuzzAnObjectThatIsNoInventoryIsWrittenOver(f *testing.F) {
	s, want := everythingInStock(f)
	s.take(time.Time{})
	whole := string(s.cloud.Objects(configBucket, naming.InventoryKey)[naming.InventoryKey])
	for _, seed := range []string{whole, "", "{}", `{"v":1}`, `{"v":1,"runtimes":null,"uses":[{}]}`, `{"v":1,"uses":[{"runtime":"x"}]}`, `{"v":1,"until":"2026-11-22T12:02:00Z"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s := s.clone()
		s.t = t
		s.putObject([]byte(body))
		before, broken := model.ParseInventory([]byte(body))
		v, busy, err := s.inventory().Take(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case broken == nil && !before.TakenAt.IsZero() && v.TakenAt.Equal(before.TakenAt): // believed: only Rolekeeper writes there
		case busy.IsZero():
			for _, u := range want {
				if broken != nil && !slices.Contains(v.Uses, u) {
					t.Fatalf("lacks %+v", u)
				}
			}
		case broken != nil || before.Until.IsZero():
			t.Fatalf("busy until %s", busy)
		}
		if broken != nil && len(v.Uses) != len(want) {
			t.Fatalf("%d uses, want %d", len(v.Uses), len(want))
		}
	})
}
