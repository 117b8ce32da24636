package policy

import "testing"

func TestConditionsInWords(t *testing.T) {
	for name, c := range map[string]struct {
		conditions Conditions
		want       string
	}{
		"none":                          {nil, ""},
		"an operator without keys":      {Conditions{"Bool": {}}, ""},
		"one":                           {Conditions{"Bool": {"aws:SecureTransport": {"false"}}}, "aws:SecureTransport Bool false"},
		"one of two values":             {Conditions{"StringLike": {"a": {"y", "x"}}}, "a StringLike y, x"},
		"more, by operator and by key":  {Conditions{"StringLike": {"b": {"2"}, "a": {"1"}}, "Null": {"c": {"true"}}}, "c Null true and a StringLike 1 and b StringLike 2"},
		"a key that must have no value": {Conditions{"StringEquals": {"a": {}}}, "a StringEquals "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.conditions.String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
