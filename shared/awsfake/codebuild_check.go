package awsfake

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// What names and values may be (API reference, CreateProject, Tag and
// EnvironmentVariable; the shortest of the bounds where its pages differ).
var (
	projectName  = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9\-_]{1,149}\z`)
	codeBuildTag = regexp.MustCompile(`\A[\p{L}\p{Z}\p{N}_.:/=@+\-]*\z`)
	variableName = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]*\z`)
)

// complete adds a project's defaults and refuses what CodeBuild refuses.
func (c *Cloud) complete(p *types.Project) error {
	keepOld(&p.TimeoutInMinutes, 60)
	keepOld(&p.QueuedTimeoutInMinutes, 480)
	keepOld(&p.EncryptionKey, "arn:"+c.Partition+":kms:"+c.Region+":"+c.Account+":alias/aws/s3")
	keepOld(&p.Cache, types.ProjectCache{Type: types.CacheTypeNoCache})
	keepOld(&p.LogsConfig, types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeEnabled}})
	if aws.ToInt32(p.ConcurrentBuildLimit) == -1 { // UpdateProject's "none"
		p.ConcurrentBuildLimit = nil
	}
	switch {
	case !projectName.MatchString(aws.ToString(p.Name)):
		return invalidInput("Project name %q does not match %s", aws.ToString(p.Name), projectName)
	case utf8.RuneCountInString(aws.ToString(p.Description)) > 255:
		return invalidInput("Description must have length less than or equal to 255")
	case *p.TimeoutInMinutes < 5 || *p.TimeoutInMinutes > 2160:
		return invalidInput("Invalid build timeout: must be 5 to 2160 minutes")
	case *p.QueuedTimeoutInMinutes < 5 || *p.QueuedTimeoutInMinutes > 480:
		return invalidInput("Invalid queued timeout: must be 5 to 480 minutes")
	}
	for _, check := range []func(types.Project) error{validSource, validArtifacts, validEnvironment, validTags, c.assumable} {
		if err := check(*p); err != nil {
			return err
		}
	}
	return nil
}

func keepOld[V any](old **V, initial V) {
	if *old == nil {
		*old = &initial
	}
}

func validSource(p types.Project) error {
	switch s := p.Source; {
	case s == nil || s.Type == "":
		return invalidInput("Project source is required")
	case s.Type == types.SourceTypeS3 && !s3Location(aws.ToString(s.Location)):
		return invalidInput("Invalid project source: location must be a valid S3 source")
	case s.ReportBuildStatus != nil:
		return invalidInput("Source type %s does not support ReportBuildStatus", s.Type)
	}
	return nil
}

func s3Location(location string) bool {
	bucket, key, found := strings.Cut(location, "/")
	return found && bucket != "" && key != ""
}

func validArtifacts(p types.Project) error {
	switch a := p.Artifacts; {
	case a == nil || a.Type == "":
		return invalidInput("Project artifacts are required")
	case a.Type == types.ArtifactsTypeNoArtifacts && (a.Location != nil || a.EncryptionDisabled != nil):
		return invalidInput("Invalid artifacts: artifact type NO_ARTIFACTS should have null location and encryptionDisabled")
	}
	return nil
}

func validEnvironment(p types.Project) error {
	e := p.Environment
	switch {
	case e == nil || e.Type == "" || e.ComputeType == "" || aws.ToString(e.Image) == "":
		return invalidInput("Project environment must have type, image and computeType")
	case !slices.Contains(e.Type.Values(), e.Type), !slices.Contains(e.ComputeType.Values(), e.ComputeType):
		return invalidInput("Invalid environment type %s or compute type %s", e.Type, e.ComputeType)
	}
	return validVariables(e.EnvironmentVariables)
}

func validVariables(all []types.EnvironmentVariable) error {
	for _, v := range all {
		name := aws.ToString(v.Name)
		if !variableName.MatchString(name) || v.Value == nil || v.Type != "" && !slices.Contains(v.Type.Values(), v.Type) {
			return invalidInput("Invalid environment variable %q", name)
		}
	}
	return nil
}

func validTags(p types.Project) error {
	if len(p.Tags) > 50 {
		return invalidInput("Cannot have more than 50 tags")
	}
	for _, t := range p.Tags {
		key, value := aws.ToString(t.Key), aws.ToString(t.Value)
		switch {
		case key == "" || utf8.RuneCountInString(key) > 127 || utf8.RuneCountInString(value) > 255:
			return invalidInput("Tag keys must have 1 to 127 characters, values up to 255")
		case !codeBuildTag.MatchString(key) || !codeBuildTag.MatchString(value):
			return invalidInput("Tag %q has characters that are not allowed", key)
		case strings.HasPrefix(key, "aws:"):
			return invalidInput("Tag keys that begin with aws: are reserved")
		}
	}
	return nil
}

// assumable refuses a project whose role CodeBuild cannot assume (user guide,
// "Troubleshooting AWS CodeBuild").
func (c *Cloud) assumable(p types.Project) error {
	role := aws.ToString(p.ServiceRole)
	if !strings.HasPrefix(role, "arn:"+c.Partition+":iam::"+c.Account+":role/") {
		return invalidInput("Invalid service role: Service role account ID does not match caller's account")
	}
	can := c.builds.assume
	if can == nil {
		can = c.canAssume
	}
	if !can(role, *p.Arn) {
		return invalidInput("CodeBuild is not authorized to perform: sts:AssumeRole on %s", role)
	}
	return nil
}

func (c *Cloud) canAssume(roleARN, projectARN string) bool {
	return c.trusting(roleARN, codeBuildService, projectARN)
}

// trusting reports whether a service can assume a role of the account for a
// resource.
func (c *Cloud) trusting(roleARN, service, source string) bool {
	r, ok := c.roles[strings.ToLower(roleARN[strings.LastIndexByte(roleARN, '/')+1:])]
	return ok && c.roleARN(r) == roleARN && !c.now.Before(r.created.Add(c.builds.settled)) && Trusts(r.trust, service, source, c.Account)
}

const codeBuildService = "codebuild.amazonaws.com"

// TrustsCodeBuild reports whether a trust policy lets CodeBuild assume the role
// for a project of the account.
func TrustsCodeBuild(trust, projectARN, account string) bool {
	return Trusts(trust, codeBuildService, projectARN, account)
}

// Trusts reports whether a trust policy lets a service assume the role for a
// resource of the account. Conditions on anything but aws:SourceArn and
// aws:SourceAccount do not hold.
func Trusts(trust, service, source, account string) bool {
	var d struct {
		Statement values[struct {
			Effect    string
			Action    values[string]
			Principal struct{ Service values[string] }
			Condition map[string]map[string]values[string]
		}]
	}
	if json.Unmarshal([]byte(trust), &d) != nil {
		return false
	}
	given := map[string]string{"aws:sourcearn": source, "aws:sourceaccount": account}
	allowed := false
	for _, s := range d.Statement {
		applies := slices.Contains(s.Action, "sts:AssumeRole") && slices.Contains(s.Principal.Service, service)
		for operator, keys := range s.Condition {
			for key, patterns := range keys {
				applies = applies && holds(operator, patterns, given[strings.ToLower(key)])
			}
		}
		if applies && s.Effect == "Deny" {
			return false
		}
		allowed = allowed || applies && s.Effect == "Allow"
	}
	return allowed
}

func holds(operator string, patterns []string, value string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		switch operator {
		case "StringEquals":
			return p == value
		case "StringLike", "ArnLike", "ArnEquals":
			expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
			return value != "" && regexp.MustCompile(`\A`+expr+`\z`).MatchString(value)
		}
		return false
	})
}

// values is one value or a list of them, as policies have them.
type values[V any] []V

// UnmarshalJSON reads either form.
func (l *values[V]) UnmarshalJSON(data []byte) error {
	var one V
	if json.Unmarshal(data, &one) == nil {
		*l = values[V]{one}
		return nil
	}
	return json.Unmarshal(data, (*[]V)(l))
}
