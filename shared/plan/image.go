package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Elements of the parts that an image is made with.
const (
	repositoryScanning = "repository/scanning"
	repositoryTags     = "repository/tags"
	projectSettings    = "project/settings"
	projectTags        = "project/tags"
	projectLogs        = "project/logs"
	projectExtra       = "project/extra/"
)

// ImageDigests gives the digest of every element of an agent's repository and
// project: what the status keeps of them once they are applied. A repository
// that the config names has none.
func ImageDigests(i Image) map[string]string {
	digests := map[string]string{}
	if r := i.Repository; !r.Named {
		digests[repositoryScanning] = digest(strconv.FormatBool(r.ScanOnPush))
		digests[repositoryTags] = digestTags(r.Tags)
	}
	if d := i.Project; d != nil {
		digests[projectSettings] = d.Digest()
		digests[projectTags] = digestTags(d.Tags)
		digests[projectLogs] = digest(d.LogGroup, strconv.Itoa(int(d.LogRetentionDays)))
	}
	return digests
}

// Current gives the build that tells how an agent's image fares: the newest that
// the order made; else one of ours that runs, which the order waits for; else
// the newest of ours. It is false when there is none.
func Current(i Image) (model.Build, bool) {
	for _, is := range []func(model.Build) bool{
		func(b model.Build) bool { return i.Order != nil && i.Order.Made(b) },
		func(b model.Build) bool { return b.Identity != "" && !b.State.Ended() },
		func(b model.Build) bool { return b.Identity != "" },
	} {
		if n := slices.IndexFunc(i.Builds, is); n >= 0 {
			return i.Builds[n], true
		}
	}
	return model.Build{}, false
}

// images plans what the images of a config's agents are made with. All builds
// come last: one that CodeBuild has no room for keeps nothing else from being
// made, and an agent may build into a sibling's repository.
func (p *Plan) images(all []Image, changed map[string]bool) {
	made := map[string]bool{}
	for _, i := range all {
		made[i.Repository.Name] = made[i.Repository.Name] || !i.Repository.Named && i.ObservedRepository == nil && !i.mourned(model.RepositoryPart)
	}
	var builds []Step
	for _, i := range all {
		// Builds of one project do not overlap, so that none gives "latest" to an older
		// source.
		if ready := p.image(i, made[i.Repository.Name]); !ready || i.Order == nil || i.Built() || i.running(true) != "" {
			continue
		}
		if why := p.unsafe(i, changed[i.BuildRole]); why != "" {
			p.wait(i, why)
			continue
		}
		builds = append(builds, Step{Op: StartBuild, Agent: i.Order.Agent, Role: i.Order.Project, Reason: Create, Build: i.Order})
	}
	p.Steps = append(p.Steps, builds...)
}

// running gives the id of a build of ours, or of somebody else's, that runs in the
// project; empty when there is none.
func (i Image) running(ours bool) string {
	for _, b := range i.Builds {
		if !b.State.Ended() && (b.Identity != "") == ours {
			return b.ID
		}
	}
	return ""
}

// unsafe says why a build cannot be started yet; empty when it can.
func (p *Plan) unsafe(i Image, changed bool) string {
	theirs, away := i.running(false), i.elsewhere()
	switch {
	case theirs != "":
		return "somebody else's build runs in the project: " + theirs
	case len(away) > 0:
		return "the project has settings that are not Rolekeeper's and that builds are not to run with: " + strings.Join(away, ", ")
	case p.told(i.Order.Agent, projectSettings):
		return "somebody changed the project, and builds are not to run with that; " + untouched
	case i.Held || changed:
		return FreshRole
	}
	return ""
}

// told reports whether a finding about an agent's element is all that comes of it.
func (p *Plan) told(agent, element string) bool {
	return slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.Agent == agent && f.Element == element && !f.Repaired })
}

// mourned reports whether a part that is gone is not made anew.
func (i Image) mourned(part model.Part) bool {
	return i.Drift == ReportDrift && !i.Claim.Created(part).IsZero()
}

// FreshRole is why a build waits whose role was changed.
const FreshRole = "the build role is new or changed, which takes a while to be in force everywhere"

func (p *Plan) wait(i Image, why string) {
	if p.Waits == nil {
		p.Waits = map[string]string{}
	}
	p.Waits[i.Order.Agent] = why
}

// fresh reports whether this plan, or a run since the last answer, changes what
// decides the rights of a role.
func (p *Plan) fresh(r Role) bool {
	if slices.ContainsFunc(p.Steps, func(s Step) bool {
		return s.Role == r.Desired.Name && slices.Contains([]Op{PutBoundary, UpdateTrust, PutPolicy, DeletePolicy}, s.Op)
	}) {
		return true
	}
	for e, digest := range Digests(r.Desired) {
		descriptive := e == element(r.Desired.Kind, partTags) || e == element(r.Desired.Kind, partSettings)
		if !descriptive && r.Applied[e] != digest {
			return true
		}
	}
	return false
}

// elsewhere gives the extra settings of the project that would have a build run
// on other machines, in another network or with other sources than ours do.
func (i Image) elsewhere() []string {
	if i.ObservedProject == nil {
		return nil
	}
	away := []string{"certificate", "compute-configuration", "docker-server", "file-systems", "fleet", "secondary-sources", "vpc"}
	return slices.DeleteFunc(slices.Clone(i.ObservedProject.Extras), func(extra string) bool { return !slices.Contains(away, extra) })
}

// Built reports whether the ordered build was made, however that ended, and no
// later one of the same source took its image's tag.
func (i Image) Built() bool {
	for _, b := range i.Builds {
		switch {
		case i.Order.Made(b):
			return true
		case b.Identity != "" && b.State == model.BuildSucceeded && b.SourceVersion == i.Order.SourceVersion && b.Repository == i.Repository.URI:
			return false
		}
	}
	return false
}

// Ours reports whether the project that is there is ours.
func (i Image) Ours() bool {
	o := i.ObservedProject
	return o != nil && i.stand(model.ProjectPart, o.Created, o.Tags) != strange
}

// image plans the repository and the project of one agent, which share a claim,
// written as for roles: before one of them is made, and again before anything is
// changed. It reports whether a build can run once the steps are done; made says
// that they make the repository for this agent or another.
func (p *Plan) image(i Image, made bool) (ready bool) {
	c := parts{Plan: p, Image: i, digests: ImageDigests(i), created: map[model.Part]time.Time{}}
	repository := c.repository(made)
	project := c.project()
	agent := i.Repository.Agent
	claim := Step{Agent: agent, Claim: naming.ProjectClaimKey(agent), Reason: Create, Created: c.created}
	if len(c.create) > 0 {
		reserve := claim
		reserve.Op, reserve.Parts = ReserveCreation, c.parts
		p.Steps = append(append(p.Steps, reserve), c.create...)
	}
	if nonces := len(i.Claim.Creating) > 0; len(c.create) > 0 || len(c.created) > 0 || nonces && !c.open {
		claim.Op, claim.KeepNonces = RecordParts, c.open
		p.Steps = append(p.Steps, claim)
	}
	p.Steps = append(p.Steps, c.rest...)
	return repository && project
}

// parts gathers the steps about the repository and the project of one agent.
type parts struct {
	*Plan
	Image
	digests      map[string]string
	create, rest []Step
	parts        []model.Part             // to be made
	created      map[model.Part]time.Time // of parts that are there, to be recorded
	open         bool                     // one that is left alone may yet prove to be half-made
}

// repository plans the repository and reports whether images can be pushed to it
// then. One that the config names is used as it is.
func (c *parts) repository(made bool) bool {
	d, o := &c.Repository, c.ObservedRepository
	step := Step{Agent: d.Agent, Role: d.Name, Repository: d}
	switch {
	case c.RepositoryUnread || d.Named && (o != nil || made):
		return true
	case d.Named:
		c.Refusals = append(c.Refusals, missingRepository(*d))
		return false
	case o == nil:
		step.Op = CreateRepository
		return c.absent(model.RepositoryPart, step, true, gone("ECR repository", d.Name, d.ARN, d.Agent, RepositoryMissing))
	}
	s := c.there(model.RepositoryPart, o.Created, o.Tags)
	if s == strange {
		c.refuse(strangeRepository(c.Image))
		return false
	}
	if o.ScanOnPush != d.ScanOnPush {
		step.Op, step.Element = ScanOnPush, repositoryScanning
		c.rest = append(c.rest, c.write(true, c.differs(s, step))...)
	}
	if !tagged(d.Tags, o.Tags) {
		step.Op, step.Element = TagRepository, repositoryTags
		if _, room := withOurs(d.Tags, o.Tags); room {
			c.rest = append(c.rest, c.write(true, c.differs(s, step))...)
		} else {
			c.found(step, Edited, false)
		}
	}
	return true
}

// project plans the project and its logs, and reports whether builds can run in
// it then. It is not written while its build role is refused: whoever made that
// role may have granted it more than the uploader of a source is to have.
func (c *parts) project() bool {
	d, o := c.Project, c.ObservedProject
	if d == nil {
		return false
	}
	held := c.Refused(c.BuildRole)
	s := absent
	if o == nil {
		if !c.absent(model.ProjectPart, Step{Op: CreateProject, Agent: d.Agent, Role: d.Name, Project: d}, !held, gone("CodeBuild project", d.Name, d.ARN, d.Agent, ProjectGone)) {
			return false
		}
	} else if s = c.there(model.ProjectPart, o.Created, o.Tags); s == strange {
		c.refuse(strangeProject(c.Image))
		return false
	} else {
		c.existing(s, held)
	}
	if !held {
		c.logs(s)
	}
	return !held
}

// absent plans a part that is not there, which is made if it may be written, and
// reports whether it then is. That one of ours is gone is told, and that is all
// where drift is not repaired.
func (c *parts) absent(part model.Part, create Step, write bool, gone Refusal) bool {
	create.Element, create.Reason = string(part), Create
	mourned := c.mourned(part)
	if !c.Claim.Created(part).IsZero() {
		c.found(create, Missing, write && !mourned)
	}
	switch {
	case mourned:
		c.refuse(gone)
	case write:
		c.parts, c.create = append(c.parts, part), append(c.create, create)
	default:
		c.open = true
	}
	return write && !mourned
}

// creationTolerance is how far two readings of when a part was made may lie
// apart: AWS gives the time with more or fewer digits.
const creationTolerance = time.Second

// stand says whose a part is that is there. For one that is half-made the nonce
// is enough: unlike a role it is whole as soon as it is made, and who can read
// its nonce and put another in its place could as well change it.
func (i Image) stand(part model.Part, created time.Time, tags map[string]string) standing {
	recorded := i.Claim.Created(part)
	switch {
	case !recorded.IsZero() && created.Sub(recorded).Abs() <= creationTolerance:
		return ours
	case i.Claim.MadePart(part, tags[model.TagCreation]):
		return halfMade
	default:
		return strange
	}
}

// there says whose a part is, and has a half-made one recorded.
func (c *parts) there(part model.Part, created time.Time, tags map[string]string) standing {
	s := c.stand(part, created, tags)
	if s == halfMade {
		c.created[part] = created.UTC()
	}
	return s
}

// refuse leaves a part alone that somebody else made.
func (c *parts) refuse(f Refusal) {
	c.open = true
	c.Refusals = append(c.Refusals, f)
}

// existing plans a project that is ours. An update replaces all its tags, so
// that the step has those of others, too.
func (c *parts) existing(s standing, held bool) {
	d, o := *c.Project, c.ObservedProject
	all, room := withOurs(d.Tags, o.Tags)
	update := d
	update.Tags = all
	step := Step{Op: UpdateProject, Agent: d.Agent, Role: d.Name, Project: &update}
	var steps []Step
	if !d.Same(o.ProjectSettings) {
		step.Element = projectSettings
		steps = append(steps, c.differs(s, step))
	}
	step.Element = projectTags
	lost := !tagged(d.Tags, o.Tags)
	if lost && room {
		steps = append(steps, c.differs(s, step))
	}
	// One call writes both: drift goes with a change.
	slices.SortStableFunc(steps, func(a, b Step) int { return order(a.Reason == Drift, b.Reason == Drift) })
	if writes := c.write(!held, steps...); len(writes) > 0 {
		c.rest = append(c.rest, writes[0])
	}
	if lost && !room {
		c.found(step, Edited, false)
	}
	for _, extra := range o.Extras {
		step.Element = projectExtra + extra
		c.found(step, Extra, false)
	}
}

// logs plans the project's log group, which is not read: it is written with the
// project, and when what it should be changes.
func (c *parts) logs(s standing) {
	d := c.Project
	applied, known := c.Applied[projectLogs]
	if s == ours && applied == c.digests[projectLogs] {
		return
	}
	step := Step{Op: CreateLogGroup, Agent: d.Agent, Role: d.Name, Element: projectLogs, Reason: Create, Project: d}
	if s == ours && known {
		step.Reason = Change
	}
	retain := step
	retain.Op = RetainLogs
	c.rest = append(c.rest, step, retain)
}

// differs completes a step about an element that is not as it should be.
func (c *parts) differs(s standing, step Step) Step {
	step.Reason = Change
	switch {
	case s == halfMade:
		step.Reason = Create
	case c.Applied == nil || c.Applied[step.Element] == c.digests[step.Element]:
		step.Reason = Drift
	}
	return step
}

// write tells of the drift that steps put right which are made together, and
// gives the steps: none when they may not be made, or when drift is all that they
// are about and it is not repaired.
func (c *parts) write(may bool, steps ...Step) []Step {
	made := may && (c.Drift != ReportDrift || slices.ContainsFunc(steps, func(s Step) bool { return s.Reason != Drift }))
	for _, s := range steps {
		if s.Reason == Drift {
			c.found(s, Edited, made)
		}
	}
	if !made {
		return nil
	}
	return steps
}

// found tells of a difference in what a step is about.
func (c *parts) found(in Step, kind FindingKind, repaired bool) {
	c.Findings = append(c.Findings, Finding{Agent: in.Agent, Role: in.Role, Element: in.Element, Kind: kind, Repaired: repaired})
}

// maxTags is how many tags a repository can have, and a project (ECR API
// reference, TooManyTagsException; CodeBuild API reference, UpdateProject).
const maxTags = 50

// withOurs gives the tags that a part is to have, others' among them but for
// those of AWS itself, which nobody can write. It is false when they are too
// many: then it gives those of others alone.
func withOurs(ours, observed map[string]string) (all map[string]string, room bool) {
	theirs := map[string]string{}
	for k, v := range observed {
		if !model.SystemTag(k) {
			theirs[k] = v
		}
	}
	all = maps.Clone(theirs)
	maps.Copy(all, ours)
	if len(all) > maxTags {
		return theirs, false
	}
	return all, true
}

// gone refuses what is done with a part that was ours and is gone.
func gone(what, name, arn, agent string, kind RefusalKind) Refusal {
	return Refusal{
		Agent: agent, Role: name, ARN: arn, Kind: kind,
		Message: fmt.Sprintf("%s %s is gone, and it is not made anew: %s", what, name, untouched),
		Fix:     "find out who deleted it (CloudTrail); have the platform team set DriftMode to repair to have it made anew",
	}
}

func missingRepository(d model.Repository) Refusal {
	return Refusal{
		Agent: d.Agent, Role: d.Name, ARN: d.ARN, Kind: RepositoryMissing,
		Message: fmt.Sprintf("the config names ECR repository %s, and there is none of that name in this account and region", d.Name),
		Fix:     "create the repository, or leave aws.ecr_repository empty to have one made; then upload the config again",
	}
}

func strangeRepository(i Image) Refusal {
	d := i.Repository
	return Refusal{
		Agent: d.Agent, Role: d.Name, ARN: i.ObservedRepository.ARN, Kind: RepositoryNotOurs,
		Message: strangePart("ECR repository "+d.Name, i.Claim.RepositoryCreated, i.ObservedRepository.Created),
		Fix: fmt.Sprintf("name %s in aws.ecr_repository to have the repository used as it is, or delete it when nothing uses its images, and upload the config again; "+
			"or rename the agent", d.Name),
	}
}

func strangeProject(i Image) Refusal {
	d := i.Project
	return Refusal{
		Agent: d.Agent, Role: d.Name, ARN: i.ObservedProject.ARN, Kind: ProjectNotOurs,
		Message: strangePart("CodeBuild project "+d.Name, i.Claim.ProjectCreated, i.ObservedProject.Created),
		Fix: fmt.Sprintf("delete the project (aws codebuild delete-project --name %s), which takes no image and no build's record away, and upload the config again; "+
			"or rename the agent", d.Name),
	}
}

// strangePart says that somebody else made a part, by when it was made.
func strangePart(what string, recorded, created time.Time) string {
	if recorded.IsZero() {
		return what + " exists already and Rolekeeper did not make it"
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return fmt.Sprintf("%s was deleted and made anew by somebody else (CloudTrail has who): it was made at %s, ours at %s", what, at(created), at(recorded))
}
