// Package layers holds the rule of docs/architecture.md: which package of the
// project may know which.
package layers

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what the tests need of `go list -json`.
type pkg struct {
	ImportPath string
	Imports    []string
}

// project lists the project's packages without their tests, by import path.
func project(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "rolekeeper/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatalf("go list: %v", err)
		}
		all[p.ImportPath] = p
	}
	return all
}

// reach lists what a package imports, directly or through packages of the
// project. It does not follow imports out of the project: fmt imports os.
func reach(all map[string]pkg, from string) []string {
	seen := map[string]bool{}
	todo := slices.Clone(all[from].Imports)
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		todo = append(todo, all[path].Imports...)
	}
	paths := make([]string, 0, len(seen))
	for path := range seen {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// layer is a part of the project and what it must not reach.
type layer struct {
	packages []string // without "rolekeeper/"; a trailing / takes all below it
	never    []string // import paths; a trailing / takes all below it
}

func layers() map[string]layer {
	return map[string]layer{
		"the core has no SDK, no environment, no log and knows nothing above it": {
			packages: []string{
				"shared/agent", "shared/naming", "shared/policy", "shared/model", "shared/desired",
				"shared/plan", "shared/event", "shared/status", "shared/fault", "shared/expression",
			},
			never: []string{
				"os", "os/", "log", "log/", "net", "net/http", "math/rand", "math/rand/", "crypto/rand", "github.com/aws/",
				"rolekeeper/shared/aws/", "rolekeeper/shared/awsfake", "rolekeeper/shared/intake", "rolekeeper/shared/reconcile", "rolekeeper/shared/drift", "rolekeeper/shared/slr", "rolekeeper/shared/operator",
				"rolekeeper/shared/report", "rolekeeper/shared/settings", "rolekeeper/shared/sqsbatch", "rolekeeper/local/",
			},
		},
		"pipelines know no SDK and no adapter": {
			packages: []string{"shared/intake", "shared/reconcile", "shared/drift", "shared/slr", "shared/operator"},
			never: []string{
				"github.com/aws/aws-sdk-go-v2/", "rolekeeper/shared/aws/", "rolekeeper/shared/awsfake", "rolekeeper/local/",
			},
		},
		"adapters know no pipeline and no edge": {
			packages: []string{"shared/aws/"},
			never: []string{
				"rolekeeper/shared/intake", "rolekeeper/shared/reconcile", "rolekeeper/shared/drift", "rolekeeper/shared/slr", "rolekeeper/shared/operator", "rolekeeper/shared/report",
				"rolekeeper/shared/settings", "rolekeeper/shared/sqsbatch", "rolekeeper/shared/awsfake", "rolekeeper/local/",
			},
		},
		"what is deployed or shipped has no fakes and no local AWS": {
			packages: []string{"functions/", "cmd/"},
			never:    []string{"rolekeeper/shared/awsfake", "rolekeeper/local/", "testing", "testing/"},
		},
		// Templates call methods by their names: the linker keeps more of all that a
		// function has, and the zip grows for nothing.
		"functions that make no page have no templates": {
			packages: []string{"functions/intake", "functions/reconcile", "functions/slrwatch"},
			never:    []string{"html/template", "text/template"},
		},
	}
}

func TestDependenciesPointDown(t *testing.T) {
	all := project(t)
	for name, l := range layers() {
		t.Run(name, func(t *testing.T) {
			checked := 0
			for path := range all {
				if !within(strings.TrimPrefix(path, "rolekeeper/"), l.packages) {
					continue
				}
				checked++
				for _, dep := range reach(all, path) {
					if within(dep, l.never) {
						t.Errorf("%s reaches %s", path, dep)
					}
				}
			}
			if checked < len(l.packages) {
				t.Errorf("%d packages found for %q: the layer's names are out of date", checked, l.packages)
			}
		})
	}
}

// within reports whether path is one of the names, or below one that ends in /.
func within(path string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return path == n || strings.HasSuffix(n, "/") && strings.HasPrefix(path, n)
	})
}

func TestReachFollowsTheProjectOnly(t *testing.T) {
	all := map[string]pkg{
		"rolekeeper/a": {Imports: []string{"rolekeeper/b", "fmt"}},
		"rolekeeper/b": {Imports: []string{"os", "rolekeeper/a"}},
	}
	if got, want := reach(all, "rolekeeper/a"), []string{"fmt", "os", "rolekeeper/a", "rolekeeper/b"}; !slices.Equal(got, want) {
		t.Errorf("reach = %q, want %q", got, want)
	}
}
