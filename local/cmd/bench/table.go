package main

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The targets.
const (
	maxStart    = 2.0       // times the empty handler's
	maxZip      = 5_000_000 // bytes
	maxMemory   = 64_000_000
	maxReadyP50 = 1500.0 // milliseconds
	maxReadyP99 = 3000.0
	maxFixedP50 = 1000.0
	maxFixedP99 = 2000.0
	maxToBuild  = 6 // calls more than for a config that is unchanged
)

// The starter toolkit's calls for the same roles, measured elsewhere: version
// 0.3.10 (commit 4f90432b) with boto3 1.43.11 on Python 3.11.7 against moto
// 5.2.1, calls counted before they are sent, sleeps recorded and not slept.
var (
	toolkitCreate = calls{iam: access{2, 4}} // for each role GetRole, CreateRole, PutRolePolicy
	toolkitAgain  = calls{iam: access{2, 0}} // for each role GetRole
)

// percentile gives the smallest of the sorted values that at least p percent
// do not exceed; of none it gives NaN.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// verdict tells who missed a target.
func verdict(missed ...string) string {
	if len(missed) == 0 {
		return "met"
	}
	return "missed: " + strings.Join(missed, ", ")
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}

func milliseconds(ms float64) string { return strconv.FormatFloat(ms, 'f', 1, 64) + " ms" }
func megabytes(bytes int64) string {
	return strconv.FormatFloat(float64(bytes)/1e6, 'f', 1, 64) + " MB"
}

// programTable tells of every program: how it starts, what it weighs. others is
// how many processors were busy with something else meanwhile.
func programTable(programs []*program, others float64) string {
	head := []string{"function"}
	var empty float64
	for _, p := range programs {
		head = append(head, p.name)
		if p.name == emptyHandler {
			empty = percentile(p.starts, 50)
		}
	}
	row := func(name, target string, cell func(*program) (text string, ok bool)) []string {
		cells := []string{name}
		var missed []string
		for _, p := range programs {
			text, ok := cell(p)
			if !ok && p.function {
				missed = append(missed, p.name)
			}
			cells = append(cells, text)
		}
		if target == "" {
			return append(cells, "", "")
		}
		return append(cells, target, verdict(missed...))
	}
	memory := func(bytes func(*program) int64) func(*program) (string, bool) {
		return func(p *program) (string, bool) {
			if !p.function {
				return "", true
			}
			return megabytes(bytes(p)), bytes(p) < maxMemory
		}
	}
	return table(append(head, "target", "verdict"),
		row("start to first poll, p50", fmt.Sprintf("%.0fx the empty handler", maxStart), func(p *program) (string, bool) {
			p50 := percentile(p.starts, 50)
			return fmt.Sprintf("%s (%.2fx)", milliseconds(p50), p50/empty), p50 <= maxStart*empty
		}),
		row("start to first poll, p90", "", func(p *program) (string, bool) { return milliseconds(percentile(p.starts, 90)), true }),
		row("zip, arm64", "at most "+megabytes(maxZip), func(p *program) (string, bool) { return megabytes(p.zipBytes), p.zipBytes <= maxZip }),
		row("peak memory, one config", "under "+megabytes(maxMemory), memory(func(p *program) int64 { return p.peakOne })),
		row("peak memory, all configs", "under "+megabytes(maxMemory), memory(func(p *program) int64 { return p.peakAll })),
	) + fmt.Sprintf(`
%d starts each, in turn; everything else on the machine kept %.2f of %d processors busy meanwhile. The empty handler is aws-lambda-go
alone, the plain one has reconcile's SDK clients and the SDK's configuration loader. 1 MB is 1,000,000 bytes. Peak memory is VmHWM,
the highest of the function's processes.
`, starts, others, runtime.NumCPU())
}

// workTable tells how long configs take.
func workTable(w work) string {
	p50, p99 := percentile(w.ready, 50), percentile(w.ready, 99)
	each := w.create.iam.all()
	linear := together * each
	return table([]string{"upload to ready, container agents", "measured", "target", "verdict"},
		[]string{fmt.Sprintf("%d one after the other, p50", inSequence), milliseconds(p50), "at most " + milliseconds(maxReadyP50), met(p50 <= maxReadyP50)},
		[]string{fmt.Sprintf("%d one after the other, p99", inSequence), milliseconds(p99), "at most " + milliseconds(maxReadyP99), met(p99 <= maxReadyP99)},
		[]string{fmt.Sprintf("%d at once, ready", together), strconv.Itoa(w.count), strconv.Itoa(together), met(w.count == together)},
		[]string{fmt.Sprintf("%d at once, first upload to last ready", together), fmt.Sprintf("%.1f s", w.allReady.Seconds()), "", ""},
		[]string{fmt.Sprintf("%d at once, dead letters", together), strconv.Itoa(w.dead), "0", met(w.dead == 0)},
		[]string{
			fmt.Sprintf("%d at once, calls of IAM", together), fmt.Sprintf("%d (%.2f each)", w.bulk.iam.all(), float64(w.bulk.iam.all())/together),
			fmt.Sprintf("at most %d (%d each, as for one alone)", linear, each), met(w.bulk.iam.all() <= linear),
		},
		[]string{fmt.Sprintf("%d at once, all calls", together), fmt.Sprintf("%d (%.2f each)", w.bulk.all(), float64(w.bulk.all())/together), "", ""},
	) + `
On the local AWS, queues at their real pace. The first of those one after the other includes the start of both functions' processes
and the making of the service-linked role.
`
}

// repairTable tells how long it takes to repair a role that somebody edited.
func repairTable(sorted []float64) string {
	p50, p99 := percentile(sorted, 50), percentile(sorted, 99)
	row := func(name string, measured, most float64) []string {
		return []string{
			fmt.Sprintf("%d edits of %d roles, %s", repairs, repairedRoles, name), milliseconds(measured), "at most " + milliseconds(most), met(measured <= most),
		}
	}
	return table([]string{"from IAM's event to the repaired role", "measured", "target", "verdict"}, row("p50", p50, maxFixedP50), row("p99", p99, maxFixedP99)) + `
On the local AWS, one edit after the other. How long CloudTrail takes to tell of an edit is not among them.
`
}

// callTable sets the calls for one container agent beside the toolkit's.
func callTable(w work) string {
	both := func(a access) string {
		if a.writes == 0 {
			return strconv.Itoa(a.reads)
		}
		return fmt.Sprintf("%d + %d", a.reads, a.writes)
	}
	row := func(what, who string, n calls, sleep, target, verdict string) []string {
		return []string{
			what, who, both(n.iam), both(n.codebuild), both(n.ecr), both(n.logs), strconv.Itoa(n.s3), strconv.Itoa(n.sqs), strconv.Itoa(n.events),
			strconv.Itoa(n.all()), sleep, target, verdict,
		}
	}
	const ours, toolkit = "Rolekeeper", "toolkit's roles, elsewhere"
	// Two reads and four writes; of a role that exists three reads, and one of its
	// policy. One more read is that of the service-linked role.
	const most, mostReads = 6 + 1, 2*(3+1) + 1
	unwritten := func(n calls) bool { return n.writes() == 0 && n.iam.reads <= mostReads }
	untouched := fmt.Sprintf("no write, at most %d reads of IAM", mostReads)
	toBuild := func(what string, n, unchanged calls) []string {
		return row(what, ours, n, "none", fmt.Sprintf("at most %d more than unchanged", maxToBuild), met(n.all() <= unchanged.all()+maxToBuild))
	}
	return table([]string{"a container agent", "by", "IAM", "CodeBuild", "ECR", "Logs", "S3", "SQS", "EventBridge", "all", "sleeps", "target", "verdict"},
		row("made", ours, w.create, "none", fmt.Sprintf("at most %d of IAM", most), met(w.create.iam.all() <= most)),
		row("", toolkit, toolkitCreate, "10 s", "", ""),
		row("one permission changed", ours, w.change, "none", "1 write, of IAM", met(w.change.iam.writes == 1 && w.change.writes() == 1)),
		row("", toolkit, toolkitAgain, "none", "", ""),
		row("unchanged, without a source", ours, w.unchanged, "none", untouched, met(unwritten(w.unchanged))),
		row("", toolkit, toolkitAgain, "none", "", ""),
		toBuild("first source uploaded, to StartBuild", w.first.start, w.unchanged),
		row("from then on, until the image is told", ours, w.first.rest, "none", "", ""),
		row("unchanged, its image built", ours, w.imaged, "none", untouched, met(unwritten(w.imaged))),
		toBuild("next source uploaded, to StartBuild", w.next.start, w.imaged),
		row("from then on, until the image is told", ours, w.next.rest, "none", "", ""),
	) + `
Two numbers are reads and writes. Rolekeeper: calls of its functions, without those that Lambda makes for them. They include reading the
config, owning the name and writing the answer, which the toolkit does not do. One of the reads of IAM is that of the service-linked role.
StartBuild itself is counted with what leads to it.

Toolkit: starter toolkit 0.3.10 (commit 4f90432b), its functions that get or create the two roles, measured elsewhere and not by
this run: boto3 1.43.11, Python 3.11.7, moto 5.2.1. Making both took 321 ms and 10 s of sleep. A role that exists it returns
unread: a changed permission is not written, and what somebody else changed is neither seen nor repaired.
`
}

// table lays out rows below a head, in Markdown, with columns of even width.
func table(head []string, rows ...[]string) string {
	widths := make([]int, len(head))
	all := append([][]string{head}, rows...)
	for _, cells := range all {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	rule := make([]string, len(head))
	for i, w := range widths {
		rule[i] = strings.Repeat("-", w)
	}
	var b strings.Builder
	for _, cells := range append([][]string{head, rule}, rows...) {
		for i, c := range cells {
			b.WriteString("| " + c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+1))
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// The targets of a pass over the largest fleet.
const (
	maxPass       = 20 * time.Second
	maxPassMemory = 256_000_000
)

// fleetTable tells what a pass over the account takes, by the size of the fleet.
func fleetTable(all []fleet) string {
	rows := [][]string{}
	for i, f := range all {
		pages := 2 * ((f.account + 999) / 1000)
		missed := []string{}
		if f.iam > pages+2 {
			missed = append(missed, "calls")
		}
		target := fmt.Sprintf("%d + 2 calls of IAM", pages)
		if i == len(all)-1 {
			target += fmt.Sprintf(", %s, %s", seconds(maxPass), megabytes(maxPassMemory))
			if f.took > maxPass {
				missed = append(missed, "time")
			}
			if f.peak > maxPassMemory {
				missed = append(missed, "memory")
			}
			if f.editedPeak > maxPassMemory {
				missed = append(missed, "memory, all edited")
			}
		}
		rows = append(rows, []string{
			strconv.Itoa(f.roles), strconv.Itoa(f.account), strconv.Itoa(f.iam), strconv.Itoa(f.all), seconds(f.took), megabytes(f.peak),
			seconds(f.editedTook), megabytes(f.editedPeak), strconv.Itoa(f.oneByOneCalls), seconds(f.oneByOne), target, verdict(missed...),
		})
	}
	return table([]string{
		"roles of agents", "all roles", "calls of IAM", "all calls", "time", "memory", "all edited: time", "memory", "one by one: calls of IAM", "time", "target: at most", "verdict",
	}, rows...)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s" }
