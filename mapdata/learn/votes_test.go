package learn

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
)

// randomVotes are some votes of some vehicles, as a flush would have them.
func randomVotes(r *rand.Rand) Votes {
	var vs Votes
	for range r.IntN(20) {
		v := Vote{Code: r.Uint64N(12) << r.IntN(40), N: 1 + r.Uint32N(5), Sum: [2]int64{r.Int64N(2000) - 1000, r.Int64N(2000) - 1000}}
		for range r.IntN(30) {
			v.Vehicles.Add(r.Uint64N(50))
		}
		vs.Add(v)
	}
	return vs
}

func TestVotesAddUpInAnyOrderAndGrouping(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		a, b, c := randomVotes(r), randomVotes(r), randomVotes(r)
		var left, right Votes
		left.Merge(a)
		left.Merge(b)
		left.Merge(c)
		var bc Votes
		bc.Merge(c)
		if err := bc.MergeEncoded(b.AppendEncoded(nil)); err != nil {
			t.Fatal(err)
		}
		right.Merge(bc)
		right.Merge(a)
		if diff := cmp.Diff(left, right); diff != "" {
			t.Fatalf("the sum depends on the order:\n%s", diff)
		}
	}
}

func TestVotesSurviveEncoding(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		want := randomVotes(r)
		var got Votes
		if err := got.MergeEncoded(want.AppendEncoded(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("encoded and decoded:\n%s", diff)
		}
	}
}

func TestAVehiclesSecondVoteChangesOnlyTheCount(t *testing.T) {
	var vs Votes
	v := Vote{Code: 7, N: 1}
	v.Vehicles.Add(42)
	vs.Add(v)
	vs.Add(v)
	if got := vs.Get(7); got.N != 2 || got.Vehicles.AtLeast() != 1 {
		t.Errorf("got %d votes of %d vehicles, want 2 of 1", got.N, got.Vehicles.AtLeast())
	}
	if got := vs.Get(8); got.N != 0 {
		t.Errorf("a code without votes has %d", got.N)
	}
}

func TestVotesAreBounded(t *testing.T) {
	var up, down Votes
	for i := range uint64(2 * MaxVotes) {
		up.Add(Vote{Code: i, N: 1})
		down.Add(Vote{Code: 2*MaxVotes - 1 - i, N: 1})
	}
	if len(up) != MaxVotes {
		t.Fatalf("%d codes, want %d", len(up), MaxVotes)
	}
	if diff := cmp.Diff(up, down); diff != "" {
		t.Errorf("what is dropped depends on the order:\n%s", diff)
	}
}

func TestCountsSaturate(t *testing.T) {
	vs := Votes{{Code: 1, N: ^uint32(0) - 1}}
	vs.Add(Vote{Code: 1, N: 5})
	if vs[0].N != ^uint32(0) {
		t.Errorf("got %d", vs[0].N)
	}
}

func TestMalformedVotes(t *testing.T) {
	valid := Votes{{Code: 3, N: 2, Vehicles: Vehicles{5, 0}}, {Code: 9, N: 1, Vehicles: Vehicles{^uint64(0), 1}}}.AppendEncoded(nil)
	for n := 1; n < len(valid); n++ {
		var vs Votes
		err := vs.MergeEncoded(valid[:n])
		// A cut between two votes can't be told from fewer votes.
		if err != nil && !errors.Is(err, ErrVotes) || err == nil && len(vs) != 1 {
			t.Errorf("%d of %d bytes: %v, %d votes", n, len(valid), err, len(vs))
		}
	}
	for name, b := range map[string][]byte{
		"same code twice":   {1, 1, 0, 0, 0, 0, 1, 0, 0, 0},
		"bit out of range":  {1, 1, 0, 0, 1, 200},
		"too many bits":     {1, 1, 0, 0, 99, 1},
		"endless code":      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"count of 33 bits":  {1, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 0},
		"code overflows":    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 2, 1, 0, 0, 0},
		"bitmap is cut off": {1, 1, 0, 0, 0xff, 1, 2},
	} {
		if err := new(Votes).MergeEncoded(b); !errors.Is(err, ErrVotes) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVotes(f *testing.F) {
	f.Add(Votes{{Code: 3, N: 2, Vehicles: Vehicles{5, 0}}}.AppendEncoded(nil))
	f.Add([]byte{1, 1, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var vs Votes
		if vs.MergeEncoded(b) != nil {
			return
		}
		var again Votes
		if err := again.MergeEncoded(vs.AppendEncoded(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(vs, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestEvidenceSetGathersByPlaceAndTime(t *testing.T) {
	var s EvidenceSet
	key := func(k Kind, bucket int64, place uint64) EvidenceKey { return EvidenceKey{k, bucket, place} }
	for round := range 2 { // the second time with memory to reuse
		s.Reset()
		s.Add(key(HazardEvidence, 0, 9), Vote{Code: 1, N: 1})
		s.Add(key(LimitEvidence, 0, 9), Vote{Code: 1, N: 1})
		s.Add(key(HazardEvidence, 0, 9), Vote{Code: 1, N: 2})
		if n := len(s.Rows()); n != 2 {
			t.Fatalf("round %d: %d places, want 2", round, n)
		}
		s.Add(key(HazardEvidence, 0, 9), Vote{Code: 4, N: 1}) // after the rows were put in order
		want := []Evidence{
			{key(LimitEvidence, 0, 9), Votes{{Code: 1, N: 1}}},
			{key(HazardEvidence, 0, 9), Votes{{Code: 1, N: 3}, {Code: 4, N: 1}}},
		}
		if diff := cmp.Diff(want, s.Rows()); diff != "" {
			t.Errorf("round %d:\n%s", round, diff)
		}
	}
}

func TestCellKey(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		p := geo.Point{LatE7: int32(r.IntN(1_600_000_000) - 800_000_000), LonE7: int32(r.IntN(3_600_000_000) - 1_800_000_000)}
		octant := uint8(r.IntN(8))
		key := CellKey(p, octant)
		if tile := geo.TileAt(p, 14); uint32(key>>25) != tile.Quadkey() || key >= 1<<53 {
			t.Fatalf("%v: key %d is not in tile %s", p, key, tile)
		}
		box, o := CellBox(key)
		// A cell's border is rounded to 1e-7 degrees, and a tile's rows are not equally high.
		if !box.Expand(1.5).Contains(p) || o != octant {
			t.Fatalf("%v is not in its cell %v, octant %d of %d", p, box, o, octant)
		}
	}
}
