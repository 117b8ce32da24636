package reconcile

import (
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
			return status.Request{ID: q.id, Outcome: status.RequestRefused, Message: fmt.Sprintf(format, args...)}, nil
		}
		n := slices.IndexFunc(s.images, func(i plan.Image) bool { return i.Repository.Agent == name })
		switch {
		case n < 0:
			return refuse("the config has no container agent %.100q", name)
		case s.images[n].Project == nil:
			return refuse("agent %q has no CodeBuild project: its build role is not Rolekeeper's", name)
		case r.next[name]:
			return status.Request{}, nil
		case s.images[n].Order == nil:
			return refuse("agent %q has no source that can be built", name)
		case s.images[n].Order.Identity != identity:
			return refuse("what would be built for agent %q now is not what the operator was shown; look at it again", name)
		case s.images[n].Order.Request != "":
			return status.Request{}, nil // another request comes first
		}
		i := &s.images[n]
		if err := r.listBuilds(ctx, i); err != nil {
			return status.Request{}, err
		}
		i.Order.Request = q.id
		if at := slices.IndexFunc(i.Builds, i.Order.Made); at >= 0 {
			i.Order.Request = ""
			return started(q.id, i.Builds[at].ID), nil
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
	s.Repository, s.Project = "", ""
	var i plan.Image
	if n := slices.IndexFunc(there.images, func(i plan.Image) bool { return i.Repository.Agent == a.Name }); n >= 0 {
		i = there.images[n]
	}
	wanted, refused := map[model.Part]bool{}, map[model.Part]bool{}
	if a.Repository != nil {
		wanted[model.RepositoryPart], refused[model.RepositoryPart] = true, p.RefusedPart(a.Name, model.RepositoryPart)
		if !refused[model.RepositoryPart] {
			s.Repository = a.Repository.Name
		}
	}
	if a.Project != nil {
		wanted[model.ProjectPart], refused[model.ProjectPart] = true, p.RefusedPart(a.Name, model.ProjectPart) || p.Refused(i.BuildRole)
		if !refused[model.ProjectPart] {
			s.Project = a.Project.Name
		}
	}
	digests := plan.ImageDigests(i)
	for _, part := range []model.Part{model.RepositoryPart, model.ProjectPart} {
		from := digests
		if !wanted[part] || refused[part] {
			from = known.Applied
		}
		before := len(s.Applied)
		for e, digest := range from {
			if plan.KindOf(e) == model.RoleKind(part) {
				s.Applied[e] = digest
			}
		}
		if !wanted[part] && len(s.Applied) > before {
			s.Notes = append(s.Notes, report.UnusedPartNote(part))
		}
	}
	if i.Project == nil {
		return nil, nil
	}
	build, problems, err := r.built(ctx, i)
	s.Build = build
	if build == nil && r.sourceless[a.Name] {
		bucket, key, _ := strings.Cut(i.Project.Source, "/")
		s.Notes = append(s.Notes, report.NoSourceNote(bucket, key))
	}
	return problems, err
}

// built gives what is known of an agent's newest build after the plan was
// applied, nil when there is none.
func (r *run) built(ctx context.Context, i plan.Image) (*status.Build, []fault.Problem, error) {
	before := r.lastBuild(i)
	if before == nil {
		before = &status.Build{}
	}
	var now status.Build
	if why, full := r.full[i.Repository.Agent]; full {
		now = status.Build{State: status.BuildWaiting, Identity: i.Order.Identity, SourceVersion: i.Order.SourceVersion, Message: report.Clip(why)}
	} else {
		b, ok := r.started[i.Repository.Agent]
		if !ok {
			b, ok = plan.Current(i)
		}
		if !ok {
			return nil, nil, nil
		}
		now = status.Build{
			ID: b.ID, State: b.State, Identity: b.Identity, SourceVersion: b.SourceVersion, LogURL: b.LogURL, Message: report.Clip(b.Message),
		}
	}
	now.Since = r.now.Truncate(time.Second)
	if now.ID == before.ID && now.State == before.State && now.Identity == before.Identity {
		now.Since, now.Image = before.Since, before.Image
	}
	problems, err := r.result(ctx, i, &now)
	return &now, problems, err
}

// result finds out what came of a build that has ended.
func (r *run) result(ctx context.Context, i plan.Image, b *status.Build) ([]fault.Problem, error) {
	warning := func(p fault.Problem) []fault.Problem {
		p.Severity = fault.SeverityWarning
		return []fault.Problem{p}
	}
	a := r.agent(i.Repository.Agent)
	switch {
	case !b.State.Ended():
		return nil, nil
	case b.State != model.BuildSucceeded:
		return warning(a.Problem("build-failed", "", fmt.Sprintf("build %s: %s", b.ID, report.BuildEnd(*b)), report.BuildFix(r.key, a.Name))), nil
	case b.Image != "":
		return nil, nil
	}
	tag := model.ImageTag(b.SourceVersion)
	digest, err := r.Repositories.Digest(ctx, i.Repository.Name, tag)
	if errors.Is(err, fault.ErrNotFound) {
		return warning(a.Problem("image-missing", "",
			fmt.Sprintf("build %s succeeded, but repository %s has no image with the tag %s", b.ID, i.Repository.Name, tag),
			"find out who deleted it; upload the source again to have it built")), nil
	}
	if err != nil {
		return nil, err
	}
	b.Image = i.Repository.URI + "@" + digest
	return nil, nil
}

// Bounds of the time after which CodeBuild is asked again for room.
const (
	minRoomWait = time.Minute
	maxRoomWait = event.MaxDelay
)

// buildWait gives the time after which a config with builds that have not ended
// is to be looked at again; not ok when there are none. One that is due is started
// at once then; one that runs is told of
// by an event, and looked at anyway in case that is lost. The longer a build has
// waited for room, the longer it waits again.
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
			delay = min(delay, max(r.now.Sub(a.Build.Since), minRoomWait))
		}
		ok = true
	}
	return min(delay, maxRoomWait), waiting, ok
}

// wakeLater has the config looked at again after a delay. One wake-up under way
// is enough: another is sent only when it would come earlier.
func (r *run) wakeLater(ctx context.Context, s *status.Status, delay time.Duration) error {
	at := r.now.Add(delay).Truncate(time.Second)
	if before := r.stored.WakeAt; before.After(r.now) && !at.Before(before) {
		s.WakeAt = before
		return nil
	}
	m, err := event.Wake(r.key, r.now, delay)
	if err != nil {
		return err
	}
	s.WakeAt = at
	return r.Inbox.Send(ctx, m)
}
