package road

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
)

func townPartition(tb testing.TB) *Partition {
	tb.Helper()
	segs, _ := Build(town(6, 1))
	segs[3].Limit, segs[3].Flags, segs[3].Layer = [2]uint8{50, Unlimited}, Backward|Tunnel, -2
	p, err := NewPartition(segs[0].ID.Quadkey(), segs)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func segments(g *Graph) []Segment {
	var all []Segment
	for n := range g.NumSegments() {
		all = append(all, g.SegmentAt(n))
	}
	return all
}

func TestPartitionRoundTrip(t *testing.T) {
	p := townPartition(t)
	b := p.Encode()
	got, err := DecodePartition(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(segments(p.Graph), segments(got.Graph)); diff != "" || got.Quadkey != p.Quadkey {
		t.Error(diff)
	}
	if diff := cmp.Diff(p.out, got.out); diff != "" {
		t.Error(diff)
	}
}

func TestDecodePartitionRefusesDamage(t *testing.T) {
	b := townPartition(t).Encode()
	for n := range b {
		if _, err := DecodePartition(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(b), err)
		}
		damaged := append([]byte(nil), b...)
		damaged[n] ^= 0x55
		if _, err := DecodePartition(damaged); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d changed: %v", n, err)
		}
	}
}

// FuzzDecodeColumns goes past the checksum.
func FuzzDecodeColumns(f *testing.F) {
	f.Add(townPartition(f).Encode()[headerLen:])
	f.Add([]byte{})
	segs, _ := Build(crossing(), Restriction{From: 40, Via: 0, To: 20, Only: true})
	p, err := NewPartition(segs[0].ID.Quadkey(), segs)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Encode()[headerLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := decodeColumns(body)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("error %v", err)
			}
			return
		}
		p.finish(partitionBox(p.Quadkey))
		p.Nearest(geo.At(42.5, 1.5), 100)
	})
}

func TestGraphSearch(t *testing.T) {
	g := townPartition(t).Graph
	for i := range Index(g.NumIndexes()) {
		for _, f := range []float64{0.1, 0.5, 0.9} {
			at := f * g.LengthM(i)
			p, heading := g.PointAt(i, at)
			hit, ok := g.Nearest(p, 50)
			if !ok || hit.DistM > 0.2 || hit.Index>>1 != i>>1 {
				t.Fatalf("edge %d at %.1f m: %+v", i, at, hit)
			}
			want := at
			if hit.Index != i {
				want = g.LengthM(i) - at
			}
			if math.Abs(hit.OffsetM-want) > 0.2 {
				t.Errorf("edge %d: offset %.2f, want %.2f", i, hit.OffsetM, want)
			}
			if _, back := g.PointAt(i.Reverse(), g.LengthM(i)-at); math.Abs(math.Abs(heading-back)-180) > 1 {
				t.Errorf("edge %d: headings %.1f and %.1f", i, heading, back)
			}
		}
		if g.Source(i) != g.Target(i.Reverse()) {
			t.Errorf("edge %d: ends", i)
		}
	}
	for n := range g.NumNodes() {
		for _, i := range g.Out(n) {
			if g.Source(i) != n || !g.Allowed(i) {
				t.Errorf("node %d has edge %d", n, i)
			}
		}
		if k, ok := g.FindNode(g.NodeID(n)); !ok || k != n {
			t.Errorf("node %d is found as %d", n, k)
		}
	}
	if _, ok := g.Nearest(geo.At(43.5, 1.5), 1000); ok {
		t.Error("found a road far from all roads")
	}
}

// objects is an object store that counts reads and may block or fail them.
type objects struct {
	m     map[string][]byte
	reads atomic.Int64
	gate  chan struct{} // nil: open
	fail  atomic.Bool
}

func (o *objects) Get(ctx context.Context, key string) ([]byte, error) {
	b, ok := o.m[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	if o.gate != nil && key != CurrentKey && key != ManifestKey("v1") {
		o.reads.Add(1)
		select {
		case <-o.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if o.fail.Load() {
		return nil, errors.New("broken")
	}
	return b, nil
}

// stored is a town in an object store, cut into its partitions.
func stored(tb testing.TB, n int) (*objects, Manifest, []Segment) {
	tb.Helper()
	segs, _ := Build(town(n, 1))
	tiles := make(map[uint32][]Segment)
	for _, s := range segs {
		touched := map[uint32]bool{s.ID.Quadkey(): true}
		TouchedTiles(s.Shape, MarginM, func(q uint32) { touched[q] = true })
		for q := range touched {
			tiles[q] = append(tiles[q], s)
		}
	}
	o := &objects{m: map[string][]byte{CurrentKey: []byte("v1\n")}}
	m := Manifest{Version: "v1", Format: Format, Segments: len(segs)}
	for q, in := range tiles {
		p, err := NewPartition(q, in)
		if err != nil {
			tb.Fatal(err)
		}
		o.m[PartitionKey("v1", q)] = p.Encode()
		m.Tiles = append(m.Tiles, q)
	}
	slices.Sort(m.Tiles)
	b, err := json.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	o.m[ManifestKey("v1")] = b
	return o, m, segs
}

func TestStore(t *testing.T) {
	o, m, segs := stored(t, 40)
	if len(m.Tiles) < 6 {
		t.Fatalf("the town is in %d tiles only", len(m.Tiles))
	}
	s, err := OpenStore(t.Context(), o, StoreConfig{CacheBytes: 1}) // keeps one partition
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range segs {
		got, ok, err := s.Segment(t.Context(), want.ID)
		if err != nil || !ok {
			t.Fatalf("segment %d: %v", want.ID, err)
		}
		want.Flags |= Own
		want.LengthM = got.LengthM // float32
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
	if len(s.cached) != 1 || s.recent.Len() != 1 {
		t.Errorf("%d partitions are cached", len(s.cached))
	}
	if _, ok, err := s.Segment(t.Context(), 12345); ok || err != nil {
		t.Errorf("an unknown segment: %v, %v", ok, err)
	}
	box := geo.BoxOf([]geo.Point{segs[0].Shape[0], segs[len(segs)/2].Shape[0]}).Expand(300)
	want := make(map[SegmentID]bool)
	for _, seg := range segs {
		if geo.BoxOf(seg.Shape).Intersects(box) {
			want[seg.ID] = true
		}
	}
	got := make(map[SegmentID]bool)
	err = s.InBox(t.Context(), box, func(seg Segment) error {
		if got[seg.ID] {
			t.Errorf("segment %d twice", seg.ID)
		}
		got[seg.ID] = true
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	g, _, err := LoadGraph(t.Context(), o)
	if err != nil || g.NumSegments() != len(segs) {
		t.Errorf("the graph has %d segments of %d: %v", g.NumSegments(), len(segs), err)
	}
}

func TestStoreReadsOnce(t *testing.T) {
	o, m, _ := stored(t, 6)
	o.gate = make(chan struct{})
	s, err := OpenStore(t.Context(), o, StoreConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	for range 20 {
		wg.Go(func() {
			p, err := s.Partition(t.Context(), m.Tiles[0])
			if err == nil && p.Quadkey != m.Tiles[0] {
				err = fmt.Errorf("partition %d", p.Quadkey)
			}
			errs <- err
		})
	}
	close(o.gate)
	wg.Wait()
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := o.reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

// One caller's cancellation must not become another's, and a failure is not remembered.
func TestStoreFailures(t *testing.T) {
	o, m, _ := stored(t, 6)
	o.gate = make(chan struct{})
	s, err := OpenStore(t.Context(), o, StoreConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := s.Partition(ctx, m.Tiles[0])
		first <- err
	}()
	for o.reads.Load() == 0 { // until the first caller is the one who reads
		select {
		case err := <-first:
			t.Fatal(err)
		default:
		}
	}
	second := make(chan error)
	go func() {
		_, err := s.Partition(t.Context(), m.Tiles[0])
		second <- err
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	close(o.gate)
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
	o.fail.Store(true)
	if _, err := s.Partition(t.Context(), m.Tiles[1]); err == nil {
		t.Error("a failed read gave a partition")
	}
	o.fail.Store(false)
	if _, err := s.Partition(t.Context(), m.Tiles[1]); err != nil {
		t.Error(err)
	}
	if _, err := OpenStore(t.Context(), &objects{}, StoreConfig{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no map: %v", err)
	}
}
