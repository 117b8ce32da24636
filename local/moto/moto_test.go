package moto

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestMissingToolsAreTold(t *testing.T) {
	t.Setenv("ROLEKEEPER_VENV", t.TempDir())
	if _, err := Venv(); !errors.Is(err, ErrNoTools) {
		t.Errorf("an empty directory as ROLEKEEPER_VENV: %v", err)
	}
}

// fakeServer is a venv whose moto_server is a shell script.
func fakeServer(t *testing.T, script string) Options {
	t.Helper()
	venv := t.TempDir()
	if err := os.Mkdir(filepath.Join(venv, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(venv, "bin", "moto_server"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return Options{Venv: venv, Account: "123456789012", LogFile: filepath.Join(t.TempDir(), "moto.log")}
}

func TestStartWaitsForTheAddress(t *testing.T) {
	s, err := Start(t.Context(), fakeServer(t, `printf ' * Running on http://127.0.0.1:47'; sleep 0.1; printf '11\n'; exec sleep 60`))
	if err != nil {
		t.Fatal(err)
	}
	if s.URL.String() != "http://127.0.0.1:4711" {
		t.Errorf("address %s", s.URL)
	}
	s.Stop()
	if s.cmd.ProcessState == nil {
		t.Error("the server was not waited for")
	}
}

func TestStartTellsAServerThatEnds(t *testing.T) {
	o := fakeServer(t, "echo broken; exit 3")
	if _, err := Start(t.Context(), o); err == nil {
		t.Fatal("a server that ended was taken for a running one")
	}
	if text, err := os.ReadFile(o.LogFile); err != nil || string(text) != "broken\n" {
		t.Errorf("log %q, %v", text, err)
	}
}

func TestServerEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, fakeServer(t, `echo ' * Running on http://127.0.0.1:1'; exec sleep 60`))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-s.done
}
