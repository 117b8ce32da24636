package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

func (p program) archiveCommand() *cobra.Command {
	f := bucketFlags{output: outputs()}
	c := &cobra.Command{
		Use:   "archive [ROLE]",
		Short: "Show which roles are archived, and why",
		Long: `Show the archives of all roles, or of one, the newest first. Rolekeeper archives a
role, whole, before it deletes it, takes it over, takes a policy from it or restores
an older archive of it. ROLE is the name of a role, or its ARN.

Needs AWS credentials, found as the AWS CLI finds them, that may list the config
bucket and read archive/ in it. Writes nothing.

Exit codes: 0 the archives are shown, or there are none; 1 one could not be read.`,
		Example: `  rolekeeper archive
  rolekeeper archive AmazonBedrockAgentCoreSDKRuntime-us-east-1-0123456789
  rolekeeper archive -o json | jq -r '.[] | select(.reason == "retired") | .role'`,
		Args: takes(0, 1, "at most one ROLE"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.archives(c.Context(), f, args)
		},
	}
	f.register(c)
	return c
}

// archives shows the archives of the role that is named, or of all.
func (p program) archives(ctx context.Context, f bucketFlags, roles []string) error {
	a, err := p.connect(ctx, f.region)
	if err != nil {
		return err
	}
	prefix, whose := naming.ArchivePrefix, "any role"
	for _, r := range roles {
		if r, err = a.agentRole(r); err != nil {
			return err
		}
		prefix, whose = naming.ArchivedRole(r), "role "+r
	}
	b := a.bucket(f.bucket)
	all, err := b.archives(ctx, prefix)
	if err != nil && !errors.Is(err, errDamaged) {
		return b.unreadable(err)
	}
	switch {
	case f.output.value == "json":
		views := []archiveView{}
		for _, o := range all {
			views = append(views, o.view())
		}
		p.stdout.json(views)
	case len(all) == 0:
		p.stdout.line("there is no archive of %s in %s", whose, b.name)
	default:
		rows := [][]string{{"ARCHIVED", "ROLE", "AGENT", "CONFIG", "REASON", "KEY"}}
		for _, o := range all {
			rows = append(rows, []string{moment(o.ArchivedAt), o.Role.Name, o.Agent, o.Config, o.Reason, o.key})
		}
		p.stdout.table(rows)
	}
	return err
}

// agentRole gives the name of an agent's role that a person names with it or with
// the role's ARN.
func (a account) agentRole(arg string) (string, error) {
	name := naming.RoleOf(arg)
	if _, ok := naming.RoleHash(a.region, name); !ok {
		return "", fmt.Errorf("%q is no role of an agent in %s: their names are %s%s-… and %s%[2]s-…, with ten hex digits",
			arg, a.region, naming.RuntimeRolePrefix, a.region, naming.BuildRolePrefix)
	}
	if place := a.place(); arg != name && !strings.HasPrefix(arg, fmt.Sprintf("arn:%s:iam::%s:role/", place.Partition, place.Account)) {
		return "", fmt.Errorf("%q is no ARN of a role in account %s", arg, a.id)
	}
	return name, nil
}

// archived is an archive with the key that it has in the bucket.
type archived struct {
	key string
	model.Archive
}

// archives reads the archives under the prefix, the newest first. With errDamaged
// come those that are not damaged.
func (b bucket) archives(ctx context.Context, prefix string) ([]archived, error) {
	keys, err := b.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	all, err := readAll(keys, func(key string) (archived, error) { return b.archive(ctx, key) })
	slices.SortStableFunc(all, func(x, y archived) int { return y.ArchivedAt.Compare(x.ArchivedAt) })
	return all, err
}

// text names an archive for people.
func (a archived) text() string {
	before := map[string]string{
		model.ArchiveRetired:         "before it was deleted",
		model.ArchiveAdopted:         "before it was taken over",
		model.ArchivePoliciesRemoved: "before policies of it were removed",
		model.ArchiveRestored:        "before an older archive was put in its place",
	}
	return fmt.Sprintf("role %s as it was at %s, %s: %s", a.Role.Name, moment(a.ArchivedAt), cmp.Or(before[a.Reason], a.Reason), a.key)
}

func (b bucket) archive(ctx context.Context, key string) (archived, error) {
	object, err := b.Get(ctx, key)
	if err != nil {
		return archived{}, err
	}
	a, err := model.ParseArchive(object.Body)
	if err == nil && !strings.HasPrefix(key, naming.ArchivedRole(a.Role.Name)) {
		err = fmt.Errorf("it is of role %s", a.Role.Name)
	}
	if err == nil {
		err = naming.CheckConfigKey(a.Config)
	}
	if err != nil {
		return archived{}, fmt.Errorf("%s: the archive is %w: %w", key, errDamaged, err)
	}
	return archived{key, a}, nil
}

// The JSON of archive, a contract: every key is always there.
type archiveView struct {
	ArchivedAt time.Time      `json:"archivedAt"`
	Role       string         `json:"role"`
	RoleID     string         `json:"roleId"`
	Kind       model.RoleKind `json:"kind"`
	Agent      string         `json:"agent"`
	Config     string         `json:"config"`
	Reason     string         `json:"reason"`
	Retirement string         `json:"retirement"`
	Key        string         `json:"key"`
}

func (a archived) view() archiveView {
	return archiveView{a.ArchivedAt, a.Role.Name, a.Role.ID, a.Kind, a.Agent, a.Config, a.Reason, a.Retirement, a.key}
}
