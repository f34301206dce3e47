package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// add puts a batch into the work as prepare does, already claimed.
func (w *work) add(claim telemetry.ClaimID, vehicle uint64, b *telemetry.Batch, fresh bool) {
	s0, e0 := int32(len(w.samples)), int32(len(w.events))
	w.samples = append(w.samples, b.Samples...)
	w.events = append(w.events, b.Events...)
	for _, s := range b.Samples {
		tile := geo.TileAt(geo.Point{LatE7: s.LatE7, LonE7: s.LonE7}, 14)
		first, _ := road.EdgeRange(tile.Quadkey())
		w.edges = append(w.edges, first+road.Edge(s.LatE7/20000%50)+1)
	}
	w.batches = append(w.batches, batch{
		claim: claim, vehicle: vehicle, tripKey: b.Trip.Key, elapsed: b.Trip.ElapsedS, final: b.Trip.Final,
		s0: s0, s1: int32(len(w.samples)), e0: e0, e1: int32(len(w.events)), leadIn: int32(b.LeadIn),
		kind: w.kinds.of(b.Vehicle), fresh: fresh,
	})
	w.envelopes = []envelope{{last: len(w.batches)}}
}

func archiverOf(tb testing.TB) *archiver {
	tb.Helper()
	a, err := newArchiver(byPlace)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func drive(cars int, at time.Time) *work {
	w := &work{}
	for i := range cars {
		c := newCar(uint64(i), at)
		id, b := c.batch(10)
		w.add(id, c.id, &b, true)
	}
	return w
}

func TestArchiveRoundTrip(t *testing.T) {
	w := &work{}
	var want []ArchivedBatch
	for i := range 700 {
		c := newCar(uint64(i), time.Now())
		id, b := c.batch(1 + i%13)
		b.LeadIn = i % 2 * (len(b.Samples) - 1)
		b.Trip.Final = i%5 == 0
		for j := range b.Samples {
			s := &b.Samples[j]
			switch (i + j) % 4 {
			case 0:
				*s = telemetry.Sample{T: s.T, LatE7: s.LatE7, LonE7: s.LonE7}
			case 1:
				s.Has |= telemetry.HasRain | telemetry.HasFogLightRear | telemetry.HasHazardLight | telemetry.HasBrake | telemetry.HasFriction
				s.On |= telemetry.FogLightRear | telemetry.TCSActive
				s.RainPercent, s.BrakeCMPS2, s.FrictionPercent, s.Wiper = 100, -2000, 55, telemetry.WiperFast
			}
		}
		if i%3 == 0 {
			b.Events = []telemetry.Event{
				{T: c.t, Type: telemetry.SignSeen, Sign: telemetry.SpeedLimit, ValueKMH: 50, ConfidencePermille: 930},
				{T: c.t, Type: telemetry.HazardSeen, Hazard: telemetry.SlipperyRoad, ConfidencePermille: 1000},
			}
		}
		fresh := i%7 != 0
		w.add(id, c.id, &b, fresh)
		if fresh {
			want = append(want, ArchivedBatch{Claim: id, Vehicle: c.id, Batch: b})
		}
	}
	a := archiverOf(t)
	for range 2 { // the second time with reused memory
		object, err := a.encode(w, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadArchive(object)
		if err != nil {
			t.Fatal(err)
		}
		byClaim := func(x, y ArchivedBatch) int { return slices.Compare(x.Claim[:], y.Claim[:]) }
		slices.SortFunc(want, byClaim)
		slices.SortFunc(got, byClaim)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("archive (-want +got):\n%s", diff)
		}
	}
}

// The traces' noise alone, in speed, heading, altitude and position, is about 6 bytes.
func TestArchiveSize(t *testing.T) {
	w := drive(8000, time.Now())
	object, err := archiverOf(t).encode(w, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	perSample := float64(len(object)) / float64(len(w.samples))
	t.Logf("%.2f B per sample", perSample)
	if perSample > 15 {
		t.Errorf("%.2f B per sample, was 14.3", perSample)
	}
}

func BenchmarkArchive(b *testing.B) {
	w := drive(8000, time.Now())
	a := archiverOf(b)
	b.ReportAllocs()
	for range b.N {
		object, err := a.encode(w, []int{0})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(object))/float64(len(w.samples)), "B/sample")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(w.samples)), "ns/sample")
}
