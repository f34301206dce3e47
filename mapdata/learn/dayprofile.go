package learn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// DaySlots is how many 5-minute slots a day has.
const DaySlots = 24 * 12

// HalfLifeDays is after how many days a day weighs half as much in a DayProfile: a road that changed is known by its
// new speeds after a month or two, and a road that is driven once a week still has several weeks behind its profile.
const HalfLifeDays = 28

// forgetWeight is the least weight, in samples of today, with which a slot is kept.
const forgetWeight = 1.0 / 32

// ErrProfile is wrapped by every error about an encoded DayProfile that is not one.
var ErrProfile = errors.New("malformed day profile")

// DayProfile is what is usual on a directed segment on one day of the week, by slots of five minutes, with days that
// weigh the less the older they are: forward decay (Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay: a practical
// time decay model for streaming systems", ICDE 2009). A sample of day d counts as 2^((d − landmark)/HalfLifeDays), so
// adding a day leaves what is there alone; the landmark moves on by whole half-lives, which is exact in binary. The zero value is
// empty. Not safe for concurrent use.
type DayProfile struct {
	landmark int64 // day since the Unix epoch
	slots    [DaySlots]profileSlot
}

type profileSlot struct {
	weight, sum float32 // samples and the sum of their speeds, 0.01 m/s, both decayed
	// vehicles is how many distinct ones drove in the slot and its two neighbours on the day on which most did; at least.
	vehicles uint8
}

// DaySpeeds are a day's speeds of a directed segment by slot.
type DaySpeeds [DaySlots]SpeedSum

// Day is the UTC day, counted from the Unix epoch, of a time in ms since it.
func Day(ms int64) int64 { return (ms - ((ms%DayMS)+DayMS)%DayMS) / DayMS }

// Weekday is a day's place in the week; 0 is Monday.
func Weekday(day int64) int { return int(((day+3)%7 + 7) % 7) } // the epoch was a Thursday

// DaySlot is the slot of the UTC day that a time in ms since the epoch falls into.
func DaySlot(ms int64) int { return int((ms - Day(ms)*DayMS) / bucketMS) }

// DecayedWeight is what a sample of a day weighs as seen from another one.
func DecayedWeight(day, from int64) float64 { return math.Exp2(float64(day-from) / HalfLifeDays) }

// AddDay adds a day, counted from the Unix epoch. Days must come in their order, and each once.
func (p *DayProfile) AddDay(day int64, of *DaySpeeds) {
	p.moveLandmark(day)
	w := DecayedWeight(day, p.landmark)
	for i := range of {
		near := of[i].Vehicles
		if i > 0 {
			near.Merge(of[i-1].Vehicles)
		}
		if i < DaySlots-1 {
			near.Merge(of[i+1].Vehicles)
		}
		s := &p.slots[i]
		s.vehicles = max(s.vehicles, uint8(near.AtLeast()))
		if of[i].N > 0 {
			s.weight += float32(float64(of[i].N) * w)
			s.sum += float32(float64(of[i].SumCMPS) * w)
		}
	}
	p.forget(float32(forgetWeight * w))
}

// moveLandmark moves it to less than a half-life before a day.
func (p *DayProfile) moveLandmark(day int64) {
	lives := (day - p.landmark) / HalfLifeDays
	if lives <= 0 {
		return
	}
	p.landmark += lives * HalfLifeDays
	for i := range p.slots {
		s := &p.slots[i]
		s.weight = float32(math.Ldexp(float64(s.weight), -int(lives)))
		s.sum = float32(math.Ldexp(float64(s.sum), -int(lives)))
	}
}

// forget clears slots that weigh less, and who drove where no slot is left of whose they are.
func (p *DayProfile) forget(least float32) {
	for i := range p.slots {
		if s := &p.slots[i]; s.weight < least {
			s.weight, s.sum = 0, 0
		}
	}
	for i := range p.slots {
		if p.slots[max(i-1, 0)].weight == 0 && p.slots[i].weight == 0 && p.slots[min(i+1, DaySlots-1)].weight == 0 {
			p.slots[i].vehicles = 0
		}
	}
}

// Slot tells of a slot what its samples weigh as seen from a day, the sum of their speeds (0.01 m/s) with the same weights, and how many
// distinct vehicles drove in it and its neighbours on the fullest day, at least.
func (p *DayProfile) Slot(slot int, from int64) (weight, sumCMPS float64, vehicles int) {
	s, w := p.slots[slot], DecayedWeight(p.landmark, from)
	return float64(s.weight) * w, float64(s.sum) * w, int(s.vehicles)
}

// AppendEncoded appends the sparse form: the landmark, and for each slot that is not empty, in rising order, the slots
// skipped before it doubled, plus 1 if it has speeds (both unsigned varints); the vehicles (a byte); and weight and sum, little-endian IEEE 754
// of 32 bits each, if it has speeds. A slot takes 10 bytes, one that only its neighbours drove in takes 2.
func (p *DayProfile) AppendEncoded(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.landmark))
	next := 0
	for i, s := range p.slots {
		if s == (profileSlot{}) {
			continue
		}
		tag := uint64(i-next) << 1
		next = i + 1
		if s.weight == 0 {
			dst = append(binary.AppendUvarint(dst, tag), s.vehicles)
			continue
		}
		dst = append(binary.AppendUvarint(dst, tag|1), s.vehicles)
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(s.weight))
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(s.sum))
	}
	return dst
}

// Decode replaces the profile by one in its sparse form. On an error, which wraps ErrProfile, it is in no defined state.
func (p *DayProfile) Decode(src []byte) error {
	*p = DayProfile{}
	landmark, n := binary.Uvarint(src)
	if n <= 0 || landmark > math.MaxInt32 {
		return fmt.Errorf("%w: landmark", ErrProfile)
	}
	p.landmark, src = int64(landmark), src[n:]
	for next := 0; len(src) > 0; next++ {
		tag, n := binary.Uvarint(src)
		if n <= 0 || tag>>1 >= uint64(DaySlots-next) || len(src) == n {
			return fmt.Errorf("%w: slot after %d", ErrProfile, next)
		}
		next += int(tag >> 1)
		s := &p.slots[next]
		s.vehicles, src = src[n], src[n+1:]
		if s.vehicles > VehicleBits || s.vehicles == 0 && tag&1 == 0 {
			return fmt.Errorf("%w: vehicles of slot %d", ErrProfile, next)
		}
		if tag&1 == 0 {
			continue
		}
		if len(src) < 8 {
			return fmt.Errorf("%w: slot %d is cut short", ErrProfile, next)
		}
		s.weight = math.Float32frombits(binary.LittleEndian.Uint32(src))
		s.sum = math.Float32frombits(binary.LittleEndian.Uint32(src[4:]))
		src = src[8:]
		// The negations catch what is no number.
		if !(s.weight > 0 && s.weight <= math.MaxFloat32) || !(s.sum >= 0 && s.sum <= math.MaxFloat32) {
			return fmt.Errorf("%w: speeds of slot %d", ErrProfile, next)
		}
	}
	return nil
}
