package mapdata_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/road"
)

const twoRoads = `<osm version="0.6">
<node id="1" lat="42.500" lon="1.500"/><node id="2" lat="42.501" lon="1.500"/><node id="3" lat="42.501" lon="1.501"/>
<way id="1"><nd ref="1"/><nd ref="2"/><tag k="highway" v="residential"/></way>
<way id="2"><nd ref="2"/><nd ref="3"/><tag k="highway" v="residential"/></way>
</osm>`

// An edited import makes another version, and leaves no trace that would be taken for the
// file's own.
func TestEditedImport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map.osm")
	if err := os.WriteFile(path, []byte(twoRoads), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := newMemory()
	load := func(edit func([]road.Way) []road.Way) road.Manifest {
		m, err := mapdata.ImportFile(t.Context(), path, objects, mapdata.ImportOptions{Edit: edit})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := func(ways []road.Way) []road.Way { return ways[:1] }
	broken, whole := load(first), load(nil)
	if broken.Segments != 1 || whole.Segments != 2 || broken.Version == whole.Version {
		t.Errorf("edited: %d segments, version %s; unedited: %d, %s", broken.Segments, broken.Version, whole.Segments, whole.Version)
	}
	if again := load(first); again.Version != broken.Version {
		t.Errorf("edited again after the file was imported: version %s, want %s", again.Version, broken.Version)
	}
}
