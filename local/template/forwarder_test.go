package template

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/bus"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/naming"
)

// forwarding gives the stack that brings IAM's events to a Region.
func forwarding(t *testing.T, partition, region, homeRegion string) stack {
	t.Helper()
	return loadFile(t, forwarder, where{partition, region, "123456789012", map[string]string{"HomeRegion": homeRegion}})
}

func TestTheForwarderTakesWhatTheStackAtHomeTakes(t *testing.T) {
	w := home()
	w.region = "eu-west-1"
	s := forwarding(t, "aws", "us-east-1", "eu-west-1")
	if got, want := s.of("AWS::Events::Rule"), []string{"RoleChangedRule", "ServiceLinkedRoleChangedRule"}; !slices.Equal(got, want) {
		t.Fatalf("rules %v, want %v", got, want)
	}
	for _, id := range s.of("AWS::Events::Rule") {
		want, got := load(t, w).resources[id].properties["EventPattern"], s.resources[id].properties["EventPattern"]
		if diff := cmp.Diff(want, got); diff != "" || want == nil {
			t.Errorf("pattern of %s (-template.yaml +events/forwarder.yaml):\n%s", id, diff)
		}
	}
}

func TestTheForwarderSendsToItsHomeAndNowhereElse(t *testing.T) {
	for name, c := range map[string]struct{ partition, region, home string }{
		"of most accounts": {"aws", "us-east-1", "ap-southeast-2"},
		"of GovCloud":      {"aws-us-gov", "us-gov-west-1", "us-gov-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := forwarding(t, c.partition, c.region, c.home)
			busARN := fmt.Sprintf("arn:%s:events:%s:123456789012:event-bus/default", c.partition, c.home)
			role := s.resources["ForwardRole"].properties
			names, trusted := []any{role["RoleName"], s.resources["ForwardDeadLetterQueue"].properties["QueueName"]}, []any{}
			for _, id := range s.of("AWS::Events::Rule") {
				rule := s.resources[id].properties
				targets, _ := rule["Targets"].([]any)
				if len(targets) != 1 || at(targets[0], "Arn") != busARN ||
					at(targets[0], "RoleArn") != fmt.Sprintf("arn:%s:iam::123456789012:role/%s", c.partition, role["RoleName"]) ||
					at(targets[0], "DeadLetterConfig", "Arn") != "<ForwardDeadLetterQueue.Arn>" {
					t.Errorf("targets of %s: %v", id, targets)
				}
				names, trusted = append(names, rule["Name"]), append(trusted, fmt.Sprintf("arn:%s:events:%s:123456789012:rule/%s", c.partition, c.region, rule["Name"]))
			}
			for _, n := range names {
				if !strings.HasPrefix(fmt.Sprint(n), "rolekeeper-") || !strings.Contains(fmt.Sprint(n), "-"+c.home) {
					t.Errorf("%v does not say that it is of %s: a second forwarder would be in its way", n, c.home)
				}
			}
			if got := inline(s, "ForwardRole"); len(got) != 1 || got[0]["Effect"] != "Allow" || got[0]["Action"] != "events:PutEvents" || got[0]["Resource"] != busARN {
				t.Errorf("the role may do %v", got)
			}
			trust := statements(role["AssumeRolePolicyDocument"])
			condition := map[string]any{"StringEquals": map[string]any{
				"aws:SourceAccount": "123456789012", "aws:SourceArn": trusted,
			}}
			if len(trust) != 1 || at(trust[0], "Principal", "Service") != "events.amazonaws.com" || !cmp.Equal(trust[0]["Condition"], any(condition)) {
				t.Errorf("the role trusts %v", trust)
			}
		})
	}
}

func TestWhatCannotBeForwardedIsKept(t *testing.T) {
	s := forwarding(t, "aws", "us-east-1", "eu-west-1")
	queue := s.resources["ForwardDeadLetterQueue"].properties
	if queue["SqsManagedSseEnabled"] != true || queue["MessageRetentionPeriod"] != 14*day || queue["FifoQueue"] != nil {
		t.Errorf("dead letters: %v", queue)
	}
	policy := s.resources["ForwardDeadLetterQueuePolicy"].properties
	want := []map[string]any{
		{
			"Sid": "RulesDeliver", "Effect": "Allow", "Principal": map[string]any{"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
			"Resource": "<ForwardDeadLetterQueue.Arn>", "Condition": map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": []any{"<RoleChangedRule.Arn>", "<ServiceLinkedRoleChangedRule.Arn>"}}},
		},
		{
			"Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "sqs:*",
			"Resource": "<ForwardDeadLetterQueue.Arn>", "Condition": map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}},
		},
	}
	if diff := cmp.Diff(want, statements(policy["PolicyDocument"])); diff != "" || !slices.Equal(texts(policy["Queues"]), []string{"<ForwardDeadLetterQueue>"}) {
		t.Errorf("policy of %v (-want +got):\n%s", policy["Queues"], diff)
	}
}

func TestWhatCannotBeForwardedRaisesAnAlarm(t *testing.T) {
	const topic = "arn:aws:sns:us-east-1:123456789012:platform"
	for given, want := range map[string]any{"": nil, topic: []any{topic}} {
		s := loadFile(t, forwarder, where{"aws", "us-east-1", "123456789012", map[string]string{"HomeRegion": "eu-west-1", "AlarmTopicArn": given}})
		watched := map[string]string{
			"ForwardDeadLetterAlarm": "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=<ForwardDeadLetterQueue.QueueName> Maximum > 0 in 1 of 300 s, notBreaching",
		}
		if diff := cmp.Diff(watched, alarms(t, s)); diff != "" {
			t.Errorf("alarms (-want +template):\n%s", diff)
		}
		p := s.resources["ForwardDeadLetterAlarm"].properties
		if got := p["AlarmActions"]; !cmp.Equal(got, want) {
			t.Errorf("with topic %q the alarm is told to %v", given, got)
		}
		if !strings.Contains(fmt.Sprint(p["AlarmDescription"]), "eu-west-1") {
			t.Errorf("the alarm does not say of which stack it is: %v", p["AlarmDescription"])
		}
	}
	pattern := regexp.MustCompile(fmt.Sprint(at(forwarding(t, "aws", "us-east-1", "eu-west-1").parameters["AlarmTopicArn"], "AllowedPattern")))
	for arn, want := range map[string]bool{
		"": true, topic: true, "arn:aws-us-gov:sns:us-gov-west-1:123456789012:a_b-c": true,
		"platform": false, topic + ".fifo": false, topic + " ": false, "arn:aws:sqs:us-east-1:123456789012:platform": false,
	} {
		if pattern.MatchString(arn) != want {
			t.Errorf("topic %q is taken: %v", arn, !want)
		}
	}
}

func TestTheForwarderIsDeployedOnlyWhereItIsOfUse(t *testing.T) {
	for name, c := range map[string]struct {
		region, home    string
		here, elsewhere bool
	}{
		"beside IAM's events":             {"us-east-1", "eu-west-1", true, true},
		"beside those of GovCloud":        {"us-gov-west-1", "us-gov-east-1", true, true},
		"beside those of China":           {"cn-north-1", "cn-northwest-1", true, true},
		"in the Region of the stack":      {"us-east-1", "us-east-1", true, false},
		"where there are no events":       {"eu-west-1", "eu-central-1", false, true},
		"where the stack is, by mistake":  {"eu-west-1", "eu-west-1", false, false},
		"in another Region of GovCloud":   {"us-gov-east-1", "us-gov-west-1", false, true},
		"in the other Region of that one": {"us-west-2", "us-east-1", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]bool{"EventsOfIamAreHere": c.here, "HomeIsElsewhere": c.elsewhere}
			if diff := cmp.Diff(want, forwarding(t, naming.Partition(c.region), c.region, c.home).assertions); diff != "" {
				t.Errorf("assertions (-want +got):\n%s", diff)
			}
		})
	}
}

// Of all that IAM can be asked, the rule takes what the code looks at.
func TestTheRuleAndTheCodeKnowTheSameCallsOfIAM(t *testing.T) {
	sample, err := os.ReadFile("../../events/cloudtrail-role-edited.json")
	if err != nil {
		t.Fatal(err)
	}
	all := rules(t, load(t, home()))
	calls, led := reflect.TypeFor[*iam.Client](), 0
	for i := range calls.NumMethod() {
		name := calls.Method(i).Name
		e := strings.ReplaceAll(string(sample), `"PutRolePolicy"`, `"`+name+`"`)
		_, err := event.Decode(e, event.Here{Account: "123456789012", Region: "us-east-1"})
		if matched := slices.Equal(matches(all, []byte(e)), []string{"RoleChangedRule"}); matched != (err == nil) {
			t.Errorf("%s: the rule takes it: %v, the code says %v", name, matched, err)
		}
		if err == nil {
			led++
		}
	}
	if led != 14 {
		t.Errorf("%d of %d calls change roles, want 14", led, calls.NumMethod())
	}
}

func TestHoweverARoleIsNamedTheRuleAndTheCodeAgree(t *testing.T) {
	const runtime, build = "AmazonBedrockAgentCoreSDKRuntime-eu-west-1-e72c1a7c7a", "AmazonBedrockAgentCoreSDKCodeBuild-eu-west-1-e72c1a7c7a"
	pattern := map[string]*bus.Pattern{"forwarder": rules(t, forwarding(t, "aws", "us-east-1", "eu-west-1"))["RoleChangedRule"]}
	asked := func(name any) map[string]any {
		return map[string]any{"requestParameters": map[string]any{"roleName": name}, "responseElements": nil}
	}
	answered := func(name any) map[string]any {
		return map[string]any{"requestParameters": map[string]any{"templateArn": "t"}, "responseElements": map[string]any{"role": map[string]any{"roleName": name}}}
	}
	for name, c := range map[string]struct {
		named map[string]any
		want  bool
	}{
		"a runtime role":                  {asked(runtime), true},
		"a build role":                    {asked(build), true},
		"in other capitals":               {asked(strings.ToUpper(runtime)), true},
		"in small letters":                {asked(strings.ToLower(build)), true},
		"a role that was made of another": {answered(runtime), true},
		"likewise, in other capitals":     {answered(strings.ToUpper(build)), true},
		"somebody's role":                 {asked("admin"), false},
		"somebody's role that was made":   {answered("admin"), false},
		"no role":                         {asked(nil), false},
		"a role of another Region":        {asked(strings.ReplaceAll(runtime, "eu-west-1", "eu-west-2")), false},
	} {
		t.Run(name, func(t *testing.T) {
			detail := map[string]any{"eventSource": "iam.amazonaws.com", "eventName": "AcquireRole"}
			for key, v := range c.named {
				detail[key] = v
			}
			e, err := json.Marshal(map[string]any{
				"source": "aws.iam", "detail-type": "AWS API Call via CloudTrail", "account": "123456789012", "region": "us-east-1", "detail": detail,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, refused := event.Decode(string(e), event.Here{Account: "123456789012", Region: "eu-west-1"})
			if matched := len(matches(pattern, e)) == 1; matched != c.want || (refused == nil) != c.want {
				t.Errorf("the rule takes it: %v, the code says %v, want %v", matched, refused, c.want)
			}
		})
	}
}

func TestTheRulesAndTheCodeKnowTheSameCallsOfServiceLinkedRoles(t *testing.T) {
	here := event.Here{Account: "123456789012", Region: "eu-west-1"}
	home := here
	home.Region = "us-east-1"
	forwarded, own := rules(t, forwarding(t, "aws", "us-east-1", "eu-west-1")), rules(t, load(t, where{partition: "aws", region: "us-east-1", account: "123456789012"}))
	for _, sample := range []string{"cloudtrail-service-linked-role-created.json", "cloudtrail-service-linked-role-deletion.json"} {
		data, err := os.ReadFile("../../events/" + sample)
		if err != nil {
			t.Fatal(err)
		}
		var e map[string]any
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		calls, led := reflect.TypeFor[*iam.Client](), []string{}
		for i := range calls.NumMethod() {
			at(e, "detail").(map[string]any)["eventName"] = calls.Method(i).Name
			body := text(t, e)
			_, elsewhere := event.DecodeNotice(body, here)
			_, inHome := event.DecodeNotice(body, home)
			matched := slices.Contains(matches(own, []byte(body)), "ServiceLinkedRoleChangedRule")
			if same := slices.Contains(matches(forwarded, []byte(body)), "ServiceLinkedRoleChangedRule"); same != matched || (elsewhere == nil) != matched || (inHome == nil) != matched {
				t.Errorf("%s: the rule takes it: %v, the forwarder's %v; the code says %v and %v", calls.Method(i).Name, matched, same, elsewhere, inHome)
			}
			if matched {
				led = append(led, calls.Method(i).Name)
			}
		}
		if want := []string{"CreateServiceLinkedRole", "DeleteServiceLinkedRole"}; !slices.Equal(led, want) {
			t.Errorf("%s: looks come of %v, want %v", sample, led, want)
		}
	}
}

func TestHoweverAServiceLinkedRoleIsNamedTheRuleTakesAgentCores(t *testing.T) {
	pattern := map[string]*bus.Pattern{"forwarder": rules(t, forwarding(t, "aws", "us-east-1", "eu-west-1"))["ServiceLinkedRoleChangedRule"]}
	type named = map[string]any
	tests := map[string]struct {
		detail map[string]any
		want   bool
	}{
		"a role of another service is made": {named{"requestParameters": named{"aWSServiceName": "elasticbeanstalk.amazonaws.com"}, "responseElements": named{"role": named{"roleName": "AWSServiceRoleForElasticBeanstalk"}}}, false},
		"a role of another service goes":    {named{"requestParameters": named{"roleName": "AWSServiceRoleForElasticBeanstalk"}}, false},
		"nothing is named":                  {named{"requestParameters": nil, "responseElements": nil}, false},
		"AgentCore's call failed":           {named{"requestParameters": named{"aWSServiceName": "network.bedrock-agentcore.amazonaws.com"}, "errorCode": "AccessDenied"}, false},
	}
	for _, r := range desired.AllServiceLinkedRoles() {
		tests[r.Name+" is made, by its service"] = struct {
			detail map[string]any
			want   bool
		}{named{"requestParameters": named{"aWSServiceName": r.Service}, "responseElements": nil}, true}
		for _, name := range []string{r.Name, strings.ToLower(r.Name)} {
			tests[name+" is made"] = struct {
				detail map[string]any
				want   bool
			}{named{"requestParameters": nil, "responseElements": named{"role": named{"roleName": name}}}, true}
			tests[name+" goes"] = struct {
				detail map[string]any
				want   bool
			}{named{"requestParameters": named{"roleName": name}}, true}
		}
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			c.detail["eventSource"], c.detail["eventName"] = "iam.amazonaws.com", "CreateServiceLinkedRole"
			e := text(t, map[string]any{"source": "aws.iam", "detail-type": "AWS API Call via CloudTrail", "account": "123456789012", "region": "us-east-1", "detail": c.detail})
			if got := len(matches(pattern, []byte(e))) == 1; got != c.want {
				t.Errorf("the rule takes %s: %v", e, got)
			}
		})
	}
}
