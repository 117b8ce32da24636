package lint_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// suppressed reads the findings of checkov that docs/security.md argues, as
// "check resource".
func suppressed(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	out := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`CKV") {
			continue
		}
		if strings.TrimSpace(cells[3]) == "" {
			t.Errorf("no argument: %s", line)
		}
		for _, resource := range quoted.FindAllStringSubmatch(cells[2], -1) {
			key := strings.Trim(cells[1], " `") + " " + resource[1]
			if out[key] {
				t.Errorf("argued twice: %s", key)
			}
			out[key] = true
		}
	}
	return out
}

func TestCheckovFindsNothingInTheTemplatesThatIsNotArgued(t *testing.T) {
	found := map[string]bool{}
	for _, template := range []string{"../../template.yaml", "../../events/forwarder.yaml"} {
		check(t, template, found)
	}
	if diff := cmp.Diff(suppressed(t), found); diff != "" {
		t.Errorf("findings (-argued in docs/security.md +found):\n%s", diff)
	}
}

// check notes what checkov finds in a template.
func check(t *testing.T, template string, found map[string]bool) {
	t.Helper()
	// Without the network: the rules are those of the pinned release.
	cmd := exec.CommandContext(t.Context(), tool(t, "checkov/bin/checkov"),
		"--file", template, "--framework", "cloudformation", "--compact", "--skip-download", "--output", "json")
	output, err := cmd.Output()
	var failed *exec.ExitError
	if err != nil && (!errors.As(err, &failed) || failed.ExitCode() != 1) { // 1: there are findings
		t.Fatal(err)
	}
	var report struct {
		Results struct {
			Failed []struct {
				Check    string `json:"check_id"`
				Resource string `json:"resource"`
			} `json:"failed_checks"`
		} `json:"results"`
		Summary struct {
			Passed        int `json:"passed"`
			ParsingErrors int `json:"parsing_errors"`
		} `json:"summary"`
	}
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatal(err)
	}
	if report.Summary.Passed == 0 || report.Summary.ParsingErrors > 0 {
		t.Fatalf("checkov did not read %s: %+v", template, report.Summary)
	}
	for _, f := range report.Results.Failed {
		_, logical, _ := strings.Cut(f.Resource, ".")
		found[f.Check+" "+logical] = true
	}
}
