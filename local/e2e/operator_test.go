package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/local"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// tool runs the command-line tool for a caller, and gives what it prints when
// it ends with the exit code.
func (s stack) tool(caller string, code int, args ...string) []byte {
	s.t.Helper()
	binary, err := local.Build(s.t.Context(), "../../cmd/rolekeeper")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), binary, args...)
	for name, value := range s.Environment(caller) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("rolekeeper %s: exit code %d (%v), want %d:\n%s%s", strings.Join(args, " "), got, err, code, out, &stderr)
	}
	return out
}

// adoptable gives what an operator is shown that waits for his word: the digests
// of plans by agent.
func (s stack) adoptable(key string) map[string]string {
	s.t.Helper()
	const blocked = 3
	var plan struct{ Adoptable map[string]string }
	if err := json.Unmarshal(s.tool("operator", blocked, "plan", key, "-o", "json"), &plan); err != nil {
		s.t.Fatal(err)
	}
	if len(plan.Adoptable) == 0 {
		s.t.Fatalf("%s: nothing can be adopted", key)
	}
	return plan.Adoptable
}

// request writes an operator's request as the tool does.
func (s stack) request(r model.Request) {
	s.t.Helper()
	s.ask(naming.RequestKey(r.Config, r.ID), s.requestText(r))
}

// requestText gives a request to adopt as the tool writes it, good for an hour
// unless it says otherwise.
func (s stack) requestText(r model.Request) string {
	s.t.Helper()
	r.V, r.Action = 1, model.Adopt
	if r.Expires.IsZero() {
		r.Expires = time.Now().Add(time.Hour)
	}
	return toJSON(s.t, r)
}

// ask writes a text as a request.
func (s stack) ask(key, body string) {
	s.t.Helper()
	if _, err := s3.NewFromConfig(s.Config("operator")).PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: strings.NewReader(body), IfNoneMatch: aws.String("*"),
	}); err != nil {
		s.t.Fatal(err)
	}
}

// remove deletes an object, as time does and nobody may.
func (s stack) remove(key string) {
	s.t.Helper()
	if _, err := s3.NewFromConfig(s.Config("admin")).DeleteObject(s.t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		s.t.Fatal(err)
	}
}

// byToolkit makes the roles of a container agent as the starter toolkit 0.3.10
// makes them.
func (s stack) byToolkit(agent string) {
	s.t.Helper()
	var build map[string]json.RawMessage
	if err := json.Unmarshal([]byte(rendered(s.t, "codebuild.json", agent)), &build); err != nil {
		s.t.Fatal(err)
	}
	admin := iam.NewFromConfig(s.Config("toolkit"))
	for _, r := range []struct{ name, description, trust, policy, document string }{
		{
			naming.RuntimeRole(region, agent), "Execution role for BedrockAgentCore Runtime - " + agent, rendered(s.t, "runtime-trust.json", agent),
			naming.RuntimePolicy(agent), rendered(s.t, "runtime-container-HTTP-nomem-scopedecr.json", agent),
		},
		{
			naming.BuildRole(region, agent), "CodeBuild execution role for Bedrock AgentCore ARM64 builds", string(build["trust"]),
			naming.BuildPolicy, string(build[naming.BuildPolicy]),
		},
	} {
		if _, err := admin.CreateRole(s.t.Context(), &iam.CreateRoleInput{RoleName: &r.name, Description: &r.description, AssumeRolePolicyDocument: &r.trust}); err != nil {
			s.t.Fatal(err)
		}
		if _, err := admin.PutRolePolicy(s.t.Context(), &iam.PutRolePolicyInput{RoleName: &r.name, PolicyName: &r.policy, PolicyDocument: &r.document}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// rendered gives a document as the toolkit renders it, for an agent here: the
// files are those of my_agent in us-west-2.
func rendered(t testing.TB, file, agent string) string {
	t.Helper()
	data, err := os.ReadFile("../../shared/desired/testdata/toolkit/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("us-west-2", region, "my_agent", agent).Replace(string(data))
}
