package policy

import (
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
	return slices.ContainsFunc(s.Actions, func(a string) bool { return matches(strings.ToLower(a), "sts:assumerole") })
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
				met = slices.ContainsFunc(values, func(v string) bool { return matches(v, account) })
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
	const segments = 6
	parts := strings.SplitN(pattern, ":", segments)
	for len(parts) < segments && strings.HasSuffix(parts[len(parts)-1], "*") {
		parts = append(parts, "*")
	}
	name, _, _ := strings.Cut(service, ".")
	return len(parts) == segments && matches(parts[2], name) && matches(parts[4], account)
}

// matches reports whether s is of the pattern, in which * stands for any
// characters and ? for any one.
func matches(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return matches(pattern[1:], s) || s != "" && matches(pattern, s[1:])
	case s == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == s[0]) && matches(pattern[1:], s[1:])
}
