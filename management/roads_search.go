package management

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/management/streets"
	"github.com/carasso/carasso/mapdata/road"
)

// streetIndex is the index of the map in use, made when it is first asked for. Safe for concurrent use.
type streetIndex struct {
	roads  Roads
	budget int
	turn   chan struct{} // holds the right to make an index

	mu      sync.Mutex
	version string
	index   *streets.Index
}

func newStreetIndex(roads Roads, budget int) *streetIndex {
	return &streetIndex{roads: roads, budget: budget, turn: make(chan struct{}, 1)}
}

func (x *streetIndex) have(version string) *streets.Index {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.version != version {
		return nil
	}
	return x.index
}

// get is the index of the current map; nil without a map. One caller makes it, the others wait.
func (x *streetIndex) get(ctx context.Context) (*streets.Index, error) {
	m, ok := x.roads.Manifest()
	if !ok {
		return nil, nil
	}
	if have := x.have(m.Version); have != nil {
		return have, nil
	}
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return nil, &problem.Problem{Kind: problem.ServiceUnavailable, RetryAfter: 5 * time.Second, Detail: "The index of streets is being made."}
	}
	if have := x.have(m.Version); have != nil {
		return have, nil
	}
	b := streets.NewBuilder(x.budget)
	for _, q := range m.Tiles {
		p, err := x.roads.Partition(ctx, q)
		if err != nil {
			return nil, err
		}
		for n := range p.NumSegments() {
			if s := p.SegmentAt(n); s.Flags&road.Own != 0 {
				b.Add(&s)
			}
		}
	}
	index := b.Build()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.version, x.index = m.Version, index
	return index, nil
}

type streetsDoc struct {
	Query   string      `json:"query"`
	Streets []streetDoc `json:"streets"`
	// Incomplete says that the map has more names than the index may hold.
	Incomplete bool `json:"incomplete"`
}

type streetDoc struct {
	Name     string     `json:"name"`
	Ref      string     `json:"ref"`
	Class    string     `json:"class"`
	LengthKM float64    `json:"length_km"`
	BBox     [4]float64 `json:"bbox"`
	Point    [2]float64 `json:"point"`
	Edges    []uint64   `json:"edges"`
}

// What a search may ask and answer.
const (
	maxStreetQuery = 200
	maxStreets     = 50
)

func (s *Server) getStreets(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "q", "limit")
	query, ok := p.get("q")
	if query = strings.TrimSpace(query); !ok || query == "" || len(query) > maxStreetQuery {
		p.fail("q", "is empty or longer than 200 bytes", "a part of a street's name or number, such as tarragona or CG-1")
	}
	limit := p.integer("limit", 10, 1, maxStreets)
	if err := p.problem(); err != nil {
		return nil, err
	}
	doc := streetsDoc{Query: query, Streets: []streetDoc{}}
	index, err := s.streets.get(r.Context())
	if err != nil || index == nil {
		return doc, err
	}
	doc.Incomplete = index.Full
	for _, st := range index.Search(query, limit) {
		d := streetDoc{
			Name: st.Name, Ref: st.Ref, Class: st.Class.String(), LengthKM: round(st.LengthM/1000, 3), BBox: st.Box.Degrees(),
			Point: [2]float64{st.At.Lon(), st.At.Lat()}, Edges: []uint64{},
		}
		for _, e := range st.Edges {
			d.Edges = append(d.Edges, uint64(e))
		}
		doc.Streets = append(doc.Streets, d)
	}
	return doc, nil
}
