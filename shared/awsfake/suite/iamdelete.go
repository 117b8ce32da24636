package suite

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

func (b *Backend) attach(t T, role, policyARN string) error {
	_, err := b.IAM.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &policyARN})
	return err
}

func (b *Backend) detach(t T, role, policyARN string) error {
	_, err := b.IAM.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: &role, PolicyArn: &policyARN})
	return err
}

func (b *Backend) makeProfile(t T) (name string) {
	t.Helper()
	name = b.fresh("profile")
	must(b.IAM.CreateInstanceProfile(t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: &name}))(t)
	return name
}

func (b *Backend) enter(t T, role, profile string) error {
	_, err := b.IAM.AddRoleToInstanceProfile(t.Context(), &iam.AddRoleToInstanceProfileInput{RoleName: &role, InstanceProfileName: &profile})
	return err
}

func (b *Backend) leave(t T, role, profile string) error {
	_, err := b.IAM.RemoveRoleFromInstanceProfile(t.Context(), &iam.RemoveRoleFromInstanceProfileInput{RoleName: &role, InstanceProfileName: &profile})
	return err
}

func (b *Backend) untag(t T, role string, keys ...string) error {
	_, err := b.IAM.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: &role, TagKeys: keys})
	return err
}

func (b *Backend) setTrust(t T, role, document string) {
	t.Helper()
	must(b.IAM.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &role, PolicyDocument: &document}))(t)
}

func deletionCases() []testCase {
	return []testCase{
		{"of a role that is not there nothing is taken away", func(t T, b *Backend) {
			name, profile := b.fresh("missing"), b.makeProfile(t)
			_, err := b.IAM.ListInstanceProfilesForRole(t.Context(), &iam.ListInstanceProfilesForRoleInput{RoleName: &name})
			wantCode(t, "list its instance profiles", err, "NoSuchEntity")
			wantCode(t, "attach a policy", b.attach(t, name, b.Boundary), "NoSuchEntity")
			wantCode(t, "detach a policy", b.detach(t, name, b.Boundary), "NoSuchEntity")
			wantCode(t, "untag it", b.untag(t, name, "k"), "NoSuchEntity")
			wantCode(t, "put it into an instance profile", b.enter(t, name, profile), "NoSuchEntity")
			wantCode(t, "take it out", b.leave(t, name, profile), "NoSuchEntity")
		}},
		{"a policy is attached as often as one likes and detached once", func(t T, b *Backend) {
			name, missing := b.makeRole(t), b.Boundary+"-that-is-not-there"
			wantCode(t, "attach what is not there", b.attach(t, name, missing), "NoSuchEntity")
			wantCode(t, "detach what is not there", b.detach(t, name, missing), "NoSuchEntity")
			wantCode(t, "detach what is not attached", b.detach(t, name, b.Boundary), "NoSuchEntity")
			for range 2 {
				wantCode(t, "attach", b.attach(t, name, b.Boundary), "")
			}
			wantCode(t, "detach", b.detach(t, name, b.Boundary), "")
			wantCode(t, "detach again", b.detach(t, name, b.Boundary), "NoSuchEntity")
			if out := must(b.IAM.ListAttachedRolePolicies(t.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: &name}))(t); len(out.AttachedPolicies) != 0 {
				t.Errorf("attached %+v", out.AttachedPolicies)
			}
		}},
		{"tags are taken off a role whether it has them or not", func(t T, b *Backend) {
			in := roleInput(b.fresh("role"))
			in.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("rolekeeper:creation"), Value: aws.String("2")}}
			must(b.IAM.CreateRole(t.Context(), in))(t)
			for range 2 {
				wantCode(t, "untag", b.untag(t, *in.RoleName, "rolekeeper:creation", "none"), "")
			}
			if tags := tagMap(b.getRole(t, *in.RoleName).Tags); !maps.Equal(tags, map[string]string{"a": "1"}) {
				t.Errorf("tags %v", tags)
			}
		}},
		{"an instance profile holds one role, and a role is in many", func(t T, b *Backend) {
			name, other, first, second := b.makeRole(t), b.makeRole(t), b.makeProfile(t), b.makeProfile(t)
			b.wantProfiles(t, name)
			wantCode(t, "put it into one", b.enter(t, name, first), "")
			wantCode(t, "put it into another", b.enter(t, name, second), "")
			wantCode(t, "put another role there", b.enter(t, other, first), "LimitExceeded")
			wantCode(t, "put it there again", b.enter(t, name, first), "LimitExceeded")
			wantCode(t, "put it where there is none", b.enter(t, name, first+"-none"), "NoSuchEntity")
			b.wantProfiles(t, name, first, second)
			b.wantProfiles(t, other)
			wantCode(t, "take out a role that is not in it", b.leave(t, other, first), "NoSuchEntity")
			wantCode(t, "take it out where there is none", b.leave(t, name, first+"-none"), "NoSuchEntity")
			wantCode(t, "take it out", b.leave(t, name, first), "")
			wantCode(t, "take it out again", b.leave(t, name, first), "NoSuchEntity")
			b.wantProfiles(t, name, second)
			wantCode(t, "put the other role there now", b.enter(t, other, first), "")
			b.wantProfiles(t, other, first)
		}},
		{"a role in an instance profile cannot be deleted", func(t T, b *Backend) {
			name, profile := b.makeRole(t), b.makeProfile(t)
			wantCode(t, "put it there", b.enter(t, name, profile), "")
			wantCode(t, "delete", b.deleteRole(t, name), "DeleteConflict")
			wantCode(t, "take it out", b.leave(t, name, profile), "")
			wantCode(t, "delete", b.deleteRole(t, name), "")
			b.wantNoRole(t, name)
		}},
		{"a role tells when it was last used, and one made anew that it never was", func(t T, b *Backend) {
			name, at := b.makeRole(t), time.Date(2026, 11, 20, 10, 30, 15, 0, time.UTC)
			b.wantUsed(t, name, time.Time{})
			b.UseRole(t, name, at)
			b.wantUsed(t, name, at)
			wantCode(t, "put a policy", b.putPolicy(t, name, "p", permissions), "")
			b.setTrust(t, name, otherTrust)
			b.wantUsed(t, name, at) // changes are no use
			wantCode(t, "delete the policy", b.deletePolicy(t, name, "p"), "")
			wantCode(t, "delete", b.deleteRole(t, name), "")
			must(b.IAM.CreateRole(t.Context(), roleInput(name)))(t)
			b.wantUsed(t, name, time.Time{})
		}},
		{"a trust that only denies is taken, and keeps AgentCore out until it is replaced", func(t T, b *Backend) {
			role, runtime := b.agentCoreRole(t, agentCoreService), b.underscored("runtime")
			name := naming.RoleOf(role)
			client := iamrole.New(b.IAM)
			was := must(client.Head(t.Context(), name))(t).Trust
			closed := policy.Quarantine(agentCoreService)
			b.setTrust(t, name, closed.JSON())
			if o := must(client.Head(t.Context(), name))(t); !closed.Same(o.Trust) {
				t.Errorf("trust %s", o.Trust)
			}
			_, err := b.AgentCore.CreateAgentRuntime(t.Context(), runtimeInput(runtime, role))
			wantCode(t, "a runtime", err, "ValidationException")
			b.setTrust(t, name, was)
			must(b.AgentCore.CreateAgentRuntime(t.Context(), runtimeInput(runtime, role)))(t)
		}},
		{"a trust that only denies keeps CodeBuild out", func(t T, b *Backend) {
			p, version := b.makeProject(t, goesOn)
			b.setTrust(t, naming.RoleOf(p.ServiceRole), policy.Quarantine("codebuild.amazonaws.com").JSON())
			_, err := buildproject.New(b.CodeBuild).Start(t.Context(), p.Order(version, false))
			wantFault(t, "start a build", err, fault.Retry, nil)
			b.setTrust(t, naming.RoleOf(p.ServiceRole), b.trustOf(p.Name))
			b.stop(t, b.ordered(t, p.Order(version, false)).ID)
		}},
		{"a build uses its role, and a project that builds nothing does not", func(t T, b *Backend) {
			p, version := b.makeProject(t, goesOn)
			role := naming.RoleOf(p.ServiceRole)
			b.wantUsed(t, role, time.Time{})
			id := b.ordered(t, p.Order(version, false)).ID
			if used := b.getRole(t, role).RoleLastUsed; used == nil || aws.ToTime(used.LastUsedDate).IsZero() {
				t.Errorf("used %+v", used)
			}
			b.stop(t, id)
		}},
		{"iamrole takes a role down and says what was put on it meanwhile", func(t T, b *Backend) {
			ctx, c, r, profile := t.Context(), iamrole.New(b.IAM), b.desired(t), b.makeProfile(t)
			must(c.Create(ctx, r, "nonce"))(t)
			wantNil(t, "put policy", c.PutPolicy(ctx, r.Name, "p", document(t, permissions)))
			for range 2 {
				wantNil(t, "attach policy", c.AttachPolicy(ctx, r.Name, b.Boundary))
			}
			wantFault(t, "attach a policy that is not there", c.AttachPolicy(ctx, r.Name, b.Boundary+"-none"), fault.Unknown, fault.ErrNotFound)
			wantCode(t, "put it into an instance profile", b.enter(t, r.Name, profile), "")
			if names := must(c.InstanceProfiles(ctx, r.Name))(t); !slices.Equal(names, []string{profile}) {
				t.Errorf("instance profiles %q", names)
			}
			for range 2 {
				for what, take := range map[string]func() error{
					"delete policy":          func() error { return c.DeletePolicy(ctx, r.Name, "p") },
					"detach policy":          func() error { return c.DetachPolicy(ctx, r.Name, b.Boundary) },
					"leave instance profile": func() error { return c.LeaveInstanceProfile(ctx, r.Name, profile) },
					"untag":                  func() error { return c.Untag(ctx, r.Name, []string{"team", model.TagCreation}) },
				} {
					wantNil(t, what, take())
				}
			}
			if o := must(c.Read(ctx, r.Name))(t); len(o.Policies)+len(o.Attached)+len(o.Tags) != 0 || !r.Trust.Same(o.Trust) || o.PermissionsBoundary != b.Boundary {
				t.Errorf("role %+v", o)
			}
			wantNil(t, "somebody attaches a policy", c.AttachPolicy(ctx, r.Name, b.Boundary))
			wantFault(t, "delete", c.Delete(ctx, r.Name), fault.Retry, fault.ErrConflict)
			wantNil(t, "detach policy", c.DetachPolicy(ctx, r.Name, b.Boundary))
			for range 2 {
				wantNil(t, "delete", c.Delete(ctx, r.Name))
			}
			b.wantNoRole(t, r.Name)
			_, err := c.InstanceProfiles(ctx, r.Name)
			wantFault(t, "instance profiles of a role that is gone", err, fault.Unknown, fault.ErrNotFound)
			for what, err := range map[string]error{
				"detach policy": c.DetachPolicy(ctx, r.Name, b.Boundary), "untag": c.Untag(ctx, r.Name, []string{"team"}),
				"leave instance profile": c.LeaveInstanceProfile(ctx, r.Name, profile), "delete policy": c.DeletePolicy(ctx, r.Name, "p"),
			} {
				wantNil(t, what+" of a role that is gone", err)
			}
		}},
		{"buildproject deletes a project, and what it built stays known", func(t T, b *Backend) {
			p, version := b.makeProject(t, goesOn)
			client := buildproject.New(b.CodeBuild)
			id := b.ordered(t, p.Order(version, false)).ID
			b.stop(t, id)
			for range 2 {
				wantNil(t, "delete", client.Delete(t.Context(), p.Name))
			}
			if all := must(client.Read(t.Context(), []string{p.Name}))(t); len(all) != 0 {
				t.Errorf("projects %v", all)
			}
			if o := b.refreshed(t, id); o.State != model.BuildStopped || o.Project != p.Name {
				t.Errorf("build %+v", o)
			}
			_, err := b.CodeBuild.DeleteProject(t.Context(), &codebuild.DeleteProjectInput{Name: &p.Name})
			wantCode(t, "delete what is gone", err, "")
		}},
	}
}

// wantProfiles checks which instance profiles a role is in.
func (b *Backend) wantProfiles(t T, role string, want ...string) {
	t.Helper()
	var got []string
	out := must(b.IAM.ListInstanceProfilesForRole(t.Context(), &iam.ListInstanceProfilesForRoleInput{RoleName: &role}))(t)
	for _, p := range out.InstanceProfiles {
		got = append(got, aws.ToString(p.InstanceProfileName))
		if want := ":instance-profile/" + aws.ToString(p.InstanceProfileName); !strings.HasSuffix(aws.ToString(p.Arn), want) || len(p.Roles) != 1 || aws.ToString(p.Roles[0].RoleName) != role {
			t.Errorf("instance profile %s holds %+v", aws.ToString(p.Arn), p.Roles)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("role %s is in instance profiles %q, want %q", role, got, want)
	}
}

// wantUsed checks when IAM says that a role was last used, zero for never.
func (b *Backend) wantUsed(t T, role string, want time.Time) {
	t.Helper()
	var got time.Time
	if used := b.getRole(t, role).RoleLastUsed; used != nil {
		got = aws.ToTime(used.LastUsedDate)
		if region := aws.ToString(used.Region); !got.IsZero() && region != b.Region {
			t.Errorf("role %s was used in %q", role, region)
		}
	}
	if !got.Equal(want) {
		t.Errorf("role %s was used at %v, want %v", role, got, want)
	}
}
