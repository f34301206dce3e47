package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrCorrupt is wrapped by every error about bytes that hold no state or value.
var ErrCorrupt = errors.New("malformed tile state")

// format is the first byte of an encoded state.
const format = 1

// Encode is the stored form. All numbers are unsigned varints unless said otherwise:
//
//	byte      1, the format
//	version   and how far oldest is below it
//	n, then n differences: the versions that occur, falling from version (the first
//	          difference may be 0, the others are not)
//	n, then n records: key (difference to the one before), length of the value, the value,
//	          index into the versions
//	n, then n tombstones: key (difference to the one before), index into the versions
//
// Nothing follows. A segment's speed takes some 7 bytes.
func (s *State) Encode() []byte {
	versions := s.versions()
	index := make(map[int64]uint64, len(versions))
	b := make([]byte, 0, 32+3*len(versions)+8*len(s.Records)+6*len(s.Tombstones))
	b = append(b, format)
	b = binary.AppendUvarint(b, uint64(s.Version))
	b = binary.AppendUvarint(b, uint64(s.Version-s.Oldest))
	b = binary.AppendUvarint(b, uint64(len(versions)))
	before := s.Version
	for i, v := range versions {
		index[v] = uint64(i)
		b = binary.AppendUvarint(b, uint64(before-v))
		before = v
	}
	key := uint64(0)
	b = binary.AppendUvarint(b, uint64(len(s.Records)))
	for _, r := range s.Records {
		b = binary.AppendUvarint(b, r.Key-key)
		key = r.Key
		b = binary.AppendUvarint(b, uint64(len(r.Value)))
		b = append(b, r.Value...)
		b = binary.AppendUvarint(b, index[r.Changed])
	}
	key = 0
	b = binary.AppendUvarint(b, uint64(len(s.Tombstones)))
	for _, t := range s.Tombstones {
		b = binary.AppendUvarint(b, t.Key-key)
		key = t.Key
		b = binary.AppendUvarint(b, index[t.Removed])
	}
	return b
}

// versions are those that occur, newest first.
func (s *State) versions() []int64 {
	seen := make(map[int64]struct{})
	for _, r := range s.Records {
		seen[r.Changed] = struct{}{}
	}
	for _, t := range s.Tombstones {
		seen[t.Removed] = struct{}{}
	}
	all := make([]int64, 0, len(seen))
	for v := range seen {
		all = append(all, v)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// Decode reads the stored form; values alias b. The error wraps ErrCorrupt.
func Decode(b []byte) (*State, error) {
	d := decoder{b: b}
	s := d.state()
	if d.err != nil {
		return nil, d.err
	}
	return s, nil
}

// decoder reads numbers until the first fault.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s, %d bytes before its end", ErrCorrupt, what, len(d.b))
	}
	d.b = nil
}

func (d *decoder) uvarint(what string) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 { // the shortest form only
		d.fail(what)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads a number of items that take at least size bytes each.
func (d *decoder) count(what string, size int) int {
	n := d.uvarint(what)
	if n > uint64(len(d.b)/size) {
		d.fail(what)
		return 0
	}
	return int(n)
}

func (d *decoder) state() *State {
	if len(d.b) == 0 || d.b[0] != format {
		d.fail("format")
		return nil
	}
	d.b = d.b[1:]
	version, below := d.uvarint("version"), d.uvarint("oldest")
	if version == 0 || version > 1<<62 || below >= version {
		d.fail("version")
		return nil
	}
	s := &State{Version: int64(version), Oldest: int64(version - below)}
	versions := make([]int64, d.count("versions", 1))
	at := s.Version
	for i := range versions {
		step := d.uvarint("version")
		if step == 0 && i > 0 || step > uint64(at-s.Oldest) {
			d.fail("version")
			return nil
		}
		at -= int64(step)
		versions[i] = at
	}
	used := make([]bool, len(versions))
	index := func() int64 {
		n := d.uvarint("index")
		if n >= uint64(len(versions)) {
			d.fail("index")
			return 0
		}
		used[n] = true
		return versions[n]
	}
	s.Records = make([]Record, d.count("records", 3))
	key := uint64(0)
	for i := range s.Records {
		key = d.key(key, i)
		n := d.count("value", 1)
		if n > MaxValue {
			d.fail("value")
		}
		if d.err != nil {
			return nil
		}
		value := d.b[:n:n]
		d.b = d.b[n:]
		s.Records[i] = Record{key, value, index()}
	}
	s.Tombstones = make([]Tombstone, d.count("tombstones", 2))
	key = 0
	for i := range s.Tombstones {
		key = d.key(key, i)
		s.Tombstones[i] = Tombstone{key, index()}
		if d.err == nil && s.holds(key) {
			d.fail("tombstone of a record")
		}
	}
	if d.err == nil && (len(d.b) > 0 || slices.Contains(used, false)) {
		d.fail("end")
	}
	return s
}

// key reads the i-th key.
func (d *decoder) key(before uint64, i int) uint64 {
	step := d.uvarint("key")
	if step == 0 && i > 0 || before+step < before {
		d.fail("key")
	}
	return before + step
}
