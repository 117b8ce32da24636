package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// archive puts an archive of a role into the bucket and gives its key.
func (w *world) archive(t *testing.T, a model.Archive) string {
	t.Helper()
	body, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("%s%s-%x.json", naming.ArchivedRole(a.Role.Name), a.ArchivedAt.Format("20060102T150405Z"), len(body))
	w.put(t, key, string(body))
	return key
}

// anArchive gives an archive of an agent's runtime role.
func anArchive(agent, reason string, when time.Time) model.Archive {
	return model.Archive{
		V: 1, Reason: reason, Config: teamKey, Agent: agent, Kind: model.RuntimeRole, ArchivedAt: when,
		Role: model.ObservedRole{Name: runtimeRole(agent), ARN: "arn:aws:iam::123456789012:role/" + runtimeRole(agent), ID: "AROA" + strings.ToUpper(agent), Trust: "{}"},
	}
}

// archives is an account with some.
func archives(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	w.archive(t, anArchive("solo", model.ArchiveAdopted, at(9)))
	w.archive(t, anArchive("solo", model.ArchivePoliciesRemoved, at(11)))
	other := anArchive("duo", model.ArchiveRetired, at(10))
	other.Retirement = "20261122T095900Z-0123456789ab"
	w.archive(t, other)
	build := anArchive("duo", model.ArchiveRetired, at(10))
	build.Kind, build.Role.Name, build.Retirement = model.BuildRole, buildRole("duo"), other.Retirement
	w.archive(t, build)
	return w
}

func TestArchivesAreListedTheNewestFirst(t *testing.T) {
	w := archives(t)
	w.ForgetCalls()
	for name, args := range map[string][]string{
		"archive-all.txt":  {"archive"},
		"archive-all.json": {"archive", "-o=json"},
		"archive-one.txt":  {"archive", runtimeRole("solo")},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.run(t, args...)
			if got.code != exitGood || got.stderr != "" {
				t.Fatalf("exit code %d\n%s", got.code, got.stderr)
			}
			golden(t, name, got.stdout)
		})
	}
	byName, byARN := w.run(t, "archive", runtimeRole("solo")), w.run(t, "archive", "arn:aws:iam::123456789012:role/"+runtimeRole("solo"))
	if byName != byARN {
		t.Errorf("by name\n%+v\nby ARN\n%+v", byName, byARN)
	}
	for _, c := range w.Calls() {
		if c.Operation != "GetObject" && c.Operation != "ListObjectsV2" {
			t.Errorf("the tool called %s", c)
		}
	}
}

func TestAnArchiveThatIsDamagedIsToldAndTheOthersShown(t *testing.T) {
	moved := anArchive("duo", model.ArchiveAdopted, at(9))
	body, err := json.Marshal(moved)
	if err != nil {
		t.Fatal(err)
	}
	stray := moved
	stray.Config = "requests/x"
	strayed, err := json.Marshal(stray)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ role, body, want string }{
		"cut":                      {"duo", string(body[:len(body)-1]), "unexpected EOF"},
		"of another version":       {"duo", strings.Replace(string(body), `"v":1`, `"v":2`, 1), "not of version 1"},
		"of another role":          {"trio", string(body), "it is of role " + runtimeRole("duo")},
		"of no config":             {"duo", string(strayed), "requests/x"},
		"larger than what is read": {"duo", `{"v":1,"config":"` + strings.Repeat("x", 1<<20), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.archive(t, anArchive("solo", model.ArchiveAdopted, at(9)))
			key := naming.ArchivedRole(runtimeRole(c.role)) + "1.json"
			w.put(t, key, c.body)
			for _, args := range [][]string{{"archive"}, {"archive", "-o=json"}} {
				got := w.run(t, args...)
				if got.code != exitError || !strings.Contains(got.stderr, key+": the archive is damaged: ") || !strings.Contains(got.stderr, c.want) {
					t.Errorf("exit code %d: %s", got.code, got.stderr)
				}
				if !strings.Contains(got.stdout, runtimeRole("solo")) {
					t.Errorf("the other is not shown:\n%s", got.stdout)
				}
			}
		})
	}
}

func TestArchivesThatAreNotThereOrCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *world)
		args    []string
		code    int
		want    string
	}{
		"none":             {nil, nil, exitGood, "there is no archive of any role in bedrock-agentcore-configs-123456789012-us-east-1\n"},
		"none, as JSON":    {nil, []string{"-o=json"}, exitGood, "[]\n"},
		"none of the role": {nil, []string{runtimeRole("none")}, exitGood, "there is no archive of role " + runtimeRole("none")},
		// The name of the one role is the beginning of nobody else's.
		"no role of an agent":     {nil, []string{"Admin"}, exitError, `"Admin" is no role of an agent in us-east-1: their names are AmazonBedrockAgentCoreSDKRuntime-us-east-1-`},
		"a role of another place": {nil, []string{naming.RuntimeRole("eu-west-1", "solo")}, exitError, "is no role of an agent in us-east-1"},
		"another account's role":  {nil, []string{"arn:aws:iam::999988887777:role/" + runtimeRole("solo")}, exitError, "is no ARN of a role in account 123456789012"},
		"no ARN":                  {nil, []string{"x/" + runtimeRole("solo")}, exitError, "is no ARN of a role"},
		"too many roles":          {nil, []string{"a", "b"}, exitError, "at most one ROLE"},
		"denied":                  {func(w *world) { w.DenyList(w.bucket, "developer") }, nil, exitError, "may you list and read its config bucket?"},
		"one that is denied": {func(w *world) {
			w.Before = func(c awsfake.Call) error {
				if strings.Contains(c.Resource, runtimeRole("duo")) && c.Operation == "GetObject" {
					return awsfake.APIError("AccessDenied", "Access Denied")
				}
				return nil
			}
		}, nil, exitError, "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if c.prepare != nil {
				w = archives(t)
				c.prepare(w)
			}
			got := w.run(t, append([]string{"archive"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			if c.code != exitGood && got.stdout != "" {
				t.Errorf("part of the answer was given:\n%s", got.stdout)
			}
		})
	}
}
