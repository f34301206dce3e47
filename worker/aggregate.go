package worker

import (
	"context"
	"fmt"
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
	learned learner
	posted  *PostedLimits // nil: signs are not compared
	dirty   [numLayers]dirtyTiles
	on      []road.Edge // what the speeds of the samples of the drive in hand count for

	batches   int
	untrusted int   // of them, whose positions can't be trusted
	samples   int64 // counted
	tMin      int64 // event time of the counted samples and of events, ms since the epoch
	tMax      int64

	speedAt  map[speedKey]int32
	healthAt map[healthKey]int32
}

type speedKey struct {
	minuteMS int64
	edge     road.Edge
}

type healthKey struct {
	hourMS int64
	kind   int32
}

func newAggregate(collectors []learn.Collector, posted *PostedLimits) *aggregate {
	return &aggregate{
		posted:  posted,
		learned: learner{collectors: collectors},
		speedAt: map[speedKey]int32{}, healthAt: map[healthKey]int32{},
	}
}

func (a *aggregate) reset() {
	a.speeds, a.health = a.speeds[:0], a.health[:0]
	a.batches, a.untrusted, a.samples, a.tMin, a.tMax = 0, 0, 0, 0, 0
	a.learned.all.Reset()
	for i := range a.dirty {
		a.dirty[i].reset()
	}
	clear(a.speedAt)
	clear(a.healthAt)
}

// add adds up the fresh batches of the given envelopes. Speeds from liveFrom on (ms since the
// epoch) make their tiles dirty. An error is transient: a collector could not read the road graph.
func (a *aggregate) add(ctx context.Context, w *work, envelopes []int, liveFrom int64) error {
	for _, e := range envelopes {
		env := &w.envelopes[e]
		for i := env.first; i < env.last; i++ {
			b := &w.batches[i]
			if !b.fresh || b.erased {
				continue
			}
			drive := a.learned.take(w, b)
			a.on = slices.Grow(a.on[:0], len(drive.Samples))[:len(drive.Samples)]
			learn.Approaches(drive, a.on)
			trusted := learn.Trust(drive) >= learn.TrustEnough
			if !trusted {
				a.untrusted++
			}
			a.addBatch(w, b, env.header.AcceptedAt, liveFrom, trusted)
			if err := a.learned.collect(ctx, env.header.AcceptedAt, &a.dirty); err != nil {
				return fmt.Errorf("learn from batch %s: %w", b.claim, err)
			}
			a.compareSigns(w, b)
		}
	}
	return nil
}

// addBatch counts a batch. Positions that can't be trusted, and driving against a one-way, say nothing
// of the speed on a road; all else counts.
func (a *aggregate) addBatch(w *work, b *batch, acceptedMS, liveFrom int64, trusted bool) {
	a.batches++
	a.samples += int64(b.n())
	var (
		at    speedKey // of row
		row   int32    = -1
		hour  int64    = -1
		h     *learn.Health
		dirty = &a.dirty[speedsLayer]
		mm    int64 // driven and not counted yet
	)
	for i := b.counted(); i < b.s1; i++ {
		s, edge := &w.samples[i], w.edges[i]
		a.span(s.T)
		if this := s.T - s.T%hourMS; this != hour {
			hour = this
			h = a.healthOf(w, b.kind, hour)
			if i == b.counted() {
				h.Batches++
			}
			// As below: on another day the pseudonym is not the car's.
			if hour/dayMS == w.samples[b.counted()].T/dayMS {
				h.Vehicles.Add(b.vehicle)
			}
		}
		countHealth(h, s, edge)
		if i > b.s0 {
			step, cmps := driven(&w.samples[i-1], s)
			mm += step
			h.DistanceM += mm / 1000
			h.StepCMPS += cmps
			mm %= 1000
		}
		on := a.on[i-b.s0]
		if on == 0 || s.Has&telemetry.HasSpeed == 0 || !trusted || w.matches[i].WrongWay {
			continue
		}
		if key := (speedKey{learn.MinuteStart(s.T), on}); row < 0 || key != at {
			at, row = key, a.speedRow(key)
		}
		// The pseudonym is of the first counted sample's day: on another day it would make one
		// car look like two.
		if s.T/dayMS == w.samples[b.counted()].T/dayMS {
			a.speeds[row].Add(s.SpeedCMPS, b.vehicle)
		} else {
			a.speeds[row].AddUnseen(s.SpeedCMPS)
		}
		if s.T >= liveFrom {
			dirty.add(on.Quadkey(), acceptedMS, s.T)
		}
	}
	a.addEvents(w, b)
}

// span widens the span of event time.
func (a *aggregate) span(t int64) {
	if a.tMax == 0 || t < a.tMin {
		a.tMin = t
	}
	a.tMax = max(a.tMax, t)
}

const (
	hourMS = int64(time.Hour / time.Millisecond)
	dayMS  = 24 * hourMS
)

// longestStep is how long two samples may be apart for the speed between them to be known, ms.
const longestStep = 60_000

// driven is the distance between two samples of a vehicle by their mean speed, mm, and that speed, 0.01 m/s; 0 if it isn't known.
func driven(a, b *telemetry.Sample) (mm, cmps int64) {
	dt := b.T - a.T
	if a.Has&b.Has&telemetry.HasSpeed == 0 || dt <= 0 || dt > longestStep {
		return 0, 0
	}
	sum := int64(a.SpeedCMPS) + int64(b.SpeedCMPS)
	return sum * 5 * dt / 1000, sum / 2
}

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
	if s.Has&telemetry.HasOutsideTemp != 0 {
		h.WithTemperature++
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
	if s.On&telemetry.HazardLight != 0 {
		h.HazardLight++
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
	a.speeds[i].BucketMS, a.speeds[i].Edge = key.minuteMS, uint64(key.edge)
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

// compareSigns holds the limits that the batch in hand read against those that are published.
func (a *aggregate) compareSigns(w *work, b *batch) {
	if a.posted == nil {
		return
	}
	for _, c := range a.learned.collectors {
		reader, ok := c.(signReader)
		if !ok {
			continue
		}
		reader.Placed(func(edge road.Edge, t int64, kmh uint8) {
			posted, ok := a.posted.of(edge)
			if !ok {
				return
			}
			h := a.healthOf(w, b.kind, t-t%hourMS)
			h.SignsCompared++
			if posted != kmh {
				h.SignsDisagree++
			}
		})
	}
}

// addEvents counts a batch's events in sensor health.
func (a *aggregate) addEvents(w *work, b *batch) {
	for i := b.e0; i < b.e1; i++ {
		e := &w.events[i]
		a.span(e.T)
		h := a.healthOf(w, b.kind, e.T-e.T%hourMS)
		switch e.Type {
		case telemetry.HazardSeen:
			h.HazardSeen++
		case telemetry.SignMissing:
			h.SignsMissing++
		case telemetry.SignSeen:
			h.SignsSeen++
		case telemetry.EventUnknown: // of a newer vocabulary: archived only
		}
	}
}
