package autosim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Commuters is the demand of a working day: peak batches a second at 17:15, a smaller peak at 7:30, less between, and
// peak/swing by night.
func Commuters(peak, swing float64) func(time.Duration) float64 {
	bell := func(h, centre, width float64) float64 {
		x := (h - centre) / width
		return math.Exp(-x * x / 2)
	}
	return func(at time.Duration) float64 {
		h := math.Mod(at.Hours(), 24)
		shape := max(bell(h, 17.25, 1.2), 0.92*bell(h, 7.5, 0.9), 0.45*bell(h, 12.5, 2.8), 0.25*bell(h, 20, 1.5))
		return peak/swing + (peak-peak/swing)*shape
	}
}

// WithBursts adds what trips' ends bring: cars come out of valleys and garages, and shifts end. Each hour from 6 to 22 has
// a burst, at a random moment, of 1 to 3 minutes, in which half to one and a half as much is made in addition.
func WithBursts(demand func(time.Duration) float64, seed uint64) func(time.Duration) float64 {
	type burst struct {
		from, to time.Duration
		factor   float64
	}
	r := rand.New(rand.NewPCG(seed, 0xb0857))
	var bursts [24]burst
	for h := 6; h < 22; h++ {
		from := time.Duration(h)*time.Hour + time.Duration(r.IntN(3400))*time.Second
		bursts[h] = burst{from, from + time.Minute + time.Duration(r.IntN(121))*time.Second, 1.5 + r.Float64()}
	}
	return func(at time.Duration) float64 {
		of := at % (24 * time.Hour)
		for h := int(of / time.Hour); h >= max(0, int(of/time.Hour)-1); h-- {
			if b := bursts[h]; of >= b.from && of < b.to {
				return demand(at) * b.factor
			}
		}
		return demand(at)
	}
}

// poisson is a random number of that mean; the normal approximation above 1,000.
func poisson(r *rand.Rand, mean float64) int64 {
	switch {
	case !(mean > 0):
		return 0
	case mean > 1000:
		return max(0, int64(math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	// Knuth, in parts of at most 30 so that e^-mean does not vanish.
	var n int64
	for ; mean > 0; mean -= 30 {
		for p := r.Float64(); p > math.Exp(-min(mean, 30)); p *= r.Float64() {
			n++
		}
	}
	return n
}
