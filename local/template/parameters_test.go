package template

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/settings"
)

// Lists become JSON text in the settings and in bucket policies, by Fn::Sub.
func TestParametersThatBecomeTextTakeNothingThatBreaksIt(t *testing.T) {
	patterns := map[string]*regexp.Regexp{}
	for name, p := range load(t, home()).parameters {
		if at(p, "Type") != "CommaDelimitedList" && name != "TeamTag" {
			continue
		}
		// CloudFormation holds the whole value, or each value of a list, against it.
		patterns[name] = regexp.MustCompile(`\A(?:` + fmt.Sprint(at(p, "AllowedPattern")) + `)\z`)
		for _, bad := range []string{`a"`, `a'`, `a\`, "a b", "a\tb", "a\nb", "${AWS::Region}", "$", "{", "}"} {
			if patterns[name].MatchString(bad) {
				t.Errorf("%s takes %q", name, bad)
			}
		}
	}
	for name, good := range map[string][]string{
		"AllowedModels":              {"", "*", "anthropic.claude-sonnet-4-20250514-v1:0", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.*"},
		"AllowedRepositories":        {"", "bedrock-agentcore-*", "team/python-base", "arn:aws:ecr:us-east-1:123456789012:repository/team/*"},
		"AllowedMemories":            {"", "shared_mem-AbCdEf1234"},
		"AllowedCredentialProviders": {"", "crm", "oauth2credentialprovider/crm-*"},
		"AllowedAudiences":           {"", "https://example.com/a?b=c&d=%20#e", "api://0123-4567"},
		"TeamTag":                    {"", "team", "company:team", "a/b_c.d=e+f@g-h", strings.Repeat("t", 128)},
		"Regions":                    {"", "us-east-1", "eu-west-1", "us-gov-west-1", "us-isob-east-1", "ap-southeast-12"},
		"OperatorPrincipalArns": {
			"", "arn:aws:iam::123456789012:role/admin", "arn:aws-us-gov:iam::123456789012:user/path/ann@example.com",
			"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Operators_*", "arn:aws:iam::123456789012:role/*",
		},
	} {
		for _, value := range good {
			if !patterns[name].MatchString(value) {
				t.Errorf("%s refuses %q", name, value)
			}
		}
	}
	for name, bad := range map[string][]string{
		"Regions": {"*", "Ireland", "eu-west", "EU-WEST-1", "eu-west-1a", "eu-west-123", "eu--1"},
		"TeamTag": {"team tag", "tëam", strings.Repeat("t", 129), "team*"},
		"OperatorPrincipalArns": {
			"*", "admin", "arn:aws:iam::*:role/admin", "arn:*:iam::123456789012:role/admin", "arn:aws:iam::123456789012:*", "arn:aws:iam::123456789012:root",
			"arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:group/admins", "arn:aws:sts::123456789012:assumed-role/admin/ann", "arn:aws:iam::aws:role/admin",
		},
	} {
		for _, value := range bad {
			if patterns[name].MatchString(value) {
				t.Errorf("%s takes %q", name, value)
			}
		}
	}
}

func TestTheSettingsAreWhatTheStackWasTold(t *testing.T) {
	const boundary, bucket = "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1", "bedrock-agentcore-codebuild-sources-123456789012-us-east-1"
	tests := map[string]struct {
		parameters map[string]string
		want       settings.Parameters
	}{
		"nothing": {nil, settings.Parameters{
			PermissionProfile: desired.Scoped, PermissionsBoundaryArn: boundary, SourceBucketName: bucket, EnsureServiceLinkedRoles: true,
			ExistingRoles: plan.ReportExisting, BuildImage: settings.DefaultBuildImage, LogRetentionDays: 30, Allowed: agent.DefaultAllowed(),
			GracePeriod: 24 * time.Hour, MaxDeletesPerHour: 20,
			DriftMode: plan.RepairDrift, UnmanagedPolicies: plan.ReportUnmanaged, MaxChangesPerSweep: model.Portion{Percent: 10},
			Regions: []string{"us-east-1"},
		}},
		"everything": {map[string]string{
			"PermissionProfile": "toolkit", "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/ours", "SourceBucketName": "sources-of-ours",
			"EnsureServiceLinkedRoles": "false", "ExistingRoles": "adopt", "BuildImage": "aws/codebuild/amazonlinux2-aarch64-standard:3.0", "LogRetentionDays": "365", "GracePeriod": "90m", "MaxDeletesPerHour": "1000", "DeleteRepositories": "true", "TeamTag": "company:team", "OperatorPrincipalArns": operators,
			"DriftMode": "report", "UnmanagedPolicies": "remove", "MaxChangesPerSweep": "50",
			"AllowedModels": "anthropic.*, us.anthropic.*", "AllowedRepositories": "team/*", "AllowedMemories": "shared_mem-AbCdEf1234",
			"AllowedCredentialProviders": "crm,erp", "AllowedAudiences": "https://example.com/*",
			"ServiceLinkedRoleIdleDays": "90", "Regions": "us-west-2, eu-west-1",
		}, settings.Parameters{
			PermissionProfile: desired.Toolkit, PermissionsBoundaryArn: "arn:aws:iam::123456789012:policy/ours", SourceBucketName: "sources-of-ours",
			ExistingRoles: plan.AdoptExisting, BuildImage: "aws/codebuild/amazonlinux2-aarch64-standard:3.0", LogRetentionDays: 365, GracePeriod: 90 * time.Minute, MaxDeletesPerHour: 1000, DeleteRepositories: true, TeamTag: "company:team", OperatorPrincipalArns: strings.Split(operators, ", "),
			DriftMode: plan.ReportDrift, UnmanagedPolicies: plan.RemoveUnmanaged, MaxChangesPerSweep: model.Portion{Count: 50},
			ServiceLinkedRoleIdleDays: 90, Regions: []string{"eu-west-1", "us-east-1", "us-west-2"},
			Allowed: agent.Allowed{
				Models: []string{"anthropic.*", "us.anthropic.*"}, Repositories: []string{"team/*"}, Memories: []string{"shared_mem-AbCdEf1234"},
				CredentialProviders: []string{"crm", "erp"}, Audiences: []string{"https://example.com/*"},
			},
		}},
		"lists of nothing": {map[string]string{"AllowedModels": "", "AllowedRepositories": " , "}, settings.Parameters{
			PermissionProfile: desired.Scoped, PermissionsBoundaryArn: boundary, SourceBucketName: bucket, EnsureServiceLinkedRoles: true,
			ExistingRoles: plan.ReportExisting, BuildImage: settings.DefaultBuildImage, LogRetentionDays: 30, GracePeriod: 24 * time.Hour, MaxDeletesPerHour: 20,
			DriftMode: plan.RepairDrift, UnmanagedPolicies: plan.ReportUnmanaged, MaxChangesPerSweep: model.Portion{Percent: 10},
			Regions: []string{"us-east-1"},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := load(t, given(test.parameters)).resources["SettingsParameter"].properties
			got, err := settings.ParseParameters([]byte(p["Value"].(string)), agent.Place{Partition: "aws", Region: "us-east-1", Account: "123456789012"})
			if err != nil {
				t.Fatalf("the code refuses %s: %v", p["Value"], err)
			}
			equal := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".given" }, cmp.Ignore())
			empty := cmp.Transformer("nothing", func(list []string) string { return strings.Join(list, "\n") })
			if diff := cmp.Diff(test.want, got, equal, empty); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if p["Name"] != "/rolekeeper/rolekeeper/settings" || p["Type"] != "String" || p["Tier"] != "Advanced" {
				t.Errorf("the parameter is %v", p)
			}
		})
	}
}

// The settings name the parameters that decide anything but the stack itself.
func TestTheSettingsNameEveryParameterThatDecides(t *testing.T) {
	s := load(t, home())
	var value map[string]any
	if err := json.Unmarshal([]byte(s.resources["SettingsParameter"].properties["Value"].(string)), &value); err != nil {
		t.Fatal(err)
	}
	own := []string{"MaximumConcurrency", "DriftSchedule", "DriftAlarmThreshold", "NotificationEmail"} // the stack's
	for name := range s.parameters {
		if _, there := value[name]; there == slices.Contains(own, name) {
			t.Errorf("%s is in the settings: %v", name, there)
		}
	}
	if got, want := len(value), len(s.parameters)-len(own); got != want {
		t.Errorf("%d settings, want %d", got, want)
	}
	for _, id := range []string{"ReconcileFunction", "DriftFunction", "SlrwatchFunction"} {
		variables := at(s.resources[id].properties, "Environment", "Variables")
		if got := at(variables, "SETTINGS_PARAMETER"); got != "/rolekeeper/rolekeeper/settings" || got != at(s.outputs, "SettingsParameter", "Value") {
			t.Errorf("%s reads %v, the output is %v", id, got, at(s.outputs, "SettingsParameter", "Value"))
		}
	}
}

func TestTheTemplateAndTheCodeTakeTheSamePortions(t *testing.T) {
	p := load(t, home()).parameters["MaxChangesPerSweep"]
	pattern := regexp.MustCompile(`\A(?:` + fmt.Sprint(at(p, "AllowedPattern")) + `)\z`)
	for text, want := range map[string]bool{
		"10%": true, "1%": true, "100%": true, "1": true, "50": true, "99999": true,
		"": false, "0": false, "0%": false, "101%": false, "100000": false, "-1": false, "010%": false, "2.5%": false, "%": false, "10 %": false, "10%%": false, "10%\n": false, "all": false,
	} {
		if _, err := model.ParsePortion(text); pattern.MatchString(text) != want || want != (err == nil) {
			t.Errorf("%q: the template takes it: %v, the code says %v; want %v", text, pattern.MatchString(text), err, want)
		}
	}
	if got := at(p, "Default"); got != fmt.Sprint(settings.DefaultMaxChangesPercent, "%") {
		t.Errorf("the default is %v", got)
	}
}

func TestAnAddressIsOneOrNone(t *testing.T) {
	pattern := regexp.MustCompile(`\A(?:` + fmt.Sprint(at(load(t, home()).parameters["NotificationEmail"], "AllowedPattern")) + `)\z`)
	for text, want := range map[string]bool{
		"": true, "platform@example.com": true, "a+b@c": true, "platform": false, "a@b@c": false, "a@b, c@d": false, "Ann <ann@example.com>": false, "a@b\n": false, "@": false,
	} {
		if got := pattern.MatchString(text); got != want {
			t.Errorf("%q: the template takes it: %v, want %v", text, got, want)
		}
	}
}

// What the template takes the functions take, and nothing else.
func TestTheTemplateAndTheCodeTakeTheSameImagesAndDays(t *testing.T) {
	parameters := load(t, home()).parameters
	image := parameters["BuildImage"]
	pattern := regexp.MustCompile(`\A(?:` + fmt.Sprint(at(image, "AllowedPattern")) + `)\z`)
	long := "aws/codebuild/amazonlinux-aarch64-standard:" + strings.Repeat("4", 57)
	for name, want := range map[string]bool{
		fmt.Sprint(at(image, "Default")): true, "aws/codebuild/amazonlinux2-aarch64-standard:3.0-24.10.29": true, long: true, long + "4": false,
		"aws/codebuild/amazonlinux-x86_64-standard:5.0": false, "aws/codebuild/amazonlinux-aarch64-lambda-standard:go1.24": false,
		"aws/codebuild/amazonlinux-aarch64-standard:": false, "aws/codebuild/amazonlinux-aarch64-standard:latest": false,
		"123456789012.dkr.ecr.us-east-1.amazonaws.com/aws/codebuild/a-aarch64-standard:4.0": false,
		"aws/codebuild/amazonlinux-aarch64-standard:4.0\n":                                  false, "aws/codebuild/amazonlinux-aarch64-standard:4.0\"": false,
	} {
		if got := pattern.MatchString(name) && len(name) <= at(image, "MaxLength").(int); got != want || want != (settings.BuildImage(name) == nil) {
			t.Errorf("%q: the template takes it: %v, the code says %v; want %v", name, got, settings.BuildImage(name), want)
		}
	}
	listed := texts(at(parameters["LogRetentionDays"], "AllowedValues"))
	for days := range int32(4000) {
		if got := slices.Contains(listed, fmt.Sprint(days)); got != (settings.RetentionDays(days) == nil) {
			t.Errorf("%d days: the template takes them: %v, the code says %v", days, got, settings.RetentionDays(days))
		}
	}
	if at(image, "Default") != settings.DefaultBuildImage || at(parameters["LogRetentionDays"], "Default") != settings.DefaultLogRetentionDays {
		t.Error("the code has other defaults")
	}
}

func TestTheTemplateAndTheCodeTakeTheSameDeletions(t *testing.T) {
	parameters := load(t, home()).parameters
	grace := regexp.MustCompile(`\A(?:` + fmt.Sprint(at(parameters["GracePeriod"], "AllowedPattern")) + `)\z`)
	for text, want := range map[string]bool{
		"24h": true, "1s": true, "90m": true, "999999h": true,
		"1000000h": false, "0h": false, "024h": false, "1.5h": false, "-1h": false, "24": false, "h": false, "24H": false, "1d": false, "1h30m": false, "24h ": false, "24h\n": false,
	} {
		if got := grace.MatchString(text); got != want || want != (settings.GracePeriod(text) == nil) {
			t.Errorf("%q: the template takes it: %v, the code says %v; want %v", text, got, settings.GracePeriod(text), want)
		}
	}
	most := parameters["MaxDeletesPerHour"]
	for n := range 1100 {
		if got := n >= at(most, "MinValue").(int) && n <= at(most, "MaxValue").(int); got != (settings.MaxDeletesPerHour(n) == nil) {
			t.Errorf("%d roles: the template takes them: %v, the code says %v", n, got, settings.MaxDeletesPerHour(n))
		}
	}
}

func TestTheTemplateAndTheCodeTakeTheSameDays(t *testing.T) {
	days := load(t, home()).parameters["ServiceLinkedRoleIdleDays"]
	for n := -10; n < 4000; n++ {
		if got := n >= at(days, "MinValue").(int) && n <= at(days, "MaxValue").(int); got != (settings.IdleDays(n) == nil) {
			t.Errorf("%d days: the template takes them: %v, the code says %v", n, got, settings.IdleDays(n))
		}
	}
	if at(days, "Default") != 0 {
		t.Errorf("by default a service-linked role is deleted after %v days", at(days, "Default"))
	}
}

// CloudFormation holds each Region against the pattern.
func TestTheTemplateAndTheCodeTakeTheSameRegions(t *testing.T) {
	pattern := regexp.MustCompile(`\A(?:` + fmt.Sprint(at(load(t, home()).parameters["Regions"], "AllowedPattern")) + `)\z`)
	for _, name := range []string{
		"", "us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "us-isob-east-1", "eusc-de-east-1", "ap-southeast-12", "ap-southeast-123", "eu-west", "eu--1", "e-west-1",
		"europe-west-1", "EU-WEST-1", "eu-west-1a", "*", "eu-west-*", "eu-a-b-c-1", "eu-a-b-c-d-1", "eu-" + strings.Repeat("a", 20) + "-1", "eu-" + strings.Repeat("a", 21) + "-1",
	} {
		p, err := settings.ParseParameters(fmt.Appendf(nil, "Regions: [%q]", name), agent.Place{Partition: naming.Partition(name), Region: "us-east-1", Account: "123456789012"})
		if got := pattern.MatchString(name); got != (err == nil) {
			t.Errorf("%q: the template takes it: %v, the code says %v, %v", name, got, p.Regions, err)
		}
	}
}

// Schedules are those of EventBridge Scheduler that come again (user guide,
// "Schedule types"), in units that a rule would take as well.
func TestSchedulesComeAgain(t *testing.T) {
	p := load(t, home()).parameters["DriftSchedule"]
	pattern := regexp.MustCompile(`\A(?:` + fmt.Sprint(at(p, "AllowedPattern")) + `)\z`)
	for text, want := range map[string]bool{
		"rate(1 hour)": true, "rate(5 minutes)": true, "rate(1 minute)": true, "rate(24 hours)": true, "rate(7 days)": true, "rate(1 day)": true,
		"cron(0 6 * * ? *)": true, "cron(0/15 8-17 ? * MON-FRI *)": true, "cron(15 10 ? * 6L 2026-2030)": true, "cron(0 9 ? * 3#2 *)": true,
		"": false, "at(2026-11-23T06:00:00)": false, "rate(0 hours)": false, "rate(1 second)": false, "rate(30 seconds)": false, "rate(1.5 hours)": false,
		"1 hour": false, "cron(0 6 * * ?)": false, "cron(0 6 * * ? * *)": false, "cron()": false, "rate(1 hour": false, "rate(1 hour) ": false, "rate(1 hours)": false,
	} {
		if got := pattern.MatchString(text); got != want {
			t.Errorf("%q: the template takes it: %v, want %v", text, got, want)
		}
	}
}

func TestEveryParameterIsDocumentedWithItsDefault(t *testing.T) {
	data, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range load(t, home()).parameters {
		value := "`" + fmt.Sprint(at(p, "Default")) + "`"
		if value == "``" {
			value = "empty"
		}
		if row := "| `" + name + "` | " + value + " | "; strings.Count(string(data), row) != 1 {
			t.Errorf("docs/deploy.md has no row %q", row)
		}
	}
}
