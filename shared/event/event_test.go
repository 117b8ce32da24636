package event_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

var here = event.Here{Account: "123456789012", Region: "us-east-1", ConfigBucket: "bedrock-agentcore-configs-123456789012-us-east-1"}

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
			Findings:   []event.DriftFinding{{Role: naming.RuntimeRole("us-east-1", "my_agent"), Element: "runtime/policy/read-orders", Kind: "extra"}},
		},
		"role-drift-repaired.json": event.DriftRepaired{
			Transition: tr("my_agent", "repaired"),
			Findings:   []event.DriftFinding{{Role: naming.RuntimeRole("us-east-1", "my_agent"), Element: "runtime/trust", Kind: "edited"}},
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
		if look.Request != "" {
			if _, _, ok := naming.SplitRequestKey(look.Request); !ok || look.Key != "" {
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
