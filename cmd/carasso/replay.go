package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

// newReplayer wires replays of the archive: with what workers match and learn with.
func newReplayer(b backends, db *postgres.DB, maps *roads, log *slog.Logger) *worker.Replayer {
	return worker.NewReplayer(worker.ReplayDeps{
		Store: db, Objects: b.objects, NewMatcher: newMatcher(maps), NewCollectors: newCollectors(maps), MapVersion: maps.Version, K: kAnonymity, Logger: log,
		Begin: func(ctx context.Context, r ledger.Replay) (worker.ReplayTx, error) {
			tx, err := db.BeginReplayTx(ctx, r)
			if err != nil {
				return nil, err
			}
			return tx, nil
		},
	})
}

// newBackfiller wires the taking in of archives, likewise.
func newBackfiller(b backends, db *postgres.DB, maps *roads, log *slog.Logger) *worker.Backfiller {
	return worker.NewBackfiller(worker.BackfillDeps{
		Store: db, Objects: b.objects, NewMatcher: newMatcher(maps), NewCollectors: newCollectors(maps), MapVersion: maps.Version, Logger: log,
		Begin: func(ctx context.Context, b ledger.Backfill, o ledger.BackfillObject, from, to time.Time) (worker.Tx, error) {
			tx, err := db.BeginBackfillFlush(ctx, b, o, from, to)
			if err != nil {
				return nil, err
			}
			return tx, nil
		},
	})
}
