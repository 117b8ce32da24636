package slr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/operator"
)

// follow asks how far a deletion is that AWS has begun.
func (o *watched) follow(ctx context.Context, roles Roles, now time.Time) {
	if !o.deleting() {
		return
	}
	d := *o.known.Deletion
	o.known.Deletion, o.asked = &d, true
	is, err := roles.Deletion(ctx, d.Task)
	switch {
	case errors.Is(err, fault.ErrNotFound) && now.Sub(d.At) < lag:
		// Of what it has just begun IAM may not know yet.
	case errors.Is(err, fault.ErrNotFound):
		d.State, d.EndedAt = model.DeletionLost, now
	case fault.Of(err) == fault.Retry:
		o.soon = true
	case err != nil:
		o.untold = clip(err.Error())
	case is.State != model.DeletionRunning:
		d.State, d.Reason, d.Usage, d.EndedAt = is.State, clip(is.Reason), is.Usage, now
	}
}

// settleDeletion ends a deletion of which nobody knows how far it was, once the role
// is gone or another has its place.
func (o *watched) settleDeletion(now time.Time) {
	d := o.known.Deletion
	if d == nil || d.State == model.DeletionSucceeded || d.State == model.DeletionFailed {
		return
	}
	if o.observed == nil || o.observed.ID != d.RoleID {
		ended := *d
		ended.State, ended.EndedAt = model.DeletionSucceeded, now
		o.known.Deletion = &ended
	}
}

// pending gives the operators' requests to delete service-linked roles that are
// not answered, by the role's name in small letters, and why others may not be read.
func (w Watch) pending(ctx context.Context, t table, now time.Time) (asked map[string][]model.FleetRequest, unread, err error) {
	asked = map[string][]model.FleetRequest{}
	if !w.Operators {
		return asked, nil, nil
	}
	requests, unread, err := operator.Requests(ctx, w.Store, model.DeleteLinked, now)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range requests {
		if t.answered(q.ID) {
			continue
		}
		for name := range q.Plans { // there is one
			asked[strings.ToLower(name)] = append(asked[strings.ToLower(name)], q)
		}
	}
	return asked, unread, nil
}

// answered reports whether a request has its last answer.
func (t table) answered(id string) bool {
	return slices.ContainsFunc(t.Requests, func(r model.LinkedRequest) bool { return r.ID == id && r.Outcome != model.LinkedRequestRunning })
}

// answer notes what became of a request; of a newer answer the older one goes.
func (t *table) answer(r model.LinkedRequest) {
	all := slices.DeleteFunc(slices.Clone(t.Requests), func(old model.LinkedRequest) bool { return old.ID == r.ID })
	all = append(all, r)
	t.Requests = all[max(len(all)-operator.MaxRequests, 0):]
}

// act has those roles deleted that may go: which an operator asked for, or which
// were idle for long enough. It says so before it asks AWS, and answers requests.
func (w Watch) act(ctx context.Context, t *table, asked map[string][]model.FleetRequest, all []watched, now time.Time) error {
	for i := range all {
		name := strings.ToLower(all[i].role.Name)
		if err := w.actOn(ctx, t, &all[i], asked[name], now); err != nil {
			return err
		}
		t.Roles[i] = all[i].known
		delete(asked, name)
	}
	for name, requests := range asked {
		for _, q := range requests {
			t.answer(model.LinkedRequest{ID: q.ID, Role: clip(name), Outcome: model.LinkedRequestRefused, At: now, Message: "AgentCore has no service-linked role of this name"})
		}
	}
	return nil
}

func (w Watch) actOn(ctx context.Context, t *table, o *watched, asked []model.FleetRequest, now time.Time) error {
	o.tell(t, now)
	by, waits := o.hear(t, asked, now)
	if by == "" && !o.goes {
		if !waits {
			o.forget(t, now)
		}
		return nil
	}
	d := model.LinkedDeletion{RoleID: o.known.ID, Request: by, At: now, State: model.DeletionAsked}
	if o.ended(model.DeletionAsked) && o.known.Deletion.RoleID == d.RoleID {
		d.At, d.Request = o.known.Deletion.At, cmp.Or(by, o.known.Deletion.Request) // it is the same one still
	}
	if by != "" {
		t.answer(model.LinkedRequest{ID: by, Role: o.role.Name, Outcome: model.LinkedRequestRunning, Message: "AWS is asked to delete it", At: now})
	}
	if err := w.announce(ctx, t, o.role, d); err != nil {
		return err
	}
	o.known.Deletion = &d
	task, err := w.Roles.Delete(ctx, o.role.Name)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		d.State, d.EndedAt, o.observed = model.DeletionSucceeded, now, nil
	case fault.Of(err) == fault.Retry: // it may have come through: the next look asks again
	case err != nil:
		d.State, d.Reason, d.EndedAt = model.DeletionFailed, clip(err.Error()), now
	default:
		d.State, d.Task = model.DeletionRunning, task
	}
	o.remember(now)
	o.decide(w.IdleDays, now)
	o.tell(t, now)
	return nil
}

// announce writes that AWS is about to be asked to delete a role. Verdicts stay as
// they were until their events are sent.
func (w Watch) announce(ctx context.Context, t *table, role desired.ServiceLinkedRole, d model.LinkedDeletion) error {
	i := slices.IndexFunc(t.written, func(r model.ServiceLinkedRole) bool { return r.Name == role.Name })
	if i < 0 {
		i, t.written = len(t.written), append(t.written, model.ServiceLinkedRole{Name: role.Name, Service: role.Service})
	}
	t.written[i].Deletion = &d
	next := *t
	next.Roles = t.written
	err := w.save(ctx, &next)
	t.etag, t.body, t.WakeAt = next.etag, next.body, next.WakeAt
	return err
}

// hear answers what cannot be carried out, and gives the request that is to be; waits
// says of one that AWS may be at it.
func (o *watched) hear(t *table, asked []model.FleetRequest, now time.Time) (by string, waits bool) {
	for _, q := range asked {
		if t.answered(q.ID) { // just now
			continue
		}
		if outcome, message := o.allowed(q); outcome != "" {
			t.answer(model.LinkedRequest{ID: q.ID, Role: o.role.Name, Outcome: outcome, Message: message, At: now})
			waits = waits || outcome == model.LinkedRequestRunning
			continue
		}
		by = q.ID
	}
	return by, waits
}

// forget ends a deletion that an earlier look decided, and of which it is not known
// whether AWS was asked: this one would not decide it.
func (o *watched) forget(t *table, now time.Time) {
	if o.ended(model.DeletionAsked) && o.unseen == "" {
		d := *o.known.Deletion
		d.State, d.EndedAt = model.DeletionLost, now
		o.known.Deletion = &d
		o.tell(t, now)
	}
}

// allowed says what keeps a request from being carried out: with what it is
// answered, empty when nothing does or AWS is at it.
func (o *watched) allowed(q model.FleetRequest) (outcome, message string) {
	k := o.known
	plan := ""
	for _, hash := range q.Plans {
		plan = hash
	}
	switch {
	case o.deleting():
		return model.LinkedRequestRunning, "AWS is asked to delete it already"
	case k.Verdict == model.LinkedUnknown && o.ended(model.DeletionAsked) && k.Deletion.Request == q.ID:
		return model.LinkedRequestRunning, "AWS may have been asked already; whether to ask again is not known: " + strings.Join(k.Reasons, "; ")
	case k.Verdict == model.LinkedAbsent:
		return model.LinkedRequestDone, "it is not there"
	case !k.Verdict.Deletable():
		return model.LinkedRequestRefused, fmt.Sprintf("it is %s: %s", k.Verdict, strings.Join(k.Reasons, "; "))
	case plan != k.DeletionPlan():
		return model.LinkedRequestRefused, "it is not as it was shown any more: it was made anew, or used since; look at it again"
	}
	return "", ""
}

// tell answers the requests that a deletion was for, once it has ended: its own, and
// those that came meanwhile. They may be too late by then to be read again.
func (o *watched) tell(t *table, now time.Time) {
	d := o.known.Deletion
	if d == nil {
		return
	}
	r := model.LinkedRequest{Role: o.role.Name, At: now}
	switch d.State {
	case model.DeletionSucceeded:
		r.Outcome, r.Message = model.LinkedRequestDone, "it is deleted"
	case model.DeletionFailed:
		r.Outcome, r.Message = model.LinkedRequestRefused, strings.Join(refusal(*d), "; ")
	case model.DeletionLost:
		r.Outcome, r.Message = model.LinkedRequestRefused, "it is there, and AWS does not say that it is to go"
	default:
		return
	}
	if d.Request != "" && !t.answered(d.Request) {
		r.ID = d.Request
		t.answer(r)
	}
	for _, waits := range t.Requests {
		if waits.Role == r.Role && waits.Outcome == model.LinkedRequestRunning {
			r.ID = waits.ID
			t.answer(r)
		}
	}
}
