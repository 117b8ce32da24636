package stack

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var place = Place{Name: "s", Account: "123456789012", Region: "eu-west-1", Partition: "aws", Endpoint: "http://127.0.0.1:1"}

func template(t *testing.T, text string) *Template {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var out Template
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return &out
}

const prelude = `{
"Parameters":{"P":{"Type":"String","Default":"p"},"N":{"Type":"Number","Default":5,"MinValue":2},"L":{"Type":"CommaDelimitedList","Default":"a, b"},
 "E":{"Type":"CommaDelimitedList","Default":"","AllowedPattern":"[a-z]*"},
 "A":{"Type":"String","Default":"x","AllowedValues":["x","y"],"AllowedPattern":"[a-z]+"}},
"Mappings":{"M":{"eu-west-1":{"k":"mapped"}}},
"Conditions":{"Yes":{"Fn::Equals":[{"Ref":"P"},"p"]},"No":{"Fn::Not":[{"Condition":"Yes"}]},
 "Both":{"Fn::And":[{"Condition":"Yes"},{"Condition":"No"}]},"Either":{"Fn::Or":[{"Condition":"Yes"},{"Condition":"No"}]},
 "Circle":{"Fn::Not":[{"Condition":"Circle"}]}},
"Resources":{"B":{"Type":"AWS::S3::Bucket"},"Q":{"Type":"AWS::SQS::Queue","Properties":{"FifoQueue":true}},
 "R":{"Type":"AWS::IAM::Role","Properties":{"Path":"/p/","RoleName":{"Fn::Sub":"r-${AWS::Region}"}}},
 "Absent":{"Type":"AWS::SQS::Queue","Condition":"No"}}}`

func TestIntrinsics(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"a scalar":                             {`5`, `5`},
		"a parameter":                          {`{"Ref":"P"}`, `"p"`},
		"a number parameter":                   {`{"Ref":"N"}`, `"5"`},
		"a list parameter":                     {`{"Ref":"L"}`, `["a","b"]`},
		"a list parameter that is empty":       {`{"Ref":"E"}`, `[""]`},
		"pseudo parameters":                    {`{"Fn::Join":["/",[{"Ref":"AWS::AccountId"},{"Ref":"AWS::Region"},{"Ref":"AWS::Partition"},{"Ref":"AWS::StackName"},{"Ref":"AWS::URLSuffix"}]]}`, `"123456789012/eu-west-1/aws/s/amazonaws.com"`},
		"no value in an object":                {`{"a":{"Ref":"AWS::NoValue"},"b":1}`, `{"b":1}`},
		"no value in a list":                   {`[{"Ref":"AWS::NoValue"},1]`, `[1]`},
		"Ref of a bucket":                      {`{"Ref":"B"}`, `"s-b"`},
		"Ref of a FIFO queue":                  {`{"Ref":"Q"}`, `"http://127.0.0.1:1/123456789012/s-Q.fifo"`},
		"GetAtt as a list":                     {`{"Fn::GetAtt":["Q","Arn"]}`, `"arn:aws:sqs:eu-west-1:123456789012:s-Q.fifo"`},
		"GetAtt as a string":                   {`{"Fn::GetAtt":"Q.QueueName"}`, `"s-Q.fifo"`},
		"the ARN of a role":                    {`{"Fn::GetAtt":["R","Arn"]}`, `"arn:aws:iam::123456789012:role/p/r-eu-west-1"`},
		"Sub of everything":                    {`{"Fn::Sub":["${P} ${B} ${B.Arn} ${X} ${!literal} ${AWS::Region}",{"X":{"Ref":"N"}}]}`, `"p s-b arn:aws:s3:::s-b 5 ${literal} eu-west-1"`},
		"If":                                   {`{"Fn::If":["Yes","a","b"]}`, `"a"`},
		"If not":                               {`{"Fn::If":["No","a",{"Ref":"P"}]}`, `"p"`},
		"And":                                  {`{"Fn::If":["Both","a","b"]}`, `"b"`},
		"Or":                                   {`{"Fn::If":["Either","a","b"]}`, `"a"`},
		"If does not look at the other":        {`{"Fn::If":["Yes","a",{"Ref":"Absent"}]}`, `"a"`},
		"Join of a list parameter":             {`{"Fn::Join":[",",{"Ref":"L"}]}`, `"a,b"`},
		"Sub of a list that is joined":         {`{"Fn::Sub":["in ${R}",{"R":{"Fn::Join":[",",{"Ref":"L"}]}}]}`, `"in a,b"`},
		"Split of Join":                        {`{"Fn::Split":[",",{"Fn::Join":[",",[{"Ref":"P"},{"Fn::Join":[",",{"Ref":"L"}]}]]}]}`, `["p","a","b"]`},
		"Select of Split":                      {`{"Fn::Select":["1",{"Fn::Split":["-",{"Ref":"AWS::Region"}]}]}`, `"west"`},
		"FindInMap":                            {`{"Fn::FindInMap":["M",{"Ref":"AWS::Region"},"k"]}`, `"mapped"`},
		"Condition in a policy is no function": {`{"Condition":{"Bool":{"x":"y"}}}`, `{"Condition":{"Bool":{"x":"y"}}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, err := newResolver(template(t, prelude), place, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.value(parse(t, c.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, c.want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for name, in := range map[string]string{
		"an unknown name":                  `{"Ref":"Nobody"}`,
		"an unknown attribute":             `{"Fn::GetAtt":["B","Colour"]}`,
		"a resource that is not made":      `{"Ref":"Absent"}`,
		"an unknown function":              `{"Fn::ImportValue":"x"}`,
		"an unknown condition":             `{"Fn::If":["Maybe",1,2]}`,
		"a condition that needs itself":    `{"Fn::If":["Circle",1,2]}`,
		"Select beyond the end":            `{"Fn::Select":["2",["a","b"]]}`,
		"FindInMap beyond the map":         `{"Fn::FindInMap":["M","x","k"]}`,
		"Sub of an unknown name in a list": `[{"Fn::Sub":"${Nobody}"}]`,
		"Sub of a list":                    `{"Fn::Sub":"${L}"}`,
		"Split of a list":                  `{"Fn::Split":[",",{"Ref":"L"}]}`,
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			r, err := newResolver(template(t, prelude), place, nil)
			if err != nil {
				t.Fatal(err)
			}
			if v, err := r.value(parse(t, in)); err == nil {
				t.Errorf("%s resolved to %v", in, v)
			}
		})
	}
}

func parse(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParametersAreChecked(t *testing.T) {
	for name, values := range map[string]map[string]string{
		"an unknown parameter": {"Q": "1"},
		"a value not allowed":  {"A": "z"},
		"below the minimum":    {"N": "1"},
		"no number":            {"N": "many"},
		"one value of a list":  {"E": "a, B"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := newResolver(template(t, prelude), place, values); err == nil {
				t.Errorf("%v was accepted", values)
			}
		})
	}
	r, err := newResolver(template(t, prelude), place, map[string]string{"E": "a, b"})
	if err != nil {
		t.Fatalf("a list of allowed values: %v", err)
	}
	if diff := cmp.Diff([]any{"a", "b"}, r.parameters["E"]); diff != "" {
		t.Errorf("a list (-want +got):\n%s", diff)
	}
	if _, err := newResolver(template(t, `{"Parameters":{"P":{"Type":"String"}}}`), place, nil); err == nil {
		t.Error("a parameter without value was accepted")
	}
}

func TestResolveRefuses(t *testing.T) {
	queue := `"Q":{"Type":"AWS::SQS::Queue"}`
	for name, c := range map[string]struct{ resources, names string }{
		"a type it does not know":       {`"Table":{"Type":"AWS::DynamoDB::Table"}`, "Table"},
		"an operator it does not know":  {`"Rule":{"Type":"AWS::Events::Rule","Properties":{"EventPattern":{"source":[{"like":"x"}]}}}`, "Rule"},
		"a schedule":                    {`"Rule":{"Type":"AWS::Events::Rule","Properties":{"ScheduleExpression":"rate(1 hour)"}}`, "Rule"},
		"a target of neither kind":      {`"Rule":{"Type":"AWS::Events::Rule","Properties":{"EventPattern":{"source":["x"]},"Targets":[{"Id":"t","Arn":"arn:aws:sns:eu-west-1:123456789012:t"}]}}`, "Rule"},
		"a changed input":               {queue + `,"Rule":{"Type":"AWS::Events::Rule","Properties":{"EventPattern":{"source":["x"]},"Targets":[{"Id":"t","Arn":{"Fn::GetAtt":["Q","Arn"]},"InputPath":"$.detail"}]}}`, "Rule"},
		"a variable that is a list":     {`"F":{"Type":"AWS::Lambda::Function","Properties":{"Environment":{"Variables":{"V":["a"]}}}}`, "is no text"},
		"a function without its role":   {`"F":{"Type":"AWS::Lambda::Function","Properties":{"Role":"arn:aws:iam::123456789012:role/other"}}`, "F"},
		"a mapping without function":    {queue + `,"M":{"Type":"AWS::Lambda::EventSourceMapping","Properties":{"EventSourceArn":{"Fn::GetAtt":["Q","Arn"]},"FunctionName":"f"}}`, "M"},
		"a policy that is no JSON":      {`"B":{"Type":"AWS::S3::Bucket"},"BP":{"Type":"AWS::S3::BucketPolicy","Properties":{"Bucket":{"Ref":"B"},"PolicyDocument":"{"}}`, "BP"},
		"a schedule of no function":     {`"S":{"Type":"AWS::Scheduler::Schedule","Properties":{"ScheduleExpression":"rate(1 hour)","Target":{"Arn":"arn:aws:lambda:eu-west-1:123456789012:function:f","Input":"{}"}}}`, "S"},
		"a reference to nothing at all": {`"Q":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":{"Ref":"Nobody"}}}`, "Q"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Resolve(template(t, `{"Resources":{`+c.resources+`}}`), place, nil)
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("error %v does not name %s", err, c.names)
			}
		})
	}
}

func TestASchedulesRate(t *testing.T) {
	for expression, want := range map[string]time.Duration{
		"rate(1 minute)": time.Minute, "rate(5 minutes)": 5 * time.Minute, "rate(1 hour)": time.Hour, "rate(2 days)": 48 * time.Hour,
		"cron(0 6 * * ? *)": 0, "rate(0 hours)": 0, "rate(99999999999999999999 days)": 0, "rate(1 second)": 0, "at(2026-11-23T06:00:00)": 0, "": 0,
	} {
		got, ok := Schedule{Expression: expression}.Every()
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%q: %v, %v; want %v", expression, got, ok, want)
		}
	}
}
