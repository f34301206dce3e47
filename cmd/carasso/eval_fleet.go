package main

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/eval/fleetsim"
)

// evalFleetCmd scores everything learned against the simulated fleet's truth.
type evalFleetCmd struct {
	Map     string  `type:"path" env:"CARASSO_MAP" help:"OSM extract to drive on; default: the Andorra extract."`
	Cars    int     `default:"2000" help:"Simulated vehicles."`
	Hours   float64 `default:"2" help:"Hours of driving, in sessions on successive days."`
	Seed    uint64  `default:"1" help:"Same seed, same figures."`
	BadCars float64 `default:"0.05" help:"Share of vehicles with a broken GPS, clock or camera."`
	Workers int     `default:"0" help:"Learners at once; 0: one a processor."`
	Quiet   bool    `help:"No progress on standard error."`
}

// Run implements the subcommand.
func (c *evalFleetCmd) Run(ctx context.Context) error { return printReport(c.report(ctx)) }

func (c *evalFleetCmd) report(ctx context.Context) (*eval.Report, error) {
	file, err := findMap(c.Map)
	if err != nil {
		return nil, err
	}
	cfg := fleetsim.DefaultConfig()
	cfg.Options = eval.Options{Progress: os.Stderr, Workers: c.Workers}
	if c.Workers < 1 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Quiet {
		cfg.Progress = nil
	}
	cfg.Map, cfg.Cars, cfg.Seed, cfg.BadCars = file, c.Cars, c.Seed, c.BadCars
	cfg.Driving = time.Duration(c.Hours * float64(time.Hour))
	return fleetsim.Run(ctx, cfg)
}
