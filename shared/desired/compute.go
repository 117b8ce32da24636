package desired

import (
	"fmt"
	"strconv"
	"strings"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// maxSession is how long a session of a role lives at most, in seconds: IAM's
// default, which the toolkit leaves as it is.
const maxSession = 3600

// Compute gives the state for a config, with the problems found on the way
// (limits of IAM, roles named across agents, a config of no team). With a problem that blocks, the
// state is not to be used.
func Compute(cfg agent.Config, env Env) (State, []fault.Problem) {
	c := computation{cfg: cfg, env: env}
	c.checkTeam()
	runtime := c.assign(runtimeRole)
	build := c.assign(buildRole)
	state := State{ServiceLinkedRoles: ServiceLinkedRolesOf(cfg)}
	for i, a := range cfg.Agents {
		out := Agent{Name: a.Name}
		switch r := runtime[i]; {
		case r.external != nil:
			out.ExternalRuntimeRole = r.external
		case r.owner != i:
			out.SharedRuntimeRole = cfg.Agents[r.owner].Name
		default:
			out.RuntimeRole = c.runtime(i, users(runtime, i))
		}
		switch r := build[i]; {
		case r.external != nil:
			out.ExternalBuildRole = r.external
		case r.owner == nobody:
		case r.owner != i:
			out.SharedBuildRole = cfg.Agents[r.owner].Name
		default:
			out.BuildRole = c.build(i, users(build, i))
		}
		if a.Deployment == agent.Container {
			out.Repository = c.repository(a)
		}
		if owner := build[i].owner; owner != nobody {
			out.Project = c.project(a, out.Repository, naming.BuildRole(env.Region, cfg.Agents[owner].Name))
		}
		out.Notes = c.notes(i, runtime, build)
		state.Agents = append(state.Agents, out)
	}
	return state, c.problems
}

type computation struct {
	cfg      agent.Config
	env      Env
	problems []fault.Problem
}

// checkTeam finds a config that belongs to no team where everything must.
func (c *computation) checkTeam() {
	if c.env.TeamTag == "" || c.env.team() != "" {
		return
	}
	c.problems = append(c.problems, fault.Problem{
		Code: "team-missing", Severity: fault.SeverityError, Line: 1, Column: 1,
		Message: fmt.Sprintf("the key %.220q is in no team's folder", c.env.ConfigKey),
		Fix:     fmt.Sprintf("upload the file under %s<team>/, where <team> is the value of your principal tag %s", naming.ConfigPrefix, c.env.TeamTag),
	})
}

// kind is what tells the assignment of runtime roles from that of build roles.
type kind struct {
	field   string // of the config, names the role
	service string // assumes the role
	needed  func(agent.Agent) bool
	ref     func(agent.Agent) agent.RoleRef
	name    func(region, agent string) string
}

var (
	runtimeRole = kind{
		field: "aws.execution_role", service: agentCoreService,
		needed: func(agent.Agent) bool { return true },
		ref:    func(a agent.Agent) agent.RoleRef { return a.RuntimeRole },
		name:   naming.RuntimeRole,
	}
	buildRole = kind{
		field: "codebuild.execution_role", service: codeBuildService,
		needed: func(a agent.Agent) bool { return a.Deployment == agent.Container },
		ref:    func(a agent.Agent) agent.RoleRef { return a.BuildRole },
		name:   naming.BuildRole,
	}
)

// nobody owns the role of an agent that needs none.
const nobody = -1

// assignment says whose role an agent uses: its own or a sibling's by index, or
// one that is not Rolekeeper's.
type assignment struct {
	owner    int
	external *ExternalRole
}

// assign gives the assignment of every agent. A sibling whose role is used must
// use it itself: otherwise nobody would keep it.
func (c *computation) assign(k kind) []assignment {
	owners := map[string]int{}
	for i, a := range c.cfg.Agents {
		owners[at{c.env.Place}.role(k.name(c.env.Region, a.Name))] = i
	}
	out := make([]assignment, len(c.cfg.Agents))
	for i, a := range c.cfg.Agents {
		ref := k.ref(a)
		// The whole ARN is compared: a role of our name with a path is another.
		owner, ours := owners[ref.ARN]
		switch {
		case !k.needed(a):
			out[i].owner = nobody
		case ref.ARN == "":
			out[i].owner = i
		case ours:
			out[i].owner = owner
		default:
			hash, _ := naming.RoleHash(c.env.Region, ref.Name)
			out[i] = assignment{nobody, &ExternalRole{
				ARN: ref.ARN, Name: ref.Name, Service: k.service, Field: k.field, Hash: hash,
			}}
		}
	}
	for i, r := range out {
		if r.owner == nobody || out[r.owner].owner == r.owner {
			continue
		}
		a, sibling := c.cfg.Agents[i], c.cfg.Agents[r.owner].Name
		c.problems = append(c.problems, a.Problem("role-sibling-unmanaged", k.field,
			fmt.Sprintf("this is the role that Rolekeeper would make for agent %q, but that agent does not use it, so nobody keeps it", sibling),
			fmt.Sprintf("name the role that agent %q uses, or leave the field empty to get a role of its own", sibling)))
	}
	return out
}

// users gives the agents that use the owner's role, the owner first.
func users(assigned []assignment, owner int) []int {
	out := []int{owner}
	for i, r := range assigned {
		if r.owner == owner && i != owner {
			out = append(out, i)
		}
	}
	return out
}

// runtime gives the runtime role of agent i, which grants what all its users need.
func (c *computation) runtime(i int, users []int) *model.Role {
	a := c.cfg.Agents[i]
	grants := map[string][]policy.Statement{}
	add := func(name string, statements []policy.Statement) {
		if len(statements) > 0 {
			grants[name] = append(grants[name], statements...)
		}
	}
	for _, u := range users {
		user := c.cfg.Agents[u]
		if c.env.Profile == Toolkit {
			add(naming.RuntimePolicy(a.Name), toolkitRuntime(user, c.env))
			add(naming.IdentityPolicy, toolkitIdentity(user, c.env))
			add(naming.JWTPolicy, toolkitJWT(user))
		} else {
			add(naming.RuntimePolicy(a.Name), scopedRuntime(user, c.others(u), c.env))
		}
	}
	return c.role(a, runtimeRole.field, model.Role{
		Kind:        model.RuntimeRole,
		Name:        naming.RuntimeRole(c.env.Region, a.Name),
		Description: "Execution role for BedrockAgentCore Runtime - " + a.Name,
		Trust:       runtimeTrust(c.env.Place),
	}, grants)
}

// build gives the build role of agent i, for the projects of all its users.
func (c *computation) build(i int, users []int) *model.Role {
	a := c.cfg.Agents[i]
	grants := map[string][]policy.Statement{}
	var projects []string // that alone may use the role, where it is bound to any
	for _, u := range users {
		user := c.cfg.Agents[u]
		statements := toolkitBuild
		if c.env.Profile != Toolkit {
			statements = scopedBuild
			projects = append(projects, at{c.env.Place}.project(naming.Project(user.Name)))
		}
		grants[naming.BuildPolicy] = append(grants[naming.BuildPolicy], statements(user, c.env)...)
	}
	return c.role(a, buildRole.field, model.Role{
		Kind:        model.BuildRole,
		Name:        naming.BuildRole(c.env.Region, a.Name),
		Description: "CodeBuild execution role for Bedrock AgentCore ARM64 builds",
		Trust:       buildTrust(c.env.Place, projects),
	}, grants)
}

// role completes r with what all roles have and checks it against IAM's limits.
func (c *computation) role(a agent.Agent, field string, r model.Role, grants map[string][]policy.Statement) *model.Role {
	r.Agent = a.Name
	r.ARN = at{c.env.Place}.role(r.Name)
	r.MaxSessionDuration = maxSession
	r.PermissionsBoundary = c.env.PermissionsBoundary
	r.Tags = c.tags(a)
	r.Policies = make(map[string]policy.Document, len(grants))
	for name, statements := range grants {
		r.Policies[name] = policy.New(policy.Merge(statements)...)
	}
	c.problems = append(c.problems, limits(a, field, r)...)
	return &r
}

// tags gives the tags of what is made for an agent.
func (c *computation) tags(a agent.Agent) map[string]string {
	return map[string]string{
		model.TagConfig:   c.env.ConfigKey,
		model.TagAgent:    a.Name,
		model.TagTemplate: strconv.Itoa(model.TemplateVersion),
	}
}

// others gives the names of the other agents of the config.
func (c *computation) others(i int) []string {
	var names []string
	for j, a := range c.cfg.Agents {
		if j != i {
			names = append(names, a.Name)
		}
	}
	return names
}

func (c *computation) notes(i int, runtime, build []assignment) []string {
	a := c.cfg.Agents[i]
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	for _, k := range []struct {
		word     string
		assigned []assignment
	}{{"runtime", runtime}, {"build", build}} {
		switch r := k.assigned[i]; {
		case r.external != nil:
			note("The %s role %s is not Rolekeeper's: it is checked and never changed, and its permissions are its owner's to keep.",
				k.word, r.external.ARN)
		case r.owner == nobody:
		case r.owner != i:
			note("The %s role is that of agent %q, which also grants what this agent needs.", k.word, c.cfg.Agents[r.owner].Name)
		default:
			if sharers := users(k.assigned, i)[1:]; len(sharers) > 0 {
				note("The %s role is shared with %s: each of them may do what any of them needs.", k.word, c.quoted(sharers))
			}
		}
	}
	if build[i].external != nil {
		note("No CodeBuild project is made and no build is started for this agent, since Rolekeeper hands CodeBuild no role but those it keeps: "+
			"leave %s empty to have images built, or push them to the repository yourself.", buildRole.field)
	}
	if runtime[i].external == nil {
		notes = append(notes, c.grantNotes(a)...)
	}
	return notes
}

// grantNotes tells what the agent's runtime role does not grant although one
// might expect it.
func (c *computation) grantNotes(a agent.Agent) []string {
	var notes []string
	p := a.Permissions
	if c.env.Profile == Toolkit {
		if p.Browser || p.IdentityTokens || len(p.BaseImages) > 0 {
			notes = append(notes, "Profile toolkit grants what the starter toolkit grants and nothing more: "+
				"browser, identity_tokens and base_images of the permissions block have no effect.")
		}
		return notes
	}
	if len(p.Models) == 0 {
		notes = append(notes, "No model is granted: name those the agent calls in permissions.models, "+
			"for example [anthropic.claude-sonnet-4-20250514-v1:0].")
	}
	if a.A2A && len(c.cfg.Agents) == 1 {
		notes = append(notes, "The protocol is A2A, but the config has no other agent that this one could call.")
	}
	return notes
}

func (c *computation) quoted(agents []int) string {
	names := make([]string, 0, len(agents))
	for _, i := range agents {
		names = append(names, strconv.Quote(c.cfg.Agents[i].Name))
	}
	return strings.Join(names, ", ")
}
