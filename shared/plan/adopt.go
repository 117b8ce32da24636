package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// Loss is something that a role grants, or that limits it, and that adoption
// would take away.
type Loss struct {
	Policy string       `json:"policy"` // name of the inline policy, or ARN of the managed one, that it is of
	Grant  policy.Grant `json:"grant"`  // what was granted, or denied; empty ByReplacement
	By     LossCause    `json:"by"`
}

// LossCause says what takes a grant away.
type LossCause string

// The causes of losses.
const (
	ByPolicy   LossCause = "policy"   // the policy is overwritten or removed, and no other has the grant
	ByBoundary LossCause = "boundary" // it stays granted, but the boundary lets it through in part or not at all
	// What limited the role: a denial goes with its policy; a boundary of the role's
	// own, which may be stricter, gives way to ours.
	ByDenial      LossCause = "denial"
	ByReplacement LossCause = "replacement"
)

// String tells the loss in words.
func (l Loss) String() string {
	switch l.By {
	case ByBoundary:
		return fmt.Sprintf("the boundary makes ineffective, in whole or in part, what policy %s grants: %s", l.Policy, l.Grant)
	case ByDenial:
		return fmt.Sprintf("policy %s is replaced or removed, and with it goes what it denies: %s", l.Policy, l.Grant)
	case ByReplacement:
		return fmt.Sprintf("the role's own boundary %s is replaced, which may let more through", l.Policy)
	case ByPolicy:
	}
	return fmt.Sprintf("policy %s is replaced or removed, and with it goes: %s", l.Policy, l.Grant)
}

// AdoptionHash gives the hex SHA-256 of what the plan does to take over roles of
// the agent, or of all agents when none is named: of all its steps with reason
// Adopt, and thereby of the roles as they are and as they should be. It is empty
// when there are none.
func (p Plan) AdoptionHash(agent string) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	found := false
	for _, s := range p.Steps {
		if s.Reason == Adopt && (agent == "" || s.Agent == agent) {
			found = true
			_ = e.Encode(s) // neither strings, lists and maps nor a hash can be refused
		}
	}
	if !found {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// adopting reports whether the claim notes that the role is being taken over.
func (r Role) adopting() bool { return slices.Contains(r.Claim.Adopting, r.Desired.Kind) }

// template reports whether a policy's name is one that our templates use: who
// takes a role over takes such a policy for an older version of its own.
func template(agent, name string) bool {
	return slices.Contains([]string{naming.RuntimePolicy(agent), naming.IdentityPolicy, naming.JWTPolicy, naming.BuildPolicy}, name)
}

// refuse says why a role that somebody else made is left alone, and whether it
// is: otherwise it is taken over.
func refuse(r Role) (f Refusal, refused bool) {
	d := r.Desired
	f = Refusal{Agent: d.Agent, Role: d.Name, ARN: r.Observed.ARN, Kind: NotOurs}
	f.Message = fmt.Sprintf("role %s exists already and Rolekeeper did not make it", d.Name)
	f.Fix = "if nothing uses it, have it deleted and upload the config again; or rename the agent"
	was := r.Claim.RoleID(d.Kind)
	if was != "" {
		f.Kind = Replaced
		f.Message = fmt.Sprintf("role %s was deleted and made anew by somebody else: its unique id is %s, ours was %s", d.Name, r.Observed.ID, was)
		f.Fix = "find out who made it (CloudTrail, CreateRole); delete it and upload the config again to have ours back"
	}
	if r.Existing != AdoptExisting && r.Existing != ReportExisting {
		return f, true
	}
	if why := hostility(r); len(why) > 0 {
		f.Kind = Hostile
		f.Message += ". It is never adopted: " + strings.Join(why, "; ")
		f.Fix += "; or have taken from the role what is named here, then it can be adopted"
		return f, true
	}
	boundary, obstacle := limit(r)
	if obstacle != "" {
		f.Message += ". It cannot be adopted: " + obstacle
		return f, true
	}
	if r.Requested || r.Existing == AdoptExisting && was == "" {
		return Refusal{}, false
	}
	f.Fix = fmt.Sprintf("have an operator run `rolekeeper adopt %s %s`, which takes the role over; or %s", r.Claim.Config, d.Agent, f.Fix)
	f.Losses = losses(r, boundary)
	return f, true
}

// hostility says why a role is not one to be taken over: others could use it, or
// it could be used to get more than it grants. A policy that cannot be read
// could grant anything.
func hostility(r Role) []string {
	var why []string
	service, account := user(r.Desired)
	for _, reason := range policy.TrustBeyond(r.Observed.Trust, service, account) {
		why = append(why, "its trust goes beyond "+service+" in this account: "+reason)
	}
	for _, g := range granting(r) {
		if g.err != nil {
			why = append(why, fmt.Sprintf("policy %s cannot be judged: %v", g.name, g.err))
		} else if ways := policy.Escalates(g.document); len(ways) > 0 {
			why = append(why, fmt.Sprintf("policy %s grants %s, which can lead to more permissions", g.name, strings.Join(ways, ", ")))
		}
	}
	return why
}

// user gives the service that is to assume the role, and the account it is in.
func user(d model.Role) (service, account string) {
	for _, s := range d.Trust.Statements {
		if names := s.Principals[policy.Service]; len(names) > 0 {
			service = names[0]
		}
	}
	if parts := strings.Split(d.ARN, ":"); len(parts) > 4 {
		account = parts[4]
	}
	return service, account
}

// limit gives the boundary that the role is to get, or says what stands in the
// way of adopting a role that is not hostile.
func limit(r Role) (boundary policy.Document, obstacle string) {
	if r.Observed.ARN != r.Desired.ARN {
		return boundary, fmt.Sprintf("its ARN is %s, not %s", r.Observed.ARN, r.Desired.ARN)
	}
	for _, arn := range append(slices.Clone(r.Observed.Attached), r.Desired.PermissionsBoundary) {
		if _, known := r.Managed[arn]; !known {
			return boundary, "what managed policy " + arn + " grants is not known"
		}
	}
	if f, full := tagsFull(r); full {
		return boundary, f.Message + "; " + f.Fix
	}
	if use := measure(r, adopted); use.desired+use.foreign > policy.MaxInlinePerRole {
		f := policiesFull(r, use.desired+use.foreign)
		return boundary, f.Message + "; " + f.Fix
	}
	boundary, err := policy.Parse(r.Managed[r.Desired.PermissionsBoundary])
	if err != nil {
		return boundary, fmt.Sprintf("the boundary %s cannot be judged: %v", r.Desired.PermissionsBoundary, err)
	}
	return boundary, ""
}

// granted is a policy of a role as it was read.
type granted struct {
	name     string // of an inline policy, or the ARN of a managed one
	document policy.Document
	err      error // it cannot be parsed
}

// granting gives the policies of a role that are known, the inline ones first.
func granting(r Role) []granted {
	var all []granted
	for _, name := range slices.Sorted(maps.Keys(r.Observed.Policies)) {
		d, err := policy.Parse(r.Observed.Policies[name])
		all = append(all, granted{name, d, err})
	}
	for _, arn := range r.Observed.Attached {
		if raw, known := r.Managed[arn]; known {
			d, err := policy.Parse(raw)
			all = append(all, granted{arn, d, err})
		}
	}
	return all
}

// denied gives what a policy denies.
func denied(d policy.Document) []policy.Grant {
	var all []policy.Grant
	for _, s := range d.Statements {
		if s.Effect == policy.Deny {
			all = append(all, policy.Grant{
				Actions: s.Actions, NotActions: s.NotActions, Resources: s.Resources, NotResources: s.NotResources, Conditions: s.Conditions,
			})
		}
	}
	return all
}

// losses gives what adoption would take away. Policies that are overwritten or
// removed, also those that go once the role is ours, take with them what neither
// the desired ones nor those that stay grant; the boundary cuts what is left.
func losses(r Role, boundary policy.Document) []Loss {
	var goes, stays []granted
	var within []policy.Document
	for _, d := range r.Desired.Policies {
		within = append(within, d)
	}
	for _, g := range granting(r) {
		if _, wanted := r.Desired.Policies[g.name]; wanted || template(r.Desired.Agent, g.name) || r.removes() {
			goes = append(goes, g)
			continue
		}
		stays = append(stays, g)
		within = append(within, permitting(g.document)) // what it denies it denies before and after
	}
	var all []Loss
	add := func(g granted, by LossCause, grants []policy.Grant) {
		for _, grant := range grants {
			all = append(all, Loss{Policy: g.name, Grant: grant, By: by})
		}
	}
	if is := r.Observed.PermissionsBoundary; is != "" && is != r.Desired.PermissionsBoundary {
		all = append(all, Loss{Policy: is, By: ByReplacement})
	}
	for _, g := range goes {
		add(g, ByDenial, denied(g.document))
		lost := policy.Beyond(g.document, within...)
		add(g, ByPolicy, lost)
		cut := policy.Beyond(g.document, boundary)
		add(g, ByBoundary, policy.Beyond(document(g, cut), document(g, lost)))
	}
	for _, g := range stays {
		add(g, ByBoundary, policy.Beyond(g.document, boundary))
	}
	return all
}

// document gives grants of a policy as a policy.
func document(of granted, grants []policy.Grant) policy.Document {
	d := policy.Document{Version: of.document.Version}
	for _, g := range grants {
		d.Statements = append(d.Statements, g.Statement())
	}
	return d
}

// permitting gives the document without its denials.
func permitting(d policy.Document) policy.Document {
	d.Statements = slices.DeleteFunc(slices.Clone(d.Statements), func(s policy.Statement) bool { return s.Effect == policy.Deny })
	return d
}
