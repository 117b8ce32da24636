package configstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// ReadAPI is what a Reader calls of S3.
type ReadAPI interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
}

// Quiet keeps the SDK from writing a line for every object that its writer gave
// no checksum.
func Quiet(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true }

// Reader lists and reads objects of one bucket.
type Reader struct {
	api    ReadAPI
	bucket string
	owner  string // account that must own the bucket
}

// NewReader makes a reader of the bucket, which must belong to the account.
func NewReader(api ReadAPI, bucket, account string) *Reader { return &Reader{api, bucket, account} }

// MaxRead bounds what is read of an object in bytes; what is larger comes
// cut. It is above every size that is accepted.
const MaxRead = 1 << 20

// Get reads an object. fault.ErrNotFound says that there is none: S3 answers so
// only to readers that may list the bucket, to others it says 403.
func (r *Reader) Get(ctx context.Context, key string) (model.Object, error) {
	return r.GetUpTo(ctx, key, MaxRead)
}

// GetUpTo is Get for an object that may have more bytes than MaxRead.
func (r *Reader) GetUpTo(ctx context.Context, key string, most int64) (model.Object, error) {
	out, err := r.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &r.bucket, Key: &key, ExpectedBucketOwner: &r.owner})
	if err != nil {
		return model.Object{}, awserr.Wrap(err, "get s3://%s/%s", r.bucket, key)
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, most))
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return model.Object{}, fault.Errorf(fault.Retry, "read s3://%s/%s: %w", r.bucket, key, err)
	}
	return model.Object{
		Body:         body,
		ETag:         aws.ToString(out.ETag),
		VersionID:    aws.ToString(out.VersionId),
		LastModified: aws.ToTime(out.LastModified),
	}, nil
}

// List gives the keys under a prefix, in the order of their bytes.
func (r *Reader) List(ctx context.Context, prefix string) ([]string, error) {
	entries, err := r.Entries(ctx, prefix)
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys, err
}

// Entries gives what is listed of the objects under a prefix, in the order of
// the bytes of their keys. These come URL-encoded: keys may have characters that
// XML cannot hold (S3 API reference, ListObjectsV2, EncodingType). A listing that
// is cut short, or that goes round, is an error: what is not listed would be
// taken for absent.
func (r *Reader) Entries(ctx context.Context, prefix string) ([]model.Entry, error) {
	var all []model.Entry
	in := &s3.ListObjectsV2Input{Bucket: &r.bucket, Prefix: &prefix, ExpectedBucketOwner: &r.owner, EncodingType: types.EncodingTypeUrl}
	for seen := map[string]bool{}; ; {
		page, err := r.api.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, awserr.Wrap(err, "list s3://%s/%s", r.bucket, prefix)
		}
		for _, o := range page.Contents {
			key, err := url.QueryUnescape(aws.ToString(o.Key))
			if err != nil {
				return nil, fmt.Errorf("list s3://%s/%s: key %q: %w", r.bucket, prefix, aws.ToString(o.Key), err)
			}
			all = append(all, model.Entry{Key: key, Modified: aws.ToTime(o.LastModified)})
		}
		switch to := aws.ToString(page.NextContinuationToken); {
		case !aws.ToBool(page.IsTruncated):
			return all, nil
		case to == "":
			return nil, fmt.Errorf("list s3://%s/%s: the answer is cut short after %d keys", r.bucket, prefix, len(all))
		case seen[to]:
			return nil, fmt.Errorf("list s3://%s/%s: the answer goes round in a circle after %d keys", r.bucket, prefix, len(all))
		default:
			seen[to], in.ContinuationToken = true, &to
		}
	}
}
