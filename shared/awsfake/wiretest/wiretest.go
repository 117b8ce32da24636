// Package wiretest is for tests of how a function is wired: what it needs of its
// environment, and what it calls. It stands for AWS on the loopback device.
package wiretest

import (
	"cmp"
	"crypto/md5" //nolint:gosec // what SQS answers
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Request is a request to AWS.
type Request struct {
	*http.Request
	Region, Service string // what it is signed for
	// Call is the operation, with the URL of the queue or the name of the parameter
	// or role that it is about; of S3 and AgentCore the method and the path. A path
	// in the config bucket is without the bucket, and its listing is "list" and the
	// prefix.
	Call string
	// Body is all of it: that of http.Request is read.
	Body  string
	query string // the operation in the query protocol; empty: it is another one
}

// Answer is what AWS answers. The zero one is of an AWS that has nothing, and takes
// messages and objects.
type Answer struct {
	Body   string // with the query protocol, what is in the result
	Status int    // of HTTP, for a refusal, which has no body of the test's; zero: there is none
	Code   string // of the refusal, as "AccessDenied"
}

// Start serves requests until the test ends, and finds fault with those that are not
// signed, or that do not say whose a bucket is. answer is called for several at the
// same time; call is what made has for a request. there is the environment of a
// function, with the way to this AWS, and made gives all calls so far, in the order of
// their answers.
func Start(t *testing.T, environ map[string]string, answer func(Request) (call string, a Answer)) (there map[string]string, made func() []string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := read(r, environ["CONFIG_BUCKET"])
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if owner := r.Header.Get("X-Amz-Expected-Bucket-Owner"); in.Service == "s3" && owner != environ["ACCOUNT_ID"] {
			t.Errorf("%s expects owner %q", in.Call, owner)
		}
		call, a := answer(in)
		mu.Lock()
		calls = append(calls, call)
		mu.Unlock()
		in.write(w, a)
	}))
	t.Cleanup(server.Close)
	there = maps.Clone(environ)
	maps.Copy(there, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_MAX_ATTEMPTS": "1"})
	return there, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(calls)
	}
}

// scope is the part of a signature that names Region and service (IAM user guide,
// "Elements of an AWS API request signature").
var scope = regexp.MustCompile(`Credential=[^/]+/[0-9]+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request`)

// read gives an error for what no SDK sends.
func read(r *http.Request, bucket string) (Request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return Request{}, err
	}
	signed := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if signed == nil {
		return Request{}, fmt.Errorf("not signed: %q", r.Header.Get("Authorization"))
	}
	path := strings.TrimPrefix(r.URL.Path, "/"+bucket)
	in := Request{Request: r, Region: signed[1], Service: signed[2], Body: string(body), Call: r.Method + " " + path}
	switch _, operation, isJSON := strings.Cut(r.Header.Get("X-Amz-Target"), "."); {
	case isJSON:
		var about struct{ QueueUrl, Name string } //nolint:revive // as SQS spells it
		err = json.Unmarshal(body, &about)
		in.Call = strings.TrimSpace(operation + " " + cmp.Or(about.QueueUrl, about.Name))
	case in.Service == "iam" || in.Service == "ec2":
		var form url.Values
		form, err = url.ParseQuery(in.Body)
		in.query = form.Get("Action")
		in.Call = strings.TrimSpace(in.query + " " + form.Get("RoleName"))
	case strings.Trim(path, "/") == "" && r.URL.Query().Has("prefix"):
		in.Call = "list " + r.URL.Query().Get("prefix")
	}
	return in, err
}

// write answers by the protocol of the service.
func (r Request) write(w http.ResponseWriter, a Answer) {
	isS3 := r.Service == "s3"
	if isS3 && r.Method == http.MethodGet && a == (Answer{}) {
		a = Answer{Status: http.StatusNotFound, Code: "NoSuchKey"}
		if strings.HasPrefix(r.Call, "list ") {
			a = Answer{Body: "<ListBucketResult></ListBucketResult>"}
		}
	}
	if a.Status != 0 {
		w.Header().Set("X-Amzn-ErrorType", a.Code) // for the protocols with JSON
		w.WriteHeader(a.Status)
		if isS3 || r.query != "" {
			a.Body = "<Error><Code>" + a.Code + "</Code></Error>"
		}
	}
	switch {
	case r.query != "" && a.Status != 0:
		a.Body = "<ErrorResponse>" + a.Body + "</ErrorResponse>"
	case r.query != "":
		a.Body = fmt.Sprintf("<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>", r.query, a.Body)
	case r.Service == "sqs" && a == (Answer{}):
		var in struct{ MessageBody string }
		_ = json.Unmarshal([]byte(r.Body), &in) // read found that it is JSON
		sum := md5.Sum([]byte(in.MessageBody))  //nolint:gosec // what SQS answers
		a.Body = fmt.Sprintf(`{"MessageId":"1","MD5OfMessageBody":%q}`, hex.EncodeToString(sum[:]))
	}
	_, _ = io.WriteString(w, a.Body) //nolint:gosec // no browser reads it
}

// Needs finds fault with a function that starts without one of the variables of its
// environment, or does not name all that are missing at once. wire is its start.
func Needs(t *testing.T, environ map[string]string, wire func(environ map[string]string) error) {
	t.Helper()
	none := wire(map[string]string{})
	for name := range environ {
		without := maps.Clone(environ)
		delete(without, name)
		for _, err := range []error{none, wire(without)} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v does not name %s", err, name)
			}
		}
	}
}
