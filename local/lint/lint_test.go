package lint_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/lint"
	"rolekeeper/local/simulate"
	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// tool gives a program of a virtual environment that make tools installs.
// Without it the test is skipped, or fails when ROLEKEEPER_FULL=1.
func tool(t *testing.T, path string) string {
	t.Helper()
	path = filepath.Join("..", "..", ".venv", path)
	if _, err := os.Stat(path); err != nil {
		missing(t, "the linters of policies are not installed; run make tools")
	}
	return path
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("ROLEKEEPER_FULL") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// subject is a principal, or a boundary, with its policies.
type subject struct {
	kind     string // as docs/permissions.md calls it
	role     string // name of the role and the file it is rendered from
	policies []policy.Document
}

// subjects renders all roles of the sample configs, in both profiles, in the
// scoped one also for a team's config, and the boundary.
func subjects(t *testing.T) []subject {
	t.Helper()
	var files []string
	for _, pattern := range []string{"testdata/*.yaml", "../../shared/agent/testdata/*.yaml", "../../shared/agent/testdata/wild/*.yaml"} {
		more, err := filepath.Glob(pattern)
		if err != nil || more == nil {
			t.Fatalf("samples %s: %v, %v", pattern, more, err)
		}
		files = append(files, more...)
	}
	place := agent.Place{Partition: "aws", Account: "123456789012", Region: "us-east-1"}
	bucket := naming.SourceBucket(place.Account, place.Region)
	all := []subject{{kind: "boundary", policies: []policy.Document{desired.Boundary(place, bucket)}}}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, env := range []desired.Env{
			{Profile: desired.Scoped, ConfigKey: "configs/a.yaml"},
			{Profile: desired.Scoped, ConfigKey: "configs/team/a.yaml", TeamTag: "team"},
			{Profile: desired.Toolkit, ConfigKey: "configs/a.yaml"},
		} {
			env.Place = place
			all = append(all, render(t, file, data, env)...)
		}
	}
	return all
}

// render gives the roles of one config, in the account and region that it names.
// One that is refused has none.
func render(t *testing.T, file string, data []byte, env desired.Env) []subject {
	t.Helper()
	if accounts, regions, _ := agent.Declared(data); len(accounts) == 1 && len(regions) == 1 {
		env.Place.Account, env.Place.Region = accounts[0], regions[0]
	}
	config, problems := agent.Parse(data, env.Place)
	if fault.Blocks(problems) {
		return nil
	}
	env.SourceBucket = naming.SourceBucket(env.Place.Account, env.Place.Region)
	state, problems := desired.Compute(config, env)
	if fault.Blocks(problems) {
		t.Fatalf("%s: %v", file, problems)
	}
	var out []subject
	for _, a := range state.Agents {
		for _, r := range a.Roles() {
			s := subject{kind: string(r.Kind) + " " + string(env.Profile), role: r.Name + " of " + file}
			for _, name := range slices.Sorted(maps.Keys(r.Policies)) {
				s.policies = append(s.policies, r.Policies[name])
			}
			out = append(out, s)
		}
	}
	return out
}

// finding is what a linter has against a kind of policies.
type finding struct {
	Tool    string `json:"tool"`
	Finding string `json:"finding"`
	Subject string `json:"subject"`
	About   string `json:"about"` // the action, or what the tool says where it names none
}

// plain spells the finding as the table does: of a service that parliament
// does not know the prefix is enough.
func (f finding) plain() finding {
	if f.Finding == "UNKNOWN_PREFIX" {
		f.About, _, _ = strings.Cut(f.About, ":")
	}
	f.About = strings.ToLower(f.About) // parliament gives some actions so
	return f
}

// accepted reads the findings that docs/permissions.md argues.
func accepted(t *testing.T, heading string) []finding {
	t.Helper()
	data, err := os.ReadFile("../../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(data), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/permissions.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := regexp.MustCompile("`([^`]+)`")
	var all []finding
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[1], "`") {
			continue
		}
		if strings.TrimSpace(cells[5]) == "" {
			t.Errorf("no argument: %s", line)
		}
		for _, in := range strings.Split(cells[3], ",") {
			for _, about := range quoted.FindAllStringSubmatch(cells[4], -1) {
				all = append(all, finding{strings.Trim(cells[1], " `"), strings.Trim(cells[2], " `"), strings.TrimSpace(in), about[1]}.plain())
			}
		}
	}
	return all
}

// compare holds that findings and arguments are the same, by one set of tools.
func compare(t *testing.T, found []finding, tools ...string) {
	t.Helper()
	open := map[finding]bool{}
	for _, f := range found {
		open[f.plain()] = true
	}
	argued := map[finding]bool{}
	for _, f := range accepted(t, "What linters say") {
		if slices.Contains(tools, f.Tool) {
			if argued[f] {
				t.Errorf("argued twice: %+v", f)
			}
			argued[f] = true
		}
	}
	if diff := cmp.Diff(argued, open); diff != "" {
		t.Errorf("findings (-argued in docs/permissions.md +found):\n%s", diff)
	}
}

func TestNoRenderedRoleCanEscalate(t *testing.T) {
	ways, err := lint.Escalations()
	if err != nil {
		t.Fatal(err)
	}
	var found []finding
	for _, s := range subjects(t) {
		for _, way := range lint.Open(ways, s.policies) {
			for _, action := range way.Actions {
				found = append(found, finding{way.Tool, way.Name, s.kind, action})
			}
		}
	}
	// All policies of a role together, which the linters do not look at.
	compare(t, found, "prowler", "parliament's list")
}

func TestEscalationsAreFound(t *testing.T) {
	ways, err := lint.Escalations()
	if err != nil {
		t.Fatal(err)
	}
	allow := func(actions ...string) policy.Document {
		return policy.New(policy.Statement{Effect: policy.Allow, Actions: actions, Resources: []string{"*"}})
	}
	names := func(ways []lint.Escalation) []string {
		var out []string
		for _, w := range ways {
			out = append(out, w.Tool+" "+w.Name)
		}
		return out
	}
	const launch, launchToo = "prowler PassRole+EC2", "parliament's list CreateEC2WithExistingIP"
	cases := map[string]struct {
		policies []policy.Document
		want     []string
	}{
		"two actions of one statement":      {[]policy.Document{allow("iam:PassRole", "ec2:RunInstances")}, []string{launch, launchToo}},
		"two actions of two policies":       {[]policy.Document{allow("iam:PassRole"), allow("ec2:RunInstances")}, []string{launch, launchToo}},
		"an action in another case":         {[]policy.Document{allow("IAM:passrole", "EC2:runinstances")}, []string{launch, launchToo}},
		"actions by patterns":               {[]policy.Document{allow("iam:Pass*", "ec2:RunInstance?")}, []string{launch, launchToo}},
		"half of what is needed":            {[]policy.Document{allow("iam:PassRole")}, nil},
		"what does no harm":                 {[]policy.Document{allow("s3:GetObject", "logs:*")}, nil},
		"a statement that denies":           {[]policy.Document{policy.New(policy.Statement{Effect: policy.Deny, Actions: []string{"iam:*"}, Resources: []string{"*"}})}, nil},
		"everything":                        {[]policy.Document{allow("*")}, names(ways)},
		"everything but a harmless service": {[]policy.Document{policy.New(policy.Statement{Effect: policy.Allow, NotActions: []string{"s3:*"}, Resources: []string{"*"}})}, names(ways)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, names(lint.Open(ways, c.policies))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if len(ways) < 120 {
		t.Errorf("%d combinations are known, the two lists have more", len(ways))
	}
}

// scan asks parliament and cloudsplaining.
func scan(t *testing.T, all []subject) []finding {
	t.Helper()
	type request struct {
		Subject string          `json:"subject"`
		Policy  json.RawMessage `json:"policy"`
	}
	var requests []request
	for _, s := range all {
		for _, p := range s.policies {
			requests = append(requests, request{s.kind, json.RawMessage(p.JSON())})
		}
	}
	input, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), tool(t, "lint/bin/python"), "lint.py")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var found []finding
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLintersFindNothingThatIsNotArgued(t *testing.T) {
	compare(t, scan(t, subjects(t)), "parliament", "cloudsplaining")
}

func TestTheLintersAreAwake(t *testing.T) {
	cases := []struct{ tool, finding, action, resource, about string }{
		{"parliament", "PRIVILEGE_ESCALATION", "iam:CreateAccessKey", "*", "iam:createaccesskey"},
		{"parliament", "RESOURCE_STAR", "s3:GetObject", "*", "s3:getobject"},
		{"parliament", "RESOURCE_MISMATCH", "s3:GetObject", "arn:aws:s3:::b", "s3:getobject"},
		{"parliament", "UNKNOWN_ACTION", "s3:GetObjects", "*", "s3:getobjects"},
		{"parliament", "UNKNOWN_PREFIX", "s4:GetObject", "*", "s4"},
		{"parliament", "CREDENTIALS_EXPOSURE", "ecr:GetAuthorizationToken", "*", "ecr:getauthorizationtoken"},
		{"cloudsplaining", "PrivilegeEscalation", "iam:CreateAccessKey", "*", "createaccesskey"},
		{"cloudsplaining", "DataExfiltration", "s3:GetObject", "*", "s3:getobject"},
		{"cloudsplaining", "ResourceExposure", "ecr:SetRepositoryPolicy", "*", "ecr:setrepositorypolicy"},
		{"cloudsplaining", "ServiceWildcard", "s3:*", "arn:aws:s3:::b/*", "s3"},
		{"cloudsplaining", "CredentialsExposure", "ecr:GetAuthorizationToken", "*", "ecr:getauthorizationtoken"},
		{"cloudsplaining", "InfrastructureModification", "sqs:DeleteQueue", "*", "sqs:deletequeue"},
	}
	var all []subject
	want := map[finding]bool{}
	for _, c := range cases {
		kind := c.tool + " " + c.finding
		want[finding{c.tool, c.finding, kind, c.about}] = true
		grant := policy.Statement{Effect: policy.Allow, Actions: []string{c.action}, Resources: []string{c.resource}}
		// Nothing is hidden by an action that parliament does not know.
		unknown := policy.Statement{Effect: policy.Allow, Actions: []string{"bedrock-agentcore:GetMemory"}, Resources: []string{"*"}}
		all = append(all, subject{kind: kind, policies: []policy.Document{policy.New(unknown, grant)}})
	}
	for _, f := range scan(t, all) {
		delete(want, f.plain())
	}
	if len(want) > 0 {
		t.Errorf("not found: %+v", want)
	}
}

// parliament's data on AWS is older than AgentCore. What it does not know must
// be in the Service Authorization Reference that the simulator has.
func TestActionsThatAreUnknownToALinterExist(t *testing.T) {
	if !simulate.Installed("../simulate") {
		missing(t, "the IAM simulator is not installed; run make tools")
	}
	actions := map[string]bool{}
	for _, s := range append(subjects(t), holders(t)...) {
		for _, p := range s.policies {
			for _, st := range p.Statements {
				for _, a := range slices.Concat(st.Actions, st.NotActions) {
					actions[a] = true
				}
			}
		}
	}
	asked := []simulate.Request{{Action: "sts:GetWebIdentityTokens"}, {Action: "bedrock-agentcore:Invoke"}}
	for _, a := range slices.Sorted(maps.Keys(actions)) {
		asked = append(asked, simulate.Request{Action: a})
	}
	for i := range asked {
		asked[i].Resource, asked[i].Checked = "*", true
	}
	results, err := simulate.Run(t.Context(), "../simulate", asked)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if exists := !strings.Contains(r.Error, "invalid.action"); exists != (i > 1) {
			t.Errorf("%s exists: %v, %s", asked[i].Action, exists, r.Error)
		}
	}
}
