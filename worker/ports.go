package worker

import (
	"context"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
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

// Matcher finds the road under a trace: *match.Matcher. One goroutine uses it at a time.
type Matcher interface {
	// Match writes to out[i] where samples[i] was taken. An error is transient: the road
	// graph could not be read.
	Match(ctx context.Context, samples []telemetry.Sample, out []match.Result) error
	// Path is the way driven in the last Match; valid until the next one.
	Path() []match.Step
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
	// Erased tells in erased which batches, of a vehicle (the day's pseudonym) and accepted at a time (ms since the epoch), are of
	// somebody whose data was erased since. All slices are as long.
	Erased(ctx context.Context, vehicles []uint64, acceptedMS []int64, erased []bool) error
	// Speeds (by the minute), Health, Evidence and Dirty store what the flush learned.
	Speeds(ctx context.Context, rows []learn.SpeedRow) error
	Health(ctx context.Context, rows []learn.HealthRow) error
	Evidence(ctx context.Context, rows []learn.Evidence) error
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

// Redrives are the requests to try once more what is in quarantine. Safe for concurrent use.
type Redrives interface {
	// PendingRedrives lists the objects that pending requests are about, up to most, longest waiting first.
	PendingRedrives(ctx context.Context, most int) (objectKeys []string, err error)
}

// RedriveTx is the database's side of a redrive: a flush's transaction with what is to be tried again locked in it.
type RedriveTx interface {
	Tx
	// LockRedrives returns the pending requests about an object, none if another worker was faster. It comes first.
	LockRedrives(ctx context.Context, objectKey string) ([]ledger.RedriveRequest, error)
	// StillQuarantined is how much of an envelope the ledger has as quarantined; known is false if it does not have
	// the envelope at all.
	StillQuarantined(ctx context.Context, h *telemetry.Header) (left ledger.Count, known bool, err error)
	// Redriven enters the requests' results and moves what they moved in the ledger: adjusted is nil for nothing.
	Redriven(ctx context.Context, adjusted *ledger.Adjustment, results []ledger.RedriveResult) error
}

// StoredObjects reads objects back: what is in quarantine. Get of an absent one is fs.ErrNotExist.
type StoredObjects interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// ProjectorStore is the database's side of a Projector. Safe for concurrent use.
type ProjectorStore interface {
	// Now is the database's clock.
	Now(ctx context.Context) (time.Time, error)
	// Outbox reads up to limit rows of a layer, oldest first; DeleteOutbox deletes exactly
	// the given ones.
	Outbox(ctx context.Context, layer string, limit int) (ids []int64, tiles []learn.DirtyTile, err error)
	DeleteOutbox(ctx context.Context, ids []int64) error
	// GatherOutbox sums up to limit rows of a layer up by tile and tells how many it took; DirtyTiles
	// are up to limit such sums with how often each was marked, and DeleteDirtyTiles deletes those that were not
	// marked since.
	GatherOutbox(ctx context.Context, layer string, limit int) (taken int, err error)
	DirtyTiles(ctx context.Context, layer string, limit int) (tiles []learn.DirtyTile, marks []int64, err error)
	DeleteDirtyTiles(ctx context.Context, layer string, tiles []learn.DirtyTile, marks []int64) error
	// RecordProjection notes how fresh what a pass published was.
	RecordProjection(ctx context.Context, p ledger.Projection) error
}

// LiveTileStore lists the tiles that may be published with content that ages. Safe for concurrent
// use.
type LiveTileStore interface {
	LiveTiles(ctx context.Context, layer string) ([]uint32, error)
	SetLiveTiles(ctx context.Context, layer string, add, remove []uint32) error
}

// SpeedStore is the database's side of the speeds layer. Safe for concurrent use.
type SpeedStore interface {
	LiveTileStore
	// LiveSpeeds sums the directed segments of z14 tiles over the minutes that start from since to
	// until, and from recent to until.
	LiveSpeeds(ctx context.Context, tiles []uint32, since, recent, until time.Time, each func(learn.LiveSpeed)) error
	// TypicalSpeeds tells what is usual on them in the 5-minute slot of the week that a time (ms since the epoch) falls into, by
	// the profiles and what is not in them yet of weeks before, in no order.
	TypicalSpeeds(ctx context.Context, tiles []uint32, atMS int64, weeks int, each func(edge uint64, t learn.Typical)) error
	// StoredHistograms sums them over some 5-minute buckets (starts, ms since the epoch) of the past; s is valid during the call.
	StoredHistograms(ctx context.Context, tiles []uint32, bucketsMS []int64, each func(edge uint64, s *learn.Speed)) error
}

// SpeedTiles renders the speeds layer: *tile.Speeds. Safe for concurrent use.
type SpeedTiles interface {
	// Affected lists the tiles that show an edge owned by one of the z14 tiles (quadkeys).
	Affected(ctx context.Context, quadkeys []uint32) ([]tile.ID, error)
	// Build encodes a tile; nil when there is nothing to show.
	Build(ctx context.Context, id tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]byte, error)
	// Records are what cars are told of a z14 tile.
	Records(ctx context.Context, id tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]tile.Record, error)
}

// TilePublisher makes tiles readable: *tile.Publisher. Safe for concurrent use.
type TilePublisher interface {
	// PublishLayer makes a tile the current one unless the same or a newer version is.
	PublishLayer(ctx context.Context, layer string, id tile.ID, version int64, mvt []byte, records []tile.Record) (bool, error)
}

// FoldStore is the database's side of housekeeping.
type FoldStore interface {
	// Fold merges deltas into their base tables; deltas and written are rows.
	Fold(ctx context.Context) (deltas, written int, err error)
}
