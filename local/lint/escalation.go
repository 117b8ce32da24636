// Package lint knows ways in which permissions grow into more permissions, and
// what public linters say of IAM policies. Nothing but tests uses it.
package lint

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/policy"
)

// escalations are the combinations of actions that prowler and parliament look
// for, taken from their releases; each list names its release, file and licence.
//
//go:embed escalations.json
var escalations []byte

// Escalation is one way to more permissions.
type Escalation struct {
	Tool    string // whose list it is of
	Name    string
	Actions []string // all of them are needed
}

// Escalations gives all combinations of both lists.
func Escalations() ([]Escalation, error) {
	var lists []struct {
		Tool         string
		Combinations map[string][]string
	}
	if err := json.Unmarshal(escalations, &lists); err != nil {
		return nil, fmt.Errorf("read combinations: %w", err)
	}
	var all []Escalation
	for _, l := range lists {
		for _, name := range slices.Sorted(maps.Keys(l.Combinations)) {
			all = append(all, Escalation{l.Tool, name, l.Combinations[name]})
		}
	}
	return all, nil
}

// Open gives the escalations that a principal with all these policies has.
// Only actions count: resources, conditions and denials are taken for none, as
// the lists have it. What a statement allows by NotAction is every action.
func Open(ways []Escalation, policies []policy.Document) []Escalation {
	var patterns []string
	for _, d := range policies {
		for _, s := range d.Statements {
			switch {
			case s.Effect != policy.Allow:
			case s.NotActions != nil:
				patterns = append(patterns, "*")
			default:
				patterns = append(patterns, s.Actions...)
			}
		}
	}
	allowed := func(action string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return match(strings.ToLower(p), strings.ToLower(action)) })
	}
	var open []Escalation
	for _, way := range ways {
		if !slices.ContainsFunc(way.Actions, func(a string) bool { return !allowed(a) }) {
			open = append(open, way)
		}
	}
	return open
}

// match reports whether a pattern of IAM covers a text, which may be a pattern
// too: its characters then stand for themselves.
func match(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return match(pattern[1:], text) || text != "" && match(pattern, text[1:])
	case text == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == text[0]) && match(pattern[1:], text[1:])
}
