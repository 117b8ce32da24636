package awsfake

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// registry is what an account has of ECR: repositories by name.
type registry struct{ repositories map[string]*repository }

type repository struct {
	name       string
	created    time.Time
	scanOnPush bool
	mutability types.ImageTagMutability
	exclusions []types.ImageTagMutabilityExclusionFilter
	tags       map[string]string
	images     map[string]string // digests by tag
}

func newRegistry() *registry { return &registry{map[string]*repository{}} }

func (r *registry) clone() *registry {
	out := newRegistry()
	for name, one := range r.repositories {
		one := *one
		one.exclusions, one.tags, one.images = slices.Clone(one.exclusions), maps.Clone(one.tags), maps.Clone(one.images)
		out.repositories[name] = &one
	}
	return out
}

// ECR is the client of one caller.
type ECR struct {
	cloud  *Cloud
	caller string
}

// ECR gives the client of a caller.
func (c *Cloud) ECR(caller string) *ECR { return &ECR{c, caller} }

// RepositoryNames gives the names of all repositories, sorted.
func (c *Cloud) RepositoryNames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.registry.repositories))
}

// PushImage pushes an image as Docker does: ECR refuses to move a tag that is
// not to be moved.
func (c *Cloud) PushImage(repository, tag, digest string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.repository(&repository, nil)
	if err != nil {
		return err
	}
	if old, there := r.images[tag]; there && old != digest && !r.moves(tag) {
		return &types.ImageTagAlreadyExistsException{Message: aws.String("The image tag '" + tag + "' already exists in the '" + repository + "' repository and cannot be overwritten because the tag is immutable.")}
	}
	r.images[tag] = digest
	return nil
}

// moves reports whether a tag can be moved from image to image.
func (r *repository) moves(tag string) bool {
	excluded := slices.ContainsFunc(r.exclusions, func(f types.ImageTagMutabilityExclusionFilter) bool {
		return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(aws.ToString(f.Filter)), `\*`, ".*") + "$").MatchString(tag)
	})
	switch r.mutability {
	case types.ImageTagMutabilityImmutable:
		return false
	case types.ImageTagMutabilityImmutableWithExclusion:
		return excluded
	case types.ImageTagMutabilityMutableWithExclusion:
		return !excluded
	default:
		return true
	}
}

func (e *ECR) call(operation string, name *string, carryOut func() error) error {
	return e.cloud.call(e.caller, "ecr", operation, aws.ToString(name), carryOut)
}

// validRepository is what names of repositories are (ECR API reference,
// CreateRepository).
var validRepository = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

func (c *Cloud) checkRepository(name, registryID *string) error {
	switch n := aws.ToString(name); {
	case registryID != nil && *registryID != c.Account:
		return APIError("AccessDeniedException", "not authorized to perform this action on the registry of "+*registryID)
	case len(n) < 2 || len(n) > 256 || !validRepository.MatchString(n):
		return &types.InvalidParameterException{Message: aws.String("Invalid parameter at 'repositoryName' failed to satisfy constraint: '" + n + "'")}
	}
	return nil
}

// repository finds a repository. The registry is the account's unless it is named.
func (c *Cloud) repository(name, registryID *string) (*repository, error) {
	if err := c.checkRepository(name, registryID); err != nil {
		return nil, err
	}
	r, ok := c.registry.repositories[*name]
	if !ok {
		return nil, &types.RepositoryNotFoundException{Message: aws.String("The repository with name '" + *name + "' does not exist in the registry with id '" + c.Account + "'")}
	}
	return r, nil
}

func (c *Cloud) repositoryARNs() string {
	return "arn:" + c.Partition + ":ecr:" + c.Region + ":" + c.Account + ":repository/"
}

func (c *Cloud) describeRepository(r *repository) *types.Repository {
	return &types.Repository{
		RegistryId: aws.String(c.Account), RepositoryName: aws.String(r.name), RepositoryArn: aws.String(c.repositoryARNs() + r.name),
		RepositoryUri: aws.String(c.Account + ".dkr.ecr." + c.Region + ".amazonaws.com/" + r.name),
		CreatedAt:     aws.Time(r.created), ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.scanOnPush},
		ImageTagMutability: r.mutability, ImageTagMutabilityExclusionFilters: slices.Clone(r.exclusions),
	}
}

// DescribeRepositories is ecr:DescribeRepositories of repositories by their names.
func (e *ECR) DescribeRepositories(_ context.Context, in *ecr.DescribeRepositoriesInput, _ ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error) {
	var out ecr.DescribeRepositoriesOutput
	return &out, e.call("DescribeRepositories", aws.String(strings.Join(in.RepositoryNames, ",")), func() error {
		if len(in.RepositoryNames) == 0 {
			return APIError("NotImplemented", "this fake lists no repositories")
		}
		for _, name := range in.RepositoryNames {
			r, err := e.cloud.repository(&name, in.RegistryId)
			if err != nil {
				return err
			}
			out.Repositories = append(out.Repositories, *e.cloud.describeRepository(r))
		}
		return nil
	})
}

// CreateRepository is ecr:CreateRepository.
func (e *ECR) CreateRepository(_ context.Context, in *ecr.CreateRepositoryInput, _ ...func(*ecr.Options)) (*ecr.CreateRepositoryOutput, error) {
	var out ecr.CreateRepositoryOutput
	return &out, e.call("CreateRepository", in.RepositoryName, func() error {
		c := e.cloud
		if err := c.checkRepository(in.RepositoryName, in.RegistryId); err != nil {
			return err
		}
		r := &repository{
			name: *in.RepositoryName, created: c.now, mutability: types.ImageTagMutabilityMutable,
			exclusions: slices.Clone(in.ImageTagMutabilityExclusionFilters), tags: map[string]string{}, images: map[string]string{},
		}
		if in.ImageTagMutability != "" {
			r.mutability = in.ImageTagMutability
		}
		if in.ImageScanningConfiguration != nil {
			r.scanOnPush = in.ImageScanningConfiguration.ScanOnPush
		}
		if err := r.setTags(in.Tags); err != nil {
			return err
		}
		if _, taken := c.registry.repositories[r.name]; taken {
			return &types.RepositoryAlreadyExistsException{Message: aws.String("The repository with name '" + r.name + "' already exists in the registry with id '" + c.Account + "'")}
		}
		c.registry.repositories[r.name] = r
		out.Repository = c.describeRepository(r)
		return nil
	})
}

func (r *repository) setTags(tags []types.Tag) error {
	all := maps.Clone(r.tags)
	for _, t := range tags {
		k, v := aws.ToString(t.Key), aws.ToString(t.Value)
		if k == "" || utf8.RuneCountInString(k) > 128 || utf8.RuneCountInString(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return &types.InvalidTagParameterException{Message: aws.String("Invalid parameter at 'tags' failed to satisfy constraint: '" + k + "'")}
		}
		all[k] = v
	}
	if len(all) > 50 {
		return &types.TooManyTagsException{Message: aws.String("The list of tags on the repository is over the limit of 50.")}
	}
	r.tags = all
	return nil
}

// PutImageScanningConfiguration is ecr:PutImageScanningConfiguration.
func (e *ECR) PutImageScanningConfiguration(_ context.Context, in *ecr.PutImageScanningConfigurationInput, _ ...func(*ecr.Options)) (*ecr.PutImageScanningConfigurationOutput, error) {
	var out ecr.PutImageScanningConfigurationOutput
	return &out, e.call("PutImageScanningConfiguration", in.RepositoryName, func() error {
		r, err := e.cloud.repository(in.RepositoryName, in.RegistryId)
		if err != nil {
			return err
		}
		r.scanOnPush = in.ImageScanningConfiguration.ScanOnPush
		out.ImageScanningConfiguration, out.RepositoryName = in.ImageScanningConfiguration, in.RepositoryName
		return nil
	})
}

// ListTagsForResource is ecr:ListTagsForResource.
func (e *ECR) ListTagsForResource(_ context.Context, in *ecr.ListTagsForResourceInput, _ ...func(*ecr.Options)) (*ecr.ListTagsForResourceOutput, error) {
	var out ecr.ListTagsForResourceOutput
	return &out, e.tagged("ListTagsForResource", in.ResourceArn, func(r *repository) error {
		for _, k := range slices.Sorted(maps.Keys(r.tags)) {
			out.Tags = append(out.Tags, types.Tag{Key: aws.String(k), Value: aws.String(r.tags[k])})
		}
		return nil
	})
}

// TagResource is ecr:TagResource.
func (e *ECR) TagResource(_ context.Context, in *ecr.TagResourceInput, _ ...func(*ecr.Options)) (*ecr.TagResourceOutput, error) {
	return &ecr.TagResourceOutput{}, e.tagged("TagResource", in.ResourceArn, func(r *repository) error { return r.setTags(in.Tags) })
}

// UntagResource is ecr:UntagResource.
func (e *ECR) UntagResource(_ context.Context, in *ecr.UntagResourceInput, _ ...func(*ecr.Options)) (*ecr.UntagResourceOutput, error) {
	return &ecr.UntagResourceOutput{}, e.tagged("UntagResource", in.ResourceArn, func(r *repository) error {
		for _, k := range in.TagKeys {
			delete(r.tags, k)
		}
		return nil
	})
}

func (e *ECR) tagged(operation string, arn *string, carryOut func(*repository) error) error {
	name, ours := strings.CutPrefix(aws.ToString(arn), e.cloud.repositoryARNs())
	return e.call(operation, &name, func() error {
		if !ours {
			return &types.InvalidParameterException{Message: aws.String("Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'")}
		}
		r, err := e.cloud.repository(&name, nil)
		if err != nil {
			return err
		}
		return carryOut(r)
	})
}

// DescribeImages is ecr:DescribeImages of images by their tags.
func (e *ECR) DescribeImages(_ context.Context, in *ecr.DescribeImagesInput, _ ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error) {
	var out ecr.DescribeImagesOutput
	return &out, e.call("DescribeImages", in.RepositoryName, func() error {
		r, err := e.cloud.repository(in.RepositoryName, in.RegistryId)
		if err != nil {
			return err
		}
		if len(in.ImageIds) == 0 {
			return APIError("NotImplemented", "this fake lists no images")
		}
		for _, id := range in.ImageIds {
			tag := aws.ToString(id.ImageTag)
			digest, there := r.images[tag]
			if !there {
				return &types.ImageNotFoundException{Message: aws.String("The image with imageId {imageDigest:'null', imageTag:'" + tag + "'} does not exist within the repository with name '" + r.name + "' in the registry with id '" + e.cloud.Account + "'")}
			}
			d := types.ImageDetail{ImageDigest: &digest, RegistryId: aws.String(e.cloud.Account), RepositoryName: aws.String(r.name)}
			for _, t := range slices.Sorted(maps.Keys(r.images)) {
				if r.images[t] == digest {
					d.ImageTags = append(d.ImageTags, t)
				}
			}
			out.ImageDetails = append(out.ImageDetails, d)
		}
		return nil
	})
}

// DeleteRepository is ecr:DeleteRepository.
func (e *ECR) DeleteRepository(_ context.Context, in *ecr.DeleteRepositoryInput, _ ...func(*ecr.Options)) (*ecr.DeleteRepositoryOutput, error) {
	var out ecr.DeleteRepositoryOutput
	return &out, e.call("DeleteRepository", in.RepositoryName, func() error {
		r, err := e.cloud.repository(in.RepositoryName, in.RegistryId)
		if err != nil {
			return err
		}
		if len(r.images) > 0 && !in.Force {
			return &types.RepositoryNotEmptyException{Message: aws.String("The repository with name '" + r.name + "' in registry with id '" + e.cloud.Account + "' cannot be deleted because it still contains images")}
		}
		delete(e.cloud.registry.repositories, r.name)
		out.Repository = e.cloud.describeRepository(r)
		return nil
	})
}
