package iamrole_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

const (
	trust       = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	permissions = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/a+b%2B c"}]}`
)

// paging is an IAM whose lists come in pages of one.
type paging struct {
	iamrole.API
	pages int
}

// page gives one of all, the marker of the next, and whether there is one.
func page[V any](all []V, marker *string) ([]V, *string, bool) {
	i := len(aws.ToString(marker))
	if i >= len(all)-1 {
		return all[min(i, len(all)):], nil, false
	}
	return all[i : i+1], aws.String(strings.Repeat("x", i+1)), true
}

func (p *paging) ListRolePolicies(ctx context.Context, in *iam.ListRolePoliciesInput, o ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error) {
	p.pages++
	out, err := p.API.ListRolePolicies(ctx, in, o...)
	if err == nil {
		out.PolicyNames, out.Marker, out.IsTruncated = page(out.PolicyNames, in.Marker)
	}
	return out, err
}

func (p *paging) ListAttachedRolePolicies(ctx context.Context, in *iam.ListAttachedRolePoliciesInput, o ...func(*iam.Options)) (*iam.ListAttachedRolePoliciesOutput, error) {
	p.pages++
	out, err := p.API.ListAttachedRolePolicies(ctx, in, o...)
	if err == nil {
		out.AttachedPolicies, out.Marker, out.IsTruncated = page(out.AttachedPolicies, in.Marker)
	}
	return out, err
}

func (p *paging) ListInstanceProfilesForRole(ctx context.Context, in *iam.ListInstanceProfilesForRoleInput, o ...func(*iam.Options)) (*iam.ListInstanceProfilesForRoleOutput, error) {
	p.pages++
	out, err := p.API.ListInstanceProfilesForRole(ctx, in, o...)
	if err == nil {
		slices.Reverse(out.InstanceProfiles) // IAM promises no order
		out.InstanceProfiles, out.Marker, out.IsTruncated = page(out.InstanceProfiles, in.Marker)
	}
	return out, err
}

// world is an account with one role.
func world(t *testing.T) (*awsfake.Cloud, model.Role) {
	t.Helper()
	c := awsfake.New()
	parsed, err := policy.Parse(trust)
	if err != nil {
		t.Fatal(err)
	}
	r := model.Role{Name: "role", MaxSessionDuration: 3600, PermissionsBoundary: "arn:aws:iam::123456789012:policy/boundary", Trust: parsed}
	c.AddPolicy(r.PermissionsBoundary, permissions)
	if _, err := iamrole.New(c.IAM("t")).Create(t.Context(), r, "nonce"); err != nil {
		t.Fatal(err)
	}
	return c, r
}

func put(t *testing.T, c *awsfake.Cloud, name string) {
	t.Helper()
	if _, err := c.IAM("t").PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("role"), PolicyName: &name, PolicyDocument: aws.String(permissions)}); err != nil {
		t.Fatal(err)
	}
}

func attach(t *testing.T, c *awsfake.Cloud, arn string) {
	t.Helper()
	c.AddPolicy(arn, permissions)
	if _, err := c.IAM("t").AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("role"), PolicyArn: &arn}); err != nil {
		t.Fatal(err)
	}
}

func TestAllPagesOfARoleAreRead(t *testing.T) {
	c, _ := world(t)
	for _, name := range []string{"b", "a", "c"} {
		put(t, c, name)
		attach(t, c, "arn:aws:iam::aws:policy/"+name)
	}
	api := &paging{API: c.IAM("t")}
	o, err := iamrole.New(api).Read(t.Context(), "role")
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(o.Policies)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("inline policies %q", got)
	}
	if want := []string{"arn:aws:iam::aws:policy/a", "arn:aws:iam::aws:policy/b", "arn:aws:iam::aws:policy/c"}; !slices.Equal(o.Attached, want) {
		t.Errorf("attached policies %q", o.Attached)
	}
	if api.pages != 6 {
		t.Errorf("%d pages were read, want 6", api.pages)
	}
	for _, name := range []string{"web", "batch", "db"} {
		c.PutIntoInstanceProfile("role", name)
	}
	if names, err := iamrole.New(api).InstanceProfiles(t.Context(), "role"); err != nil || !slices.Equal(names, []string{"batch", "db", "web"}) || api.pages != 9 {
		t.Errorf("instance profiles %q after %d pages, %v", names, api.pages, err)
	}
}

// broken is an IAM whose lists go on, with a marker that is the same each time.
type broken struct {
	iamrole.API
	marker *string
}

func (b broken) ListRolePolicies(ctx context.Context, in *iam.ListRolePoliciesInput, o ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error) {
	out, err := b.API.ListRolePolicies(ctx, in, o...)
	out.IsTruncated, out.Marker = true, b.marker
	return out, err
}

func (b broken) ListInstanceProfilesForRole(ctx context.Context, in *iam.ListInstanceProfilesForRoleInput, o ...func(*iam.Options)) (*iam.ListInstanceProfilesForRoleOutput, error) {
	out, err := b.API.ListInstanceProfilesForRole(ctx, in, o...)
	out.IsTruncated, out.Marker = true, b.marker
	return out, err
}

// attachedBroken is one of which only the list of attached policies is so.
type attachedBroken struct {
	iamrole.API
	marker *string
}

func (b attachedBroken) ListAttachedRolePolicies(ctx context.Context, in *iam.ListAttachedRolePoliciesInput, o ...func(*iam.Options)) (*iam.ListAttachedRolePoliciesOutput, error) {
	out, err := b.API.ListAttachedRolePolicies(ctx, in, o...)
	out.IsTruncated, out.Marker = true, b.marker
	return out, err
}

func TestAListThatIsCutShortOrGoesRoundIsAnError(t *testing.T) {
	c, _ := world(t)
	put(t, c, "p")
	attach(t, c, "arn:aws:iam::aws:policy/a")
	c.PutIntoInstanceProfile("role", "web")
	for what, marker := range map[string]*string{"is cut short after 1": nil, "is cut short": aws.String(""), "goes round in a circle": aws.String("m")} {
		api := broken{c.IAM("t"), marker}
		policies, inline := iamrole.New(api).Read(t.Context(), "role")
		profiles, in := iamrole.New(api).InstanceProfiles(t.Context(), "role")
		_, attached := iamrole.New(attachedBroken{c.IAM("t"), marker}).Read(t.Context(), "role")
		for list, err := range map[string]error{"inline policies": inline, "instance profiles": in, "attached policies": attached} {
			if err == nil || !strings.Contains(err.Error(), list+" of role role: the answer "+what) || fault.Of(err) != fault.Unknown || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("%s: %v", list, err)
			}
		}
		if policies.Name != "" || profiles != nil {
			t.Errorf("in spite of that there are %v and %v", policies, profiles)
		}
	}
}

func TestTheLastUseIsReadToTheSecond(t *testing.T) {
	c, _ := world(t)
	client := iamrole.New(c.IAM("t"))
	if o, err := client.Head(t.Context(), "role"); err != nil || !o.LastUsed.IsZero() {
		t.Errorf("a role that was never used: %v, %v", o.LastUsed, err)
	}
	used := c.Now().Add(-time.Hour)
	c.UseRole("role", used.Add(time.Millisecond))
	head, err := client.Head(t.Context(), "role")
	whole, again := client.Read(t.Context(), "role")
	if err != nil || again != nil || !head.LastUsed.Equal(used) || !whole.LastUsed.Equal(used) {
		t.Errorf("used %v, read %v and %v, %v, %v", used, head.LastUsed, whole.LastUsed, err, again)
	}
	if _, err := iamrole.New(unknown{c.IAM("t")}).Head(t.Context(), "role"); err != nil {
		t.Errorf("of a role of which that is not told: %v", err)
	}
}

// unknown is an IAM that does not tell when roles were used.
type unknown struct{ iamrole.API }

func (u unknown) GetRole(ctx context.Context, in *iam.GetRoleInput, o ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	out, err := u.API.GetRole(ctx, in, o...)
	if err == nil {
		out.Role.RoleLastUsed = nil
	}
	return out, err
}

// taking are the calls by which something is taken from a role.
func taking(ctx context.Context, c *iamrole.Client) map[string]func() error {
	return map[string]func() error{
		"DeleteRolePolicy":              func() error { return c.DeletePolicy(ctx, "role", "p") },
		"DetachRolePolicy":              func() error { return c.DetachPolicy(ctx, "role", "arn:aws:iam::aws:policy/a") },
		"UntagRole":                     func() error { return c.Untag(ctx, "role", []string{model.TagCreation}) },
		"RemoveRoleFromInstanceProfile": func() error { return c.LeaveInstanceProfile(ctx, "role", "web") },
		"DeleteRole":                    func() error { return c.Delete(ctx, "role") },
	}
}

func TestARoleIsTakenDownPieceByPieceAndWhatIsGoneIsSuccess(t *testing.T) {
	c, _ := world(t)
	client := iamrole.New(c.IAM("t"))
	put(t, c, "p")
	attach(t, c, "arn:aws:iam::aws:policy/a")
	c.PutIntoInstanceProfile("role", "web")
	calls := taking(t.Context(), client)
	for _, operation := range []string{"DeleteRolePolicy", "DetachRolePolicy", "UntagRole", "RemoveRoleFromInstanceProfile"} {
		if err := client.Delete(t.Context(), "role"); operation != "UntagRole" && (!errors.Is(err, fault.ErrConflict) || fault.Of(err) != fault.Retry || !strings.Contains(err.Error(), "put on role role")) {
			t.Errorf("before %s the role can be deleted, class %q: %v", operation, fault.Of(err), err)
		}
		for range 2 {
			if err := calls[operation](); err != nil {
				t.Errorf("%s: %v", operation, err)
			}
		}
	}
	o, err := client.Read(t.Context(), "role")
	profiles, in := client.InstanceProfiles(t.Context(), "role")
	if err != nil || in != nil || len(o.Policies)+len(o.Attached)+len(o.Tags)+len(profiles) != 0 {
		t.Errorf("left are %+v and %v, %v, %v", o, profiles, err, in)
	}
	for range 2 {
		if err := client.Delete(t.Context(), "role"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if names := c.RoleNames(); len(names) != 0 {
		t.Errorf("roles %v", names)
	}
	for operation, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s of a role that is gone: %v", operation, err)
		}
	}
	if _, err := client.InstanceProfiles(t.Context(), "role"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("instance profiles of a role that is gone: %v", err)
	}
}

func TestWhatCannotBeTakenAwayIsTold(t *testing.T) {
	for code, class := range map[string]fault.Class{
		"AccessDenied": fault.Unknown, "UnmodifiableEntity": fault.Unknown, "LimitExceeded": fault.Unknown,
		"Throttling": fault.Retry, "ServiceFailure": fault.Retry, "ConcurrentModification": fault.Retry,
	} {
		c, _ := world(t)
		c.Before = func(awsfake.Call) error { return awsfake.APIError(code, "m") }
		client := iamrole.New(c.IAM("t"))
		calls := taking(t.Context(), client)
		calls["ListInstanceProfilesForRole"] = func() error { _, err := client.InstanceProfiles(t.Context(), "role"); return err }
		calls["AttachRolePolicy"] = func() error { return client.AttachPolicy(t.Context(), "role", "arn:aws:iam::aws:policy/a") }
		for operation, call := range calls {
			err := call()
			if err == nil || fault.Of(err) != class || errors.Is(err, fault.ErrNotFound) || errors.Is(err, fault.ErrConflict) || !strings.Contains(err.Error(), "role role") {
				t.Errorf("%s, %s: class %q, want %q: %v", operation, code, fault.Of(err), class, err)
			}
		}
	}
}

func TestAPolicyIsAttachedOnceAndOnlyWhenItExists(t *testing.T) {
	c, _ := world(t)
	client, arn := iamrole.New(c.IAM("t")), "arn:aws:iam::123456789012:policy/team"
	if err := client.AttachPolicy(t.Context(), "role", arn); !errors.Is(err, fault.ErrNotFound) || fault.Of(err) != fault.Unknown || !strings.Contains(err.Error(), arn) {
		t.Errorf("a policy that does not exist, class %q: %v", fault.Of(err), err)
	}
	c.AddPolicy(arn, permissions)
	for range 2 {
		if err := client.AttachPolicy(t.Context(), "role", arn); err != nil {
			t.Error(err)
		}
	}
	if o, err := client.Read(t.Context(), "role"); err != nil || !slices.Equal(o.Attached, []string{arn}) {
		t.Errorf("attached %v, %v", o.Attached, err)
	}
}

func TestDocumentsAreDecodedOnce(t *testing.T) {
	c, _ := world(t)
	put(t, c, "p")
	o, err := iamrole.New(c.IAM("t")).Read(t.Context(), "role")
	if err != nil {
		t.Fatal(err)
	}
	if o.Policies["p"] != permissions { // a plus sign stays one, and so does what looks encoded
		t.Errorf("policy %s", o.Policies["p"])
	}
}

func TestARoleThatChangesWhileItIsReadIsNotAbsent(t *testing.T) {
	for _, operation := range []string{"ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies"} {
		t.Run(operation, func(t *testing.T) {
			c, _ := world(t)
			put(t, c, "p")
			c.Before = func(call awsfake.Call) error {
				if call.Operation == operation {
					return &types.NoSuchEntityException{}
				}
				return nil
			}
			_, err := iamrole.New(c.IAM("t")).Read(t.Context(), "role")
			if fault.Of(err) != fault.Retry || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("class %q: %v", fault.Of(err), err)
			}
		})
	}
}

func TestADeniedReadIsNotAbsence(t *testing.T) {
	for _, operation := range []string{"GetRole", "ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies"} {
		t.Run(operation, func(t *testing.T) {
			c, _ := world(t)
			put(t, c, "p")
			c.Before = func(call awsfake.Call) error {
				if call.Operation == operation {
					return awsfake.APIError("AccessDenied", "no")
				}
				return nil
			}
			_, err := iamrole.New(c.IAM("t")).Read(t.Context(), "role")
			if err == nil || fault.Of(err) != fault.Unknown || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("class %q: %v", fault.Of(err), err)
			}
		})
	}
}

// encoding gives a trust policy in an encoding of its own.
type encoding struct {
	iamrole.API
	trust string
}

func (e encoding) GetRole(ctx context.Context, in *iam.GetRoleInput, o ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	out, err := e.API.GetRole(ctx, in, o...)
	if err == nil {
		out.Role.AssumeRolePolicyDocument = &e.trust
	}
	return out, err
}

func TestAPlusSignIsNoBlank(t *testing.T) {
	c, _ := world(t)
	o, err := iamrole.New(encoding{c.IAM("t"), "a+b%20c%2Bd"}).Head(t.Context(), "role")
	if err != nil || o.Trust != "a+b c+d" {
		t.Errorf("trust %q, %v", o.Trust, err)
	}
}

func TestADocumentThatCannotBeDecodedIsAnError(t *testing.T) {
	c, _ := world(t)
	if o, err := iamrole.New(encoding{c.IAM("t"), "%zz"}).Head(t.Context(), "role"); err == nil || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("read %+v, %v", o, err)
	}
}

func TestARoleIsReadWithFewCalls(t *testing.T) {
	c, _ := world(t)
	put(t, c, "p")
	put(t, c, "q")
	c.ForgetCalls()
	client := iamrole.New(c.IAM("t"))
	if _, err := client.Head(t.Context(), "role"); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Calls()); n != 1 {
		t.Errorf("%d calls for the head", n)
	}
	c.ForgetCalls()
	if _, err := client.Read(t.Context(), "role"); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Calls()); n != 3+2 {
		t.Errorf("%d calls for the whole: %v", n, c.Calls())
	}
}

func TestTheNonceIsATagOfTheNewRoleAlone(t *testing.T) {
	c, r := world(t)
	r.Name, r.Tags = "other", map[string]string{"team": "a"}
	client := iamrole.New(c.IAM("t"))
	if _, err := client.Create(t.Context(), r, "nonce-2"); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(r.Tags, map[string]string{"team": "a"}) {
		t.Errorf("the caller's tags have become %v", r.Tags)
	}
	if err := client.Tag(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	o, err := client.Head(t.Context(), "other")
	if err != nil || !maps.Equal(o.Tags, map[string]string{"team": "a", model.TagCreation: "nonce-2"}) {
		t.Errorf("tags %v, %v", o.Tags, err)
	}
}
