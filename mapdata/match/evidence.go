package match

import (
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// direction is what is known of the direction of travel: a unit vector (east, north), and
// the cost of going at right angles to it; 0: nothing is known.
type direction struct {
	x, y, cost float64
	moving     bool
}

// travel is the direction of travel at a sample: the reported heading, or while the
// vehicle moves the way from the sample before to the one after.
func travel(samples []telemetry.Sample, i int) direction {
	s := &samples[i]
	if s.Has&telemetry.HasHeading != 0 {
		sin, cos := math.Sincos(float64(s.HeadingCDeg) * (math.Pi / 18000))
		if standing(s) {
			return direction{x: sin, y: cos, cost: standingCost}
		}
		return direction{sin, cos, headingCost, true}
	}
	if standing(s) {
		return direction{}
	}
	before, after := max(i-1, 0), min(i+1, len(samples)-1)
	if s.T-samples[before].T > maxMoveMS {
		before = i
	}
	if samples[after].T-s.T > maxMoveMS {
		after = i
	}
	a, b := point(&samples[before]), point(&samples[after])
	x := float64(int64(b.LonE7)-int64(a.LonE7)) * geo.Scale(b.LatE7)
	y := float64(int64(b.LatE7)-int64(a.LatE7)) * geo.MetresPerE7
	l := math.Sqrt(x*x + y*y)
	if l < minMoveM {
		return direction{}
	}
	// Half of the usual weight when the movement is three sigmas.
	r := l / (3 * sigma(s))
	return direction{x / l, y / l, movementCost * r * r / (1 + r*r), true}
}

func point(s *telemetry.Sample) geo.Point { return geo.Point{LatE7: s.LatE7, LonE7: s.LonE7} }

func speedMPS(s *telemetry.Sample) float64 { return float64(s.SpeedCMPS) / 100 }

func accuracyM(s *telemetry.Sample) float64 { return float64(s.AccuracyCM) / 100 }

// standing reports whether a vehicle says that it hardly moves.
func standing(s *telemetry.Sample) bool {
	return s.Has&telemetry.HasSpeed != 0 && speedMPS(s) < minSpeedMPS
}

// sigma is the standard deviation of a position in metres.
func sigma(s *telemetry.Sample) float64 {
	if s.Has&telemetry.HasAccuracy == 0 {
		return defaultSigmaM
	}
	return min(max(accuracyM(s), minSigmaM), maxSigmaM)
}

// reach is how far from a position a road may be.
func reach(s *telemetry.Sample) float64 {
	if s.Has&telemetry.HasAccuracy == 0 {
		return blindReachM
	}
	return min(max(reachM, reachSigmas*accuracyM(s)), maxReachM)
}

// bridge is how far from the way driven a position may be that has no road nearby.
func bridge(s *telemetry.Sample) float64 {
	if s.Has&telemetry.HasAccuracy == 0 {
		return blindBridgeM
	}
	return bridgeM
}

// distanceCost is the cost of a position that is d metres from the road.
func distanceCost(d2, sigma float64) float64 {
	return (tailFreedom + 1) / 2 * math.Log(1+d2/(tailFreedom*sigma*sigma))
}

// frozen reports whether sample i repeats the position of the one before although the
// vehicle moves: its receiver stands still, not the vehicle.
func frozen(samples []telemetry.Sample, i int) bool {
	if i == 0 {
		return false
	}
	a, b := &samples[i-1], &samples[i]
	return a.LatE7 == b.LatE7 && a.LonE7 == b.LonE7 && b.T > a.T &&
		b.Has&telemetry.HasSpeed != 0 && speedMPS(b) >= minSpeedMPS
}

// odometer adds up the way that the reported speeds say.
type odometer struct {
	metres float64
	gaps   int // intervals over which nothing is known
}

// maxOdoMS is the longest interval over which speeds are interpolated.
const maxOdoMS = 5000

func (o *odometer) add(a, b *telemetry.Sample) {
	dt := b.T - a.T
	if a.Has&b.Has&telemetry.HasSpeed == 0 || dt < 0 || dt > maxOdoMS {
		o.gaps++
		return
	}
	o.metres += (speedMPS(a) + speedMPS(b)) / 2 * float64(dt) / 1000
}

// since is the way since an earlier reading.
func (o odometer) since(before odometer) (metres float64, ok bool) {
	return o.metres - before.metres, o.gaps == before.gaps
}
