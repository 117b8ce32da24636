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
	"rolekeeper/local/mototest"
	"rolekeeper/local/simulate"
	localstack "rolekeeper/local/stack"
	"rolekeeper/shared/naming"
)

const simulator = "../simulate"

// TestLeastPrivilege drives the functions through everything they do and has the
// IAM simulator judge calls and attacks by the policies of the translated
// template: the calls are allowed, the attacks are not, and nothing in the
// policies could be left out.
//
// The calls are made once, on a stack with teams and operators. What the stack
// is with neither is judged on the same calls.
func TestLeastPrivilege(t *testing.T) {
	if !simulate.Installed(simulator) {
		if os.Getenv("ROLEKEEPER_FULL") == "1" {
			t.Fatal("the IAM simulator is not installed; run make tools")
		}
		t.Skip("the IAM simulator is not installed; run make tools")
	}
	s := startWith(t, local.Options{Parameters: map[string]string{
		"PermissionProfile":          "toolkit", // the profile that removes policies
		"TeamTag":                    teamTag,
		"OperatorPrincipalArns":      operatorARN + "," + operatorPattern,
		"AllowedModels":              "amazon.*",
		"AllowedCredentialProviders": "crm",
	}})
	s.everything()
	law := lawOf(t, s.Stack())
	calls, attacks := s.recorded(), append(s.attacks(), intrusions()...)

	// What is not as it should be is told here, and left out below.
	t.Run("every call is allowed", func(t *testing.T) {
		calls = law.sift(t, calls, true)
	})
	t.Run("every call is allowed to who has no tag", func(t *testing.T) {
		law.untagged().sift(t, slices.DeleteFunc(slices.Clone(calls), func(r request) bool { return r.caller == "developer" }), true)
	})
	t.Run("every attack is denied", func(t *testing.T) {
		t.Logf("%d attacks", len(attacks))
		attacks = law.sift(t, attacks, false)
	})
	t.Run("what is not isolated is told", func(t *testing.T) {
		law.sift(t, s.open(), true) // docs/security.md says so
	})
	t.Run("nothing can be left out", func(t *testing.T) {
		law.mutate(t, calls, attacks)
	})
	// The policies of the stack as it is by default have fewer denials: what no
	// attack above was stopped without is needed there as well.
	t.Run("by default", func(t *testing.T) {
		law := lawOf(t, s.byDefault(t))
		asks := func(r request) bool {
			return r.action == "s3:PutObject" && strings.Contains(r.resource, "/"+naming.RequestPrefix)
		}
		requests := slices.DeleteFunc(slices.Clone(calls), func(r request) bool { return !asks(r) })
		if len(requests) == 0 {
			t.Error("no operator asked for anything")
		}
		law.sift(t, slices.DeleteFunc(slices.Clone(calls), asks), true)
		law.sift(t, append(requests, s.attacks()...), false)
		law.sift(t, intrusions(), true) // docs/security.md says so
	})
	t.Run("what no policy can tell the code refuses", func(t *testing.T) {
		s.in(t).refusals()
		s.in(t).forgeries()
	})
}

// byDefault is the stack that is deployed with no parameters; nothing runs on it.
func (s stack) byDefault(t *testing.T) *localstack.Stack {
	t.Helper()
	template, err := localstack.Translate(t.Context(), mototest.Venv(t), templateFile, region, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := localstack.Resolve(template, s.Stack().Place, nil)
	if err != nil {
		t.Fatal(err)
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

// request is a call by somebody under the stack's policies.
type request struct {
	what     string   // in words, for attacks
	caller   string   // a function, "developer", "operator", "sso operator", a service, or any other by ARN
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
type principal struct{ arn, team string }

func lawOf(t *testing.T, s *localstack.Stack) law {
	t.Helper()
	// The tags of a stack are on its roles as well (CloudFormation user guide,
	// "Resource tag").
	const platform = "platform"
	l := law{documents: map[string]document{}, principals: map[string]principal{
		"developer": {developerARN, "team"}, "operator": {operatorARN, platform}, "sso operator": {ssoOperatorARN, platform},
	}}
	for name, f := range s.Functions {
		l.principals[name] = principal{roleARN(f.Role), platform}
		for policy, text := range f.Policies {
			l.documents[name+" "+policy] = document{holders: []string{name}, text: string(text)}
		}
	}
	people := map[string][]string{"DeveloperPolicy": {"developer"}, "OperatorPolicy": {"operator", "sso operator"}}
	for id, r := range s.Resources {
		d := document{text: toJSON(t, r.Properties["PolicyDocument"])}
		switch r.Type {
		case "AWS::IAM::ManagedPolicy":
			if d.holders = people[id]; d.holders == nil {
				continue // the boundary of agents' roles: none of these callers has it
			}
		case "AWS::S3::BucketPolicy":
			d.resource = "arn:aws:s3:::" + r.Properties["Bucket"].(string)
		case "AWS::SQS::QueuePolicy":
			queues := r.Properties["Queues"].([]any)
			if len(queues) != 1 {
				t.Fatalf("%s is the policy of %v, want one queue", id, queues)
			}
			d.resource = queueARN(queues[0].(string)[strings.LastIndex(queues[0].(string), "/")+1:])
		default:
			continue
		}
		l.documents[id] = d
	}
	return l
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
		Context: map[string]any{"aws:SecureTransport": "true"},
	}
	p, isRole := l.principals[r.caller]
	if isRole {
		out.Principal = p.arn
	}
	if strings.HasPrefix(out.Principal, "arn:") {
		out.Context["aws:PrincipalArn"] = out.Principal
	}
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
// narrower then must deny a call; one that is wider must let an attack through.
func (l law) mutate(t *testing.T, calls, attacks []request) {
	var asked []simulate.Request
	var of []int // the mutation by request
	var all []mutation
	for _, name := range slices.Sorted(maps.Keys(l.documents)) {
		d := l.documents[name]
		for _, m := range mutations(t, name, d.text) {
			if m.narrower && slices.Contains(d.holders, "developer") {
				continue // developers have other tools than ours: what they do is not in the log
			}
			all = append(all, m)
			from := attacks
			if m.narrower {
				from = calls
			}
			for _, r := range from {
				if d.concerns(r) && m.about(r) {
					asked, of = append(asked, l.ask(r, name, m.text)), append(of, len(all)-1)
				}
			}
		}
	}
	felt := make([]bool, len(all))
	for i, allowed := range decide(t, asked) {
		felt[of[i]] = felt[of[i]] || allowed != all[of[i]].narrower
	}
	for i, m := range all {
		if !felt[i] && m.narrower {
			t.Errorf("%s %s: no call needs it", m.policy, m.what)
		}
		if !felt[i] && !m.narrower {
			t.Errorf("%s %s: no attack is stopped by it", m.policy, m.what)
		}
	}
	if len(all) < 150 {
		t.Errorf("%d things were left out, one by one; the template has more", len(all))
	}
	t.Logf("%d things left out, one by one; %d decisions", len(all), len(asked))
}

func mutations(t *testing.T, policy, text string) []mutation {
	t.Helper()
	var out []mutation
	statements := func() []map[string]any {
		var d struct{ Statement []map[string]any }
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		return d.Statement
	}
	add := func(i int, what string, narrower bool, change func(statement map[string]any) map[string]any) {
		changed := statements()
		m := mutation{policy: policy, what: fmt.Sprintf("%v %s", changed[i]["Sid"], what), narrower: narrower, of: statements()[i]}
		if changed[i] = change(changed[i]); changed[i] == nil {
			changed = slices.Delete(changed, i, i+1)
		}
		if len(changed) > 0 {
			m.text = toJSON(t, map[string]any{"Version": "2012-10-17", "Statement": changed})
		}
		out = append(out, m)
	}
	for i, st := range statements() {
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
