package tile

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

// deltaDoc is the JSON form of a DeltaResponse. Tiles are called as in the request.
type deltaDoc struct {
	Tiles map[string]*deltaTile `json:"tiles"`
}

type deltaTile struct {
	Roads   *roadsChange              `json:"roads,omitempty"`
	Limits  *layerChange[limitChange] `json:"limits,omitempty"`
	Speeds  *layerChange[speedChange] `json:"speeds,omitempty"`
	Hazards *layerChange[hazardDoc]   `json:"hazards,omitempty"`
	Error   *tileError                `json:"error,omitempty"`
}

// tileError is a problem (RFC 9457) of one tile.
type tileError struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

type roadsChange struct {
	Version string `json:"version"`
	Full    bool   `json:"full"`          // false: the tile's roads are the same as before
	URL     string `json:"url,omitempty"` // where they are, as MVT
}

type layerChange[T any] struct {
	Version string   `json:"version"`
	Full    bool     `json:"full"`
	Changed []T      `json:"changed"`
	Removed []uint64 `json:"removed"`
}

type speedChange struct {
	Edge  road.Edge `json:"edge"`
	KMH   uint16    `json:"kmh"`
	Level uint8     `json:"level"`
}

type limitChange struct {
	Edge      road.Edge `json:"edge"`
	KMH       uint8     `json:"kmh,omitempty"`
	Unlimited bool      `json:"unlimited,omitempty"`
	Source    string    `json:"source"`
	Variants  string    `json:"variants,omitempty"`
}

// hazardDoc is a hazard as cars are told of it, in deltas and in the stream.
type hazardDoc struct {
	ID          uint64      `json:"id"`
	Category    string      `json:"category"`
	Lat         float64     `json:"lat"`
	Lon         float64     `json:"lon"`
	Edge        road.Edge   `json:"edge,omitempty"`
	Edges       []road.Edge `json:"edges,omitempty"` // in the stream only
	Probability float64     `json:"probability"`
	StartedMS   int64       `json:"started"`
	UpdatedMS   int64       `json:"updated"`
	EndedMS     int64       `json:"ended,omitempty"` // in the stream only
}

func docOfHazard(id uint64, h *state.Hazard) hazardDoc {
	return hazardDoc{
		ID: id, Category: h.Category.String(), Lat: h.At.Lat(), Lon: h.At.Lon(), Edge: h.Edge,
		Probability: float64(h.Percent) / 100, StartedMS: h.StartedMS, UpdatedMS: h.UpdatedMS,
	}
}

// deltaJSON is the JSON form of an answer.
func deltaJSON(asked []held, answer *tilepb.DeltaResponse) ([]byte, error) {
	names := make(map[uint32]string, len(asked))
	for i := range asked {
		names[asked[i].id.Quadkey()] = asked[i].name
	}
	doc := deltaDoc{Tiles: make(map[string]*deltaTile, len(answer.GetTiles()))}
	for _, t := range answer.GetTiles() {
		d, err := docOfTile(t)
		if err != nil {
			return nil, fmt.Errorf("tile %d: %w", t.GetQuadkey(), err)
		}
		doc.Tiles[names[t.GetQuadkey()]] = d
	}
	return json.Marshal(doc)
}

func docOfTile(t *tilepb.Tile) (*deltaTile, error) {
	q := t.GetQuadkey()
	id := geo.FromQuadkey(MaxZoom, q)
	d := &deltaTile{}
	switch t.GetStatus() {
	case tilepb.Status_STATUS_OUTSIDE_MAP:
		d.Error = errorOf(problem.NotFound, "The tile is outside of the map.")
	case tilepb.Status_STATUS_UNAVAILABLE:
		d.Error = errorOf(problem.ServiceUnavailable, "The tile can not be read now.")
	}
	if r := t.GetRoads(); r != nil {
		d.Roads = &roadsChange{Version: r.GetVersion(), Full: !r.GetSame()}
		if d.Roads.Full {
			d.Roads.URL = RoadsPath(id)
		}
	}
	if m := t.GetLimits(); m != nil {
		c, err := state.ReadLimits(m)
		if err == nil {
			d.Limits, err = docOfLayer(m.GetVersion(), &c, q, func(r *state.Record) (limitChange, error) {
				l, err := state.DecodeLimit(r.Value)
				doc := limitChange{Edge: state.EdgeOf(q, r.Key), KMH: l.KMH, Source: sourceOf(l.Learned), Variants: state.FormatVariants(l.Variants)}
				if l.KMH == road.Unlimited {
					doc.KMH, doc.Unlimited = 0, true
				}
				return doc, err
			})
		}
		if err != nil {
			return nil, err
		}
	}
	if m := t.GetSpeeds(); m != nil {
		c, err := state.ReadSpeeds(m)
		if err == nil {
			d.Speeds, err = docOfLayer(m.GetVersion(), &c, q, func(r *state.Record) (speedChange, error) {
				s, err := state.DecodeSpeed(r.Value)
				return speedChange{state.EdgeOf(q, r.Key), s.KMH, s.Level}, err
			})
		}
		if err != nil {
			return nil, err
		}
	}
	if m := t.GetHazards(); m != nil {
		c, err := state.ReadHazards(id, m)
		if err == nil {
			d.Hazards, err = docOfLayer(m.GetVersion(), &c, 0, func(r *state.Record) (hazardDoc, error) {
				h, err := state.DecodeHazard(id, r.Value)
				return docOfHazard(r.Key, &h), err
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// docOfLayer is a layer's change; quadkey makes edges of what was removed, 0 leaves ids.
func docOfLayer[T any](version uint64, c *state.Change, quadkey uint32, row func(*state.Record) (T, error)) (*layerChange[T], error) {
	d := &layerChange[T]{
		Version: strconv.FormatUint(version, 10), Full: c.Full,
		Changed: make([]T, len(c.Changed)), Removed: make([]uint64, len(c.Removed)),
	}
	for i := range c.Changed {
		var err error
		if d.Changed[i], err = row(&c.Changed[i]); err != nil {
			return nil, err
		}
	}
	for i, key := range c.Removed {
		if quadkey != 0 {
			key = uint64(state.EdgeOf(quadkey, key))
		}
		d.Removed[i] = key
	}
	return d, nil
}

func sourceOf(learned bool) string {
	if learned {
		return "learned"
	}
	return "map"
}

func errorOf(k problem.Kind, detail string) *tileError {
	return &tileError{Type: k.Type(), Title: k.Title(), Status: k.Status(), Detail: detail}
}

// RoadsPath is where a tile's roads are served.
func RoadsPath(id ID) string { return "/v1/tiles/" + Roads + "/" + id.String() + ".mvt" }
