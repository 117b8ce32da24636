package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/slr"
)

// nothing is a Region without anything in it, and a queue that nobody reads.
type nothing struct{}

func (nothing) Resources(context.Context, []model.Resource) ([]model.Resource, map[string]error) {
	return nil, nil
}
func (nothing) Managed(context.Context) ([]string, error) { return nil, nil }
func (nothing) Send(context.Context, event.Message) error { return nil }

// watch lets the function look at the service-linked roles.
func (w *deployed) watch() {
	w.t.Helper()
	watch := slr.Watch{
		Here: event.Here{Account: w.Account, Region: w.Region, ConfigBucket: w.bucket}, Place: w.place(), Regions: []string{w.Region}, Operators: true,
		Store: configstore.New(w.S3(owner), w.bucket, w.Account), Roles: slrole.NewKeeper(w.IAM(owner)),
		Region: func(string) slr.Region { return slr.Region{Resources: nothing{}, Interfaces: nothing{}} },
		Queue:  nothing{}, Bus: bus.New(w.EventBridge(owner)), Now: w.Now,
	}
	if _, err := watch.Look(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestTheFunctionDeletesTheServiceLinkedRoleThatWasShown(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *deployed) // before the function sees the request
		code   int
		want   string
		left   model.Verdict
	}{
		"and AWS does":            {func(*deployed) {}, exitGood, ": running: ", model.LinkedAbsent},
		"and AWS refuses":         {func(w *deployed) { w.FailLinkedDeletion(network, "it is in use") }, exitProblems, "it is in use", model.LinkedRefused},
		"unless it is used again": {func(w *deployed) { w.UseRole(network, w.Now()) }, exitProblems, ": refused: ", model.LinkedIdle},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			w.now = w.Now
			service := desired.Network().Service
			w.must(w.admin().CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: &service}))
			w.Advance(24 * time.Hour)
			w.watch()
			w.Advance(time.Minute)
			w.watch() // IAM's report is there
			if got := w.run(t, "slr"); got.code != exitChanges || !strings.Contains(got.stdout, network+": removable\n") {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			c.change(w)
			w.sleep = func(context.Context, time.Duration) error {
				w.watch()
				w.Advance(10 * time.Second)
				return nil
			}
			got := w.run(t, "slr", "delete", "network", "--yes")
			if got.code != c.code || !strings.Contains(got.stdout, c.want) {
				t.Errorf("exit code %d; %q is not in\n%s%s", got.code, c.want, got.stdout, got.stderr)
			}
			if got := w.run(t, "slr"); !strings.Contains(got.stdout, network+": "+string(c.left)+"\n") {
				t.Errorf("it is not %s:\n%s%s", c.left, got.stdout, got.stderr)
			}
		})
	}
}
