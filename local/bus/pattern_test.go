package bus

import (
	"encoding/json"
	"testing"
)

const uploaded = `{"version":"0","id":"1","detail-type":"Object Created","source":"aws.s3","account":"123456789012",
"resources":["arn:aws:s3:::configs"],"detail":{"bucket":{"name":"configs"},"object":{"key":"configs/team/agent.yaml","size":512,"version-id":null},
"parts":[{"n":1,"kind":"a"},{"n":2,"kind":"b"}],"empty":[],"ok":true,"a.b":"dotted"}}`

func TestMatch(t *testing.T) {
	cases := map[string]struct {
		pattern string
		want    bool
	}{
		"a value equals":                  {`{"source":["aws.s3"]}`, true},
		"a value differs in case":         {`{"source":["AWS.S3"]}`, false},
		"one of several values":           {`{"source":["aws.ec2","aws.s3"]}`, true},
		"all fields must hold":            {`{"source":["aws.s3"],"detail-type":["Object Deleted"]}`, false},
		"an element of an array":          {`{"resources":["arn:aws:s3:::configs"]}`, true},
		"a nested field":                  {`{"detail":{"bucket":{"name":["configs"]}}}`, true},
		"a dotted key is not a path":      {`{"detail":{"bucket.name":["configs"]}}`, false},
		"a key with a dot":                {`{"detail":{"a.b":["dotted"]}}`, true},
		"prefix":                          {`{"detail":{"object":{"key":[{"prefix":"configs/"}]}}}`, true},
		"prefix of another folder":        {`{"detail":{"object":{"key":[{"prefix":"status/"}]}}}`, false},
		"prefix without case":             {`{"detail":{"object":{"key":[{"prefix":{"equals-ignore-case":"CONFIGS/"}}]}}}`, true},
		"suffix":                          {`{"detail":{"object":{"key":[{"suffix":".yaml"}]}}}`, true},
		"suffix longer than the value":    {`{"source":[{"suffix":"xxxxxxxxxaws.s3"}]}`, false},
		"equals-ignore-case":              {`{"source":[{"equals-ignore-case":"AWS.s3"}]}`, true},
		"wildcard":                        {`{"detail":{"object":{"key":[{"wildcard":"configs/*/agent.*"}]}}}`, true},
		"wildcard that ends early":        {`{"detail":{"object":{"key":[{"wildcard":"configs/*/agent"}]}}}`, false},
		"wildcard parts do not overlap":   {`{"source":[{"wildcard":"aws.s*.s3"}]}`, false},
		"wildcard with an escaped star":   {`{"source":[{"wildcard":"aws\\*"}]}`, false},
		"anything-but another":            {`{"source":[{"anything-but":"aws.ec2"}]}`, true},
		"anything-but this":               {`{"source":[{"anything-but":["aws.ec2","aws.s3"]}]}`, false},
		"anything-but a prefix":           {`{"source":[{"anything-but":{"prefix":"aws."}}]}`, false},
		"anything-but a list of suffixes": {`{"source":[{"anything-but":{"suffix":[".ec2",".sqs"]}}]}`, true},
		"anything-but a wildcard":         {`{"source":[{"anything-but":{"wildcard":"*s3"}}]}`, false},
		"anything-but needs the field":    {`{"absent":[{"anything-but":"x"}]}`, false},
		"numeric range":                   {`{"detail":{"object":{"size":[{"numeric":[">",0,"<=",512]}]}}}`, true},
		"numeric below":                   {`{"detail":{"object":{"size":[{"numeric":["<",512]}]}}}`, false},
		"numeric on a string":             {`{"account":[{"numeric":[">",0]}]}`, false},
		"a number is not a string":        {`{"account":[123456789012]}`, false},
		"a number equals":                 {`{"detail":{"object":{"size":[512]}}}`, true},
		"true is not 1":                   {`{"detail":{"ok":[1]}}`, false},
		"true":                            {`{"detail":{"ok":[true]}}`, true},
		"null equals null":                {`{"detail":{"object":{"version-id":[null]}}}`, true},
		"null is not absence":             {`{"detail":{"errorCode":[null]}}`, false},
		"exists":                          {`{"detail":{"ok":[{"exists":true}]}}`, true},
		"null exists":                     {`{"detail":{"object":{"version-id":[{"exists":true}]}}}`, true},
		"absent":                          {`{"detail":{"errorCode":[{"exists":false}]}}`, true},
		"absent below an absent parent":   {`{"detail":{"error":{"code":[{"exists":false}]}}}`, true},
		"exists is about leaves":          {`{"detail":{"bucket":[{"exists":true}]}}`, false},
		"an empty array is no value":      {`{"detail":{"empty":[{"exists":true}]}}`, false},
		"exists or a value":               {`{"detail":{"errorCode":[{"exists":false},"AccessDenied"]}}`, true},
		"an array of objects":             {`{"detail":{"parts":{"kind":["b"]}}}`, true},
		"an array of objects is read element by element": {`{"detail":{"parts":{"kind":["b"],"n":[1]}}}`, false},
		"$or first":          {`{"$or":[{"source":["aws.s3"]},{"source":["x"]}]}`, true},
		"$or none":           {`{"$or":[{"source":["x"]},{"detail":{"ok":[false]}}]}`, false},
		"$or beside a field": {`{"source":["x"],"$or":[{"account":["123456789012"]},{"source":["x"]}]}`, false},
		"$or nested":         {`{"detail":{"$or":[{"ok":[false]},{"object":{"size":[512]}}]}}`, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := Compile([]byte(c.pattern))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match([]byte(uploaded)); got != c.want {
				t.Errorf("Match(%s) = %v, want %v", c.pattern, got, c.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	cases := map[string]string{
		"text that is not JSON":          `{`,
		"text after the pattern":         `{"a":["b"]} x`,
		"an array":                       `[]`,
		"an empty pattern":               `{}`,
		"a bare value":                   `{"a":"b"}`,
		"an empty array":                 `{"a":[]}`,
		"an empty nested object":         `{"a":{}}`,
		"a nested array":                 `{"a":[["b"]]}`,
		"an unknown operator":            `{"a":[{"like":"b"}]}`,
		"cidr, which is not implemented": `{"a":[{"cidr":"10.0.0.0/8"}]}`,
		"two operators":                  `{"a":[{"prefix":"b","suffix":"c"}]}`,
		"exists with a string":           `{"a":[{"exists":"true"}]}`,
		"prefix of a number":             `{"a":[{"prefix":1}]}`,
		"numeric with an odd list":       `{"a":[{"numeric":[">"]}]}`,
		"numeric with a string":          `{"a":[{"numeric":[">","1"]}]}`,
		"numeric with another operator":  `{"a":[{"numeric":["!",1]}]}`,
		"double star":                    `{"a":[{"wildcard":"a**"}]}`,
		"anything-but true":              `{"a":[{"anything-but":true}]}`,
		"$or with one alternative":       `{"$or":[{"a":["b"]}]}`,
	}
	for name, pattern := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := Compile([]byte(pattern)); err == nil {
				t.Errorf("Compile(%s) accepted it", pattern)
			}
		})
	}
}

// A pattern made of an event's own leaf matches the event, and no longer when
// the leaf changes.
func FuzzLeafMatchesItself(f *testing.F) {
	f.Add("source", "aws.s3")
	f.Add("a.b", `*\"`)
	f.Add("$or", "x")
	f.Fuzz(func(t *testing.T, key, value string) {
		doc, err := json.Marshal(map[string][]string{key: {value}})
		if err != nil {
			t.Skip()
		}
		p, err := Compile(doc)
		if err != nil {
			if key == "$or" {
				return
			}
			t.Fatalf("Compile(%s): %v", doc, err)
		}
		event, _ := json.Marshal(map[string]string{key: value})
		other, _ := json.Marshal(map[string]string{key: value + "!"})
		if !p.Match(event) {
			t.Errorf("%s does not match %s", doc, event)
		}
		if p.Match(other) {
			t.Errorf("%s matches %s", doc, other)
		}
	})
}

// Whatever compiles is decided the same way twice, and never matches what is no
// event.
func FuzzCompile(f *testing.F) {
	f.Add(`{"source":[{"prefix":"aws."}]}`)
	f.Add(`{"detail":{"object":{"size":[{"numeric":[">",1]}]},"$or":[{"ok":[true]},{"a":[{"exists":false}]}]}}`)
	f.Add(`{"source":[{"wildcard":"a*\\*"}]}`)
	f.Fuzz(func(t *testing.T, pattern string) {
		p, err := Compile([]byte(pattern))
		if err != nil {
			return
		}
		again, err := Compile([]byte(pattern))
		if err != nil {
			t.Fatalf("second Compile of %q: %v", pattern, err)
		}
		if p.Match([]byte(uploaded)) != again.Match([]byte(uploaded)) {
			t.Errorf("%q is decided differently twice", pattern)
		}
		if p.Match([]byte(`[]`)) || p.Match([]byte(`nonsense`)) {
			t.Errorf("%q matches what is no event", pattern)
		}
	})
}
