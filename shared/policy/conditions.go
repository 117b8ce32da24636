package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String gives the conditions in words, in one order: "key operator values" with
// " and " between, all of which must hold. Empty when there are none.
func (c Conditions) String() string {
	var all []string
	for _, operator := range slices.Sorted(maps.Keys(c)) {
		for _, key := range slices.Sorted(maps.Keys(c[operator])) {
			all = append(all, fmt.Sprintf("%s %s %s", key, operator, strings.Join(c[operator][key], ", ")))
		}
	}
	return strings.Join(all, " and ")
}
