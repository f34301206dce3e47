package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// placing is a collector that has placed some limits.
type placing map[road.Edge]uint8

func (placing) Collect(context.Context, *learn.Drive, *learn.EvidenceSet) error { return nil }

func (p placing) Placed(each func(road.Edge, int64, uint8)) {
	for e, kmh := range p {
		each(e, 20_000*dayMS+2_000, kmh)
	}
}

// publishing are the limits that the database has.
type publishing map[road.Edge]uint8

func (p publishing) Limits(_ context.Context, ranges [][2]uint64, publishedOnly bool, _ uint64, most int) (out []limit.Limit, err error) {
	for e, kmh := range p {
		for _, r := range ranges {
			if uint64(e) >= r[0] && uint64(e) < r[1] && publishedOnly && len(out) < most {
				out = append(out, limit.Limit{Edge: e, KMH: kmh})
			}
		}
	}
	return out, nil
}

func TestSensorHealthOfADrive(t *testing.T) {
	const start = 20_000 * dayMS
	first, _ := road.EdgeRange(4711)
	store := publishing{first: 50, first + 1: 70}
	posted := NewPostedLimits(store, slog.New(slog.DiscardHandler))
	read := placing{first: 50, first + 1: 90, first + 2: 30}
	w := &work{
		envelopes: []envelope{{last: 1}},
		samples: []telemetry.Sample{
			{T: start, SpeedCMPS: 900, Has: telemetry.HasSpeed}, // lead-in: counted with the batch before
			{T: start + 1_000, SpeedCMPS: 1_100, Has: telemetry.HasSpeed | telemetry.HasOutsideTemp},
			{T: start + 3_000, SpeedCMPS: 1_300, Has: telemetry.HasSpeed | telemetry.HasHazardLight, On: telemetry.HazardLight},
			{T: start + 3_000 + longestStep + 1, SpeedCMPS: 2_000, Has: telemetry.HasSpeed}, // who knows what was between
		},
		edges:   []road.Edge{first, first, first, first},
		matches: make([]match.Result, 4),
		batches: []batch{{vehicle: 42, s1: 4, leadIn: 1, fresh: true}},
	}
	w.batches[0].kind = w.kinds.of(telemetry.Vehicle{Model: "model", Software: "software"})
	health := func() learn.Health {
		t.Helper()
		a := newAggregate([]learn.Collector{read}, posted)
		if err := a.add(t.Context(), w, []int{0}, 0); err != nil {
			t.Fatal(err)
		}
		if len(a.health) != 1 {
			t.Fatalf("%d rows of health, want 1", len(a.health))
		}
		return a.health[0].Health
	}
	h := health()
	if h.SignsCompared != 0 {
		t.Errorf("%d signs compared before the limits were read", h.SignsCompared)
	}
	// 1 s at 10 m/s, 2 s at 12 m/s.
	if h.DistanceM != 34 || h.StepCMPS != 1000+1200 || h.WithTemperature != 1 || h.HazardLight != 1 || h.Vehicles.AtLeast() != 1 || h.Samples != 3 {
		t.Errorf("health %+v", h)
	}
	if err := posted.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := health(); h.SignsCompared != 2 || h.SignsDisagree != 1 {
		t.Errorf("%d of %d signs disagree, want 1 of 2: for the third no limit is published", h.SignsDisagree, h.SignsCompared)
	}
	// A limit that changed is known when the tile is read again; a tile that nobody asks for is forgotten.
	store[first+1] = 90
	now := time.Now()
	posted.now = func() time.Time { return now.Add(postedFresh - time.Second) }
	health()
	posted.now = func() time.Time { return now.Add(postedFresh + time.Minute) }
	if err := posted.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := health(); h.SignsDisagree != 0 {
		t.Errorf("%d signs disagree with the limits of now", h.SignsDisagree)
	}
	posted.now = func() time.Time { return now.Add(3 * postedFresh) }
	if err := posted.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(posted.tiles) != 0 {
		t.Errorf("%d tiles remembered that nobody asks for", len(posted.tiles))
	}
}
