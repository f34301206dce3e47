package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Role is a duty that one process at a time has.
type Role int64

// The roles. Their values are the keys of advisory locks, unlikely to be used by others.
const (
	RoleMaintainer Role = 0x6361_7261_7373_6f01 + iota // folds deltas
	RoleProjector                                      // publishes tiles
	lockPartitions
	lockFold
	lockHazards
	lockRedrive
	lockRiver
	lockFlush
	lockReplay
	lockTypical
	lockWebhooks
	lockBackfill
	lockArchive
)

// errLeadLost is the cause of the context's end when leadership was lost.
var errLeadLost = errors.New("leadership lost: the database session ended")

// Lead runs f while this process, alone of all, holds the role; it waits until it can get
// it, trying every retry. f's context ends when the session that holds the lock is lost, and
// so may another leader begin before f has noticed: f's work must bear that. Lead
// returns what f returns, or an error when the database does not answer.
func (db *DB) Lead(ctx context.Context, role Role, retry time.Duration, f func(ctx context.Context) error) error {
	cc := db.pool.Config().ConnConfig
	if err := db.beforeConnect(ctx, cc); err != nil {
		return wrap("connect for leadership", err)
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return wrap("connect for leadership", err)
	}
	defer func() {
		// Closing the session releases its lock.
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = conn.Close(cctx)
	}()
	tick := time.NewTicker(retry)
	defer tick.Stop()
	for {
		var held bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(role)).Scan(&held); err != nil {
			return wrap("try for leadership", err)
		}
		if held {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	lead, lost := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch(lead, conn, retry, lost)
	}()
	err = f(lead)
	if cause := context.Cause(lead); errors.Is(cause, errLeadLost) {
		err = errors.Join(cause, err)
	}
	lost(context.Canceled)
	<-watched
	return err
}

// watch pings the session until ctx ends, and calls lost when it does not answer.
func watch(ctx context.Context, conn *pgx.Conn, every time.Duration, lost context.CancelCauseFunc) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pctx, cancel := context.WithTimeout(ctx, max(every, 5*time.Second))
		err := conn.Ping(pctx)
		cancel()
		if err != nil && ctx.Err() == nil {
			lost(fmt.Errorf("%w: %w", errLeadLost, err))
			return
		}
	}
}
