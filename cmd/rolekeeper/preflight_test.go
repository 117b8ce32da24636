package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudtrailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// parseAnswer reads preflight's JSON, which has every key and no null.
func parseAnswer(t *testing.T, got outcome) preflightAnswer {
	t.Helper()
	var a preflightAnswer
	d := json.NewDecoder(strings.NewReader(got.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		t.Fatalf("%v\n%s%s", err, got.stdout, got.stderr)
	}
	if strings.Contains(got.stdout, "null") {
		t.Errorf("there is a null:\n%s", got.stdout)
	}
	return a
}

const (
	configs = "bedrock-agentcore-configs-111122223333-eu-west-1"
	sources = "bedrock-agentcore-codebuild-sources-111122223333-eu-west-1"
)

// used makes an account where the toolkit has worked and a stack was deleted.
func used() *site {
	s := newSite()
	s.buckets[configs] = &siteBucket{}
	s.buckets[sources] = &siteBucket{
		events: s3types.NotificationConfiguration{QueueConfigurations: []s3types.QueueConfiguration{{
			Id: aws.String("it's ours"), QueueArn: aws.String("arn:aws:sqs:eu-west-1:111122223333:sources"), Events: []s3types.Event{"s3:ObjectCreated:*"},
			Filter: &s3types.NotificationConfigurationFilter{Key: &s3types.S3KeyFilter{FilterRules: []s3types.FilterRule{{Name: s3types.FilterRuleNamePrefix, Value: aws.String("a&b/")}}}},
		}}},
		policy: `{"Version":"2012-10-17","Statement":{"Sid":"TlsOnly","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/build"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::` + sources + `/*"}}`,
	}
	s.names[s.policyARN(naming.Boundary(s.region))] = true
	s.addRole("Admin", "")
	s.addRole("AmazonBedrockAgentCoreSDKRuntime-eu-west-1-aa96c3a063", "")
	s.addRole("AmazonBedrockAgentCoreSDKRuntime-eu-west-1-23b3634e27", s.policyARN(naming.Boundary(s.region)))
	s.addRole("AmazonBedrockAgentCoreSDKCodeBuild-eu-west-1-aa96c3a063", "")
	s.addRole("AmazonBedrockAgentCoreSDKRuntime-eu-west-2-aa96c3a063", "")
	s.addRole("AWSServiceRoleForBedrockAgentCoreRuntimeIdentity", "")
	s.trails = []siteTrail{trail("local", "eu-west-1", false)}
	s.projects = []made{{naming.Project("my_agent"), siteTime(6), nil}, {"deploy", siteTime(7), nil}, {naming.Project("other"), siteTime(8), nil}}
	s.images = []made{{naming.Repository("my_agent"), siteTime(6), map[string]string{"team": "a"}}, {"production", siteTime(7), nil}}
	return s
}

func TestPreflight(t *testing.T) {
	for name, c := range map[string]struct {
		site *site
		args []string
		code int
	}{
		"preflight-fresh.txt":    {newSite(), nil, exitGood},
		"preflight-deployed.txt": {newSite().deployed(), nil, exitGood},
		"preflight-used.txt":     {used(), nil, exitProblems},
		"preflight-used.json":    {used(), []string{"-o=json", "--team-tag=team"}, exitProblems},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.site.run(t, append([]string{"preflight"}, c.args...)...)
			if got.code != c.code || got.stderr != "" {
				t.Fatalf("exit code %d, want %d\n%s", got.code, c.code, got.stderr)
			}
			golden(t, name, got.stdout)
		})
	}
}

// expected is what a test wants to read in a finding.
type expected struct {
	level level
	say   []string // in what, details, fix or commands
}

func (e expected) check(t *testing.T, all map[string]finding, key string) {
	t.Helper()
	f, ok := all[key]
	if !ok {
		t.Fatalf("no finding %q in %q", key, slices.Sorted(maps.Keys(all)))
	}
	if f.Level != e.level {
		t.Errorf("%s is %s, want %s: %s", key, f.Level, e.level, f.What)
	}
	text := strings.Join(append(append([]string{f.What, f.Fix}, f.Details...), f.Commands...), "\n")
	for _, want := range e.say {
		if !strings.Contains(text, want) {
			t.Errorf("%s does not say %q:\n%s", key, want, text)
		}
	}
	if (f.Level == levelBad || f.Level == levelWarning) && f.Fix == "" {
		t.Errorf("%s has no fix", key)
	}
}

func exitOf(all map[string]finding) int {
	levels := map[level]bool{}
	for _, f := range all {
		levels[f.Level] = true
	}
	switch {
	case levels[levelBad]:
		return exitProblems
	case levels[levelUnknown]:
		return exitError
	}
	return exitGood
}

func TestFindings(t *testing.T) {
	long := "ap-southeast-99"
	const boundary = "arn:aws:iam::111122223333:policy/"
	for name, c := range map[string]struct {
		prepare func(*site)
		args    []string
		want    map[string]expected
	}{
		"the stack of another name is deployed": {func(s *site) {
			s.deployed()
			delete(s.names, "/rolekeeper/rolekeeper/settings")
		}, []string{"--stack=mine"}, map[string]expected{
			"stack mine":                          {levelBad, []string{"stack rolekeeper is", "--stack rolekeeper"}},
			"parameter /rolekeeper/mine/settings": {levelOK, nil},
			"role rolekeeper-intake-eu-west-1":    {levelBad, nil},
			"config-bucket " + configs:            {levelBad, nil},
			"queue rolekeeper-work.fifo":          {levelBad, nil},
		}},
		"a first version is deployed, which made no parameter": {func(s *site) {
			s.deployed()
			delete(s.names, "/rolekeeper/rolekeeper/settings")
		}, nil, map[string]expected{
			"stack rolekeeper":                          {levelOK, []string{"updates"}},
			"parameter /rolekeeper/rolekeeper/settings": {levelOK, []string{"not there"}},
			"role rolekeeper-reconcile-eu-west-1":       {levelOK, nil},
			"config-bucket " + configs:                  {levelOK, nil},
		}},
		"roles of the stack's names that no stack made": {func(s *site) { s.addRole("Rolekeeper-Intake-eu-west-1", "") }, nil, map[string]expected{
			"stack rolekeeper":                    {levelOK, []string{"not deployed"}},
			"role rolekeeper-intake-eu-west-1":    {levelBad, []string{"delete"}},
			"role rolekeeper-reconcile-eu-west-1": {levelOK, nil},
		}},
		"nobody may read whether the stack is deployed": {func(s *site) {
			s.deployed()
			delete(s.names, "/rolekeeper/rolekeeper/settings")
			s.deny("iam:GetAccountAuthorizationDetails")
		}, nil, map[string]expected{
			"stack rolekeeper":                 {levelUnknown, []string{"iam:GetAccountAuthorizationDetails"}},
			"config-bucket " + configs:         {levelUnknown, []string{"nobody knows whose", "iam:GetAccountAuthorizationDetails"}},
			"source-bucket " + sources:         {levelUnknown, []string{"nobody knows whose"}},
			"queue rolekeeper-inbox":           {levelUnknown, nil},
			"role rolekeeper-intake-eu-west-1": {levelUnknown, nil},
		}},
		"a role that no stack made, and nobody may read the parameter": {func(s *site) {
			s.addRole("rolekeeper-intake-eu-west-1", "")
			s.deny("ssm:GetParameter")
		}, nil, map[string]expected{
			"stack rolekeeper":                 {levelUnknown, []string{"ssm:GetParameter"}},
			"role rolekeeper-intake-eu-west-1": {levelUnknown, []string{"nobody knows whose", "ssm:GetParameter"}},
		}},
		"no role of the stack, and nobody may read the parameter": {func(s *site) {
			s.names["rolekeeper-inbox"] = true
			s.deny("ssm:GetParameter")
		}, nil, map[string]expected{
			"stack rolekeeper":                          {levelOK, []string{"not deployed"}},
			"parameter /rolekeeper/rolekeeper/settings": {levelUnknown, []string{"ssm:GetParameter"}},
			"source-bucket " + sources:                  {levelOK, []string{"makes it"}},
			"queue rolekeeper-inbox":                    {levelBad, nil},
		}},
		"policies of the stack's names": {func(s *site) {
			s.names[boundary+"RolekeeperDeveloperPolicy-eu-west-1"] = true
			s.names[boundary+"RolekeeperAgentBoundary-eu-west-1"] = true
		}, nil, map[string]expected{
			"policy RolekeeperDeveloperPolicy-eu-west-1": {levelBad, []string{"delete"}},
			"policy RolekeeperOperatorPolicy-eu-west-1":  {levelOK, nil},
			"policy RolekeeperAgentBoundary-eu-west-1":   {levelBad, []string{"PermissionsBoundaryArn=" + boundary + "RolekeeperAgentBoundary-eu-west-1"}},
		}},
		"the boundary that was left is passed": {func(s *site) {
			s.policy(boundary+"RolekeeperAgentBoundary-eu-west-1", desired.Boundary(agent.Place{Partition: "aws", Region: s.region, Account: s.id}, sources).JSON())
		}, []string{"--boundary=" + boundary + "RolekeeperAgentBoundary-eu-west-1"}, map[string]expected{
			"boundary " + boundary + "RolekeeperAgentBoundary-eu-west-1": {levelOK, []string{"no action of IAM", "not judged"}},
		}},
		"a boundary that is not there": {nil, []string{"--boundary=" + boundary + "Mine"}, map[string]expected{
			"boundary " + boundary + "Mine": {levelBad, []string{"not there"}},
		}},
		"a boundary of another account": {func(s *site) { s.names["arn:aws:iam::999988887777:policy/Theirs"] = true },
			[]string{"--boundary=arn:aws:iam::999988887777:policy/Theirs"}, map[string]expected{
				"boundary arn:aws:iam::999988887777:policy/Theirs": {levelBad, []string{"999988887777"}},
			}},
		"a boundary of AWS that leaves out IAM alone": {func(s *site) {
			s.policy("arn:aws:iam::aws:policy/PowerUserAccess", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":["iam:*","organizations:*"],"Resource":"*"}}`)
		}, []string{"--boundary=arn:aws:iam::aws:policy/PowerUserAccess"}, map[string]expected{
			"boundary arn:aws:iam::aws:policy/PowerUserAccess": {levelBad, []string{"everything but iam:*, organizations:*"}},
		}},
		"a boundary that nobody can read": {func(s *site) { s.policy(boundary+"Mine", "{") }, []string{"--boundary=" + boundary + "Mine"}, map[string]expected{
			"boundary " + boundary + "Mine": {levelUnknown, []string{boundary + "Mine"}},
		}},
		"a boundary whose document may not be read": {func(s *site) {
			s.policy(boundary+"Mine", "{}")
			s.deny("iam:GetPolicyVersion")
		}, []string{"--boundary=" + boundary + "Mine"}, map[string]expected{
			"boundary " + boundary + "Mine": {levelUnknown, []string{"iam:GetPolicyVersion"}},
		}},
		"settings of the stack": {func(s *site) {
			s.deployed().settings = `{"SourceBucketName":"mine","TeamTag":"team","PermissionsBoundaryArn":"` + boundary + `Mine","EnsureServiceLinkedRoles":"false","OfALaterVersion":"x"}`
			s.buckets["mine"] = &siteBucket{}
			s.policy(boundary+"Mine", `{"Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}`)
		}, nil, map[string]expected{
			"parameter /rolekeeper/rolekeeper/settings": {levelOK, []string{
				"SourceBucketName=mine is taken from it, since --source-bucket", "TeamTag=team is", "PermissionsBoundaryArn=" + boundary + "Mine is", "EnsureServiceLinkedRoles=false is",
			}},
			"source-bucket mine":                                           {levelOK, nil},
			"source-bucket-policy mine":                                    {levelBad, []string{"TeamsWriteTheirOwnSources"}},
			"boundary " + boundary + "Mine":                                {levelBad, []string{"iam:*"}},
			"service-linked-role AWSServiceRoleForBedrockAgentCoreNetwork": {levelWarning, []string{"agents in a VPC cannot be deployed", "create-service-linked-role"}},
		}},
		"settings of the stack, and flags that say otherwise": {func(s *site) {
			s.deployed().settings = `{"SourceBucketName":"mine","TeamTag":"team","PermissionsBoundaryArn":"` + boundary + `Mine"}`
		}, []string{"--source-bucket=", "--team-tag=", "--boundary="}, map[string]expected{
			"parameter /rolekeeper/rolekeeper/settings": {levelOK, nil},
			"source-bucket " + sources:                  {levelOK, nil},
			"source-bucket-policy " + sources:           {levelOK, nil},
			"policy RolekeeperAgentBoundary-eu-west-1":  {levelOK, nil},
		}},
		"settings that name what the stack made": {func(s *site) {
			s.deployed().settings = `{"SourceBucketName":"` + sources + `","PermissionsBoundaryArn":"` + boundary + `RolekeeperAgentBoundary-eu-west-1"}`
		}, nil, map[string]expected{
			"source-bucket " + sources:                 {levelOK, []string{"the stack is deployed"}},
			"policy RolekeeperAgentBoundary-eu-west-1": {levelOK, []string{"the stack is deployed"}},
		}},
		"malformed settings of the stack": {func(s *site) { s.deployed().settings = "{\"TeamTag\":\"a b\",\n\"SourceBucketName\":\"A\"}" }, []string{"--source-bucket=" + sources},
			map[string]expected{
				"parameter /rolekeeper/rolekeeper/settings":                    {levelBad, []string{"line 1: TeamTag", "line 2: SourceBucketName", "deploy"}},
				"source-bucket " + sources:                                     {levelOK, nil},
				"source-bucket-policy " + sources:                              {levelUnknown, []string{"malformed", "again"}},
				"policy RolekeeperAgentBoundary-eu-west-1":                     {levelUnknown, []string{"malformed"}},
				"service-linked-role AWSServiceRoleForBedrockAgentCoreNetwork": {levelUnknown, []string{"malformed"}},
			}},
		"settings of the stack that may not be read": {func(s *site) { s.deployed().deny("ssm:") }, []string{"--team-tag=team"}, map[string]expected{
			"stack rolekeeper":                           {levelOK, nil},
			"parameter /rolekeeper/rolekeeper/settings":  {levelUnknown, []string{"ssm:GetParameter"}},
			"source-bucket " + sources:                   {levelUnknown, []string{"ssm:GetParameter"}},
			"policy RolekeeperAgentBoundary-eu-west-1":   {levelUnknown, []string{"ssm:GetParameter"}},
			"policy RolekeeperDeveloperPolicy-eu-west-1": {levelOK, nil},
		}},
		"a queue of the stack's names": {func(s *site) { s.names["rolekeeper-work-dead-letters.fifo"] = true }, nil, map[string]expected{
			"queue rolekeeper-work-dead-letters.fifo": {levelBad, []string{"delete"}},
			"queue rolekeeper-work.fifo":              {levelOK, nil},
			"queue rolekeeper-inbox":                  {levelOK, nil},
			"queue rolekeeper-inbox-dead-letters":     {levelOK, nil},
		}},
		"a config bucket that was left": {func(s *site) { s.buckets[configs] = &siteBucket{} }, []string{"--stack=mine"}, map[string]expected{
			"config-bucket " + configs: {levelBad, []string{"Import", "IMPORT", "--stack-name mine", configs, "memory"}},
		}},
		"a config bucket of another account": {func(s *site) { s.buckets[configs] = &siteBucket{owner: "999988887777"} }, nil, map[string]expected{
			"config-bucket " + configs: {levelBad, []string{"another account"}},
		}},
		"a config bucket of another account, though the stack is there": {func(s *site) { s.deployed().buckets[configs].owner = "999988887777" }, nil,
			map[string]expected{"config-bucket " + configs: {levelBad, []string{"another account"}}}},
		"a config bucket in another Region": {func(s *site) { s.buckets[configs] = &siteBucket{region: "us-east-1"} }, nil, map[string]expected{
			"config-bucket " + configs: {levelBad, []string{"another Region"}},
		}},
		"a config bucket that may not be listed": {func(s *site) { s.buckets[configs] = &siteBucket{unlisted: true} }, nil, map[string]expected{
			"config-bucket " + configs: {levelUnknown, []string{"s3:ListBucket"}},
		}},
		"a source bucket that the toolkit made": {func(s *site) { s.buckets[sources] = &siteBucket{} }, nil, map[string]expected{
			"source-bucket " + sources:            {levelBad, []string{"SourceBucketName=" + sources}},
			"source-bucket-versioning " + sources: {levelWarning, []string{"put-bucket-versioning --bucket " + sources + " --expected-bucket-owner 111122223333 --versioning-configuration Status=Enabled --region eu-west-1"}},
			"source-bucket-events " + sources:     {levelWarning, []string{"nothing is built", `--notification-configuration '{"EventBridgeConfiguration":{}}' --region`}},
			"source-bucket-policy " + sources:     {levelWarning, []string{"TlsOnly, AgentsOnlyRead", "every build can replace every agent's source", "put-bucket-policy"}},
		}},
		"a source bucket that is passed": {func(s *site) { s.buckets["mine"] = &siteBucket{} }, []string{"--source-bucket=mine"}, map[string]expected{
			"source-bucket mine":            {levelOK, nil},
			"source-bucket-versioning mine": {levelWarning, []string{"--bucket mine"}},
		}},
		"versioning that was suspended": {func(s *site) { s.buckets["mine"] = &siteBucket{versioning: s3types.BucketVersioningStatusSuspended} },
			[]string{"--source-bucket=mine"}, map[string]expected{"source-bucket-versioning mine": {levelWarning, nil}}},
		"a source bucket that is passed and not there": {nil, []string{"--source-bucket=mine"}, map[string]expected{
			"source-bucket mine": {levelBad, []string{"not there"}},
		}},
		"a source bucket of another account": {func(s *site) { s.buckets[sources] = &siteBucket{owner: "999988887777"} }, nil, map[string]expected{
			"source-bucket " + sources: {levelBad, []string{"another account", "SourceBucketName"}},
		}},
		"a source bucket in another Region": {func(s *site) { s.buckets["mine"] = &siteBucket{region: "us-east-1"} }, []string{"--source-bucket=mine"},
			map[string]expected{"source-bucket mine": {levelBad, []string{"another Region"}}}},
		"a Region whose name is long": {nil, []string{"--region=" + long}, map[string]expected{
			"source-bucket bedrock-agentcore-codebuild-sources-111122223333-" + long: {levelBad, []string{"64 characters", "SourceBucketName"}},
		}},
		"the longest name that S3 allows": {nil, []string{"--region=ap-northeast-1"}, map[string]expected{
			"source-bucket bedrock-agentcore-codebuild-sources-111122223333-ap-northeast-1": {levelOK, []string{"makes it"}},
		}},
		"a Region whose name is long, with a bucket": {func(s *site) { s.buckets["mine"] = &siteBucket{} }, []string{"--region=" + long, "--source-bucket=mine"},
			map[string]expected{"source-bucket mine": {levelOK, nil}}},
		"teams, and a policy that knows none": {func(s *site) { s.deployed() }, []string{"--team-tag=team"}, map[string]expected{
			"source-bucket-policy " + sources: {levelBad, []string{"NobodyWithoutTeamWritesSources, NoTeamIsAPath, TeamsWriteTheirOwnSources", "${aws:PrincipalTag/team}"}},
		}},
		"teams, and a policy that lacks TLS alone": {func(s *site) {
			i := inspection{account: account{id: s.id, region: s.region}, flags: preflightFlags{teamTag: "team"}}
			s.buckets["mine"] = &siteBucket{policy: policy.New(i.sourceStatements("mine")[1:]...).JSON()}
		}, []string{"--team-tag=team", "--source-bucket=mine"}, map[string]expected{"source-bucket-policy mine": {levelWarning, []string{"own: TlsOnly"}}}},
		"a policy of another tag": {func(s *site) {
			i := inspection{account: account{id: s.id, region: s.region}, flags: preflightFlags{teamTag: "team"}}
			s.buckets["mine"] = &siteBucket{policy: policy.New(i.sourceStatements("mine")...).JSON()}
		}, []string{"--team-tag=group", "--source-bucket=mine"}, map[string]expected{"source-bucket-policy mine": {levelBad, []string{
			"own: Nobody", "statement NoTeamIsAPath says something else", "statement TeamsWriteTheirOwnSources says something else",
		}}}},
		"a policy in the older language": {func(s *site) {
			s.buckets["mine"] = &siteBucket{policy: `{"Version":"2008-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::mine/${x}"}}`}
		}, []string{"--source-bucket=mine"}, map[string]expected{"source-bucket-policy mine": {levelUnknown, []string{"by hand"}}}},
		"a policy that lacks TLS and what agents may not": {func(s *site) {
			i := inspection{account: account{id: s.id, region: s.region}, flags: preflightFlags{teamTag: "team"}}
			s.buckets["mine"] = &siteBucket{policy: policy.New(i.sourceStatements("mine")[2:]...).JSON()}
		}, []string{"--team-tag=team", "--source-bucket=mine"}, map[string]expected{"source-bucket-policy mine": {levelWarning, []string{"own: TlsOnly, AgentsOnlyRead"}}}},
		"projects and repositories of the toolkit, and others": {func(s *site) {
			ours := map[string]string{model.TagCreation: "nonce"}
			s.projects = []made{
				{"deploy", siteTime(0), nil}, {"bedrock-agentcore-Agent-builder", siteTime(0), nil}, {"bedrock-agentcore-bb-builder", siteTime(2), map[string]string{"rolekeeper:config": "forged"}},
				{"bedrock-agentcore-aa-builder", siteTime(1), nil}, {"bedrock-agentcore-cc-builder", siteTime(3), ours}, {"bedrock-agentcore-gone-builder", time.Time{}, nil},
			}
			s.images = []made{
				{"bedrock-agentcore-cc", siteTime(3), ours}, {"bedrock-agentcore-gone", time.Time{}, nil}, {"team/bedrock-agentcore-aa", siteTime(0), nil},
				{"bedrock-agentcore-bb", siteTime(2), nil}, {"bedrock-agentcore-", siteTime(0), nil},
			}
		}, nil, map[string]expected{
			agentsProjectsKey:     {levelWarning, []string{"3 there, 2 of them", "\nbedrock-agentcore-aa-builder, made 2026-02-01T10:00:01Z\nbedrock-agentcore-bb-builder, made 2026-02-01T10:00:02Z\n", "service-quotas"}},
			agentsRepositoriesKey: {levelWarning, []string{"2 there, 1 of them", "\nbedrock-agentcore-bb, made 2026-02-01T10:00:02Z", "aws.ecr_repository"}},
		}},
		"no project that an agent's can be": {func(s *site) { s.projects = []made{{"deploy", siteTime(0), nil}} }, nil, map[string]expected{
			agentsProjectsKey:     {levelOK, []string{"none there", "service-quotas list-service-quotas --service-code codebuild"}},
			agentsRepositoriesKey: {levelOK, []string{"none there"}},
		}},
		"Rolekeeper's own projects and repositories": {func(s *site) { s.deployed() }, nil, map[string]expected{
			agentsProjectsKey:     {levelOK, []string{"1 there, all"}},
			agentsRepositoriesKey: {levelOK, []string{"1 there, all"}},
		}},
		"no trail": {func(s *site) { s.trails = nil }, nil, map[string]expected{
			"cloudtrail management write events": {levelWarning, []string{"no trail"}},
		}},
		"a trail that is off": {func(s *site) { s.trails[0].off = true }, nil, map[string]expected{
			"cloudtrail management write events": {levelWarning, []string{"no trail"}},
		}},
		"a trail of this Region alone": {func(s *site) { s.trails = []siteTrail{trail("here", "eu-west-1", false)} }, nil, map[string]expected{
			"cloudtrail management write events": {levelWarning, []string{"by here", "us-east-1"}},
		}},
		"a trail of this Region alone, where IAM's events are": {func(s *site) { s.trails = []siteTrail{trail("here", "us-east-1", false)} },
			[]string{"--region=us-east-1"}, map[string]expected{"cloudtrail management write events": {levelOK, []string{"by here"}}}},
		"such a trail that leaves IAM out": {func(s *site) {
			s.trails = []siteTrail{trail("here", "us-east-1", false)}
			s.trails[0].IncludeGlobalServiceEvents = aws.Bool(false)
		}, []string{"--region=us-east-1"}, map[string]expected{"cloudtrail management write events": {levelWarning, nil}}},
		"a trail where IAM's events of GovCloud are": {func(s *site) { s.trails = []siteTrail{trail("here", "us-gov-west-1", false)} },
			[]string{"--region=us-gov-west-1"}, map[string]expected{"cloudtrail management write events": {levelOK, nil}}},
		"a trail of all Regions after one that is off": {func(s *site) {
			s.trails = []siteTrail{trail("off", "eu-west-1", true), trail("on", "us-west-2", true)}
			s.trails[0].off = true
		}, nil, map[string]expected{"cloudtrail management write events": {levelOK, []string{"by on"}}}},
		"a trail that cannot be read, beside one that does": {func(s *site) {
			s.trails = []siteTrail{trail("theirs", "eu-west-1", true), trail("on", "us-west-2", true)}
			s.refuse = func(call string) error {
				if strings.HasSuffix(call, "trail/theirs") {
					return awsfake.APIError("AccessDeniedException", "no")
				}
				return nil
			}
		}, nil, map[string]expected{"cloudtrail management write events": {levelOK, []string{"by on"}}}},
		"roles nearly used up": {func(s *site) { s.summary["Roles"] = 980 }, nil, map[string]expected{
			"quota Roles":    {levelBad, []string{"980 of 1000", "10 more agents"}},
			"quota Policies": {levelOK, nil},
		}},
		"roles below that":        {func(s *site) { s.summary["Roles"] = 979 }, nil, map[string]expected{"quota Roles": {levelWarning, []string{"10 more agents"}}}},
		"four fifths of policies": {func(s *site) { s.summary["Policies"] = 1200 }, nil, map[string]expected{"quota Policies": {levelOK, nil}}},
		"one more policy":         {func(s *site) { s.summary["Policies"] = 1201 }, nil, map[string]expected{"quota Policies": {levelWarning, nil}}},
		"more roles than the quota": {func(s *site) { s.summary["Roles"] = 1010 }, nil, map[string]expected{
			"quota Roles": {levelBad, []string{"of 0 more agents"}},
		}},
		"a summary without a quota": {func(s *site) { delete(s.summary, "RolesQuota") }, nil, map[string]expected{
			"quota Roles":    {levelUnknown, []string{"RolesQuota", "again"}},
			"quota Policies": {levelOK, nil},
		}},
		"a service-linked role that is there": {func(s *site) { s.addRole("AWSServiceRoleForBedrockAgentCoreNetwork", "") }, nil, map[string]expected{
			"service-linked-role AWSServiceRoleForBedrockAgentCoreNetwork": {levelOK, []string{"there"}},
			"service-linked-role AWSServiceRoleForBedrockAgentCoreRuntimeIdentity": {levelOK, []string{
				"makes it", "create-service-linked-role --aws-service-name runtime-identity.bedrock-agentcore.amazonaws.com",
			}},
		}},
		"agents' roles with and without a boundary": {func(s *site) {
			for n := range 5 {
				s.addRole(fmt.Sprintf("AmazonBedrockAgentCoreSDKRuntime-eu-west-1-000000000%d", n), map[bool]string{true: "arn"}[n%2 == 0])
			}
			s.addRole("AmazonBedrockAgentCoreSDKRuntime-eu-west-10-0000000000", "")
			s.addRole("MyRole", "")
		}, nil, map[string]expected{
			agentsRolesKey: {levelWarning, []string{
				"5 there, 2 of them", "AmazonBedrockAgentCoreSDKRuntime-eu-west-1-0000000001, made 2026-02-01T10:00:01Z", "0000000003", "ExistingRoles",
			}},
		}},
		"agents' roles that all have a boundary": {func(s *site) { s.addRole("AmazonBedrockAgentCoreSDKCodeBuild-eu-west-1-0000000000", "arn") }, nil,
			map[string]expected{agentsRolesKey: {levelOK, []string{"1 there"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			if c.prepare != nil {
				c.prepare(s)
			}
			all, got := s.preflight(t, c.args...)
			for key, want := range c.want {
				want.check(t, all, key)
			}
			if got.code != exitOf(all) || (got.stderr == "") != (got.code != exitError) {
				t.Errorf("exit code %d, want %d; %q", got.code, exitOf(all), got.stderr)
			}
		})
	}
}

const (
	agentsProjectsKey     = "agents-projects bedrock-agentcore-*-builder"
	agentsRepositoriesKey = "agents-repositories bedrock-agentcore-*"
)

const agentsRolesKey = "agents-roles AmazonBedrockAgentCoreSDKRuntime-eu-west-1-*, AmazonBedrockAgentCoreSDKCodeBuild-eu-west-1-*"

func TestTrailsAreJudgedByTheirSelectors(t *testing.T) {
	type fields = []cloudtrailtypes.AdvancedFieldSelector
	is := func(field string, values ...string) cloudtrailtypes.AdvancedFieldSelector {
		return cloudtrailtypes.AdvancedFieldSelector{Field: &field, Equals: values}
	}
	not := func(field string, values ...string) cloudtrailtypes.AdvancedFieldSelector {
		return cloudtrailtypes.AdvancedFieldSelector{Field: &field, NotEquals: values}
	}
	basic := func(management bool, kind cloudtrailtypes.ReadWriteType) []cloudtrailtypes.EventSelector {
		return []cloudtrailtypes.EventSelector{{IncludeManagementEvents: aws.Bool(management), ReadWriteType: kind}}
	}
	for name, c := range map[string]struct {
		basic    []cloudtrailtypes.EventSelector
		advanced []fields
		want     level
	}{
		"none, the default":                 {nil, nil, levelOK},
		"all management events":             {basic(true, cloudtrailtypes.ReadWriteTypeAll), nil, levelOK},
		"those that write":                  {basic(true, cloudtrailtypes.ReadWriteTypeWriteOnly), nil, levelOK},
		"those that read":                   {basic(true, cloudtrailtypes.ReadWriteTypeReadOnly), nil, levelWarning},
		"data events alone":                 {basic(false, cloudtrailtypes.ReadWriteTypeAll), nil, levelWarning},
		"advanced: all management events":   {nil, []fields{{is("eventCategory", "Management")}}, levelOK},
		"advanced: those that write":        {nil, []fields{{is("eventCategory", "Management"), is("readOnly", "false")}}, levelOK},
		"advanced: those that read":         {nil, []fields{{is("eventCategory", "Management"), is("readOnly", "true")}}, levelWarning},
		"advanced: data events":             {nil, []fields{{is("eventCategory", "Data")}}, levelWarning},
		"advanced: both":                    {nil, []fields{{is("eventCategory", "Data")}, {is("eventCategory", "Management")}}, levelOK},
		"advanced: without keys' events":    {nil, []fields{{is("eventCategory", "Management"), not("eventSource", "kms.amazonaws.com")}}, levelOK},
		"advanced: without IAM's":           {nil, []fields{{is("eventCategory", "Management"), not("eventSource", "iam.amazonaws.com")}}, levelWarning},
		"advanced: without AgentCore's":     {nil, []fields{{is("eventCategory", "Management"), not("eventSource", "bedrock-agentcore.amazonaws.com")}}, levelWarning},
		"advanced: one source":              {nil, []fields{{is("eventCategory", "Management"), is("eventSource", "ec2.amazonaws.com")}}, levelWarning},
		"advanced: sources that begin so":   {nil, []fields{{is("eventCategory", "Management"), {Field: aws.String("eventSource"), StartsWith: []string{"ec2"}}}}, levelWarning},
		"advanced: sources that end so":     {nil, []fields{{is("eventCategory", "Management"), {Field: aws.String("eventSource"), EndsWith: []string{"2"}}}}, levelWarning},
		"advanced: none that begins so":     {nil, []fields{{is("eventCategory", "Management"), {Field: aws.String("eventSource"), NotStartsWith: []string{"iam"}}}}, levelWarning},
		"advanced: none that ends so":       {nil, []fields{{is("eventCategory", "Management"), {Field: aws.String("eventSource"), NotEndsWith: []string{"com"}}}}, levelWarning},
		"advanced: by a field unheard of":   {nil, []fields{{is("eventCategory", "Management"), not("eventName", "Assume")}}, levelWarning},
		"advanced: of a category not named": {nil, []fields{{is("readOnly", "false")}}, levelWarning},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			s.trails[0].basic = c.basic
			for _, f := range c.advanced {
				s.trails[0].advanced = append(s.trails[0].advanced, cloudtrailtypes.AdvancedEventSelector{FieldSelectors: f})
			}
			all, _ := s.preflight(t)
			expected{c.want, nil}.check(t, all, "cloudtrail management write events")
		})
	}
}

func TestNoMoreTrailsAreAskedThanItTakes(t *testing.T) {
	s := newSite()
	s.trails = []siteTrail{trail("local", "eu-west-1", false), trail("local too", "eu-west-1", false), trail("all", "us-east-1", true), trail("more", "us-east-1", true)}
	all, _ := s.preflight(t)
	if got, want := all["cloudtrail management write events"].What, "logged by local, all. "; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q first", got, want)
	}
	asked := 0
	for _, call := range s.calls {
		if strings.HasPrefix(call, "cloudtrail:Get") {
			asked++
		}
	}
	if asked != 4 {
		t.Errorf("%d calls, want two for each of two trails: %q", asked, s.calls)
	}
}

// permission gives the IAM action that allows a call.
func permission(call string) string {
	action, _, _ := strings.Cut(call, " ")
	switch action {
	case "s3:HeadBucket":
		return "s3:ListBucket"
	case "s3:ListBuckets":
		return "s3:ListAllMyBuckets"
	case "s3:GetBucketNotificationConfiguration":
		return "s3:GetBucketNotification"
	}
	return action
}

func TestWhatCannotBeReadIsNeverGood(t *testing.T) {
	full := func() *site { return newSite().deployed() }
	foreign := func() *site {
		s := newSite()
		s.buckets[sources] = &siteBucket{owner: "999988887777"}
		return s
	}
	for name, build := range map[string]func() *site{"nothing there": newSite, "all there": full, "a bucket of another account": foreign} {
		site := build()
		whole, _ := site.preflight(t)
		for _, refused := range site.calls {
			for code, fix := range map[string]string{"AccessDenied": permission(refused), "Throttling": "again"} {
				if bucket, head := strings.CutPrefix(refused, "s3:HeadBucket "); head && code == "AccessDenied" && (site.buckets[bucket] == nil || site.buckets[bucket].owner != "") {
					continue // S3 answers so for a bucket of another account
				}
				t.Run(name+", "+code+" for "+refused, func(t *testing.T) {
					s := build()
					s.refuse = func(call string) error {
						switch {
						case call != refused:
							return nil
						case code == "AccessDenied" && strings.HasPrefix(call, "s3:HeadBucket"):
							return httpError(http.StatusForbidden, "Forbidden")
						}
						return awsfake.APIError(code, "no")
					}
					all, got := s.preflight(t)
					unread := 0
					for key, f := range all {
						switch {
						case f.Level == levelUnknown && strings.Contains(f.Fix, fix):
							unread++
						case f.Level == levelOK && cmp.Diff(f, whole[key]) != "":
							t.Errorf("%s is told as good: %s", key, f.What)
						}
					}
					if unread == 0 || got.code == exitGood || got.code != exitOf(all) {
						t.Errorf("exit code %d; %d findings say what to do: %s\n%s", got.code, unread, fix, got.stdout)
					}
				})
			}
		}
	}
}

func TestNobodyMayReadAnything(t *testing.T) {
	s := newSite().deployed()
	s.refuse = func(call string) error {
		if strings.HasPrefix(call, "s3:HeadBucket") {
			return httpError(http.StatusForbidden, "Forbidden")
		}
		return awsfake.APIError("AccessDenied", "no")
	}
	all, got := s.preflight(t)
	if got.code != exitError || !strings.Contains(got.stderr, "could not be read") {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	for key, f := range all {
		if f.Level != levelUnknown || f.Fix == "" {
			t.Errorf("%s is %s: %s; %s", key, f.Level, f.What, f.Fix)
		}
	}
}

func TestMoreRolesTakeMorePagesAndNoOtherCalls(t *testing.T) {
	calls := map[int][]string{}
	for _, n := range []int{1, 41} {
		s := newSite()
		for i := range n {
			s.addRole(fmt.Sprintf("AmazonBedrockAgentCoreSDKRuntime-eu-west-1-%010d", i), "")
		}
		all, _ := s.preflight(t)
		if got := len(all[agentsRolesKey].Details); got != n {
			t.Errorf("%d roles are listed, want %d", got, n)
		}
		pages := 0
		for _, c := range s.calls {
			if strings.HasPrefix(c, "iam:GetAccountAuthorizationDetails") {
				pages++
				continue
			}
			calls[n] = append(calls[n], c)
		}
		if want := (n + 1) / 2; pages != want {
			t.Errorf("%d pages for %d roles, want %d", pages, n, want)
		}
	}
	if diff := cmp.Diff(calls[1], calls[41]); diff != "" {
		t.Error(diff)
	}
}

func TestBadFlagsAreToldTogetherBeforeAWSIsAsked(t *testing.T) {
	got := tool{}.run(t, "preflight", "--stack=1", "--source-bucket=A", "--boundary=Mine", "--team-tag=a b*")
	if got.code != exitError || got.stdout != "" {
		t.Errorf("%+v", got)
	}
	for _, flag := range []string{"--stack", "--source-bucket", "--boundary", "--team-tag"} {
		if !strings.Contains(got.stderr, flag+": ") {
			t.Errorf("%s is not in %q", flag, got.stderr)
		}
	}
	if got := (tool{}).run(t, "preflight", "more"); got.code != exitError {
		t.Errorf("%+v", got)
	}
}

// run itself fails on what is not for terminals.
func TestNothingOfAnAccountCommandsTheTerminal(t *testing.T) {
	const evil = "\x1b[31m\u202e\x7f\nok  stack forged"
	s := used()
	s.addRole("AmazonBedrockAgentCoreSDKRuntime-eu-west-1-"+evil, "")
	s.addRole("rolekeeper-intake-eu-west-1", "", "aws:cloudformation:stack-name", evil)
	s.trails[0].Name = aws.String(evil)
	s.buckets[sources].events.QueueConfigurations[0].Id = aws.String(evil)
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	s.buckets[sources].policy = strings.Replace(s.buckets[sources].policy, `"TlsOnly"`, string(text), 1)
	for _, args := range [][]string{{"preflight"}, {"preflight", "-o=json"}} {
		got := s.run(t, args...)
		if got.code != exitProblems || strings.Contains(got.stdout, "\nok  stack") || !strings.Contains(got.stdout, "forged") {
			t.Errorf("exit code %d\n%s", got.code, got.stdout)
		}
	}
	// What is escaped is still the JSON that it was.
	all, _ := s.preflight(t)
	events := words(t, all["source-bucket-events "+sources].Commands[0])
	if !json.Valid([]byte(events["--notification-configuration"])) {
		t.Errorf("%q", events)
	}
}

// words gives what a shell makes of a command: the words after each option.
func words(t *testing.T, command string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `aws() { for w; do printf '%s\0' "$w"; done; }; `+command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	all := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	byOption := map[string]string{}
	for n, w := range all[:len(all)-1] {
		byOption[w] = all[n+1]
	}
	return byOption
}

func TestAShellReadsTheWordsOfACommandAsTheyWere(t *testing.T) {
	for _, w := range []string{"", "a", "a b", "it's", "''", "$(false)", "`false`", "${HOME}", `\`, "a\\'b", "*", "~", "#", ";false", "&", "a=b", "!x", "é"} {
		if got := words(t, account{region: "eu-west-1"}.command("do", "--word", w)); got["--word"] != w || got["--region"] != "eu-west-1" {
			t.Errorf("%q is read as %q", w, got)
		}
	}
}

func TestTheCommandsKeepWhatABucketHas(t *testing.T) {
	s := used()
	before := s.buckets[sources]
	all, _ := s.preflight(t, "--team-tag=team")

	var events s3types.NotificationConfiguration
	given := words(t, all["source-bucket-events "+sources].Commands[0])["--notification-configuration"]
	if err := json.Unmarshal([]byte(given), &events); err != nil {
		t.Fatal(err)
	}
	want := before.events
	want.EventBridgeConfiguration = &s3types.EventBridgeConfiguration{}
	if got, want := compact(events), compact(want); got != want {
		t.Errorf("notifications\n%s\nwant\n%s", got, want)
	}

	merged, err := policy.Parse(words(t, all["source-bucket-policy "+sources].Commands[0])["--policy"])
	if err != nil {
		t.Fatal(err)
	}
	old, err := policy.Parse(before.policy)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(old.Statements, merged.Statements[:1]); diff != "" {
		t.Error(diff)
	}
	sids := map[string]int{}
	for _, m := range merged.Statements {
		sids[m.Sid]++
	}
	if diff := cmp.Diff(map[string]int{"TlsOnly": 1, "": 1, "AgentsOnlyRead": 1, "NobodyWithoutTeamWritesSources": 1, "NoTeamIsAPath": 1, "TeamsWriteTheirOwnSources": 1}, sids); diff != "" {
		t.Errorf("Sids (-want +got)\n%s", diff)
	}

	// Once the commands were run there is nothing left to say.
	s.buckets[sources] = &siteBucket{versioning: s3types.BucketVersioningStatusEnabled, events: events, policy: merged.JSON()}
	all, _ = s.preflight(t, "--team-tag=team", "--source-bucket="+sources)
	for _, check := range []string{"source-bucket", "source-bucket-versioning", "source-bucket-events", "source-bucket-policy"} {
		expected{levelOK, nil}.check(t, all, check+" "+sources)
	}
}

func FuzzStatementsAreAddedToAPolicy(f *testing.F) {
	f.Add("")
	f.Add(used().buckets[sources].policy)
	f.Add(`{"Version":"2008-10-17","Id":"x","Statement":[]}`)
	f.Add(`{"Statement":{"Sid":"TlsOnly","Effect":"Deny","NotPrincipal":{"Service":"a"},"NotAction":"s3:*","NotResource":"${a}","Condition":{"Bool":{"a":true}},"More":1}}`)
	i := inspection{account: account{id: "111122223333", region: "eu-west-1"}, flags: preflightFlags{teamTag: "team"}}
	wanted := i.sourceStatements("mine")
	f.Fuzz(func(t *testing.T, there string) {
		merged, added, _, err := withStatements(there, wanted)
		if err != nil {
			return
		}
		got, err := policy.Parse(merged)
		if err != nil || got.Version != policy.Version2012 {
			t.Fatalf("%v: %s", err, merged)
		}
		var old policy.Document
		if there != "" {
			if old, err = policy.Parse(there); err != nil {
				t.Fatal(err)
			}
		}
		if len(got.Statements) != len(old.Statements)+len(added) {
			t.Fatalf("%s\nbecame\n%s", there, merged)
		}
		got.Statements, old.Version = got.Statements[:len(old.Statements)], policy.Version2012
		if !got.Equal(old) || got.ID != old.ID {
			t.Errorf("%s\nbecame\n%s", there, merged)
		}
		if _, more, _, err := withStatements(merged, wanted); err != nil || len(more) > 0 {
			t.Errorf("a second time it adds %q, %v", more, err)
		}
	})
}

func TestErrorsThatTimeMendsAreNotToldAsDenied(t *testing.T) {
	f := notRead("check", "subject", reading(awsfake.APIError("Throttling", "slow down"), "iam:GetPolicy", "it"))
	if fault.Of(&unread{err: fault.Errorf(fault.Retry, "x")}) != fault.Retry || strings.Contains(f.Fix, "iam:GetPolicy") {
		t.Errorf("%+v", f)
	}
}

func TestTheDocsNameEveryCheckAndEveryActionThatReads(t *testing.T) {
	docs, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	s := used()
	s.buckets[sources].owner = "999988887777"
	s.policy("arn:aws:iam::aws:policy/ReadOnlyAccess", "{}")
	_, taken := s.preflight(t, "--boundary=arn:aws:iam::aws:policy/ReadOnlyAccess")
	full := newSite().deployed()
	_, deployed := full.preflight(t)
	wanted := map[string]bool{}
	for _, call := range append(s.calls, full.calls...) {
		wanted[permission(call)] = true
	}
	for _, f := range append(parseAnswer(t, taken).Findings, parseAnswer(t, deployed).Findings...) {
		wanted[f.Check] = true
	}
	if len(wanted) != 35 {
		t.Errorf("%d checks and actions: %q", len(wanted), slices.Sorted(maps.Keys(wanted)))
	}
	for name := range wanted {
		if !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/cli.md lacks %s", name)
		}
	}
}

// templateResource is a resource of template.yaml.
type templateResource struct {
	Type       string               `yaml:"Type"`
	Properties map[string]yaml.Node `yaml:"Properties"`
}

func templateResources(t *testing.T) map[string]templateResource {
	t.Helper()
	data, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var top struct {
		Resources map[string]templateResource `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(data, &top); err != nil {
		t.Fatal(err)
	}
	return top.Resources
}

// substituted puts in what newSite's account has for the template's variables.
func substituted(text string) string {
	return strings.NewReplacer("${AWS::AccountId}", "111122223333", "${AWS::Region}", "eu-west-1", "${AWS::StackName}", "rolekeeper",
		"${AWS::Partition}", "aws", "${SourceBucket.Arn}", "arn:aws:s3:::"+sources, "${TeamTag}", "team", "${Team}", "${aws:PrincipalTag/team}").Replace(text)
}

func TestEveryNameOfTheTemplateIsLookedAt(t *testing.T) {
	all, _ := newSite().preflight(t)
	looked := map[string]bool{}
	for _, f := range all {
		looked[f.Subject] = true
	}
	names := 0
	for logical, r := range templateResources(t) {
		for property, node := range r.Properties {
			if !strings.HasSuffix(property, "Name") || node.Kind != yaml.ScalarNode {
				continue
			}
			switch {
			case slices.Contains([]string{"AWS::Serverless::Function", "AWS::SNS::Topic", "AWS::CloudWatch::Dashboard"}, r.Type), strings.HasPrefix(r.Type, "AWS::Logs::"):
				continue // the docs say that these are not looked at
			case r.Type == "AWS::Lambda::Permission", property == "MetricName":
				continue // it names what is there
			}
			names++
			if name := substituted(node.Value); !looked[name] {
				t.Errorf("%s: nobody looks whether %s is there", logical, name)
			}
		}
	}
	if names < 11 {
		t.Errorf("only %d names in the template", names)
	}
}

func TestTheSourceBucketsPolicyIsTheTemplates(t *testing.T) {
	// Its texts are the policy and what teams add to it.
	var texts []string
	var collect func(*yaml.Node)
	collect = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, `"Sid"`) {
			texts = append(texts, substituted(n.Value))
		}
		for _, c := range n.Content {
			collect(c)
		}
	}
	node := templateResources(t)["SourceBucketPolicy"].Properties["PolicyDocument"]
	collect(&node)
	if len(texts) != 2 {
		t.Fatalf("%d texts with statements: %q", len(texts), texts)
	}
	for tag, teams := range map[string]string{"": "", "team": texts[1]} {
		want, err := policy.Parse(strings.Replace(texts[0], "${Teams}", teams, 1))
		if err != nil {
			t.Fatal(err)
		}
		i := inspection{account: account{id: "111122223333", region: "eu-west-1"}, flags: preflightFlags{teamTag: tag}}
		if diff := cmp.Diff(want.Statements, i.sourceStatements(sources)); diff != "" {
			t.Errorf("tag %q: statements (-template +preflight)\n%s", tag, diff)
		}
	}
}

func TestBoundariesAreJudgedByWhatTheyLetThrough(t *testing.T) {
	const denied = `{"Effect":"Deny","Action":["iam:*","sts:AssumeRole*","sts:AssumeRoot","sts:GetFederationToken"],"Resource":"*"}`
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for name, c := range map[string]struct {
		statements string
		want       level
	}{
		"nothing":                         {``, levelOK},
		"one service":                     {`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, levelOK},
		"everything":                      {all, levelBad},
		"everything, with denials":        {all + "," + denied, levelOK},
		"denials first":                   {denied + "," + all, levelOK},
		"denials that leave out STS":      {all + `,{"Effect":"Deny","Action":"iam:*","Resource":"*"}`, levelBad},
		"denials under a condition":       {all + "," + strings.Replace(denied, `"Resource"`, `"Condition":{"Bool":{"a":"true"}},"Resource"`, 1), levelBad},
		"denials with more to them":       {all + "," + strings.Replace(denied, `"Resource"`, `"More":1,"Resource"`, 1), levelBad},
		"denials on some resources":       {all + "," + strings.Replace(denied, `"*"}`, `"arn:aws:iam::*:role/a"}`, 1), levelBad},
		"a denial in two statements":      {all + `,{"Effect":"Deny","Action":"iam:*","Resource":"*"},{"Effect":"Deny","Action":"sts:*","Resource":["a","*"]}`, levelOK},
		"actions that are denied":         {`{"Effect":"Allow","Action":["iam:PassRole","s3:*"],"Resource":"*"},` + denied, levelOK},
		"actions that are denied in part": {`{"Effect":"Allow","Action":"iam:*","Resource":"*"},{"Effect":"Deny","Action":"iam:Put*","Resource":"*"}`, levelBad},
		"all but some, with denials":      {`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"},{"Effect":"Deny","Action":"sts:*","Resource":"*"}`, levelOK},
		"a denial of all but some":        {all + `,{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}`, levelBad}, // not followed
		"looks at IAM":                    {`{"Effect":"Allow","Action":["iam:Get*","sts:GetCallerIdentity"],"Resource":"*"}`, levelOK},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite()
			const arn = "arn:aws:iam::111122223333:policy/Mine"
			s.policy(arn, `{"Version":"2012-10-17","Statement":[`+c.statements+`]}`)
			found, _ := s.preflight(t, "--boundary="+arn)
			expected{c.want, nil}.check(t, found, "boundary "+arn)
		})
	}
}
