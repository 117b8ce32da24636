package awsfake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	coretypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"rolekeeper/shared/awsfake"
)

const runtimeTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func artifact() coretypes.AgentRuntimeArtifact {
	return &coretypes.AgentRuntimeArtifactMemberContainerConfiguration{Value: coretypes.ContainerConfiguration{ContainerUri: aws.String("image")}}
}

// runtimes is an account with one runtime that is being made, and its role.
func runtimes(t *testing.T) (c *awsfake.Cloud, client *core.Client, id, role string) {
	t.Helper()
	c = awsfake.New()
	role = makeRole(t, c, "role", runtimeTrust)
	client = c.AgentCore("t")
	out, err := client.CreateAgentRuntime(t.Context(), &core.CreateAgentRuntimeInput{AgentRuntimeName: aws.String("agent"), RoleArn: &role, AgentRuntimeArtifact: artifact()})
	if err != nil {
		t.Fatal(err)
	}
	return c, client, *out.AgentRuntimeId, role
}

// status gives the status of a runtime, or the code of the error.
func status(t *testing.T, client *core.Client, id string) string {
	t.Helper()
	out, err := client.GetAgentRuntime(t.Context(), &core.GetAgentRuntimeInput{AgentRuntimeId: &id})
	if err != nil {
		return code(err)
	}
	return string(out.Status)
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func update(t *testing.T, client *core.Client, id, role string) error {
	t.Helper()
	_, err := client.UpdateAgentRuntime(t.Context(), &core.UpdateAgentRuntimeInput{AgentRuntimeId: &id, RoleArn: &role, AgentRuntimeArtifact: artifact()})
	return err
}

func remove(t *testing.T, client *core.Client, id string) error {
	t.Helper()
	_, err := client.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id})
	return err
}

func TestARuntimeTakesItsTime(t *testing.T) {
	c, client, id, role := runtimes(t)
	wait := func(d time.Duration, want string) {
		t.Helper()
		c.Advance(d - 1)
		before := status(t, client, id)
		c.Advance(1)
		if got := status(t, client, id); got != want || before == want {
			t.Errorf("after %s: %s, just before %s; want %s", d, got, before, want)
		}
	}
	refused := func() {
		t.Helper()
		if u, r := update(t, client, id, role), remove(t, client, id); code(u) != "ConflictException" || code(r) != "ConflictException" {
			t.Errorf("in status %s: update %v, delete %v", status(t, client, id), u, r)
		}
	}
	refused()
	wait(time.Minute, "READY")
	c.SettleAgentCore(2*time.Minute, 3*time.Minute)
	if err := update(t, client, id, role); err != nil || status(t, client, id) != "UPDATING" {
		t.Errorf("%s, %v", status(t, client, id), err)
	}
	refused()
	out, err := client.ListAgentRuntimeEndpoints(t.Context(), &core.ListAgentRuntimeEndpointsInput{AgentRuntimeId: &id})
	if e := out.RuntimeEndpoints; err != nil || *e[0].LiveVersion != "1" || *e[0].TargetVersion != "2" || e[0].Status != "UPDATING" {
		t.Errorf("endpoint %+v, %v", e, err)
	}
	wait(2*time.Minute, "READY")
	if err := remove(t, client, id); err != nil || status(t, client, id) != "DELETING" {
		t.Errorf("%s, %v", status(t, client, id), err)
	}
	refused()
	for version, want := range map[string]coretypes.AgentRuntimeStatus{"1": "DELETING", "2": "DELETING"} {
		old, err := client.GetAgentRuntime(t.Context(), &core.GetAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: &version})
		if err != nil || old.Status != want {
			t.Errorf("version %s of what is deleted: %+v, %v", version, old, err)
		}
	}
	wait(3*time.Minute, "ResourceNotFoundException")
	if _, err := client.CreateAgentRuntime(t.Context(), &core.CreateAgentRuntimeInput{AgentRuntimeName: aws.String("agent"), RoleArn: &role, AgentRuntimeArtifact: artifact()}); err != nil {
		t.Errorf("the name of what is gone: %v", err)
	}
}

func TestADeletionFailsAsLongAsItIsTold(t *testing.T) {
	c, client, id, _ := runtimes(t)
	c.Advance(time.Minute)
	c.FailAgentCoreDeletion(id, true)
	for range 2 {
		if err := remove(t, client, id); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Minute)
		if got := status(t, client, id); got != "DELETE_FAILED" {
			t.Errorf("status %s", got)
		}
	}
	c.FailAgentCoreDeletion(id, false)
	if err := remove(t, client, id); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	if got := status(t, client, id); got != "ResourceNotFoundException" {
		t.Errorf("status %s", got)
	}
}

func TestAStatusThatWasSetStays(t *testing.T) {
	c, client, id, role := runtimes(t)
	c.SetAgentCoreStatus(id, "UNHEARD_OF")
	c.Advance(time.Hour)
	if got := status(t, client, id); got != "UNHEARD_OF" {
		t.Errorf("status %s", got)
	}
	if err := update(t, client, id, role); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	if got := status(t, client, id); got != "READY" {
		t.Errorf("status %s", got)
	}
}

func TestAnEndpointComesAndGoes(t *testing.T) {
	c, client, id, role := runtimes(t)
	c.Advance(time.Minute)
	if err := update(t, client, id, role); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	endpoints := func() string {
		t.Helper()
		out, err := client.ListAgentRuntimeEndpoints(t.Context(), &core.ListAgentRuntimeEndpointsInput{AgentRuntimeId: &id})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range out.RuntimeEndpoints {
			all = append(all, fmt.Sprint(*e.Name, " ", aws.ToString(e.LiveVersion), *e.TargetVersion, e.Status))
		}
		return strings.Join(all, ", ")
	}
	in := &core.CreateAgentRuntimeEndpointInput{AgentRuntimeId: &id, Name: aws.String("pinned"), AgentRuntimeVersion: aws.String("1")}
	if _, err := client.CreateAgentRuntimeEndpoint(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if got := endpoints(); got != "DEFAULT 22READY, pinned 1CREATING" {
		t.Error(got)
	}
	if _, err := client.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: aws.String("1")}); code(err) != "ConflictException" {
		t.Errorf("delete what an endpoint is to lead to: %v", err)
	}
	if _, err := client.CreateAgentRuntimeEndpoint(t.Context(), in); code(err) != "ConflictException" {
		t.Errorf("a second of the name: %v", err)
	}
	for version, name := range map[string]string{"3": "none", "1": "a-b"} {
		_, err := client.CreateAgentRuntimeEndpoint(t.Context(), &core.CreateAgentRuntimeEndpointInput{AgentRuntimeId: &id, Name: &name, AgentRuntimeVersion: &version})
		if want := map[string]string{"3": "ResourceNotFoundException", "1": "ValidationException"}[version]; code(err) != want {
			t.Errorf("endpoint %s: %v, want %s", name, err, want)
		}
	}
	c.Advance(time.Minute)
	if got := endpoints(); got != "DEFAULT 22READY, pinned 11READY" {
		t.Error(got)
	}
	for _, version := range []string{"1", "2"} { // an endpoint leads to each
		if _, err := client.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: &version}); code(err) != "ConflictException" {
			t.Errorf("delete version %s: %v", version, err)
		}
	}
	for name, want := range map[string]string{"pinned": "<nil>", "DEFAULT": "ConflictException", "none": "ResourceNotFoundException"} {
		if _, err := client.DeleteAgentRuntimeEndpoint(t.Context(), &core.DeleteAgentRuntimeEndpointInput{AgentRuntimeId: &id, EndpointName: &name}); code(err) != want {
			t.Errorf("delete endpoint %s: %v, want %s", name, err, want)
		}
	}
	if got := endpoints(); got != "DEFAULT 22READY, pinned 11DELETING" {
		t.Error(got)
	}
	c.Advance(time.Minute)
	if got := endpoints(); got != "DEFAULT 22READY" {
		t.Error(got)
	}
	if _, err := client.DeleteAgentRuntime(t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	out, err := client.GetAgentRuntime(t.Context(), &core.GetAgentRuntimeInput{AgentRuntimeId: &id, AgentRuntimeVersion: aws.String("1")})
	if err != nil || out.Status != "DELETING" || status(t, client, id) != "READY" {
		t.Errorf("version 1 is %+v, %v; the newest %s", out, err, status(t, client, id))
	}
}

func TestARoleThatIsNewCannotBeAssumedYet(t *testing.T) {
	c := awsfake.New()
	c.SettleRoles(time.Minute)
	in := &core.CreateAgentRuntimeInput{AgentRuntimeName: aws.String("agent"), RoleArn: aws.String(makeRole(t, c, "role", runtimeTrust)), AgentRuntimeArtifact: artifact()}
	_, early := c.AgentCore("t").CreateAgentRuntime(t.Context(), in)
	c.Advance(time.Minute)
	_, late := c.AgentCore("t").CreateAgentRuntime(t.Context(), in)
	if code(early) != "ValidationException" || late != nil {
		t.Errorf("at once %v, later %v", early, late)
	}
	c.AssumeAgentCoreRoles(func(role, source string) bool {
		return role == "theirs" && strings.HasPrefix(source, "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/another-")
	})
	in.AgentRuntimeName, in.RoleArn = aws.String("another"), aws.String("theirs")
	if _, err := c.AgentCore("t").CreateAgentRuntime(t.Context(), in); err != nil {
		t.Errorf("a role that others decide about: %v", err)
	}
}

func TestWhatTheSystemHasIsListedOnRequestAndStays(t *testing.T) {
	client := awsfake.New().AgentCore("t")
	for kind, want := range map[coretypes.ResourceType]int{"": 1, "SYSTEM": 1, "CUSTOM": 0} {
		out, err := client.ListBrowsers(t.Context(), &core.ListBrowsersInput{Type: kind})
		if err != nil || len(out.BrowserSummaries) != want {
			t.Errorf("type %q: %+v, %v", kind, out, err)
		}
		for _, b := range out.BrowserSummaries {
			if *b.BrowserArn != "arn:aws:bedrock-agentcore:us-east-1:aws:browser/aws.browser.v1" {
				t.Errorf("ARN %s", *b.BrowserArn)
			}
		}
	}
	if _, err := client.DeleteBrowser(t.Context(), &core.DeleteBrowserInput{BrowserId: aws.String("aws.browser.v1")}); code(err) != "ValidationException" {
		t.Errorf("delete: %v", err)
	}
}

func TestACloneOfRuntimesGoesItsOwnWay(t *testing.T) {
	c, client, id, role := runtimes(t)
	watched := 0
	c.WatchAgentCore(func(awsfake.TrailEvent) { watched++ })
	other := c.Clone()
	c.Advance(time.Minute)
	other.Advance(time.Minute)
	if err := update(t, other.AgentCore("t"), id, role); err != nil {
		t.Fatal(err)
	}
	endpoints, err := client.ListAgentRuntimeEndpoints(t.Context(), &core.ListAgentRuntimeEndpointsInput{AgentRuntimeId: &id})
	if err != nil || *endpoints.RuntimeEndpoints[0].TargetVersion != "1" {
		t.Errorf("endpoints %+v, %v", endpoints, err)
	}
	if err := remove(t, client, id); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	other.Advance(time.Minute)
	out, err := other.AgentCore("t").GetAgentRuntime(t.Context(), &core.GetAgentRuntimeInput{AgentRuntimeId: &id})
	if err != nil || out.Status != "READY" || *out.AgentRuntimeVersion != "2" || status(t, client, id) != "ResourceNotFoundException" || watched != 1 {
		t.Errorf("clone %+v, %v; original %s; %d events", out, err, status(t, client, id), watched)
	}
}

func TestEventsTellWhatBecameOfCalls(t *testing.T) {
	c, client, id, role := runtimes(t)
	c.Advance(time.Minute)
	now := c.Now()
	var told []string
	c.WatchAgentCore(func(e awsfake.TrailEvent) {
		var d struct{ EventName, EventTime, ErrorCode string }
		if err := json.Unmarshal(e.Detail, &d); err != nil || !e.Time.Equal(now) || d.EventTime != now.Format(time.RFC3339) {
			t.Errorf("%s, %v", e.Detail, err)
		}
		told = append(told, strings.TrimSpace(d.EventName+" "+d.ErrorCode))
	})
	lost := errors.New("lost")
	for _, refusal := range []error{awsfake.APIError("AccessDeniedException", "no"), awsfake.APIError("ThrottlingException", "slow down"), lost} {
		c.Before = func(awsfake.Call) error { return refusal }
		if err := update(t, client, id, role); !errors.Is(err, lost) && code(err) != code(refusal) {
			t.Errorf("%v, want %v", err, refusal)
		}
	}
	c.Before = nil
	status(t, client, id)
	c.After = func(awsfake.Call) error { return lost }
	if err := update(t, client, id, role); !errors.Is(err, lost) {
		t.Errorf("the answer was lost: %v", err)
	}
	c.After = nil
	if want := []string{"UpdateAgentRuntime AccessDenied", "UpdateAgentRuntime ThrottlingException", "UpdateAgentRuntime"}; !slices.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
	if got := status(t, client, id); got != "UPDATING" {
		t.Errorf("status %s", got)
	}
}

func TestACallOfAgentCoreIsAboutAResource(t *testing.T) {
	for request, want := range map[string]string{
		"PUT /runtimes/ {\"agentRuntimeName\":\"a\"}":                             "CreateAgentRuntime runtime/a",
		"POST /runtimes/ ":                                                        "ListAgentRuntimes ",
		"GET /runtimes/a-1/ ":                                                     "GetAgentRuntime runtime/a-1",
		"POST /runtimes/a-1/versions/ ":                                           "ListAgentRuntimeVersions runtime/a-1",
		"DELETE /runtimes/a-1/runtime-endpoints/x/ ":                              "DeleteAgentRuntimeEndpoint runtime/a-1",
		"POST /identities/GetConsentPortal {\"consentPortalIdentifier\":\"p-1\"}": "GetConsentPortal consent-portal/p-1",
		"POST /identities/ListConsentPortals ":                                    "ListConsentPortals ",
		"GET /memories/m-1/details ":                                              "GetMemory memory/m-1",
		"GET /workload-identities ":                                               "GET /workload-identities ",
		"PUT /runtimes/ [":                                                        "CreateAgentRuntime ",
	} {
		parts := strings.SplitN(request, " ", 3)
		operation, resource := awsfake.AgentCoreOperation(parts[0], parts[1], "", []byte(parts[2]))
		if got := operation + " " + resource; got != want {
			t.Errorf("%s is %q, want %q", request, got, want)
		}
	}
}

// ask makes a request of the account's REST API and gives its answer, or the
// error's code.
func ask(t *testing.T, c *awsfake.Cloud, request, query string) (answer map[string]any, failed string) {
	t.Helper()
	parts := strings.SplitN(request, " ", 3)
	_, body, err := c.ServeAgentCore("t", parts[0], parts[1], query, []byte(strings.Join(parts[2:], "")))
	if err != nil {
		return nil, code(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer, ""
}

func TestAnswersShowWhatAWSShows(t *testing.T) {
	c := awsfake.New()
	role := makeRole(t, c, "role", runtimeTrust)
	var told []string
	c.WatchAgentCore(func(e awsfake.TrailEvent) { told = append(told, string(e.Detail)) })
	made := map[string]string{}
	for kind, request := range map[string]string{
		"browser": `PUT /browsers {"name":"a","executionRoleArn":"` + role + `","description":"private"}`,
		"gateway": `POST /gateways/ {"name":"Nobody-s","roleArn":"` + role + `","description":"private"}`,
		"manager": `POST /payments/managers {"name":"Ab","roleArn":"` + role + `"}`,
	} {
		answer, failed := ask(t, c, request, "")
		if failed != "" {
			t.Fatalf("%s: %s", request, failed)
		}
		for _, id := range []string{"browserId", "gatewayId", "paymentManagerId"} {
			if v, there := answer[id].(string); there {
				made[kind] = v
			}
		}
	}
	if !strings.HasPrefix(made["gateway"], "nobody-s-") || !strings.HasPrefix(made["manager"], "ab-") {
		t.Errorf("ids %v", made)
	}
	for _, detail := range told {
		if strings.Contains(detail, "private") || strings.Contains(detail, "Nobody-s") {
			t.Errorf("told of %s", detail)
		}
	}
	for request, want := range map[string]bool{"POST /browsers": false, "GET /gateways/": false, "POST /payments/managers-list": true} {
		if answer, failed := ask(t, c, request, ""); failed != "" || strings.Contains(fmt.Sprint(answer), role) != want {
			t.Errorf("%s %s: %v; want the role: %v", request, failed, answer, want)
		}
	}
	if _, failed := ask(t, c, "GET /browsers/"+made["gateway"], ""); failed != "ResourceNotFoundException" {
		t.Errorf("a gateway is no browser: %s", failed)
	}
}

func TestWhatIsRequiredIsAskedFor(t *testing.T) {
	c := awsfake.New()
	role := makeRole(t, c, "role", runtimeTrust)
	for _, request := range []string{
		`PUT /runtimes/ {"agentRuntimeName":"a","roleArn":"` + role + `"}`, `PUT /runtimes/ {"agentRuntimeName":"a","agentRuntimeArtifact":{}}`,
		`POST /harnesses {"harnessName":"a"}`,
	} {
		if _, failed := ask(t, c, request, ""); failed != "ValidationException" {
			t.Errorf("%s: %q", request, failed)
		}
	}
}

func TestAHarnessKeepsWhatItIsNotToldToChange(t *testing.T) {
	c := awsfake.New()
	role, client := makeRole(t, c, "role", runtimeTrust), c.AgentCore("t")
	made, err := client.CreateHarness(t.Context(), &core.CreateHarnessInput{HarnessName: aws.String("a"), ExecutionRoleArn: &role, MaxTokens: aws.Int32(7)})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	out, err := client.UpdateHarness(t.Context(), &core.UpdateHarnessInput{HarnessId: made.Harness.HarnessId, MaxIterations: aws.Int32(8)})
	if h := out.Harness; err != nil || *h.ExecutionRoleArn != role || *h.MaxTokens != 7 || *h.MaxIterations != 8 || *h.HarnessVersion != "2" {
		t.Errorf("%+v, %v", out, err)
	}
	c.Advance(time.Minute)
	if _, failed := ask(t, c, "DELETE /harnesses/"+*made.Harness.HarnessId, "harnessVersion=1"); failed != "" {
		t.Fatal(failed)
	}
	c.Advance(time.Minute)
	if _, err := client.GetHarness(t.Context(), &core.GetHarnessInput{HarnessId: made.Harness.HarnessId}); code(err) != "ResourceNotFoundException" {
		t.Errorf("a harness goes whole: %v", err)
	}
}

// FuzzAgentCore holds that whatever is asked is answered: with JSON, or with an
// error of the API.
func FuzzAgentCore(f *testing.F) {
	f.Add("PUT", "/runtimes/", "", []byte(`{"agentRuntimeName":"b","roleArn":"arn:aws:iam::123456789012:role/role","agentRuntimeArtifact":{}}`))
	f.Add("PUT", "/runtimes/agent-0000000002/", "", []byte(`{"roleArn":1}`))
	f.Add("DELETE", "/runtimes/agent-0000000002/", "version=1", []byte(nil))
	f.Add("POST", "/runtimes/", "maxResults=1&nextToken=after-", []byte(nil))
	f.Add("POST", "/memories/", "", []byte(`{"maxResults":1.5,"nextToken":{}}`))
	f.Add("PUT", "/capacity-providers", "", []byte(`{"name":"a","permissionsConfiguration":[]}`))
	f.Add("POST", "/identities/DeleteConsentPortal", "%", []byte(`null`))
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		c := awsfake.New()
		trust := runtimeTrust
		if _, err := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("role"), AssumeRolePolicyDocument: &trust}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ServeAgentCore("t", "PUT", "/runtimes/", "", []byte(`{"agentRuntimeName":"agent","roleArn":"arn:aws:iam::123456789012:role/role","agentRuntimeArtifact":{}}`)); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Minute)
		status, answer, err := c.ServeAgentCore("t", method, path, query, body)
		var api smithy.APIError
		switch {
		case err == nil && (!json.Valid(answer) || status/100 != 2):
			t.Errorf("status %d: %q", status, answer)
		case err != nil && (!errors.As(err, &api) || api.ErrorCode() == "" || status < http.StatusBadRequest):
			t.Errorf("status %d: %v", status, err)
		}
	})
}
