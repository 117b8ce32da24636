package simulate_test

import (
	"os"
	"testing"

	"rolekeeper/local/simulate"
	"rolekeeper/shared/policy"
)

// run decides the requests. Without the simulator's library the test is
// skipped, unless ROLEKEEPER_FULL=1 asks for every test.
func run(t *testing.T, requests []simulate.Request) []simulate.Result {
	t.Helper()
	if !simulate.Installed(".") {
		const missing = "the IAM simulator is not installed: run npm ci --prefix local/simulate"
		if os.Getenv("ROLEKEEPER_FULL") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	results, err := simulate.Run(t.Context(), ".", requests)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func grant(action, resource string) policy.Statement {
	return policy.Statement{Effect: policy.Allow, Actions: []string{action}, Resources: []string{resource}}
}

// Answers that AWS documents: the tests of the profiles are worth what these are.
func TestTheSimulatorDecidesAsIAMDoes(t *testing.T) {
	const (
		secret = "arn:aws:secretsmanager:us-west-2:123456789012:secret:bedrock-agentcore-identity!default/oauth2/"
		object = "arn:aws:s3:::b/k"
	)
	read := policy.New(grant("s3:GetObject", "arn:aws:s3:::b/*")).JSON()
	everything := policy.New(grant("*", "*")).JSON()
	conditioned := policy.New(grant("s3:GetObject", "*").With("StringEquals", "s3:ResourceAccount", "123456789012")).JSON()
	suffixed := policy.New(grant("secretsmanager:GetSecretValue", secret+"git-??????")).JSON()
	audience := policy.New(grant("sts:GetWebIdentityToken", "*").
		With("ForAllValues:StringEquals", "sts:IdentityTokenAudience", "one", "two").
		With("Null", "sts:IdentityTokenAudience", "false")).JSON()
	forbidden := policy.New(
		grant("s3:*", "*"), policy.Statement{Effect: policy.Deny, Actions: []string{"s3:GetObject"}, Resources: []string{object}},
	).JSON()
	cases := map[string]struct {
		request simulate.Request
		want    bool
	}{
		"no policy":                               {simulate.Request{Action: "s3:GetObject", Resource: object}, false},
		"a grant":                                 {simulate.Request{Policies: []string{read}, Action: "s3:GetObject", Resource: object}, true},
		"a grant of another action":               {simulate.Request{Policies: []string{read}, Action: "s3:PutObject", Resource: object}, false},
		"a grant on another resource":             {simulate.Request{Policies: []string{read}, Action: "s3:GetObject", Resource: "arn:aws:s3:::c/k"}, false},
		"the action's name in another case":       {simulate.Request{Policies: []string{read}, Action: "S3:getobject", Resource: object}, true},
		"a grant in the second policy":            {simulate.Request{Policies: []string{suffixed, read}, Action: "s3:GetObject", Resource: object}, true},
		"a denial beats a grant":                  {simulate.Request{Policies: []string{everything, forbidden}, Action: "s3:GetObject", Resource: object}, false},
		"a boundary that allows it too":           {simulate.Request{Policies: []string{everything}, Boundary: read, Action: "s3:GetObject", Resource: object}, true},
		"a boundary that does not":                {simulate.Request{Policies: []string{everything}, Boundary: read, Action: "s3:PutObject", Resource: object}, false},
		"a boundary alone grants nothing":         {simulate.Request{Boundary: read, Action: "s3:GetObject", Resource: object}, false},
		"a condition that holds":                  {simulate.Request{Policies: []string{conditioned}, Action: "s3:GetObject", Resource: object, Context: map[string]any{"s3:ResourceAccount": "123456789012"}}, true},
		"a condition that does not":               {simulate.Request{Policies: []string{conditioned}, Action: "s3:GetObject", Resource: object, Context: map[string]any{"s3:ResourceAccount": "210987654321"}}, false},
		"a condition without its key":             {simulate.Request{Policies: []string{conditioned}, Action: "s3:GetObject", Resource: object}, false},
		"six question marks match six characters": {simulate.Request{Policies: []string{suffixed}, Action: "secretsmanager:GetSecretValue", Resource: secret + "git-AbCdEf"}, true},
		"and not seven":                           {simulate.Request{Policies: []string{suffixed}, Action: "secretsmanager:GetSecretValue", Resource: secret + "git-AbCdEfg"}, false},
		"and no longer name":                      {simulate.Request{Policies: []string{suffixed}, Action: "secretsmanager:GetSecretValue", Resource: secret + "git-hub-AbCdEf"}, false},
		"all values of a key":                     {simulate.Request{Policies: []string{audience}, Action: "sts:GetWebIdentityToken", Resource: "*", Context: map[string]any{"sts:IdentityTokenAudience": []string{"two", "one"}}}, true},
		"one value too many":                      {simulate.Request{Policies: []string{audience}, Action: "sts:GetWebIdentityToken", Resource: "*", Context: map[string]any{"sts:IdentityTokenAudience": []string{"one", "three"}}}, false},
		"none of the values":                      {simulate.Request{Policies: []string{audience}, Action: "sts:GetWebIdentityToken", Resource: "*"}, false},
	}
	for _, checked := range []bool{false, true} {
		var names []string
		var requests []simulate.Request
		for name, c := range cases {
			c.request.Checked = checked
			names, requests = append(names, name), append(requests, c.request)
		}
		for i, got := range run(t, requests) {
			if got.Error != "" || got.Allowed != cases[names[i]].want {
				t.Errorf("%s (checked %v): %+v, want %v", names[i], checked, got, cases[names[i]].want)
			}
		}
	}
}

func TestWhatAWSDoesNotHaveIsAnError(t *testing.T) {
	everything := []string{policy.New(grant("*", "*")).JSON()}
	for _, r := range []simulate.Request{
		{Policies: everything, Action: "s3:GetObjects", Resource: "arn:aws:s3:::b/k", Checked: true},
		{Policies: everything, Action: "s3:GetObject", Resource: "arn:aws:ecr:us-west-2:123456789012:repository/r", Checked: true},
		{Policies: everything, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Checked: true, Context: map[string]any{"sts:DurationSeconds": "1"}},
		{Policies: everything, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/*"},
		{Policies: everything, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/*", Checked: true},
		{Policies: []string{`{"Statement":[{"Effect":"Perhaps"}]}`}, Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k", Checked: true},
	} {
		if got := run(t, []simulate.Request{r})[0]; got.Error == "" || got.Allowed {
			t.Errorf("%s on %s: %+v, want an error", r.Action, r.Resource, got)
		}
	}
}

// Bucket and queue policies as template.yaml has them.
func TestThePolicyOfAResourceDecidesToo(t *testing.T) {
	const (
		writer, other = "arn:aws:iam::123456789012:role/writer", "arn:aws:iam::123456789012:role/other"
		object        = "arn:aws:s3:::b/k"
		queue, rule   = "arn:aws:sqs:us-east-1:123456789012:q", "arn:aws:events:us-east-1:123456789012:rule/r"
	)
	everything := []string{policy.New(grant("*", "*")).JSON()}
	everybody := policy.Principals{"AWS": {"*"}}
	deny := func(action string) policy.Statement {
		return policy.Statement{Effect: policy.Deny, Principals: everybody, Actions: []string{action}, Resources: []string{"arn:aws:s3:::b/*"}}
	}
	onlyWriter := policy.New(deny("s3:PutObject*").With("ArnNotEquals", "aws:PrincipalArn", writer)).JSON()
	onlyTLS := policy.New(deny("s3:*").With("Bool", "aws:SecureTransport", "false")).JSON()
	once := policy.New(deny("s3:PutObject").With("Null", "s3:if-none-match", "true")).JSON()
	elsewhere := policy.New(policy.Statement{Effect: policy.Deny, Principals: everybody, Actions: []string{"s3:PutObject*"}, NotResources: []string{"arn:aws:s3:::b/k*"}}).JSON()
	folder := policy.New(policy.Statement{
		Effect: policy.Deny, Principals: everybody, Actions: []string{"s3:PutObject*"}, NotResources: []string{"arn:aws:s3:::b/${aws:PrincipalTag/team}/*"},
	}).JSON()
	someTeam := policy.New(deny("s3:PutObject*").With("StringNotLike", "aws:PrincipalTag/team", "?*")).JSON()
	noPath := policy.New(deny("s3:PutObject*").With("StringLike", "aws:PrincipalTag/team", "*/*")).JSON()
	operators := policy.New(deny("s3:PutObject*").With("ArnNotLike", "aws:PrincipalArn", writer, "arn:aws:iam::123456789012:role/sso/*/Operators_*")).JSON()
	delivers := policy.New(policy.Statement{
		Effect: policy.Allow, Principals: policy.Principals{"Service": {"events.amazonaws.com"}}, Actions: []string{"sqs:SendMessage"}, Resources: []string{queue},
	}.With("ArnEquals", "aws:SourceArn", rule)).JSON()
	as := func(arn string) map[string]any { return map[string]any{"aws:PrincipalArn": arn} }
	put := simulate.Request{Principal: writer, Policies: everything, Action: "s3:PutObject", Resource: object, Context: as(writer)}
	with := func(r simulate.Request, change func(*simulate.Request)) simulate.Request {
		r.Checked = true
		change(&r)
		return r
	}
	send := simulate.Request{Principal: "events.amazonaws.com", ResourcePolicy: delivers, Action: "sqs:SendMessage", Resource: queue, Context: map[string]any{"aws:SourceArn": rule}}
	tagged := func(team, key string) simulate.Request {
		return with(put, func(r *simulate.Request) {
			r.ResourcePolicy, r.Resource, r.Context = folder, "arn:aws:s3:::b/"+key, map[string]any{"aws:PrincipalTag/team": team}
		})
	}
	wants := func(document string, context map[string]any) simulate.Request {
		return with(put, func(r *simulate.Request) { r.ResourcePolicy, r.Context = document, context })
	}
	cases := map[string]struct {
		request simulate.Request
		want    bool
	}{
		"a folder named by the tag":    {tagged("team", "team/k"), true},
		"another's folder":             {tagged("team", "others/k"), false},
		"a folder whose name goes on":  {tagged("team", "team2/k"), false},
		"a tag that is like a pattern": {tagged("?", "t/k"), false},
		"a tag that is a path":         {tagged("a/b", "a/b/k"), true},
		"a path is denied by its own":  {wants(noPath, map[string]any{"aws:PrincipalTag/team": "a/b"}), false},
		"a slash alone is a path":      {wants(noPath, map[string]any{"aws:PrincipalTag/team": "/"}), false},
		"a name is none":               {wants(noPath, map[string]any{"aws:PrincipalTag/team": "a"}), true},
		"no tag is none":               {wants(noPath, nil), true},
		"some tag":                     {wants(someTeam, map[string]any{"aws:PrincipalTag/team": "a"}), true},
		"no tag is like nothing":       {wants(someTeam, nil), false},
		"an empty tag is no character": {wants(someTeam, map[string]any{"aws:PrincipalTag/team": ""}), false},
		"another tag":                  {wants(someTeam, map[string]any{"aws:PrincipalTag/department": "a"}), false},
		"one of two ARNs":              {wants(operators, as(writer)), true},
		"an ARN by a pattern":          {wants(operators, as("arn:aws:iam::123456789012:role/sso/eu-west-1/Operators_1")), true},
		"an ARN that goes on":          {wants(operators, as(writer+"2")), false},
		"an ARN that lacks a part":     {wants(operators, as("arn:aws:iam::123456789012:role/Operators_1")), false},
		"an ARN of another account":    {wants(operators, as("arn:aws:iam::210987654321:role/writer")), false},
		"the one who may":              {with(put, func(r *simulate.Request) { r.ResourcePolicy = onlyWriter }), true},
		"another, whatever he has":     {with(put, func(r *simulate.Request) { r.ResourcePolicy, r.Principal, r.Context = onlyWriter, other, as(other) }), false},
		"over TLS": {with(put, func(r *simulate.Request) {
			r.ResourcePolicy, r.Context = onlyTLS, map[string]any{"aws:SecureTransport": "true"}
		}), true},
		"without TLS": {with(put, func(r *simulate.Request) {
			r.ResourcePolicy, r.Context = onlyTLS, map[string]any{"aws:SecureTransport": "false"}
		}), false},
		"a write that overwrites":     {with(put, func(r *simulate.Request) { r.ResourcePolicy = once }), false},
		"a write that does not":       {with(put, func(r *simulate.Request) { r.ResourcePolicy, r.Context = once, map[string]any{"s3:if-none-match": "*"} }), true},
		"a key that is named":         {with(put, func(r *simulate.Request) { r.ResourcePolicy = elsewhere }), true},
		"a key that is not":           {with(put, func(r *simulate.Request) { r.ResourcePolicy, r.Resource = elsewhere, "arn:aws:s3:::b/other" }), false},
		"nobody's grant but a denial": {with(put, func(r *simulate.Request) { r.ResourcePolicy, r.Policies = onlyTLS, nil }), false},
		"the rule delivers":           {with(send, func(*simulate.Request) {}), true},
		"another rule":                {with(send, func(r *simulate.Request) { r.Context = map[string]any{"aws:SourceArn": rule + "2"} }), false},
		"another service":             {with(send, func(r *simulate.Request) { r.Principal = "sns.amazonaws.com" }), false},
		"a role, by the queue's word": {with(send, func(r *simulate.Request) { r.Principal = other }), false},
	}
	var names []string
	var requests []simulate.Request
	for name, c := range cases {
		names, requests = append(names, name), append(requests, c.request)
	}
	for i, got := range run(t, requests) {
		if got.Error != "" || got.Allowed != cases[names[i]].want {
			t.Errorf("%s: %+v, want %v", names[i], got, cases[names[i]].want)
		}
	}
	unchecked := with(put, func(r *simulate.Request) { r.ResourcePolicy, r.Checked = onlyTLS, false })
	if got := run(t, []simulate.Request{unchecked})[0]; got.Error == "" {
		t.Errorf("unchecked: %+v, want an error", got)
	}
}
