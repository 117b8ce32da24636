package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// test decides over all leaf values of one field.
type test func(values []any) bool

// compileTest reads one element of a field's array: a value to equal, or an
// object with one operator.
func compileTest(v any) (test, error) {
	m, ok := v.(map[string]any)
	if !ok {
		if _, list := v.([]any); list {
			return nil, errors.New("array inside an array")
		}
		return some(equal(v)), nil
	}
	name, arg, err := single(m)
	if err != nil {
		return nil, err
	}
	switch name {
	case "exists":
		want, ok := arg.(bool)
		if !ok {
			return nil, errors.New(`"exists" wants true or false`)
		}
		return func(values []any) bool { return (len(values) > 0) == want }, nil
	case "anything-but":
		not, err := compileAnythingBut(arg)
		if err != nil {
			return nil, err
		}
		return some(func(v any) bool { return !not(v) }), nil
	case "numeric":
		is, err := compileNumeric(arg)
		if err != nil {
			return nil, err
		}
		return some(is), nil
	default:
		is, err := compileText(name, arg)
		if err != nil {
			return nil, err
		}
		return some(is), nil
	}
}

func single(m map[string]any) (name string, arg any, err error) {
	if len(m) != 1 {
		return "", nil, fmt.Errorf("%d operators in one object instead of one", len(m))
	}
	for name, arg = range m {
	}
	return name, arg, nil
}

// some lifts a predicate on one value to "any of the values".
func some(is func(any) bool) test {
	return func(values []any) bool {
		for _, v := range values {
			if is(v) {
				return true
			}
		}
		return false
	}
}

func equal(want any) func(any) bool {
	if n, ok := want.(json.Number); ok {
		w, err := n.Float64()
		return func(v any) bool {
			got, ok := number(v)
			return ok && err == nil && got == w
		}
	}
	if want == nil {
		want = null{}
	}
	return func(v any) bool { return v == want }
}

func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// compileText reads the operators on strings: prefix, suffix,
// equals-ignore-case and wildcard.
func compileText(name string, arg any) (func(any) bool, error) {
	is, err := compileString(name, arg)
	if err != nil {
		return nil, err
	}
	return func(v any) bool {
		s, ok := v.(string)
		return ok && is(s)
	}, nil
}

func compileString(name string, arg any) (func(string) bool, error) {
	want, fold, err := operand(name, arg)
	if err != nil {
		return nil, err
	}
	switch name {
	case "prefix":
		return func(s string) bool { return len(s) >= len(want) && same(s[:len(want)], want, fold) }, nil
	case "suffix":
		return func(s string) bool { return len(s) >= len(want) && same(s[len(s)-len(want):], want, fold) }, nil
	case "equals-ignore-case":
		return func(s string) bool { return strings.EqualFold(s, want) }, nil
	case "wildcard":
		parts, err := splitWildcard(want)
		return func(s string) bool { return matchWildcard(parts, s) }, err
	default:
		return nil, fmt.Errorf("unknown operator %q", name)
	}
}

// operand gives an operator's string. Only prefix and suffix can be told to
// ignore case.
func operand(name string, arg any) (want string, fold bool, err error) {
	if m, ok := arg.(map[string]any); ok && (name == "prefix" || name == "suffix") {
		inner, value, err := single(m)
		if err != nil || inner != "equals-ignore-case" {
			return "", false, fmt.Errorf("%q takes only equals-ignore-case inside", name)
		}
		fold, arg = true, value
	}
	want, ok := arg.(string)
	if !ok {
		return "", false, fmt.Errorf("%q wants a string", name)
	}
	return want, fold, nil
}

func same(a, b string, fold bool) bool {
	if fold {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// compileAnythingBut gives the predicate that the value must not satisfy.
func compileAnythingBut(arg any) (func(any) bool, error) {
	name := ""
	if m, ok := arg.(map[string]any); ok {
		var err error
		if name, arg, err = single(m); err != nil {
			return nil, err
		}
	}
	list, ok := arg.([]any)
	if !ok {
		list = []any{arg}
	}
	if len(list) == 0 {
		return nil, errors.New(`empty list in "anything-but"`)
	}
	var excluded []func(any) bool
	for _, e := range list {
		is := equal(e)
		if name != "" {
			var err error
			if is, err = compileText(name, e); err != nil {
				return nil, fmt.Errorf(`"anything-but": %w`, err)
			}
		} else if _, text := e.(string); !text {
			if _, num := e.(json.Number); !num {
				return nil, errors.New(`"anything-but" wants strings or numbers`)
			}
		}
		excluded = append(excluded, is)
	}
	return func(v any) bool {
		for _, is := range excluded {
			if is(v) {
				return true
			}
		}
		return false
	}, nil
}

func compileNumeric(arg any) (func(any) bool, error) {
	list, ok := arg.([]any)
	if !ok || len(list) == 0 || len(list)%2 != 0 || len(list) > 4 {
		return nil, errors.New(`"numeric" wants one or two pairs of operator and number`)
	}
	var all []func(float64) bool
	for i := 0; i < len(list); i += 2 {
		op, _ := list[i].(string)
		n, ok := number(list[i+1])
		if !ok {
			return nil, errors.New(`"numeric" wants a number after its operator`)
		}
		is, err := comparison(op, n)
		if err != nil {
			return nil, err
		}
		all = append(all, is)
	}
	return func(v any) bool {
		n, ok := number(v)
		if !ok {
			return false
		}
		for _, is := range all {
			if !is(n) {
				return false
			}
		}
		return true
	}, nil
}

func comparison(op string, n float64) (func(float64) bool, error) {
	switch op {
	case "=":
		return func(v float64) bool { return v == n }, nil
	case "<":
		return func(v float64) bool { return v < n }, nil
	case "<=":
		return func(v float64) bool { return v <= n }, nil
	case ">":
		return func(v float64) bool { return v > n }, nil
	case ">=":
		return func(v float64) bool { return v >= n }, nil
	default:
		return nil, fmt.Errorf(`unknown operator %q in "numeric"`, op)
	}
}

// splitWildcard cuts at every unescaped star; \* and \\ stand for themselves.
func splitWildcard(pattern string) ([]string, error) {
	var parts []string
	var part strings.Builder
	star := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c == '*' {
			if star {
				return nil, errors.New("consecutive stars in a wildcard")
			}
			star = true
			parts = append(parts, part.String())
			part.Reset()
			continue
		}
		star = false
		if c == '\\' {
			i++
			if i == len(pattern) || pattern[i] != '*' && pattern[i] != '\\' {
				return nil, errors.New(`a backslash in a wildcard escapes only * and \`)
			}
			c = pattern[i]
		}
		part.WriteByte(c)
	}
	return append(parts, part.String()), nil
}

// matchWildcard matches parts that are joined by stars.
func matchWildcard(parts []string, s string) bool {
	if len(parts) == 1 {
		return s == parts[0]
	}
	last := parts[len(parts)-1]
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, last) && len(s) >= len(last)
}
