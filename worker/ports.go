package worker

import (
	"context"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Queue hands out envelopes at least once. Safe for concurrent use.
type Queue interface {
	// Receive waits up to wait for a first delivery and returns at most max. An empty
	// result is no error.
	Receive(ctx context.Context, max int, wait time.Duration) ([]telemetry.Delivery, error)
	// Extend hides what is held from other receivers for visibility from now.
	Extend(ctx context.Context, ds []telemetry.Delivery, visibility time.Duration) error
	// Release gives back for redelivery after delay.
	Release(ctx context.Context, ds []telemetry.Delivery, delay time.Duration) error
	// Delete ends deliveries for good.
	Delete(ctx context.Context, ds []telemetry.Delivery) error
}

// DeadLetters is the queue of envelopes that failed too often. Safe for concurrent use.
type DeadLetters interface {
	ReceiveDead(ctx context.Context, max int) ([]telemetry.Delivery, error)
	DeleteDead(ctx context.Context, ds []telemetry.Delivery) error
}

// Objects stores the archive and the quarantine. A Put is atomic: readers see all of the
// object or none. Safe for concurrent use.
type Objects interface {
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
}

// Matcher finds the road under a trace. One goroutine uses it at a time.
type Matcher interface {
	// Match writes to edges[i] the directed segment that samples[i] was driven on, 0
	// when no road is plausible. Both have the same length. An error is transient
	// (a map partition could not be loaded).
	Match(ctx context.Context, samples []telemetry.Sample, edges []uint64) error
}

// Tx is the database's side of a flush: one transaction. Its methods are called in the
// order in which they are declared, by one goroutine; after an error only Rollback.
// An error with a method Permanent() bool that returns true will come again with the same
// data; any other is worth a retry.
type Tx interface {
	// Envelopes enters the envelopes into the ledger, their outcome still open, and tells in
	// fresh which of them were not handled before. Headers are distinct and sorted by
	// CompareHeaders.
	Envelopes(ctx context.Context, hs []*telemetry.Header, fresh []bool) error
	// Claim claims batches and tells in fresh which of them nobody claimed before. ids are
	// distinct and sorted; samples are the counted ones of each.
	Claim(ctx context.Context, ids []telemetry.ClaimID, samples []int16, fresh []bool) error
	// Speeds, Health, Hazards, Signs and Dirty store what the flush learned.
	Speeds(ctx context.Context, rows []learn.SpeedRow) error
	Health(ctx context.Context, rows []learn.HealthRow) error
	Hazards(ctx context.Context, rows []learn.HazardObservation) error
	Signs(ctx context.Context, rows []learn.SignObservation) error
	Dirty(ctx context.Context, layer string, tiles []learn.DirtyTile) error
	// Settle writes the outcome of the fresh envelopes, what was quarantined, and the
	// receivers' voided envelopes.
	Settle(ctx context.Context, es []ledger.Envelope, qs []ledger.Quarantined) error
	// Commit writes the manifest's entry and makes everything visible at once. After an error
	// it is unknown whether it did.
	Commit(ctx context.Context, f ledger.Flush) error
	// Rollback undoes everything. Without effect after Commit.
	Rollback(ctx context.Context)
}

// SpeedTiles publishes what is known about speeds as tiles for cars and the portal.
type SpeedTiles interface {
	// PublishSpeeds renders the z14 tile (a quadkey) from the given directed segments, all
	// of which may be shown, and makes it readable under the version, unless a newer one
	// is. It tells how many segments the published tile shows.
	PublishSpeeds(ctx context.Context, tile uint32, version int64, speeds []EdgeSpeed) error
	// PublishParents renders the z10 to z13 tiles above the given ones.
	PublishParents(ctx context.Context, tiles []uint32, version int64) error
}

// EdgeSpeed is the live speed of one directed segment, fit to be shown to anyone.
type EdgeSpeed struct {
	Edge                    uint64
	Samples, Vehicles       int
	MeanKMH, P15KMH, P50KMH float64
	P85KMH                  float64
}
