package drift_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake/stacktest"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/status"
)

func (w *world) reconciler() *reconcile.Reconciler {
	r := stacktest.Reconciler(w.cloud, w.settings, w.inbox, func() string { return fmt.Sprintf("random-%06d", w.nonces.Add(1)) })
	r.SettingsHash, r.Operators = w.hash, w.operators
	return r
}

// settle has reconcile handle the messages there are.
func (w *world) settle() {
	w.t.Helper()
	for r := w.reconciler(); ; {
		e := w.cloud.Receive(w.queue, 1)
		if len(e.Records) == 0 {
			return
		}
		_, err := r.Handle(context.Background(), e.Records[0].Body, 1)
		w.must(nil, err)
		w.cloud.Done(w.queue, e, nil)
	}
}

// drain has nobody handle the messages there are.
func (w *world) drain() {
	for {
		e := w.cloud.Receive(w.queue, 10)
		if len(e.Records) == 0 {
			return
		}
		w.cloud.Done(w.queue, e, nil)
	}
}

// apply uploads a config and has reconcile look at it.
func (w *world) apply(key, body string) {
	w.t.Helper()
	w.put(key, body)
	w.reconcile(key)
	w.cloud.Advance(time.Minute)
}

func (w *world) reconcile(key string) {
	w.t.Helper()
	_, err := w.reconciler().Reconcile(context.Background(), key)
	w.must(nil, err)
}

func (w *world) status(key string) status.Status {
	w.t.Helper()
	s, err := status.Parse(w.cloud.Objects(bucket, naming.StatusPrefix)[naming.StatusKey(key)])
	w.must(nil, err)
	return s
}

// reads counts the objects under a prefix that were read.
func (w *world) reads(prefix string) int {
	n := 0
	for _, c := range w.cloud.Calls() {
		if c.Operation == "GetObject" && strings.HasPrefix(c.Resource, bucket+"/"+prefix) {
			n++
		}
	}
	return n
}

// made gives what reconcile wrote of IAM and CodeBuild.
func (w *world) made() []string {
	var all []string
	for _, c := range w.cloud.Calls() {
		read := slices.ContainsFunc([]string{"Get", "List", "BatchGet"}, func(verb string) bool { return strings.HasPrefix(c.Operation, verb) })
		if c.Caller == "reconcile" && (c.Service == "iam" || c.Service == "codebuild") && !read {
			all = append(all, c.Operation+" "+c.Resource)
		}
	}
	return all
}

func (w *world) role(name string) model.ObservedRole {
	w.t.Helper()
	o, err := iamrole.New(w.cloud.IAM("admin")).Read(context.Background(), name)
	w.must(nil, err)
	return o
}

// agentsNamed gives a config with container agents of the names.
func agentsNamed(names ...string) string {
	var b strings.Builder
	b.WriteString("agents:\n")
	for _, n := range names {
		fmt.Fprintf(&b, "  %[1]s:\n    name: %[1]s\n    entrypoint: main.py\n    aws: {}\n", n)
	}
	return b.String()
}

func runtimeRole(agent string) string { return naming.RuntimeRole("us-east-1", agent) }
func buildRole(agent string) string   { return naming.BuildRole("us-east-1", agent) }

func tag(k, v string) iamtypes.Tag { return iamtypes.Tag{Key: &k, Value: &v} }

func (a *administrator) trust(role, document string) {
	a.t.Helper()
	a.must(a.UpdateAssumeRolePolicy(context.Background(), &iam.UpdateAssumeRolePolicyInput{RoleName: &role, PolicyDocument: &document}))
}

func (a *administrator) putPolicy(role, name, document string) {
	a.t.Helper()
	a.must(a.PutRolePolicy(context.Background(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document}))
}

func (a *administrator) deletePolicy(role, name string) {
	a.t.Helper()
	a.must(a.DeleteRolePolicy(context.Background(), &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name}))
}

func (a *administrator) attach(role, arn string) {
	a.t.Helper()
	a.must(a.AttachRolePolicy(context.Background(), &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &arn}))
}

func (a *administrator) limit(role, arn string) {
	a.t.Helper()
	if arn == "" {
		a.must(a.DeleteRolePermissionsBoundary(context.Background(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: &role}))
		return
	}
	a.must(a.PutRolePermissionsBoundary(context.Background(), &iam.PutRolePermissionsBoundaryInput{RoleName: &role, PermissionsBoundary: &arn}))
}

func (a *administrator) tag(role string, tags ...iamtypes.Tag) {
	a.t.Helper()
	a.must(a.TagRole(context.Background(), &iam.TagRoleInput{RoleName: &role, Tags: tags}))
}

func (a *administrator) untag(role string, keys ...string) {
	a.t.Helper()
	a.must(a.UntagRole(context.Background(), &iam.UntagRoleInput{RoleName: &role, TagKeys: keys}))
}

func (a *administrator) describe(role, description string, session int32) {
	a.t.Helper()
	a.must(a.UpdateRole(context.Background(), &iam.UpdateRoleInput{RoleName: &role, Description: &description, MaxSessionDuration: &session}))
}

// empty takes a role's inline policies away.
func (w *world) empty(role string) {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(w.role(role).Policies)) {
		w.admin().deletePolicy(role, name)
	}
}

// dropRole deletes a role.
func (w *world) dropRole(role string) {
	w.t.Helper()
	w.empty(role)
	a := w.admin()
	a.must(a.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: &role}))
}

// changeProject has builds run with a variable more.
func (w *world) changeProject(name string) {
	w.t.Helper()
	c := w.cloud.CodeBuild("admin")
	out, err := c.BatchGetProjects(context.Background(), &codebuild.BatchGetProjectsInput{Names: []string{name}})
	w.must(nil, err)
	env := out.Projects[0].Environment
	env.EnvironmentVariables = append(env.EnvironmentVariables, types.EnvironmentVariable{Name: aws.String("BY_HAND"), Value: aws.String("x")})
	w.must(c.UpdateProject(context.Background(), &codebuild.UpdateProjectInput{Name: &name, Environment: env, Tags: out.Projects[0].Tags}))
}

func (w *world) dropProject(name string) {
	w.t.Helper()
	w.must(w.cloud.CodeBuild("admin").DeleteProject(context.Background(), &codebuild.DeleteProjectInput{Name: &name}))
}

// outdate has a config be as a version of the templates left it whose tags were
// others.
func (w *world) outdate(key, agent string) {
	w.t.Helper()
	s := w.status(key)
	s.TemplateVersion--
	for i := range s.Agents {
		for element := range s.Agents[i].Applied {
			if strings.HasSuffix(element, "/tags") {
				s.Agents[i].Applied[element] = strings.Repeat("0", 64)
			}
		}
	}
	body, err := s.JSON()
	w.must(nil, err)
	w.put(naming.StatusKey(key), string(body))
	for _, role := range []string{runtimeRole(agent), buildRole(agent)} {
		w.admin().tag(role, tag(model.TagTemplate, fmt.Sprint(s.TemplateVersion)))
	}
}
