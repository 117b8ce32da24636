package policy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// words are all texts of a and b up to a length that no shortest common text of
// the patterns below exceeds.
func words() []string {
	all := []string{""}
	for from, length := 0, 0; length < 8; length++ {
		for end := len(all); from < end; from++ {
			all = append(all, all[from]+"a", all[from]+"b")
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

func TestPatternsAreComparedByWhatTheyMatch(t *testing.T) {
	all := words()
	pattern := rapid.StringMatching(`[ab*?]{0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := pattern.Draw(t, "a"), pattern.Draw(t, "b")
		common, whole := false, true
		for _, w := range all {
			inA, inB := naive(a, w), naive(b, w)
			common = common || inA && inB
			whole = whole && (inA || !inB)
			if covers(a, w) != inA {
				t.Fatalf("covers(%q, %q) = %t, want %t", a, w, !inA, inA)
			}
		}
		if overlap(a, b) != common {
			t.Errorf("overlap(%q, %q) = %t, want %t", a, b, !common, common)
		}
		if covers(a, b) && !whole {
			t.Errorf("%q does not cover %q", a, b)
		}
		// What it may miss are spellings of one meaning and patterns that cover
		// together with the length of the text.
		if whole && !covers(a, b) && !strings.Contains(a, "?") {
			t.Errorf("%q covers %q", a, b)
		}
		if !covers(a, a) || !coversResource(a, a) {
			t.Errorf("%q does not cover itself", a)
		}
	})
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
		"an incomplete ARN is more than a queue":       {"arn:aws:sqs:*:*:q", "arn:aws:sqs", false},
		"a variable covers itself":                     {"arn:aws:s3:::${aws:username}", "arn:aws:s3:::${aws:username}", true},
		"a variable covers no text":                    {"arn:aws:s3:::${aws:username}", "arn:aws:s3:::bob", false},
		"a variable covers no other":                   {"arn:aws:s3:::${aws:username}*", "arn:aws:s3:::${aws:userid}*", false},
		"a star covers a variable":                     {"arn:aws:s3:::*", "arn:aws:s3:::${aws:username}/x", true},
		"a letter does not cover a variable":           {"arn:aws:s3:::????????????????", "arn:aws:s3:::${aws:username}", false},
		"a variable with a brace in its default":       {"arn:aws:s3:::*'}", "arn:aws:s3:::${aws:username, 'a}b'}", false},
		"a variable that could span segments":          {"arn:aws:s3:::*", "arn:aws:${s3:a}:::b", false},
		"a dollar sign and a brace that never closes":  {"arn:aws:s3:::a*", "arn:aws:s3:::a${", true},
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
