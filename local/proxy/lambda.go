package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// invocations is the path of Lambda's Invoke (API reference).
var invocations = regexp.MustCompile(`^/2015-03-31/functions/([^/]+)/invocations$`)

// invoked gives the name of the function that a request to Lambda invokes; empty
// for any other request.
func invoked(r *http.Request) string {
	m := invocations.FindStringSubmatch(r.URL.EscapedPath())
	if m == nil || r.Method != http.MethodPost {
		return ""
	}
	name, err := url.PathUnescape(m[1]) // a name or an ARN
	if err != nil {
		return ""
	}
	return name[strings.LastIndexByte(name, ':')+1:]
}

// answerLambda takes asynchronous invocations, which is what Scheduler makes.
func (p *Proxy) answerLambda(c Call, r *http.Request, body []byte) answer {
	switch {
	case p.o.Lambda == nil:
		return unanswered(c, "there is no Lambda here")
	case c.Operation != "Invoke" || r.Header.Get("X-Amz-Invocation-Type") != "Event":
		return unanswered(c, "of Lambda only asynchronous invocations are part of it")
	case !json.Valid(body):
		return refuse(c, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
	}
	id, err := p.o.Lambda(c.Resource, body)
	if err != nil {
		return refuse(c, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+c.Resource)
	}
	return answer{status: http.StatusAccepted, header: http.Header{"X-Amzn-Requestid": {id}}}
}
