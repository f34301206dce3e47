package management

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"time"

	"github.com/carasso/carasso/internal/audit"
	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/keyring"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Store answers from the database, each call from one consistent snapshot. Safe for
// concurrent use.
type Store interface {
	// Ledger accounts for the envelopes accepted in [from, to).
	Ledger(ctx context.Context, from, to time.Time) (ledger.Report, error)
	// ClaimedIn counts the claims that the flushes committed in [from, to) hold.
	ClaimedIn(ctx context.Context, from, to time.Time) (ledger.Count, error)
	// Claimed tells for each id how many samples were archived under it, -1 if it is unknown.
	Claimed(ctx context.Context, ids []telemetry.ClaimID) ([]int, error)
	// Activity is what the pipeline did lately. backlogged says that the queue is not empty:
	// then the newest acceptances are not in the database yet.
	Activity(ctx context.Context, backlogged bool) (ledger.Activity, error)
	// Totals adds up what was committed in [from, to).
	Totals(ctx context.Context, from, to time.Time) (ledger.Totals, error)
	// Speeds returns the aggregates of up to limit directed segments, each summed over the
	// buckets that start in [from, to) and separately per UTC day (BucketMS is the day's
	// start), by edge and day. The segments are those with data in one of the half-open
	// ranges of ids and above after, lowest first.
	Speeds(ctx context.Context, from, to time.Time, ranges [][2]uint64, after uint64, limit int) ([]learn.SpeedRow, error)
	// EdgeSpeeds returns one directed segment's aggregates by bucket, for those that start
	// in [from, to).
	EdgeSpeeds(ctx context.Context, edge uint64, from, to time.Time) ([]learn.SpeedRow, error)
	// SpeedCells sums speeds up by directed segment and group of time; c is valid during the call. An error of each ends it
	// and is returned.
	// It wraps learn.ErrTooMuch if there are too many cells.
	SpeedCells(ctx context.Context, q learn.CellQuery, each func(c *learn.SpeedCell) error) error
	// Freshness tells for each directed segment since when, in ms since the epoch, k distinct vehicles drove on it: to five minutes within the
	// last 24 hours of the range, by UTC day before. Segments with fewer are left out. It wraps learn.ErrTooMuch if there are too many.
	Freshness(ctx context.Context, q learn.FreshnessQuery, each func(edge uint64, sinceMS int64)) error
	// SampleTime is what a sample with a speed stands for in time, on average over the fleet in [from, to); ok is false if nothing tells.
	SampleTime(ctx context.Context, from, to time.Time) (t time.Duration, ok bool, err error)
	// TypicalSpeeds tells what is usual on the segments of tiles of zoom 14 in the 5-minute slot of the week that a time (ms since the
	// epoch) falls into, by the profiles and what is not in them yet of weeks before, in no order.
	TypicalSpeeds(ctx context.Context, tiles []uint32, atMS int64, weeks int, each func(edge uint64, t learn.Typical)) error
	// LimitHistory lists up to most changes of limits in [from, to) on directed segments in one of the half-open ranges of ids, with
	// ids above after, lowest first.
	LimitHistory(ctx context.Context, from, to time.Time, ranges [][2]uint64, after uint64, most int) ([]limit.PastChange, error)
	// HazardHistory lists up to most hazards in a box that were active within [from, to), by when they began.
	HazardHistory(ctx context.Context, from, to time.Time, box geo.Box, most int) ([]hazard.Hazard, error)
	// SensorHealth sums sensor health up by model, software version and group of time, in that order. It wraps
	// learn.ErrTooMuch if there are more than q.Most cells.
	SensorHealth(ctx context.Context, q learn.HealthQuery) ([]learn.HealthCell, error)
	Learned
	AuditLog
	Quarantine
	Replays
	Webhooks
	Erasures
	// ArchivedIn adds up what flushes committed in [from, to) have archived: counted samples, and bytes of objects.
	ArchivedIn(ctx context.Context, from, to time.Time) (samples, bytes int64, err error)
}

// Quarantine is what could not be used. Safe for concurrent use.
type Quarantine interface {
	// Quarantine lists entries, newest first; Quarantined looks one up, with its redrives, newest first.
	Quarantine(ctx context.Context, f ledger.QuarantineFilter) ([]ledger.QuarantineEntry, error)
	Quarantined(ctx context.Context, id int64) (e ledger.QuarantineEntry, redrives []ledger.Redrive, found bool, err error)
	// RequestRedrive asks workers to try up to f.Most open entries again, and returns how many it asked for;
	// RequestRedriveOf asks for one, if it is open, and tells what it was.
	RequestRedrive(ctx context.Context, f ledger.QuarantineFilter) (int, error)
	RequestRedriveOf(ctx context.Context, id int64) (before ledger.QuarantineState, found bool, err error)
}

// Objects reads stored objects. Get of an absent one is fs.ErrNotExist. Safe for concurrent use.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// AuditLog keeps who changed what. Safe for concurrent use.
type AuditLog interface {
	// BeginAudit enters what is about to be changed, durably; EndAudit what came of it, once.
	BeginAudit(ctx context.Context, e audit.Entry) (id int64, err error)
	EndAudit(ctx context.Context, id int64, r audit.Result) error
	// Audit lists the log, newest first.
	Audit(ctx context.Context, f audit.Filter) ([]audit.Record, error)
}

// Learned answers what was learned from the fleet. Safe for concurrent use.
type Learned interface {
	// HazardsIn lists up to most hazards in a box with ids above after, lowest first: the active ones and those
	// that ended after endedSince.
	HazardsIn(ctx context.Context, endedSince time.Time, box geo.Box, after uint64, most int) ([]hazard.Hazard, error)
	// HazardRevisionsIn is the same with what was stored of each beside its state, for feeds.
	HazardRevisionsIn(ctx context.Context, endedSince time.Time, box geo.Box, most int) ([]hazard.Revision, error)
	// Limits lists up to most learned limits of directed segments in one of the half-open ranges of ids
	// and above after, lowest first; only those that are published, if publishedOnly.
	Limits(ctx context.Context, ranges [][2]uint64, publishedOnly bool, after uint64, most int) ([]limit.Limit, error)
	// LimitChanges lists up to most changes of a directed segment's limit, newest first.
	LimitChanges(ctx context.Context, edge uint64, most int) ([]limit.Change, error)
	// MapErrors lists candidates for errors of the map, lowest id first.
	MapErrors(ctx context.Context, f maperror.Filter) ([]maperror.Reviewed, error)
	// ReviewMapError enters a person's decision and tells what the state was before, and whether there is such a candidate.
	ReviewMapError(ctx context.Context, id uint64, status maperror.Status) (before maperror.Status, found bool, err error)
}

// Roads is the map that segments are described from. Safe for concurrent use.
type Roads interface {
	// Segment looks a segment up; ok is false if the map has none of that id.
	Segment(ctx context.Context, id road.SegmentID) (seg road.Segment, ok bool, err error)
	// Manifest describes the whole map; ok is false while there is none.
	Manifest() (m road.Manifest, ok bool)
	// Partition is the roads of a tile of zoom 14.
	Partition(ctx context.Context, quadkey uint32) (*road.Partition, error)
}

// Live reads the live store. Get of an absent item is fs.ErrNotExist. Safe for concurrent use.
type Live interface {
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
}

// Queue tells how much waits between receivers and workers.
type Queue interface {
	Depth(ctx context.Context) (telemetry.QueueDepth, error)
}

// Ring derives the id under which a batch was claimed, the one under which a vehicle's status is kept, and what it was called on the
// days whose key exists; and it signs receipts.
type Ring interface {
	Pseudonyms(ctx context.Context, vehicle string, from, to time.Time) ([]keyring.DayPseudonym, error)
	SignReceipt(document []byte) []byte
	ReceiptKey() ed25519.PublicKey
	StatusID(vehicle string) [16]byte
	ClaimID(vehicle string, batch telemetry.BatchID) telemetry.ClaimID
}

// Verifier proves who sent a request.
type Verifier interface {
	Authenticate(r *http.Request) (credential.Identity, error)
}
