package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// Restoring is a role that is to be as an archive has it, to compare.
type Restoring struct {
	Archive  model.Archive
	Observed *model.ObservedRole // nil: positively absent
	Claim    model.Claim         // on the agent's roles, held by the config in hand; of a retirement that was under way, all is rolled back
	Account  string              // 12 digits
	Boundary string              // ARN of the managed policy that every role carries
}

// BoundaryDiffers refuses to restore a role without our boundary: Rolekeeper has
// no right to make one.
const BoundaryDiffers RefusalKind = "role-boundary-differs"

// fromArchive gives the role that an archive asks for, without its attached
// policies, and which inline ones cannot be read. A trust that cannot be read is
// empty; policy.TrustBeyond tells of it. AWS's own tags are left out: nobody else
// can write them.
func fromArchive(a model.Archive) (d model.Role, unreadable []string) {
	o := a.Role
	d = model.Role{
		Kind: a.Kind, Agent: a.Agent, Name: o.Name, ARN: o.ARN, Description: o.Description, MaxSessionDuration: o.MaxSessionDuration,
		PermissionsBoundary: o.PermissionsBoundary, Policies: map[string]policy.Document{}, Tags: writable(o.Tags),
	}
	if trust, err := policy.Parse(o.Trust); err == nil {
		d.Trust = trust
	}
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		document, err := policy.Parse(o.Policies[name])
		if err != nil {
			unreadable = append(unreadable, fmt.Sprintf("policy %s cannot be read: %v", name, err))
			continue
		}
		d.Policies[name] = document
	}
	return d, unreadable
}

// ArchivedDigests gives the digests of a role as it was archived, but for policies
// that have not the names of ours: those are still others'.
func ArchivedDigests(a model.Archive) map[string]string {
	d, _ := fromArchive(a)
	maps.DeleteFunc(d.Policies, func(name string, _ policy.Document) bool { return !template(a.Agent, name) })
	return Digests(d)
}

// writable gives the tags that are not AWS's own.
func writable(tags map[string]string) map[string]string {
	all := map[string]string{}
	for k, v := range tags {
		if !model.SystemTag(k) {
			all[k] = v
		}
	}
	return all
}

// Plan compares the role with the archive. A role that is not there is made as
// all are, with a reservation in the claim; of one that is there and ours only
// what differs is written, archived first as it is. Once its steps are done, a
// plan has none.
func (r Restoring) Plan() Plan {
	d, unreadable := fromArchive(r.Archive)
	role := Role{Desired: d, Observed: r.Observed, Claim: r.Claim}
	s := stand(role)
	if refusals := r.refusals(role, s, unreadable); len(refusals) > 0 {
		return Plan{Refusals: refusals}
	}
	// Another role of the agent may be half-made: its nonce is not ours to strike out.
	record := Step{Op: RecordRoles, Agent: d.Agent, Claim: naming.RoleClaimKey(d.Agent), Reason: Restore, KeepNonces: len(r.Claim.Creating) > 0}
	switch s {
	case absent:
		// Others' tags may leave no room for the nonce.
		first := d
		first.Tags = maps.Clone(d.Tags)
		maps.DeleteFunc(first.Tags, func(k, _ string) bool { return !strings.HasPrefix(k, ourTags) || k == model.TagCreation })
		reserve := record
		reserve.Op, reserve.Kinds, reserve.KeepNonces = ReserveCreation, []model.RoleKind{d.Kind}, false
		create := Step{Op: CreateRole, Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Reason: Restore, Desired: &first}
		return Plan{Steps: append([]Step{reserve, create, record}, r.differences(d, created(first))...)}
	case halfMade:
		record.RoleIDs = map[model.RoleKind]string{d.Kind: r.Observed.ID}
		return Plan{Steps: append([]Step{record}, r.differences(d, *r.Observed)...)}
	default:
		steps := r.differences(d, *r.Observed)
		if len(steps) > 0 {
			steps = append([]Step{archiveRole(role, Restore)}, steps...)
		}
		return Plan{Steps: steps}
	}
}

// ourTags begin the tags that are Rolekeeper's.
const ourTags = "rolekeeper:"

// created gives a role as CreateRole leaves it.
func created(d model.Role) model.ObservedRole {
	tags := maps.Clone(d.Tags)
	tags[model.TagCreation] = "" // a nonce, which no archive has
	return model.ObservedRole{
		Name: d.Name, ARN: d.ARN, Description: d.Description, MaxSessionDuration: d.MaxSessionDuration,
		PermissionsBoundary: d.PermissionsBoundary, Trust: d.Trust.JSON(), Tags: tags,
	}
}

// differences plans to have the role as it should be, in the order of repairs.
func (r Restoring) differences(d model.Role, o model.ObservedRole) []Step {
	steps := bound(Role{Desired: d, Observed: &o}, Restore)
	steps = append(steps, tagsOf(d, o)...)
	if !d.Trust.Same(o.Trust) {
		steps = append(steps, about(d, UpdateTrust, partTrust, "", Restore))
	}
	steps = append(steps, inline(d, o)...)
	steps = append(steps, attached(d, r.Archive.Role.Attached, o.Attached)...)
	if o.Description != d.Description || o.MaxSessionDuration != d.MaxSessionDuration {
		steps = append(steps, about(d, UpdateSettings, partSettings, "", Restore))
	}
	return steps
}

// swap puts what comes before what goes, unless there is no room for both.
func swap(comes, goes []Step, room bool) []Step {
	if room {
		return append(comes, goes...)
	}
	return append(goes, comes...)
}

func tagsOf(d model.Role, o model.ObservedRole) []Step {
	var comes, goes []Step
	if !tagged(d.Tags, o.Tags) {
		comes = append(comes, about(d, TagRole, partTags, "", Restore))
	}
	all := writable(o.Tags)
	var surplus []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if _, wanted := d.Tags[k]; !wanted {
			surplus = append(surplus, k)
		}
	}
	if len(surplus) > 0 {
		untag := about(d, UntagRole, partTags, "", Restore)
		untag.Tags = surplus
		goes = append(goes, untag)
	}
	return swap(comes, goes, len(surplus)+len(d.Tags) <= policy.MaxTags)
}

func inline(d model.Role, o model.ObservedRole) []Step {
	var puts, goes []Step
	size := 0
	for _, name := range byGrowth(Role{Desired: d, Observed: &o}) {
		size += d.Policies[name].Size()
		if raw, there := o.Policies[name]; !there || !d.Policies[name].Same(raw) {
			puts = append(puts, about(d, PutPolicy, partPolicy, name, Restore))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		if _, wanted := d.Policies[name]; !wanted {
			size += countedSize(o.Policies[name])
			goes = append(goes, about(d, DeletePolicy, partPolicy, name, Restore))
		}
	}
	return swap(puts, goes, size <= policy.MaxInlinePerRole)
}

// maxAttached is how many managed policies a role can have; an account can ask
// for more (IAM User Guide, "IAM and AWS STS quotas").
const maxAttached = 10

func attached(d model.Role, want, have []string) []Step {
	var comes, goes []Step
	for _, arn := range want {
		if !slices.Contains(have, arn) {
			comes = append(comes, about(d, AttachPolicy, partAttached, arn, Restore))
		}
	}
	for _, arn := range have {
		if !slices.Contains(want, arn) {
			goes = append(goes, about(d, DetachPolicy, partAttached, arn, Restore))
		}
	}
	return swap(comes, goes, len(want)+len(goes) <= maxAttached)
}

// refusals says why the role is not restored: it is not ours, or the archive asks
// for one that Rolekeeper would not make.
func (r Restoring) refusals(role Role, s standing, unreadable []string) []Refusal {
	d := role.Desired
	var all []Refusal
	refuse := func(kind RefusalKind, fix, format string, args ...any) {
		all = append(all, Refusal{Agent: d.Agent, Role: d.Name, ARN: d.ARN, Kind: kind, Message: fmt.Sprintf(format, args...), Fix: fix})
	}
	if s == strange {
		kind, message := NotOurs, fmt.Sprintf("there is a role %s, and Rolekeeper did not make it", d.Name)
		if was := r.Claim.RoleID(d.Kind); was != "" {
			kind, message = Replaced, fmt.Sprintf("role %s was deleted and made anew by somebody else: its unique id is %s, ours was %s", d.Name, r.Observed.ID, was)
		}
		refuse(kind, fmt.Sprintf("if nothing uses it, have it deleted and restore again; or have an operator run `rolekeeper adopt %s %s` first", r.Claim.Config, d.Agent), "%s", message)
	}
	exact := fmt.Sprintf("restore another archive; or have an administrator run what `rolekeeper restore %s --exact` prints", d.Name)
	for _, why := range policy.TrustBeyond(r.Archive.Role.Trust, service(d.Kind), r.Account) {
		unreadable = append(unreadable, "its trust goes beyond "+service(d.Kind)+" in this account: "+why)
	}
	if len(unreadable) > 0 {
		refuse(Hostile, exact, "the archive has role %s as Rolekeeper makes none: %s", d.Name, strings.Join(unreadable, "; "))
	}
	if is := d.PermissionsBoundary; is != r.Boundary {
		had := "the boundary " + is
		if is == "" {
			had = "no boundary"
		}
		refuse(BoundaryDiffers, exact, "the archive has role %s with %s, and all roles are to have %s", d.Name, had, r.Boundary)
	}
	return all
}

// RestoreHash gives the hex SHA-256 of what the plan of a Restoring does, and
// thereby of the role as it is and as it should be.
func RestoreHash(p Plan) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	for _, s := range p.Steps {
		_ = e.Encode(s) // neither strings, lists and maps nor a hash can be refused
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Notes says what cannot be as the archive has it, a sentence each.
func (r Restoring) Notes() []string {
	was := r.Archive.Role
	var all []string
	switch {
	case r.Observed == nil:
		all = append(all, fmt.Sprintf("IAM gives the role a new unique id; policies elsewhere that name role %s have its old one, %s, and must be written again.", was.Name, was.ID),
			"IAM forgets when the role was last used, and it is in no instance profile.")
	case r.Observed.ID != was.ID:
		all = append(all, fmt.Sprintf("The role was made anew since: its unique id is %s, not %s.", r.Observed.ID, was.ID))
	}
	var system []string
	for _, k := range slices.Sorted(maps.Keys(was.Tags)) {
		if model.SystemTag(k) {
			system = append(system, k)
		}
	}
	if len(system) > 0 {
		all = append(all, fmt.Sprintf("AWS alone can write the tags %s.", strings.Join(system, ", ")))
	}
	return all
}
