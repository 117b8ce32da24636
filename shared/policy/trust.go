package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Trusts reports whether a trust policy, as IAM holds it, lets a service assume
// the role for an account. It looks at what a statement says of the service and
// of aws:SourceAccount and aws:SourceArn, the conditions AWS asks for against
// confused deputies. Other conditions are taken to hold where they allow, and
// not to hold where they deny, since what AgentCore sends for them is not
// documented. What cannot be parsed trusts nobody.
func Trusts(raw, service, account string) bool {
	d, err := Parse(raw)
	if err != nil {
		return false
	}
	trusted := false
	for _, s := range d.Statements {
		if !assumes(s) || !concerns(s, service) {
			continue
		}
		holds, judged := judge(s.Conditions, service, account)
		switch {
		case !holds:
		case s.Effect == Allow:
			trusted = true
		case judged:
			return false
		}
	}
	return trusted
}

func assumes(s Statement) bool {
	return slices.ContainsFunc(s.Actions, func(a string) bool { return coversAction(a, assumeRole) })
}

func concerns(s Statement, service string) bool {
	if s.NotPrincipals != nil {
		return s.Effect == Deny && !slices.Contains(s.NotPrincipals[Service], service)
	}
	return slices.Contains(s.Principals[Service], service) || slices.Contains(s.Principals[AWS], "*")
}

// judge reports whether conditions can hold when the service assumes the role
// for the account, and whether there are none that it cannot judge.
func judge(conditions Conditions, service, account string) (holds, judged bool) {
	holds, judged = true, true
	for operator, keys := range conditions {
		operator = strings.ToLower(operator)
		for key, values := range keys {
			var met bool
			switch key = strings.ToLower(key); {
			case key != "aws:sourceaccount" && key != "aws:sourcearn":
				judged = false
				continue
			case operator == "null":
				met = slices.Contains(values, "false")
			case key == "aws:sourceaccount":
				met = slices.ContainsFunc(values, func(v string) bool { return covers(v, account) })
			default:
				met = slices.ContainsFunc(values, func(v string) bool { return ofService(v, service, account) })
			}
			if met == strings.Contains(operator, "not") {
				holds = false
			}
		}
	}
	return holds, judged
}

// ofService reports whether a pattern of ARNs can match one of a service's
// resources in the account.
func ofService(pattern, service, account string) bool {
	if pattern == "*" {
		return true
	}
	parts := strings.SplitN(pattern, ":", segments)
	for len(parts) < segments && strings.HasSuffix(parts[len(parts)-1], "*") {
		parts = append(parts, "*")
	}
	name, _, _ := strings.Cut(service, ".")
	return len(parts) == segments && covers(parts[2], name) && covers(parts[4], account)
}

// TrustBeyond says why a trust policy, as IAM holds it, goes beyond letting the
// service assume the role for the account, a reason each; nil when it does not.
// That is only so when every Allow statement names this service and nobody else,
// allows sts:AssumeRole and nothing else, and ties the service to the account by
// aws:SourceAccount or aws:SourceArn. Denials make nothing worse. What cannot be
// read is beyond.
func TrustBeyond(raw, service, account string) []string {
	d, err := Parse(raw)
	if err != nil {
		return []string{err.Error()}
	}
	var why []string
	for _, name := range slices.Sorted(maps.Keys(d.Unknown)) {
		why = append(why, fmt.Sprintf("it has the element %q, which is not known", name))
	}
	for i, s := range d.Statements {
		if s.Effect == Deny {
			continue
		}
		for _, reason := range s.trustBeyond(service, account) {
			why = append(why, fmt.Sprintf("statement %d %s", i+1, reason))
		}
	}
	return why
}

func (s Statement) trustBeyond(service, account string) []string {
	var why []string
	tell := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(s.Unknown)) {
		tell("has the element %q, which is not known", name)
	}
	if s.Principals == nil && s.NotPrincipals == nil {
		tell("names no principal")
	}
	for _, p := range s.Principals.canonical() {
		if kind, name := p[0], p[1]; kind != Service || name != service {
			tell("lets %s %s assume the role", kind, name)
		}
	}
	if s.NotPrincipals != nil {
		tell("lets everybody assume the role that it does not name")
	}
	for _, action := range s.Actions {
		if !strings.EqualFold(action, assumeRole) {
			tell("allows %s", action)
		}
	}
	if s.NotActions != nil {
		tell("allows %s", listed(nil, s.NotActions))
	}
	if slices.Contains(s.Principals[Service], service) && !s.Conditions.tie(account) {
		tell("does not tie %s to account %s by aws:SourceAccount or aws:SourceArn", service, account)
	}
	return why
}

// assumeRole is the one action of a trust policy that the services need.
const assumeRole = "sts:AssumeRole"

// tie reports whether one of the conditions holds for the account alone.
// Operators that also hold when the key is absent (…IfExists, ForAllValues:) do
// not count.
func (c Conditions) tie(account string) bool {
	for operator, keys := range c {
		operator = strings.ToLower(operator)
		for key, values := range keys {
			var ties func(value string) bool
			switch strings.ToLower(key) {
			case "aws:sourceaccount":
				ties = func(value string) bool { return tiesAccount(operator, value, account) }
			case "aws:sourcearn":
				ties = func(value string) bool { return tiesARN(operator, value, account) }
			default:
				continue
			}
			if len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !ties(v) }) {
				return true
			}
		}
	}
	return false
}

func tiesAccount(operator, value, account string) bool {
	switch operator {
	case "stringequals", "stringequalsignorecase", "stringlike":
		return value == account
	}
	return false
}

// tiesARN reports whether only ARNs of the account are of the pattern. Where a
// pattern is matched as a whole and not by segments (StringLike), the account
// could stand in another segment unless all before it is plain text.
func tiesARN(operator, value, account string) bool {
	parts := strings.SplitN(value, ":", segments)
	if len(parts) < segments || parts[4] != account {
		return false
	}
	before := strings.Join(parts[:4], ":")
	switch operator {
	case "arnlike", "arnequals", "stringequals":
		return !strings.Contains(before, variable)
	case "stringlike":
		return !strings.ContainsAny(before, "*?") && !strings.Contains(before, variable)
	}
	return false
}
