package management_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/mapdata/learn"
)

// exported are the paths that have files, and how many of the JSON's members are rows.
var exported = map[string]string{
	"/v1/trends/speeds?group_by=time,class":                                                      "groups",
	"/v1/trends/speeds?bbox=1.48,42.48,1.57,42.54&group_by=segment":                              "groups",
	"/v1/trends/speeds?group_by=segment,weekday&class=primary&compare_from=2026-11-15T17:00:00Z": "groups",
	"/v1/trends/speeds?group_by=hour_of_day&compare_from=2026-11-15T17:00:00Z":                   "groups",
	"/v1/trends/coverage?group_by=time,class":                                                    "groups",
	"/v1/trends/fleet?":         "groups",
	"/v1/trends/sensor-health?": "groups",
	"/v1/trends/hazards?group_by=category,tile,class,weather": "groups",
	"/v1/trends/limits?":                     "changes",
	"/v1/hazards?bbox=1.48,42.48,1.57,42.54": "features",
	"/v1/limits?bbox=1.48,42.48,1.57,42.54":  "features",
	"/v1/map-errors?status=any":              "features",
	"/v1/segments/history?bbox=1.48,42.48,1.57,42.54&typical=true&at=2026-11-23T16%3A00%3A00Z": "edges",
}

// fileReply is what an answer says besides its body.
type fileReply struct {
	reply
	Trailer http.Header
}

// send asks for a file and reads it whole.
func (b *bench) send(t *testing.T, path string) (fileReply, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token(t, credential.Analyst))
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return fileReply{reply{res.StatusCode, res.Header}, res.Trailer}, body, err
}

func newExportBench(t *testing.T, adjust func(*management.Config, *management.Deps)) *bench {
	t.Helper()
	return newBench(t, func(c *management.Config, d *management.Deps) {
		d.Now = func() time.Time { return documentTime }
		if adjust != nil {
			adjust(c, d)
		}
	})
}

// All formats have the rows of the JSON's pages, and say how many.
func TestFilesHaveWhatTheJSONHas(t *testing.T) {
	b := newExportBench(t, nil)
	for path, member := range exported {
		res, body, err := b.send(t, path)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v %.300s", path, res.StatusCode, err, body)
		}
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(body, &doc); err != nil {
			t.Fatal(err)
		}
		want, suppressed := 0, 0
		var list []json.RawMessage
		var edges map[string]json.RawMessage
		_ = json.Unmarshal(doc["suppressed_count"], &suppressed)
		if json.Unmarshal(doc[member], &list) == nil {
			want = len(list)
		} else if err := json.Unmarshal(doc[member], &edges); err != nil {
			t.Fatal(err)
		} else {
			want = len(edges) + suppressed // JSON leaves them out
		}
		if _, more := doc["next_cursor"]; want == 0 || more {
			t.Fatalf("%s: %d rows, more: %v", path, want, more)
		}
		for format, count := range map[string]func([]byte) (int, error){"csv": csvRows, "geojson": geoJSONRows, "parquet": parquetRows} {
			res, body, err := b.send(t, path+"&format="+format)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s as %s: %d %v %.300s", path, format, res.StatusCode, err, body)
			}
			got, err := count(body)
			if err != nil || got != want {
				t.Errorf("%s as %s: %d rows, want %d (%v)", path, format, got, want, err)
			}
			if name := res.Header.Get("Content-Disposition"); !strings.HasPrefix(name, `attachment; filename="carasso-`) || !strings.HasSuffix(name, "."+format+`"`) {
				t.Errorf("%s as %s: disposition %s", path, format, name)
			}
			if res.Trailer.Get("Carasso-Rows") != strconv.Itoa(want) || res.Trailer.Get("Carasso-Suppressed") != strconv.Itoa(suppressed) {
				t.Errorf("%s as %s: trailers %v, want %d rows, %d suppressed", path, format, res.Trailer, want, suppressed)
			}
		}
	}
}

func csvRows(body []byte) (int, error) {
	rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	return len(rows) - 1, err
}

func geoJSONRows(body []byte) (int, error) {
	var doc struct {
		Features []struct{ Geometry, Properties json.RawMessage }
	}
	err := json.Unmarshal(body, &doc)
	return len(doc.Features), err
}

func parquetRows(body []byte) (int, error) {
	f, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return 0, err
	}
	return int(f.NumRows()), nil
}

// What the columns say is what the JSON says, with nulls for what is suppressed.
func TestSegmentsInAFile(t *testing.T) {
	b := newExportBench(t, nil)
	const path = "/v1/trends/speeds?bbox=1.48,42.48,1.57,42.54&group_by=segment"
	_, body, err := b.send(t, path+"&format=csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	const head = "edge,segment,direction,tile,class,name,ref,limit_kmh,free_kmh,length_m,samples,vehicles_at_least,mean_kmh,p15_kmh,p50_kmh,p85_kmh,segments,length_km,suppressed_segments,suppressed,geometry_wkt"
	if got := strings.Join(rows[0], ","); got != head {
		t.Errorf("columns %s", got)
	}
	_, body, err = b.send(t, path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Groups []struct {
			Edge       uint64
			Name       string
			Mean       *float64 `json:"mean_kmh"`
			Suppressed bool
		}
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	suppressed := 0
	for i, g := range doc.Groups {
		row := rows[i+1]
		mean := ""
		if g.Mean != nil {
			mean = strconv.FormatFloat(*g.Mean, 'f', -1, 64)
		}
		if row[0] != strconv.FormatUint(g.Edge, 10) || row[5] != g.Name || row[12] != mean || row[19] != strconv.FormatBool(g.Suppressed) || !strings.HasPrefix(row[20], "LINESTRING (1.") {
			t.Fatalf("row %d: %v, want %+v", i, row, g)
		}
		if g.Suppressed {
			suppressed++
			if row[10] != "" || row[11] != "" {
				t.Fatalf("row %d tells of too few cars: %v", i, row)
			}
		}
	}
	if suppressed == 0 {
		t.Error("nothing is suppressed")
	}
}

func TestFilesAreRefused(t *testing.T) {
	b := newExportBench(t, func(c *management.Config, _ *management.Deps) { c.MaxExportRows = 5 })
	for query, says := range map[string]string{
		"format=xlsx":                    "format",
		"format=csv&limit=5":             "limit",
		"format=parquet&cursor=7":        "cursor",
		"format=csv&group_by=segment":    "more than 5 rows",
		"format=parquet&group_by=nobody": "group_by",
	} {
		res, body, err := b.send(t, "/v1/trends/speeds?"+query)
		if err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), says) || res.Header.Get("Content-Type") != "application/problem+json" ||
			res.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v %s", query, res.StatusCode, err, body)
		}
	}
	b.store.fail(errors.New("away"))
	if res, _, _ := b.send(t, "/v1/trends/speeds?format=csv"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d without a database", res.StatusCode)
	}
}

// longStore has any number of cells, and fails after some of them.
type longStore struct {
	*fakeStore
	cells, fails int
	peak         uint64
	ended        chan error
}

func (s *longStore) SpeedCells(ctx context.Context, _ learn.CellQuery, each func(*learn.SpeedCell) error) (err error) {
	defer func() { s.ended <- err }()
	c := learn.SpeedCell{AtLeast: 9}
	c.Sum.Add(1200, 1)
	for i := range s.cells {
		if i == s.fails && s.fails > 0 {
			return errors.New("the database went away")
		}
		if i%20_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			s.peak = max(s.peak, m.HeapAlloc)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		c.Edge = uint64(i + 1)
		if err := each(&c); err != nil {
			return err
		}
	}
	return nil
}

func newLongBench(t *testing.T, cells, fails, most int) (*bench, *longStore) {
	t.Helper()
	s := &longStore{cells: cells, fails: fails, ended: make(chan error, 10)}
	b := newExportBench(t, func(c *management.Config, d *management.Deps) {
		c.MaxExportRows = most
		fake, _ := d.Store.(*fakeStore)
		s.fakeStore = fake
		d.Store = s
	})
	return b, s
}

const everySegment = "/v1/trends/speeds?group_by=segment&format="

// A question that breaks off, or is too long, never looks like a whole file, compressed or not.
func TestABrokenFileDoesNotEnd(t *testing.T) {
	for name, n := range map[string]struct{ fails, most int }{"database": {40_000, 1_000_000}, "too many rows": {0, 40_000}} {
		b, _ := newLongBench(t, 60_000, n.fails, n.most)
		for _, format := range []string{"csv", "geojson", "parquet"} {
			res, body, err := b.send(t, everySegment+format)
			// As little as Parquet makes of rows that are alike is held back yet: then it's a problem.
			refused := res.StatusCode >= 400 && res.Header.Get("Content-Type") == "application/problem+json"
			if err == nil && !refused || format != "parquet" && len(body) < 64<<10 || res.Trailer.Get("Carasso-Rows") != "" {
				t.Errorf("%s, %s: status %d, %d bytes, %v", name, format, res.StatusCode, len(body), err)
			}
		}
	}
}

func TestLongFilesNeedLittleMemory(t *testing.T) {
	b, s := newLongBench(t, 200_000, 0, 1_000_000)
	for _, format := range []string{"csv", "geojson", "parquet"} {
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		s.peak = 0
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+everySegment+format, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.token(t, credential.Analyst))
		res, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.Trailer.Get("Carasso-Rows") != "200000" {
			t.Errorf("%s: %v, trailers %v", format, err, res.Trailer)
		}
		grown := int64(s.peak) - int64(before.HeapAlloc)
		t.Logf("%s: %d MB, %.1f MB of heap more", format, n>>20, float64(grown)/1e6)
		if grown > 64<<20 {
			t.Errorf("%s: the heap grew by %d MB", format, grown>>20)
		}
	}
}

// A client that goes away ends the query.
func TestAClientThatLeavesEndsTheQuery(t *testing.T) {
	b, s := newLongBench(t, 100_000_000, 0, 1_000_000_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL+everySegment+"csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token(t, credential.Analyst))
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-s.ended:
		if err == nil {
			t.Error("the query went to its end")
		}
	case <-time.After(time.Minute):
		t.Error("the query goes on")
	}
}
