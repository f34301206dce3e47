package fleet

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress writes how the run goes, once a second: over one line of a terminal, or line
// by line elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	sender   *sender
	lag      func() time.Duration
}

func newProgress(out io.Writer, s *sender, lag func() time.Duration) *progress {
	f, ok := out.(*os.File)
	return &progress{out: out, terminal: ok && term.IsTerminal(int(f.Fd())), sender: s, lag: lag}
}

// run ends with the context.
func (p *progress) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last Counts
	before := p.sender.latencies.snapshot()
	at := time.Now()
	for {
		select {
		case <-ctx.Done():
			if p.terminal {
				_, _ = io.WriteString(p.out, "\n")
			}
			return
		case <-tick.C:
		}
		now := time.Now()
		counts, inFlight, waiting := p.sender.snapshot()
		l := p.sender.latencies.snapshot()
		d := l.since(&before)
		line := fmt.Sprintf("fleet %4.0fs  accepted %d (%.0f/s)  p50 %s  p99 %s  in flight %d  waiting %d  retries %d",
			now.Sub(p.sender.started).Seconds(), counts.Accepted, float64(counts.Accepted-last.Accepted)/now.Sub(at).Seconds(),
			short(d.quantile(0.5)), short(d.quantile(0.99)), inFlight, waiting, counts.Retries)
		if lag := p.lag(); lag > time.Second {
			line += "  BEHIND SCHEDULE " + short(lag)
		}
		if len(counts.Rejected) > 0 {
			line += "  rejected " + byStatus(counts.Rejected)
		}
		last, before, at = counts, l, now
		if p.terminal {
			line = "\r" + line + "\x1b[K"
		} else {
			line += "\n"
		}
		// Progress that can't be written is no reason to stop.
		_, _ = io.WriteString(p.out, line)
	}
}
