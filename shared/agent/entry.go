package agent

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/fault"
)

// entry reads one agent.
type entry struct {
	file   *file
	label  string // names the agent in problems
	root   field
	legacy bool // the old form, where nothing but name and entrypoint is needed
	places map[string]place
	items  map[item]string
}

// field is a value of the agent and where it stands; node is nil when the file
// has none, or null, and never an alias.
type field struct {
	path string // dotted, below the agent
	at   place
	node *yaml.Node
}

func newEntry(f *file, node *yaml.Node, at place, label string) *entry {
	e := &entry{file: f, label: label, root: field{at: at, node: node}, places: map[string]place{"": at}, items: map[item]string{}}
	if label == "" {
		e.label = legacyLabel(node)
	}
	return e
}

func (e *entry) fail(f field, code, message, fix string) {
	e.file.add(scope{e.label, f.path}, f.at, code, message, fix)
}

func (e *entry) warn(f field, code, message, fix string) {
	e.fail(f, code, message, fix)
	e.file.problems[len(e.file.problems)-1].Severity = fault.SeverityWarning
}

// child gives the field of a map. Of what is no map it gives a field without a
// value, in the map's place.
func (e *entry) child(of field, key string) field {
	f := field{path: key, at: of.at}
	if of.path != "" {
		f.path = of.path + "." + key
	}
	if of.node == nil || of.node.Kind != yaml.MappingNode {
		return f
	}
	p, ok := lookup(of.node, key)
	if !ok {
		return f
	}
	f.at = p.place()
	e.places[f.path] = f.at
	if v := resolve(p.value); !isNull(v) {
		f.node = v
	}
	return f
}

// wrongType reports that f holds something else than what, unless it has no value.
func (e *entry) wrongType(f field, what, fix string) {
	if f.node != nil {
		e.fail(f, "field-type", kindOf(f.node)+" stands where "+what+" is needed", fix)
	}
}

// section gives the map below a key.
func (e *entry) section(of field, key string) field {
	f := e.child(of, key)
	if f.node != nil && f.node.Kind != yaml.MappingNode {
		e.wrongType(f, "a map", "write its fields below it, or leave it out")
		f.node = nil
	}
	return f
}

// text gives the text in f; not ok when there is none.
func (e *entry) text(f field) (s string, ok bool) {
	if f.node == nil || f.node.Kind != yaml.ScalarNode || f.node.ShortTag() != "!!str" {
		e.wrongType(f, "text", "write text; put it in quotes when it looks like a number or a date")
		return "", false
	}
	return f.node.Value, true
}

// option is text where the toolkit takes the empty string for null.
func (e *entry) option(f field) (s string, ok bool) {
	s, ok = e.text(f)
	return s, ok && s != ""
}

// flag gives the truth value in f, false when there is none.
func (e *entry) flag(f field) bool {
	// PyYAML follows YAML 1.1, where these unquoted words are truth values too.
	if f.node != nil && f.node.Kind == yaml.ScalarNode && f.node.Style&^yaml.TaggedStyle == 0 {
		switch strings.ToLower(f.node.Value) {
		case "true", "yes", "on":
			return true
		case "false", "no", "off":
			return false
		}
	}
	e.wrongType(f, "true or false", "write true or false, without quotes")
	return false
}

// list gives the items of a list of at most most.
func (e *entry) list(f field, most int) []field {
	if f.node == nil || f.node.Kind != yaml.SequenceNode {
		e.wrongType(f, "a list", "write a list: one item per line, each after a dash")
		return nil
	}
	if n := len(f.node.Content); n > most {
		e.fail(f, "list-too-long", fmt.Sprintf("the list has %d items, more than the %d allowed", n, most), "shorten the list")
		return nil
	}
	var items []field
	for i, n := range f.node.Content {
		item := field{path: fmt.Sprintf("%s[%d]", f.path, i), at: place{n.Line, n.Column}, node: resolve(n)}
		e.places[item.path] = item.at
		items = append(items, item)
	}
	return items
}

// texts is list for items of text, without repetitions; valid reports what is wrong with one.
func (e *entry) texts(f field, most int, valid func(field, string) bool) []string {
	var out []string
	for _, item := range e.list(f, most) {
		if s, ok := e.text(item); ok && valid(item, s) && !slices.Contains(out, s) {
			out = append(out, s)
			e.named(f.path, s, item)
		}
	}
	return out
}

// named notes where a value of a list is named first.
func (e *entry) named(list, value string, at field) { e.items[item{list, value}] = at.path }
