package status

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// full gives a status with every field.
func full() Status {
	at := func(hour int) time.Time { return time.Date(2026, 11, 22, hour, 30, 0, 0, time.UTC) }
	return Status{
		V: Version, Config: Config{Key: "configs/team/a.yaml", VersionID: "v2", AppliedVersionID: "v1", UploadedAt: at(8)},
		SettingsHash: "0123456789abcdef", TemplateVersion: 1, Outcome: Blocked, Summary: "One role cannot be kept up.", WakeAt: at(13),
		Requests: []Request{{ID: "r1", Outcome: "done", Message: "adopted"}},
		Agents: []Agent{{
			Name: "a", Phase: PhaseQuarantined, Applied: map[string]string{"runtime/trust": "11", "build/trust": "22"},
			RuntimeRoleARN: "arn:runtime", BuildRoleARN: "arn:build", Repository: "images", Project: "builder",
			Build: &Build{
				ID: "b1", State: model.BuildFailed, Identity: "i1", SourceVersion: "s1", Image: "image@sha256:1", LogURL: "https://logs/?a=1&b=<2>", Message: "no Dockerfile", Since: at(11),
				Last: &Build{ID: "project:0", State: model.BuildFailed, Identity: "i", SourceVersion: "v", Since: time.Unix(0, 0).UTC()},
			},
			Runtimes: []Runtime{{ID: "a-1", LastSeen: at(10), Gone: true, Foreign: true}}, PhaseVersion: "v0",
			RetireAfter: at(14), DeleteAfter: at(15), RetirementID: "ret-1", ArchiveKeys: []string{"archive/a.json"},
			Drift:     []Drift{{Element: "runtime/trust", Kind: "edited", Actor: "somebody", At: at(9)}},
			BlockedBy: []Blocker{{ARN: "arn:runtime", Kind: "role-not-ours", Fix: "delete it"}},
			Notes:     []string{"a note"},
		}},
		Problems: []fault.Problem{
			{Code: "role-not-ours", Severity: fault.SeverityError, Agent: "a", Field: "name", Line: 3, Column: 5, Message: "a role of that name", Fix: "delete the role"},
		},
		Next: []string{"delete the role"}, UpdatedAt: at(12),
	}
}

func small() Status {
	return Status{V: Version, Config: Config{Key: "configs/a"}, Outcome: Orphaned, Summary: "The config is gone.", UpdatedAt: time.Unix(0, 0).UTC()}
}

func encoded(t interface {
	Helper()
	Fatal(...any)
}, s Status) []byte {
	t.Helper()
	data, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("status.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("status.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(t *testing.T, sch *jsonschema.Schema, data []byte) error {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return sch.Validate(instance)
}

// generic gives a status as JSON knows it, to be damaged.
func generic(t *testing.T, s Status) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(encoded(t, s), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAStatusFollowsItsSchema(t *testing.T) {
	sch := schema(t)
	for name, s := range map[string]Status{"with every field": full(), "with as few as can be": small()} {
		if err := validate(t, sch, encoded(t, s)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The full status has a value in every field, and the schema knows no more.
func TestTheSchemaHasExactlyTheFieldsOfAStatus(t *testing.T) {
	var doc any
	if err := json.Unmarshal(Schema, &doc); err != nil {
		t.Fatal(err)
	}
	compare(t, "status", doc.(map[string]any), generic(t, full()))
}

func compare(t *testing.T, path string, sch map[string]any, value any) {
	t.Helper()
	if list, ok := value.([]any); ok {
		if len(list) == 0 {
			t.Fatalf("%s is empty", path)
		}
		compare(t, path+"[]", sch["items"].(map[string]any), list[0])
		return
	}
	m, isMap := value.(map[string]any)
	properties, closed := sch["properties"].(map[string]any)
	if !isMap || !closed {
		return // a single value, or a map with keys of any name
	}
	if sch["additionalProperties"] != false {
		t.Errorf("%s: the schema is open", path)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(properties)), slices.Sorted(maps.Keys(m))); diff != "" {
		t.Errorf("%s: fields of the schema and of a full status (-schema +status)\n%s", path, diff)
	}
	for name, v := range m {
		if p, ok := properties[name].(map[string]any); ok {
			compare(t, path+"."+name, p, v)
		}
	}
}

// constants gives the values of the constants of a type, of this package or of
// packages model and plan.
func constants(t *testing.T, of string) []string {
	t.Helper()
	var values []string
	for _, name := range []string{"status.go", "../model/image.go", "../plan/retire.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !named(spec.Type, of) {
				return true
			}
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
			return true
		})
	}
	if len(values) < 3 {
		t.Fatalf("%d constants of type %s", len(values), of)
	}
	slices.Sort(values)
	return values
}

// named reports whether a type has the name, in whatever package.
func named(typ ast.Expr, name string) bool {
	switch typ := typ.(type) {
	case *ast.Ident:
		return typ.Name == name
	case *ast.SelectorExpr:
		return typ.Sel.Name == name
	}
	return false
}

// timed gives the agent with the times that one of its phase has.
func timed(a Agent) Agent {
	switch at := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC); a.Phase {
	case PhaseRetiring:
		a.RetireAfter = at
	case PhaseQuarantined:
		a.DeleteAfter, a.RetirementID = at, "20261122T140000Z-0123456789ab"
	}
	return a
}

func TestOutcomesPhasesAndStatesAreThoseOfTheSchema(t *testing.T) {
	var doc struct {
		Properties struct {
			Outcome struct{ Enum []string }
			Agents  struct {
				Items struct {
					Properties struct {
						Phase struct{ Enum []string }
						Build struct {
							Properties struct{ State struct{ Enum []string } }
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(Schema, &doc); err != nil {
		t.Fatal(err)
	}
	agent := doc.Properties.Agents.Items.Properties
	for of, enum := range map[string][]string{"Outcome": doc.Properties.Outcome.Enum, "Phase": agent.Phase.Enum, "BuildState": agent.Build.Properties.State.Enum} {
		slices.Sort(enum)
		if diff := cmp.Diff(constants(t, of), enum); diff != "" {
			t.Errorf("%s (-code +schema)\n%s", of, diff)
		}
	}
	for _, outcome := range constants(t, "Outcome") {
		s := small()
		s.Outcome = Outcome(outcome)
		if _, err := Parse(encoded(t, s)); err != nil {
			t.Error(err)
		}
	}
	for _, phase := range constants(t, "Phase") {
		s := small()
		s.Agents = []Agent{timed(Agent{Name: "a", Phase: Phase(phase)})}
		if _, err := Parse(encoded(t, s)); err != nil {
			t.Error(err)
		}
		if err := validate(t, schema(t), encoded(t, s)); err != nil {
			t.Error(err)
		}
	}
	for _, state := range constants(t, "BuildState") {
		s := small()
		s.Agents = []Agent{{Name: "a", Phase: PhaseActive, Build: &Build{State: model.BuildState(state)}}}
		if _, err := Parse(encoded(t, s)); err != nil {
			t.Error(err)
		}
		if err := validate(t, schema(t), encoded(t, s)); err != nil {
			t.Error(err)
		}
	}
}

// What the first version wrote, which built nothing.
func TestAStatusWithoutBuildsIsReadAsItWas(t *testing.T) {
	const old = `{
  "v": 1,
  "config": {"key": "configs/team/a.yaml", "versionId": "v1", "appliedVersionId": "v1"},
  "settingsHash": "5f2b8a1c90e47d36", "templateVersion": 1, "outcome": "ready", "summary": "The roles of agent a are ready.",
  "agents": [{
    "name": "a", "phase": "active", "applied": {"runtime/trust": "11"}, "runtimeRoleArn": "arn:runtime", "buildRoleArn": "arn:build",
    "repository": "bedrock-agentcore-a", "project": "bedrock-agentcore-a-builder"
  }],
  "problems": [], "next": [], "updatedAt": "2026-11-22T12:00:00Z"
}`
	s, err := Parse([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, schema(t), []byte(old)); err != nil {
		t.Error(err)
	}
	if a, ok := s.Agent("a"); !ok || a.Build != nil || a.Applied["runtime/trust"] != "11" {
		t.Errorf("agent %+v, %v", a, ok)
	}
}

func TestDamagedStatusesAreRefused(t *testing.T) {
	change := func(f func(map[string]any)) []byte {
		m := generic(t, full())
		f(m)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	agentOf := func(m map[string]any) map[string]any { return m["agents"].([]any)[0].(map[string]any) }
	for name, data := range map[string][]byte{
		"nothing":                        nil,
		"an empty object":                []byte("{}"),
		"null":                           []byte("null"),
		"a list":                         []byte("[]"),
		"two values":                     append(encoded(t, full()), "{}"...),
		"text behind it":                 append(encoded(t, full()), 'x'),
		"another version":                change(func(m map[string]any) { m["v"] = 2 }),
		"no version":                     change(func(m map[string]any) { delete(m, "v") }),
		"no config":                      change(func(m map[string]any) { delete(m, "config") }),
		"a key that no config has":       change(func(m map[string]any) { m["config"] = map[string]any{"key": "configs/../x"} }),
		"no outcome":                     change(func(m map[string]any) { delete(m, "outcome") }),
		"an unknown outcome":             change(func(m map[string]any) { m["outcome"] = "splendid" }),
		"an unknown field":               change(func(m map[string]any) { m["owner"] = "me" }),
		"an unknown field of an agent":   change(func(m map[string]any) { agentOf(m)["roleArn"] = "arn" }),
		"an unknown field of a problem":  change(func(m map[string]any) { m["problems"].([]any)[0].(map[string]any)["x"] = 1 }),
		"an unknown phase":               change(func(m map[string]any) { agentOf(m)["phase"] = "asleep" }),
		"an agent without a phase":       change(func(m map[string]any) { delete(agentOf(m), "phase") }),
		"one that retires without end":   change(func(m map[string]any) { agentOf(m)["phase"] = "retiring"; delete(agentOf(m), "retireAfter") }),
		"a quarantine without end":       change(func(m map[string]any) { delete(agentOf(m), "deleteAfter") }),
		"a quarantine of no retirement":  change(func(m map[string]any) { delete(agentOf(m), "retirementId") }),
		"archives that are one text":     change(func(m map[string]any) { agentOf(m)["archiveKeys"] = "archive/a.json" }),
		"a build in an unknown state":    change(func(m map[string]any) { agentOf(m)["build"].(map[string]any)["state"] = "SUCCEEDED" }),
		"a build without a state":        change(func(m map[string]any) { delete(agentOf(m)["build"].(map[string]any), "state") }),
		"an unknown field of a build":    change(func(m map[string]any) { agentOf(m)["build"].(map[string]any)["phase"] = "BUILD" }),
		"an agent without a name":        change(func(m map[string]any) { delete(agentOf(m), "name") }),
		"agents of another type":         change(func(m map[string]any) { m["agents"] = "none" }),
		"a time that is none":            change(func(m map[string]any) { m["updatedAt"] = "yesterday" }),
		"digests that are lists of text": change(func(m map[string]any) { agentOf(m)["applied"] = []string{"a"} }),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := Parse(data); err == nil {
				t.Errorf("it was read as %+v", s)
			}
		})
	}
}

func TestAStatusThatWasCutOffIsRefused(t *testing.T) {
	data := bytes.TrimSpace(encoded(t, full()))
	for n := range data {
		if _, err := Parse(data[:n]); err == nil {
			t.Fatalf("%d of %d bytes were read as a status", n, len(data))
		}
	}
}

func TestSameAnswer(t *testing.T) {
	later := full()
	later.UpdatedAt = later.UpdatedAt.Add(time.Hour)
	if !full().SameAnswer(later) {
		t.Error("when it was written makes another answer")
	}
	nothing := small()
	nothing.Agents, nothing.Problems, nothing.Next = []Agent{}, []fault.Problem{}, []string{}
	if !small().SameAnswer(nothing) {
		t.Error("none and an empty list are different answers")
	}
	// Every other field counts.
	m := generic(t, full())
	for name := range m {
		if name == "updatedAt" || name == "v" || name == "config" || name == "outcome" {
			continue
		}
		less := maps.Clone(m)
		delete(less, name)
		data, err := json.Marshal(less)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(data)
		if err != nil {
			t.Fatalf("without %s: %v", name, err)
		}
		if s.SameAnswer(full()) || full().SameAnswer(s) {
			t.Errorf("without %s it is the same answer", name)
		}
	}
	for name, change := range map[string]func(*Status){
		"outcome": func(s *Status) { s.Outcome = Ready },
		"key":     func(s *Status) { s.Config.Key = "configs/b" },
		"digest":  func(s *Status) { s.Agents[0].Applied["runtime/trust"] = "12" },
		"order":   func(s *Status) { s.Next = []string{"b", "a"} },
	} {
		a, b := full(), full()
		a.Next = []string{"a", "b"}
		b.Next = []string{"a", "b"}
		change(&b)
		if a.SameAnswer(b) {
			t.Errorf("another %s is the same answer", name)
		}
	}
}

func TestAnAgentIsFoundByItsName(t *testing.T) {
	s := full()
	if a, ok := s.Agent("a"); !ok || a.RetirementID != "ret-1" {
		t.Errorf("Agent(a) = %+v, %v", a, ok)
	}
	if a, ok := s.Agent("A"); ok || a.Name != "" {
		t.Errorf("Agent(A) = %+v, %v", a, ok)
	}
}

// same compares statuses: times by instant, no list and an empty one alike.
func same(a, b Status) string { return cmp.Diff(a, b, cmpopts.EquateEmpty()) }

// What Parse takes, it takes again from what JSON makes of it, and alike.
func FuzzParse(f *testing.F) {
	f.Add(encoded(f, full()))
	f.Add(encoded(f, small()))
	f.Add([]byte(`{"v":1,"config":{"key":"configs/a"},"outcome":"ready","updatedAt":"2026-11-22T12:00:00+05:30"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			if diff := same(Status{}, s); diff != "" {
				t.Errorf("refused, yet something came of it\n%s", diff)
			}
			return
		}
		again, err := Parse(encoded(t, s))
		if err != nil {
			t.Fatalf("%v\n%s", err, encoded(t, s))
		}
		if diff := same(s, again); diff != "" {
			t.Errorf("(-first +second)\n%s", diff)
		}
		if !s.SameAnswer(again) {
			t.Error("not the same answer")
		}
	})
}

// Every status that can be is read as it was written.
func FuzzRoundTrip(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(roundTrip))
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, roundTrip)
}

func roundTrip(t *rapid.T) {
	s := anyStatus().Draw(t, "status")
	data := encoded(t, s)
	got, err := Parse(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if diff := same(s, got); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

func anyStatus() *rapid.Generator[Status] {
	text := rapid.Map(rapid.String(), func(s string) string { return strings.ToValidUTF8(s, "?") })
	moment := rapid.Map(rapid.Int64Range(-1, 1<<38), func(n int64) time.Time {
		if n < 0 {
			return time.Time{}
		}
		return time.Unix(n/100, n%100*10_000_001).In(time.FixedZone("", int(n%24)*1800))
	})
	outcome := rapid.SampledFrom([]Outcome{Ready, Waiting, Building, Rejected, Orphaned, Retiring, Retired, Blocked, Failed})
	state := rapid.SampledFrom([]model.BuildState{
		model.BuildInProgress, model.BuildSucceeded, model.BuildFailed, model.BuildFault, model.BuildTimedOut, model.BuildStopped, BuildWaiting,
	})
	phase := rapid.SampledFrom([]Phase{PhaseActive, PhaseRetiring, PhaseQuarantined, PhaseRetired, PhaseHeld})
	problem := rapid.Custom(func(t *rapid.T) fault.Problem {
		return fault.Problem{
			Code: text.Draw(t, "code"), Severity: fault.SeverityError, Agent: text.Draw(t, "agent"), Field: text.Draw(t, "field"),
			Line: rapid.Int().Draw(t, "line"), Column: rapid.Int().Draw(t, "column"), Message: text.Draw(t, "message"), Fix: text.Draw(t, "fix"),
		}
	})
	agent := rapid.Custom(func(t *rapid.T) Agent {
		a := Agent{
			Name: rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_]{0,47}`).Draw(t, "name"), Phase: phase.Draw(t, "phase"),
			Applied: rapid.MapOfN(text, text, 0, 3).Draw(t, "applied"), RuntimeRoleARN: text.Draw(t, "runtime role"), BuildRoleARN: text.Draw(t, "build role"),
			Repository: text.Draw(t, "repository"), Project: text.Draw(t, "project"), RetireAfter: moment.Draw(t, "retire"), DeleteAfter: moment.Draw(t, "delete"),
			RetirementID: text.Draw(t, "retirement"), ArchiveKeys: rapid.SliceOfN(text, 0, 2).Draw(t, "archives"), PhaseVersion: text.Draw(t, "phase version"), Notes: rapid.SliceOfN(text, 0, 3).Draw(t, "notes"),
		}
		if rapid.Bool().Draw(t, "built") {
			a.Build = &Build{
				ID: text.Draw(t, "build"), State: state.Draw(t, "state"), Identity: text.Draw(t, "identity"), SourceVersion: text.Draw(t, "source"),
				Image: text.Draw(t, "image"), LogURL: text.Draw(t, "log"), Message: text.Draw(t, "message"), Since: moment.Draw(t, "since"),
			}
		}
		if rapid.Bool().Draw(t, "more") {
			a.Runtimes = []Runtime{{ID: text.Draw(t, "runtime"), LastSeen: moment.Draw(t, "seen"), Gone: rapid.Bool().Draw(t, "gone"), Foreign: rapid.Bool().Draw(t, "foreign")}}
			a.Drift = []Drift{{Element: text.Draw(t, "element"), Kind: text.Draw(t, "kind"), Actor: text.Draw(t, "actor"), At: moment.Draw(t, "at")}}
			a.BlockedBy = []Blocker{{ARN: text.Draw(t, "arn"), Kind: text.Draw(t, "kind"), Fix: text.Draw(t, "fix")}}
		}
		if a.RetireAfter.IsZero() || a.DeleteAfter.IsZero() || a.RetirementID == "" {
			return timed(a)
		}
		return a
	})
	return rapid.Custom(func(t *rapid.T) Status {
		return Status{
			V: Version,
			Config: Config{
				Key: "configs/" + rapid.StringMatching(`[A-Za-z0-9_+=@-]{1,20}`).Draw(t, "key"), VersionID: text.Draw(t, "version"), AppliedVersionID: text.Draw(t, "applied"),
				UploadedAt: moment.Draw(t, "uploaded"),
			},
			SettingsHash: text.Draw(t, "settings"), TemplateVersion: rapid.Int().Draw(t, "template"), Outcome: outcome.Draw(t, "outcome"),
			Summary: text.Draw(t, "summary"), WakeAt: moment.Draw(t, "wake"), Agents: rapid.SliceOfN(agent, 0, 3).Draw(t, "agents"),
			Problems: rapid.SliceOfN(problem, 0, 3).Draw(t, "problems"), Next: rapid.SliceOfN(text, 0, 3).Draw(t, "next"), UpdatedAt: moment.Draw(t, "updated"),
		}
	})
}
