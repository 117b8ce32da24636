package policy

import (
	"slices"
	"strings"
)

// Trusts reports whether a trust policy, as IAM holds it, lets a service assume
// the role for an account. It looks at what a statement says of the service and
// of aws:SourceAccount and aws:SourceArn, the conditions AWS asks for against
// confused deputies; other conditions are taken to hold, since what AgentCore
// sends for them is not documented. What cannot be parsed trusts nobody.
func Trusts(raw, service, account string) bool {
	d, err := Parse(raw)
	if err != nil {
		return false
	}
	trusted := false
	for _, s := range d.Statements {
		if !assumes(s) || !slices.Contains(s.Principals[Service], service) && !slices.Contains(s.Principals[AWS], "*") {
			continue
		}
		if !forAccount(s.Conditions, account) {
			continue
		}
		if s.Effect == Deny {
			return false
		}
		trusted = true
	}
	return trusted
}

func assumes(s Statement) bool {
	return slices.ContainsFunc(s.Actions, func(a string) bool {
		return strings.EqualFold(a, "sts:AssumeRole") || strings.EqualFold(a, "sts:*") || a == "*"
	})
}

// forAccount reports whether conditions on the source can hold for the account.
func forAccount(conditions Conditions, account string) bool {
	for operator, keys := range conditions {
		positive := !strings.Contains(strings.ToLower(operator), "not")
		for key, values := range keys {
			var named func(string) bool
			switch strings.ToLower(key) {
			case "aws:sourceaccount":
				named = func(v string) bool { return v == account || v == "*" }
			case "aws:sourcearn":
				named = func(v string) bool {
					parts := strings.SplitN(v, ":", 6)
					return v == "*" || len(parts) > 4 && (parts[4] == account || strings.ContainsAny(parts[4], "*?"))
				}
			default:
				continue
			}
			if slices.ContainsFunc(values, named) != positive {
				return false
			}
		}
	}
	return true
}
