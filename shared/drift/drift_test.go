package drift_test

import (
	"context"
	"errors"
	"fmt"
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
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

const (
	bucket = "bedrock-agentcore-configs-123456789012-us-east-1"
	key    = "configs/team/agent.yaml"
)

// world is an account whose statuses are written by hand.
type world struct {
	t     testing.TB
	cloud *awsfake.Cloud
	queue string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, cloud: awsfake.New()}
	w.cloud.AddBucket(bucket)
	w.queue = w.cloud.AddQueue("work.fifo", time.Minute, 10, "")
	w.cloud.AssumeAgentCoreRoles(func(string, string) bool { return true })
	return w
}

func (w *world) pass() drift.Pass {
	return drift.Pass{
		Objects:  configstore.NewReader(w.cloud.S3("drift"), bucket, w.cloud.Account),
		Runtimes: agentcore.New(w.cloud.AgentCore("drift"), nil, nil),
		Work:     workqueue.New(w.cloud.SQS("drift"), w.queue),
		Now:      w.cloud.Now,
	}
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
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(naming.StatusKey(key), string(body))
}

// settled is a config at rest.
func (w *world) settled(key string) {
	w.t.Helper()
	w.put(key, "agents: {}")
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

// writes gives the calls of the pass that are no reads.
func (w *world) writes() []string {
	var all []string
	for _, c := range w.cloud.Calls() {
		if c.Caller == "drift" && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") {
			all = append(all, c.Operation)
		}
	}
	return all
}

// gone is a runtime of the agent that there is not.
const gone = "my_agent-abcdefghij"

func TestWhatIsDueOrWasMissedIsEnqueuedOnceAndNothingElse(t *testing.T) {
	agent := func(change func(w *world, a *status.Agent)) func(*world) {
		return func(w *world) {
			w.put(key, "")
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
			w.put(key, "")
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
		count drift.Report
	}{
		"nothing":                  {func(*world) {}, "", drift.Report{}},
		"a config at rest":         {func(w *world) { w.settled(key) }, "", drift.Report{Configs: 1}},
		"a config without answer":  {func(w *world) { w.put(key, "") }, missed, drift.Report{Configs: 1, Missed: 1}},
		"a config that came again": {func(w *world) { w.settled(key); w.cloud.Advance(time.Second); w.put(key, "") }, missed, drift.Report{Configs: 1, Missed: 1}},
		"an older version that is back": {func(w *world) {
			w.put(key, "")
			w.cloud.Advance(time.Second)
			w.answer(key, nil)
		}, missed, drift.Report{Configs: 1, Missed: 1}},
		"an answer that tells parts of a second": {func(w *world) {
			w.put(key, "")
			w.cloud.Advance(999 * time.Millisecond)
			w.answer(key, nil)
		}, "", drift.Report{Configs: 1}},
		"an answer in another time zone": {func(w *world) {
			w.put(key, "")
			w.answer(key, func(s *status.Status) { s.Config.UploadedAt = s.Config.UploadedAt.In(time.FixedZone("", 3600)) })
		}, "", drift.Report{Configs: 1}},
		"an answer that does not tell when the config came": {func(w *world) {
			w.put(key, "")
			w.answer(key, func(s *status.Status) { s.Config.UploadedAt = time.Time{} })
		}, missed, drift.Report{Configs: 1, Missed: 1}},
		"a config that is gone": {func(w *world) { w.settled(key); w.remove(key) }, missed, drift.Report{Missed: 1}},
		"a config that is known to be gone": {func(w *world) {
			w.answer(key, func(s *status.Status) { s.Config.VersionID, s.Agents[0].Phase = "", status.PhaseHeld })
		}, "", drift.Report{}},
		"a config that went when agents stayed": {func(w *world) { w.answer(key, func(s *status.Status) { s.Config.VersionID = "" }) }, missed, drift.Report{Missed: 1}},
		"a config that was gone and is as ever": {func(w *world) { w.put(key, ""); w.answer(key, func(s *status.Status) { s.Config.VersionID = "" }) }, missed, drift.Report{Configs: 1, Missed: 1}},

		"a damaged status":            {func(w *world) { w.settled(key); w.put(naming.StatusKey(key), `{"v":1,`) }, missed, drift.Report{Configs: 1, Missed: 1}},
		"an empty status":             {func(w *world) { w.settled(key); w.put(naming.StatusKey(key), "") }, missed, drift.Report{Configs: 1, Missed: 1}},
		"a damaged status of nothing": {func(w *world) { w.put(naming.StatusKey(key), "[]") }, missed, drift.Report{Missed: 1}},
		"the status of another config": {func(w *world) {
			w.put(key, "")
			w.answer(key, func(s *status.Status) { s.Config.Key = "configs/b.yaml" })
		}, missed, drift.Report{Configs: 1, Missed: 1}},
		"a status of a later format": {func(w *world) { w.put(key, ""); w.put(naming.StatusKey(key), `{"v":2,"all":"new"}`) }, "", drift.Report{Configs: 1, Newer: 1}},

		"one retiring, in time":      {phase(status.PhaseRetiring, 0), due, drift.Report{Configs: 1, Due: 1}},
		"one retiring, late":         {phase(status.PhaseRetiring, -time.Hour), due, drift.Report{Configs: 1, Due: 1}},
		"one retiring, too early":    {phase(status.PhaseRetiring, time.Second), "", drift.Report{Configs: 1}},
		"one quarantined, in time":   {phase(status.PhaseQuarantined, 0), due, drift.Report{Configs: 1, Due: 1}},
		"one quarantined, too early": {phase(status.PhaseQuarantined, time.Second), "", drift.Report{Configs: 1}},
		"one active, with old times": {phase(status.PhaseActive, -time.Hour), "", drift.Report{Configs: 1}},
		"one retired":                {phase(status.PhaseRetired, -time.Hour), "", drift.Report{Configs: 1}},
		"one held":                   {phase(status.PhaseHeld, -time.Hour), "", drift.Report{Configs: 1}},
		"the second of two agents": {func(w *world) {
			w.put(key, "")
			w.answer(key, func(s *status.Status) {
				s.Agents = append(s.Agents, status.Agent{Name: "b", Phase: status.PhaseRetiring, RetireAfter: w.cloud.Now()}, status.Agent{Name: "c", Phase: status.PhaseActive})
			})
		}, due, drift.Report{Configs: 1, Due: 1}},
		"one retiring whose config is gone": {func(w *world) {
			w.answer(key, func(s *status.Status) {
				s.Config.VersionID, s.Agents[0].Phase, s.Agents[0].RetireAfter = "", status.PhaseRetiring, w.cloud.Now()
			})
		}, due, drift.Report{Due: 1}},

		"a wake-up that was lost": {func(w *world) {
			w.put(key, "")
			w.answer(key, func(s *status.Status) { s.WakeAt = w.cloud.Now().Add(-15*time.Minute - time.Second) })
		}, missed, drift.Report{Configs: 1, Missed: 1}},
		"a wake-up that may still come": {func(w *world) {
			w.put(key, "")
			w.answer(key, func(s *status.Status) { s.WakeAt = w.cloud.Now().Add(-15 * time.Minute) })
		}, "", drift.Report{Configs: 1}},

		"a runtime that is gone":                     {had(status.PhaseActive, status.Runtime{ID: gone}), changed + gone, drift.Report{Configs: 1, Runtimes: 1}},
		"a runtime that is gone, of one retiring":    {had(status.PhaseRetiring, status.Runtime{ID: gone}), changed + gone, drift.Report{Configs: 1, Runtimes: 1}},
		"a runtime that is gone, of one quarantined": {had(status.PhaseQuarantined, status.Runtime{ID: gone}), "", drift.Report{Configs: 1}},
		"a runtime that is gone, of one retired":     {had(status.PhaseRetired, status.Runtime{ID: gone}), "", drift.Report{Configs: 1}},
		"a runtime that is gone, of one held":        {had(status.PhaseHeld, status.Runtime{ID: gone}), "", drift.Report{Configs: 1}},
		"a runtime recorded twice that is gone": {func(w *world) {
			w.put(key, "")
			w.answer(key, func(s *status.Status) { s.Agents[0].Runtimes = []status.Runtime{{ID: gone}, {ID: gone}} })
		}, changed + gone, drift.Report{Configs: 1, Runtimes: 1}},
		"a runtime known to be gone":                             {had(status.PhaseActive, status.Runtime{ID: gone, Gone: true}), "", drift.Report{Configs: 1}},
		"a runtime with another role that is gone":               {had(status.PhaseActive, status.Runtime{ID: gone, Foreign: true}), "", drift.Report{Configs: 1}},
		"a runtime recorded for an agent not its own":            {had(status.PhaseActive, status.Runtime{ID: "your_agent-abcdefghij"}), "", drift.Report{Configs: 1}},
		"what is no runtime recorded as one":                     {had(status.PhaseActive, status.Runtime{ID: strings.Repeat("my_agent", 100)}), "", drift.Report{Configs: 1}},
		"a runtime that is there":                                {has(status.Runtime{}, nil), "", drift.Report{Configs: 1}},
		"a runtime with another role":                            {has(status.Runtime{Foreign: true}, nil), "", drift.Report{Configs: 1}},
		"a runtime that is being deleted":                        {has(status.Runtime{}, (*world).deleteRuntime), changed + "*", drift.Report{Configs: 1, Runtimes: 1}},
		"a runtime recorded as gone that is there":               {has(status.Runtime{Gone: true}, nil), changed + "*", drift.Report{Configs: 1, Runtimes: 1}},
		"a runtime known to be gone that still is being deleted": {has(status.Runtime{Gone: true}, (*world).deleteRuntime), "", drift.Report{Configs: 1}},
		"a runtime whose deletion failed":                        {has(status.Runtime{}, failDeletion), "", drift.Report{Configs: 1}},
		"a runtime whose deletion failed after it was recorded":  {has(status.Runtime{Gone: true}, failDeletion), changed + "*", drift.Report{Configs: 1, Runtimes: 1}},
		"a runtime in a state that nobody knows":                 {has(status.Runtime{}, func(w *world, id string) { w.cloud.SetAgentCoreStatus(id, "MIGRATING") }), "", drift.Report{Configs: 1}},
		"a runtime that was made":                                {func(w *world) { w.runtime("my_agent"); w.settled(key) }, changed + "*", drift.Report{Configs: 1, Runtimes: 1}},
		"a runtime that was made and is being deleted":           {func(w *world) { w.deleteRuntime(w.runtime("my_agent")); w.settled(key) }, "", drift.Report{Configs: 1}},
		"a runtime of no config's agent":                         {func(w *world) { w.runtime("My_agent"); w.runtime("my_agent2"); w.settled(key) }, "", drift.Report{Configs: 1}},
		"a runtime that was made for an agent retired": {func(w *world) {
			w.runtime("my_agent")
			w.answer(key, func(s *status.Status) { s.Config.VersionID, s.Agents[0].Phase = "", status.PhaseRetired })
		}, changed + "*", drift.Report{Runtimes: 1}},
		"a runtime that was made in the place of another": {func(w *world) {
			w.runtime("my_agent")
			w.put(key, "")
			w.answer(key, func(s *status.Status) { s.Agents[0].Runtimes = []status.Runtime{{ID: gone}} })
		}, changed + "* runtime-changed:" + gone, drift.Report{Configs: 1, Runtimes: 2}},
		"everything at once": {func(w *world) {
			w.runtime("my_agent")
			w.answer(key, func(s *status.Status) {
				s.Agents[0].Phase, s.Agents[0].RetireAfter = status.PhaseRetiring, w.cloud.Now()
			})
		}, due + " runtime-changed:*", drift.Report{Due: 1, Missed: 1, Runtimes: 1}},

		"a folder":                 {func(w *world) { w.put("configs/team/", "") }, "", drift.Report{Skipped: 1}},
		"a key that no config has": {func(w *world) { w.put("configs/a b", ""); w.put("configs/../a", "") }, "", drift.Report{Skipped: 2}},
		"a key that no status has": {func(w *world) { w.put("status/a", ""); w.put("status/a b.json", "") }, "", drift.Report{Skipped: 2}},
		"what is elsewhere":        {func(w *world) { w.put("claims/a.json", ""); w.put("requests/config/a.json", "") }, "", drift.Report{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.given(w)
			w.cloud.ForgetCalls()
			report, err := w.pass().Run(t.Context(), "id")
			if err != nil {
				t.Fatal(err)
			}
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
			if diff := cmp.Diff(c.count, report); diff != "" {
				t.Errorf("report (-want +got)\n%s", diff)
			}
			if writes := w.writes(); len(writes) != len(want) || slices.ContainsFunc(writes, func(op string) bool { return op != "SendMessage" }) {
				t.Errorf("writes %v", writes)
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

// fleet makes as many configs at rest, each with a runtime of its own.
func (w *world) fleet(n int) {
	w.t.Helper()
	for i := range n {
		agent := fmt.Sprintf("agent_%04d", i)
		id := w.runtime(agent)
		w.put(name(i), "")
		w.answer(name(i), func(s *status.Status) {
			s.Agents = []status.Agent{{Name: agent, Phase: status.PhaseActive, Runtimes: []status.Runtime{{ID: id}}}}
		})
	}
	w.cloud.ForgetCalls()
}

func TestAFleetAtRestIsReadOnceAndLeftAlone(t *testing.T) {
	const n = 3000
	w := newWorld(t)
	w.fleet(n)
	for _, id := range []string{"first", "second"} {
		w.cloud.ForgetCalls()
		report, err := w.pass().Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(drift.Report{Configs: n}, report); diff != "" {
			t.Errorf("report (-want +got)\n%s", diff)
		}
		calls := map[string]int{}
		for _, c := range w.cloud.Calls() {
			calls[c.Operation]++
		}
		if diff := cmp.Diff(map[string]int{"ListObjectsV2": 3 + 3, "ListAgentRuntimes": 30, "GetObject": n}, calls); diff != "" {
			t.Errorf("calls (-want +got)\n%s", diff)
		}
		w.cloud.Advance(time.Hour)
	}
}

func TestMessagesComeInTheOrderOfKeysAndOncePerPass(t *testing.T) {
	const n = 1100 // more than a page of either listing
	w := newWorld(t)
	var want []string
	for i := range n {
		w.put(name(i), "")
		if i%2 == 0 {
			w.answer(name(i), nil)
			continue
		}
		want = append(want, name(i))
	}
	slices.Sort(want)
	for round, id := range []string{"first", "first", "second"} {
		report, err := w.pass().Run(t.Context(), id)
		if err != nil || report.Enqueued != len(want) || report.Missed != len(want) {
			t.Fatalf("%+v, %v", report, err)
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
	read := map[string]int{}
	for _, c := range w.cloud.Calls() {
		if c.Operation == "GetObject" {
			read[c.Resource]++
		}
	}
	if _, there := read[bucket+"/"+naming.StatusKey(want[0])]; there || len(read) != n-len(want) {
		t.Errorf("%d statuses were read of %d that there are", len(read), n-len(want))
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

// unsettled is an account in which everything has something to tell.
func unsettled(t testing.TB) *world {
	w := newWorld(t)
	w.cloud.PageAgentCore(1)
	made := w.runtime("agent_a")
	w.runtime("agent_b")
	w.put("configs/a.yaml", "")
	w.answer("configs/a.yaml", func(s *status.Status) {
		s.Agents = []status.Agent{
			{Name: "agent_a", Phase: status.PhaseActive, Runtimes: []status.Runtime{{ID: made}}},
			{Name: "agent_b", Phase: status.PhaseActive},
			{Name: "my_agent", Phase: status.PhaseActive, Runtimes: []status.Runtime{{ID: gone}}},
		}
	})
	w.answer("configs/b.yaml", nil) // whose config is gone
	w.put("configs/c.yaml", "")
	w.put("configs/d.yaml", "")
	w.answer("configs/d.yaml", func(s *status.Status) {
		s.Agents[0].Phase, s.Agents[0].RetireAfter = status.PhaseRetiring, w.cloud.Now()
	})
	w.cloud.ForgetCalls()
	return w
}

// Whatever call fails, nothing is taken for missing that was only not seen, and
// all that was seen is told.
func TestACallThatFailsHidesNoMoreThanItWasFor(t *testing.T) {
	sound := unsettled(t)
	if _, err := sound.pass().Run(t.Context(), "id"); err != nil {
		t.Fatal(err)
	}
	all := sound.hints()
	if len(all) != 4 || len(strings.Fields(all[0])) != 3 {
		t.Fatalf("the world is not as it was meant: %q", all)
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
				w.cloud.Before = func(c awsfake.Call) error {
					if c.Operation != call.Operation || c.Resource != call.Resource {
						return nil
					}
					if nth--; nth != -1 {
						return nil
					}
					return awsfake.APIError(code, "not now")
				}
				want, unread := all, 0
				switch call.Operation {
				case "ListObjectsV2":
					want = nil
				case "ListAgentRuntimes":
					want = all[1:] // the first has nothing but runtimes to tell
				case "GetObject":
					want, unread = slices.DeleteFunc(slices.Clone(all), func(line string) bool {
						return naming.StatusKey(strings.Fields(line)[0]) == strings.TrimPrefix(call.Resource, bucket+"/")
					}), 1
				case "SendMessage":
					want = all[:nth]
				}
				report, err := w.pass().Run(t.Context(), "id")
				var failure smithy.APIError
				if !errors.As(err, &failure) || failure.ErrorCode() != code {
					t.Errorf("error %v", err)
				}
				if diff := cmp.Diff(want, w.hints(), cmpopts.EquateEmpty()); diff != "" || report.Enqueued != len(want) || report.Unread != unread {
					t.Errorf("%+v (-want +got)\n%s", report, diff)
				}
			})
		}
	}
}

// fixed is a bucket and an AgentCore that tests say the answers of.
type fixed struct {
	configs, statuses []string
	get               func(key string) (model.Object, error)
	sent              []event.Message
}

func (f *fixed) Entries(_ context.Context, prefix string) ([]model.Entry, error) {
	var entries []model.Entry
	keys := f.configs
	if prefix == naming.StatusPrefix {
		keys = f.statuses
	}
	for _, key := range keys {
		entries = append(entries, model.Entry{Key: key, Modified: time.Unix(1, 999)})
	}
	return entries, nil
}

func (f *fixed) Get(_ context.Context, key string) (model.Object, error)  { return f.get(key) }
func (f *fixed) Runtimes(context.Context) ([]model.RuntimeSummary, error) { return nil, nil }
func (f *fixed) Send(_ context.Context, m event.Message) error {
	f.sent = append(f.sent, m)
	return nil
}

func (f *fixed) pass() drift.Pass {
	return drift.Pass{Objects: f, Runtimes: f, Work: f, Now: func() time.Time { return time.Unix(1e9, 0) }}
}

func TestAStatusThatGoesMeanwhileIsOneThatIsNotThere(t *testing.T) {
	f := &fixed{
		configs: []string{"configs/a.yaml"}, statuses: []string{"status/a.yaml.json", "status/b.yaml.json"},
		get: func(key string) (model.Object, error) {
			return model.Object{}, fmt.Errorf("get %s: %w", key, fault.ErrNotFound)
		},
	}
	report, err := f.pass().Run(t.Context(), "id")
	if diff := cmp.Diff(drift.Report{Configs: 1, Missed: 1, Enqueued: 1}, report); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if len(f.sent) != 1 || f.sent[0].Group != naming.ConfigID("configs/a.yaml") {
		t.Errorf("sent %+v", f.sent)
	}
}

func TestAListingThatTellsPartsOfASecondIsComparedWithoutThem(t *testing.T) {
	f := &fixed{
		configs: []string{key}, statuses: []string{naming.StatusKey(key)},
		get: func(string) (model.Object, error) {
			body, err := status.Status{
				V: status.Version, Outcome: status.Ready, Config: status.Config{Key: key, VersionID: "v1", UploadedAt: time.Unix(1, 0).UTC()},
			}.JSON()
			return model.Object{Body: body}, err
		},
	}
	report, err := f.pass().Run(t.Context(), "id")
	if diff := cmp.Diff(drift.Report{Configs: 1}, report); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestStatusesAreReadSixteenAtATime(t *testing.T) {
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
			f.statuses = append(f.statuses, naming.StatusKey(name(i)))
		}
		begin := time.Now()
		report, err := f.pass().Run(t.Context(), "id")
		if err != nil || report.Newer != 160 || most.Load() != 16 || time.Since(begin) != 10*time.Second {
			t.Errorf("%+v, %v: at most %d at a time, %s", report, err, most.Load(), time.Since(begin))
		}
	})
}

// FuzzAnyStatusLeadsToABoundedMessage holds what reconcile gets to what it can
// take: at most one message for a config, of a size that SQS takes, with hints
// of runtimes that can be the agents'.
func FuzzAnyStatusLeadsToABoundedMessage(f *testing.F) {
	w := newWorld(f)
	w.answer(key, func(s *status.Status) {
		for i := range 300 {
			s.Agents[0].Runtimes = append(s.Agents[0].Runtimes, status.Runtime{ID: fmt.Sprintf("my_agent-%010d", i)})
		}
	})
	many := w.cloud.Objects(bucket, naming.StatusPrefix)[naming.StatusKey(key)]
	for _, body := range []string{"", "{}", `{"v":2}`, string(many), strings.ReplaceAll(string(many), "my_agent-", "my_agent<"), strings.ReplaceAll(string(many), "active", "retired")} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		bed := &fixed{statuses: []string{naming.StatusKey(key)}, get: func(string) (model.Object, error) { return model.Object{Body: body}, nil }}
		report, err := bed.pass().Run(t.Context(), "id")
		if err != nil || report.Enqueued != len(bed.sent) || len(bed.sent) > 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		if len(bed.sent) == 0 {
			return
		}
		work, err := event.DecodeWork(bed.sent[0].Body)
		if err != nil || work.Key != key || len(work.Hints) == 0 || len(work.Hints) > 101 || len(bed.sent[0].Body) > 64<<10 {
			t.Fatalf("%+v, %v", work, err)
		}
		s, err := status.Parse(body)
		for _, h := range work.Hints {
			if h.Kind == event.PassHint {
				continue
			}
			agent, ok := naming.RuntimeAgent(h.ID)
			if _, known := s.Agent(agent); err != nil || h.Kind != event.RuntimeHint || !ok || !known {
				t.Errorf("hint %+v of a status that is read with %v", h, err)
			}
		}
	})
}
