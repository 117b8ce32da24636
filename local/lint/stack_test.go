package lint_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/lint"
	"rolekeeper/local/mototest"
	"rolekeeper/local/stack"
	"rolekeeper/shared/policy"
)

// holders gives who holds policies of the stack itself: functions, schedules, and
// people by the managed policies that are made for them.
func holders(t *testing.T) []subject {
	t.Helper()
	parameters := map[string]string{"TeamTag": "team", "OperatorPrincipalArns": "arn:aws:iam::123456789012:role/operator"}
	template, err := stack.Translate(t.Context(), mototest.Venv(t), "../../template.yaml", "us-east-1", parameters)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Resolve(template, stack.Place{Name: "rolekeeper", Account: "123456789012", Region: "us-east-1", Partition: "aws"}, parameters)
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string][]json.RawMessage{}
	for name, f := range s.Functions {
		for _, d := range f.Policies {
			documents[name] = append(documents[name], d)
		}
	}
	for _, schedule := range s.Schedules {
		for _, d := range schedule.Policies {
			documents["schedule"] = append(documents["schedule"], d)
		}
	}
	for name, id := range map[string]string{"developer": "DeveloperPolicy", "operator": "OperatorPolicy"} {
		d, err := json.Marshal(s.Resources[id].Properties["PolicyDocument"])
		if err != nil {
			t.Fatal(err)
		}
		documents[name] = append(documents[name], d)
	}
	if len(documents) != 7 {
		t.Fatalf("%d hold policies of the stack, want four functions, the schedules, developers and operators", len(documents))
	}
	var all []subject
	for name, texts := range documents {
		one := subject{kind: name}
		for _, text := range texts {
			p, err := policy.Parse(string(text))
			if err != nil {
				t.Fatalf("a policy of %s: %v", name, err)
			}
			one.policies = append(one.policies, p)
		}
		all = append(all, one)
	}
	return all
}

// What linters have against the stack's own policies. docs/permissions.md has
// what they say of agents' roles.
func TestLintersFindNothingInTheStackThatIsNotArgued(t *testing.T) {
	argued := map[finding]bool{}
	for _, a := range []struct {
		tool, finding string
		in, about     []string
		why           string
	}{
		{
			"prowler", "iam:PutRolePolicy", []string{"reconcile"}, []string{"iam:putrolepolicy"},
			"it is what reconcile is for: on roles of two name patterns that carry the boundary, which has no iam and no sts:AssumeRole",
		},
		{"prowler", "iam:UpdateAssumeRolePolicy", []string{"reconcile"}, []string{"iam:updateassumerolepolicy"}, "as above"},
		{
			"prowler", "PutRolePolicy+UpdateAssumeRolePolicy", []string{"reconcile"}, []string{"iam:putrolepolicy", "iam:updateassumerolepolicy"},
			"as above: not on its own role, by a denial",
		},
		{
			"prowler", "iam:AttachRolePolicy", []string{"reconcile"}, []string{"iam:attachrolepolicy"},
			"a role that is restored, or whose deletion is called off, has again what it had; the boundary holds for attached policies, too",
		},
		{
			"prowler", "AttachRolePolicy+UpdateAssumeRolePolicy", []string{"reconcile"}, []string{"iam:attachrolepolicy", "iam:updateassumerolepolicy"},
			"as above: not on its own role, by a denial",
		},
		{
			"prowler", "PassRole+CodeBuildCreateProject+StartBuild", []string{"reconcile"}, []string{"iam:passrole", "codebuild:createproject", "codebuild:startbuild"},
			"it is how images are built: only roles of the build roles' name pattern are passed, and only to CodeBuild; what they grant the boundary bounds, and reconcile could write it anyway",
		},
		{
			"prowler", "CodeBuildStartBuild", []string{"reconcile"}, []string{"codebuild:startbuild"},
			"as above: on projects of one name pattern; nobody else has it of the stack's own policies",
		},
		{
			"parliament", "UNKNOWN_CONDITION_FOR_ACTION", []string{"reconcile"},
			[]string{
				"unknown condition iam:permissionsboundary for action iam:deleterole",
				"unknown condition iam:permissionsboundary for action iam:updateassumerolepolicy",
				"unknown condition iam:permissionsboundary for action iam:updaterole",
			},
			"parliament's data is older than the condition: docs/adr/boundary-condition.md",
		},
		{
			"parliament", "MISMATCHED_TYPE_BUT_USABLE", []string{"reconcile"}, []string{"type mismatch: stringequals requires a value of type string but given arn"},
			"iam:PermissionsBoundary is compared with one whole ARN: StringEquals takes no pattern, so it is the narrower operator",
		},
		{
			"parliament", "INVALID_ARN", []string{"reconcile", "operator"}, []string{"arn:aws:iam::aws:policy/*"},
			"managed policies of AWS have the account aws",
		},
		{
			"parliament", "INVALID_ARN", []string{"slrwatch"},
			[]string{
				"arn:aws:iam::aws:policy/aws-service-role/awsbedrockagentcoregatewaynetworkservicerolepolicy",
				"arn:aws:iam::aws:policy/aws-service-role/awsbedrockagentcoreidentitynetworkservicerolepolicy",
				"arn:aws:iam::aws:policy/aws-service-role/awsbedrockagentcoreruntimeinstancesservicerolepolicy",
				"arn:aws:iam::aws:policy/aws-service-role/bedrockagentcorenetworkservicerolepolicy",
				"arn:aws:iam::aws:policy/aws-service-role/bedrockagentcoreruntimeidentityservicerolepolicy",
			},
			"as above",
		},
		{
			"parliament", "RESOURCE_MISMATCH", []string{"slrwatch"}, []string{"iam:generateservicelastaccesseddetails"},
			"parliament wants a group, a policy, a role and a user at once, as the Service Authorization Reference lists the types; a call names one of them, and here it is a role",
		},
		{
			"parliament", "PERMISSIONS_MANAGEMENT_ACTIONS", []string{"developer"}, []string{"iam:passrole"},
			"of runtime roles, to AgentCore, as CreateAgentRuntime needs it",
		},
		{
			"parliament", "UNKNOWN_PREFIX", []string{"developer", "drift", "operator", "reconcile", "slrwatch"}, []string{"bedrock-agentcore"},
			"parliament's data is older than the service; TestActionsThatAreUnknownToALinterExist",
		},
	} {
		for _, in := range a.in {
			for _, about := range a.about {
				argued[finding{a.tool, a.finding, in, about}] = true
			}
		}
		if a.why == "" {
			t.Errorf("no argument: %+v", a)
		}
	}
	ways, err := lint.Escalations()
	if err != nil {
		t.Fatal(err)
	}
	all := holders(t)
	found := map[finding]bool{}
	for _, f := range scan(t, all) {
		found[f.plain()] = true
	}
	for _, s := range all {
		for _, way := range lint.Open(ways, s.policies) {
			for _, action := range way.Actions {
				found[finding{way.Tool, way.Name, s.kind, action}.plain()] = true
			}
		}
	}
	if diff := cmp.Diff(argued, found); diff != "" {
		t.Errorf("findings (-argued +found):\n%s", diff)
	}
}
