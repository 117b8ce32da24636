package main

import (
	"archive/zip"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"rolekeeper/local/child"
)

// program is a Lambda function that is measured: one of ours, or one that ours
// are compared with.
type program struct {
	name     string // short name, or what it is compared as
	function bool   // one of ours
	source   string // directory of its main package
	host     string // its binary for this machine

	zipBytes    int64             // of the arm64 binary, compressed as SAM does
	environment map[string]string // what the template sets
	starts      []float64         // milliseconds from start to first poll, sorted
	peakOne     int64             // bytes, after one config
	peakAll     int64             // bytes, after all of them
}

const (
	emptyHandler = "empty handler"
	plainHandler = "plain handler"
)

// build compiles the handlers to compare with and every function, for this
// machine and for AWS.
func build(ctx context.Context, dir string) ([]*program, error) {
	programs := []*program{
		{name: emptyHandler, source: "local/cmd/bench/testdata/empty"},
		{name: plainHandler, source: "local/cmd/bench/testdata/plain"},
	}
	entries, err := os.ReadDir("functions")
	if err != nil {
		return nil, fmt.Errorf("find the functions: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			programs = append(programs, &program{name: e.Name(), function: true, source: "functions/" + e.Name()})
		}
	}
	for _, p := range programs {
		base := filepath.Join(dir, filepath.Base(p.source))
		p.host = base + "-host"
		if err := compile(ctx, p.source, runtime.GOARCH, p.host); err != nil {
			return nil, err
		}
		if err := compileForAWS(ctx, p.source, base+"-arm64"); err != nil {
			return nil, err
		}
		if p.zipBytes, err = zipSize(base + "-arm64"); err != nil {
			return nil, fmt.Errorf("zip of %s: %w", p.source, err)
		}
	}
	return programs, nil
}

func compile(ctx context.Context, source, arch, to string, more ...string) error {
	cmd := child.Command(ctx, "go", "build", "-o", to, "./"+source)
	cmd.Env = append(append(os.Environ(), "GOARCH="+arch), more...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s for %s: %w: %s", source, arch, err, text)
	}
	return nil
}

func compileForAWS(ctx context.Context, source, to string) error {
	return compile(ctx, source, "arm64", to, "GOOS=linux")
}

// zipSize gives the bytes of a zip that holds the file alone, compressed at
// zlib's default level, as SAM packs a function.
func zipSize(file string) (int64, error) {
	in, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	var n counter
	z := zip.NewWriter(&n)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.DefaultCompression)
	})
	w, err := z.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(w, in); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return int64(n), nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
