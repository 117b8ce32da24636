// Package mototest decides in tests whether the Python tools of the local AWS
// are there.
package mototest

import (
	"os"
	"path/filepath"
	"testing"

	"rolekeeper/local/moto"
)

// Venv gives the virtual environment. Without one the test is skipped, or fails
// when ROLEKEEPER_FULL=1 says that everything must run.
func Venv(t testing.TB) string {
	t.Helper()
	venv, err := moto.Venv()
	if err == nil {
		return venv
	}
	if os.Getenv("ROLEKEEPER_FULL") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

// Start runs a moto for the test and ends it with the test.
func Start(t testing.TB) *moto.Server {
	t.Helper()
	s, err := moto.Start(t.Context(), moto.Options{
		Venv: Venv(t), Account: "123456789012", LogFile: filepath.Join(t.TempDir(), "moto.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}
