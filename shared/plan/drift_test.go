package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
)

func reporting(r *plan.Role) { r.Drift = plan.ReportDrift }

func unmanaged(u plan.Unmanaged) func(*plan.Role) { return func(r *plan.Role) { r.Unmanaged = u } }

// handEdited makes the role one of ours on which everything was edited.
func handEdited(r *plan.Role) {
	o := r.Observed
	o.PermissionsBoundary, o.Trust, o.Description, o.Tags = "arn:theirs", "{}", "theirs", nil
	o.Policies = map[string]string{"one": "not JSON", "mine": document("s3:*").JSON()}
	o.Attached = []string{attached}
}

// shut makes the role one whose trust is that of a quarantine.
func shut(r *plan.Role) {
	r.Observed.Trust = policy.Quarantine("bedrock-agentcore.amazonaws.com").JSON()
}

func TestDriftThatIsOnlyTold(t *testing.T) {
	for name, c := range map[string]struct {
		roles []plan.Role
		want  []string
	}{
		"of every element": {
			[]plan.Role{input(model.RuntimeRole, handEdited)},
			[]string{
				"found runtime/boundary edited repaired=false", "found runtime/tags edited repaired=false", "found runtime/trust edited repaired=false",
				"found runtime/policy/one edited repaired=false", "found runtime/policy/two missing repaired=false",
				"found runtime/policy/mine extra repaired=false", "found runtime/attached/" + attached + " extra repaired=false",
				"found runtime/settings edited repaired=false",
			},
		},
		"of a role that is gone, of which nothing is made anew": {
			[]plan.Role{input(model.RuntimeRole, absent), input(model.BuildRole)},
			[]string{"found runtime role-missing repaired=false", "refused role-runtime role-missing"},
		},
		"of a role that is gone and was being made anew, which may yet show": {
			[]plan.Role{input(model.RuntimeRole, absent, func(r *plan.Role) { r.Claim.Creating = []string{"x"} })},
			[]string{"found runtime role-missing repaired=false", "refused role-runtime role-missing"},
		},
		"of a role that is gone beside one that is new": {
			[]plan.Role{input(model.RuntimeRole, absent), input(model.BuildRole, absent, func(r *plan.Role) { r.Claim.BuildRoleID = "" })},
			[]string{
				"reserve-creation " + claim + "[build] map[]  create", "create-role role-build  create", "record-roles " + claim + "[] map[]  create",
				"put-policy role-build one create", "put-policy role-build two create",
				"found runtime role-missing repaired=false", "refused role-runtime role-missing",
			},
		},
		"beside a change": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.Trust = "{}"
				r.Desired.Policies["one"] = document("s3:ListBucket")
			})},
			[]string{"put-policy role-runtime one change", "found runtime/trust edited repaired=false"},
		},
		"and the policies of an earlier config go all the same": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				delete(r.Desired.Policies, "two")
				r.Observed.Policies["mine"] = "{}"
			})},
			[]string{
				"archive-role role-runtime  change", "delete-policy role-runtime two change", "found runtime/policy/mine extra repaired=false",
			},
		},
		"when nothing is known of what was applied": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.Trust, r.Applied = "{}", nil })},
			[]string{"found runtime/trust edited repaired=false"},
		},
		"but not of a role that was never finished": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.Policies, r.Applied = nil, nil })},
			[]string{"put-policy role-runtime one create", "put-policy role-runtime two create"},
		},
		"but not of one that is half-made": {
			[]plan.Role{input(model.RuntimeRole, halfMade)},
			[]string{
				"record-roles " + claim + "[] map[runtime:AROA-runtime]  create", "put-policy role-runtime one create", "put-policy role-runtime two create",
			},
		},
		"but not of a quarantine that there is no archive of": {
			[]plan.Role{input(model.RuntimeRole, shut)}, []string{"update-trust role-runtime  change"},
		},
		"of the boundary, without which nothing can be changed": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.PermissionsBoundary = ""
				r.Desired.Policies["one"] = document("s3:ListBucket")
			})},
			[]string{"found runtime/boundary missing repaired=false", "refused role-runtime role-boundary-differs"},
		},
		"of a boundary that is to be another one now": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.PermissionsBoundary, r.Desired.PermissionsBoundary = "", "arn:aws:iam::123456789012:policy/new"
				r.Observed.Trust = "{}"
			})},
			[]string{"put-boundary role-runtime  change", "found runtime/trust edited repaired=false"},
		},
		"of a policy that leaves no room for a change": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				r.Observed.Policies["two"] = strings.Repeat("x", 9000)
				r.Desired.Policies["one"] = document("s3:" + strings.Repeat("A", 9000))
			})},
			[]string{"refused role-runtime role-policies-full"},
		},
		"of a policy in whose place there is room": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) {
				delete(r.Observed.Policies, "two")
				r.Desired.Policies["one"] = document("s3:" + strings.Repeat("A", 10100))
			})},
			[]string{"put-policy role-runtime one change", "found runtime/policy/two missing repaired=false"},
		},
		"of policies that are to be removed": {
			[]plan.Role{input(model.RuntimeRole, unmanaged(plan.RemoveUnmanaged), func(r *plan.Role) { r.Observed.Policies["mine"] = "{}" })},
			[]string{"found runtime/policy/mine extra repaired=false"},
		},
		"of policies that are to be kept": {roles: []plan.Role{input(model.RuntimeRole, unmanaged(plan.KeepUnmanaged), func(r *plan.Role) { r.Observed.Policies["mine"] = "{}" })}},
		"of a role that was replaced": {
			[]plan.Role{input(model.RuntimeRole, func(r *plan.Role) { r.Observed.ID = "AROA-other" })}, []string{"refused role-runtime role-replaced"},
		},
		"of a role that was replaced where others are adopted": {
			[]plan.Role{input(model.RuntimeRole, stranger, replaced, existing(plan.AdoptExisting))}, []string{"refused role-runtime role-replaced"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.roles {
				reporting(&c.roles[i])
			}
			if diff := cmp.Diff(c.want, lines(plan.Compute(c.roles, nil))); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARepairPutsFirstWhatLimitsARole(t *testing.T) {
	want := []string{
		"put-boundary role-runtime drift", "tag-role role-runtime drift", "update-trust role-runtime drift",
		"put-policy role-runtime one drift", "put-policy role-runtime two drift", "update-settings role-runtime drift",
	}
	if got := written(plan.Compute([]plan.Role{input(model.RuntimeRole, handEdited)}, nil).Steps); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPoliciesOfOthers(t *testing.T) {
	mine := func(r *plan.Role) {
		r.Observed.Policies["mine"], r.Observed.Attached = document("s3:*").JSON(), []string{attached}
	}
	told := []string{"found runtime/policy/mine extra repaired=false", "found runtime/attached/" + attached + " extra repaired=false"}
	gone := []string{"found runtime/policy/mine extra repaired=true", "found runtime/attached/" + attached + " extra repaired=true"}
	removed := []string{"archive-role role-runtime  drift", "delete-policy role-runtime mine drift", "detach-policy role-runtime " + attached + " drift"}
	for name, c := range map[string]struct {
		role plan.Role
		want []string
	}{
		"are told where nothing is said": {input(model.RuntimeRole, mine), told},
		"are told":                       {input(model.RuntimeRole, mine, unmanaged(plan.ReportUnmanaged)), told},
		"are kept":                       {role: input(model.RuntimeRole, mine, unmanaged(plan.KeepUnmanaged))},
		"are archived and removed":       {input(model.RuntimeRole, mine, unmanaged(plan.RemoveUnmanaged)), slices.Concat(removed, gone)},
		"are removed with those of an earlier config, after one archive": {
			input(model.RuntimeRole, mine, unmanaged(plan.RemoveUnmanaged), func(r *plan.Role) { delete(r.Desired.Policies, "two") }),
			slices.Concat([]string{"archive-role role-runtime  drift", "delete-policy role-runtime mine drift", "delete-policy role-runtime two change", removed[2]}, gone),
		},
		"are removed when nothing is known of what was applied": {
			input(model.RuntimeRole, mine, unmanaged(plan.RemoveUnmanaged), func(r *plan.Role) { r.Applied = nil }), slices.Concat(removed, gone),
		},
		"make room for ours": {
			input(model.RuntimeRole, unmanaged(plan.RemoveUnmanaged), func(r *plan.Role) {
				r.Observed.Policies = map[string]string{"big": strings.Repeat("x", 10240)}
			}),
			[]string{
				"archive-role role-runtime  drift", "delete-policy role-runtime big drift", "put-policy role-runtime one drift", "put-policy role-runtime two drift",
				"found runtime/policy/one missing repaired=true", "found runtime/policy/two missing repaired=true", "found runtime/policy/big extra repaired=true",
			},
		},
		"stay while the role is taken over": {
			input(model.RuntimeRole, adopting, mine, unmanaged(plan.RemoveUnmanaged)),
			slices.Concat([]string{"finish-adoption " + claim + "[] map[] adopting [runtime]  adopt"}, told),
		},
		"stay on a role that is not ours": {input(model.RuntimeRole, stranger, unmanaged(plan.RemoveUnmanaged)), []string{"refused role-runtime role-not-ours"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Compute([]plan.Role{c.role}, nil)
			if diff := cmp.Diff(c.want, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdoptionTellsOfPoliciesThatGoAfterwards(t *testing.T) {
	lost := func(u plan.Unmanaged, m plan.DriftMode) []string {
		var policies []string
		r := input(model.RuntimeRole, stranger, unmanaged(u))
		r.Drift = m
		for _, l := range plan.Compute([]plan.Role{r}, nil).Refusals[0].Losses {
			if l.By == plan.ByPolicy {
				policies = append(policies, l.Policy)
			}
		}
		return policies
	}
	always := []string{naming.IdentityPolicy, "one"}
	for name, c := range map[string]struct{ got, want []string }{
		"kept":                     {lost(plan.ReportUnmanaged, plan.RepairDrift), always},
		"removed":                  {lost(plan.RemoveUnmanaged, plan.RepairDrift), []string{naming.IdentityPolicy, "mine", "one", attached}},
		"left since drift is told": {lost(plan.RemoveUnmanaged, plan.ReportDrift), always},
	} {
		slices.Sort(c.got)
		if slices.Sort(c.want); !slices.Equal(slices.Compact(c.got), c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestTheExtrasThatAreToldAndRemovedAreBounded(t *testing.T) {
	for _, u := range []plan.Unmanaged{plan.ReportUnmanaged, plan.RemoveUnmanaged} {
		var roles []plan.Role
		for n := range 5 {
			r := input(model.RuntimeRole, unmanaged(u))
			r.Desired.Agent, r.Claim.Agent = fmt.Sprint("a", n), fmt.Sprint("a", n)
			for i := range 200 {
				r.Observed.Policies[fmt.Sprint("mine", i)] = "{}"
			}
			roles = append(roles, r)
		}
		p := plan.Compute(roles, nil)
		removals := 0
		for _, s := range p.Steps {
			if s.Op == plan.DeletePolicy {
				removals++
			}
		}
		want := map[plan.Unmanaged]int{plan.RemoveUnmanaged: 500}[u]
		if len(p.Findings) != 500 || removals != want {
			t.Errorf("%s: %d findings and %d removals, want 500 and %d", u, len(p.Findings), removals, want)
		}
	}
}

func TestImagesWhoseDriftIsOnlyTold(t *testing.T) {
	const claim = "claims/projects/a-agent.json"
	gone := func(parts ...model.Part) func(*plan.Image) {
		return func(i *plan.Image) {
			for _, part := range parts {
				anyPart(i, part, "gone")
			}
		}
	}
	edited := func(i *plan.Image) {
		i.ObservedRepository.ScanOnPush, i.ObservedRepository.Tags = false, nil
		i.ObservedProject.Buildspec, i.ObservedProject.Tags = "theirs", nil
	}
	retagged := func(i *plan.Image) { i.Applied["project/tags"], i.ObservedProject.Tags = "another", nil }
	for name, c := range map[string]struct {
		image plan.Image
		want  []string
	}{
		"nothing differs": {image: image()},
		"all is edited": {image(edited), []string{
			"found repository/scanning edited repaired=false", "found repository/tags edited repaired=false",
			"found project/settings edited repaired=false", "found project/tags edited repaired=false",
		}},
		"all is gone": {image(gone(model.RepositoryPart, model.ProjectPart), sourced()), []string{
			"found repository missing repaired=false", "found project missing repaired=false",
			"refused repository-a repository-missing", "refused project-a project-missing",
		}},
		"the repository is gone, and nothing is built": {image(gone(model.RepositoryPart), sourced()), []string{
			"found repository missing repaired=false", "refused repository-a repository-missing",
		}},
		"the project is gone, and nothing is built": {image(gone(model.ProjectPart), sourced()), []string{
			"found project missing repaired=false", "refused project-a project-missing",
		}},
		"the project was edited, and nothing is built in it": {image(func(i *plan.Image) { i.ObservedProject.Buildspec = "theirs" }, sourced()), []string{
			"found project/settings edited repaired=false",
		}},
		"the repository was edited, and is built for": {image(func(i *plan.Image) { i.ObservedRepository.ScanOnPush = false }, sourced()), []string{
			"start-build project-a  create", "found repository/scanning edited repaired=false",
		}},
		"a change of the project takes drift along": {image(retagged, func(i *plan.Image) { i.ObservedProject.Buildspec = "theirs" }), []string{
			"update-project project-a  change", "found project/settings edited repaired=true",
		}},
		"a repository that was never made is": {image(neverMade, func(i *plan.Image) { i.Project = nil }), []string{
			"reserve-creation " + claim + "[repository] []  create", "create-repository repository-a  create", "record-parts " + claim + "[] []  create",
		}},
		"a part that is half-made is finished": {image(halfMadeParts(model.ProjectPart), func(i *plan.Image) { i.ObservedProject.Buildspec = "old" }), []string{
			"record-parts " + claim + "[] [project]  create", "update-project project-a  create",
			"create-log-group project-a  create", "retain-logs project-a  create",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.image.Drift = plan.ReportDrift
			p := plan.Compute(nil, nil, c.image)
			if diff := cmp.Diff(c.want, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			built := c.image.Order == nil || p.Waits["a"] != "" || len(p.Refusals) > 0 || slices.Contains(lines(p), "start-build project-a  create")
			if !built {
				t.Error("nobody is told why nothing is built")
			}
		})
	}
}

func TestARepositoryThatIsGoneIsNotBuiltForByItsSiblings(t *testing.T) {
	owner, sibling := image(func(i *plan.Image) { anyPart(i, model.RepositoryPart, "gone") }), image(named, sourced(), func(i *plan.Image) { i.ObservedRepository = nil })
	for _, i := range []*plan.Image{&sibling} {
		p := *i.Project
		p.Agent, p.Name, i.Repository.Agent, i.Project = "b", "project-b", "b", &p
	}
	for mode, want := range map[plan.DriftMode]bool{plan.RepairDrift: false, plan.ReportDrift: true} {
		owner.Drift, sibling.Drift = mode, mode
		if got := plan.Compute(nil, nil, owner, sibling).RefusedPart("b", model.RepositoryPart); got != want {
			t.Errorf("%s: refused %t, want %t", mode, got, want)
		}
	}
}

func TestRefusalsForDriftThatIsOnlyToldSayWhatToDo(t *testing.T) {
	told := func(r plan.Role) plan.Refusal {
		reporting(&r)
		return plan.Compute([]plan.Role{r}, nil).Refusals[0]
	}
	i := image(func(i *plan.Image) { anyPart(i, model.ProjectPart, "gone") })
	i.Drift = plan.ReportDrift
	change := func(r *plan.Role) { r.Desired.Description = "new" }
	bare := told(input(model.RuntimeRole, change, func(r *plan.Role) { r.Observed.PermissionsBoundary = "" }))
	for _, c := range []struct {
		f    plan.Refusal
		want []string
	}{
		{told(input(model.RuntimeRole, absent)), []string{"role role-runtime is gone", "DriftMode is report", "CloudTrail", "rolekeeper restore role-runtime"}},
		{bare, []string{"has no boundary in the place of arn:boundary", "put-role-permissions-boundary --role-name role-runtime"}},
		{told(input(model.RuntimeRole, change, func(r *plan.Role) { r.Observed.PermissionsBoundary = "arn:theirs" })), []string{"has the boundary arn:theirs"}},
		{plan.Compute(nil, nil, i).Refusals[0], []string{"CodeBuild project project-a is gone", "DriftMode"}},
	} {
		for _, part := range c.want {
			if text := c.f.Message + " / " + c.f.Fix; !strings.Contains(text, part) {
				t.Errorf("%s: %q does not say %q", c.f.Kind, text, part)
			}
		}
	}
	if p := plan.Compute([]plan.Role{input(model.RuntimeRole, absent, reporting), input(model.BuildRole)}, nil); p.Usable("role-runtime") || !p.Usable("role-build") || p.Stranger("role-runtime") {
		t.Errorf("what can be used is told otherwise than %q", lines(p))
	}
}

// What drift is not, is the same in both modes; and drift that is only told is
// told of what would be repaired. Where what stays leaves no room for a change, or
// takes IAM's leave to make it, the change is refused instead.
func TestReportingLeavesOutTheRepairsOfDriftAndNothingElse(t *testing.T) {
	repairing := 0
	rapid.Check(t, func(t *rapid.T) {
		roles, a := anyRoles(t)
		i := plan.Image{}
		var images []plan.Image
		if rapid.Bool().Draw(t, "image") {
			_, i, _ = anyImage(t)
			i.Builds, i.Order = nil, nil
			images = append(images, i)
		}
		u := plan.Unmanaged(rapid.SampledFrom([]string{"report", "keep", "remove"}).Draw(t, "unmanaged"))
		compute := func(m plan.DriftMode) plan.Plan {
			now := a.look(roles)
			for n := range now {
				now[n].Drift, now[n].Unmanaged = m, u
			}
			for n := range images {
				images[n].Drift = m
			}
			return plan.Compute(now, nil, images...)
		}
		repair, report := compute(plan.RepairDrift), compute(plan.ReportDrift)
		for _, s := range report.Steps {
			if s.Reason == plan.Drift {
				t.Fatalf("%s of %s is made for drift: %q", s.Op, s.Role, lines(report))
			}
		}
		for _, f := range report.Findings {
			if n := slices.IndexFunc(repair.Findings, func(g plan.Finding) bool {
				return g.Agent == f.Agent && g.Role == f.Role && g.Element == f.Element && g.Kind == f.Kind
			}); n < 0 {
				t.Fatalf("%+v is found by nobody else", f)
			} else if repair.Findings[n].Repaired {
				repairing++
			}
		}
		if len(repair.Findings) != len(report.Findings) && len(repair.Refusals) == len(report.Refusals) {
			t.Fatalf("(-repair +report)\n%s", cmp.Diff(lines(repair), lines(report)))
		}
		if len(repair.Refusals) != len(report.Refusals) {
			return // something is gone, or there is no room
		}
		kept := slices.DeleteFunc(slices.Clone(repair.Steps), func(s plan.Step) bool { return s.Reason == plan.Drift })
		order := func(p []plan.Step) []string {
			all := written(p)
			slices.Sort(all)
			return all
		}
		got := order(slices.DeleteFunc(slices.Clone(report.Steps), func(s plan.Step) bool { return s.Op == plan.ArchiveRole }))
		if diff := cmp.Diff(order(slices.DeleteFunc(kept, func(s plan.Step) bool { return s.Op == plan.ArchiveRole })), got); diff != "" {
			t.Fatalf("(-repair without drift +report)\n%s", diff)
		}
	})
	if repairing == 0 {
		t.Error("no drift was drawn that is repaired")
	}
}
