package agent

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// FuzzParse holds what everything behind Parse relies on: an accepted config
// names nothing outside its account and region and nothing that IAM reads as a
// pattern, and a refused one says why and where.
func FuzzParse(f *testing.F) {
	for name := range samples() {
		f.Add(readFile(f, filepath.FromSlash(name)))
	}
	f.Add([]byte(`{"agents": {"a": {"name": "a", "aws": {"execution_role": "r"}, "permissions": {"models": ["us.x.y"], "base_images": ["b"]}}}}`))
	f.Add([]byte("x: &x {name: a}\nagents: {a: {<<: [*x, {aws: {}}], aws_jwt: {enabled: on, audiences: [b]}}}"))
	f.Add([]byte("x: &x\n  <<: *x\n"))
	f.Add([]byte("name: a\nentrypoint: ['\n"))
	f.Add([]byte("%YAML 1.2\n---\n? [a]\n: !!binary b\n...\n"))

	f.Fuzz(func(t *testing.T, data []byte) { checkParse(t, data, in("us-east-1")) })
}

// FuzzValues puts one text into each field that drives roles, so that the
// invariants of FuzzParse are tried on values rather than on YAML.
func FuzzValues(f *testing.F) {
	for _, s := range []string{
		"my_agent", "arn:aws:iam::111122223333:role/a/R", "111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app:1", "my_mem-AbCdEf1234",
		"arn:aws:bedrock-agentcore:us-east-1:111122223333:token-vault/default/oauth2credentialprovider/p",
		"arn:aws:bedrock-agentcore:us-east-1:111122223333:memory/my_mem-AbCdEf1234",
		"us.anthropic.claude-sonnet-4-20250514-v1:0", "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.a.b", "arn:aws:bedrock:us-west-2::foundation-model/a.b",
		"https://api.example.com", "${aws:username}", "*", "a\nb", "\u0430",
	} {
		f.Add(s)
	}
	const frame = `{"agents": {"a": {"name": "a", "aws": {}, %s}}}`
	fields := []string{
		`"aws": {"execution_role": %s}`, `"aws": {"ecr_repository": %s}`, `"aws": {"account": %s}`, `"aws": {"region": %s}`,
		`"codebuild": {"execution_role": %s}`, `"memory": {"memory_id": %s}`, `"memory": {"memory_id": "my_mem-AbCdEf1234", "memory_arn": %s}`,
		`"identity": {"credential_providers": [{"name": %s}]}`, `"identity": {"credential_providers": [{"name": "p", "arn": %s}]}`,
		`"api_key_credential_provider_name": %s`, `"aws_jwt": {"enabled": true, "audiences": [%s]}`,
		`"permissions": {"models": [%s]}`, `"permissions": {"base_images": [%s]}`, `"permissions": {%s: true}`,
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		checkParse(t, fmt.Appendf(nil, `{"agents": {"a": {"name": %s, "aws": {}}}}`, text), in("us-east-1"))
		for _, field := range fields {
			frame := frame
			if strings.HasPrefix(field, `"aws":`) {
				frame = strings.Replace(frame, `"aws": {}, `, "", 1)
			}
			checkParse(t, fmt.Appendf(nil, frame, fmt.Sprintf(field, text)), in("us-east-1"))
		}
	})
}

func checkParse(t *testing.T, data []byte, where Place) {
	t.Helper()
	cfg, problems := Parse(data, where)
	lines := lineCount(data)
	for _, p := range problems {
		checkProblem(t, p, lines)
	}
	if fault.Blocks(problems) {
		if cfg.Agents != nil {
			t.Error("a refused config has agents")
		}
		return
	}
	if len(cfg.Agents) == 0 || len(cfg.Agents) > maxAgents {
		t.Fatalf("accepted with %d agents", len(cfg.Agents))
	}
	names := map[string]bool{}
	projects := map[string]bool{}
	for _, a := range cfg.Agents {
		checkAgent(t, a, where)
		if names[a.Name] {
			t.Errorf("two agents %q", a.Name)
		}
		names[a.Name] = true
		if a.Deployment == Container {
			if projects[naming.Project(a.Name)] {
				t.Errorf("two agents with the project %q", naming.Project(a.Name))
			}
			projects[naming.Project(a.Name)] = true
		}
		for _, field := range []string{"", "aws.execution_role", "permissions.models[0]"} {
			checkProblem(t, a.Problem("code", field, "message", "fix"), lines)
		}
	}
}

func checkProblem(t *testing.T, p fault.Problem, lines int) {
	t.Helper()
	if p.Code == "" || p.Message == "" || p.Fix == "" {
		t.Errorf("%+v lacks code, message or fix", p)
	}
	if p.Line < 1 || p.Line > lines || p.Column < 1 {
		t.Errorf("%+v is outside the file of %d lines", p, lines)
	}
	if text := p.String(); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%q is not printable ASCII", text)
	}
}

func checkAgent(t *testing.T, a Agent, where Place) {
	t.Helper()
	if !naming.ValidAgent(a.Name) {
		t.Errorf("name %q", a.Name)
	}
	if a.Deployment != Container && a.Deployment != DirectCode {
		t.Errorf("deployment %q", a.Deployment)
	}
	if a.Deployment == DirectCode && a.BuildRole != (RoleRef{}) {
		t.Errorf("direct code with the build role %+v", a.BuildRole)
	}
	var arns, words []string
	for _, r := range []RoleRef{a.RuntimeRole, a.BuildRole} {
		if r == (RoleRef{}) {
			continue
		}
		if !strings.HasPrefix(r.ARN, "arn:aws:iam::"+where.Account+":role/") || !strings.HasSuffix(r.ARN, "/"+r.Name) || strings.Contains(r.ARN, "aws-service-role/") {
			t.Errorf("role %+v", r)
		}
		arns = append(arns, r.ARN)
		words = append(words, r.Name)
	}
	for _, p := range a.Providers {
		if want := "arn:aws:bedrock-agentcore:us-east-1:" + where.Account + ":token-vault/default/" + string(p.Kind) + "/" + p.Name; p.ARN != want {
			t.Errorf("provider %+v, want ARN %s", p, want)
		}
		arns = append(arns, p.ARN)
		words = append(words, p.Name)
	}
	for _, s := range slices.Concat(arns, words, a.Permissions.BaseImages) {
		if s == "" || strings.ContainsAny(s, "*?${}\"'\\ <>&;|`()#") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q can mean something to IAM or a shell", s)
		}
	}
	for _, s := range append(slices.Clone(a.Permissions.BaseImages), a.Repository, a.MemoryID) {
		if strings.ContainsAny(s, "*?$:@ \n") || strings.HasPrefix(s, "/") {
			t.Errorf("%q is no bare name", s)
		}
	}
	for _, m := range a.Permissions.Models {
		if !strings.Contains(m.FoundationModel, ".") || strings.ContainsAny(m.FoundationModel+m.InferenceProfile, "*?$/ \n") {
			t.Errorf("model %+v", m)
		}
		if m.InferenceProfile != "" && !strings.HasSuffix(m.InferenceProfile, "."+m.FoundationModel) {
			t.Errorf("model %+v", m)
		}
	}
	if j := a.JWT; j != nil {
		if len(j.Audiences) == 0 || j.DurationSeconds < 60 || j.DurationSeconds > 3600 || j.SigningAlgorithm != "ES384" && j.SigningAlgorithm != "RS256" {
			t.Errorf("JWT %+v", j)
		}
		for _, s := range j.Audiences {
			if s == "" || strings.Contains(s, "*") || strings.Contains(s, "${") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > 0xFF || r == 0x7F }) {
				t.Errorf("audience %q", s)
			}
		}
	}
}

// lineCount counts the lines of data by all line breaks that YAML 1.1 knows.
func lineCount(data []byte) int {
	n := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == '\n' || r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\r' && (i+1 == len(data) || data[i+1] != '\n') {
			n++
		}
		i += size
	}
	return n
}
