package stack

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Place is where the stack is deployed.
type Place struct {
	Name      string // of the stack
	Account   string
	Region    string
	Partition string
	Endpoint  string // of the local AWS, without a slash at the end; queue URLs begin with it
}

// resolver evaluates a template's intrinsic functions. Physical names are known
// before anything is made, so the order of resources does not matter.
type resolver struct {
	template   *Template
	place      Place
	parameters map[string]any
	busy       map[string]bool // conditions and resources being evaluated, to find circles
}

// noValue is what AWS::NoValue resolves to; it vanishes from objects and lists.
type noValue struct{}

func newResolver(t *Template, place Place, values map[string]string) (*resolver, error) {
	r := &resolver{template: t, place: place, parameters: map[string]any{}, busy: map[string]bool{}}
	for name := range values {
		if _, ok := t.Parameters[name]; !ok {
			return nil, fmt.Errorf("the template has no parameter %s", name)
		}
	}
	for name, p := range t.Parameters {
		value, given := values[name]
		if !given {
			if p.Default == nil {
				return nil, fmt.Errorf("parameter %s has no default and no value", name)
			}
			value = text(p.Default)
		}
		isList := strings.HasPrefix(p.Type, "List<") || p.Type == "CommaDelimitedList"
		entries, list := []string{value}, []any{}
		if isList {
			entries = strings.Split(value, ",")
		}
		for _, entry := range entries {
			if isList {
				entry = strings.TrimSpace(entry)
			}
			if err := p.check(entry); err != nil {
				return nil, fmt.Errorf("parameter %s: %w", name, err)
			}
			list = append(list, entry)
		}
		r.parameters[name] = value
		if isList {
			r.parameters[name] = list
		}
	}
	return r, nil
}

// check refuses what CloudFormation would refuse: of a list, each value.
func (p parameter) check(value string) error {
	if strings.HasPrefix(p.Type, "AWS::SSM::") {
		return fmt.Errorf("type %s is not supported", p.Type)
	}
	if len(p.AllowedValues) > 0 && !slices.ContainsFunc(p.AllowedValues, func(v any) bool { return text(v) == value }) {
		return fmt.Errorf("%q is not an allowed value", value)
	}
	if p.AllowedPattern != "" {
		pattern, err := regexp.Compile(`\A(?:` + p.AllowedPattern + `)\z`)
		if err != nil {
			return fmt.Errorf("allowed pattern: %w", err)
		}
		if !pattern.MatchString(value) {
			return fmt.Errorf("%q does not match %s", value, p.AllowedPattern)
		}
	}
	if p.Type == "Number" {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || p.MinValue != nil && n < *p.MinValue || p.MaxValue != nil && n > *p.MaxValue {
			return fmt.Errorf("%q is not a number in its range", value)
		}
	}
	return nil
}

// text gives a scalar as CloudFormation writes it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

// value resolves anything in a template.
func (r *resolver) value(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		return r.list(v)
	case map[string]any:
		return r.object(v)
	default:
		return v, nil
	}
}

func (r *resolver) list(list []any) (any, error) {
	out := []any{}
	for _, e := range list {
		e, err := r.value(e)
		if err != nil {
			return nil, err
		}
		if e != (noValue{}) {
			out = append(out, e)
		}
	}
	return out, nil
}

// object resolves an object, or the function that it is.
func (r *resolver) object(m map[string]any) (any, error) {
	if len(m) == 1 {
		for name, arg := range m {
			// Condition with anything but a name is an element of a policy
			if name == "Ref" || name == "Condition" && isText(arg) || strings.HasPrefix(name, "Fn::") {
				return r.function(name, arg)
			}
		}
	}
	out := map[string]any{}
	for k, e := range m {
		e, err := r.value(e)
		if err != nil {
			return nil, err
		}
		if e != (noValue{}) {
			out[k] = e
		}
	}
	return out, nil
}

func isText(v any) bool { _, ok := v.(string); return ok }

func (r *resolver) function(name string, arg any) (any, error) {
	switch name { // those that look at their argument before it is resolved
	case "Ref":
		return r.ref(text(arg))
	case "Condition":
		return r.condition(text(arg))
	case "Fn::GetAtt":
		return r.getAtt(arg)
	case "Fn::Sub":
		return r.sub(arg)
	case "Fn::If":
		return r.choose(arg)
	}
	f, ok := listFunctions[name]
	if !ok {
		return nil, fmt.Errorf("%s is not supported", name)
	}
	arg, err := r.value(arg)
	if err != nil {
		return nil, err
	}
	list, ok := arg.([]any)
	if !ok || f.arity != 0 && len(list) != f.arity {
		return nil, fmt.Errorf("%s wants a list of %d values", name, f.arity)
	}
	return f.call(r, list)
}

// listFunctions take a list of resolved values; arity 0 is any number.
var listFunctions = map[string]struct {
	arity int
	call  func(r *resolver, list []any) (any, error)
}{
	"Fn::Join":  {2, func(_ *resolver, list []any) (any, error) { return join(list) }},
	"Fn::Split": {2, func(_ *resolver, list []any) (any, error) { return split(list) }},
	"Fn::Select": {2, func(_ *resolver, list []any) (any, error) {
		from, _ := list[1].([]any)
		i, err := strconv.Atoi(text(list[0]))
		if err != nil || i < 0 || i >= len(from) {
			return nil, fmt.Errorf("Fn::Select %v of %d values", list[0], len(from))
		}
		return from[i], nil
	}},
	"Fn::FindInMap": {3, func(r *resolver, list []any) (any, error) {
		v, ok := r.template.Mappings[text(list[0])][text(list[1])][text(list[2])]
		if !ok {
			return nil, fmt.Errorf("Fn::FindInMap: nothing at %v", list)
		}
		return v, nil
	}},
	"Fn::Equals": {2, func(_ *resolver, list []any) (any, error) { return text(list[0]) == text(list[1]), nil }},
	"Fn::Not":    {1, func(_ *resolver, list []any) (any, error) { return list[0] != true, nil }},
	"Fn::And":    {0, func(_ *resolver, list []any) (any, error) { return !slices.Contains(list, any(false)), nil }},
	"Fn::Or":     {0, func(_ *resolver, list []any) (any, error) { return slices.Contains(list, any(true)), nil }},
}

func split(list []any) (any, error) {
	if _, isList := list[1].([]any); isList {
		return nil, fmt.Errorf("Fn::Split wants a text")
	}
	out := []any{}
	for _, s := range strings.Split(text(list[1]), text(list[0])) {
		out = append(out, s)
	}
	return out, nil
}

func join(list []any) (any, error) {
	parts, ok := list[1].([]any)
	if !ok {
		return nil, fmt.Errorf("Fn::Join wants a list of values")
	}
	var s []string
	for _, p := range parts {
		s = append(s, text(p))
	}
	return strings.Join(s, text(list[0])), nil
}

func (r *resolver) choose(arg any) (any, error) {
	list, ok := arg.([]any)
	if !ok || len(list) != 3 {
		return nil, fmt.Errorf("Fn::If wants a condition and two values")
	}
	holds, err := r.condition(text(list[0]))
	if err != nil {
		return nil, err
	}
	if holds {
		return r.value(list[1])
	}
	return r.value(list[2])
}

func (r *resolver) condition(name string) (bool, error) {
	expression, ok := r.template.Conditions[name]
	if !ok {
		return false, fmt.Errorf("no condition %s", name)
	}
	leave, err := r.enter("condition " + name)
	if err != nil {
		return false, err
	}
	defer leave()
	v, err := r.value(expression)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	holds, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("condition %s is no condition", name)
	}
	return holds, nil
}

func (r *resolver) enter(what string) (leave func(), err error) {
	if r.busy[what] {
		return nil, fmt.Errorf("%s depends on itself", what)
	}
	r.busy[what] = true
	return func() { delete(r.busy, what) }, nil
}

func (r *resolver) ref(name string) (any, error) {
	if v, ok := r.parameters[name]; ok {
		return v, nil
	}
	suffix := "amazonaws.com"
	if r.place.Partition == "aws-cn" {
		suffix = "amazonaws.com.cn"
	}
	switch name {
	case "AWS::AccountId":
		return r.place.Account, nil
	case "AWS::Region":
		return r.place.Region, nil
	case "AWS::Partition":
		return r.place.Partition, nil
	case "AWS::URLSuffix":
		return suffix, nil
	case "AWS::StackName":
		return r.place.Name, nil
	case "AWS::StackId":
		return r.arn("cloudformation", "stack/"+r.place.Name+"/00000000-0000-4000-8000-000000000000"), nil
	case "AWS::NoValue":
		return noValue{}, nil
	}
	id, err := r.identity(name)
	if err != nil {
		return nil, fmt.Errorf("reference to %s: %w", name, err)
	}
	return id.ref, nil
}

func (r *resolver) getAtt(arg any) (any, error) {
	name := text(arg)
	if list, ok := arg.([]any); ok && len(list) == 2 {
		name = text(list[0]) + "." + text(list[1])
	}
	logical, attribute, _ := strings.Cut(name, ".")
	id, err := r.identity(logical)
	if err != nil {
		return nil, fmt.Errorf("attribute %s: %w", name, err)
	}
	v, ok := id.attributes[attribute]
	if !ok {
		return nil, fmt.Errorf("attribute %s is not known to the local AWS", name)
	}
	return v, nil
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

func (r *resolver) sub(arg any) (any, error) {
	locals := map[string]any{}
	if list, ok := arg.([]any); ok && len(list) == 2 {
		m, ok := list[1].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("Fn::Sub wants an object of values")
		}
		arg, locals = list[0], m
	}
	pattern, ok := arg.(string)
	if !ok {
		return nil, fmt.Errorf("Fn::Sub wants a string")
	}
	var failure error
	out := placeholder.ReplaceAllStringFunc(pattern, func(m string) string {
		name := strings.TrimSpace(m[2 : len(m)-1])
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		var v any
		var err error
		switch local, isLocal := locals[name]; {
		case isLocal:
			v, err = r.value(local)
		case strings.Contains(name, ".") && !strings.HasPrefix(name, "AWS::"):
			v, err = r.getAtt(name)
		default:
			v, err = r.ref(name)
		}
		if _, isList := v.([]any); isList {
			err = fmt.Errorf("Fn::Sub: %s is a list", name)
		}
		if err != nil && failure == nil {
			failure = err
		}
		return text(v)
	})
	return out, failure
}

func (r *resolver) arn(service, rest string) string {
	return "arn:" + r.place.Partition + ":" + service + ":" + r.place.Region + ":" + r.place.Account + ":" + rest
}
