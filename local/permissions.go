package local

import (
	"encoding/json"
	"strings"
)

// mayListBucket tells whether a caller may list a bucket without condition.
// Callers that are no functions may. A statement with a condition does not
// count: a GetObject request carries no s3:prefix for S3 to test.
func (a *AWS) mayListBucket(caller, bucket string) bool {
	f, ok := a.stack.Functions[caller]
	if !ok {
		return true
	}
	arn := "arn:" + a.stack.Partition + ":s3:::" + bucket
	for _, document := range f.Policies {
		var policy struct {
			Statement []struct {
				Effect           string
				Action, Resource any
				Condition        any
			}
		}
		if json.Unmarshal(document, &policy) != nil {
			continue
		}
		for _, s := range policy.Statement {
			if s.Effect == "Allow" && s.Condition == nil && covers(s.Action, "s3:ListBucket") && covers(s.Resource, arn) {
				return true
			}
		}
	}
	return false
}

// covers tells whether a policy element, one pattern or many, covers a value.
// Only stars at the end are read, which is all that a bucket needs.
func covers(element any, value string) bool {
	switch e := element.(type) {
	case string:
		prefix, open := strings.CutSuffix(e, "*")
		return e == value || open && strings.HasPrefix(value, prefix)
	case []any:
		for _, one := range e {
			if covers(one, value) {
				return true
			}
		}
	}
	return false
}
