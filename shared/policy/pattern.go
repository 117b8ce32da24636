package policy

import "strings"

// In patterns of IAM * stands for any characters and ? for any one.

// covers reports whether wide matches everything that narrow matches; narrow may
// be a pattern or a plain text. Of two patterns that mean the same in different
// spellings (*? and ?*) it may say no.
func covers(wide, narrow string) bool {
	w, n := []rune(wide), []rune(narrow)
	star, resume := -1, 0 // the last * of wide, and where what follows it is tried next
	i := 0
	for j := 0; j < len(n); {
		switch {
		case i < len(w) && w[i] == '*':
			star, resume = i, j
			i++
		case i < len(w) && (w[i] == n[j] || w[i] == '?' && n[j] != '*'):
			i++
			j++
		case star >= 0:
			resume++
			i, j = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(string(w[i:]), "*") == ""
}

// overlap reports whether there is a text that both patterns match.
func overlap(a, b string) bool {
	x, y := []rune(a), []rune(b)
	star := func(s []rune, i int) bool { return i < len(s) && s[i] == '*' }
	// row[j] says it of what is left of x from i on and of y from j on, below[j]
	// of x from i+1 on. The last column is beyond y and stays false.
	below := make([]bool, len(y)+2)
	for i := len(x); i >= 0; i-- {
		row := make([]bool, len(y)+2)
		for j := len(y); j >= 0; j-- {
			switch {
			case star(x, i), star(y, j):
				row[j] = below[j] || row[j+1]
			case i == len(x) || j == len(y):
				row[j] = i == len(x) && j == len(y)
			default:
				row[j] = (x[i] == y[j] || x[i] == '?' || y[j] == '?') && below[j+1]
			}
		}
		below = row
	}
	return below[0]
}

// coversAction is covers for actions, whose case does not matter.
func coversAction(wide, narrow string) bool {
	return covers(strings.ToLower(wide), strings.ToLower(narrow))
}

func overlapActions(a, b string) bool { return overlap(strings.ToLower(a), strings.ToLower(b)) }

// coversResource is covers for resources. They are compared by the segments of
// their ARNs: a * at the end of a segment can reach beyond it and others cannot
// (IAM User Guide, "IAM JSON policy elements: Resource"), and what covers segment
// by segment covers in both cases. A policy variable can stand for any text, the
// same for the same variable.
func coversResource(wide, narrow string) bool {
	if strings.Contains(wide, variable) {
		return wide == narrow
	}
	if covers(wide, "*") {
		return true
	}
	w, n := strings.SplitN(complete(wide), ":", segments), strings.SplitN(complete(filled(narrow)), ":", segments)
	if len(w) != len(n) {
		return false
	}
	for i := range w {
		if !covers(w[i], n[i]) {
			return false
		}
	}
	return true
}

// overlapResources is overlap for resources. Case does not count, as for some of
// them it does not.
func overlapResources(a, b string) bool {
	return overlap(strings.ToLower(complete(filled(a))), strings.ToLower(complete(filled(b))))
}

// segments are the parts of an ARN: arn, partition, service, region, account and
// the resource, which may have colons of its own.
const segments = 6

// complete gives an ARN the segments it lacks. IAM takes them for * (IAM User
// Guide, "IAM JSON policy elements: Resource").
func complete(resource string) string {
	if missing := segments - 1 - strings.Count(resource, ":"); missing > 0 && strings.HasPrefix(resource, "arn:") {
		resource += strings.Repeat(":*", missing)
	}
	return resource
}

// variable begins a policy variable: ${aws:PrincipalTag/team}.
const variable = "${"

// filled puts * for policy variables and what is between them.
func filled(resource string) string {
	first, last := strings.Index(resource, variable), strings.LastIndex(resource, "}")
	if first < 0 || last < first {
		return resource
	}
	return resource[:first] + "*" + resource[last+1:]
}
