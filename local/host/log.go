package host

import (
	"bytes"
	"os"
	"sync"
)

const keptLines = 2000

// logFile takes what a function writes: all of it into a file, the last lines
// into memory.
type logFile struct {
	mu      sync.Mutex
	file    *os.File
	lines   []string
	partial []byte
}

func newLog(path string) (*logFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &logFile{file: f}, nil
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		line, rest, whole := bytes.Cut(l.partial, []byte("\n"))
		if !whole {
			break
		}
		l.lines = append(l.lines, string(line))
		l.partial = rest
	}
	if extra := len(l.lines) - keptLines; extra > 0 {
		l.lines = append([]string(nil), l.lines[extra:]...)
	}
	return l.file.Write(p)
}

func (l *logFile) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.file.Close() // the lines are in memory, too
}
