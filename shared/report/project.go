package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/model"
)

// SettingLines gives all of how a project builds but its buildspec, a line each.
func SettingLines(s model.ProjectSettings) []string {
	source := s.SourceType + " " + s.Source
	if s.SourceType == "S3" {
		source = "s3://" + s.Source
	}
	privileged := ""
	if s.Privileged {
		privileged = ", privileged"
	}
	lines := []string{
		"role " + s.ServiceRole,
		"source " + source,
		fmt.Sprintf("image %s on %s, %s%s", s.Image, s.EnvironmentType, s.ComputeType, privileged),
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		lines = append(lines, fmt.Sprintf("variable %s=%s", name, s.Environment[name]))
	}
	return append(lines,
		"artifacts "+s.Artifacts,
		"logs in "+s.LogGroup,
		fmt.Sprintf("builds of at most %d minutes, after at most %d in the queue", s.TimeoutMinutes, s.QueuedTimeoutMinutes),
		fmt.Sprintf("description %q", s.Description))
}

// SettingsText gives all of how a project builds as a text to compare, the
// buildspec last.
func SettingsText(s model.ProjectSettings) string {
	return strings.Join(SettingLines(s), "\n") + "\n\n" + s.Buildspec
}
