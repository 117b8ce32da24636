package proxy_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
)

// told is what an event of CloudTrail about a call of IAM says.
type told struct {
	Call, Error, By, Issuer string
	Request                 map[string]any
}

func read(t *testing.T, e bus.Event) told {
	t.Helper()
	var d struct {
		EventSource, EventName, ErrorCode, AWSRegion, RecipientAccountID string
		EventTime                                                        time.Time
		RequestParameters                                                map[string]any
		UserIdentity                                                     struct {
			ARN            string
			SessionContext struct{ SessionIssuer struct{ ARN string } }
		}
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		t.Fatal(err)
	}
	if e.DetailType != "AWS API Call via CloudTrail" || e.Region != "us-east-1" || d.AWSRegion != "us-east-1" || d.EventSource != "iam.amazonaws.com" ||
		d.RecipientAccountID != account || e.Account != account || time.Since(d.EventTime).Abs() > time.Minute {
		t.Errorf("event %+v", e)
	}
	return told{d.EventName, d.ErrorCode, d.UserIdentity.ARN, d.UserIdentity.SessionContext.SessionIssuer.ARN, d.RequestParameters}
}

func testTrailOfIAM(t *testing.T, w world) {
	ctx, before := t.Context(), len(w.bus.Events())
	w.SetRoleOf(func(caller string) string {
		if caller == "function" {
			return "role-of-the-function"
		}
		return caller
	})
	defer w.SetRoleOf(nil)
	c, function := iam.NewFromConfig(w.config("somebody")), iam.NewFromConfig(w.config("function"))
	name := aws.String("told-of")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trust), Tags: []iamtypes.Tag{
		{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("")},
	}})
	must(err)
	_, err = c.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	must(err)
	_, err = function.UntagRole(ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: []string{"a", "b"}})
	must(err)
	if _, err := c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("none")}); code(err) != "NoSuchEntity" {
		t.Fatal(err)
	}
	denied := w.InjectFault(proxy.Fault{Caller: "somebody", Operation: "DeleteRole", Kind: proxy.Denied, Count: 1})
	if _, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}); code(err) != "AccessDenied" || denied.Hits() != 1 {
		t.Fatal(err)
	}
	lost := w.InjectFault(proxy.Fault{Caller: "somebody", Operation: "DeleteRole", Kind: proxy.DropAfter, Count: 1})
	if _, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}); err == nil || lost.Hits() != 1 {
		t.Fatal(errors.New("the answer was not lost"))
	}
	if _, err := c.GenerateOrganizationsAccessReport(ctx, &iam.GenerateOrganizationsAccessReportInput{EntityPath: name}); code(err) != "NotImplemented" {
		t.Fatal(err)
	}

	var got []told
	for _, e := range w.bus.Events()[before:] {
		if e.Source == "aws.iam" {
			got = append(got, read(t, e))
		}
	}
	const by, issuer = "arn:aws:sts::" + account + ":assumed-role/", "arn:aws:iam::" + account + ":role/"
	want := []told{
		{"CreateRole", "", by + "somebody/somebody", issuer + "somebody", map[string]any{
			"roleName": *name, "assumeRolePolicyDocument": trust,
			"tags": []any{map[string]any{"key": "a", "value": "1"}, map[string]any{"key": "b", "value": ""}},
		}},
		{"UntagRole", "", by + "role-of-the-function/role-of-the-function", issuer + "role-of-the-function", map[string]any{
			"roleName": *name, "tagKeys": []any{"a", "b"},
		}},
		{"DeleteRolePolicy", "NoSuchEntity", by + "somebody/somebody", issuer + "somebody", map[string]any{"roleName": *name, "policyName": "none"}},
		{"DeleteRole", "", by + "somebody/somebody", issuer + "somebody", map[string]any{"roleName": *name}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// IAM's events are of one Region; those of a stack elsewhere have been forwarded.
func TestEventsOfIAMAreOfItsRegionWhereverTheStackIs(t *testing.T) {
	url, _ := backend(t)
	for region, want := range map[string]string{"us-east-1": "us-east-1", "eu-west-1": "us-east-1", "us-gov-east-1": "us-gov-west-1"} {
		w := newWorldIn(t, region, url, 1)
		if _, err := iam.NewFromConfig(w.config("t")).DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("r")}); err != nil {
			t.Fatal(err)
		}
		events := w.bus.Events()
		if len(events) != 1 || events[0].Region != want || events[0].Source != "aws.iam" {
			t.Errorf("in %s: %+v", region, events)
		}
	}
}
