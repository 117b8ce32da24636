package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

const owner = "reconcile"

// world is an account with a config bucket, and the tool in it.
type world struct {
	*awsfake.Cloud
	bucket string
	tool
}

func newWorld() *world {
	w := &world{Cloud: awsfake.New()}
	w.bucket = naming.ConfigBucket(w.Account, w.Region)
	w.AddBucket(w.bucket)
	w.connect = func(_ context.Context, region string) (account, error) {
		if region == "" {
			region = w.Region
		}
		return account{id: w.Account, region: region, objects: w.S3("developer")}, nil
	}
	return w
}

// forget deletes an object.
func (w *world) forget(t *testing.T, key string) {
	t.Helper()
	if _, err := w.S3(owner).DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) put(t *testing.T, key, body string) {
	t.Helper()
	_, err := w.S3(owner).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) answer(t *testing.T, s status.Status) {
	t.Helper()
	body, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, naming.StatusKey(s.Config.Key), string(body))
}

// all runs status and reads the list it gives.
func (w *world) all(t *testing.T) ([]status.Status, outcome) {
	t.Helper()
	got := w.run(t, "status", "-o=json")
	var list []status.Status
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil {
		t.Fatalf("%v\n%s%s", err, got.stdout, got.stderr)
	}
	return list, got
}

func at(hour int) time.Time { return time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC) }

// fullStatus gives a status with every field that is written.
func fullStatus() status.Status {
	return status.Status{
		V: status.Version, Config: status.Config{Key: "configs/team/full.yaml", VersionID: "v2", AppliedVersionID: "v1", UploadedAt: at(8)},
		SettingsHash: "0123456789abcdef", TemplateVersion: 1, Outcome: status.Blocked, Summary: "One role cannot be kept up.", WakeAt: at(13),
		Requests: []status.Request{{ID: "20261122T120000Z-0123abcd", Outcome: status.RequestRefused, Message: "it came too late"}},
		Agents: []status.Agent{{
			Name: "full", Phase: status.PhaseActive, Applied: map[string]string{"runtime/trust": digest("1"), "build/trust": digest("2")},
			RuntimeRoleARN: "arn:runtime", BuildRoleARN: "arn:build", Repository: "images", Project: "builder",
			Build: &status.Build{
				ID: "builder:0123", State: model.BuildFailed, Identity: digest("3"), SourceVersion: "source-v7", Image: "images@sha256:4567",
				LogURL: "https://logs", Message: "BUILD: COMMAND_EXECUTION_ERROR: exit status 1", Since: at(10),
			},
			Drift:     []status.Drift{{Element: "runtime/trust", Kind: "edited", Actor: "somebody", At: at(9)}},
			BlockedBy: []status.Blocker{{ARN: "arn:runtime", Kind: "role-not-ours", Fix: "delete it"}},
			Notes:     []string{"a note"},
		}, {
			Name: "idle", Phase: status.PhaseRetiring, PhaseVersion: "v2", RetireAfter: at(20), RuntimeRoleARN: "arn:idle",
			Runtimes: []status.Runtime{
				{ID: "idle-0123456789", LastSeen: at(5), Gone: true}, {ID: "idle-abcdefghij", LastSeen: at(6), Foreign: true}, {ID: "idle-klmnopqrst", LastSeen: at(7)},
			},
			BlockedBy: []status.Blocker{{ARN: "arn:gateway", Kind: "in-use", Fix: "delete the gateway"}},
		}, {
			Name: "leaving", Phase: status.PhaseQuarantined, DeleteAfter: at(15), RetirementID: "20261122T120000Z-0123456789ab",
			ArchiveKeys: []string{"archive/leaving/1.json", "archive/leaving/2.json"},
		}, {Name: "gone", Phase: status.PhaseRetired}, {Name: "back", Phase: status.PhaseHeld}},
		Problems: []fault.Problem{
			{Code: "role-not-ours", Severity: fault.SeverityError, Agent: "full", Field: "name", Line: 3, Column: 5, Message: "a role of that name", Fix: "delete the role"},
			{Code: "aws-not-ready", Severity: fault.SeverityWarning, Message: "throttled", Fix: "nothing"},
		},
		Next: []string{"delete the role"}, UpdatedAt: at(12),
	}
}

func digest(digit string) string { return strings.Repeat(digit, 64) }

func ready(key string, agents ...string) status.Status {
	s := status.Status{
		V: status.Version, Config: status.Config{Key: key, VersionID: "v1", AppliedVersionID: "v1"},
		Outcome: status.Ready, Summary: "The roles are ready.", UpdatedAt: at(11),
	}
	for _, a := range agents {
		s.Agents = append(s.Agents, status.Agent{Name: a, Phase: status.PhaseActive})
	}
	return s
}

func TestStatus(t *testing.T) {
	w := newWorld()
	w.answer(t, fullStatus())
	w.answer(t, ready("configs/alone.yaml"))
	w.answer(t, ready("configs/many.yaml", "one", "two", "three", "four", "five"))
	w.put(t, "configs/team/full.yaml", "agents: {}")
	w.put(t, "status/no status", "{")
	w.put(t, "status/of a key that no config has.json", "{")
	building := ready("configs/building.yaml", "one", "two")
	building.Outcome, building.Summary = status.Building, "Images are being built."
	building.Agents[0].Build = &status.Build{ID: "one:1", State: model.BuildInProgress, Identity: digest("1"), SourceVersion: "v1", Since: at(10)}
	building.Agents[1].Build = &status.Build{State: status.BuildWaiting, Identity: digest("2"), SourceVersion: "v2", Message: "5 builds are queued already", Since: at(11)}
	w.answer(t, building)
	for name, args := range map[string][]string{
		"status-table.txt": {"status"},
		"status-full.txt":  {"status", "team/full.yaml"},
		"status-full.json": {"status", "configs/team/full.yaml", "-o=json"},
		"status-alone.txt": {"status", "alone.yaml"},

		"status-building.txt": {"status", "building.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.run(t, args...)
			if got.code != exitGood || got.stderr != "" {
				t.Fatalf("exit code %d\n%s", got.code, got.stderr)
			}
			golden(t, name, got.stdout)
		})
	}
	for _, c := range w.Calls() {
		if c.Caller != owner && c.Operation != "GetObject" && c.Operation != "ListObjectsV2" {
			t.Errorf("the tool called %s", c)
		}
	}
}

// The text shows all that the JSON has, digests excepted.
func TestTheFullTextLeavesOutOnlyTheDigests(t *testing.T) {
	w := newWorld()
	s := fullStatus()
	w.answer(t, s)
	text := w.run(t, "status", "team/full.yaml").stdout
	digests := maps.Clone(s.Agents[0].Applied)
	digests["build"] = s.Agents[0].Build.Identity
	for element, digest := range digests {
		if strings.Contains(text, digest) {
			t.Errorf("the text has the digest of %s:\n%s", element, text)
		}
	}
	s.Agents[0].Applied, s.Agents[0].Build.Identity = nil, ""
	body, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	for _, value := range leaves(v) {
		if !strings.Contains(text, value) {
			t.Errorf("%q is not in the text:\n%s", value, text)
		}
	}
}

// leaves gives the texts in a JSON value.
func leaves(v any) []string {
	var all []string
	switch v := v.(type) {
	case string:
		all = append(all, v)
	case []any:
		for _, item := range v {
			all = append(all, leaves(item)...)
		}
	case map[string]any:
		for _, item := range v {
			all = append(all, leaves(item)...)
		}
	}
	return all
}

func TestMoreStatusesThanOnePageOfAListing(t *testing.T) {
	w := newWorld()
	const n = 2_100
	for i := range n {
		w.answer(t, ready(fmt.Sprintf("configs/%04d.yaml", i)))
	}
	w.ForgetCalls()
	list, got := w.all(t)
	if got.code != exitGood || len(list) != n {
		t.Fatalf("exit code %d, %d statuses, want %d", got.code, len(list), n)
	}
	for i, s := range list {
		if want := fmt.Sprintf("configs/%04d.yaml", i); s.Config.Key != want {
			t.Fatalf("status %d is that of %s, want %s", i, s.Config.Key, want)
		}
	}
	if calls := len(w.Calls()); calls != n+3 {
		t.Errorf("%d calls, want one for each status and 3 for the listing", calls)
	}
}

func TestWhatCannotBeAnsweredIsSaid(t *testing.T) {
	damaged := []byte(`{"v":1`)
	for name, c := range map[string]struct {
		prepare func(*testing.T, *world)
		args    []string
		want    []string // in the error
		table   string   // shown all the same
	}{
		"nobody uploaded anything": {nil, nil, []string{"upload a config to s3://bedrock-agentcore-configs-123456789012-us-east-1/configs/"}, ""},
		"no status of that config": {nil, []string{"a.yaml"}, []string{"configs/a.yaml", "upload"}, ""},
		"the bucket is not there": {
			nil, []string{"--bucket=other"}, []string{"s3://other/", "account 123456789012, Region us-east-1", "deployed"}, "",
		},
		"the bucket is not there, one config": {nil, []string{"a.yaml", "--bucket=other"}, []string{"s3://other/", "deployed"}, ""},
		"the bucket is another region's":      {nil, []string{"--region=eu-west-1"}, []string{"configs-123456789012-eu-west-1", "Region eu-west-1"}, ""},
		"listing is denied":                   {func(_ *testing.T, w *world) { w.DenyList(w.bucket, "developer") }, nil, []string{"AccessDenied", "may you list"}, ""},
		// Without s3:ListBucket S3 says 403 for what is missing.
		"listing is denied, one config": {
			func(_ *testing.T, w *world) { w.DenyList(w.bucket, "developer") }, []string{"a.yaml"}, []string{"AccessDenied", "may you list"}, "",
		},
		"a damaged status": {
			func(t *testing.T, w *world) { w.put(t, "status/a.yaml.json", string(damaged)) }, []string{"a.yaml"}, []string{"configs/a.yaml", "damaged", "upload the config again"}, "",
		},
		"a damaged status among others": {
			func(t *testing.T, w *world) {
				w.put(t, "status/a.yaml.json", string(damaged))
				w.answer(t, ready("configs/b.yaml"))
			}, nil, []string{"configs/a.yaml", "damaged"}, "configs/b.yaml",
		},
		"a status that is about another config": {
			func(t *testing.T, w *world) {
				body, err := ready("configs/b.yaml").JSON()
				if err != nil {
					t.Fatal(err)
				}
				w.put(t, "status/a.yaml.json", string(body))
			}, []string{"a.yaml"}, []string{"configs/a.yaml", "about configs/b.yaml"}, "",
		},
		"one of many cannot be read": {
			func(t *testing.T, w *world) {
				for i := range 20 {
					w.answer(t, ready(fmt.Sprintf("configs/%d.yaml", i)))
				}
				w.Before = func(c awsfake.Call) error {
					if strings.HasSuffix(c.Resource, "/7.yaml.json") {
						return awsfake.APIError("SlowDown", "Please reduce your request rate.")
					}
					return nil
				}
			}, nil, []string{"status/7.yaml.json", "SlowDown"}, "",
		},
		"no credentials": {
			func(_ *testing.T, w *world) {
				w.connect = func(context.Context, string) (account, error) { return account{}, errors.New("no credentials") }
			}, nil, []string{"no credentials"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if c.prepare != nil {
				c.prepare(t, w)
			}
			got := w.run(t, append([]string{"status"}, c.args...)...)
			if got.code != exitError {
				t.Errorf("exit code %d", got.code)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("%q is not in %q", want, got.stderr)
				}
			}
			if !strings.Contains(got.stdout, c.table) || (got.stdout == "") != (c.table == "") {
				t.Errorf("stdout:\n%s", got.stdout)
			}
		})
	}
}

func TestTheFirstFailureEndsTheReading(t *testing.T) {
	w := newWorld()
	for i := range 500 {
		w.answer(t, ready(fmt.Sprintf("configs/%03d.yaml", i)))
	}
	w.ForgetCalls()
	w.Before = func(c awsfake.Call) error {
		if c.Operation == "GetObject" {
			return awsfake.APIError("AccessDenied", "Access Denied")
		}
		return nil
	}
	if got := w.run(t, "status"); got.code != exitError {
		t.Errorf("exit code %d", got.code)
	}
	if n := len(w.Calls()); n > 100 {
		t.Errorf("%d calls though none was allowed", n)
	}
}

func TestNoMoreIsDoneAtOnceThanIsSaid(t *testing.T) {
	var done, now, most atomic.Int64
	each(3, 50, func(int) {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Millisecond)
		now.Add(-1)
		done.Add(1)
	})
	each(3, 0, func(int) { t.Error("there is nothing to do") })
	if done.Load() != 50 || most.Load() > 3 || most.Load() < 2 {
		t.Errorf("%d done, at most %d at once", done.Load(), most.Load())
	}
}

func TestAStatusDeletedMeanwhileIsLeftOut(t *testing.T) {
	w := newWorld()
	w.answer(t, ready("configs/a.yaml"))
	w.answer(t, ready("configs/b.yaml"))
	w.Before = func(c awsfake.Call) error {
		if c.Operation == "GetObject" && strings.HasSuffix(c.Resource, "/a.yaml.json") {
			return awsfake.APIError("NoSuchKey", "gone")
		}
		return nil
	}
	if list, got := w.all(t); got.code != exitGood || len(list) != 1 || list[0].Config.Key != "configs/b.yaml" {
		t.Errorf("exit code %d, %+v", got.code, list)
	}
}

// run itself fails on what is not for terminals.
func TestNothingOfAStatusCommandsTheTerminal(t *testing.T) {
	w := newWorld()
	s := fullStatus()
	s.Summary = "\x1b[31m\u009b2J\nconfigs/forged.yaml  ready\tx"
	s.Agents[0].Notes = []string{"\u202e\r\n"}
	s.Problems[0].Message = "\x1b]0;title\a"
	w.answer(t, s)
	for _, args := range [][]string{{"status"}, {"status", "-o=json"}, {"status", "team/full.yaml"}, {"status", "-o=json", "team/full.yaml"}} {
		got := w.run(t, args...)
		if got.code != exitGood {
			t.Errorf("%q: exit code %d: %s", args, got.code, got.stderr)
		}
		if len(args) == 1 && strings.Count(got.stdout, "\n") != 2 {
			t.Errorf("one status, one row:\n%s", got.stdout)
		}
	}
}
