package bus

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outbox takes deliveries, and refuses those to one queue.
type outbox struct {
	refuse string

	mu   sync.Mutex
	sent []string // queue ARN, space, detail type
}

func (o *outbox) deliver(_ context.Context, queue, _ string, body []byte) error {
	if queue == o.refuse {
		return errors.New("no such queue")
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, queue+" "+e.DetailType)
	return nil
}

func pattern(t *testing.T, text string) *Pattern {
	t.Helper()
	p, err := Compile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func settle(t *testing.T, b *Bus) {
	t.Helper()
	for range 1000 {
		if b.Pending() == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the bus does not come to rest")
}

func TestDelivery(t *testing.T) {
	out := &outbox{refuse: "gone"}
	b := New(t.Context(), "123456789012", "us-east-1", out.deliver)
	b.Add(Rule{Name: "created", Pattern: pattern(t, `{"detail-type":["Created"]}`), Targets: []Target{{ARN: "q1"}, {ARN: "gone", DeadLetters: "dead"}, {ARN: "q2"}}})
	b.Add(Rule{Name: "lost", Pattern: pattern(t, `{"detail-type":["Deleted"]}`), Targets: []Target{{ARN: "gone"}}})
	var heard []string
	cancel := b.Subscribe(func(e Event) { heard = append(heard, e.DetailType) })
	for _, kind := range []string{"Created", "Other", "Deleted"} {
		b.Publish(Event{Source: "s", DetailType: kind, Detail: json.RawMessage(`{}`)})
	}
	settle(t, b)
	cancel()
	b.Publish(Event{Source: "s", DetailType: "Unheard", Detail: json.RawMessage(`{}`)})
	settle(t, b)
	b.Publish(Event{Source: "s", DetailType: "Forwarded", Region: "eu-west-1", Detail: json.RawMessage(`{}`)})
	settle(t, b)

	if diff := cmp.Diff([]string{"q1 Created", "dead Created", "q2 Created"}, out.sent); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Created", "Other", "Deleted"}, heard); diff != "" {
		t.Errorf("the subscriber heard (-want +got):\n%s", diff)
	}
	if len(b.Lost()) != 1 {
		t.Errorf("lost: %v, want the one event without dead letters", b.Lost())
	}
	ids := map[string]bool{}
	for _, e := range b.Events() {
		ids[e.ID] = true
		region := "us-east-1"
		if e.DetailType == "Forwarded" {
			region = "eu-west-1"
		}
		if e.Account != "123456789012" || e.Region != region || e.Version != "0" || e.Time.IsZero() || e.Resources == nil {
			t.Errorf("envelope: %+v", e)
		}
	}
	if len(ids) != 5 {
		t.Errorf("%d different ids of 5 events", len(ids))
	}
}
