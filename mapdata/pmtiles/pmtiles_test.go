package pmtiles

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
)

var update = flag.Bool("update", false, "write the golden files")

// TestIDs: those of the specification's own implementations.
func TestIDs(t *testing.T) {
	for _, c := range []struct {
		z    uint8
		x, y uint32
		id   uint64
	}{
		{0, 0, 0, 0},
		{1, 0, 0, 1},
		{1, 0, 1, 2},
		{1, 1, 1, 3},
		{1, 1, 0, 4},
		{2, 0, 0, 5},
		{2, 3, 1, 17},
		{12, 3423, 1763, 19078479},
		{14, 8264, 6037, 317376710},
		{16, 65535, 0, 5726623060},
		{31, 1<<31 - 1, 0, 6148914691236517204},
		{31, 0, 1<<31 - 1, 3074457345618258602},
	} {
		if got := ID(c.z, c.x, c.y); got != c.id {
			t.Errorf("%d/%d/%d: id %d, want %d", c.z, c.x, c.y, got, c.id)
		}
		if z, x, y, ok := ZXY(c.id); !ok || z != c.z || x != c.x || y != c.y {
			t.Errorf("id %d: %d/%d/%d, %v, want %d/%d/%d", c.id, z, x, y, ok, c.z, c.x, c.y)
		}
	}
	if _, _, _, ok := ZXY(first(MaxZoom) + 1<<62); ok {
		t.Error("an id beyond the deepest zoom has a tile")
	}
}

// TestIDsAreACurve: all ids of a zoom are taken once, and the next id is the tile beside.
func TestIDsAreACurve(t *testing.T) {
	const z = 6
	var before [2]uint32
	for id := first(z); id < first(z+1); id++ {
		zoom, x, y, ok := ZXY(id)
		if !ok || zoom != z || ID(z, x, y) != id {
			t.Fatalf("id %d: %d/%d/%d, %v", id, zoom, x, y, ok)
		}
		if dx, dy := int(x)-int(before[0]), int(y)-int(before[1]); id > first(z) && dx*dx+dy*dy != 1 {
			t.Fatalf("id %d: from %v to %d,%d", id, before, x, y)
		}
		before = [2]uint32{x, y}
	}
}

// open reads an archive in memory.
func open(tb testing.TB, b []byte) *Reader {
	tb.Helper()
	r, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// TestReadsTheReferenceWritersArchive reads a file made by the format's authors' library for
// Python 3.5.0 (github.com/protomaps/PMTiles).
func TestReadsTheReferenceWritersArchive(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "reference.pmtiles"))
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, b)
	h := r.Header()
	if h.MinZoom != 0 || h.MaxZoom != 7 || h.Type != VectorTiles || h.Tiles != Plain || h.CenterZoom != 9 ||
		h.Box != (geo.Box{West: 14000000, South: 424000000, East: 18000000, North: 427000000}) || h.Center != (geo.Point{LatE7: 425000000, LonE7: 15000000}) {
		t.Errorf("header %+v", h)
	}
	var meta struct{ Name string }
	if m, err := r.Metadata(); err != nil || json.Unmarshal(m, &meta) != nil || meta.Name != "reference" {
		t.Errorf("metadata %s, %v", m, err)
	}
	tiles := 0
	for z := range uint8(9) {
		for x := range uint32(1) << z {
			for y := range uint32(1) << z {
				want := ""
				switch {
				case z > 7 || z >= 3 && (x*7+y*3+uint32(z))%3 != 0:
				case z > 3 && x < 1<<(z-1):
					want = "sea"
				default:
					want = fmt.Sprintf("%d/%d/%d", z, x, y)
				}
				got, err := r.Tile(z, x, y)
				if err != nil || string(got) != want {
					t.Fatalf("%d/%d/%d: %q, %v, want %q", z, x, y, got, err, want)
				}
				if want != "" {
					tiles++
				}
			}
		}
	}
	if uint64(tiles) != h.Addressed {
		t.Errorf("%d tiles, the header says %d", tiles, h.Addressed)
	}
}

// archive writes tiles, whose ids are the keys.
func archive(tb testing.TB, tiles map[uint64][]byte) []byte {
	tb.Helper()
	spool, err := os.CreateTemp(tb.TempDir(), "spool")
	if err != nil {
		tb.Fatal(err)
	}
	defer spool.Close()
	w := NewWriter(spool, Plain)
	ids := make([]uint64, 0, len(tiles))
	for id := range tiles {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		z, x, y, _ := ZXY(id)
		if err := w.Add(z, x, y, tiles[id]); err != nil {
			tb.Fatal(err)
		}
	}
	var out bytes.Buffer
	m := &Metadata{Name: "test", VectorLayers: []VectorLayer{{ID: "roads", MaxZoom: 14, Fields: map[string]string{"class": "String"}}}}
	if err := w.Finish(&out, m, geo.Box{West: -10, South: -20, East: 30, North: 40}, 12); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestEveryTileComesBack writes archives of many kinds, small ones and some with leaf directories.
func TestEveryTileComesBack(t *testing.T) {
	for _, c := range []struct {
		tiles, contents int
		spread          uint64 // of the ids
	}{{1, 1, 1}, {50, 3, 60}, {2000, 2, 2500}, {5000, 5000, 1 << 40}, {30_000, 20_000, 1 << 33}} {
		t.Run(strconv.Itoa(c.tiles), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(c.tiles), 1))
			tiles := map[uint64][]byte{}
			for range c.tiles {
				n := r.IntN(c.contents)
				tiles[r.Uint64N(c.spread)] = fmt.Appendf(nil, "tile %d %*d", n, n%40, 0)
			}
			b := archive(t, tiles)
			read := open(t, b)
			h := read.Header()
			if h.Addressed != uint64(len(tiles)) || !h.Clustered || h.Root.Offset+h.Root.Length > headBytes {
				t.Errorf("header %+v of %d tiles", h, len(tiles))
			}
			if leaves := h.Leaves.Length > 0; leaves != (c.tiles >= 5000) {
				t.Errorf("leaf directories: %v", leaves)
			}
			ids := make([]uint64, 0, len(tiles))
			for id := range tiles {
				ids = append(ids, id)
			}
			slices.Sort(ids) // leaf directories are read once
			for _, id := range ids {
				z, x, y, _ := ZXY(id)
				want := tiles[id]
				if got, err := read.Tile(z, x, y); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("tile of id %d: %q, %v, want %q", id, got, err, want)
				}
			}
			for range 200 {
				id := r.Uint64N(c.spread + 10)
				z, x, y, _ := ZXY(id)
				if got, err := read.Tile(z, x, y); err != nil || !bytes.Equal(got, tiles[id]) {
					t.Fatalf("tile of id %d: %q, %v, want %q", id, got, err, tiles[id])
				}
			}
			checkEntries(t, read, tiles)
			if !bytes.Equal(b, archive(t, tiles)) {
				t.Error("the same tiles give other bytes")
			}
		})
	}
}

// checkEntries: entries ascend, runs are maximal, and contents are stored once, in order.
func checkEntries(t *testing.T, r *Reader, tiles map[uint64][]byte) {
	t.Helper()
	var n, run, end uint64
	var before Entry
	starts := map[uint64]bool{}
	err := r.Entries(func(e Entry) error {
		n++
		run += uint64(e.Run)
		starts[e.Offset] = true
		if e.Offset > end {
			t.Errorf("entry %+v leaves a gap", e)
		}
		end = max(end, e.Offset+uint64(e.Length))
		if n > 1 && e.ID == before.ID+uint64(before.Run) && e.Offset == before.Offset {
			t.Errorf("entries %+v and %+v are one run", before, e)
		}
		before = e
		return nil
	})
	h := r.Header()
	if err != nil || n != h.Entries || run != uint64(len(tiles)) || end != h.Data.Length || uint64(len(starts)) != h.Contents {
		t.Errorf("%d entries of %d tiles, %d contents up to %d, %v; header %+v", n, run, len(starts), end, err, h)
	}
}

func TestGolden(t *testing.T) {
	got := archive(t, map[uint64][]byte{0: []byte("world"), 1: []byte("a"), 2: []byte("sea"), 3: []byte("sea"), 4: []byte("a"), 9: []byte("far")})
	path := filepath.Join("testdata", "golden.pmtiles")
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Compression may differ between versions of Go; all else must not.
	a, b := open(t, got), open(t, want)
	ha, hb := a.Header(), b.Header()
	if d := cmp.Diff(b.root, a.root); d != "" {
		t.Errorf("directory (-golden +now):\n%s", d)
	}
	ma, err1 := a.Metadata()
	mb, err2 := b.Metadata()
	if err1 != nil || err2 != nil || !bytes.Equal(ma, mb) {
		t.Errorf("metadata %s, golden %s (%v, %v)", ma, mb, err1, err2)
	}
	ha.Root, ha.Metadata, ha.Leaves, ha.Data.Offset = hb.Root, hb.Metadata, hb.Leaves, hb.Data.Offset
	if ha != hb {
		t.Errorf("header %+v, golden %+v", ha, hb)
	}
	wantDirectory := []byte{5, 0, 1, 1, 2, 5, 1, 1, 2, 1, 1, 5, 1, 3, 1, 3, 1, 0, 0, 6, 10}
	if raw := appendDirectory(nil, a.root); !bytes.Equal(raw, wantDirectory) {
		t.Errorf("directory's bytes %v, want %v", raw, wantDirectory)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	h := Header{
		Root: Range{1, 2}, Metadata: Range{3, 4}, Leaves: Range{5, 6}, Data: Range{7, math.MaxUint64}, Addressed: 8, Entries: 9, Contents: 10,
		Clustered: true, Internal: Gzip, Tiles: Plain, Type: VectorTiles, MinZoom: 3, MaxZoom: 14,
		Box: geo.Box{West: -1, South: -2, East: 3, North: 4}, CenterZoom: 11, Center: geo.Point{LatE7: -5, LonE7: 6},
	}
	b, err := h.AppendBinary(nil)
	if err != nil || len(b) != HeaderBytes {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	var back Header
	if err := back.UnmarshalBinary(b); err != nil || back != h {
		t.Errorf("%+v, %v, want %+v", back, err, h)
	}
}

func TestWriterRefuses(t *testing.T) {
	spool, err := os.CreateTemp(t.TempDir(), "spool")
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	w := NewWriter(spool, Gzip)
	if err := w.Finish(io.Discard, &Metadata{}, geo.EmptyBox(), 0); err == nil {
		t.Error("an archive without tiles")
	}
	if err := w.Add(2, 3, 1, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, add := range map[string]func() error{
		"twice":       func() error { return w.Add(2, 3, 1, []byte("x")) },
		"back":        func() error { return w.Add(1, 0, 0, []byte("x")) },
		"empty":       func() error { return w.Add(3, 0, 0, nil) },
		"no such x":   func() error { return w.Add(3, 8, 0, []byte("x")) },
		"no such z":   func() error { return w.Add(32, 0, 0, []byte("x")) },
		"full or not": func() error { spool.Close(); return w.Add(4, 0, 0, []byte("y")) },
	} {
		if name != "full or not" && add() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	spool.Close()
	if w.Add(4, 0, 0, []byte("y")) == nil {
		t.Error("the spool failed: no error")
	}
}

func TestBrokenArchives(t *testing.T) {
	good := archive(t, map[uint64][]byte{0: []byte("world"), 3: []byte("a"), 4: []byte("a"), 17: []byte("b")})
	change := func(at int, v byte) []byte {
		b := slices.Clone(good)
		b[at] = v
		return b
	}
	for name, b := range map[string][]byte{
		"empty": {}, "short": good[:100], "magic": change(0, 'p'), "version": change(7, 2), "zooms": change(100, 30),
		"root beyond the end": change(21, 1), "root's compression": change(97, 3), "root's bytes": change(HeaderBytes, 0xff),
		"cut off": good[:140],
	} {
		if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := change(64, 0) // the section of tiles is empty
	if _, err := open(t, b).Tile(0, 0, 0); !errors.Is(err, ErrArchive) {
		t.Errorf("a tile beyond its section: %v", err)
	}
	for name, raw := range map[string][]byte{
		"no entries": {0}, "too many": {200, 1, 0}, "ids": {2, 5, 0, 1, 1, 1, 1, 1, 0}, "length": {1, 0, 1, 0, 1},
		"first follows none": {1, 0, 1, 1, 0}, "rest": {1, 0, 1, 1, 1, 9}, "cut": {1, 0, 1, 1}, "overlap": {2, 0, 1, 5, 1, 1, 1, 1, 0},
	} {
		if _, err := parseDirectory(raw); !errors.Is(err, ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDirectory(f *testing.F) {
	f.Add(appendDirectory(nil, []Entry{{0, 0, 5, 1}, {4, 5, 9, 3}, {9, 0, 5, 1}}))
	f.Add([]byte{2, 0, 1, 5, 1, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseDirectory(b)
		if err != nil {
			if !errors.Is(err, ErrArchive) {
				t.Fatal(err)
			}
			return
		}
		again, err := parseDirectory(appendDirectory(nil, entries))
		if err != nil || !slices.Equal(entries, again) {
			t.Fatalf("%v, then %v, %v", entries, again, err)
		}
		for _, e := range entries {
			if got, ok := find(entries, e.ID); !ok || got != e {
				t.Fatalf("id %d: %+v, %v", e.ID, got, ok)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add(archive(f, map[uint64][]byte{0: []byte("world"), 3: []byte("a"), 4: []byte("a"), 17: []byte("b")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, ErrArchive) {
				t.Fatal(err)
			}
			return
		}
		_, _ = r.Metadata()
		n := 0
		_ = r.Entries(func(e Entry) error {
			if n++; n > 1000 {
				return errors.New("enough")
			}
			z, x, y, ok := ZXY(e.ID)
			if ok {
				_, _ = r.Tile(z, x, y)
			}
			return nil
		})
	})
}

func BenchmarkTile(b *testing.B) {
	tiles := map[uint64][]byte{}
	for id := range uint64(50_000) {
		tiles[id*7] = fmt.Appendf(nil, "tile %d", id)
	}
	r := open(b, archive(b, tiles))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Tile(7, 1, 1); err != nil {
			b.Fatal(err)
		}
	}
}
