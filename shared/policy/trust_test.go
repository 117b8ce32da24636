package policy_test

import (
	"strings"
	"testing"

	"rolekeeper/shared/policy"
)

func TestTrusts(t *testing.T) {
	const allow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"CONDITION}]}`
	with := func(condition string) string {
		if condition != "" {
			condition = `,"Condition":` + condition
		}
		return strings.Replace(allow, "CONDITION", condition, 1)
	}
	for name, c := range map[string]struct {
		document string
		want     bool
	}{
		"without conditions":                    {with(""), true},
		"for our account":                       {with(`{"StringEquals":{"aws:SourceAccount":"123456789012"}}`), true},
		"for our account in other letters":      {with(`{"stringequals":{"AWS:sourceaccount":["999999999999","123456789012"]}}`), true},
		"for another account":                   {with(`{"StringEquals":{"aws:SourceAccount":"999999999999"}}`), false},
		"for resources of our account":          {with(`{"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore:us-east-1:123456789012:*"}}`), true},
		"for resources of any account":          {with(`{"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore:*:*:*"}}`), true},
		"for resources of another account":      {with(`{"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore:us-east-1:999999999999:*"}}`), false},
		"for all but our account":               {with(`{"StringNotEquals":{"aws:SourceAccount":"123456789012"}}`), false},
		"for all but another account":           {with(`{"StringNotEquals":{"aws:SourceAccount":"999999999999"}}`), true},
		"with a condition we do not know":       {with(`{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), true},
		"another service":                       {strings.Replace(with(""), "bedrock-agentcore", "lambda", 1), false},
		"among other services":                  {strings.Replace(with(""), `"bedrock-agentcore.amazonaws.com"`, `["lambda.amazonaws.com","bedrock-agentcore.amazonaws.com"]`, 1), true},
		"another action":                        {strings.Replace(with(""), "sts:AssumeRole", "sts:TagSession", 1), false},
		"all of sts":                            {strings.Replace(with(""), "sts:AssumeRole", "sts:*", 1), true},
		"a denial":                              {strings.Replace(with(""), `"Allow"`, `"Deny"`, 1), false},
		"no document":                           {"{", false},
		"allowed, and denied to our account":    {strings.Replace(with(""), "}]}", `},{"Effect":"Deny","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`, 1), false},
		"with the account required to be there": {with(`{"StringEquals":{"aws:SourceAccount":"123456789012"},"Null":{"aws:SourceAccount":"false"}}`), true},
		"only without an account":               {with(`{"Null":{"aws:SourceAccount":"true"}}`), false},
		"for accounts like ours":                {with(`{"StringLike":{"aws:SourceAccount":"12345678*"}}`), true},
		"for accounts unlike ours":              {with(`{"StringLike":{"aws:SourceAccount":"9*"}}`), false},
		"for all of AWS":                        {with(`{"ArnLike":{"aws:SourceArn":"arn:aws:*"}}`), true},
		"for a function of the account":         {with(`{"ArnLike":{"aws:SourceArn":"arn:aws:lambda:us-east-1:123456789012:function:f"}}`), false},
		"half of an ARN":                        {with(`{"ArnLike":{"aws:SourceArn":"arn:aws:bedrock-agentcore"}}`), false},
		"actions by a wildcard":                 {strings.Replace(with(""), "sts:AssumeRole", "sts:Assume*", 1), true},
		"allowed, and denied without TLS":       {strings.Replace(with(""), "}]}", `},{"Effect":"Deny","Principal":"*","Action":"sts:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`, 1), true},
		"allowed, and denied to all but others": {strings.Replace(with(""), "}]}", `},{"Effect":"Deny","NotPrincipal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`, 1), false},
		"allowed, and denied to others":         {strings.Replace(with(""), "}]}", `},{"Effect":"Deny","NotPrincipal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`, 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.Trusts(c.document, "bedrock-agentcore.amazonaws.com", "123456789012"); got != c.want {
				t.Errorf("got %t, want %t: %s", got, c.want, c.document)
			}
		})
	}
}
