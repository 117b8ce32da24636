package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

const retiredKey = "configs/retired/solo.yaml"

// strays is an account with roles that the toolkit made of an agent that no config
// has.
func strays(t *testing.T) *deployed {
	t.Helper()
	w := deploy(t)
	w.byToolkit("solo", agent.Container)
	return w
}

// describe has a role described as the toolkit does.
func (w *deployed) describe(name, description string) {
	w.t.Helper()
	session := int32(3600)
	w.must(w.admin().UpdateRole(w.t.Context(), &iam.UpdateRoleInput{RoleName: &name, Description: &description, MaxSessionDuration: &session}))
}

// claim has the roles of an agent claimed by a config.
func (w *deployed) claim(agent, config string) {
	w.t.Helper()
	w.put(w.t, naming.RoleClaimKey(agent), `{"v":1,"config":"`+config+`","agent":"`+agent+`","runtimeRoleId":"AROA1"}`)
}

func TestAnOperatorHasRolesRetiredThatNoConfigAsksFor(t *testing.T) {
	described := func(w *deployed) {
		w.describe(runtimeRole("solo"), "Execution role for BedrockAgentCore Runtime - solo")
	}
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		role    string // the runtime role when empty
		args    []string
		config  string
		golden  string
	}{
		"by the toolkit's description":    {described, "", nil, retiredKey, "retire.txt"},
		"by the other role's description": {described, buildRole("solo"), nil, retiredKey, "retire.txt"},
		"by ARN":                          {described, "arn:aws:iam::123456789012:role/" + runtimeRole("solo"), nil, retiredKey, "retire.txt"},
		"by name":                         {nil, "", []string{"--agent=solo"}, retiredKey, ""},
		"of a config that is named":       {described, "", []string{"--config=team/agent.yaml"}, teamKey, ""},
		"of a config without the agent":   {func(w *deployed) { described(w); w.upload(teamKey, direct("other")) }, "", []string{"--config", teamKey}, teamKey, ""},
		"by tags": {func(w *deployed) {
			w.tag(buildRole("solo"), model.TagAgent, "solo")
			w.tag(runtimeRole("solo"), model.TagConfig, teamKey)
		}, "", nil, teamKey, ""},
		"by tags, of which some are forged": {func(w *deployed) {
			described(w)
			w.tag(runtimeRole("solo"), model.TagAgent, "other")
			w.tag(runtimeRole("solo"), model.TagConfig, "elsewhere")
		}, "", nil, retiredKey, ""},
		"by a claim": {func(w *deployed) { w.claim("solo", teamKey); w.UseRole(runtimeRole("solo"), at(9)) }, "", nil, teamKey, "retire-claimed.txt"},
		"by a claim, whatever the tags": {func(w *deployed) {
			w.claim("solo", teamKey)
			w.tag(runtimeRole("solo"), model.TagConfig, "configs/other.yaml")
		}, "", nil, teamKey, ""},
		"by a claim of the config that is named": {func(w *deployed) { w.claim("solo", teamKey) }, "", []string{"--config", teamKey}, teamKey, ""},
		"of an agent that was retired once": {func(w *deployed) {
			described(w)
			w.answered(retiredKey, status.Agent{Name: "solo", Phase: status.PhaseRetired})
		}, "", nil, retiredKey, ""},
		"of which there is but the runtime role": {func(w *deployed) { described(w); w.deleteRole(buildRole("solo")) }, "", nil, retiredKey, ""},
		"of which there is but the build role":   {func(w *deployed) { w.deleteRole(runtimeRole("solo")) }, buildRole("solo"), []string{"--agent=solo"}, retiredKey, ""},
		"though the answer has other agents, too": {func(w *deployed) {
			described(w)
			w.answered(retiredKey, status.Agent{Name: "other", Phase: status.PhaseRetiring})
		}, "", nil, retiredKey, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := strays(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			var roles []model.ObservedRole
			for _, name := range []string{runtimeRole("solo"), buildRole("solo")} {
				if w.there(name) {
					roles = append(roles, w.role(name))
				}
			}
			w.ForgetCalls()
			w.terminal, w.stdin = true, "yes\n"
			if c.role == "" {
				c.role = runtimeRole("solo")
			}
			got := w.run(t, append([]string{"retire", c.role, "--wait=false"}, c.args...)...)
			if got.code != exitGood {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
			if c.golden != "" {
				golden(t, c.golden, got.stdout)
			}
			if put := []string{"s3:PutObject " + w.bucket + "/" + naming.RequestKey(c.config, requestID)}; !slices.Equal(w.wrote(), put) {
				t.Errorf("the tool wrote %q, want %q", w.wrote(), put)
			}
			r, want := w.asked(), plan.RetireHash(c.config, "solo", roles)
			if r.Action != model.Retire || r.Config != c.config || len(r.Plans) != 1 || r.Plans["solo"] != want || r.By != operatorARN {
				t.Errorf("request %+v, want plan %s for %s", r, want, c.config)
			}
		})
	}
}

// answered leaves an answer to a config.
func (w *deployed) answered(key string, agents ...status.Agent) {
	w.t.Helper()
	s := ready(key)
	s.Agents = agents
	w.answer(w.t, s)
}

func TestNoRolesAreRetiredThatAConfigHas(t *testing.T) {
	phase := func(a status.Agent) func(w *deployed) {
		return func(w *deployed) {
			a.Name, a.RuntimeRoleARN = "solo", "arn"
			w.answered(retiredKey, a)
		}
	}
	ours := func(w *deployed) {
		w.deleteRole(runtimeRole("solo"))
		w.upload(teamKey, direct("solo"))
	}
	for name, c := range map[string]struct {
		prepare func(w *deployed)
		args    []string // retire the runtime role of solo when nil
		code    int
		want    string
	}{
		"by its claim":                  {ours, nil, exitProblems, teamKey + " has agent solo: remove the agent from the config"},
		"by its name":                   {func(w *deployed) { w.put(w.t, teamKey, direct("solo")) }, []string{"--agent=solo", "--config", teamKey}, exitProblems, "`rolekeeper adopt " + teamKey + " solo`"},
		"and that is refused":           {func(w *deployed) { w.claim("solo", teamKey); w.put(w.t, teamKey, "agents: {}") }, nil, exitProblems, "[config-no-agents]"},
		"and that another config holds": {func(w *deployed) { w.claim("solo", teamKey) }, []string{"--config=other.yaml"}, exitError, "the roles of agent solo are claimed by " + teamKey + ": leave out --config"},
		"and that go already":           {phase(status.Agent{Phase: status.PhaseRetiring, RetireAfter: at(20)}), []string{"--agent=solo"}, exitGood, "nothing to ask for: agent solo of " + retiredKey + " is retiring; its roles are deleted after 2026-11-22T20:00:00Z"},
		"and that are quarantined":      {phase(status.Agent{Phase: status.PhaseQuarantined, DeleteAfter: at(20), RetirementID: "1"}), []string{"--agent=solo"}, exitGood, "is quarantined; "},
		"and that are held":             {phase(status.Agent{Phase: status.PhaseHeld}), []string{"--agent=solo"}, exitProblems, "`rolekeeper release " + retiredKey + " solo` has its roles go"},

		"of an agent of another name":     {nil, []string{"--agent=other"}, exitError, `is not named after agent "other": its hash is ` + naming.Hash("solo") + ", and the name gives " + naming.Hash("other")},
		"of an agent that nobody knows":   {nil, []string{}, exitError, "pass --agent"},
		"of a config of no such key":      {nil, []string{"--agent=solo", "--config=a b"}, exitError, "config key"},
		"by a claim that is damaged":      {func(w *deployed) { w.put(w.t, naming.RoleClaimKey("solo"), "{") }, nil, exitError, naming.RoleClaimKey("solo") + ": claim: "},
		"that are not there":              {func(w *deployed) { w.deleteRole(runtimeRole("solo")) }, nil, exitError, "there is no role " + runtimeRole("solo") + " in account 123456789012"},
		"that cannot be read":             {func(w *deployed) { w.Before = denyRole(buildRole("solo")) }, nil, exitError, "AccessDenied"},
		"by a claim that may not be read": {func(w *deployed) { w.DenyList(w.bucket, operator) }, nil, exitError, "AccessDenied"},
		"while requests are off":          {func(w *deployed) { w.parameters["OperatorPrincipalArns"] = []string{""} }, []string{"--agent=solo"}, exitError, "requests are off"},
		"with no time":                    {nil, []string{"--agent=solo", "--expires-in=0s"}, exitError, "--expires-in"},
	} {
		t.Run(name, func(t *testing.T) {
			w := strays(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			w.ForgetCalls()
			got := w.run(t, append([]string{"retire", runtimeRole("solo"), "--yes"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) || len(w.wrote()) > 0 {
				t.Errorf("exit code %d, wrote %q; %q is not in\n%s%s", got.code, w.wrote(), c.want, got.stdout, got.stderr)
			}
		})
	}
	w := strays(t)
	w.createRole(runtimeRole("not-one"), lambdaTrust)
	if got := w.run(t, "retire", runtimeRole("not-one"), "--agent=not-one", "--yes"); got.code != exitError || !strings.Contains(got.stderr, `--agent: no agent can be called "not-one"`) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if got := w.run(t, "retire", "Mine"); got.code != exitError || !strings.Contains(got.stderr, `"Mine" is no role of an agent in us-east-1`) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

// run itself fails on what is not for terminals.
func TestNothingOfARoleToRetireCommandsTheTerminal(t *testing.T) {
	const hostile = "\x1b[31m\u202e\nall is well"
	w := strays(t)
	w.describe(runtimeRole("solo"), hostile)
	w.tag(runtimeRole("solo"), "mine", hostile)
	got := w.run(t, "retire", runtimeRole("solo"), "--agent=solo", "--yes", "--wait=false")
	if got.code != exitGood || strings.Contains(got.stdout, "\nall is well") || strings.Count(got.stdout, "all is well") != 2 {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}
