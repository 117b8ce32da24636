// Command plain is a Lambda function with the SDK clients of functions/reconcile,
// configured as the SDK's documentation shows, and nothing else.
package main

import (
	"context"
	"log"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	h := handler{
		s3.NewFromConfig(cfg), sqs.NewFromConfig(cfg), iam.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg), ssm.NewFromConfig(cfg),
		codebuild.NewFromConfig(cfg), ecr.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg),
	}
	lambda.Start(h.handle)
}

type handler struct {
	objects      *s3.Client
	queues       *sqs.Client
	roles        *iam.Client
	bus          *eventbridge.Client
	values       *ssm.Client
	projects     *codebuild.Client
	repositories *ecr.Client
	logs         *cloudwatchlogs.Client
}

// handle calls each client, so that the linker keeps what a call needs.
func (h handler) handle(ctx context.Context) error {
	if _, err := h.objects.GetObject(ctx, &s3.GetObjectInput{}); err != nil {
		return err
	}
	if _, err := h.objects.PutObject(ctx, &s3.PutObjectInput{}); err != nil {
		return err
	}
	if _, err := h.queues.SendMessage(ctx, &sqs.SendMessageInput{}); err != nil {
		return err
	}
	if _, err := h.roles.CreateRole(ctx, &iam.CreateRoleInput{}); err != nil {
		return err
	}
	if _, err := h.bus.PutEvents(ctx, &eventbridge.PutEventsInput{}); err != nil {
		return err
	}
	if _, err := h.projects.StartBuild(ctx, &codebuild.StartBuildInput{}); err != nil {
		return err
	}
	if _, err := h.repositories.CreateRepository(ctx, &ecr.CreateRepositoryInput{}); err != nil {
		return err
	}
	if _, err := h.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{}); err != nil {
		return err
	}
	_, err := h.values.GetParameter(ctx, &ssm.GetParameterInput{})
	return err
}
