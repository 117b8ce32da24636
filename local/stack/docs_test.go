package stack

import (
	"os"
	"strings"
	"testing"
)

// The types of which nothing is made are told to readers.
func TestHeldTypesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/local-aws.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind, why := range Held() {
		if !strings.Contains(string(text), "`"+kind+"` | "+why) {
			t.Errorf("docs/local-aws.md lacks %s: %s", kind, why)
		}
	}
	for kind := range makers {
		if !strings.Contains(string(text), "`"+kind+"`") {
			t.Errorf("docs/local-aws.md lacks %s", kind)
		}
	}
}
