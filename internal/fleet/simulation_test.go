package fleet

import (
	"math"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

func TestOnlyRoadsThatLeadBackAreDriven(t *testing.T) {
	n := fixtureNetwork(t)
	nodes, roads := fixtureRoads()
	if int(n.nodes) != nodes-1 {
		t.Errorf("%d junctions kept of %d, want all but the source of the roads that only lead in", n.nodes, nodes)
	}
	for _, r := range roads {
		kept := false
		for i := range n.arcs {
			kept = kept || n.edges[i] == r.Edge
		}
		if want := int(r.From) != nodes-1; kept != want {
			t.Errorf("road %d kept: %v, want %v", r.Edge, kept, want)
		}
	}
}

func TestBuildRefusesMalformedRoads(t *testing.T) {
	shape := []geo.Point{{LatE7: 1}, {LatE7: 1000}}
	good := RoadSpec{From: 0, To: 1, Shape: shape, FreeKMH: 50, Weight: 1}
	for name, change := range map[string]func(*RoadSpec){
		"junction":    func(r *RoadSpec) { r.To = 2 },
		"shape":       func(r *RoadSpec) { r.Shape = shape[:1] },
		"speed":       func(r *RoadSpec) { r.FreeKMH = 0 },
		"no way back": func(*RoadSpec) {},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			change(&r)
			if _, err := Build(2, []RoadSpec{r}); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestRoutesReachTheirDestinationOnConnectedArcs(t *testing.T) {
	n := fixtureNetwork(t)
	r := newRoutes(n, 16, 7, nil)
	for d, destination := range r.destinations {
		for start := range n.nodes {
			at, steps := start, 0
			for at != destination {
				a := r.leave(uint16(d), at)
				if a < 0 || n.arcs[a].from != at || steps > len(n.arcs) {
					t.Fatalf("from %d to %d: stuck at %d after %d arcs (next %d)", start, destination, at, steps, a)
				}
				at = n.arcs[a].to
				steps++
			}
			if r.leave(uint16(d), destination) != -1 {
				t.Fatalf("destination %d goes on", destination)
			}
		}
	}
}

func TestCarsDriveConnectedRoadsInTheRightDirection(t *testing.T) {
	cfg := fixtureConfig()
	cfg.ParkedShare = 0.1
	n := fixtureNetwork(t)
	last := make(map[int]int32)
	var jumps, moves int
	err := Generate(cfg, n, fixtureStart, 20_000, func(u *Upload) error {
		for _, tr := range u.Truth {
			was, ok := last[u.Vehicle]
			last[u.Vehicle] = tr.Arc
			if !ok || was == tr.Arc {
				continue
			}
			moves++
			// At 1 Hz a car crosses at most two of the fixture's roads between samples.
			if !reaches(n, was, tr.Arc, 2) {
				jumps++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if jumps > 0 || moves < 1000 {
		t.Errorf("%d of %d changes of road are no way through the network", jumps, moves)
	}
}

func reaches(n *Network, from, to int32, arcs int) bool {
	if from == to {
		return true
	}
	if arcs == 0 {
		return false
	}
	node := n.arcs[from].to
	for _, next := range n.out[n.first[node]:n.first[node+1]] {
		if reaches(n, next, to, arcs-1) {
			return true
		}
	}
	return false
}

// snapshot is what must be the same in every run with the same seed.
type snapshot struct {
	Vehicle int
	Batch   telemetry.Batch
	Truth   []Truth
	Hold    time.Duration
	Copies  int
	Again   time.Duration
}

func snapshots(t *testing.T, cfg Config, start time.Time, n int) []snapshot {
	t.Helper()
	var out []snapshot
	shift := start.UnixMilli()
	err := Generate(cfg, mainRoads(t), start, n, func(u *Upload) error {
		s := snapshot{Vehicle: u.Vehicle, Batch: *u.Batch, Hold: u.HoldFor, Copies: u.Copies, Again: u.AgainIn}
		s.Batch.Samples = append([]telemetry.Sample(nil), u.Batch.Samples...)
		s.Batch.Events = append([]telemetry.Event(nil), u.Batch.Events...)
		s.Truth = append(s.Truth, u.Truth...)
		for i := range s.Batch.Samples {
			s.Batch.Samples[i].T -= shift
		}
		for i := range s.Batch.Events {
			s.Batch.Events[i].T -= shift
		}
		for i := range s.Truth {
			s.Truth[i].TimeMS -= shift
		}
		if got, want := s.Batch.ID.UnixMilli(), u.Batch.Samples[len(u.Batch.Samples)-1].T; got != want {
			t.Fatalf("batch id's time %d, want the last sample's %d", got, want)
		}
		clear(s.Batch.ID[:6])
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSameSeedSameTrafficAtAnyTime(t *testing.T) {
	cfg := fixtureConfig()
	cfg.LeadIn, cfg.DuplicateShare, cfg.OfflineShare, cfg.Altitude = 3, 0.05, 0.05, true
	cfg.BadCars, cfg.FalseAlarms, cfg.WrongLimits, cfg.Variants, cfg.WrongWays = 0.1, 0.02, 0.1, 0.5, 0.05
	a := snapshots(t, cfg, fixtureStart, 3000)
	b := snapshots(t, cfg, fixtureStart.Add(1234567*time.Millisecond), 3000)
	for i := range a {
		if !reflect.DeepEqual(a[i], b[i]) { // cmp is too slow for all of them
			t.Fatalf("batch %d of the same seed at another time differs (-first +second):\n%s", i, cmp.Diff(a[i], b[i]))
		}
	}
	cfg.Seed++
	if reflect.DeepEqual(a, snapshots(t, cfg, fixtureStart, 3000)) {
		t.Error("another seed gives the same traffic")
	}
}

func TestBatchesAreValidAndTileTime(t *testing.T) {
	cfg := fixtureConfig()
	cfg.LeadIn, cfg.BadCars = 3, 0.1
	limits := telemetry.DefaultLimits()
	ids := make(map[telemetry.BatchID]bool)
	previous := make(map[int][]telemetry.Sample)
	finals := 0
	generate(t, cfg, 30_000, func(u *Upload) {
		b := u.Batch
		if err := b.Validate(time.UnixMilli(u.DueMS), limits); err != nil {
			t.Fatalf("vehicle %d: %v", u.Vehicle, err)
		}
		if ids[b.ID] {
			t.Fatalf("batch id %s comes twice", b.ID)
		}
		ids[b.ID] = true
		if len(u.Truth) != b.Counted() || b.Counted() < 1 || b.Counted() > cfg.BatchSize {
			t.Fatalf("%d truths for %d counted samples", len(u.Truth), b.Counted())
		}
		for i, tr := range u.Truth {
			if s := b.Samples[b.LeadIn+i]; s.T != tr.TimeMS || s.SpeedCMPS != tr.SpeedCMPS {
				t.Fatalf("truth %+v of sample %+v", tr, s)
			}
		}
		before := previous[u.Vehicle]
		if n := b.LeadIn; n > 0 && !cmp.Equal(b.Samples[:n], before[len(before)-n:]) {
			t.Fatal("lead-in is not the end of the batch before")
		}
		if len(before) > 0 {
			if gap := b.Samples[b.LeadIn].T - before[len(before)-1].T; gap <= 0 || b.LeadIn > 0 && gap != 1000 {
				t.Fatalf("%d ms between batches of one trip", gap)
			}
		}
		previous[u.Vehicle] = append([]telemetry.Sample(nil), b.Samples...)
		if b.Trip.Final {
			finals++
			previous[u.Vehicle] = nil
		}
	})
	if finals == 0 {
		t.Error("no trip ended")
	}
}

func TestExplicitRateIsMadeUpForParkedCars(t *testing.T) {
	cfg := fixtureConfig()
	cfg.Rate, cfg.ParkedShare = 20, 0.1
	var first, last int64
	const n = 60_000
	generate(t, cfg, n, func(u *Upload) {
		if first == 0 {
			first = u.DueMS
		}
		last = u.DueMS
	})
	rate := n / (float64(last-first) / 1000)
	if rate < 19 || rate > 21.2 { // hazards cost further batches
		t.Errorf("rate %.2f batches/s, want 20 −5, +6 %%", rate)
	}
}

func TestSilenceAndResendsHaveTheirShares(t *testing.T) {
	cfg := fixtureConfig()
	cfg.OfflineShare, cfg.DuplicateShare, cfg.BurstShare = 0.05, 0.02, 0.01
	var held, again, bursts float64
	var longest time.Duration
	const n = 50_000
	generate(t, cfg, n, func(u *Upload) {
		if u.HoldFor > 0 {
			held++
			longest = max(longest, u.HoldFor)
		}
		if u.AgainIn >= 0 {
			again++
		}
		if u.Copies == 5 {
			bursts++
		}
	})
	for _, c := range []struct {
		what      string
		got, want float64
	}{{"offline", held / n, 0.05}, {"again", again / n, 0.02 * 0.95}, {"bursts", bursts / n, 0.01 * 0.95}} {
		if math.Abs(c.got-c.want) > 0.25*c.want {
			t.Errorf("%s: share %.4f, want %.4f", c.what, c.got, c.want)
		}
	}
	if longest > cfg.OfflineMax {
		t.Errorf("silent for %s, want at most %s", longest, cfg.OfflineMax)
	}
}

func TestCarIsSmall(t *testing.T) {
	if size := int(unsafe.Sizeof(car{})); size > 128 {
		t.Errorf("a car takes %d bytes, want at most two cache lines", size)
	}
}

func BenchmarkTurn(b *testing.B) {
	cfg := fixtureConfig()
	cfg.Vehicles = 100_000
	sim, err := NewSimulation(cfg, fixtureNetwork(b), fixtureStart)
	if err != nil {
		b.Fatal(err)
	}
	var u Upload
	b.ReportAllocs()
	for b.Loop() {
		sim.Next(&u)
	}
}
