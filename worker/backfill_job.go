package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/telemetry/ledger"
)

// BackfillArgs are the arguments of a backfill.
type BackfillArgs struct {
	Prefix string `json:"prefix" doc:"How the keys of the archive's objects begin, in this deployment's object store."`
	From   string `json:"from" doc:"First UTC day of event time to take in, YYYY-MM-DD."`
	To     string `json:"to" doc:"Last UTC day, YYYY-MM-DD; the first if empty."`
}

func (a BackfillArgs) days() (from, to time.Time, err error) { return ReplayArgs{a.From, a.To}.days() }

// Validate implements job.Args.
func (a BackfillArgs) Validate() error {
	if a.Prefix == "" || len(a.Prefix) > 512 || strings.HasPrefix(a.Prefix, "/") || strings.Contains(a.Prefix, "..") || strings.Contains(a.Prefix, "//") ||
		strings.ContainsFunc(a.Prefix, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return &job.ArgsError{Pointer: "/prefix", Detail: "expected how keys begin, as import/2026/, of 1 to 512 bytes"}
	}
	_, _, err := a.days()
	return err
}

// Kind is the kind of jobs that take archives in.
func (p *Backfiller) Kind() (job.Kind, error) {
	return job.Define(job.Spec{
		Name: "backfill", Timeout: 24 * time.Hour,
		Description: "Takes in what an archive of another deployment, or from before, holds of some days: matched, archived, added up, in the ledger, each batch once.",
	}, func(ctx context.Context, a BackfillArgs, to job.Progress) (any, error) {
		report, err := p.Run(ctx, a, to)
		if errors.Is(err, ledger.ErrBackfillDays) { // trying again does not help
			return nil, &job.ArgsError{Pointer: "/from", Detail: err.Error()}
		}
		if err != nil {
			return nil, fmt.Errorf("it goes on where it stands when it is started again: %w", err)
		}
		return report, nil
	})
}
