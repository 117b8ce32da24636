package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/naming"
)

// Exit codes, a contract with scripts and checks of pull requests.
const (
	exitGood     = 0
	exitError    = 1 // the question could not be answered
	exitChanges  = 2 // the answer is that something would change
	exitProblems = 3 // the answer is that there are problems
)

// What ends a command that has told all it has to tell.
var (
	errChanges  = errors.New("something would change")
	errProblems = errors.New("there are problems")
)

// program is the tool with everything it takes from outside.
type program struct {
	stdin          io.Reader
	stdout, stderr *terminal
	interactive    bool // there is somebody at stdin to be asked
	screen         bool // stdout is a terminal
	desktop        bool // a browser can be opened
	browse         func(ctx context.Context, file string) error
	getenv         func(string) string
	connect        func(ctx context.Context, region string) (account, error)
	now            func() time.Time
	sleep          func(context.Context, time.Duration) error // error when the context ended it
	random         func() string                              // 8 hex digits
}

// account is an AWS account in one region, with what is called of it. But for
// requests, all of it reads.
type account struct {
	id, region   string
	caller       string // ARN of who asks
	objects      configstore.ReadAPI
	requests     requestAPI
	roles        iamrole.ReadAPI
	bulk         iamrole.AccountAPI
	runtimes     agentcore.API
	sources      sourcebucket.API
	repositories imagerepository.ReadAPI
	projects     buildproject.ReadAPI
	buckets      bucketAPI
	iam          iamAPI
	parameters   parameter.API
	queues       queueAPI
	trails       trailAPI
	builders     builderAPI
	registry     registryAPI
}

// run carries out the command in args, without the program's name, and gives
// the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	p := program{
		stdin: stdin, stdout: &terminal{w: stdout}, stderr: &terminal{w: stderr},
		interactive: device(stdin), screen: device(stdout), desktop: desktop(runtime.GOOS, getenv), browse: browse,
		getenv: getenv, connect: connect, now: time.Now, sleep: sleep, random: random,
	}
	return p.run(ctx, args)
}

// device reports whether a stream is a device such as a terminal. The null
// device, which scripts and services have, answers nobody and shows nothing.
func device(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, null)
}

func random() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (p program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(append([]string{}, args...)) // cobra takes os.Args for nil
	root.SetOut(p.stdout.w)
	root.SetErr(p.stderr.w)
	err := root.ExecuteContext(ctx)
	switch {
	case p.stdout.err != nil:
		err = errors.Join(err, p.stdout.err)
	case errors.Is(err, errProblems):
		return exitProblems
	case errors.Is(err, errChanges):
		return exitChanges
	case err == nil:
		return exitGood
	}
	p.stderr.line("rolekeeper: %s", oneLine(err))
	return exitError
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (p program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "rolekeeper",
		Short: "See what Rolekeeper makes for Amazon Bedrock AgentCore agents",
		Long: `Rolekeeper makes and keeps the IAM roles that AgentCore agents need, and builds
their images: you upload an agent config and its source to S3 and read the answer
beside the config.

This tool shows the roles before the upload, what Rolekeeper would do now, and the
answer after it, how the whole account differs from what configs ask for, how it stands
with AgentCore's service-linked roles, and looks at an account before Rolekeeper is
deployed to it. For an operator it writes requests, which Rolekeeper carries out. It
never writes IAM.`,
		Example: `  rolekeeper preflight
  rolekeeper render .bedrock_agentcore.yaml
  rolekeeper plan team/agent.yaml
  rolekeeper status team/agent.yaml
  rolekeeper report
  rolekeeper drift
  rolekeeper slr
  rolekeeper archive
  rolekeeper adopt team/agent.yaml my_agent
  rolekeeper build team/agent.yaml my_agent
  rolekeeper restore AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789`,
		Version:           version(debug.ReadBuildInfo()),
		SilenceErrors:     true, // told by run, cleaned
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		// A suggestion takes lines of its own, which an error has not.
		DisableSuggestions: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(p.renderCommand(), p.planCommand(), p.statusCommand(), p.archiveCommand(), p.adoptCommand(), p.approveCommand(), p.buildCommand(), p.restoreCommand(), p.releaseCommand(), p.retireCommand(), p.reportCommand(), p.driftCommand(), p.slrCommand(), p.preflightCommand())
	return root
}

// version gives the module's version, and for a build of a checkout the commit.
func version(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "unknown"
	}
	v := cmp.Or(info.Main.Version, "(devel)")
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v += " " + s.Value
		}
	}
	return v
}

// takes says what a command's arguments are, for the error when they are not.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("%s takes %s; see %s --help", c.Name(), what, c.CommandPath())
		}
		return nil
	}
}

// choice is a flag that is one of several words.
type choice struct {
	value string
	words []string
}

func (c *choice) String() string { return c.value }

// Type names the values in the help.
func (c *choice) Type() string { return strings.Join(c.words, "|") }

// Set takes a value from the command line.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("must be %s", strings.Join(c.words, " or "))
	}
	c.value = s
	return nil
}

func outputs() choice { return choice{"text", []string{"text", "json"}} }

// configKey gives the S3 key of a config that a person names with or without the prefix.
func configKey(name string) (string, error) {
	key := name
	if !strings.HasPrefix(key, naming.ConfigPrefix) {
		key = naming.ConfigPrefix + key
	}
	return key, naming.CheckConfigKey(key)
}
