package settings

import (
	"context"
	"fmt"
	"time"

	"rolekeeper/shared/agent"
)

// MaxAge is how long Latest goes by what it read.
const MaxAge = 5 * time.Minute

// Latest keeps the stack's parameters as Systems Manager has them. Lambda does
// not start a function anew when they change, as it does when its environment
// changes.
type Latest struct {
	Read  func(ctx context.Context) (value string, err error)
	Place agent.Place
	Now   func() time.Time

	parameters Parameters
	at         time.Time // when they were read; zero before
}

// Get gives the parameters, read again when they are older than MaxAge. What
// cannot be read or is malformed is an error: what was known before no longer
// holds.
func (l *Latest) Get(ctx context.Context) (Parameters, error) {
	now := l.Now()
	if !l.at.IsZero() && now.Sub(l.at) <= MaxAge {
		return l.parameters, nil
	}
	value, err := l.Read(ctx)
	if err != nil {
		return Parameters{}, fmt.Errorf("settings: %w", err)
	}
	p, err := ParseStored([]byte(value), l.Place)
	if err != nil {
		return Parameters{}, fmt.Errorf("settings parameter: %w", err)
	}
	l.parameters, l.at = p, now
	return p, nil
}
