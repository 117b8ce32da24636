package configstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

const (
	bucket  = "configs"
	account = "123456789012"
	key     = "claims/roles/0123456789.json"
)

// watched is an S3 whose requests are kept and whose bodies may be changed.
type watched struct {
	*awsfake.S3
	puts    []*s3.PutObjectInput
	deletes []*s3.DeleteObjectInput
	body    io.ReadCloser
}

func (w *watched) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	w.puts = append(w.puts, in)
	return w.S3.PutObject(ctx, in, o...)
}

func (w *watched) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput, o ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	w.deletes = append(w.deletes, in)
	return w.S3.DeleteObject(ctx, in, o...)
}

func (w *watched) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	out, err := w.S3.GetObject(ctx, in, o...)
	if err == nil && w.body != nil {
		out.Body = w.body
	}
	return out, err
}

func world() (*watched, *configstore.Client) {
	c := awsfake.New()
	c.AddBucket(bucket)
	w := &watched{S3: c.S3("t")}
	return w, configstore.New(w, bucket, account)
}

func TestEveryWriteHasACondition(t *testing.T) {
	w, c := world()
	ctx := t.Context()
	first, err := c.Create(ctx, key, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Replace(ctx, key, []byte("two"), first)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, key, second); err != nil {
		t.Fatal(err)
	}
	if len(w.puts) != 2 || len(w.deletes) != 1 {
		t.Fatalf("%d puts, %d deletes", len(w.puts), len(w.deletes))
	}
	if p := w.puts[0]; aws.ToString(p.IfNoneMatch) != "*" || p.IfMatch != nil {
		t.Errorf("create: %v, %v", p.IfNoneMatch, p.IfMatch)
	}
	if p := w.puts[1]; aws.ToString(p.IfMatch) != first || p.IfNoneMatch != nil {
		t.Errorf("replace: %v, %v", p.IfNoneMatch, p.IfMatch)
	}
	if aws.ToString(w.deletes[0].IfMatch) != second {
		t.Errorf("delete: %v", w.deletes[0].IfMatch)
	}
	for _, p := range w.puts {
		if aws.ToString(p.ExpectedBucketOwner) != account || aws.ToString(p.Bucket) != bucket {
			t.Errorf("bucket %v of %v", p.Bucket, p.ExpectedBucketOwner)
		}
	}
}

func TestALargeObjectComesCut(t *testing.T) {
	w, c := world()
	for _, size := range []int{0, 1, configstore.MaxRead, configstore.MaxRead + 1, 3 * configstore.MaxRead} {
		if _, err := w.S3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("large"), Body: bytes.NewReader(make([]byte, size))}); err != nil {
			t.Fatal(err)
		}
		o, err := c.Get(t.Context(), "large")
		if err != nil || len(o.Body) != min(size, configstore.MaxRead) {
			t.Errorf("of %d bytes %d were read (%v)", size, len(o.Body), err)
		}
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

func TestABodyThatBreaksOffIsRetried(t *testing.T) {
	w, c := world()
	if _, err := c.Create(t.Context(), key, []byte("one")); err != nil {
		t.Fatal(err)
	}
	b := &body{Reader: io.MultiReader(bytes.NewReader([]byte("o")), failing{})}
	w.body = b
	o, err := c.Get(t.Context(), key)
	if fault.Of(err) != fault.Retry || errors.Is(err, fault.ErrNotFound) || len(o.Body) > 0 {
		t.Errorf("object %+v, class %q: %v", o, fault.Of(err), err)
	}
	if !b.closed {
		t.Error("the body was left open")
	}
}

func TestAListThatIsDeniedIsNotEmpty(t *testing.T) {
	c := awsfake.New()
	c.AddBucket(bucket)
	c.DenyList(bucket, "t")
	r := configstore.NewReader(c.S3("t"), bucket, account)
	keys, err := r.List(t.Context(), "status/")
	if err == nil || len(keys) > 0 || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("keys %q, %v", keys, err)
	}
	entries, err := r.Entries(t.Context(), "status/")
	if err == nil || len(entries) > 0 || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("entries %v, %v", entries, err)
	}
}

// listing is an S3 that lists a key at a time, and keeps what it was asked.
// After its last page but left it gives the token, whatever it was asked.
type listing struct {
	*awsfake.S3
	asked []s3.ListObjectsV2Input
	left  int
	token *string
	fail  error
}

func (l *listing) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, o ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	l.asked = append(l.asked, *in)
	one := *in
	one.MaxKeys = aws.Int32(1)
	out, err := l.S3.ListObjectsV2(ctx, &one, o...)
	if err == nil && len(l.asked) > l.left {
		out.IsTruncated, out.NextContinuationToken, err = aws.Bool(true), l.token, l.fail
	}
	return out, err
}

// stored is a bucket with an object for each key, a minute apart.
func stored(t *testing.T, keys ...string) (*awsfake.Cloud, []model.Entry) {
	t.Helper()
	c := awsfake.New()
	c.AddBucket(bucket)
	var want []model.Entry
	for _, k := range keys {
		c.Advance(time.Minute + time.Millisecond)
		if _, err := configstore.New(c.S3("t"), bucket, account).Create(t.Context(), k, []byte(k)); err != nil {
			t.Fatal(err)
		}
		want = append(want, model.Entry{Key: k, Modified: c.Now().Truncate(time.Second)})
	}
	return c, want
}

func TestAllPagesOfAListAreRead(t *testing.T) {
	c, want := stored(t, "status/a b+c.json", "status/a/é%41.json", "status/b.json")
	if _, err := configstore.New(c.S3("t"), bucket, account).Create(t.Context(), "claims/x", nil); err != nil {
		t.Fatal(err)
	}
	api := &listing{S3: c.S3("t"), left: 3}
	r := configstore.NewReader(api, bucket, account)
	entries, err := r.Entries(t.Context(), "status/")
	if diff := cmp.Diff(want, entries); diff != "" || err != nil {
		t.Errorf("entries (-want +got)\n%s%v", diff, err)
	}
	tokens := map[string]bool{}
	for _, in := range api.asked {
		if aws.ToString(in.Prefix) != "status/" || aws.ToString(in.ExpectedBucketOwner) != account || in.EncodingType != types.EncodingTypeUrl {
			t.Errorf("asked %+v", in)
		}
		tokens[aws.ToString(in.ContinuationToken)] = true
	}
	if len(api.asked) != 3 || len(tokens) != 3 {
		t.Errorf("asked %d times, with %d tokens", len(api.asked), len(tokens))
	}
	o, err := r.Get(t.Context(), want[1].Key)
	if err != nil || !o.LastModified.Equal(entries[1].Modified) {
		t.Errorf("listed %v, read %v, %v", entries[1].Modified, o.LastModified, err)
	}
	if entries, err := r.Entries(t.Context(), "reports/"); err == nil || len(entries) != 0 {
		t.Errorf("under a prefix whose listing does not end there are %v, %v", entries, err)
	}
	if entries, err := configstore.NewReader(c.S3("t"), bucket, account).Entries(t.Context(), "reports/"); err != nil || len(entries) != 0 {
		t.Errorf("under a prefix of nothing there are %v, %v", entries, err)
	}
}

func TestAListOfWhichAPageIsMissingIsAnError(t *testing.T) {
	for what, l := range map[string]listing{
		"goes round in a circle": {left: 1, token: aws.String("676f6e65")},
		"is cut short":           {left: 1},
		"is cut short after 1":   {token: aws.String("")},
		"throttled":              {left: 2, fail: awsfake.APIError("SlowDown", "throttled")},
	} {
		t.Run(what, func(t *testing.T) {
			c, _ := stored(t, "status/a", "status/b", "status/c")
			l.S3 = c.S3("t")
			r := configstore.NewReader(&l, bucket, account)
			entries, err := r.Entries(t.Context(), "status/")
			if err == nil || !strings.Contains(err.Error(), what) || entries != nil || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("entries %v, %v", entries, err)
			}
			l.asked = nil
			if keys, err := r.List(t.Context(), "status/"); err == nil || keys != nil {
				t.Errorf("keys %v, %v", keys, err)
			}
		})
	}
}
