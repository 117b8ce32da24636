package desired_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// documented gives the actions by statement that the tables under a heading of
// docs/permissions.md list. Tables whose first column is no statement are not read.
func documented(t *testing.T, doc, heading string) map[string][]string {
	t.Helper()
	_, section, ok := strings.Cut(doc, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	out := map[string][]string{}
	reading := false
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			reading = false
			continue
		}
		if strings.TrimSpace(cells[1]) == "Statement" {
			reading = true
			continue
		}
		if m := quoted.FindStringSubmatch(cells[1]); reading && m != nil {
			if _, twice := out[m[1]]; twice {
				t.Errorf("%s: %s stands twice", heading, m[1])
			}
			for _, a := range quoted.FindAllStringSubmatch(cells[2], -1) {
				out[m[1]] = append(out[m[1]], a[1])
			}
		}
	}
	return out
}

func TestTheDocumentationListsEveryStatement(t *testing.T) {
	doc := read(t, "../../docs/permissions.md")
	role := func(profile desired.Profile, kind model.RoleKind) []policy.Document {
		a := rich("my_agent")
		out := compute(t, environment(profile, place), a, agent.Agent{Name: "other", Deployment: agent.DirectCode}).Agents[0]
		r := out.RuntimeRole
		if kind == model.BuildRole {
			r = out.BuildRole
		}
		var ds []policy.Document
		for _, d := range r.Policies {
			ds = append(ds, d)
		}
		return ds
	}
	for heading, documents := range map[string][]policy.Document{
		"Runtime role, profile scoped":  role(desired.Scoped, model.RuntimeRole),
		"Build role, profile scoped":    role(desired.Scoped, model.BuildRole),
		"Runtime role, profile toolkit": role(desired.Toolkit, model.RuntimeRole),
		"Build role, profile toolkit":   role(desired.Toolkit, model.BuildRole),
		"Boundary":                      {desired.Boundary(place, "b")},
	} {
		t.Run(heading, func(t *testing.T) {
			want := map[string][]string{}
			for _, d := range documents {
				for _, s := range d.Statements {
					if want[s.Sid] != nil {
						t.Errorf("two statements are called %s", s.Sid)
					}
					want[s.Sid] = s.Actions
				}
			}
			if diff := cmp.Diff(want, documented(t, doc, heading)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
