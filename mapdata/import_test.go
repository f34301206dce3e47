package mapdata_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/road"
)

// memory is an object store in memory.
type memory struct {
	mu   sync.Mutex
	m    map[string][]byte
	puts int
	fail func(key string) error
	last string
}

func newMemory() *memory { return &memory{m: make(map[string][]byte)} }

func (o *memory) Get(_ context.Context, key string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.m[key]
	if !ok {
		return nil, &fs.PathError{Op: "get", Path: key, Err: fs.ErrNotExist}
	}
	return b, nil
}

func (o *memory) Put(_ context.Context, key string, body []byte, _, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		if err := o.fail(key); err != nil {
			return err
		}
	}
	o.m[key] = body
	o.puts++
	o.last = key
	return nil
}

// osmTestdata is the testdata folder of paulmach/osm in the module cache.
func osmTestdata(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/paulmach/osm").Output()
	path := filepath.Join(strings.TrimSpace(string(dir)), "testdata", name)
	if _, statErr := os.Stat(path); err != nil || statErr != nil {
		tb.Fatalf("%s is missing (%v, %v): run `go mod download github.com/paulmach/osm`", name, err, statErr)
	}
	return path
}

func TestImportAndorra(t *testing.T) {
	objects := newMemory()
	path := osmTestdata(t, "andorra-latest.osm.bz2")
	var stages []string
	started := time.Now()
	m, err := mapdata.ImportFile(t.Context(), path, objects, mapdata.ImportOptions{Progress: func(p mapdata.Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("imported in %v: %d segments, %d edges, %.0f km, %d partitions with %d B, %d roads tiles",
		time.Since(started), m.Segments, m.Edges, m.LengthKM, len(m.Tiles), m.Bytes, m.RoadTiles)
	if diff := cmp.Diff([]string{"read", "build", "partitions", "tiles", "done"}, stages); diff != "" {
		t.Error(diff)
	}
	if objects.last != "map/source/"+strings.TrimPrefix(objects.last, "map/source/") || m.Attribution != "© OpenStreetMap contributors" {
		t.Errorf("last written %s, attribution %q", objects.last, m.Attribution)
	}
	if perEdge := float64(m.Bytes) / float64(2*m.Segments); perEdge > 120 {
		t.Errorf("%.0f B per directed edge, at most 120", perEdge)
	}

	g, _, err := road.LoadGraph(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	if g.NumSegments() != m.Segments || g.NumNodes() != m.Nodes {
		t.Errorf("graph has %d segments, %d nodes; manifest %d, %d", g.NumSegments(), g.NumNodes(), m.Segments, m.Nodes)
	}
	if perEdge := float64(g.MemoryBytes()) / float64(g.NumIndexes()); perEdge > 120 {
		t.Errorf("%.0f B of memory per directed edge, at most 120", perEdge)
	} else {
		t.Logf("%.1f B of memory per directed edge", perEdge)
	}

	puts := objects.puts
	again, err := mapdata.ImportFile(t.Context(), path, objects, mapdata.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again); diff != "" || objects.puts != puts {
		t.Errorf("the second import wrote %d objects; manifest: %s", objects.puts-puts, diff)
	}
}

func TestImportDelaware(t *testing.T) {
	objects := newMemory()
	started := time.Now()
	m, err := mapdata.ImportFile(t.Context(), osmTestdata(t, "delaware-latest.osm.pbf"), objects, mapdata.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("imported in %v: %d segments, %.0f km, %d partitions with %d B, %d tiles; %d MiB from the system",
		time.Since(started), m.Segments, m.LengthKM, len(m.Tiles), m.Bytes, m.RoadTiles, mem.Sys>>20)
	if mem.Sys > 1<<30 {
		t.Errorf("%d MiB, at most 1024", mem.Sys>>20)
	}
}

// village is a crossing of two roads.
const village = `<osm version="0.6">
<node id="1" lat="42.5" lon="1.50"/><node id="2" lat="42.5" lon="1.51"/><node id="3" lat="42.5" lon="1.52"/>
<node id="4" lat="42.49" lon="1.51"/><node id="5" lat="42.51" lon="1.51"/>
<way id="10"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="primary"/></way>
<way id="11"><nd ref="4"/><nd ref="2"/><nd ref="5"/><tag k="highway" v="residential"/></way>
</osm>`

func TestImportWritesCurrentLast(t *testing.T) {
	boom := errors.New("boom")
	for _, stop := range []string{"/14/", "tiles/roads/", "manifest.json", road.CurrentKey} {
		objects := newMemory()
		objects.fail = func(key string) error {
			if strings.Contains(key, stop) {
				return boom
			}
			return nil
		}
		if _, err := mapdata.Import(t.Context(), strings.NewReader(village), objects, mapdata.ImportOptions{}); !errors.Is(err, boom) {
			t.Fatalf("%s: %v", stop, err)
		}
		if _, ok := objects.m[road.CurrentKey]; ok {
			t.Errorf("%s failed, and yet the map is current", stop)
		}
		objects.fail = nil // tried again
		if _, err := mapdata.Import(t.Context(), strings.NewReader(village), objects, mapdata.ImportOptions{}); err != nil {
			t.Errorf("%s, again: %v", stop, err)
		}
		if objects.last != road.CurrentKey {
			t.Errorf("%s was written last", objects.last)
		}
	}
}

func TestImportVersionIsOfTheRoads(t *testing.T) {
	objects := newMemory()
	first, err := mapdata.Import(t.Context(), strings.NewReader(village), objects, mapdata.ImportOptions{})
	if err != nil || first.Segments != 4 || first.Edges != 8 || first.Nodes != 5 {
		t.Fatalf("%+v, %v", first, err)
	}
	// Another file with the same roads writes nothing.
	puts := objects.puts
	same := strings.Replace(village, `<way id="10">`, `<node id="9" lat="0" lon="0"/><way id="77">`, 1)
	second, err := mapdata.Import(t.Context(), strings.NewReader(same), objects, mapdata.ImportOptions{})
	if diff := cmp.Diff(first, second); diff != "" || err != nil || objects.puts != puts {
		t.Errorf("%v, %d objects written: %s", err, objects.puts-puts, diff)
	}
	// Another road is another map, and the old one can be made current again.
	third, err := mapdata.Import(t.Context(), strings.NewReader(strings.Replace(village, "primary", "trunk", 1)), objects, mapdata.ImportOptions{})
	if err != nil || third.Version == first.Version || string(objects.m[road.CurrentKey]) != third.Version {
		t.Errorf("version %s, current %s: %v", third.Version, objects.m[road.CurrentKey], err)
	}
	if _, err := mapdata.Import(t.Context(), strings.NewReader(village), objects, mapdata.ImportOptions{}); err != nil || string(objects.m[road.CurrentKey]) != first.Version {
		t.Errorf("current is %s: %v", objects.m[road.CurrentKey], err)
	}
	none := `<osm><node id="1" lat="1" lon="1"/></osm>`
	if _, err := mapdata.Import(t.Context(), strings.NewReader(none), objects, mapdata.ImportOptions{}); !errors.Is(err, mapdata.ErrNoRoads) {
		t.Errorf("without roads: %v", err)
	}
}
