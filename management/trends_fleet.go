package management

import (
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
	p := newParams(r.URL.RawQuery, "from", "to", "group_by", "resolution", "time_zone")
	by, _, names := p.groupBy("time", 0)
	t := p.trendTime(s, by)
	if err := p.problem(); err != nil {
		return nil, err
	}
	cells, err := s.deps.Store.SensorHealth(r.Context(), learn.HealthQuery{Grouping: t.grouping(), Most: maxHealthCells})
	if err != nil {
		return nil, tooMuch(err)
	}
	doc := fleetDoc{trendHead: t.head(names), withheld: withheld{K: s.cfg.K}, Groups: []fleetGroup{}}
	for _, g := range s.healthGroups(cells, by, nil) {
		if g.Suppressed {
			doc.Suppressed++
		}
		doc.Groups = append(doc.Groups, fleetGroup{g.timeKey, g.Vehicles, g.Batches, g.Samples, g.KM, g.Suppressed})
	}
	return doc, nil
}
