package policy

import (
	"strings"
	"testing"
)

// spelt gives everything of up to so many of the letters.
func spelt(letters string, most int) []string {
	all := []string{""}
	for from, length := 0, 0; length < most; length++ {
		for end := len(all); from < end; from++ {
			for _, c := range letters {
				all = append(all, all[from]+string(c))
			}
		}
	}
	return all
}

// naive is the definition of what a pattern matches.
func naive(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	switch pattern[0] {
	case '*':
		return naive(pattern[1:], text) || text != "" && naive(pattern, text[1:])
	case '?':
		return text != "" && naive(pattern[1:], text[1:])
	}
	return text != "" && text[0] == pattern[0] && naive(pattern[1:], text[1:])
}

// Texts are as long as the shortest that two of the patterns both match can be.
func TestPatternsAreComparedByWhatTheyMatch(t *testing.T) {
	patterns, texts := spelt("ab*?", 3), spelt("ab", 6)
	matched := map[string][]bool{}
	for _, p := range patterns {
		for _, text := range texts {
			matches := naive(p, text)
			if covers(p, text) != matches {
				t.Fatalf("covers(%q, %q) = %t", p, text, !matches)
			}
			matched[p] = append(matched[p], matches)
		}
	}
	for _, a := range patterns {
		for _, b := range patterns {
			common, whole := false, true
			for i := range texts {
				common = common || matched[a][i] && matched[b][i]
				whole = whole && (matched[a][i] || !matched[b][i])
			}
			if overlap(a, b) != common {
				t.Errorf("overlap(%q, %q) = %t", a, b, !common)
			}
			if covers(a, b) && !whole {
				t.Errorf("%q does not cover %q", a, b)
			}
			if whole && !covers(a, b) && !strings.Contains(a, "?") {
				t.Errorf("%q covers %q", a, b)
			}
		}
		if !covers(a, a) {
			t.Errorf("%q does not cover itself", a)
		}
	}
}

func TestPatternsTakeNoTimeToSpeakOf(t *testing.T) {
	many := strings.Repeat("*a", 400)
	if covers(many+"b", strings.Repeat("a", 4000)) {
		t.Error("a text without b ends in b")
	}
	if !overlap(many, strings.Repeat("a*", 400)) {
		t.Error("texts of a only are not found")
	}
}

func TestResourcesAreComparedBySegments(t *testing.T) {
	for name, c := range map[string]struct {
		wide, narrow string
		want         bool
	}{
		"everything covers an ARN":                     {"*", "arn:aws:s3:::b", true},
		"an ARN of stars is not everything":            {"arn:*:*:*:*:*", "*", false},
		"the same":                                     {"arn:aws:s3:::b/*", "arn:aws:s3:::b/*", true},
		"a folder":                                     {"arn:aws:s3:::b/*", "arn:aws:s3:::b/team/?", true},
		"colons in the resource":                       {"arn:aws:logs:r:1:log-group:*", "arn:aws:logs:r:1:log-group:g:log-stream:*", true},
		"a star within a segment stays there":          {"arn:aws:s3:*x:1:b", "arn:aws:s3:y:2:x:1:b", false},
		"a star at the end of a segment may stay":      {"arn:aws:s3:*:1:b", "arn:aws:s3:y:2:x:1:b", false},
		"the case of letters":                          {"arn:aws:s3:::B", "arn:aws:s3:::b", false},
		"an incomplete ARN":                            {"arn:aws:sqs", "arn:aws:sqs:r:1:q", true},
		"an incomplete ARN with a star":                {"arn:aws:sqs:*", "arn:aws:sqs:r:1:q", true},
		"an incomplete ARN covers itself":              {"arn:aws:sqs", "arn:aws:sqs", true},
		"an incomplete ARN is more than a queue":       {"arn:aws:sqs:*:*:q", "arn:aws:sqs", false},
		"a variable covers itself":                     {"arn:aws:s3:::${aws:username}", "arn:aws:s3:::${aws:username}", true},
		"a variable covers no text":                    {"arn:aws:s3:::${aws:username}", "arn:aws:s3:::bob", false},
		"a variable covers no other":                   {"arn:aws:s3:::${aws:username}*", "arn:aws:s3:::${aws:userid}*", false},
		"a star covers a variable":                     {"arn:aws:s3:::*", "arn:aws:s3:::${aws:username}/x", true},
		"a letter does not cover a variable":           {"arn:aws:s3:::????????????????", "arn:aws:s3:::${aws:username}", false},
		"a variable with a brace in its default":       {"arn:aws:s3:::*'}", "arn:aws:s3:::${aws:username, 'a}b'}", false},
		"a variable that could span segments":          {"arn:aws:s3:::*", "arn:aws:${s3:a}:::b", false},
		"a dollar sign and a brace that never closes":  {"arn:aws:s3:::a*", "arn:aws:s3:::a${", true},
		"a brace that closes nothing":                  {"arn:aws:s3:::}a??", "arn:aws:s3:::}a${", true},
		"what is no ARN and has fewer parts":           {"a:*", "a", false},
		"characters that take more than one byte":      {"arn:aws:s3:::?", "arn:aws:s3:::é", true},
		"one character does not stand for two of them": {"arn:aws:s3:::?", "arn:aws:s3:::éé", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := coversResource(c.wide, c.narrow); got != c.want {
				t.Errorf("coversResource(%q, %q) = %t", c.wide, c.narrow, got)
			}
		})
	}
}
