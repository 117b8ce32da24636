package awsfake_test

import (
	"fmt"
	"maps"
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
