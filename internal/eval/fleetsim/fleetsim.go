// Package fleetsim scores everything that is learned against the simulated fleet, whose
// truth is known to the last sign: limits, hazards, errors of the map, live speeds. It runs
// the learners as workers do, in one process, without queue and database.
//
// The map that they work with is wrong on purpose: roads are missing, one-way roads run
// the other way, limits are others than posted. So are the vehicles: some of them have a broken
// receiver, clock or camera, and all of them raise false alarms.
package fleetsim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carasso/carasso/internal/eval"
)

// Config says what is simulated. DefaultConfig gives the documented defaults.
type Config struct {
	eval.Options

	Map     string        // OSM extract to drive on
	Cars    int           // vehicles, 100 to 100,000; default 2,000
	Driving time.Duration // of all sessions together, at least 15 minutes; default 2 h
	Seed    uint64        // same seed, same figures; default 1

	Removed     float64 // share of ways that the map lacks; default 0.02
	Flipped     float64 // share of one-way ways that the map has the other way round; default 0.01
	Moved       float64 // share of ways with a long stretch between junctions that the map has beside their place; default 0.08
	Closed      float64 // share of ways of main roads that are closed from the fourth session on; default 0.1
	Turns       float64 // share of main roads' turns that the map forbids wrongly, and the same of those that it allows wrongly; default 0.03
	WrongLimits float64 // share of limits on the map that are wrong; default 0.1
	FalseAlarms float64 // share of roads entered on which a hazard is reported that is none; default 0.02
	BadCars     float64 // share of vehicles with a broken sensor; default 0.05
	LeadIn      int     // samples of the batch before that are repeated as context; default 3
}

// DefaultConfig is the documented default of every field but Map.
func DefaultConfig() Config {
	return Config{
		Cars: 2000, Driving: 2 * time.Hour, Seed: 1,
		Removed: 0.02, Flipped: 0.01, Moved: 0.08, Closed: 0.1, Turns: 0.03, WrongLimits: 0.1, FalseAlarms: 0.02, BadCars: 0.05, LeadIn: 3,
	}
}

// Validate names every field that is out of its range, as far as the simulation does not.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, field, want string, got any) {
		if !ok {
			errs = append(errs, fmt.Errorf("eval fleet: %s: want %s, got %v", field, want, got))
		}
	}
	check(c.Map != "", "map", "a file", "none")
	check(c.Cars >= 100 && c.Cars <= 100_000, "cars", "100 to 100000", c.Cars)
	check(c.Driving >= 15*time.Minute && c.Driving <= 48*time.Hour, "hours", "0.25 to 48", c.Driving)
	check(c.Removed >= 0 && c.Removed <= 0.2, "removed", "0 to 0.2", c.Removed)
	check(c.Flipped >= 0 && c.Flipped <= 0.5, "flipped", "0 to 0.5", c.Flipped)
	check(c.Moved >= 0 && c.Moved <= 0.2, "moved", "0 to 0.2", c.Moved)
	check(c.Closed >= 0 && c.Closed <= 0.2, "closed", "0 to 0.2", c.Closed)
	check(c.Turns >= 0 && c.Turns <= 0.1, "turns", "0 to 0.1", c.Turns)
	check(c.Workers >= 1, "workers", "at least 1", c.Workers)
	return errors.Join(errs...)
}

// arm is whose reports are learned from.
type arm int

// The arms: everything is learned twice from the same drives.
const (
	all   arm = iota // from all vehicles
	sound            // from those without a broken sensor
	arms
)

// String heads a column.
func (a arm) String() string {
	if a == sound {
		return "SOUND CARS ONLY"
	}
	return "ALL CARS"
}

// Run simulates, learns and scores.
func Run(ctx context.Context, cfg Config) (*eval.Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g, err := newGround(ctx, &cfg)
	if err != nil {
		return nil, fmt.Errorf("eval fleet: %w", err)
	}
	r, err := newRun(&cfg, g)
	if err != nil {
		return nil, fmt.Errorf("eval fleet: %w", err)
	}
	started := time.Now()
	if err := r.sessions(ctx); err != nil {
		return nil, fmt.Errorf("eval fleet: %w", err)
	}
	driven := time.Since(started)
	report := &eval.Report{
		Title: "Simulated fleet: everything learned, against the truth",
		Notes: r.notes(driven),
	}
	for _, score := range []func(context.Context, *eval.Report) error{r.scoreLimits, r.scoreHazards, r.scoreMapErrors, r.scoreSpeeds} {
		if err := score(ctx, report); err != nil {
			return nil, fmt.Errorf("eval fleet: %w", err)
		}
	}
	return report, nil
}

func (r *run) notes(driven time.Duration) []string {
	c, g := r.cfg, r.ground
	return []string{
		fmt.Sprintf("%d cars (%d with a broken sensor) for %s in %d sessions, %d samples, learned in %.0f s with %d workers",
			c.Cars, r.badCars, c.Driving, len(r.plan), r.samples, driven.Seconds(), c.Workers),
		fmt.Sprintf("sessions start at (UTC) %s; road wet for %s", r.starts(), r.wet),
		fmt.Sprintf("truth: %d roads driven either way; the map lacks %d of %d ways, has %d of %d one-way ways the wrong way",
			g.network.Arcs(), len(g.removed), g.ways, len(g.flipped), g.oneWays),
		fmt.Sprintf("%d ways are beside their place, %d closed from the fourth session on; of %d turns of main roads the map has %d wrong, half of them forbidden",
			len(g.moved), len(g.closed), g.allTurns, len(g.turns)),
		fmt.Sprintf("of the map's limits %.0f %% are wrong; %.0f %% of passes of a road raise a false alarm; cameras read 92 %% of signs right, 3 %% wrong",
			100*c.WrongLimits, 100*c.FalseAlarms),
	}
}
