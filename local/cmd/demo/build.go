package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/local/bus"
	"rolekeeper/local/codebuild"
	"rolekeeper/shared/event"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// assistant is the agent whose source is built.
const (
	assistant    = "claims_assistant"
	assistantKey = "configs/support/claims.yaml"
)

// dockerfile is one that builds, and with its last line one that does not.
const (
	dockerfile = "FROM public.ecr.aws/docker/library/python:3.13-slim\nCOPY . /app\nCMD [\"python\", \"/app/agents/claims/app.py\"]\n"
	faulty     = dockerfile + "RUN false\n"
)

// latest is the tag that moves from image to image.
const latest = "latest"

// image uploads a source and tells the image that is built of it.
func (w *watcher) image(ctx context.Context, p *printer) error {
	s, a, err := w.build(ctx, p, dockerfile, model.BuildSucceeded, event.BuildSucceeded{}.DetailType())
	if err != nil {
		return err
	}
	b, tag := a.Build, model.ImageTag(a.Build.SourceVersion)
	for _, t := range []string{tag, latest} {
		digest, err := w.repositories.Digest(ctx, a.Repository, t)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(b.Image, "/"+a.Repository+"@"+digest) {
			return fmt.Errorf("the image is told as %s, and %s is %s", b.Image, t, digest)
		}
	}
	p.line("image    %s", b.Image)
	p.line("           with the tags %s and %s", tag, latest)
	tellNext(p, s)
	w.built++
	return nil
}

// failure uploads a source of which no image can be built, and tells why.
func (w *watcher) failure(ctx context.Context, p *printer) error {
	before, err := w.repositories.Digest(ctx, naming.Repository(assistant), latest)
	if err != nil {
		return err
	}
	s, a, err := w.build(ctx, p, faulty, model.BuildFailed, event.BuildFailed{}.DetailType())
	if err != nil {
		return err
	}
	b := a.Build
	if b.Message == "" || b.LogURL == "" {
		return fmt.Errorf("the answer does not tell why the build failed: %+v", b)
	}
	p.line("message  %s", b.Message)
	p.line("log      %s", b.LogURL)
	var errs []string
	for _, line := range w.aws.Logs(codebuild.CallerName + naming.Project(assistant)) {
		if strings.HasPrefix(line, "ERROR") {
			errs = append(errs, line)
		}
	}
	if len(errs) == 0 {
		return errors.New("the log of the build has no error")
	}
	for _, line := range errs {
		p.line("           %s", line)
	}
	after, err := w.repositories.Digest(ctx, a.Repository, latest)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("%s is %s, and was %s before a build that failed", latest, after, before)
	}
	p.line("image    %s is still %s", latest, after)
	tellNext(p, s)
	w.failed++
	return nil
}

// build uploads a source with a Dockerfile, holds that its build ended as it
// should and was told so, and gives the answer and its agent.
func (w *watcher) build(ctx context.Context, p *printer, docker string, state model.BuildState, told string) (status.Status, status.Agent, error) {
	fail := func(err error) (status.Status, status.Agent, error) { return status.Status{}, status.Agent{}, err }
	data, err := zipOf(map[string]string{"Dockerfile": docker, "agents/claims/app.py": "print('hello')\n"})
	if err != nil {
		return fail(fmt.Errorf("pack the source: %w", err))
	}
	version, events, err := w.upload(ctx, p, w.aws.Stack().Outputs["SourceBucket"], naming.SourceKey("", assistant), data)
	if err != nil {
		return fail(err)
	}
	s, err := w.answer(ctx, p, assistantKey)
	if err != nil {
		return fail(err)
	}
	if err := ready(s); err != nil {
		return fail(err)
	}
	a, _ := s.Agent(assistant)
	if a.Build == nil || a.Build.State != state || a.Build.SourceVersion != version {
		return fail(fmt.Errorf("the build is told as %+v, want %s of version %s", a.Build, state, version))
	}
	builds, err := w.projects.Builds(ctx, a.Project)
	if err != nil {
		return fail(err)
	}
	of := func(b model.Build) bool { return b.SourceVersion == version }
	if n := slices.IndexFunc(builds, of); n < 0 || builds[n].ID != a.Build.ID || builds[n].State != state || slices.ContainsFunc(builds[n+1:], of) {
		return fail(fmt.Errorf("of version %s the builds are %+v, want only %s, %s", version, builds, a.Build.ID, state))
	}
	for _, want := range []string{event.BuildStarted{}.DetailType(), told} {
		if n := count(events, want, a.Build.ID); n != 1 {
			return fail(fmt.Errorf("%d events %s of build %s, want 1", n, want, a.Build.ID))
		}
	}
	p.line("build    %s: %s, of source version %s", a.Build.ID, a.Build.State, version)
	return s, a, nil
}

// count gives how many events of a kind are about a build.
func count(events []bus.Event, detailType, build string) int {
	n := 0
	for _, e := range events {
		var d struct {
			Build string `json:"build"`
		}
		if e.DetailType == detailType && json.Unmarshal(e.Detail, &d) == nil && d.Build == build {
			n++
		}
	}
	return n
}

// zipOf packs files by name.
func zipOf(files map[string]string) ([]byte, error) {
	var data bytes.Buffer
	z := zip.NewWriter(&data)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// tellParts tells the repository and the project of a container agent.
func (w *watcher) tellParts(ctx context.Context, p *printer, config string, a status.Agent) error {
	r, err := w.repositories.Read(ctx, a.Repository)
	if err != nil {
		return err
	}
	projects, err := w.projects.Read(ctx, []string{a.Project})
	if err != nil {
		return err
	}
	o, there := projects[a.Project]
	if !there || o.ServiceRole != a.BuildRoleARN || o.Tags[model.TagConfig] != config || r.Tags[model.TagConfig] != config {
		return fmt.Errorf("project %s or repository %s is not as it should be: %+v %+v", a.Project, a.Repository, o, r)
	}
	p.line("ECR      %s, scanned on push: %t", r.Name, r.ScanOnPush)
	p.line("project  %s, %s, %s", o.Name, o.EnvironmentType, o.Image)
	p.line("           builds s3://%s with role %s", o.Source, last(o.ServiceRole))
	return nil
}
