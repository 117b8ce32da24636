// Package awserr says what an error of AWS means. Codes of AWS appear here and
// nowhere else.
package awserr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"rolekeeper/shared/fault"
)

// meaning tells what a code means beyond being an error.
type meaning struct {
	class fault.Class
	is    error // sentinel that the error is, if any
}

// codes holds the codes that mean something; throttling codes are the SDK's own
// list. A 404 without one of these codes is not absence: HEAD answers so for a
// missing bucket, too.
func codes() map[string]meaning {
	return map[string]meaning{
		// IAM API reference, "Errors" of the operations used.
		"NoSuchEntity":           {fault.Unknown, fault.ErrNotFound},
		"EntityAlreadyExists":    {fault.Retry, fault.ErrExists},   // a lost response, or a read that lagged: look again
		"DeleteConflict":         {fault.Retry, fault.ErrConflict}, // of a role: it has policies, or is in an instance profile
		"ConcurrentModification": {fault.Retry, nil},
		"ServiceFailure":         {fault.Retry, nil},

		// S3 API reference, "List of error codes"; user guide, "Conditional writes".
		"NoSuchKey":                  {fault.Unknown, fault.ErrNotFound},
		"NoSuchVersion":              {fault.Unknown, fault.ErrNotFound}, // of an object, where one is named
		"PreconditionFailed":         {fault.Retry, fault.ErrConflict},
		"ConditionalRequestConflict": {fault.Retry, nil}, // 409: somebody is writing just now; whether they do is not said
		"OperationAborted":           {fault.Retry, nil}, // 409: another operation on the object is under way
		"InternalError":              {fault.Retry, nil},
		"ServiceUnavailable":         {fault.Retry, nil},
		"RequestTimeout":             {fault.Retry, nil},

		// What keeps an object that is there from being read: a policy, its key (also
		// one that the caller would have to send), its storage class.
		"AccessDenied":                 {fault.Unknown, fault.ErrDenied},
		"InvalidObjectState":           {fault.Unknown, fault.ErrDenied},
		"InvalidRequest":               {fault.Unknown, fault.ErrDenied},
		"KMS.DisabledException":        {fault.Unknown, fault.ErrDenied},
		"KMS.KMSInvalidStateException": {fault.Unknown, fault.ErrDenied},
		"KMS.NotFoundException":        {fault.Unknown, fault.ErrDenied},

		// Systems Manager API reference, "GetParameter".
		"ParameterNotFound": {fault.Unknown, fault.ErrNotFound},

		// ECR API reference, "Errors" of the operations used.
		"RepositoryNotFoundException":      {fault.Unknown, fault.ErrNotFound},
		"ImageNotFoundException":           {fault.Unknown, fault.ErrNotFound},
		"RepositoryAlreadyExistsException": {fault.Retry, fault.ErrExists}, // as EntityAlreadyExists
		"ServerException":                  {fault.Retry, nil},

		// ECR, CloudWatch Logs: a quota of the account. The SDK takes it for throttling.
		"LimitExceededException": {fault.Retry, fault.ErrLimit},

		// CloudWatch Logs API reference, "Errors" of the operations used.
		"ResourceAlreadyExistsException": {fault.Retry, fault.ErrExists},
		"ResourceNotFoundException":      {fault.Unknown, fault.ErrNotFound},
		"OperationAbortedException":      {fault.Retry, nil}, // somebody changes the same log group just now
		"ServiceUnavailableException":    {fault.Retry, nil},

		// CodeBuild API reference, "Errors" of the operations used; it has those of
		// CloudWatch Logs about resources, too.
		"AccountLimitExceededException": {fault.Retry, fault.ErrLimit},

		// AgentCore control plane API reference, "Errors" of the operations used; it
		// has ResourceNotFoundException, too.
		"ConflictException":             {fault.Retry, nil},
		"InternalServerException":       {fault.Retry, nil},
		"ServiceException":              {fault.Retry, nil}, // of memories, in place of the last
		"ServiceQuotaExceededException": {fault.Retry, fault.ErrLimit},

		// EventBridge and SQS API references, "Common errors".
		"InternalException":    {fault.Retry, nil},
		"InternalFailure":      {fault.Retry, nil},
		"KmsThrottled":         {fault.Retry, nil},
		"OverLimit":            {fault.Retry, nil},
		"InternalServiceError": {fault.Retry, nil},
	}
}

// Wrap adds what was being done to an error of AWS and classifies it. It gives
// nil for nil.
func Wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	m := of(err)
	doing := fmt.Sprintf(format, args...)
	if m.is != nil {
		return fault.Errorf(m.class, "%s: %w: %w", doing, m.is, err)
	}
	return fault.Errorf(m.class, "%s: %w", doing, err)
}

// OutOfRange reports whether S3 says that an object has no byte in the range
// that was asked for (S3 API reference, "List of error codes": InvalidRange).
func OutOfRange(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "InvalidRange"
}

// Unsettled takes a "not found" about what was just seen or made for what it is:
// the service has not caught up, or somebody deletes it meanwhile. Neither is
// absence; both want another look.
func Unsettled(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return fault.Errorf(fault.Retry, "not there yet, or not any more: %s", err)
	}
	return err
}

func of(err error) meaning {
	var api smithy.APIError
	if errors.As(err, &api) {
		if m, ok := codes()[api.ErrorCode()]; ok {
			return m
		}
		if unassumable(api) {
			return meaning{class: fault.Retry}
		}
		if _, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; throttled {
			return meaning{class: fault.Retry}
		}
	}
	// The SDK wraps a request that got no answer in a ResponseError, too: of status 0.
	var response *awshttp.ResponseError
	if errors.As(err, &response) && (response.HTTPStatusCode() >= http.StatusInternalServerError || response.HTTPStatusCode() == http.StatusTooManyRequests) {
		return meaning{class: fault.Retry}
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return meaning{class: fault.Retry}
	}
	return meaning{class: fault.Unknown}
}

// unassumable reports whether CodeBuild cannot assume a role, as it answers for
// one that was just made ("Troubleshooting AWS CodeBuild", user guide). Its code
// is that of every bad input, so the message has to tell. It says the same of a
// role that is gone or trusts somebody else: looking again finds that, too.
func unassumable(err smithy.APIError) bool {
	return err.ErrorCode() == "InvalidInputException" && strings.Contains(err.ErrorMessage(), "not authorized to perform: sts:AssumeRole")
}
