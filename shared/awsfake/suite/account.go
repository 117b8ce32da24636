package suite

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/fault"
)

// makePathed makes roles below a path of their own.
func (b *Backend) makePathed(t T, n int) (path string, names []string) {
	t.Helper()
	path = "/" + b.fresh("path") + "/"
	for range n {
		in := roleInput(b.fresh("role"))
		in.Path, in.Description, in.PermissionsBoundary, in.Tags = &path, aws.String("a & <b>"), &b.Boundary, tagList(2, "k")
		must(b.IAM.CreateRole(t.Context(), in))(t)
		names = append(names, *in.RoleName)
	}
	slices.Sort(names)
	return path, names
}

// follow reads pages to their end, at most 1,000 of them, and gives the names.
func follow(t T, most int, list func(marker *string) (names []string, more bool, next *string, err error)) []string {
	t.Helper()
	var all []string
	var marker *string
	for range 1000 {
		names, more, next, err := list(marker)
		if err != nil {
			t.Fatalf("after %d: %v", len(all), err)
		}
		if len(names) > most {
			t.Errorf("%d at once, of at most %d", len(names), most)
		}
		if more != (aws.ToString(next) != "") {
			t.Errorf("after %d: more to come %v, marker %q", len(all), more, aws.ToString(next))
		}
		all = append(all, names...)
		if !more {
			return all
		}
		marker = next
	}
	t.Fatalf("no end after %d", len(all))
	return nil
}

func (b *Backend) details(t T, most int32, marker *string) (*iam.GetAccountAuthorizationDetailsOutput, error) {
	return b.IAM.GetAccountAuthorizationDetails(t.Context(), &iam.GetAccountAuthorizationDetailsInput{
		Filter: []types.EntityType{types.EntityTypeRole}, MaxItems: &most, Marker: marker,
	})
}

func accountCases() []testCase {
	return []testCase{
		{"the details of all roles come in pages, each role once", func(t T, b *Backend) {
			const most = 7
			_, names := b.makePathed(t, most+2)
			all := follow(t, most, func(marker *string) ([]string, bool, *string, error) {
				out, err := b.details(t, most, marker)
				if err != nil {
					return nil, false, nil, err
				}
				if len(out.UserDetailList)+len(out.GroupDetailList)+len(out.Policies) > 0 {
					t.Errorf("asked for roles: %d users, %d groups, %d policies", len(out.UserDetailList), len(out.GroupDetailList), len(out.Policies))
				}
				var page []string
				for _, d := range out.RoleDetailList {
					page = append(page, aws.ToString(d.RoleName))
				}
				return page, out.IsTruncated, out.Marker, nil
			})
			ours := slices.DeleteFunc(slices.Sorted(slices.Values(all)), func(name string) bool { return !slices.Contains(names, name) })
			if !slices.Equal(ours, names) {
				t.Errorf("of %q there are %q", names, ours)
			}
		}},
		{"roles are listed by path and in pages, without tags, boundary and last use", func(t T, b *Backend) {
			path, names := b.makePathed(t, 5)
			b.UseRole(t, names[0], time.Date(2026, 11, 20, 10, 30, 15, 0, time.UTC))
			all := follow(t, 2, func(marker *string) ([]string, bool, *string, error) {
				out, err := b.IAM.ListRoles(t.Context(), &iam.ListRolesInput{PathPrefix: &path, MaxItems: aws.Int32(2), Marker: marker})
				if err != nil {
					return nil, false, nil, err
				}
				var page []string
				for _, r := range out.Roles {
					page = append(page, aws.ToString(r.RoleName))
					if len(r.Tags) > 0 || r.PermissionsBoundary != nil || r.RoleLastUsed != nil {
						t.Errorf("tags %v, boundary %v, used %v", r.Tags, r.PermissionsBoundary, r.RoleLastUsed)
					}
					if aws.ToString(r.Description) != "a & <b>" || aws.ToInt32(r.MaxSessionDuration) != 3600 || aws.ToString(r.Path) != path {
						t.Errorf("description %q, session of %d s, path %q", aws.ToString(r.Description), aws.ToInt32(r.MaxSessionDuration), aws.ToString(r.Path))
					}
				}
				return page, out.IsTruncated, out.Marker, nil
			})
			if slices.Sort(all); !slices.Equal(all, names) {
				t.Errorf("of %q there are %q", names, all)
			}
		}},
		{"no list of roles gives more than 1,000 at once", func(t T, b *Backend) {
			for _, most := range []int32{0, 1001} {
				_, err := b.details(t, most, nil)
				wantCode(t, "details", err, "ValidationError")
				_, err = b.IAM.ListRoles(t.Context(), &iam.ListRolesInput{MaxItems: &most})
				wantCode(t, "roles", err, "ValidationError")
			}
		}},
		{"documents in lists of roles come URL-encoded", func(t T, b *Backend) {
			path, names := b.makePathed(t, 1)
			wantCode(t, "put", b.putPolicy(t, names[0], "p", permissions), "")
			profile := b.makeProfile(t)
			wantCode(t, "put it into an instance profile", b.enter(t, names[0], profile), "")
			listed := must(b.IAM.ListRoles(t.Context(), &iam.ListRolesInput{PathPrefix: &path}))(t).Roles
			detailed := slices.DeleteFunc(must(b.details(t, 1000, nil))(t).RoleDetailList, func(d types.RoleDetail) bool { return aws.ToString(d.RoleName) != names[0] })
			if len(listed) != 1 || len(detailed) != 1 || len(detailed[0].RolePolicyList) != 1 || len(detailed[0].InstanceProfileList) != 1 || len(detailed[0].InstanceProfileList[0].Roles) != 1 {
				t.Fatalf("listed %+v, details %+v", listed, detailed)
			}
			for what, document := range map[string]*string{
				"trust in the list":             listed[0].AssumeRolePolicyDocument,
				"trust in the details":          detailed[0].AssumeRolePolicyDocument,
				"trust in the instance profile": detailed[0].InstanceProfileList[0].Roles[0].AssumeRolePolicyDocument,
				"policy":                        detailed[0].RolePolicyList[0].PolicyDocument,
			} {
				if text := aws.ToString(document); !strings.HasPrefix(text, "%7B") || strings.ContainsAny(text, `{"+ `) {
					t.Errorf("%s: %s", what, text)
				}
			}
		}},
		{"an account tells how many roles it has and may have", func(t T, b *Backend) {
			names := []string{b.makeRole(t), b.makeRole(t)}
			s := must(b.IAM.GetAccountSummary(t.Context(), &iam.GetAccountSummaryInput{}))(t).SummaryMap
			if roles, quota := s[string(types.SummaryKeyTypeRoles)], s[string(types.SummaryKeyTypeRolesQuota)]; int(roles) < len(names) || quota != 1000 {
				t.Errorf("%d roles of %d", roles, quota)
			}
		}},
		{"iamrole reads of all roles at once what it reads of each", func(t T, b *Backend) {
			ctx, c := t.Context(), iamrole.New(b.IAM)
			full, bare, linked := b.desired(t), b.makeRole(t), "AWSServiceRoleForBedrockAgentCoreGatewayNetwork"
			must(c.Create(ctx, full, "nonce"))(t)
			b.setTrust(t, full.Name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringLike":{"aws:SourceArn":"a&b+c <é>%41 %7B\u00e9"}}}]}`)
			for _, name := range []string{"p", "q"} {
				wantCode(t, "put", b.putPolicy(t, full.Name, name, permissions), "")
			}
			wantNil(t, "attach", c.AttachPolicy(ctx, full.Name, b.Boundary))
			wantCode(t, "put it into an instance profile", b.enter(t, full.Name, b.makeProfile(t)), "")
			at := time.Date(2026, 11, 20, 10, 30, 15, 0, time.UTC)
			b.UseRole(t, full.Name, at)
			_, pathed := b.makePathed(t, 1)
			b.linkedRole(t, "bedrock-agentcore.amazonaws.com", linked)
			account := must(iamrole.NewAccount(b.IAM).Read(ctx))(t)
			for _, name := range append(pathed, full.Name, bare, linked) {
				if want, got := must(c.Read(ctx, name))(t), account.Roles[name]; !reflect.DeepEqual(want, got) {
					t.Errorf("role %s is\n%+v, in bulk\n%+v", name, want, got)
				}
			}
			if !account.Roles[full.Name].LastUsed.Equal(at) || account.Quota != 1000 || account.Calls != 2+1 {
				t.Errorf("used %v, quota %d, %d calls", account.Roles[full.Name].LastUsed, account.Quota, account.Calls)
			}
			for _, name := range slices.Sorted(maps.Keys(account.Unsettled)) {
				if _, known := account.Roles[name]; known {
					t.Errorf("role %s is unsettled and %+v", name, account.Roles[name])
				}
			}
		}},
		{"iamrole reads which version of a managed policy holds", func(t T, b *Backend) {
			c := iamrole.New(b.IAM)
			version, updated, err := c.BoundaryVersion(t.Context(), b.Boundary)
			if err != nil || version != "v1" || updated.IsZero() {
				t.Errorf("version %q of %v (%v)", version, updated, err)
			}
			_, _, err = c.BoundaryVersion(t.Context(), b.Boundary+"-none")
			wantFault(t, "a policy that is not there", err, fault.Unknown, fault.ErrNotFound)
		}},
	}
}
