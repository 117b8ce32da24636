package awsfake_test

import (
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/awsfake"
)

func upload(t *testing.T, c *awsfake.Cloud, key, body string) *s3.PutObjectOutput {
	t.Helper()
	out, err := c.S3("t").PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// content gives what is in an object, or the error there is instead.
func content(t *testing.T, c *awsfake.Cloud, key string, version *string) string {
	t.Helper()
	out, err := c.S3("t").GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: &key, VersionId: version})
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.VersionId) + ": " + string(body)
}

func TestACloneOfABucketGoesItsOwnWay(t *testing.T) {
	c := awsfake.New()
	c.AddBucket("b")
	first := upload(t, c, "k", "one").VersionId
	queue := c.AddQueue("q", 0, 0, "")
	clone := c.Clone()
	clone.Notify("b", "", queue)
	clone.SetEventBridge("b", true)
	c.SetEventBridge("b", false)
	if _, err := clone.S3("t").DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), VersionId: first}); err != nil {
		t.Fatal(err)
	}
	upload(t, clone, "k", "theirs")
	c.Expire("b", "k")
	if got := content(t, c, "k", first); got != *first+": one" {
		t.Errorf("the version is %s", got)
	}
	if len(c.Objects("b", "")) != 0 || len(clone.Objects("b", "")) != 1 {
		t.Errorf("objects %v, and of the clone %v", c.Objects("b", ""), clone.Objects("b", ""))
	}
	if len(c.Messages(queue)) != 0 || len(clone.Messages(queue)) != 2 {
		t.Errorf("%d events, and of the clone %d", len(c.Messages(queue)), len(clone.Messages(queue)))
	}
}

func TestEventsFollowTheirKeysWhereTheyAreOn(t *testing.T) {
	c := awsfake.New()
	c.AddBucket("b")
	sources, all := c.AddQueue("sources", 0, 0, ""), c.AddQueue("all", 0, 0, "")
	c.NotifySuffix("b", "/source.zip", sources)
	c.Notify("b", "", all)
	upload(t, c, "agent/source.zip", "x")
	upload(t, c, "agent/source.zip.sha", "x")
	c.Expire("b", "agent/source.zip")
	c.SetEventBridge("b", false)
	upload(t, c, "agent/source.zip", "y")
	if len(c.Messages(sources)) != 2 || len(c.Messages(all)) != 3 {
		t.Fatalf("%d events of sources, %d of all", len(c.Messages(sources)), len(c.Messages(all)))
	}
	if body := c.Messages(sources)[1].Body; !strings.Contains(body, `"reason":"Lifecycle Expiration"`) || strings.Contains(body, `"size"`) {
		t.Errorf("expiry: %s", body)
	}
}

func TestABucketRemembersWhatItKeptWithoutVersions(t *testing.T) {
	c := awsfake.New()
	c.AddUnversionedBucket("b")
	c.SetVersioning("b", false) // it was never on
	if v := upload(t, c, "k", "first").VersionId; v != nil {
		t.Errorf("written as version %s", *v)
	}
	upload(t, c, "k", "second")
	c.SetVersioning("b", true)
	null := aws.String("null")
	if got := content(t, c, "k", nil); got != "null: second" {
		t.Errorf("when versioning comes on: %s", got)
	}
	third := upload(t, c, "k", "third").VersionId
	c.SetVersioning("b", false)
	if v := upload(t, c, "k", "fourth").VersionId; aws.ToString(v) != "null" {
		t.Errorf("written as version %s while suspended", aws.ToString(v))
	}
	if got := []string{content(t, c, "k", nil), content(t, c, "k", null), content(t, c, "k", third)}; strings.Join(got, ", ") != "null: fourth, null: fourth, "+*third+": third" {
		t.Errorf("in the end: %v", got)
	}
	c.Expire("b", "k") // its marker is the null version
	if got := content(t, c, "k", third); got != *third+": third" {
		t.Errorf("expired: %s", got)
	}
	if got := content(t, c, "k", nil); !strings.Contains(got, "NoSuchKey") {
		t.Errorf("expired: %s", got)
	}
}
