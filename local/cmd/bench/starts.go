package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rolekeeper/local/child"
)

// starts is how often each program is started. A few more starts before that
// bring the binaries into the page cache.
const (
	starts     = 100
	firstStart = 5
)

// measureStarts starts the programs in turn, so that what else the machine does
// slows all of them alike. It gives how many processors that was.
func measureStarts(ctx context.Context, programs []*program, parameter string) (others float64, err error) {
	reconcile := slices.IndexFunc(programs, func(p *program) bool { return p.name == "reconcile" })
	if reconcile < 0 {
		return 0, errors.New("there is no function reconcile whose environment the plain handlers could get")
	}
	before, err := loadNow()
	if err != nil {
		return 0, err
	}
	for i := range firstStart + starts {
		for _, p := range programs {
			environment := p.environment
			if !p.function {
				environment = programs[reconcile].environment
			}
			took, err := startOnce(ctx, p.host, environment, parameter)
			if err != nil {
				return 0, fmt.Errorf("start of %s: %w", p.name, err)
			}
			if i >= firstStart {
				p.starts = append(p.starts, float64(took.Microseconds())/1000)
			}
		}
	}
	for _, p := range programs {
		slices.Sort(p.starts)
	}
	after, err := loadNow()
	if err != nil {
		return 0, err
	}
	return after.others(before), nil
}

// errNoPoll says that a program did not get as far as its first poll.
var errNoPoll = errors.New("it did not poll the Runtime API")

// startOnce gives the time from the start of the process to its first request
// for an invocation (Lambda developer guide, "Using the Lambda runtime API").
// The process gets none and is killed. Before that it may read its settings
// parameter, which is answered at once: how far away Systems Manager is, is not
// what is measured.
func startOnce(ctx context.Context, binary string, environment map[string]string, parameter string) (time.Duration, error) {
	settings, err := json.Marshal(map[string]any{"Parameter": map[string]string{"Value": parameter}})
	if err != nil {
		return 0, fmt.Errorf("encode the settings parameter: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	polled := make(chan time.Time, 1)
	var once sync.Once
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "AmazonSSM.GetParameter" {
			_, _ = w.Write(settings) // the process tells when it got none
			return
		}
		if strings.HasSuffix(r.URL.Path, "/runtime/invocation/next") {
			once.Do(func() { polled <- time.Now() })
		}
		<-r.Context().Done()
	})}
	go func() { _ = server.Serve(listener) }() // ends when it is closed
	defer server.Close()                       //nolint:errcheck // nothing is left to say

	var log bytes.Buffer
	cmd := child.Command(context.WithoutCancel(ctx), binary)
	cmd.Env = append(pairs(environment),
		"AWS_LAMBDA_RUNTIME_API="+listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=bench", "AWS_LAMBDA_LOG_FORMAT=JSON",
		"AWS_ENDPOINT_URL=http://"+listener.Addr().String(), "AWS_REGION="+region, "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_SESSION_TOKEN=bench",
		"AWS_EC2_METADATA_DISABLED=true", "_HANDLER=bootstrap", "TZ=:UTC")
	cmd.Stdout, cmd.Stderr = &log, &log
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed; what it wrote tells of another end
		close(exited)
	}()
	defer func() {
		_ = cmd.Process.Kill() // it may be gone already
		<-exited
	}()
	select {
	case at := <-polled:
		return at.Sub(started), nil
	case <-exited:
		return 0, fmt.Errorf("%w: %s", errNoPoll, log.String())
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", errNoPoll, ctx.Err())
	}
}

func pairs(environment map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		out = append(out, name+"="+environment[name])
	}
	return out
}

// errNoProcess says that no process of a binary runs, or that the system does
// not tell of processes as Linux does.
var errNoProcess = errors.New("no process of it is found in /proc")

// peakMemory gives the highest resident set size, in bytes, of the processes
// that run a binary (VmHWM, proc_pid_status(5)).
func peakMemory(binary string) (int64, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return 0, err
	}
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	var peak int64
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != binary {
			continue // another's process, or one that is gone
		}
		data, err := os.ReadFile(filepath.Join(filepath.Dir(link), "status"))
		if err != nil {
			return 0, err
		}
		bytes, err := highWater(string(data))
		if err != nil {
			return 0, err
		}
		peak = max(peak, bytes)
	}
	if peak == 0 {
		return 0, errNoProcess
	}
	return peak, nil
}

// highWater reads VmHWM, in bytes, from a process's status.
func highWater(status string) (int64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %q: %w", strings.TrimSpace(line), err)
		}
		return kilobytes << 10, nil
	}
	return 0, errors.New("the process's status has no VmHWM")
}
