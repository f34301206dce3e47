package worker

import (
	"context"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
)

// learner runs the collectors over drives and gathers their evidence. It reuses its memory; one
// goroutine uses it. Whether a drive is to be believed is for each collector to judge: what
// makes one useless for speeds may be what another looks for.
type learner struct {
	collectors []learn.Collector
	drive      learn.Drive
	one        learn.EvidenceSet // of the drive in hand
	all        learn.EvidenceSet
}

// take makes a batch the drive in hand.
func (l *learner) take(w *work, b *batch) *learn.Drive {
	l.drive = learn.Drive{
		Vehicle: b.vehicle, DayMS: w.samples[b.counted()].T / dayMS * dayMS, Kind: w.kinds.list[b.kind].Vehicle, LeadIn: int(b.leadIn),
		Samples: w.samples[b.s0:b.s1], Matches: w.matches[b.s0:b.s1], Path: w.steps[b.p0:b.p1], Events: w.events[b.e0:b.e1],
	}
	return &l.drive
}

// collect adds what the drive in hand says and marks the tiles that it says it of.
func (l *learner) collect(ctx context.Context, acceptedMS int64, dirty *[numLayers]dirtyTiles) error {
	if len(l.collectors) == 0 {
		return nil
	}
	l.one.Reset()
	for _, c := range l.collectors {
		if err := c.Collect(ctx, &l.drive, &l.one); err != nil {
			return err
		}
	}
	rows := l.one.Rows()
	if len(rows) == 0 {
		return nil
	}
	event := l.eventMS()
	for i := range rows {
		r := &rows[i]
		if layer := layerOf(r.Kind); layer >= 0 {
			dirty[layer].add(uint32(r.Key>>25), acceptedMS, event)
		}
		for _, v := range r.Votes {
			l.all.Add(r.EvidenceKey, v)
		}
	}
	return nil
}

// eventMS is when what the drive in hand says happened: its newest report of a hazard, or else its
// newest sample.
func (l *learner) eventMS() int64 {
	newest := int64(0)
	for i := range l.drive.Events {
		if e := &l.drive.Events[i]; e.Type == telemetry.HazardSeen {
			newest = max(newest, e.T)
		}
	}
	if newest != 0 {
		return newest
	}
	return l.drive.Samples[len(l.drive.Samples)-1].T
}
