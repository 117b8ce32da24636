// Command localaws runs a local AWS with the stack of a SAM template until it is
// interrupted, or for one invocation of a function.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"rolekeeper/local"
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
			"With --invoke, run one function on one event instead and print its answer.",
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
	c.Flags().StringVar(&f.event, "event", "-", "file with the event for --invoke, - for standard input")
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
	fmt.Fprintf(out, "# local AWS at %s; calls, events and logs are below %s/_local/\n", a.Endpoint(), a.Endpoint())
	env := a.Environment("developer")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(out, "export %s=%s\n", name, env[name])
	}
	for _, name := range slices.Sorted(maps.Keys(a.Stack().Outputs)) {
		fmt.Fprintf(out, "# %s: %s\n", name, a.Stack().Outputs[name])
	}
	<-ctx.Done()
	return nil
}

func readEvent(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// errFunction says that the function ran and failed.
var errFunction = errors.New("the function failed")

func invoke(ctx context.Context, a *local.AWS, function string, event []byte, out, log io.Writer) error {
	result, err := a.Invoke(ctx, function, event)
	if err != nil {
		return err
	}
	fmt.Fprintln(log, strings.Join(a.Logs(function), "\n"))
	fmt.Fprintln(out, string(result.Payload))
	if result.Failure != "" {
		return fmt.Errorf("%w: %s", errFunction, result.Failure)
	}
	return nil
}
