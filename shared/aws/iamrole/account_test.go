package iamrole_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
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
)

// populated is an account of five roles, one of them service-linked, that have
// something of everything; lists of them come in pages of two.
func populated(t *testing.T) *awsfake.Cloud {
	t.Helper()
	c, _ := world(t)
	put(t, c, "p")
	put(t, c, "q")
	attach(t, c, "arn:aws:iam::aws:policy/b")
	attach(t, c, "arn:aws:iam::aws:policy/a")
	c.UseRole("role", c.Now().Add(-time.Hour))
	c.PutIntoInstanceProfile("role", "web")
	add(t, c, "bare")
	add(t, c, "other")
	_, pathed := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("Team"), Path: aws.String("/team/"), AssumeRolePolicyDocument: aws.String(trust), Description: aws.String("a & b"),
		MaxSessionDuration: aws.Int32(7200), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
	})
	_, linked := c.IAM("t").CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("network.bedrock-agentcore.amazonaws.com")})
	if err := errors.Join(pathed, linked); err != nil {
		t.Fatal(err)
	}
	c.LimitPages(2)
	c.ForgetCalls()
	return c
}

func add(t testing.TB, c *awsfake.Cloud, name string) {
	t.Helper()
	if _, err := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, api iamrole.AccountAPI) model.Account {
	t.Helper()
	a, err := iamrole.NewAccount(api).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAllRolesAreReadAsEachByItself(t *testing.T) {
	c := populated(t)
	c.SetRolesQuota(4321)
	a := read(t, c.IAM("t"))
	if calls := c.Calls(); len(calls) != 3+3+1 || a.Calls != len(calls) || a.Quota != 4321 || len(a.Unsettled) != 0 {
		t.Errorf("%d calls of %d, quota %d, unsettled %v", a.Calls, len(calls), a.Quota, a.Unsettled)
	}
	if names := c.RoleNames(); len(names) != 5 || !slices.Equal(slices.Sorted(maps.Keys(a.Roles)), names) {
		t.Errorf("read %v of %v", slices.Sorted(maps.Keys(a.Roles)), names)
	}
	for name, got := range a.Roles {
		want, err := iamrole.NewReader(c.IAM("t")).Read(t.Context(), name)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("role %s in bulk is\n%+v, by itself\n%+v (%v)", name, got, want, err)
		}
	}
}

func TestTenThousandRolesTakeTwentyOneCalls(t *testing.T) {
	c := awsfake.New()
	c.SetRolesQuota(10_000)
	for i := range 10_000 {
		add(t, c, fmt.Sprintf("role-%d", i))
	}
	c.ForgetCalls()
	a := read(t, c.IAM("t"))
	if len(a.Roles) != 10_000 || len(a.Unsettled) != 0 || a.Calls != 10+10+1 || len(c.Calls()) != a.Calls {
		t.Errorf("%d roles, %d unsettled, %d calls", len(a.Roles), len(a.Unsettled), a.Calls)
	}
}

// One call that fails leaves nothing, wherever it comes, and says how far it got.
func TestAPageThatFailsLeavesNothing(t *testing.T) {
	want := [][2]string{
		{"list roles and their policies: ", "after 0: "}, {"list roles and their policies: ", "after 2: "}, {"list roles and their policies: ", "after 4: "},
		{"list roles: ", "after 0: "}, {"list roles: ", "after 2: "}, {"list roles: ", "after 4: "}, {"get the quota of roles, ", "after 5 roles: "},
	}
	for code, class := range map[string]fault.Class{"Throttling": fault.Retry, "ServiceFailure": fault.Retry, "AccessDenied": fault.Unknown} {
		for n, told := range want {
			c := populated(t)
			c.Before = func(call awsfake.Call) error {
				if call.N == n+1 {
					return awsfake.APIError(code, "m")
				}
				return nil
			}
			a, err := iamrole.NewAccount(c.IAM("t")).Read(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), told[0]) || !strings.Contains(err.Error(), told[1]) || fault.Of(err) != class || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("%s at call %d, class %q: %v", code, n+1, fault.Of(err), err)
			}
			if !reflect.DeepEqual(a, model.Account{}) {
				t.Errorf("%s at call %d: in spite of that there is %+v", code, n+1, a)
			}
		}
	}
}

// spoiled is an IAM whose answers are spoiled before they arrive.
type spoiled struct {
	iamrole.AccountAPI
	details func(*iam.GetAccountAuthorizationDetailsOutput)
	roles   func(*iam.ListRolesOutput)
	summary func(*iam.GetAccountSummaryOutput)
}

func (s spoiled) GetAccountAuthorizationDetails(ctx context.Context, in *iam.GetAccountAuthorizationDetailsInput, o ...func(*iam.Options)) (*iam.GetAccountAuthorizationDetailsOutput, error) {
	out, err := s.AccountAPI.GetAccountAuthorizationDetails(ctx, in, o...)
	if s.details != nil {
		s.details(out)
	}
	return out, err
}

func (s spoiled) ListRoles(ctx context.Context, in *iam.ListRolesInput, o ...func(*iam.Options)) (*iam.ListRolesOutput, error) {
	out, err := s.AccountAPI.ListRoles(ctx, in, o...)
	if s.roles != nil {
		s.roles(out)
	}
	return out, err
}

func (s spoiled) GetAccountSummary(ctx context.Context, in *iam.GetAccountSummaryInput, o ...func(*iam.Options)) (*iam.GetAccountSummaryOutput, error) {
	out, err := s.AccountAPI.GetAccountSummary(ctx, in, o...)
	if s.summary != nil {
		s.summary(out)
	}
	return out, err
}

func TestAnAccountThatIsCutShortOrGoesRoundIsAnError(t *testing.T) {
	for what, marker := range map[string]*string{"is cut short after 2": nil, "is cut short after": aws.String(""), "goes round in a circle after": aws.String("bare")} {
		for list, api := range map[string]spoiled{
			"roles and their policies": {details: func(out *iam.GetAccountAuthorizationDetailsOutput) { out.IsTruncated, out.Marker = true, marker }},
			"roles":                    {roles: func(out *iam.ListRolesOutput) { out.IsTruncated, out.Marker = true, marker }},
		} {
			api.AccountAPI = populated(t).IAM("t")
			a, err := iamrole.NewAccount(api).Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), "list "+list+": the answer "+what) || fault.Of(err) != fault.Unknown {
				t.Errorf("%s %s: %v", list, what, err)
			}
			if !reflect.DeepEqual(a, model.Account{}) {
				t.Errorf("%s %s: in spite of that there is %+v", list, what, a)
			}
		}
	}
}

// Roles that one list has and the other has not, or has otherwise, are told by
// name, and the others stay.
func TestOfRolesOnWhichTheListsDisagreeNothingIsKnown(t *testing.T) {
	drop := func(name string) func(types.RoleDetail) bool {
		return func(d types.RoleDetail) bool { return *d.RoleName == name }
	}
	first := func(change func(*types.RoleDetail)) func(*iam.GetAccountAuthorizationDetailsOutput) {
		return func(out *iam.GetAccountAuthorizationDetailsOutput) { change(&out.RoleDetailList[0]) }
	}
	again := func(change func(*types.RoleDetail)) func(*iam.GetAccountAuthorizationDetailsOutput) {
		return func(out *iam.GetAccountAuthorizationDetailsOutput) {
			d := out.RoleDetailList[0]
			change(&d)
			out.RoleDetailList = append(out.RoleDetailList, d)
		}
	}
	listedAgain := func(change func(*types.Role)) func(*iam.ListRolesOutput) {
		return func(out *iam.ListRolesOutput) {
			r := out.Roles[0]
			change(&r)
			out.Roles = append(out.Roles, r)
		}
	}
	all := []string{"AWSServiceRoleForBedrockAgentCoreNetwork", "Team", "bare", "other", "role"}
	onPages := []string{"AWSServiceRoleForBedrockAgentCoreNetwork", "Team", "other"} // the first of each page, by name without regard to case
	for name, c := range map[string]struct {
		api  spoiled
		want []string
	}{
		"missing in the first list": {spoiled{details: func(out *iam.GetAccountAuthorizationDetailsOutput) {
			out.RoleDetailList = slices.DeleteFunc(out.RoleDetailList, drop("role"))
		}}, []string{"role"}},
		"missing in the second list": {spoiled{roles: func(out *iam.ListRolesOutput) {
			out.Roles = slices.DeleteFunc(out.Roles, func(r types.Role) bool { return *r.RoleName == "role" })
		}}, []string{"role"}},
		"one list ends early and says that it is at its end": {spoiled{details: func(out *iam.GetAccountAuthorizationDetailsOutput) {
			out.IsTruncated, out.Marker = false, nil
		}}, []string{"other", "role", "Team"}},
		"so does the other":          {spoiled{roles: func(out *iam.ListRolesOutput) { out.IsTruncated, out.Marker = false, nil }}, []string{"other", "role", "Team"}},
		"another id":                 {spoiled{roles: func(out *iam.ListRolesOutput) { out.Roles[0].RoleId = aws.String("AROAANOTHER") }}, onPages},
		"no id":                      {spoiled{details: first(func(d *types.RoleDetail) { d.RoleId = nil }), roles: func(out *iam.ListRolesOutput) { out.Roles[0].RoleId = nil }}, onPages},
		"no trust policy":            {spoiled{details: first(func(d *types.RoleDetail) { d.AssumeRolePolicyDocument = nil })}, onPages},
		"a trust policy of nonsense": {spoiled{details: first(func(d *types.RoleDetail) { d.AssumeRolePolicyDocument = aws.String("%zz") })}, onPages},
		"a policy of nonsense": {spoiled{details: first(func(d *types.RoleDetail) {
			d.RolePolicyList = append(d.RolePolicyList, types.PolicyDetail{PolicyName: aws.String("a"), PolicyDocument: aws.String("%7")}, types.PolicyDetail{PolicyName: aws.String("b"), PolicyDocument: aws.String("{}")})
		})}, onPages},
		"twice, the same":               {spoiled{details: again(func(*types.RoleDetail) {}), roles: listedAgain(func(*types.Role) {})}, nil},
		"twice, the second tagged":      {spoiled{details: again(func(d *types.RoleDetail) { d.Tags = []types.Tag{{Key: aws.String("new"), Value: aws.String("v")}} })}, onPages},
		"twice, the second another":     {spoiled{roles: listedAgain(func(r *types.Role) { r.RoleId = aws.String("AROAANOTHER") })}, onPages},
		"twice, the second described":   {spoiled{roles: listedAgain(func(r *types.Role) { r.Description = aws.String("new") })}, onPages},
		"twice, the second for an hour": {spoiled{roles: listedAgain(func(r *types.Role) { r.MaxSessionDuration = aws.Int32(3601) })}, onPages},
		"twice, the second trusting":    {spoiled{details: again(func(d *types.RoleDetail) { d.AssumeRolePolicyDocument = aws.String("{}") })}, onPages},
	} {
		t.Run(name, func(t *testing.T) {
			c.api.AccountAPI = populated(t).IAM("t")
			a := read(t, c.api)
			got := slices.Sorted(maps.Keys(a.Unsettled))
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("unsettled are %q, want %q", got, c.want)
			}
			rest := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(got, name) })
			if roles := slices.Sorted(maps.Keys(a.Roles)); !slices.Equal(roles, rest) {
				t.Errorf("roles %q, want %q", roles, rest)
			}
		})
	}
}

// meanwhile is an IAM where something happens between the two lists.
func meanwhile(c *awsfake.Cloud, happen func()) spoiled {
	done := false
	return spoiled{AccountAPI: c.IAM("t"), details: func(out *iam.GetAccountAuthorizationDetailsOutput) {
		if !out.IsTruncated && !done {
			done = true
			happen()
		}
	}}
}

func TestOfRolesThatComeAndGoMeanwhileNothingIsKnown(t *testing.T) {
	remove := func(c *awsfake.Cloud) {
		if _, err := c.IAM("t").DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("bare")}); err != nil {
			t.Fatal(err)
		}
	}
	for what, happen := range map[string]func(*awsfake.Cloud){
		"goes":        remove,
		"is replaced": func(c *awsfake.Cloud) { remove(c); add(t, c, "bare") },
	} {
		c := populated(t)
		a := read(t, meanwhile(c, func() { happen(c) }))
		if _, known := a.Roles["bare"]; known || !maps.Equal(a.Unsettled, map[string]bool{"bare": true}) || len(a.Roles) != 4 {
			t.Errorf("a role that %s: roles %v, unsettled %v", what, slices.Sorted(maps.Keys(a.Roles)), a.Unsettled)
		}
	}
	c := populated(t)
	a := read(t, meanwhile(c, func() { add(t, c, "new") }))
	if _, known := a.Roles["new"]; known || !maps.Equal(a.Unsettled, map[string]bool{"new": true}) || len(a.Roles) != 5 {
		t.Errorf("a role that comes: roles %v, unsettled %v", slices.Sorted(maps.Keys(a.Roles)), a.Unsettled)
	}
}

func TestAnAccountThatDoesNotTellItsQuotaHasNone(t *testing.T) {
	a := read(t, spoiled{AccountAPI: populated(t).IAM("t"), summary: func(out *iam.GetAccountSummaryOutput) { out.SummaryMap = nil }})
	if a.Quota != 0 || len(a.Roles) != 5 {
		t.Errorf("quota %d, %d roles", a.Quota, len(a.Roles))
	}
}

// A document is read as it is, however it comes and whatever is in it.
func FuzzDocumentsOfAnAccount(f *testing.F) {
	for _, document := range []string{
		trust, permissions, `{"Resource":"arn:aws:s3:::b/%2F+%7B%41"}`, "\n\t{\"a\":\"é\u00ff\"}", "{", "%7B%7D", "", "a+b%20c", "%zz", "%257B",
	} {
		f.Add(document)
	}
	c := awsfake.New()
	add(f, c, "role")
	f.Fuzz(func(t *testing.T, document string) {
		as := func(text string) (model.ObservedRole, bool) {
			a := read(t, spoiled{AccountAPI: c.IAM("t"), details: func(out *iam.GetAccountAuthorizationDetailsOutput) {
				out.RoleDetailList[0].AssumeRolePolicyDocument = &text
				out.RoleDetailList[0].RolePolicyList = []types.PolicyDetail{{PolicyName: aws.String("p"), PolicyDocument: &text}}
			}})
			o, known := a.Roles["role"]
			if known == a.Unsettled["role"] {
				t.Fatalf("%q: known %v, unsettled %v", text, known, a.Unsettled)
			}
			return o, known
		}
		raw, known := as(document)
		switch decoded, err := url.PathUnescape(document); {
		case !known:
			if strings.Contains(document, "{") || err == nil && strings.Contains(decoded, "{") {
				t.Errorf("%q is not read", document)
			}
		case strings.Contains(document, "{") && raw.Trust != document, !strings.Contains(document, "{") && raw.Trust != decoded, raw.Policies["p"] != raw.Trust:
			t.Errorf("%q is read as %q and %q", document, raw.Trust, raw.Policies["p"])
		}
		for _, encoded := range []string{strings.ReplaceAll(url.QueryEscape(document), "+", "%20"), url.PathEscape(document)} {
			o, known := as(encoded)
			if known != strings.Contains(document, "{") || known && (o.Trust != document || o.Policies["p"] != document) {
				t.Errorf("%q is read as %q and %q: %v", encoded, o.Trust, o.Policies["p"], known)
			}
		}
	})
}

func TestTheVersionOfABoundaryIsReadInOneCall(t *testing.T) {
	c, r := world(t)
	reader := iamrole.NewReader(c.IAM("t"))
	for _, want := range []string{"v1", "v2"} {
		c.ForgetCalls()
		version, updated, err := reader.BoundaryVersion(t.Context(), r.PermissionsBoundary)
		if err != nil || version != want || !updated.Equal(c.Now()) || len(c.Calls()) != 1 {
			t.Errorf("version %q of %v in %d calls, want %q of %v (%v)", version, updated, len(c.Calls()), want, c.Now(), err)
		}
		c.Advance(time.Hour)
		c.AddPolicy(r.PermissionsBoundary, trust)
	}
	if _, _, err := reader.BoundaryVersion(t.Context(), "arn:aws:iam::123456789012:policy/none"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("a policy that is not there: %v", err)
	}
	c.Before = func(awsfake.Call) error { return awsfake.APIError("Throttling", "m") }
	if _, _, err := reader.BoundaryVersion(t.Context(), r.PermissionsBoundary); fault.Of(err) != fault.Retry || errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), r.PermissionsBoundary) {
		t.Errorf("throttled, class %q: %v", fault.Of(err), err)
	}
}
