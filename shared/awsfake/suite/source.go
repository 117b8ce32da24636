package suite

import (
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

// upload puts an object into a bucket and gives its version, empty when it is
// told none.
func (b *Backend) upload(t T, bucket, key, body string) string {
	t.Helper()
	out := must(b.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)}))(t)
	return aws.ToString(out.VersionId)
}

// part gets an object, of a version when one is named, and from it a range when
// one is named.
func (b *Backend) part(t T, bucket, key, version, asked string) (*s3.GetObjectOutput, string, error) {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	if asked != "" {
		in.Range = &asked
	}
	out, err := b.S3.GetObject(t.Context(), in)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return out, string(body), out.Body.Close()
}

func (b *Backend) removeVersion(t T, bucket, key, version string) {
	t.Helper()
	in := &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	must(b.S3.DeleteObject(t.Context(), in))(t)
}

func (b *Backend) wantVersion(t T, key, version, want string) {
	t.Helper()
	out, body, err := b.part(t, b.Bucket, key, version, "")
	if err != nil {
		t.Errorf("version %s of %s: %v", version, key, err)
	} else if body != want || aws.ToString(out.VersionId) != version {
		t.Errorf("version %s of %s holds %q and says it is %s, want %q", version, key, body, aws.ToString(out.VersionId), want)
	}
}

func sourceCases() []testCase {
	return []testCase{
		{"a range of an object comes with the whole's length", func(t T, b *Backend) {
			key := b.fresh("range")
			version := b.upload(t, b.Bucket, key, "hello")
			for asked, want := range map[string][2]string{
				"bytes=0-3":  {"hell", "bytes 0-3/5"},
				"bytes=2-2":  {"l", "bytes 2-2/5"},
				"bytes=3-10": {"lo", "bytes 3-4/5"},
			} {
				out, body, err := b.part(t, b.Bucket, key, "", asked)
				if err != nil {
					t.Errorf("%s: %v", asked, err)
					continue
				}
				if body != want[0] || aws.ToString(out.ContentRange) != want[1] || aws.ToInt64(out.ContentLength) != int64(len(want[0])) || aws.ToString(out.VersionId) != version {
					t.Errorf("%s is %q, %s, of %d bytes, version %s", asked, body, aws.ToString(out.ContentRange), aws.ToInt64(out.ContentLength), aws.ToString(out.VersionId))
				}
			}
			if out, body, err := b.part(t, b.Bucket, key, "", ""); err != nil || body != "hello" || out.ContentRange != nil {
				t.Errorf("without a range: %q, %v (%v)", body, out, err)
			}
		}},
		{"a range that has no byte is refused", func(t T, b *Backend) {
			empty, short := b.fresh("range"), b.fresh("range")
			version := b.upload(t, b.Bucket, empty, "")
			b.upload(t, b.Bucket, short, "1234")
			_, _, err := b.part(t, b.Bucket, empty, "", "bytes=0-3")
			wantCode(t, "of an empty object", err, "InvalidRange")
			_, _, err = b.part(t, b.Bucket, empty, version, "bytes=0-3")
			wantCode(t, "of a version of it", err, "InvalidRange")
			_, _, err = b.part(t, b.Bucket, short, "", "bytes=4-7")
			wantCode(t, "behind the end", err, "InvalidRange")
			_, _, err = b.part(t, b.Bucket, b.fresh("range"), "", "bytes=0-3")
			wantCode(t, "of nothing", err, "NoSuchKey")
		}},
		{"versions outlive what replaces, deletes or expires an object", func(t T, b *Backend) {
			key := b.fresh("versions")
			first := b.upload(t, b.Bucket, key, "first")
			second := b.upload(t, b.Bucket, key, "second")
			b.removeVersion(t, b.Bucket, key, "")
			third := b.upload(t, b.Bucket, key, "third")
			b.Expire(t, key)
			_, _, err := b.part(t, b.Bucket, key, "", "")
			wantCode(t, "expired", err, "NoSuchKey")
			b.wantVersion(t, key, first, "first")
			b.wantVersion(t, key, second, "second")
			b.wantVersion(t, key, third, "third")
			b.removeVersion(t, b.Bucket, key, second)
			_, _, err = b.part(t, b.Bucket, key, second, "")
			wantCode(t, "a version that was deleted", err, "NoSuchVersion")
			b.wantVersion(t, key, first, "first")
		}},
		{"a delete marker is no version to get", func(t T, b *Backend) {
			key := b.fresh("versions")
			b.upload(t, b.Bucket, key, "x")
			out := must(b.S3.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b.Bucket, Key: &key}))(t)
			if !aws.ToBool(out.DeleteMarker) || aws.ToString(out.VersionId) == "" {
				t.Errorf("deleting left %v, version %s", aws.ToBool(out.DeleteMarker), aws.ToString(out.VersionId))
			}
			_, _, err := b.part(t, b.Bucket, key, aws.ToString(out.VersionId), "")
			wantCode(t, "its version", err, "MethodNotAllowed")
		}},
		{"who may not list is denied a version that is missing", func(t T, b *Backend) {
			key := b.fresh("versions")
			version := b.upload(t, b.Bucket, key, "x")
			b.removeVersion(t, b.Bucket, key, version)
			_, err := b.Unlisted.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.Bucket, Key: &key, VersionId: &version})
			wantCode(t, "missing", err, "AccessDenied")
		}},
		{"a bucket without versions tells none", func(t T, b *Backend) {
			key := b.fresh("plain")
			if v := b.upload(t, b.Plain, key, "first"); v != "" {
				t.Errorf("written as version %s", v)
			}
			b.upload(t, b.Plain, key, "second")
			for _, version := range []string{"", "null"} {
				if out, body, err := b.part(t, b.Plain, key, version, "bytes=0-0"); err != nil || body != "s" || aws.ToString(out.VersionId) != "" {
					t.Errorf("version %q: %q, %v (%v)", version, body, out, err)
				}
			}
			b.removeVersion(t, b.Plain, key, "")
			_, _, err := b.part(t, b.Plain, key, "", "")
			wantCode(t, "deleted", err, "NoSuchKey")
		}},
		{"a bucket tells whether it sends events", func(t T, b *Backend) {
			for bucket, want := range map[string]bool{b.Bucket: true, b.Plain: false} {
				out := must(b.S3.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: &bucket}))(t)
				if got := out.EventBridgeConfiguration != nil; got != want {
					t.Errorf("%s sends events: %v, want %v", bucket, got, want)
				}
			}
			_, err := b.S3.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String(b.Bucket + "-none")})
			wantCode(t, "a missing bucket", err, "NoSuchBucket")
		}},
		{"sourcebucket gives the newest version, of what is gone the known one", func(t T, b *Backend) {
			ctx, r, key := t.Context(), sourcebucket.New(b.S3, b.Bucket, b.Account), b.fresh("agent")+"/source.zip"
			want := func(known string, want model.Source) {
				t.Helper()
				if got, err := r.Source(ctx, key, known); err != nil || got != want {
					t.Errorf("known %q: %+v, want %+v (%v)", known, got, want, err)
				}
			}
			_, err := r.Source(ctx, key, "")
			wantFault(t, "nothing there", err, fault.Unknown, fault.ErrNotFound)
			zip := b.upload(t, b.Bucket, key, "PK\x03\x04 and more")
			want("", model.Source{Version: zip, Size: 13, Zip: true})
			empty := b.upload(t, b.Bucket, key, "")
			want(zip, model.Source{Version: empty})
			text := b.upload(t, b.Bucket, key, "ha")
			want(zip, model.Source{Version: text, Size: 2})
			b.Expire(t, key)
			want(zip, model.Source{Version: zip, Size: 13, Zip: true})
			want(empty, model.Source{Version: empty})
			_, err = r.Source(ctx, key, "")
			wantFault(t, "expired, and nothing known", err, fault.Unknown, fault.ErrNotFound)
			b.removeVersion(t, b.Bucket, key, zip)
			_, err = r.Source(ctx, key, zip)
			wantFault(t, "expired, and the known version is gone", err, fault.Unknown, fault.ErrNotFound)
		}},
		{"sourcebucket says when no versions are kept and no events sent", func(t T, b *Backend) {
			ctx, r, key := t.Context(), sourcebucket.New(b.S3, b.Plain, b.Account), b.fresh("agent")+"/source.zip"
			b.upload(t, b.Plain, key, "PK\x03\x04")
			if got := must(r.Source(ctx, key, ""))(t); got != (model.Source{Size: 4, Zip: true}) {
				t.Errorf("source %+v", got)
			}
			b.upload(t, b.Plain, key, "")
			if got := must(r.Source(ctx, key, ""))(t); got != (model.Source{}) {
				t.Errorf("empty source %+v", got)
			}
			if must(r.Notifies(ctx))(t) || !must(sourcebucket.New(b.S3, b.Bucket, b.Account).Notifies(ctx))(t) {
				t.Errorf("events are told wrong")
			}
		}},
		{"sourcebucket takes nothing but absence for absence", func(t T, b *Backend) {
			ctx, key := t.Context(), b.fresh("agent")+"/source.zip"
			version := b.upload(t, b.Bucket, key, "x")
			b.removeVersion(t, b.Bucket, key, version)
			for what, r := range map[string]*sourcebucket.Reader{
				"a reader who may not list":   sourcebucket.New(b.Unlisted, b.Bucket, b.Account),
				"a missing bucket":            sourcebucket.New(b.S3, b.Bucket+"-none", b.Account),
				"a bucket of another account": sourcebucket.New(b.S3, b.Bucket, "999999999999"),
			} {
				_, err := r.Source(ctx, key, version)
				wantFault(t, what, err, fault.Unknown, nil)
			}
			_, err := sourcebucket.New(b.S3, b.Bucket, "999999999999").Notifies(ctx)
			wantFault(t, "notifications of another account", err, fault.Unknown, nil)
		}},
	}
}
