package event_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

const ownRole = "arn:aws:iam::123456789012:role/rolekeeper-reconcile-us-east-1"

var (
	edited = naming.RuntimeRole(here.Region, "my_agent")
	built  = naming.BuildRole(here.Region, "my_agent")
)

// atHome is what intake goes by in a Region.
func atHome(region string) event.Here {
	return event.Here{Account: here.Account, Region: region, OwnRole: ownRole}
}

// change gives the event of a call of IAM, with some members of its detail in the
// place of those of a policy that was put by hand; nil takes one away.
func change(t testing.TB, with members) string {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal([]byte(sample(t, "cloudtrail-role-edited.json")), &e); err != nil {
		t.Fatal(err)
	}
	detail, _ := e["detail"].(map[string]any)
	maps.Copy(detail, with)
	maps.DeleteFunc(detail, func(_ string, v any) bool { return v == nil })
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestACallThatChangesARoleLeadsToIt(t *testing.T) {
	for _, call := range []string{
		"AcquireRole", "AttachRolePolicy", "CreateRole", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy",
		"DetachRolePolicy", "PutRolePermissionsBoundary", "PutRolePolicy", "TagRole", "UntagRole",
		"UpdateAssumeRolePolicy", "UpdateRole", "UpdateRoleDescription",
	} {
		for _, role := range []string{edited, built} {
			t.Run(call+" of "+role, func(t *testing.T) {
				look, err := event.Decode(change(t, members{"eventName": call, "requestParameters": members{"roleName": role}}), atHome("us-east-1"))
				if err != nil {
					t.Fatal(err)
				}
				want := event.Look{Role: role, Hint: event.Hint{
					Kind: event.RoleHint, ID: role + "/" + call, Time: time.Date(2026, 11, 22, 17, 2, 8, 0, time.UTC), Actor: developer,
				}}
				if diff := cmp.Diff(want, look); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

func TestAHintNamesThePolicyThatACallWasAbout(t *testing.T) {
	const managed = "arn:aws:iam::123456789012:policy/team/read-orders"
	long := "arn:aws:iam::123456789012:policy/" + strings.Repeat("p", 511) + "/" + strings.Repeat("n", 128)
	for name, c := range map[string]struct {
		call  string
		asked members
		want  string // what follows the name of the role
	}{
		"an inline one that was put":       {"PutRolePolicy", members{"policyName": "read-orders", "policyDocument": "{}"}, "/PutRolePolicy/read-orders"},
		"an inline one that was deleted":   {"DeleteRolePolicy", members{"policyName": "Read+=,.@-_"}, "/DeleteRolePolicy/Read+=,.@-_"},
		"a managed one that was attached":  {"AttachRolePolicy", members{"policyArn": managed}, "/AttachRolePolicy/" + managed},
		"a managed one that was detached":  {"DetachRolePolicy", members{"policyArn": managed}, "/DetachRolePolicy/" + managed},
		"the longest ARN":                  {"AttachRolePolicy", members{"policyArn": long}, "/AttachRolePolicy/" + long},
		"not the other parameter of both":  {"PutRolePolicy", members{"policyArn": managed}, "/PutRolePolicy"},
		"nor the other way round":          {"AttachRolePolicy", members{"policyName": "read-orders"}, "/AttachRolePolicy"},
		"none of a call about the role":    {"TagRole", members{"policyName": "read-orders", "policyArn": managed, "": managed}, "/TagRole"},
		"none of a boundary":               {"PutRolePermissionsBoundary", members{"permissionsBoundary": managed}, "/PutRolePermissionsBoundary"},
		"none that is empty":               {"PutRolePolicy", members{"policyName": ""}, "/PutRolePolicy"},
		"none that is not text":            {"PutRolePolicy", members{"policyName": members{"a": 1}}, "/PutRolePolicy"},
		"none that nobody can read":        {"PutRolePolicy", members{"policyName": "\x1b\n\u202e"}, "/PutRolePolicy"},
		"without escapes of a terminal":    {"PutRolePolicy", members{"policyName": "a\x1b[31mb\u200bc\nd"}, "/PutRolePolicy/a[31mbcd"},
		"no more of one than there can be": {"DetachRolePolicy", members{"policyArn": strings.Repeat("é", 10_000)}, "/DetachRolePolicy/" + strings.Repeat("é", 700)},
	} {
		t.Run(name, func(t *testing.T) {
			c.asked["roleName"] = edited
			look, err := event.Decode(change(t, members{"eventName": c.call, "requestParameters": c.asked}), atHome("us-east-1"))
			if err != nil || look.Hint.ID != edited+c.want {
				t.Errorf("look %+v, %v, want %s", look, err, c.want)
			}
		})
	}
}

func TestSamplesOfRolesThatWereEdited(t *testing.T) {
	if look, err := event.Decode(sample(t, "cloudtrail-role-edited.json"), atHome("us-east-1")); err != nil || look.Role != edited || look.Hint.ID != edited+"/PutRolePolicy/read-orders" {
		t.Errorf("by hand: %+v, %v", look, err)
	}
	for _, name := range []string{"cloudtrail-role-edited-by-rolekeeper.json", "cloudtrail-role-edit-failed.json"} {
		if look, err := event.Decode(sample(t, name), atHome("us-east-1")); fault.Of(err) != fault.Ignored {
			t.Errorf("%s: %+v, %v", name, look, err)
		}
	}
	// A user has no session, and so no issuer.
	if look, err := event.Decode(change(t, members{"userIdentity": members{"type": "IAMUser"}}), event.Here{Account: here.Account, Region: here.Region}); err != nil || look.Role != edited {
		t.Errorf("by a user, where it is not known who we are: %+v, %v", look, err)
	}
	// What is a write of our own in one stack is somebody else's in another.
	other := atHome("us-east-1")
	other.OwnRole = strings.Replace(ownRole, "us-east-1", "us-east-2", 1)
	if look, err := event.Decode(sample(t, "cloudtrail-role-edited-by-rolekeeper.json"), other); err != nil || look.Role != edited {
		t.Errorf("by another stack: %+v, %v", look, err)
	}
}

func TestARoleIsNamedAsNamingHasItHoweverTheCallerSpelledIt(t *testing.T) {
	made := func(name any) members {
		return members{"eventName": "AcquireRole", "requestParameters": members{"templateArn": "t"}, "responseElements": members{"role": members{"roleName": name}}}
	}
	for name, with := range map[string]members{
		"as it is":                  {},
		"in capitals":               {"requestParameters": members{"roleName": strings.ToUpper(edited)}},
		"in small letters":          {"requestParameters": members{"roleName": strings.ToLower(edited)}},
		"by the answer":             made(edited),
		"by the answer in capitals": made(strings.ToUpper(edited)),
		"beside other parameters":   {"requestParameters": members{"roleName": edited, "policyName": "p"}},
		"by the request before all": {"responseElements": members{"role": members{"roleName": built}}},
		"in a record without place": {"recipientAccountId": nil, "awsRegion": nil},
	} {
		t.Run(name, func(t *testing.T) {
			look, err := event.Decode(change(t, with), atHome("us-east-1"))
			if err != nil || look.Role != edited || !strings.HasPrefix(look.Hint.ID, edited+"/") {
				t.Errorf("look %+v, %v", look, err)
			}
		})
	}
}

func TestEventsOfIAMAreOfOneRegionOfAPartition(t *testing.T) {
	for name, c := range map[string]struct {
		home, envelope, record string
		want                   fault.Class // empty: it leads to the role
	}{
		"at home":                            {"us-east-1", "us-east-1", "us-east-1", ""},
		"forwarded":                          {"eu-west-1", "us-east-1", "us-east-1", ""},
		"said to be of the home Region":      {"eu-west-1", "eu-west-1", "us-east-1", fault.Poison},
		"recorded in the home Region":        {"eu-west-1", "us-east-1", "eu-west-1", fault.Poison},
		"of a third Region":                  {"eu-west-1", "us-west-2", "us-west-2", fault.Poison},
		"of GovCloud":                        {"us-gov-east-1", "us-gov-west-1", "us-gov-west-1", ""},
		"of the other Region of GovCloud":    {"us-gov-east-1", "us-gov-east-1", "us-gov-east-1", fault.Poison},
		"of China":                           {"cn-northwest-1", "cn-north-1", "cn-north-1", ""},
		"of another partition":               {"cn-north-1", "us-east-1", "us-east-1", fault.Poison},
		"of a partition that is little seen": {"eusc-de-east-1", "eusc-de-east-1", "eusc-de-east-1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.NewReplacer(
				`"region": "us-east-1"`, `"region": "`+c.envelope+`"`, `"awsRegion": "us-east-1"`, `"awsRegion": "`+c.record+`"`,
				edited, naming.RuntimeRole(c.home, "my_agent"),
			).Replace(sample(t, "cloudtrail-role-edited.json"))
			look, err := event.Decode(body, atHome(c.home))
			if (err == nil) != (c.want == "") || err != nil && fault.Of(err) != c.want || err == nil && look.Role != naming.RuntimeRole(c.home, "my_agent") {
				t.Errorf("look %+v, error %v, want class %q", look, err, c.want)
			}
		})
	}
}

func TestOtherEventsOfIAMAreRefused(t *testing.T) {
	named := func(name any) members { return members{"requestParameters": members{"roleName": name}} }
	for name, c := range map[string]struct {
		with members
		want fault.Class
	}{
		"of a failed call":                {members{"errorCode": "AccessDenied"}, fault.Ignored},
		"of a failed call without a code": {members{"errorCode": ""}, fault.Ignored},
		"of a call that reads":            {members{"eventName": "GetRole"}, fault.Ignored},
		"of a user":                       {members{"eventName": "PutUserPolicy"}, fault.Ignored},
		"of an instance profile":          {members{"eventName": "AddRoleToInstanceProfile"}, fault.Ignored},
		"of one that a role leaves":       {members{"eventName": "RemoveRoleFromInstanceProfile"}, fault.Ignored},
		"of a call in small letters":      {members{"eventName": "putrolepolicy"}, fault.Ignored},
		"of no call":                      {members{"eventName": nil}, fault.Ignored},
		"of somebody's role":              {named("AgentDeveloper"), fault.Ignored},
		"of a role of another Region":     {named(naming.RuntimeRole("us-east-2", "my_agent")), fault.Ignored},
		"of a role without a hash":        {named("AmazonBedrockAgentCoreSDKRuntime-us-east-1-"), fault.Ignored},
		"of no more than a prefix":        {named(naming.RuntimeRolePrefix), fault.Ignored},
		"of an ARN":                       {named("arn:aws:iam::123456789012:role/" + edited), fault.Ignored},
		"of a name with a long s":         {named(strings.Replace(edited, "us-east-1", "us-eaſt-1", 1)), fault.Ignored},
		"of no role":                      {named(""), fault.Ignored},
		"of a role that is no text":       {named(7), fault.Ignored},
		"of what does not say of what":    {members{"requestParameters": nil}, fault.Ignored},
		"of what is hidden":               {members{"requestParameters": "HIDDEN_DUE_TO_SECURITY_REASONS"}, fault.Ignored},
		"of another service":              {members{"eventSource": "sts.amazonaws.com"}, fault.Poison},
		"of no service":                   {members{"eventSource": nil}, fault.Poison},
		"of another account":              {members{"recipientAccountId": "999999999999"}, fault.Poison},
		"with a code that is not text":    {members{"errorCode": 403}, fault.Poison},
		"with a time that is not text":    {members{"eventTime": 7}, fault.Poison},
		"by nobody that can be read":      {members{"userIdentity": "me"}, fault.Poison},
	} {
		t.Run(name, func(t *testing.T) { refused(t, change(t, c.with), c.want) })
	}
	t.Run("of AgentCore", func(t *testing.T) {
		refused(t, changed(t, "cloudtrail-role-edited.json", `"source": "aws.iam"`, `"source": "aws.bedrock-agentcore"`), fault.Poison)
	})
	t.Run("a detail that is no object", func(t *testing.T) {
		refused(t, `{"source":"aws.iam","detail-type":"AWS API Call via CloudTrail","account":"123456789012","region":"us-east-1","detail":[]}`, fault.Poison)
	})
}

func TestAnEventWithoutATimeOfItsOwnHasThatOfItsEnvelope(t *testing.T) {
	at := time.Date(2026, 11, 22, 17, 2, 8, 0, time.UTC)
	for name, c := range map[string]struct {
		with members
		want time.Time
	}{
		"none":       {members{"eventTime": nil}, at},
		"not a time": {members{"eventTime": "yesterday"}, at},
		"months old": {members{"eventTime": "2026-03-01T00:00:00Z"}, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			if look, err := event.Decode(change(t, c.with), atHome("us-east-1")); err != nil || !look.Hint.Time.Equal(c.want) {
				t.Errorf("look %+v, %v", look, err)
			}
		})
	}
}

func TestWhoDidItIsBoundedAndHasNothingToObey(t *testing.T) {
	by := func(identity members) members { return members{"userIdentity": identity} }
	for name, c := range map[string]struct {
		with members
		want string
	}{
		"a session":               {members{}, developer},
		"a user":                  {by(members{"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/é"}), "arn:aws:iam::123456789012:user/é"},
		"a service":               {by(members{"type": "AWSService", "invokedBy": "sso.amazonaws.com"}), "sso.amazonaws.com"},
		"a session of a service":  {by(members{"arn": developer, "invokedBy": "cloudformation.amazonaws.com"}), developer},
		"nobody":                  {by(nil), ""},
		"nobody at all":           {members{"userIdentity": nil}, ""},
		"no session":              {by(members{"arn": developer, "sessionContext": nil}), developer},
		"an escape of a terminal": {by(members{"arn": "a\x1b[31mb\x00c\u009bd\ne\u202ef\u200bg"}), "a[31mbcdefg"},
		"a long one":              {by(members{"arn": strings.Repeat("é", 10_000)}), strings.Repeat("é", 640)},
	} {
		t.Run(name, func(t *testing.T) {
			for what, body := range map[string]string{"role": change(t, c.with), "runtime": record(t, withRuntime(c.with))} {
				if look, err := event.Decode(body, atHome("us-east-1")); err != nil || look.Hint.Actor != c.want {
					t.Errorf("%s: actor %q, %v, want %q", what, look.Hint.Actor, err, c.want)
				}
			}
		})
	}
}

// withRuntime is a record's members with a runtime that they are about.
func withRuntime(with members) members {
	out := members{"requestParameters": members{"agentRuntimeId": runtimeID}}
	maps.Copy(out, with)
	return out
}

func TestARefusalOfARoleDoesNotRepeatAWholeEvent(t *testing.T) {
	huge := strings.Repeat("é", 1<<16)
	for name, with := range map[string]members{
		"source": {"eventSource": huge}, "call": {"eventName": huge}, "code": {"errorCode": huge}, "account": {"recipientAccountId": huge},
		"region": {"awsRegion": huge}, "role": {"requestParameters": members{"roleName": huge}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := event.Decode(change(t, with), atHome("us-east-1"))
			if err == nil || len(err.Error()) > 2_000 {
				t.Errorf("an error of %d bytes", len(fmt.Sprint(err)))
			}
		})
	}
}

// What decodes names an agent's role of the home Region as naming has it, by
// whatever spelling, and no write of our own.
func FuzzDecodeRole(f *testing.F) {
	f.Add("PutRolePolicy", edited, "", "us-east-1", developer, "arn:aws:iam::123456789012:role/AgentDeveloper", "2026-11-22T17:02:08Z", "read-orders")
	f.Add("AttachRolePolicy", edited, "", "us-east-1", developer, "", "", "arn:aws:iam::aws:policy/ReadOnlyAccess")
	f.Add("DetachRolePolicy", edited, "", "us-east-1", developer, "", "", "\u202e\n")
	f.Add("AcquireRole", "", strings.ToUpper(built), "us-east-1", "", "", "2026-11-22T17:02:08Z", "")
	f.Add("DeleteRole", edited, "", "us-east-1", developer, ownRole, "2026-11-22T17:02:08Z", "p")
	f.Add("DeleteRole", naming.RuntimeRole("eu-west-1", "my_agent"), "", "eu-west-1", "\x1b[31m", "", "", "")
	f.Fuzz(func(t *testing.T, call, asked, answered, home, actor, issuer, at, policy string) {
		for _, text := range []string{call, asked, answered, home, actor, issuer, at, policy} {
			if !utf8.ValidString(text) {
				return // JSON has no such text
			}
		}
		look, err := event.Decode(change(t, members{
			"eventName": call, "eventTime": at, "responseElements": members{"role": members{"roleName": answered}},
			"requestParameters": members{"roleName": asked, "policyName": policy, "policyArn": policy},
			"userIdentity":      members{"arn": actor, "sessionContext": members{"sessionIssuer": members{"arn": issuer}}},
		}), atHome(home))
		if err != nil {
			if c := fault.Of(err); c != fault.Poison && c != fault.Ignored {
				t.Fatalf("refused as %s: %v", c, err)
			}
			return
		}
		name := asked
		if name == "" {
			name = answered
		}
		if _, ok := naming.RoleHash(home, look.Role); !ok || !strings.EqualFold(look.Role, name) || len(look.Role) != len(name) {
			t.Fatalf("%q in %q led to %+v", name, home, look)
		}
		about, ok := strings.CutPrefix(look.Hint.ID, look.Role+"/"+call)
		if issuer == ownRole || !ok || about != "" && !strings.HasPrefix(about, "/") || about == "/" {
			t.Fatalf("%q by a session of %q led to %+v", call, issuer, look)
		}
		if about != "" && !slices.Contains([]string{"PutRolePolicy", "DeleteRolePolicy", "AttachRolePolicy", "DetachRolePolicy"}, call) {
			t.Fatalf("%q is about policy %q", call, about)
		}
		if utf8.RuneCountInString(about) > 701 || strings.ContainsFunc(about, func(c rune) bool { return !unicode.IsGraphic(c) }) {
			t.Fatalf("policy %q", about)
		}
		if utf8.RuneCountInString(look.Hint.Actor) > 640 || strings.ContainsFunc(look.Hint.Actor, func(c rune) bool { return !unicode.IsGraphic(c) }) {
			t.Fatalf("actor %q", look.Hint.Actor)
		}
		if !slices.Contains([]string{"Acquire", "Attach", "Create", "Delete", "Detach", "Put", "Tag", "Untag", "Update"}, call[:strings.Index(call, "Role")]) {
			t.Fatalf("%q led to %+v", call, look)
		}
	})
}
