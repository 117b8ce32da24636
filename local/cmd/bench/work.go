package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

const (
	inSequence = 50
	together   = 200

	oneDeadline = 30 * time.Second
	allDeadline = 150 * time.Second
)

// work is what was measured on the local AWS.
type work struct {
	parameter string // value of the stack's settings parameter

	ready []float64 // milliseconds from upload to ready, one config after the other, sorted

	repaired []float64 // milliseconds from IAM's event to the repaired role, one edit after the other, sorted

	// Of one container agent. imaged is unchanged with an image of its source.
	create, change, unchanged, imaged calls
	first, next                       toImage // of its first source, and of a newer one

	allReady time.Duration // from the first of the uploads at once to the last ready
	count    int           // configs ready of those uploaded at once
	dead     int           // messages in all dead letters
	bulk     calls         // of the uploads at once
}

// toImage is what the way from a source to its image takes.
type toImage struct {
	start calls // from the upload to the start of the build, which is the last of them
	rest  calls // all that follow
}

func container(name string, more ...string) string {
	return fmt.Sprintf(`agents:
  %[1]s:
    name: %[1]s
    entrypoint: main.py
    deployment_type: container
    aws:
      account: '%[2]s'
      region: %[3]s
`, name, account, region) + strings.Join(more, "")
}

// oneByOne uploads configs of a container agent each, the next when everything
// that follows from the last has happened. The first of them finds no process of
// a function and makes the service-linked role, too. afterOne runs after it.
func (w *work) oneByOne(ctx context.Context, watch *watcher, afterOne func() error) error {
	key := func(i int) string { return fmt.Sprintf("configs/bench/one%03d.yaml", i) }
	agent := func(i int) string { return fmt.Sprintf("one%03d", i) }
	for i := range inSequence {
		watch.aws.Proxy().Reset()
		took, err := watch.uploadAndWait(ctx, key(i), container(agent(i)))
		if err != nil {
			return err
		}
		w.ready = append(w.ready, took)
		if i == 0 {
			if err := afterOne(); err != nil {
				return err
			}
		}
	}
	slices.Sort(w.ready)
	w.create = watch.calls()

	last := inSequence - 1
	changed := container(agent(last), "    permissions:\n      code_interpreter: true\n")
	again := func(n *calls) error {
		watch.aws.Proxy().Reset()
		_, err := watch.uploadAndWait(ctx, key(last), changed)
		*n = watch.calls()
		return err
	}
	build := func(n *toImage) (err error) {
		*n, err = watch.buildOf(ctx, key(last), agent(last))
		return err
	}
	return inTurn(
		func() error { return again(&w.change) },
		func() error { return again(&w.unchanged) }, // the second upload of the same is no change
		func() error { return build(&w.first) },
		func() error { return again(&w.imaged) },
		func() error { return build(&w.next) },
	)
}

// inTurn ends with the first that fails.
func inTurn(all ...func() error) error {
	for _, one := range all {
		if err := one(); err != nil {
			return err
		}
	}
	return nil
}

// atOnce uploads many configs at the same time and waits until all are ready.
func (w *work) atOnce(ctx context.Context, watch *watcher) error {
	ctx, cancel := context.WithTimeout(ctx, allDeadline)
	defer cancel()
	watch.aws.Proxy().Reset()
	var answered []<-chan answer
	var uploads sync.WaitGroup
	failed := make([]error, together)
	started := time.Now()
	for i := range together {
		key, agent := fmt.Sprintf("configs/bench/bulk%03d.yaml", i), fmt.Sprintf("bulk%03d", i)
		answered = append(answered, watch.expect(key))
		uploads.Go(func() { failed[i] = watch.upload(ctx, key, container(agent)) })
	}
	uploads.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	for _, c := range answered {
		at, err := untilReady(ctx, c)
		if err != nil {
			break // the table tells how many were ready
		}
		w.count++
		w.allReady = max(w.allReady, at.Sub(started))
	}
	if w.count == together {
		if err := watch.aws.WaitIdle(ctx); err != nil {
			return err
		}
	}
	w.bulk = watch.calls()
	var err error
	w.dead, err = watch.deadLetters(context.WithoutCancel(ctx))
	return err
}

// untilReady gives the time of the first answer that is ready: a config may be
// told to wait before.
func untilReady(ctx context.Context, answers <-chan answer) (time.Time, error) {
	var last answer
	for {
		select {
		case last = <-answers:
			if last.outcome == status.Ready {
				return last.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait until it is ready: %w (%s %s)", ctx.Err(), last.outcome, last.summary)
		}
	}
}

// watcher uploads as a developer and sees when the answers are written. It
// looks at the functions' own calls: reading the answers again and again would
// slow what is measured.
type watcher struct {
	aws       *local.AWS
	objects   *s3.Client
	bucket    string
	functions map[string]bool

	mu       sync.Mutex
	expected map[string]chan answer // by resource of the call that writes the status
}

// answer is a status that was written.
type answer struct {
	at      time.Time
	outcome status.Outcome
	summary string
}

func newWatcher(a *local.AWS) (w *watcher, remove func()) {
	w = &watcher{
		aws: a, objects: s3.NewFromConfig(a.Config("developer")), bucket: naming.ConfigBucket(account, region),
		functions: map[string]bool{}, expected: map[string]chan answer{},
	}
	for name := range a.Stack().Functions {
		w.functions[name] = true
	}
	return w, a.Proxy().AddHook(proxy.Hook{After: w.see})
}

// answers is room for more statuses than a config is given within a deadline.
const answers = 100

// see takes every status that is written for an expected config.
func (w *watcher) see(c proxy.Call) proxy.Verdict {
	if c.Service != "s3" || c.Operation != "PutObject" || !c.Committed {
		return proxy.Continue
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if to, ok := w.expected[c.Resource]; ok {
		a := answer{at: time.Now()}
		if s, err := status.Parse([]byte(c.Request.Body)); err != nil {
			a.summary = "the answer cannot be read: " + err.Error()
		} else {
			a.outcome, a.summary = s.Outcome, s.Summary
		}
		select {
		case to <- a:
		default: // the function must not wait for us
		}
	}
	return proxy.Continue
}

func (w *watcher) expect(key string) <-chan answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan answer, answers)
	w.expected[w.bucket+"/"+naming.StatusKey(key)] = c
	return c
}

func (w *watcher) upload(ctx context.Context, key, config string) error {
	_, err := w.objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: strings.NewReader(config)})
	if err != nil {
		return fmt.Errorf("upload %s: %w", key, err)
	}
	return nil
}

// uploadAndWait gives the milliseconds until the config was answered ready, and
// returns when everything else that follows has happened.
func (w *watcher) uploadAndWait(ctx context.Context, key, config string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, oneDeadline)
	defer cancel()
	answered := w.expect(key)
	started := time.Now()
	if err := w.upload(ctx, key, config); err != nil {
		return 0, err
	}
	at, err := untilReady(ctx, answered)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	if err := w.aws.WaitIdle(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return float64(at.Sub(started).Microseconds()) / 1000, nil
}

// buildOf uploads a source of the config's agent, waits for its image and counts
// the calls on the way.
func (w *watcher) buildOf(ctx context.Context, key, agent string) (toImage, error) {
	ctx, cancel := context.WithTimeout(ctx, oneDeadline)
	defer cancel()
	var source bytes.Buffer
	z := zip.NewWriter(&source)
	f, err := z.Create("Dockerfile")
	if err != nil {
		return toImage{}, err
	}
	if _, err := io.WriteString(f, "FROM scratch\n"); err != nil {
		return toImage{}, err
	}
	if err := z.Close(); err != nil {
		return toImage{}, err
	}
	w.aws.Proxy().Reset()
	out, err := w.objects.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(naming.SourceBucket(account, region)), Key: aws.String(naming.SourceKey("", agent)), Body: bytes.NewReader(source.Bytes()),
	})
	if err != nil {
		return toImage{}, fmt.Errorf("upload the source of %s: %w", agent, err)
	}
	if err := w.aws.WaitIdle(ctx); err != nil {
		return toImage{}, fmt.Errorf("build the source of %s: %w", agent, err)
	}
	s, err := w.status(ctx, key)
	if err != nil {
		return toImage{}, err
	}
	a, _ := s.Agent(agent)
	if a.Build == nil || a.Build.Image == "" || a.Build.SourceVersion != aws.ToString(out.VersionId) {
		return toImage{}, fmt.Errorf("build the source of %s: %s (%+v)", agent, s.Summary, a.Build)
	}
	made := w.aws.Calls(proxy.Filter{})
	started := 1 + slices.IndexFunc(made, func(c proxy.Call) bool { return c.Operation == "StartBuild" })
	return toImage{start: countCalls(made[:started], w.functions), rest: countCalls(made[started:], w.functions)}, nil
}

func (w *watcher) status(ctx context.Context, key string) (status.Status, error) {
	out, err := w.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &w.bucket, Key: aws.String(naming.StatusKey(key))})
	if err != nil {
		return status.Status{}, fmt.Errorf("read the status of %s: %w", key, err)
	}
	data, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return status.Status{}, fmt.Errorf("read the status of %s: %w", key, err)
	}
	return status.Parse(data)
}

// calls counts those of the functions since the log was emptied.
func (w *watcher) calls() calls { return countCalls(w.aws.Calls(proxy.Filter{}), w.functions) }

// deadLetters counts the messages in the queues whose URLs the stack gives out
// as those of dead letters.
func (w *watcher) deadLetters(ctx context.Context) (int, error) {
	n, queues := 0, 0
	client := sqs.NewFromConfig(w.aws.Config("operator"))
	for name, url := range w.aws.Stack().Outputs {
		if !strings.HasSuffix(name, "DeadLetterQueueUrl") {
			continue
		}
		queues++
		out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: aws.String(url), AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages},
		})
		if err != nil {
			return 0, fmt.Errorf("length of %s: %w", name, err)
		}
		length, err := strconv.Atoi(out.Attributes["ApproximateNumberOfMessages"])
		if err != nil {
			return 0, fmt.Errorf("length of %s: %w", name, err)
		}
		n += length
	}
	if queues == 0 {
		return 0, errors.New("the stack gives out no queue of dead letters")
	}
	return n, nil
}
