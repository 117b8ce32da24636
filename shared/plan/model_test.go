package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

// account is a model of what the steps of a plan are about: the roles of one
// agent, its claim, and the archive by role id.
type account struct {
	roles   map[string]*model.ObservedRole
	claim   model.Claim
	archive map[string]model.ObservedRole
}

// look gives what Compute is to compare now.
func (a account) look(inputs []plan.Role) []plan.Role {
	roles := slices.Clone(inputs)
	for i, r := range roles {
		roles[i].Observed, roles[i].Claim = nil, a.claim
		if o := a.roles[r.Desired.Name]; o != nil {
			seen := snapshot(*o)
			roles[i].Observed = &seen
		}
	}
	return roles
}

func snapshot(o model.ObservedRole) model.ObservedRole {
	o.Policies, o.Tags = maps.Clone(o.Policies), maps.Clone(o.Tags)
	return o
}

func (a account) clone() account {
	b := account{map[string]*model.ObservedRole{}, a.claim, maps.Clone(a.archive)}
	for name, o := range a.roles {
		seen := snapshot(*o)
		b.roles[name] = &seen
	}
	return b
}

// apply makes one write.
func (a *account) apply(t *rapid.T, s plan.Step) {
	o := a.roles[s.Role]
	switch s.Op {
	case plan.ReserveCreation, plan.RecordRoles:
		for kind, id := range s.RoleIDs {
			a.claim = a.claim.WithRoleID(kind, id)
		}
		a.claim = a.claim.WithAdopting(s.Adopting...)
		for _, kind := range s.Kinds {
			a.claim = a.claim.WithCreating(model.HashNonce(model.Nonce(kind, "random")))
		}
		if s.Op == plan.RecordRoles {
			for _, o := range a.roles {
				if kind := model.RoleKind(o.Path[1:]); a.claim.Made(kind, o.Tags[model.TagCreation]) {
					a.claim = a.claim.WithRoleID(kind, o.ID)
				}
			}
			if !s.KeepNonces {
				a.claim.Creating = nil
			}
		}
	case plan.FinishAdoption:
		a.claim = a.claim.WithoutAdopting(s.Adopting...)
	case plan.CreateRole:
		d := *s.Desired
		tags := maps.Clone(d.Tags)
		tags[model.TagCreation] = model.Nonce(d.Kind, "random")
		a.roles[s.Role] = &model.ObservedRole{
			Name: d.Name, ARN: d.ARN, ID: "AROA-new-" + string(d.Kind), Path: "/" + string(d.Kind), Description: d.Description, MaxSessionDuration: d.MaxSessionDuration,
			PermissionsBoundary: d.PermissionsBoundary, Trust: d.Trust.JSON(), Policies: map[string]string{}, Tags: tags,
		}
	case plan.ArchiveRole:
		if _, kept := a.archive[s.Observed.ID]; !kept {
			a.archive[s.Observed.ID] = snapshot(*s.Observed)
		}
	case plan.PutBoundary:
		o.PermissionsBoundary = s.Desired.PermissionsBoundary
	case plan.TagRole:
		if o.Tags == nil {
			o.Tags = map[string]string{}
		}
		maps.Copy(o.Tags, s.Desired.Tags)
	case plan.UpdateTrust:
		o.Trust = s.Desired.Trust.JSON()
	case plan.PutPolicy:
		if o.Policies == nil {
			o.Policies = map[string]string{}
		}
		o.Policies[s.Policy] = s.Desired.Policies[s.Policy].JSON()
	case plan.DeletePolicy:
		delete(o.Policies, s.Policy)
	case plan.UpdateSettings:
		o.Description, o.MaxSessionDuration = s.Desired.Description, s.Desired.MaxSessionDuration
	default:
		t.Fatalf("nobody can apply %s", s.Op)
	}
}

// anyRoles draws both roles of an agent: each absent, ours, somebody else's or
// being taken over, and changed in some ways.
func anyRoles(t *rapid.T) ([]plan.Role, account) {
	a := account{map[string]*model.ObservedRole{}, model.Claim{V: 1, Config: "configs/a", Agent: "a"}, map[string]model.ObservedRole{}}
	ways := plan.Existing(rapid.SampledFrom([]string{"report", "adopt", "adopt", "refuse"}).Draw(t, "existing"))
	ask := rapid.Bool().Draw(t, "requested")
	var roles []plan.Role
	for _, kind := range []model.RoleKind{model.RuntimeRole, model.BuildRole} {
		r := input(kind)
		r.Observed.Path = "/" + string(kind)
		switch rapid.SampledFrom([]string{"absent", "ours", "theirs", "theirs", "theirs", "replaced", "hostile", "being adopted"}).Draw(t, string(kind)) {
		case "absent":
			absent(&r)
		case "theirs":
			stranger(&r)
		case "replaced":
			stranger(&r)
			replaced(&r)
		case "hostile":
			stranger(&r)
			r.Observed.Trust = "{}"
		case "being adopted":
			stranger(&r)
			adopting(&r)
		}
		r.Existing, r.Requested = ways, ask
		if o := r.Observed; o != nil {
			if o.Policies == nil {
				o.Policies = map[string]string{}
			}
			for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"one", "two", naming.BuildPolicy, naming.JWTPolicy, naming.RuntimePolicy("a"), "more"}), rapid.ID[string]).Draw(t, "policies") {
				o.Policies[name] = document(rapid.SampledFrom([]string{"s3:*", "s3:PutObject", "sqs:*"}).Draw(t, "action")).JSON()
			}
			if rapid.IntRange(0, 4).Draw(t, "policies full") == 0 {
				o.Policies["big"] = document(fmt.Sprintf("s3:%010000d", 0)).JSON()
			}
			if rapid.IntRange(0, 4).Draw(t, "tags full") == 0 {
				fullOfTags(&r)
			}
			a.roles[r.Desired.Name] = o
		}
		a.claim = a.claim.WithRoleID(kind, r.Claim.RoleID(kind)).WithAdopting(r.Claim.Adopting...)
		roles = append(roles, r)
	}
	if rapid.Bool().Draw(t, "nothing known of what was applied") {
		roles[0].Applied, roles[1].Applied = nil, nil
	}
	return roles, a
}

func TestAPlanLeavesNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, a := anyRoles(t)
		for _, s := range plan.Compute(a.look(roles), nil).Steps {
			a.apply(t, s)
		}
		if again := plan.Compute(a.look(roles), nil); len(again.Steps) > 0 {
			t.Fatalf("left to do: %q", lines(again))
		}
	})
}

func TestAnAdoptionThatIsCutComesToTheSameEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, start := anyRoles(t)
		first := plan.Compute(start.look(roles), nil)
		end := start.clone()
		for _, s := range first.Steps {
			end.apply(t, s)
		}
		for cut := range first.Steps {
			a := start.clone()
			for _, s := range first.Steps[:cut] {
				a.apply(t, s)
			}
			// Once it is in the claim, nobody has to ask for it any more.
			now := slices.Clone(roles)
			for i, r := range now {
				if slices.Contains(a.claim.Adopting, r.Desired.Kind) {
					now[i].Existing, now[i].Requested, now[i].Managed = plan.RefuseExisting, false, nil
				}
			}
			p := plan.Compute(a.look(now), nil)
			for _, f := range p.Findings {
				if f.Kind != plan.Extra && slices.Contains(a.claim.Adopting, plan.KindOf(f.Element)) {
					t.Errorf("cut after %d: %s of a role that is being taken over is told as %s", cut, f.Element, f.Kind)
				}
			}
			for _, s := range p.Steps {
				a.apply(t, s)
			}
			if diff := cmp.Diff(end.roles, a.roles); diff != "" {
				t.Fatalf("cut after %d of %q (-whole +cut)\n%s", cut, lines(first), diff)
			}
			if diff := cmp.Diff(end.archive, a.archive); diff != "" {
				t.Fatalf("cut after %d of %q (-whole +cut)\n%s", cut, lines(first), diff)
			}
			// A refused role keeps the nonces, of every attempt.
			if diff := cmp.Diff(end.claim, a.claim, cmpopts.IgnoreFields(model.Claim{}, "Creating")); diff != "" {
				t.Fatalf("cut after %d of %q (-whole +cut)\n%s", cut, lines(first), diff)
			}
		}
	})
}

func TestARoleIsKeptAndNotedBeforeItIsTakenOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, a := anyRoles(t)
		before := a.clone()
		for _, s := range plan.Compute(a.look(roles), nil).Steps {
			if s.Op != plan.ArchiveRole && s.Op != plan.CreateRole && s.Role != "" {
				id, kind := a.roles[s.Role].ID, s.Desired.Kind
				_, kept := a.archive[id]
				if theirs := before.claim.RoleID(kind) != id && before.roles[s.Role] != nil; theirs && (!kept || a.claim.RoleID(kind) != id) {
					t.Fatalf("%s of %s comes before its archive and the claim", s.Op, s.Role)
				}
			}
			a.apply(t, s)
		}
		for id, o := range a.archive {
			if diff := cmp.Diff(*before.roles[o.Name], o); diff != "" || o.ID != id {
				t.Errorf("%s was archived otherwise than it was:\n%s", id, diff)
			}
		}
	})
}

func TestAHostileRoleIsNeverWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, a := anyRoles(t)
		for _, r := range a.look(roles) {
			hostile := r.Observed != nil && r.Observed.Trust == "{}"
			for _, s := range plan.Compute(a.look(roles), nil).Steps {
				_, recorded := s.RoleIDs[r.Desired.Kind]
				if hostile && (s.Role == r.Desired.Name || recorded || slices.Contains(s.Adopting, r.Desired.Kind)) {
					t.Fatalf("%s is about a hostile role", s.Op)
				}
			}
		}
	})
}
