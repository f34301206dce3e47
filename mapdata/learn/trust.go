package learn

import (
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// TrustEnough is the trust from which on a drive may vote.
const TrustEnough = 0.5

// The parameters of trust.
const (
	slackM      = 15.0 // what two good positions may be off against each other,
	slackSigmas = 4.0  // or this many times their accuracy (1 sigma) if that is more
	accelMPS2   = 5.0  // the hardest acceleration between two samples
	topMPS      = 75.0 // no road vehicle drives faster
	frozenM     = 0.5  // positions nearer than this are the same,
	shouldM     = 8.0  // and a fault if the vehicle drove this far meanwhile
	frozenMS    = 30_000
	sluggishMS  = 5_000 // up to this gap curves can't shorten the way to a fifth
	courseMPS   = 5.0   // from this speed on the course over ground means something
	courseDeg   = 75.0  // a reported heading farther from it is odd
	beside      = 12.0  // mean distance to the road, m, from which on a steady one is odd
	crossing    = 4     // matched samples from which on that can be told
	poorM       = 25.0  // an accuracy (1 sigma) worse than this lowers trust
)

// Trust is how far a drive's positions can be trusted, 0 to 1: Consistency, lowered when
// the vehicle drove beside its roads by a steady, large distance, as an offset receiver
// does. One drive alone can't tell that from a road that was moved: it costs 0.4 at most.
// Samples without a road cost nothing by themselves, as long as their motion is sound.
func Trust(d *Drive) float64 { return Consistency(d) * fit(d) }

// Consistency is how far a drive's positions agree with one another and with the reported
// speeds, headings and times, 0 to 1, whatever the map says: a frozen position while the
// vehicle drives, a jump farther than it can drive, a course across its heading and times
// that run back or stand still lower it. A drive on a road that the map lacks loses nothing,
// unless it reports neither speed nor heading that could bear it out (0.5 at least).
func Consistency(d *Drive) float64 {
	var m motion
	for i := 1; i < len(d.Samples); i++ {
		m.add(&d.Samples[i-1], &d.Samples[i])
	}
	trust := 1.0
	switch { // one jump may be the way back from a bad position; which side is good can't be told
	case m.jumps == 1:
		trust = 0.3
	case m.jumps > 1:
		trust = 0.05
	}
	trust *= remain(m.frozen, m.driven, 2)
	trust *= remain(m.across, m.courses, 2)
	trust *= remain(m.backward, len(d.Samples)-1, 4)
	if m.spoken == 0 { // nothing bears the positions out
		trust *= 1 - 0.5*unmatched(d)
	}
	return trust * accuracy(d)
}

// motion counts what successive samples say of one another.
type motion struct {
	jumps           int
	frozen, driven  int
	across, courses int
	backward        int
	spoken          int // pairs with a speed or a heading
}

func (m *motion) add(a, b *telemetry.Sample) {
	gap := b.T - a.T
	moved := geo.DistanceM(geo.Point{LatE7: a.LatE7, LonE7: a.LonE7}, geo.Point{LatE7: b.LatE7, LonE7: b.LonE7})
	slack := slackM
	if both := math.Hypot(sampleAccuracyM(a), sampleAccuracyM(b)); slackSigmas*both > slack {
		slack = slackSigmas * both
	}
	if gap < 0 || gap == 0 && moved > slack/2 {
		m.backward++
		return
	}
	dt := float64(gap) / 1000
	fast := topMPS * dt
	slow := 0.0
	if a.Has&b.Has&telemetry.HasSpeed != 0 {
		m.spoken++
		va, vb := float64(a.SpeedCMPS)/100, float64(b.SpeedCMPS)/100
		// At most: speeding up for half of the time, and slowing down again.
		fast = min(fast, (va+vb)/2*dt+accelMPS2*dt*dt/4)
		fast = max(fast, max(va, vb)*dt)
		slow = min(va, vb) * dt
	}
	if moved > 1.1*fast+slack {
		m.jumps++
		return
	}
	if slow >= shouldM && gap <= frozenMS {
		m.driven++
		if moved < frozenM || gap <= sluggishMS && slow > 2*slack && moved < slow/5 {
			m.frozen++
			return
		}
	}
	if b.Has&telemetry.HasHeading == 0 {
		return
	}
	m.spoken++
	if gap > sluggishMS || dt == 0 || moved < courseMPS*dt || moved < slack/2 || a.Has&telemetry.HasHeading == 0 {
		return
	}
	m.courses++
	course := geo.BearingDeg(geo.Point{LatE7: a.LatE7, LonE7: a.LonE7}, geo.Point{LatE7: b.LatE7, LonE7: b.LonE7})
	if turn(course, float64(a.HeadingCDeg)/100) > courseDeg && turn(course, float64(b.HeadingCDeg)/100) > courseDeg {
		m.across++
	}
}

// fit is how far the distances to the roads speak against an offset, 0.6 to 1.
func fit(d *Drive) float64 {
	var n, sum, sum2 float64
	for i := range d.Matches {
		r := &d.Matches[i]
		if !r.OK {
			continue
		}
		m := float64(r.DistM)
		n, sum, sum2 = n+1, sum+m, sum2+m*m
	}
	if n < crossing {
		return 1
	}
	mean := sum / n
	spread := math.Sqrt(max(sum2/n-mean*mean, 0))
	if mean < beside || spread > mean/2 {
		return 1
	}
	return max(0.6, beside/mean)
}

// unmatched is the share of samples without a road.
func unmatched(d *Drive) float64 {
	n := 0
	for i := range d.Matches {
		if !d.Matches[i].OK {
			n++
		}
	}
	return float64(n) / float64(max(len(d.Matches), 1))
}

// accuracy lowers trust when the positions are poor by their own account.
func accuracy(d *Drive) float64 {
	sum, n := 0.0, 0
	for i := range d.Samples {
		if d.Samples[i].Has&telemetry.HasAccuracy != 0 {
			sum, n = sum+sampleAccuracyM(&d.Samples[i]), n+1
		}
	}
	if n == 0 || sum <= poorM*float64(n) {
		return 1
	}
	return poorM * float64(n) / sum
}

// remain is what a share of bad ones among all leaves of the trust: a share of 1/weight
// leaves nothing.
func remain(bad, all int, weight float64) float64 {
	if bad == 0 {
		return 1
	}
	return max(0, 1-weight*float64(bad)/float64(max(all, bad)))
}

// turn is the angle between two directions, 0 to 180 degrees.
func turn(a, b float64) float64 {
	d := math.Abs(math.Mod(a-b, 360))
	return min(d, 360-d)
}

func sampleAccuracyM(s *telemetry.Sample) float64 {
	if s.Has&telemetry.HasAccuracy == 0 {
		return 0
	}
	return float64(s.AccuracyCM) / 100
}
