package slr_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/slr"
)

// quiet is a world in which nothing is under way and no look was of late.
func quiet(t *testing.T) *world {
	w := newWorld(t)
	w.look()
	w.settle()
	w.cloud.Advance(time.Hour)
	w.cloud.ForgetCalls()
	return w
}

func TestABurstOfEventsLeadsToTwoLooks(t *testing.T) {
	for name, apart := range map[string]time.Duration{"at once": 0, "over a quarter of an hour": 899 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			w := quiet(t)
			begun, looks := w.cloud.Now(), 0
			for range 1000 {
				w.event("UpdateAgentRuntime")
				if apart > 0 {
					looks += w.drain()
					w.cloud.Advance(apart)
				}
			}
			looks += w.drain()
			w.cloud.Advance(begun.Add(15*time.Minute + time.Second).Sub(w.cloud.Now()))
			looks += w.drain()
			if n := w.count("GetRole"); looks != 2 || n != 2*5 {
				t.Errorf("%d looks, %d calls of GetRole", looks, n)
			}
			if n := w.count("SendMessage"); n != 1 {
				t.Errorf("%d wake-ups", n)
			}
			if more := w.settle(); more > 0 || !w.table().WakeAt.IsZero() {
				t.Errorf("%d looks more, wake at %s", more, w.table().WakeAt)
			}
		})
	}
}

func TestManyEventsWithinTheLastSecondSendOneWakeUp(t *testing.T) {
	w := quiet(t)
	w.event("CreateAgentRuntime")
	w.drain()
	w.cloud.Advance(15*time.Minute - time.Millisecond)
	for range 100 {
		w.event("CreateAgentRuntime")
	}
	if looks := w.drain(); looks != 0 || w.count("SendMessage") != 1 {
		t.Errorf("%d looks, %d wake-ups", looks, w.count("SendMessage"))
	}
	if looks := w.settle(); looks != 1 {
		t.Errorf("%d looks", looks)
	}
}

func TestEventsThatALookHasCoveredDoNothing(t *testing.T) {
	for name, c := range map[string]struct {
		before time.Duration // that the event is older than the look
		wakes  int
	}{
		"half a minute and more": {31 * time.Second, 0}, "half a minute": {30 * time.Second, 1}, "not at all": {0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := quiet(t)
			body := callEvent("DeleteGateway", w.cloud.Now().Add(-c.before))
			w.look()
			w.cloud.ForgetCalls()
			w.cloud.Put(w.queue, body)
			if looks := w.drain(); looks != 0 || w.count("SendMessage") != c.wakes || w.count("PutObject") != c.wakes {
				t.Errorf("%d looks, %d wake-ups, %d writes", looks, w.count("SendMessage"), w.count("PutObject"))
			}
		})
	}
}

func TestWakeUps(t *testing.T) {
	for name, c := range map[string]struct {
		early time.Duration
		again bool // there was a look since it was due
		looks int
	}{
		"in time": {0, false, 1}, "early": {5 * time.Second, false, 1}, "after a look": {0, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := quiet(t)
			w.event("CreateBrowser")
			w.drain()
			w.event("CreateBrowser")
			w.cloud.Advance(time.Minute)
			w.event("CreateBrowser")
			w.drain()
			at := w.table().WakeAt
			if at.IsZero() || !at.Equal(w.table().BegunAt.Add(15*time.Minute)) {
				t.Fatalf("wake at %s", at)
			}
			w.cloud.Advance(at.Add(-c.early).Sub(w.cloud.Now()))
			if c.again {
				w.look()
			}
			m, _, err := event.LookAgain(w.cloud.Now(), c.early)
			w.must(nil, err)
			r, err := w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) { return s.Handle(ctx, m.Body) })
			if err != nil || r.Looked != (c.looks == 1) {
				t.Errorf("%v, looked: %v", err, r.Looked)
			}
			if c.looks == 1 && !w.table().WakeAt.IsZero() {
				t.Errorf("it is not forgotten: %s", w.table().WakeAt)
			}
		})
	}
}

// Whatever the message was, what it told of is looked at in the end.
func TestALookThatDiesIsMadeUpFor(t *testing.T) {
	for name, body := range map[string]func(w *world){
		"of a call":    func(w *world) { w.event("CreateAgentRuntime") },
		"of a wake-up": func(w *world) { w.wake() },
		"of a request": func(w *world) { w.ask("r1", network.Name, model.ServiceLinkedRole{}.DeletionPlan()) },
	} {
		t.Run(name, func(t *testing.T) {
			for nth := 1; ; nth++ {
				w := quiet(t)
				body(w)
				told := w.cloud.Now()
				w.cutAt(nth, nth%2 == 0)
				w.settle()
				w.undisturbed()
				w.cloud.Advance(16 * time.Minute)
				w.settle()
				if at := w.table().LookedAt; at.Before(told) {
					t.Fatalf("cut at %d: no look since %s, the last at %s", nth, told, at)
				}
				if !w.cut.done {
					if nth < 20 {
						t.Errorf("no more than %d calls", nth)
					}
					return
				}
			}
		})
	}
}

// wake has a message come that slrwatch sent itself.
func (w *world) wake() {
	w.t.Helper()
	m, _, err := event.LookAgain(w.cloud.Now(), 0)
	w.must(nil, err)
	w.cloud.Put(w.queue, m.Body)
}

// during has something happen once while a look reads the Regions.
func during(s slr.Watch, then func()) slr.Watch {
	region, once := s.Region, sync.Once{}
	s.Region = func(name string) slr.Region {
		once.Do(then)
		return region(name)
	}
	return s
}

func TestEventsThatComeDuringALookDoNotDisturbIt(t *testing.T) {
	w := quiet(t)
	for range 3 {
		w.event("CreateAgentRuntime")
	}
	r, err := during(w.watch(), func() { w.must(w.drain(), nil) }).Look(t.Context())
	if err != nil || !r.Looked {
		t.Fatalf("%v, looked: %v", err, r.Looked)
	}
	known := w.table()
	if known.LookedAt != r.Table.LookedAt || !known.WakeAt.Equal(known.BegunAt.Add(15*time.Minute)) || w.count("SendMessage") != 1 || len(w.errs) > 0 {
		t.Errorf("%+v, %d wake-ups, %v", known, w.count("SendMessage"), w.errs)
	}
	if looks := w.settle(); looks != 1 {
		t.Errorf("%d looks", looks)
	}
}

// An event whose wake-up is sent while a look is written must not fail: its message
// would come again for nothing.
func TestAnEventThatComesWhileALookIsWrittenIsDone(t *testing.T) {
	w := quiet(t)
	w.event("CreateAgentRuntime")
	w.drain()
	s := w.watch()
	s.Queue = sending{s.Queue, func() { w.cloud.Advance(time.Second); w.look() }}
	if r, err := s.Handle(t.Context(), callEvent("DeleteAgentRuntime", w.cloud.Now())); err != nil || r.Looked {
		t.Errorf("%v, looked: %v", err, r.Looked)
	}
}

// sending has something happen after a message is sent.
type sending struct {
	slr.Queue
	then func()
}

func (s sending) Send(ctx context.Context, m event.Message) error {
	err := s.Queue.Send(ctx, m)
	s.then()
	return err
}

func TestAnEventThatComesAfterADeletionIsDecidedDoesNotDisturbTheLook(t *testing.T) {
	w := newWorld(t)
	w.days = 1
	w.idle(network)
	w.pass(2 * day)
	w.undisturbed()
	w.makeRole(identity)
	s := w.watch()
	s.Roles = deleting{s.Roles, func() {
		if _, err := w.watch().Handle(t.Context(), callEvent("CreateGateway", w.cloud.Now())); err != nil {
			t.Error(err)
		}
	}}
	for end := w.cloud.Now().Add(3 * day); w.cloud.Now().Before(end); w.cloud.Advance(6 * time.Hour) {
		if r, err := s.Look(t.Context()); err != nil || !r.Looked {
			t.Fatalf("looked %v: %v", r.Looked, err)
		}
	}
	if n := w.deletions(identity); n != 1 {
		t.Errorf("%d deletions", n)
	}
}

// Two messages each want a look, and a look takes longer than a message is put back
// for: taken again, the one that was overtaken would overtake the other in turn.
func TestALookThatALaterOneOvertookIsDone(t *testing.T) {
	w, bodies := askedTwice(t)
	r, err := during(w.watch(), func() {
		w.cloud.Advance(time.Minute)
		if r, err := w.watch().Handle(context.Background(), bodies[1]); err != nil || !r.Looked {
			t.Errorf("the look that began later: %+v, %v", r, err)
		}
	}).Handle(t.Context(), bodies[0])
	if err != nil || r.Looked {
		t.Errorf("the look that was overtaken: %+v, %v", r, err)
	}
	w.told()
	w.settle()
	w.want(network, model.LinkedAbsent)
	w.answered("r1", model.LinkedRequestDone, "")
	w.answered("r2", model.LinkedRequestDone, "")
}

// What an earlier look had not seen a later one must see.
func TestALookThatAnEarlierOneWroteOverIsTakenAgain(t *testing.T) {
	w, bodies := askedTwice(t)
	_, err := during(w.watch(), func() {
		known := w.table()
		known.BegunAt = known.BegunAt.Add(-time.Minute)
		w.write(naming.LinkedKey, known)
	}).Handle(t.Context(), bodies[0])
	if !errors.Is(err, fault.ErrConflict) || fault.Of(err) != fault.Retry {
		t.Errorf("%v", err)
	}
}

// askedTwice is a world in which two operators want a role to go, with their messages.
func askedTwice(t *testing.T) (w *world, bodies []string) {
	w = newWorld(t)
	w.idle(network)
	w.cloud.Advance(time.Hour)
	for _, id := range []string{"r1", "r2"} {
		w.askAsShown(id, network)
		for _, m := range w.cloud.Receive(w.queue, 1).Records {
			bodies = append(bodies, m.Body)
		}
	}
	return w, bodies
}

func TestOfTwoLooksAtOnceOneDeletes(t *testing.T) {
	for name, apart := range map[string]time.Duration{"in the same second": 0, "one after the other": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.days = 1
			w.idle(network)
			w.cloud.Advance(2 * day)
			_, err := during(w.watch(), func() {
				w.cloud.Advance(apart)
				if r, err := w.watch().Look(context.Background()); err != nil || !r.Looked {
					t.Errorf("the other look: %v", err)
				}
			}).Look(t.Context())
			if !errors.Is(err, fault.ErrConflict) || fault.Of(err) != fault.Retry {
				t.Errorf("the look that is behind: %v", err)
			}
			if n := w.deletions(network); n != 1 {
				t.Errorf("%d deletions", n)
			}
			w.want(network, model.LinkedDeleting)
			w.settle()
			w.want(network, model.LinkedAbsent)
		})
	}
}

// A look that has decided must not undo what another has written since.
func TestALookThatIsBehindWritesNothing(t *testing.T) {
	w := quiet(t)
	var between []byte
	_, err := during(w.watch(), func() {
		w.cloud.Advance(2 * time.Second)
		r, err := w.watch().Look(context.Background())
		w.must(nil, err)
		between, err = json.Marshal(r.Table)
		w.must(nil, err)
	}).Look(t.Context())
	is, wrong := json.Marshal(w.table())
	if w.must(nil, wrong); !errors.Is(err, fault.ErrConflict) || string(is) != string(between) {
		t.Errorf("%v\n%s\n%s", err, is, between)
	}
}

func TestAMessageThatIsNoneOfOursIsNotTaken(t *testing.T) {
	w := quiet(t)
	for body, class := range map[string]fault.Class{"{": fault.Poison, callEvent("GetAgentRuntime", w.cloud.Now()): fault.Ignored} {
		if r, err := w.watch().Handle(t.Context(), body); fault.Of(err) != class || r.Looked {
			t.Errorf("%s: %v", body, err)
		}
	}
	if n := len(w.cloud.Calls()); n > 0 {
		t.Errorf("%d calls", n)
	}
}

func TestWhatIsUnderWayBringsALookAndNoMoreThanOne(t *testing.T) {
	w := newWorld(t)
	w.cloud.SettleLinkedRoles(time.Hour, time.Hour)
	w.makeRole(network)
	w.look()
	if at := w.table().WakeAt; w.count("SendMessage") != 1 || !at.Equal(w.cloud.Now().Add(10*time.Second)) {
		t.Fatalf("%d wake-ups, the last at %s", w.count("SendMessage"), at)
	}
	w.cloud.Advance(time.Second)
	if w.look(); w.count("SendMessage") != 1 {
		t.Error("another wake-up for the same")
	}
	for w.cloud.Now().Before(w.role(network).Created.Add(50 * time.Minute)) {
		w.cloud.Advance(w.table().WakeAt.Sub(w.cloud.Now()))
		w.drain()
	}
	if n := w.count("SendMessage"); n > 11 { // 10 s, twice that and so on, then a quarter of an hour
		t.Errorf("%d looks in 50 minutes", n)
	}
	// One that comes too late is no reason not to send another.
	w = quiet(t)
	w.event("CreateBrowser")
	w.event("CreateBrowser")
	w.drain()
	later := w.table().WakeAt
	w.makeRole(network)
	if w.look(); !w.table().WakeAt.Before(later) {
		t.Errorf("wake at %s, and a report is being made", w.table().WakeAt)
	}
}

func TestWhatMayBeReadSoonIsReadAgainSoon(t *testing.T) {
	for _, operation := range []string{"GetRole", "GenerateServiceLastAccessedDetails", "ListBrowsers", "DescribeNetworkInterfaces"} {
		for code, soon := range map[string]bool{"Throttling": true, "AccessDenied": false} {
			t.Run(operation+" "+code, func(t *testing.T) {
				w := newWorld(t)
				w.makeRole(network)
				w.deny(code, operation, "")
				w.look()
				w.cloud.Advance(time.Minute)
				w.drain() // a report that was asked for is there
				if at, any := w.cloud.NextVisible(w.queue); any != soon || any && at.After(w.cloud.Now().Add(15*time.Minute)) {
					t.Errorf("a look at %s: %v", at, any)
				}
			})
		}
	}
}

// A look that has used up its time writes what it came to.
func TestALookThatIsOutOfTimeWritesStill(t *testing.T) {
	w := quiet(t)
	s := w.watch()
	ctx, cancel := context.WithCancel(t.Context())
	s.Store, s.Bus = strictStore{s.Store}, ending{s.Bus, cancel}
	w.makeRole(network)
	if r, err := s.Look(ctx); err != nil || !r.Looked || ctx.Err() == nil {
		t.Errorf("%v, looked: %v, %v", err, r.Looked, ctx.Err())
	}
	w.want(network, model.LinkedIdle)
}

// strictStore writes for nobody whose time is over.
type strictStore struct{ slr.Store }

func (s strictStore) Replace(ctx context.Context, key string, body []byte, etag string) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return s.Store.Replace(ctx, key, body, etag)
}

// ending has the time be over once events are sent.
type ending struct {
	slr.Bus
	end func()
}

func (e ending) Send(ctx context.Context, events []event.Outgoing) error {
	defer e.end()
	return e.Bus.Send(ctx, events)
}
