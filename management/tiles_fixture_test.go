package management_test

import (
	"context"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// demoMap is a street in the tile of zoom 14 that the API's examples name.
const demoMap = `<?xml version="1.0"?><osm version="0.6">
<node id="1" lat="42.52119" lon="1.49900"/><node id="2" lat="42.52111" lon="1.50271"/>
<way id="1"><nd ref="1"/><nd ref="2"/><tag k="highway" v="primary"/><tag k="name" v="Avinguda de Tarragona"/></way>
</osm>`

// demoTiles is the real handler of tiles, over that map and without anything live.
func demoTiles(t *testing.T) http.Handler {
	t.Helper()
	objects, err := disk.Open(disk.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := mapdata.Import(t.Context(), strings.NewReader(demoMap), objects, mapdata.ImportOptions{Source: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	return tile.NewHandler(tile.HandlerConfig{
		Objects: objects, Live: nothingLive{}, Hazards: quiet{},
		Manifest: func() (road.Manifest, bool) { return manifest, true },
	})
}

type nothingLive struct{}

func (nothingLive) Get(context.Context, string) ([]byte, int64, error) { return nil, 0, fs.ErrNotExist }

func (nothingLive) PutIfNewer(context.Context, string, int64, []byte, time.Duration) (bool, error) {
	return false, nil
}

// quiet has no hazards.
type quiet struct{}

func (quiet) Since(context.Context, int64) ([]hazard.Hazard, int64, error) { return nil, 0, nil }
