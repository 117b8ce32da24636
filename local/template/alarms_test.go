package template

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
	"rolekeeper/shared/report"
)

func TestWhatGoesWrongRaisesAnAlarm(t *testing.T) {
	// Namespace, metric, dimensions, and when it goes off.
	want := map[string]string{
		"InboxDeadLetterAlarm":          "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=<InboxDeadLetterQueue.QueueName> Maximum > 0 in 1 of 300 s, notBreaching",
		"WorkDeadLetterAlarm":           "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=<WorkDeadLetterQueue.QueueName> Maximum > 0 in 1 of 300 s, notBreaching",
		"SlrwatchDeadLetterAlarm":       "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=<SlrwatchDeadLetterQueue.QueueName> Maximum > 0 in 1 of 300 s, notBreaching",
		"SlrwatchErrorAlarm":            "AWS/Lambda Errors FunctionName=<SlrwatchFunction> Sum > 0 in 1 of 300 s, notBreaching",
		"ServiceLinkedRoleMissingAlarm": "Rolekeeper ServiceLinkedRolesMissing Maximum > 0 in 1 of 60 s, ignore",
		"SlrwatchLateAlarm":             "Rolekeeper ServiceLinkedRoleLooks Sum < 1 in 26 of 3600 s, breaching",
		"IntakeErrorAlarm":              "AWS/Lambda Errors FunctionName=<IntakeFunction> Sum > 0 in 1 of 300 s, notBreaching",
		"ReconcileErrorAlarm":           "AWS/Lambda Errors FunctionName=<ReconcileFunction> Sum > 0 in 1 of 300 s, notBreaching",
		"DriftErrorAlarm":               "AWS/Lambda Errors FunctionName=<DriftFunction> Sum > 0 in 1 of 300 s, notBreaching",
		"DeletionBrakeAlarm":            "Rolekeeper DeletionsHeldBack Sum > 0 in 1 of 300 s, notBreaching",
		"DriftAlarm":                    "Rolekeeper Drifted Maximum > 7 in 1 of 300 s, ignore",
		"RepairsAlarm":                  "Rolekeeper Repaired Sum > 7 in 1 of 3600 s, notBreaching",
		"DriftBrakeAlarm":               "Rolekeeper PassStopped Maximum > 0 in 1 of 60 s, ignore",
		"RoleQuotaAlarm":                "Rolekeeper RolesOfQuota Maximum > 80 in 1 of 300 s, ignore",
		"PassLateAlarm":                 "Rolekeeper Passes Sum < 1 in 26 of 3600 s, breaching",
	}
	s := load(t, given(map[string]string{"DriftAlarmThreshold": "7"}))
	if diff := cmp.Diff(want, alarms(t, s)); diff != "" {
		t.Errorf("alarms (-want +template):\n%s", diff)
	}
	for _, id := range s.of("AWS::CloudWatch::Alarm") {
		if to := s.resources[id].properties["AlarmActions"]; !slices.Equal(texts(to), []string{"<AlarmTopic>"}) {
			t.Errorf("%s is told to %v", id, to)
		}
	}
}

// alarms says of each alarm what it watches and when it goes off.
func alarms(t *testing.T, s stack) map[string]string {
	t.Helper()
	operators := map[any]string{"GreaterThanThreshold": ">", "LessThanThreshold": "<"}
	out := map[string]string{}
	for _, id := range s.of("AWS::CloudWatch::Alarm") {
		p := s.resources[id].properties
		words := []any{p["Namespace"], p["MetricName"]}
		dimensions, _ := p["Dimensions"].([]any)
		for _, d := range dimensions {
			words = append(words, fmt.Sprint(at(d, "Name"), "=", at(d, "Value")))
		}
		words = append(words, p["Statistic"], operators[p["ComparisonOperator"]], p["Threshold"])
		out[id] = strings.TrimSuffix(fmt.Sprintln(words...), "\n") + fmt.Sprintf(" in %v of %v s, %v", p["EvaluationPeriods"], p["Period"], p["TreatMissingData"])
		if p["DatapointsToAlarm"] != nil || p["ActionsEnabled"] != nil || p["Unit"] != nil {
			t.Errorf("%s has more to it: %v", id, p)
		}
	}
	return out
}

// metrics are the names of all metrics in the namespace Rolekeeper.
func metrics(t *testing.T) []string {
	t.Helper()
	names := []string{"DeletionsHeldBack"} // of the filter
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	pass, err := report.Metrics(report.Pass{Totals: report.Totals{RolesQuota: 1}}, now)
	if err != nil {
		t.Fatal(err)
	}
	repaired, err := report.Repaired(1, now)
	if err != nil {
		t.Fatal(err)
	}
	linked, err := report.LinkedMetrics(model.ServiceLinkedRoles{}, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]byte{pass, repaired, linked} {
		var embedded struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				}
			} `json:"_aws"`
		}
		if err := json.Unmarshal(line, &embedded); err != nil {
			t.Fatal(err)
		}
		for _, m := range embedded.AWS.CloudWatchMetrics {
			if m.Namespace != "Rolekeeper" || !cmp.Equal(m.Dimensions, [][]string{{}}) {
				t.Errorf("metrics of %s by %q", m.Namespace, m.Dimensions)
			}
			for _, one := range m.Metrics {
				names = append(names, one.Name)
			}
		}
	}
	return names
}

// An alarm on a metric that nothing writes never goes off.
func TestAlarmsAndDashboardAreOfMetricsThatAreThere(t *testing.T) {
	s := load(t, home())
	known := metrics(t)
	for _, id := range s.of("AWS::CloudWatch::Alarm") {
		p := s.resources[id].properties
		if p["Namespace"] == "Rolekeeper" && !slices.Contains(known, fmt.Sprint(p["MetricName"])) {
			t.Errorf("%s watches %v, which nothing writes", id, p["MetricName"])
		}
	}
	p := s.resources["Dashboard"].properties
	if p["DashboardName"] != "Rolekeeper-us-east-1" {
		t.Errorf("the dashboard is called %v: names are those of the account, not of a Region", p["DashboardName"])
	}
	var body struct {
		Widgets []struct {
			Type                string
			X, Y, Width, Height int
			Properties          struct {
				Title, Region, View, Stat string
				Period                    int
				Alarms                    []string
				Metrics                   [][]any
			}
		}
	}
	d := json.NewDecoder(strings.NewReader(p["DashboardBody"].(string)))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		t.Fatalf("the dashboard's body: %v\n%s", err, p["DashboardBody"])
	}
	queues := []string{"<InboxQueue.QueueName>", "<WorkQueue.QueueName>", "<SlrwatchQueue.QueueName>", "<SlrwatchDeadLetterQueue.QueueName>", "<InboxDeadLetterQueue.QueueName>", "<WorkDeadLetterQueue.QueueName>"}
	functions := []string{"<IntakeFunction>", "<ReconcileFunction>", "<DriftFunction>", "<SlrwatchFunction>"}
	others := map[string][]string{
		"AWS/SQS ApproximateNumberOfMessagesVisible QueueName": queues, "AWS/SQS ApproximateAgeOfOldestMessage QueueName": queues[:3],
		"AWS/Lambda Errors FunctionName": functions, "AWS/Lambda Duration FunctionName": functions,
	}
	shown, alarms := map[string]bool{}, map[string]bool{}
	taken := map[[2]int]string{}
	for _, w := range body.Widgets {
		p := w.Properties
		for x := w.X; x < w.X+w.Width; x++ {
			for y := w.Y; y < w.Y+w.Height; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Errorf("%s lies over %q, or beyond the 24 columns", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if w.Type == "alarm" {
			for _, arn := range p.Alarms {
				alarms[strings.TrimSuffix(strings.Trim(arn, "<>"), ".Arn")] = true
			}
			continue
		}
		if w.Type != "metric" || p.Region != "us-east-1" || p.Title == "" || p.View == "" || p.Stat == "" || p.Period == 0 || len(p.Metrics) == 0 {
			t.Errorf("a widget is %+v", w)
		}
		for _, m := range p.Metrics {
			if options, ok := m[len(m)-1].(map[string]any); ok {
				m = m[:len(m)-1]
				for name := range options {
					if name != "stat" && name != "yAxis" {
						t.Errorf("%v with %v", m, options)
					}
				}
			}
			switch name := strings.Join(texts(m), " "); {
			case len(m) == 2 && m[0] == "Rolekeeper" && slices.Contains(known, fmt.Sprint(m[1])):
				shown[fmt.Sprint(m[1])] = true
			case len(m) == 4 && slices.Contains(others[strings.Join(texts(m[:3]), " ")], fmt.Sprint(m[3])):
			default:
				t.Errorf("the dashboard shows %s", name)
			}
		}
	}
	for _, name := range known {
		if !shown[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	if got, want := slices.Sorted(maps.Keys(alarms)), s.of("AWS::CloudWatch::Alarm"); !slices.Equal(got, want) {
		t.Errorf("the dashboard shows the alarms %v, there are %v", got, want)
	}
}

func TestAlarmsAreToldToWhoWantsToKnow(t *testing.T) {
	for address, want := range map[string]int{"": 0, "platform@example.com": 1} {
		s := load(t, given(map[string]string{"NotificationEmail": address}))
		subscriptions := s.of("AWS::SNS::Subscription")
		if len(subscriptions) != want {
			t.Fatalf("%q: subscriptions %v", address, subscriptions)
		}
		for _, id := range subscriptions {
			want := map[string]any{"TopicArn": "<AlarmTopic>", "Protocol": "email", "Endpoint": address}
			if diff := cmp.Diff(want, s.resources[id].properties); diff != "" {
				t.Errorf("%s (-want +template):\n%s", id, diff)
			}
		}
		if got := at(s.outputs, "AlarmTopicArn", "Value"); got != "<AlarmTopic>" {
			t.Errorf("output AlarmTopicArn is %v", got)
		}
	}
}

// CloudWatch cannot use SNS's own key, so that alarms would go nowhere.
func TestAlarmsOfThisAccountAndNobodyElsePublish(t *testing.T) {
	s := load(t, home())
	if got := s.resources["AlarmTopic"].properties["KmsMasterKeyId"]; got != "<AlarmKey.Arn>" {
		t.Errorf("the topic's key is %v", got)
	}
	topics := texts(s.resources["AlarmTopicPolicy"].properties["Topics"])
	if !slices.Equal(topics, []string{"<AlarmTopic>"}) {
		t.Errorf("the policy is of %v", topics)
	}
	service := map[string]any{"Service": "cloudwatch.amazonaws.com"}
	for id, c := range map[string]struct {
		property string
		want     []map[string]any
	}{
		"AlarmTopicPolicy": {"PolicyDocument", []map[string]any{
			{"Sid": "AlarmsTell", "Effect": "Allow", "Principal": service, "Action": "sns:Publish", "Resource": "<AlarmTopic>", "Condition": map[string]any{
				"StringEquals": map[string]any{"aws:SourceAccount": "123456789012"},
				"ArnLike":      map[string]any{"aws:SourceArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:*"},
			}},
			{"Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "<AlarmTopic>", "Condition": map[string]any{
				"Bool": map[string]any{"aws:SecureTransport": "false"},
			}},
		}},
		"AlarmKey": {"KeyPolicy", []map[string]any{
			{"Sid": "AccountAdministers", "Effect": "Allow", "Principal": map[string]any{"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"},
			{"Sid": "AlarmsAreEncrypted", "Effect": "Allow", "Principal": service, "Action": []any{"kms:Decrypt", "kms:GenerateDataKey*"}, "Resource": "*"},
		}},
	} {
		if diff := cmp.Diff(c.want, statements(s.resources[id].properties[c.property])); diff != "" {
			t.Errorf("%s (-want +template):\n%s", id, diff)
		}
	}
}

func TestTheRunbookHasAnEntryForEachAlarm(t *testing.T) {
	data, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for _, entry := range strings.Split(string(data), "\n## ")[1:] {
		name, text, _ := strings.Cut(entry, "\n")
		if !strings.HasSuffix(name, "Alarm") {
			continue
		}
		entries = append(entries, name)
		at := 0
		for _, part := range []string{"**Means.**", "**Look.**", "**Do.**", "**Do not.**"} {
			i := strings.Index(text[at:], part)
			if i < 0 {
				t.Errorf("the entry of %s has no %s, or not in the order of the others", name, part)
				continue
			}
			at += i
		}
	}
	there := append(load(t, home()).of("AWS::CloudWatch::Alarm"), forwarding(t, "aws", "us-east-1", "eu-west-1").of("AWS::CloudWatch::Alarm")...)
	if got, want := slices.Sorted(slices.Values(entries)), slices.Sorted(slices.Values(there)); !slices.Equal(got, want) {
		t.Errorf("entries (-alarms +docs/runbook.md):\n%s", cmp.Diff(want, got))
	}
}

func TestTheRunbooksCommandsAreThere(t *testing.T) {
	commands := map[string]bool{}
	sources, err := filepath.Glob("../../cmd/rolekeeper/*.go")
	if err != nil {
		t.Fatal(err)
	}
	use := regexp.MustCompile(`\bUse: +"([a-z]+)`)
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range use.FindAllSubmatch(source, -1) {
			commands[string(m[1])] = true
		}
	}
	runbook, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	used := regexp.MustCompile("(?m)(?:^|`)rolekeeper ([a-z]+)").FindAllSubmatch(runbook, -1)
	if len(used) < 5 {
		t.Errorf("the runbook has %d commands", len(used))
	}
	for _, m := range used {
		if !commands[string(m[1])] {
			t.Errorf("the runbook has `rolekeeper %s`, which is no command", m[1])
		}
	}
	outputs := load(t, home()).outputs
	for _, m := range regexp.MustCompile(`\$\(queue ([A-Za-z]+)\)`).FindAllSubmatch(runbook, -1) {
		if outputs[string(m[1])] == nil {
			t.Errorf("the stack has no output %s", m[1])
		}
	}
}

// brakePattern is the one form of filter pattern that the test reads: a text of
// the line's JSON (CloudWatch Logs user guide, "Filter pattern syntax").
var brakePattern = regexp.MustCompile(`^\{ \$\.([a-z]+) = "([^"]+)" \}$`)

func TestAnAgentThatIsKeptBackRaisesAnAlarm(t *testing.T) {
	s := load(t, home())
	filter, alarm := s.resources["DeletionBrakeFilter"].properties, s.resources["DeletionBrakeAlarm"].properties
	if filter["LogGroupName"] != at(s.resources["ReconcileFunction"].properties, "LoggingConfig", "LogGroup") {
		t.Errorf("the lines of %v are counted", filter["LogGroupName"])
	}
	metrics, _ := filter["MetricTransformations"].([]any)
	if len(metrics) != 1 || at(metrics[0], "MetricNamespace") != alarm["Namespace"] || at(metrics[0], "MetricName") != alarm["MetricName"] || at(metrics[0], "MetricValue") != "1" {
		t.Errorf("counted is %v, the alarm watches %v %v", metrics, alarm["Namespace"], alarm["MetricName"])
	}
	pattern := brakePattern.FindStringSubmatch(fmt.Sprint(filter["FilterPattern"]))
	if pattern == nil {
		t.Fatalf("filter pattern %v", filter["FilterPattern"])
	}
	const message = "deletion brake"
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: lambdacontext.ReplaceAttr})) // as the functions log
	log.Warn(message)
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	if line[pattern[1]] != pattern[2] || pattern[2] != message {
		t.Errorf("the filter wants %s = %q, a line is %s", pattern[1], pattern[2], out.String())
	}
}
