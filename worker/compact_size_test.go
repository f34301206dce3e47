package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/telemetry"
)

// minutes are flushes of the same cars, one after the other.
func minutes(cars, flushes int, at time.Time) (all []*work) {
	var fleet []*car
	for i := range cars {
		fleet = append(fleet, newCar(uint64(i), at))
	}
	for range flushes {
		w := &work{}
		for _, c := range fleet {
			id, b := c.batch(10)
			w.add(id, c.id, &b, true)
		}
		all = append(all, w)
	}
	return all
}

// What comes out of a compaction is what went in, matched edges included, and takes fewer bytes.
func TestCompactedRoundTrip(t *testing.T) {
	flushes := minutes(300, 30, time.Now())
	a := archiverOf(t)
	together, before := &work{}, 0
	for _, w := range flushes {
		object, err := a.encode(w, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		before += len(object)
		if err := together.load(slices.Clone(object)); err != nil {
			t.Fatal(err)
		}
	}
	together.envelopes = []envelope{{last: len(together.batches), fresh: true}}
	c, err := newArchiver(byVehicle)
	if err != nil {
		t.Fatal(err)
	}
	object, err := c.encode(together, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	samples := float64(len(together.samples))
	t.Logf("%.2f B a sample in flushes, %.2f together", float64(before)/samples, float64(len(object))/samples)
	if len(object) >= before {
		t.Errorf("%d bytes became %d", before, len(object))
	}
	again := &work{}
	if err := again.load(object); err != nil {
		t.Fatal(err)
	}
	type content struct {
		Samples []telemetry.Sample
		Edges   []uint64
		LeadIn  int32
	}
	by := func(ws ...*work) map[telemetry.ClaimID]content {
		out := map[telemetry.ClaimID]content{}
		for _, w := range ws {
			for i := range w.batches {
				b := &w.batches[i]
				k := content{Samples: w.samples[b.s0:b.s1], LeadIn: b.leadIn}
				for _, e := range w.edges[b.s0:b.s1] {
					k.Edges = append(k.Edges, uint64(e))
				}
				out[b.claim] = k
			}
		}
		return out
	}
	if diff := cmp.Diff(by(flushes...), by(again)); diff != "" {
		t.Errorf("(-before +after):\n%.2000s", diff)
	}
}
