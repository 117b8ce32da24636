package report_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/report"
)

func FuzzParsePass(f *testing.F) {
	text, err := os.ReadFile("testdata/pass.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"v":1,"findings":null,"at":"2026-01-01T00:00:00.5+01:00","stopped":{}}`))
	f.Add([]byte(`{"v":1} {}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := report.ParsePass(text)
		if err != nil {
			return
		}
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := report.ParsePass(written)
		if err != nil {
			t.Fatalf("%v: %s", err, written)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("(-read +written and read)\n%s", diff)
		}
	})
}

func TestAPassIsReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		`{"v":1}`: "", `{"v":2}`: "version 2", `{}`: "version 0", `{"v":1}{}`: "more than one", `{"v":1,"x":1}`: "unknown field", `[]`: "cannot unmarshal", ``: "EOF",
	} {
		if _, err := report.ParsePass([]byte(text)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
