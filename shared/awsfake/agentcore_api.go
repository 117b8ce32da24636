package awsfake

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// agentCoreOperation is an operation of AgentCore's REST API.
type agentCoreOperation struct {
	name   string
	method string
	path   []string // segments; {member} stands for any
	kind   agentCoreKind
	do     func(*Cloud, agentCoreKind, map[string]any) (any, error)
}

// writes reports whether it changes anything.
func (o agentCoreOperation) writes() bool {
	return !strings.HasPrefix(o.name, "Get") && !strings.HasPrefix(o.name, "List")
}

func agentCoreOperations() []agentCoreOperation {
	var all []agentCoreOperation
	add := func(k agentCoreKind, name, route string, do func(*Cloud, agentCoreKind, map[string]any) (any, error)) {
		if method, path, found := strings.Cut(route, " "); found {
			all = append(all, agentCoreOperation{name, method, strings.Split(strings.Trim(path, "/"), "/"), k, do})
		}
	}
	for _, k := range agentCoreKinds() {
		add(k, "Create"+k.name, k.create, (*Cloud).makeAgentCore)
		add(k, "Get"+k.name, k.get, (*Cloud).readAgentCore)
		add(k, "List"+k.plural, k.list, (*Cloud).listAgentCore)
		add(k, "Delete"+k.name, k.remove, (*Cloud).deleteAgentCore)
		add(k, "Update"+k.name, k.update, (*Cloud).updateAgentCore)
		add(k, "List"+k.name+"Versions", k.versions, (*Cloud).listVersions)
	}
	runtimes := agentCoreKinds()[0]
	add(runtimes, "CreateAgentRuntimeEndpoint", "PUT /runtimes/{agentRuntimeId}/runtime-endpoints/", (*Cloud).createEndpoint)
	add(runtimes, "ListAgentRuntimeEndpoints", "POST /runtimes/{agentRuntimeId}/runtime-endpoints/", (*Cloud).listEndpoints)
	add(runtimes, "DeleteAgentRuntimeEndpoint", "DELETE /runtimes/{agentRuntimeId}/runtime-endpoints/{endpointName}/", (*Cloud).deleteEndpoint)
	return all
}

var agentCoreRoutes = agentCoreOperations()

// agentCoreRequest finds the operation of a request, and all members of its
// input: those of the path, the query and the body.
func agentCoreRequest(method, path, query string, body []byte) (agentCoreOperation, map[string]any, error) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for _, o := range agentCoreRoutes {
		named, ok := match(o.path, segments)
		if o.method != method || !ok {
			continue
		}
		in := map[string]any{}
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil || in == nil {
				return o, nil, APIError("SerializationException", "the body is no JSON object")
			}
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return o, nil, APIError("ValidationException", "the query cannot be read: "+err.Error())
		}
		for name := range values {
			member := name
			if name == "version" { // of a runtime; all others have their member's name
				member = "agentRuntimeVersion"
			}
			in[member] = values.Get(name)
		}
		maps.Copy(in, named)
		return o, in, nil
	}
	return agentCoreOperation{}, nil, APIError("NotImplemented", "this AgentCore has no "+method+" "+path)
}

func match(pattern, segments []string) (named map[string]any, ok bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	named = map[string]any{}
	for i, p := range pattern {
		switch {
		case strings.HasPrefix(p, "{"):
			named[strings.Trim(p, "{}")] = segments[i]
		case p != segments[i]:
			return nil, false
		}
	}
	return named, true
}

// resource gives what a request is about, as in an ARN: runtime/<id>, of Create
// with the name in place of the id, and empty for a listing of all.
func (o agentCoreOperation) resource(in map[string]any) string {
	name, parent := text(in, o.kind.param), text(in, o.kind.parent)
	if name == "" && o.writes() {
		name = text(in, o.kind.title)
	}
	if name == "" {
		return strings.TrimSuffix(o.kind.prefix+parent, o.kind.prefix)
	}
	return o.kind.prefix + o.kind.path(parent, name)
}

// AgentCoreOperation names the operation of a request, and what it is about as in
// an ARN: runtime/<id>. Create has the name in place of the id. A request that is
// not answered here has its method and path, and is about nothing.
func AgentCoreOperation(method, path, query string, body []byte) (operation, resource string) {
	o, in, _ := agentCoreRequest(method, path, query, body) // what cannot be read is about nothing, too
	return cmp.Or(o.name, method+" "+path), o.resource(in)
}

// ServeAgentCore carries out a request of a caller and gives the HTTP status and
// the body of its answer. With an error of the API, the body is the caller's to
// write.
func (c *Cloud) ServeAgentCore(caller, method, path, query string, body []byte) (status int, answer []byte, err error) {
	o, in, err := agentCoreRequest(method, path, query, body)
	if err != nil {
		return agentCoreStatus(err), nil, err
	}
	done := false
	err = c.call(caller, "bedrock-agentcore", o.name, o.resource(in), func() error {
		done = true
		c.settle()
		out, err := o.do(c, o.kind, in)
		answer = must(json.Marshal(out))
		c.trail(caller, o, in, answer, err)
		return err
	})
	if err == nil {
		status = http.StatusOK
		if o.writes() {
			status = http.StatusAccepted
		}
		return status, answer, nil
	}
	if !done { // refused before: that is told of, too
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trail(caller, o, in, nil, err)
	}
	return agentCoreStatus(err), nil, err
}

// agentCoreStatus gives the HTTP status of an error (service model).
func agentCoreStatus(err error) int {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return 0
	}
	return cmp.Or(map[string]int{
		"ServiceQuotaExceededException": http.StatusPaymentRequired,
		"AccessDeniedException":         http.StatusForbidden,
		"UnrecognizedClientException":   http.StatusForbidden,
		"ResourceNotFoundException":     http.StatusNotFound,
		"ConflictException":             http.StatusConflict,
		"ThrottlingException":           http.StatusTooManyRequests,
		"ThrottledException":            http.StatusTooManyRequests,
		"InternalServerException":       http.StatusInternalServerError,
		"ServiceException":              http.StatusInternalServerError,
		"NotImplemented":                http.StatusNotImplemented,
	}[api.ErrorCode()], http.StatusBadRequest)
}

func agentCoreInvalid(format string, args ...any) error {
	return APIError("ValidationException", fmt.Sprintf(format, args...))
}

func agentCoreConflict(format string, args ...any) error {
	return APIError("ConflictException", fmt.Sprintf(format, args...))
}

// settle does what was to be done by now.
func (s *agentCore) settle(now time.Time) {
	for id, r := range s.resources {
		if r.next != "" && !now.Before(r.at) {
			if r.next == agentCoreGone && r.undeletable {
				r.next = "DELETE_FAILED"
			}
			if r.next == agentCoreGone {
				delete(s.resources, id)
			}
			r.status, r.next = r.next, ""
		}
		r.versions = slices.DeleteFunc(r.versions, func(v agentCoreVersion) bool { return !v.deleted.IsZero() && !now.Before(v.deleted) })
		r.endpoints = slices.DeleteFunc(r.endpoints, func(e agentCoreEndpoint) bool { return e.status == "DELETING" && !now.Before(e.at) })
		for i := range r.endpoints {
			if e := &r.endpoints[i]; !now.Before(e.at) {
				e.live, e.status = e.target, "READY"
			}
		}
	}
}

func (c *Cloud) findAgentCore(k agentCoreKind, in map[string]any) (*agentCoreResource, error) {
	id := text(in, k.param)
	r, ok := c.core.resources[id]
	if !ok || r.kind != k.name || r.parent != text(in, k.parent) {
		return nil, APIError("ResourceNotFoundException", k.name+" not found: "+id)
	}
	return r, nil
}

// findVersion gives the version that is asked for, or the newest.
func (c *Cloud) findVersion(k agentCoreKind, in map[string]any) (*agentCoreResource, *agentCoreVersion, error) {
	r, err := c.findAgentCore(k, in)
	if err != nil {
		return nil, nil, err
	}
	number := text(in, k.version)
	for i := range slices.Backward(r.versions) {
		if v := &r.versions[i]; number == "" || number == strconv.Itoa(v.number) {
			return r, v, nil
		}
	}
	return nil, nil, APIError("ResourceNotFoundException", k.name+" "+r.id+" has no version "+number)
}

// configured gives the configuration that a request asks for: nothing of it
// belongs to the request alone. Its role must be there and let AgentCore in.
func (c *Cloud) configured(k agentCoreKind, id string, in map[string]any) (map[string]any, error) {
	config := maps.Clone(in)
	for _, member := range []string{"clientToken", "tags", k.param, k.parent, k.title, k.version} {
		delete(config, member)
	}
	can := c.pace.assume
	if can == nil {
		can = func(role, source string) bool { return c.trusting(role, "bedrock-agentcore.amazonaws.com", source) }
	}
	role := k.roleOf(config)
	switch {
	case role == "" && k.version != "":
		return nil, agentCoreInvalid("Value at '%s' failed to satisfy constraint: Member must not be null", k.role)
	case role != "" && !can(role, c.arnOf(k, id)):
		return nil, agentCoreInvalid("Role validation failed for '%s'. Please verify that the role exists and its trust policy allows assumption by this service", role)
	case k.name == "AgentRuntime" && config["agentRuntimeArtifact"] == nil:
		return nil, agentCoreInvalid("Value at 'agentRuntimeArtifact' failed to satisfy constraint: Member must not be null")
	}
	if k.name == "Harness" {
		config["environment"] = map[string]any{"agentCoreRuntimeEnvironment": withNetwork(inner(config, "environment", "agentCoreRuntimeEnvironment"))}
	}
	if v, in := k.vpc(config); in && (len(v.subnets) == 0 || len(v.groups) == 0) {
		return nil, agentCoreInvalid("Network mode VPC needs subnets and security groups")
	}
	if k.name == "Oauth2CredentialProvider" {
		config["oauth2ProviderConfigOutput"] = withoutSecrets(inner(config, "oauth2ProviderConfigInput"))
		config["clientSecretArn"] = map[string]any{"secretArn": "arn:" + c.Partition + ":secretsmanager:" + c.Region + ":" + c.Account + ":secret:" + id}
		delete(config, "oauth2ProviderConfigInput")
	}
	if k.name == "AgentRuntime" {
		config["workloadIdentityDetails"] = map[string]any{
			"workloadIdentityArn": c.arnOf(agentCoreKind{prefix: "workload-identity-directory/default/workload-identity/"}, id),
		}
	}
	return config, nil
}

// withNetwork gives the environment of a harness as AgentCore shows it: with a
// network, also where none was asked for.
func withNetwork(asked map[string]any) map[string]any {
	shown := map[string]any{"networkConfiguration": map[string]any{"networkMode": "PUBLIC"}}
	maps.Copy(shown, asked)
	return shown
}

// withoutSecrets gives the configuration of an OAuth2 provider as AgentCore shows it.
func withoutSecrets(asked map[string]any) map[string]any {
	shown := map[string]any{}
	for vendor := range asked {
		config := maps.Clone(inner(asked, vendor))
		maps.DeleteFunc(config, func(member string, _ any) bool { return strings.HasPrefix(member, "clientSecret") })
		shown[vendor] = config
	}
	return shown
}

// parentOf gives the gateway that a request makes a target of, empty for other kinds.
func (c *Cloud) parentOf(k agentCoreKind, in map[string]any) (id string, err error) {
	if k.parent == "" {
		return "", nil
	}
	id = text(in, k.parent)
	g, ok := c.core.resources[id]
	switch {
	case !ok || g.kind != "Gateway":
		return "", APIError("ResourceNotFoundException", "Gateway not found: "+id)
	case g.next != "":
		return "", agentCoreConflict("Gateway %s is in status %s", id, g.status)
	}
	return id, nil
}

func (c *Cloud) makeAgentCore(k agentCoreKind, in map[string]any) (any, error) {
	parent, err := c.parentOf(k, in)
	if err != nil {
		return nil, err
	}
	title := text(in, k.title)
	if names := cmp.Or(k.names, agentCoreName); !names.MatchString(title) {
		return nil, agentCoreInvalid("Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", title, k.title, names)
	}
	for _, r := range c.core.resources {
		if r.kind == k.name && r.title == title && r.parent == parent {
			return nil, agentCoreConflict("A resource with the name '%s' exists already: %s", title, r.id)
		}
	}
	id := c.agentCoreID(k, title)
	config, err := c.configured(k, id, in)
	if err != nil {
		return nil, err
	}
	if err := c.makeLinked(k.linked(config)); err != nil {
		return nil, err
	}
	r := &agentCoreResource{
		kind: k.name, id: id, parent: parent, title: title, created: c.now, status: "CREATING", next: k.ready, at: c.now.Add(c.pace.making),
		versions: []agentCoreVersion{{number: 1, config: config, updated: c.now}},
	}
	if k.name == "AgentRuntime" {
		r.endpoints = []agentCoreEndpoint{{name: "DEFAULT", target: "1", status: "CREATING", at: r.at, created: c.now, updated: c.now}}
	}
	c.core.resources[id] = r
	c.settle()
	return c.written(k, r), nil
}

// agentCoreID gives a new resource's id.
func (c *Cloud) agentCoreID(k agentCoreKind, title string) string {
	id := fmt.Sprintf("%010d", c.next())
	switch {
	case k.named:
		return title
	case k.parent != "":
		return id
	case k.name == "Registry":
		return "rg" + id
	case k.names != nil || k.name == "PaymentManager":
		return strings.ToLower(title) + "-" + id
	}
	return title + "-" + id
}

// written gives what Create and Update answer.
func (c *Cloud) written(k agentCoreKind, r *agentCoreResource) any {
	whole := c.describeVersion(k, r, r.versions[len(r.versions)-1], false)
	if k.brief {
		maps.DeleteFunc(whole, func(member string, _ any) bool {
			return !slices.Contains([]string{k.id, k.arn, k.version, k.updated, "createdAt", "status", "workloadIdentityDetails"}, member)
		})
	}
	return k.wrapped(whole)
}

func (k agentCoreKind) wrapped(v map[string]any) map[string]any {
	if k.in != "" {
		return map[string]any{k.in: v}
	}
	return v
}

func (c *Cloud) readAgentCore(k agentCoreKind, in map[string]any) (any, error) {
	r, v, err := c.findVersion(k, in)
	if err != nil {
		return nil, err
	}
	return k.wrapped(c.describeVersion(k, r, *v, false)), nil
}

// updateAgentCore changes a resource, or makes a new version where a kind has
// them: from the request alone, or also from what was before.
func (c *Cloud) updateAgentCore(k agentCoreKind, in map[string]any) (any, error) {
	delete(in, k.version)
	r, last, err := c.findVersion(k, in)
	if err != nil {
		return nil, err
	}
	if r.next != "" {
		return nil, agentCoreConflict("%s %s is in status %s", k.name, r.id, r.status)
	}
	title := cmp.Or(text(in, k.title), r.title)
	if names := cmp.Or(k.names, agentCoreName); !names.MatchString(title) {
		return nil, agentCoreInvalid("Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", title, k.title, names)
	}
	asked := in
	if k.patch {
		asked = patched(last.config, in)
	}
	config, err := c.configured(k, r.id, asked)
	if err != nil {
		return nil, err
	}
	if err := c.makeLinked(k.linked(config)); err != nil {
		return nil, err
	}
	number := last.number
	if k.version == "" {
		r.versions = nil
	} else {
		number++
	}
	r.versions = append(r.versions, agentCoreVersion{number: number, config: config, updated: c.now})
	r.title, r.status, r.next, r.at = title, "UPDATING", k.ready, c.now.Add(c.pace.making)
	for i := range r.endpoints {
		if e := &r.endpoints[i]; e.name == "DEFAULT" {
			e.target, e.status, e.at, e.updated = strconv.Itoa(number), "UPDATING", r.at, c.now
		}
	}
	c.settle()
	return c.written(k, r), nil
}

// patched gives a configuration with what a request changes of it. What may be
// taken away is wrapped: optionalValue is the new value, and nothing takes it away.
func patched(config, in map[string]any) map[string]any {
	out := maps.Clone(config)
	for member, value := range in {
		wrapped, is := value.(map[string]any)
		unwrapped, set := wrapped["optionalValue"]
		switch {
		case set:
			out[member] = unwrapped
		case is && len(wrapped) == 0:
			delete(out, member)
		default:
			out[member] = value
		}
	}
	return out
}

func (c *Cloud) deleteAgentCore(k agentCoreKind, in map[string]any) (any, error) {
	if k.name != "AgentRuntime" { // a harness goes whole
		delete(in, k.version)
	}
	r, v, err := c.findVersion(k, in)
	if err != nil {
		return nil, err
	}
	until := c.now.Add(c.pace.deleting)
	out := map[string]any{k.id: r.id, k.arn: c.arnOf(k, cmp.Or(r.parent, r.id)), "status": "DELETING"}
	number := text(in, k.version)
	switch {
	case strings.HasPrefix(r.id, "aws."):
		return nil, agentCoreInvalid("%s %s is a resource of the system", k.name, r.id)
	case r.next != "":
		return nil, agentCoreConflict("%s %s is in status %s", k.name, r.id, r.status)
	case c.hasTargets(r):
		return nil, agentCoreInvalid("Gateway %s has targets associated with it. Delete all targets before deleting the gateway.", r.id)
	case number == "":
		r.status, r.next, r.at = "DELETING", agentCoreGone, until
	default:
		for _, e := range r.endpoints {
			if e.target == number {
				return nil, agentCoreConflict("Version %s of %s is used by endpoint %s", number, r.id, e.name)
			}
		}
		v.deleted, out[k.version] = until, number
	}
	return k.wrapped(out), nil
}

// hasTargets reports whether a resource is a gateway that still has targets, also
// such as are being deleted.
func (c *Cloud) hasTargets(r *agentCoreResource) bool {
	for _, t := range c.core.resources {
		if t.parent == r.id {
			return true
		}
	}
	return false
}

// agentCoreRow is an item of a listing.
type agentCoreRow struct {
	key  string // rows are in the order of their keys
	item map[string]any
}

// paged gives the page of a listing that a request asks for.
func (c *Cloud) paged(in map[string]any, member string, most int, rows []agentCoreRow) (any, error) {
	size := 10
	if asked, there := in["maxResults"]; there {
		var err error
		if size, err = strconv.Atoi(fmt.Sprint(asked)); err != nil || size < 1 || size > most {
			return nil, agentCoreInvalid("Value '%v' at 'maxResults' failed to satisfy constraint: Member must be between 1 and %d", asked, most)
		}
	}
	if c.core.page > 0 {
		size = min(size, c.core.page)
	}
	const mark = "after-"
	after, known := strings.CutPrefix(text(in, "nextToken"), mark)
	if !known && in["nextToken"] != nil {
		return nil, agentCoreInvalid("Invalid nextToken")
	}
	slices.SortFunc(rows, func(a, b agentCoreRow) int { return cmp.Compare(a.key, b.key) })
	items, out := []map[string]any{}, map[string]any{}
	for _, row := range rows {
		if row.key <= after {
			continue
		}
		if len(items) == size {
			out["nextToken"] = mark + after
			break
		}
		items, after = append(items, row.item), row.key
	}
	out[member] = items
	return out, nil
}

func (c *Cloud) listAgentCore(k agentCoreKind, in map[string]any) (any, error) {
	if g := text(in, k.parent); g != "" && (c.core.resources[g] == nil || c.core.resources[g].kind != "Gateway") {
		return nil, APIError("ResourceNotFoundException", "Gateway not found: "+g)
	}
	var rows []agentCoreRow
	for id, r := range c.core.resources {
		system := strings.HasPrefix(id, "aws.")
		if r.kind != k.name || r.parent != text(in, k.parent) || system && text(in, "type") == "CUSTOM" || !system && text(in, "type") == "SYSTEM" {
			continue
		}
		row := agentCoreRow{id, c.summary(k, r, r.versions[len(r.versions)-1])}
		if !slices.ContainsFunc(k.filters, func(f string) bool { return text(in, f) != "" && text(in, f) != text(row.item, f) }) {
			rows = append(rows, row)
		}
	}
	return c.paged(in, k.items, k.most, rows)
}

func (c *Cloud) listVersions(k agentCoreKind, in map[string]any) (any, error) {
	r, err := c.findAgentCore(k, in)
	if err != nil {
		return nil, err
	}
	var rows []agentCoreRow
	for _, v := range r.versions {
		rows = append(rows, agentCoreRow{fmt.Sprintf("%05d", v.number), c.summary(k, r, v)})
	}
	return c.paged(in, k.history, k.most, rows)
}

func (c *Cloud) describeEndpoint(k agentCoreKind, r *agentCoreResource, e agentCoreEndpoint) map[string]any {
	out := map[string]any{
		"agentRuntimeId": r.id, "agentRuntimeArn": c.arnOf(k, r.id), "agentRuntimeEndpointArn": c.arnOf(k, r.id) + "/runtime-endpoint/" + e.name,
		"id": e.name, "name": e.name, "endpointName": e.name, "status": e.status, "targetVersion": e.target,
		"createdAt": k.time(e.created, false), "lastUpdatedAt": k.time(e.updated, false),
	}
	if e.live != "" {
		out["liveVersion"] = e.live
	}
	return out
}

func (c *Cloud) createEndpoint(k agentCoreKind, in map[string]any) (any, error) {
	r, v, err := c.findVersion(k, in)
	if err != nil {
		return nil, err
	}
	name := text(in, "name")
	if !agentCoreName.MatchString(name) {
		return nil, agentCoreInvalid("Value at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", agentCoreName)
	}
	if r.endpoint(name) >= 0 {
		return nil, agentCoreConflict("An endpoint with the name '%s' exists already", name)
	}
	e := agentCoreEndpoint{name: name, target: strconv.Itoa(v.number), status: "CREATING", at: c.now.Add(c.pace.making), created: c.now, updated: c.now}
	r.endpoints = append(r.endpoints, e)
	return c.describeEndpoint(k, r, e), nil
}

func (r *agentCoreResource) endpoint(name string) int {
	return slices.IndexFunc(r.endpoints, func(e agentCoreEndpoint) bool { return e.name == name })
}

// listEndpoints does not know ResourceNotFoundException: what is not there has no
// endpoints.
func (c *Cloud) listEndpoints(k agentCoreKind, in map[string]any) (any, error) {
	var rows []agentCoreRow
	if r, err := c.findAgentCore(k, in); err == nil {
		for _, e := range r.endpoints {
			rows = append(rows, agentCoreRow{e.name, c.describeEndpoint(k, r, e)})
		}
	}
	return c.paged(in, "runtimeEndpoints", k.most, rows)
}

func (c *Cloud) deleteEndpoint(k agentCoreKind, in map[string]any) (any, error) {
	r, err := c.findAgentCore(k, in)
	if err != nil {
		return nil, err
	}
	name := text(in, "endpointName")
	i := r.endpoint(name)
	switch {
	case i < 0:
		return nil, APIError("ResourceNotFoundException", "Endpoint not found: "+name)
	case name == "DEFAULT":
		return nil, agentCoreConflict("The DEFAULT endpoint goes with its runtime")
	}
	r.endpoints[i].status, r.endpoints[i].at = "DELETING", c.now.Add(c.pace.deleting)
	return map[string]any{"agentRuntimeId": r.id, "endpointName": name, "status": "DELETING"}, nil
}
