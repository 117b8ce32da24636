// Package sourcebucket reads the sources of agents: which version of an object
// there is and whether it can be one. It reads four bytes of a source, however
// large it is.
package sourcebucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// API is what is called of S3. GetObject of a version needs s3:GetObjectVersion;
// absence is told only to who may list the bucket, to others S3 says 403.
type API interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error)
}

// Reader reads sources of one bucket.
type Reader struct {
	api    API
	bucket string
	owner  string // account that must own the bucket
}

// New makes a reader of the bucket, which must belong to the account.
func New(api API, bucket, account string) *Reader { return &Reader{api, bucket, account} }

// Source gives the newest version of an object, in one call. Of one that was
// deleted or has expired it gives the version that is known, if that is still
// there; known may be empty. fault.ErrNotFound says that there is neither,
// fault.ErrDenied that it may not be read.
func (r *Reader) Source(ctx context.Context, key, known string) (model.Source, error) {
	s, err := r.look(ctx, key, nil)
	if known != "" && errors.Is(err, fault.ErrNotFound) {
		return r.look(ctx, key, &known)
	}
	return s, err
}

// entry is what a zip with entries begins with (PKWARE, APPNOTE.TXT 4.3.7).
const entry = "PK\x03\x04"

func (r *Reader) look(ctx context.Context, key string, version *string) (model.Source, error) {
	name := "s3://" + r.bucket + "/" + key
	if version != nil {
		name += " of version " + *version
	}
	in := &s3.GetObjectInput{
		Bucket: &r.bucket, Key: &key, VersionId: version, ExpectedBucketOwner: &r.owner,
		Range: aws.String(fmt.Sprintf("bytes=0-%d", len(entry)-1)),
	}
	out, err := r.api.GetObject(ctx, in)
	if awserr.OutOfRange(err) { // an empty object has no byte to give
		in.Range = nil
		out, err = r.api.GetObject(ctx, in)
	}
	if err != nil {
		return model.Source{}, awserr.Wrap(err, "get %s", name)
	}
	start, err := io.ReadAll(io.LimitReader(out.Body, int64(len(entry))))
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return model.Source{}, fault.Errorf(fault.Retry, "read %s: %w", name, err)
	}
	s := model.Source{Version: aws.ToString(out.VersionId), Size: aws.ToInt64(out.ContentLength), Zip: string(start) == entry}
	if s.Version == "null" { // written while the bucket kept no versions (S3 user guide, "Working with objects in a versioning-suspended bucket")
		s.Version = ""
	}
	if out.ContentRange != nil { // then the length is that of the range
		if s.Size, err = whole(*out.ContentRange); err != nil {
			return model.Source{}, fmt.Errorf("get %s: %w", name, err)
		}
	}
	return s, nil
}

// whole gives the length of an object in bytes by the Content-Range of a part:
// "bytes 0-3/1234" (RFC 9110, 14.4).
func whole(contentRange string) (int64, error) {
	_, size, _ := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("Content-Range %.100q names no length", contentRange)
	}
	return n, nil
}

// Notifies reports whether the bucket sends its events to EventBridge.
func (r *Reader) Notifies(ctx context.Context) (bool, error) {
	out, err := r.api.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &r.bucket, ExpectedBucketOwner: &r.owner})
	if err != nil {
		return false, awserr.Wrap(err, "get notifications of bucket %s", r.bucket)
	}
	return out.EventBridgeConfiguration != nil, nil
}
