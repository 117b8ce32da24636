package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/settings"
	"rolekeeper/shared/status"
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

// shape gives what decides, beside a config, what is made of its agents: as the
// functions have it in their environment. What the stack was not given it makes
// itself.
func shape(p settings.Parameters, place agent.Place) settings.Shape {
	boundary := fmt.Sprintf("arn:%s:iam::%s:policy/%s", place.Partition, place.Account, naming.Boundary(place.Region))
	return settings.Shape{
		Account: place.Account, Partition: place.Partition, Region: place.Region,
		SourceBucket:             cmp.Or(p.SourceBucketName, naming.SourceBucket(place.Account, place.Region)),
		Profile:                  p.PermissionProfile,
		PermissionsBoundary:      cmp.Or(p.PermissionsBoundaryArn, boundary),
		EnsureServiceLinkedRoles: p.EnsureServiceLinkedRoles,
		ExistingRoles:            p.ExistingRoles,
		DriftMode:                p.DriftMode,
		UnmanagedPolicies:        p.UnmanagedPolicies,
		BuildImage:               p.BuildImage,
		LogRetentionDays:         p.LogRetentionDays,
		TeamTag:                  p.TeamTag,
	}
}

// rules gives the settings that decide what becomes of configs.
func (s stack) rules() reconcile.Settings {
	shape := shape(s.settings, s.account.place())
	return reconcile.Settings{
		Env: shape.Env(), Allowed: s.settings.Allowed, Existing: shape.ExistingRoles,
		Drift: shape.DriftMode, Unmanaged: shape.UnmanagedPolicies, EnsureServiceLinkedRoles: shape.EnsureServiceLinkedRoles,
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
	grace  time.Duration
}

// look begins a look at an uploaded config.
func (s stack) look(key string) look {
	rules := s.rules()
	seen := newSnapshot(reconcile.Viewer{
		Objects: s.bucket, Roles: iamrole.NewReader(s.account.roles),
		Sources:      sourcebucket.New(s.account.sources, rules.Env.SourceBucket, s.account.id),
		Repositories: imagerepository.NewReader(s.account.repositories, s.account.id),
		Projects:     buildproject.NewReader(s.account.projects),
	})
	return look{
		grace: s.settings.GracePeriod,
		key:   key, name: key, seen: seen,
		viewer: reconcile.Viewer{
			Settings: rules,
			Objects:  seen, Roles: seen, ServiceLinkedRoles: seen,
			Sources: seen.sources, Repositories: seen.repositories, Projects: seen.projects,
		},
	}
}

// planned is what would be done about a config, with what is there now.
type planned struct {
	reconcile.Preview
	look   look
	answer status.Status // so far; the zero value when there is none that can be read
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
	if object, err := l.seen.Get(ctx, naming.StatusKey(l.key)); err == nil { // the preview has read it
		if s, err := status.Parse(object.Body); err == nil && s.Config.Key == l.key {
			p.answer = s
		}
	}
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
