package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/eval/kubicka"
)

// evalCmd groups the scoring against ground truth; one subcommand a set.
type evalCmd struct {
	Kubicka evalKubickaCmd `cmd:"" help:"Map matching: real tracks with true routes."`
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
