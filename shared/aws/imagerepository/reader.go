package imagerepository

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/model"
)

// ReadAPI is what a Reader calls of ECR.
type ReadAPI interface {
	DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error)
	ListTagsForResource(context.Context, *ecr.ListTagsForResourceInput, ...func(*ecr.Options)) (*ecr.ListTagsForResourceOutput, error)
	DescribeImages(context.Context, *ecr.DescribeImagesInput, ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error)
}

// Reader reads the repositories of one registry.
type Reader struct {
	api      ReadAPI
	registry string // account whose registry it is
}

// NewReader makes a reader of the account's registry.
func NewReader(api ReadAPI, account string) *Reader { return &Reader{api, account} }

// Head reads a repository but for its tags, in one call. fault.ErrNotFound says
// that there is no such repository.
func (r *Reader) Head(ctx context.Context, name string) (model.ObservedRepository, error) {
	out, err := r.api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: &r.registry, RepositoryNames: []string{name}})
	if err != nil {
		return model.ObservedRepository{}, awserr.Wrap(err, "describe repository %s", name)
	}
	if len(out.Repositories) != 1 {
		return model.ObservedRepository{}, fmt.Errorf("describe repository %s: ECR gave %d", name, len(out.Repositories))
	}
	one := out.Repositories[0]
	return model.ObservedRepository{
		Name:          aws.ToString(one.RepositoryName),
		ARN:           aws.ToString(one.RepositoryArn),
		Created:       aws.ToTime(one.CreatedAt),
		ScanOnPush:    one.ImageScanningConfiguration != nil && one.ImageScanningConfiguration.ScanOnPush,
		LatestMutable: mutable(latest, one.ImageTagMutability, one.ImageTagMutabilityExclusionFilters),
		SourceMutable: mutable(model.ImageTag(""), one.ImageTagMutability, one.ImageTagMutabilityExclusionFilters),
	}, nil
}

// Read reads a repository whole, in two calls. fault.ErrNotFound says that there
// is no such repository.
func (r *Reader) Read(ctx context.Context, name string) (model.ObservedRepository, error) {
	o, err := r.Head(ctx, name)
	if err != nil {
		return model.ObservedRepository{}, err
	}
	out, err := r.api.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: &o.ARN})
	if err != nil {
		return model.ObservedRepository{}, awserr.Unsettled(awserr.Wrap(err, "list tags of repository %s", name))
	}
	o.Tags = map[string]string{}
	for _, t := range out.Tags {
		o.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return o, nil
}

// Digest gives the digest (sha256:…) of the image that a tag is on.
// fault.ErrNotFound says that there is no such image, or no such repository.
func (r *Reader) Digest(ctx context.Context, name, tag string) (digest string, err error) {
	out, err := r.api.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RegistryId: &r.registry, RepositoryName: &name, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}},
	})
	if err != nil {
		return "", awserr.Wrap(err, "describe image %s:%s", name, tag)
	}
	if len(out.ImageDetails) != 1 || aws.ToString(out.ImageDetails[0].ImageDigest) == "" {
		return "", fmt.Errorf("describe image %s:%s: ECR gave %d, or no digest", name, tag, len(out.ImageDetails))
	}
	return *out.ImageDetails[0].ImageDigest, nil
}

// latest is the tag that moves from image to image.
const latest = "latest"

// mutable reports whether a repository lets a tag be moved. The filters
// name the tags that are exempt from the setting: with IMMUTABLE_WITH_EXCLUSION
// those can be moved, with MUTABLE_WITH_EXCLUSION they cannot (ECR API reference,
// PutImageTagMutability and ImageTagMutabilityExclusionFilter). Where that is not
// sure it is no: a push that ECR refuses fails the build, and a tag that stays
// where it is does not.
func mutable(tag string, setting types.ImageTagMutability, filters []types.ImageTagMutabilityExclusionFilter) bool {
	switch setting {
	case types.ImageTagMutabilityMutable:
		return true
	case types.ImageTagMutabilityImmutableWithExclusion:
		return slices.ContainsFunc(filters, surely(tag))
	case types.ImageTagMutabilityMutableWithExclusion:
		return !slices.ContainsFunc(filters, perhaps(tag))
	default: // IMMUTABLE, and what ECR may add
		return false
	}
}

// surely tells whether a filter is on the tag. A star stands for any number
// of characters; nothing else in a filter has a meaning (ECR API reference,
// ImageTagMutabilityExclusionFilter: pattern ^[0-9a-zA-Z._*-]{1,128}$).
func surely(tag string) func(types.ImageTagMutabilityExclusionFilter) bool {
	return func(f types.ImageTagMutabilityExclusionFilter) bool {
		if f.FilterType != types.ImageTagMutabilityExclusionFilterTypeWildcard {
			return false
		}
		on, err := path.Match(aws.ToString(f.Filter), tag)
		return on && err == nil
	}
}

// perhaps tells whether a filter may be on the tag. The references do not
// say what a filter without a star does; of ECR's filters for scanning, such a
// one is on every name that contains it (ECR user guide, "Filter wildcards").
func perhaps(tag string) func(types.ImageTagMutabilityExclusionFilter) bool {
	return func(f types.ImageTagMutabilityExclusionFilter) bool {
		return f.FilterType != types.ImageTagMutabilityExclusionFilterTypeWildcard || surely(tag)(f) || strings.Contains(tag, aws.ToString(f.Filter))
	}
}
