package slr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	core "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/aws/agentcore"
	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/networkinterface"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/slr"
	"rolekeeper/shared/sqsbatch"
)

const (
	bucket = "bedrock-agentcore-configs-123456789012-us-east-1"
	home   = "us-east-1"
	abroad = "eu-west-1"
	me     = "slrwatch"
	day    = 24 * time.Hour
)

var (
	network  = desired.Network()
	identity = desired.RuntimeIdentity()
)

// world is an account with slrwatch in it.
type world struct {
	t           testing.TB
	cloud       *awsfake.Cloud
	queue, dead string
	regions     []string
	days        int
	errs        []error
	verdicts    map[string]model.Verdict // as they were written last
	cut         *cut
}

// cut kills slrwatch at one of its calls: none comes through from then on until
// the run is over.
type cut struct {
	nth        int  // of its calls, counted from 1
	after      bool // the call itself comes through, its answer does not
	seen       int
	dead, done bool
}

func (w *world) cutAt(nth int, after bool) {
	k := &cut{nth: nth, after: after}
	w.cut = k
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Caller != me || k.done {
			return nil
		}
		// An answer that was an error has no after.
		if k.seen++; k.seen == k.nth && !k.after || k.seen > k.nth {
			k.dead = true
		}
		if k.dead {
			return errCut
		}
		return nil
	}
	w.cloud.After = func(c awsfake.Call) error {
		if c.Caller == me && !k.done && k.seen == k.nth && k.after {
			k.dead = true
			return errCut
		}
		return nil
	}
}

// revive ends the run that was cut.
func (w *world) revive() {
	if w.cut != nil && w.cut.dead {
		w.cut.dead, w.cut.done = false, true
	}
}

// undisturbed ends what interferes with calls.
func (w *world) undisturbed() { w.cloud.Before, w.cloud.After = nil, nil }

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, cloud: awsfake.New(), regions: []string{home, abroad}}
	w.cloud.AddBucket(bucket)
	w.dead = w.cloud.AddQueue("rolekeeper-slrwatch-dead-letters", time.Minute, 0, "")
	w.queue = w.cloud.AddQueue("rolekeeper-slrwatch", 90*time.Minute, 10, w.dead)
	w.cloud.AssumeAgentCoreRoles(func(string, string) bool { return true })
	return w
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) watch() slr.Watch {
	c := w.cloud
	return slr.Watch{
		Here:    event.Here{Account: c.Account, Region: home, ConfigBucket: bucket},
		Place:   agent.Place{Partition: c.Partition, Region: home, Account: c.Account},
		Regions: w.regions, IdleDays: w.days, Operators: true,
		Store: configstore.New(c.S3(me), bucket, c.Account),
		Roles: slrole.NewKeeper(c.IAM(me)),
		Region: func(name string) slr.Region {
			r := c.Abroad(name)
			return slr.Region{Resources: agentcore.NewNetworks(r.AgentCore(me), nil), Interfaces: networkinterface.New(r.EC2(me))}
		},
		Queue: workqueue.New(c.SQS(me), w.queue), Bus: bus.New(c.EventBridge(me)), Now: c.Now,
	}
}

// checked runs slrwatch once, and holds it to its bounds.
func (w *world) checked(run func(context.Context, slr.Watch) (slr.Result, error)) (slr.Result, error) {
	w.t.Helper()
	before, at := len(w.cloud.Calls()), w.cloud.Now()
	r, err := run(w.t.Context(), w.watch())
	if !w.cloud.Now().Equal(at) {
		w.t.Fatal("time went by in a run")
	}
	w.bounds(w.cloud.Calls()[before:])
	w.told()
	return r, err
}

// told fails when a verdict was written that was not told of before.
func (w *world) told() {
	w.t.Helper()
	table, err := model.ParseServiceLinkedRoles(w.cloud.Objects(bucket, naming.LinkedKey)[naming.LinkedKey])
	if err != nil || w.verdicts == nil {
		w.verdicts = map[string]model.Verdict{}
	}
	for _, r := range table.Roles {
		if was := w.verdicts[r.Name]; r.Verdict != was && !slices.Contains(w.changes(desired.ServiceLinkedRole{Name: r.Name}), string(was)+">"+string(r.Verdict)) {
			w.t.Errorf("%s is %s and was %q: nobody was told", r.Name, r.Verdict, was)
		}
		w.verdicts[r.Name] = r.Verdict
	}
}

// bounds fails when a run made more calls than it may: 6 of IAM for a role, and
// one of each listing in a Region.
func (w *world) bounds(calls []awsfake.Call) {
	w.t.Helper()
	roles, lists, jobs := map[string]int{}, map[string]int{}, map[string]int{}
	for _, c := range calls {
		switch {
		case c.Caller != me:
		case c.Service == "iam" && c.Operation == "GetServiceLastAccessedDetails":
			jobs[c.Resource]++
		case c.Service == "iam":
			for _, r := range desired.AllServiceLinkedRoles() {
				if c.Resource == r.Name || strings.HasSuffix(c.Resource, "/"+r.Policy) || strings.Contains(c.Resource, "/"+r.Name+"/") {
					roles[r.Name]++
				}
			}
		case c.Service == "s3" && c.Operation == "GetObject" && strings.Contains(c.Resource, naming.LinkedPrefix+"resources/"):
			lists[c.Resource]++
		case strings.HasPrefix(c.Operation, "List") && c.Operation != "ListObjectsV2" || strings.HasPrefix(c.Operation, "Describe"):
			lists[c.Region+" "+c.Operation+" "+c.Resource]++
		}
	}
	iamCalls := 0
	for name, n := range roles {
		if iamCalls += n; n+min(len(jobs), 1) > 6 {
			w.t.Fatalf("%d calls of IAM for %s: %v", n, name, calls)
		}
	}
	for job, n := range jobs {
		if n > 1 {
			w.t.Fatalf("%d calls for report %s", n, job)
		}
	}
	for list, n := range lists {
		if n > 1 {
			w.t.Fatalf("%d times %s: %v", n, list, calls)
		}
	}
	for _, c := range calls {
		if c.Caller == me && c.Service == "iam" && c.Operation != "GetServiceLastAccessedDetails" {
			iamCalls--
		}
	}
	if iamCalls != 0 {
		w.t.Fatalf("calls of IAM that are for no role: %v", calls)
	}
}

// look has the schedule come.
func (w *world) look() model.ServiceLinkedRoles {
	w.t.Helper()
	r, err := w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) { return s.Look(ctx) })
	if err != nil || !r.Looked {
		w.t.Fatalf("%+v, %v", r, err)
	}
	return r.Table
}

// drain handles the messages that are there, as the function does, and gives how
// many looks there were.
func (w *world) drain() (looks int) {
	w.t.Helper()
	own := workqueue.New(w.cloud.SQS(me), w.queue)
	b := sqsbatch.Batch{
		Log: slog.New(slog.DiscardHandler), Queue: own, DeadLetters: workqueue.New(w.cloud.SQS(me), w.dead),
		Handle: func(_ context.Context, m sqsbatch.Message) error {
			r, err := w.checked(func(ctx context.Context, s slr.Watch) (slr.Result, error) { return s.Handle(ctx, m.Body) })
			if r.Looked {
				looks++
			}
			if err != nil {
				w.errs = append(w.errs, err)
			}
			return err
		},
	}
	for {
		e := w.cloud.Receive(w.queue, 10)
		if len(e.Records) == 0 {
			return looks
		}
		out, err := b.Lambda(w.t.Context(), e)
		w.must(nil, err)
		w.revive()
		w.cloud.Done(w.queue, e, out.BatchItemFailures)
	}
}

// settle lets time go by until no message is left.
func (w *world) settle() (looks int) {
	w.t.Helper()
	for range 200 {
		looks += w.drain()
		at, any := w.cloud.NextVisible(w.queue)
		if !any {
			return looks
		}
		w.cloud.Advance(max(at.Sub(w.cloud.Now()), 0))
	}
	w.t.Fatalf("it does not come to rest: %+v", w.table())
	return 0
}

// pass lets time go by with a look every day.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := w.cloud.Now().Add(d); w.cloud.Now().Before(end); {
		w.cloud.Advance(min(day, end.Sub(w.cloud.Now())))
		w.look()
		w.settle()
	}
}

// call tells of a call of AgentCore, or of IAM, as CloudTrail does.
func callEvent(name string, at time.Time) string {
	source, from := "aws.bedrock-agentcore", "bedrock-agentcore.amazonaws.com"
	if strings.HasSuffix(name, "ServiceLinkedRole") {
		source, from = "aws.iam", "iam.amazonaws.com"
	}
	return fmt.Sprintf(`{"source":%q,"detail-type":"AWS API Call via CloudTrail","account":"123456789012","region":"us-east-1","time":%q,`+
		`"detail":{"eventSource":%q,"eventName":%q,"awsRegion":"us-east-1","recipientAccountId":"123456789012"}}`,
		source, at.UTC().Format(time.RFC3339), from, name)
}

func (w *world) event(name string) { w.cloud.Put(w.queue, callEvent(name, w.cloud.Now())) }

// ask has an operator ask for the deletion of a role as it is shown.
func (w *world) ask(id, name, plan string) {
	w.t.Helper()
	w.write(naming.FleetRequestKey(id), model.Request{
		V: 1, ID: id, Action: model.DeleteLinked, Plans: map[string]string{name: plan}, Expires: w.cloud.Now().Add(5 * time.Hour), By: "operator",
	})
	w.cloud.Put(w.queue, fmt.Sprintf(`{"source":"aws.s3","detail-type":"Object Created","account":"123456789012","region":"us-east-1","time":%q,"detail":{"bucket":{"name":%q},"object":{"key":%q}}}`,
		w.cloud.Now().Format(time.RFC3339), bucket, naming.FleetRequestKey(id)))
}

// askAsShown has an operator ask that a role go as it is shown now.
func (w *world) askAsShown(id string, r desired.ServiceLinkedRole) {
	w.t.Helper()
	w.ask(id, r.Name, w.role(r).DeletionPlan())
}

func (w *world) write(key string, v any) {
	w.t.Helper()
	body, err := json.Marshal(v)
	w.must(nil, err)
	w.put(key, string(body))
}

func (w *world) put(key, body string) {
	w.t.Helper()
	if key == naming.LinkedKey {
		w.verdicts = nil
	}
	w.must(w.cloud.S3("test").PutObject(w.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)}))
}

func (w *world) remove(key string) {
	w.t.Helper()
	w.must(w.cloud.S3("test").DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}))
}

const (
	config    = "configs/team/agent.yaml"
	vpcConfig = "agents: {a: {name: my_agent, entrypoint: main.py, deployment_type: direct_code_deploy, aws: {network_configuration: {network_mode: VPC, network_mode_config: {subnets: [subnet-0123456789abcdef0], security_groups: [sg-0123456789abcdef0]}}}}}"
)

// runtime makes a runtime, in a VPC or not, and gives its id once it was begun.
func (w *world) runtime(in *awsfake.Cloud, name string, vpc bool) string {
	w.t.Helper()
	n := &types.NetworkConfiguration{NetworkMode: types.NetworkModePublic}
	if vpc {
		n = &types.NetworkConfiguration{NetworkMode: types.NetworkModeVpc, NetworkModeConfig: &types.VpcConfig{
			Subnets: []string{"subnet-0123456789abcdef0"}, SecurityGroups: []string{"sg-0123456789abcdef0"},
		}}
	}
	out, err := in.AgentCore("test").CreateAgentRuntime(w.t.Context(), &core.CreateAgentRuntimeInput{
		AgentRuntimeName: &name, RoleArn: aws.String("arn:aws:iam::123456789012:role/any"), NetworkConfiguration: n,
		AgentRuntimeArtifact: &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: aws.String("image")}},
	})
	w.must(nil, err)
	return *out.AgentRuntimeId
}

// gone deletes a runtime and waits until it is gone.
func (w *world) gone(in *awsfake.Cloud, id string) {
	w.t.Helper()
	w.must(in.AgentCore("test").DeleteAgentRuntime(w.t.Context(), &core.DeleteAgentRuntimeInput{AgentRuntimeId: &id}))
	w.cloud.Advance(2 * time.Minute)
}

// makeRole makes a service-linked role by hand.
func (w *world) makeRole(r desired.ServiceLinkedRole) {
	w.t.Helper()
	w.must(w.cloud.IAM("test").CreateServiceLinkedRole(w.t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: &r.Service}))
}

// deleteRole has somebody else delete a service-linked role.
func (w *world) deleteRole(r desired.ServiceLinkedRole) {
	w.t.Helper()
	w.must(w.cloud.IAM("test").DeleteServiceLinkedRole(w.t.Context(), &iam.DeleteServiceLinkedRoleInput{RoleName: &r.Name}))
	w.cloud.Advance(2 * time.Minute)
}

// table gives what is written.
func (w *world) table() model.ServiceLinkedRoles {
	w.t.Helper()
	t, err := model.ParseServiceLinkedRoles(w.cloud.Objects(bucket, naming.LinkedKey)[naming.LinkedKey])
	w.must(nil, err)
	return t
}

func (w *world) role(r desired.ServiceLinkedRole) model.ServiceLinkedRole {
	w.t.Helper()
	one, ok := w.table().Role(r.Name)
	if !ok {
		w.t.Fatalf("nothing is known of %s", r.Name)
	}
	return one
}

// want fails unless a role has a verdict.
func (w *world) want(r desired.ServiceLinkedRole, v model.Verdict, reasons ...string) model.ServiceLinkedRole {
	w.t.Helper()
	one := w.role(r)
	if one.Verdict != v {
		w.t.Fatalf("%s is %s, want %s: %q", r.Name, one.Verdict, v, one.Reasons)
	}
	for _, reason := range reasons {
		if !strings.Contains(strings.Join(one.Reasons, "\n"), reason) {
			w.t.Errorf("%s is %s for %q, want %q", r.Name, v, one.Reasons, reason)
		}
	}
	return one
}

// answered fails unless a request has its answer, once.
func (w *world) answered(id, outcome, message string) {
	w.t.Helper()
	n := 0
	for _, r := range w.table().Requests {
		if r.ID == id {
			if n++; r.Outcome != outcome || !strings.Contains(r.Message, message) {
				w.t.Errorf("%s is %s: %s; want %s: %s", id, r.Outcome, r.Message, outcome, message)
			}
		}
	}
	if n != 1 {
		w.t.Errorf("%s has %d answers: %+v", id, n, w.table().Requests)
	}
}

// changes gives the changes of a role that were sent, as from>to, each once.
func (w *world) changes(r desired.ServiceLinkedRole) []string {
	w.t.Helper()
	var all []string
	seen := map[string]string{}
	for _, e := range w.cloud.Events() {
		var d event.ServiceLinkedRoleChanged
		w.must(nil, json.Unmarshal([]byte(e.Detail), &d))
		line := d.Role + " " + string(d.From) + ">" + string(d.To)
		if was, sent := seen[d.ID]; sent && was != line {
			w.t.Errorf("two changes have the same id: %s, %s", was, line)
		} else if sent {
			continue
		}
		if seen[d.ID] = line; d.Role == r.Name {
			all = append(all, string(d.From)+">"+string(d.To))
		}
	}
	return all
}

// count gives how many calls of an operation slrwatch made.
func (w *world) count(operation string) (n int) {
	for _, c := range w.cloud.Calls() {
		if c.Caller == me && c.Operation == operation {
			n++
		}
	}
	return n
}

// deletions gives how often AWS was asked to delete a role.
func (w *world) deletions(r desired.ServiceLinkedRole) (n int) {
	for _, c := range w.cloud.Calls() {
		if c.Caller == me && c.Operation == "DeleteServiceLinkedRole" && c.Resource == r.Name {
			n++
		}
	}
	return n
}

// deny has calls refused: those of an operation, in a Region where one is named.
func (w *world) deny(code, operation, region string) {
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Caller == me && c.Operation == operation && (region == "" || c.Region == region) {
			return awsfake.APIError(code, "not for you")
		}
		return nil
	}
}

// idle has a role be there that nothing needs, and that was not used for long.
func (w *world) idle(r desired.ServiceLinkedRole) {
	w.t.Helper()
	w.makeRole(r)
	w.cloud.Advance(2 * day)
	w.look()
	w.settle()
	w.want(r, model.LinkedRemovable)
}
