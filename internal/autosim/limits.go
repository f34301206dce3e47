package autosim

import (
	"cmp"
	"math"
	"slices"

	"github.com/carasso/carasso/internal/scaling"
)

// Measured is what one of each part was measured to; DESIGN.md, Measured, has the commands.
type Measured struct {
	SamplesPerBatch        float64
	DatabaseCPUPerMillion  float64 // CPU seconds of PostgreSQL per million samples
	DatabaseClaimsPerS     float64 // inserted one by one with a unique key, on two processors
	ObjectPutsPerMillion   float64 // flushes of the archive, per million samples
	EnvelopesHeldPerWorker float64 // in flight
	TilesPerS              float64 // published by the one projector
}

// Limit is how far a part is from what it can do.
type Limit struct {
	Part   string
	Unit   string
	Need   float64 // in the peak
	Can    float64
	Source string // of Can
	Remedy string
}

// Used is the share of what it can do that is needed.
func (l *Limit) Used() float64 { return l.Need / l.Can }

// Limits compares a peak, in batches a second, with what each part can do as it is deployed; the part that breaks first comes
// first. tiles are those of zoom 14 that are to be published a second, vcpus the database's.
func Limits(peak, tiles float64, c *Config, m Measured, vcpus float64) []Limit {
	samples := peak * m.SamplesPerBatch
	workers := math.Ceil(peak / c.Workers.PerTask)
	receivers := math.Ceil(peak / (scaling.ReceiverRequestsPerS))
	limits := []Limit{
		{"receivers", "tasks", receivers, float64(c.Receivers.Max), "MaxReceivers", "raise the bound; they share nothing"},
		{"workers", "tasks", workers, float64(c.Workers.Max), "MaxWorkers", "raise the bound once the database has connections and processors for them"},
		{
			"database connections", "connections", workers*scaling.DatabaseConnectionsPerWorker + scaling.DatabaseConnectionsBeside, scaling.DatabaseConnections, "max_connections",
			"a connection pooler (RDS Proxy), fewer connections a worker",
		},
		{
			"database processors", "vCPU at 50 %", samples / 1e6 * m.DatabaseCPUPerMillion / 0.5, vcpus, "the instance",
			"a larger instance up to 64 processors; then a database by region",
		},
		{"claims", "inserts/s", peak, m.DatabaseClaimsPerS, "measured on two processors", "claims sharded by their hash: one database each, or Citus"},
		{"tiles published", "tiles/s", tiles, m.TilesPerS, "one projector", "passes further apart, more at once; then projectors by region"},
		{"envelopes in flight", "messages", workers * m.EnvelopesHeldPerWorker, 120_000, "SQS standard queue", "queues by region"},
		{"archive PUTs", "requests/s", samples / 1e6 * m.ObjectPutsPerMillion, 3500, "S3, each prefix", "prefixes by hour are there; by shard, too"},
	}
	slices.SortStableFunc(limits, func(a, b Limit) int { return cmp.Compare(b.Used(), a.Used()) })
	return limits
}
