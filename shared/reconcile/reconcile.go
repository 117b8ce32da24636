// Package reconcile makes the account hold what a config asks for, and answers
// the config. It is the only writer of roles, claims, statuses and archives.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// Objects is what is read of the config bucket. Get answers fault.ErrNotFound
// for absence only; List gives keys in their order.
type Objects interface {
	Get(ctx context.Context, key string) (model.Object, error)
	List(ctx context.Context, prefix string) ([]string, error)
}

// Store is what is needed of the config bucket. The writes answer
// fault.ErrConflict when somebody else wrote first.
type Store interface {
	Objects
	Create(ctx context.Context, key string, body []byte) (etag string, err error)
	Replace(ctx context.Context, key string, body []byte, etag string) (newETag string, err error)
	Delete(ctx context.Context, key, etag string) error
}

// RoleReader is what is read of IAM's roles. Head and Read answer
// fault.ErrNotFound for absence only.
type RoleReader interface {
	Head(ctx context.Context, name string) (model.ObservedRole, error)
	Read(ctx context.Context, name string) (model.ObservedRole, error)
	Managed(ctx context.Context, policyARN string) (document string, err error)
}

// Roles is what is needed of IAM's roles. Create answers fault.ErrExists for a
// taken name, Delete fault.ErrConflict for a role that something is left on. What
// is to be taken away and is not there is no error.
type Roles interface {
	RoleReader
	InstanceProfiles(ctx context.Context, role string) (names []string, err error) // of EC2, that the role is in
	Create(ctx context.Context, r model.Role, nonce string) (id string, err error)
	PutBoundary(ctx context.Context, r model.Role) error
	Tag(ctx context.Context, r model.Role) error
	UpdateTrust(ctx context.Context, r model.Role) error
	PutPolicy(ctx context.Context, role, name string, document policy.Document) error
	DeletePolicy(ctx context.Context, role, name string) error
	UpdateSettings(ctx context.Context, r model.Role) error
	AttachPolicy(ctx context.Context, role, policyARN string) error
	DetachPolicy(ctx context.Context, role, policyARN string) error
	Untag(ctx context.Context, role string, keys []string) error
	LeaveInstanceProfile(ctx context.Context, role, profile string) error
	Delete(ctx context.Context, role string) error
}

// ServiceLinkedRoleReader is what is read of service-linked roles.
type ServiceLinkedRoleReader interface {
	Present(ctx context.Context, name string) (bool, error)
}

// ServiceLinkedRoles is what is needed of service-linked roles.
type ServiceLinkedRoles interface {
	ServiceLinkedRoleReader
	Create(ctx context.Context, name, service string) error
}

// SourceReader is what is read of the source bucket.
type SourceReader interface {
	// Source gives the newest version of an object. Of one that was deleted or has
	// expired it gives the version that is known, if that is still there; known may
	// be empty. It answers fault.ErrNotFound for absence only.
	Source(ctx context.Context, key, known string) (model.Source, error)
	// Notifies reports whether the bucket sends events to EventBridge.
	Notifies(ctx context.Context) (bool, error)
}

// RepositoryReader is what is read of ECR's repositories. Head leaves out tags.
// All answer fault.ErrNotFound for absence only.
type RepositoryReader interface {
	Head(ctx context.Context, name string) (model.ObservedRepository, error)
	Read(ctx context.Context, name string) (model.ObservedRepository, error)
	Digest(ctx context.Context, name, tag string) (digest string, err error) // of an image: sha256:…
}

// Repositories is what is needed of ECR's repositories. Create answers
// fault.ErrExists for a taken name.
type Repositories interface {
	RepositoryReader
	Create(ctx context.Context, r model.Repository, nonce string) (created time.Time, err error)
	ScanOnPush(ctx context.Context, r model.Repository) error
	Tag(ctx context.Context, r model.Repository) error
	Delete(ctx context.Context, name string) error // with its images
}

// ProjectReader is what is read of CodeBuild's projects and builds.
type ProjectReader interface {
	Read(ctx context.Context, names []string) (map[string]model.ObservedProject, error) // those that exist, by name
	Builds(ctx context.Context, project string) ([]model.Build, error)                  // the newest 100, newest first
	Refresh(ctx context.Context, ids []string) ([]model.Build, error)                   // those that exist, in any order
}

// Projects is what is needed of CodeBuild. Create answers fault.ErrExists for a
// taken name, Start fault.ErrLimit when there is no room for another build.
type Projects interface {
	ProjectReader
	BuildUsers
	Create(ctx context.Context, p model.Project, nonce string) (created time.Time, err error)
	Update(ctx context.Context, p model.Project) error
	Start(ctx context.Context, o model.BuildOrder) (model.Build, error)
	Delete(ctx context.Context, name string) error
}

// LogGroups is what is needed of CloudWatch Logs. A log group that exists
// already is not an error of Create.
type LogGroups interface {
	Create(ctx context.Context, name string, tags map[string]string) error
	Retain(ctx context.Context, name string, days int32) error
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
	Settings
	SettingsHash string
	Operators    bool // there are principals who may write requests

	Grace              time.Duration // from when an agent is not needed any more to the deletion of its roles
	MaxDeletesPerHour  int           // roles of all configs together
	DeleteRepositories bool          // the ECR repositories of agents that go, go, too

	Store              Store
	Roles              Roles
	ServiceLinkedRoles ServiceLinkedRoles
	Sources            SourceReader
	Repositories       Repositories
	Projects           Projects
	LogGroups          LogGroups
	Users              Users
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
	Repaired  int      // elements that others had changed and that were put right
	Written   bool     // the status changed
	Braked    []string // agents that are to go and are held back, since too many went within the hour
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
	result, err := r.Reconcile(ctx, work.Key, work.Hints...)
	if err == nil {
		return result, nil
	}
	return r.failed(ctx, work, result, receives, err)
}

// Fail handles a work message whose config cannot even be looked at, as Handle
// does when a look fails.
func (r *Reconciler) Fail(ctx context.Context, body string, receives int, cause error) (Result, error) {
	work, err := event.DecodeWork(body)
	if err != nil {
		return Result{}, err
	}
	return r.failed(ctx, work, Result{Key: work.Key}, receives, fmt.Errorf("reconcile %s: %w", work.Key, cause))
}

// failed says what becomes of the message of a look that failed.
func (r *Reconciler) failed(ctx context.Context, work event.Work, result Result, receives int, err error) (Result, error) {
	if receives < patience {
		return result, err
	}
	// The run may have used up the time there was; the answer needs some of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if errors.Is(err, fault.ErrExists) {
		// AWS shows what is new within seconds. A role that is still not to be seen
		// under its name is spelt with other capitals, which for IAM is the same name.
		err = fault.Errorf(fault.Unknown, "what cannot be read has the name: %w", err)
	}
	if fault.Of(err) == fault.Retry {
		return r.wait(ctx, work, result.VersionID, err)
	}
	return result, errors.Join(err, r.fail(ctx, work, result.VersionID, err))
}

const answerTime = 2 * time.Second

// Reconcile makes the account hold what the config of the key asks for, and
// answers it. An error leaves the answer as it was, but for drift that was noted
// before its repair: the run is to be repeated.
func (r *Reconciler) Reconcile(ctx context.Context, key string, hints ...event.Hint) (Result, error) {
	run := r.begin(key, hints)
	result, err := run.reconcile(ctx)
	if err != nil {
		return Result{Key: key, VersionID: run.object.VersionID}, fmt.Errorf("reconcile %s: %w", key, err)
	}
	return result, nil
}

// begin makes a run that knows nothing yet but what brought it about.
func (r *Reconciler) begin(key string, hints []event.Hint) *run {
	out := &run{
		view: r.viewer().view(key), Reconciler: r, now: r.Now().UTC(),
		started: map[string]model.Build{}, full: map[string]string{},
		hinted: map[string][]string{}, released: map[string]bool{}, approved: map[string]string{},
		archived: map[string][]string{}, proven: map[string]time.Time{}, stepped: map[string]bool{},
	}
	for _, h := range hints {
		switch h.Kind {
		case event.WakeHint:
			if h.Time.After(out.woken) {
				out.woken = h.Time
			}
		case event.RuntimeHint:
			if agent, ok := naming.RuntimeAgent(h.ID); ok && !slices.Contains(out.hinted[agent], h.ID) {
				out.hinted[agent] = append(out.hinted[agent], h.ID)
			}
		case event.RoleHint:
			if h.Actor != "" && !h.Time.IsZero() {
				out.calls = append(out.calls, h)
			}
		}
	}
	return out
}

func (r *Reconciler) viewer() Viewer {
	return Viewer{r.Settings, r.Store, r.Roles, r.ServiceLinkedRoles, r.Sources, r.Repositories, r.Projects}
}

// run is one look at one config, and what is done about it.
type run struct {
	*view
	*Reconciler
	now   time.Time
	woken time.Time // when the wake-up was to come that brought this run about; zero when none did
	due   time.Time // likewise, of the one that the status waits for

	requests []status.Request // answers to operators' requests; those stored until they are read
	pending  []pending        // those not answered yet

	want     desired.State           // what is desired for all agents of the config
	hinted   map[string][]string     // by agent: ids of its runtimes that something happened to
	calls    []event.Hint            // of IAM that changed roles
	life     map[string]status.Agent // by name: agents of the config and known ones, each in its phase
	released map[string]bool         // by agent: an operator ends its hold
	approved map[string]string       // by agent: request that lets it go whatever the brake says
	archived map[string][]string     // by agent: keys of its archives
	proven   map[string]time.Time    // by agent: since when nothing is known to use its roles
	emptied  []string                // agents whose repositories were deleted
	undoing  bool                    // a retirement is being rolled back
	stepped  map[string]bool         // by agent: it was taken a step further on its way out
	back     time.Time               // when the config is to be looked at again; zero when nothing asks for it
	braked   []string                // agents that the brake holds back

	started map[string]model.Build // by agent: builds started just now
	full    map[string]string      // by agent: why a build could not be started yet
}

// held is a claim of this config with the ETag it was last seen with.
type held struct {
	model.Claim
	etag string
}

func (r *run) reconcile(ctx context.Context) (Result, error) {
	gone, err := r.open(ctx)
	if err != nil {
		return Result{}, err
	}
	if gone {
		return r.orphan(ctx)
	}
	want, need, problems, err := r.accept(ctx)
	if err != nil {
		return Result{}, err
	}
	if fault.Blocks(problems) {
		return r.refuse(ctx, problems)
	}
	there, more, err := r.look(ctx, want)
	if err != nil {
		return Result{}, err
	}
	if problems = append(problems, more...); fault.Blocks(problems) {
		return r.refuse(ctx, problems)
	}
	r.hold(there, r.underway())
	requested, err := r.hear(ctx, there)
	if err != nil {
		return Result{}, err
	}
	p := there.plan(requested)
	if err := r.note(ctx, p); err != nil {
		return Result{}, err
	}
	if err := r.apply(ctx, p); err != nil {
		return Result{}, err
	}
	if err := r.releaseUnused(ctx, need); err != nil {
		return Result{}, err
	}
	if err := r.leave(ctx, everyone); err != nil {
		return Result{}, err
	}
	r.answerApprovals()
	return r.settle(ctx, there, p, problems)
}

// open reads what is known of the config, and the config itself unless it is gone,
// and carries out what operators ask for whatever it says.
func (r *run) open(ctx context.Context) (gone bool, err error) {
	if err := r.remember(ctx); err != nil {
		return false, err
	}
	if r.woken.Truncate(time.Second).Equal(r.stored.WakeAt) {
		r.due = r.stored.WakeAt
	}
	r.object, err = r.Store.Get(ctx, r.key)
	if gone = errors.Is(err, fault.ErrNotFound); err != nil && !gone {
		return false, err
	}
	return gone, r.operate(ctx)
}

// accept judges the config, finds the phases of its agents, takes the claims that
// it needs, and gives what is desired for the agents that are kept up. A problem
// that blocks says that the config is to be refused.
func (r *run) accept(ctx context.Context) (desired.State, []need, []fault.Problem, error) {
	want, problems, err := r.judge(ctx)
	if err != nil || fault.Blocks(problems) {
		return desired.State{}, nil, problems, err
	}
	if err := r.age(ctx, want); err != nil {
		return desired.State{}, nil, nil, err
	}
	need := r.needed()
	more, err := r.takeAll(ctx, need)
	if err != nil {
		return desired.State{}, nil, nil, err
	}
	if problems = append(problems, more...); fault.Blocks(problems) {
		return desired.State{}, nil, problems, nil
	}
	// Who goes now is not kept up any more: its roles are read once.
	if err := r.leave(ctx, r.known); err != nil {
		return desired.State{}, nil, nil, err
	}
	return r.staying(want), need, problems, nil
}

// look reads what there is of what should be. A repository of an agent's name
// may have been made since the names were judged, by the config that then took
// the name: so those that were nobody's are judged once more.
func (r *run) look(ctx context.Context, want desired.State) (seen, []fault.Problem, error) {
	warnings, err := r.external(ctx, want)
	if err != nil {
		return seen{}, nil, err
	}
	there, problems, err := r.observe(ctx, want)
	if err != nil {
		return seen{}, nil, err
	}
	problems = append(warnings, problems...)
	if !r.unclaimed {
		return there, problems, nil
	}
	late, err := r.foreignRepositories(ctx)
	return there, append(problems, late...), err
}
