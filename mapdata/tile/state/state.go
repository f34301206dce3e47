// Package state keeps what cars are told of one layer of one z14 tile, record by record
// with the version at which each last changed, so that one object answers both who holds
// nothing and who holds an older version.
package state

import (
	"cmp"
	"slices"
)

const (
	// MaxValue bounds a record's value in bytes.
	MaxValue = 255
	// MaxTombstones is how many records that are gone a state knows; with more, the horizon
	// draws nearer.
	MaxTombstones = 8192
)

// Record is what is told of one thing.
type Record struct {
	Key     uint64 // an edge's low 25 bits, or a hazard's id
	Value   []byte // as one of this package's Append functions wrote it; ≤ MaxValue bytes
	Changed int64  // version at which the value became this one; set by Advance
}

// Tombstone is a record that is gone.
type Tombstone struct {
	Key     uint64
	Removed int64 // version at which it went
}

// State is one version of a layer of a tile. The zero value is one before any version.
// Versions are positive and grow; they are ms since the epoch where a horizon is to be one
// of time. A State is immutable once made; safe for concurrent reading.
type State struct {
	Version    int64       // at which anything changed last
	Oldest     int64       // the least version that Since can answer
	Records    []Record    // ascending by key, each key once
	Tombstones []Tombstone // ascending by key; none of a present record
}

// Change is what brings a holder of an older version up to date.
type Change struct {
	Full    bool     // Changed is everything; whatever else the holder has must go
	Changed []Record // ascending by key
	Removed []uint64 // ascending
}

// Empty reports whether there is nothing to tell.
func (c *Change) Empty() bool { return !c.Full && len(c.Changed) == 0 && len(c.Removed) == 0 }

// Advance is the state with the given records (ascending by key, each key once; shared
// with the result) as its content at a version above s.Version. It returns s itself when the content is the
// same. What happened more than horizon before the version is forgotten, so who holds an older version
// has to take all.
func (s *State) Advance(version int64, records []Record, horizon int64) *State {
	next := &State{
		Version: version, Oldest: max(s.Oldest, version-horizon),
		Records: make([]Record, 0, len(records)),
	}
	if s.Version == 0 {
		next.Oldest = version
	}
	changed := s.Version == 0
	gone := func(key uint64) {
		changed = true
		next.Tombstones = append(next.Tombstones, Tombstone{key, version})
	}
	old := s.Records
	for _, r := range records {
		for len(old) > 0 && old[0].Key < r.Key {
			gone(old[0].Key)
			old = old[1:]
		}
		r.Changed = version
		if len(old) > 0 && old[0].Key == r.Key {
			if string(old[0].Value) == string(r.Value) {
				r.Changed = old[0].Changed
			} else {
				changed = true
			}
			old = old[1:]
		} else {
			changed = true
		}
		next.Records = append(next.Records, r)
	}
	for _, r := range old {
		gone(r.Key)
	}
	if !changed {
		return s
	}
	next.keep(s.Tombstones)
	next.bound()
	// Who may ask holds Oldest at least: finer differences before it tell nothing.
	for i := range next.Records {
		next.Records[i].Changed = max(next.Records[i].Changed, next.Oldest)
	}
	return next
}

// keep takes over the older tombstones that still matter.
func (s *State) keep(older []Tombstone) {
	for _, t := range older {
		if t.Removed <= s.Oldest || s.holds(t.Key) {
			continue
		}
		s.Tombstones = append(s.Tombstones, t)
	}
	slices.SortFunc(s.Tombstones, func(a, b Tombstone) int { return cmp.Compare(a.Key, b.Key) })
}

// bound forgets the oldest of too many tombstones.
func (s *State) bound() {
	if len(s.Tombstones) <= MaxTombstones {
		return
	}
	at := make([]int64, len(s.Tombstones))
	for i, t := range s.Tombstones {
		at[i] = t.Removed
	}
	slices.Sort(at)
	s.Oldest = max(s.Oldest, at[len(at)-MaxTombstones-1])
	s.Tombstones = slices.DeleteFunc(s.Tombstones, func(t Tombstone) bool { return t.Removed <= s.Oldest })
}

func (s *State) holds(key uint64) bool {
	_, ok := slices.BinarySearchFunc(s.Records, key, func(r Record, key uint64) int { return cmp.Compare(r.Key, key) })
	return ok
}

// Since is what changed after a version; everything if that is 0, older than Oldest, newer
// than current (the version up to which the state is known to hold), or more to tell.
// The records are shared.
func (s *State) Since(version, current int64) Change {
	if version <= 0 || version < s.Oldest || version > current {
		return s.full()
	}
	if version >= s.Version {
		return Change{}
	}
	var c Change
	for _, r := range s.Records {
		if r.Changed > version {
			c.Changed = append(c.Changed, r)
		}
	}
	for _, t := range s.Tombstones {
		if t.Removed > version {
			c.Removed = append(c.Removed, t.Key)
		}
	}
	if len(c.Changed)+len(c.Removed) > len(s.Records) {
		return s.full()
	}
	return c
}

func (s *State) full() Change { return Change{Full: true, Changed: s.Records} }

// Prepare sorts records as Advance needs them; of several with one key the last stays.
func Prepare(records []Record) []Record {
	slices.SortStableFunc(records, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
	kept := records[:0]
	for i, r := range records {
		if i+1 < len(records) && records[i+1].Key == r.Key {
			continue
		}
		kept = append(kept, r)
	}
	return kept
}
