package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// Settings are those of the stack's settings that decide what becomes of a config.
type Settings struct {
	Env                      desired.Env // ConfigKey is set for each config
	Allowed                  agent.Allowed
	Existing                 plan.Existing
	Drift                    plan.DriftMode
	Unmanaged                plan.Unmanaged
	EnsureServiceLinkedRoles bool
}

// Viewer looks at configs and says what Rolekeeper would do about them. It can
// write nothing. Without Repositories it looks at what images are made with by
// their projects alone: neither at repositories nor at sources and builds, which
// are not to be read in bulk.
type Viewer struct {
	Settings
	Objects            Objects
	Roles              RoleReader
	ServiceLinkedRoles ServiceLinkedRoleReader
	Sources            SourceReader
	Repositories       RepositoryReader
	Projects           ProjectReader
}

// view is what a look at one config has seen.
type view struct {
	from Viewer
	key  string
	env  desired.Env

	stored     status.Status // the answer so far; of no outcome when there is none
	storedETag string        // empty when there is no object
	index      model.ClaimIndex
	indexETag  string
	claims     map[string]held // by key, held by this config or, in a preview, free

	object   model.Object // the config
	cfg      agent.Config
	unusable map[string]bool // by ARN: external roles that an agent cannot run with

	sourceless map[string]bool   // by name: agents whose source is not there
	next       map[string]bool   // by name: agents whose next build is for another look
	ended      map[string]bool   // by name: agents of which a build was seen to have ended
	hindered   map[string]string // by name: why nothing can be built for an agent
	away       map[string]bool   // by name: agents of the config that have nothing to be kept up: quarantined, retired or held
	unclaimed  bool              // the config names a repository of an agent's name that no agent has
	notifies   *bool             // the source bucket tells of new sources; nil when it was not asked
}

// view begins a look that has seen nothing yet.
func (f Viewer) view(key string) *view {
	v := &view{from: f, key: key, env: f.Env, claims: map[string]held{}, unusable: map[string]bool{}, sourceless: map[string]bool{}, next: map[string]bool{}, ended: map[string]bool{}, hindered: map[string]string{}, away: map[string]bool{}}
	v.env.ConfigKey = key
	return v
}

// Preview is what Rolekeeper would do about a config now.
type Preview struct {
	Key       string
	VersionID string        // of the uploaded config; empty when it is gone, or the config is a file
	Status    status.Status // the answer so far, with the agents that it lost; of no outcome when there is none
	Gone      bool          // there is no config: its agents go
	Problems  []fault.Problem
	Desired   desired.State // what the account should hold; empty when a problem blocks
	Plan      plan.Plan     // likewise
	Removed   []string      // agents that have roles and that the config no longer has, sorted

	// Adoptable are the agents with roles that somebody else made and an operator
	// can have adopted: what a request for them has to say.
	Adoptable map[string]string // plan.AdoptionHash by agent

	// Hindered says why nothing can be built for agents that a source could be built for.
	Hindered map[string]string
	// Builds are those that the agents' newest sources ask for, whether or not they
	// were made already: an operator can have them made again.
	Builds map[string]model.BuildOrder
}

// Preview looks at the config that was uploaded under the key, or at a file as
// if it were. The roles of the agents named are planned as if an operator had
// asked for their adoption.
func (f Viewer) Preview(ctx context.Context, key string, file []byte, adopt ...string) (Preview, error) {
	v, out := f.view(key), Preview{Key: key}
	if err := v.remember(ctx); err != nil {
		return Preview{}, fmt.Errorf("look at %s: %w", key, err)
	}
	out.Status = v.stored
	v.object.Body = file
	if file == nil {
		object, err := f.Objects.Get(ctx, key)
		if errors.Is(err, fault.ErrNotFound) {
			out.Gone, out.Removed = true, v.removed(desired.State{})
			return out, nil
		}
		if err != nil {
			return Preview{}, fmt.Errorf("look at %s: %w", key, err)
		}
		v.object, out.VersionID = object, object.VersionID
	}
	if err := v.preview(ctx, &out, adopt); err != nil {
		return Preview{}, fmt.Errorf("look at %s: %w", key, err)
	}
	return out, nil
}

func (v *view) preview(ctx context.Context, out *Preview, adopt []string) error {
	want, problems, err := v.judge(ctx)
	if err != nil {
		return err
	}
	defer func() { fault.Sort(out.Problems) }()
	if out.Problems = problems; fault.Blocks(problems) {
		return nil
	}
	for _, a := range v.stored.Agents {
		v.away[a.Name] = v.object.VersionID != "" && a.PhaseVersion == v.object.VersionID && away(a.Phase)
	}
	more, err := v.ask(ctx, v.needed(), v.peek)
	if err != nil {
		return err
	}
	if out.Problems = append(out.Problems, more...); fault.Blocks(more) {
		return nil
	}
	whole := want
	want = v.staying(want)
	warnings, err := v.external(ctx, want)
	if err != nil {
		return err
	}
	there, more, err := v.observe(ctx, want)
	if err != nil {
		return err
	}
	v.hold(there, true) // the wake-up brings a look about, not a preview
	out.Problems = slices.Concat(out.Problems, warnings, more)
	out.Desired = want
	out.Plan, out.Removed = there.plan(func(agent string) bool { return slices.Contains(adopt, agent) }), v.removed(whole)
	out.Adoptable = map[string]string{}
	for _, a := range want.Agents {
		if asked := there.adoption(a.Name); asked.fresh && len(asked.left) == 0 {
			out.Adoptable[a.Name] = asked.hash
		}
	}
	out.Builds, out.Hindered = map[string]model.BuildOrder{}, v.hindered
	for _, i := range there.images {
		if i.Order != nil {
			out.Builds[i.Order.Agent] = *i.Order
		}
	}
	return nil
}

// judge says what the account should hold for the config, and what is wrong with
// the config: with a problem that blocks, what it should hold is not to be used.
func (v *view) judge(ctx context.Context) (desired.State, []fault.Problem, error) {
	cfg, problems := agent.Examine(v.object.Body, v.env.Place)
	v.cfg = cfg
	want, more := desired.Compute(cfg, v.env) // also of a faulty file: what is wrong is told all at once
	problems = append(append(problems, v.from.Allowed.Check(cfg)...), more...)
	if fault.Blocks(problems) {
		return desired.State{}, problems, nil
	}
	more, err := v.foreign(ctx, want)
	return want, append(problems, more...), err
}

// remember reads the status and the index of claims, and finds the agents that
// the index leads to and the status does not know: its loss, or a run that died
// before it could answer, must not make us forget a role.
func (v *view) remember(ctx context.Context) error {
	if err := v.readStatus(ctx); err != nil {
		return err
	}
	if err := v.readIndex(ctx); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, a := range v.stored.Agents {
		known[naming.RoleClaimKey(a.Name)] = owns(a)
	}
	for _, key := range v.index.Claims {
		if known[key] || !strings.HasPrefix(key, naming.RoleClaimPrefix) {
			continue
		}
		c, err := v.readClaim(ctx, key)
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if c.Config == v.key {
			v.know(c.Claim)
		}
	}
	return nil
}

func (v *view) readStatus(ctx context.Context) error {
	v.stored = status.Status{V: status.Version, Config: status.Config{Key: v.key}}
	object, err := v.from.Objects.Get(ctx, naming.StatusKey(v.key))
	if errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	v.storedETag = object.ETag
	s, err := status.Parse(object.Body)
	if errors.Is(err, status.ErrNewer) {
		return err // written by a later version of this function, and more than we can keep
	}
	if err == nil && s.Config.Key == v.key {
		v.stored = s
	}
	return nil
}

// foreign finds what the config names and another config has: roles, and the
// repositories that agents have by default. They are not to be shared behind
// their owner's back.
func (v *view) foreign(ctx context.Context, want desired.State) ([]fault.Problem, error) {
	roles, err := v.foreignRoles(ctx, want)
	if err != nil {
		return nil, err
	}
	repositories, err := v.foreignRepositories(ctx)
	return append(roles, repositories...), err
}

// foreignRepositories finds repositories of other configs' agents: who may push
// there decides what those agents run, and who may pull reads what they are
// made of.
func (v *view) foreignRepositories(ctx context.Context) ([]fault.Problem, error) {
	var problems []fault.Problem
	for _, a := range v.cfg.Agents {
		if a.Deployment != agent.Container {
			continue
		}
		named := map[string]string{} // by name: the field that names it
		for n, image := range a.Permissions.BaseImages {
			named[image] = fmt.Sprintf("permissions.base_images[%d]", n)
		}
		named[a.Repository] = "aws.ecr_repository"
		for _, repository := range slices.Sorted(maps.Keys(named)) {
			key, claimed := naming.RepositoryClaimKey(repository)
			if !claimed || repository == naming.Repository(a.Name) {
				continue
			}
			p, err := v.foreignRepository(ctx, a, repository, key, named[repository])
			if err != nil {
				return nil, err
			}
			problems = append(problems, p...)
		}
	}
	return problems, nil
}

// foreignRepository does so for one whose name is an agent's. There may be no
// such agent yet: then a repository that is there is somebody's who allowed it,
// and one that is not is kept for that agent.
func (v *view) foreignRepository(ctx context.Context, a agent.Agent, repository, claim, field string) ([]fault.Problem, error) {
	c, err := v.readClaim(ctx, claim)
	switch {
	case err == nil && c.Config == v.key:
		return nil, nil
	case err == nil:
		return []fault.Problem{a.Problem("repository-of-other-config", field,
			fmt.Sprintf("repository %s is that of agent %q of %s", repository, c.Agent, c.Config),
			"name a repository that is no other agent's, or put both agents into one config")}, nil
	case !errors.Is(err, fault.ErrNotFound):
		return nil, err
	case slices.ContainsFunc(v.cfg.Agents, func(sibling agent.Agent) bool { return naming.Repository(sibling.Name) == repository }):
		return nil, nil
	}
	if v.from.Repositories == nil {
		return nil, nil
	}
	_, err = v.from.Repositories.Head(ctx, repository)
	if errors.Is(err, fault.ErrNotFound) {
		return []fault.Problem{a.Problem("repository-reserved", field,
			fmt.Sprintf("there is no repository %s, and its name is that of an agent's own", repository),
			"name a repository that exists, or leave the field empty")}, nil
	}
	v.unclaimed = true
	return nil, err
}

func (v *view) foreignRoles(ctx context.Context, want desired.State) ([]fault.Problem, error) {
	var problems []fault.Problem
	for _, e := range want.External() {
		if e.Role.Hash == "" {
			continue
		}
		c, err := v.readClaim(ctx, naming.RoleClaimKeyOf(e.Role.Hash))
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p := v.agent(e.Agent).Problem("role-of-other-config", e.Role.Field,
			fmt.Sprintf("role %s belongs to agent %q of %s", e.Role.Name, c.Agent, c.Config),
			"leave the field empty to get a role of this agent's own, or put both agents into one config")
		if c.Config == v.key {
			p = v.agent(e.Agent).Warning("role-of-removed-agent", e.Role.Field,
				fmt.Sprintf("role %s was made for agent %q, which this config no longer has: nobody keeps it up", e.Role.Name, c.Agent),
				"leave the field empty to get a role of this agent's own, or put that agent back")
		}
		problems = append(problems, p)
	}
	return problems, nil
}

// external checks the roles that the config names: that they are there and that
// AgentCore or CodeBuild may assume them for this account. Those that cannot be
// used are noted.
func (v *view) external(ctx context.Context, want desired.State) ([]fault.Problem, error) {
	var problems []fault.Problem
	for _, e := range want.External() {
		warn := func(code, message, fix string) {
			problems = append(problems, v.agent(e.Agent).Warning(code, e.Role.Field, message, fix))
			v.unusable[e.Role.ARN] = true
		}
		o, err := v.from.Roles.Head(ctx, e.Role.Name)
		switch {
		case errors.Is(err, fault.ErrNotFound):
			warn("external-role-missing", fmt.Sprintf("role %s does not exist", e.Role.ARN),
				"make the role, or leave the field empty to get one from Rolekeeper")
		case err != nil:
			return nil, err
		case o.ARN != e.Role.ARN:
			warn("external-role-path", fmt.Sprintf("the role of that name is %s, not %s", o.ARN, e.Role.ARN), "name the role with its path")
		case !policy.Trusts(o.Trust, e.Role.Service, v.env.Account):
			warn("external-role-trust", fmt.Sprintf("role %s does not let %s assume it for account %s", e.Role.Name, e.Role.Service, v.env.Account),
				"let the service assume the role, with aws:SourceAccount "+v.env.Account)
		}
	}
	return problems, nil
}

// agent gives the agent of the config.
func (v *view) agent(name string) agent.Agent {
	for _, a := range v.cfg.Agents {
		if a.Name == name {
			return a
		}
	}
	return agent.Agent{Name: name}
}

// seen is what there is of what a config should have.
type seen struct {
	roles  []plan.Role
	linked []plan.ServiceLinkedRole
	images []plan.Image
}

// plan compares. The agents that are named as requested have an operator who
// asks to adopt their roles.
func (s seen) plan(requested func(agent string) bool) plan.Plan {
	roles := slices.Clone(s.roles)
	for i, r := range roles {
		roles[i].Requested = requested(r.Desired.Agent)
	}
	return plan.Compute(roles, s.linked, s.images...)
}

// nobody is who asks for nothing.
func nobody(string) bool { return false }

// observe reads what there is of what should be. What keeps sources from being
// built are the problems.
func (v *view) observe(ctx context.Context, want desired.State) (seen, []fault.Problem, error) {
	var s seen
	if v.from.EnsureServiceLinkedRoles {
		for _, l := range want.ServiceLinkedRoles {
			present, err := v.from.ServiceLinkedRoles.Present(ctx, l.Name)
			if err != nil {
				return seen{}, nil, err
			}
			s.linked = append(s.linked, plan.ServiceLinkedRole{Name: l.Name, Service: l.Service, Present: present})
		}
	}
	for _, a := range want.Agents {
		for _, d := range a.Roles() {
			observed, err := v.role(ctx, d.Name)
			if err != nil {
				return seen{}, nil, err
			}
			known, _ := v.stored.Agent(a.Name)
			s.roles = append(s.roles, plan.Role{
				Desired: d, Observed: observed, Claim: v.claims[naming.RoleClaimKey(a.Name)].Claim, Applied: known.Applied,
				Existing: v.from.Existing, Drift: v.from.Drift, Unmanaged: v.from.Unmanaged,
			})
		}
	}
	if err := v.managed(ctx, s); err != nil {
		return seen{}, nil, err
	}
	images, problems, err := v.images(ctx, want)
	s.images = images
	return s, problems, err
}

// managed reads what decides whether a role that somebody else made can be
// adopted: the documents of the managed policies it has and of the boundary it
// is to get.
func (v *view) managed(ctx context.Context, s seen) error {
	unrecorded := func(r plan.Role) bool { return r.Observed != nil && r.Observed.ID != r.Claim.RoleID(r.Desired.Kind) }
	if v.from.Existing == plan.RefuseExisting || !slices.ContainsFunc(s.roles, unrecorded) {
		return nil
	}
	documents := map[string]string{}
	p := plan.Compute(s.roles, nil)
	for i, r := range s.roles {
		if !p.Stranger(r.Desired.Name) {
			continue
		}
		s.roles[i].Managed = documents
		for _, arn := range append(slices.Clone(r.Observed.Attached), r.Desired.PermissionsBoundary) {
			if _, known := documents[arn]; known {
				continue
			}
			document, err := v.from.Roles.Managed(ctx, arn)
			if errors.Is(err, fault.ErrNotFound) {
				continue // the plan says that it is not known
			}
			if err != nil {
				return err
			}
			documents[arn] = document
		}
	}
	return nil
}

func (v *view) role(ctx context.Context, name string) (*model.ObservedRole, error) {
	o, err := v.from.Roles.Read(ctx, name)
	if errors.Is(err, fault.ErrNotFound) {
		return nil, nil //nolint:nilnil // absence is an observation, and the plan's word for it is nil
	}
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// removed gives the names of the agents that the config no longer has and that
// something was made for.
func (v *view) removed(want desired.State) []string {
	var names []string
	for _, a := range v.stored.Agents {
		if want.Agent(a.Name).Name != a.Name && owns(a) {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return names
}
