package host

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
)

func TestHandled(t *testing.T) {
	cases := map[string]struct {
		result  Result
		reports bool
		want    []string
	}{
		"success":                           {Result{Payload: []byte(`{"batchItemFailures":[]}`)}, true, []string{"a", "b"}},
		"an empty object":                   {Result{Payload: []byte(`{}`)}, true, []string{"a", "b"}},
		"null":                              {Result{Payload: []byte(`null`)}, true, []string{"a", "b"}},
		"null failures":                     {Result{Payload: []byte(`{"batchItemFailures":null}`)}, true, []string{"a", "b"}},
		"no payload":                        {Result{}, true, []string{"a", "b"}},
		"one failed":                        {Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"a"}]}`)}, true, []string{"b"}},
		"the function failed":               {Result{Failure: "Runtime.ExitError"}, true, nil},
		"not JSON":                          {Result{Payload: []byte(`oops`)}, true, nil},
		"a string":                          {Result{Payload: []byte(`"done"`)}, true, nil},
		"an empty identifier":               {Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":""}]}`)}, true, nil},
		"a null identifier":                 {Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":null}]}`)}, true, nil},
		"another name for the identifier":   {Result{Payload: []byte(`{"batchItemFailures":[{"id":"a"}]}`)}, true, nil},
		"an identifier of no message":       {Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"c"}]}`)}, true, nil},
		"failures, but nothing is reported": {Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":"a"}]}`)}, false, []string{"a", "b"}},
		"failed, and nothing is reported":   {Result{Failure: "errorString"}, false, nil},
	}
	messages := []sqstypes.Message{{MessageId: aws.String("a")}, {MessageId: aws.String("b")}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range handled(messages, c.result, c.reports) {
				got = append(got, *m.MessageId)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
		})
	}
}
