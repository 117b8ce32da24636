package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// readers bounds how many objects are read at the same time.
const readers = 8

// bucketFlags name a config bucket, and how what is in it is shown.
type bucketFlags struct {
	region, bucket string
	output         choice
}

func (p program) statusCommand() *cobra.Command {
	f := bucketFlags{output: outputs()}
	c := &cobra.Command{
		Use:   "status [KEY]",
		Short: "Show what became of the uploaded configs",
		Long: `Show the answers to all configs in a table, or the answer to one in full. KEY is
the config's S3 key, with or without configs/ in front.

Needs AWS credentials, found as the AWS CLI finds them, that may list the config
bucket and read status/ in it. Writes nothing.

Exit codes: 0 the answer is shown, whatever it says; 1 there is none, or it could
not be read.`,
		Example: `  rolekeeper status
  rolekeeper status team/agent.yaml
  rolekeeper status -o json | jq '.[] | select(.outcome != "ready") | .config.key'`,
		Args: takes(0, 1, "at most one KEY"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.statuses(c.Context(), f)
			}
			return p.status(c.Context(), f, args[0])
		},
	}
	f.register(c)
	return c
}

func (f *bucketFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.region, "region", "", "AWS Region (default: the one of the AWS configuration)")
	flags.StringVar(&f.bucket, "bucket", "", "config bucket, of the same account (default: bedrock-agentcore-configs-ACCOUNT-REGION)")
	flags.VarP(&f.output, "output", "o", "output format")
}

// bucket is the config bucket, for reading.
type bucket struct {
	*configstore.Reader
	name  string
	place string // for errors
}

func (p program) bucket(ctx context.Context, f bucketFlags) (bucket, error) {
	a, err := p.connect(ctx, f.region)
	return a.bucket(f.bucket), err
}

// bucket gives the bucket of a name; no name gives the stack's.
func (a account) bucket(name string) bucket {
	name = cmp.Or(name, naming.ConfigBucket(a.id, a.region))
	return bucket{configstore.NewReader(a.objects, name, a.id), name, fmt.Sprintf("account %s, Region %s", a.id, a.region)}
}

// unreadable adds to an error of S3 what mostly is behind it.
func (b bucket) unreadable(err error) error {
	return fmt.Errorf("%w (%s: is Rolekeeper deployed there, and may you list and read its config bucket?)", err, b.place)
}

// status shows the status of one config.
func (p program) status(ctx context.Context, f bucketFlags, name string) error {
	key, err := configKey(name)
	if err != nil {
		return err
	}
	b, err := p.bucket(ctx, f)
	if err != nil {
		return err
	}
	s, err := b.status(ctx, key)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return fmt.Errorf("there is no answer to %s in %s: upload the config there; the answer comes within seconds, "+
			"and when it does not, ask the platform team to look into the dead letters", key, b.name)
	case errors.Is(err, errDamaged):
		return fmt.Errorf("%w; upload the config again and it is written anew", err)
	case err != nil:
		return b.unreadable(err)
	}
	if f.output.value == "json" {
		body, err := s.JSON()
		if err != nil {
			return err
		}
		p.stdout.json(json.RawMessage(body))
		return nil
	}
	statusText(p.stdout, s)
	return nil
}

// errDamaged is of an object that is there and makes no sense.
var errDamaged = errors.New("damaged")

func (b bucket) status(ctx context.Context, key string) (status.Status, error) {
	object, err := b.Get(ctx, naming.StatusKey(key))
	if err != nil {
		return status.Status{}, err
	}
	s, err := status.Parse(object.Body)
	if err != nil {
		return status.Status{}, fmt.Errorf("%s: the status is %w: %w", key, errDamaged, err)
	}
	if s.Config.Key != key {
		return status.Status{}, fmt.Errorf("%s: the status is %w: it is about %s", key, errDamaged, s.Config.Key)
	}
	return s, nil
}

// statuses shows all statuses in a table.
func (p program) statuses(ctx context.Context, f bucketFlags) error {
	b, err := p.bucket(ctx, f)
	if err != nil {
		return err
	}
	keys, err := b.keys(ctx)
	if err != nil {
		return b.unreadable(err)
	}
	all, err := b.all(ctx, keys)
	if err != nil && !errors.Is(err, errDamaged) {
		return b.unreadable(err)
	}
	if len(all) == 0 && err == nil {
		return fmt.Errorf("there are no answers in %s: upload a config to s3://%s/%s and look again", b.name, b.name, naming.ConfigPrefix)
	}
	if f.output.value == "json" {
		return errors.Join(err, p.jsonList(all))
	}
	rows := [][]string{{"CONFIG", "OUTCOME", "AGENTS", "UPDATED", "SUMMARY"}}
	for _, s := range all {
		rows = append(rows, []string{s.Config.Key, string(s.Outcome), agentNames(s), moment(s.UpdatedAt), s.Summary})
	}
	p.stdout.table(rows)
	return err
}

// keys gives the keys of the configs that have a status.
func (b bucket) keys(ctx context.Context) ([]string, error) {
	objects, err := b.List(ctx, naming.StatusPrefix)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, o := range objects {
		if key, ok := naming.ConfigKeyOf(o); ok && naming.CheckConfigKey(key) == nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// all reads the statuses of the keys, as readAll does.
func (b bucket) all(ctx context.Context, keys []string) ([]status.Status, error) {
	return readAll(keys, func(key string) (status.Status, error) { return b.status(ctx, key) })
}

// readAll reads what the keys are of, in their order, without what was deleted
// meanwhile. With errDamaged come those that are not damaged.
func readAll[T any](keys []string, read func(key string) (T, error)) ([]T, error) {
	all := make([]T, len(keys))
	errs := make([]error, len(keys))
	var failed atomic.Bool // once one cannot be read the rest is not tried
	each(readers, len(keys), func(i int) {
		if failed.Load() {
			return
		}
		all[i], errs[i] = read(keys[i])
		if err := errs[i]; err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, fault.ErrNotFound) {
			failed.Store(true)
		}
	})
	var good []T
	var damaged []error
	for i, err := range errs {
		switch {
		case err == nil:
			good = append(good, all[i])
		case errors.Is(err, errDamaged):
			damaged = append(damaged, err)
		case !errors.Is(err, fault.ErrNotFound):
			return nil, err
		}
	}
	return good, errors.Join(damaged...)
}

// each calls do for 0 to n-1, at most so many times at once.
func each(atOnce, n int, do func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(atOnce, n) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// jsonList writes statuses as one list.
func (p program) jsonList(all []status.Status) error {
	list := make([]json.RawMessage, 0, len(all))
	for _, s := range all {
		body, err := s.JSON()
		if err != nil {
			return err
		}
		list = append(list, body)
	}
	p.stdout.json(list)
	return nil
}

// agentNames gives some of the names of a status' agents.
func agentNames(s status.Status) string {
	const most = 3
	var names []string
	for _, a := range s.Agents {
		names = append(names, a.Name)
	}
	if n := len(names) - most; n > 0 {
		names = append(names[:most:most], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(names, ", ")
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
