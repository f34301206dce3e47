package worker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// publisher makes the tiles of a layer readable, several at once: publishing waits for the stores.
type publisher struct {
	layer    string
	to       TilePublisher
	parallel int // default 8
	m        *ProjectorMetrics
	owed     debts // to be published again
	// pause is how long an overview, a tile of a lower zoom, is left as it is once it was published. Default 0.
	pause time.Duration
	later debts                 // overviews that are left so
	drawn map[tile.ID]time.Time // when overviews were published last; as many as the map has
}

// waits reports whether tiles are to be published as of now, whatever is new.
func (p *publisher) waits(now time.Time) bool { return len(p.owed.due(now))+len(p.later.due(now)) > 0 }

// unsettled are the tiles that are not as they should be.
func (p *publisher) unsettled() debts {
	if len(p.later) == 0 {
		return p.owed
	}
	all := maps.Clone(p.later)
	maps.Copy(all, p.owed)
	return all
}

// turn lists what is to be published now: of these tiles (z14 first) those that are not left as they are for a pause, and
// what has waited.
func (p *publisher) turn(ids []tile.ID, now time.Time) (turn []tile.ID) {
	if p.owed == nil {
		p.owed, p.later, p.drawn = debts{}, debts{}, map[tile.ID]time.Time{}
	}
	for _, id := range ids {
		if id.Z < road.Zoom {
			if until := p.drawn[id].Add(p.pause); until.After(now) && until.Sub(now) <= p.pause {
				p.later[id] = debt{after: until}
				continue
			}
		}
		turn = append(turn, id)
	}
	have := make(map[tile.ID]bool, len(turn))
	for _, id := range turn {
		have[id] = true
	}
	for _, id := range slices.Concat(p.owed.due(now), p.later.due(now)) {
		if !have[id] {
			have[id] = true
			turn = append(turn, id)
		}
	}
	for _, id := range turn {
		delete(p.later, id)
		if p.pause > 0 && id.Z < road.Zoom {
			p.drawn[id] = now
		}
	}
	return turn
}

// render encodes a tile, and for a z14 tile what cars are told of it.
type render func(ctx context.Context, id tile.ID) (mvt []byte, records []tile.Record, err error)

// publish renders and publishes tiles as of now, and those that are owed, and tells how many it made the
// current ones. What fails (a partialError tells) or loses to an equal or newer version is owed from then on.
func (p *publisher) publish(ctx context.Context, ids []tile.ID, now time.Time, r render) (published int, err error) {
	turn := p.turn(ids, now)
	var mu sync.Mutex
	var failed partialError
	var g errgroup.Group
	g.SetLimit(cmp.Or(p.parallel, 8))
	for _, id := range turn {
		g.Go(func() error {
			mu.Lock()
			skip := ctx.Err() != nil || hopeless(failed.failed, published)
			mu.Unlock()
			var won bool
			var err error
			if !skip {
				err = guarded(func() (err error) {
					won, err = p.one(ctx, id, now.UnixMilli(), r)
					return err
				})
			}
			mu.Lock()
			defer mu.Unlock()
			if won && err == nil {
				published++
				delete(p.owed, id)
				return nil
			}
			p.owed.add(id, now)
			if err != nil || skip {
				failed.failed++
				failed.first = cmp.Or(failed.first, err, ctx.Err())
				p.m.tiles.WithLabelValues(p.layer, "failed").Inc()
				p.m.panicked(p.layer, err)
			}
			return nil
		})
	}
	_ = g.Wait() // never an error
	if failed.failed > 0 {
		return published, &failed
	}
	return published, nil
}

// one tells whether it made the tile the current one.
func (p *publisher) one(ctx context.Context, id tile.ID, version int64, r render) (bool, error) {
	body, records, err := r(ctx, id)
	if err != nil {
		return false, fmt.Errorf("build %s tile %s: %w", p.layer, id, err)
	}
	ok, err := p.to.PublishLayer(ctx, p.layer, id, version, body, records)
	if err != nil {
		return false, fmt.Errorf("publish %s tile %s: %w", p.layer, id, err)
	}
	result := "outdated"
	if ok {
		result = "published"
	}
	p.m.tiles.WithLabelValues(p.layer, result).Inc()
	return ok, nil
}

// edgeTiles renders a layer of directed edges of which V is known.
type edgeTiles[V any] interface {
	Build(ctx context.Context, id tile.ID, known func(road.Edge) (V, bool)) ([]byte, error)
	Records(ctx context.Context, id tile.ID, known func(road.Edge) (V, bool)) ([]tile.Record, error)
}

// renderEdges is a render of such a layer.
func renderEdges[V any](t edgeTiles[V], known func(road.Edge) (V, bool)) render {
	return func(ctx context.Context, id tile.ID) (mvt []byte, records []tile.Record, err error) {
		if mvt, err = t.Build(ctx, id, known); err != nil || id.Z != road.Zoom {
			return mvt, nil, err
		}
		records, err = t.Records(ctx, id, known)
		return mvt, records, err
	}
}
