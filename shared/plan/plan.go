// Package plan compares what should be with what is and says what to do about
// it. A plan is a value: it can be printed, refused and tested, and equal
// inputs give equal plans.
package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// Op is one kind of write.
type Op string

// The operations. Each is one call of AWS.
const (
	CreateServiceLinkedRole Op = "create-service-linked-role"
	ReserveCreation         Op = "reserve-creation" // the nonces of roles or parts to be made go into the claim
	CreateRole              Op = "create-role"
	RecordRoles             Op = "record-roles" // the unique ids of roles made go into the claim
	PutBoundary             Op = "put-boundary"
	TagRole                 Op = "tag-role"
	UpdateTrust             Op = "update-trust"
	PutPolicy               Op = "put-policy"
	ArchiveRole             Op = "archive-role" // before a policy is taken away, or a role taken over
	DeletePolicy            Op = "delete-policy"
	UpdateSettings          Op = "update-settings"
	FinishAdoption          Op = "finish-adoption" // the claim forgets that roles are being taken over

	CreateRepository Op = "create-repository"
	CreateProject    Op = "create-project"
	RecordParts      Op = "record-parts" // when repositories and projects were made goes into the claim
	ScanOnPush       Op = "scan-on-push"
	TagRepository    Op = "tag-repository"
	UpdateProject    Op = "update-project" // its tags, too
	CreateLogGroup   Op = "create-log-group"
	RetainLogs       Op = "retain-logs"
	StartBuild       Op = "start-build"

	// Taking an agent away, and putting a role back as an archive has it.
	MarkDeleting         Op = "mark-deleting"     // the claim says that the roles are on their way out
	RecordQuarantine     Op = "record-quarantine" // the status says so, before the trust is changed
	DeleteProject        Op = "delete-project"
	DetachPolicy         Op = "detach-policy"
	AttachPolicy         Op = "attach-policy"
	LeaveInstanceProfile Op = "leave-instance-profile"
	DeleteRole           Op = "delete-role"
	DeleteRepository     Op = "delete-repository" // with its images
	UntagRole            Op = "untag-role"
	ReleaseClaims        Op = "release-claims"
	ClearDeleting        Op = "clear-deleting" // the claim forgets the retirement
)

// Reason says why a write is made.
type Reason string

// The reasons.
const (
	Create  Reason = "create"  // it is new, or was never finished
	Change  Reason = "change"  // what is desired differs from what was last applied
	Drift   Reason = "drift"   // what was last applied is no longer there
	Adopt   Reason = "adopt"   // somebody else made the role, and it is taken over
	Retire  Reason = "retire"  // the agent is taken away
	Restore Reason = "restore" // an archive has it so
)

// Step is one write. Its JSON is the same for equal steps, and tells everything
// that decides the write and the role it is about.
type Step struct {
	Op      Op     `json:"op"`
	Agent   string `json:"agent,omitempty"`
	Role    string `json:"role,omitempty"`    // name of the role, service-linked role, repository or project
	Element string `json:"element,omitempty"` // element of the agent's digests that is written
	Policy  string `json:"policy,omitempty"`  // name of the inline policy; ARN of one that is attached or detached
	Reason  Reason `json:"reason"`

	Observed *model.ObservedRole `json:"observed,omitempty"` // ArchiveRole: the role as it is
	// ArchiveRole before a role is taken over: the documents of the managed policies
	// that this was judged by, JSON by ARN.
	Managed map[string]string `json:"managed,omitempty"`
	Service string            `json:"service,omitempty"` // CreateServiceLinkedRole: service principal
	Claim   string            `json:"claim,omitempty"`   // ReserveCreation, RecordRoles, RecordParts, FinishAdoption: key of the claim
	Kinds   []model.RoleKind  `json:"kinds,omitempty"`   // ReserveCreation: roles to be made under the claim
	// ReserveCreation, RecordRoles: unique ids of half-made roles and of those
	// that are taken over. They are recorded before another role is tried, which
	// may fail many times.
	RoleIDs map[model.RoleKind]string `json:"roleIds,omitempty"`
	// ReserveCreation, RecordRoles: roles that are taken over, to be noted in the
	// claim beside those noted already. FinishAdoption: those to be struck out.
	Adopting []model.RoleKind `json:"adopting,omitempty"`
	// RecordRoles, RecordParts: the nonces stay in the claim, since what is refused
	// may yet prove to be ours.
	KeepNonces bool `json:"keepNonces,omitempty"`

	Desired *model.Role `json:"desired,omitempty"` // what the role should be

	Parts []model.Part `json:"parts,omitempty"` // ReserveCreation: to be made under the project claim
	// ReserveCreation, RecordParts: when half-made parts were made. They are recorded
	// before another is tried, as roles are.
	Created    map[model.Part]time.Time `json:"created,omitempty"`
	Repository *model.Repository        `json:"repository,omitempty"` // CreateRepository, ScanOnPush, TagRepository: what it should be
	// CreateProject, UpdateProject, CreateLogGroup, RetainLogs: what it should be.
	// UpdateProject: with the tags of others, which CodeBuild would take away.
	Project *model.Project    `json:"project,omitempty"`
	Build   *model.BuildOrder `json:"build,omitempty"` // StartBuild

	Profile string   `json:"profile,omitempty"` // LeaveInstanceProfile: its name
	Tags    []string `json:"tags,omitempty"`    // UntagRole: keys
	// Retirement is the id of the one that the step is of: MarkDeleting, ArchiveRole,
	// RecordQuarantine.
	Retirement string `json:"retirement,omitempty"`
}

// Finding is one difference between a role, repository or project and what was
// last applied to it.
type Finding struct {
	Agent    string      `json:"agent"`
	Role     string      `json:"role"`    // name of the role, repository or project
	Element  string      `json:"element"` // "repository" or "project" for one that is gone
	Kind     FindingKind `json:"kind"`
	Repaired bool        `json:"repaired"` // a step of the plan puts it back
}

// FindingKind says what kind of difference was found.
type FindingKind string

// The kinds of findings.
const (
	Edited      FindingKind = "edited"
	Missing     FindingKind = "missing"
	Extra       FindingKind = "extra" // not ours
	RoleMissing FindingKind = "role-missing"
)

// Refusal is a role, repository or project that is not written, and why.
type Refusal struct {
	Agent   string      `json:"agent"`
	Role    string      `json:"role"` // name of the role, repository or project
	ARN     string      `json:"arn"`
	Kind    RefusalKind `json:"kind"`
	Message string      `json:"message"`
	Fix     string      `json:"fix"`
	Losses  []Loss      `json:"losses,omitempty"` // what adoption would take away; of a role that can be adopted
}

// RefusalKind is stable, for tests and tools.
type RefusalKind string

// The kinds of refusals.
const (
	NotOurs      RefusalKind = "role-not-ours"
	Replaced     RefusalKind = "role-replaced"
	Hostile      RefusalKind = "role-hostile" // somebody else made it, and it is never adopted
	TagsFull     RefusalKind = "role-tags-full"
	PoliciesFull RefusalKind = "role-policies-full"
	RoleGone     RefusalKind = "role-missing" // it was ours, and drift is not repaired

	RepositoryNotOurs RefusalKind = "repository-not-ours"
	RepositoryMissing RefusalKind = "repository-missing" // the config names it, or it was ours and drift is not repaired
	ProjectNotOurs    RefusalKind = "project-not-ours"
	ProjectGone       RefusalKind = "project-missing" // as RoleGone
)

// Part gives what a refusal is about that is not about a role; else none.
func (k RefusalKind) Part() model.Part {
	switch k {
	case RepositoryNotOurs, RepositoryMissing:
		return model.RepositoryPart
	case ProjectNotOurs, ProjectGone:
		return model.ProjectPart
	}
	return ""
}

// Role is one role to compare.
type Role struct {
	Desired  model.Role
	Observed *model.ObservedRole // nil: positively absent
	Claim    model.Claim         // held by the config in hand
	Applied  map[string]string   // digests last applied to the agent; nil when none are known

	Drift     DriftMode
	Unmanaged Unmanaged

	// What becomes of the role when somebody else made it; as RefuseExisting when
	// nothing is said.
	Existing  Existing
	Requested bool // an operator asks to adopt it
	// Managed are the documents of the managed policies that the role has and of
	// the boundary it is to get, JSON by ARN; known for roles that may be adopted.
	Managed map[string]string
}

// DriftMode says what becomes of what others changed.
type DriftMode string

// The modes. With neither, drift is repaired.
const (
	RepairDrift DriftMode = "repair"
	ReportDrift DriftMode = "report" // it is told and not written
)

// Unmanaged says what becomes of policies that others put on roles of ours.
type Unmanaged string

// The ways with such policies. With none of them they are kept and told.
const (
	ReportUnmanaged Unmanaged = "report" // kept and told
	KeepUnmanaged   Unmanaged = "keep"   // kept
	RemoveUnmanaged Unmanaged = "remove" // archived, then removed
)

// Existing says what becomes of roles that somebody else made under our names.
type Existing string

// The ways with existing roles.
const (
	ReportExisting Existing = "report" // left alone; what adoption would take away is told
	AdoptExisting  Existing = "adopt"  // taken over, unless hostile or made in the place of one of ours
	RefuseExisting Existing = "refuse" // left alone, also when an operator asks
)

// Image is what the image of one container agent is made with, to compare.
type Image struct {
	Repository         model.Repository
	ObservedRepository *model.ObservedRepository // nil: positively absent
	RepositoryUnread   bool                      // nothing is known of the repository, and nothing is said of it
	Project            *model.Project            // nil: the agent has none
	ObservedProject    *model.ObservedProject
	BuildRole          string            // name of the role that the project builds with
	Claim              model.Claim       // on the project, held by the config in hand
	Applied            map[string]string // digests last applied to the agent; nil when none are known
	Drift              DriftMode

	Order  *model.BuildOrder // of the newest source; nil when none can be built
	Builds []model.Build     // what is known of the project's builds, newest first
	Held   bool              // the build role was changed so short a while ago that nothing is to be built with it yet
}

// ServiceLinkedRole is one service-linked role to compare.
type ServiceLinkedRole struct {
	Name    string
	Service string
	Present bool
}

// Plan is what to do, in order, and what was seen.
type Plan struct {
	Steps    []Step    `json:"steps"`
	Findings []Finding `json:"findings"`
	Refusals []Refusal `json:"refusals"`
	// Waits says why builds are not started yet although nothing of their agents'
	// is refused, by agent. One of ours that runs is no reason to be told.
	Waits map[string]string `json:"waits,omitempty"`
}

// Refused reports whether the role is left alone. No repository or project has
// the name of one of our roles: theirs begin with a lower-case letter or digit.
func (p Plan) Refused(role string) bool {
	return slices.ContainsFunc(p.Refusals, func(r Refusal) bool { return r.Role == role })
}

// Unwritten reports whether an element of a role is left alone, with the whole role
// or because others leave no room for it.
func (p Plan) Unwritten(role, element string) bool {
	_, part, _ := strings.Cut(element, "/")
	return slices.ContainsFunc(p.Refusals, func(r Refusal) bool {
		switch {
		case r.Role != role:
			return false
		case r.Kind == TagsFull:
			return part == partTags
		case r.Kind == PoliciesFull:
			return strings.HasPrefix(part, partPolicy)
		}
		return true
	})
}

// RefusedPart reports whether the agent's repository or project is left alone.
// It goes by the agent, since one agent's repository may have the name of
// another's project.
func (p Plan) RefusedPart(agent string, part model.Part) bool {
	return slices.ContainsFunc(p.Refusals, func(r Refusal) bool { return r.Agent == agent && r.Kind.Part() == part })
}

// Hinder gives the refusals that keep an agent's image from being built.
func (p Plan) Hinder(agent, buildRole string) []Refusal {
	return slices.DeleteFunc(slices.Clone(p.Refusals), func(r Refusal) bool {
		return r.Role != buildRole && (r.Agent != agent || r.Kind.Part() == "")
	})
}

// Stranger reports whether the role was refused because somebody else made it,
// under whatever path.
func (p Plan) Stranger(role string) bool {
	return slices.ContainsFunc(p.Refusals, func(r Refusal) bool {
		return r.Role == role && (r.Kind == NotOurs || r.Kind == Replaced || r.Kind == Hostile)
	})
}

// Usable reports whether an agent can be told to run with the role, or to build.
func (p Plan) Usable(role string) bool {
	return !p.Stranger(role) && !slices.ContainsFunc(p.Refusals, func(r Refusal) bool { return r.Role == role && r.Kind == RoleGone })
}

// Compute compares roles, service-linked roles and what images are made with in
// the order given. Roles of one agent must follow each other. Images come after
// all roles, and all builds last.
func Compute(roles []Role, linked []ServiceLinkedRole, images ...Image) Plan {
	var p Plan
	for _, l := range linked {
		if !l.Present {
			p.Steps = append(p.Steps, Step{Op: CreateServiceLinkedRole, Role: l.Name, Service: l.Service, Reason: Create})
		}
	}
	for first := 0; first < len(roles); {
		end := first + 1
		for end < len(roles) && roles[end].Desired.Agent == roles[first].Desired.Agent {
			end++
		}
		p.agent(roles[first:end])
		first = end
	}
	changed := map[string]bool{}
	for _, r := range roles {
		changed[r.Desired.Name] = p.fresh(r)
	}
	p.images(images, changed)
	return p
}

// agent plans the roles of one agent, which share a claim. The claim is written
// before a role is made and again before anything is added to it: until then a
// crash leaves a role that is told from a stranger's by its nonce alone. Roles
// that are taken over are in the claim before anything of them is changed, and
// in the archive before that.
func (p *Plan) agent(roles []Role) {
	c := changes{Plan: p, ids: map[model.RoleKind]string{}}
	for _, r := range roles {
		c.role(r)
	}
	name := roles[0].Desired.Agent
	claim := Step{Agent: name, Claim: naming.RoleClaimKey(name), Reason: Create, RoleIDs: c.ids, Adopting: c.adopt}
	if len(c.adopt) > 0 {
		claim.Reason = Adopt
	}
	p.Steps = append(p.Steps, c.archive...)
	if len(c.create) > 0 {
		reserve := claim
		reserve.Op, reserve.Kinds = ReserveCreation, c.kinds
		p.Steps = append(append(p.Steps, reserve), c.create...)
	}
	if nonces := len(roles[0].Claim.Creating) > 0; len(c.create) > 0 || len(c.ids) > 0 || nonces && !c.refused {
		claim.Op, claim.KeepNonces = RecordRoles, c.refused
		p.Steps = append(p.Steps, claim)
	}
	p.Steps = append(p.Steps, c.rest...)
	if len(c.finish) > 0 {
		p.Steps = append(p.Steps, Step{Op: FinishAdoption, Agent: name, Claim: claim.Claim, Reason: Adopt, Adopting: c.finish})
	}
}

// changes gathers the steps about the roles of one agent.
type changes struct {
	*Plan
	archive, create, rest []Step
	kinds                 []model.RoleKind          // to be made
	adopt, finish         []model.RoleKind          // taken over from now on; until now
	ids                   map[model.RoleKind]string // of roles that are there, to be recorded
	refused               bool
}

func (c *changes) role(r Role) {
	d := &r.Desired
	s := stand(r)
	switch s {
	case absent:
		if r.Claim.RoleID(d.Kind) != "" {
			told := r.Drift == ReportDrift
			c.Findings = append(c.Findings, Finding{Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Kind: RoleMissing, Repaired: !told})
			if told {
				c.refused = true
				c.Refusals = append(c.Refusals, roleGone(*d))
				return
			}
		}
		c.kinds = append(c.kinds, d.Kind)
		c.create = append(c.create, Step{Op: CreateRole, Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Reason: Create, Desired: d})
		for _, name := range slices.Sorted(maps.Keys(d.Policies)) {
			c.rest = append(c.rest, putPolicy(d, name, Create))
		}
	case strange:
		refusal, refused := refuse(r)
		if refused {
			c.refused = true
			c.Refusals = append(c.Refusals, refusal)
			return
		}
		s = adopted
		c.adopt, c.ids[d.Kind] = append(c.adopt, d.Kind), r.Observed.ID
		c.archive = append(c.archive, archiveRole(r, Adopt))
	case halfMade:
		c.ids[d.Kind] = r.Observed.ID
	}
	before := len(c.Refusals)
	if s != absent {
		c.rest = append(c.rest, c.existing(r, s)...)
	}
	if complete := len(c.Refusals) == before; complete && (s == adopted || r.adopting()) {
		c.finish = append(c.finish, d.Kind)
	}
}

// standing says whose a role is.
type standing int

const (
	absent   standing = iota
	ours              // its unique id is the one recorded
	halfMade          // made under the claim, not yet recorded
	adopted           // made by somebody else, taken over and not yet as it should be
	strange           // made by somebody else
)

func stand(r Role) standing {
	switch {
	case r.Observed == nil:
		return absent
	case r.Observed.ID != "" && r.Observed.ID == r.Claim.RoleID(r.Desired.Kind):
		if r.adopting() {
			return adopted
		}
		return ours
	case r.Claim.Made(r.Desired.Kind, r.Observed.Tags[model.TagCreation]) && bare(r):
		return halfMade
	default:
		return strange
	}
}

// HalfMade reports whether a role that was not recorded was made under the claim.
func HalfMade(r Role) bool { return stand(r) == halfMade }

// bare reports whether the role is as CreateRole leaves it: our path and
// boundary, a trust in the service for this account alone, and nothing attached.
// The trust that is wanted now may be another: a build role's names the projects
// of all who share it.
func bare(r Role) bool {
	o := r.Observed
	service, account := user(r.Desired)
	return o.ARN == r.Desired.ARN && len(policy.TrustBeyond(o.Trust, service, account)) == 0 && o.PermissionsBoundary == r.Desired.PermissionsBoundary &&
		len(o.Policies) == 0 && len(o.Attached) == 0
}

// existing plans a role that is ours, in the order boundary, tags, trust,
// policies, settings: first what limits the role, last what only describes it.
// What others put on the role may leave no room for our tags or policies; the
// rest is put right all the same. Where drift is only told, a role without our
// boundary is not written at all: IAM would not have it.
func (p *Plan) existing(r Role, s standing) []Step {
	d, o := &r.Desired, r.Observed
	differs := p.differing(r, s)
	var steps []Step
	if o.PermissionsBoundary != d.PermissionsBoundary {
		steps = append(steps, differs(Step{Op: PutBoundary, Element: element(d.Kind, partBoundary)}, missingOr(o.PermissionsBoundary == ""))...)
	}
	bound := o.PermissionsBoundary == d.PermissionsBoundary || len(steps) > 0
	if f, full := tagsFull(r); full {
		p.Refusals = append(p.Refusals, f)
	} else if !tagged(d.Tags, o.Tags) {
		steps = append(steps, differs(Step{Op: TagRole, Element: element(d.Kind, partTags)}, Edited)...)
	}
	if !d.Trust.Same(o.Trust) {
		steps = append(steps, differs(Step{Op: UpdateTrust, Element: element(d.Kind, partTrust)}, Edited)...)
	}
	steps = append(steps, p.policies(r, s, differs)...)
	if o.Description != d.Description || o.MaxSessionDuration != d.MaxSessionDuration {
		steps = append(steps, differs(Step{Op: UpdateSettings, Element: element(d.Kind, partSettings)}, Edited)...)
	}
	if len(steps) > 0 && !bound {
		p.Refusals = append(p.Refusals, unbound(*d, *o))
		return nil
	}
	return steps
}

// differing gives what completes a step about an element of a role that is not
// as it should be: it tells of drift, and gives no step where that is all.
func (p *Plan) differing(r Role, s standing) func(Step, FindingKind) []Step {
	d := &r.Desired
	digests := Digests(*d)
	return func(step Step, kind FindingKind) []Step {
		step.Agent, step.Role, step.Desired = d.Agent, d.Name, d
		step.Reason = Change
		switch {
		case s == adopted:
			step.Reason = Adopt
		case s == halfMade || unfinished(r):
			step.Reason = Create
		case r.Applied != nil && r.Applied[step.Element] != digests[step.Element]:
		case r.Drift == ReportDrift && step.Op == UpdateTrust && r.Quarantined():
			// It is our own doing, and the archive that has the trust before is lost.
		default:
			step.Reason = Drift
			told := r.Drift == ReportDrift
			p.Findings = append(p.Findings, Finding{Agent: d.Agent, Role: d.Name, Element: step.Element, Kind: kind, Repaired: !told})
			if told {
				return nil
			}
		}
		return []Step{step}
	}
}

// stays reports whether a desired policy stays as somebody left it.
func stays(r Role, s standing, name string) bool {
	e := element(r.Desired.Kind, partPolicy+name)
	return r.Drift == ReportDrift && s == ours && (r.Applied == nil || r.Applied[e] == r.Desired.Policies[name].Digest())
}

// policies plans a role's inline policies. New grants come before old ones go,
// unless IAM's limit on all of them together leaves no room for both.
func (p *Plan) policies(r Role, s standing, differs func(Step, FindingKind) []Step) []Step {
	d, o := &r.Desired, r.Observed
	use := measure(r, s)
	var puts []Step
	full := use.desired+use.foreign > policy.MaxInlinePerRole
	if full {
		p.Refusals = append(p.Refusals, policiesFull(r, use.desired+use.foreign))
	} else {
		for _, name := range byGrowth(r) {
			raw, there := o.Policies[name]
			if !there || !d.Policies[name].Same(raw) {
				puts = append(puts, differs(Step{Op: PutPolicy, Element: element(d.Kind, partPolicy+name), Policy: name}, missingOr(!there))...)
			}
		}
	}
	surplus := p.surplus(r, s)
	if s == adopted && full {
		surplus = nil // it has nothing in the place of what would go
	}
	if use.desired+use.foreign+use.surplus > policy.MaxInlinePerRole {
		return append(surplus, puts...)
	}
	return append(puts, surplus...)
}

// byGrowth gives the names of the desired policies, those that shrink first, so
// that the policies never need more room on the way than at its ends.
func byGrowth(r Role) []string {
	growth := func(name string) int { return r.Desired.Policies[name].Size() - countedSize(r.Observed.Policies[name]) }
	names := slices.Sorted(maps.Keys(r.Desired.Policies))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(growth(a), growth(b)) })
	return names
}

// surplus plans the policies that the role has and should not: those we wrote
// for an earlier config go, archived first, and those of a role taken over that
// have names of ours. What becomes of others the settings say; of a role that is
// taken over they are kept until it is ours.
func (p *Plan) surplus(r Role, s standing) []Step {
	d, o := &r.Desired, r.Observed
	var steps []Step
	archive := Change
	extra := func(step Step) {
		if r.Unmanaged == KeepUnmanaged || p.extras() == maxExtras {
			return
		}
		removed := s == ours && r.removes()
		p.Findings = append(p.Findings, Finding{Agent: d.Agent, Role: d.Name, Element: step.Element, Kind: Extra, Repaired: removed})
		if removed {
			step.Reason, archive = Drift, Drift
			steps = append(steps, step)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		if _, wanted := d.Policies[name]; wanted {
			continue
		}
		step := about(*d, DeletePolicy, partPolicy, name, Change)
		switch {
		case s == adopted && template(d.Agent, name):
			step.Reason = Adopt // the archive was written before anything else
		case s == adopted || !written(r, name):
			extra(step)
			continue
		}
		steps = append(steps, step)
	}
	for _, arn := range o.Attached {
		extra(about(*d, DetachPolicy, partAttached, arn, Drift))
	}
	if len(steps) > 0 && s != adopted {
		steps = append([]Step{archiveRole(r, archive)}, steps...)
	}
	return steps
}

// maxExtras bounds the policies and settings of others that are told of a config,
// and removed: the status has to have room for them. The rest is found when those
// are gone.
const maxExtras = 500

func (p *Plan) extras() int {
	n := 0
	for _, f := range p.Findings {
		if f.Kind == Extra {
			n++
		}
	}
	return n
}

// removes reports whether policies that others put on the role are taken away.
func (r Role) removes() bool { return r.Unmanaged == RemoveUnmanaged && r.Drift != ReportDrift }

// written reports whether a policy is one that we wrote for an earlier config.
func written(r Role, name string) bool {
	_, known := r.Applied[element(r.Desired.Kind, partPolicy+name)]
	return known
}

// goes reports whether a policy that is not desired is taken from the role.
func goes(r Role, s standing, name string) bool {
	if s == adopted {
		return template(r.Desired.Agent, name)
	}
	return written(r, name) || s == ours && r.removes()
}

// unfinished reports whether a role of ours was recorded but never got a
// policy, which is how a crash during its creation leaves it.
func unfinished(r Role) bool { return r.Applied == nil && len(r.Observed.Policies) == 0 }

func missingOr(missing bool) FindingKind {
	if missing {
		return Missing
	}
	return Edited
}

func archiveRole(r Role, reason Reason) Step {
	d := &r.Desired
	s := Step{Op: ArchiveRole, Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Reason: reason, Desired: d, Observed: r.Observed}
	if reason == Adopt {
		s.Managed = map[string]string{}
		for _, arn := range append(slices.Clone(r.Observed.Attached), d.PermissionsBoundary) {
			s.Managed[arn] = r.Managed[arn]
		}
	}
	return s
}

func putPolicy(d *model.Role, name string, reason Reason) Step {
	return Step{Op: PutPolicy, Agent: d.Agent, Role: d.Name, Element: element(d.Kind, partPolicy+name), Policy: name, Reason: reason, Desired: d}
}

// tagged reports whether all our tags are there; others are not ours to judge.
func tagged(ours, observed map[string]string) bool {
	for k, v := range ours {
		if got, there := observed[k]; !there || got != v {
			return false
		}
	}
	return true
}

// tagsFull reports whether others' tags leave no room for ours.
func tagsFull(r Role) (Refusal, bool) {
	tags := maps.Clone(r.Observed.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	maps.Copy(tags, r.Desired.Tags)
	return Refusal{
		Agent: r.Desired.Agent, Role: r.Desired.Name, ARN: r.Observed.ARN, Kind: TagsFull,
		Message: fmt.Sprintf("role %s would have %d tags; IAM allows %d", r.Desired.Name, len(tags), policy.MaxTags),
		Fix:     "remove tags that are not Rolekeeper's from the role",
	}, len(tags) > policy.MaxTags
}

// untouched is why drift stays as it is.
const untouched = "the stack's DriftMode is report, so that drift is told and not repaired"

func roleGone(d model.Role) Refusal {
	return Refusal{
		Agent: d.Agent, Role: d.Name, ARN: d.ARN, Kind: RoleGone,
		Message: fmt.Sprintf("role %s is gone, and it is not made anew: %s", d.Name, untouched),
		Fix: "find out who deleted it (CloudTrail, DeleteRole); have the platform team set DriftMode to repair to have it made anew, " +
			"or an operator restore it (`rolekeeper restore " + d.Name + "`) if it is in the archive",
	}
}

func unbound(d model.Role, o model.ObservedRole) Refusal {
	has := "the boundary " + o.PermissionsBoundary
	if o.PermissionsBoundary == "" {
		has = "no boundary"
	}
	return Refusal{
		Agent: d.Agent, Role: d.Name, ARN: o.ARN, Kind: BoundaryDiffers,
		Message: fmt.Sprintf("role %s has %s in the place of %s, and nothing else of it can be changed: %s", d.Name, has, d.PermissionsBoundary, untouched),
		Fix: fmt.Sprintf("give the role its boundary back (aws iam put-role-permissions-boundary --role-name %s --permissions-boundary %s), "+
			"or have the platform team set DriftMode to repair; then upload the config again", d.Name, d.PermissionsBoundary),
	}
}

func policiesFull(r Role, size int) Refusal {
	return Refusal{
		Agent: r.Desired.Agent, Role: r.Desired.Name, ARN: r.Observed.ARN, Kind: PoliciesFull,
		Message: fmt.Sprintf("role %s would have %d characters of inline policies; IAM allows %d", r.Desired.Name, size, policy.MaxInlinePerRole),
		Fix:     "remove inline policies that were added by hand, or make a managed policy of them",
	}
}

// sizes are the characters of a role's inline policies that IAM counts: those
// desired, those on the role that are not ours, and those of ours that are to go.
type sizes struct{ desired, foreign, surplus int }

func measure(r Role, s standing) sizes {
	var n sizes
	for name, doc := range r.Desired.Policies {
		if stays(r, s, name) {
			n.desired += countedSize(r.Observed.Policies[name])
		} else {
			n.desired += doc.Size()
		}
	}
	for name, raw := range r.Observed.Policies {
		_, wanted := r.Desired.Policies[name]
		switch {
		case wanted:
		case goes(r, s, name):
			n.surplus += countedSize(raw)
		default:
			n.foreign += countedSize(raw)
		}
	}
	return n
}

// countedSize gives the characters that IAM counts: all but white space.
func countedSize(raw string) int {
	n := 0
	for _, c := range raw {
		if !unicode.IsSpace(c) {
			n++
		}
	}
	return n
}

// Parts of a role that are compared and written one by one.
const (
	partTrust    = "trust"
	partBoundary = "boundary"
	partTags     = "tags"
	partSettings = "settings"
	partPolicy   = "policy/"
	partAttached = "attached/"
)

func element(kind model.RoleKind, part string) string { return string(kind) + "/" + part }

// Digests gives the digest of every element of a role: what the status keeps
// of it once it is applied.
func Digests(d model.Role) map[string]string {
	digests := map[string]string{
		element(d.Kind, partTrust):    d.Trust.Digest(),
		element(d.Kind, partBoundary): digest(d.PermissionsBoundary),
		element(d.Kind, partSettings): digest(d.Description, strconv.Itoa(int(d.MaxSessionDuration))),
	}
	digests[element(d.Kind, partTags)] = digestTags(d.Tags)
	for name, doc := range d.Policies {
		digests[element(d.Kind, partPolicy+name)] = doc.Digest()
	}
	return digests
}

func digestTags(tags map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, k, tags[k])
	}
	return digest(all...)
}

func digest(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(strconv.Quote(part))
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// Touches reports whether a call of IAM can have made an element of a role drift
// (IAM API reference, actions of roles). A call about a policy has the policy's
// name, or its ARN, behind it and a slash; without one it can be of any.
func Touches(call, element string) bool {
	_, part, _ := strings.Cut(element, "/")
	call, about, _ := strings.Cut(call, "/")
	named := func(prefix string) bool {
		policy, ok := strings.CutPrefix(part, prefix)
		return ok && (about == "" || strings.EqualFold(about, policy)) // IAM tells names of policies not apart by case
	}
	switch call {
	case "CreateRole", "DeleteRole", "AcquireRole":
		return part == ""
	case "UpdateAssumeRolePolicy":
		return part == partTrust
	case "PutRolePolicy", "DeleteRolePolicy":
		return named(partPolicy)
	case "AttachRolePolicy", "DetachRolePolicy":
		return named(partAttached)
	case "TagRole", "UntagRole":
		return part == partTags
	case "UpdateRole", "UpdateRoleDescription":
		return part == partSettings
	case "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary":
		return part == partBoundary
	}
	return false
}

// KindOf gives what an element belongs to: a role of the kind, or the part of the
// same spelling.
func KindOf(element string) model.RoleKind {
	kind, _, _ := strings.Cut(element, "/")
	return model.RoleKind(kind)
}
