package drift

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// totals counts what was seen.
func (f *fleet) totals(found []finding) report.Totals {
	t := report.Totals{Skipped: f.skipped, AccountRoles: len(f.account.Roles) + len(f.account.Unsettled), RolesQuota: f.account.Quota}
	for i, one := range found {
		t.Configs += oneIf(!f.configs[i].uploaded.IsZero())
		t.Agents += one.agents
		t.Roles += one.roles
		t.Outdated += oneIf(one.outdated)
		t.Refused += oneIf(one.refused)
		t.Due += oneIf(one.due)
		t.Missed += oneIf(one.missed || one.untold)
		t.Runtimes += len(one.runtimes)
		t.Newer += oneIf(one.newer)
		t.Unread += oneIf(one.unread)
		for _, l := range one.leaving {
			t.Held += oneIf(l.Until.IsZero())
			t.Retiring += oneIf(!l.Until.IsZero())
			t.Blocked += oneIf(len(l.Blocks) > 0)
		}
	}
	return t
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// orphans gives those of which the claims are as they were when the bucket was read:
// meanwhile a role may have got an owner, or another RoleId. One whose claim cannot
// be read now is not told, and the error is that of all such.
func (p Pass) orphans(ctx context.Context, f *fleet, found []finding, now time.Time) ([]report.Orphan, error) {
	all := f.orphans(found, now)
	var keys []string
	for _, o := range all {
		if key := f.claimOf(o); key != "" {
			keys = append(keys, key)
		}
	}
	again := p.readAll(ctx, keys)
	var failure error
	all = slices.DeleteFunc(all, func(o report.Orphan) bool {
		key := f.claimOf(o)
		claim := again[key]
		if claim.err != nil {
			failure = errors.Join(failure, fmt.Errorf("look at orphan %s again: %w", o.Name, claim.err))
		}
		return claim.err != nil || claim.ETag != f.objects[key].ETag
	})
	return all, failure
}

// claimOf gives the key of the claim that says whose an orphan is, empty when its
// name is not one that agents' roles have.
func (f *fleet) claimOf(o report.Orphan) string {
	if strings.HasPrefix(o.Name, naming.RoleClaimPrefix) {
		return o.Name
	}
	if hash, named := naming.RoleHash(f.region, o.Name); named {
		return naming.RoleClaimKeyOf(hash)
	}
	return ""
}

// orphans finds roles that have the names or the tags of ours and that no config
// asks for, and claims that no config leads to. Roles of other Regions are other
// stacks' affair.
func (f *fleet) orphans(found []finding, now time.Time) []report.Orphan {
	var all []report.Orphan
	told := map[string]bool{} // roles that findings tell of
	for _, one := range found {
		for _, d := range one.differences {
			told[d.Role] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.account.Roles)) {
		if o, is := f.orphan(f.account.Roles[name]); is && !told[name] {
			all = append(all, o)
		}
	}
	all = append(all, f.lostClaims()...)
	for i := range all {
		all[i].Since = now.Truncate(time.Second)
	}
	return all
}

// orphan judges a role. Tags are anybody's: they are shown, and only what can be
// true of them goes into a command.
func (f *fleet) orphan(o model.ObservedRole) (report.Orphan, bool) {
	hash, named := naming.RoleHash(f.region, o.Name)
	out := report.Orphan{Kind: report.OrphanRole, Name: o.Name, Agent: o.Tags[model.TagAgent], Config: o.Tags[model.TagConfig]}
	if !named {
		ours := ourTags(o.Tags)
		if len(ours) == 0 || agentsName(o.Name) {
			return out, false
		}
		out.Kind = report.OrphanTagged
		out.Reason = "it has Rolekeeper's tags, and not the name of a role that Rolekeeper makes: somebody copied them"
		out.Fix = fmt.Sprintf("aws iam untag-role --role-name %s --tag-keys %s", o.Name, strings.Join(ours, " "))
		return out, true
	}
	key := naming.RoleClaimKeyOf(hash)
	claim, claimed := f.claims[key]
	if _, there := f.objects[key]; there && !claimed {
		return out, false // whose it is cannot be read
	}
	if !claimed {
		if !naming.ValidAgent(out.Agent) || naming.Hash(out.Agent) != hash {
			out.Agent = ""
		}
		out.Reason = "it has the name of an agent's role, and no config claims it: the toolkit made it, or a config that is gone"
		out.Fix = adoption(out, o.Name)
		return out, true
	}
	nonce := o.Tags[model.TagCreation]
	if claim.RuntimeRoleID == o.ID || claim.BuildRoleID == o.ID || claim.Made(model.RuntimeRole, nonce) || claim.Made(model.BuildRole, nonce) {
		return out, false
	}
	out.Kind, out.Agent, out.Config = report.OrphanTagged, claim.Agent, claim.Config
	out.Reason = fmt.Sprintf("it has the name of a role of agent %s, and it is not the one that Rolekeeper made: its unique id is %s", claim.Agent, o.ID)
	out.Fix = adoption(out, o.Name)
	return out, true
}

// adoption says how an orphan gets an owner, or goes.
func adoption(o report.Orphan, role string) string {
	if o.Agent == "" {
		return fmt.Sprintf("upload a config that has the agent and run `rolekeeper adopt KEY AGENT`; or, when nobody needs it, run `rolekeeper retire %s --agent AGENT`", role)
	}
	key := o.Config
	if naming.CheckConfigKey(key) != nil {
		key = "KEY"
	}
	return fmt.Sprintf("upload a config that has agent %[2]s and run `rolekeeper adopt %[3]s %[2]s`; or, when nobody needs it, run `rolekeeper retire %[1]s`", role, o.Agent, key)
}

// agentsName reports whether a role has a name that agents' roles have somewhere.
func agentsName(role string) bool {
	return strings.HasPrefix(role, naming.RuntimeRolePrefix) || strings.HasPrefix(role, naming.BuildRolePrefix)
}

// ourTags gives the keys of Rolekeeper's tags among those of a role.
func ourTags(tags map[string]string) []string {
	return slices.DeleteFunc([]string{model.TagAgent, model.TagConfig, model.TagCreation, model.TagTemplate}, func(key string) bool {
		_, there := tags[key]
		return !there
	})
}

// lostClaims finds claims under which roles stand and that nothing leads to from
// the config which they say has them: neither the config, nor its status, nor its
// list of claims.
func (f *fleet) lostClaims() []report.Orphan {
	known := map[string]bool{}
	for _, c := range f.configs {
		known[c.key] = true
	}
	var all []report.Orphan
	for _, key := range slices.Sorted(maps.Keys(f.claims)) {
		c := f.claims[key]
		index := naming.ClaimIndexKey(c.Config)
		held, legible := f.indexes[c.Config]
		if _, there := f.objects[index]; c.Unused() || there && !legible || slices.Contains(held, key) {
			continue
		}
		o := report.Orphan{Kind: report.OrphanClaim, Name: key, Agent: c.Agent, Config: c.Config}
		if known[c.Config] {
			o.Kind = report.OrphanHalfGone
		}
		role := naming.RuntimeRole(f.region, c.Agent)
		if c.RuntimeRoleID == "" {
			role = naming.BuildRole(f.region, c.Agent)
		}
		o.Reason = fmt.Sprintf("the roles of agent %s are recorded as those of %s, which does not know of it", c.Agent, c.Config)
		o.Fix = adoption(o, role)
		all = append(all, o)
	}
	return all
}
