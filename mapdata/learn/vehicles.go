package learn

import (
	"math"
	"math/bits"
)

// VehicleBits is the size of a Vehicles bitmap.
const VehicleBits = 128

// DefaultK is how many distinct vehicles must stand behind a published value.
const DefaultK = 3

// Vehicles counts distinct vehicles in 128 bits by linear counting (Whang, Vander-Zanden
// and Taylor 1990): each vehicle sets the bit that its pseudonym hashes to. Union is
// exact, adding a vehicle twice changes nothing. The zero value is empty.
// Pseudonyms rotate by day: across days a vehicle counts once a day.
type Vehicles [2]uint64

// Add marks a vehicle by its pseudonym.
func (v *Vehicles) Add(pseudonym uint64) {
	// The finaliser of MurmurHash3, so that even consecutive numbers spread.
	h := pseudonym
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	v[h>>6&1] |= 1 << (h & 63)
}

// Merge is the union with another bitmap.
func (v *Vehicles) Merge(o Vehicles) {
	v[0] |= o[0]
	v[1] |= o[1]
}

// AtLeast is a lower bound of the number of distinct vehicles: the bits set. It is what
// anonymity is decided by, because it never exceeds the truth within a day.
func (v Vehicles) AtLeast() int { return bits.OnesCount64(v[0]) + bits.OnesCount64(v[1]) }

// Estimate is the expected number of distinct vehicles, see EstimateVehicles.
func (v Vehicles) Estimate() float64 { return EstimateVehicles(v.AtLeast()) }

// EstimateVehicles is the expected number of distinct vehicles behind a lower bound that is
// Vehicles.AtLeast, −128·ln(share of clear bits). Within about 10 % up to 150 vehicles; a full
// bitmap estimates 621, the most it can.
func EstimateVehicles(atLeast int) float64 {
	if atLeast >= VehicleBits {
		return VehicleBits * math.Log(VehicleBits)
	}
	return VehicleBits * math.Log(VehicleBits/float64(VehicleBits-atLeast))
}
