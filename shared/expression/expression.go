// Package expression compiles regular expressions when they are first used: the
// start of a function uses few of those that its packages have, and compiling
// all of them was a tenth of it.
package expression

import (
	"regexp"
	"sync"
)

// Lazy gives a function that gives the compiled pattern, which must be valid.
func Lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
