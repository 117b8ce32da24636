package reconcile_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/sourcebucket"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/awsfake/stacktest"
	"rolekeeper/shared/event"
	"rolekeeper/shared/intake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/reconcile"
	"rolekeeper/shared/sqsbatch"
	"rolekeeper/shared/status"
)

const (
	bucket   = "bedrock-agentcore-configs-123456789012-us-east-1"
	sources  = "bedrock-agentcore-codebuild-sources-123456789012-us-east-1"
	boundary = "arn:aws:iam::123456789012:policy/RolekeeperAgentBoundary-us-east-1"
	key      = "configs/team/agent.yaml"
)

// world is an account with the functions in it: the pipelines on the real
// adapters, on fakes of the services, fed by queues as Lambda feeds them.
type world struct {
	t     testing.TB
	cloud *awsfake.Cloud

	inbox, inboxDead, work, workDead string

	settings  reconcile.Settings
	operators bool
	hash      string
	nonces    atomic.Int64
	grace     time.Duration
	most      int             // roles that may be deleted in an hour
	empties   bool            // repositories of agents that go, go, too
	pushed    map[string]bool // ids of builds whose images are in their repositories

	later func() // runs once when a function was killed
	clock time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c := awsfake.New()
	w := &world{
		t: t, cloud: c, clock: c.Now(), settings: stacktest.Deploy(c), hash: "settings-1",
		grace: 24 * time.Hour, most: 20, pushed: map[string]bool{},
	}
	w.inboxDead = c.AddQueue("inbox-dead", time.Minute, 0, "")
	w.workDead = c.AddQueue("work-dead.fifo", time.Minute, 0, "")
	w.inbox = c.AddQueue("inbox", 3*time.Minute, 10, w.inboxDead)
	w.work = c.AddQueue("work.fifo", 6*time.Minute, 10, w.workDead)
	c.Notify(bucket, naming.ConfigPrefix, w.inbox)
	c.Notify(bucket, naming.RequestPrefix, w.inbox)
	c.NotifySuffix(sources, "/source.zip", w.inbox)
	c.NotifyBuilds(w.inbox)
	c.NotifyAgentCore(w.inbox)
	c.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: buildTime} })
	return w
}

// buildTime is what a build takes that nothing is said of.
const buildTime = 2 * time.Minute

// clone gives a world of its own that is as this one is now.
func (w *world) clone() *world {
	out := &world{
		t: w.t, cloud: w.cloud.Clone(), inbox: w.inbox, inboxDead: w.inboxDead, work: w.work, workDead: w.workDead,
		settings: w.settings, operators: w.operators, hash: w.hash, clock: w.clock,
		grace: w.grace, most: w.most, empties: w.empties, pushed: maps.Clone(w.pushed),
	}
	out.nonces.Store(w.nonces.Load())
	return out
}

func (w *world) reconciler() *reconcile.Reconciler {
	r := stacktest.Reconciler(w.cloud, w.settings, w.inbox, func() string { return fmt.Sprintf("random-%06d", w.nonces.Add(1)) })
	r.SettingsHash, r.Operators = w.hash, w.operators
	r.Grace, r.MaxDeletesPerHour, r.DeleteRepositories = w.grace, w.most, w.empties
	return r
}

// viewer looks as the command-line tool does.
func (w *world) viewer() reconcile.Viewer {
	roles := w.cloud.IAM("operator")
	return reconcile.Viewer{
		Settings: w.settings, Objects: configstore.NewReader(w.cloud.S3("operator"), bucket, w.cloud.Account),
		Roles: iamrole.NewReader(roles), ServiceLinkedRoles: slrole.New(roles),
		Sources:      sourcebucket.New(w.cloud.S3("operator"), sources, w.cloud.Account),
		Repositories: imagerepository.NewReader(w.cloud.ECR("operator"), w.cloud.Account),
		Projects:     buildproject.NewReader(w.cloud.CodeBuild("operator")),
	}
}

var quiet = slog.New(slog.DiscardHandler)

func (w *world) reconcileBatch() sqsbatch.Batch {
	r := w.reconciler()
	q := w.cloud.SQS("reconcile")
	return sqsbatch.Batch{
		Log: quiet, Queue: workqueue.New(q, w.work), DeadLetters: workqueue.New(q, w.workDead),
		Handle: func(ctx context.Context, m sqsbatch.Message) error {
			_, err := r.Handle(ctx, m.Body, m.Receives)
			return err
		},
	}
}

func (w *world) intakeBatch() sqsbatch.Batch {
	q := w.cloud.SQS("intake")
	p := intake.Intake{
		Here:    event.Here{Account: w.cloud.Account, Region: w.cloud.Region, ConfigBucket: bucket, SourceBucket: sources},
		Objects: configstore.NewReader(w.cloud.S3("intake"), bucket, w.cloud.Account),
		Work:    workqueue.New(q, w.work),
	}
	return sqsbatch.Batch{
		Log: quiet, Queue: workqueue.New(q, w.inbox), DeadLetters: workqueue.New(q, w.inboxDead),
		Handle: func(ctx context.Context, m sqsbatch.Message) error { return p.Handle(ctx, m.ID, m.Body) },
	}
}

// killed is what the fakes panic with to end a function in the middle of a call.
type killed struct{}

// run handles messages for a time, which passes where messages wait, and
// reports whether the queues are empty.
func (w *world) run(bound time.Duration) bool {
	w.t.Helper()
	end := w.cloud.Now().Add(bound)
	w.pushImages()
	for range 10_000 {
		if w.poll(w.inbox, 10, w.intakeBatch()) || w.poll(w.work, 1, w.reconcileBatch()) {
			continue
		}
		at, any := w.cloud.NextVisible(w.inbox, w.work)
		ends, building := w.cloud.NextBuild()
		if building && (!any || ends.Before(at)) {
			at, any = ends, true
		}
		if !any {
			return true
		}
		if at.After(end) {
			w.cloud.Advance(max(end.Sub(w.cloud.Now()), 0))
			return false
		}
		w.cloud.Advance(max(at.Sub(w.cloud.Now()), time.Millisecond))
		if building {
			w.pushImages()
		}
	}
	w.t.Fatal("the queues do not come to rest")
	return false
}

// repository has an administrator make a repository whose tags cannot be moved.
func (w *world) repository(name string) {
	w.t.Helper()
	if _, err := w.cloud.ECR("admin").CreateRepository(context.Background(), &ecr.CreateRepositoryInput{
		RepositoryName: &name, ImageTagMutability: ecrtypes.ImageTagMutabilityImmutable,
	}); err != nil {
		w.t.Fatal(err)
	}
}

// pushImages does what builds do that have succeeded.
func (w *world) pushImages() {
	w.t.Helper()
	for _, b := range w.cloud.Builds() {
		if b.BuildStatus != types.StatusTypeSucceeded || w.pushed[*b.Id] {
			continue
		}
		w.pushed[*b.Id] = true
		env := environment(b)
		if env["REPOSITORY_URI"] == "" {
			continue // somebody else's
		}
		_, repository, _ := strings.Cut(env["REPOSITORY_URI"], "/")
		tags := []string{env["IMAGE_TAG"]}
		if env["IMAGE_LATEST"] == "true" {
			tags = append(tags, "latest")
		}
		for _, tag := range tags {
			if err := w.cloud.PushImage(repository, tag, digest(*b.Id)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// digest gives the digest of the image that a build makes.
func digest(build string) string {
	sum := sha256.Sum256([]byte(build))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func environment(b types.Build) map[string]string {
	env := map[string]string{}
	for _, v := range b.Environment.EnvironmentVariables {
		env[*v.Name] = *v.Value
	}
	return env
}

// settle runs until nothing is left to do, which must be within an hour.
func (w *world) settle() {
	w.t.Helper()
	if !w.run(time.Hour) {
		w.t.Fatalf("messages still wait: inbox %v, work %v", w.cloud.Messages(w.inbox), w.cloud.Messages(w.work))
	}
}

// poll runs one invocation if there is a message for it. A function that is
// killed leaves its messages to the visibility timeout.
func (w *world) poll(url string, most int, b sqsbatch.Batch) (polled bool) {
	w.clock = w.cloud.Now()
	e := w.cloud.Receive(url, most)
	if len(e.Records) == 0 {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(killed); !ok {
				panic(p)
			}
			polled = true
			if w.later != nil {
				w.later()
				w.later = nil
			}
		}
	}()
	out, err := b.Lambda(context.Background(), e)
	if err != nil {
		w.t.Fatalf("batch: %v", err)
	}
	w.cloud.Done(url, e, out.BatchItemFailures)
	return true
}

func (w *world) upload(key, body string) (version string) {
	w.t.Helper()
	return w.putInto(bucket, key, body)
}

// zip is what a source begins with.
const zip = "PK\x03\x04 and the rest"

// source uploads the source of an agent.
func (w *world) source(agent, body string) (version string) {
	w.t.Helper()
	return w.putInto(sources, naming.SourceKey("", agent), body)
}

func (w *world) putInto(bucket, key, body string) (version string) {
	w.t.Helper()
	out, err := w.cloud.S3("developer").PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		w.t.Fatalf("upload %s: %v", key, err)
	}
	return aws.ToString(out.VersionId)
}

func (w *world) remove(key string) {
	w.t.Helper()
	if _, err := w.cloud.S3("developer").DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key}); err != nil {
		w.t.Fatalf("delete %s: %v", key, err)
	}
}

// status gives the answer to a config; the test fails when there is none or it is not valid.
func (w *world) status(key string) status.Status {
	w.t.Helper()
	body, ok := w.cloud.Objects(bucket, naming.StatusPrefix)[naming.StatusKey(key)]
	if !ok {
		w.t.Fatalf("%s has no status", key)
	}
	s, err := status.Parse(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) claim(key string) model.Claim {
	w.t.Helper()
	body, ok := w.cloud.Objects(bucket, naming.ClaimPrefix)[key]
	if !ok {
		w.t.Fatalf("there is no %s", key)
	}
	c, err := model.ParseClaim(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// role reads a role as an administrator, without leaving calls in the log of the functions.
func (w *world) role(name string) model.ObservedRole {
	w.t.Helper()
	o, err := iamrole.New(w.cloud.IAM("admin")).Read(context.Background(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) admin() *administrator { return &administrator{w.t, w.cloud.IAM("admin")} }

// administrator is an administrator who does things by hand.
type administrator struct {
	t testing.TB
	*awsfake.IAM
}

func (a *administrator) must(_ any, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// createRole makes a role that is not ours.
func (a *administrator) createRole(name, trust string) {
	a.t.Helper()
	a.must(a.CreateRole(context.Background(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))
}

func (a *administrator) putPolicy(role, name, document string) {
	a.t.Helper()
	a.must(a.PutRolePolicy(context.Background(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document}))
}

func (a *administrator) deletePolicy(role, name string) {
	a.t.Helper()
	a.must(a.DeleteRolePolicy(context.Background(), &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name}))
}

// made counts the calls of the functions by service and, for IAM and CodeBuild, by reading or writing.
func (w *world) made() map[string]int {
	n := map[string]int{}
	for _, c := range w.functionCalls() {
		switch {
		case c.Service != "iam" && c.Service != "codebuild":
			n[c.Service]++
		case reads(c):
			n[c.Service+" read"]++
		default:
			n[c.Service+" write"]++
		}
	}
	return n
}

func (w *world) functionCalls() []awsfake.Call {
	return slices.DeleteFunc(w.cloud.Calls(), func(c awsfake.Call) bool {
		return c.Caller != "reconcile" && c.Caller != "intake"
	})
}

func reads(c awsfake.Call) bool {
	return slices.ContainsFunc([]string{"Get", "List", "BatchGet", "Describe", "Head"}, func(p string) bool { return strings.HasPrefix(c.Operation, p) })
}

// writes gives the writes of the functions under the prefixes of the bucket given, and to what is made for agents.
func (w *world) writes(prefixes ...string) []string {
	var all []string
	for _, c := range w.functionCalls() {
		ofBucket := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(c.Resource, bucket+"/"+p) })
		if !reads(c) && (slices.Contains([]string{"iam", "ecr", "codebuild", "logs"}, c.Service) || c.Service == "s3" && ofBucket) {
			all = append(all, c.String())
		}
	}
	return all
}

func (w *world) sent(detailType string) []map[string]any {
	w.t.Helper()
	var all []map[string]any
	for _, e := range w.cloud.Events() {
		if e.DetailType != detailType {
			continue
		}
		var d map[string]any
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// codes gives the codes of the problems of a status.
func codes(s status.Status) []string {
	var all []string
	for _, p := range s.Problems {
		all = append(all, p.Code)
	}
	return all
}

const container = `
agents:
  my_agent:
    name: my_agent
    entrypoint: main.py
    deployment_type: container
    aws:
      account: '123456789012'
      region: us-east-1
`

const direct = `
agents:
  my_agent:
    name: my_agent
    entrypoint: main.py
    deployment_type: direct_code_deploy
    aws: {}
`

// agentsNamed gives a config with container agents of the names.
func agentsNamed(names ...string) string {
	var b strings.Builder
	b.WriteString("agents:\n")
	for _, n := range names {
		fmt.Fprintf(&b, "  %[1]s:\n    name: %[1]s\n    entrypoint: main.py\n    aws: {}\n", n)
	}
	return b.String()
}

func runtimeRole(name string) string { return naming.RuntimeRole("us-east-1", name) }
func buildRole(name string) string   { return naming.BuildRole("us-east-1", name) }

func tag(k, v string) iamtypes.Tag { return iamtypes.Tag{Key: &k, Value: &v} }

func wakeBody(t testing.TB, key string) string {
	t.Helper()
	m, err := event.Wake(key, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), 0)
	if err != nil {
		t.Fatal(err)
	}
	return m.Body
}
