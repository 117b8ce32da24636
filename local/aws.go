// Package local is an AWS on the loopback device for tests, the demo and
// debugging: moto behind a proxy, an event bus, a Lambda host for the functions'
// own binaries, a CodeBuild, and a deployment of the SAM template. What it does and does not
// do is in docs/local-aws.md.
package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/local/bus"
	"rolekeeper/local/codebuild"
	"rolekeeper/local/host"
	"rolekeeper/local/moto"
	"rolekeeper/local/proxy"
	"rolekeeper/local/stack"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/naming"
)

// Options say what to start. The zero value is an empty account.
type Options struct {
	Template   string            // path of a SAM template; empty for no stack
	Parameters map[string]string // of the template
	StackName  string            // "rolekeeper" when empty
	Account    string            // "123456789012" when empty
	Region     string            // "us-east-1" when empty
	// TimeScale multiplies the delays and visibility timeouts of queues, rounded
	// down to whole seconds; 0 means 1. A function's own clock is not scaled.
	TimeScale float64
	// Dir receives moto.log and <function>.log; when empty, a temporary
	// directory that Stop removes.
	Dir string
	// BuildLimit is how many builds of CodeBuild run at the same time; 0 stands for
	// more than any test starts. CodeBuild().LimitBuilds changes it, to none as well.
	BuildLimit int
	// Binaries are bootstraps to run instead of building the functions' source, by
	// short name (intake for functions/intake).
	Binaries map[string]string
	// KeepCalls keeps the calls of the deployment in the log.
	KeepCalls bool
}

// Names under which the local AWS itself calls.
const (
	Deployer    = "deployer"             // makes the stack
	EventBridge = "events.amazonaws.com" // delivers events
	PollerName  = "poller/"              // and the function's short name: receives and deletes for it
	Scheduler   = "scheduler/"           // and the function's short name: calls it on its schedule
)

// AWS is a running local AWS. Its methods may be called concurrently. Functions
// are named by their short names.
type AWS struct {
	o        Options
	ownDir   bool
	endpoint string
	moto     *moto.Server
	proxy    *proxy.Proxy
	bus      *bus.Bus
	host     *host.Host
	builds   *codebuild.CodeBuild
	stack    *stack.Stack
	pollers  []*host.Poller
	server   *http.Server
	cancel   context.CancelFunc
	polling  sync.WaitGroup
	once     sync.Once

	mu     sync.Mutex
	errors []error
	async  map[string]*host.Invocation // by request id
}

// Start starts a local AWS and deploys the template. It ends with Stop, with ctx
// or with the process. Without the Python tools the error is moto.ErrNoTools.
func Start(ctx context.Context, o Options) (*AWS, error) {
	venv, err := moto.Venv()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &AWS{o: withDefaults(o), cancel: cancel, async: map[string]*host.Invocation{}}
	if err := a.start(ctx, venv); err != nil {
		a.Stop()
		return nil, fmt.Errorf("start the local AWS: %w", err)
	}
	context.AfterFunc(ctx, a.Stop)
	return a, nil
}

func withDefaults(o Options) Options {
	for field, value := range map[*string]string{&o.StackName: "rolekeeper", &o.Account: "123456789012", &o.Region: "us-east-1"} {
		if *field == "" {
			*field = value
		}
	}
	if o.TimeScale == 0 {
		o.TimeScale = 1
	}
	return o
}

func (a *AWS) start(ctx context.Context, venv string) error {
	var err error
	if a.o.Dir == "" {
		a.ownDir = true
		if a.o.Dir, err = os.MkdirTemp("", "local-aws-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(a.o.Dir, 0o750); err != nil {
		return err
	}

	var template *stack.Template
	var translateErr error
	var translating sync.WaitGroup
	if a.o.Template != "" { // Python takes a second to import the translator
		translating.Go(func() {
			template, translateErr = stack.Translate(ctx, venv, a.o.Template, a.o.Region, a.o.Parameters)
		})
	}
	defer translating.Wait()
	if a.moto, err = moto.Start(ctx, moto.Options{Venv: venv, Account: a.o.Account, LogFile: filepath.Join(a.o.Dir, "moto.log")}); err != nil {
		return err
	}
	if err := a.serve(ctx); err != nil {
		return err
	}
	translating.Wait()
	if translateErr != nil {
		return translateErr
	}
	if template == nil {
		return nil
	}
	return a.deploy(ctx, template)
}

// serve opens the endpoint.
func (a *AWS) serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	a.endpoint = "http://" + listener.Addr().String()
	a.bus = bus.New(ctx, a.o.Account, a.o.Region, a.deliver)
	a.proxy = proxy.New(proxy.Options{
		Backend: a.moto.URL, Account: a.o.Account, Region: a.o.Region, Bus: a.bus, TimeScale: a.o.TimeScale,
		CodeBuild: func(caller string) *awsfake.CodeBuild { return a.builds.Client(caller) },
		Lambda:    a.invokeAsync,
	})
	a.builds = codebuild.New(ctx, codebuild.Options{
		Account: a.o.Account, Region: a.o.Region, Endpoint: a.endpoint, Config: a.Config,
		Publish: func(e bus.Event) { a.bus.Publish(e) }, Role: a.role, Note: a.note, TimeScale: a.o.TimeScale,
	})
	if a.o.BuildLimit > 0 {
		a.builds.LimitBuilds(a.o.BuildLimit)
	}
	a.host = host.New(host.Options{Endpoint: a.endpoint, Region: a.o.Region, Dir: a.o.Dir})
	a.routes()
	a.server = &http.Server{Handler: a.proxy, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = a.server.Serve(listener) }() // ends when it is closed
	return nil
}

func (a *AWS) deploy(ctx context.Context, template *stack.Template) error {
	var err error
	a.stack, err = stack.Resolve(template, stack.Place{
		Name: a.o.StackName, Account: a.o.Account, Region: a.o.Region, Partition: naming.Partition(a.o.Region), Endpoint: a.endpoint,
	}, a.o.Parameters)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", a.o.Template, err)
	}
	var building sync.WaitGroup
	var buildErr error
	building.Go(func() { buildErr = a.addFunctions(ctx) })
	err = a.stack.Provision(ctx, a.Config(Deployer))
	building.Wait()
	if err := errors.Join(err, buildErr); err != nil {
		return err
	}
	for _, r := range a.stack.Rules {
		pattern, err := bus.Compile(r.Pattern)
		if err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		a.bus.Add(bus.Rule{Name: r.Name, Pattern: pattern, Targets: r.Targets})
	}
	a.proxy.SetListBucket(a.mayListBucket)
	a.proxy.SetRoleOf(a.roleOf)
	if !a.o.KeepCalls {
		a.proxy.Reset()
	}
	a.poll(ctx)
	return nil
}

// roleOf gives the name of the role that a caller calls with: a function has its
// own, everybody else one of the caller's name.
func (a *AWS) roleOf(caller string) string {
	if f, ok := a.stack.Functions[caller]; ok {
		return f.Role
	}
	return caller
}

// addFunctions builds the functions one after the other: the Go tool uses all
// processors for each.
func (a *AWS) addFunctions(ctx context.Context) error {
	for short, f := range a.stack.Functions {
		built := a.o.Binaries[short]
		if built == "" {
			var err error
			if built, err = Build(ctx, filepath.Join(filepath.Dir(a.o.Template), f.Code)); err != nil {
				return err
			}
		}
		binary, err := filepath.Abs(filepath.Join(a.o.Dir, short+".bootstrap"))
		if err != nil {
			return fmt.Errorf("deploy function %s: %w", short, err)
		}
		if err := deployBinary(built, binary); err != nil {
			return fmt.Errorf("deploy function %s: %w", short, err)
		}
		if err := a.host.Add(host.Function{
			Name: short, AWSName: f.Name, ARN: f.ARN, Binary: binary, Timeout: f.Timeout, MemorySize: f.MemorySize,
			LogGroup: f.LogGroup, Environment: f.Environment, AccessKey: a.proxy.AccessKey(short),
		}); err != nil {
			return err
		}
	}
	return nil
}

func (a *AWS) poll(ctx context.Context) {
	for _, m := range a.stack.Mappings {
		a.pollers = append(a.pollers, host.NewPoller(a.host, sqs.NewFromConfig(a.Config(PollerName+m.Function.Short)), host.Mapping{
			Function: m.Function.Short, QueueURL: m.QueueURL, QueueARN: m.QueueARN, BatchSize: m.BatchSize,
			MaximumConcurrency: m.MaximumConcurrency, ReportBatchItemFailures: m.ReportBatchItemFailures,
		}, a.note))
	}
	a.proxy.SetQueueNotice(func(queue string) {
		for _, p := range a.pollers {
			if p.QueueName() == queue {
				p.Notice()
			}
		}
	})
	for _, p := range a.pollers {
		a.polling.Go(func() { p.Run(ctx) })
	}
}

// deliver puts an event into a queue, or calls a function with it, for a rule.
func (a *AWS) deliver(ctx context.Context, arn, group string, event []byte) error {
	name := bus.QueueName(arn)
	if strings.HasPrefix(arn, "arn:"+naming.Partition(a.o.Region)+":lambda:") {
		_, err := a.callAsync(ctx, EventBridge, name, string(event))
		return err
	}
	in := &sqs.SendMessageInput{
		QueueUrl:    aws.String(a.endpoint + "/" + a.o.Account + "/" + name),
		MessageBody: aws.String(string(event)),
	}
	if group != "" { // EventBridge relies on the queue's content-based deduplication
		sum := sha256.Sum256(event)
		in.MessageGroupId, in.MessageDeduplicationId = &group, aws.String(hex.EncodeToString(sum[:]))
	}
	_, err := sqs.NewFromConfig(a.Config(EventBridge)).SendMessage(ctx, in)
	return err
}

// role gives a role as CodeBuild sees it. It asks moto itself: what CodeBuild
// looks at is no call of anybody.
func (a *AWS) role(ctx context.Context, name string) (arn, trust string, err error) {
	out, err := iam.NewFromConfig(a.Unlogged()).GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return "", "", err
	}
	trust, err = url.PathUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument))
	return aws.ToString(out.Role.Arn), trust, err
}

// Unlogged gives a configuration whose calls go to moto itself and leave no trace:
// neither in the log nor as an event of CloudTrail's, as if that had been lost.
func (a *AWS) Unlogged() aws.Config {
	cfg := a.Config("unlogged")
	cfg.BaseEndpoint = aws.String(a.moto.URL.String())
	return cfg
}

// Endpoint is the URL for AWS_ENDPOINT_URL.
func (a *AWS) Endpoint() string { return a.endpoint }

// Config gives a configuration whose calls are logged under the caller's name.
func (a *AWS) Config(caller string) aws.Config {
	return aws.Config{
		Region: a.o.Region, BaseEndpoint: &a.endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(a.proxy.AccessKey(caller), "local", ""),
	}
}

// Environment gives the variables with which a process (the CLI, a debugger)
// calls under the caller's name.
func (a *AWS) Environment(caller string) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": a.endpoint, "AWS_REGION": a.o.Region, "AWS_DEFAULT_REGION": a.o.Region,
		"AWS_ACCESS_KEY_ID": a.proxy.AccessKey(caller), "AWS_SECRET_ACCESS_KEY": "local", "AWS_EC2_METADATA_DISABLED": "true",
	}
}

// Stack is what was deployed; nil without a template.
func (a *AWS) Stack() *stack.Stack { return a.stack }

// Proxy is the endpoint's handler: hooks, faults and local routes.
func (a *AWS) Proxy() *proxy.Proxy { return a.proxy }

// Calls gives the calls that the filter selects, in order of arrival.
func (a *AWS) Calls(f proxy.Filter) []proxy.Call { return a.proxy.Calls(f) }

// InjectFault puts a fault in force.
func (a *AWS) InjectFault(f proxy.Fault) *proxy.Injected { return a.proxy.InjectFault(f) }

// Events gives all events of the bus, in order, those that no rule matches too.
func (a *AWS) Events() []bus.Event { return a.bus.Events() }

// Subscribe calls f with every event from now on until it is cancelled.
func (a *AWS) Subscribe(f func(bus.Event)) (cancel func()) { return a.bus.Subscribe(f) }

// Logs gives the last lines that a function wrote, or by codebuild/<project> the
// builds of a project.
func (a *AWS) Logs(name string) []string {
	if project, ok := strings.CutPrefix(name, codebuild.CallerName); ok {
		return a.builds.Log(project)
	}
	return a.host.Log(name)
}

// CodeBuild is the account's CodeBuild: its builds, and the limit of their number.
func (a *AWS) CodeBuild() *codebuild.CodeBuild { return a.builds }

// Invoke runs a function on a payload, past its queue.
func (a *AWS) Invoke(ctx context.Context, function string, payload []byte) (host.Result, error) {
	return a.host.Invoke(ctx, function, payload)
}

// Kill sends SIGKILL to all processes of a function and gives their number.
func (a *AWS) Kill(function string) int { return a.host.Kill(function) }

// Errors gives what went wrong in the local AWS itself: polls and deletes that
// failed, events that reached no queue. A test that injects no faults wants none.
func (a *AWS) Errors() []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append(append([]error(nil), a.errors...), a.bus.Lost()...)
}

func (a *AWS) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errors = append(a.errors, err)
}

// WaitIdle waits until no build is left, no event is on its way, no function runs
// and no queue that a function reads has a message. Messages with a delay are of
// the future and are not waited for; one that failed is, until it has been
// handled or is in the dead letters.
func (a *AWS) WaitIdle(ctx context.Context) error {
	quiet := 0
	for {
		n, what, err := a.pending(ctx)
		if err != nil {
			return fmt.Errorf("wait until the local AWS is idle: %w", err)
		}
		if n == 0 {
			quiet++
		} else {
			quiet = 0
		}
		if quiet == 2 { // a message may have moved on between two counts
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the local AWS is idle: %w (%s)", ctx.Err(), what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *AWS) pending(ctx context.Context) (n int, what string, err error) {
	builds := a.builds.Pending() // before events: one that ends sends one
	events, running, batches := a.bus.Pending(), a.host.Running(), 0
	n = builds + events + running
	var queues []string
	for _, p := range a.pollers {
		batches += p.Busy()
		visible, err := a.queueLength(ctx, p.QueueName())
		if err != nil {
			return 0, "", err
		}
		n += visible
		queues = append(queues, p.QueueName()+" "+strconv.Itoa(visible))
	}
	return n, fmt.Sprintf("%d builds, %d events, %d invocations, %d batches, messages: %s", builds, events, running, batches, strings.Join(queues, ", ")), nil
}

// queueLength counts the messages without a delay.
func (a *AWS) queueLength(ctx context.Context, queue string) (int, error) {
	out, err := sqs.NewFromConfig(a.Unlogged()).GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(a.moto.URL.String() + "/" + a.o.Account + "/" + queue), AttributeNames: []sqstypes.QueueAttributeName{"All"},
	})
	if err != nil {
		return 0, fmt.Errorf("length of queue %s: %w", queue, err)
	}
	count := func(name string) int {
		n, _ := strconv.Atoi(out.Attributes[name]) // moto gives both
		return n
	}
	return count("ApproximateNumberOfMessages") + count("ApproximateNumberOfMessagesNotVisible"), nil
}

// Stop ends everything and waits for it.
func (a *AWS) Stop() {
	a.once.Do(func() {
		a.cancel()
		if a.host != nil {
			a.host.Stop()
		}
		a.polling.Wait()
		if a.builds != nil {
			a.builds.Stop()
		}
		if a.server != nil {
			_ = a.server.Close()
		}
		if a.moto != nil {
			a.moto.Stop()
		}
		if a.ownDir {
			_ = os.RemoveAll(a.o.Dir) // a rest in the temporary directory does no harm
		}
	})
}

// routes are those of the endpoint below /_local/ that need more than the proxy.
func (a *AWS) routes() {
	a.proxy.Handle("GET /_local/logs/{name...}", func(w http.ResponseWriter, r *http.Request) {
		proxy.WriteJSON(w, a.Logs(r.PathValue("name")))
	})
	a.proxy.Handle("POST /_local/builds/{secret}", a.builds.Programs)
	a.proxy.Handle("GET /_local/stack", func(w http.ResponseWriter, _ *http.Request) { proxy.WriteJSON(w, a.stack) })
	a.proxy.Handle("POST /_local/invoke/{function}", func(w http.ResponseWriter, r *http.Request) {
		var payload json.RawMessage
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 6<<20)).Decode(&payload); err != nil {
			http.Error(w, "the payload is not JSON: "+err.Error(), http.StatusBadRequest)
			return
		}
		result, err := a.Invoke(r.Context(), r.PathValue("function"), payload)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if result.Failure != "" {
			w.Header().Set("X-Amz-Function-Error", result.Failure)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(result.Payload) // a caller that hung up is its own affair
	})
}
