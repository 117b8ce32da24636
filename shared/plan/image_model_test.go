package plan_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
)

// workshop is a model of what the steps about an image are about: an agent's
// repository, project, log groups and builds, its claim, and what the status
// keeps of them.
type workshop struct {
	repository *model.ObservedRepository
	project    *model.ObservedProject
	groups     map[string]int32 // retention in days by name; 0 for none
	builds     []model.Build
	claim      model.Claim
	applied    map[string]string

	made map[model.Part]time.Time // by this run, and not yet recorded
}

// clone gives a copy that a new run finds.
func (w workshop) clone() workshop {
	if o := w.repository; o != nil {
		seen := *o
		seen.Tags = maps.Clone(o.Tags)
		w.repository = &seen
	}
	if o := w.project; o != nil {
		seen := *o
		seen.Tags, seen.Environment = maps.Clone(o.Tags), maps.Clone(o.Environment)
		w.project = &seen
	}
	w.groups, w.builds, w.applied = maps.Clone(w.groups), slices.Clone(w.builds), maps.Clone(w.applied)
	w.made = map[model.Part]time.Time{}
	return w
}

// look gives what Compute is to compare now.
func (w workshop) look(i plan.Image) plan.Image {
	seen := w.clone()
	i.ObservedRepository, i.ObservedProject, i.Builds, i.Claim, i.Applied = seen.repository, seen.project, seen.builds, seen.claim, seen.applied
	return i
}

// created gives when a part that is there was made.
func (w workshop) created(part model.Part) time.Time {
	if part == model.ProjectPart {
		return w.project.Created
	}
	return w.repository.Created
}

// remade is when parts are made that were not there, or not any more.
var remade = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// create makes a part's tags, whose nonce must be in the claim by then.
func (w *workshop) create(t rapid.TB, part model.Part, tags map[string]string) map[string]string {
	nonce := model.Nonce(part, "random")
	if !w.claim.MadePart(part, nonce) {
		t.Fatalf("a %s is made that a crash would leave to nobody", part)
	}
	w.made[part] = remade
	tags = maps.Clone(tags)
	tags[model.TagCreation] = nonce
	return tags
}

// apply makes one write, as AWS and package reconcile do.
func (w *workshop) apply(t rapid.TB, s plan.Step) {
	switch s.Op {
	case plan.ReserveCreation:
		w.record(s.Created)
		for _, part := range s.Parts {
			w.claim = w.claim.WithCreating(model.HashNonce(model.Nonce(part, "random")))
		}
	case plan.RecordParts:
		w.record(s.Created)
		w.record(w.made)
		if !s.KeepNonces {
			w.claim.Creating = nil
		}
	case plan.CreateRepository:
		if w.repository != nil {
			t.Fatal("the repository is there")
		}
		w.repository = &model.ObservedRepository{
			Name: s.Repository.Name, ARN: s.Repository.ARN, Created: remade, ScanOnPush: s.Repository.ScanOnPush,
			Tags: w.create(t, model.RepositoryPart, s.Repository.Tags),
		}
	case plan.CreateProject:
		if w.project != nil {
			t.Fatal("the project is there")
		}
		w.project = &model.ObservedProject{
			Name: s.Project.Name, ARN: s.Project.ARN, Created: remade, ProjectSettings: s.Project.ProjectSettings,
			Tags: w.create(t, model.ProjectPart, s.Project.Tags),
		}
	case plan.ScanOnPush:
		w.repository.ScanOnPush = s.Repository.ScanOnPush
	case plan.TagRepository:
		w.repository.Tags = tag(t, w.repository.Tags, s.Repository.Tags)
	case plan.UpdateProject:
		w.project.ProjectSettings, w.project.Tags = s.Project.ProjectSettings, tag(t, nil, s.Project.Tags)
	case plan.CreateLogGroup:
		w.groups[s.Project.LogGroup] += 0
	case plan.RetainLogs:
		if _, there := w.groups[s.Project.LogGroup]; !there {
			t.Fatal("there is no log group")
		}
		w.groups[s.Project.LogGroup] = s.Project.LogRetentionDays
	case plan.StartBuild:
		w.start(t, *s.Build)
	default:
		t.Fatalf("nobody can apply %s", s.Op)
	}
}

func (w *workshop) record(created map[model.Part]time.Time) {
	for part, at := range created {
		w.claim = w.claim.WithCreated(part, at)
	}
}

func tag(t rapid.TB, tags, with map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, tags)
	maps.Copy(all, with)
	if len(all) > 50 {
		t.Fatalf("%d tags", len(all))
	}
	return all
}

func (w *workshop) start(t rapid.TB, o model.BuildOrder) {
	if w.repository == nil || w.project == nil {
		t.Fatal("a build cannot run")
	}
	for _, b := range w.builds {
		if o.Made(b) || !b.State.Ended() {
			t.Fatalf("%+v is started although there is %+v", o, b)
		}
	}
	w.builds = append([]model.Build{{
		ID: o.Project + ":" + o.Identity, Identity: o.Identity, Request: o.Request, SourceVersion: o.SourceVersion, State: model.BuildInProgress,
	}}, w.builds...)
}

// settle keeps what a plan applied, as package reconcile does: of what is left
// alone what was applied before.
func (w *workshop) settle(p plan.Plan, i plan.Image) {
	alone := func(e string) bool {
		part := model.Part(plan.KindOf(e))
		return p.RefusedPart("a", part) || part == model.ProjectPart && p.Refused(i.BuildRole)
	}
	now := map[string]string{}
	for e, digest := range plan.ImageDigests(i) {
		if !alone(e) {
			now[e] = digest
		}
	}
	for e, digest := range w.applied {
		if alone(e) {
			now[e] = digest
		}
	}
	w.applied = now
}

// run gives the plan for what is there now and applies it.
func (w *workshop) run(t rapid.TB, roles []plan.Role, i plan.Image) plan.Plan {
	w.made = map[model.Part]time.Time{}
	p := plan.Compute(roles, nil, w.look(i))
	for _, s := range p.Steps {
		w.apply(t, s)
	}
	w.settle(p, i)
	return p
}

// anyImage draws what the image of an agent is made with: each part absent,
// ours, half-made, somebody else's or gone, and edited in some ways; its build
// role; what the status knows; its source and builds.
func anyImage(t *rapid.T) ([]plan.Role, plan.Image, workshop) {
	draw := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	chance := func(label string) bool { return rapid.IntRange(0, 3).Draw(t, label) == 0 }
	i := image()
	for _, part := range []model.Part{model.RepositoryPart, model.ProjectPart} {
		anyPart(&i, part, draw(string(part), "absent", "absent", "ours", "ours", "half-made", "half-made again", "theirs", "replaced", "gone"))
	}
	if r := i.ObservedRepository; r != nil {
		if chance("scanning edited") {
			r.ScanOnPush = false
		}
		r.Tags = anyTags(t, r.Tags)
	}
	if d := i.ObservedProject; d != nil {
		if chance("settings edited") {
			d.Buildspec, d.Environment = "theirs", nil
		}
		if chance("extras") {
			d.Extras = []string{"vpc", "webhook"}
		}
		d.Tags = anyTags(t, d.Tags)
	}
	i.Repository.Named = chance("named")
	r := input(model.BuildRole)
	if chance("build role refused") {
		r.Observed.ID = "AROA-other"
	}
	groups := map[string]int32{i.Project.LogGroup: 30}
	switch draw("applied", "this", "nothing", "another") {
	case "nothing":
		i.Applied, groups = nil, map[string]int32{}
	case "another":
		for e := range i.Applied {
			if rapid.Bool().Draw(t, e) {
				i.Applied[e] = "another"
			}
		}
		groups[i.Project.LogGroup] = 7
		if i.Applied["project/logs"] != "another" {
			groups[i.Project.LogGroup] = 30
		}
	}
	if chance("external build role") {
		i.Project, i.ObservedProject, i.BuildRole = nil, nil, ""
	}
	if i.Project != nil {
		anyBuilds(t, &i)
	}
	w := workshop{i.ObservedRepository, i.ObservedProject, groups, i.Builds, i.Claim, i.Applied, nil}
	return []plan.Role{r}, i, w.clone()
}

// anyPart makes a part of the image one of the kind.
func anyPart(i *plan.Image, part model.Part, kind string) {
	if kind == "half-made" || kind == "half-made again" {
		was := i.Claim.Created(part)
		halfMadeParts(part)(i)
		if kind == "half-made again" {
			i.Claim = i.Claim.WithCreated(part, was.Add(-time.Hour))
		}
		return
	}
	if kind == "theirs" || kind == "absent" {
		i.Claim = i.Claim.WithCreated(part, time.Time{})
	}
	if kind == "replaced" {
		i.Claim = i.Claim.WithCreated(part, i.Claim.Created(part).Add(time.Hour))
	}
	if kind == "absent" || kind == "gone" {
		if part == model.RepositoryPart {
			i.ObservedRepository = nil
		} else {
			i.ObservedProject = nil
		}
	}
}

// anyTags draws how somebody edited a part's tags, but for its nonce.
func anyTags(t *rapid.T, tags map[string]string) map[string]string {
	switch rapid.SampledFrom([]string{"", "", "", "gone", "others", "full", "full of others"}).Draw(t, "tags") {
	case "gone":
		tags = maps.Clone(tags)
		delete(tags, "t1")
	case "others":
		tags = manyTags(2, tags)
		tags["aws:x"] = "theirs"
	case "full":
		tags = manyTags(50-len(tags), tags)
	case "full of others":
		tags = manyTags(49, tags)
		delete(tags, "t1")
		delete(tags, "t2")
	}
	return tags
}

// anyBuilds draws a source and the builds of the project.
func anyBuilds(t *rapid.T, i *plan.Image) {
	states := []model.BuildState{
		model.BuildInProgress, model.BuildSucceeded, model.BuildFailed, model.BuildFault, model.BuildTimedOut, model.BuildStopped,
	}
	for range rapid.IntRange(0, 3).Draw(t, "builds") {
		b := build(rapid.SampledFrom([]string{"v0", "v1"}).Draw(t, "of"), rapid.SampledFrom(states).Draw(t, "state"))
		b.Request = rapid.SampledFrom([]string{"", "r1"}).Draw(t, "for")
		if rapid.IntRange(0, 3).Draw(t, "by somebody else") == 0 {
			b.Identity = ""
		}
		i.Builds = append(i.Builds, b)
	}
	if rapid.Bool().Draw(t, "source") {
		o := i.Project.Order("v1", true)
		o.Request = rapid.SampledFrom([]string{"", "", "r1"}).Draw(t, "request")
		i.Order = &o
	}
}

func TestAPlanForImagesLeavesNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, i, w := anyImage(t)
		first := w.run(t, roles, i)
		if len(first.Waits) > 0 { // for the build role, which is as it should be now
			first.Steps = append(first.Steps, w.run(t, roles, i).Steps...)
		}
		again := plan.Compute(roles, nil, w.look(i))
		if len(again.Steps) > 0 {
			t.Fatalf("left to do after %q: %q", lines(first), lines(again))
		}
		for _, f := range again.Findings {
			if f.Repaired {
				t.Errorf("%+v is said to be repaired by nothing", f)
			}
		}
		if diff := cmp.Diff(first.Refusals, again.Refusals); diff != "" {
			t.Errorf("refused (-first +again)\n%s", diff)
		}
		if i.Project != nil && w.project != nil && len(first.Refusals) == 0 {
			if got := w.groups[i.Project.LogGroup]; got != i.Project.LogRetentionDays {
				t.Errorf("logs are kept for %d days", got)
			}
			waits := again.Waits[i.Repository.Agent] != ""
			if i.Order != nil && !waits && !slices.ContainsFunc(w.builds, func(b model.Build) bool { return i.Order.Made(b) || !b.State.Ended() }) {
				t.Error("the source is not built")
			}
		}
	})
}

func TestEqualImagesGiveEqualPlans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, i, w := anyImage(t)
		var plans []string
		before := w.look(i)
		for range 3 {
			text, err := json.Marshal(plan.Compute(roles, nil, w.look(i)))
			if err != nil {
				t.Fatal(err)
			}
			plans = append(plans, string(text))
			_ = plan.Compute(roles, nil, before)
		}
		if len(slices.Compact(plans)) != 1 {
			t.Errorf("plans differ: %q", plans)
		}
		if diff := cmp.Diff(w.look(i), before); diff != "" {
			t.Errorf("what was seen was changed:\n%s", diff)
		}
	})
}

func TestAnImageThatIsCutComesToTheSameEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, i, start := anyImage(t)
		end := start.clone()
		first := end.run(t, roles, i)
		for cut := range first.Steps {
			w := start.clone()
			for _, s := range first.Steps[:cut] {
				w.apply(t, s)
			}
			w.run(t, roles, i)
			// What is left alone keeps the nonces, of every attempt.
			if diff := cmp.Diff(end, w, cmp.AllowUnexported(workshop{}), cmpopts.IgnoreFields(model.Claim{}, "Creating"), cmpopts.IgnoreFields(workshop{}, "made")); diff != "" {
				t.Fatalf("cut after %d of %q (-whole +cut)\n%s", cut, lines(first), diff)
			}
			if (len(end.claim.Creating) == 0) != (len(w.claim.Creating) == 0) {
				t.Fatalf("cut after %d of %q: nonces are %q, else %q", cut, lines(first), w.claim.Creating, end.claim.Creating)
			}
		}
	})
}

// Nothing of what somebody else made is written, no project gets a role of
// somebody else's, and nothing is written that the claim does not know.
func TestOnlyWhatIsOursIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles, i, w := anyImage(t)
		p := plan.Compute(roles, nil, w.look(i))
		w.made = map[model.Part]time.Time{}
		for _, s := range p.Steps {
			part := model.RepositoryPart
			if s.Project != nil {
				part = model.ProjectPart
			}
			switch s.Op {
			case plan.ReserveCreation, plan.RecordParts, plan.CreateRepository, plan.CreateProject:
			case plan.StartBuild:
				if len(p.Refusals) > 0 {
					t.Fatalf("a build starts although there are refusals: %q", lines(p))
				}
			default:
				if w.claim.Created(part).Sub(w.created(part)).Abs() > time.Second {
					t.Fatalf("%s is about a %s that the claim does not know: %q", s.Op, part, lines(p))
				}
			}
			if s.Role != "" && p.RefusedPart("a", part) || s.Repository != nil && i.Repository.Named {
				t.Fatalf("%s is about what is not ours: %q", s.Op, lines(p))
			}
			if part == model.ProjectPart && p.Refused("role-build") {
				t.Fatalf("%s gives the project a refused role: %q", s.Op, lines(p))
			}
			for _, part := range s.Parts {
				if p.RefusedPart("a", part) {
					t.Fatalf("%s is about what is not ours: %q", s.Op, lines(p))
				}
			}
			w.apply(t, s)
		}
	})
}

// A role that CodeBuild cannot assume yet keeps a project from being made for
// many runs, each of which reserves it anew.
func TestARepositoryOutlastsTheTriesToMakeItsProject(t *testing.T) {
	i := image(neverMade, sourced())
	w := workshop{groups: map[string]int32{}, claim: i.Claim}
	for range 2 * model.MaxCreating {
		w.made = map[model.Part]time.Time{}
		for _, s := range plan.Compute(nil, nil, w.look(i)).Steps {
			if s.Op == plan.CreateProject {
				break
			}
			w.apply(t, s)
		}
	}
	p := w.run(t, nil, i)
	if len(p.Refusals) > 0 || len(w.builds) != 1 {
		t.Errorf("got %q", lines(p))
	}
}
