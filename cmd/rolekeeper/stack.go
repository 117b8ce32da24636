package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/settings"
)

// stackFlags name a deployed stack.
type stackFlags struct{ stack, region, bucket string }

func (f *stackFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.stack, "stack", "rolekeeper", "name of the stack, whose settings are read")
	flags.StringVar(&f.region, "region", "", "AWS Region (default: the one of the AWS configuration)")
	flags.StringVar(&f.bucket, "bucket", "", "config bucket, of the same account (default: bedrock-agentcore-configs-ACCOUNT-REGION)")
}

// stack is a deployed stack with the settings it has.
type stack struct {
	account  account
	bucket   bucket
	settings settings.Parameters
}

// stack connects to a stack and reads its settings.
func (p program) stack(ctx context.Context, f stackFlags) (stack, error) {
	if err := checkStack(f.stack); err != nil {
		return stack{}, err
	}
	a, err := p.connect(ctx, f.region)
	if err != nil {
		return stack{}, err
	}
	s := stack{account: a, bucket: a.bucket(f.bucket)}
	name := naming.SettingsParameter(f.stack)
	value, err := parameter.Read(ctx, a.parameters, name)
	if errors.Is(err, fault.ErrNotFound) {
		return stack{}, fmt.Errorf("there is no parameter %s in %s: is the stack deployed there, under that name? Pass --stack or --region", name, s.bucket.place)
	}
	if err != nil {
		return stack{}, s.unreadable(err)
	}
	if s.settings, err = settings.ParseStored([]byte(value), s.account.place()); err != nil {
		return stack{}, fmt.Errorf("parameter %s: %w", name, err)
	}
	return s, nil
}

// unreadable adds to an error of AWS what mostly is behind it.
func (s stack) unreadable(err error) error {
	return fmt.Errorf("%w (%s: is Rolekeeper deployed there, and may you read what RolekeeperOperatorPolicy-%s lets read?)",
		err, s.bucket.place, s.account.region)
}

func (a account) place() agent.Place {
	return agent.Place{Partition: naming.Partition(a.region), Account: a.id, Region: a.region}
}

// env gives what shapes the roles of a stack's configs beside them. What the
// stack was not given it makes itself.
func env(p settings.Parameters, place agent.Place) desired.Env {
	boundary := fmt.Sprintf("arn:%s:iam::%s:policy/%s", place.Partition, place.Account, naming.Boundary(place.Region))
	return desired.Env{
		Place:               place,
		Profile:             p.PermissionProfile,
		PermissionsBoundary: cmp.Or(p.PermissionsBoundaryArn, boundary),
		SourceBucket:        cmp.Or(p.SourceBucketName, naming.SourceBucket(place.Account, place.Region)),
		TeamTag:             p.TeamTag,
		BuildImage:          p.BuildImage,
		LogRetentionDays:    p.LogRetentionDays,
	}
}

// look is a look at one config and at what there is for it. However often it is
// planned, everything is read once: all plans are of the same account.
type look struct {
	viewer reconcile.Viewer
	seen   *snapshot
	key    string
	file   []byte // to be looked at as if it were uploaded; nil for the config that is
	name   string // of the config in what is told of its problems
}

// look begins a look at an uploaded config.
func (s stack) look(key string) look {
	seen := &snapshot{
		Objects: s.bucket, roles: iamrole.NewReader(s.account.roles),
		objects: memory[model.Object]{}, heads: memory[model.ObservedRole]{}, whole: memory[model.ObservedRole]{}, managed: memory[string]{},
	}
	return look{
		key: key, name: key, seen: seen,
		viewer: reconcile.Viewer{
			Settings: reconcile.Settings{
				Env: env(s.settings, s.account.place()), Allowed: s.settings.Allowed, Existing: s.settings.ExistingRoles,
				EnsureServiceLinkedRoles: s.settings.EnsureServiceLinkedRoles,
			},
			Objects: seen, Roles: seen, ServiceLinkedRoles: seen,
		},
	}
}

// planned is what would be done about a config, with what is there now.
type planned struct {
	reconcile.Preview
	look look
	// losses are what adoption takes away, by the role's name: of roles that the
	// plan takes over, and of those that it leaves alone and that could be.
	losses map[string][]plan.Loss
}

// plan says what would be done, with the roles of the agents named adopted as if
// an operator had asked for it.
func (l look) plan(ctx context.Context, adopt ...string) (planned, error) {
	preview, err := l.viewer.Preview(ctx, l.key, l.file, adopt...)
	if err != nil {
		return planned{}, err
	}
	p := planned{Preview: preview, look: l, losses: map[string][]plan.Loss{}}
	refusals := p.Plan.Refusals
	for _, s := range p.Plan.Steps {
		if s.Op != plan.ArchiveRole || s.Reason != plan.Adopt {
			continue
		}
		// Losses are told of roles that are left alone.
		reporting := l.viewer
		reporting.Existing = plan.ReportExisting
		left, err := reporting.Preview(ctx, l.key, l.file)
		if err != nil {
			return planned{}, err
		}
		refusals = left.Plan.Refusals
		break
	}
	for _, f := range refusals {
		if len(f.Losses) > 0 {
			p.losses[f.Role] = f.Losses
		}
	}
	return p, nil
}

// snapshot remembers what was read of the config bucket and of IAM, errors too.
type snapshot struct {
	reconcile.Objects // lists are not remembered
	roles             reconcile.RoleReader
	objects           memory[model.Object]
	heads, whole      memory[model.ObservedRole]
	managed           memory[string]
}

// memory keeps what reads gave, by what was read.
type memory[T any] map[string]func() (T, error)

func (m memory[T]) recall(name string, read func() (T, error)) (T, error) {
	if m[name] == nil {
		m[name] = sync.OnceValues(read)
	}
	return m[name]()
}

// Get reads an object.
func (s *snapshot) Get(ctx context.Context, key string) (model.Object, error) {
	return s.objects.recall(key, func() (model.Object, error) { return s.Objects.Get(ctx, key) })
}

// Head reads a role without its policies.
func (s *snapshot) Head(ctx context.Context, name string) (model.ObservedRole, error) {
	return s.heads.recall(name, func() (model.ObservedRole, error) { return s.roles.Head(ctx, name) })
}

// Read reads a whole role.
func (s *snapshot) Read(ctx context.Context, name string) (model.ObservedRole, error) {
	return s.whole.recall(name, func() (model.ObservedRole, error) { return s.roles.Read(ctx, name) })
}

// Managed reads the document of a managed policy.
func (s *snapshot) Managed(ctx context.Context, arn string) (string, error) {
	return s.managed.recall(arn, func() (string, error) { return s.roles.Managed(ctx, arn) })
}

// Present reports whether a service-linked role is there.
func (s *snapshot) Present(ctx context.Context, name string) (bool, error) {
	_, err := s.Head(ctx, name)
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// role gives a role as it was read; the zero value when it is not there.
func (s *snapshot) role(name string) model.ObservedRole {
	if read := s.whole[name]; read != nil {
		if o, err := read(); err == nil {
			return o
		}
	}
	return model.ObservedRole{}
}
