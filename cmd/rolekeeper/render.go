package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/settings"
)

// renderFlags is what render is told on the command line.
type renderFlags struct {
	account, region, boundary, key, settings string
	profile, output                          choice
}

func (p program) renderCommand() *cobra.Command {
	f := renderFlags{
		profile: choice{words: []string{string(desired.Scoped), string(desired.Toolkit)}},
		output:  outputs(),
	}
	c := &cobra.Command{
		Use:   "render FILE",
		Short: "Show the roles and the project that a config gets, without asking AWS",
		Long: `Show what the agents of a config get: their roles, with trust, policies, tags and
permissions boundary, and for a container agent the repository that its image is
pushed to and the CodeBuild project that builds it. FILE is a
.bedrock_agentcore.yaml, or - for standard input. AWS is not asked, so no
credentials are needed; what only the account knows, for example whether another
config has the agent's name, is told after the upload.

What the allow lists in the file of --settings do not allow is a problem. Of a
list that is not there the default is assumed, and what is beyond it is a note.

Account and Region are those that the file names first; an agent that names others
is at fault. Where the file names none, pass them; the Region is also taken from
AWS_REGION or AWS_DEFAULT_REGION. Without them a file is told its faults, but a
file that has none is not rendered.

Exit codes: 0 the config is good (warnings allowed), 3 it has problems, 1 anything
else.`,
		Example: `  rolekeeper render .bedrock_agentcore.yaml
  rolekeeper render --account 111122223333 --region eu-central-1 agent.yaml
  rolekeeper render -o json agent.yaml | jq '.agents[].runtimeRole.policies'
  rolekeeper render --profile toolkit --key configs/team/agent.yaml - < agent.yaml
  aws ssm get-parameter --name /rolekeeper/rolekeeper/settings --query Parameter.Value --output text > stack.json
  rolekeeper render --settings stack.json --key team/agent.yaml agent.yaml`,
		Args: takes(1, 1, "one FILE (or - for standard input)"),
		RunE: func(_ *cobra.Command, args []string) error { return p.render(f, args[0]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.account, "account", "", "AWS account, 12 digits (default: the one the file names first)")
	flags.StringVar(&f.region, "region", "", "AWS Region (default: the one the file names first)")
	flags.Var(&f.profile, "profile", "how much the roles grant: the stack's PermissionProfile (default scoped)")
	flags.StringVar(&f.boundary, "boundary", "", "ARN of the roles' permissions boundary (default: the one that the stack makes)")
	flags.StringVar(&f.key, "key", "", "S3 key the config will have, for the roles' tags (default: configs/ and the file's name)")
	flags.StringVar(&f.settings, "settings", "", "YAML or JSON `file` with parameters of the stack by name, such as the value of its /rolekeeper/STACK/settings; flags win over it")
	flags.VarP(&f.output, "output", "o", "output format")
	return c
}

func (p program) render(f renderFlags, file string) error {
	data, name, err := p.read(file)
	if err != nil {
		return err
	}
	place, unknown, err := p.place(f, data)
	if err != nil {
		return err
	}
	if unknown != nil {
		unknown = fmt.Errorf("where will the agents run? %w", unknown)
	}
	params, err := readParameters(f.settings, place)
	if err != nil {
		return errors.Join(err, unknown) // ARNs in the file may be at fault only for that
	}
	env, err := desiredEnv(f, params, file, place)
	if err != nil {
		return err
	}
	r := rendering{file: name}
	cfg, problems := agent.Examine(data, place)
	beyond, notes := beyondLists(params, cfg)
	var state desired.State
	if unknown != nil {
		problems = append(slices.DeleteFunc(problems, dependsOnPlace), beyond...)
		if !fault.Blocks(problems) {
			return unknown
		}
	} else {
		var more []fault.Problem
		state, more = desired.Compute(cfg, env) // also of a faulty file: what is wrong is told all at once
		problems = slices.Concat(problems, more, beyond)
	}
	fault.Sort(problems)
	r.problems = problems
	blocked := fault.Blocks(problems)
	if !blocked {
		r.agents = rendered(state, notes)
	}
	if f.output.value == "json" {
		p.stdout.json(r.view())
	} else {
		r.text(p.stdout)
	}
	if blocked {
		return errProblems
	}
	return nil
}

// read gives the config with its name for problems.
func (p program) read(file string) (data []byte, name string, err error) {
	if file == "-" {
		data, err = io.ReadAll(p.stdin)
		if err != nil {
			return nil, "", fmt.Errorf("read standard input: %w", err)
		}
		return data, "stdin", nil
	}
	data, err = os.ReadFile(file) //nolint:gosec // the user names the file
	if err != nil {
		return nil, "", fmt.Errorf("read config: %w", err)
	}
	return data, file, nil
}

// desiredEnv gives what shapes the roles beside the config.
func desiredEnv(f renderFlags, params settings.Parameters, file string, place agent.Place) (desired.Env, error) {
	key, err := renderKey(f.key, file)
	if err != nil {
		return desired.Env{}, err
	}
	if err := settings.Boundary(f.boundary); err != nil {
		return desired.Env{}, fmt.Errorf("--boundary: %w", err)
	}
	e := shape(params, place).Env()
	e.ConfigKey = key
	e.Profile = cmp.Or(desired.Profile(f.profile.value), e.Profile)
	e.PermissionsBoundary = cmp.Or(f.boundary, e.PermissionsBoundary)
	return e, nil
}

func renderKey(given, file string) (string, error) {
	name := filepath.Base(file)
	switch {
	case given != "":
		name = given
	case file == "-":
		name = "stdin"
	}
	key, err := configKey(name)
	if err != nil && given == "" {
		return "", fmt.Errorf("the file's name makes no key, pass --key: %w", err)
	}
	return key, err
}

// rendering is the answer to a config.
type rendering struct {
	file     string
	agents   []renderedAgent
	problems []fault.Problem
}

// renderedAgent is an agent with what it is deployed and built with.
type renderedAgent struct {
	name       string
	runtime    *model.Role       // its own or its sibling's; nil when it is external
	external   string            // ARN
	build      *model.Role       // its own or its sibling's; nil when it is external or not needed
	repository *model.Repository // nil when the agent has no image
	project    *model.Project    // nil when it has none
	notes      []string
}

// rendered gives the agents with the notes on each, those by name last.
func rendered(state desired.State, notes map[string][]string) []renderedAgent {
	var agents []renderedAgent
	for _, a := range state.Agents {
		r := renderedAgent{
			name: a.Name, runtime: a.RuntimeRole, build: a.BuildRole, repository: a.Repository, project: a.Project,
			notes: slices.Concat(a.Notes, notes[a.Name]),
		}
		if a.SharedRuntimeRole != "" {
			r.runtime = state.Agent(a.SharedRuntimeRole).RuntimeRole
		}
		if a.SharedBuildRole != "" {
			r.build = state.Agent(a.SharedBuildRole).BuildRole
		}
		if a.ExternalRuntimeRole != nil {
			r.external = a.ExternalRuntimeRole.ARN
		}
		agents = append(agents, r)
	}
	return agents
}

// The JSON of render, a contract: every key is always there.
type (
	answerView struct {
		Agents   []agentView   `json:"agents"`
		Problems []problemView `json:"problems"`
	}
	agentView struct {
		Name         string          `json:"name"`
		RuntimeRole  *roleView       `json:"runtimeRole"`
		ExternalRole *string         `json:"externalRole"`
		BuildRole    *roleView       `json:"buildRole"`
		Repository   *repositoryView `json:"repository"`
		Project      *projectView    `json:"project"`
		Notes        []string        `json:"notes"`
	}
	roleView struct {
		Name                string                     `json:"name"`
		ARN                 string                     `json:"arn"`
		Trust               json.RawMessage            `json:"trust"`
		Policies            map[string]json.RawMessage `json:"policies"`
		Tags                map[string]string          `json:"tags"`
		PermissionsBoundary string                     `json:"permissionsBoundary"`
		MaxSessionDuration  int32                      `json:"maxSessionDuration"`
		Description         string                     `json:"description"`
	}
	repositoryView struct {
		Name       string            `json:"name"`
		ARN        string            `json:"arn"`
		URI        string            `json:"uri"`
		Named      bool              `json:"named"`
		ScanOnPush bool              `json:"scanOnPush"`
		Tags       map[string]string `json:"tags"`
	}
	projectView struct {
		Name string `json:"name"`
		ARN  string `json:"arn"`
		model.ProjectSettings
		LogRetentionDays int32             `json:"logRetentionDays"`
		Tags             map[string]string `json:"tags"`
	}
	problemView struct {
		Code     string         `json:"code"`
		Severity fault.Severity `json:"severity"`
		Agent    string         `json:"agent"`
		Field    string         `json:"field"`
		Line     int            `json:"line"`
		Column   int            `json:"column"`
		Message  string         `json:"message"`
		Fix      string         `json:"fix"`
	}
)

func (r rendering) view() answerView {
	v := answerView{Agents: []agentView{}, Problems: viewProblems(r.problems)}
	for _, a := range r.agents {
		av := agentView{
			Name: a.name, RuntimeRole: viewRole(a.runtime), BuildRole: viewRole(a.build), Repository: viewRepository(a.repository),
			Project: viewProject(a.project), Notes: append([]string{}, a.notes...),
		}
		if a.external != "" {
			av.ExternalRole = &a.external
		}
		v.Agents = append(v.Agents, av)
	}
	return v
}

func viewProblems(problems []fault.Problem) []problemView {
	views := []problemView{}
	for _, p := range problems {
		views = append(views, problemView(p))
	}
	return views
}

func viewRole(r *model.Role) *roleView {
	if r == nil {
		return nil
	}
	v := &roleView{
		Name: r.Name, ARN: r.ARN, Trust: json.RawMessage(r.Trust.JSON()), Policies: map[string]json.RawMessage{}, Tags: r.Tags,
		PermissionsBoundary: r.PermissionsBoundary, MaxSessionDuration: r.MaxSessionDuration, Description: r.Description,
	}
	for name, document := range r.Policies {
		v.Policies[name] = json.RawMessage(document.JSON())
	}
	return v
}

func viewRepository(r *model.Repository) *repositoryView {
	if r == nil {
		return nil
	}
	v := &repositoryView{r.Name, r.ARN, r.URI, r.Named, r.ScanOnPush, map[string]string{}}
	maps.Copy(v.Tags, r.Tags)
	return v
}

func viewProject(p *model.Project) *projectView {
	if p == nil {
		return nil
	}
	return &projectView{p.Name, p.ARN, p.ProjectSettings, p.LogRetentionDays, p.Tags}
}
