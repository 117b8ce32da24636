package agent

import (
	"slices"
	"strings"
	"testing"
)

func TestTheLongestNamesAreTakenAndLongerOnesAreNot(t *testing.T) {
	for name, c := range map[string]struct {
		entry string // NAME stands for the name
		most  int
		of    func(n int) string
		code  string
	}{
		"a role's name": {"aws: {execution_role: NAME}", 64, letters, "role-invalid"},
		"the name in a role's ARN": {
			"aws: {execution_role: 'arn:aws:iam::111122223333:role/a/NAME'}", 64, letters, "role-invalid",
		},
		"a memory's id": {
			"aws: {}, memory: {memory_id: NAME}", 111, func(n int) string { return letters(n-11) + "-0123456789" }, "memory-id-invalid",
		},
		"a repository's tag": {
			"aws: {ecr_repository: 'team/app:NAME'}", 128, letters, "repository-invalid",
		},
		"an image's digest": {
			"aws: {ecr_repository: 'team/app@sha256:NAME'}", 64, func(n int) string { return strings.Repeat("a", n) }, "repository-invalid",
		},
		"a provider's name": {
			"aws: {}, api_key_credential_provider_name: NAME", 128, letters, "provider-name-invalid",
		},
		"the provider of a model": {
			"aws: {}, permissions: {models: [NAME]}", 63, func(n int) string { return letters(n) + ".m" }, "model-invalid",
		},
		"the name of a model": {
			"aws: {}, permissions: {models: [NAME]}", 63, func(n int) string { return "p." + letters(n) }, "model-invalid",
		},
		"the size of a model": {
			"aws: {}, permissions: {models: ['NAME']}", 63, func(n int) string { return "p.m:0:" + letters(n) }, "model-invalid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n, want := range map[int]bool{c.most: false, c.most + 1: true} {
				_, problems := Parse([]byte("agents: {a: {name: a, "+strings.ReplaceAll(c.entry, "NAME", c.of(n))+"}}"), in("us-east-1"))
				got := codes(problems)
				refused := slices.ContainsFunc(got, func(code string) bool { return strings.HasPrefix(code, "error "+c.code+" ") })
				if refused != want || !want && len(got) > 0 {
					t.Errorf("with %d characters: %q", n, got)
				}
			}
		})
	}
}

func letters(n int) string { return strings.Repeat("m", n) }
