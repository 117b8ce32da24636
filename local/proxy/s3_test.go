package proxy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/proxy"
)

// testVersions holds what a call of a version and its answer look like; how S3
// decides is in the common suite.
func testVersions(t *testing.T, w world) {
	makeBucket(t, w, "versions", true)
	makeBucket(t, w, "no-versions", false)
	c, bucket, key := w.s3("versions"), aws.String("versions"), aws.String("a/source.zip")
	put, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("12345")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("no-versions"), Key: key, Body: strings.NewReader("1")}); err != nil {
		t.Fatal(err)
	}
	before := len(w.bus.Events())
	for _, b := range []string{"versions", "no-versions"} {
		if err := w.Expire(t.Context(), b, *key); err != nil {
			t.Error(err)
		}
	}
	if err := w.Expire(t.Context(), "none", *key); err == nil || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("in a bucket that is not there: %v", err)
	}
	var told []string
	for _, e := range w.bus.Events()[before:] {
		var d s3Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprint(e.DetailType, ", ", d.Reason, ", ", d.DeletionType, ", ", d.Requester, ", ", d.Object.VersionID != "", strings.Contains(string(e.Detail), "source-ip")))
	}
	if diff := cmp.Diff([]string{
		"Object Deleted, Lifecycle Expiration, Delete Marker Created, s3.amazonaws.com, true false",
		"Object Deleted, Lifecycle Expiration, Permanently Deleted, s3.amazonaws.com, false false",
	}, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	if _, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: put.VersionId, Range: aws.String("bytes=0-3")}); err != nil {
		t.Error(err)
	}
	calls := w.Calls(proxy.Filter{Caller: "versions", Operation: "GetObject"})
	if len(calls) != 1 || calls[0].Resource != "versions/a/source.zip" || !strings.Contains(calls[0].Request.Query, "versionId="+*put.VersionId) || calls[0].Status != http.StatusPartialContent {
		t.Errorf("calls %+v", calls)
	}

	// What the SDK does not show of a delete marker.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.endpoint+"/versions/a/source.zip", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+w.AccessKey("versions")+"/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusNotFound || resp.Header.Get("X-Amz-Delete-Marker") != "true" || !strings.Contains(string(body), "NoSuchKey") {
		t.Errorf("an expired object: %d %v %s (%v)", resp.StatusCode, resp.Header, body, err)
	}
}

func testForeignBuckets(t *testing.T, w world) {
	makeBucket(t, w, "owned", true)
	c := w.s3("owner")
	for owner, want := range map[string]string{account: "NoSuchKey", "999999999999": "AccessDenied"} {
		if _, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("owned"), Key: aws.String("k"), ExpectedBucketOwner: &owner}); code(err) != want {
			t.Errorf("a bucket that should be of %s: %v", owner, err)
		}
	}
}

func testGapsOfBuckets(t *testing.T, direct world) {
	c, bucket := direct.s3("gaps"), aws.String("gap-owner")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: bucket, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}
	marker, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k"), VersionId: marker.VersionId}); code(err) == "MethodNotAllowed" {
		t.Errorf("moto now tells a delete marker (%v): the fill-in can go", err)
	}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), ExpectedBucketOwner: aws.String("999999999999"), Body: strings.NewReader("x")}); err != nil {
		t.Errorf("moto now looks at the expected owner of a bucket (%v): the fill-in can go", err)
	}
}
