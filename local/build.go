package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"rolekeeper/local/child"
)

// buildFlags are those that template.yaml's functions are built with, so that
// what runs here differs from what is deployed only in its architecture.
var buildFlags = []string{"-trimpath", "-buildvcs=false", "-tags=lambda.norpc", "-ldflags=-s"}

// Build compiles the main package in dir for this machine and gives the path of
// its bootstrap, below .build/local of dir's module. Builds of the same package
// by several processes wait for each other; one of what is unchanged is quick.
func Build(ctx context.Context, dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("build function in %s: %w", dir, err)
	}
	root := child.ModuleRoot(dir)
	inside, err := filepath.Rel(root, dir)
	if err != nil {
		return "", fmt.Errorf("build function in %s: %w", dir, err)
	}
	out := filepath.Join(root, ".build", "local", strings.ReplaceAll(inside, string(filepath.Separator), "-"), "bootstrap")
	unlock, err := lockFile(out + ".lock")
	if err != nil {
		return "", fmt.Errorf("build function in %s: %w", dir, err)
	}
	defer unlock()
	args := append(append([]string{"build"}, buildFlags...), "-o", out, ".")
	cmd := child.Command(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build function in %s: %w: %s", dir, err, text)
	}
	return out, nil
}

// lockFile holds an exclusive lock on a file of its own, across processes.
func lockFile(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil { //nolint:gosec // a descriptor fits
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil // closing gives the lock back
}

// deployBinary copies a built bootstrap, so that a later build does not meet a
// file that is being executed.
func deployBinary(from, to string) error {
	unlock, err := lockFile(from + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
