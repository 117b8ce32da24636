package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// load is the work of the machine up to a moment.
type load struct {
	at       time.Time
	all, own time.Duration // of all processors: of everything, and of us and our children that have ended
}

func loadNow() (load, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return load{}, err
	}
	all, err := busy(string(data))
	if err != nil {
		return load{}, err
	}
	l := load{at: time.Now(), all: all}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return load{}, fmt.Errorf("read our use of the processors: %w", err)
		}
		l.own += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return l, nil
}

// others gives how many processors everything but us kept busy since then. What
// is short the system's clock may miss, so that a tenth more or less says nothing.
func (l load) others(since load) float64 {
	return max(0, float64((l.all-since.all)-(l.own-since.own))/float64(l.at.Sub(since.at)))
}

// busy reads for how long processors have worked from the first line of
// /proc/stat: user, nice, system, idle, iowait, irq, softirq and steal, in
// hundredths of a second (proc_stat(5)).
func busy(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("no times of the processors in %.100q", line)
	}
	var sum int64
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %.100q: %w", line, err)
		}
		if i != 3 && i != 4 {
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / 100, nil
}
