package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/event"
)

func (b *Backend) put(t T, key, body, ifMatch, ifNoneMatch string) (*s3.PutObjectOutput, error) {
	in := &s3.PutObjectInput{Bucket: &b.Bucket, Key: &key, Body: strings.NewReader(body)}
	if ifMatch != "" {
		in.IfMatch = &ifMatch
	}
	if ifNoneMatch != "" {
		in.IfNoneMatch = &ifNoneMatch
	}
	return b.S3.PutObject(t.Context(), in)
}

func (b *Backend) get(t T, key string) (*s3.GetObjectOutput, string, error) {
	out, err := b.S3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.Bucket, Key: &key})
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return out, string(body), out.Body.Close()
}

func (b *Backend) remove(t T, key, ifMatch string) error {
	in := &s3.DeleteObjectInput{Bucket: &b.Bucket, Key: &key}
	if ifMatch != "" {
		in.IfMatch = &ifMatch
	}
	_, err := b.S3.DeleteObject(t.Context(), in)
	return err
}

func (b *Backend) wantBody(t T, key, want string) {
	t.Helper()
	_, body, err := b.get(t, key)
	if err != nil || body != want {
		t.Errorf("%s holds %q (%v), want %q", key, body, err, want)
	}
}

func objectCases() []testCase {
	return []testCase{
		{"an object is read as it was written, with its version and ETag", func(t T, b *Backend) {
			key := b.fresh("object") + "/a b+c=é@d.json"
			made := must(b.put(t, key, "hello", "", ""))(t)
			got, body, err := b.get(t, key)
			if err != nil {
				t.Fatalf("get: %v", err)
			}
			if body != "hello" || aws.ToInt64(got.ContentLength) != 5 || aws.ToTime(got.LastModified).IsZero() {
				t.Errorf("body %q of %d bytes, modified %v", body, aws.ToInt64(got.ContentLength), got.LastModified)
			}
			if v := aws.ToString(made.VersionId); v == "" || v == "null" || v != aws.ToString(got.VersionId) {
				t.Errorf("version %q when written, %q when read", v, aws.ToString(got.VersionId))
			}
			if e := aws.ToString(made.ETag); e == "" || e != aws.ToString(got.ETag) {
				t.Errorf("ETag %q when written, %q when read", e, aws.ToString(got.ETag))
			}
		}},
		{"equal content has equal ETags and versions of its own", func(t T, b *Backend) {
			key := b.fresh("object")
			first := must(b.put(t, key, "same", "", ""))(t)
			second := must(b.put(t, key, "same", "", ""))(t)
			third := must(b.put(t, key, "other", "", ""))(t)
			if *first.ETag != *second.ETag || *second.ETag == *third.ETag {
				t.Errorf("ETags %s, %s, %s", *first.ETag, *second.ETag, *third.ETag)
			}
			if *first.VersionId == *second.VersionId {
				t.Errorf("two versions %s", *first.VersionId)
			}
		}},
		{"an object that is missing or deleted is no such key", func(t T, b *Backend) {
			key := b.fresh("object")
			_, _, err := b.get(t, key)
			wantCode(t, "never written", err, "NoSuchKey")
			must(b.put(t, key, "x", "", ""))(t)
			wantCode(t, "delete", b.remove(t, key, ""), "")
			_, _, err = b.get(t, key)
			wantCode(t, "deleted", err, "NoSuchKey")
		}},
		{"who may not list is denied what is missing", func(t T, b *Backend) {
			key := b.fresh("object")
			_, err := b.Unlisted.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.Bucket, Key: &key})
			wantCode(t, "missing", err, "AccessDenied")
			must(b.put(t, key, "x", "", ""))(t)
			out := must(b.Unlisted.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.Bucket, Key: &key}))(t)
			_ = out.Body.Close()
		}},
		{"a missing bucket is not a missing object", func(t T, b *Backend) {
			_, err := b.S3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(b.Bucket + "-none"), Key: aws.String("k")})
			wantCode(t, "get", err, "NoSuchBucket")
		}},
		{"an object is created once", func(t T, b *Backend) {
			key := b.fresh("object")
			must(b.put(t, key, "first", "", "*"))(t)
			_, err := b.put(t, key, "second", "", "*")
			wantCode(t, "create again", err, "PreconditionFailed")
			b.wantBody(t, key, "first")
			wantCode(t, "delete", b.remove(t, key, ""), "")
			must(b.put(t, key, "third", "", "*"))(t)
			b.wantBody(t, key, "third")
		}},
		{"of objects created at once there is one", func(t T, b *Backend) {
			key := b.fresh("object")
			const n = 8
			counts := atOnce(n, func(i int) error {
				_, err := b.put(t, key, fmt.Sprint(i), "", "*")
				return err
			})
			// A loser of the race itself may also get 409 (S3 user guide, "Conditional writes").
			if counts[""] != 1 || counts["PreconditionFailed"]+counts["ConditionalRequestConflict"] != n-1 {
				t.Errorf("answers: %v", counts)
			}
		}},
		{"an object is replaced only as it was read", func(t T, b *Backend) {
			key := b.fresh("object")
			first := *must(b.put(t, key, "first", "", "*"))(t).ETag
			second := *must(b.put(t, key, "second", first, ""))(t).ETag
			_, err := b.put(t, key, "third", first, "")
			wantCode(t, "replace what has changed", err, "PreconditionFailed")
			b.wantBody(t, key, "second")
			wantCode(t, "delete", b.remove(t, key, ""), "")
			_, err = b.put(t, key, "fourth", second, "")
			wantCode(t, "replace what is deleted", err, "NoSuchKey")
			_, err = b.put(t, b.fresh("object"), "fifth", second, "")
			wantCode(t, "replace what never was", err, "NoSuchKey")
			_, _, err = b.get(t, key)
			wantCode(t, "get", err, "NoSuchKey")
		}},
		{"of replacements at once there is one", func(t T, b *Backend) {
			key := b.fresh("object")
			etag := *must(b.put(t, key, "first", "", "*"))(t).ETag
			const n = 8
			counts := atOnce(n, func(i int) error {
				_, err := b.put(t, key, fmt.Sprint(i), etag, "")
				return err
			})
			if counts[""] != 1 || counts["PreconditionFailed"]+counts["ConditionalRequestConflict"] != n-1 {
				t.Errorf("answers: %v", counts)
			}
		}},
		{"an object is deleted only as it was read", func(t T, b *Backend) {
			key := b.fresh("object")
			first := *must(b.put(t, key, "first", "", ""))(t).ETag
			second := *must(b.put(t, key, "second", "", ""))(t).ETag
			wantCode(t, "delete what has changed", b.remove(t, key, first), "PreconditionFailed")
			b.wantBody(t, key, "second")
			wantCode(t, "delete", b.remove(t, key, second), "")
			// The API reference gives 412 for another ETag and is silent on a missing object.
			wantCode(t, "delete again", b.remove(t, key, second), "PreconditionFailed", "NoSuchKey")
			wantCode(t, "delete what is gone, without a condition", b.remove(t, key, ""), "")
		}},
		{"writes, deletes and expiry under configs/ reach the inbox", objectEvents},
		{"a list has all keys of a prefix in order, in pages", func(t T, b *Backend) {
			prefix := b.fresh("list") + "/"
			var want []string
			for _, name := range []string{"b", "a/1", "a-1", "B", "a/2"} {
				must(b.put(t, prefix+name, "x", "", ""))(t)
				want = append(want, prefix+name)
			}
			must(b.put(t, prefix+"gone", "x", "", ""))(t)
			wantCode(t, "delete", b.remove(t, prefix+"gone", ""), "")
			slices.Sort(want)
			var got []string
			pages := s3.NewListObjectsV2Paginator(b.S3, &s3.ListObjectsV2Input{Bucket: &b.Bucket, Prefix: &prefix, MaxKeys: aws.Int32(2)})
			for pages.HasMorePages() {
				page := must(pages.NextPage(t.Context()))(t)
				if len(page.Contents) > 2 {
					t.Errorf("%d keys on a page", len(page.Contents))
				}
				for _, o := range page.Contents {
					got = append(got, *o.Key)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("keys %q, want %q", got, want)
			}
		}},
	}
}

// objectEvents writes, overwrites and deletes a config, lets it expire, and waits
// for what that leads to. Events may be late and in any order.
func objectEvents(t T, b *Backend) {
	key := "configs/" + b.fresh("team") + "/agent.yaml"
	first := must(b.put(t, key, "one", "", ""))(t)
	second := must(b.put(t, key, "two", "", ""))(t)
	must(b.put(t, strings.Replace(key, "configs/", "status/", 1), "x", "", ""))(t)
	wantCode(t, "delete", b.remove(t, key, ""), "")
	third := must(b.put(t, key, "three", "", ""))(t)
	b.Expire(t, key)

	got := map[string]int{} // kind, version and actor of a hint
	ids := map[string]bool{}
	deleted := map[string]string{} // version by actor
	for range 500 {
		e := b.Receive(t, b.Inbox, 10)
		for _, r := range e.Records {
			var envelope struct{ ID string }
			if err := json.Unmarshal([]byte(r.Body), &envelope); err != nil {
				t.Fatalf("event: %v", err)
			}
			look, err := event.Decode(r.Body, event.Here{Account: b.Account, Region: b.Region, ConfigBucket: b.Bucket})
			if err != nil {
				t.Errorf("%v: %s", err, r.Body)
				continue
			}
			if look.Key != key {
				continue // of another case
			}
			if ids[envelope.ID] || envelope.ID == "" {
				t.Errorf("event id %q came before", envelope.ID)
			}
			ids[envelope.ID] = true
			if look.Hint.Time.IsZero() {
				t.Errorf("hint %+v", look.Hint)
			}
			got[look.Hint.Kind+" "+look.Hint.ID+" "+look.Hint.Actor]++
			if look.Hint.Kind == "config-deleted" {
				deleted[look.Hint.Actor] = look.Hint.ID
			}
		}
		b.Done(t, b.Inbox, e)
		if len(ids) >= 5 {
			break
		}
		b.Pass(time.Second)
	}
	const lifecycle = "s3.amazonaws.com"
	want := []string{
		"config-uploaded " + *first.VersionId + " " + b.Account, "config-uploaded " + *second.VersionId + " " + b.Account,
		"config-uploaded " + *third.VersionId + " " + b.Account,
		"config-deleted " + deleted[b.Account] + " " + b.Account, "config-deleted " + deleted[lifecycle] + " " + lifecycle,
	}
	for _, w := range want {
		if got[w] != 1 {
			t.Errorf("%d events %q, want one: %v", got[w], w, got)
		}
	}
	if marker := deleted[b.Account]; len(got) != len(want) || marker == "" || marker == *second.VersionId || deleted[lifecycle] == "" || deleted[lifecycle] == marker {
		t.Errorf("events: %v", got)
	}
}
