package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
)

const (
	claim    = "claims/roles/ca978112ca.json"
	attached = "arn:aws:iam::aws:policy/Theirs"
)

// stranger makes the role one that somebody else made: with other trust,
// settings and tags, policies of the names of ours and one of its own, a managed
// policy, and no boundary.
func stranger(r *plan.Role) {
	r.Claim = r.Claim.WithRoleID(r.Desired.Kind, "")
	r.Applied = nil
	r.Existing = plan.ReportExisting
	o := r.Observed
	o.ID, o.Description, o.PermissionsBoundary, o.Tags = "AROA-stranger-"+string(r.Desired.Kind), "theirs", "", nil
	o.Trust = strings.ReplaceAll(o.Trust, "StringEquals", "StringLike")
	o.Policies = map[string]string{
		"one": document("s3:*").JSON(), naming.IdentityPolicy: document("bedrock:InvokeModel").JSON(), "mine": document("dynamodb:Scan").JSON(),
	}
	o.Attached = []string{attached}
	r.Managed = map[string]string{attached: document("s3:Get*").JSON(), "arn:boundary": document("s3:*").JSON()}
}

func existing(e plan.Existing) func(*plan.Role) { return func(r *plan.Role) { r.Existing = e } }

func requested(r *plan.Role) { r.Requested = true }

// adopting makes the role one that was taken over by a run that was interrupted.
func adopting(r *plan.Role) {
	r.Claim = r.Claim.WithRoleID(r.Desired.Kind, r.Observed.ID).WithAdopting(r.Desired.Kind)
	r.Existing = plan.RefuseExisting
}

// replaced makes the role one that stands where one of ours was.
func replaced(r *plan.Role) { r.Claim = r.Claim.WithRoleID(r.Desired.Kind, "AROA-ours") }

func fullOfTags(r *plan.Role) {
	r.Observed.Tags = map[string]string{}
	for i := range 50 {
		r.Observed.Tags[fmt.Sprint("theirs", i)] = ""
	}
}

func TestAdoption(t *testing.T) {
	extras := []string{"found runtime/policy/mine extra repaired=false", "found runtime/attached/" + attached + " extra repaired=false"}
	rest := []string{
		"put-boundary role-runtime  adopt", "tag-role role-runtime  adopt", "update-trust role-runtime  adopt",
		"put-policy role-runtime one adopt", "put-policy role-runtime two adopt", "delete-policy role-runtime AgentCoreIdentityAccess adopt",
		"update-settings role-runtime  adopt", "finish-adoption " + claim + "[] map[] adopting [runtime]  adopt",
	}
	whole := slices.Concat([]string{
		"archive-role role-runtime  adopt",
		"record-roles " + claim + "[] map[runtime:AROA-stranger-runtime] adopting [runtime]  adopt",
	}, rest, extras)
	escalating := func(r *plan.Role) { r.Observed.Policies["mine"] = document("iam:PassRole").JSON() }
	for name, c := range map[string]struct {
		roles []plan.Role
		want  []string
	}{
		"is told of where it is not asked for":       {[]plan.Role{input(model.RuntimeRole, stranger)}, []string{"refused role-runtime role-not-ours"}},
		"is made where the settings ask for it":      {[]plan.Role{input(model.RuntimeRole, stranger, existing(plan.AdoptExisting))}, whole},
		"is made where an operator asks for it":      {[]plan.Role{input(model.RuntimeRole, stranger, requested)}, whole},
		"is not made where the settings refuse it":   {[]plan.Role{input(model.RuntimeRole, stranger, existing(plan.RefuseExisting), requested)}, []string{"refused role-runtime role-not-ours"}},
		"is not made where the settings say nothing": {[]plan.Role{input(model.RuntimeRole, stranger, existing(""), requested)}, []string{"refused role-runtime role-not-ours"}},
		"of a role in the place of ours is an operator's to ask for": {
			[]plan.Role{input(model.RuntimeRole, stranger, replaced, existing(plan.AdoptExisting))}, []string{"refused role-runtime role-replaced"},
		},
		"of a role in the place of ours":             {[]plan.Role{input(model.RuntimeRole, stranger, replaced, requested)}, whole},
		"of a role at another path is none":          {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { r.Observed.ARN = "arn:aws:iam::123456789012:role/x/role-runtime" })}, []string{"refused role-runtime role-not-ours"}},
		"waits for what a managed policy grants":     {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { delete(r.Managed, attached) })}, []string{"refused role-runtime role-not-ours"}},
		"waits for what the boundary lets through":   {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { delete(r.Managed, "arn:boundary") })}, []string{"refused role-runtime role-not-ours"}},
		"under a boundary that cannot be read":       {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { r.Managed["arn:boundary"] = "{" })}, []string{"refused role-runtime role-not-ours"}},
		"of a role without room for our tags":        {[]plan.Role{input(model.RuntimeRole, stranger, requested, fullOfTags)}, []string{"refused role-runtime role-not-ours"}},
		"of a role without room for our policies":    {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { r.Observed.Policies["mine"] = document(strings.Repeat("x", 10240)).JSON() })}, []string{"refused role-runtime role-not-ours"}},
		"of a role that others may use":              {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { r.Observed.Trust = "{}" })}, []string{"refused role-runtime role-hostile"}},
		"of a role that escalates":                   {[]plan.Role{input(model.RuntimeRole, stranger, requested, escalating)}, []string{"refused role-runtime role-hostile"}},
		"of a role that escalates by what would go":  {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { r.Observed.Policies["one"] = document("*").JSON() })}, []string{"refused role-runtime role-hostile"}},
		"of a role that escalates by what is shared": {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { r.Managed[attached] = document("sts:*").JSON() })}, []string{"refused role-runtime role-hostile"}},
		"of a role with a policy nobody can read":    {[]plan.Role{input(model.RuntimeRole, stranger, requested, func(r *plan.Role) { r.Managed[attached] = "{" })}, []string{"refused role-runtime role-hostile"}},
		"of a hostile role in the place of ours":     {[]plan.Role{input(model.RuntimeRole, stranger, replaced, requested, escalating)}, []string{"refused role-runtime role-hostile"}},
		"beside a role that is new": {
			[]plan.Role{input(model.RuntimeRole, stranger, requested), input(model.BuildRole, absent, func(r *plan.Role) { r.Claim = model.Claim{} })},
			slices.Concat([]string{
				"archive-role role-runtime  adopt",
				"reserve-creation " + claim + "[build] map[runtime:AROA-stranger-runtime] adopting [runtime]  adopt", "create-role role-build  create",
				"record-roles " + claim + "[] map[runtime:AROA-stranger-runtime] adopting [runtime]  adopt",
			}, rest[:7], []string{"put-policy role-build one create", "put-policy role-build two create"}, rest[7:], extras),
		},
		"of both roles": {
			[]plan.Role{input(model.RuntimeRole, stranger, requested), input(model.BuildRole, stranger, requested, func(r *plan.Role) {
				r.Observed.Policies, r.Observed.Attached = nil, nil
			})},
			slices.Concat([]string{
				"archive-role role-runtime  adopt", "archive-role role-build  adopt",
				"record-roles " + claim + "[] map[build:AROA-stranger-build runtime:AROA-stranger-runtime] adopting [runtime build]  adopt",
			}, rest[:7], []string{
				"put-boundary role-build  adopt", "tag-role role-build  adopt", "update-trust role-build  adopt",
				"put-policy role-build one adopt", "put-policy role-build two adopt", "update-settings role-build  adopt",
				"finish-adoption " + claim + "[] map[] adopting [runtime build]  adopt",
			}, extras),
		},
		"beside a hostile role": {
			[]plan.Role{input(model.RuntimeRole, stranger, requested), input(model.BuildRole, stranger, requested, escalating)},
			append(slices.Clone(whole), "refused role-build role-hostile"),
		},
		"takes all policies away that have names of ours": {
			[]plan.Role{input(model.RuntimeRole, adopting, func(r *plan.Role) {
				for _, name := range []string{naming.RuntimePolicy("a"), naming.RuntimePolicy("b"), naming.IdentityPolicy, naming.JWTPolicy, naming.BuildPolicy} {
					r.Observed.Policies[name] = document("s3:*").JSON()
				}
			})},
			[]string{
				"delete-policy role-runtime " + naming.JWTPolicy + " adopt", "delete-policy role-runtime " + naming.IdentityPolicy + " adopt",
				"delete-policy role-runtime " + naming.RuntimePolicy("a") + " adopt", "delete-policy role-runtime " + naming.BuildPolicy + " adopt",
				"finish-adoption " + claim + "[] map[] adopting [runtime]  adopt",
				"found runtime/policy/" + naming.RuntimePolicy("b") + " extra repaired=false",
			},
		},
		"that was interrupted goes on, whatever the settings say now": {
			[]plan.Role{input(model.RuntimeRole, stranger, adopting)}, slices.Concat(rest, extras),
		},
		"that was interrupted goes on, although the role is hostile now": {
			[]plan.Role{input(model.RuntimeRole, stranger, adopting, func(r *plan.Role) { r.Observed.Trust = "{}" })}, slices.Concat(rest, extras),
		},
		"that was all but finished is finished": {
			[]plan.Role{input(model.RuntimeRole, adopting)}, []string{"finish-adoption " + claim + "[] map[] adopting [runtime]  adopt"},
		},
		"without room for tags stays unfinished": {
			[]plan.Role{input(model.RuntimeRole, stranger, adopting, fullOfTags)},
			slices.Concat(rest[:1], rest[2:7], extras, []string{"refused role-runtime role-tags-full"}),
		},
		"without room for policies stays unfinished": {
			[]plan.Role{input(model.RuntimeRole, stranger, adopting, func(r *plan.Role) { r.Observed.Policies["mine"] = strings.Repeat("x", 10240) })},
			slices.Concat(rest[:3], rest[6:7], extras, []string{"refused role-runtime role-policies-full"}),
		},
		"is finished for the role that has room": {
			[]plan.Role{input(model.RuntimeRole, adopting, fullOfTags), input(model.BuildRole, adopting)},
			[]string{"finish-adoption " + claim + "[] map[] adopting [build]  adopt", "refused role-runtime role-tags-full"},
		},
		"of a role that was deleted meanwhile is over": {
			[]plan.Role{input(model.RuntimeRole, adopting, absent)},
			[]string{
				"reserve-creation " + claim + "[runtime] map[]  create", "create-role role-runtime  create", "record-roles " + claim + "[] map[]  create",
				"put-policy role-runtime one create", "put-policy role-runtime two create", "finish-adoption " + claim + "[] map[] adopting [runtime]  adopt",
				"found runtime role-missing repaired=true",
			},
		},
		"of a role that was replaced meanwhile is another": {
			[]plan.Role{input(model.RuntimeRole, stranger, adopting, func(r *plan.Role) { r.Observed.ID, r.Existing = "AROA-third", plan.AdoptExisting })},
			[]string{"refused role-runtime role-replaced"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Compute(c.roles, nil)
			if diff := cmp.Diff(c.want, lines(p)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			for _, s := range p.Steps {
				if s.Op == plan.ArchiveRole && s.Observed != c.roles[slices.IndexFunc(c.roles, func(r plan.Role) bool { return r.Desired.Name == s.Role })].Observed {
					t.Errorf("the archive of %s is not of the role as it is", s.Role)
				}
			}
			for _, f := range p.Refusals {
				if stranger := f.Kind != plan.TagsFull && f.Kind != plan.PoliciesFull; p.Stranger(f.Role) != stranger {
					t.Errorf("%s of kind %s: stranger %t", f.Role, f.Kind, !stranger)
				}
			}
		})
	}
}

func TestARefusalSaysWhatIsSoAndWhatCanBeDone(t *testing.T) {
	const (
		notOurs = "role role-runtime exists already and Rolekeeper did not make it"
		anew    = "role role-runtime was deleted and made anew by somebody else: its unique id is AROA-stranger-runtime, ours was AROA-ours"
		remove  = "if nothing uses it, have it deleted and upload the config again; or rename the agent"
		findOut = "find out who made it (CloudTrail, CreateRole); delete it and upload the config again to have ours back"
		operate = "have an operator run `rolekeeper adopt configs/a a`, which takes the role over; or "
		clean   = "; or have taken from the role what is named here, then it can be adopted"
	)
	hostile := func(r *plan.Role) {
		r.Observed.Trust = strings.ReplaceAll(r.Observed.Trust, "123456789012", "210987654321")
		r.Observed.Policies["mine"] = document("iam:PassRole").JSON()
		r.Managed[attached] = "{"
	}
	why := ". It is never adopted: its trust goes beyond bedrock-agentcore.amazonaws.com in this account: " +
		"statement 1 does not tie bedrock-agentcore.amazonaws.com to account 123456789012 by aws:SourceAccount or aws:SourceArn; " +
		"policy mine grants iam:PassRole, which can lead to more permissions; policy " + attached + " cannot be judged: read policy document: unexpected EOF"
	for name, c := range map[string]struct {
		changes      []func(*plan.Role)
		message, fix string
		losses       bool
	}{
		"report":                        {nil, notOurs, operate + remove, true},
		"refuse":                        {[]func(*plan.Role){existing(plan.RefuseExisting)}, notOurs, remove, false},
		"replaced":                      {[]func(*plan.Role){replaced, existing(plan.AdoptExisting)}, anew, operate + findOut, true},
		"replaced, and settings refuse": {[]func(*plan.Role){replaced, existing(plan.RefuseExisting)}, anew, findOut, false},
		"hostile":                       {[]func(*plan.Role){hostile}, notOurs + why, remove + clean, false},
		"hostile, and settings refuse":  {[]func(*plan.Role){hostile, existing(plan.RefuseExisting)}, notOurs, remove, false},
		"hostile and replaced":          {[]func(*plan.Role){hostile, replaced}, anew + why, findOut + clean, false},
		"path": {[]func(*plan.Role){func(r *plan.Role) { r.Observed.ARN = "arn:aws:iam::123456789012:role/x/role-runtime" }},
			notOurs + ". It cannot be adopted: its ARN is arn:aws:iam::123456789012:role/x/role-runtime, not arn:aws:iam::123456789012:role/role-runtime", remove, false},
		"unknown": {[]func(*plan.Role){func(r *plan.Role) { r.Managed = nil }},
			notOurs + ". It cannot be adopted: what managed policy " + attached + " grants is not known", remove, false},
		"unknown boundary": {
			[]func(*plan.Role){func(r *plan.Role) { delete(r.Managed, "arn:boundary") }},
			notOurs + ". It cannot be adopted: what managed policy arn:boundary grants is not known", remove, false,
		},
		"boundary": {[]func(*plan.Role){func(r *plan.Role) { r.Managed["arn:boundary"] = "[]" }},
			notOurs + ". It cannot be adopted: the boundary arn:boundary cannot be judged: read policy document: want an object, have a list", remove, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Compute([]plan.Role{input(model.RuntimeRole, append([]func(*plan.Role){stranger}, c.changes...)...)}, nil)
			if len(p.Refusals) != 1 || len(p.Steps) != 0 {
				t.Fatalf("got %v", lines(p))
			}
			f := p.Refusals[0]
			if diff := cmp.Diff([]string{c.message, c.fix}, []string{f.Message, f.Fix}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (len(f.Losses) > 0) != c.losses {
				t.Errorf("losses: %v", f.Losses)
			}
		})
	}
}

func TestLossesAreToldByWhatCausesThem(t *testing.T) {
	const bounded = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","dynamodb:Get*"],"Resource":"*"},{"Effect":"Deny","Action":"s3:Delete*","Resource":"*"}]}`
	managed := func(inline map[string]string, document string) func(*plan.Role) {
		return func(r *plan.Role) {
			r.Observed.Policies = inline
			r.Managed = map[string]string{attached: document, "arn:boundary": bounded}
		}
	}
	none := document("s3:GetObject").JSON()
	for name, c := range map[string]struct {
		change func(*plan.Role)
		want   []string
	}{
		"what is desired is not lost":  {managed(map[string]string{"one": document("s3:GetObject").JSON(), "two": document("S3:getobject").JSON()}, none), nil},
		"what is overwritten":          {managed(map[string]string{"one": document("s3:List*").JSON()}, none), []string{"policy one is replaced or removed, and with it goes: s3:List* on *"}},
		"what is removed":              {managed(map[string]string{naming.RuntimePolicy("a"): document("s3:List*").JSON()}, none), []string{"policy " + naming.RuntimePolicy("a") + " is replaced or removed, and with it goes: s3:List* on *"}},
		"what a policy that stays has": {managed(map[string]string{"one": document("s3:ListBucket").JSON(), "mine": document("s3:List*").JSON()}, none), nil},
		"what a shared one has":        {managed(map[string]string{naming.JWTPolicy: document("s3:ListBucket").JSON()}, document("s3:List*").JSON()), nil},
		"what was denied before": {
			managed(map[string]string{"one": document("s3:GetObject").JSON(), "mine": `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`}, none), nil,
		},
		"what stays and is cut": {
			managed(map[string]string{"mine": document("dynamodb:*").JSON(), naming.BuildPolicy: document("s3:GetObject").JSON()}, document("s3:*").JSON()),
			[]string{
				"the boundary makes ineffective, in whole or in part, what policy mine grants: dynamodb:* on *",
				"the boundary makes ineffective, in whole or in part, what policy " + attached + " grants: s3:* on *",
			},
		},
		"what limited the role": {
			func(r *plan.Role) {
				managed(map[string]string{"one": `{"Statement":{"Effect":"Deny","Action":"s3:*","NotResource":"arn:aws:s3:::mine"}}`}, none)(r)
				r.Observed.PermissionsBoundary = "arn:stricter"
			},
			[]string{
				"the role's own boundary arn:stricter is replaced, which may let more through",
				"policy one is replaced or removed, and with it goes what it denies: s3:* on everything but arn:aws:s3:::mine",
			},
		},
		"what is desired and cut": {
			func(r *plan.Role) {
				managed(map[string]string{"one": policy.New(policy.Statement{
					Effect: policy.Allow, Actions: []string{"ec2:RunInstances", "s3:PutObject", "sqs:*"}, Resources: []string{"*"},
				}).JSON()}, none)(r)
				r.Desired.Policies["two"] = document("ec2:*")
			},
			[]string{
				"policy one is replaced or removed, and with it goes: s3:PutObject, sqs:* on *",
				"the boundary makes ineffective, in whole or in part, what policy one grants: ec2:RunInstances on *",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Compute([]plan.Role{input(model.RuntimeRole, stranger, c.change)}, nil)
			if len(p.Refusals) != 1 {
				t.Fatalf("got %v", lines(p))
			}
			var got []string
			for _, l := range p.Refusals[0].Losses {
				got = append(got, l.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTheHashOfAnAdoptionIsOfAllThatDecidesIt(t *testing.T) {
	hash := func(agent string, change ...func(*plan.Role)) string {
		changes := append([]func(*plan.Role){stranger, requested}, change...)
		return plan.Compute([]plan.Role{input(model.RuntimeRole, changes...)}, nil).AdoptionHash(agent)
	}
	first := hash("a")
	if len(first) != 64 {
		t.Fatalf("hash %q", first)
	}
	for range 20 {
		if again := hash("a"); again != first {
			t.Fatalf("%s and %s are of the same plan", first, again)
		}
	}
	if all := hash(""); all != first {
		t.Error("the hash of all agents is not that of the only one")
	}
	if other := hash("b"); other != "" {
		t.Errorf("an agent that adopts nothing has the hash %s", other)
	}
	if none := hash("a", func(r *plan.Role) { r.Requested = false }); none != "" {
		t.Errorf("a plan that adopts nothing has the hash %s", none)
	}
	beside := plan.Compute([]plan.Role{
		input(model.RuntimeRole, stranger, requested), input(model.BuildRole, func(r *plan.Role) { r.Observed.Description = "edited" }),
	}, []plan.ServiceLinkedRole{{Name: "L", Service: "l"}})
	if h := beside.AdoptionHash("a"); h != first || beside.AdoptionHash("") != first {
		t.Errorf("what else is done changes the hash to %s", h)
	}
	seen := map[string]string{first: "the first"}
	for name, change := range map[string]func(*plan.Role){
		"its id":                         func(r *plan.Role) { r.Observed.ID = "AROA-other" },
		"its path":                       func(r *plan.Role) { r.Observed.Path = "/x/" },
		"its description":                func(r *plan.Role) { r.Observed.Description = "other" },
		"its sessions":                   func(r *plan.Role) { r.Observed.MaxSessionDuration = 7200 },
		"its boundary":                   func(r *plan.Role) { r.Observed.PermissionsBoundary = "arn:other" },
		"its trust":                      func(r *plan.Role) { r.Observed.Trust += " " },
		"a policy":                       func(r *plan.Role) { r.Observed.Policies["mine"] += " " },
		"another policy":                 func(r *plan.Role) { r.Observed.Policies["more"] = document("s3:*").JSON() },
		"a managed policy":               func(r *plan.Role) { r.Observed.Attached = nil },
		"what a managed policy grants":   func(r *plan.Role) { r.Managed[attached] = document("s3:List*").JSON() },
		"what the boundary lets through": func(r *plan.Role) { r.Managed["arn:boundary"] = document("sqs:*").JSON() },
		"a tag":                          func(r *plan.Role) { r.Observed.Tags = map[string]string{"k": "v"} },
		"desired description":            func(r *plan.Role) { r.Desired.Description = "other" },
		"desired sessions":               func(r *plan.Role) { r.Desired.MaxSessionDuration = 7200 },
		"desired boundary": func(r *plan.Role) {
			r.Desired.PermissionsBoundary, r.Managed["arn:new"] = "arn:new", r.Managed["arn:boundary"]
		},
		"desired trust":        func(r *plan.Role) { r.Desired.Trust.Statements[0].Sid = "other" },
		"a desired policy":     func(r *plan.Role) { r.Desired.Policies["one"] = document("s3:ListBucket") },
		"one more desired":     func(r *plan.Role) { r.Desired.Policies["three"] = document("s3:ListBucket") },
		"a desired tag":        func(r *plan.Role) { r.Desired.Tags["t1"] = "other" },
		"a role to be created": func(r *plan.Role) { r.Desired.Kind = model.BuildRole },
	} {
		h := hash("a", change)
		if other, ok := seen[h]; ok || h == "" {
			t.Errorf("%s: the hash %q is that of %s", name, h, other)
		}
		seen[h] = name
	}
}

func TestAPlanIsWrittenInNamesOfItsOwn(t *testing.T) {
	p := plan.Compute([]plan.Role{input(model.RuntimeRole, stranger, requested), input(model.BuildRole, stranger)}, []plan.ServiceLinkedRole{{Name: "L", Service: "l"}})
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if v["Statement"] != nil { // a document has IAM's names
				return
			}
			names = append(names, slices.Collect(maps.Keys(v))...)
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(all)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name != naming.IdentityPolicy && strings.ToLower(name[:1]) != name[:1] {
			t.Errorf("the name %q is Go's", name)
		}
	}
	for _, want := range []string{`"op":"archive-role"`, `"observed":{"name":"role-runtime"`, `"desired":{"kind":"runtime"`, `"trust":{"Version":"2012-10-17"`, `"adopting":["runtime"]`, `"by":"boundary"`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%s is not in %s", want, data)
		}
	}
}
