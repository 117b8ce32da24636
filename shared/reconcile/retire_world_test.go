package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	coretypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/awsfake/stacktest"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// pass lets time go by and the scheduled pass run, and works on what it finds.
func (w *world) pass(after time.Duration) {
	w.t.Helper()
	w.elapse(after)
	if err := w.sweep(); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

// elapse lets a time go by, in which messages are handled that come.
func (w *world) elapse(d time.Duration) {
	w.t.Helper()
	end := w.cloud.Now().Add(d)
	w.run(d)
	w.cloud.Advance(max(end.Sub(w.cloud.Now()), 0))
}

// sweep runs the scheduled pass as functions/drift does.
func (w *world) sweep() error {
	_, err := w.drift().Run(context.Background(), fmt.Sprint("pass-", w.nonces.Add(1)))
	return err
}

func (w *world) drift() drift.Pass {
	p := stacktest.Pass(w.cloud, w.settings, w.work)
	p.SettingsHash, p.Operators, p.MaxChanges = w.hash, w.operators, model.Portion{Percent: 100}
	return p
}

// deploy has a developer make a runtime of the agent's name with a role.
func (w *world) deploy(name, role string) (id string) {
	w.t.Helper()
	id, err := w.tryDeploy(name, role)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) tryDeploy(name, role string) (id string, err error) {
	arn := w.arn(role)
	out, err := w.cloud.AgentCore("developer").CreateAgentRuntime(context.Background(), &core.CreateAgentRuntimeInput{
		AgentRuntimeName: &name, RoleArn: &arn, AgentRuntimeArtifact: artifact(), NetworkConfiguration: &coretypes.NetworkConfiguration{NetworkMode: coretypes.NetworkModePublic},
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.AgentRuntimeId), nil
}

// undeploy has a developer delete a runtime.
func (w *world) undeploy(id string) {
	w.t.Helper()
	if _, err := w.cloud.AgentCore("developer").DeleteAgentRuntime(context.Background(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id}); err != nil {
		w.t.Fatal(err)
	}
}

func artifact() coretypes.AgentRuntimeArtifact {
	return &coretypes.AgentRuntimeArtifactMemberContainerConfiguration{Value: coretypes.ContainerConfiguration{ContainerUri: aws.String("123456789012.dkr.ecr.us-east-1.amazonaws.com/a:latest")}}
}

func (w *world) arn(role string) string {
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", w.cloud.Partition, w.cloud.Account, role)
}

// phase gives the phase of an agent, empty when the config's status does not know it.
func (w *world) phase(key, name string) status.Phase {
	w.t.Helper()
	a, _ := w.status(key).Agent(name)
	return a.Phase
}

func (w *world) wantPhase(key, name string, want status.Phase) {
	w.t.Helper()
	if s := w.status(key); w.phase(key, name) != want {
		w.t.Fatalf("agent %s is %q, want %q: %s\n%+v", name, w.phase(key, name), want, s.Summary, s.Agents)
	}
}

func (w *world) hasRole(name string) bool { return slices.Contains(w.cloud.RoleNames(), name) }

// archivesOf gives the archives of a role by their reason.
func (w *world) archivesOf(role string) map[string][]model.Archive {
	w.t.Helper()
	all := map[string][]model.Archive{}
	for key, body := range w.cloud.Objects(bucket, naming.ArchivedRole(role)) {
		a, err := model.ParseArchive(body)
		if err != nil {
			w.t.Fatalf("%s: %v", key, err)
		}
		all[a.Reason] = append(all[a.Reason], a)
	}
	return all
}

// update has a developer give a runtime another role, in a new version.
func (w *world) update(id, role string) {
	w.t.Helper()
	arn := w.arn(role)
	if _, err := w.cloud.AgentCore("developer").UpdateAgentRuntime(context.Background(), &core.UpdateAgentRuntimeInput{
		AgentRuntimeId: &id, RoleArn: &arn, AgentRuntimeArtifact: artifact(), NetworkConfiguration: &coretypes.NetworkConfiguration{NetworkMode: coretypes.NetworkModePublic},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// gateway has a developer make a gateway with a role.
func (w *world) gateway(role string) (id string) {
	w.t.Helper()
	answer := w.control("POST", "/gateways/", fmt.Sprintf(`{"name":"gateway","roleArn":%q,"authorizerType":"NONE"}`, w.arn(role)))
	id, _ = answer["gatewayId"].(string)
	return id
}

// control has a developer send a request to AgentCore's control plane.
func (w *world) control(method, path, body string) map[string]any {
	w.t.Helper()
	_, answer, err := w.cloud.ServeAgentCore("developer", method, path, "", []byte(body))
	if err != nil {
		w.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(answer, &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// force has AgentCore take roles that it cannot assume, as it would when the
// request came just before.
func (w *world) force(f func()) {
	w.cloud.AssumeAgentCoreRoles(func(string, string) bool { return true })
	f()
	w.cloud.AssumeAgentCoreRoles(nil)
}

// project has somebody else make a CodeBuild project with a role, whatever that
// trusts otherwise.
func (w *world) project(name, role string) {
	w.t.Helper()
	arn, was := w.arn(role), w.role(role).Trust
	w.admin().trust(role, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
	defer w.admin().trust(role, was)
	if _, err := w.cloud.CodeBuild("admin").CreateProject(context.Background(), &codebuild.CreateProjectInput{
		Name: &name, ServiceRole: &arn,
		Source:    &types.ProjectSource{Type: types.SourceTypeNoSource, Buildspec: aws.String("version: 0.2")},
		Artifacts: &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Environment: &types.ProjectEnvironment{
			Type: types.EnvironmentTypeLinuxContainer, Image: aws.String("image"), ComputeType: types.ComputeTypeBuildGeneral1Small,
		},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// unproject has somebody delete a CodeBuild project.
func (w *world) unproject(name string) {
	w.t.Helper()
	w.must(w.cloud.CodeBuild("admin").DeleteProject(context.Background(), &codebuild.DeleteProjectInput{Name: &name}))
}

func (a *administrator) trust(role, document string) {
	a.t.Helper()
	a.must(a.UpdateAssumeRolePolicy(context.Background(), &iam.UpdateAssumeRolePolicyInput{RoleName: &role, PolicyDocument: &document}))
}

func (a *administrator) leave(role, profile string) {
	a.t.Helper()
	a.must(a.RemoveRoleFromInstanceProfile(context.Background(), &iam.RemoveRoleFromInstanceProfileInput{RoleName: &role, InstanceProfileName: &profile}))
}

const (
	agentCoreTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}]}`
	goodPolicy     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::team/*"}]}`
)

// ask has an operator send a request for the config.
func (w *world) ask(r model.Request) {
	w.t.Helper()
	r.V, r.ID, r.Config, r.Expires, r.By = 1, fmt.Sprintf("request-%06d", w.nonces.Add(1)), key, w.cloud.Now().Add(time.Hour), "operator"
	w.write(naming.RequestKey(key, r.ID), r)
}

// restoreHash gives what a request has to say that puts a role back which is gone,
// and its claim, too.
func (w *world) restoreHash(a model.Archive) string {
	return plan.RestoreHash(plan.Restoring{
		Archive: a, Claim: model.Claim{V: 1, Config: a.Config, Agent: a.Agent}, Boundary: boundary, Account: w.cloud.Account,
	}.Plan())
}

// dropRepository has an administrator delete a repository.
func (w *world) dropRepository(name string) {
	w.t.Helper()
	if _, err := w.cloud.ECR("admin").DeleteRepository(context.Background(), &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true}); err != nil {
		w.t.Fatal(err)
	}
}

// halfMade has a build role of the agent be there as a run leaves it that dies
// when it has just made it.
func (w *world) halfMade(name, nonce string) {
	w.t.Helper()
	pattern := newWorld(w.t)
	pattern.upload(key, container)
	pattern.settle()
	ours := pattern.role(name)
	arn := boundary
	in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &ours.Trust, PermissionsBoundary: &arn, Description: &ours.Description}
	ours.Tags[model.TagCreation] = nonce
	for k, v := range ours.Tags {
		in.Tags = append(in.Tags, tag(k, v))
	}
	a := w.admin()
	a.must(a.CreateRole(context.Background(), in))
	c := w.claim(naming.RoleClaimKey("my_agent")).WithCreating(model.HashNonce(nonce))
	body, err := json.Marshal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.upload(naming.RoleClaimKey("my_agent"), string(body))
}

func (a *administrator) attach(role, policyARN string) {
	a.t.Helper()
	a.must(a.AttachRolePolicy(context.Background(), &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &policyARN}))
}
