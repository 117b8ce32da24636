package desired

import "rolekeeper/shared/model"

// Roles gives the roles that Rolekeeper makes for the agent: runtime, then build.
func (a Agent) Roles() []model.Role {
	var roles []model.Role
	for _, r := range []*model.Role{a.RuntimeRole, a.BuildRole} {
		if r != nil {
			roles = append(roles, *r)
		}
	}
	return roles
}

// External is an external role with the agent that names it.
type External struct {
	Agent string
	Role  ExternalRole
}

// External gives the roles that the config names and Rolekeeper only checks.
func (s State) External() []External {
	var all []External
	for _, a := range s.Agents {
		for _, e := range []*ExternalRole{a.ExternalRuntimeRole, a.ExternalBuildRole} {
			if e != nil {
				all = append(all, External{a.Name, *e})
			}
		}
	}
	return all
}

// Agent gives what the agent of that name needs; the zero value when there is none.
func (s State) Agent(name string) Agent {
	for _, a := range s.Agents {
		if a.Name == name {
			return a
		}
	}
	return Agent{}
}

// RoleARN gives the ARN of a role of the account, at path "/".
func (e Env) RoleARN(name string) string { return at{e.Place}.role(name) }
