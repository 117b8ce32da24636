// Package host runs Lambda functions: the deployed bootstrap binaries as
// processes behind the Lambda Runtime API (version 2018-06-01), and the pollers
// that feed them from queues.
package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"rolekeeper/local/bus"
)

// Function is a function to run.
type Function struct {
	Name        string // as callers of the host know it
	AWSName     string // FunctionName
	ARN         string
	Binary      string // path of its bootstrap
	Timeout     time.Duration
	MemorySize  int // MB; only told to the function
	LogGroup    string
	Environment map[string]string // the function's variables, resolved
	AccessKey   string            // by which its calls are known
}

// Options say where functions run.
type Options struct {
	Endpoint string // of the local AWS
	Region   string
	Dir      string // for the functions' logs
}

// Result is what an invocation gave.
type Result struct {
	RequestID string
	Payload   []byte // the response, or the error as JSON
	// Failure is empty for a response, otherwise the kind of error: the type the
	// function reported, Runtime.ExitError for a process that died,
	// Sandbox.Timedout for one that was killed at its deadline.
	Failure string
}

// Host runs functions. Its methods may be called concurrently.
type Host struct {
	o Options

	mu        sync.Mutex
	functions map[string]*pool
	stopped   bool
	invoked   int // invocations that are not finished
}

// pool is the environments of one function.
type pool struct {
	Function
	log  *logFile
	idle []*environment
	all  map[*environment]bool
}

// ErrStopped says that the host takes no more invocations.
var ErrStopped = errors.New("the Lambda host has stopped")

// New makes a host without functions.
func New(o Options) *Host { return &Host{o: o, functions: map[string]*pool{}} }

// Add makes a function known. Its first process starts with its first
// invocation, as in AWS.
func (h *Host) Add(f Function) error {
	log, err := newLog(filepath.Join(h.o.Dir, f.Name+".log"))
	if err != nil {
		return fmt.Errorf("log of function %s: %w", f.Name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.functions[f.Name] = &pool{Function: f, log: log, all: map[*environment]bool{}}
	return nil
}

// Invoke runs the function on the payload and waits for it. A function that
// fails is no error but a Result with a Failure; an error is the host's own or
// that of ctx, whose end does not end the function.
func (h *Host) Invoke(ctx context.Context, name string, payload []byte) (Result, error) {
	i, err := h.begin(name, payload, 1)
	if err != nil {
		return Result{}, err
	}
	return i.Wait(ctx)
}

// attempts is how often Lambda runs an asynchronous invocation that fails
// (Lambda developer guide, "Error handling for asynchronous invocation"). It
// waits a minute and two between them; nothing waits here.
const attempts = 3

// InvokeAsync takes an invocation and does not wait for it. What fails is run
// again under the same request id.
func (h *Host) InvokeAsync(name string, payload []byte) (*Invocation, error) {
	return h.begin(name, payload, attempts)
}

// Invocation is one that the host has taken.
type Invocation struct {
	RequestID string

	function string
	done     chan struct{} // closed when there is a result or an error
	result   Result
	err      error
}

// Wait gives the result of the last attempt; an error as Invoke gives it.
func (i *Invocation) Wait(ctx context.Context) (Result, error) {
	select {
	case <-i.done:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	if i.err != nil {
		return Result{}, fmt.Errorf("invoke %s: %w", i.function, i.err)
	}
	return i.result, nil
}

// begin runs the function until it succeeds, a number of times at most.
func (h *Host) begin(name string, payload []byte, times int) (*Invocation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil, ErrStopped
	}
	p, ok := h.functions[name]
	if !ok {
		return nil, fmt.Errorf("no function %s", name)
	}
	h.invoked++
	i := &Invocation{RequestID: bus.NewID(), function: name, done: make(chan struct{})}
	go func() {
		for range times {
			if i.result, i.err = h.run(p, i.RequestID, payload); i.err != nil || i.result.Failure == "" {
				break
			}
		}
		h.mu.Lock()
		h.invoked--
		h.mu.Unlock()
		close(i.done)
	}()
	return i, nil
}

// run takes an idle environment or starts one, and gives it back if it lives.
func (h *Host) run(p *pool, id string, payload []byte) (Result, error) {
	e, err := h.environment(p)
	if err != nil {
		return Result{}, err
	}
	result, alive := e.invoke(id, payload, p.Timeout)
	if !alive {
		e.kill()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if alive && !h.stopped {
		p.idle = append(p.idle, e)
	} else {
		delete(p.all, e)
	}
	return result, nil
}

func (h *Host) environment(p *pool) (*environment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil, ErrStopped
	}
	for len(p.idle) > 0 {
		e := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !e.dead() {
			return e, nil
		}
		delete(p.all, e)
	}
	e, err := startEnvironment(h.o, p.Function, p.log)
	if err != nil {
		return nil, err
	}
	p.all[e] = true
	return e, nil
}

// Kill sends SIGKILL to every process of the function and gives their number.
// Running invocations fail; the next one starts a process.
func (h *Host) Kill(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.functions[name]
	if !ok {
		return 0
	}
	n := 0
	for e := range p.all {
		if !e.dead() {
			e.kill()
			n++
		}
	}
	return n
}

// Running gives the number of invocations that are not finished.
func (h *Host) Running() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.invoked
}

// Log gives the last lines that the function wrote, oldest first; all of them
// are in <name>.log in the host's directory.
func (h *Host) Log(name string) []string {
	h.mu.Lock()
	p, ok := h.functions[name]
	h.mu.Unlock()
	if !ok {
		return nil
	}
	return p.log.last()
}

// Stop ends all processes: SIGTERM, half a second, SIGKILL, as Lambda does.
func (h *Host) Stop() {
	h.mu.Lock()
	h.stopped = true
	var all []*environment
	var logs []*logFile
	for _, p := range h.functions {
		for e := range p.all {
			all = append(all, e)
		}
		logs = append(logs, p.log)
	}
	h.mu.Unlock()
	var wg sync.WaitGroup
	for _, e := range all {
		wg.Go(e.stop)
	}
	wg.Wait()
	for _, l := range logs {
		l.close()
	}
}

// failure makes the result of an invocation that the host ended.
func failure(id, kind, message string) Result {
	payload, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": "RequestId: " + id + " Error: " + message}) // text always encodes
	return Result{RequestID: id, Payload: payload, Failure: kind}
}
