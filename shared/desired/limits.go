package desired

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

// tagText is what IAM accepts in tag keys and values (IAM User Guide, "Rules for
// tagging in IAM and AWS STS").
func tagText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r)
	}) < 0
}

// limits gives a problem for every quota of IAM that the role would break, so
// that no call is made which IAM must refuse halfway.
func limits(a agent.Agent, field string, r model.Role) []fault.Problem {
	var problems []fault.Problem
	problem := func(code, field, fix, format string, args ...any) {
		problems = append(problems, a.Problem(code, field, fmt.Sprintf("role %s: ", r.Name)+fmt.Sprintf(format, args...), fix))
	}
	if n := utf8.RuneCountInString(r.Name); n > policy.MaxRoleName {
		problem("role-name-too-long", "name", "bring a role of your own in "+field,
			"its name has %d characters, IAM allows %d", n, policy.MaxRoleName)
	}
	if n := utf8.RuneCountInString(r.Description); n > policy.MaxDescription {
		problem("description-too-long", "name", "shorten the agent's name",
			"its description has %d characters, IAM allows %d", n, policy.MaxDescription)
	}
	if n := r.Trust.Size(); n > policy.MaxTrust {
		problem("trust-too-large", field, "let agents that share this role have roles of their own", // it names the project of each
			"its trust policy has %d characters, IAM allows %d", n, policy.MaxTrust)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Policies)) {
		if n := utf8.RuneCountInString(name); n > policy.MaxPolicyName {
			problem("policy-name-too-long", "name", "shorten the agent's name",
				"the name of its policy %s has %d characters, IAM allows %d", name, n, policy.MaxPolicyName)
		}
	}
	size := 0
	for _, d := range r.Policies {
		size += d.Size()
	}
	if size > policy.MaxInlinePerRole {
		largest := largestStatement(r.Policies)
		at, fix := remedy(largest.Sid, field)
		problem("policy-too-large", at, fix,
			"its policies have %d characters, IAM allows %d; the largest part is %s with %d",
			size, policy.MaxInlinePerRole, largest.Sid, largest.Size())
	}
	if n := len(r.Tags); n > policy.MaxTags {
		problem("too-many-tags", "", "use fewer tags", "it has %d tags, IAM allows %d", n, policy.MaxTags)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		value := r.Tags[key]
		if utf8.RuneCountInString(key) > policy.MaxTagKey || utf8.RuneCountInString(value) > policy.MaxTagValue ||
			!tagText(key) || !tagText(value) {
			problem("tag-invalid", "", "upload the config under a key of at most 200 characters out of letters, digits and _.+=@/-",
				"its tag %s cannot be %.80q", key, value)
		}
	}
	return problems
}

func largestStatement(policies map[string]policy.Document) policy.Statement {
	var largest policy.Statement
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		for _, s := range policies[name].Statements {
			if s.Size() > largest.Size() {
				largest = s
			}
		}
	}
	return largest
}

// remedy gives the field that makes the statement large and what to do about it.
func remedy(sid, roleField string) (field, fix string) {
	const own = ", or let agents that share this role have roles of their own"
	switch strings.TrimRight(sid, "0123456789") {
	case "Models", "ModelsThroughProfiles":
		return "permissions.models", "name fewer models" + own
	case "BaseImages":
		return "permissions.base_images", "name fewer base images" + own
	case "AgentCalls":
		return "aws.protocol_configuration.server_protocol", "put agents that do not call each other into configs of their own"
	case "OAuth2Tokens", "APIKeys", "ProviderSecrets", "ResourceOAuth2TokenAccess", "CredentialProviderSecrets":
		return "identity.credential_providers", "name fewer credential providers" + own
	case "WebIdentityTokens", "WebIdentityTags", "GetWebIdentityToken", "TagGetWebIdentityToken":
		return "aws_jwt.audiences", "name fewer or shorter audiences" + own
	}
	return roleField, "let agents that share this role have roles of their own"
}
