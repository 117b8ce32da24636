package agent

import (
	"regexp"
	"sync"
)

// expression compiles a pattern when it is first used. A function's start uses
// none, and compiling all of them was a tenth of it.
func expression(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
