package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/local/simulate"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// TestEveryCallOfAFunctionIsAllowedByItsRole drives the functions through
// everything they do and asks the IAM simulator whether the policies of
// template.yaml allow each of the calls that they made.
func TestEveryCallOfAFunctionIsAllowedByItsRole(t *testing.T) {
	const simulator = "../simulate"
	if !simulate.Installed(simulator) {
		if os.Getenv("ROLEKEEPER_FULL") == "1" {
			t.Fatal("the IAM simulator is not installed; run make tools")
		}
		t.Skip("the IAM simulator is not installed; run make tools")
	}
	s := startWith(t, local.Options{Parameters: map[string]string{"PermissionProfile": "toolkit"}}) // the profile that removes policies
	s.everything()

	var requests []simulate.Request
	var calls []string
	for _, name := range []string{"intake", "reconcile"} {
		f := s.Stack().Functions[name]
		var policies []string
		for _, p := range slices.Sorted(maps.Keys(f.Policies)) {
			policies = append(policies, string(f.Policies[p]))
		}
		for _, c := range append(s.Calls(proxy.Filter{Caller: name}), s.Calls(proxy.Filter{Caller: "poller/" + name})...) {
			for _, r := range s.needs(c) {
				r.Policies, r.Checked = policies, true
				requests = append(requests, r)
				calls = append(calls, fmt.Sprintf("%s needs %s on %s with %v", name, r.Action, r.Resource, r.Context))
			}
		}
	}
	results, err := simulate.Run(t.Context(), simulator, requests)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i, r := range results {
		seen[requests[i].Action]++
		if r.Error != "" || !r.Allowed {
			t.Errorf("%s: allowed %t %s", calls[i], r.Allowed, r.Error)
		}
	}
	for _, action := range []string{
		"iam:CreateRole", "iam:TagRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
		"iam:PutRolePermissionsBoundary", "iam:CreateServiceLinkedRole", "iam:GetRole", "iam:ListRolePolicies", "iam:GetRolePolicy",
		"iam:ListAttachedRolePolicies", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "sqs:SendMessage", "sqs:ChangeMessageVisibility",
		"sqs:ReceiveMessage", "sqs:DeleteMessage", "events:PutEvents",
	} {
		if seen[action] == 0 {
			t.Errorf("%s was never needed: what the functions do is not driven whole", action)
		}
	}
	t.Logf("%d calls, %v", len(requests), seen)
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

	// A denied call ends in the dead letters, by way of the queue.
	fault := s.InjectFault(proxy.Fault{Caller: "reconcile", Operation: "CreateRole", Kind: proxy.Denied})
	s.upload("configs/denied.yaml", container("denied"))
	s.idle()
	fault.Remove()
}

// needs gives what a call needs of IAM, dependent actions included, with the
// context that AWS supplies (Service Authorization Reference).
func (s stack) needs(c proxy.Call) []simulate.Request {
	s.t.Helper()
	arn := func(service, rest string) string { return "arn:aws:" + service + ":" + rest }
	here := region + ":" + account + ":"
	request := func(resource string, context map[string]any) []simulate.Request {
		return []simulate.Request{{Action: c.Service + ":" + c.Operation, Resource: resource, Context: context}}
	}
	switch c.Service {
	case "s3":
		all := request(arn("s3", "::"+c.Resource), nil)
		if c.Operation == "PutObject" || c.Operation == "DeleteObject" || c.Operation == "GetObject" {
			return all
		}
	case "sqs":
		c.Operation = strings.TrimSuffix(c.Operation, "Batch") // a permission of its own no batch has
		return request(arn("sqs", here+c.Resource), nil)
	case "events":
		return []simulate.Request{{
			Action: "events:PutEvents", Resource: arn("events", here+"event-bus/default"),
			Context: map[string]any{"events:source": []string{"rolekeeper"}},
		}}
	case "iam":
		return s.needsOfIAM(c)
	}
	s.t.Errorf("it is not known what %s:%s needs", c.Service, c.Operation)
	return nil
}

// needsOfIAM takes the boundary that iam:PermissionsBoundary is compared with
// from the request where it sets one, else from the role, where the plan puts
// the boundary before everything else.
func (s stack) needsOfIAM(c proxy.Call) []simulate.Request {
	form := c.Request.Params()
	role := "arn:aws:iam::" + account + ":role/" + c.Resource
	r := simulate.Request{Action: "iam:" + c.Operation, Resource: role}
	boundary := s.Stack().Outputs["BoundaryArn"]
	tags := func() []string {
		var keys []string
		for k, v := range form {
			if strings.HasPrefix(k, "Tags.member.") && strings.HasSuffix(k, ".Key") {
				keys = append(keys, v)
			}
		}
		slices.Sort(keys)
		return keys
	}
	switch c.Operation {
	case "CreateRole":
		r.Context = map[string]any{"iam:PermissionsBoundary": form["PermissionsBoundary"], "aws:TagKeys": tags()}
		return []simulate.Request{r, {Action: "iam:TagRole", Resource: role, Context: map[string]any{"aws:TagKeys": tags()}}}
	case "TagRole":
		r.Context = map[string]any{"aws:TagKeys": tags()}
	case "PutRolePermissionsBoundary":
		r.Context = map[string]any{"iam:PermissionsBoundary": form["PermissionsBoundary"]}
	case "PutRolePolicy", "DeleteRolePolicy", "UpdateAssumeRolePolicy", "UpdateRole":
		r.Context = map[string]any{"iam:PermissionsBoundary": boundary}
	case "CreateServiceLinkedRole":
		service := form["AWSServiceName"]
		o := map[string]string{
			"network.bedrock-agentcore.amazonaws.com":          "AWSServiceRoleForBedrockAgentCoreNetwork",
			"runtime-identity.bedrock-agentcore.amazonaws.com": "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity",
		}[service]
		r.Resource = "arn:aws:iam::" + account + ":role/aws-service-role/" + service + "/" + o
		r.Context = map[string]any{"iam:AWSServiceName": service}
	}
	return []simulate.Request{r}
}
