// Package drift is the scheduled pass over the whole account: it compares every
// config with what there is, tells what differs, and has reconcile look at the
// configs that differ, or that are due.
package drift

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/report"
	"rolekeeper/shared/report/page"
)

// Objects is what is read of the config bucket. Entries gives everything under a
// prefix or an error; Get and GetUpTo, which reads at most so many bytes, answer
// fault.ErrNotFound for absence only.
type Objects interface {
	Entries(ctx context.Context, prefix string) ([]model.Entry, error)
	Get(ctx context.Context, key string) (model.Object, error)
	GetUpTo(ctx context.Context, key string, most int64) (model.Object, error)
}

// Account is what is read of IAM in bulk.
type Account interface {
	Read(ctx context.Context) (model.Account, error)
}

// Policies is what is read of the policy that is every role's boundary. Both answer
// fault.ErrNotFound for absence only.
type Policies interface {
	BoundaryVersion(ctx context.Context, arn string) (version string, updated time.Time, err error) // the default one
	ManagedVersion(ctx context.Context, arn, version string) (document string, err error)
}

// Projects is what is read of CodeBuild: those of the projects that exist, by name.
type Projects interface {
	Read(ctx context.Context, names []string) (map[string]model.ObservedProject, error)
}

// Runtimes is what is read of AgentCore: all runtimes there are, or an error.
type Runtimes interface {
	Runtimes(ctx context.Context) ([]model.RuntimeSummary, error)
}

// Queue is what is needed of the work queue.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
}

// Reports is where reports are put.
type Reports interface {
	Put(ctx context.Context, key, contentType string, body []byte) error
}

// Pass is the pipeline of functions/drift, and of `rolekeeper drift`. It writes
// nothing but messages and reports.
type Pass struct {
	reconcile.Settings
	SettingsHash string
	MaxChanges   model.Portion // roles and projects that may be put right at once, of all
	Operators    bool          // there are principals who may write requests

	Objects  Objects
	Account  Account
	Policies Policies
	Projects Projects
	Runtimes Runtimes
	Now      func() time.Time

	Work    Queue   // of Run
	Reports Reports // of Run
}

// Check compares the whole account and writes nothing. The report of a check that
// failed says why, and shows what the last pass found.
func (p Pass) Check(ctx context.Context, id string) (report.Pass, error) {
	l, err := p.look(ctx, id)
	return l.Pass, err
}

// looked is what a look at everything gives.
type looked struct {
	report.Pass
	found  []finding
	before memory
}

// Run takes the pass with the id. It enqueues each config that differs or is due
// once, in the order of their keys; a pass that is repeated with its id within
// five minutes enqueues none again. When anything cannot be listed, nothing is
// enqueued: what is not listed would be taken for gone. A config that cannot be
// judged is left to the next pass, and the error tells of one.
func (p Pass) Run(ctx context.Context, id string) (report.Pass, error) {
	l, err := p.look(ctx, id)
	r, found := l.Pass, l.found
	if r.Failed == "" && r.Stopped == nil {
		sent, sending := p.enqueue(ctx, id, r.At, found)
		r.Totals.Enqueued = sent
		err = errors.Join(err, sending)
	}
	if err != nil {
		r.Failed = cmp.Or(r.Failed, report.Clip(err.Error()))
	}
	r.Seconds = p.Now().Sub(r.At).Seconds()
	if err = errors.Join(err, p.write(ctx, r, l.before)); err != nil {
		r.Failed = cmp.Or(r.Failed, report.Clip(err.Error()))
		return r, fmt.Errorf("pass %s: %w", id, err)
	}
	return r, nil
}

// look reads everything, compares, and pulls the brake. With an error the report
// is not whole, but what was found by then is in it when nothing could be listed
// wrongly.
func (p Pass) look(ctx context.Context, id string) (looked, error) {
	r := report.Pass{
		V: report.PassVersion, ID: id, At: p.Now().UTC().Truncate(time.Millisecond), Account: p.Env.Account, Region: p.Env.Region, Mode: string(p.mode()),
		Findings: []report.Finding{}, Leaving: []report.Leaving{}, Orphans: []report.Orphan{}, History: []report.Point{},
		Linked: p.linked(ctx),
	}
	before, err := p.before(ctx)
	if err != nil {
		return looked{failed(r, before, err), nil, before}, err
	}
	r.History = before.history()
	f, err := p.fleet(ctx)
	if err != nil {
		return looked{failed(r, before, err), nil, before}, err
	}
	found, unread := f.findAll(ctx, p, r.At)
	unread = errors.Join(unread, p.recheck(ctx, f, found, r.At))
	r.Totals = f.totals(found)
	boundary, version, err := p.boundary(ctx, before, r.At.Truncate(time.Second))
	if err != nil {
		return looked{failed(r, before, err), nil, before}, err
	}
	r.BoundaryVersion, r.Totals.IAMCalls = version, f.account.Calls+boundary.calls
	allowed := p.MaxChanges.Of(r.Totals.Roles)
	if r.Stopped, r.Released, err = p.brake(ctx, found, before, allowed, r.At); err != nil {
		return looked{failed(r, before, err), nil, before}, err
	}
	portion(found, id, allowed)
	for _, one := range found {
		r.Findings = append(r.Findings, one.told(r.Stopped != nil)...)
		r.Leaving = append(r.Leaving, one.leaving...)
	}
	r.Findings = append(r.Findings, boundary.findings...)
	r.Orphans, err = p.orphans(ctx, f, found, r.At)
	unread = errors.Join(unread, err)
	before.compare(&r)
	r.Totals.Drifted, r.Totals.Orphans = drifted(r.Findings), len(r.Orphans)
	bound(&r)
	r.Seconds = p.Now().Sub(r.At).Seconds()
	return looked{r, found, before}, unread
}

func (p Pass) mode() plan.DriftMode {
	if p.Drift == plan.ReportDrift {
		return plan.ReportDrift
	}
	return plan.RepairDrift
}

// failed gives the report of a pass that could not be taken: what the one before
// found is still the newest that is known.
func failed(r report.Pass, before memory, why error) report.Pass {
	r.Failed = report.Clip(why.Error())
	r.History = before.history()
	r.FoundAt = before.last.At
	if !before.last.FoundAt.IsZero() {
		r.FoundAt = before.last.FoundAt
	}
	r.Totals, r.Findings, r.Leaving, r.Orphans, r.Omitted = before.last.Totals, before.last.Findings, before.last.Leaving, before.last.Orphans, before.last.Omitted
	r.Totals.Enqueued, r.Totals.IAMCalls, r.BoundaryVersion = 0, 0, before.last.BoundaryVersion
	r.Stopped, r.Released = before.last.Stopped, before.last.Released // an operator can still let it go
	return r
}

// enqueue sends the messages. It ends with the first that cannot be sent: all
// that differs in them is bounded, so the others could not be either.
func (p Pass) enqueue(ctx context.Context, id string, now time.Time, found []finding) (sent int, err error) {
	for _, f := range found {
		hints := f.hints(id, now)
		if len(hints) == 0 {
			continue
		}
		m, err := event.Work{V: 1, Key: f.key, Hints: hints}.Message(id)
		if err == nil {
			err = p.Work.Send(ctx, m)
		}
		if err != nil {
			return sent, fmt.Errorf("%s and those after it are not enqueued: %w", f.key, err)
		}
		sent++
	}
	return sent, nil
}

// write puts the report into the bucket: for the record, for people, and for the
// next pass. The latest stays when it could not be read, since all that it knows
// would be lost, and when another pass has begun since and is done already.
func (p Pass) write(ctx context.Context, r report.Pass, before memory) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	text, err := page.Of(r)
	if err != nil {
		return fmt.Errorf("make the report's page: %w", err)
	}
	// A run that used up its time must be able to say so.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	err = p.Reports.Put(ctx, naming.DriftReportKey(r.At), "application/json", data)
	if before.unknown {
		return err
	}
	if latest, unknown := p.before(ctx); unknown != nil || latest.last.At.After(r.At) {
		return errors.Join(err, unknown)
	}
	return errors.Join(
		err,
		p.Reports.Put(ctx, naming.LatestPassKey, "application/json", data),
		p.Reports.Put(ctx, naming.LatestReportKey, "text/html; charset=utf-8", text),
	)
}

const writeTime = 10 * time.Second

// boundary is what was seen of the boundary's policy.
type boundary struct {
	findings []report.Finding
	calls    int
}

// ownBoundary gives what the boundary's policy should say; a document without
// statements when that is not the stack's own policy.
func (p Pass) ownBoundary() policy.Document {
	e := p.Env
	if e.PermissionsBoundary != fmt.Sprintf("arn:%s:iam::%s:policy/%s", e.Partition, e.Account, naming.Boundary(e.Region)) {
		return policy.Document{}
	}
	return desired.Boundary(e.Place, e.SourceBucket)
}

// boundaryNews is for how long a change of a boundary is told that is not the stack's
// own policy.
const boundaryNews = 7 * 24 * time.Hour

// boundary judges the policy that is the boundary of all roles. Its document is
// read when its version is not the one of the last pass, or when that told of it.
func (p Pass) boundary(ctx context.Context, before memory, now time.Time) (b boundary, version string, err error) {
	arn, own := p.Env.PermissionsBoundary, p.ownBoundary()
	tell := func(message, observed string) {
		b.findings = []report.Finding{{
			Role: arn, Kind: report.KindBoundary, Action: report.ActionTold, Since: now, Observed: observed, Message: message,
			Fix: "have the platform team find out who changed it (CloudTrail: CreatePolicyVersion, SetDefaultPolicyVersion, DeletePolicy) and deploy the stack again",
		}}
		if len(own.Statements) > 0 {
			b.findings[0].Desired = own.JSON()
		}
	}
	b.calls = 1
	version, updated, err := p.Policies.BoundaryVersion(ctx, arn)
	if errors.Is(err, fault.ErrNotFound) {
		tell("the policy that limits all roles does not exist; nothing can be made or changed without it", "")
		return b, "", nil
	}
	switch {
	case err != nil:
		return b, "", err
	case len(own.Statements) == 0:
		if version != "v1" && now.Sub(updated) < boundaryNews {
			tell(fmt.Sprintf("the policy that limits all roles was changed at %s; version %s is in force. Rolekeeper does not know what it should say", updated.UTC().Format(time.RFC3339), version), "")
			b.findings[0].Fix = "nothing, if the platform team did it; else find out who did (CloudTrail: CreatePolicyVersion, SetDefaultPolicyVersion)"
		}
		return b, version, nil
	case version == before.last.BoundaryVersion:
		return b, version, nil
	}
	b.calls = 2
	document, err := p.Policies.ManagedVersion(ctx, arn, version)
	if err != nil {
		return b, "", err
	}
	if own.Same(document) {
		return b, version, nil
	}
	tell("the policy that limits all roles does not say what the stack made it say: it may let more through than any role is to have, or less than agents need", document)
	return b, "", nil
}
