package management

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

type limitTrendDoc struct {
	From       time.Time              `json:"from"`
	To         time.Time              `json:"to"`
	Changes    []pastChangeDoc        `json:"changes"`
	Classes    map[string]*limitCount `json:"page_by_class"`
	NextCursor string                 `json:"next_cursor,omitempty"`
}

// pastChangeDoc is null where no limit was published.
type pastChangeDoc struct {
	roadProps
	At        time.Time `json:"at"`
	FromKMH   *int      `json:"from_kmh"`
	ToKMH     *int      `json:"to_kmh"`
	Posterior *float64  `json:"posterior"`
	Vehicles  *int      `json:"vehicles"`
	Readings  *int64    `json:"readings"`

	place *export.Geometry
}

// limitCount counts changes.
type limitCount struct {
	New       int `json:"new"`
	Raised    int `json:"raised"`
	Lowered   int `json:"lowered"`
	Withdrawn int `json:"withdrawn"`
}

func (c *limitCount) count(l *limit.PastChange) {
	switch {
	case l.FromKMH == road.NoLimitKnown:
		c.New++
	case l.ToKMH == road.NoLimitKnown:
		c.Withdrawn++
	case l.ToKMH > l.FromKMH:
		c.Raised++
	default:
		c.Lowered++
	}
}

func (s *Server) getLimitTrend(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "polygon", "edges", "class", "from", "to", "limit", "cursor", "format")
	format := p.format()
	from, to := p.period(s.deps.Now(), 7*24*time.Hour, s.cfg.MaxTrendRange)
	area := p.trendArea(nil, s.cfg.MaxTiles)
	most := p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	after := p.cursor("cursor")
	if err := p.problem(); err != nil {
		return nil, err
	}
	if format != "" {
		t := trendTime{from: from, to: to}
		return t.file(s, format, "limit-changes", &pastChangeDoc{}, func(ctx context.Context, put func(row) error) (int, error) {
			_, err := s.pastChanges(ctx, &t, &area, 0, math.MaxInt, func(c *pastChangeDoc, _ *limit.PastChange) error { return put(c) })
			return 0, err
		}), nil
	}
	doc := limitTrendDoc{From: from, To: to, Changes: []pastChangeDoc{}, Classes: map[string]*limitCount{}}
	t := trendTime{from: from, to: to}
	next, err := s.pastChanges(r.Context(), &t, &area, after, most, func(c *pastChangeDoc, of *limit.PastChange) error {
		doc.Changes = append(doc.Changes, *c)
		if doc.Classes[c.Class] == nil {
			doc.Classes[c.Class] = &limitCount{}
		}
		doc.Classes[c.Class].count(of)
		return nil
	})
	doc.NextCursor = next
	return doc, err
}

// changesRead is how many changes are read at a time.
const changesRead = 5000

// pastChanges gives up to most changes above an id to each, and tells the cursor of the rest.
func (s *Server) pastChanges(ctx context.Context, t *trendTime, area *trendArea, after uint64, most int, each func(*pastChangeDoc, *limit.PastChange) error) (next string, err error) {
	book := s.roadBook(area)
	told := 0
	for {
		want := min(most, changesRead)
		rows, err := s.deps.Store.LimitHistory(ctx, t.from, t.to, area.ranges, after, want)
		if err != nil {
			return "", err
		}
		for i := range rows {
			c := &rows[i]
			info, err := book.of(ctx, c.Edge)
			if err != nil {
				return "", err
			}
			if info.in {
				if told == most {
					return strconv.FormatUint(after, 10), nil
				}
				told++
				if err := each(newPastChange(c, info), c); err != nil {
					return "", err
				}
			}
			after = c.ID
		}
		if len(rows) < want {
			return "", nil
		}
	}
}

func newPastChange(c *limit.PastChange, info *roadInfo) *pastChangeDoc {
	l := &pastChangeDoc{roadProps: newRoadProps(c.Edge, info.seg), At: c.At, FromKMH: limitOrNil(c.FromKMH), ToKMH: limitOrNil(c.ToKMH), place: lineOf(uint64(c.Edge), info.seg)}
	if c.Vehicles > 0 {
		posterior := round(float64(c.Posterior), 4)
		l.Posterior, l.Vehicles, l.Readings = &posterior, &c.Vehicles, &c.Readings
	}
	return l
}

func limitOrNil(kmh uint8) *int {
	if kmh == road.NoLimitKnown {
		return nil
	}
	v := int(kmh)
	return &v
}
