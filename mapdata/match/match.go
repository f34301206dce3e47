// Package match finds the road that a vehicle's samples were taken on.
package match

import (
	"context"
	"fmt"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Partitions hands out the road graph: *road.Store.
type Partitions interface {
	Partition(ctx context.Context, quadkey uint32) (*road.Partition, error)
}

// The parameters of the matcher.
const (
	reachM      = 25.0 // a road is plausible within this, or 3 sigma if that is more,
	maxReachM   = 50.0 // but never beyond this
	sigmaM      = 5.0  // of a position whose accuracy is not given
	minSigmaM   = 3.0
	maxSigmaM   = 15.0
	headingCost = 16.0 // times 1-cos of the difference: 2/sigma², sigma 20°
	minSpeed    = 200  // 0.01 m/s: below it a reported heading means nothing
	minMoveM    = 4.0  // below it the direction between two samples means nothing
	maxGapMS    = 10_000
	stayBonus   = 1.5 // for the previous sample's edge: one and a quarter sigma against none
	turnCost    = 6.0 // for the previous sample's segment in the other direction
	againstCost = 0.5 // for the direction against the drawing when nothing else tells
)

// Matcher matches batches to the nearest plausible edge: each sample by its distance and
// direction, with a preference for staying on the edge of the sample before. It keeps
// scratch memory: use one per goroutine.
type Matcher struct {
	roads Partitions
	part  *road.Partition // the last one used, and where it applies
	box   geo.Box
	spans []road.Span
	path  []Step
}

// New is a Matcher over a road graph.
func New(roads Partitions) *Matcher { return &Matcher{roads: roads, box: geo.EmptyBox()} }

// direction is what is known of the direction of travel: a unit vector (east, north).
type direction struct {
	x, y  float64
	known bool
}

// Match finds the edge of each of a batch's samples, lead-in included, in time order,
// and writes it to out, which must be at least as long. An error means that the road
// graph could not be read: the batch may be matched later.
func (m *Matcher) Match(ctx context.Context, samples []telemetry.Sample, out []Result) error {
	prev := road.Edge(0)
	unsure := 0 // results before the first sample whose direction was known
	for i := range samples {
		p := geo.Point{LatE7: samples[i].LatE7, LonE7: samples[i].LonE7}
		if err := m.enter(ctx, p); err != nil {
			return fmt.Errorf("match sample %d: %w", i, err)
		}
		dir := travel(samples, i)
		out[i] = m.nearest(p, reach(&samples[i]), sigma(&samples[i]), dir, prev)
		prev = 0
		if out[i].OK {
			prev = out[i].Edge
		}
		if dir.known && unsure == i {
			m.orient(ctx, out[:i], out[i])
		}
		if !dir.known && unsure == i {
			unsure = i + 1
		}
	}
	return nil
}

// Path is the way driven in the last Match, lead-in included; valid until the next one.
func (m *Matcher) Path() []Step { return m.path }

// enter makes the partition around p the current one.
func (m *Matcher) enter(ctx context.Context, p geo.Point) error {
	if m.box.Contains(p) {
		return nil
	}
	t := geo.TileAt(p, road.Zoom)
	part, err := m.roads.Partition(ctx, t.Quadkey())
	if err != nil {
		return err
	}
	m.part, m.box = part, t.Box()
	return nil
}

// nearest is the place with the least cost within reach of p.
func (m *Matcher) nearest(p geo.Point, reachM, sigmaM float64, dir direction, prev road.Edge) Result {
	m.spans = m.part.Near(p, reachM, m.spans[:0])
	if len(m.spans) == 0 {
		return Result{}
	}
	stay := road.NoIndex
	if prev != 0 {
		if i, ok := m.part.Find(prev); ok {
			stay = i
		}
	}
	scale := geo.Scale(p.LatE7)
	weight := 1 / (sigmaM * sigmaM)
	bestCost, bestDist2, bestF := math.Inf(1), 0.0, 0.0
	var best road.Span
	against := false
	for _, s := range m.spans {
		a, b := m.part.SpanEnds(s)
		d2, f := road.Foot(p, a, b, scale)
		if d2 > reachM*reachM {
			continue
		}
		cost := d2 * weight
		if cost-stayBonus >= bestCost {
			continue
		}
		forward, backward := cost, cost+againstCost
		if dir.known {
			cos := cosine(a, b, scale, dir)
			forward, backward = cost+headingCost*(1-cos), cost+headingCost*(1+cos)
		}
		if stay != road.NoIndex && m.part.SpanOf(s, stay) {
			if stay.Against() {
				forward, backward = forward+turnCost, backward-stayBonus
			} else {
				forward, backward = forward-stayBonus, backward+turnCost
			}
		}
		if s.Forward() && forward < bestCost {
			bestCost, bestDist2, bestF, best, against = forward, d2, f, s, false
		}
		if s.Backward() && backward < bestCost {
			bestCost, bestDist2, bestF, best, against = backward, d2, f, s, true
		}
	}
	if math.IsInf(bestCost, 1) {
		return Result{}
	}
	i := m.part.SpanEdge(best, against)
	return Result{
		Edge: m.part.Edge(i), OffsetM: float32(m.part.OffsetM(best, i, bestF)),
		DistM: float32(math.Sqrt(bestDist2)), OK: true,
	}
}

// orient gives the results before the first sample with a known direction the direction
// of that one, as far back as they are on the same segment.
func (m *Matcher) orient(ctx context.Context, before []Result, known Result) {
	if !known.OK || len(before) == 0 {
		return
	}
	part, err := m.roads.Partition(ctx, known.Edge.Quadkey())
	if err != nil { // what was found stands
		return
	}
	i, ok := part.Find(known.Edge)
	if !ok || !part.Allowed(i) {
		return
	}
	for k := len(before) - 1; k >= 0 && before[k].OK && before[k].Edge.Segment() == known.Edge.Segment(); k-- {
		if before[k].Edge != known.Edge {
			before[k].Edge = known.Edge
			before[k].OffsetM = float32(part.LengthM(i)) - before[k].OffsetM
		}
	}
}

// cosine is that of the angle between the span, as drawn, and the direction of travel.
func cosine(a, b geo.Point, scale float64, dir direction) float64 {
	x := float64(b.LonE7-a.LonE7) * scale
	y := float64(b.LatE7-a.LatE7) * geo.MetresPerE7
	l := math.Sqrt(x*x + y*y)
	if l == 0 {
		return 0
	}
	return (x*dir.x + y*dir.y) / l
}

// travel is the direction of travel at a sample: the reported heading while the vehicle
// moves, else the way from the sample before or to the one after.
func travel(samples []telemetry.Sample, i int) direction {
	s := &samples[i]
	moving := s.Has&telemetry.HasSpeed == 0 || s.SpeedCMPS >= minSpeed
	if s.Has&telemetry.HasHeading != 0 && moving {
		sin, cos := math.Sincos(float64(s.HeadingCDeg) * (math.Pi / 18000))
		return direction{sin, cos, true}
	}
	if !moving {
		return direction{}
	}
	if i > 0 {
		if d := between(&samples[i-1], s); d.known {
			return d
		}
	}
	if i+1 < len(samples) {
		return between(s, &samples[i+1])
	}
	return direction{}
}

func between(a, b *telemetry.Sample) direction {
	if b.T-a.T > maxGapMS {
		return direction{}
	}
	x := float64(b.LonE7-a.LonE7) * geo.Scale(b.LatE7)
	y := float64(b.LatE7-a.LatE7) * geo.MetresPerE7
	l := math.Sqrt(x*x + y*y)
	if l < minMoveM {
		return direction{}
	}
	return direction{x / l, y / l, true}
}

func accuracyM(s *telemetry.Sample) float64 {
	if s.Has&telemetry.HasAccuracy == 0 {
		return 0
	}
	return float64(s.AccuracyCM) / 100
}

func reach(s *telemetry.Sample) float64 {
	return min(max(reachM, 3*accuracyM(s)), maxReachM)
}

func sigma(s *telemetry.Sample) float64 {
	if s.Has&telemetry.HasAccuracy == 0 {
		return sigmaM
	}
	return min(max(accuracyM(s), minSigmaM), maxSigmaM)
}
