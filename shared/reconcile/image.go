package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// images reads what the images of the config's container agents are made with.
// What keeps a source from being built is a problem of its agent.
func (v *view) images(ctx context.Context, want desired.State) ([]plan.Image, []fault.Problem, error) {
	projects, err := v.projects(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	var all []plan.Image
	var problems []fault.Problem
	bulk := v.from.Repositories == nil
	for _, a := range want.Agents {
		if a.Repository == nil {
			continue
		}
		known, _ := v.stored.Agent(a.Name)
		i := plan.Image{
			Repository: *a.Repository, Project: a.Project,
			Claim: v.claims[naming.ProjectClaimKey(a.Name)].Claim, Applied: known.Applied, Drift: v.from.Drift, RepositoryUnread: bulk,
		}
		if !bulk {
			if i.ObservedRepository, err = v.repository(ctx, i.Repository); err != nil {
				return nil, nil, err
			}
		}
		if i.Project != nil {
			i.BuildRole = naming.RoleOf(i.Project.ServiceRole)
			if o, there := projects[i.Project.Name]; there {
				i.ObservedProject = &o
			}
		}
		if i.Project != nil && !bulk {
			more, err := v.order(ctx, &i, known.Build)
			if err != nil {
				return nil, nil, err
			}
			problems = append(problems, more...)
		}
		all = append(all, i)
	}
	if bulk {
		return all, problems, nil
	}
	more, err := v.builds(ctx, all)
	return all, append(problems, more...), err
}

func (v *view) projects(ctx context.Context, want desired.State) (map[string]model.ObservedProject, error) {
	var names []string
	for _, a := range want.Agents {
		if a.Project != nil {
			names = append(names, a.Project.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil //nolint:nilnil // there is nothing to read
	}
	return v.from.Projects.Read(ctx, names)
}

func (v *view) project(ctx context.Context, name string) (*model.ObservedProject, error) {
	there, err := v.from.Projects.Read(ctx, []string{name})
	if o, ok := there[name]; ok {
		return &o, err
	}
	return nil, err
}

func (v *view) repository(ctx context.Context, d model.Repository) (*model.ObservedRepository, error) {
	read := v.from.Repositories.Read
	if d.Named {
		read = v.from.Repositories.Head
	}
	o, err := read(ctx, d.Name)
	if errors.Is(err, fault.ErrNotFound) {
		return nil, nil //nolint:nilnil // as for roles
	}
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// order finds the build that the newest source asks for.
func (v *view) order(ctx context.Context, i *plan.Image, built *status.Build) ([]fault.Problem, error) {
	var version string
	if built != nil {
		version = built.SourceVersion
	}
	bucket, key, _ := strings.Cut(i.Project.Source, "/")
	s, err := v.from.Sources.Source(ctx, key, version)
	if errors.Is(err, fault.ErrNotFound) {
		v.sourceless[i.Project.Agent] = true
		v.hindered[i.Project.Agent] = "there is no source; upload it to s3://" + i.Project.Source
		return nil, nil
	}
	if err != nil && !errors.Is(err, fault.ErrDenied) {
		return nil, err
	}
	warn := func(code, message, fix string) []fault.Problem {
		v.hindered[i.Project.Agent] = message
		return []fault.Problem{v.agent(i.Project.Agent).Warning(code, "", message, fix)}
	}
	switch {
	case err != nil:
		return warn("source-unreadable", fmt.Sprintf("s3://%s cannot be read; nothing is built: %s", i.Project.Source, report.Clip(err.Error())),
			"upload the source without a key or storage class of its own; if it has none, have the platform team look at the bucket's policy and encryption"), nil
	case s.Version == "":
		return warn("source-bucket-unversioned", fmt.Sprintf("bucket %s keeps no versions, so that a build could get another source than the one that was uploaded; nothing is built", bucket),
			"tell the platform team to turn versioning on and upload the source again; `rolekeeper preflight` prints the command"), nil
	case s.Size == 0:
		return warn("source-empty", fmt.Sprintf("s3://%s is empty; nothing is built", i.Project.Source), "upload a zip with the agent's source and a Dockerfile"), nil
	case !s.Zip:
		return warn("source-not-zip", fmt.Sprintf("s3://%s is not a zip with files in it; nothing is built", i.Project.Source), "upload a zip with the agent's source and a Dockerfile"), nil
	}
	latest := true // what this plan makes is made so
	if o := i.ObservedRepository; o != nil {
		latest = o.LatestMutable
	}
	order := i.Project.Order(s.Version, latest)
	i.Order = &order
	return nil, nil
}

// builds reads what decides whether a build is to be started. A build that the
// status knows to have ended stays as it was; before another is started, the
// project's builds are looked through for one that the status lost.
func (v *view) builds(ctx context.Context, images []plan.Image) ([]fault.Problem, error) {
	var running []string
	for i := range images {
		b := v.lastBuild(images[i])
		if b == nil || b.State == model.BuildSucceeded && lost(images[i], b.Since) {
			continue
		}
		if !b.State.Ended() {
			running = append(running, b.ID)
		}
		images[i].Builds = []model.Build{{
			ID: b.ID, Project: images[i].Project.Name, Identity: b.Identity, SourceVersion: b.SourceVersion,
			State: b.State, Message: b.Message, LogURL: b.LogURL,
		}}
	}
	if len(running) > 0 {
		fresh, err := v.from.Projects.Refresh(ctx, running)
		if err != nil {
			return nil, err
		}
		for i := range images {
			v.refresh(&images[i], fresh)
		}
	}
	var problems []fault.Problem
	for i := range images {
		if images[i].Order == nil || images[i].Built() {
			continue
		}
		if err := v.listBuilds(ctx, &images[i]); err != nil {
			return nil, err
		}
		more, err := v.hinder(ctx, &images[i])
		if err != nil {
			return nil, err
		}
		problems = append(problems, more...)
	}
	return problems, nil
}

// lastBuild gives the newest build that the status has of the image's project.
func (v *view) lastBuild(i plan.Image) *status.Build {
	known, _ := v.stored.Agent(i.Repository.Agent)
	if i.Project == nil {
		return nil
	}
	return known.Build.Started()
}

// refresh puts what a build was just read to be in the place of what was known.
// One that CodeBuild does not know any more has taken its result with it. What
// came of one that has ended is told before the next is started.
func (v *view) refresh(i *plan.Image, fresh []model.Build) {
	if len(i.Builds) == 0 || i.Builds[0].State.Ended() {
		return
	}
	at := slices.IndexFunc(fresh, func(b model.Build) bool { return b.ID == i.Builds[0].ID })
	if at < 0 {
		i.Builds = nil
		return
	}
	i.Builds[0] = fresh[at]
	v.ended[i.Project.Agent] = fresh[at].State.Ended()
	if v.ended[i.Project.Agent] && i.Order != nil && !i.Order.Made(fresh[at]) {
		i.Order, v.next[i.Project.Agent] = nil, true
	}
}

// clockSkew is how far the clocks of ECR and CodeBuild, and ours, may lie apart
// without one thing being taken for older than another that it came after.
const clockSkew = time.Minute

// lost reports whether an image that was built by a time is gone: with a
// repository of ours that is to be made anew, or with an earlier one.
func lost(i plan.Image, by time.Time) bool {
	if o := i.ObservedRepository; o != nil {
		return by.Before(o.Created.Add(-clockSkew))
	}
	return !i.Repository.Named
}

// listBuilds reads the newest builds of the image's project, if that is ours.
// CodeBuild keeps those of a deleted project for another of its name; they are
// none of this one's, and may be anybody's.
func (v *view) listBuilds(ctx context.Context, i *plan.Image) error {
	if !i.Ours() {
		return nil
	}
	all, err := v.from.Projects.Builds(ctx, i.Project.Name)
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(all, i.Order.Made); at >= 0 {
		i.Order.After = all[at].ID
	}
	all = slices.DeleteFunc(all, func(b model.Build) bool {
		return b.State == model.BuildSucceeded && lost(*i, b.Started) || b.Started.Before(i.ObservedProject.Created.Add(-clockSkew))
	})
	for _, b := range i.Builds { // a list may lag behind
		if !slices.ContainsFunc(all, func(l model.Build) bool { return l.ID == b.ID }) {
			all = append([]model.Build{b}, all...)
		}
	}
	i.Builds = all
	return nil
}

// keptImage is why there is no other image of a source.
const keptImage = "its repository has an image of this source already, under a tag that cannot be moved"

// hinder keeps a build from being started that could not keep what it makes, or
// whose successors nobody would start.
func (v *view) hinder(ctx context.Context, i *plan.Image) ([]fault.Problem, error) {
	if i.Built() {
		return nil, nil
	}
	kept, err := v.kept(ctx, *i)
	if err != nil {
		return nil, err
	}
	if kept {
		i.Order, v.hindered[i.Project.Agent] = nil, keptImage
		return nil, nil
	}
	if v.notifies == nil {
		notifies, err := v.from.Sources.Notifies(ctx)
		if err != nil {
			return nil, err
		}
		v.notifies = &notifies
	}
	if *v.notifies {
		return nil, nil
	}
	bucket, _, _ := strings.Cut(i.Project.Source, "/")
	p := v.agent(i.Project.Agent).Warning("source-bucket-silent", "",
		fmt.Sprintf("bucket %s sends no events to EventBridge, so that new sources would not be noticed; nothing is built", bucket),
		"tell the platform team to turn the events on, then upload the source again; `rolekeeper preflight` prints the command")
	i.Order, v.hindered[i.Project.Agent] = nil, p.Message
	return []fault.Problem{p}, nil
}

// kept reports whether the repository has an image of the ordered source that no
// other could take the place of.
func (v *view) kept(ctx context.Context, i plan.Image) (bool, error) {
	if o := i.ObservedRepository; o == nil || o.SourceMutable {
		return false, nil
	}
	_, err := v.from.Repositories.Digest(ctx, i.Repository.Name, i.Order.ImageTag)
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
