// Command demo shows the main job on the local AWS: two good configs and a
// faulty one are uploaded, a source leads to an image and another to a build that
// fails, roles that the starter toolkit made are adopted, the runtimes of two
// agents are deleted and the roles go that nothing uses, one is restored, a
// service-linked role goes that nothing needs any more, and what all of it led to is
// read back and told. It ends with an error when anything is not as it
// should be. KEEP=1 leaves the local AWS running; DENY=CreateRole, or another
// operation that is then denied to all, shows how a failure looks.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"rolekeeper/local"
	"rolekeeper/local/codebuild"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/naming"
)

const (
	account = "123456789012"
	region  = "us-east-1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// act is one act of the demo.
type act struct {
	title string
	play  func(context.Context, *printer) error
}

func (w *watcher) acts() []act {
	config := func(title string, u upload) act {
		return act{title, func(ctx context.Context, p *printer) error { return w.config(ctx, p, u) }}
	}
	u := uploads()
	return []act{
		config("a container agent, called "+assistant+", with memory and one model", u[0]),
		{"the source of " + assistant, w.image},
		{"a source of " + assistant + " whose Dockerfile has a fault", w.failure},
		config("a direct-code agent in a VPC, called "+searcher+", with the browser", u[1]),
		config("a config with faults", u[2]),
		{"an agent, called " + veteran + ", whose roles the starter toolkit made", w.adoption},
		{"somebody edits the runtime role of " + assistant + " by hand, and IAM's events tell", w.edited},
		{"somebody edits the role of " + searcher + ", and the event is lost", w.unnoticed},
		{"a script edits two roles at once, and the events are lost", w.braked},
		{"runtimes of " + assistant + " and " + searcher + ", and one called " + canary + " with the role of " + searcher, w.deploy},
		{"the runtimes of " + assistant + " and " + searcher + " are deleted", w.undeploy},
		{"the grace period passes", w.pass},
		{"an operator has the runtime role of " + assistant + " restored", w.restoring},
		{"the last agent in a VPC goes, and a service-linked role with it", w.watched},
	}
}

// upload is a config.
type upload struct {
	key, config string
	good        bool
}

func uploads() []upload {
	return []upload{
		{
			key: assistantKey, good: true,
			config: `agents:
  claims_assistant:
    name: claims_assistant
    entrypoint: agents/claims/app.py
    deployment_type: container
    aws:
      account: '123456789012'
      region: us-east-1
    memory:
      mode: STM_AND_LTM
      memory_id: claims_assistant_mem-Zk3Vw8Rt1P
    permissions:
      models: [us.anthropic.claude-sonnet-4-20250514-v1:0]
`,
		},
		{
			key: searcherKey, good: true,
			config: `agents:
  flight_search:
    name: flight_search
    entrypoint: main.py
    deployment_type: direct_code_deploy
    aws:
      network_configuration:
        network_mode: VPC
        network_mode_config:
          subnets: [subnet-0aa11bb22cc33dd44]
          security_groups: [sg-0a1b2c3d4e5f60718]
    permissions:
      browser: true
`,
		},
		{
			key: "configs/travel/broken.yaml", good: false,
			config: `agents:
  hotel-search:
    name: hotel-search
    entrypoint: main.py
    aws:
      region: eu-west-1
      execution_role: arn:aws:iam::999999999999:role/Admin
    permissions:
      iam: '*'
`,
		},
	}
}

func run(ctx context.Context, out io.Writer, getenv func(string) string) error {
	started := time.Now()
	p := &printer{out: out}
	p.title("A local AWS comes up, with the stack of template.yaml and the functions' own binaries")
	a, err := local.Start(ctx, local.Options{
		Template: "template.yaml", Account: account, Region: region, TimeScale: timeScale,
		Parameters: map[string]string{"OperatorPrincipalArns": operator, "GracePeriod": grace, "MaxChangesPerSweep": "1"},
	})
	if err != nil {
		return err
	}
	defer a.Stop()
	if operation := getenv("DENY"); operation != "" {
		a.InjectFault(proxy.Fault{Operation: operation, Kind: proxy.Denied})
	}
	w := newWatcher(a)
	p.line("%s, %d functions, %d resources", a.Endpoint(), len(a.Stack().Functions), len(a.Stack().Resources))

	for i, act := range w.acts() {
		p.title("%d. %s", i+1, act.title)
		if err := act.play(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", act.title, err)
		}
	}
	p.title("What was called on AWS, by function")
	for _, line := range w.callCounts() {
		p.line("%s", line)
	}
	if err := errorsOf(a); err != nil {
		return err
	}
	p.title("Done in %.1f s: %d roles made, %d adopted, %d repaired, %d deleted, %d kept in use, %d restored, %d image built, %d build failed, %d config refused; every fact above was read back from the local AWS",
		time.Since(started).Seconds(), w.made, w.adopted, w.repaired, w.deleted, w.kept, w.restored, w.built, w.failed, w.refused)
	if getenv("KEEP") != "" {
		keep(p, a)
		<-ctx.Done()
	}
	return nil
}

// timeScale shortens the waits of queues; nobody wants to watch them.
const timeScale = 0.02

func errorsOf(a *local.AWS) error {
	if errs := a.Errors(); len(errs) > 0 {
		return fmt.Errorf("local AWS: %w", errs[0])
	}
	return nil
}

// keep says what can be tried while the local AWS stays up.
func keep(p *printer, a *local.AWS) {
	p.title("The local AWS stays up until you press Ctrl-C. In another terminal:")
	env := a.Environment("developer")
	for _, k := range slices.Sorted(maps.Keys(env)) {
		p.line("export %s=%s", k, env[k])
	}
	p.line("go run ./cmd/rolekeeper status")
	p.line("go run ./cmd/rolekeeper status %s", assistantKey)
	p.line("go run ./cmd/rolekeeper plan --all")
	p.line("go run ./cmd/rolekeeper build %s %s", veteranKey, veteran)
	p.line("go run ./cmd/rolekeeper archive")
	p.line("curl -s '%s/_local/calls?caller=reconcile' | head -c 2000", a.Endpoint())
	p.line("curl -s %s/_local/logs/reconcile", a.Endpoint())
	p.line("curl -s %s/_local/logs/%s%s", a.Endpoint(), codebuild.CallerName, naming.Project(assistant))
	p.line("aws s3 cp my.yaml s3://%s/configs/my.yaml     # if you have the AWS CLI", naming.ConfigBucket(account, region))
	p.line("aws s3 cp source.zip s3://%s/%s", naming.SourceBucket(account, region), naming.SourceKey("", assistant))
}

// printer writes for a person at a terminal.
type printer struct{ out io.Writer }

func (p *printer) title(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.out, "\n%s\n%s\n", text, strings.Repeat("-", min(len(text), 100)))
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.out, "  "+format+"\n", args...) }
