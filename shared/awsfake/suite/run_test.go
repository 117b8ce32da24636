package suite

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// witness keeps what a case reports.
type witness struct {
	T
	faults []string
}

func (w *witness) Context() context.Context { return context.Background() }

func (w *witness) Helper() {}

func (w *witness) Errorf(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

func TestAKnownGapMustFail(t *testing.T) {
	for name, c := range map[string]struct {
		run   func(T, *Backend)
		fails bool
	}{
		"a gap that was closed is a fault":          {func(T, *Backend) {}, true},
		"a gap that is still there is none":         {func(t T, _ *Backend) { t.Errorf("gap") }, false},
		"nor is one at which the case comes to end": {func(t T, _ *Backend) { t.Fatalf("gap") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &witness{}
			judge(w, testCase{"case", c.run}, &Backend{Gaps: map[string]string{"case": "reason"}})
			if got := len(w.faults) > 0; got != c.fails {
				t.Errorf("faults %q, want some: %v", w.faults, c.fails)
			}
		})
	}
}

func TestCasesHaveNamesOfTheirOwn(t *testing.T) {
	var names []string
	for _, c := range cases() {
		if slices.Contains(names, c.name) {
			t.Errorf("two cases are called %q", c.name)
		}
		names = append(names, c.name)
	}
}
