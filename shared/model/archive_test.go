package model_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
)

const goodArchive = `{
  "v": 1, "reason": "retired", "config": "configs/a.yaml", "agent": "my_agent", "kind": "runtime",
  "retirement": "20261122T120000Z-0123456789ab", "archivedAt": "2026-11-22T12:00:00.5Z",
  "role": {
    "name": "AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789",
    "arn": "arn:aws:iam::123456789012:role/AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789",
    "id": "AROA1", "path": "/", "description": "of my_agent", "maxSessionDuration": 3600,
    "permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary", "trust": "{\"Version\":\"2012-10-17\"}",
    "policies": {"inline": "{}"}, "attached": ["arn:aws:iam::aws:policy/ReadOnlyAccess"], "tags": {"rolekeeper:agent": "my_agent"}
  }
}`

func TestAnArchiveIsReadAsItWasWritten(t *testing.T) {
	a, err := model.ParseArchive([]byte(goodArchive))
	if err != nil {
		t.Fatal(err)
	}
	const name = "AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789"
	want := model.Archive{
		V: 1, Reason: model.ArchiveRetired, Config: "configs/a.yaml", Agent: "my_agent", Kind: model.RuntimeRole,
		Retirement: "20261122T120000Z-0123456789ab", ArchivedAt: time.Date(2026, 11, 22, 12, 0, 0, 500_000_000, time.UTC),
		Role: model.ObservedRole{
			Name: name, ARN: "arn:aws:iam::123456789012:role/" + name, ID: "AROA1", Path: "/", Description: "of my_agent", MaxSessionDuration: 3600,
			PermissionsBoundary: "arn:aws:iam::123456789012:policy/boundary", Trust: `{"Version":"2012-10-17"}`,
			Policies: map[string]string{"inline": "{}"}, Attached: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}, Tags: map[string]string{"rolekeeper:agent": "my_agent"},
		},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// When a role was used is not of the role: two archives of one role are equal.
	a.Role.LastUsed = time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	written, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := model.ParseArchive(written)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("written and read again (-want +got)\n%s", diff)
	}
}

func TestADamagedArchiveIsNoArchive(t *testing.T) {
	for name, change := range map[string][2]string{
		"of a later format":                {`"v": 1`, `"v": 2`},
		"of no format":                     {`"v": 1,`, ``},
		"with an unknown field":            {`"v": 1`, `"v": 1, "forged": true`},
		"with an unknown field of a role":  {`"path": "/"`, `"path": "/", "lastUsed": "2026-11-22T12:00:00Z"`},
		"of no config":                     {`"configs/a.yaml"`, `""`},
		"of no agent":                      {`"agent": "my_agent", "kind"`, `"kind"`},
		"of no kind of role":               {`"kind": "runtime",`, ``},
		"of another kind":                  {`"kind": "runtime"`, `"kind": "RUNTIME"`},
		"of no role":                       {`"name": "AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789",`, ``},
		"of a role without an id":          {`"AROA1"`, `""`},
		"of a role that trusts nobody":     {`"{\"Version\":\"2012-10-17\"}"`, `""`},
		"of a trust that is not in a text": {`"{\"Version\":\"2012-10-17\"}"`, `{"Version":"2012-10-17"}`},
		"with more behind it":              {"\n}", "\n}{}"},
		"cut":                              {"\n}", "\n"},
		"that is a list":                   {"{\n", "[{\n"},
		"that is nothing":                  {goodArchive, ``},
		"that is null":                     {goodArchive, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(goodArchive, change[0], change[1], 1)
			if changed == goodArchive {
				t.Fatal("nothing was changed")
			}
			if a, err := model.ParseArchive([]byte(changed)); err == nil || cmp.Diff(model.Archive{}, a) != "" {
				t.Errorf("%s is read as %+v, %v", changed, a, err)
			}
		})
	}
}

// A role can be made of what is read as an archive, and it is known whose it
// was; written again it is the same.
func FuzzParseArchive(f *testing.F) {
	f.Add([]byte(goodArchive))
	f.Add([]byte(strings.Replace(goodArchive, `"runtime"`, `"build"`, 1)))
	f.Add([]byte(strings.Replace(goodArchive, `"2026-11-22T12:00:00.5Z"`, `"0000-01-01T00:00:00+23:59"`, 1)))
	f.Add([]byte(strings.Replace(goodArchive, `"retired"`, `"adopted"`, 1)))
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := model.ParseArchive(data)
		if err != nil {
			return
		}
		if a.Config == "" || a.Agent == "" || a.Role.Name == "" || a.Role.ID == "" || a.Role.Trust == "" || a.Kind != model.RuntimeRole && a.Kind != model.BuildRole {
			t.Fatalf("%+v", a)
		}
		readAgain(t, a, model.ParseArchive)
	})
}

// readAgain asserts that what was read is read alike from what is written of it.
func readAgain[V any](t *testing.T, v V, parse func([]byte) (V, error)) {
	t.Helper()
	written, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(written)
	if err != nil {
		t.Fatalf("%s: %v", written, err)
	}
	rewritten, err := json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), string(rewritten)); diff != "" {
		t.Fatalf("changes when it is written and read:\n%s", diff)
	}
}
