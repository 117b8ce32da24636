package slr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
)

const (
	// lingers is how long AgentCore may keep network interfaces once the last
	// resource in a VPC is deleted (AgentCore developer guide, "Configure AgentCore
	// for VPC").
	lingers = 8 * time.Hour
	// late is by how much IAM may be behind with what it says of uses (IAM user
	// guide, "Refine permissions using last accessed information").
	late = 4 * time.Hour
	// settle is for how long there must have been no sign of use or need.
	settle = lingers + late
	// refusedFor is how long a deletion that AWS refused is not asked for again
	// unless an operator does.
	refusedFor = 24 * time.Hour
	day        = 24 * time.Hour
	// lag is for how long IAM may show what is deleted.
	lag = 10 * time.Minute
)

// evidence is all that the verdict on one service-linked role goes by.
type evidence struct {
	role desired.ServiceLinkedRole

	observed *model.ObservedLinked // nil: it is not there
	foreign  string                // path of a role that has its name, and is none
	unseen   string                // why the role itself could not be read

	uses   []model.LinkedNeed // what exists and needs it
	asks   []model.LinkedNeed // configs that ask for what will need it
	unread []string           // what could not be read of that which may need it
	untold string             // why AWS did not say how far its deletion is

	interfaces  []model.LinkedNeed // network interfaces that are left
	lingerUntil time.Time          // when they should be gone; zero: not known

	accessed   *model.LinkedAccess
	deletion   *model.LinkedDeletion
	neededAt   time.Time // the last look that found a need; zero: none did
	unneededAt time.Time // the first complete look since then that found none; zero: not yet

	regions []string // that were looked at
}

// judgement is what evidence comes down to.
type judgement struct {
	verdict   model.Verdict
	reasons   []string
	fix       string
	idleSince time.Time
	goes      bool // it was idle for long enough to be deleted without anybody's asking
}

// judge comes to the verdict on a role. What could not be read is never taken for
// what is not there. With idleDays of 0 nothing is deleted unasked.
func judge(e evidence, idleDays int, now time.Time) judgement {
	switch {
	case e.unseen != "":
		return judgement{verdict: model.LinkedUnknown, reasons: []string{"the role could not be read: " + e.unseen}, fix: fixUnread}
	case e.observed == nil:
		return e.absent()
	case e.deletion != nil && e.deletion.State == model.DeletionRunning:
		return e.deleted()
	case len(e.uses) > 0:
		return judgement{verdict: model.LinkedUsed, reasons: slices.Concat(told(e.uses, "needs it"), e.used())}
	case len(e.asks) > 0:
		return judgement{verdict: model.LinkedNeeded, reasons: slices.Concat(told(e.asks, "asks for what will need it"), e.used())}
	case len(e.unread) > 0:
		return judgement{
			verdict: model.LinkedUnknown, fix: fixUnread,
			reasons: append([]string{"nothing that could be read needs it, and not everything could be read"}, first(e.unread)...),
		}
	case len(e.interfaces) > 0:
		return e.lingering(now)
	}
	return e.idle(idleDays, now)
}

const fixUnread = "have the platform team let rolekeeper-slrwatch read it, or mend it; a Region without AgentCore can be left out of Regions"

// deleted judges a role that AWS is about to delete.
func (e evidence) deleted() judgement {
	j := judgement{verdict: model.LinkedDeleting, reasons: []string{fmt.Sprintf("AWS was asked to delete it at %s; its task is %s", moment(e.deletion.At), e.deletion.Task)}}
	if e.untold != "" {
		j.reasons, j.fix = append(j.reasons, "how far that is could not be read: "+e.untold), fixUnread
	}
	return j
}

// absent judges a role that is not there.
func (e evidence) absent() judgement {
	var j judgement
	if d := e.deletion; d != nil && d.State == model.DeletionSucceeded {
		j.reasons = []string{"it was deleted at " + moment(d.EndedAt)}
	}
	if e.foreign != "" {
		j.reasons = []string{fmt.Sprintf("a role of its name is in path %s; it is not AWS's own, which cannot be made beside it", e.foreign)}
	}
	switch {
	case len(e.uses)+len(e.asks) > 0:
		j.verdict = model.LinkedMissing
		j.reasons = slices.Concat([]string{"it is not there"}, j.reasons, told(e.uses, "needs it"), told(e.asks, "asks for what will need it"))
		j.fix = "aws iam create-service-linked-role --aws-service-name " + e.role.Service
		if e.foreign != "" {
			j.fix = "delete the role in path " + e.foreign + ", then: " + j.fix
		}
	case len(e.unread) > 0:
		j.verdict, j.fix = model.LinkedUnknown, fixUnread
		j.reasons = slices.Concat([]string{"it is not there, and whether anything needs it is not known"}, j.reasons, first(e.unread))
	default:
		j.verdict = model.LinkedAbsent
		but := ""
		if len(e.interfaces) > 0 {
			but = " but network interfaces"
		}
		j.reasons = slices.Concat([]string{fmt.Sprintf("it is not there, and nothing in %s needs it%s", e.places(), but)}, j.reasons, told(e.interfaces, "is left of what was in a VPC"))
	}
	return j
}

// lingering judges a role that nothing needs but network interfaces that are left.
func (e evidence) lingering(now time.Time) judgement {
	j := judgement{verdict: model.LinkedUsed, reasons: told(e.interfaces, "is left of what was in a VPC")}
	switch {
	case e.lingerUntil.IsZero():
		j.reasons = append(j.reasons, fmt.Sprintf("AgentCore keeps them for up to %v; no look saw when the last resource in a VPC was deleted", lingers))
	case e.lingerUntil.After(now):
		j.reasons = append(j.reasons, fmt.Sprintf("AgentCore keeps them for up to %v: they should be gone at %s", lingers, moment(e.lingerUntil)))
	default:
		j.reasons = append(j.reasons, fmt.Sprintf("they should have been gone at %s", moment(e.lingerUntil)))
		j.fix = fmt.Sprintf("find out whose they are: aws ec2 describe-network-interfaces --region %s --include-managed-resources --filters Name=tag:AmazonBedrockAgentCoreManaged,Values=true", e.interfaces[0].Region)
	}
	return j
}

// idle judges a role that nothing needs.
func (e evidence) idle(idleDays int, now time.Time) judgement {
	used, region := e.lastUse()
	if !used.IsZero() {
		region = cmp.Or(region, unnamed)
	}
	since := latest(e.observed.Created, used, e.neededAt)
	j := judgement{idleSince: since, reasons: append([]string{fmt.Sprintf("nothing in %s needs it", e.places())}, e.used()...)}
	if d := e.deletion; d != nil && d.State == model.DeletionFailed && d.RoleID == e.observed.ID {
		j.verdict, j.fix = model.LinkedRefused, "delete what uses it, or keep the role; have the Regions looked at that use it: parameter Regions"
		j.reasons = append(refusal(*d), j.reasons...)
		j.goes = e.over(idleDays, since, now) && now.Sub(d.EndedAt) >= refusedFor && e.proven(since, region, now) == ""
		return j
	}
	if why := e.proven(since, region, now); why != "" {
		j.verdict, j.reasons = model.LinkedIdle, append(j.reasons, why)
		switch {
		case region != "" && region != unnamed && !slices.Contains(e.regions, region):
			j.fix = "add " + region + " to parameter Regions"
		case e.accessed != nil && e.accessed.Failed != "":
			j.fix = "if it goes on, have the platform team let rolekeeper-slrwatch ask IAM for the report"
		}
		return j
	}
	j.verdict, j.goes = model.LinkedRemovable, e.over(idleDays, since, now)
	j.reasons = append(j.reasons, "idle since "+moment(since))
	j.fix = "rolekeeper slr delete " + e.role.Name + "; or keep it: it costs nothing, and AgentCore makes it anew only for who may have it made"
	if idleDays > 0 && !e.unneededAt.IsZero() {
		j.reasons = append(j.reasons, "it goes by itself at "+moment(latest(since, e.unneededAt).Add(time.Duration(idleDays)*day)))
	}
	return j
}

// unnamed stands for a Region that IAM does not name, which is none that is looked at.
const unnamed = "a Region that is not named"

// proven says what is missing for a role to be removable that nothing needs, and
// that had its last sign of use or need at a time, its last use from a Region.
func (e evidence) proven(since time.Time, region string, now time.Time) string {
	switch {
	case region != "" && !slices.Contains(e.regions, region):
		return fmt.Sprintf("it was last used from %s, which is not looked at: what is there may need it", region)
	case now.Sub(since) < settle:
		return fmt.Sprintf("the last sign of use or need was at %s; what IAM says can be %v late, and network interfaces stay for up to %v", moment(since), late, lingers)
	case e.accessed == nil:
		return "IAM's report on its last accesses is not there yet"
	case e.accessed.Failed != "":
		return "IAM made no report on its last accesses: " + e.accessed.Failed
	case e.accessed.At.Sub(since) < late:
		return "IAM's report on its last accesses is not new enough"
	}
	return ""
}

// over reports whether a role was idle for so many days, and was watched for as
// long without a need.
func (e evidence) over(idleDays int, since, now time.Time) bool {
	return idleDays > 0 && !e.unneededAt.IsZero() && now.Sub(latest(since, e.unneededAt)) >= time.Duration(idleDays)*day
}

// lastUse gives when the role was last used and from which Region, as far as IAM
// says; zero when it was not within 400 days.
func (e evidence) lastUse() (at time.Time, region string) {
	if e.observed == nil {
		return time.Time{}, ""
	}
	at, region = e.observed.LastUsed, e.observed.LastUsedRegion
	if e.accessed != nil && e.accessed.Last.After(at) {
		at, region = e.accessed.Last, e.accessed.Region
	}
	return at, region
}

// used says when the role was last used.
func (e evidence) used() []string {
	switch at, region := e.lastUse(); {
	case at.IsZero():
		return []string{"IAM knows of no use within 400 days"}
	case region == "":
		return []string{"last used at " + moment(at)}
	default:
		return []string{fmt.Sprintf("last used at %s from %s", moment(at), region)}
	}
}

func (e evidence) places() string { return strings.Join(e.regions, ", ") }

// refusal says why AWS did not delete a role.
func refusal(d model.LinkedDeletion) []string {
	out := []string{fmt.Sprintf("AWS did not delete it at %s: %s", moment(d.EndedAt), cmp.Or(d.Reason, "it gave no reason"))}
	for _, u := range d.Usage {
		what := strings.Join(u.Resources, ", ")
		out = append(out, fmt.Sprintf("it is used in %s by %s", u.Region, cmp.Or(what, "something that AWS does not name")))
	}
	return out
}

// mostTold is how many of the things that need a role its reasons name, or of those
// that could not be read.
const mostTold = 3

// told names the first of what needs a role, and counts the rest.
func told(needs []model.LinkedNeed, does string) []string {
	var out []string
	for _, n := range needs[:min(len(needs), mostTold)] {
		status := ""
		if n.Status != "" {
			status = " (" + n.Status + ")"
		}
		out = append(out, fmt.Sprintf("%s %s in %s%s %s", n.Kind, n.Name, n.Region, status, does))
	}
	return more(out, len(needs))
}

// first gives the first of some reasons, and counts the rest.
func first(reasons []string) []string {
	return more(slices.Clone(reasons[:min(len(reasons), mostTold)]), len(reasons))
}

func more(told []string, of int) []string {
	if rest := of - len(told); rest > 0 {
		told = append(told, fmt.Sprintf("and %d more", rest))
	}
	return told
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
