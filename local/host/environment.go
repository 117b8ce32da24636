package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"rolekeeper/local/bus"
	"rolekeeper/local/child"
)

// environment is one process of a function and the Runtime API it talks to.
// Paths and headers are those of "Using the Lambda runtime API" and "Using the
// Lambda Extensions API" in the Lambda developer guide.
type environment struct {
	arn     string
	cmd     *exec.Cmd
	server  *http.Server
	next    chan invocation
	exited  chan struct{} // closed when the process is gone
	closing chan struct{} // closed when no more invocations come
	once    sync.Once

	mu      sync.Mutex
	current *invocation
}

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	done     chan Result // of capacity 1
}

func startEnvironment(o Options, f Function, log io.Writer) (*environment, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the runtime of %s: %w", f.Name, err)
	}
	e := &environment{arn: f.ARN, next: make(chan invocation), exited: make(chan struct{}), closing: make(chan struct{})}
	e.server = &http.Server{Handler: e.routes(), ReadHeaderTimeout: 10 * time.Second}
	e.cmd = child.Command(context.Background(), f.Binary)
	e.cmd.Env = variables(o, f, listener.Addr().String())
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("start %s: %w", f.Binary, err)
	}
	go func() { _ = e.server.Serve(listener) }() // ends when it is closed
	go func() {
		_ = e.cmd.Wait() // how it ended shows in the invocation's result
		close(e.exited)
		_ = e.server.Close()
	}()
	return e, nil
}

// variables is a Lambda function's environment and nothing of ours: a
// certificate bundle or a profile of the shell must not reach the SDK.
func variables(o Options, f Function, runtimeAPI string) []string {
	env := maps.Clone(f.Environment)
	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME":        f.AWSName,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemorySize),
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME":       f.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_REGION":                      o.Region,
		"AWS_DEFAULT_REGION":              o.Region,
		"AWS_ACCESS_KEY_ID":               f.AccessKey,
		"AWS_SECRET_ACCESS_KEY":           "local",
		"AWS_SESSION_TOKEN":               "local",
		"AWS_ENDPOINT_URL":                o.Endpoint,
		"AWS_EC2_METADATA_DISABLED":       "true",
		"_HANDLER":                        "bootstrap",
		"TZ":                              ":UTC",
		"PATH":                            "/usr/local/bin:/usr/bin:/bin",
		"LANG":                            "en_US.UTF-8",
	})
	out := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}

// invoke runs one invocation. After a crash, a timeout or a stop the
// environment is not alive and must not be used again.
func (e *environment) invoke(id string, payload []byte, timeout time.Duration) (r Result, alive bool) {
	i := invocation{id: id, payload: payload, deadline: time.Now().Add(timeout), done: make(chan Result, 1)}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case e.next <- i:
	case <-e.exited:
		return failure(id, "Runtime.ExitError", "the process ended before it took the invocation"), false
	case <-timer.C:
		return failure(id, "Sandbox.Timedout", "the process did not ask for the invocation in time"), false
	}
	select {
	case r = <-i.done:
		return r, true
	case <-e.exited:
	case <-timer.C:
		return failure(id, "Sandbox.Timedout", fmt.Sprintf("timed out after %.2f seconds", timeout.Seconds())), false
	}
	select {
	case r = <-i.done: // it answered, then ended: a panic reports itself first
		return r, false
	default:
		return failure(id, "Runtime.ExitError", "the process ended: "+e.cmd.ProcessState.String()), false
	}
}

func (e *environment) dead() bool {
	select {
	case <-e.exited:
		return true
	default:
		return false
	}
}

// kill ends the process group at once and waits until it is gone.
func (e *environment) kill() {
	_ = syscall.Kill(-e.cmd.Process.Pid, syscall.SIGKILL) // it may be gone already
	<-e.exited
}

func (e *environment) stop() {
	e.once.Do(func() { close(e.closing) })
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.exited:
	case <-time.After(500 * time.Millisecond):
		e.kill()
	}
}

func (e *environment) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		e.finish(w, r, func(body []byte) Result { return Result{Payload: body} })
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		e.finish(w, r, func(body []byte) Result {
			var report struct {
				ErrorType string `json:"errorType"`
			}
			if json.Unmarshal(body, &report) != nil || report.ErrorType == "" {
				report.ErrorType = "Runtime.UnknownReason"
			}
			return Result{Payload: body, Failure: report.ErrorType}
		})
	})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted) // the process ends next, which fails the invocation
	})
	// A runtime that wants SIGTERM registers an internal extension.
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", bus.NewID())
		_, _ = io.WriteString(w, "{}")
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // an internal extension gets no events
	})
	return mux
}

func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	select {
	case i := <-e.next:
		e.mu.Lock()
		e.current = &i
		e.mu.Unlock()
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", e.arn)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0")
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(i.payload) // a process that is gone shows by its exit
	case <-e.closing:
		w.WriteHeader(http.StatusGone)
	case <-r.Context().Done():
	}
}

var errNoInvocation = errors.New("this is not the running invocation")

func (e *environment) finish(w http.ResponseWriter, r *http.Request, result func([]byte) Result) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	i := e.current
	if i != nil && i.id == r.PathValue("id") {
		e.current = nil
	} else {
		i = nil
	}
	e.mu.Unlock()
	if i == nil {
		http.Error(w, errNoInvocation.Error(), http.StatusForbidden)
		return
	}
	// The runtime reports an error in the middle of a response in a trailer.
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
		result = func([]byte) Result { return Result{Payload: body, Failure: kind} }
	}
	out := result(body)
	out.RequestID = i.id
	i.done <- out
	w.WriteHeader(http.StatusAccepted)
}
