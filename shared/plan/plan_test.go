package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
)

func document(action string) policy.Document {
	return policy.New(policy.Statement{Effect: policy.Allow, Actions: []string{action}, Resources: []string{"*"}})
}

func trust() policy.Document {
	return policy.New(policy.Statement{
		Effect: policy.Allow, Principals: policy.Principals{policy.Service: {"bedrock-agentcore.amazonaws.com"}}, Actions: []string{"sts:AssumeRole"},
	}.With("StringEquals", "aws:SourceAccount", "123456789012"))
}

// role gives a role as it should be.
func role(kind model.RoleKind) model.Role {
	return model.Role{
		Kind: kind, Agent: "a", Name: "role-" + string(kind), ARN: "arn:aws:iam::123456789012:role/role-" + string(kind),
		Description: "of a", MaxSessionDuration: 3600, PermissionsBoundary: "arn:boundary", Trust: trust(),
		Policies: map[string]policy.Document{"one": document("s3:GetObject"), "two": document("s3:PutObject")},
		Tags:     map[string]string{"t1": "v1", "t2": "v2"},
	}
}

// input gives a role that is ours and as it should be, then changed.
func input(kind model.RoleKind, change ...func(*plan.Role)) plan.Role {
	d := role(kind)
	o := &model.ObservedRole{
		Name: d.Name, ARN: d.ARN, ID: "AROA-" + string(kind), Path: "/", Description: d.Description, MaxSessionDuration: 3600,
		PermissionsBoundary: d.PermissionsBoundary, Trust: d.Trust.JSON(), Policies: map[string]string{}, Tags: maps.Clone(d.Tags),
	}
	for name, doc := range d.Policies {
		o.Policies[name] = doc.JSON()
	}
	r := plan.Role{
		Desired: d, Observed: o, Applied: plan.Digests(d),
		Claim: model.Claim{V: 1, Config: "configs/a", Agent: "a", RuntimeRoleID: "AROA-runtime", BuildRoleID: "AROA-build"},
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func absent(r *plan.Role) { r.Observed = nil }

func unrecorded(r *plan.Role) { r.Claim.RuntimeRoleID = "" }

func halfMade(r *plan.Role) {
	unrecorded(r)
	r.Applied = nil
	nonce := model.Nonce(r.Desired.Kind, "random")
	r.Claim.Creating = []string{model.HashNonce(nonce)}
	r.Observed.Tags[model.TagCreation] = nonce
	r.Observed.Policies = nil
}

// lines gives a plan as text: what a reviewer reads.
func lines(p plan.Plan) []string {
	var all []string
	for _, s := range p.Steps {
		what := s.Role
		if s.Claim != "" {
			what = fmt.Sprint(s.Claim, s.Kinds, s.RoleIDs)
		}
		if s.Op == plan.RecordParts || len(s.Parts) > 0 {
			what = fmt.Sprint(s.Claim, s.Parts, slices.Sorted(maps.Keys(s.Created)))
		}
		if s.Op == plan.RecordParts && s.KeepNonces {
			what += " keeping nonces"
		}
		if len(s.Adopting) > 0 {
			what += fmt.Sprint(" adopting ", s.Adopting)
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", s.Op, what, s.Policy, s.Reason)))
	}
	for _, f := range p.Findings {
		all = append(all, fmt.Sprintf("found %s %s repaired=%t", f.Element, f.Kind, f.Repaired))
	}
	for _, r := range p.Refusals {
		all = append(all, fmt.Sprintf("refused %s %s", r.Role, r.Kind))
	}
	return all
}

func TestCompute(t *testing.T) {
	const claim = "claims/roles/ca978112ca.json"
	for name, c := range map[string]struct {
		roles []plan.Role
		want  []string
	}{
		"nothing differs": {roles: []plan.Role{input(model.RuntimeRole), input(model.BuildRole)}},
		"both roles are new": {
			roles: []plan.Role{
				input(model.RuntimeRole, absent, func(r *plan.Role) { r.Claim = model.Claim{} }),
				input(model.BuildRole, absent, func(r *plan.Role) { r.Claim = model.Claim{} }),
			},
			want: []string{
				"reserve-creation " + claim + "[runtime build] map[]  create",
				"create-role role-runtime  create", "create-role role-build  create",
				"record-roles " + claim + "[] map[]  create",
				"put-policy role-runtime one create", "put-policy role-runtime two create",
				"put-policy role-build one create", "put-policy role-build two create",
			},
		},
		"one is half-made, the other absent": {
			roles: []plan.Role{input(model.RuntimeRole, halfMade), input(model.BuildRole, absent, func(r *plan.Role) { r.Claim.BuildRoleID = "" })},
			want: []string{
				"reserve-creation " + claim + "[build] map[runtime:AROA-runtime]  create", "create-role role-build  create",
				"record-roles " + claim + "[] map[runtime:AROA-runtime]  create",
				"put-policy role-runtime one create", "put-policy role-runtime two create",
				"put-policy role-build one create", "put-policy role-build two create",
			},
		},
		"a role was deleted": {
			roles: []plan.Role{input(model.RuntimeRole, absent)},
			want: []string{
				"reserve-creation " + claim + "[runtime] map[]  create", "create-role role-runtime  create", "record-roles " + claim + "[] map[]  create",
				"put-policy role-runtime one create", "put-policy role-runtime two create", "found runtime role-missing repaired=true",
			},
		},
		"the config changed one policy": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Desired.Policies["one"] = document("s3:ListBucket") })},
			want:  []string{"put-policy role-runtime one change"},
		},
		"somebody edited everything": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.PermissionsBoundary, r.Observed.Trust, r.Observed.Description = "", "{}", "mine"
				r.Observed.Tags = nil
				r.Observed.Policies = map[string]string{"one": "not JSON", "mine": document("s3:*").JSON()}
				r.Observed.Attached = []string{"arn:attached"}
			})},
			want: []string{
				"put-boundary role-runtime  drift", "tag-role role-runtime  drift", "update-trust role-runtime  drift",
				"put-policy role-runtime one drift", "put-policy role-runtime two drift", "update-settings role-runtime  drift",
				"found runtime/boundary missing repaired=true", "found runtime/tags edited repaired=true", "found runtime/trust edited repaired=true",
				"found runtime/policy/one edited repaired=true", "found runtime/policy/two missing repaired=true",
				"found runtime/policy/mine extra repaired=false", "found runtime/attached/arn:attached extra repaired=false",
				"found runtime/settings edited repaired=true",
			},
		},
		"a tag of somebody else's is no drift": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.Tags["cost"] = "42" })},
		},
		"a policy of an earlier config goes after its archive": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { delete(r.Desired.Policies, "two") })},
			want:  []string{"archive-role role-runtime  change", "delete-policy role-runtime two change"},
		},
		"a lost status takes no policy away": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { delete(r.Desired.Policies, "two"); r.Applied = nil })},
			want:  []string{"found runtime/policy/two extra repaired=false"},
		},
		"what a lost status leaves different is drift": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.Trust = "{}"; r.Applied = nil })},
			want:  []string{"update-trust role-runtime  drift", "found runtime/trust edited repaired=true"},
		},
		"a role recorded but never given a policy is finished": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.Policies = nil; r.Applied = nil })},
			want:  []string{"put-policy role-runtime one create", "put-policy role-runtime two create"},
		},
		"a role without a record is a stranger's": {
			roles: []plan.Role{input(model.RuntimeRole, unrecorded)},
			want:  []string{"refused role-runtime role-not-ours"},
		},
		"a half-made role with a policy on it is a stranger's": {
			roles: []plan.Role{input(model.RuntimeRole, halfMade, func(r *plan.Role) { r.Observed.Policies = map[string]string{"x": "{}"} })},
			want:  []string{"refused role-runtime role-not-ours"},
		},
		"a half-made role that others may assume is a stranger's": {
			roles: []plan.Role{input(model.RuntimeRole, halfMade, func(r *plan.Role) {
				r.Observed.Trust = strings.ReplaceAll(r.Observed.Trust, "bedrock-agentcore", "lambda")
			})},
			want: []string{"refused role-runtime role-not-ours"},
		},
		"a half-made role without our boundary is a stranger's": {
			roles: []plan.Role{input(model.RuntimeRole, halfMade, func(r *plan.Role) { r.Observed.PermissionsBoundary = "" })},
			want:  []string{"refused role-runtime role-not-ours"},
		},
		"a half-made role at another path is a stranger's": {
			roles: []plan.Role{input(model.RuntimeRole, halfMade, func(r *plan.Role) { r.Observed.ARN = "arn:aws:iam::123456789012:role/evil/role-runtime" })},
			want:  []string{"refused role-runtime role-not-ours"},
		},
		"a nonce of the other role is a stranger's": {
			roles: []plan.Role{input(model.RuntimeRole, halfMade, func(r *plan.Role) {
				nonce := model.Nonce(model.BuildRole, "random")
				r.Claim.Creating = append(r.Claim.Creating, model.HashNonce(nonce))
				r.Observed.Tags[model.TagCreation] = nonce
			})},
			want: []string{"refused role-runtime role-not-ours"},
		},
		"a role with another id was replaced": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.ID = "AROA-other" }), input(model.BuildRole)},
			want:  []string{"refused role-runtime role-replaced"},
		},
		"nonces of roles that are recorded are forgotten": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Claim.Creating = []string{"x"} })},
			want:  []string{"record-roles " + claim + "[] map[]  create"},
		},
		"no room for our tags": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				for i := range 49 {
					r.Observed.Tags[fmt.Sprint("theirs", i)] = ""
				}
				r.Observed.Trust = "{}"
			})},
			want: []string{"update-trust role-runtime  drift", "found runtime/trust edited repaired=true", "refused role-runtime role-tags-full"},
		},
		"no room for our policies": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.Policies = map[string]string{"big": strings.Repeat("x ", 10240)}
				r.Observed.Trust, r.Observed.PermissionsBoundary = "{}", ""
			})},
			want: []string{
				"put-boundary role-runtime  drift", "update-trust role-runtime  drift",
				"found runtime/boundary missing repaired=true", "found runtime/trust edited repaired=true", "found runtime/policy/big extra repaired=false",
				"refused role-runtime role-policies-full",
			},
		},
		"policies that need the room of those that go come after them": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.Policies["old"] = strings.Repeat("x", 10200)
				r.Applied["runtime/policy/old"] = "digest"
				r.Desired.Policies["new"] = document("s3:ListBucket")
			})},
			want: []string{
				"archive-role role-runtime  change", "delete-policy role-runtime old change", "put-policy role-runtime new change",
			},
		},
		"a policy that shrinks makes room for one that grows": {
			roles: []plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.Policies["two"] = strings.Repeat("x", 9000)
				r.Desired.Policies["one"] = document("s3:" + strings.Repeat("A", 9000))
			})},
			want: []string{"put-policy role-runtime two drift", "put-policy role-runtime one change", "found runtime/policy/two edited repaired=true"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.Compute(c.roles, nil)
			if diff := cmp.Diff(c.want, lines(got)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceLinkedRolesThatAreMissingComeFirst(t *testing.T) {
	got := plan.Compute([]plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.Description = "" })}, []plan.ServiceLinkedRole{
		{Name: "Here", Service: "here.amazonaws.com", Present: true}, {Name: "Gone", Service: "gone.amazonaws.com"},
	})
	if want := []string{"create-service-linked-role Gone  create", "update-settings role-runtime  drift", "found runtime/settings edited repaired=true"}; !cmp.Equal(want, lines(got)) {
		t.Errorf("got %v, want %v", lines(got), want)
	}
}

func TestEqualInputsGiveEqualPlans(t *testing.T) {
	inputs := func() []plan.Role {
		return []plan.Role{
			input(model.RuntimeRole, func(r *plan.Role) {
				for i := range 8 {
					r.Desired.Policies[fmt.Sprint("new", i)] = document("s3:GetObject")
					r.Observed.Policies[fmt.Sprint("mine", i)] = "{}"
				}
			}),
			input(model.BuildRole, absent),
		}
	}
	first := lines(plan.Compute(inputs(), nil))
	for range 50 {
		if diff := cmp.Diff(first, lines(plan.Compute(inputs(), nil))); diff != "" {
			t.Fatalf("plans differ:\n%s", diff)
		}
	}
}
