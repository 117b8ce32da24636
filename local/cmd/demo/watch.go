package main

import (
	"bytes"
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
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/local"
	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/buildproject"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/status"
)

// watcher uploads as a developer and reads back what became of it.
type watcher struct {
	aws          *local.AWS
	objects      *s3.Client
	roles        *iamrole.Client
	repositories *imagerepository.Reader
	projects     *buildproject.Reader
	agentCore    *bedrockagentcorecontrol.Client
	bucket       string

	runtimes map[string]string             // ids by name
	before   map[string]model.ObservedRole // by name: roles before their agents' grace period was over

	// What was read back: roles made, adopted and repaired, images and builds that
	// failed, configs refused, and roles deleted, kept since they are in use, and restored.
	made, adopted, repaired, built, failed, refused, deleted, kept, restored int
}

func newWatcher(a *local.AWS) *watcher {
	auditor := a.Config("auditor")
	return &watcher{
		aws: a, objects: s3.NewFromConfig(a.Config("developer")), bucket: naming.ConfigBucket(account, region),
		roles: iamrole.New(iam.NewFromConfig(auditor)), projects: buildproject.NewReader(codebuild.NewFromConfig(auditor)),
		repositories: imagerepository.NewReader(ecr.NewFromConfig(auditor), account),
		agentCore:    bedrockagentcorecontrol.NewFromConfig(a.Config("developer")),
		runtimes:     map[string]string{}, before: map[string]model.ObservedRole{},
	}
}

// config uploads a config, waits for what follows and tells it.
func (w *watcher) config(ctx context.Context, p *printer, u upload) error {
	s, err := w.uploadConfig(ctx, p, u.key, u.config)
	if err != nil {
		return err
	}
	if !u.good {
		w.refused++
		return tellFaults(p, s, u)
	}
	if err := ready(s); err != nil {
		return err
	}
	if err := w.tellMade(ctx, p, s); err != nil {
		return err
	}
	tellNext(p, s)
	return nil
}

func tellNext(p *printer, s status.Status) {
	for _, n := range s.Next {
		p.line("next     %s", n)
	}
}

// uploadConfig uploads a config and gives the answer to it.
func (w *watcher) uploadConfig(ctx context.Context, p *printer, key, config string) (status.Status, error) {
	_, _, err := w.upload(ctx, p, w.bucket, key, []byte(config))
	if err != nil {
		return status.Status{}, err
	}
	return w.answer(ctx, p, key)
}

// answer reads the answer to a config and tells it.
func (w *watcher) answer(ctx context.Context, p *printer, key string) (status.Status, error) {
	s, err := w.status(ctx, key)
	if err != nil {
		return status.Status{}, err
	}
	p.line("answer   %s: %s", strings.ToUpper(string(s.Outcome)), s.Summary)
	return s, nil
}

// ready says what keeps an answer from being that everything is as it should be.
func ready(s status.Status) error {
	if s.Outcome != status.Ready {
		return fmt.Errorf("outcome is %s, want %s: %v", s.Outcome, status.Ready, s.Problems)
	}
	return nil
}

// upload uploads an object, waits until nothing is left to do and tells the
// events on the way. It gives the object's version and the events.
func (w *watcher) upload(ctx context.Context, p *printer, bucket, key string, data []byte) (version string, events []bus.Event, err error) {
	started, before := time.Now(), len(w.aws.Events())
	out, err := w.objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)})
	if err != nil {
		return "", nil, fmt.Errorf("upload: %w", err)
	}
	p.line("uploaded s3://%s/%s", bucket, key)
	if err := w.wait(ctx); err != nil {
		return "", nil, err
	}
	events = w.tellEvents(p, before)
	p.line("idle     after %d ms", time.Since(started).Milliseconds())
	return aws.ToString(out.VersionId), events, nil
}

// tellEvents tells the events since the first so many, and gives them.
func (w *watcher) tellEvents(p *printer, before int) []bus.Event {
	events := w.aws.Events()[before:]
	for _, e := range events {
		if about, of := subject(e); of {
			p.line("event    %-13s %s: %s", e.Source, e.DetailType, about)
		}
	}
	return events
}

// wait waits until nothing is left to do.
func (w *watcher) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	return w.aws.WaitIdle(ctx)
}

// subject gives what an event is about, and whether it is of the story: an
// upload, a change of a build or a runtime, or an event of Rolekeeper's own. Its statuses and
// claims are objects of the same bucket as configs and have events, too, which no
// rule wants.
func subject(e bus.Event) (string, bool) {
	var d struct {
		Agent  string `json:"agent"`
		Config string `json:"config"`
		Object struct {
			Key string `json:"key"`
		} `json:"object"`
		Project string `json:"project-name"`
		Build   string `json:"build-status"`
		Call    string `json:"eventName"` // of CloudTrail
		Asked   struct {
			Role string `json:"roleName"`
		} `json:"requestParameters"`
		Answer struct {
			Runtime string `json:"agentRuntimeId"`
		} `json:"responseElements"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return "", false
	}
	_, _, source := naming.SplitSourceKey(d.Object.Key)
	switch {
	case d.Config != "":
		return strings.TrimSpace(d.Config + " " + d.Agent), true
	case d.Build != "":
		return d.Build + " " + d.Project, true
	case d.Call != "":
		return d.Call + " " + d.Answer.Runtime + d.Asked.Role, true
	}
	return d.Object.Key, source || strings.HasPrefix(d.Object.Key, naming.ConfigPrefix)
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

// tellMade reads everything that the answer names from AWS.
func (w *watcher) tellMade(ctx context.Context, p *printer, s status.Status) error {
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
		if a.Project == "" {
			continue
		}
		if err := w.tellParts(ctx, p, s.Config.Key, a); err != nil {
			return err
		}
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
	for _, function := range []string{"intake", "reconcile", "drift"} {
		services := map[string]map[string]int{}
		for _, c := range w.aws.Calls(proxy.Filter{Caller: function}) {
			if services[c.Service] == nil {
				services[c.Service] = map[string]int{}
			}
			services[c.Service][c.Operation]++
		}
		for _, service := range slices.Sorted(maps.Keys(services)) {
			var counts []string
			for _, operation := range slices.Sorted(maps.Keys(services[service])) {
				counts = append(counts, fmt.Sprintf("%d %s", services[service][operation], operation))
			}
			lines = append(lines, fmt.Sprintf("%-10s %-17s %s", function, service, strings.Join(counts, ", ")))
		}
	}
	return lines
}
