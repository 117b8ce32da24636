package event_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

var here = event.Here{
	Account: "123456789012", Region: "us-east-1",
	ConfigBucket: naming.ConfigBucket("123456789012", "us-east-1"), SourceBucket: naming.SourceBucket("123456789012", "us-east-1"),
}

const samples = "../../events"

func sample(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEverySampleLeadsToItsConfig(t *testing.T) {
	for name, kind := range map[string]string{
		"s3-config-uploaded.json":          "config-uploaded",
		"s3-config-uploaded-in-parts.json": "config-uploaded",
		"s3-config-deleted.json":           "config-deleted",
		"s3-config-version-deleted.json":   "config-deleted",
		"s3-config-lifecycle-expired.json": "config-deleted",
		"wake.json":                        "wake",
	} {
		t.Run(name, func(t *testing.T) {
			look, err := event.Decode(sample(t, name), here)
			if err != nil {
				t.Fatal(err)
			}
			if look.Key != "configs/team/agent.yaml" || look.Hint.Kind != kind {
				t.Errorf("got %+v", look)
			}
		})
	}
}

func TestARequestLeadsToItsObject(t *testing.T) {
	key := naming.RequestKey("configs/team/agent.yaml", "20261122T120000Z-4f1d")
	look, err := event.Decode(sample(t, "s3-request-written.json"), here)
	if err != nil {
		t.Fatal(err)
	}
	if look.Key != "" || look.Request != key || look.Hint.Kind != "request-written" || look.Hint.ID != key {
		t.Errorf("got %+v", look)
	}
	for name, c := range map[string]struct {
		old, text string
		want      fault.Class
	}{
		"deleted":                {"Object Created", "Object Deleted", fault.Ignored},
		"for no config":          {"requests/config/", "requests/fleet/", fault.Poison},
		"with a path":            {"20261122T120000Z-4f1d.json", "a/b.json", fault.Poison},
		"of another bucket":      {"bedrock-agentcore-configs-", "somebodys-configs-", fault.Poison},
		"of a short ConfigID":    {"ce21783b", "", fault.Poison},
		"without an id":          {"20261122T120000Z-4f1d.json", ".json", fault.Poison},
		"that is no JSON object": {".json", ".yaml", fault.Poison},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := event.Decode(strings.ReplaceAll(sample(t, "s3-request-written.json"), c.old, c.text), here)
			if err == nil || fault.Of(err) != c.want {
				t.Errorf("error %v of class %s, want %s", err, fault.Of(err), c.want)
			}
		})
	}
}

// changed gives a sample with one text of it replaced.
func changed(t *testing.T, name, old, text string) string {
	t.Helper()
	body := sample(t, name)
	if !strings.Contains(body, old) {
		t.Fatalf("%s has no %q", name, old)
	}
	return strings.ReplaceAll(body, old, text)
}

// refused reports what class an event is refused with.
func refused(t *testing.T, body string, want fault.Class) {
	t.Helper()
	look, err := event.Decode(body, here)
	if err == nil || fault.Of(err) != want {
		t.Errorf("look %+v, error %v of class %s, want %s", look, err, fault.Of(err), want)
	}
	if diff := cmp.Diff(event.Look{}, look); diff != "" {
		t.Errorf("refused, yet something came of it:\n%s", diff)
	}
}

func TestASourceLeadsToItsAgent(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 20, 41, 0, time.UTC)
	want := event.Look{Agent: "my_agent", Hint: event.Hint{
		Kind: "source-uploaded", ID: "hT3mJxQ0cVbW8dNfYz5kRsL1pGuA7eoX", Time: at, Actor: "123456789012",
	}}
	for name, c := range map[string]struct{ key, team string }{
		"where there are no teams": {"my_agent/source.zip", ""},
		"in the folder of a team":  {"payments/my_agent/source.zip", "payments"},
	} {
		t.Run(name, func(t *testing.T) {
			look, err := event.Decode(changed(t, "s3-source-uploaded.json", "my_agent/source.zip", c.key), here)
			if err != nil {
				t.Fatal(err)
			}
			want.Team = c.team
			if diff := cmp.Diff(want, look); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOtherEventsOfTheSourceBucketAreIgnored(t *testing.T) {
	for name, key := range map[string]string{
		"another object of the agent":     "my_agent/deployment.zip",
		"a source in no agent's folder":   "source.zip",
		"a source two folders deep":       "a/b/my_agent/source.zip",
		"a name that no agent has":        "my-agent/source.zip",
		"a name that is too long":         strings.Repeat("a", 49) + "/source.zip",
		"a folder of the S3 console":      "my_agent/",
		"what would be a config":          "configs/team/agent.yaml",
		"what would be an agent's folder": "my_agent/source.zip/",
		"a key with nothing in front":     "/my_agent/source.zip",
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, changed(t, "s3-source-uploaded.json", "my_agent/source.zip", key), fault.Ignored)
		})
	}
	for name, body := range map[string]string{
		"a source that expired":     sample(t, "s3-source-expired.json"),
		"a source that was deleted": changed(t, "s3-source-uploaded.json", "Object Created", "Object Deleted"),
	} {
		t.Run(name, func(t *testing.T) { refused(t, body, fault.Ignored) })
	}
}

func TestEventsOfOtherPlacesArePoison(t *testing.T) {
	for _, name := range []string{"s3-config-uploaded.json", "s3-source-uploaded.json", "codebuild-build-ended.json", "cloudtrail-runtime-deleted.json", "cloudtrail-role-edited.json"} {
		for what, c := range map[string][2]string{
			"another account": {`"account": "` + here.Account, `"account": "999999999999`},
			"another Region":  {`"region": "` + here.Region, `"region": "eu-west-1`},
			"no account":      {`"account": "` + here.Account, `"account": "`},
		} {
			t.Run(name+" of "+what, func(t *testing.T) { refused(t, changed(t, name, c[0], c[1]), fault.Poison) })
		}
	}
	t.Run("another bucket", func(t *testing.T) {
		refused(t, changed(t, "s3-source-uploaded.json", "bedrock-agentcore-codebuild-sources-", "somebodys-sources-"), fault.Poison)
	})
}

func TestABuildThatEndedLeadsToItsProject(t *testing.T) {
	const project = "bedrock-agentcore-my_agent-builder"
	at := time.Date(2026, 11, 22, 9, 22, 35, 0, time.UTC)
	want := event.Look{Project: project, Hint: event.Hint{Kind: "build-ended", ID: project + ":8745a7a9-c340-456a-9166-edf953571b3c", Time: at}}
	for _, status := range []string{"SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED"} {
		t.Run(status, func(t *testing.T) {
			look, err := event.Decode(changed(t, "codebuild-build-ended.json", `"build-status": "SUCCEEDED"`, `"build-status": "`+status+`"`), here)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, look); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	look, err := event.Decode(sample(t, "codebuild-build-failed.json"), here)
	if err != nil || look.Project != project || look.Hint.ID != project+":1c9e5d02-7b36-48f1-a0d4-2f6b8e3c9a57" {
		t.Errorf("a failed one: %+v, %v", look, err)
	}
}

func TestOtherBuildEventsAreRefused(t *testing.T) {
	const project = "bedrock-agentcore-my_agent-builder"
	for name, c := range map[string]struct {
		old, text string
		want      fault.Class
	}{
		"a build that runs":                   {`"build-status": "SUCCEEDED"`, `"build-status": "IN_PROGRESS"`, fault.Ignored},
		"a status that is not known":          {`"build-status": "SUCCEEDED"`, `"build-status": "PAUSED"`, fault.Ignored},
		"no status":                           {`"build-status": "SUCCEEDED"`, `"build-status": ""`, fault.Poison},
		"another's project":                   {project, "payroll", fault.Ignored},
		"a project that is only named so":     {project, "bedrock-agentcore-my_agent", fault.Ignored},
		"a project that no name leads to":     {project, "bedrock-agentcore-My--Agent-builder", fault.Ignored},
		"no project":                          {`"project-name": "` + project, `"project-name": "`, fault.Poison},
		"no project anywhere":                 {project, "", fault.Poison},
		"a build of another project":          {`"project-name": "` + project, `"project-name": "bedrock-agentcore-other-builder`, fault.Poison},
		"a build id that is no ARN":           {`"build-id": "arn:aws:codebuild:us-east-1:123456789012:build/`, `"build-id": "`, fault.Poison},
		"a build of another account":          {`"build-id": "arn:aws:codebuild:us-east-1:123456789012`, `"build-id": "arn:aws:codebuild:us-east-1:999999999999`, fault.Poison},
		"a build without an id of its own":    {":8745a7a9-c340-456a-9166-edf953571b3c", ":", fault.Poison},
		"a project that is not text":          {`"project-name": "` + project + `"`, `"project-name": 1`, fault.Poison},
		"a phase that ended":                  {"Build State Change", "Build Phase Change", fault.Poison},
		"an event without detail to speak of": {`"detail":`, `"other":`, fault.Poison},
	} {
		t.Run(name, func(t *testing.T) { refused(t, changed(t, "codebuild-build-ended.json", c.old, c.text), c.want) })
	}
}

// The library that other functions read events with must read ours, too: what
// it cannot read is not of AWS's shape.
func TestSamplesOfBuildsAreOfCodeBuildsShape(t *testing.T) {
	for _, name := range []string{"codebuild-build-ended.json", "codebuild-build-failed.json"} {
		var e events.CodeBuildEvent
		if err := json.Unmarshal([]byte(sample(t, name)), &e); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		more := e.Detail.AdditionalInformation
		if e.DetailType != events.CodeBuildStateChangeDetailType || len(more.Phases) != 11 || len(more.Environment.EnvironmentVariables) != 5 || !more.BuildComplete {
			t.Errorf("%s: %+v", name, e)
		}
		for _, v := range more.Environment.EnvironmentVariables {
			if v.Name == "IMAGE_TAG" && v.Value != model.ImageTag(more.SourceVersion) {
				t.Errorf("%s: version %s has tag %s", name, more.SourceVersion, v.Value)
			}
		}
	}
}

func TestEveryKindHasASampleAndEverySampleAKind(t *testing.T) {
	known := map[event.Kind]bool{}
	for _, k := range event.Kinds() {
		known[k] = false
	}
	files, err := filepath.Glob(filepath.Join(samples, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, f := range files {
		var e struct {
			Source     string
			DetailType string `json:"detail-type"`
		}
		if err := json.Unmarshal([]byte(sample(t, filepath.Base(f))), &e); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if e.Source == "" {
			continue // a batch of a queue
		}
		k := event.Kind{Source: e.Source, DetailType: e.DetailType}
		if _, ok := known[k]; !ok {
			t.Errorf("%s is of a kind that nothing decodes: %v", f, k)
		}
		known[k] = true
	}
	for k, seen := range known {
		if !seen {
			t.Errorf("there is no sample of %v", k)
		}
	}
}

func TestAWakeUpComesBackAsItWasSent(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m, err := event.Wake("configs/a.yaml", now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if m.Delay != event.MaxDelay {
		t.Errorf("delay %s, want it cut to %s", m.Delay, event.MaxDelay)
	}
	look, err := event.Decode(m.Body, here)
	if err != nil {
		t.Fatal(err)
	}
	want := event.Look{Key: "configs/a.yaml", Hint: event.Hint{Kind: "wake", Time: now.Add(event.MaxDelay)}}
	if diff := cmp.Diff(want, look); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWorkOfOneConfigIsOneGroupAndOfOneEventOneMessage(t *testing.T) {
	a := event.Look{Key: "configs/a.yaml"}
	b := event.Look{Key: "configs/b.yaml"}
	first, again, next, elsewhere := message(t, a, "1"), message(t, a, "1"), message(t, a, "2"), message(t, b, "1")
	if first.ID != again.ID || first.ID == next.ID || first.ID == elsewhere.ID {
		t.Errorf("deduplication ids %s %s %s %s", first.ID, again.ID, next.ID, elsewhere.ID)
	}
	if first.Group != next.Group || first.Group == elsewhere.Group || first.Group != naming.ConfigID("configs/a.yaml") {
		t.Errorf("groups %s %s %s", first.Group, next.Group, elsewhere.Group)
	}
	w, err := event.DecodeWork(first.Body)
	if err != nil || w.Key != "configs/a.yaml" || len(w.Hints) != 1 {
		t.Errorf("work %+v, %v", w, err)
	}
}

func message(t *testing.T, l event.Look, id string) event.Message {
	t.Helper()
	m, err := l.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryOutgoingEventIsAsItsSample(t *testing.T) {
	tr := func(agent, to string) event.Transition {
		return event.NewTransition("configs/team/agent.yaml", "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY", agent, to)
	}
	project := naming.Project("my_agent")
	all := map[string]event.Outgoing{
		"agent-roles-ready.json": event.RolesReady{
			Transition:     tr("my_agent", "ready"),
			RuntimeRoleARN: "arn:aws:iam::123456789012:role/" + naming.RuntimeRole("us-east-1", "my_agent"),
			BuildRoleARN:   "arn:aws:iam::123456789012:role/" + naming.BuildRole("us-east-1", "my_agent"),
		},
		"agent-config-rejected.json": event.ConfigRejected{
			Transition: tr("", "rejected"),
			Summary:    "The config has 1 problem and was refused; nothing was changed.",
			Problems: []fault.Problem{{
				Code: "agent-name-invalid", Severity: fault.SeverityError, Agent: "my-agent", Field: "name", Line: 3, Column: 11,
				Message: `name "my-agent" is not allowed`, Fix: "use letters, digits and underscores, at most 48, a letter first",
			}},
		},
		"role-drift-detected.json": event.DriftDetected{
			Transition: tr("my_agent", "found"),
			Findings:   []event.DriftFinding{{Role: naming.RuntimeRole("us-east-1", "my_agent"), Element: "runtime/policy/read-orders", Kind: "extra", Actor: "arn:aws:iam::123456789012:user/somebody"}},
		},
		"role-drift-repaired.json": event.DriftRepaired{
			Transition: tr("my_agent", "repaired"),
			Findings:   []event.DriftFinding{{Role: naming.RuntimeRole("us-east-1", "my_agent"), Element: "runtime/trust", Kind: "edited", Actor: "arn:aws:sts::123456789012:assumed-role/admin/somebody"}},
		},
		"agent-build-started.json": event.BuildStarted{
			Transition: tr("my_agent", "started"), Build: project + ":8745a7a9-c340-456a-9166-edf953571b3c", SourceVersion: "hT3mJxQ0cVbW8dNfYz5kRsL1pGuA7eoX",
		},
		"agent-build-succeeded.json": event.BuildSucceeded{
			Transition: tr("my_agent", "succeeded"), Build: project + ":8745a7a9-c340-456a-9166-edf953571b3c", SourceVersion: "hT3mJxQ0cVbW8dNfYz5kRsL1pGuA7eoX",
			Image: "123456789012.dkr.ecr.us-east-1.amazonaws.com/" + naming.Repository("my_agent") + "@sha256:02d6f1f144d1f5d65b002ef9345b956f9bcbee7e7022246c5d6aec3236fd14a1",
		},
		"agent-build-failed.json": event.BuildFailed{
			Transition: tr("my_agent", "failed"), Build: project + ":1c9e5d02-7b36-48f1-a0d4-2f6b8e3c9a57", SourceVersion: "pB6nUe2qWk9sFa4yTz7vDj0rMxC1gHiL",
			State:   model.BuildFailed,
			Message: `BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: docker build --platform linux/arm64 --tag "$REPOSITORY_URI:$IMAGE_TAG" .. Reason: exit status 1`,
			LogURL:  "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEvent:group=" + naming.LogGroup(project) + ";stream=1c9e5d02-7b36-48f1-a0d4-2f6b8e3c9a57",
		},
		"agent-retiring.json": event.AgentRetiring{
			Transition: tr("my_agent", "retiring"), Reason: "deserted", RetireAfter: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
			RuntimeRoleARN: "arn:aws:iam::123456789012:role/" + naming.RuntimeRole("us-east-1", "my_agent"),
			BuildRoleARN:   "arn:aws:iam::123456789012:role/" + naming.BuildRole("us-east-1", "my_agent"),
		},
		"agent-roles-deleted.json": event.RolesDeleted{
			Transition: tr("my_agent", "retired"), RetirementID: "20261123T120500Z-9f2b6d84e731",
			ArchiveKeys: []string{
				naming.ArchivedRole(naming.BuildRole("us-east-1", "my_agent")) + "20261123T120500Z-9f2b6d84e731-04b96c3f1a82.json",
				naming.ArchivedRole(naming.RuntimeRole("us-east-1", "my_agent")) + "20261123T120500Z-9f2b6d84e731-58c7e03abd16.json",
			},
		},
		"role-deletion-blocked.json": event.DeletionBlocked{
			Transition: tr("my_agent", "blocked"),
			BlockedBy: []event.DeletionBlocker{{
				ARN: "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/orders-x1y2z3a4b5", Kind: string(plan.InUse),
				Fix: "give the gateway another role, or delete it",
			}},
		},
		"service-linked-role-changed.json": event.ServiceLinkedRoleChanged{
			ID: "f9c0a7b1d2e34455a6b7c8d9e0f10213", Role: "AWSServiceRoleForBedrockAgentCoreNetwork", Service: "network.bedrock-agentcore.amazonaws.com",
			From: model.LinkedUsed, To: model.LinkedIdle,
			Reasons: []string{"nothing in us-east-1 needs it; it was last used at 2026-11-22T11:40:00Z in us-east-1"},
		},
	}
	files, err := filepath.Glob(filepath.Join(samples, "outgoing", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(all) {
		t.Errorf("%d samples of %d outgoing events", len(files), len(all))
	}
	for name, e := range all {
		detail, err := event.Detail(e)
		if err != nil {
			t.Fatal(err)
		}
		var got, want struct {
			Source     string         `json:"source"`
			DetailType string         `json:"detail-type"`
			Detail     map[string]any `json:"detail"`
		}
		got.Source, got.DetailType = event.Source, e.DetailType()
		if err := json.Unmarshal([]byte(detail), &got.Detail); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(sample(t, filepath.Join("outgoing", name))), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-sample +sent):\n%s", name, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(samples, "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		f.Add(sample(f, filepath.Base(name)))
	}
	f.Add(`{"source":"rolekeeper","detail-type":"Wake","detail":{"key":"configs/../x"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		look, err := event.Decode(body, here)
		if err != nil {
			if c := fault.Of(err); c != fault.Poison && c != fault.Ignored {
				t.Fatalf("refused as %s: %v", c, err)
			}
			return
		}
		var place struct{ Account, Region string }
		if err := json.Unmarshal([]byte(body), &place); err != nil || look.Hint.Kind != event.WakeHint && (place.Account != here.Account || place.Region != here.Region) {
			t.Fatalf("an event of %+v led to %+v, %v", place, look, err)
		}
		ways := 0
		for _, way := range []string{look.Key, look.Request, look.Agent, look.Project, look.Runtime, look.Role} {
			if way != "" {
				ways++
			}
		}
		if ways != 1 || look.Team != "" && look.Agent == "" || look.Hint.Kind == "" {
			t.Fatalf("it leads nowhere, or not to one config: %+v", look)
		}
		switch {
		case look.Request != "":
			if _, _, ok := naming.SplitRequestKey(look.Request); !ok {
				t.Fatalf("%+v", look)
			}
			return
		case look.Agent != "":
			team, agent, ok := naming.SplitSourceKey(naming.SourceKey(look.Team, look.Agent))
			if !ok || team != look.Team || agent != look.Agent {
				t.Fatalf("%+v", look)
			}
			return
		case look.Project != "":
			if _, ok := naming.ProjectClaimKeyOf(look.Project); !ok || len(look.Hint.ID) <= len(look.Project)+1 || !strings.HasPrefix(look.Hint.ID, look.Project+":") {
				t.Fatalf("%+v", look)
			}
			return
		case look.Runtime != "":
			if _, ok := naming.RuntimeAgent(look.Runtime); !ok || look.Hint.ID != look.Runtime || look.Hint.Kind != event.RuntimeHint {
				t.Fatalf("%+v", look)
			}
			return
		case look.Role != "":
			if _, ok := naming.RoleHash(here.Region, look.Role); !ok || !strings.HasPrefix(look.Hint.ID, look.Role+"/") || look.Hint.Kind != event.RoleHint {
				t.Fatalf("%+v", look)
			}
			return
		}
		if err := naming.CheckConfigKey(look.Key); err != nil {
			t.Fatal(err)
		}
		m, err := look.Message("id")
		if err != nil {
			return // a time that JSON cannot hold
		}
		w, err := event.DecodeWork(m.Body)
		if err != nil || w.Key != look.Key {
			t.Fatalf("work message %s reads as %+v, %v", m.Body, w, err)
		}
	})
}

func FuzzDecodeWork(f *testing.F) {
	f.Add(`{"v":1,"key":"configs/a.yaml","hints":[{"kind":"wake"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		w, err := event.DecodeWork(body)
		if err != nil {
			if fault.Of(err) != fault.Poison {
				t.Fatalf("refused as %s", fault.Of(err))
			}
			return
		}
		if err := naming.CheckConfigKey(w.Key); err != nil {
			t.Fatal(err)
		}
	})
}
