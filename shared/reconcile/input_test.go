package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// named gives a config with one agent of the name, as YAML.
func named(name string) string {
	return fmt.Sprintf("agents:\n  a:\n    name: %s\n    entrypoint: m.py\n    aws: {}\n", name)
}

func TestABadConfigIsAnsweredAndChangesNothingElse(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, c := range map[string]struct{ body, code string }{
		"not YAML":                {"agents: [", "config-not-yaml"},
		"the wrong shape":         {"- a\n- b\n", "config-not-a-map"},
		"empty":                   {"", "config-empty"},
		"one byte":                {"x", "config-not-a-map"},
		"300 KiB":                 {container + strings.Repeat("# comment\n", 30<<10), "config-too-large"},
		"an alias bomb":           {bomb, "config-too-many-nodes"},
		"duplicate keys":          {"agents: {}\nagents: {}\n", "config-duplicate-key"},
		"duplicate agents":        {strings.Replace(agentsNamed("one", "two"), "name: two", "name: one", 1), "agent-name-duplicate"},
		"a name with a wildcard":  {named(`"a*"`), "agent-name-invalid"},
		"a name with a variable":  {named(`"${aws:username}"`), "agent-name-invalid"},
		"a name with a slash":     {named(`"a/b"`), "agent-name-invalid"},
		"a name with a quote":     {named(`"a\"b"`), "agent-name-invalid"},
		"a name with a newline":   {named(`"a\n"`), "agent-name-invalid"},
		"a name with a homoglyph": {named("\u0430gent"), "agent-name-invalid"},
		"a name of 49 characters": {named(strings.Repeat("a", 49)), "agent-name-invalid"},
		"another account":         {strings.Replace(container, "123456789012", "999999999999", 1), "account-mismatch"},
		"another region":          {strings.Replace(container, "us-east-1", "eu-west-1", 1), "region-mismatch"},
		"a role elsewhere": {
			strings.Replace(container, "    aws:\n", "    aws:\n      execution_role: arn:aws:iam::999999999999:role/r\n", 1), "role-foreign",
		},
		"a repository elsewhere": {
			strings.Replace(container, "    aws:\n", "    aws:\n      ecr_repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/r\n", 1), "repository-foreign",
		},
		"an unknown capability":         {container + "    permissions:\n      iam: '*'\n", "permission-unknown"},
		"names that share a repository": {agentsNamed("MyAgent", "myagent"), "agent-names-collide"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, c.body)
			w.settle()
			s := w.status(key)
			if s.Outcome != status.Rejected || len(s.Problems) == 0 || s.Problems[0].Code != c.code {
				t.Errorf("status %s with %v, want rejected for %s", s.Outcome, s.Problems, c.code)
			}
			if writes := w.writes(naming.ClaimPrefix, naming.ArchivePrefix); len(writes) > 0 {
				t.Errorf("writes: %v", writes)
			}
			if dead := append(w.cloud.Messages(w.inboxDead), w.cloud.Messages(w.workDead)...); len(dead) > 0 {
				t.Errorf("dead letters: %v", dead)
			}
		})
	}
}

func TestABadKeyIsKeptInTheDeadLetters(t *testing.T) {
	for name, key := range map[string]string{
		"with dots":    "configs/../claims/roles/x.json",
		"with a space": "configs/my agent.yaml",
		"with unicode": "configs/ägent.yaml",
		"of 201 bytes": "configs/" + strings.Repeat("a", 201-len("configs/")),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			w.settle()
			dead := w.cloud.Messages(w.inboxDead)
			if len(dead) != 1 || dead[0].Attributes["errorClass"] != "poison" || !strings.Contains(dead[0].Attributes["reason"], "config key") {
				t.Errorf("dead letters: %v", dead)
			}
			if objects := w.cloud.Objects(bucket, ""); len(objects) != 1 {
				t.Errorf("%d objects, want the upload alone", len(objects))
			}
		})
	}
}

func TestAKeyOf200BytesIsTaken(t *testing.T) {
	w := newWorld(t)
	long := "configs/" + strings.Repeat("a", 200-len("configs/"))
	w.upload(long, container)
	w.settle()
	wantOutcome(t, w, long, status.Ready)
}

func TestAFolderOfTheConsoleIsIgnored(t *testing.T) {
	w := newWorld(t)
	w.upload("configs/team/", "")
	w.settle()
	if dead := w.cloud.Messages(w.inboxDead); len(dead) > 0 {
		t.Errorf("dead letters: %v", dead)
	}
	if n := len(w.cloud.Messages(w.work)); n > 0 {
		t.Errorf("%d work messages", n)
	}
}

func TestAnEventThatIsNotOursIsKeptInTheDeadLetters(t *testing.T) {
	const event = `{"source":"aws.s3","detail-type":"Object Created","account":"123456789012","region":"us-east-1","detail":{"bucket":{"name":"BUCKET"},"object":{"key":"configs/a.yaml"}}}`
	good := strings.Replace(event, "BUCKET", bucket, 1)
	for name, body := range map[string]string{
		"not JSON":         "configs/a.yaml",
		"no detail":        `{"source":"aws.s3","detail-type":"Object Created","account":"123456789012","region":"us-east-1"}`,
		"another bucket":   strings.Replace(event, "BUCKET", "bedrock-agentcore-configs-999999999999-us-east-1", 1),
		"another account":  strings.Replace(good, "123456789012\",\"region", "999999999999\",\"region", 1),
		"another region":   strings.Replace(good, `"region":"us-east-1"`, `"region":"eu-west-1"`, 1),
		"an unknown kind":  strings.Replace(good, "Object Created", "Object Restored", 1),
		"another source":   strings.Replace(good, "aws.s3", "evil.s3", 1),
		"no object":        `{"source":"aws.s3","detail-type":"Object Created","account":"123456789012","region":"us-east-1","detail":{"bucket":{"name":"` + bucket + `"}}}`,
		"a wake-up of air": `{"source":"rolekeeper","detail-type":"Wake","detail":{"key":"claims/roles/x.json"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cloud.Put(w.inbox, body)
			w.settle()
			dead := w.cloud.Messages(w.inboxDead)
			if len(dead) != 1 || dead[0].Body != body || dead[0].Attributes["errorClass"] != "poison" {
				t.Errorf("dead letters: %v", dead)
			}
			if objects := w.cloud.Objects(bucket, ""); len(objects) > 0 {
				t.Errorf("objects: %v", objects)
			}
		})
	}
}

func TestAWorkMessageThatIsNotOursIsKeptInTheDeadLetters(t *testing.T) {
	for name, body := range map[string]string{
		"not JSON":          "x",
		"of a later format": `{"v":2,"key":"configs/a.yaml"}`,
		"with a bad key":    `{"v":1,"key":"status/a.yaml.json"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cloud.Put(w.work, body)
			w.settle()
			if dead := w.cloud.Messages(w.workDead); len(dead) != 1 || dead[0].Attributes["errorClass"] != "poison" {
				t.Errorf("dead letters: %v", dead)
			}
		})
	}
}
