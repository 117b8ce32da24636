// Package settings reads what the stack tells its functions. All faults are
// reported together.
package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

// Intake is what functions/intake needs.
type Intake struct {
	Account       string `env:"ACCOUNT_ID,required,notEmpty"`
	Region        string `env:"AWS_REGION,required,notEmpty"`
	ConfigBucket  string `env:"CONFIG_BUCKET,required,notEmpty"`
	SourceBucket  string `env:"SOURCE_BUCKET,required,notEmpty"`
	InboxURL      string `env:"INBOX_QUEUE_URL,required,notEmpty"`
	InboxDeadURL  string `env:"INBOX_DEAD_LETTER_QUEUE_URL,required,notEmpty"`
	WorkURL       string `env:"WORK_QUEUE_URL,required,notEmpty"`
	ReconcileRole string `env:"RECONCILE_ROLE_ARN,required,notEmpty"` // of functions/reconcile, which alone writes agents' roles
}

// Shape is what decides beside a config what is made of its agents. Reconcile and
// the scheduled pass go by the same, or the pass would find what reconcile never
// mends.
type Shape struct {
	Account                  string          `env:"ACCOUNT_ID,required,notEmpty"`
	Partition                string          `env:"PARTITION,required,notEmpty"`
	Region                   string          `env:"AWS_REGION,required,notEmpty"`
	SourceBucket             string          `env:"SOURCE_BUCKET,required,notEmpty"`
	Profile                  desired.Profile `env:"PERMISSION_PROFILE,required,notEmpty"`
	PermissionsBoundary      string          `env:"PERMISSIONS_BOUNDARY_ARN,required,notEmpty"`
	EnsureServiceLinkedRoles bool            `env:"ENSURE_SERVICE_LINKED_ROLES,required,notEmpty"`
	ExistingRoles            plan.Existing   `env:"EXISTING_ROLES,required,notEmpty"`
	DriftMode                plan.DriftMode  `env:"DRIFT_MODE,required,notEmpty"`
	UnmanagedPolicies        plan.Unmanaged  `env:"UNMANAGED_POLICIES,required,notEmpty"`
	BuildImage               string          `env:"BUILD_IMAGE,required,notEmpty"`
	LogRetentionDays         int32           `env:"LOG_RETENTION_DAYS,required,notEmpty"` // of the logs of builds
	TeamTag                  string          `env:"TEAM_TAG"`                             // empty: there are no teams
	SettingsParameter        string          `env:"SETTINGS_PARAMETER,required,notEmpty"` // name of the parameter of Systems Manager that ParseParameters reads
}

// Reconcile is what functions/reconcile needs.
type Reconcile struct {
	Shape
	ConfigBucket       string        `env:"CONFIG_BUCKET,required,notEmpty"`
	InboxURL           string        `env:"INBOX_QUEUE_URL,required,notEmpty"`
	WorkURL            string        `env:"WORK_QUEUE_URL,required,notEmpty"`
	WorkDeadURL        string        `env:"WORK_DEAD_LETTER_QUEUE_URL,required,notEmpty"`
	GracePeriod        time.Duration `env:"GRACE_PERIOD,required,notEmpty"`
	MaxDeletesPerHour  int           `env:"MAX_DELETES_PER_HOUR,required,notEmpty"` // roles, over all configs
	DeleteRepositories bool          `env:"DELETE_REPOSITORIES,required,notEmpty"`
}

// Drift is what functions/drift needs.
type Drift struct {
	Shape
	ConfigBucket string        `env:"CONFIG_BUCKET,required,notEmpty"`
	WorkURL      string        `env:"WORK_QUEUE_URL,required,notEmpty"`
	MaxChanges   model.Portion `env:"MAX_CHANGES_PER_SWEEP,required,notEmpty"` // how much of the agents' roles a pass may have repaired
}

// Slrwatch is what functions/slrwatch needs.
type Slrwatch struct {
	Account           string `env:"ACCOUNT_ID,required,notEmpty"`
	Partition         string `env:"PARTITION,required,notEmpty"`
	Region            string `env:"AWS_REGION,required,notEmpty"`
	ConfigBucket      string `env:"CONFIG_BUCKET,required,notEmpty"`
	QueueURL          string `env:"SLRWATCH_QUEUE_URL,required,notEmpty"`
	DeadURL           string `env:"SLRWATCH_DEAD_LETTER_QUEUE_URL,required,notEmpty"`
	IdleDays          int    `env:"SERVICE_LINKED_ROLE_IDLE_DAYS,required,notEmpty"` // after which a role is deleted that nothing needs; 0: never
	SettingsParameter string `env:"SETTINGS_PARAMETER,required,notEmpty"`            // as that of Shape
}

// LoadIntake reads the settings of functions/intake from the environment given.
func LoadIntake(environ map[string]string) (Intake, error) {
	s, err := env.ParseAsWithOptions[Intake](env.Options{Environment: environ})
	err = errors.Join(err, account(s.Account), named("SOURCE_BUCKET", Bucket(s.SourceBucket)), queueURL("INBOX_QUEUE_URL", s.InboxURL),
		queueURL("INBOX_DEAD_LETTER_QUEUE_URL", s.InboxDeadURL), queueURL("WORK_QUEUE_URL", s.WorkURL),
		named("RECONCILE_ROLE_ARN", roleARN(s.ReconcileRole)))
	if err != nil {
		return Intake{}, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// LoadReconcile reads the settings of functions/reconcile from the environment given.
func LoadReconcile(environ map[string]string) (Reconcile, error) {
	s, err := env.ParseAsWithOptions[Reconcile](env.Options{Environment: environ})
	err = errors.Join(err, s.check(),
		named("GRACE_PERIOD", GracePeriod(environ["GRACE_PERIOD"])), named("MAX_DELETES_PER_HOUR", MaxDeletesPerHour(s.MaxDeletesPerHour)),
		queueURL("INBOX_QUEUE_URL", s.InboxURL), queueURL("WORK_QUEUE_URL", s.WorkURL), queueURL("WORK_DEAD_LETTER_QUEUE_URL", s.WorkDeadURL))
	if err != nil {
		return Reconcile{}, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// LoadDrift reads the settings of functions/drift from the environment given.
func LoadDrift(environ map[string]string) (Drift, error) {
	s, err := env.ParseAsWithOptions[Drift](env.Options{Environment: environ, FuncMap: map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[model.Portion](): func(text string) (any, error) { return model.ParsePortion(text) },
	}})
	if err := errors.Join(err, s.check(), queueURL("WORK_QUEUE_URL", s.WorkURL)); err != nil {
		return Drift{}, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// LoadSlrwatch reads the settings of functions/slrwatch from the environment given.
func LoadSlrwatch(environ map[string]string) (Slrwatch, error) {
	s, err := env.ParseAsWithOptions[Slrwatch](env.Options{Environment: environ})
	err = errors.Join(err, account(s.Account), queueURL("SLRWATCH_QUEUE_URL", s.QueueURL), queueURL("SLRWATCH_DEAD_LETTER_QUEUE_URL", s.DeadURL),
		named("SERVICE_LINKED_ROLE_IDLE_DAYS", IdleDays(s.IdleDays)))
	if err != nil {
		return Slrwatch{}, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// Place is where the stack is.
func (s Slrwatch) Place() agent.Place {
	return agent.Place{Partition: s.Partition, Region: s.Region, Account: s.Account}
}

// check says all that is wrong with values that are there.
func (s Shape) check() error {
	return errors.Join(account(s.Account), named("SOURCE_BUCKET", Bucket(s.SourceBucket)), named("PERMISSION_PROFILE", Profile(s.Profile)),
		named("PERMISSIONS_BOUNDARY_ARN", Boundary(s.PermissionsBoundary)), named("EXISTING_ROLES", Existing(s.ExistingRoles)),
		named("DRIFT_MODE", DriftMode(s.DriftMode)), named("UNMANAGED_POLICIES", Unmanaged(s.UnmanagedPolicies)),
		named("BUILD_IMAGE", BuildImage(s.BuildImage)), named("LOG_RETENTION_DAYS", RetentionDays(s.LogRetentionDays)), named("TEAM_TAG", TeamTag(s.TeamTag)))
}

// Env gives what shapes roles, repositories and projects beside a config.
func (s Shape) Env() desired.Env {
	return desired.Env{
		Place:               agent.Place{Partition: s.Partition, Region: s.Region, Account: s.Account},
		Profile:             s.Profile,
		PermissionsBoundary: s.PermissionsBoundary,
		SourceBucket:        s.SourceBucket,
		TeamTag:             s.TeamTag,
		BuildImage:          s.BuildImage,
		LogRetentionDays:    s.LogRetentionDays,
	}
}

// Hash gives a digest of the settings that shape roles, repositories and
// projects: when it differs from a status' own, they were made under other
// settings.
func (s Shape) Hash() (string, error) {
	shape, err := json.Marshal(struct {
		Env      desired.Env
		Services bool
	}{s.Env(), s.EnsureServiceLinkedRoles})
	if err != nil {
		return "", fmt.Errorf("settings: %w", err)
	}
	sum := sha256.Sum256(shape)
	return hex.EncodeToString(sum[:])[:16], nil
}

// The checks below are the template's patterns. They are no expressions, since
// those are compiled whenever a function starts.

const (
	digits       = "0123456789"
	lower        = "abcdefghijklmnopqrstuvwxyz"
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + lower + digits
)

// of reports whether a text has between least and most bytes, all of the set.
func of(text, set string, least, most int) bool {
	return least <= len(text) && len(text) <= most && strings.Trim(text, set) == ""
}

// An empty value is reported by the loader itself, so the checks let it pass.

func account(id string) error {
	if id == "" || of(id, digits, 12, 12) {
		return nil
	}
	return fmt.Errorf("ACCOUNT_ID: %q is not 12 digits", id)
}

func named(variable string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", variable, err)
}

// Profile says what is wrong with a permission profile; empty is not wrong.
func Profile(p desired.Profile) error {
	switch p {
	case "", desired.Scoped, desired.Toolkit:
		return nil
	}
	return fmt.Errorf("%q is neither %q nor %q", p, desired.Scoped, desired.Toolkit)
}

// Boundary says what is wrong with the ARN of a permissions boundary; empty is not wrong.
func Boundary(arn string) error {
	rest, ok := strings.CutPrefix(arn, "arn:aws")
	partition, rest, iam := strings.Cut(rest, ":iam::")
	account, path, policy := strings.Cut(rest, ":policy/")
	if arn == "" || ok && iam && policy && of(partition, lower+"-", 0, len(partition)) &&
		(account == "aws" || of(account, digits, 12, 12)) && of(path, alphanumeric+"_+=,.@/-", 1, 512) {
		return nil
	}
	return fmt.Errorf("%q is not the ARN of a managed policy", arn)
}

// roleARN says what is wrong with the ARN of a role; empty is not wrong.
func roleARN(arn string) error {
	rest, ok := strings.CutPrefix(arn, "arn:aws")
	partition, rest, iam := strings.Cut(rest, ":iam::")
	account, name, role := strings.Cut(rest, ":role/")
	if arn == "" || ok && iam && role && of(partition, lower+"-", 0, len(partition)) &&
		of(account, digits, 12, 12) && of(name, alphanumeric+"_+=,.@/-", 1, maxPrincipal) {
		return nil
	}
	return fmt.Errorf("%.700q is not the ARN of a role", arn)
}

// Bucket says what is wrong with the name of a bucket; empty is not wrong. The
// name becomes part of ARNs in policies, where a wildcard would widen them.
func Bucket(name string) error {
	if name == "" || of(name, lower+digits+".-", 3, 63) && strings.Trim(name, ".-") == name {
		return nil
	}
	return fmt.Errorf("%q is not the name of a bucket", name)
}

// BuildImage says what is wrong with the name of the image that builds run in;
// empty is not wrong. It is one of CodeBuild's own for builds with Docker on ARM.
func BuildImage(name string) error {
	rest, ok := strings.CutPrefix(name, "aws/codebuild/")
	system, version, arm := strings.Cut(rest, "-aarch64-standard:")
	if name == "" || len(name) <= 100 && ok && arm && of(system, lower+digits, 1, 100) &&
		of(version, alphanumeric+"._-", 1, 100) && strings.IndexByte(digits, version[0]) >= 0 {
		return nil
	}
	return fmt.Errorf("%.200q is not an image of CodeBuild's own for ARM, such as %s", name, DefaultBuildImage)
}

// The template's defaults.
const (
	DefaultBuildImage       = "aws/codebuild/amazonlinux-aarch64-standard:4.0"
	DefaultLogRetentionDays = 30

	DefaultGracePeriod       = 24 * time.Hour
	DefaultMaxDeletesPerHour = 20

	DefaultMaxChangesPercent = 10 // of the roles of agents
)

// RetentionDays says what is wrong with a number of days that logs are kept
// (CloudWatch Logs API reference, PutRetentionPolicy).
func RetentionDays(days int32) error {
	allowed := []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
	if slices.Contains(allowed, days) {
		return nil
	}
	return fmt.Errorf("logs cannot be kept for %d days: CloudWatch Logs knows %v", days, allowed)
}

// GracePeriod says what is wrong with the text of a grace period, a number of
// seconds, minutes or hours; empty is not wrong.
func GracePeriod(text string) error {
	number := strings.TrimRight(text, "smh")
	if text == "" || len(text) == len(number)+1 && of(number, digits, 1, 6) && number[0] != '0' {
		return nil
	}
	return fmt.Errorf("%.100q is not a whole number of at most 6 digits, more than 0, followed by s, m or h, such as 24h", text)
}

// MaxDeletesPerHour says what is wrong with a number of roles that may be
// deleted in an hour.
func MaxDeletesPerHour(n int) error {
	if 1 <= n && n <= 1000 {
		return nil
	}
	return fmt.Errorf("%d is not between 1 and 1000", n)
}

// IdleDays says what is wrong with a number of days after which a service-linked
// role is deleted that nothing needs; 0 is never.
func IdleDays(days int) error {
	if 0 <= days && days <= 3650 {
		return nil
	}
	return fmt.Errorf("%d is not between 0 and 3650", days)
}

// region says what is wrong with the name of a Region that is to be looked at
// beside that of the place. An account is of one partition.
func region(name string, place agent.Place) error {
	parts := strings.Split(name, "-")
	last := len(parts) - 1
	switch {
	case last < 2 || last > 4 || !of(parts[0], lower, 2, 4) || !of(parts[last], digits, 1, 2) ||
		slices.ContainsFunc(parts[1:last], func(word string) bool { return !of(word, lower, 1, 20) }):
		return fmt.Errorf("%.100q is not the name of a Region, such as eu-west-1", name)
	case naming.Partition(name) != place.Partition:
		return fmt.Errorf("%s is a Region of partition %s, and this account is of %s", name, naming.Partition(name), place.Partition)
	}
	return nil
}

// Existing says what is wrong with a way with existing roles; empty is not wrong.
func Existing(e plan.Existing) error {
	switch e {
	case "", plan.ReportExisting, plan.AdoptExisting, plan.RefuseExisting:
		return nil
	}
	return fmt.Errorf("%q is none of %q, %q and %q", e, plan.ReportExisting, plan.AdoptExisting, plan.RefuseExisting)
}

// DriftMode says what is wrong with what becomes of drift; empty is not wrong.
func DriftMode(m plan.DriftMode) error {
	switch m {
	case "", plan.RepairDrift, plan.ReportDrift:
		return nil
	}
	return fmt.Errorf("%q is neither %q nor %q", m, plan.RepairDrift, plan.ReportDrift)
}

// Unmanaged says what is wrong with what becomes of policies that others put on
// roles; empty is not wrong.
func Unmanaged(u plan.Unmanaged) error {
	switch u {
	case "", plan.ReportUnmanaged, plan.KeepUnmanaged, plan.RemoveUnmanaged:
		return nil
	}
	return fmt.Errorf("%q is none of %q, %q and %q", u, plan.ReportUnmanaged, plan.KeepUnmanaged, plan.RemoveUnmanaged)
}

const (
	maxTagKey = 128
	// maxPrincipal bounds what follows user/ or role/ in an ARN: path and name
	// (IAM API reference, CreateRole and CreateUser).
	maxPrincipal = 512 + 64
)

// TeamTag says what is wrong with the key of a principal tag; empty is not
// wrong. The key becomes part of condition keys in bucket policies (IAM User
// Guide, "Rules for tagging in IAM and AWS STS", without spaces).
func TeamTag(key string) error {
	if len(key) <= maxTagKey && strings.Trim(key, alphanumeric+"_.:/=+@-") == "" && !strings.HasPrefix(strings.ToLower(key), "aws:") {
		return nil
	}
	return fmt.Errorf("%.200q is not the key of a tag: keys have at most %d letters, digits and _.:/=+@- and do not begin with \"aws:\"", key, maxTagKey)
}

// flag says what is wrong with a parameter that is true or false; empty is not wrong.
func flag(s string) error {
	switch s {
	case "", "true", "false":
		return nil
	}
	return fmt.Errorf("%q is neither \"true\" nor \"false\"", s)
}

// operator says what is wrong with the ARN of a principal of the place that may
// write requests.
func operator(arn string, place agent.Place) error {
	prefix := fmt.Sprintf("arn:%s:iam::%s:", place.Partition, place.Account)
	rest, here := strings.CutPrefix(arn, prefix)
	kind, name, _ := strings.Cut(rest, "/")
	if here && (kind == "user" || kind == "role") && name != "" && len(name) <= maxPrincipal && strings.Trim(name, alphanumeric+"_+=,.@-/*") == "" {
		return nil
	}
	return fmt.Errorf("%.700q is not the ARN of an IAM user or role of this account: write %srole/NAME or %suser/NAME; * stands for any characters of the name", arn, prefix, prefix)
}

// asText gives a check of a named type of text as one of text.
func asText[T ~string](check func(T) error) func(string) error {
	return func(s string) error { return check(T(s)) }
}

func queueURL(name, url string) error {
	if url == "" || strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://127.0.0.1:") {
		return nil
	}
	return fmt.Errorf("%s: %q is not the URL of a queue", name, url)
}
