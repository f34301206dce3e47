package learn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Resolution of a speed histogram: bin i counts speeds in [2i, 2i+2) km/h, the last bin
// everything from 254 km/h up.
const (
	SpeedBinCount    = 128
	SpeedBinWidthKMH = 2.0
)

// CMPSToKMH converts 0.01 m/s to km/h.
const CMPSToKMH = 0.036

// ErrBins is wrapped by every error about an encoded histogram that is not one.
var ErrBins = errors.New("malformed speed bins")

// SpeedBins is a histogram of speeds with fixed bins, so that any two add up exactly,
// in any order and grouping. The zero value is empty. A bin saturates at 2³²−1.
// Not safe for concurrent use.
type SpeedBins [SpeedBinCount]uint32

// SpeedBin is the bin that a speed in 0.01 m/s falls into. It is exact: 2 km/h are
// 500/9 of 0.01 m/s.
func SpeedBin(cmps uint16) int { return min(int(cmps)*9/500, SpeedBinCount-1) }

// Add counts one speed, in 0.01 m/s.
func (b *SpeedBins) Add(cmps uint16) { b[SpeedBin(cmps)]++ }

// Merge adds another histogram.
func (b *SpeedBins) Merge(o *SpeedBins) {
	for i, n := range o {
		if n != 0 {
			b[i] = saturate(uint64(b[i]) + uint64(n))
		}
	}
}

// Count is the number of speeds in it.
func (b *SpeedBins) Count() uint64 {
	var n uint64
	for _, c := range b {
		n += uint64(c)
	}
	return n
}

// PercentileKMH is the speed in km/h below which a share p (0 to 1) of the counted speeds
// lies, interpolated within its bin, so never off by more than a bin's width. NaN
// if the histogram is empty.
func (b *SpeedBins) PercentileKMH(p float64) float64 {
	total := b.Count()
	if total == 0 {
		return math.NaN()
	}
	rank := min(max(p, 0), 1) * float64(total)
	var below float64
	last := 0
	for i, c := range b {
		if c == 0 {
			continue
		}
		last = i
		if below+float64(c) >= rank {
			return (float64(i) + (rank-below)/float64(c)) * SpeedBinWidthKMH
		}
		below += float64(c)
	}
	return float64(last+1) * SpeedBinWidthKMH
}

// AppendEncoded appends the sparse form: for each bin that is not empty, in rising order,
// two unsigned varints, bin and count. A segment's five minutes take 10 to 70 bytes.
func (b *SpeedBins) AppendEncoded(dst []byte) []byte {
	for i, c := range b {
		if c != 0 {
			dst = append(dst, byte(i)) // bins stay below 128: a varint of one byte
			dst = binary.AppendUvarint(dst, uint64(c))
		}
	}
	return dst
}

// MergeEncoded adds a histogram in its sparse form. On an error, which wraps ErrBins,
// a part may have been added.
func (b *SpeedBins) MergeEncoded(src []byte) error {
	previous := -1
	for pos := 0; pos < len(src); {
		bin := int(src[pos])
		if bin >= SpeedBinCount || bin <= previous {
			return fmt.Errorf("%w: bin %d after %d", ErrBins, bin, previous)
		}
		previous = bin
		pos++
		c, n := binary.Uvarint(src[pos:])
		if n <= 0 || c == 0 || c > math.MaxUint32 {
			return fmt.Errorf("%w: count at byte %d", ErrBins, pos)
		}
		pos += n
		b[bin] = saturate(uint64(b[bin]) + c)
	}
	return nil
}

func saturate(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }
