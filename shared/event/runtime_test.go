package event_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

const (
	runtimeID = "my_agent-Qx7Lm2Zt9K"
	otherID   = "my_agent-0000000000"
	runtimes  = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/"
	developer = "arn:aws:sts::123456789012:assumed-role/AgentDeveloper/ana"
)

func TestACallThatChangesARuntimeLeadsToIt(t *testing.T) {
	for name, at := range map[string]time.Time{
		"cloudtrail-runtime-created.json":         time.Date(2026, 11, 22, 9, 31, 7, 0, time.UTC),
		"cloudtrail-runtime-updated.json":         time.Date(2026, 11, 22, 11, 5, 42, 0, time.UTC),
		"cloudtrail-runtime-version-deleted.json": time.Date(2026, 11, 22, 14, 12, 55, 0, time.UTC),
		"cloudtrail-runtime-deleted.json":         time.Date(2026, 11, 22, 16, 48, 20, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			look, err := event.Decode(sample(t, name), here)
			if err != nil {
				t.Fatal(err)
			}
			want := event.Look{Runtime: runtimeID, Hint: event.Hint{Kind: event.RuntimeHint, ID: runtimeID, Time: at, Actor: developer}}
			if diff := cmp.Diff(want, look); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// members are those of one part of a record.
type members map[string]any

// record gives the event of a call of AgentCore, with some members of its detail
// in the place of those of a successful deletion; nil takes one away.
func record(t testing.TB, with members) string {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal([]byte(sample(t, "cloudtrail-runtime-deleted.json")), &e); err != nil {
		t.Fatal(err)
	}
	detail, _ := e["detail"].(map[string]any)
	for _, place := range []string{"requestParameters", "responseElements", "resources"} {
		delete(detail, place)
	}
	maps.Copy(detail, with)
	maps.DeleteFunc(detail, func(_ string, v any) bool { return v == nil })
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// about is the resources of a record.
func about(arns ...string) []members {
	var all []members
	for _, arn := range arns {
		all = append(all, members{"accountId": here.Account, "ARN": arn})
	}
	return all
}

func TestARuntimeIsNamedWhereverTheRecordNamesIt(t *testing.T) {
	for name, with := range map[string]members{
		"by its id in the request":         {"requestParameters": members{"agentRuntimeId": runtimeID}},
		"by its id in the answer":          {"responseElements": members{"agentRuntimeId": runtimeID}},
		"by its ARN in the request":        {"requestParameters": members{"agentRuntimeArn": runtimes + runtimeID}},
		"by its ARN in the answer":         {"responseElements": members{"agentRuntimeArn": runtimes + runtimeID}},
		"by its ARN in place of its id":    {"requestParameters": members{"agentRuntimeId": runtimes + runtimeID}},
		"by the resource":                  {"resources": about(runtimes + runtimeID)},
		"by a resource that is not alone":  {"resources": about("arn:aws:iam::123456789012:role/its-role", runtimes+runtimeID)},
		"by a resource without an ARN":     {"resources": []members{{"type": "AWS::BedrockAgentCore::Runtime"}, {"ARN": runtimes + runtimeID}}},
		"by its endpoint":                  {"resources": about(runtimes + runtimeID + "/runtime-endpoint/DEFAULT")},
		"by its version":                   {"resources": about(runtimes + runtimeID + ":3")},
		"by an answer that is no object":   {"responseElements": "HIDDEN_DUE_TO_SECURITY_REASONS", "requestParameters": members{"agentRuntimeId": runtimeID}},
		"by an id that is not hidden":      {"responseElements": members{"agentRuntimeId": "***", "agentRuntimeArn": "***"}, "requestParameters": members{"agentRuntimeId": runtimeID}},
		"by an id beside one that is none": {"responseElements": members{"agentRuntimeId": 7}, "requestParameters": members{"agentRuntimeId": runtimeID}},
		"beside the ARN in the service model's form": {
			"responseElements": members{"agentRuntimeId": runtimeID, "agentRuntimeArn": "arn:aws:bedrock-agentcore:us-east-1:123456789012:agent/6fd17b4e-5c33-4b4e-9a0b-1f6c7f5d2e10:1"},
		},
		"everywhere": {
			"requestParameters": members{"agentRuntimeId": runtimeID}, "responseElements": members{"agentRuntimeId": runtimeID, "agentRuntimeArn": runtimes + runtimeID},
			"resources": about(runtimes+runtimeID, runtimes+runtimeID+"/runtime-endpoint/DEFAULT"),
		},
		"in a deletion of a version by its name in the query": {"requestParameters": members{"agentRuntimeId": runtimeID, "version": "3"}},
		"in a record that does not say where it is from":      {"requestParameters": members{"agentRuntimeId": runtimeID}, "recipientAccountId": nil, "awsRegion": nil},
	} {
		t.Run(name, func(t *testing.T) {
			look, err := event.Decode(record(t, with), here)
			if err != nil || look.Runtime != runtimeID || look.Hint.ID != runtimeID {
				t.Errorf("look %+v, %v", look, err)
			}
		})
	}
}

func TestARuntimeOfAnotherPartitionIsNamedByItsARN(t *testing.T) {
	body := strings.NewReplacer("us-east-1", "us-gov-west-1", "arn:aws:", "arn:aws-us-gov:").Replace(record(t, members{"resources": about(runtimes + runtimeID)}))
	there := here
	there.Region = "us-gov-west-1"
	if look, err := event.Decode(body, there); err != nil || look.Runtime != runtimeID {
		t.Errorf("look %+v, %v", look, err)
	}
}

func TestARecordThatNamesNoRuntimeOrTwoIsPoison(t *testing.T) {
	named := members{"agentRuntimeId": runtimeID}
	for name, with := range map[string]members{
		"nothing at all":                     {},
		"nothing but null":                   {"requestParameters": json.RawMessage("null"), "responseElements": json.RawMessage("null"), "resources": json.RawMessage("null")},
		"empty ids":                          {"requestParameters": members{"agentRuntimeId": ""}, "resources": about("")},
		"what is hidden":                     {"requestParameters": members{"agentRuntimeId": "***"}},
		"only the name":                      {"requestParameters": members{"agentRuntimeName": "my_agent"}},
		"an id that is not text":             {"requestParameters": members{"agentRuntimeId": 7}},
		"a role":                             {"resources": about("arn:aws:iam::123456789012:role/its-role")},
		"an ARN without an id":               {"resources": about(runtimes)},
		"another id in the answer":           {"requestParameters": named, "responseElements": members{"agentRuntimeId": otherID}},
		"another ARN in the answer":          {"requestParameters": named, "responseElements": members{"agentRuntimeArn": runtimes + otherID}},
		"another ARN in the request":         {"requestParameters": members{"agentRuntimeId": runtimeID, "agentRuntimeArn": runtimes + otherID}},
		"another resource":                   {"requestParameters": named, "resources": about(runtimes + otherID)},
		"two resources":                      {"resources": about(runtimes+runtimeID, runtimes+otherID)},
		"an id that only begins alike":       {"requestParameters": named, "resources": about(runtimes + runtimeID + "x")},
		"no agent's runtime beside an agent": {"requestParameters": named, "responseElements": members{"agentRuntimeId": "harness"}},
		"the runtime of another account":     {"requestParameters": named, "resources": about("arn:aws:bedrock-agentcore:us-east-1:999999999999:runtime/" + runtimeID)},
		"the runtime of another Region":      {"requestParameters": named, "resources": about("arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/" + runtimeID)},
		"the runtime of another partition":   {"requestParameters": named, "resources": about("arn:aws-cn:bedrock-agentcore:us-east-1:123456789012:runtime/" + runtimeID)},
		"the runtime of another service":     {"requestParameters": named, "resources": about("arn:aws:payroll:us-east-1:123456789012:runtime/" + runtimeID)},
	} {
		t.Run(name, func(t *testing.T) { refused(t, record(t, with), fault.Poison) })
	}
}

func TestOtherRecordsAreRefused(t *testing.T) {
	named := members{"agentRuntimeId": runtimeID}
	with := func(name string, value any) members { return members{"requestParameters": named, name: value} }
	for name, c := range map[string]struct {
		with members
		want fault.Class
	}{
		"of a failed call":                {with("errorCode", "AccessDenied"), fault.Ignored},
		"of a failed call without a code": {with("errorCode", ""), fault.Ignored},
		"of a call about an endpoint":     {with("eventName", "DeleteAgentRuntimeEndpoint"), fault.Ignored},
		"of a call about tags":            {with("eventName", "TagResource"), fault.Ignored},
		"of a call in small letters":      {with("eventName", "deleteagentruntime"), fault.Ignored},
		"of no call":                      {with("eventName", nil), fault.Ignored},
		"of another service":              {with("eventSource", "iam.amazonaws.com"), fault.Poison},
		"of no service":                   {with("eventSource", nil), fault.Poison},
		"of another account":              {with("recipientAccountId", "999999999999"), fault.Poison},
		"of another Region":               {with("awsRegion", "eu-west-1"), fault.Poison},
		"with a code that is not text":    {with("errorCode", 403), fault.Poison},
		"with resources that are no list": {with("resources", runtimes+runtimeID), fault.Poison},
		"of a harness's runtime":          {members{"requestParameters": members{"agentRuntimeId": "harness_of-a_team-Qx7Lm2Zt9K"}}, fault.Ignored},
		"of a runtime with a short id":    {members{"requestParameters": members{"agentRuntimeId": "my_agent-Qx7Lm2Zt9"}}, fault.Ignored},
		"of a name longer than an agent's": {
			members{"requestParameters": members{"agentRuntimeId": strings.Repeat("a", 49) + "-Qx7Lm2Zt9K"}}, fault.Ignored,
		},
	} {
		t.Run(name, func(t *testing.T) { refused(t, record(t, c.with), c.want) })
	}
	t.Run("a sample of a failed call", func(t *testing.T) { refused(t, sample(t, "cloudtrail-runtime-delete-failed.json"), fault.Ignored) })
	t.Run("from another source", func(t *testing.T) {
		refused(t, changed(t, "cloudtrail-runtime-deleted.json", `"source": "aws.bedrock-agentcore"`, `"source": "aws.iam"`), fault.Poison)
	})
	t.Run("a detail that is no object", func(t *testing.T) {
		refused(t, `{"source":"aws.bedrock-agentcore","detail-type":"AWS API Call via CloudTrail","account":"123456789012","region":"us-east-1","detail":[]}`, fault.Poison)
	})
}

func TestOldAndReplayedRecordsLeadToTheirRuntimes(t *testing.T) {
	for name, c := range map[string][2]string{
		"months old":             {"2026-11-22T16:48:20Z", "2026-03-01T00:00:00Z"},
		"an hour ahead":          {"2026-11-22T16:48:20Z", "2026-11-22T17:48:20Z"},
		"replayed":               {`"detail-type":`, `"replay-name": "after-an-outage", "detail-type":`},
		"by nobody that it says": {`"arn": "` + developer, `"arn": "`},
	} {
		t.Run(name, func(t *testing.T) {
			look, err := event.Decode(changed(t, "cloudtrail-runtime-deleted.json", c[0], c[1]), here)
			if err != nil || look.Runtime != runtimeID {
				t.Errorf("look %+v, %v", look, err)
			}
		})
	}
}

func TestARefusalDoesNotRepeatAWholeEvent(t *testing.T) {
	huge := strings.Repeat("é", 1<<16)
	id := members{"agentRuntimeId": runtimeID}
	for name, with := range map[string]members{
		"source":          {"eventSource": huge},
		"call":            {"eventName": huge},
		"code":            {"errorCode": huge},
		"account":         {"recipientAccountId": huge},
		"region":          {"awsRegion": huge},
		"id":              {"requestParameters": members{"agentRuntimeId": huge}},
		"second id":       {"requestParameters": id, "responseElements": members{"agentRuntimeId": huge}},
		"foreign runtime": {"requestParameters": id, "resources": about("arn:aws:x:::runtime/" + huge)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := event.Decode(record(t, with), here)
			if err == nil || len(err.Error()) > 2_000 {
				t.Errorf("an error of %d bytes", len(fmt.Sprint(err)))
			}
		})
	}
}

// Tests of all that follows stand on the events of the fake.
func TestEventsOfTheFakeAgentCoreLeadToItsRuntimes(t *testing.T) {
	c := awsfake.New()
	inbox := c.AddQueue("inbox", time.Minute, 0, "")
	c.NotifyAgentCore(inbox)
	c.AssumeAgentCoreRoles(func(string, string) bool { return true })
	call := func(fails bool, method, path, query, body string) (id string) {
		t.Helper()
		c.Advance(time.Hour) // what was begun is done
		_, answer, err := c.ServeAgentCore("developer", method, path, query, []byte(body))
		var out struct{ AgentRuntimeID string }
		if err == nil {
			err = json.Unmarshal(answer, &out)
		}
		if fails != (err != nil) {
			t.Fatalf("%s %s: %s, %v", method, path, answer, err)
		}
		return out.AgentRuntimeID
	}
	const config = `"roleArn":"arn:aws:iam::123456789012:role/r","agentRuntimeArtifact":{"containerConfiguration":{"containerUri":"image"}},"networkConfiguration":{"networkMode":"PUBLIC"}}`
	id := call(false, "PUT", "/runtimes/", "", `{"agentRuntimeName":"my_agent",`+config)
	runtime := "/runtimes/" + id + "/"
	call(true, "PUT", "/runtimes/", "", `{"agentRuntimeName":"my_agent",`+config)
	call(false, "PUT", runtime, "", "{"+config)
	call(false, "PUT", runtime+"runtime-endpoints/", "", `{"name":"live"}`)
	call(false, "DELETE", runtime, "version=1", "")
	call(false, "DELETE", runtime, "", "")
	call(true, "DELETE", runtime, "", "")

	var led []bool
	for _, m := range c.Messages(inbox) {
		look, err := event.Decode(m.Body, here)
		led = append(led, err == nil)
		if err != nil && fault.Of(err) != fault.Ignored {
			t.Errorf("%v\n%s", err, m.Body)
		}
		if err == nil && (look.Runtime != id || !strings.HasSuffix(look.Hint.Actor, ":assumed-role/developer/developer") || look.Hint.Time.IsZero()) {
			t.Errorf("look %+v\n%s", look, m.Body)
		}
	}
	if want := []bool{true, false, true, false, true, true, false}; !slices.Equal(led, want) {
		t.Errorf("events that led to the runtime: %v, want %v", led, want)
	}
}

// What decodes names one runtime, of an agent, here; and everything that the
// record names a runtime by names that one.
func FuzzDecodeRuntime(f *testing.F) {
	f.Add("DeleteAgentRuntime", runtimeID, "", runtimeID, runtimes+runtimeID, runtimes+runtimeID)
	f.Add("CreateAgentRuntime", "", "", "***", runtimes+runtimeID, "arn:aws:iam::123456789012:role/its-role")
	f.Add("UpdateAgentRuntime", runtimes+runtimeID+":3", "", "", "", runtimes+runtimeID+"/runtime-endpoint/DEFAULT")
	f.Add("DeleteAgentRuntime", runtimeID, "", otherID, "", "")
	f.Add("DeleteAgentRuntimeEndpoint", runtimeID, "", "", "", "")
	f.Fuzz(func(t *testing.T, call, requestID, requestARN, responseID, responseARN, resource string) {
		all := []string{requestID, requestARN, responseID, responseARN, resource}
		if slices.ContainsFunc(all, func(text string) bool { return !utf8.ValidString(text) }) {
			return // JSON has no such text
		}
		look, err := event.Decode(record(t, members{
			"eventName": call, "resources": about(resource),
			"requestParameters": members{"agentRuntimeId": requestID, "agentRuntimeArn": requestARN},
			"responseElements":  members{"agentRuntimeId": responseID, "agentRuntimeArn": responseARN},
		}), here)
		if err != nil {
			if c := fault.Of(err); c != fault.Poison && c != fault.Ignored {
				t.Fatalf("refused as %s: %v", c, err)
			}
			return
		}
		agent, ok := naming.RuntimeAgent(look.Runtime)
		if !ok || !naming.ValidAgent(agent) || look.Hint.ID != look.Runtime || look.Hint.Kind != event.RuntimeHint {
			t.Fatalf("%+v", look)
		}
		if !slices.Contains([]string{"CreateAgentRuntime", "UpdateAgentRuntime", "DeleteAgentRuntime"}, call) {
			t.Fatalf("%q led to %+v", call, look)
		}
		seen := false
		for _, text := range all {
			rest, ours := strings.CutPrefix(text, runtimes)
			switch {
			case text == "", text == "***", ours && (rest == "" || strings.ContainsAny(rest[:1], "/:")): // it names none
			case text == look.Runtime, ours && (rest == look.Runtime || strings.HasPrefix(rest, look.Runtime+"/") || strings.HasPrefix(rest, look.Runtime+":")):
				seen = true
			case !strings.HasPrefix(text, "arn:"), strings.Contains(text, ":runtime/"):
				t.Fatalf("%q beside %+v", text, look)
			}
		}
		if !seen {
			t.Fatalf("nothing names %+v", look)
		}
	})
}
