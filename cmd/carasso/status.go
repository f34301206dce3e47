package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/carasso/carasso/mapdata/tile"
)

// status writes one line a second about the pipeline: over itself on a terminal, else every
// 10 seconds one below the other.
func (u *upRun) status(ctx context.Context) error {
	every, end := 10*time.Second, "\n"
	if info, err := os.Stdout.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		every, end = time.Second, "\r"
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		line, err := u.statusLine(ctx)
		if err != nil {
			line = "database does not answer: " + err.Error()
		}
		if _, err := fmt.Fprintf(os.Stdout, "  %-110s%s", line, end); err != nil {
			return err
		}
	}
}

func (u *upRun) statusLine(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	depth, err := u.e.queue.Depth(ctx)
	if err != nil {
		return "", err
	}
	a, err := u.db.Activity(ctx, depth.Visible+depth.InFlight > 0)
	if err != nil {
		return "", err
	}
	fresh := "-"
	for _, p := range a.Freshness {
		if p.Layer == tile.SpeedLayer {
			fresh = fmt.Sprintf("%.1f s", p.P95S)
		}
	}
	return fmt.Sprintf("%s  in %.0f/s  out %.0f/s batches, %.0f/s samples  queue %d (oldest %.1f s)  tiles' freshness p95 %s",
		time.Since(u.started).Round(time.Second), a.Accepted10.Batches, a.Processed10.Batches, a.Processed10.Samples,
		depth.Visible+depth.InFlight, depth.OldestAge.Seconds(), fresh), nil
}
