package agentcore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

const base = "arn:aws:bedrock-agentcore:us-east-1:123456789012:"

// role makes a role that AgentCore can assume.
func role(t *testing.T, c *awsfake.Cloud, name string) (arn string) {
	t.Helper()
	out, err := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Role.Arn
}

func artifact() types.AgentRuntimeArtifact {
	return &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: aws.String("image")}}
}

func makeRuntime(t *testing.T, c *awsfake.Cloud, name, role string) (id string) {
	t.Helper()
	out, err := c.AgentCore("t").CreateAgentRuntime(t.Context(), &core.CreateAgentRuntimeInput{AgentRuntimeName: &name, RoleArn: &role, AgentRuntimeArtifact: artifact()})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	return *out.AgentRuntimeId
}

func update(t *testing.T, c *awsfake.Cloud, id, role string) {
	t.Helper()
	if _, err := c.AgentCore("t").UpdateAgentRuntime(t.Context(), &core.UpdateAgentRuntimeInput{AgentRuntimeId: &id, RoleArn: &role, AgentRuntimeArtifact: artifact()}); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
}

// makes are requests that make one resource of each kind with a role R, and what
// is used then.
var makes = []struct{ method, path, body, arn, kind, status string }{
	{"POST", "/payments/managers", `{"name":"a","roleArn":"R"}`, "payment-manager/a-", "payment-manager", "READY"},
	{"PUT", "/browsers", `{"name":"a","executionRoleArn":"R"}`, "browser-custom/a-", "browser", "READY"},
	{"PUT", "/capacity-providers", `{"name":"a","permissionsConfiguration":{"capacityProviderOperatorRoleArn":"R"}}`, "capacity-provider/a-", "capacity-provider", "READY"},
	{"PUT", "/code-interpreters", `{"name":"a","executionRoleArn":"R"}`, "code-interpreter-custom/a-", "code-interpreter", "READY"},
	{"POST", "/identities/CreateConsentPortal", `{"name":"a","executionRoleArn":"R"}`, "consent-portal/a-", "consent-portal", "ACTIVE"},
	{"POST", "/gateways/", `{"name":"a","roleArn":"R"}`, "gateway/a-", "gateway", "READY"},
	{"POST", "/harnesses", `{"harnessName":"a","executionRoleArn":"R"}`, "harness/a-", "harness", "READY"},
	{"POST", "/memories/create", `{"name":"a","memoryExecutionRoleArn":"R"}`, "memory/a-", "memory", "ACTIVE"},
	{"POST", "/online-evaluation-configs/create", `{"onlineEvaluationConfigName":"a","evaluationExecutionRoleArn":"R"}`, "online-evaluation-config/a-", "online-evaluation-config", "ACTIVE"},
}

// ask makes a request of the account's REST API.
func ask(t *testing.T, c *awsfake.Cloud, method, path, body string) map[string]any {
	t.Helper()
	_, answer, err := c.ServeAgentCore("t", method, path, "", []byte(body))
	var out map[string]any
	if err == nil {
		err = json.Unmarshal(answer, &out)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return out
}

// full is an account with one resource of each kind, and a runtime with two
// versions.
func full(t *testing.T) (c *awsfake.Cloud, runtime, roleARN string) {
	t.Helper()
	c = awsfake.New()
	roleARN = role(t, c, "used")
	for _, m := range makes {
		ask(t, c, m.method, m.path, strings.ReplaceAll(m.body, `"R"`, `"`+roleARN+`"`))
	}
	runtime = makeRuntime(t, c, "agent", roleARN)
	update(t, c, runtime, role(t, c, "newer"))
	c.ForgetCalls()
	return c, runtime, roleARN
}

// read calls everything that there is to call.
func read(t *testing.T, client *agentcore.Client, runtime string) error {
	t.Helper()
	ctx := t.Context()
	runtimes, err := client.Runtimes(ctx)
	if err != nil {
		return errors.Join(err, none(runtimes))
	}
	versions, err := client.Versions(ctx, runtime)
	if err != nil {
		return errors.Join(err, none(versions))
	}
	if role, status, err := client.RuntimeRole(ctx, runtime, ""); err != nil {
		if role+status != "" {
			return fmt.Errorf("role %q, status %q beside an error", role, status)
		}
		return err
	}
	endpoints, err := client.Endpoints(ctx, runtime)
	if err != nil {
		return errors.Join(err, none(endpoints))
	}
	others, err := client.Others(ctx)
	if err != nil {
		return errors.Join(err, none(others))
	}
	if len(others) != len(makes) {
		return fmt.Errorf("%w: %d others, want %d: %+v", errPart, len(others), len(makes), others)
	}
	return nil
}

var errPart = errors.New("a part is given for the whole")

func none[V any](part []V) error {
	if part != nil {
		return errPart
	}
	return nil
}

func TestRuntimesAreReadWithTheirVersionsAndEndpoints(t *testing.T) {
	c := awsfake.New()
	client := agentcore.New(c.AgentCore("t"), nil, nil)
	first, second := role(t, c, "first"), role(t, c, "second")
	id := makeRuntime(t, c, "agent", first)
	if _, err := c.AgentCore("t").CreateAgentRuntimeEndpoint(t.Context(), &core.CreateAgentRuntimeEndpointInput{AgentRuntimeId: &id, Name: aws.String("pinned")}); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute + 7*time.Nanosecond)
	before := c.Now()
	update(t, c, id, second)
	other := makeRuntime(t, c, "other", first)
	c.PageAgentCore(1)

	runtimes, err := client.Runtimes(t.Context())
	want := []model.RuntimeSummary{
		{ID: id, Name: "agent", ARN: base + "runtime/" + id, Version: "2", Status: "READY", Updated: before.Format(time.RFC3339Nano)},
		{ID: other, Name: "other", ARN: base + "runtime/" + other, Version: "1", Status: "READY", Updated: before.Add(time.Minute).Format(time.RFC3339Nano)},
	}
	if diff := cmp.Diff(want, runtimes); err != nil || diff != "" {
		t.Errorf("runtimes %v (-want +got)\n%s", err, diff)
	}
	versions, err := client.Versions(t.Context(), id)
	if diff := cmp.Diff([]string{"1", "2"}, versions); err != nil || diff != "" {
		t.Errorf("versions %v (-want +got)\n%s", err, diff)
	}
	for version, want := range map[string]string{"": second, "1": first, "2": second} {
		if role, status, err := client.RuntimeRole(t.Context(), id, version); err != nil || role != want || status != "READY" {
			t.Errorf("version %q: role %q, want %q, status %s, %v", version, role, want, status, err)
		}
	}
	endpoints, err := client.Endpoints(t.Context(), id)
	wantEndpoints := []model.RuntimeEndpoint{
		{Name: "DEFAULT", ARN: base + "runtime/" + id + "/runtime-endpoint/DEFAULT", Live: "2", Target: "2", Status: "READY"},
		{Name: "pinned", ARN: base + "runtime/" + id + "/runtime-endpoint/pinned", Live: "1", Target: "1", Status: "READY"},
	}
	if diff := cmp.Diff(wantEndpoints, endpoints); err != nil || diff != "" {
		t.Errorf("endpoints %v (-want +got)\n%s", err, diff)
	}
	c.SettleAgentCore(time.Hour, time.Hour)
	update(t, c, id, first)
	endpoints, err = client.Endpoints(t.Context(), id)
	wantEndpoints[0].Target, wantEndpoints[0].Status = "3", "UPDATING"
	if diff := cmp.Diff(wantEndpoints, endpoints); err != nil || diff != "" {
		t.Errorf("endpoints while the runtime is updated: %v (-want +got)\n%s", err, diff)
	}
}

func TestWhatHoldsARoleIsReadOfEveryKind(t *testing.T) {
	c, _, used := full(t)
	client := agentcore.New(c.AgentCore("t"), nil, nil)
	var want []model.Use
	for _, m := range makes {
		want = append(want, model.Use{Role: used, ARN: base + m.arn, Kind: m.kind, Status: m.status})
	}
	serial := regexp.MustCompile(`[0-9]{10}$`)
	check := func(want []model.Use) {
		t.Helper()
		got, err := client.Others(t.Context())
		for i := range got {
			got[i].ARN = serial.ReplaceAllString(got[i].ARN, "")
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	}
	check(want)
	for _, m := range makes { // a second of each kind, on a page of its own, without a role
		if m.kind != "harness" {
			ask(t, c, m.method, m.path, `{"name":"b","onlineEvaluationConfigName":"b"}`)
		}
	}
	c.PageAgentCore(1)
	check(want)
	for id, status := range map[string]string{"browser": "UNHEARD_OF", "memory": "DELETE_FAILED"} {
		for i, m := range makes {
			if m.kind == id {
				want[i].Status = status
				c.SetAgentCoreStatus(idOf(t, client, m.kind), status)
			}
		}
	}
	check(want)
	for _, call := range c.Calls() {
		if strings.Contains(call.Resource, "/aws.") {
			t.Errorf("%s: what is the system's is not looked at", call)
		}
	}
}

func idOf(t *testing.T, client *agentcore.Client, kind string) string {
	t.Helper()
	all, err := client.Others(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		if u.Kind == kind {
			return u.ARN[strings.LastIndexByte(u.ARN, '/')+1:]
		}
	}
	t.Fatalf("no %s", kind)
	return ""
}

func TestAnOldVersionOfAHarnessHoldsItsRole(t *testing.T) {
	c, _, used := full(t)
	client := agentcore.New(c.AgentCore("t"), nil, nil)
	id, newer := idOf(t, client, "harness"), role(t, c, "of-version-2")
	for range 2 { // the second changes nothing of the role
		if _, err := c.AgentCore("t").UpdateHarness(t.Context(), &core.UpdateHarnessInput{HarnessId: &id, ExecutionRoleArn: &newer}); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Minute)
	}
	all, err := client.Others(t.Context())
	var roles []string
	for _, u := range all {
		if u.Kind == "harness" {
			roles = append(roles, u.Role)
		}
	}
	if diff := cmp.Diff([]string{used, newer}, roles); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	refused := false
	c.Before = func(call awsfake.Call) error {
		if call.Operation == "GetHarness" && !refused {
			refused = true
			return awsfake.APIError("ResourceNotFoundException", "version 1 is gone")
		}
		return nil
	}
	if all, err := client.Others(t.Context()); err != nil || !refused || len(all) != len(makes) {
		t.Errorf("a version gone: %d others, %v", len(all), err)
	}
}

func TestNoPartOfAnAnswerIsGivenWhenACallFails(t *testing.T) {
	c, runtime, _ := full(t)
	client := agentcore.New(c.AgentCore("t"), nil, nil)
	c.PageAgentCore(1)
	if err := read(t, client, runtime); err != nil {
		t.Fatal(err)
	}
	calls := c.Calls()
	for n, call := range calls {
		for code, class := range map[string]fault.Class{
			"AccessDeniedException": fault.Unknown, "ThrottlingException": fault.Retry, "InternalServerException": fault.Retry, "ValidationException": fault.Unknown,
		} {
			c.ForgetCalls()
			c.Before = func(made awsfake.Call) error {
				if made.N == n+1 {
					return awsfake.APIError(code, "refused")
				}
				return nil
			}
			err := read(t, client, runtime)
			if err == nil || errors.Is(err, errPart) || errors.Is(err, fault.ErrNotFound) || fault.Of(err) != class {
				t.Errorf("%s at %s: class %s, %v", code, call, fault.Of(err), err)
			}
		}
	}
}

func TestOnlyWhatIsNotThereIsNotFound(t *testing.T) {
	c, runtime, used := full(t)
	client := agentcore.New(c.AgentCore("t"), nil, nil)
	for name, err := range map[string]error{
		"versions of no runtime": second(client.Versions(t.Context(), "agent-0000000000")),
		"role of no runtime":     third(client.RuntimeRole(t.Context(), "agent-0000000000", "")),
		"role of no version":     third(client.RuntimeRole(t.Context(), runtime, "3")),
	} {
		if !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What goes between listing and reading is gone; the rest stays.
	for _, m := range makes[1:] {
		c.Before = func(call awsfake.Call) error {
			if strings.HasPrefix(call.Operation, "Get") && strings.HasPrefix(call.Resource, m.arn) {
				return awsfake.APIError("ResourceNotFoundException", "gone")
			}
			return nil
		}
		all, err := client.Others(t.Context())
		if err != nil || len(all) != len(makes)-1 {
			t.Errorf("%s gone: %d others, %v", m.kind, len(all), err)
		}
		for _, u := range all {
			if u.Kind == m.kind || u.Role != used {
				t.Errorf("%s gone: %+v", m.kind, u)
			}
		}
	}
	c.Before = func(call awsfake.Call) error {
		if call.Operation == "ListHarnessVersions" {
			return awsfake.APIError("ResourceNotFoundException", "gone")
		}
		return nil
	}
	if all, err := client.Others(t.Context()); err != nil || len(all) != len(makes)-1 {
		t.Errorf("a harness gone before its versions are listed: %d others, %v", len(all), err)
	}
}

func second[V any](_ V, err error) error { return err }

func third[V, W any](_ V, _ W, err error) error { return err }

// spoiled is an account of which answers are changed on their way.
type spoiled struct {
	cloud  *awsfake.Cloud
	change func(operation string, answer map[string]any)
}

func (s spoiled) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	operation, _ := awsfake.AgentCoreOperation(r.Method, r.URL.Path, r.URL.RawQuery, body)
	status, answer, err := s.cloud.ServeAgentCore("t", r.Method, r.URL.Path, r.URL.RawQuery, body)
	if err != nil {
		return nil, err
	}
	var members map[string]any
	if err := json.Unmarshal(answer, &members); err != nil {
		return nil, err
	}
	s.change(operation, members)
	if answer, err = json.Marshal(members); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer))}, nil
}

func (s spoiled) client(pace agentcore.Pace) *agentcore.Client {
	return agentcore.New(s.api(), pace, pace)
}

func (s spoiled) api() *core.Client {
	return core.New(core.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://agentcore.invalid"), HTTPClient: s, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
	})
}

// essential are the members without which an answer is not understood.
var essential = map[string][]string{
	"ListAgentRuntimes":           {"agentRuntimeId", "agentRuntimeArn", "agentRuntimeName", "agentRuntimeVersion", "lastUpdatedAt"},
	"ListAgentRuntimeVersions":    {"agentRuntimeId", "agentRuntimeVersion"},
	"ListAgentRuntimeEndpoints":   {"name", "agentRuntimeEndpointArn"},
	"GetAgentRuntime":             {"roleArn"},
	"ListPaymentManagers":         {"paymentManagerArn"},
	"ListBrowsers":                {"browserId"},
	"GetBrowser":                  {"browserArn"},
	"ListCapacityProviders":       {"capacityProviderId"},
	"GetCapacityProvider":         {"capacityProviderArn"},
	"ListCodeInterpreters":        {"codeInterpreterId"},
	"GetCodeInterpreter":          {"codeInterpreterArn"},
	"ListConsentPortals":          {"consentPortalId"},
	"GetConsentPortal":            {"consentPortalArn"},
	"ListGateways":                {"gatewayId"},
	"GetGateway":                  {"gatewayArn"},
	"ListHarnesses":               {"harnessId"},
	"ListHarnessVersions":         {"harnessVersion", "harnessVersions"},
	"GetHarness":                  {"arn", "harness"},
	"ListMemories":                {"id"},
	"GetMemory":                   {"arn", "memory"},
	"ListOnlineEvaluationConfigs": {"onlineEvaluationConfigId"},
	"GetOnlineEvaluationConfig":   {"onlineEvaluationConfigArn"},
}

// without takes a member off an answer, wherever it is.
func without(v any, member string) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, member)
		for _, inner := range v {
			without(inner, member)
		}
	case []any:
		for _, inner := range v {
			without(inner, member)
		}
	}
}

func TestAnAnswerThatLacksSomethingIsAnError(t *testing.T) {
	c, runtime, _ := full(t)
	for operation, members := range essential {
		for _, member := range members {
			t.Run(operation+" without "+member, func(t *testing.T) {
				struck := false
				err := read(t, spoiled{c, func(made string, answer map[string]any) {
					if made == operation {
						struck = true
						without(answer, member)
					}
				}}.client(nil), runtime)
				if !struck || err == nil || errors.Is(err, errPart) || errors.Is(err, fault.ErrNotFound) {
					t.Errorf("struck %v, error %v", struck, err)
				}
			})
		}
	}
	err := read(t, spoiled{c, func(made string, answer map[string]any) {
		if made == "ListAgentRuntimeVersions" {
			answer["agentRuntimes"] = []any{}
		}
	}}.client(nil), runtime)
	if fault.Of(err) != fault.Retry {
		t.Errorf("a runtime without versions: %v", err)
	}
}

// counted counts the waits and ends them after some.
type counted struct {
	n, most int
}

func (p *counted) Wait(context.Context) error {
	if p.n++; p.n > p.most {
		return context.DeadlineExceeded
	}
	return nil
}

func TestAListingThatGoesRoundIsAnError(t *testing.T) {
	c, runtime, _ := full(t)
	for operation := range essential {
		if strings.HasPrefix(operation, "Get") {
			continue
		}
		pages := 0
		err := read(t, spoiled{c, func(made string, answer map[string]any) {
			if made == operation { // two pages that lead to each other
				answer["nextToken"] = "after-" + strings.Repeat("!", pages%2+1)
				pages++
			}
		}}.client(&counted{most: 100}), runtime)
		if err == nil || errors.Is(err, errPart) || errors.Is(err, context.DeadlineExceeded) || pages > 4 {
			t.Errorf("%s: %d pages, %v", operation, pages, err)
		}
	}
}

func TestEveryListWaitsForItsTurn(t *testing.T) {
	c, runtime, _ := full(t)
	c.PageAgentCore(1)
	lists, memories := &counted{most: 1000}, &counted{most: 1000}
	if err := read(t, agentcore.New(c.AgentCore("t"), lists, memories), runtime); err != nil {
		t.Fatal(err)
	}
	made := map[bool]int{}
	for _, call := range c.Calls() {
		if strings.HasPrefix(call.Operation, "List") {
			made[call.Operation == "ListMemories"]++
		}
	}
	if lists.n != made[false] || memories.n != made[true] || made[true] == 0 {
		t.Errorf("%d and %d waits for %d and %d listings", lists.n, memories.n, made[false], made[true])
	}
	for most := range lists.n {
		err := read(t, agentcore.New(c.AgentCore("t"), &counted{most: most}, nil), runtime)
		if fault.Of(err) != fault.Retry || errors.Is(err, errPart) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no turn after %d: %v", most, err)
		}
	}
}

func TestPagesAreAsLongAsTheyMayBe(t *testing.T) {
	c := awsfake.New()
	used := role(t, c, "used")
	for i := range 101 {
		ask(t, c, "POST", "/gateways/", fmt.Sprintf(`{"name":"g%d"}`, i))
		ask(t, c, "POST", "/memories/create", fmt.Sprintf(`{"name":"m%d"}`, i))
		makeRuntime(t, c, fmt.Sprintf("r%d", i), used)
	}
	c.ForgetCalls()
	client := agentcore.New(c.AgentCore("t"), nil, nil)
	if all, err := client.Runtimes(t.Context()); err != nil || len(all) != 101 {
		t.Errorf("%d runtimes, %v", len(all), err)
	}
	if _, err := client.Others(t.Context()); err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	for _, call := range c.Calls() {
		made[call.Operation]++
	}
	if made["ListAgentRuntimes"] != 2 || made["ListGateways"] != 1 || made["ListMemories"] != 3 {
		t.Errorf("calls %v", made)
	}
}
