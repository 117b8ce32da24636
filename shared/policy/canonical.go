package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/expression"
)

// accountRoot is how IAM spells an account named by its number in a principal.
var accountRoot = expression.Lazy(`\Aarn:aws[a-z-]*:iam::([0-9]{12}):root\z`)

// canonical gives one text for all documents of one meaning.
func (d Document) canonical() string {
	statements := make([]string, 0, len(d.Statements))
	for _, s := range d.Statements {
		statements = append(statements, s.canonical())
	}
	var o object
	o.value("Version", cmp.Or(d.Version, Version2008))
	o.raw("Statement", "["+strings.Join(set(statements), ",")+"]")
	o.raw("Unknown", unknowns(d.Unknown))
	return o.json()
}

func (s Statement) canonical() string {
	var o object
	o.value("Effect", s.Effect)
	o.value("Principal", s.Principals.canonical())
	o.value("NotPrincipal", s.NotPrincipals.canonical())
	o.value("Action", insensitive(s.Actions))
	o.value("NotAction", insensitive(s.NotActions))
	o.value("Resource", set(s.Resources))
	o.value("NotResource", set(s.NotResources))
	o.value("Condition", s.Conditions.canonical())
	o.raw("Unknown", unknowns(s.Unknown))
	return o.json()
}

// canonical gives kind and name of every principal; nil for an absent element.
func (p Principals) canonical() [][2]string {
	if p == nil {
		return nil
	}
	out := [][2]string{}
	for kind, names := range p {
		for _, name := range names {
			if m := accountRoot().FindStringSubmatch(name); m != nil && kind == AWS {
				name = m[1]
			}
			out = append(out, [2]string{kind, name})
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// canonical gives each operator, key and its values. Keys that differ in case
// only stay apart: all conditions must hold, their values are not alternatives.
// An operator without keys, or no operator at all, is no condition.
func (c Conditions) canonical() [][]string {
	out := [][]string{}
	for op, keys := range c {
		for key, values := range keys {
			out = append(out, append([]string{strings.ToLower(op), strings.ToLower(key)}, set(values)...))
		}
	}
	slices.SortFunc(out, slices.Compare[[]string])
	return slices.CompactFunc(out, slices.Equal[[]string])
}

func insensitive(values []string) []string {
	if values == nil {
		return nil
	}
	lower := make([]string, len(values))
	for i, v := range values {
		lower[i] = strings.ToLower(v)
	}
	return set(lower)
}

// set gives the values sorted and once each; nil stays nil.
func set(values []string) []string {
	if values == nil {
		return nil
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func unknowns(elements map[string]string) string {
	var o object
	for _, name := range slices.Sorted(maps.Keys(elements)) {
		o.raw(name, elements[name])
	}
	return o.json()
}
