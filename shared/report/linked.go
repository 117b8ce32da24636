package report

import (
	"fmt"
	"strings"
	"time"

	"rolekeeper/shared/model"
)

// Linked is what was known of AgentCore's service-linked roles when a pass was
// taken. A pass tells it and goes by none of it.
type Linked struct {
	Unread   string                    `json:"unread,omitempty"`  // why it could not be read; then there is nothing else
	BegunAt  time.Time                 `json:"begunAt,omitzero"`  // when the last look began, whether it came to its end or not
	LookedAt time.Time                 `json:"lookedAt,omitzero"` // when the look began that the rest tells of; zero: there was none
	Regions  []model.LinkedRegion      `json:"regions,omitempty"` // that were looked at
	Roles    []model.ServiceLinkedRole `json:"roles,omitempty"`
}

// LinkedOf gives of what is known what people read in a report.
func LinkedOf(s model.ServiceLinkedRoles) *Linked {
	l := &Linked{BegunAt: s.BegunAt, LookedAt: s.LookedAt}
	for _, r := range s.Regions {
		l.Regions = append(l.Regions, model.LinkedRegion{Name: r.Name, Resources: r.Resources, Interfaces: r.Interfaces, Unread: r.Unread})
	}
	for _, r := range s.Roles {
		r.ARN, r.ID, r.Job = "", "", nil
		r.NeededAt, r.UnneededAt, r.WholeAt, r.IdleSince, r.LingerUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{} // its reasons tell them
		if p := r.Policy; p != nil && p.Changed.IsZero() {
			r.Policy = nil
			if p.Unread != "" {
				r.Policy = &model.LinkedPolicy{ARN: p.ARN, Unread: p.Unread}
			}
		}
		if r.Deletion != nil {
			d := *r.Deletion
			d.RoleID, d.Task = "", ""
			r.Deletion = &d
		}
		l.Roles = append(l.Roles, r)
	}
	return l
}

// LookLate is how old a look at the service-linked roles is that is told to be
// late: there is one each day.
const LookLate = 26 * time.Hour

// Late reports whether a look should have come before a time. Before the first look
// none is late.
func (l *Linked) Late(at time.Time) bool {
	return !l.LookedAt.IsZero() && at.Sub(l.LookedAt) > LookLate
}

// Alerts says what of the service-linked roles somebody should look at, at a time,
// a sentence each; nil when there is nothing, or nothing is known.
func (l *Linked) Alerts(at time.Time) []string {
	if l == nil {
		return nil
	}
	var all []string
	tell := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if l.Unread != "" {
		tell("What is known of the service-linked roles could not be read.")
	}
	if l.Late(at) {
		tell("The service-linked roles were last looked at %s before the pass: the daily look is late.", Span(at.Sub(l.LookedAt)))
	}
	for _, v := range []struct {
		verdict model.Verdict
		text    string
	}{
		{model.LinkedMissing, "%[1]s %[2]s needed and not there: %[3]s."},
		{model.LinkedRefused, "AWS refused to delete %[1]s: %[3]s."},
		{model.LinkedUnknown, "%[1]s could not be judged: %[3]s."},
	} {
		var names []string
		for _, r := range l.Roles {
			if r.Verdict == v.verdict {
				names = append(names, r.Name)
			}
		}
		be := "are"
		if len(names) == 1 {
			be = "is"
		}
		if len(names) > 0 {
			tell(v.text, Count(len(names), "service-linked role"), be, strings.Join(names, ", "))
		}
	}
	return all
}

// DeletionWords says how far a deletion of a service-linked role is.
func DeletionWords(s model.LinkedDeletionState) string {
	switch s {
	case model.DeletionAsked:
		return "AWS is about to be asked, or just was"
	case model.DeletionRunning:
		return "AWS is at it"
	case model.DeletionSucceeded:
		return "the role is gone"
	case model.DeletionFailed:
		return "AWS did not delete the role"
	case model.DeletionLost:
		return "AWS knows of it no more, and the role is there"
	}
	return string(s)
}
