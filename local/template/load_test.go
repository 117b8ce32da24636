// Package template holds the agreements between template.yaml, the code, the
// sample events and docs/permissions.md.
package template

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	file      = "../../template.yaml"
	forwarder = "../../events/forwarder.yaml"
)

// stack is a template before SAM translates it, with its conditions and
// intrinsic functions worked out for one account, Region and set of parameters.
type stack struct {
	parameters map[string]any // as the template has them
	resources  map[string]resource
	outputs    map[string]any
	assertions map[string]bool // whether they hold, by rule: one each
}

type resource struct {
	kind       string // AWS::SQS::Queue
	properties map[string]any
	attributes map[string]any // all of the resource: DeletionPolicy, Metadata
}

// where is what decides how a stack comes out.
type where struct {
	partition, region, account string
	parameters                 map[string]string // other than the defaults
}

func home() where { return where{partition: "aws", region: "us-east-1", account: "123456789012"} }

func load(t *testing.T, w where) stack {
	t.Helper()
	return loadFile(t, file, w)
}

func loadFile(t *testing.T, file string, w where) stack {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	tree, err := plain(root.Content[0])
	if err != nil {
		t.Fatal(err)
	}
	top := tree.(map[string]any)
	r := &resolver{resources: top["Resources"].(map[string]any)}
	r.conditions, _ = top["Conditions"].(map[string]any)
	r.values = map[string]any{
		"AWS::Partition": w.partition, "AWS::Region": w.region, "AWS::AccountId": w.account, "AWS::StackName": "rolekeeper",
	}
	s := stack{parameters: top["Parameters"].(map[string]any), resources: map[string]resource{}, assertions: map[string]bool{}}
	for name, p := range s.parameters {
		value, given := w.parameters[name]
		if !given {
			value = fmt.Sprint(p.(map[string]any)["Default"])
		}
		r.values[name] = value
		if p.(map[string]any)["Type"] == "CommaDelimitedList" {
			list := []any{}
			for entry := range strings.SplitSeq(value, ",") {
				list = append(list, strings.TrimSpace(entry))
			}
			r.values[name] = list
		}
	}
	globals, _ := at(top, "Globals", "Function").(map[string]any)
	for id, v := range r.resources {
		raw := v.(map[string]any)
		if c, ok := raw["Condition"].(string); ok && !r.condition(c) {
			continue
		}
		attributes := r.resolve(raw).(map[string]any)
		properties, _ := attributes["Properties"].(map[string]any)
		kind := attributes["Type"].(string)
		if text, ok := properties["PolicyDocument"].(string); ok {
			var document any
			if err := json.Unmarshal([]byte(text), &document); err != nil {
				t.Fatalf("the policy of %s: %v\n%s", id, err, text)
			}
			properties["PolicyDocument"] = document
		}
		if kind == "AWS::Serverless::Function" {
			properties = merge(r.resolve(globals).(map[string]any), properties)
		}
		s.resources[id] = resource{kind, properties, attributes}
	}
	s.outputs = r.resolve(top["Outputs"]).(map[string]any)
	rules, _ := top["Rules"].(map[string]any)
	for name, rule := range rules {
		list, _ := at(rule, "Assertions").([]any)
		if len(list) != 1 || fmt.Sprint(at(list[0], "AssertDescription")) == "" {
			t.Fatalf("rule %s: %v", name, list)
		}
		s.assertions[name] = r.resolve(at(list[0], "Assert")) == true
	}
	if len(r.faults) > 0 {
		t.Fatalf("%s:\n%s", file, strings.Join(r.faults, "\n"))
	}
	return s
}

// merge lays the properties of a function over SAM's globals.
func merge(globals, own map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range globals {
		out[k] = v
	}
	for k, v := range own {
		if below, ok := out[k].(map[string]any); ok {
			out[k] = merge(below, v.(map[string]any))
			continue
		}
		out[k] = v
	}
	return out
}

// plain turns YAML with CloudFormation's tags into maps, lists and scalars; a
// tag becomes its long form.
func plain(n *yaml.Node) (any, error) {
	v, err := untagged(n)
	if err != nil || !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return v, err
	}
	switch name := n.Tag[1:]; name {
	case "Ref":
		return map[string]any{"Ref": v}, nil
	case "Condition":
		return map[string]any{"Condition": v}, nil
	case "GetAtt":
		id, attribute, ok := strings.Cut(fmt.Sprint(v), ".")
		if !ok {
			return nil, fmt.Errorf("line %d: !GetAtt %v", n.Line, v)
		}
		return map[string]any{"Fn::GetAtt": []any{id, attribute}}, nil
	default:
		return map[string]any{"Fn::" + name: v}, nil
	}
}

func untagged(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if _, twice := m[key]; twice {
				return nil, fmt.Errorf("line %d: %s is there twice", n.Content[i].Line, key)
			}
			v, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[key] = v
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := plain(c)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.ScalarNode:
		if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
			return n.Value, nil
		}
		var v any
		err := n.Decode(&v)
		return v, err
	}
	return nil, fmt.Errorf("line %d: aliases are not for CloudFormation", n.Line)
}

// resolver works intrinsic functions out. What only a deployment can know
// comes out as a mark: "<InboxQueue>" for !Ref, "<InboxQueue.Arn>" for !GetAtt.
// Buckets and parameters are known by their names, managed policies and roles
// by their ARNs.
type resolver struct {
	conditions, resources map[string]any
	values                map[string]any
	faults                []string
}

func (r *resolver) fault(format string, args ...any) any {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
	return nil
}

func (r *resolver) resolve(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, 0, len(v))
		for _, item := range v {
			if got := r.resolve(item); got != absent {
				list = append(list, got)
			}
		}
		return list
	case map[string]any:
		if name, arg, ok := function(v); ok {
			return r.call(name, arg)
		}
		m := make(map[string]any, len(v))
		for key, item := range v {
			if got := r.resolve(item); got != absent {
				m[key] = got
			}
		}
		return m
	}
	return v
}

// absent is what AWS::NoValue comes to.
const absent = "<AWS::NoValue>"

func function(m map[string]any) (name string, arg any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for k, v := range m {
		if _, text := v.(string); k == "Ref" || strings.HasPrefix(k, "Fn::") || k == "Condition" && text {
			return k, v, true
		}
	}
	return "", nil, false
}

func (r *resolver) call(name string, arg any) any {
	switch name {
	case "Ref":
		return r.ref(fmt.Sprint(arg))
	case "Fn::GetAtt":
		list := arg.([]any)
		return r.attribute(list[0].(string), list[1].(string))
	case "Fn::Sub":
		return r.sub(arg)
	case "Fn::Join":
		list := arg.([]any)
		return strings.Join(texts(r.resolve(list[1])), list[0].(string))
	case "Fn::If":
		list := arg.([]any)
		if r.condition(list[0].(string)) {
			return r.resolve(list[1])
		}
		return r.resolve(list[2])
	case "Fn::Split":
		list := r.resolve(arg).([]any)
		parts := []any{}
		for part := range strings.SplitSeq(list[1].(string), list[0].(string)) {
			parts = append(parts, part)
		}
		return parts
	case "Fn::Or":
		return slices.Contains(r.resolve(arg).([]any), any(true))
	case "Condition":
		return r.condition(arg.(string))
	case "Fn::Equals":
		list := r.resolve(arg).([]any)
		return list[0] == list[1]
	case "Fn::Not":
		return r.resolve(arg).([]any)[0] == false
	case "Fn::Contains":
		list := r.resolve(arg).([]any)
		return slices.Contains(texts(list[0]), fmt.Sprint(list[1]))
	}
	return r.fault("%s is not known to the test", name)
}

func (r *resolver) ref(name string) any {
	if v, ok := r.values[name]; ok {
		return v
	}
	if name == "AWS::NoValue" {
		return absent
	}
	target, ok := r.resources[name].(map[string]any)
	if !ok {
		return r.fault("!Ref %s: nothing of that name", name)
	}
	properties, _ := target["Properties"].(map[string]any)
	switch target["Type"] {
	case "AWS::S3::Bucket":
		return r.resolve(properties["BucketName"])
	case "AWS::IAM::ManagedPolicy":
		return fmt.Sprintf("arn:%s:iam::%s:policy/%s", r.values["AWS::Partition"], r.values["AWS::AccountId"], r.resolve(properties["ManagedPolicyName"]))
	case "AWS::SSM::Parameter":
		return r.resolve(properties["Name"])
	}
	return "<" + name + ">"
}

func (r *resolver) attribute(id, attribute string) any {
	target, ok := r.resources[id].(map[string]any)
	if !ok {
		return r.fault("!GetAtt %s.%s: nothing of that name", id, attribute)
	}
	properties, _ := target["Properties"].(map[string]any)
	switch fmt.Sprint(target["Type"], " ", attribute) {
	case "AWS::IAM::Role Arn":
		return fmt.Sprintf("arn:%s:iam::%s:role/%s", r.values["AWS::Partition"], r.values["AWS::AccountId"], r.resolve(properties["RoleName"]))
	case "AWS::S3::Bucket Arn":
		return fmt.Sprintf("arn:%s:s3:::%s", r.values["AWS::Partition"], r.resolve(properties["BucketName"]))
	}
	return "<" + id + "." + attribute + ">"
}

func (r *resolver) sub(arg any) any {
	text, own := "", map[string]any{}
	switch arg := arg.(type) {
	case string:
		text = arg
	case []any:
		text, own = arg[0].(string), arg[1].(map[string]any)
	}
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := p[2 : len(p)-1]
		if v, ok := own[name]; ok {
			return fmt.Sprint(r.resolve(v))
		}
		if id, attribute, ok := strings.Cut(name, "."); ok {
			return fmt.Sprint(r.attribute(id, attribute))
		}
		return fmt.Sprint(r.ref(name))
	})
}

var placeholder = regexp.MustCompile(`\$\{[A-Za-z0-9:.]+\}`)

func (r *resolver) condition(name string) bool {
	holds, ok := r.resolve(r.conditions[name]).(bool)
	if !ok {
		r.fault("condition %s cannot be worked out", name)
	}
	return holds
}

// of lists the ids of the resources of a kind, sorted.
func (s stack) of(kind string) []string {
	var ids []string
	for id, r := range s.resources {
		if r.kind == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// at follows keys into nested maps; nil when one is missing.
func at(v any, keys ...string) any {
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// texts gives one string or a list of them as a list.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			list = append(list, fmt.Sprint(item))
		}
		return list
	}
	return nil
}

// statements gives the statements of a policy document.
func statements(document any) []map[string]any {
	list, _ := at(document, "Statement").([]any)
	out := make([]map[string]any, 0, len(list))
	for _, v := range list {
		out = append(out, v.(map[string]any))
	}
	return out
}
