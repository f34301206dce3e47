package worker

import (
	"strconv"
	"testing"

	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// A batch's pseudonym is of its first counted sample's UTC day. On another day's bucket its
// samples count, but nobody is seen: a car could pose as several there otherwise.
func TestPseudonymCountsOnItsDayOnly(t *testing.T) {
	const midnight = 20_000 * dayMS
	first, _ := road.EdgeRange(4711)
	w := &work{
		envelopes: []envelope{{header: telemetry.Header{AcceptedAt: midnight + 5_000}, first: 0, last: 1}},
		samples: []telemetry.Sample{
			{T: midnight - 1_000, SpeedCMPS: 1_000, Has: telemetry.HasSpeed},
			{T: midnight + 1_000, LonE7: 2_000, SpeedCMPS: 1_200, Has: telemetry.HasSpeed},
		},
		edges:   []road.Edge{first, first},
		matches: []match.Result{{OK: true, Edge: first}, {OK: true, Edge: first}},
		batches: []batch{{vehicle: 42, s1: 2, fresh: true}},
	}
	w.batches[0].kind = w.kinds.of(telemetry.Vehicle{Model: "model", Software: "software"})
	a := newAggregate(nil, nil)
	if err := a.add(t.Context(), w, []int{0}, 0); err != nil {
		t.Fatal(err)
	}
	if len(a.speeds) != 2 {
		t.Fatalf("%d buckets, want 2", len(a.speeds))
	}
	for _, r := range a.speeds {
		want := 1
		if r.BucketMS >= midnight {
			want = 0
		}
		if r.N != 1 || r.Vehicles.AtLeast() != want {
			t.Errorf("bucket %d: %d samples of %d vehicles, want 1 of %d", r.BucketMS-midnight, r.N, r.Vehicles.AtLeast(), want)
		}
	}
}

// Cars choose their model's name; sensor health stays bounded.
func TestKindsAreBounded(t *testing.T) {
	w := &work{envelopes: []envelope{{first: 0, last: 3 * maxKinds}}}
	for i := range int32(3 * maxKinds) {
		w.samples = append(w.samples, telemetry.Sample{T: 1_000})
		w.edges, w.matches = append(w.edges, 0), append(w.matches, match.Result{})
		w.batches = append(w.batches, batch{s0: i, s1: i + 1, fresh: true, kind: w.kinds.of(telemetry.Vehicle{Model: strconv.Itoa(int(i))})})
	}
	a := newAggregate(nil, nil)
	if err := a.add(t.Context(), w, []int{0}, 0); err != nil {
		t.Fatal(err)
	}
	var samples int64
	for _, h := range a.health {
		samples += h.Samples
	}
	if last := a.health[len(a.health)-1]; len(a.health) != maxKinds+1 || samples != 3*maxKinds || last.Model != "other" || last.Samples != 2*maxKinds {
		t.Errorf("%d rows with %d samples, the last %+v", len(a.health), samples, last)
	}
}
