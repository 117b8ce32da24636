package e2e

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/local"
	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

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
	const folder = naming.ConfigPrefix + "team/"
	const key = folder + "agent.yaml"
	name := naming.RuntimeRole(region, "my_agent")
	s.upload(key, container("my_agent", "    identity:\n      credential_providers:\n      - name: crm\n"))
	s.idle()
	s.upload(key, container("my_agent"))
	s.upload(folder+"vpc.yaml", strings.Replace(container("in_vpc"), "    aws:\n", "    aws:\n      network_configuration:\n        network_mode: VPC\n", 1))
	s.upload(folder+"external.yaml", strings.Replace(container("external"), "    aws:\n", "    aws:\n      execution_role: some/path/of-ours\n", 1))
	s.upload(folder+"bad key.yaml", "x")
	s.upload(folder+"broken.yaml", "x")
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
	s.upload(folder+"first.yaml", direct)
	s.idle()
	s.upload(folder+"second.yaml", direct)
	s.idle()
	s.upload(folder+"first.yaml", "x")
	s.idle()

	// A message that intake cannot send on goes back to the inbox.
	refused := s.InjectFault(proxy.Fault{Caller: "intake", Operation: "SendMessage", Kind: proxy.Denied, Count: 1})
	s.upload(folder+"later.yaml", direct)
	s.idle()
	refused.Remove()

	must(s3.NewFromConfig(s.Config("developer")).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(naming.SourceBucket(account, region)), Key: aws.String("team/my_agent/source.zip"), Body: strings.NewReader("x"),
	}))

	// Roles that the toolkit made are adopted when an operator asks for it: of one
	// a policy is removed, and one has a managed policy.
	for _, agent := range []string{"made_before", "made_too"} {
		s.byToolkit(agent)
		s.upload(folder+agent+".yaml", container(agent))
	}
	before := naming.RuntimeRole(region, "made_before")
	must(admin.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &before, PolicyName: aws.String(naming.IdentityPolicy), PolicyDocument: aws.String(allObjects)}))
	must(admin.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &before, PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")}))
	s.idle()
	s.tool("operator", 0, "adopt", "team/made_before.yaml", "made_before", "--yes", "--wait=false")
	s.tool("sso operator", 0, "approve", "team/made_too.yaml", "--yes", "--wait=false")
	s.idle()
	s.tool("operator", 0, "status")
	for _, agent := range []string{"made_before", "made_too"} {
		if got := s.status(folder + agent + ".yaml"); got.Outcome != status.Ready {
			s.t.Fatalf("status: %+v", got)
		}
	}

	// A request that intake does not find any more.
	stop := s.Proxy().AddHook(proxy.Hook{Before: func(c proxy.Call) proxy.Verdict {
		if c.Caller == "intake" && strings.Contains(c.Resource, "/"+naming.RequestPrefix) {
			s.remove(strings.TrimPrefix(c.Resource, bucket+"/"))
		}
		return proxy.Continue
	}})
	s.request(model.Request{ID: "1", Config: key})
	s.idle()
	stop()

	// A denied call ends in the dead letters, by way of the queue.
	fault := s.InjectFault(proxy.Fault{Caller: "reconcile", Operation: "CreateRole", Kind: proxy.Denied})
	s.upload(folder+"denied.yaml", container("denied"))
	s.idle()
	fault.Remove()
}

// recorded gives, each once, the requests behind the calls that the functions,
// Lambda for them, EventBridge, developers and operators made.
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
		if ours || slices.Contains([]string{local.EventBridge, "developer", "operator", "sso operator"}, caller) {
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
			r.context = map[string]any{"aws:SourceArn": s.rule(c)}
		}
		return []request{r}
	case "events":
		return []request{one("arn:aws:events:"+region+":"+account+":event-bus/default", map[string]any{"events:source": sources(s.t, c)})}
	case "ssm":
		return []request{one(c.Resource, nil)}
	case "iam":
		return s.needsOfIAM(c, boundary)
	case "sts":
		return nil // nobody needs leave to ask who he is (STS API reference, GetCallerIdentity)
	}
	s.t.Errorf("it is not known what %s:%s needs", c.Service, c.Operation)
	return nil
}

// rule gives the ARN of the rule whose event a call delivers.
func (s stack) rule(c proxy.Call) string {
	s.t.Helper()
	var in struct{ MessageBody string }
	if err := json.Unmarshal([]byte(c.Request.Body), &in); err != nil {
		s.t.Fatal(err)
	}
	for _, r := range s.Stack().Rules {
		pattern, err := bus.Compile(r.Pattern)
		if err != nil {
			s.t.Fatal(err)
		}
		if pattern.Match([]byte(in.MessageBody)) {
			return r.ARN
		}
	}
	s.t.Errorf("no rule is about %s", in.MessageBody)
	return ""
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
	case "ListObjectsV2":
		query, err := url.ParseQuery(c.Request.Query)
		if err != nil {
			s.t.Fatal(err)
		}
		r.action, r.context["s3:prefix"] = "s3:ListBucket", query.Get("prefix")
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
	case "GetPolicy", "GetPolicyVersion":
		r.resource = c.Resource
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
