// Package reconcile makes the account hold what a config asks for, and answers
// the config. It is the only writer of roles, claims, statuses and archives.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// Store is what is needed of the config bucket. Get answers fault.ErrNotFound
// for absence only; the writes answer fault.ErrConflict when somebody else
// wrote first.
type Store interface {
	Get(ctx context.Context, key string) (model.Object, error)
	Create(ctx context.Context, key string, body []byte) (etag string, err error)
	Replace(ctx context.Context, key string, body []byte, etag string) (newETag string, err error)
	Delete(ctx context.Context, key, etag string) error
}

// Roles is what is needed of IAM's roles. Read and Head answer
// fault.ErrNotFound for absence only, Create fault.ErrExists for a taken name.
type Roles interface {
	Head(ctx context.Context, name string) (model.ObservedRole, error)
	Read(ctx context.Context, name string) (model.ObservedRole, error)
	Create(ctx context.Context, r model.Role, nonce string) (id string, err error)
	PutBoundary(ctx context.Context, r model.Role) error
	Tag(ctx context.Context, r model.Role) error
	UpdateTrust(ctx context.Context, r model.Role) error
	PutPolicy(ctx context.Context, role, name string, document policy.Document) error
	DeletePolicy(ctx context.Context, role, name string) error
	UpdateSettings(ctx context.Context, r model.Role) error
}

// ServiceLinkedRoles is what is needed of service-linked roles.
type ServiceLinkedRoles interface {
	Present(ctx context.Context, name string) (bool, error)
	Create(ctx context.Context, name, service string) error
}

// Queue is what is needed of the inbox queue, for wake-ups.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
}

// Bus is what is needed of the event bus.
type Bus interface {
	Send(ctx context.Context, events []event.Outgoing) error
}

// Reconciler is the pipeline of functions/reconcile.
type Reconciler struct {
	Env                      desired.Env // ConfigKey is set for each config
	SettingsHash             string
	EnsureServiceLinkedRoles bool

	Store              Store
	Roles              Roles
	ServiceLinkedRoles ServiceLinkedRoles
	Inbox              Queue
	Bus                Bus

	Now    func() time.Time
	Random func() string // 128 random bits, as text that an IAM tag may hold
}

// Result says what a run did, for the log.
type Result struct {
	Key       string
	VersionID string
	Outcome   status.Outcome
	Steps     []plan.Step
	Problems  int
	Written   bool // the status changed
}

// patience is how often a message is received before its config is answered
// with what keeps it: when the batch gives up on errors that time does not mend
// (sqsbatch.MaxReceives), and well before the queue itself does.
const patience = 5

// Handle looks at the config that a work message names. What time will mend is
// retried through the queue; when that takes long the config is answered with
// outcome waiting and a wake-up, and the message is done.
func (r *Reconciler) Handle(ctx context.Context, body string, receives int) (Result, error) {
	work, err := event.DecodeWork(body)
	if err != nil {
		return Result{}, err
	}
	result, err := r.Reconcile(ctx, work.Key)
	if err == nil || receives < patience {
		return result, err
	}
	// The run may have used up the time there was; the answer needs some of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if errors.Is(err, fault.ErrExists) {
		// IAM shows a new role within seconds. One that is still not to be seen under
		// its name is spelt with other capitals, which for IAM is the same name.
		err = fault.Errorf(fault.Unknown, "a role that cannot be read has the name: %w", err)
	}
	if fault.Of(err) == fault.Retry {
		return r.wait(ctx, work.Key, result.VersionID, err)
	}
	return result, errors.Join(err, r.fail(ctx, work.Key, result.VersionID, err))
}

const answerTime = 2 * time.Second

// Reconcile makes the account hold what the config of the key asks for, and
// answers it. An error leaves the answer as it was, but for drift that was noted
// before its repair: the run is to be repeated.
func (r *Reconciler) Reconcile(ctx context.Context, key string) (Result, error) {
	run := r.begin(key)
	result, err := run.reconcile(ctx)
	if err != nil {
		return Result{Key: key, VersionID: run.object.VersionID}, fmt.Errorf("reconcile %s: %w", key, err)
	}
	return result, nil
}

// begin makes a run that knows nothing yet.
func (r *Reconciler) begin(key string) *run {
	run := &run{Reconciler: r, key: key, now: r.Now().UTC(), env: r.Env, claims: map[string]held{}, unusable: map[string]bool{}}
	run.env.ConfigKey = key
	return run
}

// run is one look at one config.
type run struct {
	*Reconciler
	key string
	now time.Time
	env desired.Env

	stored     status.Status // the answer so far; of no outcome when there is none
	storedETag string        // empty when there is no object
	index      model.ClaimIndex
	indexETag  string
	claims     map[string]held // by key, held by this config

	object   model.Object // the config
	cfg      agent.Config
	unusable map[string]bool // by ARN: external roles that an agent cannot run with
}

// held is a claim of this config with the ETag it was last seen with.
type held struct {
	model.Claim
	etag string
}

func (r *run) reconcile(ctx context.Context) (Result, error) {
	if err := r.remember(ctx); err != nil {
		return Result{}, err
	}
	var err error
	r.object, err = r.Store.Get(ctx, r.key)
	if errors.Is(err, fault.ErrNotFound) {
		return r.orphan(ctx)
	}
	if err != nil {
		return Result{}, err
	}
	cfg, problems := agent.Examine(r.object.Body, r.env.Place)
	r.cfg = cfg
	want, more := desired.Compute(cfg, r.env) // also of a faulty file: what is wrong is told all at once
	if problems = append(problems, more...); fault.Blocks(problems) {
		return r.refuse(ctx, problems)
	}
	more, err = r.foreign(ctx, want)
	if err != nil {
		return Result{}, err
	}
	if problems = append(problems, more...); fault.Blocks(problems) {
		return r.refuse(ctx, problems)
	}
	need := r.needed()
	more, err = r.takeAll(ctx, need)
	if err != nil {
		return Result{}, err
	}
	if problems = append(problems, more...); fault.Blocks(problems) {
		return r.refuse(ctx, problems)
	}
	warnings, err := r.external(ctx, want)
	if err != nil {
		return Result{}, err
	}
	p, err := r.plan(ctx, want)
	if err != nil {
		return Result{}, err
	}
	if err := r.note(ctx, p); err != nil {
		return Result{}, err
	}
	if err := r.apply(ctx, p); err != nil {
		return Result{}, err
	}
	if err := r.releaseUnused(ctx, need); err != nil {
		return Result{}, err
	}
	return r.settle(ctx, want, p, append(problems, warnings...))
}

// remember reads the status and the index of claims, and finds the agents that
// the index leads to and the status does not know: its loss, or a run that died
// before it could answer, must not make us forget a role.
func (r *run) remember(ctx context.Context) error {
	if err := r.readStatus(ctx); err != nil {
		return err
	}
	if err := r.readIndex(ctx); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, a := range r.stored.Agents {
		known[naming.RoleClaimKey(a.Name)] = true
	}
	for _, key := range r.index.Claims {
		if known[key] || !strings.HasPrefix(key, naming.RoleClaimPrefix) {
			continue
		}
		c, err := r.readClaim(ctx, key)
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if c.Config == r.key {
			r.know(c.Claim)
		}
	}
	return nil
}

func (r *run) readStatus(ctx context.Context) error {
	r.stored = status.Status{V: status.Version, Config: status.Config{Key: r.key}}
	object, err := r.Store.Get(ctx, naming.StatusKey(r.key))
	if errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.storedETag = object.ETag
	s, err := status.Parse(object.Body)
	if errors.Is(err, status.ErrNewer) {
		return err // written by a later version of this function, and more than we can keep
	}
	if err == nil && s.Config.Key == r.key {
		r.stored = s
	}
	return nil
}

// foreign finds roles that the config names and another config made: they are
// not to be shared behind its owner's back.
func (r *run) foreign(ctx context.Context, want desired.State) ([]fault.Problem, error) {
	var problems []fault.Problem
	for _, e := range want.External() {
		if e.Role.Hash == "" {
			continue
		}
		c, err := r.readClaim(ctx, naming.RoleClaimKeyOf(e.Role.Hash))
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p := r.agent(e.Agent).Problem("role-of-other-config", e.Role.Field,
			fmt.Sprintf("role %s belongs to agent %q of %s", e.Role.Name, c.Agent, c.Config),
			"leave the field empty to get a role of this agent's own, or put both agents into one config")
		if c.Config == r.key {
			p = r.agent(e.Agent).Problem("role-of-removed-agent", e.Role.Field,
				fmt.Sprintf("role %s was made for agent %q, which this config no longer has: nobody keeps it up", e.Role.Name, c.Agent),
				"leave the field empty to get a role of this agent's own, or put that agent back")
			p.Severity = fault.SeverityWarning
		}
		problems = append(problems, p)
	}
	return problems, nil
}

// external checks the roles that the config names: that they are there and that
// AgentCore or CodeBuild may assume them for this account. Those that cannot be
// used are noted.
func (r *run) external(ctx context.Context, want desired.State) ([]fault.Problem, error) {
	var problems []fault.Problem
	for _, e := range want.External() {
		warn := func(code, message, fix string) {
			p := r.agent(e.Agent).Problem(code, e.Role.Field, message, fix)
			p.Severity = fault.SeverityWarning
			problems = append(problems, p)
			r.unusable[e.Role.ARN] = true
		}
		o, err := r.Roles.Head(ctx, e.Role.Name)
		switch {
		case errors.Is(err, fault.ErrNotFound):
			warn("external-role-missing", fmt.Sprintf("role %s does not exist", e.Role.ARN),
				"make the role, or leave the field empty to get one from Rolekeeper")
		case err != nil:
			return nil, err
		case o.ARN != e.Role.ARN:
			warn("external-role-path", fmt.Sprintf("the role of that name is %s, not %s", o.ARN, e.Role.ARN), "name the role with its path")
		case !policy.Trusts(o.Trust, e.Role.Service, r.env.Account):
			warn("external-role-trust", fmt.Sprintf("role %s does not let %s assume it for account %s", e.Role.Name, e.Role.Service, r.env.Account),
				"let the service assume the role, with aws:SourceAccount "+r.env.Account)
		}
	}
	return problems, nil
}

// agent gives the agent of the config.
func (r *run) agent(name string) agent.Agent {
	for _, a := range r.cfg.Agents {
		if a.Name == name {
			return a
		}
	}
	return agent.Agent{Name: name}
}

// plan observes the roles and compares.
func (r *run) plan(ctx context.Context, want desired.State) (plan.Plan, error) {
	var linked []plan.ServiceLinkedRole
	if r.EnsureServiceLinkedRoles {
		for _, l := range want.ServiceLinkedRoles {
			present, err := r.ServiceLinkedRoles.Present(ctx, l.Name)
			if err != nil {
				return plan.Plan{}, err
			}
			linked = append(linked, plan.ServiceLinkedRole{Name: l.Name, Service: l.Service, Present: present})
		}
	}
	var roles []plan.Role
	for _, a := range want.Agents {
		for _, d := range a.Roles() {
			observed, err := r.observe(ctx, d.Name)
			if err != nil {
				return plan.Plan{}, err
			}
			known, _ := r.stored.Agent(a.Name)
			roles = append(roles, plan.Role{
				Desired: d, Observed: observed, Claim: r.claims[naming.RoleClaimKey(a.Name)].Claim, Applied: known.Applied,
			})
		}
	}
	return plan.Compute(roles, linked), nil
}

func (r *run) observe(ctx context.Context, name string) (*model.ObservedRole, error) {
	o, err := r.Roles.Read(ctx, name)
	if errors.Is(err, fault.ErrNotFound) {
		return nil, nil //nolint:nilnil // absence is an observation, and the plan's word for it is nil
	}
	if err != nil {
		return nil, err
	}
	return &o, nil
}
