package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"rolekeeper/shared/policy"
)

// DocumentDiff gives the lines of a unified diff of two policy documents, the
// first as IAM holds it; empty texts stand for no document. Both are spelled
// alike, so that what means the same gives no lines of difference. What is no
// policy is compared as TextDiff does, JSON with a line for every value.
func DocumentDiff(before, after string) []string {
	was, errWas := policy.Parse(before)
	is, errIs := policy.Parse(after)
	if errWas == nil && errIs == nil {
		was = alike(was, is)
	}
	if errWas == nil {
		was = spelled(was)
	}
	if errIs == nil {
		is = spelled(is)
	}
	if errWas == nil && errIs == nil {
		was.Statements = aligned(was.Statements, is.Statements)
	}
	return TextDiff(legible(before, was, errWas == nil), legible(after, is, errIs == nil))
}

// TextDiff gives the lines of a unified diff of two texts, without their ends;
// none when the texts are equal.
func TextDiff(before, after string) []string {
	var lines []string
	for line := range strings.Lines(udiff.Unified("", "", before, after)) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines[min(len(lines), 2):] // without the names of the files
}

// legible gives a document with a line for every value. One that IAM holds and
// that cannot be parsed is given as it is.
func legible(raw string, d policy.Document, parsed bool) string {
	if parsed {
		raw = d.JSON()
	}
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(raw), "", "  "); err != nil {
		b.Reset()
		b.WriteString(raw)
	}
	if b.Len() > 0 && !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	return b.String()
}

// spelled gives the document in a spelling that depends only on what it says:
// lists sorted, nothing named twice.
func spelled(d policy.Document) policy.Document {
	d.ID = ""
	d.Version = cmp.Or(d.Version, policy.Version2008)
	d.Statements = slices.Clone(d.Statements)
	for i, s := range d.Statements {
		s.Principals, s.NotPrincipals = sortedLists(s.Principals), sortedLists(s.NotPrincipals)
		s.Actions, s.NotActions = sorted(s.Actions), sorted(s.NotActions)
		s.Resources, s.NotResources = sorted(s.Resources), sorted(s.NotResources)
		s.Conditions = maps.Clone(s.Conditions)
		for operator, keys := range s.Conditions {
			s.Conditions[operator] = sortedLists(keys)
		}
		d.Statements[i] = s
	}
	return d
}

// alike gives the document with the names whose case means nothing, those of
// actions, operators and keys of conditions, in the case that another has them in.
func alike(d, other policy.Document) policy.Document {
	exact, names := map[string]bool{}, map[string]string{}
	know := func(list ...string) {
		for _, name := range list {
			exact[name] = true
			names[strings.ToLower(name)] = cmp.Or(names[strings.ToLower(name)], name)
		}
	}
	for _, s := range other.Statements {
		know(s.Actions...)
		know(s.NotActions...)
		for _, operator := range slices.Sorted(maps.Keys(s.Conditions)) {
			know(operator)
			know(slices.Sorted(maps.Keys(s.Conditions[operator]))...)
		}
	}
	as := func(name string) string {
		if exact[name] {
			return name
		}
		return cmp.Or(names[strings.ToLower(name)], name)
	}
	list := func(all []string) []string {
		all = slices.Clone(all)
		for i, name := range all {
			all[i] = as(name)
		}
		return all
	}
	d.Statements = slices.Clone(d.Statements)
	for i, s := range d.Statements {
		s.Actions, s.NotActions = list(s.Actions), list(s.NotActions)
		s.Conditions = renamed(s.Conditions, as)
		for operator, keys := range s.Conditions {
			s.Conditions[operator] = renamed(keys, as)
		}
		d.Statements[i] = s
	}
	return d
}

// renamed gives the map with other keys. A key whose new name another has, or
// gets, keeps its own: both mean something.
func renamed[M ~map[string]V, V any](m M, as func(string) string) M {
	if m == nil {
		return nil
	}
	out := maps.Clone(m)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if _, taken := out[as(key)]; !taken {
			out[as(key)] = out[key]
			delete(out, key)
		}
	}
	return out
}

func sortedLists[M ~map[string][]string](lists M) M {
	lists = maps.Clone(lists)
	for key, list := range lists {
		lists[key] = sorted(list)
	}
	return lists
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// aligned gives the statements of before in the order of after: those that mean
// the same in the spelling they have there, those of the same Sid in the same
// place, the others last.
func aligned(before, after []policy.Statement) []policy.Statement {
	meanings := func(all []policy.Statement) []string {
		digests := make([]string, len(all))
		for i, s := range all {
			digests[i] = policy.New(s).Digest()
		}
		return digests
	}
	had, have := meanings(before), meanings(after)
	var left, out []policy.Statement
	for i, s := range before {
		if !slices.Contains(have, had[i]) {
			left = append(left, s)
		}
	}
	for i, s := range after {
		at := slices.IndexFunc(left, func(l policy.Statement) bool { return l.Sid == s.Sid })
		switch {
		case slices.Contains(had, have[i]):
			out = append(out, s)
		case at >= 0:
			out = append(out, left[at])
			left = slices.Delete(left, at, at+1)
		}
	}
	return append(out, left...)
}
