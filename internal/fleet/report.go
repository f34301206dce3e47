package fleet

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run did, how the target behaved, and what verification found.
type Report struct {
	Counts
	Vehicles      int
	Elapsed       time.Duration // of driving
	Settled       time.Duration // until all batches were settled
	BytesSent     int64         // requests with heads, repeats included
	P50, P95, P99 time.Duration // from writing a request to its answer, any status; to 3 %
	MaxLag        time.Duration // how far sending was behind the schedule at worst
	EndLag        time.Duration // how far at the end: > 0 means that the target is too slow for the rate
	Riding        Riding        // what the vehicles with a map of their own cost
	Checks        []Check       // of verification; empty when off
}

// Check is one line of verification.
type Check struct {
	What     string
	Expected string
	Found    string
	OK       bool
	Note     string
}

// AcceptedPerSecond is the mean over the time of driving.
func (r *Report) AcceptedPerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Accepted) / max(r.Elapsed, r.Settled).Seconds()
}

// OK reports whether every check passed.
func (r *Report) OK() bool {
	return !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.OK })
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(tw, format+"\n", args...) }
	line("vehicles\t%d\tdriving %s, settled after %s", r.Vehicles, r.Elapsed.Round(time.Millisecond), r.Settled.Round(time.Millisecond))
	line("batches accepted\t%d\t%.0f/s, %d samples", r.Accepted, r.AcceptedPerSecond(), r.Samples)
	line("accept latency\tp50 %s\tp95 %s, p99 %s", short(r.P50), short(r.P95), short(r.P99))
	line("sent\t%.1f MB\t%d repeats, %d answers missing, %d duplicates on purpose", float64(r.BytesSent)/1e6, r.Retries, r.Broken, r.Duplicates)
	line("refused for now\t%s\trejected for good: %s", byStatus(r.Refused), byStatus(r.Rejected))
	line("behind schedule\t%s at the end\t%s at worst", short(r.EndLag), short(r.MaxLag))
	if g := &r.Riding; g.Cars > 0 {
		first := g.Loaded.Total()
		down, up := g.PerCarHour()
		line("map kept by %d cars\tfirst load %.1f kB a car\tthen %.0f kB down, %.0f kB up per car-hour, by %s",
			g.Cars, float64(first.Down)/float64(g.Cars)/1e3, down/1e3, up/1e3, g.byLayer())
	}
	if len(r.Checks) > 0 {
		line("")
		line("CHECK\tEXPECTED\tFOUND\tOK\t")
		for _, c := range r.Checks {
			ok := "yes"
			if !c.OK {
				ok = "NO"
			}
			line("%s\t%s\t%s\t%s\t%s", c.What, c.Expected, c.Found, ok, c.Note)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("fleet: write report: %w", err)
	}
	return nil
}

func byStatus(m map[int]int64) string {
	if len(m) == 0 {
		return "none"
	}
	codes := make([]int, 0, len(m))
	for code := range m {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	parts := make([]string, len(codes))
	for i, code := range codes {
		parts[i] = fmt.Sprintf("%d × %d", m[code], code)
	}
	return strings.Join(parts, ", ")
}

// short is a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Microsecond).String()
	}
}
