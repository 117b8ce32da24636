package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/local"
	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// watcher uploads as a developer and reads back what became of it.
type watcher struct {
	aws     *local.AWS
	objects *s3.Client
	roles   *iamrole.Client
	bucket  string

	made, adopted, refused int // roles made and adopted, all read back; configs refused
}

func newWatcher(a *local.AWS) *watcher {
	return &watcher{
		aws: a, objects: s3.NewFromConfig(a.Config("developer")), roles: iamrole.New(iam.NewFromConfig(a.Config("auditor"))),
		bucket: naming.ConfigBucket(account, region),
	}
}

// act uploads a config, waits for what follows and tells it.
func (w *watcher) act(ctx context.Context, p *printer, u upload) error {
	started := time.Now()
	if err := w.upload(ctx, p, u.key, u.config); err != nil {
		return err
	}
	took := time.Since(started)
	s, err := w.status(ctx, u.key)
	if err != nil {
		return err
	}
	p.line("answer   %s after %d ms: %s", strings.ToUpper(string(s.Outcome)), took.Milliseconds(), s.Summary)
	if u.good {
		return w.tellRoles(ctx, p, s)
	}
	w.refused++
	return tellFaults(p, s, u)
}

// upload uploads a config, waits until nothing is left to do and tells the
// events on the way.
func (w *watcher) upload(ctx context.Context, p *printer, key, config string) error {
	events := len(w.aws.Events())
	_, err := w.objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: strings.NewReader(config)})
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	p.line("uploaded s3://%s/%s", w.bucket, key)
	if err := w.wait(ctx); err != nil {
		return err
	}
	for _, e := range w.aws.Events()[events:] {
		if about, of := subject(e); of {
			p.line("event    %-11s %s: %s", e.Source, e.DetailType, about)
		}
	}
	return nil
}

// wait waits until nothing is left to do.
func (w *watcher) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	return w.aws.WaitIdle(ctx)
}

// subject gives what an event is about, and whether it is of the story: an
// upload, or an event of Rolekeeper's own. Its statuses and claims are objects
// of the same bucket and have events, too, which no rule wants.
func subject(e bus.Event) (string, bool) {
	var d struct {
		Agent  string `json:"agent"`
		Config string `json:"config"`
		Object struct {
			Key string `json:"key"`
		} `json:"object"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return "", false
	}
	if d.Config != "" {
		return strings.TrimSpace(d.Config + " " + d.Agent), true
	}
	return d.Object.Key, strings.HasPrefix(d.Object.Key, naming.ConfigPrefix)
}

func (w *watcher) status(ctx context.Context, key string) (status.Status, error) {
	out, err := w.objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &w.bucket, Key: aws.String(naming.StatusKey(key))})
	if err != nil {
		return status.Status{}, fmt.Errorf("read the status: %w", err)
	}
	data, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return status.Status{}, fmt.Errorf("read the status: %w", err)
	}
	return status.Parse(data)
}

// tellRoles reads every role that the answer names from IAM.
func (w *watcher) tellRoles(ctx context.Context, p *printer, s status.Status) error {
	if s.Outcome != status.Ready {
		for _, problem := range s.Problems {
			p.line("         %s", problem)
		}
		return fmt.Errorf("outcome is %s, want %s", s.Outcome, status.Ready)
	}
	for _, a := range s.Agents {
		for _, arn := range []string{a.RuntimeRoleARN, a.BuildRoleARN} {
			if arn == "" {
				continue
			}
			o, err := w.roles.Read(ctx, naming.RoleOf(arn))
			if err != nil {
				return err
			}
			if err := tellRole(p, o); err != nil {
				return err
			}
			w.made++
		}
	}
	for _, n := range s.Next {
		p.line("next     %s", n)
	}
	return nil
}

func tellRole(p *printer, o model.ObservedRole) error {
	p.line("role     %s", o.ARN)
	p.line("           boundary %s, config %s", last(o.PermissionsBoundary), o.Tags[model.TagConfig])
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		d, err := policy.Parse(o.Policies[name])
		if err != nil {
			return fmt.Errorf("policy %s of role %s: %w", name, o.Name, err)
		}
		for _, s := range d.Statements {
			conditions := ""
			if len(s.Conditions) > 0 {
				conditions = "  (with conditions)"
			}
			p.line("           %-28s %s on %s%s", s.Sid, short(s.Actions), short(s.Resources), conditions)
		}
	}
	return nil
}

func last(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// short gives the first of a list and how many more there are.
func short(all []string) string {
	if len(all) == 0 {
		return "-"
	}
	first := all[0]
	if parts := strings.SplitN(first, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		first = parts[5] // service and account are the same throughout
	}
	if len(all) == 1 {
		return first
	}
	return fmt.Sprintf("%s +%d", first, len(all)-1)
}

func tellFaults(p *printer, s status.Status, u upload) error {
	if s.Outcome != status.Rejected || len(s.Problems) == 0 {
		return fmt.Errorf("outcome is %s with %d problems, want %s", s.Outcome, len(s.Problems), status.Rejected)
	}
	lines := strings.Split(u.config, "\n")
	for _, problem := range s.Problems {
		if problem.Line < 1 || problem.Line > len(lines) {
			return fmt.Errorf("problem %s is told at line %d of %d", problem.Code, problem.Line, len(lines))
		}
		p.line("%3d | %s", problem.Line, lines[problem.Line-1])
		p.line("      %s^ %s", strings.Repeat(" ", max(problem.Column-1, 0)), problem.Message)
		p.line("      %s  %s", strings.Repeat(" ", max(problem.Column-1, 0)), problem.Fix)
	}
	return nil
}

// callCounts tells the functions' calls, service by service.
func (w *watcher) callCounts() []string {
	var lines []string
	for _, function := range []string{"intake", "reconcile"} {
		counts := map[string]int{}
		for _, c := range w.aws.Calls(proxy.Filter{Caller: function}) {
			counts[c.Service+":"+c.Operation]++
		}
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			lines = append(lines, fmt.Sprintf("%-10s %3d x %s", function, counts[name], name))
		}
	}
	return lines
}
