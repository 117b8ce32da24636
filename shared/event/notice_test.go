package event_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

func TestSamplesForSlrwatch(t *testing.T) {
	for name, want := range map[string]event.Notice{
		"cloudtrail-service-linked-role-created.json":  {Kind: event.NoticeCall, ID: "CreateServiceLinkedRole"},
		"cloudtrail-service-linked-role-deletion.json": {Kind: event.NoticeCall, ID: "DeleteServiceLinkedRole"},
		"cloudtrail-gateway-target-created.json":       {Kind: event.NoticeCall, ID: "CreateGatewayTarget"},
		"cloudtrail-runtime-created.json":              {Kind: event.NoticeCall, ID: "CreateAgentRuntime"},
		"cloudtrail-runtime-deleted.json":              {Kind: event.NoticeCall, ID: "DeleteAgentRuntime"},
		"s3-fleet-request-written.json":                {Kind: event.NoticeRequest},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := event.DecodeNotice(sample(t, name), here)
			var e struct{ Time time.Time }
			if wrong := json.Unmarshal([]byte(sample(t, name)), &e); wrong != nil {
				t.Fatal(wrong)
			}
			if want.Time = e.Time; want.Kind == event.NoticeRequest {
				if !strings.HasPrefix(n.ID, naming.FleetRequestPrefix) {
					t.Errorf("request %q", n.ID)
				}
				want.ID = n.ID
			}
			if diff := cmp.Diff(want, n); diff != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

// notice gives the sample of a call with members of its detail replaced.
func notice(t testing.TB, name string, old, text string) string {
	t.Helper()
	body := sample(t, name)
	if !strings.Contains(body, old) {
		t.Fatalf("%s has no %s", name, old)
	}
	return strings.ReplaceAll(body, old, text)
}

func TestTheCallsThatServiceLinkedRolesGoBy(t *testing.T) {
	calls := event.LinkedResourceCalls()
	if !slices.IsSorted(calls) || len(slices.Compact(slices.Clone(calls))) != len(calls) {
		t.Errorf("%q", calls)
	}
	for _, call := range append(calls, "CreateServiceLinkedRole", "DeleteServiceLinkedRole") {
		name, old := "cloudtrail-gateway-target-created.json", "CreateGatewayTarget"
		if strings.HasSuffix(call, "ServiceLinkedRole") {
			name, old = "cloudtrail-service-linked-role-created.json", "CreateServiceLinkedRole"
		}
		if n, err := event.DecodeNotice(notice(t, name, `"`+old+`"`, `"`+call+`"`), here); err != nil || n.ID != call || n.Kind != event.NoticeCall {
			t.Errorf("%s: %+v, %v", call, n, err)
		}
	}
	// What is in a VPC, or reaches into one, and what has an authorizer that may.
	for _, kind := range []string{"AgentRuntime", "Browser", "CodeInterpreter", "Harness", "Gateway", "GatewayTarget", "Oauth2CredentialProvider", "PaymentManager", "Registry", "CapacityProvider"} {
		for _, verb := range []string{"Create", "Delete"} {
			if !slices.Contains(calls, verb+kind) {
				t.Errorf("%s%s is not among them", verb, kind)
			}
		}
	}
}

func TestWhatIsNoNotice(t *testing.T) {
	const role, target, request = "cloudtrail-service-linked-role-created.json", "cloudtrail-gateway-target-created.json", "s3-fleet-request-written.json"
	wake := func(text string) string {
		return `{"source":"rolekeeper","detail-type":"Look Again","detail":` + text + `}`
	}
	for name, c := range map[string]struct {
		body string
		want fault.Class
	}{
		"not JSON":                        {"{", fault.Poison},
		"nothing":                         {"", fault.Poison},
		"no object":                       {`[]`, fault.Poison},
		"no detail":                       {`{"source":"aws.iam","detail-type":"AWS API Call via CloudTrail"}`, fault.Poison},
		"of an unknown kind":              {notice(t, role, "aws.iam", "aws.ec2"), fault.Poison},
		"another call of IAM":             {notice(t, role, `"CreateServiceLinkedRole"`, `"CreateRole"`), fault.Ignored},
		"a call of AgentCore that reads":  {notice(t, target, `"CreateGatewayTarget"`, `"ListGatewayTargets"`), fault.Ignored},
		"a call of IAM as AgentCore's":    {notice(t, target, `"CreateGatewayTarget"`, `"CreateServiceLinkedRole"`), fault.Ignored},
		"of another source than it says":  {notice(t, role, "iam.amazonaws.com", "ec2.amazonaws.com"), fault.Poison},
		"a call that failed":              {notice(t, role, `"eventName"`, `"errorCode": "AccessDenied", "eventName"`), fault.Ignored},
		"of another account":              {notice(t, role, "123456789012", "210987654321"), fault.Poison},
		"of IAM from another Region":      {notice(t, role, `"us-east-1"`, `"us-west-2"`), fault.Poison},
		"of AgentCore from another one":   {notice(t, target, `"us-east-1"`, `"us-west-2"`), fault.Poison},
		"a request in another bucket":     {notice(t, request, here.ConfigBucket, "theirs"), fault.Poison},
		"a request for a config":          {notice(t, request, naming.FleetRequestPrefix, "requests/config/"), fault.Poison},
		"a request from another Region":   {notice(t, request, `"us-east-1"`, `"us-west-2"`), fault.Poison},
		"a request that is deleted":       {notice(t, request, "Object Created", "Object Deleted"), fault.Poison},
		"a request with a detail of text": {`{"source":"aws.s3","detail-type":"Object Created","account":"123456789012","region":"us-east-1","detail":"x"}`, fault.Poison},
		"a wake-up of intake":             {sample(t, "wake.json"), fault.Poison},
		"a wake-up at no time":            {wake(`{}`), fault.Poison},
		"a wake-up at a word":             {wake(`{"at":"soon"}`), fault.Poison},
		"a wake-up that is null":          {wake(`null`), fault.Poison},
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := event.DecodeNotice(c.body, here); err == nil || fault.Of(err) != c.want || n != (event.Notice{}) {
				t.Errorf("%+v, class %q: %v", n, fault.Of(err), err)
			}
		})
	}
}

// Events of IAM come from one Region, whichever the stack is in.
func TestTheForwarderBringsEventsOfIAMHome(t *testing.T) {
	away := event.Here{Account: here.Account, Region: "eu-central-1", ConfigBucket: here.ConfigBucket}
	if n, err := event.DecodeNotice(sample(t, "cloudtrail-service-linked-role-created.json"), away); err != nil || n.Kind != event.NoticeCall {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := event.DecodeNotice(sample(t, "cloudtrail-gateway-target-created.json"), away); fault.Of(err) != fault.Poison {
		t.Errorf("AgentCore's of another Region: %v", err)
	}
}

func TestAMessageToLookAgainIsReadAsItWasSent(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 999_999_999, time.FixedZone("", 3600))
	for delay, want := range map[time.Duration]time.Duration{
		0: 0, time.Second: time.Second, 1500 * time.Millisecond: time.Second, 15 * time.Minute: 15 * time.Minute, time.Hour: event.MaxDelay,
	} {
		m, at, err := event.LookAgain(now, delay)
		if err != nil || m.Delay != want || !at.Equal(now.Add(want).Truncate(time.Second)) || at.Location() != time.UTC {
			t.Errorf("%s: delay %s, at %s, %v", delay, m.Delay, at, err)
		}
		if n, err := event.DecodeNotice(m.Body, here); err != nil || n != (event.Notice{Kind: event.NoticeWake, Time: at}) {
			t.Errorf("%s: %+v, %v", delay, n, err)
		}
		if _, err := event.Decode(m.Body, here); fault.Of(err) != fault.Poison {
			t.Errorf("intake takes it: %v", err)
		}
	}
}

// What is read is a call that is known, a request by its key, or a wake-up with its
// time; everything else is refused for good.
func FuzzDecodeNotice(f *testing.F) {
	for _, name := range []string{
		"cloudtrail-service-linked-role-created.json", "cloudtrail-service-linked-role-deletion.json", "cloudtrail-gateway-target-created.json",
		"cloudtrail-runtime-created.json", "cloudtrail-runtime-delete-failed.json", "s3-fleet-request-written.json", "s3-request-written.json", "wake.json",
	} {
		f.Add(sample(f, name))
	}
	m, _, err := event.LookAgain(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Body)
	f.Add(`{"source":"rolekeeper","detail-type":"Look Again","detail":{"at":"9999-12-31T23:59:59Z"}}`)
	calls := append(event.LinkedResourceCalls(), "CreateServiceLinkedRole", "DeleteServiceLinkedRole")
	f.Fuzz(func(t *testing.T, body string) {
		n, err := event.DecodeNotice(body, here)
		if err != nil {
			if c := fault.Of(err); c != fault.Poison && c != fault.Ignored || n != (event.Notice{}) {
				t.Fatalf("refused as %s: %v, %+v", c, err, n)
			}
			return
		}
		var place struct{ Account, Region string }
		if err := json.Unmarshal([]byte(body), &place); err != nil || n.Kind != event.NoticeWake && (place.Account != here.Account || place.Region != here.Region) {
			t.Fatalf("an event of %+v led to %+v, %v", place, n, err)
		}
		ok := false
		switch n.Kind {
		case event.NoticeCall:
			ok = slices.Contains(calls, n.ID)
		case event.NoticeRequest:
			ok = strings.HasPrefix(n.ID, naming.FleetRequestPrefix)
		case event.NoticeWake:
			ok = n.ID == "" && !n.Time.IsZero()
		}
		if !ok {
			t.Fatalf("%+v", n)
		}
	})
}
