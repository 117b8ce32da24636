package awsfake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

type role struct {
	name, path, id, description string
	trust                       string
	boundary                    string
	session                     int32
	tags                        map[string]string
	policies                    map[string]string
	attached                    []string
	hidden                      int // reads for which the role is not to be seen yet
	created                     time.Time
	used                        time.Time // zero: never
	usedIn                      string    // Region
	service                     string    // of a service-linked role
}

// IAM is the client of one caller.
type IAM struct {
	cloud  *Cloud
	caller string
}

// IAM gives the client of a caller.
func (c *Cloud) IAM(caller string) *IAM { return &IAM{c, caller} }

// managed is a managed policy; its newest version is its default.
type managed struct {
	versions []string // documents; version v1 is the first
	updated  time.Time
}

func (m managed) version() string { return fmt.Sprintf("v%d", len(m.versions)) }

// AddPolicy makes a managed policy exist; another document for one that exists
// is a new version.
func (c *Cloud) AddPolicy(arn, document string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, _ := c.policy(arn); !slices.Contains(m.versions[max(0, len(m.versions)-1):], document) {
		c.policies[arn] = managed{append(slices.Clip(m.versions), document), c.now}
	}
}

// HideRole lets the next reads not see a role, as IAM's eventual consistency does.
func (c *Cloud) HideRole(name string, reads int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.roles[strings.ToLower(name)].hidden = reads
}

// UseRole has a role be assumed in the Region at a time, as far as IAM says; zero
// is never.
func (c *Cloud) UseRole(name string, at time.Time) { c.UseRoleIn(name, c.Region, at) }

// UseRoleIn has a role be assumed in a Region at a time, as far as IAM says; zero
// is never.
func (c *Cloud) UseRoleIn(name, region string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.roles[strings.ToLower(name)]
	r.used, r.usedIn = at, region
}

// use has a role of the account be used now, by what assumed it.
func (c *Cloud) use(roleARN string) {
	r, ok := c.roles[strings.ToLower(roleARN[strings.LastIndexByte(roleARN, '/')+1:])]
	if ok && c.roleARN(r) == roleARN && c.now.After(r.used) {
		r.used, r.usedIn = c.now, c.Region
	}
}

// RoleNames gives the names of all roles, sorted.
func (c *Cloud) RoleNames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, r := range c.roles {
		names = append(names, r.name)
	}
	slices.Sort(names)
	return names
}

func (i *IAM) call(operation, name string, carryOut func() error) error {
	return i.cloud.call(i.caller, "iam", operation, name, carryOut)
}

func (c *Cloud) find(name string) (*role, error) {
	r, ok := c.roles[strings.ToLower(name)]
	if !ok {
		return nil, noSuchEntity("The role with name %s cannot be found.", name)
	}
	return r, nil
}

func noSuchEntity(format string, args ...any) error {
	return &types.NoSuchEntityException{Message: aws.String(fmt.Sprintf(format, args...))}
}

func (a *account) roleARN(r *role) string {
	return "arn:" + a.Partition + ":iam::" + a.Account + ":role" + r.path + r.name
}

func (c *Cloud) describe(r *role) *types.Role {
	out := &types.Role{
		RoleName: aws.String(r.name), RoleId: aws.String(r.id), Path: aws.String(r.path), Arn: aws.String(c.roleARN(r)),
		AssumeRolePolicyDocument: aws.String(encode(r.trust)), MaxSessionDuration: aws.Int32(r.session),
		CreateDate: aws.Time(r.created),
	}
	if r.description != "" {
		out.Description = aws.String(r.description)
	}
	if r.boundary != "" {
		out.PermissionsBoundary = &types.AttachedPermissionsBoundary{PermissionsBoundaryArn: aws.String(r.boundary), PermissionsBoundaryType: types.PermissionsBoundaryAttachmentTypePolicy}
	}
	for _, k := range slices.Sorted(maps.Keys(r.tags)) {
		out.Tags = append(out.Tags, types.Tag{Key: aws.String(k), Value: aws.String(r.tags[k])})
	}
	return out
}

// encode gives a document as IAM returns it: URL-encoded by RFC 3986.
func encode(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

// GetRole is iam:GetRole.
func (i *IAM) GetRole(_ context.Context, in *iam.GetRoleInput, _ ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	var out iam.GetRoleOutput
	return &out, i.call("GetRole", *in.RoleName, func() error {
		r, err := i.cloud.find(*in.RoleName)
		if err != nil {
			return err
		}
		if r.hidden > 0 {
			r.hidden--
			return noSuchEntity("The role with name %s cannot be found.", *in.RoleName)
		}
		out.Role = i.cloud.describe(r)
		out.Role.RoleLastUsed = i.cloud.lastUse(r)
		return nil
	})
}

// ListRolePolicies is iam:ListRolePolicies, in one page.
func (i *IAM) ListRolePolicies(_ context.Context, in *iam.ListRolePoliciesInput, _ ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error) {
	var out iam.ListRolePoliciesOutput
	return &out, i.call("ListRolePolicies", *in.RoleName, func() error {
		r, err := i.cloud.find(*in.RoleName)
		if err != nil {
			return err
		}
		out.PolicyNames = slices.Sorted(maps.Keys(r.policies))
		return nil
	})
}

// GetRolePolicy is iam:GetRolePolicy.
func (i *IAM) GetRolePolicy(_ context.Context, in *iam.GetRolePolicyInput, _ ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error) {
	var out iam.GetRolePolicyOutput
	return &out, i.call("GetRolePolicy", *in.RoleName, func() error {
		r, err := i.cloud.find(*in.RoleName)
		if err != nil {
			return err
		}
		document, ok := r.policies[*in.PolicyName]
		if !ok {
			return noSuchEntity("The role policy with name %s cannot be found.", *in.PolicyName)
		}
		out.RoleName, out.PolicyName, out.PolicyDocument = in.RoleName, in.PolicyName, aws.String(encode(document))
		return nil
	})
}

// ListAttachedRolePolicies is iam:ListAttachedRolePolicies, in one page.
func (i *IAM) ListAttachedRolePolicies(_ context.Context, in *iam.ListAttachedRolePoliciesInput, _ ...func(*iam.Options)) (*iam.ListAttachedRolePoliciesOutput, error) {
	var out iam.ListAttachedRolePoliciesOutput
	return &out, i.call("ListAttachedRolePolicies", *in.RoleName, func() error {
		r, err := i.cloud.find(*in.RoleName)
		if err != nil {
			return err
		}
		out.AttachedPolicies = attachedTo(r)
		return nil
	})
}

func attachedTo(r *role) []types.AttachedPolicy {
	var all []types.AttachedPolicy
	for _, arn := range r.attached {
		all = append(all, types.AttachedPolicy{PolicyArn: aws.String(arn), PolicyName: aws.String(arn[strings.LastIndexByte(arn, '/')+1:])})
	}
	return all
}

// GetPolicy is iam:GetPolicy.
func (i *IAM) GetPolicy(_ context.Context, in *iam.GetPolicyInput, _ ...func(*iam.Options)) (*iam.GetPolicyOutput, error) {
	var out iam.GetPolicyOutput
	return &out, i.call("GetPolicy", *in.PolicyArn, func() error {
		m, ok := i.cloud.policy(*in.PolicyArn)
		if !ok {
			return noSuchEntity("Policy %s was not found.", *in.PolicyArn)
		}
		out.Policy = &types.Policy{Arn: in.PolicyArn, DefaultVersionId: aws.String(m.version()), UpdateDate: aws.Time(m.updated)}
		return nil
	})
}

// GetPolicyVersion is iam:GetPolicyVersion.
func (i *IAM) GetPolicyVersion(_ context.Context, in *iam.GetPolicyVersionInput, _ ...func(*iam.Options)) (*iam.GetPolicyVersionOutput, error) {
	var out iam.GetPolicyVersionOutput
	return &out, i.call("GetPolicyVersion", *in.PolicyArn, func() error {
		m, _ := i.cloud.policy(*in.PolicyArn)
		for n, document := range m.versions {
			if version := fmt.Sprintf("v%d", n+1); version == *in.VersionId {
				out.PolicyVersion = &types.PolicyVersion{VersionId: in.VersionId, IsDefaultVersion: version == m.version(), Document: aws.String(encode(document))}
				return nil
			}
		}
		return noSuchEntity("Policy %s version %s does not exist or is not attachable.", *in.PolicyArn, *in.VersionId)
	})
}

// CreateRole is iam:CreateRole.
func (i *IAM) CreateRole(_ context.Context, in *iam.CreateRoleInput, _ ...func(*iam.Options)) (*iam.CreateRoleOutput, error) {
	var out iam.CreateRoleOutput
	return &out, i.call("CreateRole", *in.RoleName, func() error {
		c := i.cloud
		name := *in.RoleName
		if err := validRole(name, aws.ToString(in.Description), aws.ToInt32(in.MaxSessionDuration)); err != nil {
			return err
		}
		if err := validTrust(aws.ToString(in.AssumeRolePolicyDocument)); err != nil {
			return err
		}
		if _, taken := c.roles[strings.ToLower(name)]; taken {
			return &types.EntityAlreadyExistsException{Message: aws.String("Role with name " + name + " already exists.")}
		}
		if len(c.roles) >= int(c.rolesQuota) {
			return &types.LimitExceededException{Message: aws.String(fmt.Sprintf("Cannot exceed quota for RolesPerAccount: %d", c.rolesQuota))}
		}
		r := &role{
			name: name, path: "/", id: fmt.Sprintf("AROA%017d", c.next()), description: aws.ToString(in.Description),
			trust: *in.AssumeRolePolicyDocument, session: 3600, tags: map[string]string{}, policies: map[string]string{}, created: c.now,
		}
		if in.MaxSessionDuration != nil {
			r.session = *in.MaxSessionDuration
		}
		if in.Path != nil {
			r.path = *in.Path
		}
		if err := c.setBoundary(r, in.PermissionsBoundary); err != nil {
			return err
		}
		if err := setTags(r, in.Tags); err != nil {
			return err
		}
		c.roles[strings.ToLower(name)] = r
		out.Role = c.describe(r)
		return nil
	})
}

func validRole(name, description string, session int32) error {
	switch {
	case name == "" || len(name) > 64:
		return APIError("ValidationError", "roleName must have length between 1 and 64")
	case strings.ContainsFunc(name, func(c rune) bool {
		return c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("+=,.@_-", c)
	}):
		return APIError("ValidationError", "roleName has characters that are not allowed")
	case utf8.RuneCountInString(description) > 1000:
		return APIError("ValidationError", "description must have length at most 1000")
	case session != 0 && (session < 3600 || session > 43200):
		return APIError("ValidationError", "maxSessionDuration must be between 3600 and 43200")
	}
	return nil
}

func validTrust(document string) error {
	if utf8.RuneCountInString(document) > 2048 {
		return &types.LimitExceededException{Message: aws.String("Cannot exceed quota for ACLSizePerRole: 2048")}
	}
	return validDocument(document, "Principal", "Resource", "sts:")
}

func validPermissions(document string) error {
	return validDocument(document, "Resource", "Principal", "")
}

// validDocument checks as much of the grammar as a mistake of ours could break:
// JSON, an effect, actions and their prefix, the element that the kind of policy
// needs and the one that it must not have.
func validDocument(document, needs, forbids, actions string) error {
	malformed := func(what string) error {
		return &types.MalformedPolicyDocumentException{Message: aws.String(what)}
	}
	var d struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		return malformed("Syntax errors in policy.")
	}
	if d.Version != "2012-10-17" && d.Version != "2008-10-17" {
		return malformed("Invalid version in policy.")
	}
	sids := map[string]bool{}
	for _, s := range d.Statement {
		if sid, ok := s["Sid"].(string); ok {
			if sids[sid] {
				return malformed("Statement IDs (SID) in a single policy must be unique.")
			}
			sids[sid] = true
		}
		if what := statementFault(s, needs, forbids, actions); what != "" {
			return malformed(what)
		}
	}
	return nil
}

func statementFault(s map[string]any, needs, forbids, actions string) string {
	switch {
	case s["Effect"] != "Allow" && s["Effect"] != "Deny":
		return "Missing or invalid effect."
	case s["Action"] == nil && s["NotAction"] == nil:
		return "Missing required field Action."
	case !begin(s["Action"], actions):
		return "Actions must begin with " + actions + "."
	case s[needs] == nil && s["Not"+needs] == nil:
		return "Missing required field " + needs + "."
	case s[forbids] != nil || s["Not"+forbids] != nil:
		return "Has prohibited field " + forbids + "."
	}
	return ""
}

// begin reports whether an element that is a string or a list begins with the
// prefix throughout.
func begin(element any, prefix string) bool {
	switch v := element.(type) {
	case string:
		return strings.HasPrefix(strings.ToLower(v), prefix)
	case []any:
		return !slices.ContainsFunc(v, func(one any) bool { return !begin(one, prefix) })
	}
	return true
}

func (c *Cloud) setBoundary(r *role, arn *string) error {
	if arn == nil {
		return nil
	}
	if _, ok := c.policies[*arn]; !ok {
		return noSuchEntity("Scope ARN: %s does not exist or is not attachable.", *arn)
	}
	r.boundary = *arn
	return nil
}

func setTags(r *role, tags []types.Tag) error {
	all := maps.Clone(r.tags)
	for _, t := range tags {
		k, v := aws.ToString(t.Key), aws.ToString(t.Value)
		if k == "" || utf8.RuneCountInString(k) > 128 || utf8.RuneCountInString(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return &types.InvalidInputException{Message: aws.String("invalid tag " + k)}
		}
		all[k] = v
	}
	if len(all) > 50 {
		return &types.LimitExceededException{Message: aws.String("The number of tags has reached the maximum limit.")}
	}
	r.tags = all
	return nil
}

// PutRolePermissionsBoundary is iam:PutRolePermissionsBoundary.
func (i *IAM) PutRolePermissionsBoundary(_ context.Context, in *iam.PutRolePermissionsBoundaryInput, _ ...func(*iam.Options)) (*iam.PutRolePermissionsBoundaryOutput, error) {
	return &iam.PutRolePermissionsBoundaryOutput{}, i.modify("PutRolePermissionsBoundary", *in.RoleName, func(r *role) error {
		return i.cloud.setBoundary(r, in.PermissionsBoundary)
	})
}

// DeleteRolePermissionsBoundary is iam:DeleteRolePermissionsBoundary.
func (i *IAM) DeleteRolePermissionsBoundary(_ context.Context, in *iam.DeleteRolePermissionsBoundaryInput, _ ...func(*iam.Options)) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
	return &iam.DeleteRolePermissionsBoundaryOutput{}, i.modify("DeleteRolePermissionsBoundary", *in.RoleName, func(r *role) error {
		r.boundary = ""
		return nil
	})
}

// TagRole is iam:TagRole.
func (i *IAM) TagRole(_ context.Context, in *iam.TagRoleInput, _ ...func(*iam.Options)) (*iam.TagRoleOutput, error) {
	return &iam.TagRoleOutput{}, i.modify("TagRole", *in.RoleName, func(r *role) error { return setTags(r, in.Tags) })
}

// UntagRole is iam:UntagRole.
func (i *IAM) UntagRole(_ context.Context, in *iam.UntagRoleInput, _ ...func(*iam.Options)) (*iam.UntagRoleOutput, error) {
	return &iam.UntagRoleOutput{}, i.modify("UntagRole", *in.RoleName, func(r *role) error {
		for _, k := range in.TagKeys {
			delete(r.tags, k)
		}
		return nil
	})
}

// UpdateAssumeRolePolicy is iam:UpdateAssumeRolePolicy.
func (i *IAM) UpdateAssumeRolePolicy(_ context.Context, in *iam.UpdateAssumeRolePolicyInput, _ ...func(*iam.Options)) (*iam.UpdateAssumeRolePolicyOutput, error) {
	return &iam.UpdateAssumeRolePolicyOutput{}, i.modify("UpdateAssumeRolePolicy", *in.RoleName, func(r *role) error {
		if err := validTrust(*in.PolicyDocument); err != nil {
			return err
		}
		r.trust = *in.PolicyDocument
		return nil
	})
}

// PutRolePolicy is iam:PutRolePolicy.
func (i *IAM) PutRolePolicy(_ context.Context, in *iam.PutRolePolicyInput, _ ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error) {
	return &iam.PutRolePolicyOutput{}, i.modify("PutRolePolicy", *in.RoleName, func(r *role) error {
		if len(*in.PolicyName) > 128 {
			return APIError("ValidationError", "policyName must have length at most 128")
		}
		if err := validPermissions(*in.PolicyDocument); err != nil {
			return err
		}
		size := counted(*in.PolicyDocument)
		for name, document := range r.policies {
			if name != *in.PolicyName {
				size += counted(document)
			}
		}
		if size > 10240 {
			return &types.LimitExceededException{Message: aws.String("Maximum policy size of 10240 bytes exceeded for role " + r.name)}
		}
		r.policies[*in.PolicyName] = *in.PolicyDocument
		return nil
	})
}

// counted counts by itself: with the code under test it would share its mistakes.
func counted(document string) int {
	n := 0
	for _, c := range document {
		if !unicode.IsSpace(c) {
			n++
		}
	}
	return n
}

// DeleteRolePolicy is iam:DeleteRolePolicy.
func (i *IAM) DeleteRolePolicy(_ context.Context, in *iam.DeleteRolePolicyInput, _ ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error) {
	return &iam.DeleteRolePolicyOutput{}, i.modify("DeleteRolePolicy", *in.RoleName, func(r *role) error {
		if _, ok := r.policies[*in.PolicyName]; !ok {
			return noSuchEntity("The role policy with name %s cannot be found.", *in.PolicyName)
		}
		delete(r.policies, *in.PolicyName)
		return nil
	})
}

// AttachRolePolicy is iam:AttachRolePolicy.
func (i *IAM) AttachRolePolicy(_ context.Context, in *iam.AttachRolePolicyInput, _ ...func(*iam.Options)) (*iam.AttachRolePolicyOutput, error) {
	return &iam.AttachRolePolicyOutput{}, i.modify("AttachRolePolicy", *in.RoleName, func(r *role) error {
		if strings.Contains(*in.PolicyArn, ":iam::aws:policy/aws-service-role/") {
			return &types.PolicyNotAttachableException{Message: aws.String("Cannot attach a Service Role Policy to a Customer Role.")}
		}
		if _, ok := i.cloud.policy(*in.PolicyArn); !ok {
			return noSuchEntity("Policy %s does not exist or is not attachable.", *in.PolicyArn)
		}
		if slices.Contains(r.attached, *in.PolicyArn) {
			return nil
		}
		if len(r.attached) >= maxAttached {
			return &types.LimitExceededException{Message: aws.String(fmt.Sprintf("Cannot exceed quota for PoliciesPerRole: %d", maxAttached))}
		}
		r.attached = append(r.attached, *in.PolicyArn)
		return nil
	})
}

// maxAttached is how many managed policies a role takes, where an account has
// not asked for more (IAM user guide, "IAM and STS quotas").
const maxAttached = 10

// DetachRolePolicy is iam:DetachRolePolicy.
func (i *IAM) DetachRolePolicy(_ context.Context, in *iam.DetachRolePolicyInput, _ ...func(*iam.Options)) (*iam.DetachRolePolicyOutput, error) {
	return &iam.DetachRolePolicyOutput{}, i.modify("DetachRolePolicy", *in.RoleName, func(r *role) error {
		at := slices.Index(r.attached, *in.PolicyArn)
		if at < 0 {
			return noSuchEntity("Policy %s was not found.", *in.PolicyArn)
		}
		r.attached = slices.Delete(slices.Clone(r.attached), at, at+1)
		return nil
	})
}

// UpdateRole is iam:UpdateRole: a session length that is left out goes back to its default.
func (i *IAM) UpdateRole(_ context.Context, in *iam.UpdateRoleInput, _ ...func(*iam.Options)) (*iam.UpdateRoleOutput, error) {
	return &iam.UpdateRoleOutput{}, i.modify("UpdateRole", *in.RoleName, func(r *role) error {
		if err := validRole(r.name, aws.ToString(in.Description), aws.ToInt32(in.MaxSessionDuration)); err != nil {
			return err
		}
		if in.Description != nil {
			r.description = *in.Description
		}
		r.session = 3600
		if in.MaxSessionDuration != nil {
			r.session = *in.MaxSessionDuration
		}
		return nil
	})
}

// DeleteRole is iam:DeleteRole.
func (i *IAM) DeleteRole(_ context.Context, in *iam.DeleteRoleInput, _ ...func(*iam.Options)) (*iam.DeleteRoleOutput, error) {
	return &iam.DeleteRoleOutput{}, i.modify("DeleteRole", *in.RoleName, func(r *role) error {
		if len(r.policies) > 0 || len(r.attached) > 0 {
			return &types.DeleteConflictException{Message: aws.String("Cannot delete entity, must delete policies first.")}
		}
		if len(i.cloud.holding(r)) > 0 {
			return &types.DeleteConflictException{Message: aws.String("Cannot delete entity, must remove roles from instance profile first.")}
		}
		delete(i.cloud.roles, strings.ToLower(r.name))
		return nil
	})
}

func (i *IAM) modify(operation, name string, change func(*role) error) error {
	return i.call(operation, name, func() error {
		r, err := i.cloud.find(name)
		if err != nil {
			return err
		}
		if strings.HasPrefix(r.path, "/aws-service-role/") {
			return &types.UnmodifiableEntityException{Message: aws.String("Cannot perform the operation on the protected role.")}
		}
		return change(r)
	})
}
