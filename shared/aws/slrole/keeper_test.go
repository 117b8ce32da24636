package slrole_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/slr"
)

var _ slr.Roles = (*slrole.Keeper)(nil)

// answers is an IAM that gives what it was told to, to whatever it is asked. What
// it was not told to give is empty.
type answers struct {
	err      error
	role     *types.Role
	policy   *types.Policy
	version  *types.PolicyVersion
	job      *string
	access   iam.GetServiceLastAccessedDetailsOutput
	task     *string
	deletion iam.GetServiceLinkedRoleDeletionStatusOutput

	calls int
}

func (a *answers) GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	a.calls++
	return &iam.GetRoleOutput{Role: a.role}, a.err
}

func (a *answers) GetPolicy(context.Context, *iam.GetPolicyInput, ...func(*iam.Options)) (*iam.GetPolicyOutput, error) {
	a.calls++
	return &iam.GetPolicyOutput{Policy: a.policy}, a.err
}

func (a *answers) GetPolicyVersion(context.Context, *iam.GetPolicyVersionInput, ...func(*iam.Options)) (*iam.GetPolicyVersionOutput, error) {
	a.calls++
	return &iam.GetPolicyVersionOutput{PolicyVersion: a.version}, a.err
}

func (a *answers) GenerateServiceLastAccessedDetails(context.Context, *iam.GenerateServiceLastAccessedDetailsInput, ...func(*iam.Options)) (*iam.GenerateServiceLastAccessedDetailsOutput, error) {
	a.calls++
	return &iam.GenerateServiceLastAccessedDetailsOutput{JobId: a.job}, a.err
}

func (a *answers) GetServiceLastAccessedDetails(_ context.Context, in *iam.GetServiceLastAccessedDetailsInput, _ ...func(*iam.Options)) (*iam.GetServiceLastAccessedDetailsOutput, error) {
	if a.calls++; aws.ToInt32(in.MaxItems) != 1000 || in.Marker != nil {
		return nil, fmt.Errorf("asked for %d items after %q", aws.ToInt32(in.MaxItems), aws.ToString(in.Marker))
	}
	return &a.access, a.err
}

func (a *answers) DeleteServiceLinkedRole(context.Context, *iam.DeleteServiceLinkedRoleInput, ...func(*iam.Options)) (*iam.DeleteServiceLinkedRoleOutput, error) {
	a.calls++
	return &iam.DeleteServiceLinkedRoleOutput{DeletionTaskId: a.task}, a.err
}

func (a *answers) GetServiceLinkedRoleDeletionStatus(context.Context, *iam.GetServiceLinkedRoleDeletionStatusInput, ...func(*iam.Options)) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error) {
	a.calls++
	return &a.deletion, a.err
}

// methods calls each method of a keeper.
func methods(ctx context.Context, k *slrole.Keeper) map[string]func() (any, error) {
	return map[string]func() (any, error){
		"Observe":        func() (any, error) { return k.Observe(ctx, name) },
		"Policy":         func() (any, error) { v, at, err := k.Policy(ctx, "arn"); return v + at.String(), err },
		"PolicyDocument": func() (any, error) { return k.PolicyDocument(ctx, "arn", "v1") },
		"AskAccess":      func() (any, error) { return k.AskAccess(ctx, "arn") },
		"Access":         func() (any, error) { a, _, err := k.Access(ctx, "job"); return a, err },
		"Delete":         func() (any, error) { return k.Delete(ctx, name) },
		"Deletion":       func() (any, error) { return k.Deletion(ctx, "task") },
	}
}

func TestEachMethodOfAKeeperMakesOneCallAndSaysWhatWentWrong(t *testing.T) {
	for code, want := range map[string]struct {
		class fault.Class
		is    error
	}{
		"NoSuchEntity":   {fault.Unknown, fault.ErrNotFound},
		"AccessDenied":   {fault.Unknown, fault.ErrDenied},
		"Throttling":     {fault.Retry, nil},
		"ServiceFailure": {fault.Retry, nil},
		"InvalidInput":   {fault.Unknown, nil},
		"LimitExceeded":  {fault.Unknown, nil},
	} {
		api := &answers{err: &smithy.GenericAPIError{Code: code, Message: "m"}}
		for method, call := range methods(t.Context(), slrole.NewKeeper(api)) {
			api.calls = 0
			_, err := call()
			if api.calls != 1 || fault.Of(err) != want.class || errors.Is(err, fault.ErrNotFound) != (want.is == fault.ErrNotFound) || want.is != nil && !errors.Is(err, want.is) { //nolint:errorlint // the very same
				t.Errorf("%s, %s: %d calls, class %s, %v", method, code, api.calls, fault.Of(err), err)
			}
		}
	}
}

func TestAnEmptyAnswerOfIAMIsAnError(t *testing.T) {
	for method, call := range methods(t.Context(), slrole.NewKeeper(&answers{})) {
		if got, err := call(); err == nil || errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: %v, %v", method, got, err)
		}
	}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	whole := func() *types.Role {
		return &types.Role{Arn: aws.String("arn"), RoleId: aws.String("AROA"), Path: aws.String("/"), CreateDate: &at}
	}
	if o, err := slrole.NewKeeper(&answers{role: whole()}).Observe(t.Context(), name); err != nil || !o.LastUsed.IsZero() {
		t.Errorf("a role that was never used: %+v, %v", o, err)
	}
	for part, strike := range map[string]func(*types.Role){
		"ARN": func(r *types.Role) { r.Arn = nil }, "id": func(r *types.Role) { r.RoleId = nil },
		"path": func(r *types.Role) { r.Path = nil }, "creation": func(r *types.Role) { r.CreateDate = nil },
	} {
		r := whole()
		strike(r)
		if o, err := slrole.NewKeeper(&answers{role: r}).Observe(t.Context(), name); err == nil {
			t.Errorf("a role without %s: %+v", part, o)
		}
	}
	for part, p := range map[string]*types.Policy{"a version": {UpdateDate: &at}, "a date": {DefaultVersionId: aws.String("v1")}} {
		if version, _, err := slrole.NewKeeper(&answers{policy: p}).Policy(t.Context(), "arn"); err == nil {
			t.Errorf("a policy without %s: %s", part, version)
		}
	}
}

func TestADocumentIsDecoded(t *testing.T) {
	for given, want := range map[string]string{"%7B%22a%22%3A%20%22b+c%22%7D": `{"a": "b+c"}`, "%zz": ""} {
		got, err := slrole.NewKeeper(&answers{version: &types.PolicyVersion{Document: &given}}).PolicyDocument(t.Context(), "arn", "v3")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", given, got, err)
		}
	}
}

func TestTheNewestAccessOfAReportIsGiven(t *testing.T) {
	day := func(n int) *time.Time {
		at := time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC)
		return &at
	}
	service := func(namespace, region string, at *time.Time) types.ServiceLastAccessed {
		return types.ServiceLastAccessed{ServiceNamespace: &namespace, LastAuthenticatedRegion: &region, LastAuthenticated: at}
	}
	never := types.ServiceLastAccessed{ServiceNamespace: aws.String("sts")}
	completed := func(all ...types.ServiceLastAccessed) iam.GetServiceLastAccessedDetailsOutput {
		return iam.GetServiceLastAccessedDetailsOutput{JobStatus: types.JobStatusTypeCompleted, ServicesLastAccessed: all}
	}
	failed := func(e *types.ErrorDetails) iam.GetServiceLastAccessedDetailsOutput {
		return iam.GetServiceLastAccessedDetailsOutput{JobStatus: types.JobStatusTypeFailed, Error: e}
	}
	cut := completed(never)
	cut.IsTruncated = true
	for story, c := range map[string]struct {
		answer iam.GetServiceLastAccessedDetailsOutput
		want   model.LinkedAccess
		done   bool
		says   string // of the error; empty for none
	}{
		"several":            {completed(never, service("ec2", "eu-west-1", day(3)), service("vpc-lattice", "us-east-1", day(7)), service("cloudwatch", "eu-west-1", day(5))), model.LinkedAccess{Last: *day(7), Region: "us-east-1", Service: "vpc-lattice"}, true, ""},
		"none":               {completed(never), model.LinkedAccess{}, true, ""},
		"no services":        {completed(), model.LinkedAccess{}, true, ""},
		"not done":           {iam.GetServiceLastAccessedDetailsOutput{JobStatus: types.JobStatusTypeInProgress}, model.LinkedAccess{}, false, ""},
		"failed":             {failed(&types.ErrorDetails{Code: aws.String("InternalError"), Message: aws.String("try\nagain")}), model.LinkedAccess{Failed: "InternalError: try again"}, true, ""},
		"failed with a code": {failed(&types.ErrorDetails{Code: aws.String("InternalError")}), model.LinkedAccess{Failed: "InternalError"}, true, ""},
		"failed in silence":  {failed(nil), model.LinkedAccess{Failed: "IAM does not say why"}, true, ""},
		"an empty failure":   {failed(&types.ErrorDetails{}), model.LinkedAccess{Failed: "IAM does not say why"}, true, ""},
		"cut short":          {cut, model.LinkedAccess{}, false, "cut short after 1"},
		"an unknown status":  {iam.GetServiceLastAccessedDetailsOutput{JobStatus: "PAUSED"}, model.LinkedAccess{}, false, `"PAUSED"`},
	} {
		t.Run(story, func(t *testing.T) {
			got, done, err := slrole.NewKeeper(&answers{access: c.answer}).Access(t.Context(), "job")
			if diff := cmp.Diff(c.want, got); diff != "" || done != c.done || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("done %v, %v (-want +got)\n%s", done, err, diff)
			}
		})
	}
}

func TestADeletionSaysHowFarItIsAndWhatIsInItsWay(t *testing.T) {
	answer := func(status types.DeletionTaskStatusType, reason *types.DeletionTaskFailureReasonType) iam.GetServiceLinkedRoleDeletionStatusOutput {
		return iam.GetServiceLinkedRoleDeletionStatusOutput{Status: status, Reason: reason}
	}
	inUse := &types.DeletionTaskFailureReasonType{Reason: aws.String("in use"), RoleUsageList: []types.RoleUsageType{
		{Region: aws.String("eu-west-1"), Resources: []string{"arn:a", "arn:b"}}, {Region: aws.String("us-east-1")},
	}}
	for story, c := range map[string]struct {
		answer iam.GetServiceLinkedRoleDeletionStatusOutput
		want   model.LinkedDeletion
		fails  bool
	}{
		"not begun":         {answer("NOT_STARTED", nil), model.LinkedDeletion{State: model.DeletionRunning}, false},
		"begun":             {answer("IN_PROGRESS", nil), model.LinkedDeletion{State: model.DeletionRunning}, false},
		"done":              {answer("SUCCEEDED", nil), model.LinkedDeletion{State: model.DeletionSucceeded}, false},
		"in use":            {answer("FAILED", inUse), model.LinkedDeletion{State: model.DeletionFailed, Reason: "in use", Usage: []model.LinkedUsage{{Region: "eu-west-1", Resources: []string{"arn:a", "arn:b"}}, {Region: "us-east-1"}}}, false},
		"no reason":         {answer("FAILED", nil), model.LinkedDeletion{State: model.DeletionFailed, Reason: "the service gives no reason"}, false},
		"an empty reason":   {answer("FAILED", &types.DeletionTaskFailureReasonType{}), model.LinkedDeletion{State: model.DeletionFailed, Reason: "the service gives no reason"}, false},
		"an unknown status": {answer("PAUSED", nil), model.LinkedDeletion{}, true},
	} {
		t.Run(story, func(t *testing.T) {
			got, err := slrole.NewKeeper(&answers{deletion: c.answer}).Deletion(t.Context(), "task")
			if diff := cmp.Diff(c.want, got); diff != "" || (err != nil) != c.fails {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

// What a service says is kept in a file, so it must be legible and not too long.
func FuzzWhatADeletionSaysIsBounded(f *testing.F) {
	f.Add("in use", "eu-west-1", "arn", 3, 2)
	f.Add(strings.Repeat("é", 2000), "x\x00\u202e", strings.Repeat("r", 3000), 1000, 60)
	f.Add("\xff\xfe", "", "\n", 21, 51)
	f.Fuzz(func(t *testing.T, reason, region, resource string, resources, regions int) {
		u := types.RoleUsageType{Region: &region}
		for range min(resources, 2000) {
			u.Resources = append(u.Resources, resource)
		}
		why := &types.DeletionTaskFailureReasonType{Reason: &reason}
		for range min(regions, 100) {
			why.RoleUsageList = append(why.RoleUsageList, u)
		}
		d, err := slrole.NewKeeper(&answers{deletion: iam.GetServiceLinkedRoleDeletionStatusOutput{Status: "FAILED", Reason: why}}).Deletion(t.Context(), "task")
		if err != nil || d.State != model.DeletionFailed || d.Reason == "" {
			t.Fatalf("%+v, %v", d, err)
		}
		texts := []string{d.Reason}
		for _, u := range d.Usage {
			if texts = append(texts, u.Region); len(u.Resources) > 21 {
				t.Errorf("%d resources", len(u.Resources))
			}
			if n := min(resources, 2000); n > 20 && u.Resources[20] != fmt.Sprintf("and %d more", n-20) {
				t.Errorf("of %d resources the last is %q", n, u.Resources[20])
			}
			texts = append(texts, u.Resources...)
		}
		if len(d.Usage) > 50 {
			t.Errorf("%d Regions", len(d.Usage))
		}
		for _, text := range texts {
			if !utf8.ValidString(text) || utf8.RuneCountInString(text) > 1001 || strings.ContainsAny(text, "\n\x00\u202e") {
				t.Errorf("%q", text)
			}
		}
	})
}

func TestAKeeperSeesAServiceLinkedRoleFromItsMakingToItsEnd(t *testing.T) {
	c, ctx := awsfake.New(), t.Context()
	k, network := slrole.NewKeeper(c.IAM("t")), desired.Network()
	for what, err := range map[string]error{"role": fails(k.Observe(ctx, name)), "deletion": fails(k.Delete(ctx, name)), "task": fails(k.Deletion(ctx, "task/aws-service-role/x/y/z"))} {
		if !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("no %s: %v", what, err)
		}
	}
	made := c.Now()
	if err := slrole.New(c.IAM("t")).Create(ctx, name, service); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	used := c.Now()
	c.UseRoleIn(name, "eu-west-1", used)
	o, err := k.Observe(ctx, name)
	arn := "arn:aws:iam::123456789012:role/aws-service-role/" + service + "/" + name
	want := model.ObservedLinked{ARN: arn, ID: o.ID, Path: network.Path(), Created: made, LastUsed: used, LastUsedRegion: "eu-west-1"}
	if diff := cmp.Diff(want, o); err != nil || diff != "" || !strings.HasPrefix(o.ID, "AROA") {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}

	policy := network.PolicyARN("aws")
	version, updated, err := k.Policy(ctx, policy)
	if err != nil || version == "" || updated.IsZero() {
		t.Errorf("policy %q of %s, %v", version, updated, err)
	}
	if document, err := k.PolicyDocument(ctx, policy, version); err != nil || !json.Valid([]byte(document)) {
		t.Errorf("document %s, %v", document, err)
	}
	if _, err := k.PolicyDocument(ctx, policy, "v99"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("no such version: %v", err)
	}

	job, err := k.AskAccess(ctx, arn)
	if err != nil {
		t.Fatal(err)
	}
	if a, done, err := k.Access(ctx, job); done || err != nil || a != (model.LinkedAccess{}) {
		t.Errorf("just asked for: %+v, done %v, %v", a, done, err)
	}
	c.Advance(time.Minute)
	if a, done, err := k.Access(ctx, job); !done || err != nil || !a.Last.Equal(used) || a.Region != "eu-west-1" || a.Service == "" {
		t.Errorf("%+v, done %v, %v", a, done, err)
	}
	c.FailAccessReports(name, true)
	if a, done, err := k.Access(ctx, job); !done || err != nil || !strings.Contains(a.Failed, "InternalFailure") {
		t.Errorf("failed: %+v, done %v, %v", a, done, err)
	}
	c.ForgetAccessReports(name)
	if _, done, err := k.Access(ctx, job); done || !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("forgotten: done %v, %v", done, err)
	}

	for _, step := range []struct {
		reason string
		state  model.LinkedDeletionState
	}{{"sessions are active", model.DeletionFailed}, {"", model.DeletionSucceeded}} {
		c.FailLinkedDeletion(name, step.reason)
		task, err := k.Delete(ctx, name)
		if err != nil || !strings.HasPrefix(task, "task/aws-service-role/"+service+"/"+name+"/") {
			t.Fatalf("task %q, %v", task, err)
		}
		if again, err := k.Delete(ctx, name); again != task || err != nil {
			t.Errorf("asked again: task %q, %v", again, err)
		}
		for range 2 { // NOT_STARTED, IN_PROGRESS
			if d, err := k.Deletion(ctx, task); err != nil || d.State != model.DeletionRunning {
				t.Errorf("%+v, %v", d, err)
			}
			c.Advance(30 * time.Second)
		}
		if d, err := k.Deletion(ctx, task); err != nil || d.State != step.state || d.Reason != step.reason {
			t.Errorf("%+v, %v, want %s", d, err, step.state)
		}
	}
	if _, err := k.Observe(ctx, name); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func fails[V any](_ V, err error) error { return err }
