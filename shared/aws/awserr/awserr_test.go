package awserr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	codebuildtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
)

// check holds the meaning of an error, bare and wrapped as the SDK wraps it.
func check(t *testing.T, err error, class fault.Class, is error) {
	t.Helper()
	for _, err := range []error{err, &smithy.OperationError{ServiceID: "S", OperationName: "O", Err: err}, fmt.Errorf("more: %w", err)} {
		got := awserr.Wrap(err, "do %s", "this")
		if fault.Of(got) != class {
			t.Errorf("class %q, want %q: %v", fault.Of(got), class, got)
		}
		for _, sentinel := range []error{fault.ErrNotFound, fault.ErrExists, fault.ErrConflict, fault.ErrLimit} {
			if errors.Is(got, sentinel) != errors.Is(is, sentinel) {
				t.Errorf("is %q: %v, want %v alone: %v", sentinel, errors.Is(got, sentinel), is, got)
			}
		}
		if !errors.Is(got, err) {
			t.Errorf("%v has lost its cause", got)
		}
	}
}

func status(code int, cause error) error {
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: code}}, Err: cause},
		RequestID:     "id",
	}
}

func TestCodesSayWhatAnErrorMeans(t *testing.T) {
	cases := map[string]struct {
		class fault.Class
		is    error
	}{
		"NoSuchEntity":               {fault.Unknown, fault.ErrNotFound},
		"NoSuchKey":                  {fault.Unknown, fault.ErrNotFound},
		"EntityAlreadyExists":        {fault.Retry, fault.ErrExists},
		"PreconditionFailed":         {fault.Retry, fault.ErrConflict},
		"ConditionalRequestConflict": {fault.Retry, nil},
		"OperationAborted":           {fault.Retry, nil},
		"DeleteConflict":             {fault.Retry, fault.ErrConflict},
		"ConcurrentModification":     {fault.Retry, nil},
		"ServiceFailure":             {fault.Retry, nil},
		"InternalError":              {fault.Retry, nil},
		"InternalException":          {fault.Retry, nil},
		"InternalFailure":            {fault.Retry, nil},
		"InternalServiceError":       {fault.Retry, nil},
		"ServiceUnavailable":         {fault.Retry, nil},
		"RequestTimeout":             {fault.Retry, nil},
		"KmsThrottled":               {fault.Retry, nil},
		"OverLimit":                  {fault.Retry, nil},
		"NoSuchVersion":              {fault.Unknown, fault.ErrNotFound},

		"RepositoryNotFoundException":      {fault.Unknown, fault.ErrNotFound},
		"AccountLimitExceededException":    {fault.Retry, fault.ErrLimit},
		"InvalidInputException":            {fault.Unknown, nil},
		"ImageNotFoundException":           {fault.Unknown, fault.ErrNotFound},
		"RepositoryAlreadyExistsException": {fault.Retry, fault.ErrExists},
		"ServerException":                  {fault.Retry, nil},
		"ResourceAlreadyExistsException":   {fault.Retry, fault.ErrExists},
		"ResourceNotFoundException":        {fault.Unknown, fault.ErrNotFound},
		"OperationAbortedException":        {fault.Retry, nil},
		"ServiceUnavailableException":      {fault.Retry, nil},
		"ConflictException":                {fault.Retry, nil},
		"InternalServerException":          {fault.Retry, nil},
		"ServiceException":                 {fault.Retry, nil},
		"ServiceQuotaExceededException":    {fault.Retry, fault.ErrLimit},

		// What only looks like absence or like throttling.
		"NoSuchBucket":      {fault.Unknown, nil},
		"NotFound":          {fault.Unknown, nil}, // any HEAD that ends in 404
		"InvalidRange":      {fault.Unknown, nil},
		"QueueDoesNotExist": {fault.Unknown, nil},
		"AWS.SimpleQueueService.NonExistentQueue": {fault.Unknown, nil},
		"LimitExceeded":           {fault.Unknown, nil}, // a quota of IAM, which time does not mend
		"AccessDenied":            {fault.Unknown, nil},
		"AccessDeniedException":   {fault.Unknown, nil},
		"MalformedPolicyDocument": {fault.Unknown, nil},
		"InvalidInput":            {fault.Unknown, nil},
		"UnmodifiableEntity":      {fault.Unknown, nil},
		"ValidationError":         {fault.Unknown, nil},
		"ValidationException":     {fault.Unknown, nil},
		"UnauthorizedException":   {fault.Unknown, nil},

		// What a Region that is not enabled answers, and EC2 to who may not.
		"UnrecognizedClientException": {fault.Unknown, nil},
		"AuthFailure":                 {fault.Unknown, nil},
		"UnauthorizedOperation":       {fault.Unknown, nil},
		"":                            {fault.Unknown, nil},
	}
	for code := range retry.DefaultThrottleErrorCodes {
		cases[code] = struct {
			class fault.Class
			is    error
		}{fault.Retry, nil}
	}
	limit := cases["LimitExceededException"] // of ECR and CloudWatch Logs; the SDK takes it for throttling
	limit.is = fault.ErrLimit
	cases["LimitExceededException"] = limit
	for code, want := range cases {
		t.Run(code, func(t *testing.T) {
			api := &smithy.GenericAPIError{Code: code, Message: "m"}
			check(t, api, want.class, want.is)
			check(t, status(http.StatusBadRequest, api), want.class, want.is)
		})
	}
}

// CodeBuild has one code for all bad input; of a new role its message tells.
func TestARoleThatCodeBuildCannotAssumeYetIsRetried(t *testing.T) {
	const message = "CodeBuild is not authorized to perform: sts:AssumeRole on arn:aws:iam::123456789012:role/builder"
	check(t, &codebuildtypes.InvalidInputException{Message: aws.String(message)}, fault.Retry, nil)
	check(t, status(http.StatusBadRequest, &codebuildtypes.InvalidInputException{Message: aws.String(message)}), fault.Retry, nil)
	check(t, &codebuildtypes.InvalidInputException{Message: aws.String("Invalid service role: Service role account ID does not match caller's account")}, fault.Unknown, nil)
	check(t, &codebuildtypes.InvalidInputException{}, fault.Unknown, nil)
	check(t, &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized to perform: sts:AssumeRole"}, fault.Unknown, nil)
}

func TestTypedErrorsOfTheSDKHaveTheirCodes(t *testing.T) {
	check(t, &codebuildtypes.ResourceAlreadyExistsException{}, fault.Retry, fault.ErrExists)
	check(t, &codebuildtypes.ResourceNotFoundException{}, fault.Unknown, fault.ErrNotFound)
	check(t, &codebuildtypes.AccountLimitExceededException{}, fault.Retry, fault.ErrLimit)
	check(t, &codebuildtypes.AccountSuspendedException{}, fault.Unknown, nil)
	check(t, &iamtypes.NoSuchEntityException{}, fault.Unknown, fault.ErrNotFound)
	check(t, &iamtypes.EntityAlreadyExistsException{}, fault.Retry, fault.ErrExists)
	check(t, &iamtypes.DeleteConflictException{}, fault.Retry, fault.ErrConflict)
	check(t, &iamtypes.ConcurrentModificationException{}, fault.Retry, nil)
	check(t, &iamtypes.ServiceFailureException{}, fault.Retry, nil)
	check(t, &iamtypes.LimitExceededException{}, fault.Unknown, nil)
	check(t, &s3types.NoSuchKey{}, fault.Unknown, fault.ErrNotFound)
	check(t, &s3types.NoSuchBucket{}, fault.Unknown, nil)
	check(t, &s3types.NotFound{}, fault.Unknown, nil)
	check(t, &ecrtypes.RepositoryNotFoundException{}, fault.Unknown, fault.ErrNotFound)
	check(t, &ecrtypes.ImageNotFoundException{}, fault.Unknown, fault.ErrNotFound)
	check(t, &ecrtypes.RepositoryAlreadyExistsException{}, fault.Retry, fault.ErrExists)
	check(t, &ecrtypes.LimitExceededException{}, fault.Retry, fault.ErrLimit)
	check(t, &ecrtypes.ServerException{}, fault.Retry, nil)
	check(t, &ecrtypes.RepositoryPolicyNotFoundException{}, fault.Unknown, nil)
	check(t, &ecrtypes.TooManyTagsException{}, fault.Unknown, nil)
	check(t, &logstypes.ResourceAlreadyExistsException{}, fault.Retry, fault.ErrExists)
	check(t, &logstypes.ResourceNotFoundException{}, fault.Unknown, fault.ErrNotFound)
	check(t, &logstypes.OperationAbortedException{}, fault.Retry, nil)
	check(t, &logstypes.LimitExceededException{}, fault.Retry, fault.ErrLimit)
	check(t, &logstypes.ServiceUnavailableException{}, fault.Retry, nil)
}

func TestARangeWithoutAByteIsTold(t *testing.T) {
	outOfRange := &smithy.GenericAPIError{Code: "InvalidRange"}
	for _, err := range []error{outOfRange, status(http.StatusRequestedRangeNotSatisfiable, outOfRange)} {
		if !awserr.OutOfRange(err) {
			t.Errorf("not told: %v", err)
		}
	}
	for _, err := range []error{nil, io.EOF, &s3types.NoSuchKey{}, status(http.StatusRequestedRangeNotSatisfiable, errors.New("of a proxy"))} {
		if awserr.OutOfRange(err) {
			t.Errorf("told of %v", err)
		}
	}
}

func TestAStatusWithoutAKnownCodeIsRetriedOnlyWhenTimeMendsIt(t *testing.T) {
	retried := []int{429, 500, 501, 502, 503, 504}
	for _, code := range []int{200, 301, 307, 400, 401, 403, 404, 405, 409, 412, 429, 500, 501, 502, 503, 504} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			class := fault.Unknown
			if slices.Contains(retried, code) {
				class = fault.Retry
			}
			check(t, status(code, errors.New("not decoded")), class, nil)
			check(t, status(code, &smithy.GenericAPIError{Code: "Unheard"}), class, nil)
		})
	}
}

func TestTroubleOnTheWayIsRetried(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for name, err := range map[string]error{
		"a connection that is reset":        reset,
		"one that is refused":               &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
		"a name that is not resolved":       &net.DNSError{Err: "server misbehaving", Name: "iam.amazonaws.com"},
		"an answer that breaks off":         io.ErrUnexpectedEOF,
		"a connection that ends unanswered": &url.Error{Op: "Post", URL: "https://iam.amazonaws.com", Err: io.EOF},
		"a deadline":                        context.DeadlineExceeded,
		"a canceled request":                &aws.RequestCanceledError{Err: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, err, fault.Retry, nil)
			check(t, status(0, &smithyhttp.RequestSendError{Err: err}), fault.Retry, nil)
			check(t, status(200, &smithy.DeserializationError{Err: err}), fault.Retry, nil)
		})
	}
	check(t, errors.New("anything else"), fault.Unknown, nil)
}

func TestNoErrorStaysNone(t *testing.T) {
	if err := awserr.Wrap(nil, "do this"); err != nil {
		t.Error(err)
	}
}

// The SDK's own clients, on a server that misbehaves: how they wrap an error is
// theirs to decide.
func TestErrorsAsTheSDKDeliversThem(t *testing.T) {
	body := func(code int, contentType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
		}
	}
	hangUp := func(reset bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	}
	breakOff := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `<GetRoleResponse><GetRoleResult><Role><RoleName>x`)
	}
	slow := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the caller hangs up
		<-r.Context().Done()
	}
	const iamError = `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>`
	const s3Error = `<Error><Code>%s</Code><Message>m</Message><RequestId>r</RequestId></Error>`
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		call    string
		class   fault.Class
		is      error
		timeout time.Duration
	}{
		"IAM: no such role":                  {body(404, "text/xml", fmt.Sprintf(iamError, "NoSuchEntity")), "iam", fault.Unknown, fault.ErrNotFound, 0},
		"IAM: throttled":                     {body(400, "text/xml", fmt.Sprintf(iamError, "Throttling")), "iam", fault.Retry, nil, 0},
		"IAM: denied":                        {body(403, "text/xml", fmt.Sprintf(iamError, "AccessDenied")), "iam", fault.Unknown, nil, 0},
		"IAM: 404 of something else":         {body(404, "text/html", "<html>not here</html>"), "iam", fault.Unknown, nil, 0},
		"IAM: 503 of something else":         {body(503, "text/html", "<html>busy</html>"), "iam", fault.Retry, nil, 0},
		"IAM: reset":                         {hangUp(true), "iam", fault.Retry, nil, 0},
		"IAM: closed":                        {hangUp(false), "iam", fault.Retry, nil, 0},
		"IAM: broken off":                    {breakOff, "iam", fault.Retry, nil, 0},
		"IAM: too slow":                      {slow, "iam", fault.Retry, nil, 20 * time.Millisecond},
		"S3: no such key":                    {body(404, "application/xml", fmt.Sprintf(s3Error, "NoSuchKey")), "s3", fault.Unknown, fault.ErrNotFound, 0},
		"S3: no such bucket":                 {body(404, "application/xml", fmt.Sprintf(s3Error, "NoSuchBucket")), "s3", fault.Unknown, nil, 0},
		"S3: 404 without body":               {body(404, "application/xml", ""), "s3", fault.Unknown, nil, 0},
		"S3: HEAD that ends in 404":          {body(404, "application/xml", ""), "head", fault.Unknown, nil, 0},
		"S3: condition that did not hold":    {body(412, "application/xml", fmt.Sprintf(s3Error, "PreconditionFailed")), "s3", fault.Retry, fault.ErrConflict, 0},
		"S3: conflict of conditional writes": {body(409, "application/xml", fmt.Sprintf(s3Error, "ConditionalRequestConflict")), "s3", fault.Retry, nil, 0},
		"S3: slow down":                      {body(503, "application/xml", fmt.Sprintf(s3Error, "SlowDown")), "s3", fault.Retry, nil, 0},
		"S3: denied":                         {body(403, "application/xml", fmt.Sprintf(s3Error, "AccessDenied")), "s3", fault.Unknown, nil, 0},
		"S3: reset":                          {hangUp(true), "s3", fault.Retry, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			t.Cleanup(server.CloseClientConnections)
			cfg := aws.Config{
				Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
				Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			}
			ctx := t.Context()
			if c.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.timeout)
				defer cancel()
			}
			var err error
			switch c.call {
			case "iam":
				_, err = iam.NewFromConfig(cfg).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("x")})
			case "s3":
				_, err = s3.NewFromConfig(cfg).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("x")})
			case "head":
				_, err = s3.NewFromConfig(cfg).HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
			}
			if err == nil {
				t.Fatal("no error")
			}
			check(t, err, c.class, c.is)
		})
	}
}

func TestWhatWasJustSeenIsNotAbsent(t *testing.T) {
	missing := awserr.Wrap(&smithy.GenericAPIError{Code: "NoSuchEntity"}, "get role r")
	if err := awserr.Unsettled(missing); fault.Of(err) != fault.Retry || errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "get role r") {
		t.Errorf("class %q: %v", fault.Of(err), err)
	}
	other := errors.New("other")
	for _, err := range []error{nil, other} {
		if got := awserr.Unsettled(err); got != err { //nolint:errorlint // the very same
			t.Errorf("%v became %v", err, got)
		}
	}
}
