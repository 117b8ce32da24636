package awsfake

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// profile is an instance profile: it holds one role at most (IAM user guide, "IAM
// and STS quotas").
type profile struct {
	name string
	role string // key in Cloud.roles; empty when it holds none
}

// PutIntoInstanceProfile has somebody put a role into an instance profile, which
// is made if there is none of the name, in place of the role that it held.
func (c *Cloud) PutIntoInstanceProfile(role, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.profiles[strings.ToLower(name)] = profile{name, strings.ToLower(role)}
}

// InstanceProfiles gives the names of all instance profiles with the roles that
// they hold, empty for none.
func (c *Cloud) InstanceProfiles() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]string{}
	for _, p := range c.profiles {
		all[p.name] = ""
		if r, ok := c.roles[p.role]; ok {
			all[p.name] = r.name
		}
	}
	return all
}

// holding gives the instance profiles that hold a role, by name.
func (c *Cloud) holding(r *role) []profile {
	var all []profile
	for _, key := range slices.Sorted(maps.Keys(c.profiles)) {
		if p := c.profiles[key]; p.role == strings.ToLower(r.name) {
			all = append(all, p)
		}
	}
	return all
}

func (c *Cloud) describeProfile(p profile) types.InstanceProfile {
	out := types.InstanceProfile{
		InstanceProfileName: aws.String(p.name), Path: aws.String("/"),
		Arn: aws.String("arn:" + c.Partition + ":iam::" + c.Account + ":instance-profile/" + p.name),
	}
	if r, ok := c.roles[p.role]; ok {
		out.Roles = []types.Role{*c.describe(r)}
	}
	return out
}

// profile finds an instance profile.
func (c *Cloud) profile(name string) (profile, error) {
	p, ok := c.profiles[strings.ToLower(name)]
	if !ok {
		return p, noSuchEntity("Instance Profile %s cannot be found.", name)
	}
	return p, nil
}

// CreateInstanceProfile is iam:CreateInstanceProfile.
func (i *IAM) CreateInstanceProfile(_ context.Context, in *iam.CreateInstanceProfileInput, _ ...func(*iam.Options)) (*iam.CreateInstanceProfileOutput, error) {
	var out iam.CreateInstanceProfileOutput
	return &out, i.call("CreateInstanceProfile", *in.InstanceProfileName, func() error {
		p := profile{name: *in.InstanceProfileName}
		if _, taken := i.cloud.profiles[strings.ToLower(p.name)]; taken {
			return &types.EntityAlreadyExistsException{Message: aws.String("Instance Profile " + p.name + " already exists.")}
		}
		i.cloud.profiles[strings.ToLower(p.name)] = p
		described := i.cloud.describeProfile(p)
		out.InstanceProfile = &described
		return nil
	})
}

// AddRoleToInstanceProfile is iam:AddRoleToInstanceProfile.
func (i *IAM) AddRoleToInstanceProfile(_ context.Context, in *iam.AddRoleToInstanceProfileInput, _ ...func(*iam.Options)) (*iam.AddRoleToInstanceProfileOutput, error) {
	return &iam.AddRoleToInstanceProfileOutput{}, i.modify("AddRoleToInstanceProfile", *in.RoleName, func(r *role) error {
		p, err := i.cloud.profile(*in.InstanceProfileName)
		if err != nil {
			return err
		}
		if p.role != "" {
			return &types.LimitExceededException{Message: aws.String("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")}
		}
		p.role = strings.ToLower(r.name)
		i.cloud.profiles[strings.ToLower(p.name)] = p
		return nil
	})
}

// ListInstanceProfilesForRole is iam:ListInstanceProfilesForRole, in one page.
func (i *IAM) ListInstanceProfilesForRole(_ context.Context, in *iam.ListInstanceProfilesForRoleInput, _ ...func(*iam.Options)) (*iam.ListInstanceProfilesForRoleOutput, error) {
	var out iam.ListInstanceProfilesForRoleOutput
	return &out, i.call("ListInstanceProfilesForRole", *in.RoleName, func() error {
		r, err := i.cloud.find(*in.RoleName)
		if err != nil {
			return err
		}
		for _, p := range i.cloud.holding(r) {
			out.InstanceProfiles = append(out.InstanceProfiles, i.cloud.describeProfile(p))
		}
		return nil
	})
}

// RemoveRoleFromInstanceProfile is iam:RemoveRoleFromInstanceProfile.
func (i *IAM) RemoveRoleFromInstanceProfile(_ context.Context, in *iam.RemoveRoleFromInstanceProfileInput, _ ...func(*iam.Options)) (*iam.RemoveRoleFromInstanceProfileOutput, error) {
	return &iam.RemoveRoleFromInstanceProfileOutput{}, i.modify("RemoveRoleFromInstanceProfile", *in.RoleName, func(r *role) error {
		p, err := i.cloud.profile(*in.InstanceProfileName)
		if err != nil {
			return err
		}
		if p.role != strings.ToLower(r.name) {
			return noSuchEntity("Role %s is not in instance profile %s.", r.name, p.name)
		}
		p.role = ""
		i.cloud.profiles[strings.ToLower(p.name)] = p
		return nil
	})
}
