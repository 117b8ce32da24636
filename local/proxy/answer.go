package proxy

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"

	"rolekeeper/local/bus"
)

// answer is a whole HTTP response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// refuse makes an error in the protocol of the call's service: REST XML for S3,
// query XML for IAM, STS and EC2, JSON 1.0/1.1 for the rest.
func refuse(c Call, status int, code, message string) answer {
	a := answer{status: status, header: http.Header{}}
	id := bus.NewID()
	switch c.Service {
	case "s3":
		a.header.Set("Content-Type", "application/xml")
		a.header.Set("X-Amz-Request-Id", id)
		if c.Request.Method != http.MethodHead { // the code of a HEAD is its status alone
			a.body = fmt.Appendf(nil, "%s<Error><Code>%s</Code><Message>%s</Message><Resource>%s</Resource><RequestId>%s</RequestId></Error>",
				xml.Header, code, escape(message), escape("/"+c.Resource), id)
		}
	case "iam", "sts":
		a.header.Set("Content-Type", "text/xml")
		kind := "Sender"
		if status >= 500 {
			kind = "Receiver"
		}
		a.body = fmt.Appendf(nil, "<ErrorResponse><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>",
			kind, code, escape(message), id)
	case "ec2":
		a.header.Set("Content-Type", "text/xml;charset=UTF-8")
		a.body = fmt.Appendf(nil, "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>",
			code, escape(message), id)
	default:
		a.header.Set("Content-Type", "application/x-amz-json-1.0")
		a.header.Set("X-Amzn-Errortype", code)
		a.header.Set("X-Amzn-Requestid", id)
		a.body, _ = json.Marshal(map[string]string{"__type": code, "message": message}) // strings always encode
	}
	return a
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// unanswered is the answer to what neither moto nor the proxy does. 501 is not
// retried by the SDK, so a missing fill-in shows at once.
func unanswered(c Call, why string) answer {
	return refuse(c, http.StatusNotImplemented, "NotImplemented",
		fmt.Sprintf("the local AWS does not answer %s %s: %s", c.Service, c.Operation, why))
}

// errorCode finds the AWS error code in an answer.
func errorCode(a answer) string {
	if a.status < 300 || a.status == http.StatusNotModified {
		return ""
	}
	if h := a.header.Get("X-Amzn-Errortype"); h != "" {
		return shortType(h)
	}
	var doc struct {
		Code   string `xml:"Code"`
		Nested string `xml:"Error>Code"`
		Deep   string `xml:"Errors>Error>Code"`
	}
	if xml.Unmarshal(a.body, &doc) == nil {
		if code := doc.Code + doc.Nested + doc.Deep; code != "" { // one shape has one of them
			return code
		}
	}
	var in struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(a.body, &in) == nil && in.Type != "" {
		return shortType(in.Type)
	}
	return http.StatusText(a.status)
}

// shortType takes the namespace and the documentation link off a JSON error type.
func shortType(t string) string {
	t = t[strings.LastIndexByte(t, '#')+1:]
	t, _, _ = strings.Cut(t, ":")
	return t
}
