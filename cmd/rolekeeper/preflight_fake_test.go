package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cloudtrailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	codebuildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// site is an account that a stack may be deployed to, as AWS answers for it.
type site struct {
	tool
	id, region string
	names      map[string]bool   // parameters, queues, ARNs of policies
	settings   string            // value of every parameter
	documents  map[string]string // of policies, by ARN
	roles      []iamtypes.RoleDetail
	summary    map[string]int32
	buckets    map[string]*siteBucket
	trails     []siteTrail
	projects   []made
	images     []made // ECR repositories
	calls      []string
	refuse     func(call string) error
}

type siteBucket struct {
	owner, region string // as the site's when empty
	unlisted      bool   // s3:ListBucket is denied
	versioning    s3types.BucketVersioningStatus
	events        s3types.NotificationConfiguration
	policy        string
}

type siteTrail struct {
	cloudtrailtypes.Trail
	off      bool
	basic    []cloudtrailtypes.EventSelector
	advanced []cloudtrailtypes.AdvancedEventSelector
}

// newSite makes an account with nothing in it but a trail of all Regions.
func newSite() *site {
	s := &site{
		id: "111122223333", region: "eu-west-1", names: map[string]bool{}, settings: "{}", documents: map[string]string{}, buckets: map[string]*siteBucket{},
		summary: map[string]int32{"Roles": 40, "RolesQuota": 1000, "Policies": 10, "PoliciesQuota": 1500},
		refuse:  func(string) error { return nil },
	}
	s.trails = []siteTrail{trail("all", "us-east-1", true)}
	s.connect = func(_ context.Context, region string) (account, error) {
		if region != "" {
			s.region = region
		}
		return account{id: s.id, region: s.region, buckets: s, iam: s, roles: siteRoles{site: s}, parameters: s, queues: s, trails: s, builders: s, registry: s}, nil
	}
	return s
}

func trail(name, home string, everywhere bool) siteTrail {
	return siteTrail{Trail: cloudtrailtypes.Trail{
		Name: &name, TrailARN: aws.String("arn:aws:cloudtrail:" + home + ":111122223333:trail/" + name), HomeRegion: &home,
		IsMultiRegionTrail: &everywhere, IncludeGlobalServiceEvents: aws.Bool(true),
	}}
}

// deployed puts the stack there, with all of its names.
func (s *site) deployed() *site {
	i := inspection{account: account{id: s.id, region: s.region}, flags: preflightFlags{stack: "rolekeeper"}}
	s.names[naming.SettingsParameter(i.flags.stack)] = true
	for _, name := range stackQueues() {
		s.names[name] = true
	}
	for _, name := range append(stackPolicies(s.region), naming.Boundary(s.region)) {
		s.names[s.policyARN(name)] = true
	}
	for _, name := range stackRoles(s.region) {
		s.addRole(name, "", "aws:cloudformation:stack-name", "rolekeeper")
	}
	s.buckets[naming.ConfigBucket(s.id, s.region)] = &siteBucket{}
	source := naming.SourceBucket(s.id, s.region)
	policy, _, _, err := withStatements("", i.sourceStatements(source))
	if err != nil {
		panic(err)
	}
	ours := map[string]string{model.TagCreation: "nonce"}
	s.projects = []made{{naming.Project("a"), siteTime(0), ours}}
	s.images = []made{{naming.Repository("a"), siteTime(0), ours}}
	s.buckets[source] = &siteBucket{
		versioning: s3types.BucketVersioningStatusEnabled, policy: policy,
		events: s3types.NotificationConfiguration{EventBridgeConfiguration: &s3types.EventBridgeConfiguration{}},
	}
	return s
}

// siteTime gives a time when something was made.
func siteTime(second int) time.Time { return time.Date(2026, 2, 1, 10, 0, second, 0, time.UTC) }

// policy puts a policy of the account there.
func (s *site) policy(arn, document string) {
	s.names[arn], s.documents[arn] = true, document
}

func (s *site) policyARN(name string) string {
	return fmt.Sprintf("arn:%s:iam::%s:policy/%s", naming.Partition(s.region), s.id, name)
}

func (s *site) addRole(name, boundary string, tags ...string) {
	r := iamtypes.RoleDetail{RoleName: &name, CreateDate: aws.Time(siteTime(len(s.roles)))}
	if boundary != "" {
		r.PermissionsBoundary = &iamtypes.AttachedPermissionsBoundary{PermissionsBoundaryArn: &boundary}
	}
	for pair := range slices.Chunk(tags, 2) {
		r.Tags = append(r.Tags, iamtypes.Tag{Key: &pair[0], Value: &pair[1]})
	}
	s.roles = append(s.roles, r)
}

func (s *site) call(service, operation string, about *string) error {
	call := service + ":" + operation + " " + aws.ToString(about)
	s.calls = append(s.calls, call)
	return s.refuse(call)
}

// deny refuses every call that begins so.
func (s *site) deny(prefix string) {
	s.refuse = func(call string) error {
		if strings.HasPrefix(call, prefix) {
			return awsfake.APIError("AccessDeniedException", "no")
		}
		return nil
	}
}

// httpError is an error as the SDK makes it of an answer that has no code.
func httpError(status int, code string) error {
	return &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: awsfake.APIError(code, ""),
	}}
}

func (s *site) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	if err := s.call("ssm", "GetParameter", in.Name); err != nil {
		return nil, err
	}
	if !s.names[*in.Name] {
		return nil, &ssmtypes.ParameterNotFound{}
	}
	return &ssm.GetParameterOutput{Parameter: &ssmtypes.Parameter{Name: in.Name, Value: &s.settings}}, nil
}

func (s *site) GetQueueUrl(_ context.Context, in *sqs.GetQueueUrlInput, _ ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error) { //nolint:revive // the SDK's name
	if err := s.call("sqs", "GetQueueUrl", in.QueueName); err != nil {
		return nil, err
	}
	if !s.names[*in.QueueName] {
		return nil, &sqstypes.QueueDoesNotExist{}
	}
	return &sqs.GetQueueUrlOutput{QueueUrl: in.QueueName}, nil
}

func (s *site) GetPolicy(_ context.Context, in *iam.GetPolicyInput, _ ...func(*iam.Options)) (*iam.GetPolicyOutput, error) {
	if err := s.call("iam", "GetPolicy", in.PolicyArn); err != nil {
		return nil, err
	}
	if !s.names[*in.PolicyArn] {
		return nil, &iamtypes.NoSuchEntityException{}
	}
	return &iam.GetPolicyOutput{Policy: &iamtypes.Policy{Arn: in.PolicyArn}}, nil
}

// siteRoles reads the documents of policies, and no roles.
type siteRoles struct {
	iamrole.ReadAPI
	site *site
}

func (r siteRoles) GetPolicy(ctx context.Context, in *iam.GetPolicyInput, o ...func(*iam.Options)) (*iam.GetPolicyOutput, error) {
	return r.site.GetPolicy(ctx, in, o...)
}

func (r siteRoles) GetPolicyVersion(_ context.Context, in *iam.GetPolicyVersionInput, _ ...func(*iam.Options)) (*iam.GetPolicyVersionOutput, error) {
	if err := r.site.call("iam", "GetPolicyVersion", in.PolicyArn); err != nil {
		return nil, err
	}
	document := url.PathEscape(r.site.documents[*in.PolicyArn])
	return &iam.GetPolicyVersionOutput{PolicyVersion: &iamtypes.PolicyVersion{Document: &document}}, nil
}

func (s *site) GetAccountSummary(context.Context, *iam.GetAccountSummaryInput, ...func(*iam.Options)) (*iam.GetAccountSummaryOutput, error) {
	return &iam.GetAccountSummaryOutput{SummaryMap: s.summary}, s.call("iam", "GetAccountSummary", nil)
}

// GetAccountAuthorizationDetails gives pages of two, however many are asked for.
func (s *site) GetAccountAuthorizationDetails(_ context.Context, in *iam.GetAccountAuthorizationDetailsInput, _ ...func(*iam.Options)) (*iam.GetAccountAuthorizationDetailsOutput, error) {
	if err := s.call("iam", "GetAccountAuthorizationDetails", in.Marker); err != nil {
		return nil, err
	}
	if !slices.Equal(in.Filter, []iamtypes.EntityType{iamtypes.EntityTypeRole}) {
		return nil, errors.New("not only roles are asked for")
	}
	start := len(aws.ToString(in.Marker))
	end := min(start+2, len(s.roles))
	out := &iam.GetAccountAuthorizationDetailsOutput{RoleDetailList: s.roles[start:end]}
	if end < len(s.roles) {
		out.IsTruncated, out.Marker = true, aws.String(strings.Repeat(".", end))
	}
	return out, nil
}

// bucket gives a bucket as a caller of this account and Region gets to it. A
// call that does not say whose it must be could reach anybody's, and is refused.
func (s *site) bucket(operation string, name, owner *string) (*siteBucket, error) {
	if err := s.call("s3", operation, name); err != nil {
		return nil, err
	}
	b := s.buckets[*name]
	switch {
	case b == nil:
		return nil, httpError(http.StatusNotFound, "NotFound")
	case owner == nil:
		return nil, errors.New("no owner is expected of bucket " + *name)
	case *owner != cmp.Or(b.owner, s.id):
		return nil, httpError(http.StatusForbidden, "Forbidden")
	case b.region != "" && b.region != s.region:
		return nil, httpError(http.StatusMovedPermanently, "MovedPermanently")
	case operation == "HeadBucket" && b.unlisted:
		return nil, httpError(http.StatusForbidden, "Forbidden")
	}
	return b, nil
}

func (s *site) HeadBucket(_ context.Context, in *s3.HeadBucketInput, _ ...func(*s3.Options)) (*s3.HeadBucketOutput, error) {
	_, err := s.bucket("HeadBucket", in.Bucket, in.ExpectedBucketOwner)
	return &s3.HeadBucketOutput{}, err
}

func (s *site) ListBuckets(_ context.Context, in *s3.ListBucketsInput, _ ...func(*s3.Options)) (*s3.ListBucketsOutput, error) {
	out := &s3.ListBucketsOutput{}
	for name, b := range s.buckets {
		if b.owner == "" && strings.HasPrefix(name, *in.Prefix) {
			out.Buckets = append(out.Buckets, s3types.Bucket{Name: &name})
		}
	}
	return out, s.call("s3", "ListBuckets", in.Prefix)
}

func (s *site) GetBucketVersioning(_ context.Context, in *s3.GetBucketVersioningInput, _ ...func(*s3.Options)) (*s3.GetBucketVersioningOutput, error) {
	b, err := s.bucket("GetBucketVersioning", in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &s3.GetBucketVersioningOutput{Status: b.versioning}, nil
}

func (s *site) GetBucketNotificationConfiguration(_ context.Context, in *s3.GetBucketNotificationConfigurationInput, _ ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error) {
	b, err := s.bucket("GetBucketNotificationConfiguration", in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &s3.GetBucketNotificationConfigurationOutput{
		EventBridgeConfiguration: b.events.EventBridgeConfiguration, LambdaFunctionConfigurations: b.events.LambdaFunctionConfigurations,
		QueueConfigurations: b.events.QueueConfigurations, TopicConfigurations: b.events.TopicConfigurations,
	}, nil
}

func (s *site) GetBucketPolicy(_ context.Context, in *s3.GetBucketPolicyInput, _ ...func(*s3.Options)) (*s3.GetBucketPolicyOutput, error) {
	b, err := s.bucket("GetBucketPolicy", in.Bucket, in.ExpectedBucketOwner)
	switch {
	case err != nil:
		return nil, err
	case b.policy == "":
		return nil, httpError(http.StatusNotFound, "NoSuchBucketPolicy")
	}
	return &s3.GetBucketPolicyOutput{Policy: &b.policy}, nil
}

func (s *site) DescribeTrails(context.Context, *cloudtrail.DescribeTrailsInput, ...func(*cloudtrail.Options)) (*cloudtrail.DescribeTrailsOutput, error) {
	out := &cloudtrail.DescribeTrailsOutput{}
	for _, t := range s.trails {
		if *t.IsMultiRegionTrail || *t.HomeRegion == s.region {
			out.TrailList = append(out.TrailList, t.Trail)
		}
	}
	return out, s.call("cloudtrail", "DescribeTrails", nil)
}

func (s *site) trail(operation string, arn *string) (siteTrail, error) {
	n := slices.IndexFunc(s.trails, func(t siteTrail) bool { return *t.TrailARN == aws.ToString(arn) })
	if n < 0 {
		return siteTrail{}, &cloudtrailtypes.TrailNotFoundException{}
	}
	return s.trails[n], s.call("cloudtrail", operation, arn)
}

func (s *site) GetTrailStatus(_ context.Context, in *cloudtrail.GetTrailStatusInput, _ ...func(*cloudtrail.Options)) (*cloudtrail.GetTrailStatusOutput, error) {
	t, err := s.trail("GetTrailStatus", in.Name)
	return &cloudtrail.GetTrailStatusOutput{IsLogging: aws.Bool(!t.off)}, err
}

// GetEventSelectors answers only in the trail's home Region.
func (s *site) GetEventSelectors(_ context.Context, in *cloudtrail.GetEventSelectorsInput, options ...func(*cloudtrail.Options)) (*cloudtrail.GetEventSelectorsOutput, error) {
	t, err := s.trail("GetEventSelectors", in.TrailName)
	o := cloudtrail.Options{Region: s.region}
	for _, f := range options {
		f(&o)
	}
	if err == nil && o.Region != *t.HomeRegion {
		return nil, &cloudtrailtypes.TrailNotFoundException{}
	}
	return &cloudtrail.GetEventSelectorsOutput{EventSelectors: t.basic, AdvancedEventSelectors: t.advanced}, err
}

// pageOf gives two of a list from where the token says, and the next token.
func pageOf(all []made, token *string) (items []made, next *string) {
	start := len(aws.ToString(token))
	end := min(start+2, len(all))
	if end < len(all) {
		next = aws.String(strings.Repeat(".", end))
	}
	return all[start:end], next
}

func (s *site) ListProjects(_ context.Context, in *codebuild.ListProjectsInput, _ ...func(*codebuild.Options)) (*codebuild.ListProjectsOutput, error) {
	items, next := pageOf(s.projects, in.NextToken)
	out := &codebuild.ListProjectsOutput{NextToken: next}
	for _, p := range items {
		out.Projects = append(out.Projects, p.name)
	}
	return out, s.call("codebuild", "ListProjects", in.NextToken)
}

// BatchGetProjects refuses to be asked about nothing, as CodeBuild does. A
// project that was made at no time is gone by now.
func (s *site) BatchGetProjects(_ context.Context, in *codebuild.BatchGetProjectsInput, _ ...func(*codebuild.Options)) (*codebuild.BatchGetProjectsOutput, error) {
	if len(in.Names) == 0 || len(in.Names) > 100 {
		return nil, awsfake.APIError("InvalidInputException", "names")
	}
	out := &codebuild.BatchGetProjectsOutput{}
	for _, p := range s.projects {
		if !slices.Contains(in.Names, p.name) || p.at.IsZero() {
			continue
		}
		one := codebuildtypes.Project{Name: &p.name, Created: &p.at}
		for k, v := range p.tags {
			one.Tags = append(one.Tags, codebuildtypes.Tag{Key: &k, Value: &v})
		}
		out.Projects = append(out.Projects, one)
	}
	return out, s.call("codebuild", "BatchGetProjects", &in.Names[0])
}

func (s *site) DescribeRepositories(_ context.Context, in *ecr.DescribeRepositoriesInput, _ ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error) {
	if aws.ToString(in.RegistryId) != s.id {
		return nil, errors.New("of another registry")
	}
	items, next := pageOf(s.images, in.NextToken)
	out := &ecr.DescribeRepositoriesOutput{NextToken: next}
	for _, r := range items {
		out.Repositories = append(out.Repositories, ecrtypes.Repository{RepositoryName: &r.name, RepositoryArn: aws.String("arn/" + r.name), CreatedAt: &r.at})
	}
	return out, s.call("ecr", "DescribeRepositories", in.NextToken)
}

// ListTagsForResource does not find a repository that was made at no time.
func (s *site) ListTagsForResource(_ context.Context, in *ecr.ListTagsForResourceInput, _ ...func(*ecr.Options)) (*ecr.ListTagsForResourceOutput, error) {
	if err := s.call("ecr", "ListTagsForResource", in.ResourceArn); err != nil {
		return nil, err
	}
	n := slices.IndexFunc(s.images, func(r made) bool { return "arn/"+r.name == aws.ToString(in.ResourceArn) })
	if n < 0 || s.images[n].at.IsZero() {
		return nil, &ecrtypes.RepositoryNotFoundException{}
	}
	out := &ecr.ListTagsForResourceOutput{}
	for k, v := range s.images[n].tags {
		out.Tags = append(out.Tags, ecrtypes.Tag{Key: &k, Value: &v})
	}
	return out, nil
}

// preflight runs the tool and reads its JSON, by check and subject.
func (s *site) preflight(t *testing.T, args ...string) (map[string]finding, outcome) {
	t.Helper()
	got := s.run(t, append([]string{"preflight", "-o=json"}, args...)...)
	answer := parseAnswer(t, got)
	byName := map[string]finding{}
	for _, f := range answer.Findings {
		key := f.Check + " " + f.Subject
		if _, twice := byName[key]; twice {
			t.Errorf("%s is told twice", key)
		}
		byName[key] = f
	}
	return byName, got
}
