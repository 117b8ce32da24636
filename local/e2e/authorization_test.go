package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/local/simulate"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

const simulator = "../simulate"

// TestLeastPrivilege drives the functions through everything they do and has the
// IAM simulator judge calls and attacks by the policies of the translated
// template: the calls are allowed, the attacks are not, and nothing in the
// policies could be left out.
func TestLeastPrivilege(t *testing.T) {
	if !simulate.Installed(simulator) {
		if os.Getenv("ROLEKEEPER_FULL") == "1" {
			t.Fatal("the IAM simulator is not installed; run make tools")
		}
		t.Skip("the IAM simulator is not installed; run make tools")
	}
	s := startWith(t, local.Options{Parameters: map[string]string{"PermissionProfile": "toolkit"}}) // the profile that removes policies
	s.everything()
	law := s.law()
	calls, attacks := s.recorded(), s.attacks()

	// What is not as it should be is told here, and left out below.
	t.Run("every call is allowed", func(t *testing.T) {
		calls = law.sift(t, calls, true)
	})
	t.Run("every attack is denied", func(t *testing.T) {
		attacks = law.sift(t, attacks, false)
	})
	t.Run("what is not isolated is told", func(t *testing.T) {
		law.sift(t, s.open(), true) // docs/security.md says so
	})
	t.Run("nothing can be left out", func(t *testing.T) {
		law.mutate(t, calls, attacks)
	})
	t.Run("what no policy can tell the code refuses", func(t *testing.T) {
		s.in(t).refusals()
	})
}

// request is a call by somebody under the stack's policies.
type request struct {
	what     string   // in words, for attacks
	caller   string   // a function, "developer", or a service
	attached []string // identity policies that somebody gave the caller beside its own
	action   string
	resource string
	context  map[string]any // beside what every request has
}

func (r request) String() string {
	return fmt.Sprintf("%s %s: %s on %s with %v", r.caller, r.what, r.action, r.resource, r.context)
}

// document is a policy of the stack.
type document struct {
	holder   string // the function or "developer" whose it is; empty for a resource's
	resource string // ARN of the bucket or queue whose it is; empty for an identity's
	text     string // JSON
}

func (d document) concerns(r request) bool {
	if d.resource == "" {
		return d.holder == r.caller
	}
	return d.resource == r.resource || strings.HasPrefix(r.resource, d.resource+"/")
}

// law is all policies of the stack by name.
type law struct {
	documents map[string]document
	arns      map[string]string // of the callers that are roles
}

func (s stack) law() law {
	s.t.Helper()
	l := law{documents: map[string]document{}, arns: map[string]string{"developer": roleARN("developer")}}
	for name, f := range s.Stack().Functions {
		l.arns[name] = roleARN(f.Role)
		for policy, text := range f.Policies {
			l.documents[name+" "+policy] = document{holder: name, text: string(text)}
		}
	}
	for id, r := range s.Stack().Resources {
		d := document{text: toJSON(s.t, r.Properties["PolicyDocument"])}
		switch r.Type {
		case "AWS::IAM::ManagedPolicy":
			if id != "DeveloperPolicy" {
				continue // the boundary of agents' roles: none of these callers has it
			}
			d.holder = "developer"
		case "AWS::S3::BucketPolicy":
			d.resource = "arn:aws:s3:::" + r.Properties["Bucket"].(string)
		case "AWS::SQS::QueuePolicy":
			queues := r.Properties["Queues"].([]any)
			if len(queues) != 1 {
				s.t.Fatalf("%s is the policy of %v, want one queue", id, queues)
			}
			d.resource = queueARN(queues[0].(string)[strings.LastIndex(queues[0].(string), "/")+1:])
		default:
			continue
		}
		l.documents[id] = d
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
	if arn, ok := l.arns[r.caller]; ok {
		out.Principal, out.Context["aws:PrincipalArn"] = arn, arn
	}
	maps.Copy(out.Context, r.context)
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
			if m.narrower && d.holder == "developer" {
				continue // developers are people: what they do is not in the log
			}
			all = append(all, m)
			from := attacks
			if m.narrower {
				from = calls
			}
			for _, r := range from {
				if d.concerns(r) {
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
	if len(all) < 100 {
		t.Errorf("%d things were left out, one by one; the template has more", len(all))
	}
	t.Logf("%d things left out, one by one; %d decisions", len(all), len(asked))
}

func mutations(t *testing.T, policy, text string) []mutation {
	t.Helper()
	var out []mutation
	add := func(i int, what string, narrower bool, change func(statement map[string]any) map[string]any) {
		var d map[string]any
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		list := d["Statement"].([]any)
		sid := list[i].(map[string]any)["Sid"]
		if changed := change(list[i].(map[string]any)); changed == nil {
			d["Statement"] = slices.Delete(list, i, i+1)
		} else {
			list[i] = changed
		}
		m := mutation{policy: policy, what: fmt.Sprintf("%v %s", sid, what), narrower: narrower}
		if len(d["Statement"].([]any)) > 0 {
			m.text = toJSON(t, d)
		}
		out = append(out, m)
	}
	var d struct{ Statement []map[string]any }
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	for i, st := range d.Statement {
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
	list, _ := v.([]any)
	if len(list) < 2 {
		return nil
	}
	var out []string
	for _, one := range list {
		out = append(out, one.(string))
	}
	return out
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

// everything makes the functions make every kind of call.
func (s stack) everything() {
	s.t.Helper()
	ctx, admin := s.t.Context(), iam.NewFromConfig(s.Config("admin"))
	must := func(_ any, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	const key = "configs/agent.yaml"
	name := naming.RuntimeRole(region, "my_agent")
	s.upload(key, container("my_agent", "    identity:\n      credential_providers:\n      - name: crm\n"))
	s.idle()
	s.upload(key, container("my_agent"))
	s.upload("configs/vpc.yaml", strings.Replace(container("in_vpc"), "    aws:\n", "    aws:\n      network_configuration:\n        network_mode: VPC\n", 1))
	s.upload("configs/external.yaml", strings.Replace(container("external"), "    aws:\n", "    aws:\n      execution_role: some/path/of-ours\n", 1))
	s.upload("configs/bad key.yaml", "x")
	s.upload("configs/broken.yaml", "x")
	s.idle()

	// A role edited by hand is put back.
	must(admin.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{model.TagConfig}}))
	must(admin.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(strings.ReplaceAll(s.role(name).Trust, "bedrock-agentcore.amazonaws.com", "lambda.amazonaws.com"))}))
	must(admin.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &name, Description: aws.String("mine")}))
	must(admin.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))
	s.upload(key, container("my_agent"))
	s.idle()

	// A name that one config waits for is freed by another.
	squatted := naming.RuntimeRole(region, "squatted")
	must(admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &squatted, AssumeRolePolicyDocument: aws.String(s.role(name).Trust)}))
	direct := strings.Replace(container("squatted"), "deployment_type: container", "deployment_type: direct_code_deploy", 1)
	s.upload("configs/first.yaml", direct)
	s.idle()
	s.upload("configs/second.yaml", direct)
	s.idle()
	s.upload("configs/first.yaml", "x")
	s.idle()

	// A message that intake cannot send on goes back to the inbox.
	refused := s.InjectFault(proxy.Fault{Caller: "intake", Operation: "SendMessage", Kind: proxy.Denied, Count: 1})
	s.upload("configs/later.yaml", direct)
	s.idle()
	refused.Remove()

	must(s3.NewFromConfig(s.Config("developer")).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(naming.SourceBucket(account, region)), Key: aws.String("my_agent/source.zip"), Body: strings.NewReader("x"),
	}))

	// A denied call ends in the dead letters, by way of the queue.
	fault := s.InjectFault(proxy.Fault{Caller: "reconcile", Operation: "CreateRole", Kind: proxy.Denied})
	s.upload("configs/denied.yaml", container("denied"))
	s.idle()
	fault.Remove()
}

// recorded gives, each once, the requests behind the calls that the functions,
// Lambda for them, EventBridge and developers made.
func (s stack) recorded() []request {
	s.t.Helper()
	var all []request
	seen := map[string]bool{}
	add := func(caller string, rs ...request) {
		for _, r := range rs {
			r.caller = caller
			if !seen[r.String()] {
				seen[r.String()], all = true, append(all, r)
			}
		}
	}
	boundaries := map[string]string{} // of roles, as they are when a call comes
	for _, c := range s.Calls(proxy.Filter{}) {
		caller := strings.TrimPrefix(c.Caller, local.PollerName)
		_, ours := s.Stack().Functions[caller]
		if ours || caller == local.EventBridge || caller == "developer" {
			add(caller, s.needs(c, boundaries[c.Resource])...)
		}
		if !c.Committed {
			continue
		}
		switch c.Operation {
		case "CreateRole", "PutRolePermissionsBoundary":
			boundaries[c.Resource] = c.Request.Params()["PermissionsBoundary"]
		case "DeleteRolePermissionsBoundary":
			delete(boundaries, c.Resource)
		}
	}
	// What Lambda does with a function's role and no log here shows: writing its
	// log, and looking at its queue (Lambda developer guide, "Create and configure
	// an Amazon SQS event source mapping").
	for name, f := range s.Stack().Functions {
		stream := "arn:aws:logs:" + region + ":" + account + ":log-group:" + f.LogGroup + ":log-stream:s"
		add(name, request{action: "logs:CreateLogStream", resource: stream}, request{action: "logs:PutLogEvents", resource: stream})
		for _, m := range s.Stack().Mappings {
			if m.Function == f {
				add(name, request{action: "sqs:GetQueueAttributes", resource: m.QueueARN})
			}
		}
	}
	// What a rule cannot deliver goes to the dead letters.
	for _, r := range s.Stack().Rules {
		add(local.EventBridge, request{
			action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox-dead-letters"), context: map[string]any{"aws:SourceArn": r.ARN},
		})
	}
	return all
}

// needs gives what a call needs of IAM, dependent actions included, with the
// context that AWS supplies (Service Authorization Reference). boundary is the
// one that the role it is about has, if it is about a role.
func (s stack) needs(c proxy.Call, boundary string) []request {
	s.t.Helper()
	one := func(resource string, context map[string]any) request {
		return request{action: c.Service + ":" + c.Operation, resource: resource, context: context}
	}
	switch c.Service {
	case "s3":
		return s.needsOfS3(c)
	case "sqs":
		c.Operation = strings.TrimSuffix(c.Operation, "Batch") // a permission of its own no batch has
		r := one(queueARN(c.Resource), nil)
		if c.Caller == local.EventBridge {
			r.context = map[string]any{"aws:SourceArn": s.Stack().Rules[0].ARN}
		}
		return []request{r}
	case "events":
		return []request{one("arn:aws:events:"+region+":"+account+":event-bus/default", map[string]any{"events:source": sources(s.t, c)})}
	case "iam":
		return s.needsOfIAM(c, boundary)
	}
	s.t.Errorf("it is not known what %s:%s needs", c.Service, c.Operation)
	return nil
}

// sources gives the source of every event that a call puts.
func sources(t testing.TB, c proxy.Call) []string {
	t.Helper()
	var in struct{ Entries []struct{ Source string } }
	if err := json.Unmarshal([]byte(c.Request.Body), &in); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range in.Entries {
		out = append(out, e.Source)
	}
	return out
}

func (s stack) needsOfS3(c proxy.Call) []request {
	r := request{action: "s3:" + c.Operation, resource: "arn:aws:s3:::" + c.Resource, context: map[string]any{}}
	for header, key := range map[string]string{"If-None-Match": "s3:if-none-match", "If-Match": "s3:if-match"} {
		if v := c.Request.Header[header]; v != "" {
			r.context[key] = v
		}
	}
	switch c.Operation {
	case "PutObject", "DeleteObject":
		return []request{r}
	case "GetObject":
		if c.Status != 404 {
			return []request{r}
		}
		// S3 says 404 only to who may list the bucket, and 403 to others.
		bucket, _, _ := strings.Cut(c.Resource, "/")
		return []request{r, {action: "s3:ListBucket", resource: "arn:aws:s3:::" + bucket}}
	}
	s.t.Errorf("it is not known what s3:%s needs", c.Operation)
	return nil
}

func (s stack) needsOfIAM(c proxy.Call, boundary string) []request {
	form := c.Request.Params()
	r := request{action: "iam:" + c.Operation, resource: roleARN(path(c.Resource) + c.Resource), context: map[string]any{}}
	var tags []string
	for k, v := range form {
		if strings.HasPrefix(k, "Tags.member.") && strings.HasSuffix(k, ".Key") {
			tags = append(tags, v)
		}
	}
	slices.Sort(tags)
	bounded := func(by string) {
		if by != "" {
			r.context["iam:PermissionsBoundary"] = by
		}
	}
	switch c.Operation {
	case "GetRole", "ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies":
	case "CreateRole":
		bounded(form["PermissionsBoundary"])
		r.context["aws:TagKeys"] = tags
		return []request{r, {action: "iam:TagRole", resource: r.resource, context: map[string]any{"aws:TagKeys": tags}}}
	case "TagRole":
		r.context["aws:TagKeys"] = tags
	case "PutRolePermissionsBoundary":
		bounded(form["PermissionsBoundary"])
	case "PutRolePolicy", "DeleteRolePolicy", "UpdateAssumeRolePolicy", "UpdateRole":
		bounded(boundary)
	case "CreateServiceLinkedRole":
		service := form["AWSServiceName"]
		for role, of := range linked() {
			if of == service {
				r.resource = roleARN(path(role) + role)
			}
		}
		r.context["iam:AWSServiceName"] = service
	default:
		s.t.Errorf("it is not known what iam:%s needs", c.Operation)
	}
	return []request{r}
}

// linked gives the services of the service-linked roles by role.
func linked() map[string]string {
	return map[string]string{
		"AWSServiceRoleForBedrockAgentCoreNetwork":         "network.bedrock-agentcore.amazonaws.com",
		"AWSServiceRoleForBedrockAgentCoreRuntimeIdentity": "runtime-identity.bedrock-agentcore.amazonaws.com",
	}
}

// path gives the path of a service-linked role; other roles here have none.
func path(role string) string {
	if service, ok := linked()[role]; ok {
		return "aws-service-role/" + service + "/"
	}
	return ""
}
