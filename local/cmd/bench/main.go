// Command bench prints the figures of docs/benchmarks.md beside their targets:
// how the functions start, what they weigh, and how the stack on the local AWS
// handles configs, one after the other and all at once. A target that is missed
// is told and is no error; a figure that could not be taken is one.
//
// The functions are built with the flags in GOFLAGS, which make bench sets to
// those of the deployed build.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
)

const (
	account = "123456789012"
	region  = "us-east-1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Getenv("GOFLAGS")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errFlags says that the binaries would not be those that are deployed.
var errFlags = errors.New("GOFLAGS lacks -tags=lambda.norpc: run make bench")

func run(ctx context.Context, out io.Writer, goflags string) error {
	if !strings.Contains(goflags, "lambda.norpc") {
		return errFlags
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a rest in the temporary directory does no harm

	programs, err := build(ctx, dir)
	if err != nil {
		return err
	}
	work, err := measureWork(ctx, dir, programs)
	if err != nil {
		return err
	}
	// After the local AWS has stopped, so that nothing else runs meanwhile.
	others, err := measureStarts(ctx, programs, work.parameter)
	if err != nil {
		return err
	}
	fleets, err := measureFleets(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s/%s, %d cores\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Fprintf(out, "%s\n%s\n%s\n%s\n%s", programTable(programs, others), workTable(work), repairTable(work.repaired), callTable(work), fleetTable(fleets))
	return nil
}

// measureWork runs the stack on the local AWS, at the real pace of its queues,
// and fills in the functions' environments and peak memories.
func measureWork(ctx context.Context, dir string, programs []*program) (work, error) {
	o := local.Options{Template: "template.yaml", Account: account, Region: region, Dir: filepath.Join(dir, "local"), Binaries: map[string]string{}}
	for _, p := range programs {
		if p.function {
			o.Binaries[p.name] = p.host
		}
	}
	a, err := local.Start(ctx, o)
	if err != nil {
		return work{}, err
	}
	defer a.Stop()
	for _, p := range programs {
		if !p.function {
			continue
		}
		f, ok := a.Stack().Functions[p.name]
		if !ok {
			return work{}, fmt.Errorf("template.yaml has no function %s", p.name)
		}
		p.environment = f.Environment
	}
	peaks := func(into func(*program) *int64) error { return measurePeaks(ctx, a, o.Dir, programs, into) }

	w, remove := newWatcher(a)
	defer remove()
	figures := work{parameter: fmt.Sprint(a.Stack().Resources["SettingsParameter"].Properties["Value"])}
	if err := figures.oneByOne(ctx, w, func() error {
		return peaks(func(p *program) *int64 { return &p.peakOne })
	}); err != nil {
		return work{}, err
	}
	if figures.repaired, err = measureRepairs(ctx, w); err != nil {
		return work{}, err
	}
	if err := figures.atOnce(ctx, w); err != nil {
		return work{}, err
	}
	if err := peaks(func(p *program) *int64 { return &p.peakAll }); err != nil {
		return work{}, err
	}
	if errs := a.Errors(); len(errs) > 0 {
		return work{}, fmt.Errorf("local AWS: %w", errors.Join(errs...))
	}
	return figures, nil
}

// measurePeaks notes the highest memory of each function's processes so far.
func measurePeaks(ctx context.Context, a *local.AWS, dir string, programs []*program, into func(*program) *int64) error {
	if r, err := a.RunSchedule(ctx, "drift"); err != nil || r.Failure != "" { // nothing else has it run
		return fmt.Errorf("the scheduled pass: %s, %w", r.Failure, err)
	}
	for _, p := range programs {
		if !p.function {
			continue
		}
		bytes, err := peakMemory(filepath.Join(dir, p.name+".bootstrap"))
		if err != nil {
			return fmt.Errorf("peak memory of %s: %w", p.name, err)
		}
		*into(p) = bytes
	}
	return nil
}

// calls of AWS by the functions. Lambda's own calls of SQS are not among them.
type calls struct {
	iam, codebuild, ecr, logs access
	s3, sqs, events, other    int
}

// access to one service, by reading and by writing calls.
type access struct{ reads, writes int }

func (a access) all() int { return a.reads + a.writes }

func (c calls) all() int {
	return c.iam.all() + c.codebuild.all() + c.ecr.all() + c.logs.all() + c.s3 + c.sqs + c.events + c.other
}

// writes are those of what agents are made of; claims and answers are in S3.
func (c calls) writes() int { return c.iam.writes + c.codebuild.writes + c.ecr.writes + c.logs.writes }

func countCalls(made []proxy.Call, functions map[string]bool) calls {
	var n calls
	for _, c := range made {
		if !functions[c.Caller] {
			continue
		}
		switch c.Service {
		case "iam":
			n.iam.add(c)
		case "codebuild":
			n.codebuild.add(c)
		case "ecr":
			n.ecr.add(c)
		case "logs":
			n.logs.add(c)
		case "s3":
			n.s3++
		case "sqs":
			n.sqs++
		case "events":
			n.events++
		default:
			n.other++
		}
	}
	return n
}

func (a *access) add(c proxy.Call) {
	for _, reading := range []string{"Get", "List", "BatchGet", "Describe"} {
		if strings.HasPrefix(c.Operation, reading) {
			a.reads++
			return
		}
	}
	a.writes++
}
