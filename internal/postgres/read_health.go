package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// SensorHealth sums sensor health up by model, software version and group of time, in that order. An error wraps
// learn.ErrTooMuch if there are more than q.Most cells.
func (db *DB) SensorHealth(ctx context.Context, q learn.HealthQuery) ([]learn.HealthCell, error) {
	var sums strings.Builder
	for column := range strings.SplitSeq(healthSums, ",") {
		sums.WriteString("sum(" + strings.TrimSpace(column) + ")::bigint, ")
	}
	// Base and deltas in one statement: see the package's comment.
	rows, err := db.pool.Query(ctx, `SELECT model, software, hour, `+sums.String()+`bit_or(v0), bit_or(v1) FROM (
			SELECT hour, model, software, `+healthSums+`, v0, v1 FROM sensor_health WHERE hour >= $1 AND hour < $2
			UNION ALL SELECT hour, model, software, `+healthSums+`, v0, v1 FROM sensor_health_delta WHERE hour >= $1 AND hour < $2
		) h WHERE (cardinality($3::text[]) = 0 OR model = ANY ($3)) AND (cardinality($4::text[]) = 0 OR software = ANY ($4))
		GROUP BY model, software, hour`, q.From.UTC(), q.To.UTC(), notNil(q.Models), notNil(q.Softwares))
	if err != nil {
		return nil, wrap("read sensor health", err)
	}
	cells := newHealthCells(&q)
	var r learn.HealthRow
	var hour time.Time
	var v0, v1 int64
	h := &r.Health
	_, err = pgx.ForEachRow(rows, []any{
		&r.Model, &r.Software, &hour, &h.Batches, &h.Samples, &h.WithSpeed, &h.WithHeading, &h.WithAccuracy, &h.SumAccuracyCM,
		&h.Unmatched, &h.ABSActive, &h.ESCActive, &h.TCSActive, &h.SignsSeen, &h.SignsMissing, &h.HazardSeen,
		&h.WithTemperature, &h.HazardLight, &h.DistanceM, &h.StepCMPS, &h.SignsCompared, &h.SignsDisagree, &v0, &v1,
	}, func() error {
		r.HourMS = hour.UnixMilli()
		h.Vehicles = learn.Vehicles{uint64(v0), uint64(v1)}
		return cells.add(&r)
	})
	if err != nil {
		return nil, wrap("read sensor health", err)
	}
	return cells.sorted(), nil
}

// healthCells sums hours of sensor health up.
type healthCells struct {
	clock *learn.Clock
	most  int
	at    map[healthKey]*healthCell
}

type healthKey struct {
	model, software string
	key             int64
}

type healthCell struct {
	learn.HealthCell
	days map[int64]learn.Vehicles
}

func newHealthCells(q *learn.HealthQuery) *healthCells {
	return &healthCells{clock: learn.NewClock(&q.Grouping), most: q.Most, at: map[healthKey]*healthCell{}}
}

func (c *healthCells) add(r *learn.HealthRow) error {
	k := healthKey{r.Model, r.Software, c.clock.Key(r.HourMS)}
	cell := c.at[k]
	if cell == nil {
		if len(c.at) >= c.most {
			return fmt.Errorf("%w: more than %d kinds of vehicles and times", learn.ErrTooMuch, c.most)
		}
		cell = &healthCell{days: map[int64]learn.Vehicles{}}
		cell.Key, cell.Model, cell.Software = k.key, k.model, k.software
		c.at[k] = cell
	}
	day := r.HourMS / learn.DayMS
	v := cell.days[day]
	v.Merge(r.Vehicles)
	cell.days[day] = v
	cell.AtLeast = max(cell.AtLeast, v.AtLeast())
	cell.Merge(&r.Health)
	return nil
}

func (c *healthCells) sorted() []learn.HealthCell {
	out := make([]learn.HealthCell, 0, len(c.at))
	for _, cell := range c.at {
		cell.Vehicles = learn.Vehicles{}
		out = append(out, cell.HealthCell)
	}
	slices.SortFunc(out, func(a, b learn.HealthCell) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Software, b.Software), cmp.Compare(a.Key, b.Key))
	})
	return out
}

// notNil is an empty array instead of NULL.
func notNil(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}
