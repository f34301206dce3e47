package main

import (
	"context"
	"time"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/hazard"
)

// hazardFeed is what the stream of hazards follows: the database's list. It implements
// tile.HazardSource.
type hazardFeed struct{ db *postgres.DB }

const (
	hazardPage  = 2000
	endedLately = 10 * time.Minute // how long an ended hazard is told to those who come new
)

// Since implements tile.HazardSource.
func (f hazardFeed) Since(ctx context.Context, cursor int64) ([]hazard.Hazard, int64, error) {
	if cursor == 0 {
		return f.db.ActiveHazards(ctx, time.Now().Add(-endedLately))
	}
	return f.db.HazardsSince(ctx, cursor, hazardPage)
}
