package awsfake_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/awsfake"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func TestARoleTakesTenManagedPolicies(t *testing.T) {
	c := awsfake.New()
	makeRole(t, c, "Role", trust)
	attach := func(i int) string {
		arn := fmt.Sprintf("arn:aws:iam::aws:policy/%d", i)
		c.AddPolicy(arn, `{}`)
		_, err := c.IAM("t").AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("Role"), PolicyArn: &arn})
		return fmt.Sprint(err)
	}
	for i := range 10 {
		if err := attach(i); err != "<nil>" {
			t.Errorf("policy %d: %s", i, err)
		}
	}
	if err := attach(9); err != "<nil>" {
		t.Errorf("the tenth again: %s", err)
	}
	if err := attach(10); err != "LimitExceeded: Cannot exceed quota for PoliciesPerRole: 10" {
		t.Errorf("one more: %s", err)
	}
}

// What happens to a copy of an account does not happen to the account.
func TestACloneHasItsOwnInstanceProfilesAndUses(t *testing.T) {
	c := awsfake.New()
	makeRole(t, c, "Role", trust)
	c.PutIntoInstanceProfile("role", "Web")
	clone := c.Clone()
	clone.PutIntoInstanceProfile("Role", "db")
	if _, err := clone.IAM("t").RemoveRoleFromInstanceProfile(t.Context(), &iam.RemoveRoleFromInstanceProfileInput{RoleName: aws.String("Role"), InstanceProfileName: aws.String("WEB")}); err != nil {
		t.Error(err)
	}
	clone.UseRole("Role", clone.Now())
	if got, want := c.InstanceProfiles(), map[string]string{"Web": "Role"}; !maps.Equal(got, want) {
		t.Errorf("instance profiles %v, want %v", got, want)
	}
	if got, want := clone.InstanceProfiles(), map[string]string{"Web": "", "db": "Role"}; !maps.Equal(got, want) {
		t.Errorf("instance profiles of the clone %v, want %v", got, want)
	}
	for what, one := range map[string]*awsfake.Cloud{"account": c, "clone": clone, "clone of the clone": clone.Clone()} {
		out, err := one.IAM("t").GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("Role")})
		if err != nil {
			t.Fatal(err)
		}
		want := clone.Now()
		if what == "account" {
			want = time.Time{}
		}
		if got := aws.ToTime(out.Role.RoleLastUsed.LastUsedDate); !got.Equal(want) {
			t.Errorf("%s: used %v, want %v", what, got, want)
		}
	}
}

// usedAt gives when a role of the account was last used.
func usedAt(t *testing.T, c *awsfake.Cloud, name string) time.Time {
	t.Helper()
	out, err := c.IAM("t").GetRole(t.Context(), &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToTime(out.Role.RoleLastUsed.LastUsedDate)
}

func TestABuildUsesItsRoleFromWhenItRunsToItsEnd(t *testing.T) {
	c := builds(t)
	c.LimitBuilds(1)
	first, second := start(t, c), start(t, c)
	began := c.Now()
	c.Advance(time.Minute)
	if got := usedAt(t, c, "role"); !got.Equal(began) {
		t.Errorf("a build that waits has used it: at %v, want %v", got, began)
	}
	c.FinishBuild(second, awsfake.Outcome{State: "STOPPED"})
	if got := usedAt(t, c, "role"); !got.Equal(began) {
		t.Errorf("a build that never ran has used it: at %v, want %v", got, began)
	}
	c.FinishBuild(first, awsfake.Outcome{})
	if got := usedAt(t, c, "role"); !got.Equal(c.Now()) {
		t.Errorf("used at %v when the build ended at %v", got, c.Now())
	}
	ahead := c.Now().Add(time.Hour)
	c.UseRole("role", ahead)
	c.FinishBuild(start(t, c), awsfake.Outcome{})
	if got := usedAt(t, c, "role"); !got.Equal(ahead) {
		t.Errorf("used at %v, want %v", got, ahead)
	}
}

// listed gives the names that ListRoles gives, page by page.
func listed(t *testing.T, c *awsfake.Cloud, most *int32) string {
	t.Helper()
	var pages []string
	for marker, more := (*string)(nil), true; more; {
		out, err := c.IAM("t").ListRoles(t.Context(), &iam.ListRolesInput{MaxItems: most, Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		var page []string
		for _, r := range out.Roles {
			page = append(page, *r.RoleName)
		}
		pages, marker, more = append(pages, strings.Join(page, " ")), out.Marker, out.IsTruncated
	}
	return strings.Join(pages, "|")
}

func TestListsOfRolesComeInPagesAsSmallAsIAMLikes(t *testing.T) {
	c := awsfake.New()
	for _, name := range []string{"a", "B", "c", "D", "e"} {
		makeRole(t, c, name, trust)
	}
	most := aws.Int32(1000)
	c.HideRole("C", 1)
	for _, want := range []string{"a B D e", "a B c D e"} { // a role that is hidden from one read
		if got := listed(t, c, most); got != want {
			t.Errorf("listed are %s, want %s", got, want)
		}
	}
	c.LimitPages(2)
	for what, one := range map[string]*awsfake.Cloud{"account": c, "clone": c.Clone()} {
		if got := listed(t, one, most); got != "a B|c D|e" {
			t.Errorf("%s: at most two at once: %s", what, got)
		}
	}
	c.LimitPages(0)
	if got := listed(t, c, aws.Int32(3)); got != "a B c|D e" {
		t.Errorf("three at once: %s", got)
	}
	for i := range 96 {
		makeRole(t, c, fmt.Sprintf("f%d", i), trust)
	}
	if got := listed(t, c, nil); strings.Count(got, "|") != 1 || strings.Count(got, " ") != 99 {
		t.Errorf("101 roles, by default: %s", got)
	}
	if _, err := c.IAM("t").GetAccountAuthorizationDetails(t.Context(), &iam.GetAccountAuthorizationDetailsInput{}); fmt.Sprint(err) != "api error NotImplemented: only roles are told here: ask for no others" {
		t.Errorf("details of everything: %v", err)
	}
}

func TestAnAccountHasNoMoreRolesThanItMay(t *testing.T) {
	c := awsfake.New()
	c.SetRolesQuota(2)
	c = c.Clone()
	create := func(name string) string {
		_, err := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)})
		return fmt.Sprint(err)
	}
	for _, name := range []string{"a", "b"} {
		if got := create(name); got != "<nil>" {
			t.Errorf("role %s: %s", name, got)
		}
	}
	for name, want := range map[string]string{"c": "LimitExceeded: Cannot exceed quota for RolesPerAccount: 2", "a": "EntityAlreadyExists: Role with name a already exists."} {
		if got := create(name); got != want {
			t.Errorf("role %s: %s, want %s", name, got, want)
		}
	}
	if _, err := c.IAM("t").CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("network.bedrock-agentcore.amazonaws.com")}); err != nil {
		t.Errorf("a service-linked role: %v", err)
	}
	out, err := c.IAM("t").GetAccountSummary(t.Context(), &iam.GetAccountSummaryInput{})
	if want := map[string]int32{"Roles": 3, "RolesQuota": 2}; err != nil || !maps.Equal(out.SummaryMap, want) {
		t.Errorf("summary %v, want %v (%v)", out, want, err)
	}
	if err := create("d"); !strings.HasPrefix(err, "LimitExceeded: ") {
		t.Errorf("role d: %s", err)
	}
}

func TestAPolicyThatIsPutAgainHasANewVersion(t *testing.T) {
	const arn = "arn:aws:iam::123456789012:policy/p"
	c := awsfake.New()
	begin := c.Now()
	for _, document := range []string{"one", "two", "two", "one"} {
		c.AddPolicy(arn, document)
	}
	clone := c.Clone()
	c.Advance(time.Hour)
	c.AddPolicy(arn, "one")
	same := c.Clone()
	c.AddPolicy(arn, "here")
	clone.AddPolicy(arn, "there")
	for what, w := range map[string]struct {
		cloud             *awsfake.Cloud
		version, document string
		updated           time.Time
	}{
		"the same again":   {same, "v3", "one", begin},
		"another":          {c, "v4", "here", begin.Add(time.Hour)},
		"one in the clone": {clone, "v4", "there", begin},
	} {
		p, err := w.cloud.IAM("t").GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: aws.String(arn)})
		if err != nil {
			t.Fatal(err)
		}
		v, err := w.cloud.IAM("t").GetPolicyVersion(t.Context(), &iam.GetPolicyVersionInput{PolicyArn: aws.String(arn), VersionId: p.Policy.DefaultVersionId})
		if err != nil {
			t.Fatal(err)
		}
		if *p.Policy.DefaultVersionId != w.version || !p.Policy.UpdateDate.Equal(w.updated) || *v.PolicyVersion.Document != w.document || !v.PolicyVersion.IsDefaultVersion {
			t.Errorf("%s: version %s of %v is %q, want %s of %v, %q", what, *p.Policy.DefaultVersionId, p.Policy.UpdateDate, *v.PolicyVersion.Document, w.version, w.updated, w.document)
		}
	}
	v, err := c.IAM("t").GetPolicyVersion(t.Context(), &iam.GetPolicyVersionInput{PolicyArn: aws.String(arn), VersionId: aws.String("v2")})
	if err != nil || *v.PolicyVersion.Document != "two" || v.PolicyVersion.IsDefaultVersion {
		t.Errorf("one of the versions before: %+v, %v", v, err)
	}
	if _, err := c.IAM("t").GetPolicyVersion(t.Context(), &iam.GetPolicyVersionInput{PolicyArn: aws.String(arn), VersionId: aws.String("v5")}); err == nil {
		t.Error("there is a version v5")
	}
}
