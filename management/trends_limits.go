package management

import (
	"net/http"
	"strconv"
	"time"

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
	p := newParams(r.URL.RawQuery, "bbox", "polygon", "edges", "class", "from", "to", "limit", "cursor")
	from, to := p.period(s.deps.Now(), 7*24*time.Hour, s.cfg.MaxTrendRange)
	area := p.trendArea(nil, s.cfg.MaxTiles)
	most := p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	after := p.cursor("cursor")
	if err := p.problem(); err != nil {
		return nil, err
	}
	doc := limitTrendDoc{From: from, To: to, Changes: []pastChangeDoc{}, Classes: map[string]*limitCount{}}
	book := s.roadBook(&area)
	for {
		rows, err := s.deps.Store.LimitHistory(r.Context(), from, to, area.ranges, after, most)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			c := &rows[i]
			info, err := book.of(r.Context(), c.Edge)
			if err != nil {
				return nil, err
			}
			if info.in {
				if len(doc.Changes) == most {
					doc.NextCursor = strconv.FormatUint(after, 10)
					return doc, nil
				}
				doc.add(c, info)
			}
			after = c.ID
		}
		if len(rows) < most {
			return doc, nil
		}
	}
}

func (d *limitTrendDoc) add(c *limit.PastChange, info *roadInfo) {
	l := pastChangeDoc{roadProps: newRoadProps(c.Edge, info.seg), At: c.At, FromKMH: limitOrNil(c.FromKMH), ToKMH: limitOrNil(c.ToKMH)}
	if c.Vehicles > 0 {
		posterior := round(float64(c.Posterior), 4)
		l.Posterior, l.Vehicles, l.Readings = &posterior, &c.Vehicles, &c.Readings
	}
	d.Changes = append(d.Changes, l)
	if d.Classes[l.Class] == nil {
		d.Classes[l.Class] = &limitCount{}
	}
	d.Classes[l.Class].count(c)
}

func limitOrNil(kmh uint8) *int {
	if kmh == road.NoLimitKnown {
		return nil
	}
	v := int(kmh)
	return &v
}
