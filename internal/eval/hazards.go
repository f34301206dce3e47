package eval

import (
	"context"
	"fmt"
	"time"

	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/telemetry"
)

// HazardVotes is what the hazards' collector makes of a vehicle's drive, as a worker without
// any roads would: its batches of 10 samples with 3 lead-in, the votes counted by category
// and strength ("hard_braking, signal alone"). It is added to votes.
func HazardVotes(ctx context.Context, vehicle uint64, samples []telemetry.Sample, events []telemetry.Event, votes map[string]int) error {
	const batch, leadIn = 10, 3
	collector := hazard.New(NewRoads(nil))
	var set learn.EvidenceSet
	for at := 0; at < len(samples); at += batch {
		from, end := max(at-leadIn, 0), min(at+batch, len(samples))
		day := time.UnixMilli(samples[at].T).UTC().Truncate(24 * time.Hour).UnixMilli()
		d := learn.Drive{
			Vehicle: vehicle, DayMS: day, LeadIn: at - from,
			Samples: samples[from:end], Matches: make([]match.Result, end-from),
		}
		for _, e := range events {
			if e.T >= samples[at].T && (end == len(samples) || e.T < samples[end].T) {
				d.Events = append(d.Events, e)
			}
		}
		if err := collector.Collect(ctx, &d, &set); err != nil {
			return fmt.Errorf("collect hazards: %w", err)
		}
	}
	for _, row := range set.Rows() {
		for _, v := range row.Votes {
			if h, s, ok := hazard.ParseCode(v.Code); ok {
				votes[h.String()+", "+strengthName(s)]++
			}
		}
	}
	return nil
}

func strengthName(s hazard.Strength) string {
	switch s {
	case hazard.EventAlone:
		return "event alone"
	case hazard.SignalAlone:
		return "signal alone"
	default:
		return "strong"
	}
}

// VotesTable is a table of HazardVotes.
func VotesTable(votes map[string]int) *Table {
	t := NewTable("Votes of the hazards' collector (one a cell and minute)", "CATEGORY, STRENGTH", "votes")
	for _, name := range sortedKeys(votes) {
		t.Row(name, votes[name])
	}
	if t.Len() == 0 {
		t.Row("none", 0)
	}
	return t
}
