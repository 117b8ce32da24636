package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
)

const (
	retirement = "20261123T120000Z-0123456789ab"
	base       = "arn:aws:bedrock-agentcore:us-east-1:123456789012:"
)

var (
	noon     = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	services = map[model.RoleKind]string{model.BuildRole: "codebuild.amazonaws.com", model.RuntimeRole: "bedrock-agentcore.amazonaws.com"}
)

// trustOf gives the trust of a role of the kind.
func trustOf(kind model.RoleKind) policy.Document {
	d := trust()
	d.Statements[0].Principals = policy.Principals{policy.Service: {services[kind]}}
	return d
}

// leaving gives an agent with both roles, a project and a repository, that
// nothing uses, then changed.
func leaving(change ...func(*plan.Leaving)) plan.Leaving {
	i := image()
	l := plan.Leaving{
		Agent: "a", Account: "123456789012", Retirement: retirement, Profiles: map[string][]string{}, Needed: map[string]string{},
		ProjectClaim: i.Claim, Project: i.ObservedProject, Repository: i.ObservedRepository, Now: noon, Grace: 24 * time.Hour,
		Archives: map[string]model.Archive{},
	}
	for _, kind := range []model.RoleKind{model.BuildRole, model.RuntimeRole} {
		r := input(kind)
		r.Observed.Trust, r.Observed.Path, r.Observed.Attached = trustOf(kind).JSON(), "/"+string(kind), []string{attached}
		d := r.Desired
		r.Desired = model.Role{Kind: kind, Agent: d.Agent, Name: d.Name, ARN: d.ARN, PermissionsBoundary: d.PermissionsBoundary}
		r.Applied = nil
		l.Roles = append(l.Roles, r)
	}
	for _, c := range change {
		c(&l)
	}
	return l
}

// of has one of the roles changed.
func of(kind model.RoleKind, change ...func(*plan.Role)) func(*plan.Leaving) {
	return func(l *plan.Leaving) {
		for i := range l.Roles {
			if l.Roles[i].Desired.Kind == kind {
				for _, c := range change {
					c(&l.Roles[i])
				}
			}
		}
	}
}

// both has both roles changed.
func both(change ...func(*plan.Role)) func(*plan.Leaving) {
	return func(l *plan.Leaving) {
		of(model.BuildRole, change...)(l)
		of(model.RuntimeRole, change...)(l)
	}
}

// theirs has the role be another than the one in the claim.
func theirs(r *plan.Role) { r.Observed.ID = "AROA-stranger" }

func closed(r *plan.Role) { r.Observed.Trust = policy.Quarantine(services[r.Desired.Kind]).JSON() }

// quarantined has the roles archived as they are, then quarantined.
func quarantined(l *plan.Leaving) {
	for i, r := range l.Roles {
		l.Archives[r.Desired.Name] = archiveOf(r)
		l.Roles[i].Claim.Deleting = retirement
		closed(&l.Roles[i])
	}
}

func archiveOf(r plan.Role) model.Archive {
	return model.Archive{
		V: 1, Reason: model.ArchiveRetired, Config: "configs/a", Agent: r.Desired.Agent, Kind: r.Desired.Kind, Retirement: retirement, Role: snapshot(*r.Observed),
	}
}

func uses(all ...model.Use) func(*plan.Leaving) {
	return func(l *plan.Leaving) { l.Uses = append(l.Uses, all...) }
}

func runtimeUse(version string, newest bool, status string) model.Use {
	return model.Use{
		Role: role(model.RuntimeRole).ARN, ARN: base + "runtime/a-0123456789", Kind: "runtime", Status: status,
		Runtime: "a-0123456789", Version: version, Newest: newest,
	}
}

// told gives blockers as text.
func told(blockers []plan.Blocker) []string {
	var all []string
	for _, b := range blockers {
		all = append(all, fmt.Sprintf("%s %s: %s", b.Kind, b.ARN, b.Fix))
	}
	return all
}

func TestWhatKeepsAnAgent(t *testing.T) {
	const (
		runtimeARN = "arn:aws:iam::123456789012:role/role-runtime"
		buildARN   = "arn:aws:iam::123456789012:role/role-build"
		aRuntime   = "in-use " + base + "runtime/a-0123456789: "
	)
	use := func(kind, status string) model.Use {
		return model.Use{Role: runtimeARN, ARN: base + kind + "/x", Kind: kind, Status: status}
	}
	with := func(u model.Use, change func(*model.Use)) model.Use {
		change(&u)
		return u
	}
	project := model.Use{Role: buildARN, ARN: "arn:project-a", Kind: "project"}
	for name, c := range map[string]struct {
		leaving plan.Leaving
		want    []string
	}{
		"nothing":                          {leaving(), nil},
		"nothing, while it is quarantined": {leaving(quarantined), nil},

		"a runtime": {leaving(uses(runtimeUse("3", true, "READY"))), []string{
			aRuntime + "delete the runtime a-0123456789; or update it to another role than role-runtime, and delete its versions that have this one",
		}},
		"old versions of a runtime": {leaving(uses(runtimeUse("10", false, "READY"), runtimeUse("9", false, "READY"), runtimeUse("8", false, "READY"), runtimeUse("9", false, "READY"))), []string{
			aRuntime + "delete version 8, 9, 10 of the runtime a-0123456789, once no endpoint leads there any more",
		}},
		"the newest version of a runtime beside old ones": {leaving(uses(runtimeUse("1", false, "READY"), runtimeUse("2", true, "READY"))), []string{
			aRuntime + "delete the runtime a-0123456789; or update it to another role than role-runtime, and delete its versions that have this one",
		}},
		"a version that an endpoint is pinned to": {leaving(uses(with(runtimeUse("1", false, "READY"), func(u *model.Use) { u.ARN += "/runtime-endpoint/old" }))), []string{
			"in-use " + base + "runtime/a-0123456789/runtime-endpoint/old: delete version 1 of the runtime a-0123456789, once no endpoint leads there any more",
		}},
		"a runtime that is being deleted": {leaving(uses(runtimeUse("1", true, "DELETING"))), []string{
			aRuntime + "nothing: the runtime a-0123456789 is being deleted, which is waited for",
		}},
		"a version that stays beside one that is being deleted": {leaving(uses(runtimeUse("2", true, "DELETING"), runtimeUse("1", false, "READY"))), []string{
			aRuntime + "delete version 1 of the runtime a-0123456789, once no endpoint leads there any more",
		}},
		"a runtime whose deletion failed": {leaving(uses(runtimeUse("1", true, "DELETE_FAILED"))), []string{
			aRuntime + "the deletion of the runtime a-0123456789 failed: delete it once more",
		}},
		"a runtime in a state nobody knows": {leaving(uses(runtimeUse("1", true, "HIBERNATING"))), []string{
			aRuntime + "delete the runtime a-0123456789; or update it to another role than role-runtime, and delete its versions that have this one",
		}},
		"a memory without a state, and a code interpreter": {leaving(uses(use("memory", ""), use("code-interpreter", "READY"))), []string{
			"in-use " + base + "code-interpreter/x: delete the code interpreter, or give it another role than role-runtime",
			"in-use " + base + "memory/x: delete the memory, or give it another role than role-runtime",
		}},
		"a gateway that is being deleted": {leaving(uses(use("gateway", "DELETING"))), []string{
			"in-use " + base + "gateway/x: nothing: the gateway is being deleted, which is waited for",
		}},
		"a browser that is nearly deleted": {leaving(uses(use("browser", "deleted"))), []string{
			"in-use " + base + "browser/x: delete the browser, or give it another role than role-runtime",
		}},
		"not a browser that was deleted": {leaving(uses(use("browser", "DELETED"))), nil},
		"a role in other letters and at another path": {leaving(uses(with(use("memory", ""), func(u *model.Use) { u.Role = "arn:aws:iam::123456789012:role/x/ROLE-Runtime" }))), []string{
			"in-use " + base + "memory/x: delete the memory, or give it another role than ROLE-Runtime",
		}},
		"a role in a form nobody knows": {leaving(uses(with(use("memory", ""), func(u *model.Use) { u.Role = "role-runtime" }), with(use("gateway", ""), func(u *model.Use) { u.Role = "arn:aws:iam:::role/role-runtime" }))), []string{
			"in-use " + base + "gateway/x: delete the gateway, or give it another role than role-runtime",
			"in-use " + base + "memory/x: delete the memory, or give it another role than role-runtime",
		}},
		"not a role of another account":     {leaving(uses(with(use("memory", ""), func(u *model.Use) { u.Role = strings.Replace(u.Role, "123456789012", "999999999999", 1) }))), nil},
		"not another role":                  {leaving(uses(with(use("memory", ""), func(u *model.Use) { u.Role += "s" }))), nil},
		"not a role that is not ours":       {leaving(uses(use("memory", "")), of(model.RuntimeRole, theirs)), nil},
		"not a role that is gone":           {leaving(uses(use("memory", "")), of(model.RuntimeRole, absent)), nil},
		"not the project that goes with it": {leaving(uses(project, with(project, func(u *model.Use) { u.Role = runtimeARN }))), nil},
		"the project, made by somebody else": {leaving(uses(project), func(l *plan.Leaving) { l.Project.Created = projectMade.Add(2 * time.Second) }), []string{
			"in-use arn:project-a: delete the project, or give it another role than role-build",
		}},
		"the project, that nobody is known to have made": {leaving(uses(project), func(l *plan.Leaving) { l.ProjectClaim = model.Claim{} }), []string{
			"in-use arn:project-a: delete the project, or give it another role than role-build",
		}},
		"the project, gone when it was looked at": {leaving(uses(project), func(l *plan.Leaving) { l.Project = nil }), []string{
			"in-use arn:project-a: delete the project, or give it another role than role-build",
		}},
		"another project": {leaving(uses(with(project, func(u *model.Use) { u.ARN = "arn:project-b" }))), []string{
			"in-use arn:project-b: delete the project, or give it another role than role-build",
		}},
		"what is no project but has its ARN": {leaving(uses(with(project, func(u *model.Use) { u.Kind = "gateway" }))), []string{
			"in-use arn:project-a: delete the gateway, or give it another role than role-build",
		}},

		"not knowing": {leaving(func(l *plan.Leaving) { l.Unknown = "list runtimes: denied" }), []string{
			"use-unknown " + buildARN + ": nothing: what uses role role-build is not known (list runtimes: denied); the next pass looks again",
			"use-unknown " + runtimeARN + ": nothing: what uses role role-runtime is not known (list runtimes: denied); the next pass looks again",
		}},
		"not not knowing of a role that is not ours": {leaving(func(l *plan.Leaving) { l.Unknown = "list runtimes: denied" }, both(theirs)), nil},

		"a trust in others": {leaving(of(model.RuntimeRole, func(r *plan.Role) { r.Observed.Trust = trustOf(model.BuildRole).JSON() })), []string{
			"trusts-others " + runtimeARN + ": have it taken from the trust policy of role role-runtime that it goes beyond bedrock-agentcore.amazonaws.com in this account: " +
				"statement 1 lets Service codebuild.amazonaws.com assume the role",
		}},
		"a trust that cannot be read": {leaving(of(model.BuildRole, func(r *plan.Role) { r.Observed.Trust = "{}" })), []string{
			"trusts-others " + buildARN + ": have it taken from the trust policy of role role-build that it goes beyond codebuild.amazonaws.com in this account: " +
				"read policy document: no Statement",
		}},
		"a trust of another account": {leaving(func(l *plan.Leaving) { l.Account = "999999999999" }, of(model.BuildRole, absent)), []string{
			"trusts-others " + runtimeARN + ": have it taken from the trust policy of role role-runtime that it goes beyond bedrock-agentcore.amazonaws.com in this account: " +
				"statement 1 does not tie bedrock-agentcore.amazonaws.com to account 999999999999 by aws:SourceAccount or aws:SourceArn",
		}},

		"a use within the grace period": {leaving(of(model.BuildRole, func(r *plan.Role) { r.Observed.LastUsed = noon.Add(-24*time.Hour + time.Second) })), []string{
			"used-lately " + buildARN + ": end whatever assumed role role-build at 2026-11-22T12:00:01Z; if it is not used again, it goes after 2026-11-23T12:00:01Z",
		}},
		"a use in the future": {leaving(of(model.BuildRole, func(r *plan.Role) { r.Observed.LastUsed = noon.Add(time.Hour) })), []string{
			"used-lately " + buildARN + ": end whatever assumed role role-build at 2026-11-23T13:00:00Z; if it is not used again, it goes after 2026-11-24T13:00:00Z",
		}},
		"not a use before it": {leaving(both(func(r *plan.Role) { r.Observed.LastUsed = noon.Add(-24 * time.Hour) })), nil},

		"another agent": {leaving(func(l *plan.Leaving) { l.Needed = map[string]string{"Role-Runtime": "b", "role-other": "c"} }), []string{
			"still-needed " + runtimeARN + ": have agent b of the config use another role than role-runtime",
		}},
		"instance profiles": {leaving(func(l *plan.Leaving) { l.Profiles["role-runtime"] = []string{"z", "role-runtime", "y"} }), []string{
			"instance-profile " + runtimeARN + ": remove role role-runtime from instance profile y, z",
		}},
		"not the instance profile of its own name": {leaving(func(l *plan.Leaving) { l.Profiles["role-runtime"] = []string{"role-runtime"} }), nil},
		"an instance profile in other letters": {leaving(func(l *plan.Leaving) { l.Profiles["role-runtime"] = []string{"Role-Runtime"} }), []string{
			"instance-profile " + runtimeARN + ": remove role role-runtime from instance profile Role-Runtime",
		}},
		"policies that could not be put back": {leaving(of(model.BuildRole, func(r *plan.Role) {
			r.Observed.Policies["three"], r.Observed.Policies["four"] = "{", "["
		})), []string{
			"policy-unreadable " + buildARN + ": delete policy four of role role-build, or write it anew: it could not be put back as it is " +
				"(read policy document: unexpected EOF)",
		}},
		"a quarantine that no archive knows": {leaving(of(model.BuildRole, closed)), []string{
			"changed " + buildARN + ": upload the config again, which puts role role-build right: its trust is that of a quarantine, and no archive has the one before",
		}},
		"a quarantine of which another role is archived": {leaving(quarantined, of(model.BuildRole, func(r *plan.Role) {
			r.Observed.ID, r.Claim.BuildRoleID = "AROA-anew", "AROA-anew"
		})), []string{
			"changed " + buildARN + ": upload the config again, which puts role role-build right: its trust is that of a quarantine, and no archive has the one before",
		}},
		"everything at once": {
			leaving(uses(runtimeUse("1", true, "READY"), use("memory", "")), func(l *plan.Leaving) {
				l.Unknown, l.Needed, l.Profiles = "denied", map[string]string{"role-build": "b"}, map[string][]string{"role-build": {"x"}}
			}, both(func(r *plan.Role) { r.Observed.LastUsed = noon })),
			[]string{
				"in-use " + base + "memory/x: delete the memory, or give it another role than role-runtime",
				aRuntime + "delete the runtime a-0123456789; or update it to another role than role-runtime, and delete its versions that have this one",
				"use-unknown " + buildARN + ": nothing: what uses role role-build is not known (denied); the next pass looks again",
				"used-lately " + buildARN + ": end whatever assumed role role-build at 2026-11-23T12:00:00Z; if it is not used again, it goes after 2026-11-24T12:00:00Z",
				"still-needed " + buildARN + ": have agent b of the config use another role than role-build",
				"instance-profile " + buildARN + ": remove role role-build from instance profile x",
				"use-unknown " + runtimeARN + ": nothing: what uses role role-runtime is not known (denied); the next pass looks again",
				"used-lately " + runtimeARN + ": end whatever assumed role role-runtime at 2026-11-23T12:00:00Z; if it is not used again, it goes after 2026-11-24T12:00:00Z",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 { // in whatever order uses come
				if diff := cmp.Diff(c.want, told(c.leaving.Blockers())); diff != "" {
					t.Fatalf("blockers (-want +got):\n%s", diff)
				}
				slices.Reverse(c.leaving.Uses)
			}
		})
	}
}

// written gives steps as text.
func written(steps []plan.Step) []string {
	var all []string
	for _, s := range steps {
		what := []string{string(s.Op), s.Role, s.Claim, s.Policy, s.Profile, strings.Join(s.Tags, ","), s.Retirement, string(s.Reason)}
		for _, kind := range s.Kinds {
			what = append(what, string(kind))
		}
		all = append(all, strings.Join(slices.DeleteFunc(what, func(w string) bool { return w == "" }), " "))
	}
	return all
}

func TestQuarantine(t *testing.T) {
	mark, record := "mark-deleting "+claim+" "+retirement+" retire", "record-quarantine "+retirement+" retire"
	whole := []string{
		mark, "archive-role role-build " + retirement + " retire", "archive-role role-runtime " + retirement + " retire",
		record, "update-trust role-build retire", "update-trust role-runtime retire",
	}
	unbound := func(r *plan.Role) { r.Observed.PermissionsBoundary = "" }
	marked := func(r *plan.Role) { r.Claim.Deleting = retirement }
	kept := func(l *plan.Leaving) {
		quarantined(l)
		both(func(r *plan.Role) { r.Observed.Trust = trustOf(r.Desired.Kind).JSON() })(l)
	}
	for name, c := range map[string]struct {
		leaving plan.Leaving
		want    []string
	}{
		"of both roles":                    {leaving(), whole},
		"that the claim is marked with":    {leaving(both(marked)), whole[1:]},
		"where the claim has another mark": {leaving(both(func(r *plan.Role) { r.Claim.Deleting = "20261101T120000Z-0123456789ab" })), whole},
		"of roles without boundary":        {leaving(both(unbound)), slices.Concat(whole[:4], []string{"put-boundary role-build retire", whole[4], "put-boundary role-runtime retire", whole[5]})},
		"of roles that are being adopted":  {leaving(both(func(r *plan.Role) { r.Claim.Adopting = []model.RoleKind{r.Desired.Kind} })), whole},
		"beside a role that is not ours":   {leaving(of(model.BuildRole, theirs)), []string{mark, whole[2], record, whole[5]}},
		"beside a role that is gone":       {leaving(of(model.RuntimeRole, absent)), []string{mark, whole[1], record, whole[4]}},
		"of none":                          {leaving(both(absent)), nil},
		"of none that is ours":             {leaving(both(theirs)), nil},
		"that is done":                     {leaving(quarantined), nil},
		"of roles that others quarantined": {leaving(both(closed)), nil},
		"of roles that were only archived": {leaving(kept), []string{record, whole[4], whole[5]}},
		"that was cut between the two":     {leaving(kept, of(model.BuildRole, closed)), []string{record, whole[5]}},
		"of a role made anew since its archive": {leaving(quarantined, of(model.BuildRole, func(r *plan.Role) {
			r.Observed.ID, r.Claim.BuildRoleID, r.Observed.Trust = "AROA-anew", "AROA-anew", trustOf(model.BuildRole).JSON()
		})), []string{whole[1], record, whole[4]}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, written(c.leaving.Quarantine())); diff != "" {
				t.Errorf("quarantine (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAQuarantineWritesAndKeeps(t *testing.T) {
	l := leaving(both(func(r *plan.Role) { r.Observed.PermissionsBoundary = "" }))
	for _, s := range l.Quarantine() {
		r := l.Roles[0]
		if s.Role == l.Roles[1].Desired.Name {
			r = l.Roles[1]
		}
		kind := string(r.Desired.Kind)
		switch s.Op {
		case plan.ArchiveRole:
			if s.Observed != r.Observed || s.Desired.Kind != r.Desired.Kind || s.Element != kind {
				t.Errorf("archived is %+v as %s", s.Observed, s.Element)
			}
		case plan.UpdateTrust:
			if !policy.Quarantined(s.Desired.Trust.JSON(), services[r.Desired.Kind]) || s.Element != kind+"/trust" {
				t.Errorf("%s is %s", s.Element, s.Desired.Trust.JSON())
			}
		case plan.PutBoundary:
			if s.Desired.PermissionsBoundary != "arn:boundary" || s.Element != kind+"/boundary" {
				t.Errorf("%s is %s", s.Element, s.Desired.PermissionsBoundary)
			}
		}
	}
}

func TestServicesAreThoseOfTheTrusts(t *testing.T) {
	config := agent.Config{Agents: []agent.Agent{{Name: "a", Deployment: agent.Container}}}
	place := agent.Place{Account: "123456789012", Region: "us-east-1", Partition: "aws"}
	want, _ := desired.Compute(config, desired.Env{Place: place, Profile: desired.Scoped})
	roles := want.Agents[0].Roles()
	if len(roles) != 2 {
		t.Fatalf("%d roles", len(roles))
	}
	for _, d := range roles {
		raw := d.Trust.JSON()
		r := plan.Role{Desired: d, Claim: model.Claim{RuntimeRoleID: "AROA", BuildRoleID: "AROA"}, Observed: &model.ObservedRole{Name: d.Name, ARN: d.ARN, ID: "AROA", Trust: raw}}
		l := plan.Leaving{Agent: "a", Account: place.Account, Roles: []plan.Role{r}}
		if got := told(l.Blockers()); got != nil {
			t.Errorf("the %s role is not let go: %q", d.Kind, got)
		}
		for _, s := range l.Quarantine() {
			if s.Op == plan.UpdateTrust && !strings.Contains(raw, s.Desired.Trust.Statements[0].Principals[policy.Service][0]) {
				t.Errorf("the %s role is for %s, and %s is kept out", d.Kind, raw, s.Desired.Trust.JSON())
			}
		}
	}
}

func TestWhatSomebodyChangedInAQuarantine(t *testing.T) {
	edit := func(change func(*model.ObservedRole)) plan.Leaving {
		return leaving(quarantined, of(model.BuildRole, func(r *plan.Role) {
			o := snapshot(*r.Observed)
			change(&o)
			r.Observed = &o
		}))
	}
	for name, c := range map[string]struct {
		leaving plan.Leaving
		want    string // empty: nothing
	}{
		"nothing":                                 {leaving(quarantined), ""},
		"the trust, back to what it was":          {edit(func(o *model.ObservedRole) { o.Trust = trustOf(model.BuildRole).JSON() }), "the trust policy is another"},
		"the trust of a role that no archive has": {leaving(of(model.RuntimeRole, absent)), "the trust policy is another"},
		"a policy is new":                         {edit(func(o *model.ObservedRole) { o.Policies["three"] = document("s3:*").JSON() }), "policy three is new"},
		"a policy":                                {edit(func(o *model.ObservedRole) { o.Policies["two"] = document("s3:*").JSON() }), "policy two is another"},
		"a policy, to what cannot be read":        {edit(func(o *model.ObservedRole) { o.Policies["two"] = "{" }), "policy two is another"},
		"a policy, in letters alone":              {edit(func(o *model.ObservedRole) { o.Policies["two"] = " " + o.Policies["two"] }), ""},
		"an attached policy":                      {edit(func(o *model.ObservedRole) { o.Attached = []string{attached, "arn:other"} }), "policy arn:other is attached"},
		"the boundary":                            {edit(func(o *model.ObservedRole) { o.PermissionsBoundary = "" }), "the boundary is another"},
		"a tag":                                   {edit(func(o *model.ObservedRole) { o.Tags["t1"] = "mine" }), "the tags are others"},
		"a tag is new":                            {edit(func(o *model.ObservedRole) { o.Tags["cost"] = "" }), "the tags are others"},
		"a tag is gone":                           {edit(func(o *model.ObservedRole) { delete(o.Tags, "t1") }), "the tags are others"},
		"the description":                         {edit(func(o *model.ObservedRole) { o.Description = "mine" }), "the description or the session length is another"},
		"the session length":                      {edit(func(o *model.ObservedRole) { o.MaxSessionDuration = 7200 }), "the description or the session length is another"},
		"policies were taken down by a run that was cut": {edit(func(o *model.ObservedRole) { o.Policies, o.Attached = nil, nil }), ""},
		"the role is not ours any more":                  {edit(func(o *model.ObservedRole) { o.ID, o.Trust = "AROA-stranger", "{}" }), ""},
		"much": {edit(func(o *model.ObservedRole) { o.Trust, o.Tags, o.Description = "{}", nil, "" }),
			"the trust policy is another; the tags are others; the description or the session length is another"},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if c.want != "" {
				want = []string{"changed arn:aws:iam::123456789012:role/role-build: find out who needs role role-build (CloudTrail): " +
					"it was quarantined, and is not as it was left: " + c.want}
			}
			if diff := cmp.Diff(want, told(c.leaving.Changed())); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARoleThatWasUnboundIsNoChangeOnceItIsBound(t *testing.T) {
	l := leaving(both(func(r *plan.Role) { r.Observed.PermissionsBoundary = "" }), quarantined, both(func(r *plan.Role) { r.Observed.PermissionsBoundary = "arn:boundary" }))
	if got := told(l.Changed()); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestDelete(t *testing.T) {
	role := func(kind string) []string {
		return []string{
			"delete-policy role-" + kind + " one retire", "delete-policy role-" + kind + " two retire",
			"detach-policy role-" + kind + " " + attached + " retire", "delete-role role-" + kind + " retire",
		}
	}
	build, runtime := role("build"), role("runtime")
	project, release := []string{"delete-project project-a retire"}, []string{"release-claims " + claim + " retire"}
	for name, c := range map[string]struct {
		leaving plan.Leaving
		want    []string
	}{
		"everything but the repository":  {leaving(quarantined), slices.Concat(project, build, runtime, release)},
		"the repository, where it is to": {leaving(func(l *plan.Leaving) { l.DeleteRepository = true }), slices.Concat(project, build, runtime, []string{"delete-repository repository-a retire"}, release)},
		"no repository of somebody else's": {leaving(func(l *plan.Leaving) {
			l.DeleteRepository, l.Repository.Created = true, repositoryMade.Add(-2*time.Second)
		}), slices.Concat(project, build, runtime, release)},
		"no repository that is gone":    {leaving(func(l *plan.Leaving) { l.DeleteRepository, l.Repository = true, nil }), slices.Concat(project, build, runtime, release)},
		"no project of somebody else's": {leaving(func(l *plan.Leaving) { l.Project.Created = projectMade.Add(2 * time.Second) }), slices.Concat(build, runtime, release)},
		"a project whose time has fewer digits": {leaving(func(l *plan.Leaving) { l.Project.Created = projectMade.Add(time.Second) }),
			slices.Concat(project, build, runtime, release)},
		"no project that is gone":                    {leaving(func(l *plan.Leaving) { l.Project = nil }), slices.Concat(build, runtime, release)},
		"nothing under a project claim of others":    {leaving(func(l *plan.Leaving) { l.DeleteRepository, l.ProjectClaim = true, model.Claim{} }), slices.Concat(build, runtime, release)},
		"no role of somebody else's":                 {leaving(of(model.BuildRole, theirs)), slices.Concat(project, runtime, release)},
		"no role that is gone":                       {leaving(of(model.RuntimeRole, absent)), slices.Concat(project, build, release)},
		"the project of an agent with others' roles": {leaving(both(absent)), slices.Concat(project, release)},
		"nothing but claims":                         {leaving(both(absent), func(l *plan.Leaving) { l.Project = nil }), release},
		"roles that a run that was cut took down": {leaving(quarantined, both(func(r *plan.Role) { r.Observed.Policies, r.Observed.Attached = nil, nil })),
			slices.Concat(project, build[3:], runtime[3:], release)},
		"roles in instance profiles of other names, which IAM then refuses": {leaving(func(l *plan.Leaving) { l.Profiles["role-build"] = []string{"x"} }),
			slices.Concat(project, build, runtime, release)},
		"roles in instance profiles of their names": {leaving(func(l *plan.Leaving) { l.Profiles["role-build"] = []string{"role-build", "x"} }), slices.Concat(
			project, build[:3], []string{"leave-instance-profile role-build role-build retire"}, build[3:], runtime, release)},
	} {
		t.Run(name, func(t *testing.T) {
			steps := c.leaving.Delete()
			if claim := c.leaving.Roles[0].Claim; (steps[0].Op == plan.MarkDeleting) != (claim.Deleting != c.leaving.Retirement) {
				t.Errorf("the claim of %q is marked: %v", claim.Deleting, written(steps))
			}
			steps = slices.DeleteFunc(steps, func(s plan.Step) bool { return s.Op == plan.MarkDeleting })
			marked := c.leaving
			marked.Roles = slices.Clone(marked.Roles)
			for i := range marked.Roles {
				marked.Roles[i].Claim.Deleting = marked.Retirement
			}
			if diff := cmp.Diff(written(steps), written(marked.Delete())); diff != "" {
				t.Errorf("when the claim is marked already (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, written(steps)); diff != "" {
				t.Errorf("deletion (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRollback(t *testing.T) {
	clear := []string{"clear-deleting " + claim + " restore"}
	trusts := []string{"update-trust role-build restore", "update-trust role-runtime restore"}
	bare := func(r *plan.Role) {
		r.Observed.Policies, r.Observed.Attached, r.Observed.PermissionsBoundary = map[string]string{"three": "{}"}, []string{"arn:other"}, ""
	}
	for name, c := range map[string]struct {
		leaving plan.Leaving
		want    []string
	}{
		"of a quarantine": {leaving(quarantined), slices.Concat(trusts, clear)},
		"of a deletion that was cut": {leaving(quarantined, of(model.BuildRole, absent), of(model.RuntimeRole, bare)), slices.Concat([]string{
			"put-boundary role-runtime restore", "put-policy role-runtime one restore", "put-policy role-runtime two restore", "attach-policy role-runtime " + attached + " restore",
		}, trusts[1:], []string{clear[0] + " build"})},
		"of a deletion of all roles that was cut": {leaving(quarantined, both(absent)), []string{clear[0] + " build runtime"}},
		"of a role that there never was": {
			leaving(quarantined, both(absent, func(r *plan.Role) { r.Claim.BuildRoleID = "" })), []string{clear[0] + " runtime"},
		},
		"leaves a trust that somebody else wrote":  {leaving(quarantined, of(model.BuildRole, func(r *plan.Role) { r.Observed.Trust = "{}" })), slices.Concat(trusts[1:], clear)},
		"leaves a policy that somebody else wrote": {leaving(quarantined, of(model.BuildRole, func(r *plan.Role) { r.Observed.Policies["one"] = "{}" })), slices.Concat(trusts, clear)},
		"leaves a role that is not ours":           {leaving(quarantined, of(model.BuildRole, theirs)), slices.Concat(trusts[1:], clear)},
		"leaves another role that no archive has":  {leaving(quarantined, func(l *plan.Leaving) { delete(l.Archives, "role-runtime") }), slices.Concat(trusts[:1], clear)},
		"keeps the boundary of a role that had none": {
			leaving(both(func(r *plan.Role) { r.Observed.PermissionsBoundary = "" }), quarantined, both(func(r *plan.Role) { r.Observed.PermissionsBoundary = "arn:boundary" })),
			slices.Concat(trusts, clear),
		},
		"leaves a role that no archive has":         {leaving(quarantined, func(l *plan.Leaving) { delete(l.Archives, "role-build") }), slices.Concat(trusts[1:], clear)},
		"that is done":                              {leaving(), nil},
		"of a claim that was marked, and no more":   {leaving(both(func(r *plan.Role) { r.Claim.Deleting = retirement })), clear},
		"of an agent without roles of its own name": {leaving(func(l *plan.Leaving) { l.Roles = nil }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, written(c.leaving.Rollback())); diff != "" {
				t.Errorf("rollback (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAnOperatorLetsGoAndEnds(t *testing.T) {
	base := model.Claim{V: 1, Config: "configs/a", Agent: "a", RuntimeRoleID: "AROA1", BuildRoleID: "AROA2"}
	seen := map[string]string{}
	for name, change := range map[string]func(*model.Claim){
		"the claim":            func(*model.Claim) {},
		"another config":       func(c *model.Claim) { c.Config = "configs/b" },
		"another agent":        func(c *model.Claim) { c.Agent = "b" },
		"another runtime role": func(c *model.Claim) { c.RuntimeRoleID = "AROA3" },
		"another build role":   func(c *model.Claim) { c.BuildRoleID = "" },
		"roles swapped":        func(c *model.Claim) { c.RuntimeRoleID, c.BuildRoleID = c.BuildRoleID, c.RuntimeRoleID },
	} {
		c := base
		change(&c)
		for what, hash := range map[string]string{"deletion": plan.DeletionHash(c), "release": plan.ReleaseHash(c)} {
			if other, twice := seen[hash]; twice || len(hash) != 64 {
				t.Errorf("%s of %s is %s, as that of %s", what, name, hash, other)
			}
			seen[hash] = what + " of " + name
		}
	}
	free := base
	free.Waiting, free.Creating, free.Deleting = []string{"configs/b"}, []string{"x"}, retirement
	if plan.DeletionHash(free) != plan.DeletionHash(base) || plan.ReleaseHash(free) != plan.ReleaseHash(base) {
		t.Error("what is not shown is part of it")
	}
}

func TestWhatAnOperatorHasRetired(t *testing.T) {
	runtime, build := model.ObservedRole{Name: "r", ID: "AROA1"}, model.ObservedRole{Name: "b", ID: "AROA2"}
	seen := map[string]string{}
	for name, hash := range map[string]string{
		"both roles":       plan.RetireHash("configs/a", "a", []model.ObservedRole{runtime, build}),
		"the runtime role": plan.RetireHash("configs/a", "a", []model.ObservedRole{runtime}),
		"the build role":   plan.RetireHash("configs/a", "a", []model.ObservedRole{build}),
		"another role":     plan.RetireHash("configs/a", "a", []model.ObservedRole{runtime, {Name: "b", ID: "AROA3"}}),
		"another config":   plan.RetireHash("configs/b", "a", []model.ObservedRole{runtime, build}),
		"another agent":    plan.RetireHash("configs/a", "b", []model.ObservedRole{runtime, build}),
		"no role":          plan.RetireHash("configs/a", "a", nil),
	} {
		if other, twice := seen[hash]; twice || len(hash) != 64 {
			t.Errorf("%s: %s, as %s", name, hash, other)
		}
		seen[hash] = name
	}
	used := runtime
	used.Trust, used.Description = "{}", "theirs"
	if plan.RetireHash("configs/a", "a", []model.ObservedRole{used}) != plan.RetireHash("configs/a", "a", []model.ObservedRole{runtime}) {
		t.Error("what is not shown is part of it")
	}
}

func TestWhatLeavesIsToldAlike(t *testing.T) {
	many := func() plan.Leaving {
		return leaving(quarantined, func(l *plan.Leaving) {
			for i := range 8 {
				l.Uses = append(l.Uses, model.Use{Role: role(model.BuildRole).ARN, ARN: fmt.Sprint("arn:", i), Kind: "memory"})
				l.Needed[strings.Repeat("r", i%2)+strings.Repeat("R", 1-i%2)+"ole-build"] = fmt.Sprint("b", i%2)
				l.Roles[0].Observed.Policies[fmt.Sprint("more", i)] = document("s3:*").JSON()
			}
		})
	}
	text := func(l plan.Leaving) []string {
		return slices.Concat(told(l.Blockers()), told(l.Changed()), written(l.Quarantine()), written(l.Delete()), written(l.Rollback()))
	}
	first := text(many())
	for range 50 {
		if diff := cmp.Diff(first, text(many())); diff != "" {
			t.Fatalf("told otherwise:\n%s", diff)
		}
	}
}

func TestJudgingChangesNothing(t *testing.T) {
	l := leaving(quarantined, uses(runtimeUse("2", true, "READY"), runtimeUse("1", false, "READY")), func(l *plan.Leaving) { l.Profiles["role-build"] = []string{"z", "y"} })
	before := fmt.Sprintf("%+v %+v %+v %+v", l.Uses, l.Profiles, *l.Roles[0].Observed, *l.Roles[1].Observed)
	l.Blockers()
	l.Changed()
	l.Quarantine()
	l.Delete()
	l.Rollback()
	if after := fmt.Sprintf("%+v %+v %+v %+v", l.Uses, l.Profiles, *l.Roles[0].Observed, *l.Roles[1].Observed); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}
