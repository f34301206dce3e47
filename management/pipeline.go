package management

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/carasso/carasso/internal/scaling"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

type pipelineDoc struct {
	At                    time.Time               `json:"at"`
	AcceptedBatchesPerS   float64                 `json:"accepted_batches_per_s"`
	ProcessedBatchesPerS  float64                 `json:"processed_batches_per_s"`
	SamplesPerS           float64                 `json:"samples_per_s"`
	AcceptedBatchesPerS60 float64                 `json:"accepted_batches_per_s_60s"`
	ProcessedPerS60       float64                 `json:"processed_batches_per_s_60s"`
	SamplesPerS60         float64                 `json:"samples_per_s_60s"`
	Queue                 queueDoc                `json:"queue"`
	LagS                  float64                 `json:"lag_s"`
	Freshness             map[string]freshnessDoc `json:"freshness"`
	Workers               []workerDoc             `json:"workers"`
	Scaling               scalingDoc              `json:"scaling"`
	OutboxTiles           int64                   `json:"outbox_tiles"`
	Totals                totalsDoc               `json:"totals"`
	Database              databaseDoc             `json:"database"`
}

type queueDoc struct {
	OK          bool    `json:"ok"`
	Visible     int64   `json:"visible"`
	InFlight    int64   `json:"in_flight"`
	DeadLetters int64   `json:"dead_letters"`
	OldestAgeS  float64 `json:"oldest_age_s"`
}

type freshnessDoc struct {
	P50S      float64 `json:"p50_s"` // from acceptance
	P95S      float64 `json:"p95_s"`
	MaxS      float64 `json:"max_s"`
	EventP50S float64 `json:"event_p50_s"` // from the events' own time, of what vehicles sent promptly
	EventP95S float64 `json:"event_p95_s"`
	LateShare float64 `json:"late_share"` // of the tiles, those of what they did not
	Tiles     int64   `json:"tiles"`
}

type workerDoc struct {
	Name            string    `json:"name"`
	BatchesPerS     float64   `json:"batches_per_s"`
	SamplesPerS     float64   `json:"samples_per_s"`
	Flushes         int64     `json:"flushes"`
	LastCommittedAt time.Time `json:"last_committed_at"`
}

// scalingDoc is autoscaling's view: package scaling says how it is reckoned.
type scalingDoc struct {
	Backlog         int64   `json:"backlog"`
	PerWorker       float64 `json:"backlog_per_worker"`
	EnvelopesPerS   float64 `json:"envelopes_per_s_per_worker"`
	Workers         int     `json:"workers"`
	DesiredWorkers  int     `json:"desired_workers"`
	LatencyTargetS  float64 `json:"latency_target_s"`
	AllowedBacklog  float64 `json:"allowed_backlog_per_worker"`
	CapacityAssumed bool    `json:"capacity_assumed"`
}

func newScalingDoc(a *ledger.Activity, depth telemetry.QueueDepth) scalingDoc {
	l := scaling.Load{Backlog: depth.Visible + depth.InFlight, Workers: len(a.Workers), EnvelopesPerS: a.EnvelopesPerS}
	perWorker, assumed := l.Throughput()
	return scalingDoc{
		Backlog: l.Backlog, PerWorker: round(l.BacklogPerWorker(), 1), EnvelopesPerS: round(perWorker, 2), Workers: l.Workers,
		DesiredWorkers: l.Desired(), LatencyTargetS: scaling.LatencyTarget.Seconds(),
		AllowedBacklog: round(scaling.LatencyTarget.Seconds()*perWorker, 1), CapacityAssumed: assumed,
	}
}

type totalsDoc struct {
	Envelopes          int64 `json:"envelopes"`
	Handled            int64 `json:"handled"`
	Archived           int64 `json:"archived"`
	Duplicate          int64 `json:"duplicate"`
	Quarantined        int64 `json:"quarantined"`
	HandledSamples     int64 `json:"handled_samples"`
	ArchivedSamples    int64 `json:"archived_samples"`
	DuplicateSamples   int64 `json:"duplicate_samples"`
	QuarantinedSamples int64 `json:"quarantined_samples"`
}

type databaseDoc struct {
	OK        bool    `json:"ok"`
	LatencyMS float64 `json:"latency_ms"`
}

func (s *Server) getPipeline(r *http.Request) (any, error) {
	return s.pipeline.get(r.Context())
}

// pipelineCache answers all askers within a short time with one look at the database and
// the queue. When one of them is away, it repeats the last figures and says so.
type pipelineCache struct {
	store   Store
	queue   Queue
	every   time.Duration
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	shared  *shared[pipelineDoc]
	totals  runningTotals // used by one loader at a time
}

func newPipelineCache(cfg Config, deps Deps) *pipelineCache {
	return &pipelineCache{
		store: deps.Store, queue: deps.Queue, every: cfg.PipelineEvery, timeout: cfg.QueryTimeout, now: deps.Now, log: deps.Logger,
		shared: newShared[pipelineDoc](), totals: runningTotals{store: deps.Store},
	}
}

func (c *pipelineCache) get(ctx context.Context) (*pipelineDoc, error) {
	doc, err := c.shared.get(ctx, c.now, c.every, c.timeout, c.look)
	if err == nil {
		return doc, nil
	}
	last, _ := c.shared.last(c.now())
	if last == nil || ctx.Err() != nil {
		return nil, err
	}
	c.log.WarnContext(ctx, "pipeline state is out of reach", "error", err)
	stale := *last
	stale.Database.OK = false
	return &stale, nil
}

func (c *pipelineCache) look(ctx context.Context) (pipelineDoc, error) {
	depth, queueErr := c.queue.Depth(ctx)
	backlog := depth.Visible+depth.InFlight > 0
	started := time.Now()
	a, err := c.store.Activity(ctx, backlog)
	if err != nil {
		return pipelineDoc{}, err
	}
	latency := time.Since(started)
	totals, err := c.totals.until(ctx, a.At)
	if err != nil {
		return pipelineDoc{}, err
	}
	doc := newPipelineDoc(&a, depth, totals)
	doc.Queue.OK = queueErr == nil
	doc.Database = databaseDoc{OK: true, LatencyMS: round(latency.Seconds()*1000, 1)}
	if queueErr != nil {
		c.log.WarnContext(ctx, "queue depth is out of reach", "error", queueErr)
	}
	return doc, nil
}

func newPipelineDoc(a *ledger.Activity, depth telemetry.QueueDepth, t ledger.Totals) pipelineDoc {
	doc := pipelineDoc{
		At:                  a.At,
		AcceptedBatchesPerS: round(a.Accepted10.Batches, 1), ProcessedBatchesPerS: round(a.Processed10.Batches, 1),
		SamplesPerS:           round(a.Processed10.Samples, 1),
		AcceptedBatchesPerS60: round(a.Accepted60.Batches, 1), ProcessedPerS60: round(a.Processed60.Batches, 1),
		SamplesPerS60: round(a.Processed60.Samples, 1),
		Queue: queueDoc{
			Visible: depth.Visible, InFlight: depth.InFlight, DeadLetters: depth.DeadLetters,
			OldestAgeS: round(depth.OldestAge.Seconds(), 3),
		},
		Freshness: freshness(a.Freshness), Workers: []workerDoc{}, Scaling: newScalingDoc(a, depth), OutboxTiles: a.OutboxTiles,
		Totals: totalsDoc{
			t.Envelopes,
			t.Handled.Batches, t.Archived.Batches, t.Duplicate.Batches, t.Quarantined.Batches,
			t.Handled.Samples, t.Archived.Samples, t.Duplicate.Samples, t.Quarantined.Samples,
		},
	}
	if depth.Visible+depth.InFlight > 0 && !a.NewestAccepted.IsZero() {
		doc.LagS = round(max(a.At.Sub(a.NewestAccepted).Seconds(), 0), 3)
	}
	for _, w := range a.Workers {
		doc.Workers = append(doc.Workers, workerDoc{w.Name, round(w.Rate.Batches, 1), round(w.Rate.Samples, 1), w.Flushes, w.LastCommitted})
	}
	return doc
}

// freshness sums passes up per layer: the median of the passes' medians and the 95th
// percentile of their 95th percentiles, each pass weighted by its tiles. What vehicles sent late counts from
// its acceptance, but not from the event.
func freshness(passes []ledger.Projection) map[string]freshnessDoc {
	byLayer := map[string][]ledger.Projection{}
	for _, p := range passes {
		byLayer[p.Layer] = append(byLayer[p.Layer], p)
	}
	docs := make(map[string]freshnessDoc, len(byLayer))
	for layer, ps := range byLayer {
		var d freshnessDoc
		var prompt []ledger.Projection
		var late, total float64
		for _, p := range ps {
			d.Tiles += p.Tiles
			d.MaxS = max(d.MaxS, round(p.MaxS, 3))
			total += weight(p)
			if p.Late {
				late += weight(p)
			} else {
				prompt = append(prompt, p)
			}
		}
		d.LateShare = round(late/total, 4)
		d.P50S = round(weighted(ps, 0.50, func(p ledger.Projection) float64 { return p.P50S }), 3)
		d.P95S = round(weighted(ps, 0.95, func(p ledger.Projection) float64 { return p.P95S }), 3)
		d.EventP50S = round(weighted(prompt, 0.50, func(p ledger.Projection) float64 { return p.EventP50S }), 3)
		d.EventP95S = round(weighted(prompt, 0.95, func(p ledger.Projection) float64 { return p.EventP95S }), 3)
		docs[layer] = d
	}
	return docs
}

// weight is how much a pass counts: by its tiles, and if it published none a little.
func weight(p ledger.Projection) float64 { return float64(max(p.Tiles, 1)) }

// weighted is the value at or below which a share q of the tiles lies. It sorts ps.
func weighted(ps []ledger.Projection, q float64, value func(ledger.Projection) float64) float64 {
	slices.SortFunc(ps, func(a, b ledger.Projection) int { return cmp.Compare(value(a), value(b)) })
	var total, below float64
	for _, p := range ps {
		total += weight(p)
	}
	for _, p := range ps {
		if below += weight(p); below >= q*total {
			return value(p)
		}
	}
	return 0
}
