package match

import (
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// drive turns decoded positions into results and the path, in time order.
type drive struct {
	samples []telemetry.Sample
	out     []Result
	path    []Step
	offset  float32 // where the vehicle is on the path's last edge
	t       int64   // and when it was there
	legs    []leg   // the way to the next position; the first is on the path's last edge
	at      int     // the leg that the vehicle is on
}

// leg is a piece of a directed edge.
type leg struct {
	edge     road.Edge
	index    road.Index
	part     *road.Partition
	from, to float32
	wrong    bool
}

// forbids reports whether the leg ends with a turn that the map forbids.
func (l *leg) forbids(next road.Edge) bool {
	return l.part.Forbids(l.index, next) && float64(l.to) >= l.part.LengthM(l.index)
}

// junctionM is Step.JunctionM of a leg that is driven after another.
func (l *leg) junctionM() float32 {
	if l.from > 0 {
		return 0
	}
	return float32(l.part.JunctionM(l.index))
}

// keepSteps is the longest path whose memory is kept for the next batch.
const keepSteps = 1 << 14

func (d *drive) begin(samples []telemetry.Sample, out []Result) {
	clear(out)
	clear(d.legs[:cap(d.legs)]) // partitions must not be kept alive
	if cap(d.path) > keepSteps {
		d.path = nil
	}
	d.samples, d.out, d.path = samples, out, d.path[:0]
}

// start begins a chain at a candidate.
func (d *drive) start(o *candidate, c *column) {
	broken := len(d.path) > 0
	d.path = append(d.path, Step{
		Edge: o.edge, FromM: o.offset, ToM: o.offset, EnterMS: c.t, LeaveMS: c.t,
		First: c.sample, Last: c.sample + 1, Break: true, WrongWay: o.wrong,
	})
	d.offset, d.t = o.offset, c.t
	d.out[c.sample] = Result{
		Edge: o.edge, OffsetM: o.offset, DistM: o.dist, OK: true, Break: broken, WrongWay: o.wrong,
	}
}

// arrive drives to the end of the legs, where column c was seen.
func (d *drive) arrive(o *candidate, c *column) {
	last := len(d.legs) - 1
	d.move(last, d.legs[last].to, c.t)
	d.see(c.sample)
	d.out[c.sample] = Result{Edge: o.edge, OffsetM: o.offset, DistM: o.dist, OK: true, WrongWay: o.wrong}
}

// follow places a sample on the legs, at or after where the vehicle is.
func (d *drive) follow(samples []telemetry.Sample, i int) {
	if frozen(samples, i) {
		return
	}
	s := &samples[i]
	p := point(s)
	best, at, offset := math.Inf(1), d.at, float64(d.offset)
	from := d.offset
	for k := d.at; k < len(d.legs); k++ {
		l := &d.legs[k]
		if k > d.at {
			from = l.from
		}
		o, dist := l.part.FootOn(p, l.index, float64(from), float64(l.to))
		if dist < best {
			best, at, offset = dist, k, o
		}
	}
	l := &d.legs[at]
	d.move(at, float32(offset), s.T)
	d.see(int32(i))
	d.out[i] = Result{Edge: l.edge, OffsetM: float32(offset), DistM: float32(best), OK: true, WrongWay: l.wrong}
}

// see notes that a sample was taken on the path's last step.
func (d *drive) see(sample int32) {
	s := &d.path[len(d.path)-1]
	if s.First == s.Last {
		s.First = sample
	}
	s.Last = sample + 1
}

// move drives to a place on a leg; the vehicle is there at t.
func (d *drive) move(leg int, offset float32, t int64) {
	t = max(t, d.t)
	var whole float32
	for k := d.at; k <= leg; k++ {
		whole += d.length(k, leg, offset)
	}
	var gone float32
	start := d.t
	for k := d.at; ; k++ {
		gone += d.length(k, leg, offset)
		s := &d.path[len(d.path)-1]
		if k == leg {
			s.ToM = max(s.ToM, offset)
			s.LeaveMS = t
			break
		}
		s.ToM = d.legs[k].to
		s.LeaveMS = t
		if whole > 0 {
			s.LeaveMS = start + int64(float64(t-start)*float64(gone/whole))
		}
		next := &d.legs[k+1]
		d.offset = next.from
		forbidden := d.legs[k].forbids(next.edge)
		d.path = append(d.path, Step{
			Edge: next.edge, FromM: next.from, ToM: next.from, EnterMS: s.LeaveMS, LeaveMS: s.LeaveMS, WrongWay: next.wrong,
			Forbidden: forbidden,
			JunctionM: next.junctionM(),
		})
	}
	d.at, d.offset, d.t = leg, max(offset, d.offset), t
}

// length is what is left of leg k on the way to an offset of leg last.
func (d *drive) length(k, last int, offset float32) float32 {
	from, to := d.legs[k].from, d.legs[k].to
	if k == d.at {
		from = d.offset
	}
	if k == last {
		to = offset
	}
	return max(to-from, 0)
}

// distance is how far p is from the legs in metres.
func (d *drive) distance(p geo.Point) float64 {
	best := math.Inf(1)
	for k := range d.legs {
		l := &d.legs[k]
		_, dist := l.part.FootOn(p, l.index, float64(l.from), float64(l.to))
		best = min(best, dist)
	}
	return best
}
