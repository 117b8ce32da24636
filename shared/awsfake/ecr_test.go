package awsfake_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"rolekeeper/shared/awsfake"
)

func TestACloneOfARegistryGoesItsOwnWay(t *testing.T) {
	c, name := awsfake.New(), aws.String("one")
	made, err := c.ECR("t").CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: name})
	if err != nil {
		t.Fatal(err)
	}
	clone := c.Clone()
	clone.Advance(time.Hour)
	if err := clone.PushImage("one", "latest", "sha256:1"); err != nil {
		t.Fatal(err)
	}
	their := clone.ECR("t")
	if _, err := their.TagResource(t.Context(), &ecr.TagResourceInput{
		ResourceArn: made.Repository.RepositoryArn, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := their.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("two")}); err != nil {
		t.Fatal(err)
	}
	if got := c.RepositoryNames(); !slices.Equal(got, []string{"one"}) || !slices.Equal(clone.RepositoryNames(), []string{"one", "two"}) {
		t.Errorf("repositories %v, and of the clone %v", got, clone.RepositoryNames())
	}
	tags, err := c.ECR("t").ListTagsForResource(t.Context(), &ecr.ListTagsForResourceInput{ResourceArn: made.Repository.RepositoryArn})
	if err != nil || len(tags.Tags) != 0 {
		t.Errorf("tags %+v (%v)", tags, err)
	}
	if _, err := c.ECR("t").DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: name}); err != nil {
		t.Errorf("the repository has the clone's image: %v", err)
	}
}

func TestACloneOfLogGroupsGoesItsOwnWay(t *testing.T) {
	c, name := awsfake.New(), aws.String("group")
	if _, err := c.Logs("t").CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: name}); err != nil {
		t.Fatal(err)
	}
	clone := c.Clone()
	if _, err := clone.Logs("t").PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(90)}); err != nil {
		t.Fatal(err)
	}
	if c.LogGroups()["group"].RetentionDays != 0 || clone.LogGroups()["group"].RetentionDays != 90 {
		t.Errorf("log groups %v, and of the clone %v", c.LogGroups(), clone.LogGroups())
	}
}
