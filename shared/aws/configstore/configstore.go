// Package configstore reads and writes the objects of the config bucket. Every
// write but that of reports is conditional, so that nobody overwrites what he has
// not read.
package configstore

import (
	"bytes"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/fault"
)

// API is what is called of S3.
type API interface {
	ReadAPI
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	DeleteObject(context.Context, *s3.DeleteObjectInput, ...func(*s3.Options)) (*s3.DeleteObjectOutput, error)
}

// Client reads and writes objects of one bucket.
type Client struct {
	*Reader
	api API
}

// New makes a client for the bucket, which must belong to the account.
func New(api API, bucket, account string) *Client {
	return &Client{NewReader(api, bucket, account), api}
}

// Create writes an object that must not exist; fault.ErrConflict says that it does.
func (c *Client) Create(ctx context.Context, key string, body []byte) (etag string, err error) {
	in := c.put(key, body)
	in.IfNoneMatch = aws.String("*")
	return c.write(ctx, in)
}

// Replace writes an object over the one with the ETag; fault.ErrConflict says
// that it is not there any more.
func (c *Client) Replace(ctx context.Context, key string, body []byte, etag string) (newETag string, err error) {
	in := c.put(key, body)
	in.IfMatch = &etag
	return c.write(ctx, in)
}

// Put writes a report, whatever is there: of two that are written at the same time
// the last one stays. Nothing is decided by it.
func (c *Client) Put(ctx context.Context, key, contentType string, body []byte) error {
	in := c.put(key, body)
	in.ContentType = &contentType
	_, err := c.write(ctx, in)
	return err
}

func (c *Client) put(key string, body []byte) *s3.PutObjectInput {
	contentType := "application/json" // all but reports
	return &s3.PutObjectInput{
		Bucket: &c.bucket, Key: &key, Body: bytes.NewReader(body), ContentType: &contentType, ExpectedBucketOwner: &c.owner,
	}
}

func (c *Client) write(ctx context.Context, in *s3.PutObjectInput) (string, error) {
	out, err := c.api.PutObject(ctx, in)
	if err != nil {
		return "", gone(awserr.Wrap(err, "put s3://%s/%s", c.bucket, *in.Key))
	}
	return aws.ToString(out.ETag), nil
}

// Delete deletes the object with the ETag; fault.ErrConflict says that it is
// not there any more.
func (c *Client) Delete(ctx context.Context, key, etag string) error {
	_, err := c.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &c.bucket, Key: &key, IfMatch: &etag, ExpectedBucketOwner: &c.owner})
	return gone(awserr.Wrap(err, "delete s3://%s/%s", c.bucket, key))
}

// gone turns the 404 with which S3 answers If-Match on a missing object into
// the conflict it is (S3 user guide, "Conditional writes").
func gone(err error) error {
	if errors.Is(err, fault.ErrNotFound) {
		return fault.Errorf(fault.Retry, "%w: %w", fault.ErrConflict, errors.Unwrap(err))
	}
	return err
}
