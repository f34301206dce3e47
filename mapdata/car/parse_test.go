package car

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

func TestEvents(t *testing.T) {
	text := "\ufeff: a comment\nretry: 2000\n\nevent: reset\ndata: {}\n\nevent:hazard\r\ndata:a\r\ndata: b\r\nid: 7\r\n\r\n" +
		"id: 8\n\nevent: forgotten\n\ndata\rid: x\x00\r\revent: never finished\ndata: x\n"
	in := newEvents(strings.NewReader(text))
	var got []event
	for {
		e, err := in.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		got = append(got, e)
	}
	want := []event{{name: "reset", data: "{}"}, {name: "hazard", data: "a\nb", id: "7"}, {id: "8"}, {}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" {
		t.Error(diff)
	}
	if _, err := newEvents(strings.NewReader(strings.Repeat("x", 2*maxEvent))).next(); !errors.Is(err, errLong) {
		t.Errorf("a long line: %v", err)
	}
	if _, err := newEvents(strings.NewReader(strings.Repeat("data: x\n", maxEvent))).next(); !errors.Is(err, errLong) {
		t.Errorf("much data: %v", err)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("event: hazard\ndata: {\"id\":7,\"category\":\"obstacle\",\"lat\":42.5,\"lon\":1.5,\"probability\":0.9}\nid: 7\n\n"))
	f.Add([]byte(": still here\nid: 3\n\nevent: hazard_end\ndata: {\"id\":7}\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newEvents(bytes.NewReader(b))
		for {
			e, err := in.next()
			if err != nil {
				return
			}
			if len(e.data) > maxEvent || strings.ContainsAny(e.name+e.id, "\r\n") {
				t.Fatalf("%+v", e)
			}
			if h, err := parseHazard(&e); err == nil && e.name == "hazard" && (h.Percent > 100 || !h.At.Valid()) {
				t.Fatalf("%+v", h)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	one, version := uint64(1), ""
	id := geo.TileAt(geo.At(42.5, 1.5), 14)
	request := &tilepb.DeltaRequest{Tiles: []*tilepb.Held{
		{Quadkey: id.Quadkey(), Roads: &version, Limits: &one, Speeds: &one, Hazards: &one}, {Quadkey: 5, Speeds: &one},
	}}
	add := func(m *tilepb.DeltaResponse) {
		b, err := m.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(&tilepb.DeltaResponse{Tiles: []*tilepb.Tile{{
		Quadkey: id.Quadkey(), Roads: &tilepb.Roads{Version: "x"},
		Limits:  &tilepb.Limits{Version: 7, Edge: []uint32{1, 5}, Value: []uint32{100, 61}, Variants: []*tilepb.Variant{{Row: 1, Kmh: 80, Wet: true}}},
		Speeds:  &tilepb.Speeds{Version: 9, Full: true, Edge: []uint32{0, 1}, Value: []uint32{200, 100}, Removed: []uint32{4}},
		Hazards: &tilepb.Hazards{Version: 4, Changed: []*tilepb.Hazard{{Id: 8, NorthE7: 7, EastE7: 8}}, Removed: []uint64{3, 4}},
	}}})
	add(&tilepb.DeltaResponse{Tiles: []*tilepb.Tile{{Quadkey: 5, Status: tilepb.Status_STATUS_OUTSIDE_MAP}}})
	f.Fuzz(func(t *testing.T, b []byte) {
		answer := &tilepb.DeltaResponse{}
		if answer.UnmarshalVT(b) != nil {
			return
		}
		changes, err := readAnswer(request, answer)
		if err != nil {
			return
		}
		if len(changes) != 2 {
			t.Fatalf("%d changes", len(changes))
		}
		for i := range changes {
			c := &changes[i]
			for l := range layers {
				for key, value := range applied(nil, &c.layer[l]) {
					var err error
					switch l {
					case limits:
						_, err = state.DecodeLimit(value)
					case speeds:
						_, err = state.DecodeSpeed(value)
					case hazards:
						_, err = state.DecodeHazard(c.id, value)
					}
					if err != nil {
						t.Fatalf("layer %d, record %d: %v", l, key, err)
					}
				}
			}
		}
		var traffic Traffic
		if traffic.answered(answer, int64(len(b))); traffic.Total().Down != int64(len(b)) {
			t.Fatalf("%+v of %d", traffic, len(b))
		}
	})
}

func TestInflate(t *testing.T) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	block := make([]byte, 1<<20)
	for range maxAnswer/len(block) + 1 {
		_, _ = z.Write(block)
	}
	_ = z.Close()
	if _, err := inflate(out.Bytes()); err == nil {
		t.Error("a bomb went off")
	}
	if _, err := inflate([]byte("no gzip")); err == nil {
		t.Error("garbage was inflated")
	}
}

func TestBackoff(t *testing.T) {
	b := &backoff{least: 100, most: 1000}
	for _, most := range []int64{100, 200, 400, 800, 1000, 1000} {
		if p := b.after(io.EOF); int64(p) < most/2 || int64(p) > most {
			t.Errorf("%d, want %d to %d", p, most/2, most)
		}
	}
	if p := b.after(&refused{503, 5000}); p < 5000 {
		t.Errorf("%d, though 5,000 were asked for", p)
	}
	b.reset()
	if p := b.after(io.EOF); p > 100 {
		t.Errorf("%d after a success", p)
	}
}

func TestQuery(t *testing.T) {
	box := query(around(geo.TileAt(geo.At(42.5, 1.5), 14), 2))
	if !strings.HasPrefix(box, "bbox=1.") || len(box) > 60 {
		t.Errorf("%s", box)
	}
	if q := query([]geo.Tile{{Z: 14, X: 1, Y: 1}, {Z: 14, X: 2, Y: 2}}); q != "tiles=14/1/1,14/2/2" {
		t.Errorf("%s", q)
	}
}
