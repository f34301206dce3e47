package state_test

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carasso/carasso/mapdata/tile/state"
)

// content is what a state should tell.
type content map[uint64]string

func records(c content) []state.Record {
	var all []state.Record
	for key, value := range c {
		all = append(all, state.Record{Key: key, Value: []byte(value)})
	}
	return state.Prepare(all)
}

func contentOf(rs []state.Record) content {
	c := content{}
	for _, r := range rs {
		c[r.Key] = string(r.Value)
	}
	return c
}

func apply(c content, change *state.Change) content {
	next := content{}
	if !change.Full {
		maps.Copy(next, c)
	}
	for _, key := range change.Removed {
		delete(next, key)
	}
	for _, r := range change.Changed {
		next[r.Key] = string(r.Value)
	}
	return next
}

func TestSince(t *testing.T) {
	s := &state.State{}
	at := func(version int64, c content) *state.State {
		s = s.Advance(version, records(c), 100)
		return s
	}
	at(10, content{1: "a", 2: "b", 3: "c", 4: "d"})
	at(20, content{1: "a", 2: "B", 3: "c", 5: "e"})
	at(30, content{1: "a", 3: "c", 4: "d", 5: "e"})
	for name, tt := range map[string]struct {
		since   int64
		full    bool
		changed content
		removed []uint64
	}{
		"nothing held":       {since: 0, full: true, changed: content{1: "a", 3: "c", 4: "d", 5: "e"}},
		"older than known":   {since: 9, full: true, changed: content{1: "a", 3: "c", 4: "d", 5: "e"}},
		"newer than known":   {since: 31, full: true, changed: content{1: "a", 3: "c", 4: "d", 5: "e"}},
		"first":              {since: 10, changed: content{4: "d", 5: "e"}, removed: []uint64{2}},
		"second":             {since: 20, changed: content{4: "d"}, removed: []uint64{2}},
		"between":            {since: 25, changed: content{4: "d"}, removed: []uint64{2}},
		"current":            {since: 30},
		"below any possible": {since: -1, full: true, changed: content{1: "a", 3: "c", 4: "d", 5: "e"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.Since(tt.since, 30)
			if c.Full != tt.full || !cmp.Equal(contentOf(c.Changed), tt.changed, cmpopts.EquateEmpty()) || !slices.Equal(c.Removed, tt.removed) {
				t.Errorf("%+v", c)
			}
		})
	}
	if same := s.Advance(40, records(content{1: "a", 3: "c", 4: "d", 5: "e"}), 100); same != s {
		t.Error("the same content made another state")
	}
	if at(50, content{}); len(s.Records) != 0 || !s.Since(0, 50).Full {
		t.Errorf("%+v", s)
	}
}

func TestHorizon(t *testing.T) {
	s := (&state.State{}).Advance(1000, records(content{1: "a", 2: "b"}), 100)
	s = s.Advance(1050, records(content{1: "a"}), 100)
	s = s.Advance(1200, records(content{1: "A"}), 100)
	if s.Oldest != 1100 || len(s.Tombstones) != 0 {
		t.Errorf("oldest %d, %v", s.Oldest, s.Tombstones)
	}
	if c := s.Since(1099, 1200); !c.Full {
		t.Errorf("too old: %+v", c)
	}
	if c := s.Since(1100, 1200); c.Full || len(c.Changed) != 1 {
		t.Errorf("just young enough: %+v", c)
	}
}

func TestTooManyTombstones(t *testing.T) {
	all := content{}
	for i := range uint64(3 * state.MaxTombstones) {
		all[i] = "x"
	}
	s := (&state.State{}).Advance(1, records(all), 1<<40)
	for v := int64(2); v < 5; v++ {
		for i := range uint64(state.MaxTombstones / 2) {
			delete(all, uint64(v)*state.MaxTombstones/2+i)
		}
		s = s.Advance(v, records(all), 1<<40)
	}
	if len(s.Tombstones) > state.MaxTombstones || s.Oldest != 2 || !s.Since(1, 4).Full {
		t.Errorf("%d tombstones, oldest %d", len(s.Tombstones), s.Oldest)
	}
	if got := len(s.Since(2, 4).Removed); got != state.MaxTombstones {
		t.Errorf("%d removed", got)
	}
}

// TestAnySequence lets clients that hold states of all ages catch up, at random times, over
// random publications with stored states: each must end with exactly the full state.
func TestAnySequence(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		horizon := int64(1 + rng.IntN(300))
		type client struct {
			version int64
			content content
		}
		clients := make([]client, 6)
		s, current, truth := &state.State{}, int64(0), content{}
		for step := range 60 {
			current += 1 + rng.Int64N(40)
			for range rng.IntN(4) {
				key := rng.Uint64N(12)
				if rng.IntN(3) == 0 {
					delete(truth, key)
				} else {
					truth[key] = strconv.Itoa(rng.IntN(3))
				}
			}
			s = s.Advance(current, records(truth), horizon)
			stored, err := state.Decode(s.Encode())
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			s = stored
			for i := range clients {
				if rng.IntN(2+4*i) > 0 {
					continue
				}
				c := s.Since(clients[i].version, current)
				if rows := len(c.Changed) + len(c.Removed); rows > len(s.Records) {
					t.Fatalf("seed %d: a delta of %d rows for %d records", seed, rows, len(s.Records))
				}
				clients[i] = client{current, apply(clients[i].content, &c)}
				if diff := cmp.Diff(truth, clients[i].content, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("seed %d, step %d, client %d: %s", seed, step, i, diff)
				}
			}
		}
	}
}

func TestPrepare(t *testing.T) {
	got := state.Prepare([]state.Record{{Key: 2, Value: []byte("a")}, {Key: 1}, {Key: 2, Value: []byte("b")}})
	if len(got) != 2 || got[0].Key != 1 || string(got[1].Value) != "b" {
		t.Errorf("%v", got)
	}
}

func TestEncode(t *testing.T) {
	s := (&state.State{}).Advance(1_764_000_000_000, records(content{1: "a", 70000: "bb", 1 << 52: ""}), 3_600_000)
	s = s.Advance(1_764_000_060_000, records(content{1: "a", 70000: "c"}), 3_600_000)
	got, err := state.Decode(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	for n := range s.Encode() {
		if _, err := state.Decode(s.Encode()[:n]); !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	s := (&state.State{}).Advance(100, records(content{1: "a", 2: "b", 900: "c"}), 50)
	f.Add(s.Encode())
	f.Add(s.Advance(120, records(content{2: "d"}), 50).Encode())
	f.Add([]byte{1, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := state.Decode(b)
		if err != nil {
			if !errors.Is(err, state.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		// There is one form of each state, and it keeps what Advance and Since need.
		if again := s.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
		if !slices.IsSortedFunc(s.Records, func(a, b state.Record) int { return cmpKey(a.Key, b.Key) }) || s.Oldest > s.Version {
			t.Fatalf("%+v", s)
		}
		s.Since(s.Oldest, s.Version)
		s.Advance(s.Version+1, nil, 1)
	})
}

func cmpKey(a, b uint64) int {
	if a < b {
		return -1
	}
	return 1
}

func BenchmarkAdvance(b *testing.B) {
	all := content{}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		all[rng.Uint64N(1<<25)] = "ab"
	}
	rs := records(all)
	s := (&state.State{}).Advance(1_764_000_000_000, rs, 3_600_000)
	for i := range 53 {
		rs[i*17].Value = []byte("xy")
	}
	b.ReportAllocs()
	for b.Loop() {
		next := s.Advance(1_764_000_060_000, rs, 3_600_000)
		if _, err := state.Decode(next.Encode()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(s.Encode())), "B/state")
}
