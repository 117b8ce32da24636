package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

// rebuild makes a build that an operator asks for the order of its image. The
// request is answered when the build was started, by this run or by one that
// died; until then the answer has no id.
func (r *run) rebuild(ctx context.Context, s seen, q pending) (status.Request, error) {
	for name, identity := range q.Plans { // there is one
		refuse := func(format string, args ...any) (status.Request, error) {
			return status.Request{ID: q.id, Outcome: status.RequestRefused, Message: report.Clip(fmt.Sprintf(format, args...))}, nil
		}
		n := slices.IndexFunc(s.images, func(i plan.Image) bool { return i.Repository.Agent == name })
		if n < 0 {
			return refuse("the config has no container agent %.100q", name)
		}
		i := &s.images[n]
		switch {
		case i.Project == nil:
			return refuse("agent %q has no CodeBuild project: its build role is not Rolekeeper's", name)
		case r.ended[name]: // which is told first
			r.next[name] = true
			return status.Request{}, nil
		case i.Order == nil:
			return refuse("nothing can be built for agent %q: %s", name, r.hindered[name])
		case i.Order.Identity != identity:
			return refuse("what would be built for agent %q now is not what the operator was shown; look at it again", name)
		case i.Order.Request != "":
			return status.Request{}, nil // another request comes first
		}
		if err := r.listBuilds(ctx, i); err != nil {
			return status.Request{}, err
		}
		i.Order.Request = q.id
		if at := slices.IndexFunc(i.Builds, i.Order.Made); at >= 0 {
			i.Order.Request = ""
			return started(q.id, i.Builds[at].ID), nil
		}
		if refused := s.plan(nobody).Hinder(name, i.BuildRole); len(refused) > 0 {
			i.Order.Request = ""
			return refuse("nothing can be built for agent %q: %s", name, refused[0].Message)
		}
		kept, err := r.kept(ctx, *i)
		if err != nil {
			return status.Request{}, err
		}
		if kept {
			i.Order.Request = ""
			return refuse("nothing can be built for agent %q: %s", name, keptImage)
		}
	}
	return status.Request{}, nil
}

func started(request, build string) status.Request {
	return status.Request{ID: request, Outcome: status.RequestDone, Message: fmt.Sprintf("build %s was started", build)}
}

// answerBuilds answers the requests whose builds were started just now.
func (r *run) answerBuilds(s seen) {
	for _, i := range s.images {
		if b, ok := r.started[i.Repository.Agent]; ok && i.Order.Request != "" {
			r.requests = append(r.requests, started(i.Order.Request, b.ID))
		}
	}
}

// imaged completes what is known of an agent after the plan was applied with
// what its image is made with. As for roles, what was last applied to parts that
// are refused or no longer asked for stays known.
func (r *run) imaged(ctx context.Context, a desired.Agent, there seen, p plan.Plan, s *status.Agent) ([]fault.Problem, error) {
	known, _ := r.stored.Agent(a.Name)
	s.Repository, s.Project, s.Build = "", "", nil
	var i plan.Image
	if n := slices.IndexFunc(there.images, func(i plan.Image) bool { return i.Repository.Agent == a.Name }); n >= 0 {
		i = there.images[n]
	}
	left := map[model.Part]bool{ // not written by this plan
		model.RepositoryPart: a.Repository == nil || p.RefusedPart(a.Name, model.RepositoryPart),
		model.ProjectPart:    a.Project == nil || p.RefusedPart(a.Name, model.ProjectPart) || p.Refused(i.BuildRole),
	}
	if !left[model.RepositoryPart] {
		s.Repository = a.Repository.Name
	}
	if !left[model.ProjectPart] {
		s.Project = a.Project.Name
	}
	wanted := map[model.Part]bool{model.RepositoryPart: a.Repository != nil, model.ProjectPart: a.Project != nil}
	for _, part := range []model.Part{model.RepositoryPart, model.ProjectPart} {
		digests := plan.ImageDigests(i)
		if left[part] {
			digests = known.Applied
		}
		if kept := copyPart(s.Applied, digests, part); kept && !wanted[part] {
			s.Notes = append(s.Notes, report.UnusedPartNote(part))
		}
	}
	if i.Project == nil {
		return nil, nil
	}
	build, problems, err := r.built(ctx, i, p)
	s.Build = build
	if build == nil && r.sourceless[a.Name] {
		bucket, key, _ := strings.Cut(i.Project.Source, "/")
		s.Notes = append(s.Notes, report.NoSourceNote(bucket, key))
	}
	return problems, err
}

// copyPart copies the digests of a part and reports whether there are any.
func copyPart(to, from map[string]string, part model.Part) (any bool) {
	for e, digest := range from {
		if plan.KindOf(e) == model.RoleKind(part) {
			to[e], any = digest, true
		}
	}
	return any
}

// built gives what is known of an agent's newest build after the plan was
// applied, nil when there is none.
func (r *run) built(ctx context.Context, i plan.Image, p plan.Plan) (*status.Build, []fault.Problem, error) {
	name := i.Repository.Agent
	before := r.lastBuild(i)
	why, waits := p.Waits[name]
	if full, ok := r.full[name]; ok {
		why, waits = full, true
	}
	if waits {
		known, _ := r.stored.Agent(name)
		now := r.since(known.Build, status.Build{
			State: status.BuildWaiting, Identity: i.Order.Identity, SourceVersion: i.Order.SourceVersion, Message: report.Clip(why),
		})
		now.Last = before
		return &now, nil, nil
	}
	b, ok := r.started[name]
	if !ok {
		b, ok = plan.Current(i)
	}
	if !ok {
		return nil, nil, nil
	}
	now, err := r.result(ctx, before, b, i.Repository.URI)
	return &now, r.buildProblems(name, now), err
}

// since completes what is known of a build with what stays as it was before.
func (r *run) since(before *status.Build, now status.Build) status.Build {
	now.Since = r.now.Truncate(time.Second)
	if before != nil && now.ID == before.ID && now.State == before.State && now.Identity == before.Identity {
		now.Since, now.Image = before.Since, before.Image
	}
	return now
}

// result gives what came of a build; repository is the URI that it pushes to
// where the build itself does not say so.
func (r *run) result(ctx context.Context, before *status.Build, b model.Build, repository string) (status.Build, error) {
	now := r.since(before, status.Build{
		ID: b.ID, State: b.State, Identity: b.Identity, SourceVersion: b.SourceVersion, LogURL: b.LogURL, Message: report.Clip(b.Message),
	})
	if now.State != model.BuildSucceeded || now.Image != "" {
		return now, nil
	}
	repository = cmp.Or(b.Repository, repository)
	if repository == "" {
		return now, nil
	}
	_, name, _ := strings.Cut(repository, "/")
	digest, err := r.Repositories.Digest(ctx, name, model.ImageTag(b.SourceVersion))
	if errors.Is(err, fault.ErrNotFound) {
		return now, nil
	}
	if err == nil {
		now.Image = repository + "@" + digest
	}
	return now, err
}

// buildProblems tells of a build that has ended without an image.
func (r *run) buildProblems(agent string, b status.Build) []fault.Problem {
	a := r.agent(agent)
	switch {
	case !b.State.Ended() || b.Image != "":
		return nil
	case b.State == model.BuildSucceeded:
		return []fault.Problem{a.Warning("image-missing", "", fmt.Sprintf("build %s succeeded, but its repository has no image with the tag %s", b.ID, model.ImageTag(b.SourceVersion)),
			"find out who deleted it; upload the source again to have it built")}
	}
	return []fault.Problem{a.Warning("build-failed", "", fmt.Sprintf("build %s: %s", b.ID, report.BuildEnd(b)), report.BuildFix(r.key, a.Name))}
}

// follow brings what is told of builds up to date while the config is refused:
// those that run go on, none is started.
func (r *run) follow(ctx context.Context, s *status.Status) error {
	var running []string
	for i, a := range s.Agents {
		switch {
		case a.Build == nil || a.Build.State.Ended():
		case a.Build.ID == "":
			s.Agents[i].Build = a.Build.Last // which has ended
		default:
			running = append(running, a.Build.ID)
		}
	}
	if len(running) == 0 {
		return nil
	}
	fresh, err := r.Projects.Refresh(ctx, running)
	if err != nil {
		return err
	}
	for i, a := range s.Agents {
		if a.Build == nil || a.Build.State.Ended() {
			continue
		}
		s.Agents[i].Build = nil
		if at := slices.IndexFunc(fresh, func(b model.Build) bool { return b.ID == a.Build.ID }); at >= 0 {
			now, err := r.result(ctx, a.Build, fresh[at], "")
			if err != nil {
				return err
			}
			s.Agents[i].Build = &now
		}
	}
	if delay, _, unfinished := r.buildWait(s.Agents); unfinished {
		return r.wakeLater(ctx, s, delay)
	}
	return nil
}

// minWait is the least time after which a build that waits is tried again.
const minWait = 30 * time.Second

// hold has builds go on waiting for a changed role until the wake-up has come,
// whatever else brings the config here meanwhile.
func (v *view) hold(s seen, underway bool) {
	for n, i := range s.images {
		known, _ := v.stored.Agent(i.Repository.Agent)
		b := known.Build
		s.images[n].Held = underway && b != nil && b.State == status.BuildWaiting && b.Message == plan.FreshRole
	}
}

// buildWait gives the time after which a config with builds that have not ended
// is to be looked at again; not ok when there are none. One that is due is started
// at once then; one that runs is told of by an event, and looked at anyway in case
// that is lost. The longer a build has waited, the longer it waits again.
func (r *run) buildWait(agents []status.Agent) (delay time.Duration, waiting, ok bool) {
	delay = event.MaxDelay
	for _, a := range agents {
		switch {
		case r.next[a.Name]:
			delay = 0
		case a.Build == nil || a.Build.State.Ended():
			continue
		case a.Build.State == status.BuildWaiting:
			waiting = true
			delay = min(delay, max(r.now.Sub(a.Build.Since), minWait))
		}
		ok = true
	}
	return delay, waiting, ok
}

// underway reports whether a wake-up is still to come. One that brought this run
// about has come, whatever the clock says.
func (r *run) underway() bool {
	return r.stored.WakeAt.After(r.now) && r.woken.Before(r.stored.WakeAt)
}

// wakeLater has the config looked at again after a delay. One wake-up under way
// is enough: another is sent only when it would come earlier.
func (r *run) wakeLater(ctx context.Context, s *status.Status, delay time.Duration) error {
	delay = (delay + time.Second - 1).Truncate(time.Second) // as queues do: it must not come before its time
	at := r.now.Add(delay).Truncate(time.Second)
	if r.underway() && !at.Before(r.stored.WakeAt) {
		s.WakeAt = r.stored.WakeAt
		return nil
	}
	m, err := event.Wake(r.key, r.now, delay)
	if err != nil {
		return err
	}
	s.WakeAt = at
	return r.Inbox.Send(ctx, m)
}
