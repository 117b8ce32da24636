package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
)

// refusing is an EventBridge that refuses entries of a call, each with a code.
type refusing struct {
	bus.API
	codes map[int]string
}

func (r refusing) PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, o ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	out, err := r.API.PutEvents(ctx, in, o...)
	if err == nil {
		for entry, code := range r.codes {
			out.FailedEntryCount++
			out.Entries[entry] = types.PutEventsResultEntry{ErrorCode: &code, ErrorMessage: aws.String("m")}
		}
	}
	return out, err
}

func outgoing(n int) []event.Outgoing {
	var all []event.Outgoing
	for i := range n {
		all = append(all, event.RolesReady{Transition: event.NewTransition("configs/a.yaml", "v1", fmt.Sprintf("agent_%02d", i), "ready")})
	}
	return all
}

func TestEventsGoInOrderTenToACall(t *testing.T) {
	for n, calls := range map[int]int{0: 0, 1: 1, 10: 1, 11: 2, 25: 3} {
		c := awsfake.New()
		if err := bus.New(c.EventBridge("t")).Send(t.Context(), outgoing(n)); err != nil {
			t.Fatal(err)
		}
		if got := len(c.Calls()); got != calls {
			t.Errorf("%d events in %d calls, want %d", n, got, calls)
		}
		var agents []string
		for _, e := range c.Events() {
			var detail struct{ Agent string }
			if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil {
				t.Fatal(err)
			}
			if e.Source != event.Source || e.DetailType != "Agent Roles Ready" {
				t.Errorf("event %+v", e)
			}
			agents = append(agents, detail.Agent)
		}
		if len(agents) != n || !slices.IsSorted(agents) {
			t.Errorf("of %d events: %q", n, agents)
		}
	}
}

func TestAnEntryThatIsRefusedIsAnErrorOfTheWholeSend(t *testing.T) {
	for name, c := range map[string]struct {
		codes map[int]string
		want  fault.Class
	}{
		"throttled":                      {map[int]string{2: "ThrottlingException"}, fault.Retry},
		"failed inside":                  {map[int]string{2: "InternalFailure"}, fault.Retry},
		"failed inside, by its old name": {map[int]string{0: "InternalException"}, fault.Retry},
		"malformed":                      {map[int]string{1: "MalformedDetail"}, fault.Unknown},
		"throttled, then malformed":      {map[int]string{0: "ThrottlingException", 2: "MalformedDetail"}, fault.Unknown},
	} {
		cloud := awsfake.New()
		err := bus.New(refusing{cloud.EventBridge("t"), c.codes}).Send(t.Context(), outgoing(3))
		if err == nil || fault.Of(err) != c.want {
			t.Errorf("%s: class %q, want %q: %v", name, fault.Of(err), c.want, err)
		}
	}
}

func TestNothingIsSentAfterACallThatFailed(t *testing.T) {
	c := awsfake.New()
	c.Before = func(awsfake.Call) error { return awsfake.APIError("AccessDeniedException", "no") }
	err := bus.New(c.EventBridge("t")).Send(t.Context(), outgoing(30))
	if err == nil || fault.Of(err) != fault.Unknown || len(c.Calls()) != 1 {
		t.Errorf("%d calls, class %q: %v", len(c.Calls()), fault.Of(err), err)
	}
}
