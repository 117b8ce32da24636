package agentcore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/slr"
)

var _ slr.Resources = (*agentcore.Networks)(nil)

// Parts of requests.
const (
	inVPC   = `"networkConfiguration":{"networkMode":"VPC","networkModeConfig":{"subnets":["subnet-01234567"],"securityGroups":["sg-01234567"]},"vpcConfig":{"subnets":["subnet-01234567"],"securityGroups":["sg-01234567"]}}`
	public  = `"networkConfiguration":{"networkMode":"PUBLIC"}`
	strange = `"networkConfiguration":{"networkMode":"MESH"}`
	by      = `"privateEndpoint":{"managedVpcResource":{"vpcIdentifier":"vpc-01234567","subnetIds":["subnet-01234567"],"endpointIpAddressType":"IPV4"}}`
	byUs    = `"privateEndpoint":{"selfManagedLatticeResource":{"resourceConfigurationIdentifier":"rcfg-01234567890123456"}}`
	byWhom  = `"privateEndpoint":{"byPigeon":{}}`
	over    = byUs + `,"privateEndpointOverrides":[{"domain":"a.example",` + byUs + `},{"domain":"b.example",` + by + `}]`
	artefac = `"agentRuntimeArtifact":{"containerConfiguration":{"containerUri":"image"}}`
	target  = `"targetConfiguration":{"mcp":{"mcpServer":{"endpoint":"https://x.example"}}}`
)

func jwt(endpoints string) string {
	return `"authorizerConfiguration":{"customJWTAuthorizer":{"discoveryUrl":"https://x.example/.well-known/openid-configuration"` + strings.TrimSuffix(","+endpoints, ",") + `}}`
}

func oauth2(endpoints string) string {
	return `"credentialProviderVendor":"CustomOauth2","oauth2ProviderConfigInput":{"customOauth2ProviderConfig":{"oauthDiscovery":{"discoveryUrl":"https://x.example"}` + strings.TrimSuffix(","+endpoints, ",") + `}}`
}

func environment(network string) string {
	return `"environment":{"agentCoreRuntimeEnvironment":{` + network + `}}`
}

// account is an account with a role that AgentCore can assume.
type account struct {
	*awsfake.Cloud
	t    *testing.T
	role string
}

func newAccount(t *testing.T) account {
	c := awsfake.New()
	return account{c, t, role(t, c, "used")}
}

// creations are the requests that make a resource of a kind, and the members of the
// answer that name it.
var creations = map[string]struct{ method, path, name, id string }{
	"runtime":                    {"PUT", "/runtimes/", "agentRuntimeName", "agentRuntimeId"},
	"browser":                    {"PUT", "/browsers", "name", "browserId"},
	"code-interpreter":           {"PUT", "/code-interpreters", "name", "codeInterpreterId"},
	"harness":                    {"POST", "/harnesses", "harnessName", "harnessId"},
	"gateway":                    {"POST", "/gateways/", "name", "gatewayId"},
	"gateway-target":             {"POST", "/gateways/%s/targets/", "name", "targetId"},
	"payment-manager":            {"POST", "/payments/managers", "name", "paymentManagerId"},
	"registry":                   {"POST", "/registries", "name", "registryId"},
	"oauth2-credential-provider": {"POST", "/identities/CreateOauth2CredentialProvider", "name", "name"},
	"capacity-provider":          {"PUT", "/capacity-providers", "name", "capacityProviderId"},
}

// make makes a resource, of a target also its gateway, and gives its id as in
// model.Resource.
func (a account) make(kind, name, config string) (id string) {
	a.t.Helper()
	m, before := creations[kind], ""
	if kind == "gateway-target" {
		gateway := a.make("gateway", name, "")
		m.path, before = fmt.Sprintf(m.path, gateway), gateway+"/"
	}
	body := []string{fmt.Sprintf("%q:%q", m.name, name)}
	if config != "" {
		body = append(body, config)
	}
	switch kind {
	case "runtime":
		body = append(body, artefac, fmt.Sprintf(`"roleArn":%q`, a.role))
	case "harness":
		body = append(body, fmt.Sprintf(`"executionRoleArn":%q`, a.role))
	case "gateway-target":
		body = append(body, target)
	}
	out := ask(a.t, a.Cloud, m.method, m.path, "{"+strings.Join(body, ",")+"}")
	if of, in := out["harness"].(map[string]any); in {
		out = of
	}
	a.Advance(time.Minute)
	return before + out[m.id].(string)
}

func (a account) networks() *agentcore.Networks { return agentcore.NewNetworks(a.AgentCore("t"), nil) }

// read reads everything, which must be readable.
func (a account) read(known []model.Resource) []model.Resource {
	a.t.Helper()
	found, unread := a.networks().Resources(a.t.Context(), known)
	if len(unread) > 0 {
		a.t.Errorf("unread %v", unread)
	}
	return found
}

func one(t *testing.T, all []model.Resource, kind string) model.Resource {
	t.Helper()
	i := slices.IndexFunc(all, func(r model.Resource) bool { return r.Kind == kind })
	if i < 0 {
		t.Fatalf("no %s among %+v", kind, all)
	}
	return all[i]
}

// placements are resources and what service-linked roles go by of them.
var placements = map[string]struct {
	kind, config string
	vpc, private bool
}{
	"a public runtime": {"runtime", public, false, false},
	"a runtime without network, as on capacity providers": {"runtime", "", false, false},
	"a runtime in a VPC":                                {"runtime", inVPC, true, false},
	"a runtime in a network of a new kind":              {"runtime", strange, true, false},
	"a runtime with an issuer that anybody reaches":     {"runtime", public + "," + jwt(""), false, false},
	"a runtime with a managed connection to its issuer": {"runtime", public + "," + jwt(by), false, true},
	"a runtime with a connection of the account's own":  {"runtime", public + "," + jwt(byUs), false, false},
	"a runtime with a managed connection to a domain":   {"runtime", public + "," + jwt(over), false, true},
	"a runtime with a connection of a new kind":         {"runtime", public + "," + jwt(byWhom), false, true},
	"a runtime with both":                               {"runtime", inVPC + "," + jwt(by), true, true},
	"a public browser":                                  {"browser", public, false, false},
	"a browser in a VPC":                                {"browser", inVPC, true, false},
	"a browser in a network of a new kind":              {"browser", strange, true, false},
	"a public code interpreter":                         {"code-interpreter", public, false, false},
	"a code interpreter in the sandbox":                 {"code-interpreter", `"networkConfiguration":{"networkMode":"SANDBOX"}`, false, false},
	"a code interpreter in a VPC":                       {"code-interpreter", inVPC, true, false},
	"a public harness":                                  {"harness", environment(public), false, false},
	"a harness in a VPC":                                {"harness", environment(inVPC), true, false},
	"a harness in a network of a new kind":              {"harness", environment(strange), true, false},
	"a harness with a managed connection to its issuer": {"harness", environment(public) + "," + jwt(by), false, true},
	"a gateway": {"gateway", "", false, false},
	"a gateway with a managed connection to its issuer": {"gateway", jwt(by), false, true},
	"a target that anybody reaches":                     {"gateway-target", "", false, false},
	"a target with a managed connection":                {"gateway-target", by, false, true},
	"a target with a connection of the account's own":   {"gateway-target", byUs, false, false},
	"a target with a connection of a new kind":          {"gateway-target", byWhom, false, true},
	"a payment manager":                                 {"payment-manager", "", false, false},
	"a payment manager with a managed connection":       {"payment-manager", jwt(by), false, true},
	"a registry":                                     {"registry", "", false, false},
	"a registry with a managed connection":           {"registry", jwt(by), false, true},
	"an OAuth2 provider that anybody reaches":        {"oauth2-credential-provider", oauth2(""), false, false},
	"an OAuth2 provider of a vendor":                 {"oauth2-credential-provider", `"credentialProviderVendor":"GithubOauth2","oauth2ProviderConfigInput":{"githubOauth2ProviderConfig":{"clientId":"x"}}`, false, false},
	"an OAuth2 provider with a managed connection":   {"oauth2-credential-provider", oauth2(by), false, true},
	"an OAuth2 provider with connections to domains": {"oauth2-credential-provider", oauth2(over), false, true},
	"a capacity provider":                            {"capacity-provider", "", false, false},
}

func TestEveryResourceTellsWhetherItNeedsAVPC(t *testing.T) {
	arns := map[string]string{
		"runtime": "runtime/", "browser": "browser-custom/", "code-interpreter": "code-interpreter-custom/", "harness": "harness/", "gateway": "gateway/", "payment-manager": "payment-manager/",
		"registry": "registry/", "oauth2-credential-provider": "token-vault/default/oauth2credentialprovider/", "capacity-provider": "capacity-provider/",
	}
	for name, p := range placements {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			made := a.Now()
			id := a.make(p.kind, "it", p.config)
			want := model.Resource{Kind: p.kind, ID: id, Status: "READY", Updated: made.Format(time.RFC3339Nano), VPC: p.vpc, PrivateEndpoint: p.private}
			switch p.kind {
			case "gateway-target": // has no ARN, and is made after its gateway
				want.Updated = made.Add(time.Minute).Format(time.RFC3339Nano)
			case "oauth2-credential-provider":
				want.ARN, want.Status = base+arns[p.kind]+id, ""
			default:
				want.ARN = base + arns[p.kind] + id
			}
			if (p.kind == "runtime" || p.kind == "harness") && (p.vpc || p.private) {
				want.Version = "1"
			}
			if diff := cmp.Diff(want, one(t, a.read(nil), p.kind)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTheSystemsOwnToolsAndWhatIsDeletedAreLeftOut(t *testing.T) {
	a := newAccount(t)
	if found := a.read(nil); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
	id := a.make("browser", "it", inVPC)
	a.SetAgentCoreStatus(id, "DELETED")
	if found := a.read(nil); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
	a.SetAgentCoreStatus(id, "DELETING") // is still there
	if found := a.read(nil); len(found) != 1 || found[0].Status != "DELETING" || !found[0].VPC {
		t.Errorf("found %+v", found)
	}
}

// fleet makes 50 resources, some of each kind.
func fleet(t *testing.T) account {
	a := newAccount(t)
	for i, name := range slices.Sorted(maps.Keys(placements)) {
		a.make(placements[name].kind, fmt.Sprintf("it%d", i), placements[name].config)
	}
	for i := len(a.read(nil)); i < 50; i++ {
		a.make("runtime", fmt.Sprintf("it%d", 100+i), public)
	}
	a.ForgetCalls()
	return a
}

func operations(c *awsfake.Cloud) map[string]int {
	made := map[string]int{}
	for _, call := range c.Calls() {
		made[call.Operation]++
	}
	return made
}

func TestWhatHasNotChangedIsNotReadAgain(t *testing.T) {
	a := fleet(t)
	known := a.read(nil)
	if len(known) != 50 || !slices.IsSortedFunc(known, func(a, b model.Resource) int { return strings.Compare(a.Kind+" "+a.ID, b.Kind+" "+b.ID) }) {
		t.Errorf("%d resources, %+v", len(known), known)
	}
	a.ForgetCalls()
	if diff := cmp.Diff(known, a.read(known)); diff != "" {
		t.Errorf("read again (-before +after)\n%s", diff)
	}
	golden := map[string]int{
		"ListAgentRuntimes": 1, "ListBrowsers": 1, "ListCodeInterpreters": 1, "ListHarnesses": 1, "ListGateways": 1, "ListGatewayTargets": 6,
		"ListPaymentManagers": 1, "ListRegistries": 1, "ListOauth2CredentialProviders": 1, "ListCapacityProviders": 1,
	}
	if diff := cmp.Diff(golden, operations(a.Cloud)); diff != "" {
		t.Errorf("calls for an account that has not changed (-want +got)\n%s", diff)
	}
	// A status is in the listing; a change of one resource costs the reading of that one.
	a.SetAgentCoreStatus(one(t, known, "browser").ID, "DELETE_FAILED")
	gateway := one(t, known, "gateway")
	ask(t, a.Cloud, "PUT", "/gateways/"+gateway.ID+"/", `{"name":"it",`+jwt(by)+`}`)
	a.ForgetCalls()
	now := a.read(known)
	golden["GetGateway"] = 1
	if diff := cmp.Diff(golden, operations(a.Cloud)); diff != "" {
		t.Errorf("calls after a change (-want +got)\n%s", diff)
	}
	if b, g := one(t, now, "browser"), one(t, now, "gateway"); b.Status != "DELETE_FAILED" || g.Status != "UPDATING" || !g.PrivateEndpoint || g.Updated == gateway.Updated {
		t.Errorf("%+v, %+v", b, g)
	}
	// What is gone is not given, though it was known.
	a.Advance(time.Minute)
	gone := one(t, now, "code-interpreter").ID
	ask(t, a.Cloud, "DELETE", "/code-interpreters/"+gone, ``)
	a.Advance(time.Minute)
	if left := a.read(now); len(left) != 49 || slices.ContainsFunc(left, func(r model.Resource) bool { return r.ID == gone }) {
		t.Errorf("%d are left: %+v", len(left), left)
	}
}

func TestEveryVersionCounts(t *testing.T) {
	type step struct {
		config  string // of the next version; empty: delete the version
		version int    // to delete
		want    model.Resource
	}
	for name, steps := range map[string][]step{
		"the newest is in a VPC": {{config: public}, {config: inVPC, want: model.Resource{Version: "2", VPC: true}}},
		"one leaves the VPC, and its old version goes": {
			{config: inVPC, want: model.Resource{Version: "1", VPC: true}},
			{config: public, want: model.Resource{Version: "1", VPC: true, Old: true}},
			{version: 1},
		},
		"both in different versions": {
			{config: public + "," + jwt(by), want: model.Resource{Version: "1", PrivateEndpoint: true}},
			{config: inVPC, want: model.Resource{Version: "2", VPC: true, PrivateEndpoint: true, Old: true}},
			{version: 1, want: model.Resource{Version: "2", VPC: true}},
		},
		"more than ten": {
			{config: inVPC, want: model.Resource{Version: "1", VPC: true}},
			{config: inVPC, want: model.Resource{Version: "2", VPC: true}}, {config: inVPC, want: model.Resource{Version: "3", VPC: true}},
			{config: inVPC, want: model.Resource{Version: "4", VPC: true}}, {config: inVPC, want: model.Resource{Version: "5", VPC: true}},
			{config: inVPC, want: model.Resource{Version: "6", VPC: true}}, {config: inVPC, want: model.Resource{Version: "7", VPC: true}},
			{config: inVPC, want: model.Resource{Version: "8", VPC: true}}, {config: inVPC, want: model.Resource{Version: "9", VPC: true}},
			{config: inVPC, want: model.Resource{Version: "10", VPC: true}}, {config: public, want: model.Resource{Version: "10", VPC: true, Old: true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			a.PageAgentCore(2)
			var known []model.Resource
			id := a.make("runtime", "it", steps[0].config)
			for n, s := range steps {
				switch {
				case n == 0:
				case s.config != "":
					ask(t, a.Cloud, "PUT", "/runtimes/"+id+"/", fmt.Sprintf(`{%s,%s,"roleArn":%q}`, artefac, s.config, a.role))
				default:
					if _, _, err := a.ServeAgentCore("t", "DELETE", "/runtimes/"+id+"/", fmt.Sprintf("version=%d", s.version), nil); err != nil {
						t.Fatal(err)
					}
				}
				a.Advance(2 * time.Minute)
				known = a.read(known)
				got := one(t, known, "runtime")
				s.want.Kind, s.want.ID, s.want.ARN, s.want.Status, s.want.Updated = "runtime", id, got.ARN, "READY", got.Updated
				if diff := cmp.Diff(s.want, got); diff != "" {
					t.Errorf("step %d (-want +got)\n%s", n, diff)
				}
			}
		})
	}
}

func TestAHarnessKeepsItsVersionsToo(t *testing.T) {
	a := newAccount(t)
	id := a.make("harness", "it", environment(inVPC))
	ask(t, a.Cloud, "PATCH", "/harnesses/"+id, `{`+environment(public)+`}`)
	a.Advance(time.Minute)
	if h := one(t, a.read(nil), "harness"); h.Version != "1" || !h.VPC || !h.Old {
		t.Errorf("%+v", h)
	}
}

// kindOf gives the kind that an operation reads.
func kindOf(operation string) string {
	for part, kind := range map[string]string{
		"AgentRuntime": "runtime", "Browser": "browser", "CodeInterpreter": "code-interpreter", "Harness": "harness", "GatewayTarget": "gateway-target",
		"PaymentManager": "payment-manager", "Registr": "registry", "Oauth2": "oauth2-credential-provider", "CapacityProvider": "capacity-provider",
	} {
		if strings.Contains(operation, part) {
			return kind
		}
	}
	return "gateway"
}

// refuse has all calls of an operation fail.
func (a account) refuse(operation, code string) {
	a.Before = func(call awsfake.Call) error {
		if call.Operation == operation {
			return awsfake.APIError(code, "refused")
		}
		return nil
	}
}

func TestWhatCannotBeReadIsToldAndKeptApart(t *testing.T) {
	a := fleet(t)
	whole := a.read(nil)
	for operation := range operations(a.Cloud) {
		for code, class := range map[string]fault.Class{"AccessDeniedException": fault.Unknown, "ThrottlingException": fault.Retry} {
			t.Run(operation+" answers "+code, func(t *testing.T) {
				a.refuse(operation, code)
				a.t = t
				kinds := []string{kindOf(operation)}
				if operation == "ListGateways" {
					kinds = append(kinds, "gateway-target")
				}
				for story, known := range map[string][]model.Resource{"nothing known": nil, "all known": whole, "all known of old": aged(whole)} {
					found, unread := a.networks().Resources(t.Context(), known)
					if story == "all known" && strings.HasPrefix(operation, "Get") || story == "all known" && strings.HasSuffix(operation, "Versions") {
						if len(unread) > 0 {
							t.Errorf("%s: read what had not changed: %v", story, unread)
						}
						continue
					}
					if got := slices.Sorted(maps.Keys(unread)); !slices.Equal(got, kinds) {
						t.Errorf("%s: unread %v, want %v", story, unread, kinds)
					}
					for kind, err := range unread {
						if fault.Of(err) != class || errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), code) {
							t.Errorf("%s: %s is unread, class %s: %v", story, kind, fault.Of(err), err)
						}
					}
					same(t, story, kinds, whole, found, story != "nothing known")
				}
			})
		}
	}
}

// aged gives what was known before everything changed.
func aged(all []model.Resource) []model.Resource {
	all = slices.Clone(all)
	for i := range all {
		all[i].Updated = "2026-01-01T00:00:00Z"
	}
	return all
}

// same holds that what was found beside some kinds is as it is, and that the
// resources of those that were known are still there.
func same(t *testing.T, story string, kinds []string, whole, found []model.Resource, known bool) {
	t.Helper()
	got := map[string]model.Resource{}
	for _, r := range found {
		got[r.Kind+" "+r.ID] = r
	}
	if len(got) != len(found) {
		t.Errorf("%s: something is there twice: %+v", story, found)
	}
	for _, want := range whole {
		r, there := got[want.Kind+" "+want.ID]
		if !slices.Contains(kinds, want.Kind) {
			if r != want {
				t.Errorf("%s: %+v, want %+v", story, r, want)
			}
			continue
		}
		switch {
		case known && (!there || r.VPC != want.VPC || r.PrivateEndpoint != want.PrivateEndpoint || r.Status != want.Status):
			t.Errorf("%s: %+v was known, now %+v", story, want, r)
		case !known && there && (r.Updated != "" || r.VPC || r.PrivateEndpoint):
			t.Errorf("%s: %+v, though it could not be read", story, r)
		}
	}
}

func TestOneThatCannotBeReadKeepsNoOtherBack(t *testing.T) {
	a := newAccount(t)
	first, second := a.make("runtime", "first", inVPC), a.make("runtime", "second", inVPC)
	a.Before = func(call awsfake.Call) error {
		if call.Operation == "GetAgentRuntime" && call.Resource == "runtime/"+first {
			return awsfake.APIError("AccessDeniedException", "refused")
		}
		return nil
	}
	found, unread := a.networks().Resources(t.Context(), nil)
	if len(unread) != 1 || unread["runtime"] == nil || len(found) != 2 || found[0].Updated != "" || found[0].ID != first || found[0].Status != "READY" || found[1].ID != second || !found[1].VPC {
		t.Errorf("%+v, %v", found, unread)
	}
	a.Before = nil
	a.ForgetCalls()
	now := a.read(found)
	if len(now) != 2 || !now[0].VPC || operations(a.Cloud)["GetAgentRuntime"] != 1 {
		t.Errorf("the next time: %+v, %v", now, operations(a.Cloud))
	}
	// Of what was known the status is listed, whatever else cannot be read.
	a.SetAgentCoreStatus(first, "DELETING")
	a.refuse("GetAgentRuntime", "AccessDeniedException")
	found, _ = a.networks().Resources(t.Context(), aged(now))
	if len(found) != 2 || found[0].Status != "DELETING" || !found[0].VPC || found[0].Updated != aged(now)[0].Updated {
		t.Errorf("known of old: %+v", found)
	}
}

func TestPagesOfResourcesAreAsLongAsTheyMayBe(t *testing.T) {
	a := newAccount(t)
	gateway, _, _ := strings.Cut(a.make("gateway-target", "it", ""), "/")
	for i := range 101 {
		ask(t, a.Cloud, "POST", "/gateways/"+gateway+"/targets/", fmt.Sprintf(`{"name":"t%d",%s}`, i, target))
		a.make("browser", fmt.Sprintf("b%d", i), public)
	}
	a.ForgetCalls()
	a.read(nil)
	if made := operations(a.Cloud); made["ListBrowsers"] != 3 || made["ListGatewayTargets"] != 1 {
		t.Errorf("calls %v", made)
	}
}

func TestTargetsOfOneGatewayDoNotWaitForAnother(t *testing.T) {
	a := newAccount(t)
	first, second := a.make("gateway-target", "first", by), a.make("gateway-target", "second", by)
	gateway, _, _ := strings.Cut(first, "/")
	known := a.read(nil)
	for name, c := range map[string]struct {
		code   string
		known  []model.Resource
		want   []string
		unread bool
	}{
		"refused, known":     {"AccessDeniedException", known, []string{first, second}, true},
		"refused, not known": {"AccessDeniedException", nil, []string{second}, true},
		"gone meanwhile":     {"ResourceNotFoundException", known, []string{second}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a.Before = func(call awsfake.Call) error {
				if call.Operation == "ListGatewayTargets" && strings.HasPrefix(call.Resource, "gateway/"+gateway) {
					return awsfake.APIError(c.code, "refused")
				}
				return nil
			}
			found, unread := a.networks().Resources(t.Context(), c.known)
			var got []string
			for _, r := range found {
				if r.Kind == "gateway-target" {
					got = append(got, r.ID)
				}
			}
			slices.Sort(c.want)
			if (unread["gateway-target"] != nil) != c.unread || !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q, unread %v", got, c.want, unread)
			}
		})
	}
}

func TestWhatGoesBetweenListingAndReadingIsGone(t *testing.T) {
	a := fleet(t)
	whole := a.read(nil)
	for operation := range operations(a.Cloud) {
		if !strings.HasPrefix(operation, "Get") && !strings.HasSuffix(operation, "Versions") {
			continue
		}
		t.Run(operation, func(t *testing.T) {
			a.refuse(operation, "ResourceNotFoundException")
			a.t = t
			for _, r := range a.read(aged(whole)) {
				if r.Kind == kindOf(operation) {
					t.Errorf("%+v is there", r)
				}
			}
		})
	}
	// A version that goes leaves the others.
	b := newAccount(t)
	id := b.make("runtime", "it", inVPC)
	ask(t, b.Cloud, "PUT", "/runtimes/"+id+"/", fmt.Sprintf(`{%s,%s,"roleArn":%q}`, artefac, public, b.role))
	b.Advance(time.Minute)
	var first sync.Once
	b.Before = func(call awsfake.Call) (err error) {
		if call.Operation == "GetAgentRuntime" {
			first.Do(func() { err = awsfake.APIError("ResourceNotFoundException", "this version is gone") })
		}
		return err
	}
	if found := b.read(nil); len(found) != 1 {
		t.Errorf("%+v", found)
	}
}

// steady counts waits and ends them after some; from many at once.
type steady struct {
	n    atomic.Int64
	most int64
}

func (p *steady) Wait(context.Context) error {
	if p.n.Add(1) > p.most {
		return context.DeadlineExceeded
	}
	return nil
}

func TestEveryListOfResourcesWaitsForItsTurn(t *testing.T) {
	a := fleet(t)
	whole := a.read(nil)
	a.ForgetCalls()
	a.PageAgentCore(1)
	pace := &steady{most: 1000}
	found, unread := agentcore.NewNetworks(a.AgentCore("t"), pace).Resources(t.Context(), nil)
	if diff := cmp.Diff(whole, found); diff != "" || len(unread) > 0 {
		t.Errorf("by pages of one: %v (-want +got)\n%s", unread, diff)
	}
	lists := int64(0)
	for operation, n := range operations(a.Cloud) {
		if strings.HasPrefix(operation, "List") {
			lists += int64(n)
		}
	}
	if pace.n.Load() != lists || lists < 70 {
		t.Errorf("%d waits for %d listings", pace.n.Load(), lists)
	}
	for most := int64(0); most < lists; most += 7 {
		found, unread := agentcore.NewNetworks(a.AgentCore("t"), &steady{most: most}).Resources(t.Context(), whole)
		if len(unread) == 0 && most < 50 || len(found) != len(whole) {
			t.Errorf("no turn after %d: %d found, unread %v", most, len(found), unread)
		}
		for kind, err := range unread {
			if fault.Of(err) != fault.Retry || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("no turn after %d: %s: %v", most, kind, err)
			}
		}
	}
}

func TestAnEndedLookLosesNothingThatWasKnown(t *testing.T) {
	a := fleet(t)
	whole := a.read(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, unread := a.networks().Resources(ctx, whole)
	if diff := cmp.Diff(whole, found); diff != "" || len(unread) != 10 {
		t.Errorf("unread %v (-want +got)\n%s", unread, diff)
	}
	for kind, err := range unread {
		if fault.Of(err) != fault.Retry || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	// What was read before the end is not read again.
	a.ForgetCalls()
	ctx, cancel = context.WithCancel(t.Context())
	var gets atomic.Int64
	a.After = func(call awsfake.Call) error {
		if call.Operation == "GetAgentRuntime" && gets.Add(1) == 9 {
			cancel()
		}
		return nil
	}
	found, unread = a.networks().Resources(ctx, nil)
	read := 0
	for _, r := range found {
		if r.Updated != "" {
			read++
		}
	}
	if read == 0 || read > 16 || len(unread) != 10 {
		t.Errorf("%d of %d were read, unread %v", read, len(found), unread)
	}
	a.After = nil
	a.ForgetCalls()
	if diff := cmp.Diff(whole, a.read(found)); diff != "" {
		t.Errorf("the next time (-want +got)\n%s", diff)
	}
	runtimes := 0
	for _, r := range whole {
		if r.Kind == "runtime" {
			runtimes++
		}
	}
	if n := operations(a.Cloud)["GetAgentRuntime"]; n != runtimes-read {
		t.Errorf("%d runtimes read, of %d were %d read before", n, runtimes, read)
	}
}

func TestAListingOfResourcesThatGoesRoundIsUnread(t *testing.T) {
	a := fleet(t)
	whole := a.read(nil)
	for operation := range operations(a.Cloud) {
		if !strings.HasPrefix(operation, "List") {
			continue
		}
		var n atomic.Int64
		found, unread := agentcore.NewNetworks(spoiled{a.Cloud, func(made string, answer map[string]any) {
			if made == operation {
				answer["nextToken"] = "after-" + strings.Repeat("!", int(n.Add(1)%2)+1)
			}
		}}.api(), &steady{most: 500}).Resources(t.Context(), aged(whole))
		if err := unread[kindOf(operation)]; err == nil || errors.Is(err, context.DeadlineExceeded) || len(found) != len(whole) {
			t.Errorf("%s: %d found, unread %v", operation, len(found), unread)
		}
	}
}

func TestAnAnswerAboutResourcesThatLacksSomethingIsUnread(t *testing.T) {
	a := fleet(t)
	a.read(nil)
	struckFrom := map[string][]string{
		"ListAgentRuntimes": {"agentRuntimeId", "lastUpdatedAt"}, "ListAgentRuntimeVersions": {"agentRuntimeVersion", "agentRuntimes"}, "GetAgentRuntime": {"agentRuntimeArn"},
		"ListBrowsers": {"browserId"}, "GetBrowser": {"browserArn", "networkConfiguration"},
		"ListCodeInterpreters": {"codeInterpreterId"}, "GetCodeInterpreter": {"codeInterpreterArn", "networkConfiguration"},
		"ListHarnesses": {"harnessId", "updatedAt"}, "ListHarnessVersions": {"harnessVersion", "harnessVersions"}, "GetHarness": {"harness", "arn", "environment", "networkConfiguration"},
		"ListGateways": {"gatewayId", "updatedAt"}, "GetGateway": {"gatewayArn"},
		"ListGatewayTargets": {"targetId", "updatedAt"}, "GetGatewayTarget": {"gatewayArn"},
		"ListPaymentManagers": {"paymentManagerId", "lastUpdatedAt"}, "GetPaymentManager": {"paymentManagerArn"},
		"ListRegistries": {"registryId", "updatedAt"}, "GetRegistry": {"registryArn"},
		"ListOauth2CredentialProviders": {"name", "lastUpdatedTime"}, "GetOauth2CredentialProvider": {"credentialProviderArn", "oauth2ProviderConfigOutput"},
		"ListCapacityProviders": {"capacityProviderId", "lastUpdatedAt"},
	}
	for operation := range operations(a.Cloud) {
		if len(struckFrom[operation]) == 0 {
			t.Errorf("nothing is struck from %s", operation)
		}
	}
	for operation, members := range struckFrom {
		for _, member := range members {
			_, unread := agentcore.NewNetworks(spoiled{a.Cloud, func(made string, answer map[string]any) {
				if made == operation {
					without(answer, member)
				}
			}}.api(), nil).Resources(t.Context(), nil)
			if unread[kindOf(operation)] == nil {
				t.Errorf("%s without %s: unread %v", operation, member, unread)
			}
		}
	}
	// A tool that was never changed has the time of its making alone.
	found, unread := agentcore.NewNetworks(spoiled{a.Cloud, func(made string, answer map[string]any) {
		if made == "ListBrowsers" || made == "ListCodeInterpreters" {
			without(answer, "lastUpdatedAt")
		}
	}}.api(), nil).Resources(t.Context(), nil)
	if len(unread) > 0 || one(t, found, "browser").Updated == "" {
		t.Errorf("%+v, unread %v", one(t, found, "browser"), unread)
	}
}

func TestWhatIsNotKnownHereOfAResourceIsUnread(t *testing.T) {
	strange := map[string]any{"byFingerprint": map[string]any{"a": "b"}}
	for operation, member := range map[string]string{
		"GetAgentRuntime": "authorizerConfiguration", "GetGateway": "authorizerConfiguration", "GetHarness": "environment",
		"GetPaymentManager": "authorizerConfiguration", "GetRegistry": "authorizerConfiguration", "GetOauth2CredentialProvider": "oauth2ProviderConfigOutput",
	} {
		a, kind := fleet(t), kindOf(operation)
		found, unread := agentcore.NewNetworks(spoiled{a.Cloud, func(made string, answer map[string]any) {
			if made == operation {
				if of, in := answer["harness"].(map[string]any); in {
					answer = of
				}
				answer[member] = strange
			}
		}}.api(), nil).Resources(t.Context(), nil)
		if err := unread[kind]; err == nil || len(unread) != 1 || !strings.Contains(err.Error(), "get "+kind+" ") {
			t.Errorf("%s: unread %v", kind, unread)
		}
		if r := one(t, found, kind); r.VPC || r.PrivateEndpoint || r.Updated != "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestOneThatIsListedTwiceIsThereOnce(t *testing.T) {
	a := newAccount(t)
	a.make("capacity-provider", "it", "")
	a.make("browser", "it", public)
	found, unread := agentcore.NewNetworks(spoiled{a.Cloud, func(_ string, answer map[string]any) {
		for _, member := range []string{"capacityProviders", "browserSummaries"} {
			if list, is := answer[member].([]any); is {
				answer[member] = append(list, list...)
			}
		}
	}}.api(), nil).Resources(t.Context(), nil)
	if len(found) != 2 || len(unread) > 0 {
		t.Errorf("%+v, unread %v", found, unread)
	}
}

func TestFewAreReadAtTheSameTime(t *testing.T) {
	a := fleet(t)
	var now, most atomic.Int64
	api := spoiled{a.Cloud, func(string, map[string]any) {
		for n := now.Add(1); ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
	}}.api()
	agentcore.NewNetworks(api, nil).Resources(t.Context(), nil)
	if most.Load() < 2 || most.Load() > 8 {
		t.Errorf("%d calls at the same time", most.Load())
	}
}

// lagging is an AgentCore whose listings of versions lack what came last.
type lagging struct{ *core.Client }

func (l lagging) ListAgentRuntimeVersions(ctx context.Context, in *core.ListAgentRuntimeVersionsInput, o ...func(*core.Options)) (*core.ListAgentRuntimeVersionsOutput, error) {
	out, err := l.Client.ListAgentRuntimeVersions(ctx, in, o...)
	if err == nil {
		out.AgentRuntimes = slices.DeleteFunc(out.AgentRuntimes, func(r types.AgentRuntime) bool { return *r.AgentRuntimeVersion != "1" })
	}
	return out, err
}

// What is remembered of a runtime is not read again until it is changed.
func TestAVersionThatIsNotListedYetIsNotRememberedAsTheNewest(t *testing.T) {
	a := newAccount(t)
	id := a.make("runtime", "agent", public)
	known := a.read(nil)
	ask(t, a.Cloud, "PUT", "/runtimes/"+id+"/", fmt.Sprintf(`{"roleArn":%q,%s,%s}`, a.role, artefac, inVPC))
	a.Advance(time.Minute)
	found, unread := agentcore.NewNetworks(lagging{a.AgentCore("t")}, nil).Resources(t.Context(), known)
	if fault.Of(unread["runtime"]) != fault.Retry || !strings.Contains(unread["runtime"].Error(), "version 2") {
		t.Errorf("%+v, unread %v", found, unread)
	}
	if r := one(t, a.read(found), "runtime"); !r.VPC || r.Version != "2" {
		t.Errorf("%+v", r)
	}
}
