package desired

import (
	_ "embed" // of the buildspec

	"rolekeeper/shared/agent"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// buildspec is what every project builds by (docs/adr/buildspec.md).
//
//go:embed buildspec.yml
var buildspec string

// What a project is, in CodeBuild's own words (API reference, CreateProject).
const (
	sourceType      = "S3"
	artifacts       = "NO_ARTIFACTS"
	environmentType = "ARM_CONTAINER"
	computeType     = "BUILD_GENERAL1_MEDIUM"
)

// How long a build may run, which is CodeBuild's default, and how long it may
// wait for its turn, which is the most that CodeBuild allows; in minutes.
const (
	buildTimeout  = 60
	queuedTimeout = 480
)

// repository gives the repository that the agent's image is in: the one that its
// config names, or its own.
func (c *computation) repository(a agent.Agent) *model.Repository {
	r := &model.Repository{Agent: a.Name, Name: repository(a), Named: a.Repository != ""}
	r.ARN = at{c.env.Place}.arn("ecr", "repository/"+r.Name)
	r.URI = c.env.Registry() + "/" + r.Name
	if !r.Named {
		r.ScanOnPush = true
		r.Tags = c.tags(a)
	}
	return r
}

// project gives the project that builds the agent's image with a build role that
// Rolekeeper keeps. Docker needs the privileged mode.
func (c *computation) project(a agent.Agent, repository *model.Repository, role string) *model.Project {
	name := naming.Project(a.Name)
	return &model.Project{
		Agent: a.Name, Name: name, ARN: at{c.env.Place}.project(name),
		ProjectSettings: model.ProjectSettings{
			Description: "Image of AgentCore agent " + a.Name + ", built when its source changes",
			ServiceRole: at{c.env.Place}.role(role),
			SourceType:  sourceType,
			Source:      c.env.SourceBucket + "/" + naming.SourceKey(c.env.team(), a.Name),
			Buildspec:   buildspec,
			Artifacts:   artifacts,

			EnvironmentType: environmentType,
			Image:           c.env.BuildImage,
			ComputeType:     computeType,
			Privileged:      true,
			Environment:     map[string]string{"REGISTRY": c.env.Registry(), model.RepositoryVariable: repository.URI},

			LogGroup:             naming.LogGroup(name),
			TimeoutMinutes:       buildTimeout,
			QueuedTimeoutMinutes: queuedTimeout,
		},
		LogRetentionDays: c.env.LogRetentionDays,
		Tags:             c.tags(a),
	}
}
