package management

import (
	"context"
	"net/http"

	"github.com/carasso/carasso/mapdata/learn"
)

type fleetDoc struct {
	trendHead
	withheld
	Groups []fleetGroup `json:"groups"`
}

// fleetGroup is what the fleet did; null when suppressed.
type fleetGroup struct {
	timeKey
	Vehicles   *int     `json:"vehicles_at_least"`
	Batches    *int64   `json:"batches"`
	Samples    *int64   `json:"samples"`
	KM         *float64 `json:"km"`
	Suppressed bool     `json:"suppressed"`
}

func (s *Server) getFleetTrend(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "from", "to", "group_by", "resolution", "time_zone", "format")
	format := p.format()
	by, _, names := p.groupBy("time", 0)
	t := p.trendTime(s, by)
	if err := p.problem(); err != nil {
		return nil, err
	}
	read := func(ctx context.Context) (groups []fleetGroup, suppressed int, err error) {
		cells, err := s.deps.Store.SensorHealth(ctx, learn.HealthQuery{Grouping: t.grouping(), Most: maxHealthCells})
		if err != nil {
			return nil, 0, err
		}
		groups = []fleetGroup{}
		all, suppressed := s.healthGroups(cells, by, nil)
		for _, g := range all {
			groups = append(groups, fleetGroup{g.timeKey, g.Vehicles, g.Batches, g.Samples, g.KM, g.Suppressed})
		}
		return groups, suppressed, nil
	}
	if format != "" {
		return t.file(s, format, "fleet", &fleetGroup{timeKey: timeKey{by: by}}, func(ctx context.Context, put func(row) error) (int, error) {
			groups, suppressed, err := read(ctx)
			if err != nil {
				return 0, err
			}
			return suppressed, putAll(groups, put)
		}), nil
	}
	doc := fleetDoc{trendHead: t.head(names), withheld: withheld{K: s.cfg.K}}
	var err error
	doc.Groups, doc.Suppressed, err = read(r.Context())
	return doc, tooMuch(err)
}
