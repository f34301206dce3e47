package worker

import (
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// aggregate sums up what a flush learned. It reuses its memory; one goroutine uses it.
type aggregate struct {
	speeds  []learn.SpeedRow
	health  []learn.HealthRow
	hazards []learn.HazardObservation
	signs   []learn.SignObservation
	dirty   []learn.DirtyTile

	batches int
	samples int64 // counted
	tMin    int64 // event time of the counted samples, ms since the epoch
	tMax    int64

	speedAt  map[speedKey]int32
	healthAt map[healthKey]int32
	dirtyAt  map[uint32]int32
}

type speedKey struct {
	bucketMS int64
	edge     road.Edge
}

type healthKey struct {
	hourMS int64
	kind   int32
}

func newAggregate() *aggregate {
	return &aggregate{speedAt: map[speedKey]int32{}, healthAt: map[healthKey]int32{}, dirtyAt: map[uint32]int32{}}
}

func (a *aggregate) reset() {
	a.speeds, a.health, a.dirty = a.speeds[:0], a.health[:0], a.dirty[:0]
	a.hazards, a.signs = a.hazards[:0], a.signs[:0]
	a.batches, a.samples, a.tMin, a.tMax = 0, 0, 0, 0
	clear(a.speedAt)
	clear(a.healthAt)
	clear(a.dirtyAt)
}

// add adds up the fresh batches of the given envelopes. Samples from liveFrom on (ms since the
// epoch) make their tiles dirty.
func (a *aggregate) add(w *work, envelopes []int, liveFrom int64) {
	for _, e := range envelopes {
		env := &w.envelopes[e]
		for i := env.first; i < env.last; i++ {
			if b := &w.batches[i]; b.fresh {
				a.addBatch(w, b, env.header.AcceptedAt, liveFrom)
			}
		}
	}
}

func (a *aggregate) addBatch(w *work, b *batch, acceptedMS, liveFrom int64) {
	a.batches++
	a.samples += int64(b.n())
	var (
		at    speedKey // of row
		row   int32    = -1
		hour  int64    = -1
		h     *learn.Health
		tile  uint32
		dirty int32 = -1
	)
	for i := b.counted(); i < b.s1; i++ {
		s, edge := &w.samples[i], w.edges[i]
		if a.tMax == 0 || s.T < a.tMin {
			a.tMin = s.T
		}
		a.tMax = max(a.tMax, s.T)
		if this := s.T - s.T%hourMS; this != hour {
			hour = this
			h = a.healthOf(w, b.kind, hour)
			if i == b.counted() {
				h.Batches++
			}
		}
		countHealth(h, s, edge)
		if edge == 0 || s.Has&telemetry.HasSpeed == 0 {
			continue
		}
		if key := (speedKey{learn.BucketStart(s.T), edge}); row < 0 || key != at {
			at, row = key, a.speedRow(key)
		}
		// The pseudonym is of the first counted sample's day: on another day it would make one
		// car look like two.
		if s.T/dayMS == w.samples[b.counted()].T/dayMS {
			a.speeds[row].Add(s.SpeedCMPS, b.vehicle)
		} else {
			a.speeds[row].AddUnseen(s.SpeedCMPS)
		}
		if s.T < liveFrom {
			continue
		}
		if q := edge.Quadkey(); dirty < 0 || q != tile {
			tile, dirty = q, a.dirtyTile(q, acceptedMS)
		}
		d := &a.dirty[dirty]
		d.EventMS = max(d.EventMS, s.T)
		d.AcceptedMS = min(d.AcceptedMS, acceptedMS)
	}
	a.addEvents(w, b)
}

const (
	hourMS = int64(time.Hour / time.Millisecond)
	dayMS  = 24 * hourMS
)

func countHealth(h *learn.Health, s *telemetry.Sample, edge road.Edge) {
	h.Samples++
	if s.Has&telemetry.HasSpeed != 0 {
		h.WithSpeed++
	}
	if s.Has&telemetry.HasHeading != 0 {
		h.WithHeading++
	}
	if s.Has&telemetry.HasAccuracy != 0 {
		h.WithAccuracy++
		h.SumAccuracyCM += int64(s.AccuracyCM)
	}
	if edge == 0 {
		h.Unmatched++
	}
	if s.On == 0 {
		return
	}
	if s.On&telemetry.ABSActive != 0 {
		h.ABSActive++
	}
	if s.On&telemetry.ESCActive != 0 {
		h.ESCActive++
	}
	if s.On&telemetry.TCSActive != 0 {
		h.TCSActive++
	}
}

func (a *aggregate) speedRow(key speedKey) int32 {
	if i, ok := a.speedAt[key]; ok {
		return i
	}
	i := int32(len(a.speeds))
	if int(i) < cap(a.speeds) { // rows are large: clear in place instead of copying a new one
		a.speeds = a.speeds[:i+1]
		a.speeds[i] = learn.SpeedRow{}
	} else {
		a.speeds = append(a.speeds, learn.SpeedRow{})
	}
	a.speeds[i].BucketMS, a.speeds[i].Edge = key.bucketMS, uint64(key.edge)
	a.speedAt[key] = i
	return i
}

// maxKinds is how many models and software versions a flush tells apart in sensor health:
// cars choose the texts, and must not fill the table. What comes later is "other".
const maxKinds = 1000

func (a *aggregate) healthOf(w *work, kind int32, hour int64) *learn.Health {
	v := telemetry.Vehicle{Model: "other", Software: "other"}
	if kind < maxKinds {
		v = w.kinds.list[kind].Vehicle
	}
	key := healthKey{hour, min(kind, maxKinds)}
	i, ok := a.healthAt[key]
	if !ok {
		i = int32(len(a.health))
		a.health = append(a.health, learn.HealthRow{HealthKey: learn.HealthKey{HourMS: hour, Model: v.Model, Software: v.Software}})
		a.healthAt[key] = i
	}
	return &a.health[i].Health
}

func (a *aggregate) dirtyTile(tile uint32, acceptedMS int64) int32 {
	i, ok := a.dirtyAt[tile]
	if !ok {
		i = int32(len(a.dirty))
		a.dirty = append(a.dirty, learn.DirtyTile{Tile: tile, AcceptedMS: acceptedMS})
		a.dirtyAt[tile] = i
	}
	return i
}

// addEvents takes a batch's events as observations, placed at the sample nearest in time.
func (a *aggregate) addEvents(w *work, b *batch) {
	samples := w.samples[b.s0:b.s1]
	for i := b.e0; i < b.e1; i++ {
		e := &w.events[i]
		near := nearest(samples, e.T)
		s := &samples[near]
		place := learn.Place{T: e.T, Edge: uint64(w.edges[int(b.s0)+near]), LatE7: s.LatE7, LonE7: s.LonE7, Vehicle: b.vehicle}
		h := a.healthOf(w, b.kind, e.T-e.T%hourMS)
		switch e.Type {
		case telemetry.HazardSeen:
			h.HazardSeen++
			a.hazards = append(a.hazards, learn.HazardObservation{Place: place, Hazard: e.Hazard, ConfidencePermille: e.ConfidencePermille})
		case telemetry.SignSeen, telemetry.SignMissing:
			missing := e.Type == telemetry.SignMissing
			if missing {
				h.SignsMissing++
			} else {
				h.SignsSeen++
			}
			a.signs = append(a.signs, learn.SignObservation{
				Place: place, HasHeading: s.Has&telemetry.HasHeading != 0, HeadingCDeg: s.HeadingCDeg, Missing: missing,
				Sign: e.Sign, ValueKMH: e.ValueKMH, ConfidencePermille: e.ConfidencePermille,
			})
		case telemetry.EventUnknown: // of a newer vocabulary: archived only
		}
	}
}

// nearest is the index of the sample nearest in time; samples are in time order, not empty.
func nearest(samples []telemetry.Sample, t int64) int {
	i, _ := slices.BinarySearchFunc(samples, t, func(s telemetry.Sample, t int64) int {
		if s.T < t {
			return -1
		}
		if s.T > t {
			return 1
		}
		return 0
	})
	switch {
	case i == 0:
		return 0
	case i == len(samples) || t-samples[i-1].T <= samples[i].T-t:
		return i - 1
	}
	return i
}
