package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// Leaving is an agent that is to be taken away, to judge.
type Leaving struct {
	Agent      string
	Account    string // 12 digits
	Retirement string // id of the retirement

	// Roles are those of the agent's names, the build role first: each with what was
	// read of it, the claim, and of Desired name, ARN, kind, agent and boundary.
	// Those that are not ours are nobody's business.
	Roles    []Role
	Profiles map[string][]string // names of the instance profiles that roles are in, by role

	ProjectClaim     model.Claim               // the zero claim when this config holds none
	Project          *model.ObservedProject    // nil: positively absent
	Repository       *model.ObservedRepository // likewise; read only when DeleteRepository
	DeleteRepository bool                      // it goes, too

	Uses    []model.Use       // all that there are
	Unknown string            // why it is not known what uses there are; empty when it is
	Needed  map[string]string // by name of a role: the agent of the config that is to run or build with it

	Now   time.Time
	Grace time.Duration // a role that was used within it is in use

	// Archives are the roles as they were archived for this retirement, by name.
	// There are some as soon as the status knows of the quarantine; when it was lost
	// since, the bucket has them under the id that the claim is marked with.
	Archives map[string]model.Archive
}

// Blocker is what keeps an agent from being taken away.
type Blocker struct {
	ARN  string
	Kind BlockerKind
	Fix  string
}

// BlockerKind is stable, for tests and tools.
type BlockerKind string

// The kinds of blockers.
const (
	InUse       BlockerKind = "in-use"            // ARN is what holds the role
	Trusted     BlockerKind = "trusts-others"     // ARN is the role: its trust lets others in
	UsedLately  BlockerKind = "used-lately"       // ARN is the role: it was assumed within the grace period
	UseUnknown  BlockerKind = "use-unknown"       // ARN is the role: a listing failed
	StillNeeded BlockerKind = "still-needed"      // ARN is the role: another agent of the config names it
	InProfile   BlockerKind = "instance-profile"  // ARN is the role: it is in an instance profile of another name
	Unreadable  BlockerKind = "policy-unreadable" // ARN is the role: it could not be put back as it is
	NotDeleted  BlockerKind = "not-deleted"       // ARN is the role: AWS refused to delete it, or what goes with it
	Changed     BlockerKind = "changed"           // ARN is the role: somebody changed it while it was quarantined
	Braked      BlockerKind = "brake"             // ARN is the role: too many were deleted within the hour
)

// Known reports whether it is a kind of blocker: others of a status' blockers
// are refusals.
func (k BlockerKind) Known() bool {
	switch k {
	case InUse, Trusted, UsedLately, UseUnknown, StillNeeded, InProfile, Unreadable, Changed, NotDeleted, Braked:
		return true
	}
	return false
}

// service gives the principal that assumes roles of a kind. Package desired has
// it in the trust of each.
func service(kind model.RoleKind) string {
	if kind == model.BuildRole {
		return "codebuild.amazonaws.com"
	}
	return "bedrock-agentcore.amazonaws.com"
}

// Ours gives the roles that are there and ours: what is quarantined, archived and
// counted.
func (l Leaving) Ours() []Role {
	return slices.DeleteFunc(slices.Clone(l.Roles), func(r Role) bool {
		s := stand(r)
		return s != ours && s != adopted
	})
}

// Quarantined reports whether the trust of a role that is there is what a
// quarantine makes of it.
func (r Role) Quarantined() bool {
	return r.Observed != nil && policy.Quarantined(r.Observed.Trust, service(r.Desired.Kind))
}

// owns reports whether a part that is there is ours.
func (l Leaving) owns(part model.Part, created time.Time) bool {
	return Image{Claim: l.ProjectClaim}.stand(part, created, nil) == ours
}

func (l Leaving) ownsProject() bool {
	return l.Project != nil && l.owns(model.ProjectPart, l.Project.Created)
}

// archived gives a role that is there as it was archived.
func (l Leaving) archived(r Role) (model.Archive, bool) {
	a, kept := l.Archives[r.Desired.Name]
	return a, kept && a.Role.ID == r.Observed.ID
}

// Blockers gives what keeps the agent's roles in use, or may: first what holds
// them, then what is to be said of each role. While there is one, nothing is
// quarantined or deleted, and what is quarantined is put back.
func (l Leaving) Blockers() []Blocker {
	all := l.users()
	for _, r := range l.Ours() {
		all = append(all, l.blockers(r)...)
	}
	return all
}

// Building gives the blockers of an agent whose project builds: that the role is
// used IAM may tell hours later.
func (l Leaving) Building(builds []model.Build) []Blocker {
	var all []Blocker
	for _, b := range builds {
		if !b.State.Ended() && l.ownsProject() {
			all = append(all, Blocker{ARN: l.Project.ARN, Kind: InUse, Fix: fmt.Sprintf("wait for build %s to end, or stop it", b.ID)})
		}
	}
	return all
}

// Braked gives the blockers of an agent that cannot go because most roles went
// within the hour.
func (l Leaving) Braked(most int) []Blocker {
	fix := "wait: at most %d roles are deleted in an hour, and this one goes when there is room; or have an operator approve it, when so many are meant to go"
	if len(l.Ours()) > most {
		fix = "have an operator approve it: at most %d roles are deleted in an hour, and the agent has more"
	}
	var all []Blocker
	for _, r := range l.Ours() {
		all = append(all, Blocker{ARN: r.Observed.ARN, Kind: Braked, Fix: fmt.Sprintf(fix, most)})
	}
	return all
}

// Refused gives the blockers of an agent whose roles AWS refused to delete.
func (l Leaving) Refused(why string) []Blocker {
	var all []Blocker
	for _, r := range l.Roles {
		if id := r.Claim.RoleID(r.Desired.Kind); id != "" {
			all = append(all, Blocker{ARN: r.Desired.ARN, Kind: NotDeleted, Fix: "have the platform team find out why; the next pass tries again: " + why})
		}
	}
	return all
}

// users gives what holds the roles, a blocker each however often it does.
func (l Leaving) users() []Blocker {
	by := map[string][]model.Use{}
	for _, u := range l.Uses {
		if l.holds(u) {
			by[u.ARN] = append(by[u.ARN], u)
		}
	}
	var all []Blocker
	for _, arn := range slices.Sorted(maps.Keys(by)) {
		all = append(all, Blocker{ARN: arn, Kind: InUse, Fix: letGo(by[arn])})
	}
	return all
}

// Kinds and statuses of uses that make a difference here. In any other status,
// known or not, a role may still be assumed.
const (
	useRuntime      = "runtime"
	useProject      = "project"
	useGone         = "DELETED"
	useDeleteFailed = "DELETE_FAILED"
)

// holds reports whether a use is of one of the roles. IAM keeps names apart
// neither by case nor by path; an ARN without an account is taken for ours. The
// agent's own project goes with it.
func (l Leaving) holds(u model.Use) bool {
	if u.Status == useGone || u.Kind == useProject && l.ownsProject() && u.ARN == l.Project.ARN {
		return false
	}
	if parts := strings.Split(u.Role, ":"); len(parts) > 4 && parts[4] != "" && parts[4] != l.Account {
		return false
	}
	return slices.ContainsFunc(l.Ours(), func(r Role) bool { return strings.EqualFold(naming.RoleOf(u.Role), r.Desired.Name) })
}

// letGo says what to do about the uses that one holder makes of the roles: by
// the one that needs the most, and of old versions all.
func letGo(uses []model.Use) string {
	slices.SortFunc(uses, func(a, b model.Use) int {
		return cmp.Or(
			order(b.Status != model.RuntimeDeleting, a.Status != model.RuntimeDeleting), order(b.Newest, a.Newest),
			cmp.Compare(len(a.Version), len(b.Version)), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Role, b.Role),
		)
	})
	u := uses[0]
	what := strings.ReplaceAll(u.Kind, "-", " ")
	if u.Runtime != "" {
		what += " " + u.Runtime
	}
	switch {
	case u.Status == model.RuntimeDeleting:
		return fmt.Sprintf("nothing: the %s is being deleted, which is waited for", what)
	case u.Status == useDeleteFailed:
		return fmt.Sprintf("the deletion of the %s failed: delete it once more", what)
	case u.Kind == useRuntime && u.Newest:
		return fmt.Sprintf("delete the %s; or update it to another role than %s, and delete its versions that have this one", what, naming.RoleOf(u.Role))
	case u.Kind == useRuntime:
		var versions []string
		for _, u := range uses {
			if u.Status != model.RuntimeDeleting && !slices.Contains(versions, u.Version) {
				versions = append(versions, u.Version)
			}
		}
		return fmt.Sprintf("delete version %s of the %s, once no endpoint leads there any more", strings.Join(versions, ", "), what)
	}
	return fmt.Sprintf("delete the %s, or give it another role than %s", what, naming.RoleOf(u.Role))
}

// order sorts what is false before what is true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// blockers gives what is to be said of a role that is ours.
func (l Leaving) blockers(r Role) []Blocker {
	d, o := r.Desired, r.Observed
	var all []Blocker
	tell := func(kind BlockerKind, format string, args ...any) {
		all = append(all, Blocker{ARN: o.ARN, Kind: kind, Fix: fmt.Sprintf(format, args...)})
	}
	if l.Unknown != "" {
		tell(UseUnknown, "nothing: what uses role %s is not known (%s); the next pass looks again", d.Name, l.Unknown)
	}
	if why := policy.TrustBeyond(o.Trust, service(d.Kind), l.Account); len(why) > 0 {
		tell(Trusted, "have it taken from the trust policy of role %s that it goes beyond %s in this account: %s", d.Name, service(d.Kind), strings.Join(why, "; "))
	}
	if free := o.LastUsed.Add(l.Grace); l.Now.Before(free) { // zero is long ago
		tell(UsedLately, "end whatever assumed role %s at %s; if it is not used again, it goes after %s", d.Name, at(o.LastUsed), at(free))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Needed)) {
		if strings.EqualFold(name, d.Name) {
			tell(StillNeeded, "have agent %s of the config use another role than %s", l.Needed[name], d.Name)
		}
	}
	if others := slices.DeleteFunc(slices.Sorted(slices.Values(l.Profiles[d.Name])), func(p string) bool { return p == d.Name }); len(others) > 0 {
		tell(InProfile, "remove role %s from instance profile %s", d.Name, strings.Join(others, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		if _, err := policy.Parse(o.Policies[name]); err != nil {
			tell(Unreadable, "delete policy %s of role %s, or write it anew: it could not be put back as it is (%v)", name, d.Name, err)
			break
		}
	}
	if _, kept := l.archived(r); !kept && r.Quarantined() {
		tell(Changed, "upload the config again, which puts role %s right: its trust is that of a quarantine, and no archive has the one before", d.Name)
	}
	return all
}

func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Quarantine plans to keep everybody from assuming the roles: noted in the claim,
// archived and noted in the status first. It is empty once that is done, and
// when there are no roles of ours: what else there is can go at once. A trust
// that is written late, by another run, is noted again, since roles are deleted
// a while after their trust was.
func (l Leaving) Quarantine() []Step {
	var archives, writes []Step
	roles := l.Ours()
	for _, r := range roles {
		if r.Quarantined() {
			continue // archived before, or else blocked
		}
		if _, kept := l.archived(r); !kept {
			s := archiveRole(r, Retire)
			s.Retirement = l.Retirement
			archives = append(archives, s)
		}
		closed := r.Desired
		closed.Trust = policy.Quarantine(service(r.Desired.Kind))
		writes = append(writes, bound(r, Retire)...)
		writes = append(writes, about(closed, UpdateTrust, partTrust, "", Retire))
	}
	if len(writes) == 0 {
		return nil
	}
	var steps []Step
	if c := roles[0].Claim; c.Deleting != l.Retirement {
		steps = append(steps, l.mark())
	}
	steps = append(append(steps, archives...), Step{Op: RecordQuarantine, Agent: l.Agent, Reason: Retire, Retirement: l.Retirement})
	return append(steps, writes...)
}

func (l Leaving) mark() Step {
	return Step{Op: MarkDeleting, Agent: l.Agent, Claim: naming.RoleClaimKey(l.Agent), Reason: Retire, Retirement: l.Retirement}
}

// about gives a step about one part of a role.
func about(d model.Role, op Op, part, name string, reason Reason) Step {
	return Step{Op: op, Agent: d.Agent, Role: d.Name, Element: element(d.Kind, part+name), Policy: name, Reason: reason, Desired: &d}
}

// bound has a role carry our boundary, without which IAM refuses our other writes.
func bound(r Role, reason Reason) []Step {
	if r.Observed.PermissionsBoundary == r.Desired.PermissionsBoundary {
		return nil
	}
	return []Step{about(r.Desired, PutBoundary, partBoundary, "", reason)}
}

// Changed gives, beside Blockers, the roles that somebody changed while they were
// quarantined. That policies are missing is no change: a run that was cut took
// them down.
func (l Leaving) Changed() []Blocker {
	var all []Blocker
	for _, r := range l.Ours() {
		if what := l.changed(r); len(what) > 0 {
			all = append(all, Blocker{ARN: r.Observed.ARN, Kind: Changed, Fix: fmt.Sprintf(
				"find out who needs role %s (CloudTrail): it was quarantined, and is not as it was left: %s", r.Desired.Name, strings.Join(what, "; "))})
		}
	}
	return all
}

// changed says how a role differs from what its archive and its quarantine make of it.
func (l Leaving) changed(r Role) []string {
	o := r.Observed
	var what []string
	if !r.Quarantined() {
		what = append(what, "the trust policy is another")
	}
	a, kept := l.archived(r)
	if !kept {
		return what
	}
	was := a.Role
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		if before, there := was.Policies[name]; !there {
			what = append(what, fmt.Sprintf("policy %s is new", name))
		} else if !policy.Same(before, o.Policies[name]) {
			what = append(what, fmt.Sprintf("policy %s is another", name))
		}
	}
	for _, arn := range o.Attached {
		if !slices.Contains(was.Attached, arn) {
			what = append(what, fmt.Sprintf("policy %s is attached", arn))
		}
	}
	if o.PermissionsBoundary != r.Desired.PermissionsBoundary {
		what = append(what, "the boundary is another")
	}
	if !maps.Equal(o.Tags, was.Tags) {
		what = append(what, "the tags are others")
	}
	if o.Description != was.Description || o.MaxSessionDuration != was.MaxSessionDuration {
		what = append(what, "the description or the session length is another")
	}
	return what
}

// Delete plans to take everything away that is ours: the project, since it builds
// with the build role, then that, then the runtime role, and the claims at the
// end. It is for agents whose roles are quarantined, or that have none.
func (l Leaving) Delete() []Step {
	var steps []Step
	if len(l.Roles) > 0 && l.Roles[0].Claim.Deleting != l.Retirement { // nobody is to take over what goes
		steps = append(steps, l.mark())
	}
	if l.ownsProject() {
		steps = append(steps, Step{Op: DeleteProject, Agent: l.Agent, Role: l.Project.Name, Element: string(model.ProjectPart), Reason: Retire})
	}
	for _, r := range l.Ours() {
		d := r.Desired
		for _, name := range slices.Sorted(maps.Keys(r.Observed.Policies)) {
			steps = append(steps, about(d, DeletePolicy, partPolicy, name, Retire))
		}
		for _, arn := range r.Observed.Attached {
			steps = append(steps, about(d, DetachPolicy, partAttached, arn, Retire))
		}
		if slices.Contains(l.Profiles[d.Name], d.Name) {
			steps = append(steps, Step{Op: LeaveInstanceProfile, Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Profile: d.Name, Reason: Retire, Desired: &d})
		}
		steps = append(steps, Step{Op: DeleteRole, Agent: d.Agent, Role: d.Name, Element: string(d.Kind), Reason: Retire, Desired: &d})
	}
	if o := l.Repository; l.DeleteRepository && o != nil && l.owns(model.RepositoryPart, o.Created) {
		steps = append(steps, Step{Op: DeleteRepository, Agent: l.Agent, Role: o.Name, Element: string(model.RepositoryPart), Reason: Retire})
	}
	return append(steps, Step{Op: ReleaseClaims, Agent: l.Agent, Claim: naming.RoleClaimKey(l.Agent), Reason: Retire})
}

// Rollback plans to have the roles as they were archived, but for what others
// added since: that stays. Of each role the trust comes last, so that nobody
// gets it with less than it had. The claim forgets the retirement, and the roles
// that are gone: they are made anew when they are wanted. It is empty once that
// is done.
func (l Leaving) Rollback() []Step {
	var steps []Step
	for _, r := range l.Ours() {
		a, kept := l.archived(r)
		if !kept {
			continue
		}
		d, _ := fromArchive(a) // what cannot be parsed was not quarantined
		d.PermissionsBoundary = r.Desired.PermissionsBoundary
		r.Desired = d
		steps = append(steps, bound(r, Restore)...)
		for _, name := range slices.Sorted(maps.Keys(d.Policies)) {
			if _, there := r.Observed.Policies[name]; !there {
				steps = append(steps, about(d, PutPolicy, partPolicy, name, Restore))
			}
		}
		for _, arn := range a.Role.Attached {
			if !slices.Contains(r.Observed.Attached, arn) {
				steps = append(steps, about(d, AttachPolicy, partAttached, arn, Restore))
			}
		}
		// IAM may not show yet that the trust was taken away.
		if r.Quarantined() || r.Claim.Deleting != "" && d.Trust.Same(r.Observed.Trust) {
			steps = append(steps, about(d, UpdateTrust, partTrust, "", Restore))
		}
	}
	if len(l.Roles) == 0 || l.Roles[0].Claim.Deleting == "" {
		return steps
	}
	forget := Step{Op: ClearDeleting, Agent: l.Agent, Claim: naming.RoleClaimKey(l.Agent), Reason: Restore}
	for _, r := range l.Roles {
		if kind := r.Desired.Kind; r.Observed == nil && r.Claim.RoleID(kind) != "" {
			forget.Kinds = append(forget.Kinds, kind)
		}
	}
	return append(steps, forget)
}

// DeletionHash gives the hex SHA-256 of what an operator lets go who approves the
// deletion of an agent's roles: those that the claim on them records.
func DeletionHash(c model.Claim) string { return hashOf("delete", c) }

// ReleaseHash gives the same of what an operator ends the hold of.
func ReleaseHash(c model.Claim) string { return hashOf("release", c) }

func hashOf(what string, c model.Claim) string {
	return digest(what, c.Config, c.Agent, c.RuntimeRoleID, c.BuildRoleID)
}

// RetireHash gives the hex SHA-256 of what an operator has retired who asks it for
// an agent that no config has: the roles of its names that are there, the runtime
// role first.
func RetireHash(config, agent string, roles []model.ObservedRole) string {
	parts := []string{"retire", config, agent}
	for _, o := range roles {
		parts = append(parts, o.Name, o.ID)
	}
	return digest(parts...)
}
