package maperror

import (
	"context"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// The parameters of the second opinion on a sample.
const (
	movingCMPS = 200 // 0.01 m/s: slower vehicles stand, turn or jitter
	courseM    = 8.0 // displacement that tells a course where no heading is reported,
	courseMS   = 10_000
	suspectM   = 10.0 // a match farther than this is looked at again
	nearM      = 12.0 // a road this near explains a sample,
	nearSigmas = 3.0  // or this many times its accuracy (1 sigma),
	maxNearM   = 25.0 // but never farther than this
	lookM      = 30.0 // how far the second opinion looks
	alongDeg   = 40.0 // a course within this of a road's is along it
	sigmaM     = 5.0  // of a position against the road's middle, and
	sigmaDeg   = 20.0 // of a course against the road's: how likely a road is
	prefer     = 2.25 // so much likelier a forbidden direction must be than a permitted one: 1.5 sigma
	besideM    = 8.0  // farther than this from the matched road is beside it
)

// verdict is what a sample says about the map.
type verdict uint8

const (
	silent verdict = iota // stands, or can't be judged
	normal                // explained by the matched road
	weak                  // explained by a road, but not by the match
	across                // near a road, but not along any
	off                   // no road explains it
	wrong                 // along a one-way road, against it
)

// sight is a verdict with its circumstances.
type sight struct {
	verdict verdict
	course  float64   // degrees clockwise from north, if moving
	edge    road.Edge // against which direction: for wrong
	rightM  float64   // to the right of it, for wrong and for normal ones beside the road
	beside  bool
}

// guess is the likeliest of several edges that a sample may be on.
type guess struct {
	cost   float64 // squared deviations over their sigmas; infinite: there is none
	distM  float64
	rightM float64
	edge   road.Index
}

// observer looks at samples and the roads around them; it keeps scratch memory.
type observer struct {
	roads learn.Roads
	part  *road.Partition
	box   geo.Box
	spans []road.Span
}

// enter makes the partition around p the current one.
func (o *observer) enter(ctx context.Context, p geo.Point) error {
	if o.part != nil && o.box.Contains(p) {
		return nil
	}
	t := geo.TileAt(p, road.Zoom)
	part, err := o.roads.Partition(ctx, t.Quadkey())
	if err != nil {
		return err
	}
	o.part, o.box = part, t.Box()
	return nil
}

// look is the verdict on sample i of a drive, whose partition must be the current one.
func (o *observer) look(d *learn.Drive, i int) sight {
	s, r := &d.Samples[i], &d.Matches[i]
	if s.Has&telemetry.HasSpeed != 0 && s.SpeedCMPS < movingCMPS {
		return sight{}
	}
	course, known := course(d.Samples, i)
	if !known {
		return sight{}
	}
	v := sight{verdict: normal, course: course}
	p := point(s)
	if r.OK && !r.WrongWay && !r.Break && (i+1 == len(d.Matches) || !d.Matches[i+1].Break) {
		along, rightM, ok := o.matched(p, r, course)
		if ok && along && r.DistM <= suspectM {
			v.beside, v.rightM = r.DistM > besideM, rightM
			return v
		}
	}
	return o.second(d, i, p, v)
}

// matched tells whether a course is along the matched edge, and how far to its right p is.
func (o *observer) matched(p geo.Point, r *match.Result, course float64) (along bool, rightM float64, ok bool) {
	e, ok := o.part.Find(r.Edge)
	if !ok {
		return false, 0, false
	}
	f := footOn(o.part.Shape(e), p)
	heading := f.headingDeg
	if e.Against() {
		heading, f.rightM = heading+180, -f.rightM
	}
	return angle(course, heading) <= alongDeg, f.rightM, true
}

// second is the verdict where the match is missing or doubtful.
func (o *observer) second(d *learn.Drive, i int, p geo.Point, v sight) sight {
	s, r := &d.Samples[i], &d.Matches[i]
	reach := nearM
	if s.Has&telemetry.HasAccuracy != 0 {
		reach = min(max(reach, nearSigmas*float64(s.AccuracyCM)/100), maxNearM)
	}
	anyM := math.Inf(1)
	may, mustNot := guess{cost: math.Inf(1)}, guess{cost: math.Inf(1)}
	scale := geo.Scale(p.LatE7)
	o.spans = o.part.Near(p, lookM, o.spans[:0])
	for _, span := range o.spans {
		a, b := o.part.SpanEnds(span)
		if d2, _ := road.Foot(p, a, b, scale); d2 > lookM*lookM {
			continue // farther than any reach
		}
		f := footOf(p, a, b, scale)
		anyM = min(anyM, f.distM)
		for _, against := range [2]bool{false, true} {
			heading, right, allowed := f.headingDeg, f.rightM, span.Forward()
			if against {
				heading, right, allowed = heading+180, -right, span.Backward()
			}
			deg := angle(v.course, heading)
			if deg > alongDeg {
				continue
			}
			g := &mustNot
			if allowed {
				g = &may
			}
			if cost := f.distM*f.distM/(sigmaM*sigmaM) + deg*deg/(sigmaDeg*sigmaDeg); cost < g.cost {
				*g = guess{cost, f.distM, right, o.part.SpanEdge(span, against)}
			}
		}
	}
	switch {
	case mustNot.cost < may.cost && mustNot.distM <= reach && (mustNot.cost+prefer < may.cost || r.WrongWay):
		v.verdict, v.edge, v.rightM = wrong, o.part.Edge(mustNot.edge), mustNot.rightM
	case may.cost < math.Inf(1) && may.distM <= reach:
		v.verdict = weak
		if r.OK && !r.WrongWay && r.Edge == o.part.Edge(may.edge) {
			v.verdict = normal
			v.beside, v.rightM = may.distM > besideM, may.rightM
		}
	case anyM <= reach:
		v.verdict = across
	default:
		v.verdict = off
		if may.cost < math.Inf(1) && may.distM <= maxNearM && r.OK && !r.WrongWay && r.Edge == o.part.Edge(may.edge) {
			v.beside, v.rightM = true, may.rightM // or the road lies elsewhere
		}
	}
	return v
}

// course is the direction of travel at a sample, degrees clockwise from north: the
// reported heading, else that of the way from the sample before to the one after.
func course(samples []telemetry.Sample, i int) (deg float64, known bool) {
	s := &samples[i]
	if s.Has&telemetry.HasHeading != 0 {
		return float64(s.HeadingCDeg) / 100, true
	}
	a, b := &samples[max(i-1, 0)], &samples[min(i+1, len(samples)-1)]
	if b.T-a.T > 2*courseMS || geo.DistanceM(point(a), point(b)) < courseM {
		return 0, false
	}
	return geo.BearingDeg(point(a), point(b)), true
}

func point(s *telemetry.Sample) geo.Point { return geo.Point{LatE7: s.LatE7, LonE7: s.LonE7} }

// angle is that between two directions, 0 to 180 degrees.
func angle(a, b float64) float64 {
	d := math.Abs(math.Mod(a-b, 360))
	return min(d, 360-d)
}
