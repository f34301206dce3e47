package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

// signReader is a collector that tells which limits it could place on the road: *limit.Collector.
type signReader interface {
	// Placed gives each the limits read in the drive last collected: edge, time (ms since the epoch), km/h.
	Placed(each func(edge road.Edge, t int64, kmh uint8))
}

// LimitReader is the database's side of PostedLimits. Safe for concurrent use.
type LimitReader interface {
	// Limits lists up to most learned limits of directed segments in one of the half-open ranges of ids
	// and above after, lowest first; only those that are published, if publishedOnly.
	Limits(ctx context.Context, ranges [][2]uint64, publishedOnly bool, after uint64, most int) ([]limit.Limit, error)
}

// How much PostedLimits keeps, and how fresh.
const (
	postedTiles = 4096 // about 100 limits each
	postedEvery = 5 * time.Second
	postedFresh = 15 * time.Minute
	postedBatch = 64 // tiles read at a turn
	postedMost  = 100_000
)

// PostedLimits remembers the limits that are published, so that a flush can hold signs against them without waiting for
// the database: of a tile that was never asked for, nothing is known until a moment later. Safe for concurrent use.
type PostedLimits struct {
	store LimitReader
	log   *slog.Logger
	now   func() time.Time

	mu    sync.Mutex
	tiles map[uint32]*postedTile
}

type postedTile struct {
	kmh  map[road.Edge]uint8
	read time.Time // zero: not yet
	used time.Time
}

// NewPostedLimits remembers nothing yet; Run reads.
func NewPostedLimits(store LimitReader, log *slog.Logger) *PostedLimits {
	return &PostedLimits{store: store, log: log, now: time.Now, tiles: map[uint32]*postedTile{}}
}

// of is the limit that is published for an edge, if that is known here.
func (p *PostedLimits) of(e road.Edge) (kmh uint8, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tiles[e.Quadkey()]
	if t == nil {
		if len(p.tiles) >= postedTiles {
			return 0, false
		}
		t = &postedTile{}
		p.tiles[e.Quadkey()] = t
	}
	t.used = p.now()
	kmh, ok = t.kmh[e]
	return kmh, ok
}

// Run reads what was asked for, every few seconds until ctx ends, and forgets what is not any more.
func (p *PostedLimits) Run(ctx context.Context) error {
	tick := time.NewTicker(postedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := p.refresh(ctx); err != nil && ctx.Err() == nil {
				p.log.WarnContext(ctx, "published limits not read", "error", err)
			}
		}
	}
}

// refresh reads the tiles that are asked for and not read lately, a few at a time.
func (p *PostedLimits) refresh(ctx context.Context) error {
	read := map[uint32]map[road.Edge]uint8{}
	var ranges [][2]uint64
	p.mu.Lock()
	now := p.now()
	for q, t := range p.tiles {
		switch {
		case now.Sub(t.used) > postedFresh:
			delete(p.tiles, q)
		case now.Sub(t.read) > postedFresh && len(ranges) < postedBatch:
			read[q] = map[road.Edge]uint8{}
			first, last := road.EdgeRange(q)
			ranges = append(ranges, [2]uint64{uint64(first), uint64(last) + 1})
		}
	}
	p.mu.Unlock()
	if len(ranges) == 0 {
		return nil
	}
	limits, err := p.store.Limits(ctx, ranges, true, 0, postedMost)
	if err != nil {
		return err
	}
	for i := range limits {
		read[limits[i].Edge.Quadkey()][limits[i].Edge] = limits[i].KMH
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for q, kmh := range read {
		if t := p.tiles[q]; t != nil {
			t.kmh, t.read = kmh, now
		}
	}
	return nil
}
