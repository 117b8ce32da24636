package report

import (
	"fmt"
	"strings"
)

// Headline says in one sentence how a pass found the account.
func Headline(p Pass) string {
	n := p.Totals.Drifted
	switch {
	case p.Failed != "":
		return "The pass is not whole: " + strings.TrimRight(p.Failed, ".") + "."
	case p.Stopped != nil:
		return fmt.Sprintf("The pass was stopped before it changed anything: it would put %s right, and at most %s may be at once.",
			Thousands(p.Stopped.Found), Thousands(p.Stopped.Allowed))
	case n == 0 && len(p.Findings) == 0 && len(p.Linked.Alerts(p.At)) == 0:
		return "All is as it was left."
	case n == 0:
		return "All is as it was left; not all is as it should be."
	case n == 1:
		return "1 role, project or policy is not as it was left."
	}
	return Thousands(n) + " roles, projects and policies are not as they were left."
}

// Nonetheless says what is shown of a pass that is not whole, sentences for a person
// to read; empty of one that is whole, and of one that went on.
func Nonetheless(p Pass) string {
	was := p
	was.Failed = ""
	switch {
	case p.Failed == "":
		return ""
	case !p.FoundAt.IsZero():
		return "The pass failed: what is shown was found by that of " + Moment(p.FoundAt) + ". " + Headline(was)
	case p.Stopped != nil:
		return Headline(was)
	case p.Totals.Enqueued == 0:
		return "What is shown is what was known by then."
	}
	return ""
}
