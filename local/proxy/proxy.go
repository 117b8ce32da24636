// Package proxy is the one endpoint of the local AWS. It stands before moto,
// logs every call with the function that made it, injects faults, and answers
// what moto lacks or gets wrong.
package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"rolekeeper/local/bus"
	"rolekeeper/shared/awsfake"
)

// Options say what the proxy stands for.
type Options struct {
	Backend *url.URL // moto
	Account string   // 12 digits
	Region  string
	Bus     *bus.Bus
	// TimeScale multiplies delays, visibility timeouts and the deduplication
	// interval of queues; 1 leaves AWS's own.
	TimeScale float64
	// CodeBuild gives CodeBuild as a caller has it; nil: there is none.
	CodeBuild func(caller string) *awsfake.CodeBuild
	// Lambda takes an asynchronous invocation of a function, by its name in AWS; an
	// error says that there is no such function. nil: there is no Lambda.
	Lambda func(function string, event []byte) (requestID string, err error)
}

// Proxy is an http.Handler. Its methods may be called concurrently.
type Proxy struct {
	o       Options
	client  *http.Client
	local   *http.ServeMux
	faults  faults
	buckets buckets
	roles   roles
	queues  queues

	agentCore agentCore

	mu      sync.Mutex
	seq     int
	calls   []*Call
	callers map[string]string // access key id -> caller
	hooks   map[int]Hook
	nextID  int
}

// New makes a proxy that knows no caller yet.
func New(o Options) *Proxy {
	p := &Proxy{
		o: o,
		// moto closes every connection anyway
		client:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}},
		local:   http.NewServeMux(),
		callers: map[string]string{},
		hooks:   map[int]Hook{},
	}
	p.buckets.notify, p.buckets.policies, p.buckets.locks = map[string]bool{}, map[string][]byte{}, map[string]*sync.Mutex{}
	p.roles.names, p.roles.inline, p.roles.linked = map[string]string{}, map[string]map[string]int{}, map[string]bool{}
	p.roles.profiles, p.roles.used = map[string]string{}, map[string]use{}
	p.queues.sent = map[string]sent{}
	p.startAgentCore()
	p.routes()
	return p
}

// AccessKey gives the access key id by which the proxy knows the caller.
func (p *Proxy) AccessKey(caller string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, name := range p.callers {
		if name == caller {
			return key
		}
	}
	key := fmt.Sprintf("LOCALKEY%08d", len(p.callers)+1)
	p.callers[key] = caller
	return key
}

// Filter selects calls: those that match all of its set fields.
type Filter struct {
	Caller, Service, Operation string
	Resource                   string // substring
}

// Calls gives the calls that the filter selects, in order of arrival. A receive
// that brought no message is no call: pollers make hundreds of them.
func (p *Proxy) Calls(f Filter) []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Call
	for _, c := range p.calls {
		if (Fault{Caller: f.Caller, Service: f.Service, Operation: f.Operation, Resource: f.Resource}).matches(*c) {
			out = append(out, *c)
		}
	}
	return out
}

// Reset forgets the calls so far.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

// InjectFault puts a fault in force. When several match, the oldest strikes.
func (p *Proxy) InjectFault(f Fault) *Injected { return p.faults.add(f) }

// ClearFaults ends all faults.
func (p *Proxy) ClearFaults() { p.faults.clear() }

// Verdict is what a hook decides.
type Verdict int

// The verdicts. Drop resets the caller's connection: before the call nothing
// happens, after it the caller does not learn what did.
const (
	Continue Verdict = iota
	Drop
)

// Hook watches calls while they are made; the caller waits for it. Either
// function may be nil. A hook must not make calls under a name it watches.
type Hook struct {
	Before func(Call) Verdict // nothing has happened yet
	After  func(Call) Verdict // it has happened, the caller knows nothing yet
}

// AddHook puts a hook in force until the returned function is called.
func (p *Proxy) AddHook(h Hook) (remove func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.nextID
	p.nextID++
	p.hooks[id] = h
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.hooks, id)
	}
}

// maxBody is more than any object the local AWS is meant for.
const maxBody = 64 << 20

// ServeHTTP answers one call.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_local/") {
		p.local.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "read the request: "+err.Error(), http.StatusBadRequest)
		return
	}
	c, key := p.identify(r, body)
	record := p.begin(&c, key)

	fault, struck := p.faults.strike(c)
	if struck {
		c.Fault = fault.Kind
	}
	if fault.Kind == Delay {
		select {
		case <-time.After(fault.Wait):
		case <-r.Context().Done():
		}
	}
	if p.ask(c, false) == Drop || fault.Kind == DropBefore {
		c.Dropped = true
		p.finish(record, c)
		reset(w)
		return
	}
	a, spoiled := spoil(c, fault.Kind)
	if !spoiled {
		// What has begun is finished even if the caller hangs up, as in AWS.
		a = p.answer(context.WithoutCancel(r.Context()), c, r, body)
		c.Committed = a.ok() || a.status == http.StatusNotModified
	}
	c.Status, c.ErrorCode = a.status, errorCode(a)
	if p.ask(c, true) == Drop || fault.Kind == DropAfter {
		c.Dropped, c.Status, c.ErrorCode = true, 0, ""
		p.finish(record, c)
		reset(w)
		return
	}
	if emptyReceive(c, a) {
		p.forget(record)
	} else {
		p.finish(record, c)
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a caller that hung up is its own affair
}

func (p *Proxy) begin(c *Call, key string) *Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq++
	c.Seq, c.Caller = p.seq, p.callers[key]
	if c.Caller == "" {
		c.Caller = "unknown"
	}
	record := *c
	p.calls = append(p.calls, &record)
	return &record
}

func (p *Proxy) finish(record *Call, c Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Done = true
	*record = c
}

func (p *Proxy) forget(record *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.calls) - 1; i >= 0; i-- {
		if p.calls[i] == record {
			p.calls = append(p.calls[:i], p.calls[i+1:]...)
			return
		}
	}
}

// ask calls all hooks; one Drop is enough.
func (p *Proxy) ask(c Call, after bool) Verdict {
	p.mu.Lock()
	hooks := make([]Hook, 0, len(p.hooks))
	for id := range p.nextID {
		if h, ok := p.hooks[id]; ok {
			hooks = append(hooks, h)
		}
	}
	p.mu.Unlock()
	verdict := Continue
	for _, h := range hooks {
		f := h.Before
		if after {
			f = h.After
		}
		if f != nil && f(c) == Drop {
			verdict = Drop
		}
	}
	return verdict
}

// reset ends the connection so that the caller sees a reset, not an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// answer finds who answers the call.
func (p *Proxy) answer(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	switch c.Service {
	case "s3":
		return p.answerS3(ctx, c, r, body)
	case "iam":
		return p.answerIAM(ctx, c, r, body)
	case "sqs":
		return p.answerSQS(ctx, c, r, body)
	case "events":
		return p.answerEvents(c, body)
	case "ssm":
		return p.answerSSM(ctx, c, r, body)
	case "cloudtrail":
		return p.answerCloudTrail(ctx, c, r, body)
	case "ecr":
		return p.answerECR(ctx, c, r, body)
	case "logs":
		return p.answerLogs(ctx, c, r, body)
	case "codebuild":
		return p.answerCodeBuild(ctx, c, body)
	case "bedrock-agentcore":
		return p.answerAgentCore(ctx, c, r, body)
	case "ec2":
		return p.answerEC2(ctx, c, body)
	case "lambda":
		return p.answerLambda(c, r, body)
	case "sts":
		return p.forward(ctx, c, r, body)
	default:
		return unanswered(c, "the service is not part of it")
	}
}

// forward passes the request to moto. What moto does not implement it answers
// with 500 and HTML (or 404 and HTML), which becomes a clear 501.
func (p *Proxy) forward(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	a, err := p.exchange(ctx, r.Method, r.URL, r.Host, r.Header, body)
	if err != nil {
		return refuse(c, http.StatusBadGateway, "LocalBackend", "moto: "+err.Error())
	}
	html := strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
	if html && a.status >= 400 && len(a.body) > 0 && c.Service != "s3" || html && a.status >= 500 {
		return unanswered(c, "moto does not implement it")
	}
	return a
}

func (p *Proxy) exchange(ctx context.Context, method string, to *url.URL, host string, header http.Header, body []byte) (answer, error) {
	target := *to
	target.Scheme, target.Host = p.o.Backend.Scheme, p.o.Backend.Host
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header = header.Clone()
	req.Host = host // queue URLs carry the proxy's address
	resp, err := p.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, fmt.Errorf("read its answer: %w", err)
	}
	for _, hop := range []string{"Connection", "Server", "Transfer-Encoding"} {
		a.header.Del(hop)
	}
	if method != http.MethodHead {
		a.header.Del("Content-Length") // a fill-in may change the body
	}
	return a, nil
}

// own makes a call of the proxy's own to moto, signed as moto needs it to find
// the service.
func (p *Proxy) own(ctx context.Context, service, method, path, contentType string, body []byte) (answer, error) {
	u, err := url.Parse(path)
	if err != nil {
		return answer{}, err
	}
	h := http.Header{"Authorization": {fmt.Sprintf(
		"AWS4-HMAC-SHA256 Credential=LOCALPROXY/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=0", p.o.Region, service)}}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return p.exchange(ctx, method, u, p.o.Backend.Host, h, body)
}
