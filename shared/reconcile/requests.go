package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// maxRequests bounds the requests of a config that are looked at: those whose
// ids sort last, which are the newest as the tool writes ids.
// The bucket's lifecycle takes them away after a week.
const maxRequests = 100

// pending is a request of an operator that was not answered yet. One with a
// fault cannot be carried out.
type pending struct {
	id string
	model.Request
	fault string
}

// hear answers the operators' requests by what was seen, and says for which
// agents they ask that their roles be adopted. A build that they ask for becomes
// the order of its image.
func (r *run) hear(ctx context.Context, s seen) (requested func(agent string) bool, err error) {
	asked := map[string]bool{}
	err = r.answerRequests(func(q pending) (status.Request, error) {
		switch {
		case q.Action == model.BuildImage:
			return r.rebuild(ctx, s, q)
		case r.letsGo(q):
			return status.Request{}, nil
		}
		agents, answer := r.grant(s, q)
		for _, a := range agents {
			asked[a] = true
		}
		return answer, nil
	})
	return func(agent string) bool { return asked[agent] }, err
}

// turnAway answers all requests that are left that nothing can be done about them.
func (r *run) turnAway(why string) error {
	return r.answerRequests(func(q pending) (status.Request, error) {
		if !r.back.IsZero() && r.letsGo(q) {
			return status.Request{}, nil // what it lets go is not decided yet
		}
		return refused(q.id, "%s", why), nil
	})
}

func refused(id, format string, args ...any) status.Request {
	return status.Request{ID: id, Outcome: status.RequestRefused, Message: report.Clip(fmt.Sprintf(format, args...))}
}

func done(id, format string, args ...any) status.Request {
	return status.Request{ID: id, Outcome: status.RequestDone, Message: report.Clip(fmt.Sprintf(format, args...))}
}

// readRequests reads the requests that were not answered yet, and answers those
// that cannot be carried out. What was answered before stays as it was, for as
// long as the request is there.
func (r *run) readRequests(ctx context.Context) error {
	r.requests = r.stored.Requests
	if !r.Operators {
		return nil
	}
	keys, err := r.Store.List(ctx, naming.ConfigRequests(r.key))
	if err != nil {
		return err
	}
	var answers []status.Request
	for _, key := range keys[max(len(keys)-maxRequests, 0):] {
		_, id, ok := naming.SplitRequestKey(key)
		if !ok {
			continue // nobody's: the tool writes none of that name
		}
		if i := slices.IndexFunc(r.requests, func(a status.Request) bool { return a.ID == id }); i >= 0 {
			answers = append(answers, r.requests[i])
			continue
		}
		q, err := r.readRequest(ctx, key, id)
		switch {
		case errors.Is(err, fault.ErrNotFound):
		case err != nil:
			return err
		case q.fault != "":
			answers = append(answers, refused(id, "%s", q.fault))
		default:
			r.pending = append(r.pending, q)
		}
	}
	r.requests = answers
	return nil
}

// answerRequests has every pending request answered. An answer without an id
// leaves its request pending.
func (r *run) answerRequests(answer func(pending) (status.Request, error)) error {
	var left []pending
	for _, q := range r.pending {
		a, err := answer(q)
		if err != nil {
			return err
		}
		if a.ID == "" {
			left = append(left, q)
			continue
		}
		r.requests = append(r.requests, a)
	}
	r.pending = left
	slices.SortFunc(r.requests, func(a, b status.Request) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// readRequest reads a request and checks what can be said of it alone. That an
// operator wrote it is what the bucket's policy sees to.
func (r *run) readRequest(ctx context.Context, key, id string) (pending, error) {
	object, err := r.Store.Get(ctx, key)
	if err != nil {
		return pending{}, err
	}
	q := pending{id: id}
	q.Request, err = model.ParseRequest(object.Body)
	switch {
	case err != nil:
		q.fault = report.Clip(err.Error())
	case q.ID != id || q.Config != r.key:
		q.fault = fmt.Sprintf("it is request %s for %.200q, and was put where it does not belong", q.ID, q.Config)
	case q.Late(object.LastModified, r.now):
		q.fault = fmt.Sprintf("it came too late: it expired at %s", earlier(q.Expires, object.LastModified.Add(model.MaxRequestAge)).UTC().Format(time.RFC3339))
	}
	return q, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// grant says for which agents a request lets roles be adopted, and answers it.
// The answer tells what is so when the plan was applied, so that it is the same
// when the run is repeated: roles adopted before are Rolekeeper's.
func (r *run) grant(s seen, q pending) (agents []string, answer status.Request) {
	answer = status.Request{ID: q.id, Outcome: status.RequestRefused}
	names := slices.Sorted(maps.Keys(q.Plans))
	var blocked []string
	for _, name := range names {
		a := s.adoption(name)
		switch {
		case r.agent(name).Deployment == "":
			answer.Message = fmt.Sprintf("the config has no agent %.100q", name)
		case !a.any:
			answer.Message = fmt.Sprintf("agent %q has no role of its own: the config names what it runs with", name)
		case len(a.left) > 0:
			answer.Message = report.Clip(a.left[0].Message)
		case a.fresh && a.hash != q.Plans[name]:
			answer.Message = fmt.Sprintf("what would be done for agent %q now is not what the operator was shown; look at the plan again", name)
		}
		if answer.Message != "" {
			return nil, answer
		}
		for _, f := range a.blocked {
			blocked = append(blocked, f.Message)
		}
	}
	text := "the roles of " + strings.Join(names, ", ") + " are Rolekeeper's"
	if len(blocked) > 0 {
		text += ", but cannot be kept up: " + strings.Join(blocked, "; ")
	}
	answer.Outcome, answer.Message = status.RequestDone, report.Clip(text)
	return names, answer
}

// adoption is what adopting an agent's roles comes to.
type adoption struct {
	any           bool   // the agent has a role of its own
	fresh         bool   // one is to be adopted that is not yet being so
	hash          string // of the plan
	left, blocked []plan.Refusal
}

// adoption plans the adoption of an agent's roles. Of its refusals, those left
// are of roles that cannot be adopted, those blocked of Rolekeeper's own.
func (s seen) adoption(agent string) adoption {
	// Without the others' roles: there may be many, and their losses are work.
	s.roles = slices.DeleteFunc(slices.Clone(s.roles), func(r plan.Role) bool { return r.Desired.Agent != agent })
	s.images = nil // nobody adopts those
	p := s.plan(func(string) bool { return true })
	a := adoption{any: len(s.roles) > 0, hash: p.AdoptionHash(agent)}
	for _, f := range p.Refusals {
		if p.Stranger(f.Role) {
			a.left = append(a.left, f)
		} else {
			a.blocked = append(a.blocked, f)
		}
	}
	a.fresh = slices.ContainsFunc(p.Steps, func(step plan.Step) bool {
		return step.Op == plan.ArchiveRole && step.Reason == plan.Adopt
	})
	return a
}
