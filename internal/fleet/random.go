package fleet

import (
	"math"
)

// rng is a SplitMix64 generator (Steele, Lea, Flood 2014): 8 B of state a vehicle.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

// mix is SplitMix64's finaliser: a bijection whose output bits depend on all input bits.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// hash is a value in [0,1) that depends on the seed, what it is for and of which.
func hash(seed, purpose, which uint64) float64 {
	return unit(mix(mix(seed^purpose*0x9e3779b97f4a7c15) ^ which*0xd1342543de82ef95))
}

func unit(v uint64) float64 { return float64(v>>11) / (1 << 53) }

func (r *rng) float() float64 { return unit(r.next()) }

// intn is uniform in 0 to n-1, n ≤ 2^32, to within 2^-32.
func (r *rng) intn(n int) int { return int((r.next() >> 32) * uint64(n) >> 32) }

func (r *rng) chance(p float64) bool { return p > 0 && r.float() < p }

// gaussBits is how many bits of randomness pick a value of gaussTable.
const gaussBits = 12

// gaussTable holds the quantiles of the standard normal distribution at the centres of
// 4,096 equal shares, scaled to variance 1: one random number gives five draws.
var gaussTable = func() (t [1 << gaussBits]float32) {
	sum := 0.0
	for i := range t {
		p := (float64(i) + 0.5) / float64(len(t))
		x := math.Sqrt2 * math.Erfinv(2*p-1)
		t[i] = float32(x)
		sum += x * x
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(t))))
	for i := range t {
		t[i] *= scale
	}
	return t
}()

// gauss5 is five independent draws from the standard normal distribution.
func (r *rng) gauss5() (a, b, c, d, e float32) {
	v := r.next()
	const m = 1<<gaussBits - 1
	return gaussTable[v&m], gaussTable[v>>12&m], gaussTable[v>>24&m], gaussTable[v>>36&m], gaussTable[v>>48&m]
}
