package sqsbatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/sqsbatch"
)

// queue keeps what is sent and postponed.
type queue struct {
	sent      []event.Message
	postponed map[string]time.Duration // by receipt
	err       error
	left      []time.Duration // time that each call had
}

func (q *queue) called(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		q.left = append(q.left, time.Until(deadline))
	}
	return errors.Join(q.err, ctx.Err())
}

func (q *queue) Send(ctx context.Context, m event.Message) error {
	if err := q.called(ctx); err != nil {
		return err
	}
	q.sent = append(q.sent, m)
	return nil
}

func (q *queue) Postpone(ctx context.Context, receipt string, delay time.Duration) error {
	if err := q.called(ctx); err != nil {
		return err
	}
	if q.postponed == nil {
		q.postponed = map[string]time.Duration{}
	}
	q.postponed[receipt] = delay
	return nil
}

func record(id string, receives int) events.SQSMessage {
	return events.SQSMessage{
		MessageId: id, ReceiptHandle: "receipt-" + id, Body: "body of " + id,
		Attributes: map[string]string{"ApproximateReceiveCount": strconv.Itoa(receives), "MessageGroupId": "group-" + id},
	}
}

// world is a batch whose handler answers every message with one error.
type world struct {
	source, dead queue
	log          bytes.Buffer
	handled      []sqsbatch.Message
}

func (w *world) run(t *testing.T, ctx context.Context, handle func(sqsbatch.Message) error, records ...events.SQSMessage) []string {
	t.Helper()
	b := sqsbatch.Batch{
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)), Queue: &w.source, DeadLetters: &w.dead,
		Handle: func(_ context.Context, m sqsbatch.Message) error {
			w.handled = append(w.handled, m)
			return handle(m)
		},
	}
	out, err := b.Lambda(ctx, events.SQSEvent{Records: records})
	if err != nil {
		t.Fatalf("an error of the whole batch: %v", err)
	}
	ids := []string{}
	for _, f := range out.BatchItemFailures {
		ids = append(ids, f.ItemIdentifier)
	}
	return ids
}

func TestTheClassDecidesWhatBecomesOfAMessage(t *testing.T) {
	type fate struct {
		back, dead bool
		delay      time.Duration // until it is tried again
	}
	done, dead := fate{}, fate{dead: true}
	again := func(d time.Duration) fate { return fate{back: true, delay: d} }
	for name, c := range map[string]struct {
		err      error
		receives int
		want     fate
	}{
		"handled":                             {nil, 1, done},
		"ignored":                             {fault.Errorf(fault.Ignored, "x"), 1, done},
		"ignored, however late":               {fault.Errorf(fault.Ignored, "x"), 9, done},
		"poison":                              {fault.Errorf(fault.Poison, "x"), 1, dead},
		"poison, wrapped":                     {fmt.Errorf("handle: %w", fault.Errorf(fault.Poison, "x")), 1, dead},
		"retry, first":                        {fault.Errorf(fault.Retry, "x"), 1, again(2 * time.Second)},
		"retry, second":                       {fault.Errorf(fault.Retry, "x"), 2, again(4 * time.Second)},
		"retry, third":                        {fault.Errorf(fault.Retry, "x"), 3, again(8 * time.Second)},
		"retry, fourth":                       {fault.Errorf(fault.Retry, "x"), 4, again(16 * time.Second)},
		"retry, fifth":                        {fault.Errorf(fault.Retry, "x"), 5, again(30 * time.Second)},
		"retry, much later":                   {fault.Errorf(fault.Retry, "x"), 1_000, again(30 * time.Second)},
		"unknown, first":                      {errors.New("x"), 1, again(2 * time.Second)},
		"unknown, fourth":                     {errors.New("x"), 4, again(16 * time.Second)},
		"unknown, fifth":                      {errors.New("x"), sqsbatch.MaxReceives, dead},
		"unknown, after a crash of the fifth": {errors.New("x"), sqsbatch.MaxReceives + 1, dead},
		"retry around unknown":                {fault.Errorf(fault.Retry, "a: %w", errors.New("x")), 7, again(30 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			var w world
			back := w.run(t, t.Context(), func(sqsbatch.Message) error { return c.err }, record("m", c.receives))
			got := fate{back: len(back) == 1 && back[0] == "m", dead: len(w.dead.sent) == 1, delay: w.source.postponed["receipt-m"]}
			if got != c.want || len(back) > 1 || len(w.source.sent) > 0 || len(w.dead.postponed) > 0 {
				t.Errorf("%+v, want %+v; back %q", got, c.want, back)
			}
			want := []sqsbatch.Message{{ID: "m", Body: "body of m", Receives: c.receives}}
			if diff := cmp.Diff(want, w.handled); diff != "" {
				t.Errorf("handled (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyTheMessagesThatFailedGoBack(t *testing.T) {
	var w world
	fails := map[string]error{"b": fault.Errorf(fault.Retry, "x"), "c": fault.Errorf(fault.Poison, "x"), "e": errors.New("x")}
	back := w.run(t, t.Context(), func(m sqsbatch.Message) error { return fails[m.ID] },
		record("a", 1), record("b", 1), record("c", 1), record("d", 1), record("e", 2))
	if !slices.Equal(back, []string{"b", "e"}) {
		t.Errorf("back: %q", back)
	}
	if len(w.handled) != 5 || len(w.dead.sent) != 1 || w.dead.sent[0].ID != "c" {
		t.Errorf("handled %v, dead letters %+v", w.handled, w.dead.sent)
	}
	if back := (&world{}).run(t, t.Context(), nil); len(back) != 0 {
		t.Errorf("back from an empty batch: %q", back)
	}
}

func TestAnEmptyListOfFailuresIsSentToLambda(t *testing.T) {
	// Lambda reads a missing list as success of all, an empty id as failure of
	// all (developer guide, "Handling errors for an SQS event source").
	b := sqsbatch.Batch{Log: slog.New(slog.DiscardHandler), Handle: func(context.Context, sqsbatch.Message) error { return nil }}
	out, err := b.Lambda(t.Context(), events.SQSEvent{Records: []events.SQSMessage{record("a", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	var read events.SQSEventResponse
	text, err := json.Marshal(out)
	if err = errors.Join(err, json.Unmarshal(text, &read)); err != nil || len(read.BatchItemFailures) != 0 {
		t.Errorf("response %s, %v", text, err)
	}
}

func TestADeadLetterSaysWhy(t *testing.T) {
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
	var w world
	w.run(t, ctx, func(sqsbatch.Message) error { return fault.Errorf(fault.Poison, "not JSON: %w", errors.New("cause")) }, record("m", 3))
	want := []event.Message{{
		Body: "body of m", Group: "group-m", ID: "m",
		Attributes: map[string]string{"reason": "not JSON: cause", "errorClass": "poison", "requestId": "request-1"},
	}}
	if diff := cmp.Diff(want, w.dead.sent); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestADeadLetterHasAllAttributesEvenOutsideOfLambda(t *testing.T) {
	var w world
	w.run(t, t.Context(), func(sqsbatch.Message) error { return fault.Errorf(fault.Poison, "") }, record("m", 1))
	for _, name := range []string{"reason", "errorClass", "requestId"} {
		if w.dead.sent[0].Attributes[name] == "" { // SQS refuses empty ones
			t.Errorf("attribute %s is empty", name)
		}
	}
}

func TestAMessageThatCannotBeBuriedStays(t *testing.T) {
	w := world{dead: queue{err: errors.New("throttled")}}
	back := w.run(t, t.Context(), func(sqsbatch.Message) error { return fault.Errorf(fault.Poison, "x") }, record("m", 1))
	if !slices.Equal(back, []string{"m"}) {
		t.Errorf("back: %q; the message is lost", back)
	}
}

func TestAMessageThatCannotBePostponedStays(t *testing.T) {
	w := world{source: queue{err: errors.New("throttled")}}
	back := w.run(t, t.Context(), func(sqsbatch.Message) error { return fault.Errorf(fault.Retry, "x") }, record("m", 1))
	if !slices.Equal(back, []string{"m"}) {
		t.Errorf("back: %q; the message is lost", back)
	}
}

func TestTheHandlerEndsBeforeTheFunctionDoes(t *testing.T) {
	deadline := time.Now().Add(10 * time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	b := sqsbatch.Batch{Log: slog.New(slog.DiscardHandler), Handle: func(ctx context.Context, _ sqsbatch.Message) error {
		got, ok := ctx.Deadline()
		if left := deadline.Sub(got); !ok || left < 2*time.Second || left > 8*time.Second {
			t.Errorf("%s are kept to give messages back (%v)", left, ok)
		}
		return nil
	}}
	if _, err := b.Lambda(ctx, events.SQSEvent{Records: []events.SQSMessage{record("m", 1)}}); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesGoWhereTheyMustWhenTheTimeIsUsedUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond) // its margin is over, too
	defer cancel()
	<-ctx.Done()
	for _, class := range []fault.Class{fault.Retry, fault.Poison} {
		var w world
		w.run(t, ctx, func(sqsbatch.Message) error { return fault.Errorf(class, "x") }, record("m", 1))
		if len(w.source.postponed)+len(w.dead.sent) != 1 {
			t.Errorf("%s: postponed %v, buried %v", class, w.source.postponed, w.dead.sent)
		}
		for _, left := range append(w.source.left, w.dead.left...) {
			if left <= 0 || left > 3*time.Second {
				t.Errorf("%s: the call may take %s", class, left)
			}
		}
	}
}

func TestAReceiveCountThatIsMissingIsTheFirst(t *testing.T) {
	for _, count := range []string{"", "x", "0"} {
		var w world
		r := record("m", 1)
		r.Attributes["ApproximateReceiveCount"] = count
		w.run(t, t.Context(), func(sqsbatch.Message) error { return fault.Errorf(fault.Retry, "x") }, r)
		if got := w.source.postponed["receipt-m"]; got != 2*time.Second {
			t.Errorf("count %q: postponed by %s", count, got)
		}
	}
}

func TestTheLogNamesMessageClassAndError(t *testing.T) {
	var w world
	w.run(t, t.Context(), func(sqsbatch.Message) error { return fault.Errorf(fault.Retry, "get role x") }, record("m", 2))
	var line map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(w.log.Bytes()), &line); err != nil {
		t.Fatalf("not one line of JSON: %v: %s", err, w.log.String())
	}
	if line["messageId"] != "m" || line["class"] != "retry" || line["error"] != "get role x" || line["receives"] != float64(2) || line["level"] != "WARN" {
		t.Errorf("log: %v", line)
	}
}

// FuzzReason: whatever an error says, SQS takes it as an attribute (SQS API
// reference, SendMessage: characters of XML 1.0, not empty), and people can read it.
func FuzzReason(f *testing.F) {
	for _, s := range []string{"", "get role x: AccessDenied", "a\x00b", "tab\tline\nreturn\r", "\xff\xfe", "\uFFFE\uFFFF\uFFFD", "é😀", strings.Repeat("ü", 3000), strings.Repeat("\x7f", 10)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var w world
		w.run(t, context.Background(), func(sqsbatch.Message) error { return fault.Errorf(fault.Poison, "%s", text) }, record("m", 1))
		reason := w.dead.sent[0].Attributes["reason"]
		if n := utf8.RuneCountInString(reason); n == 0 || n > 2_000 {
			t.Errorf("a reason of %d characters", n)
		}
		for i, c := range reason {
			legal := c == '\t' || c == '\n' || c == '\r' || c >= 0x20 && c <= 0xD7FF || c >= 0xE000 && c <= 0xFFFD || c >= 0x10000 && c <= 0x10FFFF
			if !legal || c == 0xFFFD {
				t.Errorf("character %U at %d", c, i)
			}
		}
		if plain := strings.ToValidUTF8(text, "?"); text != "" && plain == text && len(text) < 2000 && !strings.ContainsFunc(text, func(r rune) bool {
			return r < ' ' || r == 0xFFFD || r == 0xFFFE || r == 0xFFFF
		}) && reason != text {
			t.Errorf("%q became %q", text, reason)
		}
	})
}
