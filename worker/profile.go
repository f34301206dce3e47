package worker

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// profiles remembers what is usual in tiles: typical speeds and percentiles, read once in a
// 5-minute slot, and free flow, read twice a day. What is not read yet is not known, and
// each pass reads a bounded number of tiles, so that history never holds up the present.
type profiles struct {
	store SpeedStore
	k     int
	weeks int
	tiles map[uint32]*profile
}

// profile is what is usual in a tile.
type profile struct {
	slotMS int64 // bucket for which it was read
	freeMS int64 // when free flow was read
	edges  map[road.Edge]usual
}

// usual is what is usual on an edge, km/h; 0: not known.
type usual struct{ typical, free, p15, p50, p85 float32 }

func (u usual) typicalKMH() float64 {
	if u.typical == 0 {
		return math.NaN()
	}
	return float64(u.typical)
}

// speed is a tile's speed but for what is live.
func (u usual) speed() tile.Speed {
	return tile.Speed{
		TypicalKMH: float64(u.typical), FreeKMH: float64(u.free),
		P15KMH: float64(u.p15), P50KMH: float64(u.p50), P85KMH: float64(u.p85),
	}
}

// What a pass reads at most, and how much of the past.
const (
	slotTiles   = 256 // tiles whose typical speeds are read
	freeTiles   = 4   // tiles whose free flow is read: a hundred times as many buckets
	freeDays    = 14
	freeEvery   = 12 * time.Hour
	lateBuckets = 4 // of today, for percentiles
)

// read brings the profiles of tiles up to date, as far as a pass may.
func (p *profiles) read(ctx context.Context, quadkeys []uint32, now time.Time) error {
	slot := learn.BucketStart(now.UnixMilli())
	var late, free []uint32
	for _, q := range quadkeys {
		t := p.tiles[q]
		if t == nil {
			t = &profile{edges: map[road.Edge]usual{}}
			p.tiles[q] = t
		}
		if t.slotMS != slot {
			late = append(late, q)
		}
		if t.freeMS < now.Add(-freeEvery).UnixMilli() && len(free) < freeTiles {
			free = append(free, q)
		}
	}
	// Those that have waited longest come first, or the same tiles were read in each slot and others never.
	slices.SortStableFunc(late, func(a, b uint32) int { return cmp.Compare(p.tiles[a].slotMS, p.tiles[b].slotMS) })
	for _, q := range late[min(slotTiles, len(late)):] {
		if t := p.tiles[q]; t.slotMS < slot-learn.Bucket.Milliseconds() {
			t.forget()
		}
	}
	late = late[:min(slotTiles, len(late))]
	if err := p.readSlot(ctx, late, slot); err != nil {
		return err
	}
	return p.readFree(ctx, free, now)
}

func (p *profiles) readSlot(ctx context.Context, quadkeys []uint32, slot int64) error {
	if len(quadkeys) == 0 {
		return nil
	}
	for _, q := range quadkeys {
		t := p.tiles[q]
		t.slotMS = slot
		t.forget()
	}
	err := p.store.TypicalSpeeds(ctx, quadkeys, slot, p.weeks, func(edge uint64, t learn.Typical) {
		if t.Publishable(p.k) {
			p.set(edge, func(u *usual) { u.typical = float32(t.KMH) })
		}
	})
	if err != nil {
		return err
	}
	today := make([]int64, lateBuckets)
	for i := range today {
		today[i] = slot - int64(lateBuckets-1-i)*learn.Bucket.Milliseconds()
	}
	return p.store.StoredHistograms(ctx, quadkeys, today, func(edge uint64, s *learn.Speed) {
		if s.Publishable(p.k) {
			p.set(edge, func(u *usual) {
				u.p15, u.p50, u.p85 = float32(s.PercentileKMH(0.15)), float32(s.PercentileKMH(0.5)), float32(s.PercentileKMH(0.85))
			})
		}
	})
}

// forget forgets what is of a slot.
func (t *profile) forget() {
	for e, u := range t.edges {
		t.edges[e] = usual{free: u.free}
	}
}

func (p *profiles) readFree(ctx context.Context, quadkeys []uint32, now time.Time) error {
	for _, q := range quadkeys {
		t := p.tiles[q]
		t.freeMS = now.UnixMilli()
		box := geo.FromQuadkey(road.Zoom, q).Box()
		err := p.store.StoredHistograms(ctx, []uint32{q}, learn.QuietBuckets(now.UnixMilli(), box.West, freeDays), func(edge uint64, s *learn.Speed) {
			if kmh := learn.FreeFlowKMH(s, p.k); !math.IsNaN(kmh) {
				p.set(edge, func(u *usual) { u.free = float32(kmh) })
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *profiles) set(edge uint64, f func(*usual)) {
	e := road.Edge(edge)
	t := p.tiles[e.Quadkey()]
	if t == nil {
		return
	}
	u := t.edges[e]
	f(&u)
	t.edges[e] = u
}

func (p *profiles) of(e road.Edge) usual {
	if t := p.tiles[e.Quadkey()]; t != nil {
		return t.edges[e]
	}
	return usual{}
}

// keep forgets tiles that are not live any more.
func (p *profiles) keep(live map[uint32]*liveTile) {
	for q := range p.tiles {
		if live[q] == nil {
			delete(p.tiles, q)
		}
	}
}
