package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/eval/bsm"
	"github.com/carasso/carasso/internal/eval/kubicka"
	"github.com/carasso/carasso/internal/eval/nds"
	"github.com/carasso/carasso/internal/eval/openxc"
	"github.com/carasso/carasso/internal/eval/sumo"
	"github.com/carasso/carasso/internal/eval/twizy"
)

// evalAllCmd runs every set that is there, and the simulated fleet.
type evalAllCmd struct {
	Dir      string   `arg:"" type:"path" help:"Folder that holds the sets' folders."`
	Out      string   `type:"path" help:"Folder to write results to, one folder a set."`
	Pictures string   `type:"path" help:"Folder to draw the worst cases to, one folder a set."`
	Skip     []string `help:"Sets to leave out: kubicka, sumo, twizy, nds, openxc, bsm, fleet."`
	Workers  int      `default:"0" help:"How many cases at once; 0: one a processor."`
	Quiet    bool     `help:"No progress on standard error."`

	Fleet evalFleetCmd `embed:"" prefix:"fleet-"`
}

// evalSet is one set of evalAllCmd.
type evalSet struct {
	name    string
	folders []string // names that its folder may have
	source  string   // where it comes from
	run     func(context.Context, eval.Options) (*eval.Report, error)
}

func evalSets() []evalSet {
	return []evalSet{
		{"kubicka", []string{"kubicka"}, "Zenodo record 57731, Kubicka et al. 2015: folders NNNNNNNN with .track, .nodes, .arcs, .route, also as .tar.xz", func(ctx context.Context, o eval.Options) (*eval.Report, error) {
			return kubicka.Run(ctx, kubicka.Config{Options: o, Sampling: []int{1, 5, 15, 30}, Draw: drawn})
		}},
		{"sumo", []string{"sumo-lux", "sumo"}, "an hour of the LuST scenario simulated by SUMO (obs, truth_lane, truth_edge_meanspeed, edges, nodes), and lust.legacy.scenario.osm.gz in lust-osm beside it", func(ctx context.Context, o eval.Options) (*eval.Report, error) {
			return sumo.Run(ctx, sumo.Config{Options: o, Noise: sumo.DefaultNoise(), Batch: 10, LeadIn: 3, Draw: drawn})
		}},
		{"twizy", []string{"rsk-twizy", "twizy"}, "trips of a Renault Twizy in Rabat-Salé with posted limits, CC-BY-4.0: Analyzed/*/*.csv, also as .tar.xz", func(ctx context.Context, o eval.Options) (*eval.Report, error) {
			return twizy.Run(ctx, twizy.Config{Options: o, UrbanKMH: 60, MinSpeed: 5})
		}},
		{"nds", []string{"nds-iowa", "nds"}, "naturalistic drives with labelled accelerometer events, MIT: nds_data_drives_1-19.csv.gz", nds.Run},
		{"openxc", []string{"openxc-monsoon", "openxc"}, "an OpenXC trace with the wipers' state, BSD-3-Clause: *.json.gz of {timestamp, name, value}", openxc.Run},
		{"bsm", []string{"wydot-bsm", "bsm"}, "sample data of the US DOT's Operational Data Environment (jpo-ode, folder data), Apache-2.0: *.json with a BSM a line, also as .tar.xz", bsm.Run},
	}
}

// drawn is how many of the worst cases are drawn.
const drawn = 5

// find is the set's folder, "" if there is none.
func (s *evalSet) find(dir string) string {
	for _, f := range s.folders {
		path := filepath.Join(dir, f)
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			return path
		}
	}
	return ""
}

// Run implements the subcommand. Missed aims and missing sets are told, not errors; a set
// that can't be scored is one, after all others have run.
func (c *evalAllCmd) Run(ctx context.Context) error {
	var aims []eval.Aim
	var missing []*evalSet
	var failed []error
	one := func(name string, run func() (*eval.Report, error)) error {
		started := time.Now()
		r, err := run()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
			return nil
		}
		r.Notes = append(r.Notes, fmt.Sprintf("Took %s.", time.Since(started).Round(100*time.Millisecond)))
		for _, a := range r.Aims {
			a.Name = name + ": " + a.Name
			aims = append(aims, a)
		}
		if err := r.Write(os.Stdout); err != nil {
			return err
		}
		_, err = fmt.Fprintln(os.Stdout)
		return err
	}
	sets := evalSets()
	for i := range sets {
		s := &sets[i]
		if slices.Contains(c.Skip, s.name) {
			continue
		}
		dir := s.find(c.Dir)
		if dir == "" {
			missing = append(missing, s)
			continue
		}
		flags := evalFlags{Dir: dir, Workers: c.Workers, Quiet: c.Quiet}
		if c.Out != "" {
			flags.Out = filepath.Join(c.Out, s.name)
		}
		if c.Pictures != "" {
			flags.Pictures = filepath.Join(c.Pictures, s.name)
		}
		if err := one(s.name, func() (*eval.Report, error) { return s.run(ctx, flags.options(s.name)) }); err != nil {
			return err
		}
	}
	if !slices.Contains(c.Skip, "fleet") {
		c.Fleet.Workers, c.Fleet.Quiet = c.Workers, c.Quiet
		if err := one("fleet", func() (*eval.Report, error) { return c.Fleet.report(ctx) }); err != nil {
			return err
		}
	}
	return c.summary(os.Stdout, aims, missing, failed)
}

// summary prints all aims once more, and loudly what is missing or failed.
func (c *evalAllCmd) summary(w io.Writer, aims []eval.Aim, missing []*evalSet, failed []error) error {
	r := eval.Report{Title: "all aims", Aims: aims}
	if err := r.Write(w); err != nil {
		return err
	}
	var b strings.Builder
	for _, s := range missing {
		fmt.Fprintf(&b, "\n!! MISSING: %s is not scored: no folder %s in %s.\n!!   Get it: %s.\n", s.name, strings.Join(s.folders, " or "), c.Dir, s.source)
	}
	for _, err := range failed {
		fmt.Fprintf(&b, "\n!! FAILED: %v\n", err)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return errors.Join(failed...)
}
