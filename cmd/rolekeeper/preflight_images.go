package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// made is a project or a repository that has a name that agents' have.
type made struct {
	name string
	at   time.Time
	tags map[string]string
}

// strangers lists those that do not have the tag that Rolekeeper makes all
// with. It proves nothing, and is what a look from outside can go by.
func strangers(all []made) []string {
	var lines []string
	for _, m := range all {
		if _, ours := m.tags[model.TagCreation]; !ours {
			lines = append(lines, fmt.Sprintf("%s, made %s", m.name, moment(m.at)))
		}
	}
	slices.Sort(lines)
	return lines
}

// agentsProjects looks for CodeBuild projects in the way of agents' own. It also
// says how many builds there is room for: Service Quotas knows, and CodeBuild
// says so only when it refuses one (CodeBuild user guide, "Quotas").
func (i *inspection) agentsProjects(ctx context.Context) finding {
	const check, subject = "agents-projects", "bedrock-agentcore-*-builder"
	all, err := i.allProjects(ctx)
	if err != nil {
		return notRead(check, subject, err)
	}
	f := i.judged(check, subject, all, "an agent whose project has such a name gets no image built",
		"delete those of agents that Rolekeeper is to build: the record of their builds goes with them, images stay")
	f.Details = append(f.Details, "room for builds: not looked at; a new account may have it for one ARM build at a time, or for none, and agents then wait. The command lists the quotas")
	f.Commands = append(f.Commands, i.command("service-quotas", "list-service-quotas", "--service-code", "codebuild",
		"--query", "Quotas[?contains(QuotaName, 'ARM')].[QuotaName, Value]", "--output", "table"))
	return f
}

// agentsRepositories looks for ECR repositories in the way of agents' own.
func (i *inspection) agentsRepositories(ctx context.Context) finding {
	const check, subject = "agents-repositories", "bedrock-agentcore-*"
	all, err := i.allRepositories(ctx)
	if err != nil {
		return notRead(check, subject, err)
	}
	return i.judged(check, subject, all, "an agent that has such a repository by default gets no image built",
		"let the agent's config name the repository (aws.ecr_repository), and it is used as it is; or delete it with its images")
}

func (i *inspection) judged(check, subject string, all []made, so, fix string) finding {
	others := strangers(all)
	switch {
	case len(all) == 0:
		return found(check, subject, levelOK, "none there")
	case len(others) == 0:
		return found(check, subject, levelOK, "%d there, all with Rolekeeper's tag", len(all))
	}
	f := found(check, subject, levelWarning, "%d there, %d of them without Rolekeeper's tag: %s", len(all), len(others), so).fixed(fix)
	f.Details = others
	return f
}

// agentsProject reports whether the project of some agent has the name.
func agentsProject(name string) bool {
	_, ok := naming.ProjectClaimKeyOf(name)
	return ok
}

// agentsRepository reports whether some agent has a repository of the name by
// default: its project is called the same, with more at the end.
func agentsRepository(name string) bool { return agentsProject(name + "-builder") }
