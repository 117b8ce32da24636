package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/settings"
)

// parameters is what the stack was given, as far as it shapes roles. What is
// empty has the stack's default.
type parameters struct{ profile, boundary, sourceBucket string }

// readParameters reads a file of the stack's parameters; no file gives the defaults.
func readParameters(file string) (parameters, error) {
	if file == "" {
		return parameters{}, nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the user names the file
	if err != nil {
		return parameters{}, fmt.Errorf("read settings: %w", err)
	}
	p, err := parseParameters(data)
	if err != nil {
		return parameters{}, fmt.Errorf("settings %s: %w", file, err)
	}
	return p, nil
}

// parseParameters takes every parameter of template.yaml, so that the file one
// deploys with can be used, and nothing else. A name it does not know is more
// likely misspelt than meant.
func parseParameters(data []byte) (parameters, error) {
	var given map[string]yaml.Node
	if err := yaml.Unmarshal(data, &given); err != nil {
		return parameters{}, fmt.Errorf("not a map of parameters: %w", err)
	}
	var p parameters
	into := map[string]*string{
		"PermissionProfile":        &p.profile,
		"PermissionsBoundaryArn":   &p.boundary,
		"SourceBucketName":         &p.sourceBucket,
		"EnsureServiceLinkedRoles": nil, // these shape no role
		"MaximumConcurrency":       nil,
		"LogRetentionDays":         nil,
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		node := given[name]
		value, known := into[name]
		switch {
		case !known:
			faults = append(faults, fmt.Errorf("line %d: the stack has no parameter %q", node.Line, name))
		case node.Kind != yaml.ScalarNode:
			faults = append(faults, fmt.Errorf("line %d: %s is not a single value", node.Line, name))
		case value != nil && node.ShortTag() != "!!null":
			*value = node.Value
		}
	}
	for _, c := range []struct {
		name string
		err  error
	}{
		{"PermissionProfile", settings.Profile(desired.Profile(p.profile))},
		{"PermissionsBoundaryArn", settings.Boundary(p.boundary)},
		{"SourceBucketName", settings.Bucket(p.sourceBucket)},
	} {
		if c.err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", c.name, c.err))
		}
	}
	return p, errors.Join(faults...)
}
