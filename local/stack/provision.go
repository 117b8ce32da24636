package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// maker makes one resource. Functions, mappings, rules and schedules are not in
// moto: what runs them reads them from the Stack.
type maker func(ctx context.Context, c clients, r Resource) error

type clients struct {
	iam *iam.Client
	s3  *s3.Client
	sqs *sqs.Client
	ssm *ssm.Client
}

// makers are the types that are made.
var makers = map[string]maker{
	"AWS::IAM::ManagedPolicy":         makePolicy,
	"AWS::IAM::Role":                  makeRole,
	"AWS::S3::Bucket":                 makeBucket,
	"AWS::S3::BucketPolicy":           makeBucketPolicy,
	"AWS::SSM::Parameter":             makeParameter,
	"AWS::SQS::Queue":                 makeQueue,
	"AWS::Lambda::Function":           elsewhere,
	"AWS::Lambda::EventSourceMapping": elsewhere,
	"AWS::Events::Rule":               elsewhere,
	"AWS::Scheduler::Schedule":        elsewhere,
}

// order is that of making: policies before the roles that carry them, buckets
// before their policies.
var order = []string{
	"AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::SQS::Queue", "AWS::SSM::Parameter",
}

// Provision makes the stack's resources with the configuration's credentials.
func (s *Stack) Provision(ctx context.Context, cfg aws.Config) error {
	c := clients{
		iam: iam.NewFromConfig(cfg), sqs: sqs.NewFromConfig(cfg), ssm: ssm.NewFromConfig(cfg),
		s3: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }),
	}
	for _, kind := range order {
		for _, logical := range slices.Sorted(maps.Keys(s.Resources)) {
			if r := s.Resources[logical]; r.Type == kind {
				if err := makers[kind](ctx, c, r); err != nil {
					return fmt.Errorf("make %s %s: %w", r.Type, logical, err)
				}
			}
		}
	}
	return s.redrive(ctx, c)
}

func elsewhere(context.Context, clients, Resource) error { return nil }

func makePolicy(ctx context.Context, c clients, r Resource) error {
	var in struct {
		ManagedPolicyName, Path, Description string
		PolicyDocument                       json.RawMessage
		Roles, Users, Groups                 []string
	}
	if err := convert(r.Properties, &in); err != nil {
		return err
	}
	if len(in.Roles)+len(in.Users)+len(in.Groups) > 0 {
		return fmt.Errorf("attaching from the policy's side is not supported")
	}
	_, err := c.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{
		PolicyName: aws.String(path.Base(r.PhysicalID)), Path: optional(in.Path),
		Description: optional(in.Description), PolicyDocument: aws.String(string(in.PolicyDocument)),
	})
	return err
}

func makeRole(ctx context.Context, c clients, r Resource) error {
	var in roleProperties
	if err := convert(r.Properties, &in); err != nil {
		return err
	}
	session, err := in.MaxSessionDuration.number(3600)
	if err != nil {
		return err
	}
	create := &iam.CreateRoleInput{
		RoleName: &r.PhysicalID, AssumeRolePolicyDocument: aws.String(string(in.AssumeRolePolicyDocument)),
		Path: optional(in.Path), Description: optional(in.Description), PermissionsBoundary: optional(in.PermissionsBoundary),
		MaxSessionDuration: aws.Int32(int32(session)), //nolint:gosec // IAM refuses more than 43,200
	}
	for _, t := range in.Tags {
		create.Tags = append(create.Tags, iamtypes.Tag{Key: &t.Key, Value: &t.Value})
	}
	if _, err := c.iam.CreateRole(ctx, create); err != nil {
		return err
	}
	for _, p := range in.Policies {
		if _, err := c.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
			RoleName: &r.PhysicalID, PolicyName: &p.PolicyName, PolicyDocument: aws.String(string(p.PolicyDocument)),
		}); err != nil {
			return fmt.Errorf("policy %s: %w", p.PolicyName, err)
		}
	}
	for _, arn := range in.ManagedPolicyArns {
		if _, err := c.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &r.PhysicalID, PolicyArn: &arn}); err != nil {
			return fmt.Errorf("attach %s: %w", arn, err)
		}
	}
	return nil
}

// makeBucket does what the functions can notice: versioning and events.
// Encryption, lifecycle and access blocks stay in the resolved stack.
func makeBucket(ctx context.Context, c clients, r Resource) error {
	var in struct {
		VersioningConfiguration   struct{ Status string }
		NotificationConfiguration struct {
			EventBridgeConfiguration *struct{ EventBridgeEnabled loose }
		}
	}
	if err := convert(r.Properties, &in); err != nil {
		return err
	}
	if _, err := c.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &r.PhysicalID, CreateBucketConfiguration: location(c)}); err != nil {
		return err
	}
	if status := in.VersioningConfiguration.Status; status != "" {
		if _, err := c.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
			Bucket: &r.PhysicalID, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatus(status)},
		}); err != nil {
			return fmt.Errorf("versioning: %w", err)
		}
	}
	if e := in.NotificationConfiguration.EventBridgeConfiguration; e == nil || e.EventBridgeEnabled == "false" {
		return nil
	}
	if _, err := c.s3.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{
		Bucket:                    &r.PhysicalID,
		NotificationConfiguration: &s3types.NotificationConfiguration{EventBridgeConfiguration: &s3types.EventBridgeConfiguration{}},
	}); err != nil {
		return fmt.Errorf("notification: %w", err)
	}
	return nil
}

// makeBucketPolicy gives the policy to the bucket. Nothing here obeys it.
func makeBucketPolicy(ctx context.Context, c clients, r Resource) error {
	var in struct {
		Bucket         string
		PolicyDocument json.RawMessage
	}
	if err := convert(r.Properties, &in); err != nil {
		return err
	}
	_, err := c.s3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &in.Bucket, Policy: aws.String(string(in.PolicyDocument))})
	return err
}

func makeParameter(ctx context.Context, c clients, r Resource) error {
	var in struct{ Type, Value, Tier, Description string }
	if err := convert(r.Properties, &in); err != nil {
		return err
	}
	_, err := c.ssm.PutParameter(ctx, &ssm.PutParameterInput{
		Name: &r.PhysicalID, Value: &in.Value, Description: optional(in.Description),
		Type: ssmtypes.ParameterType(in.Type), Tier: ssmtypes.ParameterTier(in.Tier),
	})
	return err
}

// location: outside us-east-1 a bucket must be told where it is.
func location(c clients) *s3types.CreateBucketConfiguration {
	region := c.s3.Options().Region
	if region == "us-east-1" {
		return nil
	}
	return &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(region)}
}

// queueAttributes are those of SQS that a template sets by the same name.
var queueAttributes = []string{
	"ContentBasedDeduplication", "DeduplicationScope", "DelaySeconds", "FifoQueue", "FifoThroughputLimit", "MaximumMessageSize",
	"MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "SqsManagedSseEnabled", "VisibilityTimeout",
}

func makeQueue(ctx context.Context, c clients, r Resource) error {
	attributes := map[string]string{}
	for _, name := range queueAttributes {
		v, set := r.Properties[name]
		// SQS knows no FifoQueue=false
		if set && !(name == "FifoQueue" && text(v) == "false") {
			attributes[name] = text(v)
		}
	}
	_, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(path.Base(r.PhysicalID)), Attributes: attributes})
	return err
}

// redrive comes after all queues are there: policies name one another.
func (s *Stack) redrive(ctx context.Context, c clients) error {
	for logical, r := range s.Resources {
		policy, ok := r.Properties["RedrivePolicy"]
		if r.Type != "AWS::SQS::Queue" || !ok {
			continue
		}
		document, err := json.Marshal(policy)
		if err != nil {
			return fmt.Errorf("redrive policy of %s: %w", logical, err)
		}
		if _, err := c.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
			QueueUrl:   &r.PhysicalID,
			Attributes: map[string]string{string(sqstypes.QueueAttributeNameRedrivePolicy): string(document)},
		}); err != nil {
			return fmt.Errorf("redrive policy of %s: %w", logical, err)
		}
	}
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
