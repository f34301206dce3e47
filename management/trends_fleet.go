package management

import (
	"errors"
	"net/http"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
)

type fleetDoc struct {
	From       time.Time    `json:"from"`
	To         time.Time    `json:"to"`
	GroupBy    []string     `json:"group_by"`
	Resolution learn.Step   `json:"resolution,omitempty"`
	TimeZone   string       `json:"time_zone"`
	K          int          `json:"k"`
	Suppressed int          `json:"suppressed_count"`
	Groups     []fleetGroup `json:"groups"`
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
	by := learn.TimeBy(p.choice("group_by", string(learn.BySteps), string(learn.ByHour), string(learn.ByWeekday)))
	t := p.trendTime(s.deps.Now(), by, s.cfg.MaxTrendRange)
	if err := p.problem(); err != nil {
		return nil, err
	}
	cells, err := s.deps.Store.SensorHealth(r.Context(), learn.HealthQuery{Grouping: t.grouping(), Most: maxHealthCells})
	if errors.Is(err, learn.ErrTooMuch) {
		return nil, errTooManyGroups()
	} else if err != nil {
		return nil, err
	}
	doc := fleetDoc{From: t.from, To: t.to, GroupBy: []string{string(by)}, TimeZone: t.zone.String(), K: s.cfg.K, Groups: []fleetGroup{}}
	if by == learn.BySteps {
		doc.Resolution = t.step
	}
	for _, g := range s.healthGroups(cells, by, nil) {
		if g.Suppressed {
			doc.Suppressed++
		}
		doc.Groups = append(doc.Groups, fleetGroup{g.timeKey, g.Vehicles, g.Batches, g.Samples, g.KM, g.Suppressed})
	}
	return doc, nil
}
