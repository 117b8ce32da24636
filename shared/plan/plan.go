// Package plan compares what should be with what is and says what to do about
// it. A plan is a value: it can be printed, refused and tested, and equal
// inputs give equal plans.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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
	ReserveCreation         Op = "reserve-creation" // the nonces of roles to be made go into the claim
	CreateRole              Op = "create-role"
	RecordRoles             Op = "record-roles" // the unique ids of roles made go into the claim
	PutBoundary             Op = "put-boundary"
	TagRole                 Op = "tag-role"
	UpdateTrust             Op = "update-trust"
	PutPolicy               Op = "put-policy"
	ArchiveRole             Op = "archive-role" // before a policy is taken away
	DeletePolicy            Op = "delete-policy"
	UpdateSettings          Op = "update-settings"
)

// Reason says why a write is made.
type Reason string

// The reasons.
const (
	Create Reason = "create" // the role is new, or was never finished
	Change Reason = "change" // what is desired differs from what was last applied
	Drift  Reason = "drift"  // what was last applied is no longer there
)

// Step is one write.
type Step struct {
	Op      Op
	Agent   string
	Role    string      // name of the role, or of the service-linked role
	Element string      // element of the agent's digests that is written
	Policy  string      // name of the inline policy
	Reason  Reason      //
	Desired *model.Role // what the role should be

	Observed *model.ObservedRole // ArchiveRole: the role as it is
	Service  string              // CreateServiceLinkedRole: service principal
	Claim    string              // ReserveCreation, RecordRoles: key of the claim
	Kinds    []model.RoleKind    // ReserveCreation: roles to be made under the claim
	RoleIDs  map[model.RoleKind]string
}

// Finding is one difference between a role and what was last applied to it.
type Finding struct {
	Agent    string
	Role     string
	Element  string
	Kind     FindingKind
	Repaired bool // a step of the plan puts it back
}

// FindingKind says what kind of difference was found.
type FindingKind string

// The kinds of findings.
const (
	Edited      FindingKind = "edited"
	Missing     FindingKind = "missing"
	Extra       FindingKind = "extra" // not ours; kept
	RoleMissing FindingKind = "role-missing"
)

// Refusal is a role that is not written, and why.
type Refusal struct {
	Agent   string
	Role    string
	ARN     string
	Kind    RefusalKind
	Message string
	Fix     string
}

// RefusalKind is stable, for tests and tools.
type RefusalKind string

// The kinds of refusals.
const (
	NotOurs      RefusalKind = "role-not-ours"
	Replaced     RefusalKind = "role-replaced"
	TagsFull     RefusalKind = "role-tags-full"
	PoliciesFull RefusalKind = "role-policies-full"
)

// Role is one role to compare.
type Role struct {
	Desired  model.Role
	Observed *model.ObservedRole // nil: positively absent
	Claim    model.Claim         // held by the config in hand
	Applied  map[string]string   // digests last applied to the agent; nil when none are known
}

// ServiceLinkedRole is one service-linked role to compare.
type ServiceLinkedRole struct {
	Name    string
	Service string
	Present bool
}

// Plan is what to do, in order, and what was seen.
type Plan struct {
	Steps    []Step
	Findings []Finding
	Refusals []Refusal
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// Refused reports whether the role is left alone.
func (p Plan) Refused(role string) bool {
	return slices.ContainsFunc(p.Refusals, func(r Refusal) bool { return r.Role == role })
}

// Compute compares roles and service-linked roles in the order given. Roles of
// one agent must follow each other.
func Compute(roles []Role, linked []ServiceLinkedRole) Plan {
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
	return p
}

// agent plans the roles of one agent, which share a claim. The claim is written
// before a role is made and again before anything is added to it: until then a
// crash leaves a role that is told from a stranger's by its nonce alone.
func (p *Plan) agent(roles []Role) {
	var (
		create, rest []Step
		kinds        []model.RoleKind
		record       = len(roles[0].Claim.Creating) > 0
		ids          = map[model.RoleKind]string{}
	)
	for _, r := range roles {
		d := &r.Desired
		switch standing := stand(r); {
		case standing == absent:
			if r.Claim.RoleID(d.Kind) != "" {
				p.Findings = append(p.Findings, Finding{Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Kind: RoleMissing, Repaired: true})
			}
			kinds = append(kinds, d.Kind)
			create = append(create, Step{Op: CreateRole, Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Reason: Create, Desired: d})
			for _, name := range slices.Sorted(maps.Keys(d.Policies)) {
				rest = append(rest, putPolicy(d, name, Create))
			}
		case standing == strange:
			record = false
			p.Refusals = append(p.Refusals, refuse(r))
		default:
			if standing == halfMade {
				ids[d.Kind] = r.Observed.ID
			}
			rest = append(rest, p.existing(r, standing)...)
		}
	}
	claim := Step{Agent: roles[0].Desired.Agent, Claim: naming.RoleClaimKey(roles[0].Desired.Agent), Reason: Create}
	if len(create) > 0 {
		reserve := claim
		reserve.Op, reserve.Kinds = ReserveCreation, kinds
		p.Steps = append(append(p.Steps, reserve), create...)
	}
	if len(create) > 0 || len(ids) > 0 || record {
		recorded := claim
		recorded.Op, recorded.RoleIDs = RecordRoles, ids
		p.Steps = append(p.Steps, recorded)
	}
	p.Steps = append(p.Steps, rest...)
}

// standing says whose a role is.
type standing int

const (
	absent   standing = iota
	ours              // its unique id is the one recorded
	halfMade          // made under the claim, not yet recorded
	strange           // made by somebody else
)

func stand(r Role) standing {
	switch {
	case r.Observed == nil:
		return absent
	case r.Observed.ID != "" && r.Observed.ID == r.Claim.RoleID(r.Desired.Kind):
		return ours
	case r.Claim.Made(r.Desired.Kind, r.Observed.Tags[model.TagCreation]) && bare(r):
		return halfMade
	default:
		return strange
	}
}

// bare reports whether the role is as CreateRole leaves it: our trust and
// boundary, and nothing attached.
func bare(r Role) bool {
	o := r.Observed
	return r.Desired.Trust.Same(o.Trust) && o.PermissionsBoundary == r.Desired.PermissionsBoundary &&
		len(o.Policies) == 0 && len(o.Attached) == 0
}

func refuse(r Role) Refusal {
	d := r.Desired
	f := Refusal{Agent: d.Agent, Role: d.Name, ARN: r.Observed.ARN}
	if id := r.Claim.RoleID(d.Kind); id != "" {
		f.Kind = Replaced
		f.Message = fmt.Sprintf("role %s was deleted and made anew by somebody else: its unique id is %s, ours was %s", d.Name, r.Observed.ID, id)
		f.Fix = "find out who made it (CloudTrail, CreateRole); delete it and upload the config again to have ours back"
		return f
	}
	f.Kind = NotOurs
	f.Message = fmt.Sprintf("role %s exists already and Rolekeeper did not make it", d.Name)
	f.Fix = "if nothing uses it, have it deleted and upload the config again; or rename the agent"
	return f
}

// existing plans a role that is ours, in the order boundary, tags, trust,
// policies, settings: first what limits the role, last what only describes it.
func (p *Plan) existing(r Role, s standing) []Step {
	d, o := &r.Desired, r.Observed
	if f, full := overfull(r); full {
		p.Refusals = append(p.Refusals, f)
		return nil
	}
	digests := Digests(*d)
	var steps []Step
	differs := func(step Step, kind FindingKind) {
		step.Agent, step.Role, step.Desired = d.Agent, d.Name, d
		step.Reason = Change
		switch {
		case s == halfMade || unfinished(r):
			step.Reason = Create
		case r.Applied == nil || r.Applied[step.Element] == digests[step.Element]:
			step.Reason = Drift
			p.Findings = append(p.Findings, Finding{Agent: d.Agent, Role: d.Name, Element: step.Element, Kind: kind, Repaired: true})
		}
		steps = append(steps, step)
	}

	if o.PermissionsBoundary != d.PermissionsBoundary {
		differs(Step{Op: PutBoundary, Element: element(d.Kind, partBoundary)}, missingOr(o.PermissionsBoundary == ""))
	}
	if !tagged(d, o) {
		differs(Step{Op: TagRole, Element: element(d.Kind, partTags)}, Edited)
	}
	if !d.Trust.Same(o.Trust) {
		differs(Step{Op: UpdateTrust, Element: element(d.Kind, partTrust)}, Edited)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Policies)) {
		raw, there := o.Policies[name]
		if !there || !d.Policies[name].Same(raw) {
			differs(Step{Op: PutPolicy, Element: element(d.Kind, partPolicy+name), Policy: name}, missingOr(!there))
		}
	}
	steps = append(steps, p.surplus(r)...)
	if o.Description != d.Description || o.MaxSessionDuration != d.MaxSessionDuration {
		differs(Step{Op: UpdateSettings, Element: element(d.Kind, partSettings)}, Edited)
	}
	return steps
}

// surplus plans the policies that the role has and should not: those we wrote
// for an earlier config go, archived first; others are kept and told.
func (p *Plan) surplus(r Role) []Step {
	d, o := &r.Desired, r.Observed
	var steps []Step
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		if _, wanted := d.Policies[name]; wanted {
			continue
		}
		e := element(d.Kind, partPolicy+name)
		if _, written := r.Applied[e]; !written {
			p.Findings = append(p.Findings, Finding{Agent: d.Agent, Role: d.Name, Element: e, Kind: Extra})
			continue
		}
		if len(steps) == 0 {
			steps = append(steps, Step{Op: ArchiveRole, Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Reason: Change, Desired: d, Observed: o})
		}
		steps = append(steps, Step{Op: DeletePolicy, Agent: d.Agent, Role: d.Name, Element: e, Policy: name, Reason: Change, Desired: d})
	}
	for _, arn := range o.Attached {
		p.Findings = append(p.Findings, Finding{Agent: d.Agent, Role: d.Name, Element: element(d.Kind, partAttached+arn), Kind: Extra})
	}
	return steps
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

func putPolicy(d *model.Role, name string, reason Reason) Step {
	return Step{Op: PutPolicy, Agent: d.Agent, Role: d.Name, Element: element(d.Kind, partPolicy+name), Policy: name, Reason: reason, Desired: d}
}

// tagged reports whether the role has all our tags; others on it are not ours to judge.
func tagged(d *model.Role, o *model.ObservedRole) bool {
	for k, v := range d.Tags {
		if got, there := o.Tags[k]; !there || got != v {
			return false
		}
	}
	return true
}

// overfull reports whether what others put on the role leaves no room for ours
// within IAM's limits.
func overfull(r Role) (Refusal, bool) {
	d, o := r.Desired, r.Observed
	f := Refusal{Agent: d.Agent, Role: d.Name, ARN: o.ARN}
	tags := maps.Clone(o.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	maps.Copy(tags, d.Tags)
	if len(tags) > policy.MaxTags {
		f.Kind = TagsFull
		f.Message = fmt.Sprintf("role %s would have %d tags; IAM allows %d", d.Name, len(tags), policy.MaxTags)
		f.Fix = "remove tags that are not Rolekeeper's from the role"
		return f, true
	}
	size := 0
	for _, doc := range d.Policies {
		size += doc.Size()
	}
	for name, raw := range o.Policies {
		_, wanted := d.Policies[name]
		_, written := r.Applied[element(d.Kind, partPolicy+name)]
		if !wanted && !written {
			size += countedSize(raw)
		}
	}
	if size > policy.MaxInlinePerRole {
		f.Kind = PoliciesFull
		f.Message = fmt.Sprintf("role %s would have %d characters of inline policies; IAM allows %d", d.Name, size, policy.MaxInlinePerRole)
		f.Fix = "remove inline policies that were added by hand, or make a managed policy of them"
		return f, true
	}
	return Refusal{}, false
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
	var tags []string
	for _, k := range slices.Sorted(maps.Keys(d.Tags)) {
		tags = append(tags, k, d.Tags[k])
	}
	digests[element(d.Kind, partTags)] = digest(tags...)
	for name, doc := range d.Policies {
		digests[element(d.Kind, partPolicy+name)] = doc.Digest()
	}
	return digests
}

func digest(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(strconv.Quote(part))
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// KindOf gives the role that an element belongs to.
func KindOf(element string) model.RoleKind {
	kind, _, _ := strings.Cut(element, "/")
	return model.RoleKind(kind)
}
