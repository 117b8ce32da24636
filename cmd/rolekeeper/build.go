package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
)

func (p program) buildCommand() *cobra.Command {
	var f requestFlags
	c := &cobra.Command{
		Use:   "build CONFIG AGENT",
		Short: "Have the image of an agent's newest source built again",
		Long: `Show the build of the newest source of one agent of an uploaded config, how its
last build ended, and, once you confirm, ask for another. Rolekeeper builds every
source once by itself, and repeats no build that failed: this is how it is repeated,
without another upload. CONFIG is the config's S3 key, with or without configs/ in
front.

The answer comes when the build was started; how it ends is told by status. While
it cannot be started yet the request stands unanswered.` + requestHelp,
		Example: `  rolekeeper build team/agent.yaml my_agent
  rolekeeper build team/agent.yaml my_agent --yes --wait=false`,
		Args: takes(2, 2, "a CONFIG and an AGENT"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.request(c.Context(), f, model.BuildImage, args[0], p.build(args[1]))
		},
	}
	f.register(c)
	return c
}

// build proposes the build of an agent's newest source.
func (p program) build(name string) proposal {
	return func(ctx context.Context, s stack, now planned) (map[string]string, error) {
		if err := p.good(s, now); err != nil {
			return nil, err
		}
		a, err := now.agent(name)
		if err != nil {
			return nil, err
		}
		order, err := p.order(now, a)
		if err != nil {
			return nil, err
		}
		builds, err := now.builds(ctx, order.Project)
		if err != nil {
			return nil, s.unreadable(err)
		}
		if i := slices.IndexFunc(builds, func(b model.Build) bool { return !b.State.Ended() }); i >= 0 {
			p.stdout.line("%s: agent %s: a build is running: %s, since %s; ask again when it has ended", now.Key, name, builds[i].ID, moment(builds[i].Started))
			return nil, errProblems
		}
		p.stdout.line("%s: a build for agent %s", now.Key, name)
		p.stdout.line("  project %s", order.Project)
		p.stdout.line("  source s3://%s, version %s", a.Project.Source, order.SourceVersion)
		p.stdout.line("  image %s with tag %s", a.Repository.URI, tagsOf(order))
		last := slices.IndexFunc(builds, order.Made)
		switch {
		case last >= 0:
			lastBuildText(p.stdout, builds[last])
		case now.Plan.Waits[name] != "":
			p.stdout.line("  it was not built yet, and waits: %s", now.Plan.Waits[name])
		case slices.ContainsFunc(now.Plan.Steps, func(s plan.Step) bool { return s.Op == plan.StartBuild && s.Agent == name }):
			p.stdout.line("  it was not built yet: the next look starts this build by itself; the request has it look now")
		default:
			p.stdout.line("  last build of it: CodeBuild lists it no longer; `rolekeeper status %s` tells how it ended", now.Key)
		}
		return map[string]string{name: order.Identity}, nil
	}
}

// order gives the build that can be asked for. When there is none it says why.
func (p program) order(now planned, a desired.Agent) (model.BuildOrder, error) {
	no := func(format string, args ...any) (model.BuildOrder, error) {
		p.stdout.line("%s: agent %s: nothing can be built: "+format, append([]any{now.Key, a.Name}, args...)...)
		return model.BuildOrder{}, errProblems
	}
	switch {
	case a.Repository == nil:
		return no("it is deployed as code and has no image")
	case a.Project == nil:
		return no("it has no project, since its build role %s is not Rolekeeper's", a.ExternalBuildRole.ARN)
	}
	if blocked := now.Plan.Hinder(a.Name, naming.RoleOf(a.Project.ServiceRole)); len(blocked) > 0 {
		_, err := no("what it takes is blocked")
		for _, f := range blocked {
			p.stdout.line("  blocked: %s; %s [%s]", f.Message, f.Fix, f.Kind)
		}
		return model.BuildOrder{}, err
	}
	order, ok := now.Builds[a.Name]
	if ok {
		return order, nil
	}
	about := slices.DeleteFunc(slices.Clone(now.Problems), func(f fault.Problem) bool {
		return f.Agent != a.Name || !strings.HasPrefix(f.Code, "source-")
	})
	switch why := now.Hindered[a.Name]; {
	case len(about) > 0:
		_, err := no("its source cannot be used")
		problemsText(p.stdout, now.look.name, about)
		return model.BuildOrder{}, err
	case why != "":
		return no("%s", why)
	}
	return no("its last build has just ended and the answer does not have it yet; ask again in a minute")
}

// builds gives the newest builds of a project, newest first.
func (p planned) builds(ctx context.Context, project string) ([]model.Build, error) {
	if _, there := p.look.seen.projects.seen(project); !there {
		return nil, nil
	}
	return p.look.seen.projects.Builds(ctx, project)
}

// lastBuildText tells how the last build of what is to be built ended.
func lastBuildText(t *terminal, b model.Build) {
	t.line("  last build of it %s: %s, started %s", b.ID, b.State, moment(b.Started))
	t.field("    message", b.Message)
	t.field("    log", b.LogURL)
}
