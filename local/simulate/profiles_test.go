package simulate_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"rolekeeper/local/simulate"
	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

var place = agent.Place{Partition: "aws", Region: "us-west-2", Account: "123456789012"}

const (
	core     = "arn:aws:bedrock-agentcore:us-west-2:123456789012:"
	vault    = core + "token-vault/default"
	identity = core + "workload-identity-directory/default"
	secrets  = "arn:aws:secretsmanager:us-west-2:123456789012:secret:bedrock-agentcore-identity!default/"
	logs     = "arn:aws:logs:us-west-2:123456789012:log-group:"
	images   = "arn:aws:ecr:us-west-2:123456789012:repository/"
	bucket   = "arn:aws:s3:::bedrock-agentcore-codebuild-sources-123456789012-us-west-2"
	nova     = "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
)

// asking asks for everything an agent can ask for.
func asking(name string) agent.Agent {
	return agent.Agent{
		Name: name, Deployment: agent.Container, Repository: "team/" + name, A2A: true, MemoryID: name + "_mem-AbCdEf1234",
		Providers: []agent.CredentialProvider{
			{Name: "git", ARN: vault + "/oauth2credentialprovider/git", Kind: agent.OAuth2Provider},
			{Name: "search", ARN: vault + "/apikeycredentialprovider/search", Kind: agent.APIKeyProvider},
		},
		JWT: &agent.JWT{Audiences: []string{"one", "two"}, SigningAlgorithm: "ES384", DurationSeconds: 300},
		Permissions: agent.Permissions{
			Models: []agent.Model{
				{FoundationModel: "amazon.nova-micro-v1:0"},
				{FoundationModel: "amazon.nova-lite-v1:0", InferenceProfile: "us.amazon.nova-lite-v1:0"},
			},
			CodeInterpreter: true, Browser: true, IdentityTokens: true, BaseImages: []string{"base"},
		},
	}
}

// named is what the permissions block names beyond profile toolkit, written by
// hand: the code must not be its own judge.
func named(names ...string) (runtime, build policy.Document) {
	runtime, build = policy.New(), policy.New()
	for _, name := range names {
		for _, action := range []string{"GetWorkloadAccessToken", "GetWorkloadAccessTokenForJWT"} {
			for _, resource := range []string{identity, identity + "/workload-identity/" + name + "-*"} {
				runtime.Statements = append(runtime.Statements, grant("bedrock-agentcore:"+action, resource))
			}
		}
	}
	for _, action := range []string{
		"StartBrowserSession", "StopBrowserSession", "GetBrowserSession", "ListBrowserSessions", "UpdateBrowserStream",
		"ConnectBrowserAutomationStream", "ConnectBrowserLiveViewStream",
	} {
		runtime.Statements = append(runtime.Statements,
			grant("bedrock-agentcore:"+action, "arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1"))
	}
	for _, action := range []string{"BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability"} {
		build.Statements = append(build.Statements, grant("ecr:"+action, images+"base"))
	}
	return runtime, build
}

// full skips a test that shows the simulator thousands of requests, unless
// ROLEKEEPER_FULL=1 asks for every test.
func full(t *testing.T) {
	t.Helper()
	if os.Getenv("ROLEKEEPER_FULL") != "1" {
		t.Skip("takes a minute: set ROLEKEEPER_FULL=1 to run it, as make test does")
	}
}

func state(t *testing.T, profile desired.Profile, agents ...agent.Agent) []desired.Agent {
	t.Helper()
	out, problems := desired.Compute(agent.Config{Agents: agents}, desired.Env{
		Place: place, Profile: profile, ConfigKey: "configs/a.yaml", SourceBucket: naming.SourceBucket(place.Account, place.Region),
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return out.Agents
}

func boundary() policy.Document {
	return desired.Boundary(place, naming.SourceBucket(place.Account, place.Region))
}

func documents(r *model.Role) []policy.Document {
	var out []policy.Document
	for _, name := range slices.Sorted(maps.Keys(r.Policies)) {
		out = append(out, r.Policies[name])
	}
	return out
}

func texts(ds []policy.Document) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.JSON())
	}
	return out
}

// contexts gives the conditions a request of the service may come with: those
// that hold, those that do not, none.
func contexts(service string) []map[string]any {
	switch service {
	case "cloudwatch":
		return []map[string]any{{}, {"cloudwatch:namespace": "bedrock-agentcore"}, {"cloudwatch:namespace": "AWS/EC2"}}
	case "aws-marketplace":
		return []map[string]any{{}, {"aws:CalledViaLast": "bedrock.amazonaws.com"}, {"aws:CalledViaLast": "s3.amazonaws.com"}}
	case "s3":
		return []map[string]any{{}, {"s3:ResourceAccount": "123456789012"}, {"s3:ResourceAccount": "210987654321"}}
	case "bedrock":
		return []map[string]any{{}, {"bedrock:InferenceProfileArn": nova}, {"bedrock:InferenceProfileArn": nova + "1"}}
	case "sts":
		var out []map[string]any
		for _, audience := range []any{nil, []string{"one"}, []string{"one", "two"}, []string{"one", "three"}, []string{"three"}} {
			for _, seconds := range []string{"300", "301"} {
				for _, algorithm := range []string{"ES384", "RS256"} {
					c := map[string]any{"sts:DurationSeconds": seconds, "sts:SigningAlgorithm": algorithm}
					if audience != nil {
						c["sts:IdentityTokenAudience"] = audience
					}
					out = append(out, c)
				}
			}
		}
		return append(out, map[string]any{})
	default:
		return []map[string]any{{}}
	}
}

// requests gives every action that the documents name on instances of every
// resource they name for its service, on like resources of another account and
// of another region, and on "*", each in all contexts of the service.
func requests(ds []policy.Document) []simulate.Request {
	actions, resources := map[string]bool{}, map[string]map[string]bool{}
	for _, d := range ds {
		for _, s := range d.Statements {
			for _, a := range s.Actions {
				actions[a] = true
			}
			for _, r := range s.Resources {
				parts := strings.SplitN(r, ":", 4)
				if len(parts) < 4 {
					continue
				}
				if resources[parts[2]] == nil {
					resources[parts[2]] = map[string]bool{}
				}
				for _, sample := range []string{"x", "agent-AbCdEf1234"} {
					instance := strings.NewReplacer("*", sample, "?", "q").Replace(r)
					for _, variant := range []string{
						instance, strings.Replace(instance, "123456789012", "210987654321", 1), strings.Replace(instance, "us-west-2", "us-east-1", 1),
					} {
						resources[parts[2]][variant] = true
					}
				}
			}
		}
	}
	var out []simulate.Request
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		service, _, _ := strings.Cut(action, ":")
		for _, resource := range append(slices.Sorted(maps.Keys(resources[service])), "*") {
			for _, c := range contexts(service) {
				out = append(out, simulate.Request{Action: action, Resource: resource, Context: c})
			}
		}
	}
	return out
}

// decide gives the decision on each request for a principal with these policies.
func decide(t *testing.T, in []simulate.Request, policies []policy.Document, boundary string) []bool {
	t.Helper()
	asked := slices.Clone(in)
	for i := range asked {
		asked[i].Policies, asked[i].Boundary = texts(policies), boundary
	}
	out := make([]bool, len(in))
	for i, r := range run(t, asked) {
		if r.Error != "" {
			t.Fatalf("%s on %s: %s", in[i].Action, in[i].Resource, r.Error)
		}
		out[i] = r.Allowed
	}
	return out
}

// here reports whether a resource is in the boundary's reach: this account and
// region, foundation models, tools that AWS owns.
func here(resource string) bool {
	return resource == "*" || strings.Contains(resource, ":us-west-2:123456789012:") ||
		strings.Contains(resource, "::foundation-model/") || strings.HasPrefix(resource, bucket) ||
		strings.HasPrefix(resource, "arn:aws:bedrock-agentcore:us-west-2:aws:")
}

func TestScopedIsAStrictPartOfToolkitAndTheBoundaryHoldsBoth(t *testing.T) {
	full(t)
	plain := agent.Agent{Name: "agent", Deployment: agent.DirectCode}
	shares := asking("second")
	shares.RuntimeRole = agent.RoleRef{
		ARN:  "arn:aws:iam::123456789012:role/" + naming.RuntimeRole("us-west-2", "agent"),
		Name: naming.RuntimeRole("us-west-2", "agent"),
	}
	shares.BuildRole = agent.RoleRef{
		ARN:  "arn:aws:iam::123456789012:role/" + naming.BuildRole("us-west-2", "agent"),
		Name: naming.BuildRole("us-west-2", "agent"),
	}
	for name, agents := range map[string][]agent.Agent{
		"an agent that asks for nothing":     {plain},
		"an agent that asks for everything":  {asking("agent"), asking("other")},
		"a role shared by two that ask much": {asking("agent"), shares, asking("other")},
	} {
		scoped, toolkit := state(t, desired.Scoped, agents...)[0], state(t, desired.Toolkit, agents...)[0]
		moreRuntime, moreBuild := policy.New(), policy.New()
		if len(agents) > 1 {
			moreRuntime, moreBuild = named("agent", "second")
		}
		for _, c := range []struct {
			kind            model.RoleKind
			scoped, toolkit *model.Role
			more            policy.Document
		}{
			{model.RuntimeRole, scoped.RuntimeRole, toolkit.RuntimeRole, moreRuntime},
			{model.BuildRole, scoped.BuildRole, toolkit.BuildRole, moreBuild},
		} {
			if c.scoped == nil {
				continue
			}
			t.Run(name+", "+string(c.kind), func(t *testing.T) {
				narrow, wide := documents(c.scoped), documents(c.toolkit)
				asked := requests(slices.Concat(narrow, wide, []policy.Document{c.more}))
				t.Logf("%d requests", len(asked))
				byScoped := decide(t, asked, narrow, "")
				byToolkit := decide(t, asked, wide, "")
				byEither := decide(t, asked, slices.Concat(wide, []policy.Document{c.more}), "")
				within := decide(t, asked, slices.Concat(wide, narrow), boundary().JSON())
				taken, granted := 0, map[string]bool{}
				for i, r := range asked {
					what := fmt.Sprintf("%s on %s in %v", r.Action, r.Resource, r.Context)
					if byScoped[i] && !byEither[i] {
						t.Errorf("scoped allows more than toolkit and the permissions block: %s", what)
					}
					if (byScoped[i] || byToolkit[i]) && here(r.Resource) && !within[i] {
						t.Errorf("the boundary cuts %s", what)
					}
					if byToolkit[i] && !byScoped[i] {
						taken++
					}
					if byScoped[i] {
						granted[r.Action] = true
					}
				}
				if taken == 0 {
					t.Error("scoped allows all that toolkit does")
				}
				// A grant that no request met would make all of the above hold for nothing.
				for _, d := range narrow {
					for _, s := range d.Statements {
						for _, a := range s.Actions {
							if !granted[a] {
								t.Errorf("no request of %s was allowed", a)
							}
						}
					}
				}
			})
		}
	}
}

// Requests as agents and builds make them, checked against AWS's reference.
func TestAScopedRoleReachesWhatItsAgentNeedsAndNothingOfOthers(t *testing.T) {
	full(t)
	out := state(t, desired.Scoped, asking("agent"), asking("other"))[0]
	nobody := state(t, desired.Scoped, agent.Agent{Name: "agent", Deployment: agent.DirectCode})[0]
	through := map[string]any{"bedrock:InferenceProfileArn": nova}
	token := func(audience ...string) map[string]any {
		return map[string]any{"sts:IdentityTokenAudience": audience, "sts:DurationSeconds": "300", "sts:SigningAlgorithm": "ES384"}
	}
	ours := map[string]any{"s3:ResourceAccount": "123456789012"}
	const (
		tool = "arn:aws:bedrock-agentcore:us-west-2:aws:"
		fm   = "arn:aws:bedrock:us-west-2::foundation-model/"
	)
	cases := []struct {
		role             *model.Role
		action, resource string
		context          map[string]any
		want             bool
	}{
		{out.RuntimeRole, "ecr:BatchGetImage", images + "team/agent", nil, true},
		{out.RuntimeRole, "ecr:BatchGetImage", images + "team/other", nil, false},
		{out.RuntimeRole, "ecr:PutImage", images + "team/agent", nil, false},
		{out.RuntimeRole, "ecr:GetAuthorizationToken", "*", nil, true},
		{nobody.RuntimeRole, "ecr:GetAuthorizationToken", "*", nil, false},
		{out.RuntimeRole, "logs:CreateLogGroup", logs + "/aws/bedrock-agentcore/runtimes/agent-AbCdEf1234-DEFAULT", nil, true},
		{out.RuntimeRole, "logs:CreateLogGroup", logs + "/aws/bedrock-agentcore/runtimes/agent2-AbCdEf1234-DEFAULT", nil, false},
		{out.RuntimeRole, "logs:PutLogEvents", logs + "/aws/bedrock-agentcore/runtimes/agent-AbCdEf1234-DEFAULT:log-stream:s", nil, true},
		{out.RuntimeRole, "logs:PutLogEvents", logs + "/aws/bedrock-agentcore/runtimes/other-AbCdEf1234-DEFAULT:log-stream:s", nil, false},
		{out.RuntimeRole, "logs:PutDeliverySource", "arn:aws:logs:us-west-2:123456789012:delivery-source:s", nil, false},
		{out.RuntimeRole, "cloudwatch:PutMetricData", "*", map[string]any{"cloudwatch:namespace": "bedrock-agentcore"}, true},
		{out.RuntimeRole, "cloudwatch:PutMetricData", "*", map[string]any{"cloudwatch:namespace": "Other"}, false},
		{out.RuntimeRole, "xray:PutTraceSegments", "*", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:InvokeAgentRuntime", core + "runtime/other-AbCdEf1234", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:InvokeAgentRuntime", core + "runtime/other-AbCdEf1234/runtime-endpoint/DEFAULT", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:InvokeAgentRuntime", core + "runtime/otherwise-AbCdEf1234", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:InvokeAgentRuntimeForUser", core + "runtime/other-AbCdEf1234", nil, false},
		{nobody.RuntimeRole, "bedrock-agentcore:InvokeAgentRuntime", core + "runtime/other-AbCdEf1234", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:CreateEvent", core + "memory/agent_mem-AbCdEf1234", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:CreateEvent", core + "memory/other_mem-AbCdEf1234", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:GetResourceOauth2Token", vault + "/oauth2credentialprovider/git", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:GetResourceOauth2Token", vault + "/oauth2credentialprovider/other", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:GetResourceOauth2Token", identity + "/workload-identity/agent-AbCdEf1234", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:GetResourceOauth2Token", identity + "/workload-identity/other-AbCdEf1234", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:GetResourceApiKey", vault + "/apikeycredentialprovider/search", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:GetResourceApiKey", vault + "/apikeycredentialprovider/other", nil, false},
		{out.RuntimeRole, "secretsmanager:GetSecretValue", secrets + "oauth2/git-AbCdEf", nil, true},
		{out.RuntimeRole, "secretsmanager:GetSecretValue", secrets + "oauth2/git-hub-AbCdEf", nil, false},
		{out.RuntimeRole, "secretsmanager:GetSecretValue", secrets + "apikey/git-AbCdEf", nil, false},
		{out.RuntimeRole, "secretsmanager:GetSecretValue", secrets + "apikey/search-AbCdEf", nil, true},
		{nobody.RuntimeRole, "secretsmanager:GetSecretValue", secrets + "oauth2/git-AbCdEf", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:GetWorkloadAccessTokenForJWT", identity + "/workload-identity/agent-AbCdEf1234", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:GetWorkloadAccessTokenForUserId", identity + "/workload-identity/agent-AbCdEf1234", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:CreateWorkloadIdentity", identity + "/workload-identity/agent-AbCdEf1234", nil, false},
		{nobody.RuntimeRole, "bedrock-agentcore:GetWorkloadAccessToken", identity + "/workload-identity/agent-AbCdEf1234", nil, false},
		{out.RuntimeRole, "bedrock:InvokeModel", fm + "amazon.nova-micro-v1:0", nil, true},
		{out.RuntimeRole, "bedrock:InvokeModelWithResponseStream", fm + "amazon.nova-micro-v1:0", nil, true},
		{out.RuntimeRole, "bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0", nil, false},
		{out.RuntimeRole, "bedrock:InvokeModel", nova, nil, true},
		{out.RuntimeRole, "bedrock:InvokeModel", nova + "1", nil, false},
		{out.RuntimeRole, "bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", through, true},
		{out.RuntimeRole, "bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", nil, false},
		{out.RuntimeRole, "bedrock:InvokeModel", fm + "amazon.nova-lite-v1:0", map[string]any{"bedrock:InferenceProfileArn": nova + "1"}, false},
		{out.RuntimeRole, "bedrock:ApplyGuardrail", "arn:aws:bedrock:us-west-2:123456789012:guardrail/g", nil, false},
		{nobody.RuntimeRole, "bedrock:InvokeModel", fm + "amazon.nova-micro-v1:0", nil, false},
		{out.RuntimeRole, "aws-marketplace:Subscribe", "*", map[string]any{"aws:CalledViaLast": "bedrock.amazonaws.com"}, false},
		{out.RuntimeRole, "bedrock-agentcore:InvokeCodeInterpreter", tool + "code-interpreter/aws.codeinterpreter.v1", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:InvokeCodeInterpreter", core + "code-interpreter-custom/mine-AbCdEf1234", nil, false},
		{nobody.RuntimeRole, "bedrock-agentcore:InvokeCodeInterpreter", tool + "code-interpreter/aws.codeinterpreter.v1", nil, false},
		{out.RuntimeRole, "bedrock-agentcore:StartBrowserSession", tool + "browser/aws.browser.v1", nil, true},
		{out.RuntimeRole, "bedrock-agentcore:StartBrowserSession", core + "browser-custom/mine-AbCdEf1234", nil, false},
		{out.RuntimeRole, "sts:GetWebIdentityToken", "*", token("one"), true},
		{out.RuntimeRole, "sts:GetWebIdentityToken", "*", token("one", "three"), false},
		{nobody.RuntimeRole, "sts:GetWebIdentityToken", "*", token("one"), false},
		{out.BuildRole, "ecr:PutImage", images + "team/agent", nil, true},
		{out.BuildRole, "ecr:PutImage", images + "team/other", nil, false},
		{out.BuildRole, "ecr:PutImage", images + "base", nil, false},
		{out.BuildRole, "ecr:BatchGetImage", images + "base", nil, true},
		{out.BuildRole, "logs:CreateLogGroup", logs + "/aws/codebuild/bedrock-agentcore-agent-builder", nil, true},
		{out.BuildRole, "logs:PutLogEvents", logs + "/aws/codebuild/bedrock-agentcore-agent-builder:log-stream:s", nil, true},
		{out.BuildRole, "logs:PutLogEvents", logs + "/aws/codebuild/bedrock-agentcore-other-builder:log-stream:s", nil, false},
		{out.BuildRole, "s3:GetObject", bucket + "/agent/source.zip", ours, true},
		{out.BuildRole, "s3:GetObject", bucket + "/agent/source.zip", map[string]any{"s3:ResourceAccount": "210987654321"}, false},
		{out.BuildRole, "s3:GetObject", bucket + "/other/source.zip", ours, false},
		{out.BuildRole, "s3:PutObject", bucket + "/agent/source.zip", ours, false},
		{out.BuildRole, "s3:GetObjectVersion", bucket + "/agent/source.zip", ours, true},
		{out.BuildRole, "s3:GetObjectVersion", bucket + "/agent/source.zip", map[string]any{"s3:ResourceAccount": "210987654321"}, false},
		{out.BuildRole, "s3:GetObjectVersion", bucket + "/other/source.zip", ours, false},
		{out.BuildRole, "s3:GetObjectVersion", bucket + "/agent/deployment.zip", ours, false},
		{out.BuildRole, "s3:DeleteObjectVersion", bucket + "/agent/source.zip", ours, false},
		{out.BuildRole, "s3:ListBucket", bucket, ours, false},
		{out.BuildRole, "s3:ListBucketVersions", bucket, ours, false},
	}
	var asked []simulate.Request
	for _, c := range cases {
		asked = append(asked, simulate.Request{
			Policies: texts(documents(c.role)), Boundary: boundary().JSON(),
			Action: c.action, Resource: c.resource, Context: c.context, Checked: true,
		})
	}
	for i, got := range run(t, asked) {
		if c := cases[i]; got.Error != "" || got.Allowed != c.want {
			t.Errorf("the %s role, %s on %s in %v: %+v, want %v", c.role.Kind, c.action, c.resource, c.context, got, c.want)
		}
	}
}

// What the buildspec and CodeBuild do with the build role, in either profile.
func TestABuildRoleAllowsAWholeBuild(t *testing.T) {
	full(t)
	const stream = logs + "/aws/codebuild/bedrock-agentcore-agent-builder:log-stream:s"
	ours := map[string]any{"s3:ResourceAccount": "123456789012"}
	needs := []simulate.Request{
		{Action: "s3:GetObject", Resource: bucket + "/agent/source.zip", Context: ours},
		{Action: "s3:GetObjectVersion", Resource: bucket + "/agent/source.zip", Context: ours},
		{Action: "logs:CreateLogGroup", Resource: logs + "/aws/codebuild/bedrock-agentcore-agent-builder"},
		{Action: "logs:CreateLogStream", Resource: stream}, {Action: "logs:PutLogEvents", Resource: stream},
		{Action: "ecr:GetAuthorizationToken", Resource: "*"},
	}
	for _, action := range []string{
		"BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage", "BatchGetImage", "GetDownloadUrlForLayer",
	} {
		needs = append(needs, simulate.Request{Action: "ecr:" + action, Resource: images + "team/agent"})
	}
	pulls := []string{"BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"}
	never := []simulate.Request{
		{Action: "s3:GetObjectVersion", Resource: bucket + "/other/source.zip", Context: ours},
		{Action: "ecr:DeleteRepository", Resource: images + "team/agent"}, {Action: "ecr:BatchDeleteImage", Resource: images + "team/agent"},
		{Action: "iam:PassRole", Resource: "arn:aws:iam::123456789012:role/x"}, {Action: "sts:AssumeRole", Resource: "arn:aws:iam::123456789012:role/x"},
		{Action: "codebuild:StartBuild", Resource: "arn:aws:codebuild:us-west-2:123456789012:project/bedrock-agentcore-agent-builder"},
		{Action: "codebuild:UpdateProject", Resource: "arn:aws:codebuild:us-west-2:123456789012:project/bedrock-agentcore-agent-builder"},
	}
	for _, action := range []string{
		"InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage", "CreateRepository", "SetRepositoryPolicy",
	} {
		never = append(never, simulate.Request{Action: "ecr:" + action, Resource: images + "base"}, simulate.Request{Action: "ecr:" + action, Resource: images + "team/other"})
	}
	for _, profile := range []desired.Profile{desired.Scoped, desired.Toolkit} {
		role := state(t, profile, asking("agent"), asking("other"))[0].BuildRole
		may, mayNot := needs, never
		for _, action := range pulls {
			base := simulate.Request{Action: "ecr:" + action, Resource: images + "base"}
			if profile == desired.Scoped {
				may = append(may, base)
			} else {
				mayNot = append(mayNot, base)
			}
		}
		asked := slices.Concat(may, mayNot)
		for i := range asked {
			asked[i].Policies, asked[i].Boundary, asked[i].Checked = texts(documents(role)), boundary().JSON(), true
		}
		for i, got := range run(t, asked) {
			if got.Error != "" || got.Allowed != (i < len(may)) {
				t.Errorf("%s: %s on %s: %+v, want %v", profile, asked[i].Action, asked[i].Resource, got, i < len(may))
			}
		}
	}
}

func TestTheBoundaryStopsWhatNoProfileGrants(t *testing.T) {
	full(t)
	everything := []string{policy.New(grant("*", "*")).JSON()}
	ours := map[string]any{"s3:ResourceAccount": "123456789012"}
	var asked []simulate.Request
	for _, r := range []simulate.Request{
		{Action: "iam:CreateRole", Resource: "arn:aws:iam::123456789012:role/x"},
		{Action: "iam:PassRole", Resource: "arn:aws:iam::123456789012:role/x"},
		{Action: "iam:DeleteRolePermissionsBoundary", Resource: "arn:aws:iam::123456789012:role/agent"},
		{Action: "sts:AssumeRole", Resource: "arn:aws:iam::123456789012:role/x"},
		{Action: "s3:GetObject", Resource: "arn:aws:s3:::another/key", Context: ours},
		{Action: "s3:GetObject", Resource: bucket + "/k", Context: map[string]any{"s3:ResourceAccount": "210987654321"}},
		{Action: "s3:DeleteObject", Resource: bucket + "/k", Context: ours},
		{Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:us-west-2:123456789012:secret:db-AbCdEf"},
		{Action: "logs:PutLogEvents", Resource: logs + "/aws/lambda/f:log-stream:s"},
		{Action: "logs:DeleteLogGroup", Resource: logs + "/aws/bedrock-agentcore/runtimes/agent-AbCdEf1234"},
		{Action: "ecr:DeleteRepository", Resource: images + "r"},
		{Action: "ecr:BatchGetImage", Resource: "arn:aws:ecr:us-east-1:123456789012:repository/r"},
		{Action: "bedrock-agentcore:CreateEvent", Resource: "arn:aws:bedrock-agentcore:us-east-1:123456789012:memory/m-AbCdEf1234"},
		{Action: "bedrock-agentcore:DeleteAgentRuntime", Resource: core + "runtime/agent-AbCdEf1234"},
		{Action: "bedrock:InvokeModel", Resource: "arn:aws:bedrock:us-west-2:210987654321:inference-profile/p"},
		{Action: "bedrock:DeleteGuardrail", Resource: "arn:aws:bedrock:us-west-2:123456789012:guardrail/g"},
	} {
		r.Policies, r.Checked = everything, true
		asked = append(asked, r)
		r.Boundary = boundary().JSON()
		asked = append(asked, r)
	}
	for i, got := range run(t, asked) {
		if r := asked[i]; got.Error != "" || got.Allowed != (r.Boundary == "") {
			t.Errorf("%s on %s, boundary %v: %+v", r.Action, r.Resource, r.Boundary != "", got)
		}
	}
}
