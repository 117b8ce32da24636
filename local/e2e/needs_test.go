package e2e

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"rolekeeper/local"
	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/desired"
)

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
			var in struct{ MessageBody string }
			s.decode(c, &in)
			r.context = map[string]any{"aws:SourceArn": s.rule(in.MessageBody, r.resource)}
		}
		return []request{r}
	case "events":
		return []request{one("arn:aws:events:"+region+":"+account+":event-bus/default", map[string]any{"events:source": sources(s.t, c)})}
	case "ssm":
		return []request{one(c.Resource, nil)}
	case "bedrock-agentcore":
		return s.needsOfAgentCore(c)
	case "codebuild":
		return s.needsOfCodeBuild(c)
	case "ecr":
		return s.needsOfECR(c)
	case "logs":
		return s.needsOfLogs(c)
	case "iam":
		return s.needsOfIAM(c, boundary)
	case "ec2": // what it lists knows no resource
		return []request{one("*", map[string]any{"aws:RequestedRegion": c.Region})}
	case "lambda":
		r := request{action: "lambda:InvokeFunction", resource: functionARN(c.Resource)}
		if c.Caller == local.EventBridge {
			r.context = map[string]any{"aws:SourceArn": s.rule(c.Request.Body, r.resource)}
		}
		return []request{r}
	case "sts":
		return nil // nobody needs leave to ask who he is (STS API reference, GetCallerIdentity)
	}
	s.t.Errorf("it is not known what %s:%s needs", c.Service, c.Operation)
	return nil
}

// rule gives the ARN of the rule that an event is delivered for to a target.
func (s stack) rule(event, target string) string {
	s.t.Helper()
	for _, r := range s.Stack().Rules {
		pattern, err := bus.Compile(r.Pattern)
		if err != nil {
			s.t.Fatal(err)
		}
		if pattern.Match([]byte(event)) && slices.ContainsFunc(r.Targets, func(t bus.Target) bool { return t.ARN == target }) {
			return r.ARN
		}
	}
	s.t.Errorf("no rule is about %s", event)
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
	query, err := url.ParseQuery(c.Request.Query)
	if err != nil {
		s.t.Fatal(err)
	}
	switch c.Operation {
	case "PutObject", "DeleteObject":
		return []request{r}
	case "GetBucketNotificationConfiguration":
		r.action = "s3:GetBucketNotification"
		return []request{r}
	case "ListObjectsV2":
		r.action, r.context["s3:prefix"] = "s3:ListBucket", query.Get("prefix")
		return []request{r}
	case "GetObject":
		if query.Has("versionId") {
			r.action = "s3:GetObjectVersion"
		}
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
	case "GetRole", "ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies", "ListInstanceProfilesForRole":
	case "GetPolicy", "GetPolicyVersion":
		r.resource = c.Resource
	case "GenerateServiceLastAccessedDetails":
		r.resource = form["Arn"]
	case "DeleteServiceLinkedRole":
	case "GetServiceLinkedRoleDeletionStatus": // its resource is the role that the task names
		r.resource = roleARN(strings.TrimPrefix(form["DeletionTaskId"][:strings.LastIndex(form["DeletionTaskId"], "/")], "task/"))
	case "GetAccountAuthorizationDetails", "GetAccountSummary", "GetServiceLastAccessedDetails", "ListRoles": // they know no resource
		r.resource = "*"
	case "CreateRole":
		bounded(form["PermissionsBoundary"])
		r.context["aws:TagKeys"] = tags
		return []request{r, {action: "iam:TagRole", resource: r.resource, context: map[string]any{"aws:TagKeys": tags}}}
	case "TagRole":
		r.context["aws:TagKeys"] = tags
	case "UntagRole":
		r.context["aws:TagKeys"] = untagged(form)
	case "PutRolePermissionsBoundary":
		bounded(form["PermissionsBoundary"])
	case "PutRolePolicy", "DeleteRolePolicy", "UpdateAssumeRolePolicy", "UpdateRole", "DeleteRole":
		bounded(boundary)
	case "AttachRolePolicy", "DetachRolePolicy":
		bounded(boundary)
		r.context["iam:PolicyARN"] = form["PolicyArn"]
	case "RemoveRoleFromInstanceProfile":
		r.resource = profileARN(form["InstanceProfileName"])
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

// untagged gives the keys of the tags that a call takes away.
func untagged(form map[string]string) []string {
	var keys []string
	for k, v := range form {
		if strings.HasPrefix(k, "TagKeys.member.") {
			keys = append(keys, v)
		}
	}
	return slices.Sorted(slices.Values(keys))
}

// needsOfAgentCore: listings and Create know no resource.
func (s stack) needsOfAgentCore(c proxy.Call) []request {
	s.t.Helper()
	r := request{action: "bedrock-agentcore:" + c.Operation, resource: agentCoreARNs + c.Resource}
	switch {
	case c.Operation == "ListGatewayTargets": // that of the gateway, as for one of its targets
	case c.Operation == "ListOauth2CredentialProviders":
		r.resource = agentCoreARNs + "token-vault/default"
	case strings.HasPrefix(c.Operation, "List") || strings.HasPrefix(c.Operation, "Create"):
		r.resource = "*"
	}
	if !strings.HasPrefix(c.Operation, "Create") && !strings.HasPrefix(c.Operation, "Update") {
		return []request{r}
	}
	var in struct{ RoleArn string }
	s.decode(c, &in)
	return []request{r, {action: "iam:PassRole", resource: in.RoleArn, context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}}}
}

// needsOfCodeBuild: what is about builds is about their projects.
func (s stack) needsOfCodeBuild(c proxy.Call) []request {
	s.t.Helper()
	var in struct {
		ServiceRole, ServiceRoleOverride string
		Tags                             []struct{ Key string }
	}
	s.decode(c, &in)
	if c.Operation == "ListProjects" {
		return []request{{action: "codebuild:ListProjects", resource: "*"}}
	}
	known := []string{"BatchGetBuilds", "BatchGetProjects", "CreateProject", "DeleteProject", "ListBuildsForProject", "StartBuild", "UpdateProject"}
	if !slices.Contains(known, c.Operation) || c.Resource == "" {
		s.t.Errorf("it is not known what codebuild:%s on %q needs", c.Operation, c.Resource)
		return nil
	}
	var all []request
	for project := range strings.SplitSeq(c.Resource, ",") {
		r := request{action: "codebuild:" + c.Operation, resource: projectARN(project)}
		if keys := tagKeys(in.Tags); len(keys) > 0 {
			r.context = map[string]any{"aws:TagKeys": keys}
		}
		all = append(all, r)
	}
	for _, role := range []string{in.ServiceRole, in.ServiceRoleOverride} {
		if role != "" {
			all = append(all, request{action: "iam:PassRole", resource: role, context: map[string]any{"iam:PassedToService": "codebuild.amazonaws.com"}})
		}
	}
	return all
}

func (s stack) needsOfECR(c proxy.Call) []request {
	s.t.Helper()
	var in struct{ Tags []struct{ Key string } }
	s.decode(c, &in)
	r := request{action: "ecr:" + c.Operation, resource: repositoryARN(c.Resource)}
	switch c.Operation {
	case "GetAuthorizationToken":
		r.resource = "*"
		return []request{r}
	case "CreateRepository", "TagResource":
		r.context = map[string]any{"aws:TagKeys": tagKeys(in.Tags)}
		if c.Operation == "CreateRepository" {
			return []request{r, {action: "ecr:TagResource", resource: r.resource, context: r.context}}
		}
	case "DeleteRepository", "DescribeImages", "DescribeRepositories", "ListTagsForResource", "PutImage", "PutImageScanningConfiguration":
	default:
		s.t.Errorf("it is not known what ecr:%s needs", c.Operation)
	}
	if c.Resource == "" || strings.Contains(c.Resource, ",") {
		s.t.Errorf("ecr:%s is about the repository %q", c.Operation, c.Resource)
	}
	return []request{r}
}

// needsOfLogs takes both forms that AWS writes ARNs of log groups in for needed.
func (s stack) needsOfLogs(c proxy.Call) []request {
	s.t.Helper()
	var in struct{ Tags map[string]string }
	s.decode(c, &in)
	if c.Operation != "CreateLogGroup" && c.Operation != "PutRetentionPolicy" {
		s.t.Errorf("it is not known what logs:%s needs", c.Operation)
	}
	var all []request
	for _, group := range logGroupARNs(c.Resource) {
		r := request{action: "logs:" + c.Operation, resource: group}
		if keys := slices.Sorted(maps.Keys(in.Tags)); len(keys) > 0 {
			r.context = map[string]any{"aws:TagKeys": keys}
			all = append(all, request{action: "logs:TagResource", resource: group, context: r.context})
		}
		all = append(all, r)
	}
	return all
}

// decode reads the JSON of a call.
func (s stack) decode(c proxy.Call, into any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(c.Request.Body), into); err != nil {
		s.t.Fatalf("%s:%s: %v", c.Service, c.Operation, err)
	}
}

func tagKeys(tags []struct{ Key string }) []string {
	var keys []string
	for _, t := range tags {
		keys = append(keys, t.Key)
	}
	return slices.Sorted(slices.Values(keys))
}

// agentCoreARNs begin the ARNs of what AgentCore has here.
const agentCoreARNs = "arn:aws:bedrock-agentcore:" + region + ":" + account + ":"

func functionARN(name string) string {
	return "arn:aws:lambda:" + region + ":" + account + ":function:" + name
}

func profileARN(name string) string {
	return "arn:aws:iam::" + account + ":instance-profile/" + name
}

func projectARN(name string) string {
	return "arn:aws:codebuild:" + region + ":" + account + ":project/" + name
}

func repositoryARN(name string) string {
	return "arn:aws:ecr:" + region + ":" + account + ":repository/" + name
}

// logGroupARNs gives the ARN of a log group as the reference of actions has it,
// and as that of a stream without a name, for which the API reference (LogGroup)
// ends patterns in :*.
func logGroupARNs(name string) []string {
	arn := "arn:aws:logs:" + region + ":" + account + ":log-group:" + name
	return []string{arn, arn + ":log-stream:"}
}

// linked gives the services of the service-linked roles by role.
func linked() map[string]string {
	services := map[string]string{}
	for _, r := range desired.AllServiceLinkedRoles() {
		services[r.Name] = r.Service
	}
	return services
}

// path gives the path of a service-linked role; other roles here have none.
func path(role string) string {
	if service, ok := linked()[role]; ok {
		return "aws-service-role/" + service + "/"
	}
	return ""
}
