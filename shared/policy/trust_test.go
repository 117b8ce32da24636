package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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

const core, account = "bedrock-agentcore.amazonaws.com", "123456789012"

func TestTrustBeyond(t *testing.T) {
	const tied = `"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}`
	trust := func(members string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + members + `}]}`
	}
	service := func(rest string) string {
		return trust(`"Principal":{"Service":"bedrock-agentcore.amazonaws.com"},` + rest)
	}
	condition := func(c string) string { return service(`"Action":"sts:AssumeRole","Condition":` + c) }
	arn := func(operator, value string) string {
		return condition(`{"` + operator + `":{"aws:SourceArn":"` + value + `"}}`)
	}
	fine := service(`"Action":"sts:AssumeRole",` + tied)
	const untied = "statement 1 does not tie bedrock-agentcore.amazonaws.com to account 123456789012 by aws:SourceAccount or aws:SourceArn"
	for name, c := range map[string]struct {
		document string
		want     []string
	}{
		"the service for the account":  {fine, nil},
		"in other letters":             {service(`"Action":["STS:assumerole"],"Condition":{"stringequals":{"AWS:sourceaccount":["123456789012"]}}`), nil},
		"with a further condition":     {condition(`{"StringLike":{"aws:SourceAccount":"123456789012"},"StringEquals":{"aws:PrincipalOrgID":"o"}}`), nil},
		"for the account's resources":  {arn("ArnLike", "arn:aws:bedrock-agentcore:*:123456789012:*"), nil},
		"for one resource":             {arn("ArnEquals", "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/a-0123456789"), nil},
		"for resources by plain text":  {arn("StringLike", "arn:aws:bedrock-agentcore:us-west-2:123456789012:*"), nil},
		"nobody":                       {`{"Statement":[]}`, nil},
		"and denied to others":         {strings.Replace(fine, "]}", `,{"Effect":"Deny","NotPrincipal":{"AWS":"x"},"NotAction":"y","Unless":1}]}`, 1), nil},
		"without conditions":           {service(`"Action":"sts:AssumeRole"`), []string{untied}},
		"for any account":              {condition(`{"StringLike":{"aws:SourceAccount":"*"}}`), []string{untied}},
		"for the account and another":  {condition(`{"StringEquals":{"aws:SourceAccount":["123456789012","210987654321"]}}`), []string{untied}},
		"for no account at all":        {condition(`{"StringEquals":{"aws:SourceAccount":[]}}`), []string{untied}},
		"if it says for which account": {condition(`{"StringEqualsIfExists":{"aws:SourceAccount":"123456789012"}}`), []string{untied}},
		"for all of no accounts":       {condition(`{"ForAllValues:StringEquals":{"aws:SourceAccount":"123456789012"}}`), []string{untied}},
		"for other accounts":           {condition(`{"StringNotEquals":{"aws:SourceAccount":"123456789012"}}`), []string{untied}},
		"another key":                  {condition(`{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}`), []string{untied}},
		"resources of any account":     {arn("ArnLike", "arn:aws:bedrock-agentcore:us-west-2:*:*"), []string{untied}},
		"the account somewhere":        {arn("StringLike", "arn:aws:*:123456789012:x:*"), []string{untied}},
		"the account in its place":     {arn("StringLike", "arn:aws:bedrock-agentcore:*:123456789012:*"), []string{untied}},
		"the account behind one letter": {
			arn("StringLike", "arn:aws:bedrock-agentcore:us-west-?:123456789012:*"), []string{untied},
		},
		"the account behind a variable":        {arn("ArnLike", "arn:aws:${aws:x}:123456789012:*"), []string{untied}},
		"the account where a variable puts it": {arn("StringLike", "arn:aws:${aws:x}:123456789012:*"), []string{untied}},
		"half an ARN":                          {arn("ArnLike", "arn:aws:bedrock-agentcore:us-west-2:123456789012"), []string{untied}},
		"an ARN unless there is none":          {arn("ArnLikeIfExists", "arn:aws:bedrock-agentcore:us-west-2:123456789012:*"), []string{untied}},
		"another service":                      {strings.Replace(fine, "bedrock-agentcore", "lambda", 1), []string{"statement 1 lets Service lambda.amazonaws.com assume the role"}},
		"a service more": {
			strings.Replace(fine, `"bedrock-agentcore.amazonaws.com"`, `["bedrock-agentcore.amazonaws.com","ec2.amazonaws.com"]`, 1),
			[]string{"statement 1 lets Service ec2.amazonaws.com assume the role"},
		},
		"the account's own principals": {
			strings.Replace(fine, `{"Service"`, `{"AWS":"arn:aws:iam::123456789012:root","Service"`, 1), []string{"statement 1 lets AWS 123456789012 assume the role"},
		},
		"everybody":      {trust(`"Principal":"*","Action":"sts:AssumeRole",` + tied), []string{"statement 1 lets AWS * assume the role"}},
		"an identity":    {strings.Replace(fine, "Service", "Federated", 1), []string{"statement 1 lets Federated bedrock-agentcore.amazonaws.com assume the role"}},
		"a canonical id": {trust(`"Principal":{"CanonicalUser":"0"},"Action":"sts:AssumeRole"`), []string{"statement 1 lets CanonicalUser 0 assume the role"}},
		"everybody else": {
			trust(`"NotPrincipal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole",` + tied),
			[]string{"statement 1 lets everybody assume the role that it does not name"},
		},
		"nobody in particular": {trust(`"Action":"sts:AssumeRole"`), []string{"statement 1 names no principal"}},
		"more actions": {
			service(`"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity","sts:*"],` + tied),
			[]string{"statement 1 allows sts:TagSession", "statement 1 allows sts:SetSourceIdentity", "statement 1 allows sts:*"},
		},
		"all other actions":   {service(`"NotAction":"sts:TagSession",` + tied), []string{"statement 1 allows everything but sts:TagSession"}},
		"an unknown element":  {service(`"Action":"sts:AssumeRole","Unless":1,` + tied), []string{`statement 1 has the element "Unless", which is not known`}},
		"an unknown document": {strings.Replace(fine, "{", `{"Unless":1,`, 1), []string{`it has the element "Unless", which is not known`}},
		"an unknown effect":   {strings.Replace(service(`"Action":"sts:AssumeRole"`), "Allow", "allow", 1), []string{untied}},
		"a second statement": {
			strings.Replace(fine, "]}", `,{"Effect":"Allow","Principal":{"AWS":"210987654321"},"Action":"sts:AssumeRole"}]}`, 1),
			[]string{"statement 2 lets AWS 210987654321 assume the role"},
		},
		"no document": {"{", []string{"read policy document: unexpected EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, policy.TrustBeyond(c.document, core, account)); diff != "" {
				t.Errorf("(-want +got)\n%s\n%s", diff, c.document)
			}
		})
	}
}

func TestTheToolkitsTrustsDoNotGoBeyond(t *testing.T) {
	for service, raw := range map[string]string{
		core: read(t, "../desired/testdata/toolkit/runtime-trust.json"), "codebuild.amazonaws.com": toolkitBuild(t)["trust"],
	} {
		if why := policy.TrustBeyond(raw, service, account); why != nil {
			t.Errorf("%s: %q", service, why)
		}
		if policy.TrustBeyond(raw, "lambda.amazonaws.com", account) == nil || policy.TrustBeyond(raw, service, "210987654321") == nil {
			t.Errorf("%s: fine for another service or account, too", service)
		}
	}
}

// holds is the definition of conditions: each must, for one of its values.
func holds(conditions policy.Conditions, context map[string]string) bool {
	all := judge{reaches["anywhere"]}
	segments := judge{reaches["never beyond its segment"]}
	for operator, keys := range conditions {
		for key, values := range keys {
			value, there := context[strings.ToLower(key)]
			met := false
			for _, v := range values {
				switch operator {
				case "StringEquals", "StringEqualsIfExists", "ForAllValues:StringEquals", "StringNotEquals":
					met = met || v == value
				case "StringLike":
					met = met || all.matches("x"+v, "x"+value) // not an ARN to be completed
				case "ArnLike", "ArnEquals":
					met = met || strings.Count(v, ":") >= 5 && segments.matches(v, value)
				}
			}
			switch operator {
			case "StringEqualsIfExists", "ForAllValues:StringEquals":
				met = met || !there
			case "StringNotEquals":
				met = !met
			default:
				met = met && there
			}
			if !met {
				return false
			}
		}
	}
	return true
}

func TestATrustThatIsFineLetsNobodyElseIn(t *testing.T) {
	const other = "210987654321"
	sourceARN := rapid.Custom(func(t *rapid.T) string {
		part := func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "part") }
		return strings.Join([]string{"arn", part("aws", "*"), part("s", "*", "?"), part("r", "*", "?"), part(account, account, other, "*"), part("x", "*", "y:"+account+":z")}, ":")
	})
	value := rapid.OneOf(rapid.SampledFrom([]string{account, account, other, "*", "1234*"}), sourceARN)
	condition := rapid.MapOfN(
		rapid.SampledFrom([]string{"StringEquals", "StringLike", "ArnLike", "ArnEquals", "StringNotEquals", "StringEqualsIfExists", "ForAllValues:StringEquals"}),
		rapid.MapOfN(rapid.SampledFrom([]string{"aws:SourceAccount", "AWS:SourceArn", "aws:other"}), rapid.SliceOfN(value, 1, 2), 1, 2), 0, 2)
	statement := rapid.Custom(func(t *rapid.T) policy.Statement {
		return policy.Statement{
			Effect: rapid.SampledFrom([]string{policy.Allow, policy.Allow, policy.Deny}).Draw(t, "effect"),
			Principals: policy.Principals{
				rapid.SampledFrom([]string{policy.Service, policy.Service, policy.Service, policy.AWS}).Draw(t, "kind"): {rapid.SampledFrom([]string{core, core, core, account}).Draw(t, "principal")},
			},
			Actions:    []string{rapid.SampledFrom([]string{"sts:AssumeRole", "sts:AssumeRole", "sts:AssumeRole", "sts:*"}).Draw(t, "action")},
			Conditions: condition.Draw(t, "conditions"),
		}
	})
	plainARN := rapid.SampledFrom([]string{
		"arn:aws:s:r:" + account + ":x", "arn:aws:s:r:" + other + ":x", "arn:aws:s:r:" + other + ":y:" + account + ":z", "arn:aws:s:" + other + ":" + other + ":" + account + ":x",
	})
	fine := 0
	rapid.Check(t, func(t *rapid.T) {
		d := policy.New(rapid.SliceOfN(statement, 1, 2).Draw(t, "statements")...)
		if policy.TrustBeyond(d.JSON(), core, account) != nil {
			return
		}
		fine++
		context := map[string]string{}
		if rapid.Bool().Draw(t, "says its account") {
			context["aws:sourceaccount"] = rapid.SampledFrom([]string{account, other, "123499999999"}).Draw(t, "source account")
		}
		if rapid.Bool().Draw(t, "says its ARN") {
			context["aws:sourcearn"] = plainARN.Draw(t, "source ARN")
		}
		bound := context["aws:sourceaccount"] == account || strings.HasPrefix(context["aws:sourcearn"], "arn:aws:s:r:"+account+":")
		for _, s := range d.Statements {
			others := s.Principals[policy.Service] == nil || s.Principals[policy.Service][0] != core || s.Actions[0] != "sts:AssumeRole"
			if s.Effect == policy.Allow && (others || holds(s.Conditions, context) && !bound) {
				t.Fatalf("%s is taken for fine and lets in %v", d.JSON(), context)
			}
		}
	})
	if fine < 5 {
		t.Errorf("only %d of the trusts were fine", fine)
	}
}

// The fuzzer looks for documents that the judgements disagree about.
func FuzzJudgements(f *testing.F) {
	f.Add(base)
	f.Add(`{"Statement":{"Effect":"Allow","NotAction":["iam:*"],"NotResource":["${a}","arn:aws:s3:::?*"],"Condition":{"Null":{"k":[]}}}}`)
	f.Add(`{"Statement":{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		why := policy.TrustBeyond(raw, core, account)
		d, err := policy.Parse(raw)
		if err != nil {
			if why == nil {
				t.Fatalf("%q cannot be read and is fine", raw)
			}
			return
		}
		denying := d
		denying.Statements = append(slices.Clone(d.Statements), policy.Statement{Effect: policy.Deny, Actions: []string{"*"}, Resources: []string{"*"}})
		if diff := cmp.Diff(why, policy.TrustBeyond(denying.JSON(), core, account)); diff != "" {
			t.Fatalf("a denial changes the judgement of %q:\n%s", raw, diff)
		}
		if diff := cmp.Diff(policy.Escalates(d), policy.Escalates(denying)); diff != "" {
			t.Fatalf("a denial changes the judgement of %q:\n%s", raw, diff)
		}
		var allowing policy.Document
		for _, g := range policy.Beyond(d) {
			allowing.Statements = append(allowing.Statements, g.Statement())
		}
		allowing.Version = d.Version
		if left := policy.Beyond(d, allowing); left != nil {
			t.Fatalf("%q grants more than its grants: %q", raw, words(left))
		}
	})
}
