package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// planners bounds how many configs are looked at at the same time. Each look
// takes a dozen calls of IAM, which throttles the account as a whole and
// Rolekeeper's functions with it.
const planners = 4

type planFlags struct {
	stackFlags
	key    string
	all    bool
	output choice
}

func (p program) planCommand() *cobra.Command {
	f := planFlags{output: outputs()}
	c := &cobra.Command{
		Use:   "plan [FILE | KEY | --all]",
		Short: "Show what Rolekeeper would do now about a config, and why",
		Long: `Show what Rolekeeper would do about a config if it looked at it now: which roles,
repositories and projects it would make, change, repair or take over, with the
differences, which builds it would start, what it would leave alone, and what is
wrong with the config. The account is only read, by the code and the settings that
the functions work with.

An argument that begins with configs/ is the KEY of an uploaded config; any other
is a FILE (- for standard input), looked at as if it were uploaded, or, where there
is no such file, a KEY without configs/. --all shows all uploaded configs.

Every step has its reason. create: it is new, or was never finished. change: config
or settings ask for something else than was last applied. drift: what was applied is
no longer there. adopt: somebody else made the role, and it is taken over.

Needs AWS credentials, found as the AWS CLI finds them, that may read what the
stack's RolekeeperOperatorPolicy lets read. Writes nothing.

Exit codes: 0 nothing would change, 2 something would change, 3 the config has
problems or something is blocked, 1 anything else. With --all the first of 1, 3, 2
and 0 that holds for a config.`,
		Example: `  rolekeeper plan .bedrock_agentcore.yaml --key team/agent.yaml
  rolekeeper plan configs/team/agent.yaml
  rolekeeper plan --all -o json | jq '.[] | select(.steps != []) | .config'`,
		Args: takes(0, 1, "a FILE, a KEY or --all"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case f.all && len(args) > 0:
				return fmt.Errorf("plan takes either --all or %q", args[0])
			case f.all && f.key != "":
				return errors.New("--key is for a FILE, not for --all")
			case f.all:
				return p.planAll(c.Context(), f)
			case len(args) == 0:
				return errors.New("what is to be planned? Pass a FILE, the KEY of an uploaded config, or --all")
			}
			return p.plan(c.Context(), f, args[0])
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.key, "key", "", "S3 key that a FILE will have (default: configs/ and the file's name)")
	flags.BoolVar(&f.all, "all", false, "all uploaded configs")
	flags.VarP(&f.output, "output", "o", "output format")
	return c
}

// plan shows the plan of one config.
func (p program) plan(ctx context.Context, f planFlags, arg string) error {
	t, err := p.target(f, arg)
	if err != nil {
		return err
	}
	s, err := p.stack(ctx, f.stackFlags)
	if err != nil {
		return err
	}
	l := s.look(t.key)
	if t.file != nil {
		l.file, l.name = t.file, t.name
	}
	planned, err := l.plan(ctx)
	if err != nil {
		return s.unreadable(err)
	}
	if planned.Gone && len(planned.leaving()) == 0 {
		return t.missing(s.bucket)
	}
	if f.output.value == "json" {
		p.stdout.json(planned.view())
	} else {
		planned.text(p.stdout)
	}
	return planned.verdict()
}

// target is the config that an argument of plan names.
type target struct {
	key  string
	file []byte // nil for an uploaded config
	name string // as the user has it
}

func (p program) target(f planFlags, arg string) (target, error) {
	if !strings.HasPrefix(arg, naming.ConfigPrefix) && (arg == "-" || isFile(arg)) {
		data, name, err := p.read(arg)
		if err != nil {
			return target{}, err
		}
		key, err := renderKey(f.key, arg)
		return target{key, append([]byte{}, data...), name}, err // not nil, however empty
	}
	if f.key != "" {
		return target{}, fmt.Errorf("--key is for a FILE, and %q is none", arg)
	}
	key, err := configKey(arg)
	if err != nil {
		return target{}, fmt.Errorf("%q is no file, and as a KEY: %w", arg, err)
	}
	return target{key: key, name: arg}, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

func (t target) missing(b bucket) error {
	if strings.HasPrefix(t.name, naming.ConfigPrefix) {
		return fmt.Errorf("there is no config %s in %s", t.key, b.name)
	}
	return fmt.Errorf("there is neither a file %s nor a config %s in %s", t.name, t.key, b.name)
}

// verdict is what a command ends with that has shown the plan.
func (p planned) verdict() error {
	switch {
	case fault.Blocks(p.Problems) || len(p.Plan.Refusals) > 0:
		return errProblems
	case len(p.Plan.Steps) > 0 || p.moves():
		return errChanges
	}
	return nil
}

// lookedAt is a config of many with its plan, or why there is none.
type lookedAt struct {
	key     string
	planned planned
	err     error
}

// planAll shows the plans of all uploaded configs.
func (p program) planAll(ctx context.Context, f planFlags) error {
	s, err := p.stack(ctx, f.stackFlags)
	if err != nil {
		return err
	}
	objects, err := s.bucket.List(ctx, naming.ConfigPrefix)
	if err != nil {
		return s.unreadable(err)
	}
	var all []lookedAt
	for _, key := range objects {
		if !strings.HasSuffix(key, "/") { // a folder of the S3 console
			all = append(all, lookedAt{key: key, err: naming.CheckConfigKey(key)})
		}
	}
	each(planners, len(all), func(i int) {
		if all[i].err == nil {
			all[i].planned, all[i].err = s.look(all[i].key).plan(ctx)
		}
	})
	if f.output.value == "json" {
		views := []planView{}
		for _, l := range all {
			views = append(views, l.view())
		}
		p.stdout.json(views)
	} else {
		plansText(p.stdout, s.bucket.name, all)
	}
	return verdict(all)
}

func verdict(all []lookedAt) error {
	var worst, first error
	failed := 0
	for _, l := range all {
		if l.err != nil {
			first = cmp.Or(first, l.err)
			failed++
		} else if v := l.planned.verdict(); worst == nil || errors.Is(v, errProblems) {
			worst = v
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d configs could not be looked at, the first because: %w", failed, len(all), first)
	}
	return worst
}
