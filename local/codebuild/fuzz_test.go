package codebuild

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func FuzzUnzip(f *testing.F) {
	for _, name := range []string{"a", "a/b", "../a", "/a", "a/../../b", "", ".", "a/", "a\\b", "\x00", strings.Repeat("a/", 300) + "b"} {
		f.Add(name, "a", []byte("text"))
	}
	f.Fuzz(func(t *testing.T, first, second string, text []byte) {
		var data bytes.Buffer
		z := zip.NewWriter(&data)
		for _, name := range []string{first, second} {
			part, err := z.Create(name)
			if err != nil {
				return
			}
			if _, err := part.Write(text); err != nil && !strings.HasSuffix(name, "/") {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		above := t.TempDir()
		to := filepath.Join(above, "to")
		if err := os.Mkdir(to, 0o750); err != nil {
			t.Fatal(err)
		}
		err := unzip(data.Bytes(), to)
		left, readErr := os.ReadDir(above)
		if readErr != nil || len(left) != 1 {
			t.Errorf("beside the directory there is %v, %v", left, readErr)
		}
		if err != nil {
			return
		}
		for _, name := range []string{first, second} {
			if _, err := os.Stat(filepath.Join(to, name)); err != nil {
				t.Errorf("%q was left out: %v", name, err)
			}
		}
	})
}

func FuzzParseBuildspec(f *testing.F) {
	f.Add("version: 0.2\nenv: {shell: bash}\nphases: {build: {commands: [a, b]}}\n")
	f.Add("version: 0.1\nphases: []\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseBuildspec(text)
		if err != nil {
			return
		}
		if s.Env.Shell != "/bin/sh" && s.Env.Shell != "/bin/bash" || len(s.Phases) == 0 {
			t.Errorf("buildspec %+v", s)
		}
		for name := range s.Phases {
			if !slices.Contains(specPhases(), phaseType(name)) {
				t.Errorf("phase %q", name)
			}
		}
	})
}

func FuzzReadCall(f *testing.F) {
	f.Add("docker", "/dir", "login", "", "token\x00\n")
	f.Fuzz(func(t *testing.T, name, dir, one, two, input string) {
		call := strings.Join([]string{name, dir, "2", one, two, input}, "\x00")
		c, err := readCall(strings.NewReader(base64.StdEncoding.EncodeToString([]byte(call))))
		if strings.Contains(name+dir+one+two, "\x00") || len(call) > 10_000 {
			return // no program can be called so
		}
		if err != nil || c.name != name || c.dir != dir || !slices.Equal(c.args, []string{one, two}) || c.input != input {
			t.Errorf("%q is read as %+v, %v", call, c, err)
		}
		options, rest, err := arguments(c.args)
		if err == nil && len(rest)+len(options) > len(c.args) {
			t.Errorf("arguments %q are %v and %q", c.args, options, rest)
		}
		_, _ = readCall(strings.NewReader(input)) // whatever it is
	})
}
