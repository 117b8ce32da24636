package template

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// row is a row of the tables under "What developers need": a verdict on
// actions of one statement.
type row struct {
	statement, verdict string
	actions            []string
}

func rows(t *testing.T) []row {
	t.Helper()
	data, err := os.ReadFile("../../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(data), "\n## What developers need\n")
	if !ok {
		t.Fatal("docs/permissions.md has no section about developers")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	code := regexp.MustCompile("`([^`]+)`")
	var list []row
	for line := range strings.Lines(section) {
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
