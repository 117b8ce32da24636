package bus

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Event is an event as EventBridge delivers it.
type Event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// Rule sends what matches its pattern to its targets. A disabled rule is not
// to be added.
type Rule struct {
	Name    string
	Pattern *Pattern
	Targets []Target
}

// Target is a queue that a rule sends to, or a function that it calls.
type Target struct {
	ID           string
	ARN          string
	MessageGroup string // static, for FIFO queues
	DeadLetters  string // ARN of the queue for what cannot be delivered; may be empty
}

// Delivery brings one event, as JSON, to the queue or function with the ARN.
type Delivery func(ctx context.Context, arn, messageGroup string, event []byte) error

// Bus is the account's default bus. Its methods may be called concurrently.
type Bus struct {
	account, region string
	deliver         Delivery

	mu          sync.Mutex
	rules       []Rule
	subscribers map[int]func(Event)
	nextID      int
	log         []Event
	lost        []error
	pending     int

	queue chan Event
	done  chan struct{}
}

// New makes a bus that delivers until ctx is done. Delivery is asynchronous and
// in the order of Publish.
func New(ctx context.Context, account, region string, deliver Delivery) *Bus {
	b := &Bus{
		account: account, region: region, deliver: deliver, subscribers: map[int]func(Event){},
		queue: make(chan Event, 10_000), done: make(chan struct{}),
	}
	go b.run(ctx)
	return b
}

// Add puts a rule on the bus.
func (b *Bus) Add(r Rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = append(b.rules, r)
}

// Subscribe calls f with every event from now on, whatever the rules say, until
// the returned function is called.
func (b *Bus) Subscribe(f func(Event)) (cancel func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := b.nextID
	b.nextID++
	b.subscribers[id] = f
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subscribers, id)
	}
}

// Publish accepts an event and gives its id. Version, id and account are the bus's
// own, the region, too, where the event has none: one that was forwarded keeps the
// region that it is of. A zero time becomes now.
func (b *Bus) Publish(e Event) string {
	e.Version, e.ID, e.Account, e.Region = "0", NewID(), b.account, cmp.Or(e.Region, b.region)
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Second) // EventBridge gives whole seconds
	if e.Resources == nil {
		e.Resources = []string{}
	}
	b.mu.Lock()
	b.log = append(b.log, e)
	b.pending++
	b.mu.Unlock()
	b.queue <- e
	return e.ID
}

// Events gives every event published so far, in order.
func (b *Bus) Events() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Event(nil), b.log...)
}

// Pending gives the number of events that are published and not yet delivered.
func (b *Bus) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pending
}

// Lost gives an error for every delivery that reached neither its target nor
// the target's dead letters.
func (b *Bus) Lost() []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]error(nil), b.lost...)
}

func (b *Bus) run(ctx context.Context) {
	defer close(b.done)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-b.queue:
			b.route(ctx, e)
			b.mu.Lock()
			b.pending--
			b.mu.Unlock()
		}
	}
}

func (b *Bus) route(ctx context.Context, e Event) {
	b.mu.Lock()
	rules := append([]Rule(nil), b.rules...)
	var subscribers []func(Event)
	for _, f := range b.subscribers {
		subscribers = append(subscribers, f)
	}
	b.mu.Unlock()

	for _, f := range subscribers {
		f(e)
	}
	body, err := json.Marshal(e)
	if err != nil {
		b.lose(fmt.Errorf("encode event %s: %w", e.ID, err))
		return
	}
	for _, r := range rules {
		if !r.Pattern.Match(body) {
			continue
		}
		for _, t := range r.Targets {
			if err := b.send(ctx, t, body); err != nil {
				b.lose(fmt.Errorf("rule %s: deliver event %s: %w", r.Name, e.ID, err))
			}
		}
	}
}

// send tries the target a few times, then its dead letters. EventBridge tries
// for 24 hours; here a target that fails thrice will go on failing.
func (b *Bus) send(ctx context.Context, t Target, body []byte) error {
	var err error
	for range 3 {
		if err = b.deliver(ctx, t.ARN, t.MessageGroup, body); err == nil || ctx.Err() != nil {
			return err
		}
	}
	if t.DeadLetters == "" {
		return err
	}
	return b.deliver(ctx, t.DeadLetters, "", body)
}

func (b *Bus) lose(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = append(b.lost, err)
}

// NewID gives a random version 4 UUID, the form of EventBridge's event ids.
func NewID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails: crypto/rand aborts the program instead
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// QueueName gives the last part of a queue's ARN or URL.
func QueueName(arnOrURL string) string {
	return arnOrURL[strings.LastIndexAny(arnOrURL, ":/")+1:]
}
