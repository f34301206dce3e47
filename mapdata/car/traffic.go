package car

import (
	"net/http"

	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

// Bytes is what went over the wire, compressed as it was.
type Bytes struct{ Up, Down int64 }

func (b *Bytes) add(up, down int64) {
	b.Up += up
	b.Down += down
}

// Traffic is what keeping the map fresh has cost. Layers count their share of the bodies;
// Overhead is the rest of them, and all headers as HTTP/1.1 writes them. What TLS, TCP and HTTP's
// chunks add is not in it.
type Traffic struct {
	Roads    Bytes
	Limits   Bytes
	Speeds   Bytes
	Hazards  Bytes // by deltas
	Stream   Bytes // hazards by the stream
	Overhead Bytes
	Requests int64
}

// Total sums it all.
func (t *Traffic) Total() Bytes {
	var sum Bytes
	for _, b := range []Bytes{t.Roads, t.Limits, t.Speeds, t.Hazards, t.Stream, t.Overhead} {
		sum.add(b.Up, b.Down)
	}
	return sum
}

// Add adds another car's.
func (t *Traffic) Add(o *Traffic) {
	t.Roads.add(o.Roads.Up, o.Roads.Down)
	t.Limits.add(o.Limits.Up, o.Limits.Down)
	t.Speeds.add(o.Speeds.Up, o.Speeds.Down)
	t.Hazards.add(o.Hazards.Up, o.Hazards.Down)
	t.Stream.add(o.Stream.Up, o.Stream.Down)
	t.Overhead.add(o.Overhead.Up, o.Overhead.Down)
	t.Requests += o.Requests
}

// asked counts a request for a delta.
func (t *Traffic) asked(m *tilepb.DeltaRequest, size int) {
	var roads, limits, speeds, hazards int
	for _, h := range m.GetTiles() {
		if h.Roads != nil {
			roads += (&tilepb.Held{Roads: h.Roads}).SizeVT()
		}
		limits += (&tilepb.Held{Limits: h.Limits}).SizeVT()
		speeds += (&tilepb.Held{Speeds: h.Speeds}).SizeVT()
		hazards += (&tilepb.Held{Hazards: h.Hazards}).SizeVT()
	}
	t.Roads.Up += int64(roads)
	t.Limits.Up += int64(limits)
	t.Speeds.Up += int64(speeds)
	t.Hazards.Up += int64(hazards)
	t.Overhead.Up += int64(size - roads - limits - speeds - hazards)
}

// answered counts a delta of so many bytes on the wire, which compression may have lessened: layers share
// them in proportion.
func (t *Traffic) answered(m *tilepb.DeltaResponse, wire int64) {
	var roads, limits, speeds, hazards int64
	for _, d := range m.GetTiles() {
		roads += int64(d.GetRoads().SizeVT())
		limits += int64(d.GetLimits().SizeVT())
		speeds += int64(d.GetSpeeds().SizeVT())
		hazards += int64(d.GetHazards().SizeVT())
	}
	plain := max(int64(m.SizeVT()), 1)
	rest := wire
	for _, l := range []struct {
		to   *Bytes
		size int64
	}{{&t.Roads, roads}, {&t.Limits, limits}, {&t.Speeds, speeds}, {&t.Hazards, hazards}} {
		share := wire * l.size / plain
		l.to.Down += share
		rest -= share
	}
	t.Overhead.Down += rest
}

// headers counts a request's and its answer's head.
func (t *Traffic) headers(req *http.Request, res *http.Response) {
	t.Requests++
	t.Overhead.Up += int64(len(req.Method)+len(req.URL.RequestURI())+len(" HTTP/1.1\r\n\r\n")+1) +
		int64(len("Host: \r\n")+len(req.URL.Host)) + headerBytes(req.Header)
	if req.ContentLength > 0 {
		t.Overhead.Up += int64(len("Content-Length: 000\r\n"))
	}
	if res != nil {
		t.Overhead.Down += int64(len("HTTP/1.1 \r\n\r\n")+len(res.Status)) + headerBytes(res.Header)
	}
}

func headerBytes(h http.Header) (n int64) {
	for name, values := range h {
		for _, v := range values {
			n += int64(len(name) + len(v) + len(": \r\n"))
		}
	}
	return n
}
