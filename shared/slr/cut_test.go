package slr_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/slr"
)

var errCut = errors.New("cut")

// story is a deletion whose every call is interfered with in turn.
type story struct {
	given func(w *world)
	begin func(w *world)
	after func(t *testing.T, w *world) // days later
}

var stories = map[string]story{
	"an operator has a role deleted": {
		given: func(w *world) { w.idle(network) },
		begin: func(w *world) { w.askAsShown("r1", network) },
		after: func(_ *testing.T, w *world) {
			w.want(network, model.LinkedAbsent)
			w.answered("r1", model.LinkedRequestDone, "it is deleted")
		},
	},
	"a role goes by itself": {
		given: func(w *world) {
			w.days = 2
			w.idle(network)
			w.cloud.Advance(3 * day)
		},
		begin: func(w *world) { w.wake() },
		after: func(_ *testing.T, w *world) { w.want(network, model.LinkedAbsent) },
	},
	"AWS refuses": {
		given: func(w *world) {
			w.idle(network)
			w.cloud.FailLinkedDeletion(network.Name, "the service says so")
		},
		begin: func(w *world) { w.askAsShown("r1", network) },
		after: func(t *testing.T, w *world) {
			w.want(network, model.LinkedRefused, "the service says so")
			w.answered("r1", model.LinkedRequestRefused, "the service says so")
			if n := w.deletions(network); n < 1 || n > 2 {
				t.Errorf("%d deletions", n)
			}
		},
	},
	"two roles go at once": {
		given: func(w *world) {
			w.days = 2
			w.makeRole(identity)
			w.idle(network)
			w.cloud.Advance(3 * day)
		},
		begin: func(w *world) { w.wake() },
		after: func(_ *testing.T, w *world) {
			w.want(network, model.LinkedAbsent)
			w.want(identity, model.LinkedAbsent)
		},
	},
}

// tell plays a story to its end, interfered with until it first comes to rest.
func (s story) tell(t *testing.T, interfere func(w *world)) *world {
	t.Helper()
	w := newWorld(t)
	s.given(w)
	w.cloud.ForgetCalls()
	s.begin(w)
	interfere(w)
	w.settle()
	w.undisturbed()
	w.pass(3 * day)
	s.after(t, w)
	if dead := w.cloud.Messages(w.dead); len(dead) > 0 {
		t.Errorf("dead letters: %v", dead)
	}
	return w
}

// Each of these was broken once and found by the tests of this package, beside what
// judge goes by: the debounce by BegunAt, its window and what a look covers; that a
// wake-up whose look died counts, is forgotten when it came, is not sent twice, and
// that an event within a look does not disturb it; the write before a look and the
// announcement before a deletion, the ETag after it, verdicts that stay as they were
// until they are told, and that telling must succeed; what a deletion is of (the
// role's id, the request, when it was decided), how it ends (gone, lost, failed,
// forgotten) and that its answer is looked at once; requests that are late, answered,
// of another key or action, outdated, not deletable, of no role; days that count from
// the first whole look, and from the last need; what cannot be read of a kind, of a
// Region, of a config, of IAM; the time that a look keeps to tell of it.
func TestACutAtAnyCallOfADeletionChangesNothingInTheEnd(t *testing.T) {
	for name, s := range stories {
		for how, after := range map[string]bool{"before": false, "after": true} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				calls := map[string]bool{}
				for nth := 1; ; nth++ {
					w := s.tell(t, func(w *world) { w.cutAt(nth, after) })
					if t.Failed() {
						t.Fatalf("cut %s call %d", how, nth)
					}
					for _, c := range w.cloud.Calls() {
						calls[c.Operation] = calls[c.Operation] || c.Caller == me
					}
					if !w.cut.done || nth > 110 { // more than the look that deletes and the one that follows
						if nth < 60 {
							t.Errorf("there were %d calls only", nth)
						}
						break
					}
				}
				for _, operation := range []string{"DeleteServiceLinkedRole", "GetServiceLinkedRoleDeletionStatus", "PutEvents", "PutObject", "SendMessage"} {
					if !calls[operation] {
						t.Errorf("%s was never called", operation)
					}
				}
			})
		}
	}
}

// Once something needs the role AWS is not asked again, wherever the look died that
// had decided otherwise.
func TestACutLookThatIsTakenUpGoesByWhatThereIsThen(t *testing.T) {
	for _, days := range []int{0, 2} {
		for _, after := range []bool{false, true} {
			for nth := 1; ; nth++ {
				w := newWorld(t)
				w.days = days
				w.idle(network)
				w.cloud.Advance(3 * day)
				if days == 0 {
					w.askAsShown("r1", network)
				} else {
					w.wake()
				}
				w.cutAt(nth, after)
				w.drain()
				cut := w.cut.done
				w.undisturbed()
				w.runtime(w.cloud, "my_agent", true)
				asked := w.deletions(network)
				w.settle()
				w.pass(day)
				w.want(network, model.LinkedUsed)
				if n := w.deletions(network); n != asked {
					t.Fatalf("days %d, cut at %d: %d deletions after something needed it", days, nth, n-asked)
				}
				if !slices.Contains(w.cloud.RoleNames(), network.Name) {
					t.Fatalf("days %d, cut at %d: it is gone", days, nth)
				}
				if days == 0 {
					w.answered("r1", model.LinkedRequestRefused, "")
				}
				if t.Failed() {
					t.Fatalf("days %d, cut at %d, after: %v", days, nth, after)
				}
				if !cut {
					break
				}
			}
		}
	}
}

// One call fails, and the rest goes on: nothing goes that is needed, and the request
// has one answer in the end.
func TestAFailureOfAnyOneCall(t *testing.T) {
	for _, code := range []string{"ThrottlingException", "AccessDeniedException", "InternalFailure"} {
		for _, used := range []bool{false, true} {
			for nth := 1; ; nth++ {
				w := newWorld(t)
				w.idle(network)
				plan := w.role(network).DeletionPlan()
				if used {
					w.runtime(w.cloud.Abroad(abroad), "my_agent", true)
				}
				w.cloud.ForgetCalls()
				w.ask("r1", network.Name, plan)
				seen, failed := 0, awsfake.Call{}
				w.cloud.Before = func(c awsfake.Call) error {
					if c.Caller == me {
						if seen++; seen == nth {
							failed = c
							return awsfake.APIError(code, "this once")
						}
					}
					return nil
				}
				w.settle()
				w.undisturbed()
				w.pass(day)
				switch v := w.role(network).Verdict; {
				case used && (v != model.LinkedUsed || w.deletions(network) > 0):
					t.Errorf("%s at %s: used, and %s, %d deletions", code, failed, v, w.deletions(network))
				case !used && v != model.LinkedAbsent && v != model.LinkedRefused && v != model.LinkedRemovable:
					t.Errorf("%s at %s: %s", code, failed, v)
				}
				answers := w.table().Requests
				done := !slices.Contains(w.cloud.RoleNames(), network.Name)
				if len(answers) != 1 || (answers[0].Outcome == model.LinkedRequestDone) != done || answers[0].Outcome == model.LinkedRequestRunning {
					t.Errorf("%s at %s: gone %v, answered %+v", code, failed, done, answers)
				}
				if t.Failed() {
					t.Fatalf("%s at call %d, used: %v", code, nth, used)
				}
				if failed.Operation == "" || nth > 110 || used && nth > 60 { // nothing is deleted then
					break
				}
			}
		}
	}
}

// A schedule that dies is run again by Lambda.
func TestAScheduledLookThatDiesIsRunAgain(t *testing.T) {
	for nth := 1; nth < 60; nth++ {
		w := newWorld(t)
		w.days = 2
		w.idle(network)
		w.cloud.Advance(3 * day)
		w.cutAt(nth, true)
		_, err := w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) { return s.Look(ctx) })
		w.undisturbed()
		if err != nil && !strings.Contains(err.Error(), errCut.Error()) {
			t.Errorf("cut at %d: %v", nth, err)
		}
		w.cloud.Advance(time.Minute)
		w.look()
		w.settle()
		w.want(network, model.LinkedAbsent)
	}
}
