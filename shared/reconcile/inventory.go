package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Users is what is read of AgentCore's control plane. What it gives is complete:
// a listing of which a part is missing is an error. Versions and RuntimeRole
// answer fault.ErrNotFound for absence only.
type Users interface {
	Runtimes(ctx context.Context) ([]model.RuntimeSummary, error)
	Versions(ctx context.Context, runtimeID string) ([]string, error)
	RuntimeRole(ctx context.Context, runtimeID, version string) (role, status string, err error)
	Endpoints(ctx context.Context, runtimeID string) ([]model.RuntimeEndpoint, error)
	Others(ctx context.Context) ([]model.Use, error) // what holds a role and is no runtime
}

// BuildUsers is what is read of CodeBuild: the roles of all projects.
type BuildUsers interface {
	Uses(ctx context.Context) ([]model.Use, error)
}

// Inventory finds out what holds the roles of agents. What it finds, and what it
// once read of runtimes' versions, is an object of the config bucket that all
// configs share.
type Inventory struct {
	Store    Store
	Users    Users
	Projects BuildUsers
	Account  string // 12 digits
	Region   string

	Now    func() time.Time
	Random func() string // 128 random bits, as text
}

const (
	// fresh is how old an inventory may be when it is given.
	fresh = time.Minute
	// takeTime bounds how long runtimes are read for an inventory; what is missing
	// then is left to the next try.
	takeTime = 100 * time.Second
	// recheckTime bounds for how long runtimes that did not change are read again.
	recheckTime = time.Minute
	// takeLease is for how long the others leave the inventory to whoever takes it:
	// longer than takeTime and the listings that follow.
	takeLease = 150 * time.Second
	// takeAgain is after what time those others are to ask again.
	takeAgain = 5 * time.Second
	// takeRounds bounds how often runtimes are listed for one inventory.
	takeRounds = 5
	// maxInventory is the size in bytes up to which an object is read whole
	// (configstore.MaxRead).
	maxInventory = 1 << 20

	runtimeKind     = "runtime"
	runtimeReady    = "READY"   // service model, AgentRuntimeStatus
	runtimeEndpoint = "DEFAULT" // the endpoint that follows the newest version
)

// Take gives an inventory whose listings were all begun at notBefore or later,
// and at most a minute ago: that of the bucket, or a new one, which it puts
// there. Uses has what uses a role with a name of agents' own, every version of
// a runtime by itself; Runtimes has all runtimes, without roles.
//
// While somebody else takes one, or when notBefore is still to come, it gives no
// inventory but when to ask again. After an error it is unknown what uses the
// roles; one of class fault.Retry is mended by time.
func (i Inventory) Take(ctx context.Context, notBefore time.Time) (inventory model.Inventory, busy time.Time, err error) {
	t, stored, err := i.open(ctx)
	if err != nil {
		return model.Inventory{}, time.Time{}, err
	}
	switch {
	case t.since.Before(notBefore):
		return model.Inventory{}, notBefore, nil
	case !stored.TakenAt.Before(notBefore) && within(t.since.Sub(stored.TakenAt), fresh):
		return t.inventory(stored.TakenAt), time.Time{}, nil
	case stored.Until.After(t.since) && within(stored.Until.Sub(t.since), takeLease):
		return model.Inventory{}, t.since.Add(takeAgain), nil
	}
	// The lease is like no other, and so is its ETag: nobody writes over what he has
	// not read.
	stored.Taking, stored.Until = i.Random(), t.since.Add(takeLease)
	if err = t.write(ctx, stored); err == nil {
		inventory, err = t.take(ctx, stored)
	}
	if errors.Is(err, fault.ErrConflict) {
		return model.Inventory{}, i.Now().UTC().Add(takeAgain), nil
	}
	if err != nil {
		return model.Inventory{}, time.Time{}, fmt.Errorf("find out what uses the roles of agents: %w", err)
	}
	return inventory, time.Time{}, nil
}

// within reports whether a duration is between 0 and most. What lies on the other
// side was written by a clock that is not ours.
func within(d, most time.Duration) bool { return d >= 0 && d <= most }

// open reads the inventory of the bucket. A damaged one is as good as none, but
// it is there and is written over.
func (i Inventory) open(ctx context.Context) (*taking, model.Inventory, error) {
	t := &taking{Inventory: i, runtimes: map[string]knownRuntime{}, checked: map[string]bool{}}
	stored := model.Inventory{V: 1}
	object, err := i.Store.Get(ctx, naming.InventoryKey)
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		return nil, model.Inventory{}, err
	}
	if err == nil {
		t.etag = object.ETag
		if whole, err := model.ParseInventory(object.Body); err == nil && t.unpack(whole) == nil {
			stored = whole
		}
		if !within(object.LastModified.Add(fresh).Sub(stored.TakenAt), fresh+takeLease) {
			stored.TakenAt = time.Time{} // whoever wrote it has a clock that S3 does not share
		}
	}
	t.since = i.Now().UTC()
	return t, stored, nil
}

// taking is what is known while an inventory is taken.
type taking struct {
	Inventory
	etag  string    // of the object; empty when there is none
	since time.Time // when it was read

	runtimes map[string]knownRuntime // by id
	others   []model.Use             // by what is no runtime
	checked  map[string]bool         // ids of the runtimes that were read since
}

// knownRuntime is a runtime as it was listed when its versions were read, with
// the status of the last listing.
type knownRuntime struct {
	model.RuntimeSummary
	roles  map[string]string // by version: ARN of the role; empty when that has not the name of an agent's own
	pinned map[string]string // by version: ARN of an endpoint that leads there
}

// outgrown reports whether only old versions have one of the roles: it is free
// when they are deleted, which need not change how the runtime is listed.
func (k knownRuntime) outgrown() bool {
	for _, role := range k.roles {
		if role != "" && role != k.roles[k.Version] {
			return true
		}
	}
	return false
}

// take takes the inventory under a lease. After an error what was learned is
// kept, and nobody waits for it.
func (t *taking) take(ctx context.Context, lease model.Inventory) (model.Inventory, error) {
	inventory, err := t.rounds(ctx, lease)
	if err == nil || errors.Is(err, fault.ErrConflict) {
		return inventory, err
	}
	// The run may have used up the time there was.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if kept := t.write(ctx, t.pack(time.Time{})); kept != nil && !errors.Is(kept, fault.ErrConflict) {
		err = fmt.Errorf("%w; nobody else looks before %s, since this was not noted: %s", err, lease.Until.Format(time.RFC3339), kept.Error())
	}
	return model.Inventory{}, err
}

// rounds lists runtimes until all of a listing are known that is not old yet, and
// then everything else.
func (t *taking) rounds(ctx context.Context, lease model.Inventory) (model.Inventory, error) {
	why := errors.New("it takes too long to list them")
	for range takeRounds {
		begun := t.Now().UTC()
		listed, err := t.Users.Runtimes(ctx)
		if err != nil {
			return model.Inventory{}, err
		}
		gone, err := t.learn(ctx, listed)
		if err != nil {
			return model.Inventory{}, err
		}
		switch {
		case t.Now().Sub(begun) > fresh/2:
			// Of the minute too little is left for everything else. What is known now
			// is not read again: not in the next round, nor after this process died.
			known := t.pack(time.Time{})
			known.Taking, known.Until = lease.Taking, lease.Until
			if err := t.write(ctx, known); err != nil {
				return model.Inventory{}, err
			}
		case gone != nil:
			why = gone
		default:
			return t.complete(ctx, begun)
		}
	}
	return model.Inventory{}, fault.Errorf(fault.Retry, "runtimes do not stay as they are listed: %s", why)
}

// learn reads those of the listed runtimes that are not known as they are, and
// forgets those that are not listed. One that is gone meanwhile, or one of its
// versions, is told as gone: then the listing does not hold any more.
func (t *taking) learn(ctx context.Context, listed []model.RuntimeSummary) (gone, err error) {
	before := t.runtimes
	t.runtimes = make(map[string]knownRuntime, len(listed))
	for _, r := range listed {
		if k, ok := before[r.ID]; ok {
			k.Status = r.Status
			t.runtimes[r.ID] = k
		}
	}
	for n, r := range listed {
		passed := t.Now().Sub(t.since)
		k, ok := t.runtimes[r.ID]
		same := ok && k.Updated == r.Updated && k.Version == r.Version
		if same && (t.checked[r.ID] || passed > recheckTime || !k.outgrown()) {
			continue
		}
		if passed > takeTime {
			return nil, fault.Errorf(fault.Retry, "after %s, %d of %d runtimes are read; the next look goes on from there", passed.Round(time.Second), n, len(listed))
		}
		switch err := t.study(ctx, r); {
		case errors.Is(err, fault.ErrNotFound):
			gone = err
		case err != nil:
			return nil, err
		}
	}
	return gone, nil
}

// study reads the versions of a runtime and the roles of those that are not
// known yet: a version keeps the role it has.
func (t *taking) study(ctx context.Context, r model.RuntimeSummary) error {
	versions, err := t.Users.Versions(ctx, r.ID)
	if err != nil {
		return err
	}
	endpoints, err := t.Users.Endpoints(ctx, r.ID)
	if err != nil {
		return err
	}
	slices.SortFunc(endpoints, func(a, b model.RuntimeEndpoint) int { return cmp.Compare(b.Name, a.Name) }) // of several the first by name stays
	before, after := t.runtimes[r.ID], knownRuntime{r, map[string]string{}, map[string]string{}}
	versions = append(versions, r.Version)
	for _, e := range endpoints {
		for _, v := range []string{e.Live, e.Target} {
			versions = append(versions, v)
			if e.Name != runtimeEndpoint {
				after.pinned[v] = e.ARN
			}
		}
	}
	for _, v := range versions {
		if _, again := after.roles[v]; again || v == "" {
			continue
		}
		role, known := before.roles[v]
		// The number of the newest could be one that was deleted and is given again:
		// nothing says that it is not.
		if !known || v == r.Version && before.Updated != r.Updated {
			if role, _, err = t.Users.RuntimeRole(ctx, r.ID, v); err != nil {
				return err
			}
			if !t.agents(role) {
				role = ""
			}
		}
		after.roles[v] = role
	}
	t.runtimes[r.ID], t.checked[r.ID] = after, true
	return nil
}

// complete lists everything that is no runtime, and gives and writes the
// inventory. That somebody else wrote meanwhile does not make it wrong.
func (t *taking) complete(ctx context.Context, begun time.Time) (model.Inventory, error) {
	others, err := t.Users.Others(ctx)
	if err != nil {
		return model.Inventory{}, err
	}
	projects, err := t.Projects.Uses(ctx)
	if err != nil {
		return model.Inventory{}, err
	}
	t.others = slices.DeleteFunc(slices.Concat(others, projects), func(u model.Use) bool { return !t.agents(u.Role) })
	if err := t.write(ctx, t.pack(begun)); err != nil && !errors.Is(err, fault.ErrConflict) {
		return model.Inventory{}, err
	}
	if took := t.Now().Sub(begun); !within(took, fresh) {
		return model.Inventory{}, fault.Errorf(fault.Retry, "it took %s to list everything, and an inventory holds for %s", took.Round(time.Second), fresh)
	}
	return t.inventory(begun), nil
}

// write puts the inventory into the bucket, over the one that was last seen there.
func (t *taking) write(ctx context.Context, v model.Inventory) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", naming.InventoryKey, err)
	}
	if len(body) > maxInventory {
		return fmt.Errorf("%s would have %d bytes of at most %d, with %d runtimes and %d uses: delete runtimes, and endpoints of old versions, that are not needed",
			naming.InventoryKey, len(body), maxInventory, len(v.Runtimes), len(v.Uses))
	}
	etag, err := put(ctx, t.Store, naming.InventoryKey, body, t.etag)
	if err != nil {
		return err
	}
	t.etag = etag
	return nil
}

// agents reports whether a role may be one of agents' own by its ARN: whatever
// its path and, as IAM has it, whatever its capitals.
func (i Inventory) agents(role string) bool {
	if parts := strings.Split(role, ":"); len(parts) == 6 && parts[4] != "" && parts[4] != i.Account {
		return false
	}
	name := naming.RoleOf(role)
	for _, prefix := range []string{naming.RuntimeRolePrefix, naming.BuildRolePrefix} {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			_, ok := naming.RoleHash(i.Region, prefix+strings.ToLower(name[len(prefix):]))
			return ok
		}
	}
	return false
}

// inventory gives what is known, of runtimes without their roles: Uses tells those.
func (t *taking) inventory(takenAt time.Time) model.Inventory {
	v := model.Inventory{V: 1, TakenAt: takenAt, Uses: t.uses(), Runtimes: make(map[string]model.RuntimeRoles, len(t.runtimes))}
	for id, k := range t.runtimes {
		v.Runtimes[id] = model.RuntimeRoles{Updated: k.Updated, Version: k.Version}
	}
	return v
}

// uses gives what uses the roles of agents, runtimes by id and version first.
func (t *taking) uses() []model.Use {
	var all []model.Use
	for _, id := range slices.Sorted(maps.Keys(t.runtimes)) {
		k := t.runtimes[id]
		for _, v := range slices.SortedFunc(maps.Keys(k.roles), byNumber) {
			u := model.Use{Role: k.roles[v], ARN: k.ARN, Kind: runtimeKind, Runtime: id, Version: v}
			if u.Role == "" {
				continue
			}
			if v == k.Version {
				u.Newest, u.Status = true, k.Status
			} else {
				u.ARN = cmp.Or(k.pinned[v], k.ARN)
			}
			all = append(all, u)
		}
	}
	return append(all, t.others...)
}

// byNumber orders versions, which are numbers.
func byNumber(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// plain gives the use of a runtime's version as it is where there is nothing
// special about it.
func (i Inventory) plain(u model.Use) model.Use {
	u.ARN, u.Kind, u.Status = "arn:"+naming.Partition(i.Region)+":bedrock-agentcore:"+i.Region+":"+i.Account+":runtime/"+u.Runtime, runtimeKind, ""
	if u.Newest {
		u.Status = runtimeReady
	}
	return u
}

// pack makes the object of what is known. It is read whole only while it is
// small, and an account may have a thousand runtimes with a thousand versions
// each: so versions are written as runs of numbers (also those whose role is of
// no interest, under an empty one), and of the uses by runtimes only those that
// unpack cannot tell from the versions. A takenAt of zero says that they are not
// all that there are.
func (t *taking) pack(takenAt time.Time) model.Inventory {
	v := t.inventory(takenAt)
	v.Uses = slices.DeleteFunc(v.Uses, func(u model.Use) bool { return u == t.plain(u) })
	for id, k := range t.runtimes {
		roles := map[string][]string{}
		for _, version := range slices.SortedFunc(maps.Keys(k.roles), byNumber) {
			roles[k.roles[version]] = append(roles[k.roles[version]], version)
		}
		for role := range roles {
			roles[role] = runs(roles[role])
		}
		v.Runtimes[id] = model.RuntimeRoles{Updated: k.Updated, Version: k.Version, Roles: roles}
	}
	return v
}

// unpack takes over what an object says. After an error nothing was.
func (t *taking) unpack(v model.Inventory) error {
	runtimes := make(map[string]knownRuntime, len(v.Runtimes))
	for id, r := range v.Runtimes {
		usual := t.plain(model.Use{Runtime: id, Newest: true})
		k := knownRuntime{
			model.RuntimeSummary{ID: id, ARN: usual.ARN, Version: r.Version, Status: usual.Status, Updated: r.Updated},
			map[string]string{}, map[string]string{},
		}
		for role, packed := range r.Roles {
			versions, err := unrun(packed)
			if err != nil {
				return fmt.Errorf("runtime %s: %w", id, err)
			}
			for _, version := range versions {
				k.roles[version] = role
			}
		}
		runtimes[id] = k
	}
	var others []model.Use
	for _, u := range v.Uses {
		k, ok := runtimes[u.Runtime]
		switch {
		case u.Runtime == "":
			others = append(others, u)
		case !ok || k.roles[u.Version] != u.Role || u.Newest != (u.Version == k.Version):
			return fmt.Errorf("version %s of runtime %s does not use %s", u.Version, u.Runtime, u.Role)
		case u.Newest:
			k.ARN, k.Status = u.ARN, u.Status
			runtimes[u.Runtime] = k
		default:
			k.pinned[u.Version] = u.ARN
		}
	}
	t.runtimes, t.others = runtimes, others
	return nil
}

// runs writes versions that follow upon each other as the first and the last of
// them; they come in the order of byNumber.
func runs(versions []string) []string {
	var out []string
	first, last := "", 0
	for _, v := range versions {
		n := versionNumber(v)
		if n > 1 && n == last+1 {
			out[len(out)-1] = first + "-" + v
		} else {
			out, first = append(out, v), v
		}
		last = n
	}
	return out
}

// unrun gives the versions that runs has written.
func unrun(packed []string) ([]string, error) {
	var out []string
	for _, p := range packed {
		first, last, several := strings.Cut(p, "-")
		if !several {
			out = append(out, p)
			continue
		}
		from, to := versionNumber(first), versionNumber(last)
		if from == 0 || to <= from {
			return nil, fmt.Errorf("%.20q are no versions", p)
		}
		for n := from; n <= to; n++ {
			out = append(out, strconv.Itoa(n))
		}
	}
	return out, nil
}

// versionNumber gives the number of a version, 0 when it is none (service model,
// AgentRuntimeVersion: one to five digits).
func versionNumber(version string) int {
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 || n > 99999 || strconv.Itoa(n) != version {
		return 0
	}
	return n
}
