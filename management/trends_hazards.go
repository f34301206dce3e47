package management

import (
	"context"
	"net/http"
	"slices"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

type hazardTrendDoc struct {
	trendHead
	Groups []hazardGroup `json:"groups"`
}

// hazardGroup counts the hazards that began or were active in a group.
type hazardGroup struct {
	timeKey
	Category  string  `json:"category,omitempty"`
	Class     string  `json:"class,omitempty"`
	Tile      string  `json:"tile,omitempty"`
	Weather   string  `json:"weather,omitempty"`
	Hazards   int     `json:"hazards"`
	Active    int     `json:"active"`
	DurationS float64 `json:"mean_duration_s"`

	key     int64
	totalS  float64
	outline *export.Geometry // of the tile
}

// What past hazards are read and looked through at most, and how near weather is.
const (
	maxPastHazards = 20_000
	hazardTileZoom = 12
	weatherNearM   = 3000.0
)

// weatherOf names a hazard that is weather; "" for others.
func weatherOf(c telemetry.Hazard) string {
	switch c {
	case telemetry.SlipperyRoad, telemetry.ReducedVisibility, telemetry.ExceptionalWeather:
		return c.String()
	default:
		return ""
	}
}

func (s *Server) getHazardTrend(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "polygon", "from", "to", "group_by", "resolution", "time_zone", "format")
	format := p.format()
	by, kinds, names := p.groupBy("category", 4, "category", "class", "tile", "weather")
	t := p.trendTime(s, by)
	area := p.trendArea(nil, s.cfg.MaxTiles)
	if err := p.problem(); err != nil {
		return nil, err
	}
	if format != "" {
		columns := hazardTrendRow{&hazardGroup{timeKey: timeKey{by: by}}, kinds}
		return t.file(s, format, "hazards-trend", columns, func(ctx context.Context, put func(row) error) (int, error) {
			groups, err := s.pastHazards(ctx, &area, &t, kinds)
			for i := range groups {
				if err := put(hazardTrendRow{&groups[i], kinds}); err != nil {
					return 0, err
				}
			}
			return 0, err
		}), nil
	}
	doc := hazardTrendDoc{trendHead: t.head(names)}
	var err error
	doc.Groups, err = s.pastHazards(r.Context(), &area, &t, kinds)
	return doc, err
}

// pastHazards reads the hazards of an area and groups them.
func (s *Server) pastHazards(ctx context.Context, area *trendArea, t *trendTime, kinds []string) ([]hazardGroup, error) {
	box := area.region.Bounds().Expand(weatherNearM) // those beside the area may be its weather
	all, err := s.deps.Store.HazardHistory(ctx, t.from, t.to, box, maxPastHazards+1)
	if err != nil {
		return nil, err
	}
	if len(all) > maxPastHazards {
		return nil, errTooManyGroups()
	}
	return s.groupHazards(ctx, all, area, t, kinds)
}

// groupHazards counts hazards in the group of time in which they began, or in the first of the range if that was before.
func (s *Server) groupHazards(ctx context.Context, all []hazard.Hazard, area *trendArea, t *trendTime, names []string) ([]hazardGroup, error) {
	g := t.grouping()
	clock := learn.NewClock(&g)
	now := s.deps.Now().UnixMilli()
	at := map[hazardGroup]int{}
	groups := []hazardGroup{}
	tiles := map[string]geo.Tile{}
	near := newWeather(all)
	for i := range all {
		h := &all[i]
		if !area.region.Contains(h.At) {
			continue
		}
		k := hazardGroup{key: clock.Key(max(h.StartedMS, t.from.UnixMilli()))}
		for _, name := range names {
			switch name {
			case "category":
				k.Category = h.Category.String()
			case "tile":
				t := geo.TileAt(h.At, hazardTileZoom)
				k.Tile = t.String()
				tiles[k.Tile] = t
			case "weather":
				k.Weather = near.of(h)
			case "class":
				k.Class = road.UnknownClass.String()
				if h.Edge != 0 {
					seg, err := s.segment(ctx, h.Edge)
					if err != nil {
						return nil, err
					}
					k.Class = newRoadProps(h.Edge, seg).Class
				}
			}
		}
		n, ok := at[k]
		if !ok {
			n = len(groups)
			at[k] = n
			groups = append(groups, k)
		}
		end := h.EndedMS
		if h.Active() {
			groups[n].Active++
			end = now
		}
		groups[n].Hazards++
		groups[n].totalS += float64(max(end-h.StartedMS, 0)) / 1000
	}
	for i := range groups {
		if groups[i].Tile != "" {
			groups[i].outline = boxOf(tiles[groups[i].Tile])
		}
		groups[i].timeKey = newTimeKey(t.by, groups[i].key)
		groups[i].DurationS = round(groups[i].totalS/float64(groups[i].Hazards), 1)
	}
	slices.SortStableFunc(groups, func(a, b hazardGroup) int {
		if a.key != b.key {
			return int(min(max(a.key-b.key, -1), 1))
		}
		return b.Hazards - a.Hazards
	})
	return groups, nil
}

// weather finds the weather that was known at a hazard's place and time, by tile.
type weather map[uint32][]*hazard.Hazard

func newWeather(all []hazard.Hazard) weather {
	w := weather{}
	for i := range all {
		if weatherOf(all[i].Category) != "" {
			q := geo.TileAt(all[i].At, hazardTileZoom).Quadkey()
			w[q] = append(w[q], &all[i])
		}
	}
	return w
}

// of is the weather that a hazard is or that was active within 3 km while it was: "none known" without.
func (w weather) of(h *hazard.Hazard) string {
	if own := weatherOf(h.Category); own != "" {
		return own
	}
	t := geo.TileAt(h.At, hazardTileZoom)
	for dx := -1; dx <= 1; dx++ {
		for dy := -1; dy <= 1; dy++ {
			n := geo.Tile{Z: hazardTileZoom, X: t.X + uint32(dx), Y: t.Y + uint32(dy)}
			if !n.Valid() {
				continue
			}
			for _, o := range w[n.Quadkey()] {
				overlap := (h.Active() || o.StartedMS < h.EndedMS) && (o.Active() || h.StartedMS < o.EndedMS)
				if overlap && geo.DistanceM(h.At, o.At) <= weatherNearM {
					return weatherOf(o.Category)
				}
			}
		}
	}
	return "none known"
}
