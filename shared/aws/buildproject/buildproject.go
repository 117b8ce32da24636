// Package buildproject reads and writes the CodeBuild projects of agents, and
// starts and reads their builds. It only translates.
package buildproject

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// API is what is called of CodeBuild.
type API interface {
	ReadAPI
	CreateProject(context.Context, *codebuild.CreateProjectInput, ...func(*codebuild.Options)) (*codebuild.CreateProjectOutput, error)
	UpdateProject(context.Context, *codebuild.UpdateProjectInput, ...func(*codebuild.Options)) (*codebuild.UpdateProjectOutput, error)
	DeleteProject(context.Context, *codebuild.DeleteProjectInput, ...func(*codebuild.Options)) (*codebuild.DeleteProjectOutput, error)
	StartBuild(context.Context, *codebuild.StartBuildInput, ...func(*codebuild.Options)) (*codebuild.StartBuildOutput, error)
}

// Client reads and writes projects and starts builds.
type Client struct {
	*Reader
	api API
}

// New makes a client.
func New(api API) *Client { return &Client{NewReader(api), api} }

// Create makes a project, tagged also with the nonce, and gives the time at which
// CodeBuild says that it was created. fault.ErrExists says that the name is
// taken; an error of class Retry also that CodeBuild cannot assume the role yet.
func (c *Client) Create(ctx context.Context, p model.Project, nonce string) (created time.Time, err error) {
	tags := maps.Clone(p.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[model.TagCreation] = nonce
	out, err := c.api.CreateProject(ctx, &codebuild.CreateProjectInput{
		Name: &p.Name, Description: &p.Description, ServiceRole: &p.ServiceRole, Source: source(p), Artifacts: artifacts(p),
		Environment: environment(p), LogsConfig: logs(p), Tags: tagList(tags),
		TimeoutInMinutes: &p.TimeoutMinutes, QueuedTimeoutInMinutes: &p.QueuedTimeoutMinutes,
	})
	if err != nil {
		return time.Time{}, awserr.Wrap(err, "create CodeBuild project %s", p.Name)
	}
	if out.Project == nil || out.Project.Created == nil {
		return time.Time{}, fault.Errorf(fault.Retry, "create CodeBuild project %s: the answer does not say when it was made", p.Name) // the nonce tells it for ours
	}
	return *out.Project.Created, nil
}

// Delete deletes a project; one that is gone already is success. What it built
// stays known by the ids of the builds.
func (c *Client) Delete(ctx context.Context, name string) error {
	_, err := c.api.DeleteProject(ctx, &codebuild.DeleteProjectInput{Name: &name})
	if err = awserr.Wrap(err, "delete CodeBuild project %s", name); errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	return err
}

// Update writes all settings and tags of a project; tags that p has not are gone
// then. An error of class Retry says also that CodeBuild cannot assume the role
// yet, or that the project is gone.
//
// CodeBuild replaces tags even by none where a request has none, as Terraform's
// AWS provider found (internal/service/codebuild/project.go,
// resourceProjectUpdate).
func (c *Client) Update(ctx context.Context, p model.Project) error {
	_, err := c.api.UpdateProject(ctx, &codebuild.UpdateProjectInput{
		Name: &p.Name, Description: &p.Description, ServiceRole: &p.ServiceRole, Source: source(p), Artifacts: artifacts(p),
		Environment: environment(p), LogsConfig: logs(p), Tags: tagList(p.Tags),
		TimeoutInMinutes: &p.TimeoutMinutes, QueuedTimeoutInMinutes: &p.QueuedTimeoutMinutes,
	})
	return awserr.Unsettled(awserr.Wrap(err, "update CodeBuild project %s", p.Name))
}

// Variables that a build has beside its project's.
const (
	imageTag    = "IMAGE_TAG"
	imageLatest = "IMAGE_LATEST" // true: the image is tagged "latest", too
	identity    = "ROLEKEEPER_BUILD"
	request     = "ROLEKEEPER_REQUEST"
)

// Start starts the build of an order; one that was started for the same order
// within five minutes is given instead of another. fault.ErrLimit says that the
// account has no room for it; an error of class Retry also that CodeBuild cannot
// assume the role yet, or that the project is gone.
func (c *Client) Start(ctx context.Context, o model.BuildOrder) (model.Build, error) {
	latest := "false"
	if o.Latest {
		latest = "true"
	}
	set := map[string]string{imageTag: o.ImageTag, imageLatest: latest, identity: o.Identity}
	if o.Request != "" {
		set[request] = o.Request
	}
	out, err := c.api.StartBuild(ctx, &codebuild.StartBuildInput{
		ProjectName: &o.Project, SourceVersion: &o.SourceVersion, IdempotencyToken: aws.String(o.Token()), EnvironmentVariablesOverride: variables(set),
	})
	if err != nil {
		return model.Build{}, awserr.Unsettled(awserr.Wrap(err, "start a build of CodeBuild project %s", o.Project))
	}
	return build(*out.Build), nil
}

func source(p model.Project) *types.ProjectSource {
	return &types.ProjectSource{Type: types.SourceType(p.SourceType), Location: &p.Source, Buildspec: &p.Buildspec}
}

func artifacts(p model.Project) *types.ProjectArtifacts {
	return &types.ProjectArtifacts{Type: types.ArtifactsType(p.Artifacts)}
}

func environment(p model.Project) *types.ProjectEnvironment {
	return &types.ProjectEnvironment{
		Type: types.EnvironmentType(p.EnvironmentType), Image: &p.Image, ComputeType: types.ComputeType(p.ComputeType),
		PrivilegedMode: &p.Privileged, EnvironmentVariables: variables(p.Environment),
	}
}

func logs(p model.Project) *types.LogsConfig {
	return &types.LogsConfig{
		CloudWatchLogs: &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeEnabled, GroupName: &p.LogGroup},
		S3Logs:         &types.S3LogsConfig{Status: types.LogsConfigStatusTypeDisabled},
	}
}

func variables(values map[string]string) []types.EnvironmentVariable {
	list := make([]types.EnvironmentVariable, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, types.EnvironmentVariable{
			Name: aws.String(name), Value: aws.String(values[name]), Type: types.EnvironmentVariableTypePlaintext,
		})
	}
	return list
}

func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return list
}
