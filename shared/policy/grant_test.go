package policy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rolekeeper/shared/policy"
)

func allows(members string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + members + `}]}`
}

func TestWhatGoesBeyond(t *testing.T) {
	const objects = `"Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::a/*","arn:aws:s3:::b/*"]`
	for name, c := range map[string]struct {
		d      string
		within []string
		want   []string
	}{
		"nothing covers anything": {allows(objects), nil, []string{"s3:GetObject, s3:PutObject on arn:aws:s3:::a/*, arn:aws:s3:::b/*"}},
		"the same":                {allows(objects), []string{allows(objects)}, nil},
		"all of it in other documents": {allows(objects), []string{
			allows(`"Action":"s3:Put*","Resource":"*"`), allows(`"Action":"S3:getobject","Resource":"arn:aws:s3:::?/*"`),
		}, nil},
		"one action": {allows(objects), []string{allows(`"Action":"s3:PutObject","Resource":"*"`)}, []string{"s3:GetObject on arn:aws:s3:::a/*, arn:aws:s3:::b/*"}},
		"one resource": {allows(objects), []string{allows(`"Action":"s3:*","Resource":"arn:aws:s3:::a/*"`)},
			[]string{"s3:GetObject, s3:PutObject on arn:aws:s3:::b/*"}},
		"one pair": {allows(objects), []string{
			allows(`"Action":"s3:GetObject","Resource":"*"`), allows(`"Action":"s3:PutObject","Resource":"arn:aws:s3:::a/*"`),
		}, []string{"s3:PutObject on arn:aws:s3:::b/*"}},
		"different resources for different actions": {allows(objects), []string{
			allows(`"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`), allows(`"Action":"s3:PutObject","Resource":"arn:aws:s3:::a/*"`),
		}, []string{"s3:GetObject on arn:aws:s3:::a/*", "s3:PutObject on arn:aws:s3:::b/*"}},
		"what two statements cover together": {allows(`"Action":"s3:*","Resource":"*"`), []string{
			allows(`"Action":"s3:Get*","Resource":"*"`), allows(`"Action":"s3:*","Resource":"arn:*"`),
		}, []string{"s3:* on *"}},
		"a condition more": {
			allows(objects + `,"Condition":{"Bool":{"aws:SecureTransport":true},"StringEquals":{"k":"v"}}`),
			[]string{allows(objects + `,"Condition":{"bool":{"AWS:SecureTransport":"true"}}`)}, nil,
		},
		"a condition less": {
			allows(objects), []string{allows(objects + `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`)},
			[]string{"s3:GetObject, s3:PutObject on arn:aws:s3:::a/*, arn:aws:s3:::b/*"},
		},
		"a condition with more values": {
			allows(`"Action":"a:B","Resource":"*","Condition":{"StringEquals":{"k":["1","2"],"j":"3"},"Bool":{"l":"true"}}`),
			[]string{allows(`"Action":"a:B","Resource":"*","Condition":{"StringEquals":{"k":"1"}}`)},
			[]string{"a:B on * if l Bool true and j StringEquals 3 and k StringEquals 1, 2"},
		},
		"no condition covers any": {allows(objects + `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`), []string{allows(objects)}, nil},
		"everything but some": {
			allows(`"NotAction":["iam:*","sts:*"],"NotResource":"arn:aws:s3:::a"`), []string{allows(`"Action":"*","Resource":"arn:*"`), allows(`"Action":"s3:*","Resource":"*"`)},
			[]string{"everything but iam:*, sts:* on everything but arn:aws:s3:::a"},
		},
		"everything but some within everything":    {allows(`"NotAction":"iam:*","NotResource":"x"`), []string{allows(`"Action":"*","Resource":"*"`)}, nil},
		"everything but some within the like":      {allows(`"NotAction":["iam:*","s3:*"],"Resource":"*"`), []string{allows(`"NotAction":["S3:Put*","iam:*"],"Resource":"*"`)}, nil},
		"everything but some within a little less": {allows(`"NotAction":"iam:*","Resource":"*"`), []string{allows(`"NotAction":["iam:*","s3:*"],"Resource":"*"`)}, []string{"everything but iam:* on *"}},
		"an action within everything but some":     {allows(`"Action":["s3:Get*","iam:Get*"],"Resource":"*"`), []string{allows(`"NotAction":"IAM:*","Resource":"*"`)}, []string{"iam:Get* on *"}},
		"a resource within everything but some": {
			allows(`"Action":"s3:*","Resource":["arn:aws:s3:::a*","arn:aws:s3:::c"]`), []string{allows(`"Action":"*","NotResource":"arn:aws:s3:::ab"`)},
			[]string{"s3:* on arn:aws:s3:::a*"},
		},
		"what is denied is not covered": {allows(objects), []string{
			allows(`"Action":"*","Resource":"*"`),
			`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"S3:P*","Resource":"arn:aws:s3:::A/x","Condition":{"Bool":{"aws:SecureTransport":"false"}}}}`,
		}, []string{"s3:PutObject on arn:aws:s3:::a/*"}},
		"what is denied but for some": {allows(objects), []string{
			allows(`"Action":"*","Resource":"*"`),
			`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":"s3:Get*","NotResource":"arn:aws:s3:::a*"}}`,
		}, []string{"s3:PutObject on arn:aws:s3:::b/*"}},
		"what is denied but for a part of it": {allows(`"Action":"s3:Get*","Resource":"arn:aws:s3:::a*"`), []string{
			allows(`"Action":"*","Resource":"*"`),
			`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotAction":"s3:GetObject","NotResource":"arn:aws:s3:::ab"}}`,
		}, []string{"s3:Get* on arn:aws:s3:::a*"}},
		"what is denied by a variable": {allows(`"Action":"s3:*","Resource":"arn:aws:s3:::bob"`), []string{
			allows(`"Action":"*","Resource":"*"`),
			`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::${aws:username}"}}`,
		}, []string{"s3:* on arn:aws:s3:::bob"}},
		"what is denied by half an ARN": {allows(`"Action":"sqs:*","Resource":"arn:aws:sqs:r:1:q"`), []string{
			allows(`"Action":"*","Resource":"*"`), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"arn:aws:sqs"}}`,
		}, []string{"sqs:* on arn:aws:sqs:r:1:q"}},
		"denials are not grants": {`{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`, nil, nil},
		"a variable in documents of two versions": {
			allows(`"Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"`),
			[]string{`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"}}`},
			[]string{"s3:* on arn:aws:s3:::${aws:username}"},
		},
		"an element that is not known": {
			allows(objects), []string{allows(objects + `,"Unless":"x"`), strings.Replace(allows(objects), "{", `{"Unless":"x",`, 1)},
			[]string{"s3:GetObject, s3:PutObject on arn:aws:s3:::a/*, arn:aws:s3:::b/*"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var within []policy.Document
			for _, w := range c.within {
				within = append(within, parse(t, w))
			}
			if diff := cmp.Diff(c.want, words(policy.Beyond(parse(t, c.d), within...))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func words(grants []policy.Grant) []string {
	var all []string
	for _, g := range grants {
		all = append(all, g.String())
	}
	return all
}

// call is one request that policies are asked about.
type call struct {
	action, resource string
	context          map[string]string // values of condition keys; ${v} is a policy variable
}

// reaches are the ways in which a * in an ARN may be understood.
var reaches = map[string][2]string{ // regular expressions for a * within a segment and at its end
	"anywhere":                        {`.*`, `.*`},
	"never beyond its segment":        {`[^:]*`, `[^:]*`},
	"beyond its segment from its end": {`[^:]*`, `.*`},
}

// judge is the definition of what policies allow: slow, and made of other parts
// than the code it is to check.
type judge struct{ reach [2]string }

func (j judge) matches(pattern, text string) bool {
	if strings.HasPrefix(pattern, "arn:") {
		for strings.Count(pattern, ":") < 5 {
			pattern += ":*"
		}
	}
	parts := strings.SplitN(pattern, ":", 6)
	for i, part := range parts {
		within, end, one := j.reach[0], j.reach[1], `[^:]`
		if len(parts) == 1 || i == 5 {
			within, end, one = `.*`, `.*`, `.`
		}
		if within == `.*` {
			one = `.`
		}
		last := strings.HasSuffix(part, "*")
		part = strings.TrimSuffix(part, "*")
		part = strings.NewReplacer(`\*`, within, `\?`, one).Replace(regexp.QuoteMeta(part))
		if last {
			part += end
		}
		parts[i] = part
	}
	return regexp.MustCompile(`\A(?:` + strings.Join(parts, ":") + `)\z`).MatchString(text)
}

func (j judge) element(these, allBut []string, matches func(pattern string) bool) bool {
	if allBut != nil {
		return !slices.ContainsFunc(allBut, matches)
	}
	return slices.ContainsFunc(these, matches)
}

// applies reports whether a grant, or a statement in the form of one, matches the call.
func (j judge) applies(g policy.Grant, version string, c call) bool {
	for operator, keys := range g.Conditions {
		for key, values := range keys {
			if slices.Contains(values, c.context[strings.ToLower(key)]) == strings.Contains(strings.ToLower(operator), "not") {
				return false
			}
		}
	}
	return j.element(g.Actions, g.NotActions, func(p string) bool { return j.matches(strings.ToLower(p), strings.ToLower(c.action)) }) &&
		j.element(g.Resources, g.NotResources, func(p string) bool {
			if version == policy.Version2012 {
				p = strings.ReplaceAll(p, "${v}", c.context["v"])
			}
			return j.matches(p, c.resource)
		})
}

func (j judge) allowed(c call, denials bool, documents ...policy.Document) bool {
	allowed := false
	for _, d := range documents {
		for _, s := range d.Statements {
			g := policy.Grant{Actions: s.Actions, NotActions: s.NotActions, Resources: s.Resources, NotResources: s.NotResources, Conditions: s.Conditions}
			switch {
			case !j.applies(g, d.Version, c):
			case s.Effect == policy.Allow:
				allowed = true
			case denials:
				return false
			}
		}
	}
	return allowed
}

func anyDocument() *rapid.Generator[policy.Document] {
	action := rapid.OneOf(rapid.Just("*"), rapid.StringMatching(`[st*]:[aB*?]{1,2}`))
	resource := rapid.OneOf(rapid.Just("*"),
		rapid.StringMatching(`arn:p:s:(a|b|\*|a\*|\*b|\?)?:(a|b|\*|\$\{v\})?:([ab*?:]{1,3}|a\$\{v\}|\$\{v\})`),
		rapid.StringMatching(`arn:p(:s|:\*|:s:a)?`))
	condition := rapid.Custom(func(t *rapid.T) policy.Conditions {
		operator, key := rapid.SampledFrom([]string{"StringEquals", "stringequals", "StringNotEquals"}), rapid.SampledFrom([]string{"k", "K", "l"})
		values := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "2"}), 1, 2, rapid.ID[string])
		return rapid.MapOfN(operator, rapid.MapOfN(key, values, 1, 2), 0, 2).Draw(t, "conditions")
	})
	statement := rapid.Custom(func(t *rapid.T) policy.Statement {
		s := policy.Statement{Effect: rapid.SampledFrom([]string{policy.Allow, policy.Allow, policy.Allow, policy.Deny}).Draw(t, "effect")}
		these := rapid.SliceOfN(action, 1, 3).Draw(t, "actions")
		if rapid.IntRange(0, 3).Draw(t, "form of actions") == 0 {
			s.NotActions = these
		} else {
			s.Actions = these
		}
		these = rapid.SliceOfN(resource, 1, 3).Draw(t, "resources")
		if rapid.IntRange(0, 3).Draw(t, "form of resources") == 0 {
			s.NotResources = these
		} else {
			s.Resources = these
		}
		if rapid.IntRange(0, 2).Draw(t, "has conditions") == 0 {
			s.Conditions = condition.Draw(t, "conditions")
		}
		return s
	})
	return rapid.Custom(func(t *rapid.T) policy.Document {
		d := policy.New(rapid.SliceOfN(statement, 1, 3).Draw(t, "statements")...)
		if rapid.IntRange(0, 4).Draw(t, "version") == 0 {
			d.Version = ""
		}
		return d
	})
}

func anyCall() *rapid.Generator[call] {
	return rapid.Custom(func(t *rapid.T) call {
		value := rapid.SampledFrom([]string{"", "1", "2"})
		return call{
			action:   rapid.StringMatching(`[st]:[abAB]{1,2}`).Draw(t, "action"),
			resource: rapid.StringMatching(`\*|arn:p:s:[ab]{0,2}:[ab]?:[ab:]{1,3}`).Draw(t, "resource"),
			context: map[string]string{
				"k": value.Draw(t, "k"), "l": value.Draw(t, "l"), "v": rapid.StringMatching(`[ab:]{0,2}`).Draw(t, "v"),
			},
		}
	})
}

func TestNothingThatIsLostGoesUntold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := judge{reaches[rapid.SampledFrom([]string{"anywhere", "never beyond its segment", "beyond its segment from its end"}).Draw(t, "reach of a star")]}
		d, within := anyDocument().Draw(t, "document"), rapid.SliceOfN(anyDocument(), 0, 2).Draw(t, "within")
		if rapid.Bool().Draw(t, "some of it is covered") {
			within = append(within, policy.New(rapid.SampledFrom(d.Statements).Draw(t, "covered")))
		}
		grants := policy.Beyond(d, within...)
		for _, g := range grants {
			if (g.Actions == nil) == (g.NotActions == nil) || (g.Resources == nil) == (g.NotResources == nil) {
				t.Fatalf("half a grant, or more than one: %+v", g)
			}
		}
		for _, c := range rapid.SliceOfN(anyCall(), 20, 20).Draw(t, "calls") {
			told := slices.ContainsFunc(grants, func(g policy.Grant) bool { return j.applies(g, d.Version, c) })
			granted := j.allowed(c, false, d)
			if granted && !told && !j.allowed(c, true, within...) {
				t.Fatalf("%v is lost and not told: %q", c, words(grants))
			}
			if told && !granted {
				t.Fatalf("%v is told as lost and was never granted: %q", c, words(grants))
			}
		}
	})
}

func rendered(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"../desired/testdata/toolkit/runtime-*-*.json", "testdata/pr554/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			all[filepath.Base(file)] = read(t, file)
		}
	}
	if len(all) != 12 {
		t.Fatalf("%d rendered policies, want 12", len(all))
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
