package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/local"
	"rolekeeper/local/child"
	"rolekeeper/shared/agent"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// operator is who may ask for adoptions in the demo's stack.
const operator = "arn:aws:iam::" + account + ":role/operator"

// veteran is an agent whose roles the starter toolkit made.
const (
	veteran       = "night_porter"
	veteranKey    = "configs/hotel/porter.yaml"
	veteranConfig = `agents:
  night_porter:
    name: night_porter
    entrypoint: main.py
    deployment_type: container
    aws:
      account: '123456789012'
      region: us-east-1
    permissions:
      models: [anthropic.claude-sonnet-4-20250514-v1:0]
`
)

// adoption has roles adopted that the starter toolkit made: first they are told
// and left alone, then an operator asks for them with the command-line tool.
func (w *watcher) adoption(ctx context.Context, p *printer) error {
	before, err := w.byToolkit(ctx)
	if err != nil {
		return fmt.Errorf("make roles as the toolkit does: %w", err)
	}
	for _, o := range before {
		p.line("there is role %s, no boundary, %d tags", o.Name, len(o.Tags))
	}
	s, err := w.uploadConfig(ctx, p, veteranKey, veteranConfig)
	if err != nil {
		return err
	}
	if s.Outcome != status.Blocked {
		return fmt.Errorf("outcome is %s, want %s", s.Outcome, status.Blocked)
	}
	tellSome(p, s.Agents[0].Notes)

	p.line("")
	p.line("$ rolekeeper adopt %s %s --yes", veteranKey, veteran)
	told, err := w.tool(ctx, "adopt", veteranKey, veteran, "--yes")
	if err != nil {
		return err
	}
	tellEnd(p, told)
	if err := w.wait(ctx); err != nil {
		return err
	}
	p.line("")
	if s, err = w.answer(ctx, p, veteranKey); err != nil {
		return err
	}
	if err := ready(s); err != nil {
		return err
	}
	for _, was := range before {
		if err := w.tellAdopted(ctx, p, was); err != nil {
			return err
		}
	}
	return w.tellParts(ctx, p, veteranKey, s.Agents[0])
}

// byToolkit makes the agent's roles as the toolkit makes them.
func (w *watcher) byToolkit(ctx context.Context) ([]model.ObservedRole, error) {
	place := agent.Place{Partition: "aws", Region: region, Account: account}
	state, problems := desired.Compute(agent.Config{Agents: []agent.Agent{{Name: veteran, Deployment: agent.Container}}},
		desired.Env{Place: place, Profile: desired.Toolkit, SourceBucket: naming.SourceBucket(account, region)})
	if len(problems) > 0 {
		return nil, fmt.Errorf("%v", problems)
	}
	toolkit := iam.NewFromConfig(w.aws.Config("toolkit"))
	var made []model.ObservedRole
	for _, r := range state.Agents[0].Roles() {
		if _, err := toolkit.CreateRole(ctx, &iam.CreateRoleInput{
			RoleName: &r.Name, AssumeRolePolicyDocument: aws.String(r.Trust.JSON()), Description: &r.Description,
		}); err != nil {
			return nil, err
		}
		for name, document := range r.Policies {
			if _, err := toolkit.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &r.Name, PolicyName: &name, PolicyDocument: aws.String(document.JSON())}); err != nil {
				return nil, err
			}
		}
		o, err := w.roles.Read(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		made = append(made, o)
	}
	return made, nil
}

// tool runs the command-line tool as the operator.
func (w *watcher) tool(ctx context.Context, args ...string) (told string, err error) {
	binary, err := local.Build(ctx, "cmd/rolekeeper")
	if err != nil {
		return "", err
	}
	cmd := child.Command(ctx, binary, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	for k, v := range w.aws.Environment("operator") {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rolekeeper %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func tellSome(p *printer, notes []string) {
	const most = 4
	for i, n := range notes {
		if i == most {
			p.line("note     and %d more", len(notes)-most)
			return
		}
		p.line("note     %s", n)
	}
}

// tellEnd tells the last of what a command told, which is what came of it.
func tellEnd(p *printer, text string) {
	const most = 8
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if n := len(lines) - most; n > 0 {
		p.line("  (%d lines that show what will be done)", n)
		lines = lines[n:]
	}
	for _, line := range lines {
		p.line("  %s", line)
	}
}

var errNotAdopted = errors.New("the role is not as it should be after its adoption")

func (w *watcher) tellAdopted(ctx context.Context, p *printer, was model.ObservedRole) error {
	o, err := w.roles.Read(ctx, was.Name)
	if err != nil {
		return err
	}
	trust, ok := "the same trust", o.Trust == was.Trust
	if o.Name == naming.BuildRole(region, veteran) {
		trust, ok = "trust narrowed to project "+naming.Project(veteran), forProjectAlone(o.Trust)
	}
	if !ok || o.ID != was.ID || o.PermissionsBoundary == "" || o.Tags[model.TagConfig] != veteranKey {
		return fmt.Errorf("%w: %+v", errNotAdopted, o)
	}
	p.line("role     %s is the same role (%s), %s", o.Name, o.ID, trust)
	w.adopted++
	return tellRole(p, o)
}

// forProjectAlone reports whether a trust lets CodeBuild in for the veteran's
// project, and for no other agent's.
func forProjectAlone(trust string) bool {
	lets := func(agent string) bool {
		return awsfake.TrustsCodeBuild(trust, "arn:aws:codebuild:"+region+":"+account+":project/"+naming.Project(agent), account)
	}
	return lets(veteran) && !lets(assistant)
}
