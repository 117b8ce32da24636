package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/bus"
	"rolekeeper/shared/event"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/settings"
)

const day = 24 * 60 * 60

func TestADeploymentNeedsNoParameter(t *testing.T) {
	for name, v := range load(t, home()).parameters {
		p := v.(map[string]any)
		if p["Default"] == nil || p["Description"] == nil {
			t.Errorf("%s has no default or no description", name)
		}
		pattern, isText := p["AllowedPattern"].(string)
		if isText && !regexp.MustCompile(pattern).MatchString(fmt.Sprint(p["Default"])) {
			t.Errorf("%s does not allow its default", name)
		}
		if allowed := texts(p["AllowedValues"]); allowed != nil && !slices.Contains(allowed, fmt.Sprint(p["Default"])) {
			t.Errorf("%s does not allow its default", name)
		}
		if !isText && p["AllowedValues"] == nil && p["MinValue"] == nil {
			t.Errorf("%s allows anything", name)
		}
	}
}

func TestEveryQueueHasItsDeadLetters(t *testing.T) {
	s := load(t, home())
	deadLetters := map[string]string{} // by the queue that they come from
	for _, id := range s.of("AWS::SQS::Queue") {
		if arn, ok := at(s.resources[id].properties, "RedrivePolicy", "deadLetterTargetArn").(string); ok {
			deadLetters[id] = strings.TrimSuffix(strings.Trim(arn, "<>"), ".Arn")
		}
	}
	if want := (map[string]string{"InboxQueue": "InboxDeadLetterQueue", "WorkQueue": "WorkDeadLetterQueue", "SlrwatchQueue": "SlrwatchDeadLetterQueue"}); !maps.Equal(deadLetters, want) {
		t.Fatalf("dead letters: %v, want %v", deadLetters, want)
	}
	if got, want := len(s.of("AWS::SQS::Queue")), 2*len(deadLetters); got != want {
		t.Errorf("%d queues, want %d: each is read, or holds the dead letters of one that is", got, want)
	}
	for id, dead := range deadLetters {
		queue, letters := s.resources[id].properties, s.resources[dead].properties
		if got := at(queue, "RedrivePolicy", "maxReceiveCount"); got != 10 {
			t.Errorf("%s: maxReceiveCount %v, want 10", id, got)
		}
		if queue["FifoQueue"] != letters["FifoQueue"] {
			t.Errorf("%s and %s are not of one kind", id, dead)
		}
		if got := letters["MessageRetentionPeriod"]; got != 14*day {
			t.Errorf("%s keeps messages %v s, want 14 days", dead, got)
		}
		if letters["RedrivePolicy"] != nil {
			t.Errorf("%s passes its messages on", dead)
		}
	}
	for _, id := range s.of("AWS::SQS::Queue") {
		p := s.resources[id].properties
		if p["SqsManagedSseEnabled"] != true {
			t.Errorf("%s is not encrypted", id)
		}
		name := fmt.Sprint(p["QueueName"])
		if fifo := p["FifoQueue"] == true; fifo != strings.HasSuffix(name, ".fifo") {
			t.Errorf("%s: a queue called %s with FifoQueue %v", id, name, fifo)
		}
	}
}

func TestTheWorkQueueIsOfHighThroughput(t *testing.T) {
	s := load(t, home())
	got := map[string]any{}
	for _, name := range []string{"FifoQueue", "DeduplicationScope", "FifoThroughputLimit", "ContentBasedDeduplication"} {
		got[name] = s.resources["WorkQueue"].properties[name]
	}
	want := map[string]any{
		"FifoQueue": true, "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId", "ContentBasedDeduplication": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("work queue (-want +got):\n%s", diff)
	}
}

func TestAFunctionReadsOneQueueAtItsPaceOrHasASchedule(t *testing.T) {
	tests := map[string]struct {
		queue       string
		batch       int
		concurrency any
	}{
		"IntakeFunction":    {"InboxQueue", 10, 5},
		"ReconcileFunction": {"WorkQueue", 1, "5"},
		"SlrwatchFunction":  {"SlrwatchQueue", 10, 2}, // and has a schedule
	}
	s := load(t, home())
	if got, want := s.of("AWS::Serverless::Function"), append(slices.Collect(maps.Keys(tests)), "DriftFunction"); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Fatalf("functions: %v, want %v", got, want)
	}
	for id, want := range tests {
		t.Run(id, func(t *testing.T) {
			p := s.resources[id].properties
			events, _ := p["Events"].(map[string]any)
			events = maps.Clone(events)
			maps.DeleteFunc(events, func(_ string, e any) bool { return at(e, "Type") == "ScheduleV2" })
			if len(events) != 1 {
				t.Fatalf("%d events, want the one queue", len(events))
			}
			for _, e := range events {
				got := at(e, "Properties")
				if at(e, "Type") != "SQS" || at(got, "Queue") != "<"+want.queue+".Arn>" {
					t.Errorf("reads %v, want %s", at(got, "Queue"), want.queue)
				}
				if at(got, "BatchSize") != want.batch || at(got, "ScalingConfig", "MaximumConcurrency") != want.concurrency {
					t.Errorf("batches of %v, %v at a time; want %d, %v", at(got, "BatchSize"), at(got, "ScalingConfig", "MaximumConcurrency"), want.batch, want.concurrency)
				}
				if !slices.Equal(texts(at(got, "FunctionResponseTypes")), []string{"ReportBatchItemFailures"}) {
					t.Error("one message's failure would bring the whole batch back")
				}
			}
			timeout, _ := p["Timeout"].(int)
			visibility, _ := s.resources[want.queue].properties["VisibilityTimeout"].(int)
			if timeout <= 0 || visibility < 6*timeout {
				t.Errorf("visibility %d s, want at least six times the timeout of %d s", visibility, timeout)
			}
		})
	}
}

// Lambda ends a function that takes more memory than it has, whatever of it is
// garbage.
func TestThePassCollectsGarbageBeforeItRunsOutOfMemory(t *testing.T) {
	p := load(t, home()).resources["DriftFunction"].properties
	memory, _ := p["MemorySize"].(int)
	limit, err := strconv.Atoi(strings.TrimSuffix(fmt.Sprint(at(p, "Environment", "Variables", "GOMEMLIMIT")), "MiB"))
	if err != nil || limit < memory/2 || limit > memory*9/10 {
		t.Errorf("a limit of %d MiB, %v, in %d MB", limit, err, memory)
	}
}

func TestSchedulesCallTheirFunctions(t *testing.T) {
	for name, c := range map[string]struct{ event, expression, letters string }{
		"Drift":    {"Pass", "rate(1 hour)", "InboxDeadLetterQueue"},
		"Slrwatch": {"Look", "rate(1 day)", "SlrwatchDeadLetterQueue"},
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, home())
			id, short := name+"Function", "rolekeeper-"+strings.ToLower(name)
			p := s.resources[id].properties
			if at(p, "Events", c.event, "Type") != "ScheduleV2" {
				t.Fatalf("events: %v", p["Events"])
			}
			got, _ := at(p, "Events", c.event, "Properties").(map[string]any)
			for key, want := range map[string]any{
				"Name": short, "ScheduleExpression": c.expression, "Input": "{}", "State": nil, "GroupName": nil, // that of the trust is the default one
				"RoleArn": "arn:aws:iam::123456789012:role/" + short + "-schedule-us-east-1",
			} {
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
			if letters := at(got, "DeadLetterConfig", "Arn"); letters != "<"+c.letters+".Arn>" || s.resources[c.letters].properties["FifoQueue"] != nil {
				t.Errorf("dead letters go to %v", letters)
			}
			role := inline(s, name+"ScheduleRole")
			if !allowed(role, "sqs:SendMessage", "<"+c.letters+".Arn>") || !allowed(role, "lambda:InvokeFunction", "<"+id+".Arn>") || len(role) != 2 {
				t.Errorf("the schedule's role may do %v", role)
			}
			if age := at(got, "RetryPolicy", "MaximumEventAgeInSeconds"); age != 3600 {
				t.Errorf("a call is tried for %v s, want an hour", age)
			}
			// Lambda's longest timeout.
			if p["Timeout"] != 900 || p["ReservedConcurrentExecutions"] != nil {
				t.Errorf("timeout %v, %v reserved", p["Timeout"], p["ReservedConcurrentExecutions"])
			}
		})
	}
	const own = "cron(0 6 * * ? *)"
	s := load(t, given(map[string]string{"DriftSchedule": own}))
	if got := at(s.resources["DriftFunction"].properties, "Events", "Pass", "Properties", "ScheduleExpression"); got != own {
		t.Errorf("the pass runs on %v, want %s", got, own)
	}
}

// SAM makes a role, and attaches managed policies to it, for a function
// without one; and to a given role for some kinds of events and settings.
func TestFunctionsAreBuiltAndRunAsTheyShould(t *testing.T) {
	s := load(t, home())
	for _, id := range s.of("AWS::Serverless::Function") {
		p := s.resources[id].properties
		name := strings.ToLower(strings.TrimSuffix(id, "Function"))
		for key, want := range map[string]any{
			"Runtime": "provided.al2023", "Handler": "bootstrap", "FunctionName": "rolekeeper-" + name, "CodeUri": "functions/" + name,
			"Role": fmt.Sprintf("arn:aws:iam::123456789012:role/rolekeeper-%s-us-east-1", name), "Policies": nil, "Tracing": nil, "VpcConfig": nil,
			"RecursiveLoop": "Allow", // wake-ups come round through both queues
		} {
			if p[key] != want {
				t.Errorf("%s: %s is %v, want %v", id, key, p[key], want)
			}
		}
		if !slices.Equal(texts(p["Architectures"]), []string{"arm64"}) {
			t.Errorf("%s is not for arm64", id)
		}
		if at(s.resources[id].attributes, "Metadata", "BuildMethod") != "go1.x" {
			t.Errorf("%s is not built with Go", id)
		}
		if _, err := os.Stat(filepath.Join("../..", fmt.Sprint(p["CodeUri"]), "main.go")); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		group := strings.Trim(fmt.Sprint(at(p, "LoggingConfig", "LogGroup")), "<>")
		if at(p, "LoggingConfig", "LogFormat") != "JSON" || s.resources[group].kind != "AWS::Logs::LogGroup" || s.resources[group].properties["RetentionInDays"] == nil {
			t.Errorf("%s: logging is %v", id, p["LoggingConfig"])
		}
	}
}

func TestFunctionsGetTheSettingsTheyRead(t *testing.T) {
	tests := map[string]struct {
		settings any
		load     func(map[string]string) error
	}{
		"IntakeFunction":    {settings.Intake{}, func(m map[string]string) error { _, err := settings.LoadIntake(m); return err }},
		"ReconcileFunction": {settings.Reconcile{}, func(m map[string]string) error { _, err := settings.LoadReconcile(m); return err }},
		"DriftFunction":     {settings.Drift{}, func(m map[string]string) error { _, err := settings.LoadDrift(m); return err }},
		"SlrwatchFunction":  {settings.Slrwatch{}, func(m map[string]string) error { _, err := settings.LoadSlrwatch(m); return err }},
	}
	s := load(t, home())
	for id, test := range tests {
		t.Run(id, func(t *testing.T) {
			want := []string{"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} // the SDK's
			if id == "DriftFunction" {
				want = append(want, "GOMEMLIMIT") // Go's
			}
			for _, field := range reflect.VisibleFields(reflect.TypeOf(test.settings)) {
				name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
				if !field.Anonymous && name != "AWS_REGION" { // Lambda's own
					want = append(want, name)
				}
			}
			slices.Sort(want)
			variables := at(s.resources[id].properties, "Environment", "Variables").(map[string]any)
			if got := slices.Sorted(maps.Keys(variables)); !slices.Equal(got, want) {
				t.Errorf("variables (-code +template):\n%s", cmp.Diff(want, got))
			}
			environ := map[string]string{"AWS_REGION": "us-east-1"}
			for name, v := range variables {
				environ[name] = fmt.Sprint(v)
				if strings.HasSuffix(name, "_QUEUE_URL") {
					environ[name] = "https://sqs.us-east-1.amazonaws.com/123456789012/" + strings.Trim(fmt.Sprint(v), "<>")
				}
			}
			if err := test.load(environ); err != nil {
				t.Errorf("the code refuses what the template gives: %v", err)
			}
		})
	}
	for name, queue := range map[string]string{
		"INBOX_QUEUE_URL": "<InboxQueue>", "WORK_QUEUE_URL": "<WorkQueue>",
		"INBOX_DEAD_LETTER_QUEUE_URL": "<InboxDeadLetterQueue>", "WORK_DEAD_LETTER_QUEUE_URL": "<WorkDeadLetterQueue>",
		"SLRWATCH_QUEUE_URL": "<SlrwatchQueue>", "SLRWATCH_DEAD_LETTER_QUEUE_URL": "<SlrwatchDeadLetterQueue>",
	} {
		for id := range tests {
			if got := at(s.resources[id].properties, "Environment", "Variables", name); got != nil && got != queue {
				t.Errorf("%s: %s is %v, want %s", id, name, got, queue)
			}
		}
	}
}

func TestRulesReachTheirQueues(t *testing.T) {
	s := load(t, home())
	allowed := map[string][]string{} // ARNs of rules that may send, by queue
	for _, id := range s.of("AWS::SQS::QueuePolicy") {
		p := s.resources[id].properties
		queue := strings.Trim(strings.Join(texts(p["Queues"]), ","), "<>")
		tls := false
		for _, st := range statements(p["PolicyDocument"]) {
			if r := texts(st["Resource"]); !slices.Equal(r, []string{"<" + queue + ".Arn>"}) {
				t.Errorf("%s: a statement for %v on %s", id, r, queue)
			}
			switch st["Effect"] {
			case "Deny":
				tls = tls || st["Principal"] == "*" && st["Action"] == "sqs:*" && at(st, "Condition", "Bool", "aws:SecureTransport") == "false"
			case "Allow":
				if at(st, "Principal", "Service") != "events.amazonaws.com" || st["Action"] != "sqs:SendMessage" {
					t.Errorf("%s lets %v do %v", id, st["Principal"], st["Action"])
				}
				from := texts(at(st, "Condition", "ArnEquals", "aws:SourceArn"))
				if len(from) == 0 {
					t.Errorf("%s lets any rule of any account send", id)
				}
				allowed[queue] = append(allowed[queue], from...)
			}
		}
		if !tls {
			t.Errorf("%s allows requests without TLS", id)
		}
	}
	if got, want := len(s.of("AWS::SQS::QueuePolicy")), len(s.of("AWS::SQS::Queue")); got != want {
		t.Errorf("%d queue policies for %d queues", got, want)
	}
	for queue := range allowed {
		slices.Sort(allowed[queue])
	}
	used := map[string][]string{}
	for _, id := range s.of("AWS::Events::Rule") {
		targets, _ := s.resources[id].properties["Targets"].([]any)
		if len(targets) == 0 {
			t.Errorf("%s has no target", id)
		}
		for _, target := range targets {
			for _, arn := range []any{at(target, "Arn"), at(target, "DeadLetterConfig", "Arn")} {
				queue := strings.TrimSuffix(strings.Trim(fmt.Sprint(arn), "<>"), ".Arn")
				if s.resources[queue].kind == "AWS::Serverless::Function" {
					continue // TestAnApprovalForTheFleetHasThePassRunAtOnce
				}
				if s.resources[queue].kind != "AWS::SQS::Queue" || s.resources[queue].properties["FifoQueue"] != nil {
					t.Errorf("%s sends to %v, which is no standard queue", id, arn)
				}
				used[queue] = append(used[queue], "<"+id+".Arn>")
			}
		}
	}
	if diff := cmp.Diff(used, allowed); diff != "" {
		t.Errorf("rules that send and rules that may (-rules +policies):\n%s", diff)
	}
}

// rules compiles the patterns of all rules.
func rules(t *testing.T, s stack) map[string]*bus.Pattern {
	t.Helper()
	all := map[string]*bus.Pattern{}
	for _, id := range s.of("AWS::Events::Rule") {
		raw, err := json.Marshal(s.resources[id].properties["EventPattern"])
		if err != nil {
			t.Fatal(err)
		}
		if all[id], err = bus.Compile(raw); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	return all
}

// ruleOf gives the rules that a sample event is to match, by the name of its file.
func ruleOf(file string) []string {
	if strings.HasSuffix(file, "-failed.json") && strings.HasPrefix(file, "cloudtrail-") {
		return nil // a call that changed nothing
	}
	for prefix, rules := range map[string][]string{
		"s3-config-": {"ConfigChangedRule"}, "s3-request-": {"RequestWrittenRule"}, "s3-source-uploaded": {"SourceUploadedRule"}, "s3-fleet-request-": {"FleetRequestWrittenRule"},
		"codebuild-build-": {"BuildEndedRule"}, "cloudtrail-runtime-": {"LinkedResourceChangedRule", "RuntimeChangedRule"}, "cloudtrail-gateway-": {"LinkedResourceChangedRule"},
		"cloudtrail-role-":                {"RoleChangedRule"}, // whoever changed it
		"cloudtrail-service-linked-role-": {"ServiceLinkedRoleChangedRule"},
	} {
		if strings.HasPrefix(file, prefix) {
			return rules
		}
	}
	return nil // a source that has expired
}

func TestEverySampleEventMatchesItsRule(t *testing.T) {
	all := rules(t, load(t, home()))
	files, err := filepath.Glob("../../events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	covered := map[event.Kind]bool{{Source: event.Source, DetailType: event.WakeDetailType}: true} // comes straight to the inbox
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Source     string `json:"source"`
			DetailType string `json:"detail-type"`
		}
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if e.Source == "" || e.Source == event.Source {
			continue // a batch of a queue, or our own
		}
		covered[event.Kind{Source: e.Source, DetailType: e.DetailType}] = true
		if matched, want := matches(all, data), ruleOf(filepath.Base(name)); !slices.Equal(matched, want) {
			t.Errorf("%s matches the rules %v, want %v", name, matched, want)
		}
	}
	for _, kind := range event.Kinds() {
		if !covered[kind] {
			t.Errorf("the code reads %v, and there is no sample of it", kind)
		}
	}
	if got, want := len(covered), len(event.Kinds()); got != want {
		t.Errorf("samples of %d kinds, the code reads %d", got, want)
	}
}

func TestRulesLeaveTheRestAlone(t *testing.T) {
	all := rules(t, load(t, home()))
	const config, source, build = "s3-config-uploaded.json", "s3-source-uploaded.json", "codebuild-build-ended.json"
	const runtime, role = "cloudtrail-runtime-deleted.json", "cloudtrail-role-edited.json"
	const target, linked = "cloudtrail-gateway-target-created.json", "cloudtrail-service-linked-role-deletion.json"
	for name, c := range map[string]struct{ sample, old, new string }{
		"a status was written":              {config, "configs/team", "status/team"},
		"another bucket":                    {config, "bedrock-agentcore-configs-", "somebodys-configs-"},
		"an object was restored":            {config, "Object Created", "Object Restore Completed"},
		"another source says so":            {config, `"aws.s3"`, `"some.body"`},
		"a key that only begins like":       {config, "configs/team", "configs-of-team"},
		"a source was deleted":              {source, "Object Created", "Object Deleted"},
		"a source in another bucket":        {source, "bedrock-agentcore-codebuild-sources-", "somebodys-sources-"},
		"what is not a source":              {source, "/source.zip", "/deployment.zip"},
		"a key that only ends like":         {source, "/source.zip", "/my-source.zip"},
		"a build has started":               {build, `"SUCCEEDED"`, `"IN_PROGRESS"`},
		"a build is in another phase":       {build, "Build State Change", "Build Phase Change"},
		"a build of another project":        {build, "bedrock-agentcore-", "somebodys-"},
		"a project that only begins like":   {build, "-builder", "-deployer"},
		"another source tells of the build": {build, `"aws.codebuild"`, `"some.body"`},
		"an endpoint was deleted":           {runtime, `"DeleteAgentRuntime"`, `"DeleteAgentRuntimeEndpoint"`},
		"a runtime was read":                {runtime, `"DeleteAgentRuntime"`, `"GetAgentRuntime"`},
		"another service's runtime":         {runtime, `"bedrock-agentcore.amazonaws.com"`, `"some.body"`},
		"another source tells of a runtime": {runtime, `"aws.bedrock-agentcore"`, `"some.body"`},
		"CloudTrail tells of a sign-in":     {runtime, "AWS API Call via CloudTrail", "AWS Console Sign In via CloudTrail"},
		"a role was read":                   {role, `"PutRolePolicy"`, `"GetRolePolicy"`},
		"a user was changed":                {role, `"PutRolePolicy"`, `"PutUserPolicy"`},
		"a role of another name":            {role, "AmazonBedrockAgentCoreSDKRuntime-", "somebodys-"},
		"a role of another Region":          {role, "Runtime-us-east-1-", "Runtime-us-east-2-"},
		"the role is named elsewhere":       {role, `"roleName"`, `"policyName2"`},
		"another service's role":            {role, `"iam.amazonaws.com"`, `"some.body"`},
		"another source tells of a role":    {role, `"aws.iam"`, `"some.body"`},

		"a gateway was read":                            {target, `"CreateGatewayTarget"`, `"GetGateway"`},
		"a gateway's rule was made":                     {target, `"CreateGatewayTarget"`, `"CreateGatewayRule"`},
		"another service's gateway":                     {target, `"bedrock-agentcore.amazonaws.com"`, `"some.body"`},
		"another source tells of a gateway":             {target, `"aws.bedrock-agentcore"`, `"some.body"`},
		"how far a deletion is was asked":               {linked, `"DeleteServiceLinkedRole"`, `"GetServiceLinkedRoleDeletionStatus"`},
		"a service-linked role of another service":      {linked, "AWSServiceRoleForBedrockAgentCore", "AWSServiceRoleForBedrock"},
		"another service's service-linked role":         {linked, `"iam.amazonaws.com"`, `"some.body"`},
		"another source tells of a service-linked role": {linked, `"aws.iam"`, `"some.body"`},
	} {
		t.Run(name, func(t *testing.T) {
			sample, err := os.ReadFile("../../events/" + c.sample)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.ReplaceAll(string(sample), c.old, c.new)
			if changed == string(sample) {
				t.Fatal("the sample does not hold what the test replaces")
			}
			if matched := matches(all, []byte(changed)); len(matched) != 0 {
				t.Errorf("matches %v", matched)
			}
		})
	}
}

// Of all that AgentCore can be asked, the rule takes what the code looks at.
func TestTheRuleAndTheCodeKnowTheSameCallsOfAgentCore(t *testing.T) {
	data, err := os.ReadFile("../../events/cloudtrail-gateway-target-created.json")
	if err != nil {
		t.Fatal(err)
	}
	all := rules(t, load(t, home()))
	var led []string
	calls := reflect.TypeFor[*bedrockagentcorecontrol.Client]()
	for i := range calls.NumMethod() {
		name := calls.Method(i).Name
		e := strings.ReplaceAll(string(data), `"CreateGatewayTarget"`, `"`+name+`"`)
		_, err := event.DecodeNotice(e, event.Here{Account: "123456789012", Region: "us-east-1"})
		if matched := slices.Contains(matches(all, []byte(e)), "LinkedResourceChangedRule"); matched != (err == nil) {
			t.Errorf("%s: the rule takes it: %v, the code says %v", name, matched, err)
		}
		if err == nil {
			led = append(led, name)
		}
	}
	if want := event.LinkedResourceCalls(); !slices.Equal(led, want) {
		t.Errorf("calls (-code +AgentCore):\n%s", cmp.Diff(want, led))
	}
}

func TestHoweverABuildEndsIntakeIsTold(t *testing.T) {
	sample, err := os.ReadFile("../../events/codebuild-build-ended.json")
	if err != nil {
		t.Fatal(err)
	}
	all := rules(t, load(t, home()))
	for _, status := range []string{"SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED"} {
		e := strings.ReplaceAll(string(sample), `"SUCCEEDED"`, `"`+status+`"`)
		if matched := matches(all, []byte(e)); !slices.Equal(matched, []string{"BuildEndedRule"}) {
			t.Errorf("%s: matches %v", status, matched)
		}
	}
}

func TestOperatorsRequestsAreHeardOnceTheyAreWritten(t *testing.T) {
	sample, err := os.ReadFile("../../events/s3-config-uploaded.json")
	if err != nil {
		t.Fatal(err)
	}
	all := rules(t, load(t, home()))
	request := naming.RequestKey("configs/team/agent.yaml", "1")
	for name, test := range map[string]struct {
		key, detailType string
		want            []string
	}{
		"a request for a config is written":  {request, "Object Created", []string{"RequestWrittenRule"}},
		"a request for a config expires":     {request, "Object Deleted", nil},
		"a request for the fleet is written": {naming.FleetRequestKey("1"), "Object Created", []string{"FleetRequestWrittenRule"}},
		"a request for the fleet expires":    {naming.FleetRequestKey("1"), "Object Deleted", nil},
		"what begins like one":               {"requests/fleet-1.json", "Object Created", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var e map[string]any
			if err := json.Unmarshal(sample, &e); err != nil {
				t.Fatal(err)
			}
			e["detail-type"] = test.detailType
			at(e, "detail", "object").(map[string]any)["key"] = test.key
			if matched := matches(all, []byte(text(t, e))); !slices.Equal(matched, test.want) {
				t.Errorf("matches %v, want %v", matched, test.want)
			}
		})
	}
}

func TestAnApprovalForTheFleetHasThePassRunAtOnce(t *testing.T) {
	s := load(t, home())
	permissions := s.of("AWS::Lambda::Permission")
	if len(permissions) != 1 {
		t.Fatalf("functions are called by %v", permissions)
	}
	want := map[string]any{
		"Action": "lambda:InvokeFunction", "FunctionName": "<DriftFunction>", "Principal": "events.amazonaws.com", "SourceArn": "<FleetRequestWrittenRule.Arn>",
	}
	if diff := cmp.Diff(want, s.resources[permissions[0]].properties); diff != "" {
		t.Errorf("who may call (-want +template):\n%s", diff)
	}
	called := map[string]string{} // by rule
	for _, id := range s.of("AWS::Events::Rule") {
		for _, target := range s.resources[id].properties["Targets"].([]any) {
			if arn := fmt.Sprint(at(target, "Arn")); strings.HasSuffix(arn, "Function.Arn>") {
				called[id] = arn
			}
		}
	}
	if !maps.Equal(called, map[string]string{"FleetRequestWrittenRule": "<DriftFunction.Arn>"}) {
		t.Errorf("functions that rules call: %v", called)
	}
	targets, _ := s.resources["FleetRequestWrittenRule"].properties["Targets"].([]any)
	if len(targets) != 2 || at(targets[1], "Arn") != "<SlrwatchQueue.Arn>" || at(targets[1], "DeadLetterConfig", "Arn") != "<SlrwatchDeadLetterQueue.Arn>" || at(targets[0], "Id") == at(targets[1], "Id") {
		t.Errorf("slrwatch does not hear of requests for the fleet: %v", targets)
	}
}

func matches(all map[string]*bus.Pattern, e []byte) []string {
	var ids []string
	for id, p := range all {
		if p.Match(e) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestSampleEventsAreOfTheStack(t *testing.T) {
	s := load(t, home())
	for id, sample := range map[string]string{"InboxQueue": "sqs-inbox.json", "WorkQueue": "sqs-work.json", "SlrwatchQueue": "sqs-slrwatch.json"} {
		name := fmt.Sprint(s.resources[id].properties["QueueName"])
		data, err := os.ReadFile("../../events/" + sample)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), `"arn:aws:sqs:us-east-1:123456789012:`+name+`"`) {
			t.Errorf("%s is not of the queue %s", sample, name)
		}
	}
}

func TestBucketsHaveTheToolkitsNamesAndAreGuarded(t *testing.T) {
	s := load(t, home())
	for id, name := range map[string]string{
		"ConfigBucket": naming.ConfigBucket("123456789012", "us-east-1"),
		"SourceBucket": naming.SourceBucket("123456789012", "us-east-1"),
	} {
		r := s.resources[id]
		if r.properties["BucketName"] != name {
			t.Errorf("%s is called %v, want %s", id, r.properties["BucketName"], name)
		}
		if r.attributes["DeletionPolicy"] != "Retain" || r.attributes["UpdateReplacePolicy"] != "Retain" {
			t.Errorf("%s goes with the stack", id)
		}
		if at(r.properties, "VersioningConfiguration", "Status") != "Enabled" ||
			at(r.properties, "NotificationConfiguration", "EventBridgeConfiguration", "EventBridgeEnabled") != true ||
			at(r.properties, "BucketEncryption") == nil {
			t.Errorf("%s lacks versions, events or encryption", id)
		}
		block, _ := r.properties["PublicAccessBlockConfiguration"].(map[string]any)
		if want := (map[string]any{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true}); !maps.Equal(block, want) {
			t.Errorf("%s: public access block %v", id, block)
		}
	}
	for _, rule := range at(s.resources["ConfigBucket"].properties, "LifecycleConfiguration", "Rules").([]any) {
		prefix := fmt.Sprint(at(rule, "Prefix"))
		expires := map[string]bool{naming.RequestPrefix: true, naming.DriftReportPrefix: true}
		if at(rule, "ExpirationInDays") != nil && !expires[prefix] || strings.HasPrefix("archive/", prefix) {
			t.Errorf("rule %v takes away what is not old, or what is kept for ever", at(rule, "Id"))
		}
	}
}

func TestAGivenSourceBucketIsLeftAlone(t *testing.T) {
	w := home()
	w.parameters = map[string]string{"SourceBucketName": "sources-of-ours"}
	s := load(t, w)
	if got := s.of("AWS::S3::Bucket"); !slices.Equal(got, []string{"ConfigBucket"}) {
		t.Errorf("buckets: %v", got)
	}
	if got := s.of("AWS::S3::BucketPolicy"); !slices.Equal(got, []string{"ConfigBucketPolicy"}) {
		t.Errorf("bucket policies: %v", got)
	}
	if got := at(s.resources["ReconcileFunction"].properties, "Environment", "Variables", "SOURCE_BUCKET"); got != "sources-of-ours" {
		t.Errorf("SOURCE_BUCKET is %v", got)
	}
	if got := at(s.resources["IntakeFunction"].properties, "Environment", "Variables", "SOURCE_BUCKET"); got != "sources-of-ours" {
		t.Errorf("SOURCE_BUCKET of intake is %v", got)
	}
	if got := at(s.outputs, "SourceBucket", "Value"); got != "sources-of-ours" {
		t.Errorf("output SourceBucket is %v", got)
	}
	if got := texts(at(s.resources["SourceUploadedRule"].properties["EventPattern"], "detail", "bucket", "name")); !slices.Equal(got, []string{"sources-of-ours"}) {
		t.Errorf("events of %v are listened to", got)
	}
	for _, id := range []string{"ReconcileRole", "OperatorPolicy"} {
		list := append(inline(s, id), statements(s.resources[id].properties["PolicyDocument"])...)
		for resource, want := range map[string]bool{"arn:aws:s3:::sources-of-ours/agent/source.zip": true, sourcesARN + "/agent/source.zip": false} {
			if got := allowed(list, "s3:GetObjectVersion", resource); got != want {
				t.Errorf("%s reads %s: %v, want %v", id, resource, got, want)
			}
		}
	}
}
