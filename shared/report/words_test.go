package report_test

import (
	"testing"
	"time"

	"rolekeeper/shared/report"
)

func TestNumbersAndTimesAreWrittenForPeople(t *testing.T) {
	for want, got := range map[string]string{
		"0": report.Thousands(0), "999": report.Thousands(999), "1,000": report.Thousands(1000), "-999": report.Thousands(-999), "-1,234,567": report.Thousands(-1234567),
		"1 role": report.Count(1, "role"), "0 roles": report.Count(0, "role"), "2 repositories": report.Count(2, "repository"),
		"0 min": report.Span(59 * time.Second), "59 min": report.Span(time.Hour - 1), "1 h": report.Span(time.Hour), "47 h": report.Span(48*time.Hour - 1), "2 days": report.Span(48 * time.Hour),
		"2026-11-22 11:00:03 UTC": report.Moment(time.Date(2026, 11, 22, 12, 0, 3, 5, time.FixedZone("", 3600))),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
