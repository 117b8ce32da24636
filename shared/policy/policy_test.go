package policy_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/policy"
)

// base is the document that the cases below spell otherwise or change.
const base = `{"Version":"2012-10-17","Statement":[
	{"Sid":"Read","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],
	 "Condition":{"StringEquals":{"s3:ResourceAccount":["123456789012","210987654321"]},"Bool":{"aws:SecureTransport":"true"}}},
	{"Effect":"Allow","Principal":{"AWS":"123456789012","Service":["codebuild.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`

// replaced gives base with old, which must be there, replaced.
func replaced(t *testing.T, old, with string) string {
	t.Helper()
	if !strings.Contains(base, old) {
		t.Fatalf("base does not contain %q", old)
	}
	return strings.ReplaceAll(base, old, with)
}

func parse(t *testing.T, raw string) policy.Document {
	t.Helper()
	d, err := policy.Parse(raw)
	if err != nil {
		t.Fatalf("Parse(%s): %v", raw, err)
	}
	return d
}

func TestDocumentsThatMeanTheSameAreEqual(t *testing.T) {
	one := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["a:B"],"Resource":["*"]}]}`
	cases := map[string][2]string{
		"keys in another order": {base, `{"Statement":[
			{"Condition":{"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"s3:ResourceAccount":["123456789012","210987654321"]}},
			 "Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Action":["s3:GetObject","s3:ListBucket"],"Effect":"Allow","Sid":"Read"},
			{"Action":"sts:AssumeRole","Principal":{"Service":["codebuild.amazonaws.com"],"AWS":"123456789012"},"Effect":"Allow"}],"Version":"2012-10-17"}`},
		"statements in another order": {
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:B","Resource":"*"},{"Effect":"Deny","Action":"c:D","Resource":"*"}]}`,
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"c:D","Resource":"*"},{"Effect":"Allow","Action":"a:B","Resource":"*"}]}`,
		},
		"actions in another order":          {base, replaced(t, `"s3:GetObject","s3:ListBucket"`, `"s3:ListBucket","s3:GetObject"`)},
		"action names in another case":      {base, replaced(t, `s3:GetObject`, `S3:getobject`)},
		"an action named twice":             {base, replaced(t, `"s3:GetObject"`, `"s3:GetObject","s3:getObject"`)},
		"resources in another order":        {base, replaced(t, `"arn:aws:s3:::b","arn:aws:s3:::b/*"`, `"arn:aws:s3:::b/*","arn:aws:s3:::b"`)},
		"condition values in another order": {base, replaced(t, `"123456789012","210987654321"`, `"210987654321","123456789012"`)},
		"a condition value named twice":     {base, replaced(t, `"123456789012","210987654321"`, `"123456789012","210987654321","123456789012"`)},
		"a condition operator in lower case": {
			base, replaced(t, `StringEquals`, `stringequals`),
		},
		"a condition key in lower case":        {base, replaced(t, `aws:SecureTransport`, `aws:securetransport`)},
		"a boolean condition value":            {base, replaced(t, `"true"`, `true`)},
		"a boolean condition value in a list":  {base, replaced(t, `"true"`, `[true]`)},
		"an empty Condition in one":            {one, strings.Replace(one, `"Effect"`, `"Condition":{},"Effect"`, 1)},
		"a string for a list of one":           {base, replaced(t, `["codebuild.amazonaws.com"]`, `"codebuild.amazonaws.com"`)},
		"a list of one for a string":           {base, replaced(t, `"sts:AssumeRole"`, `["sts:AssumeRole"]`)},
		"a single statement without a list":    {one, strings.NewReplacer("[{", "{", "}]", "}").Replace(one)},
		"another Sid":                          {base, replaced(t, `"Read"`, `"Write"`)},
		"no Sid":                               {base, replaced(t, `"Sid":"Read",`, ``)},
		"an Id":                                {base, replaced(t, `"Version"`, `"Id":"x","Version"`)},
		"a statement written twice":            {one, strings.Replace(one, "}]}", `},{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}]}`, 1)},
		"everybody as a string or as AWS":      {one, strings.Replace(one, `"Principal":"*"`, `"Principal":{"AWS":["*"]}`, 1)},
		"an account as the ARN of its root":    {base, replaced(t, `"AWS":"123456789012"`, `"AWS":"arn:aws:iam::123456789012:root"`)},
		"an account in another partition":      {base, replaced(t, `"AWS":"123456789012"`, `"AWS":"arn:aws-us-gov:iam::123456789012:root"`)},
		"an account named both ways":           {base, replaced(t, `"AWS":"123456789012"`, `"AWS":["123456789012","arn:aws:iam::123456789012:root"]`)},
		"URL encoding":                         {base, strings.ReplaceAll(url.QueryEscape(base), "+", "%20")},
		"a plus sign that is not a space":      {`{"Statement":{"Effect":"Allow","Action":"a:B","Resource":"a+b"}}`, `%7B%22Statement%22:%7B%22Effect%22:%22Allow%22,%22Action%22:%22a:B%22,%22Resource%22:%22a+b%22%7D%7D`},
		"a missing version and the old one":    {`{"Statement":[]}`, `{"Version":"2008-10-17","Statement":[]}`},
		"white space around it":                {base, "\n\t " + base + "\r\n"},
		"escapes of JSON":                      {base, replaced(t, `"Allow"`, `"\u0041llow"`)},
		"an unknown element spelled otherwise": {`{"Statement":[],"X":{"b":1,"a":[true]}}`, `{"X":{"a":[ true ],"b":1},"Statement":[]}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := parse(t, c[0]), parse(t, c[1])
			if !a.Equal(b) || !b.Equal(a) {
				t.Errorf("not equal:\n%s\n%s", a.JSON(), b.JSON())
			}
			if a.Digest() != b.Digest() {
				t.Error("the digests differ")
			}
			if !a.Same(c[1]) || !b.Same(c[0]) || !policy.Same(c[0], c[1]) || !policy.Same(c[1], c[0]) {
				t.Error("Same denies it")
			}
		})
	}
}

func TestDocumentsThatMeanSomethingElseDiffer(t *testing.T) {
	cases := map[string][2]string{
		"Deny for Allow":                       {base, replaced(t, `"Allow"`, `"Deny"`)},
		"a dropped condition":                  {base, replaced(t, `,"Bool":{"aws:SecureTransport":"true"}`, ``)},
		"another condition operator":           {base, replaced(t, `"StringEquals"`, `"StringLike"`)},
		"another condition key":                {base, replaced(t, `s3:ResourceAccount`, `aws:ResourceAccount`)},
		"another condition value":              {base, replaced(t, `"210987654321"`, `"210987654322"`)},
		"a condition value in another case":    {base, replaced(t, `"true"`, `"True"`)},
		"one more condition value":             {base, replaced(t, `"210987654321"]`, `"210987654321","1"]`)},
		"a condition without values":           {base, replaced(t, `"aws:SecureTransport":"true"`, `"aws:SecureTransport":[]`)},
		"one more action":                      {base, replaced(t, `"s3:ListBucket"`, `"s3:ListBucket","s3:PutObject"`)},
		"an action fewer":                      {base, replaced(t, `,"s3:ListBucket"`, ``)},
		"NotAction for Action":                 {base, replaced(t, `"Action":["s3`, `"NotAction":["s3`)},
		"NotResource for Resource":             {base, replaced(t, `"Resource"`, `"NotResource"`)},
		"NotPrincipal for Principal":           {base, replaced(t, `"Principal"`, `"NotPrincipal"`)},
		"no Resource":                          {base, replaced(t, `"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],`, ``)},
		"an empty Resource":                    {`{"Statement":{"Effect":"Allow","Action":"a:B"}}`, `{"Statement":{"Effect":"Allow","Action":"a:B","Resource":[]}}`},
		"a resource in another case":           {base, replaced(t, `arn:aws:s3:::b/*`, `arn:aws:s3:::B/*`)},
		"one more resource":                    {base, replaced(t, `"arn:aws:s3:::b/*"]`, `"arn:aws:s3:::b/*","*"]`)},
		"one more principal":                   {base, replaced(t, `"AWS":"123456789012"`, `"AWS":["123456789012","210987654321"]`)},
		"another kind of principal":            {base, replaced(t, `"AWS":"123456789012"`, `"CanonicalUser":"123456789012"`)},
		"a principal of an unknown kind":       {base, replaced(t, `"AWS":"123456789012"`, `"AWS":"123456789012","New":"x"`)},
		"a role for its account":               {base, replaced(t, `"AWS":"123456789012"`, `"AWS":"arn:aws:iam::123456789012:role/root"`)},
		"everybody for one":                    {base, replaced(t, `{"AWS":"123456789012","Service":["codebuild.amazonaws.com"]}`, `"*"`)},
		"one more statement":                   {base, replaced(t, `"Statement":[`, `"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},`)},
		"another version":                      {base, replaced(t, `2012-10-17`, `2008-10-17`)},
		"no version":                           {base, replaced(t, `"Version":"2012-10-17",`, ``)},
		"an unknown element in a statement":    {base, replaced(t, `"Sid"`, `"Unless":"x","Sid"`)},
		"an unknown element in the document":   {base, replaced(t, `"Version"`, `"Unless":"x","Version"`)},
		"an element's name in another case":    {base, replaced(t, `"Resource"`, `"resource"`)},
		"unknown elements with unlike content": {`{"Statement":[],"X":1}`, `{"Statement":[],"X":2}`},
		"operators that differ in case twice": {
			`{"Statement":{"Effect":"Allow","Action":"a:B","Condition":{"StringEquals":{"k":"1"},"stringequals":{"k":"2"}}}}`,
			`{"Statement":{"Effect":"Allow","Action":"a:B","Condition":{"StringEquals":{"k":["1","2"]}}}}`,
		},
		"two resources in two statements or in one": {
			`{"Statement":[{"Effect":"Allow","Action":"a:B","Resource":"x"},{"Effect":"Allow","Action":"a:B","Resource":"y"}]}`,
			`{"Statement":[{"Effect":"Allow","Action":"a:B","Resource":["x","y"]}]}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := parse(t, c[0]), parse(t, c[1])
			if a.Equal(b) || b.Equal(a) || a.Same(c[1]) || policy.Same(c[0], c[1]) {
				t.Errorf("equal:\n%s\n%s", a.JSON(), b.JSON())
			}
			if a.Digest() == b.Digest() {
				t.Error("the digests are the same")
			}
		})
	}
}

func TestWhatIsNoPolicyDocumentIsRefused(t *testing.T) {
	statement := func(members string) string { return `{"Statement":[{` + members + `}]}` }
	cases := map[string]string{
		"nothing":                          ``,
		"no JSON":                          `hello`,
		"half of it":                       base[:100],
		"a list":                           `[` + base + `]`,
		"text after it":                    base + `x`,
		"a second document after it":       base + base,
		"no Statement":                     `{"Version":"2012-10-17"}`,
		"a statement that is a string":     `{"Statement":["Allow"]}`,
		"null for Statement":               `{"Statement":null}`,
		"a key twice in the document":      `{"Statement":[],"Statement":[]}`,
		"a key twice in a statement":       statement(`"Effect":"Allow","Effect":"Deny"`),
		"a key twice, once with an escape": statement(`"Effect":"Allow","\u0045ffect":"Deny"`),
		"a key twice in a condition":       statement(`"Condition":{"Bool":{"a":"true","a":"false"}}`),
		"a key twice in an unknown":        `{"Statement":[],"X":{"a":1,"a":2}}`,
		"a number for Version":             `{"Version":2012,"Statement":[]}`,
		"a number for an action":           statement(`"Action":[1]`),
		"null for a resource":              statement(`"Resource":null`),
		"an object for an action":          statement(`"Action":{"a":"b"}`),
		"a list for Effect":                statement(`"Effect":["Allow"]`),
		"a string for Principal":           statement(`"Principal":"123456789012"`),
		"a list for Principal":             statement(`"Principal":["*"]`),
		"a list for Condition":             statement(`"Condition":[]`),
		"a string for a condition's keys":  statement(`"Condition":{"Bool":"true"}`),
		"an object for a condition value":  statement(`"Condition":{"Bool":{"a":{}}}`),
		"null for a condition value":       statement(`"Condition":{"Bool":{"a":[null]}}`),
		"bytes that are not UTF-8":         statement("\"Resource\":\"\xff\""),
		"half a surrogate pair":            statement(`"Resource":"\ud800"`),
		"a broken URL encoding":            `%7B%2`,
		"more than IAM stores":             statement(`"Resource":"` + strings.Repeat("a", 300_000) + `"`),
		"a mountain of white space":        strings.Repeat(" ", 1_000_000) + base,
		"endless nesting":                  `{"Statement":[],"X":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
		"a list that is not closed":        `{"Statement":[`,
	}
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			if d, err := policy.Parse(raw); err == nil {
				t.Errorf("accepted as %s", d.JSON())
			}
			if policy.New().Same(raw) || policy.Same(raw, base) || policy.Same(base, raw) {
				t.Error("the same as a document that can be read")
			}
			if !policy.Same(raw, raw) {
				t.Error("not the same as itself")
			}
		})
	}
}

func TestOneSpellingIsWritten(t *testing.T) {
	d := policy.Document{
		Version: policy.Version2012, ID: "i",
		Statements: []policy.Statement{
			policy.Statement{
				Sid: "One", Effect: policy.Allow,
				Principals: policy.Principals{policy.Service: {"b", "a"}, policy.AWS: {"*"}},
				Actions:    []string{"x:B", "x:A"}, Resources: []string{"<&>"},
			}.With("StringEquals", "k", "v").With("StringEquals", "a", "1", "2").With("Bool", "z", "true"),
			{Effect: policy.Deny, NotPrincipals: policy.Principals{policy.Federated: {"f"}}, NotActions: []string{"*"}, NotResources: []string{}},
		},
		Unknown: map[string]string{"Y": "1", "X": "[2]"},
	}
	want := `{"Version":"2012-10-17","Id":"i","Statement":[` +
		`{"Sid":"One","Effect":"Allow","Principal":{"AWS":"*","Service":["b","a"]},"Action":["x:B","x:A"],"Resource":"<&>",` +
		`"Condition":{"Bool":{"z":"true"},"StringEquals":{"a":["1","2"],"k":"v"}}},` +
		`{"Effect":"Deny","NotPrincipal":{"Federated":"f"},"NotAction":"*","NotResource":[]}],"X":[2],"Y":1}`
	for range 50 {
		if diff := cmp.Diff(want, d.JSON()); diff != "" {
			t.Fatal(diff)
		}
	}
	if d.Size() != len(want) {
		t.Errorf("Size() = %d, want %d", d.Size(), len(want))
	}
	if back := parse(t, want); !cmp.Equal(back, d) {
		t.Error(cmp.Diff(d, back))
	}
}

func TestTheZeroDocumentHasNoStatements(t *testing.T) {
	if diff := cmp.Diff(`{"Statement":[]}`, policy.Document{}.JSON()); diff != "" {
		t.Error(diff)
	}
}

func TestAConditionAddedLeavesTheStatementItCameFrom(t *testing.T) {
	s := policy.Statement{Effect: policy.Allow}.With("StringEquals", "a", "1")
	_ = s.With("StringEquals", "b", "2").With("Bool", "c", "true")
	if diff := cmp.Diff(policy.Conditions{"StringEquals": {"a": {"1"}}}, s.Conditions); diff != "" {
		t.Error(diff)
	}
}

func TestSizeCountsCharactersAndNoWhiteSpaceBetweenTokens(t *testing.T) {
	d := parse(t, "{ \"Statement\" : [ ] , \"Id\" : \"\u00e9\" }")
	if want := len(`{"Id":"e","Statement":[]}`); d.Size() != want {
		t.Errorf("Size() = %d, want %d", d.Size(), want)
	}
}

func TestStatementsAreMergedByTheirResources(t *testing.T) {
	allow := func(sid, action string, resources ...string) policy.Statement {
		return policy.Statement{Sid: sid, Effect: policy.Allow, Actions: []string{action}, Resources: resources}
	}
	conditioned := allow("C", "a:B", "x").With("Bool", "k", "true")
	cases := map[string]struct{ in, want []policy.Statement }{
		"statements alike but in resources become one": {
			[]policy.Statement{allow("A", "a:B", "x", "y"), allow("B", "A:b", "y", "z")},
			[]policy.Statement{allow("A", "a:B", "x", "y", "z")},
		},
		"a resource named twice is named once": {
			[]policy.Statement{allow("A", "a:B", "x", "y", "x")}, []policy.Statement{allow("A", "a:B", "x", "y")},
		},
		"another action stays apart": {
			[]policy.Statement{allow("A", "a:B", "x"), allow("B", "a:C", "x")},
			[]policy.Statement{allow("A", "a:B", "x"), allow("B", "a:C", "x")},
		},
		"a condition stays apart": {
			[]policy.Statement{allow("A", "a:B", "x"), conditioned},
			[]policy.Statement{allow("A", "a:B", "x"), conditioned},
		},
		"a Sid that is taken gets a number": {
			[]policy.Statement{allow("A", "a:B", "x"), allow("A", "a:C", "x"), allow("A", "a:D", "x"), allow("", "a:E", "x"), allow("", "a:F", "x")},
			[]policy.Statement{allow("A", "a:B", "x"), allow("A2", "a:C", "x"), allow("A3", "a:D", "x"), allow("", "a:E", "x"), allow("", "a:F", "x")},
		},
		"statements without resources are merged with their like only": {
			[]policy.Statement{allow("A", "a:B"), allow("B", "a:B"), allow("C", "a:B", "x")},
			[]policy.Statement{allow("A", "a:B"), allow("C", "a:B", "x")},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			before := parse(t, policy.New(c.in...).JSON())
			if diff := cmp.Diff(c.want, policy.Merge(c.in)); diff != "" {
				t.Error(diff)
			}
			if !policy.New(c.in...).Equal(before) {
				t.Error("the statements given were changed")
			}
		})
	}
}

// The fuzzer looks for a text that is read as something its own spelling is not.
func FuzzParse(f *testing.F) {
	f.Add(base)
	f.Add(url.PathEscape(base))
	f.Add(`{"Statement":{"Effect":"Allow","Principal":"*","NotAction":[],"Condition":{"NumericLessThan":{"k":[1.50e3,true]}}},"Id":"\u2028<"}`)
	f.Add(`{"Statement":[],"X":{"b":[null,{"a":1e999}]}}`)
	f.Add(`{"Statement":[{"sid":1,"":{"":[[]]}}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := policy.Parse(raw)
		if err != nil {
			return
		}
		spelled := d.JSON()
		if !json.Valid([]byte(spelled)) {
			t.Fatalf("%q is written as %q, which is not JSON", raw, spelled)
		}
		again, err := policy.Parse(spelled)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", raw, spelled, err)
		}
		if !d.Equal(again) || d.Digest() != again.Digest() || again.JSON() != spelled {
			t.Fatalf("%q is written as %q, read as %q", raw, spelled, again.JSON())
		}
		if !d.Same(raw) || !d.Same(url.PathEscape(spelled)) {
			t.Fatalf("%q is not the same as itself", raw)
		}
		if twice := policy.Merge(policy.Merge(d.Statements)); !policy.New(twice...).Equal(policy.New(policy.Merge(d.Statements)...)) {
			t.Fatalf("%q: merging again changes the meaning", raw)
		}
	})
}
