package plan_test

import (
	"testing"

	"rolekeeper/shared/plan"
)

func TestACallTouchesWhatItIsAbout(t *testing.T) {
	const arn = "arn:aws:iam::123456789012:policy/team/p"
	for call, elements := range map[string]map[string]bool{
		"UpdateAssumeRolePolicy":            {"runtime/trust": true, "runtime/tags": false, "runtime": false},
		"PutRolePolicy":                     {"runtime/policy/p": true, "runtime/attached/p": false, "runtime/trust": false},
		"PutRolePolicy/p":                   {"runtime/policy/p": true, "runtime/policy/P": true, "runtime/policy/q": false, "build/policy/p": true},
		"DeleteRolePolicy/p":                {"runtime/policy/p": true, "runtime/policy/pp": false},
		"AttachRolePolicy/" + arn:           {"runtime/attached/" + arn: true, "runtime/attached/" + arn + "2": false, "runtime/policy/p": false},
		"DetachRolePolicy/" + arn:           {"build/attached/" + arn: true},
		"UntagRole":                         {"runtime/tags": true, "runtime/settings": false},
		"UpdateRole":                        {"runtime/settings": true, "runtime/boundary": false},
		"DeleteRolePermissionsBoundary":     {"runtime/boundary": true, "runtime/trust": false},
		"DeleteRole":                        {"runtime": true, "runtime/trust": false},
		"AddRoleToInstanceProfile":          {"runtime": false, "runtime/trust": false},
		"":                                  {"": false, "runtime/trust": false},
		"PutRolePolicy/" + "p/with/slashes": {"runtime/policy/p/with/slashes": true, "runtime/policy/p": false},
	} {
		for element, want := range elements {
			if got := plan.Touches(call, element); got != want {
				t.Errorf("%s touches %s: %v", call, element, got)
			}
		}
	}
}
