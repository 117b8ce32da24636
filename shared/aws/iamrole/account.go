package iamrole

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/model"
)

// AccountAPI is what an Account calls of IAM.
type AccountAPI interface {
	GetAccountAuthorizationDetails(context.Context, *iam.GetAccountAuthorizationDetailsInput, ...func(*iam.Options)) (*iam.GetAccountAuthorizationDetailsOutput, error)
	ListRoles(context.Context, *iam.ListRolesInput, ...func(*iam.Options)) (*iam.ListRolesOutput, error)
	GetAccountSummary(context.Context, *iam.GetAccountSummaryInput, ...func(*iam.Options)) (*iam.GetAccountSummaryOutput, error)
}

// Account reads the roles of an account in bulk.
type Account struct{ api AccountAPI }

// NewAccount makes a reader of the account.
func NewAccount(api AccountAPI) *Account { return &Account{api} }

// Read reads all roles, service-linked ones too, and their quota: two calls per
// 1,000 roles where IAM fills its pages, and one. An error anywhere leaves
// nothing: roles on a page that is missing would be taken for absent.
func (a *Account) Read(ctx context.Context) (model.Account, error) {
	out := model.Account{Roles: map[string]model.ObservedRole{}, Unsettled: map[string]bool{}}
	if err := a.details(ctx, &out); err != nil {
		return model.Account{}, err
	}
	heads, err := a.heads(ctx, &out)
	if err != nil {
		return model.Account{}, err
	}
	for name, o := range out.Roles {
		h := heads[name] // of a role that is not listed it has no id
		if o.ID == "" || o.ID != h.id {
			out.Unsettled[name] = true
		}
		o.Description, o.MaxSessionDuration = h.description, h.session
		out.Roles[name] = o
	}
	for name := range heads {
		if _, detailed := out.Roles[name]; !detailed {
			out.Unsettled[name] = true
		}
	}
	maps.DeleteFunc(out.Roles, func(name string, _ model.ObservedRole) bool { return out.Unsettled[name] })
	out.Calls++
	summary, err := a.api.GetAccountSummary(ctx, &iam.GetAccountSummaryInput{})
	if err != nil {
		return model.Account{}, awserr.Wrap(err, "get the quota of roles, after %d roles", len(heads))
	}
	out.Quota = int(summary.SummaryMap[string(types.SummaryKeyTypeRolesQuota)])
	return out, nil
}

// details adds all roles with their policies, but without description and
// session length, which GetAccountAuthorizationDetails leaves out.
func (a *Account) details(ctx context.Context, out *model.Account) error {
	_, err := all("roles and their policies", func(marker *string) ([]struct{}, bool, *string, error) {
		out.Calls++
		page, err := a.api.GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{
			Filter: []types.EntityType{types.EntityTypeRole}, Marker: marker, MaxItems: aws.Int32(pageSize),
		})
		if err != nil {
			return nil, false, nil, fmt.Errorf("after %d: %w", len(out.Roles), err)
		}
		for _, d := range page.RoleDetailList {
			o, whole := observed(d)
			if first, twice := out.Roles[o.Name]; !whole || twice && !reflect.DeepEqual(first, o) {
				out.Unsettled[o.Name] = true // who reads it by itself is told why
			}
			out.Roles[o.Name] = o
		}
		return make([]struct{}, len(page.RoleDetailList)), page.IsTruncated, page.Marker, nil // of the page nothing is kept
	})
	return err
}

// head is what ListRoles tells beside, and by what the role is known.
type head struct {
	id, description string
	session         int32 // seconds
}

// heads gives the heads of all roles by name.
func (a *Account) heads(ctx context.Context, out *model.Account) (map[string]head, error) {
	heads := map[string]head{}
	_, err := all("roles", func(marker *string) ([]struct{}, bool, *string, error) {
		out.Calls++
		page, err := a.api.ListRoles(ctx, &iam.ListRolesInput{Marker: marker, MaxItems: aws.Int32(pageSize)})
		if err != nil {
			return nil, false, nil, fmt.Errorf("after %d: %w", len(heads), err)
		}
		for _, r := range page.Roles {
			name, h := aws.ToString(r.RoleName), head{aws.ToString(r.RoleId), aws.ToString(r.Description), aws.ToInt32(r.MaxSessionDuration)}
			if first, twice := heads[name]; twice && first != h {
				out.Unsettled[name] = true
			}
			heads[name] = h
		}
		return make([]struct{}, len(page.Roles)), page.IsTruncated, page.Marker, nil
	})
	return heads, err
}

// observed gives a role, and whether all of its documents could be read.
func observed(d types.RoleDetail) (o model.ObservedRole, whole bool) {
	trust, whole := document(d.AssumeRolePolicyDocument)
	o = model.ObservedRole{
		Name: aws.ToString(d.RoleName), ARN: aws.ToString(d.Arn), ID: aws.ToString(d.RoleId), Path: aws.ToString(d.Path), Trust: trust,
		Policies: make(map[string]string, len(d.RolePolicyList)), Attached: []string{}, Tags: make(map[string]string, len(d.Tags)),
	}
	for _, p := range d.RolePolicyList {
		text, ok := document(p.PolicyDocument)
		o.Policies[aws.ToString(p.PolicyName)], whole = text, whole && ok
	}
	for _, p := range d.AttachedManagedPolicies {
		o.Attached = append(o.Attached, aws.ToString(p.PolicyArn))
	}
	slices.Sort(o.Attached)
	for _, t := range d.Tags {
		o.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if d.PermissionsBoundary != nil {
		o.PermissionsBoundary = aws.ToString(d.PermissionsBoundary.PermissionsBoundaryArn)
	}
	if d.RoleLastUsed != nil {
		o.LastUsed = aws.ToTime(d.RoleLastUsed.LastUsedDate)
	}
	return o, whole
}

// document gives the JSON of a policy, URL-encoded or not: IAM encodes it, and an
// SDK may come to decode it. JSON of a policy has a brace and encoded text has
// none, so what only looks encoded stays. It is not ok when it has none either way.
func document(text *string) (plain string, ok bool) {
	plain = aws.ToString(text)
	if strings.Contains(plain, "{") {
		return plain, true
	}
	plain, err := url.PathUnescape(plain)
	return plain, err == nil && strings.Contains(plain, "{")
}

// BoundaryVersion gives the default version of a managed policy and when its
// newest version was made, in one call. fault.ErrNotFound says that there is no
// such policy.
func (r *Reader) BoundaryVersion(ctx context.Context, arn string) (version string, updated time.Time, err error) {
	p, err := r.api.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
	if err != nil {
		return "", time.Time{}, awserr.Wrap(err, "get policy %s", arn)
	}
	return aws.ToString(p.Policy.DefaultVersionId), aws.ToTime(p.Policy.UpdateDate), nil
}
