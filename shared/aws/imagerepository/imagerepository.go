// Package imagerepository reads and writes the ECR repositories of agents. It
// only translates.
package imagerepository

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// API is what is called of ECR. CreateRepository with tags needs
// ecr:TagResource, too.
type API interface {
	ReadAPI
	CreateRepository(context.Context, *ecr.CreateRepositoryInput, ...func(*ecr.Options)) (*ecr.CreateRepositoryOutput, error)
	DeleteRepository(context.Context, *ecr.DeleteRepositoryInput, ...func(*ecr.Options)) (*ecr.DeleteRepositoryOutput, error)
	PutImageScanningConfiguration(context.Context, *ecr.PutImageScanningConfigurationInput, ...func(*ecr.Options)) (*ecr.PutImageScanningConfigurationOutput, error)
	TagResource(context.Context, *ecr.TagResourceInput, ...func(*ecr.Options)) (*ecr.TagResourceOutput, error)
}

// Client reads and writes the repositories of one registry.
type Client struct {
	*Reader
	api API
}

// New makes a client for the account's registry.
func New(api API, account string) *Client { return &Client{NewReader(api, account), api} }

// Create makes a repository whose tags can be moved, tagged also with the nonce,
// and gives the time that ECR says it was made at. fault.ErrExists says that the
// name is taken, fault.ErrLimit that the account has room for no more.
func (c *Client) Create(ctx context.Context, r model.Repository, nonce string) (created time.Time, err error) {
	tags := maps.Clone(r.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[model.TagCreation] = nonce
	out, err := c.api.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RegistryId:                 &c.registry,
		RepositoryName:             &r.Name,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.ScanOnPush},
		ImageTagMutability:         types.ImageTagMutabilityMutable,
		Tags:                       tagList(tags),
	})
	if err != nil {
		return time.Time{}, awserr.Wrap(err, "create repository %s", r.Name)
	}
	if out.Repository == nil || out.Repository.CreatedAt == nil {
		return time.Time{}, fault.Errorf(fault.Retry, "create repository %s: the answer does not say when it was made", r.Name) // the nonce tells it for ours
	}
	return *out.Repository.CreatedAt, nil
}

// ScanOnPush sets whether images are scanned when they are pushed.
func (c *Client) ScanOnPush(ctx context.Context, r model.Repository) error {
	_, err := c.api.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
		RegistryId: &c.registry, RepositoryName: &r.Name, ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.ScanOnPush},
	})
	return awserr.Unsettled(awserr.Wrap(err, "set scanning of repository %s", r.Name))
}

// Tag sets the repository's tags; others stay.
func (c *Client) Tag(ctx context.Context, r model.Repository) error {
	_, err := c.api.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: &r.ARN, Tags: tagList(r.Tags)})
	return awserr.Unsettled(awserr.Wrap(err, "tag repository %s", r.Name))
}

func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return list
}

// Delete deletes a repository with its images; one that is gone already is success.
func (c *Client) Delete(ctx context.Context, name string) error {
	_, err := c.api.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RegistryId: &c.registry, RepositoryName: &name, Force: true})
	if err = awserr.Wrap(err, "delete repository %s", name); errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	return err
}
