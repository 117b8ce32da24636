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
	versions    map[string][]object // by key, oldest first
	versioning  versioning
	eventBridge bool // events are sent
	notify      []notification
	noList      map[string]bool // callers that may not list: they get 403 for what is missing
}

// versioning is a bucket's state of versioning: once on it is never quite off
// again (S3 user guide, "How S3 Versioning works").
type versioning int

const (
	unversioned versioning = iota
	versioned
	suspended
)

// nullVersion is the version of what is written while no versions are kept.
const nullVersion = "null"

type object struct {
	body     []byte
	etag     string
	version  string
	modified time.Time
	marker   bool // a delete marker
}

type notification struct{ prefix, suffix, queue string }

func (b *bucket) clone() *bucket {
	out := *b
	out.notify, out.noList, out.versions = slices.Clone(b.notify), maps.Clone(b.noList), map[string][]object{}
	for key, all := range b.versions {
		out.versions[key] = slices.Clone(all)
	}
	return &out
}

// current gives the object of a key, if there is one.
func (b *bucket) current(key string) (object, bool) {
	all := b.versions[key]
	if len(all) == 0 || all[len(all)-1].marker {
		return object{}, false
	}
	return all[len(all)-1], true
}

// add makes an object, or a delete marker, the newest version of a key.
func (b *bucket) add(c *Cloud, key string, o object) object {
	o.version, o.modified = nullVersion, c.now.Truncate(time.Second)
	if b.versioning == versioned {
		o.version = fmt.Sprintf("v%06d", c.next())
	} else {
		b.remove(key, nullVersion)
	}
	b.versions[key] = append(b.versions[key], o)
	return o
}

func (b *bucket) remove(key, version string) {
	b.versions[key] = slices.DeleteFunc(b.versions[key], func(o object) bool { return o.version == version })
}

// told is a version as answers tell it: not at all while there never were any.
func (b *bucket) told(version string) *string {
	if b.versioning == unversioned {
		return nil
	}
	return &version
}

// S3 is the client of one caller.
type S3 struct {
	cloud  *Cloud
	caller string
}

// S3 gives the client of a caller.
func (c *Cloud) S3(caller string) *S3 { return &S3{c, caller} }

// AddBucket makes a versioned bucket that sends its events to EventBridge.
func (c *Cloud) AddBucket(name string) { c.addBucket(name, versioned) }

// AddUnversionedBucket makes a bucket that never kept versions; it sends its
// events to EventBridge.
func (c *Cloud) AddUnversionedBucket(name string) { c.addBucket(name, unversioned) }

func (c *Cloud) addBucket(name string, v versioning) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buckets[name] = &bucket{versions: map[string][]object{}, versioning: v, eventBridge: true, noList: map[string]bool{}}
}

// SetVersioning turns versioning on, or suspends it where it is on.
func (c *Cloud) SetVersioning(bucket string, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch b := c.buckets[bucket]; {
	case on:
		b.versioning = versioned
	case b.versioning == versioned:
		b.versioning = suspended
	}
}

// SetEventBridge says whether the bucket sends its events to EventBridge.
func (c *Cloud) SetEventBridge(bucket string, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buckets[bucket].eventBridge = on
}

// Notify sends the bucket's object events under a prefix to a queue, as a rule
// of EventBridge with that queue as target does.
func (c *Cloud) Notify(bucket, prefix, queueURL string) {
	c.addNotification(bucket, notification{prefix: prefix, queue: queueURL})
}

// NotifySuffix is Notify for the keys that end so.
func (c *Cloud) NotifySuffix(bucket, suffix, queueURL string) {
	c.addNotification(bucket, notification{suffix: suffix, queue: queueURL})
}

func (c *Cloud) addNotification(bucket string, n notification) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.buckets[bucket]
	b.notify = append(b.notify, n)
}

// Expire deletes an object as a lifecycle rule does: its versions stay.
func (c *Cloud) Expire(bucket, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.deleteObject(c.buckets[bucket], bucket, key, "Lifecycle Expiration"); err != nil {
		panic(err) // no queue of that name: the test itself is at fault
	}
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
	b := c.buckets[bucket]
	for key := range b.versions {
		if o, there := b.current(key); there && strings.HasPrefix(key, prefix) {
			found[key] = slices.Clone(o.body)
		}
	}
	return found
}

func (s *S3) call(operation string, bucketName, key *string, owner *string, carryOut func(*bucket) error) error {
	c := s.cloud
	resource := aws.ToString(bucketName)
	if key != nil {
		resource += "/" + *key
	}
	return c.call(s.caller, "s3", operation, resource, func() error {
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

// GetObject is s3:GetObject, with VersionId and Range.
func (s *S3) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	var out s3.GetObjectOutput
	return &out, s.call("GetObject", in.Bucket, in.Key, in.ExpectedBucketOwner, func(b *bucket) error {
		o, err := b.find(*in.Key, in.VersionId)
		if err != nil {
			if b.noList[s.caller] {
				return APIError("AccessDenied", "Access Denied")
			}
			return err
		}
		body := o.body
		if in.Range != nil {
			if body, err = part(o.body, *in.Range, &out); err != nil {
				return err
			}
		}
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = aws.Int64(int64(len(body)))
		out.ETag, out.VersionId, out.LastModified = aws.String(o.etag), b.told(o.version), aws.Time(o.modified)
		return nil
	})
}

// find gives a version of an object, the newest when none is named.
func (b *bucket) find(key string, version *string) (object, error) {
	if version == nil {
		if o, there := b.current(key); there {
			return o, nil
		}
		return object{}, &types.NoSuchKey{Message: aws.String("The specified key does not exist.")}
	}
	if *version == "" {
		return object{}, APIError("InvalidArgument", "Version id cannot be the empty string")
	}
	for _, o := range b.versions[key] {
		switch {
		case o.version != *version:
		case o.marker:
			return object{}, APIError("MethodNotAllowed", "The specified method is not allowed against this resource.")
		default:
			return o, nil
		}
	}
	return object{}, APIError("NoSuchVersion", "The specified version does not exist.")
}

// part cuts a body to a range, whose end may lie behind the body's.
func part(body []byte, asked string, out *s3.GetObjectOutput) ([]byte, error) {
	var first, last int
	if n, err := fmt.Sscanf(asked, "bytes=%d-%d", &first, &last); n != 2 || err != nil || first > last {
		return nil, APIError("NotImplemented", "this fake knows no range "+asked)
	}
	if first >= len(body) {
		return nil, APIError("InvalidRange", "The requested range is not satisfiable")
	}
	last = min(last, len(body)-1)
	out.ContentRange = aws.String(fmt.Sprintf("bytes %d-%d/%d", first, last, len(body)))
	return body[first : last+1], nil
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
		o := b.add(s.cloud, *in.Key, object{body: body, etag: `"` + hex.EncodeToString(sum[:]) + `"`})
		out.ETag, out.VersionId = aws.String(o.etag), b.told(o.version)
		return s.cloud.notify(b, *in.Bucket, *in.Key, objectEvent{
			detailType: "Object Created", reason: "PutObject", version: b.told(o.version), size: aws.Int(len(body)),
		})
	})
}

// DeleteObject is s3:DeleteObject: it leaves a delete marker where versions are
// kept, unless a version is named.
func (s *S3) DeleteObject(_ context.Context, in *s3.DeleteObjectInput, _ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	var out s3.DeleteObjectOutput
	return &out, s.call("DeleteObject", in.Bucket, in.Key, in.ExpectedBucketOwner, func(b *bucket) error {
		if err := condition(b, *in.Key, in.IfMatch, nil); err != nil {
			return err
		}
		if in.VersionId != nil {
			b.remove(*in.Key, *in.VersionId)
			out.VersionId = in.VersionId
			return s.cloud.notify(b, *in.Bucket, *in.Key, objectEvent{
				detailType: "Object Deleted", reason: "DeleteObject", deletion: "Permanently Deleted", version: in.VersionId,
			})
		}
		var err error
		if out.VersionId, err = s.cloud.deleteObject(b, *in.Bucket, *in.Key, "DeleteObject"); out.VersionId != nil {
			out.DeleteMarker = aws.Bool(true)
		}
		return err
	})
}

// deleteObject deletes an object and gives the version of the marker it leaves,
// if it leaves one.
func (c *Cloud) deleteObject(b *bucket, bucketName, key, reason string) (marker *string, err error) {
	e := objectEvent{detailType: "Object Deleted", reason: reason, deletion: "Permanently Deleted"}
	if b.versioning == unversioned {
		b.remove(key, nullVersion)
	} else {
		e.deletion, e.version = "Delete Marker Created", aws.String(b.add(c, key, object{marker: true}).version)
	}
	return e.version, c.notify(b, bucketName, key, e)
}

// GetBucketNotificationConfiguration is
// s3:GetBucketNotificationConfiguration, of EventBridge alone.
func (s *S3) GetBucketNotificationConfiguration(_ context.Context, in *s3.GetBucketNotificationConfigurationInput, _ ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error) {
	var out s3.GetBucketNotificationConfigurationOutput
	return &out, s.call("GetBucketNotificationConfiguration", in.Bucket, nil, in.ExpectedBucketOwner, func(b *bucket) error {
		if b.eventBridge {
			out.EventBridgeConfiguration = &types.EventBridgeConfiguration{}
		}
		return nil
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
		for _, key := range slices.Sorted(maps.Keys(b.versions)) {
			o, there := b.current(key)
			if !there || !strings.HasPrefix(key, aws.ToString(in.Prefix)) || key <= after {
				continue
			}
			if len(out.Contents) == size {
				out.IsTruncated, out.NextContinuationToken = aws.Bool(true), aws.String(hex.EncodeToString([]byte(last)))
				break
			}
			last = key
			out.Contents = append(out.Contents, types.Object{
				Key: shown(key), ETag: aws.String(o.etag), Size: aws.Int64(int64(len(o.body))), LastModified: aws.Time(o.modified),
			})
		}
		out.KeyCount = aws.Int32(int32(len(out.Contents))) //nolint:gosec // at most 1,000
		return nil
	})
}

func condition(b *bucket, key string, ifMatch, ifNoneMatch *string) error {
	o, there := b.current(key)
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

// objectEvent is what S3 tells of an object (S3 user guide, "EventBridge event
// message structure").
type objectEvent struct {
	detailType, reason string
	deletion           string  // its type; empty for what was created
	version            *string // nil where none are kept
	size               *int    // bytes; nil for what was deleted
}

// notify puts S3's event on the queues that the bucket's events lead to.
func (c *Cloud) notify(b *bucket, bucketName, key string, e objectEvent) error {
	if !b.eventBridge {
		return nil
	}
	for _, n := range b.notify {
		if !strings.HasPrefix(key, n.prefix) || !strings.HasSuffix(key, n.suffix) {
			continue
		}
		about := map[string]any{"key": key, "sequencer": fmt.Sprintf("%018X", c.next())}
		if e.version != nil {
			about["version-id"] = *e.version
		}
		if e.size != nil {
			about["size"] = *e.size
		}
		detail := map[string]any{
			"version": "0", "bucket": map[string]any{"name": bucketName}, "reason": e.reason, "requester": c.Account, "object": about,
		}
		if e.deletion != "" {
			detail["deletion-type"] = e.deletion
		}
		if e.reason == "Lifecycle Expiration" {
			detail["requester"] = "s3.amazonaws.com"
		}
		body, err := json.Marshal(map[string]any{
			"version": "0", "id": fmt.Sprintf("event-%06d", c.next()), "detail-type": e.detailType, "source": "aws.s3",
			"account": c.Account, "region": c.Region, "time": c.now.Format(time.RFC3339), "resources": []string{"arn:aws:s3:::" + bucketName},
			"detail": detail,
		})
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
