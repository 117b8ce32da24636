package slr

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

const (
	// window is how far apart looks are that events bring about.
	window = 15 * time.Minute
	// behind is how long a change may take to be seen, once CloudTrail has it.
	behind = 30 * time.Second
	// soonest is when a look comes again that waits for AWS; each waits longer.
	soonest = 10 * time.Second
	// maxTable bounds what is known in bytes, and maxText each text of others' in
	// characters.
	maxTable  = 4 << 20
	maxText   = 500
	writeTime = 10 * time.Second
	// blind is for how long not everything may be read, or nobody look, before days
	// without a need count anew.
	blind = 4 * day
	// reportTime is what a look has left of its time once everything is read.
	reportTime = 30 * time.Second
)

// Result is what became of a message or a schedule.
type Result struct {
	Looked  bool // there was a look; else another one covers it, or comes
	Table   model.ServiceLinkedRoles
	Damaged bool  // what was known could not be read, and is made anew
	Unread  error // why operators' requests may not be read; others are carried out
}

// Handle takes a message of slrwatch's queue. A call that CloudTrail tells of
// leads to a look unless one began since, or a quarter of an hour ago: then a
// message brings one when that is over.
func (w Watch) Handle(ctx context.Context, body string) (Result, error) {
	n, err := event.DecodeNotice(body, w.Here)
	if err != nil {
		return Result{}, err
	}
	t, err := w.known(ctx)
	if err != nil {
		return Result{}, err
	}
	now := w.Now()
	if n.Kind == event.NoticeWake && !t.WakeAt.After(n.Time) {
		t.WakeAt = time.Time{} // it has come
	}
	switch {
	case n.Kind == event.NoticeWake && !t.LookedAt.Before(n.Time), n.Kind == event.NoticeCall && t.LookedAt.After(n.Time.Add(behind)):
		return Result{Table: t.ServiceLinkedRoles}, nil // a look has been there since
	case n.Kind == event.NoticeCall && now.Sub(t.BegunAt) < window:
		return Result{Table: t.ServiceLinkedRoles}, w.later(ctx, t, now)
	}
	r, err := w.look(ctx, t)
	if errors.Is(err, errOvertaken) {
		// Taken up again, the message would overtake that one, whose own would do the
		// same in turn: of two long looks none came to its end.
		if is, read := w.known(ctx); read == nil && is.BegunAt.After(now) {
			return Result{}, nil
		}
	}
	return r, err
}

// errOvertaken says that another look wrote since this one began. One that began
// later sees all that this one was to see, requests too.
var errOvertaken = errors.New("another look wrote since")

// overtaken marks what a look could not write after it had written that it began.
func overtaken(err error) error {
	if errors.Is(err, fault.ErrConflict) {
		return fault.Errorf(fault.Of(err), "%w: %w", errOvertaken, err)
	}
	return err
}

// Look looks in any case.
func (w Watch) Look(ctx context.Context) (Result, error) {
	t, err := w.known(ctx)
	if err != nil {
		return Result{}, err
	}
	return w.look(ctx, t)
}

// table is what is known, as it was read.
type table struct {
	model.ServiceLinkedRoles
	etag    string // empty: there is no object
	body    []byte // of the object
	damaged bool
	written []model.ServiceLinkedRole // the roles as they were written last
}

// known reads what is known. What is damaged is known no more.
func (w Watch) known(ctx context.Context) (table, error) {
	o, err := w.Store.GetUpTo(ctx, naming.LinkedKey, maxTable)
	if errors.Is(err, fault.ErrNotFound) {
		return table{}, nil
	}
	if err != nil {
		return table{}, err
	}
	known, err := model.ParseServiceLinkedRoles(o.Body)
	return table{known, o.ETag, o.Body, err != nil, slices.Clone(known.Roles)}, nil
}

// save writes what is known; fault.ErrConflict says that another look did so.
// That a message sent a wake-up meanwhile is none.
func (w Watch) save(ctx context.Context, t *table) error {
	// A look that used up its time must be able to say what it saw.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	err := w.write(ctx, t)
	if !errors.Is(err, fault.ErrConflict) {
		return err
	}
	is, read := w.known(ctx)
	if read != nil || !sameLook(is.body, t.body) {
		return err
	}
	t.etag = is.etag
	if t.WakeAt.IsZero() {
		t.WakeAt = is.WakeAt
	}
	return w.write(ctx, t)
}

// sameLook reports whether two bodies differ in nothing but when a message brings
// the next look.
func sameLook(a, b []byte) bool {
	x, wrongX := model.ParseServiceLinkedRoles(a)
	y, wrongY := model.ParseServiceLinkedRoles(b)
	x.WakeAt = y.WakeAt
	a, badA := json.Marshal(x)
	b, badB := json.Marshal(y)
	return errors.Join(wrongX, wrongY, badA, badB) == nil && bytes.Equal(a, b)
}

func (w Watch) write(ctx context.Context, t *table) error {
	t.V = 1
	body, err := json.Marshal(t.ServiceLinkedRoles)
	if err != nil {
		return fmt.Errorf("encode service-linked roles: %w", err)
	}
	etag, err := w.put(ctx, naming.LinkedKey, body, t.etag)
	if err != nil {
		return err
	}
	t.etag, t.body = etag, body
	return nil
}

// put writes an object over the one with the ETag, empty when there is none.
func (w Watch) put(ctx context.Context, key string, body []byte, etag string) (string, error) {
	if etag == "" {
		return w.Store.Create(ctx, key, body)
	}
	return w.Store.Replace(ctx, key, body, etag)
}

// later has a message bring a look when the window is over, unless one comes anyway.
func (w Watch) later(ctx context.Context, t table, now time.Time) error {
	if t.WakeAt.After(now) {
		return nil
	}
	// Within the last second, too, one message is enough.
	if err := w.wake(ctx, &t, now, max(t.BegunAt.Add(window).Sub(now), time.Second)); err != nil {
		return err
	}
	if err := w.write(ctx, &t); !errors.Is(err, fault.ErrConflict) {
		return err
	}
	return nil // it comes, whether that is noted or not
}

// wake sends the message that brings a look after a delay.
func (w Watch) wake(ctx context.Context, t *table, now time.Time, delay time.Duration) error {
	m, at, err := event.LookAgain(now, delay)
	if err != nil {
		return err
	}
	if err := w.Queue.Send(ctx, m); err != nil {
		return err
	}
	t.WakeAt = at
	return nil
}

// look reads everything, comes to the verdicts, and does what follows from them.
// What it decides is written before it is done, so that a look that dies is taken
// up by the next.
func (w Watch) look(ctx context.Context, t table) (Result, error) {
	now := w.Now().UTC().Truncate(time.Second)
	before := t.ServiceLinkedRoles
	t.BegunAt = now
	if err := w.save(ctx, &t); err != nil {
		return Result{}, err
	}
	asked, unread, err := w.pending(ctx, t, now)
	if err != nil {
		return Result{}, err
	}
	all := make([]watched, 0, len(desired.AllServiceLinkedRoles()))
	for _, r := range desired.AllServiceLinkedRoles() {
		was, _ := before.Role(r.Name)
		all = append(all, w.observe(ctx, r, was, now))
	}
	s, err := w.surveyInTime(ctx, before, now)
	if err != nil {
		return Result{}, err
	}
	t.Regions, t.Roles = s.regions, nil
	for i := range all {
		all[i].report(ctx, w.Roles)
		if widened(before.Regions, w.Regions) {
			all[i].known.UnneededAt = time.Time{} // nobody watched what is there
		}
		all[i].conclude(s, w.Regions, now)
		all[i].decide(w.IdleDays, now)
		t.Roles = append(t.Roles, all[i].known)
	}
	if err := w.act(ctx, &t, asked, all, now); err != nil {
		return Result{}, overtaken(err)
	}
	if changes := changed(before, t.ServiceLinkedRoles); len(changes) > 0 {
		if err := w.Bus.Send(ctx, changes); err != nil {
			return Result{}, err
		}
	}
	t.LookedAt = now
	if err := w.again(ctx, &t, s.soon, all, w.Now()); err != nil {
		return Result{}, err
	}
	if err := w.save(ctx, &t); err != nil {
		return Result{}, overtaken(err)
	}
	return Result{Looked: true, Table: t.ServiceLinkedRoles, Damaged: t.damaged, Unread: unread}, nil
}

// widened reports whether Regions are looked at that were not looked at before.
func widened(before []model.LinkedRegion, now []string) bool {
	return slices.ContainsFunc(now, func(name string) bool {
		return !slices.ContainsFunc(before, func(r model.LinkedRegion) bool { return r.Name == name })
	})
}

// surveyInTime is survey, with time left to tell of what there was none for.
func (w Watch) surveyInTime(ctx context.Context, before model.ServiceLinkedRoles, now time.Time) (seen, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-reportTime))
		defer cancel()
	}
	return w.survey(ctx, before, now)
}

// again has a message bring the next look when something is under way.
func (w Watch) again(ctx context.Context, t *table, soon bool, all []watched, now time.Time) error {
	delay := time.Duration(0)
	sooner := func(d time.Duration) {
		if d = min(max(d, soonest), window); delay == 0 || d < delay {
			delay = d
		}
	}
	for _, one := range all {
		// One of a role that cannot be read is decided anew once it can.
		if d := one.known.Deletion; d != nil && (d.State == model.DeletionAsked && one.unseen == "" || d.State == model.DeletionRunning) {
			sooner(now.Sub(d.At)) // doubles what has passed
		}
		if j := one.known.Job; j != nil {
			sooner(now.Sub(j.At))
		}
		soon = soon || one.soon
	}
	if soon {
		sooner(window)
	}
	if delay == 0 || t.WakeAt.After(now) && !t.WakeAt.After(now.Add(delay)) {
		return nil
	}
	return w.wake(ctx, t, now, delay)
}

// changed gives the events of the roles with which it stands otherwise than before.
func changed(before, after model.ServiceLinkedRoles) []event.Outgoing {
	var events []event.Outgoing
	for _, r := range after.Roles {
		was, known := before.Role(r.Name)
		if known && was.Verdict == r.Verdict {
			continue
		}
		// The same when a look that died before it wrote this is taken again.
		sum := sha256.Sum256([]byte(strings.Join([]string{r.Name, string(was.Verdict), string(r.Verdict), before.LookedAt.UTC().Format(time.RFC3339)}, "\x00")))
		events = append(events, event.ServiceLinkedRoleChanged{
			ID: hex.EncodeToString(sum[:16]), Role: r.Name, Service: r.Service, From: was.Verdict, To: r.Verdict, Reasons: r.Reasons, Fix: r.Fix,
		})
	}
	return events
}

// watched is one role on its way through a look.
type watched struct {
	evidence
	known model.ServiceLinkedRole
	goes  bool // see judgement
	asked bool // how far its deletion is: one call less is left for the rest
	soon  bool // what could not be read may be readable soon
}

// observe reads what IAM has of a role, and has it make a report on its uses.
func (w Watch) observe(ctx context.Context, role desired.ServiceLinkedRole, was model.ServiceLinkedRole, now time.Time) watched {
	one := watched{known: was}
	one.role, one.known.Name, one.known.Service = role, role.Name, role.Service
	one.follow(ctx, w.Roles, now)
	o, err := w.Roles.Observe(ctx, role.Name)
	switch {
	case errors.Is(err, fault.ErrNotFound):
	case err != nil:
		one.unseen, one.soon = clip(err.Error()), fault.Of(err) == fault.Retry
		return one
	case o.Path != role.Path():
		one.foreign = o.Path
	case one.ended(model.DeletionSucceeded) && one.known.Deletion.RoleID == o.ID && now.Sub(one.known.Deletion.EndedAt) < lag:
		// IAM shows for a moment still what is gone.
	default:
		one.observed = &o
	}
	one.settleDeletion(now)
	if one.observed == nil {
		one.known.Job, one.known.Accessed, one.known.Policy = nil, nil, nil
		return one
	}
	if one.observed.ID != was.ID { // another role of the name: what was known is of the one before
		one.known.Job, one.known.Accessed, one.known.NeededAt, one.known.UnneededAt = nil, nil, time.Time{}, time.Time{}
	}
	one.policy(ctx, w.Roles, role.PolicyARN(w.Place.Partition), now)
	if one.known.Job == nil && !one.asked && (one.known.Accessed == nil || now.Sub(one.known.Accessed.At) >= late) {
		one.ask(ctx, w.Roles, now)
	}
	return one
}

func (o *watched) ended(s model.LinkedDeletionState) bool {
	return o.known.Deletion != nil && o.known.Deletion.State == s
}

func (o *watched) deleting() bool { return o.ended(model.DeletionRunning) }

// ask has IAM make a report on the last accesses of the role.
func (o *watched) ask(ctx context.Context, roles Roles, now time.Time) {
	id, err := roles.AskAccess(ctx, o.observed.ARN)
	switch {
	case fault.Of(err) == fault.Retry:
		o.soon = true
	case err != nil:
		o.unreported(err, now)
	default:
		o.known.Job = &model.LinkedJob{ID: id, At: now}
	}
}

// report takes the report that IAM was asked for, if it is there.
func (o *watched) report(ctx context.Context, roles Roles) {
	j := o.known.Job
	if o.observed == nil || j == nil {
		return
	}
	access, done, err := roles.Access(ctx, j.ID)
	switch {
	case fault.Of(err) == fault.Retry: // the next look asks for it
	case err != nil:
		o.unreported(err, j.At)
	case done:
		access.At, access.Failed = j.At, clip(access.Failed)
		o.known.Job, o.known.Accessed = nil, &access
	}
}

// unreported notes that there is no report; the next one is asked for when this
// one would be too old.
func (o *watched) unreported(err error, at time.Time) {
	o.known.Job, o.known.Accessed = nil, &model.LinkedAccess{At: at, Failed: clip(err.Error())}
}

// policy compares the role's managed policy with what it was: AWS alone changes it.
func (o *watched) policy(ctx context.Context, roles Roles, arn string, now time.Time) {
	was := model.LinkedPolicy{ARN: arn}
	if o.known.Policy != nil && o.known.Policy.ARN == arn {
		was = *o.known.Policy
	}
	is := was
	is.Unread = ""
	o.known.Policy = &is
	version, updated, err := roles.Policy(ctx, arn)
	if err == nil && version != was.Version {
		is.Version, is.Updated = version, updated
		if is.Document, err = roles.PolicyDocument(ctx, arn, version); err == nil && was.Version != "" {
			is.Changed, is.Before, is.Was = now, was.Version, was.Document
		}
	}
	if err != nil {
		was.Unread = clip(err.Error())
		*o.known.Policy = was
	}
}

// conclude puts together what was seen.
func (o *watched) conclude(s seen, regions []string, now time.Time) {
	k := &o.known
	o.uses, o.asks, o.regions, o.accessed = s.uses[o.role.Name], s.asks[o.role.Name], regions, k.Accessed
	for _, kind := range kindsOf(o.role.Name) {
		o.unread = append(o.unread, s.unread[kind]...)
	}
	if o.role == desired.Network() {
		o.interfaces = s.interfaces
		for _, r := range s.regions {
			if r.Interfaces > 0 && !r.VPCGone.IsZero() {
				o.lingerUntil = latest(o.lingerUntil, r.VPCGone.Add(lingers))
			}
		}
	}
	o.remember(now)
	o.neededAt, o.unneededAt = k.NeededAt, k.UnneededAt
	k.LingerUntil = time.Time{}
	if len(o.interfaces) > 0 {
		k.LingerUntil = o.lingerUntil
	}
	all := slices.Concat(o.uses, o.asks, o.interfaces)
	k.Needs = all[:min(len(all), model.MaxLinkedNeeds)]
	k.Unread = o.unread[:min(len(o.unread), model.MaxLinkedNeeds)]
	k.MoreNeeds = len(all) - len(k.Needs)
}

// decide comes to the verdict.
func (o *watched) decide(idleDays int, now time.Time) {
	k := &o.known
	o.deletion = k.Deletion
	j := judge(o.evidence, idleDays, now)
	o.goes = j.goes
	if k.Verdict != j.verdict {
		k.Verdict, k.Since = j.verdict, now
	}
	k.Reasons, k.Fix, k.IdleSince = j.reasons, j.fix, j.idleSince
}

// remember notes what the next looks must know of this one.
func (o *watched) remember(now time.Time) {
	k := &o.known
	switch {
	case len(o.uses)+len(o.asks)+len(o.interfaces) > 0:
		k.NeededAt, k.UnneededAt = now, time.Time{}
	case len(o.unread) == 0 && o.unseen == "":
		if k.UnneededAt.IsZero() || now.Sub(k.WholeAt) > blind {
			k.UnneededAt = now
		}
		k.WholeAt = now
	}
	if o.unseen != "" {
		return
	}
	k.ARN, k.ID, k.Created, k.LastUsed, k.LastUsedRegion = "", "", time.Time{}, time.Time{}, ""
	if o.observed != nil {
		k.ARN, k.ID, k.Created = o.observed.ARN, o.observed.ID, o.observed.Created
		k.LastUsed, k.LastUsedRegion = o.lastUse()
	}
}

// clip keeps a text of others within what is useful to read.
func clip(text string) string {
	kept := []rune(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7F {
			return ' '
		}
		return c
	}, text))
	if len(kept) > maxText {
		return string(kept[:maxText]) + "…"
	}
	return string(kept)
}
