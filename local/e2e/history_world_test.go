package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"rolekeeper/local/proxy"
	"rolekeeper/shared/agent"
	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/loggroup"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/awsfake/stacktest"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/intake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/sqsbatch"
)

// clock is the time of histories: it goes on only when it is told to, so that a
// grace period takes no time and a seed always gives the same history. It also
// keeps when objects were written.
type clock struct {
	mu      sync.Mutex
	at      time.Time
	written map[string]time.Time // by bucket/key
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(max(d, 0))
}

// watch notes a write of an object.
func (c *clock) watch(call proxy.Call) proxy.Verdict {
	if call.Operation == "PutObject" && call.Committed {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.written[call.Resource] = c.at.Truncate(time.Second)
	}
	return proxy.Continue
}

// dated is a bucket whose objects were written at the history's time. moto dates
// them by this machine's clock, and the functions compare that with their own.
type dated struct {
	*configstore.Client
	bucket string
	clock  *clock
}

func (d dated) modified(key string) time.Time {
	d.clock.mu.Lock()
	defer d.clock.mu.Unlock()
	return d.clock.written[d.bucket+"/"+key]
}

func (d dated) Get(ctx context.Context, key string) (model.Object, error) {
	o, err := d.Client.Get(ctx, key)
	o.LastModified = d.modified(key)
	return o, err
}

func (d dated) Entries(ctx context.Context, prefix string) ([]model.Entry, error) {
	all, err := d.Client.Entries(ctx, prefix)
	for i := range all {
		all[i].Modified = d.modified(all[i].Key)
	}
	return all, err
}

// cut ends a function in the middle: after some calls it reaches nobody.
type cut struct {
	mu   sync.Mutex
	left int  // calls until the last one; 0 for no cut
	late bool // that one takes effect
	dead bool
	last int // Seq of the last one
}

func (c *cut) set(left int, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.late, c.dead, c.last = left, late, false, 0
}

// revive ends the cut when it has struck, and reports whether it has.
func (c *cut) revive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.dead
	c.dead = false
	return was
}

func (c *cut) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

func (c *cut) before(call proxy.Call) proxy.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case call.Caller != reconciling && call.Caller != taking:
		return proxy.Continue
	case c.dead:
		return proxy.Drop
	case c.left == 0:
		return proxy.Continue
	}
	if c.left--; c.left > 0 {
		return proxy.Continue
	}
	c.dead, c.last = true, call.Seq
	if c.late {
		return proxy.Continue
	}
	return proxy.Drop
}

func (c *cut) after(call proxy.Call) proxy.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead && call.Seq == c.last {
		return proxy.Drop
	}
	return proxy.Continue
}

// Names under which the pipelines call, and who looks at what they did.
const (
	reconciling = "reconcile"
	taking      = "intake"
	passing     = "drift"
	oracle      = "oracle"
)

// message is a message of a queue.
type message struct {
	id, receipt string
	event.Message

	due      time.Time
	receives int
}

// queue stands for SQS: in any order, or, of messages of a group, in theirs.
type queue struct {
	h        *history
	fifo     bool
	hidden   time.Duration // visibility timeout
	messages []*message
	ids      map[string]time.Time // deduplication ids
}

func (q *queue) Send(_ context.Context, m event.Message) error {
	if q.h.cut.gone() {
		return fault.Errorf(fault.Retry, "send a message: %w", syscall.ECONNRESET)
	}
	if sent, twice := q.ids[m.ID]; q.fifo && twice && q.h.clock.now().Sub(sent) < 5*time.Minute {
		return nil
	}
	q.ids[m.ID] = q.h.clock.now()
	q.put(q.h.id("message"), m)
	return nil
}

func (q *queue) put(id string, m event.Message) {
	q.messages = append(q.messages, &message{id: id, receipt: q.h.id("receipt"), Message: m, due: q.h.clock.now().Add(m.Delay)})
}

func (q *queue) Postpone(_ context.Context, receipt string, delay time.Duration) error {
	if q.h.cut.gone() {
		return syscall.ECONNRESET
	}
	for _, m := range q.messages {
		if m.receipt == receipt {
			m.due = q.h.clock.now().Add(delay)
		}
	}
	return nil
}

// ready gives the messages that may come, now or later.
func (q *queue) ready() []*message {
	var all []*message
	groups := map[string]bool{}
	for _, m := range q.messages {
		if !q.fifo || !groups[m.Group] {
			all = append(all, m)
		}
		groups[m.Group] = true
	}
	return all
}

// receive has a function handle a message, if one is due.
func (q *queue) receive(b sqsbatch.Batch) bool {
	due := slices.DeleteFunc(q.ready(), func(m *message) bool { return m.due.After(q.h.clock.now()) })
	if len(due) == 0 {
		return false
	}
	m := due[q.h.rand.IntN(len(due))]
	m.receives++
	m.due = q.h.clock.now().Add(q.hidden)
	b.Log, b.Queue, b.DeadLetters = slog.New(slog.DiscardHandler), q, &q.h.dead
	out, err := b.Lambda(q.h.t.Context(), events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: m.id, ReceiptHandle: m.receipt, Body: m.Body,
		Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.receives), "MessageGroupId": m.Group},
	}}})
	if err != nil {
		q.h.t.Fatal(err)
	}
	if q.h.cut.revive() {
		q.h.note("the function died")
		q.h.saw["a cut"] = true
	} else if len(out.BatchItemFailures) == 0 {
		q.messages = slices.DeleteFunc(q.messages, func(other *message) bool { return other == m })
	}
	q.h.collect()
	return true
}

// collect brings to the inbox what the stack's rules would: of the events of the
// bus those of configs and of AgentCore.
func (h *history) collect() {
	all := h.Events()
	for _, e := range all[h.events:] {
		var d struct {
			Bucket struct{ Name string }
			Object struct{ Key string }
		}
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			h.t.Fatal(err)
		}
		if e.DetailType == "Role Deletion Blocked" {
			h.saw["a refusal"] = true
		}
		config := e.Source == "aws.s3" && d.Bucket.Name == h.bucket && strings.HasPrefix(d.Object.Key, naming.ConfigPrefix)
		if !config && e.Source != awsfake.TrailEventSource {
			continue
		}
		body, err := json.Marshal(e)
		if err != nil {
			h.t.Fatal(err)
		}
		h.inbox.put(e.ID, event.Message{Body: string(body)})
	}
	h.events = len(all)
}

// run handles messages for a time, and reports whether none is left.
func (h *history) run(bound time.Duration) bool {
	end := h.clock.now().Add(bound)
	intakes, looks := sqsbatch.Batch{Handle: h.intake}, sqsbatch.Batch{Handle: h.reconcile}
	for range 500 {
		if h.t.Failed() {
			return false
		}
		if h.inbox.receive(intakes) || h.work.receive(looks) {
			h.clock.advance(time.Millisecond)
			continue
		}
		var next time.Time
		for _, m := range slices.Concat(h.inbox.ready(), h.work.ready()) {
			if next.IsZero() || m.due.Before(next) {
				next = m.due
			}
		}
		if next.IsZero() || next.After(end) {
			h.clock.advance(end.Sub(h.clock.now()))
			return next.IsZero()
		}
		h.clock.advance(next.Sub(h.clock.now()))
	}
	h.wrong("the queues do not come to rest")
	return false
}

func (h *history) id(of string) string {
	h.nonces++
	return fmt.Sprintf("%s-%06d", of, h.nonces)
}

// config gives a configuration that retries what fails, as the functions do, but
// at once.
func (h *history) config(caller string) aws.Config {
	cfg := h.Config(caller)
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.RateLimiter = ratelimit.None
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	}
	return cfg
}

func (h *history) store(caller string) dated {
	return dated{configstore.New(s3.NewFromConfig(h.config(caller), configstore.Quiet), h.bucket, account), h.bucket, h.clock}
}

func (h *history) intake(ctx context.Context, m sqsbatch.Message) error {
	i := intake.Intake{
		Here:    event.Here{Account: account, Region: region, ConfigBucket: h.bucket, SourceBucket: naming.SourceBucket(account, region)},
		Objects: h.store(taking), Work: &h.work,
	}
	return i.Handle(ctx, m.ID, m.Body)
}

func (h *history) settings() reconcile.Settings {
	s := stacktest.Settings(place)
	s.Env.PermissionsBoundary, s.EnsureServiceLinkedRoles = h.boundary, false
	return s
}

const settingsHash = "settings"

var place = agent.Place{Partition: naming.Partition(region), Region: region, Account: account}

func (h *history) reconcile(ctx context.Context, m sqsbatch.Message) error {
	work, err := event.DecodeWork(m.Body)
	if err != nil {
		return err
	}
	h.looking = work.Key
	cfg := h.config(reconciling)
	roles, objects := iam.NewFromConfig(cfg), s3.NewFromConfig(cfg, configstore.Quiet)
	r := &reconcile.Reconciler{
		Settings: h.settings(), SettingsHash: settingsHash, Grace: h.grace, MaxDeletesPerHour: 20,
		Store: h.store(reconciling), Roles: iamrole.New(watchedIAM{roles, h}), ServiceLinkedRoles: slrole.New(roles),
		Sources:      sourcebucket.New(objects, naming.SourceBucket(account, region), account),
		Repositories: imagerepository.New(ecr.NewFromConfig(cfg), account),
		Projects:     buildproject.New(codebuild.NewFromConfig(cfg)), LogGroups: loggroup.New(cloudwatchlogs.NewFromConfig(cfg)),
		Users: agentcore.New(bedrockagentcorecontrol.NewFromConfig(cfg), nil, nil),
		Inbox: &h.inbox, Bus: bus.New(eventbridge.NewFromConfig(cfg)), Now: h.clock.now,
		Random: func() string { return h.id("random") },
	}
	result, err := r.Handle(ctx, m.Body, m.Receives)
	h.note("reconcile %s: %s %v", work.Key, result.Outcome, err)
	if err == nil {
		h.stay(work.Key)
	}
	return err
}

// viewer looks as the command-line tool does.
func (h *history) viewer() reconcile.Viewer {
	cfg := h.config(oracle)
	roles := iam.NewFromConfig(cfg)
	return reconcile.Viewer{
		Settings: h.settings(), Objects: h.store(oracle), Roles: iamrole.NewReader(roles), ServiceLinkedRoles: slrole.New(roles),
		Sources:      sourcebucket.New(s3.NewFromConfig(cfg), naming.SourceBucket(account, region), account),
		Repositories: imagerepository.NewReader(ecr.NewFromConfig(cfg), account), Projects: buildproject.NewReader(codebuild.NewFromConfig(cfg)),
	}
}

// pass runs the scheduled pass and what it leads to.
func (h *history) pass() {
	cfg, objects := h.config(passing), h.store(passing)
	roles := iam.NewFromConfig(cfg)
	report, err := drift.Pass{
		Settings: h.settings(), SettingsHash: settingsHash, MaxChanges: model.Portion{Percent: 100},
		Objects: objects, Account: iamrole.NewAccount(roles), Policies: iamrole.NewReader(roles),
		Projects: buildproject.NewReader(codebuild.NewFromConfig(cfg)),
		Runtimes: agentcore.New(bedrockagentcorecontrol.NewFromConfig(cfg), nil, nil), Now: h.clock.now,
		Work: &h.work, Reports: objects,
	}.Run(h.t.Context(), h.id("pass"))
	h.note("pass: %+v, %v", report.Totals, err)
	if err != nil && h.calm() {
		h.wrong("the pass fails: %v", err)
	}
	calm := h.calm()
	if !h.quiet && h.rand.IntN(3) == 0 { // while roles are quarantined
		h.run(time.Duration(h.rand.IntN(75)) * time.Second)
		pick(h.rand, (*history).begins, (*history).deploys, (*history).uploads, (*history).removes, (*history).repeatsEvents, (*history).dies)(h)
		h.run(time.Duration(h.rand.IntN(20)) * time.Second)
	}
	if h.run(30*time.Minute) && calm && h.calm() {
		h.admitted()
	}
}

// object reads an object of the config bucket; nil when there is none.
func (h *history) object(key string) []byte {
	out, err := s3.NewFromConfig(h.Config(oracle), configstore.Quiet).GetObject(h.t.Context(), &s3.GetObjectInput{Bucket: &h.bucket, Key: &key})
	var missing *s3types.NoSuchKey
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return body
}

// control sends a request to AgentCore; nil when it is refused.
func (h *history) control(caller, method, path, body string) map[string]any {
	_, answer, err := h.Proxy().AgentCore().ServeAgentCore(caller, method, path, "", []byte(body))
	if err != nil {
		return nil
	}
	var out map[string]any
	if err := json.Unmarshal(answer, &out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

// wrong says what must not be.
func (h *history) wrong(format string, args ...any) {
	h.t.Helper()
	h.t.Errorf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(h.log, "\n"))
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, h.clock.now().Format("02 15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func pick[V any](r *rand.Rand, of ...V) V { return of[r.IntN(len(of))] }
