package suite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

const (
	trust       = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	otherTrust  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	permissions = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/a+b c/é%41"}]}`
)

func roleInput(name string) *iam.CreateRoleInput {
	return &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)}
}

func (b *Backend) makeRole(t T) (name string) {
	t.Helper()
	name = b.fresh("role")
	must(b.IAM.CreateRole(t.Context(), roleInput(name)))(t)
	return name
}

func (b *Backend) getRole(t T, name string) *types.Role {
	t.Helper()
	return must(b.IAM.GetRole(t.Context(), &iam.GetRoleInput{RoleName: &name}))(t).Role
}

func (b *Backend) wantNoRole(t T, name string) {
	t.Helper()
	_, err := b.IAM.GetRole(t.Context(), &iam.GetRoleInput{RoleName: &name})
	wantCode(t, "get a role that must not be there", err, "NoSuchEntity")
}

func (b *Backend) putPolicy(t T, role, name, document string) error {
	_, err := b.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document})
	return err
}

func (b *Backend) deletePolicy(t T, role, name string) error {
	_, err := b.IAM.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name})
	return err
}

func (b *Backend) policyNames(t T, role string) []string {
	t.Helper()
	out := must(b.IAM.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: &role}))(t)
	return slices.Sorted(slices.Values(out.PolicyNames))
}

func (b *Backend) policy(t T, role, name string) string {
	t.Helper()
	return aws.ToString(must(b.IAM.GetRolePolicy(t.Context(),
		&iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name}))(t).PolicyDocument)
}

func (b *Backend) deleteRole(t T, name string) error {
	_, err := b.IAM.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: &name})
	return err
}

func tagList(n int, prefix string) []types.Tag {
	var list []types.Tag
	for i := range n {
		list = append(list, types.Tag{Key: aws.String(fmt.Sprintf("%s%d", prefix, i)), Value: aws.String("v")})
	}
	return list
}

// tooManyTags gives the codes of which AWS answers one; which is not documented.
func tooManyTags() []string { return []string{"LimitExceeded", "ValidationError", "InvalidInput"} }

func tagMap(list []types.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range list {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}

func roleCases() []testCase {
	return []testCase{
		{"a role that is made has an id, an ARN and what was asked for", func(t T, b *Backend) {
			in := roleInput(b.fresh("role"))
			in.Description, in.MaxSessionDuration, in.PermissionsBoundary = aws.String("for the suite"), aws.Int32(7200), &b.Boundary
			in.Tags = []types.Tag{{Key: aws.String("rolekeeper:config"), Value: aws.String("configs/a_b.c+d=e@f/g-h")}}
			made := must(b.IAM.CreateRole(t.Context(), in))(t).Role
			if id := aws.ToString(made.RoleId); !strings.HasPrefix(id, "AROA") || len(id) < 16 {
				t.Errorf("role id %q", id)
			}
			got := b.getRole(t, *in.RoleName)
			if aws.ToString(got.RoleId) != aws.ToString(made.RoleId) {
				t.Errorf("id %q when made, %q when read", aws.ToString(made.RoleId), aws.ToString(got.RoleId))
			}
			if want := "arn:aws:iam::" + b.Account + ":role/" + *in.RoleName; aws.ToString(got.Arn) != want || aws.ToString(made.Arn) != want || aws.ToString(got.Path) != "/" {
				t.Errorf("ARN %q, path %q; want %q", aws.ToString(got.Arn), aws.ToString(got.Path), want)
			}
			if aws.ToString(got.Description) != *in.Description || aws.ToInt32(got.MaxSessionDuration) != 7200 {
				t.Errorf("description %q, session %d", aws.ToString(got.Description), aws.ToInt32(got.MaxSessionDuration))
			}
			if got.PermissionsBoundary == nil || aws.ToString(got.PermissionsBoundary.PermissionsBoundaryArn) != b.Boundary {
				t.Errorf("boundary %+v", got.PermissionsBoundary)
			}
			if tags := tagMap(got.Tags); len(tags) != 1 || tags["rolekeeper:config"] != "configs/a_b.c+d=e@f/g-h" {
				t.Errorf("tags %v", tags)
			}
		}},
		{"a role's session lasts an hour when nothing else was asked for", func(t T, b *Backend) {
			if got := aws.ToInt32(b.getRole(t, b.makeRole(t)).MaxSessionDuration); got != 3600 {
				t.Errorf("session of %d s", got)
			}
		}},
		{"a name is taken in every case of its letters", func(t T, b *Backend) {
			name := b.makeRole(t)
			for _, again := range []string{name, strings.ToUpper(name)} {
				_, err := b.IAM.CreateRole(t.Context(), roleInput(again))
				wantCode(t, again, err, "EntityAlreadyExists")
			}
		}},
		{"of roles made at once under one name there is one", func(t T, b *Backend) {
			name := b.fresh("race")
			const n = 8
			counts := atOnce(n, func(int) error {
				_, err := b.IAM.CreateRole(t.Context(), roleInput(name))
				return err
			})
			if counts[""] != 1 || counts["EntityAlreadyExists"] != n-1 {
				t.Errorf("answers: %v", counts)
			}
		}},
		{"of a role that is not there everything says so", func(t T, b *Backend) {
			ctx, name, policy := t.Context(), b.fresh("missing"), aws.String("p")
			b.wantNoRole(t, name)
			_, err := b.IAM.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &name})
			wantCode(t, "list its policies", err, "NoSuchEntity")
			_, err = b.IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: policy})
			wantCode(t, "get a policy", err, "NoSuchEntity")
			_, err = b.IAM.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &name})
			wantCode(t, "list what is attached", err, "NoSuchEntity")
			wantCode(t, "put a policy", b.putPolicy(t, name, "p", permissions), "NoSuchEntity")
			wantCode(t, "delete a policy", b.deletePolicy(t, name, "p"), "NoSuchEntity")
			_, err = b.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(trust)})
			wantCode(t, "update its trust", err, "NoSuchEntity")
			_, err = b.IAM.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &name})
			wantCode(t, "update its settings", err, "NoSuchEntity")
			_, err = b.IAM.TagRole(ctx, &iam.TagRoleInput{RoleName: &name, Tags: tagList(1, "k")})
			wantCode(t, "tag it", err, "NoSuchEntity")
			_, err = b.IAM.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: &b.Boundary})
			wantCode(t, "put its boundary", err, "NoSuchEntity")
			wantCode(t, "delete it", b.deleteRole(t, name), "NoSuchEntity")
		}},
		{"a role made again under its name has another id", func(t T, b *Backend) {
			name := b.makeRole(t)
			first := aws.ToString(b.getRole(t, name).RoleId)
			wantCode(t, "delete", b.deleteRole(t, name), "")
			b.wantNoRole(t, name)
			must(b.IAM.CreateRole(t.Context(), roleInput(name)))(t)
			if second := aws.ToString(b.getRole(t, name).RoleId); second == first {
				t.Errorf("both have id %s", first)
			}
		}},
		{"a role with policies cannot be deleted", func(t T, b *Backend) {
			name := b.makeRole(t)
			wantCode(t, "put", b.putPolicy(t, name, "p", permissions), "")
			wantCode(t, "delete with an inline policy", b.deleteRole(t, name), "DeleteConflict")
			wantCode(t, "delete the policy", b.deletePolicy(t, name, "p"), "")
			must(b.IAM.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: &b.Boundary}))(t)
			wantCode(t, "delete with an attached policy", b.deleteRole(t, name), "DeleteConflict")
		}},
		{"a boundary that is not there is refused", func(t T, b *Backend) {
			in := roleInput(b.fresh("role"))
			in.PermissionsBoundary = aws.String("arn:aws:iam::" + b.Account + ":policy/suite-none")
			_, err := b.IAM.CreateRole(t.Context(), in)
			wantCode(t, "create", err, "NoSuchEntity")
			b.wantNoRole(t, *in.RoleName)
			name := b.makeRole(t)
			_, err = b.IAM.PutRolePermissionsBoundary(t.Context(), &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: in.PermissionsBoundary})
			wantCode(t, "put", err, "NoSuchEntity")
			must(b.IAM.PutRolePermissionsBoundary(t.Context(), &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: &b.Boundary}))(t)
			if got := b.getRole(t, name).PermissionsBoundary; got == nil || aws.ToString(got.PermissionsBoundaryArn) != b.Boundary {
				t.Errorf("boundary %+v", got)
			}
		}},
		{"a role with 51 tags is refused whole", func(t T, b *Backend) {
			in := roleInput(b.fresh("role"))
			in.Tags = tagList(51, "k")
			_, err := b.IAM.CreateRole(t.Context(), in)
			wantCode(t, "create", err, tooManyTags()...)
			b.wantNoRole(t, *in.RoleName)
		}},
		{"a role that has 50 tags takes no other", func(t T, b *Backend) {
			in := roleInput(b.fresh("role"))
			in.Tags = tagList(50, "k")
			must(b.IAM.CreateRole(t.Context(), in))(t)
			_, err := b.IAM.TagRole(t.Context(), &iam.TagRoleInput{RoleName: in.RoleName, Tags: tagList(1, "more")})
			wantCode(t, "one tag more", err, tooManyTags()...)
			if n := len(b.getRole(t, *in.RoleName).Tags); n != 50 {
				t.Errorf("%d tags", n)
			}
			must(b.IAM.TagRole(t.Context(), &iam.TagRoleInput{RoleName: in.RoleName, Tags: tagList(50, "k")}))(t)
		}},
		{"tagging replaces the tags that it names and keeps the others", func(t T, b *Backend) {
			in := roleInput(b.fresh("role"))
			in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}, {Key: aws.String("rolekeeper:template"), Value: aws.String("1")}}
			must(b.IAM.CreateRole(t.Context(), in))(t)
			must(b.IAM.TagRole(t.Context(), &iam.TagRoleInput{
				RoleName: in.RoleName, Tags: []types.Tag{{Key: aws.String("rolekeeper:template"), Value: aws.String("2")}},
			}))(t)
			if tags := tagMap(b.getRole(t, *in.RoleName).Tags); len(tags) != 2 || tags["team"] != "a" || tags["rolekeeper:template"] != "2" {
				t.Errorf("tags %v", tags)
			}
		}},
		{"settings change, and a session length that is left out falls back to an hour", func(t T, b *Backend) {
			in := roleInput(b.fresh("role"))
			in.Description, in.MaxSessionDuration = aws.String("before"), aws.Int32(7200)
			must(b.IAM.CreateRole(t.Context(), in))(t)
			must(b.IAM.UpdateRole(t.Context(), &iam.UpdateRoleInput{RoleName: in.RoleName, Description: aws.String("after")}))(t)
			if r := b.getRole(t, *in.RoleName); aws.ToString(r.Description) != "after" || aws.ToInt32(r.MaxSessionDuration) != 3600 {
				t.Errorf("description %q, session %d", aws.ToString(r.Description), aws.ToInt32(r.MaxSessionDuration))
			}
		}},
	}
}

func policyCases() []testCase {
	return []testCase{
		{"documents come URL-encoded", func(t T, b *Backend) {
			name := b.makeRole(t)
			wantCode(t, "put", b.putPolicy(t, name, "p", permissions), "")
			for what, document := range map[string]string{"policy": b.policy(t, name, "p"), "trust": aws.ToString(b.getRole(t, name).AssumeRolePolicyDocument)} {
				if !strings.HasPrefix(document, "%7B") || strings.ContainsAny(document, `{"+ `) {
					t.Errorf("%s: %s", what, document)
				}
			}
		}},
		{"putting a policy replaces the one of its name", func(t T, b *Backend) {
			name := b.makeRole(t)
			other := strings.Replace(permissions, "GetObject", "PutObject", 1)
			for _, document := range []string{permissions, permissions, other} {
				wantCode(t, "put", b.putPolicy(t, name, "p", document), "")
			}
			if names := b.policyNames(t, name); !slices.Equal(names, []string{"p"}) {
				t.Errorf("policies %q", names)
			}
			if got := b.policy(t, name, "p"); !strings.Contains(got, "PutObject") {
				t.Errorf("policy %s", got)
			}
		}},
		{"a policy that is not there cannot be read or deleted", func(t T, b *Backend) {
			name := b.makeRole(t)
			_, err := b.IAM.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: &name, PolicyName: aws.String("none")})
			wantCode(t, "get", err, "NoSuchEntity")
			wantCode(t, "delete", b.deletePolicy(t, name, "none"), "NoSuchEntity")
		}},
		{"a role's inline policies hold 10,240 characters together, without white space", func(t T, b *Backend) {
			name := b.makeRole(t)
			sized := func(n int) string { // n characters and as many blanks
				const frame = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s"}]}`
				return fmt.Sprintf(frame, strings.Repeat("x", n-len(frame)+len("%s"))) + strings.Repeat(" ", n)
			}
			wantCode(t, "6,000", b.putPolicy(t, name, "a", sized(6000)), "")
			wantCode(t, "4,241 more", b.putPolicy(t, name, "b", sized(4241)), "LimitExceeded")
			wantCode(t, "4,240 more", b.putPolicy(t, name, "b", sized(4240)), "")
			wantCode(t, "one more in the first", b.putPolicy(t, name, "a", sized(6001)), "LimitExceeded")
			wantCode(t, "the first again", b.putPolicy(t, name, "a", sized(6000)), "")
			if names := b.policyNames(t, name); !slices.Equal(names, []string{"a", "b"}) {
				t.Errorf("policies %q", names)
			}
		}},
		{"a malformed trust policy is refused and changes nothing", func(t T, b *Backend) {
			there := b.makeRole(t)
			for what, document := range map[string]string{
				"not JSON":       `{not json`,
				"no principal":   `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}`,
				"with resource":  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole","Resource":"*"}]}`,
				"another action": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"s3:GetObject"}]}`,
				"no effect":      `{"Version":"2012-10-17","Statement":[{"Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
			} {
				in := roleInput(b.fresh("role"))
				in.AssumeRolePolicyDocument = &document
				_, err := b.IAM.CreateRole(t.Context(), in)
				wantCode(t, "create with a trust with "+what, err, "MalformedPolicyDocument")
				b.wantNoRole(t, *in.RoleName)
				_, err = b.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &there, PolicyDocument: &document})
				wantCode(t, "update to a trust with "+what, err, "MalformedPolicyDocument")
			}
			if got := aws.ToString(b.getRole(t, there).AssumeRolePolicyDocument); !strings.Contains(got, "bedrock-agentcore.amazonaws.com") {
				t.Errorf("trust %s", got)
			}
			must(b.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &there, PolicyDocument: aws.String(otherTrust)}))(t)
			if got := aws.ToString(b.getRole(t, there).AssumeRolePolicyDocument); !strings.Contains(got, "codebuild.amazonaws.com") || strings.Contains(got, "bedrock") {
				t.Errorf("trust %s", got)
			}
		}},
		{"a malformed permissions policy is refused and changes nothing", func(t T, b *Backend) {
			name := b.makeRole(t)
			for what, document := range map[string]string{
				"not JSON":       `{not json`,
				"no resource":    `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject"}]}`,
				"with principal": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}`,
				"no action":      `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}`,
				"wrong effect":   `{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"s3:GetObject","Resource":"*"}]}`,
				"sids twice":     `{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}`,
			} {
				wantCode(t, what, b.putPolicy(t, name, "p", document), "MalformedPolicyDocument")
			}
			if names := b.policyNames(t, name); len(names) > 0 {
				t.Errorf("policies %q", names)
			}
		}},
		{"attached policies are listed apart from inline ones", func(t T, b *Backend) {
			name := b.makeRole(t)
			wantCode(t, "put", b.putPolicy(t, name, "p", permissions), "")
			must(b.IAM.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: &b.Boundary}))(t)
			out := must(b.IAM.ListAttachedRolePolicies(t.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: &name}))(t)
			if len(out.AttachedPolicies) != 1 || aws.ToString(out.AttachedPolicies[0].PolicyArn) != b.Boundary {
				t.Errorf("attached: %+v", out.AttachedPolicies)
			}
			if names := b.policyNames(t, name); !slices.Equal(names, []string{"p"}) {
				t.Errorf("inline: %q", names)
			}
		}},
	}
}

// linkedRole gives the service-linked role of a service, which is made if there is
// none: other cases need it, too.
func (b *Backend) linkedRole(t T, service, name string) *types.Role {
	t.Helper()
	_, err := b.IAM.CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: &service})
	wantCode(t, "create the service-linked role of "+service, err, "", "InvalidInput")
	return b.getRole(t, name)
}

func serviceLinkedCases() []testCase {
	return []testCase{
		{"AgentCore's service-linked roles have AWS's names, and are made once", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			// AgentCore developer guide, "Using service-linked roles".
			for service, name := range map[string]string{
				"network.bedrock-agentcore.amazonaws.com":          "AWSServiceRoleForBedrockAgentCoreNetwork",
				"runtime-identity.bedrock-agentcore.amazonaws.com": "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity",
			} {
				role := b.linkedRole(t, service, name)
				if arn := "arn:aws:iam::" + b.Account + ":role/aws-service-role/" + service + "/" + name; aws.ToString(role.Arn) != arn {
					t.Errorf("ARN %q, want %q", aws.ToString(role.Arn), arn)
				}
				_, err := b.IAM.CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: &service})
				wantCode(t, "a second one of "+service, err, "InvalidInput")
			}
		}},
		{"there is no service-linked role of an unknown service", func(t T, b *Backend) {
			_, err := b.IAM.CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("suite.amazonaws.com")})
			wantCode(t, "create", err, "InvalidInput")
		}},
		{"nobody changes a service-linked role", func(t T, b *Backend) {
			name := "AWSServiceRoleForBedrockAgentCoreRuntimeInstances"
			b.linkedRole(t, "runtime-instances.bedrock-agentcore.amazonaws.com", name)
			wantCode(t, "put a policy", b.putPolicy(t, name, "p", permissions), "UnmodifiableEntity")
			wantCode(t, "delete it", b.deleteRole(t, name), "UnmodifiableEntity")
			_, err := b.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(trust)})
			wantCode(t, "update its trust", err, "UnmodifiableEntity")
			_, err = b.IAM.PutRolePermissionsBoundary(t.Context(), &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: &b.Boundary})
			wantCode(t, "put a boundary", err, "UnmodifiableEntity")
			if names := b.policyNames(t, name); len(names) > 0 {
				t.Errorf("policies %q", names)
			}
		}},
	}
}
