package naming

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Prefixes in the config bucket.
const (
	ConfigPrefix  = "configs/"
	StatusPrefix  = "status/"
	ClaimPrefix   = "claims/"
	ArchivePrefix = "archive/"
	RequestPrefix = "requests/"

	// InventoryKey is the object with what holds agents' roles.
	InventoryKey = "inventory/uses.json"
	// DeletionsKey is the object that counts the roles deleted of late.
	DeletionsKey = "counters/deletions.json"

	RoleClaimPrefix  = ClaimPrefix + "roles/"
	ClaimIndexPrefix = ClaimPrefix + "configs/"

	// ProjectClaimPrefix is where the claims on projects are, by the sanitised names of agents.
	ProjectClaimPrefix = ClaimPrefix + "projects/"

	// DriftReportPrefix is where each scheduled pass leaves what it found.
	DriftReportPrefix = "reports/drift/"
	// LatestReportKey is the page that people read; LatestPassKey has the same as data.
	LatestReportKey = "reports/latest.html"
	LatestPassKey   = "reports/latest.json"
	// FleetRequestPrefix is where operators' requests are that are for no single config.
	FleetRequestPrefix = RequestPrefix + "fleet/"

	// LinkedKey is the object with what is known of the service-linked roles, and
	// LinkedPrefix is where it and what it was made of are.
	LinkedPrefix = "slr/"
	LinkedKey    = LinkedPrefix + "service-linked-roles.json"
)

// MaxConfigKey is the longest config key in bytes. It leaves room for the
// status key within S3's 1,024 bytes and for the tag value within IAM's 256.
const MaxConfigKey = 200

// CheckConfigKey says what is wrong with the key of a config, nil when nothing
// is. The characters allowed are those that an IAM tag value may also hold.
func CheckConfigKey(key string) error {
	rest, ok := strings.CutPrefix(key, ConfigPrefix)
	switch {
	case !ok:
		return fmt.Errorf("config key %.220q does not begin with %q", key, ConfigPrefix)
	case rest == "" || strings.HasSuffix(rest, "/"):
		return fmt.Errorf("config key %.220q names a folder", key)
	case len(key) > MaxConfigKey:
		return fmt.Errorf("config key %.220q has %d bytes; at most %d are allowed", key, len(key), MaxConfigKey)
	}
	for i, r := range key {
		if r >= utf8.RuneSelf || !keyByte(key[i]) {
			return fmt.Errorf("config key %q has %+q at byte %d; allowed are letters, digits and _ . + = @ / -", key, r, i)
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("config key %q has the segment %q", key, segment)
		}
	}
	return nil
}

func keyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.+=@/-", c) >= 0
}

// Team gives the team that a config belongs to where there are teams: the first
// segment of its key below ConfigPrefix, empty for a config that stands in no
// folder.
func Team(configKey string) string {
	team, _, ok := strings.Cut(strings.TrimPrefix(configKey, ConfigPrefix), "/")
	if !ok {
		return ""
	}
	return team
}

// ConfigID gives the hex SHA-256 of a config's key: its message group, and its
// name where a key does not fit.
func ConfigID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// StatusKey gives the key of the status of a config.
func StatusKey(configKey string) string {
	return StatusPrefix + strings.TrimPrefix(configKey, ConfigPrefix) + ".json"
}

// ConfigKeyOf gives the config key that a status key answers, and whether it is a status key.
func ConfigKeyOf(statusKey string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(statusKey, StatusPrefix)
	if !ok {
		return "", false
	}
	rest, ok = strings.CutSuffix(rest, ".json")
	return ConfigPrefix + rest, ok
}

// RoleClaimKey gives the key of the claim on an agent's name, and with it on both of its roles.
func RoleClaimKey(agent string) string { return RoleClaimKeyOf(Hash(agent)) }

// RoleClaimKeyOf gives the key of the claim on the roles with the hash.
func RoleClaimKeyOf(hash string) string { return RoleClaimPrefix + hash + ".json" }

// ProjectClaimKey gives the key of the claim on a container agent's CodeBuild project.
func ProjectClaimKey(agent string) string { return projectClaimKey(Sanitise(agent)) }

func projectClaimKey(sanitised string) string { return ProjectClaimPrefix + sanitised + ".json" }

// ProjectClaimKeyOf gives the key of the claim on a CodeBuild project, and
// whether its name is one that agents' projects have.
func ProjectClaimKeyOf(project string) (key string, ok bool) {
	sanitised, prefixed := strings.CutPrefix(project, repositoryPrefix)
	sanitised, ok = strings.CutSuffix(sanitised, projectSuffix)
	agent := strings.ReplaceAll(sanitised, "-", "__") // the shortest name with this form
	if !prefixed || !ok || !ValidAgent(agent) || Sanitise(agent) != sanitised {
		return "", false
	}
	return projectClaimKey(sanitised), true
}

const repositoryPrefix = "bedrock-agentcore-"

// RepositoryClaimKey gives the key of the claim whose agent has the ECR
// repository by default: that on its project, which is named after the agent in
// the same way. Other repositories have none.
func RepositoryClaimKey(repository string) (key string, ok bool) {
	sanitised, ok := strings.CutPrefix(repository, repositoryPrefix)
	return projectClaimKey(sanitised), ok
}

// ClaimIndexKey gives the key of the list of claims that a config may hold.
func ClaimIndexKey(configKey string) string {
	return ClaimIndexPrefix + ConfigID(configKey) + ".json"
}

// requestPrefix is where requests for single configs are.
const requestPrefix = RequestPrefix + "config/"

// ConfigRequests gives the prefix of the operators' requests for a config.
func ConfigRequests(configKey string) string { return requestPrefix + ConfigID(configKey) + "/" }

// RequestKey gives the key of an operator's request for a config.
func RequestKey(configKey, id string) string { return ConfigRequests(configKey) + id + ".json" }

// SplitRequestKey gives the ConfigID and the id of the request that a key is
// of, and whether it is a key of a request for a config.
func SplitRequestKey(key string) (config, id string, ok bool) {
	rest, ok := strings.CutPrefix(key, requestPrefix)
	if !ok {
		return "", "", false
	}
	config, id, ok = strings.Cut(rest, "/")
	if !ok || strings.Contains(id, "/") || len(config) != hex.EncodedLen(sha256.Size) {
		return "", "", false
	}
	id, ok = strings.CutSuffix(id, ".json")
	return config, id, ok && id != ""
}

// FleetRequestKey gives the key of an operator's request for the whole fleet.
func FleetRequestKey(id string) string { return FleetRequestPrefix + id + ".json" }

// ResourcesKey gives the key of the resources of AgentCore that were last read in a
// Region.
func ResourcesKey(region string) string { return LinkedPrefix + "resources/" + region + ".json" }

// DriftReportKey gives the key of what the pass found that began at a time.
func DriftReportKey(at time.Time) string {
	return DriftReportPrefix + at.UTC().Format("20060102T150405.000Z") + ".json"
}

// ArchivedRole gives the prefix of the archives of a role.
func ArchivedRole(role string) string { return ArchivePrefix + role + "/" }

// RuntimeAgent gives the name of the agent that a runtime is of by its id, which
// is the runtime's name, a hyphen and ten characters (service model,
// agentRuntimeId); not ok when no agent can have the name.
func RuntimeAgent(runtimeID string) (agent string, ok bool) {
	agent, suffix, ok := strings.Cut(runtimeID, "-")
	if !ok || len(suffix) != runtimeSuffix || strings.Trim(suffix, alphanumerics) != "" || !ValidAgent(agent) {
		return "", false
	}
	return agent, true
}

const (
	runtimeSuffix = 10
	alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)
