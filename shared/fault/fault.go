// Package fault says what went wrong and what that means: to the person who
// uploaded a config (Problem) and to the queue a message came from (Class).
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Class says what becomes of the message whose handling ended in an error.
type Class string

// The classes. An error without a class is Unknown. A config that is at fault,
// or that has to wait, is answered in its status; that is no error.
const (
	Unknown Class = "unknown" // back to the queue, then to the dead letters
	Retry   Class = "retry"   // time will mend it: throttled, still propagating, changed by somebody else meanwhile
	Poison  Class = "poison"  // cannot be decoded; to the dead letters at once
	Ignored Class = "ignored" // not ours
)

// Error carries a class with its cause.
type Error struct {
	Class Class
	Err   error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of the given class; format and args as for fmt.Errorf.
func Errorf(class Class, format string, args ...any) error {
	return &Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// Of gives the class of the outermost classified error in err's chain, Unknown when there is none.
func Of(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Unknown
}

// Severity says whether a problem stops a config.
type Severity string

// A config with one Error is refused whole; a Warning is told and nothing more.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing wrong with a config, as the developer reads it.
type Problem struct {
	Code     string   `json:"code"`             // stable, for tests and tools: "agent-name-invalid"
	Severity Severity `json:"severity"`         //
	Agent    string   `json:"agent,omitempty"`  // agent it belongs to; empty for the whole file
	Field    string   `json:"field,omitempty"`  // dotted path from the agent: "aws.execution_role"
	Line     int      `json:"line,omitempty"`   // counted from 1; 0 when there is no place
	Column   int      `json:"column,omitempty"` // counted from 1
	Message  string   `json:"message"`          // what is wrong
	Fix      string   `json:"fix"`              // what to do
}

// String gives the problem on one line, in the form compilers use.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	}
	fmt.Fprintf(&b, "%s: ", p.Severity)
	if p.Agent != "" {
		b.WriteString(`agent "` + p.Agent + `": `) // no %q: what is not legible in it was quoted where it was read
	}
	if p.Field != "" {
		fmt.Fprintf(&b, "%s: ", p.Field)
	}
	fmt.Fprintf(&b, "%s; %s [%s]", p.Message, p.Fix, p.Code)
	return b.String()
}

// Sort puts problems into the order of the file; those without a place come first.
func Sort(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Blocks reports whether any of the problems stops the config.
func Blocks(problems []Problem) bool {
	for _, p := range problems {
		if p.Severity == SeverityError {
			return true
		}
	}
	return false
}

// What adapters answer where the difference decides: each is wrapped, so use errors.Is.
var (
	// ErrNotFound is a positive "not there". Nothing else may be taken for absence.
	ErrNotFound = errors.New("not found")
	// ErrExists says that the name is taken.
	ErrExists = errors.New("already exists")
	// ErrConflict says that a condition on a write did not hold: somebody else wrote first.
	ErrConflict = errors.New("changed meanwhile")
	// ErrDenied says that something is there and may not be read.
	ErrDenied = errors.New("not allowed")
	// ErrLimit says that a limit of the account keeps a call from being carried out for now.
	ErrLimit = errors.New("the account's limit is reached")
)
