package proxy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"rolekeeper/local/bus"
)

// query is how a service that speaks the query protocol writes its answers.
type query struct {
	namespace string
	item      string                    // element of a list's item
	name      func(field string) string // element of a field, by its name in the SDK
	list      func(field string) string // likewise, of one that is a list
	wrapped   bool                      // the answer is in an element of its own, beside the id of the request
}

var (
	iamQuery = query{"https://iam.amazonaws.com/doc/2010-05-08/", "member", itself, itself, true}
	ec2Query = query{"http://ec2.amazonaws.com/doc/2016-11-15/", "item", lowerFirst, ec2List, false}
)

func itself(name string) string { return name }

// ec2List is networkInterfaceSet for NetworkInterfaces, and tagSet for TagSet.
func ec2List(field string) string {
	return strings.TrimSuffix(strings.TrimSuffix(lowerFirst(field), "Set"), "s") + "Set"
}

// told gives the answer to a call that a method of the SDK's shape answered.
func told[Out any](q query, c Call, out *Out, err error) answer {
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		return refuse(c, queryStatus(api.ErrorCode()), api.ErrorCode(), api.ErrorMessage())
	case err != nil:
		return refuse(c, http.StatusInternalServerError, "InternalFailure", err.Error())
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns="%s">`, c.Operation, q.namespace)
	if q.wrapped {
		q.element(&b, c.Operation+"Result", reflect.ValueOf(out))
		fmt.Fprintf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>", bus.NewID())
	} else {
		fmt.Fprintf(&b, "<requestId>%s</requestId>", bus.NewID())
		q.fields(&b, reflect.ValueOf(out).Elem())
	}
	fmt.Fprintf(&b, "</%sResponse>", c.Operation)
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"text/xml;charset=UTF-8"}}, body: b.Bytes()}
}

// queryStatus gives the HTTP status of an error (IAM and EC2 API references).
func queryStatus(code string) int {
	switch code {
	case "NoSuchEntity":
		return http.StatusNotFound
	case "LimitExceeded", "EntityAlreadyExists", "DeleteConflict":
		return http.StatusConflict
	case "AuthFailure", "UnrecognizedClientException":
		return http.StatusUnauthorized
	default:
		return http.StatusBadRequest
	}
}

// element writes a value that is set.
func (q query) element(b *bytes.Buffer, name string, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() || unset(v) {
		return
	}
	fmt.Fprintf(b, "<%s>", name)
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			q.element(b, q.item, v.Index(i))
		}
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			b.WriteString(t.UTC().Format(time.RFC3339))
		} else {
			q.fields(b, v)
		}
	default:
		_ = xml.EscapeText(b, fmt.Append(nil, v.Interface())) // a bytes.Buffer takes everything
	}
	fmt.Fprintf(b, "</%s>", name)
}

func (q query) fields(b *bytes.Buffer, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.IsExported() || f.Name == "ResultMetadata":
		case f.Type.Kind() == reflect.Slice:
			q.element(b, q.list(f.Name), v.Field(i))
		default:
			q.element(b, q.name(f.Name), v.Field(i))
		}
	}
}
