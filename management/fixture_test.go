package management_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// town is a small invented road network, with speeds, for tests.
type town struct {
	segments map[road.SegmentID]road.Segment
	order    []road.SegmentID
	speeds   map[road.Edge]float64 // km/h
}

var townBounds = [4]float64{1.500, 42.490, 1.560, 42.530}

// newTown lays out slightly curved streets and a main road through them.
func newTown() *town {
	tn := &town{segments: map[road.SegmentID]road.Segment{}, speeds: map[road.Edge]float64{}}
	const n = 9
	node := func(i, j int) geo.Point {
		fx, fy := float64(i)/(n-1), float64(j)/(n-1)
		lon := townBounds[0] + (townBounds[2]-townBounds[0])*(fx+0.02*math.Sin(7*fy))
		lat := townBounds[1] + (townBounds[3]-townBounds[1])*(fy+0.03*math.Sin(5*fx+2*fy))
		return geo.At(lat, lon)
	}
	for i := range n {
		for j := range n {
			if i+1 < n {
				tn.add(node(i, j), node(i+1, j), j, i)
			}
			if j+1 < n && (i*7+j*3)%5 != 0 {
				tn.add(node(i, j), node(i, j+1), n+i, j)
			}
		}
	}
	return tn
}

func (tn *town) add(a, b geo.Point, street, at int) {
	seg := road.Segment{
		Attributes: road.Attributes{
			Name: fmt.Sprintf("Carrer %d", street), Class: road.Residential, Flags: road.Forward | road.Backward, Limit: [2]uint8{30, 30},
		},
		From: nodeID(a), To: nodeID(b), Shape: []geo.Point{a, geo.Between(a, b, 0.5), b}, LengthM: geo.DistanceM(a, b),
	}
	if street == 4 {
		seg.Name, seg.Ref, seg.Class, seg.Limit = "Avinguda de Tarragona", "CG-1", road.Primary, [2]uint8{50, 60}
	}
	mid := geo.TileAt(seg.Shape[1], road.Zoom)
	seg.ID = road.SegmentID(uint64(mid.Quadkey())<<24 | uint64(len(tn.order)+1))
	tn.segments[seg.ID] = seg
	tn.order = append(tn.order, seg.ID)
	for _, against := range []bool{false, true} {
		phase := float64(street) * 1.3
		if against {
			phase += 2
		}
		share := 0.62 + 0.46*math.Sin(phase+float64(at)*0.8)
		if (street+at)%6 != 5 {
			tn.speeds[seg.ID.Edge(against)] = math.Round(10*share*seg.FreeKMH(against)) / 10
		}
	}
}

func nodeID(p geo.Point) int64 { return int64(p.LatE7)<<32 | int64(p.LonE7) }

func (tn *town) Segment(_ context.Context, id road.SegmentID) (road.Segment, bool, error) {
	s, ok := tn.segments[id]
	return s, ok, nil
}

// ServeHTTP serves the town as TileJSON and vector tiles.
func (tn *town) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/tiles.json" {
		_, _ = fmt.Fprintf(w, `{"tilejson":"3.0.0","tiles":[],"minzoom":10,"maxzoom":14,"bounds":[%v,%v,%v,%v]}`,
			townBounds[0], townBounds[1], townBounds[2], townBounds[3])
		return
	}
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/tiles/"), ".mvt"), "/")
	z, _ := strconv.Atoi(parts[1])
	x, _ := strconv.Atoi(parts[2])
	y, _ := strconv.Atoi(parts[3])
	body := tn.tile(parts[0], tile.ID{Z: uint8(z), X: uint32(x), Y: uint32(y)})
	w.Header().Set("Content-Type", tile.ContentType)
	_, _ = w.Write(body)
}

// tile encodes what package tile would, from a network that is not in any store.
func (tn *town) tile(layer string, id tile.ID) []byte {
	e := mvt.NewEncoder()
	if layer == tile.Roads {
		var segs []road.Segment
		for _, sid := range tn.order {
			segs = append(segs, tn.segments[sid])
		}
		return tile.EncodeRoads(e, id, segs)
	}
	switch layer {
	case tile.LimitLayer:
		return tn.limitTile(id)
	case tile.HazardLayer:
		return tn.hazardTile(id)
	}
	e.Begin(id, 0)
	e.BeginLayer(tile.SpeedLayer)
	for _, edge := range tn.sorted() {
		seg := tn.segments[edge.Segment()]
		if !e.Line(uint64(edge), seg.Shape, edge.Against()) {
			continue
		}
		kmh := tn.speeds[edge]
		ratio := math.Round(100*kmh/seg.FreeKMH(edge.Against())) / 100
		e.Uint("edge", uint64(edge))
		e.String("class", seg.Class.String())
		e.Uint("kmh", uint64(math.Round(kmh)))
		e.Double("ratio", ratio)
		e.Uint("n", 9)
		e.Uint("level", uint64(tile.Level(ratio)))
	}
	e.EndLayer()
	return e.Bytes()
}

// fakeStore answers with figures that a test set, and counts the looks at them.
type fakeStore struct {
	mu       sync.Mutex
	now      func() time.Time
	town     *town
	err      error
	activity int // calls
	log      fakeLog
	hooks    fakeWebhooks

	pending   map[int64]bool // of the quarantine
	reviews   int
	reviewErr error
}

func (s *fakeStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeStore) look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

var fakeReceiver = telemetry.ReceiverID{1, 2, 3, 4}

func (s *fakeStore) Ledger(context.Context, time.Time, time.Time) (ledger.Report, error) {
	a := ledger.Account{
		Accepted: ledger.Count{Batches: 1_284_310, Samples: 12_843_100}, Archived: ledger.Count{Batches: 1_280_900, Samples: 12_809_000},
		Duplicate: ledger.Count{Batches: 3_360, Samples: 33_600}, Quarantined: ledger.Count{Batches: 2, Samples: 20},
		InFlight: ledger.Count{Batches: 48, Samples: 480},
	}
	hour := s.now().UTC().Truncate(time.Hour)
	return ledger.Report{
		Hours:    []ledger.Hour{{Start: hour.Add(-time.Hour), Receiver: fakeReceiver}, {Start: hour, Receiver: fakeReceiver, Account: a}},
		Gaps:     []ledger.Gap{{Receiver: fakeReceiver, FromSeq: 9, ToSeq: 9, Envelopes: 1, Count: a.InFlight, Hour: hour, Confirmed: true}},
		Manifest: a.Archived, Handled: a.Archived,
	}, s.look()
}

func (s *fakeStore) ClaimedIn(context.Context, time.Time, time.Time) (ledger.Count, error) {
	return ledger.Count{Batches: 1_280_900, Samples: 12_809_000}, s.look()
}

func (s *fakeStore) Claimed(_ context.Context, ids []telemetry.ClaimID) ([]int, error) {
	out := make([]int, len(ids))
	for i := range out {
		out[i] = 10
		if i%2 == 1 {
			out[i] = -1
		}
	}
	return out, s.look()
}

func (s *fakeStore) Activity(context.Context, bool) (ledger.Activity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.activity++
	at := s.now()
	wave := math.Sin(float64(at.UnixMilli()) / 9000)
	r := ledger.Rate{Batches: 1000 + 60*wave, Samples: 10000 + 600*wave}
	return ledger.Activity{
		At: at, Accepted10: r, Accepted60: r, Processed10: ledger.Rate{Batches: 990 + 20*wave, Samples: 9900}, Processed60: r,
		NewestAccepted: at.Add(-600 * time.Millisecond), EnvelopesPerS: 24, OutboxTiles: 4,
		Workers:   []ledger.WorkerActivity{{Name: "worker-1", Rate: ledger.Rate{Batches: 504, Samples: 5040}, Flushes: 58, LastCommitted: at}, {Name: "worker-2", Rate: ledger.Rate{Batches: 486, Samples: 4860}, Flushes: 57, LastCommitted: at}},
		Freshness: []ledger.Projection{{Layer: "speeds", Tiles: 20, P50S: 1.21 + 0.1*wave, P95S: 2.46 + 0.3*wave, MaxS: 3, EventP50S: 6.2, EventP95S: 11.4}, {Layer: "speeds", Late: true, Tiles: 5, P50S: 1.21 + 0.1*wave, P95S: 2.46 + 0.3*wave, MaxS: 3, EventP50S: 40, EventP95S: 70}},
	}, s.err
}

func (s *fakeStore) Totals(_ context.Context, from, _ time.Time) (ledger.Totals, error) {
	if from.IsZero() {
		return ledger.Totals{Envelopes: 100, Handled: ledger.Count{Batches: 1000, Samples: 10_000}, Archived: ledger.Count{Batches: 1000, Samples: 10_000}}, s.look()
	}
	return ledger.Totals{Envelopes: 1, Handled: ledger.Count{Batches: 10, Samples: 100}, Archived: ledger.Count{Batches: 10, Samples: 100}}, s.look()
}

// vehicles is a bitmap of n distinct vehicles.
func vehicles(n int) (v learn.Vehicles) {
	for i := range uint64(n) {
		v[0] |= 1 << i
	}
	return v
}

func speedRow(edge road.Edge, bucket time.Time, n, cars int, kmh float64) learn.SpeedRow {
	r := learn.SpeedRow{BucketMS: bucket.UnixMilli(), Edge: uint64(edge)}
	for i := range n {
		r.Add(uint16((kmh+float64(i%9-4))/learn.CMPSToKMH), 0)
	}
	r.Vehicles = vehicles(cars)
	return r
}

func (s *fakeStore) Speeds(_ context.Context, from, _ time.Time, ranges [][2]uint64, after uint64, limit int) ([]learn.SpeedRow, error) {
	var rows []learn.SpeedRow
	for _, r := range ranges {
		for e := range s.town.edges() {
			if uint64(e) >= r[0] && uint64(e) < r[1] && uint64(e) > after && len(rows) < limit {
				cars := 9
				if e.Segment()%10 == 0 {
					cars = 2
				}
				rows = append(rows, speedRow(e, from.UTC().Truncate(24*time.Hour), 60, cars, s.town.speeds[e]))
			}
		}
	}
	return rows, s.look()
}

func (s *fakeStore) EdgeSpeeds(_ context.Context, edge uint64, from, to time.Time) ([]learn.SpeedRow, error) {
	var rows []learn.SpeedRow
	kmh, ok := s.town.speeds[road.Edge(edge)]
	if !ok {
		return nil, s.look()
	}
	for b := from.Truncate(5 * time.Minute).Add(40 * time.Minute); b.Before(to); b = b.Add(5 * time.Minute) {
		i := float64(b.Unix() / 300)
		cars := 12
		if int(i)%17 == 0 {
			cars = 2
		}
		rows = append(rows, speedRow(road.Edge(edge), b, 60, cars, max(8, kmh*(1+0.22*math.Sin(i/9)+0.05*math.Sin(i*2.3)))))
	}
	return rows, s.look()
}

// edges yields the edges with speeds in rising order.
func (tn *town) edges() func(func(road.Edge) bool) {
	return func(yield func(road.Edge) bool) {
		for _, e := range tn.sorted() {
			if !yield(e) {
				return
			}
		}
	}
}

func (tn *town) sorted() []road.Edge {
	return slices.Sorted(maps.Keys(tn.speeds))
}

type fakeQueue struct {
	depth telemetry.QueueDepth
	err   error
}

func (q *fakeQueue) Depth(context.Context) (telemetry.QueueDepth, error) { return q.depth, q.err }

// StatusID is the vehicle's id in the clear, as the fake live store knows it.
func (fakeRing) StatusID(vehicle string) (id [16]byte) {
	copy(id[:], vehicle)
	return id
}

// fakeRing keeps the batch's time, as the real one does.
type fakeRing struct{}

func (fakeRing) ClaimID(vehicle string, batch telemetry.BatchID) telemetry.ClaimID {
	sum := sha256.Sum256(append([]byte(vehicle), batch[:]...))
	id := telemetry.ClaimID(sum[:16])
	copy(id[:6], batch[:6])
	return id
}
