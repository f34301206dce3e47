package tile_test

import (
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/tile"
)

// Whatever publications have left behind, what readers may still ask for is named: the current version and the one before.
func TestNamed(t *testing.T) {
	o, l := &memory{m: map[string][]byte{}}, &live{m: map[string]item{}}
	p := tile.NewPublisher(o, l)
	id := tile.ID{Z: 14, X: 8261, Y: 6050}
	for v := range int64(4) {
		records := []tile.Record{{Key: 7, Value: []byte{byte(v)}}}
		if won, err := p.PublishLayer(t.Context(), tile.SpeedLayer, id, time.Now().UnixMilli()+v, []byte{1, byte(v)}, records); err != nil || !won {
			t.Fatalf("%v, %v", won, err)
		}
	}
	published := o.under(tile.Prefix)
	stray := tile.ObjectKey(tile.SpeedLayer, id, "1-of-a-failed-publication")
	other := tile.ObjectKey(tile.SpeedLayer, tile.ID{Z: 14, X: 1, Y: 1}, "1-never-pointed-to")
	roads, oldRoads := tile.ObjectKey(tile.Roads, id, "v2"), tile.ObjectKey(tile.Roads, id, "v1")
	named, err := tile.Named(t.Context(), l, "v2", append([]string{stray, other, roads, oldRoads, "tiles/something/else"}, published...))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(published, roads, "tiles/something/else") {
		if !named[key] {
			t.Errorf("%s may be asked for", key)
		}
	}
	for _, key := range []string{stray, other, oldRoads} {
		if named[key] {
			t.Errorf("%s can't be read by anybody", key)
		}
	}
	if len(published) < 2 {
		t.Errorf("published: %v", published)
	}
}
