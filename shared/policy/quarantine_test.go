package policy_test

import (
	"strings"
	"testing"

	"rolekeeper/shared/policy"
)

const agentCore = "bedrock-agentcore.amazonaws.com"

func TestAQuarantineLetsNobodyIn(t *testing.T) {
	raw := policy.Quarantine(agentCore).JSON()
	const want = `{"Version":"2012-10-17","Statement":[{"Sid":"RolekeeperQuarantine","Effect":"Deny",` +
		`"Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	if raw != want {
		t.Errorf("got %s, want %s", raw, want)
	}
	if policy.Trusts(raw, agentCore, "123456789012") {
		t.Error("the service can assume the role")
	}
	if why := policy.TrustBeyond(raw, agentCore, "123456789012"); len(why) > 0 {
		t.Errorf("it is taken for a trust in others: %q", why)
	}
}

func TestQuarantined(t *testing.T) {
	quarantine := policy.Quarantine(agentCore).JSON()
	for name, c := range map[string]struct {
		raw  string
		want bool
	}{
		"as it is written":            {quarantine, true},
		"as IAM may spell it":         {`{ "Statement": {"Action":["STS:AssumeRole"],"Principal":{"Service":["bedrock-agentcore.amazonaws.com"]},"Effect":"Deny"}, "Version":"2012-10-17" }`, true},
		"of another service":          {strings.Replace(quarantine, "bedrock-agentcore", "codebuild", 1), false},
		"an allowance":                {strings.Replace(quarantine, "Deny", "Allow", 1), false},
		"of another action":           {strings.Replace(quarantine, "AssumeRole", "TagSession", 1), false},
		"under a condition":           {strings.Replace(quarantine, `"}]}`, `","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}]}`, 1), false},
		"beside an allowance":         {strings.Replace(quarantine, "}]}", `},{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}`, 1), false},
		"a trust that cannot be read": {"{", false},
		"none":                        {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.Quarantined(c.raw, agentCore); got != c.want {
				t.Errorf("got %t, want %t: %s", got, c.want, c.raw)
			}
		})
	}
}
