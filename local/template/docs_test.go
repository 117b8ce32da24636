package template

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// section gives a section of docs/permissions.md.
func section(t *testing.T, heading string) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(data), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/permissions.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// row is a row of the tables under "What developers need": a verdict on
// actions of one statement.
type row struct {
	statement, verdict string
	actions            []string
}

func rows(t *testing.T) []row {
	t.Helper()
	code := regexp.MustCompile("`([^`]+)`")
	var list []row
	for line := range strings.Lines(section(t, "What developers need")) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.Contains(cells[1], "`") {
			continue
		}
		r := row{statement: strings.Trim(cells[1], " `"), verdict: strings.TrimSpace(cells[3])}
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			r.actions = append(r.actions, m[1])
		}
		list = append(list, r)
	}
	return list
}

// caller is the policy that the starter toolkit's documentation asks developers
// to have.
func caller(t *testing.T) []map[string]any {
	t.Helper()
	data, err := os.ReadFile("testdata/caller-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return statements(pretty(t, string(data)))
}

func TestTheDocsMapEveryActionOfTheToolkitsCallerPolicy(t *testing.T) {
	allowed := allows(developer(t))
	verdicts := map[string]string{} // by statement and action
	for _, r := range rows(t) {
		for _, action := range r.actions {
			key := r.statement + " " + action
			if verdicts[key] != "" {
				t.Errorf("%s is there twice", key)
			}
			verdicts[key] = r.verdict
			if kept := r.verdict == "kept" || r.verdict == "added"; kept != slices.Contains(allowed, action) {
				t.Errorf("%s: the docs say %s, the policy allows it: %v", key, r.verdict, !kept)
			}
			if !slices.Contains([]string{"kept", "replaced", "dropped", "added"}, r.verdict) {
				t.Errorf("%s: %q is no verdict", key, r.verdict)
			}
		}
	}
	asked := []string{}
	for _, st := range caller(t) {
		for _, action := range texts(st["Action"]) {
			asked = append(asked, action)
			if key := fmt.Sprint(st["Sid"], " ", action); verdicts[key] == "" || verdicts[key] == "added" {
				t.Errorf("the docs do not map %s", key)
			}
		}
	}
	for _, action := range allowed {
		explained := slices.Contains(asked, action) || slices.ContainsFunc(rows(t), func(r row) bool {
			return r.verdict == "added" && slices.Contains(r.actions, action)
		})
		if !explained {
			t.Errorf("the docs do not say why developers may %s", action)
		}
	}
}

// statement gives a statement as the docs have it, with its actions sorted.
func statement(role, sid string, never bool, actions []string) string {
	slices.Sort(actions)
	return fmt.Sprint(role, " ", sid, ", never: ", never, ", ", strings.Join(actions, " "))
}

func TestTheDocsTellWhatTheFunctionsMayDo(t *testing.T) {
	want := map[string]bool{}
	for value, days := range map[string]string{"true": "90", "false": "0"} { // of the parameters that decide about statements
		s := load(t, given(map[string]string{"DeleteRepositories": value, "EnsureServiceLinkedRoles": value, "ServiceLinkedRoleIdleDays": days}))
		for _, id := range s.of("AWS::IAM::Role") {
			for _, st := range inline(s, id) {
				role := strings.ToLower(strings.TrimSuffix(id, "Role"))
				if function, ok := strings.CutSuffix(role, "schedule"); ok {
					role = function + "'s schedule"
				}
				actions := append(texts(st["Action"]), texts(st["NotAction"])...)
				want[statement(role, fmt.Sprint(st["Sid"]), st["Effect"] == "Deny", actions)] = true
			}
		}
	}
	got, code := map[string]bool{}, regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(section(t, "What Rolekeeper's own functions may do")) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[2], "`") {
			continue
		}
		var actions []string
		for _, m := range code.FindAllStringSubmatch(cells[3], -1) {
			actions = append(actions, m[1])
		}
		got[statement(strings.TrimSpace(cells[1]), strings.Trim(cells[2], " `"), strings.HasPrefix(strings.TrimSpace(cells[4]), "never:"), actions)] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statements (-template +docs/permissions.md):\n%s", diff)
	}
}
