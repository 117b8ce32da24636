package suite

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

func entries(n int) []types.PutEventsRequestEntry {
	var list []types.PutEventsRequestEntry
	for i := range n {
		list = append(list, types.PutEventsRequestEntry{
			Source: aws.String("rolekeeper"), DetailType: aws.String("Suite"), Detail: aws.String(fmt.Sprintf(`{"n":%d}`, i)),
		})
	}
	return list
}

func eventCases() []testCase {
	return []testCase{
		{"ten events go in one call, each with an id", func(t T, b *Backend) {
			out := must(b.EventBridge.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: entries(10)}))(t)
			ids := map[string]bool{}
			for _, e := range out.Entries {
				ids[aws.ToString(e.EventId)] = true
			}
			if out.FailedEntryCount != 0 || len(ids) != 10 || ids[""] {
				t.Errorf("%d failed, ids %v", out.FailedEntryCount, ids)
			}
		}},
		{"eleven events and none are refused whole", func(t T, b *Backend) {
			for _, n := range []int{0, 11} {
				in := &eventbridge.PutEventsInput{Entries: entries(n)}
				if n == 0 {
					in.Entries = []types.PutEventsRequestEntry{} // nil is refused by the SDK
				}
				_, err := b.EventBridge.PutEvents(t.Context(), in)
				wantCode(t, fmt.Sprint(n), err, "ValidationException")
			}
		}},
		{"a bad event is refused alone, in its place", func(t T, b *Backend) {
			for what, spoil := range map[string]struct {
				spoil func(*types.PutEventsRequestEntry)
				code  string
			}{
				"detail is no JSON":   {func(e *types.PutEventsRequestEntry) { e.Detail = aws.String("{") }, "MalformedDetail"},
				"detail is no object": {func(e *types.PutEventsRequestEntry) { e.Detail = aws.String("[1]") }, "MalformedDetail"},
				"detail is null":      {func(e *types.PutEventsRequestEntry) { e.Detail = aws.String("null") }, "MalformedDetail"},
				"no source":           {func(e *types.PutEventsRequestEntry) { e.Source = aws.String("") }, "InvalidArgument"},
				"no detail-type":      {func(e *types.PutEventsRequestEntry) { e.DetailType = aws.String("") }, "InvalidArgument"},
				"a source of AWS":     {func(e *types.PutEventsRequestEntry) { e.Source = aws.String("aws.s3") }, "NotAuthorizedForSourceException"},
			} {
				list := entries(3)
				spoil.spoil(&list[1])
				out := must(b.EventBridge.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: list}))(t)
				if out.FailedEntryCount != 1 || len(out.Entries) != 3 || aws.ToString(out.Entries[1].ErrorCode) != spoil.code ||
					aws.ToString(out.Entries[0].EventId) == "" || aws.ToString(out.Entries[2].EventId) == "" {
					t.Errorf("%s: %d failed, %+v", what, out.FailedEntryCount, out.Entries)
				}
			}
		}},
	}
}
