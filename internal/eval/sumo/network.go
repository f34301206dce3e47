// Package sumo scores matching and speeds on traffic that SUMO simulated on the roads of
// an OSM map: where each car really was, and how fast each road really was.
package sumo

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
)

// SEdge is a directed edge of SUMO's network.
type SEdge struct {
	ID       string
	From, To string
	Shape    []geo.Point // ≥ 2 points in the direction of travel
	LimitMPS float64
}

// ReadNodes reads the places of SUMO's junctions: <node id x y>, x longitude, y latitude.
func ReadNodes(r io.Reader) (map[string]geo.Point, error) {
	nodes := map[string]geo.Point{}
	err := elements(r, "node", func(at attributes) error {
		p, err := place(at["x"], at["y"])
		if err != nil {
			return fmt.Errorf("%w: node %q: %w", eval.ErrFormat, at["id"], err)
		}
		nodes[at["id"]] = p
		return nil
	})
	return nodes, err
}

// ReadEdges reads SUMO's edges: <edge id from to speed shape>, shape being "lon,lat lon,lat …";
// a straight line between its nodes without one. Edges whose course is unknown are left out.
func ReadEdges(r io.Reader, nodes map[string]geo.Point) ([]SEdge, error) {
	var edges []SEdge
	err := elements(r, "edge", func(at attributes) error {
		e := SEdge{ID: at["id"], From: at["from"], To: at["to"]}
		if at["speed"] != "" {
			v, err := strconv.ParseFloat(at["speed"], 64)
			if err != nil {
				return fmt.Errorf("%w: edge %q: speed %q", eval.ErrFormat, e.ID, at["speed"])
			}
			e.LimitMPS = v
		}
		for pair := range strings.FieldsSeq(at["shape"]) {
			lon, rest, _ := strings.Cut(pair, ",")
			lat, _, _ := strings.Cut(rest, ",") // a height may follow
			p, err := place(lon, lat)
			if err != nil {
				return fmt.Errorf("%w: edge %q: %w", eval.ErrFormat, e.ID, err)
			}
			e.Shape = append(e.Shape, p)
		}
		if len(e.Shape) < 2 {
			from, ok1 := nodes[e.From]
			to, ok2 := nodes[e.To]
			if !ok1 || !ok2 {
				return nil
			}
			e.Shape = []geo.Point{from, to}
		}
		edges = append(edges, e)
		return nil
	})
	return edges, err
}

// Mean is SUMO's aggregate of one edge and interval.
type Mean struct {
	Edge     string
	BeginS   float64
	EndS     float64
	SampledS float64 // vehicle-seconds
	Cars     int     // entered or departed
	SpeedMPS float64
}

// ReadMeans reads <interval begin end><edge id sampledSeconds speed entered departed>.
func ReadMeans(r io.Reader) ([]Mean, error) {
	var means []Mean
	var begin, end float64
	d := xml.NewDecoder(r)
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return means, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", eval.ErrFormat, err)
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		at := attributesOf(e)
		switch e.Name.Local {
		case "interval":
			if begin, err = number(at["begin"]); err == nil {
				end, err = number(at["end"])
			}
		case "edge":
			m := Mean{Edge: at["id"], BeginS: begin, EndS: end}
			var entered, departed float64
			for _, f := range [...]struct {
				name string
				to   *float64
			}{{"sampledSeconds", &m.SampledS}, {"entered", &entered}, {"departed", &departed}, {"speed", &m.SpeedMPS}} {
				if err == nil && at[f.name] != "" { // an edge without traffic has no speed
					*f.to, err = number(at[f.name])
				}
			}
			m.Cars = int(entered + departed)
			means = append(means, m)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s %q: %w", eval.ErrFormat, e.Name.Local, at["id"], err)
		}
	}
}

type attributes map[string]string

func attributesOf(e xml.StartElement) attributes {
	at := make(attributes, len(e.Attr))
	for _, a := range e.Attr {
		at[a.Name.Local] = a.Value
	}
	return at
}

// elements calls visit for each element of a name.
func elements(r io.Reader, name string, visit func(attributes) error) error {
	d := xml.NewDecoder(r)
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", eval.ErrFormat, err)
		}
		if e, ok := t.(xml.StartElement); ok && e.Name.Local == name {
			if err := visit(attributesOf(e)); err != nil {
				return err
			}
		}
	}
}

// number is a finite number, ≥ 0 and below 10¹².
func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v < 1e12) {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return v, nil
}

func place(lon, lat string) (geo.Point, error) {
	x, err1 := strconv.ParseFloat(lon, 64)
	y, err2 := strconv.ParseFloat(lat, 64)
	if err1 != nil || err2 != nil || !(x >= -180 && x <= 180 && y >= -90 && y <= 90) {
		return geo.Point{}, fmt.Errorf("no place on Earth: %q, %q", lon, lat)
	}
	return geo.At(y, x), nil
}
