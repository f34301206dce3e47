package match

import (
	"context"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// column is one position that is decoded, with its candidates. A column without any is
// off the road.
type column struct {
	sample   int32
	first, n int32 // candidates: cands[first:first+n]
	before   int32 // the column before in the same chain; -1: it begins one
	chosen   int32 // in cands; -1: none
	standing bool  // says that it hardly moves
	suspect  bool  // nothing but one-way roads in the wrong direction
	pinned   bool  // decided with an earlier window
	p        geo.Point
	scale    float64 // geo.Scale there
	t, seen  int64   // its time, and until when the vehicle was seen there
	sigma    float64
	weight   float64 // of its distance from a road
	reach    float64
	bridge   float64 // how far from the way it may be if it is off the road
	odo      odometer
}

// candidate is a place on a directed edge where a position may have been taken.
type candidate struct {
	edge           road.Edge
	offset, length float32 // metres from the edge's start in the direction of travel; of the edge
	dist           float32 // metres from the position
	emission       float32 // the cost of being seen where it was
	cost           float32 // of the cheapest way to be here
	prev           int32   // in cands: the candidate before on that way; -1: the first of a chain
	index          road.Index
	slot           int32
	move           move
	wrong          bool // against a one-way
}

// foot is the place of a span that is nearest to a position: its squared distance in m², and how far along the
// span it is, 0 to 1.
type foot struct{ d2, f float64 }

func unreached() float32 { return float32(math.Inf(1)) }

// scan looks at samples until there is one more column; false at the end of the samples.
func (m *Matcher) scan(ctx context.Context, samples []telemetry.Sample) (bool, error) {
	for m.scanned < len(samples) {
		i := m.scanned
		s := &samples[i]
		p := point(s)
		if i > 0 {
			m.odo.add(&samples[i-1], s)
		}
		if m.anchor >= 0 {
			a := &m.columns[m.anchor]
			if m.follows(a, samples, i) {
				if !frozen(samples, i) {
					a.seen = max(a.seen, s.T)
				}
				m.scanned++
				continue
			}
		}
		c := column{
			sample: int32(i), first: int32(len(m.cands)), before: -1, chosen: -1, standing: standing(s),
			p: p, scale: geo.Scale(p.LatE7), t: s.T, seen: s.T, sigma: sigma(s), reach: reach(s), bridge: bridge(s), odo: m.odo,
		}
		c.weight = 1
		if m.anchor >= 0 {
			since := float64(c.t-m.columns[m.anchor].t) / 1000
			c.weight = min(m.atOnce+weightPerS*max(since, 0), 1)
		}
		if p.Valid() {
			slot, ok, err := m.tiles.at(ctx, p)
			if err != nil {
				return false, err
			}
			if ok {
				m.place(&c, slot, samples)
			}
		}
		m.scanned++
		m.columns = append(m.columns, c)
		if c.n > 0 {
			m.anchor = len(m.columns) - 1
		}
		return true, nil
	}
	return false, nil
}

// follows reports whether sample i says nothing that column a did not.
func (m *Matcher) follows(a *column, samples []telemetry.Sample, i int) bool {
	s := &samples[i]
	step := min(max(stepSigmas*sigma(s), minStepM), maxStepM)
	if i == len(samples)-1 {
		step = lastStepM
	}
	y := float64(int64(s.LatE7)-int64(a.p.LatE7)) * geo.MetresPerE7
	if y > step || y < -step {
		return false
	}
	x := float64(int64(s.LonE7)-int64(a.p.LonE7)) * a.scale
	return x*x+y*y < step*step
}

// place finds the candidates of c in a partition and appends them to cands.
func (m *Matcher) place(c *column, slot int32, samples []telemetry.Sample) {
	part := m.tiles.held[slot].part
	m.survey(c, part)
	if len(m.spans) == 0 {
		return
	}
	s := &samples[c.sample]
	dir := travel(samples, int(c.sample))
	scale := c.scale
	reach2 := c.reach * c.reach
	fit2 := square(min(fitSigmas*c.sigma+fitSlackM, c.reach))
	wrong2, end2 := square(wrongSigmas*c.sigma), square(passedSigmas*c.sigma)
	fits, against := false, false
	of := road.NoIndex
	kept := m.spans[:0]
	for k, span := range m.spans {
		d2, f := m.feet[k].d2, m.feet[k].f
		if d2 > reach2 {
			continue
		}
		a, b := part.SpanEnds(span)
		if of == road.NoIndex || !part.SpanOf(span, of) {
			of = part.SpanEdge(span, false)
		}
		d := math.Sqrt(d2)
		forward := c.weight * distanceCost(d2, c.sigma)
		backward := forward
		if dir.cost > 0 {
			cos := cosine(a, b, scale, dir)
			forward += dir.cost * (1 - cos)
			backward += dir.cost * (1 + cos)
			fits = fits || d2 <= fit2 && (span.Forward() && cos > alignedCos || span.Backward() && cos < -alignedCos) &&
				(d2 <= end2 || beyond(c.p, a, b, f, scale) <= passedSigmas*c.sigma)
			if d2 <= wrong2 && dir.moving && (!span.Forward() && cos > alignedCos || !span.Backward() && cos < -alignedCos) {
				against = true
				kept = append(kept, span) // never beyond what was read
			}
		}
		if span.Forward() {
			m.add(c, part, slot, span, of, f, d, forward)
		}
		if span.Backward() {
			m.add(c, part, slot, span, of.Reverse(), f, d, backward)
		}
	}
	c.suspect = against && !fits
	if against && m.wrong.allows(c.sample) {
		for _, span := range kept {
			a, b := part.SpanEnds(span)
			d2, f := road.Foot(c.p, a, b, scale)
			d, cos := math.Sqrt(d2), cosine(a, b, scale, dir)
			i := part.SpanEdge(span, cos < 0)
			m.add(c, part, slot, span, i, f, d, c.weight*distanceCost(d2, c.sigma)+dir.cost*(1-math.Abs(cos)))
		}
	}
	m.prune(c, part, s)
}

// survey finds the spans around c and their feet. Where the accuracy is not given it looks near c first, for only if there is no
// road near are those beyond candidates, too.
func (m *Matcher) survey(c *column, part *road.Partition) {
	if c.reach <= maxReachM {
		m.around(c, part, c.reach)
		return
	}
	reach := min(c.reach, nearReachM+nearReach*m.around(c, part, maxReachM))
	if reach > maxReachM {
		reach = min(c.reach, nearReachM+nearReach*m.around(c, part, c.reach))
	}
	c.reach = reach
}

// around finds the spans within a radius of c, perhaps others, and tells how far the nearest of them is.
func (m *Matcher) around(c *column, part *road.Partition, radius float64) float64 {
	m.spans, m.feet = part.Near(c.p, radius, m.spans[:0]), m.feet[:0]
	best := math.Inf(1)
	for _, span := range m.spans {
		a, b := part.SpanEnds(span)
		d2, f := road.Foot(c.p, a, b, c.scale)
		m.feet = append(m.feet, foot{d2, f})
		best = min(best, d2)
	}
	return math.Sqrt(best)
}

// add makes a place a candidate of c, or lets it replace a worse one nearby on its edge.
func (m *Matcher) add(c *column, part *road.Partition, slot int32, span road.Span, i road.Index, f, dist, cost float64) {
	offset := float32(part.OffsetM(span, i, f))
	for k := c.first; k < c.first+c.n; k++ {
		o := &m.cands[k]
		if o.index != i || abs32(o.offset-offset) > apartM {
			continue
		}
		if float32(cost) < o.emission {
			o.offset, o.dist, o.emission = offset, float32(dist), float32(cost)
		}
		return
	}
	c.n++
	m.cands = append(m.cands, candidate{
		offset: offset, dist: float32(dist), emission: float32(cost),
		index: i, slot: slot, prev: -1, cost: unreached(),
	})
}

// prune adds the term for the speed, keeps the likeliest candidates and completes them.
func (m *Matcher) prune(c *column, part *road.Partition, s *telemetry.Sample) {
	all := m.cands[c.first : c.first+c.n]
	best := unreached()
	for k := range all {
		if s.Has&telemetry.HasSpeed != 0 {
			all[k].emission += float32(fastCost(speedMPS(s), part.Class(all[k].index)))
			if standing(s) {
				all[k].emission += standBehindCost * max(1-all[k].offset/standBehindM, 0)
			}
		}
		best = min(best, all[k].emission)
	}
	most, ties := best+m.beam, len(all)
	if len(all) > maxCandidates {
		if last, n := likeliest(all); last <= most {
			most, ties = last, n
		}
	}
	kept := all[:0]
	for k := range all {
		e := all[k].emission
		if e > most || e == most && ties == 0 {
			continue
		}
		if e == most {
			ties--
		}
		kept = append(kept, all[k])
	}
	for k := range kept {
		o := &kept[k]
		o.edge, o.length = part.Edge(o.index), float32(part.LengthM(o.index))
		o.wrong = !part.Allowed(o.index)
	}
	c.n = int32(len(kept))
	m.cands = m.cands[:c.first+c.n]
}

// likeliest is the emission of the last of the maxCandidates likeliest candidates, and how
// many of those have it: there may be more, at a junction for example.
func likeliest(all []candidate) (last float32, ties int) {
	var buf [maxCandidates]float32
	low := buf[:0] // ascending
	for k := range all {
		e := all[k].emission
		if n := len(low); n == maxCandidates {
			if e >= low[n-1] {
				continue
			}
			low = low[:n-1]
		}
		at := len(low)
		low = append(low, e)
		for ; at > 0 && low[at-1] > e; at-- {
			low[at] = low[at-1]
		}
		low[at] = e
	}
	last = low[len(low)-1]
	for _, e := range low {
		if e == last {
			ties++
		}
	}
	return last, ties
}

// fastCost is the cost of driving at a speed (m/s) on a road of a class.
func fastCost(speed float64, class road.Class) float64 {
	if class == road.UnknownClass {
		return 0
	}
	over := speed - fastFactor*class.FreeKMH()/3.6 - fastSlackMS
	return min(max(over/fastScaleMS, 0), maxFastCost)
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

// beyond is how far p is ahead of or behind the span, whose place at f is the nearest.
func beyond(p, a, b geo.Point, f, scale float64) float64 {
	q := geo.Between(a, b, f)
	x, y := float64(p.LonE7-q.LonE7)*scale, float64(p.LatE7-q.LatE7)*geo.MetresPerE7
	l := math.Hypot(x, y)
	if l == 0 {
		return 0
	}
	return l * math.Abs(cosine(a, b, scale, direction{x: x / l, y: y / l}))
}

func square(v float64) float64 { return v * v }

func abs32(v float32) float32 {
	if v < 0 {
		return -v
	}
	return v
}
