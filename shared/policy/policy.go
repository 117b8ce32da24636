// Package policy builds, reads, compares and writes IAM policy documents.
//
// Documents are compared by meaning (see Equal), never as text: IAM and people
// spell one meaning in many ways, and a difference that means nothing is not
// drift. What the parser does not know is kept and counts as a difference.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Versions of the policy language. A document without a version means
// Version2008 (IAM User Guide, "IAM JSON policy elements: Version").
const (
	Version2012 = "2012-10-17"
	Version2008 = "2008-10-17"
)

// Effects of a statement.
const (
	Allow = "Allow"
	Deny  = "Deny"
)

// Kinds of principals.
const (
	AWS       = "AWS"
	Service   = "Service"
	Federated = "Federated"
)

// Principals gives the principals of a statement by their kind. Everybody
// ("Principal": "*") is {AWS: {"*"}}, as the IAM User Guide equates them.
type Principals map[string][]string

// Conditions gives the values of each condition by operator and key.
type Conditions map[string]map[string][]string

// Document is one IAM policy document, trust or permissions.
type Document struct {
	Version    string // empty when absent
	ID         string
	Statements []Statement
	// Unknown holds elements the parser does not know, as compact JSON by their name.
	Unknown map[string]string
}

// Statement is one statement. A nil element is absent, an empty one is present
// and names nothing.
type Statement struct {
	Sid           string
	Effect        string
	Principals    Principals
	NotPrincipals Principals
	Actions       []string
	NotActions    []string
	Resources     []string
	NotResources  []string
	Conditions    Conditions
	// Unknown holds elements the parser does not know, as compact JSON by their name.
	Unknown map[string]string
}

// New makes a document of the current version.
func New(statements ...Statement) Document {
	return Document{Version: Version2012, Statements: statements}
}

// With gives the statement with one more condition; s itself stays as it is.
func (s Statement) With(operator, key string, values ...string) Statement {
	conditions := make(Conditions, len(s.Conditions)+1)
	for op, keys := range s.Conditions {
		conditions[op] = maps.Clone(keys)
	}
	if conditions[operator] == nil {
		conditions[operator] = map[string][]string{}
	}
	conditions[operator][key] = values
	s.Conditions = conditions
	return s
}

// JSON gives the one spelling that Rolekeeper writes: compact, statements and
// lists in their order, maps sorted, a list of one as a string.
func (d Document) JSON() string {
	statements := make([]string, 0, len(d.Statements))
	for _, s := range d.Statements {
		statements = append(statements, s.json())
	}
	var o object
	o.text("Version", d.Version)
	o.text("Id", d.ID)
	o.raw("Statement", "["+strings.Join(statements, ",")+"]")
	o.unknown(d.Unknown)
	return o.json()
}

func (s Statement) json() string {
	var o object
	o.text("Sid", s.Sid)
	o.text("Effect", s.Effect)
	o.principals("Principal", s.Principals)
	o.principals("NotPrincipal", s.NotPrincipals)
	o.list("Action", s.Actions)
	o.list("NotAction", s.NotActions)
	o.list("Resource", s.Resources)
	o.list("NotResource", s.NotResources)
	if s.Conditions != nil {
		conditions := make(map[string]map[string]any, len(s.Conditions))
		for op, keys := range s.Conditions {
			conditions[op] = make(map[string]any, len(keys))
			for key, values := range keys {
				conditions[op][key] = oneOrMany(values)
			}
		}
		o.value("Condition", conditions)
	}
	o.unknown(s.Unknown)
	return o.json()
}

// MarshalJSON gives the document as JSON does.
func (d Document) MarshalJSON() ([]byte, error) { return []byte(d.JSON()), nil }

// Size gives the number of characters that IAM counts against its quotas. IAM
// leaves white space out; the compact spelling has none but inside strings,
// which is counted to be on the safe side.
func (d Document) Size() int { return utf8.RuneCountInString(d.JSON()) }

// Size gives the number of characters the statement takes in its document.
func (s Statement) Size() int { return utf8.RuneCountInString(s.json()) }

// Equal reports whether both documents mean the same.
//
// It does not matter: the order of statements, actions, resources, principals
// and condition values; what is named twice; a string or a list of one; Sid and
// Id; the case of action names, condition operators and condition keys; an
// account's number or the ARN of its root. A missing version means 2008-10-17.
// Statements are not merged: one action on two resources in two statements
// differs from one statement with both, although IAM decides alike.
func (d Document) Equal(other Document) bool { return d.canonical() == other.canonical() }

// Same reports whether raw, as IAM holds it, means the same as d. What cannot
// be parsed is not the same.
func (d Document) Same(raw string) bool {
	other, err := Parse(raw)
	return err == nil && d.Equal(other)
}

// Same reports whether two documents, as IAM holds them, mean the same. What
// cannot be parsed is the same as itself alone.
func Same(a, b string) bool {
	d, err := Parse(a)
	return a == b || err == nil && d.Same(b)
}

// Digest gives the hex SHA-256 of the document's meaning: Equal documents have
// equal digests, others do not.
func (d Document) Digest() string {
	sum := sha256.Sum256([]byte(d.canonical()))
	return hex.EncodeToString(sum[:])
}

// Merge joins statements that agree in everything but Sid and resources, in the
// order of their first appearance, and names each resource once: the result
// decides every request as the statements did. The first Sid is kept; a Sid that another statement bears
// already gets a number, since IAM wants them unique in a document.
func Merge(statements []Statement) []Statement {
	var merged []Statement
	position := map[string]int{}
	for _, s := range statements {
		rest := s
		rest.Resources = s.Resources[:0:0] // whether there are any stays part of the key
		key := rest.canonical()
		at, ok := position[key]
		if !ok {
			at = len(merged)
			position[key] = at
			merged = append(merged, rest)
		}
		for _, r := range s.Resources {
			if !slices.Contains(merged[at].Resources, r) {
				merged[at].Resources = append(merged[at].Resources, r)
			}
		}
	}
	taken := map[string]bool{}
	for i := range merged {
		sid := merged[i].Sid
		for n := 2; taken[merged[i].Sid]; n++ {
			merged[i].Sid = sid + strconv.Itoa(n)
		}
		taken[merged[i].Sid] = sid != ""
	}
	return merged
}

// object writes a JSON object whose members keep the order they were added in.
type object struct{ members []string }

func (o *object) raw(name, text string) { o.members = append(o.members, encode(name)+":"+text) }

func (o *object) value(name string, v any) { o.raw(name, encode(v)) }

func (o *object) text(name, v string) {
	if v != "" {
		o.value(name, v)
	}
}

func (o *object) list(name string, values []string) {
	if values != nil {
		o.value(name, oneOrMany(values))
	}
}

func (o *object) principals(name string, p Principals) {
	if p == nil {
		return
	}
	kinds := make(map[string]any, len(p))
	for kind, values := range p {
		kinds[kind] = oneOrMany(values)
	}
	o.value(name, kinds)
}

func (o *object) unknown(elements map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(elements)) {
		o.raw(name, elements[name])
	}
}

func (o *object) json() string { return "{" + strings.Join(o.members, ",") + "}" }

func oneOrMany(values []string) any {
	switch len(values) {
	case 0:
		return []string{}
	case 1:
		return values[0]
	}
	return values
}

// encode gives v, made of strings, lists and maps, as compact JSON. HTML
// escapes are off: they would change the text that IAM counts.
func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // cannot be refused: see above
	return strings.TrimSuffix(b.String(), "\n")
}
