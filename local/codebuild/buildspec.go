package codebuild

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"go.yaml.in/yaml/v3"
)

// buildspec is what is done of a buildspec (user guide, "Build specification
// reference"). Whatever else one has is refused: it would be left out silently.
type buildspec struct {
	Version string `yaml:"version"`
	Env     struct {
		Shell     string            `yaml:"shell"`
		Variables map[string]string `yaml:"variables"`
	} `yaml:"env"`
	Phases map[string]struct {
		Commands []string `yaml:"commands"`
		Finally  []string `yaml:"finally"` // run whether the commands succeed or not
	} `yaml:"phases"`
}

// specPhases are the phases that a buildspec has commands for, in order.
func specPhases() []types.BuildPhaseType {
	return []types.BuildPhaseType{
		types.BuildPhaseTypeInstall, types.BuildPhaseTypePreBuild, types.BuildPhaseTypeBuild, types.BuildPhaseTypePostBuild,
	}
}

func parseBuildspec(text string) (buildspec, error) {
	var s buildspec
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("the local CodeBuild cannot read the buildspec: %w", err)
	}
	if s.Version != "0.2" {
		return s, fmt.Errorf("invalid buildspec version specified: %s, see documentation", s.Version)
	}
	if len(s.Phases) == 0 {
		return s, errors.New("a buildspec must have phases")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Phases)) {
		if !slices.Contains(specPhases(), phaseType(name)) {
			return s, fmt.Errorf("invalid buildspec phase name: %s. Expecting: build,install,post_build,pre_build", name)
		}
	}
	switch s.Env.Shell {
	case "", "sh", "/bin/sh":
		s.Env.Shell = "/bin/sh"
	case "bash":
		s.Env.Shell = "/bin/bash"
	default:
		return s, fmt.Errorf("the local CodeBuild has no shell %q", s.Env.Shell)
	}
	return s, nil
}

func phaseType(name string) types.BuildPhaseType {
	return types.BuildPhaseType(strings.ToUpper(name))
}

func phaseName(p types.BuildPhaseType) string { return strings.ToLower(string(p)) }
