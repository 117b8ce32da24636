// Package stacktest puts a stack into an account of awsfake, for tests and the
// bench: what the stack has of its own, its settings, and its pipelines on the
// real adapters, wired as the functions wire them.
package stacktest

import (
	"fmt"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/loggroup"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/drift"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/settings"
)

// Settings gives those of a stack with the defaults of template.yaml, but that
// configs may ask for everything.
func Settings(place agent.Place) reconcile.Settings {
	all := []string{"*"}
	return reconcile.Settings{
		Env: desired.Env{
			Place: place, Profile: desired.Scoped,
			PermissionsBoundary: fmt.Sprintf("arn:%s:iam::%s:policy/%s", place.Partition, place.Account, naming.Boundary(place.Region)),
			SourceBucket:        naming.SourceBucket(place.Account, place.Region),
			BuildImage:          settings.DefaultBuildImage, LogRetentionDays: settings.DefaultLogRetentionDays,
		},
		Allowed:  agent.Allowed{Models: all, Repositories: all, Memories: all, CredentialProviders: all, Audiences: all},
		Existing: plan.ReportExisting, Drift: plan.RepairDrift, Unmanaged: plan.ReportUnmanaged, EnsureServiceLinkedRoles: true,
	}
}

// Deploy makes the stack's buckets, empty, and the boundary of agents' roles, and
// gives the Settings. Queues are left to the caller.
func Deploy(c *awsfake.Cloud) reconcile.Settings {
	s := Settings(agent.Place{Partition: c.Partition, Region: c.Region, Account: c.Account})
	c.AddBucket(naming.ConfigBucket(c.Account, c.Region))
	c.AddBucket(s.Env.SourceBucket)
	c.AddPolicy(s.Env.PermissionsBoundary, desired.Boundary(s.Env.Place, s.Env.SourceBucket).JSON())
	return s
}

// Reconciler wires the pipeline of functions/reconcile, whose calls are those of
// the caller "reconcile". What the stack has besides its Settings is as in
// template.yaml, without operators. Inbox is a queue's URL, and random gives nonces.
func Reconciler(c *awsfake.Cloud, s reconcile.Settings, inbox string, random func() string) *reconcile.Reconciler {
	const caller = "reconcile"
	roles, objects := c.IAM(caller), c.S3(caller)
	return &reconcile.Reconciler{
		Settings:           s,
		SettingsHash:       settingsHash,
		Store:              configstore.New(objects, naming.ConfigBucket(c.Account, c.Region), c.Account),
		Roles:              iamrole.New(roles),
		ServiceLinkedRoles: slrole.New(roles),
		Sources:            sourcebucket.New(objects, s.Env.SourceBucket, c.Account),
		Repositories:       imagerepository.New(c.ECR(caller), c.Account),
		Projects:           buildproject.New(c.CodeBuild(caller)),
		LogGroups:          loggroup.New(c.Logs(caller)),
		Users:              agentcore.New(c.AgentCore(caller), nil, nil),
		Grace:              settings.DefaultGracePeriod,
		MaxDeletesPerHour:  settings.DefaultMaxDeletesPerHour,
		Inbox:              workqueue.New(c.SQS(caller), inbox),
		Bus:                bus.New(c.EventBridge(caller)),
		Now:                c.Now,
		Random:             random,
	}
}

// Pass wires the pipeline of functions/drift likewise, as the caller "drift".
// Work is a queue's URL.
func Pass(c *awsfake.Cloud, s reconcile.Settings, work string) drift.Pass {
	const caller = "drift"
	roles, objects := c.IAM(caller), configstore.New(c.S3(caller), naming.ConfigBucket(c.Account, c.Region), c.Account)
	return drift.Pass{
		Settings:     s,
		SettingsHash: settingsHash,
		MaxChanges:   model.Portion{Percent: settings.DefaultMaxChangesPercent},
		Objects:      objects,
		Account:      iamrole.NewAccount(roles),
		Policies:     iamrole.NewReader(roles),
		Projects:     buildproject.NewReader(c.CodeBuild(caller)),
		Runtimes:     agentcore.New(c.AgentCore(caller), nil, nil),
		Now:          c.Now,
		Work:         workqueue.New(c.SQS(caller), work),
		Reports:      objects,
	}
}

// settingsHash is that of both pipelines: to them it is a text that says, when it
// changes, that the settings have.
const settingsHash = "settings-1"
