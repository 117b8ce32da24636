package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
)

// restoring gives a build role that is there as its archive has it, then changed.
func restoring(change ...func(*plan.Restoring)) plan.Restoring {
	r := leaving().Roles[0]
	o := snapshot(*r.Observed)
	x := plan.Restoring{Archive: archiveOf(r), Observed: &o, Claim: r.Claim, Account: "123456789012", Boundary: "arn:boundary"}
	for _, c := range change {
		c(&x)
	}
	return x
}

func was(change func(*model.ObservedRole)) func(*plan.Restoring) {
	return func(x *plan.Restoring) { change(&x.Archive.Role) }
}

func is(change func(*model.ObservedRole)) func(*plan.Restoring) {
	return func(x *plan.Restoring) { change(x.Observed) }
}

func deleted(x *plan.Restoring) { x.Observed = nil }

// halfRestored has the role be as a run left it that died after its creation.
func halfRestored(x *plan.Restoring) {
	nonce := model.Nonce(model.BuildRole, "random")
	x.Claim.Creating = []string{model.HashNonce(nonce)}
	x.Observed.ID, x.Observed.Policies, x.Observed.Attached = "AROA-anew", nil, nil
	x.Observed.Tags = map[string]string{model.TagCreation: nonce}
}

func tagsOf(n int, name string) map[string]string {
	tags := map[string]string{}
	for i := range n {
		tags[fmt.Sprint(name, i)] = ""
	}
	return tags
}

func arns(n int, name string) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint("arn:", name, i))
	}
	return all
}

func TestRestore(t *testing.T) {
	const archive = "archive-role role-build restore"
	big := document("s3:" + strings.Repeat("A", 6000)).JSON()
	anew := []string{
		"reserve-creation " + claim + " restore build", "create-role role-build restore", "record-roles " + claim + " restore",
		"tag-role role-build restore", "untag-role role-build rolekeeper:creation restore",
		"put-policy role-build one restore", "put-policy role-build two restore", "attach-policy role-build " + attached + " restore",
	}
	for name, c := range map[string]struct {
		restoring plan.Restoring
		want      []string
	}{
		"of a role that is as it was":                   {restoring(), nil},
		"of a role that is as it was, in other letters": {restoring(is(func(o *model.ObservedRole) { o.Trust, o.Policies["one"] = " "+o.Trust, " "+o.Policies["one"] })), nil},
		"of a role that is gone":                        {restoring(deleted), anew},
		"of a role that is gone, and had a nonce":       {restoring(deleted, was(func(o *model.ObservedRole) { o.Tags[model.TagCreation] = "build-1" })), slices.Concat(anew[:4], anew[5:])},
		"of a role that is gone, and had our tags alone": {
			restoring(deleted, was(func(o *model.ObservedRole) { o.Tags = map[string]string{model.TagConfig: "configs/a"} })), slices.Concat(anew[:3], anew[4:]),
		},
		"of a role that is gone, and had nothing": {
			restoring(deleted, was(func(o *model.ObservedRole) { o.Tags, o.Policies, o.Attached = nil, nil, nil })), slices.Concat(anew[:3], anew[4:5]),
		},
		"of a role that is gone, and had all the tags there can be": {
			restoring(deleted, was(func(o *model.ObservedRole) { o.Tags = tagsOf(50, "theirs") })), slices.Concat(anew[:3], []string{anew[4], anew[3]}, anew[5:]),
		},
		"that was cut after the creation": {restoring(halfRestored), slices.Concat(anew[2:])},
		"of a role that was adopted":      {restoring(func(x *plan.Restoring) { x.Claim.Adopting = []model.RoleKind{model.BuildRole} }, is(func(o *model.ObservedRole) { o.Description = "mine" })), []string{archive, "update-settings role-build restore"}},
		"of a role that was made anew":    {restoring(func(x *plan.Restoring) { x.Archive.Role.ID = "AROA-old" }, is(func(o *model.ObservedRole) { o.Description = "mine" })), []string{archive, "update-settings role-build restore"}},
		"of everything": {
			restoring(is(func(o *model.ObservedRole) {
				o.PermissionsBoundary, o.Trust, o.Description, o.Tags = "", "{}", "mine", map[string]string{"t1": "v1", "theirs": "", "also": ""}
				o.Policies, o.Attached = map[string]string{"one": "{}", "three": "{}"}, []string{"arn:other"}
			})),
			[]string{
				archive, "put-boundary role-build restore", "tag-role role-build restore", "untag-role role-build also,theirs restore", "update-trust role-build restore",
				"put-policy role-build one restore", "put-policy role-build two restore", "delete-policy role-build three restore",
				"attach-policy role-build " + attached + " restore", "detach-policy role-build arn:other restore", "update-settings role-build restore",
			},
		},
		"of the session length":          {restoring(is(func(o *model.ObservedRole) { o.MaxSessionDuration = 7200 })), []string{archive, "update-settings role-build restore"}},
		"of a tag's value":               {restoring(is(func(o *model.ObservedRole) { o.Tags["t1"] = "v2" })), []string{archive, "tag-role role-build restore"}},
		"leaves AWS's own tags":          {restoring(was(func(o *model.ObservedRole) { o.Tags["aws:old"] = "" }), is(func(o *model.ObservedRole) { o.Tags["aws:new"] = "" })), nil},
		"of a trust out of a quarantine": {restoring(is(func(o *model.ObservedRole) { o.Trust = policy.Quarantine(services[model.BuildRole]).JSON() })), []string{archive, "update-trust role-build restore"}},
		"where there is no room for tags, old and new": {
			restoring(was(func(o *model.ObservedRole) { o.Tags = tagsOf(30, "old") }), is(func(o *model.ObservedRole) { o.Tags = tagsOf(30, "new") })),
			[]string{archive, "untag-role role-build " + strings.Join(slices.Sorted(maps.Keys(tagsOf(30, "new"))), ",") + " restore", "tag-role role-build restore"},
		},
		"where there is just room for tags, old and new": {
			restoring(was(func(o *model.ObservedRole) { o.Tags = tagsOf(49, "old") }), is(func(o *model.ObservedRole) { o.Tags = tagsOf(1, "new") })),
			[]string{archive, "tag-role role-build restore", "untag-role role-build new0 restore"},
		},
		"where there is no room for policies, old and new": {
			restoring(was(func(o *model.ObservedRole) { o.Policies = map[string]string{"old": big} }), is(func(o *model.ObservedRole) { o.Policies = map[string]string{"new": big} })),
			[]string{archive, "delete-policy role-build new restore", "put-policy role-build old restore"},
		},
		"of a policy that shrinks before one that grows": {
			restoring(was(func(o *model.ObservedRole) { o.Policies["one"] = big }), is(func(o *model.ObservedRole) { o.Policies["two"] = big })),
			[]string{archive, "put-policy role-build two restore", "put-policy role-build one restore"},
		},
		"where there is no room for attached policies, old and new": {
			restoring(was(func(o *model.ObservedRole) { o.Attached = arns(6, "old") }), is(func(o *model.ObservedRole) { o.Attached = arns(5, "new") })),
			slices.Concat([]string{archive}, around("detach-policy role-build ", arns(5, "new"), " restore"), around("attach-policy role-build ", arns(6, "old"), " restore")),
		},
		"where there is room for them": {
			restoring(was(func(o *model.ObservedRole) { o.Attached = arns(5, "old") }), is(func(o *model.ObservedRole) { o.Attached = arns(5, "new") })),
			slices.Concat([]string{archive}, around("attach-policy role-build ", arns(5, "old"), " restore"), around("detach-policy role-build ", arns(5, "new"), " restore")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.restoring.Plan()
			if len(p.Refusals) > 0 {
				t.Errorf("refused: %+v", p.Refusals)
			}
			if diff := cmp.Diff(c.want, written(p.Steps)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func around(before string, all []string, after string) []string {
	var out []string
	for _, s := range all {
		out = append(out, before+s+after)
	}
	return out
}

func TestWhatIsRestored(t *testing.T) {
	x := restoring(deleted, func(x *plan.Restoring) { x.Claim.Creating = []string{"of the other role"} }, was(func(o *model.ObservedRole) {
		o.Tags = map[string]string{model.TagConfig: "configs/a", model.TagCreation: "build-1", "aws:x": "", "cost": "42"}
	}))
	for _, s := range x.Plan().Steps {
		if s.Agent != "a" || s.Reason != plan.Restore {
			t.Errorf("%s is of agent %q, to %s", s.Op, s.Agent, s.Reason)
		}
		switch s.Op {
		case plan.ReserveCreation:
			if !slices.Equal(s.Kinds, []model.RoleKind{model.BuildRole}) {
				t.Errorf("reserved are %v", s.Kinds)
			}
		case plan.RecordRoles:
			if !s.KeepNonces {
				t.Error("nonces of the other role are struck out")
			}
		case plan.CreateRole:
			want := model.Role{
				Kind: model.BuildRole, Agent: "a", Name: "role-build", ARN: "arn:aws:iam::123456789012:role/role-build", Description: "of a", MaxSessionDuration: 3600,
				PermissionsBoundary: "arn:boundary", Trust: trustOf(model.BuildRole), Tags: map[string]string{model.TagConfig: "configs/a"},
				Policies: map[string]policy.Document{"one": document("s3:GetObject"), "two": document("s3:PutObject")},
			}
			if diff := cmp.Diff(want, *s.Desired); diff != "" {
				t.Errorf("created (-want +got):\n%s", diff)
			}
		case plan.TagRole:
			want := map[string]string{model.TagConfig: "configs/a", model.TagCreation: "build-1", "cost": "42"}
			if diff := cmp.Diff(want, s.Desired.Tags); diff != "" {
				t.Errorf("tagged (-want +got):\n%s", diff)
			}
		}
	}
	if s := restoring(deleted).Plan().Steps[2]; s.KeepNonces {
		t.Error("the nonce of the role made just now stays in the claim")
	}
	if s := restoring(halfRestored).Plan().Steps[0]; s.RoleIDs[model.BuildRole] != "AROA-anew" || len(s.RoleIDs) != 1 {
		t.Errorf("recorded are %v", s.RoleIDs)
	}
	if s := restoring(is(func(o *model.ObservedRole) { o.Description = "mine" })).Plan().Steps[0]; s.Observed.Description != "mine" {
		t.Errorf("archived is %+v", s.Observed)
	}
}

func TestWhatIsNotRestored(t *testing.T) {
	const (
		arn   = "arn:aws:iam::123456789012:role/role-build"
		exact = "restore another archive; or have an administrator run what `rolekeeper restore role-build --exact` prints"
		adopt = "if nothing uses it, have it deleted and restore again; or have an operator run `rolekeeper adopt configs/a a` first"
	)
	refusal := func(kind plan.RefusalKind, message, fix string) plan.Refusal {
		return plan.Refusal{Agent: "a", Role: "role-build", ARN: arn, Kind: kind, Message: message, Fix: fix}
	}
	stranger := is(func(o *model.ObservedRole) { o.ID = "AROA-stranger" })
	unbound := was(func(o *model.ObservedRole) { o.PermissionsBoundary = "" })
	open := was(func(o *model.ObservedRole) { o.Trust = trustOf(model.RuntimeRole).JSON() })
	elsewhere := "the archive has role role-build as Rolekeeper makes none: its trust goes beyond codebuild.amazonaws.com in this account: "
	for name, c := range map[string]struct {
		restoring plan.Restoring
		want      []plan.Refusal
	}{
		"a role that somebody else made": {restoring(stranger, func(x *plan.Restoring) { x.Claim.BuildRoleID = "" }), []plan.Refusal{
			refusal(plan.NotOurs, "there is a role role-build, and Rolekeeper did not make it", adopt),
		}},
		"a role that somebody else made anew": {restoring(stranger), []plan.Refusal{
			refusal(plan.Replaced, "role role-build was deleted and made anew by somebody else: its unique id is AROA-stranger, ours was AROA-build", adopt),
		}},
		"a role made with a nonce, and changed since": {restoring(halfRestored, is(func(o *model.ObservedRole) { o.Policies = map[string]string{"x": "{}"} })), []plan.Refusal{
			refusal(plan.Replaced, "role role-build was deleted and made anew by somebody else: its unique id is AROA-anew, ours was AROA-build", adopt),
		}},
		"a trust in others": {restoring(open), []plan.Refusal{
			refusal(plan.Hostile, elsewhere+"statement 1 lets Service bedrock-agentcore.amazonaws.com assume the role", exact),
		}},
		"a trust in others, of a role that is gone": {restoring(open, deleted), []plan.Refusal{
			refusal(plan.Hostile, elsewhere+"statement 1 lets Service bedrock-agentcore.amazonaws.com assume the role", exact),
		}},
		"a trust that another account was tied to": {restoring(func(x *plan.Restoring) { x.Account = "999999999999" }), []plan.Refusal{
			refusal(plan.Hostile, elsewhere+"statement 1 does not tie codebuild.amazonaws.com to account 999999999999 by aws:SourceAccount or aws:SourceArn", exact),
		}},
		"a trust that cannot be read": {restoring(was(func(o *model.ObservedRole) { o.Trust = "{}" })), []plan.Refusal{
			refusal(plan.Hostile, elsewhere+"read policy document: no Statement", exact),
		}},
		"policies that cannot be read": {restoring(was(func(o *model.ObservedRole) { o.Policies["one"], o.Policies["two"] = "{}", "[" })), []plan.Refusal{
			refusal(plan.Hostile, "the archive has role role-build as Rolekeeper makes none: policy one cannot be read: read policy document: no Statement; "+
				"policy two cannot be read: read policy document: unexpected EOF", exact),
		}},
		"no boundary": {restoring(unbound), []plan.Refusal{
			refusal(plan.BoundaryDiffers, "the archive has role role-build with no boundary, and all roles are to have arn:boundary", exact),
		}},
		"another boundary": {restoring(func(x *plan.Restoring) { x.Boundary = "arn:new" }), []plan.Refusal{
			refusal(plan.BoundaryDiffers, "the archive has role role-build with the boundary arn:boundary, and all roles are to have arn:new", exact),
		}},
		"all of it": {restoring(stranger, open, unbound), []plan.Refusal{
			refusal(plan.Replaced, "role role-build was deleted and made anew by somebody else: its unique id is AROA-stranger, ours was AROA-build", adopt),
			refusal(plan.Hostile, elsewhere+"statement 1 lets Service bedrock-agentcore.amazonaws.com assume the role", exact),
			refusal(plan.BoundaryDiffers, "the archive has role role-build with no boundary, and all roles are to have arn:boundary", exact),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.restoring.Plan()
			if diff := cmp.Diff(c.want, p.Refusals); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
			if len(p.Steps) > 0 {
				t.Errorf("refused, and done: %q", written(p.Steps))
			}
		})
	}
}

func TestWhatCannotBeTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		restoring plan.Restoring
		want      []string
	}{
		"nothing, of a role that is there": {restoring(), nil},
		"the id and the last use of a role that is gone": {restoring(deleted), []string{
			"IAM gives the role a new unique id; policies elsewhere that name role role-build have its old one, AROA-build, and must be written again.",
			"IAM forgets when the role was last used, and it is in no instance profile.",
		}},
		"the id of a role that was made anew": {restoring(func(x *plan.Restoring) { x.Archive.Role.ID = "AROA-old" }), []string{
			"The role was made anew since: its unique id is AROA-build, not AROA-old.",
		}},
		"AWS's own tags": {restoring(was(func(o *model.ObservedRole) { o.Tags["aws:b"], o.Tags["aws:a"] = "", "" })), []string{
			"AWS alone can write the tags aws:a, aws:b.",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.restoring.Notes()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARestoreIsKnownByWhatItDoes(t *testing.T) {
	seen := map[string]string{}
	for name, x := range map[string]plan.Restoring{
		"nothing":                       restoring(),
		"a role that is gone":           restoring(deleted),
		"another role that is gone":     restoring(deleted, was(func(o *model.ObservedRole) { o.Description = "older" })),
		"other policies":                restoring(deleted, was(func(o *model.ObservedRole) { o.Policies["one"] = document("s3:*").JSON() })),
		"other attached policies":       restoring(deleted, was(func(o *model.ObservedRole) { o.Attached = nil })),
		"a description":                 restoring(is(func(o *model.ObservedRole) { o.Description = "mine" })),
		"a description that is another": restoring(is(func(o *model.ObservedRole) { o.Description = "yours" })),
		"half of it":                    restoring(halfRestored),
	} {
		hash := plan.RestoreHash(x.Plan())
		if other, twice := seen[hash]; twice || len(hash) != 64 {
			t.Errorf("%s is %s, as %s", name, hash, other)
		}
		seen[hash] = name
		if again := plan.RestoreHash(x.Plan()); again != hash {
			t.Errorf("%s is %s and %s", name, hash, again)
		}
	}
}

// anyRestore draws an archive of a role, and the role as it is now.
func anyRestore(t *rapid.T) (plan.Restoring, estate) {
	x := restoring()
	anyRole(t, &x.Archive.Role)
	x.Archive.Role.Trust = trustOf(model.BuildRole).JSON()
	if rapid.Bool().Draw(t, "archived with the trust of a quarantine") {
		x.Archive.Role.Trust = policy.Quarantine(services[model.BuildRole]).JSON()
	}
	anyRole(t, x.Observed)
	x.Observed.PermissionsBoundary = rapid.SampledFrom([]string{"arn:boundary", "arn:other", ""}).Draw(t, "boundary")
	x.Observed.Trust = rapid.SampledFrom([]string{x.Archive.Role.Trust, trustOf(model.RuntimeRole).JSON(), "{}"}).Draw(t, "trust")
	e := estate{account: account{map[string]*model.ObservedRole{}, x.Claim, map[string]model.ObservedRole{}}, archives: map[string]model.Archive{}}
	switch rapid.SampledFrom([]string{"there", "gone", "half-made"}).Draw(t, "now") {
	case "there":
		e.roles[x.Observed.Name] = x.Observed
	case "half-made":
		x.Observed.Trust, x.Observed.PermissionsBoundary = trustOf(model.BuildRole).JSON(), "arn:boundary"
		halfRestored(&x)
		e.claim, e.roles[x.Observed.Name] = x.Claim, x.Observed
	}
	if rapid.Bool().Draw(t, "with a nonce of the other role") {
		e.claim = e.claim.WithCreating("x")
	}
	return x, e
}

// anyRole draws what a role can have within IAM's quotas.
func anyRole(t *rapid.T, o *model.ObservedRole) {
	names := rapid.SampledFrom([]string{"one", "two", "three", "four", "five"})
	o.Policies = map[string]string{}
	size := 0
	for _, name := range rapid.SliceOfNDistinct(names, 0, 5, rapid.ID[string]).Draw(t, "policies") {
		raw := document("s3:" + strings.Repeat("A", rapid.SampledFrom([]int{1, 2, 3000, 6000, 9000}).Draw(t, "size"))).JSON()
		if size += len(raw); size <= policy.MaxInlinePerRole {
			o.Policies[name] = raw
		}
	}
	o.Attached = nil
	for i := range rapid.IntRange(0, 10).Draw(t, "attached") {
		o.Attached = append(o.Attached, fmt.Sprint("arn:", rapid.IntRange(0, 1).Draw(t, "of")*10+i))
	}
	slices.Sort(o.Attached)
	o.Tags = map[string]string{}
	for range rapid.SampledFrom([]int{0, 1, 2, 49, 50}).Draw(t, "tags") {
		key := rapid.SampledFrom([]string{"a", "b", "rolekeeper:x"}).Draw(t, "tag") + fmt.Sprint(len(o.Tags))
		o.Tags[key] = rapid.SampledFrom([]string{"", "1"}).Draw(t, "value")
	}
	if rapid.Bool().Draw(t, "nonce") && len(o.Tags) < policy.MaxTags {
		o.Tags[model.TagCreation] = "build-old"
	}
	o.Description = rapid.SampledFrom([]string{"", "of a", "mine"}).Draw(t, "description")
	o.MaxSessionDuration = rapid.SampledFrom([]int32{3600, 43200}).Draw(t, "session")
}

// seen gives the role that is restored as a run finds it.
func (e estate) seen(x plan.Restoring) plan.Restoring {
	now := e.clone()
	x.Claim, x.Observed = now.claim, now.roles[x.Archive.Role.Name]
	return x
}

func TestARoleIsRestoredExactlyHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, e := anyRestore(t)
		before := e.clone()
		for cuts := 0; ; cuts++ {
			p := e.seen(x).Plan()
			if len(p.Refusals) > 0 {
				t.Fatalf("refused after %d cuts: %+v", cuts, p.Refusals)
			}
			if len(p.Steps) == 0 {
				break
			}
			mayBeCut(t, cuts, p.Steps)
			for _, s := range p.Steps[:rapid.IntRange(1, len(p.Steps)).Draw(t, "steps until a cut")] {
				e.restore(t, s)
			}
		}
		got, want := *e.roles["role-build"], x.Archive.Role
		if was := before.roles["role-build"]; was != nil && got.ID != was.ID {
			t.Errorf("the role is %s, and was %s", got.ID, was.ID)
		}
		want.ID = got.ID
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("restored (-archived +got):\n%s", diff)
		}
		if id := e.claim.BuildRoleID; id != got.ID || e.claim.RuntimeRoleID != before.claim.RuntimeRoleID {
			t.Errorf("recorded are %s and %s; the role is %s", id, e.claim.RuntimeRoleID, got.ID)
		}
		if slices.Contains(before.claim.Creating, "x") && !slices.Contains(e.claim.Creating, "x") {
			t.Error("the nonce of the other role is lost")
		}
	})
}

// restore makes one write of a plan that restores a role.
func (e *estate) restore(t *rapid.T, s plan.Step) {
	o := e.roles[s.Role]
	switch s.Op {
	case plan.ArchiveRole:
		if diff := cmp.Diff(*o, *s.Observed); diff != "" {
			t.Fatalf("archived otherwise than it is:\n%s", diff)
		}
		e.account.archive[o.ID] = snapshot(*o)
		return
	case plan.CreateRole:
		if o != nil {
			t.Fatal("the role is there")
		}
	case plan.UpdateTrust: // also to that of a quarantine, where the archive has it
		e.mustKeep(t, *o)
		o.Trust = s.Desired.Trust.JSON()
		return
	case plan.ReserveCreation, plan.RecordRoles:
	default:
		e.mustKeep(t, *o)
	}
	e.apply(t, s)
}

// mustKeep says that a role which was there before is in the archive.
func (e *estate) mustKeep(t *rapid.T, o model.ObservedRole) {
	if _, kept := e.account.archive[o.ID]; !kept && o.ID == "AROA-build" {
		t.Fatal("the role is written before its archive")
	}
}
