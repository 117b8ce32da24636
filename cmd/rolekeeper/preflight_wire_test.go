package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// wire answers as the services do, in their wire formats, by operation: HEAD, or
// GET and the query, for S3. What it has no answer for is denied.
type wire map[string]answer

type answer struct {
	status int
	body   string
	header string // x-amzn-query-error
}

func (w wire) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	const identity = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		`<Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	denied := answer{http.StatusForbidden, `<Error><Code>AccessDenied</Code></Error>`, ""} // S3
	var operation string
	_, target, isJSON := strings.Cut(in.Header.Get("X-Amz-Target"), ".")
	switch {
	case isJSON:
		operation, denied = target, answer{http.StatusBadRequest, `{"__type":"AccessDeniedException"}`, ""}
	case in.Method == http.MethodPost:
		operation = in.PostFormValue("Action")
		denied = answer{http.StatusForbidden, `<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>`, ""}
	case in.Method == http.MethodHead:
		operation, denied.body = "HEAD", ""
	default:
		operation, _, _ = strings.Cut("GET "+in.URL.RawQuery, "&")
		operation, _, _ = strings.Cut(operation, "=")
	}
	a, ok := w[operation]
	switch {
	case operation == "GetCallerIdentity":
		a = answer{body: identity}
	case !ok:
		a = denied
	}
	if a.header != "" {
		out.Header().Set("x-amzn-query-error", a.header)
	}
	out.WriteHeader(cmp.Or(a.status, http.StatusOK))
	_, _ = fmt.Fprint(out, a.body)
}

// connected gives the account that the tool itself connects to, on this wire.
func (w wire) connected(t *testing.T) account {
	t.Helper()
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.environ(t, server.URL)
	a, err := connect(t.Context(), "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (wire) environ(t *testing.T, url string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_CA_BUNDLE": "",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "", "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
}

func TestAnswersAreReadAsAWSGivesThem(t *testing.T) {
	type call = func(t *testing.T, a account) (any, error)
	place := func(t *testing.T, a account) (any, error) { return a.bucketPlace(t.Context(), "mine") }
	parameter := func(t *testing.T, a account) (any, error) {
		value, there, err := a.parameter(t.Context(), "/a/b")
		return fmt.Sprint(there, " ", value), err
	}
	document := func(t *testing.T, a account) (any, error) {
		return a.policyDocument(t.Context(), "arn:aws:iam::111122223333:policy/P")
	}
	queue := func(t *testing.T, a account) (any, error) { return a.hasQueue(t.Context(), "q") }
	bucketPolicy := func(t *testing.T, a account) (any, error) { return a.bucketPolicy(t.Context(), "mine") }
	hasPolicy := func(t *testing.T, a account) (any, error) {
		return a.hasPolicy(t.Context(), "arn:aws:iam::111122223333:policy/P")
	}
	events := func(t *testing.T, a account) (any, error) {
		n, err := a.notifications(t.Context(), "mine")
		return compact(withoutNulls(n)), err
	}
	roles := func(t *testing.T, a account) (any, error) {
		all, err := a.allRoles(t.Context())
		if err != nil || len(all) != 1 {
			return len(all), err
		}
		return fmt.Sprint(*all[0].RoleName, " ", stackOf(&all[0]), " ", unbounded(all[0])), nil
	}
	trails := func(t *testing.T, a account) (any, error) {
		all, err := a.allTrails(t.Context())
		if err != nil || len(all) != 1 {
			return len(all), err
		}
		return a.logsWrites(t.Context(), all[0])
	}
	const policyAnswer = `<GetPolicyResponse><GetPolicyResult><Policy><DefaultVersionId>v1</DefaultVersionId></Policy></GetPolicyResult></GetPolicyResponse>`
	const list = `<ListAllMyBucketsResult><Buckets>%s</Buckets></ListAllMyBucketsResult>`
	const details = `<GetAccountAuthorizationDetailsResponse><GetAccountAuthorizationDetailsResult><IsTruncated>false</IsTruncated><RoleDetailList><member>` +
		`<RoleName>r</RoleName>%s<Tags><member><Key>aws:cloudformation:stack-name</Key><Value>s</Value></member></Tags></member></RoleDetailList>` +
		`</GetAccountAuthorizationDetailsResult></GetAccountAuthorizationDetailsResponse>`
	projects := func(t *testing.T, a account) (any, error) {
		all, err := a.allProjects(t.Context())
		return compact(strangers(all)), err
	}
	repositories := func(t *testing.T, a account) (any, error) {
		all, err := a.allRepositories(t.Context())
		return compact(strangers(all)), err
	}
	for name, c := range map[string]struct {
		wire wire
		call call
		want any    // nil for an error
		need string // the action that the error names
	}{
		"a bucket that is there":       {wire{"HEAD": {}}, place, bucketHere, ""},
		"a bucket that is not there":   {wire{"HEAD": {status: 404}}, place, bucketAbsent, ""},
		"a bucket elsewhere":           {wire{"HEAD": {status: 301}}, place, bucketElsewhere, ""},
		"a bucket of somebody else":    {wire{"GET prefix": {body: fmt.Sprintf(list, "")}}, place, bucketForeign, ""},
		"a bucket that one may not":    {wire{"GET prefix": {body: fmt.Sprintf(list, "<Bucket><Name>mine</Name></Bucket>")}}, place, nil, "s3:ListBucket"},
		"a bucket, and nothing may be": {wire{}, place, nil, "s3:ListAllMyBuckets"},
		"a bucket, and S3 is busy":     {wire{"HEAD": {status: 503}}, place, nil, "s3:ListBucket"},
		"a bucket and a bad request":   {wire{"HEAD": {status: 400}}, place, nil, "s3:ListBucket"},
		"a bucket's policy":            {wire{"GET policy": {body: `{"a":1}`}}, bucketPolicy, `{"a":1}`, ""},
		"a bucket without policy": {
			wire{"GET policy": {status: 404, body: `<Error><Code>NoSuchBucketPolicy</Code></Error>`}}, bucketPolicy, "", "",
		},
		"a bucket's policy, denied": {wire{}, bucketPolicy, nil, "s3:GetBucketPolicy"},
		"notifications that go to EventBridge": {
			wire{"GET notification": {body: `<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>`}}, events, `{"EventBridgeConfiguration":{}}`, "",
		},
		"no notifications":      {wire{"GET notification": {body: `<NotificationConfiguration/>`}}, events, `{}`, ""},
		"notifications, denied": {wire{}, events, nil, "s3:GetBucketNotification"},
		"a parameter":           {wire{"GetParameter": {body: `{"Parameter":{"Name":"/a/b","Value":"{}"}}`}}, parameter, "true {}", ""},
		"no parameter":          {wire{"GetParameter": {status: 400, body: `{"__type":"ParameterNotFound"}`}}, parameter, "false ", ""},
		"a parameter, denied":   {wire{}, parameter, nil, "ssm:GetParameter"},
		"a queue":               {wire{"GetQueueUrl": {body: `{"QueueUrl":"https://q"}`}}, queue, true, ""},
		"no queue": {wire{"GetQueueUrl": {
			status: 400, body: `{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}`, header: "AWS.SimpleQueueService.NonExistentQueue;Sender",
		}}, queue, false, ""},
		"a queue, denied": {wire{}, queue, nil, "sqs:GetQueueUrl"},
		"a policy":        {wire{"GetPolicy": {body: policyAnswer}}, hasPolicy, true, ""},
		"no policy": {
			wire{"GetPolicy": {status: 404, body: `<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>`}}, hasPolicy, false, "",
		},
		"a policy, denied": {wire{}, hasPolicy, nil, "iam:GetPolicy"},
		"a policy's document": {wire{
			"GetPolicy":        {body: policyAnswer},
			"GetPolicyVersion": {body: `<GetPolicyVersionResponse><GetPolicyVersionResult><PolicyVersion><Document>%7B%7D</Document></PolicyVersion></GetPolicyVersionResult></GetPolicyVersionResponse>`},
		}, document, "{}", ""},
		"a policy's document, denied": {wire{"GetPolicy": {body: policyAnswer}}, document, nil, "iam:GetPolicyVersion"},
		"a role":                      {wire{"GetAccountAuthorizationDetails": {body: fmt.Sprintf(details, "")}}, roles, "r s true", ""},
		"a role with a boundary": {wire{"GetAccountAuthorizationDetails": {
			body: fmt.Sprintf(details, "<PermissionsBoundary><PermissionsBoundaryArn>b</PermissionsBoundaryArn></PermissionsBoundary>"),
		}}, roles, "r s false", ""},
		"roles, denied": {wire{}, roles, nil, "iam:GetAccountAuthorizationDetails"},
		"a trail": {wire{
			"DescribeTrails":    {body: `{"trailList":[{"TrailARN":"arn","HomeRegion":"eu-west-1"}]}`},
			"GetTrailStatus":    {body: `{"IsLogging":true}`},
			"GetEventSelectors": {body: `{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]}]}`},
		}, trails, true, ""},
		"trails, denied": {wire{}, trails, nil, "cloudtrail:DescribeTrails"},
		"projects": {wire{
			"ListProjects": {body: `{"projects":["bedrock-agentcore-aa-builder","bedrock-agentcore-bb-builder","deploy"]}`},
			"BatchGetProjects": {body: `{"projects":[{"name":"bedrock-agentcore-aa-builder","created":1.7962776E9,"tags":[{"key":"rolekeeper:creation","value":"x"}]},
				{"name":"bedrock-agentcore-bb-builder","created":1.796277601E9}]}`},
		}, projects, `["bedrock-agentcore-bb-builder, made 2026-12-03T06:00:01Z"]`, ""},
		"no projects":           {wire{"ListProjects": {body: `{"projects":[]}`}}, projects, "null", ""},
		"projects, denied":      {wire{}, projects, nil, "codebuild:ListProjects"},
		"a look at one, denied": {wire{"ListProjects": {body: `{"projects":["bedrock-agentcore-aa-builder"]}`}}, projects, nil, "codebuild:BatchGetProjects"},
		"repositories": {wire{
			"DescribeRepositories": {body: `{"repositories":[{"repositoryName":"bedrock-agentcore-aa","repositoryArn":"arn","createdAt":1.7962776E9},{"repositoryName":"b"}]}`},
			"ListTagsForResource":  {body: `{"tags":[{"Key":"team","Value":"rolekeeper:creation"}]}`},
		}, repositories, `["bedrock-agentcore-aa, made 2026-12-03T06:00:00Z"]`, ""},
		"a repository of Rolekeeper's": {wire{
			"DescribeRepositories": {body: `{"repositories":[{"repositoryName":"bedrock-agentcore-aa","repositoryArn":"arn","createdAt":1.7962776E9}]}`},
			"ListTagsForResource":  {body: `{"tags":[{"Key":"rolekeeper:creation","Value":"x"}]}`},
		}, repositories, "null", ""},
		"a repository that is gone": {wire{
			"DescribeRepositories": {body: `{"repositories":[{"repositoryName":"bedrock-agentcore-aa","repositoryArn":"arn"}]}`},
			"ListTagsForResource":  {status: 400, body: `{"__type":"RepositoryNotFoundException"}`},
		}, repositories, "null", ""},
		"repositories, denied": {wire{}, repositories, nil, "ecr:DescribeRepositories"},
		"tags of one, denied": {wire{
			"DescribeRepositories": {body: `{"repositories":[{"repositoryName":"bedrock-agentcore-aa","repositoryArn":"arn"}]}`},
		}, repositories, nil, "ecr:ListTagsForResource"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.call(t, c.wire.connected(t))
			if c.want != nil {
				if err != nil || got != c.want {
					t.Errorf("%v, %v; want %v", got, err, c.want)
				}
				return
			}
			var u *unread
			if !errors.As(err, &u) || u.action != c.need {
				t.Errorf("%v, %v; want an error that names %s", got, err, c.need)
			}
		})
	}
}

func TestPreflightThroughTheSDK(t *testing.T) {
	server := httptest.NewServer(wire{})
	t.Cleanup(server.Close)
	wire{}.environ(t, server.URL)
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"preflight"}, strings.NewReader(""), &stdout, &stderr, os.Getenv)
	if code != exitError || !strings.Contains(stdout.String(), "\n0 bad, ") || !strings.Contains(stdout.String(), ", 0 ok\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}
