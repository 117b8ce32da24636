package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// A fleet that the toolkit made, and its source bucket, on a stack with teams and
// operators.
func TestTheToolkitsRolesAreTakenOver(t *testing.T) {
	// The message of a function that died comes back after 18 minutes.
	s := startWith(t, local.Options{TimeScale: 0.005, Parameters: map[string]string{
		"TeamTag": teamTag, "OperatorPrincipalArns": operatorARN, "SourceBucketName": sourceBucket,
	}})
	if _, err := s3.NewFromConfig(s.Config("toolkit")).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &sourceBucket}); err != nil {
		t.Fatal(err)
	}
	const key = "configs/team/agent.yaml"
	runtime, build := naming.RuntimeRole(region, "my_agent"), naming.BuildRole(region, "my_agent")
	s.byToolkit("my_agent")
	if _, err := iam.NewFromConfig(s.Config("admin")).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: &runtime, PolicyName: aws.String("orders"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}]}`),
	}); err != nil {
		t.Fatal(err)
	}
	was := map[string]model.ObservedRole{runtime: s.role(runtime), build: s.role(build)}

	t.Run("they are left alone, and what adoption takes away is told", func(t *testing.T) {
		s := s.in(t)
		s.upload(key, container("my_agent"))
		s.idle()
		got := s.status(key)
		if got.Outcome != status.Blocked || len(got.Problems) != 2 || got.Problems[0].Code != "role-not-ours" || got.Problems[1].Code != "role-not-ours" {
			t.Fatalf("status: %+v", got)
		}
		told := strings.Join(got.Agents[0].Notes, "\n")
		for _, lost := range []string{"bedrock:InvokeModel", "s3:PutObject", "the boundary makes ineffective, in whole or in part, what policy orders grants: dynamodb:GetItem"} {
			if !strings.Contains(told, lost) {
				t.Errorf("notes do not tell of %s:\n%s", lost, told)
			}
		}
		if !strings.Contains(strings.Join(got.Next, "\n"), "rolekeeper adopt "+key+" my_agent") {
			t.Errorf("next: %v", got.Next)
		}
		s.wantSpared("a report", runtime)
		s.wantSpared("a report", build)
		if n := len(s.archives()); n > 0 {
			t.Errorf("%d roles were archived for a report", n)
		}
	})

	t.Run("an operator has them adopted, although reconcile is killed twice on the way", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		// First before the claim says that the roles are being adopted, then after it.
		cuts := map[string]*sync.Once{"s3 PutObject": {}, "iam PutRolePolicy": {}}
		var killed atomic.Int64
		remove := s.Proxy().AddHook(proxy.Hook{After: func(c proxy.Call) proxy.Verdict {
			verdict := proxy.Continue
			cut := cuts[c.Service+" "+c.Operation]
			archiving := c.Service != "s3" || strings.Contains(c.Resource, "/"+naming.ArchivePrefix)
			if cut != nil && archiving && c.Caller == "reconcile" && c.Committed {
				cut.Do(func() {
					if s.Kill("reconcile") > 0 {
						killed.Add(1)
					}
					verdict = proxy.Drop
				})
			}
			return verdict
		}})
		s.tool("operator", 0, "adopt", key, "my_agent", "--yes", "--wait=false")
		s.idle()
		remove()
		if killed.Load() != 2 {
			t.Errorf("reconcile was killed %d times, want 2", killed.Load())
		}
		got := s.status(key)
		if got.Outcome != status.Ready || len(got.Requests) != 1 || got.Requests[0].Outcome != status.RequestDone {
			t.Errorf("status: %+v", got)
		}
		archived := map[string]model.ObservedRole{}
		for _, a := range s.archives() {
			archived[a.Role.Name] = a.Role
		}
		if diff := cmp.Diff(was, archived); diff != "" || len(s.archives()) != 2 {
			t.Errorf("%d archives (-role as it was +archived):\n%s", len(s.archives()), diff)
		}
		for name, before := range was {
			now := s.role(name)
			if now.ID != before.ID || now.PermissionsBoundary != s.Stack().Outputs["BoundaryArn"] || now.Tags[model.TagConfig] != key {
				t.Errorf("role: %+v", now)
			}
		}
		policies := s.role(runtime).Policies
		if _, kept := policies["orders"]; !kept || len(policies) != 2 || strings.Contains(policies[naming.RuntimePolicy("my_agent")], "InvokeModel") {
			t.Errorf("policies: %v", policies)
		}
		claim, err := model.ParseClaim(s.get(naming.RoleClaimKey("my_agent")))
		if err != nil || claim.RuntimeRoleID != was[runtime].ID || claim.BuildRoleID != was[build].ID || len(claim.Adopting) > 0 {
			t.Errorf("claim: %+v, %v", claim, err)
		}
	})

	t.Run("the build reads the source of its team", func(t *testing.T) {
		s := s.in(t)
		source := `"arn:aws:s3:::` + naming.SourceBucket(account, region) + `/team/my_agent/source.zip"`
		if got := s.role(build).Policies[naming.BuildPolicy]; !strings.Contains(got, source) || strings.Contains(got, "s3:PutObject") {
			t.Errorf("the build's policy is %s, want one that reads %s", got, source)
		}
	})

	// The toolkit gets a role by its name or makes it; versions after 0.3.10
	// compare the trust policy of the runtime's, too.
	t.Run("the toolkit finds them as it left them", func(t *testing.T) {
		s := s.in(t)
		find := func(name string) model.ObservedRole {
			found, err := iamrole.NewReader(iam.NewFromConfig(s.Config("toolkit"))).Head(t.Context(), name)
			if err != nil || found.ARN != was[name].ARN {
				t.Fatalf("found %+v, %v", found, err)
			}
			return found
		}
		trust := find(runtime).Trust
		if got, err := policy.Parse(trust); err != nil || !got.Same(rendered(t, "runtime-trust.json", "my_agent")) {
			t.Errorf("role %s trusts %s (%v)", runtime, trust, err)
		}
		project := "arn:aws:codebuild:" + region + ":" + account + ":project/" + naming.Project("my_agent") // the toolkit's name, too
		if trust := find(build).Trust; !awsfake.TrustsCodeBuild(trust, project, account) || awsfake.TrustsCodeBuild(trust, project+"2", account) {
			t.Errorf("role %s trusts %s", build, trust)
		}
	})

	t.Run("a further look writes nothing", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.upload(key, container("my_agent"))
		s.idle()
		if _, writes := s.iamCalls(); len(writes) > 0 {
			t.Errorf("writes: %v", writes)
		}
		for _, c := range s.Calls(proxy.Filter{Caller: "reconcile", Service: "s3", Operation: "PutObject"}) {
			if !strings.Contains(c.Resource, "/"+naming.StatusPrefix) {
				t.Errorf("wrote %s", c.Resource)
			}
		}
		s.wantAnswers(key, map[string]status.RequestOutcome{s.status(key).Requests[0].ID: status.RequestDone})
	})

	t.Run("nothing is built from the toolkit's bucket before it keeps versions and sends events", func(t *testing.T) { testForeignBucket(s.in(t), key) })

	t.Run("malformed settings hold everything up and lose nothing", func(t *testing.T) { testMalformedSettings(s.in(t)) })
}

// testForeignBucket turns on, one after the other, what the toolkit's source
// bucket lacks.
func testForeignBucket(s stack, key string) {
	const agent = "my_agent"
	ctx, admin := s.t.Context(), s3.NewFromConfig(s.Config("admin"))
	source := naming.SourceKey("team", agent)
	upload := func() (version string) {
		version = s.put(source, zipped(s.t, works, "1"))
		s.upload(key, container(agent)) // a silent bucket has nobody look
		s.idle()
		return version
	}
	upload()
	s.wantCodes(key, "source-bucket-unversioned")
	if _, err := admin.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &sourceBucket, VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled},
	}); err != nil {
		s.t.Fatal(err)
	}
	s.upload(key, container(agent))
	s.idle()
	s.wantCodes(key, "source-bucket-unversioned") // of what was uploaded before
	upload()
	s.wantCodes(key, "source-bucket-silent")
	s.wantBuilt(agent)
	if _, err := admin.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{
		Bucket: &sourceBucket, NotificationConfiguration: &s3types.NotificationConfiguration{EventBridgeConfiguration: &s3types.EventBridgeConfiguration{}},
	}); err != nil {
		s.t.Fatal(err)
	}
	version := s.put(source, zipped(s.t, works, "2"))
	s.idle()
	s.wantBuilt(agent, version)
	s.wantImage(key, agent, version)
}

// testMalformedSettings has somebody write what are no settings over the stack's.
func testMalformedSettings(s stack) {
	t, ctx := s.t, s.t.Context()
	const key = "configs/team/later.yaml"
	parameters, name := ssm.NewFromConfig(s.Config("admin")), s.Stack().Outputs["SettingsParameter"]
	put := func(value string) {
		t.Helper()
		if _, err := parameters.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Overwrite: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
	}
	was, err := parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := json.Unmarshal([]byte(*was.Parameter.Value), &settings); err != nil {
		t.Fatal(err)
	}

	put(`{"TeamTag": "my team", "ExistingRoles": "perhaps", "AllowedModels": ["amazon.*", "a model"], "OperatorPrincipalArns": ["*"], "SourceBucketName": "x*"}`)
	s.Kill("reconcile")
	s.Proxy().Reset()
	s.upload(key, container("later", "    permissions:\n      models: [amazon.nova-lite-v1:0]\n"))
	told := s.waitForLog("reconcile", "settings parameter")
	for _, fault := range []string{`"message":"init"`, "TeamTag", "ExistingRoles", "AllowedModels", "OperatorPrincipalArns", "SourceBucketName"} {
		if !strings.Contains(told, fault) {
			t.Errorf("there is no %s in %s", fault, told)
		}
	}
	for _, c := range s.Calls(proxy.Filter{Caller: "reconcile"}) {
		if c.Operation != "GetParameter" {
			t.Errorf("%s %s was called", c.Operation, c.Resource)
		}
	}
	if s.get(naming.StatusKey(key)) != nil {
		t.Error("the config was answered")
	}
	if n := s.waiting("reconcile"); n != 1 {
		t.Errorf("%d messages are in the work queue, want the one of the config", n)
	}
	// What the alarm counts are invocations that fail.
	result, err := s.Invoke(ctx, "reconcile", []byte(`{"Records":[]}`))
	if err != nil || result.Failure != "Runtime.ExitError" {
		t.Errorf("an invocation gave %+v, %v", result, err)
	}
	alarm := s.Stack().Resources["ReconcileErrorAlarm"].Properties
	counted := fmt.Sprint(alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"], alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"])
	if want := "AWS/LambdaErrors[map[Name:FunctionName Value:rolekeeper-reconcile]]SumGreaterThanThreshold0"; counted != want {
		t.Errorf("the alarm is about %s, want %s", counted, want)
	}

	settings["AllowedModels"] = []string{"amazon.*"}
	put(toJSON(t, settings))
	s.idle()
	if got := s.status(key); got.Outcome != status.Ready {
		t.Errorf("status: %+v", got)
	}
	s.upload(key, container("later", "    permissions:\n      models: [anthropic.claude-sonnet-4-20250514-v1:0]\n"))
	s.idle()
	if got := s.status(key); got.Outcome != status.Rejected || got.Problems[0].Code != "model-not-allowed" {
		t.Errorf("status: %+v", got)
	}
}

// archives gives what is archived.
func (s stack) archives() []model.Archive {
	s.t.Helper()
	objects, err := s3.NewFromConfig(s.Config("admin")).ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String(naming.ArchivePrefix)})
	if err != nil {
		s.t.Fatal(err)
	}
	var all []model.Archive
	for _, o := range objects.Contents {
		var a model.Archive
		if err := json.Unmarshal(s.get(*o.Key), &a); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// waitForLog gives the first line that a function writes with the text in it.
func (s stack) waitForLog(function, text string) string {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, line := range s.Logs(function) {
			if strings.Contains(line, text) {
				return line
			}
		}
	}
	s.t.Fatalf("%s did not write %q", function, text)
	return ""
}

// waiting counts the messages that wait for a function, or are on their way to it.
func (s stack) waiting(function string) int {
	s.t.Helper()
	n := 0
	for _, m := range s.Stack().Mappings {
		if m.Function.Short != function {
			continue
		}
		out, err := sqs.NewFromConfig(s.Config("admin")).GetQueueAttributes(s.t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: &m.QueueURL, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
			count, err := strconv.Atoi(out.Attributes[name])
			if err != nil {
				s.t.Fatal(err)
			}
			n += count
		}
	}
	return n
}
