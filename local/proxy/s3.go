package proxy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rolekeeper/local/bus"
)

// buckets is what the proxy knows about S3 beside moto.
type buckets struct {
	mu        sync.Mutex
	notify    map[string]bool        // bucket -> sends its events to EventBridge
	policies  map[string][]byte      // bucket -> its policy, which nothing obeys
	locks     map[string]*sync.Mutex // bucket/key -> held while it is written
	mayList   func(caller, bucket string) bool
	sequencer int64
}

// SetListBucket tells which callers may list a bucket. To those who may not, S3
// answers 403 instead of 404 for a key that is not there (GetObject, API
// reference). Without this function everybody may.
func (p *Proxy) SetListBucket(may func(caller, bucket string) bool) {
	p.buckets.mu.Lock()
	defer p.buckets.mu.Unlock()
	p.buckets.mayList = may
}

func (p *Proxy) lists(caller, bucket string) bool {
	p.buckets.mu.Lock()
	defer p.buckets.mu.Unlock()
	return p.buckets.mayList == nil || p.buckets.mayList(caller, bucket)
}

// lockKeys holds the keys of a bucket, so that a condition and its write are one
// step and the sequencers of a key have the order of its writes.
func (p *Proxy) lockKeys(bucket string, keys []string) (unlock func()) {
	keys = slices.Compact(slices.Sorted(slices.Values(keys))) // one order for all
	var held []*sync.Mutex
	for _, key := range keys {
		name := bucket + "/" + key
		p.buckets.mu.Lock()
		l := p.buckets.locks[name]
		if l == nil {
			l = &sync.Mutex{}
			p.buckets.locks[name] = l
		}
		p.buckets.mu.Unlock()
		l.Lock()
		held = append(held, l)
	}
	return func() {
		for _, l := range held {
			l.Unlock()
		}
	}
}

func (p *Proxy) answerS3(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	bucket, key := splitPath(r.URL.Path)
	if owner := r.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != p.o.Account {
		return refuse(c, http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	switch c.Operation {
	case "PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy",
		"PutBucketNotificationConfiguration", "GetBucketNotificationConfiguration":
		if a, err := p.own(ctx, "s3", http.MethodHead, "/"+bucket, "", nil); err != nil || !a.ok() {
			return refuse(c, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		}
		return p.configure(c, bucket, body)
	case "GetObject", "HeadObject":
		return p.read(ctx, c, r, bucket, key)
	case "PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject":
		defer p.lockKeys(bucket, []string{key})()
		a := p.forward(ctx, c, r, body)
		if a.ok() {
			p.written(ctx, c, r, bucket, key, body, a)
		}
		return a
	case "DeleteObjects":
		var in struct {
			Objects []struct{ Key string } `xml:"Object"`
		}
		if err := xml.Unmarshal(body, &in); err != nil {
			return refuse(c, http.StatusBadRequest, "MalformedXML", err.Error())
		}
		var keys []string
		for _, o := range in.Objects {
			keys = append(keys, o.Key)
		}
		defer p.lockKeys(bucket, keys)()
		a := p.forward(ctx, c, r, body)
		if a.ok() {
			p.deletedMany(bucket, a)
		}
		return a
	default:
		return p.forward(ctx, c, r, body)
	}
}

// read reads an object. Of one that is not there moto says neither that it was
// deleted, unless the request is a HEAD, nor that its caller may not know.
func (p *Proxy) read(ctx context.Context, c Call, r *http.Request, bucket, key string) answer {
	a := p.forward(ctx, c, r, nil)
	if a.status != http.StatusNotFound || errorCode(a) == "NoSuchBucket" {
		return a
	}
	if !p.lists(c.Caller, bucket) {
		return refuse(c, http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	path, version := objectPath(bucket, key), r.URL.Query().Get("versionId")
	if version != "" {
		path += "?versionId=" + url.QueryEscape(version)
	}
	head, err := p.own(ctx, "s3", http.MethodHead, path, "", nil)
	if err != nil || head.header.Get("X-Amz-Delete-Marker") != "true" {
		return a
	}
	if version != "" {
		a = refuse(c, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	for _, name := range []string{"X-Amz-Delete-Marker", "X-Amz-Version-Id"} {
		a.header.Set(name, head.header.Get(name))
	}
	return a
}

// objectPath gives the escaped path of an object for a call of the proxy's own.
func objectPath(bucket, key string) string {
	return (&url.URL{Path: "/" + bucket + "/" + key}).EscapedPath()
}

// configure does the settings of a bucket that moto does not keep as S3 does.
func (p *Proxy) configure(c Call, bucket string, body []byte) answer {
	p.buckets.mu.Lock()
	defer p.buckets.mu.Unlock()
	switch c.Operation {
	case "PutBucketNotificationConfiguration":
		return p.putNotification(c, bucket, body)
	case "GetBucketNotificationConfiguration":
		return p.getNotification(bucket)
	case "PutBucketPolicy":
		// moto would apply the policy without its conditions and deny everything.
		var document struct{ Statement []json.RawMessage }
		if err := json.Unmarshal(body, &document); err != nil || len(document.Statement) == 0 {
			return refuse(c, http.StatusBadRequest, "MalformedPolicy", "Policies must be valid JSON and have a statement")
		}
		p.buckets.policies[bucket] = body
	case "DeleteBucketPolicy":
		delete(p.buckets.policies, bucket)
	case "GetBucketPolicy":
		policy, there := p.buckets.policies[bucket]
		if !there {
			return refuse(c, http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
		}
		return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: policy}
	}
	return answer{status: http.StatusNoContent, header: http.Header{}}
}

// notification is the part of a notification configuration that is answered.
type notification struct {
	XMLName     xml.Name  `xml:"NotificationConfiguration"`
	EventBridge *struct{} `xml:"EventBridgeConfiguration"`
}

func (p *Proxy) putNotification(c Call, bucket string, body []byte) answer {
	for _, other := range []string{"<QueueConfiguration", "<TopicConfiguration", "<CloudFunctionConfiguration"} {
		if strings.Contains(string(body), other) {
			return unanswered(c, "of notifications only EventBridge is part of it")
		}
	}
	var in notification
	if err := xml.Unmarshal(body, &in); err != nil {
		return refuse(c, http.StatusBadRequest, "MalformedXML", err.Error())
	}
	p.buckets.notify[bucket] = in.EventBridge != nil
	return answer{status: http.StatusOK, header: http.Header{}}
}

func (p *Proxy) getNotification(bucket string) answer {
	out := notification{}
	if p.buckets.notify[bucket] {
		out.EventBridge = &struct{}{}
	}
	text, _ := xml.Marshal(out) // no value here fails to encode
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/xml"}}, body: text}
}

func (p *Proxy) notifies(bucket string) bool {
	p.buckets.mu.Lock()
	defer p.buckets.mu.Unlock()
	return p.buckets.notify[bucket]
}

// nextSequencer gives hex of equal length that grows with every write. In AWS it
// orders only the events of one key.
func (p *Proxy) nextSequencer() string {
	p.buckets.mu.Lock()
	defer p.buckets.mu.Unlock()
	p.buckets.sequencer = max(p.buckets.sequencer+1, time.Now().UnixNano())
	return fmt.Sprintf("%018X", p.buckets.sequencer)
}

// detail is the detail of S3's events as the EventBridge page of the S3 user
// guide gives it.
type detail struct {
	Version      string       `json:"version"`
	Bucket       bucketDetail `json:"bucket"`
	Object       objectDetail `json:"object"`
	RequestID    string       `json:"request-id"`
	Requester    string       `json:"requester"`
	SourceIP     string       `json:"source-ip-address,omitempty"`
	Reason       string       `json:"reason"` // operation, or lifecycle
	DeletionType string       `json:"deletion-type,omitempty"`
}

type bucketDetail struct {
	Name string `json:"name"`
}

type objectDetail struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"etag,omitempty"`
	VersionID string `json:"version-id,omitempty"`
	Sequencer string `json:"sequencer"`
}

// lifecycle is the reason of what no call did.
const lifecycle = "Lifecycle Expiration"

// Expire deletes an object as a lifecycle rule does: in a bucket that keeps
// versions they stay, and a delete marker is the newest.
func (p *Proxy) Expire(ctx context.Context, bucket, key string) error {
	defer p.lockKeys(bucket, []string{key})()
	a, err := p.own(ctx, "s3", http.MethodDelete, objectPath(bucket, key), "", nil)
	if err != nil {
		return fmt.Errorf("expire %s/%s: %w", bucket, key, err)
	}
	if !a.ok() {
		return fmt.Errorf("expire %s/%s: %s", bucket, key, errorCode(a))
	}
	p.deleted(bucket, key, lifecycle, a)
	return nil
}

// deleted tells of the delete of one object that moto answered so.
func (p *Proxy) deleted(bucket, key, reason string, a answer) {
	p.publish("Object Deleted", bucket, detail{
		Reason: reason, DeletionType: deletionType(a.header.Get("X-Amz-Delete-Marker") == "true"),
		Object: objectDetail{Key: key, VersionID: strings.TrimPrefix(a.header.Get("X-Amz-Version-Id"), "null")},
	})
}

func (p *Proxy) publish(detailType, bucket string, d detail) {
	if !p.notifies(bucket) {
		return
	}
	d.Version, d.Bucket.Name = "0", bucket
	if d.Requester, d.SourceIP = p.o.Account, "127.0.0.1"; d.Reason == lifecycle {
		d.Requester, d.SourceIP = "s3.amazonaws.com", ""
	}
	d.RequestID = rand.Text()[:16]
	d.Object.Sequencer = p.nextSequencer()
	text, err := json.Marshal(d)
	if err != nil {
		return // strings and a number always encode
	}
	p.o.Bus.Publish(bus.Event{
		Source: "aws.s3", DetailType: detailType, Detail: text, Resources: []string{"arn:aws:s3:::" + bucket},
	})
}

// written tells of a write or delete of one object. moto's own events have a
// constant id and sequencer, none for a delete marker, and two for one multipart
// upload.
func (p *Proxy) written(ctx context.Context, c Call, r *http.Request, bucket, key string, body []byte, a answer) {
	if c.Operation == "DeleteObject" {
		p.deleted(bucket, key, c.Operation, a)
		return
	}
	version := strings.TrimPrefix(a.header.Get("X-Amz-Version-Id"), "null")
	size, etag := int64(len(body)), a.header.Get("ETag")
	if decoded, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err == nil {
		size = decoded // the body is in signed chunks
	}
	if c.Operation != "PutObject" {
		if head, err := p.own(ctx, "s3", http.MethodHead, objectPath(bucket, key), "", nil); err == nil && head.ok() {
			etag, version = head.header.Get("ETag"), strings.TrimPrefix(head.header.Get("X-Amz-Version-Id"), "null")
			size, _ = strconv.ParseInt(head.header.Get("Content-Length"), 10, 64) // 0 for an empty object
		}
	}
	p.publish("Object Created", bucket, detail{
		Reason: c.Operation,
		Object: objectDetail{Key: key, Size: &size, ETag: strings.Trim(etag, `"`), VersionID: version},
	})
}

func deletionType(marker bool) string {
	if marker {
		return "Delete Marker Created"
	}
	return "Permanently Deleted"
}

func (p *Proxy) deletedMany(bucket string, a answer) {
	var out struct {
		Deleted []struct {
			Key                   string
			VersionID             string `xml:"VersionId"`
			DeleteMarker          bool
			DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId"`
		}
	}
	if xml.Unmarshal(a.body, &out) != nil {
		return
	}
	for _, d := range out.Deleted {
		version := d.VersionID
		if d.DeleteMarkerVersionID != "" {
			version = d.DeleteMarkerVersionID
		}
		p.publish("Object Deleted", bucket, detail{
			Reason: "DeleteObject", DeletionType: deletionType(d.DeleteMarker && d.VersionID == ""),
			Object: objectDetail{Key: d.Key, VersionID: version},
		})
	}
}
