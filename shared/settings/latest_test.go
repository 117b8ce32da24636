package settings_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/settings"
)

func TestParametersAreReadAgainOnlyWhenTheyAreOld(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	value, reads := `{"TeamTag":"team"}`, 0
	var fails error
	l := settings.Latest{
		Read:  func(context.Context) (string, error) { reads++; return value, fails },
		Place: agent.Place{Partition: "aws", Region: "us-east-1", Account: "123456789012"},
		Now:   func() time.Time { return now },
	}
	get := func(tag string, read int) {
		t.Helper()
		if p, err := l.Get(t.Context()); err != nil || p.TeamTag != tag || reads != read {
			t.Errorf("%+v, %v after %d reads, want tag %q after %d", p, err, reads, tag, read)
		}
	}
	get("team", 1)
	value = `{"TeamTag":"squad"}`
	now = now.Add(settings.MaxAge)
	get("team", 1)
	now = now.Add(time.Second)
	get("squad", 2)

	now = now.Add(settings.MaxAge + time.Second)
	fails = errors.New("throttled")
	if _, err := l.Get(t.Context()); !errors.Is(err, fails) {
		t.Errorf("what cannot be read: %v", err)
	}
	fails, value = nil, `{"TeamTag":"a b","SourceBucketName":"A"}`
	if _, err := l.Get(t.Context()); err == nil || !strings.Contains(err.Error(), "TeamTag") || !strings.Contains(err.Error(), "SourceBucketName") {
		t.Errorf("not all faults are told: %v", err)
	}
	value = `{"TeamTag":"crew","OfALaterVersion":["1"]}`
	get("crew", 5)
	get("crew", 5)
}
