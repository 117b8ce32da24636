package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/policy"
	"rolekeeper/shared/report"
)

func TestWhatMeansTheSameHasNoDifference(t *testing.T) {
	const is = `{"Version":"2012-10-17","Statement":[
		{"Sid":"One","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":["1","2"]}}},
		{"Sid":"Two","Effect":"Deny","Principal":{"AWS":"123456789012"},"NotAction":"sts:*"}]}`
	for name, was := range map[string]string{
		"another order, other names, lists and letters": `{"Id":"x","Statement":[
			{"Effect":"Deny","Principal":{"AWS":["arn:aws:iam::123456789012:root"]},"NotAction":["STS:*"]},
			{"Sid":"Uno","Effect":"Allow","Resource":["*","*"],"Action":["S3:ListBucket","s3:getobject"],"Condition":{"stringequals":{"AWS:sourceaccount":["2","1"]}}}],
			"Version":"2012-10-17"}`,
		"a statement twice": strings.Replace(is, `"Statement":[`, `"Statement":[{"Effect":"Deny","Principal":{"AWS":"123456789012"},"NotAction":"sts:*"},`, 1),
	} {
		if lines := report.DocumentDiff(was, is); len(lines) > 0 {
			t.Errorf("%s:\n%s", name, strings.Join(lines, "\n"))
		}
	}
}

func TestDifferencesOfDocuments(t *testing.T) {
	const is = `{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":["a:A","a:B"],"Resource":"*"},{"Sid":"Two","Effect":"Allow","Action":"b:C","Resource":"*"}]}`
	for name, c := range map[string]struct {
		was  string
		want []string // lines that differ
	}{
		"an action more, in another place": {
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"B:c","Resource":"*"},{"Sid":"One","Effect":"Allow","Action":["a:X","a:B","a:A"],"Resource":"*"}]}`,
			[]string{`-        "a:B",`, `-        "a:X"`, `+        "a:B"`},
		},
		"a statement more": {
			strings.Replace(is, `"Statement":[`, `"Statement":[{"Sid":"Mine","Effect":"Allow","Action":"c:*","Resource":"*"},`, 1),
			[]string{`-      "Resource": "*"`, `-    },`, `-    {`, `-      "Sid": "Mine",`, `-      "Effect": "Allow",`, `-      "Action": "c:*",`},
		},
		"an action more, the others in another case": {
			`{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":["A:a","a:b","C:c"],"Resource":"*"},{"Sid":"Two","Effect":"Allow","Action":"b:C","Resource":"*"}]}`,
			[]string{`-        "C:c",`},
		},
		"an old version": {
			strings.Replace(is, `"Version":"2012-10-17",`, "", 1), []string{`-  "Version": "2008-10-17",`, `+  "Version": "2012-10-17",`},
		},
		"an element that is not known": {
			strings.Replace(is, `"Sid":"Two",`, `"Sid":"Two","Unless":"never",`, 1), []string{`-      "Resource": "*",`, `-      "Unless": "never"`, `+      "Resource": "*"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, line := range report.DocumentDiff(c.was, is) {
				if line[0] == '+' || line[0] == '-' {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestOnlyTheValueOfAConditionShowsWhenOnlyThatDiffers(t *testing.T) {
	const is = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:A","Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"1","aws:SourceOrgID":"o"}}}]}`
	was := strings.NewReplacer("StringEquals", "stringequals", "aws:SourceAccount", "AWS:sourceaccount", `"1"`, `"2"`).Replace(is)
	var got []string
	for _, line := range report.DocumentDiff(was, is) {
		if line[0] == '+' || line[0] == '-' {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff([]string{`-          "aws:SourceAccount": "2",`, `+          "aws:SourceAccount": "1",`}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	twice := strings.Replace(is, `"aws:SourceAccount":"1"`, `"AWS:SourceAccount":"1","aws:sourceaccount":"2"`, 1)
	if text := strings.Join(report.DocumentDiff(twice, is), "\n"); !strings.Contains(text, `"aws:sourceaccount": "2"`) || strings.Contains(text, "AWS:SourceAccount") {
		t.Errorf("of two conditions on one key:\n%s", text)
	}
}

func TestADocumentThatIsNoPolicyIsShownAsItIs(t *testing.T) {
	for raw, want := range map[string]string{"{\nno JSON": "-no JSON", `{"a":1}`: `-  "a": 1`} {
		lines := report.DocumentDiff(raw, `{"Version":"2012-10-17","Statement":[]}`)
		if !strings.Contains(strings.Join(lines, "\n")+"\n", want+"\n") {
			t.Errorf("%q: %q", raw, lines)
		}
	}
}

func FuzzDocumentDiff(f *testing.F) {
	const is = `{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":["a:A","a:B"],"Resource":"*"}]}`
	f.Add(is, is)
	f.Add(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"A:a","Resource":[]}}`, is)
	f.Add(`{"Id":"x","Statement":[{"Condition":{"Null":{"k":[true,1]}}},{"Condition":{}},{}],"Unless":{}}`, `{"Statement":[{}]}`)
	f.Add(`{"Statement":[{"Effect":"Allow","Action":["A:a","a:A"],"Condition":{"bool":{"K":"1","k":"2"},"Bool":{"k":"3"}}}]}`, `{"Statement":[{"Effect":"Allow","Action":"a:a","Condition":{"Bool":{"K":"1"}}}]}`)
	f.Fuzz(func(t *testing.T, was, is string) {
		before, errBefore := policy.Parse(was)
		after, errAfter := policy.Parse(is)
		if errAfter != nil {
			return // is what we make ourselves
		}
		same := errBefore == nil && before.Equal(after)
		if lines := report.DocumentDiff(was, is); (len(lines) == 0) != same {
			t.Errorf("same %v\n%q\n%q\n%s", same, was, is, strings.Join(lines, "\n"))
		}
	})
}
