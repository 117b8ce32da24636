package awsfake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// What IAM gives at once, and how many roles an account may have unless it asks
// for more (IAM API reference, "ListRoles"; user guide, "IAM and STS quotas").
const (
	defaultPage       = 100
	maxPage           = 1000
	defaultRolesQuota = 1000
)

// LimitPages has the lists of all roles give at most so many at once, whatever
// is asked for, as IAM may; 0 ends that.
func (c *Cloud) LimitPages(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mostRoles = most
}

// SetRolesQuota sets how many roles the account may have; it begins with 1,000.
func (c *Cloud) SetRolesQuota(quota int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rolesQuota = quota
}

// page gives the roles of one answer, ordered by name without regard to case,
// and the marker of the next, nil for none. A marker is the last role given, so
// that roles which come and go make no other be left out or come twice.
func (c *Cloud) page(marker *string, most *int32, wanted func(*role) bool) (page []*role, next *string, err error) {
	size := defaultPage
	if most != nil {
		size = int(*most)
	}
	if size < 1 || size > maxPage {
		return nil, nil, APIError("ValidationError", fmt.Sprintf("Value '%d' at 'maxItems' failed to satisfy constraint", size))
	}
	if c.mostRoles > 0 {
		size = min(size, c.mostRoles)
	}
	last := ""
	for _, key := range slices.Sorted(maps.Keys(c.roles)) {
		r := c.roles[key]
		switch {
		case key <= aws.ToString(marker) || !wanted(r):
		case r.hidden > 0:
			r.hidden--
		case len(page) == size:
			return page, &last, nil
		default:
			page, last = append(page, r), key
		}
	}
	return page, nil, nil
}

// GetAccountAuthorizationDetails is iam:GetAccountAuthorizationDetails, of roles
// alone.
func (i *IAM) GetAccountAuthorizationDetails(_ context.Context, in *iam.GetAccountAuthorizationDetailsInput, _ ...func(*iam.Options)) (*iam.GetAccountAuthorizationDetailsOutput, error) {
	var out iam.GetAccountAuthorizationDetailsOutput
	return &out, i.call("GetAccountAuthorizationDetails", "", func() error {
		if !slices.Equal(in.Filter, []types.EntityType{types.EntityTypeRole}) {
			return APIError("NotImplemented", "only roles are told here: ask for no others")
		}
		page, next, err := i.cloud.page(in.Marker, in.MaxItems, func(*role) bool { return true })
		for _, r := range page {
			out.RoleDetailList = append(out.RoleDetailList, i.cloud.detail(r))
		}
		out.Marker, out.IsTruncated = next, next != nil
		return err
	})
}

func (c *Cloud) detail(r *role) types.RoleDetail {
	head := c.describe(r)
	d := types.RoleDetail{
		RoleName: head.RoleName, RoleId: head.RoleId, Path: head.Path, Arn: head.Arn, CreateDate: head.CreateDate,
		AssumeRolePolicyDocument: head.AssumeRolePolicyDocument, PermissionsBoundary: head.PermissionsBoundary, Tags: head.Tags,
		AttachedManagedPolicies: attachedTo(r), RoleLastUsed: c.lastUse(r),
	}
	for _, name := range slices.Sorted(maps.Keys(r.policies)) {
		d.RolePolicyList = append(d.RolePolicyList, types.PolicyDetail{PolicyName: aws.String(name), PolicyDocument: aws.String(encode(r.policies[name]))})
	}
	for _, p := range c.holding(r) {
		d.InstanceProfileList = append(d.InstanceProfileList, c.describeProfile(p))
	}
	return d
}

// tracked is for how long IAM remembers that a role was used (IAM API reference,
// "RoleLastUsed").
const tracked = 400 * 24 * time.Hour

// lastUse tells when a role was last used, and nothing of one that was not within
// the time that IAM remembers.
func (a *account) lastUse(r *role) *types.RoleLastUsed {
	if r.used.IsZero() || a.now.Sub(r.used) > tracked {
		return &types.RoleLastUsed{}
	}
	return &types.RoleLastUsed{LastUsedDate: aws.Time(r.used.Truncate(time.Second)), Region: aws.String(r.usedIn)}
}

// ListRoles is iam:ListRoles: without tags, boundary and last use, which IAM
// leaves out there.
func (i *IAM) ListRoles(_ context.Context, in *iam.ListRolesInput, _ ...func(*iam.Options)) (*iam.ListRolesOutput, error) {
	var out iam.ListRolesOutput
	return &out, i.call("ListRoles", "", func() error {
		prefix := aws.ToString(in.PathPrefix)
		page, next, err := i.cloud.page(in.Marker, in.MaxItems, func(r *role) bool { return strings.HasPrefix(r.path, prefix) })
		for _, r := range page {
			listed := i.cloud.describe(r)
			listed.Tags, listed.PermissionsBoundary = nil, nil
			out.Roles = append(out.Roles, *listed)
		}
		out.Marker, out.IsTruncated = next, next != nil
		return err
	})
}

// GetAccountSummary is iam:GetAccountSummary, as far as it is about roles.
func (i *IAM) GetAccountSummary(context.Context, *iam.GetAccountSummaryInput, ...func(*iam.Options)) (*iam.GetAccountSummaryOutput, error) {
	var out iam.GetAccountSummaryOutput
	return &out, i.call("GetAccountSummary", "", func() error {
		out.SummaryMap = map[string]int32{
			string(types.SummaryKeyTypeRoles):      int32(len(i.cloud.roles)), //nolint:gosec // they fit in memory
			string(types.SummaryKeyTypeRolesQuota): i.cloud.rolesQuota,
		}
		return nil
	})
}
