// Package stack deploys a SAM template to the local AWS: translated by SAM's own
// translator, resolved as CloudFormation resolves it, and provisioned call by
// call.
package stack

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"rolekeeper/local/child"
)

//go:embed translate.py
var translator string

// Template is a template in CloudFormation's terms.
type Template struct {
	Parameters map[string]parameter
	Mappings   map[string]map[string]map[string]any
	Conditions map[string]any
	Resources  map[string]resource
	Outputs    map[string]output

	// Code is where a function's source is, relative to the template, by logical id.
	Code map[string]string `json:"-"`
}

type parameter struct {
	Type           string
	Default        any
	AllowedValues  []any
	AllowedPattern string
	MinValue       *float64
	MaxValue       *float64
}

type resource struct {
	Type       string
	Condition  string
	Properties map[string]any
}

type output struct {
	Condition string
	Value     any
}

// Translate runs the SAM translator of the virtual environment on a template
// file.
func Translate(ctx context.Context, venv, file, region string, parameters map[string]string) (*Template, error) {
	values, err := json.Marshal(nonNil(parameters))
	if err != nil {
		return nil, fmt.Errorf("translate %s: %w", file, err)
	}
	cmd := child.Command(ctx, filepath.Join(venv, "bin", "python"), "-c", translator, file, string(values))
	cmd.Env = []string{"AWS_DEFAULT_REGION=" + region, "PYTHONDONTWRITEBYTECODE=1"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("translate %s: %w: %s", file, err, lastLines(stderr.String(), 5))
	}
	var out struct {
		Template Template
		Code     map[string]string
	}
	d := json.NewDecoder(&stdout)
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("read translated %s: %w", file, err)
	}
	out.Template.Code = out.Code
	return &out.Template, nil
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
