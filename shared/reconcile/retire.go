package reconcile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

const (
	// quarantine is how long roles are denied to everybody before they are deleted, at
	// least.
	quarantine = time.Minute
	// wave is what the ends of quarantines are put off to, so that agents that go
	// together are proven unused together, and so that those are long enough whose
	// trust is taken away some seconds after the status tells of it.
	wave = 15 * time.Second
)

// retire takes an agent a step further on its way out and gives what it is then;
// no agent when it is this config's no longer.
func (r *run) retire(ctx context.Context, a status.Agent) (status.Agent, error) {
	if !r.known(a.Name) {
		if a.Phase == status.PhaseQuarantined {
			return retired(a), nil // by a run that died before it could say so
		}
		return status.Agent{}, nil
	}
	if err := r.offer(ctx, a); err != nil {
		return status.Agent{}, err
	}
	switch {
	case a.Phase == status.PhaseQuarantined && r.due.Before(a.DeleteAfter):
		r.endQuarantine(a)
		return a, nil
	case a.Phase == status.PhaseRetiring && r.now.Before(a.RetireAfter):
		return a, nil
	}
	return r.dismiss(ctx, a)
}

// dismiss takes what an agent has whose time has come: from everybody, or away.
func (r *run) dismiss(ctx context.Context, a status.Agent) (status.Agent, error) {
	if err := r.finishAll(ctx, a.Name); err != nil {
		return status.Agent{}, err
	}
	l, err := r.leaving(ctx, a)
	if err != nil {
		return status.Agent{}, err
	}
	r.proven[a.Name] = r.now // when there are no roles that anything could use
	if len(l.Ours()) > 0 {
		blockers, proven, err := r.prove(ctx, &l, a)
		switch {
		case err != nil:
			return status.Agent{}, err
		case len(blockers) > 0:
			return r.keep(ctx, a, l, blockers)
		case proven.IsZero():
			return a, nil // somebody else is about to know
		}
		r.proven[a.Name] = proven
		if a.Phase == status.PhaseRetiring {
			return r.quarantine(ctx, a, l)
		}
	}
	err = r.apply(ctx, plan.Plan{Steps: l.Delete()})
	if err != nil && fault.Of(err) != fault.Retry && a.Phase == status.PhaseQuarantined {
		return r.recover(ctx, a, l, err)
	}
	if err != nil {
		return status.Agent{}, err
	}
	if slices.Contains(r.emptied, a.Name) {
		a.Repository = ""
	}
	return retired(a), nil
}

// recover puts back what AWS refused to delete, so that neither the roles stay
// without their trust nor the config without an answer.
func (r *run) recover(ctx context.Context, a status.Agent, l plan.Leaving, why error) (status.Agent, error) {
	if err := r.rollBack(ctx, a); err != nil {
		return status.Agent{}, errors.Join(why, err)
	}
	return blocked(back(a), l.Refused(report.Clip(why.Error()))), nil
}

func blocked(a status.Agent, by []plan.Blocker) status.Agent {
	a.BlockedBy = nil
	for _, b := range by {
		a.BlockedBy = append(a.BlockedBy, status.Blocker{ARN: b.ARN, Kind: string(b.Kind), Fix: report.Clip(b.Fix)})
	}
	return a
}

// endQuarantine has the config looked at when an agent's quarantine is over. Only
// the wake-up that the status waits for says that it is: queues keep time whatever
// the clocks of functions say. One that was lost is sent again.
func (r *run) endQuarantine(a status.Agent) {
	switch {
	case r.now.Before(a.DeleteAfter):
		r.comeBack(a.DeleteAfter)
	case r.underway():
		r.comeBack(r.stored.WakeAt)
	default:
		r.comeBack(r.now.Add(quarantine))
	}
}

// finishAll finds out what became of what was being made for an agent when a run
// died: it goes, too. So does the project of an agent that came from another
// config and that this one has no project for.
func (r *run) finishAll(ctx context.Context, name string) error {
	project := need{naming.ProjectClaimKey(name), agent.Agent{Name: name}}
	if _, mine := r.claims[project.key]; !mine && r.claims[naming.RoleClaimKey(name)].BuildRoleID != "" {
		if err := r.follows(ctx, project); err != nil {
			return err
		}
	}
	for key, finish := range map[string]func(context.Context, string, *held) error{
		naming.RoleClaimKey(name): r.finish, naming.ProjectClaimKey(name): r.finishParts,
	} {
		if c, mine := r.claims[key]; mine {
			if err := finish(ctx, key, &c); err != nil {
				return err
			}
			r.claims[key] = c
		}
	}
	return nil
}

// follows takes over the claim on the project of an agent whose roles were taken
// over.
func (r *run) follows(ctx context.Context, n need) error {
	c, err := r.readClaim(ctx, n.key)
	if errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	inherits, err := r.inherits(ctx, n, &c)
	if err != nil || !inherits || c.Free { // a repository that is kept is nobody's to take along
		return err
	}
	if err := r.growIndex(ctx, []string{n.key}); err != nil {
		return err
	}
	_, err = r.inherit(ctx, n, c)
	return err
}

// retired gives an agent whose roles were deleted.
func retired(a status.Agent) status.Agent {
	return status.Agent{
		Name: a.Name, Phase: status.PhaseRetired, PhaseVersion: a.PhaseVersion, Runtimes: a.Runtimes, Repository: a.Repository,
		RetirementID: a.RetirementID, ArchiveKeys: a.ArchiveKeys,
	}
}

// offer lets another config of the team have the roles of an agent that this one
// no longer has.
func (r *run) offer(ctx context.Context, a status.Agent) error {
	key := naming.RoleClaimKey(a.Name)
	c := r.claims[key]
	if r.has(a.Name) || c.Free || c.Deleting != "" {
		return nil
	}
	return r.giveUp(ctx, key, c.Claim)
}

// giveUp writes a claim of this config as free, and wakes the configs that wait for
// the name: once more in advance, as discard does.
func (r *run) giveUp(ctx context.Context, key string, c model.Claim) error {
	c.Free = true
	if err := r.wake(ctx, c.Waiting, crashGrace); err != nil {
		return err
	}
	if err := r.writeClaim(ctx, key, c); err != nil {
		return err
	}
	return r.wake(ctx, c.Waiting, 0)
}

// leaving reads what there is of an agent that is to go.
func (r *run) leaving(ctx context.Context, a status.Agent) (plan.Leaving, error) {
	claim, project := r.claims[naming.RoleClaimKey(a.Name)].Claim, r.claims[naming.ProjectClaimKey(a.Name)].Claim
	l := plan.Leaving{
		Agent: a.Name, Account: r.env.Account, Retirement: cmp.Or(claim.Deleting, retirement(a, claim)), ProjectClaim: project,
		Needed: r.needs(a.Name), Now: r.now, Grace: r.Grace, Profiles: map[string][]string{},
	}
	for _, d := range slices.Backward(r.bare(a.Name)) {
		role := plan.Role{Desired: d, Claim: claim}
		if claim.RoleID(d.Kind) != "" {
			var err error
			if role.Observed, err = r.role(ctx, d.Name); err != nil {
				return plan.Leaving{}, err
			}
		}
		l.Roles = append(l.Roles, role)
	}
	if !project.ProjectCreated.IsZero() {
		var err error
		if l.Project, err = r.project(ctx, naming.Project(a.Name)); err != nil {
			return plan.Leaving{}, err
		}
	}
	if r.DeleteRepositories && !project.RepositoryCreated.IsZero() {
		var err error
		l.DeleteRepository = !r.needsRepository(a)
		if len(l.Ours()) == 0 { // or the inventory tells
			all, err := r.Users.Runtimes(ctx)
			if err != nil {
				return plan.Leaving{}, err
			}
			for _, t := range all {
				l.DeleteRepository = l.DeleteRepository && !bearsName(t.ID, a.Name)
			}
		}
		if l.Repository, err = r.repository(ctx, model.Repository{Name: naming.Repository(a.Name)}); err != nil {
			return plan.Leaving{}, err
		}
	}
	return l, nil
}

// retirement gives the id of an agent's retirement: the same for all runs that
// have a part in it.
func retirement(a status.Agent, c model.Claim) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Config, a.Name, c.RuntimeRoleID, c.BuildRoleID}, "\x00")))
	return a.RetireAfter.UTC().Format(model.IDTime) + "-" + hex.EncodeToString(sum[:])[:12]
}

// needs gives the roles of an agent that others of the config are to run or
// build with, by name.
func (r *run) needs(name string) map[string]string {
	needed := map[string]string{}
	runtime, build := naming.RuntimeRole(r.env.Region, name), naming.BuildRole(r.env.Region, name)
	for _, a := range r.want.Agents {
		if p := r.life[a.Name].Phase; a.Name == name || p == status.PhaseQuarantined || p == status.PhaseRetired {
			continue
		}
		if a.SharedRuntimeRole == name {
			needed[runtime] = a.Name
		}
		if a.SharedBuildRole == name {
			needed[build] = a.Name
		}
		for _, e := range []*desired.ExternalRole{a.ExternalRuntimeRole, a.ExternalBuildRole} {
			if e != nil && (e.Name == runtime || e.Name == build) {
				needed[e.Name] = a.Name
			}
		}
	}
	return needed
}

// needsRepository reports whether another agent of the config is built from the
// images of an agent, or has them run.
func (r *run) needsRepository(a status.Agent) bool {
	name := naming.Repository(a.Name)
	return slices.ContainsFunc(r.cfg.Agents, func(other agent.Agent) bool {
		return other.Name != a.Name && (other.Repository == name || slices.Contains(other.Permissions.BaseImages, name))
	})
}

// bearsName reports whether a runtime has an agent's name. It may run from the agent's
// images, whatever role it has, and whether an event told of it or not.
func bearsName(id, agent string) bool {
	name, ok := naming.RuntimeAgent(id)
	return ok && name == agent
}

// prove finds what keeps an agent from going. Without blockers it is proven that
// nothing used its roles at the time it gives; a zero time says that somebody else
// takes the inventory, and that the config comes back.
func (r *run) prove(ctx context.Context, l *plan.Leaving, a status.Agent) (blockers []plan.Blocker, proven time.Time, err error) {
	var since time.Time
	if a.Phase == status.PhaseQuarantined {
		since = earlier(a.DeleteAfter, r.now)
		if err := r.archives(ctx, l, a.ArchiveKeys); err != nil {
			return nil, time.Time{}, err
		}
		if name := unarchived(*l); name != "" {
			return nil, time.Time{}, fmt.Errorf("delete role %s: it is quarantined, and retirement %s has no archive of it", name, l.Retirement)
		}
		blockers = l.Changed()
	}
	building, unknown := r.building(ctx, l)
	if err := errors.Join(r.profiles(ctx, l), unknown); err != nil {
		l.Unknown = report.Clip(err.Error()) // a use: what is quarantined must not stay so
	}
	if blockers = slices.Concat(blockers, building, l.Blockers()); len(blockers) > 0 {
		return blockers, time.Time{}, nil // what is known without asking AgentCore is enough
	}
	inventory := Inventory{Store: r.Store, Users: r.Users, Projects: r.Projects, Account: r.env.Account, Region: r.env.Region, Now: r.Now, Random: r.Random}
	all, busy, err := inventory.Take(ctx, since)
	switch {
	case err != nil:
		l.Unknown = report.Clip(err.Error())
	case !busy.IsZero():
		r.comeBack(busy)
		return nil, time.Time{}, nil
	}
	l.Uses = all.Uses
	for id := range all.Runtimes {
		l.DeleteRepository = l.DeleteRepository && !bearsName(id, a.Name)
	}
	return l.Blockers(), all.TakenAt, nil
}

// building finds builds of the agent's project that have not ended.
func (r *run) building(ctx context.Context, l *plan.Leaving) ([]plan.Blocker, error) {
	if l.Project == nil {
		return nil, nil
	}
	builds, err := r.Projects.Builds(ctx, l.Project.Name)
	return l.Building(builds), err
}

// profiles reads the instance profiles that roles are in.
func (r *run) profiles(ctx context.Context, l *plan.Leaving) error {
	for _, role := range l.Ours() {
		names, err := r.Roles.InstanceProfiles(ctx, role.Desired.Name)
		if err != nil && !errors.Is(err, fault.ErrNotFound) {
			return err
		}
		l.Profiles[role.Desired.Name] = names
	}
	return nil
}

// archives reads the archives of a retirement: those with the keys, and when these
// do not tell of every role that is there, whatever else there is.
func (r *run) archives(ctx context.Context, l *plan.Leaving, keys []string) error {
	l.Archives = map[string]model.Archive{}
	if err := r.readArchives(ctx, l, keys); err != nil {
		return err
	}
	for _, role := range l.Ours() {
		if _, found := l.Archives[role.Desired.Name]; found {
			continue
		}
		keys, err := r.Store.List(ctx, naming.ArchivedRole(role.Desired.Name)+l.Retirement)
		if err != nil {
			return err
		}
		if err := r.readArchives(ctx, l, keys); err != nil {
			return err
		}
	}
	return nil
}

// readArchives reads archives; what does not tell of these roles and this
// retirement is none of them.
func (r *run) readArchives(ctx context.Context, l *plan.Leaving, keys []string) error {
	for _, key := range keys {
		if !strings.HasPrefix(key, naming.ArchivePrefix) {
			continue
		}
		object, err := r.Store.Get(ctx, key)
		if errors.Is(err, fault.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		archived, err := model.ParseArchive(object.Body)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		for _, role := range l.Ours() {
			ours := archived.Role.Name == role.Desired.Name && archived.Role.ID == role.Observed.ID
			if last, twice := l.Archives[archived.Role.Name]; ours && archived.Retirement == l.Retirement && (!twice || last.ArchivedAt.Before(archived.ArchivedAt)) {
				l.Archives[archived.Role.Name] = archived
			}
		}
	}
	return nil
}

// keep answers for an agent that cannot go. One that was quarantined gets its
// roles back. One that its config has and that runs again is active.
func (r *run) keep(ctx context.Context, a status.Agent, l plan.Leaving, blockers []plan.Blocker) (status.Agent, error) {
	if a.Phase == status.PhaseQuarantined {
		if err := r.undo(ctx, l); err != nil {
			return status.Agent{}, err
		}
		a = back(a)
	}
	for _, u := range l.Uses {
		if bearsName(u.Runtime, a.Name) && u.Newest && u.Status != model.RuntimeDeleting {
			i := slices.IndexFunc(a.Runtimes, func(t status.Runtime) bool { return t.ID == u.Runtime })
			if i < 0 {
				i = len(a.Runtimes)
				a.Runtimes = append(slices.Clone(a.Runtimes), status.Runtime{ID: u.Runtime})
			}
			a.Runtimes[i].LastSeen, a.Runtimes[i].Gone = r.now.Truncate(time.Second), false
		}
	}
	if a = a.Age(r.evidence(a)); a.Phase == status.PhaseActive {
		if a.BlockedBy = nil; r.away[a.Name] {
			r.comeBack(r.now) // to be kept up again
		}
		return a, nil
	}
	return blocked(a, blockers), nil
}

// quarantine takes an agent's roles from everybody, unless too many went of late.
func (r *run) quarantine(ctx context.Context, a status.Agent, l plan.Leaving) (status.Agent, error) {
	let, err := r.let(ctx, l, r.approved[a.Name] != "")
	if err != nil {
		return status.Agent{}, err
	}
	if !let {
		r.braked = append(r.braked, a.Name)
		return r.keep(ctx, a, l, l.Braked(r.MaxDeletesPerHour))
	}
	a.BlockedBy = nil
	r.life[a.Name] = a
	if err := r.apply(ctx, plan.Plan{Steps: l.Quarantine()}); err != nil {
		return status.Agent{}, err
	}
	a = r.life[a.Name]
	if at := ends(r.Now()); at.After(a.DeleteAfter) { // it took long to take the trust away
		a.DeleteAfter = at
	}
	return a, nil
}

// ends gives when a quarantine is over that begins within a wave from now.
func ends(now time.Time) time.Time { return now.UTC().Add(wave + quarantine).Truncate(wave) }

// let counts the roles that go, and reports whether they may: beyond what is
// allowed in an hour only what an operator lets go does.
func (r *run) let(ctx context.Context, l plan.Leaving, approved bool) (bool, error) {
	for range tries {
		var d model.Deletions
		object, err := r.Store.Get(ctx, naming.DeletionsKey)
		switch {
		case errors.Is(err, fault.ErrNotFound):
			d.V = 1
		case err != nil:
			return false, err
		default:
			if d, err = model.ParseDeletions(object.Body); err != nil {
				return false, fmt.Errorf("%s: %w", naming.DeletionsKey, err)
			}
		}
		most := r.MaxDeletesPerHour
		if approved {
			most = math.MaxInt
		}
		next, ok := d.Let(l.Retirement, len(l.Ours()), most, r.now)
		if !ok {
			return false, nil
		}
		if _, err = r.put(ctx, naming.DeletionsKey, next, object.ETag); !errors.Is(err, fault.ErrConflict) {
			return err == nil, err
		}
	}
	return false, fault.Errorf(fault.Retry, "%s keeps changing", naming.DeletionsKey)
}

// rollBack puts back what a retirement changed, of an agent that is to stay or
// whose retirement is to begin again.
func (r *run) rollBack(ctx context.Context, a status.Agent) error {
	l, err := r.leaving(ctx, a)
	if err != nil {
		return err
	}
	if err := r.archives(ctx, &l, a.ArchiveKeys); err != nil {
		return err
	}
	if name := unarchived(l); name != "" && !r.has(a.Name) { // what a config has, gets the trust that it asks for
		return fmt.Errorf("put back the trust of role %s: retirement %s has no archive of it", name, l.Retirement)
	}
	return r.undo(ctx, l)
}

// undo has an agent's roles as they were archived.
func (r *run) undo(ctx context.Context, l plan.Leaving) error {
	r.undoing = true
	defer func() { r.undoing = false }()
	return r.apply(ctx, plan.Plan{Steps: l.Rollback()})
}

// unarchived gives a quarantined role of an agent that no archive was found of;
// empty when there is none.
func unarchived(l plan.Leaving) string {
	for _, role := range l.Ours() {
		if _, kept := l.Archives[role.Desired.Name]; !kept && role.Quarantined() {
			return role.Desired.Name
		}
	}
	return ""
}

// mark notes in the claim that its roles are on their way out.
func (a applying) mark(ctx context.Context, s plan.Step) error {
	c := a.claims[s.Claim].Claim
	c.Deleting = s.Retirement
	return a.writeClaim(ctx, s.Claim, c)
}

// clear forgets a retirement, and roles that it had deleted.
func (a applying) clear(ctx context.Context, s plan.Step) error {
	c := a.claims[s.Claim].Claim
	c.Deleting = ""
	if a.has(s.Agent) { // else it is still to go, and what it took over by hand is still nobody's
		c = disowned(c)
		c.Free = false
	}
	for _, kind := range s.Kinds {
		c = c.WithRoleID(kind, "")
	}
	return a.writeClaim(ctx, s.Claim, c)
}

// recordQuarantine writes into the status that an agent's roles are taken from
// everybody, before they are: who looks next must know. The wake-up that ends
// the quarantine is sent first.
func (a applying) recordQuarantine(ctx context.Context, s plan.Step) error {
	agent := a.life[s.Agent]
	agent.Phase, agent.RetirementID, agent.ArchiveKeys = status.PhaseQuarantined, s.Retirement, a.archived[s.Agent]
	agent.DeleteAfter = ends(a.Now())
	a.life[s.Agent] = agent
	return a.remind(ctx, agent)
}

// remind writes an agent into the status ahead of the answer.
func (r *run) remind(ctx context.Context, agent status.Agent) error {
	now := r.stored
	now.V, now.Config.Key = status.Version, r.key
	now.Agents = append(slices.DeleteFunc(slices.Clone(now.Agents), func(other status.Agent) bool { return other.Name == agent.Name }), agent)
	if now.Outcome == "" {
		now.Outcome = status.Retiring
	}
	now.Summary, now.Next = report.Words(now)
	if agent.Phase == status.PhaseQuarantined {
		if err := r.wakeLater(ctx, &now, agent.DeleteAfter.Sub(r.now)); err != nil {
			return err
		}
	}
	return r.store(ctx, now)
}

// unproven refuses to delete what was not proven to be unused just now.
func (a applying) unproven(s plan.Step) error {
	since := a.proven[s.Agent]
	if now := a.Now(); now.Sub(since) > fresh {
		return fault.Errorf(fault.Retry, "delete what agent %s has: it was last seen unused at %s, now it is %s", s.Agent, since.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return nil
}

// releaseClaims frees an agent's names when all that stood under them is gone,
// and wakes who waits for them. What stays is the repository: the claim on it.
func (a applying) releaseClaims(ctx context.Context, s plan.Step) error {
	project, role := naming.ProjectClaimKey(s.Agent), naming.RoleClaimKey(s.Agent)
	gone := []string{role}
	switch c := a.claims[project]; {
	case c.Config == "":
	case !c.RepositoryCreated.IsZero() && !slices.Contains(a.emptied, s.Agent):
		kept := c.Claim
		kept.ProjectCreated, kept.Creating, kept.Free = time.Time{}, nil, true
		if err := a.writeClaim(ctx, project, kept); err != nil {
			return err
		}
		if err := a.wake(ctx, kept.Waiting, 0); err != nil {
			return err
		}
	default:
		if err := a.free(ctx, project); err != nil {
			return err
		}
		gone = append(gone, project)
	}
	if err := a.free(ctx, role); err != nil {
		return err
	}
	return a.writeIndex(ctx, slices.DeleteFunc(slices.Clone(a.index.Claims), func(key string) bool { return slices.Contains(gone, key) }))
}

// free deletes a claim of which nothing is left.
func (r *run) free(ctx context.Context, key string) error {
	c := r.claims[key]
	err := r.discard(ctx, key, c, func(now held) bool { return now.Deleting == c.Deleting })
	delete(r.claims, key)
	return err
}
