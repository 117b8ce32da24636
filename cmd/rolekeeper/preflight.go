package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/spf13/cobra"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/settings"
)

// preflightFlags is what preflight is told on the command line: the stack's
// parameters by other names.
type preflightFlags struct {
	stack, region, sourceBucket, boundary, teamTag string
	output                                         choice
	given                                          func(flag string) bool
}

func (p program) preflightCommand() *cobra.Command {
	f := preflightFlags{output: outputs()}
	c := &cobra.Command{
		Use:   "preflight",
		Short: "Look at an account before Rolekeeper is deployed to it",
		Long: `Look at the account and Region that a deploy goes to: which names of the stack are
taken, what a bucket of sources that is there lacks, whether CloudTrail tells of
what happens, how many roles still fit, which agents' roles are there without a
permissions boundary, and which CodeBuild projects and ECR repositories are in
agents' way. Pass what you will deploy with; of a stack that is there the
settings hold for flags that are not given.

Needs AWS credentials, found as the AWS CLI finds them, that may read; what could
not be read is told with the action that reads it. Writes nothing. Lambda
functions and log groups are not looked at.

Exit codes: 0 nothing is in the way of a deploy (warnings allowed); 3 something
is, or would be unsafe; 1 something could not be read, so nobody knows.`,
		Example: `  rolekeeper preflight
  rolekeeper preflight --source-bucket my-sources --team-tag team
  rolekeeper preflight -o json | jq '.findings[] | select(.level == "bad")'`,
		Args: takes(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return p.preflight(c.Context(), f) },
	}
	flags := c.Flags()
	f.given = flags.Changed
	flags.StringVar(&f.stack, "stack", "rolekeeper", "name of the stack")
	flags.StringVar(&f.region, "region", "", "AWS Region (default: the one of the AWS configuration)")
	flags.StringVar(&f.sourceBucket, "source-bucket", "", "the stack's SourceBucketName (default: as deployed, else the stack makes a bucket)")
	flags.StringVar(&f.boundary, "boundary", "", "the stack's PermissionsBoundaryArn (default: as deployed, else the stack makes a boundary)")
	flags.StringVar(&f.teamTag, "team-tag", "", "the stack's TeamTag (default: as deployed, else all developers are one team)")
	flags.VarP(&f.output, "output", "o", "output format")
	return c
}

// stackName is CloudFormation's rule (API reference, CreateStack).
var stackName = regexp.MustCompile(`\A[a-zA-Z][a-zA-Z0-9-]{0,127}\z`)

func checkStack(name string) error {
	if !stackName.MatchString(name) {
		return fmt.Errorf("--stack: %q is not the name of a stack", name)
	}
	return nil
}

// check says what is wrong with the flags, all at once.
func (f preflightFlags) check() error {
	faults := []error{checkStack(f.stack)}
	for _, c := range []struct {
		flag string
		err  error
	}{
		{"--source-bucket", settings.Bucket(f.sourceBucket)},
		{"--boundary", settings.Boundary(f.boundary)},
		{"--team-tag", settings.TeamTag(f.teamTag)},
	} {
		if c.err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", c.flag, c.err))
		}
	}
	return errors.Join(faults...)
}

func (p program) preflight(ctx context.Context, f preflightFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	a, err := p.connect(ctx, f.region)
	if err != nil {
		return err
	}
	answer := preflightAnswer{Account: a.id, Region: a.region, Stack: f.stack, Findings: a.inspect(ctx, f)}
	if f.output.value == "json" {
		p.stdout.json(answer)
	} else {
		answer.text(p.stdout)
	}
	switch n := answer.count(); {
	case n[levelBad] > 0:
		return errProblems
	case n[levelUnknown] > 0:
		return fmt.Errorf("%d of %d checks could not be read", n[levelUnknown], len(answer.Findings))
	}
	return nil
}

// inspect looks at the account. The order of the findings is that of the docs.
func (a account) inspect(ctx context.Context, f preflightFlags) []finding {
	i := inspection{account: a, flags: f}
	i.roles, i.rolesErr = a.allRoles(ctx)
	findings := i.stackAndParameter(ctx)
	findings = append(findings, i.configBucket(ctx))
	findings = append(findings, i.stacksRoles()...)
	findings = append(findings, i.policies(ctx)...)
	findings = append(findings, i.queueNames(ctx)...)
	findings = append(findings, i.sources(ctx)...)
	findings = append(findings, i.cloudTrail(ctx))
	findings = append(findings, i.quotas(ctx)...)
	findings = append(findings, i.serviceLinkedRoles()...)
	return append(findings, i.agentsRoles(), i.agentsProjects(ctx), i.agentsRepositories(ctx))
}

// inspection is one look at an account.
type inspection struct {
	account
	flags    preflightFlags
	roles    []iamtypes.RoleDetail
	rolesErr error
	deployed deployment
	unknown  error // why nobody knows whether the stack is deployed

	settingsErr       error // why the stack's settings are not known, though there may be some
	linkedRolesByHand bool  // EnsureServiceLinkedRoles is false
}

// level says how a finding bears on a deploy.
type level string

const (
	levelOK      level = "ok"
	levelWarning level = "warning"
	levelBad     level = "bad"     // the deploy fails, or what it makes is unsafe
	levelUnknown level = "unknown" // could not be read
)

type (
	// preflightAnswer is preflight's JSON, a contract: every key is always there.
	preflightAnswer struct {
		Account  string    `json:"account"`
		Region   string    `json:"region"`
		Stack    string    `json:"stack"`
		Findings []finding `json:"findings"`
	}
	// finding is what one check says of one thing.
	finding struct {
		Check    string   `json:"check"`
		Subject  string   `json:"subject"`
		Level    level    `json:"level"`
		What     string   `json:"what"`
		Details  []string `json:"details"`
		Fix      string   `json:"fix"`
		Commands []string `json:"commands"` // for a POSIX shell
	}
)

// found makes a finding without fix.
func found(check, subject string, l level, format string, args ...any) finding {
	return finding{Check: check, Subject: subject, Level: l, What: fmt.Sprintf(format, args...), Details: []string{}, Commands: []string{}}
}

// fixed adds what to do.
func (f finding) fixed(fix string, commands ...string) finding {
	f.Fix, f.Commands = fix, append(f.Commands, commands...)
	return f
}

// notRead is the finding of what could not be read.
func notRead(check, subject string, err error) finding {
	f := found(check, subject, levelUnknown, "%s", oneLine(err))
	var u *unread
	if errors.As(err, &u) && fault.Of(err) != fault.Retry {
		return f.fixed("run preflight as somebody who is allowed " + u.action)
	}
	return f.fixed("run preflight again")
}

func (a preflightAnswer) count() map[level]int {
	n := map[level]int{}
	for _, f := range a.Findings {
		n[f.Level]++
	}
	return n
}

func (a preflightAnswer) text(t *terminal) {
	t.line("account %s, Region %s, stack %s", a.Account, a.Region, a.Stack)
	t.line("")
	for _, f := range a.Findings {
		t.line("%-7s  %s %s: %s", f.Level, f.Check, f.Subject, f.What)
		for _, d := range f.Details {
			t.line("           %s", d)
		}
		t.field("         fix:", f.Fix)
		for _, c := range f.Commands {
			t.line("           %s", c)
		}
	}
	n := a.count()
	t.line("")
	t.line("%d bad, %d unknown, %d warning, %d ok", n[levelBad], n[levelUnknown], n[levelWarning], n[levelOK])
}

// shellWord are the words that a shell takes as they are.
var shellWord = regexp.MustCompile(`\A[a-zA-Z0-9_./:=@%+,-]+\z`)

// command writes a command of the AWS CLI for a POSIX shell. Words may be what
// others wrote, so all that is not plain is quoted.
func (a account) command(words ...string) string {
	var b strings.Builder
	b.WriteString("aws")
	for _, w := range append(words, "--region", a.region) {
		if !shellWord.MatchString(w) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		b.WriteString(" " + w)
	}
	return b.String()
}
