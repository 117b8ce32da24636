// Command localaws runs a local AWS with the stack of a SAM template until it is
// interrupted, or for one invocation of a function.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/aws/aws-lambda-go/events"
	"github.com/spf13/cobra"

	"rolekeeper/local"
	"rolekeeper/local/codebuild"
	"rolekeeper/local/proxy"
	"rolekeeper/local/stack"
	"rolekeeper/shared/naming"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "localaws:", err)
		os.Exit(1)
	}
}

type flags struct {
	template, invoke, event, dir string
	parameters                   map[string]string
	timeScale                    float64
}

func command() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "localaws",
		Short: "Run a local AWS with the stack of a SAM template",
		Long: "Run a local AWS with the stack of a SAM template until it is interrupted.\n" +
			"With --invoke, run one function on one event instead and print its log,\n" +
			"its calls and its answer. An event without Records is given to it as its queue delivers one.\n" +
			"A function with a schedule and no queue needs no event: its schedule has one.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), f, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&f.template, "template", "template.yaml", "SAM template to deploy")
	c.Flags().StringToStringVar(&f.parameters, "parameter", nil, "parameter of the template, Name=value")
	c.Flags().StringVar(&f.invoke, "invoke", "", "function to run once: intake for functions/intake")
	c.Flags().StringVar(&f.event, "event", "-", "file with the event for --invoke, such as events/wake.json; - for standard input")
	c.Flags().StringVar(&f.dir, "dir", "", "directory for logs (default a temporary one)")
	c.Flags().Float64Var(&f.timeScale, "time-scale", 1, "factor on delays and visibility timeouts of queues")
	return c
}

func run(ctx context.Context, f flags, in io.Reader, out, log io.Writer) error {
	var event []byte
	if f.invoke != "" { // read first: a missing file need not wait for the start
		var err error
		if event, err = readEvent(f.event, in); err != nil {
			return err
		}
	}
	a, err := local.Start(ctx, local.Options{Template: f.template, Parameters: f.parameters, Dir: f.dir, TimeScale: f.timeScale})
	if err != nil {
		return err
	}
	defer a.Stop()
	if f.invoke != "" {
		return invoke(ctx, a, f.invoke, event, out, log)
	}
	lines := introduction(a.Endpoint(), a.Environment("developer"), a.Stack().Outputs)
	for _, line := range append(lines, schedules(a.Endpoint(), a.Stack().Schedules)...) {
		fmt.Fprintln(out, line)
	}
	a.RunSchedules(ctx)
	<-ctx.Done()
	return nil
}

// schedules says what runs by itself, and how to have it run now.
func schedules(endpoint string, all []stack.Schedule) []string {
	var lines []string
	for _, s := range all {
		when := s.Expression
		if _, ok := s.Every(); !ok {
			when += ", which the local AWS does not follow"
		}
		lines = append(lines, fmt.Sprintf("# %s runs on the schedule %s; now:", s.Function.Short, when),
			fmt.Sprintf("#   curl -s -d '%s' %s/_local/invoke/%s", s.Input, endpoint, s.Function.Short))
	}
	return lines
}

// introduction says what to export and what can be tried, as lines that a shell
// can read. A template without the buckets has nothing to try.
func introduction(endpoint string, environment, outputs map[string]string) []string {
	lines := []string{fmt.Sprintf("# local AWS at %s; calls, events and logs are below %s/_local/", endpoint, endpoint)}
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		lines = append(lines, fmt.Sprintf("export %s=%s", name, environment[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		lines = append(lines, fmt.Sprintf("# %s: %s", name, outputs[name]))
	}
	configs, sources := outputs["ConfigBucket"], outputs["SourceBucket"]
	if configs == "" || sources == "" {
		return lines
	}
	const agent = "my_agent"
	return append(lines, "# In another terminal, with the variables above:",
		fmt.Sprintf("#   aws s3 cp my.yaml s3://%s/%smy.yaml", configs, naming.ConfigPrefix),
		"#   go run ./cmd/rolekeeper status my.yaml",
		fmt.Sprintf("#   aws s3 cp source.zip s3://%s/%s     # of a container agent called %s", sources, naming.SourceKey("", agent), agent),
		fmt.Sprintf("#   curl -s %s/_local/logs/%s%s     # what its builds wrote", endpoint, codebuild.CallerName, naming.Project(agent)))
}

func readEvent(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// delivered gives the payload with which Lambda hands an event from the queue to
// a function; an event that has Records is one already, and a function without a
// queue gets it as it is.
func delivered(event []byte, queueARN string) ([]byte, error) {
	var batch struct{ Records []json.RawMessage }
	if json.Unmarshal(event, &batch) == nil && batch.Records != nil || queueARN == "" {
		return event, nil
	}
	var body bytes.Buffer
	if json.Compact(&body, event) != nil { // what is not JSON can lie in a queue, too
		body = *bytes.NewBuffer(event)
	}
	return json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "00000000-0000-0000-0000-000000000000", ReceiptHandle: "none", Body: body.String(),
		Attributes: map[string]string{"ApproximateReceiveCount": "1"}, MessageAttributes: map[string]events.SQSMessageAttribute{},
		EventSource: "aws:sqs", EventSourceARN: queueARN,
	}}})
}

// errFunction says that the function ran and failed.
var errFunction = errors.New("the function failed")

func invoke(ctx context.Context, a *local.AWS, function string, event []byte, out, log io.Writer) error {
	var queue string
	for _, m := range a.Stack().Mappings {
		if m.Function.Short == function {
			queue = m.QueueARN
		}
	}
	if queue == "" && len(event) == 0 {
		for _, s := range a.Stack().Schedules {
			if s.Function.Short == function {
				event = []byte(s.Input)
			}
		}
	}
	payload, err := delivered(event, queue)
	if err != nil {
		return err
	}
	result, err := a.Invoke(ctx, function, payload)
	if err != nil {
		return err
	}
	a.Stop() // what the function wrote has all arrived once its process is gone
	for _, line := range a.Logs(function) {
		fmt.Fprintln(log, line)
	}
	for _, c := range a.Calls(proxy.Filter{Caller: function}) { // a function that does its work logs little
		fmt.Fprintln(log, "called", c.Service, c.Operation, c.Resource, c.Status)
	}
	fmt.Fprintln(out, string(result.Payload))
	if result.Failure != "" {
		return fmt.Errorf("%w: %s", errFunction, result.Failure)
	}
	return nil
}
