// Package bus is the event bus of the local AWS: EventBridge's patterns, rules
// and delivery, in memory.
package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Pattern is a compiled event pattern. The operators are those of the
// EventBridge user guide, "Comparison operators for use in event patterns",
// without cidr.
type Pattern struct{ root object }

// Compile reads an event pattern. Anything that it would not evaluate as
// EventBridge does is an error, so that a rule never matches by accident.
func Compile(pattern []byte) (*Pattern, error) {
	v, err := decode(pattern)
	if err != nil {
		return nil, fmt.Errorf("event pattern: %w", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("event pattern: not a JSON object")
	}
	root, err := compileObject(m, "")
	if err != nil {
		return nil, fmt.Errorf("event pattern: %w", err)
	}
	return &Pattern{root}, nil
}

// Match reports whether the event, a JSON object, satisfies the pattern. What
// is no JSON object matches nothing.
func (p *Pattern) Match(event []byte) bool {
	v, err := decode(event)
	if err != nil {
		return false
	}
	m, ok := v.(map[string]any)
	return ok && p.root.match(m)
}

// decode keeps numbers as they are written, and refuses trailing text.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON value")
	}
	return v, nil
}

// object is a conjunction of fields; alternatives are its $or.
type object struct {
	fields       []field
	alternatives []object
}

type field struct {
	name   string
	nested *object // exactly one of nested and leaf is set
	leaf   []test
}

func compileObject(m map[string]any, path string) (object, error) {
	var o object
	if len(m) == 0 {
		return o, fmt.Errorf("%s: empty object", at(path))
	}
	for name, v := range m {
		here := strings.TrimPrefix(path+"."+name, ".")
		if list, ok := v.([]any); ok && name == "$or" {
			alternatives, err := compileOr(list, here)
			if err != nil {
				return o, err
			}
			o.alternatives = alternatives
			continue
		}
		f := field{name: name}
		switch v := v.(type) {
		case map[string]any:
			nested, err := compileObject(v, here)
			if err != nil {
				return o, err
			}
			f.nested = &nested
		case []any:
			if len(v) == 0 {
				return o, fmt.Errorf("%s: empty array", here)
			}
			for _, e := range v {
				t, err := compileTest(e)
				if err != nil {
					return o, fmt.Errorf("%s: %w", here, err)
				}
				f.leaf = append(f.leaf, t)
			}
		default:
			return o, fmt.Errorf("%s: %T instead of an object or an array", here, v)
		}
		o.fields = append(o.fields, f)
	}
	return o, nil
}

func compileOr(list []any, path string) ([]object, error) {
	if len(list) < 2 {
		return nil, fmt.Errorf("%s: fewer than two alternatives", path)
	}
	var out []object
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: an alternative is not an object", path)
		}
		o, err := compileObject(m, path)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func at(path string) string {
	if path == "" {
		return "top level"
	}
	return path
}

func (o object) match(m map[string]any) bool {
	for _, f := range o.fields {
		v, present := m[f.name]
		if present && v == nil {
			v = null{} // JSON null is a value; absence is none
		}
		if !f.match(v) {
			return false
		}
	}
	if o.alternatives == nil {
		return true
	}
	for _, a := range o.alternatives {
		if a.match(m) {
			return true
		}
	}
	return false
}

// match takes the field's value; missing and JSON null differ, see leaves.
func (f field) match(v any) bool {
	if f.nested == nil {
		values := leaves(v)
		for _, t := range f.leaf {
			if t(values) {
				return true
			}
		}
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		return f.nested.match(v)
	case []any: // array consistency: all of the pattern in one element
		for _, e := range v {
			if f.match(e) {
				return true
			}
		}
		return false
	default: // absent, or no object: only "exists": false can hold below
		return f.nested.match(nil)
	}
}

// null is JSON's null as a leaf.
type null struct{}

// leaves gives the scalar values of a field; none when the field is absent or
// an object, since EventBridge knows only leaves.
func leaves(v any) []any {
	switch v := v.(type) {
	case nil, map[string]any:
		return nil
	case []any:
		var out []any
		for _, e := range v {
			if e == nil {
				e = null{}
			}
			out = append(out, leaves(e)...)
		}
		return out
	default:
		return []any{v}
	}
}
