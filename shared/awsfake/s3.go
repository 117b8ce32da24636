package awsfake

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what S3 makes ETags of
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

type bucket struct {
	objects map[string]object
	notify  []notification
	noList  map[string]bool // callers that may not list: they get 403 for what is missing
}

type object struct {
	body     []byte
	etag     string
	version  string
	modified time.Time
}

type notification struct{ prefix, queue string }

// S3 is the client of one caller.
type S3 struct {
	cloud  *Cloud
	caller string
}

// S3 gives the client of a caller.
func (c *Cloud) S3(caller string) *S3 { return &S3{c, caller} }

// AddBucket makes a versioned bucket.
func (c *Cloud) AddBucket(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buckets[name] = &bucket{objects: map[string]object{}, noList: map[string]bool{}}
}

// Notify sends the bucket's object events under a prefix to a queue, as a rule
// of EventBridge with that queue as target does.
func (c *Cloud) Notify(bucket, prefix, queueURL string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.buckets[bucket]
	b.notify = append(b.notify, notification{prefix, queueURL})
}

// DenyList takes s3:ListBucket from a caller.
func (c *Cloud) DenyList(bucket, caller string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buckets[bucket].noList[caller] = true
}

// Objects gives the objects under a prefix by key, without a call.
func (c *Cloud) Objects(bucket, prefix string) map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string][]byte{}
	for key, o := range c.buckets[bucket].objects {
		if strings.HasPrefix(key, prefix) {
			found[key] = slices.Clone(o.body)
		}
	}
	return found
}

func (s *S3) call(operation string, bucketName, key *string, owner *string, carryOut func(*bucket) error) error {
	c := s.cloud
	return c.call(s.caller, "s3", operation, aws.ToString(bucketName)+"/"+aws.ToString(key), func() error {
		b, ok := c.buckets[aws.ToString(bucketName)]
		if !ok {
			return &types.NoSuchBucket{}
		}
		if owner != nil && *owner != c.Account {
			return APIError("AccessDenied", "Access Denied")
		}
		if len(aws.ToString(key)) > 1024 {
			return APIError("KeyTooLongError", "Your key is too long")
		}
		return carryOut(b)
	})
}

// GetObject is s3:GetObject.
func (s *S3) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	var out s3.GetObjectOutput
	return &out, s.call("GetObject", in.Bucket, in.Key, in.ExpectedBucketOwner, func(b *bucket) error {
		o, ok := b.objects[*in.Key]
		if !ok {
			if b.noList[s.caller] {
				return APIError("AccessDenied", "Access Denied")
			}
			return &types.NoSuchKey{Message: aws.String("The specified key does not exist.")}
		}
		out.Body = io.NopCloser(bytes.NewReader(o.body))
		out.ContentLength = aws.Int64(int64(len(o.body)))
		out.ETag, out.VersionId, out.LastModified = aws.String(o.etag), aws.String(o.version), aws.Time(o.modified)
		return nil
	})
}

// PutObject is s3:PutObject, with its conditions.
func (s *S3) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	var out s3.PutObjectOutput
	return &out, s.call("PutObject", in.Bucket, in.Key, in.ExpectedBucketOwner, func(b *bucket) error {
		if err := condition(b, *in.Key, in.IfMatch, in.IfNoneMatch); err != nil {
			return err
		}
		sum := md5.Sum(body) //nolint:gosec // see above
		o := object{
			body: body, etag: `"` + hex.EncodeToString(sum[:]) + `"`,
			version: fmt.Sprintf("v%06d", s.cloud.next()), modified: s.cloud.now.Truncate(time.Second),
		}
		b.objects[*in.Key] = o
		out.ETag, out.VersionId = aws.String(o.etag), aws.String(o.version)
		return s.cloud.notify(b, *in.Bucket, *in.Key, "Object Created", "PutObject", o.version, int64(len(body)))
	})
}

// DeleteObject is s3:DeleteObject on a versioned bucket: it leaves a delete marker.
func (s *S3) DeleteObject(_ context.Context, in *s3.DeleteObjectInput, _ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	var out s3.DeleteObjectOutput
	return &out, s.call("DeleteObject", in.Bucket, in.Key, in.ExpectedBucketOwner, func(b *bucket) error {
		if err := condition(b, *in.Key, in.IfMatch, nil); err != nil {
			return err
		}
		delete(b.objects, *in.Key)
		out.DeleteMarker, out.VersionId = aws.Bool(true), aws.String(fmt.Sprintf("v%06d", s.cloud.next()))
		return s.cloud.notify(b, *in.Bucket, *in.Key, "Object Deleted", "DeleteObject", *out.VersionId, 0)
	})
}

// ListObjectsV2 is s3:ListObjectsV2, without delimiters.
func (s *S3) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	var out s3.ListObjectsV2Output
	return &out, s.call("ListObjectsV2", in.Bucket, in.Prefix, in.ExpectedBucketOwner, func(b *bucket) error {
		switch {
		case b.noList[s.caller]:
			return APIError("AccessDenied", "Access Denied")
		case in.Delimiter != nil:
			return APIError("NotImplemented", "this fake knows no delimiters")
		}
		const most = 1000
		size := most
		if in.MaxKeys != nil {
			size = min(max(int(*in.MaxKeys), 1), most)
		}
		after, last := aws.ToString(in.StartAfter), ""
		shown := func(key string) *string { return &key }
		if in.EncodingType == types.EncodingTypeUrl {
			out.EncodingType = in.EncodingType
			shown = func(key string) *string { return aws.String(strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")) }
		}
		if in.ContinuationToken != nil {
			last, err := hex.DecodeString(*in.ContinuationToken)
			if err != nil {
				return APIError("InvalidArgument", "The continuation token provided is incorrect")
			}
			after = string(last)
		}
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if !strings.HasPrefix(key, aws.ToString(in.Prefix)) || key <= after {
				continue
			}
			if len(out.Contents) == size {
				out.IsTruncated, out.NextContinuationToken = aws.Bool(true), aws.String(hex.EncodeToString([]byte(last)))
				break
			}
			last = key
			o := b.objects[key]
			out.Contents = append(out.Contents, types.Object{
				Key: shown(key), ETag: aws.String(o.etag), Size: aws.Int64(int64(len(o.body))), LastModified: aws.Time(o.modified),
			})
		}
		out.KeyCount = aws.Int32(int32(len(out.Contents))) //nolint:gosec // at most 1,000
		return nil
	})
}

func condition(b *bucket, key string, ifMatch, ifNoneMatch *string) error {
	o, there := b.objects[key]
	failed := APIError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	switch {
	case ifNoneMatch != nil && *ifNoneMatch != "*":
		return APIError("NotImplemented", "If-None-Match takes only *")
	case ifNoneMatch != nil && there:
		return failed
	case ifMatch != nil && !there:
		return &types.NoSuchKey{Message: aws.String("The specified key does not exist.")}
	case ifMatch != nil && *ifMatch != o.etag:
		return failed
	}
	return nil
}

// notify puts S3's event on the queues that the bucket's events lead to.
func (c *Cloud) notify(b *bucket, bucketName, key, detailType, reason, version string, size int64) error {
	for _, n := range b.notify {
		if !strings.HasPrefix(key, n.prefix) {
			continue
		}
		event := map[string]any{
			"version": "0", "id": fmt.Sprintf("event-%06d", c.next()), "detail-type": detailType, "source": "aws.s3",
			"account": c.Account, "region": c.Region, "time": c.now.Format(time.RFC3339), "resources": []string{"arn:aws:s3:::" + bucketName},
			"detail": map[string]any{
				"version": "0", "bucket": map[string]any{"name": bucketName}, "reason": reason, "requester": c.Account,
				"object": map[string]any{"key": key, "size": size, "version-id": version, "sequencer": fmt.Sprintf("%018X", c.next())},
			},
		}
		body, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("encode S3 event: %w", err)
		}
		q, ok := c.queues[n.queue]
		if !ok {
			return fmt.Errorf("no queue %s", n.queue)
		}
		q.add(c, message{body: string(body)})
	}
	return nil
}
