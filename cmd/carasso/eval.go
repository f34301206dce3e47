package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/eval/bsm"
	"github.com/carasso/carasso/internal/eval/kubicka"
	"github.com/carasso/carasso/internal/eval/nds"
	"github.com/carasso/carasso/internal/eval/openxc"
	"github.com/carasso/carasso/internal/eval/sumo"
	"github.com/carasso/carasso/internal/eval/twizy"
)

// evalCmd groups the scoring against ground truth; one subcommand a set.
type evalCmd struct {
	All     evalAllCmd     `cmd:"" help:"Every set that a folder holds, and the simulated fleet."`
	Fleet   evalFleetCmd   `cmd:"" help:"Everything learned: a simulated fleet with its truth."`
	Kubicka evalKubickaCmd `cmd:"" help:"Map matching: real tracks with true routes."`
	Sumo    evalSumoCmd    `cmd:"" help:"Map matching and speeds: simulated traffic with its truth."`
	Twizy   evalTwizyCmd   `cmd:"" help:"Speed limits: real trips with the posted limit."`
	Nds     evalNdsCmd     `cmd:"" help:"Hard braking: real drives with labelled events."`
	Openxc  evalOpenxcCmd  `cmd:"" help:"Wet roads: a real trace with the wipers' state."`
	Bsm     evalBsmCmd     `cmd:"" help:"Import of Basic Safety Messages (SAE J2735)."`
}

// evalFlags are what every set takes.
type evalFlags struct {
	Dir      string `arg:"" type:"existingdir" help:"Folder of the set: archives as delivered, or unpacked."`
	Out      string `type:"path" help:"Folder to write results to, in the set's own form."`
	Pictures string `type:"path" help:"Folder to draw the worst cases to; default: carasso-eval-pictures in the temporary folder."`
	Workers  int    `default:"0" help:"How many cases at once; 0: one a processor."`
	Quiet    bool   `help:"No progress on standard error."`
}

func (f *evalFlags) options(set string) eval.Options {
	o := eval.Options{Dir: f.Dir, Out: f.Out, Pictures: f.Pictures, Workers: f.Workers, Progress: os.Stderr}
	if o.Workers < 1 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Pictures == "" {
		o.Pictures = filepath.Join(os.TempDir(), "carasso-eval-pictures", set)
	}
	if f.Quiet {
		o.Progress = nil
	}
	return o
}

// printReport prints a set's report. An aim that is missed is no error: the table says so.
func printReport(r *eval.Report, err error) error {
	if err != nil {
		return err
	}
	return r.Write(os.Stdout)
}

// evalKubickaCmd scores the matcher on real tracks.
type evalKubickaCmd struct {
	evalFlags `embed:""`
	Sampling  []int    `default:"1,5,15,30" help:"Seconds between the samples that are kept."`
	Only      []string `help:"Names or numbers of the tracks to score; default: all."`
	Draw      int      `default:"5" help:"How many of the worst to draw."`
}

// Run implements the subcommand.
func (c *evalKubickaCmd) Run(ctx context.Context) error {
	return printReport(kubicka.Run(ctx, kubicka.Config{Options: c.options("kubicka"), Sampling: c.Sampling, Only: c.Only, Draw: c.Draw}))
}

// evalSumoCmd scores matching and speeds on simulated traffic.
type evalSumoCmd struct {
	evalFlags  `embed:""`
	Map        string  `type:"existingfile" help:"OSM extract that was simulated on; default: *.osm* in the folder, or in lust-osm beside it."`
	PositionM  float64 `default:"4" help:"Noise of each coordinate, 1 sigma, metres."`
	Tau        float64 `default:"10" help:"Correlation time of that noise, seconds."`
	HeadingDeg float64 `default:"3" help:"Noise of headings, 1 sigma, degrees."`
	SpeedMPS   float64 `name:"speed-mps" default:"0.2" help:"Noise of speeds, 1 sigma, m/s."`
	Seed       uint64  `default:"1" help:"Same seed, same noise."`
	Batch      int     `default:"10" help:"Samples a batch."`
	LeadIn     int     `default:"3" help:"Samples of the batch before that are repeated as context."`
	Draw       int     `default:"5" help:"How many of the worst to draw."`
}

// Run implements the subcommand.
func (c *evalSumoCmd) Run(ctx context.Context) error {
	return printReport(sumo.Run(ctx, sumo.Config{
		Options: c.options("sumo"), Map: c.Map, Batch: max(c.Batch, 1), LeadIn: max(c.LeadIn, 0), Draw: c.Draw,
		Noise: sumo.Noise{PositionM: c.PositionM, TauS: c.Tau, HeadingDeg: c.HeadingDeg, SpeedMPS: c.SpeedMPS, Seed: c.Seed},
	}))
}

// evalTwizyCmd scores what driven speeds tell of the posted limit.
type evalTwizyCmd struct {
	evalFlags `embed:""`
	Map       string `type:"existingfile" help:"OSM extract of the region, to match to its roads; default: cells of the ground."`
	UrbanKMH  uint8  `name:"urban-kmh" default:"60" help:"The country's limit in towns."`
	Least     int    `default:"5" help:"Samples that a place must have."`
}

// Run implements the subcommand.
func (c *evalTwizyCmd) Run(ctx context.Context) error {
	return printReport(twizy.Run(ctx, twizy.Config{Options: c.options("twizy"), Map: c.Map, UrbanKMH: c.UrbanKMH, MinSpeed: c.Least}))
}

// evalNdsCmd scores the detection of hard braking.
type evalNdsCmd struct {
	evalFlags `embed:""`
}

// Run implements the subcommand.
func (c *evalNdsCmd) Run(ctx context.Context) error {
	return printReport(nds.Run(ctx, c.options("nds")))
}

// evalOpenxcCmd shows what becomes of an OpenXC trace.
type evalOpenxcCmd struct {
	evalFlags `embed:""`
}

// Run implements the subcommand.
func (c *evalOpenxcCmd) Run(ctx context.Context) error {
	return printReport(openxc.Run(ctx, c.options("openxc")))
}

// evalBsmCmd shows what becomes of Basic Safety Messages.
type evalBsmCmd struct {
	evalFlags `embed:""`
}

// Run implements the subcommand.
func (c *evalBsmCmd) Run(ctx context.Context) error {
	return printReport(bsm.Run(ctx, c.options("bsm")))
}
