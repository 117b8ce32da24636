package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolekeeper/shared/aws/configstore"
)

// connect finds out the account by the credentials that the SDK finds, as the
// AWS CLI does; region may be empty.
func connect(ctx context.Context, region string) (account, error) {
	var options []func(*config.LoadOptions) error
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	ac, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return account{}, fmt.Errorf("AWS configuration: %w", err)
	}
	if ac.Region == "" {
		return account{}, errors.New("which Region? Pass --region or set AWS_REGION")
	}
	who, err := sts.NewFromConfig(ac).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return account{}, fmt.Errorf("find out the AWS account: %w", err)
	}
	objects := s3.NewFromConfig(ac, configstore.Quiet)
	roles, images, builds := iam.NewFromConfig(ac), ecr.NewFromConfig(ac), codebuild.NewFromConfig(ac)
	return account{
		id: aws.ToString(who.Account), region: ac.Region, caller: aws.ToString(who.Arn),
		objects: objects, requests: objects, buckets: objects, sources: objects, roles: roles, iam: roles, bulk: roles,
		repositories: images, registry: images, projects: builds, builders: builds,
		parameters: ssm.NewFromConfig(ac), runtimes: bedrockagentcorecontrol.NewFromConfig(ac), queues: sqs.NewFromConfig(ac), trails: cloudtrail.NewFromConfig(ac),
	}, nil
}
