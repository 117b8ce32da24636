package drift_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/awsfake/stacktest"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

const (
	bucket   = "bedrock-agentcore-configs-123456789012-us-east-1"
	boundary = "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1"
	key      = "configs/team/agent.yaml"
)

// world is an account with the scheduled pass in it.
type world struct {
	t     testing.TB
	cloud *awsfake.Cloud
	queue string // work
	inbox string

	settings  reconcile.Settings
	hash      string
	most      model.Portion
	operators bool
	nonces    atomic.Int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c := awsfake.New()
	w := &world{t: t, cloud: c, settings: stacktest.Deploy(c), hash: "settings-1", most: model.Portion{Percent: 100}}
	w.settings.EnsureServiceLinkedRoles = false // most tests have nobody who makes them
	w.queue = c.AddQueue("work.fifo", 6*time.Minute, 10, "")
	w.inbox = c.AddQueue("inbox", 3*time.Minute, 10, "")
	c.AssumeAgentCoreRoles(func(string, string) bool { return true })
	w.admin().createRole("theirs", plainTrust)
	return w
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) pass() drift.Pass {
	p := stacktest.Pass(w.cloud, w.settings, w.queue)
	p.SettingsHash, p.Operators, p.MaxChanges = w.hash, w.operators, w.most
	return p
}

// run takes a pass that is to succeed.
func (w *world) run(id string) report.Pass {
	w.t.Helper()
	r, err := w.pass().Run(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// external gives a config of agents with a role that is not Rolekeeper's:
// nothing is to be made for it.
func external(agents ...string) string {
	text := "agents:\n"
	for _, name := range agents {
		text += fmt.Sprintf("  %[1]s:\n    name: %[1]s\n    entrypoint: main.py\n    deployment_type: direct_code_deploy\n    aws:\n      execution_role: arn:aws:iam::123456789012:role/theirs\n", name)
	}
	return text
}

// config uploads one of such agents, my_agent when none is named.
func (w *world) config(key string, agents ...string) {
	w.t.Helper()
	if agents == nil {
		agents = []string{"my_agent"}
	}
	w.put(key, external(agents...))
}

// own has a config hold the names of agents.
func (w *world) own(key string, agents ...string) {
	w.t.Helper()
	x := model.ClaimIndex{V: 1, Config: key}
	for _, name := range agents {
		w.write(naming.RoleClaimKey(name), model.Claim{V: 1, Config: key, Agent: name})
		x.Claims = append(x.Claims, naming.RoleClaimKey(name))
	}
	slices.Sort(x.Claims)
	w.write(naming.ClaimIndexKey(key), x)
}

// write puts a value as JSON.
func (w *world) write(key string, v any) {
	w.t.Helper()
	body, err := json.Marshal(v)
	w.must(nil, err)
	w.put(key, string(body))
}

func (w *world) put(key, body string) {
	w.t.Helper()
	if _, err := w.cloud.S3("test").PutObject(w.t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body),
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(key string) {
	w.t.Helper()
	if _, err := w.cloud.S3("test").DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}); err != nil {
		w.t.Fatal(err)
	}
}

// answer writes the status of a config that is as its status says, but for what
// change does to it.
func (w *world) answer(key string, change func(*status.Status)) {
	w.t.Helper()
	s := status.Status{
		V: status.Version, Outcome: status.Ready, Config: status.Config{Key: key, VersionID: "v1", UploadedAt: w.cloud.Now()},
		Agents: []status.Agent{{Name: "my_agent", Phase: status.PhaseActive}},
	}
	if change != nil {
		change(&s)
	}
	body, err := s.JSON()
	w.must(nil, err)
	w.put(naming.StatusKey(key), string(body))
	var names []string
	for _, a := range s.Agents {
		names = append(names, a.Name)
	}
	w.own(key, names...)
}

// settled is a config at rest.
func (w *world) settled(key string) {
	w.t.Helper()
	w.config(key)
	w.answer(key, nil)
}

func (w *world) runtime(name string) (id string) {
	w.t.Helper()
	out, err := w.cloud.AgentCore("test").CreateAgentRuntime(w.t.Context(), &core.CreateAgentRuntimeInput{
		AgentRuntimeName: &name, RoleArn: aws.String("arn:aws:iam::123456789012:role/any"),
		AgentRuntimeArtifact: &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: aws.String("image")}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.cloud.Advance(time.Minute)
	return *out.AgentRuntimeId
}

// deleteRuntime begins to.
func (w *world) deleteRuntime(id string) {
	w.t.Helper()
	if _, err := w.cloud.AgentCore("test").DeleteAgentRuntime(w.t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id}); err != nil {
		w.t.Fatal(err)
	}
}

// sent gives the messages in the work queue, in their order.
func (w *world) sent() []event.Work {
	w.t.Helper()
	var all []event.Work
	for _, m := range w.cloud.Messages(w.queue) {
		work, err := event.DecodeWork(m.Body)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, work)
	}
	return all
}

// hints gives what the messages say: key, and kind and id of each hint.
func (w *world) hints() []string {
	w.t.Helper()
	var all []string
	for _, work := range w.sent() {
		line := work.Key
		for _, h := range work.Hints {
			line += " " + h.Kind + ":" + h.ID
			if h.Actor != "" || !h.Time.Equal(w.cloud.Now()) {
				w.t.Errorf("hint %+v", h)
			}
		}
		all = append(all, line)
	}
	return all
}

// writes gives what the pass wrote: messages as the operation, objects by key.
func (w *world) writes() []string {
	var all []string
	for _, c := range w.cloud.Calls() {
		read := slices.ContainsFunc([]string{"Get", "List", "BatchGet"}, func(verb string) bool { return strings.HasPrefix(c.Operation, verb) })
		switch {
		case c.Caller != "drift" || read:
		case c.Operation == "PutObject":
			all = append(all, strings.TrimPrefix(c.Resource, bucket+"/"))
		default:
			all = append(all, c.Operation)
		}
	}
	return all
}

// reports are the keys of what a pass writes that begins at the time.
func reports(at time.Time) []string {
	return []string{naming.DriftReportKey(at), naming.LatestPassKey, naming.LatestReportKey}
}

// counted leaves out of totals what they have beside what is due or was missed.
func counted(r report.Pass) report.Totals {
	t := r.Totals
	return report.Totals{Configs: t.Configs, Due: t.Due, Missed: t.Missed, Runtimes: t.Runtimes, Newer: t.Newer, Unread: t.Unread, Skipped: t.Skipped, Enqueued: t.Enqueued}
}

// gone is a runtime of the agent that there is not.
const gone = "my_agent-abcdefghij"

func TestWhatIsDueOrWasMissedIsEnqueuedOnceAndNothingElse(t *testing.T) {
	agent := func(change func(w *world, a *status.Agent)) func(*world) {
		return func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) { change(w, &s.Agents[0]) })
		}
	}
	phase := func(p status.Phase, until time.Duration) func(*world) {
		return agent(func(w *world, a *status.Agent) {
			a.Phase, a.RetirementID = p, "20261122T120000Z-000000000000"
			a.RetireAfter, a.DeleteAfter = w.cloud.Now().Add(time.Hour), w.cloud.Now().Add(time.Hour)
			switch at := w.cloud.Now().Add(until); p {
			case status.PhaseQuarantined:
				a.DeleteAfter = at
			case status.PhaseRetiring:
				a.RetireAfter = at
			default:
				a.RetireAfter, a.DeleteAfter = at, at
			}
		})
	}
	had := func(p status.Phase, r status.Runtime) func(*world) {
		return agent(func(w *world, a *status.Agent) {
			a.Phase, a.RetirementID = p, "20261122T120000Z-000000000000"
			a.RetireAfter, a.DeleteAfter = w.cloud.Now().Add(time.Hour), w.cloud.Now().Add(time.Hour)
			a.Runtimes = []status.Runtime{{ID: "my_agent-0000000000", Gone: true}, r}
		})
	}
	// has gives a world with a runtime and an agent that has it recorded as r.
	has := func(r status.Runtime, then func(w *world, id string)) func(*world) {
		return func(w *world) {
			r.ID = w.runtime("my_agent")
			w.config(key)
			w.answer(key, func(s *status.Status) { s.Agents[0].Runtimes = []status.Runtime{r} })
			if then != nil {
				then(w, r.ID)
			}
		}
	}
	const missed, due, changed = key + " pass:id", key + " pass:id", key + " runtime-changed:"
	for name, c := range map[string]struct {
		given func(w *world)
		want  string // of the one message; none when empty. An id is written as *
		count report.Totals
	}{
		"nothing":                  {func(*world) {}, "", report.Totals{}},
		"a config at rest":         {func(w *world) { w.settled(key) }, "", report.Totals{Configs: 1}},
		"a config without answer":  {func(w *world) { w.config(key) }, missed, report.Totals{Configs: 1, Missed: 1}},
		"a config that came again": {func(w *world) { w.settled(key); w.cloud.Advance(time.Second); w.config(key) }, missed, report.Totals{Configs: 1, Missed: 1}},
		"an older version that is back": {func(w *world) {
			w.config(key)
			w.cloud.Advance(time.Second)
			w.answer(key, nil)
		}, missed, report.Totals{Configs: 1, Missed: 1}},
		"an answer that tells parts of a second": {func(w *world) {
			w.config(key)
			w.cloud.Advance(999 * time.Millisecond)
			w.answer(key, nil)
		}, "", report.Totals{Configs: 1}},
		"an answer in another time zone": {func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) { s.Config.UploadedAt = s.Config.UploadedAt.In(time.FixedZone("", 3600)) })
		}, "", report.Totals{Configs: 1}},
		"an answer that does not tell when the config came": {func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) { s.Config.UploadedAt = time.Time{} })
		}, missed, report.Totals{Configs: 1, Missed: 1}},
		"a config that is gone": {func(w *world) { w.settled(key); w.remove(key) }, missed, report.Totals{Missed: 1}},
		"a config that is known to be gone": {func(w *world) {
			w.answer(key, func(s *status.Status) { s.Config.VersionID, s.Agents[0].Phase = "", status.PhaseHeld })
		}, "", report.Totals{}},
		"a config that went when agents stayed": {func(w *world) { w.answer(key, func(s *status.Status) { s.Config.VersionID = "" }) }, missed, report.Totals{Missed: 1}},
		"a config that was gone and is as ever": {func(w *world) { w.config(key); w.answer(key, func(s *status.Status) { s.Config.VersionID = "" }) }, missed, report.Totals{Configs: 1, Missed: 1}},

		"a damaged status":            {func(w *world) { w.settled(key); w.put(naming.StatusKey(key), `{"v":1,`) }, missed, report.Totals{Configs: 1, Missed: 1}},
		"an empty status":             {func(w *world) { w.settled(key); w.put(naming.StatusKey(key), "") }, missed, report.Totals{Configs: 1, Missed: 1}},
		"a damaged status of nothing": {func(w *world) { w.put(naming.StatusKey(key), "[]") }, missed, report.Totals{Missed: 1}},
		"the status of another config": {func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) { s.Config.Key = "configs/b.yaml" })
		}, missed, report.Totals{Configs: 1, Missed: 1}},
		"a status of a later format": {func(w *world) { w.config(key); w.put(naming.StatusKey(key), `{"v":2,"all":"new"}`) }, "", report.Totals{Configs: 1, Newer: 1}},

		"one retiring, in time":      {phase(status.PhaseRetiring, 0), due, report.Totals{Configs: 1, Due: 1}},
		"one retiring, late":         {phase(status.PhaseRetiring, -time.Hour), due, report.Totals{Configs: 1, Due: 1}},
		"one retiring, too early":    {phase(status.PhaseRetiring, time.Second), "", report.Totals{Configs: 1}},
		"one quarantined, in time":   {phase(status.PhaseQuarantined, 0), due, report.Totals{Configs: 1, Due: 1}},
		"one quarantined, too early": {phase(status.PhaseQuarantined, time.Second), "", report.Totals{Configs: 1}},
		"one active, with old times": {phase(status.PhaseActive, -time.Hour), "", report.Totals{Configs: 1}},
		"one retired":                {phase(status.PhaseRetired, -time.Hour), "", report.Totals{Configs: 1}},
		"one held":                   {phase(status.PhaseHeld, -time.Hour), "", report.Totals{Configs: 1}},
		"the second of two agents": {func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) {
				s.Agents = append(s.Agents, status.Agent{Name: "b", Phase: status.PhaseRetiring, RetireAfter: w.cloud.Now()}, status.Agent{Name: "c", Phase: status.PhaseActive})
			})
		}, due, report.Totals{Configs: 1, Due: 1}},
		"one retiring whose config is gone": {func(w *world) {
			w.answer(key, func(s *status.Status) {
				s.Config.VersionID, s.Agents[0].Phase, s.Agents[0].RetireAfter = "", status.PhaseRetiring, w.cloud.Now()
			})
		}, due, report.Totals{Due: 1}},

		"a wake-up that was lost": {func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) { s.WakeAt = w.cloud.Now().Add(-15*time.Minute - time.Second) })
		}, missed, report.Totals{Configs: 1, Missed: 1}},
		"a wake-up that may still come": {func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) { s.WakeAt = w.cloud.Now().Add(-15 * time.Minute) })
		}, "", report.Totals{Configs: 1}},

		"a runtime that is gone":                     {had(status.PhaseActive, status.Runtime{ID: gone}), changed + gone, report.Totals{Configs: 1, Runtimes: 1}},
		"a runtime that is gone, of one retiring":    {had(status.PhaseRetiring, status.Runtime{ID: gone}), changed + gone, report.Totals{Configs: 1, Runtimes: 1}},
		"a runtime that is gone, of one quarantined": {had(status.PhaseQuarantined, status.Runtime{ID: gone}), "", report.Totals{Configs: 1}},
		"a runtime that is gone, of one retired":     {had(status.PhaseRetired, status.Runtime{ID: gone}), "", report.Totals{Configs: 1}},
		"a runtime that is gone, of one held":        {had(status.PhaseHeld, status.Runtime{ID: gone}), "", report.Totals{Configs: 1}},
		"a runtime recorded twice that is gone": {func(w *world) {
			w.config(key)
			w.answer(key, func(s *status.Status) { s.Agents[0].Runtimes = []status.Runtime{{ID: gone}, {ID: gone}} })
		}, changed + gone, report.Totals{Configs: 1, Runtimes: 1}},
		"a runtime known to be gone":                             {had(status.PhaseActive, status.Runtime{ID: gone, Gone: true}), "", report.Totals{Configs: 1}},
		"a runtime with another role that is gone":               {had(status.PhaseActive, status.Runtime{ID: gone, Foreign: true}), "", report.Totals{Configs: 1}},
		"a runtime recorded for an agent not its own":            {had(status.PhaseActive, status.Runtime{ID: "your_agent-abcdefghij"}), "", report.Totals{Configs: 1}},
		"what is no runtime recorded as one":                     {had(status.PhaseActive, status.Runtime{ID: strings.Repeat("my_agent", 100)}), "", report.Totals{Configs: 1}},
		"a runtime that is there":                                {has(status.Runtime{}, nil), "", report.Totals{Configs: 1}},
		"a runtime with another role":                            {has(status.Runtime{Foreign: true}, nil), "", report.Totals{Configs: 1}},
		"a runtime that is being deleted":                        {has(status.Runtime{}, (*world).deleteRuntime), changed + "*", report.Totals{Configs: 1, Runtimes: 1}},
		"a runtime recorded as gone that is there":               {has(status.Runtime{Gone: true}, nil), changed + "*", report.Totals{Configs: 1, Runtimes: 1}},
		"a runtime known to be gone that still is being deleted": {has(status.Runtime{Gone: true}, (*world).deleteRuntime), "", report.Totals{Configs: 1}},
		"a runtime whose deletion failed":                        {has(status.Runtime{}, failDeletion), "", report.Totals{Configs: 1}},
		"a runtime whose deletion failed after it was recorded":  {has(status.Runtime{Gone: true}, failDeletion), changed + "*", report.Totals{Configs: 1, Runtimes: 1}},
		"a runtime in a state that nobody knows":                 {has(status.Runtime{}, func(w *world, id string) { w.cloud.SetAgentCoreStatus(id, "MIGRATING") }), "", report.Totals{Configs: 1}},
		"a runtime that was made":                                {func(w *world) { w.runtime("my_agent"); w.settled(key) }, changed + "*", report.Totals{Configs: 1, Runtimes: 1}},
		"a runtime that was made and is being deleted":           {func(w *world) { w.deleteRuntime(w.runtime("my_agent")); w.settled(key) }, "", report.Totals{Configs: 1}},
		"a runtime of no config's agent":                         {func(w *world) { w.runtime("My_agent"); w.runtime("my_agent2"); w.settled(key) }, "", report.Totals{Configs: 1}},
		"a runtime that was made for an agent retired": {func(w *world) {
			w.runtime("my_agent")
			w.answer(key, func(s *status.Status) { s.Config.VersionID, s.Agents[0].Phase = "", status.PhaseRetired })
		}, changed + "*", report.Totals{Runtimes: 1}},
		"a runtime that was made in the place of another": {func(w *world) {
			w.runtime("my_agent")
			w.config(key)
			w.answer(key, func(s *status.Status) { s.Agents[0].Runtimes = []status.Runtime{{ID: gone}} })
		}, changed + "* runtime-changed:" + gone, report.Totals{Configs: 1, Runtimes: 2}},
		"everything at once": {func(w *world) {
			w.runtime("my_agent")
			w.answer(key, func(s *status.Status) {
				s.Agents[0].Phase, s.Agents[0].RetireAfter = status.PhaseRetiring, w.cloud.Now()
			})
		}, due + " runtime-changed:*", report.Totals{Due: 1, Missed: 1, Runtimes: 1}},

		"a list of claims under another config's name": {func(w *world) {
			w.write(naming.ClaimIndexKey("configs/a.yaml"), model.ClaimIndex{V: 1, Config: "configs/b.yaml", Claims: []string{naming.RoleClaimKey("b")}})
		}, "", report.Totals{}},
		"a folder":                 {func(w *world) { w.put("configs/team/", "") }, "", report.Totals{Skipped: 1}},
		"a key that no config has": {func(w *world) { w.put("configs/a b", ""); w.put("configs/../a", "") }, "", report.Totals{Skipped: 2}},
		"a key that no status has": {func(w *world) { w.put("status/a", ""); w.put("status/a b.json", "") }, "", report.Totals{Skipped: 2}},
		"what is elsewhere":        {func(w *world) { w.put("claims/a.json", ""); w.put("requests/config/a.json", "") }, "", report.Totals{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.given(w)
			w.cloud.ForgetCalls()
			at := w.cloud.Now()
			r := w.run("id")
			var want []string
			if c.want != "" {
				want, c.count.Enqueued = []string{c.want}, 1
			}
			got := w.hints()
			for i, line := range got { // the account numbers what is made
				for _, r := range w.runtimes() {
					line = strings.ReplaceAll(line, r, "*")
				}
				got[i] = line
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("messages (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.count, counted(r)); diff != "" {
				t.Errorf("report (-want +got)\n%s", diff)
			}
			writes := reports(at)
			if len(want) > 0 {
				writes = slices.Insert(writes, 0, "SendMessage")
			}
			if diff := cmp.Diff(writes, w.writes()); diff != "" {
				t.Errorf("writes (-want +got)\n%s", diff)
			}
		})
	}
}

func failDeletion(w *world, id string) {
	w.cloud.FailAgentCoreDeletion(id, true)
	w.deleteRuntime(id)
	w.cloud.Advance(time.Hour)
}

// runtimes gives the ids of all there are.
func (w *world) runtimes() []string {
	w.t.Helper()
	listed, err := agentcore.New(w.cloud.AgentCore("test"), nil, nil).Runtimes(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, r := range listed {
		ids = append(ids, r.ID)
	}
	return ids
}

func name(n int) string { return fmt.Sprintf("configs/team%d/agent%04d.yaml", n%7, n) }

func TestMessagesComeInTheOrderOfKeysAndOncePerPass(t *testing.T) {
	const n = 1100 // more than a page of either listing
	w := newWorld(t)
	var want []string
	for i := range n {
		w.config(name(i), fmt.Sprintf("agent_%04d", i))
		if i%2 == 0 {
			w.answer(name(i), func(s *status.Status) { s.Agents[0].Name = fmt.Sprintf("agent_%04d", i) })
			continue
		}
		want = append(want, name(i))
	}
	slices.Sort(want)
	for round, id := range []string{"first", "first", "second"} {
		if r := w.run(id); r.Totals.Enqueued != len(want) || r.Totals.Missed != len(want) {
			t.Fatalf("%+v", r.Totals)
		}
		var got []string
		for _, work := range w.sent() {
			got = append(got, work.Key)
		}
		expected := want
		if round == 2 { // the pass that was repeated left nothing behind
			expected = slices.Concat(want, want)
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Fatalf("round %d (-want +got)\n%s", round, diff)
		}
	}
	groups := map[string]bool{}
	for _, m := range w.cloud.Receive(w.queue, 2*n).Records {
		work, err := event.DecodeWork(m.Body)
		if err != nil || m.Attributes["MessageGroupId"] != naming.ConfigID(work.Key) {
			t.Fatalf("%+v: %v", m, err)
		}
		groups[m.Attributes["MessageGroupId"]] = true
	}
	if len(groups) != len(want) {
		t.Errorf("%d groups, want %d", len(groups), len(want))
	}
}

// orphan has the name of a role of an agent that there is not.
const orphan = "AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789"

// unsettled is an account in which everything has something to tell.
func unsettled(t testing.TB) *world {
	w := newWorld(t)
	w.cloud.PageAgentCore(1)
	w.cloud.LimitPages(1)
	w.admin().createRole("another", plainTrust)
	w.admin().createRole(orphan, plainTrust)
	made := w.runtime("agent_a")
	w.runtime("agent_b")
	w.config("configs/a.yaml", "agent_a", "agent_b", "agent_c")
	w.answer("configs/a.yaml", func(s *status.Status) {
		s.Agents = []status.Agent{
			{Name: "agent_a", Phase: status.PhaseActive, Runtimes: []status.Runtime{{ID: made}}},
			{Name: "agent_b", Phase: status.PhaseActive},
			{Name: "agent_c", Phase: status.PhaseActive, Runtimes: []status.Runtime{{ID: "agent_c-abcdefghij"}}},
		}
	})
	w.answer("configs/b.yaml", func(s *status.Status) { s.Agents[0].Name = "b" }) // whose config is gone
	w.config("configs/c.yaml", "c")
	w.config("configs/d.yaml", "d")
	w.answer("configs/d.yaml", func(s *status.Status) {
		s.Agents[0] = status.Agent{Name: "d", Phase: status.PhaseRetiring, RetireAfter: w.cloud.Now()}
	})
	w.cloud.ForgetCalls()
	return w
}

// Whatever call fails, nothing is taken for missing that was only not seen, and
// the report says what happened.
func TestACallThatFailsHidesNoMoreThanItWasFor(t *testing.T) {
	sound := unsettled(t)
	sound.run("id")
	all := sound.hints()
	if len(all) != 4 || len(strings.Fields(all[0])) != 3 {
		t.Fatalf("the world is not as it was meant: %q", all)
	}
	owners := map[string]string{}
	for key, agents := range map[string][]string{"configs/a.yaml": {"agent_a", "agent_b", "agent_c"}, "configs/b.yaml": {"b"}, "configs/d.yaml": {"d"}} {
		for _, name := range agents {
			owners[naming.RoleClaimKey(name)] = key
		}
	}
	for _, line := range all {
		key := strings.Fields(line)[0]
		owners[key], owners[naming.StatusKey(key)], owners[naming.ClaimIndexKey(key)] = key, key, key
	}
	for _, code := range []string{"AccessDeniedException", "ThrottlingException"} {
		for _, call := range sound.cloud.Calls() {
			t.Run(fmt.Sprintf("%s %s %s", code, call.Operation, call.Resource), func(t *testing.T) {
				w := unsettled(t)
				nth := 0 // of the same call, since parallel reads have no order
				for _, c := range sound.cloud.Calls()[:call.N-1] {
					if c.Operation == call.Operation && c.Resource == call.Resource {
						nth++
					}
				}
				left := nth
				w.cloud.Before = func(c awsfake.Call) error {
					if c.Operation != call.Operation || c.Resource != call.Resource {
						return nil
					}
					if left--; left != -1 {
						return nil
					}
					return awsfake.APIError(code, "not now")
				}
				var want []string
				unread := 0
				latest := call.Operation == "GetObject" && call.Resource == bucket+"/"+naming.LatestPassKey
				linked := call.Resource == bucket+"/"+naming.LinkedKey // told, and nothing else
				switch owner := owners[strings.TrimPrefix(call.Resource, bucket+"/")]; {
				case call.Operation == "PutObject", latest && nth == 1, linked, call.Resource == bucket+"/"+naming.RoleClaimKeyOf("0123456789"):
					want = all // it failed after they were sent, or hid nothing of them
				case call.Operation == "SendMessage":
					want = all[:nth]
				case owner != "":
					want, unread = slices.DeleteFunc(slices.Clone(all), func(line string) bool { return strings.Fields(line)[0] == owner }), 1
				}
				r, err := w.pass().Run(t.Context(), "id")
				var failure smithy.APIError
				if closed := code == "AccessDeniedException" && strings.HasPrefix(call.Resource, bucket+"/configs/") && call.Operation == "GetObject"; closed || linked { // by who uploaded it
					if err != nil || r.Failed != "" || linked && !strings.Contains(r.Linked.Unread, "not now") {
						t.Errorf("error %v, told as %q", err, r.Failed)
					}
				} else if !errors.As(err, &failure) || failure.ErrorCode() != code || call.Operation != "PutObject" && !strings.Contains(r.Failed, "not now") {
					t.Errorf("error %v, told as %q", err, r.Failed)
				}
				if diff := cmp.Diff(want, w.hints(), cmpopts.EquateEmpty()); diff != "" || r.Totals.Enqueued != len(want) || r.Totals.Unread != unread {
					t.Errorf("%+v (-want +got)\n%s", r.Totals, diff)
				}
				if call.Operation == "PutObject" {
					return
				}
				kept := w.cloud.Objects(bucket, "reports/")
				if _, there := kept[naming.LatestPassKey]; there == latest {
					t.Errorf("the latest report is there: %v", there)
				}
				if stored, err := report.ParsePass(kept[naming.DriftReportKey(r.At)]); err != nil || stored.Failed != r.Failed && !(latest && nth == 1) {
					t.Errorf("the report says %q: %v", stored.Failed, err)
				}
			})
		}
	}
}

// latest gives the newest report as it is in the bucket.
func (w *world) latest() report.Pass {
	w.t.Helper()
	r, err := report.ParsePass(w.cloud.Objects(bucket, "reports/")[naming.LatestPassKey])
	w.must(nil, err)
	return r
}

// fixed is an account that has nothing but what tests say of its bucket.
type fixed struct {
	drift.Runtimes
	configs, others []string
	get             func(key string) (model.Object, error)
	sent            []event.Message
}

func (f *fixed) Entries(_ context.Context, prefix string) ([]model.Entry, error) {
	var entries []model.Entry
	for _, key := range slices.Concat(f.configs, f.others) {
		if strings.HasPrefix(key, prefix) {
			entries = append(entries, model.Entry{Key: key, Modified: time.Unix(1, 999)})
		}
	}
	return entries, nil
}

func (f *fixed) Get(_ context.Context, key string) (model.Object, error) { return f.get(key) }

func (f *fixed) GetUpTo(context.Context, string, int64) (model.Object, error) {
	return model.Object{}, fault.ErrNotFound
}

func (f *fixed) Read(context.Context, []string) (map[string]model.ObservedProject, error) {
	return map[string]model.ObservedProject{}, nil
}

func (f *fixed) Send(_ context.Context, m event.Message) error {
	f.sent = append(f.sent, m)
	return nil
}

func (f *fixed) pass(t testing.TB) drift.Pass {
	t.Helper()
	p := newWorld(t).pass()
	p.Objects, p.Projects, p.Work, p.Now = f, f, f, func() time.Time { return time.Unix(1e9, 0) }
	return p
}

func TestAStatusThatGoesMeanwhileIsOneThatIsNotThere(t *testing.T) {
	f := &fixed{
		configs: []string{"configs/a.yaml"}, others: []string{"status/a.yaml.json", "status/b.yaml.json"},
		get: func(key string) (model.Object, error) {
			if strings.HasPrefix(key, naming.ConfigPrefix) {
				return model.Object{Body: []byte(external("my_agent"))}, nil
			}
			return model.Object{}, fmt.Errorf("get %s: %w", key, fault.ErrNotFound)
		},
	}
	r, err := f.pass(t).Run(t.Context(), "id")
	if diff := cmp.Diff(report.Totals{Configs: 1, Missed: 1, Enqueued: 1}, counted(r)); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestAListingThatTellsPartsOfASecondIsComparedWithoutThem(t *testing.T) {
	f := &fixed{
		configs: []string{key}, others: []string{naming.StatusKey(key)},
		get: func(k string) (model.Object, error) {
			if k == key {
				return model.Object{Body: []byte(external("my_agent"))}, nil
			}
			body, err := status.Status{
				V: status.Version, Outcome: status.Ready, Config: status.Config{Key: key, VersionID: "v1", UploadedAt: time.Unix(1, 0).UTC()},
			}.JSON()
			return model.Object{Body: body}, err
		},
	}
	r, err := f.pass(t).Run(t.Context(), "id")
	if diff := cmp.Diff(report.Totals{Configs: 1}, counted(r)); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestObjectsAreReadSixteenAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reading, most atomic.Int64
		f := &fixed{get: func(string) (model.Object, error) {
			if n := reading.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			reading.Add(-1)
			return model.Object{Body: []byte(`{"v":2}`)}, nil
		}}
		for i := range 160 {
			f.others = append(f.others, naming.StatusKey(name(i)))
		}
		begin := time.Now()
		r, err := f.pass(t).Run(t.Context(), "id")
		if err != nil || r.Totals.Newer != 160 || most.Load() != 16 || time.Since(begin) != 10*time.Second {
			t.Errorf("%+v, %v: at most %d at a time, %s", r.Totals, err, most.Load(), time.Since(begin))
		}
	})
}

// FuzzAnyObjectsLeadToABoundedMessage holds what reconcile gets to what it can
// take, whatever the status of a config, a claim and the list of its claims say:
// at most one message, of a size that SQS takes, with hints of runtimes that can
// be the agents'. What cannot be judged is told.
func FuzzAnyObjectsLeadToABoundedMessage(f *testing.F) {
	w := newWorld(f)
	w.answer(key, func(s *status.Status) {
		for i := range 300 {
			s.Agents[0].Runtimes = append(s.Agents[0].Runtimes, status.Runtime{ID: fmt.Sprintf("my_agent-%010d", i)})
		}
	})
	objects := w.cloud.Objects(bucket, "")
	many, claim, index := string(objects[naming.StatusKey(key)]), string(objects[naming.RoleClaimKey("my_agent")]), string(objects[naming.ClaimIndexKey(key)])
	for _, body := range []string{"", "{}", `{"v":2}`, many, strings.ReplaceAll(many, "my_agent-", "my_agent<"), strings.ReplaceAll(many, "active", "retired")} {
		f.Add([]byte(body), []byte(claim), []byte(index))
	}
	f.Add([]byte(many), []byte(strings.Replace(claim, "team/agent", "another", 1)), []byte(index))
	f.Add([]byte(nil), []byte(strings.Replace(claim, "}", `,"runtimeRoleId":"AROA1"}`, 1)), []byte(index))
	f.Add([]byte(many), []byte("{}"), []byte(strings.Replace(index, "claims/", "configs/", 1)))
	f.Fuzz(func(t *testing.T, answer, claim, index []byte) {
		bodies := map[string][]byte{naming.StatusKey(key): answer, naming.RoleClaimKey("my_agent"): claim, naming.ClaimIndexKey(key): index}
		bed := &fixed{others: slices.Collect(maps.Keys(bodies)), get: func(key string) (model.Object, error) {
			if body, there := bodies[key]; there {
				return model.Object{Body: body}, nil
			}
			return model.Object{}, fault.ErrNotFound
		}}
		r, err := bed.pass(t).Run(t.Context(), "id")
		if (err != nil) != (r.Totals.Unread > 0) || r.Totals.Enqueued != len(bed.sent) || len(bed.sent) > 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		if len(bed.sent) == 0 {
			return
		}
		work, err := event.DecodeWork(bed.sent[0].Body)
		if err != nil || work.Key != key || len(work.Hints) == 0 || len(work.Hints) > 101 || len(bed.sent[0].Body) > 64<<10 {
			t.Fatalf("%+v, %v", work, err)
		}
		s, unreadable := status.Parse(answer)
		held, unclaimed := model.ParseClaim(claim)
		for _, h := range work.Hints {
			if h.Kind == event.PassHint {
				continue
			}
			agent, ok := naming.RuntimeAgent(h.ID)
			_, known := s.Agent(agent)
			if unreadable != nil || unclaimed != nil || held.Config != key || h.Kind != event.RuntimeHint || !ok || !known || agent != "my_agent" {
				t.Errorf("hint %+v of a status that is read with %v", h, unreadable)
			}
		}
	})
}
