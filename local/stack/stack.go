package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"rolekeeper/local/bus"
)

// Stack is a template, resolved.
type Stack struct {
	Place
	Resources map[string]Resource // by logical id; those whose condition holds
	Outputs   map[string]string
	Functions map[string]*Function // by short name
	Mappings  []Mapping
	Rules     []Rule
	Schedules []Schedule
}

// Resource is one resource of a stack.
type Resource struct {
	LogicalID  string
	Type       string
	PhysicalID string         // what Ref gives
	Properties map[string]any // resolved
	Held       bool           // nothing of it is made
}

// Function is a Lambda function of the stack.
type Function struct {
	LogicalID   string
	Short       string // last element of CodeUri: intake for functions/intake
	Name        string // FunctionName
	ARN         string
	Role        string // name of its role
	Code        string // CodeUri, relative to the template
	Timeout     time.Duration
	MemorySize  int // MB
	LogGroup    string
	Environment map[string]string
	// Policies are the identity policies of its role, inline and managed of this
	// stack, resolved, as JSON by name.
	Policies map[string]json.RawMessage
}

// Mapping lets a function read a queue.
type Mapping struct {
	Function                *Function
	QueueURL, QueueARN      string
	BatchSize               int
	MaximumConcurrency      int // 0 when the template sets none
	ReportBatchItemFailures bool
}

// Rule is an event rule of the stack.
type Rule struct {
	LogicalID string
	Name      string
	ARN       string
	Pattern   json.RawMessage
	Targets   []bus.Target
}

// Schedule is a schedule of EventBridge Scheduler that calls a function of the
// stack.
type Schedule struct {
	LogicalID   string
	Name        string
	Expression  string // rate(…) or cron(…)
	Function    *Function
	Role        string // name of the role as which it calls
	Input       string // what the function is given, JSON
	DeadLetters string // ARN of the queue for what the function does not take; may be empty
	// Policies are those of its role, as a Function has them.
	Policies map[string]json.RawMessage
}

// Every gives the time from one run to the next; not ok for a schedule that has
// no rate.
func (s Schedule) Every() (time.Duration, bool) {
	m := rate.FindStringSubmatch(s.Expression)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return time.Duration(n) * units[m[2]], err == nil && n > 0
}

var (
	rate  = regexp.MustCompile(`^rate\(([0-9]+) (minute|hour|day)s?\)$`)
	units = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
)

// Resolve evaluates a template for a place and parameter values. A resource type
// that is neither made nor held is an error.
func Resolve(t *Template, place Place, parameters map[string]string) (*Stack, error) {
	r, err := newResolver(t, place, parameters)
	if err != nil {
		return nil, err
	}
	s := &Stack{Place: place, Resources: map[string]Resource{}, Outputs: map[string]string{}, Functions: map[string]*Function{}}
	var faults []error
	for _, logical := range slices.Sorted(maps.Keys(t.Resources)) {
		if err := s.add(r, logical); err != nil {
			faults = append(faults, fmt.Errorf("resource %s: %w", logical, err))
		}
	}
	for name, o := range t.Outputs {
		if made, err := r.isMade(resource{Condition: o.Condition}); err != nil || !made {
			faults = append(faults, err)
			continue
		}
		v, err := r.value(o.Value)
		if err != nil {
			faults = append(faults, fmt.Errorf("output %s: %w", name, err))
		}
		s.Outputs[name] = text(v)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if err := s.readFunctions(r, t); err != nil {
		return nil, err
	}
	if err := s.readRules(r); err != nil {
		return nil, err
	}
	return s, s.readSchedules()
}

func (s *Stack) add(r *resolver, logical string) error {
	res := r.template.Resources[logical]
	made, err := r.isMade(res)
	if err != nil || !made {
		return err
	}
	_, isHeld := held[res.Type]
	if _, known := makers[res.Type]; !known && !isHeld {
		return fmt.Errorf("type %s is neither made nor held by the local AWS", res.Type)
	}
	id, err := r.identity(logical)
	if err != nil {
		return err
	}
	properties, err := r.value(res.Properties)
	if err != nil {
		return err
	}
	p, _ := properties.(map[string]any)
	if document, isText := p["PolicyDocument"].(string); isText {
		if p["PolicyDocument"], err = policy(document); err != nil {
			return err
		}
	}
	s.Resources[logical] = Resource{LogicalID: logical, Type: res.Type, PhysicalID: id.ref, Properties: p, Held: isHeld}
	return nil
}

// policy reads a policy that a template has as text.
func policy(text string) (map[string]any, error) {
	var document map[string]any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("the policy is not JSON: %w", err)
	}
	return document, nil
}

// convert reads resolved properties into a struct. CloudFormation takes numbers
// and booleans as text too; such fields are of type loose.
func convert(properties map[string]any, out any) error {
	data, err := json.Marshal(properties)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// loose is a scalar in any spelling.
type loose string

// UnmarshalJSON takes strings, numbers and booleans.
func (l *loose) UnmarshalJSON(data []byte) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	switch v.(type) {
	case []any, map[string]any:
		return fmt.Errorf("%.100s is no text", data)
	case nil:
		return nil
	}
	*l = loose(text(v))
	return nil
}

func (l loose) number(otherwise int) (int, error) {
	if l == "" {
		return otherwise, nil
	}
	return strconv.Atoi(string(l))
}

func (s *Stack) readFunctions(r *resolver, t *Template) error {
	for logical, res := range s.Resources {
		if res.Type != "AWS::Lambda::Function" {
			continue
		}
		var in struct {
			Role                string
			Timeout, MemorySize loose
			LoggingConfig       struct{ LogGroup string }
			Environment         struct{ Variables map[string]loose }
		}
		if err := convert(res.Properties, &in); err != nil {
			return fmt.Errorf("function %s: %w", logical, err)
		}
		seconds, err := in.Timeout.number(3) // Lambda's default
		if err != nil {
			return fmt.Errorf("function %s: timeout: %w", logical, err)
		}
		memory, err := in.MemorySize.number(128)
		if err != nil {
			return fmt.Errorf("function %s: memory: %w", logical, err)
		}
		id, err := r.identity(logical)
		if err != nil {
			return err
		}
		f := &Function{
			LogicalID: logical, Short: path.Base(t.Code[logical]), Name: res.PhysicalID, ARN: id.attributes["Arn"],
			Role: path.Base(in.Role), Code: t.Code[logical], Timeout: time.Duration(seconds) * time.Second, MemorySize: memory,
			LogGroup: in.LoggingConfig.LogGroup, Environment: map[string]string{},
		}
		for k, v := range in.Environment.Variables {
			f.Environment[k] = string(v)
		}
		if f.LogGroup == "" {
			f.LogGroup = "/aws/lambda/" + f.Name
		}
		if f.Policies, err = s.policies(f.Role); err != nil {
			return fmt.Errorf("function %s: %w", logical, err)
		}
		if other := s.Functions[f.Short]; other != nil {
			return fmt.Errorf("functions %s and %s are both called %s", other.LogicalID, logical, f.Short)
		}
		s.Functions[f.Short] = f
	}
	return s.readMappings()
}

type roleProperties struct {
	AssumeRolePolicyDocument json.RawMessage
	Description              string
	Path                     string
	MaxSessionDuration       loose
	PermissionsBoundary      string
	ManagedPolicyArns        []string
	Policies                 []struct {
		PolicyName     string
		PolicyDocument json.RawMessage
	}
	Tags []struct{ Key, Value string }
}

// policies gives the identity policies of a role of this stack.
func (s *Stack) policies(role string) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for logical, res := range s.Resources {
		if res.Type != "AWS::IAM::Role" || res.PhysicalID != role {
			continue
		}
		var in roleProperties
		if err := convert(res.Properties, &in); err != nil {
			return nil, fmt.Errorf("role %s: %w", logical, err)
		}
		for _, p := range in.Policies {
			out[p.PolicyName] = p.PolicyDocument
		}
		for _, arn := range in.ManagedPolicyArns {
			document, err := s.managed(arn)
			if err != nil {
				return nil, fmt.Errorf("role %s: %w", logical, err)
			}
			out[arn] = document
		}
		return out, nil
	}
	return nil, fmt.Errorf("no role %q in the stack", role)
}

func (s *Stack) managed(arn string) (json.RawMessage, error) {
	for _, res := range s.Resources {
		if res.Type == "AWS::IAM::ManagedPolicy" && res.PhysicalID == arn {
			return json.Marshal(res.Properties["PolicyDocument"])
		}
	}
	return nil, fmt.Errorf("managed policy %s is not of this stack", arn)
}

func (s *Stack) readMappings() error {
	for _, logical := range slices.Sorted(maps.Keys(s.Resources)) {
		res := s.Resources[logical]
		if res.Type != "AWS::Lambda::EventSourceMapping" {
			continue
		}
		var in struct {
			EventSourceArn, FunctionName string
			BatchSize                    loose
			FunctionResponseTypes        []string
			ScalingConfig                struct{ MaximumConcurrency loose }
			FilterCriteria               any
		}
		if err := convert(res.Properties, &in); err != nil {
			return fmt.Errorf("event source mapping %s: %w", logical, err)
		}
		if in.FilterCriteria != nil {
			return fmt.Errorf("event source mapping %s: filter criteria are not supported", logical)
		}
		m := Mapping{QueueARN: in.EventSourceArn, ReportBatchItemFailures: slices.Contains(in.FunctionResponseTypes, "ReportBatchItemFailures")}
		m.QueueURL = s.Endpoint + "/" + s.Account + "/" + bus.QueueName(in.EventSourceArn)
		var err error
		if m.BatchSize, err = in.BatchSize.number(10); err != nil {
			return fmt.Errorf("event source mapping %s: batch size: %w", logical, err)
		}
		if m.MaximumConcurrency, err = in.ScalingConfig.MaximumConcurrency.number(0); err != nil {
			return fmt.Errorf("event source mapping %s: concurrency: %w", logical, err)
		}
		if m.Function = s.function(in.FunctionName); m.Function == nil {
			return fmt.Errorf("event source mapping %s: no function %s", logical, in.FunctionName)
		}
		s.Mappings = append(s.Mappings, m)
	}
	return nil
}

// function finds a function by name or ARN; nil when there is none.
func (s *Stack) function(nameOrARN string) *Function {
	for _, f := range s.Functions {
		if f.Name == nameOrARN || f.ARN == nameOrARN {
			return f
		}
	}
	return nil
}

func (s *Stack) readSchedules() error {
	for _, logical := range slices.Sorted(maps.Keys(s.Resources)) {
		res := s.Resources[logical]
		if res.Type != "AWS::Scheduler::Schedule" {
			continue
		}
		var in struct {
			ScheduleExpression, State string
			Target                    struct {
				Arn, RoleArn, Input string
				DeadLetterConfig    struct{ Arn string }
			}
		}
		if err := convert(res.Properties, &in); err != nil {
			return fmt.Errorf("schedule %s: %w", logical, err)
		}
		if in.State == "DISABLED" {
			continue
		}
		out := Schedule{
			LogicalID: logical, Name: res.PhysicalID, Expression: in.ScheduleExpression, Function: s.function(in.Target.Arn),
			Role: path.Base(in.Target.RoleArn), Input: in.Target.Input, DeadLetters: in.Target.DeadLetterConfig.Arn,
		}
		if out.Function == nil {
			return fmt.Errorf("schedule %s: %s is no function of the stack", logical, in.Target.Arn)
		}
		if !json.Valid([]byte(out.Input)) {
			return fmt.Errorf("schedule %s: the input is not JSON; Scheduler's own is not supported", logical)
		}
		if out.DeadLetters != "" {
			if err := s.hasQueue(out.DeadLetters); err != nil {
				return fmt.Errorf("schedule %s: dead letters: %w", logical, err)
			}
		}
		var err error
		if out.Policies, err = s.policies(out.Role); err != nil {
			return fmt.Errorf("schedule %s: %w", logical, err)
		}
		s.Schedules = append(s.Schedules, out)
	}
	return nil
}

func (s *Stack) readRules(r *resolver) error {
	for _, logical := range slices.Sorted(maps.Keys(s.Resources)) {
		res := s.Resources[logical]
		if res.Type != "AWS::Events::Rule" {
			continue
		}
		var in struct {
			EventPattern       json.RawMessage
			ScheduleExpression string
			State              string
			Targets            []struct {
				Arn, ID, Input, InputPath string
				InputTransformer          any
				SqsParameters             struct{ MessageGroupID string }
				DeadLetterConfig          struct{ Arn string }
			}
		}
		if err := convert(res.Properties, &in); err != nil {
			return fmt.Errorf("rule %s: %w", logical, err)
		}
		if in.State == "DISABLED" {
			continue
		}
		if in.ScheduleExpression != "" || in.EventPattern == nil {
			return fmt.Errorf("rule %s: only rules with an event pattern are supported", logical)
		}
		if _, err := bus.Compile(in.EventPattern); err != nil {
			return fmt.Errorf("rule %s: %w", logical, err)
		}
		id, err := r.identity(logical)
		if err != nil {
			return err
		}
		rule := Rule{LogicalID: logical, Name: res.PhysicalID, ARN: id.attributes["Arn"], Pattern: in.EventPattern}
		for _, t := range in.Targets {
			if t.Input != "" || t.InputPath != "" || t.InputTransformer != nil {
				return fmt.Errorf("rule %s: target %s: changed input is not supported", logical, t.ID)
			}
			if err := s.hasQueue(t.Arn); err != nil && s.function(t.Arn) == nil {
				return fmt.Errorf("rule %s: target %s: %w, and no function", logical, t.ID, err)
			}
			rule.Targets = append(rule.Targets, bus.Target{
				ID: t.ID, ARN: t.Arn, MessageGroup: t.SqsParameters.MessageGroupID, DeadLetters: t.DeadLetterConfig.Arn,
			})
		}
		s.Rules = append(s.Rules, rule)
	}
	return nil
}

// hasQueue says that a queue is not of the stack.
func (s *Stack) hasQueue(arn string) error {
	for _, res := range s.Resources {
		if res.Type == "AWS::SQS::Queue" && bus.QueueName(res.PhysicalID) == bus.QueueName(arn) {
			return nil
		}
	}
	return fmt.Errorf("%s is no queue of the stack", arn)
}

// Held gives the types of which nothing is made, with the reason.
func Held() map[string]string { return maps.Clone(held) }
