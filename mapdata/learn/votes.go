package learn

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Kind says which learner a piece of evidence is for, and so what its key, its bucket and
// its votes' codes mean. Every key has the z14 quadkey of its place in bits 25 to 52, like
// a road.Edge, so that a tile's evidence is one range of keys.
type Kind int16

// The kinds of evidence. Numbers are stored: never reuse one.
const (
	LimitEvidence      Kind = 1 // key: edge; bucket: UTC day; codes: package limit
	HazardEvidence     Kind = 2 // key: edge; bucket: minute; codes: package hazard
	HazardCellEvidence Kind = 3 // as HazardEvidence, away from roads; key: CellKey
	OffRoadEvidence    Kind = 4 // key: CellKey; bucket: UTC day; codes: package maperror
	EdgeFaultEvidence  Kind = 5 // key: edge; bucket: UTC day; codes: package maperror
	TurnEvidence       Kind = 6 // key: edge turned from; bucket: UTC day; codes: package maperror
	TrailEvidence      Kind = 7 // as TurnEvidence: turns of some vehicles, with their time
)

// MaxVotes is how many different votes one key's evidence may hold; more are dropped, the
// ones with the highest codes first.
const MaxVotes = 2048

// ErrVotes is wrapped by every error about encoded votes that are none.
var ErrVotes = errors.New("malformed votes")

// Vote is how often and by whom something was said. It adds up.
type Vote struct {
	Code     uint64   // what was said, in the kind's own terms
	N        uint32   // how often
	Sum      [2]int64 // sums of what the kind measures; zero if it measures nothing
	Vehicles Vehicles // who said so, on the bucket's day
}

// Votes are the votes on one key and bucket, ascending by code, each code once. Adding and
// merging commute. The zero value is empty. Not safe for concurrent use.
type Votes []Vote

// Add counts v as a further vote on its code.
func (vs *Votes) Add(v Vote) {
	i, found := slices.BinarySearchFunc(*vs, v.Code, func(a Vote, code uint64) int { return cmp.Compare(a.Code, code) })
	switch {
	case found:
		(*vs)[i].merge(&v)
	case len(*vs) < MaxVotes:
		*vs = slices.Insert(*vs, i, v)
	case i < MaxVotes:
		copy((*vs)[i+1:], (*vs)[i:MaxVotes-1])
		(*vs)[i] = v
	}
}

// Merge adds other votes.
func (vs *Votes) Merge(o Votes) {
	for i := range o {
		vs.Add(o[i])
	}
}

// Get is the vote on a code; the zero Vote if there is none.
func (vs Votes) Get(code uint64) Vote {
	i, found := slices.BinarySearchFunc(vs, code, func(a Vote, code uint64) int { return cmp.Compare(a.Code, code) })
	if !found {
		return Vote{Code: code}
	}
	return vs[i]
}

func (v *Vote) merge(o *Vote) {
	v.N += o.N
	if v.N < o.N { // saturate
		v.N = ^uint32(0)
	}
	v.Sum[0] += o.Sum[0]
	v.Sum[1] += o.Sum[1]
	v.Vehicles.Merge(o.Vehicles)
}

// sparseVehicles is up to how many set bits are written one by one: beyond it 16 bytes
// are shorter.
const sparseVehicles = 15

// AppendEncoded appends the stored form: for each vote uvarint code (difference to the one
// before), uvarint n, two zigzag varints, then the vehicles: a byte with the number of set
// bits and a byte for each, or 0xff and 16 bytes.
func (vs Votes) AppendEncoded(dst []byte) []byte {
	before := uint64(0)
	for i := range vs {
		v := &vs[i]
		dst = binary.AppendUvarint(dst, v.Code-before)
		before = v.Code
		dst = binary.AppendUvarint(dst, uint64(v.N))
		dst = binary.AppendVarint(dst, v.Sum[0])
		dst = binary.AppendVarint(dst, v.Sum[1])
		n := v.Vehicles.AtLeast()
		if n > sparseVehicles {
			dst = append(dst, 0xff)
			dst = binary.LittleEndian.AppendUint64(dst, v.Vehicles[0])
			dst = binary.LittleEndian.AppendUint64(dst, v.Vehicles[1])
			continue
		}
		dst = append(dst, byte(n))
		for w, word := range v.Vehicles {
			for ; word != 0; word &= word - 1 {
				dst = append(dst, byte(64*w+bits.TrailingZeros64(word)))
			}
		}
	}
	return dst
}

// MergeEncoded adds votes in their stored form. The error wraps ErrVotes; some votes may
// have been added then.
func (vs *Votes) MergeEncoded(b []byte) error {
	code, first := uint64(0), true
	for len(b) > 0 {
		v := Vote{}
		step, n := binary.Uvarint(b)
		if n <= 0 || code+step < code || step == 0 && !first {
			return fmt.Errorf("%w: code", ErrVotes)
		}
		b, code, first = b[n:], code+step, false
		v.Code = code
		count, n := binary.Uvarint(b)
		if n <= 0 || count > 1<<32-1 {
			return fmt.Errorf("%w: count", ErrVotes)
		}
		b, v.N = b[n:], uint32(count)
		for i := range v.Sum {
			if v.Sum[i], n = binary.Varint(b); n <= 0 {
				return fmt.Errorf("%w: sum", ErrVotes)
			}
			b = b[n:]
		}
		var ok bool
		if b, ok = v.Vehicles.decode(b); !ok {
			return fmt.Errorf("%w: vehicles", ErrVotes)
		}
		vs.Add(v)
	}
	return nil
}

func (v *Vehicles) decode(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	n := int(b[0])
	b = b[1:]
	if n == 0xff {
		if len(b) < 16 {
			return nil, false
		}
		v[0], v[1] = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		return b[16:], true
	}
	if n > sparseVehicles || len(b) < n {
		return nil, false
	}
	for _, bit := range b[:n] {
		if bit >= VehicleBits {
			return nil, false
		}
		v[bit/64] |= 1 << (bit % 64)
	}
	return b[n:], true
}
