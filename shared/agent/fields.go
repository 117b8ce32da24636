package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/expression"
	"rolekeeper/shared/naming"
)

// Bounds on lists of one agent.
const (
	maxProviders  = 20
	maxAudiences  = 10 // GetWebIdentityToken takes no more
	maxModels     = 20
	maxBaseImages = 10
)

// read gives the agent; its Name is empty when the file's is unusable.
func (e *entry) read() Agent {
	before := e.file.errors()
	a := Agent{Name: e.name(), places: e.places, items: e.items}
	aws := e.section(e.root, "aws")
	if at := e.child(e.root, "aws"); at.node == nil && !e.legacy {
		e.fail(at, "agent-aws-missing", "the agent has no aws section",
			"add aws: with account, region and execution_role_auto_create: true, as `agentcore configure` writes it")
	}
	codebuild := e.section(e.root, "codebuild")
	a.Deployment = e.deployment(aws, codebuild)
	e.account(aws)
	a.RuntimeRole = e.role(e.child(aws, "execution_role"))
	a.Repository, _ = e.repository(e.child(aws, "ecr_repository"))
	a.VPC = e.vpc(e.section(aws, "network_configuration"))
	a.A2A = e.a2a(e.child(e.section(aws, "protocol_configuration"), "server_protocol"))
	if a.Deployment == Container {
		a.BuildRole = e.role(e.child(codebuild, "execution_role"))
	}
	a.MemoryID = e.memory(e.section(e.root, "memory"))
	a.Providers = e.providers()
	a.JWT = e.jwt(e.section(e.root, "aws_jwt"))
	a.Permissions = e.permissions(e.section(e.root, "permissions"))
	a.faulty = e.file.errors() > before
	return a
}

func (e *entry) name() string {
	f := e.child(e.root, "name")
	name, ok := e.text(f)
	switch {
	case f.node == nil || ok && name == "":
		e.fail(f, "agent-name-missing", "the agent has no name", "add name: with the agent's name; the key it stands under does not count")
		return ""
	case !ok:
		return ""
	case !naming.ValidAgent(name):
		why := "does not begin with a letter"
		if i := notInNames().FindStringIndex(name); i != nil {
			r, _ := utf8.DecodeRuneInString(name[i[0]:])
			why = fmt.Sprintf("has the character %+q (%U)", r, r)
		} else if len(name) > maxName {
			why = fmt.Sprintf("has %d characters", len(name))
		}
		fix := "use a letter first, then letters, digits and underscores, at most 48 characters in all"
		if s := suggestName(name); s != "" {
			fix += "; for example " + s
		}
		e.fail(f, "agent-name-invalid", "the name "+quoted(name)+" "+why+", which AgentCore does not accept", fix)
		return ""
	}
	e.label = name
	return name
}

var notInNames = expression.Lazy(`[^a-zA-Z0-9_]+`)

const maxName = 48

// suggestName gives a valid name like the given one, "" when none comes of it.
func suggestName(name string) string {
	s := strings.Trim(notInNames().ReplaceAllString(name, "_"), "_")
	s = s[:min(len(s), maxName)]
	if !naming.ValidAgent(s) {
		return ""
	}
	return s
}

// deployment gives the deployment type as the toolkit finds it: container when
// the file has none, and also for code when the file has what only containers need.
func (e *entry) deployment(aws, codebuild field) Deployment {
	declared := Container
	f := e.child(e.root, "deployment_type")
	if s, ok := e.text(f); ok {
		declared = Deployment(s)
		if declared != Container && declared != DirectCode {
			e.fail(f, "deployment-type-unknown", "there is no deployment type "+quoted(s), "write container or direct_code_deploy")
			return Container
		}
	}
	// language decides nothing else, so that other values of it may be anything.
	language := e.child(e.root, "language")
	if s, _ := e.text(language); s == "typescript" && declared == DirectCode {
		e.fail(f, "deployment-type-language", "TypeScript agents cannot be deployed as direct_code_deploy", "write deployment_type: container")
	}
	repository, project := e.child(aws, "ecr_repository"), e.child(codebuild, "project_name")
	_, hasProject := e.option(project)
	sign := ""
	switch {
	case repository.node != nil && repository.node.Value != "": // its type is reported where it is read
		sign = repository.path
	case hasProject:
		sign = project.path
	}
	if declared == DirectCode && sign != "" {
		e.warn(f, "deployment-type-changed", "the agent is read as a container agent, as the toolkit does, because "+sign+" is given",
			"write deployment_type: container, or remove "+sign)
		return Container
	}
	return declared
}

// account checks that the agent is meant for this account and region.
func (e *entry) account(aws field) {
	ours := e.file.place
	f := e.child(aws, "account")
	if f.node != nil {
		fix := fmt.Sprintf("write '%s' in quotes, or leave it out", ours.Account)
		// The digits as they stand in the file: as a number, a leading zero would be lost or mean octal.
		switch text := f.node.Value; {
		case f.node.Kind != yaml.ScalarNode || f.node.ShortTag() != "!!str" && f.node.ShortTag() != "!!int" && f.node.ShortTag() != "!!float":
			e.wrongType(f, "an account number", fix)
		case !accountID().MatchString(text):
			e.fail(f, "account-invalid", quoted(text)+" is not an account number, which has 12 digits", fix)
		case text != ours.Account:
			e.fail(f, "account-mismatch", "the agent is for account "+text+", but this is account "+ours.Account,
				fix+"; or upload the file in the other account")
		}
	}
	f = e.child(aws, "region")
	if s, ok := e.text(f); ok && s != ours.Region {
		e.fail(f, "region-mismatch", "the agent is for region "+quoted(s)+", but this is region "+ours.Region,
			"write "+ours.Region+" or leave it out; or upload the file in the other region")
	}
}

// IAM's names and paths, without the characters that mean something in a policy.
// Source: IAM API reference, CreateRole (RoleName, Path). Lengths are compared,
// here and below: a counted repetition is as many copies of what it repeats,
// made whenever a function starts.
var roleResource = expression.Lazy(`\Arole/((?:[A-Za-z0-9+=,.@_-]+/)*)([A-Za-z0-9+=,.@_-]+)\z`)

const (
	maxRoleName = 64
	maxRolePath = 512
)

// roleName gives path and name in the resource part of a role's ARN.
func roleName(resource string) (path, name string, ok bool) {
	m := roleResource().FindStringSubmatch(resource)
	if m == nil || len(m[2]) > maxRoleName {
		return "", "", false
	}
	return m[1], m[2], true
}

// role reads a role given by ARN or, as the toolkit takes it, by name.
func (e *entry) role(f field) RoleRef {
	s, ok := e.option(f)
	if !ok {
		return RoleRef{}
	}
	ours := e.file.place
	prefix := fmt.Sprintf("arn:%s:iam::%s:role/", ours.Partition, ours.Account)
	if path, name, ok := roleName("role/" + s); ok && path == "" {
		return RoleRef{ARN: prefix + name, Name: name}
	}
	a, ok := splitARN(s)
	path, name, isRole := roleName(a.resource)
	shown := "NAME"
	if isRole {
		shown = cut(path + name)
	}
	fix := "write " + prefix + shown + ", or leave it empty and Rolekeeper makes the role"
	switch {
	case !ok || a.service != "iam" || a.region != "" || !isRole || len(path) > maxRolePath || !accountID().MatchString(a.account):
		e.fail(f, "role-invalid", quoted(s)+" is neither the ARN of a role nor a role's name", fix)
	case strings.HasPrefix(path, "aws-service-role/"):
		e.fail(f, "role-service-linked", "the role belongs to an AWS service, and no agent can use it", "leave it empty and Rolekeeper makes the role")
	case ours.foreign(a) != "":
		e.fail(f, "role-foreign", "the role is of "+ours.foreign(a)+"; an agent can only run with a role of its own account", fix)
	default:
		return RoleRef{ARN: s, Name: name}
	}
	return RoleRef{}
}

var (
	repositoryURI  = expression.Lazy(`\A[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/`)
	repositoryTag  = expression.Lazy(`(?::([A-Za-z0-9_][A-Za-z0-9._-]*))?(?:@sha256:([0-9a-f]+))?\z`)
	repositoryName = expression.Lazy(`\A(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*\z`)
)

// Lengths of what may follow a repository's name. In the expression they would
// be as many copies of it, made whenever a function starts.
const (
	maxTag       = 128
	digestLength = 64
)

// untagged gives the name of a repository without tag and digest, and whether
// all of it is as ECR has it.
func untagged(s string) (name string, valid bool) {
	after := repositoryTag().FindStringSubmatch(s)
	name = strings.TrimSuffix(s, after[0])
	valid = len(after[1]) <= maxTag && (after[2] == "" || len(after[2]) == digestLength)
	return name, valid && len(name) >= 2 && len(name) <= 256 && repositoryName().MatchString(name)
}

// repository gives the name of an ECR repository of ours, given by URI or by
// name, with or without tag and digest. Names follow ECR's rules (API
// reference, CreateRepository: repositoryName).
func (e *entry) repository(f field) (name string, ok bool) {
	s, ok := e.option(f)
	if !ok {
		return "", false
	}
	registry := e.file.place.Registry()
	rest := s
	host, below, isPath := strings.Cut(s, "/")
	// A name may begin with a host's name, but who writes it means a registry: public.ecr.aws/...
	hosted := repositoryURI().MatchString(s) || isPath && repositoryName().MatchString(host) && strings.Contains(host, ".")
	if hosted {
		rest = below
	}
	name, valid := untagged(rest)
	shown := "NAME"
	if valid {
		shown = cut(name)
	}
	fix := fmt.Sprintf("write %s, or %s/%s in full, for a repository in our registry; names are in lower case", shown, registry, shown)
	switch {
	case hosted && host != registry:
		e.fail(f, "repository-foreign", fmt.Sprintf("the repository is in the registry %s; roles get rights in our registry only", quoted(host)), fix)
		return "", false
	case !valid:
		e.fail(f, "repository-invalid", quoted(s)+" is not the name or URI of an ECR repository", fix)
		return "", false
	}
	return name, true
}

// vpc reads the network mode. What a VPC needs beside it only drives the
// runtime, which is not ours: its absence is a warning.
func (e *entry) vpc(network field) bool {
	f := e.child(network, "network_mode")
	mode, ok := e.text(f)
	if !ok || mode == "PUBLIC" {
		return false
	}
	if mode != "VPC" {
		e.fail(f, "network-mode-unknown", "there is no network mode "+quoted(mode), "write PUBLIC or VPC, in capitals")
		return false
	}
	config := e.child(network, "network_mode_config")
	var missing []string
	for _, key := range []string{"subnets", "security_groups"} {
		if v := e.child(config, key); v.node == nil || v.node.Kind != yaml.SequenceNode || len(v.node.Content) == 0 {
			missing = append(missing, key)
		}
	}
	if missing != nil {
		e.warn(config, "network-config-incomplete", "network mode VPC without "+strings.Join(missing, " and ")+": the roles are made, but the agent cannot be deployed",
			"list "+strings.Join(missing, " and ")+" under network_mode_config")
	}
	return true
}

func (e *entry) a2a(f field) bool {
	s, ok := e.text(f)
	if !ok {
		return false
	}
	protocol := strings.ToUpper(s)
	if !slices.Contains([]string{"HTTP", "MCP", "A2A", "AGUI"}, protocol) {
		e.fail(f, "protocol-unknown", "there is no server protocol "+quoted(s), "write HTTP, MCP, A2A or AGUI")
	}
	return protocol == "A2A"
}

// memoryID is AgentCore's pattern (service model bedrock-agentcore-control 2023-06-05, MemoryId).
func memoryID(id string) bool { return len(id) <= 100+11 && memoryPattern().MatchString(id) }

var memoryPattern = expression.Lazy(`\A[a-zA-Z][a-zA-Z0-9_-]*-[a-zA-Z0-9]{10}\z`)

// memory gives the memory's id. The ARN beside it drives nothing, but one that
// disagrees leaves open which memory is meant.
func (e *entry) memory(memory field) string {
	f := e.child(memory, "memory_id")
	id, hasID := e.option(f)
	if hasID && !memoryID(id) {
		e.fail(f, "memory-id-invalid", quoted(id)+" is not the id of a memory",
			"copy the id from the memory's page: its name, a hyphen and 10 letters or digits, such as my_agent_mem-AbCdEf1234")
		id = ""
	}
	f = e.child(memory, "memory_arn")
	s, ok := e.option(f)
	if !ok {
		return id
	}
	ours := e.file.place
	fix := "write " + ours.agentCoreARN("memory/MEMORY_ID") + ", or leave memory_arn out"
	if id != "" {
		fix = "write " + ours.agentCoreARN("memory/"+id) + ", or leave memory_arn out"
	}
	a, ok := splitARN(s)
	name, isMemory := strings.CutPrefix(a.resource, "memory/")
	switch {
	case !ok || a.service != "bedrock-agentcore" || a.region == "" || !accountID().MatchString(a.account) || !isMemory || !memoryID(name):
		e.fail(f, "memory-arn-invalid", quoted(s)+" is not the ARN of a memory", fix)
	case ours.foreign(a) != "":
		e.fail(f, "memory-foreign", "the memory is of "+ours.foreign(a)+"; roles get rights to memories of this account and region only", fix)
	case !hasID:
		e.warn(f, "memory-id-missing", "memory_arn alone gives no rights: the toolkit goes by memory_id", "add memory_id: "+name)
	case id != "" && name != id:
		e.fail(f, "memory-arn-mismatch", "memory_arn names another memory than memory_id, which is "+id, fix)
	}
	return id
}

// providerName is AgentCore's pattern (service model bedrock-agentcore-control 2023-06-05, CredentialProviderName).
func providerName(name string) bool { return len(name) <= 128 && providerPattern().MatchString(name) }

var providerPattern = expression.Lazy(`\A[a-zA-Z0-9_-]+\z`)

const providerNameFix = "write the provider's name as AgentCore shows it: letters, digits, hyphens and underscores, at most 128"

// providers gives the credential providers, with the one for the API key of the model, each once.
func (e *entry) providers() []CredentialProvider {
	var out []CredentialProvider
	add := func(p CredentialProvider, at field) {
		if !slices.Contains(out, p) {
			out = append(out, p)
			e.named(providersField, p.ARN, at)
		}
	}
	for _, item := range e.list(e.child(e.section(e.root, "identity"), "credential_providers"), maxProviders) {
		if item.node.Kind != yaml.MappingNode {
			e.wrongType(item, "a map", "write name, arn and type of the provider")
			continue
		}
		if p, ok := e.provider(item); ok {
			add(p, e.child(item, "name"))
		}
	}
	f := e.child(e.root, "api_key_credential_provider_name")
	if name, ok := e.option(f); ok && e.validProvider(f, name) {
		add(e.file.provider(APIKeyProvider, name), f)
	}
	return out
}

func (e *entry) validProvider(f field, name string) bool {
	if !providerName(name) {
		e.fail(f, "provider-name-invalid", quoted(name)+" is not the name of a credential provider", providerNameFix)
		return false
	}
	return true
}

func (f *file) provider(kind ProviderKind, name string) CredentialProvider {
	return CredentialProvider{Name: name, Kind: kind, ARN: f.place.agentCoreARN(fmt.Sprintf("token-vault/default/%s/%s", kind, name))}
}

// provider reads one item of identity.credential_providers.
func (e *entry) provider(item field) (CredentialProvider, bool) {
	nameField := e.child(item, "name")
	name, ok := e.option(nameField)
	switch {
	case ok && !e.validProvider(nameField, name):
		name = ""
	case !ok && (nameField.node == nil || nameField.node.Kind == yaml.ScalarNode && nameField.node.Value == ""):
		e.fail(nameField, "provider-name-missing", "the credential provider has no name", providerNameFix)
	}
	kind := OAuth2Provider
	if t, _ := e.text(e.child(item, "type")); slices.Contains([]string{"api_key", "apikey", "api-key"}, strings.ToLower(t)) {
		kind = APIKeyProvider
	}
	f := e.child(item, "arn")
	if arn, given := e.option(f); given {
		return e.providerByARN(f, arn, name, kind)
	}
	return e.file.provider(kind, name), name != ""
}

// providerByARN reads a provider's ARN, which must agree with its name if it
// has a good one; kind is only for the fix.
func (e *entry) providerByARN(f field, arn, name string, kind ProviderKind) (CredentialProvider, bool) {
	ours := e.file.place
	fix := "write " + e.file.provider(kind, cmp.Or(name, "NAME")).ARN + ", or leave arn out"
	a, vault, ok := splitProviderARN(arn)
	switch {
	case !ok:
		e.fail(f, "provider-arn-invalid", quoted(arn)+" is not the ARN of a credential provider of the default token vault", fix)
	case ours.foreign(a) != "":
		e.fail(f, "provider-foreign", "the credential provider is of "+ours.foreign(a)+"; roles get rights to providers of this account and region only", fix)
	case name != "" && vault.Name != name:
		e.fail(f, "provider-name-mismatch", "the ARN is of the provider "+vault.Name+", but the name is "+name, fix)
	default:
		return CredentialProvider{Name: name, ARN: arn, Kind: vault.Kind}, name != ""
	}
	return CredentialProvider{}, false
}

// splitProviderARN gives the parts of the ARN of a provider of the default
// token vault, and whether it is one.
func splitProviderARN(s string) (a arn, p CredentialProvider, ok bool) {
	a, ok = splitARN(s)
	if !ok || a.service != "bedrock-agentcore" || a.region == "" || !accountID().MatchString(a.account) {
		return a, p, false
	}
	vault := strings.Split(a.resource, "/")
	if len(vault) != 4 || vault[0] != "token-vault" || vault[1] != "default" {
		return a, p, false
	}
	p = CredentialProvider{Name: vault[3], ARN: s, Kind: ProviderKind(vault[2])}
	return a, p, (p.Kind == OAuth2Provider || p.Kind == APIKeyProvider) && providerName(p.Name)
}

var wholeNumber = expression.Lazy(`\A[0-9]{1,9}\z`)

// jwt reads aws_jwt, of which nothing counts unless it is enabled.
func (e *entry) jwt(section field) *JWT {
	if !e.flag(e.child(section, "enabled")) {
		return nil
	}
	j := &JWT{SigningAlgorithm: "ES384", DurationSeconds: 300}
	f := e.child(section, "signing_algorithm")
	if s, ok := e.text(f); ok {
		j.SigningAlgorithm = s
		if s != "ES384" && s != "RS256" {
			e.fail(f, "jwt-algorithm-unknown", "there is no signing algorithm "+quoted(s), "write ES384 or RS256")
		}
	}
	f = e.child(section, "duration_seconds")
	if f.node != nil {
		const fix = "write a whole number of seconds from 60 to 3600"
		if f.node.Kind != yaml.ScalarNode || f.node.ShortTag() != "!!int" {
			e.wrongType(f, "a whole number", fix)
		} else {
			n, err := strconv.Atoi(f.node.Value)
			if err != nil || !wholeNumber().MatchString(f.node.Value) || n < 60 || n > 3600 {
				e.fail(f, "jwt-duration-invalid", quoted(f.node.Value)+" is not a duration that tokens can have", fix)
			}
			j.DurationSeconds = n
		}
	}
	f = e.child(section, "audiences")
	before := len(e.file.problems)
	j.Audiences = e.texts(f, maxAudiences, e.audience)
	if len(j.Audiences) == 0 {
		if len(e.file.problems) == before {
			e.warn(f, "jwt-no-audiences", "aws_jwt is enabled without audiences, so that the agent gets no right to tokens", "list the audiences, or write enabled: false")
		}
		return nil
	}
	return j
}

// audience keeps to the characters a policy document can hold (U+0020 to
// U+00FF) and out of its wildcards and variables.
func (e *entry) audience(f field, s string) bool {
	unfit := func(r rune) bool { return r > 0xFF || !unicode.IsPrint(r) }
	if n := utf8.RuneCountInString(s); n < 1 || n > 1000 || strings.ContainsFunc(s, unfit) || strings.Contains(s, "*") || strings.Contains(s, "${") {
		e.fail(f, "jwt-audience-invalid", quoted(s)+" cannot be an audience",
			"write the audience in full, such as https://api.example.com: 1 to 1000 printable characters, no * and no ${")
		return false
	}
	return true
}
