package policy

import (
	"cmp"
	"slices"
	"strings"
)

// Grant is what an Allow statement, or a part of one, allows. Of Actions and
// NotActions one is set, likewise of Resources and NotResources.
type Grant struct {
	Actions      []string   `json:"actions,omitempty"`
	NotActions   []string   `json:"notActions,omitempty"` // allowed is every action but these
	Resources    []string   `json:"resources,omitempty"`
	NotResources []string   `json:"notResources,omitempty"` // every resource but these
	Conditions   Conditions `json:"conditions,omitempty"`
}

// String gives the grant in words.
func (g Grant) String() string {
	var b strings.Builder
	b.WriteString(listed(g.Actions, g.NotActions))
	if on := listed(g.Resources, g.NotResources); on != "" {
		b.WriteString(" on " + on)
	}
	if conditions := g.Conditions.String(); conditions != "" {
		b.WriteString(" if " + conditions)
	}
	return b.String()
}

// Statement gives the Allow statement that grants it.
func (g Grant) Statement() Statement {
	return Statement{
		Effect: Allow, Actions: g.Actions, NotActions: g.NotActions,
		Resources: g.Resources, NotResources: g.NotResources, Conditions: g.Conditions,
	}
}

func listed(these, allBut []string) string {
	if allBut != nil {
		return "everything but " + strings.Join(allBut, ", ")
	}
	return strings.Join(these, ", ")
}

// Beyond gives what permissions policy d allows and no single Allow statement of
// the documents within covers, in the order of d. Denials of d are not looked at;
// what the documents within deny is not covered, whatever the denial's conditions.
//
// It errs on one side only: what two statements cover together, or one does in
// a way that cannot be told from the patterns, is given as beyond; what is not
// given is covered for every request.
func Beyond(d Document, within ...Document) []Grant {
	var allows, denies []Statement
	for _, w := range within {
		for _, s := range w.Statements {
			switch {
			case s.Effect == Deny:
				denies = append(denies, s)
			case s.Effect != Allow || s.Unknown != nil || w.Unknown != nil:
			case d.version() == w.version() || !strings.Contains(s.json(), variable):
				allows = append(allows, s) // variables are plain text in the old version
			}
		}
	}
	var beyond []Grant
	for _, s := range d.Statements {
		if s.Effect != Deny {
			beyond = append(beyond, s.beyond(allows, denies)...)
		}
	}
	return beyond
}

func (d Document) version() string { return cmp.Or(d.Version, Version2008) }

// beyond gives what of the statement is not covered: actions that lack the same
// resources stay together.
func (s Statement) beyond(allows, denies []Statement) []Grant {
	allows = slices.DeleteFunc(slices.Clone(allows), func(w Statement) bool { return !s.Conditions.imply(w.Conditions) })
	actions, resources := parts(s.Actions, s.NotActions), parts(s.Resources, s.NotResources)
	covered, denied := marks(actions, allows, part.coveredAction), marks(actions, denies, part.reachedAction)
	on, off := marks(resources, allows, part.coveredResource), marks(resources, denies, part.reachedResource)

	var grants []Grant
	like := map[string]int{} // grants by the resources they lack
	for i, action := range actions {
		var lacking []string
		for j, resource := range resources {
			if !meet(covered[i], on[j]) || meet(denied[i], off[j]) {
				lacking = append(lacking, resource.pattern)
			}
		}
		if lacking == nil {
			continue
		}
		key := encode(lacking)
		at, ok := like[key]
		if !ok {
			g := Grant{NotActions: s.NotActions, NotResources: s.NotResources, Conditions: s.Conditions}
			if s.NotResources == nil {
				g.Resources = lacking
			}
			at, grants = len(grants), append(grants, g)
			like[key] = at
		}
		if s.NotActions == nil {
			grants[at].Actions = append(grants[at].Actions, action.pattern)
		}
	}
	return grants
}

// marks says for every part of which of the statements something is so. Parts
// and statements can be many, and pairs of parts are more.
func marks(all []part, statements []Statement, so func(part, Statement) bool) [][]bool {
	rows := make([][]bool, len(all))
	for i, p := range all {
		rows[i] = make([]bool, len(statements))
		for j, s := range statements {
			rows[i][j] = so(p, s)
		}
	}
	return rows
}

// meet reports whether both have a mark at the same statement.
func meet(a, b []bool) bool {
	for i := range a {
		if a[i] && b[i] {
			return true
		}
	}
	return false
}

// part is one pattern of a statement, or everything but what some match.
type part struct {
	pattern string
	except  []string // then the pattern is *
}

func parts(these, allBut []string) []part {
	if allBut != nil {
		return []part{{"*", allBut}}
	}
	all := make([]part, 0, len(these))
	for _, pattern := range these {
		all = append(all, part{pattern: pattern})
	}
	return all
}

func (p part) coveredAction(by Statement) bool {
	return p.covered(by.Actions, by.NotActions, coversAction, overlapActions)
}

func (p part) coveredResource(by Statement) bool {
	return p.covered(by.Resources, by.NotResources, coversResource, overlapResources)
}

func (p part) reachedAction(by Statement) bool {
	return p.reached(by.Actions, by.NotActions, coversAction, overlapActions)
}

func (p part) reachedResource(by Statement) bool {
	return p.reached(by.Resources, by.NotResources, coversResource, overlapResources)
}

// covered reports whether the patterns, or all but what allBut match, cover the part.
func (p part) covered(these, allBut []string, covers, overlap func(a, b string) bool) bool {
	switch {
	case allBut == nil:
		return slices.ContainsFunc(these, func(wide string) bool { return covers(wide, p.pattern) })
	case p.except == nil:
		return !slices.ContainsFunc(allBut, func(out string) bool { return overlap(out, p.pattern) })
	}
	return !slices.ContainsFunc(allBut, func(out string) bool {
		return !slices.ContainsFunc(p.except, func(except string) bool { return covers(except, out) })
	})
}

// reached reports whether the patterns, or all but what allBut match, may match
// anything of the part.
func (p part) reached(these, allBut []string, covers, overlap func(a, b string) bool) bool {
	if allBut == nil {
		return slices.ContainsFunc(these, func(other string) bool { return overlap(other, p.pattern) })
	}
	return !slices.ContainsFunc(allBut, func(out string) bool { return covers(out, p.pattern) })
}

// imply reports whether every one of the other conditions is also one of these.
func (c Conditions) imply(others Conditions) bool {
	mine := c.canonical()
	return !slices.ContainsFunc(others.canonical(), func(other []string) bool {
		return !slices.ContainsFunc(mine, func(one []string) bool { return slices.Equal(one, other) })
	})
}
