// Package e2e runs the main job on the local AWS: the functions' own binaries
// on the stack of template.yaml.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/local"
	"rolekeeper/local/localtest"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

const (
	account = "123456789012"
	region  = "us-east-1"

	templateFile = "../../template.yaml"
)

var bucket = naming.ConfigBucket(account, region)

// stack is the application on a local AWS.
type stack struct {
	*local.AWS
	t testing.TB
}

func start(t testing.TB) stack {
	t.Helper()
	return startWith(t, local.Options{})
}

// startWith starts the application; of the options parameters and time scale count.
func startWith(t testing.TB, o local.Options) stack {
	t.Helper()
	o.Template, o.Account, o.Region = templateFile, account, region
	if o.TimeScale == 0 {
		o.TimeScale = 0.02
	}
	return stack{localtest.Start(t, o), t}
}

// in gives the application to a subtest.
func (s stack) in(t testing.TB) stack {
	s.t = t
	return s
}

func (s stack) idle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	if err := s.WaitIdle(ctx); err != nil {
		s.t.Fatal(err)
	}
}

func (s stack) upload(key, body string) {
	s.t.Helper()
	_, err := s3.NewFromConfig(s.Config("developer")).PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader([]byte(body)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s stack) get(key string) []byte {
	s.t.Helper()
	out, err := s3.NewFromConfig(s.Config("developer")).GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	var missing *s3types.NoSuchKey
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Body.Close() //nolint:errcheck // read to its end
	data, err := io.ReadAll(out.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func (s stack) status(key string) status.Status {
	s.t.Helper()
	data := s.get(naming.StatusKey(key))
	if data == nil {
		s.t.Fatalf("%s has no status", key)
	}
	got, err := status.Parse(data)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s stack) role(name string) model.ObservedRole {
	s.t.Helper()
	o, err := iamrole.New(iam.NewFromConfig(s.Config("admin"))).Read(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

// dead gives the messages in the dead letters of a queue of the stack.
func (s stack) dead(output string) []sqstypes.Message {
	s.t.Helper()
	url, ok := s.Stack().Outputs[output]
	if !ok {
		s.t.Fatalf("the stack has no output %s", output)
	}
	out, err := sqs.NewFromConfig(s.Config("operator")).ReceiveMessage(s.t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10, VisibilityTimeout: 0, MessageAttributeNames: []string{"All"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Messages
}

// iamCalls counts the functions' calls of IAM by reading and writing.
func (s stack) iamCalls() (reads, writes []string) {
	for _, c := range s.Calls(proxy.Filter{Caller: "reconcile", Service: "iam"}) {
		if strings.HasPrefix(c.Operation, "Get") || strings.HasPrefix(c.Operation, "List") {
			reads = append(reads, c.Operation+" "+c.Resource)
		} else {
			writes = append(writes, c.Operation+" "+c.Resource)
		}
	}
	return reads, writes
}

func container(name string, more ...string) string {
	return fmt.Sprintf("agents:\n  %[1]s:\n    name: %[1]s\n    entrypoint: main.py\n    deployment_type: container\n    aws:\n      account: '%[2]s'\n      region: %[3]s\n", name, account, region) + strings.Join(more, "")
}

func TestTheMainJob(t *testing.T) {
	s := start(t)
	const key = "configs/team/agent.yaml"
	runtime, build := naming.RuntimeRole(region, "my_agent"), naming.BuildRole(region, "my_agent")

	t.Run("an uploaded config gets its two roles with six calls of IAM", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.upload(key, container("my_agent"))
		s.idle()
		got := s.status(key)
		if got.Outcome != status.Ready || len(got.Agents) != 1 || got.Agents[0].RuntimeRoleARN != s.role(runtime).ARN || got.Agents[0].BuildRoleARN != s.role(build).ARN {
			t.Errorf("status: %+v", got)
		}
		reads, writes := s.iamCalls()
		linked := func(call string) bool {
			return strings.Contains(call, "AWSServiceRole") || strings.HasPrefix(call, "CreateServiceLinkedRole")
		}
		if r, w := slices.DeleteFunc(reads, linked), slices.DeleteFunc(writes, linked); len(r) != 2 || len(w) != 4 {
			t.Errorf("IAM was read by %v and written by %v, want 2 and 4 calls", r, w)
		}
		for _, name := range []string{runtime, build} {
			o := s.role(name)
			if len(o.Policies) != 1 || o.PermissionsBoundary != s.Stack().Outputs["BoundaryArn"] || o.Tags[model.TagConfig] != key {
				t.Errorf("role %s: %+v", name, o)
			}
		}
		sent := 0
		for _, e := range s.Events() {
			if e.DetailType == "Agent Roles Ready" {
				sent++
			}
		}
		if sent != 1 {
			t.Errorf("%d events Agent Roles Ready, want 1", sent)
		}
	})

	t.Run("an unchanged config writes nothing to IAM", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.upload(key, container("my_agent"))
		s.idle()
		reads, writes := s.iamCalls()
		if len(writes) > 0 {
			t.Errorf("writes: %v", writes)
		}
		if most := 2*(3+1) + 1; len(reads) > most {
			t.Errorf("%d reads, want at most %d: %v", len(reads), most, reads)
		}
		for _, c := range s.Calls(proxy.Filter{Caller: "reconcile", Service: "s3", Operation: "PutObject"}) {
			if !strings.Contains(c.Resource, "/"+naming.StatusPrefix) {
				t.Errorf("wrote %s", c.Resource)
			}
		}
	})

	t.Run("a change writes what changed", func(t *testing.T) {
		s := s.in(t)
		s.Proxy().Reset()
		s.upload(key, container("my_agent", "    permissions:\n      code_interpreter: true\n"))
		s.idle()
		if _, writes := s.iamCalls(); !slices.Equal(writes, []string{"PutRolePolicy " + runtime}) {
			t.Errorf("writes: %v", writes)
		}
		if !strings.Contains(s.role(runtime).Policies[naming.RuntimePolicy("my_agent")], "InvokeCodeInterpreter") {
			t.Error("the role may not use the code interpreter")
		}
	})

	t.Run("a faulty config is told its faults and leaves the roles", func(t *testing.T) {
		s := s.in(t)
		before := s.role(runtime)
		s.upload(key, container("my-agent"))
		s.idle()
		got := s.status(key)
		if got.Outcome != status.Rejected || len(got.Problems) != 1 || got.Problems[0].Code != "agent-name-invalid" || got.Problems[0].Line != 3 {
			t.Errorf("status: %+v", got)
		}
		if after := s.role(runtime); after.ID != before.ID || len(after.Policies) != 1 {
			t.Errorf("role: %+v", after)
		}
	})

	t.Run("a deleted config leaves its roles for the grace period", func(t *testing.T) {
		s := s.in(t)
		s.withdrawConfig(key)
		if got := s.status(key); got.Outcome != status.Retiring {
			t.Errorf("status: %+v", got)
		}
		s.role(runtime)
		s.role(build)
	})

	t.Run("a key that cannot be answered is kept in the dead letters", func(t *testing.T) {
		s := s.in(t)
		s.upload("configs/my agent.yaml", container("spaced"))
		s.idle()
		dead := s.dead("InboxDeadLetterQueueUrl")
		if len(dead) != 1 || !strings.Contains(aws.ToString(dead[0].MessageAttributes["reason"].StringValue), "config key") {
			t.Errorf("dead letters: %+v", dead)
		}
	})

	for _, err := range s.Errors() {
		t.Errorf("local AWS: %v", err)
	}
}

func TestAFunctionKilledInTheMiddleConverges(t *testing.T) {
	// The message comes back when its visibility timeout is over, 18 minutes.
	s := startWith(t, local.Options{TimeScale: 0.005})
	for i, operation := range []string{"CreateRole", "PutRolePolicy", "PutObject", "PutEvents", "CreateProject", "StartBuild"} {
		t.Run("after "+operation, func(t *testing.T) {
			s := s.in(t)
			name, key := fmt.Sprintf("agent%d", i), fmt.Sprintf("configs/agent%d.yaml", i)
			var once sync.Once
			killed := 0
			remove := s.Proxy().AddHook(proxy.Hook{After: func(c proxy.Call) proxy.Verdict {
				verdict := proxy.Continue
				if c.Caller == "reconcile" && c.Operation == operation && c.Committed {
					once.Do(func() { killed, verdict = s.Kill("reconcile"), proxy.Drop })
				}
				return verdict
			}})
			version := s.source(name, works, "1")
			s.upload(key, container(name))
			s.idle()
			remove()
			if killed == 0 {
				t.Errorf("no process was killed after %s", operation)
			}
			s.wantBuilt(name, version)
			s.wantImage(key, name, version)
			for _, role := range []string{naming.RuntimeRole(region, name), naming.BuildRole(region, name)} {
				if o := s.role(role); len(o.Policies) != 1 {
					t.Errorf("role %s: %+v", role, o)
				}
			}
			s.Proxy().Reset()
			s.upload(key, container(name))
			s.idle()
			if _, writes := s.iamCalls(); len(writes)+len(s.imageWrites()) > 0 {
				t.Errorf("a further look still writes %v %v", writes, s.imageWrites())
			}
		})
	}
}

// All agents at once: most of the time is the SDK's, which waits between attempts.
func TestFaultsOfAWSAreOutlasted(t *testing.T) {
	s := start(t)
	type trouble struct {
		agent, version string
		fault          *proxy.Injected
	}
	var all []trouble
	for i, f := range []proxy.Fault{
		{Operation: "CreateRole", Kind: proxy.Throttle, Count: 6},
		{Operation: "PutRolePolicy", Kind: proxy.ServerError, Count: 6},
		{Operation: "CreateRole", Kind: proxy.DropAfter, Count: 1},
		{Operation: "PutRolePolicy", Kind: proxy.DropBefore, Count: 2},
		{Operation: "PutObject", Resource: naming.ClaimPrefix, Kind: proxy.DropAfter, Count: 1},
		{Operation: "PutObject", Resource: naming.StatusPrefix, Kind: proxy.DropAfter, Count: 1},
		{Operation: "SendMessage", Caller: "intake", Kind: proxy.DropAfter, Count: 1},
		{Operation: "PutEvents", Kind: proxy.Throttle, Count: 5},
		{Operation: "CreateRepository", Kind: proxy.DropAfter, Count: 1},
		{Operation: "CreateProject", Kind: proxy.DropAfter, Count: 1},
		{Operation: "CreateLogGroup", Kind: proxy.DropAfter, Count: 1},
		{Operation: "StartBuild", Kind: proxy.Throttle, Count: 6},
		{Operation: "StartBuild", Kind: proxy.DropAfter, Count: 1},
		{Operation: "BatchGetBuilds", Kind: proxy.Throttle, Count: 6},
		{Operation: "DescribeImages", Kind: proxy.ServerError, Count: 6},
	} {
		agent := fmt.Sprintf("agent%d", i)
		f.Caller = cmp.Or(f.Caller, "reconcile")
		switch {
		case f.Resource == naming.ClaimPrefix:
			f.Resource = naming.RoleClaimKey(agent)
		case f.Resource == naming.StatusPrefix:
			f.Resource = naming.StatusKey(keyOf(agent))
		case strings.HasSuffix(f.Operation, "RolePolicy"), f.Operation == "CreateRole":
			f.Resource = naming.Hash(agent)
		case f.Operation != "SendMessage" && f.Operation != "PutEvents": // these strike whoever comes first
			f.Resource = naming.Repository(agent)
		}
		all = append(all, trouble{agent, s.source(agent, works, "1"), s.InjectFault(f)})
	}
	for _, it := range all {
		s.upload(keyOf(it.agent), container(it.agent))
	}
	s.idle()
	for _, it := range all {
		t.Run(fmt.Sprintf("%s of %s %s", it.fault.Kind, it.fault.Operation, it.fault.Resource), func(t *testing.T) {
			s := s.in(t)
			if it.fault.Hits() != it.fault.Count {
				t.Errorf("%d calls were hit, want %d", it.fault.Hits(), it.fault.Count)
			}
			s.wantBuilt(it.agent, it.version)
			s.wantImage(keyOf(it.agent), it.agent, it.version)
			for _, role := range []string{naming.RuntimeRole(region, it.agent), naming.BuildRole(region, it.agent)} {
				if o := s.role(role); len(o.Policies) != 1 {
					t.Errorf("role %s: %+v", role, o)
				}
			}
		})
	}
	s.wantNothingLost()
}

func TestADeniedCallIsToldAndKept(t *testing.T) {
	s := start(t)
	const key = "configs/agent.yaml"
	s.InjectFault(proxy.Fault{Operation: "CreateRole", Kind: proxy.Denied})
	s.upload(key, container("my_agent"))
	s.idle()
	if got := s.status(key); got.Outcome != status.Failed {
		t.Errorf("status: %+v", got)
	}
	dead := s.dead("WorkDeadLetterQueueUrl")
	if len(dead) != 1 || !strings.Contains(aws.ToString(dead[0].MessageAttributes["reason"].StringValue), "AccessDenied") {
		t.Errorf("dead letters: %+v", dead)
	}
}
