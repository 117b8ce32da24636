package agent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// Allowed is what the platform team lets configs ask for: patterns in which *
// stands for any characters, / among them, as ParseAllowed gives them. Each is
// matched against the whole of what the config names.
type Allowed struct {
	Models              []string // ids of models and inference profiles, as configs write them, or their type, a slash and the id
	Repositories        []string // names of ECR repositories, beside the agent's own
	Memories            []string // ids of memories, beside those named after the agent
	CredentialProviders []string // names of credential providers, or their kind, a slash and the name
	Audiences           []string // audiences of web identity tokens
}

// The stack's parameters that hold the lists.
const (
	allowedModels       = "AllowedModels"
	allowedRepositories = "AllowedRepositories"
	allowedMemories     = "AllowedMemories"
	allowedProviders    = "AllowedCredentialProviders"
	allowedAudiences    = "AllowedAudiences"
)

// DefaultAllowed gives the lists of a stack that was given none.
func DefaultAllowed() Allowed {
	return Allowed{Models: []string{"*"}, Repositories: []string{"bedrock-agentcore-*"}}
}

// Bounds on the lists. The parameter of Systems Manager that holds all of them
// ends at 8 KB.
const (
	maxAllowed      = 200  // entries of a list
	maxAllowedEntry = 1000 // bytes of an entry
)

// allowList is one of the lists with what its entries may be.
type allowList struct {
	parameter string
	of        func(*Allowed) *[]string
	what      string        // entries are patterns of it
	example   string        // of an entry
	chars     string        // of the names, empty when they may have any
	service   string        // in ARNs of what is named, empty when it has none
	types     []allowedType // resource types in those ARNs
}

// allowedType is a resource type that ARNs in a list may have.
type allowedType struct {
	resource string // what the resource part begins with, before the name
	entry    string // what an entry of this type alone begins with; empty when the list has one type
	awsOwned bool   // the ARN has no account
}

const (
	lower    = "abcdefghijklmnopqrstuvwxyz"
	digits   = "0123456789"
	alphanum = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits

	foundationModelType  = "foundation-model/"
	inferenceProfileType = "inference-profile/"
)

func allowLists() []allowList {
	const vault = "token-vault/default/"
	return []allowList{
		{
			allowedModels, func(a *Allowed) *[]string { return &a.Models },
			"the id of a model or of an inference profile", "anthropic.claude-* or eu.anthropic.claude-*", lower + digits + ".:-", "bedrock",
			[]allowedType{{foundationModelType, foundationModelType, true}, {inferenceProfileType, inferenceProfileType, false}},
		},
		{
			allowedRepositories, func(a *Allowed) *[]string { return &a.Repositories },
			"the name of an ECR repository", "team/*", lower + digits + "._-/", "ecr", []allowedType{{"repository/", "", false}},
		},
		{
			allowedMemories, func(a *Allowed) *[]string { return &a.Memories },
			"the id of a memory", "shared_mem-AbCdEf1234", alphanum + "_-", "bedrock-agentcore", []allowedType{{"memory/", "", false}},
		},
		{
			allowedProviders, func(a *Allowed) *[]string { return &a.CredentialProviders },
			"the name of a credential provider", "crm-* or " + string(OAuth2Provider) + "/crm-*", alphanum + "_-", "bedrock-agentcore",
			[]allowedType{
				{vault + string(OAuth2Provider) + "/", string(OAuth2Provider) + "/", false},
				{vault + string(APIKeyProvider) + "/", string(APIKeyProvider) + "/", false},
			},
		},
		{
			allowedAudiences, func(a *Allowed) *[]string { return &a.Audiences },
			"an audience", "https://*.example.com", "", "", nil,
		},
	}
}

// AllowedParameters gives the names of the stack's parameters that hold the lists.
func AllowedParameters() []string {
	var names []string
	for _, l := range allowLists() {
		names = append(names, l.parameter)
	}
	return names
}

// EntryError says what is wrong with a list, or with one entry of it.
type EntryError struct {
	Parameter string // that holds the list
	Index     int    // of the entry, counted from 0; -1 for the whole list
	why       string
}

// Error gives parameter, entry, what is wrong and what to do.
func (e *EntryError) Error() string { return e.Parameter + ": " + e.why }

// ParseAllowed reads the lists by the names of the stack's parameters, for the
// partition, account and region of where. A list that is not there has its
// default, an empty one allows nothing. Empty entries count as none:
// CloudFormation gives an empty list as one of them. Other entries are patterns,
// or ARNs of where with * in the name only. All faults are reported together,
// those about entries as *EntryError.
func ParseAllowed(lists map[string][]string, where Place) (Allowed, error) {
	out := DefaultAllowed()
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if !slices.Contains(AllowedParameters(), name) {
			faults = append(faults, fmt.Errorf("there is no list %s; the lists are %s", quoted(name), strings.Join(AllowedParameters(), ", ")))
		}
	}
	for _, l := range allowLists() {
		entries, given := lists[l.parameter]
		if !given {
			continue
		}
		patterns, wrong := l.read(entries, where)
		*l.of(&out) = patterns
		faults = append(faults, wrong...)
	}
	if err := errors.Join(faults...); err != nil {
		return Allowed{}, err
	}
	return out, nil
}

func (l allowList) read(entries []string, where Place) (patterns []string, faults []error) {
	if n := len(entries); n > maxAllowed {
		why := fmt.Sprintf("the list has %d entries, more than the %d allowed; write * for what they have in common", n, maxAllowed)
		return nil, []error{&EntryError{l.parameter, -1, why}}
	}
	for i, entry := range entries {
		if entry == "" {
			continue
		}
		pattern, err := l.pattern(entry, where)
		if err != nil {
			faults = append(faults, &EntryError{l.parameter, i, quoted(entry) + " " + err.Error()})
			continue
		}
		patterns = append(patterns, pattern)
	}
	return patterns, faults
}

// unfitInEntries are characters that no entry may have: CloudFormation and the
// functions pass the lists on as JSON.
func unfitInEntries(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("\"'`\\${}", r) || r > 0xFF || !unicode.IsPrint(r)
}

// pattern reads one entry.
func (l allowList) pattern(entry string, where Place) (string, error) {
	fix := "write " + l.what + ", such as " + l.example
	if l.service != "" {
		fix += ", or an ARN"
	}
	fix += "; * stands for any characters"
	if n := len(entry); n > maxAllowedEntry {
		return "", fmt.Errorf("has %d bytes, more than the %d allowed; %s", n, maxAllowedEntry, fix)
	}
	if i := strings.IndexFunc(entry, unfitInEntries); i >= 0 {
		r := []rune(entry[i:])[0]
		return "", fmt.Errorf("has the character %+q (%U), which no entry may have; %s", r, r, fix)
	}
	kind, name := "", entry
	if l.service != "" && strings.HasPrefix(entry, "arn:") {
		t, pattern, err := l.fromARN(entry, where)
		if err != nil {
			return "", err
		}
		kind, name = t.entry, pattern
	} else {
		for _, t := range l.types {
			if rest, ok := strings.CutPrefix(entry, t.entry); ok && t.entry != "" {
				kind, name = t.entry, rest
			}
		}
	}
	if name == "" || l.chars != "" && strings.Trim(name, l.chars+"*") != "" {
		return "", fmt.Errorf("is not %s, nor a pattern of it; %s", l.what, fix)
	}
	return kind + name, nil
}

// fromARN gives the type and the pattern of the name in an ARN.
func (l allowList) fromARN(entry string, where Place) (t allowedType, pattern string, err error) {
	a, ok := splitARN(entry)
	i := slices.IndexFunc(l.types, func(t allowedType) bool { return strings.HasPrefix(a.resource, t.resource) })
	if !ok || a.service != l.service || i < 0 {
		var forms []string
		for _, t := range l.types {
			forms = append(forms, l.arn(t, "NAME", where))
		}
		return t, "", fmt.Errorf("is not the ARN of what this list is about; write %s", strings.Join(forms, " or "))
	}
	t = l.types[i]
	pattern = strings.TrimPrefix(a.resource, t.resource)
	want, _ := splitARN(l.arn(t, "", where))
	for _, part := range []struct{ name, got, want string }{
		{"partition", a.partition, want.partition}, {"region", a.region, want.region}, {"account", a.account, want.account},
	} {
		if part.got != part.want {
			fix := "write " + part.want
			if part.want == "" {
				fix = "leave it empty"
			}
			return t, "", fmt.Errorf("has the %s %s; %s there: a list names what is of this account and region, and * stands in names only",
				part.name, quoted(part.got), fix)
		}
	}
	return t, pattern, nil
}

func (l allowList) arn(t allowedType, name string, where Place) string {
	if t.awsOwned {
		where.Account = ""
	}
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s%s", where.Partition, l.service, where.Region, where.Account, t.resource, name)
}

// Only gives the lists of the parameters chosen; those of others allow everything.
func (a Allowed) Only(chosen func(parameter string) bool) Allowed {
	for _, l := range allowLists() {
		if !chosen(l.parameter) {
			*l.of(&a) = []string{"*"}
		}
	}
	return a
}

// Check gives a problem for everything that the config asks for and the lists do
// not allow, at the place of the item that asks, at most maxProblems and one
// that counts the rest.
func (a Allowed) Check(cfg Config) []fault.Problem {
	var f file
	for _, d := range a.beyond(cfg) {
		f.problems = append(f.problems, d.agent.Problem(d.code, d.field, d.message(),
			"ask the platform team to add "+quoted(d.entry)+" to "+d.parameter))
	}
	return f.sorted()
}

// Notes is Check for who does not know whether these are the stack's lists: a
// sentence for each thing, by the agent's name.
func (a Allowed) Notes(cfg Config) map[string][]string {
	notes := map[string][]string{}
	for _, d := range a.beyond(cfg) {
		text := d.message() + " unless " + d.parameter + " names it."
		notes[d.agent.Name] = append(notes[d.agent.Name], strings.ToUpper(text[:1])+text[1:])
	}
	return notes
}

// demand is one thing that an agent asks for and a list has to allow.
type demand struct {
	agent     Agent
	code      string // of the problem when no list allows it
	field     string
	parameter string // that holds the list
	what      string // repository
	name      string // what patterns are matched against
	typed     string // the same after its type, for patterns with a type; empty when the list has one type
	entry     string // would allow it
}

func (d demand) message() string {
	return d.what + " " + quoted(d.name) + " is beyond what the stack allows"
}

// beyond gives the demands that the lists do not allow, agent by agent.
func (a Allowed) beyond(cfg Config) []demand {
	var all []demand
	for _, asking := range cfg.Agents {
		all = append(all, asking.demands()...)
	}
	patterns := map[string][]string{}
	for _, l := range allowLists() {
		patterns[l.parameter] = *l.of(&a)
	}
	return slices.DeleteFunc(all, func(d demand) bool { return d.matchesAny(patterns[d.parameter]) })
}

// The fields of what the lists are about.
const (
	modelsField     = "permissions.models"
	baseImagesField = "permissions.base_images"
	repositoryField = "aws.ecr_repository"
	memoryField     = "memory.memory_id"
	providersField  = "identity.credential_providers"
	audiencesField  = "aws_jwt.audiences"
)

// demands gives what the agent asks for. What is its own by name needs no list.
func (a Agent) demands() []demand {
	var all []demand
	add := func(code, field, parameter, what, name string) *demand {
		all = append(all, demand{agent: a, code: code, field: field, parameter: parameter, what: what, name: name, entry: name})
		return &all[len(all)-1]
	}
	for _, m := range a.Permissions.Models {
		id := m.id()
		d := add("model-not-allowed", a.item(modelsField, id), allowedModels, "model", id)
		d.typed = foundationModelType + id
		if m.InferenceProfile != "" {
			d.typed = inferenceProfileType + id
		}
	}
	if r := a.Repository; r != "" && r != naming.Repository(a.Name) {
		add("repository-not-allowed", repositoryField, allowedRepositories, "repository", r)
	}
	for _, r := range a.Permissions.BaseImages {
		add("repository-not-allowed", a.item(baseImagesField, r), allowedRepositories, "repository", r)
	}
	if id := a.MemoryID; id != "" && !ownMemory(a.Name, id) {
		add("memory-not-allowed", memoryField, allowedMemories, "memory", id)
	}
	for _, p := range a.Providers {
		d := add("provider-not-allowed", a.item(providersField, p.ARN), allowedProviders, "credential provider", p.Name)
		d.typed = string(p.Kind) + "/" + p.Name
		d.entry = d.typed
	}
	if a.JWT != nil {
		for _, s := range a.JWT.Audiences {
			add("audience-not-allowed", a.item(audiencesField, s), allowedAudiences, "audience", s).entry = audienceEntry(s)
		}
	}
	return all
}

// id gives what the config names: the inference profile, or the model itself.
func (m Model) id() string { return cmp.Or(m.InferenceProfile, m.FoundationModel) }

// item gives the field of the item that names the value first in a list of the
// config, the list's own field when that is not known.
func (a Agent) item(list, value string) string { return cmp.Or(a.items[item{list, value}], list) }

// audienceEntry gives an entry that allows an audience. Audiences may have
// characters that entries may not; and at a comma CloudFormation splits lists.
func audienceEntry(audience string) string {
	return strings.Map(func(r rune) rune {
		if r == ',' || unfitInEntries(r) {
			return '*'
		}
		return r
	}, audience)
}

// ownMemory reports whether the memory is named after the agent, by the agent's
// name or by that which the toolkit gives it. AgentCore ends ids with a hyphen
// and ten characters; names hold no hyphen, so that a never owns abc's.
func ownMemory(agent, id string) bool {
	const toolkits = "_mem"
	rest, begins := strings.CutPrefix(id, agent)
	rest, named := strings.CutPrefix(rest, toolkits)
	if !named && strings.HasSuffix(agent, toolkits) {
		return false // the toolkit gives this name to the memory of the agent without the ending
	}
	suffix, hyphen := strings.CutPrefix(rest, "-")
	return begins && hyphen && len(suffix) == 10 && strings.Trim(suffix, alphanum) == ""
}

// matchesAny reports whether the demand is of one of the patterns. Where there
// are types, a pattern with a slash is for a type and a name, others for names
// alone: o* is not every oauth2credentialprovider.
func (d demand) matchesAny(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if d.typed != "" && strings.Contains(pattern, "/") {
			return matches(pattern, d.typed)
		}
		return matches(pattern, d.name)
	})
}

// matches reports whether s is of the pattern. What stands between two stars is
// looked for once, from the left: when it is there at all, its first place
// leaves the most for the rest.
func matches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return s == pattern
	}
	last := len(parts) - 1
	s, begins := strings.CutPrefix(s, parts[0])
	s, ends := strings.CutSuffix(s, parts[last])
	if !begins || !ends {
		return false
	}
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = after
	}
	return true
}
