package vehiclestatus

import (
	"math"
	"math/bits"
)

// sketchBits is the logarithm of the registers' number: 4,096, for a standard error of 1.6 %.
const sketchBits = 12

// StandardErrorPercent is how far a count is off, as one standard error in percent of it: 1.04/√m.
const StandardErrorPercent = 1.6

// Sketch counts distinct vehicles without keeping them: HyperLogLog (Flajolet et al. 2007), estimated after Ertl (2017),
// whose estimator has no bias at any cardinality. Sketches merge by maximum, so that it does not matter who
// counted a vehicle how often. The zero value is ready.
type Sketch []byte

// Add counts a vehicle and tells whether that changed the sketch. Its id is a keyed hash already.
func (s *Sketch) Add(id ID) bool {
	if len(*s) == 0 {
		*s = make(Sketch, 1<<sketchBits)
	}
	var h uint64
	for _, b := range id[:8] {
		h = h<<8 | uint64(b)
	}
	i := h >> (64 - sketchBits)
	rank := byte(min(bits.LeadingZeros64(h<<sketchBits), 64-sketchBits) + 1)
	if rank <= (*s)[i] {
		return false
	}
	(*s)[i] = rank
	return true
}

// Merge adds another's vehicles. One of another size is ignored.
func (s *Sketch) Merge(o Sketch) {
	if len(o) != 1<<sketchBits {
		return
	}
	if len(*s) == 0 {
		*s = make(Sketch, 1<<sketchBits)
	}
	for i, rank := range o {
		(*s)[i] = max((*s)[i], rank)
	}
}

// Count estimates how many distinct vehicles were added.
func (s Sketch) Count() int64 {
	const m, q = 1 << sketchBits, 64 - sketchBits
	if len(s) != m {
		return 0
	}
	var histogram [q + 2]int
	for _, rank := range s {
		histogram[min(int(rank), q+1)]++
	}
	z := m * tau(1-float64(histogram[q+1])/m)
	for k := q; k >= 1; k-- {
		z = 0.5 * (z + float64(histogram[k]))
	}
	z += m * sigma(float64(histogram[0])/m)
	return int64(math.Round(m / (2 * math.Ln2) * m / z))
}

// sigma and tau are the series of Ertl's corrections for small and large ranges.

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for last := math.NaN(); z != last; {
		x *= x
		last = z
		z += x * y
		y += y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for last := math.NaN(); z != last; {
		x = math.Sqrt(x)
		last = z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}
