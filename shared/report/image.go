package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/status"
)

// noSource is what a note about a missing source begins with.
const noSource = "upload the source to s3://"

// NoSourceNote is what is told of an agent whose source was never uploaded, or
// is gone before anything was built of it: where in which bucket it belongs.
func NoSourceNote(bucket, key string) string {
	return fmt.Sprintf("%s%s/%s: there is none, and no image is built before", noSource, bucket, key)
}

// UnusedPartNote is what is told of a part that was made for an agent whose
// config no longer asks for it.
func UnusedPartNote(part model.Part) string {
	what := map[model.Part]string{model.RepositoryPart: "ECR repository", model.ProjectPart: "CodeBuild project"}[part]
	return fmt.Sprintf("the config no longer asks for the %s that was made for this agent; it is kept, nothing was deleted", what)
}

// BuildEnd says how a build ended that made no image, why, and where its log is.
func BuildEnd(b status.Build) string {
	text := map[model.BuildState]string{
		model.BuildFailed:   "it failed",
		model.BuildFault:    "CodeBuild itself failed",
		model.BuildTimedOut: "it took longer than it may",
		model.BuildStopped:  "somebody stopped it",
	}[b.State]
	if b.Message != "" {
		text += ": " + Clip(b.Message)
	}
	if b.LogURL != "" {
		text += "; its log is at " + b.LogURL
	}
	return text
}

// BuildFix says what to do about a build that made no image. It is not repeated
// by itself.
func BuildFix(config, agent string) string {
	return fmt.Sprintf("mend what the log tells and upload the source again; when the source is not at fault, have an operator run `rolekeeper build %s %s`", config, agent)
}

// pick gives the agents of which something is so.
func pick(all []status.Agent, so func(status.Agent) bool) []status.Agent {
	return slices.DeleteFunc(slices.Clone(all), func(a status.Agent) bool { return !so(a) })
}

func builds(states ...model.BuildState) func(status.Agent) bool {
	return func(a status.Agent) bool { return a.Build != nil && slices.Contains(states, a.Build.State) }
}

// waitsToBuild reports whether it is a build that the config waits for, and not
// an AWS that could not be asked.
func waitsToBuild(s status.Status) bool {
	return slices.ContainsFunc(s.Agents, builds(status.BuildWaiting)) &&
		!slices.ContainsFunc(s.Problems, func(p fault.Problem) bool { return p.Code == "aws-not-ready" })
}

// underway says which images are being built or wait for it.
func underway(all []status.Agent, wakeAt time.Time) []string {
	var clauses []string
	if waiting := pick(all, builds(status.BuildWaiting)); len(waiting) > 0 {
		clauses = append(clauses, fmt.Sprintf("the build of %s cannot be started yet, and is tried again at %s", images("the image", waiting), wakeAt.Format(time.RFC3339)))
	}
	if running := pick(all, builds(model.BuildInProgress)); len(running) > 0 {
		clauses = append(clauses, fmt.Sprintf("%s %s being built", images("an image", running), be(running)))
	}
	return clauses
}

// images names the images of agents; one is that of a single agent.
func images(one string, of []status.Agent) string {
	if len(of) == 1 {
		return one + " of " + agents(of)
	}
	return "images of " + agents(of)
}

// built says what came of the images that nothing is under way for. An agent
// that is alone need not be named.
func built(all []status.Agent, alone bool) []string {
	var clauses []string
	tell := func(some []status.Agent, its, one, many string) {
		switch {
		case len(some) == 0:
		case alone:
			clauses = append(clauses, its)
		case len(some) == 1:
			clauses = append(clauses, fmt.Sprintf(one, agents(some)))
		default:
			clauses = append(clauses, fmt.Sprintf(many, agents(some)))
		}
	}
	tell(pick(all, imaged), "its image is built", "the image of %s is built", "the images of %s are built")
	tell(pick(all, builds(model.BuildFailed, model.BuildFault, model.BuildTimedOut, model.BuildStopped)),
		"the build of its image failed", "the build of the image of %s failed", "the builds of the images of %s failed")
	tell(pick(all, func(a status.Agent) bool { return len(sourceNotes(a)) > 0 }),
		"its source is missing", "the source of %s is missing", "the sources of %s are missing")
	return clauses
}

// imaged reports whether the newest build of the agent made an image.
func imaged(a status.Agent) bool {
	return a.Build != nil && a.Build.State == model.BuildSucceeded && a.Build.Image != ""
}

func sourceNotes(a status.Agent) []string {
	return slices.DeleteFunc(slices.Clone(a.Notes), func(n string) bool { return !strings.HasPrefix(n, noSource) })
}

// ofImage reports whether a problem keeps an image from being made, or lost it.
func ofImage(p fault.Problem) bool {
	return slices.ContainsFunc([]string{"source-", "build-", "image-"}, func(prefix string) bool { return strings.HasPrefix(p.Code, prefix) })
}

// imageSteps says what is to be done for the image of an agent.
func imageSteps(s status.Status, a status.Agent) []string {
	var all []string
	tell := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if _, external := a.Applied["build/external"]; external && a.BuildRoleARN != "" {
		tell("build the image of %s yourself, with codebuild.execution_role %s: no build is started with a role that is not Rolekeeper's", a.Name, a.BuildRoleARN)
	}
	for _, note := range sourceNotes(a) {
		tell("%s: %s", a.Name, note)
	}
	for _, p := range s.Problems {
		if p.Agent == a.Name && ofImage(p) {
			tell("%s: %s", a.Name, p.Fix)
		}
	}
	switch {
	case builds(model.BuildInProgress)(a):
		tell("%s: nothing, this answer changes when the image is built%s", a.Name, logAt(*a.Build))
	case builds(status.BuildWaiting)(a):
		tell("%s: nothing, the build is started by itself; if that takes too long, tell the platform team what it waits for: %s", a.Name, a.Build.Message)
	}
	return all
}

func logAt(b status.Build) string {
	if b.LogURL == "" {
		return ""
	}
	return "; the log of the build is at " + b.LogURL
}

// deployStep says what an agent is to be deployed with.
func deployStep(a status.Agent) string {
	switch {
	case imaged(a):
		return fmt.Sprintf("deploy %s with image %s and aws.execution_role %s", a.Name, a.Build.Image, a.RuntimeRoleARN)
	case a.Repository != "" || a.BuildRoleARN != "":
		return fmt.Sprintf("deploy %s with aws.execution_role %s when its image is built", a.Name, a.RuntimeRoleARN)
	}
	return fmt.Sprintf("deploy %s with aws.execution_role %s", a.Name, a.RuntimeRoleARN)
}
