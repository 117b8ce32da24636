// Package child starts the processes of the local AWS so that none outlives it.
package child

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Command is exec.CommandContext for a process that ends with its parent where
// the system can do that (Linux), and gets an interrupt and a second before it
// is killed when ctx is done.
func Command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Second
	return cmd
}

// ModuleRoot gives the nearest directory at or above dir that holds a go.mod,
// or dir itself.
func ModuleRoot(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}
