package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/eval/bsm"
	"github.com/carasso/carasso/internal/replay"
	"github.com/carasso/carasso/telemetry"
)

// fleetGroup is what drives against a receiver: without a further word, the simulation.
type fleetGroup struct {
	Drive  fleetCmd       `cmd:"" default:"withargs" help:"Drive a simulated fleet against a receiver, then verify what it sent."`
	Replay fleetReplayCmd `cmd:"" help:"Send recorded drives to a receiver as if they happened now."`
}

// fleetReplayCmd sends recordings.
type fleetReplayCmd struct {
	Files     []string      `arg:"" type:"existingfile" help:"Recordings; .gz is unzipped."`
	Format    string        `default:"bsm" enum:"bsm" help:"Form of the recordings: bsm (J2735 as JSON of the ODE, one message a line)."`
	Target    string        `default:"http://127.0.0.1:8080" env:"CARASSO_TARGET" help:"Receiver's base URL."`
	Speedup   float64       `default:"1" help:"How many recorded seconds pass in one."`
	BatchSize int           `default:"10" help:"Samples a batch."`
	BatchTime time.Duration `default:"10s" help:"Recorded time after which a batch is sent though it is not full."`
	LeadIn    int           `default:"3" help:"Samples of the batch before that are repeated as context."`
	Keys      keyFlags      `embed:""`
}

// Run implements the subcommand: exit code 1 when a batch is refused for good.
func (c *fleetReplayCmd) Run(ctx context.Context, logs *logFlags) error {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	cfg := replay.DefaultConfig()
	cfg.Target, cfg.Speedup, cfg.BatchSize, cfg.BatchTime, cfg.LeadIn = c.Target, c.Speedup, c.BatchSize, c.BatchTime, c.LeadIn
	cfg.Vehicle = telemetry.Vehicle{Model: "replay", Software: c.Format}
	if err := cfg.Validate(); err != nil {
		return err
	}
	var messages []bsm.Message
	for _, path := range c.Files {
		ms, st, err := bsm.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %d messages; unusable: %s; other lines: %s\n", path, st.Valid, eval.Counts(st.Invalid), eval.Counts(st.Other))
		messages = append(messages, ms...)
	}
	if len(messages) == 0 {
		return errors.New("nothing to replay")
	}
	issuer, err := c.Keys.issuer()
	if err != nil {
		return err
	}
	if cfg.Token, err = issuer.Gateway("replay", tokenLife); err != nil {
		return err
	}
	trips, doubles := bsm.Trips(messages)
	plan := replay.Plan(&cfg, bsm.Drives(trips), time.Now())
	fmt.Fprintf(os.Stderr, "%d trips (%d messages twice), %d batches, for %s\n", len(trips), doubles, len(plan), plan[len(plan)-1].After.Round(time.Second))
	report, err := replay.Send(ctx, &cfg, plan, log)
	fmt.Fprintf(os.Stdout, "accepted %d of %d batches with %d samples and %d events in %s; %d retries\n",
		report.Batches, len(plan), report.Samples, report.Events, report.Took.Round(time.Millisecond), report.Retries)
	if err != nil {
		return err
	}
	if len(report.Refused) > 0 {
		return fmt.Errorf("refused for good: %s", eval.Counts(report.Refused))
	}
	return nil
}
