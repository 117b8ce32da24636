package proxy_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/proxy"
)

const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"digest":"sha256:0"}]}`

// testRepositories does once what the functions and builds do with a
// repository; how ECR decides is in the common suite.
func testRepositories(t *testing.T, w world) {
	c, name := ecr.NewFromConfig(w.config("builder")), aws.String("some/agent")
	made, err := c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName: name, ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := made.Repository.RepositoryArn
	if _, err := c.PutImageScanningConfiguration(t.Context(), &ecr.PutImageScanningConfigurationInput{
		RepositoryName: name, ImageScanningConfiguration: &types.ImageScanningConfiguration{},
	}); err != nil {
		t.Error(err)
	}
	if _, err := c.TagResource(t.Context(), &ecr.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("w")}}}); err != nil {
		t.Error(err)
	}
	if _, err := c.ListTagsForResource(t.Context(), &ecr.ListTagsForResourceInput{ResourceArn: arn}); err != nil {
		t.Error(err)
	}
	put, err := c.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: name, ImageTag: aws.String("latest"), ImageManifest: aws.String(manifest)})
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifest))); err != nil || aws.ToString(put.Image.ImageId.ImageDigest) != want {
		t.Errorf("the image is %v, want %s (%v)", put, want, err)
	}
	if _, err := c.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: name, ImageTag: aws.String("latest"), ImageManifest: aws.String(manifest)}); code(err) != "ImageAlreadyExistsException" {
		t.Errorf("the same image at the same tag: %v", err)
	}
	if _, err := c.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: name, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("latest")}}}); err != nil {
		t.Error(err)
	}
	if out, err := c.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{*name}}); err != nil || out.Repositories[0].ImageScanningConfiguration.ScanOnPush {
		t.Errorf("repository %+v (%v)", out, err)
	}
	var got []string
	for _, call := range w.Calls(proxy.Filter{Caller: "builder"}) {
		got = append(got, call.Service+" "+call.Operation+" "+call.Resource+" "+call.ErrorCode)
	}
	if diff := cmp.Diff([]string{
		"ecr CreateRepository some/agent ", "ecr PutImageScanningConfiguration some/agent ", "ecr TagResource some/agent ",
		"ecr ListTagsForResource some/agent ", "ecr PutImage some/agent ", "ecr PutImage some/agent ImageAlreadyExistsException",
		"ecr DescribeImages some/agent ", "ecr DescribeRepositories some/agent ",
	}, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func testGapsOfRepositories(t *testing.T, direct world) {
	c := ecr.NewFromConfig(direct.config("gaps"))
	for what, in := range map[string]*ecr.CreateRepositoryInput{
		"checks the length of a repository's name": {RepositoryName: aws.String(strings.Repeat("g", 257))},
		"checks the tags of a repository":          {RepositoryName: aws.String("gap-tags"), Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("v")}}},
		"bounds the tags of a request":             {RepositoryName: aws.String("gap-many"), Tags: make([]types.Tag, 51)},
	} {
		for i := range in.Tags {
			if in.Tags[i].Key == nil {
				in.Tags[i] = types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("v")}
			}
		}
		if _, err := c.CreateRepository(t.Context(), in); err != nil {
			t.Errorf("moto now %s (%v): the fill-in can go", what, err)
		}
	}
	if _, err := c.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"No Name"}}); code(err) != "RepositoryNotFoundException" {
		t.Errorf("moto now checks the names of what is read (%v): the fill-in can go", err)
	}

	name := aws.String("gap-images")
	if _, err := c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName: name, ImageTagMutability: types.ImageTagMutabilityImmutable,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
	}); err != nil {
		t.Fatal(err)
	}
	out, err := c.PutImageScanningConfiguration(t.Context(), &ecr.PutImageScanningConfigurationInput{
		RepositoryName: name, ImageScanningConfiguration: &types.ImageScanningConfiguration{},
	})
	if err != nil || !out.ImageScanningConfiguration.ScanOnPush {
		t.Errorf("moto now understands scanning that is turned off by its zero value (%v): the fill-in can go", err)
	}
	put := func(manifest string) (*ecr.PutImageOutput, error) {
		return c.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: name, ImageTag: aws.String("t"), ImageManifest: &manifest})
	}
	image, err := put(manifest)
	if err != nil || aws.ToString(image.Image.ImageId.ImageDigest) == fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifest))) {
		t.Errorf("moto now makes an image's digest of its manifest (%v): the fill-in can go", err)
	}
	if _, err := put(manifest + " "); code(err) != "ImageAlreadyExistsException" {
		t.Errorf("moto now tells a tag that cannot be moved (%v): the fill-in can go", err)
	}
}
