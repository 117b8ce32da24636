package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/event"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// chaos is what happens at the same time, each in an order that a seed gives.
type chaos struct {
	stack
	agents []string

	mu     sync.Mutex
	last   map[string]string // config that was uploaded last, by agent
	events int               // edits that an event told of
	failed []error
	faults []*proxy.Injected
}

const interpreter = "    permissions:\n      code_interpreter: true\n"

// TestPassEventsAndUploadsTogetherEndAsDesired has people upload configs and edit
// roles, seen and unseen, while passes run and AWS throttles: when that is over,
// everything is as configs ask for, and nobody writes any more.
func TestPassEventsAndUploadsTogetherEndAsDesired(t *testing.T) {
	s := startWith(t, local.Options{Parameters: map[string]string{"MaxChangesPerSweep": "100%", "UnmanagedPolicies": "remove"}})
	c := &chaos{stack: s, last: map[string]string{}}
	for i := range 3 {
		c.agents = append(c.agents, fmt.Sprintf("built%d", i), fmt.Sprintf("plain%d", i))
	}
	for _, agent := range c.agents {
		c.last[agent] = variant(agent, 0)
		s.upload(keyOf(agent), c.last[agent])
	}
	s.idle()

	s.Proxy().Reset()
	var running sync.WaitGroup
	for seed, what := range []func(*rand.Rand){c.uploads, c.edits, c.edits, c.passes, c.throttles} {
		running.Go(func() { what(rand.New(rand.NewPCG(6, uint64(seed)))) }) //nolint:gosec // what is done is to be repeatable
	}
	running.Wait()
	for _, f := range c.faults {
		f.Remove()
	}
	hits := 0
	for _, f := range c.faults {
		hits += f.Hits()
	}
	if err := errors.Join(c.failed...); err != nil || hits == 0 || c.events == 0 {
		t.Fatalf("%d calls were hit, %d edits told of: %v", hits, c.events, err)
	}
	s.idle()
	c.wantNoEcho()

	s.pass() // it repairs what no event told of
	s.Proxy().Reset()
	s.pass()
	r := s.report()
	wantFindings(t, r, nil)
	s.wantQuiet(r)
	for _, agent := range c.agents {
		got := s.status(keyOf(agent))
		if got.Outcome != status.Ready || len(got.Agents[0].Drift)+len(got.Problems) > 0 {
			t.Errorf("%s: %+v", agent, got)
		}
		c.wantAsAsked(agent)
	}
	s.wantNothingLost()
}

// variant gives one of two configs of an agent.
func variant(agent string, n int) string {
	config := container
	if strings.HasPrefix(agent, "plain") {
		config = direct
	}
	if n%2 == 0 {
		return config(agent)
	}
	return config(agent, interpreter)
}

func (c *chaos) pause(r *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(r.Int64N(int64(most))))
}

func (c *chaos) note(err error) {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed = append(c.failed, err)
	}
}

func (c *chaos) uploads(r *rand.Rand) {
	client := s3.NewFromConfig(c.Config("developer"))
	for n := range 16 {
		agent := c.agents[r.IntN(len(c.agents))]
		body := variant(agent, r.IntN(2)) + fmt.Sprintf("# %d\n", n)
		_, err := client.PutObject(c.t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(keyOf(agent)), Body: strings.NewReader(body)})
		c.note(err)
		c.last[agent] = body // nobody else writes or reads it meanwhile
		c.pause(r, time.Second)
	}
}

func (c *chaos) edits(r *rand.Rand) {
	for range 20 {
		h, agent := c.unseen(), c.agents[r.IntN(len(c.agents))]
		if r.IntN(2) == 0 {
			h = c.seen()
			c.mu.Lock()
			c.events++
			c.mu.Unlock()
		}
		name, policy := owned(agent), naming.RuntimePolicy(agent)
		if strings.HasPrefix(agent, "built") && r.IntN(2) == 0 {
			name, policy = naming.BuildRole(region, agent), naming.BuildPolicy
		}
		edits := []func() error{
			func() error { return h.trust(name, opened) },
			func() error { return h.put(name, policy, allObjects) },
			func() error { return h.put(name, "debug", allObjects) },
			func() error { return h.attach(name) },
			func() error { return h.unbind(name) },
			func() error { return h.untag(name, model.TagConfig) },
			func() error { return h.update(name, "mine", 7200) },
			func() error {
				_, err := h.roles.DeleteRolePolicy(c.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy})
				if missing := new(types.NoSuchEntityException); errors.As(err, &missing) { // the other hand has
					return nil
				}
				return err
			},
		}
		c.note(edits[r.IntN(len(edits))]())
		c.pause(r, 600*time.Millisecond)
	}
}

// passes run whatever comes of them: one that is throttled fails.
func (c *chaos) passes(r *rand.Rand) {
	for range 6 {
		_, err := c.RunSchedule(c.t.Context(), "drift")
		c.note(err)
		c.pause(r, 2*time.Second)
	}
}

// throttles are few enough for every message to be handled at last.
func (c *chaos) throttles(r *rand.Rand) {
	kinds := []proxy.Fault{
		{Caller: "reconcile", Service: "iam", Kind: proxy.Throttle},
		{Caller: "reconcile", Service: "iam", Kind: proxy.DropAfter},
		{Caller: "reconcile", Service: "s3", Kind: proxy.Throttle},
		{Caller: "reconcile", Service: "s3", Kind: proxy.Conflict, Operation: "PutObject"},
		{Caller: "intake", Service: "sqs", Kind: proxy.Throttle},
		{Caller: "drift", Service: "iam", Kind: proxy.Throttle},
		{Caller: "drift", Service: "s3", Kind: proxy.DropBefore},
		{Caller: "drift", Service: "sqs", Kind: proxy.Throttle},
	}
	for range 20 {
		f := kinds[r.IntN(len(kinds))]
		f.After, f.Count = r.IntN(5), 1+r.IntN(6)
		c.faults = append(c.faults, c.InjectFault(f)) // nobody else does
		c.pause(r, time.Second)
	}
}

// wantNoEcho checks that nothing came of what reconcile wrote itself.
func (c *chaos) wantNoEcho() {
	c.t.Helper()
	_, work := c.repaired("")
	told := 0
	for _, w := range work {
		for _, h := range w.Hints {
			if h.Kind != event.RoleHint {
				continue
			}
			told++
			if !strings.HasSuffix(h.Actor, ":assumed-role/admin/admin") {
				c.t.Errorf("%s was looked at since %s did %s", w.Key, h.Actor, h.ID)
			}
		}
	}
	if told == 0 {
		c.t.Error("nothing came of any event")
	}
}

// wantAsAsked checks that an agent's roles are what its last config asks for.
func (c *chaos) wantAsAsked(agent string) {
	c.t.Helper()
	reader := iamrole.NewReader(iam.NewFromConfig(c.Config("admin")))
	o, err := reader.Read(c.t.Context(), owned(agent))
	if err != nil {
		c.t.Fatal(err)
	}
	may := strings.Contains(o.Policies[naming.RuntimePolicy(agent)], "InvokeCodeInterpreter")
	if want := strings.Contains(c.last[agent], interpreter); may != want || len(o.Policies) != 1 || len(o.Attached) > 0 || strings.Contains(o.Trust, "999999999999") {
		c.t.Errorf("agent %s may use the interpreter: %v, want %v; role %+v", agent, may, want, o)
	}
}
