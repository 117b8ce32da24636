// Package localtest starts a local AWS for a test.
package localtest

import (
	"testing"

	"rolekeeper/local"
	"rolekeeper/local/mototest"
)

// Start starts a local AWS and stops it with the test. Without the Python tools
// the test is skipped, or fails when ROLEKEEPER_FULL=1. When the test has failed,
// the functions' last lines are in its output.
func Start(t testing.TB, o local.Options) *local.AWS {
	t.Helper()
	mototest.Venv(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	a, err := local.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && a.Stack() != nil {
			for name := range a.Stack().Functions {
				lines := a.Logs(name)
				for _, line := range lines[max(0, len(lines)-40):] {
					t.Logf("%s: %s", name, line)
				}
			}
		}
		a.Stop()
	})
	return a
}
