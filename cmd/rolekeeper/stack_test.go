package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/awsfake/stacktest"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/settings"
	"rolekeeper/shared/status"
)

const (
	operator    = "operator" // who runs the tool
	operatorARN = "arn:aws:sts::123456789012:assumed-role/operators/alice"
	teamKey     = "configs/team/agent.yaml"
	boundary    = "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1"
)

// deployed is an account with a stack in it: what the tool asks, and the
// function whose plans it shows.
type deployed struct {
	*world
	t          *testing.T
	parameters map[string]any // of the stack; nil when there is no stack
	inbox      string

	sourceBucket string
}

func deploy(t *testing.T) *deployed {
	t.Helper()
	w := &deployed{world: newWorld(), t: t, parameters: map[string]any{
		"PermissionProfile": "scoped", "PermissionsBoundaryArn": boundary,
		"SourceBucketName": "bedrock-agentcore-codebuild-sources-123456789012-us-east-1", "EnsureServiceLinkedRoles": "true",
		"ExistingRoles": "report", "TeamTag": "", "AllowedRepositories": []string{"*"}, "AllowedMemories": []string{""},
		"AllowedCredentialProviders": []string{"*"}, "AllowedAudiences": []string{"*"},
		"OperatorPrincipalArns": []string{"arn:aws:iam::123456789012:role/operators"},
		"BuildImage":            "aws/codebuild/amazonlinux-aarch64-standard:4.0", "LogRetentionDays": "30",
		"GracePeriod": "24h", "MaxDeletesPerHour": "20", "DeleteRepositories": "false",
	}}
	w.sourceBucket = stacktest.Deploy(w.Cloud).Env.SourceBucket
	w.inbox = w.AddQueue("inbox", 0, 10, "")
	w.connect = func(_ context.Context, region string) (account, error) {
		if region == "" {
			region = w.Region
		}
		return account{
			id: w.Account, region: region, caller: operatorARN,
			objects: w.S3(operator), requests: w.S3(operator), roles: w.IAM(operator), bulk: w.IAM(operator), runtimes: w.AgentCore(operator), parameters: w,
			sources: w.S3(operator), repositories: w.ECR(operator), projects: w.CodeBuild(operator),
		}, nil
	}
	return w
}

// GetParameter is ssm:GetParameter.
func (w *deployed) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	if w.parameters == nil || *in.Name != "/rolekeeper/rolekeeper/settings" {
		return nil, &ssmtypes.ParameterNotFound{}
	}
	value, err := json.Marshal(w.parameters)
	return &ssm.GetParameterOutput{Parameter: &ssmtypes.Parameter{Name: in.Name, Value: aws.String(string(value))}}, err
}

func (w *deployed) place() agent.Place {
	return agent.Place{Partition: w.Partition, Region: w.Region, Account: w.Account}
}

// given gives the stack's parameters, and the function's settings from them.
func (w *deployed) given() (settings.Parameters, reconcile.Settings) {
	w.t.Helper()
	value, err := json.Marshal(w.parameters)
	w.must(nil, err)
	p, err := settings.ParseStored(value, w.place())
	w.must(nil, err)
	s := stacktest.Settings(w.place())
	s.Env.Profile, s.Env.SourceBucket, s.Env.BuildImage, s.Env.LogRetentionDays = p.PermissionProfile, w.sourceBucket, p.BuildImage, p.LogRetentionDays
	s.Allowed, s.Existing, s.Drift, s.Unmanaged = p.Allowed, p.ExistingRoles, p.DriftMode, p.UnmanagedPolicies
	return p, s
}

// reconcile lets the function look at a config.
func (w *deployed) reconcile(key string, hints ...event.Hint) {
	w.t.Helper()
	p, s := w.given()
	hash, err := shape(p, w.place()).Hash()
	w.must(nil, err)
	n := 0
	r := stacktest.Reconciler(w.Cloud, s, w.inbox, func() string { n++; return fmt.Sprintf("random-%s-%d", key, n) })
	r.SettingsHash, r.Operators = hash, true
	r.Grace, r.MaxDeletesPerHour, r.DeleteRepositories = p.GracePeriod, p.MaxDeletesPerHour, p.DeleteRepositories
	if _, err := r.Reconcile(w.t.Context(), key, hints...); err != nil {
		w.t.Fatal(err)
	}
}

// age changes the answer to a config.
func (w *deployed) age(key string, change func(*status.Status)) {
	w.t.Helper()
	s, err := status.Parse(w.Objects(w.bucket, naming.StatusKey(key))[naming.StatusKey(key)])
	w.must(nil, err)
	change(&s)
	w.answer(w.t, s)
}

// upload uploads a config and lets the function look at it.
func (w *deployed) upload(key, body string) {
	w.t.Helper()
	w.put(w.t, key, body)
	w.reconcile(key)
}

// source uploads the source of an agent.
func (w *deployed) source(agent, body string) {
	w.t.Helper()
	_, err := w.S3("developer").PutObject(w.t.Context(), &s3.PutObjectInput{
		Bucket: &w.sourceBucket, Key: aws.String(naming.SourceKey("", agent)), Body: strings.NewReader(body),
	})
	w.must(nil, err)
}

// zipped is how a zip with entries begins.
const zipped = "PK\x03\x04 and what follows"

// built uploads a source and a config of one container agent, and lets the function
// make the image of it, which ends so.
func (w *deployed) built(key, agent string, o awsfake.Outcome) {
	w.t.Helper()
	w.upload(key, container(agent))
	w.source(agent, zipped)
	w.reconcile(key) // a new build role is not built with at once
	w.endBuild(key, agent, o)
}

// endBuild ends the newest build and lets the function look at what came of it.
func (w *deployed) endBuild(key, agent string, o awsfake.Outcome) {
	w.t.Helper()
	builds := w.Builds()
	if len(builds) == 0 {
		w.t.Fatal("no build was started")
	}
	last := builds[len(builds)-1]
	if o.State == "" {
		w.must(nil, w.PushImage(naming.Repository(agent), model.ImageTag(aws.ToString(last.SourceVersion)), "sha256:"+digest("5")))
	}
	if !w.FinishBuild(*last.Id, o) {
		w.t.Fatalf("build %s has ended already", *last.Id)
	}
	w.reconcile(key)
}

// must takes the place of an administrator's call of IAM.
func (w *deployed) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *deployed) admin() *awsfake.IAM { return w.IAM("admin") }

func (w *deployed) putPolicy(role, name, document string) {
	w.t.Helper()
	w.must(w.admin().PutRolePolicy(w.t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document}))
}

func (w *deployed) attach(role, arn, document string) {
	w.t.Helper()
	w.AddPolicy(arn, document)
	w.must(w.admin().AttachRolePolicy(w.t.Context(), &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &arn}))
}

func (w *deployed) trust(role, document string) {
	w.t.Helper()
	w.must(w.admin().UpdateAssumeRolePolicy(w.t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &role, PolicyDocument: &document}))
}

func (w *deployed) tag(role, key, value string) {
	w.t.Helper()
	w.must(w.admin().TagRole(w.t.Context(), &iam.TagRoleInput{RoleName: &role, Tags: []iamtypes.Tag{{Key: &key, Value: &value}}}))
}

// unbind takes the boundary off an agent's runtime role.
func (w *deployed) unbind(agent string) {
	w.t.Helper()
	name := runtimeRole(agent)
	w.must(w.admin().DeleteRolePermissionsBoundary(w.t.Context(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))
}

// bind gives an agent's runtime role a boundary of somebody else's.
func (w *deployed) bind(agent, arn, document string) {
	w.t.Helper()
	w.AddPolicy(arn, document)
	name := runtimeRole(agent)
	w.must(w.admin().PutRolePermissionsBoundary(w.t.Context(), &iam.PutRolePermissionsBoundaryInput{RoleName: &name, PermissionsBoundary: &arn}))
}

func (w *deployed) createRole(name, trust string) {
	w.t.Helper()
	w.must(w.admin().CreateRole(w.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))
}

func (w *deployed) deleteRole(name string) {
	w.t.Helper()
	o := w.role(name)
	for policy := range o.Policies {
		w.must(w.admin().DeleteRolePolicy(w.t.Context(), &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy}))
	}
	w.must(w.admin().DeleteRole(w.t.Context(), &iam.DeleteRoleInput{RoleName: &name}))
}

func (w *deployed) role(name string) model.ObservedRole {
	w.t.Helper()
	o, err := iamrole.NewReader(w.admin()).Read(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// byToolkit makes the roles of an agent as the starter toolkit makes them.
func (w *deployed) byToolkit(name string, deployment agent.Deployment) {
	w.t.Helper()
	_, s := w.given()
	env := s.Env
	env.Profile = desired.Toolkit
	state, problems := desired.Compute(agent.Config{Agents: []agent.Agent{{Name: name, Deployment: deployment}}}, env)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	for _, r := range state.Agents[0].Roles() {
		w.createRole(r.Name, r.Trust.JSON())
		for _, policy := range slices.Sorted(maps.Keys(r.Policies)) {
			w.putPolicy(r.Name, policy, r.Policies[policy].JSON())
		}
	}
}

var verbs = regexp.MustCompile(`^(BatchGet|[A-Z][a-z]+)`)

// wrote gives the writes of the tool, of all services.
func (w *deployed) wrote() []string {
	var all []string
	reads := func(verb string) bool { return slices.Contains([]string{"Get", "List", "Describe", "BatchGet"}, verb) }
	for _, c := range w.Calls() {
		if c.Caller == operator && !reads(verbs.FindString(c.Operation)) {
			all = append(all, c.Service+":"+c.Operation+" "+c.Resource)
		}
	}
	return all
}

func runtimeRole(agent string) string { return naming.RuntimeRole("us-east-1", agent) }
func buildRole(agent string) string   { return naming.BuildRole("us-east-1", agent) }

// direct gives a config with one agent that needs no build.
func direct(name string, more ...string) string {
	return fmt.Sprintf("agents:\n  %[1]s:\n    name: %[1]s\n    entrypoint: main.py\n    deployment_type: direct_code_deploy\n    aws: {}\n%[2]s",
		name, strings.Join(more, ""))
}

// two gives a config of the agents of two others.
func two(one, other string) string { return one + strings.TrimPrefix(other, "agents:\n") }

func container(name string) string {
	return fmt.Sprintf("agents:\n  %[1]s:\n    name: %[1]s\n    entrypoint: main.py\n    deployment_type: container\n    aws: {}\n", name)
}

func (w *deployed) remove(key string) {
	w.t.Helper()
	w.must(w.S3("developer").DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &key}))
}
