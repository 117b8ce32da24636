package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
)

// estate is a model of what the steps of taking an agent away, and of putting a
// role back, are about. It refuses what AWS refuses, and what would lose
// something.
type estate struct {
	account
	profiles   map[string][]string
	project    *model.ObservedProject
	repository *model.ObservedRepository
	parts      model.Claim
	archives   map[string]model.Archive
	recorded   bool // the status knows of the quarantine
	released   bool
}

func (e estate) clone() estate {
	e.account = e.account.clone()
	for _, o := range e.roles {
		o.Attached = slices.Clone(o.Attached)
	}
	e.profiles, e.archives = maps.Clone(e.profiles), maps.Clone(e.archives)
	return e
}

// look gives the agent as a run finds it.
func (e estate) look(like plan.Leaving) plan.Leaving {
	seen := e.clone()
	like.Roles = slices.Clone(like.Roles)
	for i, r := range like.Roles {
		like.Roles[i].Claim, like.Roles[i].Observed = seen.claim, seen.roles[r.Desired.Name]
	}
	like.Profiles, like.Project, like.Repository, like.ProjectClaim = seen.profiles, seen.project, seen.repository, seen.parts
	if e.recorded {
		like.Archives = seen.archives
	} else {
		like.Archives = nil
	}
	return like
}

// isOurs reports whether the role that is there is the one that the claim records.
func (e estate) isOurs(name string) bool {
	o := e.roles[name]
	return o != nil && o.ID == e.claim.RoleID(model.RoleKind(o.Path[1:]))
}

// theirsStays gives all that is not ours.
func (e estate) theirsStays() string {
	var all []any
	for _, name := range slices.Sorted(maps.Keys(e.roles)) {
		if !e.isOurs(name) {
			all = append(all, *e.roles[name])
		}
	}
	if p := e.project; p != nil && !p.Created.Equal(e.parts.ProjectCreated) {
		all = append(all, *p)
	}
	if r := e.repository; r != nil && !r.Created.Equal(e.parts.RepositoryCreated) {
		all = append(all, *r)
	}
	return fmt.Sprint(all)
}

// withinTheBoundary are the writes that IAM refuses to who may only write roles
// that carry the boundary.
var withinTheBoundary = []plan.Op{
	plan.PutPolicy, plan.DeletePolicy, plan.AttachPolicy, plan.DetachPolicy, plan.UpdateTrust, plan.UpdateSettings,
}

func (e *estate) apply(t *rapid.T, s plan.Step) {
	o := e.roles[s.Role]
	if slices.Contains(withinTheBoundary, s.Op) && o.PermissionsBoundary != "arn:boundary" {
		t.Fatalf("%s of a role with boundary %q", s.Op, o.PermissionsBoundary)
	}
	if e.released {
		t.Fatalf("%s after the claims were released", s.Op)
	}
	switch s.Op {
	case plan.MarkDeleting:
		e.claim.Deleting = s.Retirement
	case plan.ClearDeleting:
		e.claim.Deleting = ""
		for _, kind := range s.Kinds {
			e.claim = e.claim.WithRoleID(kind, "")
		}
	case plan.ArchiveRole:
		e.keep(t, s)
	case plan.RecordQuarantine:
		e.recorded = true
	case plan.UpdateTrust:
		if policy.Quarantined(s.Desired.Trust.JSON(), services[s.Desired.Kind]) {
			e.mayClose(t, *o)
		}
		e.account.apply(t, s)
	case plan.AttachPolicy:
		o.Attached = slices.Sorted(slices.Values(append(o.Attached, s.Policy)))
	case plan.DetachPolicy:
		o.Attached = slices.DeleteFunc(o.Attached, func(arn string) bool { return arn == s.Policy })
	case plan.UntagRole:
		maps.DeleteFunc(o.Tags, func(k, _ string) bool { return slices.Contains(s.Tags, k) })
	case plan.LeaveInstanceProfile:
		e.profiles[s.Role] = slices.DeleteFunc(slices.Clone(e.profiles[s.Role]), func(p string) bool { return p == s.Profile })
	case plan.DeleteRole:
		e.deleteRole(t, *o)
	case plan.DeleteProject:
		e.project = nil
	case plan.DeleteRepository:
		e.repository = nil
	case plan.ReleaseClaims:
		e.released = true
	default:
		e.account.apply(t, s)
	}
	if o := e.roles[s.Role]; o != nil {
		checkLimits(t, *o)
	}
}

// keep writes an archive: never of a role that is quarantined.
func (e *estate) keep(t *rapid.T, s plan.Step) {
	o := snapshot(*s.Observed)
	if policy.Quarantined(o.Trust, services[s.Desired.Kind]) {
		t.Fatalf("%s is archived as it is quarantined", s.Role)
	}
	e.archives[s.Role] = model.Archive{V: 1, Config: "configs/a", Agent: s.Agent, Kind: s.Desired.Kind, Retirement: s.Retirement, Role: o}
}

// mayClose says that a role is kept, and known to be on its way out, before
// nobody can assume it any more.
func (e *estate) mayClose(t *rapid.T, o model.ObservedRole) {
	if a, kept := e.archives[o.Name]; !kept || a.Role.ID != o.ID || !e.recorded || e.claim.Deleting != retirement {
		t.Fatalf("%s is quarantined, archived %t, recorded %t, marked %q", o.Name, kept, e.recorded, e.claim.Deleting)
	}
}

// deleteRole refuses as IAM does.
func (e *estate) deleteRole(t *rapid.T, o model.ObservedRole) {
	if len(o.Policies)+len(o.Attached)+len(e.profiles[o.Name]) > 0 {
		t.Fatalf("delete conflict: %s has %v %v %v", o.Name, slices.Collect(maps.Keys(o.Policies)), o.Attached, e.profiles[o.Name])
	}
	if e.project != nil && e.project.Created.Equal(e.parts.ProjectCreated) {
		t.Fatalf("%s is deleted before the project", o.Name)
	}
	delete(e.roles, o.Name)
}

// checkLimits holds a role to the quotas of IAM.
func checkLimits(t *rapid.T, o model.ObservedRole) {
	size := 0
	for _, raw := range o.Policies {
		size += len(raw)
	}
	if size > policy.MaxInlinePerRole || len(o.Tags) > policy.MaxTags || len(o.Attached) > 10 {
		t.Fatalf("role %s has %d characters of policies, %d tags and %d attached policies", o.Name, size, len(o.Tags), len(o.Attached))
	}
}

// anyEstate draws an agent that nothing uses: its roles, project and repository
// ours, somebody else's or absent.
func anyEstate(t *rapid.T) (plan.Leaving, estate) {
	l := leaving()
	l.DeleteRepository = rapid.Bool().Draw(t, "delete repository")
	e := estate{
		account: account{map[string]*model.ObservedRole{}, l.Roles[0].Claim, map[string]model.ObservedRole{}}, profiles: map[string][]string{},
		project: l.Project, repository: l.Repository, parts: l.ProjectClaim, archives: map[string]model.Archive{},
	}
	whose := rapid.SampledFrom([]string{"ours", "ours", "ours", "theirs", "absent"})
	for i := range l.Roles {
		r := &l.Roles[i]
		name := r.Desired.Name
		switch whose.Draw(t, name) {
		case "absent":
			continue
		case "theirs":
			theirs(r)
		}
		anyExtras(t, r.Observed)
		if rapid.Bool().Draw(t, name+" in its profile") {
			e.profiles[name] = []string{name}
		}
		e.roles[name] = r.Observed
	}
	switch whose.Draw(t, "project") {
	case "absent":
		e.project = nil
	case "theirs":
		e.project.Created = noon
	}
	switch whose.Draw(t, "repository") {
	case "absent":
		e.repository = nil
	case "theirs":
		e.repository.Created = noon
	}
	return l, e
}

// anyExtras draws what others put on a role.
func anyExtras(t *rapid.T, o *model.ObservedRole) {
	o.Attached = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"arn:1", "arn:2", "arn:3"}), 0, 3, rapid.ID[string]).Draw(t, "attached")
	slices.Sort(o.Attached)
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"one", "two", "mine", "more"}), 0, 4, rapid.ID[string]).Draw(t, "policies") {
		o.Policies[name] = document(rapid.SampledFrom([]string{"s3:*", "sqs:*"}).Draw(t, "action")).JSON()
	}
	if rapid.Bool().Draw(t, "tagged by others") {
		o.Tags["cost"] = "42"
	}
	o.Description = rapid.SampledFrom([]string{"of a", "mine"}).Draw(t, "description")
}

// mayBeCut says that a plan comes to its end however often it is cut: each run
// makes one step at least, and there are not so many.
func mayBeCut(t *rapid.T, cuts int, left []plan.Step) {
	if cuts > 100 {
		t.Fatalf("after %d cuts there is left to do: %q", cuts, written(left))
	}
}

// quarantine has an estate quarantined, the run cut and made again as often as drawn.
func (e *estate) quarantine(t *rapid.T, like plan.Leaving) {
	for cuts := 0; ; cuts++ {
		steps := e.look(like).Quarantine()
		if len(steps) == 0 {
			return
		}
		mayBeCut(t, cuts, steps)
		for _, s := range steps[:rapid.IntRange(1, len(steps)).Draw(t, "steps until a cut")] {
			e.apply(t, s)
		}
	}
}

func TestAQuarantineComesToTheSameEndHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		like, e := anyEstate(t)
		before := e.clone()
		e.quarantine(t, like)
		for name, o := range e.roles {
			was := *before.roles[name]
			if !before.isOurs(name) {
				if diff := cmp.Diff(was, *o); diff != "" {
					t.Errorf("%s is not ours:\n%s", name, diff)
				}
				continue
			}
			if diff := cmp.Diff(was, e.archives[name].Role); diff != "" {
				t.Errorf("%s was archived otherwise than it was:\n%s", name, diff)
			}
			kind := model.RoleKind(o.Path[1:])
			if !policy.Quarantined(o.Trust, services[kind]) {
				t.Errorf("%s trusts %s", name, o.Trust)
			}
			o.Trust = was.Trust
			if diff := cmp.Diff(was, *o); diff != "" {
				t.Errorf("more than the trust of %s was changed:\n%s", name, diff)
			}
		}
		if got := told(e.look(like).Blockers()); got != nil {
			t.Errorf("a quarantine blocks itself: %q", got)
		}
	})
}

func TestWhatWasQuarantinedComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		like, e := anyEstate(t)
		before := e.clone()
		e.quarantine(t, like)
		steps := e.look(like).Delete()
		for _, s := range steps[:rapid.IntRange(0, len(steps)-1).Draw(t, "deleted until a cut")] {
			e.apply(t, s)
		}
		if got := told(e.look(like).Changed()); got != nil {
			t.Errorf("what a cut run did is taken for somebody else's: %q", got)
		}
		for cuts := 0; ; cuts++ {
			steps := e.look(like).Rollback()
			if len(steps) == 0 {
				break
			}
			mayBeCut(t, cuts, steps)
			for i, s := range steps[:rapid.IntRange(1, len(steps)).Draw(t, "put back until a cut")] {
				if last := slices.IndexFunc(steps, func(other plan.Step) bool { return other.Op == plan.UpdateTrust && other.Role == s.Role }); last >= 0 && i > last {
					t.Fatalf("%s gets its trust before all of its policies", s.Role)
				}
				e.apply(t, s)
			}
		}
		for name, o := range e.roles { // those that were deleted are in the archive
			if diff := cmp.Diff(*before.roles[name], *o); diff != "" {
				t.Errorf("%s is not as it was:\n%s", name, diff)
			}
		}
		if e.claim.Deleting != "" {
			t.Error("the claim is still marked")
		}
		for name, o := range before.roles {
			kind := model.RoleKind(o.Path[1:])
			if _, there := e.roles[name]; before.isOurs(name) && there != (e.claim.RoleID(kind) == o.ID) {
				t.Errorf("%s is there: %t; the claim has %q", name, there, e.claim.RoleID(kind))
			}
		}
	})
}

func TestADeletionTakesAllThatIsOursAndNothingElse(t *testing.T) {
	deletions, refusals := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		like, e := anyEstate(t)
		before := e.clone()
		e.quarantine(t, like)
		stays := e.theirsStays()
		for cuts := 0; !e.released; cuts++ {
			steps := e.look(like).Delete()
			mayBeCut(t, cuts, steps)
			for _, s := range steps[:rapid.IntRange(1, len(steps)).Draw(t, "steps until a cut")] {
				e.apply(t, s)
			}
		}
		if got := e.theirsStays(); got != stays {
			t.Errorf("of others there is %s; it was %s", got, stays)
		}
		for name := range before.roles {
			switch _, there := e.roles[name]; {
			case before.isOurs(name) && there:
				t.Errorf("%s is still there", name)
			case before.isOurs(name):
				deletions++
				if diff := cmp.Diff(*before.roles[name], e.archives[name].Role); diff != "" {
					t.Errorf("%s was deleted, and is archived otherwise than it was:\n%s", name, diff)
				}
			case !there:
				t.Errorf("%s was somebody else's", name)
			default:
				refusals++
			}
		}
		if p := e.project; p != nil && p.Created.Equal(projectMade) {
			t.Error("the project is still there")
		}
		if ours := e.repository != nil && e.repository.Created.Equal(repositoryMade); ours == like.DeleteRepository && ours {
			t.Error("the repository is still there")
		}
		if was := before.repository; was != nil && !like.DeleteRepository && e.repository == nil {
			t.Error("the repository is gone")
		}
	})
	if deletions == 0 || refusals == 0 {
		t.Errorf("%d roles were deleted and %d left", deletions, refusals)
	}
}

func TestAnyUseKeepsARole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		like, e := anyEstate(t)
		if rapid.Bool().Draw(t, "quarantined") {
			e.quarantine(t, like)
		}
		l := e.look(like)
		r := rapid.SampledFrom(l.Roles).Draw(t, "role").Desired
		u := model.Use{
			Role:   rapid.SampledFrom([]string{r.ARN, "arn:aws:iam::123456789012:role/path/" + r.Name}).Draw(t, "arn"),
			ARN:    rapid.SampledFrom([]string{"arn:1", "arn:2", "arn:project-a"}).Draw(t, "holder"),
			Kind:   rapid.SampledFrom([]string{"runtime", "project", "gateway", "harness", "new-kind"}).Draw(t, "kind"),
			Status: rapid.SampledFrom([]string{"", "READY", "DELETING", "DELETE_FAILED", "FAILED", "NEW", "DELETED"}).Draw(t, "status"),
			Newest: rapid.Bool().Draw(t, "newest"), Version: rapid.StringMatching(`[1-9]?`).Draw(t, "version"),
		}
		l.Uses = append(l.Uses, u)
		own := u.Kind == "project" && u.ARN == "arn:project-a" && e.project != nil && e.project.Created.Equal(projectMade)
		want := e.isOurs(r.Name) && u.Status != "DELETED" && !own
		got := slices.ContainsFunc(l.Blockers(), func(b plan.Blocker) bool { return b.Kind == plan.InUse && b.ARN == u.ARN && b.Fix != "" })
		if got != want {
			t.Errorf("got %t, want %t for %+v", got, want, u)
		}
	})
}

func TestARoleThatWasUsedWithinTheGracePeriodIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grace := time.Duration(rapid.Int64Range(1, int64(48*time.Hour)).Draw(t, "grace"))
		ago := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(96*time.Hour)).Draw(t, "ago"))
		l := leaving(func(l *plan.Leaving) { l.Grace = grace }, of(model.RuntimeRole, func(r *plan.Role) { r.Observed.LastUsed = noon.Add(-ago) }))
		if got, want := len(l.Blockers()) > 0, ago < grace; got != want {
			t.Errorf("used %s ago, of %s: got %t, want %t", ago, grace, got, want)
		}
	})
}
