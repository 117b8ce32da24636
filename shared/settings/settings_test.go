package settings

import (
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

const queues = "https://sqs.eu-west-1.amazonaws.com/123456789012/"

func intakeEnv() map[string]string {
	return map[string]string{
		"ACCOUNT_ID":                  "123456789012",
		"AWS_REGION":                  "eu-west-1",
		"CONFIG_BUCKET":               "configs",
		"SOURCE_BUCKET":               "sources",
		"INBOX_QUEUE_URL":             queues + "inbox",
		"INBOX_DEAD_LETTER_QUEUE_URL": queues + "inbox-dead",
		"WORK_QUEUE_URL":              queues + "work.fifo",
		"RECONCILE_ROLE_ARN":          "arn:aws:iam::123456789012:role/reconcile",
	}
}

// shapeEnv is what both that look at configs have.
func shapeEnv() map[string]string {
	return map[string]string{
		"ACCOUNT_ID":                  "123456789012",
		"PARTITION":                   "aws",
		"AWS_REGION":                  "eu-west-1",
		"CONFIG_BUCKET":               "configs",
		"SOURCE_BUCKET":               "sources",
		"WORK_QUEUE_URL":              queues + "work.fifo",
		"PERMISSION_PROFILE":          "scoped",
		"PERMISSIONS_BOUNDARY_ARN":    "arn:aws:iam::123456789012:policy/Boundary",
		"ENSURE_SERVICE_LINKED_ROLES": "true",
		"EXISTING_ROLES":              "adopt",
		"DRIFT_MODE":                  "report",
		"UNMANAGED_POLICIES":          "remove",
		"BUILD_IMAGE":                 "aws/codebuild/amazonlinux-aarch64-standard:3.0",
		"LOG_RETENTION_DAYS":          "14",
		"TEAM_TAG":                    "team",
		"SETTINGS_PARAMETER":          "/rolekeeper/stack/settings",
	}
}

func reconcileEnv() map[string]string {
	environ := shapeEnv()
	maps.Copy(environ, map[string]string{
		"INBOX_QUEUE_URL":            queues + "inbox",
		"WORK_DEAD_LETTER_QUEUE_URL": queues + "work-dead.fifo",
		"GRACE_PERIOD":               "90m",
		"MAX_DELETES_PER_HOUR":       "1000",
		"DELETE_REPOSITORIES":        "true",
	})
	return environ
}

func driftEnv() map[string]string { return with(shapeEnv(), "MAX_CHANGES_PER_SWEEP", "25%") }

func slrwatchEnv() map[string]string {
	return map[string]string{
		"ACCOUNT_ID":                     "123456789012",
		"PARTITION":                      "aws",
		"AWS_REGION":                     "eu-west-1",
		"CONFIG_BUCKET":                  "configs",
		"SLRWATCH_QUEUE_URL":             queues + "slrwatch",
		"SLRWATCH_DEAD_LETTER_QUEUE_URL": queues + "slrwatch-dead",
		"SERVICE_LINKED_ROLE_IDLE_DAYS":  "90",
		"SETTINGS_PARAMETER":             "/rolekeeper/stack/settings",
	}
}

func with(environ map[string]string, name, value string) map[string]string {
	environ = maps.Clone(environ)
	environ[name] = value
	return environ
}

// loaders gives each function's loader with an environment that it takes.
func loaders() map[string]struct {
	load func(map[string]string) error
	good map[string]string
} {
	return map[string]struct {
		load func(map[string]string) error
		good map[string]string
	}{
		"intake":    {func(e map[string]string) error { _, err := LoadIntake(e); return err }, intakeEnv()},
		"reconcile": {func(e map[string]string) error { _, err := LoadReconcile(e); return err }, reconcileEnv()},
		"drift":     {func(e map[string]string) error { _, err := LoadDrift(e); return err }, driftEnv()},
		"slrwatch":  {func(e map[string]string) error { _, err := LoadSlrwatch(e); return err }, slrwatchEnv()},
	}
}

func TestGoodEnvironmentsAreRead(t *testing.T) {
	intake, err := LoadIntake(with(intakeEnv(), "HOME", "/anything else is ignored"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Intake{
		Account: "123456789012", Region: "eu-west-1", ConfigBucket: "configs", SourceBucket: "sources",
		InboxURL: queues + "inbox", InboxDeadURL: queues + "inbox-dead", WorkURL: queues + "work.fifo",
		ReconcileRole: "arn:aws:iam::123456789012:role/reconcile",
	}, intake); diff != "" {
		t.Errorf("intake (-want +got)\n%s", diff)
	}
	reconcile, err := LoadReconcile(reconcileEnv())
	if err != nil {
		t.Fatal(err)
	}
	shape := Shape{
		Account: "123456789012", Partition: "aws", Region: "eu-west-1", SourceBucket: "sources",
		Profile: desired.Scoped, PermissionsBoundary: "arn:aws:iam::123456789012:policy/Boundary", EnsureServiceLinkedRoles: true,
		ExistingRoles: plan.AdoptExisting, DriftMode: plan.ReportDrift, UnmanagedPolicies: plan.RemoveUnmanaged,
		BuildImage: "aws/codebuild/amazonlinux-aarch64-standard:3.0", LogRetentionDays: 14,
		TeamTag: "team", SettingsParameter: "/rolekeeper/stack/settings",
	}
	if diff := cmp.Diff(Reconcile{
		Shape: shape, ConfigBucket: "configs",
		InboxURL: queues + "inbox", WorkURL: queues + "work.fifo", WorkDeadURL: queues + "work-dead.fifo",
		GracePeriod: 90 * time.Minute, MaxDeletesPerHour: 1000, DeleteRepositories: true,
	}, reconcile); diff != "" {
		t.Errorf("reconcile (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(desired.Env{
		Place:   agent.Place{Partition: "aws", Region: "eu-west-1", Account: "123456789012"},
		Profile: desired.Scoped, PermissionsBoundary: "arn:aws:iam::123456789012:policy/Boundary", SourceBucket: "sources", TeamTag: "team",
		BuildImage: "aws/codebuild/amazonlinux-aarch64-standard:3.0", LogRetentionDays: 14,
	}, reconcile.Env()); diff != "" {
		t.Errorf("what shapes them (-want +got)\n%s", diff)
	}
	drift, err := LoadDrift(driftEnv())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Drift{Shape: shape, ConfigBucket: "configs", WorkURL: queues + "work.fifo", MaxChanges: model.Portion{Percent: 25}}, drift); diff != "" {
		t.Errorf("drift (-want +got)\n%s", diff)
	}
	slrwatch, err := LoadSlrwatch(slrwatchEnv())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Slrwatch{
		Account: "123456789012", Partition: "aws", Region: "eu-west-1", ConfigBucket: "configs",
		QueueURL: queues + "slrwatch", DeadURL: queues + "slrwatch-dead", IdleDays: 90, SettingsParameter: "/rolekeeper/stack/settings",
	}, slrwatch); diff != "" {
		t.Errorf("slrwatch (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(agent.Place{Partition: "aws", Region: "eu-west-1", Account: "123456789012"}, slrwatch.Place()); diff != "" {
		t.Errorf("its place (-want +got)\n%s", diff)
	}
}

func TestEveryMissingVariableIsNamedAtOnce(t *testing.T) {
	for name, l := range loaders() {
		t.Run(name, func(t *testing.T) {
			if err := l.load(l.good); err != nil {
				t.Fatal(err)
			}
			err := l.load(nil)
			if err == nil {
				t.Fatal("an empty environment was taken")
			}
			for variable := range l.good {
				if variable == "TEAM_TAG" { // empty where there are no teams
					if err := l.load(with(l.good, variable, "")); err != nil {
						t.Error(err)
					}
					continue
				}
				if !strings.Contains(err.Error(), variable) {
					t.Errorf("%s is not named in: %v", variable, err)
				}
				// An empty value is none: CloudFormation writes one for an empty parameter.
				if err := l.load(with(l.good, variable, "")); err == nil || !strings.Contains(err.Error(), variable) {
					t.Errorf("%s empty: %v", variable, err)
				}
			}
		})
	}
}

func TestBadValuesAreRefusedTogether(t *testing.T) {
	bad := map[string]string{
		"ACCOUNT_ID":                  "12345678901",
		"PERMISSION_PROFILE":          "generous",
		"PERMISSIONS_BOUNDARY_ARN":    "arn:aws:iam::123456789012:role/NoPolicy",
		"SOURCE_BUCKET":               "sources*",
		"ENSURE_SERVICE_LINKED_ROLES": "perhaps",
		"EXISTING_ROLES":              "ignore",
		"DRIFT_MODE":                  "ignore",
		"UNMANAGED_POLICIES":          "delete",
		"MAX_CHANGES_PER_SWEEP":       "0%",
		"BUILD_IMAGE":                 "123456789012.dkr.ecr.eu-west-1.amazonaws.com/builder:1",
		"LOG_RETENTION_DAYS":          "31",
		"GRACE_PERIOD":                "1h30m",
		"MAX_DELETES_PER_HOUR":        "0",
		"DELETE_REPOSITORIES":         "some",
		"TEAM_TAG":                    "aws:team",
		"INBOX_QUEUE_URL":             "http://queues.example.com/inbox",
		"INBOX_DEAD_LETTER_QUEUE_URL": "inbox-dead",
		"WORK_QUEUE_URL":              "sqs://work",
		"RECONCILE_ROLE_ARN":          "arn:aws:sts::123456789012:assumed-role/reconcile/reconcile",
		"WORK_DEAD_LETTER_QUEUE_URL":  "ftp://work-dead",

		"SLRWATCH_QUEUE_URL":             "slrwatch",
		"SLRWATCH_DEAD_LETTER_QUEUE_URL": "http://queues.example.com/slrwatch-dead",
		"SERVICE_LINKED_ROLE_IDLE_DAYS":  "3651",
	}
	for name, l := range loaders() {
		t.Run(name, func(t *testing.T) {
			all := maps.Clone(l.good)
			for variable, value := range bad {
				if _, needed := l.good[variable]; !needed {
					continue
				}
				all[variable] = value
				if l.load(with(l.good, variable, value)) == nil {
					t.Errorf("%s=%s was taken", variable, value)
				}
			}
			err := l.load(all)
			if err == nil {
				t.Fatal("nothing but bad values was taken")
			}
			for variable := range bad {
				// What the environment's parser refuses is named by its field.
				word := strings.NewReplacer("ENSURE_SERVICE_LINKED_ROLES", "EnsureServiceLinkedRoles", "DELETE_REPOSITORIES", "DeleteRepositories",
					"MAX_CHANGES_PER_SWEEP", "MaxChanges").Replace(variable)
				if _, needed := l.good[variable]; needed && !strings.Contains(err.Error(), word) {
					t.Errorf("%s is not named in: %v", word, err)
				}
			}
		})
	}
}

func TestSingleValues(t *testing.T) {
	for arn, good := range map[string]bool{
		"": true,
		"arn:aws:iam::123456789012:policy/Boundary":                    true,
		"arn:aws-us-gov:iam::123456789012:policy/a/b/Team":             true,
		"arn:aws:iam::aws:policy/PowerUserAccess":                      true,
		"arn:aws:iam::123456789012:policy/":                            false,
		"arn:aws:iam::123456789012:policy/" + strings.Repeat("p", 512): true,
		"arn:aws:iam::123456789012:policy/" + strings.Repeat("p", 513): false,
		"arn:aws:iam::123456789012:policy/a b":                         false,
		"arn:aws:iam::123456789012:policy/a\n":                         false,
		"arn:aws:s3:::policy/a":                                        false,
		"Boundary":                                                     false,
	} {
		if err := Boundary(arn); (err == nil) != good {
			t.Errorf("Boundary(%q) = %v", arn, err)
		}
	}
	for arn, good := range map[string]bool{
		"": true, "arn:aws:iam::123456789012:role/rolekeeper-reconcile-us-east-1": true, "arn:aws-us-gov:iam::123456789012:role/a/b/c": true,
		"arn:aws:iam::aws:role/r": false, "arn:aws:iam::123456789012:role/": false, "arn:aws:iam::123456789012:role/a b": false, "arn:aws:iam::123456789012:role/*": false,
		"arn:aws:iam::123456789012:policy/r": false, "arn:aws:sts::123456789012:assumed-role/r/s": false, "r": false,
	} {
		if err := roleARN(arn); (err == nil) != good {
			t.Errorf("roleARN(%q) = %v", arn, err)
		}
	}
	for bucket, good := range map[string]bool{
		"": true, "abc": true, "bedrock-agentcore.sources-1": true, strings.Repeat("b", 63): true,
		strings.Repeat("b", 64): false, "ab": false, "x*": false, "xyz*": false, "${a}": false, "Sources": false,
		"-sources": false, "sources.": false, "sources/a": false, "sources\n": false,
	} {
		if err := Bucket(bucket); (err == nil) != good {
			t.Errorf("Bucket(%q) = %v", bucket, err)
		}
	}
	for tag, good := range map[string]bool{
		"": true, "team": true, "Cost-Center/x_y.z:1=+@": true, strings.Repeat("t", 128): true, "team:aws:": true, "aws": true,
		strings.Repeat("t", 129): false, "aws:team": false, "AWS:team": false, "my team": false, "team*": false, "${team}": false, "t\u00e9am": false, "team\n": false, "team\"": false,
	} {
		if err := TeamTag(tag); (err == nil) != good {
			t.Errorf("TeamTag(%q) = %v", tag, err)
		}
	}
	for existing, good := range map[plan.Existing]bool{
		"": true, plan.ReportExisting: true, plan.AdoptExisting: true, plan.RefuseExisting: true, "Report": false, "report ": false,
	} {
		if err := Existing(existing); (err == nil) != good {
			t.Errorf("Existing(%q) = %v", existing, err)
		}
	}
	for image, good := range map[string]bool{
		"": true, DefaultBuildImage: true, "aws/codebuild/amazonlinux2-aarch64-standard:3.0-24.10.29": true, "aws/codebuild/amazonlinux-aarch64-standard:4": true,
		"aws/codebuild/amazonlinux-aarch64-standard:" + strings.Repeat("4", 57): true, "aws/codebuild/amazonlinux-aarch64-standard:" + strings.Repeat("4", 58): false,
		"aws/codebuild/amazonlinux-x86_64-standard:5.0": false, "aws/codebuild/standard:7.0": false, "aws/codebuild/amazonlinux-aarch64-lambda-standard:go1.24": false,
		"aws/codebuild/amazonlinux-aarch64-standard": false, "aws/codebuild/amazonlinux-aarch64-standard:": false, "aws/codebuild/amazonlinux-aarch64-standard:latest": false,
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/aws/codebuild/a-aarch64-standard:4.0": false, "docker:latest": false, DefaultBuildImage + "\n": false, DefaultBuildImage + "$(x)": false,
	} {
		if err := BuildImage(image); (err == nil) != good {
			t.Errorf("BuildImage(%q) = %v", image, err)
		}
	}
	for days, good := range map[int32]bool{1: true, DefaultLogRetentionDays: true, 3653: true, 0: false, -1: false, 2: false, 31: false, 3654: false} {
		if err := RetentionDays(days); (err == nil) != good {
			t.Errorf("RetentionDays(%d) = %v", days, err)
		}
	}
	for period, good := range map[string]bool{
		"": true, "1s": true, "30m": true, "24h": true, "999999h": true,
		"0h": false, "024h": false, "1000000s": false, "h": false, "24": false, "1d": false, "24hh": false, "1h30m": false, "-1h": false, "1.5h": false, " 1h": false, "1h\n": false,
	} {
		if err := GracePeriod(period); (err == nil) != good {
			t.Errorf("GracePeriod(%q) = %v", period, err)
		}
	}
	for deletes, good := range map[int]bool{1: true, DefaultMaxDeletesPerHour: true, 1000: true, 0: false, -1: false, 1001: false} {
		if err := MaxDeletesPerHour(deletes); (err == nil) != good {
			t.Errorf("MaxDeletesPerHour(%d) = %v", deletes, err)
		}
	}
	for days, good := range map[int]bool{0: true, 1: true, 90: true, 3650: true, -1: false, 3651: false} {
		if err := IdleDays(days); (err == nil) != good {
			t.Errorf("IdleDays(%d) = %v", days, err)
		}
	}
	for mode, good := range map[plan.DriftMode]bool{"": true, plan.RepairDrift: true, plan.ReportDrift: true, "Repair": false, "repair ": false, "keep": false} {
		if err := DriftMode(mode); (err == nil) != good {
			t.Errorf("DriftMode(%q) = %v", mode, err)
		}
	}
	for unmanaged, good := range map[plan.Unmanaged]bool{
		"": true, plan.ReportUnmanaged: true, plan.KeepUnmanaged: true, plan.RemoveUnmanaged: true, "Remove": false, "repair": false,
	} {
		if err := Unmanaged(unmanaged); (err == nil) != good {
			t.Errorf("Unmanaged(%q) = %v", unmanaged, err)
		}
	}
	for profile, good := range map[desired.Profile]bool{
		"": true, desired.Scoped: true, desired.Toolkit: true, "Scoped": false, "scoped ": false,
	} {
		if err := Profile(profile); (err == nil) != good {
			t.Errorf("Profile(%q) = %v", profile, err)
		}
	}
}

// FuzzSingleValues holds the checks to the patterns of template.yaml.
func FuzzSingleValues(f *testing.F) {
	patterns := map[string]struct {
		pattern *regexp.Regexp
		most    int
		check   func(string) error
	}{
		"account":  {regexp.MustCompile(`\A(?:|[0-9]{12})\z`), 12, account},
		"boundary": {regexp.MustCompile(`\A(?:|arn:aws[a-z-]*:iam::(?:aws|[0-9]{12}):policy/[\w+=,.@/-]{1,512})\z`), 1 << 20, Boundary},
		"bucket":   {regexp.MustCompile(`\A(?:|[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\z`), 63, Bucket},
		"image":    {regexp.MustCompile(`\A(?:|aws/codebuild/[a-z0-9]+-aarch64-standard:[0-9][0-9A-Za-z._-]*)\z`), 100, BuildImage},
		"grace":    {regexp.MustCompile(`\A(?:|[1-9][0-9]{0,5}[smh])\z`), 7, GracePeriod},
		"region": {regexp.MustCompile(`\A[a-z]{2,4}(?:-[a-z]{1,20}){1,3}-[0-9]{1,2}\z`), 100, func(name string) error {
			return region(name, agent.Place{Partition: naming.Partition(name)})
		}},
	}
	for _, text := range []string{
		"", "123456789012", "arn:aws:iam::123456789012:policy/a/b", "arn:aws-cn:iam::aws:policy/x", "arn:aws:iam::aws:policy/:policy/x", "arn:aws:iam:::iam::aws:policy/x",
		"arn:aws:iam::123456789012:policy/" + strings.Repeat("p", 512), "abc", ".ab", "ab-", "a.b", DefaultBuildImage, DefaultBuildImage + "\n",
		"aws/codebuild/-aarch64-standard:4.0", "aws/codebuild/a-aarch64-standard:a", "aws/codebuild/a-aarch64-standard:4-aarch64-standard:5", "aws/codebuild/a-aarch64-standard:",
		"24h", "0s", "1000000m", "1h1",
		"eu-west-1", "us-gov-east-1", "us-isob-east-1", "eu-west-", "eu--1", "a-b-1", "us-east-123", "us-a-b-c-d-1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, p := range patterns {
			if want, err := len(text) <= p.most && p.pattern.MatchString(text), p.check(text); want != (err == nil) {
				t.Errorf("%s: %q: the template takes it: %v, the code says %v", name, text, want, err)
			}
		}
	})
}

func TestTheLocalAWSIsAnAllowedQueue(t *testing.T) {
	if err := queueURL("Q", "http://127.0.0.1:4566/123456789012/q"); err != nil {
		t.Error(err)
	}
}

func TestTheHashChangesWithWhatShapesTheAccountAndOnlyWithThat(t *testing.T) {
	hash := func(environ map[string]string) string {
		t.Helper()
		reconcile, err := LoadReconcile(environ)
		if err != nil {
			t.Fatal(err)
		}
		h, err := reconcile.Hash()
		if err != nil {
			t.Fatal(err)
		}
		drift, err := LoadDrift(with(environ, "MAX_CHANGES_PER_SWEEP", "7"))
		if err != nil {
			t.Fatal(err)
		}
		if other, err := drift.Hash(); other != h || err != nil {
			t.Errorf("the pass has %q, reconcile %q, %v", other, h, err)
		}
		if diff := cmp.Diff(reconcile.Env(), drift.Env()); diff != "" {
			t.Errorf("what shapes them (-reconcile +pass)\n%s", diff)
		}
		return h
	}
	base := hash(reconcileEnv())
	if len(base) != 16 || base != hash(reconcileEnv()) {
		t.Fatalf("hash %q is not steady", base)
	}
	changes := map[string]struct {
		value  string
		shapes bool
	}{
		"ACCOUNT_ID":                  {"210987654321", true},
		"PARTITION":                   {"aws-us-gov", true},
		"AWS_REGION":                  {"eu-west-2", true},
		"SOURCE_BUCKET":               {"other-sources", true},
		"PERMISSION_PROFILE":          {"toolkit", true},
		"PERMISSIONS_BOUNDARY_ARN":    {"arn:aws:iam::123456789012:policy/Other", true},
		"ENSURE_SERVICE_LINKED_ROLES": {"false", true},
		"TEAM_TAG":                    {"department", true},
		"BUILD_IMAGE":                 {DefaultBuildImage, true},
		"LOG_RETENTION_DAYS":          {"1", true},
		"GRACE_PERIOD":                {"24h", false},
		"MAX_DELETES_PER_HOUR":        {"20", false},
		"DELETE_REPOSITORIES":         {"false", false},
		"EXISTING_ROLES":              {"refuse", false},
		"DRIFT_MODE":                  {"repair", false},
		"UNMANAGED_POLICIES":          {"keep", false},
		"SETTINGS_PARAMETER":          {"/rolekeeper/other/settings", false},
		"CONFIG_BUCKET":               {"other-configs", false},
		"INBOX_QUEUE_URL":             {queues + "other", false},
		"WORK_QUEUE_URL":              {queues + "other.fifo", false},
		"WORK_DEAD_LETTER_QUEUE_URL":  {queues + "other-dead.fifo", false},
	}
	seen := map[string]string{base: "the base"}
	for variable := range reconcileEnv() {
		c, ok := changes[variable]
		if !ok {
			t.Errorf("%s: the test does not say whether it shapes anything", variable)
			continue
		}
		h := hash(with(reconcileEnv(), variable, c.value))
		if (h != base) != c.shapes {
			t.Errorf("%s: hash differs: %v, shapes the account: %v", variable, h != base, c.shapes)
		}
		if other, taken := seen[h]; taken && c.shapes {
			t.Errorf("%s has the hash of %s", variable, other)
		}
		seen[h] = variable
	}
}
