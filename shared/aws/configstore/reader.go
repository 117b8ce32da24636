package configstore

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/model"
)

// ReadAPI is what a Reader calls of S3.
type ReadAPI interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
}

// Reader lists and reads objects of one bucket, for those who may not write.
type Reader struct {
	api    ReadAPI
	bucket string
	owner  string // account that must own the bucket
}

// NewReader makes a reader of the bucket, which must belong to the account.
func NewReader(api ReadAPI, bucket, account string) *Reader { return &Reader{api, bucket, account} }

// Get reads an object as Client.Get does.
func (r *Reader) Get(ctx context.Context, key string) (model.Object, error) {
	return get(ctx, r.api.GetObject, r.bucket, r.owner, key)
}

// List gives the keys under a prefix, in the order of their bytes.
func (r *Reader) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(r.api, &s3.ListObjectsV2Input{
		Bucket: &r.bucket, Prefix: &prefix, ExpectedBucketOwner: &r.owner,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awserr.Wrap(err, "list s3://%s/%s", r.bucket, prefix)
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys, nil
}
