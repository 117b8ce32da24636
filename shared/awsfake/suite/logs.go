package suite

import (
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"rolekeeper/shared/aws/loggroup"
	"rolekeeper/shared/fault"
)

func (b *Backend) makeLogGroup(t T, name string, tags map[string]string) error {
	_, err := b.Logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name, Tags: tags})
	return err
}

func (b *Backend) retain(t T, name string, days int32) error {
	_, err := b.Logs.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &name, RetentionInDays: &days})
	return err
}

func (b *Backend) wantLogGroup(t T, name string, days int32, tags map[string]string) {
	t.Helper()
	if gotDays, gotTags := b.LogGroup(t, name); gotDays != days || !maps.Equal(gotTags, tags) {
		t.Errorf("log group %s keeps for %d days and has tags %v, want %d and %v", name, gotDays, gotTags, days, tags)
	}
}

func logGroupCases() []testCase {
	return []testCase{
		{"a log group is made once and keeps its tags", func(t T, b *Backend) {
			name := "/aws/codebuild/" + b.fresh("log-group")
			tags := map[string]string{"team": "a", "rolekeeper:config": "configs/a b+c=@d.yaml"}
			wantCode(t, "make", b.makeLogGroup(t, name, tags), "")
			wantCode(t, "make again", b.makeLogGroup(t, name, map[string]string{"other": "x"}), "ResourceAlreadyExistsException")
			b.wantLogGroup(t, name, 0, tags)
			other := b.fresh("log-group")
			const n = 8
			counts := atOnce(n, func(int) error { return b.makeLogGroup(t, other, nil) })
			// Of calls at the same time all but one may also be told to come again.
			if counts[""] != 1 || counts["ResourceAlreadyExistsException"]+counts["OperationAbortedException"] != n-1 {
				t.Errorf("answers: %v", counts)
			}
		}},
		{"a log group keeps its events as long as it was told last", func(t T, b *Backend) {
			name := b.fresh("log-group")
			wantCode(t, "of nothing", b.retain(t, name, 90), "ResourceNotFoundException")
			wantCode(t, "make", b.makeLogGroup(t, name, nil), "")
			for _, days := range []int32{90, 1, 3653} {
				wantCode(t, fmt.Sprint(days), b.retain(t, name, days), "")
				b.wantLogGroup(t, name, days, nil)
			}
			for _, days := range []int32{0, -1, 2, 91, 4000} {
				wantCode(t, fmt.Sprint(days), b.retain(t, name, days), "InvalidParameterException")
			}
			b.wantLogGroup(t, name, 3653, nil)
			must(b.Logs.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(name)}))(t)
			wantCode(t, "of what was deleted", b.retain(t, name, 90), "ResourceNotFoundException")
		}},
		{"the name of a log group is checked", func(t T, b *Backend) {
			for _, name := range []string{"a b", "a:b", "é", "a*", "$(id)", "aws/x", strings.Repeat("a", 513)} {
				wantCode(t, fmt.Sprintf("%.20q", name), b.makeLogGroup(t, name, nil), "InvalidParameterException")
			}
			for _, name := range []string{b.fresh("a_b.c/d-e#"), strings.Repeat("a", 512)} {
				wantCode(t, fmt.Sprintf("%.20q", name), b.makeLogGroup(t, name, nil), "")
			}
		}},
		{"loggroup makes a log group that may be there, and says what refusals mean", func(t T, b *Backend) {
			ctx, c, name := t.Context(), loggroup.New(b.Logs), b.fresh("log-group")
			wantFault(t, "a log group that is gone", c.Retain(ctx, name, 90), fault.Retry, nil)
			for _, tags := range []map[string]string{{"k": "v"}, {"k": "w"}} {
				wantNil(t, "make", c.Create(ctx, name, tags))
				wantNil(t, "retain", c.Retain(ctx, name, 90))
			}
			b.wantLogGroup(t, name, 90, map[string]string{"k": "v"})
			wantFault(t, "a bad name", c.Create(ctx, "a b", nil), fault.Unknown, nil)
			wantFault(t, "a bad time", c.Retain(ctx, name, 91), fault.Unknown, nil)
		}},
	}
}
