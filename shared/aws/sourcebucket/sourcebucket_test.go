package sourcebucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

const (
	bucket  = "sources"
	account = "123456789012"
	key     = "my_agent/source.zip"
	zipped  = "PK\x03\x04 and so on"
)

// watched is an S3 whose requests are kept and whose answers may be changed.
type watched struct {
	*awsfake.S3
	gets   []*s3.GetObjectInput
	change func(*s3.GetObjectOutput)
	owner  string // that the notifications were asked for
}

func (w *watched) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	kept := *in
	w.gets = append(w.gets, &kept)
	out, err := w.S3.GetObject(ctx, in, o...)
	if err == nil && w.change != nil {
		w.change(out)
	}
	return out, err
}

func (w *watched) GetBucketNotificationConfiguration(ctx context.Context, in *s3.GetBucketNotificationConfigurationInput, o ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error) {
	w.owner = aws.ToString(in.ExpectedBucketOwner)
	return w.S3.GetBucketNotificationConfiguration(ctx, in, o...)
}

type world struct {
	*awsfake.Cloud
	t      *testing.T
	s3     *watched
	reader *Reader
}

func newWorld(t *testing.T, add func(*awsfake.Cloud, string)) world {
	t.Helper()
	c := awsfake.New()
	add(c, bucket)
	w := &watched{S3: c.S3("t")}
	return world{c, t, w, New(w, bucket, account)}
}

// put uploads a source and gives its version, empty when there is none.
func (w world) put(body string) string {
	w.t.Helper()
	out, err := w.Cloud.S3("developer").PutObject(w.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(body)})
	if err != nil {
		w.t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

func (w world) remove(version *string) {
	w.t.Helper()
	if _, err := w.Cloud.S3("developer").DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), VersionId: version}); err != nil {
		w.t.Fatal(err)
	}
}

func (w world) want(known string, want model.Source) {
	w.t.Helper()
	if got, err := w.reader.Source(w.t.Context(), key, known); err != nil || got != want {
		w.t.Errorf("source %+v, want %+v (%v)", got, want, err)
	}
}

func (w world) wantNone(known string) {
	w.t.Helper()
	if got, err := w.reader.Source(w.t.Context(), key, known); !errors.Is(err, fault.ErrNotFound) || got != (model.Source{}) {
		w.t.Errorf("source %+v: %v", got, err)
	}
}

func versioned(c *awsfake.Cloud, name string) { c.AddBucket(name) }

func TestASourceIsKnownByItsFirstBytes(t *testing.T) {
	for what, c := range map[string]struct {
		body string
		zip  bool
	}{
		"a zip":               {zipped, true},
		"no more than this":   {"PK\x03\x04", true},
		"a zip of no entries": {"PK\x05\x06" + strings.Repeat("\x00", 18), false},
		"a tar":               {strings.Repeat("a", 10_000), false},
		"a part of it":        {"PK\x03", false},
		"one byte":            {"P", false},
		"nothing":             {"", false},
		"a zip behind a byte": {" PK\x03\x04", false},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, versioned)
			w.want("", model.Source{Version: w.put(c.body), Size: int64(len(c.body)), Zip: c.zip})
		})
	}
}

func TestTheNewestVersionIsTheSource(t *testing.T) {
	w := newWorld(t, versioned)
	first := w.put("old")
	second := w.put(zipped)
	for _, known := range []string{"", first, second, "never heard of"} {
		w.want(known, model.Source{Version: second, Size: int64(len(zipped)), Zip: true})
	}
	if len(w.s3.gets) != 4 {
		t.Errorf("%d calls for four sources", len(w.s3.gets))
	}
}

func TestADeletedSourceIsStillTheVersionThatIsKnown(t *testing.T) {
	for what, end := range map[string]func(world){
		"deleted": func(w world) { w.remove(nil) },
		"expired": func(w world) { w.Expire(bucket, key) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, versioned)
			w.wantNone("")
			first := w.put(zipped)
			second := w.put("")
			end(w)
			w.want(first, model.Source{Version: first, Size: int64(len(zipped)), Zip: true})
			w.want(second, model.Source{Version: second})
			w.wantNone("")
			w.wantNone("never heard of")
			w.remove(&first)
			w.wantNone(first)
			w.want(second, model.Source{Version: second})
			third := w.put(zipped)
			w.want(second, model.Source{Version: third, Size: int64(len(zipped)), Zip: true})
		})
	}
}

func TestABucketWithoutVersionsGivesNone(t *testing.T) {
	w := newWorld(t, func(c *awsfake.Cloud, name string) { c.AddUnversionedBucket(name) })
	w.put(zipped)
	w.want("", model.Source{Size: int64(len(zipped)), Zip: true})
	w.SetVersioning(bucket, true) // what is there has the version "null"
	w.want("", model.Source{Size: int64(len(zipped)), Zip: true})
	w.want("", model.Source{Version: w.put(""), Size: 0})
	w.SetVersioning(bucket, false)
	w.put(zipped)
	w.want("", model.Source{Size: int64(len(zipped)), Zip: true})
}

func TestADeniedSourceIsNotAbsent(t *testing.T) {
	w := newWorld(t, versioned)
	known := w.put(zipped)
	w.Expire(bucket, key)
	w.DenyList(bucket, "t") // then S3 says 403 of what is not there
	for _, known := range []string{"", known} {
		got, err := w.reader.Source(t.Context(), key, known)
		if err == nil || errors.Is(err, fault.ErrNotFound) || fault.Of(err) != fault.Unknown || got != (model.Source{}) {
			t.Errorf("source %+v, class %q: %v", got, fault.Of(err), err)
		}
	}
}

func TestTroubleWithS3IsNotAbsence(t *testing.T) {
	for code, class := range map[string]fault.Class{
		"NoSuchBucket": fault.Unknown, "AccessDenied": fault.Unknown, "SlowDown": fault.Retry, "InternalError": fault.Retry,
	} {
		for n := range 2 { // of the calls, this one
			w := newWorld(t, versioned)
			known := w.put(zipped)
			w.Expire(bucket, key)
			w.Before = func(c awsfake.Call) error {
				if c.N == n+2 {
					return awsfake.APIError(code, "m")
				}
				return nil
			}
			if _, err := w.reader.Source(t.Context(), key, known); err == nil || errors.Is(err, fault.ErrNotFound) || fault.Of(err) != class {
				t.Errorf("%s at call %d: class %q: %v", code, n, fault.Of(err), err)
			}
		}
	}
}

// A source that is uploaded between the two calls about an empty one is read
// like any other.
func TestASourceThatComesMeanwhileIsRead(t *testing.T) {
	w := newWorld(t, versioned)
	w.put("")
	var second string
	reader := New(&racing{w.s3, func() { second = w.put(zipped) }}, bucket, account)
	got, err := reader.Source(t.Context(), key, "")
	if want := (model.Source{Version: second, Size: int64(len(zipped)), Zip: true}); err != nil || got != want {
		t.Errorf("source %+v, want %+v (%v)", got, want, err)
	}
}

// racing is an S3 where something happens after every failed read.
type racing struct {
	*watched
	happen func()
}

func (r *racing) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	out, err := r.watched.GetObject(ctx, in, o...)
	if err != nil {
		r.happen()
	}
	return out, err
}

func TestFourBytesAreAskedForOfTheAccountsBucket(t *testing.T) {
	w := newWorld(t, versioned)
	known := w.put(strings.Repeat("x", 1<<20))
	w.want("", model.Source{Version: known, Size: 1 << 20})
	w.Expire(bucket, key)
	w.want(known, model.Source{Version: known, Size: 1 << 20})
	var versions []string
	for _, in := range w.s3.gets {
		versions = append(versions, aws.ToString(in.VersionId))
		if aws.ToString(in.Bucket) != bucket || aws.ToString(in.ExpectedBucketOwner) != account || aws.ToString(in.Range) != "bytes=0-3" {
			t.Errorf("asked %s for %s of %s", *in.ExpectedBucketOwner, aws.ToString(in.Range), *in.Bucket)
		}
	}
	if !slices.Equal(versions, []string{"", "", known}) {
		t.Errorf("asked for versions %q", versions)
	}
}

// body is a response body that goes wrong.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestASourceThatBreaksOffIsRetried(t *testing.T) {
	w := newWorld(t, versioned)
	w.put(zipped)
	b := &body{Reader: io.MultiReader(strings.NewReader("PK"), failing{})}
	w.s3.change = func(out *s3.GetObjectOutput) { out.Body = b }
	if got, err := w.reader.Source(t.Context(), key, ""); fault.Of(err) != fault.Retry || errors.Is(err, fault.ErrNotFound) || got != (model.Source{}) {
		t.Errorf("source %+v, class %q: %v", got, fault.Of(err), err)
	}
	if !b.closed {
		t.Error("the body was left open")
	}
}

func TestALengthThatCannotBeReadIsAnError(t *testing.T) {
	w := newWorld(t, versioned)
	w.put(zipped)
	for _, bad := range []string{"", "bytes 0-3", "bytes 0-3/", "bytes 0-3/*", "bytes 0-3/-1", "bytes 0-3/0", "bytes 0-3/99999999999999999999"} {
		w.s3.change = func(out *s3.GetObjectOutput) { out.ContentRange = &bad }
		if got, err := w.reader.Source(t.Context(), key, ""); err == nil || got != (model.Source{}) {
			t.Errorf("%q: source %+v", bad, got)
		}
	}
}

func FuzzWhole(f *testing.F) {
	for _, s := range []string{"bytes 0-3/1234", "bytes 0-3/*", "bytes */0", "/", "", "bytes 0-3/12/34"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := whole(s)
		if err != nil {
			return
		}
		if _, size, _ := strings.Cut(s, "/"); n < 1 || strings.TrimLeft(strings.TrimPrefix(size, "+"), "0") != fmt.Sprint(n) {
			t.Errorf("%q has length %d", s, n)
		}
	})
}

func TestABucketTellsWhetherItSendsEvents(t *testing.T) {
	w := newWorld(t, versioned)
	for _, on := range []bool{true, false, true} {
		w.SetEventBridge(bucket, on)
		if got, err := w.reader.Notifies(t.Context()); err != nil || got != on {
			t.Errorf("sends events: %v, want %v (%v)", got, on, err)
		}
	}
	if w.s3.owner != account {
		t.Errorf("asked of the bucket of %q", w.s3.owner)
	}
	w.Before = func(awsfake.Call) error { return &types.NoSuchBucket{} }
	if got, err := w.reader.Notifies(t.Context()); err == nil || got || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("sends events: %v, %v", got, err)
	}
}
