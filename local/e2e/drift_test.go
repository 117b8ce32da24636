package e2e

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

const readOnly = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"

// edit is something that somebody does by hand to what an agent has.
type edit struct {
	agent   string
	role    func(agent string) string // or project; nil for the runtime role
	by      func(h hand, name string) error
	element string
	kind    report.Kind
	stays   bool // also where drift is repaired
	blocks  bool // the role is written no more
}

func (e edit) name() string {
	if e.role == nil {
		return owned(e.agent)
	}
	return e.role(e.agent)
}

// hand is somebody who writes past Rolekeeper.
type hand struct {
	s        stack
	roles    *iam.Client
	projects *codebuild.Client
}

// unseen is somebody of whom CloudTrail does not tell.
func (s stack) unseen() hand {
	return hand{s, iam.NewFromConfig(s.Unlogged()), codebuild.NewFromConfig(s.Config("admin"))}
}

// seen is somebody of whom it tells.
func (s stack) seen() hand {
	return hand{s, iam.NewFromConfig(s.Config("admin")), codebuild.NewFromConfig(s.Config("admin"))}
}

func (h hand) trust(name, document string) error {
	_, err := h.roles.UpdateAssumeRolePolicy(h.s.t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &document})
	return err
}

func (h hand) put(name, policy, document string) error {
	_, err := h.roles.PutRolePolicy(h.s.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &policy, PolicyDocument: &document})
	return err
}

// empty takes all policies of the role away.
func (h hand) empty(name string) error {
	for policy := range h.s.role(name).Policies {
		if _, err := h.roles.DeleteRolePolicy(h.s.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy}); err != nil {
			return err
		}
	}
	return nil
}

func (h hand) remove(name string) error {
	if err := h.empty(name); err != nil {
		return err
	}
	_, err := h.roles.DeleteRole(h.s.t.Context(), &iam.DeleteRoleInput{RoleName: &name})
	return err
}

// replace deletes the role and makes one that looks the same.
func (h hand) replace(name string) error {
	o := h.s.role(name)
	if err := h.remove(name); err != nil {
		return err
	}
	in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &o.Trust, Description: &o.Description, PermissionsBoundary: &o.PermissionsBoundary}
	for key, value := range o.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &value})
	}
	_, err := h.roles.CreateRole(h.s.t.Context(), in)
	for policy, document := range o.Policies {
		if err == nil {
			err = h.put(name, policy, document)
		}
	}
	return err
}

func (h hand) attach(name string) error {
	_, err := h.roles.AttachRolePolicy(h.s.t.Context(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: aws.String(readOnly)})
	return err
}

func (h hand) bind(name, boundary string) error {
	_, err := h.roles.PutRolePermissionsBoundary(h.s.t.Context(), &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: &boundary})
	return err
}

func (h hand) unbind(name string) error {
	_, err := h.roles.DeleteRolePermissionsBoundary(h.s.t.Context(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name})
	return err
}

func (h hand) update(name, description string, session int32) error {
	_, err := h.roles.UpdateRole(h.s.t.Context(), &iam.UpdateRoleInput{RoleName: &name, Description: &description, MaxSessionDuration: &session})
	return err
}

func (h hand) tag(name, key, value string) error {
	_, err := h.roles.TagRole(h.s.t.Context(), &iam.TagRoleInput{RoleName: &name, Tags: []types.Tag{{Key: &key, Value: &value}}})
	return err
}

func (h hand) untag(name string, keys ...string) error {
	_, err := h.roles.UntagRole(h.s.t.Context(), &iam.UntagRoleInput{RoleName: &name, TagKeys: keys})
	return err
}

// slow gives a project's builds another time, and leaves its tags.
func (h hand) slow(name string) error {
	out, err := h.projects.BatchGetProjects(h.s.t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{name}})
	if err == nil {
		_, err = h.projects.UpdateProject(h.s.t.Context(), &codebuild.UpdateProjectInput{Name: &name, TimeoutInMinutes: aws.Int32(5), Tags: out.Projects[0].Tags})
	}
	return err
}

const opened = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}]}`

// edits are every kind of drift, each of an agent of its own.
func edits() []edit {
	build := func(agent string) string { return naming.BuildRole(region, agent) }
	return []edit{
		{agent: "trust", by: func(h hand, name string) error { return h.trust(name, opened) }, element: "runtime/trust", kind: report.KindEdited},
		{agent: "build_trust", role: build, by: func(h hand, name string) error { return h.trust(name, opened) }, element: "build/trust", kind: report.KindEdited},
		{agent: "widened", by: func(h hand, name string) error { return h.put(name, naming.RuntimePolicy("widened"), allObjects) }, element: "runtime/policy/" + naming.RuntimePolicy("widened"), kind: report.KindEdited},
		{agent: "emptied", by: hand.empty, element: "runtime/policy/" + naming.RuntimePolicy("emptied"), kind: report.KindMissing},
		{agent: "build_emptied", role: build, by: hand.empty, element: "build/policy/" + naming.BuildPolicy, kind: report.KindMissing},
		{agent: "added", by: func(h hand, name string) error { return h.put(name, "debug", allObjects) }, element: "runtime/policy/debug", kind: report.KindIneffective, stays: true},
		{agent: "attached", by: hand.attach, element: "runtime/attached/" + readOnly, kind: report.KindExtra, stays: true},
		{agent: "unbound", by: hand.unbind, element: "runtime/boundary", kind: report.KindMissing},
		{agent: "bound", by: func(h hand, name string) error { return h.bind(name, readOnly) }, element: "runtime/boundary", kind: report.KindEdited},
		{agent: "untagged", by: func(h hand, name string) error { return h.untag(name, model.TagConfig, model.TagAgent) }, element: "runtime/tags", kind: report.KindEdited},
		{agent: "tagged", by: func(h hand, name string) error { return h.tag(name, model.TagConfig, "configs/theirs.yaml") }, element: "runtime/tags", kind: report.KindEdited},
		{agent: "described", by: func(h hand, name string) error { return h.update(name, "mine", h.s.role(name).MaxSessionDuration) }, element: "runtime/settings", kind: report.KindEdited},
		{agent: "prolonged", by: func(h hand, name string) error { return h.update(name, h.s.role(name).Description, 43200) }, element: "runtime/settings", kind: report.KindEdited},
		{agent: "deleted", by: hand.remove, element: "runtime", kind: report.KindRoleMissing},
		{agent: "build_deleted", role: build, by: hand.remove, element: "build", kind: report.KindRoleMissing},
		{agent: "replaced", by: hand.replace, kind: report.KindReplaced, stays: true, blocks: true},
		{agent: "slower", role: naming.Project, by: hand.slow, element: "project/settings", kind: report.KindEdited},
	}
}

// agentsOf uploads a config for each edit's agent, and gives their runtime roles
// and build roles as they then are.
func (s stack) agentsOf(all []edit) map[string]model.ObservedRole {
	s.t.Helper()
	var names, roles []string
	for _, e := range all {
		names, roles = append(names, e.agent), append(roles, owned(e.agent), naming.BuildRole(region, e.agent))
	}
	s.agents(names...)
	return s.asTheyAre(roles...)
}

// asTheyAre gives roles by name.
func (s stack) asTheyAre(names ...string) map[string]model.ObservedRole {
	s.t.Helper()
	was := map[string]model.ObservedRole{}
	for _, name := range names {
		was[name] = s.role(name)
	}
	return was
}

// edited takes the policies of roles away, of which no event tells, and gives the
// roles as they were.
func (s stack) edited(names ...string) map[string]model.ObservedRole {
	s.t.Helper()
	was := s.asTheyAre(names...)
	for _, name := range names {
		if err := s.unseen().empty(name); err != nil {
			s.t.Fatal(err)
		}
	}
	return was
}

// wantRoles checks that roles are as they were.
func (s stack) wantRoles(was map[string]model.ObservedRole) {
	s.t.Helper()
	for name, want := range was {
		if diff := gocmp.Diff(want, s.role(name)); diff != "" {
			s.t.Errorf("role %s (-was +is):\n%s", name, diff)
		}
	}
}

// report gives what the last pass found, and checks that it is kept, and that there
// is a page of it.
func (s stack) report() report.Pass {
	s.t.Helper()
	data := s.get(naming.LatestPassKey)
	r, err := report.ParsePass(data)
	if err != nil {
		s.t.Fatalf("%v: %s", err, data)
	}
	if kept := s.get(naming.DriftReportKey(r.At)); string(kept) != string(data) {
		s.t.Errorf("%s is not what %s is", naming.DriftReportKey(r.At), naming.LatestPassKey)
	}
	page := string(s.get(naming.LatestReportKey))
	if !strings.HasPrefix(strings.ToLower(page), "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
		s.t.Errorf("the page is %.200q … of %d bytes", page, len(page))
	}
	for _, f := range r.Findings {
		if !strings.Contains(page, f.Role) {
			s.t.Errorf("the page does not tell of %s", f.Role)
		}
	}
	return r
}

// wantQuiet checks the calls since the log was emptied: nothing was written but
// the report of one pass, nothing given to anybody, and IAM was read in bulk.
func (s stack) wantQuiet(r report.Pass) {
	s.t.Helper()
	pages, others := 0, 0
	var wrote []string
	for _, c := range s.Calls(proxy.Filter{}) {
		switch {
		case c.Caller == "reconcile" || c.Caller == "intake":
			s.t.Errorf("%s called %s:%s %s", c.Caller, c.Service, c.Operation, c.Resource)
		case c.Caller != "drift":
		case c.Service == "iam" && (c.Operation == "GetAccountAuthorizationDetails" || c.Operation == "ListRoles"):
			pages++
		case c.Service == "iam":
			others++
		case c.Operation == "PutObject":
			wrote = append(wrote, strings.TrimPrefix(c.Resource, bucket+"/"))
		case !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") && !strings.HasPrefix(c.Operation, "BatchGet"):
			s.t.Errorf("drift called %s:%s %s", c.Service, c.Operation, c.Resource)
		}
	}
	slices.Sort(wrote)
	if want := []string{naming.DriftReportKey(r.At), naming.LatestReportKey, naming.LatestPassKey}; !slices.Equal(wrote, want) {
		s.t.Errorf("drift wrote %v, want %v", wrote, want)
	}
	if pages == 0 || others > 2 || r.Totals.IAMCalls != pages+others {
		s.t.Errorf("IAM was asked for %d pages and %d times for other things, and %d calls are told", pages, others, r.Totals.IAMCalls)
	}
	if r.Totals.Enqueued != 0 || r.Failed != "" || r.Stopped != nil {
		s.t.Errorf("the pass: %+v, failed %q, stopped %+v", r.Totals, r.Failed, r.Stopped)
	}
}

// wantFindings checks what a pass found, but for the texts.
func wantFindings(t testing.TB, r report.Pass, want []report.Finding) {
	t.Helper()
	byRole := func(a, b report.Finding) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Element, b.Element))
	}
	got := slices.SortedFunc(slices.Values(r.Findings), byRole)
	slices.SortFunc(want, byRole)
	if diff := gocmp.Diff(want, got, cmpopts.IgnoreFields(report.Finding{}, "Since", "Observed", "Desired", "Message", "Fix"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, f := range got {
		if f.Since.IsZero() || time.Since(f.Since) > time.Hour {
			t.Errorf("%s %s since %s", f.Role, f.Element, f.Since)
		}
		if f.Kind == report.KindEdited && (f.Observed == f.Desired || f.Observed == "" && f.Element != "runtime/tags") {
			t.Errorf("%s %s is told as %q in the place of %q", f.Role, f.Element, f.Observed, f.Desired)
		}
		if f.Action == report.ActionBlocked && (f.Message == "" || f.Fix == "") {
			t.Errorf("%s: nobody is told what to do: %+v", f.Role, f)
		}
	}
}

func TestEveryKindOfDriftIsFoundByThePassAndRepaired(t *testing.T) {
	s := startWith(t, local.Options{Parameters: map[string]string{"MaxChangesPerSweep": "100%"}})
	all := edits()
	was := s.agentsOf(all)
	s.pass() // it reads the boundary's document
	if r := s.report(); len(r.Findings)+len(r.Orphans) > 0 || r.Totals.Agents != len(all) || r.Totals.Roles != 2*len(all) || r.Totals.Enqueued > 0 {
		t.Errorf("before anything is edited: %+v, %+v, %+v", r.Totals, r.Findings, r.Orphans)
	}

	t.Run("a pass over what nobody has edited writes its report alone", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.pass()
		s.wantQuiet(s.report())
	})

	var found, left []report.Finding
	for _, e := range all {
		f := report.Finding{Config: keyOf(e.agent), Agent: e.agent, Role: e.name(), Element: e.element, Kind: e.kind, Action: report.ActionRepaired, New: true}
		switch {
		case e.blocks:
			f.Action = report.ActionBlocked
		case e.stays:
			f.Action = report.ActionTold
		}
		found = append(found, f)
		if f.New = false; e.stays {
			left = append(left, f)
		}
	}
	t.Run("what was edited unseen is found", func(t *testing.T) {
		s := s.in(t)
		for _, e := range all {
			if err := e.by(s.unseen(), e.name()); err != nil {
				t.Fatalf("%s: %v", e.agent, err)
			}
		}
		s.idle()
		s.Proxy().Reset()
		s.pass()
		r := s.report()
		wantFindings(t, r, found)
		if r.Totals.Drifted != len(all) || r.Totals.Enqueued != len(all) || r.Stopped != nil {
			t.Errorf("totals %+v, stopped %+v", r.Totals, r.Stopped)
		}
	})

	t.Run("and repaired, but for what is kept and what is somebody else's", func(t *testing.T) {
		s := s.in(t)
		for _, e := range all {
			want := was[e.name()]
			switch {
			case e.blocks:
				if got := s.role(e.name()); got.ID == want.ID {
					t.Errorf("role %s was not replaced", e.name())
				}
				for _, c := range s.Calls(proxy.Filter{Caller: "reconcile", Service: "iam", Resource: e.name()}) {
					if !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") {
						t.Errorf("%s of a role that somebody made in the place of ours", c.Operation)
					}
				}
				if got := s.status(keyOf(e.agent)); got.Outcome != status.Blocked {
					t.Errorf("status: %+v", got)
				}
				continue
			case e.kind == report.KindRoleMissing:
				got := s.role(e.name())
				if got.ID == want.ID {
					t.Errorf("role %s is not a new one", e.name())
				}
				want.ID, want.Tags[model.TagCreation] = got.ID, got.Tags[model.TagCreation]
			case e.element == "runtime/policy/debug":
				want.Policies["debug"] = s.role(e.name()).Policies["debug"]
			case e.kind == report.KindExtra:
				want.Attached = []string{readOnly}
			case strings.HasPrefix(e.element, "project/"):
				out, err := codebuild.NewFromConfig(s.Config("admin")).BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{e.name()}})
				if err != nil || len(out.Projects) != 1 || aws.ToInt32(out.Projects[0].TimeoutInMinutes) == 5 {
					t.Errorf("project %+v, %v", out, err)
				}
				continue
			}
			s.wantRoles(map[string]model.ObservedRole{e.name(): want})
		}
	})

	t.Run("a second pass finds what was left, and writes its report alone", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.pass()
		r := s.report()
		wantFindings(t, r, left)
		s.wantQuiet(r)
	})

	t.Run("a policy that the event told of is told with who put it there", func(t *testing.T) { testToldByEvent(s.in(t)) })
	t.Run("the boundary's document", func(t *testing.T) { testBoundary(s.in(t)) })

	s.wantNothingLost()
	for _, err := range s.Errors() {
		t.Errorf("local AWS: %v", err)
	}
}

// testToldByEvent has somebody add a policy of whom CloudTrail tells.
func testToldByEvent(s stack) {
	const agent = "told"
	s.agents(agent)
	before := s.role(owned(agent))
	if err := s.seen().put(owned(agent), "mine", allObjects); err != nil {
		s.t.Fatal(err)
	}
	s.idle()
	a := s.agent(keyOf(agent), agent)
	if len(a.Drift) != 1 || a.Drift[0].Element != "runtime/policy/mine" || !strings.HasSuffix(a.Drift[0].Actor, ":assumed-role/admin/admin") {
		s.t.Errorf("drift: %+v", a.Drift)
	}
	s.pass()
	r := s.report()
	i := slices.IndexFunc(r.Findings, func(f report.Finding) bool { return f.Agent == agent })
	if i < 0 || r.Findings[i].Actor != a.Drift[0].Actor || r.Findings[i].Action != report.ActionTold || r.Totals.Enqueued > 0 {
		s.t.Errorf("findings %+v, totals %+v", r.Findings, r.Totals)
	}
	after := s.role(owned(agent))
	if _, kept := after.Policies["mine"]; !kept {
		s.t.Error("the policy is gone")
	}
	delete(after.Policies, "mine")
	if diff := gocmp.Diff(before, after); diff != "" {
		s.t.Errorf("the role (-before +after):\n%s", diff)
	}
}

// testBoundary has the policy changed that limits all roles: it is told until it
// says again what the stack made it say.
func testBoundary(s stack) {
	arn, roles := s.Stack().Outputs["BoundaryArn"], s.unseen().roles
	if _, err := roles.CreatePolicyVersion(s.t.Context(), &iam.CreatePolicyVersionInput{PolicyArn: &arn, PolicyDocument: aws.String(allObjects), SetAsDefault: true}); err != nil {
		s.t.Fatal(err)
	}
	told := func() int {
		s.t.Helper()
		s.pass()
		r := s.report()
		n := 0
		for _, f := range r.Findings {
			if f.Kind != report.KindBoundary {
				continue
			}
			n++
			if f.Role != arn || f.Action != report.ActionTold || !strings.Contains(f.Observed, "s3:*") || !strings.Contains(f.Desired, "Statement") {
				s.t.Errorf("the boundary: %+v", f)
			}
		}
		if r.Totals.Enqueued > 0 {
			s.t.Errorf("%d configs were enqueued for it", r.Totals.Enqueued)
		}
		return n
	}
	if first, again := told(), told(); first != 1 || again != 1 {
		s.t.Errorf("it was told %d and %d times", first, again)
	}
	if _, err := roles.SetDefaultPolicyVersion(s.t.Context(), &iam.SetDefaultPolicyVersionInput{PolicyArn: &arn, VersionId: aws.String("v1")}); err != nil {
		s.t.Fatal(err)
	}
	if n := told(); n > 0 {
		s.t.Errorf("it was told %d times once it was back", n)
	}
}

func TestEveryKindOfDriftIsToldAndNotWrittenInReportMode(t *testing.T) {
	s := startWith(t, local.Options{Parameters: map[string]string{"DriftMode": "report", "UnmanagedPolicies": "remove", "MaxChangesPerSweep": "1"}})
	all := edits()
	s.agentsOf(all)
	s.pass()
	for _, e := range all {
		if err := e.by(s.unseen(), e.name()); err != nil {
			t.Fatalf("%s: %v", e.agent, err)
		}
	}
	s.idle()
	writes := func() []string {
		var all []string
		for _, c := range s.Calls(proxy.Filter{Caller: "reconcile"}) {
			if slices.Contains([]string{"iam", "codebuild", "ecr", "logs"}, c.Service) && !strings.HasPrefix(c.Operation, "Get") &&
				!strings.HasPrefix(c.Operation, "List") && !strings.HasPrefix(c.Operation, "BatchGet") && !strings.HasPrefix(c.Operation, "Describe") {
				all = append(all, c.Operation+" "+c.Resource)
			}
		}
		return all
	}
	var want []report.Finding
	for _, e := range all {
		f := report.Finding{Config: keyOf(e.agent), Agent: e.agent, Role: e.name(), Element: e.element, Kind: e.kind, Action: report.ActionTold, New: true}
		if e.blocks || e.kind == report.KindRoleMissing {
			f.Action = report.ActionBlocked
		}
		want = append(want, f)
	}
	t.Run("the pass tells all of it, and nothing is written", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.pass()
		r := s.report()
		wantFindings(t, r, want)
		if r.Mode != "report" || r.Stopped != nil || r.Totals.Drifted != len(all) {
			t.Errorf("mode %s, stopped %+v, totals %+v", r.Mode, r.Stopped, r.Totals)
		}
		if made := writes(); len(made) > 0 {
			t.Errorf("writes: %v", made)
		}
	})

	t.Run("the statuses tell it, too", func(t *testing.T) {
		s := s.in(t)
		for _, e := range all {
			a := s.agent(keyOf(e.agent), e.agent)
			told := slices.ContainsFunc(a.Drift, func(d status.Drift) bool { return d.Element == e.element }) ||
				slices.ContainsFunc(a.BlockedBy, func(b status.Blocker) bool { return strings.HasSuffix(b.ARN, "/"+e.name()) })
			if !told {
				t.Errorf("%s: drift %+v, blocked by %+v", e.agent, a.Drift, a.BlockedBy)
			}
		}
	})

	t.Run("a second pass tells the same, and writes its report alone", func(t *testing.T) {
		s := s.in(t)
		for i := range want {
			want[i].New = false
		}
		s.Proxy().Reset()
		s.pass()
		r := s.report()
		wantFindings(t, r, want)
		s.wantQuiet(r)
	})

	t.Run("nor is what an event tells written", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		name := owned("described")
		if err := s.seen().trust(name, opened); err != nil {
			t.Fatal(err)
		}
		s.idle()
		if made := writes(); len(made) > 0 {
			t.Errorf("writes: %v", made)
		}
		a := s.agent(keyOf("described"), "described")
		i := slices.IndexFunc(a.Drift, func(d status.Drift) bool { return d.Element == "runtime/trust" })
		if i < 0 || !strings.HasSuffix(a.Drift[i].Actor, "/admin") {
			t.Errorf("drift: %+v", a.Drift)
		}
	})

	t.Run("what the config asks for is applied beside it", func(t *testing.T) {
		s := s.in(t)
		const agent = "untagged"
		s.Proxy().Reset()
		s.upload(keyOf(agent), container(agent, "    permissions:\n      code_interpreter: true\n"))
		s.idle()
		if got := writes(); !slices.Equal(got, []string{"PutRolePolicy " + owned(agent)}) {
			t.Errorf("writes: %v", got)
		}
		if got := s.role(owned(agent)); !strings.Contains(got.Policies[naming.RuntimePolicy(agent)], "InvokeCodeInterpreter") || got.Tags[model.TagConfig] != "" {
			t.Errorf("role: %+v", got)
		}
	})

	s.wantNothingLost()
	for _, err := range s.Errors() {
		t.Errorf("local AWS: %v", err)
	}
}

func TestMoreDriftThanIsRepairedAtOnceWaitsForAnOperator(t *testing.T) {
	s := startWith(t, local.Options{Parameters: map[string]string{
		"MaxChangesPerSweep": "1", "UnmanagedPolicies": "remove", "OperatorPrincipalArns": operatorARN,
	}})
	s.directs("one", "two", "three")
	s.pass()

	t.Run("as much as is allowed goes", func(t *testing.T) {
		s := s.in(t)
		was := s.edited(owned("one"))
		s.pass()
		s.wantRoles(was)
		if r := s.report(); r.Stopped != nil || len(r.Findings) != 1 || r.Findings[0].Action != report.ActionRepaired {
			t.Errorf("stopped %+v, findings %+v", r.Stopped, r.Findings)
		}
	})

	var was map[string]model.ObservedRole
	t.Run("more stops the pass before its first message", func(t *testing.T) {
		s := s.in(t)
		was = s.edited(owned("one"), owned("two"))
		for range 2 {
			s.Proxy().Reset()
			s.pass()
			r := s.report()
			if r.Stopped == nil || r.Stopped.Found != 2 || r.Stopped.Allowed != 1 || r.Totals.Enqueued > 0 || len(r.Findings) != 2 || r.Findings[0].Action != report.ActionHeldBack {
				t.Errorf("stopped %+v, totals %+v, findings %+v", r.Stopped, r.Totals, r.Findings)
			}
			if sent := s.Calls(proxy.Filter{Caller: "drift", Service: "sqs"}); len(sent) > 0 {
				t.Errorf("messages: %+v", sent)
			}
			if calls := s.Calls(proxy.Filter{Caller: "reconcile"}); len(calls) > 0 {
				t.Errorf("reconcile looked at something: %+v", calls)
			}
		}
		metric := func(line string) bool { return strings.Contains(line, `"PassStopped":1`) } // DriftBrakeAlarm
		if !slices.ContainsFunc(s.Logs("drift"), metric) {
			t.Errorf("no metric tells of it: %v", s.Logs("drift"))
		}
		const blocked = 3
		s.tool("operator", blocked, "drift")
	})

	t.Run("an operator lets it go, at once", func(t *testing.T) {
		s := s.in(t)
		began := time.Now()
		if out := string(s.tool("operator", 0, "approve", "--pass", "--yes")); !strings.Contains(out, s.latestBefore(began).Stopped.Hash) {
			t.Errorf("rolekeeper approve --pass tells:\n%s", out)
		}
		s.idle()
		s.wantRoles(was)
		if r := s.report(); r.Stopped != nil || r.Totals.Enqueued != 2 || r.At.Before(began) {
			t.Errorf("stopped %+v, totals %+v, at %s", r.Stopped, r.Totals, r.At)
		}
		s.tool("operator", 0, "drift")
	})

	t.Run("but nothing else under the same approval", func(t *testing.T) {
		s := s.in(t)
		was := s.edited(owned("two"), owned("three"))
		s.pass()
		if r := s.report(); r.Stopped == nil {
			t.Errorf("totals %+v, findings %+v", r.Totals, r.Findings)
		}
		s.tool("operator", 0, "approve", "--pass", "--yes")
		s.idle()
		s.wantRoles(was)
	})

	t.Run("what events tell of is repaired one by one", func(t *testing.T) {
		s := s.in(t)
		was := s.asTheyAre(owned("one"), owned("two"), owned("three"))
		for name := range was {
			if err := s.seen().empty(name); err != nil {
				t.Fatal(err)
			}
		}
		s.idle()
		s.wantRoles(was)
	})

	t.Run("policies of others are archived and removed where the stack says so", func(t *testing.T) {
		s := s.in(t)
		name := owned("three")
		was := s.asTheyAre(name)
		for _, err := range []error{s.unseen().put(name, "debug", allObjects), s.unseen().attach(name)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		s.pass()
		s.wantRoles(was)
		archives := s.archives()
		if len(archives) != 1 || archives[0].Role.Policies["debug"] == "" || !slices.Equal(archives[0].Role.Attached, []string{readOnly}) {
			t.Errorf("archives: %+v", archives)
		}
		s.Proxy().Reset()
		s.pass()
		s.wantQuiet(s.report())
	})

	t.Run("a page that is missing stops the pass, and nobody's role is taken for gone", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		before := s.report()
		fault := s.InjectFault(proxy.Fault{Caller: "drift", Operation: "ListRoles", Kind: proxy.Throttle})
		result, err := s.RunSchedule(t.Context(), "drift")
		fault.Remove()
		if err != nil || result.Failure == "" {
			t.Fatalf("the pass: %+v, %v", result, err)
		}
		s.idle()
		r := s.report()
		if !strings.Contains(r.Failed, "ListRoles") || !r.FoundAt.Equal(cmp.Or(before.FoundAt, before.At)) || r.Totals.Enqueued > 0 || len(r.Findings) > 0 {
			t.Errorf("failed %q, found at %s, totals %+v", r.Failed, r.FoundAt, r.Totals)
		}
		if calls := s.Calls(proxy.Filter{Caller: "reconcile"}); len(calls) > 0 {
			t.Errorf("reconcile looked at something: %+v", calls)
		}
		s.pass()
		if r := s.report(); r.Failed != "" || len(r.Findings) > 0 {
			t.Errorf("failed %q, findings %+v", r.Failed, r.Findings)
		}
	})

	s.wantNothingLost()
}

// latestBefore gives the newest report of a pass that began before a time.
func (s stack) latestBefore(at time.Time) report.Pass {
	s.t.Helper()
	objects := s3.NewFromConfig(s.Config("admin"))
	out, err := objects.ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String(naming.DriftReportPrefix)})
	if err != nil {
		s.t.Fatal(err)
	}
	var last report.Pass
	for _, o := range out.Contents {
		var r report.Pass
		if err := json.Unmarshal(s.get(*o.Key), &r); err != nil {
			s.t.Fatal(err)
		}
		if r.At.Before(at) && r.At.After(last.At) {
			last = r
		}
	}
	return last
}
