package operator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/operator"
)

var (
	now          = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	errThrottled = errors.New("throttled")
)

// bucket holds objects by key; fails says what cannot be read or listed.
type bucket struct {
	objects map[string]model.Object
	fails   map[string]error
	listed  []string // keys that are listed though they are gone
}

func (b bucket) Entries(_ context.Context, prefix string) (entries []model.Entry, err error) {
	if err := b.fails[prefix]; err != nil {
		return nil, err
	}
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) {
			entries = append(entries, model.Entry{Key: key})
		}
	}
	for _, key := range b.listed {
		entries = append(entries, model.Entry{Key: key})
	}
	return entries, nil
}

func (b bucket) Get(_ context.Context, key string) (model.Object, error) {
	if err := b.fails[key]; err != nil {
		return model.Object{}, err
	}
	o, there := b.objects[key]
	if !there {
		return model.Object{}, fault.ErrNotFound
	}
	return o, nil
}

// ask puts a request there that was written at a time.
func (b bucket) ask(t *testing.T, key, id string, action model.RequestAction, written time.Time) {
	t.Helper()
	plan := map[model.RequestAction]string{model.Approve: model.FleetPlan, model.DeleteLinked: "AWSServiceRoleForBedrockAgentCoreNetwork"}[action]
	body, err := json.Marshal(model.Request{
		V: 1, ID: id, Action: action, Plans: map[string]string{plan: strings.Repeat("a", 64)}, Expires: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.objects[key] = model.Object{Body: body, LastModified: written}
}

func ids(requests []model.FleetRequest) (ids []string) {
	for _, r := range requests {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestRequestsAreThoseThatCanBeCarriedOutNow(t *testing.T) {
	b := bucket{objects: map[string]model.Object{}, listed: []string{naming.FleetRequestKey("gone")}}
	b.ask(t, naming.FleetRequestKey("b"), "b", model.Approve, now)
	b.ask(t, naming.FleetRequestKey("a"), "a", model.Approve, now.Add(-model.MaxRequestAge))
	b.ask(t, naming.FleetRequestKey("late"), "late", model.Approve, now.Add(-model.MaxRequestAge-time.Second))
	b.ask(t, naming.FleetRequestKey("deletion"), "deletion", model.DeleteLinked, now)
	b.ask(t, naming.FleetRequestKey("another"), "b", model.Approve, now)
	b.ask(t, naming.FleetRequestPrefix+"below/b.json", "b", model.Approve, now)
	b.objects[naming.FleetRequestKey("damaged")] = model.Object{Body: []byte(`{"v":1`), LastModified: now}
	for action, want := range map[model.RequestAction][]string{model.Approve: {"a", "b"}, model.DeleteLinked: {"deletion"}} {
		got, unread, err := operator.Requests(t.Context(), b, action, now)
		if diff := cmp.Diff(want, ids(got)); diff != "" || err != nil || unread != nil {
			t.Errorf("%s: %v, %v (-want +got)\n%s", action, err, unread, diff)
		}
	}
}

func TestOfTooManyRequestsTheNewestAreRead(t *testing.T) {
	b := bucket{objects: map[string]model.Object{}}
	for i := range operator.MaxRequests + 2 {
		id := fmt.Sprintf("%03d", i)
		b.ask(t, naming.FleetRequestKey(id), id, model.Approve, now)
	}
	got, unread, err := operator.Requests(t.Context(), b, model.Approve, now)
	if all := ids(got); err != nil || unread != nil || len(all) != operator.MaxRequests || all[0] != "002" {
		t.Errorf("%v, %v", all, err)
	}
}

func TestRequestsThatCannotBeReadAreNotTakenForNone(t *testing.T) {
	for _, key := range []string{naming.FleetRequestPrefix, naming.FleetRequestKey("a")} {
		b := bucket{objects: map[string]model.Object{}, fails: map[string]error{key: errThrottled}}
		b.ask(t, naming.FleetRequestKey("a"), "a", model.Approve, now)
		if got, _, err := operator.Requests(t.Context(), b, model.Approve, now); !errors.Is(err, errThrottled) || got != nil {
			t.Errorf("%s: %v, %v", key, got, err)
		}
	}
}

func TestARequestThatMayNotBeReadKeepsNoOtherBack(t *testing.T) {
	b := bucket{objects: map[string]model.Object{}, fails: map[string]error{naming.FleetRequestKey("a"): fault.ErrDenied}}
	for _, id := range []string{"a", "b"} {
		b.ask(t, naming.FleetRequestKey(id), id, model.Approve, now)
	}
	got, unread, err := operator.Requests(t.Context(), b, model.Approve, now)
	if diff := cmp.Diff([]string{"b"}, ids(got)); diff != "" || !errors.Is(unread, fault.ErrDenied) || err != nil {
		t.Errorf("%v, %v (-want +got)\n%s", unread, err, diff)
	}
}
