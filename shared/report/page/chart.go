package page

import (
	"fmt"
	"strings"
	"time"

	"rolekeeper/shared/report"
)

// Size of the chart, and of its plot in it, in the units of its view box.
const (
	chartWidth, chartHeight = 720, 190
	plotLeft, plotRight     = 40, 708
	plotTop, plotBottom     = 12, 150
)

// chart is what became of the fleet over the last passes.
type chart struct {
	Width, Height int
	Label         string
	YTicks        []tick
	XTicks        []tick
	Series        []series
	Marks         []mark // passes that were stopped, or failed
	Points        []report.Point
}

type tick struct {
	X, Y string
	Text string
}

// series is one line, in parts where passes between failed.
type series struct {
	Class, Name string
	Lines       []string // points of polylines
	X, Y        string   // of the last point
	Last        int
}

type mark struct{ X, Class, Text string }

// chartOf draws the passes before this one, and this one; nil when there is only
// this one.
func chartOf(p report.Pass) *chart {
	if len(p.History) == 0 {
		return nil
	}
	all := append(append([]report.Point(nil), p.History[max(0, len(p.History)-report.MaxHistory):]...), p.Point())
	most := 0
	for _, one := range all {
		if !one.Failed {
			most = max(most, one.Drifted, one.Orphans, one.Blocked)
		}
	}
	top := ceiling(most)
	first, last := all[0].At, all[len(all)-1].At
	x := func(at time.Time) string {
		part := 1.0
		if whole := float64(last.Unix() - first.Unix()); whole > 0 {
			part = min(max(float64(at.Unix()-first.Unix())/whole, 0), 1)
		}
		return number(plotLeft + part*(plotRight-plotLeft))
	}
	y := func(n int) string {
		return number(plotBottom - float64(min(max(n, 0), top))/float64(top)*(plotBottom-plotTop))
	}

	c := &chart{
		Width: chartWidth, Height: chartHeight, Points: all,
		Label: fmt.Sprintf("What %d passes found, from %s to %s", len(all), report.Moment(first), report.Moment(last)),
	}
	for _, n := range []int{0, top / 2, top} {
		c.YTicks = append(c.YTicks, tick{Y: y(n), Text: report.Thousands(n)})
	}
	for _, at := range []time.Time{first, last} {
		c.XTicks = append(c.XTicks, tick{X: x(at), Text: at.UTC().Format("2006-01-02 15:04")})
	}
	for _, s := range []struct {
		class, name string
		of          func(report.Point) int
	}{
		{"drifted", "not as left", func(p report.Point) int { return p.Drifted }},
		{"orphaned", "orphans", func(p report.Point) int { return p.Orphans }},
		{"stuck", "blocked", func(p report.Point) int { return p.Blocked }},
	} {
		one := series{Class: s.class, Name: s.name}
		var points []string
		end := func() {
			if len(points) > 0 {
				one.Lines = append(one.Lines, strings.Join(points, " "))
			}
			points = nil
		}
		for _, p := range all {
			if p.Failed {
				end()
				continue
			}
			one.X, one.Y, one.Last = x(p.At), y(s.of(p)), s.of(p)
			points = append(points, one.X+","+one.Y)
		}
		end()
		c.Series = append(c.Series, one)
	}
	for _, p := range all {
		switch {
		case p.Failed:
			c.Marks = append(c.Marks, mark{x(p.At), "failed", "failed " + report.Moment(p.At)})
		case p.Stopped:
			c.Marks = append(c.Marks, mark{x(p.At), "stopped", "stopped " + report.Moment(p.At)})
		}
	}
	return c
}

// ceiling gives a number with a whole half for the top of an axis: the least of
// its kind that is no smaller, as long as that makes sense.
func ceiling(n int) int {
	n = min(n, 1e9)
	for unit := 1; ; unit *= 10 {
		for _, step := range []int{2, 4, 10} {
			if top := step * unit; top >= n {
				return top
			}
		}
	}
}

func number(f float64) string { return fmt.Sprintf("%.1f", f) }
