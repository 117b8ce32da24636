package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds on what is read. IAM accepts documents of up to 131,072 characters
// (policyDocumentType in the service model), white space included.
const (
	maxDocument = 2 * 131072      // bytes of UTF-8
	maxEncoded  = 3 * maxDocument // each byte may be a %XX
	maxDepth    = 16
)

// Parse reads a document as IAM returns it: JSON, URL-encoded (RFC 3986) or
// not. One statement may stand without a list, one value likewise; condition
// values may be booleans and numbers. It is an error when the text is not
// exactly one JSON object, is too big, repeats a key, has no Statement, or gives
// a known element a shape that IAM does not have.
func Parse(raw string) (Document, error) {
	text, err := plain(raw)
	if err != nil {
		return Document{}, fmt.Errorf("read policy document: %w", err)
	}
	root, err := decode(text)
	if err != nil {
		return Document{}, fmt.Errorf("read policy document: %w", err)
	}
	d, err := document(root)
	if err != nil {
		return Document{}, fmt.Errorf("read policy document: %w", err)
	}
	return d, nil
}

// plain undoes the URL encoding.
func plain(raw string) (string, error) {
	if len(raw) > maxEncoded {
		return "", fmt.Errorf("%d bytes are more than %d", len(raw), maxEncoded)
	}
	text := strings.TrimSpace(raw)
	if strings.HasPrefix(text, "%") {
		// PathUnescape: in RFC 3986 a plus is a plus.
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return "", err
		}
		text = decoded
	}
	if len(text) > maxDocument {
		return "", fmt.Errorf("%d bytes are more than %d", len(text), maxDocument)
	}
	// The JSON decoder would replace what is not UTF-8, and unlike documents
	// would read alike.
	if !utf8.ValidString(text) {
		return "", errors.New("not UTF-8")
	}
	return text, nil
}

func document(root any) (Document, error) {
	o, ok := root.(map[string]any)
	if !ok {
		return Document{}, fmt.Errorf("want an object, have %s", shape(root))
	}
	var d Document
	found := false
	for _, name := range slices.Sorted(maps.Keys(o)) {
		var err error
		v := o[name]
		switch name {
		case "Version":
			d.Version, err = text(v)
		case "Id":
			d.ID, err = text(v)
		case "Statement":
			found = true
			d.Statements, err = statements(v)
		default:
			if d.Unknown == nil {
				d.Unknown = map[string]string{}
			}
			d.Unknown[name] = encode(v)
		}
		if err != nil {
			return Document{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if !found {
		return Document{}, errors.New("no Statement")
	}
	return d, nil
}

func statements(v any) ([]Statement, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]Statement, 0, len(list))
	for i, item := range list {
		s, err := statement(item)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func statement(v any) (Statement, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return Statement{}, fmt.Errorf("want an object, have %s", shape(v))
	}
	var s Statement
	for _, name := range slices.Sorted(maps.Keys(o)) {
		var err error
		v := o[name]
		switch name {
		case "Sid":
			s.Sid, err = text(v)
		case "Effect":
			s.Effect, err = text(v)
		case "Principal":
			s.Principals, err = principals(v)
		case "NotPrincipal":
			s.NotPrincipals, err = principals(v)
		case "Action":
			s.Actions, err = texts(v)
		case "NotAction":
			s.NotActions, err = texts(v)
		case "Resource":
			s.Resources, err = texts(v)
		case "NotResource":
			s.NotResources, err = texts(v)
		case "Condition":
			s.Conditions, err = conditions(v)
		default:
			if s.Unknown == nil {
				s.Unknown = map[string]string{}
			}
			s.Unknown[name] = encode(v)
		}
		if err != nil {
			return Statement{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, nil
}

func principals(v any) (Principals, error) {
	if v == "*" {
		return Principals{AWS: {"*"}}, nil
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf(`want "*" or an object, have %s`, shape(v))
	}
	p := Principals{}
	for kind, names := range o {
		list, err := texts(names)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		p[kind] = list
	}
	return p, nil
}

func conditions(v any) (Conditions, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("want an object, have %s", shape(v))
	}
	c := Conditions{}
	for op, keys := range o {
		m, ok := keys.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: want an object, have %s", op, shape(keys))
		}
		c[op] = make(map[string][]string, len(m))
		for key, values := range m {
			list, err := scalars(values)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", op, key, err)
			}
			c[op][key] = list
		}
	}
	return c, nil
}

func text(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("want a string, have %s", shape(v))
	}
	return s, nil
}

func texts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		s, err := text(item)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// scalars reads condition values. IAM stores booleans and numbers as strings;
// a number keeps the digits it was written with.
func scalars(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		switch x := item.(type) {
		case string:
			out = append(out, x)
		case bool:
			out = append(out, fmt.Sprint(x))
		case json.Number:
			out = append(out, x.String())
		default:
			return nil, fmt.Errorf("want a string, boolean or number, have %s", shape(x))
		}
	}
	return out, nil
}

func shape(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	default:
		return "a number or boolean"
	}
}

// decode reads exactly one JSON value. Unlike encoding/json it refuses keys that
// stand twice in an object: the later one would silently win.
func decode(s string) (any, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the document")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return decodeObject(d, depth)
		}
		return decodeList(d, depth)
	case string:
		// What a broken escape such as \ud800 is read as: another text.
		if strings.ContainsRune(t, utf8.RuneError) {
			return nil, fmt.Errorf("%q has a character that is none", t)
		}
		return t, nil
	default:
		return t, nil
	}
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	o := map[string]any{}
	for d.More() {
		k, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if !ok {
			return nil, errors.New("a key is not a string")
		}
		if _, twice := o[key]; twice {
			return nil, fmt.Errorf("key %q stands twice", key)
		}
		if o[key], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token() // the closing brace
	return o, err
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token() // the closing bracket
	return list, err
}
