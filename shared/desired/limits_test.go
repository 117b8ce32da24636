package desired

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// A role at every limit is good; one step over any of them is a problem.
func TestIAMsLimitsAreCheckedBeforeAnyCall(t *testing.T) {
	// sized gives a document of exactly n characters.
	sized := func(n int) policy.Document {
		d := policy.New(allow("S", []string{"a:B"}, ""))
		d.Statements[0].Resources[0] = strings.Repeat("é", n-d.Size())
		if d.Size() != n {
			t.Fatalf("size %d, want %d", d.Size(), n)
		}
		return d
	}
	full := func() model.Role {
		r := model.Role{
			Name: strings.Repeat("n", 64), Description: strings.Repeat("é", 1000), Trust: sized(2048),
			Policies: map[string]policy.Document{strings.Repeat("p", 128): sized(6000), "q": sized(4240)},
			Tags:     map[string]string{strings.Repeat("k", 128): strings.Repeat("é", 256), "a": "az 09_.:/=+-@"},
		}
		for len(r.Tags) < 50 {
			r.Tags[fmt.Sprint("t", len(r.Tags))] = ""
		}
		return r
	}
	cases := map[string]struct {
		change func(*model.Role)
		want   []string
	}{
		"at every limit":               {func(*model.Role) {}, nil},
		"a long name":                  {func(r *model.Role) { r.Name += "n" }, []string{"role-name-too-long"}},
		"a long description":           {func(r *model.Role) { r.Description += "n" }, []string{"description-too-long"}},
		"a large trust":                {func(r *model.Role) { r.Trust = sized(2049) }, []string{"trust-too-large"}},
		"policies too large together":  {func(r *model.Role) { r.Policies["q"] = sized(4241) }, []string{"policy-too-large"}},
		"a long policy name":           {func(r *model.Role) { r.Policies = map[string]policy.Document{strings.Repeat("p", 129): {}} }, []string{"policy-name-too-long"}},
		"many tags":                    {func(r *model.Role) { r.Tags["x"] = "" }, []string{"too-many-tags"}},
		"a long tag key":               {func(r *model.Role) { r.Tags = map[string]string{strings.Repeat("k", 129): ""} }, []string{"tag-invalid"}},
		"a long tag value":             {func(r *model.Role) { r.Tags["a"] = strings.Repeat("v", 257) }, []string{"tag-invalid"}},
		"a tag value with a star":      {func(r *model.Role) { r.Tags["a"] = "*" }, []string{"tag-invalid"}},
		"a tag value with a line feed": {func(r *model.Role) { r.Tags["a"] = "a\n" }, []string{"tag-invalid"}},
		"two faults at once": {func(r *model.Role) {
			r.Name += "n"
			r.Tags["a"] = "*"
		}, []string{"role-name-too-long", "tag-invalid"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := full()
			c.change(&r)
			var got []string
			for _, p := range limits(agent.Agent{Name: "a"}, "aws.execution_role", r) {
				got = append(got, p.Code)
				if p.Severity != fault.SeverityError || p.Agent != "a" || p.Message == "" || p.Fix == "" {
					t.Errorf("problem %+v", p)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPolicyThatIsTooLargeNamesWhatMakesItSo(t *testing.T) {
	place := agent.Place{Partition: "aws", Region: "us-west-2", Account: "123456789012"}
	long := func(n int) string { return fmt.Sprint(strings.Repeat("x", 100), n) }
	cases := map[string]struct {
		change func(*agent.Agent)
		field  string
	}{
		"models": {func(a *agent.Agent) {
			for n := range 100 {
				a.Permissions.Models = append(a.Permissions.Models, agent.Model{FoundationModel: long(n)})
			}
		}, "permissions.models"},
		"models through profiles": {func(a *agent.Agent) {
			for n := range 60 {
				a.Permissions.Models = append(a.Permissions.Models, agent.Model{FoundationModel: long(n), InferenceProfile: "us." + long(n)})
			}
		}, "permissions.models"},
		"base images": {func(a *agent.Agent) {
			for n := range 100 {
				a.Permissions.BaseImages = append(a.Permissions.BaseImages, long(n))
			}
		}, "permissions.base_images"},
		"credential providers": {func(a *agent.Agent) {
			for n := range 50 {
				a.Providers = append(a.Providers, agent.CredentialProvider{Name: long(n), ARN: long(n), Kind: agent.OAuth2Provider})
			}
		}, "identity.credential_providers"},
		"audiences": {func(a *agent.Agent) {
			a.JWT = &agent.JWT{Audiences: []string{strings.Repeat("x", 5000)}}
		}, "aws_jwt.audiences"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := agent.Agent{Name: "a", Deployment: agent.Container}
			c.change(&a)
			_, problems := Compute(agent.Config{Agents: []agent.Agent{a}}, Env{Place: place, ConfigKey: "configs/a"})
			if len(problems) != 1 || problems[0].Code != "policy-too-large" || problems[0].Field != c.field {
				t.Errorf("problems %v, want one policy-too-large of %s", problems, c.field)
			}
		})
	}
	t.Run("calls to many agents", func(t *testing.T) {
		var cfg agent.Config
		for n := range 100 {
			cfg.Agents = append(cfg.Agents, agent.Agent{Name: fmt.Sprintf("agent%045d", n), Deployment: agent.DirectCode, A2A: n == 7})
		}
		_, problems := Compute(cfg, Env{Place: place, ConfigKey: "configs/a"})
		if len(problems) != 1 || problems[0].Agent != cfg.Agents[7].Name || problems[0].Field != "aws.protocol_configuration.server_protocol" {
			t.Errorf("problems %v", problems)
		}
	})
}

// A trust names the project of every agent that shares the role.
func TestABuildRoleThatTooManyShareIsAProblemOfItsOwner(t *testing.T) {
	place := agent.Place{Partition: "aws", Region: "us-west-2", Account: "123456789012"}
	shared := func(agents int, profile Profile) []fault.Problem {
		var cfg agent.Config
		for n := range agents {
			a := agent.Agent{Name: fmt.Sprintf("agent%043d", n), Deployment: agent.Container}
			if n > 0 {
				name := naming.BuildRole(place.Region, cfg.Agents[0].Name)
				a.BuildRole = agent.RoleRef{ARN: at{place}.role(name), Name: name}
			}
			cfg.Agents = append(cfg.Agents, a)
		}
		_, problems := Compute(cfg, Env{Place: place, Profile: profile, SourceBucket: "b", ConfigKey: "configs/a"})
		return problems
	}
	if problems := shared(12, Scoped); len(problems) > 0 {
		t.Errorf("problems %v, want none of 12 agents", problems)
	}
	problems := shared(16, Scoped)
	if len(problems) != 1 || problems[0].Code != "trust-too-large" || problems[0].Agent != fmt.Sprintf("agent%043d", 0) ||
		problems[0].Field != "codebuild.execution_role" || !strings.Contains(problems[0].Fix, "roles of their own") {
		t.Errorf("problems %v, want one of a trust that is too large", problems)
	}
	if problems := shared(16, Toolkit); len(problems) > 0 {
		t.Errorf("problems %v, want none: the toolkit's trust names no project", problems)
	}
}

func TestALongRegionLeavesNoRoomForARoleName(t *testing.T) {
	in := agent.Place{Partition: "aws", Region: strings.Repeat("r", 19), Account: "123456789012"}
	_, problems := Compute(agent.Config{Agents: []agent.Agent{{Name: "a", Deployment: agent.Container}}}, Env{Place: in})
	if len(problems) != 1 || problems[0].Code != "role-name-too-long" {
		t.Errorf("problems %v, want the build role's name only", problems)
	}
}

// The largest agent that a config can describe must not be refused.
func TestTheLargestSingleAgentFits(t *testing.T) {
	in := agent.Place{Partition: "aws-iso-f", Region: "us-isof-south-1", Account: "123456789012"}
	name := strings.Repeat("x", 48)
	a := agent.Agent{Name: name, Deployment: agent.Container, A2A: true, MemoryID: strings.Repeat("m", 101) + "-AbCdEf1234"}
	cfg := agent.Config{Agents: []agent.Agent{a, {Name: "b", Deployment: agent.DirectCode}}}
	for _, profile := range []Profile{Toolkit, Scoped} {
		if _, problems := Compute(cfg, Env{Place: in, Profile: profile, SourceBucket: strings.Repeat("b", 63), ConfigKey: strings.Repeat("k", 200)}); len(problems) > 0 {
			t.Errorf("%s: %v", profile, problems)
		}
	}
}
