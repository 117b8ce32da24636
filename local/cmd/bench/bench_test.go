package main

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/proxy"
)

func TestPercentilesAreValuesThatWereMeasured(t *testing.T) {
	fifty := make([]float64, 50)
	for i := range fifty {
		fifty[i] = float64(i + 1)
	}
	for name, c := range map[string]struct {
		sorted []float64
		p      float64
		want   float64
	}{
		"the median of an odd number":      {[]float64{1, 2, 9}, 50, 2},
		"the median of an even number":     {[]float64{1, 2, 3, 9}, 50, 2},
		"the 90th of ten":                  {fifty[:10], 90, 9},
		"the 99th of fifty is the largest": {fifty, 99, 50},
		"the 0th is the smallest":          {fifty, 0, 1},
		"the 100th is the largest":         {fifty, 100, 50},
		"of one value all are that":        {[]float64{7}, 99, 7},
	} {
		t.Run(name, func(t *testing.T) {
			if got := percentile(c.sorted, c.p); got != c.want {
				t.Errorf("percentile %v = %v, want %v", c.p, got, c.want)
			}
		})
	}
	if got := percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
}

func TestTablesHaveEvenColumns(t *testing.T) {
	got := table([]string{"a", "long head"}, []string{"1", "2"}, []string{"größer", ""})
	want := "" +
		"| a      | long head |\n" +
		"| ------ | --------- |\n" +
		"| 1      | 2         |\n" +
		"| größer |           |\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// line gives the cells of the first row whose first cells are those.
func line(t *testing.T, text string, first ...string) []string {
	t.Helper()
	for l := range strings.Lines(text) {
		var cells []string
		for _, c := range strings.Split(strings.Trim(l, "|\n"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		if len(cells) > len(first) && cmp.Equal(cells[:len(first)], first) {
			return cells
		}
	}
	t.Fatalf("no row %q in\n%s", first, text)
	return nil
}

func TestAFunctionThatMissesATargetIsNamed(t *testing.T) {
	programs := []*program{
		{name: emptyHandler, starts: []float64{2}, zipBytes: 1},
		{name: plainHandler, starts: []float64{9}, zipBytes: maxZip + 1}, // no target is its
		{name: "good", function: true, starts: []float64{4}, zipBytes: maxZip, peakOne: maxMemory - 1, peakAll: maxMemory - 1},
		{name: "bad", function: true, starts: []float64{4.1}, zipBytes: maxZip + 1, peakOne: maxMemory - 1, peakAll: maxMemory},
	}
	text := programTable(programs, 0.5)
	for figure, want := range map[string]string{
		"start to first poll, p50": "missed: bad",
		"start to first poll, p90": "",
		"zip, arm64":               "missed: bad",
		"peak memory, one config":  "met",
		"peak memory, all configs": "missed: bad",
	} {
		cells := line(t, text, figure)
		if got := cells[len(cells)-1]; got != want {
			t.Errorf("%s: verdict %q, want %q", figure, got, want)
		}
	}
	if got := line(t, text, "start to first poll, p50")[4]; got != "4.1 ms (2.05x)" {
		t.Errorf("start of bad is told as %q", got)
	}
}

func TestWorkIsHeldAgainstItsTargets(t *testing.T) {
	good := work{
		ready: []float64{maxReadyP50, maxReadyP99}, count: together, allReady: time.Second,
		create: calls{iam: access{3, 4}, codebuild: access{1, 1}}, bulk: calls{iam: access{3 * together, 4 * together}},
		change: calls{iam: access{9, 1}}, unchanged: calls{iam: access{9, 0}, s3: 1}, imaged: calls{iam: access{9, 0}, s3: 3},
		first: toImage{start: calls{iam: access{9, 0}, codebuild: access{5, 1}, s3: 1}, rest: calls{codebuild: access{99, 9}}},
		next:  toImage{start: calls{iam: access{9, 0}, codebuild: access{5, 1}, s3: 3}},
	}
	const first, next = "first source uploaded, to StartBuild", "next source uploaded, to StartBuild"
	const bare, built = "unchanged, without a source", "unchanged, its image built"
	type row struct {
		name string
		of   func(work) string
	}
	rows := []row{
		{"50 one after the other, p50", workTable}, {"50 one after the other, p99", workTable}, {"200 at once, ready", workTable},
		{"200 at once, dead letters", workTable}, {"200 at once, calls of IAM", workTable},
		{"made", callTable}, {"one permission changed", callTable}, {bare, callTable},
		{first, callTable}, {built, callTable}, {next, callTable},
	}
	for name, c := range map[string]struct {
		spoil  func(*work)
		missed []string
	}{
		"all is well":                      {func(*work) {}, nil},
		"the median is too slow":           {func(w *work) { w.ready[0]++ }, []string{"50 one after the other, p50"}},
		"one is too slow":                  {func(w *work) { w.ready[1]++ }, []string{"50 one after the other, p99"}},
		"one is not ready":                 {func(w *work) { w.count-- }, []string{"200 at once, ready"}},
		"one is dead":                      {func(w *work) { w.dead++ }, []string{"200 at once, dead letters"}},
		"one call of IAM more than linear": {func(w *work) { w.bulk.iam.reads++ }, []string{"200 at once, calls of IAM"}},
		"one call too many for one": {func(w *work) { w.create.iam.reads++; w.bulk.iam.reads += together },
			[]string{"made"}},
		"a change writes twice":           {func(w *work) { w.change.iam.writes++ }, []string{"one permission changed"}},
		"a change writes nothing":         {func(w *work) { w.change.iam.writes = 0 }, []string{"one permission changed"}},
		"a change writes the project":     {func(w *work) { w.change.codebuild.writes++ }, []string{"one permission changed"}},
		"no change writes":                {func(w *work) { w.unchanged.iam.writes++ }, []string{bare}},
		"no change writes the project":    {func(w *work) { w.imaged.codebuild.writes++ }, []string{built}},
		"no change writes ECR":            {func(w *work) { w.imaged.ecr.writes++ }, []string{built}},
		"no change writes a log group":    {func(w *work) { w.unchanged.logs.writes++ }, []string{bare}},
		"no change reads once more":       {func(w *work) { w.unchanged.iam.reads++ }, []string{bare}},
		"a source takes one call more":    {func(w *work) { w.first.start.s3++ }, []string{first}},
		"the next takes one call more":    {func(w *work) { w.next.start.other++ }, []string{next}},
		"other calls have no target":      {func(w *work) { w.create.s3, w.bulk.sqs, w.imaged.ecr.reads = 99, 9999, 99 }, nil},
		"nor has what follows StartBuild": {func(w *work) { w.next.rest.codebuild.writes = 99 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := good
			w.ready = append([]float64(nil), good.ready...)
			c.spoil(&w)
			var missed []string
			for _, r := range rows {
				cells := line(t, r.of(w), r.name)
				if cells[len(cells)-1] != "met" {
					missed = append(missed, r.name)
				}
			}
			if diff := cmp.Diff(c.missed, missed); diff != "" {
				t.Errorf("missed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRepairsAreHeldAgainstTheirTargets(t *testing.T) {
	for name, c := range map[string]struct {
		sorted   []float64
		p50, p99 string
	}{
		"fast":                   {[]float64{maxFixedP50, maxFixedP99}, "met", "met"},
		"the median is too slow": {[]float64{maxFixedP50 + 1, maxFixedP99}, "missed", "met"},
		"one is too slow":        {[]float64{maxFixedP50, maxFixedP99 + 1}, "met", "missed"},
		"none was measured":      {nil, "missed", "missed"},
	} {
		text := repairTable(c.sorted)
		for p, want := range map[string]string{"p50": c.p50, "p99": c.p99} {
			if cells := line(t, text, "50 edits of 20 roles, "+p); cells[len(cells)-1] != want {
				t.Errorf("%s: %q", name, cells)
			}
		}
	}
}

func TestAPassIsHeldAgainstItsTargets(t *testing.T) {
	good := fleet{roles: 10, account: 2010, iam: 2*3 + 2, took: maxPass, peak: maxPassMemory, editedPeak: maxPassMemory}
	for name, c := range map[string]struct {
		spoil       func(*fleet)
		small, last string // verdicts
	}{
		"all is well":                  {func(*fleet) {}, "met", "met"},
		"a call too many":              {func(f *fleet) { f.iam++ }, "missed: calls", "missed: calls"},
		"too slow":                     {func(f *fleet) { f.took++ }, "met", "missed: time"},
		"too large":                    {func(f *fleet) { f.peak++ }, "met", "missed: memory"},
		"too large when all is edited": {func(f *fleet) { f.editedPeak++ }, "met", "missed: memory, all edited"},
		"all of it":                    {func(f *fleet) { f.iam++; f.took++; f.peak++; f.editedPeak++ }, "missed: calls", "missed: calls, time, memory, memory, all edited"},
		"others have no target":        {func(f *fleet) { f.all, f.editedTook, f.oneByOne, f.oneByOneCalls = 1e6, maxPass*9, maxPass*9, 1e6 }, "met", "met"},
	} {
		f := good
		c.spoil(&f)
		last := f
		last.roles = 20
		text := fleetTable([]fleet{f, last})
		for roles, want := range map[string]string{"10": c.small, "20": c.last} {
			if cells := line(t, text, roles); cells[len(cells)-1] != want {
				t.Errorf("%s: %q", name, cells)
			}
		}
	}
}

// A pass over a small fleet is measured as one over a large one is.
func TestAFleetIsMeasured(t *testing.T) {
	f, err := measureFleet(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if f.configs != 4 || f.roles != 8 || f.account != others+8+1 || f.iam != 2*6+2 || f.oneByOneCalls != 4*8 || f.took == 0 || f.editedTook == 0 || f.editedPeak == 0 {
		t.Errorf("%+v", f)
	}
}

func TestCallsAreThoseOfTheFunctions(t *testing.T) {
	made := []proxy.Call{
		{Caller: "reconcile", Service: "iam", Operation: "GetRole"},
		{Caller: "reconcile", Service: "iam", Operation: "ListRolePolicies"},
		{Caller: "reconcile", Service: "iam", Operation: "CreateRole"},
		{Caller: "reconcile", Service: "s3", Operation: "GetObject"},
		{Caller: "intake", Service: "sqs", Operation: "SendMessage"},
		{Caller: "reconcile", Service: "events", Operation: "PutEvents"},
		{Caller: "reconcile", Service: "sts", Operation: "GetCallerIdentity"},
		{Caller: "reconcile", Service: "codebuild", Operation: "BatchGetProjects"},
		{Caller: "reconcile", Service: "codebuild", Operation: "StartBuild"},
		{Caller: "reconcile", Service: "ecr", Operation: "DescribeRepositories"},
		{Caller: "reconcile", Service: "ecr", Operation: "ListTagsForResource"},
		{Caller: "reconcile", Service: "logs", Operation: "CreateLogGroup"},
		{Caller: "codebuild/bedrock-agentcore-one-builder", Service: "ecr", Operation: "PutImage"},
		{Caller: "poller/reconcile", Service: "sqs", Operation: "ReceiveMessage"},
		{Caller: "developer", Service: "s3", Operation: "PutObject"},
	}
	got := countCalls(made, map[string]bool{"intake": true, "reconcile": true})
	want := calls{
		iam: access{2, 1}, codebuild: access{1, 1}, ecr: access{2, 0}, logs: access{0, 1}, s3: 1, sqs: 1, events: 1, other: 1,
	}
	if got != want || got.all() != 12 || got.writes() != 3 {
		t.Errorf("calls %+v, want %+v", got, want)
	}
}

func TestPeakMemoryIsReadFromTheKernelsWords(t *testing.T) {
	for status, want := range map[string]int64{
		"Name:\tbootstrap\nVmPeak:\t 1240068 kB\nVmHWM:\t   15816 kB\nVmRSS:\t   15000 kB\n": 15816 << 10,
		"VmHWM:\t0 kB\n":        0,
		"VmHWM:\tplenty\n":      -1,
		"Name:\tkworker/0:0\n":  -1,
		"NotVmHWM:\t12 kB\n":    -1,
		"":                      -1,
		"VmHWM:\t12 kB of it\n": -1,
	} {
		got, err := highWater(status)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("highWater(%q) = %d, %v", status, got, err)
		}
	}
}

func TestTheLoadOfOthersIsWhatIsNotOurs(t *testing.T) {
	for stat, want := range map[string]time.Duration{
		"cpu  100 20 30 999 999 4 5 6 7 8\ncpu0 1 1 1 1 1 1 1 1 1 1\n": 1650 * time.Millisecond,
		"cpu  0 0 0 999 999 0 0 0":                                     0,
		"cpu0 100 20 30 999 999 4 5 6 7 8\n":                           -1,
		"cpu  100 20 30 999 999 4 5\n":                                 -1,
		"cpu  100 20 many 999 999 4 5 6 7 8\n":                         -1,
		"":                                                             -1,
	} {
		if got, err := busy(stat); (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("busy(%q) = %v, %v", stat, got, err)
		}
	}
	before := load{at: time.Unix(100, 0), all: 50 * time.Second, own: 20 * time.Second}
	after := load{at: time.Unix(110, 0), all: 65 * time.Second, own: 30 * time.Second}
	if got := after.others(before); got != 0.5 {
		t.Errorf("others kept %v processors busy, want 0.5", got)
	}
	after.own += 6 * time.Second // clocks that differ
	if got := after.others(before); got != 0 {
		t.Errorf("others kept %v processors busy, want 0", got)
	}
}

func TestZipSizesAreCompressed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := zipSize(file); err != nil || n < 100 || n > 1<<14 {
		t.Errorf("a megabyte of nothing has a zip of %d bytes, %v", n, err)
	}
}

func TestOtherFlagsThanTheDeployedOnesAreRefused(t *testing.T) {
	if err := run(t.Context(), io.Discard, "-trimpath"); !errors.Is(err, errFlags) {
		t.Errorf("error %v", err)
	}
}

func TestAProgramThatDoesNotPollIsAnError(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := startOnce(t.Context(), program, nil, ""); !errors.Is(err, errNoPoll) {
		t.Errorf("error %v", err)
	}
}
