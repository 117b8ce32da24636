package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// broken is how a build ends whose source does not build.
var broken = awsfake.Outcome{State: cbtypes.StatusTypeFailed, Message: "COMMAND_EXECUTION_ERROR: Error while executing command: docker build"}

// failed is an account with an agent whose image could not be built.
func failed(t *testing.T) *deployed {
	t.Helper()
	w := deploy(t)
	w.built(teamKey, "solo", broken)
	w.ForgetCalls()
	w.sleep = func(context.Context, time.Duration) error {
		w.reconcile(teamKey)
		return nil
	}
	return w
}

func TestAnOperatorHasAnImageBuiltAgain(t *testing.T) {
	w := failed(t)
	w.terminal, w.stdin = true, "yes\n"
	got := w.run(t, "build", "team/agent.yaml", "solo")
	if got.code != exitGood {
		t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	golden(t, "build.txt", got.stdout)
	if want := []string{"s3:PutObject " + w.bucket + "/" + naming.RequestKey(teamKey, requestID)}; !slices.Equal(w.wrote(), want) {
		t.Errorf("the tool wrote %q, want %q", w.wrote(), want)
	}
	builds := w.Builds()
	if len(builds) != 2 || *builds[0].SourceVersion != *builds[1].SourceVersion || builds[1].BuildComplete {
		t.Fatalf("builds %+v", builds)
	}
	var identity string
	for _, v := range builds[0].Environment.EnvironmentVariables {
		if *v.Name == "ROLEKEEPER_BUILD" {
			identity = *v.Value
		}
	}
	if rs := w.requests(); len(rs) != 1 || rs[0].Action != model.BuildImage || len(rs[0].Plans) != 1 || rs[0].Plans["solo"] != identity {
		t.Errorf("requests %+v, want one for build %s", rs, identity)
	}
	w.endBuild(teamKey, "solo", awsfake.Outcome{})
	if told := w.run(t, "status", teamKey).stdout; !strings.Contains(told, "build "+*builds[1].Id+": succeeded") {
		t.Errorf("the status does not tell of the build:\n%s", told)
	}
}

func TestABuildThatWasNotStartedYetIsStartedByItself(t *testing.T) {
	w := failed(t)
	w.source("solo", zipped+", anew")
	got := w.run(t, "build", teamKey, "solo", "--yes")
	for _, want := range []string{"it was not built yet: the next look starts this build by itself", ": done: build "} {
		if got.code != exitGood || !strings.Contains(got.stdout, want) {
			t.Errorf("exit code %d; %q is not in\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
	if n := len(w.Builds()); n != 2 {
		t.Errorf("%d builds", n)
	}
}

func TestWhatWasBuiltIsBuiltAgainWhenAskedFor(t *testing.T) {
	w := deploy(t)
	w.built(teamKey, "solo", awsfake.Outcome{})
	got := w.run(t, "build", teamKey, "solo", "--yes", "--wait=false")
	if got.code != exitGood || !strings.Contains(got.stdout, ": succeeded, started ") || len(w.requests()) != 1 {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// A newer source makes what was shown another build.
func TestABuildOfAnotherSourceIsNotWhatWasAskedFor(t *testing.T) {
	w := failed(t)
	w.sleep = func(context.Context, time.Duration) error {
		w.source("solo", zipped+", anew")
		w.reconcile(teamKey)
		return nil
	}
	got := w.run(t, "build", teamKey, "solo", "--yes")
	if got.code != exitProblems || !strings.Contains(got.stdout, "request "+requestID+": refused: ") || got.stderr != "" {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestABuildWithoutRoomWaits(t *testing.T) {
	w := failed(t)
	w.LimitBuilds(0)
	got := w.run(t, "build", teamKey, "solo", "--yes")
	if got.code != exitError || !strings.Contains(got.stdout, "build: waiting, since") || !strings.Contains(got.stderr, "no answer within 2m0s: the request stands") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// What is wrong with other agents, and with what a build does not need, keeps
// none from being asked for.
func TestOnlyWhatABuildNeedsKeepsItFromBeingAskedFor(t *testing.T) {
	trouble := map[string]func(w *deployed){
		"another's project": func(w *deployed) { w.project("duo") },
		"another's source":  func(w *deployed) { w.source("duo", "no zip") },
		"another's build":   func(w *deployed) { w.source("duo", zipped) },
		"its runtime role": func(w *deployed) {
			trust := w.role(runtimeRole("solo")).Trust
			w.deleteRole(runtimeRole("solo"))
			w.createRole(runtimeRole("solo"), trust)
		},
		"its project is gone": func(w *deployed) {
			w.source("duo", zipped)
			w.must(w.CodeBuild("admin").DeleteProject(w.t.Context(), &codebuild.DeleteProjectInput{Name: aws.String(naming.Project("solo"))}))
		},
	}
	for name, prepare := range trouble {
		t.Run(name, func(t *testing.T) {
			w := failed(t)
			prepare(w)
			w.put(t, teamKey, two(container("solo"), container("duo")))
			got := w.run(t, "build", teamKey, "solo", "--yes")
			if got.code != exitGood || !strings.Contains(got.stdout, ": done: build ") || !strings.Contains(got.stdout, "last build of it") || strings.Contains(got.stdout, "duo") {
				t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}

// Of what is wrong only that is told which keeps the source from being built.
func TestOnlyTheSourcesProblemsAreToldOfASource(t *testing.T) {
	w := deploy(t)
	w.source("solo", "no zip")
	w.source("duo", "")
	w.upload(teamKey, two(strings.Replace(container("solo"), "aws: {}", "aws: {network_configuration: {network_mode: VPC}}", 1), container("duo")))
	if all := w.run(t, "plan", teamKey).stdout; strings.Count(all, "warning") != 3 {
		t.Fatalf("there is nothing to be left out:\n%s", all)
	}
	got := w.run(t, "build", teamKey, "solo", "--yes")
	if got.code != exitProblems || !strings.Contains(got.stdout, "[source-not-zip]") || strings.Count(got.stdout, "warning") != 1 {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestNothingIsAskedForThatCannotBeBuilt(t *testing.T) {
	external := strings.Replace(container("solo"), "aws: {}", "aws: {}\n    codebuild: {execution_role: 'arn:aws:iam::123456789012:role/Mine'}", 1)
	// sourced lets the function look at a config after a source was uploaded.
	sourced := func(source string) func(*deployed) {
		return func(w *deployed) {
			w.upload(teamKey, container("solo")) // first: a new build role is not built with at once
			w.source("solo", source)
			w.reconcile(teamKey)
		}
	}
	for name, c := range map[string]struct {
		prepare func(*deployed)
		args    []string // build configs/team/agent.yaml solo --yes when empty
		code    int
		want    []string
	}{
		"no source": {
			func(w *deployed) { w.upload(teamKey, container("solo")) }, nil, exitProblems,
			[]string{"there is no source; upload it to s3://bedrock-agentcore-codebuild-sources-123456789012-us-east-1/solo/source.zip"},
		},
		"an empty source":         {sourced(""), nil, exitProblems, []string{"its source cannot be used", "[source-empty]"}},
		"a source that no zip is": {sourced("#!/bin/sh"), nil, exitProblems, []string{"its source cannot be used", "[source-not-zip]"}},
		"a bucket without versions": {
			func(w *deployed) { w.SetVersioning(w.sourceBucket, false); sourced(zipped)(w) }, nil, exitProblems, []string{"[source-bucket-unversioned]"},
		},
		"a bucket that tells nobody": {
			func(w *deployed) { w.SetEventBridge(w.sourceBucket, false); sourced(zipped)(w) }, nil, exitProblems, []string{"[source-bucket-silent]"},
		},
		"an agent of code": {func(w *deployed) { w.upload(teamKey, direct("solo")) }, nil, exitProblems, []string{"deployed as code and has no image"}},
		"a build role of the config's": {
			func(w *deployed) { w.source("solo", zipped); w.upload(teamKey, external) }, nil, exitProblems,
			[]string{"it has no project", "arn:aws:iam::123456789012:role/Mine"},
		},
		"a role in the way": {roleInTheWay, nil, exitProblems, []string{"what it takes is blocked", "[role-replaced]"}},
		"a project in the way": {
			func(w *deployed) { w.project("solo"); sourced(zipped)(w) }, nil, exitProblems, []string{"what it takes is blocked", "[project-not-ours]"},
		},
		"a repository in the way": {
			func(w *deployed) {
				w.must(w.ECR("admin").CreateRepository(w.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(naming.Repository("solo"))}))
				sourced(zipped)(w)
			}, nil, exitProblems, []string{"what it takes is blocked", "[repository-not-ours]"},
		},
		"a build that runs": {sourced(zipped), nil, exitProblems, []string{"a build is running: bedrock-agentcore-solo-builder:", "ask again when it has ended"}},
		"a build that has just ended, beside an agent without source": {
			func(w *deployed) {
				w.upload(teamKey, two(container("solo"), container("duo")))
				w.source("solo", zipped)
				w.reconcile(teamKey)
				w.source("solo", zipped+", anew")
				w.FinishBuild(*w.Builds()[0].Id, broken)
			}, nil, exitProblems, []string{"has just ended and the answer does not have it yet"},
		},
		"a build that runs, of a source before": {
			func(w *deployed) { sourced(zipped)(w); w.source("solo", zipped+", anew") }, nil, exitProblems, []string{"a build is running"},
		},
		"a build that has just ended": {
			func(w *deployed) {
				sourced(zipped)(w)
				w.source("solo", zipped+", anew")
				w.FinishBuild(*w.Builds()[0].Id, broken)
			}, nil, exitProblems, []string{"has just ended and the answer does not have it yet"},
		},
		"the config is refused": {func(w *deployed) { w.put(w.t, teamKey, "agents: {}") }, nil, exitProblems, []string{"[config-no-agents]"}},
		"the config is gone":    {func(w *deployed) { sourced(zipped)(w); w.remove(teamKey) }, nil, exitError, []string{"there is no config " + teamKey}},
		"an agent that the config lacks": {
			sourced(zipped), []string{"build", teamKey, "duo", "--yes"}, exitError, []string{teamKey + ` has no agent "duo"; it has solo`},
		},
		"requests are off": {func(w *deployed) {
			w.built(teamKey, "solo", broken)
			w.parameters["OperatorPrincipalArns"] = []string{""}
		}, nil, exitError, []string{"last build of it", "requests are off"}},
		"nobody to confirm": {
			func(w *deployed) { w.built(teamKey, "solo", broken) }, []string{"build", teamKey, "solo"}, exitError, []string{"last build of it", "--yes", "nothing was written"},
		},
		"builds that cannot be read": {func(w *deployed) {
			w.built(teamKey, "solo", broken)
			w.Before = func(c awsfake.Call) error {
				if c.Caller == operator && c.Operation == "ListBuildsForProject" {
					return awsfake.APIError("AccessDeniedException", "not authorized")
				}
				return nil
			}
		}, nil, exitError, []string{"AccessDenied", "RolekeeperOperatorPolicy-us-east-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := deploy(t)
			c.prepare(w)
			w.ForgetCalls()
			args := c.args
			if args == nil {
				args = []string{"build", teamKey, "solo", "--yes"}
			}
			got := w.run(t, args...)
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stdout+got.stderr, want) {
					t.Errorf("%q is not in\n%s%s", want, got.stdout, got.stderr)
				}
			}
			if wrote := w.wrote(); len(wrote) > 0 {
				t.Errorf("the tool wrote %q", wrote)
			}
		})
	}
}

// run itself fails on what is not for terminals.
func TestNothingOfABuildCommandsTheTerminal(t *testing.T) {
	w := deploy(t)
	w.built(teamKey, "solo", awsfake.Outcome{State: cbtypes.StatusTypeFailed, Message: "COMMAND_EXECUTION_ERROR: \x1b[31m\nrequest forged: done"})
	for _, args := range [][]string{{"build", teamKey, "solo", "--yes", "--wait=false"}, {"status", teamKey}} {
		got := w.run(t, args...)
		if got.code != exitGood || strings.Contains(got.stdout, "\nrequest forged") || !strings.Contains(got.stdout, "forged") {
			t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
		}
	}
}
