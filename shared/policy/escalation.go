package policy

import "slices"

var (
	// becoming are the actions of STS by which one becomes somebody else.
	becoming = []string{"sts:AssumeRole*", "sts:AssumeRoot", "sts:GetFederationToken"}
	// looking are the actions of IAM that change nothing.
	looking = []string{"iam:Get*", "iam:List*", "iam:Generate*", "iam:Simulate*"}
)

const allOfIAM = "iam:*"

// Escalates gives what of a permissions policy can lead to more permissions:
// the actions, as they are written, that can match one of IAM which does more
// than look, or one of STS by which one becomes somebody else. An Allow by
// NotAction counts unless it leaves out both. Resources, conditions and denials
// excuse nothing. nil when there is nothing of the kind.
func Escalates(d Document) []string {
	var found []string
	add := func(what string) {
		if !slices.Contains(found, what) {
			found = append(found, what)
		}
	}
	for _, s := range d.Statements {
		if s.Effect == Deny {
			continue
		}
		if s.NotActions != nil {
			for _, way := range append([]string{allOfIAM}, becoming...) {
				if !slices.ContainsFunc(s.NotActions, func(out string) bool { return coversAction(out, way) }) {
					add(listed(nil, s.NotActions))
					break
				}
			}
		}
		for _, action := range s.Actions {
			if escalates(action) {
				add(action)
			}
		}
	}
	return found
}

func escalates(action string) bool {
	looks := slices.ContainsFunc(looking, func(look string) bool { return coversAction(look, action) })
	return overlapActions(action, allOfIAM) && !looks ||
		slices.ContainsFunc(becoming, func(way string) bool { return overlapActions(action, way) })
}
