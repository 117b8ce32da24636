package desired_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// rich asks for everything an agent can ask for.
func rich(name string) agent.Agent {
	return agent.Agent{
		Name: name, Deployment: agent.Container, Repository: "team/" + name, A2A: true, MemoryID: name + "_mem-AbCdEf1234",
		Providers: []agent.CredentialProvider{
			{Name: "github", ARN: oauthARN("github"), Kind: agent.OAuth2Provider},
			{Name: "search", ARN: apiKeyARN("search"), Kind: agent.APIKeyProvider},
		},
		JWT: &agent.JWT{Audiences: []string{"https://a.example"}, SigningAlgorithm: "RS256", DurationSeconds: 600},
		Permissions: agent.Permissions{
			Models: []agent.Model{
				{FoundationModel: "amazon.nova-micro-v1:0"},
				{FoundationModel: "amazon.nova-lite-v1:0", InferenceProfile: "us.amazon.nova-lite-v1:0"},
			},
			CodeInterpreter: true, Browser: true, IdentityTokens: true,
			BaseImages: []string{"team/base", "tools"},
		},
	}
}

// grants gives action and resource of every grant in the document, "if" and the
// conditions added.
func grants(d policy.Document) []string {
	var out []string
	for _, s := range d.Statements {
		for _, a := range s.Actions {
			for _, r := range s.Resources {
				line := a + " " + r
				var conditions []string
				for op, keys := range s.Conditions {
					for key, values := range keys {
						conditions = append(conditions, op+" "+key+" "+strings.Join(values, "|"))
					}
				}
				if slices.Sort(conditions); len(conditions) > 0 {
					line += " if " + strings.Join(conditions, " and ")
				}
				out = append(out, line)
			}
		}
	}
	slices.Sort(out)
	return out
}

// lines gives the lines of text that are not empty, sorted.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// What the role of agent plain grants when its config asks for nothing.
const least = `
logs:CreateLogGroup arn:aws:logs:us-west-2:123456789012:log-group:/aws/bedrock-agentcore/runtimes/plain-*
logs:DescribeLogStreams arn:aws:logs:us-west-2:123456789012:log-group:/aws/bedrock-agentcore/runtimes/plain-*
logs:DescribeLogGroups arn:aws:logs:us-west-2:123456789012:log-group:*
logs:CreateLogStream arn:aws:logs:us-west-2:123456789012:log-group:/aws/bedrock-agentcore/runtimes/plain-*:log-stream:*
logs:PutLogEvents arn:aws:logs:us-west-2:123456789012:log-group:/aws/bedrock-agentcore/runtimes/plain-*:log-stream:*
xray:PutTraceSegments *
xray:PutTelemetryRecords *
xray:GetSamplingRules *
xray:GetSamplingTargets *
cloudwatch:PutMetricData * if StringEquals cloudwatch:namespace bedrock-agentcore
`

func TestProfileScopedGrantsWhatTheConfigAsksForAndNoMore(t *testing.T) {
	const core = "arn:aws:bedrock-agentcore:us-west-2:123456789012:"
	const container = `
ecr:BatchGetImage arn:aws:ecr:us-west-2:123456789012:repository/bedrock-agentcore-plain
ecr:GetDownloadUrlForLayer arn:aws:ecr:us-west-2:123456789012:repository/bedrock-agentcore-plain
ecr:GetAuthorizationToken *
`
	const through = ` if StringEquals bedrock:InferenceProfileArn arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.x.b|arn:aws:bedrock:us-west-2:123456789012:inference-profile/eu.x.b`
	const audiences = ` if ForAllValues:StringEquals sts:IdentityTokenAudience one|two and Null sts:IdentityTokenAudience false`
	cases := map[string]struct {
		change func(*agent.Agent)
		more   string
	}{
		"nothing": {func(*agent.Agent) {}, ``},
		"a container without a repository of its own choice": {
			func(a *agent.Agent) { a.Deployment = agent.Container }, container,
		},
		"a memory": {func(a *agent.Agent) { a.MemoryID = "m-1234567890" }, `
bedrock-agentcore:CreateEvent ` + core + `memory/m-1234567890
bedrock-agentcore:GetEvent ` + core + `memory/m-1234567890
bedrock-agentcore:GetMemory ` + core + `memory/m-1234567890
bedrock-agentcore:GetMemoryRecord ` + core + `memory/m-1234567890
bedrock-agentcore:ListActors ` + core + `memory/m-1234567890
bedrock-agentcore:ListEvents ` + core + `memory/m-1234567890
bedrock-agentcore:ListMemoryRecords ` + core + `memory/m-1234567890
bedrock-agentcore:ListSessions ` + core + `memory/m-1234567890
bedrock-agentcore:DeleteEvent ` + core + `memory/m-1234567890
bedrock-agentcore:DeleteMemoryRecord ` + core + `memory/m-1234567890
bedrock-agentcore:RetrieveMemoryRecords ` + core + `memory/m-1234567890`},
		"A2A": {func(a *agent.Agent) { a.A2A = true }, `
bedrock-agentcore:InvokeAgentRuntime ` + core + `runtime/other-*
bedrock-agentcore:InvokeAgentRuntime ` + core + `runtime/third-*`},
		"a model called directly": {func(a *agent.Agent) {
			a.Permissions.Models = []agent.Model{{FoundationModel: "x.a-v1:0"}}
		}, `
bedrock:InvokeModel arn:aws:bedrock:us-west-2::foundation-model/x.a-v1:0
bedrock:InvokeModelWithResponseStream arn:aws:bedrock:us-west-2::foundation-model/x.a-v1:0`},
		"a model called through two profiles": {func(a *agent.Agent) {
			a.Permissions.Models = []agent.Model{
				{FoundationModel: "x.b", InferenceProfile: "us.x.b"}, {FoundationModel: "x.b", InferenceProfile: "eu.x.b"},
			}
		}, `
bedrock:InvokeModel arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.x.b
bedrock:InvokeModelWithResponseStream arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.x.b
bedrock:InvokeModel arn:aws:bedrock:us-west-2:123456789012:inference-profile/eu.x.b
bedrock:InvokeModelWithResponseStream arn:aws:bedrock:us-west-2:123456789012:inference-profile/eu.x.b
bedrock:InvokeModel arn:aws:bedrock:*::foundation-model/x.b` + through + `
bedrock:InvokeModelWithResponseStream arn:aws:bedrock:*::foundation-model/x.b` + through},
		"the code interpreter": {func(a *agent.Agent) { a.Permissions.CodeInterpreter = true }, `
bedrock-agentcore:StartCodeInterpreterSession arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1
bedrock-agentcore:InvokeCodeInterpreter arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1
bedrock-agentcore:StopCodeInterpreterSession arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1
bedrock-agentcore:GetCodeInterpreter arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1
bedrock-agentcore:GetCodeInterpreterSession arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1
bedrock-agentcore:ListCodeInterpreterSessions arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1`},
		"the browser": {func(a *agent.Agent) { a.Permissions.Browser = true }, `
bedrock-agentcore:StartBrowserSession arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1
bedrock-agentcore:StopBrowserSession arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1
bedrock-agentcore:GetBrowserSession arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1
bedrock-agentcore:ListBrowserSessions arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1
bedrock-agentcore:UpdateBrowserStream arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1
bedrock-agentcore:ConnectBrowserAutomationStream arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1
bedrock-agentcore:ConnectBrowserLiveViewStream arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1`},
		"identity tokens": {func(a *agent.Agent) { a.Permissions.IdentityTokens = true }, `
bedrock-agentcore:GetWorkloadAccessToken ` + core + `workload-identity-directory/default
bedrock-agentcore:GetWorkloadAccessToken ` + core + `workload-identity-directory/default/workload-identity/plain-*
bedrock-agentcore:GetWorkloadAccessTokenForJWT ` + core + `workload-identity-directory/default
bedrock-agentcore:GetWorkloadAccessTokenForJWT ` + core + `workload-identity-directory/default/workload-identity/plain-*`},
		"an OAuth2 provider": {func(a *agent.Agent) {
			a.Providers = []agent.CredentialProvider{{Name: "git-hub", ARN: oauthARN("git-hub"), Kind: agent.OAuth2Provider}}
		}, `
bedrock-agentcore:GetResourceOauth2Token ` + oauthARN("git-hub") + `
bedrock-agentcore:GetResourceOauth2Token ` + core + `token-vault/default
bedrock-agentcore:GetResourceOauth2Token ` + core + `workload-identity-directory/default
bedrock-agentcore:GetResourceOauth2Token ` + core + `workload-identity-directory/default/workload-identity/plain-*
secretsmanager:GetSecretValue arn:aws:secretsmanager:us-west-2:123456789012:secret:bedrock-agentcore-identity!default/oauth2/git-hub-??????`},
		"an API key provider": {func(a *agent.Agent) {
			a.Providers = []agent.CredentialProvider{{Name: "k", ARN: apiKeyARN("k"), Kind: agent.APIKeyProvider}}
		}, `
bedrock-agentcore:GetResourceApiKey ` + apiKeyARN("k") + `
bedrock-agentcore:GetResourceApiKey ` + core + `token-vault/default
bedrock-agentcore:GetResourceApiKey ` + core + `workload-identity-directory/default
bedrock-agentcore:GetResourceApiKey ` + core + `workload-identity-directory/default/workload-identity/plain-*
secretsmanager:GetSecretValue arn:aws:secretsmanager:us-west-2:123456789012:secret:bedrock-agentcore-identity!default/apikey/k-??????`},
		"web identity tokens": {func(a *agent.Agent) {
			a.JWT = &agent.JWT{Audiences: []string{"one", "two"}, SigningAlgorithm: "ES384", DurationSeconds: 300}
		}, `
sts:GetWebIdentityToken *` + audiences + ` and NumericLessThanEquals sts:DurationSeconds 300 and StringEquals sts:SigningAlgorithm ES384
sts:TagGetWebIdentityToken *` + audiences},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := agent.Agent{Name: "plain", Deployment: agent.DirectCode}
			c.change(&a)
			role := compute(t, environment(desired.Scoped, place), a,
				agent.Agent{Name: "other", Deployment: agent.DirectCode}, agent.Agent{Name: "third", Deployment: agent.DirectCode},
			).Agents[0].RuntimeRole
			if len(role.Policies) != 1 {
				t.Errorf("%d inline policies, want 1", len(role.Policies))
			}
			got := grants(role.Policies[naming.RuntimePolicy("plain")])
			if diff := cmp.Diff(lines(least+c.more), got); diff != "" {
				t.Error(diff)
			}
			if !role.Trust.Same(read(t, "testdata/toolkit/runtime-trust.json")) {
				t.Errorf("trust %s", role.Trust.JSON())
			}
		})
	}
}

// The key of the source is the last part of the statement's resource.
func TestATeamsBuildRoleReachesTheTeamsSource(t *testing.T) {
	for name, c := range map[string]struct {
		profile  desired.Profile
		tag, key string
		want     string // resource below the bucket
		problems []string
	}{
		"with teams":                     {desired.Scoped, "team", "configs/red/a.yaml", "red/my_agent/source.zip", nil},
		"in a folder of the team":        {desired.Scoped, "team", "configs/red/blue/a.yaml", "red/my_agent/source.zip", nil},
		"without teams":                  {desired.Scoped, "", "configs/red/a.yaml", "my_agent/source.zip", nil},
		"without teams and folder":       {desired.Scoped, "", "configs/a.yaml", "my_agent/source.zip", nil},
		"with teams, in no folder":       {desired.Scoped, "team", "configs/a.yaml", "", []string{"team-missing"}},
		"with teams, in a nameless one":  {desired.Scoped, "team", "configs//a.yaml", "", []string{"team-missing"}},
		"the toolkit's with teams":       {desired.Toolkit, "team", "configs/red/a.yaml", "*", nil},
		"the toolkit's, in no folder":    {desired.Toolkit, "team", "configs/a.yaml", "", []string{"team-missing"}},
		"the toolkit's and without team": {desired.Toolkit, "", "configs/a.yaml", "*", nil},
	} {
		t.Run(name, func(t *testing.T) {
			env := environment(c.profile, place)
			env.TeamTag, env.ConfigKey = c.tag, c.key
			state, problems := desired.Compute(agent.Config{Agents: []agent.Agent{{Name: "my_agent", Deployment: agent.Container}}}, env)
			var codes []string
			for _, p := range problems {
				codes = append(codes, p.Code)
				if p.Severity != fault.SeverityError || p.Agent != "" || p.Line != 1 || !strings.Contains(p.Message, c.key) || !strings.Contains(p.Fix, "configs/<team>/") {
					t.Errorf("problem %+v", p)
				}
			}
			if diff := cmp.Diff(c.problems, codes); diff != "" {
				t.Fatalf("problems (-want +got)\n%s", diff)
			}
			if problems != nil {
				return
			}
			document := state.Agents[0].BuildRole.Policies[naming.BuildPolicy]
			var got []string
			for _, s := range document.Statements {
				if s.Sid == "Source" || s.Sid == "Sources" {
					got = s.Resources
				}
			}
			if want := "arn:aws:s3:::" + env.SourceBucket + "/" + c.want; len(got) == 0 || got[len(got)-1] != want {
				t.Errorf("sources %q, want %s", got, want)
			}
		})
	}
}

func TestProfileScopedBuildRoleReachesOneRepositoryAndOneSource(t *testing.T) {
	a := agent.Agent{Name: "My__Agent", Deployment: agent.Container}
	a.Permissions.BaseImages = []string{"team/base"}
	role := compute(t, environment(desired.Scoped, place), a).Agents[0].BuildRole
	const repository = "arn:aws:ecr:us-west-2:123456789012:repository/bedrock-agentcore-my-agent"
	want := lines(`
ecr:GetAuthorizationToken *
ecr:BatchCheckLayerAvailability ` + repository + `
ecr:BatchGetImage ` + repository + `
ecr:GetDownloadUrlForLayer ` + repository + `
ecr:PutImage ` + repository + `
ecr:InitiateLayerUpload ` + repository + `
ecr:UploadLayerPart ` + repository + `
ecr:CompleteLayerUpload ` + repository + `
ecr:BatchGetImage arn:aws:ecr:us-west-2:123456789012:repository/team/base
ecr:GetDownloadUrlForLayer arn:aws:ecr:us-west-2:123456789012:repository/team/base
ecr:BatchCheckLayerAvailability arn:aws:ecr:us-west-2:123456789012:repository/team/base
logs:CreateLogGroup arn:aws:logs:us-west-2:123456789012:log-group:/aws/codebuild/bedrock-agentcore-my-agent-builder
logs:CreateLogStream arn:aws:logs:us-west-2:123456789012:log-group:/aws/codebuild/bedrock-agentcore-my-agent-builder
logs:PutLogEvents arn:aws:logs:us-west-2:123456789012:log-group:/aws/codebuild/bedrock-agentcore-my-agent-builder
logs:CreateLogGroup arn:aws:logs:us-west-2:123456789012:log-group:/aws/codebuild/bedrock-agentcore-my-agent-builder:*
logs:CreateLogStream arn:aws:logs:us-west-2:123456789012:log-group:/aws/codebuild/bedrock-agentcore-my-agent-builder:*
logs:PutLogEvents arn:aws:logs:us-west-2:123456789012:log-group:/aws/codebuild/bedrock-agentcore-my-agent-builder:*
s3:GetObject arn:aws:s3:::bedrock-agentcore-codebuild-sources-123456789012-us-west-2/My__Agent/source.zip if StringEquals s3:ResourceAccount 123456789012
s3:GetObjectVersion arn:aws:s3:::bedrock-agentcore-codebuild-sources-123456789012-us-west-2/My__Agent/source.zip if StringEquals s3:ResourceAccount 123456789012`)
	if diff := cmp.Diff(want, grants(role.Policies[naming.BuildPolicy])); diff != "" {
		t.Error(diff)
	}
}
