package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

var place = agent.Place{Partition: "aws", Region: "eu-west-1", Account: "123456789012"}

// stackValue is what the stack writes into its parameter of Systems Manager
// when it is deployed with its defaults.
const stackValue = `{"PermissionProfile":"scoped","PermissionsBoundaryArn":"arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-eu-west-1",` +
	`"SourceBucketName":"bedrock-agentcore-codebuild-sources-123456789012-eu-west-1","EnsureServiceLinkedRoles":"true","ExistingRoles":"report","BuildImage":"aws/codebuild/amazonlinux-aarch64-standard:4.0","LogRetentionDays":"30",` +
	`"GracePeriod":"24h","MaxDeletesPerHour":"20","DeleteRepositories":"false","DriftMode":"repair","UnmanagedPolicies":"report","MaxChangesPerSweep":"10%","TeamTag":"",` +
	`"AllowedModels":["*"],"AllowedRepositories":["bedrock-agentcore-*"],"AllowedMemories":[""],"AllowedCredentialProviders":[""],"AllowedAudiences":[""],"OperatorPrincipalArns":[""],` +
	`"ServiceLinkedRoleIdleDays":"0","Regions":[""]}`

func defaults() Parameters {
	return Parameters{
		PermissionProfile: desired.Scoped, EnsureServiceLinkedRoles: true, ExistingRoles: plan.ReportExisting,
		BuildImage: "aws/codebuild/amazonlinux-aarch64-standard:4.0", LogRetentionDays: 30,
		GracePeriod: 24 * time.Hour, MaxDeletesPerHour: 20,
		DriftMode: plan.RepairDrift, UnmanagedPolicies: plan.ReportUnmanaged, MaxChangesPerSweep: model.Portion{Percent: 10},
		Allowed: agent.Allowed{Models: []string{"*"}, Repositories: []string{"bedrock-agentcore-*"}},
		Regions: []string{"eu-west-1"},
	}
}

var ignoreGiven = cmpopts.IgnoreUnexported(Parameters{})

func TestParametersAreRead(t *testing.T) {
	byStack := defaults()
	byStack.PermissionsBoundaryArn = "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-eu-west-1"
	byStack.SourceBucketName = "bedrock-agentcore-codebuild-sources-123456789012-eu-west-1"
	everything := Parameters{
		PermissionProfile: desired.Toolkit, PermissionsBoundaryArn: "arn:aws:iam::123456789012:policy/B", SourceBucketName: "sources",
		ExistingRoles: plan.AdoptExisting, BuildImage: "aws/codebuild/amazonlinux2-aarch64-standard:3.0", LogRetentionDays: 365, TeamTag: "team",
		GracePeriod: 7 * time.Minute, MaxDeletesPerHour: 1, DeleteRepositories: true,
		DriftMode: plan.ReportDrift, UnmanagedPolicies: plan.RemoveUnmanaged, MaxChangesPerSweep: model.Portion{Count: 50},
		Allowed: agent.Allowed{
			Models: []string{"anthropic.*", "foundation-model/amazon.*"}, Repositories: []string{"team/*"}, Memories: []string{"shared_mem-*"},
			CredentialProviders: []string{"crm", "oauth2credentialprovider/x"}, Audiences: []string{"https://a.example.com", "b"},
		},
		OperatorPrincipalArns:     []string{"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*/Operator", "arn:aws:iam::123456789012:user/op"},
		ServiceLinkedRoleIdleDays: 90, Regions: []string{"ap-southeast-2", "eu-west-1", "us-east-1"},
	}
	nothingAllowed := defaults()
	nothingAllowed.Allowed = agent.Allowed{}
	for name, c := range map[string]struct {
		text  string
		want  Parameters
		given []string
	}{
		"nothing":            {"", defaults(), nil},
		"comments":           {"# nothing\n", defaults(), nil},
		"an empty map":       {"{}", defaults(), nil},
		"what the stack has": {stackValue, byStack, []string{"AllowedModels", "AllowedAudiences", "TeamTag"}},
		"nulls":              {"PermissionProfile: ~\nAllowedModels:\nOperatorPrincipalArns: null\nMaximumConcurrency:\nLogRetentionDays:\nGracePeriod:\nMaxDeletesPerHour: ~\nDeleteRepositories:\nDriftMode:\nUnmanagedPolicies: ~\nMaxChangesPerSweep:\nDriftSchedule:\nDriftAlarmThreshold:\nNotificationEmail:\nServiceLinkedRoleIdleDays:\nRegions: ~\n", defaults(), nil},
		"empty values":       {"PermissionProfile: ''\nExistingRoles: ''\nEnsureServiceLinkedRoles: ''\nSourceBucketName: ''\nTeamTag: ''\nBuildImage: ''\nLogRetentionDays: ''\nGracePeriod: ''\nMaxDeletesPerHour: ''\nDeleteRepositories: ''\nDriftMode: ''\nUnmanagedPolicies: ''\nMaxChangesPerSweep: ''\nNotificationEmail: ''\nServiceLinkedRoleIdleDays: ''\nRegions: ''\n", defaults(), []string{"TeamTag"}},
		"empty lists":        {"AllowedModels: ''\nAllowedRepositories: []\n", nothingAllowed, []string{"AllowedModels", "AllowedRepositories"}},
		"everything, in lists": {`
PermissionProfile: toolkit
PermissionsBoundaryArn: arn:aws:iam::123456789012:policy/B
SourceBucketName: sources
EnsureServiceLinkedRoles: false
ExistingRoles: adopt
TeamTag: team
MaximumConcurrency: 7
DriftSchedule: rate(2 hours)
BuildImage: aws/codebuild/amazonlinux2-aarch64-standard:3.0
LogRetentionDays: 365
GracePeriod: 7m
MaxDeletesPerHour: 1
DeleteRepositories: true
DriftMode: report
UnmanagedPolicies: remove
MaxChangesPerSweep: 50
DriftAlarmThreshold: 3
NotificationEmail: team@example.com
AllowedModels: [anthropic.*, "arn:aws:bedrock:eu-west-1::foundation-model/amazon.*"]
AllowedRepositories:
  - team/*
AllowedMemories: [shared_mem-*]
AllowedCredentialProviders:
  - crm
  - oauth2credentialprovider/x
AllowedAudiences: ["https://a.example.com", b]
OperatorPrincipalArns:
  - arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*/Operator
  - arn:aws:iam::123456789012:user/op
ServiceLinkedRoleIdleDays: 90
Regions: [us-east-1, ap-southeast-2]
`, everything, []string{"AllowedMemories", "LogRetentionDays", "GracePeriod", "OperatorPrincipalArns"}},
		"everything, with commas": {`{"PermissionProfile": "toolkit", "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/B", "SourceBucketName": "sources",
 "EnsureServiceLinkedRoles": "false", "ExistingRoles": "adopt", "TeamTag": "team",
 "BuildImage": "aws/codebuild/amazonlinux2-aarch64-standard:3.0", "LogRetentionDays": "365",
 "GracePeriod": "420s", "MaxDeletesPerHour": "1", "DeleteRepositories": "true",
 "DriftMode": "report", "UnmanagedPolicies": "remove", "MaxChangesPerSweep": "50",
 "AllowedModels": "anthropic.*,foundation-model/amazon.*", "AllowedRepositories": "team/*", "AllowedMemories": "shared_mem-*",
 "AllowedCredentialProviders": "crm, oauth2credentialprovider/x", "AllowedAudiences": " https://a.example.com , b,",
 "OperatorPrincipalArns": "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*/Operator,arn:aws:iam::123456789012:user/op",
 "ServiceLinkedRoleIdleDays": "90", "Regions": "us-east-1, eu-west-1,ap-southeast-2, us-east-1"}`, everything, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseParameters([]byte(c.text), place)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, ignoreGiven, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, name := range c.given {
				if !got.Given(name) {
					t.Errorf("%s was not given", name)
				}
			}
			if got.Given("AllowedRepositories") != strings.Contains(c.text, "AllowedRepositories") {
				t.Error("AllowedRepositories: given or not?")
			}
		})
	}
}

func TestAllFaultsOfParametersAreToldWithTheirLines(t *testing.T) {
	_, err := ParseParameters([]byte(`AllowedModels:
  - anthropic.*
  - Claude
  - [a]
  -
OperatorPrincipalArns: arn:aws:iam::123456789012:user/op,arn:aws:iam::*:role/op
PermissionProfle: scoped
PermissionProfile: all
PermissionsBoundaryArn: B
SourceBucketName: [a]
EnsureServiceLinkedRoles: yes
ExistingRoles: ignore
TeamTag: aws:team
AllowedMemories: {a: b}
AllowedRepositories: team/*, arn:aws:ecr:*:*:repository/a
AllowedAudiences: [`+strings.Repeat("a,", 200)+`a]
MaximumConcurrency: [1]
BuildImage: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/builder:1
LogRetentionDays: 31
GracePeriod: 1d
MaxDeletesPerHour: 1001
DeleteRepositories: all
DriftSchedule: [1]
DriftMode: ignore
UnmanagedPolicies: delete
MaxChangesPerSweep: 10 %
DriftAlarmThreshold: {}
NotificationEmail: [a]
ServiceLinkedRoleIdleDays: 3651
Regions:
  - us-east-1
  - Ireland
  - cn-north-1
`), place)
	if err == nil {
		t.Fatal("they were taken")
	}
	told := strings.Split(err.Error(), "\n")
	want := []string{
		`line 3: AllowedModels: "Claude" is not`,
		`line 4: AllowedModels: an entry is not text`,
		`line 5: AllowedModels: an entry is not text`,
		`line 6: OperatorPrincipalArns: "arn:aws:iam::*:role/op" is not the ARN of an IAM user or role of this account: write arn:aws:iam::123456789012:role/NAME`,
		`line 7: the stack has no parameter "PermissionProfle"`,
		`line 8: PermissionProfile: "all" is`,
		`line 9: PermissionsBoundaryArn: "B" is`,
		`line 10: SourceBucketName: not a single value`,
		`line 11: EnsureServiceLinkedRoles: "yes" is`,
		`line 12: ExistingRoles: "ignore" is`,
		`line 13: TeamTag: "aws:team" is`,
		`line 14: AllowedMemories: neither a list`,
		`line 15: AllowedRepositories: "arn:aws:ecr:*:*:repository/a" has the region "*"`,
		`line 16: AllowedAudiences: the list has 201 entries`,
		`line 17: MaximumConcurrency: not a single value`,
		`line 18: BuildImage: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/builder:1" is`,
		`line 19: LogRetentionDays: logs cannot be kept for 31 days`,
		`line 20: GracePeriod: "1d" is not`,
		`line 21: MaxDeletesPerHour: 1001 is not`,
		`line 22: DeleteRepositories: "all" is`,
		`line 23: DriftSchedule: not a single value`,
		`line 24: DriftMode: "ignore" is`,
		`line 25: UnmanagedPolicies: "delete" is`,
		`line 26: MaxChangesPerSweep: "10 %" is`,
		`line 27: DriftAlarmThreshold: not a single value`,
		`line 28: NotificationEmail: not a single value`,
		`line 29: ServiceLinkedRoleIdleDays: 3651 is not`,
		`line 32: Regions: "Ireland" is not the name of a Region`,
		`line 33: Regions: cn-north-1 is a Region of partition aws-cn, and this account is of aws`,
	}
	for i := range max(len(want), len(told)) {
		if i >= len(told) || i >= len(want) || !strings.HasPrefix(told[i], want[i]) {
			t.Fatalf("fault %d:\n%s\nwant\n%s", i, strings.Join(told, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestDaysAreANumberThatCloudWatchLogsKnows(t *testing.T) {
	for text, want := range map[string]int32{"30": 30, `"7"`: 7, "": 30, "0": 0, "-30": 0, "30.0": 0, "0x1e": 0, "4294967326": 0, "a month": 0, "[30]": 0} {
		got, err := ParseParameters([]byte("LogRetentionDays: "+text), place)
		if got.LogRetentionDays != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %d, %v", text, got.LogRetentionDays, err)
		}
	}
}

func TestWhatIsNoMapOfParametersIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a list": "- a", "a word": "a", "half of one": "{", "a name twice": "TeamTag: a\nTeamTag: b", "two of them": "TeamTag: a\n---\nTeamTag: b",
		"one with rubbish behind it": "TeamTag: a\n...\n{", "an alias": "SourceBucketName: &a one\nTeamTag: *a", "too much": strings.Repeat("#", maxParameters+1),
		"not UTF-8": "TeamTag: \xff", "a number as name": "1: a",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseParameters([]byte(text), place); err == nil {
				t.Error("it was taken")
			}
		})
	}
	if _, err := ParseParameters([]byte(strings.Repeat("#", maxParameters)), place); err != nil {
		t.Error(err)
	}
}

func TestOperatorsAreUsersAndRolesOfTheAccount(t *testing.T) {
	for arn, good := range map[string]bool{
		"arn:aws:iam::123456789012:role/Operator":                     true,
		"arn:aws:iam::123456789012:role/*":                            true,
		"arn:aws:iam::123456789012:user/a/b/op@example.com":           true,
		"arn:aws:iam::123456789012:role/" + strings.Repeat("a", 576):  true,
		"arn:aws:iam::123456789012:role/" + strings.Repeat("a", 577):  false,
		"arn:aws:iam::123456789012:role/":                             false,
		"arn:aws:iam::123456789012:*":                                 false,
		"arn:aws:iam::123456789012:*/op":                              false,
		"arn:aws:iam::123456789012:group/op":                          false,
		"arn:aws:iam::123456789012:root":                              false,
		"arn:aws:iam::999988887777:role/op":                           false,
		"arn:aws:iam::*:role/op":                                      false,
		"arn:aws-cn:iam::123456789012:role/op":                        false,
		"arn:aws:sts::123456789012:assumed-role/op/session":           false,
		"arn:aws:iam::123456789012:role/o p":                          false,
		"arn:aws:iam::123456789012:role/${aws:PrincipalTag/operator}": false,
		"arn:aws:iam::123456789012:role/op?":                          false,
		"arn:aws:iam::123456789012:role/op\"}":                        false,
		"*":                                                           false,
		"role/op":                                                     false,
		"op":                                                          false,
	} {
		text, err := json.Marshal(map[string][]string{"OperatorPrincipalArns": {arn}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseParameters(text, place)
		if (err == nil) != good || good && !slices.Equal(got.OperatorPrincipalArns, []string{arn}) {
			t.Errorf("%s: %q, %v", arn, got.OperatorPrincipalArns, err)
		}
	}
}

func TestRegionsAreThoseOfThePartition(t *testing.T) {
	for name, good := range map[string]bool{
		"us-east-1": true, "eu-west-1": true, "ap-southeast-12": true, "ca-west-1": true, "mx-central-1": true,
		"us-gov-west-1": false, "cn-north-1": false, "us-iso-east-1": false, "eusc-de-east-1": false, // of others
		"*": false, "us-east": false, "us-1": false, "1": false, "us--1": false, "-east-1": false, "us-east-": false, "us-east-123": false, "us-east-1a": false,
		"US-EAST-1": false, "us-east-1 ": true, "us east 1": false, "u-east-1": false, "europe-west-1": false, "us-east-1\n": true, "us-e\u0430st-1": false, "us_east_1": false,
		"us-east-1/../x": false, "us-east-1\"": false, "us-a-b-c-1": true, "us-a-b-c-d-1": false, "us-" + strings.Repeat("a", 20) + "-1": true, "us-" + strings.Repeat("a", 21) + "-1": false,
	} {
		got, err := ParseParameters([]byte("Regions: "+fmt.Sprintf("%q", name)), place)
		want := []string{"eu-west-1", strings.TrimSpace(name)}
		slices.Sort(want)
		if (err == nil) != good || good && !slices.Equal(got.Regions, slices.Compact(want)) {
			t.Errorf("%q: %q, %v", name, got.Regions, err)
		}
	}
	gov := agent.Place{Partition: "aws-us-gov", Region: "us-gov-west-1", Account: "123456789012"}
	if got, err := ParseParameters([]byte("Regions: us-gov-east-1"), gov); err != nil || !slices.Equal(got.Regions, []string{"us-gov-east-1", "us-gov-west-1"}) {
		t.Errorf("in GovCloud: %q, %v", got.Regions, err)
	}
}

func TestAtMostTwentyRegionsAreLookedAt(t *testing.T) {
	var others []string
	for i := range maxRegions {
		others = append(others, fmt.Sprintf("us-test-%d", i))
	}
	for name, c := range map[string]struct {
		regions []string
		good    bool
	}{
		"as many as may be": {others[1:], true},
		"one of them twice": {append(others[1:], others[1]), true},
		"one too many":      {others, false},
		"with the stack's":  {append(others[1:], place.Region), true},
	} {
		got, err := ParseParameters([]byte("TeamTag: a\nRegions: "+strings.Join(c.regions, ",")), place)
		if c.good && (err != nil || len(got.Regions) != maxRegions) || !c.good && (err == nil || !strings.HasPrefix(err.Error(), "line 2: Regions: 21 Regions")) {
			t.Errorf("%s: %q, %v", name, got.Regions, err)
		}
	}
}

// oneUnit writes a grace period in the longest unit that divides it.
func oneUnit(d time.Duration) string {
	for _, unit := range []struct {
		name string
		time.Duration
	}{{"h", time.Hour}, {"m", time.Minute}} {
		if d%unit.Duration == 0 {
			return fmt.Sprint(int64(d/unit.Duration), unit.name)
		}
	}
	return fmt.Sprint(int64(d/time.Second), "s")
}

// portion writes a portion as the parameter has it.
func portion(p model.Portion) string {
	if p.Percent == 0 {
		return fmt.Sprint(p.Count)
	}
	return fmt.Sprint(p.Percent, "%")
}

// asStack writes parameters as the stack writes them.
func asStack(p Parameters) string {
	list := func(entries []string) []string {
		if len(entries) == 0 {
			return []string{""}
		}
		return entries
	}
	text, err := json.Marshal(map[string]any{
		"PermissionProfile": p.PermissionProfile, "PermissionsBoundaryArn": p.PermissionsBoundaryArn, "SourceBucketName": p.SourceBucketName,
		"EnsureServiceLinkedRoles": fmt.Sprint(p.EnsureServiceLinkedRoles), "ExistingRoles": p.ExistingRoles, "TeamTag": p.TeamTag,
		"BuildImage": p.BuildImage, "LogRetentionDays": fmt.Sprint(p.LogRetentionDays),
		"GracePeriod": oneUnit(p.GracePeriod), "MaxDeletesPerHour": fmt.Sprint(p.MaxDeletesPerHour), "DeleteRepositories": fmt.Sprint(p.DeleteRepositories),
		"DriftMode": p.DriftMode, "UnmanagedPolicies": p.UnmanagedPolicies, "MaxChangesPerSweep": portion(p.MaxChangesPerSweep),
		"AllowedModels": list(p.Allowed.Models), "AllowedRepositories": list(p.Allowed.Repositories), "AllowedMemories": list(p.Allowed.Memories),
		"AllowedCredentialProviders": list(p.Allowed.CredentialProviders), "AllowedAudiences": list(p.Allowed.Audiences),
		"OperatorPrincipalArns": list(p.OperatorPrincipalArns), "ServiceLinkedRoleIdleDays": fmt.Sprint(p.ServiceLinkedRoleIdleDays), "Regions": p.Regions,
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// FuzzParameters holds what relies on parameters: those that are accepted mean
// the same when the stack writes them, name no other account, and have nothing
// in them that could become more than text in a policy; those that are refused
// say why.
func FuzzParameters(f *testing.F) {
	for _, text := range []string{
		"", stackValue, "AllowedModels: a,b\nOperatorPrincipalArns: [arn:aws:iam::123456789012:role/*]", "TeamTag: &a x\nSourceBucketName: *a", "<<: {TeamTag: a}",
		"? [a]\n: b", "AllowedAudiences: [!!binary a, 1, 2020-01-01, \"\\u00e9\"]", "PermissionProfile: |\n  scoped", "a: b\n---\nc", "EnsureServiceLinkedRoles: true",
		"BuildImage: aws/codebuild/amazonlinux-aarch64-standard:4.0-1\nLogRetentionDays: 0x1e", "LogRetentionDays: 30.0", "LogRetentionDays: 4294967326",
		"GracePeriod: 999999h\nMaxDeletesPerHour: 1000\nDeleteRepositories: 'true'", "GracePeriod: 1h1m", "GracePeriod: 86399s\nMaxDeletesPerHour: 1e2",
		"DriftMode: report\nUnmanagedPolicies: keep\nMaxChangesPerSweep: 100%", "MaxChangesPerSweep: 99999", "MaxChangesPerSweep: 0.5",
		"ServiceLinkedRoleIdleDays: 90\nRegions: us-east-1,eu-west-1,us-east-1", "Regions: [cn-north-1, '*']", "Regions: {}\nServiceLinkedRoleIdleDays: -1",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseParameters(data, place)
		if err != nil {
			if err.Error() == "" || cmp.Diff(Parameters{}, p, cmp.AllowUnexported(Parameters{})) != "" {
				t.Errorf("%+v with %v", p, err)
			}
			return
		}
		again, err := ParseParameters([]byte(asStack(p)), place)
		if diff := cmp.Diff(p, again, ignoreGiven, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v (-first +again)\n%s", err, diff)
		}
		err = errors.Join(Profile(p.PermissionProfile), Boundary(p.PermissionsBoundaryArn), Bucket(p.SourceBucketName), Existing(p.ExistingRoles), TeamTag(p.TeamTag),
			BuildImage(p.BuildImage), RetentionDays(p.LogRetentionDays), GracePeriod(oneUnit(p.GracePeriod)), MaxDeletesPerHour(p.MaxDeletesPerHour),
			DriftMode(p.DriftMode), Unmanaged(p.UnmanagedPolicies), IdleDays(p.ServiceLinkedRoleIdleDays))
		if p.BuildImage == "" || p.PermissionProfile == "" || p.ExistingRoles == "" || p.DriftMode == "" || p.UnmanagedPolicies == "" || p.MaxChangesPerSweep.Of(1000) < 1 || err != nil {
			t.Errorf("%+v: %v", p, err)
		}
		for _, entry := range slices.Concat(p.Allowed.Models, p.Allowed.Repositories, p.Allowed.Memories, p.Allowed.CredentialProviders, p.Allowed.Audiences, p.OperatorPrincipalArns) {
			if entry == "" || strings.ContainsAny(entry, "\"'\\${} \t\n") {
				t.Errorf("entry %q", entry)
			}
		}
		if !slices.Contains(p.Regions, place.Region) || len(p.Regions) > maxRegions || !slices.IsSorted(p.Regions) || len(slices.Compact(slices.Clone(p.Regions))) != len(p.Regions) {
			t.Errorf("Regions %q", p.Regions)
		}
		for _, name := range p.Regions {
			if naming.Partition(name) != "aws" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(name) > 100 {
				t.Errorf("Region %q", name)
			}
		}
		for _, arn := range p.OperatorPrincipalArns {
			if !strings.HasPrefix(arn, "arn:aws:iam::123456789012:user/") && !strings.HasPrefix(arn, "arn:aws:iam::123456789012:role/") {
				t.Errorf("operator %q", arn)
			}
		}
	})
}
