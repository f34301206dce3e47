package worker

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"

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
}

// render encodes a tile, and for a z14 tile what cars are told of it.
type render func(ctx context.Context, id tile.ID) (mvt []byte, records []tile.Record, err error)

// publish renders and publishes tiles and tells how many it made the current ones.
func (p *publisher) publish(ctx context.Context, ids []tile.ID, version int64, r render) (published int, err error) {
	var won atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(p.parallel, 8))
	for _, id := range ids {
		g.Go(func() error {
			ok, err := p.one(gctx, id, version, r)
			if ok {
				won.Add(1)
			}
			return err
		})
	}
	err = g.Wait()
	return int(won.Load()), err
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
