// Command demo shows the main job on the local AWS: two good configs and a
// faulty one are uploaded, roles that the starter toolkit made are adopted, and
// what all of it led to is read back and told. It ends
// with an error when anything is not as it should be. KEEP=1 leaves the local
// AWS running; DENY_CREATE_ROLE=1 shows how a failure looks.
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

// upload is one act of the demo.
type upload struct {
	key, title, config string
	good               bool
}

func uploads() []upload {
	return []upload{
		{
			key: "configs/support/claims.yaml", title: "a container agent, called claims_assistant, with memory and one model", good: true,
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
			key: "configs/travel/team.yaml", title: "a direct-code agent in a VPC, called flight_search, with the browser", good: true,
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
			key: "configs/travel/broken.yaml", title: "a config with faults", good: false,
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
		Parameters: map[string]string{"OperatorPrincipalArns": operator},
	})
	if err != nil {
		return err
	}
	defer a.Stop()
	if getenv("DENY_CREATE_ROLE") != "" {
		a.InjectFault(proxy.Fault{Operation: "CreateRole", Kind: proxy.Denied})
	}
	w := newWatcher(a)
	p.line("%s, %d functions, %d resources", a.Endpoint(), len(a.Stack().Functions), len(a.Stack().Resources))

	for i, u := range uploads() {
		p.title("%d. %s", i+1, u.title)
		if err := w.act(ctx, p, u); err != nil {
			return fmt.Errorf("%s: %w", u.key, err)
		}
	}
	p.title("%d. an agent, called %s, whose roles the starter toolkit made", len(uploads())+1, veteran)
	if err := w.adoption(ctx, p); err != nil {
		return fmt.Errorf("%s: %w", veteranKey, err)
	}
	p.title("What was called on AWS, by function")
	for _, line := range w.callCounts() {
		p.line("%s", line)
	}
	if err := errorsOf(a); err != nil {
		return err
	}
	p.title("Done in %.1f s: %d roles made, %d adopted, %d config refused; every fact above was read back from the local AWS",
		time.Since(started).Seconds(), w.made, w.adopted, w.refused)
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
	p.line("go run ./cmd/rolekeeper status configs/support/claims.yaml")
	p.line("go run ./cmd/rolekeeper plan --all")
	p.line("curl -s '%s/_local/calls?caller=reconcile' | head -c 2000", a.Endpoint())
	p.line("curl -s %s/_local/logs/reconcile", a.Endpoint())
	p.line("aws s3 cp my.yaml s3://%s/configs/my.yaml     # if you have the AWS CLI", naming.ConfigBucket(account, region))
}

// printer writes for a person at a terminal.
type printer struct{ out io.Writer }

func (p *printer) title(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.out, "\n%s\n%s\n", text, strings.Repeat("-", min(len(text), 100)))
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.out, "  "+format+"\n", args...) }
