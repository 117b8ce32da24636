package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// everything makes the functions make every kind of call.
func (s stack) everything() {
	s.t.Helper()
	ctx, admin := s.t.Context(), iam.NewFromConfig(s.Config("admin"))
	must := func(_ any, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	const folder = naming.ConfigPrefix + "team/"
	const key = folder + "agent.yaml"
	name := naming.RuntimeRole(region, "my_agent")
	must(ecr.NewFromConfig(s.Config("admin")).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String(baseImage)}))
	s.upload(key, container("my_agent", "    identity:\n      credential_providers:\n      - name: crm\n"))
	s.idle()
	s.upload(key, withBase)
	s.upload(folder+"vpc.yaml", strings.Replace(container("in_vpc"), "    aws:\n", "    aws:\n      network_configuration:\n        network_mode: VPC\n", 1))
	s.upload(folder+"external.yaml", strings.Replace(container("external"), "    aws:\n", "    aws:\n      execution_role: some/path/of-ours\n", 1))
	s.upload(folder+"bad key.yaml", "x")
	s.upload(folder+"broken.yaml", "x")
	s.idle()

	// A role edited by hand is put back.
	must(admin.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &name, TagKeys: []string{model.TagConfig}}))
	must(admin.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: aws.String(strings.ReplaceAll(s.role(name).Trust, "bedrock-agentcore.amazonaws.com", "lambda.amazonaws.com"))}))
	must(admin.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &name, Description: aws.String("mine")}))
	must(admin.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &name}))
	s.upload(key, withBase)
	s.idle()

	// A name that one config waits for is freed by another.
	squatted := naming.RuntimeRole(region, "squatted")
	must(admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &squatted, AssumeRolePolicyDocument: aws.String(s.role(name).Trust)}))
	direct := strings.Replace(container("squatted"), "deployment_type: container", "deployment_type: direct_code_deploy", 1)
	s.upload(folder+"first.yaml", direct)
	s.idle()
	s.upload(folder+"second.yaml", direct)
	s.idle()
	s.upload(folder+"first.yaml", "x")
	s.idle()

	// A message that intake cannot send on goes back to the inbox.
	refused := s.InjectFault(proxy.Fault{Caller: "intake", Operation: "SendMessage", Kind: proxy.Denied, Count: 1})
	s.upload(folder+"later.yaml", direct)
	s.idle()
	refused.Remove()

	// Roles that the toolkit made are adopted when an operator asks for it: of one
	// a policy is removed, and one has a managed policy.
	for _, agent := range []string{"made_before", "made_too"} {
		s.byToolkit(agent)
		s.upload(folder+agent+".yaml", container(agent))
	}
	before := naming.RuntimeRole(region, "made_before")
	must(admin.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &before, PolicyName: aws.String(naming.IdentityPolicy), PolicyDocument: aws.String(allObjects)}))
	must(admin.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &before, PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")}))
	s.idle()
	s.tool("operator", 0, "adopt", "team/made_before.yaml", "made_before", "--yes", "--wait=false")
	s.tool("sso operator", 0, "approve", "team/made_too.yaml", "--yes", "--wait=false")
	s.idle()
	s.tool("operator", 0, "status")
	for _, agent := range []string{"made_before", "made_too"} {
		if got := s.status(folder + agent + ".yaml"); got.Outcome != status.Ready {
			s.t.Fatalf("status: %+v", got)
		}
	}

	s.everythingOfImages(key)
	s.everythingOfDeletions(folder+"going.yaml", "going")
	s.everythingOfPasses(key, "my_agent")
	s.everythingOfLinkedRoles()

	// A request that intake does not find any more.
	stop := s.Proxy().AddHook(proxy.Hook{Before: func(c proxy.Call) proxy.Verdict {
		if c.Caller == "intake" && strings.Contains(c.Resource, "/"+naming.RequestPrefix) {
			s.remove(strings.TrimPrefix(c.Resource, bucket+"/"))
		}
		return proxy.Continue
	}})
	s.request(model.Request{ID: "1", Config: key})
	s.idle()
	stop()

	// A denied call ends in the dead letters, by way of the queue.
	fault := s.InjectFault(proxy.Fault{Caller: "reconcile", Operation: "CreateRole", Kind: proxy.Denied})
	s.upload(folder+"denied.yaml", container("denied"))
	s.idle()
	fault.Remove()
}

// everythingOfImages has a source built, what it is built with be put right, and
// an operator look at all of it; key is that of my_agent's config.
func (s stack) everythingOfImages(key string) {
	s.t.Helper()
	const agent = "my_agent"
	ctx, project, repository := s.t.Context(), naming.Project(agent), naming.Repository(agent)
	repositories, projects := ecr.NewFromConfig(s.Config("admin")), codebuild.NewFromConfig(s.Config("admin"))
	must := func(_ any, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	source := naming.SourceKey("team", agent)
	version := s.put(source, zipped(s.t, works, "1"))
	s.idle()
	s.wantImage(key, agent, version)

	must(repositories.UntagResource(ctx, &ecr.UntagResourceInput{
		ResourceArn: aws.String(repositoryARN(repository)), TagKeys: []string{model.TagConfig},
	}))
	must(repositories.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
		RepositoryName: &repository, ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{ScanOnPush: false},
	}))
	must(projects.UpdateProject(ctx, &codebuild.UpdateProjectInput{Name: &project, TimeoutInMinutes: aws.Int32(5)}))
	s.upload(key, withBase)
	s.idle()

	// The source goes, and an operator has the version built again that is left.
	s.withdraw(source)
	s.upload(key, withBase)
	s.idle()
	s.tool("operator", 0, "build", key, agent, "--yes", "--wait=false")
	s.idle()
	s.wantBuilt(agent, version, version)
	s.wantImage(key, agent, version)

	// What would be built at once is looked at with the events of its bucket.
	const next = "next"
	s.put(naming.SourceKey("team", next), zipped(s.t, works, "1"))
	s.idle()
	const changes = 2
	plan := func(key, config string) {
		s.t.Helper()
		file := filepath.Join(s.t.TempDir(), "next.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			s.t.Fatal(err)
		}
		s.tool("operator", changes, "plan", file, "--key", key)
	}
	plan("configs/team/next.yaml", container(next))

	// What would be built into a repository whose tags stay is looked for in it.
	must(repositories.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: aws.String("bedrock-agentcore-kept"), ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable,
	}))
	s.put(source, zipped(s.t, works, "1")) // there is one again
	s.idle()
	plan(key, strings.Replace(container(agent), "    aws:\n", "    aws:\n      ecr_repository: bedrock-agentcore-kept\n", 1))
}

// everythingOfDeletions has an agent go with all that a role can have, after
// everything was in its way that can hold a role, and its roles restored.
func (s stack) everythingOfDeletions(key, agent string) {
	s.t.Helper()
	ctx, admin := s.t.Context(), iam.NewFromConfig(s.Config("admin"))
	must := func(_ any, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	runtime, build := owned(agent), naming.BuildRole(region, agent)
	s.upload(key, container(agent))
	s.idle()
	must(admin.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &runtime, PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")}))
	for _, role := range []string{runtime, build} {
		s.profile(role, role)
	}
	id := s.deploy(agent, runtime)
	s.settled(id)
	s.redeploy(id, owned("my_agent"))
	s.settled(id)
	var held []string
	for kind := range holders {
		held = append(held, s.holder(kind, "of"+agent, runtime))
	}

	s.withdrawConfig(key)
	s.outlastGrace(key)
	s.pass()
	if a := s.wantPhase(key, agent, status.PhaseRetiring); len(a.BlockedBy) != len(held)+1 {
		s.t.Fatalf("blocked by %+v, want %v and a runtime", a.BlockedBy, held)
	}
	for _, arn := range held {
		s.Proxy().AgentCore().SetAgentCoreStatus(arn[strings.LastIndexByte(arn, '/')+1:], "DELETED")
	}
	s.undeploy(id, "")
	s.settled(id)
	s.forgetInventory()
	s.pass()
	s.until("the roles are deleted", func() bool { return s.agent(key, agent).Phase == status.PhaseRetired })
	s.idle()

	restore := func(role string) {
		s.t.Helper()
		s.tool("operator", 0, "restore", role, "--yes", "--wait=false")
		s.idle()
	}
	s.tool("operator", 0, "archive")
	restore(runtime)
	restore(build)
	must(admin.TagRole(ctx, &iam.TagRoleInput{RoleName: &runtime, Tags: []types.Tag{{Key: aws.String("mine"), Value: aws.String("1")}}}))
	restore(runtime)
	s.wantPhase(key, agent, status.PhaseHeld)
}

// everythingOfPasses has a pass stopped and an operator look at what it found and
// let it go, and roles go that nobody claims; key is that of the agent's config.
func (s stack) everythingOfPasses(key, agent string) {
	s.t.Helper()
	want := s.edited(owned(agent), naming.BuildRole(region, agent))
	s.ask(naming.FleetRequestKey("0"), toJSON(s.t, model.Request{ // it is for another pass
		V: 1, ID: "0", Action: model.Approve, Plans: map[string]string{model.FleetPlan: strings.Repeat("0", 64)}, Expires: time.Now().Add(time.Hour),
	}))
	s.idle()
	const blocked = 3
	for range 3 { // a wake-up of the config may put it right before the operator looks
		s.tool("operator", blocked, "drift")
		if len(s.Calls(proxy.Filter{Caller: "operator", Operation: "GetObject", Resource: naming.FleetRequestPrefix})) > 0 {
			break
		}
		s.edited(owned(agent), naming.BuildRole(region, agent))
	}
	s.tool("operator", 0, "approve", "--pass", "--yes", "--wait=false")
	s.idle()
	s.tool("operator", 0, "report")
	s.wantRoles(want)
	s.wantPhase(key, agent, status.PhaseActive)

	const left = "left_behind"
	s.byToolkit(left)
	s.tool("operator", 0, "retire", owned(left), "--yes", "--wait=false")
	s.idle()
	s.wantPhase(naming.ConfigPrefix+"retired/"+left+".yaml", left, status.PhaseRetiring)
}

// withBase is the config of my_agent, whose build pulls a base image.
var withBase = container("my_agent", "    permissions:\n      base_images: ["+baseImage+"]\n")

const baseImage = "bedrock-agentcore-base"

// recorded gives, each once, the requests behind the calls that the functions,
// Lambda for them, EventBridge, Scheduler, builds, developers and operators made.
func (s stack) recorded() []request {
	s.t.Helper()
	var all []request
	seen := map[string]bool{}
	add := func(caller string, rs ...request) {
		for _, r := range rs {
			r.caller = caller
			if !seen[r.String()] {
				seen[r.String()], all = true, append(all, r)
			}
		}
	}
	boundaries := map[string]string{} // of roles, as they are when a call comes
	for _, c := range s.Calls(proxy.Filter{}) {
		caller := strings.TrimPrefix(c.Caller, local.PollerName)
		_, ours := s.Stack().Functions[caller]
		switch {
		case ours || slices.Contains([]string{local.EventBridge, "developer", "operator", "sso operator", builds}, caller), strings.HasPrefix(caller, local.Scheduler):
			add(caller, s.needs(c, boundaries[c.Resource])...)
		case !slices.Contains([]string{"admin", "toolkit"}, caller):
			s.t.Errorf("%s called %s:%s; who is that?", caller, c.Service, c.Operation)
		}
		if !c.Committed {
			continue
		}
		switch c.Operation {
		case "CreateRole", "PutRolePermissionsBoundary":
			boundaries[c.Resource] = c.Request.Params()["PermissionsBoundary"]
		case "DeleteRolePermissionsBoundary", "DeleteRole":
			delete(boundaries, c.Resource)
		}
	}
	// What Lambda does with a function's role and no log here shows: writing its
	// log, and looking at its queue (Lambda developer guide, "Create and configure
	// an Amazon SQS event source mapping").
	for name, f := range s.Stack().Functions {
		stream := "arn:aws:logs:" + region + ":" + account + ":log-group:" + f.LogGroup + ":log-stream:s"
		add(name, request{action: "logs:CreateLogStream", resource: stream}, request{action: "logs:PutLogEvents", resource: stream})
		for _, m := range s.Stack().Mappings {
			if m.Function == f {
				add(name, request{action: "sqs:GetQueueAttributes", resource: m.QueueARN})
			}
		}
	}
	add(builds, builderNeeds()...)
	add("slrwatch", watcherNeeds()...)
	for _, one := range s.Stack().Schedules {
		add(local.Scheduler+one.Function.Short, request{action: "sqs:SendMessage", resource: one.DeadLetters}) // what Lambda does not take
	}
	// What a rule cannot deliver goes to the dead letters.
	for _, r := range s.Stack().Rules {
		for _, target := range r.Targets {
			add(local.EventBridge, request{action: "sqs:SendMessage", resource: target.DeadLetters, context: map[string]any{"aws:SourceArn": r.ARN}})
		}
	}
	return all
}

// builderNeeds gives what CodeBuild and docker do with the role of my_agent's
// build and no log here shows: looking at the source and writing the log
// (CodeBuild user guide, "Allow CodeBuild to interact with other AWS services"),
// pushing layers, and pulling those that are there already (ECR user guide,
// "Required IAM permissions for pushing an image").
func builderNeeds() []request {
	all := []request{{action: "s3:GetObject", resource: "arn:aws:s3:::" + sourceBucket + "/" + naming.SourceKey("team", "my_agent")}}
	groups := logGroupARNs(naming.LogGroup(naming.Project("my_agent")))
	for _, group := range groups {
		all = append(all, request{action: "logs:CreateLogGroup", resource: group})
	}
	for _, action := range []string{"CreateLogStream", "PutLogEvents"} {
		all = append(all, request{action: "logs:" + action, resource: groups[1] + "s"})
	}
	for _, action := range append(layerPulls(), "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload") {
		all = append(all, request{action: "ecr:" + action, resource: repositoryARN(naming.Repository("my_agent"))})
	}
	return all
}

// pullsOfBases gives what docker does with the image that my_agent's begins with.
func pullsOfBases() []request {
	var all []request
	for _, action := range layerPulls() {
		all = append(all, request{caller: builds, action: "ecr:" + action, resource: repositoryARN(baseImage)})
	}
	return all
}

// layerPulls is what a pull takes (CodeBuild user guide, "Amazon ECR sample").
func layerPulls() []string {
	return []string{"BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage"}
}
