package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rolekeeper/local"
	"rolekeeper/local/codebuild"
	"rolekeeper/local/mototest"
	"rolekeeper/local/simulate"
	localstack "rolekeeper/local/stack"
	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

const simulator = "../simulate"

// TestLeastPrivilege drives the functions through everything they do and has the
// IAM simulator judge calls and attacks by the policies of the translated
// template, and by the build role that reconcile makes: the calls are allowed, the
// attacks are not, and nothing in the policies could be left out.
//
// The calls are made once, on a stack with teams and operators in profile
// toolkit. What other stacks are is judged on the same calls.
func TestLeastPrivilege(t *testing.T) {
	if !simulate.Installed(simulator) {
		if os.Getenv("ROLEKEEPER_FULL") == "1" {
			t.Fatal("the IAM simulator is not installed; run make tools")
		}
		t.Skip("the IAM simulator is not installed; run make tools")
	}
	parameters := map[string]string{
		"PermissionProfile":          string(desired.Toolkit), // the one that removes policies
		"TeamTag":                    teamTag,
		"OperatorPrincipalArns":      operatorARN + "," + operatorPattern,
		"AllowedModels":              "amazon.*",
		"AllowedCredentialProviders": "crm",
		"GracePeriod":                grace,
		"DeleteRepositories":         "true",
		"MaxChangesPerSweep":         "1",
	}
	s := startWith(t, local.Options{Parameters: parameters})
	s.everything()
	law := lawOf(t, s.Stack())
	s.wantBuildRole()
	calls := s.recorded()
	attacks := slices.Concat(s.attacks(), s.imageAttacks(), s.deletionAttacks(), s.driftAttacks(), s.linkedAttacks(), intrusions())
	strict := builderAttacks() // profile scoped stops these, too

	// What is not as it should be is told here, and left out below.
	t.Run("every call is allowed", func(t *testing.T) {
		calls = law.sift(t, calls, true)
	})
	t.Run("every call is allowed to who has no tag", func(t *testing.T) {
		law.untagged().sift(t, slices.DeleteFunc(slices.Clone(calls), func(r request) bool { return r.caller == "developer" }), true)
	})
	t.Run("every attack is denied", func(t *testing.T) {
		t.Logf("%d attacks", len(attacks)+len(strict))
		attacks = law.sift(t, attacks, false)
	})
	t.Run("what is allowed is as narrow without denials and boundary", func(t *testing.T) {
		law.firstLine(t).sift(t, slices.DeleteFunc(slices.Clone(attacks), func(r request) bool { return r.attached != nil }), false)
	})
	t.Run("what is not isolated is told", func(t *testing.T) {
		law.sift(t, slices.Concat(s.open(), strict), true) // docs/security.md says so
	})
	t.Run("nothing can be left out", func(t *testing.T) {
		law.mutate(t, calls, attacks, 300, func(document) bool { return true })
	})
	// The policies of the stack as it is by default have fewer denials: what no
	// attack above was stopped without is needed there as well.
	t.Run("by default", func(t *testing.T) {
		law := lawOf(t, s.with(t, nil))
		calls := withoutTeam(slices.Concat(calls, pullsOfBases()))
		attacks := withoutTeam(slices.Concat(s.attacks(), s.imageAttacks(), s.deletionAttacks(), s.driftAttacks(), s.linkedAttacks(), repositoryAttacks(), strict))
		asks := func(r request) bool {
			return r.action == "s3:PutObject" && strings.Contains(r.resource, "/"+naming.RequestPrefix)
		}
		empties := func(r request) bool { return r.action == "ecr:DeleteRepository" }
		unlinks := func(r request) bool { return r.action == "iam:DeleteServiceLinkedRole" }
		for what, which := range map[string]func(request) bool{
			"no operator asked for anything": asks, "no repository was deleted": empties, "no service-linked role was deleted": unlinks,
		} {
			if !slices.ContainsFunc(calls, which) {
				t.Error(what)
			}
			law.sift(t, slices.DeleteFunc(slices.Clone(calls), func(r request) bool { return !which(r) }), false)
			calls = slices.DeleteFunc(calls, which)
		}
		law.sift(t, calls, true)
		law.sift(t, attacks, false)
		law.sift(t, intrusions(), true) // docs/security.md says so
		law.mutate(t, calls, attacks, 50, func(d document) bool {
			return slices.Contains(d.holders, builds) || strings.Contains(d.text, "NeverDeleteRepositories")
		})
	})
	t.Run("with a source bucket that somebody else made", func(t *testing.T) {
		const theirs = "their-sources"
		parameters := maps.Clone(parameters)
		parameters["PermissionProfile"], parameters["SourceBucketName"] = string(desired.Scoped), theirs
		law := lawOf(t, s.with(t, parameters))
		law.sift(t, inBucket(theirs, slices.Concat(calls, pullsOfBases())), true)
		denied, open := []request{}, []request{}
		for _, r := range inBucket(theirs, slices.Concat(attacks, strict)) {
			// What the bucket's policy is to stop is its owner's concern.
			byPolicy := r.attached != nil || r.context["aws:SecureTransport"] == "false"
			if byPolicy && strings.HasPrefix(r.resource, "arn:aws:s3:::"+theirs) {
				open = append(open, r)
			} else {
				denied = append(denied, r)
			}
		}
		law.sift(t, denied, false)
		law.sift(t, open, true) // docs/security.md says so
	})
	t.Run("what brings IAM's events from another Region", s.in(t).forwarding)
	t.Run("what no policy can tell the code refuses", func(t *testing.T) {
		s.in(t).refusals()
		s.in(t).forgeries()
	})
}

// with is the stack that is deployed with other parameters; nothing runs on it.
func (s stack) with(t *testing.T, parameters map[string]string) *localstack.Stack {
	t.Helper()
	template, err := localstack.Translate(t.Context(), mototest.Venv(t), templateFile, region, parameters)
	if err != nil {
		t.Fatal(err)
	}
	out, err := localstack.Resolve(template, s.Stack().Place, parameters)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantBuildRole checks that my_agent's build role is what its builds are judged by.
func (s stack) wantBuildRole() {
	s.t.Helper()
	want := buildRole(s.t, s.Stack())
	got := s.role(want.Name)
	if got.PermissionsBoundary != want.PermissionsBoundary || len(got.Policies) != len(want.Policies) {
		s.t.Errorf("role %s is %+v", want.Name, got)
	}
	for name, d := range want.Policies {
		if !d.Same(got.Policies[name]) {
			s.t.Errorf("role %s: policy %s is %s, want %s", want.Name, name, got.Policies[name], d.JSON())
		}
	}
}

// withoutTeam gives the requests as they are where sources are in no team's folder.
func withoutTeam(all []request) []request {
	out := slices.Clone(all)
	for i := range out {
		out[i].resource = strings.Replace(out[i].resource, sourceBucket+"/team/", sourceBucket+"/", 1)
	}
	return out
}

// inBucket gives the requests as they are where sources are in another bucket.
func inBucket(name string, all []request) []request {
	out := slices.Clone(all)
	for i := range out {
		out[i].resource = strings.Replace(out[i].resource, "arn:aws:s3:::"+sourceBucket, "arn:aws:s3:::"+name, 1)
	}
	return out
}

// Who is who on these stacks.
const (
	teamTag         = "team"
	developerARN    = "arn:aws:iam::" + account + ":role/developer"
	operatorARN     = "arn:aws:iam::" + account + ":role/operator"
	ssoOperatorARN  = "arn:aws:iam::" + account + ":role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Operators_0123456789abcdef"
	operatorPattern = "arn:aws:iam::" + account + ":role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Operators_*"
)

// builds is who builds of my_agent call as.
var builds = codebuild.CallerName + naming.Project("my_agent")

// scheduler is who calls drift on its schedule.
const scheduler = local.Scheduler + "drift"

// request is a call by somebody under the stack's policies.
type request struct {
	what     string   // in words, for attacks
	caller   string   // a function, "developer", "operator", "sso operator", builds, scheduler, a service, or any other by ARN
	attached []string // identity policies that somebody gave the caller beside its own
	action   string
	resource string
	context  map[string]any // beside what every request has; nil takes a key away
}

func (r request) String() string {
	return fmt.Sprintf("%s %s: %s on %s with %v", r.caller, r.what, r.action, r.resource, r.context)
}

// document is a policy of the stack.
type document struct {
	holders  []string // the callers whose it is; none for a resource's
	resource string   // ARN of the bucket or queue whose it is; empty for an identity's
	text     string   // JSON
	generous bool     // it may grant more than calls in the log need
}

func (d document) concerns(r request) bool {
	if d.resource == "" {
		return slices.Contains(d.holders, r.caller)
	}
	return d.resource == r.resource || strings.HasPrefix(r.resource, d.resource+"/")
}

// law is all policies of a stack by name.
type law struct {
	documents  map[string]document
	principals map[string]principal // the callers that are roles
}

// principal is a role.
type principal struct {
	arn, team string
	boundary  string // JSON; empty for none
}

func lawOf(t *testing.T, s *localstack.Stack) law {
	t.Helper()
	// The tags of a stack are on its roles as well (CloudFormation user guide,
	// "Resource tag").
	const platform = "platform"
	l := law{documents: map[string]document{}, principals: map[string]principal{
		"developer": {arn: developerARN, team: "team"}, "operator": {arn: operatorARN, team: platform}, "sso operator": {arn: ssoOperatorARN, team: platform},
	}}
	for name, f := range s.Functions {
		l.principals[name] = principal{arn: roleARN(f.Role), team: platform}
		for policy, text := range f.Policies {
			l.documents[name+" "+policy] = document{holders: []string{name}, text: string(text)}
		}
	}
	for _, one := range s.Schedules {
		caller := local.Scheduler + one.Function.Short
		l.principals[caller] = principal{arn: roleARN(one.Role), team: platform}
		for policy, text := range one.Policies {
			l.documents[caller+" "+policy] = document{holders: []string{caller}, text: string(text)}
		}
	}
	role := buildRole(t, s)
	l.principals[builds] = principal{arn: role.ARN, boundary: toJSON(t, s.Resources["AgentBoundary"].Properties["PolicyDocument"])}
	for policy, d := range role.Policies {
		// That of the toolkit is the toolkit's, statement for statement.
		generous := profileOf(s) == desired.Toolkit
		l.documents[builds+" "+policy] = document{holders: []string{builds}, text: d.JSON(), generous: generous}
	}
	people := map[string][]string{"DeveloperPolicy": {"developer"}, "OperatorPolicy": {"operator", "sso operator"}}
	for id, r := range s.Resources {
		d := document{text: toJSON(t, r.Properties["PolicyDocument"])}
		switch r.Type {
		case "AWS::IAM::ManagedPolicy":
			if d.holders = people[id]; d.holders == nil {
				continue // the boundary of agents' roles
			}
			d.generous = id == "DeveloperPolicy" // they have other tools than ours: what they do is not in the log
		case "AWS::S3::BucketPolicy":
			d.resource = "arn:aws:s3:::" + r.Properties["Bucket"].(string)
		case "AWS::SQS::QueuePolicy":
			queues := r.Properties["Queues"].([]any)
			if len(queues) != 1 {
				t.Fatalf("%s is the policy of %v, want one queue", id, queues)
			}
			d.resource = queueARN(queues[0].(string)[strings.LastIndex(queues[0].(string), "/")+1:])
		case "AWS::Lambda::Permission":
			d = permission(t, r.Properties)
		default:
			continue
		}
		l.documents[id] = d
	}
	return l
}

// permission is the statement that a permission adds to the policy of a function:
// here functions have one each (Lambda developer guide, "Viewing resource-based IAM
// policies").
func permission(t testing.TB, p map[string]any) document {
	t.Helper()
	resource := functionARN(p["FunctionName"].(string))
	return document{resource: resource, text: toJSON(t, map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"Service": p["Principal"]}, "Action": p["Action"], "Resource": resource,
		"Condition": map[string]any{"ArnLike": map[string]any{"aws:SourceArn": p["SourceArn"]}},
	}}})}
}

func profileOf(s *localstack.Stack) desired.Profile {
	return desired.Profile(s.Functions["reconcile"].Environment["PERMISSION_PROFILE"])
}

// buildRole gives the role that reconcile makes on a stack for the builds of
// my_agent.
func buildRole(t testing.TB, s *localstack.Stack) model.Role {
	t.Helper()
	settings := s.Functions["reconcile"].Environment
	place := agent.Place{Partition: s.Partition, Region: s.Region, Account: s.Account}
	config, problems := agent.Parse([]byte(withBase), place)
	state, more := desired.Compute(config, desired.Env{
		Place: place, Profile: profileOf(s), PermissionsBoundary: settings["PERMISSIONS_BOUNDARY_ARN"],
		SourceBucket: settings["SOURCE_BUCKET"], ConfigKey: "configs/team/agent.yaml", TeamTag: settings["TEAM_TAG"],
	})
	if problems = append(problems, more...); len(problems) > 0 {
		t.Fatalf("%+v", problems)
	}
	return *state.Agents[0].BuildRole
}

// firstLine is the law without the denials in policies of identities, and without
// boundaries: they hold beside wider policies that somebody attaches, and what is
// allowed without them has to be as narrow.
func (l law) firstLine(t *testing.T) law {
	t.Helper()
	l.documents, l.principals = maps.Clone(l.documents), maps.Clone(l.principals)
	for name, p := range l.principals {
		p.boundary = ""
		l.principals[name] = p
	}
	for name, d := range l.documents {
		if d.resource == "" {
			all := slices.DeleteFunc(statements(t, d.text), func(st map[string]any) bool { return st["Effect"] == "Deny" })
			d.text = written(t, all)
			l.documents[name] = d
		}
	}
	return l
}

// statements gives those of a policy, and written the policy of statements: empty
// when there are none.
func statements(t *testing.T, text string) []map[string]any {
	t.Helper()
	var d struct{ Statement []map[string]any }
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d.Statement
}

func written(t *testing.T, all []map[string]any) string {
	t.Helper()
	if len(all) == 0 {
		return ""
	}
	return toJSON(t, map[string]any{"Version": "2012-10-17", "Statement": all})
}

// untagged is the law for callers who have no tags.
func (l law) untagged() law {
	l.principals = maps.Clone(l.principals)
	for name, p := range l.principals {
		p.team = ""
		l.principals[name] = p
	}
	return l
}

func roleARN(name string) string  { return "arn:aws:iam::" + account + ":role/" + name }
func queueARN(name string) string { return "arn:aws:sqs:" + region + ":" + account + ":" + name }

func toJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sift gives the requests that are decided as wanted, and fails for the others.
func (l law) sift(t *testing.T, requests []request, allowed bool) []request {
	t.Helper()
	asked := make([]simulate.Request, len(requests))
	for i, r := range requests {
		asked[i] = l.ask(r, "", "")
	}
	var out []request
	for i, got := range decide(t, asked) {
		if got == allowed {
			out = append(out, requests[i])
		} else {
			t.Errorf("allowed %v, want %v: %s", got, allowed, requests[i])
		}
	}
	return out
}

func decide(t testing.TB, asked []simulate.Request) []bool {
	t.Helper()
	results, err := simulate.Run(t.Context(), simulator, asked)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]bool, len(asked))
	for i, r := range results {
		if r.Error != "" {
			t.Fatalf("%s on %s with %v: %s", asked[i].Action, asked[i].Resource, asked[i].Context, r.Error)
		}
		out[i] = r.Allowed
	}
	return out
}

// ask gives the simulator the request with the policies that it concerns. The
// text takes the place of the document that is named; an empty one is none.
func (l law) ask(r request, changed, to string) simulate.Request {
	out := simulate.Request{
		Principal: r.caller, Policies: slices.Clone(r.attached), Action: r.action, Resource: r.resource, Checked: true,
		Context: map[string]any{"aws:SecureTransport": "true", "aws:RequestedRegion": region},
	}
	if strings.HasPrefix(r.action, "s3:") {
		out.Context["s3:ResourceAccount"] = account
	}
	p, isRole := l.principals[r.caller]
	if isRole {
		out.Principal = p.arn
	}
	if strings.HasPrefix(out.Principal, "arn:") {
		out.Context["aws:PrincipalArn"] = out.Principal
	}
	out.Boundary = p.boundary
	if p.team != "" {
		out.Context["aws:PrincipalTag/"+teamTag] = p.team
	}
	maps.Copy(out.Context, r.context)
	maps.DeleteFunc(out.Context, func(_ string, v any) bool { return v == nil })
	for _, name := range slices.Sorted(maps.Keys(l.documents)) {
		d := l.documents[name]
		if !d.concerns(r) {
			continue
		}
		text := d.text
		if name == changed {
			text = to
		}
		switch {
		case text == "":
		case d.resource != "":
			out.ResourcePolicy = text
		default:
			out.Policies = append(out.Policies, text)
		}
	}
	return out
}

// mutation is a policy with one thing left out.
type mutation struct {
	policy, what string
	text         string // empty when no statement is left
	// narrower policies allow less than the whole one, the others more.
	narrower bool
	of       map[string]any // the statement that it is left out of, as it was
}

// about tells whether the decision on a request can change: not when the
// statement is for other actions or resources.
func (m mutation) about(r request) bool {
	if actions := list(m.of["Action"]); actions != nil && !like(actions, r.action) {
		return false
	}
	resources := list(m.of["Resource"])
	return resources == nil || like(resources, r.resource)
}

// like reports whether a text matches one of the patterns, by IAM's * and ?.
func like(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
		return regexp.MustCompile("(?i)^" + expr + "$").MatchString(text)
	})
}

// mutate leaves out every statement, and of each statement every action, resource,
// condition and value of a condition where others remain. A policy that is
// narrower then must deny a call; one that is wider must let an attack through. Of
// identities' policies what is allowed is judged by the first line: else it and the
// second would excuse each other. There are at least so many things to leave out.
func (l law) mutate(t *testing.T, calls, attacks []request, least int, of func(document) bool) {
	t.Helper()
	first := l.firstLine(t)
	var stopped []request // by the first line alone
	asked := make([]simulate.Request, len(attacks))
	for i, r := range attacks {
		asked[i] = first.ask(r, "", "")
	}
	for i, allowed := range decide(t, asked) {
		if !allowed {
			stopped = append(stopped, attacks[i])
		}
	}
	m := mutating{t: t, calls: calls}
	for _, name := range slices.Sorted(maps.Keys(l.documents)) {
		switch d := l.documents[name]; {
		case !of(d):
		case d.resource != "":
			m.leaveOut(l, name, "", attacks)
		default:
			m.leaveOut(first, name, "Allow", stopped)
			m.leaveOut(l, name, "Deny", attacks)
		}
	}
	m.judge(least)
}

// mutating collects mutations and what the simulator is asked of them.
type mutating struct {
	t     *testing.T
	calls []request
	all   []mutation
	asked []simulate.Request
	of    []int // the mutation by request
}

// leaveOut adds the mutations of a policy's statements of one effect, empty for
// all, under a law that stops the attacks.
func (m *mutating) leaveOut(l law, name, effect string, attacks []request) {
	d := l.documents[name]
	if d.text == "" {
		return
	}
	for _, one := range mutations(m.t, name, d.text) {
		if effect != "" && one.of["Effect"] != effect || one.narrower && d.generous {
			continue
		}
		m.all = append(m.all, one)
		from := attacks
		if one.narrower {
			from = m.calls
		}
		for _, r := range from {
			if d.concerns(r) && one.about(r) {
				m.asked, m.of = append(m.asked, l.ask(r, name, one.text)), append(m.of, len(m.all)-1)
			}
		}
	}
}

// judge fails for every mutation that changes nothing.
func (m *mutating) judge(least int) {
	felt := make([]bool, len(m.all))
	for i, allowed := range decide(m.t, m.asked) {
		felt[m.of[i]] = felt[m.of[i]] || allowed != m.all[m.of[i]].narrower
	}
	for i, one := range m.all {
		if !felt[i] && one.narrower {
			m.t.Errorf("%s %s: no call needs it", one.policy, one.what)
		}
		if !felt[i] && !one.narrower {
			m.t.Errorf("%s %s: no attack is stopped by it", one.policy, one.what)
		}
	}
	if len(m.all) < least {
		m.t.Errorf("%d things were left out, one by one; there are more", len(m.all))
	}
	m.t.Logf("%d things left out, one by one; %d decisions", len(m.all), len(m.asked))
}

func mutations(t *testing.T, policy, text string) []mutation {
	t.Helper()
	var out []mutation
	add := func(i int, what string, narrower bool, change func(statement map[string]any) map[string]any) {
		changed := statements(t, text)
		m := mutation{policy: policy, what: fmt.Sprintf("%v %s", changed[i]["Sid"], what), narrower: narrower, of: statements(t, text)[i]}
		if changed[i] = change(changed[i]); changed[i] == nil {
			changed = slices.Delete(changed, i, i+1)
		}
		m.text = written(t, changed)
		out = append(out, m)
	}
	for i, st := range statements(t, text) {
		allow := st["Effect"] == "Allow"
		add(i, "", allow, func(map[string]any) map[string]any { return nil })
		for _, element := range []string{"Action", "NotAction", "Resource", "NotResource"} {
			for _, v := range others(st[element]) {
				add(i, element+" "+v, allow != strings.HasPrefix(element, "Not"), func(st map[string]any) map[string]any {
					st[element] = without(st[element], v)
					return st
				})
			}
		}
		conditions, _ := st["Condition"].(map[string]any)
		for operator, keys := range conditions {
			for key, values := range keys.(map[string]any) {
				add(i, operator+" "+key, !allow, func(st map[string]any) map[string]any {
					return withoutCondition(st, operator, key)
				})
				for _, v := range others(values) {
					add(i, operator+" "+key+" "+v, allow != strings.Contains(operator, "Not"), func(st map[string]any) map[string]any {
						keys := st["Condition"].(map[string]any)[operator].(map[string]any)
						keys[key] = without(keys[key], v)
						return st
					})
				}
			}
		}
	}
	return out
}

// others gives the values of a list that can each be left out: there are at
// least two.
func others(v any) []string {
	if all := list(v); len(all) > 1 {
		return all
	}
	return nil
}

// list gives the values of an element of a policy, of which one may stand alone.
func list(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, one.(string))
		}
		return out
	}
	return nil
}

func without(v any, one string) []any {
	return slices.DeleteFunc(v.([]any), func(x any) bool { return x == one })
}

func withoutCondition(st map[string]any, operator, key string) map[string]any {
	conditions := st["Condition"].(map[string]any)
	keys := conditions[operator].(map[string]any)
	if delete(keys, key); len(keys) == 0 {
		delete(conditions, operator)
	}
	if len(conditions) == 0 {
		delete(st, "Condition")
	}
	return st
}
