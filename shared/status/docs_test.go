package status

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sources gives the code, without tests, of the packages that answer configs.
func sources(t *testing.T, packages ...string) []*ast.File {
	t.Helper()
	var files []*ast.File
	for _, p := range packages {
		paths, err := filepath.Glob("../" + p + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
	}
	if len(files) < len(packages) {
		t.Fatalf("%d files in %d packages", len(files), len(packages))
	}
	return files
}

var codeForm = regexp.MustCompile(`\A[a-z0-9]+(-[a-z0-9]+)+\z`)

// literal gives the text of an expression that has the form of a code.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil && codeForm.MatchString(s)
}

// codes finds the codes of problems where problems are made: as argument of the
// functions that make them, as field Code, and as constants of refusals.
func codes(files []*ast.File) []string {
	makers := []string{"add", "fail", "warn", "Problem", "Warning", "problem"}
	var found []string
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			var from []ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				name := ""
				switch fun := n.Fun.(type) {
				case *ast.Ident:
					name = fun.Name
				case *ast.SelectorExpr:
					name = fun.Sel.Name
				}
				if slices.Contains(makers, name) {
					from = n.Args
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
					from = []ast.Expr{n.Value}
				}
			case *ast.ValueSpec:
				if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "RefusalKind" {
					from = n.Values
				}
			}
			for _, e := range from {
				if code, ok := literal(e); ok {
					found = append(found, code)
					break // one code for each problem; what follows is text
				}
			}
			return true
		})
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// told gives the first cells of the tables under a heading of docs/status.md.
func told(t *testing.T, heading string) []string {
	t.Helper()
	data, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(data), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/status.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var cells []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\S.*\\|$").FindAllStringSubmatch(section, -1) {
		if slices.Contains(cells, m[1]) {
			t.Errorf("%s is explained twice", m[1])
		}
		cells = append(cells, m[1])
	}
	slices.Sort(cells)
	return cells
}

func TestTheDocsExplainEveryCodeAndNoOther(t *testing.T) {
	files := sources(t, "agent", "desired", "plan", "reconcile", "report")
	if diff := cmp.Diff(codes(files), told(t, "Problems")); diff != "" {
		t.Errorf("problems (-code +docs/status.md)\n%s", diff)
	}
}

func TestTheDocsExplainOutcomesPhasesStatesAndBlockers(t *testing.T) {
	for heading, of := range map[string]string{
		"Outcomes": "Outcome", "Phases": "Phase", "States of a build": "BuildState", "What keeps roles from being deleted": "BlockerKind",
	} {
		if diff := cmp.Diff(constants(t, of), told(t, heading)); diff != "" {
			t.Errorf("%s (-code +docs/status.md)\n%s", heading, diff)
		}
	}
}

// fields gives the dotted names of all values in JSON.
func fields(prefix string, v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		return fields(prefix+"[]", v[0])
	case map[string]any:
		for name, value := range v {
			if prefix == "agents[].applied" || prefix == "agents[].build.last" {
				return nil // its keys are data; it is a build itself
			}
			path := strings.TrimPrefix(prefix+"."+name, ".")
			if inner := fields(path, value); len(inner) > 0 {
				all = append(all, inner...)
			} else {
				all = append(all, path)
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestTheDocsExplainEveryField(t *testing.T) {
	if diff := cmp.Diff(fields("", generic(t, full())), told(t, "Fields")); diff != "" {
		t.Errorf("fields (-code +docs/status.md)\n%s", diff)
	}
}

// The example is a status that this version would write.
func TestTheExampleOfTheDocsIsAStatus(t *testing.T) {
	data, err := os.ReadFile("../../docs/status.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n```json\n")
	example, _, ok := strings.Cut(rest, "\n```\n")
	if !ok {
		t.Fatal("docs/status.md has no example")
	}
	s, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, schema(t), []byte(example)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(string(encoded(t, s)), example+"\n"); diff != "" {
		t.Errorf("(-as it would be written +example)\n%s", diff)
	}
}
