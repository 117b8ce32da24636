// Package moto runs the moto server, which holds the state of the local AWS:
// S3, SQS, IAM, STS, parameters of SSM and trails of CloudTrail.
package moto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"rolekeeper/local/child"
)

// ErrNoTools says that the Python environment with moto is not there.
var ErrNoTools = errors.New("the local AWS needs its Python tools: run make tools")

// Venv finds the virtual environment that local/requirements.txt describes:
// $ROLEKEEPER_VENV, else .venv/local in the module's directory or above it.
// Without one the error is ErrNoTools.
func Venv() (string, error) {
	if dir := os.Getenv("ROLEKEEPER_VENV"); dir != "" {
		if !usable(dir) {
			return "", fmt.Errorf("%w (nothing usable in ROLEKEEPER_VENV=%s)", ErrNoTools, dir)
		}
		return dir, nil
	}
	cwd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the Python tools: %w", err)
	}
	for d := child.ModuleRoot(cwd); ; d = filepath.Dir(d) {
		if venv := filepath.Join(d, ".venv", "local"); usable(venv) {
			return venv, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%w (no .venv/local at or above %s)", ErrNoTools, child.ModuleRoot(cwd))
		}
	}
}

func usable(venv string) bool {
	_, err := os.Stat(filepath.Join(venv, "bin", "moto_server"))
	return err == nil
}

// Server is a running moto.
type Server struct {
	URL *url.URL // on loopback

	cmd  *exec.Cmd
	stop context.CancelFunc
	done chan struct{}
}

// Options say what moto should be.
type Options struct {
	Venv    string // from Venv
	Account string // 12 digits; every caller is in it
	LogFile string // receives what the server prints
}

var announced = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)\s`)

// Start runs moto on a free port and waits until it listens. It ends with ctx,
// with Stop, or with this process.
func Start(ctx context.Context, o Options) (*Server, error) {
	log, err := os.Create(o.LogFile)
	if err != nil {
		return nil, fmt.Errorf("create moto's log: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := child.Command(ctx, filepath.Join(o.Venv, "bin", "moto_server"), "-H", "127.0.0.1", "-p", "0")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PYTHONUNBUFFERED=1",
		"MOTO_ACCOUNT_ID=" + o.Account, "S3_IGNORE_SUBDOMAIN_BUCKETNAME=true",
		"MOTO_IAM_LOAD_MANAGED_POLICIES=true", // those of AWS
	}
	out := &listener{to: log, heard: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = out, out
	s := &Server{cmd: cmd, stop: cancel, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		cancel()
		_ = log.Close()
		return nil, fmt.Errorf("start moto_server: %w", err)
	}
	go func() {
		_ = cmd.Wait() // it always ends by signal; what it had to say is in the log
		_ = log.Close()
		close(s.done)
	}()
	select {
	case address := <-out.heard:
		if s.URL, err = url.Parse(address); err != nil {
			s.Stop()
			return nil, fmt.Errorf("moto's address: %w", err)
		}
		return s, nil
	case <-s.done:
		cancel()
		return nil, fmt.Errorf("moto_server ended before it listened, see %s", o.LogFile)
	case <-time.After(60 * time.Second): // a cold Python on a busy machine
		s.Stop()
		return nil, fmt.Errorf("moto_server does not listen after a minute, see %s", o.LogFile)
	}
}

// Stop ends the server and waits until it is gone.
func (s *Server) Stop() {
	s.stop()
	<-s.done
}

// listener copies the server's output to a file and hears the address in it.
type listener struct {
	to    io.Writer
	heard chan string

	mu   sync.Mutex
	seen []byte
	told bool
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.told {
		l.seen = append(l.seen, p...)
		if m := announced.FindSubmatch(l.seen); m != nil {
			l.told, l.seen = true, nil
			l.heard <- string(m[1])
		}
	}
	return l.to.Write(p)
}
