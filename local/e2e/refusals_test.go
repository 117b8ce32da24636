package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// refusals are attacks by way of a config. The policies allow the calls that
// they ask for; the code does not make them.
func (s stack) refusals() {
	s.t.Helper()
	s.squat("squatter", s.role(naming.RuntimeRole(region, "my_agent")).Trust)
	s.squat("hostile", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`)
	s.byToolkit("mighty")
	mighty := naming.RuntimeRole(region, "mighty")
	if _, err := iam.NewFromConfig(s.Config("admin")).AttachRolePolicy(s.t.Context(), &iam.AttachRolePolicyInput{
		RoleName: &mighty, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess"),
	}); err != nil {
		s.t.Fatal(err)
	}
	withRole := func(agent, arn string) string {
		return strings.Replace(container(agent), "    aws:\n", "    aws:\n      execution_role: "+arn+"\n", 1)
	}
	withRepository := func(agent, name string) string {
		return strings.Replace(container(agent), "    aws:\n", "    aws:\n      ecr_repository: '"+name+"'\n", 1)
	}
	permissions := func(agent, text string) string { return container(agent, "    permissions:\n      "+text+"\n") }
	provider := func(agent, text string) string {
		return container(agent, "    identity:\n      credential_providers:\n      - "+text+"\n")
	}
	for _, c := range []struct {
		what, agent, body, spared string // spared is a role that is not written; the agent's own when empty
		outcome                   status.Outcome
		problem                   string
	}{
		{"a stranger's role that bears our name, boundary and tags", "squatter", container("squatter"), "", status.Blocked, "role-not-ours"},
		{"such a role that anybody can assume", "hostile", container("hostile"), "", status.Blocked, "role-hostile"},
		{"a role of the toolkit that may do everything", "mighty", container("mighty"), "", status.Blocked, "role-hostile"},
		{"reconcile's own role", "thief", withRole("thief", roleARN("rolekeeper-reconcile-"+region)), "rolekeeper-reconcile-" + region, status.Ready, "external-role-trust"},
		{"the role of another config's agent", "sharer", withRole("sharer", roleARN(naming.RuntimeRole(region, "my_agent"))), naming.RuntimeRole(region, "my_agent"), status.Rejected, "role-of-other-config"},
		{"a role of another account", "abroad", withRole("abroad", "arn:aws:iam::210987654321:role/theirs"), "theirs", status.Rejected, "role-foreign"},
		{"a name that is a pattern", "pattern", strings.ReplaceAll(container("pattern"), "name: pattern", "name: '*'"), naming.RuntimeRole(region, "*"), status.Rejected, "agent-name-invalid"},
		{"every model", "greedy", permissions("greedy", "models: ['*']"), "", status.Rejected, "model-invalid"},
		{"every model of those allowed", "patterned", permissions("patterned", "models: ['amazon.nova-*']"), "", status.Rejected, "model-invalid"},
		{"another account's inference profile", "borrower", permissions("borrower", "models: ['arn:aws:bedrock:"+region+":210987654321:inference-profile/us.amazon.nova-lite-v1:0']"), "", status.Rejected, "model-foreign"},
		{"a model that is not allowed", "dreamer", permissions("dreamer", "models: [anthropic.claude-sonnet-4-20250514-v1:0]"), "", status.Rejected, "model-not-allowed"},
		{"a production repository", "pusher", withRepository("pusher", "production"), "", status.Rejected, "repository-not-allowed"},
		{"the repository of another config's agent", "replacer", withRepository("replacer", naming.Repository("my_agent")), "", status.Rejected, "repository-of-other-config"},
		{"another account's repository", "exporter", withRepository("exporter", "210987654321.dkr.ecr."+region+".amazonaws.com/bedrock-agentcore-x"), "", status.Rejected, "repository-foreign"},
		{"a repository whose name is a command", "commander", withRepository("commander", "bedrock-agentcore-x$(id)"), "", status.Rejected, "repository-invalid"},
		{"reconcile's own role for its builds", "hirer", container("hirer", "    codebuild:\n      execution_role: "+roleARN("rolekeeper-reconcile-"+region)+"\n"), "rolekeeper-reconcile-" + region, status.Ready, "external-role-trust"},
		{"a base image that is not allowed", "puller", permissions("puller", "base_images: [team/base]"), "", status.Rejected, "repository-not-allowed"},
		{"the image of another config's agent", "taster", permissions("taster", "base_images: ["+naming.Repository("my_agent")+"]"), "", status.Rejected, "repository-of-other-config"},
		{"another agent's memory", "reader", container("reader", "    memory:\n      memory_id: my_agent_mem-AbCdEf1234\n"), "", status.Rejected, "memory-not-allowed"},
		{"a credential provider that is not allowed", "caller", provider("caller", "name: payroll"), "", status.Rejected, "provider-not-allowed"},
		{"a provider whose name goes on", "crawler", provider("crawler", "name: crm2"), "", status.Rejected, "provider-not-allowed"},
		{"an audience that is not allowed", "speaker", container("speaker", "    aws_jwt:\n      enabled: true\n      audiences: ['https://example.com']\n"), "", status.Rejected, "audience-not-allowed"},
	} {
		s.Proxy().Reset()
		key := "configs/team/" + c.agent + ".yaml"
		if c.spared == "" {
			c.spared = naming.RuntimeRole(region, c.agent)
		}
		s.put(naming.SourceKey("team", c.agent), zipped(s.t, works, "1"))
		s.upload(key, c.body)
		s.idle()
		got := s.status(key)
		var codes []string
		for _, p := range got.Problems {
			codes = append(codes, p.Code)
		}
		if got.Outcome != c.outcome || !slices.Contains(codes, c.problem) {
			s.t.Errorf("%s: outcome %s, problems %v; want %s, %s", c.what, got.Outcome, codes, c.outcome, c.problem)
		}
		if c.problem == "role-hostile" { // nor when an operator asks for it
			s.request(model.Request{ID: "1", Config: key, Plans: map[string]string{c.agent: strings.Repeat("0", 64)}})
			s.idle()
			s.wantAnswers(key, map[string]status.RequestOutcome{"1": status.RequestRefused})
		}
		s.wantSpared(c.what, c.spared)
		if writes := s.imageWrites(); c.outcome == status.Rejected && len(writes) > 0 {
			s.t.Errorf("%s: %v", c.what, writes)
		}
	}
}

// squat makes a role of an agent's name before Rolekeeper does.
func (s stack) squat(agent, trust string) {
	s.t.Helper()
	name := naming.RuntimeRole(region, agent)
	in := &iam.CreateRoleInput{
		RoleName: &name, PermissionsBoundary: aws.String(s.Stack().Outputs["BoundaryArn"]), AssumeRolePolicyDocument: &trust,
	}
	for key, value := range map[string]string{
		model.TagConfig: "configs/team/" + agent + ".yaml", model.TagAgent: agent, model.TagTemplate: "1", model.TagCreation: "00000000000000000000000000000000",
	} {
		in.Tags = append(in.Tags, iamtypes.Tag{Key: &key, Value: &value})
	}
	if _, err := iam.NewFromConfig(s.Config("admin")).CreateRole(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// wantSpared fails when reconcile has written the role, or passed it to CodeBuild.
func (s stack) wantSpared(what, role string) {
	s.t.Helper()
	for _, call := range s.Calls(proxy.Filter{Caller: "reconcile", Service: "iam", Resource: role}) {
		if !strings.HasPrefix(call.Operation, "Get") && !strings.HasPrefix(call.Operation, "List") {
			s.t.Errorf("%s: %s %s was called", what, call.Operation, call.Resource)
		}
	}
	for _, call := range s.Calls(proxy.Filter{Caller: "reconcile", Service: "codebuild"}) {
		if strings.Contains(call.Request.Body, ":role/"+role+`"`) {
			s.t.Errorf("%s: %s was passed by %s of %s", what, role, call.Operation, call.Resource)
		}
	}
}

// wantAnswers compares the answers to requests in a status.
func (s stack) wantAnswers(key string, want map[string]status.RequestOutcome) {
	s.t.Helper()
	got := map[string]status.RequestOutcome{}
	for _, r := range s.status(key).Requests {
		got[r.ID] = r.Outcome
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("%s: requests were answered %v, want %v: %+v", key, got, want, s.status(key).Requests)
	}
}

// forgeries are requests that are not what an operator was shown, and one that
// is, but comes again.
func (s stack) forgeries() {
	s.t.Helper()
	const key, agent = "configs/team/wanted.yaml", "wanted"
	runtime, build := naming.RuntimeRole(region, agent), naming.BuildRole(region, agent)
	s.byToolkit(agent)
	s.upload(key, container(agent))
	s.idle()
	s.Proxy().Reset()
	shown := map[string]string{agent: s.adoptable(key)[agent]}
	want := map[string]status.RequestOutcome{}
	for id, r := range map[string]model.Request{
		"another-plan":  {Config: key, Plans: map[string]string{agent: strings.Repeat("0", 64)}},
		"another-agent": {Config: key, Plans: map[string]string{"my_agent": shown[agent]}},
		"expired":       {Config: key, Plans: shown, Expires: time.Now().Add(-time.Second)},
	} {
		r.ID = id
		s.request(r)
		want[id] = status.RequestRefused
	}
	for id, body := range map[string]string{
		"misplaced":     s.requestText(model.Request{ID: "misplaced", Config: "configs/team/agent.yaml", Plans: shown}),
		"another-id":    s.requestText(model.Request{ID: "misplaced", Config: key, Plans: shown}),
		"unknown":       strings.Replace(s.requestText(model.Request{ID: "unknown", Config: key, Plans: shown}), `"adopt"`, `"delete"`, 1),
		"with-a-policy": strings.Replace(s.requestText(model.Request{ID: "with-a-policy", Config: key, Plans: shown}), "{", `{"policy":{},`, 1),
		"no-request":    "{",
	} {
		s.ask(naming.RequestKey(key, id), body)
		want[id] = status.RequestRefused
	}
	s.idle()
	s.upload(key, container(agent))
	s.idle()
	s.wantAnswers(key, want)
	buried := slices.DeleteFunc(s.dead("InboxDeadLetterQueueUrl"), func(m sqstypes.Message) bool { return !strings.Contains(*m.Body, naming.RequestPrefix) })
	if len(buried) != 5 {
		s.t.Errorf("%d requests are in the dead letters of the inbox, want the 5 that cannot be read: %+v", len(buried), buried)
	}
	s.wantSpared("forged requests", runtime)
	s.wantSpared("forged requests", build)

	// The roles change after the operator has looked.
	admin := iam.NewFromConfig(s.Config("admin"))
	if _, err := admin.PutRolePolicy(s.t.Context(), &iam.PutRolePolicyInput{RoleName: &build, PolicyName: aws.String("more"), PolicyDocument: aws.String(allObjects)}); err != nil {
		s.t.Fatal(err)
	}
	s.request(model.Request{ID: "late", Config: key, Plans: shown})
	s.idle()
	want["late"] = status.RequestRefused
	s.wantAnswers(key, want)
	s.wantSpared("a request that came too late", build)

	// What was asked for once is not asked for again by the same request: not of
	// a role that takes the place of the first, not when the answer is lost.
	s.request(model.Request{ID: "good", Config: key, Plans: s.adoptable(key)})
	s.idle()
	want["good"] = status.RequestDone
	s.wantAnswers(key, want)
	adopted := s.role(runtime)
	s.deleteRole(adopted)
	s.squat(agent, adopted.Trust)
	s.Proxy().Reset()
	for _, lost := range []bool{false, true} {
		if lost {
			s.remove(naming.StatusKey(key))
			want["good"] = status.RequestRefused
		}
		s.upload(key, container(agent))
		s.idle()
		if got := s.status(key); got.Outcome != status.Blocked || got.Problems[0].Code != "role-replaced" {
			s.t.Errorf("status lost %v: %+v", lost, got)
		}
		s.wantAnswers(key, want)
		s.wantSpared("a request that came again", runtime)
	}
}

// deleteRole deletes a role with its inline policies.
func (s stack) deleteRole(r model.ObservedRole) {
	s.t.Helper()
	admin := iam.NewFromConfig(s.Config("admin"))
	for name := range r.Policies {
		if _, err := admin.DeleteRolePolicy(s.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &r.Name, PolicyName: &name}); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := admin.DeleteRole(s.t.Context(), &iam.DeleteRoleInput{RoleName: &r.Name}); err != nil {
		s.t.Fatal(err)
	}
}
