package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cloudtrailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/fault"
)

// What preflight calls. All of it reads.
type (
	iamAPI interface {
		GetAccountSummary(context.Context, *iam.GetAccountSummaryInput, ...func(*iam.Options)) (*iam.GetAccountSummaryOutput, error)
		GetPolicy(context.Context, *iam.GetPolicyInput, ...func(*iam.Options)) (*iam.GetPolicyOutput, error)
		iam.GetAccountAuthorizationDetailsAPIClient
	}
	bucketAPI interface {
		HeadBucket(context.Context, *s3.HeadBucketInput, ...func(*s3.Options)) (*s3.HeadBucketOutput, error)
		ListBuckets(context.Context, *s3.ListBucketsInput, ...func(*s3.Options)) (*s3.ListBucketsOutput, error)
		GetBucketVersioning(context.Context, *s3.GetBucketVersioningInput, ...func(*s3.Options)) (*s3.GetBucketVersioningOutput, error)
		GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error)
		GetBucketPolicy(context.Context, *s3.GetBucketPolicyInput, ...func(*s3.Options)) (*s3.GetBucketPolicyOutput, error)
	}
	queueAPI interface {
		GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error) //nolint:revive // the SDK's name
	}
	trailAPI interface {
		DescribeTrails(context.Context, *cloudtrail.DescribeTrailsInput, ...func(*cloudtrail.Options)) (*cloudtrail.DescribeTrailsOutput, error)
		GetTrailStatus(context.Context, *cloudtrail.GetTrailStatusInput, ...func(*cloudtrail.Options)) (*cloudtrail.GetTrailStatusOutput, error)
		GetEventSelectors(context.Context, *cloudtrail.GetEventSelectorsInput, ...func(*cloudtrail.Options)) (*cloudtrail.GetEventSelectorsOutput, error)
	}
	builderAPI interface {
		codebuild.ListProjectsAPIClient
		BatchGetProjects(context.Context, *codebuild.BatchGetProjectsInput, ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error)
	}
	registryAPI interface {
		ecr.DescribeRepositoriesAPIClient
		ListTagsForResource(context.Context, *ecr.ListTagsForResourceInput, ...func(*ecr.Options)) (*ecr.ListTagsForResourceOutput, error)
	}
)

// unread is why something could not be read, and the IAM action that reads it.
type unread struct {
	action string
	err    error
}

func (u *unread) Error() string { return u.err.Error() }

func (u *unread) Unwrap() error { return u.err }

// reading adds to an error of AWS what was being read, and with which action.
func reading(err error, action, what string) error {
	if err == nil {
		return nil
	}
	return &unread{action, awserr.Wrap(err, "read %s", what)}
}

// httpStatus gives the status of the answer that an error was made of; 0 when
// there was none.
func httpStatus(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// parameter gives the value of a parameter; not there when there is none.
func (a account) parameter(ctx context.Context, name string) (value string, there bool, err error) {
	value, err = parameter.Read(ctx, a.parameters, name)
	if errors.Is(err, fault.ErrNotFound) {
		return "", false, nil
	}
	return value, err == nil, reading(err, "ssm:GetParameter", "parameter "+name)
}

func (a account) hasQueue(ctx context.Context, name string) (bool, error) {
	_, err := a.queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	var none *sqstypes.QueueDoesNotExist
	if errors.As(err, &none) {
		return false, nil
	}
	return err == nil, reading(err, "sqs:GetQueueUrl", "queue "+name)
}

func (a account) hasPolicy(ctx context.Context, arn string) (bool, error) {
	_, err := a.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
	err = reading(err, "iam:GetPolicy", "policy "+arn)
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// policyDocument gives the document of a policy that may be read otherwise.
func (a account) policyDocument(ctx context.Context, arn string) (string, error) {
	document, err := iamrole.NewReader(a.roles).Managed(ctx, arn)
	return document, reading(err, "iam:GetPolicyVersion", "the document of policy "+arn)
}

// allRoles gives all roles of the account, service-linked ones too. ListRoles
// would show neither their boundaries nor their tags (IAM API reference).
func (a account) allRoles(ctx context.Context) ([]iamtypes.RoleDetail, error) {
	var roles []iamtypes.RoleDetail
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(a.iam, &iam.GetAccountAuthorizationDetailsInput{
		Filter: []iamtypes.EntityType{iamtypes.EntityTypeRole}, MaxItems: aws.Int32(1000),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, reading(err, "iam:GetAccountAuthorizationDetails", "the account's roles")
		}
		roles = append(roles, page.RoleDetailList...)
	}
	return roles, nil
}

// summary gives the account's numbers and quotas by their names in IAM's API.
func (a account) summary(ctx context.Context) (map[string]int32, error) {
	out, err := a.iam.GetAccountSummary(ctx, &iam.GetAccountSummaryInput{})
	if err != nil {
		return nil, reading(err, "iam:GetAccountSummary", "the quotas of IAM")
	}
	return out.SummaryMap, nil
}

// bucketPlace says where a bucket of a name is.
type bucketPlace int

const (
	bucketAbsent    bucketPlace = iota // the name is free
	bucketHere                         // in this account and Region
	bucketElsewhere                    // in another Region
	bucketForeign                      // in another account
)

// bucketPlace finds a bucket. HEAD answers have a status and no code: 403 is a
// bucket of another account, and also one of this account that the caller may
// not list. Which it is, the list of the account's buckets says.
func (a account) bucketPlace(ctx context.Context, name string) (bucketPlace, error) {
	_, err := a.buckets.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name, ExpectedBucketOwner: &a.id})
	denied := reading(err, "s3:ListBucket", "bucket "+name)
	switch httpStatus(err) {
	case http.StatusNotFound:
		return bucketAbsent, nil
	case http.StatusMovedPermanently:
		return bucketElsewhere, nil
	case http.StatusForbidden:
		own, err := a.buckets.ListBuckets(ctx, &s3.ListBucketsInput{Prefix: &name})
		if err != nil {
			return 0, reading(err, "s3:ListAllMyBuckets", "the list of buckets, for whose "+name+" is")
		}
		if !slices.ContainsFunc(own.Buckets, func(b s3types.Bucket) bool { return aws.ToString(b.Name) == name }) {
			return bucketForeign, nil
		}
	}
	return bucketHere, denied
}

func (a account) versioned(ctx context.Context, bucket string) (bool, error) {
	out, err := a.buckets.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket, ExpectedBucketOwner: &a.id})
	if err != nil {
		return false, reading(err, "s3:GetBucketVersioning", "the versioning of bucket "+bucket)
	}
	return out.Status == s3types.BucketVersioningStatusEnabled, nil
}

func (a account) notifications(ctx context.Context, bucket string) (s3types.NotificationConfiguration, error) {
	out, err := a.buckets.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &bucket, ExpectedBucketOwner: &a.id})
	if err != nil {
		return s3types.NotificationConfiguration{}, reading(err, "s3:GetBucketNotification", "the notifications of bucket "+bucket)
	}
	return s3types.NotificationConfiguration{
		EventBridgeConfiguration: out.EventBridgeConfiguration, LambdaFunctionConfigurations: out.LambdaFunctionConfigurations,
		QueueConfigurations: out.QueueConfigurations, TopicConfigurations: out.TopicConfigurations,
	}, nil
}

// bucketPolicy gives the policy of a bucket that is there; empty when it has none.
func (a account) bucketPolicy(ctx context.Context, bucket string) (string, error) {
	out, err := a.buckets.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &bucket, ExpectedBucketOwner: &a.id})
	switch {
	case httpStatus(err) == http.StatusNotFound:
		return "", nil
	case err != nil:
		return "", reading(err, "s3:GetBucketPolicy", "the policy of bucket "+bucket)
	}
	return aws.ToString(out.Policy), nil
}

// allTrails gives the trails of this Region, with those of other Regions and of
// the organisation that reach here.
func (a account) allTrails(ctx context.Context) ([]cloudtrailtypes.Trail, error) {
	out, err := a.trails.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{})
	if err != nil {
		return nil, reading(err, "cloudtrail:DescribeTrails", "the account's trails")
	}
	return out.TrailList, nil
}

// logsWrites reports whether a trail is logging, and management write events.
// Its status is asked here, by its ARN (CloudTrail API reference,
// GetTrailStatus), and its selectors in its home Region. A trail without
// selectors logs all management events (same, PutEventSelectors).
func (a account) logsWrites(ctx context.Context, t cloudtrailtypes.Trail) (bool, error) {
	status, err := a.trails.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: t.TrailARN})
	if err != nil {
		return false, reading(err, "cloudtrail:GetTrailStatus", "the status of trail "+aws.ToString(t.TrailARN))
	}
	if !aws.ToBool(status.IsLogging) {
		return false, nil
	}
	selectors, err := a.trails.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: t.TrailARN}, func(o *cloudtrail.Options) {
		o.Region = cmp.Or(aws.ToString(t.HomeRegion), o.Region)
	})
	if err != nil {
		return false, reading(err, "cloudtrail:GetEventSelectors", "the event selectors of trail "+aws.ToString(t.TrailARN))
	}
	if len(selectors.EventSelectors)+len(selectors.AdvancedEventSelectors) == 0 {
		return true, nil
	}
	return slices.ContainsFunc(selectors.EventSelectors, selectsWrites) || slices.ContainsFunc(selectors.AdvancedEventSelectors, selectsWritesAdvanced), nil
}

// allProjects gives the CodeBuild projects with names of agents' projects.
func (a account) allProjects(ctx context.Context) ([]made, error) {
	var all []made
	pages := codebuild.NewListProjectsPaginator(a.builders, &codebuild.ListProjectsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, reading(err, "codebuild:ListProjects", "the account's CodeBuild projects")
		}
		names := slices.DeleteFunc(slices.Clone(page.Projects), func(name string) bool { return !agentsProject(name) })
		if len(names) == 0 {
			continue
		}
		out, err := a.builders.BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: names}) // both have at most 100
		if err != nil {
			return nil, reading(err, "codebuild:BatchGetProjects", "CodeBuild projects")
		}
		for _, p := range out.Projects {
			m := made{aws.ToString(p.Name), aws.ToTime(p.Created), map[string]string{}}
			for _, t := range p.Tags {
				m.tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// allRepositories gives the ECR repositories that agents have by default.
func (a account) allRepositories(ctx context.Context) ([]made, error) {
	var all []made
	pages := ecr.NewDescribeRepositoriesPaginator(a.registry, &ecr.DescribeRepositoriesInput{RegistryId: &a.id, MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, reading(err, "ecr:DescribeRepositories", "the account's repositories")
		}
		for _, r := range page.Repositories {
			name := aws.ToString(r.RepositoryName)
			if !agentsRepository(name) {
				continue
			}
			out, err := a.registry.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: r.RepositoryArn})
			err = reading(err, "ecr:ListTagsForResource", "the tags of repository "+name)
			if errors.Is(err, fault.ErrNotFound) {
				continue // gone since it was listed
			}
			if err != nil {
				return nil, err
			}
			m := made{name, aws.ToTime(r.CreatedAt), map[string]string{}}
			for _, t := range out.Tags {
				m.tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			all = append(all, m)
		}
	}
	return all, nil
}
