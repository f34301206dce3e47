package fleet

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carasso/carasso/mapdata/geo"
)

func TestMain(m *testing.M) {
	// What fasthttp starts in the background, as the benchmarks' sink and rival, it does
	// not end.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
	)
}

// fixtureSide is the number of junctions along each side of the fixture's grid.
const fixtureSide = 9

// fixtureRoads is a town of about 2 km × 2 km: a grid of bent two-way streets with
// limits that change, every third row one-way, and a dead end that leads out only.
func fixtureRoads() (nodes int, roads []RoadSpec) {
	at := func(x, y int) geo.Point {
		return geo.Point{LatE7: 425000000 + int32(y*22000), LonE7: 15000000 + int32(x*30000)}
	}
	node := func(x, y int) int32 { return int32(y*fixtureSide + x) }
	add := func(ax, ay, bx, by int, oneWay bool) {
		a, b := at(ax, ay), at(bx, by)
		mid := geo.Between(a, b, 0.5)
		mid.LatE7 += 400
		mid.LonE7 += 400
		limit := []int{30, 50, 50, 70}[(ax+ay)%4]
		free := float64(limit)
		if (ax*7+ay)%11 == 0 {
			limit, free = 0, 45
		}
		id := uint64(len(roads)/2+1) << 3
		roads = append(roads, RoadSpec{Edge: id, From: node(ax, ay), To: node(bx, by), Shape: []geo.Point{a, mid, b}, LimitKMH: limit, FreeKMH: free, Weight: 1 + float64(ay%3)})
		if !oneWay {
			roads = append(roads, RoadSpec{Edge: id | 1, From: node(bx, by), To: node(ax, ay), Shape: []geo.Point{b, mid, a}, LimitKMH: limit, FreeKMH: free, Weight: 1})
		} else {
			roads = append(roads, RoadSpec{Edge: id | 2, From: int32(fixtureSide * fixtureSide), To: node(ax, ay), Shape: []geo.Point{at(-1, ay), a}, FreeKMH: 20, Weight: 1})
		}
	}
	for y := range fixtureSide {
		for x := range fixtureSide {
			if x+1 < fixtureSide {
				add(x, y, x+1, y, y%3 == 1 && x != 0)
			}
			if y+1 < fixtureSide {
				add(x, y, x, y+1, false)
			}
		}
	}
	return fixtureSide*fixtureSide + 1, roads
}

func fixtureNetwork(tb testing.TB) *Network {
	tb.Helper()
	n, err := Build(fixtureRoads())
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func fixtureConfig() Config {
	c := DefaultConfig()
	c.Vehicles, c.Destinations, c.BadCars = 200, 16, 0
	return c
}

var fixtureStart = time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)

// generate makes n batches and copies what the visitor keeps.
func generate(tb testing.TB, cfg Config, n int, each func(*Upload)) {
	tb.Helper()
	err := Generate(cfg, fixtureNetwork(tb), fixtureStart, n, func(u *Upload) error {
		each(u)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// nearest is the arc that a sample lies on, by distance and heading; -1 if it is far
// from all.
func (n *Network) nearest(p geo.Point, headingCDeg uint16, hasHeading bool) int32 {
	best, bestCost := int32(-1), 40.0
	for i := range n.arcs {
		a := &n.arcs[i]
		for k := a.point; k < a.point+a.pieces; k++ {
			s, e := n.points[k], n.points[k+1]
			ax, ay := float64(p.LonE7-s.lon)*float64(a.metresPerLonE7), float64(p.LatE7-s.lat)*geo.MetresPerE7
			bx, by := float64(e.lon-s.lon)*float64(a.metresPerLonE7), float64(e.lat-s.lat)*geo.MetresPerE7
			f := min(max((ax*bx+ay*by)/(bx*bx+by*by), 0), 1)
			cost := math.Hypot(ax-f*bx, ay-f*by)
			if hasHeading {
				cost += float64(turnDeg(headingCDeg, s.heading)) * 0.5
			}
			if cost < bestCost {
				best, bestCost = int32(i), cost
			}
		}
	}
	return best
}
