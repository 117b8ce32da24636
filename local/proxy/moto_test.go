package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/bus"
	"rolekeeper/local/mototest"
	"rolekeeper/local/proxy"
)

const (
	account = "123456789012"
	region  = "us-east-1"
)

// world is a proxy before a backend, with one caller's configuration.
type world struct {
	*proxy.Proxy
	bus      *bus.Bus
	endpoint string
}

func newWorld(t *testing.T, backend string, timeScale float64) world {
	t.Helper()
	return newWorldIn(t, region, backend, timeScale)
}

func newWorldIn(t *testing.T, region, backend string, timeScale float64) world {
	t.Helper()
	b := bus.New(t.Context(), account, region, func(context.Context, string, string, []byte) error { return nil })
	p := proxy.New(proxy.Options{Backend: mustParse(t, backend), Account: account, Region: region, Bus: b, TimeScale: timeScale})
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return world{p, b, server.URL}
}

func (w world) config(caller string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(w.endpoint),
		Credentials:      credentials.NewStaticCredentialsProvider(w.AccessKey(caller), "secret", ""),
		RetryMaxAttempts: 1,
	}
}

func (w world) s3(caller string) *s3.Client {
	return s3.NewFromConfig(w.config(caller), func(o *s3.Options) { o.UsePathStyle = true })
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// The last subtest pins the gaps of moto that fill-ins stand for: it asks moto
// directly and fails when a gap closes, so that the fill-in can go.
func TestOnMoto(t *testing.T) {
	server := mototest.Start(t)
	w := newWorld(t, server.URL.String(), 1)
	direct := w
	direct.endpoint = server.URL.String()

	t.Run("objects", func(t *testing.T) { testObjects(t, w) })
	t.Run("conditions", func(t *testing.T) { testConditions(t, w) })
	t.Run("object events", func(t *testing.T) { testObjectEvents(t, w) })
	t.Run("roles", func(t *testing.T) { testRoles(t, w) })
	t.Run("service-linked roles", func(t *testing.T) { testServiceLinkedRoles(t, w) })
	t.Run("the account", func(t *testing.T) { testAccount(t, w) })
	t.Run("bucket settings", func(t *testing.T) { testBucketSettings(t, w) })
	t.Run("versions", func(t *testing.T) { testVersions(t, w) })
	t.Run("foreign buckets", func(t *testing.T) { testForeignBuckets(t, w) })
	t.Run("repositories", func(t *testing.T) { testRepositories(t, w) })
	t.Run("log groups", func(t *testing.T) { testLogGroups(t, w) })
	t.Run("runtimes", func(t *testing.T) { testAgentCore(t, w) })
	t.Run("queues", func(t *testing.T) { testQueues(t, w) })
	t.Run("parameters", func(t *testing.T) { testParameters(t, w) })
	t.Run("trails", func(t *testing.T) { testTrails(t, w) })
	t.Run("what a trail tells of roles", func(t *testing.T) { testTrailOfIAM(t, w) })
	t.Run("put events", func(t *testing.T) { testPutEvents(t, w) })
	t.Run("service-linked roles that come and go", func(t *testing.T) { testLinkedRoles(t, w) })
	t.Run("network interfaces", func(t *testing.T) { testInterfaces(t, w) })
	t.Run("what nobody answers", func(t *testing.T) { testUnanswered(t, w) })
	t.Run("moto's gaps", func(t *testing.T) { testGaps(t, direct) })
}

func makeBucket(t *testing.T, w world, name string, versioned bool) {
	t.Helper()
	c := w.s3("operator")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket:                    &name,
		NotificationConfiguration: &s3types.NotificationConfiguration{EventBridgeConfiguration: &s3types.EventBridgeConfiguration{}},
	}); err != nil {
		t.Fatal(err)
	}
	if !versioned {
		return
	}
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &name, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}
}

func testObjects(t *testing.T, w world) {
	makeBucket(t, w, "objects", true)
	c := w.s3("lister")
	put, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("objects"), Key: aws.String("a/b c+é.txt"), Body: strings.NewReader("hello")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("objects"), Key: aws.String("a/b c+é.txt")})
	if err != nil {
		t.Fatal(err)
	}
	if v := aws.ToString(got.VersionId); v == "" || v == "null" || v != aws.ToString(put.VersionId) {
		t.Errorf("version of the read object = %q, of the written %q", v, aws.ToString(put.VersionId))
	}

	w.SetListBucket(func(caller, _ string) bool { return caller != "reader" })
	defer w.SetListBucket(nil)
	missing := &s3.GetObjectInput{Bucket: aws.String("objects"), Key: aws.String("missing")}
	if _, err := c.GetObject(t.Context(), missing); code(err) != "NoSuchKey" {
		t.Errorf("a missing key for a caller who may list: %v", err)
	}
	if _, err := w.s3("reader").GetObject(t.Context(), missing); code(err) != "AccessDenied" {
		t.Errorf("a missing key for a caller who may not list: %v", err)
	}
	_, err = w.s3("reader").HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: missing.Bucket, Key: missing.Key})
	var response interface{ HTTPStatusCode() int }
	if !errors.As(err, &response) || response.HTTPStatusCode() != http.StatusForbidden {
		t.Errorf("head of a missing key for a caller who may not list: %v", err)
	}
	calls := w.Calls(proxy.Filter{Caller: "reader"})
	if len(calls) != 2 || calls[0].Operation != "GetObject" || calls[0].Resource != "objects/missing" ||
		calls[0].ErrorCode != "AccessDenied" || calls[1].Operation != "HeadObject" || calls[1].Status != http.StatusForbidden {
		t.Errorf("calls of the reader: %+v", calls)
	}
	notification, err := c.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String("objects")})
	if err != nil || notification.EventBridgeConfiguration == nil {
		t.Errorf("EventBridge on the bucket: %v, %v", notification, err)
	}
}

func testConditions(t *testing.T, w world) {
	makeBucket(t, w, "conditions", true)
	c, bucket := w.s3("operator"), aws.String("conditions")
	put := func(key, ifMatch, ifNoneMatch string) (string, error) {
		in := &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(key + ifMatch)}
		if ifMatch != "" {
			in.IfMatch = &ifMatch
		}
		if ifNoneMatch != "" {
			in.IfNoneMatch = &ifNoneMatch
		}
		out, err := c.PutObject(t.Context(), in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.ETag), nil
	}
	remove := func(key, ifMatch string) error {
		in := &s3.DeleteObjectInput{Bucket: bucket, Key: &key}
		if ifMatch != "" {
			in.IfMatch = &ifMatch
		}
		_, err := c.DeleteObject(t.Context(), in)
		return err
	}
	expect := func(what string, err error, want string) {
		t.Helper()
		if got := code(err); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	etag, err := put("k", "", "*")
	expect("create", err, "")
	_, err = put("k", "", "*")
	expect("create again", err, "PreconditionFailed")
	_, err = put("k", `"0123"`, "")
	expect("change with another tag", err, "PreconditionFailed")
	changed, err := put("k", etag, "")
	expect("change", err, "")
	_, err = put("k", etag, "")
	expect("change with the old tag", err, "PreconditionFailed")
	expect("delete with the old tag", remove("k", etag), "PreconditionFailed")
	expect("delete", remove("k", changed), "")
	_, err = put("k", changed, "")
	expect("change what is deleted", err, "NoSuchKey")
	expect("delete what is deleted, if it matches", remove("k", changed), "NoSuchKey")
	_, err = put("k", "", "*")
	expect("create what is deleted", err, "")

	var wins, losses int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: bucket, Key: aws.String("race"), IfNoneMatch: aws.String("*"), Body: strings.NewReader(fmt.Sprint(i)),
			})
			mu.Lock()
			defer mu.Unlock()
			switch code(err) {
			case "":
				wins++
			case "PreconditionFailed":
				losses++
			}
		})
	}
	wg.Wait()
	if wins != 1 || losses != 11 {
		t.Errorf("twelve creations at once: %d won, %d lost", wins, losses)
	}
}

type s3Detail struct {
	Bucket struct{ Name string }
	Object struct {
		Key, ETag string
		Size      int64
		VersionID string `json:"version-id"`
		Sequencer string
	}
	Requester    string
	RequestID    string `json:"request-id"`
	Reason       string
	DeletionType string `json:"deletion-type"`
}

func testObjectEvents(t *testing.T, w world) {
	makeBucket(t, w, "loud", true)
	makeBucket(t, w, "plain", false)
	c, bucket, key := w.s3("operator"), aws.String("loud"), aws.String("configs/ä b.yaml")
	before := len(w.bus.Events())
	put, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("12345")})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("loud/configs/%C3%A4%20b.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	marker, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: key, VersionId: put.VersionId}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{
		Bucket: bucket, Delete: &s3types.Delete{Objects: []s3types.ObjectIdentifier{{Key: aws.String("copy")}}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("plain"), Key: key, Body: strings.NewReader("")}); err != nil {
		t.Fatal(err)
	}
	uploadInParts(t, c, "plain", "parts", "1234567")

	type line struct {
		DetailType, Bucket, Key, Reason, DeletionType, Version string
		Size                                                   int64
	}
	var got []line
	ids, last := map[string]bool{}, ""
	for _, e := range w.bus.Events()[before:] {
		var d s3Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			t.Fatal(err)
		}
		got = append(got, line{e.DetailType, d.Bucket.Name, d.Object.Key, d.Reason, d.DeletionType, d.Object.VersionID, d.Object.Size})
		if d.Object.Sequencer <= last || len(d.Object.Sequencer)%2 != 0 {
			t.Errorf("sequencer %q after %q", d.Object.Sequencer, last)
		}
		last = d.Object.Sequencer
		if ids[e.ID] || ids[d.RequestID] {
			t.Errorf("id of %s came before", e.DetailType)
		}
		ids[e.ID], ids[d.RequestID] = true, true
		if e.Account != account || e.Source != "aws.s3" || d.Requester != account || strings.Contains(d.Object.ETag, `"`) {
			t.Errorf("envelope: %+v, %+v", e, d)
		}
	}
	if len(got) > 4 && got[4].Version != "" {
		got[4].Version = "set" // DeleteObjects' output does not tell it to the test
	}
	want := []line{
		{"Object Created", "loud", *key, "PutObject", "", aws.ToString(put.VersionId), 5},
		{"Object Created", "loud", "copy", "CopyObject", "", aws.ToString(copied.VersionId), 5},
		{"Object Deleted", "loud", *key, "DeleteObject", "Delete Marker Created", aws.ToString(marker.VersionId), 0},
		{"Object Deleted", "loud", *key, "DeleteObject", "Permanently Deleted", aws.ToString(put.VersionId), 0},
		{"Object Deleted", "loud", "copy", "DeleteObject", "Delete Marker Created", "set", 0},
		{"Object Created", "plain", *key, "PutObject", "", "", 0},
		{"Object Created", "plain", "parts", "CompleteMultipartUpload", "", "", 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func uploadInParts(t *testing.T, c *s3.Client, bucket, key, text string) {
	t.Helper()
	upload, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader(text),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: upload.UploadId,
		MultipartUpload: &s3types.CompletedMultipartUpload{Parts: []s3types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}},
	}); err != nil {
		t.Fatal(err)
	}
}

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func testRoles(t *testing.T, w world) {
	c := iam.NewFromConfig(w.config("maker"))
	boundary, err := c.CreatePolicy(t.Context(), &iam.CreatePolicyInput{
		PolicyName: aws.String("boundary"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string, change func(*iam.CreateRoleInput)) error {
		in := &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)}
		if change != nil {
			change(in)
		}
		_, err := c.CreateRole(t.Context(), in)
		return err
	}
	trusts := func(document string) func(*iam.CreateRoleInput) {
		return func(in *iam.CreateRoleInput) { in.AssumeRolePolicyDocument = &document }
	}
	tags := func(keys ...string) func(*iam.CreateRoleInput) {
		return func(in *iam.CreateRoleInput) {
			for _, k := range keys {
				in.Tags = append(in.Tags, iamtypes.Tag{Key: aws.String(k), Value: aws.String("v")})
			}
		}
	}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	steps := []struct {
		what, name string
		change     func(*iam.CreateRoleInput)
		want       string
	}{
		{"a role with a boundary", "Role", func(in *iam.CreateRoleInput) { in.PermissionsBoundary = boundary.Policy.Arn }, ""},
		{"the same again", "Role", nil, "EntityAlreadyExists"},
		{"the same in another case", "ROLE", nil, "EntityAlreadyExists"},
		{"a boundary that does not exist", "r1", func(in *iam.CreateRoleInput) {
			in.PermissionsBoundary = aws.String("arn:aws:iam::123456789012:policy/none")
		}, "NoSuchEntity"},
		{"a slash in the name", "a/b", nil, "ValidationError"},
		{"65 characters", strings.Repeat("a", 65), nil, "ValidationError"},
		{"64 characters", strings.Repeat("a", 64), nil, ""},
		{"a reserved path", "r2", func(in *iam.CreateRoleInput) { in.Path = aws.String("/aws-service-role/x.amazonaws.com/") }, "ValidationError"},
		{"a session too long", "r3", func(in *iam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(43201) }, "ValidationError"},
		{"51 tags", "r4", tags(many...), "LimitExceeded"},
		{"a reserved tag", "r5", tags("aws:x"), "InvalidInput"},
		{"tags that differ in case", "r6", tags("Team", "team"), "InvalidInput"},
		{"a trust that is no JSON", "r7", trusts("{not json"), "MalformedPolicyDocument"},
		{"a trust without principal", "r8", trusts(`{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}`), "MalformedPolicyDocument"},
		{"a trust with a resource", "r9", trusts(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}`), "MalformedPolicyDocument"},
		{"a trust for another action", "r10", trusts(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}`), "MalformedPolicyDocument"},
		{"a trust in an unknown service", "r11", trusts(`{"Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock"},"Action":"sts:AssumeRole"}]}`), "MalformedPolicyDocument"},
		{"a trust with an unknown element", "r12", trusts(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Actions":"x"}]}`), "MalformedPolicyDocument"},
		{"a trust of 2,049 characters", "r13", trusts(trust + strings.Repeat(" ", 2049-len(trust))), "LimitExceeded"},
		{"a trust of one statement, not a list", "r14", trusts(`{"Statement":{"Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:root"]},"Action":["sts:AssumeRole","sts:TagSession"]}}`), ""},
	}
	for _, s := range steps {
		if got := code(create(s.name, s.change)); got != s.want {
			t.Errorf("create with %s: %q, want %q", s.what, got, s.want)
		}
	}
	_, err = c.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("Role"), PolicyDocument: aws.String(`{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}`)})
	if code(err) != "MalformedPolicyDocument" {
		t.Errorf("a new trust without principal: %v", err)
	}
	put := func(name string, size int) error {
		document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s"}]}`
		document = fmt.Sprintf(document, strings.Repeat("x", size-len(document)+2)) + strings.Repeat(" ", 9_000) // white space does not count
		_, err := c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("Role"), PolicyName: &name, PolicyDocument: &document})
		return err
	}
	for i, want := range []string{"", "LimitExceeded", "", ""} {
		name, size := "a", 6_000
		if i == 1 || i == 3 {
			name, size = "b", 4_241
		}
		if i == 2 {
			size = 5_999
		}
		if got := code(put(name, size)); got != want {
			t.Errorf("inline policy, step %d: %q, want %q", i, got, want)
		}
	}
	role, err := c.GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("Role")})
	if err != nil {
		t.Fatal(err)
	}
	first := aws.ToString(role.Role.RoleId)
	for _, policy := range []string{"a", "b"} {
		if _, err := c.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("Role"), PolicyName: &policy}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("Role")}); err != nil {
		t.Fatal(err)
	}
	if err := create("ROLE", nil); err != nil {
		t.Errorf("a name that is free again, in another case: %v", err)
	}
	role, err = c.GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("ROLE")})
	if err != nil || aws.ToString(role.Role.RoleId) == first || !strings.HasPrefix(first, "AROA") {
		t.Errorf("the role made anew has id %v, the first had %s (%v)", role, first, err)
	}
}

func testServiceLinkedRoles(t *testing.T, w world) {
	c := iam.NewFromConfig(w.config("maker"))
	create := func(service string) (*iam.CreateServiceLinkedRoleOutput, error) {
		return c.CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: &service})
	}
	out, err := create("runtime-identity.bedrock-agentcore.amazonaws.com")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := aws.ToString(out.Role.Arn), "arn:aws:iam::123456789012:role/aws-service-role/runtime-identity.bedrock-agentcore.amazonaws.com/AWSServiceRoleForBedrockAgentCoreRuntimeIdentity"; got != want {
		t.Errorf("ARN = %s, want %s", got, want)
	}
	if _, err := create("runtime-identity.bedrock-agentcore.amazonaws.com"); code(err) != "InvalidInput" || !strings.Contains(err.Error(), "has been taken") {
		t.Errorf("the same again: %v", err)
	}
	if _, err := create("bogus.amazonaws.com"); code(err) != "InvalidInput" {
		t.Errorf("an unknown service: %v", err)
	}
	_, err = c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: out.Role.RoleName, PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Statement":[]}`)})
	if code(err) != "UnmodifiableEntity" {
		t.Errorf("a policy on a service-linked role: %v", err)
	}
	if _, err := c.GetRole(t.Context(), &iam.GetRoleInput{RoleName: out.Role.RoleName}); err != nil {
		t.Error(err)
	}
}

// testAccount reads what says how an account is, as the command-line tool does.
func testAccount(t *testing.T, w world) {
	c := iam.NewFromConfig(w.config("teller"))
	const administrator, bedrock = "arn:aws:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/BedrockAgentCoreFullAccess"
	before, err := c.GetAccountSummary(t.Context(), &iam.GetAccountSummaryInput{})
	if err != nil {
		t.Fatal(err)
	}
	for name, boundary := range map[string]*string{"bounded": aws.String(administrator), "unbounded": nil} {
		if _, err := c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust), PermissionsBoundary: boundary}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("unbounded"), PolicyArn: aws.String(bedrock)}); err != nil {
		t.Fatal(err)
	}
	after, err := c.GetAccountSummary(t.Context(), &iam.GetAccountSummaryInput{})
	if err != nil || after.SummaryMap["Roles"] != before.SummaryMap["Roles"]+2 || after.SummaryMap["RolesQuota"] != 1000 ||
		after.SummaryMap["Policies"] != before.SummaryMap["Policies"] || after.SummaryMap["PoliciesQuota"] != 1500 {
		t.Errorf("two roles more: %v, before it %v (%v)", after, before, err)
	}

	details, err := c.GetAccountAuthorizationDetails(t.Context(), &iam.GetAccountAuthorizationDetailsInput{Filter: []iamtypes.EntityType{iamtypes.EntityTypeRole}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range details.RoleDetailList {
		if name := aws.ToString(r.RoleName); strings.HasSuffix(name, "bounded") {
			got[name] = fmt.Sprint(r.PermissionsBoundary != nil, len(r.AttachedManagedPolicies), r.CreateDate.Year() > 2000)
		}
	}
	if want := (map[string]string{"bounded": "true 0 true", "unbounded": "false 1 true"}); !cmp.Equal(want, got) {
		t.Errorf("roles: %v, want %v", got, want)
	}
	roles, err := c.ListRoles(t.Context(), &iam.ListRolesInput{})
	if err != nil || len(roles.Roles) != len(details.RoleDetailList) {
		t.Errorf("%d roles in the list, %d in the details (%v)", len(roles.Roles), len(details.RoleDetailList), err)
	}
	if _, err := c.GetAccountAuthorizationDetails(t.Context(), &iam.GetAccountAuthorizationDetailsInput{}); code(err) != "NotImplemented" {
		t.Errorf("details of everything: %v", err)
	}

	// Policies of AWS have their documents.
	p, err := c.GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: aws.String(administrator)})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.GetPolicyVersion(t.Context(), &iam.GetPolicyVersionInput{PolicyArn: p.Policy.Arn, VersionId: p.Policy.DefaultVersionId})
	if err != nil || !strings.Contains(aws.ToString(v.PolicyVersion.Document), "Allow") {
		t.Errorf("AdministratorAccess: %v (%v)", v, err)
	}
	if _, err := c.GetPolicy(t.Context(), &iam.GetPolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/None")}); code(err) != "NoSuchEntity" {
		t.Errorf("a policy that AWS does not have: %v", err)
	}
	_, err = c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String(trust), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/None")})
	if code(err) != "NoSuchEntity" {
		t.Errorf("such a policy as a boundary: %v", err)
	}

	entities := &iam.ListEntitiesForPolicyInput{PolicyArn: aws.String(bedrock), PolicyUsageFilter: iamtypes.PolicyUsageTypePermissionsPolicy}
	of, err := c.ListEntitiesForPolicy(t.Context(), entities)
	if err != nil || len(of.PolicyRoles) != 1 || aws.ToString(of.PolicyRoles[0].RoleName) != "unbounded" {
		t.Errorf("roles with the policy: %v (%v)", of, err)
	}
	entities.PolicyUsageFilter = ""
	if _, err := c.ListEntitiesForPolicy(t.Context(), entities); code(err) != "NotImplemented" {
		t.Errorf("roles with the policy or with the boundary: %v", err)
	}
}

func testBucketSettings(t *testing.T, w world) {
	makeBucket(t, w, "settings", true)
	makeBucket(t, w, "plain-settings", false)
	c, bucket, none := w.s3("teller"), aws.String("settings"), aws.String("settings-none")
	versioning, err := c.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: bucket})
	if err != nil || versioning.Status != s3types.BucketVersioningStatusEnabled {
		t.Errorf("versioning: %v (%v)", versioning, err)
	}
	versioning, err = c.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: aws.String("plain-settings")})
	if err != nil || versioning.Status != "" {
		t.Errorf("versioning that was never on: %v (%v)", versioning, err)
	}
	if _, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	if _, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: none}); code(err) != "NotFound" {
		t.Errorf("a bucket that is not there: %v", err)
	}

	get := func(bucket *string) (string, error) {
		out, err := c.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: bucket})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.Policy), nil
	}
	put := func(bucket *string, policy string) error {
		_, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: bucket, Policy: &policy})
		return err
	}
	if _, err := get(bucket); code(err) != "NoSuchBucketPolicy" {
		t.Errorf("a policy that was never put: %v", err)
	}
	if _, err := get(none); code(err) != "NoSuchBucket" {
		t.Errorf("the policy of no bucket: %v", err)
	}
	if err := put(none, "{}"); code(err) != "NoSuchBucket" {
		t.Errorf("a policy for no bucket: %v", err)
	}
	if err := put(bucket, `{"Statement":[`); code(err) != "MalformedPolicy" {
		t.Errorf("a policy that is no JSON: %v", err)
	}
	const deny = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::settings/*"}]}`
	if err := put(bucket, deny); err != nil {
		t.Error(err)
	}
	if got, err := get(bucket); err != nil || got != deny {
		t.Errorf("the policy is %s (%v)", got, err)
	}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x")}); err != nil {
		t.Errorf("the policy is obeyed: %v", err)
	}
	if _, err := c.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	if _, err := get(bucket); code(err) != "NoSuchBucketPolicy" {
		t.Errorf("a policy that was deleted: %v", err)
	}

	for _, key := range []string{"requests/config/a/1.json", "requests/config/a/2.json", "requests/config/b/3.json"} {
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("requests/config/a/"), MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	if diff := cmp.Diff([]string{"requests/config/a/1.json", "requests/config/a/2.json"}, keys); diff != "" {
		t.Errorf("keys, page by page (-want +got):\n%s", diff)
	}
}

func testParameters(t *testing.T, w world) {
	c := ssm.NewFromConfig(w.config("reader"))
	put := func(name string, tier ssmtypes.ParameterTier, length int) error {
		_, err := c.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: &name, Type: ssmtypes.ParameterTypeString, Tier: tier, Value: aws.String(strings.Repeat("x", length)),
		})
		return err
	}
	for _, s := range []struct {
		name   string
		tier   ssmtypes.ParameterTier
		length int
		want   string
	}{
		{"/rolekeeper/one/settings", ssmtypes.ParameterTierAdvanced, 8192, ""},
		{"/rolekeeper/one/settings", ssmtypes.ParameterTierAdvanced, 1, "ParameterAlreadyExists"},
		{"/rolekeeper/two/settings", ssmtypes.ParameterTierAdvanced, 8193, "ValidationException"},
		{"/rolekeeper/two/settings", ssmtypes.ParameterTierStandard, 4097, "ValidationException"},
		{"standard", "", 4096, ""},
	} {
		if got := code(put(s.name, s.tier, s.length)); got != s.want {
			t.Errorf("put %d characters into %s %s: %q, want %q", s.length, s.tier, s.name, got, s.want)
		}
	}
	const arn = "arn:aws:ssm:us-east-1:123456789012:parameter/"
	for name, want := range map[string]string{"/rolekeeper/one/settings": arn + "rolekeeper/one/settings", "standard": arn + "standard"} {
		w.Reset()
		got, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		if err != nil || aws.ToString(got.Parameter.ARN) != want || got.Parameter.Version != 1 {
			t.Errorf("%s: %v (%v)", name, got, err)
		}
		calls := w.Calls(proxy.Filter{Caller: "reader", Service: "ssm"})
		if len(calls) != 1 || calls[0].Operation != "GetParameter" || calls[0].Resource != want || calls[0].Status != http.StatusOK {
			t.Errorf("calls: %+v", calls)
		}
	}
	if _, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/rolekeeper/two/settings")}); code(err) != "ParameterNotFound" {
		t.Errorf("a parameter that is not there: %v", err)
	}
	fault := w.InjectFault(proxy.Fault{Service: "ssm", Kind: proxy.Denied})
	defer fault.Remove()
	if _, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("standard")}); code(err) != "AccessDeniedException" {
		t.Errorf("a denied read: %v", err)
	}
}

func testTrails(t *testing.T, w world) {
	makeBucket(t, w, "trails", false)
	c, name := cloudtrail.NewFromConfig(w.config("teller")), aws.String("trail")
	list, err := c.DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{})
	if err != nil || len(list.TrailList) != 0 {
		t.Errorf("trails of a new account: %v (%v)", list, err)
	}
	if _, err := c.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: name, S3BucketName: aws.String("trails"), IsMultiRegionTrail: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	list, err = c.DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{})
	if err != nil || len(list.TrailList) != 1 || !aws.ToBool(list.TrailList[0].IsMultiRegionTrail) || aws.ToString(list.TrailList[0].HomeRegion) != region {
		t.Errorf("trails: %v (%v)", list, err)
	}
	status := func() bool {
		t.Helper()
		got, err := c.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToBool(got.IsLogging)
	}
	if status() {
		t.Error("a new trail logs")
	}
	if _, err := c.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: name}); err != nil || !status() {
		t.Errorf("a trail that was started does not log (%v)", err)
	}
	if _, err := c.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("none")}); code(err) != "TrailNotFoundException" {
		t.Errorf("a trail that is not there: %v", err)
	}

	selectors, err := c.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: name})
	if err != nil || len(selectors.EventSelectors) != 1 || !aws.ToBool(selectors.EventSelectors[0].IncludeManagementEvents) ||
		selectors.EventSelectors[0].ReadWriteType != trailtypes.ReadWriteTypeAll {
		t.Errorf("event selectors of a new trail: %v (%v)", selectors, err)
	}
	if _, err := c.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: name, AdvancedEventSelectors: []trailtypes.AdvancedEventSelector{
		{FieldSelectors: []trailtypes.AdvancedFieldSelector{{Field: aws.String("eventCategory"), Equals: []string{"Data"}}}},
	}}); err != nil {
		t.Fatal(err)
	}
	selectors, err = c.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: name})
	if err != nil || len(selectors.EventSelectors) != 0 || len(selectors.AdvancedEventSelectors) != 1 {
		t.Errorf("event selectors that were put: %v (%v)", selectors, err)
	}
	if calls := w.Calls(proxy.Filter{Service: "cloudtrail", Operation: "GetEventSelectors"}); len(calls) != 2 || calls[0].Resource != "trail" {
		t.Errorf("calls: %+v", calls)
	}
}

func testQueues(t *testing.T, w world) {
	c := sqs.NewFromConfig(w.config("sender"))
	q, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("work.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*q.QueueUrl, w.endpoint) {
		t.Errorf("the queue's URL %s is not at the proxy", *q.QueueUrl)
	}
	send := func(id string) string {
		t.Helper()
		out, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: q.QueueUrl, MessageBody: aws.String("b"), MessageGroupId: aws.String("g"), MessageDeduplicationId: &id})
		if err != nil {
			t.Fatal(err)
		}
		return *out.MessageId
	}
	first := send("1")
	got, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: q.QueueUrl})
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("receive: %v, %v", got, err)
	}
	if _, err := c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: q.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	if again := send("1"); again != first {
		t.Errorf("the id of a deleted message is forgotten: %s, %s", first, again)
	}
	if got, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: q.QueueUrl}); err != nil || len(got.Messages) != 0 {
		t.Errorf("a duplicate was received: %v, %v", got, err)
	}
	if n := len(w.Calls(proxy.Filter{Service: "sqs", Operation: "ReceiveMessage"})); n != 1 {
		t.Errorf("%d receives logged, want only the one that brought a message", n)
	}
	_, err = c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: q.QueueUrl, MessageBody: aws.String("b"), MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("2"), DelaySeconds: 5})
	if code(err) != "InvalidParameterValue" {
		t.Errorf("a delay on a FIFO queue: %v", err)
	}
	for _, c := range w.Calls(proxy.Filter{Service: "sqs"}) {
		if c.Resource != "work.fifo" || c.Caller != "sender" {
			t.Errorf("call %s by %s on %q", c.Operation, c.Caller, c.Resource)
		}
	}
}

func testPutEvents(t *testing.T, w world) {
	c := eventbridge.NewFromConfig(w.config("maker"))
	entry := func(source, detail string) eventtypes.PutEventsRequestEntry {
		return eventtypes.PutEventsRequestEntry{Source: aws.String(source), DetailType: aws.String("T"), Detail: aws.String(detail), Time: aws.Time(time.Unix(1_700_000_000, 0))}
	}
	before := len(w.bus.Events())
	out, err := c.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{
		entry("rolekeeper", `{"a":1}`), entry("rolekeeper", `[1]`), entry("aws.s3", `{}`), entry("", `{}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, e := range out.Entries {
		codes = append(codes, aws.ToString(e.ErrorCode))
	}
	if diff := cmp.Diff([]string{"", "MalformedDetail", "NotAuthorizedForSourceException", "InvalidArgument"}, codes); diff != "" || out.FailedEntryCount != 3 {
		t.Errorf("%d failed (-want +got):\n%s", out.FailedEntryCount, diff)
	}
	events := w.bus.Events()[before:]
	if len(events) != 1 || events[0].ID != aws.ToString(out.Entries[0].EventId) || events[0].Account != account || events[0].Time.Unix() != 1_700_000_000 {
		t.Errorf("events: %+v", events)
	}
	if _, err := c.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: make([]eventtypes.PutEventsRequestEntry, 11)}); code(err) != "ValidationException" {
		t.Errorf("eleven entries: %v", err)
	}
}

func testUnanswered(t *testing.T, w world) {
	_, err := iam.NewFromConfig(w.config("maker")).GenerateOrganizationsAccessReport(t.Context(), &iam.GenerateOrganizationsAccessReportInput{EntityPath: aws.String("o-1/r-1/ou-1")})
	if code(err) != "NotImplemented" {
		t.Errorf("an operation that moto lacks: %v", err)
	}
	_, err = eventbridge.NewFromConfig(w.config("maker")).ListRules(t.Context(), &eventbridge.ListRulesInput{})
	if code(err) != "NotImplemented" {
		t.Errorf("a rule read from EventBridge: %v", err)
	}
}

func testGaps(t *testing.T, direct world) {
	c := iam.NewFromConfig(direct.config("gaps"))
	for what, in := range map[string]*iam.CreateRoleInput{
		"checks a trust policy":              {RoleName: aws.String("gap1"), AssumeRolePolicyDocument: aws.String("{not json")},
		"checks that a boundary exists":      {RoleName: aws.String("gap2"), AssumeRolePolicyDocument: aws.String(trust), PermissionsBoundary: aws.String("arn:aws:iam::123456789012:policy/none")},
		"tells names that differ in case":    {RoleName: aws.String("GAP1"), AssumeRolePolicyDocument: aws.String(trust)},
		"checks the length of a role's name": {RoleName: aws.String(strings.Repeat("g", 65)), AssumeRolePolicyDocument: aws.String(trust)},
		"keeps the path of AWS to itself":    {RoleName: aws.String("gap3"), AssumeRolePolicyDocument: aws.String(trust), Path: aws.String("/aws-service-role/x.amazonaws.com/")},
	} {
		if _, err := c.CreateRole(t.Context(), in); err != nil {
			t.Errorf("moto now %s (%v): the fill-in can go", what, err)
		}
	}
	long := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s"}]}`, strings.Repeat("x", 10_240))
	if _, err := c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("gap2"), PolicyName: aws.String("p"), PolicyDocument: &long}); err != nil {
		t.Errorf("moto now has the inline quota (%v): the fill-in can go", err)
	}
	out, err := c.CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("network.bedrock-agentcore.amazonaws.com")})
	if err != nil || aws.ToString(out.Role.RoleName) == "AWSServiceRoleForBedrockAgentCoreNetwork" {
		t.Errorf("moto now names service-linked roles right (%v): the fill-in can go", err)
	}

	testGapsOfServiceLinkedRoles(t, direct)
	testGapsOfTheAccount(t, direct)
	testGapsOfInstanceProfiles(t, direct)
	testGapsBesideRoles(t, direct)
	testGapsOfBuckets(t, direct)
	testGapsOfRepositories(t, direct)
	testGapsOfLogGroups(t, direct)
	testGapsOfAgentCore(t, direct)

	q := sqs.NewFromConfig(direct.config("gaps"))
	queue, err := q.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("gap.fifo"), Attributes: map[string]string{"FifoQueue": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	received := 0
	for range 2 {
		if _, err := q.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: queue.QueueUrl, MessageBody: aws.String("b"), MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("1")}); err != nil {
			t.Fatal(err)
		}
		got, err := q.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			received++
			if _, err := q.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: queue.QueueUrl, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if received != 2 {
		t.Errorf("received %d times: moto now remembers the id of a deleted message, the fill-in can go", received)
	}
}

func testGapsOfTheAccount(t *testing.T, direct world) {
	c, role := iam.NewFromConfig(direct.config("gaps")), []iamtypes.EntityType{iamtypes.EntityTypeRole}
	details, err := c.GetAccountAuthorizationDetails(t.Context(), &iam.GetAccountAuthorizationDetailsInput{Filter: role, MaxItems: aws.Int32(1)})
	if err != nil || len(details.RoleDetailList) < 2 || details.IsTruncated {
		t.Fatalf("moto now gives the details of roles in pages (%+v, %v): the fill-in can go", details, err)
	}
	if trust := aws.ToString(details.RoleDetailList[0].AssumeRolePolicyDocument); !strings.HasPrefix(trust, "{") {
		t.Errorf("moto now encodes the trust policies of the details (%s): the fill-in can go", trust)
	}
	roles, err := c.ListRoles(t.Context(), &iam.ListRolesInput{MaxItems: aws.Int32(1001)})
	if err != nil {
		t.Fatalf("moto now refuses to list more than 1,000 roles at once (%v): the fill-in can go", err)
	}
	if trust := aws.ToString(roles.Roles[0].AssumeRolePolicyDocument); !strings.HasPrefix(trust, "{") {
		t.Errorf("moto now encodes the trust policies of the list of roles (%s): the fill-in can go", trust)
	}
}

func testGapsOfInstanceProfiles(t *testing.T, direct world) {
	c, name := iam.NewFromConfig(direct.config("gaps")), aws.String("gap2")
	if _, err := c.CreateInstanceProfile(t.Context(), &iam.CreateInstanceProfileInput{InstanceProfileName: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RemoveRoleFromInstanceProfile(t.Context(), &iam.RemoveRoleFromInstanceProfileInput{RoleName: name, InstanceProfileName: name}); code(err) == "NoSuchEntity" {
		t.Errorf("moto now tells when a role is not in an instance profile (%v): the fill-in can go", err)
	}
	if _, err := c.ListInstanceProfilesForRole(t.Context(), &iam.ListInstanceProfilesForRoleInput{RoleName: aws.String("gap-none")}); err != nil {
		t.Errorf("moto now lists no instance profiles of a role that is not there (%v): the fill-in can go", err)
	}
}

func testGapsBesideRoles(t *testing.T, direct world) {
	c, administrator := iam.NewFromConfig(direct.config("gaps")), aws.String("arn:aws:iam::aws:policy/AdministratorAccess")
	if _, err := c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("gap4"), AssumeRolePolicyDocument: aws.String(trust), PermissionsBoundary: administrator}); err != nil {
		t.Fatal(err)
	}
	entities, err := c.ListEntitiesForPolicy(t.Context(), &iam.ListEntitiesForPolicyInput{PolicyArn: administrator})
	if err != nil || len(entities.PolicyRoles) != 0 {
		t.Errorf("moto now tells what a policy bounds (%v): the refusal can go", err)
	}

	p := ssm.NewFromConfig(direct.config("gaps"))
	if _, err := p.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("gap"), Type: ssmtypes.ParameterTypeString, Value: aws.String(strings.Repeat("x", 8193)),
	}); err != nil {
		t.Errorf("moto now checks the length of parameters (%v): the fill-in can go", err)
	}

	b, bucket := direct.s3("gaps"), aws.String("gap-bucket")
	if _, err := b.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	trails := cloudtrail.NewFromConfig(direct.config("gaps"))
	if _, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("gap"), S3BucketName: bucket}); err != nil {
		t.Fatal(err)
	}
	selectors, err := trails.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: aws.String("gap")})
	if err != nil || len(selectors.EventSelectors)+len(selectors.AdvancedEventSelectors) != 0 {
		t.Errorf("moto now gives a trail its event selector (%v): the fill-in can go", err)
	}

	if _, err := b.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::gap-bucket/*","Condition":{"Null":{"s3:if-none-match":"false"}}}]}`,
	)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x")}); code(err) != "Forbidden" {
		t.Errorf("moto now looks at the conditions of a bucket policy (%v): the fill-in can go", err)
	}
}
