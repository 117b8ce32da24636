package proxy

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// roles is what the proxy knows about IAM beside moto. moto starts empty and is
// reached only through the proxy, so what passed here is all there is.
type roles struct {
	mu     sync.Mutex                // held during every write of IAM
	names  map[string]string         // lower case -> name
	inline map[string]map[string]int // role -> inline policy -> characters that count
	linked map[string]bool           // service-linked roles

	profiles map[string]string // instance profile -> role in it
	used     map[string]use    // role -> last use, of those that have one; service-linked ones aside

	of func(caller string) string // name of the role that a caller calls with; nil: its own name
}

// use is the last use of a role.
type use struct {
	at     time.Time
	region string
}

// UseRole has IAM say that a role was last used at a time; zero is never. The
// start of a build uses a role, and nothing else that is done here.
func (p *Proxy) UseRole(name string, at time.Time) { p.UseRoleIn(name, p.o.Region, at) }

// UseRoleIn is UseRole for a use in another Region.
func (p *Proxy) UseRoleIn(name, region string, at time.Time) {
	p.roles.mu.Lock()
	defer p.roles.mu.Unlock()
	if p.roles.linked[name] { // reports on last accesses go by it, too
		p.AgentCore().UseRoleIn(name, region, at)
		return
	}
	delete(p.roles.used, name)
	if !at.IsZero() {
		p.roles.used[name] = use{at, region}
	}
}

// IAM's quotas and name rules (IAM user guide, "IAM and STS quotas"; service
// model iam 2010-05-08).
const (
	maxInline      = 10240 // per role, white space not counted
	maxTrust       = 2048
	maxTags        = 50
	maxTagKey      = 128
	maxTagValue    = 256
	maxDescription = 1000
	minSession     = 3600
	maxSession     = 43200
)

var (
	roleNames   = regexp.MustCompile(`\A[\w+=,.@-]{1,64}\z`)
	policyNames = regexp.MustCompile(`\A[\w+=,.@-]{1,128}\z`)
)

// violation is an error that IAM would answer.
type violation struct {
	status        int
	code, message string
}

func malformed(format string, args ...any) *violation {
	return &violation{http.StatusBadRequest, "MalformedPolicyDocument", fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *violation {
	return &violation{http.StatusBadRequest, "ValidationError", fmt.Sprintf(format, args...)}
}

func limit(format string, args ...any) *violation {
	return &violation{http.StatusConflict, "LimitExceeded", fmt.Sprintf(format, args...)}
}

func (p *Proxy) answerIAM(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return refuse(c, http.StatusBadRequest, "MalformedQueryString", err.Error())
	}
	if err := p.mirror(ctx); err != nil {
		return refuse(c, http.StatusBadGateway, "LocalBackend", "moto: "+err.Error())
	}
	if strings.HasPrefix(c.Operation, "Get") || strings.HasPrefix(c.Operation, "List") || c.Operation == "GenerateServiceLastAccessedDetails" {
		return p.readIAM(ctx, c, r, form, body)
	}
	p.roles.mu.Lock()
	defer p.roles.mu.Unlock()
	a := p.writeIAM(ctx, c, r, form, body)
	p.trailIAM(c, form, a)
	return a
}

// writeIAM answers what changes something. Who calls it holds roles.mu.
func (p *Proxy) writeIAM(ctx context.Context, c Call, r *http.Request, form url.Values, body []byte) answer {
	if v := p.checkIAM(ctx, c.Operation, form); v != nil {
		return refuse(c, v.status, v.code, v.message)
	}
	switch c.Operation {
	case "CreateServiceLinkedRole":
		return p.createServiceLinkedRole(ctx, c, form)
	case "DeleteServiceLinkedRole": // moto deletes at once, whoever uses the role, and roles that are not service-linked
		a, _ := p.answerLinked(ctx, c, form)
		return a
	}
	a := p.forward(ctx, c, r, body)
	if a.ok() {
		p.remember(c.Operation, form)
		if err := p.occupy(ctx, c.Operation, form); err != nil {
			return refuse(c, http.StatusBadGateway, "LocalBackend", "service-linked roles: "+err.Error())
		}
	}
	return a
}

// readIAM answers what changes nothing.
func (p *Proxy) readIAM(ctx context.Context, c Call, r *http.Request, form url.Values, body []byte) answer {
	if a, ok := p.answerLinked(ctx, c, form); ok {
		return a
	}
	switch c.Operation {
	case "ListEntitiesForPolicy":
		if form.Get("PolicyUsageFilter") != "PermissionsPolicy" {
			return unanswered(c, "moto leaves out what a policy is the boundary of; GetAccountAuthorizationDetails has it")
		}
	case "ListInstanceProfilesForRole": // moto lists none of a role that is not there
		if role := form.Get("RoleName"); !p.hasRole(role) {
			return refuse(c, http.StatusNotFound, "NoSuchEntity", "The role with name "+role+" cannot be found.")
		}
	case "ListRoles": // moto takes any number
		if _, v := pageSize(form); v != nil {
			return refuse(c, v.status, v.code, v.message)
		}
	case "GetAccountAuthorizationDetails":
		return p.tellAccount(ctx, c, r, form, body)
	}
	a := p.forward(ctx, c, r, body)
	if a.ok() {
		a.body = encodeTrusts(a.body)
	}
	if c.Operation == "GetRole" && a.ok() {
		p.roles.mu.Lock()
		defer p.roles.mu.Unlock()
		a.body = p.tellUse(form.Get("RoleName"), a.body)
	}
	return a
}

func (p *Proxy) hasRole(name string) bool {
	p.roles.mu.Lock()
	defer p.roles.mu.Unlock()
	return p.roles.names[strings.ToLower(name)] == name
}

// tellUse puts a role's last use into what IAM tells of it, where moto has none.
// Who calls it holds roles.mu.
func (p *Proxy) tellUse(name string, body []byte) []byte {
	last, used := p.lastUse(name)
	if !used {
		return body
	}
	return bytes.ReplaceAll(body, []byte("<RoleLastUsed/>"), fmt.Appendf(nil, "<RoleLastUsed><LastUsedDate>%s</LastUsedDate><Region>%s</Region></RoleLastUsed>",
		last.at.UTC().Format(time.RFC3339), last.region))
}

func (p *Proxy) lastUse(name string) (use, bool) {
	if p.roles.linked[name] {
		return p.lastUseOfLinked(name)
	}
	last, used := p.roles.used[name]
	return last, used
}

func (p *Proxy) remember(operation string, form url.Values) {
	role := form.Get("RoleName")
	switch operation {
	case "CreateRole":
		p.roles.names[strings.ToLower(role)] = role
	case "DeleteRole":
		delete(p.roles.names, strings.ToLower(role))
		delete(p.roles.inline, role)
		delete(p.roles.used, role)
	case "AddRoleToInstanceProfile":
		p.roles.profiles[form.Get("InstanceProfileName")] = role
	case "RemoveRoleFromInstanceProfile":
		delete(p.roles.profiles, form.Get("InstanceProfileName"))
	case "PutRolePolicy":
		if p.roles.inline[role] == nil {
			p.roles.inline[role] = map[string]int{}
		}
		p.roles.inline[role][form.Get("PolicyName")] = counted(form.Get("PolicyDocument"))
	case "DeleteRolePolicy":
		delete(p.roles.inline[role], form.Get("PolicyName"))
	}
}

// counted is the length that counts towards the inline quota.
func counted(document string) int {
	n := 0
	for _, r := range document {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// checkIAM gives the error that IAM would answer and moto does not.
func (p *Proxy) checkIAM(ctx context.Context, operation string, form url.Values) *violation {
	role := form.Get("RoleName")
	if p.roles.linked[role] {
		switch operation {
		// moto lets everybody change a service-linked role
		case "AttachRolePolicy", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy", "DetachRolePolicy",
			"PutRolePermissionsBoundary", "PutRolePolicy", "UpdateAssumeRolePolicy":
			return &violation{http.StatusBadRequest, "UnmodifiableEntity",
				"Cannot perform the operation on the protected role '" + role + "' - this role is only modifiable by AWS"}
		}
	}
	switch operation {
	case "AttachRolePolicy": // moto lets everybody have the policy of a service-linked role
		if strings.Contains(form.Get("PolicyArn"), linkedPolicies) {
			return &violation{http.StatusBadRequest, "PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role."}
		}
	case "CreateRole":
		return p.checkCreateRole(ctx, form)
	case "UpdateAssumeRolePolicy": // moto misses absent and impossible principals
		return checkTrust(form.Get("PolicyDocument"))
	case "UpdateRole":
		return checkSettings(form)
	case "PutRolePolicy":
		return p.checkInline(role, form)
	case "PutRolePermissionsBoundary":
		return p.checkBoundary(ctx, form.Get("PermissionsBoundary"))
	case "TagRole":
		return checkTags(form)
	case "RemoveRoleFromInstanceProfile": // moto breaks when the role is not in it
		if profile := form.Get("InstanceProfileName"); p.roles.profiles[profile] != role {
			return &violation{http.StatusNotFound, "NoSuchEntity", "Role " + role + " is not in instance profile " + profile + "."}
		}
	}
	return nil
}

func (p *Proxy) checkCreateRole(ctx context.Context, form url.Values) *violation {
	name := form.Get("RoleName")
	if !roleNames.MatchString(name) {
		return invalid("1 validation error detected: Value '%s' at 'roleName' failed to satisfy constraint", name)
	}
	if strings.HasPrefix(form.Get("Path"), "/aws-service-role/") {
		return invalid("Invalid path: %s is reserved", form.Get("Path"))
	}
	if v := checkSettings(form); v != nil {
		return v
	}
	if v := checkTags(form); v != nil {
		return v
	}
	if v := checkTrust(form.Get("AssumeRolePolicyDocument")); v != nil {
		return v
	}
	// moto takes names that differ only in case for different roles
	if other, taken := p.roles.names[strings.ToLower(name)]; taken && other != name {
		return &violation{http.StatusConflict, "EntityAlreadyExists", "Role with name " + name + " already exists."}
	}
	if b := form.Get("PermissionsBoundary"); b != "" {
		return p.checkBoundary(ctx, b)
	}
	return nil
}

func checkSettings(form url.Values) *violation {
	if len(form.Get("Description")) > maxDescription {
		return invalid("1 validation error detected: 'description' is longer than %d", maxDescription)
	}
	if s := form.Get("MaxSessionDuration"); s != "" {
		if n, err := strconv.Atoi(s); err != nil || n < minSession || n > maxSession {
			return invalid("1 validation error detected: Value '%s' at 'maxSessionDuration' failed to satisfy constraint", s)
		}
	}
	return nil
}

// checkTags does the rules on tags that moto lacks: reserved and double keys
// without regard to case, and lengths.
func checkTags(form url.Values) *violation {
	seen := map[string]bool{}
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("Tags.member.%d.", i)
		if !form.Has(prefix + "Key") {
			break
		}
		key, value := form.Get(prefix+"Key"), form.Get(prefix+"Value")
		switch lower := strings.ToLower(key); {
		case i > maxTags:
			return limit("The number of tags has reached the maximum limit.")
		case key == "" || len(key) > maxTagKey || len(value) > maxTagValue:
			return invalid("1 validation error detected: tag %d is too long or has no key", i)
		case strings.HasPrefix(lower, "aws:"):
			return &violation{http.StatusBadRequest, "InvalidInput", "System tag keys starting with aws: cannot be used: " + key}
		case seen[lower]:
			return &violation{http.StatusBadRequest, "InvalidInput", "Duplicate tag keys found: " + key}
		default:
			seen[lower] = true
		}
	}
	return nil
}

// checkBoundary: moto takes a boundary that does not exist.
func (p *Proxy) checkBoundary(ctx context.Context, arn string) *violation {
	a, err := p.ownIAM(ctx, url.Values{"Action": {"GetPolicy"}, "PolicyArn": {arn}})
	if err != nil || !a.ok() {
		return &violation{http.StatusNotFound, "NoSuchEntity", "Scope ARN: " + arn + " does not exist or is not attachable."}
	}
	return nil
}

// checkInline: moto has no quota on inline policies, and takes Principal in
// one.
func (p *Proxy) checkInline(role string, form url.Values) *violation {
	name, document := form.Get("PolicyName"), form.Get("PolicyDocument")
	if !policyNames.MatchString(name) {
		return invalid("1 validation error detected: Value '%s' at 'policyName' failed to satisfy constraint", name)
	}
	statements, v := parseStatements(document)
	if v != nil {
		return v
	}
	for _, s := range statements {
		if s.Principal != nil || s.NotPrincipal != nil {
			return malformed("Policy document should not specify a principal.")
		}
	}
	total := counted(document)
	for other, n := range p.roles.inline[role] {
		if other != name {
			total += n
		}
	}
	if total > maxInline {
		return limit("Maximum policy size of %d bytes exceeded for role %s", maxInline, role)
	}
	return nil
}

func (p *Proxy) ownIAM(ctx context.Context, form url.Values) (answer, error) {
	form.Set("Version", "2010-05-08")
	return p.own(ctx, "iam", http.MethodPost, "/", "application/x-www-form-urlencoded; charset=utf-8", []byte(form.Encode()))
}
