// Package naming derives every name that an agent's name decides. The names
// are the AgentCore starter toolkit's own, so that a role made by either is
// found by the other; its rules were measured on version 0.3.10.
package naming

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"rolekeeper/shared/expression"
)

// Prefixes of the roles that belong to agents. IAM permissions of the stack are
// granted on exactly these.
const (
	RuntimeRolePrefix = "AmazonBedrockAgentCoreSDKRuntime-"
	BuildRolePrefix   = "AmazonBedrockAgentCoreSDKCodeBuild-"
)

const maxAgentName = 48

var agentName = expression.Lazy(`\A[a-zA-Z][a-zA-Z0-9_]*\z`)

// ValidAgent reports whether name is what AgentCore accepts as agentRuntimeName
// (service model bedrock-agentcore-control 2023-06-05), anchored at both ends.
func ValidAgent(name string) bool { return len(name) <= maxAgentName && agentName().MatchString(name) }

// Hash gives the first 10 hex digits of the SHA-256 of the agent's name.
func Hash(agent string) string {
	sum := sha256.Sum256([]byte(agent))
	return hex.EncodeToString(sum[:])[:10]
}

// RuntimeRole gives the name of the agent's runtime role in a region.
func RuntimeRole(region, agent string) string {
	return RuntimeRolePrefix + region + "-" + Hash(agent)
}

// BuildRole gives the name of the agent's CodeBuild role in a region.
func BuildRole(region, agent string) string {
	return BuildRolePrefix + region + "-" + Hash(agent)
}

var roleName = expression.Lazy(`\AAmazonBedrockAgentCoreSDK(?:Runtime|CodeBuild)-([a-z0-9-]+)-([0-9a-f]{10})\z`)

// RoleHash gives the hash in a role name of ours for the region, and whether
// the name is one.
func RoleHash(region, role string) (hash string, ok bool) {
	m := roleName().FindStringSubmatch(role)
	if m == nil || m[1] != region {
		return "", false
	}
	return m[2], true
}

// RuntimePolicy gives the name of the inline policy with the agent's own needs.
func RuntimePolicy(agent string) string { return "BedrockAgentCoreRuntimeExecutionPolicy-" + agent }

// The toolkit's other inline policies.
const (
	BuildPolicy    = "CodeBuildExecutionPolicy"
	IdentityPolicy = "AgentCoreIdentityAccess"
	JWTPolicy      = "AgentCoreAwsJwtAccess"
)

var (
	unsafeChars = expression.Lazy(`[^a-z0-9_\-/]`)
	runs        = expression.Lazy(`[-_]{2,}`)
)

// Sanitise gives the agent's name in the form the toolkit uses for ECR
// repositories and CodeBuild projects. Different agents can share one form
// ("MyAgent", "myagent"); claims keep them apart.
func Sanitise(agent string) string {
	s := unsafeChars().ReplaceAllString(strings.ToLower(agent), "-")
	if s == "" || !alphanumeric(s[0]) {
		s = "a" + s
	}
	s = runs().ReplaceAllString(s, "-")
	s = strings.TrimRight(s, "-_")
	if len(s) < 2 {
		s += "-agent"
	}
	if len(s) > 200 {
		s = s[:200]
	}
	return s
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// Repository gives the name of the ECR repository of an agent whose config names none.
func Repository(agent string) string { return repositoryPrefix + Sanitise(agent) }

// Project gives the name of the agent's CodeBuild project.
func Project(agent string) string { return ProjectOf(Sanitise(agent)) }

// ProjectOf gives the same by the sanitised name of the agent.
func ProjectOf(sanitised string) string { return repositoryPrefix + sanitised + projectSuffix }

const projectSuffix = "-builder"

// LogGroup gives the name of the log group of a CodeBuild project, which is
// CodeBuild's own for it.
func LogGroup(project string) string { return "/aws/codebuild/" + project }

// SourceBucket gives the toolkit's name for the account's source bucket.
func SourceBucket(account, region string) string {
	return "bedrock-agentcore-codebuild-sources-" + account + "-" + region
}

// SettingsParameter gives the name of a stack's parameter of Systems Manager.
func SettingsParameter(stack string) string { return "/rolekeeper/" + stack + "/settings" }

// RoleOf gives the name of the role that an ARN is of.
func RoleOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// ConfigBucket gives the name of the bucket that configs are uploaded to.
func ConfigBucket(account, region string) string {
	return "bedrock-agentcore-configs-" + account + "-" + region
}

// SourceKey gives the key of the agent's source in the source bucket. The team
// is empty where there are none: the key is then the toolkit's own.
func SourceKey(team, agent string) string {
	key := agent + "/source.zip"
	if team != "" {
		key = team + "/" + key
	}
	return key
}

// SplitSourceKey gives the agent whose source a key is of, and the folder of its
// team when it is in one.
func SplitSourceKey(key string) (team, agent string, ok bool) {
	rest, ok := strings.CutSuffix(key, "/source.zip")
	if !ok {
		return "", "", false
	}
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		team, rest = rest[:i], rest[i+1:]
		if team == "" || strings.Contains(team, "/") {
			return "", "", false
		}
	}
	return team, rest, ValidAgent(rest)
}

// Partition gives the partition that a region belongs to. Source: the prefixes
// in partitions.json of the AWS SDK for Go v2, version 1.47.
func Partition(region string) string {
	prefix, rest, _ := strings.Cut(region, "-")
	second, _, _ := strings.Cut(rest, "-")
	switch prefix + "-" + second {
	case "us-gov":
		return "aws-us-gov"
	case "us-iso":
		return "aws-iso"
	case "us-isob":
		return "aws-iso-b"
	case "eu-isoe":
		return "aws-iso-e"
	case "us-isof":
		return "aws-iso-f"
	}
	switch prefix {
	case "cn":
		return "aws-cn"
	case "eusc":
		return "aws-eusc"
	}
	return "aws"
}

// Boundary gives the name of the managed policy that the stack makes as the
// permissions boundary of all roles in a region.
func Boundary(region string) string { return "RolekeeperAgentBoundary-" + region }
