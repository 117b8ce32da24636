package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ecrRequest is what the proxy reads of a request to ECR.
type ecrRequest struct {
	RepositoryName  string
	RepositoryNames []string
	ResourceARN     string `json:"resourceArn"`
	ImageManifest   string
	Tags            []struct{ Key, Value string }
}

// ecrResource gives the name of the repository that a request is about, or the
// names of several.
func ecrResource(body []byte) string {
	var in ecrRequest
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	_, tagged, _ := strings.Cut(in.ResourceARN, ":repository/")
	return in.RepositoryName + strings.Join(in.RepositoryNames, ",") + tagged // one shape has one of them
}

// repositoryName is what names of repositories are (ECR API reference,
// CreateRepository).
var repositoryName = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// wrong gives the code and message with which ECR refuses names and tags that
// moto takes; the code is empty when it takes them.
func (r ecrRequest) wrong() (code, message string) {
	names := r.RepositoryNames
	if r.RepositoryName != "" {
		names = append(names, r.RepositoryName)
	}
	for _, name := range names {
		if len(name) < 2 || len(name) > 256 || !repositoryName.MatchString(name) {
			return "InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: '" + name + "'"
		}
	}
	if len(r.Tags) > 50 {
		return "TooManyTagsException", "The list of tags is over the limit of 50."
	}
	for _, t := range r.Tags {
		if t.Key == "" || utf8.RuneCountInString(t.Key) > 128 || utf8.RuneCountInString(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return "InvalidTagParameterException", "Invalid parameter at 'tags' failed to satisfy constraint: '" + t.Key + "'"
		}
	}
	return "", ""
}

// answerECR passes calls on. moto makes digests of its own, keeps a setting that
// is sent as its zero value, and calls a tag that cannot be moved an image that is
// there already.
func (p *Proxy) answerECR(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	var in ecrRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return refuse(c, http.StatusBadRequest, "SerializationException", err.Error())
	}
	if code, message := in.wrong(); code != "" {
		return refuse(c, http.StatusBadRequest, code, message)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(in.ImageManifest)))
	switch c.Operation {
	case "PutImage":
		body = complete(body, "imageDigest", digest)
	case "PutImageScanningConfiguration":
		body = complete(body, "imageScanningConfiguration", map[string]bool{"scanOnPush": false})
	}
	a := p.forward(ctx, c, r, body)
	if c.Operation == "PutImage" && errorCode(a) == "ImageAlreadyExistsException" && !strings.Contains(string(a.body), digest) {
		return refuse(c, http.StatusBadRequest, "ImageTagAlreadyExistsException",
			"The image tag already exists in the '"+in.RepositoryName+"' repository and cannot be overwritten because the tag is immutable.")
	}
	return a
}

// complete gives a JSON object in which a member has the value, unless it has
// one that is neither null nor empty.
func complete(object []byte, member string, value any) []byte {
	var all map[string]any
	if json.Unmarshal(object, &all) != nil {
		return object // it was read before
	}
	switch v := all[member].(type) {
	case string:
		if v != "" {
			return object
		}
	case map[string]any:
		if len(v) > 0 {
			return object
		}
	}
	all[member] = value
	out, err := json.Marshal(all)
	if err != nil {
		return object // what was read can be written
	}
	return out
}
