package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/sqsbatch"
	"rolekeeper/shared/status"
)

// history is a world in which agents come and go at random. It stands between
// reconcile and the account: what it knows of who uses a role it has from those
// who began to, and it judges every call that takes something away.
type history struct {
	*world
	rand *rand.Rand
	log  []string // what happened, told when something is wrong

	teams    bool              // developers write only to their team's configs
	skews    bool              // the functions' clocks differ by up to an hour
	quiet    bool              // nobody does anything but Rolekeeper
	choked   int               // troubles in which every call was throttled
	configs  map[string]config // by key: those that stand
	bodies   []uploaded        // all uploads
	markers  map[string]string // by key: version of the delete marker
	messages []string          // of the inbox, some of those there were
	statuses []upload          // some of those there were
	meddling bool              // others act during the look
	lossy    bool              // wake-ups are lost
	trouble  trouble

	holders  []*holder
	runtimes []string                 // ids of all there were
	had      map[string]bool          // by agent: a runtime of its name had its role
	strange  map[string]bool          // by lower-case name of a role, and by name of a project or repository: it is somebody else's
	listing  listing                  // the last one
	look     look                     // the last one
	closed   map[string]time.Time     // by unique id: since when a role is quarantined
	kept     map[string]model.Archive // by unique id: roles as they were when they were quarantined
	whole    map[string]int           // by unique id: passes that were over when it was quarantined; of roles that nobody changed since
	gone     map[string]bool          // by name: roles that reconcile deleted
	glimpsed map[string]string        // by agent: config that had it at the last pass, when it had a runtime; nothing was done to either since
	running  map[string]string        // the same of two passes: the first may have found that the status was lost
	restored map[string]string        // by request: key of the archive
	ended    []end
	forged   map[string]bool // by config: its status was written by somebody else
	approved map[string]bool // by agent: an operator lets it go
	passes   int             // that ended with nothing left to do, undisturbed
	requests int
	named    int // things that got a name of their own
	saw      map[string]int
}

// upload is an object that somebody wrote.
type upload struct{ key, body string }

// uploaded is a config that somebody wrote.
type uploaded struct {
	key    string
	config config
	body   string
}

// holder is something that holds a role.
type holder struct {
	what       string // for people
	get, query string // asks AgentCore for it
	remove     string // path that deletes it
	project    string // name, of a CodeBuild project in the place of that
	role       string // name
	began      int    // passes that were over
	late       bool   // it began when its role was as good as gone, or somebody else deleted that
}

// listing is a listing of runtimes.
type listing struct {
	at   time.Time
	held []*holder // all that there were when it began
}

// look is what was so when reconcile began to look at a config.
type look struct {
	key    string
	needed map[string]string // by role: agent of the config that is to run with it
	held   map[string]bool   // by agent
	asked  map[string]bool   // by agent: the config has it
}

// end is a role that was taken from everybody.
type end struct {
	id       string
	at       time.Time
	approved bool
}

// wrong says what must not be.
func (h *history) wrong(format string, args ...any) {
	h.t.Helper()
	h.t.Errorf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(h.log, "\n"))
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf("%s %s", h.cloud.Now().Format("02 15:04:05.000"), fmt.Sprintf(format, args...)))
}

// now gives a function's time.
func (h *history) now() func() time.Time {
	skew := time.Duration(0)
	if h.skews && !h.quiet {
		skew = time.Duration(h.rand.IntN(3)-1) * time.Hour
	}
	return func() time.Time { return h.cloud.Now().Add(skew) }
}

// handle has reconcile look at a config.
func (h *history) handle(ctx context.Context, m sqsbatch.Message) error {
	work, err := event.DecodeWork(m.Body)
	if err != nil {
		return err
	}
	h.look = h.before(work.Key)
	h.meddling = !h.quiet && h.rand.IntN(8) == 0
	defer func() { h.meddling = false }()
	r := h.reconciler()
	c := h.cloud
	r.Now = h.now()
	r.Settings = h.with(r.Settings)
	r.Store = watchedStore{r.Store, h}
	r.Roles = iamrole.New(watchedIAM{c.IAM("reconcile"), h})
	r.Users = agentcore.New(watchedCore{c.AgentCore("reconcile"), h}, nil, nil)
	r.Projects = watchedProjects{r.Projects, h}
	r.Inbox = watchedQueue{r.Inbox, h}
	result, err := r.Handle(ctx, m.Body, m.Receives)
	h.restores(work.Key)
	if len(result.Braked) > 0 {
		h.saw["a brake"]++
	}
	hints := ""
	for _, hint := range work.Hints {
		hints += " " + hint.Kind
	}
	h.note("reconcile %s (%s): %s %v", work.Key, strings.TrimSpace(hints), result.Outcome, err)
	return err
}

// with gives settings with teams, if there are any.
func (h *history) with(s reconcile.Settings) reconcile.Settings {
	if h.teams {
		s.Env.TeamTag = "team"
	}
	return s
}

// before says what is so before reconcile looks at a config.
func (h *history) before(key string) look {
	l := look{key: key, needed: map[string]string{}, held: map[string]bool{}, asked: map[string]bool{}}
	s, err := status.Parse(h.cloud.Objects(bucket, naming.StatusKey(key))[naming.StatusKey(key)])
	if err != nil {
		s = status.Status{}
	}
	for _, a := range s.Agents {
		l.held[a.Name] = a.Phase == status.PhaseHeld
	}
	c := h.configs[key]
	if c.broken {
		return l
	}
	for name, e := range c.entries {
		l.asked[name] = true
		a, _ := s.Agent(name)
		if e.shares != "" && !h.restoring(name) && slices.Contains([]status.Phase{"", status.PhaseActive, status.PhaseRetiring}, a.Phase) {
			l.needed[runtimeRole(e.shares)] = name
		}
	}
	return l
}

// restoring reports whether an operator wants a role of an agent restored: then
// it is held, and runs with what it has.
func (h *history) restoring(agent string) bool {
	for _, archive := range h.restored {
		if strings.HasPrefix(archive, naming.ArchivedRole(runtimeRole(agent))) || strings.HasPrefix(archive, naming.ArchivedRole(buildRole(agent))) {
			return true
		}
	}
	return false
}

// hooks are around every call.
func (h *history) hooks() {
	functions := func(hook func(awsfake.Call) error) func(awsfake.Call) error {
		return func(c awsfake.Call) error {
			if c.Caller != "intake" && c.Caller != "reconcile" && c.Caller != "drift" {
				return nil
			}
			return hook(c)
		}
	}
	h.cloud.Before = functions(func(c awsfake.Call) error {
		if err := h.trouble.before(c); err != nil {
			return err
		}
		h.mine(c)
		return nil
	})
	h.cloud.After = functions(func(c awsfake.Call) error {
		if c.Operation == "CreateRole" && h.gone[c.Resource] {
			h.saw["a re-creation"]++
			delete(h.gone, c.Resource)
		}
		return h.trouble.after(c)
	})
}

// mine judges a write by whom it is about. Who makes what is there is refused.
func (h *history) mine(c awsfake.Call) {
	creates := c.Operation == "CreateRole" || c.Operation == "CreateProject" || c.Operation == "CreateRepository"
	if reads(c) || creates || !slices.Contains([]string{"iam", "codebuild", "ecr"}, c.Service) {
		return
	}
	if h.strange[strings.ToLower(c.Resource)] {
		h.wrong("%s: it is somebody else's", c)
	}
	if c.Operation == "DeleteRepository" && !h.empties {
		h.wrong("%s: repositories are to stay", c)
	}
}

// trouble is what happens to calls of the functions.
type trouble struct {
	left int // calls that it is still for
	err  error
	kill bool
	late bool                    // the call is carried out, and its answer lost
	of   func(awsfake.Call) bool // nil for any
	last bool                    // only the last of the calls that are left
}

func (t *trouble) strike(c awsfake.Call, late bool) error {
	// The pass reads statuses at the same time: in no order that could be repeated.
	spared := c.Caller == "drift" && (t.kill || c.Operation == "GetObject")
	if t.left == 0 || spared || t.late != late || t.of != nil && !t.of(c) {
		return nil
	}
	t.left--
	switch {
	case t.last && t.left > 0:
		return nil
	case t.kill:
		panic(killed{})
	}
	return t.err
}

func (t *trouble) before(c awsfake.Call) error { return t.strike(c, false) }
func (t *trouble) after(c awsfake.Call) error  { return t.strike(c, true) }

// watchedStore sees archives and claims being written.
type watchedStore struct {
	reconcile.Store
	h *history
}

func (s watchedStore) Create(ctx context.Context, key string, body []byte) (string, error) {
	s.h.meddle(true)
	if strings.HasPrefix(key, naming.ArchivePrefix) {
		s.h.archives(key, body)
	}
	return s.Store.Create(ctx, key, body)
}

func (s watchedStore) Replace(ctx context.Context, key string, body []byte, etag string) (string, error) {
	s.h.meddle(true)
	if strings.HasPrefix(key, naming.RoleClaimPrefix) {
		s.h.claims(key, body)
	}
	return s.Store.Replace(ctx, key, body, etag)
}

func (s watchedStore) Delete(ctx context.Context, key, etag string) error {
	for _, name := range agents {
		if key == naming.RoleClaimKey(name) {
			s.h.goes(name)
		}
	}
	return s.Store.Delete(ctx, key, etag)
}

// goes notes that an agent runs with nothing any more.
func (h *history) goes(name string) {
	maps.DeleteFunc(h.look.needed, func(_, by string) bool { return by == name })
}

// archives judges an archive: it must have the role as it is.
func (h *history) archives(key string, body []byte) {
	a, err := model.ParseArchive(body)
	if err != nil {
		h.wrong("%s: %v", key, err)
		return
	}
	if diff := cmp.Diff(h.role(a.Role.Name), a.Role, notUse, cmpopts.EquateEmpty()); diff != "" {
		h.wrong("%s (-is +archived):\n%s", key, diff)
	}
}

// notUse leaves out what is not part of what a role is.
var notUse = cmpopts.IgnoreFields(model.ObservedRole{}, "LastUsed")

// claims sees a claim go from one config to another.
func (h *history) claims(key string, body []byte) {
	next, err := model.ParseClaim(body)
	if err != nil {
		h.wrong("%s: %v", key, err)
		return
	}
	was, err := model.ParseClaim(h.cloud.Objects(bucket, key)[key])
	if err == nil && was.Config != next.Config && was.RuntimeRoleID != "" {
		h.saw["a hand-over"]++
		if h.teams && naming.Team(was.Config) != naming.Team(next.Config) {
			h.wrong("%s goes from %s to %s, which is another team's", key, was.Config, next.Config)
		}
	}
}

// watchedQueue loses wake-ups.
type watchedQueue struct {
	reconcile.Queue
	h *history
}

func (q watchedQueue) Send(ctx context.Context, m event.Message) error {
	if q.h.lossy && !q.h.quiet {
		return nil
	}
	return q.Queue.Send(ctx, m)
}

// watchedProjects sees projects being deleted.
type watchedProjects struct {
	reconcile.Projects
	h *history
}

func (p watchedProjects) Uses(ctx context.Context) ([]model.Use, error) {
	p.h.meddle(true)
	return p.Projects.Uses(ctx)
}

func (p watchedProjects) Delete(ctx context.Context, name string) error {
	for agent, role := range p.h.buildRoles() {
		if naming.Project(agent) == name && p.h.hasRole(role) && !p.h.strange[strings.ToLower(role)] {
			p.h.mayGo(role, "delete project "+name)
		}
	}
	return p.Projects.Delete(ctx, name)
}

// watchedCore sees runtimes being listed.
type watchedCore struct {
	*core.Client
	h *history
}

func (c watchedCore) ListAgentRuntimes(ctx context.Context, in *core.ListAgentRuntimesInput, o ...func(*core.Options)) (*core.ListAgentRuntimesOutput, error) {
	if in.NextToken == nil {
		c.h.listing = listing{c.h.cloud.Now(), c.h.living()}
	}
	defer c.h.meddle(true)
	return c.Client.ListAgentRuntimes(ctx, in, o...)
}

func (c watchedCore) ListGateways(ctx context.Context, in *core.ListGatewaysInput, o ...func(*core.Options)) (*core.ListGatewaysOutput, error) {
	c.h.meddle(true)
	return c.Client.ListGateways(ctx, in, o...)
}

// watchedIAM sees roles being taken away.
type watchedIAM struct {
	*awsfake.IAM
	h *history
}

func (i watchedIAM) UpdateAssumeRolePolicy(ctx context.Context, in *iam.UpdateAssumeRolePolicyInput, o ...func(*iam.Options)) (*iam.UpdateAssumeRolePolicyOutput, error) {
	i.h.meddle(false)
	name := *in.RoleName
	if i.h.quarantined(name, *in.PolicyDocument) && i.h.hasRole(name) {
		i.h.close(name)
	}
	defer i.h.trusts(name)
	return i.IAM.UpdateAssumeRolePolicy(ctx, in, o...)
}

func (i watchedIAM) DeleteRolePolicy(ctx context.Context, in *iam.DeleteRolePolicyInput, o ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error) {
	i.h.meddle(true)
	return i.IAM.DeleteRolePolicy(ctx, in, o...)
}

func (i watchedIAM) DeleteRole(ctx context.Context, in *iam.DeleteRoleInput, o ...func(*iam.Options)) (*iam.DeleteRoleOutput, error) {
	i.h.meddle(false)
	name := *in.RoleName
	if i.h.hasRole(name) {
		id := i.h.role(name).ID
		i.h.delete(name, id)
		defer i.h.deleted(name)
	}
	return i.IAM.DeleteRole(ctx, in, o...)
}

// quarantined reports whether a trust of a role is that of a quarantine.
func (h *history) quarantined(role, trust string) bool {
	service := "bedrock-agentcore.amazonaws.com"
	if strings.HasPrefix(role, naming.BuildRolePrefix) {
		service = "codebuild.amazonaws.com"
	}
	return policy.Quarantined(trust, service)
}

// close judges that a role is taken from everybody.
func (h *history) close(name string) {
	o := h.role(name)
	if h.quarantined(name, o.Trust) {
		return // again
	}
	h.mayGo(name, "quarantine "+name)
	agent := h.agentOf(name)
	if strings.Contains(o.Trust, elsewhere) {
		h.wrong("quarantine %s, which lets another account in", name)
	}
	if used := h.cloud.Now().Sub(o.LastUsed); used < h.grace-h.tolerance() {
		h.wrong("quarantine %s, which was used %s ago", name, used)
	}
	if h.look.asked[agent] && !h.had[agent] && !h.forged[h.look.key] {
		h.wrong("quarantine %s: %s has agent %s, which never had a runtime", name, h.look.key, agent)
	}
	for _, a := range h.archivesOf(name)[model.ArchiveRetired] {
		if a.Role.ID == o.ID && cmp.Equal(a.Role, o, notUse, cmpopts.IgnoreFields(model.ObservedRole{}, "PermissionsBoundary"), cmpopts.EquateEmpty()) {
			h.kept[o.ID] = a
		}
	}
	if a, kept := h.kept[o.ID]; !kept || a.Role.Trust != o.Trust {
		h.wrong("quarantine %s, and no archive has it as it is", name)
	}
	h.goes(agent)
	h.whole[o.ID] = h.passes
	h.ended = append(h.ended, end{o.ID, h.cloud.Now(), h.approved[agent]})
}

// tolerance is by how much the functions may misjudge times.
func (h *history) tolerance() time.Duration {
	if h.skews {
		return time.Hour
	}
	return 0
}

// mayGo judges that something of an agent is taken away: nothing may use its
// role that did when runtimes were last listed, which was just now.
func (h *history) mayGo(role, what string) {
	h.note("%s", what)
	// Who is an hour behind may take an old inventory for a new one, before a
	// quarantine: before a deletion there is a newer one, or none.
	behind := h.skews && strings.HasPrefix(what, "quarantine")
	if age := h.cloud.Now().Sub(h.listing.at); age > time.Minute && !behind {
		h.wrong("%s: runtimes were listed %s ago", what, age)
	}
	for _, u := range h.listing.held {
		if u.role == role && h.alive(u) {
			h.wrong("%s: %s uses the role", what, u.what)
		}
	}
	if agent, needed := h.look.needed[role]; needed {
		h.wrong("%s: agent %s of %s is to run with the role", what, agent, h.look.key)
	}
	if h.look.held[h.agentOf(role)] {
		h.wrong("%s: the agent is held", what)
	}
	for _, p := range h.profilesOf(role) {
		if p != role {
			h.wrong("%s: the role is in instance profile %s", what, p)
		}
	}
}

// delete judges that a role is deleted.
func (h *history) delete(name, id string) {
	h.mayGo(name, "delete "+name)
	since, closed := h.closed[id]
	if age := h.cloud.Now().Sub(since); !closed || age < time.Minute {
		h.wrong("delete %s, which was quarantined %s ago (%t)", name, age, closed)
	}
	kept, ok := h.kept[id]
	in := slices.ContainsFunc(h.archivesOf(name)[model.ArchiveRetired], func(a model.Archive) bool { return cmp.Equal(a, kept) })
	if !ok || !in {
		h.wrong("delete %s, and no archive has it", name)
	}
}

// deleted notes that a role is gone, if it is.
func (h *history) deleted(name string) {
	if h.hasRole(name) {
		return
	}
	h.saw["a deletion"]++
	h.gone[name] = true
	h.bereave(name)
}

// bereave notes that what holds a role has lost it.
func (h *history) bereave(role string) {
	for _, u := range h.holders {
		u.late = u.late || u.role == role
	}
}

// trusts notes what a role's trust has become.
func (h *history) trusts(name string) {
	if !h.hasRole(name) {
		return
	}
	o := h.role(name)
	_, was := h.closed[o.ID]
	switch is := h.quarantined(name, o.Trust); {
	case is && !was:
		h.closed[o.ID] = h.cloud.Now()
	case !is && was:
		delete(h.closed, o.ID)
		h.saw["a rollback"]++
	}
}

// profilesOf gives the instance profiles that a role is in.
func (h *history) profilesOf(role string) []string {
	out, err := h.cloud.IAM("oracle").ListInstanceProfilesForRole(context.Background(), &iam.ListInstanceProfilesForRoleInput{RoleName: &role})
	if err != nil {
		return nil // it is gone
	}
	var names []string
	for _, p := range out.InstanceProfiles {
		names = append(names, aws.ToString(p.InstanceProfileName))
	}
	return names
}

// alive reports whether something is still there that holds a role.
func (h *history) alive(u *holder) bool {
	if u.project != "" {
		return slices.Contains(h.cloud.Projects(), u.project) && h.strange[u.project]
	}
	_, _, err := h.cloud.ServeAgentCore("oracle", "GET", u.get, u.query, nil)
	return err == nil
}

// living gives what is still there that holds a role.
func (h *history) living() []*holder {
	return slices.DeleteFunc(slices.Clone(h.holders), func(u *holder) bool { return !h.alive(u) })
}

// meddle has others act in the middle of a look, where it may be slow or not.
func (h *history) meddle(slow bool) {
	if !h.meddling || h.rand.IntN(5) > 0 {
		return
	}
	switch h.rand.IntN(5) {
	case 0, 1, 2:
		h.begin()
	case 3:
		h.endUse()
	case 4:
		if !slow {
			return
		}
		h.cloud.Advance(time.Duration(1+h.rand.IntN(70)) * time.Second)
		h.note("  meanwhile time passes")
	}
}

// run handles messages for a time, as world.run does, and reports whether none is left.
func (h *history) run(bound time.Duration) bool {
	end := h.cloud.Now().Add(bound)
	q := h.cloud.SQS("reconcile")
	batch := sqsbatch.Batch{Log: quiet, Queue: workqueue.New(q, h.work), DeadLetters: workqueue.New(q, h.workDead), Handle: h.handle}
	for range 2000 {
		if h.t.Failed() {
			return false
		}
		if h.poll(h.inbox, 10, h.intakeBatch()) || h.poll(h.work, 1, batch) {
			h.cloud.Advance(time.Millisecond)
			continue
		}
		at, any := h.cloud.NextVisible(h.inbox, h.work)
		if !any || at.After(end) {
			h.cloud.Advance(max(end.Sub(h.cloud.Now()), 0))
			return !any
		}
		h.cloud.Advance(max(at.Sub(h.cloud.Now()), time.Millisecond))
	}
	h.wrong("the queues do not come to rest: %v %v", h.cloud.Messages(h.inbox), h.cloud.Messages(h.work))
	return false
}

// pass runs the scheduled pass and what it leads to.
func (h *history) pass() {
	calm := h.trouble.left == 0
	p := h.drift()
	p.Now = h.now()
	report, err := p.Run(context.Background(), fmt.Sprint("pass-", h.nonces.Add(1)))
	h.note("pass: %+v %s, %v", report.Totals, report.Failed, err)
	if err != nil && calm {
		h.wrong("the pass fails: %v", err)
	}
	if !h.quiet && h.rand.IntN(3) == 0 { // while roles are quarantined
		h.run(time.Duration(h.rand.IntN(75)) * time.Second)
		pick(h.rand, (*history).begin, (*history).deploys, (*history).edits, (*history).uploads, (*history).troubles, (*history).damages, (*history).removes)(h)
	}
	if h.run(30*time.Minute) && calm && !h.lossy {
		h.passes++
		h.runs()
	}
}

// runs notes which agents have a runtime, as was just seen.
func (h *history) runs() {
	for key, c := range h.configs {
		s, _ := h.parsed(key)
		for name, e := range c.entries {
			a, _ := s.Agent(name)
			if s.Outcome == status.Rejected || a.Phase != status.PhaseActive || e.shares != "" {
				continue
			}
			for _, id := range h.runtimes {
				out := h.ask("GET", "/runtimes/"+id+"/", "", "")
				if agent, _ := naming.RuntimeAgent(id); agent == name && out["status"] == "READY" && out["roleArn"] == h.arn(runtimeRole(name)) {
					if h.glimpsed[name] == key {
						h.running[name] = key
					}
					h.glimpsed[name] = key
				}
			}
		}
	}
}

// restores judges roles that are said to be restored: they are as archived.
func (h *history) restores(key string) {
	s, _ := h.parsed(key)
	for _, q := range s.Requests {
		archive, asked := h.restored[q.ID]
		if !asked || q.Outcome != status.RequestDone {
			continue
		}
		delete(h.restored, q.ID)
		h.saw["a restore"]++
		want, err := model.ParseArchive(h.cloud.Objects(bucket, archive)[archive])
		h.must(want, err)
		if a, _ := s.Agent(want.Agent); a.Phase != status.PhaseHeld {
			continue // an upload came with it
		}
		if !h.hasRole(want.Role.Name) {
			h.wrong("request %s is done, and there is no role %s", q.ID, want.Role.Name)
			continue
		}
		is, was := meaning(h.role(want.Role.Name)), meaning(want.Role)
		if diff := cmp.Diff(was, is, cmpopts.IgnoreFields(model.ObservedRole{}, "LastUsed", "ID"), cmpopts.EquateEmpty()); diff != "" {
			h.wrong("request %s is done, and role %s is not as archived (-archived +is):\n%s", q.ID, want.Role.Name, diff)
		}
	}
}

// meaning gives a role with its documents as they are compared, and without the
// nonce that it was made with.
func meaning(o model.ObservedRole) model.ObservedRole {
	same := func(raw string) string {
		if d, err := policy.Parse(raw); err == nil {
			return d.Digest()
		}
		return raw
	}
	policies := map[string]string{}
	for name, raw := range o.Policies {
		policies[name] = same(raw)
	}
	o.Trust, o.Policies, o.Tags = same(o.Trust), policies, maps.Clone(o.Tags)
	delete(o.Tags, model.TagCreation)
	return o
}

// changes notes that what was known of agents holds no more.
func (h *history) changes(names ...string) {
	for _, name := range names {
		delete(h.running, name)
		delete(h.glimpsed, name)
		for _, role := range []string{runtimeRole(name), buildRole(name)} {
			if h.hasRole(role) {
				delete(h.whole, h.role(role).ID)
			}
		}
	}
}

// agentOf gives the agent whose name a role has.
func (h *history) agentOf(role string) string {
	for _, name := range agents {
		if role == runtimeRole(name) || role == buildRole(name) {
			return name
		}
	}
	return ""
}

func (h *history) buildRoles() map[string]string {
	all := map[string]string{}
	for _, name := range agents {
		all[name] = buildRole(name)
	}
	return all
}

// agents are the names of all agents that there are.
var agents = []string{"alpha", "beta", "gamma", "delta"}

// ourRoles gives the roles there are that reconcile made, sorted.
func (h *history) ourRoles() []string {
	return slices.DeleteFunc(h.cloud.RoleNames(), func(name string) bool { return h.agentOf(name) == "" || h.strange[strings.ToLower(name)] })
}

// rest judges a world in which nothing is under way: what has been in use for two
// passes has a role that lets it in, with the policies it had.
func (h *history) rest() {
	for _, u := range h.living() {
		if u.late || h.passes-u.began < 2 || h.agentOf(u.role) == "" {
			continue
		}
		if !h.hasRole(u.role) {
			h.wrong("%s uses role %s, which is gone", u.what, u.role)
			continue
		}
		o := h.role(u.role)
		slow := h.skews && h.cloud.Now().Sub(h.closed[o.ID]) < 3*time.Hour // to a clock that is behind it has just begun
		if h.quarantined(u.role, o.Trust) && !slow {
			h.wrong("%s uses role %s, which is quarantined", u.what, u.role)
		}
	}
	for _, name := range h.ourRoles() {
		o := h.role(name)
		passes, was := h.whole[o.ID]
		if h.active(h.agentOf(name)) {
			continue // it is as its config asks
		}
		if _, closed := h.closed[o.ID]; closed || !was || h.passes-passes < 2 {
			continue
		}
		is, before := meaning(o), meaning(h.kept[o.ID].Role)
		for policy, document := range before.Policies {
			if is.Policies[policy] != document {
				h.wrong("%s came back from its quarantine without its policy %s", name, policy)
			}
		}
		for _, arn := range before.Attached {
			if !slices.Contains(is.Attached, arn) {
				h.wrong("%s came back from its quarantine without %s", name, arn)
			}
		}
		if is.Trust != before.Trust {
			h.wrong("%s came back from its quarantine with another trust", name)
		}
	}
}

// active reports whether a config has the agent and keeps it up.
func (h *history) active(agent string) bool {
	for _, key := range keys {
		if s, ok := h.parsed(key); ok {
			if a, _ := s.Agent(agent); a.Phase == status.PhaseActive {
				return true
			}
		}
	}
	return false
}

// parsed gives the status of a config, and whether there is one.
func (h *history) parsed(key string) (status.Status, bool) {
	s, err := status.Parse(h.cloud.Objects(bucket, naming.StatusKey(key))[naming.StatusKey(key)])
	return s, err == nil
}
