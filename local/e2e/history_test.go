package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/local"
	"rolekeeper/local/localtest"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

var (
	histories    = flag.Uint64("histories", 6, "how many random histories of agents that come and go are played")
	firstHistory = flag.Uint64("history", 12, "seed of the first of them")
)

// What the test of this name in shared/reconcile shows on fakes, in short on the
// local AWS: configs, runtimes and gateways come and go, events are lost, repeated
// and out of order, functions die, listings are throttled. Nothing that is in use
// loses its role, nobody else's role is touched, what is deleted is in the archive,
// and once all is quiet there is what the configs ask for. -history N -histories 1
// plays one history again.
//
// The pipelines run in this process, on the SDK and the adapters that the
// functions have, and by a clock of the test's.
//
// Each of these was taken out once, to see a history fail: the look at uses, at
// runtimes in DELETING, at gateways and at the time of the last use, the error of a
// listing, its second page, the second proof, the age of the proof, the archive,
// the quarantine, the wake-up that ends it, the rollback, the grace period, the
// comparison of unique ids, and that an agent which never ran does not go. The pass's
// look for what is due and when the second inventory was begun they do not see; on
// fakes the first is seen.
func TestNothingThatIsInUseIsEverTakenAway(t *testing.T) {
	a := localtest.Start(t, local.Options{Account: account, Region: region})
	c := &clock{at: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), written: map[string]time.Time{}}
	a.Proxy().SetAgentCoreClock(c.now)
	boundary := prepare(t, a)
	saw := map[string]int{}
	for n := range *histories {
		seed := *firstHistory + n
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newHistory(stack{a, t}, c, boundary, seed)
			h.play()
			for what := range h.saw {
				saw[what]++
			}
		})
	}
	for _, what := range []string{"a deletion", "a re-creation", "a refusal", "a rollback", "a cut"} {
		t.Logf("%3d of %d histories had %s", saw[what], *histories, what)
		if saw[what] == 0 && *histories >= 11 {
			t.Errorf("no history had %s", what)
		}
	}
	for _, err := range a.Errors() {
		t.Errorf("local AWS: %v", err)
	}
}

// prepare makes what the histories share, and gives the ARN of the boundary.
func prepare(t *testing.T, a *local.AWS) (boundary string) {
	t.Helper()
	makeBucket(t, a, naming.SourceBucket(account, region))
	out, err := iam.NewFromConfig(a.Config("admin")).CreatePolicy(t.Context(), &iam.CreatePolicyInput{
		PolicyName:     aws.String(naming.Boundary(region)),
		PolicyDocument: aws.String(desired.Boundary(place, naming.SourceBucket(account, region)).JSON()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Policy.Arn
}

func makeBucket(t testing.TB, a *local.AWS, name string) {
	t.Helper()
	c := s3.NewFromConfig(a.Config("admin"))
	_, made := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
	_, versioned := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &name, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled},
	})
	_, notifies := c.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: &name, NotificationConfiguration: &s3types.NotificationConfiguration{EventBridgeConfiguration: &s3types.EventBridgeConfiguration{}},
	})
	if err := errors.Join(made, versioned, notifies); err != nil {
		t.Fatal(err)
	}
}

// history is a config bucket and agents in an account where all come and go at
// random. What it knows of who uses a role it has from those who began to.
type history struct {
	stack
	rand     *rand.Rand
	clock    *clock
	log      []string // what happened, told when something is wrong
	bucket   string
	boundary string
	grace    time.Duration

	inbox, work, dead queue
	cut               cut
	faults            []*proxy.Injected
	events            int // of the bus, that were seen
	nonces            int
	quiet             bool // nobody does anything but Rolekeeper

	keys     []string            // of the configs
	offers   map[string][]string // by key: agents that it may have
	built    string              // agent that has a build role, too
	configs  map[string][]string // by key: agents of those that stand
	looking  string              // key of the config that was looked at last
	messages []*message          // some of those there were
	holders  []*holder
	had      map[string]bool      // by agent: a runtime of its name had its role
	left     map[string]time.Time // by key and agent: since when that may be on its way out, at the earliest

	strange  map[string]string    // by name: somebody else's role, as it was made
	ours     map[string]string    // by unique id: name of a role that was seen
	closed   map[string]time.Time // by unique id: since when nobody can assume the role
	archived map[string]bool      // by unique id
	gone     map[string]bool      // by name: roles that were deleted
	saw      map[string]bool
}

// holder is a runtime or a gateway that has a role.
type holder struct {
	path  string // in AgentCore's API
	name  string // the agent whose runtime it is, or nobody
	role  string // name
	began time.Time
}

func newHistory(s stack, c *clock, boundary string, seed uint64) *history {
	s.t.Helper()
	r := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // a history is to be repeatable
	agents := make([]string, 4)
	for i, name := range []string{"shared", "one", "two", "taken"} {
		agents[i] = fmt.Sprint(name, "_", seed)
	}
	keys := []string{"configs/team/one.yaml", "configs/team/two.yaml"}
	h := &history{
		stack: s, rand: r, clock: c, bucket: fmt.Sprint("history-", seed), boundary: boundary, grace: pick(r, time.Hour, 6*time.Hour),
		events: len(s.Events()), keys: keys, offers: map[string][]string{keys[0]: agents[:2], keys[1]: {agents[0], agents[2], agents[3]}},
		built: pick(r, "", agents[0], agents[1]), configs: map[string][]string{}, had: map[string]bool{}, left: map[string]time.Time{}, strange: map[string]string{},
		ours: map[string]string{}, closed: map[string]time.Time{}, archived: map[string]bool{}, gone: map[string]bool{}, saw: map[string]bool{},
	}
	h.inbox = queue{h: h, hidden: 3 * time.Minute, ids: map[string]time.Time{}}
	h.work = queue{h: h, hidden: 6 * time.Minute, ids: map[string]time.Time{}, fifo: true}
	h.dead = queue{h: h, ids: map[string]time.Time{}}
	makeBucket(s.t, s.AWS, h.bucket)
	h.Proxy().Reset()
	const day = 24 * time.Hour
	c.advance(c.now().Truncate(day).Add(day).Sub(c.now())) // so that it is the same without those before
	remove := h.Proxy().AddHook(proxy.Hook{Before: h.cut.before, After: func(call proxy.Call) proxy.Verdict {
		return max(c.watch(call), h.cut.after(call))
	}})
	s.t.(*testing.T).Cleanup(func() { remove(); h.clear() })
	h.Proxy().AgentCore().SettleAgentCore(time.Duration(r.IntN(60))*time.Second, time.Duration(r.IntN(300))*time.Second)
	h.Proxy().AgentCore().PageAgentCore(pick(r, 0, 1, 1))
	for _, name := range []string{fmt.Sprint("strange-", seed), owned(agents[3])} {
		_, err := iam.NewFromConfig(h.Config("stranger")).CreateRole(s.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"` + account + `"}}}]}`)})
		if err != nil {
			s.t.Fatal(err)
		}
		h.strange[name] = ""
	}
	for name, d := range h.roles() {
		if _, strange := h.strange[name]; strange {
			h.strange[name] = toJSON(s.t, d)
		}
	}
	h.note("grace %s, %s has builds", h.grace, h.built)
	return h
}

// clear takes away what other histories would list.
func (h *history) clear() {
	h.clock.advance(time.Hour) // what is being made cannot be deleted
	h.Proxy().AgentCore().SettleAgentCore(0, 0)
	for _, u := range h.holders {
		h.control("admin", "DELETE", u.path, "")
	}
}

// moves are what can happen next, each as often as its weight says.
var moves = []struct {
	weight int
	do     func(*history)
}{
	{13, (*history).uploads},
	{9, (*history).removes},
	{12, (*history).deploys},
	{8, (*history).undeploys},
	{9, (*history).begins},
	{7, (*history).ends},
	{3, (*history).isUsed},
	{3, (*history).losesEvents},
	{3, (*history).repeatsEvents},
	{9, (*history).dies},
	{8, (*history).isThrottled},
	{25, (*history).waits},
}

func (h *history) play() {
	total := 0
	for _, m := range moves {
		total += m.weight
	}
	h.uploads()
	for range 25 + h.rand.IntN(20) {
		n := h.rand.IntN(total)
		for _, m := range moves {
			if n -= m.weight; n < 0 {
				m.do(h)
				break
			}
		}
		switch h.rand.IntN(4) {
		case 0: // at once the next
		case 1, 2:
			h.run(time.Duration(h.rand.IntN(15*60)) * time.Second)
		case 3:
			h.run(time.Duration(h.rand.IntN(5*3600)) * time.Second)
		}
		h.remember()
		h.check()
		if h.t.Failed() {
			return
		}
	}
	h.comesToRest()
}

// calm reports whether nothing disturbs the functions.
func (h *history) calm() bool {
	h.cut.mu.Lock()
	defer h.cut.mu.Unlock()
	return h.cut.left == 0 && len(h.faults) == 0
}

// remember keeps some messages that could come again.
func (h *history) remember() {
	for _, m := range h.inbox.messages {
		if len(h.messages) < 20 {
			h.messages = append(h.messages, m)
		}
	}
}

func (h *history) uploads() {
	key := pick(h.rand, h.keys...)
	agents := slices.DeleteFunc(slices.Clone(h.offers[key]), func(name string) bool {
		_, taken := h.strange[owned(name)]
		return h.rand.IntN(3) == 0 || taken && h.rand.IntN(2) == 0
	})
	if len(agents) == 0 {
		agents = h.offers[key][:1]
	}
	body := "agents:\n"
	for _, name := range agents {
		entry := direct(name)
		if name == h.built {
			entry = container(name)
		}
		body += strings.TrimPrefix(entry, "agents:\n")
	}
	h.note("upload %s: %v", key, agents)
	h.leaves(key, h.configs[key]...)
	h.configs[key] = agents
	h.must(s3.NewFromConfig(h.Config("developer")).PutObject(h.t.Context(), &s3.PutObjectInput{Bucket: &h.bucket, Key: &key, Body: strings.NewReader(body)}))
	h.collect()
}

func (h *history) removes() {
	key := pick(h.rand, h.keys...)
	if _, stands := h.configs[key]; !stands {
		return
	}
	h.note("remove %s", key)
	h.leaves(key, h.configs[key]...)
	delete(h.configs, key)
	h.must(s3.NewFromConfig(h.Config("developer")).DeleteObject(h.t.Context(), &s3.DeleteObjectInput{Bucket: &h.bucket, Key: &key}))
	h.collect()
}

// leaves notes that agents of a config may be on their way out from now on.
func (h *history) leaves(key string, agents ...string) {
	for _, name := range agents {
		if _, before := h.left[key+name]; !before {
			h.left[key+name] = h.clock.now()
		}
	}
}

// stay notes that a config was looked at: what it has is on its way out, if at
// all, since a time that is not known.
func (h *history) stay(key string) {
	for _, name := range h.configs[key] {
		delete(h.left, key+name)
	}
}

func (h *history) must(_ any, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// agents gives the names of all agents that there may be.
func (h *history) agents() []string {
	return slices.Concat(h.offers[h.keys[0]], h.offers[h.keys[1]][1:])
}

// role gives the name of an agent's runtime role, rather one that there is.
func (h *history) role() string {
	there := slices.DeleteFunc(slices.Sorted(maps.Values(h.ours)), func(name string) bool { return !strings.HasPrefix(name, naming.RuntimeRolePrefix) })
	if len(there) == 0 {
		there = []string{owned(h.agents()[0])}
	}
	return pick(h.rand, there...)
}

// agentOf gives the agent whose name a role has.
func (h *history) agentOf(role string) string {
	for _, name := range h.agents() {
		if role == owned(name) || role == naming.BuildRole(region, name) {
			return name
		}
	}
	return ""
}

// deploys makes a runtime of an agent's name, if AgentCore may have the role.
func (h *history) deploys() {
	role := h.role()
	name := h.agentOf(role)
	if h.rand.IntN(6) == 0 {
		role = pick(h.rand, slices.Sorted(maps.Keys(h.strange))...)
	}
	h.runtime(name, role)
}

// begins makes something else that has an agent's role.
func (h *history) begins() {
	if h.rand.IntN(2) == 0 {
		h.runtime(nobody, h.role())
	} else {
		h.gateway(h.role())
	}
}

// nobody is the name of runtimes that are no agent's.
const nobody = "nobody"

func (h *history) runtime(name, role string) {
	h.holds("PUT", "/runtimes/", fmt.Sprintf(`{"agentRuntimeName":%q,"roleArn":%q,"agentRuntimeArtifact":{"containerConfiguration":{"containerUri":"x"}}}`, name, roleARN(role)),
		"agentRuntimeId", holder{name: name, role: role})
}

func (h *history) gateway(role string) {
	h.holds("POST", "/gateways/", fmt.Sprintf(`{"name":%q,"roleArn":%q}`, h.id("gateway"), roleARN(role)), "gatewayId", holder{name: nobody, role: role})
}

// holds makes something that has a role; it is not made when AgentCore cannot
// assume that.
func (h *history) holds(method, path, body, id string, u holder) {
	made, ok := h.control("developer", method, path, body)[id].(string)
	if !ok {
		return
	}
	u.path, u.began = path+made+"/", h.clock.now()
	h.holders = append(h.holders, &u)
	if u.role == owned(u.name) {
		h.had[u.name] = true
	}
	h.note("%s has role %s", u.path, u.role)
	h.collect()
}

// alive reports whether something is still there that has a role.
func (h *history) alive(u *holder) bool { return h.control(oracle, "GET", u.path, "") != nil }

func (h *history) living() []*holder {
	return slices.DeleteFunc(slices.Clone(h.holders), func(u *holder) bool { return !h.alive(u) })
}

func (h *history) undeploys() { h.end(func(u *holder) bool { return u.name != nobody }) }
func (h *history) ends()      { h.end(func(u *holder) bool { return u.name == nobody }) }

func (h *history) end(which func(*holder) bool) {
	all := slices.DeleteFunc(h.living(), func(u *holder) bool { return !which(u) })
	if len(all) == 0 {
		return
	}
	if u := pick(h.rand, all...); h.control("developer", "DELETE", u.path, "") != nil {
		h.note("%s goes", u.path)
		for _, key := range h.keys {
			h.leaves(key, u.name)
		}
	}
	h.collect()
}

// isUsed has a role be assumed, as far as IAM says.
func (h *history) isUsed() {
	role := h.role()
	at := h.clock.now().Add(time.Duration(h.rand.IntN(8)-3) * time.Hour)
	h.note("%s is used at %s", role, at.Format(time.TimeOnly))
	h.Proxy().UseRole(role, at)
}

func (h *history) losesEvents() {
	h.note("%d messages are lost", len(h.inbox.messages))
	h.inbox.messages = nil
}

func (h *history) repeatsEvents() {
	for range 1 + h.rand.IntN(3) {
		if len(h.messages) > 0 {
			m := pick(h.rand, h.messages...)
			h.note("once more: %.80s", m.Body)
			h.inbox.put(m.id, event.Message{Body: m.Body})
		}
	}
}

// dies has a function die at one of its next calls.
func (h *history) dies() {
	left, late := 1+h.rand.IntN(60), h.rand.IntN(2) == 0
	h.note("a function dies in %d calls, late %t", left, late)
	h.cut.set(left, late)
}

// isThrottled has listings fail while the pass and what it leads to run.
func (h *history) isThrottled() {
	f := proxy.Fault{
		Caller: reconciling, Kind: pick(h.rand, proxy.Throttle, proxy.Denied), Count: 3 + h.rand.IntN(12),
		Operation: pick(h.rand, "ListAgentRuntimes", "ListAgentRuntimes", "ListAgentRuntimeVersions", "ListGateways", "ListProjects"),
	}
	if h.rand.IntN(6) == 0 {
		f.Caller, f.Operation = passing, "ListAgentRuntimes"
	}
	h.run(time.Duration(h.rand.IntN(8)) * time.Hour)
	h.note("%d times %s for %s: %s", f.Count, f.Kind, f.Caller, f.Operation)
	h.faults = []*proxy.Injected{h.InjectFault(f)}
	h.pass()
	h.faults[0].Remove()
	h.faults = nil
}

// waits lets time go by and the pass run.
func (h *history) waits() {
	d := time.Duration(1+h.rand.IntN(10)) * time.Hour
	h.note("%s go by", d)
	h.run(d)
	h.pass()
}

// watchedIAM sees roles being taken away.
type watchedIAM struct {
	*iam.Client
	h *history
}

func (i watchedIAM) CreateRole(ctx context.Context, in *iam.CreateRoleInput, o ...func(*iam.Options)) (*iam.CreateRoleOutput, error) {
	out, err := i.Client.CreateRole(ctx, in, o...)
	if err == nil && i.h.gone[*in.RoleName] {
		i.h.saw["a re-creation"] = true
	}
	return out, err
}

func (i watchedIAM) UpdateAssumeRolePolicy(ctx context.Context, in *iam.UpdateAssumeRolePolicyInput, o ...func(*iam.Options)) (*iam.UpdateAssumeRolePolicyOutput, error) {
	shut := quarantined(*in.RoleName, *in.PolicyDocument)
	if shut && !i.h.quiet && i.h.rand.IntN(3) == 0 {
		i.h.gateway(*in.RoleName) // in the last moment in which the role lets AgentCore in
	}
	was, there := i.h.look(*in.RoleName)
	if shut && there {
		i.h.closes(was)
	}
	out, err := i.Client.UpdateAssumeRolePolicy(ctx, in, o...)
	if is, there := i.h.look(*in.RoleName); there {
		_, before := i.h.closed[is.ID]
		switch now := quarantined(is.Name, is.Trust); {
		case now && !before:
			i.h.closed[is.ID] = i.h.clock.now()
		case !now && before:
			delete(i.h.closed, is.ID)
			i.h.saw["a rollback"] = true
		}
	}
	return out, err
}

func (i watchedIAM) DeleteRole(ctx context.Context, in *iam.DeleteRoleInput, o ...func(*iam.Options)) (*iam.DeleteRoleOutput, error) {
	if was, there := i.h.look(*in.RoleName); there {
		i.h.deletes(was)
	}
	out, err := i.Client.DeleteRole(ctx, in, o...)
	if _, there := i.h.look(*in.RoleName); !there {
		i.h.gone[*in.RoleName], i.h.saw["a deletion"] = true, true
	}
	return out, err
}

// quarantined reports whether a trust of a role is that of a quarantine.
func quarantined(role, trust string) bool {
	service := "bedrock-agentcore.amazonaws.com"
	if strings.HasPrefix(role, naming.BuildRolePrefix) {
		service = "codebuild.amazonaws.com"
	}
	return policy.Quarantined(trust, service)
}

// look reads a role, and reports whether there is one.
func (h *history) look(name string) (model.ObservedRole, bool) {
	o, err := iamrole.NewReader(iam.NewFromConfig(h.Config(oracle))).Read(h.t.Context(), name)
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		h.t.Fatal(err)
	}
	return o, err == nil
}

// closes judges that a role is taken from everybody.
func (h *history) closes(o model.ObservedRole) {
	if quarantined(o.Name, o.Trust) {
		return // again
	}
	h.note("quarantine %s", o.Name)
	for _, u := range h.living() {
		if age := h.clock.now().Sub(u.began); u.role == o.Name && age > time.Minute {
			h.wrong("quarantine %s: %s has had it for %s", o.Name, u.path, age)
		}
	}
	if used := h.clock.now().Sub(o.LastUsed); used < h.grace {
		h.wrong("quarantine %s, which was used %s ago", o.Name, used)
	}
	if left, leaves := h.left[h.looking+h.agentOf(o.Name)]; leaves && h.clock.now().Sub(left) < h.grace {
		h.wrong("quarantine %s: its agent was there until %s", o.Name, left.Format(time.TimeOnly))
	}
	if name := h.agentOf(o.Name); slices.Contains(h.configs[h.looking], name) && !h.had[name] {
		h.wrong("quarantine %s: %s has agent %s, which never had a runtime", o.Name, h.looking, name)
	}
	same := func(a model.Archive) bool {
		return a.Reason == model.ArchiveRetired && cmp.Equal(a.Role, o, cmpopts.IgnoreFields(o, "LastUsed"), cmpopts.EquateEmpty())
	}
	if h.archived[o.ID] = slices.ContainsFunc(h.archives(o.Name), same); !h.archived[o.ID] {
		h.wrong("quarantine %s, and no archive has it as it is", o.Name)
	}
}

// deletes judges that a role is deleted.
func (h *history) deletes(o model.ObservedRole) {
	h.note("delete %s", o.Name)
	since, closed := h.closed[o.ID]
	if age := h.clock.now().Sub(since); !closed || age < time.Minute {
		h.wrong("delete %s, which was quarantined %s ago (%t)", o.Name, age, closed)
	}
	for _, u := range h.living() {
		if u.role == o.Name {
			h.wrong("delete %s: %s has it", o.Name, u.path)
		}
	}
	if !h.archived[o.ID] {
		h.wrong("delete %s, which is in no archive", o.Name)
	}
}

// archives gives the archives of a role.
func (h *history) archives(role string) []model.Archive {
	keys, err := h.store(oracle).List(h.t.Context(), naming.ArchivedRole(role))
	h.must(keys, err)
	var all []model.Archive
	for _, key := range keys {
		a, err := model.ParseArchive(h.object(key))
		if err != nil {
			h.wrong("%s: %v", key, err)
		}
		all = append(all, a)
	}
	return all
}

// roles gives all roles that there are as IAM has them, by name, their trust
// policies decoded.
func (h *history) roles() map[string]iamtypes.RoleDetail {
	out, err := iam.NewFromConfig(h.Config(oracle)).GetAccountAuthorizationDetails(h.t.Context(), &iam.GetAccountAuthorizationDetailsInput{Filter: []iamtypes.EntityType{iamtypes.EntityTypeRole}})
	h.must(out, err)
	all := map[string]iamtypes.RoleDetail{}
	for _, d := range out.RoleDetailList {
		trust, err := url.PathUnescape(aws.ToString(d.AssumeRolePolicyDocument))
		h.must(trust, err)
		d.AssumeRolePolicyDocument = &trust
		all[aws.ToString(d.RoleName)] = d
	}
	return all
}

// check judges what there is after a move.
func (h *history) check() map[string]iamtypes.RoleDetail {
	roles, ids := h.roles(), map[string]bool{}
	for name, d := range roles {
		ids[*d.RoleId] = true
		if was, strange := h.strange[name]; !strange && h.agentOf(name) != "" {
			h.ours[*d.RoleId] = name
		} else if strange && toJSON(h.t, d) != was {
			h.wrong("role %s is somebody else's, and was changed:\n%s", name, cmp.Diff(was, toJSON(h.t, d)))
		}
	}
	for name := range h.strange {
		if _, there := roles[name]; !there {
			h.wrong("role %s is somebody else's, and is gone", name)
		}
	}
	for id, name := range h.ours {
		if !ids[id] && !slices.ContainsFunc(h.archives(name), func(a model.Archive) bool { return a.Role.ID == id && !quarantined(name, a.Role.Trust) }) {
			h.wrong("role %s is gone, and no archive has it", name)
		}
		if !ids[id] {
			delete(h.ours, id)
		}
	}
	for _, u := range h.living() {
		d, there := roles[u.role]
		if !there {
			h.wrong("%s uses role %s, which is gone", u.path, u.role)
			continue
		}
		since, closed := h.closed[*d.RoleId]
		lets := awsfake.Trusts(*d.AssumeRolePolicyDocument, "bedrock-agentcore.amazonaws.com", agentCoreARNs+"any", account)
		if late := closed && since.Sub(u.began) <= time.Minute; !lets && !late {
			h.wrong("%s uses role %s, which does not let it in: %s", u.path, u.role, *d.AssumeRolePolicyDocument)
		}
	}
	return roles
}

// admitted judges the end of a pass that nothing disturbed: whoever began to use a
// role in the last moment can assume it again.
func (h *history) admitted() {
	roles := h.roles()
	for _, u := range h.living() {
		if d := roles[u.role]; quarantined(u.role, aws.ToString(d.AssumeRolePolicyDocument)) {
			h.wrong("%s uses role %s, which is still quarantined", u.path, u.role)
		}
	}
}

// comesToRest ends a history: nobody does anything any more, what holds roles
// stays, and two passes are over. Then there is what the configs ask for.
func (h *history) comesToRest() {
	h.note("all comes to rest")
	h.quiet = true
	h.cut.set(0, false)
	h.run(time.Hour)
	for range 2 {
		h.run(h.grace + 2*time.Hour)
		h.pass()
	}
	if h.t.Failed() {
		return
	}
	if len(h.dead.messages) > 0 {
		h.wrong("lost: %+v", h.dead.messages[0].Message)
	}
	roles := h.check()
	for _, key := range h.keys {
		h.answered(key, roles)
	}
	for name := range roles {
		h.wanted(name)
	}
}

func (h *history) parsed(key string) (status.Status, bool) {
	s, err := status.Parse(h.object(naming.StatusKey(key)))
	return s, err == nil
}

// answered judges the answer to a config at the end.
func (h *history) answered(key string, roles map[string]iamtypes.RoleDetail) {
	agents, stands := h.configs[key]
	if !stands {
		return
	}
	s, _ := h.parsed(key)
	p, err := h.viewer().Preview(h.t.Context(), key, nil)
	h.must(p, err)
	switch refused := fault.Blocks(p.Problems); {
	case s.Outcome == "" || s.Outcome == status.Failed || s.Outcome == status.Waiting:
		h.wrong("%s is %q: %v", key, s.Outcome, s.Problems)
	case refused != (s.Outcome == status.Rejected):
		h.wrong("%s is %s, and is seen to have problems %v", key, s.Outcome, p.Problems)
	case refused:
		h.refused(key, s)
		return
	}
	for _, step := range p.Plan.Steps {
		h.wrong("%s: still to do: %s %s", key, step.Op, step.Role)
	}
	for _, name := range agents {
		a, known := s.Agent(name)
		d, there := roles[owned(name)]
		if _, strange := h.strange[owned(name)]; strange {
			continue
		}
		switch {
		case !known:
			h.wrong("%s: nothing is said of agent %s", key, name)
		case a.Phase != status.PhaseActive && (!h.had[name] || h.runs(name)):
			h.wrong("%s: agent %s is %s: %+v", key, name, a.Phase, a)
		case a.Phase == status.PhaseRetired && there && h.claim(name).Config == key, a.Phase != status.PhaseRetired && !there:
			h.wrong("%s: agent %s is %s, and has a role: %t", key, name, a.Phase, there)
		case there && !awsfake.Trusts(*d.AssumeRolePolicyDocument, "bedrock-agentcore.amazonaws.com", agentCoreARNs+"any", account):
			h.wrong("%s: agent %s is %s, and AgentCore cannot assume its role: %s", key, name, a.Phase, *d.AssumeRolePolicyDocument)
		case a.Phase == status.PhaseQuarantined || a.Phase == status.PhaseRetiring && len(a.BlockedBy) == 0:
			h.wrong("%s: agent %s is %s for no reason", key, name, a.Phase)
		}
	}
}

// refused judges that a config is refused: only while the other one has the agent.
func (h *history) refused(key string, s status.Status) {
	claim := h.claim(h.agents()[0])
	if claim.Config == "" || claim.Config == key || claim.Free || len(s.Problems) == 0 || s.Problems[0].Code != "name-claimed" {
		h.wrong("%s is refused: %v; the claim: %+v", key, s.Problems, claim)
	}
}

// claim gives the claim on an agent's name; the zero claim when there is none.
func (h *history) claim(agent string) model.Claim {
	body := h.object(naming.RoleClaimKey(agent))
	if body == nil {
		return model.Claim{}
	}
	c, err := model.ParseClaim(body)
	h.must(c, err)
	return c
}

// runs reports whether a runtime of the agent's has its role.
func (h *history) runs(agent string) bool {
	return slices.ContainsFunc(h.living(), func(u *holder) bool { return u.name == agent && u.role == owned(agent) })
}

// wanted judges that a role is there at the end: its agent is kept up, something
// has the role, or its config is refused, so that nobody knows what it asks for.
func (h *history) wanted(name string) {
	agent := h.agentOf(name)
	if _, strange := h.strange[name]; strange || agent == "" {
		return
	}
	for key, agents := range h.configs {
		s, _ := h.parsed(key)
		a, _ := s.Agent(agent)
		kept := slices.Contains(agents, agent) && a.Phase == status.PhaseActive
		if kept || s.Outcome == status.Rejected && h.claim(agent).Config == key {
			return
		}
	}
	if !slices.ContainsFunc(h.living(), func(u *holder) bool { return u.role == owned(agent) }) {
		h.wrong("role %s of agent %s is still there, and nobody wants it; the claim: %+v", name, agent, h.claim(agent))
	}
}
