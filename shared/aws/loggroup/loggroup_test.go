package loggroup_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"rolekeeper/shared/aws/loggroup"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
)

const name = "/aws/codebuild/bedrock-agentcore-my_agent-builder"

func TestALogGroupIsMadeOnceAndKeepsItsEventsForSoLong(t *testing.T) {
	c := awsfake.New()
	client := loggroup.New(c.Logs("t"))
	for _, tags := range []map[string]string{{"k": "v"}, {"other": "w"}} {
		if err := errors.Join(client.Create(t.Context(), name, tags), client.Retain(t.Context(), name, 90)); err != nil {
			t.Fatal(err)
		}
	}
	if g := c.LogGroups()[name]; g.RetentionDays != 90 || !maps.Equal(g.Tags, map[string]string{"k": "v"}) || len(c.LogGroups()) != 1 {
		t.Errorf("log groups %+v", c.LogGroups())
	}
	if err := client.Retain(t.Context(), name, 30); err != nil || c.LogGroups()[name].RetentionDays != 30 {
		t.Errorf("log group %+v: %v", c.LogGroups()[name], err)
	}
}

func TestRefusalsOfCloudWatchLogsAreTold(t *testing.T) {
	for what, c := range map[string]struct {
		refusal error
		class   fault.Class
	}{
		"somebody else at the same log group": {&types.OperationAbortedException{}, fault.Retry},
		"throttling":                          {awsfake.APIError("ThrottlingException", "m"), fault.Retry},
		"a service that is not there":         {&types.ServiceUnavailableException{}, fault.Retry},
		"denial":                              {awsfake.APIError("AccessDeniedException", "m"), fault.Unknown},
	} {
		cloud := awsfake.New()
		cloud.Before = func(awsfake.Call) error { return c.refusal }
		client := loggroup.New(cloud.Logs("t"))
		for _, err := range []error{client.Create(t.Context(), name, nil), client.Retain(t.Context(), name, 90)} {
			if err == nil || fault.Of(err) != c.class || errors.Is(err, fault.ErrExists) || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("%s: class %q, want %q: %v", what, fault.Of(err), c.class, err)
			}
		}
	}
}

func TestALogGroupThatIsGoneIsMadeAtTheNextLook(t *testing.T) {
	err := loggroup.New(awsfake.New().Logs("t")).Retain(t.Context(), name, 90)
	if fault.Of(err) != fault.Retry || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("class %q: %v", fault.Of(err), err)
	}
}

func TestWhatCloudWatchLogsDoesNotTakeIsNotRetried(t *testing.T) {
	client := loggroup.New(awsfake.New().Logs("t"))
	if err := client.Create(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a number of days": client.Retain(t.Context(), name, 91),
		"a name":           client.Create(t.Context(), "a b", nil),
	} {
		if err == nil || fault.Of(err) != fault.Unknown {
			t.Errorf("%s: class %q: %v", what, fault.Of(err), err)
		}
	}
}
