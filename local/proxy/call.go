package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"rolekeeper/local/bus"
	"rolekeeper/shared/awsfake"
)

// Call is one request to the local AWS, with its answer once there is one.
type Call struct {
	Seq     int       `json:"seq"` // counts arrivals from 1; Reset does not restart it
	Time    time.Time `json:"time"`
	Caller  string    `json:"caller"`  // from the access key; "unknown" for a key that was not made here
	Service string    `json:"service"` // signing name: s3, sqs, iam, events, sts, ssm, cloudtrail, ec2, …
	Region  string    `json:"region"`  // that it was signed for
	// Operation is PutObject, CreateRole, …. That of one version of an object is in
	// its query: GetObject with versionId needs s3:GetObjectVersion.
	Operation string `json:"operation"`
	// Resource is what the call is about: name of a role, else of a policy or an
	// instance profile, bucket/key, queue name, detail types of events, ARN of a
	// parameter, trail, repository, log group, AgentCore's runtime/<id>, function
	// name; empty where there is none.
	Resource string  `json:"resource"`
	Request  Request `json:"request"`

	Done      bool   `json:"done"`              // there is an answer, or the connection was dropped
	Status    int    `json:"status"`            // HTTP status the caller saw; 0 when the connection was dropped
	ErrorCode string `json:"errorCode"`         // AWS error code the caller saw
	Committed bool   `json:"committed"`         // it took effect, whatever the caller saw
	Fault     Kind   `json:"fault,omitempty"`   // the fault that was injected
	Dropped   bool   `json:"dropped,omitempty"` // the caller saw its connection die
}

// Request is what a simulation needs of a request: parameters and body.
type Request struct {
	Method string            `json:"method"`
	Path   string            `json:"path"` // as sent, escaped
	Query  string            `json:"query"`
	Header map[string]string `json:"header"` // those of keptHeaders that were sent
	Body   string            `json:"body"`   // form, JSON or object, at most 64 KiB of it
}

const maxKeptBody = 64 << 10

// Params gives the parameters of a form request (IAM, STS); the last of
// several values wins.
func (r Request) Params() map[string]string {
	form, err := url.ParseQuery(r.Body)
	if err != nil {
		return nil
	}
	out := make(map[string]string, len(form))
	for k, v := range form {
		out[k] = v[len(v)-1]
	}
	return out
}

// keptHeaders decide what a request means or what a policy can ask about it.
var keptHeaders = []string{
	"Content-Type", "If-Match", "If-None-Match", "X-Amz-Acl", "X-Amz-Copy-Source",
	"X-Amz-Invocation-Type", "X-Amz-Server-Side-Encryption", "X-Amz-Tagging", "X-Amz-Target",
}

// credential finds the access key id, the region and the service in a SigV4 header.
var credential = regexp.MustCompile(`Credential=([^/,]+)/\d+/([^/]*)/([^/]+)/aws4_request`)

// identify reads who calls what. The caller's name is for the proxy to fill in.
func (p *Proxy) identify(r *http.Request, body []byte) (c Call, accessKey string) {
	if m := credential.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		accessKey, c.Region, c.Service = m[1], m[2], m[3]
	}
	c.Time = time.Now()
	c.Request = Request{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		Header: map[string]string{}, Body: string(body[:min(len(body), maxKeptBody)]),
	}
	for _, h := range keptHeaders {
		if v := r.Header.Get(h); v != "" {
			c.Request.Header[h] = v
		}
	}
	switch {
	case c.Service == "s3":
		bucket, key := splitPath(r.URL.Path)
		c.Operation = s3Operation(r, bucket, key)
		c.Resource = strings.TrimSuffix(bucket+"/"+key, "/")
	case r.Header.Get("X-Amz-Target") != "":
		target := r.Header.Get("X-Amz-Target")
		c.Operation = target[strings.LastIndexByte(target, '.')+1:]
		c.Resource = p.jsonResource(c.Service, body)
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		if form, err := url.ParseQuery(string(body)); err == nil {
			c.Operation = form.Get("Action")
			c.Resource = formResource(form)
		}
	case c.Service == "lambda" && invoked(r) != "":
		c.Operation, c.Resource = "Invoke", invoked(r)
	case c.Service == "bedrock-agentcore":
		c.Operation, c.Resource = awsfake.AgentCoreOperation(r.Method, r.URL.Path, r.URL.RawQuery, body)
	default:
		c.Operation = r.Method + " " + r.URL.Path
	}
	return c, accessKey
}

func formResource(form url.Values) string {
	for _, p := range []string{"RoleName", "PolicyArn", "PolicyName", "AWSServiceName", "RoleArn", "InstanceProfileName"} {
		if v := form.Get(p); v != "" {
			return v
		}
	}
	return ""
}

func (p *Proxy) jsonResource(service string, body []byte) string {
	if service == "ecr" {
		return ecrResource(body)
	}
	var in struct {
		QueueURL  string `json:"QueueUrl"`
		QueueName string
		Name      string
		TrailName string
		LogGroup  string `json:"logGroupName"`
		Entries   []struct{ DetailType string }
	}
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	if service == "events" {
		var types []string
		for _, e := range in.Entries {
			types = append(types, e.DetailType)
		}
		return strings.Join(types, ",")
	}
	if service == "codebuild" {
		return codeBuildResource(body)
	}
	if service == "ssm" {
		return p.parameterARN(in.Name)
	}
	if in.QueueURL != "" {
		return bus.QueueName(in.QueueURL)
	}
	return in.QueueName + in.Name + in.TrailName + in.LogGroup // at most one of them is there
}

// splitPath cuts a path-style S3 path.
func splitPath(path string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return bucket, key
}

// bucketAspects are the subresources of a bucket in a query, and what their
// operations are called after Get, Put or Delete.
var bucketAspects = map[string]string{
	"acl": "BucketAcl", "cors": "BucketCors", "encryption": "BucketEncryption",
	"lifecycle": "BucketLifecycleConfiguration", "location": "BucketLocation", "logging": "BucketLogging",
	"notification": "BucketNotificationConfiguration", "ownershipControls": "BucketOwnershipControls",
	"policy": "BucketPolicy", "publicAccessBlock": "PublicAccessBlock", "tagging": "BucketTagging",
	"versioning": "BucketVersioning",
}

var verbs = map[string]string{"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head"}

func s3Operation(r *http.Request, bucket, key string) string {
	q := r.URL.Query()
	verb := verbs[r.Method]
	switch {
	case bucket == "":
		return "ListBuckets"
	case key == "":
		return bucketOperation(r.Method, q)
	case q.Has("tagging"):
		return verb + "ObjectTagging"
	case q.Has("acl"):
		return verb + "ObjectAcl"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case q.Has("uploadId"):
		return map[string]string{
			"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts",
		}[r.Method]
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	case verb == "":
		return r.Method + " object"
	default:
		return verb + "Object"
	}
}

func bucketOperation(method string, q url.Values) string {
	for aspect, name := range bucketAspects {
		if q.Has(aspect) {
			return verbs[method] + name
		}
	}
	switch {
	case method == http.MethodGet && q.Has("versions"):
		return "ListObjectVersions"
	case method == http.MethodGet && q.Has("uploads"):
		return "ListMultipartUploads"
	case method == http.MethodGet && q.Get("list-type") == "2":
		return "ListObjectsV2"
	case method == http.MethodGet:
		return "ListObjects"
	case method == http.MethodPost && q.Has("delete"):
		return "DeleteObjects"
	case method == http.MethodPut:
		return "CreateBucket"
	default:
		return verbs[method] + "Bucket"
	}
}
