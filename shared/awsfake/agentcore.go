package awsfake

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/smithy-go"
)

// agentCore is what an account has of AgentCore's control plane: resources by id.
type agentCore struct {
	resources map[string]*agentCoreResource

	page   int      // longest page of a listing; 0 is AgentCore's own
	queues []string // URLs that events go to
	watch  func(TrailEvent)
}

// agentCorePace is what AgentCore goes by in all Regions: how long it takes to make
// or change something, to delete it, and to let go of network interfaces that
// nothing needs any more; and whether it can assume a role, nil for the account's
// own roles.
type agentCorePace struct {
	making, deleting, lingering time.Duration
	assume                      func(role, source string) bool
}

func newAgentCorePace() agentCorePace {
	return agentCorePace{making: time.Minute, deleting: time.Minute, lingering: 8 * time.Hour}
}

func (p agentCorePace) clone() agentCorePace {
	p.assume = nil
	return p
}

// agentCoreResource is one resource, of any kind.
type agentCoreResource struct {
	kind    string // as in agentCoreKinds
	id      string
	parent  string // id of the gateway that a target is of
	title   string
	created time.Time
	status  string
	next    string    // what the status becomes; empty when it stays
	at      time.Time // when it does

	versions    []agentCoreVersion // oldest first; one where a kind has none
	endpoints   []agentCoreEndpoint
	undeletable bool
}

// agentCoreGone is the next status of what is being deleted.
const agentCoreGone = "gone"

type agentCoreVersion struct {
	number  int
	config  map[string]any // what was asked for; never changed in place, so clones share it
	updated time.Time
	deleted time.Time // when it is gone; zero when it is not being deleted
}

type agentCoreEndpoint struct {
	name, live, target string
	status             string
	at                 time.Time // when its change or deletion is done
	created, updated   time.Time
}

func newAgentCore() *agentCore {
	s := &agentCore{resources: map[string]*agentCoreResource{}}
	for kind, id := range map[string]string{"Browser": "aws.browser.v1", "CodeInterpreter": "aws.codeinterpreter.v1"} {
		s.resources[id] = &agentCoreResource{kind: kind, id: id, title: id, status: "READY", versions: []agentCoreVersion{{number: 1}}}
	}
	return s
}

func (s *agentCore) clone() *agentCore {
	out := *s
	out.resources, out.queues = map[string]*agentCoreResource{}, slices.Clone(s.queues)
	for id, r := range s.resources {
		r := *r
		r.versions, r.endpoints = slices.Clone(r.versions), slices.Clone(r.endpoints)
		out.resources[id] = &r
	}
	out.watch = nil
	return &out
}

// AgentCore gives the SDK's own client, of one caller: its requests reach the
// account as they would reach AWS. It does not retry.
func (c *Cloud) AgentCore(caller string) *bedrockagentcorecontrol.Client {
	return bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{
		Region: c.Region, BaseEndpoint: aws.String("http://agentcore.invalid"), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), HTTPClient: agentCoreWire{c, caller},
	})
}

// agentCoreWire carries requests of the SDK to an account.
type agentCoreWire struct {
	cloud  *Cloud
	caller string
}

// Do answers one request.
func (w agentCoreWire) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	answer := &http.Response{Header: http.Header{"Content-Type": {"application/json"}}, Request: r}
	status, body, err := w.cloud.ServeAgentCore(w.caller, r.Method, r.URL.Path, r.URL.RawQuery, body)
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		answer.Header.Set("X-Amzn-Errortype", api.ErrorCode())
		body = must(json.Marshal(map[string]string{"message": api.ErrorMessage()}))
	case err != nil:
		return nil, err
	}
	answer.StatusCode, answer.Body = status, io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// SettleAgentCore sets how long it takes to make or change a resource, and how
// long to delete one, in all Regions. Both are a minute where a test sets nothing.
func (c *Cloud) SettleAgentCore(making, deleting time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace.making, c.pace.deleting = making, deleting
}

// SetAgentCoreStatus gives a resource a status that stays: until it is changed or
// deleted, also when a change or deletion was under way.
func (c *Cloud) SetAgentCoreStatus(id, status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.resources[id].status, c.core.resources[id].next = status, ""
}

// FailAgentCoreDeletion has deletions of a resource end in DELETE_FAILED, those
// under way too, or no longer.
func (c *Cloud) FailAgentCoreDeletion(id string, fails bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.resources[id].undeletable = fails
}

// PageAgentCore cuts listings into pages of at most so many items; 0 leaves
// AgentCore's own.
func (c *Cloud) PageAgentCore(items int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.page = items
}

// AssumeAgentCoreRoles has f decide, in place of the account's own roles, whether
// AgentCore can assume a role for a resource, both by ARN. It must not use the
// Cloud. A clone asks its own roles.
func (c *Cloud) AssumeAgentCoreRoles(f func(role, source string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace.assume = f
}

// agentCoreKind is a kind of resource as the REST API shows it (service model
// bedrock-agentcore-control 2023-06-05).
type agentCoreKind struct {
	name, plural string // CreateName, GetName, DeleteName, ListPlural

	create, get, list, remove string // method and path
	update, versions          string // likewise; empty where there is none
	param                     string // member of requests that names a resource

	prefix  string // of ARNs, after the account
	id, arn string // members
	title   string // member with the name
	role    string // member with the role; a dot leads into another
	version string // member with the version; empty for a kind without versions
	created string // member with the time of its making; empty for the usual
	updated string // member with the time of the last change
	items   string // member of a listing
	history string // member of a listing of versions
	in      string // member of an answer that holds the resource; empty when it is the answer

	names    *regexp.Regexp // what names are; nil for the usual
	ready    string         // status of what has been made
	most     int            // items of a page
	brief    bool           // Create and Update do not answer the whole
	listRole bool           // a listing shows the role
	noARN    bool           // a listing shows no ARN
	epoch    string         // where times are numbers: nowhere, in "list"ings, "all" over

	parent  string   // member of requests that names the gateway it belongs to; empty when it belongs to none
	named   bool     // its name is its id
	patch   bool     // Update leaves what it does not name
	filters []string // members that a listing can be narrowed by
}

var (
	agentCoreName   = regexp.MustCompile(`\A[a-zA-Z][a-zA-Z0-9_]{0,47}\z`)
	agentCoreHyphen = regexp.MustCompile(`\A([0-9a-zA-Z]-?){1,48}\z`)
	targetName      = regexp.MustCompile(`\A([0-9a-zA-Z]-?){1,100}\z`)
	providerName    = regexp.MustCompile(`\A[a-zA-Z0-9_-]{1,128}\z`)
	registryName    = regexp.MustCompile(`\A[a-zA-Z0-9][a-zA-Z0-9_./-]{0,63}\z`)
)

// agentCoreKinds are the kinds of resources that hold a role, or need a
// service-linked role.
func agentCoreKinds() []agentCoreKind {
	return []agentCoreKind{{
		name: "AgentRuntime", plural: "AgentRuntimes", param: "agentRuntimeId", prefix: "runtime/", ready: "READY", most: 100, brief: true,
		create: "PUT /runtimes/", get: "GET /runtimes/{agentRuntimeId}/", list: "POST /runtimes/", remove: "DELETE /runtimes/{agentRuntimeId}/",
		update: "PUT /runtimes/{agentRuntimeId}/", versions: "POST /runtimes/{agentRuntimeId}/versions/",
		id: "agentRuntimeId", arn: "agentRuntimeArn", title: "agentRuntimeName", role: "roleArn", version: "agentRuntimeVersion",
		updated: "lastUpdatedAt", items: "agentRuntimes", history: "agentRuntimes",
	}, {
		name: "Browser", plural: "Browsers", param: "browserId", prefix: "browser-custom/", ready: "READY", most: 50, brief: true,
		create: "PUT /browsers", get: "GET /browsers/{browserId}", list: "POST /browsers", remove: "DELETE /browsers/{browserId}",
		id: "browserId", arn: "browserArn", title: "name", role: "executionRoleArn", updated: "lastUpdatedAt", items: "browserSummaries",
	}, {
		name: "CodeInterpreter", plural: "CodeInterpreters", param: "codeInterpreterId", prefix: "code-interpreter-custom/", ready: "READY", most: 100, brief: true,
		create: "PUT /code-interpreters", get: "GET /code-interpreters/{codeInterpreterId}", list: "POST /code-interpreters", remove: "DELETE /code-interpreters/{codeInterpreterId}",
		id: "codeInterpreterId", arn: "codeInterpreterArn", title: "name", role: "executionRoleArn", updated: "lastUpdatedAt", items: "codeInterpreterSummaries",
	}, {
		name: "Gateway", plural: "Gateways", param: "gatewayIdentifier", prefix: "gateway/", ready: "READY", most: 1000, noARN: true, names: agentCoreHyphen,
		create: "POST /gateways/", get: "GET /gateways/{gatewayIdentifier}/", list: "GET /gateways/", remove: "DELETE /gateways/{gatewayIdentifier}/",
		update: "PUT /gateways/{gatewayIdentifier}/",
		id:     "gatewayId", arn: "gatewayArn", title: "name", role: "roleArn", updated: "updatedAt", items: "items",
	}, {
		name: "Harness", plural: "Harnesses", param: "harnessId", prefix: "harness/", ready: "READY", most: 100, in: "harness", patch: true,
		create: "POST /harnesses", get: "GET /harnesses/{harnessId}", list: "GET /harnesses", remove: "DELETE /harnesses/{harnessId}",
		update: "PATCH /harnesses/{harnessId}", versions: "GET /harnesses/{harnessId}/versions",
		id: "harnessId", arn: "arn", title: "harnessName", role: "executionRoleArn", version: "harnessVersion",
		updated: "updatedAt", items: "harnesses", history: "harnessVersions",
	}, {
		name: "Memory", plural: "Memories", param: "memoryId", prefix: "memory/", ready: "ACTIVE", most: 50, in: "memory", epoch: "all",
		create: "POST /memories/create", get: "GET /memories/{memoryId}/details", list: "POST /memories/", remove: "DELETE /memories/{memoryId}/delete",
		id: "id", arn: "arn", title: "name", role: "memoryExecutionRoleArn", updated: "updatedAt", items: "memories",
	}, {
		name: "OnlineEvaluationConfig", plural: "OnlineEvaluationConfigs", param: "onlineEvaluationConfigId", prefix: "online-evaluation-config/", ready: "ACTIVE", most: 100, brief: true, epoch: "all",
		create: "POST /online-evaluation-configs/create", get: "GET /online-evaluation-configs/{onlineEvaluationConfigId}", list: "POST /online-evaluation-configs", remove: "DELETE /online-evaluation-configs/{onlineEvaluationConfigId}",
		id: "onlineEvaluationConfigId", arn: "onlineEvaluationConfigArn", title: "onlineEvaluationConfigName", role: "evaluationExecutionRoleArn", updated: "updatedAt", items: "onlineEvaluationConfigs",
	}, {
		name: "PaymentManager", plural: "PaymentManagers", param: "paymentManagerId", prefix: "payment-manager/", ready: "READY", most: 100, listRole: true, patch: true,
		create: "POST /payments/managers", get: "GET /payments/managers/{paymentManagerId}", list: "POST /payments/managers-list", remove: "DELETE /payments/managers/{paymentManagerId}",
		update: "PATCH /payments/managers/{paymentManagerId}",
		id:     "paymentManagerId", arn: "paymentManagerArn", title: "name", role: "roleArn", updated: "lastUpdatedAt", items: "paymentManagers",
	}, {
		name: "CapacityProvider", plural: "CapacityProviders", param: "capacityProviderId", prefix: "capacity-provider/", ready: "READY", most: 100, brief: true, epoch: "list", patch: true,
		create: "PUT /capacity-providers", get: "GET /capacity-providers/{capacityProviderId}", list: "POST /capacity-providers", remove: "DELETE /capacity-providers/{capacityProviderId}",
		update: "PUT /capacity-providers/{capacityProviderId}",
		id:     "capacityProviderId", arn: "capacityProviderArn", title: "name", role: "permissionsConfiguration.capacityProviderOperatorRoleArn", updated: "lastUpdatedAt", items: "capacityProviders",
	}, {
		name: "ConsentPortal", plural: "ConsentPortals", param: "consentPortalIdentifier", prefix: "consent-portal/", ready: "ACTIVE", most: 100, names: agentCoreHyphen, epoch: "all",
		create: "POST /identities/CreateConsentPortal", get: "POST /identities/GetConsentPortal", list: "POST /identities/ListConsentPortals", remove: "POST /identities/DeleteConsentPortal",
		id: "consentPortalId", arn: "consentPortalArn", title: "name", role: "executionRoleArn", updated: "updatedAt", items: "consentPortals",
	}, {
		name: "GatewayTarget", plural: "GatewayTargets", param: "targetId", parent: "gatewayIdentifier", prefix: "gateway/", ready: "READY", most: 1000, noARN: true, names: targetName,
		create: "POST /gateways/{gatewayIdentifier}/targets/", get: "GET /gateways/{gatewayIdentifier}/targets/{targetId}/", list: "GET /gateways/{gatewayIdentifier}/targets/",
		remove: "DELETE /gateways/{gatewayIdentifier}/targets/{targetId}/", update: "PUT /gateways/{gatewayIdentifier}/targets/{targetId}/",
		id: "targetId", arn: "gatewayArn", title: "name", updated: "updatedAt", items: "items",
	}, {
		name: "Oauth2CredentialProvider", plural: "Oauth2CredentialProviders", param: "name", named: true, prefix: "token-vault/default/oauth2credentialprovider/", ready: "READY", most: 20, names: providerName, epoch: "all",
		create: "POST /identities/CreateOauth2CredentialProvider", get: "POST /identities/GetOauth2CredentialProvider", list: "POST /identities/ListOauth2CredentialProviders",
		remove: "POST /identities/DeleteOauth2CredentialProvider", update: "POST /identities/UpdateOauth2CredentialProvider",
		id: "name", arn: "credentialProviderArn", title: "name", created: "createdTime", updated: "lastUpdatedTime", items: "credentialProviders",
	}, {
		name: "Registry", plural: "Registries", param: "registryId", prefix: "registry/", ready: "READY", most: 100, names: registryName, patch: true, filters: []string{"status", "authorizerType"},
		create: "POST /registries", get: "GET /registries/{registryId}", list: "GET /registries", remove: "DELETE /registries/{registryId}", update: "PATCH /registries/{registryId}",
		id: "registryId", arn: "registryArn", title: "name", updated: "updatedAt", items: "registries",
	}}
}

// arnOf gives the ARN of a resource. Those of the system are nobody's.
func (c *Cloud) arnOf(k agentCoreKind, id string) string {
	account, prefix := c.Account, k.prefix
	if strings.HasPrefix(id, "aws.") {
		account, prefix = "aws", strings.Replace(k.prefix, "-custom", "", 1)
	}
	return "arn:" + c.Partition + ":bedrock-agentcore:" + c.Region + ":" + account + ":" + prefix + id
}

// path gives what follows the prefix in the ARN of a resource.
func (k agentCoreKind) path(parent, id string) string {
	if k.parent == "" {
		return id
	}
	return parent + "/target/" + id
}

// roleOf gives the role that a configuration names.
func (k agentCoreKind) roleOf(config map[string]any) string {
	members := strings.Split(k.role, ".")
	last := len(members) - 1
	return text(inner(config, members[:last]...), members[last])
}

// inner gives the object that members lead to, one in another; nil when there is none.
func inner(in map[string]any, members ...string) map[string]any {
	for _, m := range members {
		in, _ = in[m].(map[string]any)
	}
	return in
}

// text gives a member that is a string, empty when it is none.
func text(object map[string]any, member string) string {
	s, _ := object[member].(string)
	return s
}

func (k agentCoreKind) time(t time.Time, listed bool) any {
	if k.epoch == "all" || k.epoch == "list" && listed {
		return float64(t.UnixMilli()) / 1000
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// describeVersion gives a resource as Get shows it.
func (c *Cloud) describeVersion(k agentCoreKind, r *agentCoreResource, v agentCoreVersion, listed bool) map[string]any {
	out := maps.Clone(v.config)
	if out == nil {
		out = map[string]any{}
	}
	out[k.id], out[k.arn], out[k.title] = r.id, c.arnOf(k, cmp.Or(r.parent, r.id)), r.title // a target has its gateway's
	out[cmp.Or(k.created, "createdAt")], out[k.updated] = k.time(r.created, listed), k.time(v.updated, listed)
	if k.version != "" {
		out[k.version] = strconv.Itoa(v.number)
	}
	switch newest := r.versions[len(r.versions)-1]; {
	case !v.deleted.IsZero():
		out["status"] = "DELETING"
	case v.number == newest.number || strings.HasPrefix(r.status, "DELET"):
		out["status"] = r.status
	default:
		out["status"] = k.ready
	}
	return out
}

// summary gives a resource as a listing shows it.
func (c *Cloud) summary(k agentCoreKind, r *agentCoreResource, v agentCoreVersion) map[string]any {
	whole := c.describeVersion(k, r, v, true)
	out := map[string]any{}
	for _, member := range []string{
		k.id, k.arn, k.title, k.version, "status", "createdAt", k.created, k.updated, "description", k.role, "authorizerType", "credentialProviderVendor",
	} {
		value, there := whole[member]
		if there && (member != k.arn || !k.noARN) && (member != k.role || k.listRole) {
			out[member] = value
		}
	}
	return out
}
